//! Groups: the array whose elements name stencil functions, and what stands alone; joined with the functions, whose bytes
//! must be as many as the sizes say.

use super::function::{Function, FunctionPart};
use super::tokens::{Token, Tokens, source};
use super::{HeaderGroup, HeaderProblem, MAX_ZEROS, Problem, Result, twice, uop_name};
use mimeo::table::MAX_ALIGN;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

/// How many fields of a structure are remembered.
const MAX_FIELDS: usize = 64;

/// The names of a structure's fields. Many elements share them.
pub(super) type Fields<'t> = Rc<[&'t str]>;

/// An element of the array of groups, or a group of its own.
pub(super) struct Element<'t> {
    name: Token<'t>,
    function: Token<'t>,
    values: Vec<Value<'t>>,
    /// The fields of its type, if the file defines it.
    fields: Option<Fields<'t>>,
    in_array: bool,
}

/// A value of an initialiser.
struct Value<'t> {
    /// The field that is named: `.code_size = 6`.
    field: Option<&'t str>,
    tokens: Vec<Token<'t>>,
}

/// The names of a structure's fields, from behind its brace.
pub(super) fn fields<'t>(tokens: &mut Tokens<'t>, open: Token<'t>) -> Result<Fields<'t>> {
    let mut fields = Vec::new();
    let mut name = None;
    let mut last = None;
    tokens.within(open, |token, depth| {
        match token.identifier() {
            // The name of a pointer to a function stands in its first brackets: `void (*emit)(int)`.
            Some(found) if depth == 0 || (depth == 1 && is_star(last)) => name = Some(found),
            None if depth == 0 && matches!(token.text, ";" | ",") => {
                fields.extend(name.take().filter(|_| fields.len() < MAX_FIELDS));
            }
            _ => {}
        }
        last = Some(token);
        Ok(())
    })?;
    Ok(fields.into())
}

fn is_star(token: Option<Token<'_>>) -> bool {
    token.is_some_and(|token| token.is("*"))
}

/// Whether the initialiser from behind `open` names a stencil function as a value so many brackets deep.
pub(super) fn are_groups<'t>(
    mut tokens: Tokens<'t>,
    open: Token<'t>,
    depth: usize,
) -> Result<bool> {
    let mut found = false;
    let mut before = open;
    tokens.within(open, |token, at| {
        if token.is(";") {
            return Err(token.unexpected("`,` or `}`"));
        }
        let is_value = at == depth && matches!(before.text, "{" | "," | "=");
        found |= is_value && is_stencil_function(token);
        before = token;
        Ok(())
    })?;
    Ok(found)
}

fn is_stencil_function(token: Token<'_>) -> bool {
    token.identifier().and_then(uop_name).is_some()
}

/// The elements of the array, from behind its brace.
pub(super) fn array<'t>(
    tokens: &mut Tokens<'t>,
    fields: Option<&Fields<'t>>,
) -> Result<Vec<Element<'t>>> {
    let mut elements = Vec::new();
    while !tokens.take_if("}")? {
        let mut index = None;
        let bracket = tokens.peek()?;
        if tokens.take_if("[")? {
            // What is no name, such as a number, names no uop.
            index = match tokens.list(bracket)?.0.as_slice() {
                [item] => item.first().copied().filter(|_| item.len() == 1),
                _ => None,
            };
            tokens.expect("=")?;
        }
        let index = index.filter(|index| index.identifier().is_some());
        let open = tokens.expect("{")?;
        let element = element(tokens, index, open, fields)?;
        elements.push(Element {
            in_array: true,
            ..element
        });
        if !tokens.peek()?.is("}") {
            tokens.expect(",")?;
        }
    }
    Ok(elements)
}

/// A group that stands alone, from behind the brace of its values.
pub(super) fn element<'t>(
    tokens: &mut Tokens<'t>,
    name: Option<Token<'t>>,
    open: Token<'t>,
    fields: Option<&Fields<'t>>,
) -> Result<Element<'t>> {
    let (values, close) = tokens.list(open)?;
    let first = values.first().and_then(|value| value.first());
    let found = *first.unwrap_or(&close);
    let values: Vec<Value<'t>> = values.into_iter().map(Value::of).collect();
    let mut functions = values.iter().filter_map(|value| match value.tokens[..] {
        [token] if is_stencil_function(token) => Some(token),
        _ => None,
    });
    let Some(function) = functions.next() else {
        return Err(found.unexpected("the name of a stencil function, `emit_NAME`"));
    };
    Ok(Element {
        name: name.unwrap_or(Token {
            text: uop_name(function.text).unwrap_or(function.text),
            ..function
        }),
        function,
        values,
        fields: fields.cloned(),
        in_array: false,
    })
}

impl<'t> Value<'t> {
    fn of(tokens: Vec<Token<'t>>) -> Self {
        match tokens[..] {
            [dot, field, equals, ..] if dot.is(".") && equals.is("=") => Self {
                field: field.identifier(),
                tokens: tokens[3..].to_vec(),
            },
            _ => Self {
                field: None,
                tokens,
            },
        }
    }
}

