//! The methods of strings.

use super::text;
use super::unicode;
use super::{MethodEntry, at_most, size_argument, span, wrong_argument};
use crate::bytes::Bytes;
use crate::call::CallKind::{Fast, FastWithKeywords, NoArguments, One, Variadic};
use crate::call::{check_count, wrong_index};
use crate::codec;
use crate::error::{PyError, Result};
use crate::iterator;
use crate::limits;
use crate::object::{Ref, View};
use crate::ops;
use crate::str::{self, Str, Units};
use crate::str_format;
use crate::subscript;
use crate::{error::ErrorKind, int};
use std::borrow::Cow;
use std::cell::Cell;
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

/// A method without arguments that says whether something holds for a string.
macro_rules! test {
    ($name:literal, $test:expr) => {
        method!($name, NoArguments, |string, _| {
            let test: fn(&Str) -> bool = $test;
            Ok(Ref::bool(test(this(string)?)))
        })
    };
}

pub(crate) const METHODS: &[MethodEntry] = &[
    method!("capitalize", NoArguments, |s, _| capitalize(this(s)?)),
    method!("casefold", NoArguments, |s, _| {
        map_characters(this(s)?, unicode::fold)
    }),
    method!("center", Fast, |s, a| pad(
        "center",
        s,
        a,
        text::center_padding
    )),
    method!("count", Fast, count),
    method!("encode", FastWithKeywords, encode),
    method!("endswith", Fast, |s, a| affix("endswith", s, a, true)),
    method!("expandtabs", FastWithKeywords, expand_tabs),
    method!("find", Fast, |s, a| find_or_minus_one("find", s, a, false)),
    method!("format", Variadic, |s, a| str_format::format(this(s)?, a)),
    method!("format_map", One, |s, a| str_format::format_map(
        this(s)?,
        &a[0]
    )),
    method!("index", Fast, |s, a| find_or_error("index", s, a, false)),
    test!("isalnum", |s| all_characters(s, unicode::is_alphanumeric)),
    test!("isalpha", |s| all_characters(s, unicode::is_alphabetic)),
    test!("isascii", Str::is_ascii),
    test!("isdecimal", |s| all_characters(s, unicode::is_decimal)),
    test!("isdigit", |s| all_characters(s, unicode::is_digit)),
    test!("isidentifier", |s| unicode::is_identifier(s.code_points())),
    test!("islower", is_lower),
    test!("isnumeric", |s| all_characters(s, unicode::is_numeric)),
    test!("isprintable", |s| s
        .code_points()
        .all(crate::format::is_printable_code)),
    test!("isspace", |s| !s.is_empty()
        && s.code_points().all(unicode::is_space)),
    test!("istitle", is_title),
    test!("isupper", is_upper),
    method!("join", One, |s, a| join(s, &a[0])),
    method!("ljust", Fast, |s, a| {
        pad("ljust", s, a, |length, width| {
            (0, width.saturating_sub(length))
        })
    }),
    method!("lower", NoArguments, |s, _| map_text(this(s)?, |t| t
        .to_lowercase())),
    method!("lstrip", Fast, |s, a| strip("lstrip", s, a, (true, false))),
    method!("partition", One, |s, a| partition(s, &a[0])),
    method!("removeprefix", One, |s, a| remove_prefix(s, &a[0])),
    method!("removesuffix", One, |s, a| remove_suffix(s, &a[0])),
    method!("replace", FastWithKeywords, replace),
    method!("rfind", Fast, |s, a| find_or_minus_one("rfind", s, a, true)),
    method!("rindex", Fast, |s, a| find_or_error("rindex", s, a, true)),
    method!("rjust", Fast, |s, a| {
        pad("rjust", s, a, |length, width| {
            (width.saturating_sub(length), 0)
        })
    }),
    method!("rpartition", One, |s, a| partition_last(s, &a[0])),
    method!("rsplit", FastWithKeywords, |s, a| split(
        "rsplit", s, a, true
    )),
    method!("rstrip", Fast, |s, a| strip("rstrip", s, a, (false, true))),
    method!("split", FastWithKeywords, |s, a| split(
        "split", s, a, false
    )),
    method!("splitlines", FastWithKeywords, split_lines),
    method!("startswith", Fast, |s, a| affix("startswith", s, a, false)),
    method!("strip", Fast, |s, a| strip("strip", s, a, (true, true))),
    method!("swapcase", NoArguments, |s, _| swap_case(this(s)?)),
    method!("title", NoArguments, |s, _| title(this(s)?)),
    method!("translate", One, |s, a| translate(this(s)?, &a[0])),
    method!("upper", NoArguments, |s, _| map_text(this(s)?, |t| t
        .to_uppercase())),
    method!("zfill", One, |s, a| zero_fill(s, &a[0])),
];

