//! Objects: the header that every object starts with, the kinds of object, the owned reference to one, and the view
//! that says which it is.
//!
//! An object belongs to the thread that made it. Its reference count is a plain integer, so [`Ref`] is neither `Send`
//! nor `Sync`. Cycles of references are never freed: what lists, dicts, sets, cells, instances or classes of a
//! program lead back to themselves stays until the process ends.

#![allow(unsafe_code)]

use crate::builtin::Builtin;
use crate::float::Float;
use crate::function::Function;
use crate::heap;
use crate::int::{BigInteger, Int, IntView};
use crate::iterator::{BigRangeIterator, RangeIterator, SequenceIterator};
use crate::list::List;
use crate::range::Range;
use crate::singleton::{Bool, NoneObject};
use crate::slice::Slice;
use crate::str::Str;
use crate::tuple::Tuple;
use crate::types::Type;
use std::cell::Cell;
use std::fmt;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

/// What an object is. The numbers are part of the contract with generated code.
///
/// Zero is not a kind, so that zeroed memory is not an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum Kind {
    /// `None`.
    None = 1,
    /// `False` and `True`.
    Bool = 2,
    /// `int`, of one machine word or, with [`FLAG_BIG`], of any size.
    Int = 3,
    /// `float`.
    Float = 4,
    /// `str`.
    Str = 5,
    /// `list`.
    List = 6,
    /// `tuple`.
    Tuple = 7,
    /// `range`.
    Range = 8,
    /// `slice`.
    Slice = 9,
    /// `range_iterator`: start, step and end fit a machine word.
    RangeIterator = 10,
    /// `longrange_iterator`: the others.
    BigRangeIterator = 11,
    /// `list_iterator`.
    ListIterator = 12,
    /// `tuple_iterator`.
    TupleIterator = 13,
    /// `str_ascii_iterator` and `str_iterator`.
    StrIterator = 14,
    /// A function of the program.
    Function = 15,
    /// A built-in function.
    Builtin = 16,
    /// A type: built in, or a class of the program.
    Type = 17,
    /// `dict`.
    Dict = 18,
    /// `set`.
    Set = 19,
    /// `frozenset`.
    FrozenSet = 20,
    /// `dict_keys`, `dict_values` and `dict_items`.
    DictView = 21,
    /// An iterator over the keys, values or items of a dict.
    DictIterator = 22,
    /// `set_iterator`.
    SetIterator = 23,
    /// `enumerate`.
    Enumerate = 24,
    /// `zip`.
    Zip = 25,
    /// `reversed` and the reverse iterators.
    Reversed = 26,
    /// `map`.
    Map = 27,
    /// `filter`.
    Filter = 28,
    /// `bytes`.
    Bytes = 29,
    /// A code object.
    Code = 30,
    /// `cell`.
    Cell = 31,
    /// A bound method of the program.
    Method = 32,
    /// A method of a built-in type, not bound.
    MethodDescriptor = 33,
    /// A method of a built-in type, bound to an object.
    BoundBuiltin = 34,
    /// `module`.
    Module = 35,
    /// An exception.
    Exception = 36,
    /// `property`.
    Property = 37,
    /// `classmethod`.
    ClassMethod = 38,
    /// `staticmethod`.
    StaticMethod = 39,
    /// An instance of a class of the program. Its header holds the number of the class instead, from here up.
    Instance = FIRST_CLASS,
}

impl Kind {
    /// Every kind but [`Instance`](Self::Instance), in the order of the numbers.
    pub const ALL: [Self; 39] = [
        Self::None,
        Self::Bool,
        Self::Int,
        Self::Float,
        Self::Str,
        Self::List,
        Self::Tuple,
        Self::Range,
        Self::Slice,
        Self::RangeIterator,
        Self::BigRangeIterator,
        Self::ListIterator,
        Self::TupleIterator,
        Self::StrIterator,
        Self::Function,
        Self::Builtin,
        Self::Type,
        Self::Dict,
        Self::Set,
        Self::FrozenSet,
        Self::DictView,
        Self::DictIterator,
        Self::SetIterator,
        Self::Enumerate,
        Self::Zip,
        Self::Reversed,
        Self::Map,
        Self::Filter,
        Self::Bytes,
        Self::Code,
        Self::Cell,
        Self::Method,
        Self::MethodDescriptor,
        Self::BoundBuiltin,
        Self::Module,
        Self::Exception,
        Self::Property,
        Self::ClassMethod,
        Self::StaticMethod,
    ];

