//! `mimeo build --format`: which files there are, what is checked, and what is refused with which code. What is in the files
//! is tested in `tests/tests/formats.rs`.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn mimeo(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mimeo"))
        .arg("build")
        .args(arguments)
        .output()
        .expect("mimeo runs")
}

/// Runs the command, which has to end with this code, and returns what it prints: on standard output, then on the other.
fn run(code: i32, arguments: &[&str]) -> (String, String) {
    let output = mimeo(arguments);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it prints text");
    let (printed, errors) = (text(output.stdout), text(output.stderr));
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {errors}");
    (printed, errors)
}

fn files(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn each_form_is_a_file_for_each_set() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().to_str().unwrap();
    for (format, extension) in [("c", "h"), ("json", "json"), ("rust", "rs")] {
        let here = ["--embedded", "--format", format, "--out", out];
        let (printed, _) = run(0, &here);
        assert_eq!(printed.lines().count(), 2, "{printed}");
        let checked = [&here[..], &["--check"]].concat();
        assert!(run(0, &checked).0.contains("up to date"));

        // The same of a table in a file, printed.
        let table = directory.path().join("copy.table");
        fs::write(&table, mimeo_ir_templates::SCALAR_TABLE).unwrap();
        let table = table.to_str().unwrap();
        let (printed, _) = run(0, &["--table", table, "--format", format, "--out", "-"]);
        let path = directory.path().join("scalar").with_extension(extension);
        assert_eq!(printed, fs::read_to_string(&path).unwrap());

        fs::write(&path, &printed[..100]).unwrap();
        let (printed, _) = run(1, &checked);
        assert!(
            printed.contains("they differ from byte 100 on"),
            "{printed}"
        );
        fs::remove_file(&path).unwrap();
        run(3, &checked);
        run(0, &here);
    }
    assert_eq!(
        files(directory.path()),
        [
            "copy.table",
            "python.h",
            "python.json",
            "python.rs",
            "scalar.h",
            "scalar.json",
            "scalar.rs"
        ]
    );
}

#[test]
fn what_cannot_be_written_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing");
    let missing = missing.to_str().unwrap();
    let (_, errors) = run(3, &["--embedded", "--format", "c", "--out", missing]);
    assert!(errors.contains("missing/python.h"), "{errors}");

    let here = directory.path().to_str().unwrap();
    let broken = directory.path().join("broken");
    fs::write(&broken, &mimeo_ir_templates::SCALAR_TABLE[..1000]).unwrap();
    let broken = broken.to_str().unwrap();
    let (_, errors) = run(3, &["--table", broken, "--format", "c", "--out", here]);
    assert!(errors.contains("1000 bytes"), "{errors}");
    run(3, &["--table", here, "--format", "c", "--out", here]);
    assert_eq!(files(directory.path()), ["broken"]);
}
