//! Helpers: the C functions that generated code calls, as thin wrappers of the safe operations.
//!
//! Every helper takes the thread state first. An object argument is *consumed* (the helper takes its reference over
//! and releases it, whether it succeeds or fails) or *borrowed* (the caller keeps it). An object that is returned is a
//! new reference; a null, or a negative number, says that `ThreadState::error` is set.
//!
//! # Safety
//! For every helper: `thread` is the state of the running thread, borrowed by nobody else; object pointers are
//! references to live objects of this thread, of the kinds that the helper asks for, and not null unless it says so;
//! arrays have as many elements as it says.

#![allow(unsafe_code)]

mod attributes;
mod exceptions;
mod frames;

pub use attributes::*;
pub use exceptions::*;
pub use frames::*;

use crate::builtin;
use crate::call;
use crate::compare::{self, Comparison};
use crate::construct::construct;
use crate::dict::Dict;
use crate::error::{PyError, Result};
use crate::float::Float;
use crate::format;
use crate::heap;
use crate::hooks::unless_hooked;
use crate::int;
use crate::iterator;
use crate::object::{Header, Ref, View};
use crate::ops::{self, BinaryOperator};
use crate::sequence;
use crate::set::Set;
use crate::spec;
use crate::str;
use crate::subscript;
use crate::thread::ThreadState;
use crate::tuple;
use crate::types::TypeId;
use std::ptr::{self, NonNull};

/// A pointer to an object.
type Object = *mut Header;
/// A pointer to the state of the running thread.
type Thread = *mut ThreadState;

/// A helper's name and address.
#[derive(Clone, Copy, Debug)]
pub struct HelperSymbol {
    /// The name by which generated code refers to it.
    pub name: &'static str,
    /// Where it is.
    pub address: *const u8,
}

// SAFETY: the address is that of a function, which any thread may know.
unsafe impl Sync for HelperSymbol {}

macro_rules! symbols {
    ($($name:ident),+ $(,)?) => {
        &[$(HelperSymbol { name: stringify!($name), address: $name as *const u8 }),+]
    };
}

/// Every helper, in alphabetical order.
pub fn symbols() -> &'static [HelperSymbol] {
    static SYMBOLS: &[HelperSymbol] = symbols![
        mimeo_binary_op,
        mimeo_bind_function,
        mimeo_build_const_key_map,
        mimeo_build_list,
        mimeo_build_map,
        mimeo_build_slice,
        mimeo_build_string,
        mimeo_build_tuple,
        mimeo_call,
        mimeo_call_method,
        mimeo_compare,
        mimeo_contains,
        mimeo_convert_value,
        mimeo_copy_free_variables,
        mimeo_dealloc,
        mimeo_delete_attribute,
        mimeo_delete_global,
        mimeo_delete_name,
        mimeo_delete_subscript,
        mimeo_dict_merge,
        mimeo_dict_store,
        mimeo_dict_subscript,
        mimeo_dict_update,
        mimeo_enter_function,
        mimeo_exception_matches,
        mimeo_exit_with,
        mimeo_fatal_error,
        mimeo_finish_store,
        mimeo_float_add,
        mimeo_float_multiply,
        mimeo_float_new,
        mimeo_float_subtract,
        mimeo_format_simple,
        mimeo_format_with_spec,
        mimeo_get_iter,
        mimeo_increment_counter,
        mimeo_int_add,
        mimeo_int_compare,
        mimeo_int_multiply,
        mimeo_int_new,
        mimeo_int_subtract,
        mimeo_intrinsic_1,
        mimeo_intrinsic_2,
        mimeo_is_instance,
        mimeo_iter_next,
        mimeo_leave_function,
        mimeo_length,
        mimeo_list_append,
        mimeo_list_extend,
        mimeo_load_attribute,
        mimeo_load_from_dict,
        mimeo_load_from_dict_or_cell,
        mimeo_load_global,
        mimeo_load_locals,
        mimeo_load_super_attribute,
        mimeo_make_cell,
        mimeo_make_function,
        mimeo_map_add,
        mimeo_match_class,
        mimeo_match_keys,
        mimeo_note_store,
        mimeo_raise_init_result,
        mimeo_raise_unbound_local,
        mimeo_release,
        mimeo_release_array,
        mimeo_set_add,
        mimeo_set_function_attribute,
        mimeo_set_up_annotations,
        mimeo_set_update,
        mimeo_slice,
        mimeo_store_attribute,
        mimeo_store_global,
        mimeo_store_name,
        mimeo_store_slice,
        mimeo_store_subscript,
        mimeo_str_concat,
        mimeo_str_equal,
        mimeo_str_item,
        mimeo_subscript,
        mimeo_to_bool,
        mimeo_truth,
        mimeo_tuple,
        mimeo_type_of,
        mimeo_unary_invert,
        mimeo_unary_negative,
        mimeo_unpack_extended,
        mimeo_unpack_sequence,
    ];
    SYMBOLS
}

