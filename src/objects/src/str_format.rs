//! `str.format`: replacement fields in braces.

use crate::error::{ErrorKind, PyError, Result};
use crate::format;
use crate::object::{Ref, View};
use crate::spec;
use crate::str::{self, Str};
use crate::subscript;

/// How fields inside the specifications of fields may be nested.
const DEPTH: u32 = 2;

/// What the fields are taken from.
enum Source<'a> {
    /// The arguments of `format`.
    Arguments(&'a [Ref]),
    /// The argument of `format_map`.
    Mapping(&'a Ref),
}

struct Formatter<'a> {
    source: Source<'a>,
    /// How many fields were numbered automatically.
    automatic: usize,
    /// Whether one was numbered by hand.
    manual: bool,
}

/// `string.format(*arguments)`
///
/// # Errors
/// `ValueError` for a string that is no format, `IndexError` for a field without its argument, and those of the fields.
pub(crate) fn format(string: &Str, arguments: &[Ref]) -> Result<Ref> {
    run(string, Source::Arguments(arguments))
}

/// `string.format_map(mapping)`
///
/// # Errors
/// As [`format()`].
pub(crate) fn format_map(string: &Str, mapping: &Ref) -> Result<Ref> {
    run(string, Source::Mapping(mapping))
}

fn run(string: &Str, source: Source<'_>) -> Result<Ref> {
    let mut formatter = Formatter {
        source,
        automatic: 0,
        manual: false,
    };
    let text: Vec<u32> = string.code_points().collect();
    formatter.expand(&text, DEPTH)
}

fn is(unit: Option<&u32>, c: char) -> bool {
    unit.is_some_and(|&unit| unit == u32::from(c))
}

fn text_of(units: &[u32]) -> Ref {
    str::from_code_points(units.iter().copied())
}

