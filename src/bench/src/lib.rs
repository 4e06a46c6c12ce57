//! What engines are compared by: traces of the scalar set in a form that belongs to no engine, what they run in, and
//! kernels made of them.
//!
//! | File | What it holds |
//! |---|---|
//! | [`op`] | the scalar set's uops, with what they take and leave |
//! | [`scalar`] | [`ScalarTrace`]: a trace as data, its checks, its JSON form, a writer for it, the way to a [`mimeo::trace::Trace`] |
//! | [`state`] | [`Inputs`] of a run and the [`State`] that it changes: frame, stack, buffers |
//! | [`mod@reference`] | a plain interpreter, which says what a trace does |
//! | [`mod@kernels`] | traces of programs that people know, with inputs and expected results |
//! | [`native`] | the functions that traces may call |
//! | `traces` | random traces to compile |
//! | `peer` | the engines: mimeo, Cranelift, LLVM, copying alone (feature `peers`; LLVM with `llvm19`) |
//! | `python` | recorded Python traces |
//! | `measure` | what is measured how often, and that all engines agree |
//! | `clock` | the processor time that is measured |
//! | `callgrind` | instruction counts |
//! | `report`, `plot` | the figures, the goals, and how they are shown |

#[cfg(feature = "peers")]
pub mod callgrind;
#[cfg(feature = "peers")]
pub mod clock;
pub mod kernels;
#[cfg(feature = "peers")]
pub mod measure;
pub mod native;
pub mod op;
#[cfg(feature = "peers")]
pub mod peer;
#[cfg(feature = "peers")]
pub mod plot;
#[cfg(feature = "peers")]
pub mod python;
#[cfg(feature = "peers")]
pub mod report;

pub mod reference;
pub mod scalar;
pub mod state;
pub mod traces;

pub use kernels::{Kernel, kernels};
pub use op::Op;
pub use reference::run_reference;
pub use scalar::{ScalarTrace, ScalarTraceError, ScalarUop, Writer};
pub use state::{Inputs, Left, State, Word};