/// The result as generated code takes it.
///
/// # Safety
/// `thread` is as the module says.
unsafe fn answer(thread: Thread, result: Result<Ref>) -> Object {
    match result {
        Ok(object) => object.into_raw(),
        // SAFETY: the caller's promise.
        Err(error) => unsafe {
            (*thread).raise(error);
            ptr::null_mut()
        },
    }
}

/// The outcome as generated code takes it: 0, or -1 for an error.
///
/// # Safety
/// `thread` is as the module says.
unsafe fn status(thread: Thread, result: Result<()>) -> i32 {
    match result {
        Ok(()) => 0,
        // SAFETY: the caller's promise.
        Err(error) => unsafe {
            (*thread).raise(error);
            -1
        },
    }
}

/// Takes over an array of references.
///
/// # Safety
/// There are `count` references, which the caller gives away.
unsafe fn take_items(items: *mut Object, count: u32) -> impl Iterator<Item = Ref> {
    // SAFETY: the caller's promise; each is read once.
    (0..count as usize).map(move |index| unsafe { Ref::from_raw(items.add(index).read()) })
}

/// Destroys an object whose reference count has just become 0.
///
/// # Safety
/// As the module says, except that `object` is no reference any more.
pub unsafe extern "C" fn mimeo_dealloc(_thread: Thread, object: Object) {
    // SAFETY: the module's contract.
    unsafe { heap::free(NonNull::new_unchecked(object)) }
}

/// Gives up a reference.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_release(_thread: Thread, object: Object) {
    // SAFETY: the module's contract.
    drop(unsafe { Ref::from_raw(object) });
}

/// Gives up references, of which any may be null.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_release_array(_thread: Thread, objects: *mut Object, count: u32) {
    for index in 0..count as usize {
        // SAFETY: the module's contract; each is read once.
        drop(unsafe { Ref::from_nullable(objects.add(index).read()) });
    }
}

/// A new int.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_int_new(_thread: Thread, value: i64) -> Object {
    Ref::int(value).into_raw()
}

/// A new float.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_float_new(_thread: Thread, value: f64) -> Object {
    Ref::float(value).into_raw()
}

/// # Safety
/// `a` and `b` are references to ints, which the caller gives away.
unsafe fn int_arithmetic<T>(
    a: Object,
    b: Object,
    operation: impl FnOnce(int::IntView<'_>, int::IntView<'_>) -> T,
) -> T {
    // SAFETY: the caller's promise.
    let (a, b) = unsafe { (Ref::from_raw(a), Ref::from_raw(b)) };
    let zero = int::IntView::Small(0);
    operation(a.as_int().unwrap_or(zero), b.as_int().unwrap_or(zero))
}

/// `a + b` of two ints, both consumed. Cannot fail.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_int_add(_thread: Thread, a: Object, b: Object) -> Object {
    // SAFETY: the module's contract.
    unsafe { int_arithmetic(a, b, int::add) }.into_raw()
}

