//! Types: one object per built-in type, the names of types, and what is an instance of what.

use crate::class::{self, Class};
use crate::immortal;
use crate::object::{Header, Kind, Ref, View};
use std::cell::{Cell, RefCell};

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
    Super = "super",
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
        let plain = [
            Object,
            Type,
            Bool,
            Int,
            Float,
            Str,
            List,
            Tuple,
            Range,
            Slice,
            Dict,
            Set,
            FrozenSet,
            Enumerate,
            Zip,
            Reversed,
            Map,
            Filter,
            Bytes,
            Property,
            ClassMethod,
            StaticMethod,
            Super,
        ];
        let found = Self::ALL.iter().copied().find(|id| id.name() == name)?;
        (plain.contains(&found) || found.is_subtype_of(BaseException)).then_some(found)
    }

    /// What the type is derived from; `None` for `object`.
    pub fn base(self) -> Option<Self> {
        use TypeId::*;
        if self == Object {
            return Option::None;
        }
        Some(match self {
            Bool => Int,
            Exception => BaseException,
            ZeroDivisionError | OverflowError | FloatingPointError => ArithmeticError,
            IndexError | KeyError => LookupError,
            UnboundLocalError => NameError,
            RecursionError | NotImplementedError => RuntimeError,
            UnicodeEncodeError | UnicodeDecodeError => UnicodeError,
            UnicodeError => ValueError,
            ArithmeticError | AssertionError | AttributeError | LookupError | MemoryError
            | NameError | OSError | RuntimeError | StopIteration | SystemError | TypeError
            | ValueError => Exception,
            _ => Object,
        })
    }

    /// Whether an instance of this type is one of `other`.
    pub fn is_subtype_of(self, other: Self) -> bool {
        std::iter::successors(Some(self), |id| id.base()).any(|id| id == other)
    }

    /// The number that objects of this type, and no others, have in their header; 0 if there is none.
    pub(crate) fn number(self) -> u32 {
        let kind = match self {
            Self::None => Kind::None,
            Self::Bool => Kind::Bool,
            Self::Int => Kind::Int,
            Self::Float => Kind::Float,
            Self::Str => Kind::Str,
            Self::List => Kind::List,
            Self::Tuple => Kind::Tuple,
            Self::Range => Kind::Range,
            Self::Slice => Kind::Slice,
            Self::RangeIterator => Kind::RangeIterator,
            Self::BigRangeIterator => Kind::BigRangeIterator,
            Self::ListIterator => Kind::ListIterator,
            Self::TupleIterator => Kind::TupleIterator,
            Self::Function => Kind::Function,
            Self::Type => Kind::Type,
            Self::Dict => Kind::Dict,
            Self::Set => Kind::Set,
            Self::FrozenSet => Kind::FrozenSet,
            Self::SetIterator => Kind::SetIterator,
            Self::Enumerate => Kind::Enumerate,
            Self::Zip => Kind::Zip,
            Self::Map => Kind::Map,
            Self::Filter => Kind::Filter,
            Self::Bytes => Kind::Bytes,
            Self::Code => Kind::Code,
            Self::Cell => Kind::Cell,
            Self::Method => Kind::Method,
            Self::MethodDescriptor => Kind::MethodDescriptor,
            Self::Module => Kind::Module,
            Self::Property => Kind::Property,
            Self::ClassMethod => Kind::ClassMethod,
            Self::StaticMethod => Kind::StaticMethod,
            _ => return 0,
        };
        kind as u32
    }
}

/// A type object.
#[repr(C)]
pub struct Type {
    header: Header,
    /// The record that guards on the type compare with now.
    pub(crate) guard: Cell<*const Cell<u32>>,
    /// What guards on the inline attributes of a class compare with: the address of a record that holds nothing.
    pub(crate) keys: Cell<*const Cell<u32>>,
    pub(crate) id: TypeId,
    pub(crate) class: Option<Box<Class>>,
    /// Every record there has been, so that the addresses stay unique.
    records: RefCell<Vec<Box<Cell<u32>>>>,
}

impl Type {
    pub(crate) fn new(id: TypeId) -> Self {
        Self::with_number(id, id.number(), None)
    }

    /// The type of a class of the program.
    pub(crate) fn of_class(id: TypeId, class: Class) -> Self {
        // Exceptions have one kind, whatever their class.
        let number = if id == TypeId::Object {
            class.number
        } else {
            0
        };
        Self::with_number(id, number, Some(Box::new(class)))
    }

