//! Code memory: a persistent arena of memory that is written through one mapping and run from through another, or, where
//! the system forbids that, written first and run from afterwards.
//!
//! # The problem
//! A trace is compiled in about a microsecond, so nothing that asks the kernel may happen per trace: fresh memory that
//! is mapped, protected and unmapped again costs ten times the compilation. Yet no byte may be writable and executable
//! at one address, code must lie within rel32 of the helpers it calls, and memory must be reused as executors die.
//!
//! # The strategy
//! A *segment* is a memory file (memfd) mapped twice for good: one view may be written, the other executed; see below for
//! systems that refuse this. A *block*
//! is a part of a segment. What may be done with it is encoded in who owns it: a [`CodeBlock`] can be written and is
//! consumed by [`CodeBlock::seal`]; a [`SealedBlock`] can be run, and of it only data words can be changed, atomically.
//! Dropping either returns the memory. All that the arena does in the common case is a mutex, an addition, and on
//! dropping a fill.
//!
//! # Invariants
//! 1. No mapping is writable and executable. In dual mode the file is sealed against new writable mappings as soon as it
//!    has its one; the kernel then refuses to make the executable view writable (`F_SEAL_FUTURE_WRITE`, Linux 5.1). In
//!    protect mode a page is either, by turns: only its owner has it changed, when it is sealed and when it is freed.
//! 2. Every byte of a segment is in exactly one of: a live block, the region being carved, the free list, the retired
//!    list. Blocks are therefore disjoint, and `&mut [u8]` into one is exclusive.
//! 3. Retired memory holds nothing but int3, so a stale jump traps at once, and it is not handed out before every core
//!    has been made to forget what it had fetched there.
//! 4. A segment stays mapped until the arena and all its blocks are gone.
//!
//! # When is new code visible to the core that runs it?
//! As soon as it is sealed, and without a system call: `code_memory/coherence.rs` argues why.
//!
//! # Forks
//! The file is shared: a child would run code that its parent frees and overwrites, and overwrite the parent's. Both
//! views are therefore left out of children (`MADV_DONTFORK`). In a child the arena answers [`CodeArena::is_usable`]
//! with false, allocations fail with [`CodeMemoryError::Forked`], and dropping blocks does nothing. Nothing else
//! should be asked of it: another thread may have held the mutex when the process forked. A child that wants to run
//! code makes an arena of its own.
//!
//! # Two modes
//! What a segment is made of is up to the [mode](Mode), and only `backend.rs` knows of it. *Dual* is the two views. *Protect*
//! is one private mapping, for systems that have no memory files or do not let them be executed: its pages are written
//! first, and made executable, and no longer writable, when a block is sealed. Protection goes by pages there, so blocks
//! and [data areas](CodeArena::data_start) start at multiples of the page size, and sealing and dropping a block take a
//! system call each, changing a data word two. [`Mode::Auto`] tries the first and falls back on the second.
//!
//! Each run of pages of one kind is a mapping, of which a process has a limited number. Blocks that were sealed lie side by
//! side as one; what counts is how often a free one lies between them. `pages.rs` keeps count, and bounds it.
#![allow(unsafe_code)]

mod backend;
mod coherence;
mod mapping;
mod pages;
mod pool;

use backend::{Backend, Segment};
use coherence::Barrier;
use mapping::{ForkGuard, mapping_error, refusal, within_reach};
use pool::{Pool, Span};
use std::fmt;
use std::io;
use std::ptr::NonNull;
use std::slice;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Blocks start at multiples of this at least and so do their data areas, in bytes: a cache line, so that neither two
/// blocks nor code and data share one. In protect mode both start at multiples of the page size.
pub const GRANULE: usize = 64;

/// How far from every byte of a segment the address of [`Placement::Near`] may be, in bytes: what a rel32 reaches, less
/// 64 MiB, because the other helpers lie around the one that was named, in a text section of some size.
pub const REACH: usize = (1 << 31) - MARGIN;

const MARGIN: usize = 64 << 20;

/// The size of a page, in bytes: on x86-64 never another.
const PAGE: usize = 4096;

/// int3, which is one byte and therefore traps wherever a jump lands in it.
const INT3: u8 = 0xcc;

/// Retired memory is reclaimed when there is this much of it, in bytes. A barrier interrupts the other cores, which was
/// measured to take 15 us in a virtual machine: 1 MiB shares that among 60 traces of 17 KiB, and is still in the
/// second-level cache when it is used again.
const RECLAIM_BATCH: usize = 1 << 20;

/// What went wrong with code memory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodeMemoryError {
    /// There is no memory file to be had, or none of this size (`ulimit -f`).
    #[error("no memory file of {len} bytes for code: {call} failed")]
    MemoryFile {
        /// The system call that failed, or would have.
        call: &'static str,
        /// The size of the file in bytes.
        len: usize,
        /// What the system said.
        source: io::Error,
    },
    /// The system does not let this process have executable memory. An interpreter still works.
    #[error(
        "{len} bytes of code memory may not be mapped executable: a security policy (SELinux, PaX, a seccomp filter) \
         or a shared memory mount with noexec forbids it"
    )]
    ExecutableRefused {
        /// The size of the mapping in bytes.
        len: usize,
        /// What the system said.
        source: io::Error,
    },
    /// Memory could not be mapped for a reason that has nothing to do with execution.
    #[error("{len} bytes could not be mapped for {what}")]
    Mapping {
        /// What the mapping was for.
        what: &'static str,
        /// Its size in bytes.
        len: usize,
        /// What the system said.
        source: io::Error,
    },
    /// [`Placement::FarFrom`] cannot be had.
    #[error("no room for {len} bytes of code out of reach of {address:#x}")]
    NoFarRoom {
        /// The size of the segment in bytes.
        len: usize,
        /// The address to be far from.
        address: usize,
    },
    /// The arena has grown to its maximum and has no contiguous room left.
    #[error(
        "code memory is full: {requested} bytes wanted, {in_use} in use and {retired} not yet reclaimed of {reserved}, \
         {maximum} allowed in segments of {segment_len}"
    )]
    OutOfMemory {
        /// Bytes wanted, rounded up to [`GRANULE`] or, in protect mode, to pages.
        requested: usize,
        /// Bytes in live blocks.
        in_use: usize,
        /// Bytes freed but not usable yet.
        retired: usize,
        /// Bytes in all segments.
        reserved: usize,
        /// [`ArenaOptions::max_len`].
        maximum: usize,
        /// [`ArenaOptions::segment_len`], rounded up to pages.
        segment_len: usize,
    },
    /// A block or segment was wanted that no segment or address space can hold.
    #[error("{requested} bytes of code memory wanted in one piece, at most {maximum} are possible")]
    TooLarge {
        /// Bytes wanted.
        requested: usize,
        /// The largest possible number.
        maximum: usize,
    },
    /// A block was sealed with more code than it has bytes: an error in the caller's layout.
    #[error("a block of {len} bytes was sealed with {code_len} bytes of code")]
    CodeBeyondBlock {
        /// Bytes of code.
        code_len: usize,
        /// Bytes in the block.
        len: usize,
    },
    /// In protect mode: the executable pages of this process lie in too many pieces, each of which is a mapping.
    #[error(
        "code memory takes {found} mappings of this process, and more than {limit} would leave it too few of those that it \
         may have (three quarters of vm.max_map_count)"
    )]
    TooManyMappings {
        /// How many there are.
        found: usize,
        /// How many there may be.
        limit: usize,
    },
    /// The arena belongs to a parent process.
    #[error("code memory is not inherited by a forked process: make a new arena")]
    Forked,
}

/// Where segments go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Placement {
    /// Within [`REACH`] of this address, so that rel32 reaches it from every byte, and anywhere where no such room is
    /// left: see [`CodeBlock::reaches`] and [`SegmentInfo::in_reach`].
    Near(usize),
    /// Wherever the kernel likes.
    #[default]
    Anywhere,
    /// Out of rel32's reach of this address, for tests of what happens then.
    FarFrom(usize),
}

/// How it is arranged that code can be written and executed without ever being both at once. See the
/// [module](self#two-modes).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Dual where the system lets this process have it, otherwise protect.
    #[default]
    Auto,
    /// Two views of one memory file: no system calls for a block.
    Dual,
    /// One mapping whose pages are made executable when they are sealed. Each free block between others takes up to two
    /// mappings more, of which Linux has 65,530 for a process at first (`vm.max_map_count`); all arenas together take three
    /// quarters of them at most.
    Protect,
}

