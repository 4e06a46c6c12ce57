//! LLVM: the same templates, inlined into one function; see [`mimeo_compiler::limit`].
#![allow(unsafe_code)]

use super::{BenchError, CompileTimes, Compiled, Peer, Run};
use crate::clock::Moment;
use crate::scalar::ScalarTrace;
use crate::state::Left;
use mimeo::executor::ThreadState;
use mimeo::table::StencilTable;
use mimeo_compiler::limit::{Cpu, Level, Limit, TraceIr};
use mimeo_compiler::template::TemplateSet;
use std::fmt;

/// LLVM at one level.
pub struct Llvm {
    level: Level,
    set: TemplateSet,
    table: StencilTable,
}

impl fmt::Debug for Llvm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Llvm({:?})", self.level)
    }
}

impl Llvm {
    /// The levels that are compared.
    pub const LEVELS: [Level; 3] = [Level::O0, Level::O1, Level::O2];

    /// LLVM at this level, with the scalar set's templates.
    ///
    /// # Errors
    /// The embedded table is damaged.
    pub fn new(level: Level) -> Result<Self, BenchError> {
        let table = mimeo_ir_templates::scalar_table()
            .map_err(|error| BenchError::engine(name(level), &error))?;
        Ok(Self {
            level,
            set: mimeo_ir_templates::scalar_templates(),
            table,
        })
    }

    fn build(&self, trace: &ScalarTrace) -> Result<TraceIr, BenchError> {
        let built = trace.build(&self.table)?;
        TraceIr::build(&self.set, &built, trace.shape(), Cpu::Baseline, &|_| None)
            .map_err(|error| BenchError::engine(self.name(), &error))
    }

    fn finish(&self, ir: TraceIr) -> Result<Limit, BenchError> {
        ir.compile(self.level)
            .map_err(|error| BenchError::engine(self.name(), &error))
    }
}

const fn name(level: Level) -> &'static str {
    match level {
        Level::O0 => "LLVM -O0",
        Level::O1 => "LLVM -O1",
        Level::O2 => "LLVM -O2",
    }
}

impl Peer for Llvm {
    fn name(&self) -> &str {
        name(self.level)
    }

    fn cost(&self) -> f64 {
        match self.level {
            Level::O0 => 4_000.0,
            Level::O1 => 25_000.0,
            Level::O2 => 40_000.0,
        }
    }

    fn compile(&self, trace: &ScalarTrace) -> Result<Compiled, BenchError> {
        let code_bytes = self
            .build(trace)?
            .code_len(self.level)
            .map_err(|error| BenchError::engine(self.name(), &error))?;
        let limit = self.finish(self.build(trace)?)?;
        Ok(Compiled {
            code_bytes: Some(code_bytes),
            run: Box::new(Code(limit)),
        })
    }

    fn compile_all(&self, traces: &[ScalarTrace]) -> Result<CompileTimes, BenchError> {
        let mut times = CompileTimes::default();
        for trace in traces {
            let start = Moment::now();
            let ir = self.build(trace)?;
            let middle = Moment::now();
            let limit = self.finish(ir)?;
            times.add(middle - start, middle.elapsed());
            drop(limit);
        }
        Ok(times)
    }
}

struct Code(Limit);

impl Run for Code {
    unsafe fn run(&self, frame: *mut u8, stack: *mut u64, thread: *mut ThreadState) -> Left {
        // SAFETY: what the caller promises is what the scalar set's templates ask for, and no address is of the frame
        // or the stack.
        let exit = unsafe { self.0.run(frame, stack, thread) };
        Left {
            uop: exit.uop,
            target: exit.target,
            stack_pointer: exit.stack_pointer,
        }
    }
}
