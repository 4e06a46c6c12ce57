//! The methods of bytes.

use super::str::{encoding_arguments, split_count, tab_size};
use super::text;
use super::{MethodEntry, at_most, size_argument, span};
use crate::bytes::Bytes;
use crate::call::CallKind::{Fast, FastWithKeywords, NoArguments, One};
use crate::call::check_count;
use crate::codec;
use crate::error::{PyError, Result};
use crate::int;
use crate::iterator;
use crate::limits;
use crate::object::{Ref, View};
use crate::ops;
use std::borrow::Cow;
use std::ops::Range;

macro_rules! method {
    ($name:literal, $kind:expr, $call:expr) => {
        MethodEntry {
            name: $name,
            kind: $kind,
            call: $call,
        }
    };
}

/// A method without arguments that says whether something holds for bytes.
macro_rules! test {
    ($name:literal, $test:expr) => {
        method!($name, NoArguments, |bytes, _| {
            let test: fn(&[u8]) -> bool = $test;
            Ok(Ref::bool(test(this(bytes)?)))
        })
    };
}

/// A method without arguments that maps every byte.
macro_rules! map {
    ($name:literal, $map:expr) => {
        method!($name, NoArguments, |bytes, _| {
            Ok(Bytes::object(this(bytes)?.iter().map($map).collect()))
        })
    };
}

pub(super) const METHODS: &[MethodEntry] = &[
    method!("capitalize", NoArguments, |bytes, _| {
        let mut mapped = this(bytes)?.to_ascii_lowercase();
        if let Some(first) = mapped.first_mut() {
            first.make_ascii_uppercase();
        }
        Ok(Bytes::object(mapped))
    }),
    method!("center", Fast, |b, a| pad(
        "center",
        b,
        a,
        text::center_padding
    )),
    method!("count", Fast, count),
    method!("decode", FastWithKeywords, |bytes, arguments| {
        at_most("decode", 2, arguments)?;
        let [encoding, errors] = encoding_arguments("decode", arguments)?;
        codec::decode(this(bytes)?, &encoding, &errors)
    }),
    method!("endswith", Fast, |b, a| affix("endswith", b, a, true)),
    method!("expandtabs", FastWithKeywords, expand_tabs),
    method!("find", Fast, |b, a| find_or_minus_one("find", b, a, false)),
    method!("hex", FastWithKeywords, hex),
    method!("index", Fast, |b, a| find_or_error("index", b, a, false)),
    test!("isalnum", |b| all(b, u8::is_ascii_alphanumeric)),
    test!("isalpha", |b| all(b, u8::is_ascii_alphabetic)),
    test!("isascii", <[u8]>::is_ascii),
    test!("isdigit", |b| all(b, u8::is_ascii_digit)),
    test!("islower", |b| {
        b.iter().any(u8::is_ascii_lowercase) && !b.iter().any(u8::is_ascii_uppercase)
    }),
    test!("isspace", |b| all(b, |&byte| is_space(byte))),
    test!("istitle", is_title),
    test!("isupper", |b| {
        b.iter().any(u8::is_ascii_uppercase) && !b.iter().any(u8::is_ascii_lowercase)
    }),
    method!("join", One, |b, a| join(this(b)?, &a[0])),
    method!("ljust", Fast, |b, a| {
        pad("ljust", b, a, |length, width| {
            (0, width.saturating_sub(length))
        })
    }),
    map!("lower", u8::to_ascii_lowercase),
    method!("lstrip", Fast, |b, a| strip("lstrip", b, a, (true, false))),
    method!("partition", One, |b, a| partition(b, &a[0], false)),
    method!("removeprefix", One, |bytes, arguments| {
        let (data, prefix) = (this(bytes)?, bytes_like(&arguments[0])?);
        let found = data.starts_with(prefix);
        part(bytes, if found { prefix.len() } else { 0 }..data.len())
    }),
    method!("removesuffix", One, |bytes, arguments| {
        let (data, suffix) = (this(bytes)?, bytes_like(&arguments[0])?);
        let found = data.ends_with(suffix);
        part(bytes, 0..data.len() - if found { suffix.len() } else { 0 })
    }),
    method!("replace", Fast, replace),
    method!("rfind", Fast, |b, a| find_or_minus_one("rfind", b, a, true)),
    method!("rindex", Fast, |b, a| find_or_error("rindex", b, a, true)),
    method!("rjust", Fast, |b, a| {
        pad("rjust", b, a, |length, width| {
            (width.saturating_sub(length), 0)
        })
    }),
    method!("rpartition", One, |b, a| partition(b, &a[0], true)),
    method!("rsplit", FastWithKeywords, |b, a| split(
        "rsplit", b, a, true
    )),
    method!("rstrip", Fast, |b, a| strip("rstrip", b, a, (false, true))),
    method!("split", FastWithKeywords, |b, a| split(
        "split", b, a, false
    )),
    method!("splitlines", FastWithKeywords, |bytes, arguments| {
        at_most("splitlines", 1, arguments)?;
        let keep_ends = arguments.first().map_or(Ok(false), ops::truth)?;
        let is_break = |byte: u32| matches!(byte, 0xa | 0xd);
        parts(bytes, text::lines(this(bytes)?, is_break, keep_ends))
    }),
    method!("startswith", Fast, |b, a| affix("startswith", b, a, false)),
    method!("strip", Fast, |b, a| strip("strip", b, a, (true, true))),
    map!("swapcase", |byte| if byte.is_ascii_lowercase() {
        byte.to_ascii_uppercase()
    } else {
        byte.to_ascii_lowercase()
    }),
    method!("title", NoArguments, |bytes, _| title(this(bytes)?)),
    method!("translate", FastWithKeywords, translate),
    map!("upper", u8::to_ascii_uppercase),
    method!("zfill", One, |b, a| zero_fill(b, &a[0])),
];

