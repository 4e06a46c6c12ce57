//! `mimeo bench`: measures mimeo and what it is compared with, in one run.

use crate::failure::Format;
use clap::Args;
use std::path::PathBuf;

/// Measure compile times and run times of mimeo, an interpreter, Cranelift and LLVM on the same traces
///
/// Engines take turns, pinned to one CPU. Every engine must end every kernel with the same words in locals, stack and
/// memory; where one does not, the exit code is 1. A goal that is missed changes no exit code.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Measure less, for a first look
    #[arg(long)]
    quick: bool,
    /// Run this kernel only; may be given several times
    #[arg(long = "kernel", value_name = "NAME")]
    kernels: Vec<String>,
    /// Add a kernel: a JSON file with `name`, `trace`, `inputs`, `iterations` and `target`, or a bare trace
    #[arg(long = "trace", value_name = "FILE")]
    traces: Vec<PathBuf>,
    /// Compile traces of these many uops
    #[arg(long, value_name = "UOPS", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    sizes: Vec<u32>,
    /// Print the names of the kernels, and measure nothing
    #[arg(long)]
    list: bool,
    /// Count instructions with valgrind instead of measuring times
    #[arg(long)]
    callgrind: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Write the figures to this file as JSON
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Draw the figures: a file that ends in .svg or .html
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

/// What `mimeo bench --callgrind` runs itself for.
#[derive(Debug, Args)]
#[command(hide = true)]
pub(crate) struct Work {
    /// nothing, prepare or patch
    work: String,
    /// The length of the traces
    uops: usize,
    /// How often
    repeat: usize,
}

/// The name of the subcommand of [`Work`].
#[cfg(feature = "bench")]
const WORK: &str = "bench-work";

#[cfg(not(feature = "bench"))]
pub(crate) use without_bench::{run, work};

#[cfg(not(feature = "bench"))]
mod without_bench {
    use super::{Arguments, Work};
    use crate::failure::{Answer, Failure};
    use std::io::Write;

    fn missing() -> Failure {
        Failure::Usage(
            "this mimeo was built without its benchmark: use `cargo run --release -p mimeo-cli --features bench,llvm19 -- \
             bench`, with llvm19 to llvm23 for the LLVM that is installed, or none"
                .to_owned(),
        )
    }

    pub(crate) fn run(arguments: &Arguments, _out: &mut impl Write) -> Result<Answer, Failure> {
        let Arguments {
            quick,
            kernels,
            traces,
            sizes,
            list,
            callgrind,
            format,
            output,
            plot,
        } = arguments;
        let _ = (
            quick, kernels, traces, sizes, list, callgrind, format, output, plot,
        );
        Err(missing())
    }

    pub(crate) fn work(arguments: &Work) -> Result<Answer, Failure> {
        let Work { work, uops, repeat } = arguments;
        let _ = (work, uops, repeat);
        Err(missing())
    }
}

#[cfg(feature = "bench")]
pub(crate) use with_bench::{run, work};

#[cfg(feature = "bench")]
mod with_bench {
    use super::{Arguments, WORK, Work};
    use crate::failure::{Answer, Failure, Format};
    use mimeo_bench::callgrind;
    use mimeo_bench::kernels::{Kernel, kernels};
    use mimeo_bench::measure::{self, Options};
    use mimeo_bench::peer::{BenchError, peers};
    use mimeo_bench::plot;
    use mimeo_bench::report::Report;
    use mimeo_bench::{Inputs, ScalarTrace};
    use std::io::Write;
    use std::path::Path;

    pub(crate) fn run(arguments: &Arguments, out: &mut impl Write) -> Result<Answer, Failure> {
        let kernels = selected(arguments)?;
        if arguments.list {
            for kernel in &kernels {
                writeln!(out, "{}", kernel.name)?;
            }
            return Ok(Answer::Yes);
        }
        let draw = arguments.plot.as_deref().map(drawing).transpose()?;
        let measured = match arguments.callgrind {
            true => count(arguments),
            false => measure(arguments, kernels),
        };
        let report = match measured {
            Ok(report) => report,
            Err(Stopped::Disagreement(error)) => {
                // The answer, not a failure: that engines agree is what was asked for.
                writeln!(anstream::stderr(), "error: {error}")?;
                return Ok(Answer::No);
            }
            Err(Stopped::Failure(failure)) => return Err(failure),
        };
        let json = report.to_json().map_err(std::io::Error::from)?;
        match arguments.format {
            Format::Text => write!(out, "{report}")?,
            Format::Json => writeln!(out, "{json}")?,
        }
        if let Some(path) = &arguments.output {
            write_file(path, &format!("{json}\n"))?;
        }
        if let Some((path, draw)) = arguments.plot.as_ref().zip(draw) {
            write_file(path, &draw(&report))?;
        }
        Ok(Answer::Yes)
    }

