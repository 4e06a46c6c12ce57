//! Selection: which stencils a checked trace is made of, and in which registers they work.
//!
//! A table without variants gives one stencil a uop, its base form, with every value in memory. Variants let values stay
//! in registers and let several uops be one stencil; see [`form`](crate::form) for the two kinds. One file selects for each:
//! `select/slots.rs` and `select/operands.rs`. Both go through the trace once, from its start to its end, choose the longest
//! sequence that fits what they know of the registers there, and agree on one state at every label: all values in memory.
//! So a jump from another state needs some code on its way, an *edge stub*, and what has no variant needs none of all this.
//!
//! Selection cannot fail: where a variant does not fit, a shorter one does, and at last the base form.

mod index;
mod operands;
mod pins;
mod places;
mod plumbing;
mod slots;
mod stack;
#[cfg(test)]
mod tests {}

pub(crate) use index::Index;

use crate::executor::ExitInfo;
use crate::form::{Form, MAX_INPUTS, Register};
use crate::table::UopId;
use crate::trace::CheckedTrace;
use places::Sites;

/// The stencil of a uop's base form, by the uop's index, or behind those the stencil of a variant, in the table's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct StencilId(pub(crate) u32);

/// A place in the code that is assembled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LabelId(pub(crate) u32);

impl LabelId {
    /// Nowhere: the code never goes there.
    pub(crate) const NONE: Self = Self(u32::MAX);
}

/// Which registers stand for a stencil's placeholders: a nibble with the number of the register for that of each placeholder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Renaming(pub(crate) u64);

impl Renaming {
    /// Every placeholder as it is.
    pub(crate) const IDENTITY: Self = Self(0xfedc_ba98_7654_3210);

    /// The same renaming with another register for one placeholder.
    #[must_use]
    pub(crate) fn with(self, placeholder: Register, register: Register) -> Self {
        let shift = 4 * u32::from(placeholder.as_u8());
        Self(self.0 & !(0xf << shift) | u64::from(register.as_u8()) << shift)
    }
}

/// The arguments of one of the uops that a stencil is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct UopArguments {
    pub(crate) oparg: u32,
    pub(crate) operand: u64,
    pub(crate) target: u32,
}

/// What a stencil's holes are filled with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arguments<'a> {
    pub(crate) uops: &'a [UopArguments],
    pub(crate) inputs: [u64; MAX_INPUTS],
    pub(crate) jump: LabelId,
    pub(crate) error: LabelId,
    pub(crate) exit: u32,
}

/// Takes the stencils of a trace in order.
pub(crate) trait Assemble {
    /// A new label.
    fn label(&mut self) -> LabelId;
    /// Puts a label in front of the next stencil.
    fn bind(&mut self, label: LabelId);
    /// Places a stencil's hot part; its cold part goes to the cold region.
    fn place(&mut self, stencil: StencilId, renaming: Renaming, arguments: &Arguments<'_>);
    /// From here on, stencils go to the cold region.
    fn begin_cold(&mut self);
    /// Where `LEAVE` goes.
    fn set_leave(&mut self, label: LabelId);
    /// Where `TOP` goes.
    fn set_top(&mut self, label: LabelId);
    /// Notes an exit record and returns its index.
    fn exit(&mut self, exit: ExitInfo) -> u32;
}

/// A variant of a table.
#[derive(Clone, Debug)]
pub(crate) struct Variant<'a> {
    pub(crate) stencil: StencilId,
    pub(crate) uops: &'a [UopId],
    pub(crate) form: &'a Form,
    pub(crate) oparg_max: &'a [u32],
    pub(crate) operand_max: &'a [u64],
}

/// What selection may make use of. What is left out is as if the table did not have it; the code does the same, slower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Selection {
    /// Stack values in registers.
    pub registers: bool,
    /// Locals in registers, across the whole trace; needs `registers`.
    pub pins: bool,
    /// Several uops in one stencil.
    pub supernodes: bool,
}

impl Default for Selection {
    fn default() -> Self {
        Self {
            registers: true,
            pins: true,
            supernodes: true,
        }
    }
}

/// Selects for a whole trace.
pub(crate) fn select(
    trace: &CheckedTrace<'_>,
    index: &Index,
    selection: Selection,
    assembler: &mut impl Assemble,
) {
    let sites = Sites::new(trace, assembler);
    match index.operands() {
        Some(plumbing) if selection.registers => {
            operands::select(sites, index, plumbing, selection);
        }
        _ => slots::select(sites, index, selection),
    }
}