/// How an arena is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArenaOptions {
    /// How memory is written and executed.
    pub mode: Mode,
    /// Where segments go.
    pub placement: Placement,
    /// Bytes in a segment, rounded up to pages; also the largest block. Segments take memory only as they are used.
    pub segment_len: usize,
    /// Bytes in all segments together.
    pub max_len: usize,
}

impl Default for ArenaOptions {
    /// Segments of 16 MiB: about 1,000 traces of 1,000 uops between two mappings, and a trace of 100,000 uops fits. At
    /// most 1 GiB, so that all of it can lie within reach of one address.
    fn default() -> Self {
        Self {
            mode: Mode::Auto,
            placement: Placement::Anywhere,
            segment_len: 16 << 20,
            max_len: 1 << 30,
        }
    }
}

/// How much memory an arena has and uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ArenaStats {
    /// Segments mapped.
    pub segments: usize,
    /// Bytes in all segments.
    pub reserved: usize,
    /// Bytes in live blocks, each rounded up to [`GRANULE`] or, in protect mode, to pages.
    pub in_use: usize,
    /// Bytes freed that wait for the next barrier.
    pub retired: usize,
    /// Live blocks, written or sealed.
    pub blocks: usize,
    /// Barriers made so far to reclaim retired memory.
    pub barriers: u64,
}

/// One segment of an arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Where its code executes.
    pub address: usize,
    /// Its size in bytes.
    pub len: usize,
    /// Whether all of it is within [`REACH`] of the address of [`Placement::Near`]; false for other placements.
    pub in_reach: bool,
}

/// An arena of code memory. See the module's documentation for how it works.
pub struct CodeArena {
    backend: Backend,
    placement: Placement,
    segment_len: usize,
    max_len: usize,
    reclaim_batch: usize,
    barrier: Option<Barrier>,
    fork_guard: ForkGuard,
    /// How many mappings the arenas of this process may take in protect mode.
    most_mappings: usize,
    state: Mutex<State>,
}

/// What the mutex protects.
#[derive(Default)]
struct State {
    segments: Vec<Segment>,
    pool: Pool,
    /// Freed, but still executable: to make them writable would take too many mappings so far.
    deferred: Vec<Span>,
    in_use: usize,
    blocks: usize,
    barriers: u64,
}

impl CodeArena {
    /// An arena with its first segment, so that a system without executable memory is noticed here.
    ///
    /// Where the system has no `membarrier` (before Linux 4.16, some sandboxes), freed memory is not used again.
    ///
    /// # Errors
    /// When executable memory, or memory at all, is refused; when the sizes in `options` cannot be.
    pub fn new(options: ArenaOptions) -> Result<Arc<Self>, CodeMemoryError> {
        Self::with_mappings(options, pages::most_mappings())
    }

    fn with_mappings(
        options: ArenaOptions,
        most_mappings: usize,
    ) -> Result<Arc<Self>, CodeMemoryError> {
        let too_large = CodeMemoryError::TooLarge {
            requested: options.segment_len,
            maximum: mapping::MAX_LEN,
        };
        let segment_len = options
            .segment_len
            .max(1)
            .checked_next_multiple_of(PAGE)
            .filter(|&len| len <= mapping::MAX_LEN)
            .ok_or(too_large)?;
        if segment_len > options.max_len {
            let nothing = ArenaStats::default();
            return Err(full(nothing, segment_len, options.max_len, segment_len));
        }
        let (backend, first) = Backend::open(options.mode, segment_len, options.placement)?;
        let mut state = State::default();
        state.add(first);
        Ok(Arc::new(Self {
            backend,
            placement: options.placement,
            segment_len,
            max_len: options.max_len,
            reclaim_batch: RECLAIM_BATCH.min(segment_len / 4),
            barrier: Barrier::register(),
            fork_guard: ForkGuard::new()?,
            most_mappings,
            state: Mutex::new(state),
        }))
    }

    /// In which mode this process may have executable memory: what [`Mode::Auto`] comes to, for segments of the
    /// [default](ArenaOptions::default) size.
    ///
    /// # Errors
    /// Says why it may not have any.
    pub fn probe() -> Result<Mode, CodeMemoryError> {
        let options = ArenaOptions::default();
        let (backend, _) = Backend::open(Mode::Auto, options.segment_len, options.placement)?;
        Ok(backend.mode())
    }

    /// The mode that the arena works in: dual or protect.
    pub fn mode(&self) -> Mode {
        self.backend.mode()
    }

    /// A block of `len` bytes to write code and data into.
    ///
    /// Its bytes are whatever was there before: zero or int3.
    ///
    /// # Errors
    /// When no segment is large enough, the arena is full, its system refuses another segment, or the process is a fork
    /// of the one that made the arena.
    pub fn allocate(self: &Arc<Self>, len: usize) -> Result<CodeBlock, CodeMemoryError> {
        if !self.is_usable() {
            return Err(CodeMemoryError::Forked);
        }
        let span_len = len
            .max(1)
            .checked_next_multiple_of(self.backend.granule())
            .filter(|&span_len| span_len <= self.segment_len)
            .ok_or(CodeMemoryError::TooLarge {
                requested: len,
                maximum: self.segment_len,
            })?;
        let mut state = self.lock();
        let span = self.carve(&mut state, span_len)?;
        state.in_use += span.len;
        state.blocks += 1;
        let (write, address) = state.segments[span.segment].place(span.offset);
        drop(state);
        Ok(CodeBlock(Allocation {
            arena: Arc::clone(self),
            span,
            write,
            address,
            len,
            published: false,
        }))
    }

    /// Where the data area starts in a block with `code_len` bytes of code: the next multiple of [`GRANULE`] or, in protect
    /// mode, of the page size.
    ///
    /// Layout must ask this rather than assume it.
    pub fn data_start(&self, code_len: usize) -> usize {
        code_len
            .checked_next_multiple_of(self.backend.granule())
            .unwrap_or(usize::MAX)
    }

    /// How much memory there is and is used.
    pub fn stats(&self) -> ArenaStats {
        self.lock().stats()
    }

