//! What engines are compared by: traces of the scalar set in a form that belongs to no engine, what they run in, and
//! kernels made of them.
//!
//! | File | What it holds |
//! |---|---|
//! | [`op`] | the scalar set's uops, with what they take and leave |
//! | [`scalar`] | [`ScalarTrace`]: a trace as data, its checks, its JSON form, a writer for it, the way to a [`mimeo::trace::Trace`] |
//! | [`state`] | [`Inputs`] of a run and the [`State`] that it changes: frame, stack, buffers |
//! | [`kernels`] | traces of programs that people know, with inputs and expected results |
//! | [`native`] | the functions that traces may call |

pub mod kernels;
pub mod native;
pub mod op;
pub mod scalar;
pub mod state;

pub use kernels::Kernel;
pub use op::Op;
pub use scalar::{ScalarTrace, ScalarTraceError, ScalarUop, Writer};
pub use state::{Inputs, Left, State, Word};
