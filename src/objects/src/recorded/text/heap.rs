//! The two lists of objects of a text, as they get their numbers. A name stands for one object wherever it is used; a
//! number, a str and the like for the first of the list that is written alike, or for a new one; anything else that is
//! written inside of another is a new object.

use super::error::{Problem, Result};
use super::kinds::{self, Field, Kind};
use super::syntax::{Argument, At, Definition, Origin, Span, Tree};
use crate::recorded::hex_float;
use serde_json::{Map, Value as Json, json};
use std::collections::{HashMap, VecDeque};

/// The code objects that values may refer to.
pub(super) struct Codes {
    pub(super) names: Vec<String>,
}

impl Codes {
    /// The number of a code, given by name or by number.
    pub(super) fn find(&self, code: &At<Tree>) -> Result<usize> {
        let found = match &code.it {
            Tree::Int(number) => number
                .parse()
                .ok()
                .filter(|&number| number < self.names.len()),
            Tree::Word(name) | Tree::Str(name) => self.names.iter().position(|known| known == name),
            other => return expected(&code.span, "the name or the number of a code", other),
        };
        found.ok_or_else(|| Problem::new(code.span.clone(), "there is no such code"))
    }
}

/// Objects by index, in the JSON form.
pub(super) struct Heap<'f> {
    /// Where the list is in the document.
    path: &'static str,
    pub(super) values: Vec<Json>,
    pub(super) spans: Vec<(String, Span)>,
    names: HashMap<String, usize>,
    /// Those that are the same wherever they are written alike.
    scalars: HashMap<String, usize>,
    /// The objects of the end: those of the entry, and which of these stands for which of those.
    entry: Option<&'f Heap<'f>>,
    imported: HashMap<usize, usize>,
}

impl<'f> Heap<'f> {
    pub(super) fn new(path: &'static str, entry: Option<&'f Heap<'f>>) -> Self {
        Self {
            path,
            values: Vec::new(),
            spans: Vec::new(),
            names: HashMap::new(),
            scalars: HashMap::new(),
            entry,
            imported: HashMap::new(),
        }
    }

    /// Numbers the values that have a line, in their order, and then makes them: they may refer to later ones.
    pub(super) fn define(&mut self, definitions: &[Definition], codes: &Codes) -> Result<()> {
        for (index, definition) in definitions.iter().enumerate() {
            if let Some(name) = &definition.name
                && self.names.insert(name.it.clone(), index).is_some()
            {
                let message = format_args!("`%{}` is defined twice", name.it).to_string();
                return Err(Problem::new(name.span.clone(), message));
            }
            if let Some((key, _)) = scalar(&definition.value.it) {
                self.scalars.entry(key).or_insert(index);
            }
            self.place(definition.value.span.clone(), Json::Null);
        }
        let mut origins = Vec::new();
        for (index, definition) in definitions.iter().enumerate() {
            if let Some(origin) = self.origin(definition)? {
                self.imported.entry(origin).or_insert(index);
                origins.push((index, origin));
            }
        }
        for (index, definition) in definitions.iter().enumerate() {
            self.values[index] = match scalar(&definition.value.it) {
                Some((_, json)) => json,
                None => self.make(&definition.value, index, codes)?,
            };
        }
        for (index, origin) in origins {
            self.values[index]["in"] = json!(origin);
        }
        Ok(())
    }

    /// The object of the entry that this one is, if it is one.
    fn origin(&self, definition: &Definition) -> Result<Option<usize>> {
        let Some(entry) = self.entry else {
            return Ok(None);
        };
        Ok(match (&definition.origin, &definition.name) {
            (Origin::New, _) | (Origin::Name, None) => None,
            (Origin::Name, Some(name)) => entry.named(&name.it),
            (Origin::Same, Some(name)) => Some(entry.existing(&At {
                it: Tree::Name(name.it.clone()),
                span: name.span.clone(),
            })?),
            (Origin::Same, None) => Some(entry.existing(&definition.value)?),
            (Origin::Is(tree), _) => Some(entry.existing(tree)?),
        })
    }

    /// The object of this name, if one is defined.
    pub(super) fn named(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied()
    }

    /// The object that a tree stands for where it needs no new one.
    pub(super) fn existing(&self, tree: &At<Tree>) -> Result<usize> {
        let found = match &tree.it {
            Tree::Name(name) => self.named(name),
            other => scalar(other).and_then(|(key, _)| self.scalars.get(&key).copied()),
        };
        found.ok_or_else(|| {
            let message = "expected an object of the entry: its name, or a value that is there";
            Problem::new(tree.span.clone(), message)
        })
    }

