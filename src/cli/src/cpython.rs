//! `mimeo cpython`: CPython's own uops to the header that its JIT compiler includes.

use crate::failure::{Answer, Failure};
use clap::Args;
use mimeo_compiler::cpython::{self, CPythonError, Checked, Sources};
use std::io::Write;
use std::path::PathBuf;

/// Write the jit_stencils.h of a CPython (needs LLVM and clang), or check one
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// CPython's source tree
    #[arg(long, value_name = "DIRECTORY", value_hint = clap::ValueHint::DirPath)]
    source: PathBuf,
    /// The directory in which CPython is built, already configured
    #[arg(long, value_name = "DIRECTORY", value_hint = clap::ValueHint::DirPath)]
    build: PathBuf,
    /// Where the header's files go, a directory that is made where there is none; the default is the build directory. `-` prints
    /// the file with the stencils
    #[arg(long, value_name = "DIRECTORY", value_hint = clap::ValueHint::DirPath)]
    out: Option<PathBuf>,
    /// Write nothing, but say whether the header that is there is the one of this CPython: made of its files and flags, and
    /// complete. The code of stencils is proved to keep the rules where this mimeo made them. The exit code is 1 if anything is
    /// wrong
    #[arg(long, conflicts_with_all = ["clang", "jobs"])]
    check: bool,
    /// The clang that parses the C; by default the one that belongs to this LLVM is looked for
    #[arg(long, value_name = "PATH")]
    clang: Option<PathBuf>,
    /// For a CPython with assertions; seen by itself where the build directory is configured for one
    #[arg(long)]
    debug: bool,
    /// Flags for clang behind all others, as configure's CFLAGS_JIT; by default those that the build directory is configured with
    #[arg(long, value_name = "FLAGS", allow_hyphen_values = true)]
    cflags: Option<String>,
    /// How many threads compile; the header does not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
}

const EXAMPLES: &str = "\
Examples:
  ./configure --enable-experimental-jit
  mimeo cpython --source . --build .
  make
      a CPython whose JIT compiler has these stencils; make leaves the header alone that is newer than its sources
  mimeo cpython --source . --build . --check
      whether it would still be the same header";

pub(crate) fn run(arguments: &Arguments, out: &mut impl Write) -> Result<Answer, Failure> {
    let sources = Sources {
        source: arguments.source.clone(),
        build: arguments.build.clone(),
        debug: arguments.debug,
        cflags: arguments.cflags.clone(),
    };
    match arguments.check {
        true => check(arguments, &sources, out),
        false => generate(arguments, sources, out),
    }
}

fn failure(error: CPythonError) -> Failure {
    match error {
        CPythonError::Io { path, source } => Failure::input(path, source),
        CPythonError::Tree { path, problem } => Failure::input(path, problem),
        other => Failure::Text(format!("error: {other}")),
    }
}

fn contract_text(trees: Option<&str>) -> String {
    match trees {
        Some(trees) => format!("the contract of {trees}"),
        None => "a contract of known features, but of none of the known trees".to_owned(),
    }
}

fn check(
    arguments: &Arguments,
    sources: &Sources,
    out: &mut impl Write,
) -> Result<Answer, Failure> {
    let directory = arguments.out.as_ref().unwrap_or(&arguments.build);
    if directory.as_os_str() == "-" {
        let problem = "--check has nothing to print: --out names the directory of the header";
        return Err(Failure::Usage(problem.to_owned()));
    }
    let checked = cpython::check(sources, directory).map_err(failure)?;
    for problem in &checked.problems {
        writeln!(out, "{problem}")?;
    }
    let Checked {
        path,
        version,
        contract,
        digest,
        expected,
        found,
        sound,
        problems,
    } = &checked;
    let is = if problems.is_empty() { "" } else { "not " };
    let code = match sound {
        Some(sound) => format!("the code of {sound} keeps the rules"),
        None => format!(
            "their code is not checked, for it is not of mimeo {}, and others follow another convention",
            env!("CARGO_PKG_VERSION")
        ),
    };
    writeln!(
        out,
        "{}: {is}the header of CPython {version} ({}) in {}, digest {}; {found} of {expected} stencils, {code}",
        path.display(),
        contract_text(*contract),
        arguments.source.display(),
        &digest[..12],
    )?;
    Ok(match problems.is_empty() {
        true => Answer::Yes,
        false => Answer::No,
    })
}

#[cfg(not(feature = "llvm"))]
fn generate(
    arguments: &Arguments,
    sources: Sources,
    _out: &mut impl Write,
) -> Result<Answer, Failure> {
    let Arguments { clang, jobs, .. } = arguments;
    let _ = (clang, jobs, sources);
    Err(Failure::Usage(
        "this mimeo was built without LLVM: use `cargo run --release -p mimeo-cli --features llvm19 -- cpython`, with llvm19 \
         to llvm23 for the LLVM that is installed, which `mimeo doctor` says; --check works without"
            .to_owned(),
    ))
}

#[cfg(feature = "llvm")]
fn generate(
    arguments: &Arguments,
    sources: Sources,
    out: &mut impl Write,
) -> Result<Answer, Failure> {
    use std::num::NonZeroUsize;

    let threads = arguments
        .jobs
        .and_then(|jobs| NonZeroUsize::new(jobs.into()))
        .unwrap_or(mimeo_compiler::codegen::Options::default().threads);
    let options = cpython::Options {
        sources,
        clang: arguments.clang.clone(),
        threads,
    };
    let header = cpython::generate(&options).map_err(failure)?;
    let directory = match &arguments.out {
        Some(path) if path.as_os_str() == "-" => {
            if let Some(file) = header.files.first() {
                out.write_all(file.text.as_bytes())?;
            }
            return Ok(Answer::Yes);
        }
        Some(directory) => {
            std::fs::create_dir_all(directory)
                .map_err(|error| Failure::input(directory.clone(), error))?;
            directory
        }
        None => &arguments.build,
    };
    let files: Vec<_> = header
        .files
        .iter()
        .map(|file| (directory.join(&file.name), &file.text))
        .collect();
    // What would fail for the last must not fail when the first has been replaced.
    if let Some((path, _)) = files.iter().find(|(path, _)| path.is_dir()) {
        return Err(Failure::input(
            path.clone(),
            "it is a directory, expected a file",
        ));
    }
    for (path, text) in files {
        mimeo::table::write_file(&path, text.as_bytes())
            .map_err(|error| Failure::table(&path, error))?;
    }
    let size = |part: fn(&mimeo_compiler::contract::CStencil) -> usize| {
        header.stencils.iter().map(part).sum::<usize>()
    };
    writeln!(
        out,
        "{}: CPython {} ({}), {} stencils, {} bytes of code, {} of data; clang {} ms, the rest {} ms",
        directory.display(),
        header.version,
        contract_text(header.contract),
        header.stencils.len(),
        size(|stencil| stencil.code.bytes.len()),
        size(|stencil| stencil.data.bytes.len()),
        header.front_end.as_millis(),
        header.back_end.as_millis(),
    )?;
    Ok(Answer::Yes)
}
