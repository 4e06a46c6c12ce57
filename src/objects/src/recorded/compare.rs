//! Comparison: whether a frame is the one that a document expects at the end. What counts is what Python programs can
//! see: exact types, the values of ints, floats (bit for bit), strings, tuples and ranges, and the identity of
//! everything else. An object with an origin is the same object as at the entry; one without was made by the traces.

use super::format::{Document, ExpectedValue, SequenceIterator, Value, ValueIndex};
use super::load::Objects;
use super::read::excerpt;
use super::surrogates;
use crate::code::name_text;
use crate::frame::OwnedFrame;
use crate::instance::Instance;
use crate::int::IntView;
use crate::object::{Header, Ref, View};
use crate::types::TypeId;
use num_bigint::BigInt;
use std::collections::{HashMap, HashSet};

/// What is in a frame.
#[derive(Clone, Copy, Debug)]
pub struct FrameState<'f> {
    /// The number of its code.
    pub code: usize,
    /// The locals, `None` where unbound.
    pub locals: &'f [Option<Ref>],
    /// The evaluation stack from the bottom, `None` for a null.
    pub stack: &'f [Option<Ref>],
}

impl<'f> From<&'f OwnedFrame> for FrameState<'f> {
    fn from(frame: &'f OwnedFrame) -> Self {
        Self {
            code: frame.frame().code as usize,
            locals: frame.locals(),
            stack: frame.stack(),
        }
    }
}

/// The first place at which a frame is not as expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: expected {expected}, found {found}")]
pub struct Difference {
    /// The place, as in `local 2 (total)` or `stack[0][3]`.
    pub path: String,
    /// What the document says.
    pub expected: String,
    /// What there is.
    pub found: String,
}

/// Compares a frame with the `expected` state of the document whose objects these are.
///
/// # Errors
///
/// The first difference: locals before stack, a container before its contents.
pub fn compare(objects: &Objects<'_>, frame: FrameState<'_>) -> Result<(), Difference> {
    let document = objects.document();
    let expected = &document.expected;
    count("code", expected.code, frame.code)?;
    count(
        "number of locals",
        expected.locals.len(),
        frame.locals.len(),
    )?;
    count(
        "depth of the stack",
        expected.stack.len(),
        frame.stack.len(),
    )?;
    let mut comparison = Comparison::new(objects);
    for (index, (wanted, found)) in expected.locals.iter().zip(frame.locals).enumerate() {
        comparison.run(Step::Local(index), *wanted, found.as_ref())?;
    }
    for (index, (wanted, found)) in expected.stack.iter().zip(frame.stack).enumerate() {
        comparison.run(Step::Stack(index), *wanted, found.as_ref())?;
    }
    Ok(())
}

fn count(path: &str, expected: usize, found: usize) -> Result<(), Difference> {
    if expected == found {
        return Ok(());
    }
    Err(Difference {
        path: path.to_owned(),
        expected: expected.to_string(),
        found: found.to_string(),
    })
}

/// A step of the way to a place.
#[derive(Clone, Copy)]
enum Step {
    Local(usize),
    Stack(usize),
    Item(usize),
    Key(usize),
    Member(usize),
    Attribute(usize),
    Contents,
    Class,
    Callable,
    Receiver,
    Sequence,
}

/// How deep into tuples and frozensets members of sets are told apart.
const MEMBER_DEPTH: usize = 16;

/// Number of a place in [`Comparison::places`].
type Place = usize;

/// A value and an object still to be compared.
struct Pair {
    place: Place,
    value: Option<ValueIndex>,
    object: Option<Ref>,
}

/// A comparison under way. Without recursion: values may nest as deep as a document is long.
struct Comparison<'o> {
    objects: &'o Objects<'o>,
    document: &'o Document,
    /// The objects of the entry by address.
    entry: HashMap<*mut Header, ValueIndex>,
    /// Every place that was met: the place that leads there, and the step from it.
    places: Vec<(Option<Place>, Step)>,
    /// The object that an expected value was found to be, and where.
    object_of: HashMap<ValueIndex, (*mut Header, Place)>,
    /// The expected value that an object was found to be, and where.
    value_of: HashMap<*mut Header, (ValueIndex, Place)>,
    /// Pairs of tuples that have been compared.
    tuples: HashSet<(ValueIndex, *mut Header)>,
    todo: Vec<Pair>,
}

