//! The interpreter: runs the same traces as the [engine](crate::engine) without compiling them.
//!
//! It is made from the same templates: the compiler builds each once more, as a *handler*. Where a stencil has holes, a
//! handler reads an *instruction record*, whose address it is handed in the first value register; where a stencil falls
//! through or jumps, a handler goes on with the handler whose address stands in the next record (direct threading: Bell,
//! "Threaded Code", CACM 16(6), 1973). Frame, stack and exits are the engine's, so that a trace does the same under
//! either, with the interpreter several times slower but ready at once, and without a byte of writable or fresh
//! executable memory: the handlers can be part of the program's own text.
//!
//! A trace is checked when it is loaded, and handlers check nothing.
//!
//! # How a trace lies in memory
//! ```text
//! | second operands | header: valid, id | record of each uop, in order | exit records |
//! ```
//! The second operands are there only where a uop of the trace reads its own: a word for each uop, the first uop's nearest
//! to the header. Most uops have none, and all records have one length: from the distance between a record and the header
//! follows where its uop's word is, see [`operand1_offset`].
//!
//! A record refers to others and to its trace's header by distances in bytes from itself, and to its handler by the
//! address. The last record of a trace is never fallen off: [`Trace::check`] proves that.
//!
//! # Where symbols are
//! Handlers must not need relocation where they are mapped, so they find the functions that they call through the
//! thread state: a run puts the address of the interpreter's table of addresses there.
#![allow(unsafe_code)]

mod image;

pub use image::{
    CODE_ALIGN, FORMAT_VERSION, HANDLER_ALIGN, ImageContents, ImageError, InterpreterImage, MAGIC,
};

use crate::code_memory::{CodeArena, CodeMemoryError, SealedBlock};
use crate::engine::{CompileError, next_id, trace_of};
use crate::executor::{
    End, ExecutorHeader, ExecutorId, ExitCounts, ExitInfo, ExitRecord, Invalidator, LinkError,
    Linked, Shared, SideExit, ThreadState, enter, leave_address,
};
use crate::stencil::UopFlags;
use crate::table::StencilTable;
use crate::trace::{CheckedTrace, FrameShape, NOWHERE, Trace};
use std::arch::naked_asm;
use std::fmt;
use std::mem::offset_of;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a handler knows of its uop: its address is in the first value register.
///
/// Distances are in bytes from the start of the record. They are 0 where the uop has no such thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Record {
    /// The address of the uop's handler.
    pub handler: u64,
    /// The operand.
    pub operand: u64,
    /// The oparg.
    pub oparg: u32,
    /// The target.
    pub target: u32,
    /// The distance to the record that the jump label stands in front of.
    pub jump: i32,
    /// The distance to the record that the error label stands in front of.
    pub error: i32,
    /// The distance to the uop's [`ExitRecord`].
    pub exit: i32,
    /// The distance to the trace's [`ExecutorHeader`], behind which the first record starts.
    pub header: i32,
}

/// Where the second operand of a record's uop is, in bytes from the header: `header` is the record's [`Record::header`].
///
/// The compiler computes the same in handlers: minus 8 for the first record, another 8 less for each further one.
pub const fn operand1_offset(header: i32) -> i32 {
    (header - OPERAND1_BIAS) / OPERAND1_DIVISOR
}

/// What is subtracted from [`Record::header`] first, in [`operand1_offset`].
pub const OPERAND1_BIAS: i32 = (size_of::<Record>() - size_of::<ExecutorHeader>()) as i32;

/// What the difference is divided by, in [`operand1_offset`]. Nothing is left over.
pub const OPERAND1_DIVISOR: i32 = (size_of::<Record>() / WORD) as i32;

// The first two records.
const _: () = assert!(operand1_offset(-16) == -8 && operand1_offset(-16 - 40) == -16);

/// Where the address of the symbols' addresses stands in the thread state, in bytes from its start.
pub const SYMBOLS: usize = offset_of!(ThreadState, symbols);

/// A side exit, as its handler finds it.
#[repr(C)]
struct InterpretedExit {
    record: ExitRecord,
    /// The address of the first record of the trace that the exit is linked to.
    to: u64,
}

