//! `mimeo build`: compiles the standard templates to their table.

use crate::failure::{Answer, Failure};
use clap::Args;
use std::io::Write;
use std::path::PathBuf;

/// Compile the standard templates to their stencil table (needs LLVM)
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The table's file; the default is the checked-in one, seen from the top of the project
    #[arg(
        long,
        value_name = "FILE",
        default_value = "ir-templates/tables/python.mimeo"
    )]
    out: PathBuf,
    /// Write nothing; fail when the file differs from what would be written
    #[arg(long)]
    check: bool,
    /// How many threads compile; the result does not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
}

#[cfg(not(feature = "llvm"))]
pub(crate) fn run(arguments: &Arguments, _out: &mut impl Write) -> Result<Answer, Failure> {
    let Arguments {
        out,
        check,
        threads,
    } = arguments;
    let _ = (out, check, threads);
    Err(Failure::Usage(
        "this mimeo was built without LLVM; `ci/setup-llvm.sh` installs it, then use \
         `cargo run --release -p mimeo-cli --features llvm19 -- build`"
            .to_owned(),
    ))
}

#[cfg(feature = "llvm")]
pub(crate) fn run(arguments: &Arguments, out: &mut impl Write) -> Result<Answer, Failure> {
    use mimeo_compiler::codegen::{self, Options};
    use std::num::NonZeroUsize;

    let threads = arguments
        .threads
        .and_then(|threads| NonZeroUsize::new(threads.into()))
        .unwrap_or(Options::default().threads);
    let start = std::time::Instant::now();
    let table = codegen::compile_to_bytes(
        &mimeo_ir_templates::standard_templates(),
        Options { threads },
    )
    .map_err(|error| Failure::input("(standard templates)", error))?;
    let time = start.elapsed().as_millis();
    let path = &arguments.out;
    if arguments.check {
        let present = std::fs::read(path).map_err(|error| Failure::input(path, error))?;
        return report_check(arguments, &present, &table, out);
    }
    mimeo::table::replace_file(path, &table).map_err(|error| Failure::table(path, error))?;
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
    arguments: &Arguments,
    present: &[u8],
    built: &[u8],
    out: &mut impl Write,
) -> Result<Answer, Failure> {
    let path = arguments.out.display();
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
