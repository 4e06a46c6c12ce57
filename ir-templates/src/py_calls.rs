//! Calls of functions of the program: what they are checked for, the frame that a call gets, and the way into it and out.
//! On the stack are the callable, a first argument or null, and `oparg` more; then, in their place, the new frame.

use crate::object_ops::{
    Built, P, Path, at, compare, is_null, oparg_i32, release_and_continue, require_kind, retain,
};
use inkwell::IntPredicate;
use inkwell::values::{IntValue, PointerValue};
use mimeo::stencil::Count;
use mimeo_compiler::builder::TemplateBuilder;
use mimeo_compiler::error::TemplateError;
use mimeo_compiler::template::{Helper, Template, Type};
use mimeo_objects::layout;

const ENTER: Helper = Helper::new("mimeo_enter_function", &[P, P, Type::I32], P);
const LEAVE: Helper = Helper::without_result("mimeo_leave_function", &[P, P, P]);
const BIND: Helper = Helper::new("mimeo_bind_function", &[P, P, Type::I32], P);

/// The callable, what follows it, and the arguments.
const OPERANDS: Count = Count::oparg_plus(2);
/// Calls of so few arguments have uops of their own.
const NUMBERED: u8 = 5;
/// Where a code object has the number of locals of its frames.
const CODE_LOCAL_COUNT: usize =
    layout::CODE_FRAME_START + layout::FRAME_LOCAL_COUNT - layout::FRAME_CODE;
/// Versions of functions and sizes of frames are below 2^31.
const NUMBER_BITS: u8 = 31;

pub(crate) fn templates() -> Vec<Template> {
    let mut templates = vec![
        look("_CHECK_FUNCTION_VERSION", check_function_version).may_exit(),
        look("_CHECK_FUNCTION_EXACT_ARGS", check_exact_arguments).may_exit(),
        look("_CHECK_METHOD_VERSION", check_method_version).may_exit(),
        look("_CHECK_CALL_BOUND_METHOD_EXACT_ARGS", check_is_method).may_exit(),
        look("_CHECK_STACK_SPACE", check_room_for_callable).may_deopt(),
        look("_INIT_CALL_BOUND_METHOD_EXACT_ARGS", unbind_method),
        look("_EXPAND_METHOD", unbind_method),
        Template::new("_CHECK_FUNCTION", check_running_function).may_deopt(),
        Template::new("_CHECK_PEP_523", check_evaluation).may_deopt(),
        Template::new("_CHECK_STACK_SPACE_OPERAND", check_room).may_deopt(),
        Template::new("_CHECK_RECURSION_REMAINING", |mut b| {
            require_recursion(&mut b)?;
            b.continue_()
        })
        .may_deopt(),
        Template::new("_SAVE_RETURN_OFFSET", save_return_offset),
        Template::new("_INIT_CALL_PY_EXACT_ARGS", |b| enter(b, None))
            .stack_counts(OPERANDS, Count::fixed(1)),
        Template::new("_PY_FRAME_GENERAL", bind)
            .stack_counts(OPERANDS, Count::fixed(1))
            .may_error()
            .pops_before_error(),
        Template::new("_PUSH_FRAME", push_frame)
            .stack(1, 0)
            .enters_frame(),
        Template::new("_POP_FRAME", pop_frame)
            .stack(1, 1)
            .leaves_frame(),
    ];
    for count in 0..NUMBERED {
        templates.push(
            Template::new(format!("_INIT_CALL_PY_EXACT_ARGS_{count}"), move |b| {
                enter(b, Some(count))
            })
            .stack(count + 2, 1),
        );
    }
    templates
}

/// A template that leaves the operands of a call in their places.
fn look<F>(name: &str, build: F) -> Template
where
    F: Fn(TemplateBuilder<'_, '_>) -> Path + Send + Sync + 'static,
{
    Template::new(name, build).stack_counts(OPERANDS, OPERANDS)
}

// ---- Checks ------------------------------------------------------------------------------------------------------

/// The callable, which is of this kind, or else the trace is left.
fn require_callable<'ctx>(
    b: &mut TemplateBuilder<'_, 'ctx>,
    kind: u32,
) -> Built<PointerValue<'ctx>> {
    let callable = b.load_pointer(b.deep_slot(OPERANDS)?, 0)?;
    require_kind(b, callable, kind)?;
    Ok(callable)
}

/// What stands between the callable and the arguments.
fn first_or_null<'ctx>(b: &TemplateBuilder<'_, 'ctx>) -> Built<PointerValue<'ctx>> {
    b.load_pointer(b.deep_slot(Count::oparg_plus(1))?, 0)
}