pub(crate) const CLASS_METHODS: &[MethodEntry] =
    &[method!("maketrans", Fast, |_, arguments| make_table(
        arguments
    ))];

/// Does the same with the units of two strings, which it makes of one width.
macro_rules! with_units {
    ($a:expr, $b:expr, |$x:ident, $y:ident| $body:expr) => {
        match ($a.units(), $b.units()) {
            (Units::One($x), Units::One($y)) => $body,
            _ => {
                let (x, y) = (wide($a), wide($b));
                let ($x, $y): (&[u32], &[u32]) = (&x, &y);
                $body
            }
        }
    };
}

fn this(receiver: &Ref) -> Result<&Str> {
    match receiver.view() {
        View::Str(string) => Ok(string),
        _ => Err(PyError::type_error("the method of a string needs a string")),
    }
}

/// The code points.
fn wide(string: &Str) -> Cow<'_, [u32]> {
    match string.units() {
        Units::Four(units) => Cow::Borrowed(units),
        _ => Cow::Owned(string.code_points().collect()),
    }
}

fn text_argument<'a>(name: &str, position: &str, object: &'a Ref) -> Result<&'a Str> {
    match object.view() {
        View::Str(string) => Ok(string),
        _ => Err(wrong_argument(name, position, "str", object)),
    }
}

/// A part of a string, which is the string itself if it is all of it.
fn part(string: &Ref, range: Range<usize>) -> Result<Ref> {
    let text = this(string)?;
    if range.len() == text.len() {
        return Ok(string.clone());
    }
    Ok(match text.as_ascii() {
        Some(ascii) => Ref::str(&ascii[range]),
        None => str::pick(text, range),
    })
}

fn parts(string: &Ref, ranges: Vec<Range<usize>>) -> Result<Ref> {
    let parts = ranges.into_iter().map(|range| part(string, range));
    limits::collect(parts).map(Ref::list)
}

fn characters(string: &Str) -> impl Iterator<Item = Option<char>> + '_ {
    string.code_points().map(char::from_u32)
}

/// Whether there are characters and something holds for all.
fn all_characters(string: &Str, test: fn(char) -> bool) -> bool {
    !string.is_empty() && characters(string).all(|c| c.is_some_and(test))
}

/// Whether there is a cased character, and the string is all `wanted` where it is cased.
fn is_all_case(string: &Str, wanted: fn(char) -> bool) -> bool {
    let mut cased = characters(string)
        .flatten()
        .filter(|&c| unicode::is_cased(c))
        .peekable();
    cased.peek().is_some() && cased.all(wanted)
}

fn is_lower(string: &Str) -> bool {
    is_all_case(string, char::is_lowercase)
}

fn is_upper(string: &Str) -> bool {
    is_all_case(string, char::is_uppercase)
}

