//! The `mimeo` command. Each subcommand is a file; this one reads the command line and turns results into exit codes.

mod bench;
mod build;
mod completions;
mod convert;
mod cpython;
mod diff;
mod doctor;
mod documents;
mod engines;
mod failure;
mod inspect;
mod man;
mod mine;
mod run;
mod tables;
mod uops;
mod verify;

use clap::{CommandFactory, Parser, Subcommand};
use failure::{Answer, Failure};
use std::io::{self, Write};
use std::process::ExitCode;

/// Copy-and-patch: stencil tables, and traces run through them
#[derive(Debug, Parser)]
#[command(name = "mimeo", version, about, max_term_width = 100, after_help = failure::exit::help())]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

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
    Doctor(doctor::Arguments),
    Completions(completions::Arguments),
    Man(man::Arguments),
    BenchWork(bench::Work),
}

/// The command as users know it: without the subcommands that this program runs itself with.
fn public_command() -> clap::Command {
    let all = CommandLine::command();
    let public = all
        .get_subcommands()
        .filter(|command| !command.is_hide_set());
    clap::Command::new("mimeo")
        .version(env!("CARGO_PKG_VERSION"))
        .about(env!("CARGO_PKG_DESCRIPTION"))
        .max_term_width(100)
        .after_help(failure::exit::help())
        .subcommand_required(true)
        .subcommands(public.cloned())
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
        Command::Doctor(arguments) => doctor::run(&arguments, &mut out),
        Command::Completions(arguments) => completions::run(&arguments, &mut out),
        Command::Man(arguments) => man::run(&arguments, &mut out),
        Command::BenchWork(arguments) => bench::work(&arguments),
    };
    let flushed = out.flush().map_err(Failure::from);
    match result.and_then(|answer| flushed.map(|()| answer)) {
        Ok(Answer::Yes) => ExitCode::SUCCESS,
        Ok(Answer::No) => ExitCode::from(failure::exit::NO),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn what_is_hidden_is_all_that_the_public_command_lacks() {
        let help = |mut command: clap::Command| command.render_long_help().to_string();
        assert_eq!(help(public_command()), help(CommandLine::command()));
        let names = |command: clap::Command| command.get_subcommands().count();
        assert_eq!(names(public_command()) + 1, names(CommandLine::command()));
    }
}