/// `a - b` of two ints, both consumed. Cannot fail.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_int_subtract(_thread: Thread, a: Object, b: Object) -> Object {
    // SAFETY: the module's contract.
    unsafe { int_arithmetic(a, b, int::subtract) }.into_raw()
}

/// `a * b` of two ints, both consumed.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_int_multiply(thread: Thread, a: Object, b: Object) -> Object {
    // SAFETY: the module's contract.
    unsafe { answer(thread, int_arithmetic(a, b, int::multiply)) }
}

/// Calculates with two floats and puts the result into one that nobody else refers to, if there is one.
///
/// # Safety
/// `a` and `b` are references to floats, which the caller gives away.
unsafe fn float_arithmetic(a: Object, b: Object, operation: fn(f64, f64) -> f64) -> Object {
    // SAFETY: the caller's promise.
    let (mut a, mut b) = unsafe { (Ref::from_raw(a), Ref::from_raw(b)) };
    let value = |object: &Ref| object.downcast().map_or(f64::NAN, Float::value);
    let result = operation(value(&a), value(&b));
    for operand in [&mut a, &mut b] {
        if let Some(float) = operand.downcast_mut::<Float>() {
            float.value = result;
            return operand.clone().into_raw();
        }
    }
    Ref::float(result).into_raw()
}

/// `a + b` of two floats, both consumed. Cannot fail.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_float_add(_thread: Thread, a: Object, b: Object) -> Object {
    // SAFETY: the module's contract.
    unsafe { float_arithmetic(a, b, |a, b| a + b) }
}

/// `a - b` of two floats, both consumed. Cannot fail.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_float_subtract(_thread: Thread, a: Object, b: Object) -> Object {
    // SAFETY: the module's contract.
    unsafe { float_arithmetic(a, b, |a, b| a - b) }
}

/// `a * b` of two floats, both consumed. Cannot fail.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_float_multiply(_thread: Thread, a: Object, b: Object) -> Object {
    // SAFETY: the module's contract.
    unsafe { float_arithmetic(a, b, |a, b| a * b) }
}

/// The operator that CPython's `BINARY_OP` has under this oparg, 0..=25, applied to `a` and `b`, both consumed.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_binary_op(
    thread: Thread,
    a: Object,
    b: Object,
    oparg: u32,
) -> Object {
    // SAFETY: the module's contract.
    unsafe {
        let (a, b) = (Ref::from_raw(a), Ref::from_raw(b));
        let operator = BinaryOperator::from_oparg(oparg);
        let operator = operator.ok_or_else(|| unknown("binary operator", oparg));
        answer(
            thread,
            operator.and_then(|(op, in_place)| ops::binary_owned(op, in_place, a, b)),
        )
    }
}

/// `-a`, consumed.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_unary_negative(thread: Thread, a: Object) -> Object {
    // SAFETY: the module's contract.
    unsafe { answer(thread, ops::negative(&Ref::from_raw(a))) }
}

/// `~a`, consumed.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_unary_invert(thread: Thread, a: Object) -> Object {
    // SAFETY: the module's contract.
    unsafe { answer(thread, ops::invert(&Ref::from_raw(a))) }
}

/// The comparison that CPython 3.13's `COMPARE_OP` has under this oparg, as a bool; both operands are consumed.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_compare(thread: Thread, a: Object, b: Object, oparg: u32) -> Object {
    // SAFETY: the module's contract.
    unsafe {
        let (a, b) = (Ref::from_raw(a), Ref::from_raw(b));
        let comparison = Comparison::from_oparg(oparg);
        let comparison = comparison.ok_or_else(|| unknown("comparison", oparg));
        let result = comparison.and_then(|comparison| compare::compare(comparison, &a, &b));
        answer(thread, result.map(Ref::bool))
    }
}

