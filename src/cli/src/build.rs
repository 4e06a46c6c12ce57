//! `mimeo build`: compiles the standard templates to their tables and interpreters.

use crate::failure::{Answer, Failure};
use clap::Args;
use mimeo_ir_templates::SET_NAMES;
use std::io::Write;
#[cfg(feature = "llvm")]
use std::path::Path;
use std::path::PathBuf;
#[cfg(feature = "llvm")]
use std::time::{Duration, Instant};

/// Compile the standard templates to their stencil tables and interpreters (needs LLVM)
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Only this set's files
    #[arg(long, value_name = "NAME", value_parser = SET_NAMES)]
    set: Option<String>,
    /// The directory, where each set has a table and an interpreter called like it; the default is that of the checked-in ones, seen from
    /// the top of the project
    #[arg(long, value_name = "DIRECTORY", default_value = "ir-templates/tables")]
    out: PathBuf,
    /// Write nothing; fail when a file differs from what would be written
    #[arg(long)]
    check: bool,
    /// How many threads compile; the result does not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
}

#[cfg(not(feature = "llvm"))]
pub(crate) fn run(arguments: &Arguments, _out: &mut impl Write) -> Result<Answer, Failure> {
    let Arguments {
        set,
        out,
        check,
        threads,
    } = arguments;
    let _ = (set, out, check, threads);
    Err(Failure::Usage(
        "this mimeo was built without LLVM; `ci/setup-llvm.sh` installs it, then use \
         `cargo run --release -p mimeo-cli --features llvm19 -- build`"
            .to_owned(),
    ))
}

#[cfg(feature = "llvm")]
pub(crate) fn run(arguments: &Arguments, out: &mut impl Write) -> Result<Answer, Failure> {
    let mut answer = Answer::Yes;
    for name in SET_NAMES {
        if arguments.set.as_deref().is_none_or(|set| set == name) {
            answer = answer.and(build(name, arguments, out)?);
        }
    }
    Ok(answer)
}

/// Builds one set's table and interpreter.
#[cfg(feature = "llvm")]
fn build(name: &str, arguments: &Arguments, out: &mut impl Write) -> Result<Answer, Failure> {
    use mimeo_compiler::codegen::Options;
    use std::num::NonZeroUsize;

    let threads = arguments
        .threads
        .and_then(|threads| NonZeroUsize::new(threads.into()))
        .unwrap_or(Options::default().threads);
    let templates = mimeo_ir_templates::templates_of(name)
        .ok_or_else(|| Failure::input(name, "there is no such set"))?;
    let path = arguments.out.join(name).with_extension("mimeo");
    let mut answer = Answer::Yes;
    for (path, bytes, time) in artefacts(&templates, &path, Options { threads })? {
        if arguments.check {
            let present = std::fs::read(&path).map_err(|error| Failure::input(&path, error))?;
            answer = answer.and(report_check(&path, &present, &bytes, out)?);
            continue;
        }
        mimeo::table::replace_file(&path, &bytes).map_err(|error| Failure::table(&path, error))?;
        let (path, time) = (path.display(), time.as_millis());
        writeln!(out, "{path}: {} bytes, compiled in {time} ms", bytes.len())?;
    }
    Ok(answer)
}

/// What a set is compiled to, each with its file and how long it took: the table, and beside it the interpreter's image.
#[cfg(feature = "llvm")]
fn artefacts(
    set: &mimeo_compiler::template::TemplateSet,
    table: &Path,
    options: mimeo_compiler::codegen::Options,
) -> Result<[(PathBuf, Vec<u8>, Duration); 2], Failure> {
    use mimeo_compiler::{codegen, interpreter};

    let failure = |error: &dyn ToString| {
        Failure::input(format!("({} templates)", set.name), error.to_string())
    };
    let start = Instant::now();
    let contents = codegen::compile(set, options).map_err(|error| failure(&error))?;
    let bytes = contents.to_bytes().map_err(|error| failure(&error))?;
    let compiled = (table.to_owned(), bytes, start.elapsed());
    let start = Instant::now();
    let image = interpreter::compile_interpreter(set, &contents.digest, options)
        .map_err(|error| failure(&error))?;
    let bytes = image.to_bytes().map_err(|error| failure(&error))?;
    let interpreted = (table.with_extension("interp"), bytes, start.elapsed());
    Ok([compiled, interpreted])
}

#[cfg(feature = "llvm")]
fn report_check(
    path: &Path,
    present: &[u8],
    built: &[u8],
    out: &mut impl Write,
) -> Result<Answer, Failure> {
    let path = path.display();
    if present == built {
        writeln!(out, "{path}: up to date, {} bytes", built.len())?;
        return Ok(Answer::Yes);
    }
    let first = present
        .iter()
        .zip(built)
        .position(|(a, b)| a != b)
        .unwrap_or(present.len().min(built.len()));
    writeln!(
        out,
        "{path}: {} bytes, the templates give {} bytes; they differ from byte {first} on. \
         `mimeo build` writes it anew",
        present.len(),
        built.len()
    )?;
    Ok(Answer::No)
}
