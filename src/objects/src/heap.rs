//! The heap of a thread: blocks recycled through free lists by size, counts of what was allocated and freed, and the
//! release of an object with everything that only it keeps alive.
//!
//! Releasing an object may release the objects it refers to, to any depth. Objects that refer to others are therefore
//! not destroyed where their last reference goes, but put on a list of pending objects that the outermost release works
//! off; the native stack stays flat.
//!
//! The state of a thread has no destructor, so that references held by other thread-local variables can be dropped at
//! any time during the thread's exit. A separate guard returns the recycled blocks to the system.

#![allow(unsafe_code)]

use crate::immortal;
use crate::int::BigInteger;
use crate::object::{FIRST_CLASS, FLAG_BIG, FREED, Header, IMMORTAL, Kind, Object, Ref};
use crate::tuple::Tuple;
use std::alloc::{self, Layout};
use std::cell::Cell;
use std::ptr::{self, NonNull};

/// How many objects this thread has allocated and freed since it started. Immortal objects are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeapStats {
    /// Objects allocated.
    pub allocated: u64,
    /// Objects freed.
    pub freed: u64,
}

impl HeapStats {
    /// Objects that are alive.
    pub fn live(&self) -> u64 {
        self.allocated - self.freed
    }
}

/// The counts of this thread.
pub fn stats() -> HeapStats {
    HEAP.with(|heap| HeapStats {
        allocated: heap.allocated.get(),
        freed: heap.freed.get(),
    })
}

/// Objects are aligned to a word.
const ALIGN: usize = 8;
/// The smallest block: a header and the link of the free list.
const SMALLEST: usize = size_of::<FreeBlock>();
/// The largest block that is recycled.
const LARGEST: usize = 128;
/// One free list per size, in words.
const SIZE_CLASSES: usize = (LARGEST - SMALLEST) / ALIGN + 1;
/// How many blocks a free list keeps: at most half a megabyte per thread over all sizes.
const FREE_LIST_LIMIT: u32 = 512;

/// A recycled block. The header stays readable, so that debug builds notice a second release.
#[repr(C)]
struct FreeBlock {
    header: Header,
    next: *mut FreeBlock,
}

/// An object whose last reference is gone and that still has to be destroyed: the link lies over the reference count.
#[repr(C)]
struct PendingObject {
    next: *mut PendingObject,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing allocated yet: the guard is not registered.
    New,
    Running,
    /// The guard has run: blocks go straight back to the system.
    Exiting,
}

struct Heap {
    allocated: Cell<u64>,
    freed: Cell<u64>,
    free: [Cell<*mut FreeBlock>; SIZE_CLASSES],
    free_length: [Cell<u32>; SIZE_CLASSES],
    pending: Cell<*mut PendingObject>,
    /// Whether a release further up the native stack works the pending list off.
    draining: Cell<bool>,
    phase: Cell<Phase>,
}

thread_local! {
    static HEAP: Heap = const {
        Heap {
            allocated: Cell::new(0),
            freed: Cell::new(0),
            free: [const { Cell::new(ptr::null_mut()) }; SIZE_CLASSES],
            free_length: [const { Cell::new(0) }; SIZE_CLASSES],
            pending: Cell::new(ptr::null_mut()),
            draining: Cell::new(false),
            phase: Cell::new(Phase::New),
        }
    };
    static EXIT_GUARD: ExitGuard = const { ExitGuard };
}

/// Makes an object of a struct whose header is [`Header::new`].
pub(crate) fn allocate<T: Object>(value: T) -> Ref {
    const { assert!(align_of::<T>() <= ALIGN) };
    let block = allocate_block(size_of::<T>()).cast::<T>();
    // SAFETY: the block is new, large enough and aligned (checked below); `Object` makes the struct an object.
    unsafe {
        block.write(value);
        let object = Ref::from_raw(block.as_ptr().cast());
        debug_assert!(
            object.downcast::<T>().is_some(),
            "the header does not fit the struct"
        );
        object
    }
}