/// The order of two ints, both borrowed: -1, 0 or 1. Cannot fail.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_int_compare(_thread: Thread, a: Object, b: Object) -> i32 {
    // SAFETY: the module's contract.
    let (a, b) = unsafe { (Ref::borrow(a), Ref::borrow(b)) };
    match (a.as_int(), b.as_int()) {
        (Some(a), Some(b)) => a.compare(b) as i32,
        _ => 0,
    }
}

/// Whether two strings, both borrowed, are equal: 0 or 1. Cannot fail.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_str_equal(_thread: Thread, a: Object, b: Object) -> u64 {
    // SAFETY: the module's contract.
    let (a, b) = unsafe { (Ref::borrow(a), Ref::borrow(b)) };
    match (a.view(), b.view()) {
        (View::Str(a), View::Str(b)) => u64::from(a.units() == b.units()),
        _ => 0,
    }
}

/// `bool(a)`, borrowed: 0 or 1, or -1 for an error.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_truth(thread: Thread, a: Object) -> i32 {
    // SAFETY: the module's contract.
    unsafe {
        let truth = ops::truth(&Ref::borrow(a));
        let mut answer = 0;
        let failed = status(thread, truth.map(|truth| answer = i32::from(truth)));
        failed | answer
    }
}

/// `bool(a)`, consumed.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_to_bool(thread: Thread, a: Object) -> Object {
    // SAFETY: the module's contract.
    unsafe { answer(thread, ops::truth(&Ref::from_raw(a)).map(Ref::bool)) }
}

/// `item in container`, or `not in` if `invert` is not 0; both are consumed.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_contains(
    thread: Thread,
    item: Object,
    container: Object,
    invert: u32,
) -> Object {
    // SAFETY: the module's contract.
    unsafe {
        let (item, container) = (Ref::from_raw(item), Ref::from_raw(container));
        let found = sequence::contains(&container, &item);
        answer(thread, found.map(|found| Ref::bool(found != (invert != 0))))
    }
}

/// `a + b` of two strings, both consumed. `a` grows in place if nobody else refers to it.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_str_concat(thread: Thread, a: Object, b: Object) -> Object {
    // SAFETY: the module's contract.
    unsafe { answer(thread, str::concat(Ref::from_raw(a), Ref::from_raw(b))) }
}

/// `string[index]`; the string is borrowed, the index within it. An index that is not raises `IndexError`.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_str_item(thread: Thread, string: Object, index: i64) -> Object {
    // SAFETY: the module's contract.
    unsafe {
        let string = Ref::borrow(string);
        let item = match string.view() {
            View::Str(string) => subscript::str_item(string, index),
            _ => None,
        };
        answer(
            thread,
            item.ok_or_else(|| PyError::index("string index out of range")),
        )
    }
}

/// `container[index]`, both consumed.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_subscript(
    thread: Thread,
    container: Object,
    index: Object,
) -> Object {
    // SAFETY: the module's contract.
    unsafe {
        answer(
            thread,
            subscript::get(&Ref::from_raw(container), &Ref::from_raw(index)),
        )
    }
}

/// `container[index] = value`, all consumed: 0, or -1 for an error.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_store_subscript(
    thread: Thread,
    value: Object,
    container: Object,
    index: Object,
) -> i32 {
    // SAFETY: the module's contract.
    unsafe {
        let (container, index) = (Ref::from_raw(container), Ref::from_raw(index));
        status(
            thread,
            subscript::set(&container, &index, Ref::from_raw(value)),
        )
    }
}

/// `del container[index]`, both consumed: 0, or -1 for an error.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_delete_subscript(
    thread: Thread,
    container: Object,
    index: Object,
) -> i32 {
    // SAFETY: the module's contract.
    unsafe {
        status(
            thread,
            subscript::delete(&Ref::from_raw(container), &Ref::from_raw(index)),
        )
    }
}

/// `container[start:stop]`, all consumed.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_slice(
    thread: Thread,
    container: Object,
    start: Object,
    stop: Object,
) -> Object {
    // SAFETY: the module's contract.
    unsafe {
        let container = Ref::from_raw(container);
        let slice = Ref::slice(Ref::from_raw(start), Ref::from_raw(stop), Ref::none());
        answer(thread, subscript::get(&container, &slice))
    }
}