    /// The kind that this number in a header says.
    pub(crate) fn of_number(number: u32) -> Self {
        if number >= FIRST_CLASS {
            return Self::Instance;
        }
        // An object is only made with one of these numbers, starting with 1.
        Self::ALL[number as usize - 1]
    }
}

/// The smallest number of a class of the program; instances have their class's number where other objects have their
/// kind, so that one comparison tells whether an object is of a class.
pub const FIRST_CLASS: u32 = 4096;

/// Flag of an int that does not fit an `i64`.
pub const FLAG_BIG: u32 = 1;

/// The kind that freed memory has in debug builds, so that a second release is noticed.
pub(crate) const FREED: u32 = u32::MAX;

/// The reference count that immortal objects start with: far from zero and from overflow whatever a program does,
/// so that no code tests for immortality.
pub const IMMORTAL: u64 = 1 << 62;

/// What every object starts with (16 bytes).
#[derive(Debug)]
#[repr(C)]
pub struct Header {
    pub(crate) refcount: Cell<u64>,
    pub(crate) kind: Cell<u32>,
    pub(crate) flags: Cell<u32>,
}

impl Header {
    /// The header of an object that is not shared yet.
    pub(crate) const fn new(kind: Kind, flags: u32) -> Self {
        Self {
            refcount: Cell::new(1),
            kind: Cell::new(kind as u32),
            flags: Cell::new(flags),
        }
    }
}

/// A struct that [`heap::allocate`] may turn into an object.
///
/// # Safety
/// The struct is `repr(C)`, starts with a [`Header`] and is aligned to 8 bytes. A header whose kind is one of `KINDS`
/// and whose [`FLAG_BIG`] equals `BIG` starts only such structs. Dropping the struct releases what it owns.
pub(crate) unsafe trait Object {
    /// The kinds this struct is the layout of.
    const KINDS: &'static [Kind];
    /// Whether this is the layout with [`FLAG_BIG`]; only meaningful for ints.
    const BIG: bool = false;
}

macro_rules! objects {
    ($($layout:ty: $($kind:ident),+;)+) => {
        $(
            // SAFETY: the struct is declared `repr(C)` with the header first, and `view` casts by exactly this table.
            unsafe impl Object for $layout {
                const KINDS: &'static [Kind] = &[$(Kind::$kind),+];
            }
        )+
    };
}

objects! {
    NoneObject: None;
    Bool: Bool;
    Int: Int;
    Float: Float;
    Str: Str;
    List: List;
    Range: Range;
    Slice: Slice;
    RangeIterator: RangeIterator;
    BigRangeIterator: BigRangeIterator;
    SequenceIterator: ListIterator, TupleIterator, StrIterator;
    Function: Function;
    Builtin: Builtin;
    Type: Type;
    crate::dict::Dict: Dict;
    crate::set::Set: Set, FrozenSet;
    crate::dict::DictView: DictView;
    crate::dict::DictIterator: DictIterator;
    crate::set::SetIterator: SetIterator;
    crate::adapters::Enumerate: Enumerate;
    crate::adapters::Zip: Zip;
    crate::adapters::Reversed: Reversed;
    crate::adapters::Map: Map;
    crate::adapters::Filter: Filter;
    crate::bytes::Bytes: Bytes;
    crate::code::Code: Code;
    crate::cell::Cell: Cell;
    crate::method::Method: Method;
    crate::method::MethodDescriptor: MethodDescriptor;
    crate::method::BoundBuiltin: BoundBuiltin;
    crate::module::Module: Module;
    crate::exception::Exception: Exception;
    crate::descriptor::Property: Property;
    crate::descriptor::ClassMethod: ClassMethod;
    crate::descriptor::StaticMethod: StaticMethod;
    crate::instance::Instance: Instance;
}