/// Makes an object that this thread keeps until it ends; see [`IMMORTAL`]. It is not counted.
pub(crate) fn allocate_immortal<T: Object>(value: T) -> NonNull<Header> {
    const { assert!(align_of::<T>() <= ALIGN) };
    let block = system_allocate(size_of::<T>()).cast::<T>();
    // SAFETY: as in `allocate`.
    unsafe {
        block.write(value);
        let object = block.cast::<Header>();
        object.as_ref().refcount.set(IMMORTAL);
        object
    }
}

/// A block for an object of `size` bytes, counted as allocated. The caller must make an object of it.
///
/// Ends the process when there is no memory, as Rust's collections do.
pub(crate) fn allocate_block(size: usize) -> NonNull<u8> {
    HEAP.with(|heap| {
        heap.allocated.set(heap.allocated.get() + 1);
        heap.take(size).unwrap_or_else(|| {
            heap.register_exit_guard();
            system_allocate(size)
        })
    })
}

/// Destroys an object whose last reference has gone.
///
/// # Safety
/// `object` is an object of this thread, nobody refers to it, and it was not freed before.
pub(crate) unsafe fn free(object: NonNull<Header>) {
    // SAFETY: the caller's promise.
    let header = unsafe { object.as_ref() };
    debug_assert_ne!(header.kind.get(), FREED, "an object is freed twice");
    HEAP.with(|heap| {
        if refers_to_others(header.kind.get()) {
            heap.add_pending(object);
            if !heap.draining.get() {
                heap.drain();
            }
        } else {
            // SAFETY: the caller's promise.
            unsafe { heap.destroy(object) }
        }
    });
}

/// Whether destroying an object of this kind may release further objects.
fn refers_to_others(kind: u32) -> bool {
    const CONTAINERS: [Kind; 29] = [
        Kind::List,
        Kind::Tuple,
        Kind::Range,
        Kind::Slice,
        Kind::ListIterator,
        Kind::TupleIterator,
        Kind::StrIterator,
        Kind::Function,
        Kind::Type,
        Kind::Dict,
        Kind::Set,
        Kind::FrozenSet,
        Kind::DictView,
        Kind::DictIterator,
        Kind::SetIterator,
        Kind::Enumerate,
        Kind::Zip,
        Kind::Reversed,
        Kind::Map,
        Kind::Filter,
        Kind::Code,
        Kind::Cell,
        Kind::Method,
        Kind::BoundBuiltin,
        Kind::Module,
        Kind::Exception,
        Kind::Property,
        Kind::ClassMethod,
        Kind::StaticMethod,
    ];
    const SET: u128 = {
        let mut set = 0;
        let mut index = 0;
        while index < CONTAINERS.len() {
            set |= 1_u128 << CONTAINERS[index] as u32;
            index += 1;
        }
        set
    };
    kind >= FIRST_CLASS || SET >> kind & 1 != 0
}

impl Heap {
    fn add_pending(&self, object: NonNull<Header>) {
        let link = object.cast::<PendingObject>();
        // SAFETY: nobody uses the reference count of an object that is to be destroyed; the link fits over it.
        unsafe {
            link.write(PendingObject {
                next: self.pending.get(),
            })
        };
        self.pending.set(link.as_ptr());
    }

    fn drain(&self) {
        self.draining.set(true);
        while let Some(link) = NonNull::new(self.pending.get()) {
            // SAFETY: what is on the list are objects as `free` received them, linked by `add_pending`.
            unsafe {
                self.pending.set(link.read().next);
                self.destroy(link.cast());
            }
        }
        self.draining.set(false);
    }

    /// # Safety
    /// As [`free`].
    unsafe fn destroy(&self, object: NonNull<Header>) {
        // SAFETY: the caller's promise; the block is not used after it was given back.
        unsafe {
            let size = drop_contents(object);
            self.freed.set(self.freed.get() + 1);
            self.give_back(object, size);
        }
    }

    /// A recycled block.
    fn take(&self, size: usize) -> Option<NonNull<u8>> {
        let class = size_class(size)?;
        let block = NonNull::new(self.free[class].get())?;
        // SAFETY: what is on the list was written by `give_back`.
        self.free[class].set(unsafe { block.as_ref().next });
        self.free_length[class].set(self.free_length[class].get() - 1);
        Some(block.cast())
    }

