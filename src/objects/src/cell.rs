//! Cells: variables that functions share.

use crate::heap;
use crate::object::{Header, Kind, Ref};
use std::cell;

/// A place for an object or none; Python's, unlike the standard library's, are objects.
#[repr(C)]
pub struct Cell {
    header: Header,
    pub(crate) contents: cell::Cell<Option<Ref>>,
}

impl Cell {
    /// What is in it.
    pub fn get(&self) -> Option<Ref> {
        let contents = self.contents.take();
        self.contents.set(contents.clone());
        contents
    }

    /// Replaces what is in it, and gives what was.
    pub fn replace(&self, contents: Option<Ref>) -> Option<Ref> {
        self.contents.replace(contents)
    }
}

impl Ref {
    /// A cell with this in it.
    pub fn cell(contents: Option<Ref>) -> Self {
        heap::allocate(Cell {
            header: Header::new(Kind::Cell, 0),
            contents: cell::Cell::new(contents),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::View;

    #[test]
    fn a_cell_holds_one_reference() {
        let (cell, value) = (Ref::cell(None), Ref::int(500));
        let View::Cell(inner) = cell.view() else {
            panic!("no cell")
        };
        assert!(inner.get().is_none());
        assert!(inner.replace(Some(value.clone())).is_none());
        assert!(inner.get().unwrap().is(&value));
        assert_eq!(value.refcount(), 2);
        drop(cell);
        assert_eq!(value.refcount(), 1);
    }
}
