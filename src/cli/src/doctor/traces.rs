//! Whether traces can be run: code memory in each mode, a trace through both tiers, the embedded tables.

use super::{Advice, text};
use crate::engines::{Choice, Chosen, with_hint};
use crate::tables;
use mimeo::code_memory::{ArenaOptions, CodeArena, Mode};
use mimeo::table::StencilTable;
use mimeo_compiler::verify::check_table;
use mimeo_ir_templates::SET_NAMES;
use mimeo_objects::recorded::{Document, Program};
use serde::Serialize;

/// The trace that is run.
const TRACE: &str = include_str!("trace.uops");

#[derive(Debug, Serialize)]
pub(super) struct Traces {
    /// The mode of code memory that is used; none where the system refuses it.
    pub(super) code_memory: Option<&'static str>,
    /// Each mode, tried.
    pub(super) modes: Vec<Tried>,
    /// A trace as machine code, and the same with the interpreter.
    pub(super) machine_code: Tried,
    pub(super) interpreter: Tried,
    pub(super) tables: Vec<Table>,
}

/// Something that was tried.
#[derive(Debug, Serialize)]
pub(super) struct Tried {
    pub(super) name: &'static str,
    pub(super) works: bool,
    /// What was seen, or what is wrong.
    pub(super) detail: String,
}

impl Tried {
    fn new(name: &'static str, result: Result<String, String>) -> Self {
        Self {
            name,
            works: result.is_ok(),
            detail: result.unwrap_or_else(|problem| problem),
        }
    }
}

/// An embedded table.
#[derive(Debug, Serialize)]
pub(super) struct Table {
    pub(super) set: &'static str,
    /// Whether its format is right and every stencil keeps the rules, as for `mimeo verify`.
    pub(super) verified: bool,
    /// The LLVM that it was made with.
    pub(super) llvm: Option<String>,
    pub(super) uops: usize,
    pub(super) variants: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) problems: Vec<String>,
}

impl Traces {
    pub(super) fn new() -> Self {
        let (code_memory, modes) = code_memory();
        Self {
            code_memory,
            modes,
            machine_code: Tried::new("machine code", run(Choice::Jit)),
            interpreter: Tried::new("interpreter", run(Choice::Interp)),
            tables: SET_NAMES.into_iter().map(Table::new).collect(),
        }
    }

    /// Whether the main job can be done: one tier works, and the tables are what they should be.
    pub(super) fn work(&self) -> bool {
        (self.machine_code.works || self.interpreter.works)
            && self.tables.iter().all(|table| table.verified)
    }

    pub(super) fn advice(&self) -> Vec<Advice> {
        let mut advice = Vec::new();
        if self.code_memory.is_none() {
            advice.push(Advice::new(
                "machine code",
                "allow executable memory: SELinux's `execmem`, a container's seccomp profile, or `exec` on the mount of shared \
                 memory; until then traces are interpreted",
            ));
        } else if !self.work() || !self.machine_code.works || !self.interpreter.works {
            advice.push(Advice::new(
                "running traces",
                "build mimeo anew, and report the problem above if it stays",
            ));
        }
        advice
    }
}

/// The mode that is used, and each mode tried with an arena of its own.
fn code_memory() -> (Option<&'static str>, Vec<Tried>) {
    let name = |mode| match mode {
        Mode::Dual => "dual",
        Mode::Protect => "protect",
        Mode::Auto => "auto",
    };
    let tried = [
        (
            Mode::Dual,
            "two views of one memory file, one to write, one to run",
        ),
        (
            Mode::Protect,
            "one view whose pages are writable or executable by turns",
        ),
    ]
    .map(|(mode, detail)| {
        let options = ArenaOptions {
            mode,
            segment_len: 4096,
            ..ArenaOptions::default()
        };
        let result = CodeArena::new(options)
            .and_then(|arena| arena.allocate(64)?.seal(64))
            .map(|_| detail.to_owned())
            .map_err(|error| text(&error));
        Tried::new(name(mode), result)
    });
    (CodeArena::probe().ok().map(name), tried.into())
}

/// Runs the trace, which has to end as it says.
fn run(choice: Choice) -> Result<String, String> {
    let table = mimeo_ir_templates::standard_table().map_err(|error| text(&error))?;
    let chosen = Chosen::new(choice, table, false)?;
    let document =
        Document::parse_text(TRACE).map_err(|error| error.render("trace.uops", TRACE))?;
    let mut program = Program::new(&document, chosen.tier()).map_err(with_hint)?;
    let outcome = program.run().map_err(|error| text(&error))?;
    program.check(&outcome).map_err(|error| error.to_string())?;
    Ok(format!(
        "a trace of {} uops ended as expected, {} bytes of {}",
        program.recorded_uops(),
        program.byte_len(),
        match choice {
            Choice::Interp => "records",
            Choice::Auto | Choice::Jit => "code and data",
        }
    ))
}

impl Table {
    fn new(set: &'static str) -> Self {
        match mimeo_ir_templates::table_of(set) {
            Some(Ok(table)) => Self::check(set, &table),
            Some(Err(error)) => Self::unusable(set, text(&error)),
            None => Self::unusable(set, "there is no such set".to_owned()),
        }
    }

    fn check(set: &'static str, table: &StencilTable) -> Self {
        let problems: Vec<String> = check_table(table)
            .filter_map(|result| Some(text(&result.err()?)))
            .collect();
        Self {
            set,
            verified: problems.is_empty(),
            llvm: Some(tables::llvm_version(table)),
            uops: table.uop_count(),
            variants: table.variant_count(),
            problems,
        }
    }

    fn unusable(set: &'static str, problem: String) -> Self {
        Self {
            set,
            verified: false,
            llvm: None,
            uops: 0,
            variants: 0,
            problems: vec![problem],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(works: bool) -> Tried {
        Tried::new(
            "",
            if works {
                Ok(String::new())
            } else {
                Err(String::new())
            },
        )
    }

    fn traces(machine_code: bool, interpreter: bool, problem: Option<&str>) -> Traces {
        let mut table = Table::unusable("python", problem.unwrap_or_default().to_owned());
        table.verified = problem.is_none();
        Traces {
            code_memory: machine_code.then_some("dual"),
            modes: Vec::new(),
            machine_code: tried(machine_code),
            interpreter: tried(interpreter),
            tables: vec![table],
        }
    }

    #[test]
    fn traces_run_where_one_tier_works_and_the_tables_are_right() {
        for (machine_code, interpreter, problem, works) in [
            (true, true, None, true),
            (false, true, None, true),
            (true, false, None, true),
            (false, false, None, false),
            (true, true, Some("a stencil jumps into another"), false),
        ] {
            let traces = traces(machine_code, interpreter, problem);
            assert_eq!(traces.work(), works, "{traces:?}");
            // Whatever is wrong comes with something to do.
            let all_well = machine_code && interpreter && problem.is_none();
            assert_eq!(traces.advice().is_empty(), all_well, "{traces:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_no_table() {
        let table = Table::new("lisp");
        assert!(!table.verified);
        assert_eq!(table.problems, ["there is no such set"]);
    }
}
