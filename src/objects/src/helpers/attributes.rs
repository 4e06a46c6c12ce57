//! The helpers for attributes and for the patterns that ask for them.
//!
//! The name of an attribute is one of the names of the code that runs in the frame.

use super::{Object, Thread, answer, status, unknown};
use crate::attribute::{self, Callee};
use crate::error::Result;
use crate::frame::Frame;
use crate::heap;
use crate::object::{Ref, View};
use crate::pattern;
use std::ptr::{self, NonNull};

/// The name with this index.
///
/// # Safety
/// As the module says.
unsafe fn name(frame: *const Frame, index: u32) -> Result<String> {
    // SAFETY: the module's contract.
    let function = unsafe { (*frame).borrow_function() };
    let name = match function.as_ref().map(|function| function.view()) {
        Some(View::Function(function)) => function.code().names().get(index as usize),
        _ => None,
    };
    match name.map(Ref::view) {
        Some(View::Str(name)) => Ok(name.to_string_lossy()),
        _ => Err(unknown("the name", index)),
    }
}

/// Writes a callee to the places on the stack: the function, and what goes before its arguments or null.
///
/// # Safety
/// As the module says; there are two places.
unsafe fn give(thread: Thread, result: Result<Callee>, places: *mut Object) -> i32 {
    let given = result.map(|(function, receiver)| {
        let receiver = receiver.map_or(ptr::null_mut(), Ref::into_raw);
        // SAFETY: the caller's promise.
        unsafe {
            places.write(function.into_raw());
            places.add(1).write(receiver);
        }
    });
    // SAFETY: the module's contract.
    unsafe { status(thread, given) }
}

/// An attribute of `owner`, consumed, by the oparg of CPython's `LOAD_ATTR`: twice the index of its name, and 1 if the
/// attribute is called next. Then `places` has two: the function, and what goes before its arguments or null. Otherwise
/// there is one, the attribute. 0, or -1 for an error.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_load_attribute(
    thread: Thread,
    frame: *const Frame,
    owner: Object,
    oparg: u32,
    places: *mut Object,
) -> i32 {
    // SAFETY: the module's contract.
    unsafe {
        let owner = Ref::from_raw(owner);
        let name = name(frame, oparg >> 1);
        if oparg & 1 != 0 {
            let callee = name.and_then(|name| attribute::get_method(&owner, &name));
            return give(thread, callee, places);
        }
        let value = name.and_then(|name| attribute::get(&owner, &name));
        let given = value.map(|value| places.write(value.into_raw()));
        status(thread, given)
    }
}

/// `owner.name = value`, both consumed; the oparg is the index of the name. 0, or -1 for an error.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_store_attribute(
    thread: Thread,
    frame: *const Frame,
    owner: Object,
    value: Object,
    oparg: u32,
) -> i32 {
    // SAFETY: the module's contract.
    unsafe {
        let (owner, value) = (Ref::from_raw(owner), Ref::from_raw(value));
        let name = name(frame, oparg);
        status(
            thread,
            name.and_then(|name| attribute::set(&owner, &name, value)),
        )
    }
}

/// `del owner.name`, the owner consumed; the oparg is the index of the name. 0, or -1 for an error.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_delete_attribute(
    thread: Thread,
    frame: *const Frame,
    owner: Object,
    oparg: u32,
) -> i32 {
    // SAFETY: the module's contract.
    unsafe {
        let owner = Ref::from_raw(owner);
        let name = name(frame, oparg);
        status(
            thread,
            name.and_then(|name| attribute::delete(&owner, &name)),
        )
    }
}

/// The value that the `__dict__` of an instance, borrowed, has under the name with index `oparg`, or null, which is no
/// error.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_load_from_dict(
    _thread: Thread,
    frame: *const Frame,
    owner: Object,
    oparg: u32,
) -> Object {
    // SAFETY: the module's contract.
    let (owner, name) = unsafe { (Ref::borrow(owner), name(frame, oparg)) };
    let dict = match owner.view() {
        View::Instance(instance) => instance.existing_dict(),
        _ => None,
    };
    let value = match (dict.as_ref().map(Ref::view), name) {
        (Some(View::Dict(dict)), Ok(name)) => dict.get_str(&name),
        _ => None,
    };
    value.map_or(ptr::null_mut(), Ref::into_raw)
}

/// An attribute behind `class` where those of `owner` are looked for, both consumed, by the oparg of CPython's
/// `LOAD_SUPER_ATTR`: four times the index of the name, and 1 as for [`mimeo_load_attribute`].
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_load_super_attribute(
    thread: Thread,
    frame: *const Frame,
    class: Object,
    owner: Object,
    oparg: u32,
    places: *mut Object,
) -> i32 {
    // SAFETY: the module's contract.
    unsafe {
        let (class, owner) = (Ref::from_raw(class), Ref::from_raw(owner));
        let name = name(frame, oparg >> 2);
        let callee = name.and_then(|name| attribute::get_super(&class, &owner, &name));
        if oparg & 1 != 0 {
            return give(thread, callee, places);
        }
        let value = callee.and_then(attribute::bind_callee);
        let given = value.map(|value| places.write(value.into_raw()));
        status(thread, given)
    }
}

/// What is left to do where a value of `owner`, consumed, was set that was not: it is the last in their order. The value
/// is `offset` bytes into the instance.
///
/// # Safety
/// As the module says; the value has a place in the order and is not in it.
pub unsafe extern "C" fn mimeo_note_store(_thread: Thread, owner: Object, offset: u64) {
    // SAFETY: the module's contract.
    let owner = unsafe { Ref::from_raw(owner) };
    if let View::Instance(instance) = owner.view() {
        instance.note_offset(offset as usize);
    }
}

/// What is left to do where a value of `owner`, consumed, was replaced: `old` is null, or an object whose last reference
/// has just gone.
///
/// # Safety
/// As the module says, except for `old`.
pub unsafe extern "C" fn mimeo_finish_store(_thread: Thread, owner: Object, old: Object) {
    // SAFETY: the module's contract.
    unsafe {
        if let Some(old) = NonNull::new(old) {
            heap::free(old);
        }
        drop(Ref::from_raw(owner));
    }
}

/// The values of `keys`, a tuple, in the mapping `subject`: a tuple, or `None` if one is missing. Both are borrowed, but
/// consumed where there is an error.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_match_keys(thread: Thread, subject: Object, keys: Object) -> Object {
    // SAFETY: the module's contract.
    unsafe {
        let values = pattern::keys(&Ref::borrow(subject), &Ref::borrow(keys));
        if values.is_err() {
            drop((Ref::from_raw(subject), Ref::from_raw(keys)));
        }
        answer(
            thread,
            values.map(|values| values.unwrap_or_else(Ref::none)),
        )
    }
}

/// The parts of a pattern of a class, with `oparg` positional ones and those in `names`, a tuple; all are consumed. A
/// tuple, or `None` if the subject does not match.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_match_class(
    thread: Thread,
    subject: Object,
    class: Object,
    names: Object,
    oparg: u32,
) -> Object {
    // SAFETY: the module's contract.
    unsafe {
        let (subject, class, names) = (
            Ref::from_raw(subject),
            Ref::from_raw(class),
            Ref::from_raw(names),
        );
        let parts = pattern::class(&subject, &class, oparg as usize, &names);
        answer(thread, parts.map(|parts| parts.unwrap_or_else(Ref::none)))
    }
}