    fn place(&mut self, span: Span, json: Json) -> usize {
        let index = self.values.len();
        self.spans.push((format!("{}[{index}]", self.path), span));
        self.values.push(json);
        index
    }

    /// The object that a tree stands for; it may be a new one.
    pub(super) fn value(&mut self, tree: &At<Tree>, codes: &Codes) -> Result<usize> {
        if let Tree::Name(name) = &tree.it {
            return self.by_name(name, &tree.span);
        }
        if let Some((key, json)) = scalar(&tree.it) {
            if let Some(&known) = self.scalars.get(&key) {
                return Ok(known);
            }
            let index = self.place(tree.span.clone(), json);
            self.scalars.insert(key, index);
            return Ok(index);
        }
        let index = self.place(tree.span.clone(), Json::Null);
        self.values[index] = self.make(tree, index, codes)?;
        Ok(index)
    }

    /// An object, or none for `null`.
    pub(super) fn nullable(&mut self, tree: &At<Tree>, codes: &Codes) -> Result<Option<usize>> {
        match tree.it {
            Tree::Null => Ok(None),
            _ => self.value(tree, codes).map(Some),
        }
    }

    fn by_name(&mut self, name: &str, span: &Span) -> Result<usize> {
        if let Some(known) = self.named(name) {
            return Ok(known);
        }
        let original = self.entry.and_then(|entry| entry.named(name));
        match original {
            Some(original) => Ok(self.import(original, span)),
            None => Err(Problem::new(
                span.clone(),
                format_args!("there is no value `%{name}`"),
            )),
        }
    }

    /// An object of the entry with everything it leads to, all of it as it was.
    fn import(&mut self, original: usize, span: &Span) -> usize {
        let Some(entry) = self.entry else {
            return original;
        };
        let mut pending = VecDeque::new();
        let imported = self.import_one(original, span, &mut pending);
        while let Some((from, to)) = pending.pop_front() {
            let mut json = entry.values[from].clone();
            for_references(&mut json, &mut |reference| {
                let from = usize::try_from(*reference).unwrap_or(usize::MAX);
                *reference = self.import_one(from, span, &mut pending) as u64;
            });
            json["in"] = json!(from);
            self.values[to] = json;
        }
        imported
    }

    fn import_one(
        &mut self,
        from: usize,
        span: &Span,
        pending: &mut VecDeque<(usize, usize)>,
    ) -> usize {
        if let Some(&known) = self.imported.get(&from) {
            return known;
        }
        let to = self.place(span.clone(), Json::Null);
        self.imported.insert(from, to);
        pending.push_back((from, to));
        to
    }

    /// The JSON form of an object that is no scalar.
    fn make(&mut self, tree: &At<Tree>, index: usize, codes: &Codes) -> Result<Json> {
        match &tree.it {
            Tree::List(items) => self.sequence("list", items, codes),
            Tree::Tuple(items) => self.sequence("tuple", items, codes),
            Tree::Set(items) => self.sequence("set", items, codes),
            Tree::Dict(pairs) => Ok(json!({"t": "dict", "items": self.pairs(pairs, codes)?})),
            Tree::Make(word, arguments) if word == "unknown" => unknown(arguments, &tree.span),
            Tree::Make(word, arguments) => match kinds::by_word(word) {
                Some(kind) => self.fields(kind, arguments, index, &tree.span, codes),
                None => {
                    let message = format!("there is no kind of value `{word}`");
                    Err(Problem::new(tree.span.clone(), message))
                }
            },
            other => expected(&tree.span, "a value", other),
        }
    }

    fn sequence(&mut self, tag: &str, items: &[At<Tree>], codes: &Codes) -> Result<Json> {
        Ok(json!({"t": tag, "items": self.items(items, codes)?}))
    }

    fn items(&mut self, items: &[At<Tree>], codes: &Codes) -> Result<Vec<usize>> {
        items.iter().map(|item| self.value(item, codes)).collect()
    }

    fn pairs(&mut self, pairs: &[(At<Tree>, At<Tree>)], codes: &Codes) -> Result<Json> {
        let pairs: Result<Vec<Json>> = pairs
            .iter()
            .map(|(key, value)| {
                let key = self.value(key, codes)?;
                Ok(json!([key, self.value(value, codes)?]))
            })
            .collect();
        Ok(Json::Array(pairs?))
    }

