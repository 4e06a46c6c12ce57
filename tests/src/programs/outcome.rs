//! What is compared: the locals at the end of a program, and the exception that ended it.

use mimeo_objects::int::IntView;
use mimeo_objects::object::{Ref, View};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::{self, Write as _};

/// An exception.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raised {
    /// The name of its class.
    pub class: String,
    /// Its text.
    pub message: String,
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The locals in the form that `runner.py` writes; `None` where unbound.
    pub locals: Vec<Option<String>>,
    /// The exception, if there was one.
    pub raised: Option<Raised>,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for local in &self.locals {
            write!(f, "{} ", local.as_deref().unwrap_or("unbound"))?;
        }
        match &self.raised {
            Some(raised) => write!(f, "{}: {}", raised.class, raised.message),
            None => f.write_str("no exception"),
        }
    }
}

/// The class of an exception, and its text.
type Text = (&'static str, &'static str);

/// Texts that 3.13 has changed: the exception as older versions raise it, and as 3.13 does. The last version that has
/// the old one comes first.
const CHANGED: [(u64, Text, Text); 7] = [
    (
        12,
        ("TypeError", "can only assign an iterable"),
        ("TypeError", "must assign iterable to extended slice"),
    ),
    (
        12,
        ("ZeroDivisionError", "float modulo"),
        ("ZeroDivisionError", "float modulo by zero"),
    ),
    (
        11,
        ("ValueError", "min() arg is an empty sequence"),
        ("ValueError", "min() iterable argument is empty"),
    ),
    (
        11,
        ("ValueError", "max() arg is an empty sequence"),
        ("ValueError", "max() iterable argument is empty"),
    ),
    (
        12,
        ("OverflowError", "Python int too large to convert to C int"),
        ("ValueError", "chr() arg not in range(0x110000)"),
    ),
    (
        12,
        ("OverflowError", "signed integer is less than minimum"),
        ("ValueError", "chr() arg not in range(0x110000)"),
    ),
    (
        12,
        ("OverflowError", "signed integer is greater than maximum"),
        ("ValueError", "chr() arg not in range(0x110000)"),
    ),
];

/// Whether what was found is what Python of this version, or Python 3.13 in its place, should end with.
pub fn agrees(expected: &Outcome, found: &Outcome, version: (u64, u64)) -> bool {
    if expected.locals != found.locals {
        return false;
    }
    let (Some(wanted), Some(raised)) = (&expected.raised, &found.raised) else {
        return expected.raised == found.raised;
    };
    wanted == raised
        || (version < (3, 13) && is_about_order(wanted) && is_about_order(raised))
        || CHANGED.iter().any(|&(last, old, new)| {
            version <= (3, last)
                && (wanted.class.as_str(), wanted.message.as_str()) == old
                && (raised.class.as_str(), raised.message.as_str()) == new
        })
}

/// Whether an exception says that values have no order: which ones `sorted` compares first changed in 3.13.
fn is_about_order(raised: &Raised) -> bool {
    raised.class == "TypeError" && raised.message.starts_with("'<' not supported between")
}

/// The locals, as `runner.py` writes them.
pub fn describe(locals: &[Option<Ref>]) -> Vec<Option<String>> {
    let mut writer = Writer::default();
    let texts = locals.iter();
    texts
        .map(|local| local.as_ref().map(|local| writer.value(local)))
        .collect()
}

/// Writes values with their types; lists, dicts and sets know whether they are the same one.
#[derive(Default)]
struct Writer {
    seen: HashMap<usize, usize>,
}

impl Writer {
    fn value(&mut self, object: &Ref) -> String {
        match object.view() {
            View::None => "None".to_owned(),
            View::Bool(true) => "True".to_owned(),
            View::Bool(false) => "False".to_owned(),
            View::Int(value) => integer(value),
            View::Float(value) if value.is_nan() => "nan".to_owned(),
            View::Float(value) => format!("f{:016x}", value.to_bits()),
            View::Str(value) => {
                let mut text = "s".to_owned();
                for (index, point) in value.code_points().enumerate() {
                    let space = if index == 0 { "" } else { " " };
                    let _ = write!(text, "{space}{point:x}");
                }
                text
            }
            View::Tuple(tuple) => format!("({})", self.all(tuple.items())),
            View::Range(range) => {
                let parts = [range.start(), range.stop(), range.step()];
                format!("range({})", parts.map(integer).join(","))
            }
            View::Type(of) => format!("type {}", of.id().name()),
            View::List(list) => match self.number(object) {
                Ok(number) => format!("#{number}[{}]", self.all(&list.to_vec())),
                Err(seen) => seen,
            },
            View::Dict(dict) => match self.number(object) {
                Ok(number) => {
                    let pair =
                        |(key, value)| format!("{}:{}", self.value(&key), self.value(&value));
                    let pairs: Vec<String> = dict.iter().map(pair).collect();
                    format!("#{number}{{{}}}", pairs.join(","))
                }
                Err(seen) => seen,
            },
            View::Set(set) if !set.is_frozen() => match self.number(object) {
                Ok(number) => {
                    let mut items: Vec<String> = set.iter().map(|item| self.value(&item)).collect();
                    items.sort();
                    format!("#{number}{{{}}}", items.join(","))
                }
                Err(seen) => seen,
            },
            _ => format!("a {}", object.type_name()),
        }
    }

    /// A number for what can change, or how it is written the second time.
    fn number(&mut self, object: &Ref) -> Result<usize, String> {
        let next = self.seen.len();
        match self.seen.entry(object.as_ptr().addr()) {
            Entry::Occupied(seen) => Err(format!("#{}", seen.get())),
            Entry::Vacant(new) => Ok(*new.insert(next)),
        }
    }

    fn all(&mut self, items: &[Ref]) -> String {
        let texts: Vec<String> = items.iter().map(|item| self.value(item)).collect();
        texts.join(",")
    }
}

fn integer(value: IntView<'_>) -> String {
    format!("i{}", value.to_big().to_str_radix(16))
}
