//! Methods: bound ones of the program, and those of built-in types, bound or not.

use crate::call::{CallKind, FLAG_FUNCTION, FLAG_METHOD};
use crate::error::{PyError, Result};
use crate::heap;
use crate::methods::MethodEntry;
use crate::object::{Header, Kind, Ref, View};
use crate::types::TypeId;

/// A bound method of the program.
#[repr(C)]
pub struct Method {
    header: Header,
    pub(crate) function: Ref,
    pub(crate) instance: Ref,
}

impl Method {
    /// What is called.
    pub fn function(&self) -> &Ref {
        &self.function
    }

    /// The first argument of the call.
    pub fn instance(&self) -> &Ref {
        &self.instance
    }
}

impl Ref {
    /// A callable bound to what is its first argument.
    pub fn method(function: Ref, instance: Ref) -> Self {
        heap::allocate(Method {
            header: Header::new(Kind::Method, 0),
            function,
            instance,
        })
    }
}

/// A method of a built-in type, which is called with the object as first argument.
#[repr(C)]
pub struct MethodDescriptor {
    header: Header,
    /// The kind of the type's own instances, without those of subtypes.
    pub(crate) receiver: u32,
    of: TypeId,
    entry: &'static MethodEntry,
}

impl MethodDescriptor {
    pub(crate) fn new(of: TypeId, receiver: Kind, entry: &'static MethodEntry) -> Self {
        Self {
            header: Header::new(Kind::MethodDescriptor, FLAG_METHOD | entry.kind as u32),
            receiver: receiver as u32,
            of,
            entry,
        }
    }

    /// The type that has the method.
    pub fn of(&self) -> TypeId {
        self.of
    }

    /// The method's name.
    pub fn name(&self) -> &'static str {
        self.entry.name
    }

    /// The name with the type's before it.
    pub fn qualified_name(&self) -> String {
        format!("{}.{}", self.of.name(), self.entry.name)
    }

    /// How the method is called.
    pub fn call_kind(&self) -> CallKind {
        self.entry.kind
    }

    /// The method of this object, which is of the type or of a subtype.
    pub fn bind(&self, receiver: Ref) -> Ref {
        Ref::bound_builtin(receiver, self.entry)
    }

    /// Calls the method: the receiver is the first argument.
    ///
    /// # Errors
    /// `TypeError` if there is no receiver of the type, otherwise the method's own.
    pub(crate) fn invoke(&self, arguments: &[Ref]) -> Result<Ref> {
        let Some((receiver, others)) = arguments.split_first() else {
            return Err(PyError::type_error(format!(
                "unbound method {}() needs an argument",
                self.qualified_name()
            )));
        };
        if !receiver.type_id().is_subtype_of(self.of) {
            return Err(PyError::type_error(format!(
                "descriptor '{}' for '{}' objects doesn't apply to a '{}' object",
                self.name(),
                self.of.name(),
                receiver.type_name()
            )));
        }
        self.entry.invoke(receiver, others)
    }

    /// Calls the method of an object of the type, with a number of arguments that was checked.
    pub(crate) fn invoke_checked(&self, receiver: &Ref, others: &[Ref]) -> Result<Ref> {
        (self.entry.call)(receiver, others)
    }
}

/// A method of a built-in type, bound to an object, or to the type where it belongs to that.
#[repr(C)]
pub struct BoundBuiltin {
    header: Header,
    receiver: Ref,
    entry: &'static MethodEntry,
}

impl BoundBuiltin {
    /// What the method is bound to.
    pub fn receiver(&self) -> &Ref {
        &self.receiver
    }

    /// The method's name.
    pub fn name(&self) -> &'static str {
        self.entry.name
    }

    /// The name with that of the receiver's type, or of the receiver if it is a type, before it.
    pub fn qualified_name(&self) -> String {
        let of = match self.receiver.view() {
            View::Type(of) => of.id().name(),
            _ => self.receiver.type_name(),
        };
        format!("{of}.{}", self.entry.name)
    }

    /// Whether it is the same method of the same object.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        self.receiver.is(&other.receiver) && std::ptr::eq(self.entry, other.entry)
    }

    /// Calls the method.
    ///
    /// # Errors
    /// The method's own.
    pub(crate) fn invoke(&self, arguments: &[Ref]) -> Result<Ref> {
        self.entry.invoke(&self.receiver, arguments)
    }
}

impl Ref {
    /// A method bound to an object.
    pub(crate) fn bound_builtin(receiver: Ref, entry: &'static MethodEntry) -> Self {
        heap::allocate(BoundBuiltin {
            header: Header::new(Kind::BoundBuiltin, FLAG_FUNCTION | entry.kind as u32),
            receiver,
            entry,
        })
    }
}