pub(super) const CLASS_METHODS: &[MethodEntry] = &[
    method!("fromhex", One, |_, arguments| from_hex(&arguments[0])),
    method!("maketrans", Fast, |_, arguments| {
        check_count("maketrans", arguments, 2..=2)?;
        let (from, to) = (bytes_like(&arguments[0])?, bytes_like(&arguments[1])?);
        if from.len() != to.len() {
            return Err(PyError::value("maketrans arguments must have same length"));
        }
        let mut table: Vec<u8> = (0..=u8::MAX).collect();
        for (&from, &to) in from.iter().zip(to) {
            table[usize::from(from)] = to;
        }
        Ok(Bytes::object(table))
    }),
];

fn this(receiver: &Ref) -> Result<&[u8]> {
    match receiver.view() {
        View::Bytes(bytes) => Ok(bytes.data()),
        _ => Err(PyError::type_error("the method of bytes needs bytes")),
    }
}

fn bytes_like(object: &Ref) -> Result<&[u8]> {
    this(object).map_err(|_| {
        PyError::type_error(format!(
            "a bytes-like object is required, not '{}'",
            object.type_name()
        ))
    })
}

fn part(bytes: &Ref, range: Range<usize>) -> Result<Ref> {
    let data = this(bytes)?;
    if range.len() == data.len() {
        return Ok(bytes.clone());
    }
    Ok(Bytes::object(data[range].to_vec()))
}

fn parts(bytes: &Ref, ranges: Vec<Range<usize>>) -> Result<Ref> {
    limits::collect(ranges.into_iter().map(|range| part(bytes, range))).map(Ref::list)
}

fn all(bytes: &[u8], test: impl Fn(&u8) -> bool) -> bool {
    !bytes.is_empty() && bytes.iter().all(test)
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

fn is_title(bytes: &[u8]) -> bool {
    let (mut is_in_word, mut has_word) = (false, false);
    for byte in bytes {
        if byte.is_ascii_uppercase() && is_in_word || byte.is_ascii_lowercase() && !is_in_word {
            return false;
        }
        is_in_word = byte.is_ascii_alphabetic();
        has_word |= is_in_word;
    }
    has_word
}

fn title(bytes: &[u8]) -> Result<Ref> {
    let mut is_in_word = false;
    let map = |byte: &u8| {
        let mapped = if is_in_word {
            byte.to_ascii_lowercase()
        } else {
            byte.to_ascii_uppercase()
        };
        is_in_word = byte.is_ascii_alphabetic();
        mapped
    };
    Ok(Bytes::object(bytes.iter().map(map).collect()))
}

/// What is looked for: bytes, or the byte that an int is.
fn needle(object: &Ref) -> Result<Cow<'_, [u8]>> {
    match (object.view(), object.as_int()) {
        (View::Bytes(bytes), _) => Ok(Cow::Borrowed(bytes.data())),
        (_, Some(value)) => match u8::try_from(value.saturate()) {
            Ok(byte) => Ok(Cow::Owned(vec![byte])),
            Err(_) => Err(PyError::value("byte must be in range(0, 256)")),
        },
        _ => Err(PyError::type_error(format!(
            "argument should be integer or bytes-like object, not '{}'",
            object.type_name()
        ))),
    }
}

