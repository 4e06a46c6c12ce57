//! Building, extending, unpacking and measuring containers and strings.

use crate::object_ops::{
    P, Path, at, compare, continue_or_error, is_null, oparg_i32, push_result_or_error,
    release_and_continue, release_then, require_kind, retain,
};
use inkwell::IntPredicate;
use mimeo::stencil::Count;
use mimeo_compiler::builder::TemplateBuilder;
use mimeo_compiler::template::{Helper, Template, Type};
use mimeo_objects::layout;

const BUILD_TUPLE: Helper = Helper::new("mimeo_build_tuple", &[P, P, Type::I32], P);
const BUILD_LIST: Helper = Helper::new("mimeo_build_list", &[P, P, Type::I32], P);
const BUILD_STRING: Helper = Helper::new("mimeo_build_string", &[P, P, Type::I32], P);
const BUILD_SLICE: Helper = Helper::new("mimeo_build_slice", &[P, P, Type::I32], P);
const LIST_APPEND: Helper = Helper::new("mimeo_list_append", &[P, P, P], Type::I32);
const LIST_EXTEND: Helper = Helper::new("mimeo_list_extend", &[P, P, P], Type::I32);
const UNPACK: Helper = Helper::new("mimeo_unpack_sequence", &[P, P, Type::I32, P], Type::I32);
pub(crate) const LENGTH: Helper = Helper::new("mimeo_length", &[P, P], P);
pub(crate) const RELEASE_ARRAY: Helper =
    Helper::without_result("mimeo_release_array", &[P, P, Type::I32]);

pub(crate) const OPARG: Count = Count::oparg_plus(0);
pub(crate) const OPARG_AND_ONE: Count = Count::oparg_plus(1);

pub(crate) fn templates() -> Vec<Template> {
    vec![
        build("_BUILD_TUPLE", BUILD_TUPLE),
        build("_BUILD_LIST", BUILD_LIST),
        build("_BUILD_STRING", BUILD_STRING),
        build("_BUILD_SLICE", BUILD_SLICE),
        Template::new("_LIST_APPEND", |b| add_to_container(b, &LIST_APPEND))
            .stack_counts(OPARG_AND_ONE, OPARG)
            .may_error(),
        Template::new("_LIST_EXTEND", |b| add_to_container(b, &LIST_EXTEND))
            .stack_counts(OPARG_AND_ONE, OPARG)
            .may_error(),
        Template::new("_UNPACK_SEQUENCE", unpack)
            .stack_counts(Count::fixed(1), OPARG)
            .may_error(),
        Template::new("_UNPACK_SEQUENCE_TWO_TUPLE", unpack_pair)
            .stack(1, 2)
            .may_deopt(),
        unpack_exactly(
            "_UNPACK_SEQUENCE_TUPLE",
            layout::KIND_TUPLE,
            layout::TUPLE_LENGTH,
        ),
        unpack_exactly(
            "_UNPACK_SEQUENCE_LIST",
            layout::KIND_LIST,
            layout::LIST_LENGTH,
        ),
        Template::new("_GET_LEN", get_length)
            .stack(1, 2)
            .may_error(),
    ]
}

/// Takes `oparg` values, the lowest first.
fn build(name: &str, helper: Helper) -> Template {
    let build = move |mut b: TemplateBuilder<'_, '_>| {
        let items = b.pop_array(OPARG)?;
        let count = oparg_i32(&b)?;
        push_result_or_error(b, &helper, &[items.into(), count.into()])
    };
    Template::new(name, build)
        .stack_counts(OPARG, Count::fixed(1))
        .may_error()
}

/// The list, set or dict is `oparg` values below what is added. An error drops it, and what is above it, as well.
pub(crate) fn add_to_container(mut b: TemplateBuilder<'_, '_>, helper: &Helper) -> Path {
    let added = b.pop_pointer()?;
    let container = b.load_pointer(b.deep_slot(OPARG)?, 0)?;
    let thread = b.thread();
    let status = b.call_int(helper, &[thread.into(), container.into(), added.into()])?;
    let failed = compare(&b, IntPredicate::SLT, status, b.i32(0))?;
    b.cold_if(failed, &[], |mut b, _| {
        let dropped = b.pop_array(OPARG)?;
        let count = oparg_i32(&b)?;
        b.call(
            &RELEASE_ARRAY,
            &[b.thread().into(), dropped.into(), count.into()],
        )?;
        b.error()
    })?;
    b.continue_()
}

/// Pushes `oparg` values, the first on top.
fn unpack(mut b: TemplateBuilder<'_, '_>) -> Path {
    let sequence = b.pop_pointer()?;
    let count = oparg_i32(&b)?;
    let values = b.push_array(OPARG)?;
    continue_or_error(b, &UNPACK, &[sequence.into(), count.into(), values.into()])
}

fn unpack_pair(mut b: TemplateBuilder<'_, '_>) -> Path {
    let tuple = b.peek_pointer(0)?;
    require_kind(&mut b, tuple, layout::KIND_TUPLE)?;
    let length = b.load_i64(tuple, at(layout::TUPLE_LENGTH))?;
    let other = compare(&b, IntPredicate::NE, length, b.i64(2))?;
    b.unlikely(other, |b| b.jump())?;
    let first = b.load_pointer(tuple, at(layout::TUPLE_ITEMS))?;
    let second = b.load_pointer(tuple, at(layout::TUPLE_ITEMS + layout::SLOT_SIZE))?;
    retain(&b, first)?;
    retain(&b, second)?;
    b.drop_values(1)?;
    b.push(second)?;
    b.push(first)?;
    release_and_continue(b, &[tuple], &[tuple])
}

/// A tuple or list of exactly `oparg` items; anything else deoptimises, so unpacking cannot fail.
fn unpack_exactly(name: &str, kind: u32, length: usize) -> Template {
    let build = move |mut b: TemplateBuilder<'_, '_>| {
        let sequence = b.peek_pointer(0)?;
        require_kind(&mut b, sequence, kind)?;
        let length = b.load_i64(sequence, at(length))?;
        let other = compare(&b, IntPredicate::NE, length, b.oparg()?)?;
        b.unlikely(other, |b| b.jump())?;
        b.drop_values(1)?;
        let count = oparg_i32(&b)?;
        let values = b.push_array(OPARG)?;
        b.call(
            &UNPACK,
            &[
                b.thread().into(),
                sequence.into(),
                count.into(),
                values.into(),
            ],
        )?;
        b.continue_()
    };
    Template::new(name, build)
        .stack_counts(Count::fixed(1), OPARG)
        .may_deopt()
}

/// The value stays, unless there is an error.
fn get_length(mut b: TemplateBuilder<'_, '_>) -> Path {
    let value = b.peek_pointer(0)?;
    let length = b.call_pointer(&LENGTH, &[b.thread().into(), value.into()])?;
    let failed = is_null(&b, length)?;
    b.cold_if(failed, &[], |mut b, _| {
        let value = b.pop_pointer()?;
        release_then(b, value, |b| b.error())
    })?;
    b.push(length)?;
    b.continue_()
}
