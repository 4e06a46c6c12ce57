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
mod tests;

pub(crate) use index::Index;

use crate::assemble::{Arguments, Assembler, LabelId, NO_EXIT, Renaming, StencilId, UopArguments};
use crate::executor::ExitInfo;
use crate::trace::CheckedTrace;
use places::Sites;

/// Takes the stencils of a trace in order; the [`Assembler`], or what a test looks through.
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

impl Assemble for Assembler<'_> {
    fn label(&mut self) -> LabelId {
        self.label()
    }

    fn bind(&mut self, label: LabelId) {
        self.bind(label);
    }

    #[inline]
    fn place(&mut self, stencil: StencilId, renaming: Renaming, arguments: &Arguments<'_>) {
        self.place(stencil, renaming, arguments);
    }

    fn begin_cold(&mut self) {
        self.begin_cold();
    }

    fn set_leave(&mut self, label: LabelId) {
        self.set_leave(label);
    }

    fn set_top(&mut self, label: LabelId) {
        self.set_top(label);
    }

    fn exit(&mut self, exit: ExitInfo) -> u32 {
        self.exit(exit)
    }
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
        Some(plumbing) => operands::select(sites, index, plumbing, selection),
        None => slots::select(sites, index, selection),
    }
}
