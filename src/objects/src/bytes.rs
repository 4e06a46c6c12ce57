//! `bytes`.

use crate::object::Header;

/// A `bytes` object.
#[repr(C)]
pub struct Bytes {
    header: Header,
}