fn search(name: &str, bytes: &Ref, arguments: &[Ref], last: bool) -> Result<Option<usize>> {
    check_count(name, arguments, 1..=3)?;
    let data = this(bytes)?;
    let bounds = span(data.len(), &arguments[1..])?;
    let part = needle(&arguments[0])?;
    let Some((start, end)) = bounds else {
        return Ok(None);
    };
    let found = if last {
        text::find_last(&data[start..end], &part)
    } else {
        text::find(&data[start..end], &part)
    };
    Ok(found.map(|at| start + at))
}

fn find_or_minus_one(name: &str, bytes: &Ref, arguments: &[Ref], last: bool) -> Result<Ref> {
    let found = search(name, bytes, arguments, last)?;
    Ok(found.map_or_else(|| Ref::int(-1), int::from_usize))
}

fn find_or_error(name: &str, bytes: &Ref, arguments: &[Ref], last: bool) -> Result<Ref> {
    let found = search(name, bytes, arguments, last)?;
    found
        .map(int::from_usize)
        .ok_or_else(|| PyError::value("subsection not found"))
}

fn count(bytes: &Ref, arguments: &[Ref]) -> Result<Ref> {
    check_count("count", arguments, 1..=3)?;
    let data = this(bytes)?;
    let bounds = span(data.len(), &arguments[1..])?;
    let part = needle(&arguments[0])?;
    let count = bounds.map_or(0, |(start, end)| text::count(&data[start..end], &part));
    Ok(int::from_usize(count))
}

fn affix(name: &str, bytes: &Ref, arguments: &[Ref], at_end: bool) -> Result<Ref> {
    check_count(name, arguments, 1..=3)?;
    let data = this(bytes)?;
    let bounds = span(data.len(), &arguments[1..])?;
    let holds_for = |affix: &[u8]| match bounds {
        None => false,
        Some((start, end)) if at_end => data[start..end].ends_with(affix),
        Some((start, end)) => data[start..end].starts_with(affix),
    };
    match arguments[0].view() {
        View::Bytes(affix) => Ok(Ref::bool(holds_for(affix.data()))),
        View::Tuple(affixes) => {
            for affix in affixes.items() {
                if holds_for(bytes_like(affix)?) {
                    return Ok(Ref::bool(true));
                }
            }
            Ok(Ref::bool(false))
        }
        _ => Err(PyError::type_error(format!(
            "{name} first arg must be bytes or a tuple of bytes, not {}",
            arguments[0].type_name()
        ))),
    }
}

fn expand_tabs(bytes: &Ref, arguments: &[Ref]) -> Result<Ref> {
    at_most("expandtabs", 1, arguments)?;
    let (size, data) = (tab_size(arguments)?, this(bytes)?);
    if limits::check_items(text::expanded_length(data, size)).is_err() {
        return Err(PyError::overflow("result too long"));
    }
    Ok(Bytes::object(text::expand_tabs(data, size)))
}

