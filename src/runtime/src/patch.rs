//! Patching: copies a trace's stencils to their places and fills every hole, each checked against its range.

use crate::hole::{Hole, HoleValue};
use crate::layout::{Layout, VENEER_LEN};
use crate::reloc::RelocationKind;
use crate::stencil::{Part, Stencil};
use crate::table::PartEntry;
use crate::trace::CheckedTrace;

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

/// A number in hexadecimal, with its sign.
fn hex(number: impl Into<i128>) -> String {
    let number = number.into();
    let sign = if number < 0 { "-" } else { "" };
    format!("{sign}{:#x}", number.unsigned_abs())
}

/// Everything that a trace's holes can be filled with.
pub(crate) struct Patcher<'a> {
    pub(crate) trace: &'a CheckedTrace<'a>,
    pub(crate) layout: &'a Layout,
    /// The address at which the block will run.
    pub(crate) base: u64,
    /// The addresses of the table's symbols.
    pub(crate) symbols: &'a [u64],
    /// The symbols that have a veneer, ascending; empty where all are within reach.
    pub(crate) veneers: &'a [u32],
}

/// The opcode of `call rel32`, which stands right before its field.
const CALL_REL32: u8 = 0xe8;

impl Patcher<'_> {
    /// Writes the whole block but for its header and exit records.
    ///
    /// # Errors
    /// A value does not fit its hole. The block then holds rubbish and must not be run.
    pub(crate) fn write(&self, block: &mut [u8]) -> Result<(), PatchError> {
        for (index, (uop, place)) in self.trace.uops.iter().zip(&self.layout.placed).enumerate() {
            let entry = self.trace.table.entry(uop.id);
            self.copy(block, index, Part::Hot, &entry.hot, place.hot)?;
            if entry.cold.len != 0 {
                self.copy(block, index, Part::Cold, &entry.cold, place.cold)?;
            }
            if entry.data.len != 0 {
                self.copy(block, index, Part::Data, &entry.data, place.data)?;
            }
        }
        for (slot, &symbol) in self.veneers.iter().enumerate() {
            self.write_veneer(block, slot, symbol);
        }
        Ok(())
    }

    fn copy(
        &self,
        block: &mut [u8],
        index: usize,
        part: Part,
        entry: &PartEntry,
        start: u32,
    ) -> Result<(), PatchError> {
        let stencil = self.trace.table.stencil(entry);
        let copied = &mut block[start as usize..][..stencil.bytes.len()];
        copied.copy_from_slice(stencil.bytes);
        let address = self.base + u64::from(start);
        for hole in stencil.holes {
            let place = address + u64::from(hole.offset());
            let value = self.value(index, hole, stencil);
            if !fill(hole, place, value, &mut copied[hole.offset() as usize..]) {
                return Err(self.error(index, part, hole, place, value));
            }
        }
        Ok(())
    }

    /// S, for the uop at `index`.
    fn value(&self, index: usize, hole: &Hole, stencil: Stencil<'_>) -> u64 {
        let uop = &self.trace.uops[index];
        let place = &self.layout.placed[index];
        let at = |offset: u32| self.base + u64::from(offset);
        // The check of the trace has proven that these places exist wherever code goes to them.
        let hot_of = |index: usize| at(self.layout.placed.get(index).map_or(0, |place| place.hot));
        match hole.value() {
            HoleValue::Zero => 0,
            HoleValue::Oparg => uop.oparg.into(),
            HoleValue::Operand => uop.operand,
            HoleValue::Target => uop.target.into(),
            HoleValue::Continue => hot_of(index + 1),
            HoleValue::JumpTarget => hot_of(self.trace.places[index].jump as usize),
            HoleValue::ErrorTarget => hot_of(self.trace.places[index].error as usize),
            HoleValue::ExitIndex => place.exit.into(),
            HoleValue::Exit => at(self.layout.exit(place.exit)),
            HoleValue::Executor => at(self.layout.header),
            HoleValue::Code => at(place.hot),
            HoleValue::Cold => at(place.cold),
            HoleValue::Data => at(place.data),
            HoleValue::Top => hot_of(1),
            HoleValue::Symbol => self.symbol(hole, stencil),
            // Base forms have none of these.
            HoleValue::Input | HoleValue::Pooled | HoleValue::Leave => 0,
        }
    }

    /// A symbol's address, or that of its veneer where it has one and is called.
    fn symbol(&self, hole: &Hole, stencil: Stencil<'_>) -> u64 {
        if !self.veneers.is_empty()
            && is_call(hole, stencil)
            && let Ok(slot) = self.veneers.binary_search(&hole.symbol())
        {
            return self.base
                + u64::from(self.layout.veneers)
                + slot as u64 * u64::from(VENEER_LEN);
        }
        self.symbols[hole.symbol() as usize]
    }

    /// `jmp [rip + 0]`, followed by the address it loads.
    fn write_veneer(&self, block: &mut [u8], slot: usize, symbol: u32) {
        let start = self.layout.veneers as usize + slot * VENEER_LEN as usize;
        let veneer = &mut block[start..start + VENEER_LEN as usize];
        veneer[..6].copy_from_slice(&[0xff, 0x25, 0, 0, 0, 0]);
        veneer[6..14].copy_from_slice(&self.symbols[symbol as usize].to_le_bytes());
        veneer[14..].fill(0xcc);
    }

    #[cold]
    fn error(&self, index: usize, part: Part, hole: &Hole, place: u64, value: u64) -> PatchError {
        let (low, high) = hole.kind().range().into_inner();
        let subtracted = if hole.kind().is_pc_relative() {
            place
        } else {
            0
        };
        PatchError {
            index,
            name: self
                .trace
                .table
                .uop(self.trace.uops[index].id)
                .name
                .to_owned(),
            part,
            offset: hole.offset(),
            kind: hole.kind(),
            value: hole.value(),
            found: (i128::from(value) << hole.shift()) + i128::from(hole.addend())
                - i128::from(subtracted),
            low,
            high,
        }
    }
}

