//! Lone surrogates: code points that a str of Python's may hold and a [`String`] may not, such as those of
//! `os.fsdecode(b"\xff")`.
//!
//! In the strings of a document, [`MARK`] stands in front of the character that is [`OFFSET`] above a surrogate, and twice
//! for itself. `json.dumps` writes a lone surrogate as an escape, which is no JSON to other readers: in the text of a
//! document these are replaced before it is read and put back after it is written.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::ops::RangeInclusive;

/// The last code point, which Unicode has set aside and text hardly ever holds.
const MARK: char = '\u{10ffff}';

/// From a surrogate to the character that stands for it, which is one for private use.
const OFFSET: u32 = 0x10_0000;

const SURROGATES: RangeInclusive<u32> = 0xd800..=0xdfff;

/// Appends a code point; of one that is none, nothing.
pub(super) fn push(text: &mut String, point: u32) {
    match char::from_u32(point) {
        Some(MARK) => text.extend([MARK, MARK]),
        Some(char) => text.push(char),
        None if SURROGATES.contains(&point) => {
            text.extend(
                [Some(MARK), char::from_u32(OFFSET + point)]
                    .into_iter()
                    .flatten(),
            );
        }
        None => {}
    }
}

/// The code points that a string of a document stands for.
pub(super) fn code_points(text: &str) -> impl Iterator<Item = u32> + Clone {
    let mut marked = false;
    text.chars().filter_map(move |char| {
        if char == MARK && !marked {
            marked = true;
            return None;
        }
        let point = u32::from(char);
        match std::mem::take(&mut marked) {
            true => Some(surrogate(char).unwrap_or(point)),
            false => Some(point),
        }
    })
}

/// The surrogate that a character behind a mark stands for.
fn surrogate(char: char) -> Option<u32> {
    let point = u32::from(char).checked_sub(OFFSET)?;
    SURROGATES.contains(&point).then_some(point)
}

/// Text that shows these code points, surrogates as escapes.
pub(super) fn shown(points: impl Iterator<Item = u32>) -> String {
    let mut text = String::new();
    for point in points {
        match char::from_u32(point) {
            Some(char) => text.push(char),
            None => {
                let _ = write!(text, "\\u{point:04x}");
            }
        }
    }
    text
}

/// JSON without lone surrogates, which stands for the same.
pub(super) fn read(json: &str) -> Cow<'_, str> {
    if !json.contains(MARK) && !json.contains("\\ud") && !json.contains("\\uD") {
        return Cow::Borrowed(json);
    }
    let mut text = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(char) = rest.chars().next() {
        let mut length = char.len_utf8();
        if let Some((point, escape)) = escaped(rest) {
            length = escape;
            match point {
                _ if SURROGATES.contains(&point) || point == u32::from(MARK) => {
                    push(&mut text, point)
                }
                _ => text.push_str(&rest[..length]),
            }
        } else if char == '\\' {
            // Whatever is escaped begins no escape itself.
            length += rest[1..].chars().next().map_or(0, char::len_utf8);
            text.push_str(&rest[..length]);
        } else {
            push(&mut text, char.into());
        }
        rest = &rest[length..];
    }
    Cow::Owned(text)
}

/// The code point of an escape with digits that the text starts with, a pair of surrogates being one, and its length.
fn escaped(text: &str) -> Option<(u32, usize)> {
    let first = unit(text)?;
    if (0xd800..0xdc00).contains(&first)
        && let Some(second) = text.get(6..).and_then(unit)
        && (0xdc00..0xe000).contains(&second)
    {
        let point = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        return Some((point, 12));
    }
    Some((first, 6))
}

fn unit(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    let is_number = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_number.then(|| u32::from_str_radix(digits, 16).ok())?
}

/// JSON as [`read`] takes it, of JSON as it gives it.
pub(super) fn write(json: &str) -> String {
    shown(code_points(json))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_point_comes_back() {
        let points: Vec<u32> = (0..=0x2ff)
            .chain(0xd7ff..=0xe000)
            .chain(0x10_d7ff..=0x10_e000)
            .chain([0xffff, 0x1_0000, 0x10_ffff, 0x10_ffff, 0xdcff, 0x10_ffff])
            .collect();
        let mut text = String::new();
        points.iter().for_each(|&point| push(&mut text, point));
        assert!(code_points(&text).eq(points));
    }

    #[test]
    fn json_with_lone_surrogates_is_read_and_written() {
        for (python, points) in [
            (r#""a\udcffb""#, &[0x61, 0xdcff, 0x62][..]),
            (r#""\uDCFF""#, &[0xdcff]),
            (r#""\ud800""#, &[0xd800]),
            (r#""\udc00\ud800""#, &[0xdc00, 0xd800]),
            (r#""\ud83d\ude00\ud83d""#, &[0x1f600, 0xd83d]),
            (r#""\ud800\ud83d\ude00""#, &[0xd800, 0x1f600]),
            (r#""\\udcff""#, &[0x5c, 0x75, 0x64, 0x63, 0x66, 0x66]),
            (r#""\\\udcff""#, &[0x5c, 0xdcff]),
            (r#""\udbff\udfff\udfff""#, &[0x10_ffff, 0xdfff]),
            ("\"\u{10ffff}\u{10d800}\"", &[0x10_ffff, 0x10_d800]),
            (r#""\u00e9\u0022\n""#, &[0xe9, 0x22, 0xa]),
        ] {
            let text: String = serde_json::from_str(&read(python)).expect(python);
            assert!(code_points(&text).eq(points.iter().copied()), "{python}");
            let json = serde_json::to_string(&text).expect(python);
            let again: String = serde_json::from_str(&read(&write(&json))).expect(python);
            assert_eq!(again, text, "{python}");
        }
        // What is no JSON stays none.
        for wrong in [r#""\ud8""#, r#""\udcf"#, r#"\udcff"#, "\u{10ffff}", r#""\"#] {
            assert!(
                serde_json::from_str::<String>(&read(wrong)).is_err(),
                "{wrong}"
            );
        }
    }
}
