//! Properties and case mappings of characters, as the methods of strings ask for them.
//!
//! They are those of the standard library's and the crates' Unicode, which may be newer than CPython 3.13's 15.1: a
//! character that 15.1 does not have may be a letter here.

use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

/// Digits that are not decimal ones: superscripts, and numbers in circles, in brackets and with a dot.
const OTHER_DIGITS: [(u32, u32); 20] = [
    (0xb2, 0xb3),
    (0xb9, 0xb9),
    (0x1369, 0x1371),
    (0x19da, 0x19da),
    (0x2070, 0x2070),
    (0x2074, 0x2079),
    (0x2080, 0x2089),
    (0x2460, 0x2468),
    (0x2474, 0x247c),
    (0x2488, 0x2490),
    (0x24ea, 0x24ea),
    (0x24f5, 0x24fd),
    (0x24ff, 0x24ff),
    (0x2776, 0x277e),
    (0x2780, 0x2788),
    (0x278a, 0x2792),
    (0x10a40, 0x10a43),
    (0x10e60, 0x10e68),
    (0x11052, 0x1105a),
    (0x1f100, 0x1f10a),
];

/// Ideographs that stand for numbers, in order.
const NUMERIC_IDEOGRAPHS: [u32; 91] = [
    0x3405, 0x3483, 0x382a, 0x3b4d, 0x4e00, 0x4e03, 0x4e07, 0x4e09, 0x4e24, 0x4e5d, 0x4e8c, 0x4e94,
    0x4e96, 0x4eac, 0x4ebf, 0x4ec0, 0x4edf, 0x4ee8, 0x4f0d, 0x4f70, 0x4fe9, 0x5006, 0x5104, 0x5146,
    0x5169, 0x516b, 0x516d, 0x5341, 0x5343, 0x5344, 0x5345, 0x534c, 0x53c1, 0x53c2, 0x53c3, 0x53c4,
    0x56db, 0x58f1, 0x58f9, 0x5e7a, 0x5efe, 0x5eff, 0x5f0c, 0x5f0d, 0x5f0e, 0x5f10, 0x62d0, 0x62fe,
    0x634c, 0x67d2, 0x6d1e, 0x6f06, 0x7396, 0x767e, 0x7695, 0x79ed, 0x8086, 0x842c, 0x8cae, 0x8cb3,
    0x8d30, 0x920e, 0x94a9, 0x9621, 0x9646, 0x964c, 0x9678, 0x96f6, 0xf96b, 0xf973, 0xf978, 0xf9b2,
    0xf9d1, 0xf9d3, 0xf9fd, 0x20001, 0x20064, 0x200e2, 0x20121, 0x2092a, 0x20983, 0x2098c, 0x2099c,
    0x20aea, 0x20afd, 0x20b19, 0x22390, 0x22998, 0x23b1b, 0x2626d, 0x2f890,
];

pub(super) fn is_alphabetic(c: char) -> bool {
    c.is_ascii_alphabetic()
        || !c.is_ascii() && c.general_category_group() == GeneralCategoryGroup::Letter
}

pub(super) fn is_decimal(c: char) -> bool {
    c.is_ascii_digit() || !c.is_ascii() && c.general_category() == GeneralCategory::DecimalNumber
}

pub(super) fn is_digit(c: char) -> bool {
    let code_point = u32::from(c);
    let is_in = |&(first, last): &(u32, u32)| (first..=last).contains(&code_point);
    is_decimal(c) || OTHER_DIGITS.iter().any(is_in)
}

pub(super) fn is_numeric(c: char) -> bool {
    c.is_numeric() || NUMERIC_IDEOGRAPHS.binary_search(&c.into()).is_ok()
}

pub(super) fn is_alphanumeric(c: char) -> bool {
    is_alphabetic(c) || is_digit(c) || is_numeric(c)
}

/// Whether a character is a space, which the separators of ASCII are as well.
pub(super) fn is_space(code_point: u32) -> bool {
    matches!(code_point, 0x1c..=0x1f) || char::from_u32(code_point).is_some_and(char::is_whitespace)
}

/// Whether a line ends with the character.
pub(super) fn is_line_break(code_point: u32) -> bool {
    matches!(code_point, 0xa..=0xd | 0x1c..=0x1e | 0x85 | 0x2028 | 0x2029)
}

pub(super) fn is_title(c: char) -> bool {
    !c.is_ascii() && c.general_category() == GeneralCategory::TitlecaseLetter
}

/// Whether a character has a case.
pub(super) fn is_cased(c: char) -> bool {
    c.is_uppercase() || c.is_lowercase() || is_title(c)
}

/// The character at the start of a word in title case.
///
/// Most have the uppercase mapping, of which only the first character stays; digraphs and Greek letters with an iota
/// have characters for it, and Georgian has none.
pub(super) fn title(c: char) -> Vec<char> {
    const SMALL_IOTA: char = '\u{345}';
    let single = |code_point: u32| vec![char::from_u32(code_point).unwrap_or(c)];
    match u32::from(c) {
        0x1c4..=0x1c6 => single(0x1c5),
        0x1c7..=0x1c9 => single(0x1c8),
        0x1ca..=0x1cc => single(0x1cb),
        0x1f1..=0x1f3 => single(0x1f2),
        0x10d0..=0x10ff => vec![c],
        code_point @ 0x1f80..=0x1faf => single(code_point | 8),
        0x1fb3 | 0x1fbc => single(0x1fbc),
        0x1fc3 | 0x1fcc => single(0x1fcc),
        0x1ff3 | 0x1ffc => single(0x1ffc),
        _ => {
            let mut upper = c.to_uppercase();
            let mut mapped: Vec<char> = upper.next().into_iter().collect();
            for rest in upper {
                match rest {
                    '\u{399}' => mapped.push(SMALL_IOTA),
                    _ => mapped.extend(rest.to_lowercase()),
                }
            }
            mapped
        }
    }
}

/// The character for comparisons that do not care about case: lowercase of uppercase, but for Cherokee, which folds to
/// uppercase, the sharp s, and the dotless i.
pub(super) fn fold(c: char) -> Vec<char> {
    match c {
        'ı' => vec![c],
        'ẞ' => vec!['s', 's'],
        '\u{13a0}'..='\u{13fd}' | '\u{ab70}'..='\u{abbf}' => c.to_uppercase().collect(),
        _ => c.to_uppercase().flat_map(char::to_lowercase).collect(),
    }
}

/// Whether code points are a name in a program.
pub(super) fn is_identifier(mut code_points: impl Iterator<Item = u32>) -> bool {
    let first = code_points.next().and_then(char::from_u32);
    first.is_some_and(|c| c == '_' || unicode_ident::is_xid_start(c))
        && code_points.all(|c| char::from_u32(c).is_some_and(unicode_ident::is_xid_continue))
}
