//! Two listings as one: the lines that both have once, the others beside where they would be.

use super::stencils::{PartBytes, is_data};
use crate::disassemble::{Content, Line, disassemble_with};
use serde::Serialize;

/// How many pairs of lines are compared at most; beyond that, all of one listing come before all of the other.
const MAX_PAIRS: usize = 1 << 22;

/// Whose a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The first file's alone.
    A,
    /// The second file's alone.
    B,
    /// Both have it.
    Both,
}

/// A line of two listings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListingLine {
    /// Whose it is.
    pub side: Side,
    /// Bytes from the start of the part, in the first file.
    pub a_offset: Option<usize>,
    /// The same in the second file.
    pub b_offset: Option<usize>,
    /// The bytes in hexadecimal.
    pub bytes: String,
    /// The instruction or data; of the second file, if both have it: where the destination of a branch moved with its
    /// code, the line is the same.
    pub text: String,
    /// The holes that begin there.
    pub holes: Vec<String>,
}

/// The lines of a part, with its holes beside them.
pub(super) fn lines(part: &PartBytes) -> Vec<Line<'_>> {
    lines_to(part, part.bytes.len())
}

/// The line that has the byte at an offset, if there is one.
pub(super) fn line_at(part: &PartBytes, offset: usize) -> Option<Line<'_>> {
    // No instruction has more than 15 bytes.
    let end = offset.saturating_add(16).min(part.bytes.len());
    let mut lines = lines_to(part, end).into_iter();
    lines.find(|line| (line.offset..line.offset + line.bytes.len()).contains(&offset))
}

fn lines_to(part: &PartBytes, end: usize) -> Vec<Line<'_>> {
    let content = if is_data(&part.name) {
        Content::Data
    } else {
        Content::Code
    };
    let offset = |hole: &super::stencils::PlacedHole| hole.offset as usize;
    let count = part.holes.iter().filter(|hole| offset(hole) < end).count();
    disassemble_with(
        &part.bytes[..end],
        content,
        &part.holes[..count],
        offset,
        |hole, _| hole.hole.text.clone(),
    )
}

/// Both listings as one. Lines are the same where bytes and holes are.
pub(super) fn unified(a: &[Line<'_>], b: &[Line<'_>]) -> Vec<ListingLine> {
    let same = |a: &Line<'_>, b: &Line<'_>| (a.bytes, &a.holes) == (b.bytes, &b.holes);
    let pairs = a.iter().zip(b);
    let start = pairs.take_while(|(a, b)| same(a, b)).count();
    let pairs = a[start..].iter().rev().zip(b[start..].iter().rev());
    let end = pairs.take_while(|(a, b)| same(a, b)).count();
    let (a_end, b_end) = (a.len() - end, b.len() - end);

    let both = |(a, b): (&Line<'_>, &Line<'_>)| listing_line(Some(a), Some(b));
    let mut lines: Vec<ListingLine> = a[..start].iter().zip(b).filter_map(both).collect();
    lines.extend(middle(&a[start..a_end], &b[start..b_end], same));
    lines.extend(a[a_end..].iter().zip(&b[b_end..]).filter_map(both));
    lines
}

/// What is between the common start and the common end, by a longest common subsequence.
fn middle(
    a: &[Line<'_>],
    b: &[Line<'_>],
    same: impl Fn(&Line<'_>, &Line<'_>) -> bool,
) -> Vec<ListingLine> {
    let only_a = |line| listing_line(Some(line), None);
    let only_b = |line| listing_line(None, Some(line));
    let width = b.len() + 1;
    if (a.len() + 1).saturating_mul(width) > MAX_PAIRS {
        let lines = a.iter().filter_map(only_a);
        return lines.chain(b.iter().filter_map(only_b)).collect();
    }
    // The length of the longest from line `i` of the one and line `j` of the other on is at `i * width + j`.
    let mut lengths = vec![0_u32; (a.len() + 1) * width];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            lengths[i * width + j] = match same(&a[i], &b[j]) {
                true => lengths[(i + 1) * width + j + 1] + 1,
                false => lengths[(i + 1) * width + j].max(lengths[i * width + j + 1]),
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut lines = Vec::new();
    while i < a.len() || j < b.len() {
        let line = match (a.get(i), b.get(j)) {
            (Some(a), Some(b)) if same(a, b) => {
                (i, j) = (i + 1, j + 1);
                listing_line(Some(a), Some(b))
            }
            (Some(a), b)
                if b.is_none() || lengths[(i + 1) * width + j] >= lengths[i * width + j + 1] =>
            {
                i += 1;
                only_a(a)
            }
            (_, b) => {
                j += 1;
                b.and_then(only_b)
            }
        };
        lines.extend(line);
    }
    lines
}

/// The line of one listing or of both.
fn listing_line(a: Option<&Line<'_>>, b: Option<&Line<'_>>) -> Option<ListingLine> {
    let shown = b.or(a)?;
    Some(ListingLine {
        side: match (a, b) {
            (Some(_), Some(_)) => Side::Both,
            (Some(_), None) => Side::A,
            _ => Side::B,
        },
        a_offset: a.map(|line| line.offset),
        b_offset: b.map(|line| line.offset),
        bytes: crate::format::hex(shown.bytes),
        text: shown.text.clone(),
        holes: shown.holes.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One line for each byte.
    fn listing(bytes: &[u8]) -> Vec<Line<'_>> {
        let bytes = bytes.chunks(1).enumerate();
        let lines = bytes.map(|(offset, bytes)| Line {
            offset,
            bytes,
            text: String::new(),
            holes: Vec::new(),
        });
        lines.collect()
    }

    /// The bytes with a mark for whose they are.
    fn shown(a: &[u8], b: &[u8]) -> String {
        let lines = unified(&listing(a), &listing(b));
        for (side, bytes) in [(Side::A, a), (Side::B, b)] {
            let own = lines
                .iter()
                .filter(|line| [side, Side::Both].contains(&line.side));
            let offsets = own.map(|line| match side {
                Side::A => line.a_offset,
                _ => line.b_offset,
            });
            let expected: Vec<_> = (0..bytes.len()).map(Some).collect();
            assert_eq!(offsets.collect::<Vec<_>>(), expected, "of {a:?} and {b:?}");
        }
        let line = |line: &ListingLine| match line.side {
            Side::Both => line.bytes.clone(),
            Side::A => format!("-{}", line.bytes),
            Side::B => format!("+{}", line.bytes),
        };
        lines.iter().map(line).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_both_have_stands_once() {
        for (a, b, expected) in [
            (&[][..], &[][..], ""),
            (&[1, 2], &[1, 2], "01 02"),
            (&[1, 2, 3], &[1, 3], "01 -02 03"),
            (&[1, 3], &[1, 2, 3], "01 +02 03"),
            (
                &[1, 2, 3, 4, 9],
                &[1, 5, 3, 6, 9],
                "01 -02 +05 03 -04 +06 09",
            ),
            (&[1], &[], "-01"),
            (&[], &[1], "+01"),
            (&[1, 1], &[1, 1, 1], "01 01 +01"),
            (&[1, 2, 3, 4], &[3, 4, 1, 2], "-01 -02 03 04 +01 +02"),
        ] {
            assert_eq!(shown(a, b), expected, "{a:?} and {b:?}");
        }
    }

    #[test]
    fn long_listings_are_not_interleaved() {
        let a: Vec<u8> = (0..4000).map(|index| index as u8 % 7).collect();
        let b: Vec<u8> = (0..4000).map(|index| index as u8 % 5 + 1).collect();
        let text = shown(&a, &b);
        assert!(text.rfind('-') < text.find('+'));
    }
}
