//! Exceptions as objects.

use crate::object::Header;

/// An exception.
#[repr(C)]
pub struct Exception {
    header: Header,
}
