//! The contract with generated code: where the fields it reads and writes lie, in bytes, and the numbers it compares.
//!
//! Every offset is computed from the struct, so that code generators and this package cannot disagree.

use crate::builtin::{Builtin, BuiltinId};
use crate::call::{self, CallKind};
use crate::cell::Cell;
use crate::code::Code;
use crate::dict::{Dict, Entry};
use crate::float::Float;
use crate::frame::Frame;
use crate::function::Function;
use crate::instance::Instance;
use crate::int::Int;
use crate::iterator::{RangeIterator, SequenceIterator};
use crate::list::List;
use crate::method::Method;
use crate::method::MethodDescriptor;
use crate::module::Module;
use crate::object::{self, Header, Kind};
use crate::singleton::Bool;
use crate::str::{self, Str};
use crate::thread::ThreadState;
use crate::tuple::TupleStart;
use crate::types::{Type, TypeId};
use std::mem::offset_of;

macro_rules! kinds {
    ($($name:ident = $kind:ident),+ $(,)?) => {
        $(
            #[doc = concat!("The number of [`Kind::", stringify!($kind), "`] in a header.")]
            pub const $name: u32 = Kind::$kind as u32;
        )+

        const KINDS: &[(&str, u64)] = &[$((stringify!($name), $name as u64)),+];
    };
}

kinds! {
    KIND_NONE = None,
    KIND_BOOL = Bool,
    KIND_INT = Int,
    KIND_FLOAT = Float,
    KIND_STR = Str,
    KIND_LIST = List,
    KIND_TUPLE = Tuple,
    KIND_RANGE = Range,
    KIND_SLICE = Slice,
    KIND_RANGE_ITERATOR = RangeIterator,
    KIND_BIG_RANGE_ITERATOR = BigRangeIterator,
    KIND_LIST_ITERATOR = ListIterator,
    KIND_TUPLE_ITERATOR = TupleIterator,
    KIND_STR_ITERATOR = StrIterator,
    KIND_FUNCTION = Function,
    KIND_BUILTIN = Builtin,
    KIND_TYPE = Type,
    KIND_METHOD = Method,
    KIND_MODULE = Module,
    KIND_DICT = Dict,
    KIND_SET = Set,
    KIND_FROZEN_SET = FrozenSet,
}

