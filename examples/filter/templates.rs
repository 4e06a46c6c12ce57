//! The templates of a filter's uops.
//!
//! A filter runs over all rows of a table in one trace. Its frame is an array of words, the locals: the row, the number
//! of rows, where to write the rows that are kept, how many those are, and the address of each column from there on.

use mimeo_compiler::builder::{Done, TemplateBuilder};
use mimeo_compiler::error::TemplateError;
use mimeo_compiler::inkwell::IntPredicate;
use mimeo_compiler::template::{FrameLayout, Template, TemplateSet};

const ROW: u32 = 0;
const ROWS: u32 = 1;
const KEPT_ROWS: u32 = 2;
const KEPT: u32 = 3;

/// The uops of a filter.
pub fn set() -> TemplateSet {
    TemplateSet::new("filter", FrameLayout { locals: 0 }).with([
        Template::new("COLUMN", column)
            .stack(0, 1)
            .local_oparg()
            .uses_local(ROW),
        Template::new("CONSTANT", constant).stack(0, 1),
        Template::new("ADD", add).stack(2, 1),
        Template::new("LESS", |b| compare(b, IntPredicate::SLT)).stack(2, 1),
        Template::new("EQUAL", |b| compare(b, IntPredicate::EQ)).stack(2, 1),
        Template::new("KEEP_ROW", keep_row)
            .stack(1, 0)
            .uses_local(KEPT),
        Template::new("NEXT_ROW", next_row).uses_local(ROWS).jumps(),
        Template::new("DONE", |b| b.side_exit())
            .side_exits()
            .terminal(),
    ])
}

/// Pushes this row's value of the column whose address the oparg's local holds.
fn column(mut b: TemplateBuilder<'_, '_>) -> Result<Done, TemplateError> {
    let row = b.load_i64(b.local_at(ROW)?, 0)?;
    let column = b.load_pointer(b.local()?, 0)?;
    let value = b.load_i64(b.slot(column, row)?, 0)?;
    b.push(value)?;
    b.continue_()
}

fn constant(mut b: TemplateBuilder<'_, '_>) -> Result<Done, TemplateError> {
    let value = b.operand()?;
    b.push(value)?;
    b.continue_()
}

fn add(mut b: TemplateBuilder<'_, '_>) -> Result<Done, TemplateError> {
    let (right, left) = (b.pop_i64()?, b.pop_i64()?);
    b.push(b.ir().build_int_add(left, right, "")?)?;
    b.continue_()
}

fn compare(mut b: TemplateBuilder<'_, '_>, how: IntPredicate) -> Result<Done, TemplateError> {
    let (right, left) = (b.pop_i64()?, b.pop_i64()?);
    let holds = b.ir().build_int_compare(how, left, right, "")?;
    b.push(
        b.ir()
            .build_int_z_extend(holds, b.context().i64_type(), "")?,
    )?;
    b.continue_()
}

/// Writes the row behind the kept ones, and counts it if the value on the stack is 1: no branch to mispredict.
fn keep_row(mut b: TemplateBuilder<'_, '_>) -> Result<Done, TemplateError> {
    let keep = b.pop_i64()?;
    let row = b.load_i64(b.local_at(ROW)?, 0)?;
    let rows = b.load_pointer(b.local_at(KEPT_ROWS)?, 0)?;
    let kept = b.load_i64(b.local_at(KEPT)?, 0)?;
    b.store(row, b.slot(rows, kept)?, 0)?;
    b.store(b.ir().build_int_add(kept, keep, "")?, b.local_at(KEPT)?, 0)?;
    b.continue_()
}

/// Jumps back to the trace's start as long as there are rows.
fn next_row(mut b: TemplateBuilder<'_, '_>) -> Result<Done, TemplateError> {
    let row = b
        .ir()
        .build_int_add(b.load_i64(b.local_at(ROW)?, 0)?, b.i64(1), "")?;
    b.store(row, b.local_at(ROW)?, 0)?;
    let rows = b.load_i64(b.local_at(ROWS)?, 0)?;
    let more = b.ir().build_int_compare(IntPredicate::SLT, row, rows, "")?;
    b.when(more, |b| b.jump())?;
    b.continue_()
}
