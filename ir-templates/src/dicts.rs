//! Dicts and sets: building, reading and changing them. The work is that of helpers; in line are only the guards.

use crate::containers::{OPARG, OPARG_AND_ONE, RELEASE_ARRAY, add_to_container};
use crate::object_ops::{
    P, Path, at, compare, continue_or_error, oparg_i32, push_result_or_error, require_kind,
};
use inkwell::IntPredicate;
use mimeo::stencil::Count;
use mimeo_compiler::builder::TemplateBuilder;
use mimeo_compiler::template::{Helper, Template, Type};
use mimeo_objects::layout;

const SUBSCRIPT: Helper = Helper::new("mimeo_dict_subscript", &[P, P, P], P);
const STORE: Helper = Helper::new("mimeo_dict_store", &[P, P, P, P], Type::I32);
const CONTAINS: Helper = Helper::new("mimeo_contains", &[P, P, P, Type::I32], P);
const BUILD_MAP: Helper = Helper::new("mimeo_build_map", &[P, P, Type::I32], P);
const BUILD_CONST_KEY_MAP: Helper = Helper::new("mimeo_build_const_key_map", &[P, P, Type::I32], P);
const MAP_ADD: Helper = Helper::new("mimeo_map_add", &[P, P, P, P], Type::I32);
const DICT_UPDATE: Helper = Helper::new("mimeo_dict_update", &[P, P, P], Type::I32);
const DICT_MERGE: Helper = Helper::new("mimeo_dict_merge", &[P, P, P, P], Type::I32);
const SET_ADD: Helper = Helper::new("mimeo_set_add", &[P, P, P], Type::I32);
const SET_UPDATE: Helper = Helper::new("mimeo_set_update", &[P, P, P], Type::I32);
const UNPACK_EXTENDED: Helper = Helper::new(
    "mimeo_unpack_extended",
    &[P, P, Type::I32, Type::I32, P],
    Type::I32,
);

const TWICE_OPARG: Count = Count {
    fixed: 0,
    per_oparg: 2,
    low_bit: 0,
};

pub(crate) fn templates() -> Vec<Template> {
    vec![
        Template::new("_BINARY_SUBSCR_DICT", subscript)
            .stack(2, 1)
            .may_deopt()
            .may_error(),
        Template::new("_STORE_SUBSCR_DICT", store)
            .stack(3, 0)
            .may_deopt()
            .may_error(),
        Template::new("_CONTAINS_OP_DICT", |mut b| {
            let dict = b.peek_pointer(0)?;
            require_kind(&mut b, dict, layout::KIND_DICT)?;
            contains(b)
        })
        .stack(2, 1)
        .may_deopt()
        .may_error(),
        Template::new("_CONTAINS_OP_SET", contains_in_set)
            .stack(2, 1)
            .may_deopt()
            .may_error(),
        Template::new("_BUILD_MAP", build_map)
            .stack_counts(TWICE_OPARG, Count::fixed(1))
            .may_error(),
        Template::new("_BUILD_CONST_KEY_MAP", build_const_key_map)
            .stack_counts(OPARG_AND_ONE, Count::fixed(1))
            .may_error(),
        Template::new("_MAP_ADD", map_add)
            .stack_counts(Count::oparg_plus(2), OPARG)
            .may_error(),
        add("_DICT_UPDATE", &DICT_UPDATE),
        Template::new("_DICT_MERGE", merge)
            .stack_counts(Count::oparg_plus(4), Count::oparg_plus(3))
            .may_error(),
        add("_SET_ADD", &SET_ADD),
        add("_SET_UPDATE", &SET_UPDATE),
        Template::new("_UNPACK_EX", unpack_extended)
            .stack_counts(Count::fixed(1), OPARG_AND_ONE)
            .may_error(),
    ]
}

/// The container is `oparg` values below what is added.
fn add(name: &str, helper: &'static Helper) -> Template {
    Template::new(name, move |b| add_to_container(b, helper))
        .stack_counts(OPARG_AND_ONE, OPARG)
        .may_error()
}

fn subscript(mut b: TemplateBuilder<'_, '_>) -> Path {
    let dict = b.peek_pointer(1)?;
    require_kind(&mut b, dict, layout::KIND_DICT)?;
    let key = b.pop_pointer()?;
    b.drop_values(1)?;
    push_result_or_error(b, &SUBSCRIPT, &[dict.into(), key.into()])
}

