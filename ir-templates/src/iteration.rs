//! Iteration over ranges, lists, tuples and anything else.

use crate::object_ops::{
    Built, P, Path, at, compare, is_null, push_result_or_error, require_kind, retain,
};
use inkwell::IntPredicate;
use inkwell::values::{IntValue, PointerValue};
use mimeo_compiler::builder::TemplateBuilder;
use mimeo_compiler::template::{Helper, Template, Type};
use mimeo_objects::layout;

const GET_ITER: Helper = Helper::new("mimeo_get_iter", &[P, P], P);
const ITER_NEXT: Helper = Helper::new("mimeo_iter_next", &[P, P], P);
const INT_NEW: Helper = Helper::new("mimeo_int_new", &[P, Type::I64], P);

pub(crate) fn templates() -> Vec<Template> {
    vec![
        Template::new("_GET_ITER", get_iter).stack(1, 1).may_error(),
        Template::new("_FOR_ITER_TIER_TWO", next_of_any)
            .stack(1, 2)
            .may_error()
            .may_deopt(),
        Template::new("_ITER_CHECK_RANGE", |b| {
            check(b, layout::KIND_RANGE_ITERATOR)
        })
        .stack(1, 1)
        .may_exit(),
        Template::new("_ITER_CHECK_LIST", |b| check(b, layout::KIND_LIST_ITERATOR))
            .stack(1, 1)
            .may_exit(),
        Template::new("_ITER_CHECK_TUPLE", |b| {
            check(b, layout::KIND_TUPLE_ITERATOR)
        })
        .stack(1, 1)
        .may_exit(),
        Template::new("_GUARD_NOT_EXHAUSTED_RANGE", range_goes_on)
            .stack(1, 1)
            .may_exit(),
        Template::new("_GUARD_NOT_EXHAUSTED_LIST", list_goes_on)
            .stack(1, 1)
            .may_exit(),
        Template::new("_GUARD_NOT_EXHAUSTED_TUPLE", tuple_goes_on)
            .stack(1, 1)
            .may_exit(),
        Template::new("_ITER_NEXT_RANGE", next_of_range).stack(1, 2),
        Template::new("_ITER_NEXT_LIST", next_of_list).stack(1, 2),
        Template::new("_ITER_NEXT_TUPLE", next_of_tuple).stack(1, 2),
    ]
}

fn get_iter(mut b: TemplateBuilder<'_, '_>) -> Path {
    let value = b.pop_pointer()?;
    push_result_or_error(b, &GET_ITER, &[value.into()])
}

/// Goes to the jump target when the iterator is exhausted, which stays on the stack.
fn next_of_any(mut b: TemplateBuilder<'_, '_>) -> Path {
    let iterator = b.peek_pointer(0)?;
    let value = b.call_pointer(&ITER_NEXT, &[b.thread().into(), iterator.into()])?;
    let ended = is_null(&b, value)?;
    b.cold_if(ended, &[], |mut b, _| {
        let error = b.load_pointer(b.thread(), at(layout::THREAD_ERROR))?;
        let exhausted = is_null(&b, error)?;
        b.when(exhausted, |b| b.jump())?;
        b.error()
    })?;
    b.push(value)?;
    b.continue_()
}

fn check(mut b: TemplateBuilder<'_, '_>, kind: u32) -> Path {
    let iterator = b.peek_pointer(0)?;
    require_kind(&mut b, iterator, kind)?;
    b.continue_()
}

fn range_goes_on(mut b: TemplateBuilder<'_, '_>) -> Path {
    let iterator = b.peek_pointer(0)?;
    let remaining = b.load_i64(iterator, at(layout::RANGE_ITERATOR_REMAINING))?;
    let exhausted = compare(&b, IntPredicate::SLE, remaining, b.i64(0))?;
    b.unlikely(exhausted, |b| b.jump())?;
    b.continue_()
}