impl<'o> Comparison<'o> {
    fn new(objects: &'o Objects<'o>) -> Self {
        Self {
            objects,
            document: objects.document(),
            entry: objects
                .iter()
                .map(|(index, object)| (object.as_ptr(), index))
                .collect(),
            places: Vec::new(),
            object_of: HashMap::new(),
            value_of: HashMap::new(),
            tuples: HashSet::new(),
            todo: Vec::new(),
        }
    }

    /// Compares what is at a place of the frame, with everything it leads to.
    fn run(
        &mut self,
        step: Step,
        value: Option<ValueIndex>,
        object: Option<&Ref>,
    ) -> Result<(), Difference> {
        self.add(None, step, value, object.cloned());
        while let Some(pair) = self.todo.pop() {
            match (pair.value, pair.object) {
                (None, None) => {}
                (Some(value), Some(object)) => self.same(pair.place, value, &object)?,
                (None, Some(object)) => {
                    return Err(self.difference(pair.place, "NULL", describe_object(&object)));
                }
                (Some(value), None) => {
                    let expected = describe_value(&self.value(value).value);
                    return Err(self.difference(pair.place, expected, "NULL"));
                }
            }
        }
        Ok(())
    }

    fn value(&self, index: ValueIndex) -> &'o ExpectedValue {
        &self.document.expected.values[index]
    }

    fn add(
        &mut self,
        from: Option<Place>,
        step: Step,
        value: Option<ValueIndex>,
        object: Option<Ref>,
    ) {
        self.places.push((from, step));
        let place = self.places.len() - 1;
        self.todo.push(Pair {
            place,
            value,
            object,
        });
    }

    /// Adds the items of two sequences of the same length, the first on top.
    fn add_items(&mut self, place: Place, values: &[ValueIndex], objects: &[Ref]) {
        for (index, (&value, object)) in values.iter().zip(objects).enumerate().rev() {
            self.add(
                Some(place),
                Step::Item(index),
                Some(value),
                Some(object.clone()),
            );
        }
    }

    /// Compares a value with an object, and puts off what they contain.
    fn same(&mut self, place: Place, index: ValueIndex, object: &Ref) -> Result<(), Difference> {
        let ExpectedValue { value, origin } = self.value(index);
        if !is_same_itself(value, object) {
            return Err(self.difference(place, describe_value(value), describe_object(object)));
        }
        match value {
            Value::Tuple(items) => {
                if let View::Tuple(tuple) = object.view()
                    && self.tuples.insert((index, object.as_ptr()))
                {
                    self.add_items(place, items, tuple.items());
                }
            }
            Value::FrozenSet(items) => self.add_members(place, items, object),
            Value::Function { .. } | Value::Type { user: Some(_), .. } => {
                self.check_origin(place, *origin, object)?;
            }
            Value::List(_)
            | Value::Set(_)
            | Value::Dict(_)
            | Value::Cell(_)
            | Value::Instance { .. }
            | Value::RangeIterator { .. } => {
                let is_first = self.meet(place, index, object, *origin)?;
                self.add_contents(place, value, object, is_first)?;
            }
            // The same method may be bound again and again.
            Value::Method { func, receiver } if let View::Method(method) = object.view() => {
                let (function, instance) = (method.function().clone(), method.instance());
                let instance = instance.clone();
                self.add(Some(place), Step::Receiver, Some(*receiver), Some(instance));
                self.add(Some(place), Step::Callable, Some(*func), Some(function));
            }
            Value::ListIterator(iterator)
            | Value::TupleIterator(iterator)
            | Value::StrAsciiIterator(iterator) => {
                let is_first = self.meet(place, index, object, *origin)?;
                if is_first {
                    let sequence = sequence_of(object);
                    self.add(Some(place), Step::Sequence, iterator.seq, sequence);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Adds what is in a container that can change, when it is met first.
    fn add_contents(
        &mut self,
        place: Place,
        value: &'o Value,
        object: &Ref,
        is_first: bool,
    ) -> Result<(), Difference> {
        if !is_first {
            return Ok(());
        }
        match (value, object.view()) {
            (Value::List(items), View::List(list)) => {
                self.add_items(place, items, &list.to_vec());
            }
            (Value::Set(items), _) => self.add_members(place, items, object),
            (Value::Dict(items), View::Dict(dict)) => {
                let found: Vec<(Ref, Ref)> = dict.iter().collect();
                for (index, (&(key, value), (found_key, found_value))) in
                    items.iter().zip(found).enumerate().rev()
                {
                    self.add(
                        Some(place),
                        Step::Item(index),
                        Some(value),
                        Some(found_value),
                    );
                    self.add(Some(place), Step::Key(index), Some(key), Some(found_key));
                }
            }
            (Value::Cell(contents), View::Cell(cell)) => {
                self.add(Some(place), Step::Contents, *contents, cell.get());
            }
            (Value::Instance { class, attrs }, View::Instance(instance)) => {
                return self.add_attributes(place, *class, attrs, instance);
            }
            _ => {}
        }
        Ok(())
    }

    /// Adds the attributes of an instance, which are set in the same order, and its class.
    fn add_attributes(
        &mut self,
        place: Place,
        class: ValueIndex,
        attrs: &'o [(String, ValueIndex)],
        instance: &Instance,
    ) -> Result<(), Difference> {
        let found = instance.attributes();
        let names: Vec<String> = found.iter().map(|(name, _)| name_text(name)).collect();
        let wanted: Vec<&str> = attrs.iter().map(|(name, _)| name.as_str()).collect();
        if names != wanted {
            let list = |names: &[&str]| format!("attributes {}", names.join(", "));
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            return Err(self.difference(place, list(&wanted), list(&names)));
        }
        for (index, (&(_, value), (_, object))) in attrs.iter().zip(found).enumerate().rev() {
            self.add(
                Some(place),
                Step::Attribute(index),
                Some(value),
                Some(object),
            );
        }
        let found = instance.class_object().clone();
        self.add(Some(place), Step::Class, Some(class), Some(found));
        Ok(())
    }

    /// Adds the members of two sets of the same size, paired by what they are: sets have no order.
    fn add_members(&mut self, place: Place, values: &[ValueIndex], object: &Ref) {
        let View::Set(set) = object.view() else {
            return;
        };
        let mut wanted: Vec<(String, ValueIndex)> = values
            .iter()
            .map(|&value| (self.value_key(value, MEMBER_DEPTH), value))
            .collect();
        let mut found: Vec<(String, Ref)> = set
            .iter()
            .map(|member| (object_key(&member, MEMBER_DEPTH), member))
            .collect();
        wanted.sort_by(|(a, _), (b, _)| a.cmp(b));
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        for (index, ((_, value), (_, member))) in wanted.into_iter().zip(found).enumerate().rev() {
            self.add(Some(place), Step::Member(index), Some(value), Some(member));
        }
    }

    /// A text that is the same for a value and the object that is it, and as far as possible for no other.
    fn value_key(&self, index: ValueIndex, depth: usize) -> String {
        let value = &self.value(index).value;
        match value {
            Value::Tuple(items) | Value::FrozenSet(items) if depth > 0 => {
                let items = items.iter().map(|&item| self.value_key(item, depth - 1));
                key_of_items(value.kind(), items, matches!(value, Value::FrozenSet(_)))
            }
            _ => describe_value(value),
        }
    }

    /// Pairs a value with an object, each with no other, and tells whether they have not been paired before.
    fn meet(
        &mut self,
        place: Place,
        index: ValueIndex,
        object: &Ref,
        origin: Option<ValueIndex>,
    ) -> Result<bool, Difference> {
        let address = object.as_ptr();
        match (self.object_of.get(&index), self.value_of.get(&address)) {
            (None, None) => {
                self.object_of.insert(index, (address, place));
                self.value_of.insert(address, (index, place));
                self.check_origin(place, origin, object)?;
                Ok(true)
            }
            (Some(&(known, _)), Some(_)) if known == address => Ok(false),
            (Some(&(_, elsewhere)), _) => {
                let expected = format!("the same object as {}", self.path(elsewhere));
                Err(self.difference(place, expected, "another object"))
            }
            (None, Some(&(_, elsewhere))) => {
                let found = format!("the same object as {}", self.path(elsewhere));
                Err(self.difference(place, "another object", found))
            }
        }
    }

    /// Fails unless the object is that of the entry, or a new one if there is no origin.
    fn check_origin(
        &self,
        place: Place,
        origin: Option<ValueIndex>,
        object: &Ref,
    ) -> Result<(), Difference> {
        let found = self.entry.get(&object.as_ptr());
        let is_origin = match origin {
            Some(origin) => self
                .objects
                .made(origin)
                .is_some_and(|entry| entry.is(object)),
            None => found.is_none(),
        };
        if is_origin {
            return Ok(());
        }
        let name = |origin: Option<ValueIndex>| match origin {
            Some(index) => format!("the object values[{index}] of the entry"),
            None => "a new object".to_owned(),
        };
        Err(self.difference(place, name(origin), name(found.copied())))
    }

    fn difference(
        &self,
        place: Place,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Difference {
        Difference {
            path: self.path(place),
            expected: expected.into(),
            found: found.into(),
        }
    }

    fn path(&self, place: Place) -> String {
        let mut steps = Vec::new();
        let mut next = Some(place);
        while let Some((from, step)) = next.map(|place| self.places[place]) {
            steps.push(step);
            next = from;
        }
        steps
            .into_iter()
            .rev()
            .map(|step| self.step(step))
            .collect()
    }

    fn step(&self, step: Step) -> String {
        match step {
            Step::Local(index) => {
                let body = self.document.codes[self.document.expected.code]
                    .body
                    .as_ref();
                let name = body.and_then(|body| body.varnames.get(index));
                format!("local {index} ({})", name.map_or("?", String::as_str))
            }
            Step::Stack(index) => format!("stack[{index}]"),
            Step::Item(index) => format!("[{index}]"),
            Step::Key(index) => format!(".key[{index}]"),
            Step::Member(index) => format!(".member[{index}]"),
            Step::Attribute(index) => format!(".attribute[{index}]"),
            Step::Contents => ".contents".to_owned(),
            Step::Class => ".type".to_owned(),
            Step::Callable => ".func".to_owned(),
            Step::Receiver => ".self".to_owned(),
            Step::Sequence => ".seq".to_owned(),
        }
    }
}

/// Whether an object is of the expected type and value, apart from what it contains and from its identity.
fn is_same_itself(value: &Value, object: &Ref) -> bool {
    match (value, object.view()) {
        (Value::None, View::None) => true,
        (Value::Bool(expected), View::Bool(found)) => *expected == found,
        (Value::Int(expected), View::Int(found)) => IntView::of(expected).compare(found).is_eq(),
        (Value::Float(expected), View::Float(found)) => is_same_float(*expected, found),
        (Value::Str(expected), View::Str(found)) => {
            surrogates::code_points(expected).eq(found.code_points())
        }
        (Value::List(expected), View::List(found)) => expected.len() == found.len(),
        (Value::Tuple(expected), View::Tuple(found)) => expected.len() == found.items().len(),
        (Value::Set(expected), View::Set(found)) => {
            !found.is_frozen() && expected.len() == found.len()
        }
        (Value::FrozenSet(expected), View::Set(found)) => {
            found.is_frozen() && expected.len() == found.len()
        }
        (Value::Bytes(expected), View::Bytes(found)) => expected == found.data(),
        (Value::Dict(expected), View::Dict(found)) => expected.len() == found.len(),
        (Value::Range { start, stop, step }, View::Range(found)) => [start, stop, step]
            .map(IntView::of)
            .iter()
            .zip([found.start(), found.stop(), found.step()])
            .all(|(expected, found)| expected.compare(found).is_eq()),
        (Value::RangeIterator { start, step, len }, View::RangeIterator(found)) => {
            (*start, *step, *len) == (found.next_value(), found.step(), found.remaining())
        }
        (Value::ListIterator(SequenceIterator { index, .. }), View::ListIterator(found))
        | (Value::TupleIterator(SequenceIterator { index, .. }), View::TupleIterator(found)) => {
            *index == found.index()
        }
        (Value::StrAsciiIterator(SequenceIterator { index, .. }), View::StrIterator(found)) => {
            *index == found.index() && object.type_id() == TypeId::AsciiStrIterator
        }
        (Value::Function { code, .. }, View::Function(found)) => {
            *code == found.code().number() as usize
        }
        (Value::Cell(_), View::Cell(_))
        | (Value::Method { .. }, View::Method(_))
        | (Value::Instance { .. }, View::Instance(_)) => true,
        (Value::Type { user: Some(_), .. }, View::Type(found)) => found.class().is_some(),
        (Value::Module { name }, View::Module(found)) => name == found.name(),
        // There is one object of each.
        (Value::Type { name, user: None }, View::Type(found)) => {
            found.class().is_none() && name == found.id().name()
        }
        (Value::Builtin { name } | Value::ModuleFunction { name }, View::Builtin(found)) => {
            *name == found.qualified_name()
        }
        (Value::MethodDescriptor { name }, View::MethodDescriptor(found)) => {
            *name == found.qualified_name()
        }
        _ => false,
    }
}

/// As [`Comparison::value_key`].
fn object_key(object: &Ref, depth: usize) -> String {
    match object.view() {
        View::Tuple(tuple) if depth > 0 => {
            let items = tuple.items().iter().map(|item| object_key(item, depth - 1));
            key_of_items("tuple", items, false)
        }
        View::Set(set) if depth > 0 => {
            let items = set.iter().map(|item| object_key(&item, depth - 1));
            key_of_items("frozenset", items, true)
        }
        _ => describe_object(object),
    }
}

fn key_of_items(kind: &str, items: impl Iterator<Item = String>, is_set: bool) -> String {
    let mut items: Vec<String> = items.collect();
    if is_set {
        items.sort();
    }
    format!("{kind} of {}", items.join(", "))
}

/// Bit for bit, except that a recorded NaN has neither sign nor payload.
fn is_same_float(expected: f64, found: f64) -> bool {
    expected.to_bits() == found.to_bits() || expected.is_nan() && found.is_nan()
}

fn sequence_of(iterator: &Ref) -> Option<Ref> {
    match iterator.view() {
        View::ListIterator(iterator)
        | View::TupleIterator(iterator)
        | View::StrIterator(iterator) => iterator.sequence(),
        _ => None,
    }
}

/// A value, as far as it can be told from another of its kind in a line.
fn describe_value(value: &Value) -> String {
    let kind = value.kind();
    match value {
        Value::None => "None".to_owned(),
        Value::Bool(value) => describe_bool(*value).to_owned(),
        Value::Int(value) => format!("int {}", int_text(value)),
        Value::Float(value) => describe_float(*value),
        Value::Str(text) => {
            let text = surrogates::shown(surrogates::code_points(text));
            format!("str {}", excerpt(&text))
        }
        Value::List(items) | Value::Tuple(items) | Value::Set(items) | Value::FrozenSet(items) => {
            format!("{kind} of {}", items.len())
        }
        Value::Dict(items) => format!("{kind} of {}", items.len()),
        Value::Range { start, stop, step } => describe_range([start, stop, step].map(int_text)),
        Value::RangeIterator { start, step, len } => describe_range_iterator(*start, *step, *len),
        Value::ListIterator(iterator)
        | Value::TupleIterator(iterator)
        | Value::StrAsciiIterator(iterator) => {
            format!("{kind} at index {}", iterator.index)
        }
        Value::Function { name, .. } | Value::Type { name, .. } | Value::Builtin { name } => {
            format!("{kind} {name}")
        }
        _ => kind.to_owned(),
    }
}

/// An object, in the words of [`describe_value`].
fn describe_object(object: &Ref) -> String {
    let kind = object.type_name();
    match object.view() {
        View::None => "None".to_owned(),
        View::Bool(value) => describe_bool(value).to_owned(),
        View::Int(value) => format!("int {}", int_text(&value.to_big())),
        View::Float(value) => describe_float(value),
        View::Str(text) => {
            let text = surrogates::shown(text.code_points());
            format!("str {}", excerpt(&text))
        }
        View::List(list) => format!("{kind} of {}", list.len()),
        View::Tuple(tuple) => format!("{kind} of {}", tuple.items().len()),
        View::Set(set) => format!("{kind} of {}", set.len()),
        View::Dict(dict) => format!("{kind} of {}", dict.len()),
        View::Range(range) => {
            let bounds = [range.start(), range.stop(), range.step()];
            describe_range(bounds.map(|bound| int_text(&bound.to_big())))
        }
        View::RangeIterator(iterator) => {
            describe_range_iterator(iterator.next_value(), iterator.step(), iterator.remaining())
        }
        View::ListIterator(iterator)
        | View::TupleIterator(iterator)
        | View::StrIterator(iterator) => {
            format!("{kind} at index {}", iterator.index())
        }
        View::Function(function) => format!("function {}", function.qualified_name()),
        View::Builtin(builtin) => format!("builtin {}", builtin.qualified_name()),
        View::Type(class) => format!("type {}", class.id().name()),
        _ => kind.to_owned(),
    }
}

fn describe_bool(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}

/// Writing an int in decimal takes quadratic time: a long one is told by its length.
fn int_text(value: &BigInt) -> String {
    const LONG: u64 = 256;
    if value.bits() > LONG {
        format!("of {} bits", value.bits())
    } else {
        value.to_string()
    }
}

fn describe_range([start, stop, step]: [String; 3]) -> String {
    format!("range({start}, {stop}, {step})")
}

fn describe_float(value: f64) -> String {
    format!("float {value:?} ({:#018x})", value.to_bits())
}

fn describe_range_iterator(next: i64, step: i64, left: i64) -> String {
    format!("range_iterator at {next}, step {step}, {left} left")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorded::fixtures::{document, edited, traces};
    use serde_json::{Value as Json, json};

    /// The document with its own entry as the state that is expected.
    fn unchanged(mut document: Document) -> Document {
        let values = document.values.iter().enumerate();
        document.expected.values = values
            .map(|(index, value)| ExpectedValue {
                value: value.clone(),
                origin: Some(index),
            })
            .collect();
        document.expected.code = document.state_in.code;
        document
            .expected
            .locals
            .clone_from(&document.state_in.locals);
        document.expected.stack.clone_from(&document.state_in.stack);
        document
    }

    #[test]
    fn the_entry_is_itself() {
        for (name, text) in traces() {
            let document = unchanged(Document::parse(&text).unwrap());
            let mut objects = Objects::new(&document);
            let frame = objects.entry_frame().unwrap();
            assert_eq!(compare(&objects, (&frame).into()), Ok(()), "{name}");
        }
    }

    /// Values for the table below; 0 is the kernel's function.
    fn values() -> Json {
        json!([
            {"t": "function", "name": "kernel", "code": 0},
            {"t": "int", "v": "7"},
            {"t": "float", "v": "0x1.8p+0"},
            {"t": "list", "items": [1, 4, 1]},
            {"t": "tuple", "items": [1, 2]},
            {"t": "list", "items": [5]},
            {"t": "list_iterator", "seq": 3, "index": 1},
            {"t": "str", "v": "text"},
            {"t": "range", "start": "0", "stop": "9", "step": "1"},
            {"t": "none"},
            {"t": "bool", "v": true},
            {"t": "type", "name": "range"},
            {"t": "builtin", "name": "len"},
            {"t": "float", "v": "nan"},
            {"t": "int", "v": "1267650600228229401496703205376"},
            {"t": "list", "items": []},
            {"t": "range_iterator", "start": "5", "step": "1", "len": "2"},
            {"t": "str_ascii_iterator", "seq": 7, "index": 2},
            {"t": "tuple_iterator", "seq": null, "index": 2}
        ])
    }

    /// What differs between a frame with these locals and one of which this is expected. Both have 19 values at first,
    /// the same ones.
    fn difference(
        locals: [Json; 3],
        expected: [Json; 3],
        edits: &[(&str, Json)],
    ) -> Option<String> {
        let mut wanted = values();
        for (index, value) in wanted.as_array_mut().unwrap().iter_mut().enumerate() {
            value["in"] = json!(index);
        }
        let mut changes = vec![
            ("/values", Some(values())),
            ("/state_in/locals", Some(Json::from(locals.to_vec()))),
            ("/state_in/stack", Some(json!([]))),
            ("/expected/values", Some(wanted)),
            ("/expected/locals", Some(Json::from(expected.to_vec()))),
            ("/expected/stack", Some(json!([]))),
        ];
        changes.extend(edits.iter().map(|(pointer, value)| {
            (
                *pointer,
                if value == "remove" {
                    None
                } else {
                    Some(value.clone())
                },
            )
        }));
        let text = edited("sum_squares", &changes);
        let document = Document::parse(&text).unwrap_or_else(|error| panic!("{edits:?}: {error}"));
        let mut objects = Objects::new(&document);
        let frame = objects.entry_frame().unwrap();
        compare(&objects, (&frame).into())
            .err()
            .map(|difference| difference.to_string())
    }

    #[test]
    fn equal_frames() {
        let [no, a, b] = [json!(null), json!(3), json!(4)];
        assert_eq!(
            difference([a.clone(), b.clone(), no.clone()], [a.clone(), b, no], &[]),
            None
        );
        // A list in itself, iterators over one list, a sequence that was dropped.
        assert_eq!(
            difference(
                [json!(5), json!(6), json!(18)],
                [json!(5), json!(6), json!(18)],
                &[]
            ),
            None
        );
        assert_eq!(
            difference(
                [json!(13), json!(14), json!(16)],
                [json!(13), json!(14), json!(16)],
                &[]
            ),
            None
        );
        assert_eq!(
            difference(
                [json!(11), json!(12), json!(17)],
                [json!(11), json!(12), json!(17)],
                &[]
            ),
            None
        );
        // Only the value of ints, floats, strings, ranges and tuples counts.
        for (index, value) in [
            (1, json!({"t": "int", "v": "7"})),
            (2, json!({"t": "float", "v": "0x1.8p+0"})),
            (4, json!({"t": "tuple", "items": [1, 2]})),
            (7, json!({"t": "str", "v": "text"})),
            (
                8,
                json!({"t": "range", "start": "0", "stop": "9", "step": "1"}),
            ),
        ] {
            let pointer = format!("/expected/values/{index}");
            let place = json!(index);
            let locals = [place.clone(), json!(3), place.clone()];
            assert_eq!(
                difference(locals.clone(), locals, &[(&pointer, value)]),
                None
            );
        }
        // Two tuples that are equal may be one, and one may be two.
        let twice = [("/expected/values/-", json!({"t": "tuple", "items": [1, 2]}))];
        assert_eq!(
            difference(
                [json!(4), json!(4), json!(4)],
                [json!(4), json!(19), json!(4)],
                &twice
            ),
            None
        );
    }

    #[test]
    fn differences() {
        let list = || json!(3);
        for (locals, expected, edits, found) in [
            (
                [json!(null), list(), list()],
                [json!(1), list(), list()],
                vec![],
                "local 0 (n): expected int 7, found NULL",
            ),
            (
                [json!(1), list(), list()],
                [json!(null), list(), list()],
                vec![],
                "local 0 (n): expected NULL, found int 7",
            ),
            (
                [json!(1), list(), list()],
                [json!(2), list(), list()],
                vec![],
                "local 0 (n): expected float 1.5 (0x3ff8000000000000), found int 7",
            ),
            (
                [json!(10), list(), list()],
                [json!(1), list(), list()],
                vec![],
                "local 0 (n): expected int 7, found True",
            ),
            (
                [json!(9), list(), list()],
                [json!(10), list(), list()],
                vec![],
                "local 0 (n): expected True, found None",
            ),
            (
                [json!(14), list(), list()],
                [json!(1), list(), list()],
                vec![],
                "local 0 (n): expected int 7, found int 1267650600228229401496703205376",
            ),
            (
                [json!(2), list(), list()],
                [json!(2), list(), list()],
                vec![("/expected/values/2/v", json!("0x1.8000000000001p+0"))],
                "local 0 (n): expected float 1.5000000000000002 (0x3ff8000000000001), found float 1.5 (0x3ff8000000000000)",
            ),
            (
                [json!(7), list(), list()],
                [json!(7), list(), list()],
                vec![("/expected/values/7/v", json!("text!"))],
                "local 0 (n): expected str \"text!\", found str \"text\"",
            ),
            (
                [json!(8), list(), list()],
                [json!(8), list(), list()],
                vec![("/expected/values/8/stop", json!("10"))],
                "local 0 (n): expected range(0, 10, 1), found range(0, 9, 1)",
            ),
            (
                [json!(16), list(), list()],
                [json!(16), list(), list()],
                vec![("/expected/values/16/len", json!("1"))],
                "local 0 (n): expected range_iterator at 5, step 1, 1 left, found range_iterator at 5, step 1, 2 left",
            ),
            (
                [json!(11), list(), list()],
                [json!(12), list(), list()],
                vec![],
                "local 0 (n): expected builtin len, found type range",
            ),
            (
                [list(), list(), list()],
                [list(), list(), list()],
                vec![("/expected/values/3/items", json!([1, 4]))],
                "local 0 (n): expected list of 2, found list of 3",
            ),
            (
                [list(), list(), list()],
                [list(), list(), list()],
                vec![("/expected/values/3/items", json!([1, 4, 2]))],
                "local 0 (n)[2]: expected float 1.5 (0x3ff8000000000000), found int 7",
            ),
            (
                [list(), list(), list()],
                [list(), list(), list()],
                vec![("/expected/values/4/items", json!([1, 1]))],
                "local 0 (n)[1][1]: expected int 7, found float 1.5 (0x3ff8000000000000)",
            ),
            (
                [json!(6), list(), list()],
                [json!(6), list(), list()],
                vec![("/expected/values/6/index", json!(2))],
                "local 0 (n): expected list_iterator at index 2, found list_iterator at index 1",
            ),
            (
                [json!(6), list(), list()],
                [json!(6), list(), list()],
                vec![("/expected/values/6/seq", json!(null))],
                "local 0 (n).seq: expected NULL, found list of 3",
            ),
            (
                [json!(6), list(), list()],
                [json!(6), list(), list()],
                vec![("/expected/values/6/seq", json!(15))],
                "local 0 (n).seq: expected list of 0, found list of 3",
            ),
            // Identity.
            (
                [list(), list(), list()],
                [list(), list(), list()],
                vec![("/expected/values/3/in", json!("remove"))],
                "local 0 (n): expected a new object, found the object values[3] of the entry",
            ),
            (
                [json!(15), json!(1), json!(1)],
                [json!(15), json!(1), json!(1)],
                vec![
                    ("/values/-", json!({"t": "list", "items": []})),
                    ("/expected/values/15/in", json!(19)),
                ],
                "local 0 (n): expected the object values[19] of the entry, found the object values[15] of the entry",
            ),
            (
                [json!(15), json!(15), json!(1)],
                [json!(15), json!(19), json!(1)],
                vec![("/expected/values/-", json!({"t": "list", "items": []}))],
                "local 1 (total): expected another object, found the same object as local 0 (n)",
            ),
            (
                [json!(15), json!(19), json!(1)],
                [json!(15), json!(15), json!(1)],
                vec![("/values/-", json!({"t": "list", "items": []}))],
                "local 1 (total): expected the same object as local 0 (n), found another object",
            ),
            (
                [json!(0), json!(1), json!(1)],
                [json!(0), json!(1), json!(1)],
                vec![("/expected/values/0/in", json!("remove"))],
                "local 0 (n): expected a new object, found the object values[0] of the entry",
            ),
            // The second tuple is not skipped because the first is as expected.
            (
                [json!(4), json!(19), json!(1)],
                [json!(4), json!(4), json!(1)],
                vec![("/values/-", json!({"t": "tuple", "items": [1, 1]}))],
                "local 1 (total)[1]: expected float 1.5 (0x3ff8000000000000), found int 7",
            ),
            (
                [list(), list(), list()],
                [list(), list(), list()],
                vec![("/expected/stack", json!([1]))],
                "depth of the stack: expected 1, found 0",
            ),
        ] {
            assert_eq!(
                difference(locals, expected, &edits).as_deref(),
                Some(found),
                "{edits:?}"
            );
        }
    }

    #[test]
    fn places_on_the_stack_are_named() {
        let mut document = unchanged(document("pair_unpack"));
        document.expected.stack.swap(0, 1);
        let mut objects = Objects::new(&document);
        let frame = objects.entry_frame().unwrap();
        let difference = compare(&objects, (&frame).into()).unwrap_err();
        assert_eq!(difference.path, "stack[0]");
    }

    #[test]
    fn a_frame_of_other_objects_differs() {
        let document = unchanged(document("horner"));
        let mut objects = Objects::new(&document);
        objects.entry_frame().unwrap();
        let frame = Objects::new(&document).entry_frame().unwrap();
        let found = compare(&objects, (&frame).into()).unwrap_err().to_string();
        assert_eq!(
            found,
            "local 0 (coeffs): expected the object values[1] of the entry, found a new object"
        );
    }

    #[test]
    fn deep_values_are_compared_without_recursion() {
        let chain = 100_000;
        let mut deep = document("sum_squares");
        deep.values = (1..=chain)
            .map(|index| Value::Tuple(vec![index]))
            .chain([Value::None])
            .collect();
        deep.creation_order = (0..=chain).rev().collect();
        deep.state_in.locals = vec![Some(0); 3];
        deep.state_in.stack = vec![];
        deep.state_in.function = chain;
        let mut deep = unchanged(deep);
        let mut objects = Objects::new(&deep);
        let frame = objects.entry_frame().unwrap();
        assert_eq!(compare(&objects, (&frame).into()), Ok(()));
        drop(objects);
        deep.expected.values[chain].value = Value::Bool(true);
        let mut objects = Objects::new(&deep);
        let frame = objects.entry_frame().unwrap();
        let difference = compare(&objects, (&frame).into()).unwrap_err();
        assert_eq!(
            (difference.expected.as_str(), difference.found.as_str()),
            ("True", "None")
        );
        assert_eq!(difference.path.matches("[0]").count(), chain);
    }
}
