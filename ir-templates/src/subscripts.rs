//! Subscripts and slices: of lists, tuples and strings by small ints in line, of anything by a helper.

use crate::int;
use crate::object_ops::{
    Built, P, Path, at, compare, continue_or_error, push_result_or_error, release_and_continue,
    release_then, require_kind, retain,
};
use inkwell::IntPredicate;
use inkwell::values::{BasicValueEnum, IntValue, PointerValue};
use mimeo_compiler::builder::TemplateBuilder;
use mimeo_compiler::template::{Helper, Template, Type};
use mimeo_objects::layout;

const SUBSCRIPT: Helper = Helper::new("mimeo_subscript", &[P, P, P], P);
const SLICE: Helper = Helper::new("mimeo_slice", &[P, P, P, P], P);
const STORE_SUBSCRIPT: Helper = Helper::new("mimeo_store_subscript", &[P, P, P, P], Type::I32);
const STORE_SLICE: Helper = Helper::new("mimeo_store_slice", &[P, P, P, P, P], Type::I32);
const DELETE_SUBSCRIPT: Helper = Helper::new("mimeo_delete_subscript", &[P, P, P], Type::I32);
const STR_ITEM: Helper = Helper::new("mimeo_str_item", &[P, P, Type::I64], P);

/// CPython's specialised subscripts take indices of one digit.
const DIGIT: i64 = 1 << 30;

pub(crate) fn templates() -> Vec<Template> {
    vec![
        Template::new("_BINARY_SUBSCR", |b| consume(b, 2, &SUBSCRIPT))
            .stack(2, 1)
            .may_error(),
        Template::new("_BINARY_SLICE", |b| consume(b, 3, &SLICE))
            .stack(3, 1)
            .may_error(),
        Template::new("_STORE_SUBSCR", |b| consume_all(b, 3, &STORE_SUBSCRIPT))
            .stack(3, 0)
            .may_error(),
        Template::new("_STORE_SLICE", |b| consume_all(b, 4, &STORE_SLICE))
            .stack(4, 0)
            .may_error(),
        Template::new("_DELETE_SUBSCR", |b| consume_all(b, 2, &DELETE_SUBSCRIPT))
            .stack(2, 0)
            .may_error(),
        Template::new("_BINARY_SUBSCR_LIST_INT", list_item)
            .stack(2, 1)
            .may_deopt(),
        Template::new("_BINARY_SUBSCR_TUPLE_INT", tuple_item)
            .stack(2, 1)
            .may_deopt(),
        Template::new("_BINARY_SUBSCR_STR_INT", str_item)
            .stack(2, 1)
            .may_deopt(),
        Template::new("_STORE_SUBSCR_LIST_INT", store_list_item)
            .stack(3, 0)
            .may_deopt(),
    ]
}

/// The top `count` values, the lowest first: what helpers that consume them take.
fn operands<'ctx>(
    b: &mut TemplateBuilder<'_, 'ctx>,
    count: usize,
) -> Built<Vec<BasicValueEnum<'ctx>>> {
    let mut operands = Vec::with_capacity(count);
    for _ in 0..count {
        operands.push(b.pop_pointer()?.into());
    }
    operands.reverse();
    Ok(operands)
}

fn consume(mut b: TemplateBuilder<'_, '_>, count: usize, helper: &Helper) -> Path {
    let operands = operands(&mut b, count)?;
    push_result_or_error(b, helper, &operands)
}

fn consume_all(mut b: TemplateBuilder<'_, '_>, count: usize, helper: &Helper) -> Path {
    let operands = operands(&mut b, count)?;
    continue_or_error(b, helper, &operands)
}

/// The index, an int of one digit that is not negative and below `length`; deoptimises otherwise.
fn require_index<'ctx>(
    b: &mut TemplateBuilder<'_, 'ctx>,
    index: PointerValue<'ctx>,
    length: IntValue<'ctx>,
) -> Built<IntValue<'ctx>> {
    let big = int::any_big(b, &[index])?;
    b.unlikely(big, |b| b.jump())?;
    let value = int::word(b, index)?;
    for limit in [b.i64(DIGIT), length] {
        let beyond = compare(b, IntPredicate::UGE, value, limit)?;
        b.unlikely(beyond, |b| b.jump())?;
    }
    Ok(value)
}

