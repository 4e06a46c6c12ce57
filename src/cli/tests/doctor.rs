//! `mimeo doctor`: what is said of a machine, of which only that is expected here which the tests arrange, or which holds
//! wherever they run.

mod programs;

use mimeo_compiler::installation::SUPPORTED;
use serde_json::Value as Json;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;
use tempfile::TempDir;

/// A directory that has all programs that are to be found.
struct Machine(TempDir);

impl Machine {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn program(&self, name: &str, lines: &str) {
        programs::write(&self.path(name), &format!("#!/bin/sh\n{lines}\n"));
    }

    fn file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Where a file of this name is to be, in a directory that is there.
    fn path(&self, name: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mimeo"));
        command.arg("doctor").args(arguments);
        command.env("PATH", self.0.path());
        for major in SUPPORTED {
            command.env_remove(format!("LLVM_SYS_{major}1_PREFIX"));
        }
        command
    }

    fn text(&self) -> String {
        succeeds(&mut self.command(&[]))
    }

    fn json(&self) -> Json {
        json(&mut self.command(&["--json"]))
    }
}

/// What is said where there are no programs, as text and for programs.
static BARE: LazyLock<(String, Json)> = LazyLock::new(|| {
    let machine = Machine::new();
    (machine.text(), machine.json())
});

fn json(command: &mut Command) -> Json {
    serde_json::from_str(&succeeds(command)).unwrap()
}

/// What a command prints that has to succeed.
fn succeeds(command: &mut Command) -> String {
    let output: Output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert_eq!(errors, "");
    String::from_utf8(output.stdout).unwrap()
}

/// What is said of a version of LLVM.
fn version(report: &Json, major: u32) -> &Json {
    let versions = report["llvm"]["versions"].as_array().unwrap();
    versions
        .iter()
        .find(|version| version["major"] == major)
        .unwrap()
}

/// The line of the text for a thing.
#[track_caller]
fn line<'a>(text: &'a str, name: &str) -> &'a str {
    let mut lines = text.lines();
    lines
        .find(|line| line.get(7..).is_some_and(|rest| rest.starts_with(name)))
        .unwrap_or_else(|| panic!("no line for {name}: {text}"))
}

#[test]
fn traces_are_run() {
    let (text, report) = &*BARE;
    for name in ["machine code", "interpreter"] {
        let line = line(text, name);
        assert!(line.starts_with("  yes  "), "{line}");
        assert!(
            line.contains("a trace of 16 uops ended as expected"),
            "{line}"
        );
    }
    for set in ["table python", "table scalar"] {
        assert!(line(text, set).starts_with("  yes  "), "{text}");
    }
    assert!(text.ends_with("\nTraces can be run.\n"), "{text}");

    assert_eq!(report["works"], true);
    assert_eq!(report["version"], env!("CARGO_PKG_VERSION"));
    let traces = &report["traces"];
    for tier in ["machine_code", "interpreter"] {
        assert_eq!(traces[tier]["works"], true, "{traces}");
    }
    // The one that is used is one of those that work.
    let used = traces["code_memory"].as_str().unwrap();
    let modes = traces["modes"].as_array().unwrap();
    assert!(
        modes
            .iter()
            .any(|mode| mode["name"] == used && mode["works"] == true),
        "{traces}"
    );
    for (table, set) in traces["tables"]
        .as_array()
        .unwrap()
        .iter()
        .zip(["python", "scalar"])
    {
        assert_eq!(
            (&table["set"], &table["verified"]),
            (&set.into(), &true.into())
        );
        assert!(table["uops"].as_u64().unwrap() > 100, "{table}");
    }
}

#[test]
fn json_has_two_names() {
    let machine = Machine::new();
    assert_eq!(json(&mut machine.command(&["--format", "json"])), BARE.1);
    let output = machine.command(&["--json", "--format", "text"]).output();
    assert_eq!(output.unwrap().status.code(), Some(2));
}

#[test]
fn the_patcher_is_the_first_of_those_that_run_here() {
    let report = &BARE.1;
    let processor = &report["processor"];
    let patchers = processor["patchers"].as_array().unwrap();
    assert_eq!(patchers[0], processor["patcher"]);
    assert_eq!(patchers.last().unwrap(), "portable");
    // Of the baseline there is everything on every machine.
    for feature in processor["features"].as_array().unwrap() {
        if feature["name"].as_str().unwrap().starts_with("sse") {
            assert_eq!(feature["present"], true, "{feature}");
        }
    }
}

