//! What was measured, what follows from it, and how it is printed.

use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt::{self, Write as _};

/// The name of the engine that is judged.
const MIMEO: &str = "mimeo";

/// Where it was measured.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Machine {
    /// The processor.
    pub cpu: String,
    /// The CPU that the process was pinned to.
    pub pinned_to: Option<usize>,
}

/// Compiling random traces of one length.
#[derive(Clone, Debug, Serialize)]
pub struct CompileRow {
    /// The engine.
    pub engine: String,
    /// The length of the traces.
    pub uops: usize,
    /// How many different ones were compiled in each round.
    pub traces: usize,
    /// How many rounds there were.
    pub rounds: usize,
    /// The share of uops that may leave the trace.
    pub exit_share: f64,
    /// Choosing forms (mimeo) or building IR (compilers).
    pub prepare_ns_per_uop: f64,
    /// From there to code that can run.
    pub compile_ns_per_uop: f64,
}

impl CompileRow {
    fn both(&self) -> f64 {
        self.prepare_ns_per_uop + self.compile_ns_per_uop
    }
}

/// Compiling a trace that only leaves.
#[derive(Clone, Debug, Serialize)]
pub struct Fixed {
    /// The engine.
    pub engine: String,
    /// Nanoseconds to prepare.
    pub prepare_ns: f64,
    /// Nanoseconds to compile what is prepared.
    pub compile_ns: f64,
}

/// Running a kernel.
#[derive(Clone, Debug, Serialize)]
pub struct KernelRow {
    /// The kernel.
    pub kernel: String,
    /// The engine.
    pub engine: String,
    /// The length of the trace.
    pub uops: usize,
    /// Run time.
    pub ns_per_iteration: f64,
    /// Bytes of machine code; `None` where the engine makes none.
    pub code_bytes: Option<usize>,
}

/// Running a recorded Python trace.
#[derive(Clone, Debug, Serialize)]
pub struct PythonRow {
    /// The recording.
    pub kernel: String,
    /// The engine.
    pub engine: String,
    /// Run time.
    pub ns_per_iteration: f64,
}

/// Making a table of a set's templates.
#[derive(Clone, Debug, Serialize)]
pub struct GenerationRow {
    /// The set.
    pub set: String,
    /// Its uops.
    pub uops: usize,
    /// Its stencils, variants and all.
    pub stencils: usize,
    /// On how many threads.
    pub threads: usize,
    /// How long it took.
    pub seconds: f64,
    /// The size of the table.
    pub table_bytes: usize,
}

/// Instructions that compiling executes, by callgrind's count.
#[derive(Clone, Debug, Serialize)]
pub struct Instructions {
    /// The length of the traces.
    pub uops: usize,
    /// Choosing forms, per uop.
    pub prepare_per_uop: f64,
    /// Copying and patching, per uop.
    pub patch_per_uop: f64,
}

/// A figure that follows, with its goal.
#[derive(Clone, Debug, Serialize)]
pub struct Goal {
    /// What it is.
    pub what: String,
    /// What was measured.
    pub found: f64,
    /// What it should be.
    pub goal: f64,
    /// Whether more is better.
    pub at_least: bool,
    /// Whether it is reached.
    pub reached: bool,
}

impl Goal {
    fn at_most(what: impl Into<String>, found: f64, goal: f64) -> Self {
        Self {
            what: what.into(),
            found,
            goal,
            at_least: false,
            reached: found <= goal,
        }
    }

    fn at_least(what: impl Into<String>, found: f64, goal: f64) -> Self {
        Self {
            what: what.into(),
            found,
            goal,
            at_least: true,
            reached: found >= goal,
        }
    }
}

/// All of it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Where.
    pub machine: Machine,
    /// Compile times by length and engine.
    pub compile: Vec<CompileRow>,
    /// Fixed costs by engine.
    pub fixed: Vec<Fixed>,
    /// Run times by kernel and engine.
    pub kernels: Vec<KernelRow>,
    /// Run times of Python traces.
    pub python: Vec<PythonRow>,
    /// Generation times by set; empty without LLVM.
    pub generation: Vec<GenerationRow>,
    /// Instruction counts, where callgrind was asked for.
    pub instructions: Vec<Instructions>,
    /// The goals.
    pub summary: Vec<Goal>,
}

/// The geometric mean; `None` of nothing.
pub fn geomean(ratios: &[f64]) -> Option<f64> {
    let logs: f64 = ratios.iter().map(|ratio| ratio.ln()).sum();
    (!ratios.is_empty()).then(|| (logs / ratios.len() as f64).exp())
}

fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = BTreeSet::new();
    names.filter(|name| seen.insert(*name)).collect()
}

impl Report {
    /// The kernels' names, in the order in which they ran.
    pub fn kernel_names(&self) -> Vec<&str> {
        distinct(self.kernels.iter().map(|row| row.kernel.as_str()))
    }

    /// The names of the engines that ran kernels.
    pub fn runners(&self) -> Vec<&str> {
        distinct(self.kernels.iter().map(|row| row.engine.as_str()))
    }

    /// The lengths of the traces that were compiled.
    pub fn sizes(&self) -> Vec<usize> {
        let sizes: BTreeSet<usize> = self.compile.iter().map(|row| row.uops).collect();
        sizes.into_iter().collect()
    }

    /// The names of the engines that compiled.
    pub fn compilers(&self) -> Vec<&str> {
        distinct(self.compile.iter().map(|row| row.engine.as_str()))
    }

    /// The run time of a kernel on an engine.
    pub fn run_time(&self, kernel: &str, engine: &str) -> Option<f64> {
        let mut rows = self.kernels.iter();
        rows.find(|row| row.kernel == kernel && row.engine == engine)
            .map(|row| row.ns_per_iteration)
    }

    /// The times of an engine with traces of a length.
    pub fn compile_row(&self, uops: usize, engine: &str) -> Option<&CompileRow> {
        let mut rows = self.compile.iter();
        rows.find(|row| row.uops == uops && row.engine == engine)
    }

    /// The faster of LLVM -O1 and -O2.
    pub fn best_of_llvm(&self, kernel: &str) -> Option<f64> {
        let times = ["LLVM -O1", "LLVM -O2"];
        times
            .iter()
            .filter_map(|engine| self.run_time(kernel, engine))
            .min_by(f64::total_cmp)
    }

    /// For each kernel where both are known, mimeo's run time over another.
    fn ratios(&self, other: impl Fn(&str) -> Option<f64>) -> Vec<f64> {
        self.kernel_names()
            .into_iter()
            .filter_map(|kernel| Some(self.run_time(kernel, MIMEO)? / other(kernel)?))
            .collect()
    }

    /// As JSON.
    ///
    /// # Errors
    /// A number is not finite.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self)
    }
}

/// The length that compile times are judged at.
const JUDGED: usize = 1_000;

/// The goals of the issue, as far as what was measured says anything about them.
pub fn summarise(report: &Report) -> Vec<Goal> {
    let mut goals = Vec::new();
    compile_goals(report, &mut goals);
    let limit = report.ratios(|kernel| report.best_of_llvm(kernel));
    if let Some(mean) = geomean(&limit) {
        goals.push(Goal::at_most(
            "run time over the best of LLVM -O1 and -O2, geomean",
            mean,
            1.2,
        ));
    }
    if let Some(worst) = limit.iter().copied().max_by(f64::total_cmp) {
        goals.push(Goal::at_most(
            "run time over the best of LLVM -O1 and -O2, worst kernel",
            worst,
            1.35,
        ));
    }
    let interpreter = report.ratios(|kernel| report.run_time(kernel, "interpreter"));
    if let Some(mean) = geomean(&interpreter) {
        goals.push(Goal::at_least(
            "interpreter's run time over mimeo's, geomean",
            1.0 / mean,
            8.0,
        ));
    }
    let cranelift = report.ratios(|kernel| report.run_time(kernel, "cranelift none"));
    if let Some(worst) = cranelift.iter().copied().max_by(f64::total_cmp) {
        goals.push(Goal::at_most(
            "run time over cranelift none, worst kernel",
            worst,
            1.0,
        ));
    }
    goals
}

fn compile_goals(report: &Report, goals: &mut Vec<Goal>) {
    let size = match report.compile_row(JUDGED, MIMEO) {
        Some(_) => JUDGED,
        None => report.sizes().last().copied().unwrap_or_default(),
    };
    if let Some(row) = report.compile_row(size, MIMEO) {
        let own = row.compile_ns_per_uop;
        goals.push(Goal::at_most(
            format!("compile, ns per uop, traces of {size}"),
            own,
            1.5,
        ));
        for (engine, goal) in [("cranelift none", 700.0), ("LLVM -O0", 1800.0)] {
            if let Some(other) = report.compile_row(size, engine) {
                let what = format!("{engine}'s compile time over mimeo's, IR building not counted");
                goals.push(Goal::at_least(what, other.compile_ns_per_uop / own, goal));
            }
        }
    }
    if let Some(fixed) = report.fixed.iter().find(|fixed| fixed.engine == MIMEO) {
        goals.push(Goal::at_most(
            "fixed cost of a trace, ns",
            fixed.compile_ns,
            200.0,
        ));
    }
}