    /// The segments, in the order in which they were mapped.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        let info = |segment: &Segment| {
            let range = segment.executable_range();
            SegmentInfo {
                address: range.start,
                len: range.len(),
                in_reach: matches!(self.placement, Placement::Near(target) if within_reach(&range, target)),
            }
        };
        self.lock().segments.iter().map(info).collect()
    }

    /// Whether this process made the arena. False in a forked child, which has none of the code.
    pub fn is_usable(&self) -> bool {
        self.fork_guard.is_original()
    }

    /// Takes `len` bytes, a multiple of the granule, reclaiming or growing where needed.
    ///
    /// Growing is preferred to a barrier for less than a batch: what that wastes is bounded by the batch, while an arena
    /// that is nearly full would pay for a barrier at every allocation.
    fn carve(&self, state: &mut State, len: usize) -> Result<Span, CodeMemoryError> {
        if state.pool.retired_len >= self.reclaim_batch {
            state.reclaim(self.barrier);
        }
        if let Some(span) = state.pool.carve(len) {
            return Ok(span);
        }
        self.withdraw_deferred(state);
        let grown = self.grow(state, len);
        if grown.is_err() {
            state.reclaim(self.barrier);
        }
        let too_large = CodeMemoryError::TooLarge {
            requested: len,
            maximum: self.segment_len,
        };
        state
            .pool
            .carve(len)
            .ok_or_else(|| grown.err().unwrap_or(too_large))
    }

    /// Maps another segment, for the sake of `requested` bytes.
    fn grow(&self, state: &mut State, requested: usize) -> Result<(), CodeMemoryError> {
        let stats = state.stats();
        if stats
            .reserved
            .checked_add(self.segment_len)
            .is_none_or(|len| len > self.max_len)
        {
            return Err(full(stats, requested, self.max_len, self.segment_len));
        }
        state.add(self.backend.segment(self.segment_len, self.placement)?);
        Ok(())
    }

    /// Makes a span executable.
    ///
    /// # Safety
    /// The span is the caller's alone, and holds code or data.
    unsafe fn publish(&self, span: Span) -> Result<(), CodeMemoryError> {
        let mut state = self.lock();
        let segment = &mut state.segments[span.segment];
        segment
            .note(span, true, self.most_mappings)
            .map_err(|found| CodeMemoryError::TooManyMappings {
                found,
                limit: self.most_mappings,
            })?;
        let (write, _) = segment.place(span.offset);
        // SAFETY: as the caller promises; spans are whole granules.
        unsafe { self.backend.publish(write, span.len) }
            .map_err(|source| refusal("executing code", span.len, source))
    }

    /// Makes a span that was published writable again. `None` where that would take too many mappings now.
    ///
    /// # Safety
    /// The span is nobody else's, and nothing executes in it.
    unsafe fn withdraw(&self, state: &mut State, span: Span) -> Option<io::Result<()>> {
        let segment = &mut state.segments[span.segment];
        segment.note(span, false, self.most_mappings).ok()?;
        let (write, _) = segment.place(span.offset);
        // SAFETY: as the caller promises; spans are whole granules.
        Some(unsafe { self.backend.withdraw(write, span.len) })
    }

    /// Retires what was freed when there were too many mappings, as far as there are fewer now.
    fn withdraw_deferred(&self, state: &mut State) {
        let mut deferred = std::mem::take(&mut state.deferred);
        // Next to one that is writable already, a span takes no mapping.
        deferred.sort_unstable();
        for span in deferred {
            // SAFETY: the block is gone, and who ran it answers for that nothing executes in it.
            match unsafe { self.withdraw(state, span) } {
                None => state.deferred.push(span),
                Some(Ok(())) => {
                    let (write, _) = state.segments[span.segment].place(span.offset);
                    // SAFETY: the span is nobody's, mapped, and writable again.
                    unsafe { write.write_bytes(INT3, span.len) };
                    state.pool.retire(span);
                }
                // It stays as it is.
                Some(Err(_)) => {}
            }
        }
    }

    /// Stores a word that was published, `offset` bytes into its segment.
    ///
    /// # Safety
    /// The word is data of a block that lives, aligned, and only accessed atomically; no code is in its page where pages
    /// are protected.
    unsafe fn store(&self, segment: usize, offset: usize, value: u64) -> io::Result<()> {
        // While it is held nobody else changes the page.
        let state = self.lock();
        let (word, _) = state.segments[segment].place(offset);
        let page = match self.backend {
            Backend::Dual => None,
            Backend::Protect => Some(state.segments[segment].place(offset & !(PAGE - 1)).0),
        };
        if let Some(page) = page {
            // SAFETY: data of the caller's block alone, which stays readable.
            unsafe { self.backend.withdraw(page, PAGE) }?;
        }
        // SAFETY: as the caller promises; it is writable now.
        unsafe { AtomicU64::from_ptr(word.as_ptr().cast()) }.store(value, Ordering::SeqCst);
        if let Some(page) = page {
            // SAFETY: as above. Where it fails the page stays writable, and not executable, which data may be.
            let _ = unsafe { self.backend.publish(page, PAGE) };
        }
        Ok(())
    }

    /// Takes back a span that its block has filled with int3.
    fn retire(&self, span: Span) {
        let mut state = self.lock();
        state.in_use -= span.len;
        state.blocks -= 1;
        state.pool.retire(span);
    }

    /// Gives up a span that cannot be written any more: it stays as it is, and in use.
    fn abandon(&self) {
        self.lock().blocks -= 1;
    }

    /// The state. Nothing panics while it is locked, so a poisoned mutex does not mean a broken state.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn full(
    stats: ArenaStats,
    requested: usize,
    maximum: usize,
    segment_len: usize,
) -> CodeMemoryError {
    CodeMemoryError::OutOfMemory {
        requested,
        in_use: stats.in_use,
        retired: stats.retired,
        reserved: stats.reserved,
        maximum,
        segment_len,
    }
}

impl Drop for CodeArena {
    fn drop(&mut self) {
        if !self.is_usable() {
            // The segments are not mapped here; other memory may be at their addresses by now.
            let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
            std::mem::forget(std::mem::take(&mut state.segments));
        }
    }
}

impl fmt::Debug for CodeArena {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CodeArena")
            .field("placement", &self.placement)
            .field("segments", &self.segments())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl State {
    /// Adds a segment that is new, and therefore zero.
    fn add(&mut self, segment: Segment) {
        self.pool.add(Span {
            segment: self.segments.len(),
            offset: 0,
            len: segment.executable_range().len(),
        });
        self.segments.push(segment);
    }

    fn stats(&self) -> ArenaStats {
        ArenaStats {
            segments: self.segments.len(),
            reserved: self
                .segments
                .iter()
                .map(|segment| segment.executable_range().len())
                .sum(),
            in_use: self.in_use,
            retired: self.pool.retired_len
                + self.deferred.iter().map(|span| span.len).sum::<usize>(),
            blocks: self.blocks,
            barriers: self.barriers,
        }
    }

    /// Makes retired memory usable again, if this system has a barrier.
    fn reclaim(&mut self, barrier: Option<Barrier>) {
        let Some(barrier) = barrier.filter(|_| self.pool.retired_len != 0) else {
            return;
        };
        if !barrier.wait() {
            return;
        }
        self.barriers += 1;
        for span in self.pool.reclaim() {
            let (_, address) = self.segments[span.segment].place(span.offset);
            coherence::discard_translations(address, span.len);
        }
    }
}

/// Memory of an arena, given back when dropped.
struct Allocation {
    arena: Arc<CodeArena>,
    span: Span,
    /// The block in the writable view.
    write: NonNull<u8>,
    /// The block in the executable view.
    address: usize,
    /// What was asked for; at most `span.len`.
    len: usize,
    /// Whether it was published, as far as one knows.
    published: bool,
}

// SAFETY: `write` points to memory that this value alone owns (invariant 2) and that stays mapped as long as `arena`
// does (invariant 4); no thread is special to either.
unsafe impl Send for Allocation {}
// SAFETY: what can be done through `&Allocation` is reading code, which no longer changes once `&SealedBlock` can exist,
// and loading and storing words of the data area atomically.
unsafe impl Sync for Allocation {}

impl Allocation {
    /// `len`, at most the span's, or 0 in a forked child: what may be accessed, for the views are not mapped there.
    fn accessible(&self, len: usize) -> usize {
        if self.arena.is_usable() {
            len.min(self.span.len)
        } else {
            0
        }
    }

    /// The first `len` bytes of the span, or as many as are accessible.
    fn bytes_mut(&mut self, len: usize) -> &mut [u8] {
        let len = self.accessible(len);
        // SAFETY: `len` bytes from `write` are mapped writable, initialised (zero, int3 or what was written since) and
        // ours alone; the borrow of `self` keeps them so.
        unsafe { slice::from_raw_parts_mut(self.write.as_ptr(), len) }
    }

    fn reaches(&self, target: usize) -> bool {
        within_reach(&(self.address..self.address + self.len), target)
    }

    fn debug(&self, f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
        f.debug_struct(name)
            .field("address", &format_args!("{:#x}", self.address))
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

impl Drop for Allocation {
    fn drop(&mut self) {
        if !self.arena.is_usable() {
            return;
        }
        if self.published {
            let mut state = self.arena.lock();
            // SAFETY: the span is ours until it is retired, and who ran it answers for that nothing does any more.
            match unsafe { self.arena.withdraw(&mut state, self.span) } {
                Some(Ok(())) => {}
                // This can only happen where the kernel has no memory, or no mapping more, to note the change with.
                Some(Err(_)) => {
                    drop(state);
                    self.arena.abandon();
                    return;
                }
                None => {
                    state.in_use -= self.span.len;
                    state.blocks -= 1;
                    state.deferred.push(self.span);
                    return;
                }
            }
        }
        self.bytes_mut(self.span.len).fill(INT3);
        self.arena.retire(self.span);
    }
}

/// A block of code memory that is being written, and cannot be run: nothing says yet that its code is complete.
pub struct CodeBlock(Allocation);

impl CodeBlock {
    /// The address at which the block's first byte will execute: P of its relocations. A multiple of [`GRANULE`] at least.
    pub fn address(&self) -> usize {
        self.0.address
    }

    /// Bytes in the block.
    pub fn len(&self) -> usize {
        self.0.len
    }

    /// Whether the block has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether `target` is within [`REACH`] of every byte.
    pub fn reaches(&self, target: usize) -> bool {
        self.0.reaches(target)
    }

    /// The block's bytes; empty in a forked child.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.0.bytes_mut(self.0.len)
    }

    /// Ends the writing: the first `code_len` bytes are code from now on, and those from
    /// [`CodeArena::data_start`] are data.
    ///
    /// The gap between them, or to the end of the memory, is filled with int3. Whoever gets the address from this thread by
    /// means that order memory (a lock, a channel, an atomic with release and acquire) can run the code.
    ///
    /// # Errors
    /// When the block has fewer than `code_len` bytes, and in protect mode when the system refuses to make it executable;
    /// it is freed then.
    pub fn seal(mut self, code_len: usize) -> Result<SealedBlock, CodeMemoryError> {
        let len = self.len();
        if code_len > len {
            return Err(CodeMemoryError::CodeBeyondBlock { code_len, len });
        }
        let data_start = self.0.arena.data_start(code_len);
        if let Some(gap) = self.0.bytes_mut(data_start).get_mut(code_len..) {
            gap.fill(INT3);
        }
        if self.0.arena.is_usable() {
            // SAFETY: the block is ours; what is to be changed in it later is changed by `CodeArena::store`.
            let published = unsafe { self.0.arena.publish(self.0.span) };
            // What fails may be done in part.
            self.0.published = !matches!(published, Err(CodeMemoryError::TooManyMappings { .. }));
            published?;
        }
        Ok(SealedBlock {
            allocation: self.0,
            code_len,
            data_start,
        })
    }
}

impl fmt::Debug for CodeBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.debug(f, "CodeBlock")
    }
}

