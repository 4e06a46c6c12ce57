//! CPython's own uops: the header `jit_stencils.h` that its JIT compiler includes, made from CPython's sources as CPython's
//! `Tools/jit/build.py` makes it, under the same contract, but in one process, and smaller. Whether a header belongs to a tree
//! is seen without LLVM.
//!
//! The files are the stages:
//! - `tree`: the source tree: its uops, and one translation unit that holds all of them;
//! - `makefile`: what the build directory is configured for;
//! - `clang`: that unit to IR, by one call of clang;
//! - `contract`: what the tree expects of its header, feature by feature, for the others to follow;
//! - `generate`: the stages in their order, with the IR to stencils between them;
//! - `header`: stencils to C;
//! - `digest`: what lets CPython's own generator tell whether the header is up to date;
//! - `check`: a header to what is wrong with it for a tree.

mod check;
#[cfg(llvm)]
mod clang;
mod contract;
mod digest;
#[cfg(llvm)]
mod generate;
#[cfg(llvm)]
mod header;
mod makefile;
mod tree;

pub use check::{Checked, check};
#[cfg(llvm)]
pub use generate::{Header, HeaderFile, Options, generate};

use crate::error::CompileError;
use std::io;
use std::path::{Path, PathBuf};
use tree::Tree;

/// Why a header cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum CPythonError {
    /// A file cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The directory does not hold what it should.
    #[error("{path}: {problem}")]
    Tree {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong, and what was expected.
        problem: String,
    },
    /// The tree has something that no known one has.
    #[error(
        "{path}: {feature} is {found}, expected {expected}, as the known trees have it: those of CPython {}",
        contract::known_trees()
    )]
    Feature {
        /// The file.
        path: PathBuf,
        /// What is unknown.
        feature: String,
        /// What the file has.
        found: String,
        /// What is known.
        expected: String,
    },
    /// There is no clang that can be used.
    #[error(
        "{problem}; clang {major} is needed, for its IR is read by LLVM {major}: on Debian and Ubuntu \
         `apt-get install clang-{major}`, elsewhere install it or name it with --clang"
    )]
    Clang {
        /// What is wrong with those that were looked at.
        problem: String,
        /// The version that is needed.
        major: u32,
    },
    /// The flags for the compiler are no list of words.
    #[error("the compiler's flags have a quote that is not closed: {cflags}")]
    Flags {
        /// The flags.
        cflags: String,
    },
    /// clang refused the sources.
    #[error("{clang} does not compile the uops of {path}:\n{messages}")]
    Refused {
        /// The clang.
        clang: PathBuf,
        /// The source tree.
        path: PathBuf,
        /// What it says.
        messages: String,
    },
    /// The stencils cannot be made.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// A stencil refers to its instruction where there is none.
    #[error("stencil {stencil} depends on its instruction, but jit.c has none for it")]
    NoInstruction {
        /// Its name.
        stencil: String,
    },
}

impl CPythonError {
    fn io(path: &Path, source: io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            source,
        }
    }

    fn tree(path: &Path, problem: impl Into<String>) -> Self {
        Self::Tree {
            path: path.to_owned(),
            problem: problem.into(),
        }
    }
}

/// What a header is made of.
#[derive(Clone, Debug)]
pub struct Sources {
    /// CPython's source tree.
    pub source: PathBuf,
    /// The directory in which CPython is built: it has been configured.
    pub build: PathBuf,
    /// Whether CPython is built with assertions; a build directory that says so does not need this.
    pub debug: bool,
    /// Flags for the compiler behind all others; otherwise those that the build directory was configured with.
    pub cflags: Option<String>,
}

/// The file that `jit.c` includes.
const HEADER: &str = "jit_stencils.h";

/// The file that it includes in its turn, where it is a guard.
fn guarded(tree: &Tree) -> String {
    format!("jit_stencils-{}.h", tree.triple)
}

/// What the line at the top of a header begins with that names the inputs.
const INPUTS: &str = "of ";

/// The stencil that `jit.c` patches without an instruction, as it does the entry.
const WITHOUT_INSTRUCTION: &str = "_FATAL_ERROR";
