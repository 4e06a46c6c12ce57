//! Reading stencils from a C header in the form of CPython's `jit_stencils.h` (3.13, 3.14), which generators of such
//! headers write and people compare. Nothing of it is compiled or run.
//!
//! What is read of a file, in the grammar of C:
//!
//! ```c
//! // 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
//! void
//! emit__NAME(unsigned char *code, unsigned char *data)
//! {
//!     const unsigned char code_body[6] = {                     // a part: any name before `_body`
//!         0xff, 0x25, 0x00, 0x00, 0x00, 0x00,
//!     };
//!     memcpy(code, code_body, sizeof(code_body));              // where it goes
//!     patch_32r(code + 0x2, (uintptr_t)data + -0x4);           // a hole: any function with the word `patch`
//! }
//! typedef struct { void (*emit)(unsigned char *, unsigned char *); size_t code_size, data_size; } StencilGroup;
//! static const StencilGroup stencil_groups[] = { [_NAME] = {emit__NAME, 6, 0}, };
//! ```
//!
//! - A *stencil function* is one whose name is or ends in `emit_NAME`. Other functions, declarations, preprocessor lines and
//!   comments are passed over; conditions (`#if`) are not evaluated, both sides are read.
//! - A patch's first argument is a place and `+` an offset. The place says which part is patched: a destination of
//!   `memcpy`, the name of a part, or a variable that was computed from one of them. All other arguments together
//!   are the hole's value, any C without `;`.
//! - An array may have fewer bytes than it is declared with, and `data` no array at all but the size that its group says:
//!   what is not written is zero, at most 1 MiB of a header.
//! - The array whose elements name stencil functions has the groups. A group that is in no array, such as CPython's
//!   trampoline, stands alone.
//! - Which of a group's values are sizes is read from the `struct` that is its type: `code_size`, `code_len`, `code_length`
//!   or `code_bytes` is the size of the part `code`. Where the file does not define the type and has no other parts than
//!   code and data, the two values behind the function are their sizes. A size must be the number of bytes that the part
//!   has; at most [`MAX_ALIGN`](mimeo::table::MAX_ALIGN) more where the part is copied to another place than that of its
//!   name, which leaves room to align it.
//!
//! CPython 3.14's `jit_stencils.h` is a guard: it includes the file that has the stencils, which [`Header::guarded`] finds.
//!
//! A file is read from its start to its end, once; brackets nest at most 64 deep. What does not fit this is an error with
//! line and column.

mod function;
mod groups;
mod guard;
mod tokens;

use function::{Function, MAX_PARTS};
use groups::{Element, Fields};
use std::collections::{BTreeMap, HashMap};
use tokens::{MAX_DEPTH, Token, TokenKind, Tokens};

/// The largest header that is read, in bytes: some sixteen times CPython's.
pub const MAX_LENGTH: u64 = 16 << 20;

/// How many bytes of a header's stencils may be zeros that it does not write: some 300 times CPython's.
const MAX_ZEROS: u64 = 1 << 20;

/// The stencils of a header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The digest of what the stencils were made from: the first 64 hexadecimal digits in the comments that the file begins
    /// with.
    pub digest: Option<String>,
    /// The other lines of those comments, without marks and the spaces around them; empty ones are left out.
    pub comments: Vec<String>,
    /// The groups in the array, in its order.
    pub groups: Vec<HeaderGroup>,
    /// The groups that are not in the array, such as the trampoline, by name: the variable's, or the function's without
    /// `emit_` where no variable has it.
    pub others: Vec<HeaderGroup>,
}

/// A uop's stencils, or a group that stands alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderGroup {
    /// The index in the array, or else the name of the function without `emit_`.
    pub name: String,
    /// The parts that have bytes, in the order of the function.
    pub parts: Vec<HeaderPart>,
    /// What the array says of the group besides the function and the parts' sizes, as it is written.
    pub extra: Vec<String>,
}

/// Bytes with holes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderPart {
    /// What stands before `_body`: `code`, `data`.
    pub name: String,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The patches, ascending by offset, then in the order of the file.
    pub holes: Vec<HeaderHole>,
    /// How many bytes more the group asks for, in which a copy can be moved to be aligned.
    pub room: u32,
}

