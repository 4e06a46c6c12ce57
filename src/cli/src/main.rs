//! The `mimeo` command. Each subcommand is a file; this one reads the command line and turns results into exit codes.

mod bench;
mod build;
mod convert;
mod cpython;
mod diff;
mod documents;
mod engines;
mod failure;
mod inspect;
mod mine;
mod run;
mod tables;
mod uops;
mod verify;

use clap::{Parser, Subcommand};
use failure::{Answer, Failure};
use std::io::{self, Write};
use std::process::ExitCode;

/// Copy-and-patch: stencil tables, and traces run through them
#[derive(Debug, Parser)]
#[command(name = "mimeo", version, about, max_term_width = 100, after_help = EXIT_CODES)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  fine
  1  the answer is no: a trace ended elsewhere, tables differ, a stencil breaks a rule, engines disagree
  2  usage: the command line is wrong, or asks for what this build cannot do
  3  bad input: a file that cannot be read or written, or is not what it should be";

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Arguments),
    Build(build::Arguments),
    Convert(convert::Arguments),
    Cpython(cpython::Arguments),
    Inspect(inspect::Arguments),
    Diff(diff::Arguments),
    Uops(uops::Arguments),
    Mine(mine::Arguments),
    Verify(verify::Arguments),
    Bench(bench::Arguments),
    BenchWork(bench::Work),
}

fn main() -> ExitCode {
    // Prints help and usage errors itself, with code 2 for the latter.
    let command = CommandLine::parse().command;
    let mut out = io::BufWriter::new(anstream::stdout().lock());
    let result = match command {
        Command::Run(arguments) => run::run(&arguments, &mut out),
        Command::Build(arguments) => build::run(&arguments, &mut out),
        Command::Convert(arguments) => convert::run(&arguments, &mut out),
        Command::Cpython(arguments) => cpython::run(&arguments, &mut out),
        Command::Inspect(arguments) => inspect::run(&arguments, &mut out),
        Command::Diff(arguments) => diff::run(&arguments, &mut out),
        Command::Uops(arguments) => uops::run(&arguments, &mut out),
        Command::Mine(arguments) => mine::run(&arguments, &mut out),
        Command::Verify(arguments) => verify::run(&arguments, &mut out),
        Command::Bench(arguments) => bench::run(&arguments, &mut out),
        Command::BenchWork(arguments) => bench::work(&arguments),
    };
    let flushed = out.flush().map_err(Failure::from);
    match result.and_then(|answer| flushed.map(|()| answer)) {
        Ok(Answer::Yes) => ExitCode::SUCCESS,
        Ok(Answer::No) => ExitCode::from(1),
        // Whoever reads has seen enough.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(failure) => {
            failure.report();
            ExitCode::from(failure.exit_code())
        }
    }
}
