//! Comparisons, identity and containment.
//!
//! The specialised ones look their answer up in the oparg: its low four bits say for which of unordered, less, greater
//! and equal (bits 0 to 3) the answer is True.

use crate::object_ops::{
    Built, P, Path, bool_object, compare, differ, none, oparg_i32, push_result_or_error,
    release_and_continue,
};
use crate::{float, int};
use inkwell::values::IntValue;
use inkwell::{FloatPredicate, IntPredicate};
use mimeo_compiler::builder::TemplateBuilder;
use mimeo_compiler::template::{Helper, Template, Type};

const COMPARE: Helper = Helper::new("mimeo_compare", &[P, P, P, Type::I32], P);
const CONTAINS: Helper = Helper::new("mimeo_contains", &[P, P, P, Type::I32], P);
const STR_EQUAL: Helper = Helper::new("mimeo_str_equal", &[P, P, P], Type::I64);

const UNORDERED: i64 = 0;
const EQUAL: i64 = 3;

/// CPython's compact ints have one digit of 30 bits.
const DIGIT: i64 = 1 << 30;

pub(crate) fn templates() -> Vec<Template> {
    vec![
        Template::new("_COMPARE_OP", |b| generic(b, &COMPARE))
            .stack(2, 1)
            .may_error(),
        Template::new("_CONTAINS_OP", |b| generic(b, &CONTAINS))
            .stack(2, 1)
            .may_error(),
        Template::new("_COMPARE_OP_INT", compare_ints)
            .stack(2, 1)
            .may_deopt(),
        Template::new("_COMPARE_OP_FLOAT", compare_floats).stack(2, 1),
        Template::new("_COMPARE_OP_STR", compare_strings).stack(2, 1),
        Template::new("_IS_OP", identity).stack(2, 1),
        Template::new("_IS_NONE", is_none).stack(1, 1),
    ]
}

fn generic(mut b: TemplateBuilder<'_, '_>, helper: &Helper) -> Path {
    let right = b.pop_pointer()?;
    let left = b.pop_pointer()?;
    let oparg = oparg_i32(&b)?;
    push_result_or_error(b, helper, &[left.into(), right.into(), oparg.into()])
}

/// Whether the oparg asks for this outcome.
fn asks_for<'ctx>(b: &TemplateBuilder<'_, 'ctx>, outcome: IntValue<'ctx>) -> Built<IntValue<'ctx>> {
    let bit = b.ir().build_right_shift(b.oparg()?, outcome, false, "")?;
    Ok(b.ir()
        .build_int_truncate(bit, b.context().bool_type(), "")?)
}

/// Deoptimises unless both ints have one digit: that is what CPython's uop takes.
fn compare_ints(mut b: TemplateBuilder<'_, '_>) -> Path {
    let (right, left) = (b.peek_pointer(0)?, b.peek_pointer(1)?);
    let big = int::any_big(&b, &[left, right])?;
    b.unlikely(big, |b| b.jump())?;
    let (x, y) = (int::word(&b, left)?, int::word(&b, right)?);
    for value in [x, y] {
        let wide = is_wide(&b, value)?;
        b.unlikely(wide, |b| b.jump())?;
    }
    // 1 where less, 2 where greater, 3 where equal: twice "not less" plus "not greater".
    let not_less = compare(&b, IntPredicate::SGE, x, y)?;
    let not_greater = compare(&b, IntPredicate::SLE, x, y)?;
    let i64_type = b.context().i64_type();
    let twice = b.ir().build_left_shift(
        b.ir().build_int_z_extend(not_less, i64_type, "")?,
        b.i64(1),
        "",
    )?;
    let outcome = b.ir().build_int_add(
        twice,
        b.ir().build_int_z_extend(not_greater, i64_type, "")?,
        "",
    )?;
    let answer = bool_object(&b, asks_for(&b, outcome)?)?;
    b.drop_values(2)?;
    b.push(answer)?;
    release_and_continue(b, &[left, right], &[left, right])
}

/// Whether an int has more than one digit: -DIGIT < value < DIGIT is one unsigned comparison.
fn is_wide<'ctx>(b: &TemplateBuilder<'_, 'ctx>, value: IntValue<'ctx>) -> Built<IntValue<'ctx>> {
    let shifted = b.ir().build_int_add(value, b.i64(DIGIT - 1), "")?;
    compare(b, IntPredicate::UGE, shifted, b.i64(2 * DIGIT - 1))
}

fn compare_floats(mut b: TemplateBuilder<'_, '_>) -> Path {
    let right = b.pop_pointer()?;
    let left = b.pop_pointer()?;
    let (x, y) = (float::value(&b, left)?, float::value(&b, right)?);
    let mut outcome = b.i64(EQUAL);
    for (predicate, value) in [
        (FloatPredicate::OGT, 2),
        (FloatPredicate::OLT, 1),
        (FloatPredicate::UNO, UNORDERED),
    ] {
        let holds = b.ir().build_float_compare(predicate, x, y, "")?;
        outcome = b
            .ir()
            .build_select(holds, b.i64(value), outcome, "")?
            .into_int_value();
    }
    let answer = bool_object(&b, asks_for(&b, outcome)?)?;
    b.push(answer)?;
    release_and_continue(b, &[left, right], &[left, right])
}

/// Only equality and its opposite: strings that differ count as less, greater and unordered at once.
fn compare_strings(mut b: TemplateBuilder<'_, '_>) -> Path {
    let right = b.pop_pointer()?;
    let left = b.pop_pointer()?;
    let equal = b.call_int(&STR_EQUAL, &[b.thread().into(), left.into(), right.into()])?;
    let mask = b.ir().build_int_add(equal, b.i64((1 << EQUAL) - 1), "")?;
    let asked = b.ir().build_and(mask, b.oparg()?, "")?;
    let answer = compare(&b, IntPredicate::NE, asked, b.i64(0))?;
    b.push(bool_object(&b, answer)?)?;
    release_and_continue(b, &[left, right], &[left, right])
}

/// The oparg, 0 or 1, inverts the answer.
fn identity(mut b: TemplateBuilder<'_, '_>) -> Path {
    let right = b.pop_pointer()?;
    let left = b.pop_pointer()?;
    let other = b
        .ir()
        .build_int_z_extend(differ(&b, left, right)?, b.context().i64_type(), "")?;
    let answer = compare(&b, IntPredicate::EQ, other, b.oparg()?)?;
    b.push(bool_object(&b, answer)?)?;
    release_and_continue(b, &[left, right], &[left, right])
}

fn is_none(mut b: TemplateBuilder<'_, '_>) -> Path {
    let value = b.pop_pointer()?;
    let none = none(&b)?;
    let answer = b
        .ir()
        .build_int_compare(IntPredicate::EQ, value, none, "")?;
    b.push(bool_object(&b, answer)?)?;
    release_and_continue(b, &[value], &[value])
}
