//! Errors: the exceptions that operations on objects raise, as values.

use crate::format;
use crate::object::Ref;
use crate::types::TypeId;
use std::fmt;

/// The result of an operation that may raise.
pub type Result<T> = std::result::Result<T, PyError>;

macro_rules! error_kinds {
    ($($variant:ident),+ $(,)?) => {
        /// The type of an exception.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorKind {
            $(#[doc = concat!("`", stringify!($variant), "`")] $variant,)+
            /// Not one of Python's: valid Python that these objects do not cover.
            NotSupported,
        }

        impl ErrorKind {
            /// The name of the exception's class.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($variant),)+
                    Self::NotSupported => "NotSupported",
                }
            }

            /// The exception's class; `None` for [`NotSupported`](Self::NotSupported).
            pub const fn type_id(self) -> Option<TypeId> {
                match self {
                    $(Self::$variant => Some(TypeId::$variant),)+
                    Self::NotSupported => None,
                }
            }

            /// The kind of the exceptions of this class.
            pub const fn of_type(id: TypeId) -> Option<Self> {
                match id {
                    $(TypeId::$variant => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

error_kinds! {
    TypeError,
    ValueError,
    ZeroDivisionError,
    OverflowError,
    FloatingPointError,
    ArithmeticError,
    IndexError,
    KeyError,
    LookupError,
    AttributeError,
    NameError,
    UnboundLocalError,
    AssertionError,
    RuntimeError,
    RecursionError,
    NotImplementedError,
    SystemError,
    MemoryError,
    StopIteration,
    UnicodeError,
    UnicodeEncodeError,
    UnicodeDecodeError,
    OSError,
    Exception,
    BaseException,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An exception: its type and what `str()` of it gives. The messages are those of CPython 3.13.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PyError {
    /// The exception's type.
    pub kind: ErrorKind,
    /// The exception's text; empty where CPython's is.
    pub message: String,
}

impl PyError {
    /// An exception of this type with this text.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// A `MemoryError`, which has no text.
    pub(crate) fn memory() -> Self {
        Self::new(ErrorKind::MemoryError, "")
    }

    /// A `TypeError`.
    pub(crate) fn type_error(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::TypeError, message)
    }

    /// A `ValueError`.
    pub(crate) fn value(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::ValueError, message)
    }

    /// An `OverflowError`.
    pub(crate) fn overflow(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::OverflowError, message)
    }

    /// An `IndexError`.
    pub(crate) fn index(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::IndexError, message)
    }

    /// A `KeyError` for this key, by its `repr()`.
    pub(crate) fn key(key: &Ref) -> Self {
        format::repr_text(key)
            .map_or_else(|error| error, |text| Self::new(ErrorKind::KeyError, text))
    }

    /// An `AttributeError`.
    pub(crate) fn attribute(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::AttributeError, message)
    }

    /// A `RuntimeError`.
    pub(crate) fn runtime(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::RuntimeError, message)
    }

    /// A `ZeroDivisionError`.
    pub(crate) fn zero_division(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::ZeroDivisionError, message)
    }

    /// Another error in place of this one, unless this one says that something is not covered.
    pub(crate) fn instead(self, other: impl FnOnce() -> Self) -> Self {
        match self.kind {
            ErrorKind::NotSupported => self,
            _ => other(),
        }
    }

    /// Valid Python that is not covered; `what` is a noun phrase.
    pub(crate) fn not_supported(what: impl fmt::Display) -> Self {
        Self::new(ErrorKind::NotSupported, format!("{what} is not supported"))
    }
}

impl fmt::Display for PyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.message.is_empty() {
            return write!(f, "{}", self.kind);
        }
        write!(f, "{}: {}", self.kind, self.message)
    }
}

impl std::error::Error for PyError {}
