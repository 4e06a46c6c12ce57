//! The helpers that reach into frames: calls of functions of the program, cells, and names that are not locals.
//!
//! A frame is the one that runs, whose function has a code object, unless a helper says otherwise.

use super::{Object, Thread, answer, status, unknown};
use crate::binding;
use crate::code::{Code, OPTIMIZED, name_text};
use crate::error::{ErrorKind, PyError, Result};
use crate::frame::Frame;
use crate::function::Function;
use crate::globals;
use crate::object::{Kind, Ref, View};
use crate::ops::{self, BinaryOperator};
use std::mem::ManuallyDrop;
use std::ptr;

/// Raises `SystemError`: control has come where it never should.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_fatal_error(thread: Thread) {
    let error = PyError::new(
        ErrorKind::SystemError,
        "a trace went on where nothing follows",
    );
    // SAFETY: the module's contract.
    unsafe { (*thread).raise(error) };
}

/// Adds one to the number in a counter, a cell; what is something else stays as it is.
///
/// # Safety
/// As the module says; `counter` is consumed.
pub unsafe extern "C" fn mimeo_increment_counter(_thread: Thread, counter: Object) {
    // SAFETY: the module's contract.
    let counter = unsafe { Ref::from_raw(counter) };
    let View::Cell(cell) = counter.view() else {
        return;
    };
    if let Some(count) = cell.replace(None) {
        let next = ops::binary(BinaryOperator::Add, &count, &Ref::int(1));
        cell.replace(Some(next.unwrap_or(count)));
    }
}

/// A frame for a call of the function at `operands`, whose arguments bind one to one: behind the function is the first
/// argument or null, then come `count` more. All are consumed. Cannot fail.
///
/// # Safety
/// As the module says; `operands` are a function, a nullable and `count` arguments, for all of which its code has locals.
pub unsafe extern "C" fn mimeo_enter_function(
    thread: Thread,
    operands: *mut Object,
    count: u32,
) -> *mut Frame {
    // SAFETY: the module's contract.
    unsafe {
        let frame = (*thread).new_frame(Ref::from_raw(operands.read()));
        let mut local = Frame::slots(frame);
        for index in 1..count as usize + 2 {
            let argument = operands.add(index).read();
            if !argument.is_null() {
                local.write(argument);
                local = local.add(1);
            }
        }
        frame
    }
}

/// As [`mimeo_enter_function`], for arguments of any number: what is missing has defaults, and what is left over goes
/// into `*args`. A null says that an error was raised.
///
/// # Safety
/// As the module says; `operands` are a function, a nullable and `count` arguments.
pub unsafe extern "C" fn mimeo_bind_function(
    thread: Thread,
    operands: *mut Object,
    count: u32,
) -> *mut Frame {
    // SAFETY: the module's contract; a code object has locals for all of its parameters.
    unsafe {
        let callable = Ref::from_raw(operands.read());
        let first = Ref::from_nullable(operands.add(1).read());
        let others = (2..count as usize + 2).map(|index| Ref::from_raw(operands.add(index).read()));
        let arguments: Vec<Ref> = first.into_iter().chain(others).collect();
        let locals = match callable.view() {
            View::Function(function) => binding::bind(function, arguments.into_iter()),
            _ => Err(PyError::not_supported("a frame of what is no function")),
        };
        match locals {
            Ok(locals) => frame_with(thread, callable, locals),
            Err(error) => {
                (*thread).raise(error);
                ptr::null_mut()
            }
        }
    }
}

/// A frame that starts with these locals.
///
/// # Safety
/// As the module says; `function` is a function, and its code has that many locals.
unsafe fn frame_with(thread: Thread, function: Ref, locals: Vec<Option<Ref>>) -> *mut Frame {
    let namespace = match function.view() {
        View::Function(function) if function.code().flags() & OPTIMIZED == 0 => {
            function.globals().clone().into_raw()
        }
        _ => ptr::null_mut(),
    };
    // SAFETY: the caller's promise.
    unsafe {
        let frame = (*thread).new_frame(function);
        (*frame).namespace = namespace;
        for (index, local) in locals.into_iter().enumerate() {
            let local = local.map_or(ptr::null_mut(), Ref::into_raw);
            Frame::slots(frame).add(index).write(local);
        }
        frame
    }
}