/// The size of a word of a trace in memory, in bytes.
const WORD: usize = size_of::<u64>();
const RECORD_WORDS: usize = size_of::<Record>() / WORD;
const EXIT_WORDS: usize = size_of::<InterpretedExit>() / WORD;
const HEADER_WORDS: usize = size_of::<ExecutorHeader>() / WORD;

const _: () = assert!(size_of::<Record>() == 40 && offset_of!(Record, handler) == 0);

/// Where an exit that is linked goes: on with the first record of the other trace.
///
/// # Safety
/// Only handlers go here, with the address of an [`InterpretedExit`] in r15 that is linked.
#[unsafe(naked)]
unsafe extern "sysv64" fn go_on() {
    naked_asm!(
        "mov r15, [r15 + {to}]",
        "jmp [r15]",
        to = const offset_of!(InterpretedExit, to),
    )
}

/// Why there is no interpreter.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InterpreterError {
    /// The image was made of other templates than the table.
    #[error(
        "the interpreter of {image} was made of other templates than the table {table}: it is for inputs {found}, the \
         table has {expected}"
    )]
    OtherTable {
        /// The image's uop set.
        image: String,
        /// The table's uop set.
        table: String,
        /// The digest in the image, in hexadecimal digits.
        found: String,
        /// The table's digest.
        expected: String,
    },
    /// The image has not as many handlers as the table has uops.
    #[error("the interpreter of {table} has {found} handlers, the table {expected} uops")]
    Handlers {
        /// The table's uop set.
        table: String,
        /// How many handlers there are.
        found: usize,
        /// How many there should be.
        expected: usize,
    },
    /// The handlers call a symbol that nobody has.
    #[error("the interpreter of {table} needs the symbol {symbol}, which is not there")]
    MissingSymbol {
        /// The table's uop set.
        table: String,
        /// The symbol's name.
        symbol: String,
    },
    /// The image was not linked in as it must be.
    #[error("the interpreter's code is at {address:#x}, expected a multiple of {CODE_ALIGN}")]
    Misaligned {
        /// Where it is.
        address: usize,
    },
    /// There is no code memory to be had.
    #[error(transparent)]
    CodeMemory(#[from] CodeMemoryError),
}

/// A table's uops, ready to interpret traces of. See the [module](self).
#[derive(Debug)]
pub struct Interpreter {
    table: Arc<StencilTable>,
    bound: Arc<Bound>,
    shared: Arc<Shared>,
}

/// What the traces of an interpreter need as long as they live.
#[derive(Debug)]
struct Bound {
    /// The address of each uop's handler.
    handlers: Box<[u64]>,
    /// The address of each symbol.
    symbols: Box<[u64]>,
    /// The code, where it is not the program's own.
    _code: Option<SealedBlock>,
}

impl Interpreter {
    /// An interpreter whose code is run where the image is: in the program's own text. This needs no memory that could be
    /// refused.
    ///
    /// `resolve` gives the address of a symbol by name, or `None`.
    ///
    /// # Errors
    /// The image is not that of the table, a symbol has no address, or the code is not aligned.
    ///
    /// # Safety
    /// - The image is one that mimeo's compiler has made, of templates that are trusted, and its bytes are mapped executable as long as the program
    ///   runs: they are a `static` in a section of the program's text.
    /// - The addresses are those of C functions with the signatures that the table's templates declare, or of data that
    ///   they expect, and stay valid as long as anything of this interpreter runs.
    pub unsafe fn from_text(
        table: Arc<StencilTable>,
        image: &InterpreterImage<'static>,
        resolve: impl Fn(&str) -> Option<usize>,
    ) -> Result<Self, InterpreterError> {
        let address = image.code().as_ptr() as usize;
        Self::bind(table, image, resolve, address, None)
    }