fn hex(bytes: &Ref, arguments: &[Ref]) -> Result<Ref> {
    at_most("hex", 2, arguments)?;
    let data = this(bytes)?;
    let digits = |part: &[u8]| part.iter().map(|byte| format!("{byte:02x}")).collect();
    let Some(separator) = arguments.first() else {
        let digits: String = digits(data);
        return Ok(Ref::str(&digits));
    };
    let size = arguments.get(1).map_or(Ok(1), size_argument)?;
    let separator = match separator.view() {
        View::Str(text) => match text.as_code_point() {
            Some(code_point) if code_point < 0x80 => char::from(code_point as u8),
            Some(_) => return Err(PyError::value("sep must be ASCII.")),
            None => return Err(PyError::value("sep must be length 1.")),
        },
        View::Bytes(bytes) => match bytes.data() {
            [byte] if byte.is_ascii() => char::from(*byte),
            [_] => return Err(PyError::value("sep must be ASCII.")),
            _ => return Err(PyError::value("sep must be length 1.")),
        },
        _ => {
            let length = iterator::length(separator)?;
            let is_single = length.as_int().and_then(int::IntView::to_i64) == Some(1);
            return Err(if is_single {
                PyError::type_error("sep must be str or bytes.")
            } else {
                PyError::value("sep must be length 1.")
            });
        }
    };
    let group = usize::try_from(size.unsigned_abs()).unwrap_or(usize::MAX);
    if group == 0 || data.is_empty() {
        let digits: String = digits(data);
        return Ok(Ref::str(&digits));
    }
    // Groups are counted from the end where their size is positive.
    let first = if size > 0 { data.len() % group } else { 0 };
    let (head, tail) = data.split_at(first);
    let head = (!head.is_empty()).then_some(head);
    let groups: Vec<String> = head
        .into_iter()
        .chain(tail.chunks(group))
        .map(digits)
        .collect();
    Ok(Ref::str(&groups.join(&separator.to_string())))
}

fn from_hex(text: &Ref) -> Result<Ref> {
    let View::Str(text) = text.view() else {
        return Err(PyError::type_error(format!(
            "fromhex() argument must be str, not {}",
            super::argument_type(text)
        )));
    };
    let invalid = |at: usize| {
        PyError::value(format!(
            "non-hexadecimal number found in fromhex() arg at position {at}"
        ))
    };
    let units: Vec<u32> = text.code_points().collect();
    let digit = |at: usize| -> Result<u8> {
        let c = units.get(at).copied().and_then(char::from_u32);
        let digit = c.and_then(|c| c.to_digit(16));
        // A digit is below 16.
        digit.map(|digit| digit as u8).ok_or_else(|| invalid(at))
    };
    let mut bytes = Vec::new();
    let mut at = 0;
    while at < units.len() {
        if u8::try_from(units[at]).is_ok_and(is_space) {
            at += 1;
            continue;
        }
        bytes.push(digit(at)? << 4 | digit(at + 1)?);
        at += 2;
    }
    Ok(Bytes::object(bytes))
}

fn join(separator: &[u8], items: &Ref) -> Result<Ref> {
    let not_iterable = || PyError::type_error("can only join an iterable");
    iterator::iterate(items).map_err(|error| error.instead(not_iterable))?;
    let items = iterator::collect(items)?;
    if let [item] = items.as_slice()
        && let View::Bytes(_) = item.view()
    {
        return Ok(item.clone());
    }
    let mut joined = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let Ok(data) = this(item) else {
            return Err(PyError::type_error(format!(
                "sequence item {index}: expected a bytes-like object, {} found",
                item.type_name()
            )));
        };
        if index > 0 {
            joined.extend_from_slice(separator);
        }
        joined.extend_from_slice(data);
        limits::check_items(joined.len())?;
    }
    Ok(Bytes::object(joined))
}

fn pad(
    name: &str,
    bytes: &Ref,
    arguments: &[Ref],
    sides: fn(usize, usize) -> (usize, usize),
) -> Result<Ref> {
    check_count(name, arguments, 1..=2)?;
    let width = size_argument(&arguments[0])?;
    let fill = match arguments.get(1) {
        None => b' ',
        Some(fill) => match this(fill) {
            Ok([fill]) => *fill,
            _ => {
                return Err(PyError::type_error(format!(
                    "{name}() argument 2 must be a byte string of length 1, not {}",
                    super::argument_type(fill)
                )));
            }
        },
    };
    let data = this(bytes)?;
    let width = usize::try_from(width).unwrap_or(0);
    let (left, right) = sides(data.len(), width);
    if left + right == 0 {
        return Ok(bytes.clone());
    }
    limits::check_items(width)?;
    let fill = |count| std::iter::repeat_n(fill, count);
    let padded = fill(left).chain(data.iter().copied()).chain(fill(right));
    Ok(Bytes::object(padded.collect()))
}

