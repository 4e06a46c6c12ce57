//! Patching: copies a prepared trace's fragments to their places and fills their fields.
//!
//! The loop does the same for each fragment, whatever stencil it is of: note where it goes; copy 32 bytes, of which those
//! behind the fragment are soon overwritten by the next, and two words into them or behind them. Nothing depends on what
//! the fragment holds, so nothing is mispredicted. Then each link gets its displacement, for which all positions are
//! known.
//!
//! # Why this writes nothing wrong
//! Bytes of the code belong to one fragment each. All that is written in front of that fragment's own copy is
//! overwritten by it, since code is contiguous and written in order; what later fragments write lies behind it; and its
//! own words lie where it wants them or behind its code. What the last ones write behind the end of the code is
//! [`SLACK`] bytes at most, which the layout has room for and which the data is written over afterwards.
//!
//! # Why nothing is checked here
//! Words were checked when the trace was prepared. Displacements inside a block fit because blocks are smaller than
//! [`MAX_LEN`](crate::layout::MAX_LEN); those to symbols because the engine asks whether the whole block is in their
//! [`REACH`](crate::code_memory::REACH), and links have small addends. Fixups are checked one by one.
#![allow(unsafe_code)]

use crate::executor::{ExecutorHeader, ExecutorId, ExitRecord};
use crate::fragment::{FRAGMENT_LEN, Fragments, SLACK};
use crate::hole::{Hole, HoleValue};
use crate::layout::{Layout, VENEER_LEN, veneer};
use crate::prepared::{FixupValue, Item, Link, Prepared};
use crate::reloc::RelocationKind;
use crate::stencil::Part;
use std::arch::asm;
use std::arch::x86_64::{
    _mm_loadl_epi64, _mm256_castsi128_si256, _mm256_load_si256, _mm256_mask_expand_epi8,
    _mm256_or_si256, _mm256_set1_epi64x, _mm256_shuffle_epi8, _mm256_storeu_si256,
};
use std::cell::RefCell;
use std::mem::offset_of;

/// A value that does not fit its hole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "uop {index} {name}, {part}: the hole at {offset:#x} ({kind} {value}) would hold {}, its range is [{}, {}]",
    hex(*found),
    hex(*low),
    hex(*high)
)]
pub struct PatchError {
    /// The position of the uop in the trace.
    pub index: usize,
    /// The uop's name.
    pub name: String,
    /// The part of its stencil group.
    pub part: Part,
    /// The hole's offset in the part.
    pub offset: u32,
    /// The relocation kind.
    pub kind: RelocationKind,
    /// What fills it.
    pub value: HoleValue,
    /// What it would be filled with: `(S << shift) + A`, less P where the kind is PC-relative.
    pub found: i128,
    /// The smallest value that fits.
    pub low: i64,
    /// The largest value that fits.
    pub high: i64,
}

impl PatchError {
    /// The error for a hole, of the uop with this position and name, whose field at address `place` cannot hold
    /// `value`.
    pub(crate) fn new(
        (index, name): (usize, String),
        (part, hole): (Part, &Hole),
        place: u64,
        value: u64,
    ) -> Self {
        let (low, high) = hole.kind().range().into_inner();
        Self {
            index,
            name,
            part,
            offset: hole.offset(),
            kind: hole.kind(),
            value: hole.value(),
            found: exact(hole, place, value),
            low,
            high,
        }
    }
}

/// A number in hexadecimal, with its sign.
fn hex(number: impl Into<i128>) -> String {
    let number = number.into();
    let sign = if number < 0 { "-" } else { "" };
    format!("{sign}{:#x}", number.unsigned_abs())
}

/// Which code patches. All of them write the same bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Patcher {
    /// The fastest that this processor can run.
    #[default]
    Auto,
    /// A simple one that goes by stencils and holes and checks everything again: what the others are measured by.
    Reference,
    /// For every x86-64 processor.
    Portable,
    /// Copies with AVX2.
    Avx2,
    /// Copies and patches in one instruction of AVX-512 VBMI2.
    Avx512,
}

impl Patcher {
    /// Every patcher.
    pub const ALL: [Self; 5] = [
        Self::Auto,
        Self::Reference,
        Self::Portable,
        Self::Avx2,
        Self::Avx512,
    ];

    /// Whether this processor can run it.
    pub fn is_available(self) -> bool {
        match self {
            Self::Auto | Self::Reference | Self::Portable => true,
            Self::Avx2 => is_x86_feature_detected!("avx2"),
            Self::Avx512 => {
                is_x86_feature_detected!("avx512vbmi2") && is_x86_feature_detected!("avx512vl")
            }
        }
    }

