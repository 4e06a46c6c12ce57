//! `mimeo build`: compiles the standard templates to their tables.

use crate::failure::{Answer, Failure};
use clap::Args;
use mimeo_ir_templates::SET_NAMES;
use std::io::Write;
use std::path::PathBuf;

/// Compile the standard templates to their stencil tables (needs LLVM)
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Only this set's table
    #[arg(long, value_name = "NAME", value_parser = SET_NAMES)]
    set: Option<String>,
    /// The tables' directory, where each is called like its set; the default is that of the checked-in ones, seen from
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

/// Builds one set's table.
#[cfg(feature = "llvm")]
fn build(name: &str, arguments: &Arguments, out: &mut impl Write) -> Result<Answer, Failure> {
    use mimeo_compiler::codegen::{self, Options};
    use std::num::NonZeroUsize;

    let threads = arguments
        .threads
        .and_then(|threads| NonZeroUsize::new(threads.into()))
        .unwrap_or(Options::default().threads);
    let templates = mimeo_ir_templates::templates_of(name)
        .ok_or_else(|| Failure::input(name, "there is no such set"))?;
    let start = std::time::Instant::now();
    let table = codegen::compile_to_bytes(&templates, Options { threads })
        .map_err(|error| Failure::input(format!("(templates of {name})"), error))?;
    let time = start.elapsed().as_millis();
    let path = arguments.out.join(name).with_extension("mimeo");
    if arguments.check {
        let present = std::fs::read(&path).map_err(|error| Failure::input(&path, error))?;
        return report_check(&path, &present, &table, out);
    }
    mimeo::table::replace_file(&path, &table).map_err(|error| Failure::table(&path, error))?;
    writeln!(
        out,
        "{}: {} bytes, compiled in {time} ms",
        path.display(),
        table.len()
    )?;
    Ok(Answer::Yes)
}

#[cfg(feature = "llvm")]
fn report_check(
    path: &std::path::Path,
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
