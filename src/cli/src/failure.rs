//! What a command can come to: an answer, or a failure with its exit code.

use mimeo::table::TableError;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Exit codes: what `help`, the manual pages and the program itself say.
pub(crate) mod exit {
    /// A code, its short name in the help, and what it is for.
    pub(crate) struct Code {
        pub(crate) number: u8,
        pub(crate) name: &'static str,
        pub(crate) meaning: &'static str,
    }

    pub(crate) const NO: u8 = 1;
    pub(crate) const USAGE: u8 = 2;
    pub(crate) const INPUT: u8 = 3;

    /// All of them.
    pub(crate) const CODES: [Code; 4] = [
        Code {
            number: 0,
            name: "fine",
            meaning: "",
        },
        Code {
            number: NO,
            name: "the answer is no",
            meaning: "a trace ended elsewhere, tables differ, a header is of another tree, a stencil breaks a rule, engines disagree, traces cannot be run \
                      here",
        },
        Code {
            number: USAGE,
            name: "usage",
            meaning: "the command line is wrong, or asks for what this build cannot do",
        },
        Code {
            number: INPUT,
            name: "bad input",
            meaning: "a file that cannot be read or written, or is not what it should be",
        },
    ];

    impl Code {
        /// Name and meaning.
        pub(crate) fn text(&self) -> String {
            match self.meaning {
                "" => self.name.to_owned(),
                meaning => format!("{}: {meaning}", self.name),
            }
        }
    }

    /// The part of the help.
    pub(crate) fn help() -> String {
        let lines = CODES.map(|code| format!("\n  {}  {}", code.number, code.text()));
        format!("Exit codes:{}", lines.concat())
    }
}

/// The answer of a command that did its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Yes,
    No,
}

impl Answer {
    pub(crate) fn and(self, other: Self) -> Self {
        if self == Self::Yes { other } else { self }
    }
}

/// Why a command could not do its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The command asks for what this build cannot do.
    #[error("{0}")]
    Usage(String),
    /// An input is not what it should be.
    #[error("{path}: {problem}")]
    Input { path: PathBuf, problem: String },
    /// A trace in the text form is not what it should be; the message shows the place.
    #[error("{0}")]
    Text(String),
    /// Several inputs are not; each was reported where it was met.
    #[error("{0} of the inputs could not be used")]
    Inputs(usize),
    /// Standard output cannot be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
}

impl Failure {
    pub(crate) fn input(path: impl Into<PathBuf>, problem: impl ToString) -> Self {
        Self::Input {
            path: path.into(),
            problem: problem.to_string(),
        }
    }

    /// What is wrong with a table's file.
    pub(crate) fn table(path: &Path, error: TableError) -> Self {
        match error {
            // The path is named already.
            TableError::Io { source, .. } => Self::input(path, source),
            other => Self::input(path, other),
        }
    }

    /// What has become of several inputs, of which these could not be used. What came of the others is printed first.
    pub(crate) fn all(mut unusable: Vec<Self>, out: &mut impl Write) -> Result<(), Self> {
        match unusable.len() {
            0 => Ok(()),
            1 => Err(unusable.swap_remove(0)),
            count => {
                out.flush()?;
                unusable.iter().for_each(Self::report);
                Err(Self::Inputs(count))
            }
        }
    }

    /// Tells the user.
    pub(crate) fn report(&self) {
        // Nobody is left to be told that this fails.
        let _ = match self {
            Self::Text(shown) => writeln!(anstream::stderr(), "{shown}"),
            other => writeln!(anstream::stderr(), "error: {other}"),
        };
    }

    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => exit::USAGE,
            Self::Input { .. } | Self::Text(_) | Self::Inputs(_) | Self::Output(_) => exit::INPUT,
        }
    }
}

/// How a command prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}
