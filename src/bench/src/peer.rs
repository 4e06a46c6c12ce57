//! The engines that are compared: mimeo, its interpreter, Cranelift, LLVM, and the floor of copying alone.
#![allow(unsafe_code)]

mod copying;
mod cranelift;
mod interpreting;
#[cfg(feature = "llvm")]
mod llvm;
mod patching;

use crate::reference::Undefined;
use crate::scalar::{ScalarTrace, ScalarTraceError};
use crate::state::{Left, StateError};
pub use copying::Copying;
pub use cranelift::Cranelift;
pub use interpreting::Interpreting;
#[cfg(feature = "llvm")]
pub use llvm::Llvm;
use mimeo::executor::ThreadState;
pub use patching::Patching;
use std::fmt;
use std::time::Duration;

/// Why something could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A trace makes no sense.
    #[error(transparent)]
    Trace(#[from] ScalarTraceError),
    /// What a trace does is not defined.
    #[error(transparent)]
    Undefined(#[from] Undefined),
    /// A run cannot start or did not end as a run does.
    #[error("{engine}: {source}")]
    State {
        /// The engine that ran.
        engine: String,
        /// What is wrong.
        source: StateError,
    },
    /// An engine failed.
    #[error("{engine}: {message}")]
    Engine {
        /// Which one.
        engine: String,
        /// What it says.
        message: String,
    },
    /// A trace takes values that are not there; [`ScalarTrace::check`] would have said so.
    #[error("a trace takes values that are not on its stack, or jumps nowhere")]
    StackUnderflow,
    /// An engine ended a kernel otherwise than the kernel says, or than the other engines.
    #[error("{kernel}: {engine} disagrees: {difference}")]
    Disagrees {
        /// The kernel.
        kernel: String,
        /// The engine.
        engine: String,
        /// What differs.
        difference: String,
    },
    /// There is no such kernel.
    #[error("there is no kernel {0}")]
    NoKernel(String),
    /// The system refused something.
    #[error("{what}: {source}")]
    System {
        /// What was asked for.
        what: &'static str,
        /// Why not.
        source: std::io::Error,
    },
}

impl BenchError {
    pub(crate) fn engine(engine: &str, error: &dyn fmt::Display) -> Self {
        Self::Engine {
            engine: engine.to_owned(),
            message: error.to_string(),
        }
    }
}

/// How long it took to compile some traces, all together.
#[derive(Clone, Copy, Debug, Default)]
pub struct CompileTimes {
    /// What comes first: choosing forms for mimeo, building IR for compilers.
    pub prepare: Duration,
    /// From there to code that can run.
    pub compile: Duration,
}

impl CompileTimes {
    pub(crate) fn add(&mut self, prepare: Duration, compile: Duration) {
        self.prepare += prepare;
        self.compile += compile;
    }
}

/// Code that runs a trace.
pub trait Run {
    /// Runs the trace until an exit.
    ///
    /// # Safety
    /// `frame` has the trace's locals, `stack` is one past the top of as many values as the trace is entered with, with
    /// room for as many as it says, and every address that the trace makes of them is valid, of memory that is none of
    /// these.
    unsafe fn run(&self, frame: *mut u8, stack: *mut u64, thread: *mut ThreadState) -> Left;
}

/// A trace that an engine has compiled.
pub struct Compiled {
    /// Bytes of machine code, where there is any that belongs to the trace.
    pub code_bytes: Option<usize>,
    /// The code.
    pub run: Box<dyn Run>,
}

impl fmt::Debug for Compiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Compiled({:?} bytes)", self.code_bytes)
    }
}

/// An engine that scalar traces can be compiled with.
pub trait Peer {
    /// What it is called.
    fn name(&self) -> &str;

    /// Nanoseconds that it takes for a uop, roughly: slow engines are given fewer traces.
    fn cost(&self) -> f64;

    /// Compiles a trace to be run.
    ///
    /// # Errors
    /// The trace makes no sense, or the engine fails.
    fn compile(&self, trace: &ScalarTrace) -> Result<Compiled, BenchError>;

    /// Compiles each of the traces, one after the other, drops the code, and says how long that took.
    ///
    /// # Errors
    /// As [`compile`](Self::compile).
    fn compile_all(&self, traces: &[ScalarTrace]) -> Result<CompileTimes, BenchError>;

    /// Whether it makes code that runs. [`Copying`] does not.
    fn runs(&self) -> bool {
        true
    }
}

/// Every engine of this build.
///
/// # Errors
/// One cannot be made.
pub fn peers() -> Result<Vec<Box<dyn Peer>>, BenchError> {
    #[cfg_attr(not(feature = "llvm"), allow(unused_mut, reason = "LLVM comes last"))]
    let mut peers: Vec<Box<dyn Peer>> = vec![
        Box::new(Copying::new()),
        Box::new(Patching::new()?),
        Box::new(Interpreting::new()?),
        Box::new(Cranelift::single_pass()?),
        Box::new(Cranelift::none()?),
        Box::new(Cranelift::speed()?),
    ];
    #[cfg(feature = "llvm")]
    for level in Llvm::LEVELS {
        peers.push(Box::new(Llvm::new(level)?));
    }
    Ok(peers)
}
