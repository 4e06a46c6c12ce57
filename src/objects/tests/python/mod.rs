//! The Python that answers are compared with: the one that the variable `MIMEO_PYTHON` names, or `python3`.

use std::io::{self, Write as _};
use std::ops::RangeInclusive;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

/// The versions that answer as 3.13 does, or whose other answers are known here. 3.14 has other messages in many places.
const COMPARABLE: RangeInclusive<(u32, u32)> = (3, 11)..=(3, 13);

/// The Python to compare with, looked for once; or why there is none.
static PYTHON: LazyLock<Result<String, String>> = LazyLock::new(|| {
    let program = std::env::var("MIMEO_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    match version(&program) {
        Ok(version) if COMPARABLE.contains(&version) => Ok(program),
        Ok((major, minor)) => Err(format!("{program}: {major}.{minor} is not 3.11 to 3.13")),
        Err(error) => Err(format!("{program}: {error}")),
    }
});

/// What a script prints for lines on its standard input; `None`, with a note, where there is no Python to compare with.
pub(crate) fn ask(script: &str, input: String) -> Option<String> {
    match &*PYTHON {
        Ok(program) => Some(run(program, script, input).expect("Python starts again")),
        Err(reason) => {
            println!("SKIPPED: nothing was compared with {reason}");
            None
        }
    }
}

fn version(program: &str) -> io::Result<(u32, u32)> {
    let script = "import sys; print(*sys.version_info[:2])";
    let answer = run(program, script, String::new())?;
    let mut numbers = answer.split_whitespace().map(|part| part.parse().unwrap());
    Ok((numbers.next().unwrap(), numbers.next().unwrap()))
}

fn run(program: &str, script: &str, input: String) -> io::Result<String> {
    let mut child = Command::new(program)
        .args(["-S", "-E", "-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output()?;
    writer.join().unwrap()?;
    assert!(output.status.success(), "{program} failed");
    Ok(String::from_utf8(output.stdout).unwrap())
}
