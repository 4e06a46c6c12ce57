//! The engine: a table bound to the addresses of its symbols and to code memory. It makes executors of traces.
#![allow(unsafe_code)]

use crate::assemble::Assembler;
use crate::code_memory::{ArenaOptions, ArenaStats, CodeArena, CodeMemoryError, Placement, REACH};
use crate::executor::{Code, Executor, ExecutorId, ExitCounts, Shared};
use crate::fragment::Fragments;
use crate::layout::{Layout, MAX_LEN, TooLarge};
use crate::patch::{self, CopyLoop, PatchError, Patcher, Refused, Surroundings};
use crate::prepared::{Prepared, SymbolUse};
use crate::reference;
use crate::select::{Index, Selection, select};
use crate::table::{StencilTable, UopEntry};
use crate::trace::{CheckedTrace, FrameShape, Trace, TraceError};
use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

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
    #[error(
        "the trace is of the table {found}, the engine's is {expected}: the trace's has {difference}"
    )]
    OtherTable {
        /// The trace's.
        found: String,
        /// The engine's.
        expected: String,
        /// In what they differ.
        difference: String,
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
    /// The prepared trace was made by another engine.
    #[error("the trace was prepared by another engine")]
    OtherEngine,
    /// This processor cannot run the patcher that was asked for.
    #[error("this processor cannot run the patcher {}", .0.name())]
    Patcher(Patcher),
    /// An error in this library.
    #[error("an error in mimeo, please report it: {0}")]
    Internal(&'static str),
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
    fragments: RwLock<Fragments>,
    /// Bytes of the largest base form.
    largest: u64,
    /// The table's variants, to select from.
    index: Index,
    /// The fastest loop that this processor can run.
    copy_loop: Option<CopyLoop>,
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
    /// - The addresses are those of C functions with the signatures that the table's templates declare, or of data that
    ///   they expect, and stay valid as long as anything of this engine runs.
    /// - The table's code may be run. Loading a table proves that the file is well formed, and says nothing of what its
    ///   code does. Either whoever made the table is trusted, or every stencil of it has passed mimeo's checker
    ///   (`mimeo verify`, `mimeo_compiler::verify::check_table`). That proves how a stencil works together with the others:
    ///   that control leaves it through its holes only, and with the stack and the registers as the convention wants them,
    ///   that calls find the stack aligned, and that each hole is a field of an instruction. It does not prove that the
    ///   code does what the uop's name, stack effect and flags say, nor what it reads and writes through the addresses that
    ///   it is given: for that the table's maker is trusted, even if the checker has passed it.
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
        let base_forms = table.uops().map(|uop| base_len(table.entry(uop)));
        Self {
            largest: base_forms.max().unwrap_or(0),
            index: Index::new(&table),
            table,
            symbols,
            symbol_range,
            arena,
            shared: Arc::default(),
            fragments: RwLock::default(),
            copy_loop: CopyLoop::of(Patcher::Auto),
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
        self.compile_prepared(&self.prepare(trace, shape)?)
    }

    /// Checks a trace and decides everything about its code but where that will be.
    ///
    /// # Errors
    /// The trace is wrong or too large, or a value does not fit its hole.
    pub fn prepare(&self, trace: &Trace<'_>, shape: FrameShape) -> Result<Prepared, CompileError> {
        self.prepare_with(trace, shape, Selection::default())
    }

    /// As [`prepare`](Self::prepare), with what selection may make use of.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare).
    pub fn prepare_with(
        &self,
        trace: &Trace<'_>,
        shape: FrameShape,
        selection: Selection,
    ) -> Result<Prepared, CompileError> {
        let trace = trace_of(&self.table, trace)?;
        let checked = trace.check(shape)?;
        self.check_size(&checked)?;
        let uops = checked.uops.len();
        let mut assembler = Assembler::new(&self.table, &self.symbols, &self.fragments, uops);
        select(&checked, &self.index, selection, &mut assembler);
        assembler.finish(shape, uops, &self.shared)
    }

    /// Refuses a trace that would be far too large, before any of it is made.
    fn check_size(&self, trace: &CheckedTrace<'_>) -> Result<(), TooLarge> {
        if trace.uops.len() as u64 * self.largest <= MAX_LEN {
            return Ok(());
        }
        let found = trace
            .uops
            .iter()
            .map(|uop| base_len(self.table.entry(uop.id)))
            .sum();
        if found > MAX_LEN {
            return Err(TooLarge {
                found,
                limit: MAX_LEN,
            });
        }
        Ok(())
    }

    /// Makes an executor of a prepared trace; as often as one likes.
    ///
    /// # Errors
    /// It is another engine's, an address does not fit its hole, or code memory is exhausted.
    pub fn compile_prepared(&self, prepared: &Prepared) -> Result<Executor, CompileError> {
        self.compile_with(prepared, Patcher::Auto)
    }

    /// As [`compile_prepared`](Self::compile_prepared), with this patcher.
    ///
    /// # Errors
    /// As [`compile_prepared`](Self::compile_prepared), or this processor cannot run the patcher.
    pub fn compile_with(
        &self,
        prepared: &Prepared,
        patcher: Patcher,
    ) -> Result<Executor, CompileError> {
        let copy = self.copy_loop(prepared, patcher)?;
        let data_start = |code_len| self.arena.data_start(code_len);
        let mut layout = Layout::of(prepared, 0, data_start);
        let mut block = self.arena.allocate(layout.len as usize)?;
        let mut veneers = Vec::new();
        if !self.reached_from(block.address(), layout.len) {
            // The next block may lie elsewhere, so every function that is called gets its veneer.
            veneers = reference::called_symbols(&self.table, prepared);
            drop(block);
            layout = Layout::of(prepared, veneers.len() as u32, data_start);
            block = self.arena.allocate(layout.len as usize)?;
        }
        let around = Surroundings {
            layout: &layout,
            base: block.address() as u64,
            symbols: &self.symbols,
            veneers: &veneers,
            id: next_id(),
        };
        self.write(prepared, copy, &around, block.bytes_mut())?;
        let code = Code {
            id: around.id,
            block: block.seal(layout.code_len as usize)?,
            facts: Arc::clone(&prepared.facts),
            code_len: layout.code_len,
            header_offset: layout.data,
            exits_offset: layout.exits(),
            counts: ExitCounts::default(),
        };
        Ok(Executor {
            code: Arc::new(code),
            shared: Arc::clone(&self.shared),
        })
    }

    /// The bytes of the block that a patcher makes of a prepared trace for this address, a multiple of
    /// [`GRANULE`](crate::code_memory::GRANULE): code, data and what is between them, with 0 for the executor's number.
    ///
    /// # Errors
    /// As [`compile_with`](Self::compile_with); no code memory is used.
    pub fn image(
        &self,
        prepared: &Prepared,
        patcher: Patcher,
        address: usize,
    ) -> Result<Vec<u8>, CompileError> {
        let copy = self.copy_loop(prepared, patcher)?;
        let data_start = |code_len| self.arena.data_start(code_len);
        let mut layout = Layout::of(prepared, 0, data_start);
        let mut veneers = Vec::new();
        if !self.reached_from(address, layout.len) {
            veneers = reference::called_symbols(&self.table, prepared);
            layout = Layout::of(prepared, veneers.len() as u32, data_start);
        }
        let around = Surroundings {
            layout: &layout,
            base: address as u64,
            symbols: &self.symbols,
            veneers: &veneers,
            id: ExecutorId(0),
        };
        let mut image = vec![0; layout.len as usize];
        self.write(prepared, copy, &around, &mut image)?;
        // What sealing does.
        image[layout.code_len as usize..layout.data as usize].fill(0xcc);
        image.truncate(layout.data as usize + prepared.data.len());
        Ok(image)
    }

    /// The loop to patch with; none for the reference.
    fn copy_loop(
        &self,
        prepared: &Prepared,
        patcher: Patcher,
    ) -> Result<Option<CopyLoop>, CompileError> {
        if !Arc::ptr_eq(&prepared.shared, &self.shared) {
            return Err(CompileError::OtherEngine);
        }
        match patcher {
            Patcher::Auto => Ok(self.copy_loop),
            Patcher::Reference => Ok(None),
            patcher => CopyLoop::of(patcher)
                .map(Some)
                .ok_or(CompileError::Patcher(patcher)),
        }
    }

    /// Whether all symbols are within [`REACH`] of each byte of a block.
    fn reached_from(&self, address: usize, len: u32) -> bool {
        self.symbol_range.is_none_or(|(low, high)| {
            is_reached(address, len, low) && is_reached(address, len, high)
        })
    }

    /// Whether all symbols for which no veneer can stand are within [`REACH`] of each byte of a block.
    fn data_is_reached(&self, prepared: &Prepared, around: &Surroundings<'_>) -> bool {
        let (address, len) = (around.base as usize, around.layout.len);
        let is_reached = |symbol: &SymbolUse| {
            symbol.called || is_reached(address, len, self.symbols[symbol.index as usize] as usize)
        };
        around.veneers.is_empty() && self.reached_from(address, len)
            || prepared.symbols.iter().all(is_reached)
    }

    /// Writes a block.
    fn write(
        &self,
        prepared: &Prepared,
        copy: Option<CopyLoop>,
        around: &Surroundings<'_>,
        block: &mut [u8],
    ) -> Result<(), CompileError> {
        if block.len() < around.layout.len as usize {
            // Only in a forked child.
            return Err(CodeMemoryError::Forked.into());
        }
        if let Some(copy) = copy
            && self.data_is_reached(prepared, around)
        {
            // Fragments are added whole, so a panic elsewhere in the process does not spoil them.
            let fragments = self
                .fragments
                .read()
                .unwrap_or_else(PoisonError::into_inner);
            match patch::write(copy, &fragments, prepared, around, block) {
                Ok(()) => return Ok(()),
                Err(Refused::Room) => return Err(CodeMemoryError::Forked.into()),
                Err(Refused::Range) => {}
            }
        }
        // The reference checks every value by itself, and names the hole of one that does not fit.
        Ok(reference::write(&self.table, prepared, around, block)?)
    }
}

/// A trace as one of this table, from whose records it is checked then, whichever load of the table it was made with.
pub(crate) fn trace_of<'a>(
    table: &'a StencilTable,
    trace: &'a Trace<'_>,
) -> Result<Cow<'a, Trace<'a>>, CompileError> {
    if std::ptr::eq(trace.table(), table) {
        return Ok(Cow::Borrowed(trace));
    }
    if trace.table().is_same(table) {
        return Ok(Cow::Owned(trace.in_table(table)));
    }
    Err(CompileError::OtherTable {
        found: trace.table().set().to_owned(),
        expected: table.set().to_owned(),
        difference: trace.table().difference(table),
    })
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

/// Bytes of a uop's base form, its constants included.
fn base_len(entry: &UopEntry) -> u64 {
    u64::from(entry.hot.len) + u64::from(entry.cold.len) + u64::from(entry.data.len)
}

/// Whether a symbol is within [`REACH`] of each byte of a block.
fn is_reached(address: usize, len: u32, symbol: usize) -> bool {
    let end = address.saturating_add(len as usize);
    end.saturating_sub(symbol) <= REACH && symbol.saturating_sub(address) <= REACH
}

/// A number for a trace that no other has, of whatever engine or interpreter.
pub(crate) fn next_id() -> ExecutorId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    ExecutorId(NEXT.fetch_add(1, Ordering::Relaxed))
}

#[cfg(test)]
mod tests;
