//! Prepared traces: what is left of a trace when everything is decided but where its code will be.

use crate::assemble::{LabelId, Renaming, StencilId, UopArguments};
use crate::executor::{ExitInfo, Shared};
use crate::form::MAX_INPUTS;
use crate::fragment::FragmentId;
use crate::hole::Hole;
use crate::trace::FrameShape;
use std::fmt;
use std::sync::Arc;

/// A fragment of a prepared trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Item {
    pub(crate) fragment: FragmentId,
    /// What its words hold.
    pub(crate) words: [u32; 2],
}

const _: () = assert!(size_of::<Item>() == 12);

/// A field that is to hold the displacement to a place, on top of the addend that it holds already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    /// The item that the field is in.
    pub(crate) item: u32,
    /// Where in the item.
    pub(crate) offset: u32,
    /// The place, as an index of the positions.
    pub(crate) to: u32,
}

/// A symbol that links lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SymbolUse {
    /// Its index in the table.
    pub(crate) index: u32,
    /// Whether it is called, so that a veneer may stand for it.
    pub(crate) called: bool,
}

/// A field that is filled by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fixup {
    /// The position of its part, as an index.
    pub(crate) start: u32,
    pub(crate) value: FixupValue,
    pub(crate) hole: Hole,
}

/// S of a fixup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FixupValue {
    Number(u64),
    /// An address, as an index of the positions.
    Place(u32),
    /// The address of a symbol, wherever that is.
    Symbol(u32),
}

/// A stencil and what its holes are filled with, for the reference patcher.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placement {
    pub(crate) stencil: StencilId,
    pub(crate) renaming: Renaming,
    /// The position of its first uop in the trace.
    pub(crate) index: u32,
    /// Its first uop among [`Prepared::uops`].
    pub(crate) uops: u32,
    /// Its inputs among [`Prepared::inputs`], where it takes any.
    pub(crate) inputs: u32,
    pub(crate) jump: LabelId,
    pub(crate) error: LabelId,
    pub(crate) exit: u32,
}

/// What executors keep of the trace that they were made of.
#[derive(Debug)]
pub(crate) struct TraceFacts {
    pub(crate) shape: FrameShape,
    pub(crate) exits: Box<[ExitInfo]>,
    pub(crate) hot_len: u32,
    pub(crate) uops: u32,
}

/// A trace for which everything is decided and checked, made by [`Engine::prepare`](crate::engine::Engine::prepare).
///
/// Any number of executors can be made of it.
pub struct Prepared {
    /// What tells the engine from others.
    pub(crate) shared: Arc<Shared>,
    /// The fragments, in the order of the code. Their positions, in this order, are followed by those of: the end of the
    /// code; the things in `data_offsets`; `symbols`.
    pub(crate) items: Vec<Item>,
    pub(crate) links: Vec<Link>,
    /// Bytes of code, without veneers.
    pub(crate) code_len: u32,
    /// The data area, with 0 for the executor's number.
    pub(crate) data: Vec<u8>,
    /// Where things are in the data area: the header, the exit records, the pool, the constants.
    pub(crate) data_offsets: Vec<u32>,
    pub(crate) symbols: Vec<SymbolUse>,
    pub(crate) fixups: Vec<Fixup>,
    /// The stencils, in the order in which they were placed.
    pub(crate) placements: Vec<Placement>,
    /// The arguments of the placements.
    pub(crate) uops: Vec<UopArguments>,
    pub(crate) inputs: Vec<[u64; MAX_INPUTS]>,
    /// The placement in front of which each label stands.
    pub(crate) labels: Vec<u32>,
    pub(crate) facts: Arc<TraceFacts>,
}

impl Prepared {
    /// The frame that it is for.
    pub fn shape(&self) -> FrameShape {
        self.facts.shape
    }

    /// How many uops the trace has.
    pub fn uop_count(&self) -> usize {
        self.facts.uops as usize
    }

    /// How many stencils were chosen for them.
    pub fn stencil_count(&self) -> usize {
        self.placements.len()
    }

    /// How many fragments the stencils have: what compiling takes time for.
    pub fn fragment_count(&self) -> usize {
        self.items.len()
    }

    /// Bytes of machine code, without veneers.
    pub fn code_len(&self) -> usize {
        self.code_len as usize
    }

    /// The exits, by index.
    pub fn exits(&self) -> &[ExitInfo] {
        &self.facts.exits
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Prepared({} uops, {} stencils, {} fragments, {} exits)",
            self.uop_count(),
            self.stencil_count(),
            self.fragment_count(),
            self.exits().len()
        )
    }
}
