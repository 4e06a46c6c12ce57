//! Sets: `set`, `frozenset`, and the iterator over them.

use crate::object::Header;

/// A `set` or `frozenset`.
#[repr(C)]
pub struct Set {
    header: Header,
}

/// An iterator over a set.
#[repr(C)]
pub struct SetIterator {
    header: Header,
}