/// Whether uppercase and title case characters start words, and lowercase ones do not.
fn is_title(string: &Str) -> bool {
    let mut is_in_word = false;
    let mut has_word = false;
    for c in characters(string) {
        let starts = c.is_some_and(|c| c.is_uppercase() || unicode::is_title(c));
        let continues = c.is_some_and(char::is_lowercase);
        if starts && is_in_word || continues && !is_in_word {
            return false;
        }
        is_in_word = starts || continues;
        has_word |= is_in_word;
    }
    has_word
}

/// Maps a string as a text. A lone surrogate is no character: it stays, and the text ends before it.
fn map_text(string: &Str, map: impl Fn(&str) -> String) -> Result<Ref> {
    if let Some(text) = string.as_ascii() {
        return Ok(Ref::str(&map(text)));
    }
    let mut mapped: Vec<u32> = Vec::new();
    let mut text = String::new();
    for code_point in string.code_points() {
        match char::from_u32(code_point) {
            Some(c) => text.push(c),
            None => {
                mapped.extend(map(&text).chars().map(u32::from));
                text.clear();
                mapped.push(code_point);
            }
        }
    }
    mapped.extend(map(&text).chars().map(u32::from));
    from_units(mapped)
}

fn map_characters(string: &Str, map: impl Fn(char) -> Vec<char>) -> Result<Ref> {
    map_text(string, |text| text.chars().flat_map(&map).collect())
}

fn from_units<T: Copy + Into<u32>>(units: Vec<T>) -> Result<Ref> {
    limits::check_items(units.len())?;
    Ok(str::from_code_points(units.iter().map(|&unit| unit.into())))
}

/// The lowercase of what stands behind a place, with the sigma of the end of a word.
fn lower_behind(text: &str, at: usize) -> String {
    // What follows depends on what stands before it only for a sigma; the whole is mapped and the start dropped.
    let start = text[..at].to_lowercase().len();
    text.to_lowercase()[start..].to_owned()
}

fn capitalize(string: &Str) -> Result<Ref> {
    let has_begun = Cell::new(false);
    map_text(string, |text| {
        if has_begun.replace(true) {
            return text.to_lowercase();
        }
        let Some(first) = text.chars().next() else {
            return String::new();
        };
        let mut mapped: String = unicode::title(first).into_iter().collect();
        mapped.push_str(&lower_behind(text, first.len_utf8()));
        mapped
    })
}

fn title(string: &Str) -> Result<Ref> {
    map_text(string, |text| {
        let mut mapped = String::new();
        let mut is_in_word = false;
        for (at, c) in text.char_indices() {
            if is_in_word {
                mapped.push_str(&lower_at(text, at, c));
            } else {
                mapped.extend(unicode::title(c));
            }
            is_in_word = unicode::is_cased(c);
        }
        mapped
    })
}

/// The lowercase of the character at a place, which for a sigma depends on its neighbours.
fn lower_at(text: &str, at: usize, c: char) -> String {
    if c != 'Σ' {
        return c.to_lowercase().collect();
    }
    let lower = lower_behind(text, at);
    lower.chars().take(1).collect()
}

fn swap_case(string: &Str) -> Result<Ref> {
    map_text(string, |text| {
        let mut mapped = String::new();
        for (at, c) in text.char_indices() {
            if c.is_uppercase() {
                mapped.push_str(&lower_at(text, at, c));
            } else if c.is_lowercase() {
                mapped.extend(c.to_uppercase());
            } else {
                mapped.push(c);
            }
        }
        mapped
    })
}

/// Where an argument occurs within the bounds that may follow it.
fn search(name: &str, string: &Ref, arguments: &[Ref], last: bool) -> Result<Option<usize>> {
    check_count(name, arguments, 1..=3)?;
    let part = text_argument(name, "1", &arguments[0])?;
    let string = this(string)?;
    let Some((start, end)) = span(string.len(), &arguments[1..])? else {
        return Ok(None);
    };
    let found = with_units!(string, part, |text, part| if last {
        text::find_last(&text[start..end], part)
    } else {
        text::find(&text[start..end], part)
    });
    Ok(found.map(|at| start + at))
}