/// The function binds arguments as the operand says.
fn require_version<'ctx>(
    b: &mut TemplateBuilder<'_, 'ctx>,
    function: PointerValue<'ctx>,
) -> Built<()> {
    let version = b.load_i32(function, at(layout::FUNCTION_VERSION))?;
    let expected = small_operand_i32(b)?;
    let other = compare(b, IntPredicate::NE, version, expected)?;
    b.unlikely(other, |b| b.jump())
}

fn small_operand_i32<'ctx>(b: &TemplateBuilder<'_, 'ctx>) -> Built<IntValue<'ctx>> {
    let operand = b.small_operand(NUMBER_BITS)?;
    Ok(b.ir()
        .build_int_truncate(operand, b.context().i32_type(), "")?)
}

/// The operand is the version that the running function had when the trace was made.
fn check_running_function(mut b: TemplateBuilder<'_, '_>) -> Path {
    let running = b.load_pointer(b.frame(), at(layout::FRAME_FUNCTION))?;
    require_version(&mut b, running)?;
    b.continue_()
}

fn check_function_version(mut b: TemplateBuilder<'_, '_>) -> Path {
    let function = require_callable(&mut b, layout::KIND_FUNCTION)?;
    require_version(&mut b, function)?;
    b.continue_()
}

fn check_exact_arguments(mut b: TemplateBuilder<'_, '_>) -> Path {
    let function = require_callable(&mut b, layout::KIND_FUNCTION)?;
    require_version(&mut b, function)?;
    let code = b.load_pointer(function, at(layout::FUNCTION_CODE))?;
    let taken = b.load_i32(code, at(layout::CODE_ARGUMENT_COUNT))?;
    let has_first = b.ir().build_is_not_null(first_or_null(&b)?, "")?;
    let has_first = b
        .ir()
        .build_int_z_extend(has_first, b.context().i32_type(), "")?;
    let given = b.ir().build_int_add(has_first, oparg_i32(&b)?, "")?;
    let other = compare(&b, IntPredicate::NE, taken, given)?;
    b.unlikely(other, |b| b.jump())?;
    b.continue_()
}

fn check_method_version(mut b: TemplateBuilder<'_, '_>) -> Path {
    let method = require_callable(&mut b, layout::KIND_METHOD)?;
    let function = b.load_pointer(method, at(layout::METHOD_FUNCTION))?;
    require_kind(&mut b, function, layout::KIND_FUNCTION)?;
    require_version(&mut b, function)?;
    require_no_first(&mut b)?;
    b.continue_()
}

fn check_is_method(mut b: TemplateBuilder<'_, '_>) -> Path {
    require_no_first(&mut b)?;
    require_callable(&mut b, layout::KIND_METHOD)?;
    b.continue_()
}

fn require_no_first(b: &mut TemplateBuilder<'_, '_>) -> Built<()> {
    let given = b.ir().build_is_not_null(first_or_null(b)?, "")?;
    b.unlikely(given, |b| b.jump())
}

/// Something else than the traces' executor may want to run functions.
fn check_evaluation(mut b: TemplateBuilder<'_, '_>) -> Path {
    let replaced = b.load_i32(b.thread(), at(layout::THREAD_EVAL_FRAME))?;
    let replaced = compare(&b, IntPredicate::NE, replaced, b.i32(0))?;
    b.unlikely(replaced, |b| b.jump())?;
    b.continue_()
}

/// The bytes of the data stack that are free.
fn room<'ctx>(b: &TemplateBuilder<'_, 'ctx>) -> Built<IntValue<'ctx>> {
    let limit = b.load_i64(b.thread(), at(layout::THREAD_STACK_LIMIT))?;
    let top = b.load_i64(b.thread(), at(layout::THREAD_STACK_TOP))?;
    Ok(b.ir().build_int_sub(limit, top, "")?)
}

fn require_recursion(b: &mut TemplateBuilder<'_, '_>) -> Built<()> {
    let left = b.load_i32(b.thread(), at(layout::THREAD_RECURSION_REMAINING))?;
    let none_left = compare(b, IntPredicate::ULE, left, b.i32(1))?;
    b.unlikely(none_left, |b| b.jump())
}

fn check_room_for_callable(mut b: TemplateBuilder<'_, '_>) -> Path {
    let function = b.load_pointer(b.deep_slot(OPERANDS)?, 0)?;
    let code = b.load_pointer(function, at(layout::FUNCTION_CODE))?;
    let needed = b.load_i64(code, at(layout::CODE_FRAME_SIZE))?;
    let missing = compare(&b, IntPredicate::ULT, room(&b)?, needed)?;
    b.unlikely(missing, |b| b.jump())?;
    require_recursion(&mut b)?;
    b.continue_()
}

