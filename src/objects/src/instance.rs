//! Instances of classes of the program.

use crate::object::Header;

/// An instance.
#[repr(C)]
pub struct Instance {
    header: Header,
}
