//! The stages from a tree to its header.

use super::contract::Files;
use super::header::header;
use super::tree::{self, Tree};
use super::{CPythonError, HEADER, INPUTS, Sources, clang, digest, guarded};
use crate::contract::{Addresses, CStencil, compile_stencils};
use crate::ir::{IrFunction, IrSource};
use crate::target;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What to make a header of, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// What of.
    pub sources: Sources,
    /// The clang to use; otherwise it is looked for.
    pub clang: Option<PathBuf>,
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
            let stencils = guarded(tree);
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
    let tree = Tree::open(&options.sources)?;
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
        match tree.contract.has_addresses_in_code {
            true => Addresses::InCode,
            false => Addresses::InData,
        },
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
    let inputs = digest::inputs(&tree)?.map(|(name, digest)| format!("{name} {digest}"));
    let inputs = format!("{INPUTS}{}", inputs.join(", "));
    let text = header(&tree.contract, &stencils, &[&digest, &comment, &inputs])?;
    Ok(Header {
        files: files(&tree, text),
        stencils,
        version: tree.version.clone(),
        contract: tree.contract.trees(),
        front_end,
        back_end: start.elapsed().saturating_sub(front_end),
    })
}
