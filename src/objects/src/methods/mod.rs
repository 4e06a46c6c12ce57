//! The methods of built-in types: a table for each type.

use crate::error::Result;
use crate::object::Ref;
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

/// The object of a type's method: `list.append` is `find(TypeId::List, "append")`.
pub fn find(_of: TypeId, _name: &str) -> Option<Ref> {
    None
}

/// The object of the method with this qualified name, such as `list.append`.
pub fn named(_name: &str) -> Option<Ref> {
    None
}
