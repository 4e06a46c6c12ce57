//! The engine: a table bound to the addresses of its symbols and to code memory. It makes executors of traces.
#![allow(unsafe_code)]

use crate::code_memory::{
    ArenaOptions, ArenaStats, CodeArena, CodeBlock, CodeMemoryError, Placement,
};
use crate::executor::{
    Code, Executor, ExecutorHeader, ExecutorId, ExitInfo, ExitRecord, Shared, leave_address,
};
use crate::layout::{Layout, TooLarge};
use crate::patch::{PatchError, Patcher, called_symbols};
use crate::table::StencilTable;
use crate::trace::{CheckedTrace, FrameShape, Trace, TraceError};
use std::mem::offset_of;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Why an engine cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The stencils refer to a symbol that nobody has.
    #[error("the table {table} needs the symbol {symbol}, which is not there")]
    MissingSymbol {
        /// The table's uop set.
        table: String,
        /// The symbol's name.
        symbol: String,
    },
    /// There is no code memory to be had.
    #[error(transparent)]
    CodeMemory(#[from] CodeMemoryError),
}

/// Why a trace cannot be compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The trace is of another table.
    #[error("the trace is of the table {found}, the engine's is {expected}")]
    OtherTable {
        /// The trace's.
        found: String,
        /// The engine's.
        expected: String,
    },
    /// The trace is wrong.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// A value does not fit its hole.
    #[error(transparent)]
    Patch(#[from] PatchError),
    /// The code would be too large.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// There is no code memory left.
    #[error(transparent)]
    CodeMemory(#[from] CodeMemoryError),
}

/// A table that is ready to compile traces of. See the [module](self).
#[derive(Debug)]
pub struct Engine {
    table: Arc<StencilTable>,
    symbols: Vec<u64>,
    /// The lowest and the highest address among the symbols.
    symbol_range: Option<(usize, usize)>,
    arena: Arc<CodeArena>,
    shared: Arc<Shared>,
}

impl Engine {
    /// Binds a table to addresses and to an arena of its own, near the first symbol if there is any.
    ///
    /// `resolve` gives the address of a symbol by name, or `None`.
    ///
    /// # Errors
    /// A symbol has no address, or there is no code memory to be had.
    ///
    /// # Safety
    /// The addresses are those of C functions with the signatures that the table's templates declare, or of data that
    /// they expect, and stay valid as long as anything of this engine runs.
    pub unsafe fn new(
        table: Arc<StencilTable>,
        resolve: impl Fn(&str) -> Option<usize>,
    ) -> Result<Self, EngineError> {
        let symbols = resolve_all(&table, resolve)?;
        let options = match symbols.first() {
            Some(&address) => ArenaOptions {
                placement: Placement::Near(address as usize),
                ..ArenaOptions::default()
            },
            None => ArenaOptions::default(),
        };
        Ok(Self::bind(table, symbols, CodeArena::new(options)?))
    }

    /// As [`new`](Self::new), with an arena that exists.
    ///
    /// # Errors
    /// A symbol has no address.
    ///
    /// # Safety
    /// As [`new`](Self::new).
    pub unsafe fn with_arena(
        table: Arc<StencilTable>,
        resolve: impl Fn(&str) -> Option<usize>,
        arena: Arc<CodeArena>,
    ) -> Result<Self, EngineError> {
        Ok(Self::bind(
            Arc::clone(&table),
            resolve_all(&table, resolve)?,
            arena,
        ))
    }

    fn bind(table: Arc<StencilTable>, symbols: Vec<u64>, arena: Arc<CodeArena>) -> Self {
        let addresses = || symbols.iter().map(|&address| address as usize);
        let symbol_range = addresses().min().zip(addresses().max());
        Self {
            table,
            symbols,
            symbol_range,
            arena,
            shared: Arc::default(),
        }
    }

    /// The table.
    pub fn table(&self) -> &Arc<StencilTable> {
        &self.table
    }

    /// What the code memory holds.
    pub fn memory(&self) -> ArenaStats {
        self.arena.stats()
    }

    /// Compiles a trace for frames of this shape.
    ///
    /// # Errors
    /// The trace is wrong or too large, a value does not fit its hole, or code memory is exhausted.
    pub fn compile(&self, trace: &Trace<'_>, shape: FrameShape) -> Result<Executor, CompileError> {
        if !std::ptr::eq(trace.table(), &*self.table) {
            return Err(CompileError::OtherTable {
                found: trace.table().set().to_owned(),
                expected: self.table.set().to_owned(),
            });
        }
        let checked = trace.check(shape)?;
        let id = next_id();
        let data_start = |code_len| self.arena.data_start(code_len);
        let mut layout = Layout::of(&checked, 0, data_start)?;
        let mut block = self.arena.allocate(layout.len as usize)?;
        let mut veneers = Vec::new();
        if !self.reaches_all(&block) {
            // The next block may lie elsewhere, so every function that is called gets its veneer.
            veneers = called_symbols(&checked);
            drop(block);
            layout = Layout::of(&checked, veneers.len() as u32, data_start)?;
            block = self.arena.allocate(layout.len as usize)?;
        }
        let patcher = Patcher {
            trace: &checked,
            layout: &layout,
            base: block.address() as u64,
            symbols: &self.symbols,
            veneers: &veneers,
        };
        patcher.write(block.bytes_mut())?;
        let exits = write_records(block.bytes_mut(), &checked, &layout, id);
        self.finish(block, &checked, &layout, exits, id)
    }

    fn reaches_all(&self, block: &CodeBlock) -> bool {
        self.symbol_range
            .is_none_or(|(low, high)| block.reaches(low) && block.reaches(high))
    }

    fn finish(
        &self,
        block: CodeBlock,
        trace: &CheckedTrace<'_>,
        layout: &Layout,
        exits: Box<[ExitInfo]>,
        id: ExecutorId,
    ) -> Result<Executor, CompileError> {
        let code = Code {
            id,
            block: block.seal(layout.code_len as usize)?,
            shape: trace.shape,
            exits,
            hot_len: layout.cold,
            code_len: layout.code_len,
            uops: trace.uops.len() as u32,
            header_offset: layout.header,
            exits_offset: layout.exits,
        };
        Ok(Executor {
            code: Arc::new(code),
            shared: Arc::clone(&self.shared),
        })
    }
}

fn resolve_all(
    table: &StencilTable,
    resolve: impl Fn(&str) -> Option<usize>,
) -> Result<Vec<u64>, EngineError> {
    table
        .symbols()
        .map(|symbol| {
            resolve(symbol)
                .map(|address| address as u64)
                .ok_or_else(|| EngineError::MissingSymbol {
                    table: table.set().to_owned(),
                    symbol: symbol.to_owned(),
                })
        })
        .collect()
}

/// A number for a trace that no other has, of whatever engine or interpreter.
pub(crate) fn next_id() -> ExecutorId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    ExecutorId(NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Writes the executor's header and exit records.
fn write_records(
    block: &mut [u8],
    trace: &CheckedTrace<'_>,
    layout: &Layout,
    id: ExecutorId,
) -> Box<[ExitInfo]> {
    let mut word = |offset: u32, field: usize, value: &[u8]| {
        let start = offset as usize + field;
        block[start..start + value.len()].copy_from_slice(value);
    };
    word(
        layout.header,
        offset_of!(ExecutorHeader, valid),
        &1u64.to_le_bytes(),
    );
    word(
        layout.header,
        offset_of!(ExecutorHeader, id),
        &id.0.to_le_bytes(),
    );
    let mut infos = Vec::with_capacity(layout.exit_uops.len());
    for (index, &uop) in layout.exit_uops.iter().enumerate() {
        let index = index as u32;
        let record = layout.exit(index);
        let info = ExitInfo {
            uop,
            target: trace.uops[uop as usize].target,
            depth: trace.exit_depth(uop as usize),
        };
        word(
            record,
            offset_of!(ExitRecord, entry),
            &leave_address().to_le_bytes(),
        );
        word(
            record,
            offset_of!(ExitRecord, executor),
            &id.0.to_le_bytes(),
        );
        word(record, offset_of!(ExitRecord, index), &index.to_le_bytes());
        word(record, offset_of!(ExitRecord, uop), &uop.to_le_bytes());
        word(
            record,
            offset_of!(ExitRecord, target),
            &info.target.to_le_bytes(),
        );
        word(
            record,
            offset_of!(ExitRecord, depth),
            &info.depth.unwrap_or(u32::MAX).to_le_bytes(),
        );
        infos.push(info);
    }
    infos.into()
}
