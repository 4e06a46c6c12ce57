//! The two ways to run a trace: compiled by the engine, or by the interpreter of the same table. A program does the same
//! under either.
#![allow(unsafe_code)]

use mimeo::engine::{CompileError, Engine};
use mimeo::executor::{Executor, ExecutorId, ExitInfo, LinkError, SideExit, ThreadState};
use mimeo::interpreter::{InterpretedTrace, Interpreter};
use mimeo::table::StencilTable;
use mimeo::trace::{FrameShape, Trace};

/// What runs the traces of a program.
#[derive(Clone, Copy, Debug)]
pub enum Tier<'e> {
    /// Machine code that is made of each trace.
    Compiled(&'e Engine),
    /// Handlers that read each trace.
    Interpreted(&'e Interpreter),
}

impl<'e> From<&'e Engine> for Tier<'e> {
    fn from(engine: &'e Engine) -> Self {
        Self::Compiled(engine)
    }
}

impl<'e> From<&'e Interpreter> for Tier<'e> {
    fn from(interpreter: &'e Interpreter) -> Self {
        Self::Interpreted(interpreter)
    }
}

impl<'e> Tier<'e> {
    /// The table whose uops it runs.
    pub fn table(self) -> &'e StencilTable {
        match self {
            Self::Compiled(engine) => engine.table(),
            Self::Interpreted(interpreter) => interpreter.table(),
        }
    }

    /// Checks a trace and makes it ready to run.
    pub(crate) fn load(self, trace: &Trace<'_>, shape: FrameShape) -> Result<Loaded, CompileError> {
        match self {
            Self::Compiled(engine) => engine.compile(trace, shape).map(Loaded::Compiled),
            Self::Interpreted(interpreter) => {
                interpreter.load(trace, shape).map(Loaded::Interpreted)
            }
        }
    }
}

/// A trace that is ready to run.
#[derive(Debug)]
pub(crate) enum Loaded {
    Compiled(Executor),
    Interpreted(InterpretedTrace),
}

impl Loaded {
    pub(crate) fn id(&self) -> ExecutorId {
        match self {
            Self::Compiled(executor) => executor.id(),
            Self::Interpreted(trace) => trace.id(),
        }
    }

    pub(crate) fn exits(&self) -> &[ExitInfo] {
        match self {
            Self::Compiled(executor) => executor.exits(),
            Self::Interpreted(trace) => trace.exits(),
        }
    }

    pub(crate) fn uop_count(&self) -> usize {
        match self {
            Self::Compiled(executor) => executor.uop_count(),
            Self::Interpreted(trace) => trace.uop_count(),
        }
    }

    /// Bytes of machine code, or of the interpreter's records.
    pub(crate) fn byte_len(&self) -> usize {
        match self {
            Self::Compiled(executor) => executor.code_len(),
            Self::Interpreted(trace) => trace.byte_len(),
        }
    }

    /// Makes an exit go on in another trace of the same tier, the only one that a program has.
    pub(crate) fn link(&self, exit: u32, to: &Self) -> Result<(), LinkError> {
        match (self, to) {
            (Self::Compiled(from), Self::Compiled(to)) => from.link(exit, to),
            (Self::Interpreted(from), Self::Interpreted(to)) => from.link(exit, to),
            _ => Err(LinkError::OtherEngine {
                from: self.id(),
                to: to.id(),
            }),
        }
    }

    /// Runs the trace until an exit that is not linked.
    ///
    /// # Safety
    /// As [`Executor::run`].
    pub(crate) unsafe fn run(
        &self,
        frame: *mut u8,
        stack_pointer: *mut u64,
        thread: *mut ThreadState,
    ) -> SideExit {
        match self {
            // SAFETY: as the caller promises.
            Self::Compiled(executor) => unsafe { executor.run(frame, stack_pointer, thread) },
            // SAFETY: as the caller promises.
            Self::Interpreted(trace) => unsafe { trace.run(frame, stack_pointer, thread) },
        }
    }
}
