//! Scalar traces run as one function that LLVM has compiled.
#![allow(unsafe_code)]

use super::differential::Runner;
use mimeo::table::StencilTable;
use mimeo_bench::{Left, ScalarTrace, State};
use mimeo_compiler::limit::{Cpu, Level, TraceIr};
use mimeo_compiler::template::TemplateSet;

/// LLVM at one level; see [`mimeo_compiler::limit`].
pub struct Whole {
    level: Level,
    set: TemplateSet,
    table: StencilTable,
}

impl Whole {
    /// LLVM at this level, with the scalar set's templates.
    ///
    /// # Panics
    /// The embedded table is damaged.
    pub fn new(level: Level) -> Self {
        Self {
            level,
            set: mimeo_ir_templates::scalar_templates(),
            table: mimeo_ir_templates::scalar_table().expect("the embedded table"),
        }
    }
}

impl Runner for Whole {
    fn run(&mut self, trace: &ScalarTrace, state: &mut State) -> Result<Left, String> {
        let built = trace
            .build(&self.table)
            .map_err(|error| error.to_string())?;
        let shape = trace.shape();
        let whole = TraceIr::build(&self.set, &built, shape, Cpu::Baseline, &|_| None)
            .and_then(|ir| ir.compile(self.level))
            .map_err(|error| error.to_string())?;
        state
            .enter(|frame, stack, thread| {
                // SAFETY: the state was made for this trace, and its addresses are of buffers, not of frame or stack.
                let exit = unsafe { whole.run(frame, stack, thread) };
                Left {
                    uop: exit.uop,
                    target: exit.target,
                    stack_pointer: exit.stack_pointer,
                }
            })
            .map_err(|error| error.to_string())
    }
}
