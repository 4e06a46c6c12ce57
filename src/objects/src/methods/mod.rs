//! The methods of built-in types: a table for each type.

mod dict;
mod set;

use crate::error::{PyError, Result};
use crate::object::{Ref, View};
use crate::types::TypeId;

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

/// A method of a built-in type.
#[derive(Debug)]
pub(crate) struct MethodEntry {
    pub(crate) name: &'static str,
    pub(crate) kind: CallKind,
    /// Called with the receiver, which is of the type or of a subtype, and the other arguments, their number not
    /// checked.
    pub(crate) call: fn(&Ref, &[Ref]) -> Result<Ref>,
}

/// The methods of a type.
fn of_type(of: TypeId) -> &'static [MethodEntry] {
    match of {
        TypeId::Dict => dict::METHODS,
        TypeId::DictKeys | TypeId::DictItems => dict::VIEW_METHODS,
        TypeId::DictValues => &dict::VIEW_METHODS[..dict::VALUES_METHOD_COUNT],
        TypeId::Set => set::METHODS,
        TypeId::FrozenSet => &set::METHODS[..set::FROZEN_COUNT],
        _ => &[],
    }
}

/// `receiver.name(*arguments)`, where the receiver may be a type.
///
/// # Errors
/// `TypeError` for a wrong number of arguments, otherwise the method's own.
pub fn call(receiver: &Ref, name: &str, arguments: &[Ref]) -> Result<Ref> {
    let table = match receiver.view() {
        View::Type(of) if of.id() == TypeId::Dict => dict::CLASS_METHODS,
        _ => of_type(receiver.type_id()),
    };
    let Some(entry) = table.iter().find(|entry| entry.name == name) else {
        return Err(PyError::not_supported(format_args!("the method {name}")));
    };
    let expected = match entry.kind {
        CallKind::NoArguments => Some((0, "no arguments")),
        CallKind::One => Some((1, "exactly one argument")),
        _ => None,
    };
    match expected {
        Some((count, text)) if count != arguments.len() => Err(PyError::type_error(format!(
            "{}.{name}() takes {text} ({} given)",
            receiver.type_name(),
            arguments.len()
        ))),
        _ => (entry.call)(receiver, arguments),
    }
}

/// The object of a type's method: `list.append` is `find(TypeId::List, "append")`.
pub fn find(_of: TypeId, _name: &str) -> Option<Ref> {
    None
}

/// The object of the method with this qualified name, such as `list.append`.
pub fn named(_name: &str) -> Option<Ref> {
    None
}
