//! Iterators over iterators: `enumerate`, `zip`, `reversed`, `map` and `filter`.

use crate::object::Header;

/// `enumerate`
#[repr(C)]
pub struct Enumerate {
    header: Header,
}

/// `zip`
#[repr(C)]
pub struct Zip {
    header: Header,
}

/// `reversed`
#[repr(C)]
pub struct Reversed {
    header: Header,
}

/// `map`
#[repr(C)]
pub struct Map {
    header: Header,
}

/// `filter`
#[repr(C)]
pub struct Filter {
    header: Header,
}
