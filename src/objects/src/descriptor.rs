//! Descriptors of classes of the program: `property`, `classmethod` and `staticmethod`.

use crate::object::Header;

/// A `property`.
#[repr(C)]
pub struct Property {
    header: Header,
}

/// A `classmethod`.
#[repr(C)]
pub struct ClassMethod {
    header: Header,
}

/// A `staticmethod`.
#[repr(C)]
pub struct StaticMethod {
    header: Header,
}
