//! Mappings: memory files mapped twice, once to be written and once to be executed, and the search for the place where.
#![allow(unsafe_code)]

use super::{CodeMemoryError, MARGIN, PAGE, Placement, REACH};
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags};
use rustix::process::Resource;
use std::ffi::c_void;
use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU64, Ordering};

/// The largest segment that could be mapped, in bytes.
pub(super) const MAX_LEN: usize = USER_SPACE.end - USER_SPACE.start;

/// Segments are placed at multiples of this, so that they can be covered by huge pages.
const PLACEMENT_STEP: usize = 2 << 20;

/// Where processes may map memory without asking for 57-bit addresses. The lower bound is above any `mmap_min_addr`.
const USER_SPACE: Range<usize> = 1 << 20..(1 << 47) - 4096;

/// A segment: one memory file in two views.
pub(super) struct DualMapping {
    write: Mapping,
    execute: Mapping,
}

impl DualMapping {
    /// Maps `len` bytes, a multiple of the page size.
    pub(super) fn new(len: usize, placement: Placement) -> Result<Self, CodeMemoryError> {
        let file = memory_file(len)?;
        let write = Mapping::of_file(&file, len).map_err(mapping_error("writing code", len))?;
        // From here on no second writable view can be made, nor this file resized under the views (SIGBUS).
        seal_file(&file).map_err(|source| CodeMemoryError::MemoryFile {
            call: "fcntl(F_ADD_SEALS)",
            len,
            source,
        })?;
        // Address space first, execution second: so that an error says which of them was refused.
        let mut execute = reserve(len, placement)?;
        execute
            .make_executable(&file)
            .map_err(|source| refusal("executing code", len, source))?;
        for view in [&write, &execute] {
            view.advise(Advice::LinuxDontFork)
                .map_err(mapping_error("this process alone", len))?;
        }
        Ok(Self { write, execute })
    }

    /// Where the segment executes.
    pub(super) fn executable_range(&self) -> Range<usize> {
        self.execute.range()
    }

    /// Where the byte at `offset` is written, and where it executes. `offset` is less than the length.
    pub(super) fn place(&self, offset: usize) -> (NonNull<u8>, usize) {
        (self.write.byte(offset), self.execute.range().start + offset)
    }
}

/// A memory file of `len` bytes that can be sealed.
///
/// `MFD_NOEXEC_SEAL` (Linux 6.3) says that the *file* is never executed, which is true: mapping it executable asks the
/// mount and the security module, not the mode bits. So it works for each value of `vm.memfd_noexec`, unlike `MFD_EXEC`.
fn memory_file(len: usize) -> Result<OwnedFd, CodeMemoryError> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let create = |flags| rustix::fs::memfd_create(c"mimeo-code", flags);
    let file = match create(flags | MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL) => create(flags),
        result => result,
    };
    let error = |call| {
        move |errno: Errno| CodeMemoryError::MemoryFile {
            call,
            len,
            source: errno.into(),
        }
    };
    let file = file.map_err(error("memfd_create"))?;
    // Where a file may not be as large (`ulimit -f`), the call would not only fail: SIGXFSZ ends the process.
    let limit = rustix::process::getrlimit(Resource::Fsize).current;
    if limit.is_some_and(|limit| (len as u64) > limit) {
        return Err(error("ftruncate")(Errno::FBIG));
    }
    rustix::fs::ftruncate(&file, len as u64).map_err(error("ftruncate"))?;
    Ok(file)
}

fn seal_file(file: &OwnedFd) -> io::Result<()> {
    let seals = SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    match rustix::fs::fcntl_add_seals(file, seals | SealFlags::FUTURE_WRITE) {
        // Before Linux 5.1.
        Err(Errno::INVAL) => rustix::fs::fcntl_add_seals(file, seals)?,
        result => result?,
    }
    Ok(())
}

pub(super) fn mapping_error(
    what: &'static str,
    len: usize,
) -> impl Fn(io::Error) -> CodeMemoryError {
    move |source| CodeMemoryError::Mapping { what, len, source }
}

/// The error where memory could not be made executable, which may be a matter of policy.
pub(super) fn refusal(what: &'static str, len: usize, source: io::Error) -> CodeMemoryError {
    match source.kind() {
        // EPERM and EACCES alike.
        io::ErrorKind::PermissionDenied => CodeMemoryError::ExecutableRefused { len, source },
        _ => mapping_error(what, len)(source),
    }
}