    pub(crate) fn work(arguments: &Work) -> Result<Answer, Failure> {
        let kinds = [
            measure::Work::Nothing,
            measure::Work::Prepare,
            measure::Work::Patch,
        ];
        let Some(kind) = kinds
            .into_iter()
            .find(|kind| kind.argument() == arguments.work)
        else {
            return Err(Failure::Usage(format!("no such work: {}", arguments.work)));
        };
        measure::work(kind, arguments.uops, arguments.repeat).map_err(failure)?;
        Ok(Answer::Yes)
    }

    /// Why there is no report.
    enum Stopped {
        Disagreement(BenchError),
        Failure(Failure),
    }

    impl From<BenchError> for Stopped {
        fn from(error: BenchError) -> Self {
            match error {
                BenchError::Disagrees { .. } => Self::Disagreement(error),
                other => Self::Failure(failure(other)),
            }
        }
    }

    fn failure(error: BenchError) -> Failure {
        Failure::input("(benchmark)", error)
    }

    fn measure(arguments: &Arguments, kernels: Vec<Kernel>) -> Result<Report, Stopped> {
        let mut options = match arguments.quick {
            true => Options::quick(kernels),
            false => Options::full(kernels),
        };
        if !arguments.sizes.is_empty() {
            options.sizes = arguments.sizes.iter().map(|&size| size as usize).collect();
        }
        if !arguments.kernels.is_empty() {
            options.python = false;
        }
        // Whoever waits sees what for; nothing depends on its being seen.
        let mut note = |what: &str| {
            let _ = writeln!(anstream::stderr(), "{what}");
        };
        Ok(measure::measure(&peers()?, &options, &mut note)?)
    }

    fn count(arguments: &Arguments) -> Result<Report, Stopped> {
        let program = std::env::current_exe()
            .map_err(|error| Stopped::Failure(Failure::input("(this program)", error)))?;
        let sizes: Vec<usize> = match arguments.sizes.as_slice() {
            [] => vec![100, 1_000, 10_000],
            sizes => sizes.iter().map(|&size| size as usize).collect(),
        };
        let Some(instructions) = callgrind::count(&program, WORK, &sizes)? else {
            return Err(Stopped::Failure(Failure::Usage(
                "instructions are counted by valgrind, which is not installed".to_owned(),
            )));
        };
        Ok(Report {
            machine: measure::machine(),
            instructions,
            ..Report::default()
        })
    }

    /// The kernels that were asked for, those of files last.
    fn selected(arguments: &Arguments) -> Result<Vec<Kernel>, Failure> {
        let mut selected = kernels().map_err(|error| failure(error.into()))?;
        if let Some(unknown) = arguments
            .kernels
            .iter()
            .find(|name| !selected.iter().any(|kernel| kernel.name == **name))
        {
            return Err(Failure::Usage(format!(
                "there is no kernel {unknown}; `mimeo bench --list` prints their names"
            )));
        }
        if !arguments.kernels.is_empty() {
            selected.retain(|kernel| arguments.kernels.contains(&kernel.name));
        }
        for path in &arguments.traces {
            selected.push(read(path)?);
        }
        Ok(selected)
    }

    /// The kernel in a file.
    fn read(path: &Path) -> Result<Kernel, Failure> {
        let unusable = |error: &dyn std::fmt::Display| Failure::input(path, error);
        let text = std::fs::read_to_string(path).map_err(|error| unusable(&error))?;
        let json: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| unusable(&error))?;
        let is_bare = json.get("trace").is_none();
        let mut kernel: Kernel = if !is_bare {
            serde_json::from_str(&text).map_err(|error| unusable(&error))?
        } else {
            let trace: ScalarTrace =
                serde_json::from_str(&text).map_err(|error| unusable(&error))?;
            bare(path, trace)
        };
        // Before any engine runs it with nothing between it and this program's memory.
        let target = measure::target(&kernel.trace, &kernel.inputs);
        match target.map_err(|error| unusable(&error))? {
            Some(found) if is_bare => kernel.target = found,
            None if is_bare => return Err(unusable(&"the trace does not come to an end")),
            _ => {}
        }
        Ok(kernel)
    }

    /// A kernel of a trace alone, which starts with zeros and ends as it does in the reference.
    fn bare(path: &Path, trace: ScalarTrace) -> Kernel {
        let name = path.file_stem().unwrap_or(path.as_os_str());
        let inputs = Inputs {
            stack: vec![0i64.into(); trace.entry_depth as usize],
            ..Inputs::default()
        };
        Kernel {
            name: name.to_string_lossy().into_owned(),
            set: "scalar".to_owned(),
            trace,
            inputs,
            iterations: 1,
            target: 0,
            results: Vec::new(),
            expected: Vec::new(),
        }
    }

    /// What draws a file of this name.
    fn drawing(path: &Path) -> Result<fn(&Report) -> String, Failure> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("svg") => Ok(plot::svg),
            Some("html") => Ok(plot::html),
            _ => Err(Failure::Usage(format!(
                "{}: a plot is a file that ends in .svg or .html",
                path.display()
            ))),
        }
    }

    fn write_file(path: &Path, text: &str) -> Result<(), Failure> {
        mimeo::table::write_file(path, text.as_bytes()).map_err(|error| Failure::table(path, error))
    }
}
