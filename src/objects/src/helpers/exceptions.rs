//! The helpers for exceptions, and CPython's intrinsics.

use super::{Object, Thread, answer, unknown};
use crate::builtin::BuiltinId;
use crate::call;
use crate::error::{ErrorKind, PyError, Result};
use crate::exception;
use crate::format;
use crate::hooks::refuse_hook;
use crate::object::{Ref, View};
use crate::ops;
use crate::types::TypeId;

/// Whether an `except` clause for `handler`, consumed, takes `exception`, borrowed: a bool.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_exception_matches(
    thread: Thread,
    exception: Object,
    handler: Object,
) -> Object {
    // SAFETY: the module's contract.
    unsafe {
        let (exception, handler) = (Ref::borrow(exception), Ref::from_raw(handler));
        answer(
            thread,
            exception::matches(&exception, &handler).map(Ref::bool),
        )
    }
}

/// What `exit`, the `__exit__` of a `with` statement, says of an exception; both are borrowed. There are no tracebacks: it
/// is given `None` for one.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_exit_with(
    thread: Thread,
    exit: Object,
    exception: Object,
) -> Object {
    // SAFETY: the module's contract.
    unsafe {
        let (exit, exception) = (Ref::borrow(exit), Ref::borrow(exception));
        let arguments = [exception.class_of(), Ref::clone(&exception), Ref::none()];
        answer(thread, call::call(&exit, &arguments))
    }
}

/// Raises the error of an `__init__` that has returned `value`, borrowed, which is not `None`.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_raise_init_result(thread: Thread, value: Object) {
    // SAFETY: the module's contract.
    unsafe {
        let value = Ref::borrow(value);
        let message = format!("__init__() should return None, not '{}'", value.type_name());
        (*thread).raise(PyError::type_error(message));
    }
}

/// The intrinsic of one argument, consumed, that CPython 3.13 has under this oparg. Those that modules, generators and
/// type parameters need are not supported.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_intrinsic_1(thread: Thread, value: Object, oparg: u32) -> Object {
    // SAFETY: the module's contract.
    unsafe {
        let value = Ref::from_raw(value);
        let result = match oparg {
            1 => display(&value),
            3 => stop_iteration_error(&value),
            5 => ops::positive(&value),
            6 => list_to_tuple(&value),
            _ => Err(unknown("the intrinsic of one argument", oparg)),
        };
        answer(thread, result)
    }
}

/// The intrinsic of two arguments, both consumed, that CPython 3.13 has under this oparg. Those that type parameters
/// need are not supported.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_intrinsic_2(
    thread: Thread,
    first: Object,
    second: Object,
    oparg: u32,
) -> Object {
    // SAFETY: the module's contract.
    unsafe {
        let (_first, second) = (Ref::from_raw(first), Ref::from_raw(second));
        let result = match oparg {
            1 => raised_again(&second),
            _ => Err(unknown("the intrinsic of two arguments", oparg)),
        };
        answer(thread, result)
    }
}

/// What the interactive interpreter does with the value of an expression.
fn display(value: &Ref) -> Result<Ref> {
    match value.view() {
        View::None => Ok(Ref::none()),
        _ => call::call(&Ref::builtin(BuiltinId::Print), &[format::repr(value)?]),
    }
}

/// What is raised behind the `except*` clauses, of what they have raised and left. There are no exception groups: what was
/// caught was one exception, so that at most one clause has run.
fn raised_again(left: &Ref) -> Result<Ref> {
    match left.view() {
        View::List(list) => Ok(list.iter().next().unwrap_or_else(Ref::none)),
        _ => Err(PyError::not_supported(format_args!(
            "raising what is in a {}",
            left.type_name()
        ))),
    }
}

fn list_to_tuple(list: &Ref) -> Result<Ref> {
    match list.view() {
        View::List(list) => Ok(Ref::tuple(list.iter().collect())),
        _ => Err(PyError::not_supported(format_args!(
            "making a tuple of a {}",
            list.type_name()
        ))),
    }
}

/// What a generator raises instead of an exception that leaves it: a `StopIteration` must not.
fn stop_iteration_error(exception: &Ref) -> Result<Ref> {
    let View::Exception(view) = exception.view() else {
        return Err(PyError::new(
            ErrorKind::SystemError,
            "expected an exception",
        ));
    };
    refuse_hook(view.of().class(), "__init__")?;
    if !view.of().id().is_subtype_of(TypeId::StopIteration) {
        return Ok(exception.clone());
    }
    let message = Ref::str("generator raised StopIteration");
    Ref::exception(Ref::type_object(TypeId::RuntimeError), vec![message])
}