/// Reserves `len` bytes of address space, without access, where `placement` wants them.
///
/// Room is found by asking for it: `MAP_FIXED_NOREPLACE` at candidate addresses. Unlike reading `/proc/self/maps` this
/// needs no mounted `/proc` and cannot be out of date when it is used. It takes one or two system calls for a segment
/// where there is room, and 256 to find that there is none for 16 MiB.
pub(super) fn reserve(len: usize, placement: Placement) -> Result<Mapping, CodeMemoryError> {
    let anywhere = || Mapping::reserved(None, len).map_err(mapping_error("code", len));
    match placement {
        Placement::Anywhere => anywhere(),
        Placement::Near(target) => {
            first_free(near_candidates(target, len), len).map_or_else(anywhere, Ok)
        }
        Placement::FarFrom(target) => {
            let found = anywhere()?;
            if out_of_reach(&found.range(), target) {
                return Ok(found);
            }
            first_free(far_candidates(target, len), len).ok_or(CodeMemoryError::NoFarRoom {
                len,
                address: target,
            })
        }
    }
}

fn first_free(mut candidates: impl Iterator<Item = usize>, len: usize) -> Option<Mapping> {
    candidates.find_map(|address| {
        let found = Mapping::reserved(Some(address), len).ok()?;
        // A kernel before 4.17 does not know MAP_FIXED_NOREPLACE and takes the address for a hint.
        (found.range().start == address).then_some(found)
    })
}

/// Addresses for `len` bytes within reach of `target`, best first.
///
/// Downwards from the target, then above it from the far end back: below a program there is nothing, whereas right above
/// it the heap (brk) grows, which a segment would stop.
fn near_candidates(target: usize, len: usize) -> impl Iterator<Item = usize> {
    let lowest = target.saturating_sub(REACH).max(USER_SPACE.start);
    let highest = target
        .saturating_add(REACH)
        .min(USER_SPACE.end)
        .saturating_sub(len);
    let below = stepping_down(target.saturating_sub(len).min(highest), lowest, len);
    let above = stepping_down(highest, target.max(lowest), len);
    below
        .chain(above)
        .filter(move |&start| within_reach(&(start..start + len), target))
}

/// Addresses from `highest` down to `lowest`, so far apart that `len` bytes at each do not overlap.
fn stepping_down(highest: usize, lowest: usize, len: usize) -> impl Iterator<Item = usize> {
    let first = highest & !(PLACEMENT_STEP - 1);
    let step = len.next_multiple_of(PLACEMENT_STEP);
    std::iter::successors(Some(first), move |address| address.checked_sub(step))
        .take_while(move |&address| address >= lowest)
}

/// Addresses for `len` bytes out of reach of `target`, on both sides of it.
fn far_candidates(target: usize, len: usize) -> impl Iterator<Item = usize> {
    (1..=64usize)
        .map(|distance| distance << 32)
        .flat_map(move |distance| [target.checked_add(distance), target.checked_sub(distance)])
        .flatten()
        .map(|address| address & !(PLACEMENT_STEP - 1))
        .filter(move |&start| {
            let end = start.saturating_add(len);
            start >= USER_SPACE.start
                && end <= USER_SPACE.end
                && out_of_reach(&(start..end), target)
        })
}

/// Whether `target` is within [`REACH`] of every byte of `range`.
pub(super) fn within_reach(range: &Range<usize>, target: usize) -> bool {
    range.start.abs_diff(target).max(range.end.abs_diff(target)) <= REACH
}

/// Whether `target`, and what lies around it, is beyond a rel32 from every byte of `range`.
fn out_of_reach(range: &Range<usize>, target: usize) -> bool {
    !range.contains(&target)
        && range.start.abs_diff(target).min(range.end.abs_diff(target)) > (1 << 31) + MARGIN
}

/// Memory that is unmapped when dropped.
pub(super) struct Mapping {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: a mapping belongs to the process; `Mapping` itself never reads or writes through `base`.
unsafe impl Send for Mapping {}
// SAFETY: see above; `&Mapping` gives out addresses only.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Address space without access: at exactly `address` if given (the caller checks), else anywhere.
    fn reserved(address: Option<usize>, len: usize) -> io::Result<Self> {
        let fixed = if address.is_some() {
            MapFlags::FIXED_NOREPLACE
        } else {
            MapFlags::empty()
        };
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | fixed;
        let hint = ptr::without_provenance_mut(address.unwrap_or(0));
        // SAFETY: a new mapping; FIXED_NOREPLACE (or, to an old kernel, a mere hint) never replaces one.
        Self::owned(
            unsafe { rustix::mm::mmap_anonymous(hint, len, ProtFlags::empty(), flags) },
            len,
        )
    }

