//! A stencil function: its arrays of bytes, where they are copied to, and the calls that patch them. All other
//! statements are passed over.

use super::tokens::{Token, TokenKind, Tokens, source};
use super::{HeaderHole, HeaderPart, HeaderProblem, Problem, Result, twice};
use std::collections::HashMap;

/// What the name of a part's array has behind that of the part.
const BODY: &str = "_body";

/// How many variables are followed from a place to the part that it was computed from.
const MAX_STEPS: usize = 8;

/// How many names of an expression are looked at.
const MAX_NAMES: usize = 16;

/// How many parts a function may have.
pub(super) const MAX_PARTS: usize = 16;

/// The part that may be without an array: newer generators leave out what is all zero, for fresh memory is. Code is never.
const DATA: &str = "data";

/// A stencil function that was read.
pub(super) struct Function<'t> {
    pub(super) name: Token<'t>,
    pub(super) parts: Vec<FunctionPart<'t>>,
}

/// A part, and what its sizes may say of it.
pub(super) struct FunctionPart<'t> {
    pub(super) name: &'t str,
    /// Those that are written; zeros follow up to the length.
    bytes: Vec<u8>,
    /// The bytes that it is declared with; `None` where it has no array, so that only a group can say it.
    pub(super) length: Option<u64>,
    patches: Vec<Patch<'t>>,
    /// Whether it is copied to another place than the one that is called like it.
    pub(super) is_moved: bool,
    /// The bytes that a group asks for beyond those.
    pub(super) room: u32,
    start: usize,
}

impl<'t> Function<'t> {
    /// Reads a function's body, from behind its brace.
    pub(super) fn read(
        text: &'t str,
        tokens: &mut Tokens<'t>,
        name: Token<'t>,
        open: Token<'t>,
    ) -> Result<Self> {
        let mut reader = Reader {
            text,
            name,
            parts: Vec::new(),
            places: HashMap::new(),
            variables: HashMap::new(),
            patches: Vec::new(),
        };
        reader.body(tokens, open)?;
        reader.finish()
    }

    pub(super) fn part_mut(&mut self, name: &str) -> Option<&mut FunctionPart<'t>> {
        self.parts.iter_mut().find(|part| part.name == name)
    }

    /// The parts that have bytes, with their holes in order. `zeros` is how many bytes may be added that are not written.
    pub(super) fn into_parts(self, zeros: &mut u64) -> Result<Vec<HeaderPart>> {
        let mut parts = Vec::new();
        for part in self.parts {
            let part = part.finish(self.name, zeros)?;
            if !part.bytes.is_empty() {
                parts.push(part);
            }
        }
        Ok(parts)
    }
}

impl FunctionPart<'_> {
    /// With all its bytes, in which its holes must be.
    fn finish(mut self, function: Token<'_>, zeros: &mut u64) -> Result<HeaderPart> {
        let length = match (self.length, self.patches.first()) {
            (Some(length), _) => length,
            (None, None) => 0,
            (None, Some(patch)) => {
                let problem = HeaderProblem::NoSize {
                    patch: patch.function.text.to_owned(),
                    part: self.name.to_owned(),
                    function: function.text.to_owned(),
                };
                return Err(Problem::new(patch.function.start, problem));
            }
        };
        let missing = length.saturating_sub(self.bytes.len() as u64);
        *zeros = zeros
            .checked_sub(missing)
            .ok_or_else(|| Problem::new(self.start, HeaderProblem::Zeros))?;
        let patches = std::mem::take(&mut self.patches).into_iter();
        let holes = patches.map(|patch| patch.hole(function, self.name, length));
        let mut holes = holes.collect::<Result<Vec<_>>>()?;
        holes.sort_by_key(|hole| hole.offset);
        self.bytes.resize(length as usize, 0);
        Ok(HeaderPart {
            name: self.name.to_owned(),
            bytes: self.bytes,
            holes,
            room: self.room,
        })
    }
}

/// A call that patches, before it is known what.
struct Patch<'t> {
    function: Token<'t>,
    /// The argument that says where, without the offset.
    place: Vec<Token<'t>>,
    offset: u64,
    value: String,
}

struct Reader<'t> {
    text: &'t str,
    name: Token<'t>,
    parts: Vec<FunctionPart<'t>>,
    /// The parts that are copied to a place, by its text.
    places: HashMap<String, usize>,
    /// The names in what is assigned to a variable.
    variables: HashMap<&'t str, Vec<&'t str>>,
    patches: Vec<Patch<'t>>,
}