    /// The name, in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Reference => "reference",
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }
}

/// The loop for a processor: see [`copy_portable`].
type CopyFn = unsafe fn(&Fragments, &[Item], *mut u8, *mut u32) -> usize;

/// The loop that a patcher is, chosen once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CopyLoop(CopyFn);

impl CopyLoop {
    /// The loop of a patcher, if this processor can run it; the reference has none.
    pub(crate) fn of(patcher: Patcher) -> Option<Self> {
        let copy: CopyFn = match patcher {
            Patcher::Auto => {
                return [Patcher::Avx512, Patcher::Avx2, Patcher::Portable]
                    .into_iter()
                    .find_map(Self::of);
            }
            _ if !patcher.is_available() => return None,
            Patcher::Reference => return None,
            Patcher::Portable => copy_portable,
            Patcher::Avx2 => copy_avx2,
            Patcher::Avx512 => copy_avx512,
        };
        Some(Self(copy))
    }
}

/// More positions than this are not kept from trace to trace.
const KEPT_POSITIONS: usize = 1 << 18;

thread_local! {
    /// Where fragments are, while a trace is patched.
    static POSITIONS: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
}

/// Where a block will be and what is around it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Surroundings<'a> {
    pub(crate) layout: &'a Layout,
    /// The address at which the block will run.
    pub(crate) base: u64,
    /// The addresses of the table's symbols.
    pub(crate) symbols: &'a [u64],
    /// The symbols that have a veneer, ascending; empty where all are within reach.
    pub(crate) veneers: &'a [u32],
    pub(crate) id: ExecutorId,
}

/// Why a block was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// A fixup's value does not fit.
    Range,
    /// The block is shorter than the layout says: in a forked child it has no bytes.
    Room,
}

/// Writes the whole block.
///
/// # Errors
/// See [`Refused`]. The block then holds rubbish and must not be run.
pub(crate) fn write(
    copy: CopyLoop,
    fragments: &Fragments,
    prepared: &Prepared,
    around: &Surroundings<'_>,
    block: &mut [u8],
) -> Result<(), Refused> {
    if block.len() < (around.layout.len as usize).max(prepared.code_len as usize + SLACK) {
        return Err(Refused::Room);
    }
    POSITIONS.with_borrow_mut(|positions| {
        // SAFETY: the length was checked above.
        unsafe { copy_items(copy, fragments, prepared, block, positions) };
        push_positions(positions, prepared, around);
        resolve(&prepared.links, positions, block);
        write_veneers(around, prepared, block);
        write_data(prepared, around, block);
        let fitting = fix_up(prepared, positions, around, block);
        if positions.capacity() > KEPT_POSITIONS {
            *positions = Vec::new();
        }
        fitting
    })
}

/// Copies the fragments and fills their words, and notes their positions.
///
/// # Safety
/// The block is longer than the code by [`SLACK`].
unsafe fn copy_items(
    CopyLoop(copy): CopyLoop,
    fragments: &Fragments,
    prepared: &Prepared,
    block: &mut [u8],
    positions: &mut Vec<u32>,
) {
    let items = &prepared.items[..];
    positions.clear();
    positions.reserve(items.len() + 1 + prepared.data_offsets.len() + prepared.symbols.len());
    // SAFETY: the loop is one that this processor can run, see `CopyLoop::of`. The items are of `fragments`, since a
    // prepared trace is used with the engine that made it, whose fragments are never removed; their lengths are
    // `code_len` together, which the caller has made sure there is room for; and there is room for their positions, all
    // of which are written.
    unsafe {
        let end = copy(fragments, items, block.as_mut_ptr(), positions.as_mut_ptr());
        debug_assert_eq!(end, prepared.code_len as usize);
        positions.set_len(items.len());
    }
}

/// Appends the positions of what is not a fragment.
fn push_positions(positions: &mut Vec<u32>, prepared: &Prepared, around: &Surroundings<'_>) {
    let data = around.layout.data;
    positions.push(prepared.code_len);
    positions.extend(prepared.data_offsets.iter().map(|offset| data + offset));
    positions.extend(prepared.symbols.iter().map(|symbol| {
        let veneer = if symbol.called {
            around.veneers.binary_search(&symbol.index).ok()
        } else {
            None
        };
        match veneer {
            Some(slot) => around.layout.veneers + slot as u32 * VENEER_LEN,
            None => around.symbols[symbol.index as usize].wrapping_sub(around.base) as u32,
        }
    }));
}

