//! Comparisons, and what is chosen by them.

use super::{Builder, Built, Path, binary, unary};
use inkwell::values::IntValue;
use inkwell::{FloatPredicate, IntPredicate};
use mimeo_compiler::template::{Template, Type};

pub(super) fn templates() -> Vec<Template> {
    let ints = [
        ("I64_EQ", IntPredicate::EQ),
        ("I64_NE", IntPredicate::NE),
        ("I64_LT", IntPredicate::SLT),
        ("I64_LE", IntPredicate::SLE),
        ("I64_GT", IntPredicate::SGT),
        ("I64_GE", IntPredicate::SGE),
        ("U64_LT", IntPredicate::ULT),
        ("U64_LE", IntPredicate::ULE),
        ("U64_GT", IntPredicate::UGT),
        ("U64_GE", IntPredicate::UGE),
    ]
    .map(|(name, predicate)| {
        binary(name, move |b, left, right| {
            let holds = b.ir().build_int_compare(predicate, left, right, "")?;
            as_word(b, holds)
        })
    });
    let floats = [
        ("F64_EQ", FloatPredicate::OEQ),
        ("F64_NE", FloatPredicate::UNE),
        ("F64_LT", FloatPredicate::OLT),
        ("F64_LE", FloatPredicate::OLE),
        ("F64_GT", FloatPredicate::OGT),
        ("F64_GE", FloatPredicate::OGE),
    ]
    .map(|(name, predicate)| {
        Template::new(name, move |b| compare_floats(b, predicate)).stack(2, 1)
    });
    let others = [
        unary("BOOL_NOT", |b, value| {
            let zero = is_zero(b, value)?;
            as_word(b, zero)
        }),
        Template::new("SELECT_I64", |b| select(b, Type::I64)).stack(3, 1),
        Template::new("SELECT_F64", |b| select(b, Type::F64)).stack(3, 1),
    ];
    ints.into_iter().chain(floats).chain(others).collect()
}

/// Whether a condition does not hold.
pub(super) fn is_zero<'ctx>(b: &Builder<'_, 'ctx>, value: IntValue<'ctx>) -> Built<IntValue<'ctx>> {
    Ok(b.ir()
        .build_int_compare(IntPredicate::EQ, value, b.i64(0), "")?)
}

/// Whether a condition holds.
pub(super) fn is_not_zero<'ctx>(
    b: &Builder<'_, 'ctx>,
    value: IntValue<'ctx>,
) -> Built<IntValue<'ctx>> {
    Ok(b.ir()
        .build_int_compare(IntPredicate::NE, value, b.i64(0), "")?)
}

/// 1 or 0.
fn as_word<'ctx>(b: &Builder<'_, 'ctx>, holds: IntValue<'ctx>) -> Built<IntValue<'ctx>> {
    Ok(b.ir()
        .build_int_z_extend(holds, b.context().i64_type(), "")?)
}

fn compare_floats(mut b: Builder<'_, '_>, predicate: FloatPredicate) -> Path {
    let right = b.pop(Type::F64)?.into_float_value();
    let left = b.pop(Type::F64)?.into_float_value();
    let holds = b.ir().build_float_compare(predicate, left, right, "")?;
    let value = as_word(&b, holds)?;
    b.push(value)?;
    b.continue_()
}

fn select(mut b: Builder<'_, '_>, kind: Type) -> Path {
    let condition = b.pop_i64()?;
    let holds = is_not_zero(&b, condition)?;
    let otherwise = b.pop(kind)?;
    let then = b.pop(kind)?;
    let value = b.ir().build_select(holds, then, otherwise, "")?;
    b.push(value)?;
    b.continue_()
}