#[test]
fn programs_are_looked_for_in_the_search_path() {
    let (text, report) = &*BARE;
    for name in ["perf", "gdb"] {
        assert_eq!(report["programs"][name]["path"], Json::Null);
        assert!(line(text, name).ends_with("not installed"));
    }
    assert_eq!(report["programs"]["clang"], Json::Array(Vec::new()));
    let purposes = |report: &Json| -> Vec<String> {
        let advice = report["advice"].as_array().unwrap().iter();
        advice
            .map(|advice| advice["purpose"].as_str().unwrap().to_owned())
            .collect()
    };
    for purpose in ["profiling", "debugging"] {
        assert!(purposes(report).contains(&purpose.to_owned()), "{report}");
    }

    let machine = Machine::new();
    machine.program("perf", "echo perf version 6.6.6");
    machine.program("gdb", "exit 1");
    machine.program("clang-20", "echo Some clang version 20.1.2 '(x)'");
    machine.program("clang", "echo clang version 22.1.0");
    // The name says another version than the program.
    machine.program("clang-21", "echo clang version 14.0.6");
    let report = machine.json();
    let programs = &report["programs"];
    assert_eq!(programs["perf"]["version"], "perf version 6.6.6");
    assert_eq!(programs["gdb"]["version"], Json::Null);
    assert_ne!(programs["gdb"]["path"], Json::Null);
    let clang = programs["clang"].as_array().unwrap().iter();
    let versions: Vec<&str> = clang
        .map(|clang| clang["version"].as_str().unwrap())
        .collect();
    assert_eq!(versions, ["20.1.2", "22.1.0"]);
    let text = machine.text();
    assert!(line(&text, "gdb").starts_with("  no   "), "{text}");
    assert!(line(&text, "clang 20").contains("20.1.2"), "{text}");
}

#[test]
fn an_llvm_that_cannot_be_linked_is_named_with_what_is_wrong() {
    let machine = Machine::new();
    machine.file("script/lib/libLLVM.so.21.1", "INPUT(libLLVM-21.so)");
    machine.file("other/lib/libLLVM.so.22.1", shared_object());
    let command = |arguments: &[&str]| {
        let mut command = machine.command(arguments);
        for (major, prefix) in [(20, "empty"), (21, "script"), (22, "other"), (23, "script")] {
            let variable = format!("LLVM_SYS_{major}1_PREFIX");
            command.env(variable, machine.0.path().join(prefix));
        }
        command
    };
    let (report, text) = (json(&mut command(&["--json"])), succeeds(&mut command(&[])));
    for (major, expected) in [
        (20, "has neither bin/llvm-config nor lib/libLLVM.so.20.1"),
        (21, "it is not a 64-bit ELF file"),
        // A shared library, but for something else.
        (22, "it does not export LLVMGetVersion, "),
        (
            23,
            "which has LLVM 21.1: set it to where LLVM 23 is installed",
        ),
    ] {
        let version = version(&report, major);
        assert_eq!(version["state"], "unusable", "{version}");
        let problem = version["problems"][0].as_str().unwrap();
        assert!(problem.contains(expected), "{problem}");
        let line = line(&text, &format!("LLVM {major}"));
        assert!(line.starts_with("  no   "), "{line}");
        assert!(line.contains(expected), "{line}");
    }
}

/// The header of a shared library for x86-64 that has nothing in it, as the ELF specification lays it out.
fn shared_object() -> Vec<u8> {
    let mut header = vec![0; 64];
    header[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    // e_type, e_machine, e_version, e_ehsize.
    for (offset, value) in [(16, 3u8), (18, 62), (20, 1), (52, 64)] {
        header[offset] = value;
    }
    header
}

#[test]
fn what_this_build_is_linked_with_is_said() {
    let (text, report) = &*BARE;
    let llvm = &report["llvm"];
    let built_with = if cfg!(feature = "llvm") {
        let major = llvm["built_with"].as_u64().unwrap();
        let linked = llvm["linked"].as_str().unwrap();
        assert!(linked.starts_with(&format!("{major}.")), "{llvm}");
        assert!(
            line(text, "linked").ends_with(&format!("LLVM {linked}")),
            "{text}"
        );
        // clang alone is missing.
        assert!(text.contains("for mimeo cpython: "), "{text}");
        Some(major)
    } else {
        assert_eq!(llvm["linked"], Json::Null);
        assert!(line(text, "linked").starts_with("  -    "), "{text}");
        assert!(
            text.contains("for compiling templates, mimeo cpython: "),
            "{text}"
        );
        assert!(text.contains("cargo build --release -p mimeo-cli --features llvm"));
        None
    };
    for (feature, major) in [
        (cfg!(feature = "llvm19"), 19),
        (cfg!(feature = "llvm20"), 20),
        (cfg!(feature = "llvm21"), 21),
        (cfg!(feature = "llvm22"), 22),
        (cfg!(feature = "llvm23"), 23),
    ] {
        assert_eq!(feature, built_with == Some(major), "{llvm}");
    }
    for major in SUPPORTED {
        let version = version(report, major);
        let library = &version["library"];
        // Whichever are installed here, with what there is about them.
        match version["state"].as_str().unwrap() {
            "missing" => assert_eq!(library, &Json::Null),
            "usable" => assert!(Path::new(library.as_str().unwrap()).is_file()),
            _ => assert_ne!(version["problems"], Json::Null),
        }
    }
}

#[test]
fn help_says_what_the_exit_code_means() {
    let help = succeeds(&mut Machine::new().command(&["--help"]));
    let words: Vec<&str> = help.split_whitespace().collect();
    let help = words.join(" ");
    assert!(
        help.contains("The exit code is 0 when traces can be run, with the interpreter at least, and 1 when they cannot."),
        "{help}"
    );
}
