//! Programs that mimeo starts, or that look at what it made: clang, perf, gdb.

use super::Advice;
use mimeo_compiler::installation::{SUPPORTED, Surroundings};
use serde::Serialize;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

#[derive(Debug, Serialize)]
pub(super) struct Programs {
    /// Those of the versions that mimeo can be built with.
    pub(super) clang: Vec<Clang>,
    pub(super) perf: Program,
    pub(super) gdb: Program,
    /// The system's kernel.perf_event_paranoid, if it says.
    pub(super) perf_event_paranoid: Option<i32>,
    /// What compiled traces tell these programs about themselves.
    pub(super) support: Vec<Support>,
}

/// A clang that parses what `mimeo cpython` compiles, for the LLVM of its version.
#[derive(Debug, Serialize)]
pub(super) struct Clang {
    pub(super) major: u32,
    pub(super) version: String,
    pub(super) path: PathBuf,
}

#[derive(Debug, Serialize)]
pub(super) struct Program {
    /// Where it is, if it is there.
    pub(super) path: Option<PathBuf>,
    /// The first line of what it says of its version; none where it does not run.
    pub(super) version: Option<String>,
}

/// A way to tell another program about compiled traces.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Support {
    pub(super) name: &'static str,
    pub(super) supported: bool,
    /// What follows from that.
    pub(super) meaning: &'static str,
}

/// What the runtime does of this. To be changed with it.
const SUPPORT: [Support; 3] = [
    Support {
        name: "perf map",
        supported: false,
        meaning: "no /tmp/perf-PID.map: perf shows compiled traces as addresses",
    },
    Support {
        name: "jitdump",
        supported: false,
        meaning: "`perf inject --jit` has nothing to work on",
    },
    Support {
        name: "gdb interface",
        supported: false,
        meaning: "no __jit_debug_register_code: gdb has no names and no unwinding in compiled traces",
    },
];

impl Programs {
    pub(super) fn new(surroundings: &Surroundings) -> Self {
        Self {
            clang: { SUPPORTED }
                .filter_map(|major| Clang::find(major, surroundings))
                .collect(),
            perf: Program::find("perf", surroundings),
            gdb: Program::find("gdb", surroundings),
            perf_event_paranoid: fs::read_to_string("/proc/sys/kernel/perf_event_paranoid")
                .ok()
                .and_then(|text| text.trim().parse().ok()),
            support: SUPPORT.into(),
        }
    }

    pub(super) fn advice(&self, surroundings: &Surroundings) -> Vec<Advice> {
        let mut advice = Vec::new();
        if self.perf.version.is_none() {
            let package = match () {
                () if surroundings.is_like("ubuntu") => "run `apt-get install linux-tools-generic`",
                () if surroundings.is_like("debian") => "run `apt-get install linux-perf`",
                () => "install perf for this kernel",
            };
            advice.push(Advice::new("profiling", package));
        } else if self.perf_event_paranoid.is_some_and(|level| level > 2) {
            advice.push(Advice::new(
                "profiling",
                "run `sysctl kernel.perf_event_paranoid=2`, or perf as root",
            ));
        }
        if self.gdb.version.is_none() {
            advice.push(Advice::new("debugging", "install gdb"));
        }
        advice
    }
}

impl Clang {
    /// The first of the names that `mimeo cpython` tries which has this version.
    fn find(major: u32, surroundings: &Surroundings) -> Option<Self> {
        let names = [format!("clang-{major}"), "clang".to_owned()];
        names.iter().find_map(|name| {
            let path = find(name, surroundings)?;
            let said = version(&path)?;
            let (_, version) = said.split_once("clang version ")?;
            let version = version.split_whitespace().next()?;
            let of_version = version.split('.').next()?.parse() == Ok(major);
            of_version.then(|| Self {
                major,
                version: version.to_owned(),
                path,
            })
        })
    }
}

impl Program {
    fn find(name: &str, surroundings: &Surroundings) -> Self {
        let path = find(name, surroundings);
        Self {
            version: path.as_ref().and_then(version),
            path,
        }
    }
}

/// The first file of this name in the search path.
fn find(name: &str, surroundings: &Surroundings) -> Option<PathBuf> {
    let directories = surroundings.search_path.iter();
    directories
        .map(|directory| directory.join(name))
        .find(|path| path.is_file())
}

/// The first line of what a program says of its version, if it runs.
fn version(path: &PathBuf) -> Option<String> {
    let output = Command::new(path)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().next()?.trim();
    (output.status.success() && !line.is_empty()).then(|| line.to_owned())
}