impl Formatter<'_> {
    /// The text with its fields replaced.
    fn expand(&mut self, text: &[u32], depth: u32) -> Result<Ref> {
        if depth == 0 {
            return Err(PyError::value("Max string recursion exceeded"));
        }
        let mut pieces = Vec::new();
        let mut at = 0;
        while at < text.len() {
            let plain = text[at..]
                .iter()
                .position(|&c| c == u32::from('{') || c == u32::from('}'));
            let end = plain.map_or(text.len(), |length| at + length);
            if end > at {
                pieces.push(text_of(&text[at..end]));
            }
            at = end;
            let Some(&brace) = text.get(at) else { break };
            if text.get(at + 1) == Some(&brace) {
                pieces.push(text_of(&text[at..=at]));
                at += 2;
                continue;
            }
            if brace == u32::from('}') {
                return Err(PyError::value("Single '}' encountered in format string"));
            }
            if at + 1 == text.len() {
                return Err(PyError::value("Single '{' encountered in format string"));
            }
            let length = field_length(&text[at + 1..])?;
            pieces.push(self.field(&text[at + 1..at + 1 + length], depth)?);
            at += length + 2;
        }
        str::join(&pieces)
    }

    /// The text of a field, given without its braces.
    fn field(&mut self, field: &[u32], depth: u32) -> Result<Ref> {
        let mut bracket = false;
        let name_end = field.iter().position(|&c| {
            if c == u32::from('[') {
                bracket = true;
            } else if c == u32::from(']') {
                bracket = false;
            }
            !bracket && (c == u32::from(':') || c == u32::from('!'))
        });
        let name_end = name_end.unwrap_or(field.len());
        let name = &field[..name_end];
        if name.contains(&u32::from('{')) {
            return Err(PyError::value("unexpected '{' in field name"));
        }
        let mut rest = &field[name_end..];
        let mut conversion = None;
        if is(rest.first(), '!') {
            conversion = Some(
                *rest
                    .get(1)
                    .ok_or_else(|| PyError::value("unmatched '{' in format spec"))?,
            );
            rest = &rest[2..];
            if !rest.is_empty() && !is(rest.first(), ':') {
                return Err(PyError::value("expected ':' after conversion specifier"));
            }
        }
        let mut value = self.lookup(name)?;
        if let Some(conversion) = conversion {
            value = convert(&value, conversion)?;
        }
        let specification = match rest.get(1..) {
            Some(specification) if specification.contains(&u32::from('{')) => {
                self.expand(specification, depth - 1)?
            }
            Some(specification) => text_of(specification),
            None => Ref::str(""),
        };
        match specification.view() {
            View::Str(text) => spec::format(&value, text),
            _ => format::str(&value),
        }
    }

    /// The object that a field names: an argument, of which attributes and items may be taken.
    fn lookup(&mut self, name: &[u32]) -> Result<Ref> {
        let first_end = name
            .iter()
            .position(|&c| c == u32::from('.') || c == u32::from('['));
        let (first, mut rest) = name.split_at(first_end.unwrap_or(name.len()));
        let mut value = self.argument(first)?;
        while let Some((&start, after)) = rest.split_first() {
            if start == u32::from('.') {
                let end = after
                    .iter()
                    .position(|&c| c == u32::from('.') || c == u32::from('['))
                    .unwrap_or(after.len());
                if end == 0 {
                    return Err(PyError::value("Empty attribute in format string"));
                }
                return Err(PyError::not_supported(
                    "an attribute in a replacement field",
                ));
            }
            if start != u32::from('[') {
                let message = "Only '.' or '[' may follow ']' in format field specifier";
                return Err(PyError::value(message));
            }
            let end = after.iter().position(|&c| c == u32::from(']'));
            let end = end.ok_or_else(|| PyError::value("Missing ']' in format string"))?;
            if end == 0 {
                return Err(PyError::value("Empty attribute in format string"));
            }
            let key = &after[..end];
            let key = match index_of(key)? {
                Some(index) => crate::int::from_usize(index),
                None => text_of(key),
            };
            value = subscript::get(&value, &key)?;
            rest = &after[end + 1..];
        }
        Ok(value)
    }

    fn argument(&mut self, name: &[u32]) -> Result<Ref> {
        let index = index_of(name)?;
        let index = match index {
            None if name.is_empty() => Some(self.next_automatic()?),
            Some(index) => {
                if self.automatic > 0 {
                    return Err(PyError::value(
                        "cannot switch from automatic field numbering to manual field specification",
                    ));
                }
                self.manual = true;
                Some(index)
            }
            None => None,
        };
        match (&self.source, index) {
            (Source::Arguments(arguments), Some(index)) => {
                arguments.get(index).cloned().ok_or_else(|| {
                    PyError::index(format!(
                        "Replacement index {index} out of range for positional args tuple"
                    ))
                })
            }
            (Source::Mapping(_), Some(_)) => {
                Err(PyError::value("Format string contains positional fields"))
            }
            (Source::Arguments(_), None) => {
                let key = format::repr_text(&text_of(name))?;
                Err(PyError::new(ErrorKind::KeyError, key))
            }
            (Source::Mapping(mapping), None) => subscript::get(mapping, &text_of(name)),
        }
    }

    fn next_automatic(&mut self) -> Result<usize> {
        if self.manual {
            return Err(PyError::value(
                "cannot switch from manual field specification to automatic field numbering",
            ));
        }
        self.automatic += 1;
        Ok(self.automatic - 1)
    }
}

/// How long a field is, up to the brace that closes it.
fn field_length(text: &[u32]) -> Result<usize> {
    let mut depth = 1;
    let mut bracket = false;
    for (at, &unit) in text.iter().enumerate() {
        match char::from_u32(unit) {
            Some('[') => bracket = true,
            Some(']') => bracket = false,
            Some('{') if !bracket => depth += 1,
            Some('}') if !bracket => {
                depth -= 1;
                if depth == 0 {
                    return Ok(at);
                }
            }
            _ => {}
        }
    }
    Err(PyError::value("expected '}' before end of string"))
}

/// The number that a name is.
fn index_of(name: &[u32]) -> Result<Option<usize>> {
    if name.is_empty() {
        return Ok(None);
    }
    let mut index = 0_usize;
    for &unit in name {
        let Some(digit) = char::from_u32(unit).and_then(|c| c.to_digit(10)) else {
            return Ok(None);
        };
        index = index
            .checked_mul(10)
            .and_then(|index| index.checked_add(digit as usize))
            .filter(|&index| index <= isize::MAX as usize)
            .ok_or_else(|| PyError::value("Too many decimal digits in format string"))?;
    }
    Ok(Some(index))
}

fn convert(value: &Ref, conversion: u32) -> Result<Ref> {
    match char::from_u32(conversion) {
        Some('s') => format::str(value),
        Some('r') => format::repr(value),
        Some('a') => format::ascii(value),
        Some(c) if c > ' ' && c < '\u{7f}' => {
            Err(PyError::value(format!("Unknown conversion specifier {c}")))
        }
        _ => Err(PyError::value(format!(
            "Unknown conversion specifier \\x{conversion:x}"
        ))),
    }
}