impl<'t> Reader<'t> {
    /// Statement for statement, whatever blocks they are in.
    fn body(&mut self, tokens: &mut Tokens<'t>, open: Token<'t>) -> Result<()> {
        let mut blocks = 1_usize;
        let mut last = open;
        while blocks > 0 {
            let token = tokens.next()?;
            match (token.kind, token.text) {
                (TokenKind::End, _) => return Err(token.unexpected("`}`")),
                (TokenKind::Mark, "{") => blocks += 1,
                (TokenKind::Mark, "}") => blocks -= 1,
                _ => self.statement(tokens, last, token)?,
            }
            last = token;
        }
        Ok(())
    }

    /// Reads what begins with `token`, if it is one of what is read. `tokens` is behind the token.
    fn statement(
        &mut self,
        tokens: &mut Tokens<'t>,
        last: Token<'t>,
        token: Token<'t>,
    ) -> Result<()> {
        let Some(name) = token.identifier() else {
            return Ok(());
        };
        if let Some(part) = name.strip_suffix(BODY).filter(|_| is_byte_type(last)) {
            return self.array(tokens, token, part);
        }
        let next = tokens.peek()?;
        if next.is("=") {
            return self.assignment(tokens, name);
        }
        if next.is("(") && name.ends_with("memcpy") {
            return self.copy(tokens);
        }
        if next.is("(") && name.split('_').any(|word| word == "patch") {
            return self.patch(tokens, token);
        }
        Ok(())
    }

    /// An array of bytes, from behind its name.
    fn array(&mut self, tokens: &mut Tokens<'t>, array: Token<'t>, name: &'t str) -> Result<()> {
        if let Some(first) = self.parts.iter().find(|part| part.name == name) {
            return Err(twice(self.text, "array", array, first.start));
        }
        if self.parts.len() == MAX_PARTS {
            return Err(Problem::new(array.start, HeaderProblem::Parts));
        }
        tokens.expect("[")?;
        let (declared, size) = tokens.expect_number("the number of bytes")?;
        tokens.expect("]")?;
        tokens.expect("=")?;
        tokens.expect("{")?;
        let mut bytes = Vec::new();
        while !tokens.take_if("}")? {
            let (number, token) = tokens.expect_number("a byte or `}`")?;
            let byte = u8::try_from(number)
                .map_err(|_| Problem::new(token.start, HeaderProblem::NotAByte(number)))?;
            bytes.push(byte);
            let next = tokens.peek()?;
            if !tokens.take_if(",")? && !next.is("}") {
                return Err(next.unexpected("`,` or `}`"));
            }
        }
        // What is not written is zero (C17, 6.7.9).
        if declared < bytes.len() as u64 {
            let problem = HeaderProblem::Length {
                function: self.name.text.to_owned(),
                array: array.text.to_owned(),
                declared,
                found: bytes.len() as u64,
            };
            return Err(Problem::new(size.start, problem));
        }
        self.parts.push(FunctionPart {
            name,
            bytes,
            length: Some(declared),
            patches: Vec::new(),
            is_moved: false,
            room: 0,
            start: array.start,
        });
        Ok(())
    }

    /// A variable is given a value, from before the `=` to the end of the statement.
    fn assignment(&mut self, tokens: &mut Tokens<'t>, variable: &'t str) -> Result<()> {
        let mut names = Vec::new();
        loop {
            let next = tokens.peek()?;
            if next.kind == TokenKind::End || matches!(next.text, ";" | "{" | "}") {
                break;
            }
            let name = tokens.next()?.identifier();
            names.extend(name.filter(|_| names.len() < MAX_NAMES));
        }
        self.variables.insert(variable, names);
        Ok(())
    }

    /// `memcpy(PLACE, NAME_body, SIZE)`, from before the bracket. What copies something else is passed over.
    fn copy(&mut self, tokens: &mut Tokens<'t>) -> Result<()> {
        let open = tokens.next()?;
        let (arguments, _) = tokens.list(open)?;
        let [place, from, ..] = &arguments[..] else {
            return Ok(());
        };
        let [array] = from[..] else {
            return Ok(());
        };
        let Some(name) = array.text.strip_suffix(BODY) else {
            return Ok(());
        };
        let Some(part) = self.parts.iter().position(|part| part.name == name) else {
            let problem = HeaderProblem::NoArray {
                function: self.name.text.to_owned(),
                array: array.text.to_owned(),
            };
            return Err(Problem::new(array.start, problem));
        };
        let place = source(place);
        self.parts[part].is_moved |= place != name;
        self.places.insert(place, part);
        Ok(())
    }

