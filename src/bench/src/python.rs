//! Recorded Python traces, run from their recorded start to their recorded end.
#![allow(unsafe_code)]

use crate::peer::BenchError;
use mimeo::engine::Engine;
use mimeo::interpreter::Interpreter;
use mimeo_objects::recorded::{self, Document, Program};
use std::sync::Arc;

/// A recorded trace.
#[derive(Clone, Copy, Debug)]
pub struct PythonKernel {
    /// What it is called.
    pub name: &'static str,
    text: &'static str,
}

macro_rules! kernels {
    ($($name:literal),* $(,)?) => {
        &[$(PythonKernel {
            name: $name,
            text: include_str!(concat!("../traces/", $name, ".json")),
        }),*]
    };
}

/// The recorded traces that are run.
pub const KERNELS: &[PythonKernel] = kernels![
    "sum_squares",
    "collatz",
    "mandelbrot_inner",
    "nbody_step",
    "matmul_inner",
    "sieve_inner",
    "crc32_bits",
    "gcd",
];

impl PythonKernel {
    /// The recording.
    ///
    /// # Errors
    /// The embedded text is none.
    pub fn document(&self) -> Result<Document, BenchError> {
        Document::parse(self.text).map_err(|error| BenchError::engine(self.name, &error))
    }
}

/// An engine that runs Python traces.
#[derive(Debug)]
pub struct PythonEngine {
    name: &'static str,
    tier: Owned,
}

#[derive(Debug)]
enum Owned {
    Compiled(Box<Engine>),
    Interpreted(Interpreter),
}

/// Every engine that runs Python traces.
///
/// # Errors
/// There is no code memory to be had, or the embedded image is not that of the embedded table.
pub fn engines() -> Result<Vec<PythonEngine>, BenchError> {
    let failed = |error: &dyn std::fmt::Display| BenchError::engine("python", error);
    let table = Arc::new(mimeo_ir_templates::standard_table().map_err(|error| failed(&error))?);
    let image = mimeo_ir_templates::standard_interpreter().map_err(|error| failed(&error))?;
    let engine = recorded::engine(Arc::clone(&table)).map_err(|error| failed(&error))?;
    // SAFETY: the image is the embedded one, which is in the program's text.
    let interpreter = unsafe { recorded::interpreter(table, &image) };
    let interpreter = interpreter.map_err(|error| failed(&error))?;
    Ok(vec![
        PythonEngine {
            name: "mimeo",
            tier: Owned::Compiled(Box::new(engine)),
        },
        PythonEngine {
            name: "interpreter",
            tier: Owned::Interpreted(interpreter),
        },
    ])
}

impl PythonEngine {
    /// What it is called.
    pub fn name(&self) -> &str {
        self.name
    }

    /// Runs a recording once and returns the nanoseconds per iteration.
    ///
    /// # Errors
    /// It does not end as it was recorded.
    pub fn run(&self, kernel: &PythonKernel, document: &Document) -> Result<f64, BenchError> {
        let failed = |error: &dyn std::fmt::Display| BenchError::engine(self.name, error);
        let program = match &self.tier {
            Owned::Compiled(engine) => Program::new(document, &**engine),
            Owned::Interpreted(interpreter) => Program::new(document, interpreter),
        };
        let mut program = program.map_err(|error| failed(&error))?;
        let outcome = program.run().map_err(|error| failed(&error))?;
        program
            .check(&outcome)
            .map_err(|difference| BenchError::Disagrees {
                kernel: kernel.name.to_owned(),
                engine: self.name.to_owned(),
                difference: difference.to_string(),
            })?;
        let iterations = document.loop_iterations.max(1) as f64;
        Ok(outcome.run_time.as_nanos() as f64 / iterations)
    }
}
