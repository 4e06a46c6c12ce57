//! An allocator that counts what each thread holds, so that a test can prove that a thousand rounds hold no more than
//! one.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    // Without destructors and without a first use, so that the allocator may read them at any time.
    static BLOCKS: Cell<i64> = const { Cell::new(0) };
    static BYTES: Cell<i64> = const { Cell::new(0) };
}

/// What a thread has allocated and not freed. Negative where it freed what others had allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Allocations.
    pub blocks: i64,
    /// Their sizes together, in bytes.
    pub bytes: i64,
}

/// What this thread holds; always nothing where [`CountingAllocator`] is not the program's allocator.
pub fn held() -> Held {
    Held {
        blocks: BLOCKS.get(),
        bytes: BYTES.get(),
    }
}

/// The system's allocator, counting. A test installs it with `#[global_allocator]`.
#[derive(Clone, Copy, Debug, Default)]
pub struct CountingAllocator;

fn count(blocks: i64, bytes: i64) {
    BLOCKS.set(BLOCKS.get() + blocks);
    BYTES.set(BYTES.get() + bytes);
}

/// Sizes of allocations are at most `isize::MAX`.
fn signed(size: usize) -> i64 {
    size as i64
}

// SAFETY: every call is handed to the system's allocator unchanged; counting touches no memory of it.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, signed(layout.size()));
        // SAFETY: the caller keeps what this function asks for, which is what `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(1, signed(layout.size()));
        // SAFETY: as in `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(0, signed(size) - signed(layout.size()));
        // SAFETY: as in `alloc`.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-1, -signed(layout.size()));
        // SAFETY: as in `alloc`.
        unsafe { System.dealloc(block, layout) }
    }
}
