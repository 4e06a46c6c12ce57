//! Which table a command works on: the embedded one, or a file.

use crate::failure::Failure;
use mimeo::table::StencilTable;
use mimeo_compiler::verify::check_table;
use std::fmt;
use std::io::Write;
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

/// As [`open`], for running: every stencil of a file is checked first, and what it is not is said. The embedded table was
/// checked when it was built.
pub(crate) fn open_to_run(file: Option<&Path>) -> Result<StencilTable, Failure> {
    let table = open(file)?;
    if file.is_some() {
        check_table(&table)
            .try_for_each(|result| result.map(drop))
            .map_err(|error| Failure::input(name(file), error))?;
        let origin = Origin::of(&table);
        if !matches!(origin, Origin::Embedded) {
            // Nobody is left to be told that this fails.
            let _ = writeln!(
                anstream::stderr(),
                "note: {}: {origin}",
                name(file).display()
            );
        }
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

/// What a table was made from, as far as this program can tell without LLVM.
pub(crate) enum Origin {
    /// This program's templates: it is the embedded table.
    Embedded,
    /// This program's templates, as it says itself; the bytes are others.
    Claimed,
    /// Other templates of the same set.
    Stale { found: Option<[u8; 32]> },
    /// A set that this program has no templates of.
    Foreign,
}

impl Origin {
    pub(crate) fn of(table: &StencilTable) -> Self {
        let found = table.sources().copied();
        let embedded = mimeo_ir_templates::table_of(table.set());
        match mimeo_ir_templates::sources_of(table.set()) {
            _ if embedded
                .is_some_and(|own| own.is_ok_and(|own| own.as_bytes() == table.as_bytes())) =>
            {
                Self::Embedded
            }
            Some(sources) if Some(sources) == found => Self::Claimed,
            Some(_) => Self::Stale { found },
            None => Self::Foreign,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded => f.write_str("made from this mimeo's templates"),
            Self::Claimed => f.write_str(
                "it says that it was made from this mimeo's templates, but it is not the table that this mimeo has: made by \
                 another LLVM, or changed; `mimeo build` with the same LLVM makes the one to compare it with",
            ),
            Self::Stale { found: Some(found) } => write!(
                f,
                "stale: made from templates whose source has the digest {}, not from this mimeo's; `mimeo build` makes it anew",
                hex(found)
            ),
            Self::Stale { found: None } => f.write_str(
                "stale or not the standard one: it does not say what it was made from, which this mimeo's tables do; \
                 `mimeo build` makes it anew",
            ),
            Self::Foreign => f.write_str("of a set that is not this mimeo's"),
        }
    }
}
