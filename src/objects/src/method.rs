//! Methods: bound ones of the program, and those of built-in types, bound or not.

use crate::heap;
use crate::object::{Header, Kind, Ref};

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

/// A method of a built-in type.
#[repr(C)]
pub struct MethodDescriptor {
    header: Header,
}

/// A method of a built-in type, bound to an object.
#[repr(C)]
pub struct BoundBuiltin {
    header: Header,
}