    /// An interpreter whose code is copied to code memory.
    ///
    /// # Errors
    /// The image is not that of the table, a symbol has no address, or code memory is exhausted.
    ///
    /// # Safety
    /// The image is one that mimeo's compiler has made, of templates that are trusted; the addresses are as for [`from_text`](Self::from_text).
    pub unsafe fn in_arena(
        table: Arc<StencilTable>,
        image: &InterpreterImage<'_>,
        resolve: impl Fn(&str) -> Option<usize>,
        arena: &Arc<CodeArena>,
    ) -> Result<Self, InterpreterError> {
        let code = image.code();
        let mut block = arena.allocate(code.len())?;
        // A forked child is given no bytes; sealing says so.
        if let Some(bytes) = block.bytes_mut().get_mut(..code.len()) {
            bytes.copy_from_slice(code);
        }
        let block = block.seal(code.len())?;
        Self::bind(table, image, resolve, block.address(), Some(block))
    }

    fn bind(
        table: Arc<StencilTable>,
        image: &InterpreterImage<'_>,
        resolve: impl Fn(&str) -> Option<usize>,
        address: usize,
        code: Option<SealedBlock>,
    ) -> Result<Self, InterpreterError> {
        let name = || table.set().to_owned();
        if image.digest() != table.digest() || image.set() != table.set() {
            return Err(InterpreterError::OtherTable {
                image: image.set().to_owned(),
                table: name(),
                found: hexadecimal(image.digest()),
                expected: hexadecimal(table.digest()),
            });
        }
        if image.entries().len() != table.uop_count() {
            return Err(InterpreterError::Handlers {
                table: name(),
                found: image.entries().len(),
                expected: table.uop_count(),
            });
        }
        if !address.is_multiple_of(CODE_ALIGN) {
            return Err(InterpreterError::Misaligned { address });
        }
        let symbols = image
            .symbols()
            .map(|symbol| {
                let missing = || InterpreterError::MissingSymbol {
                    table: name(),
                    symbol: symbol.to_owned(),
                };
                Ok(resolve(symbol).ok_or_else(missing)? as u64)
            })
            .collect::<Result<_, InterpreterError>>()?;
        let bound = Bound {
            handlers: image
                .entries()
                .map(|entry| address as u64 + u64::from(entry))
                .collect(),
            symbols,
            _code: code,
        };
        Ok(Self {
            table,
            bound: Arc::new(bound),
            shared: Arc::default(),
        })
    }

    /// The table.
    pub fn table(&self) -> &Arc<StencilTable> {
        &self.table
    }

