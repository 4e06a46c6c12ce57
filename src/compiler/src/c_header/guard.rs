//! A guard: a file of nothing but preprocessor lines that includes the header of each target under its condition, as
//! CPython 3.14's `jit_stencils.h` does.

use super::tokens::{Token, TokenKind, Tokens};
use super::{HeaderProblem, Problem, Result};

/// The macros in the condition of the target whose header is read.
const TARGET: [&str; 2] = ["__x86_64__", "__linux__"];

/// An `#include "NAME"` and what it stands under.
struct Include<'t> {
    name: Token<'t>,
    /// The innermost condition.
    condition: &'t str,
}

/// The name that is included for the target; `None` if the file is no guard.
pub(super) fn included(text: &str) -> Result<Option<Token<'_>>> {
    let Some(directives) = Tokens::new(text).directives()? else {
        return Ok(None);
    };
    let includes = includes(&directives)?;
    let name = match &includes[..] {
        [] => return Ok(None),
        [include] => include.name,
        [first, ..] => {
            let mut wanted = includes.iter().filter(|include| include.is_for_target());
            match (wanted.next(), wanted.next()) {
                (Some(include), None) => include.name,
                _ => return Err(Problem::new(first.name.start, HeaderProblem::NoTarget)),
            }
        }
    };
    // The name must not lead anywhere else.
    let is_file = !name.text.contains(['/', '\\']) && !matches!(name.text, "" | "." | "..");
    match is_file {
        true => Ok(Some(name)),
        false => {
            let problem = HeaderProblem::Elsewhere(name.text.to_owned());
            Err(Problem::new(name.start, problem))
        }
    }
}

fn includes<'t>(directives: &[Token<'t>]) -> Result<Vec<Include<'t>>> {
    let mut includes = Vec::new();
    let mut conditions = Vec::new();
    for directive in directives {
        let line = directive.text.trim_start_matches('#').trim_start();
        if line.starts_with("el") || line.starts_with("endif") {
            conditions.pop();
        }
        if line.starts_with("el") || line.starts_with("if") {
            conditions.push(line);
        }
        let quoted = line.strip_prefix("include").map(str::trim_start);
        let Some(quoted) = quoted.and_then(|quoted| quoted.strip_prefix('"')) else {
            continue;
        };
        let start = directive.start + directive.text.len() - quoted.len();
        let (text, _) = quoted
            .split_once('"')
            .filter(|(text, _)| !text.contains('\n'))
            .ok_or_else(|| Problem::new(start, HeaderProblem::OpenLiteral))?;
        let name = Token {
            kind: TokenKind::Literal,
            text,
            start,
        };
        let condition = conditions.last().copied().unwrap_or("");
        includes.push(Include { name, condition });
    }
    Ok(includes)
}

impl Include<'_> {
    fn is_for_target(&self) -> bool {
        let condition = self.condition;
        TARGET.iter().all(|name| condition.contains(name)) && !condition.contains('!')
    }
}
