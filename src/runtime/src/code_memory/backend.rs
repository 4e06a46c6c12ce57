//! Backends: what a segment is made of, and what is done to memory when a block becomes code and when it stops being
//! code.
//!
//! - *Dual*: two views of one memory file. Nothing is done: a byte is always written in one and executed in the other.
//! - *Protect*: one private mapping, whose pages are writable until they are sealed and executable until they are freed,
//!   never both. For systems without memory files, or where these may not be executed (a policy on shared memory). A
//!   page has one protection for all that is in it, so that neither two blocks nor code and data share one, and a block
//!   costs a system call when it is sealed and another when it is freed. Data is sealed as code is, so that blocks side by
//!   side are one mapping; the page of a word that changes is made writable for that moment.
#![allow(unsafe_code)]

use super::mapping::{DualMapping, Mapping, mapping_error, refusal, reserve};
use super::pages::Pages;
use super::pool::Span;
use super::{CodeMemoryError, GRANULE, Mode, PAGE, Placement};
use rustix::mm::{Advice, MprotectFlags};
use std::io;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::atomic::{Ordering, fence};

/// How the segments of one arena work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Backend {
    Dual,
    Protect,
}

/// Memory for code.
pub(super) enum Segment {
    Dual(DualMapping),
    Protect(Mapping, Pages),
}

impl Backend {
    /// The backend that a mode asks for, with a segment of its own as proof that it works here.
    pub(super) fn open(
        mode: Mode,
        len: usize,
        placement: Placement,
    ) -> Result<(Self, Segment), CodeMemoryError> {
        Self::choose(mode, |backend| backend.segment(len, placement))
    }

    /// Tries what a mode allows, the best first. Only a refusal leads to the next: where there is no memory there is none
    /// of the other kind either.
    pub(super) fn choose<T>(
        mode: Mode,
        mut open: impl FnMut(Self) -> Result<T, CodeMemoryError>,
    ) -> Result<(Self, T), CodeMemoryError> {
        let dual = match mode {
            Mode::Protect => None,
            Mode::Dual | Mode::Auto => Some(open(Self::Dual).map(|opened| (Self::Dual, opened))),
        };
        match dual {
            Some(Ok(opened)) => Ok(opened),
            Some(Err(error)) if mode == Mode::Dual || !is_refusal(&error) => Err(error),
            _ => Ok((Self::Protect, open(Self::Protect)?)),
        }
    }

    /// Maps a segment of `len` bytes, a multiple of the page size.
    pub(super) fn segment(
        self,
        len: usize,
        placement: Placement,
    ) -> Result<Segment, CodeMemoryError> {
        match self {
            Self::Dual => DualMapping::new(len, placement).map(Segment::Dual),
            Self::Protect => protected(len, placement)
                .map(|mapping| Segment::Protect(mapping, Pages::new(len / PAGE))),
        }
    }

    pub(super) fn mode(self) -> Mode {
        match self {
            Self::Dual => Mode::Dual,
            Self::Protect => Mode::Protect,
        }
    }

    /// What blocks and data areas start at multiples of, in bytes.
    pub(super) fn granule(self) -> usize {
        match self {
            Self::Dual => GRANULE,
            Self::Protect => PAGE,
        }
    }

    /// Makes what was written visible where it executes, and executable.
    ///
    /// With two views of coherent memory, that is to keep the compiler from moving stores past this point;
    /// `coherence.rs` has the processor's part.
    ///
    /// # Safety
    /// The range is memory of a segment of this backend, belongs to the caller alone, and is whole granules.
    pub(super) unsafe fn publish(self, base: NonNull<u8>, len: usize) -> io::Result<()> {
        fence(Ordering::Release);
        match self {
            Self::Dual => Ok(()),
            // SAFETY: as this function's.
            Self::Protect => unsafe {
                protect(base, len, MprotectFlags::READ | MprotectFlags::EXEC)
            },
        }
    }

    /// Makes what was published writable again, and not executable any more where it is written.
    ///
    /// # Safety
    /// As for [`publish`](Self::publish), and nothing executes in the range.
    pub(super) unsafe fn withdraw(self, base: NonNull<u8>, len: usize) -> io::Result<()> {
        match self {
            Self::Dual => Ok(()),
            // SAFETY: as this function's.
            Self::Protect => unsafe {
                protect(base, len, MprotectFlags::READ | MprotectFlags::WRITE)
            },
        }
    }
}

impl Segment {
    /// Where the segment executes.
    pub(super) fn executable_range(&self) -> Range<usize> {
        match self {
            Self::Dual(mapping) => mapping.executable_range(),
            Self::Protect(mapping, _) => mapping.range(),
        }
    }

