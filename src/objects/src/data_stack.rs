//! The data stack: where the frames of calls are, one behind the other, in chunks that are added when one is full.
//!
//! Generated code takes room from the current chunk itself: it moves `top` up, as long as that stays below `limit`.

#![allow(unsafe_code)]

use std::alloc::{self, Layout};
use std::ptr::{self, NonNull};

/// The bytes of the first chunk, as in CPython; larger ones have a power of two.
const CHUNK: usize = 16 << 10;
/// What is left behind the limit. A call stores its first argument before it knows whether there is one: where the frame
/// has no slots, into the slot behind it.
const SPARE: usize = size_of::<*mut u8>();
/// Frames hold pointers.
const ALIGN: usize = align_of::<*mut u8>();

/// The data stack of a thread.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct DataStack {
    /// Where the next frame goes.
    pub(crate) top: *mut u8,
    /// The end of the current chunk.
    pub(crate) limit: *mut u8,
    /// All chunks, the current one last.
    chunks: Vec<Chunk>,
}

#[derive(Debug)]
struct Chunk {
    base: NonNull<u8>,
    size: usize,
    /// The top that the chunk before had.
    below: *mut u8,
}

impl DataStack {
    /// An empty stack that has its first chunk.
    pub(crate) fn new() -> Self {
        let mut stack = Self {
            top: ptr::null_mut(),
            limit: ptr::null_mut(),
            chunks: Vec::new(),
        };
        stack.grow(0);
        stack
    }

    /// Room for `size` bytes, a multiple of a word.
    pub(crate) fn push(&mut self, size: usize) -> *mut u8 {
        if self.limit.addr() - self.top.addr() < size {
            self.grow(size);
        }
        let room = self.top;
        self.top = room.wrapping_add(size);
        room
    }

    /// Gives back what was pushed at `room` and since.
    pub(crate) fn pop(&mut self, room: *mut u8) {
        let is_first_of_chunk = |chunk: &Chunk| chunk.base.as_ptr() == room;
        if self.chunks.len() > 1 && self.chunks.last().is_some_and(is_first_of_chunk) {
            self.shrink();
        } else {
            self.top = room;
        }
    }

    #[cold]
    fn grow(&mut self, size: usize) {
        let size = (size + SPARE).next_power_of_two().max(CHUNK);
        let chunk = Chunk::new(size, self.top);
        self.top = chunk.base.as_ptr();
        self.limit = chunk.limit();
        self.chunks.push(chunk);
    }

    /// Goes back to the chunk before the last one.
    #[cold]
    fn shrink(&mut self) {
        if let Some(chunk) = self.chunks.pop() {
            self.top = chunk.below;
        }
        if let Some(chunk) = self.chunks.last() {
            self.limit = chunk.limit();
        }
    }
}

impl Chunk {
    fn new(size: usize, below: *mut u8) -> Self {
        let layout = Self::layout(size);
        // SAFETY: a chunk is never empty.
        let base = NonNull::new(unsafe { alloc::alloc(layout) })
            .unwrap_or_else(|| alloc::handle_alloc_error(layout));
        Self { base, size, below }
    }

    fn limit(&self) -> *mut u8 {
        self.base.as_ptr().wrapping_add(self.size - SPARE)
    }

    fn layout(size: usize) -> Layout {
        // SAFETY: the alignment is a type's; the size is a power of two, well below what does not fit an `isize`: the
        // largest frame has 2**24 slots.
        unsafe { Layout::from_size_align_unchecked(size, ALIGN) }
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        // SAFETY: `new` allocated it with this layout.
        unsafe { alloc::dealloc(self.base.as_ptr(), Self::layout(self.size)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_pushed_last_is_popped_first() {
        let mut stack = DataStack::new();
        let bottom = stack.top;
        let a = stack.push(64);
        let b = stack.push(128);
        assert_eq!((a, b), (bottom, bottom.wrapping_add(64)));
        stack.pop(b);
        assert_eq!(stack.top, b);
        stack.pop(a);
        assert_eq!(stack.top, bottom);
    }

    #[test]
    fn a_full_chunk_is_followed_by_another() {
        let mut stack = DataStack::new();
        let first_limit = stack.limit;
        let pushed: Vec<*mut u8> = (0..5).map(|_| stack.push(CHUNK / 2 - 8)).collect();
        let large = stack.push(3 * CHUNK);
        assert_eq!(stack.chunks.len(), 4);
        assert_eq!(stack.chunks[3].size, 4 * CHUNK);
        assert_ne!(stack.limit, first_limit);
        // SAFETY: the room is in the last chunk.
        unsafe { large.add(3 * CHUNK + SPARE - 1).write(1) };
        stack.pop(large);
        for &room in pushed.iter().rev() {
            stack.pop(room);
        }
        assert_eq!((stack.top, stack.limit), (pushed[0], first_limit));
        assert_eq!(stack.chunks.len(), 1);
    }
}
