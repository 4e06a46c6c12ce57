//! mimeo's interpreter of the same templates: what a user starts with, and the code that a trace is worth compiling for.
#![allow(unsafe_code)]

use super::{BenchError, CompileTimes, Compiled, Peer, Run};
use crate::clock::Moment;
use crate::scalar::ScalarTrace;
use crate::state::Left;
use mimeo::executor::ThreadState;
use mimeo::interpreter::{InterpretedTrace, Interpreter};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

pub(crate) const NAME: &str = "interpreter";

/// An interpreter of the scalar set.
#[derive(Debug)]
pub struct Interpreting {
    interpreter: Interpreter,
}

impl Interpreting {
    /// The embedded interpreter.
    ///
    /// # Errors
    /// The embedded image is not that of the embedded table.
    pub fn new() -> Result<Self, BenchError> {
        let failed = |error: &dyn std::fmt::Display| BenchError::engine(NAME, error);
        let table = mimeo_ir_templates::scalar_table().map_err(|error| failed(&error))?;
        let image = mimeo_ir_templates::scalar_interpreter().map_err(|error| failed(&error))?;
        // SAFETY: the image is the embedded one, which is in the program's text; it refers to no symbols.
        let interpreter = unsafe { Interpreter::from_text(Arc::new(table), &image, |_| None) };
        Ok(Self {
            interpreter: interpreter.map_err(|error| failed(&error))?,
        })
    }

    fn load(&self, trace: &ScalarTrace) -> Result<InterpretedTrace, BenchError> {
        let built = trace.build(self.interpreter.table())?;
        self.interpreter
            .load(&built, trace.shape())
            .map_err(|error| BenchError::engine(NAME, &error))
    }
}

impl Peer for Interpreting {
    fn name(&self) -> &str {
        NAME
    }

    fn cost(&self) -> f64 {
        30.0
    }

    fn compile(&self, trace: &ScalarTrace) -> Result<Compiled, BenchError> {
        Ok(Compiled {
            code_bytes: None,
            run: Box::new(Records(self.load(trace)?)),
        })
    }

    fn compile_all(&self, traces: &[ScalarTrace]) -> Result<CompileTimes, BenchError> {
        let mut times = CompileTimes::default();
        let table = self.interpreter.table();
        let built = traces
            .iter()
            .map(|trace| Ok((trace.build(table)?, trace.shape())))
            .collect::<Result<Vec<_>, BenchError>>()?;
        let start = Moment::now();
        for (trace, shape) in &built {
            let loaded = self.interpreter.load(trace, *shape);
            black_box(loaded.map_err(|error| BenchError::engine(NAME, &error))?);
        }
        times.add(Duration::ZERO, start.elapsed());
        Ok(times)
    }
}

struct Records(InterpretedTrace);

impl Run for Records {
    unsafe fn run(&self, frame: *mut u8, stack: *mut u64, thread: *mut ThreadState) -> Left {
        // SAFETY: what the caller promises is what the scalar set's templates ask for.
        unsafe { self.0.run(frame, stack, thread) }.into()
    }
}