/// The operand is how many words the frames of the calls that follow may take.
fn check_room(mut b: TemplateBuilder<'_, '_>) -> Path {
    let words = b.ir().build_right_shift(room(&b)?, b.i64(3), false, "")?;
    let missing = compare(&b, IntPredicate::ULT, words, b.small_operand(NUMBER_BITS)?)?;
    b.unlikely(missing, |b| b.jump())?;
    require_recursion(&mut b)?;
    b.continue_()
}

// ---- Frames ------------------------------------------------------------------------------------------------------

/// Puts the function and what it is bound to in the places of a bound method and the null behind it.
fn unbind_method(b: TemplateBuilder<'_, '_>) -> Path {
    let place = b.deep_slot(OPERANDS)?;
    let method = b.load_pointer(place, 0)?;
    let function = b.load_pointer(method, at(layout::METHOD_FUNCTION))?;
    let first = b.load_pointer(method, at(layout::METHOD_SELF))?;
    retain(&b, function)?;
    retain(&b, first)?;
    b.store(function, place, 0)?;
    b.store(first, place, at(layout::SLOT_SIZE))?;
    release_and_continue(b, &[method], &[method])
}

/// Makes a frame in which the arguments, whose number is part of the uop's name or the oparg, are the first locals.
///
/// The frame goes on the data stack. Its fields that are always the same are copied from the code object.
fn enter(mut b: TemplateBuilder<'_, '_>, arguments: Option<u8>) -> Path {
    let operands = arguments.map_or(OPERANDS, |count| Count::fixed(count + 2));
    let function = match arguments {
        Some(count) => b.peek_pointer(usize::from(count) + 1)?,
        None => b.load_pointer(b.deep_slot(OPERANDS)?, 0)?,
    };
    let code = b.load_pointer(function, at(layout::FUNCTION_CODE))?;
    let frame = b.load_pointer(b.thread(), at(layout::THREAD_STACK_TOP))?;
    let end = b.offset(frame, b.load_i64(code, at(layout::CODE_FRAME_SIZE))?)?;
    let limit = b.load_pointer(b.thread(), at(layout::THREAD_STACK_LIMIT))?;
    let full = b
        .ir()
        .build_int_compare(IntPredicate::UGT, end, limit, "")?;
    b.cold_if(full, &[], |mut b, _| {
        let operands = b.pop_array(operands)?;
        let count = argument_count(&b, arguments)?;
        let count = b
            .ir()
            .build_int_truncate(count, b.context().i32_type(), "")?;
        let call = [b.thread().into(), operands.into(), count.into()];
        let frame = b.call_pointer(&ENTER, &call)?;
        b.push(frame)?;
        b.continue_()
    })?;
    b.store(end, b.thread(), at(layout::THREAD_STACK_TOP))?;
    b.store(function, frame, at(layout::FRAME_FUNCTION))?;
    copy_frame_start(&b, code, frame)?;
    let local_count = b.load_i32(code, at(CODE_LOCAL_COUNT))?;
    let local_count = b
        .ir()
        .build_int_z_extend(local_count, b.context().i64_type(), "")?;
    let locals = b.offset(frame, b.i64(layout::FRAME_LOCALS as i64))?;
    let stack = b.slot(locals, local_count)?;
    b.store(stack, frame, at(layout::FRAME_STACK_POINTER))?;

    let count = argument_count(&b, arguments)?;
    let from = b.pop_array(operands)?;
    let first = b.load_pointer(from, at(layout::SLOT_SIZE))?;
    b.store(first, locals, 0)?;
    let has_first = b.ir().build_is_not_null(first, "")?;
    let has_first = b
        .ir()
        .build_int_z_extend(has_first, b.context().i64_type(), "")?;
    let to = b.slot(locals, has_first)?;
    let from = b.offset(from, b.i64(2 * layout::SLOT_SIZE as i64))?;
    match arguments {
        Some(known) => {
            for index in 0..known {
                let offset = at(usize::from(index) * layout::SLOT_SIZE);
                b.store(b.load_pointer(from, offset)?, to, offset)?;
            }
        }
        None => for_each(&b, b.i64(0), count, |b, index| {
            let argument = b.load_pointer(b.slot(from, index)?, 0)?;
            b.store(argument, b.slot(to, index)?, 0)
        })?,
    }
    let bound = b.ir().build_int_add(has_first, count, "")?;
    for_each(&b, bound, local_count, |b, index| {
        b.store(b.i64(0), b.slot(locals, index)?, 0)
    })?;
    b.push(frame)?;
    b.continue_()
}

