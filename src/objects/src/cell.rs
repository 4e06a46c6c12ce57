//! Cells: variables that functions share.

use crate::object::Header;

/// A cell.
#[repr(C)]
pub struct Cell {
    header: Header,
}
