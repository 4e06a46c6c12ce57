//! Layout: where the regions of a trace are inside its block of code memory.
//!
//! ```text
//! | hot code | stubs | cold code | veneers | pad | header | exit records | pool | pad | constants |
//! 0                              ^ veneers       ^ data start
//! ```
//!
//! Hot code is contiguous because each stencil falls through to the next. Data starts on a cache line of its own:
//! linking an exit writes there while another core may be running the code. The pool holds the 64-bit numbers that
//! operand forms load, the constants are those of the stencils, each once.

use crate::executor::{ExecutorHeader, ExitRecord};
use crate::fragment::SLACK;
use crate::prepared::Prepared;

/// Bytes of a veneer: `jmp [rip + 0]` and the address, rounded up.
pub(crate) const VENEER_LEN: u32 = 16;

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
pub(crate) const MAX_LEN: u64 = 1 << 30;

/// The layout of one trace, in bytes from the start of the block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// Where the veneers start.
    pub(crate) veneers: u32,
    /// Bytes of code, veneers included.
    pub(crate) code_len: u32,
    /// Where the data starts: the executor's header.
    pub(crate) data: u32,
    /// Bytes of the whole block, with what patching may overwrite.
    pub(crate) len: u32,
}

impl Layout {
    /// Lays out a trace with this many veneers. `data_start` says where data may start behind so much code.
    pub(crate) fn of(
        prepared: &Prepared,
        veneers: u32,
        data_start: impl Fn(usize) -> usize,
    ) -> Self {
        // The assembler has found all of this to be below `MAX_LEN`.
        let veneers_start = prepared.code_len.next_multiple_of(VENEER_LEN);
        let code_len = if veneers == 0 {
            prepared.code_len
        } else {
            veneers_start + veneers * VENEER_LEN
        };
        let data = data_start(code_len as usize) as u32;
        let len = (data + prepared.data.len() as u32).max(prepared.code_len + SLACK as u32);
        Self {
            veneers: veneers_start,
            code_len,
            data,
            len,
        }
    }

    /// Where the exit records start.
    pub(crate) fn exits(&self) -> u32 {
        self.data + size_of::<ExecutorHeader>() as u32
    }

    /// Where an exit record is.
    pub(crate) fn exit(&self, index: u32) -> u32 {
        self.exits() + index * size_of::<ExitRecord>() as u32
    }
}

/// `jmp [rip + 0]`, followed by the address it loads.
pub(crate) fn veneer(address: u64) -> [u8; VENEER_LEN as usize] {
    let mut veneer = [0xcc; VENEER_LEN as usize];
    veneer[..6].copy_from_slice(&[0xff, 0x25, 0, 0, 0, 0]);
    veneer[6..14].copy_from_slice(&address.to_le_bytes());
    veneer
}
