//! Int arithmetic. An int is a machine word until it overflows; then a helper makes it a big integer. The result goes
//! into an operand that nothing else refers to, where there is one.

use crate::object_ops::{
    Built, P, at, compare, is_shared, push_result_or_error, release_and_continue,
    release_shared_and_continue,
};
use inkwell::IntPredicate;
use inkwell::values::{IntValue, PointerValue};
use mimeo_compiler::builder::{Overflowing, TemplateBuilder};
use mimeo_compiler::template::{Helper, Template};
use mimeo_objects::layout;

const ADD: Helper = Helper::new("mimeo_int_add", &[P, P, P], P);
const SUBTRACT: Helper = Helper::new("mimeo_int_subtract", &[P, P, P], P);
const MULTIPLY: Helper = Helper::new("mimeo_int_multiply", &[P, P, P], P);

pub(crate) fn templates() -> Vec<Template> {
    vec![
        binary("_BINARY_OP_ADD_INT", Overflowing::Add, ADD),
        binary("_BINARY_OP_SUBTRACT_INT", Overflowing::Subtract, SUBTRACT),
        binary("_BINARY_OP_MULTIPLY_INT", Overflowing::Multiply, MULTIPLY),
    ]
}

/// The value of an int that is not big.
pub(crate) fn word<'ctx>(
    b: &TemplateBuilder<'_, 'ctx>,
    int: PointerValue<'ctx>,
) -> Built<IntValue<'ctx>> {
    b.load_i64(int, at(layout::INT_VALUE))
}

/// Whether any of these ints is big.
pub(crate) fn any_big<'ctx>(
    b: &TemplateBuilder<'_, 'ctx>,
    ints: &[PointerValue<'ctx>],
) -> Built<IntValue<'ctx>> {
    let mut flags = b.i32(0);
    for &int in ints {
        let more = b.load_i32(int, at(layout::OBJECT_FLAGS))?;
        flags = b.ir().build_or(flags, more, "")?;
    }
    compare(b, IntPredicate::NE, flags, b.i32(0))
}

fn binary(name: &str, operation: Overflowing, slow: Helper) -> Template {
    let build = move |mut b: TemplateBuilder<'_, '_>| {
        let right = b.pop_pointer()?;
        let left = b.pop_pointer()?;
        let slow = b.cold_path(&[left.into(), right.into()], |b, operands| {
            push_result_or_error(b, &slow, operands)
        })?;
        let big = any_big(&b, &[left, right])?;
        b.unlikely_to(big, &slow)?;
        let (value, overflow) = b.overflowing(operation, word(&b, left)?, word(&b, right)?)?;
        b.unlikely_to(overflow, &slow)?;
        let left_shared = is_shared(&b, left)?;
        b.when(left_shared, |mut b| {
            let right_shared = is_shared(&b, right)?;
            b.unlikely_to(right_shared, &slow)?;
            b.store(value, right, at(layout::INT_VALUE))?;
            b.push(right)?;
            release_shared_and_continue(b, left)
        })?;
        b.store(value, left, at(layout::INT_VALUE))?;
        b.push(left)?;
        release_and_continue(b, &[left, right], &[right])
    };
    // The error is a lack of memory.
    Template::new(name, build).stack(2, 1).may_error()
}
