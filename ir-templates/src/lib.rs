//! The standard uop sets and their stencil tables: *python*, CPython 3.13's uops as templates over the objects of
//! `mimeo-objects`, and *scalar*, unboxed numbers (module `scalar`).
//!
//! A file is a family of uops. Names, stack effects and meanings are CPython's; the code is this project's own. The
//! templates need LLVM (feature `llvm19`); the tables and interpreters that were made of them are checked in and embedded,
//! and need none.

#[cfg(feature = "llvm")]
mod attributes;
#[cfg(feature = "llvm")]
mod calls;
#[cfg(feature = "llvm")]
mod cells;
#[cfg(feature = "llvm")]
mod compare;
#[cfg(feature = "llvm")]
mod constants;
#[cfg(feature = "llvm")]
mod containers;
#[cfg(feature = "llvm")]
mod control;
#[cfg(feature = "llvm")]
mod dicts;
#[cfg(feature = "llvm")]
mod exceptions;
#[cfg(feature = "llvm")]
mod float;
#[cfg(feature = "llvm")]
mod globals;
#[cfg(feature = "llvm")]
mod guards;
#[cfg(feature = "llvm")]
mod int;
#[cfg(feature = "llvm")]
mod iteration;
#[cfg(feature = "llvm")]
mod locals;
#[cfg(feature = "llvm")]
mod matching;
#[cfg(feature = "llvm")]
mod object_ops;
#[cfg(feature = "llvm")]
mod operators;
#[cfg(feature = "llvm")]
mod py_calls;
#[cfg(feature = "llvm")]
mod python;
#[cfg(feature = "llvm")]
pub mod scalar;
#[cfg(feature = "llvm")]
mod stack;
#[cfg(feature = "llvm")]
mod str;
#[cfg(feature = "llvm")]
mod subscripts;
pub mod supernodes;
#[cfg(feature = "llvm")]
mod truth;

mod image;
pub mod reference;
mod text;

pub use image::{
    Image, SCALAR_INTERPRETER, STANDARD_INTERPRETER, scalar_interpreter, standard_interpreter,
};
use mimeo::table::{StencilTable, TableError};
#[cfg(feature = "llvm")]
pub use python::standard_templates;
#[cfg(feature = "llvm")]
pub use scalar::scalar_templates;
pub use text::sources_of;

/// The name of the standard set, which its table carries.
pub const NAME: &str = "python";

/// The name of the scalar set, which its table carries.
pub const SCALAR_NAME: &str = "scalar";

/// The bytes of the standard table.
pub static STANDARD_TABLE: &[u8] = include_bytes!("../tables/python.mimeo");

/// The bytes of the scalar set's table.
pub static SCALAR_TABLE: &[u8] = include_bytes!("../tables/scalar.mimeo");

/// The standard table, checked.
///
/// # Errors
/// The embedded bytes are no table that this library reads: the table must be built again.
pub fn standard_table() -> Result<StencilTable, TableError> {
    StencilTable::from_static(STANDARD_TABLE)
}

/// The scalar set's table, checked.
///
/// # Errors
/// As [`standard_table`].
pub fn scalar_table() -> Result<StencilTable, TableError> {
    StencilTable::from_static(SCALAR_TABLE)
}

/// The sets whose tables are checked in, by name.
pub const SET_NAMES: [&str; 2] = [NAME, SCALAR_NAME];

/// The table of one of the [sets](SET_NAMES), or `None` for any other name.
pub fn table_of(set: &str) -> Option<Result<StencilTable, TableError>> {
    match set {
        NAME => Some(standard_table()),
        SCALAR_NAME => Some(scalar_table()),
        _ => None,
    }
}

/// The templates of one of the [sets](SET_NAMES), or `None` for any other name.
#[cfg(feature = "llvm")]
pub fn templates_of(set: &str) -> Option<mimeo_compiler::template::TemplateSet> {
    match set {
        NAME => Some(standard_templates()),
        SCALAR_NAME => Some(scalar::scalar_templates()),
        _ => None,
    }
}