/// Leaves the frame of a call: releases what is in its slots below `end` and what it refers to, and frees it.
///
/// # Safety
/// As the module says; `frame` was entered last of all that are on the data stack, and `end` is in its stack.
pub unsafe extern "C" fn mimeo_leave_function(thread: Thread, frame: *mut Frame, end: *mut Object) {
    // SAFETY: the module's contract.
    unsafe { (*thread).discard_frame(frame, end) }
}

/// Raises the error of a local without a value: `NameError` for a free variable, `UnboundLocalError` for any other.
///
/// # Safety
/// As the module says; `frame` may have no function.
pub unsafe extern "C" fn mimeo_raise_unbound_local(
    thread: Thread,
    frame: *const Frame,
    index: u32,
) {
    // SAFETY: the module's contract.
    unsafe { (*thread).raise(unbound(&*frame, index)) }
}

fn unbound(frame: &Frame, index: u32) -> PyError {
    let function = frame.borrow_function();
    let code = function.as_deref().and_then(code_of);
    let name = code.and_then(|code| code.local_names().get(index as usize));
    let name = name.map_or_else(|| format!("#{index}"), name_text);
    let is_free = code.is_some_and(|code| {
        let local_count = code.local_count();
        (local_count - code.free_count()..local_count).contains(&index)
    });
    let (kind, text) = match is_free {
        true => (
            ErrorKind::NameError,
            format!(
                "cannot access free variable '{name}' where it is not associated with a value in \
                 enclosing scope"
            ),
        ),
        false => (
            ErrorKind::UnboundLocalError,
            format!(
                "cannot access local variable '{name}' where it is not associated with a value"
            ),
        ),
    };
    PyError::new(kind, text)
}

fn code_of(function: &Ref) -> Option<&Code> {
    match function.view() {
        View::Function(function) => Some(function.code()),
        _ => None,
    }
}

/// A cell with `contents` in it, which are consumed or null.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_make_cell(_thread: Thread, contents: Object) -> Object {
    // SAFETY: the module's contract.
    Ref::cell(unsafe { Ref::from_nullable(contents) }).into_raw()
}

/// Puts the cells of the running function's closure into its last `count` locals. Where it has no such cell, which no
/// function has that Python's compiler makes, there is an empty one: locals that should be cells always are.
///
/// # Safety
/// As the module says; the last `count` locals are null.
pub unsafe extern "C" fn mimeo_copy_free_variables(_thread: Thread, frame: *mut Frame, count: u32) {
    // SAFETY: the module's contract.
    unsafe {
        let function = (*frame).borrow_function();
        let closure = function
            .as_deref()
            .and_then(|function| match function.view() {
                View::Function(function) => function.closure(),
                _ => None,
            });
        let cells = match closure.as_ref().map(Ref::view) {
            Some(View::Tuple(cells)) => cells.items(),
            _ => &[],
        };
        let local_count = (*frame).local_count;
        let count = count.min(local_count);
        let first = (local_count - count) as usize;
        for index in 0..count as usize {
            let cell = cells.get(index).filter(|cell| cell.kind() == Kind::Cell);
            let cell = cell.cloned().unwrap_or_else(|| Ref::cell(None));
            Frame::slots(frame)
                .add(first + index)
                .write(cell.into_raw());
        }
    }
}

/// The variable that local `index` is the cell of, unless the dict of a class, which is borrowed, has its name.
///
/// # Safety
/// As the module says; the local is a cell.
pub unsafe extern "C" fn mimeo_load_from_dict_or_cell(
    thread: Thread,
    frame: *mut Frame,
    names: Object,
    index: u32,
) -> Object {
    // SAFETY: the module's contract.
    unsafe {
        let names = Ref::borrow(names);
        let cell = Ref::borrow(Frame::slots(frame).add(index as usize).read());
        let found = with_function(frame, |function| {
            let name = entry(function.code().local_names(), "local", index)?;
            globals::find(&names, name)
        });
        let value = found.and_then(|found| {
            let contents = || match cell.view() {
                View::Cell(cell) => cell.get(),
                _ => None,
            };
            found
                .or_else(contents)
                .ok_or_else(|| unbound(&*frame, index))
        });
        answer(thread, value)
    }
}

/// The global or builtin that the code calls by name `index`.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_load_global(
    thread: Thread,
    frame: *mut Frame,
    index: u32,
) -> Object {
    // SAFETY: the module's contract.
    unsafe {
        let value = with_function(frame, |function| {
            globals::load(function, name(function, index)?)
        });
        answer(thread, value)
    }
}

