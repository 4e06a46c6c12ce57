//! What runs traces: the engine, which makes machine code of each, or the interpreter, which needs no executable memory
//! but the program's own.
#![allow(unsafe_code)]

use mimeo::code_memory::CodeArena;
use mimeo::engine::{CompileError, Engine, EngineError};
use mimeo::interpreter::Interpreter;
use mimeo::table::StencilTable;
use mimeo_objects::recorded::{ProgramError, Tier, engine, interpreter};
use std::error::Error;
use std::io::Write;
use std::sync::Arc;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Choice {
    /// Machine code; the interpreter where the system refuses executable memory
    Auto,
    /// Machine code
    Jit,
    /// The interpreter of the embedded table, which needs no executable memory
    Interp,
}

/// What runs.
pub(crate) enum Chosen {
    Compiled(Box<Engine>),
    Interpreted(Interpreter),
}

impl Chosen {
    /// What was asked for, for this table; tells the user which it is if that is wanted.
    pub(crate) fn new(choice: Choice, table: StencilTable, verbose: bool) -> Result<Self, String> {
        let table = Arc::new(table);
        let refused = match choice {
            Choice::Auto => CodeArena::probe().err(),
            Choice::Jit | Choice::Interp => None,
        };
        let interprets = choice == Choice::Interp || refused.is_some();
        if verbose {
            let what = match interprets {
                true => "interpreting the traces",
                false => "compiling the traces to machine code",
            };
            let why =
                refused.map_or_else(String::new, |error| format!(": {}", with_sources(&error)));
            // Nobody is left to be told that this fails.
            let _ = writeln!(anstream::stderr(), "{what}{why}");
        }
        match interprets {
            true => interpreted(table).map(Self::Interpreted),
            false => match engine(table) {
                Ok(engine) => Ok(Self::Compiled(Box::new(engine))),
                Err(error) => {
                    let refused = matches!(error, EngineError::CodeMemory(_));
                    Err(hinted(&error, refused))
                }
            },
        }
    }

    pub(crate) fn tier(&self) -> Tier<'_> {
        match self {
            Self::Compiled(engine) => Tier::Compiled(engine),
            Self::Interpreted(interpreter) => interpreter.into(),
        }
    }
}

/// The interpreter that is embedded, if it is this table's. Handlers take the table's word for what each uop does to the
/// stack and where it goes, so the word of the embedded table it is, whatever else a file with its digest may say.
fn interpreted(table: Arc<StencilTable>) -> Result<Interpreter, String> {
    let embedded = mimeo_ir_templates::standard_table().map_err(|error| error.to_string())?;
    let table = match table.digest() == embedded.digest() {
        true => Arc::new(embedded),
        false => table,
    };
    let image = mimeo_ir_templates::standard_interpreter().map_err(|error| error.to_string())?;
    // SAFETY: the image is the one that was made with the embedded table and is in the program's text; for another table,
    // whose digest differs, nothing is made.
    unsafe { interpreter(table, &image) }.map_err(|error| error.to_string())
}

/// What keeps a program from running, and what to do where that is known.
pub(crate) fn with_hint(error: ProgramError) -> String {
    let refused = matches!(
        error,
        ProgramError::Compile {
            source: CompileError::CodeMemory(_),
            ..
        }
    );
    hinted(&error, refused)
}

fn hinted(error: &dyn Error, no_code_memory: bool) -> String {
    match no_code_memory {
        true => format!("{}; `--engine interp` needs none", with_sources(error)),
        false => error.to_string(),
    }
}

/// An error and what caused it: for code memory, what the system said.
pub(crate) fn with_sources(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some errors give their cause as part of themselves.
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use mimeo::code_memory::CodeMemoryError;

    #[test]
    fn exhausted_code_memory_gets_a_hint() {
        let full = || CodeMemoryError::TooLarge {
            requested: 2,
            maximum: 1,
        };
        let error = ProgramError::Compile {
            executor: 3,
            source: CompileError::CodeMemory(full()),
        };
        assert_eq!(
            with_hint(error),
            "executors[3]: 2 bytes of code memory wanted in one piece, at most 1 are possible; `--engine interp` needs none"
        );
        assert_eq!(
            with_hint(ProgramError::HasRun),
            ProgramError::HasRun.to_string()
        );
    }

    #[test]
    fn the_embedded_tables_interpreter_is_embedded() {
        let table = mimeo_ir_templates::standard_table().expect("the embedded table");
        let chosen = Chosen::new(Choice::Interp, table, false).expect("an interpreter");
        assert!(matches!(chosen.tier(), Tier::Interpreted(_)));
    }
}