/// A number with about three digits.
struct Number(f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = match self.0.abs() {
            0.0..10.0 => 2,
            10.0..100.0 => 1,
            _ => 0,
        };
        f.pad(&format!("{:.digits$}", self.0))
    }
}

/// As tables.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.machine.cpu)?;
        if let Some(cpu) = self.machine.pinned_to {
            write!(f, ", pinned to CPU {cpu}")?;
        }
        writeln!(f, "\n")?;
        self.print_compile(f)?;
        self.print_fixed(f)?;
        self.print_runs(f)?;
        self.print_ratios(f)?;
        self.print_code(f)?;
        self.print_rest(f)?;
        self.print_goals(f)
    }
}

impl Report {
    fn print_compile(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes = self.sizes();
        if sizes.is_empty() {
            return Ok(());
        }
        let share = self.compile.first().map_or(0.0, |row| row.exit_share);
        writeln!(
            f,
            "Compile time, ns per uop: forms or IR + code = both; {:.0}% of uops may leave\n",
            share * 100.0
        )?;
        write!(f, "{:<24}", "uops in the trace")?;
        for size in &sizes {
            write!(f, " {size:>26}")?;
        }
        writeln!(f)?;
        for engine in self.compilers() {
            write!(f, "{engine:<24}")?;
            for &size in &sizes {
                let cell = self.compile_row(size, engine).map(|row| {
                    format!(
                        "{} + {} = {}",
                        Number(row.prepare_ns_per_uop),
                        Number(row.compile_ns_per_uop),
                        Number(row.both())
                    )
                });
                write!(f, " {:>26}", cell.unwrap_or_else(|| "-".to_owned()))?;
            }
            writeln!(f)?;
        }
        writeln!(f)
    }

    fn print_fixed(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.fixed.is_empty() {
            return Ok(());
        }
        writeln!(f, "Fixed cost: a trace that only leaves, ns\n")?;
        for fixed in &self.fixed {
            writeln!(
                f,
                "{:<24} {:>10} + {:>10}",
                fixed.engine,
                Number(fixed.prepare_ns),
                Number(fixed.compile_ns)
            )?;
        }
        writeln!(f)
    }