    /// Checks a trace and makes it ready to run in frames of this shape.
    ///
    /// # Errors
    /// The trace is wrong, or of another table.
    pub fn load(
        &self,
        trace: &Trace<'_>,
        shape: FrameShape,
    ) -> Result<InterpretedTrace, CompileError> {
        let trace = trace_of(&self.table, trace)?;
        let checked = trace.check(shape)?;
        let id = next_id();
        let operand1 = UopFlags::OPERAND1;
        let mut flags = checked
            .uops
            .iter()
            .map(|uop| self.table.entry(uop.id).flags);
        let header = match flags.any(|flags| flags.contains(operand1)) {
            true => checked.uops.len(),
            false => 0,
        };
        let (words, exits) = write_trace(&checked, id, &self.bound.handlers, header);
        let instructions = Instructions {
            id,
            words,
            header,
            shape,
            exits,
            uops: checked.uops.len(),
            bound: Arc::clone(&self.bound),
            counts: ExitCounts::default(),
        };
        Ok(InterpretedTrace {
            instructions: Arc::new(instructions),
            shared: Arc::clone(&self.shared),
        })
    }
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The offset of a word, in bytes. A trace has at most 2^20 uops: the end of it is far below 2^31.
const fn offset(word: usize) -> i32 {
    (word * WORD) as i32
}

/// Writes header, records and exit records; the second operands first where they are in front of the `header`.
fn write_trace(
    trace: &CheckedTrace<'_>,
    id: ExecutorId,
    handlers: &[u64],
    header: usize,
) -> (Box<[AtomicU64]>, Box<[ExitInfo]>) {
    let record_at = |uop: usize| header + HEADER_WORDS + uop * RECORD_WORDS;
    let first_exit = record_at(trace.uops.len());
    let mut words: Vec<u64> = Vec::with_capacity(first_exit);
    let second_operands = trace.uops.iter().map(|uop| uop.operand1);
    words.extend(second_operands.take(header).rev());
    words.extend([1, id.0]);
    let mut exits = Vec::new();
    for (index, (uop, places)) in trace.uops.iter().zip(&trace.places).enumerate() {
        let here = record_at(index);
        let distance = |word: usize| offset(word) - offset(here);
        let to_record = |place: u32| match place {
            NOWHERE => 0,
            place => distance(record_at(place as usize)),
        };
        let flags = trace.table.entry(uop.id).flags;
        let mut exit = 0;
        if flags.contains(UopFlags::EXIT_RECORD) {
            exit = distance(first_exit + exits.len() * EXIT_WORDS);
            exits.push(trace.exit(index));
        }
        words.extend([
            handlers[uop.id.index()],
            uop.operand,
            halves(uop.oparg, uop.target),
            halves(
                to_record(places.jump) as u32,
                to_record(places.error) as u32,
            ),
            halves(exit as u32, distance(header) as u32),
        ]);
    }
    for (index, exit) in exits.iter().enumerate() {
        words.extend([
            leave_address(),
            id.0,
            halves(index as u32, exit.uop),
            halves(exit.target, exit.depth.unwrap_or(u32::MAX)),
            0,
        ]);
    }
    let words = words.into_iter().map(AtomicU64::new).collect();
    (words, exits.into())
}

/// A word of two fields, as x86-64 lays them out.
fn halves(first: u32, second: u32) -> u64 {
    u64::from(first) | u64::from(second) << 32
}

/// A trace in memory, with what its code needs.
struct Instructions {
    id: ExecutorId,
    /// Second operands, header, records and exit records. They are atomic because handlers and other threads read what linking and
    /// invalidating write.
    words: Box<[AtomicU64]>,
    /// Where the header is among the words.
    header: usize,
    shape: FrameShape,
    exits: Box<[ExitInfo]>,
    uops: usize,
    bound: Arc<Bound>,
    counts: ExitCounts,
}

impl fmt::Debug for Instructions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Instructions({}, {} uops)", self.id, self.uops)
    }
}

impl Instructions {
    /// Where the first record is among the words.
    fn first_record(&self) -> usize {
        self.header + HEADER_WORDS
    }

    /// The address of the first record.
    fn entry(&self) -> usize {
        self.words.as_ptr() as usize + self.first_record() * WORD
    }

    fn valid(&self) -> &AtomicU64 {
        &self.words[self.header + offset_of!(ExecutorHeader, valid) / WORD]
    }

    /// A field of an exit record.
    fn exit_word(&self, exit: u32, field: usize) -> &AtomicU64 {
        let first_exit = self.first_record() + self.uops * RECORD_WORDS;
        &self.words[first_exit + exit as usize * EXIT_WORDS + field / WORD]
    }

    /// Makes an exit go on at a record. It left before: whoever reads that it goes on then reads where.
    fn link(&self, exit: u32, to: usize) {
        let goes_on = go_on as *const () as u64;
        self.exit_word(exit, offset_of!(InterpretedExit, to))
            .store(to as u64, Ordering::SeqCst);
        self.exit_word(exit, offset_of!(ExitRecord, entry))
            .store(goes_on, Ordering::SeqCst);
    }
}

impl Linked for Instructions {
    fn id(&self) -> ExecutorId {
        self.id
    }

    fn unlink(&self, exit: u32) {
        self.exit_word(exit, offset_of!(ExitRecord, entry))
            .store(leave_address(), Ordering::SeqCst);
    }

    fn set_invalid(&self) {
        self.valid().store(0, Ordering::SeqCst);
    }

    fn count(&self, exit: u32) -> u64 {
        self.counts.add(exit, self.exits.len())
    }
}

/// A trace that is interpreted: an [`Executor`](crate::executor::Executor) without code of its own.
///
/// Its memory is freed when it is dropped, once nothing runs in it.
pub struct InterpretedTrace {
    instructions: Arc<Instructions>,
    shared: Arc<Shared>,
}

impl fmt::Debug for InterpretedTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "InterpretedTrace({}, {} uops, {} exits)",
            self.id(),
            self.uop_count(),
            self.exits().len()
        )
    }
}