/// A call that patches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderHole {
    /// Bytes from the start of the part.
    pub offset: u32,
    /// The function that is called.
    pub function: String,
    /// The arguments behind the place as they are written, with one space where there is any.
    pub value: String,
}

impl HeaderHole {
    /// How many bytes are patched as far as the function's name says it: `patch_64`, `patch_32r`, `patch_x86_64_32rx`. One
    /// byte where it does not.
    pub fn width(&self) -> u32 {
        function::patch_width(&self.function)
    }
}

/// What is wrong with a header, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {problem}")]
pub struct HeaderError {
    /// Line of the place, from 1.
    pub line: usize,
    /// Column of the place in characters, from 1.
    pub column: usize,
    /// What was expected and what was found.
    pub problem: HeaderProblem,
}

/// What can be wrong with a header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderProblem {
    /// The file is larger than what is read.
    #[error("the file has more than {MAX_LENGTH} bytes")]
    TooLong,
    /// The file is not text.
    #[error("byte {0:#04x} is not UTF-8, expected text")]
    NotText(u8),
    /// No function of the file is one of stencils.
    #[error("no function is called `emit_NAME`, as those of a header of stencils are")]
    NoStencils,
    /// A guard that includes several files.
    #[error("expected one of the included files to be under the condition of x86-64 Linux")]
    NoTarget,
    /// A guard that includes a file of another directory.
    #[error("expected the name of a file in the same directory, found `{0}`")]
    Elsewhere(String),
    /// The functions are there, but no array.
    #[error("expected an array of stencil groups before the end of the file")]
    NoGroups,
    /// A token that cannot be here.
    #[error("expected {expected}, found {found}")]
    Unexpected {
        /// What could be here.
        expected: String,
        /// What is.
        found: String,
    },
    /// A character that C has only in comments and literals.
    #[error("unexpected character {0:?}")]
    Character(char),
    /// A comment that does not end.
    #[error("the comment does not end, expected `*/`")]
    OpenComment,
    /// A string or character that does not end on its line.
    #[error("the literal does not end on its line, expected its closing quote")]
    OpenLiteral,
    /// Brackets inside brackets, and so on.
    #[error("brackets are nested more than {MAX_DEPTH} deep")]
    Depth,
    /// An element of a byte array.
    #[error("{0} is not a byte, expected 0 to 0xff")]
    NotAByte(u64),
    /// A stencil function with more arrays than any needs.
    #[error("the function has more than {MAX_PARTS} arrays of bytes")]
    Parts,
    /// A byte array with more bytes than it is declared with.
    #[error("{array} of {function} is declared with {declared} bytes, but has {found}")]
    Length {
        /// The stencil function.
        function: String,
        /// The array.
        array: String,
        /// How many bytes there are to be.
        declared: u64,
        /// How many there are.
        found: u64,
    },
    /// Something is there twice.
    #[error("{what} {name} is defined twice, first in line {line}")]
    Twice {
        /// Function, part or group.
        what: &'static str,
        /// Its name.
        name: String,
        /// The line of the first.
        line: usize,
    },
    /// `memcpy` copies what is not there.
    #[error("{function} copies {array}, which it does not define")]
    NoArray {
        /// The stencil function.
        function: String,
        /// The missing array.
        array: String,
    },
    /// A patch of something that is no part.
    #[error(
        "{patch} patches `{place}`, expected a place that one of the arrays of {function} is copied to"
    )]
    Place {
        /// The stencil function.
        function: String,
        /// The function that is called to patch.
        patch: String,
        /// Where to.
        place: String,
    },
    /// A hole that does not lie in its part.
    #[error(
        "{patch} patches {width} bytes at {offset:#x}, but the {part} of {function} has {length}: the hole is outside"
    )]
    Outside {
        /// The function that is called to patch.
        patch: String,
        /// The hole's offset.
        offset: u64,
        /// Its least width in bytes.
        width: u32,
        /// The part.
        part: String,
        /// The stencil function.
        function: String,
        /// The bytes that the part has.
        length: u64,
    },
    /// A patch of what has no array, so that it has no length.
    #[error(
        "{patch} patches the {part} of {function}, which has no array, and no group says how many bytes it has"
    )]
    NoSize {
        /// The function that is called to patch.
        patch: String,
        /// The part.
        part: String,
        /// The stencil function.
        function: String,
    },
    /// More bytes are left out than any header leaves out.
    #[error("more than {MAX_ZEROS} bytes of the stencils are not written")]
    Zeros,
    /// A group without a function.
    #[error("group {group} names the function {function}, which the file does not define")]
    NoFunction {
        /// The group.
        group: String,
        /// The missing function.
        function: String,
    },
    /// A group whose sizes are not those of the bytes.
    #[error("group {group} says {declared} bytes of {part}, but {part}_body has {found}")]
    Size {
        /// The group.
        group: String,
        /// The part.
        part: String,
        /// The size in the group.
        declared: u64,
        /// The bytes that there are.
        found: u64,
    },
}

