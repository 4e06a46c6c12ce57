//! `mimeo verify`: the complete check of a table's format, the proof that each stencil keeps the rules, and whether a standard
//! set's table was made from the templates that this program was built with.

use crate::failure::{Answer, Failure};
use crate::tables;
use clap::Args;
use mimeo::table::StencilTable;
use mimeo_compiler::verify::check_table;
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Check a table's format, prove from the bytes that every stencil keeps the rules, and tell stale tables
///
/// The table of a standard set is stale if it was made from other templates than this program's. It carries the digest of
/// their source; no LLVM is needed to compare.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Stencil tables
    #[arg(required = true, value_name = "FILE")]
    tables: Vec<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments, out: &mut impl Write) -> Result<Answer, Failure> {
    let mut answer = Answer::Yes;
    let mut unusable = Vec::new();
    for path in &arguments.tables {
        match tables::read(path) {
            Ok(table) => answer = answer.and(verify(path, &table, out)?),
            Err(failure) => unusable.push(failure),
        }
    }
    Failure::all(unusable, out)?;
    Ok(answer)
}

fn verify(path: &Path, table: &StencilTable, out: &mut impl Write) -> Result<Answer, Failure> {
    let path = path.display();
    let (uops, variants) = (table.uop_count(), table.variant_count());
    let (mut uops_kept, mut variants_kept) = (0, 0);
    let mut instructions = 0;
    for (index, result) in check_table(table).enumerate() {
        match result {
            Ok(report) => {
                instructions += report.instructions;
                // The base forms come first.
                let kept = if index < uops {
                    &mut uops_kept
                } else {
                    &mut variants_kept
                };
                *kept += 1;
            }
            Err(error) => writeln!(out, "{path}: {error}")?,
        }
    }
    writeln!(
        out,
        "{path}: {uops_kept} of {uops} uops and {variants_kept} of {variants} variants keep the rules, \
         {instructions} instructions"
    )?;
    let origin = Origin::of(table);
    writeln!(
        out,
        "{path}: table {}, LLVM {}, {origin}",
        table.set(),
        tables::llvm_version(table)
    )?;
    let kept = (uops_kept, variants_kept) == (uops, variants);
    Ok(match kept && !matches!(origin, Origin::Stale { .. }) {
        true => Answer::Yes,
        false => Answer::No,
    })
}

/// What a table was made from, as far as this program can tell without LLVM.
enum Origin {
    /// This program's templates.
    Current,
    /// Other templates of the same set.
    Stale { found: Option<[u8; 32]> },
    /// A set that this program has no templates of.
    Foreign,
}

impl Origin {
    fn of(table: &StencilTable) -> Self {
        let found = table.sources().copied();
        match mimeo_ir_templates::sources_of(table.set()) {
            Some(sources) if Some(sources) == found => Self::Current,
            Some(_) => Self::Stale { found },
            None => Self::Foreign,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Current => f.write_str("made from this mimeo's templates"),
            Self::Stale { found: Some(found) } => write!(
                f,
                "stale: made from templates whose source has the digest {}, not from this mimeo's; `mimeo build` makes it anew",
                tables::hex(found)
            ),
            Self::Stale { found: None } => f.write_str(
                "stale or not the standard one: it does not say what it was made from, which this mimeo's tables do; \
                 `mimeo build` makes it anew",
            ),
            Self::Foreign => f.write_str("of a set that is not this mimeo's"),
        }
    }
}