fn find_or_minus_one(name: &str, string: &Ref, arguments: &[Ref], last: bool) -> Result<Ref> {
    let found = search(name, string, arguments, last)?;
    Ok(found.map_or_else(|| Ref::int(-1), int::from_usize))
}

fn find_or_error(name: &str, string: &Ref, arguments: &[Ref], last: bool) -> Result<Ref> {
    let found = search(name, string, arguments, last)?;
    found
        .map(int::from_usize)
        .ok_or_else(|| PyError::value("substring not found"))
}

fn count(string: &Ref, arguments: &[Ref]) -> Result<Ref> {
    check_count("count", arguments, 1..=3)?;
    let part = text_argument("count", "1", &arguments[0])?;
    let string = this(string)?;
    let Some((start, end)) = span(string.len(), &arguments[1..])? else {
        return Ok(Ref::int(0));
    };
    let count = with_units!(string, part, |text, part| text::count(
        &text[start..end],
        part
    ));
    Ok(int::from_usize(count))
}

/// Whether a string starts, or ends, with another or one of several.
fn affix(name: &str, string: &Ref, arguments: &[Ref], at_end: bool) -> Result<Ref> {
    check_count(name, arguments, 1..=3)?;
    let string = this(string)?;
    let bounds = span(string.len(), &arguments[1..])?;
    let holds_for = |affix: &Str| match bounds {
        None => false,
        Some((start, end)) => with_units!(string, affix, |text, affix| if at_end {
            text[start..end].ends_with(affix)
        } else {
            text[start..end].starts_with(affix)
        }),
    };
    match arguments[0].view() {
        View::Str(affix) => Ok(Ref::bool(holds_for(affix))),
        View::Tuple(affixes) => {
            for affix in affixes.items() {
                let View::Str(text) = affix.view() else {
                    return Err(PyError::type_error(format!(
                        "tuple for {name} must only contain str, not {}",
                        affix.type_name()
                    )));
                };
                if holds_for(text) {
                    return Ok(Ref::bool(true));
                }
            }
            Ok(Ref::bool(false))
        }
        _ => Err(PyError::type_error(format!(
            "{name} first arg must be str or a tuple of str, not {}",
            arguments[0].type_name()
        ))),
    }
}

fn encode(string: &Ref, arguments: &[Ref]) -> Result<Ref> {
    at_most("encode", 2, arguments)?;
    let [encoding, errors] = encoding_arguments("encode", arguments)?;
    Ok(Bytes::object(codec::encode(
        this(string)?,
        &encoding,
        &errors,
    )?))
}

/// The encoding and the error handler, as far as they are given.
pub(crate) fn encoding_arguments(name: &str, arguments: &[Ref]) -> Result<[String; 2]> {
    let argument = |index: usize, position: &str, default: &str| match arguments.get(index) {
        Some(argument) => text_argument(name, position, argument).map(ToString::to_string),
        None => Ok(default.to_owned()),
    };
    Ok([
        argument(0, "'encoding'", "utf-8")?,
        argument(1, "'errors'", "strict")?,
    ])
}

fn expand_tabs(string: &Ref, arguments: &[Ref]) -> Result<Ref> {
    at_most("expandtabs", 1, arguments)?;
    let size = tab_size(arguments)?;
    let string = this(string)?;
    let units = wide(string);
    if limits::check_items(text::expanded_length(&units, size)).is_err() {
        return Err(PyError::overflow("new string is too long"));
    }
    from_units(text::expand_tabs(&units, size))
}

/// The size of a tab, an int of C.
pub(super) fn tab_size(arguments: &[Ref]) -> Result<usize> {
    let Some(size) = arguments.first() else {
        return Ok(8);
    };
    let size = size.as_int().ok_or_else(|| wrong_index(size))?;
    let size = size
        .to_i64()
        .and_then(|size| i32::try_from(size).ok())
        .ok_or_else(|| PyError::overflow("Python int too large to convert to C int"))?;
    Ok(usize::try_from(size).unwrap_or(0))
}