/// What is wrong at a byte of the text.
#[derive(Clone, Debug)]
struct Problem {
    start: usize,
    problem: HeaderProblem,
}

impl Problem {
    fn new(start: usize, problem: HeaderProblem) -> Self {
        Self { start, problem }
    }

    fn locate(self, text: &str) -> HeaderError {
        let before = text.get(..self.start).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        HeaderError {
            line: line_of(text, self.start),
            column: before[line_start..].chars().count() + 1,
            problem: self.problem,
        }
    }
}

type Result<T> = std::result::Result<T, Problem>;

fn line_of(text: &str, place: usize) -> usize {
    let before = &text.as_bytes()[..place.min(text.len())];
    before.iter().filter(|&&byte| byte == b'\n').count() + 1
}

impl Header {
    /// Of a guard of headers, which has nothing but preprocessor lines and comments: the name of the file that it includes,
    /// which is to be in the same directory, and in which line. Of several, the one under the condition of x86-64 Linux
    /// counts.
    ///
    /// ```
    /// use mimeo_compiler::c_header::Header;
    ///
    /// let file = b"#if defined(__x86_64__) && defined(__linux__)\n#include \"here.h\"\n#else\n#error\n#endif\n";
    /// assert_eq!(Header::guarded(file), Ok(Some(("here.h", 2))));
    /// assert_eq!(Header::guarded(b"int answer;"), Ok(None));
    /// ```
    ///
    /// # Errors
    /// It is a guard, but does not say which file is meant, or one that is elsewhere.
    pub fn guarded(file: &[u8]) -> std::result::Result<Option<(&str, usize)>, HeaderError> {
        let Ok(text) = std::str::from_utf8(file) else {
            return Ok(None);
        };
        let included = guard::included(text).map_err(|problem| problem.locate(text))?;
        Ok(included.map(|name| (name.text, line_of(text, name.start))))
    }

    /// Reads a header.
    ///
    /// ```
    /// use mimeo_compiler::c_header::Header;
    ///
    /// let file = b"
    /// void emit__STOP(unsigned char *code)
    /// {
    ///     const unsigned char code_body[1] = {0xc3,};
    ///     memcpy(code, code_body, sizeof(code_body));
    /// }
    /// static const StencilGroup stencil_groups[] = { [_STOP] = {emit__STOP, 2, 0}, };
    /// ";
    /// let error = Header::parse(file).unwrap_err();
    /// assert_eq!(error.to_string(), "7:71: group _STOP says 2 bytes of code, but code_body has 1");
    /// ```
    ///
    /// # Errors
    /// The file is not text, not C in the form that the [module](self) describes, or contradicts itself.
    pub fn parse(file: &[u8]) -> std::result::Result<Self, HeaderError> {
        let text = match std::str::from_utf8(file) {
            Ok(text) => text,
            Err(error) => {
                let start = error.valid_up_to();
                let before = std::str::from_utf8(&file[..start]).unwrap_or("");
                let byte = file.get(start).copied().unwrap_or_default();
                return Err(Problem::new(start, HeaderProblem::NotText(byte)).locate(before));
            }
        };
        parse(text).map_err(|problem| problem.locate(text))
    }
}