/// `container[start:stop] = value`, all consumed: 0, or -1 for an error.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_store_slice(
    thread: Thread,
    value: Object,
    container: Object,
    start: Object,
    stop: Object,
) -> i32 {
    // SAFETY: the module's contract.
    unsafe {
        let container = Ref::from_raw(container);
        let slice = Ref::slice(Ref::from_raw(start), Ref::from_raw(stop), Ref::none());
        status(
            thread,
            subscript::set(&container, &slice, Ref::from_raw(value)),
        )
    }
}

/// A tuple of the items, which are consumed. Cannot fail.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_build_tuple(
    _thread: Thread,
    items: *mut Object,
    count: u32,
) -> Object {
    // SAFETY: the module's contract.
    let mut items = unsafe { take_items(items, count) };
    tuple::from_fn(count as usize, || items.next()).into_raw()
}

/// A list of the items, which are consumed. Cannot fail.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_build_list(
    _thread: Thread,
    items: *mut Object,
    count: u32,
) -> Object {
    // SAFETY: the module's contract.
    Ref::list(unsafe { take_items(items, count) }.collect()).into_raw()
}

/// The concatenation of the items, strings that are consumed.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_build_string(
    thread: Thread,
    items: *mut Object,
    count: u32,
) -> Object {
    // SAFETY: the module's contract.
    unsafe {
        let items: Vec<Ref> = take_items(items, count).collect();
        answer(thread, str::join(&items))
    }
}

/// A slice of the items, two or three that are consumed. Cannot fail.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_build_slice(
    _thread: Thread,
    items: *mut Object,
    count: u32,
) -> Object {
    // SAFETY: the module's contract.
    let mut items = unsafe { take_items(items, count) };
    let [start, stop, step] = [(); 3].map(|()| items.next().unwrap_or_else(Ref::none));
    Ref::slice(start, stop, step).into_raw()
}

/// `list.append(item)`; the list is borrowed, the item consumed: 0, or -1 for an error.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_list_append(thread: Thread, list: Object, item: Object) -> i32 {
    // SAFETY: the module's contract.
    unsafe {
        let (list, item) = (Ref::borrow(list), Ref::from_raw(item));
        let appended = match list.view() {
            View::List(list) => sequence::append(list, item),
            _ => Err(PyError::type_error(
                "append to an object that is not a list",
            )),
        };
        status(thread, appended)
    }
}

/// `list.extend(items)`; the list is borrowed, the iterable consumed: 0, or -1 for an error.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_list_extend(thread: Thread, list: Object, items: Object) -> i32 {
    // SAFETY: the module's contract.
    unsafe {
        let (list, items) = (Ref::borrow(list), Ref::from_raw(items));
        let extended = match list.view() {
            View::List(list) => {
                sequence::extend(list, &items).map_err(|error| starred(error, &items))
            }
            _ => Err(PyError::type_error(
                "extension of an object that is not a list",
            )),
        };
        status(thread, extended)
    }
}

/// What Python says of a starred item of a list display that is not iterable.
fn starred(error: PyError, items: &Ref) -> PyError {
    let name = items.type_name();
    if error.message == format!("'{name}' object is not iterable") {
        return PyError::type_error(format!("Value after * must be an iterable, not {name}"));
    }
    error
}

/// Unpacks an iterable, which is consumed, into `count` slots, of which the last gets the first item: 0, or -1 for an
/// error, when nothing is written.
///
/// # Safety
/// As the module says; `slots` has room for `count` objects.
pub unsafe extern "C" fn mimeo_unpack_sequence(
    thread: Thread,
    iterable: Object,
    count: u32,
    slots: *mut Object,
) -> i32 {
    // SAFETY: the module's contract.
    unsafe {
        let unpacked = sequence::unpack(&Ref::from_raw(iterable), count as usize);
        let written = unpacked.map(|items| {
            for (index, item) in items.into_iter().rev().enumerate() {
                slots.add(index).write(item.into_raw());
            }
        });
        status(thread, written)
    }
}