    fn fields(
        &mut self,
        kind: &'static Kind,
        arguments: &[Argument],
        index: usize,
        span: &Span,
        codes: &Codes,
    ) -> Result<Json> {
        let mut json = Map::new();
        json.insert("t".to_owned(), json!(kind.tag));
        if kind.word == "class" {
            json.insert("user".to_owned(), json!(true));
        }
        for (position, argument) in arguments.iter().enumerate() {
            let (name, field) = field_of(kind, position, argument)?;
            if json.contains_key(name) {
                let message = format!("`{name}` is given twice");
                return Err(Problem::new(argument.value.span.clone(), message));
            }
            let path = format!("{}[{index}].{name}", self.path);
            self.spans.push((path, argument.value.span.clone()));
            let value = self.field(field, &argument.value, codes)?;
            json.insert(name.to_owned(), value);
        }
        for &(name, field) in kind.fields {
            if json.contains_key(name) {
                continue;
            }
            if !kind.optional.contains(&name) {
                let message = format!("`{}` needs a `{name}`", kind.word);
                return Err(Problem::new(span.clone(), message));
            }
            if let Some(value) = default_of(name, field, &json, codes) {
                json.insert(name.to_owned(), value);
            }
        }
        Ok(Json::Object(json))
    }

    fn field(&mut self, field: Field, tree: &At<Tree>, codes: &Codes) -> Result<Json> {
        Ok(match (field, &tree.it) {
            (Field::Value, _) => json!(self.value(tree, codes)?),
            (Field::Nullable, _) => json!(self.nullable(tree, codes)?),
            (Field::Values, Tree::List(items) | Tree::Tuple(items) | Tree::Set(items)) => {
                json!(self.items(items, codes)?)
            }
            (Field::Values, _) => return expected(&tree.span, "a list", &tree.it),
            (Field::Pairs, Tree::Dict(pairs)) => self.pairs(pairs, codes)?,
            (Field::Pairs, _) => return expected(&tree.span, "a dict", &tree.it),
            (Field::Attributes, Tree::Dict(pairs)) => {
                let attributes: Result<Vec<Json>> = pairs
                    .iter()
                    .map(|(key, value)| {
                        let key = name_of(key)?;
                        Ok(json!([key, self.value(value, codes)?]))
                    })
                    .collect();
                Json::Array(attributes?)
            }
            (Field::Attributes, _) => {
                return expected(&tree.span, "names and values, `{name: value}`", &tree.it);
            }
            (Field::Names, Tree::List(items)) => {
                let names: Result<Vec<&str>> = items.iter().map(name_of).collect();
                json!(names?)
            }
            (Field::Names, _) => return expected(&tree.span, "a list of names", &tree.it),
            (Field::Name, _) => json!(name_of(tree)?),
            (Field::Decimal, Tree::Int(digits)) => json!(digits),
            (Field::Integer, Tree::Int(digits)) => number(&tree.span, digits)?,
            (Field::Decimal | Field::Integer, _) => {
                return expected(&tree.span, "an int", &tree.it);
            }
            (Field::Code, _) => json!(codes.find(tree)?),
        })
    }
}

/// The field that an argument is for.
fn field_of(
    kind: &'static Kind,
    position: usize,
    argument: &Argument,
) -> Result<(&'static str, Field)> {
    let found = match &argument.field {
        Some(name) => kind.fields.iter().find(|(known, _)| *known == name.it),
        None => kind.fields.get(position),
    };
    found.copied().ok_or_else(|| {
        let names: Vec<&str> = kind.fields.iter().map(|(name, _)| *name).collect();
        let (span, what) = match &argument.field {
            Some(name) => (&name.span, format!("no field `{}`", name.it)),
            None => (&argument.value.span, format!("no {} fields", position + 1)),
        };
        let message = format!("`{}` has {what}, but {}", kind.word, names.join(", "));
        Problem::new(span.clone(), message)
    })
}

/// What a field holds that is left out; `None` where the JSON form leaves it out as well.
pub(super) fn default_of(
    name: &str,
    field: Field,
    known: &Map<String, Json>,
    codes: &Codes,
) -> Option<Json> {
    match (name, field) {
        ("step", _) => Some(json!("1")),
        ("index", _) => Some(json!(0)),
        ("name", _) => {
            let code = known.get("code").and_then(Json::as_u64)?;
            let name = codes.names.get(usize::try_from(code).ok()?)?;
            Some(json!(name))
        }
        // A class has one of the two.
        ("slots", _) => None,
        ("inline_keys", _) if known.contains_key("slots") => None,
        (_, Field::Values | Field::Pairs | Field::Attributes | Field::Names) => Some(json!([])),
        _ => None,
    }
}

