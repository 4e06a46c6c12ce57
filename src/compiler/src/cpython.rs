//! CPython's own uops: the header `jit_stencils.h` that its JIT compiler includes, made from CPython's sources as CPython's
//! `Tools/jit/build.py` makes it, under the same contract, but in one process, and smaller.
//!
//! The files are the stages:
//! - `tree`: the source tree: its uops, and one translation unit that holds all of them;
//! - `makefile`: what the build directory is configured for;
//! - `clang`: that unit to IR, by one call of clang;
//! - `contract`: what the tree expects of its header, feature by feature, for the others to follow;
//! - [`compile_stencils`]: the IR to stencils;
//! - `header`: stencils to C;
//! - `digest`: what lets CPython's own generator tell whether the header is up to date.

mod clang;
mod contract;
mod digest;
mod header;
mod makefile;
mod tree;

use header::header;

use crate::contract::{CStencil, compile_stencils};
use crate::error::CompileError;
use crate::ir::{IrFunction, IrSource};
use crate::target;
use contract::Files;
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
    /// Flags for the compiler behind all others; otherwise those that the build directory was configured with.
    pub cflags: Option<String>,
    /// How many threads compile. The result does not depend on it.
    pub threads: NonZeroUsize,
}

/// A header, and how it came about.
#[derive(Clone, Debug)]
pub struct Header {
    /// What make and `jit.c` look for, in the order in which it is to be written.
    pub files: Vec<HeaderFile>,
    /// The entry, and the stencils in the order of their names.
    pub stencils: Vec<CStencil>,
    /// CPython's version, in full.
    pub version: String,
    /// The versions whose contract the tree has; `None` where each of its features is known and their combination is not.
    pub contract: Option<&'static str>,
    /// How long clang took.
    pub front_end: Duration,
    /// How long everything else took.
    pub back_end: Duration,
}

/// A file of the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderFile {
    /// Its name.
    pub name: String,
    /// What is in it.
    pub text: String,
}

/// The file that `jit.c` includes.
const HEADER: &str = "jit_stencils.h";

/// The header's files. CPython's make takes `jit_stencils.h` alone for what `jit.o` depends on, and for what its own generator
/// has made; so it is the last to be written, and newer than all that it includes.
fn files(tree: &Tree, text: String) -> Vec<HeaderFile> {
    let file = |name: &str, text| HeaderFile {
        name: name.to_owned(),
        text,
    };
    match tree.contract.files {
        Files::One => vec![file(HEADER, text)],
        Files::Guarded => {
            let stencils = format!("jit_stencils-{}.h", tree.triple);
            let guard = format!(
                "// mimeo {}\n#if defined(__x86_64__) && defined(__linux__)\n#include \"{stencils}\"\n#else\n\
                 #error \"there are stencils for x86-64 Linux alone\"\n#endif\n",
                env!("CARGO_PKG_VERSION")
            );
            vec![file(&stencils, text), file(HEADER, guard)]
        }
    }
}

/// Makes the header.
///
/// # Errors
/// The directories do not hold what they should, the tree has a feature that is not known, there is no suitable clang, or a
/// uop cannot be compiled. Nothing has been written then.
pub fn generate(options: &Options) -> Result<Header, CPythonError> {
    let start = Instant::now();
    let linked = target::check_version()?;
    let tree = Tree::open(options)?;
    let clang = clang::find(options.clang.as_deref())?;
    let unit = tree.translation_unit()?;
    let parsing = Instant::now();
    let bitcode = clang::compile(&clang, &tree, &unit)?;
    let front_end = parsing.elapsed();
    let source = IrSource::from_bytes(tree.name(), bitcode);
    let holes = tree.contract.holes();
    let functions: Vec<IrFunction> = tree.uops.iter().map(|uop| tree::function_of(uop)).collect();
    let stencils = compile_stencils(
        &source,
        Some(&tree.entry_function()),
        &functions,
        &holes,
        tree.contract.addresses,
        options.threads,
    )
    .map_err(|error| tree.of_uop(error))?;
    let digest = digest::digest(&tree)?;
    let comment = format!(
        "mimeo {} with LLVM {}.{}.{} and clang {}, for CPython {}, {}{}",
        env!("CARGO_PKG_VERSION"),
        linked.0,
        linked.1,
        linked.2,
        clang.version,
        tree.version,
        tree.triple,
        if tree.debug { ", debug" } else { "" },
    );
    let text = header(&tree.contract, &stencils, &[&digest, &comment])?;
    Ok(Header {
        files: files(&tree, text),
        stencils,
        version: tree.version.clone(),
        contract: tree.contract.trees(),
        front_end,
        back_end: start.elapsed().saturating_sub(front_end),
    })
}
