//! Methods: bound ones of the program, and those of built-in types, bound or not.

use crate::object::Header;

/// A bound method of the program.
#[repr(C)]
pub struct Method {
    header: Header,
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