// SAFETY: the struct is declared `repr(C)` with the header first, and `view` tests the flag.
unsafe impl Object for BigInteger {
    const KINDS: &'static [Kind] = &[Kind::Int];
    const BIG: bool = true;
}

/// An owned reference to an object: cloning counts one up, dropping one down.
///
/// It is a non-null pointer, and `Option<Ref>` a pointer that may be null: slices of either can be handed to generated
/// code.
#[repr(transparent)]
pub struct Ref(NonNull<Header>);

impl Ref {
    /// The object's address; the reference stays owned by `self`.
    pub fn as_ptr(&self) -> *mut Header {
        self.0.as_ptr()
    }

    /// The object's address; whoever receives it owns the reference.
    #[must_use]
    pub fn into_raw(self) -> *mut Header {
        ManuallyDrop::new(self).0.as_ptr()
    }

    /// Takes over a reference.
    ///
    /// # Safety
    /// `object` points to a live object of this thread, and the caller gives one reference away.
    pub unsafe fn from_raw(object: *mut Header) -> Self {
        debug_assert!(!object.is_null());
        // SAFETY: the caller says that it points to an object.
        Self(unsafe { NonNull::new_unchecked(object) })
    }

    /// Takes over a reference that may be null.
    ///
    /// # Safety
    /// As [`from_raw`](Self::from_raw) unless `object` is null.
    pub unsafe fn from_nullable(object: *mut Header) -> Option<Self> {
        NonNull::new(object).map(Self)
    }

    /// Uses an object without taking part in its reference count.
    ///
    /// # Safety
    /// `object` points to an object of this thread that stays alive as long as the result is used.
    pub unsafe fn borrow(object: *mut Header) -> ManuallyDrop<Self> {
        // SAFETY: the caller's promise; no reference is given away, since the result is never dropped.
        ManuallyDrop::new(unsafe { Self::from_raw(object) })
    }

    /// Whether both are the same object: Python's `is`.
    pub fn is(&self, other: &Self) -> bool {
        self.0 == other.0
    }

    /// What the object is.
    pub fn kind(&self) -> Kind {
        let number = self.header().kind.get();
        debug_assert_ne!(number, FREED, "use of a freed object");
        Kind::of_number(number)
    }

    /// How many references there are.
    pub fn refcount(&self) -> u64 {
        self.header().refcount.get()
    }

    /// Whether this is the only reference, so that nobody notices when the object changes.
    pub(crate) fn is_unique(&self) -> bool {
        self.refcount() == 1
    }

    pub(crate) fn header(&self) -> &Header {
        // SAFETY: a reference keeps its object alive.
        unsafe { self.0.as_ref() }
    }

    /// The object as the struct that it is, or `None` if it is another.
    pub(crate) fn downcast<T: Object>(&self) -> Option<&T> {
        let header = self.header();
        let is_big = header.flags.get() & FLAG_BIG != 0;
        let found = Kind::of_number(header.kind.get());
        let fits = T::KINDS.contains(&found) && (T::KINDS[0] != Kind::Int || is_big == T::BIG);
        // SAFETY: `Object` ties kind and flag to the struct; the reference keeps it alive.
        fits.then(|| unsafe { self.cast() })
    }

    /// The object as the struct that it is, for changing it in place, if nobody else refers to it.
    pub(crate) fn downcast_mut<T: Object>(&mut self) -> Option<&mut T> {
        if !self.is_unique() || self.downcast::<T>().is_none() {
            return None;
        }
        // SAFETY: the struct was checked, and `self`, the only reference, is borrowed mutably.
        Some(unsafe { self.0.cast::<T>().as_mut() })
    }

    /// # Safety
    /// The object is a `T`.
    unsafe fn cast<T: Object>(&self) -> &T {
        // SAFETY: the caller's promise; the reference keeps the object alive.
        unsafe { self.0.cast::<T>().as_ref() }
    }

