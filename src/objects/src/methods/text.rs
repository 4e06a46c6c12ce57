//! What strings and bytes have in common: searching, splitting and padding of sequences of units.

use std::ops::Range;

/// Where `part` first occurs. An empty one occurs at the start.
pub(super) fn find<T: PartialEq>(text: &[T], part: &[T]) -> Option<usize> {
    let Some((first, rest)) = part.split_first() else {
        return Some(0);
    };
    let last_start = text.len().checked_sub(part.len())?;
    (0..=last_start).find(|&at| text[at] == *first && text[at + 1..].starts_with(rest))
}

/// Where `part` last occurs. An empty one occurs at the end.
pub(super) fn find_last<T: PartialEq>(text: &[T], part: &[T]) -> Option<usize> {
    let last_start = text.len().checked_sub(part.len())?;
    (0..=last_start)
        .rev()
        .find(|&at| text[at..].starts_with(part))
}

/// The places where `part`, which is not empty, occurs without overlapping an earlier one.
pub(super) fn occurrences<'a, T: PartialEq>(
    text: &'a [T],
    part: &'a [T],
) -> impl Iterator<Item = usize> + 'a {
    let mut from = 0;
    std::iter::from_fn(move || {
        let at = from + find(&text[from..], part)?;
        from = at + part.len();
        Some(at)
    })
}

/// How often `part` occurs; an empty one does around every unit.
pub(super) fn count<T: PartialEq>(text: &[T], part: &[T]) -> usize {
    if part.is_empty() {
        return text.len() + 1;
    }
    occurrences(text, part).count()
}

/// The pieces between the separators, at most `most` splits.
pub(super) fn split<T: PartialEq>(text: &[T], separator: &[T], most: usize) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    let mut start = 0;
    for at in occurrences(text, separator).take(most) {
        pieces.push(start..at);
        start = at + separator.len();
    }
    pieces.push(start..text.len());
    pieces
}

/// As [`split`], from the end.
pub(super) fn split_last<T: PartialEq>(
    text: &[T],
    separator: &[T],
    most: usize,
) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    let mut end = text.len();
    while pieces.len() < most
        && let Some(at) = find_last(&text[..end], separator)
    {
        pieces.push(at + separator.len()..end);
        end = at;
    }
    pieces.push(0..end);
    pieces.reverse();
    pieces
}

/// The pieces between runs of spaces; after `most` splits the rest keeps its spaces but for those before it.
pub(super) fn split_spaces<T: Copy>(
    text: &[T],
    is_space: impl Fn(T) -> bool,
    most: usize,
) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    let mut start = 0;
    loop {
        while start < text.len() && is_space(text[start]) {
            start += 1;
        }
        if start == text.len() {
            return pieces;
        }
        if pieces.len() == most {
            pieces.push(start..text.len());
            return pieces;
        }
        let length = text[start..].iter().position(|&unit| is_space(unit));
        let end = length.map_or(text.len(), |length| start + length);
        pieces.push(start..end);
        start = end;
    }
}

/// As [`split_spaces`], from the end.
pub(super) fn split_spaces_last<T: Copy>(
    text: &[T],
    is_space: impl Fn(T) -> bool,
    most: usize,
) -> Vec<Range<usize>> {
    let reversed: Vec<T> = text.iter().rev().copied().collect();
    let mut pieces = split_spaces(&reversed, is_space, most);
    pieces.reverse();
    let mirror = |piece: &Range<usize>| text.len() - piece.end..text.len() - piece.start;
    pieces.iter().map(mirror).collect()
}

/// The part without the units at either end for which `is_stripped` holds.
pub(super) fn strip<T: Copy>(
    text: &[T],
    is_stripped: impl Fn(T) -> bool,
    left: bool,
    right: bool,
) -> Range<usize> {
    let (mut start, mut end) = (0, text.len());
    while left && start < end && is_stripped(text[start]) {
        start += 1;
    }
    while right && start < end && is_stripped(text[end - 1]) {
        end -= 1;
    }
    start..end
}

/// The lines, with what ends them if `keep_ends`. A carriage return and a line feed end one line.
pub(super) fn lines<T: Copy + Into<u32>>(
    text: &[T],
    is_break: impl Fn(u32) -> bool,
    keep_ends: bool,
) -> Vec<Range<usize>> {
    let mut lines = Vec::new();
    let mut start = 0;
    while start < text.len() {
        let length = text[start..].iter().position(|&unit| is_break(unit.into()));
        let end = length.map_or(text.len(), |length| start + length);
        let unit = |at: usize| text.get(at).map(|&unit| unit.into());
        let next = match (unit(end), unit(end + 1)) {
            (None, _) => end,
            (Some(0xd), Some(0xa)) => end + 2,
            _ => end + 1,
        };
        lines.push(start..if keep_ends { next } else { end });
        start = next;
    }
    lines
}

/// The text with `new` in place of `old`, at most `most` times. An empty `old` stands around every unit.
pub(super) fn replace<T: Copy + PartialEq>(
    text: &[T],
    old: &[T],
    new: &[T],
    most: usize,
) -> Vec<T> {
    let mut result = Vec::new();
    let mut start = 0;
    if old.is_empty() {
        for &unit in text.iter().take(most.saturating_sub(1)) {
            result.extend_from_slice(new);
            result.push(unit);
        }
        start = text.len().min(most.saturating_sub(1));
        if most > 0 {
            result.extend_from_slice(new);
        }
    } else {
        for at in occurrences(text, old).take(most) {
            result.extend_from_slice(&text[start..at]);
            result.extend_from_slice(new);
            start = at + old.len();
        }
    }
    result.extend_from_slice(&text[start..]);
    result
}

/// The text with spaces in place of tabs, up to the next multiple of `size` in its line.
pub(super) fn expand_tabs<T: Copy + From<u8> + Into<u32>>(text: &[T], size: usize) -> Vec<T> {
    let mut result = Vec::new();
    let mut column = 0;
    for &unit in text {
        match unit.into() {
            0x9 => {
                let width = if size == 0 { 0 } else { size - column % size };
                result.extend(std::iter::repeat_n(T::from(b' '), width));
                column += width;
            }
            code => {
                result.push(unit);
                column = if matches!(code, 0xa | 0xd) {
                    0
                } else {
                    column + 1
                };
            }
        }
    }
    result
}

/// How long the text gets whose tabs are expanded, as long as that fits a word.
pub(super) fn expanded_length<T: Copy + Into<u32>>(text: &[T], size: usize) -> usize {
    let tabs = text.iter().filter(|&&unit| unit.into() == 0x9).count();
    tabs.saturating_mul(size).saturating_add(text.len())
}

/// How many fill units go to the left and to the right of a text of this length in a field of this width.
pub(super) fn center_padding(length: usize, width: usize) -> (usize, usize) {
    let padding = width.saturating_sub(length);
    // An odd unit goes to the left where the width is odd too.
    let left = padding / 2 + (padding & width & 1);
    (left, padding - left)
}