/// Whether a list or tuple iterator is past its last item; jumps where it has dropped its sequence. As an unsigned number
/// a negative index is beyond any length.
fn is_exhausted<'ctx>(
    b: &mut TemplateBuilder<'_, 'ctx>,
    iterator: PointerValue<'ctx>,
    length: usize,
) -> Built<IntValue<'ctx>> {
    let sequence = b.load_pointer(iterator, at(layout::ITERATOR_SEQUENCE))?;
    let dropped = is_null(b, sequence)?;
    b.unlikely(dropped, |b| b.jump())?;
    let index = b.load_i64(iterator, at(layout::ITERATOR_INDEX))?;
    let length = b.load_i64(sequence, at(length))?;
    compare(b, IntPredicate::UGE, index, length)
}

/// An exhausted list iterator keeps its list but is marked by the index -1.
fn list_goes_on(mut b: TemplateBuilder<'_, '_>) -> Path {
    let iterator = b.peek_pointer(0)?;
    let exhausted = is_exhausted(&mut b, iterator, layout::LIST_LENGTH)?;
    b.cold_if(exhausted, &[iterator.into()], |b, values| {
        b.store(
            b.i64(-1),
            values[0].into_pointer_value(),
            at(layout::ITERATOR_INDEX),
        )?;
        b.jump()
    })?;
    b.continue_()
}

fn tuple_goes_on(mut b: TemplateBuilder<'_, '_>) -> Path {
    let iterator = b.peek_pointer(0)?;
    let exhausted = is_exhausted(&mut b, iterator, layout::TUPLE_LENGTH)?;
    b.unlikely(exhausted, |b| b.jump())?;
    b.continue_()
}

/// The iterator's length and step keep every value within a word: see `Range`'s iterator in mimeo-objects.
fn next_of_range(mut b: TemplateBuilder<'_, '_>) -> Path {
    let iterator = b.peek_pointer(0)?;
    let value = b.load_i64(iterator, at(layout::RANGE_ITERATOR_NEXT))?;
    let step = b.load_i64(iterator, at(layout::RANGE_ITERATOR_STEP))?;
    b.store(
        b.ir().build_int_add(value, step, "")?,
        iterator,
        at(layout::RANGE_ITERATOR_NEXT),
    )?;
    let remaining = b.load_i64(iterator, at(layout::RANGE_ITERATOR_REMAINING))?;
    let remaining = b.ir().build_int_sub(remaining, b.i64(1), "")?;
    b.store(remaining, iterator, at(layout::RANGE_ITERATOR_REMAINING))?;
    let item = b.call_pointer(&INT_NEW, &[b.thread().into(), value.into()])?;
    b.push(item)?;
    b.continue_()
}

fn next_of_list(b: TemplateBuilder<'_, '_>) -> Path {
    let iterator = b.peek_pointer(0)?;
    let list = b.load_pointer(iterator, at(layout::ITERATOR_SEQUENCE))?;
    let index = b.load_i64(iterator, at(layout::ITERATOR_INDEX))?;
    let items = b.load_pointer(list, at(layout::LIST_ITEMS))?;
    let item = b.load_pointer(b.slot(items, index)?, 0)?;
    advance(b, iterator, index, item)
}

fn next_of_tuple(b: TemplateBuilder<'_, '_>) -> Path {
    let iterator = b.peek_pointer(0)?;
    let tuple = b.load_pointer(iterator, at(layout::ITERATOR_SEQUENCE))?;
    let index = b.load_i64(iterator, at(layout::ITERATOR_INDEX))?;
    let item = b.load_pointer(b.slot(tuple, index)?, at(layout::TUPLE_ITEMS))?;
    advance(b, iterator, index, item)
}

/// Moves an iterator past the item at `index`, and pushes the item.
fn advance<'ctx>(
    mut b: TemplateBuilder<'_, 'ctx>,
    iterator: PointerValue<'ctx>,
    index: IntValue<'ctx>,
    item: PointerValue<'ctx>,
) -> Path {
    let next = b.ir().build_int_add(index, b.i64(1), "")?;
    b.store(next, iterator, at(layout::ITERATOR_INDEX))?;
    retain(&b, item)?;
    b.push(item)?;
    b.continue_()
}
