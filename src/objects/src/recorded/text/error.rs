//! What is wrong with a text, and where: shown as rustc shows errors.

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use std::fmt;
use std::ops::Range;

/// Why a text is not a trace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {message}")]
pub struct TextError {
    /// What was expected and what was found.
    pub message: String,
    /// The place, in bytes from the start of the text.
    pub span: Range<usize>,
    /// Line of the place, from 1.
    pub line: usize,
    /// Column of the place in characters, from 1.
    pub column: usize,
}

impl TextError {
    /// The error with its place in `text`, which is the text that was read.
    pub(super) fn new(text: &str, problem: Problem) -> Self {
        let start = floor(text, problem.span.start);
        // What goes over several lines is shown by its first.
        let line_end = text[start..]
            .find('\n')
            .map_or(text.len(), |length| start + length);
        let end = floor(text, problem.span.end).clamp(start, line_end);
        let before = &text[..start];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            message: problem.message,
            span: start..end,
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    /// The message with the line it is about, the place underlined. `path` names the file, and `text` is what was read.
    pub fn render(&self, path: &str, text: &str) -> String {
        let start = floor(text, self.span.start);
        let span = start..floor(text, self.span.end).max(start);
        let snippet = Snippet::source(text)
            .path(path)
            .annotation(AnnotationKind::Primary.span(span));
        let title = Level::ERROR.primary_title(self.message.as_str());
        Renderer::plain().render(&[title.element(snippet)])
    }
}

/// The start of the character at or before a place.
fn floor(text: &str, place: usize) -> usize {
    let place = place.min(text.len());
    (0..=place)
        .rev()
        .find(|&place| text.is_char_boundary(place))
        .unwrap_or(0)
}

/// What is wrong at some bytes of the text.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    pub(super) message: String,
    pub(super) span: Range<usize>,
}

impl Problem {
    pub(super) fn new(span: Range<usize>, message: impl fmt::Display) -> Self {
        Self {
            message: message.to_string(),
            span,
        }
    }

    pub(super) fn expected(
        span: Range<usize>,
        expected: impl fmt::Display,
        found: impl fmt::Display,
    ) -> Self {
        Self::new(span, format_args!("expected {expected}, found {found}"))
    }
}

pub(super) type Result<T> = std::result::Result<T, Problem>;