/// Unpacks an iterable, which is consumed, into `count + 1` slots, of which the last gets the first item: `before`
/// items, a list, and `count - before` items of the end. 0, or -1 for an error, when nothing is written.
///
/// # Safety
/// As the module says; `slots` has room for `count + 1` objects.
pub unsafe extern "C" fn mimeo_unpack_extended(
    thread: Thread,
    iterable: Object,
    count: u32,
    before: u32,
    slots: *mut Object,
) -> i32 {
    // SAFETY: the module's contract.
    unsafe {
        let iterable = Ref::from_raw(iterable);
        let after = count.checked_sub(before);
        let after = after.ok_or_else(|| unknown("unpacking", before));
        let unpacked = after.and_then(|after| {
            sequence::unpack_extended(&iterable, before as usize, after as usize)
        });
        let written = unpacked.map(|items| {
            for (index, item) in items.into_iter().rev().enumerate() {
                slots.add(index).write(item.into_raw());
            }
        });
        status(thread, written)
    }
}

/// `dict[key]`, both consumed.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_dict_subscript(thread: Thread, dict: Object, key: Object) -> Object {
    // SAFETY: the module's contract.
    unsafe {
        let (dict, key) = (Ref::from_raw(dict), Ref::from_raw(key));
        answer(
            thread,
            as_dict(&dict).and_then(|dict| dict.get(&key)?.ok_or_else(|| PyError::key(&key))),
        )
    }
}

/// `dict[key] = value`, all consumed: 0, or -1 for an error.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_dict_store(
    thread: Thread,
    value: Object,
    dict: Object,
    key: Object,
) -> i32 {
    // SAFETY: the module's contract.
    unsafe {
        let (dict, key) = (Ref::from_raw(dict), Ref::from_raw(key));
        let value = Ref::from_raw(value);
        status(
            thread,
            as_dict(&dict).and_then(|dict| dict.insert(key, value)),
        )
    }
}

/// `dict[key] = value`; the dict is borrowed, the others are consumed: 0, or -1 for an error.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_map_add(
    thread: Thread,
    dict: Object,
    key: Object,
    value: Object,
) -> i32 {
    // SAFETY: the module's contract.
    unsafe {
        let dict = Ref::borrow(dict);
        let (key, value) = (Ref::from_raw(key), Ref::from_raw(value));
        status(
            thread,
            as_dict(&dict).and_then(|dict| dict.insert(key, value)),
        )
    }
}

/// A dict of `count` pairs of a key and a value, which are consumed.
///
/// # Safety
/// As the module says; there are twice as many items.
pub unsafe extern "C" fn mimeo_build_map(thread: Thread, items: *mut Object, count: u32) -> Object {
    // SAFETY: the module's contract.
    unsafe {
        let items: Vec<Ref> = take_items(items, count.saturating_mul(2)).collect();
        let (pairs, _) = items.as_chunks();
        answer(
            thread,
            Ref::dict_of(pairs.iter().cloned().map(|[key, value]| (key, value))),
        )
    }
}

/// A dict of `count` values, which a tuple of their keys follows; all are consumed.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_build_const_key_map(
    thread: Thread,
    items: *mut Object,
    count: u32,
) -> Object {
    // SAFETY: the module's contract.
    unsafe {
        let values: Vec<Ref> = take_items(items, count).collect();
        let keys = Ref::from_raw(items.add(count as usize).read());
        let made = match keys.view() {
            View::Tuple(keys) => Ref::dict_of(keys.items().iter().cloned().zip(values)),
            _ => Err(PyError::type_error("keys that are not a tuple")),
        };
        answer(thread, made)
    }
}