/// An object of a kind that nothing is known of.
fn unknown(arguments: &[Argument], span: &Span) -> Result<Json> {
    match arguments {
        [Argument { field: None, value }] => Ok(json!({"t": name_of(value)?})),
        _ => Err(Problem::new(
            span.clone(),
            "expected the name of the kind, `unknown(kind)`",
        )),
    }
}

/// A name: a word, or a str.
pub(super) fn name_of(tree: &At<Tree>) -> Result<&str> {
    match &tree.it {
        Tree::Word(name) | Tree::Str(name) => Ok(name),
        other => expected(&tree.span, "a name", other),
    }
}

/// A machine word.
pub(super) fn number(span: &Span, digits: &str) -> Result<Json> {
    let signed = digits.parse::<i64>().map(Json::from);
    signed
        .or_else(|_| digits.parse::<u64>().map(Json::from))
        .map_err(|_| Problem::new(span.clone(), "this number has more than 64 bits"))
}

pub(super) fn expected<T>(span: &Span, what: &str, found: &Tree) -> Result<T> {
    Err(Problem::expected(span.clone(), what, describe(found)))
}

/// What a tree is, in a word or two.
fn describe(tree: &Tree) -> String {
    match tree {
        Tree::Null => "`null`".to_owned(),
        Tree::Word(word) => format!("`{word}`"),
        Tree::Name(name) => format!("`%{name}`"),
        Tree::None => "`None`".to_owned(),
        Tree::Bool(_) => "a bool".to_owned(),
        Tree::Int(_) => "an int".to_owned(),
        Tree::Float(_) => "a float".to_owned(),
        Tree::Str(_) => "a str".to_owned(),
        Tree::Bytes(_) => "a bytes".to_owned(),
        Tree::List(_) => "a list".to_owned(),
        Tree::Tuple(_) => "a tuple".to_owned(),
        Tree::Set(_) => "a set".to_owned(),
        Tree::Dict(_) => "a dict".to_owned(),
        Tree::Make(word, _) => format!("a {word}"),
    }
}

/// What identifies a scalar, and its JSON form.
fn scalar(tree: &Tree) -> Option<(String, Json)> {
    let json = match tree {
        Tree::None => json!({"t": "none"}),
        Tree::Bool(value) => json!({"t": "bool", "v": value}),
        Tree::Int(digits) => json!({"t": "int", "v": digits}),
        Tree::Float(value) => json!({"t": "float", "v": hex_float::format(*value)}),
        Tree::Str(text) => json!({"t": "str", "v": text}),
        Tree::Bytes(bytes) => json!({"t": "bytes", "v": crate::recorded::write::hex(bytes)}),
        _ => return None,
    };
    Some((scalar_key(&json)?, json))
}

/// What identifies a scalar of the JSON form; `None` for other kinds.
pub(super) fn scalar_key(json: &Json) -> Option<String> {
    let tag = json.get("t")?.as_str()?;
    match tag {
        "none" => Some(tag.to_owned()),
        "bool" | "int" | "float" | "str" | "bytes" => Some(format!("{tag} {}", json.get("v")?)),
        _ => None,
    }
}

/// Every index of another object in the JSON form of one.
pub(super) fn for_references(json: &mut Json, each: &mut dyn FnMut(&mut u64)) {
    let is_class = json.get("user").is_some();
    let kind = json
        .get("t")
        .and_then(Json::as_str)
        .and_then(|tag| kinds::by_tag(tag, is_class));
    let Some(kind) = kind else { return };
    for &(name, field) in kind.fields {
        let Some(value) = json.get_mut(name) else {
            continue;
        };
        match field {
            Field::Value | Field::Nullable => reference(value, each),
            Field::Values => array(value)
                .iter_mut()
                .for_each(|item| reference(item, each)),
            Field::Pairs => array(value)
                .iter_mut()
                .flat_map(array)
                .for_each(|item| reference(item, each)),
            Field::Attributes => array(value)
                .iter_mut()
                .filter_map(|pair| array(pair).last_mut())
                .for_each(|item| reference(item, each)),
            _ => {}
        }
    }
}

fn array(json: &mut Json) -> &mut [Json] {
    json.as_array_mut().map_or(&mut [], Vec::as_mut_slice)
}

fn reference(json: &mut Json, each: &mut dyn FnMut(&mut u64)) {
    if let Some(mut index) = json.as_u64() {
        each(&mut index);
        *json = json!(index);
    }
}