    /// The object as what it is, for matching.
    pub fn view(&self) -> View<'_> {
        // SAFETY: each kind is cast to the struct that `Object` ties it to; a tuple's length is what it was made with.
        unsafe {
            match self.kind() {
                Kind::None => View::None,
                Kind::Bool => View::Bool(self.cast::<Bool>().value()),
                Kind::Int if self.header().flags.get() & FLAG_BIG == 0 => {
                    View::Int(IntView::Small(self.cast::<Int>().value()))
                }
                Kind::Int => View::Int(IntView::Big(self.cast::<BigInteger>().value())),
                Kind::Float => View::Float(self.cast::<Float>().value()),
                Kind::Str => View::Str(self.cast()),
                Kind::List => View::List(self.cast()),
                Kind::Tuple => View::Tuple(Tuple::from_header(self.0).as_ref()),
                Kind::Range => View::Range(self.cast()),
                Kind::Slice => View::Slice(self.cast()),
                Kind::RangeIterator => View::RangeIterator(self.cast()),
                Kind::BigRangeIterator => View::BigRangeIterator(self.cast()),
                Kind::ListIterator => View::ListIterator(self.cast()),
                Kind::TupleIterator => View::TupleIterator(self.cast()),
                Kind::StrIterator => View::StrIterator(self.cast()),
                Kind::Function => View::Function(self.cast()),
                Kind::Builtin => View::Builtin(self.cast()),
                Kind::Type => View::Type(self.cast()),
                Kind::Dict => View::Dict(self.cast()),
                Kind::Set | Kind::FrozenSet => View::Set(self.cast()),
                Kind::DictView => View::DictView(self.cast()),
                Kind::DictIterator => View::DictIterator(self.cast()),
                Kind::SetIterator => View::SetIterator(self.cast()),
                Kind::Enumerate => View::Enumerate(self.cast()),
                Kind::Zip => View::Zip(self.cast()),
                Kind::Reversed => View::Reversed(self.cast()),
                Kind::Map => View::Map(self.cast()),
                Kind::Filter => View::Filter(self.cast()),
                Kind::Bytes => View::Bytes(self.cast()),
                Kind::Code => View::Code(self.cast()),
                Kind::Cell => View::Cell(self.cast()),
                Kind::Method => View::Method(self.cast()),
                Kind::MethodDescriptor => View::MethodDescriptor(self.cast()),
                Kind::BoundBuiltin => View::BoundBuiltin(self.cast()),
                Kind::Module => View::Module(self.cast()),
                Kind::Exception => View::Exception(self.cast()),
                Kind::Property => View::Property(self.cast()),
                Kind::ClassMethod => View::ClassMethod(self.cast()),
                Kind::StaticMethod => View::StaticMethod(self.cast()),
                Kind::Instance => View::Instance(self.cast()),
            }
        }
    }
}

impl Clone for Ref {
    fn clone(&self) -> Self {
        let refcount = &self.header().refcount;
        refcount.set(refcount.get() + 1);
        Self(self.0)
    }
}

impl Drop for Ref {
    fn drop(&mut self) {
        let header = self.header();
        debug_assert_ne!(
            header.kind.get(),
            FREED,
            "an object is released after it was freed"
        );
        let left = header.refcount.get() - 1;
        header.refcount.set(left);
        if left == 0 {
            // SAFETY: that was the last reference.
            unsafe { heap::free(self.0) }
        }
    }
}

impl fmt::Debug for Ref {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match crate::format::repr_text(self) {
            Ok(text) => write!(f, "{:?} {text}", self.kind()),
            Err(error) => write!(f, "{:?} <{error}>", self.kind()),
        }
    }
}

