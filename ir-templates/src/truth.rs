//! Truth: any value, or one of an expected kind, to a bool.

use crate::int;
use crate::object_ops::{
    P, Path, at, bool_constant, bool_object, compare, differ, none, push_result_or_error,
    release_and_continue, require_kind,
};
use inkwell::IntPredicate;
use inkwell::values::{IntValue, PointerValue};
use mimeo_compiler::builder::TemplateBuilder;
use mimeo_compiler::template::{Helper, Template};
use mimeo_objects::layout;

const TO_BOOL: Helper = Helper::new("mimeo_to_bool", &[P, P], P);

pub(crate) fn templates() -> Vec<Template> {
    vec![
        Template::new("_TO_BOOL", generic).stack(1, 1).may_error(),
        Template::new("_TO_BOOL_BOOL", of_bool)
            .stack(1, 1)
            .may_exit(),
        Template::new("_TO_BOOL_NONE", of_none)
            .stack(1, 1)
            .may_exit(),
        Template::new("_TO_BOOL_INT", of_int).stack(1, 1).may_exit(),
        Template::new("_TO_BOOL_LIST", |b| {
            of_length(b, layout::KIND_LIST, layout::LIST_LENGTH)
        })
        .stack(1, 1)
        .may_exit(),
        Template::new("_TO_BOOL_STR", |b| {
            of_length(b, layout::KIND_STR, layout::STR_LENGTH)
        })
        .stack(1, 1)
        .may_exit(),
        Template::new("_REPLACE_WITH_TRUE", replace_with_true).stack(1, 1),
        Template::new("_UNARY_NOT", not).stack(1, 1),
    ]
}

fn generic(mut b: TemplateBuilder<'_, '_>) -> Path {
    let value = b.pop_pointer()?;
    push_result_or_error(b, &TO_BOOL, &[value.into()])
}

fn of_bool(mut b: TemplateBuilder<'_, '_>) -> Path {
    let value = b.peek_pointer(0)?;
    require_kind(&mut b, value, layout::KIND_BOOL)?;
    b.continue_()
}

fn of_none(mut b: TemplateBuilder<'_, '_>) -> Path {
    let other = differ(&b, b.peek_pointer(0)?, none(&b)?)?;
    b.unlikely(other, |b| b.jump())?;
    b.drop_values(1)?;
    b.push(bool_constant(&b, false)?)?;
    b.continue_()
}

/// An int that is big is not zero.
fn of_int(mut b: TemplateBuilder<'_, '_>) -> Path {
    let value = b.peek_pointer(0)?;
    require_kind(&mut b, value, layout::KIND_INT)?;
    let big = int::any_big(&b, &[value])?;
    let word = int::word(&b, value)?;
    let nonzero = compare(&b, IntPredicate::NE, word, b.i64(0))?;
    let truth = b.ir().build_or(big, nonzero, "")?;
    replace(b, value, truth)
}

fn of_length(mut b: TemplateBuilder<'_, '_>, kind: u32, length: usize) -> Path {
    let value = b.peek_pointer(0)?;
    require_kind(&mut b, value, kind)?;
    let length = b.load_i64(value, at(length))?;
    let truth = compare(&b, IntPredicate::NE, length, b.i64(0))?;
    replace(b, value, truth)
}

/// Replaces the top value by a bool.
fn replace<'ctx>(
    mut b: TemplateBuilder<'_, 'ctx>,
    value: PointerValue<'ctx>,
    truth: IntValue<'ctx>,
) -> Path {
    let answer = bool_object(&b, truth)?;
    b.drop_values(1)?;
    b.push(answer)?;
    release_and_continue(b, &[value], &[value])
}

fn replace_with_true(mut b: TemplateBuilder<'_, '_>) -> Path {
    let value = b.pop_pointer()?;
    b.push(bool_constant(&b, true)?)?;
    release_and_continue(b, &[value], &[value])
}

/// The top value is a bool.
fn not(mut b: TemplateBuilder<'_, '_>) -> Path {
    let value = b.pop_pointer()?;
    let truth = b.load_i64(value, at(layout::BOOL_VALUE))?;
    let answer = compare(&b, IntPredicate::EQ, truth, b.i64(0))?;
    b.push(bool_object(&b, answer)?)?;
    b.continue_()
}