    /// # Safety
    /// `object` is a block of `size` bytes from [`allocate_block`] whose contents were dropped.
    unsafe fn give_back(&self, object: NonNull<Header>, size: usize) {
        let class = size_class(size).filter(|&class| {
            self.free_length[class].get() < FREE_LIST_LIMIT && self.phase.get() != Phase::Exiting
        });
        let Some(class) = class else {
            // SAFETY: the block came from `system_allocate` with this size.
            return unsafe { system_free(object.cast(), size) };
        };
        let block = object.cast::<FreeBlock>();
        // SAFETY: the block is unused, and no smaller than `FreeBlock` since it has a size class.
        unsafe {
            (&raw mut (*block.as_ptr()).next).write(self.free[class].get());
            if cfg!(debug_assertions) {
                object.as_ref().kind.set(FREED);
            }
        }
        self.free[class].set(block.as_ptr());
        self.free_length[class].set(self.free_length[class].get() + 1);
    }

    #[cold]
    fn register_exit_guard(&self) {
        if self.phase.get() == Phase::New {
            register_exit_guard();
            self.phase.set(Phase::Running);
        }
    }

    fn release_free_lists(&self) {
        for class in 0..SIZE_CLASSES {
            let size = SMALLEST + class * ALIGN;
            while let Some(block) = self.take(size) {
                // SAFETY: what is on the list of this size came from `system_allocate`.
                unsafe { system_free(block, size) };
            }
        }
    }
}

/// The free list for blocks of this size, if they are recycled.
fn size_class(size: usize) -> Option<usize> {
    debug_assert_eq!(size % ALIGN, 0);
    (SMALLEST..=LARGEST)
        .contains(&size)
        .then(|| (size - SMALLEST) / ALIGN)
}

/// Drops what an object owns and returns the size of its block.
///
/// # Safety
/// `object` is an object; afterwards it is only a block.
pub(crate) unsafe fn drop_contents(object: NonNull<Header>) -> usize {
    /// # Safety
    /// `object` is a `T`.
    unsafe fn drop_as<T: Object>(object: NonNull<Header>) -> usize {
        // SAFETY: the caller's promise.
        unsafe { object.cast::<T>().drop_in_place() };
        size_of::<T>()
    }
    use crate::{
        builtin::Builtin, float::Float, function::Function, int::Int, iterator, list::List,
        range::Range, singleton, slice::Slice, str::Str, types::Type,
    };
    // SAFETY: `Object` ties kind and flag to the struct.
    unsafe {
        let header = object.as_ref();
        match Kind::of_number(header.kind.get()) {
            Kind::None => drop_as::<singleton::NoneObject>(object),
            Kind::Bool => drop_as::<singleton::Bool>(object),
            Kind::Int if header.flags.get() & FLAG_BIG != 0 => drop_as::<BigInteger>(object),
            Kind::Int => drop_as::<Int>(object),
            Kind::Float => drop_as::<Float>(object),
            Kind::Str => drop_as::<Str>(object),
            Kind::List => drop_as::<List>(object),
            Kind::Tuple => {
                let tuple = Tuple::from_header(object);
                let size = size_of_val(tuple.as_ref());
                tuple.drop_in_place();
                size
            }
            Kind::Range => drop_as::<Range>(object),
            Kind::Slice => drop_as::<Slice>(object),
            Kind::RangeIterator => drop_as::<iterator::RangeIterator>(object),
            Kind::BigRangeIterator => drop_as::<iterator::BigRangeIterator>(object),
            Kind::ListIterator | Kind::TupleIterator | Kind::StrIterator => {
                drop_as::<iterator::SequenceIterator>(object)
            }
            Kind::Function => drop_as::<Function>(object),
            Kind::Builtin => drop_as::<Builtin>(object),
            Kind::Type => drop_as::<Type>(object),
            Kind::Dict => drop_as::<crate::dict::Dict>(object),
            Kind::Set | Kind::FrozenSet => drop_as::<crate::set::Set>(object),
            Kind::DictView => drop_as::<crate::dict::DictView>(object),
            Kind::DictIterator => drop_as::<crate::dict::DictIterator>(object),
            Kind::SetIterator => drop_as::<crate::set::SetIterator>(object),
            Kind::Enumerate => drop_as::<crate::adapters::Enumerate>(object),
            Kind::Zip => drop_as::<crate::adapters::Zip>(object),
            Kind::Reversed => drop_as::<crate::adapters::Reversed>(object),
            Kind::Map => drop_as::<crate::adapters::Map>(object),
            Kind::Filter => drop_as::<crate::adapters::Filter>(object),
            Kind::Bytes => drop_as::<crate::bytes::Bytes>(object),
            Kind::Code => drop_as::<crate::code::Code>(object),
            Kind::Cell => drop_as::<crate::cell::Cell>(object),
            Kind::Method => drop_as::<crate::method::Method>(object),
            Kind::MethodDescriptor => drop_as::<crate::method::MethodDescriptor>(object),
            Kind::BoundBuiltin => drop_as::<crate::method::BoundBuiltin>(object),
            Kind::Module => drop_as::<crate::module::Module>(object),
            Kind::Exception => drop_as::<crate::exception::Exception>(object),
            Kind::Property => drop_as::<crate::descriptor::Property>(object),
            Kind::ClassMethod => drop_as::<crate::descriptor::ClassMethod>(object),
            Kind::StaticMethod => drop_as::<crate::descriptor::StaticMethod>(object),
            Kind::Instance => crate::instance::drop_contents(object),
        }
    }
}

