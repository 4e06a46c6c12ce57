//! `mimeo doctor`: what this machine and this build can do, each thing tried where it can be tried, and what to install for
//! the rest.
//!
//! The files are what is looked at: `traces` (does the main job work), `processor`, `llvm`, `programs`. Each gives its part
//! of the [`Report`], which is printed as it is for programs, and as lines for people.

mod library;
mod llvm;
mod print;
mod processor;
mod programs;
mod traces;

use crate::failure::{Answer, Failure, Format};
use clap::Args;
use mimeo_compiler::installation::Surroundings;
use serde::Serialize;
use std::io::Write;

/// Say what works on this machine, and what to install for what does not
///
/// Runs a small trace as machine code and with the interpreter, checks the embedded tables, looks for LLVM, clang, perf and
/// gdb, and names the processor's features. The exit code is 0 when traces can be run, with the interpreter at least, and 1
/// when they cannot. What only builds need, such as LLVM, changes no exit code.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Short for --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

/// Everything that was found out.
#[derive(Debug, Serialize)]
struct Report {
    /// This program's version.
    version: &'static str,
    /// The system it was built for.
    architecture: &'static str,
    system: &'static str,
    /// Whether traces can be run: what the exit code says.
    works: bool,
    traces: traces::Traces,
    processor: processor::Processor,
    llvm: llvm::Llvm,
    programs: programs::Programs,
    /// What to do about what is missing, one thing an entry.
    advice: Vec<Advice>,
}

/// Something to do.
#[derive(Debug, Serialize)]
struct Advice {
    /// What it makes possible.
    purpose: String,
    /// What to do: an imperative.
    action: String,
}

impl Advice {
    fn new(purpose: impl Into<String>, action: impl Into<String>) -> Self {
        Self {
            purpose: purpose.into(),
            action: action.into(),
        }
    }
}

pub(crate) fn run(arguments: &Arguments, out: &mut impl Write) -> Result<Answer, Failure> {
    let report = Report::new(&Surroundings::of_this_process());
    match arguments.json || arguments.format == Format::Json {
        true => {
            serde_json::to_writer(&mut *out, &report).map_err(std::io::Error::from)?;
            writeln!(out)?;
        }
        false => print::print(&report, out)?,
    }
    Ok(match report.works {
        true => Answer::Yes,
        false => Answer::No,
    })
}

impl Report {
    fn new(surroundings: &Surroundings) -> Self {
        let traces = traces::Traces::new();
        let llvm = llvm::Llvm::new(surroundings);
        let programs = programs::Programs::new(surroundings);
        let mut advice = traces.advice();
        advice.extend(llvm.advice(surroundings, &programs.clang));
        advice.extend(programs.advice(surroundings));
        Self {
            version: env!("CARGO_PKG_VERSION"),
            architecture: std::env::consts::ARCH,
            system: std::env::consts::OS,
            works: traces.work(),
            traces,
            processor: processor::Processor::new(),
            llvm,
            programs,
            advice,
        }
    }
}

/// An error's text, with what caused it.
fn text(error: &dyn std::error::Error) -> String {
    crate::engines::with_sources(error)
}