/// Whether a hole is the field of a `call rel32`.
fn is_call(hole: &Hole, stencil: Stencil<'_>) -> bool {
    let before = (hole.offset() as usize)
        .checked_sub(1)
        .and_then(|before| stencil.bytes.get(before));
    before == Some(&CALL_REL32) && hole.kind().is_pc_relative()
}

/// Writes `(S << shift) + A`, less P where the kind is PC-relative, if it is in range.
fn fill(hole: &Hole, place: u64, value: u64, field: &mut [u8]) -> bool {
    let kind = hole.kind();
    if kind == RelocationKind::Abs64 && hole.shift() == 0 {
        // Any address fits; the sum wraps as the psABI's does.
        return kind.write(
            field,
            value
                .wrapping_add_signed(hole.addend().into())
                .cast_signed(),
        );
    }
    if kind.is_pc_relative() && hole.shift() == 0 {
        // Addresses are below 2^63, so the difference is exact.
        let displacement = value.wrapping_sub(place).cast_signed();
        return displacement
            .checked_add(hole.addend().into())
            .is_some_and(|displacement| kind.write(field, displacement));
    }
    let subtracted = if kind.is_pc_relative() { place } else { 0 };
    let exact =
        (i128::from(value) << hole.shift()) + i128::from(hole.addend()) - i128::from(subtracted);
    i64::try_from(exact).is_ok_and(|exact| kind.write(field, exact))
}

/// The symbols that a trace's code calls, each once, ascending.
pub(crate) fn called_symbols(trace: &CheckedTrace<'_>) -> Vec<u32> {
    let mut symbols = Vec::new();
    for uop in trace.uops {
        let group = trace.table.group(uop.id);
        for stencil in [group.hot, group.cold] {
            let calls = stencil
                .holes
                .iter()
                .filter(|hole| hole.value() == HoleValue::Symbol && is_call(hole, stencil));
            symbols.extend(calls.map(Hole::symbol));
        }
    }
    symbols.sort_unstable();
    symbols.dedup();
    symbols
}
