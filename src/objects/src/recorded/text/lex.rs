//! Words: from the characters of a text to tokens. Lines count, except inside brackets; what follows a `#` does not.

use super::super::surrogates;
use super::error::{Problem, Result};
use crate::recorded::hex_float;
use num_bigint::BigInt;
use std::fmt;
use std::ops::Range;
use winnow::Parser;
use winnow::combinator::{alt, opt};
use winnow::error::ContextError;
use winnow::token::{literal, one_of, take_till, take_while};

/// Hexadecimal ints have at most so many digits, as reading is quadratic.
const MAX_HEX_DIGITS: usize = 4096;

/// What a token is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum TokenKind {
    /// Letters, digits, underscores and dots, beginning with no digit: a keyword, a uop, or what has a name.
    Word(String),
    /// `%name`: an object.
    Name(String),
    /// An int, in decimal digits.
    Int(String),
    Float(f64),
    Str(String),
    Bytes(Vec<u8>),
    /// A line of the program: what is behind `|`.
    Source(String),
    Mark(&'static str),
    Newline,
    End,
}

impl fmt::Display for TokenKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => write!(f, "`{word}`"),
            Self::Name(name) => write!(f, "`%{name}`"),
            Self::Int(_) => f.write_str("an int"),
            Self::Float(_) => f.write_str("a float"),
            Self::Str(_) => f.write_str("a str"),
            Self::Bytes(_) => f.write_str("a bytes"),
            Self::Source(_) => f.write_str("a line of the program"),
            Self::Mark(mark) => write!(f, "`{mark}`"),
            Self::Newline => f.write_str("the end of the line"),
            Self::End => f.write_str("the end of the file"),
        }
    }
}

/// A token and its bytes in the text.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) span: Range<usize>,
}

const MARKS: [&str; 12] = ["->", "(", ")", "[", "]", "{", "}", ",", ":", "=", "!", "@"];

/// The tokens of a text, the last of which is [`TokenKind::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<Token>> {
    let mut lexer = Lexer {
        text,
        at: 0,
        depth: 0,
        tokens: Vec::new(),
    };
    while lexer.next()? {}
    Ok(lexer.tokens)
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
    /// Open brackets.
    depth: usize,
    tokens: Vec<Token>,
}

impl<'t> Lexer<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    /// Takes what `parser` finds here, which may be nothing.
    fn take(&mut self, mut parser: impl Parser<&'t str, &'t str, ContextError>) -> Option<&'t str> {
        let mut rest = self.rest();
        let found = parser.parse_next(&mut rest).ok()?;
        self.at += found.len();
        Some(found)
    }

    fn push(&mut self, kind: TokenKind, start: usize) {
        let span = start..self.at;
        self.tokens.push(Token { kind, span });
    }

    /// Reads one token; false behind the last.
    fn next(&mut self) -> Result<bool> {
        self.take(take_while(0.., [' ', '\t', '\r']));
        let start = self.at;
        let Some(first) = self.rest().chars().next() else {
            self.push(TokenKind::Newline, start);
            self.push(TokenKind::End, start);
            return Ok(false);
        };
        match first {
            '\n' => {
                self.at += 1;
                if self.depth == 0 {
                    self.push(TokenKind::Newline, start);
                }
            }
            '#' => drop(self.take(take_till(0.., '\n'))),
            '|' => self.source_line(start),
            '"' | '\'' => {
                let text = self.quoted(false)?;
                let mut str = String::with_capacity(text.len());
                text.into_iter()
                    .for_each(|point| surrogates::push(&mut str, point));
                self.push(TokenKind::Str(str), start);
            }
            'b' if self.rest()[1..].starts_with(['"', '\'']) => {
                self.at += 1;
                let bytes = self.quoted(true)?;
                // Every character is that of a byte, as `quoted` has seen to.
                let bytes = bytes.into_iter().map(|byte| byte as u8).collect();
                self.push(TokenKind::Bytes(bytes), start);
            }
            '%' => self.name(start)?,
            _ if self.number(start)? || self.word(start) || self.mark(start) => {}
            other => {
                let span = start..start + other.len_utf8();
                return Err(Problem::new(
                    span,
                    format_args!("unexpected character {other:?}"),
                ));
            }
        }
        Ok(true)
    }

    fn source_line(&mut self, start: usize) {
        let line = self.take(take_till(0.., '\n')).unwrap_or_default();
        let line = &line[1..];
        let line = line.strip_prefix(' ').unwrap_or(line);
        self.push(TokenKind::Source(line.to_owned()), start);
    }

    fn name(&mut self, start: usize) -> Result<()> {
        self.at += 1;
        let name = self.take(take_while(0.., is_word_char)).unwrap_or_default();
        if name.is_empty() {
            let what = "expected a name behind `%`";
            return Err(Problem::new(start..self.at, what));
        }
        self.push(TokenKind::Name(name.to_owned()), start);
        Ok(())
    }

    fn word(&mut self, start: usize) -> bool {
        let is_start = |char: char| is_word_char(char) && !char.is_numeric() && char != '.';
        let word = (one_of(is_start), take_while(0.., is_word_char)).take();
        let Some(word) = self.take(word) else {
            return false;
        };
        let kind = match word {
            "inf" => TokenKind::Float(f64::INFINITY),
            "nan" => TokenKind::Float(f64::NAN),
            _ => TokenKind::Word(word.to_owned()),
        };
        self.push(kind, start);
        true
    }

    fn mark(&mut self, start: usize) -> bool {
        let Some(&mark) = MARKS.iter().find(|&&mark| self.rest().starts_with(mark)) else {
            return false;
        };
        self.at += mark.len();
        match mark {
            "(" | "[" | "{" => self.depth += 1,
            ")" | "]" | "}" => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        self.push(TokenKind::Mark(mark), start);
        true
    }

    /// A number, if there is one here.
    fn number(&mut self, start: usize) -> Result<bool> {
        let special = (literal("-"), alt((literal("inf"), literal("nan")))).take();
        if let Some(found) = self.take(special) {
            let value = if found == "-inf" {
                f64::NEG_INFINITY
            } else {
                -f64::NAN
            };
            self.push(TokenKind::Float(value), start);
            return Ok(true);
        }
        // A sign may follow the letter of an exponent: `e` of a decimal float, `p` of a hexadecimal one.
        let body = |char: char| char.is_ascii_alphanumeric() || char == '.' || char == '_';
        let number = (
            opt(literal("-")),
            one_of(|char: char| char.is_ascii_digit()),
            take_while(0.., body),
        )
            .take();
        let Some(mut found) = self.take(number) else {
            return Ok(false);
        };
        let is_hex = found.trim_start_matches('-').starts_with("0x");
        let exponent = if is_hex { 'p' } else { 'e' };
        if found.ends_with(exponent) && self.rest().starts_with(['+', '-']) {
            self.at += 1;
            self.take(take_while(0.., body));
            found = &self.text[start..self.at];
        }
        match number_kind(found) {
            Some(kind) => self.push(kind, start),
            None => {
                return Err(Problem::expected(
                    start..self.at,
                    "a number",
                    format_args!("`{found}`"),
                ));
            }
        }
        Ok(true)
    }

    /// The code points of a str or the bytes of one, quoted as Python quotes it, from the opening quote.
    fn quoted(&mut self, bytes: bool) -> Result<Vec<u32>> {
        let start = self.at;
        let mut chars = self.rest().char_indices().skip(1);
        let quote = self.text[start..].chars().next();
        let mut found = Vec::new();
        while let Some((offset, char)) = chars.next() {
            let place = start + offset;
            let decoded = match char {
                char if Some(char) == quote => {
                    self.at = place + char.len_utf8();
                    return Ok(found);
                }
                '\n' => break,
                '\\' => {
                    let (decoded, len) = escape(&self.text[place..], bytes)
                        .ok_or_else(|| unknown_escape(self.text, place))?;
                    for _ in 2..len {
                        chars.next();
                    }
                    chars.next();
                    decoded
                }
                char if bytes && !char.is_ascii() => {
                    let span = place..place + char.len_utf8();
                    return Err(Problem::expected(
                        span,
                        "an ASCII character",
                        format_args!("{char:?}"),
                    ));
                }
                char => char.into(),
            };
            found.push(decoded);
        }
        let end = self.text[start..]
            .find('\n')
            .map_or(self.text.len(), |length| start + length);
        Err(Problem::new(start..end, "the quoted text does not end"))
    }
}