    /// Notes that a span of it is about to be published, or withdrawn: see [`Pages::change`].
    pub(super) fn note(&mut self, span: Span, published: bool, most: usize) -> Result<(), usize> {
        match self {
            Self::Dual(_) => Ok(()),
            Self::Protect(_, pages) => {
                let range = span.offset / PAGE..(span.offset + span.len) / PAGE;
                pages.change(range, published, most)
            }
        }
    }

    /// Where the byte at `offset` is written, and where it executes. `offset` is less than the length.
    pub(super) fn place(&self, offset: usize) -> (NonNull<u8>, usize) {
        match self {
            Self::Dual(mapping) => mapping.place(offset),
            Self::Protect(mapping, _) => (mapping.byte(offset), mapping.range().start + offset),
        }
    }
}

/// Whether the system does not let this process have code memory of the kind that was asked for.
fn is_refusal(error: &CodeMemoryError) -> bool {
    matches!(
        error,
        CodeMemoryError::MemoryFile { .. } | CodeMemoryError::ExecutableRefused { .. }
    )
}

/// A private mapping of `len` bytes, writable, of which pages may be made executable.
fn protected(len: usize, placement: Placement) -> Result<Mapping, CodeMemoryError> {
    let mapping = reserve(len, placement)?;
    mapping
        .advise(Advice::LinuxDontFork)
        .map_err(mapping_error("this process alone", len))?;
    let (base, writable) = (mapping.byte(0), MprotectFlags::READ | MprotectFlags::WRITE);
    // SAFETY: the mapping is new, so it is ours alone and nothing executes in it.
    unsafe {
        protect(base, len, writable).map_err(mapping_error("writing code", len))?;
        // Asks now whether a page that was writable may become executable, so that an arena that exists can be used.
        Backend::Protect
            .publish(base, PAGE)
            .map_err(|source| refusal("executing code", len, source))?;
        Backend::Protect
            .withdraw(base, PAGE)
            .map_err(mapping_error("writing code", len))?;
    }
    Ok(mapping)
}

/// Changes what may be done with whole pages.
///
/// # Safety
/// The pages belong to the caller alone, and nothing executes in them that the new protection forbids to.
unsafe fn protect(base: NonNull<u8>, len: usize, access: MprotectFlags) -> io::Result<()> {
    debug_assert!(len.is_multiple_of(PAGE));
    if len == 0 {
        return Ok(());
    }
    // SAFETY: the caller's; references into the pages end before they are published or withdrawn, but for those to code
    // and data, which stay readable.
    unsafe { rustix::mm::mprotect(base.as_ptr().cast(), len, access) }?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;

    fn refused(backend: Backend) -> CodeMemoryError {
        match backend {
            Backend::Dual => CodeMemoryError::MemoryFile {
                call: "memfd_create",
                len: PAGE,
                source: Errno::NOSYS.into(),
            },
            Backend::Protect => CodeMemoryError::ExecutableRefused {
                len: PAGE,
                source: Errno::ACCESS.into(),
            },
        }
    }

    fn no_memory() -> CodeMemoryError {
        mapping_error("code", PAGE)(Errno::NOMEM.into())
    }

    /// What is opened, in order, in each mode, if the first fails in this way.
    #[test]
    fn only_auto_falls_back_and_only_where_it_is_refused() {
        type Failing = fn(Backend) -> Option<CodeMemoryError>;
        let nothing: Failing = |_| None;
        let dual_refused: Failing = |backend| (backend == Backend::Dual).then(|| refused(backend));
        let dual_without_memory: Failing = |backend| (backend == Backend::Dual).then(no_memory);
        let not_executable: Failing = |backend| match backend {
            Backend::Dual => Some(refused(Backend::Protect)),
            Backend::Protect => None,
        };
        let both_refused: Failing = |backend| Some(refused(backend));
        use Backend::{Dual, Protect};
        let rows: [(Mode, Failing, &[Backend], bool); 9] = [
            (Mode::Auto, nothing, &[Dual], true),
            (Mode::Auto, dual_refused, &[Dual, Protect], true),
            (Mode::Auto, not_executable, &[Dual, Protect], true),
            (Mode::Auto, dual_without_memory, &[Dual], false),
            (Mode::Auto, both_refused, &[Dual, Protect], false),
            (Mode::Dual, dual_refused, &[Dual], false),
            (Mode::Protect, dual_refused, &[Protect], true),
            (Mode::Protect, both_refused, &[Protect], false),
            (Mode::Dual, nothing, &[Dual], true),
        ];
        for (row, (mode, failing, expected, succeeds)) in rows.into_iter().enumerate() {
            let mut tried = Vec::new();
            let opened = Backend::choose(mode, |backend| {
                tried.push(backend);
                failing(backend).map_or(Ok(backend), Err)
            });
            assert_eq!(tried, expected, "row {row}");
            assert_eq!(opened.is_ok(), succeeds, "row {row}");
            if let Ok((backend, opened)) = opened {
                assert_eq!((Some(&backend), backend), (expected.last(), opened));
            }
        }
    }
}