fn parse(text: &str) -> Result<Header> {
    if text.len() as u64 > MAX_LENGTH {
        return Err(Problem::new(0, HeaderProblem::TooLong));
    }
    // What is no header at all is told so, instead of which of its characters is not C.
    if !text.contains(EMIT) {
        return Err(Problem::new(0, HeaderProblem::NoStencils));
    }
    let mut reader = Reader::new(text);
    while reader.declaration()? {}
    reader.finish()
}

/// What the name of a stencil function has before that of the uop.
const EMIT: &str = "emit_";

/// The name of the uop in that of a stencil function: `_NOP` of `emit__NOP` and `mine_emit__NOP`.
fn uop_name(function: &str) -> Option<&str> {
    let (before, name) = function.split_once(EMIT)?;
    (before.is_empty() || before.ends_with('_')).then_some(name)
}

fn twice(text: &str, what: &'static str, name: Token<'_>, first: usize) -> Problem {
    let problem = HeaderProblem::Twice {
        what,
        name: name.text.to_owned(),
        line: line_of(text, first),
    };
    Problem::new(name.start, problem)
}

/// Reads a file from declaration to declaration.
struct Reader<'t> {
    text: &'t str,
    tokens: Tokens<'t>,
    /// How many `extern "C" {` are open.
    linkage: usize,
    /// The fields of each structure, by its tag and the name of its type.
    structures: HashMap<&'t str, Fields<'t>>,
    functions: BTreeMap<&'t str, Function<'t>>,
    elements: Vec<Element<'t>>,
    has_array: bool,
}

/// What was read of a declaration so far.
#[derive(Default)]
struct Declaration<'t> {
    /// The last token; the opening one of brackets.
    last: Option<Token<'t>>,
    /// The first identifiers outside brackets.
    names: Vec<&'t str>,
    /// The name before the last parameters.
    function: Option<Token<'t>>,
    /// The fields, where a structure is defined.
    fields: Option<Fields<'t>>,
    is_array: bool,
}

impl<'t> Reader<'t> {
    fn new(text: &'t str) -> Self {
        Self {
            text,
            tokens: Tokens::new(text),
            linkage: 0,
            structures: HashMap::new(),
            functions: BTreeMap::new(),
            elements: Vec::new(),
            has_array: false,
        }
    }

    /// Reads one declaration or definition; false at the end of the file.
    fn declaration(&mut self) -> Result<bool> {
        let mut declaration = Declaration::default();
        loop {
            let token = self.tokens.next()?;
            match (token.kind, token.text) {
                (TokenKind::End, _) => return self.end(&declaration, token),
                (TokenKind::Mark, ";") => {
                    self.define_structure(&declaration);
                    return Ok(true);
                }
                (TokenKind::Mark, "(") => {
                    declaration.name_function();
                    self.tokens.skip(token)?;
                }
                (TokenKind::Mark, "[") => {
                    declaration.is_array = true;
                    self.tokens.skip(token)?;
                }
                (TokenKind::Mark, "{") => {
                    if self.braces(&mut declaration, token)? {
                        return Ok(true);
                    }
                }
                (TokenKind::Mark, "=") => self.initialiser(&declaration)?,
                (TokenKind::Mark, "}") if self.linkage > 0 && declaration.last.is_none() => {
                    self.linkage -= 1;
                    return Ok(true);
                }
                (TokenKind::Mark, ")" | "]" | "}") => {
                    return Err(token.unexpected("a declaration"));
                }
                _ => declaration.name(token),
            }
            declaration.last = Some(token);
        }
    }

    fn end(&self, declaration: &Declaration<'t>, end: Token<'t>) -> Result<bool> {
        match (declaration.last, self.linkage) {
            (None, 0) => Ok(false),
            (None, _) => Err(end.unexpected("`}`")),
            (Some(_), _) => Err(end.unexpected("`;` or `{`")),
        }
    }

    /// What begins with a brace: a function's body, or the fields of a structure. Whether the declaration ends with it.
    fn braces(&mut self, declaration: &mut Declaration<'t>, open: Token<'t>) -> Result<bool> {
        let is = |what: &str| declaration.names.contains(&what);
        let last = declaration.last;
        match declaration.function {
            Some(name) if last.is_some_and(|last| last.is("(")) => {
                self.function(name, open)?;
                Ok(true)
            }
            _ if is("extern") && last.is_some_and(|last| last.kind == TokenKind::Literal) => {
                self.linkage += 1;
                Ok(true)
            }
            _ if is("struct") && declaration.fields.is_none() => {
                declaration.fields = Some(groups::fields(&mut self.tokens, open)?);
                Ok(false)
            }
            _ if is("union") || is("enum") => self.tokens.skip(open).map(|_| false),
            _ => Err(open.unexpected("a declaration")),
        }
    }