/// A block of finished code and its data. Its code can no longer be written.
///
/// To call [`address`](Self::address) is unsafe in itself, and who does it answers for this: nothing executes in the
/// block or returns into it when it is dropped.
pub struct SealedBlock {
    allocation: Allocation,
    code_len: usize,
    data_start: usize,
}

impl SealedBlock {
    /// The address at which the block's first byte executes.
    pub fn address(&self) -> usize {
        self.allocation.address
    }

    /// Bytes in the block, code and data.
    pub fn len(&self) -> usize {
        self.allocation.len
    }

    /// Whether the block has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether `target` is within [`REACH`] of every byte.
    pub fn reaches(&self, target: usize) -> bool {
        self.allocation.reaches(target)
    }

    /// The arena that the block belongs to.
    pub fn arena(&self) -> &Arc<CodeArena> {
        &self.allocation.arena
    }

    /// Whether the code is mapped in this process: false in a forked child. Check before running it.
    pub fn is_usable(&self) -> bool {
        self.allocation.arena.is_usable()
    }

    /// The code as it executes, for those who look at it; empty in a forked child.
    pub fn code(&self) -> &[u8] {
        let len = self.allocation.accessible(self.code_len);
        // SAFETY: the code's bytes are mapped, initialised, and never written again while `self` lives.
        unsafe { slice::from_raw_parts(self.allocation.write.as_ptr(), len) }
    }

    /// The data word `offset` bytes from the start of the block.
    ///
    /// None where the word is not aligned to 8 bytes or not wholly in the data area, and in a forked child.
    pub fn load_u64(&self, offset: usize) -> Option<u64> {
        self.is_data_word(offset).then(|| {
            let word = self.allocation.write.as_ptr();
            // SAFETY: the word is in the data area of our block, mapped readable and initialised; blocks start at multiples
            // of 64 at least, so it is aligned. It is accessed here and in `CodeArena::store` only, atomically.
            unsafe { AtomicU64::from_ptr(word.add(offset).cast()) }.load(Ordering::SeqCst)
        })
    }

    /// Stores a data word, which the code sees. Returns whether there is such a word: see [`load_u64`](Self::load_u64).
    ///
    /// Meant for words that seldom change, such as the links of exits: processors that watch for self-modifying code
    /// slow down when data close to running code is written in a loop, and in protect mode it takes two system calls.
    ///
    /// # Errors
    /// In protect mode, where the system does not let the word's page be made writable: it has no mapping left.
    pub fn store_u64(&self, offset: usize, value: u64) -> Result<bool, CodeMemoryError> {
        match self.load_u64(offset) {
            None => Ok(false),
            Some(found) if found == value => Ok(true),
            Some(_) => {
                let span = self.allocation.span;
                let arena = &self.allocation.arena;
                // SAFETY: it is a data word of our block, and data areas start at granules of their own.
                unsafe { arena.store(span.segment, span.offset + offset, value) }
                    .map_err(mapping_error("changing data", size_of::<u64>()))?;
                Ok(true)
            }
        }
    }

    fn is_data_word(&self, offset: usize) -> bool {
        let accessible = self.allocation.accessible(self.len());
        let ends_inside = offset
            .checked_add(size_of::<u64>())
            .is_some_and(|end| end <= accessible);
        offset >= self.data_start && ends_inside && offset.is_multiple_of(align_of::<AtomicU64>())
    }
}

