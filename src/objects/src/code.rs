//! Code objects: what the frames of a function look like, and the names and constants of its uops.

use crate::object::Header;

/// A code object.
#[repr(C)]
pub struct Code {
    header: Header,
}
