//! `mimeo man` and `mimeo completions`: that there is everything, that other programs can read it, and that what is internal is
//! not in it.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// What the program runs itself with.
const HIDDEN: &str = "bench-work";

fn mimeo(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mimeo"))
        .args(arguments)
        .output()
        .expect("mimeo runs")
}

/// What is printed by a command that has to succeed.
fn printed(arguments: &[&str]) -> String {
    let output = mimeo(arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).expect("it prints text")
}

/// The subcommands that the help names, but for `help` itself.
fn subcommands() -> Vec<String> {
    let help = printed(&["--help"]);
    let lines = help.lines();
    let names: Vec<String> = lines
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        // Descriptions go on in lines that are indented deeper.
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect();
    assert!(names.len() > 10, "{names:?}");
    names
}

/// What a program says on both outputs, given a text; none where it is not installed.
fn asked(program: &str, arguments: &[&str], text: &str) -> Option<Output> {
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        println!("skipped: {program} is not installed");
        return None;
    };
    let mut stdin = child.stdin.take().expect("a pipe");
    let text = text.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().expect("it ends");
    writer
        .join()
        .expect("no panic")
        .expect("it reads everything");
    Some(output)
}

fn names(directory: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

// ---- Manual pages --------------------------------------------------------------------------------------------------

#[test]
fn every_subcommand_has_a_page() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().to_str().unwrap();
    let report = printed(&["man", "--out", out]);
    let mut expected = BTreeSet::from(["mimeo.1".to_owned()]);
    for name in subcommands() {
        let file = format!("mimeo-{name}.1");
        let page = printed(&["man", &name]);
        assert_eq!(
            fs::read_to_string(directory.path().join(&file)).unwrap(),
            page
        );
        assert!(report.contains(&format!("{file}: {} bytes", page.len())));
        expected.insert(file);
    }
    assert_eq!(
        fs::read_to_string(directory.path().join("mimeo.1")).unwrap(),
        printed(&["man"])
    );
    assert_eq!(names(directory.path()), expected);
    // Once more, over what is there.
    assert_eq!(printed(&["man", "--out", out]), report);
    assert_eq!(names(directory.path()), expected);
}

#[test]
fn pages_are_rendered_without_warnings() {
    let all = subcommands();
    let pages = [&["man"][..]].into_iter().map(<[_]>::to_vec);
    let pages = pages.chain(all.iter().map(|name| vec!["man", name]));
    for arguments in pages {
        let page = printed(&arguments);
        assert!(!page.contains(HIDDEN), "{arguments:?}");
        assert!(!page.contains(&HIDDEN.replace('-', "\\-")), "{arguments:?}");
        let groff = ["-man", "-ww", "-Tutf8", "-P-cbou"];
        let Some(output) = asked("groff", &groff, &page) else {
            return;
        };
        let warnings = String::from_utf8_lossy(&output.stderr);
        assert_eq!(warnings, "", "{arguments:?}");
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        let name = match arguments[..] {
            [_, command] => format!("mimeo-{command}"),
            _ => "mimeo".to_owned(),
        };
        for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS"] {
            assert!(
                text.lines().any(|line| line == section),
                "{name} has no {section}: {text}"
            );
        }
        // Lines are justified, and hyphens may be those of typography.
        let text = text.replace('\u{2010}', "-");
        let words: Vec<&str> = text.split_whitespace().collect();
        let start = format!("NAME {name} - ");
        assert!(words.join(" ").contains(&start), "{text}");
        assert!(text.contains("mimeo manual"), "{text}");
        assert!(text.contains(concat!("mimeo ", env!("CARGO_PKG_VERSION"))));
    }
}