fn unknown_escape(text: &str, place: usize) -> Problem {
    let length = text[place..]
        .chars()
        .take(2)
        .map(char::len_utf8)
        .sum::<usize>();
    let what = format!(
        "unknown escape `{}`",
        text[place..place + length].escape_debug()
    );
    Problem::new(place..place + length, what)
}

/// The code point that an escape stands for, and the length of the escape in characters.
fn escape(text: &str, bytes: bool) -> Option<(u32, usize)> {
    let letter = text[1..].chars().next()?;
    let decoded = match letter {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        '0' => '\0',
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0c',
        'v' => '\x0b',
        '\\' | '\'' | '"' => letter,
        'x' => return hex_escape(text, 2),
        'u' if !bytes => return hex_escape(text, 4),
        'U' if !bytes => return hex_escape(text, 8),
        _ => return None,
    };
    Some((decoded.into(), 2))
}

fn hex_escape(text: &str, digits: usize) -> Option<(u32, usize)> {
    let digits = text.get(2..2 + digits)?;
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let code = u32::from_str_radix(digits, 16).ok()?;
    (code <= char::MAX.into()).then_some((code, 2 + digits.len()))
}

pub(super) fn is_word_char(char: char) -> bool {
    char.is_alphanumeric() || char == '_' || char == '.'
}

/// Whether a name needs no quotes.
pub(super) fn is_word(text: &str) -> bool {
    let starts = |char: char| is_word_char(char) && !char.is_numeric() && char != '.';
    text.starts_with(starts)
        && text.chars().all(is_word_char)
        && !matches!(text, "inf" | "nan" | "None" | "True" | "False" | "null")
}

fn number_kind(text: &str) -> Option<TokenKind> {
    let (sign, magnitude) = match text.strip_prefix('-') {
        Some(magnitude) => ("-", magnitude),
        None => ("", text),
    };
    if let Some(digits) = magnitude.strip_prefix("0x") {
        if digits.contains('p') {
            return hex_float::parse(text).map(TokenKind::Float);
        }
        let is_hex =
            digits.len() <= MAX_HEX_DIGITS && digits.bytes().all(|b| b.is_ascii_hexdigit());
        let value = BigInt::parse_bytes(digits.as_bytes(), 16).filter(|_| is_hex)?;
        return Some(TokenKind::Int(int_text(sign, &value.to_string())));
    }
    if magnitude.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(TokenKind::Int(int_text(sign, magnitude)));
    }
    if magnitude.contains('_') || magnitude.ends_with(char::is_alphabetic) {
        return None;
    }
    let value: f64 = text.parse().ok()?;
    value.is_finite().then_some(TokenKind::Float(value))
}

/// The digits without leading zeros; there is no negative zero.
fn int_text(sign: &str, digits: &str) -> String {
    match digits.trim_start_matches('0') {
        "" => "0".to_owned(),
        digits => format!("{sign}{digits}"),
    }
}
