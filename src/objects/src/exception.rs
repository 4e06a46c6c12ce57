//! Exceptions as objects.

use crate::error::{ErrorKind, PyError, Result};
use crate::format;
use crate::heap;
use crate::object::{Header, Kind, Ref, View};
use crate::types::{Type, TypeId};
use std::cell::Cell;

/// An exception.
#[repr(C)]
pub struct Exception {
    header: Header,
    class: Ref,
    arguments: Ref,
    /// Its text, where that is not made of the arguments.
    text: Option<Box<str>>,
    /// Its `__dict__`, once it has attributes.
    dict: Cell<Option<Ref>>,
}

impl Exception {
    /// Its class, as an object.
    pub fn class_object(&self) -> &Ref {
        &self.class
    }

    /// Its class.
    pub fn of(&self) -> &Type {
        match self.class.view() {
            View::Type(class) => class,
            _ => unreachable!("exceptions are made of classes only"),
        }
    }

    /// Its `args`, a tuple.
    pub fn arguments(&self) -> &Ref {
        &self.arguments
    }

    fn items(&self) -> &[Ref] {
        match self.arguments.view() {
            View::Tuple(arguments) => arguments.items(),
            _ => &[],
        }
    }

    /// The dict of the attributes that a program has given it.
    pub(crate) fn dict(&self) -> Ref {
        let dict = self.dict.take().unwrap_or_else(Ref::dict);
        self.dict.set(Some(dict.clone()));
        dict
    }

    /// `str(exception)`
    ///
    /// # Errors
    /// As [`format::str`] for the arguments.
    pub fn text(&self) -> Result<Ref> {
        if let Some(text) = &self.text {
            return Ok(Ref::str(text));
        }
        match self.items() {
            [] => Ok(Ref::str("")),
            [key] if self.of().id() == TypeId::KeyError => format::repr(key),
            [only] => format::str(only),
            _ => format::repr(&self.arguments),
        }
    }

    /// `repr(exception)`
    ///
    /// # Errors
    /// As [`format::repr_text`] for the arguments.
    pub fn repr(&self) -> Result<String> {
        let name = self.of().name();
        match self.items() {
            [only] => Ok(format!("{name}({})", format::repr_text(only)?)),
            _ => Ok(format!("{name}{}", format::repr_text(&self.arguments)?)),
        }
    }

    /// The exception as operations raise it, by the built-in type that its class is or is derived from.
    ///
    /// # Errors
    /// As [`text`](Self::text); `NotSupported` for a type that no operation raises.
    pub fn to_error(&self) -> Result<PyError> {
        let id = self.of().id();
        match ErrorKind::of_type(id) {
            Some(kind) if self.of().class().is_none() => {
                let text = match self.text()?.view() {
                    View::Str(text) => text.to_string_lossy(),
                    _ => String::new(),
                };
                Ok(PyError::new(kind, text))
            }
            _ => Err(PyError::not_supported(format_args!(
                "raising '{}'",
                self.of().name()
            ))),
        }
    }
}

impl Ref {
    /// An exception of this class with these arguments, without calling anything of the program.
    ///
    /// # Errors
    /// `TypeError` if it is not a class of exceptions.
    pub fn exception(class: Ref, arguments: Vec<Ref>) -> Result<Self> {
        Self::exception_with(class, arguments, None)
    }

    fn exception_with(class: Ref, arguments: Vec<Ref>, text: Option<Box<str>>) -> Result<Self> {
        if !is_exception_class(&class) {
            return Err(PyError::type_error(
                "exceptions must derive from BaseException",
            ));
        }
        Ok(heap::allocate(Exception {
            header: Header::new(Kind::Exception, 0),
            class,
            arguments: Ref::tuple(arguments),
            text,
            dict: Cell::new(None),
        }))
    }

    /// What a handler finds of an exception that an operation has raised. The key of a `KeyError` is not known any more:
    /// its argument is the text.
    ///
    /// # Errors
    /// The exception, if it is none of Python's.
    pub fn raised(error: PyError) -> std::result::Result<Self, PyError> {
        let Some(id) = error.kind.type_id() else {
            return Err(error);
        };
        let arguments = match error.message.is_empty() {
            true => Vec::new(),
            false => vec![Ref::str(&error.message)],
        };
        let text = error.message.into_boxed_str();
        Self::exception_with(Ref::type_object(id), arguments, Some(text))
    }
}

/// Whether an object is a class of exceptions.
pub(crate) fn is_exception_class(object: &Ref) -> bool {
    matches!(object.view(), View::Type(of) if of.id().is_subtype_of(TypeId::BaseException))
}

/// Whether an `except` clause for `handler`, a class or a tuple of them, takes an exception.
///
/// # Errors
/// `TypeError` if the clause names anything else.
pub fn matches(exception: &Ref, handler: &Ref) -> Result<bool> {
    let classes = match handler.view() {
        View::Tuple(classes) => classes.items(),
        _ => std::slice::from_ref(handler),
    };
    if !classes.iter().all(is_exception_class) {
        return Err(PyError::type_error(
            "catching classes that do not inherit from BaseException is not allowed",
        ));
    }
    // CPython takes a class for an instance of it here.
    let raised = match exception.view() {
        View::Type(_) => exception.clone(),
        _ => exception.class_of(),
    };
    Ok(classes.iter().any(|class| is_subclass(&raised, class)))
}

/// Whether a class is another or derived from it.
pub(crate) fn is_subclass(class: &Ref, other: &Ref) -> bool {
    match (class.view(), other.view()) {
        (View::Type(class), View::Type(other)) => class.is_subtype_of(other),
        _ => false,
    }
}
