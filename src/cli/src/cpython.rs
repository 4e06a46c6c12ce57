//! `mimeo cpython`: CPython's own uops to the header that its JIT compiler includes.

use crate::failure::{Answer, Failure};
use clap::Args;
use std::io::Write;
use std::path::PathBuf;

/// Write the jit_stencils.h of a CPython (needs LLVM and clang)
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// CPython's source tree
    #[arg(long, value_name = "DIRECTORY", value_hint = clap::ValueHint::DirPath)]
    source: PathBuf,
    /// The directory in which CPython is built, already configured
    #[arg(long, value_name = "DIRECTORY", value_hint = clap::ValueHint::DirPath)]
    build: PathBuf,
    /// The header; the default is jit_stencils.h in the build directory, `-` prints it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The clang that parses the C; by default the one that belongs to this LLVM is looked for
    #[arg(long, value_name = "PATH")]
    clang: Option<PathBuf>,
    /// For a CPython with assertions; seen by itself where the build directory is configured for one
    #[arg(long)]
    debug: bool,
    /// How many threads compile; the header does not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
}

const EXAMPLES: &str = "\
Examples:
  ./configure --enable-experimental-jit
  mimeo cpython --source . --build .
  make
      a CPython whose JIT compiler has these stencils; make leaves the header alone that is newer than its sources";

#[cfg(not(feature = "llvm"))]
pub(crate) fn run(arguments: &Arguments, _out: &mut impl Write) -> Result<Answer, Failure> {
    let Arguments {
        source,
        build,
        out,
        clang,
        debug,
        jobs,
    } = arguments;
    let _ = (source, build, out, clang, debug, jobs);
    Err(Failure::Usage(
        "this mimeo was built without LLVM: use `cargo run --release -p mimeo-cli --features llvm19 -- cpython`, with llvm19 \
         to llvm23 for the LLVM that is installed, which `mimeo doctor` says"
            .to_owned(),
    ))
}

#[cfg(feature = "llvm")]
pub(crate) fn run(arguments: &Arguments, out: &mut impl Write) -> Result<Answer, Failure> {
    use mimeo_compiler::cpython::{self, CPythonError};
    use std::num::NonZeroUsize;

    let threads = arguments
        .jobs
        .and_then(|jobs| NonZeroUsize::new(jobs.into()))
        .unwrap_or(mimeo_compiler::codegen::Options::default().threads);
    let options = cpython::Options {
        source: arguments.source.clone(),
        build: arguments.build.clone(),
        clang: arguments.clang.clone(),
        debug: arguments.debug,
        threads,
    };
    let header = cpython::generate(&options).map_err(|error| match error {
        CPythonError::Io { path, source } => Failure::input(path, source),
        CPythonError::Tree { path, problem } => Failure::input(path, problem),
        other => Failure::Text(format!("error: {other}")),
    })?;
    let path = match &arguments.out {
        Some(path) if path.as_os_str() == "-" => {
            out.write_all(header.text.as_bytes())?;
            return Ok(Answer::Yes);
        }
        Some(path) => path.clone(),
        None => arguments.build.join("jit_stencils.h"),
    };
    mimeo::table::replace_file(&path, header.text.as_bytes())
        .map_err(|error| Failure::table(&path, error))?;
    let size = |part: fn(&mimeo_compiler::contract::CStencil) -> usize| {
        header.stencils.iter().map(part).sum::<usize>()
    };
    writeln!(
        out,
        "{}: CPython {}, {} stencils, {} bytes of code, {} of data; clang {} ms, the rest {} ms",
        path.display(),
        header.version,
        header.stencils.len(),
        size(|stencil| stencil.code.bytes.len()),
        size(|stencil| stencil.data.bytes.len()),
        header.front_end.as_millis(),
        header.back_end.as_millis(),
    )?;
    Ok(Answer::Yes)
}