#[test]
fn exit_codes_are_in_every_page_as_in_the_help() {
    let help = printed(&["--help"]);
    let (_, codes) = help.split_once("Exit codes:\n").expect("they are there");
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let codes = words(codes);
    for page in [printed(&["man"]), printed(&["man", "diff"])] {
        let (_, status) = page.split_once(".SH \"EXIT STATUS\"\n").expect("a section");
        let status = status.split(".SH").next().unwrap_or_default();
        let plain = status
            .replace(".TP", "")
            .replace("\\fB", "")
            .replace("\\fR", "");
        assert_eq!(words(&plain), codes);
    }
    // And they are what the program does.
    let page = words(&printed(&["man"]));
    for (arguments, code, meaning) in [
        (
            &["verify", "."][..],
            3,
            "bad input: a file that cannot be read",
        ),
        (
            &["man", "frobnicate"],
            2,
            "usage: the command line is wrong",
        ),
        (&["man"], 0, "fine"),
    ] {
        assert_eq!(mimeo(arguments).status.code(), Some(code));
        assert!(
            page.contains(&format!("\\fB{code}\\fR {meaning}")),
            "{page}"
        );
    }
}

#[test]
fn examples_are_in_the_pages() {
    let page = printed(&["man", "build"]);
    let (_, examples) = page.split_once(".SH EXAMPLES\n").expect("a section");
    assert!(
        examples.starts_with(".TP\n\\fBmimeo build \\-\\-check\\fR\nwhether the"),
        "{examples}"
    );
}

#[test]
fn a_page_that_is_not_there_and_a_directory_that_is_not() {
    for name in [HIDDEN, "help", "runs", ""] {
        let output = mimeo(&["man", name]);
        assert_eq!(output.status.code(), Some(2));
        let errors = String::from_utf8_lossy(&output.stderr);
        let start = format!("error: there is no subcommand {name}; there are run, build, ");
        assert!(errors.starts_with(&start), "{errors}");
        assert!(!errors.ends_with(HIDDEN), "{errors}");
    }
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing");
    let output = mimeo(&["man", "--out", missing.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(3));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("missing/mimeo.1: No such file"), "{errors}");
    assert_eq!(mimeo(&["man", "run", "--out", "."]).status.code(), Some(2));
}

// ---- Completions ---------------------------------------------------------------------------------------------------

#[test]
fn completions_have_every_subcommand_and_nothing_that_is_hidden() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = printed(&["completions", shell]);
        for name in subcommands() {
            assert!(script.contains(&name), "{shell}: {name}");
        }
        assert!(!script.contains(HIDDEN), "{shell}");
        assert!(!script.contains(&HIDDEN.replace('-', "__")), "{shell}");
    }
    assert_eq!(mimeo(&["completions", "tcsh"]).status.code(), Some(2));
}

#[test]
fn shells_can_read_their_completions() {
    // Each reads the script and runs nothing of it.
    for (shell, arguments) in [
        ("bash", ["-n"]),
        ("zsh", ["-n"]),
        ("fish", ["--no-execute"]),
    ] {
        let script = printed(&["completions", shell]);
        let Some(output) = asked(shell, &arguments, &script) else {
            continue;
        };
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(errors, "", "{shell}");
        assert!(output.status.success(), "{shell}");
    }
}

#[test]
fn bash_completes_subcommands_and_options() {
    let script = printed(&["completions", "bash"]);
    // As bash calls it: with the command, the word to complete and the one in front of it.
    let complete = "COMP_WORDS=(mimeo \"$@\"); COMP_CWORD=$#; _mimeo mimeo \"${COMP_WORDS[-1]}\" \"${COMP_WORDS[-2]}\"\n\
                    echo \"${COMPREPLY[@]}\"";
    for (words, expected) in [
        (&["doc"][..], "doctor"),
        (&["bench-w"], ""),
        (&["doctor", "--js"], "--json"),
        (&["run", "--engine", ""], "auto jit interp"),
    ] {
        let program = format!("set -- {}\n{script}\n{complete}\n", quoted(words));
        let Some(output) = asked("bash", &["-s"], &program) else {
            return;
        };
        let found = String::from_utf8_lossy(&output.stdout);
        assert_eq!(found.trim(), expected, "{words:?}");
    }
}

/// Words that bash reads as they are: there are no quotes in them.
fn quoted(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    words.join(" ")
}