/// Adds to each link's field, which holds the addend, S - P.
fn resolve(links: &[Link], positions: &[u32], block: &mut [u8]) {
    for link in links {
        let place = positions[link.item as usize] + link.offset;
        let displacement = positions[link.to as usize].wrapping_sub(place);
        if let Some(field) = block
            .get_mut(place as usize..)
            .and_then(<[u8]>::first_chunk_mut)
        {
            let addend = u32::from_le_bytes(*field);
            *field = addend.wrapping_add(displacement).to_le_bytes();
        }
    }
}

/// Copies fragments, for any x86-64: to `code` one behind the other, their positions to `positions`. Returns where the
/// code ends.
///
/// # Safety
/// - The items' fragments are among `fragments`.
/// - At `code` there is room for the items' fragments and [`SLACK`] bytes, at `positions` for a position for each item.
unsafe fn copy_portable(
    fragments: &Fragments,
    items: &[Item],
    code: *mut u8,
    positions: *mut u32,
) -> usize {
    // SAFETY: the caller keeps what `copy_with` asks for. An item's fragment has word places. A word starts at most
    // `FRAGMENT_LEN` bytes behind `at`, where there is room for `SLACK` bytes.
    unsafe {
        copy_with(items, code, positions, |item, at| {
            let index = item.fragment.index();
            let fragment = fragments.fragments.get_unchecked(index);
            let [first, second] = fragments.word_places.get_unchecked(index).offsets;
            at.copy_from_nonoverlapping(fragment.code.as_ptr(), FRAGMENT_LEN);
            at.add(first.into())
                .cast::<u32>()
                .write_unaligned(item.words[0]);
            at.add(second.into())
                .cast::<u32>()
                .write_unaligned(item.words[1]);
        })
    }
}

/// As [`copy_portable`]: shuffles the words' bytes to their places and merges them into the code.
///
/// # Safety
/// As [`copy_portable`], and the processor has AVX2.
#[target_feature(enable = "avx2")]
unsafe fn copy_avx2(
    fragments: &Fragments,
    items: &[Item],
    code: *mut u8,
    positions: *mut u32,
) -> usize {
    let fragments = fragments.fragments.as_ptr();
    // SAFETY: the caller keeps what `copy_with` asks for. An item has 8 bytes of words, a fragment 32 bytes of code and
    // 32 of control, which are aligned to 32; at `at` there is room for 32.
    unsafe {
        copy_with(items, code, positions, |item, at| {
            prepare_to_write(at);
            let fragment = fragments.add(item.fragment.index());
            let words = item.words.as_ptr().cast::<i64>().read_unaligned();
            let bytes = _mm256_load_si256((&raw const (*fragment).code).cast());
            let control = _mm256_load_si256((&raw const (*fragment).control).cast());
            // The shuffle works on each half of the register by itself: both have the words.
            let words = _mm256_shuffle_epi8(_mm256_set1_epi64x(words), control);
            _mm256_storeu_si256(at.cast(), _mm256_or_si256(bytes, words));
        })
    }
}

/// As [`copy_portable`]: expands the words' bytes into the code.
///
/// # Safety
/// As [`copy_portable`], and the processor has AVX-512 VBMI2 and VL.
#[target_feature(enable = "avx512vbmi2,avx512vl")]
unsafe fn copy_avx512(
    fragments: &Fragments,
    items: &[Item],
    code: *mut u8,
    positions: *mut u32,
) -> usize {
    let places = fragments.word_places.as_ptr();
    let fragments = fragments.fragments.as_ptr();
    // SAFETY: the caller keeps what `copy_with` asks for. An item has 8 bytes of words, of which as many are taken as
    // the mask has bits, 8 at most; a fragment has 32 bytes of code, aligned to 32, and word places; at `at` there is
    // room for 32.
    unsafe {
        copy_with(items, code, positions, |item, at| {
            prepare_to_write(at);
            let index = item.fragment.index();
            let bytes = _mm256_load_si256((&raw const (*fragments.add(index)).code).cast());
            let words = _mm256_castsi128_si256(_mm_loadl_epi64(item.words.as_ptr().cast()));
            let patched = _mm256_mask_expand_epi8(bytes, (*places.add(index)).mask, words);
            _mm256_storeu_si256(at.cast(), patched);
        })
    }
}

/// Asks for the cache line some way behind `at` in order to write to it. Code memory is seldom in a near cache, and
/// stores alone ask for few lines at a time: this was measured to save a tenth.
///
/// All processors with AVX2 have `prefetchw`, or take it for a no-op.
#[inline(always)]
fn prepare_to_write(at: *mut u8) {
    /// Farther than the stores that a core keeps waiting.
    const AHEAD: usize = 768;
    // SAFETY: a prefetch neither faults nor changes anything, wherever it points.
    unsafe {
        asm!(
            "prefetchw [{at}]",
            at = in(reg) at.wrapping_add(AHEAD),
            options(nostack, preserves_flags, readonly),
        );
    }
}

