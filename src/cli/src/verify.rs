//! `mimeo verify`: the complete check of a table's format, and the proof that each stencil keeps the rules.

use crate::failure::{Answer, Failure};
use crate::tables;
use clap::Args;
use mimeo::table::StencilTable;
use mimeo_compiler::verify::check_group;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Check a table's format, and prove from the bytes that every stencil keeps the rules
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
    let symbols: Vec<&str> = table.symbols().collect();
    let mut instructions = 0;
    let mut broken = 0;
    for uop in table.uops() {
        match check_group(&table.uop(uop), table.group(uop), &symbols) {
            Ok(report) => instructions += report.instructions,
            Err(error) => {
                broken += 1;
                writeln!(out, "{path}: {error}")?;
            }
        }
    }
    let uops = table.uop_count();
    let kept = uops - broken;
    writeln!(
        out,
        "{path}: {kept} of {uops} uops keep the rules, {instructions} instructions"
    )?;
    Ok(if broken == 0 { Answer::Yes } else { Answer::No })
}
