//! Modules.

use crate::object::Header;

/// A module.
#[repr(C)]
pub struct Module {
    header: Header,
}
