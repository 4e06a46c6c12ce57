//! Random programs: the machine's Python and mimeo run the same function, and every local at its end must be the same.
//!
//! | Files | What they hold |
//! |---|---|
//! | [`ast`] | a small Python, and its text |
//! | [`generate`] | programs made at random |
//! | [`python`], `runner.py` | programs run by Python |
//! | [`code`], [`lower`] | programs as blocks of instructions, and those as traces |
//! | [`machine`] | programs run by the engine and by the interpreter |
//! | [`outcome`] | what is compared |
//! | [`shrink`] | a failing program made small |

pub mod ast;
pub mod code;
pub mod generate;
pub mod lower;
pub mod machine;
pub mod outcome;
pub mod python;
pub mod shrink;
