//! Scalar traces made at random, and engines compared with the [reference](mimeo_bench::reference).
//!
//! | File | What it holds |
//! |---|---|
//! | [`random`] | traces made of random choices, and the way to a smaller one that fails alike |
//! | [`differential`] | the comparison of an engine with the reference |
//! | [`interpreted`] | the interpreter, to be compared |
//! | `whole` | LLVM over the whole trace, to be compared (feature `llvm19`, ...) |

pub mod differential;
pub mod interpreted;
pub mod random;
#[cfg(feature = "llvm")]
pub mod whole;
