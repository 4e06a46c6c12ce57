//! Recorded traces: files in which CPython's own optimizer has written down the uops of a real program, the state in
//! which they were entered and the state in which they have to be left.
//!
//! | Files | What they hold |
//! |---|---|
//! | `format`, `read`, `validate`, `write`, `hex_float`, `surrogates` | from text to a [`Document`], which is consistent, and back |
//! | [`text`] | the same in the form that people write |
//! | [`uops`] | what CPython's metadata says of each uop |
//! | [`flow`], [`places`] | what can be proven of the uops, so that machine code need not check it |
//! | `load` | from a document to [`Objects`] and the frame at the entry |
//! | `lower` | from a recorded executor to a trace of the standard uops |
//! | `program` | all executors compiled, linked and run |
//! | [`coverage`] | which uops were executed, and which of their ways out were taken |
//! | `tier` | the engine or the interpreter that a program runs on |
//! | `compare` | whether a frame is the one expected at the end |

mod compare;
pub mod coverage;
#[cfg(test)]
mod fixtures;
pub mod flow;
mod format;
mod hex_float;
mod load;
mod lower;
pub mod places;
mod program;
mod read;
#[cfg(test)]
mod robustness;
mod surrogates;
pub mod text;
mod tier;
pub mod uops;
mod validate;
mod write;

pub use compare::{Difference, FrameState, compare};
pub use format::*;
pub use load::{LoadError, Objects};
pub use lower::LowerError;
pub use program::{Interrupter, Mismatch, Outcome, Program, ProgramError, engine, interpreter};
pub use tier::Tier;
