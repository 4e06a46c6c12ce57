//! Which table a command works on: the embedded one, or a file.

use crate::failure::Failure;
use mimeo::form::{Form, RegisterSet};
use mimeo::stencil::UopInfo;
use mimeo::table::{StencilTable, UopId, VariantId};
use mimeo_compiler::verify::{self, Report, VariantInfo, VerifyError};
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
        let symbols: Vec<&str> = table.symbols().collect();
        for uop in table.uops() {
            check_uop(&table, uop, &symbols).map_err(|error| Failure::input(name(file), error))?;
        }
        for variant in table.variants() {
            check_variant(&table, variant, &symbols)
                .map_err(|error| Failure::input(name(file), error))?;
        }
    }
    Ok(table)
}

/// Checks the base form of a uop.
pub(crate) fn check_uop(
    table: &StencilTable,
    uop: UopId,
    symbols: &[&str],
) -> Result<Report, VerifyError> {
    // Where variants take operands, a trace may have locals in the registers that base forms do not use.
    let mut forms = table.variants().map(|id| table.variant(id).form);
    let kept = match forms.any(|form| matches!(form, Form::Operands(_))) {
        true => verify::PINNED,
        false => RegisterSet::default(),
    };
    verify::check_base(&table.uop(uop), table.group(uop), kept, symbols)
}

/// Checks a variant.
pub(crate) fn check_variant(
    table: &StencilTable,
    variant: VariantId,
    symbols: &[&str],
) -> Result<Report, VerifyError> {
    let variant = table.variant(variant);
    let uops: Vec<UopInfo<'_>> = variant.infos().collect();
    let info = VariantInfo {
        uops: &uops,
        form: variant.form,
    };
    verify::check_variant(&info, variant.group, variant.register_holes, symbols)
}

/// How a table is called in messages.
pub(crate) fn name(file: Option<&Path>) -> PathBuf {
    file.map_or_else(|| PathBuf::from("(embedded table)"), Path::to_owned)
}