/// Joins elements and functions: the groups of the array, and the others with the functions that no element names.
pub(super) fn resolve<'t>(
    text: &'t str,
    elements: Vec<Element<'t>>,
    mut functions: BTreeMap<&'t str, Function<'t>>,
) -> Result<(Vec<HeaderGroup>, Vec<HeaderGroup>)> {
    let all_parts = functions.values().flat_map(|function| &function.parts);
    let parts: BTreeSet<&str> = all_parts.map(|part| part.name).collect();
    let (mut groups, mut others) = (Vec::new(), Vec::new());
    let mut zeros = MAX_ZEROS;
    let mut names = HashMap::new();
    let mut used = HashMap::new();
    for element in elements {
        let Element { name, function, .. } = element;
        if let Some(first) = names.insert((element.in_array, name.text), name.start) {
            return Err(twice(text, "group", name, first));
        }
        let Some(mut found) = functions.remove(function.text) else {
            return Err(match used.get(function.text) {
                Some(&first) => twice(text, "the group of", function, first),
                None => element.without_function(),
            });
        };
        used.insert(function.text, function.start);
        let extra = element.check_sizes(&mut found, &parts)?;
        let group = HeaderGroup {
            name: name.text.to_owned(),
            parts: found.into_parts(&mut zeros)?,
            extra,
        };
        match element.in_array {
            true => groups.push(group),
            false => others.push(group),
        }
    }
    for (name, function) in functions {
        others.push(HeaderGroup {
            name: uop_name(name).unwrap_or(name).to_owned(),
            parts: function.into_parts(&mut zeros)?,
            extra: Vec::new(),
        });
    }
    others.sort_by(|a, b| a.name.cmp(&b.name));
    Ok((groups, others))
}

/// The parts of CPython's stencils.
const CPYTHON_PARTS: [&str; 2] = ["code", "data"];

/// Parts whose sizes are known as such where no function of the file has the part.
const USUAL_PARTS: [&str; 4] = ["code", "hot", "cold", "data"];

/// The fields of CPython's groups, where the file does not define their type.
const CPYTHON_FIELDS: [&str; 3] = ["emit", "code_size", "data_size"];

impl<'t> Element<'t> {
    fn without_function(&self) -> Problem {
        let problem = HeaderProblem::NoFunction {
            group: self.name.text.to_owned(),
            function: self.function.text.to_owned(),
        };
        Problem::new(self.function.start, problem)
    }

    /// Compares the sizes with the function's parts; the other values, except for the function, as text.
    fn check_sizes(
        &self,
        function: &mut Function<'_>,
        parts: &BTreeSet<&str>,
    ) -> Result<Vec<String>> {
        let is_cpython = parts.iter().all(|part| CPYTHON_PARTS.contains(part));
        let fields: &[&str] = match &self.fields {
            Some(fields) => fields,
            None if is_cpython => &CPYTHON_FIELDS,
            None => &[],
        };
        let mut extra = Vec::new();
        let mut position = 0;
        for value in &self.values {
            if let Some(named) = value.field {
                let found = fields.iter().position(|&field| field == named);
                position = found.unwrap_or(position);
            }
            let field = value.field.or(fields.get(position).copied());
            position += 1;
            let is_part = |part: &&str| parts.contains(part) || USUAL_PARTS.contains(part);
            match field.and_then(sized_part).filter(is_part) {
                Some(part) => self.check_size(value, part, function.part_mut(part))?,
                None if matches!(value.tokens[..], [token] if token.is(self.function.text)) => {}
                None => extra.push(source(&value.tokens)),
            }
        }
        Ok(extra)
    }

    fn check_size(
        &self,
        value: &Value<'t>,
        name: &str,
        mut part: Option<&mut FunctionPart<'_>>,
    ) -> Result<()> {
        let Some(&token) = value.tokens.first() else {
            let expected = format!("the size of {name}");
            return Err(self.function.unexpected(expected));
        };
        let number = token.number().filter(|_| value.tokens.len() == 1);
        let declared =
            number.ok_or_else(|| token.unexpected(format!("a number, the size of {name}")))?;
        let (found, room) = part.as_mut().map_or((0, 0), |part| {
            let room = if part.is_moved { MAX_ALIGN } else { 0 };
            // Of what has no array, nothing else says the length.
            (*part.length.get_or_insert(declared), u64::from(room))
        });
        if (found..=found.saturating_add(room)).contains(&declared) {
            if let Some(part) = part {
                part.room = (declared - found) as u32;
            }
            return Ok(());
        }
        let problem = HeaderProblem::Size {
            group: self.name.text.to_owned(),
            part: name.to_owned(),
            declared,
            found,
        };
        Err(Problem::new(token.start, problem))
    }
}

/// The part that a field has the size of, if it is called like that.
fn sized_part(field: &str) -> Option<&str> {
    let suffixes = ["_size", "_len", "_length", "_bytes"];
    suffixes
        .iter()
        .find_map(|suffix| field.strip_suffix(suffix))
}