/// Takes the value, the dict and the key.
fn store(mut b: TemplateBuilder<'_, '_>) -> Path {
    let dict = b.peek_pointer(1)?;
    require_kind(&mut b, dict, layout::KIND_DICT)?;
    let key = b.pop_pointer()?;
    b.drop_values(1)?;
    let value = b.pop_pointer()?;
    continue_or_error(b, &STORE, &[value.into(), dict.into(), key.into()])
}

fn contains(mut b: TemplateBuilder<'_, '_>) -> Path {
    let container = b.pop_pointer()?;
    let item = b.pop_pointer()?;
    let invert = oparg_i32(&b)?;
    push_result_or_error(
        b,
        &CONTAINS,
        &[item.into(), container.into(), invert.into()],
    )
}

/// The kinds of sets are neighbours.
fn contains_in_set(mut b: TemplateBuilder<'_, '_>) -> Path {
    const { assert!(layout::KIND_FROZEN_SET == layout::KIND_SET + 1) };
    let container = b.peek_pointer(0)?;
    let kind = b.load_i32(container, at(layout::OBJECT_KIND))?;
    let above = b
        .ir()
        .build_int_sub(kind, b.i32(layout::KIND_SET as i32), "")?;
    let other = compare(&b, IntPredicate::UGT, above, b.i32(1))?;
    b.unlikely(other, |b| b.jump())?;
    contains(b)
}

/// Takes `oparg` pairs of a key and a value.
fn build_map(mut b: TemplateBuilder<'_, '_>) -> Path {
    let items = b.pop_array(TWICE_OPARG)?;
    let count = oparg_i32(&b)?;
    push_result_or_error(b, &BUILD_MAP, &[items.into(), count.into()])
}

/// Takes `oparg` values and a tuple of their keys.
fn build_const_key_map(mut b: TemplateBuilder<'_, '_>) -> Path {
    let items = b.pop_array(OPARG_AND_ONE)?;
    let count = oparg_i32(&b)?;
    push_result_or_error(b, &BUILD_CONST_KEY_MAP, &[items.into(), count.into()])
}

/// The dict is `oparg` values below the key. An error drops it, and what is above it, as well.
fn map_add(mut b: TemplateBuilder<'_, '_>) -> Path {
    let value = b.pop_pointer()?;
    let key = b.pop_pointer()?;
    let dict = b.load_pointer(b.deep_slot(OPARG)?, 0)?;
    let status = b.call_int(
        &MAP_ADD,
        &[b.thread().into(), dict.into(), key.into(), value.into()],
    )?;
    let failed = compare(&b, IntPredicate::SLT, status, b.i32(0))?;
    b.cold_if(failed, &[], |b, _| drop_and_error(b, OPARG))?;
    b.continue_()
}

/// The dict of keyword arguments is `oparg` values below what is merged, and three below it is what will be called. An
/// error drops all of them.
fn merge(mut b: TemplateBuilder<'_, '_>) -> Path {
    let update = b.pop_pointer()?;
    let dict = b.load_pointer(b.deep_slot(OPARG)?, 0)?;
    let callable = b.load_pointer(b.deep_slot(Count::oparg_plus(3))?, 0)?;
    let status = b.call_int(
        &DICT_MERGE,
        &[
            b.thread().into(),
            callable.into(),
            dict.into(),
            update.into(),
        ],
    )?;
    let failed = compare(&b, IntPredicate::SLT, status, b.i32(0))?;
    b.cold_if(failed, &[], |b, _| drop_and_error(b, Count::oparg_plus(3)))?;
    b.continue_()
}

/// Leaves for the error target without the top `oparg + fixed` values, of which any may be null.
fn drop_and_error(mut b: TemplateBuilder<'_, '_>, dropped: Count) -> Path {
    let values = b.pop_array(dropped)?;
    let fixed = b.i32(dropped.fixed.into());
    let count = b.ir().build_int_add(oparg_i32(&b)?, fixed, "")?;
    b.call(
        &RELEASE_ARRAY,
        &[b.thread().into(), values.into(), count.into()],
    )?;
    b.error()
}

/// Pushes `oparg` values and, between those of the start and those of the end, a list of the others; the first is on
/// top. How many are of the start is the operand. CPython's oparg has both numbers in a byte each, which no count of
/// stack values can say.
fn unpack_extended(mut b: TemplateBuilder<'_, '_>) -> Path {
    let sequence = b.pop_pointer()?;
    let count = oparg_i32(&b)?;
    let before = b
        .ir()
        .build_int_truncate(b.operand()?, b.i32(0).get_type(), "")?;
    let values = b.push_array(OPARG_AND_ONE)?;
    continue_or_error(
        b,
        &UNPACK_EXTENDED,
        &[sequence.into(), count.into(), before.into(), values.into()],
    )
}
