//! Counting the instructions that compiling executes, with valgrind's callgrind: they do not drift as times do.
//!
//! A program runs itself under callgrind, once with the work left out and once with each kind of work; the differences
//! are the work's instructions.

use crate::measure::Work;
use crate::peer::BenchError;
use crate::report::Instructions;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Stdio};

/// How many uops are compiled for each count, roughly.
const UOPS: usize = 200_000;

/// How many different traces [`work`](crate::measure::work) rotates.
const TRACES: usize = 16;

impl Work {
    /// The argument that stands for it on a command line.
    pub const fn argument(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Prepare => "prepare",
            Self::Patch => "patch",
        }
    }
}

/// Counts instructions per uop for traces of these lengths; `None` where there is no valgrind.
///
/// `program`, called with `subcommand`, the work's [argument](Work::argument), the length and the number of repetitions,
/// must do [that work](crate::measure::work).
///
/// # Errors
/// Valgrind or the program fails.
pub fn count(
    program: &Path,
    subcommand: &str,
    sizes: &[usize],
) -> Result<Option<Vec<Instructions>>, BenchError> {
    if !is_there()? {
        return Ok(None);
    }
    let mut rows = Vec::new();
    for &uops in sizes {
        let repeat = (UOPS / (uops * TRACES)).max(1);
        let executed = |work| run(program, subcommand, work, uops, repeat);
        let base = executed(Work::Nothing)?;
        let compiled = (uops * TRACES * repeat) as f64;
        let per_uop = |count: u64| count.saturating_sub(base) as f64 / compiled;
        rows.push(Instructions {
            uops,
            prepare_per_uop: per_uop(executed(Work::Prepare)?),
            patch_per_uop: per_uop(executed(Work::Patch)?),
        });
    }
    Ok(Some(rows))
}

fn is_there() -> Result<bool, BenchError> {
    let mut command = Command::new("valgrind");
    command.arg("--version").stdout(Stdio::null());
    match command.status() {
        Ok(status) => Ok(status.success()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(source) => Err(BenchError::System {
            what: "run valgrind",
            source,
        }),
    }
}

fn run(
    program: &Path,
    subcommand: &str,
    work: Work,
    uops: usize,
    repeat: usize,
) -> Result<u64, BenchError> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args([
            subcommand,
            work.argument(),
            &uops.to_string(),
            &repeat.to_string(),
        ])
        .output()
        .map_err(|source| BenchError::System {
            what: "run valgrind",
            source,
        })?;
    let text = String::from_utf8_lossy(&output.stderr);
    match collected(&text).filter(|_| output.status.success()) {
        Some(count) => Ok(count),
        None => {
            let last = text.lines().last().unwrap_or_default();
            Err(BenchError::engine(
                "valgrind",
                &format!("{}: {last}", output.status),
            ))
        }
    }
}

/// The number of instructions in what callgrind says at the end.
fn collected(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.contains("Collected :"))?;
    line.rsplit(':').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_read_from_what_callgrind_says() {
        let text = "==7== \n==7== Events    : Ir\n==7== Collected : 8123456\n==7== \n";
        assert_eq!(collected(text), Some(8_123_456));
        assert_eq!(collected("==7== Process terminating"), None);
    }
}