fn system_allocate(size: usize) -> NonNull<u8> {
    let Ok(layout) = Layout::from_size_align(size, ALIGN) else {
        alloc::handle_alloc_error(Layout::new::<Header>());
    };
    // SAFETY: an object is never of size zero.
    NonNull::new(unsafe { alloc::alloc(layout) })
        .unwrap_or_else(|| alloc::handle_alloc_error(layout))
}

/// # Safety
/// `block` came from [`system_allocate`] with this size.
pub(crate) unsafe fn system_free(block: NonNull<u8>, size: usize) {
    // SAFETY: the layout is the one that `system_allocate` computed without an error.
    unsafe {
        alloc::dealloc(
            block.as_ptr(),
            Layout::from_size_align_unchecked(size, ALIGN),
        )
    }
}

/// Makes the thread return its blocks when it ends. Does nothing during the thread's exit.
pub(crate) fn register_exit_guard() {
    let _ = EXIT_GUARD.try_with(|_| ());
}

struct ExitGuard;

impl Drop for ExitGuard {
    fn drop(&mut self) {
        immortal::release();
        HEAP.with(|heap| {
            heap.phase.set(Phase::Exiting);
            heap.release_free_lists();
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_blocks_are_recycled_and_large_ones_are_not() {
        let first = Ref::int(1).as_ptr();
        assert_eq!(Ref::float(1.0).as_ptr(), first, "of the same size");
        assert_eq!(size_class(SMALLEST), Some(0));
        assert_eq!(size_class(LARGEST), Some(SIZE_CLASSES - 1));
        assert_eq!(size_class(LARGEST + ALIGN), None);
        assert_eq!(size_class(size_of::<Header>()), None);
    }

    #[test]
    fn free_lists_are_bounded() {
        let many = FREE_LIST_LIMIT as i64 * 2;
        drop((0..many).map(Ref::int).collect::<Vec<_>>());
        HEAP.with(|heap| assert!(heap.free_length.iter().all(|n| n.get() <= FREE_LIST_LIMIT)));
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "an object is released after it was freed")]
    fn a_second_release_is_noticed() {
        let object = Ref::int(1).into_raw();
        // SAFETY: the first reference is owned. The second is not, which is what is to be noticed; the block is still
        // there, in its free list.
        unsafe {
            drop(Ref::from_raw(object));
            drop(Ref::from_raw(object));
        }
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "an object is freed twice")]
    fn a_second_free_is_noticed() {
        let object = Ref::float(1.0).into_raw();
        // SAFETY: as above.
        unsafe {
            let object = NonNull::new_unchecked(object);
            object.as_ref().refcount.set(0);
            free(object);
            free(object);
        }
    }
}
