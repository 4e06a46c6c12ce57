//! Layout: where every part of a trace's stencils goes inside its block of code memory.
//!
//! ```text
//! | hot code of each uop, in order | cold code of each uop | veneers | pad | header | exit records | constants |
//! 0                                                         ^ veneers       ^ data start
//! ```
//!
//! Hot code is contiguous because each stencil falls through to the next. Data starts on a cache line of its own:
//! linking an exit writes there while another core may be running the code.

use crate::executor::{ExecutorHeader, ExitRecord};
use crate::stencil::UopFlags;
use crate::table::MAX_ALIGN;
use crate::trace::CheckedTrace;

/// Bytes of a veneer: `jmp [rip + 0]` and the address, rounded up.
pub(crate) const VENEER_LEN: u32 = 16;

/// The exit index of a uop that has no exit record.
pub(crate) const NO_EXIT: u32 = u32::MAX;

/// Where a uop's parts start, in bytes from the start of the block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed {
    pub(crate) hot: u32,
    pub(crate) cold: u32,
    pub(crate) data: u32,
    /// The index of the uop's exit record, or [`NO_EXIT`].
    pub(crate) exit: u32,
}

/// The layout of one trace.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) placed: Vec<Placed>,
    /// Where the cold code starts, behind all hot code.
    pub(crate) cold: u32,
    /// Where the veneers start.
    pub(crate) veneers: u32,
    /// Bytes of code, veneers included.
    pub(crate) code_len: u32,
    /// Where the executor's header is.
    pub(crate) header: u32,
    /// Where the exit records start.
    pub(crate) exits: u32,
    /// The positions of the uops that have exit records, by exit index.
    pub(crate) exit_uops: Vec<u32>,
    /// Bytes of the whole block.
    pub(crate) len: u32,
}

/// A trace whose code would not fit a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the trace's code and data take up to {found} bytes, the limit is {limit}")]
pub struct TooLarge {
    /// Bytes that might be needed.
    pub found: u64,
    /// Bytes that there may be.
    pub limit: u64,
}

/// The largest block: displacements inside it must fit rel32 with room to spare.
const MAX_LEN: u64 = 1 << 30;

impl Layout {
    /// Lays out a trace with room for `veneers` veneers. `data_start` says where data may start behind so much code.
    pub(crate) fn of(
        trace: &CheckedTrace<'_>,
        veneers: u32,
        data_start: impl Fn(usize) -> usize,
    ) -> Result<Self, TooLarge> {
        let mut placed = Vec::with_capacity(trace.uops.len());
        let mut exit_uops = Vec::new();
        let (mut hot, mut cold, mut data) = (0u64, 0u64, 0u64);
        for (index, uop) in trace.uops.iter().enumerate() {
            let entry = trace.table.entry(uop.id);
            let mut place = Placed {
                hot: hot as u32,
                cold: cold as u32,
                data: 0,
                exit: NO_EXIT,
            };
            hot += u64::from(entry.hot.len);
            cold += u64::from(entry.cold.len);
            if entry.data.len != 0 {
                data = data.next_multiple_of(entry.data.align.into());
                place.data = data as u32;
                data += u64::from(entry.data.len);
            }
            if entry.flags.contains(UopFlags::EXIT_RECORD) {
                place.exit = exit_uops.len() as u32;
                exit_uops.push(index as u32);
            }
            placed.push(place);
        }
        let fixed = 2 * u64::from(MAX_ALIGN) + size_of::<ExecutorHeader>() as u64;
        let total = hot
            + cold
            + data
            + fixed
            + u64::from(VENEER_LEN) * u64::from(veneers + 1)
            + (exit_uops.len() * size_of::<ExitRecord>()) as u64;
        if total > MAX_LEN {
            return Err(TooLarge {
                found: total,
                limit: MAX_LEN,
            });
        }

        let cold_start = hot as u32;
        let code_end = (hot + cold) as u32;
        let veneers_start = code_end.next_multiple_of(VENEER_LEN);
        let code_len = if veneers == 0 {
            code_end
        } else {
            veneers_start + veneers * VENEER_LEN
        };
        let header = data_start(code_len as usize) as u32;
        let exits = header + size_of::<ExecutorHeader>() as u32;
        let exits_end = exits + (exit_uops.len() * size_of::<ExitRecord>()) as u32;
        let constants = exits_end.next_multiple_of(MAX_ALIGN);
        let len = if data == 0 {
            exits_end
        } else {
            constants + data as u32
        };
        for place in &mut placed {
            place.cold += cold_start;
            place.data += constants;
        }
        Ok(Self {
            placed,
            cold: cold_start,
            veneers: veneers_start,
            code_len,
            header,
            exits,
            exit_uops,
            len,
        })
    }

    /// Where exit record `index` is.
    pub(crate) fn exit(&self, index: u32) -> u32 {
        self.exits + index * size_of::<ExitRecord>() as u32
    }
}
