//! Immortal objects: the ones of which a thread has exactly one, made when they are first needed.

#![allow(unsafe_code)]

use crate::builtin::{Builtin, BuiltinId};
use crate::heap;
use crate::methods;
use crate::modules;
use crate::object::{Header, IMMORTAL, Ref};
use crate::singleton::{Bool, NoneObject};
use crate::str::Str;
use crate::types::{Type, TypeId};
use std::cell::Cell;
use std::ptr::NonNull;

const NONE: usize = 0;
const FALSE: usize = 1;
const TRUE: usize = 2;
const TYPES: usize = 3;
const BUILTINS: usize = TYPES + TypeId::ALL.len();
const METHODS: usize = BUILTINS + BuiltinId::ALL.len();
const MODULE_FUNCTIONS: usize = METHODS + methods::COUNT;
const ASCII: usize = MODULE_FUNCTIONS + modules::FUNCTION_COUNT;
const COUNT: usize = ASCII + 128;

thread_local! {
    static OBJECTS: [Cell<Option<NonNull<Header>>>; COUNT] = const { [const { Cell::new(None) }; COUNT] };
}

/// `None`.
pub(crate) fn none() -> Ref {
    get(NONE, || heap::allocate_immortal(NoneObject::new()))
}

/// `False` or `True`.
pub(crate) fn bool(value: bool) -> Ref {
    get(if value { TRUE } else { FALSE }, || {
        heap::allocate_immortal(Bool::new(value))
    })
}

/// The type object.
pub(crate) fn type_object(id: TypeId) -> Ref {
    get(TYPES + id as usize, || {
        heap::allocate_immortal(Type::new(id))
    })
}

/// The built-in function.
pub(crate) fn builtin(id: BuiltinId) -> Ref {
    get(BUILTINS + id as usize, || {
        heap::allocate_immortal(Builtin::new(id as u32, id.entry()))
    })
}

/// The method of a built-in type with this number.
pub(crate) fn method(number: usize) -> Ref {
    get(METHODS + number, || methods::make(number))
}

/// The function of a module with this number.
pub(crate) fn module_function(number: usize) -> Ref {
    get(MODULE_FUNCTIONS + number, || {
        let entry = modules::entry(number);
        heap::allocate_immortal(Builtin::new(Builtin::OF_MODULE, entry))
    })
}

/// The string of one ASCII character, or `None` for a code point beyond ASCII.
pub(crate) fn ascii(code_point: u32) -> Option<Ref> {
    let byte = u8::try_from(code_point).ok().filter(u8::is_ascii)?;
    Some(get(ASCII + usize::from(byte), || {
        heap::allocate_immortal(Str::from_ascii_byte(byte))
    }))
}

fn get(index: usize, make: impl FnOnce() -> NonNull<Header>) -> Ref {
    OBJECTS.with(|objects| {
        let object = objects[index].get().unwrap_or_else(|| {
            heap::register_exit_guard();
            let object = make();
            objects[index].set(Some(object));
            object
        });
        // SAFETY: an immortal object lives as long as anybody refers to it (`release`).
        unsafe { Ref::clone(&Ref::borrow(object.as_ptr())) }
    })
}

/// Frees, at the end of the thread, the objects that nobody refers to any more. Those that a thread-local variable
/// still refers to, which may be dropped later, are left.
pub(crate) fn release() {
    OBJECTS.with(|objects| {
        for slot in objects {
            let Some(object) = slot.get() else { continue };
            // SAFETY: the object is alive; its count says that nobody refers to it, and it leaves the table first.
            unsafe {
                if object.as_ref().refcount.get() == IMMORTAL {
                    slot.set(None);
                    let size = heap::drop_contents(object);
                    heap::system_free(object.cast(), size);
                }
            }
        }
    });
}
