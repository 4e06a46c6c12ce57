//! Calls of built-in functions and types, and what they say of wrong arguments.

use crate::class;
use crate::dict::Dict;
use crate::error::{PyError, Result};
use crate::format;
use crate::hooks::unless_hooked;
use crate::object::{Ref, View};
use std::ops::RangeInclusive;

/// Flag of a built-in function and of a bound method of a built-in type, and of no object of another kind; the lowest
/// bits are the [`CallKind`].
pub const FLAG_FUNCTION: u32 = 1 << 30;
/// Flag of a method of a built-in type, and of no object of another kind; the lowest bits are the [`CallKind`].
pub const FLAG_METHOD: u32 = 1 << 29;

/// How a built-in function or method is called, as CPython's `METH_` flags say; the numbers are part of the contract
/// with generated code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum CallKind {
    /// `METH_NOARGS`
    NoArguments = 1,
    /// `METH_O`
    One = 2,
    /// `METH_FASTCALL`
    Fast = 3,
    /// `METH_FASTCALL | METH_KEYWORDS`
    FastWithKeywords = 4,
    /// `METH_VARARGS`, with or without `METH_KEYWORDS`
    Variadic = 5,
}

impl CallKind {
    /// How many arguments there are, where the kind alone says it.
    pub(crate) fn exact_count(self) -> Option<usize> {
        match self {
            Self::NoArguments => Some(0),
            Self::One => Some(1),
            _ => None,
        }
    }

    /// The error of another number.
    pub(crate) fn wrong_count(self, name: &str, given: usize) -> PyError {
        let expected = match self {
            Self::NoArguments => "no arguments",
            _ => "exactly one argument",
        };
        PyError::type_error(format!("{name}() takes {expected} ({given} given)"))
    }
}

/// `callable(*arguments)`
///
/// # Errors
/// `TypeError` if the object cannot be called, otherwise the call's own. Calling a function of the program, which is
/// the business of uops, is `NotSupported`.
pub fn call(callable: &Ref, arguments: &[Ref]) -> Result<Ref> {
    match callable.view() {
        View::Type(_) => class::call(callable, arguments),
        View::Builtin(function) => function.invoke(arguments),
        View::MethodDescriptor(method) => method.invoke(arguments),
        View::BoundBuiltin(method) => method.invoke(arguments),
        View::Method(method) => {
            let instance = std::iter::once(method.instance());
            let all: Vec<Ref> = instance.chain(arguments).cloned().collect();
            call(method.function(), &all)
        }
        View::Function(function) => Err(PyError::not_supported(format_args!(
            "calling the function {}",
            function.qualified_name()
        ))),
        _ => {
            let message = format!("'{}' object is not callable", callable.type_name());
            Err(unless_hooked(
                callable,
                &["__call__"],
                PyError::type_error(message),
            ))
        }
    }
}

/// Checks how many arguments a callable is given.
///
/// # Errors
/// `TypeError` if there are too few or too many.
pub(crate) fn check_count(
    name: &str,
    arguments: &[Ref],
    expected: RangeInclusive<usize>,
) -> Result<()> {
    let given = arguments.len();
    if expected.contains(&given) {
        return Ok(());
    }
    let (least, most) = expected.into_inner();
    let (bound, count) = match given {
        _ if least == most => ("", least),
        _ if given < least => ("at least ", least),
        _ => ("at most ", most),
    };
    let plural = if count == 1 { "" } else { "s" };
    Err(PyError::type_error(format!(
        "{name} expected {bound}{count} argument{plural}, got {given}"
    )))
}

/// Whether an object may stand for an index.
pub(crate) fn is_index(object: &Ref) -> bool {
    object.as_int().is_some()
}

/// The error for an object that may not.
pub(crate) fn wrong_index(object: &Ref) -> PyError {
    let message = format!(
        "'{}' object cannot be interpreted as an integer",
        object.type_name()
    );
    unless_hooked(object, &["__index__"], PyError::type_error(message))
}

/// Adds keyword arguments from a mapping to those of a call.
///
/// # Errors
/// `TypeError` if it is not a mapping or an argument is there already.
pub(crate) fn merge_keywords(callable: &Ref, keywords: &Dict, more: &Ref) -> Result<()> {
    let View::Dict(more) = more.view() else {
        let error = PyError::type_error(format!(
            "{} argument after ** must be a mapping, not {}",
            callable_text(callable)?,
            more.type_name()
        ));
        return Err(unless_hooked(more, &["keys"], error));
    };
    for (key, hash, value) in more.hashed_items() {
        if keywords.find(&key, hash)?.is_some() {
            return Err(PyError::type_error(format!(
                "{} got multiple values for keyword argument '{}'",
                callable_text(callable)?,
                format::text(&key)?
            )));
        }
        keywords.append(key, hash, value)?;
    }
    Ok(())
}

/// How errors name what is called: functions with the module, where it is not that of the builtins.
fn callable_text(callable: &Ref) -> Result<String> {
    let name = match callable.view() {
        View::Function(function) => {
            let module = match function.globals().view() {
                View::Dict(globals) => globals.get_str("__name__"),
                _ => None,
            };
            let module = module.map(|module| format::text(&module)).transpose()?;
            let name = function.qualified_name();
            module.map_or_else(|| name.to_owned(), |module| format!("{module}.{name}"))
        }
        View::Builtin(function) => function.name().to_owned(),
        View::Type(of) => of.name().to_owned(),
        _ => return format::text(callable),
    };
    Ok(format!("{name}()"))
}
