//! mimeo: stencils copied and patched.
#![allow(unsafe_code)]

use super::{BenchError, CompileTimes, Compiled, Peer, Run};
use crate::clock::Moment;
use crate::measure::Work;
use crate::scalar::ScalarTrace;
use crate::state::Left;
use mimeo::engine::{CompileError, Engine};
use mimeo::executor::{Executor, ThreadState};
use mimeo::trace::{FrameShape, Trace};
use std::hint::black_box;
use std::sync::Arc;

const NAME: &str = "mimeo";

/// An engine of the scalar set.
#[derive(Debug)]
pub struct Patching {
    engine: Engine,
}

impl Patching {
    /// An engine of the embedded table.
    ///
    /// # Errors
    /// There is no code memory to be had.
    pub fn new() -> Result<Self, BenchError> {
        let table =
            mimeo_ir_templates::scalar_table().map_err(|error| BenchError::engine(NAME, &error))?;
        // SAFETY: the scalar set's stencils refer to no symbols: what they call is their operand.
        let engine = unsafe { Engine::new(Arc::new(table), |_| None) };
        Ok(Self {
            engine: engine.map_err(|error| BenchError::engine(NAME, &error))?,
        })
    }
}

impl Patching {
    /// Does `work` with each of the traces, `repeat` times.
    pub(crate) fn work(
        &self,
        work: Work,
        traces: &[ScalarTrace],
        repeat: usize,
    ) -> Result<(), BenchError> {
        let failed = |error: CompileError| BenchError::engine(NAME, &error);
        let built = self.build_all(traces)?;
        // Whatever is made once is made here.
        let prepare = |(trace, shape): &(Trace<'_>, FrameShape)| self.engine.prepare(trace, *shape);
        let prepared = built
            .iter()
            .map(prepare)
            .collect::<Result<Vec<_>, _>>()
            .map_err(failed)?;
        for prepared in &prepared {
            black_box(self.engine.compile_prepared(prepared).map_err(failed)?);
        }
        for _ in 0..repeat {
            match work {
                Work::Nothing => {}
                Work::Prepare => {
                    for trace in &built {
                        black_box(prepare(trace).map_err(failed)?);
                    }
                }
                Work::Patch => {
                    for prepared in &prepared {
                        black_box(self.engine.compile_prepared(prepared).map_err(failed)?);
                    }
                }
            }
        }
        Ok(())
    }

    fn build_all(
        &self,
        traces: &[ScalarTrace],
    ) -> Result<Vec<(Trace<'_>, FrameShape)>, BenchError> {
        let build = |trace: &ScalarTrace| Ok((trace.build(self.engine.table())?, trace.shape()));
        traces.iter().map(build).collect()
    }
}

/// How often the rotation is compiled once it is prepared: preparing leaves neither the patcher nor the code memory in
/// the caches, and an engine that is at work compiles more than one trace.
const ROUNDS: u32 = 8;

impl Peer for Patching {
    fn name(&self) -> &str {
        NAME
    }

    fn cost(&self) -> f64 {
        30.0
    }

    fn compile(&self, trace: &ScalarTrace) -> Result<Compiled, BenchError> {
        let built = trace.build(self.engine.table())?;
        let executor = self
            .engine
            .compile(&built, trace.shape())
            .map_err(|error| BenchError::engine(NAME, &error))?;
        Ok(Compiled {
            code_bytes: Some(executor.code_len()),
            run: Box::new(Code(executor)),
        })
    }

    fn compile_all(&self, traces: &[ScalarTrace]) -> Result<CompileTimes, BenchError> {
        let failed = |error: CompileError| BenchError::engine(NAME, &error);
        let built = self.build_all(traces)?;
        let mut prepared = Vec::with_capacity(built.len());
        let start = Moment::now();
        for (trace, shape) in &built {
            prepared.push(self.engine.prepare(trace, *shape).map_err(failed)?);
        }
        let middle = Moment::now();
        for _ in 0..ROUNDS {
            for prepared in &prepared {
                black_box(self.engine.compile_prepared(prepared).map_err(failed)?);
            }
        }
        let mut times = CompileTimes::default();
        times.add(middle - start, middle.elapsed() / ROUNDS);
        Ok(times)
    }
}

struct Code(Executor);

impl Run for Code {
    unsafe fn run(&self, frame: *mut u8, stack: *mut u64, thread: *mut ThreadState) -> Left {
        // SAFETY: what the caller promises is what the scalar set's templates ask for.
        unsafe { self.0.run(frame, stack, thread) }.into()
    }
}