/// Sets the global that the code calls by name `index` to `value`, which is consumed: 0, or -1 for an error.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_store_global(
    thread: Thread,
    frame: *mut Frame,
    value: Object,
    index: u32,
) -> i32 {
    // SAFETY: the module's contract.
    unsafe {
        let value = Ref::from_raw(value);
        let stored = with_function(frame, |function| {
            globals::store(function, name(function, index)?, value)
        });
        status(thread, stored)
    }
}

/// Deletes the global that the code calls by name `index`: 0, or -1 for an error.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_delete_global(thread: Thread, frame: *mut Frame, index: u32) -> i32 {
    // SAFETY: the module's contract.
    unsafe {
        let deleted = with_function(frame, |function| {
            globals::delete(function, name(function, index)?)
        });
        status(thread, deleted)
    }
}

/// Sets name `index` of the code in the frame's own dict to `value`, which is consumed: 0, or -1 for an error.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_store_name(
    thread: Thread,
    frame: *mut Frame,
    value: Object,
    index: u32,
) -> i32 {
    // SAFETY: the module's contract.
    unsafe {
        let value = Ref::from_raw(value);
        let names = namespace(frame);
        let stored = with_function(frame, |function| {
            globals::store_name(names.as_deref(), name(function, index)?, value)
        });
        status(thread, stored)
    }
}

/// Deletes name `index` of the code from the frame's own dict: 0, or -1 for an error.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_delete_name(thread: Thread, frame: *mut Frame, index: u32) -> i32 {
    // SAFETY: the module's contract.
    unsafe {
        let names = namespace(frame);
        let deleted = with_function(frame, |function| {
            globals::delete_name(names.as_deref(), name(function, index)?)
        });
        status(thread, deleted)
    }
}

/// The frame's own dict.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_load_locals(thread: Thread, frame: *mut Frame) -> Object {
    // SAFETY: the module's contract.
    unsafe { answer(thread, globals::locals(namespace(frame).as_deref())) }
}

/// Makes sure that the frame's own dict has one of annotations: 0, or -1 for an error.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_set_up_annotations(thread: Thread, frame: *mut Frame) -> i32 {
    // SAFETY: the module's contract.
    unsafe {
        let names = namespace(frame);
        status(thread, globals::set_up_annotations(names.as_deref()))
    }
}

/// A function of the code object, which is borrowed, that finds its names where the running one does.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_make_function(
    thread: Thread,
    frame: *mut Frame,
    code: Object,
) -> Object {
    // SAFETY: the module's contract.
    unsafe {
        let code = Ref::borrow(code);
        let made = with_function(frame, |running| {
            if code.kind() != Kind::Code {
                return Err(PyError::not_supported("a function of what is no code"));
            }
            let [globals, builtins] = [running.globals(), running.builtins()].map(Ref::clone);
            Ok(Ref::function(Ref::clone(&code), globals, builtins))
        });
        answer(thread, made)
    }
}

/// Gives a new function, which is borrowed, an attribute, which is consumed. Nothing happens where they do not fit, which
/// is never so in what Python's compiler makes.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_set_function_attribute(
    _thread: Thread,
    function: Object,
    attribute: Object,
    oparg: u32,
) {
    // SAFETY: the module's contract.
    unsafe {
        let (function, attribute) = (Ref::borrow(function), Ref::from_raw(attribute));
        if let View::Function(function) = function.view() {
            function.complete(oparg, attribute);
        }
    }
}

/// # Safety
/// `frame` is a frame that is not left meanwhile.
unsafe fn with_function<T>(
    frame: *const Frame,
    of: impl FnOnce(&Function) -> Result<T>,
) -> Result<T> {
    // SAFETY: the caller's promise.
    let function = unsafe { (*frame).borrow_function() };
    match function.as_deref().map(Ref::view) {
        Some(View::Function(function)) => of(function),
        _ => Err(PyError::not_supported("a frame without a function")),
    }
}

/// # Safety
/// `frame` is a frame that is not left while the result is used.
unsafe fn namespace(frame: *const Frame) -> Option<ManuallyDrop<Ref>> {
    // SAFETY: the caller's promise; a frame owns a reference to its namespace.
    unsafe {
        let namespace = (*frame).namespace;
        (!namespace.is_null()).then(|| Ref::borrow(namespace))
    }
}

fn name(function: &Function, index: u32) -> Result<&Ref> {
    entry(function.code().names(), "name", index)
}

fn entry<'a>(names: &'a [Ref], what: &str, index: u32) -> Result<&'a Ref> {
    names
        .get(index as usize)
        .ok_or_else(|| unknown(what, index))
}
