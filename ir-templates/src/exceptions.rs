//! Exceptions: the one that is handled, what handlers take, `with` statements, and CPython's intrinsics.

use crate::object_ops::{
    P, Path, at, differ, is_null, none, oparg_i32, push_result_or_error, release_and_continue,
    release_then, retain,
};
use mimeo_compiler::builder::TemplateBuilder;
use mimeo_compiler::template::{Helper, Template, Type};
use mimeo_objects::layout;

const MATCHES: Helper = Helper::new("mimeo_exception_matches", &[P, P, P], P);
const EXIT_WITH: Helper = Helper::new("mimeo_exit_with", &[P, P, P], P);
const RAISE_INIT_RESULT: Helper = Helper::without_result("mimeo_raise_init_result", &[P, P]);
const INTRINSIC_1: Helper = Helper::new("mimeo_intrinsic_1", &[P, P, Type::I32], P);
const INTRINSIC_2: Helper = Helper::new("mimeo_intrinsic_2", &[P, P, P, Type::I32], P);
const RELEASE: Helper = Helper::without_result("mimeo_release", &[P, P]);

pub(crate) fn templates() -> Vec<Template> {
    vec![
        Template::new("_PUSH_EXC_INFO", push_handled).stack(1, 2),
        Template::new("_POP_EXCEPT", pop_handled).stack(1, 0),
        Template::new("_CHECK_EXC_MATCH", check_match)
            .stack(2, 2)
            .may_error(),
        Template::new("_LOAD_ASSERTION_ERROR", load_assertion_error).stack(0, 1),
        Template::new("_WITH_EXCEPT_START", exit_with)
            .stack(4, 5)
            .may_error(),
        Template::new("_EXIT_INIT_CHECK", check_init_result)
            .stack(1, 0)
            .may_error(),
        Template::new("_END_SEND", end_send).stack(2, 1),
        Template::new("_CALL_INTRINSIC_1", |mut b| {
            let value = b.pop_pointer()?;
            let oparg = oparg_i32(&b)?;
            push_result_or_error(b, &INTRINSIC_1, &[value.into(), oparg.into()])
        })
        .stack(1, 1)
        .may_error(),
        Template::new("_CALL_INTRINSIC_2", |mut b| {
            let second = b.pop_pointer()?;
            let first = b.pop_pointer()?;
            let oparg = oparg_i32(&b)?;
            let operands = [first.into(), second.into(), oparg.into()];
            push_result_or_error(b, &INTRINSIC_2, &operands)
        })
        .stack(2, 1)
        .may_error(),
    ]
}

/// The exception on top is handled now; the one that was before, or None, goes below it.
fn push_handled(mut b: TemplateBuilder<'_, '_>) -> Path {
    let exception = b.pop_pointer()?;
    let before = b.load_pointer(b.thread(), at(layout::THREAD_HANDLED))?;
    retain(&b, exception)?;
    b.store(exception, b.thread(), at(layout::THREAD_HANDLED))?;
    b.push(before)?;
    b.push(exception)?;
    b.continue_()
}

/// The exception on top, or None, is handled again.
fn pop_handled(mut b: TemplateBuilder<'_, '_>) -> Path {
    let before = b.pop_pointer()?;
    let handled = b.load_pointer(b.thread(), at(layout::THREAD_HANDLED))?;
    b.store(before, b.thread(), at(layout::THREAD_HANDLED))?;
    release_and_continue(b, &[handled], &[handled])
}

/// The exception stays, unless there is an error.
fn check_match(mut b: TemplateBuilder<'_, '_>) -> Path {
    let (handler, exception) = (b.peek_pointer(0)?, b.peek_pointer(1)?);
    let operands = [b.thread().into(), exception.into(), handler.into()];
    let answer = b.call_pointer(&MATCHES, &operands)?;
    let failed = is_null(&b, answer)?;
    b.cold_if(failed, &[], |mut b, _| {
        b.drop_values(1)?;
        let exception = b.pop_pointer()?;
        release_then(b, exception, |b| b.error())
    })?;
    b.drop_values(1)?;
    b.push(answer)?;
    b.continue_()
}

fn load_assertion_error(mut b: TemplateBuilder<'_, '_>) -> Path {
    let class = b.load_pointer(b.thread(), at(layout::THREAD_ASSERTION_ERROR))?;
    retain(&b, class)?;
    b.push(class)?;
    b.continue_()
}

/// `__exit__` is the fourth from the top, the exception on top. They stay, unless there is an error.
fn exit_with(mut b: TemplateBuilder<'_, '_>) -> Path {
    let (exception, exit) = (b.peek_pointer(0)?, b.peek_pointer(3)?);
    let operands = [b.thread().into(), exit.into(), exception.into()];
    let answer = b.call_pointer(&EXIT_WITH, &operands)?;
    let failed = is_null(&b, answer)?;
    b.cold_if(failed, &[], |mut b, _| {
        for _ in 0..4 {
            let dropped = b.pop_pointer()?;
            b.call(&RELEASE, &[b.thread().into(), dropped.into()])?;
        }
        b.error()
    })?;
    b.push(answer)?;
    b.continue_()
}

/// What `__init__` has returned stays where there is an error.
fn check_init_result(mut b: TemplateBuilder<'_, '_>) -> Path {
    let value = b.peek_pointer(0)?;
    let other = differ(&b, value, none(&b)?)?;
    b.cold_if(other, &[value.into()], |b, values| {
        b.call(&RAISE_INIT_RESULT, &[b.thread().into(), values[0]])?;
        b.error()
    })?;
    // None is immortal: its references are not counted.
    b.drop_values(1)?;
    b.continue_()
}

/// The value stays, the receiver below it goes.
fn end_send(mut b: TemplateBuilder<'_, '_>) -> Path {
    let (value, receiver) = (b.pop_pointer()?, b.pop_pointer()?);
    b.push(value)?;
    release_and_continue(b, &[receiver], &[receiver])
}