/// Adds the items of a mapping, which is consumed, to a dict, which is borrowed: 0, or -1 for an error.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_dict_update(thread: Thread, dict: Object, update: Object) -> i32 {
    // SAFETY: the module's contract.
    unsafe {
        let (dict, update) = (Ref::borrow(dict), Ref::from_raw(update));
        let updated = as_dict(&dict).and_then(|dict| match update.view() {
            View::Dict(update) => dict.merge(update),
            _ => {
                let message = format!("'{}' object is not a mapping", update.type_name());
                let error = PyError::type_error(message);
                Err(unless_hooked(&update, &["keys"], error))
            }
        });
        status(thread, updated)
    }
}

/// Adds keyword arguments, a mapping that is consumed, to the dict of those of a call; that and what is called are
/// borrowed: 0, or -1 for an error.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_dict_merge(
    thread: Thread,
    callable: Object,
    dict: Object,
    update: Object,
) -> i32 {
    // SAFETY: the module's contract.
    unsafe {
        let (callable, dict) = (Ref::borrow(callable), Ref::borrow(dict));
        let update = Ref::from_raw(update);
        let merged = as_dict(&dict).and_then(|dict| call::merge_keywords(&callable, dict, &update));
        status(thread, merged)
    }
}

/// `set.add(item)`; the set is borrowed, the item consumed: 0, or -1 for an error.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_set_add(thread: Thread, set: Object, item: Object) -> i32 {
    // SAFETY: the module's contract.
    unsafe {
        let (set, item) = (Ref::borrow(set), Ref::from_raw(item));
        status(
            thread,
            as_set(&set).and_then(|set| set.add(item).map(|_| ())),
        )
    }
}

/// `set.update(items)`; the set is borrowed, the iterable consumed: 0, or -1 for an error.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_set_update(thread: Thread, set: Object, items: Object) -> i32 {
    // SAFETY: the module's contract.
    unsafe {
        let (set, items) = (Ref::borrow(set), Ref::from_raw(items));
        status(thread, as_set(&set).and_then(|set| set.update(&items)))
    }
}

fn as_dict(object: &Ref) -> Result<&Dict> {
    object
        .downcast()
        .ok_or_else(|| PyError::type_error("a dict operation on an object that is not one"))
}

fn as_set(object: &Ref) -> Result<&Set> {
    object
        .downcast()
        .ok_or_else(|| PyError::type_error("a set operation on an object that is not one"))
}

/// `iter(a)`, consumed.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_get_iter(thread: Thread, a: Object) -> Object {
    // SAFETY: the module's contract.
    unsafe { answer(thread, iterator::iterate(&Ref::from_raw(a))) }
}

/// The next item of an iterator, which is borrowed. A null without an error says that it is exhausted.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_iter_next(thread: Thread, iterator: Object) -> Object {
    // SAFETY: the module's contract.
    unsafe {
        match iterator::next(&Ref::borrow(iterator)) {
            Ok(item) => item.map_or(ptr::null_mut(), Ref::into_raw),
            Err(error) => answer(thread, Err(error)),
        }
    }
}

/// `len(a)`, borrowed, as an object.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_length(thread: Thread, a: Object) -> Object {
    // SAFETY: the module's contract.
    unsafe { answer(thread, iterator::length(&Ref::borrow(a))) }
}

/// `callable(self, *arguments)`, or without `self` where it is null. `operands` are the callable, `self` and `count`
/// arguments; everything is consumed.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_call(thread: Thread, operands: *mut Object, count: u32) -> Object {
    // SAFETY: the module's contract.
    unsafe {
        let callable = Ref::from_raw(operands.read());
        let arguments = Arguments::take(operands, count);
        answer(thread, call::call(&callable, arguments.as_slice()))
    }
}

/// As [`mimeo_call`], of a method of a built-in type whose first argument is an object of that type, and whose
/// number of arguments was checked if the kind of call says it.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_call_method(
    thread: Thread,
    operands: *mut Object,
    count: u32,
) -> Object {
    // SAFETY: the module's contract.
    unsafe {
        // The method is immortal: its references are not counted.
        let method = Ref::borrow(operands.read());
        let arguments = Arguments::take(operands, count);
        let result = match (method.view(), arguments.as_slice()) {
            (View::MethodDescriptor(method), [receiver, others @ ..]) => {
                method.invoke_checked(receiver, others)
            }
            (_, arguments) => call::call(&method, arguments),
        };
        answer(thread, result)
    }
}