impl InterpretedTrace {
    /// The trace's number, which its exits report: no executor has the same.
    pub fn id(&self) -> ExecutorId {
        self.instructions.id
    }

    /// The frame that it was checked for.
    pub fn shape(&self) -> FrameShape {
        self.instructions.shape
    }

    /// Its exits, by index.
    pub fn exits(&self) -> &[ExitInfo] {
        &self.instructions.exits
    }

    /// How many uops there are.
    pub fn uop_count(&self) -> usize {
        self.instructions.uops
    }

    /// Bytes of memory that second operands, header, records and exit records take.
    pub fn byte_len(&self) -> usize {
        size_of_val(&*self.instructions.words)
    }

    /// Runs the trace, and whatever its exits are linked to, until an exit that is not linked.
    ///
    /// # Safety
    /// As [`Executor::run`](crate::executor::Executor::run); that the process has not forked matters only for an
    /// interpreter in [code memory](Interpreter::in_arena).
    pub unsafe fn run(
        &self,
        frame: *mut u8,
        stack_pointer: *mut u64,
        thread: *mut ThreadState,
    ) -> SideExit {
        let running = self.shared.run();
        let (bound, record) = (&self.instructions.bound, self.instructions.entry());
        let first = self.instructions.first_record();
        let handler = self.instructions.words[first].load(Ordering::Relaxed) as usize;
        // SAFETY: the records were made from a checked trace and cannot be freed while `running` lives, nor can the code
        // or the symbols' addresses, which `bound` has; the rest is what the caller promises. The trace is left through
        // `leave`, which sets what `side_exit` reads. A run inside another finds and leaves the other's addresses.
        let mut exit = unsafe {
            let outer = (*thread).symbols;
            (*thread).symbols = bound.symbols.as_ptr();
            enter(frame, stack_pointer, thread, handler, record);
            (*thread).symbols = outer;
            (*thread).side_exit()
        };
        self.shared.count_exit(&mut exit, &*self.instructions);
        drop(running);
        exit
    }

    fn end(&self) -> End<'_> {
        End {
            id: self.id(),
            shape: self.shape(),
            exits: self.exits(),
            shared: &self.shared,
            counts: &self.instructions.counts,
        }
    }

    /// How often control came back through an exit, or `None` if there is no such exit. What goes on through a link does
    /// not count.
    pub fn exit_count(&self, exit: u32) -> Option<u64> {
        self.end().exit_count(exit)
    }

    /// Makes an exit go on in another trace of the same interpreter, without coming back in between.
    ///
    /// The other trace may be dropped at any time; the exit then leaves again.
    ///
    /// # Errors
    /// See [`LinkError`]; nothing is changed.
    pub fn link(&self, exit: u32, to: &Self) -> Result<(), LinkError> {
        self.end().fits(exit, to.end())?;
        let mut links = self.shared.links();
        if let Some(invalid) = [self, to].into_iter().find(|trace| !trace.is_valid()) {
            return Err(LinkError::Invalid(invalid.id()));
        }
        links.link(self.instructions.clone(), exit, to.instructions.clone());
        self.instructions.link(exit, to.instructions.entry());
        Ok(())
    }

    /// Makes an exit leave again.
    ///
    /// # Errors
    /// There is no such exit.
    pub fn unlink(&self, exit: u32) -> Result<(), LinkError> {
        self.end().exit(exit)?;
        self.shared.links().unlink(self.id(), exit);
        Ok(())
    }

    /// Declares that the trace's assumptions no longer hold: it is unlinked from everywhere, cannot be linked, and what runs
    /// in it leaves at the next uop that checks validity, or by the next exit.
    pub fn invalidate(&self) {
        self.shared.invalidate(&*self.instructions);
    }

    /// What invalidates the trace without keeping it.
    pub fn invalidator(&self) -> Invalidator {
        Invalidator::new(&self.instructions, &self.shared)
    }

    /// Whether [`invalidate`](Self::invalidate) was never called.
    pub fn is_valid(&self) -> bool {
        self.instructions.valid().load(Ordering::SeqCst) != 0
    }
}

impl Drop for InterpretedTrace {
    fn drop(&mut self) {
        self.shared.retire(&self.instructions);
    }
}