    /// A page of this process's own, zero.
    fn private_page() -> io::Result<Self> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice.
        Self::owned(
            unsafe { rustix::mm::mmap_anonymous(ptr::null_mut(), PAGE, access, MapFlags::PRIVATE) },
            PAGE,
        )
    }

    /// The writable view of `file`, which has `len` bytes.
    fn of_file(file: &OwnedFd, len: usize) -> io::Result<Self> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice.
        Self::owned(
            unsafe { rustix::mm::mmap(ptr::null_mut(), len, access, MapFlags::SHARED, file, 0) },
            len,
        )
    }

    /// Replaces reserved address space by the executable view of `file`, which has as many bytes.
    fn make_executable(&mut self, file: &OwnedFd) -> io::Result<()> {
        let access = ProtFlags::READ | ProtFlags::EXEC;
        let flags = MapFlags::SHARED | MapFlags::FIXED;
        // SAFETY: what is replaced is our own reservation, which nothing refers to: it could not be accessed.
        unsafe { rustix::mm::mmap(self.base.as_ptr().cast(), self.len, access, flags, file, 0) }?;
        Ok(())
    }

    pub(super) fn advise(&self, advice: Advice) -> io::Result<()> {
        // SAFETY: the range is our own mapping, and the advice given here concerns children only.
        unsafe { rustix::mm::madvise(self.base.as_ptr().cast(), self.len, advice) }?;
        Ok(())
    }

    fn owned(mapped: Result<*mut c_void, Errno>, len: usize) -> io::Result<Self> {
        let base = NonNull::new(mapped?.cast()).ok_or(Errno::NOMEM)?;
        Ok(Self { base, len })
    }

    /// The byte at `offset`, which is less than the length.
    pub(super) fn byte(&self, offset: usize) -> NonNull<u8> {
        debug_assert!(offset < self.len);
        // SAFETY: spans lie inside their segment, so `offset` bytes from the base is inside the mapping.
        unsafe { self.base.add(offset) }
    }

    pub(super) fn range(&self) -> Range<usize> {
        let start = self.base.as_ptr().expose_provenance();
        start..start + self.len
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range is our own mapping; who holds pointers into it holds the arena, which owns this. It fails
        // for wrong arguments only, and there is nothing to be done then.
        let _ = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

/// Knows without a system call whether this process is the one that made it: a word in a page that the kernel zeroes in
/// children.
pub(super) struct ForkGuard {
    page: Mapping,
}

impl ForkGuard {
    pub(super) fn new() -> Result<Self, CodeMemoryError> {
        let page = Mapping::private_page().map_err(mapping_error("noticing forks", PAGE))?;
        let guard = Self { page };
        guard.word().store(1, Ordering::Relaxed);
        // Where the kernel cannot (before 4.14, some sandboxes) forks go unnoticed, which is no reason to run no code.
        let _ = guard.page.advise(Advice::LinuxWipeOnFork);
        Ok(guard)
    }

    pub(super) fn is_original(&self) -> bool {
        self.word().load(Ordering::Relaxed) != 0
    }

    fn word(&self) -> &AtomicU64 {
        // SAFETY: the start of a page of our own, mapped for reading and writing, aligned, zero at first, and accessed
        // in this way only.
        unsafe { AtomicU64::from_ptr(self.page.base.as_ptr().cast()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_in_reach_do_not_overlap_and_begin_below() {
        let len = 16 << 20;
        for target in [0x5555_5555_4321, 0x40_0000, 1 << 32, (1 << 47) - 1] {
            let candidates: Vec<usize> = near_candidates(target, len).collect();
            assert!(
                candidates.len() > 100,
                "{} at {target:#x}",
                candidates.len()
            );
            assert!(candidates.iter().all(|&start| {
                start.is_multiple_of(PLACEMENT_STEP)
                    && start >= USER_SPACE.start
                    && start + len <= USER_SPACE.end
                    && (start >= target || start + len <= target)
            }));
            let mut sorted = candidates.clone();
            sorted.sort_unstable();
            assert!(sorted.windows(2).all(|pair| pair[0] + len <= pair[1]));
        }
        assert!(near_candidates(0x5555_5555_4321, len).next().unwrap() < 0x5555_5555_4321);
    }
}