impl fmt::Debug for SealedBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.allocation.debug(f, "SealedBlock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rustix::io::Errno;
    use rustix::mm::{MapFlags, MprotectFlags, MsyncFlags, ProtFlags};
    use rustix::process::{Resource, Rlimit};
    use std::collections::BTreeSet;
    use std::ffi::c_void;
    use std::io::ErrorKind;
    use std::ops::Range;
    use std::os::unix::process::CommandExt;
    use std::process::Command;
    use std::ptr;
    use std::sync::mpsc;
    use std::thread;

    const KIB: usize = 1 << 10;

    const MODES: [Mode; 2] = [Mode::Dual, Mode::Protect];

    fn arena(mode: Mode, segment_len: usize, max_len: usize) -> Arc<CodeArena> {
        placed(mode, Placement::Anywhere, segment_len, max_len)
    }

    fn placed(
        mode: Mode,
        placement: Placement,
        segment_len: usize,
        max_len: usize,
    ) -> Arc<CodeArena> {
        let arena = CodeArena::new(ArenaOptions {
            mode,
            placement,
            segment_len,
            max_len,
        });
        let arena = arena.expect("executable memory is there");
        assert_eq!(arena.mode(), mode);
        arena
    }

    /// `mov eax, number; ret`.
    fn returning(number: u32) -> [u8; 6] {
        let [a, b, c, d] = number.to_le_bytes();
        [0xb8, a, b, c, d, 0xc3]
    }

    fn sealed(arena: &Arc<CodeArena>, code: &[u8]) -> SealedBlock {
        let mut block = arena.allocate(code.len()).expect("there is room");
        block.bytes_mut().copy_from_slice(code);
        block.seal(code.len()).expect("the code fills the block")
    }

    /// Calls a block made of [`returning`].
    fn call(block: &SealedBlock) -> u32 {
        let code: *const u8 = ptr::with_exposed_provenance(block.address());
        // SAFETY: the block holds a complete function of this type and lives through the call.
        unsafe { std::mem::transmute::<*const u8, extern "C" fn() -> u32>(code)() }
    }

    /// Reads through the executable view, as a processor would.
    fn executable_bytes(address: usize, len: usize) -> Vec<u8> {
        let bytes: *const u8 = ptr::with_exposed_provenance(address);
        // SAFETY: tests ask for memory of arenas that live and that no thread is writing.
        (0..len)
            .map(|offset| unsafe { bytes.add(offset).read_volatile() })
            .collect()
    }

    /// A line of /proc/self/maps.
    #[derive(Debug)]
    struct MapsLine {
        range: Range<usize>,
        permissions: String,
        inode: u64,
        line: String,
    }

    fn maps() -> Vec<MapsLine> {
        let parse = |line: &str| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (start, end) = fields[0].split_once('-').unwrap();
            let hex = |text| usize::from_str_radix(text, 16).unwrap();
            MapsLine {
                range: hex(start)..hex(end),
                permissions: fields[1].to_owned(),
                inode: fields[4].parse().unwrap(),
                line: line.to_owned(),
            }
        };
        std::fs::read_to_string("/proc/self/maps")
            .unwrap()
            .lines()
            .map(parse)
            .collect()
    }

    /// The mappings of the memory file that executes at `address`.
    fn views_at(address: usize) -> Vec<MapsLine> {
        let lines = maps();
        let inode = lines
            .iter()
            .find(|line| line.range.contains(&address))
            .expect("the address is mapped")
            .inode;
        lines
            .into_iter()
            .filter(|line| line.inode == inode && line.line.contains("mimeo-code"))
            .collect()
    }

    #[test]
    fn executable_memory_can_be_had() {
        let mode = CodeArena::probe().unwrap();
        let options = ArenaOptions {
            segment_len: 4 * KIB,
            ..ArenaOptions::default()
        };
        assert_eq!(CodeArena::new(options).unwrap().mode(), mode);
        assert_ne!(mode, Mode::Auto);
    }

    #[test]
    fn code_runs_at_the_address_it_was_given() {
        for mode in MODES {
            let arena = arena(mode, 400 * KIB, 400 * KIB);
            let blocks: Vec<_> = (0..100)
                .map(|number| sealed(&arena, &returning(number)))
                .collect();
            for (number, block) in (0..).zip(&blocks) {
                assert_eq!(call(block), number);
                assert_eq!(block.code(), returning(number));
                assert_eq!(executable_bytes(block.address(), 6), returning(number));
            }
        }
    }

    #[test]
    fn a_block_runs_in_threads_that_exist_before_it_does() {
        blocks_run_in_another_thread(Mode::Dual, 4 * KIB, 20_000);
    }

    #[test]
    fn a_block_of_protected_pages_runs_in_threads_that_exist_before_it_does() {
        blocks_run_in_another_thread(Mode::Protect, 64 * KIB, 5_000);
    }

    fn blocks_run_in_another_thread(mode: Mode, segment_len: usize, count: u32) {
        let arena = arena(mode, segment_len, segment_len);
        let (send, receive) = mpsc::channel::<(u32, SealedBlock)>();
        let runner = thread::spawn(move || {
            for (number, block) in receive {
                assert_eq!(call(&block), number);
            }
        });
        for number in 0..count {
            // The other thread frees: room comes back when it has got so far.
            let block = loop {
                match arena.allocate(64) {
                    Ok(block) => break block,
                    Err(CodeMemoryError::OutOfMemory { .. }) => thread::yield_now(),
                    Err(error) => panic!("{error}"),
                }
            };
            let mut block = block;
            block.bytes_mut()[..6].copy_from_slice(&returning(number));
            send.send((number, block.seal(6).unwrap())).unwrap();
        }
        drop(send);
        runner.join().unwrap();
        assert_eq!(arena.stats().blocks, 0);
        assert!(
            arena.stats().barriers > 100,
            "addresses were not used again: {:?}",
            arena.stats()
        );
    }

    #[test]
    fn threads_allocate_run_and_free_concurrently() {
        threads_share(&arena(Mode::Dual, 16 * KIB, 256 * KIB), 5_000);
    }

    #[test]
    fn threads_allocate_run_and_free_protected_pages_concurrently() {
        threads_share(&arena(Mode::Protect, 128 * KIB, 512 * KIB), 1_000);
    }

    fn threads_share(arena: &Arc<CodeArena>, steps: u32) {
        let work = |thread: u32| {
            let mut kept: Vec<(u32, SealedBlock)> = Vec::new();
            for step in 0..steps {
                let number = thread << 16 | step;
                let mut code = returning(number).to_vec();
                code.resize(6 + step as usize * 37 % 1_000, INT3);
                kept.push((number, sealed(arena, &code)));
                if kept.len() == 20 {
                    let (number, block) = kept.swap_remove(step as usize % 20);
                    assert_eq!(call(&block), number);
                }
            }
            kept.iter()
                .for_each(|(number, block)| assert_eq!(call(block), *number));
        };
        thread::scope(|scope| (0..4).for_each(|number| drop(scope.spawn(move || work(number)))));
        let stats = arena.stats();
        assert_eq!((stats.blocks, stats.in_use), (0, 0));
        assert!(
            stats.barriers > 0,
            "addresses were not used again: {stats:?}"
        );
    }

    #[test]
    fn near_is_within_reach_and_far_is_not() {
        // Of the test's own program, of a library, and of the ends of the address space.
        let targets = [
            arena as fn(_, _, _) -> _ as usize,
            libc_address(),
            0,
            64 * KIB,
            1 << 31,
            (1 << 47) - 1,
        ];
        for target in targets {
            for segment_len in [4 * KIB, 1 << 20, 16 << 20] {
                let near = placed(
                    Mode::Dual,
                    Placement::Near(target),
                    segment_len,
                    4 * segment_len,
                );
                let blocks: Vec<_> = (0..4)
                    .map(|_| near.allocate(segment_len).unwrap())
                    .collect();
                for (block, segment) in blocks.iter().zip(near.segments()) {
                    assert_eq!(
                        (block.address(), block.len()),
                        (segment.address, segment.len)
                    );
                    assert!(
                        segment.in_reach && block.reaches(target),
                        "{segment:x?} is far from {target:#x}"
                    );
                    for place in [segment.address, segment.address + segment.len] {
                        assert!(i32::try_from(target.wrapping_sub(place) as i64).is_ok());
                    }
                }
                let far = placed(
                    Mode::Dual,
                    Placement::FarFrom(target),
                    segment_len,
                    2 * segment_len,
                );
                let blocks: Vec<_> = (0..2).map(|_| far.allocate(segment_len).unwrap()).collect();
                for (block, segment) in blocks.iter().zip(far.segments()) {
                    assert!(
                        !segment.in_reach && !block.reaches(target),
                        "{segment:x?} is near {target:#x}"
                    );
                    for place in [segment.address, segment.address + segment.len] {
                        assert!(i32::try_from(target.wrapping_sub(place) as i64).is_err());
                    }
                }
            }
        }
    }

    fn libc_address() -> usize {
        maps()
            .iter()
            .find(|line| line.line.contains("libc"))
            .expect("std needs libc")
            .range
            .start
    }

    #[test]
    fn near_falls_back_to_anywhere() {
        for mode in MODES {
            let arena = placed(mode, Placement::Near(usize::MAX), 4 * KIB, 4 * KIB);
            assert!(!arena.segments()[0].in_reach);
            assert_eq!(call(&sealed(&arena, &returning(7))), 7);
        }
    }

    #[test]
    fn protected_pages_are_near_too() {
        let target = arena as fn(_, _, _) -> _ as usize;
        let near = placed(Mode::Protect, Placement::Near(target), 1 << 20, 1 << 20);
        assert!(sealed(&near, &returning(1)).reaches(target));
        let far = placed(Mode::Protect, Placement::FarFrom(target), 1 << 20, 1 << 20);
        assert!(!sealed(&far, &returning(1)).reaches(target));
    }

    #[test]
    fn nothing_is_writable_and_executable_nor_can_become_it() {
        let arena = arena(Mode::Dual, 64 * KIB, 64 * KIB);
        let block = sealed(&arena, &returning(1));
        let views = views_at(block.address());
        let mut permissions: Vec<&str> =
            views.iter().map(|view| view.permissions.as_str()).collect();
        permissions.sort_unstable();
        assert_eq!(permissions, ["r-xs", "rw-s"]);
        nothing_is_both();
        let page: *mut c_void = ptr::with_exposed_provenance_mut(arena.segments()[0].address);
        let writable = MprotectFlags::READ | MprotectFlags::WRITE;
        // SAFETY: what is asked for is refused.
        let changed = unsafe { rustix::mm::mprotect(page, PAGE, writable) };
        assert_eq!(changed, Err(Errno::ACCESS));
        assert_eq!(call(&block), 1);
    }

    /// Of the whole process: valgrind, which has such mappings of its own, fails these tests.
    fn nothing_is_both() {
        let is_both =
            |line: &MapsLine| line.permissions.contains('w') && line.permissions.contains('x');
        let both: Vec<MapsLine> = maps().into_iter().filter(is_both).collect();
        assert!(both.is_empty(), "{both:?}");
    }

    fn permissions_at(address: usize) -> String {
        let line = maps()
            .into_iter()
            .find(|line| line.range.contains(&address));
        line.expect("the address is mapped").permissions
    }

    #[test]
    fn protected_pages_are_writable_or_executable_by_turns() {
        let arena = arena(Mode::Protect, 64 * KIB, 64 * KIB);
        let address = |offset| arena.segments()[0].address + offset;
        let mut first = arena.allocate(PAGE + 8).unwrap();
        assert_eq!(permissions_at(first.address()), "rw-p");
        first.bytes_mut()[..6].copy_from_slice(&returning(1));
        let first = first.seal(6).unwrap();
        assert_eq!(permissions_at(address(0)), "r-xp");
        assert_eq!(permissions_at(address(PAGE)), "r-xp", "its data");
        nothing_is_both();

        // A page that a block runs in stays as it is while others are written, sealed and dropped.
        let second = arena.allocate(8).unwrap();
        assert_eq!(second.address(), address(2 * PAGE));
        let second = second.seal(8).unwrap();
        assert_eq!(permissions_at(address(2 * PAGE)), "r-xp");
        nothing_is_both();
        drop(second);
        assert_eq!(permissions_at(address(2 * PAGE)), "rw-p");
        assert_eq!(permissions_at(address(0)), "r-xp");
        assert_eq!(call(&first), 1);
        drop(first);
        assert_eq!(permissions_at(address(0)), "rw-p");
        nothing_is_both();
    }

    #[test]
    fn protected_blocks_side_by_side_are_one_mapping() {
        let arena = arena(Mode::Protect, 1 << 20, 1 << 20);
        let range = {
            let segment = arena.segments()[0];
            segment.address..segment.address + segment.len
        };
        let count = || {
            let inside = |line: &MapsLine| range.contains(&line.range.start);
            maps().into_iter().filter(inside).count()
        };
        let blocks: Vec<SealedBlock> = (0..64)
            .map(|number| {
                let mut block = arena.allocate(PAGE + 8).unwrap();
                block.bytes_mut()[..6].copy_from_slice(&returning(number));
                block.seal(6).unwrap()
            })
            .collect();
        // What is sealed, and the rest.
        assert_eq!(count(), 2);
        for (number, block) in (0..).zip(&blocks) {
            assert!(block.store_u64(PAGE, 5).unwrap());
            assert_eq!(call(block), number);
        }
        assert_eq!(count(), 2);
        drop(blocks);
        assert_eq!(count(), 1);
    }

    /// Freed blocks between others take mappings. Where there are too many, they stay as they are until there are fewer.
    #[test]
    fn mappings_are_bounded() {
        if !in_process_of_its_own("mappings_are_bounded") {
            return;
        }
        let options = ArenaOptions {
            mode: Mode::Protect,
            segment_len: 64 * PAGE,
            max_len: 64 * PAGE,
            ..ArenaOptions::default()
        };
        let arena = CodeArena::with_mappings(options, 10).unwrap();
        let mut blocks: Vec<Option<SealedBlock>> = (0..64)
            .map(|number| Some(sealed(&arena, &returning(number))))
            .collect();
        for block in blocks.iter_mut().step_by(2) {
            *block = None;
        }
        let stats = arena.stats();
        assert_eq!(
            (stats.blocks, stats.in_use, stats.retired),
            (32, 32 * PAGE, 32 * PAGE)
        );
        let writable = || {
            let segment = arena.segments()[0];
            let writable = |page: &usize| permissions_at(segment.address + page * PAGE) == "rw-p";
            (0..64).filter(writable).count()
        };
        assert_eq!(writable(), 5);
        for (number, block) in (0..).zip(&blocks) {
            assert!(block.as_ref().is_none_or(|block| call(block) == number));
        }
        // Those that cannot be used yet are when the others are gone.
        blocks.clear();
        let whole = arena.allocate(64 * PAGE).unwrap();
        assert_eq!(writable(), 64);
        drop(whole);
        // To seal what lies between others takes mappings, too.
        let other = CodeArena::with_mappings(options, 1).unwrap();
        let error = other.allocate(1).unwrap().seal(1).unwrap_err();
        assert!(
            matches!(
                error,
                CodeMemoryError::TooManyMappings { found: 0, limit: 1 }
            ),
            "{error}"
        );
        assert_eq!(other.stats().blocks, 0);
    }

    /// Memory that cannot be written any more is not used again, and the arena goes on without it.
    #[test]
    fn a_block_that_cannot_be_withdrawn_is_given_up() {
        let arena = arena(Mode::Protect, 64 * KIB, 64 * KIB);
        let block = arena.allocate(2 * PAGE).unwrap();
        // A page of a file that is open for reading may be executed, but not written.
        let file = std::fs::File::open(std::env::current_exe().unwrap()).unwrap();
        let page: *mut c_void = ptr::with_exposed_provenance_mut(block.address() + PAGE);
        let flags = MapFlags::SHARED | MapFlags::FIXED;
        // SAFETY: the page is our block's, and nothing refers to it.
        unsafe { rustix::mm::mmap(page, PAGE, ProtFlags::READ, flags, &file, 0) }.unwrap();
        let block = block.seal(2 * PAGE).unwrap();
        drop(block);
        let stats = arena.stats();
        assert_eq!(
            (stats.blocks, stats.in_use, stats.retired),
            (0, 2 * PAGE, 0)
        );
        assert_eq!(call(&sealed(&arena, &returning(3))), 3);
    }

    /// Whether this is the process to run the test named `name` in, which is to change what the whole process may do. If
    /// not, it is made here and has to succeed.
    fn in_process_of_its_own(name: &str) -> bool {
        const VARIABLE: &str = "MIMEO_TEST_IN_PROCESS_OF_ITS_OWN";
        if std::env::var_os(VARIABLE).is_some() {
            return true;
        }
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &format!("code_memory::tests::{name}")])
            .env(VARIABLE, "1")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && text.contains("1 passed"),
            "{text}"
        );
        false
    }

    fn opened(mode: Mode) -> Result<Arc<CodeArena>, CodeMemoryError> {
        CodeArena::new(ArenaOptions {
            mode,
            segment_len: 64 * KIB,
            ..ArenaOptions::default()
        })
    }

    #[test]
    fn without_memory_files_pages_are_protected() {
        if !in_process_of_its_own("without_memory_files_pages_are_protected") {
            return;
        }
        let none = Rlimit {
            current: Some(0),
            maximum: Some(0),
        };
        rustix::process::setrlimit(Resource::Nofile, none).unwrap();
        let error = opened(Mode::Dual).unwrap_err();
        assert!(
            matches!(
                error,
                CodeMemoryError::MemoryFile {
                    call: "memfd_create",
                    ..
                }
            ),
            "{error}"
        );
        let arena = opened(Mode::Auto).unwrap();
        assert_eq!(arena.mode(), Mode::Protect);
        assert_eq!(CodeArena::probe().unwrap(), Mode::Protect);
        assert_eq!(call(&sealed(&arena, &returning(4))), 4);
    }

    /// The signal for files that are too large would end this process.
    #[test]
    fn where_files_may_not_be_as_large_pages_are_protected() {
        if !in_process_of_its_own("where_files_may_not_be_as_large_pages_are_protected") {
            return;
        }
        let limit = |bytes| {
            let limit = Rlimit {
                current: Some(bytes),
                ..rustix::process::getrlimit(Resource::Fsize)
            };
            rustix::process::setrlimit(Resource::Fsize, limit).expect("a lower limit");
        };
        let segment = 64 * KIB as u64;
        limit(segment);
        let arena = opened(Mode::Auto).expect("a file of just that size");
        assert_eq!(arena.mode(), Mode::Dual);
        let full = sealed(&arena, &[INT3; 64 * KIB]);
        for bytes in [segment - 1, 4096, 1, 0] {
            limit(bytes);
            let dual = opened(Mode::Dual).expect_err("no file");
            let CodeMemoryError::MemoryFile { call, source, .. } = dual else {
                panic!("{dual}");
            };
            assert_eq!(
                (call, source.kind()),
                ("ftruncate", ErrorKind::FileTooLarge)
            );
            let arena = opened(Mode::Auto).expect("pages that are protected");
            assert_eq!(arena.mode(), Mode::Protect);
            assert_eq!(call_of(&arena), 5);
            assert_eq!(CodeArena::probe().expect("a mode"), Mode::Protect);
        }
        // An arena that was there before cannot grow.
        let error = arena.allocate(1).expect_err("no further segment");
        assert!(
            matches!(error, CodeMemoryError::MemoryFile { .. }),
            "{error}"
        );
        assert_eq!(full.code()[0], INT3);
    }

    fn call_of(arena: &Arc<CodeArena>) -> u32 {
        call(&sealed(arena, &returning(5)))
    }

    /// Under `PR_SET_MDWE` (Linux 6.3), as under systemd's `MemoryDenyWriteExecute`, no page becomes executable that was
    /// not when it was mapped.
    #[test]
    fn where_pages_do_not_become_executable_there_are_two_views() {
        if !in_process_of_its_own("where_pages_do_not_become_executable_there_are_two_views") {
            return;
        }
        const PRCTL: usize = 157;
        const PR_SET_MDWE: usize = 65;
        const PR_MDWE_REFUSE_EXEC_GAIN: usize = 1;
        let mut result = PRCTL;
        // SAFETY: this forbids things to this process and touches none of its memory.
        unsafe {
            std::arch::asm!(
                "syscall",
                inout("rax") result,
                in("rdi") PR_SET_MDWE,
                in("rsi") PR_MDWE_REFUSE_EXEC_GAIN,
                in("rdx") 0,
                in("r10") 0,
                in("r8") 0,
                out("rcx") _,
                out("r11") _,
                options(nostack),
            );
        }
        if result != 0 {
            println!("skipped: this kernel has no PR_SET_MDWE");
            return;
        }
        let error = opened(Mode::Protect).unwrap_err();
        assert!(
            matches!(error, CodeMemoryError::ExecutableRefused { .. }),
            "{error}"
        );
        let arena = opened(Mode::Auto).unwrap();
        assert_eq!(arena.mode(), Mode::Dual);
        assert_eq!(call(&sealed(&arena, &returning(5))), 5);
    }

    #[test]
    fn freed_memory_and_gaps_are_int3() {
        let arena = arena(Mode::Dual, 64 * KIB, 64 * KIB);
        let mut block = arena.allocate(300).unwrap();
        block.bytes_mut().fill(0x90);
        let address = block.address();
        let block = block.seal(70).unwrap();
        assert_eq!(executable_bytes(address, 70), [0x90; 70]);
        assert_eq!(executable_bytes(address + 70, 58), [INT3; 58]);
        assert_eq!(
            executable_bytes(address + 128, 300 - 128),
            [0x90; 300 - 128]
        );
        drop(block);
        assert_eq!(executable_bytes(address, 320), [INT3; 320]);

        let block = sealed(&arena, &returning(1));
        assert_eq!(
            executable_bytes(block.address() + 6, 58),
            [INT3; 58],
            "behind code that ends the block"
        );
        let unsealed = arena.allocate(100).unwrap();
        let address = unsealed.address();
        drop(unsealed);
        assert_eq!(executable_bytes(address, 128), [INT3; 128]);
    }

    #[test]
    fn freed_pages_and_gaps_are_int3() {
        let arena = arena(Mode::Protect, 64 * KIB, 64 * KIB);
        let mut block = arena.allocate(PAGE + 300).unwrap();
        block.bytes_mut().fill(0x90);
        let address = block.address();
        let block = block.seal(70).unwrap();
        assert_eq!(executable_bytes(address, 70), [0x90; 70]);
        assert_eq!(executable_bytes(address + 70, PAGE - 70), [INT3; PAGE - 70]);
        assert_eq!(executable_bytes(address + PAGE, 300), [0x90; 300]);
        drop(block);
        assert_eq!(executable_bytes(address, 2 * PAGE), [INT3; 2 * PAGE]);
    }

    #[test]
    fn data_words_are_atomic_and_code_is_refused() {
        for mode in MODES {
            words_are_atomic(&arena(mode, 64 * KIB, 64 * KIB));
        }
    }

    fn words_are_atomic(arena: &Arc<CodeArena>) {
        let data = arena.data_start(8);
        // mov rax, [rip + data - 7]; ret: the first word of the data.
        let mut code = [0x48, 0x8b, 0x05, 0, 0, 0, 0, 0xc3];
        code[3..7].copy_from_slice(&(data as u32 - 7).to_le_bytes());
        let mut block = arena.allocate(data + 36).unwrap();
        block.bytes_mut()[..code.len()].copy_from_slice(&code);
        block.bytes_mut()[data..data + 8].copy_from_slice(&5u64.to_le_bytes());
        let block = block.seal(code.len()).unwrap();
        let load: *const u8 = ptr::with_exposed_provenance(block.address());
        // SAFETY: the block is that function.
        let load = unsafe { std::mem::transmute::<*const u8, extern "C" fn() -> u64>(load) };
        assert_eq!(load(), 5);
        thread::scope(|scope| {
            for number in 1..=4 {
                let block = &block;
                scope.spawn(move || {
                    for _ in 0..1_000 {
                        let stored = number << 32 | number;
                        assert!(block.store_u64(data, stored).unwrap());
                        let found = block.load_u64(data).unwrap();
                        assert_eq!(found >> 32, found & 0xffff_ffff);
                        assert_eq!(load() >> 32, load() & 0xffff_ffff);
                    }
                });
            }
        });
        assert!(block.store_u64(data, 4_005).unwrap());
        assert_eq!(load(), 4_005);

        let allowed: Vec<usize> = (0..2 * data)
            .filter(|&offset| block.load_u64(offset).is_some())
            .collect();
        assert_eq!(allowed, [data, data + 8, data + 16, data + 24]);
        assert!(block.load_u64(usize::MAX).is_none());
        assert!(!block.store_u64(data + 4, 1).unwrap());
        assert!(
            sealed(arena, &code).load_u64(data).is_none(),
            "a block without data"
        );
        assert_eq!(arena.data_start(0), 0);
        let data_only = arena.allocate(8).unwrap().seal(0).unwrap();
        assert!(data_only.store_u64(0, 7).unwrap() && data_only.load_u64(0) == Some(7));
    }

    #[test]
    fn mappings_go_with_the_last_owner() {
        let arena = arena(Mode::Dual, 4 * KIB, 8 * KIB);
        let blocks = [
            sealed(&arena, &[0xc3; 4 * KIB]),
            sealed(&arena, &[0xc3; 4 * KIB]),
        ];
        let inodes = blocks
            .each_ref()
            .map(|block| views_at(block.address())[0].inode);
        let views = || {
            maps()
                .iter()
                .filter(|line| inodes.contains(&line.inode))
                .count()
        };
        assert_eq!(views(), 4);
        drop(arena);
        let [first, second] = blocks;
        drop(first);
        assert_eq!(views(), 4, "a block keeps its arena");
        drop(second);
        assert_eq!(views(), 0);
    }

    #[test]
    fn impossible_requests_are_typed_errors() {
        let options = |segment_len, max_len| ArenaOptions {
            mode: Mode::Dual,
            placement: Placement::Anywhere,
            segment_len,
            max_len,
        };
        for segment_len in [usize::MAX, 1 << 60] {
            let error = CodeArena::new(options(segment_len, usize::MAX)).unwrap_err();
            assert!(matches!(error, CodeMemoryError::TooLarge { .. }), "{error}");
        }
        let error = CodeArena::new(options(64 * KIB, 4 * KIB)).unwrap_err();
        assert!(
            matches!(error, CodeMemoryError::OutOfMemory { maximum: 4096, .. }),
            "{error}"
        );

        let arena = CodeArena::new(options(1, 3 * 4 * KIB + 1)).unwrap();
        for len in [4 * KIB + 1, usize::MAX] {
            let error = arena.allocate(len).unwrap_err();
            assert!(
                matches!(error, CodeMemoryError::TooLarge { requested, maximum: 4096 } if requested == len),
                "{error}"
            );
        }
        let blocks: Vec<_> = (0..3).map(|_| arena.allocate(4 * KIB).unwrap()).collect();
        assert_eq!(
            arena.allocate(1).unwrap_err().to_string(),
            "code memory is full: 64 bytes wanted, 12288 in use and 0 not yet reclaimed of 12288, 12289 allowed in \
             segments of 4096"
        );
        let block = blocks.into_iter().next().unwrap();
        let error = block.seal(4 * KIB + 1).unwrap_err();
        assert!(
            matches!(
                error,
                CodeMemoryError::CodeBeyondBlock {
                    code_len: 4097,
                    len: 4096
                }
            ),
            "{error}"
        );
        assert!(
            arena.allocate(4 * KIB).is_ok(),
            "what was dropped is there again"
        );
    }

    #[test]
    fn empty_blocks_are_blocks() {
        for (mode, granule) in [(Mode::Dual, GRANULE), (Mode::Protect, PAGE)] {
            let arena = arena(mode, 8 * KIB, 8 * KIB);
            let mut blocks = [arena.allocate(0).unwrap(), arena.allocate(0).unwrap()];
            assert_ne!(blocks[0].address(), blocks[1].address());
            assert!(blocks[0].is_empty() && blocks[0].bytes_mut().is_empty());
            assert_eq!(arena.stats().in_use, 2 * granule);
        }
    }

    #[test]
    fn compiling_and_dropping_over_and_over_stays_in_one_place() {
        let arena = arena(Mode::Dual, 16 << 20, 16 << 20);
        let mut addresses = BTreeSet::new();
        for number in 0..2_000 {
            let mut block = arena.allocate(17 * KIB).unwrap();
            block.bytes_mut()[..6].copy_from_slice(&returning(number));
            let block = block.seal(6).unwrap();
            assert_eq!(call(&block), number);
            addresses.insert(block.address());
        }
        let touched = addresses.last().unwrap() - addresses.first().unwrap();
        assert!(touched <= 2 * RECLAIM_BATCH, "{touched} bytes are not warm");
        let barriers = arena.stats().barriers;
        assert!(
            (1..=2_000 * 17 * KIB / RECLAIM_BATCH).contains(&(barriers as usize)),
            "{barriers} barriers for 2,000 blocks"
        );
    }

    #[test]
    fn a_forked_child_has_no_code_and_does_no_harm() {
        for (mode, views) in [(Mode::Dual, 2), (Mode::Protect, 1)] {
            fork_with(&arena(mode, 16 * KIB, 16 * KIB), views);
        }
    }

    fn fork_with(arena: &Arc<CodeArena>, expected_views: usize) {
        let block = sealed(arena, &returning(42));
        let mut open = Some(arena.allocate(8).unwrap());
        let mut dying = Some(sealed(arena, &returning(43)));
        let dying_address = dying.as_ref().map(SealedBlock::address).unwrap();
        let child_arena = Arc::clone(arena);
        let views = match arena.mode() {
            Mode::Protect => vec![block.address()],
            _ => views_at(block.address())
                .into_iter()
                .map(|view| view.range.start)
                .collect(),
        };
        assert_eq!(views.len(), expected_views);
        let is_mapped = |&view: &usize| {
            let page: *mut c_void = ptr::with_exposed_provenance_mut(view);
            // SAFETY: this changes nothing; it fails where nothing is mapped.
            unsafe { rustix::mm::msync(page, PAGE, MsyncFlags::ASYNC) }.is_ok()
        };
        assert!(views.iter().all(is_mapped));
        let in_child = move || {
            let refused = matches!(child_arena.allocate(1), Err(CodeMemoryError::Forked));
            let nothing = open
                .as_mut()
                .is_some_and(|open| open.bytes_mut().is_empty());
            let unusable = dying
                .as_ref()
                .is_some_and(|block| !block.is_usable() && block.code().is_empty());
            drop((open.take(), dying.take()));
            let unmapped = !views.iter().any(is_mapped);
            if refused && nothing && unusable && unmapped {
                Ok(())
            } else {
                Err(ErrorKind::Other.into())
            }
        };
        let mut command = Command::new("true");
        // SAFETY: what the closure does between fork and exec takes no lock and allocates nothing.
        unsafe { command.pre_exec(in_child) };
        assert!(
            command
                .status()
                .expect("all is as it should be in the child")
                .success()
        );
        assert_eq!(call(&block), 42);
        assert_eq!(
            executable_bytes(dying_address, 6),
            returning(43),
            "the child wrote into the parent's code"
        );
        drop(command);
        assert_eq!(executable_bytes(dying_address, 6), [INT3; 6]);
        assert_eq!(arena.stats().blocks, 1);
    }

    #[test]
    fn handles_can_go_to_other_threads() {
        fn check<T: Send + Sync>() {}
        check::<CodeArena>();
        check::<CodeBlock>();
        check::<SealedBlock>();
        check::<CodeMemoryError>();
    }

    #[derive(Clone, Debug)]
    enum Step {
        Allocate(usize),
        Free(prop::sample::Index),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let len = prop_oneof![4 => 0..300usize, 2 => 300..5_000usize, 1 => Just(SEGMENT)];
        let step = prop_oneof![
            3 => len.prop_map(Step::Allocate),
            2 => any::<prop::sample::Index>().prop_map(Step::Free),
        ];
        prop::collection::vec(step, 1..300)
    }

    const SEGMENT: usize = 8 * KIB;
    const SEGMENTS: usize = 3;

    /// What the arena must agree with: the live blocks, and the byte each is filled with.
    struct Model {
        granule: usize,
        live: Vec<(CodeBlock, u8)>,
    }

    impl Model {
        fn spans(&self) -> Vec<Range<usize>> {
            let span = |(block, _): &(CodeBlock, u8)| {
                block.address()..block.address() + block.len().max(1).next_multiple_of(self.granule)
            };
            let mut spans: Vec<_> = self.live.iter().map(span).collect();
            spans.sort_unstable_by_key(|span| span.start);
            spans
        }

        fn in_use(&self) -> usize {
            self.spans().iter().map(Range::len).sum()
        }

        /// The largest run of bytes in no live block.
        fn largest_gap(&self, segments: &[SegmentInfo]) -> usize {
            let spans = self.spans();
            let mut largest = 0;
            for segment in segments {
                let end = segment.address + segment.len;
                let mut free_from = segment.address;
                for span in spans
                    .iter()
                    .filter(|span| (segment.address..end).contains(&span.start))
                {
                    largest = largest.max(span.start - free_from);
                    free_from = span.end;
                }
                largest = largest.max(end - free_from);
            }
            largest
        }

        fn allocate(
            &mut self,
            arena: &Arc<CodeArena>,
            len: usize,
            fill: u8,
        ) -> Result<(), TestCaseError> {
            match arena.allocate(len) {
                Ok(mut block) => {
                    prop_assert_eq!(block.len(), len);
                    prop_assert!(block.address().is_multiple_of(self.granule));
                    prop_assert!(
                        block
                            .bytes_mut()
                            .iter()
                            .all(|&byte| byte == 0 || byte == INT3)
                    );
                    block.bytes_mut().fill(fill);
                    self.live.push((block, fill));
                }
                Err(CodeMemoryError::OutOfMemory { .. }) => {
                    let segments = arena.segments();
                    prop_assert_eq!(segments.len(), SEGMENTS);
                    prop_assert!(
                        self.largest_gap(&segments) < len.max(1).next_multiple_of(self.granule),
                        "there was room for {}",
                        len
                    );
                }
                Err(error) => prop_assert!(false, "{}", error),
            }
            Ok(())
        }

        fn free(&mut self, index: prop::sample::Index) -> Result<(), TestCaseError> {
            if self.live.is_empty() {
                return Ok(());
            }
            let (block, fill) = self.live.swap_remove(index.index(self.live.len()));
            let (address, len) = (block.address(), block.len());
            prop_assert!(
                executable_bytes(address, len)
                    .iter()
                    .all(|&byte| byte == fill),
                "overwritten"
            );
            drop(block);
            prop_assert!(
                executable_bytes(address, len)
                    .iter()
                    .all(|&byte| byte == INT3)
            );
            Ok(())
        }

        fn check(&self, arena: &CodeArena) -> Result<(), TestCaseError> {
            let spans = self.spans();
            prop_assert!(
                spans.windows(2).all(|pair| pair[0].end <= pair[1].start),
                "overlap: {:x?}",
                spans
            );
            let segments = arena.segments();
            let inside = |span: &Range<usize>| {
                segments.iter().any(|segment| {
                    segment.address <= span.start && span.end <= segment.address + segment.len
                })
            };
            prop_assert!(spans.iter().all(inside));
            let stats = arena.stats();
            prop_assert_eq!((stats.blocks, stats.in_use), (spans.len(), self.in_use()));
            prop_assert!(stats.in_use + stats.retired <= stats.reserved);
            prop_assert_eq!(stats.reserved, stats.segments * SEGMENT);
            Ok(())
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn blocks_never_overlap_and_all_memory_returns(mode in prop::sample::select(&MODES[..]), steps in steps()) {
            let arena = arena(mode, SEGMENT, SEGMENTS * SEGMENT);
            let mut model = Model { granule: arena.data_start(1), live: Vec::new() };
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Allocate(len) => model.allocate(&arena, len, number as u8)?,
                    Step::Free(index) => model.free(index)?,
                }
                model.check(&arena)?;
            }
            drop(model);
            // Only if all spans came back and merged is there room for whole segments.
            let whole: Result<Vec<_>, _> = (0..SEGMENTS).map(|_| arena.allocate(SEGMENT)).collect();
            prop_assert!(whole.is_ok(), "{:?}", whole);
        }
    }
}
