//! Words of C: from the characters of a header to tokens. Comments and preprocessor lines are space; where a file begins
//! with comments, their lines can be had.

use super::{HeaderProblem, Problem, Result};
use winnow::Parser;
use winnow::ascii::till_line_ending;
use winnow::combinator::{alt, repeat};
use winnow::error::ContextError;
use winnow::token::{any, none_of, one_of, take_till, take_until, take_while};

/// How deep brackets may nest.
pub(super) const MAX_DEPTH: usize = 64;

/// How many characters of a token a message shows.
const SHOWN: usize = 40;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    Identifier,
    /// A preprocessing number (C17, 6.4.8): all that begins with a digit.
    Number,
    /// A string or a character.
    Literal,
    /// One character of punctuation.
    Mark,
    End,
}

/// A token and where it begins, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'t> {
    pub(super) kind: TokenKind,
    pub(super) text: &'t str,
    pub(super) start: usize,
}

impl<'t> Token<'t> {
    pub(super) fn is(&self, text: &str) -> bool {
        self.text == text
    }

    /// The text, if this is an identifier.
    pub(super) fn identifier(&self) -> Option<&'t str> {
        (self.kind == TokenKind::Identifier).then_some(self.text)
    }

    pub(super) fn end(&self) -> usize {
        self.start + self.text.len()
    }

    /// That something else was expected here.
    pub(super) fn unexpected(&self, expected: impl Into<String>) -> Problem {
        let expected = expected.into();
        let found = self.shown();
        Problem::new(self.start, HeaderProblem::Unexpected { expected, found })
    }

    /// How messages name the token.
    pub(super) fn shown(&self) -> String {
        if self.kind == TokenKind::End {
            return "the end of the file".to_owned();
        }
        let shown: String = self.text.chars().take(SHOWN).collect();
        let more = if shown.len() < self.text.len() {
            "..."
        } else {
            ""
        };
        format!("`{shown}{more}`")
    }

    /// The number, decimal or hexadecimal, with or without the suffixes of C.
    pub(super) fn number(&self) -> Option<u64> {
        let digits = self.text.trim_end_matches(['u', 'U', 'l', 'L']);
        match digits
            .strip_prefix("0x")
            .or_else(|| digits.strip_prefix("0X"))
        {
            // `from_str_radix` would take a sign, but no token has one.
            Some(digits) => u64::from_str_radix(digits, 16).ok(),
            // What begins with another zero would be octal.
            None if digits.len() > 1 && digits.starts_with('0') => None,
            None => digits.parse().ok(),
        }
    }
}