/// The loop: `put` writes a fragment. Returns where the code ends.
///
/// # Safety
/// As [`copy_portable`]; `put` writes at most [`SLACK`] bytes.
#[inline(always)]
unsafe fn copy_with(
    items: &[Item],
    code: *mut u8,
    positions: *mut u32,
    put: impl Fn(&Item, *mut u8),
) -> usize {
    let mut end = 0;
    for (index, item) in items.iter().enumerate() {
        // SAFETY: the caller keeps what is asked for.
        unsafe {
            positions.add(index).write(end as u32);
            put(item, code.add(end));
        }
        end += item.fragment.len();
    }
    end
}

fn write_veneers(around: &Surroundings<'_>, prepared: &Prepared, block: &mut [u8]) {
    if around.veneers.is_empty() {
        return;
    }
    let start = around.layout.veneers as usize;
    block[prepared.code_len as usize..start].fill(0xcc);
    let places = block[start..].chunks_exact_mut(VENEER_LEN as usize);
    for (place, &symbol) in places.zip(around.veneers) {
        place.copy_from_slice(&veneer(around.symbols[symbol as usize]));
    }
}

/// Writes the data area: what was prepared, with the executor's number.
fn write_data(prepared: &Prepared, around: &Surroundings<'_>, block: &mut [u8]) {
    let data = &mut block[around.layout.data as usize..][..prepared.data.len()];
    data.copy_from_slice(&prepared.data);
    let id = around.id.0.to_le_bytes();
    let (header, records) = data.split_at_mut(size_of::<ExecutorHeader>());
    header[offset_of!(ExecutorHeader, id)..][..id.len()].copy_from_slice(&id);
    for record in records
        .chunks_exact_mut(size_of::<ExitRecord>())
        .take(prepared.exits().len())
    {
        record[offset_of!(ExitRecord, executor)..][..id.len()].copy_from_slice(&id);
    }
}

/// Fills the fields that fragments do not hold.
fn fix_up(
    prepared: &Prepared,
    positions: &[u32],
    around: &Surroundings<'_>,
    block: &mut [u8],
) -> Result<(), Refused> {
    // Positions of symbols are displacements of either sign, the others are below 2^30.
    let address = |position: u32| {
        let displacement = positions[position as usize].cast_signed();
        around.base.wrapping_add_signed(displacement.into())
    };
    for fixup in &prepared.fixups {
        let value = match fixup.value {
            FixupValue::Number(number) => number,
            FixupValue::Place(position) => address(position),
            FixupValue::Symbol(symbol) => around.symbols[symbol as usize],
        };
        let offset = positions[fixup.start as usize] + fixup.hole.offset();
        let place = around.base + u64::from(offset);
        if !fill(&fixup.hole, place, value, &mut block[offset as usize..]) {
            return Err(Refused::Range);
        }
    }
    Ok(())
}

/// The opcode of `call rel32`, which stands right before its field.
const CALL_REL32: u8 = 0xe8;

/// Whether a hole of this code is the field of a `call rel32`.
pub(crate) fn is_call(hole: &Hole, code: &[u8]) -> bool {
    let before = (hole.offset() as usize)
        .checked_sub(1)
        .and_then(|before| code.get(before));
    before == Some(&CALL_REL32) && hole.kind().is_pc_relative()
}

/// `(S << shift) + A`, less P where the kind is PC-relative.
fn exact(hole: &Hole, place: u64, value: u64) -> i128 {
    // Inputs are signed; every other S is an address or a number that is never negative.
    let value = if hole.value() == HoleValue::Input {
        i128::from(value.cast_signed())
    } else {
        i128::from(value)
    };
    let subtracted = if hole.kind().is_pc_relative() {
        place
    } else {
        0
    };
    (value << hole.shift()) + i128::from(hole.addend()) - i128::from(subtracted)
}

/// Writes `(S << shift) + A`, less P where the kind is PC-relative, if it is in range.
pub(crate) fn fill(hole: &Hole, place: u64, value: u64, field: &mut [u8]) -> bool {
    let kind = hole.kind();
    if kind == RelocationKind::Abs64 && hole.shift() == 0 {
        // Any address fits; the sum wraps as the psABI's does.
        let sum = value.wrapping_add_signed(hole.addend().into());
        return kind.write(field, sum.cast_signed());
    }
    i64::try_from(exact(hole, place, value)).is_ok_and(|exact| kind.write(field, exact))
}
