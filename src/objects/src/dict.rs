//! Dictionaries, their views and the iterators over them.

use crate::object::Header;

/// A `dict`.
#[repr(C)]
pub struct Dict {
    header: Header,
}

/// A view of a dict: `dict_keys`, `dict_values` or `dict_items`.
#[repr(C)]
pub struct DictView {
    header: Header,
}

/// An iterator over a dict.
#[repr(C)]
pub struct DictIterator {
    header: Header,
}
