//! `mimeo run`: compiles or interprets recorded traces and compares their end with the recorded one.

use crate::documents;
use crate::engines::{Choice, Chosen, with_hint};
use crate::failure::{Answer, Failure, Format};
use crate::tables;
use clap::Args;
use mimeo_objects::recorded::{Mismatch, Program, Tier};
use serde::Serialize;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Compile and execute recorded traces, and compare exit, locals and stack with the recorded end
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Traces, as recorded (.json) or as written (.uops); - is standard input
    #[arg(required = true, value_name = "TRACE")]
    traces: Vec<PathBuf>,
    /// Use this stencil table instead of the embedded one
    #[arg(long, value_name = "FILE")]
    table: Option<PathBuf>,
    /// What runs the traces
    #[arg(long, value_enum, default_value_t = Choice::Auto)]
    engine: Choice,
    /// Say on standard error what runs the traces, and why
    #[arg(short, long)]
    verbose: bool,
    /// Run each trace this many times, each time from its recorded start, and print the median times
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// One line of the output.
#[derive(Debug, Serialize)]
struct Row {
    trace: String,
    /// Recorded uops that were compiled.
    uops: usize,
    /// Stencils that were copied: as many, and the checks in front of what could not be proven.
    stencils: usize,
    /// Bytes of machine code; of records where they are interpreted.
    code_bytes: usize,
    compile_ns: u128,
    iterations: u64,
    ns_per_iteration: f64,
    /// "ok", or how the end differs.
    result: String,
}

pub(crate) fn run(arguments: &Arguments, out: &mut impl Write) -> Result<Answer, Failure> {
    let table = tables::open_to_run(arguments.table.as_deref())?;
    let chosen = Chosen::new(arguments.engine, table, arguments.verbose)
        .map_err(|problem| Failure::input(tables::name(arguments.table.as_deref()), problem))?;
    let mut answer = Answer::Yes;
    let mut rows = 0;
    let mut unusable = Vec::new();
    for path in &arguments.traces {
        match run_trace(path, arguments.repeat, chosen.tier()) {
            Ok((row, agrees)) => {
                answer = answer.and(agrees);
                if rows == 0 && arguments.format == Format::Text {
                    print_header(out)?;
                }
                rows += 1;
                print(&row, arguments.format, out)?;
            }
            Err(failure) => unusable.push(failure),
        }
    }
    Failure::all(unusable, out)?;
    Ok(answer)
}

fn print_header(out: &mut impl Write) -> Result<(), Failure> {
    writeln!(
        out,
        "{:<24} {:>6} {:>8} {:>9} {:>10} {:>10} {:>10}  result",
        "trace", "uops", "stencils", "bytes", "compile ns", "iterations", "ns/iter"
    )?;
    Ok(())
}

fn print(row: &Row, format: Format, out: &mut impl Write) -> Result<(), Failure> {
    match format {
        Format::Text => writeln!(
            out,
            "{:<24} {:>6} {:>8} {:>9} {:>10} {:>10} {:>10.1}  {}",
            row.trace,
            row.uops,
            row.stencils,
            row.code_bytes,
            row.compile_ns,
            row.iterations,
            row.ns_per_iteration,
            row.result
        )?,
        Format::Json => {
            let line = serde_json::to_string(row).map_err(std::io::Error::from)?;
            writeln!(out, "{line}")?;
        }
    }
    Ok(())
}

fn run_trace(path: &Path, repeat: u32, tier: Tier<'_>) -> Result<(Row, Answer), Failure> {
    let unusable = |error: &dyn std::fmt::Display| Failure::input(path, error);
    let (document, _) = documents::read(path)?;
    let mut compile_times = Vec::new();
    let mut run_times = Vec::new();
    let mut difference: Option<Mismatch> = None;
    let mut sizes = (0, 0, 0);
    for _ in 0..repeat {
        let mut program = Program::new(&document, tier)
            .map_err(|error| Failure::input(path, with_hint(error)))?;
        let outcome = program.run().map_err(|error| unusable(&error))?;
        difference = program.check(&outcome).err();
        compile_times.push(program.compile_time());
        run_times.push(outcome.run_time);
        sizes = (
            program.recorded_uops(),
            program.uop_count(),
            program.byte_len(),
        );
        if difference.is_some() {
            break;
        }
    }
    let answer = if difference.is_some() {
        Answer::No
    } else {
        Answer::Yes
    };
    let row = Row {
        trace: path
            .file_stem()
            .unwrap_or(path.as_os_str())
            .to_string_lossy()
            .into_owned(),
        uops: sizes.0,
        stencils: sizes.1,
        code_bytes: sizes.2,
        compile_ns: median(&mut compile_times).as_nanos(),
        iterations: document.loop_iterations,
        ns_per_iteration: median(&mut run_times).as_nanos() as f64
            / document.loop_iterations.max(1) as f64,
        result: difference.map_or_else(|| "ok".to_owned(), |difference| difference.to_string()),
    };
    Ok((row, answer))
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
