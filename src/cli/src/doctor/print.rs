//! The report for people: a line for each thing, with its state in front.

use super::Report;
use super::llvm::State;
use super::programs::Program;
use crate::failure::Failure;
use std::io::Write;

/// What a line says at a glance.
#[derive(Clone, Copy)]
enum Mark {
    Yes,
    No,
    /// Not there, which need not be wrong.
    Absent,
}

impl Mark {
    /// Yes, or something to look at.
    fn of(works: bool) -> Self {
        if works { Self::Yes } else { Self::No }
    }

    /// Yes, or not there.
    fn present(is_present: bool) -> Self {
        if is_present { Self::Yes } else { Self::Absent }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Absent => "-",
        }
    }
}

pub(super) fn print(report: &Report, out: &mut impl Write) -> Result<(), Failure> {
    writeln!(
        out,
        "mimeo {} for {} {}",
        report.version, report.architecture, report.system
    )?;
    traces(report, out)?;
    processor(report, out)?;
    llvm(report, out)?;
    programs(report, out)?;
    advice(report, out)
}

fn heading(out: &mut impl Write, title: &str) -> Result<(), Failure> {
    Ok(writeln!(out, "\n{title}")?)
}

/// `detail` may have several lines.
fn line(
    out: &mut impl Write,
    mark: Mark,
    name: &str,
    detail: impl std::fmt::Display,
) -> Result<(), Failure> {
    let detail = detail.to_string();
    let mut lines = detail.lines();
    let first = format!(
        "  {:<3}  {name:<17}  {}",
        mark.text(),
        lines.next().unwrap_or_default()
    );
    writeln!(out, "{}", first.trim_end())?;
    for line in lines {
        writeln!(out, "{:<26}{line}", "")?;
    }
    Ok(())
}

fn traces(report: &Report, out: &mut impl Write) -> Result<(), Failure> {
    let traces = &report.traces;
    heading(out, "Running traces")?;
    for tried in [&traces.machine_code, &traces.interpreter] {
        line(out, Mark::of(tried.works), tried.name, &tried.detail)?;
    }
    for mode in &traces.modes {
        let used = match traces.code_memory == Some(mode.name) {
            true => "; this mode is used",
            false => "",
        };
        let name = format!("memory, {}", mode.name);
        line(
            out,
            Mark::of(mode.works),
            &name,
            format!("{}{used}", mode.detail),
        )?;
    }
    for table in &traces.tables {
        let name = format!("table {}", table.set);
        match &table.llvm {
            Some(llvm) if table.verified => line(
                out,
                Mark::Yes,
                &name,
                format!(
                    "{} uops and {} variants keep the rules; made with LLVM {llvm}",
                    table.uops, table.variants
                ),
            )?,
            _ => line(out, Mark::No, &name, table.problems.join("\n"))?,
        }
    }
    Ok(())
}

fn processor(report: &Report, out: &mut impl Write) -> Result<(), Failure> {
    let processor = &report.processor;
    heading(out, "Processor")?;
    let model = processor.model.as_deref().unwrap_or("of unknown name");
    line(out, Mark::Yes, "x86-64", model)?;
    for feature in &processor.features {
        let detail = format!("for {}", feature.needed_by);
        line(out, Mark::present(feature.present), feature.name, detail)?;
    }
    let detail = format!("{}, the fastest here", processor.patcher);
    line(out, Mark::Yes, "patcher", detail)
}

fn llvm(report: &Report, out: &mut impl Write) -> Result<(), Failure> {
    let llvm = &report.llvm;
    heading(out, "LLVM, to compile templates")?;
    match (llvm.built_with, &llvm.linked) {
        (Some(major), Some(linked)) => {
            let is_right = linked.split('.').next() == Some(&major.to_string());
            let detail = match is_right {
                true => format!("LLVM {linked}"),
                false => format!("LLVM {linked}, where {major} is expected"),
            };
            line(out, Mark::of(is_right), "linked", detail)?;
        }
        _ => line(
            out,
            Mark::Absent,
            "linked",
            "none: this mimeo runs, inspects and verifies, and compiles no templates",
        )?,
    }
    for version in &llvm.versions {
        let name = format!("LLVM {}", version.major);
        let library = version.library.as_ref().map(|path| path.display());
        match (version.state, library) {
            (State::Usable, Some(library)) => {
                let full = version.version.as_deref().unwrap_or("unknown");
                line(out, Mark::Yes, &name, format!("{full}, {library}"))?;
            }
            (State::Missing, _) => line(out, Mark::Absent, &name, "not installed")?,
            (_, Some(library)) => {
                let problems = version.problems.join("; ");
                line(out, Mark::No, &name, format!("{library}: {problems}"))?;
            }
            (_, None) => line(out, Mark::No, &name, version.problems.join("\n"))?,
        }
    }
    Ok(())
}

fn programs(report: &Report, out: &mut impl Write) -> Result<(), Failure> {
    let programs = &report.programs;
    heading(out, "clang, for mimeo cpython")?;
    for clang in &programs.clang {
        let name = format!("clang {}", clang.major);
        let detail = format!("{}, {}", clang.version, clang.path.display());
        line(out, Mark::Yes, &name, detail)?;
    }
    if programs.clang.is_empty() {
        line(out, Mark::Absent, "clang", "none of the versions above")?;
    }
    heading(out, "Profiling and debugging")?;
    program(out, "perf", &programs.perf)?;
    match programs.perf_event_paranoid {
        // From kernel.org's sysctl/kernel.rst: at 2 and below users may profile what is theirs.
        Some(level) => {
            let detail = format!(
                "kernel.perf_event_paranoid is {level}: {}",
                match level {
                    ..=2 => "users may profile their own programs",
                    _ => "only root may profile",
                }
            );
            line(out, Mark::of(level <= 2), "perf events", detail)?;
        }
        None => line(
            out,
            Mark::Absent,
            "perf events",
            "the system does not say who may profile",
        )?,
    }
    program(out, "gdb", &programs.gdb)?;
    for support in &programs.support {
        line(
            out,
            Mark::present(support.supported),
            support.name,
            support.meaning,
        )?;
    }
    Ok(())
}

fn program(out: &mut impl Write, name: &str, program: &Program) -> Result<(), Failure> {
    match (&program.path, &program.version) {
        (Some(path), Some(version)) => {
            let detail = format!("{version}, {}", path.display());
            line(out, Mark::Yes, name, detail)
        }
        (Some(path), None) => {
            let detail = format!("{}: it does not run", path.display());
            line(out, Mark::No, name, detail)
        }
        _ => line(out, Mark::Absent, name, "not installed"),
    }
}

fn advice(report: &Report, out: &mut impl Write) -> Result<(), Failure> {
    heading(out, "What to do")?;
    for advice in &report.advice {
        writeln!(out, "  for {}: {}", advice.purpose, advice.action)?;
    }
    if report.advice.is_empty() {
        writeln!(out, "  nothing: everything is there")?;
    }
    let answer = match (report.traces.machine_code.works, report.works) {
        (true, true) => "Traces can be run.",
        (false, true) => "Traces can be run, with the interpreter only.",
        (_, false) => "Traces cannot be run.",
    };
    Ok(writeln!(out, "\n{answer}")?)
}
