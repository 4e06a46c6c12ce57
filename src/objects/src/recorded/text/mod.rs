//! The text form of traces, `.uops`: what the JSON form says, to be read and written by hand. Either form becomes the other
//! without loss; what a person would not write has its usual value when it is left out.
//!
//! ```text
//! trace "add_one"
//!
//! entry
//!     locals x=41, y
//!
//! executor
//!     _LOAD_FAST x
//!     _LOAD_CONST_INLINE 1
//!     _GUARD_BOTH_INT -> leave
//!     _BINARY_OP_ADD_INT ! fail
//!     _STORE_FAST y
//!     done: _EXIT_TRACE @12
//!     leave: _DEOPT @4
//!     fail: _ERROR_POP_N 2 @4
//!
//! expect done
//!     locals x=41, y=42
//! ```
//!
//! `tests/uops/README.md` explains the whole by examples.
//!
//! | Files | What they hold |
//! |---|---|
//! | `lex`, `syntax`, `parse` | from a text to its parts |
//! | `kinds` | the kinds of objects |
//! | `resolve`, `heap` | from the parts to the JSON form, in which everything refers by number |
//! | `write` | from a document to a text |
//! | `error` | errors as rustc shows them |

mod error;
mod heap;
mod kinds;
mod lex;
mod parse;
mod resolve;
mod syntax;
mod write;

use super::format::{Document, FormatError};
use error::Problem;
pub use error::TextError;
use syntax::Span;

impl Document {
    /// Reads a document in the text form and checks it completely.
    ///
    /// # Errors
    ///
    /// The first thing that is not as it should be, and its place in the text.
    pub fn parse_text(text: &str) -> Result<Self, TextError> {
        parse(text).map_err(|problem| TextError::new(text, problem))
    }

    /// The document in the text form: what [`parse_text`](Self::parse_text) makes the same document of.
    pub fn to_text(&self) -> String {
        write::document(self)
    }
}

fn parse(text: &str) -> Result<Document, Problem> {
    let file = parse::file(text)?;
    let resolved = resolve::resolve(&file)?;
    Document::from_json(&resolved.json).map_err(|error| {
        let span = span_of(&resolved.spans, error.path());
        Problem::new(span.unwrap_or(file.end), message(&error))
    })
}

/// The place of what a path of the JSON form leads to, or of the nearest thing around it that has one.
fn span_of(spans: &[(String, Span)], path: &str) -> Option<Span> {
    // What is behind a blank is said of the thing at the path.
    let mut path = path.split(' ').next()?;
    loop {
        if let Some((_, span)) = spans.iter().find(|(known, _)| known == path) {
            return Some(span.clone());
        }
        path = &path[..path.rfind(['.', '['])?];
    }
}

/// What is wrong, in a text's words: the place is shown, so that of its path only the last step is said.
fn message(error: &FormatError) -> String {
    let path = error.path();
    let field = path.rsplit_once('.').map_or(path, |(_, field)| field);
    match error {
        FormatError::Missing { expected, .. } => format!("expected {field}, {expected}"),
        FormatError::Index {
            found,
            what,
            length,
            ..
        } => format!("{field}: expected one of {length} {what}, found index {found}"),
        FormatError::Invalid {
            found, expected, ..
        } => format!("{field}: expected {expected}, found {found}"),
        FormatError::Cycle { kind, .. } => {
            format!("expected a {kind} of earlier objects, found one that contains itself")
        }
        other => other.to_string(),
    }
}

impl FormatError {
    /// The path to what is wrong; empty where that is the whole text.
    fn path(&self) -> &str {
        match self {
            Self::Syntax { .. } | Self::Version { .. } => "",
            Self::Missing { path, .. }
            | Self::WrongType { path, .. }
            | Self::Index { path, .. }
            | Self::Invalid { path, .. }
            | Self::Cycle { path, .. } => path,
        }
    }
}

#[cfg(test)]
mod tests;