/// An object as what it is. Lists and iterators can change while they are viewed, so they hand out copies; the other
/// objects never change.
#[derive(Clone, Copy)]
pub enum View<'a> {
    /// `None`.
    None,
    /// `False` or `True`.
    Bool(bool),
    /// An int of any size.
    Int(IntView<'a>),
    /// A float.
    Float(f64),
    /// A string.
    Str(&'a Str),
    /// A list.
    List(&'a List),
    /// A tuple.
    Tuple(&'a Tuple),
    /// A range.
    Range(&'a Range),
    /// A slice.
    Slice(&'a Slice),
    /// An iterator over a range within machine words.
    RangeIterator(&'a RangeIterator),
    /// An iterator over any other range.
    BigRangeIterator(&'a BigRangeIterator),
    /// An iterator over a list.
    ListIterator(&'a SequenceIterator),
    /// An iterator over a tuple.
    TupleIterator(&'a SequenceIterator),
    /// An iterator over a string.
    StrIterator(&'a SequenceIterator),
    /// A function of the program.
    Function(&'a Function),
    /// A built-in function.
    Builtin(&'a Builtin),
    /// A type.
    Type(&'a Type),
    /// `dict`.
    Dict(&'a crate::dict::Dict),
    /// A `set` or `frozenset`.
    Set(&'a crate::set::Set),
    /// `dict_keys`, `dict_values` and `dict_items`.
    DictView(&'a crate::dict::DictView),
    /// An iterator over the keys, values or items of a dict.
    DictIterator(&'a crate::dict::DictIterator),
    /// `set_iterator`.
    SetIterator(&'a crate::set::SetIterator),
    /// `enumerate`.
    Enumerate(&'a crate::adapters::Enumerate),
    /// `zip`.
    Zip(&'a crate::adapters::Zip),
    /// `reversed` and the reverse iterators.
    Reversed(&'a crate::adapters::Reversed),
    /// `map`.
    Map(&'a crate::adapters::Map),
    /// `filter`.
    Filter(&'a crate::adapters::Filter),
    /// `bytes`.
    Bytes(&'a crate::bytes::Bytes),
    /// A code object.
    Code(&'a crate::code::Code),
    /// `cell`.
    Cell(&'a crate::cell::Cell),
    /// A bound method of the program.
    Method(&'a crate::method::Method),
    /// A method of a built-in type, not bound.
    MethodDescriptor(&'a crate::method::MethodDescriptor),
    /// A method of a built-in type, bound to an object.
    BoundBuiltin(&'a crate::method::BoundBuiltin),
    /// `module`.
    Module(&'a crate::module::Module),
    /// An exception.
    Exception(&'a crate::exception::Exception),
    /// `property`.
    Property(&'a crate::descriptor::Property),
    /// `classmethod`.
    ClassMethod(&'a crate::descriptor::ClassMethod),
    /// `staticmethod`.
    StaticMethod(&'a crate::descriptor::StaticMethod),
    /// An instance of a class of the program.
    Instance(&'a crate::instance::Instance),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_numbered_from_one() {
        for (number, kind) in (1..).zip(Kind::ALL) {
            assert_eq!(kind as u32, number);
        }
    }

    #[test]
    fn an_optional_reference_is_a_nullable_pointer() {
        assert_eq!(size_of::<Option<Ref>>(), size_of::<*mut Header>());
        let object = Ref::int(5);
        let address = object.as_ptr();
        assert_eq!(
            Some(object).map_or(std::ptr::null_mut(), Ref::into_raw),
            address
        );
        // SAFETY: the reference was given away above; a null is no reference.
        unsafe {
            assert!(Ref::from_nullable(address).is_some());
            assert!(Ref::from_nullable(std::ptr::null_mut()).is_none());
        }
    }

    #[test]
    fn an_object_is_only_what_it_is() {
        let (small, big) = (Ref::int(1), Ref::big(num_bigint::BigInt::from(1) << 64));
        assert!(small.downcast::<Int>().is_some() && small.downcast::<BigInteger>().is_none());
        assert!(big.downcast::<BigInteger>().is_some() && big.downcast::<Int>().is_none());
        assert!(small.downcast::<Float>().is_none());
        let mut float = Ref::float(1.0);
        assert!(float.downcast_mut::<Float>().is_some());
        let _other = float.clone();
        assert!(float.downcast_mut::<Float>().is_none(), "it is shared");
    }

    #[test]
    fn values_that_fit_a_word_are_never_big() {
        for value in [i64::MIN, -1, 0, i64::MAX] {
            assert!(
                matches!(Ref::big(value.into()).view(), View::Int(IntView::Small(v)) if v == value)
            );
        }
        let beyond = num_bigint::BigInt::from(i64::MIN) - 1;
        assert!(matches!(
            Ref::big(beyond).view(),
            View::Int(IntView::Big(_))
        ));
    }
}