fn join(separator: &Ref, items: &Ref) -> Result<Ref> {
    let not_iterable = || PyError::type_error("can only join an iterable");
    iterator::iterate(items).map_err(|error| error.instead(not_iterable))?;
    let items = iterator::collect(items)?;
    for (index, item) in items.iter().enumerate() {
        if !matches!(item.view(), View::Str(_)) {
            return Err(PyError::type_error(format!(
                "sequence item {index}: expected str instance, {} found",
                item.type_name()
            )));
        }
    }
    if let [item] = items.as_slice() {
        return Ok(item.clone());
    }
    if this(separator)?.is_empty() {
        return str::join(&items);
    }
    let mut separated = Vec::with_capacity(items.len() * 2);
    for item in items {
        if !separated.is_empty() {
            separated.push(separator.clone());
        }
        separated.push(item);
    }
    str::join(&separated)
}

/// Pads a string on both sides with as many fill characters as `sides` says for its length and the width.
fn pad(
    name: &str,
    string: &Ref,
    arguments: &[Ref],
    sides: fn(usize, usize) -> (usize, usize),
) -> Result<Ref> {
    check_count(name, arguments, 1..=2)?;
    let width = size_argument(&arguments[0])?;
    let fill = match arguments.get(1).map(|fill| (fill, fill.view())) {
        None => u32::from(' '),
        Some((_, View::Str(fill))) => fill.as_code_point().ok_or_else(|| {
            PyError::type_error("The fill character must be exactly one character long")
        })?,
        Some((fill, _)) => {
            return Err(PyError::type_error(format!(
                "The fill character must be a unicode character, not {}",
                fill.type_name()
            )));
        }
    };
    let text = this(string)?;
    let width = usize::try_from(width).unwrap_or(0);
    let (left, right) = sides(text.len(), width);
    if left + right == 0 {
        return Ok(string.clone());
    }
    limits::check_items(width)?;
    let fill = |count| std::iter::repeat_n(fill, count);
    from_units(
        fill(left)
            .chain(text.code_points())
            .chain(fill(right))
            .collect(),
    )
}

fn zero_fill(string: &Ref, width: &Ref) -> Result<Ref> {
    let width = usize::try_from(size_argument(width)?).unwrap_or(0);
    let text = this(string)?;
    let fill = width.saturating_sub(text.len());
    if fill == 0 {
        return Ok(string.clone());
    }
    limits::check_items(width)?;
    let mut units: Vec<u32> = text.code_points().collect();
    let has_sign = matches!(units.first(), Some(0x2b | 0x2d));
    let at = usize::from(has_sign);
    units.splice(at..at, std::iter::repeat_n(u32::from('0'), fill));
    from_units(units)
}

fn strip(name: &str, string: &Ref, arguments: &[Ref], (left, right): (bool, bool)) -> Result<Ref> {
    check_count(name, arguments, 0..=1)?;
    let text = this(string)?;
    let units = wide(text);
    let kept = match arguments.first().map(Ref::view) {
        None | Some(View::None) => text::strip(&units, unicode::is_space, left, right),
        Some(View::Str(stripped)) => {
            let stripped = wide(stripped);
            text::strip(&units, |unit| stripped.contains(&unit), left, right)
        }
        Some(_) => {
            return Err(PyError::type_error(format!(
                "{name} arg must be None or str"
            )));
        }
    };
    part(string, kept)
}

/// The argument of a method that looks for a separator.
fn separator(object: &Ref) -> Result<&Str> {
    let View::Str(separator) = object.view() else {
        return Err(PyError::type_error(format!(
            "must be str, not {}",
            object.type_name()
        )));
    };
    if separator.is_empty() {
        return Err(PyError::value("empty separator"));
    }
    Ok(separator)
}

