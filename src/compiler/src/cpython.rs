//! CPython's own uops: the header `jit_stencils.h` that its JIT compiler includes, made from CPython's sources as CPython's
//! `Tools/jit/build.py` makes it, under the same contract, but in one process, and smaller.
//!
//! The files are the stages:
//! - `tree`: the source tree: which version it is, its uops, and one translation unit that holds all of them;
//! - `clang`: that unit to IR, by one call of clang;
//! - `version`: what the contract is, by version: data, for `header` to follow;
//! - [`compile_stencils`]: the IR to stencils;
//! - `header`: stencils to C;
//! - `digest`: what lets CPython's own generator tell whether the header is up to date.

mod clang;
mod digest;
mod header;
mod tree;
mod version;

pub use header::header;
pub use version::Version;

use crate::contract::{CStencil, compile_stencils};
use crate::error::CompileError;
use crate::ir::{IrFunction, IrSource};
use crate::target;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
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
    /// The tree is of a version whose contract is not known.
    #[error(
        "{path} is of CPython {found}; there are contracts for {}",
        Version::names()
    )]
    Version {
        /// The file that says so.
        path: PathBuf,
        /// The version.
        found: String,
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

/// What to make a header of.
#[derive(Clone, Debug)]
pub struct Options {
    /// CPython's source tree.
    pub source: PathBuf,
    /// The directory in which CPython is built: it has been configured.
    pub build: PathBuf,
    /// The clang to use; otherwise it is looked for.
    pub clang: Option<PathBuf>,
    /// Whether CPython is built with assertions; a build directory that says so does not need this.
    pub debug: bool,
    /// How many threads compile. The result does not depend on it.
    pub threads: NonZeroUsize,
}

/// A header, and how it came about.
#[derive(Clone, Debug)]
pub struct Header {
    /// The text of `jit_stencils.h`.
    pub text: String,
    /// The entry, and the stencils in the order of their names.
    pub stencils: Vec<CStencil>,
    /// CPython's version, in full.
    pub version: String,
    /// How long clang took.
    pub front_end: Duration,
    /// How long everything else took.
    pub back_end: Duration,
}

/// Makes the header.
///
/// # Errors
/// The directories do not hold what they should, there is no suitable clang, or a uop cannot be compiled. Nothing has been
/// written then.
pub fn generate(options: &Options) -> Result<Header, CPythonError> {
    let start = Instant::now();
    let linked = target::check_version()?;
    let tree = Tree::open(&options.source, &options.build, options.debug)?;
    let clang = clang::find(options.clang.as_deref())?;
    let unit = tree.translation_unit()?;
    let parsing = Instant::now();
    let bitcode = clang::compile(&clang, &tree, &unit)?;
    let front_end = parsing.elapsed();
    let source = IrSource::from_bytes(tree.name(), bitcode);
    let holes = tree.version.holes();
    let functions: Vec<IrFunction> = tree.uops.iter().map(|uop| tree::function_of(uop)).collect();
    let stencils = compile_stencils(
        &source,
        Some(&tree.entry_function()),
        &functions,
        &holes,
        options.threads,
    )
    .map_err(of_uop)?;
    let digest = digest::digest(&tree)?;
    let comment = format!(
        "mimeo {} with LLVM {}.{}.{} and clang {}, for CPython {}, {}{}",
        env!("CARGO_PKG_VERSION"),
        linked.0,
        linked.1,
        linked.2,
        clang.version,
        tree.full_version,
        tree.triple,
        if tree.debug { ", debug" } else { "" },
    );
    let text = header(tree.version, &tree.entry, &stencils, &[&digest, &comment])?;
    Ok(Header {
        text,
        stencils,
        version: tree.full_version.clone(),
        front_end,
        back_end: start.elapsed().saturating_sub(front_end),
    })
}

/// An error of a function of the translation unit, as one of its uop: that name is the user's.
fn of_uop(mut error: CompileError) -> CompileError {
    if let CompileError::Ir {
        stencil: Some(name),
        ..
    } = &mut error
        && let Some(uop) = tree::uop_of(name).map(str::to_owned)
    {
        *name = uop;
    }
    error
}