fn list_item(mut b: TemplateBuilder<'_, '_>) -> Path {
    let (index, list) = (b.peek_pointer(0)?, b.peek_pointer(1)?);
    require_kind(&mut b, index, layout::KIND_INT)?;
    require_kind(&mut b, list, layout::KIND_LIST)?;
    let length = b.load_i64(list, at(layout::LIST_LENGTH))?;
    let place = require_index(&mut b, index, length)?;
    let items = b.load_pointer(list, at(layout::LIST_ITEMS))?;
    let item = b.load_pointer(b.slot(items, place)?, 0)?;
    retain(&b, item)?;
    replace_by_item(b, list, index, item)
}

fn tuple_item(mut b: TemplateBuilder<'_, '_>) -> Path {
    let (index, tuple) = (b.peek_pointer(0)?, b.peek_pointer(1)?);
    require_kind(&mut b, index, layout::KIND_INT)?;
    require_kind(&mut b, tuple, layout::KIND_TUPLE)?;
    let length = b.load_i64(tuple, at(layout::TUPLE_LENGTH))?;
    let place = require_index(&mut b, index, length)?;
    let item = b.load_pointer(b.slot(tuple, place)?, at(layout::TUPLE_ITEMS))?;
    retain(&b, item)?;
    replace_by_item(b, tuple, index, item)
}

/// Replaces the container and the index by an item, whose reference is handed over.
fn replace_by_item<'ctx>(
    mut b: TemplateBuilder<'_, 'ctx>,
    container: PointerValue<'ctx>,
    index: PointerValue<'ctx>,
    item: PointerValue<'ctx>,
) -> Path {
    b.drop_values(2)?;
    b.push(item)?;
    release_and_continue(b, &[container, index], &[index, container])
}

/// Deoptimises for a character that is not ASCII, as CPython does.
fn str_item(mut b: TemplateBuilder<'_, '_>) -> Path {
    let (index, string) = (b.peek_pointer(0)?, b.peek_pointer(1)?);
    require_kind(&mut b, index, layout::KIND_INT)?;
    require_kind(&mut b, string, layout::KIND_STR)?;
    let length = b.load_i64(string, at(layout::STR_LENGTH))?;
    let place = require_index(&mut b, index, length)?;
    let other = is_not_ascii(&b, string)?;
    let handed = [string.into(), index.into(), place.into()];
    b.cold_if(other, &handed, |mut b, values| {
        let (string, index) = (
            values[0].into_pointer_value(),
            values[1].into_pointer_value(),
        );
        let item = b.call_pointer(&STR_ITEM, &[b.thread().into(), values[0], values[2]])?;
        let high = is_not_ascii(&b, item)?;
        b.unlikely(high, |b| release_then(b, item, |b| b.jump()))?;
        replace_by_item(b, string, index, item)
    })?;
    let item = b.call_pointer(&STR_ITEM, &[b.thread().into(), string.into(), place.into()])?;
    replace_by_item(b, string, index, item)
}

fn is_not_ascii<'ctx>(
    b: &TemplateBuilder<'_, 'ctx>,
    string: PointerValue<'ctx>,
) -> Built<IntValue<'ctx>> {
    let flags = b.load_i32(string, at(layout::OBJECT_FLAGS))?;
    let ascii = b
        .ir()
        .build_and(flags, b.i32(layout::FLAG_ASCII as i32), "")?;
    compare(b, IntPredicate::EQ, ascii, b.i32(0))
}

/// Takes the value, the list and the index.
fn store_list_item(mut b: TemplateBuilder<'_, '_>) -> Path {
    let (index, list, value) = (b.peek_pointer(0)?, b.peek_pointer(1)?, b.peek_pointer(2)?);
    require_kind(&mut b, index, layout::KIND_INT)?;
    require_kind(&mut b, list, layout::KIND_LIST)?;
    let length = b.load_i64(list, at(layout::LIST_LENGTH))?;
    let place = require_index(&mut b, index, length)?;
    let items = b.load_pointer(list, at(layout::LIST_ITEMS))?;
    let slot = b.slot(items, place)?;
    let old = b.load_pointer(slot, 0)?;
    b.store(value, slot, 0)?;
    b.drop_values(3)?;
    release_and_continue(b, &[list, index, old], &[old, index, list])
}