fn partition(string: &Ref, separator_object: &Ref) -> Result<Ref> {
    let (text, found) = (this(string)?, separator(separator_object)?);
    let at = with_units!(text, found, |text, part| text::find(text, part));
    Ok(Ref::tuple(match at {
        Some(at) => vec![
            part(string, 0..at)?,
            separator_object.clone(),
            part(string, at + found.len()..text.len())?,
        ],
        None => vec![string.clone(), Ref::str(""), Ref::str("")],
    }))
}

fn partition_last(string: &Ref, separator_object: &Ref) -> Result<Ref> {
    let (text, found) = (this(string)?, separator(separator_object)?);
    let at = with_units!(text, found, |text, part| text::find_last(text, part));
    Ok(Ref::tuple(match at {
        Some(at) => vec![
            part(string, 0..at)?,
            separator_object.clone(),
            part(string, at + found.len()..text.len())?,
        ],
        None => vec![Ref::str(""), Ref::str(""), string.clone()],
    }))
}

fn remove_prefix(string: &Ref, prefix: &Ref) -> Result<Ref> {
    let (text, prefix) = (this(string)?, text_argument("removeprefix", "", prefix)?);
    let found = wide(text).starts_with(&wide(prefix));
    part(string, if found { prefix.len() } else { 0 }..text.len())
}

fn remove_suffix(string: &Ref, suffix: &Ref) -> Result<Ref> {
    let (text, suffix) = (this(string)?, text_argument("removesuffix", "", suffix)?);
    let found = wide(text).ends_with(&wide(suffix));
    part(string, 0..text.len() - if found { suffix.len() } else { 0 })
}

fn replace(string: &Ref, arguments: &[Ref]) -> Result<Ref> {
    at_most("replace", 3, arguments)?;
    let [old, new, rest @ ..] = arguments else {
        return Err(PyError::type_error(format!(
            "replace() takes at least 2 positional arguments ({} given)",
            arguments.len()
        )));
    };
    let old = text_argument("replace", "1", old)?;
    let new = text_argument("replace", "2", new)?;
    let most = rest.first().map_or(Ok(-1), size_argument)?;
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let text = this(string)?;
    let times = with_units!(text, old, |text, old| text::count(text, old)).min(most);
    if times == 0 {
        return Ok(string.clone());
    }
    let removed = times.saturating_mul(old.len());
    limits::check_items((text.len() - removed).saturating_add(times.saturating_mul(new.len())))?;
    from_units(text::replace(&wide(text), &wide(old), &wide(new), most))
}

