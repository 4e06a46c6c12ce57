//! Which table a command works on: the embedded one, or a file.

use crate::failure::Failure;
use mimeo::table::StencilTable;
use mimeo_compiler::verify::check_table;
use std::path::{Path, PathBuf};

/// The table in a file, or the embedded one.
pub(crate) fn open(file: Option<&Path>) -> Result<StencilTable, Failure> {
    match file {
        Some(path) => read(path),
        None => mimeo_ir_templates::standard_table()
            .map_err(|error| Failure::input("(embedded table)", error)),
    }
}

/// The table in a file.
pub(crate) fn read(path: &Path) -> Result<StencilTable, Failure> {
    if path.is_dir() {
        return Err(Failure::input(
            path,
            "a directory, expected a stencil table",
        ));
    }
    StencilTable::open(path).map_err(|error| Failure::table(path, error))
}

/// As [`open`], for running: every stencil of a file is checked first. The embedded table was when it was built.
pub(crate) fn open_to_run(file: Option<&Path>) -> Result<StencilTable, Failure> {
    let table = open(file)?;
    if file.is_some() {
        check_table(&table)
            .try_for_each(|result| result.map(drop))
            .map_err(|error| Failure::input(name(file), error))?;
    }
    Ok(table)
}

/// How a table is called in messages.
pub(crate) fn name(file: Option<&Path>) -> PathBuf {
    file.map_or_else(|| PathBuf::from("(embedded table)"), Path::to_owned)
}

/// The LLVM that made a table, as LLVM writes its version.
pub(crate) fn llvm_version(table: &StencilTable) -> String {
    let (major, minor, patch) = table.llvm_version();
    format!("{major}.{minor}.{patch}")
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