/// `isinstance(object, class)`: 0 or 1, or -1 for an error. Both are borrowed.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_is_instance(thread: Thread, object: Object, class: Object) -> i32 {
    // SAFETY: the module's contract.
    unsafe {
        let (object, class) = (Ref::borrow(object), Ref::borrow(class));
        match builtin::is_instance(&object, &class) {
            Ok(holds) => i32::from(holds),
            Err(error) => status(thread, Err(error)),
        }
    }
}

/// The type of an object, which is consumed. Cannot fail.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_type_of(_thread: Thread, object: Object) -> Object {
    // SAFETY: the module's contract.
    let object = unsafe { Ref::from_raw(object) };
    Ref::type_object(object.type_id()).into_raw()
}

/// `tuple(a)`, consumed.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_tuple(thread: Thread, a: Object) -> Object {
    // SAFETY: the module's contract.
    unsafe {
        let arguments = [Ref::from_raw(a)];
        answer(thread, construct(TypeId::Tuple, &arguments))
    }
}

/// `format(value, specification)`, both consumed.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_format_with_spec(
    thread: Thread,
    value: Object,
    specification: Object,
) -> Object {
    // SAFETY: the module's contract.
    unsafe {
        let (value, specification) = (Ref::from_raw(value), Ref::from_raw(specification));
        answer(thread, spec::format_object(&value, &specification))
    }
}

/// The arguments of a call, taken over from the stack, where they stay until the call is over.
struct Arguments {
    first: *mut Ref,
    count: usize,
}

impl Arguments {
    /// # Safety
    /// `operands` are a callable, a reference that may be null, and `count` references, of which the caller gives all
    /// but the first away. Nobody else uses that memory as long as the result lives.
    unsafe fn take(operands: *mut Object, count: u32) -> Self {
        // SAFETY: the caller's promise.
        let has_self = unsafe { !operands.add(1).read().is_null() };
        let skipped = if has_self { 1 } else { 2 };
        Self {
            first: operands.wrapping_add(skipped).cast(),
            count: count as usize + usize::from(has_self),
        }
    }

    fn as_slice(&self) -> &[Ref] {
        // SAFETY: `take`; a reference is a pointer that is not null, and what comes first is not.
        unsafe { std::slice::from_raw_parts(self.first, self.count) }
    }
}

impl Drop for Arguments {
    fn drop(&mut self) {
        // SAFETY: `take`; each is dropped once.
        unsafe { ptr::slice_from_raw_parts_mut(self.first, self.count).drop_in_place() }
    }
}

/// An f-string's `{a}`, consumed.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_format_simple(thread: Thread, a: Object) -> Object {
    // SAFETY: the module's contract.
    unsafe { answer(thread, format::simple(&Ref::from_raw(a))) }
}

/// The conversion that CPython's `CONVERT_VALUE` has under this oparg: 1 `str`, 2 `repr`, 3 `ascii`; `a` is consumed.
///
/// # Safety
/// As the module says.
pub unsafe extern "C" fn mimeo_convert_value(thread: Thread, a: Object, oparg: u32) -> Object {
    // SAFETY: the module's contract.
    unsafe {
        let a = Ref::from_raw(a);
        let converted = match oparg {
            1 => format::str(&a),
            2 => format::repr(&a),
            3 => format::ascii(&a),
            _ => Err(unknown("conversion", oparg)),
        };
        answer(thread, converted)
    }
}

/// The error of a number that the helper does not know: the fault of whoever made the trace.
fn unknown(what: &str, oparg: u32) -> PyError {
    PyError::not_supported(format_args!("{what} {oparg}"))
}