/// A place between tokens. A copy of it looks ahead.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tokens<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Tokens<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    /// Takes what `parser` finds here.
    fn take(&mut self, mut parser: impl Parser<&'t str, &'t str, ContextError>) -> Option<&'t str> {
        let mut rest = self.rest();
        let found = parser.parse_next(&mut rest).ok()?;
        self.at += found.len();
        Some(found)
    }

    /// The next token, which is taken.
    pub(super) fn next(&mut self) -> Result<Token<'t>> {
        while self.take_space() || self.take_comment()?.is_some() || self.take_directive().is_some()
        {
        }
        let start = self.at;
        let is_letter = |char: char| char.is_ascii_alphabetic() || char == '_';
        let in_word = |char: char| char.is_ascii_alphanumeric() || char == '_';
        let in_number = move |char: char| in_word(char) || char == '.';
        let is_digit = |char: char| char.is_ascii_digit();
        let token = |kind, text| Ok(Token { kind, text, start });
        let Some(first) = self.rest().chars().next() else {
            return token(TokenKind::End, "");
        };
        if let Some(text) = self.take((one_of(is_letter), take_while(0.., in_word)).take()) {
            return token(TokenKind::Identifier, text);
        }
        if let Some(text) = self.take((one_of(is_digit), take_while(0.., in_number)).take()) {
            return token(TokenKind::Number, text);
        }
        match first {
            '"' | '\'' => match self.take(quoted(first)) {
                Some(text) => token(TokenKind::Literal, text),
                None => Err(Problem::new(start, HeaderProblem::OpenLiteral)),
            },
            mark if mark.is_ascii_graphic() => {
                self.at += 1;
                token(TokenKind::Mark, &self.text[start..self.at])
            }
            other => Err(Problem::new(start, HeaderProblem::Character(other))),
        }
    }

    /// The next token, which stays.
    pub(super) fn peek(&self) -> Result<Token<'t>> {
        let mut ahead = *self;
        ahead.next()
    }

    /// Takes the next token if it is this one.
    pub(super) fn take_if(&mut self, text: &str) -> Result<bool> {
        let mut ahead = *self;
        let taken = ahead.next()?.is(text);
        if taken {
            *self = ahead;
        }
        Ok(taken)
    }

    /// Takes the next token, which must be this one.
    pub(super) fn expect(&mut self, text: &str) -> Result<Token<'t>> {
        match self.next()? {
            token if token.is(text) => Ok(token),
            other => Err(other.unexpected(format!("`{text}`"))),
        }
    }

    /// Takes the next token, which must be a number.
    pub(super) fn expect_number(&mut self, what: &str) -> Result<(u64, Token<'t>)> {
        let token = self.next()?;
        let number = token.number().ok_or_else(|| token.unexpected(what))?;
        Ok((number, token))
    }

    /// Takes everything up to the bracket that closes `open`, which was taken, and gives that bracket. `inside` is handed
    /// each token between them, and in how many more brackets it is; those themselves are outside.
    pub(super) fn within(
        &mut self,
        open: Token<'t>,
        mut inside: impl FnMut(Token<'t>, usize) -> Result<()>,
    ) -> Result<Token<'t>> {
        let mut closing = vec![closing_of(open)];
        loop {
            let token = self.next()?;
            let depth = closing.len() - 1;
            match (token.kind, token.text) {
                (TokenKind::End, _) => {
                    return Err(token.unexpected(format!("`{}`", closing[depth])));
                }
                (TokenKind::Mark, "(" | "[" | "{") => {
                    if closing.len() == MAX_DEPTH {
                        return Err(Problem::new(token.start, HeaderProblem::Depth));
                    }
                    closing.push(closing_of(token));
                    inside(token, depth)?;
                }
                (TokenKind::Mark, ")" | "]" | "}") => {
                    if !token.is(closing[depth]) {
                        return Err(token.unexpected(format!("`{}`", closing[depth])));
                    }
                    closing.pop();
                    if closing.is_empty() {
                        return Ok(token);
                    }
                    inside(token, depth - 1)?;
                }
                _ => inside(token, depth)?,
            }
        }
    }

    /// Passes over everything up to the bracket that closes `open`, and gives that bracket.
    pub(super) fn skip(&mut self, open: Token<'t>) -> Result<Token<'t>> {
        self.within(open, |_, _| Ok(()))
    }

    /// What stands between commas up to the bracket that closes `open`, and that bracket.
    pub(super) fn list(&mut self, open: Token<'t>) -> Result<(Vec<Vec<Token<'t>>>, Token<'t>)> {
        let mut items = Vec::new();
        let mut item = Vec::new();
        let close = self.within(open, |token, depth| {
            match (depth, token.text) {
                (_, ";") => {
                    let expected = format!("`,` or `{}`", closing_of(open));
                    return Err(token.unexpected(expected));
                }
                (0, ",") => items.push(std::mem::take(&mut item)),
                _ => item.push(token),
            }
            Ok(())
        })?;
        // A comma may stand behind the last.
        if !item.is_empty() {
            items.push(item);
        }
        Ok((items, close))
    }

    /// The lines of the comments before the first token, without their marks.
    pub(super) fn heading(mut self) -> Result<Vec<&'t str>> {
        let mut lines = Vec::new();
        loop {
            while self.take_space() || self.take_directive().is_some() {}
            let Some(comment) = self.take_comment()? else {
                return Ok(lines);
            };
            match comment.strip_prefix("//") {
                Some(line) => lines.push(line.trim()),
                None => {
                    let inside = comment.trim_start_matches("/*").trim_end_matches("*/");
                    let inside = inside.lines().map(|line| line.trim());
                    lines.extend(inside.map(|line| line.trim_start_matches('*').trim_start()));
                }
            }
        }
    }

    /// The preprocessor lines; `None` if there is anything else but comments.
    pub(super) fn directives(mut self) -> Result<Option<Vec<Token<'t>>>> {
        let mut directives = Vec::new();
        while !self.rest().is_empty() {
            let start = self.at;
            if let Some(text) = self.take_directive() {
                let kind = TokenKind::Mark;
                directives.push(Token { kind, text, start });
            } else if !self.take_space() && self.take_comment()?.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(directives))
    }

    fn take_space(&mut self) -> bool {
        let is_space = |char: char| char.is_ascii_whitespace() || char == '\x0b';
        self.take(take_while(1.., is_space)).is_some()
    }

    fn take_comment(&mut self) -> Result<Option<&'t str>> {
        if let Some(found) = self.take(("//", till_line_ending).take()) {
            return Ok(Some(found));
        }
        if !self.rest().starts_with("/*") {
            return Ok(None);
        }
        let open = Problem::new(self.at, HeaderProblem::OpenComment);
        let found = self.take(("/*", take_until(0.., "*/"), "*/").take());
        found.map(Some).ok_or(open)
    }

    /// Takes a preprocessor line, with the lines that it goes on in.
    fn take_directive(&mut self) -> Option<&'t str> {
        if !self.rest().starts_with('#') {
            return None;
        }
        let before = self.text[..self.at].trim_end_matches([' ', '\t']);
        if !(before.is_empty() || before.ends_with('\n')) {
            return None;
        }
        let start = self.at;
        while let Some(line) = self.take(take_till(0.., '\n')) {
            self.at += usize::from(!self.rest().is_empty());
            if !line.trim_end_matches('\r').ends_with('\\') || self.rest().is_empty() {
                break;
            }
        }
        Some(&self.text[start..self.at])
    }
}

/// A string or character from quote to quote, on one line.
fn quoted<'t>(quote: char) -> impl Parser<&'t str, &'t str, ContextError> {
    let plain = none_of(move |char| char == quote || char == '\\' || char == '\n').void();
    let escape = ('\\', any).void();
    let inside = repeat::<_, _, (), _, _>(0.., alt((plain, escape)));
    (quote, inside, quote).take()
}

fn closing_of(open: Token<'_>) -> &'static str {
    match open.text {
        "(" => ")",
        "[" => "]",
        _ => "}",
    }
}

/// Tokens as they stand in the file, with one space where there is space or comment.
pub(super) fn source(tokens: &[Token<'_>]) -> String {
    let mut source = String::new();
    let mut end = None;
    for token in tokens {
        if end.is_some_and(|end| end != token.start) {
            source.push(' ');
        }
        source += token.text;
        end = Some(token.end());
    }
    source
}