macro_rules! offsets {
    ($($(#[$doc:meta])+ $name:ident = $layout:ty, $($field:ident).+;)+) => {
        $($(#[$doc])+ pub const $name: usize = offset_of!($layout, $($field).+);)+

        const OFFSETS: &[(&str, u64)] = &[$((stringify!($name), $name as u64)),+];
    };
}

offsets! {
    /// `u64`: the reference count.
    OBJECT_REFCOUNT = Header, refcount;
    /// `u32`: the kind, one of the `KIND_` numbers.
    OBJECT_KIND = Header, kind;
    /// `u32`: flags whose meaning depends on the kind.
    OBJECT_FLAGS = Header, flags;
    /// `i64`: the value of an int without [`FLAG_BIG`].
    INT_VALUE = Int, value;
    /// `f64`: the value of a float.
    FLOAT_VALUE = Float, value;
    /// `u64`: 0 or 1.
    BOOL_VALUE = Bool, value;
    /// `u64`: the length of a string in code points.
    STR_LENGTH = Str, length;
    /// Pointer to the units of a string; the flags say how wide they are.
    STR_DATA = Str, data;
    /// Pointer to the items of a list, never null ones.
    LIST_ITEMS = List, items;
    /// `u64`: the items of a list.
    LIST_LENGTH = List, length;
    /// `u64`: the items for which there is room.
    LIST_CAPACITY = List, capacity;
    /// Pointer to the entries of a dict, [`DICT_ENTRY_SIZE`] bytes each.
    DICT_ENTRIES = Dict, entries;
    /// `u64`: the entries of a dict, holes included.
    DICT_LENGTH = Dict, length;
    /// `u32`: the version of a dict's keys, or 0.
    DICT_VERSION = Dict, version;
    /// Pointer to the key of an entry, or null in a hole.
    DICT_ENTRY_KEY = Entry, key;
    /// Pointer to the value of an entry, or null in a hole.
    DICT_ENTRY_VALUE = Entry, value;
    /// `u64`: the items of a tuple.
    TUPLE_LENGTH = TupleStart, length;
    /// The items of a tuple, inline.
    TUPLE_ITEMS = TupleStart, items;
    /// `i64`: what the iterator gives next.
    RANGE_ITERATOR_NEXT = RangeIterator, next;
    /// `i64`: added each time.
    RANGE_ITERATOR_STEP = RangeIterator, step;
    /// `i64`: how many are left; none if not positive.
    RANGE_ITERATOR_REMAINING = RangeIterator, remaining;
    /// Pointer to the list, tuple or string of an iterator, or null once exhausted.
    ITERATOR_SEQUENCE = SequenceIterator, sequence;
    /// `i64`: the index of the next item.
    ITERATOR_INDEX = SequenceIterator, index;
    /// Pointer to a function's code object.
    FUNCTION_CODE = Function, code;
    /// Pointer to the dict of a function's global names.
    FUNCTION_GLOBALS = Function, globals;
    /// Pointer to the dict of the names that are looked for after those.
    FUNCTION_BUILTINS = Function, builtins;
    /// `u32`: what guards on a function compare; 0 matches none.
    FUNCTION_VERSION = Function, version;
    /// What the frames of a code object start with: a copy of the fields from [`FRAME_CODE`] up to
    /// [`FRAME_NAMESPACE`].
    CODE_FRAME_START = Code, frame_start;
    /// `u64`: the bytes of a frame of a code object, with all its slots.
    CODE_FRAME_SIZE = Code, frame_size;
    /// `u32`: the positional parameters of a code object.
    CODE_ARGUMENT_COUNT = Code, argument_count;
    /// Pointer to what is in a cell, or null.
    CELL_CONTENTS = Cell, contents;
    /// Pointer to the function of a bound method.
    METHOD_FUNCTION = Method, function;
    /// Pointer to what a method is bound to.
    METHOD_SELF = Method, instance;
    /// `u32`: the number of a built-in function, a [`BuiltinId`].
    BUILTIN_ID = Builtin, id;
    /// `u32`: the kind that the receiver of a method of a built-in type has.
    METHOD_RECEIVER = MethodDescriptor, receiver;
    /// Pointer to the class of an instance.
    INSTANCE_CLASS = Instance, class;
    /// Pointer to the `__dict__` of an instance, or null while it has none.
    INSTANCE_DICT = Instance, dict;
    /// `u32`: the values of an instance.
    INSTANCE_VALUE_COUNT = Instance, value_count;
    /// `u32`: how many values behind the slots are set.
    INSTANCE_ORDER_LENGTH = Instance, order_length;
    /// Which ones, in order: a byte each, the offset of the value divided by [`SLOT_SIZE`].
    INSTANCE_ORDER = Instance, order;
    /// The values of an instance, a pointer or null each, inline.
    INSTANCE_VALUES = Instance, values;
    /// Pointer to the guard record of a type, a `u32`.
    TYPE_GUARD = Type, guard;
    /// Pointer that changes with the inline attributes of a class.
    TYPE_KEYS = Type, keys;
    /// `u32`: which built-in type it is, a [`TypeId`].
    TYPE_ID = Type, id;
    /// Pointer to what a class of the program has beyond a built-in type, or null.
    TYPE_CLASS = Type, class;
    /// Pointer to the dict of a module.
    MODULE_DICT = Module, dict;
    /// Pointer to the caller's frame, or null.
    FRAME_PREVIOUS = Frame, previous;
    /// Pointer to the function that runs, or null.
    FRAME_FUNCTION = Frame, function;
    /// `u32`: the number of the code object.
    FRAME_CODE = Frame, code;
    /// `u32`: the bytecode offset that `_SET_IP` last set.
    FRAME_INSTRUCTION = Frame, instruction;
    /// `u32`: where the caller goes on, relative to its instruction.
    FRAME_RETURN_OFFSET = Frame, return_offset;
    /// `u32`: how many slots are locals.
    FRAME_LOCAL_COUNT = Frame, local_count;
    /// `u32`: how many slots there are, locals and stack.
    FRAME_CAPACITY = Frame, capacity;
    /// `u32`: whose memory it is.
    FRAME_OWNER = Frame, owner;
    /// Pointer to the dict of the names of a module's or class's code, or null.
    FRAME_NAMESPACE = Frame, namespace;
    /// Pointer to the slot above the top of the stack.
    FRAME_STACK_POINTER = Frame, stack_pointer;
    /// The locals, a pointer each, inline; the stack follows them.
    FRAME_LOCALS = Frame, slots;
    /// The part of the thread state that the runtime defines, `mimeo::executor::ThreadState`.
    THREAD_BASE = ThreadState, base;
    /// Pointer to `None`.
    THREAD_NONE = ThreadState, none;
    /// Pointers to `False` and `True`.
    THREAD_BOOLS = ThreadState, bools;
    /// `u32`: asks traces to leave when not zero; written by other threads.
    THREAD_INTERRUPT = ThreadState, interrupt;
    /// `u32`: how many calls may still be nested.
    THREAD_RECURSION_REMAINING = ThreadState, recursion_remaining;
    /// Pointer to the exception that is raised, or null.
    THREAD_ERROR = ThreadState, error;
    /// Pointer to the exception that is handled, or to `None`.
    THREAD_HANDLED = ThreadState, handled;
    /// Pointer to the class `AssertionError`.
    THREAD_ASSERTION_ERROR = ThreadState, assertion_error;
    /// Pointer to where the next frame of a call goes.
    THREAD_STACK_TOP = ThreadState, data_stack.top;
    /// Pointer to the end of the room for it.
    THREAD_STACK_LIMIT = ThreadState, data_stack.limit;
    /// `u32`: not 0 where calls must be left to whoever the trace leaves to.
    THREAD_EVAL_FRAME = ThreadState, eval_frame;
}

/// Flag of an int that does not fit an `i64`.
pub const FLAG_BIG: u32 = object::FLAG_BIG;
/// Flag of a string of ASCII characters only; its units are single bytes.
pub const FLAG_ASCII: u32 = str::FLAG_ASCII;
/// Flag of a string of two-byte units.
pub const FLAG_TWO_BYTES: u32 = str::FLAG_TWO_BYTES;
/// Flag of a string of four-byte units; without either the units are single bytes.
pub const FLAG_FOUR_BYTES: u32 = str::FLAG_FOUR_BYTES;

/// Flag of a built-in function and of a bound method of a built-in type; the lowest bits are the
/// [`CallKind`].
pub const FLAG_FUNCTION: u32 = call::FLAG_FUNCTION;
/// Flag of a method of a built-in type; the lowest bits are the [`CallKind`].
pub const FLAG_METHOD: u32 = call::FLAG_METHOD;

/// The smallest number of a class in the header of its instances, which is above the kinds of other objects.
pub const FIRST_CLASS: u32 = object::FIRST_CLASS;

/// The offset of the value of an instance that is the place of an attribute; see
/// [`Type::value_index`](crate::types::Type::value_index).
pub const fn instance_value(index: usize) -> usize {
    INSTANCE_VALUES + index * SLOT_SIZE
}

/// The bytes of a slot: a pointer.
pub const SLOT_SIZE: usize = size_of::<*mut Header>();
/// The bytes of an entry of a dict.
pub const DICT_ENTRY_SIZE: usize = size_of::<Entry>();
/// The bytes of a frame without its slots.
pub const FRAME_SIZE: usize = size_of::<Frame>();

/// The whole contract, names and numbers: what code that was made for other numbers cannot be used with.
pub fn contract() -> impl Iterator<Item = (&'static str, u64)> {
    let flags = [
        ("FLAG_BIG", FLAG_BIG),
        ("FLAG_ASCII", FLAG_ASCII),
        ("FLAG_TWO_BYTES", FLAG_TWO_BYTES),
        ("FLAG_FOUR_BYTES", FLAG_FOUR_BYTES),
        ("FLAG_FUNCTION", FLAG_FUNCTION),
        ("FLAG_METHOD", FLAG_METHOD),
        ("FIRST_CLASS", FIRST_CLASS),
    ];
    let sizes = [
        ("SLOT_SIZE", SLOT_SIZE),
        ("DICT_ENTRY_SIZE", DICT_ENTRY_SIZE),
        ("FRAME_SIZE", FRAME_SIZE),
    ];
    let calls = [
        ("NoArguments", CallKind::NoArguments),
        ("One", CallKind::One),
        ("Fast", CallKind::Fast),
        ("FastWithKeywords", CallKind::FastWithKeywords),
    ];
    let types = TypeId::ALL.iter().map(|&id| (id.name(), id as u64));
    let builtins = BuiltinId::ALL.iter().map(|&id| (id.name(), id as u64));
    KINDS
        .iter()
        .chain(OFFSETS)
        .copied()
        .chain(flags.map(|(name, flag)| (name, u64::from(flag))))
        .chain(sizes.map(|(name, size)| (name, size as u64)))
        .chain(calls.map(|(name, kind)| (name, kind as u64)))
        .chain(types)
        .chain(builtins)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Generated code that is checked in was made for these numbers.
    #[test]
    fn the_contract_does_not_change_by_accident() {
        assert_eq!((OBJECT_REFCOUNT, OBJECT_KIND, OBJECT_FLAGS), (0, 8, 12));
        assert_eq!((INT_VALUE, FLOAT_VALUE, BOOL_VALUE), (16, 16, 16));
        assert_eq!((STR_LENGTH, STR_DATA), (16, 24));
        assert_eq!((LIST_ITEMS, LIST_LENGTH, LIST_CAPACITY), (16, 24, 32));
        assert_eq!((TUPLE_LENGTH, TUPLE_ITEMS), (16, 24));
        assert_eq!((DICT_ENTRIES, DICT_LENGTH, DICT_VERSION), (16, 24, 40));
        assert_eq!(
            (DICT_ENTRY_KEY, DICT_ENTRY_VALUE, DICT_ENTRY_SIZE),
            (8, 16, 24)
        );
        assert_eq!(
            (
                RANGE_ITERATOR_NEXT,
                RANGE_ITERATOR_STEP,
                RANGE_ITERATOR_REMAINING
            ),
            (16, 24, 32)
        );
        assert_eq!((ITERATOR_SEQUENCE, ITERATOR_INDEX), (16, 24));
        assert_eq!((FUNCTION_CODE, BUILTIN_ID), (16, 16));
        assert_eq!(
            (
                FRAME_PREVIOUS,
                FRAME_FUNCTION,
                FRAME_CODE,
                FRAME_INSTRUCTION
            ),
            (0, 8, 16, 20)
        );
        assert_eq!(
            (FRAME_RETURN_OFFSET, FRAME_LOCAL_COUNT, FRAME_CAPACITY),
            (24, 28, 32)
        );
        assert_eq!(
            (FRAME_OWNER, FRAME_NAMESPACE, FRAME_STACK_POINTER),
            (36, 40, 48)
        );
        assert_eq!((FRAME_LOCALS, FRAME_SIZE), (56, 56));
        assert_eq!(
            (FUNCTION_GLOBALS, FUNCTION_BUILTINS, FUNCTION_VERSION),
            (24, 32, 48)
        );
        assert_eq!(
            (CODE_FRAME_START, CODE_FRAME_SIZE, CODE_ARGUMENT_COUNT),
            (16, 40, 48)
        );
        assert_eq!((CELL_CONTENTS, METHOD_FUNCTION, METHOD_SELF), (16, 16, 24));
        assert_eq!(
            (INSTANCE_CLASS, INSTANCE_DICT, INSTANCE_VALUE_COUNT),
            (16, 24, 32)
        );
        assert_eq!(
            (INSTANCE_ORDER_LENGTH, INSTANCE_ORDER, INSTANCE_VALUES),
            (36, 40, 72)
        );
        assert_eq!((TYPE_GUARD, TYPE_KEYS, MODULE_DICT), (16, 24, 16));
        assert_eq!((THREAD_BASE, THREAD_NONE, THREAD_BOOLS), (0, 32, 40));
        assert_eq!(
            (THREAD_INTERRUPT, THREAD_RECURSION_REMAINING, THREAD_ERROR),
            (56, 60, 64)
        );
        assert_eq!(
            (THREAD_STACK_TOP, THREAD_STACK_LIMIT, THREAD_EVAL_FRAME),
            (72, 80, 112)
        );
        assert_eq!(
            (KIND_NONE, KIND_BOOL, KIND_INT, KIND_FLOAT, KIND_STR),
            (1, 2, 3, 4, 5)
        );
        assert_eq!(
            (FLAG_BIG, FLAG_ASCII, FLAG_TWO_BYTES, FLAG_FOUR_BYTES),
            (1, 1, 2, 4)
        );
    }
}
