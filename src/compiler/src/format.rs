//! Other forms of a stencil table: a C header, a JSON document, a Rust source file. All are made from a table that was
//! checked, need no LLVM, and say the same for the same table: there are no paths and no times in them.
//!
//! A `build.rs` writes what the crate includes:
//!
//! ```no_run
//! # fn compile_to_bytes() -> Result<Vec<u8>, Box<dyn std::error::Error>> { Ok(Vec::new()) }
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use mimeo::table::StencilTable;
//!
//! // The bytes are those of `mimeo_compiler::codegen::compile_to_bytes`.
//! let table = StencilTable::from_bytes(compile_to_bytes()?)?;
//! let path = std::path::Path::new(&std::env::var("OUT_DIR")?).join("stencils.rs");
//! std::fs::write(path, mimeo_compiler::format::to_rust(&table)?)?;
//! # Ok(()) }
//! ```

mod c;
mod json;
mod rust;

pub use c::to_c;
pub use json::{from_json, to_json};
pub use rust::to_rust;

use mimeo::hole::HoleValue;
use mimeo::table::{StencilTable, TableError};
use std::fmt::Write;

/// Why a table cannot be written in some form, or not be read from it.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// A name cannot be part of an identifier.
    #[error(
        "{what} {name:?} has to be part of an identifier: expected letters, digits and underscores"
    )]
    Name {
        /// What is called so.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// There are no uops.
    #[error("the table has no uops")]
    Empty,
    /// A uop's base form has a hole that only variants can fill.
    #[error("uop {uop}: there is no {value} for a base form")]
    Value {
        /// The uop.
        uop: String,
        /// What would fill the hole.
        value: HoleValue,
    },
    /// The document is not JSON, or not of a table.
    #[error("not a table in JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The document is of a table, but of none that there can be.
    #[error("{place}: {problem}")]
    Invalid {
        /// Where.
        place: String,
        /// What is wrong, and what was expected.
        problem: String,
    },
    /// What the document says is not a table.
    #[error(transparent)]
    Table(#[from] TableError),
}

/// A form of a table that is not the table itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// See [`to_c`].
    C,
    /// See [`to_json`].
    Json,
    /// See [`to_rust`].
    Rust,
}

impl Format {
    /// The table in this form.
    ///
    /// # Errors
    /// See [`FormatError`].
    pub fn write(self, table: &StencilTable) -> Result<String, FormatError> {
        match self {
            Self::C => to_c(table),
            Self::Json => to_json(table),
            Self::Rust => to_rust(table),
        }
    }

    /// The name of the file in which the table has this form: the set's, `scalar.h`.
    ///
    /// # Errors
    /// The set's name cannot be a file's.
    pub fn file_name(self, table: &StencilTable) -> Result<String, FormatError> {
        let extension = match self {
            Self::C => "h",
            Self::Json => "json",
            Self::Rust => "rs",
        };
        Ok(format!("{}.{extension}", set_name(table)?))
    }
}

/// The set's name, which may have hyphens.
fn set_name(table: &StencilTable) -> Result<&str, FormatError> {
    identifier("the set", &table.set().replace('-', "_"))?;
    Ok(table.set())
}

/// Whether the name can stand in an identifier behind something else.
fn identifier<'a>(what: &'static str, name: &'a str) -> Result<&'a str, FormatError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    match !name.is_empty() && name.bytes().all(fits) {
        true => Ok(name),
        false => Err(FormatError::Name {
            what,
            name: name.to_owned(),
        }),
    }
}

/// The LLVM that made a table, as LLVM writes its version.
pub(crate) fn version(table: &StencilTable) -> String {
    let (major, minor, patch) = table.llvm_version();
    format!("{major}.{minor}.{patch}")
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
