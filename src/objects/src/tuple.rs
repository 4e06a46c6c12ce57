//! Tuples: immutable sequences whose items lie inline.

#![allow(unsafe_code)]

use crate::heap;
use crate::object::{Header, Kind, Ref};
use std::mem::offset_of;
use std::ptr::NonNull;

/// A tuple.
#[repr(C)]
pub struct Tuple {
    header: Header,
    length: usize,
    items: [Ref],
}

/// What every tuple starts with; the items follow.
#[repr(C)]
pub(crate) struct TupleStart {
    header: Header,
    pub(crate) length: usize,
    pub(crate) items: [Ref; 0],
}

impl Tuple {
    /// The items.
    pub fn items(&self) -> &[Ref] {
        &self.items
    }

    /// The tuple that starts with this header, with all its items.
    ///
    /// # Safety
    /// `object` is a tuple.
    pub(crate) unsafe fn from_header(object: NonNull<Header>) -> NonNull<Self> {
        // SAFETY: the caller's promise.
        let length = unsafe { object.cast::<TupleStart>().as_ref().length };
        let tuple = std::ptr::slice_from_raw_parts_mut(object.as_ptr(), length) as *mut Self;
        // SAFETY: the address is that of `object`.
        unsafe { NonNull::new_unchecked(tuple) }
    }
}

impl Ref {
    /// A tuple of these items.
    pub fn tuple(items: Vec<Ref>) -> Self {
        let length = items.len();
        let mut items = items.into_iter();
        from_fn(length, || items.next())
    }
}

/// A tuple of `length` items, made one by one; it is shorter if there are fewer.
pub(crate) fn from_fn(length: usize, mut next: impl FnMut() -> Option<Ref>) -> Ref {
    let start = TupleStart {
        header: Header::new(Kind::Tuple, 0),
        length,
        items: [],
    };
    let items_size = length.saturating_mul(size_of::<Ref>());
    let block = heap::allocate_block(offset_of!(TupleStart, items).saturating_add(items_size));
    // SAFETY: the block has room for the start and `length` items, all of which are written before it is used.
    unsafe {
        block.cast::<TupleStart>().write(start);
        let items = block.byte_add(offset_of!(TupleStart, items)).cast::<Ref>();
        for index in 0..length {
            items.add(index).write(next().unwrap_or_else(Ref::none));
        }
        Ref::from_raw(block.cast::<Header>().as_ptr())
    }
}
