//! Lists: growable arrays of references, which generated code reads and writes directly.
//!
//! A list can change through any reference to it, so its items are never borrowed: they are copied out.

#![allow(unsafe_code)]

use crate::heap;
use crate::object::{Header, Kind, Ref};
use std::cell::Cell;
use std::ptr::NonNull;

/// A list.
///
/// The fields are those of a `Vec<Ref>`, which generated code can rely on only in a layout of our own.
#[repr(C)]
pub struct List {
    header: Header,
    pub(crate) items: Cell<*mut Ref>,
    pub(crate) length: Cell<usize>,
    pub(crate) capacity: Cell<usize>,
}

impl Ref {
    /// A list of these items.
    pub fn list(items: Vec<Ref>) -> Self {
        let list = List {
            header: Header::new(Kind::List, 0),
            items: Cell::new(std::ptr::null_mut()),
            length: Cell::new(0),
            capacity: Cell::new(0),
        };
        list.put(items);
        heap::allocate(list)
    }
}

impl List {
    /// How many items there are.
    pub fn len(&self) -> usize {
        self.length.get()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The item at this index, if it is in range.
    pub fn get(&self, index: usize) -> Option<Ref> {
        if index >= self.len() {
            return None;
        }
        // SAFETY: `length` items are there.
        Some(unsafe { (*self.items.get().add(index)).clone() })
    }

    /// Replaces the item at this index.
    ///
    /// # Errors
    /// Gives the item back if the index is out of range.
    pub fn set(&self, index: usize, item: Ref) -> Result<(), Ref> {
        if index >= self.len() {
            return Err(item);
        }
        // SAFETY: `length` items are there. The old item is dropped when the list holds the new one.
        let old = unsafe { std::mem::replace(&mut *self.items.get().add(index), item) };
        drop(old);
        Ok(())
    }

    /// Appends an item.
    pub fn push(&self, item: Ref) {
        self.change(|items| items.push(item));
    }

    /// Copies of the items.
    pub fn to_vec(&self) -> Vec<Ref> {
        self.iter().collect()
    }

    /// Copies of the items, up to the length the list has then.
    pub fn iter(&self) -> impl Iterator<Item = Ref> + '_ {
        (0..).map_while(|index| self.get(index))
    }

    /// Changes the items as a vector. They must not be reached otherwise meanwhile; what is removed should be
    /// returned and dropped afterwards.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Vec<Ref>) -> T) -> T {
        let mut items = self.take();
        let result = change(&mut items);
        self.put(items);
        result
    }

    /// Takes the items out; the list is empty and has no buffer.
    fn take(&self) -> Vec<Ref> {
        let length = self.length.replace(0);
        let capacity = self.capacity.replace(0);
        let buffer = self.items.replace(std::ptr::null_mut());
        let Some(buffer) = NonNull::new(buffer) else {
            return Vec::new();
        };
        // SAFETY: the parts are those of a vector (`put`); generated code changes only items and the length, within
        // the capacity.
        unsafe { Vec::from_raw_parts(buffer.as_ptr(), length, capacity) }
    }

    /// Puts items into a list without a buffer.
    fn put(&self, items: Vec<Ref>) {
        let mut items = std::mem::ManuallyDrop::new(items);
        self.items.set(items.as_mut_ptr());
        self.length.set(items.len());
        self.capacity.set(items.capacity());
    }
}

impl Drop for List {
    fn drop(&mut self) {
        drop(self.take());
    }
}