/// How often to split: without a number, or with a negative one, as often as possible.
pub(super) fn split_count(argument: Option<&Ref>) -> Result<usize> {
    let count = argument.map_or(Ok(-1), size_argument)?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

fn split(name: &str, string: &Ref, arguments: &[Ref], from_end: bool) -> Result<Ref> {
    at_most(name, 2, arguments)?;
    let most = split_count(arguments.get(1))?;
    let text = this(string)?;
    let pieces = match arguments.first().map(Ref::view) {
        None | Some(View::None) => {
            let units = wide(text);
            if from_end {
                text::split_spaces_last(&units, unicode::is_space, most)
            } else {
                text::split_spaces(&units, unicode::is_space, most)
            }
        }
        Some(View::Str(separator)) if separator.is_empty() => {
            return Err(PyError::value("empty separator"));
        }
        Some(View::Str(separator)) => {
            with_units!(text, separator, |text, separator| if from_end {
                text::split_last(text, separator, most)
            } else {
                text::split(text, separator, most)
            })
        }
        Some(_) => {
            return Err(PyError::type_error(format!(
                "must be str or None, not {}",
                arguments[0].type_name()
            )));
        }
    };
    parts(string, pieces)
}

fn split_lines(string: &Ref, arguments: &[Ref]) -> Result<Ref> {
    at_most("splitlines", 1, arguments)?;
    let keep_ends = arguments.first().map_or(Ok(false), ops::truth)?;
    let units = wide(this(string)?);
    parts(
        string,
        text::lines(&units, unicode::is_line_break, keep_ends),
    )
}

/// Looks every character up in a table: a missing one stays, `None` drops it, and an int or a string stands for it.
fn translate(string: &Str, table: &Ref) -> Result<Ref> {
    let mut translated = Vec::new();
    for code_point in string.code_points() {
        let replacement = match subscript::get(table, &Ref::int(code_point.into())) {
            Ok(replacement) => replacement,
            Err(error) if is_lookup_error(error.kind) => {
                translated.push(code_point);
                continue;
            }
            Err(error) => return Err(error),
        };
        match (replacement.view(), replacement.as_int()) {
            (View::None, _) => {}
            (View::Str(text), _) => translated.extend(text.code_points()),
            (_, Some(value)) => match u32::try_from(value.saturate()) {
                Ok(value) if value < 0x11_0000 => translated.push(value),
                _ => {
                    let message = "character mapping must be in range(0x110000)";
                    return Err(PyError::value(message));
                }
            },
            _ => {
                let message = "character mapping must return integer, None or str";
                return Err(PyError::type_error(message));
            }
        }
    }
    from_units(translated)
}

/// `str.maketrans(*arguments)`: a table for [`translate`].
fn make_table(arguments: &[Ref]) -> Result<Ref> {
    check_count("maketrans", arguments, 1..=3)?;
    let pairs = match arguments {
        [mapping] => match mapping.view() {
            View::Dict(mapping) => {
                let pairs = mapping.iter();
                let keyed = pairs.map(|(key, value)| Ok((table_key(&key)?, value)));
                keyed.collect::<Result<Vec<_>>>()?
            }
            _ => {
                let message = "if you give only one argument to maketrans it must be a dict";
                return Err(PyError::type_error(message));
            }
        },
        [from, rest @ ..] => pairs_of_texts(from, rest)?,
        [] => Vec::new(),
    };
    Ref::dict_of(pairs)
}

fn table_key(key: &Ref) -> Result<Ref> {
    match (key.view(), key.as_int()) {
        (View::Str(text), _) => match text.as_code_point() {
            Some(code_point) => Ok(Ref::int(code_point.into())),
            None => Err(PyError::value(
                "string keys in translate table must be of length 1",
            )),
        },
        (_, Some(_)) => Ok(key.clone()),
        _ => Err(PyError::type_error(
            "keys in translate table must be strings or integers",
        )),
    }
}

/// The code points of a text with those of a second, and those of a third with `None`.
fn pairs_of_texts(from: &Ref, rest: &[Ref]) -> Result<Vec<(Ref, Ref)>> {
    let mut texts = Vec::new();
    for (index, text) in rest.iter().enumerate() {
        match text.view() {
            View::Str(text) => texts.push(text),
            _ => {
                let position = (index + 2).to_string();
                return Err(wrong_argument("maketrans", &position, "str", text));
            }
        }
    }
    let View::Str(from) = from.view() else {
        let message = "first maketrans argument must be a string if there is a second argument";
        return Err(PyError::type_error(message));
    };
    let int = |code_point: u32| Ref::int(code_point.into());
    let mut pairs = Vec::new();
    if let Some(to) = texts.first() {
        if from.len() != to.len() {
            let message = "the first two maketrans arguments must have equal length";
            return Err(PyError::value(message));
        }
        pairs.extend(from.code_points().map(int).zip(to.code_points().map(int)));
    }
    if let Some(deleted) = texts.get(1) {
        let deleted = deleted.code_points().map(int);
        pairs.extend(deleted.map(|code_point| (code_point, Ref::none())));
    }
    Ok(pairs)
}

fn is_lookup_error(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::KeyError | ErrorKind::IndexError)
}
