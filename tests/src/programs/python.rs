//! Programs run by the machine's Python.

use super::ast::Program;
use super::outcome::{Outcome, Raised};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Reads a program per line, runs it, and answers with a line.
const RUNNER: &str = include_str!("runner.py");

/// A Python that runs programs.
#[derive(Debug)]
pub struct Python {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// Its version: 3 and 11, say.
    pub version: (u64, u64),
    /// The third number of its version.
    pub patch: u64,
}

/// What Python says of a program.
#[derive(Clone, Debug)]
pub enum Answer {
    /// It ended.
    Ended {
        /// With what.
        outcome: Outcome,
        /// How many statements ran.
        steps: u64,
        /// Whether it left objects behind that refer to each other in a circle.
        cycles: bool,
    },
    /// It ran too long, or its locals are too large to be told.
    TooLong,
}

impl Python {
    /// Starts the Python that `MIMEO_PYTHON` names, or `python3`.
    ///
    /// # Panics
    /// There is none.
    pub fn start() -> Self {
        let name = std::env::var("MIMEO_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let mut child = Command::new(&name)
            .args(["-S", "-E", "-c", RUNNER])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!(
                    "{name}: {error}; this test needs a Python >= 3.11: `apt-get install python3`, or MIMEO_PYTHON=PATH"
                )
            });
        let input = child.stdin.take().expect("a pipe");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut python = Self {
            child,
            input,
            output,
            version: (0, 0),
            patch: 0,
        };
        let version = python.answer();
        let part = |index: usize| version[index].as_u64().expect("the version comes first");
        python.version = (part(0), part(1));
        python.patch = part(2);
        python
    }

    /// Runs a program.
    ///
    /// # Panics
    /// Python fails.
    pub fn run(&mut self, program: &Program) -> Answer {
        let question = json!({ "source": program.to_string(), "names": program.names });
        writeln!(self.input, "{question}").expect("Python reads");
        self.input.flush().expect("Python reads");
        let answer = self.answer();
        let Some(locals) = answer["locals"].as_array() else {
            return Answer::TooLong;
        };
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let raised = answer["error"].as_array().map(|error| Raised {
            class: text(&error[0]).unwrap_or_default(),
            message: text(&error[1]).unwrap_or_default(),
        });
        Answer::Ended {
            outcome: Outcome {
                locals: locals.iter().map(text).collect(),
                raised,
            },
            steps: answer["steps"].as_u64().unwrap_or_default(),
            cycles: answer["cycles"] == true,
        }
    }

    fn answer(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("Python answers");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line:?}"))
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // It waits for nothing but the next program.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