    /// A table with a row for each kernel and a column for each engine.
    fn print_kernels(
        &self,
        f: &mut fmt::Formatter<'_>,
        engines: &[&str],
        cell: impl Fn(&str, &str) -> Option<String>,
    ) -> fmt::Result {
        write!(f, "{:<20}", "")?;
        for engine in engines {
            write!(f, " {engine:>13.13}")?;
        }
        writeln!(f)?;
        for kernel in self.kernel_names() {
            write!(f, "{kernel:<20.20}")?;
            for engine in engines {
                let cell = cell(kernel, engine).unwrap_or_else(|| "-".to_owned());
                write!(f, " {cell:>13}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }

    fn print_runs(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kernels.is_empty() {
            return Ok(());
        }
        writeln!(f, "Run time, ns per iteration\n")?;
        self.print_kernels(f, &short(&self.runners()), |kernel, engine| {
            Some(Number(self.run_time(kernel, long(engine))?).to_string())
        })?;
        writeln!(f)
    }

    fn print_ratios(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kernels.is_empty() {
            return Ok(());
        }
        writeln!(f, "Run time of each engine over mimeo's\n")?;
        let runners = self.runners();
        self.print_kernels(f, &short(&runners), |kernel, engine| {
            let ratio = self.run_time(kernel, long(engine))? / self.run_time(kernel, MIMEO)?;
            Some(Number(ratio).to_string())
        })?;
        write!(f, "{:<20}", "geomean")?;
        for engine in runners {
            let ratios = self.ratios(|kernel| self.run_time(kernel, engine));
            let mean = geomean(&ratios).map(|mean| Number(1.0 / mean).to_string());
            write!(f, " {:>13}", mean.unwrap_or_else(|| "-".to_owned()))?;
        }
        writeln!(f, "\n")
    }

    fn print_code(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kernels.is_empty() {
            return Ok(());
        }
        writeln!(f, "Bytes of code per uop\n")?;
        self.print_kernels(f, &short(&self.runners()), |kernel, engine| {
            let mut rows = self.kernels.iter();
            let row = rows.find(|row| row.kernel == kernel && row.engine == long(engine))?;
            Some(format!("{:.1}", row.code_bytes? as f64 / row.uops as f64))
        })?;
        writeln!(f)
    }

    fn print_rest(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.python.is_empty() {
            writeln!(f, "Recorded Python traces, ns per iteration\n")?;
            for row in &self.python {
                writeln!(
                    f,
                    "{:<20.20} {:<14} {:>10}",
                    row.kernel,
                    row.engine,
                    Number(row.ns_per_iteration)
                )?;
            }
            writeln!(f)?;
        }
        if !self.generation.is_empty() {
            writeln!(f, "Generation of the tables\n")?;
            for row in &self.generation {
                writeln!(
                    f,
                    "{:<20} {} uops, {} stencils, {} bytes: {:.2} s on {} threads",
                    row.set, row.uops, row.stencils, row.table_bytes, row.seconds, row.threads
                )?;
            }
            writeln!(f)?;
        }
        if !self.instructions.is_empty() {
            writeln!(f, "Instructions per uop, by callgrind\n")?;
            for row in &self.instructions {
                writeln!(
                    f,
                    "traces of {:<10} {:.1} to prepare, {:.1} to patch",
                    row.uops, row.prepare_per_uop, row.patch_per_uop
                )?;
            }
            writeln!(f)?;
        }
        Ok(())
    }

    fn print_goals(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.summary.is_empty() {
            return Ok(());
        }
        writeln!(f, "Goals\n")?;
        for goal in &self.summary {
            let mut line = String::new();
            write!(
                line,
                "{:<72} {:>8}  {} {:<6} {}",
                goal.what,
                Number(goal.found).to_string(),
                if goal.at_least { ">=" } else { "<=" },
                Number(goal.goal).to_string(),
                if goal.reached { "reached" } else { "missed" }
            )?;
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}

/// Names that fit a column, and back.
const NAMES: [(&str, &str); 3] = [
    ("cranelift single-pass", "cl single"),
    ("cranelift none", "cl none"),
    ("cranelift speed", "cl speed"),
];

fn short<'a>(engines: &[&'a str]) -> Vec<&'a str> {
    let shorten = |engine: &&'a str| {
        let known = NAMES.iter().find(|(name, _)| name == engine);
        known.map_or(*engine, |(_, short)| *short)
    };
    engines.iter().map(shorten).collect()
}

fn long(short: &str) -> &str {
    let known = NAMES.iter().find(|(_, name)| *name == short);
    known.map_or(short, |(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(name: &str, engine: &str, time: f64) -> KernelRow {
        KernelRow {
            kernel: name.to_owned(),
            engine: engine.to_owned(),
            uops: 10,
            ns_per_iteration: time,
            code_bytes: Some(100),
        }
    }

    fn report() -> Report {
        let mut report = Report {
            kernels: vec![
                kernel("a", MIMEO, 2.0),
                kernel("a", "LLVM -O1", 1.0),
                kernel("a", "LLVM -O2", 4.0),
                kernel("b", MIMEO, 1.0),
                kernel("b", "LLVM -O1", 2.0),
                kernel("b", "LLVM -O2", 2.0),
            ],
            ..Report::default()
        };
        report.summary = summarise(&report);
        report
    }

    #[test]
    fn goals_are_of_the_best_level_of_each_kernel() {
        let report = report();
        let found: Vec<(f64, bool)> = report
            .summary
            .iter()
            .map(|goal| (goal.found, goal.reached))
            .collect();
        assert_eq!(found, [(1.0, true), (2.0, false)]);
    }

    #[test]
    fn the_mean_of_ratios_is_geometric() {
        assert_eq!(geomean(&[]), None);
        assert_eq!(geomean(&[4.0]), Some(4.0));
        assert!((geomean(&[2.0, 0.5]).unwrap_or_default() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn what_was_not_measured_is_not_judged() {
        assert!(summarise(&Report::default()).is_empty());
    }

    #[test]
    fn a_report_prints_every_kernel_and_goal() {
        let text = report().to_string();
        for wanted in ["LLVM -O1", "geomean", "missed", "reached"] {
            assert!(text.contains(wanted), "{wanted} is not in\n{text}");
        }
        let json = report().to_json().expect("numbers that are finite");
        assert!(json.contains("\"ns_per_iteration\": 4.0"));
    }
}