    fn with_number(id: TypeId, number: u32, class: Option<Box<Class>>) -> Self {
        let new = Self {
            header: Header::new(Kind::Type, 0),
            guard: Cell::new(std::ptr::null()),
            keys: Cell::new(std::ptr::null()),
            id,
            class,
            records: RefCell::new(Vec::new()),
        };
        new.guard.set(new.record(number));
        new.renew_keys();
        new
    }

    /// Which type it is; of a class of the program, the built-in type that it is derived from.
    pub fn id(&self) -> TypeId {
        self.id
    }

    /// The type's name.
    pub fn name(&self) -> &str {
        self.class().map_or(self.id.name(), Class::name)
    }

    /// What it has as a class of the program, if it is one.
    pub fn class(&self) -> Option<&Class> {
        self.class.as_deref()
    }

    /// The address of the record that guards on the type compare with: a `u32`, the number that its objects have in
    /// their header. It changes when the class does, and is valid as long as the type lives. The record of a type whose
    /// objects cannot be told by that number is 0, which none has.
    pub fn guard_address(&self) -> u64 {
        self.guard.get().addr() as u64
    }

    /// The address that guards on the inline attributes compare with. It changes when a class gets one more.
    pub fn keys_address(&self) -> u64 {
        self.keys.get().addr() as u64
    }

    /// Whether an instance of this type is one of `other`.
    pub fn is_subtype_of(&self, other: &Self) -> bool {
        if std::ptr::eq(self, other) {
            return true;
        }
        match (self.class(), other.class()) {
            (_, None) => self.id.is_subtype_of(other.id),
            (None, Some(_)) => false,
            (Some(class), Some(_)) => class.ancestors().iter().any(|ancestor| {
                matches!(ancestor.view(), View::Type(ancestor) if std::ptr::eq(ancestor, other))
            }),
        }
    }

    /// Makes a record that lives as long as the type.
    fn record(&self, number: u32) -> *const Cell<u32> {
        let record = Box::new(Cell::new(number));
        let address = std::ptr::from_ref(&*record);
        self.records.borrow_mut().push(record);
        address
    }

    /// Makes every guard that was made before fail.
    pub(crate) fn renew_guard(&self) {
        let current = self.guard.get();
        let number = {
            let records = self.records.borrow();
            let current = records
                .iter()
                .find(|record| std::ptr::eq(&***record, current));
            current.map_or(0, |record| record.replace(0))
        };
        self.guard.set(self.record(number));
    }

    /// Makes every guard on the inline attributes fail.
    pub(crate) fn renew_keys(&self) {
        self.keys.set(self.record(0));
    }
}

impl Drop for Type {
    fn drop(&mut self) {
        if let Some(class) = self.class() {
            class::forget(self, class);
        }
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
            View::Reversed(iterator) => iterator.type_id(),
            View::Map(_) => TypeId::Map,
            View::Filter(_) => TypeId::Filter,
            View::Bytes(_) => TypeId::Bytes,
            View::Code(_) => TypeId::Code,
            View::Cell(_) => TypeId::Cell,
            View::Method(_) => TypeId::Method,
            View::MethodDescriptor(_) => TypeId::MethodDescriptor,
            View::BoundBuiltin(_) => TypeId::Builtin,
            View::Module(_) => TypeId::Module,
            View::Exception(exception) => exception.of().id(),
            View::Property(_) => TypeId::Property,
            View::ClassMethod(_) => TypeId::ClassMethod,
            View::StaticMethod(_) => TypeId::StaticMethod,
            View::Instance(_) => TypeId::Object,
        }
    }

    /// The type of the object, as an object.
    pub fn class_of(&self) -> Self {
        match self.view() {
            View::Instance(instance) => instance.class_object().clone(),
            View::Exception(exception) => exception.class_object().clone(),
            _ => Self::type_object(self.type_id()),
        }
    }

    /// The built-in type that the object's type is or is derived from.
    pub(crate) fn class_of_id(&self) -> TypeId {
        match self.view() {
            View::Exception(exception) => exception.of().id(),
            _ => self.type_id(),
        }
    }

    /// The name of the object's type.
    pub fn type_name(&self) -> &str {
        match self.view() {
            View::Instance(instance) => instance.class().name(),
            View::Exception(exception) => exception.of().name(),
            _ => self.type_id().name(),
        }
    }
}