    /// `PATCH(PLACE + OFFSET, VALUE)`, from before the bracket.
    fn patch(&mut self, tokens: &mut Tokens<'t>, function: Token<'t>) -> Result<()> {
        let open = tokens.next()?;
        let mut comma = None;
        let mut inside = Vec::new();
        let close = tokens.within(open, |token, depth| {
            if depth == 0 && comma.is_none() && token.is(",") {
                comma = Some((inside.len(), token));
            }
            inside.push(token);
            Ok(())
        })?;
        let Some((comma, _)) = comma.filter(|&(at, _)| at + 1 < inside.len()) else {
            return Err(close.unexpected("`,` and the value of the hole"));
        };
        let (place, offset) = match &inside[..comma] {
            [place @ .., plus, number] if plus.is("+") && !place.is_empty() => {
                let offset = number.number();
                let offset = offset.ok_or_else(|| number.unexpected("an offset"))?;
                (place, offset)
            }
            place if !place.is_empty() => (place, 0),
            _ => return Err(inside[comma].unexpected("a place and `+` an offset")),
        };
        self.patches.push(Patch {
            function,
            place: place.to_vec(),
            offset,
            value: source(&inside[comma + 1..]),
        });
        Ok(())
    }

    /// Gives each patch to its part.
    fn finish(mut self) -> Result<Function<'t>> {
        if self.part_named(DATA).is_none() {
            self.parts.push(FunctionPart {
                name: DATA,
                bytes: Vec::new(),
                length: None,
                patches: Vec::new(),
                is_moved: false,
                room: 0,
                start: self.name.start,
            });
        }
        for patch in std::mem::take(&mut self.patches) {
            let place = source(&patch.place);
            let Some(part) = self.part_at(&place, &patch.place) else {
                let problem = HeaderProblem::Place {
                    function: self.name.text.to_owned(),
                    patch: patch.function.text.to_owned(),
                    place,
                };
                return Err(Problem::new(patch.function.start, problem));
            };
            self.parts[part].patches.push(patch);
        }
        Ok(Function {
            name: self.name,
            parts: self.parts,
        })
    }

    /// Which part is at a place.
    fn part_at(&self, place: &str, tokens: &[Token<'t>]) -> Option<usize> {
        if let Some(&part) = self.places.get(place) {
            return Some(part);
        }
        let mut names: Vec<&str> = tokens.iter().filter_map(Token::identifier).collect();
        for _ in 0..MAX_STEPS {
            if let Some(part) = names.iter().find_map(|name| self.part_named(name)) {
                return Some(part);
            }
            let variable = names.iter().find_map(|name| self.variables.get(name));
            names.clone_from(variable?);
        }
        None
    }

    /// The part that is copied to a variable, or else is called like it.
    fn part_named(&self, name: &str) -> Option<usize> {
        let called = || self.parts.iter().position(|part| part.name == name);
        self.places.get(name).copied().or_else(called)
    }
}

impl Patch<'_> {
    fn hole(self, function: Token<'_>, part: &str, length: u64) -> Result<HeaderHole> {
        let width = patch_width(self.function.text);
        let end = self.offset.saturating_add(u64::from(width));
        match u32::try_from(self.offset) {
            Ok(offset) if end <= length => Ok(HeaderHole {
                offset,
                function: self.function.text.to_owned(),
                value: self.value,
            }),
            _ => {
                let problem = HeaderProblem::Outside {
                    patch: self.function.text.to_owned(),
                    offset: self.offset,
                    width,
                    part: part.to_owned(),
                    function: function.text.to_owned(),
                    length,
                };
                Err(Problem::new(self.function.start, problem))
            }
        }
    }
}

/// See [`HeaderHole::width`].
pub(super) fn patch_width(function: &str) -> u32 {
    // The 64 of x86_64 and the like says nothing of the width.
    let name = function.replace("x86_64", "").replace("aarch64", "");
    let widths = [("64", 8), ("32", 4), ("16", 2)];
    let width = widths.iter().find(|(digits, _)| name.contains(digits));
    width.map_or(1, |&(_, width)| width)
}

/// Whether a declaration with this word before its name is one of bytes.
fn is_byte_type(token: Token<'_>) -> bool {
    token.is("char") || token.is("uint8_t")
}
