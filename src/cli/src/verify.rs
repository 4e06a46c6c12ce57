//! `mimeo verify`: the complete check of a table's format, the proof that each stencil keeps the rules, and whether a standard
//! set's table was made from the templates that this program was built with.

use crate::failure::{Answer, Failure};
use crate::tables;
use clap::Args;
use mimeo::table::StencilTable;
use mimeo_compiler::verify::check_table;
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
    let origin = tables::Origin::of(table);
    writeln!(
        out,
        "{path}: table {}, LLVM {}, {origin}",
        table.set(),
        tables::llvm_version(table)
    )?;
    let kept = (uops_kept, variants_kept) == (uops, variants);
    Ok(
        match kept && !matches!(origin, tables::Origin::Stale { .. }) {
            true => Answer::Yes,
            false => Answer::No,
        },
    )
}