fn argument_count<'ctx>(b: &TemplateBuilder<'_, 'ctx>, known: Option<u8>) -> Built<IntValue<'ctx>> {
    match known {
        Some(count) => Ok(b.i64(count.into())),
        None => b.opaque(b.oparg()?),
    }
}

/// The fields that all frames of a code object start with, and no namespace.
fn copy_frame_start<'ctx>(
    b: &TemplateBuilder<'_, 'ctx>,
    code: PointerValue<'ctx>,
    frame: PointerValue<'ctx>,
) -> Built<()> {
    for offset in (layout::FRAME_CODE..layout::FRAME_NAMESPACE).step_by(layout::SLOT_SIZE) {
        let from = layout::CODE_FRAME_START + offset - layout::FRAME_CODE;
        b.store(b.load_i64(code, at(from))?, frame, at(offset))?;
    }
    b.store(b.i64(0), frame, at(layout::FRAME_NAMESPACE))
}

/// Builds a loop: `body` for each index from `start` up to `end`, none if that is not above.
fn for_each<'t, 'ctx>(
    b: &TemplateBuilder<'t, 'ctx>,
    start: IntValue<'ctx>,
    end: IntValue<'ctx>,
    body: impl FnOnce(&TemplateBuilder<'t, 'ctx>, IntValue<'ctx>) -> Built<()>,
) -> Built<()> {
    let ir = b.ir();
    let Some(before) = ir.get_insert_block() else {
        return Err(TemplateError::Misuse("has a loop nowhere".to_owned()));
    };
    let inside = b.context().insert_basic_block_after(before, "");
    let after = b.context().insert_basic_block_after(inside, "");
    let any = compare(b, IntPredicate::ULT, start, end)?;
    ir.build_conditional_branch(any, inside, after)?;
    ir.position_at_end(inside);
    let index = ir.build_phi(start.get_type(), "")?;
    let here = index.as_basic_value().into_int_value();
    body(b, here)?;
    let next = ir.build_int_add(here, b.i64(1), "")?;
    index.add_incoming(&[(&start, before), (&next, inside)]);
    let more = compare(b, IntPredicate::ULT, next, end)?;
    ir.build_conditional_branch(more, inside, after)?;
    ir.position_at_end(after);
    Ok(())
}

/// As [`mimeo_enter_function`](mimeo_objects::helpers::mimeo_enter_function), but for a frame's namespace and arguments
/// that do not bind one to one.
fn bind(mut b: TemplateBuilder<'_, '_>) -> Path {
    let count = oparg_i32(&b)?;
    let operands = b.pop_array(OPERANDS)?;
    let frame = b.call_pointer(&BIND, &[b.thread().into(), operands.into(), count.into()])?;
    let failed = is_null(&b, frame)?;
    b.unlikely(failed, |b| b.error())?;
    b.push(frame)?;
    b.continue_()
}

/// The oparg is how far behind the call's instruction the running code goes on.
fn save_return_offset(b: TemplateBuilder<'_, '_>) -> Path {
    b.store(oparg_i32(&b)?, b.frame(), at(layout::FRAME_RETURN_OFFSET))?;
    b.continue_()
}

fn push_frame(mut b: TemplateBuilder<'_, '_>) -> Path {
    let caller = b.frame();
    let frame = b.pop_pointer()?;
    let stack_pointer = b.flush()?;
    b.store(stack_pointer, caller, at(layout::FRAME_STACK_POINTER))?;
    b.store(caller, frame, at(layout::FRAME_PREVIOUS))?;
    change_recursion(&b, -1)?;
    let stack = b.load_pointer(frame, at(layout::FRAME_STACK_POINTER))?;
    b.switch_frame(frame, stack)?;
    b.continue_()
}

/// The value goes to the caller. Whatever else is on the stack is released with the frame.
fn pop_frame(mut b: TemplateBuilder<'_, '_>) -> Path {
    let frame = b.frame();
    let value = b.pop_pointer()?;
    let end = b.flush()?;
    let caller = b.load_pointer(frame, at(layout::FRAME_PREVIOUS))?;
    change_recursion(&b, 1)?;
    b.call(&LEAVE, &[b.thread().into(), frame.into(), end.into()])?;
    let stack = b.load_pointer(caller, at(layout::FRAME_STACK_POINTER))?;
    b.switch_frame(caller, stack)?;
    b.push(value)?;
    b.continue_()
}

/// Counts the calls that may still be nested.
fn change_recursion(b: &TemplateBuilder<'_, '_>, by: i32) -> Built<()> {
    let left = b.load_i32(b.thread(), at(layout::THREAD_RECURSION_REMAINING))?;
    let left = b.ir().build_int_add(left, b.i32(by), "")?;
    b.store(left, b.thread(), at(layout::THREAD_RECURSION_REMAINING))
}
