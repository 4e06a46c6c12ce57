//! Types: one object per built-in type, the names of types, and what is an instance of what.

use crate::immortal;
use crate::object::{Header, Kind, Ref, View};

macro_rules! type_ids {
    ($($variant:ident = $name:literal),+ $(,)?) => {
        /// A built-in type.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum TypeId {
            $(#[doc = concat!("`", $name, "`")] $variant),+
        }

        impl TypeId {
            /// Every type, in the order of the numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The type's name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name),+
                }
            }
        }
    };
}

type_ids! {
    Object = "object",
    Type = "type",
    None = "NoneType",
    Bool = "bool",
    Int = "int",
    Float = "float",
    Str = "str",
    List = "list",
    Tuple = "tuple",
    Range = "range",
    Slice = "slice",
    RangeIterator = "range_iterator",
    BigRangeIterator = "longrange_iterator",
    ListIterator = "list_iterator",
    TupleIterator = "tuple_iterator",
    AsciiStrIterator = "str_ascii_iterator",
    StrIterator = "str_iterator",
    Function = "function",
    Builtin = "builtin_function_or_method",
    Dict = "dict",
    Set = "set",
    FrozenSet = "frozenset",
    DictKeys = "dict_keys",
    DictValues = "dict_values",
    DictItems = "dict_items",
    DictKeyIterator = "dict_keyiterator",
    DictValueIterator = "dict_valueiterator",
    DictItemIterator = "dict_itemiterator",
    DictReverseKeyIterator = "dict_reversekeyiterator",
    DictReverseValueIterator = "dict_reversevalueiterator",
    DictReverseItemIterator = "dict_reverseitemiterator",
    SetIterator = "set_iterator",
    Enumerate = "enumerate",
    Zip = "zip",
    Reversed = "reversed",
    ListReverseIterator = "list_reverseiterator",
    Map = "map",
    Filter = "filter",
    Bytes = "bytes",
    BytesIterator = "bytes_iterator",
    Code = "code",
    Cell = "cell",
    Method = "method",
    MethodDescriptor = "method_descriptor",
    Module = "module",
    Property = "property",
    ClassMethod = "classmethod",
    StaticMethod = "staticmethod",
    BaseException = "BaseException",
    Exception = "Exception",
    ArithmeticError = "ArithmeticError",
    ZeroDivisionError = "ZeroDivisionError",
    OverflowError = "OverflowError",
    FloatingPointError = "FloatingPointError",
    AssertionError = "AssertionError",
    AttributeError = "AttributeError",
    LookupError = "LookupError",
    IndexError = "IndexError",
    KeyError = "KeyError",
    MemoryError = "MemoryError",
    NameError = "NameError",
    UnboundLocalError = "UnboundLocalError",
    OSError = "OSError",
    RuntimeError = "RuntimeError",
    RecursionError = "RecursionError",
    NotImplementedError = "NotImplementedError",
    StopIteration = "StopIteration",
    SystemError = "SystemError",
    TypeError = "TypeError",
    ValueError = "ValueError",
    UnicodeError = "UnicodeError",
    UnicodeEncodeError = "UnicodeEncodeError",
    UnicodeDecodeError = "UnicodeDecodeError",
}

impl TypeId {
    /// The type with this name that programs find among the builtins.
    pub fn named(name: &str) -> Option<Self> {
        use TypeId::*;
        [
            Object, Type, Bool, Int, Float, Str, List, Tuple, Range, Slice, Dict, Set, FrozenSet,
        ]
        .into_iter()
        .find(|id| id.name() == name)
    }

    /// Whether an instance of this type is one of `other`.
    pub fn is_subtype_of(self, other: Self) -> bool {
        self == other || other == Self::Object || (self, other) == (Self::Bool, Self::Int)
    }
}

/// A type object.
#[repr(C)]
pub struct Type {
    header: Header,
    id: TypeId,
}

impl Type {
    pub(crate) fn new(id: TypeId) -> Self {
        Self {
            header: Header::new(Kind::Type, 0),
            id,
        }
    }

    /// Which type it is.
    pub fn id(&self) -> TypeId {
        self.id
    }
}

impl Ref {
    /// The object of a type.
    pub fn type_object(id: TypeId) -> Self {
        immortal::type_object(id)
    }

    /// The type of the object.
    pub fn type_id(&self) -> TypeId {
        match self.view() {
            View::None => TypeId::None,
            View::Bool(_) => TypeId::Bool,
            View::Int(_) => TypeId::Int,
            View::Float(_) => TypeId::Float,
            View::Str(_) => TypeId::Str,
            View::List(_) => TypeId::List,
            View::Tuple(_) => TypeId::Tuple,
            View::Range(_) => TypeId::Range,
            View::Slice(_) => TypeId::Slice,
            View::RangeIterator(_) => TypeId::RangeIterator,
            View::BigRangeIterator(_) => TypeId::BigRangeIterator,
            View::ListIterator(_) => TypeId::ListIterator,
            View::TupleIterator(_) => TypeId::TupleIterator,
            View::StrIterator(iterator) if iterator.is_ascii() => TypeId::AsciiStrIterator,
            View::StrIterator(_) => TypeId::StrIterator,
            View::Function(_) => TypeId::Function,
            View::Builtin(_) => TypeId::Builtin,
            View::Type(_) => TypeId::Type,
            View::Dict(_) => TypeId::Dict,
            View::Set(_) if self.kind() == Kind::FrozenSet => TypeId::FrozenSet,
            View::Set(_) => TypeId::Set,
            View::DictView(view) => view.type_id(),
            View::DictIterator(iterator) => iterator.type_id(),
            View::SetIterator(_) => TypeId::SetIterator,
            View::Enumerate(_) => TypeId::Enumerate,
            View::Zip(_) => TypeId::Zip,
            View::Reversed(_) => TypeId::Reversed,
            View::Map(_) => TypeId::Map,
            View::Filter(_) => TypeId::Filter,
            View::Bytes(_) => TypeId::Bytes,
            View::Code(_) => TypeId::Code,
            View::Cell(_) => TypeId::Cell,
            View::Method(_) => TypeId::Method,
            View::MethodDescriptor(_) => TypeId::MethodDescriptor,
            View::BoundBuiltin(_) => TypeId::Builtin,
            View::Module(_) => TypeId::Module,
            View::Exception(_) => TypeId::Exception,
            View::Property(_) => TypeId::Property,
            View::ClassMethod(_) => TypeId::ClassMethod,
            View::StaticMethod(_) => TypeId::StaticMethod,
            View::Instance(_) => TypeId::Object,
        }
    }

    /// The name of the object's type.
    pub fn type_name(&self) -> &str {
        self.type_id().name()
    }
}