    /// Remembers the fields of a structure by its tag and the name of the type.
    fn define_structure(&mut self, declaration: &Declaration<'t>) {
        let Some(fields) = &declaration.fields else {
            return;
        };
        let names = &declaration.names;
        let keyword = names.iter().position(|&name| name == "struct");
        let tag = keyword.and_then(|keyword| names.get(keyword + 1));
        let last = declaration.last.and_then(|last| last.identifier());
        let type_name = last.filter(|_| names.contains(&"typedef"));
        for name in tag.copied().into_iter().chain(type_name) {
            self.structures.insert(name, fields.clone());
        }
    }

    fn function(&mut self, name: Token<'t>, open: Token<'t>) -> Result<()> {
        if uop_name(name.text).is_none() {
            return self.tokens.skip(open).map(drop);
        }
        if let Some(first) = self.functions.get(name.text) {
            return Err(twice(self.text, "function", name, first.name.start));
        }
        let function = Function::read(self.text, &mut self.tokens, name, open)?;
        self.functions.insert(name.text, function);
        Ok(())
    }

    /// What stands behind `=`: groups, or what is passed over.
    fn initialiser(&mut self, declaration: &Declaration<'t>) -> Result<()> {
        let open = self.tokens.peek()?;
        if !open.is("{") {
            return Ok(());
        }
        self.tokens.next()?;
        let depth = usize::from(declaration.is_array);
        if !groups::are_groups(self.tokens, open, depth)? {
            return self.tokens.skip(open).map(drop);
        }
        let known = |name: &&str| self.structures.get(*name);
        let mut names = declaration.names.iter();
        let fields = declaration.fields.as_ref().or(names.find_map(known));
        if declaration.is_array {
            self.has_array = true;
            let elements = groups::array(&mut self.tokens, fields)?;
            self.elements.extend(elements);
        } else {
            let element = groups::element(&mut self.tokens, declaration.last, open, fields)?;
            self.elements.push(element);
        }
        Ok(())
    }

    fn finish(self) -> Result<Header> {
        if !self.has_array {
            return Err(Problem::new(self.text.len(), HeaderProblem::NoGroups));
        }
        let mut header = heading(self.text)?;
        let functions = self.functions;
        (header.groups, header.others) = groups::resolve(self.text, self.elements, functions)?;
        Ok(header)
    }
}

/// How many identifiers of a declaration are remembered. What is looked for comes first.
const MAX_NAMES: usize = 16;

impl<'t> Declaration<'t> {
    fn name(&mut self, token: Token<'t>) {
        let name = token.identifier();
        self.names
            .extend(name.filter(|_| self.names.len() < MAX_NAMES));
    }

    /// Parameters begin: what stands before them may be a function's name.
    fn name_function(&mut self) {
        let is_name = |token: &Token<'_>| {
            let name = token.identifier();
            name.is_some_and(|name| !matches!(name, "__attribute__" | "__declspec" | "_Alignas"))
        };
        self.function = self.last.filter(is_name).or(self.function);
    }
}

/// A header of which only the comments at the start were read.
fn heading(text: &str) -> Result<Header> {
    let mut header = Header::default();
    for line in Tokens::new(text).heading()? {
        let is_digest = |word: &&str| {
            word.len() == DIGEST_DIGITS && word.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        let mut words = line.split(|char: char| !char.is_ascii_alphanumeric());
        match words.find(is_digest) {
            Some(digest) if header.digest.is_none() => header.digest = Some(digest.to_owned()),
            _ if line.is_empty() => {}
            _ => header.comments.push(line.to_owned()),
        }
    }
    Ok(header)
}

/// The hexadecimal digits of 32 bytes, as of SHA-256 and BLAKE3.
const DIGEST_DIGITS: usize = 64;

#[cfg(test)]
mod tests;
