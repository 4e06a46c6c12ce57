//! The Python that answers are compared with: the one that the variable `MIMEO_PYTHON` names, or `python3`.

use std::io::Write as _;
use std::process::{Command, Stdio};

/// What a script prints for lines on its standard input; `None`, with a note, where there is no Python.
pub(crate) fn ask(script: &str, input: String) -> Option<String> {
    let program = std::env::var("MIMEO_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let child = Command::new(&program)
        .args(["-S", "-E", "-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            println!("SKIPPED: nothing was compared with {program}: {error}");
            return None;
        }
    };
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{program} failed");
    Some(String::from_utf8(output.stdout).unwrap())
}