fn zero_fill(bytes: &Ref, width: &Ref) -> Result<Ref> {
    let width = usize::try_from(size_argument(width)?).unwrap_or(0);
    let data = this(bytes)?;
    let fill = width.saturating_sub(data.len());
    if fill == 0 {
        return Ok(bytes.clone());
    }
    limits::check_items(width)?;
    let at = usize::from(matches!(data.first(), Some(b'+' | b'-')));
    let mut filled = data.to_vec();
    filled.splice(at..at, std::iter::repeat_n(b'0', fill));
    Ok(Bytes::object(filled))
}

fn strip(name: &str, bytes: &Ref, arguments: &[Ref], (left, right): (bool, bool)) -> Result<Ref> {
    check_count(name, arguments, 0..=1)?;
    let data = this(bytes)?;
    let kept = match arguments
        .first()
        .filter(|a| !matches!(a.view(), View::None))
    {
        None => text::strip(data, is_space, left, right),
        Some(stripped) => {
            let stripped = bytes_like(stripped)?;
            text::strip(data, |byte| stripped.contains(&byte), left, right)
        }
    };
    part(bytes, kept)
}

fn partition(bytes: &Ref, separator: &Ref, last: bool) -> Result<Ref> {
    let (data, found) = (this(bytes)?, bytes_like(separator)?);
    if found.is_empty() {
        return Err(PyError::value("empty separator"));
    }
    let at = if last {
        text::find_last(data, found)
    } else {
        text::find(data, found)
    };
    let empty = || Bytes::object(Vec::new());
    Ok(Ref::tuple(match at {
        Some(at) => vec![
            part(bytes, 0..at)?,
            separator.clone(),
            part(bytes, at + found.len()..data.len())?,
        ],
        None if last => vec![empty(), empty(), bytes.clone()],
        None => vec![bytes.clone(), empty(), empty()],
    }))
}

fn replace(bytes: &Ref, arguments: &[Ref]) -> Result<Ref> {
    check_count("replace", arguments, 2..=3)?;
    let (old, new) = (bytes_like(&arguments[0])?, bytes_like(&arguments[1])?);
    let most = split_count(arguments.get(2))?;
    let data = this(bytes)?;
    let times = text::count(data, old).min(most);
    if times == 0 {
        return Ok(bytes.clone());
    }
    let removed = times.saturating_mul(old.len());
    limits::check_items((data.len() - removed).saturating_add(times.saturating_mul(new.len())))?;
    Ok(Bytes::object(text::replace(data, old, new, most)))
}

fn split(name: &str, bytes: &Ref, arguments: &[Ref], from_end: bool) -> Result<Ref> {
    at_most(name, 2, arguments)?;
    let most = split_count(arguments.get(1))?;
    let data = this(bytes)?;
    let separator = arguments
        .first()
        .filter(|a| !matches!(a.view(), View::None));
    let pieces = match separator {
        None if from_end => text::split_spaces_last(data, is_space, most),
        None => text::split_spaces(data, is_space, most),
        Some(separator) => {
            let separator = bytes_like(separator)?;
            if separator.is_empty() {
                return Err(PyError::value("empty separator"));
            }
            if from_end {
                text::split_last(data, separator, most)
            } else {
                text::split(data, separator, most)
            }
        }
    };
    parts(bytes, pieces)
}

fn translate(bytes: &Ref, arguments: &[Ref]) -> Result<Ref> {
    at_most("translate", 2, arguments)?;
    let Some(table) = arguments.first() else {
        return Err(PyError::type_error(
            "translate() takes at least 1 positional argument (0 given)",
        ));
    };
    let table = match table.view() {
        View::None => None,
        _ => Some(bytes_like(table)?),
    };
    if table.is_some_and(|table| table.len() != 256) {
        return Err(PyError::value(
            "translation table must be 256 characters long",
        ));
    }
    let deleted = arguments.get(1).map_or(Ok(&[][..]), bytes_like)?;
    let kept = this(bytes)?.iter().filter(|byte| !deleted.contains(byte));
    let map = |&byte: &u8| table.map_or(byte, |table| table[usize::from(byte)]);
    Ok(Bytes::object(kept.map(map).collect()))
}
