//! Executors: compiled traces. Entering and leaving them, linking their exits to one another, and taking them back.
//!
//! # How a trace is left
//! Every side exit has a record in the executor's data. Its code loads the record's address and jumps to the address in
//! its first field: that of `leave`, below, which notes the exit and the interpreter's state in the thread state and
//! returns to whoever called [`Executor::run`]; or, when the exit is linked, that of another executor. Linking is
//! therefore one atomic store to data; code is never changed.
//!
//! An exit that is not linked counts how often it is taken, so that whoever runs traces sees which exits are worth a trace
//! of their own. The counts are not in the executor's data: a store next to running code makes processors throw away what
//! they have decoded. They are made when an exit is taken for the first time.
//!
//! # When an executor's memory is freed
//! Dropping an executor first unlinks every exit that leads to it. From then on nothing enters it any more, but another
//! thread may still be inside. So the memory is retired, and freed at the first moment at which no thread runs anything
//! of the same [engine](crate::engine::Engine): the counter of running threads is raised before an entry is read and
//! lowered after the last instruction, so whoever sees zero after the unlinking knows that nobody can be inside, or get
//! there. A run inside another counts by itself: so an executor may be dropped by a function that it has called.
#![allow(unsafe_code)]

use crate::code_memory::{CodeMemoryError, SealedBlock};
use crate::prepared::TraceFacts;
use crate::trace::FrameShape;
use std::arch::naked_asm;
use std::collections::HashMap;
use std::fmt;
use std::mem::offset_of;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

/// The part of the thread state that the runtime and the stencils share; a uop set's own thread state starts with it.
#[derive(Debug)]
#[repr(C)]
pub struct ThreadState {
    /// The record of the exit that was taken last.
    exit: *const ExitRecord,
    /// The frame when the trace was left.
    frame: *mut u8,
    /// The stack pointer when the trace was left.
    stack_pointer: *mut u64,
    /// The addresses of the symbols, for the interpreter's code: see [`crate::interpreter`].
    pub(crate) symbols: *const u64,
}

impl Default for ThreadState {
    fn default() -> Self {
        Self {
            exit: std::ptr::null(),
            frame: std::ptr::null_mut(),
            stack_pointer: std::ptr::null_mut(),
            symbols: std::ptr::null(),
        }
    }
}

impl ThreadState {
    /// The exit that was taken last, not counted yet.
    ///
    /// # Safety
    /// A trace was left through [`leave`], and the record of the exit is still there.
    pub(crate) unsafe fn side_exit(&self) -> SideExit {
        // SAFETY: as the caller promises.
        let record = unsafe { &*self.exit };
        SideExit {
            executor: ExecutorId(record.executor),
            index: record.index,
            uop: record.uop,
            target: record.target,
            count: 0,
            frame: self.frame,
            stack_pointer: self.stack_pointer,
        }
    }
}

/// What stands at the start of an executor's data; templates read it through `executor_field`.
#[derive(Debug)]
#[repr(C)]
pub struct ExecutorHeader {
    /// 1, or 0 once the executor was invalidated.
    pub valid: u64,
    /// The executor's number.
    pub id: u64,
}

/// A side exit, as its code finds it in the executor's data.
#[derive(Debug)]
#[repr(C)]
pub struct ExitRecord {
    /// The address that the exit jumps to.
    pub entry: u64,
    /// The number of the executor whose exit this is.
    pub executor: u64,
    /// Which of its exits.
    pub index: u32,
    /// The position of the exit's uop in the trace.
    pub uop: u32,
    /// The uop's target.
    pub target: u32,
    /// The depth of the stack.
    pub depth: u32,
}

impl ExecutorHeader {
    /// The bytes, as the code reads them.
    pub(crate) fn to_bytes(&self) -> [u8; size_of::<Self>()] {
        let mut bytes = [0; size_of::<Self>()];
        put(
            &mut bytes,
            offset_of!(Self, valid),
            &self.valid.to_le_bytes(),
        );
        put(&mut bytes, offset_of!(Self, id), &self.id.to_le_bytes());
        bytes
    }
}

impl ExitRecord {
    /// The record of an exit that is not linked, of no executor yet.
    pub(crate) fn of(index: u32, info: &ExitInfo) -> Self {
        Self {
            entry: leave_address(),
            executor: 0,
            index,
            uop: info.uop,
            target: info.target,
            depth: info.depth.unwrap_or(u32::MAX),
        }
    }

    /// The bytes, as the code reads them.
    pub(crate) fn to_bytes(&self) -> [u8; size_of::<Self>()] {
        let mut bytes = [0; size_of::<Self>()];
        put(
            &mut bytes,
            offset_of!(Self, entry),
            &self.entry.to_le_bytes(),
        );
        put(
            &mut bytes,
            offset_of!(Self, executor),
            &self.executor.to_le_bytes(),
        );
        put(
            &mut bytes,
            offset_of!(Self, index),
            &self.index.to_le_bytes(),
        );
        put(&mut bytes, offset_of!(Self, uop), &self.uop.to_le_bytes());
        put(
            &mut bytes,
            offset_of!(Self, target),
            &self.target.to_le_bytes(),
        );
        put(
            &mut bytes,
            offset_of!(Self, depth),
            &self.depth.to_le_bytes(),
        );
        bytes
    }
}

/// Puts a field into the bytes of a record.
fn put(bytes: &mut [u8], offset: usize, field: &[u8]) {
    bytes[offset..offset + field.len()].copy_from_slice(field);
}

/// Saves what C functions preserve and enters a trace, with `value` in the first value register.
///
/// # Safety
/// `entry` is the entry of an executor that stays in place until it is left; frame, stack pointer and thread state are
/// what its stencils expect. Or it is a handler of the interpreter, and `value` the address of its record.
#[unsafe(naked)]
pub(crate) unsafe extern "sysv64" fn enter(
    frame: *mut u8,
    stack_pointer: *mut u64,
    thread: *mut ThreadState,
    entry: usize,
    value: usize,
) {
    // Six pushes and the call's return address: rsp is 0 mod 16 at the stencils, as they were compiled to find it.
    naked_asm!(
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "mov r12, rdi",
        "mov r13, rsi",
        "mov r14, rdx",
        "mov r15, r8",
        "call rcx",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
    )
}

/// Where an exit that is not linked goes: notes the exit (in r15) and the state, and returns to [`enter`].
///
/// # Safety
/// Only stencils go here, with the stack pointer as [`enter`]'s call left it.
#[unsafe(naked)]
unsafe extern "sysv64" fn leave() {
    naked_asm!(
        "mov [r14 + {exit}], r15",
        "mov [r14 + {frame}], r12",
        "mov [r14 + {stack_pointer}], r13",
        "ret",
        exit = const offset_of!(ThreadState, exit),
        frame = const offset_of!(ThreadState, frame),
        stack_pointer = const offset_of!(ThreadState, stack_pointer),
    )
}

/// The address that an exit without a link jumps to.
pub(crate) fn leave_address() -> u64 {
    leave as *const () as u64
}

/// The number of an executor, unique in the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExecutorId(pub(crate) u64);

impl fmt::Display for ExecutorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What is known of an exit before it is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExitInfo {
    /// The position of the exit's uop in the trace.
    pub uop: u32,
    /// The uop's target.
    pub target: u32,
    /// The depth of the stack; `None` where control never gets to the exit.
    pub depth: Option<u32>,
    /// What the frame is like in which the trace is left: another than the trace's own where the trace has entered that.
    pub shape: FrameShape,
}

/// The exit through which control came back, with the interpreter's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SideExit {
    /// The executor that was left: not the one that was entered where exits are linked.
    pub executor: ExecutorId,
    /// Which of its exits.
    pub index: u32,
    /// The position of the exit's uop in its trace.
    pub uop: u32,
    /// The uop's target: where the interpreter resumes.
    pub target: u32,
    /// How often control came back through this exit, this time included. What goes on through a link does not count.
    pub count: u64,
    /// The frame.
    pub frame: *mut u8,
    /// The stack pointer, one past the top value.
    pub stack_pointer: *mut u64,
}

/// Why an exit cannot be linked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// There is no such exit.
    #[error("executor {executor} has no exit {found}, it has {count}")]
    NoExit {
        /// The executor.
        executor: ExecutorId,
        /// The exit that was asked for.
        found: u32,
        /// How many there are.
        count: usize,
    },
    /// The executors belong to different engines.
    #[error("executor {to} belongs to another engine than executor {from}")]
    OtherEngine {
        /// Whose exit.
        from: ExecutorId,
        /// Linked to what.
        to: ExecutorId,
    },
    /// An executor was invalidated.
    #[error("executor {0} was invalidated")]
    Invalid(ExecutorId),
    /// In protect mode, the system does not let the executor's data be changed.
    #[error("executor {0} cannot be changed: the system has no mapping left for this process")]
    Unwritable(ExecutorId),
    /// The frames differ.
    #[error(
        "exit {exit} of executor {from} leaves {found:?} values on the stack of a frame with {locals} locals and room \
         for {stack}, executor {to} expects {expected:?}"
    )]
    Shape {
        /// Whose exit.
        from: ExecutorId,
        /// Linked to what.
        to: ExecutorId,
        /// Which exit.
        exit: u32,
        /// The depth there.
        found: Option<u32>,
        /// The locals there.
        locals: u32,
        /// The room there.
        stack: u32,
        /// What the other executor was compiled for.
        expected: FrameShape,
    },
}

/// A trace's code, its exits and what it was compiled for.
#[derive(Debug)]
pub(crate) struct Code {
    pub(crate) id: ExecutorId,
    pub(crate) block: SealedBlock,
    pub(crate) facts: Arc<TraceFacts>,
    pub(crate) code_len: u32,
    /// Where the executor's header is in the block.
    pub(crate) header_offset: u32,
    /// Where the exit records are in the block.
    pub(crate) exits_offset: u32,
    pub(crate) counts: ExitCounts,
}

impl Code {
    fn valid_offset(&self) -> usize {
        self.header_offset as usize + offset_of!(ExecutorHeader, valid)
    }

    fn is_valid(&self) -> bool {
        self.block
            .load_u64(self.valid_offset())
            .is_some_and(|valid| valid != 0)
    }

    fn set_exit(&self, exit: u32, entry: u64) -> Result<(), CodeMemoryError> {
        let record = self.exits_offset as usize + exit as usize * size_of::<ExitRecord>();
        let offset = record + offset_of!(ExitRecord, entry);
        self.block.store_u64(offset, entry).map(drop)
    }
}

/// What must not fail, because somebody relies on that nothing enters an executor any more: better no process than one that
/// runs code which is gone.
fn must(stored: Result<(), CodeMemoryError>) {
    if let Err(error) = stored {
        eprintln!("mimeo: an executor cannot be unlinked or invalidated: {error}");
        std::process::abort();
    }
}

/// How often control came back through each exit of a trace: nothing as long as it never has.
///
/// The counts have 64 bits: they do not come round.
#[derive(Debug, Default)]
pub(crate) struct ExitCounts(OnceLock<Box<[AtomicU64]>>);

impl ExitCounts {
    /// Counts an exit of a trace that has this many.
    pub(crate) fn add(&self, exit: u32, exits: usize) -> u64 {
        let counts = self
            .0
            .get_or_init(|| (0..exits).map(|_| AtomicU64::new(0)).collect());
        match counts.get(exit as usize) {
            Some(count) => count.fetch_add(1, Ordering::Relaxed) + 1,
            None => 0,
        }
    }

    fn get(&self, exit: u32) -> u64 {
        let count = self.0.get().and_then(|counts| counts.get(exit as usize));
        count.map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

/// A trace whose exits can be linked to other traces of its kind.
pub(crate) trait Linked: fmt::Debug + Send + Sync {
    fn id(&self) -> ExecutorId;

    /// Makes an exit leave.
    fn unlink(&self, exit: u32);

    /// Makes checks of validity fail.
    fn set_invalid(&self);

    /// Notes that control came back through an exit, and returns how often it has.
    fn count(&self, exit: u32) -> u64;
}

impl Linked for Code {
    fn id(&self) -> ExecutorId {
        self.id
    }

    fn unlink(&self, exit: u32) {
        must(self.set_exit(exit, leave_address()));
    }

    fn set_invalid(&self) {
        must(self.block.store_u64(self.valid_offset(), 0).map(drop));
    }

    fn count(&self, exit: u32) -> u64 {
        self.counts.add(exit, self.facts.exits.len())
    }
}

/// A trace as an end of a link.
pub(crate) struct End<'a> {
    pub(crate) id: ExecutorId,
    pub(crate) shape: FrameShape,
    pub(crate) exits: &'a [ExitInfo],
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) counts: &'a ExitCounts,
}

impl End<'_> {
    /// How often control came back through an exit.
    pub(crate) fn exit_count(&self, exit: u32) -> Option<u64> {
        self.exit(exit).ok().map(|_| self.counts.get(exit))
    }

    /// Whether an exit of this trace may lead to the other: it leaves the frame as the other expects it.
    pub(crate) fn fits(&self, exit: u32, to: End<'_>) -> Result<(), LinkError> {
        let info = self.exit(exit)?;
        if !Arc::ptr_eq(self.shared, to.shared) {
            return Err(LinkError::OtherEngine {
                from: self.id,
                to: to.id,
            });
        }
        let (here, there) = (info.shape, to.shape);
        if info.depth != Some(there.entry_depth)
            || here.locals < there.locals
            || here.stack < there.stack
        {
            return Err(LinkError::Shape {
                from: self.id,
                to: to.id,
                exit,
                found: info.depth,
                locals: here.locals,
                stack: here.stack,
                expected: there,
            });
        }
        Ok(())
    }

    /// What is known of an exit, if there is one of this index.
    pub(crate) fn exit(&self, exit: u32) -> Result<&ExitInfo, LinkError> {
        self.exits.get(exit as usize).ok_or(LinkError::NoExit {
            executor: self.id,
            found: exit,
            count: self.exits.len(),
        })
    }
}

/// What the executors of one engine share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// How many threads are inside any executor, nested runs counted each.
    running: AtomicUsize,
    /// Whether there is anything to free once nobody runs.
    has_retired: AtomicBool,
    links: Mutex<Links>,
}

#[derive(Debug, Default)]
pub(crate) struct Links {
    /// By the executor that is linked to or from; only executors with links are here.
    nodes: HashMap<ExecutorId, Node>,
    /// Executors that are dropped and wait for the moment at which nobody runs.
    retired: Vec<Arc<dyn Linked>>,
}

#[derive(Debug)]
struct Node {
    code: Arc<dyn Linked>,
    /// The exits that lead here.
    incoming: Vec<(ExecutorId, u32)>,
    /// Where this executor's exits lead.
    outgoing: HashMap<u32, ExecutorId>,
}

impl Links {
    fn node(&mut self, code: Arc<dyn Linked>) -> &mut Node {
        self.nodes.entry(code.id()).or_insert_with(|| Node {
            code,
            incoming: Vec::new(),
            outgoing: HashMap::new(),
        })
    }

    /// Notes that an exit, which leaves so far or is linked elsewhere, is about to lead to another trace.
    pub(crate) fn link(&mut self, from: Arc<dyn Linked>, exit: u32, to: Arc<dyn Linked>) {
        let (here, there) = (from.id(), to.id());
        self.unlink(here, exit);
        self.node(from).outgoing.insert(exit, there);
        self.node(to).incoming.push((here, exit));
    }

    /// Makes one exit leave again instead of going on elsewhere.
    pub(crate) fn unlink(&mut self, from: ExecutorId, exit: u32) {
        let Some(node) = self.nodes.get_mut(&from) else {
            return;
        };
        node.code.unlink(exit);
        if let Some(to) = node.outgoing.remove(&exit)
            && let Some(target) = self.nodes.get_mut(&to)
        {
            target.incoming.retain(|&link| link != (from, exit));
        }
    }

    fn unlink_incoming(&mut self, id: ExecutorId) {
        let incoming = self
            .nodes
            .get(&id)
            .map(|node| node.incoming.clone())
            .unwrap_or_default();
        for (from, exit) in incoming {
            self.unlink(from, exit);
        }
    }

    /// Makes all exits leave that lead to a trace, and all of its own.
    pub(crate) fn unlink_all(&mut self, id: ExecutorId) {
        self.unlink_incoming(id);
        self.unlink_outgoing(id);
    }

    /// A trace that something runs in.
    fn find(&self, id: ExecutorId) -> Option<&Arc<dyn Linked>> {
        let linked = self.nodes.get(&id).map(|node| &node.code);
        linked.or_else(|| self.retired.iter().find(|code| code.id() == id))
    }

    fn unlink_outgoing(&mut self, id: ExecutorId) {
        let outgoing: Vec<u32> = self
            .nodes
            .get(&id)
            .map(|node| node.outgoing.keys().copied().collect())
            .unwrap_or_default();
        for exit in outgoing {
            self.unlink(id, exit);
        }
    }
}

impl Shared {
    pub(crate) fn links(&self) -> MutexGuard<'_, Links> {
        // Every update leaves the links whole, so a panic elsewhere in the process does not spoil them.
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn run(&self) -> Running<'_> {
        self.running.fetch_add(1, Ordering::SeqCst);
        Running(self)
    }

    pub(crate) fn invalidate(&self, code: &dyn Linked) {
        let mut links = self.links();
        code.set_invalid();
        links.unlink_all(code.id());
    }

    /// Counts the exit through which a run has come back that entered `entered`. What was left is linked to, or waits to
    /// be freed until the run is over, unless it is the same.
    pub(crate) fn count_exit(&self, exit: &mut SideExit, entered: &impl Linked) {
        exit.count = match exit.executor == entered.id() {
            true => entered.count(exit.index),
            false => {
                let links = self.links();
                let left = links.find(exit.executor);
                left.map_or(0, |left| left.count(exit.index))
            }
        };
    }

    pub(crate) fn retire<C: Linked + 'static>(&self, code: &Arc<C>) {
        let mut links = self.links();
        // Most executors are never linked, and dropped while nobody runs: they need neither look-ups nor a list.
        if !links.nodes.is_empty() {
            links.unlink_all(code.id());
            links.nodes.remove(&code.id());
        }
        if links.retired.is_empty() && self.running.load(Ordering::SeqCst) == 0 {
            // As in `reclaim`: nothing leads here since before the load, so the executor may free its code.
            return;
        }
        let code: Arc<C> = Arc::clone(code);
        links.retired.push(code);
        self.has_retired.store(true, Ordering::SeqCst);
        drop(links);
        self.reclaim();
    }

    /// Frees what is retired if nobody runs.
    fn reclaim(&self) {
        let mut links = self.links();
        // What is retired was unlinked before this load: whoever starts to run later cannot get there.
        if self.running.load(Ordering::SeqCst) != 0 {
            return;
        }
        let freed = std::mem::take(&mut links.retired);
        self.has_retired.store(false, Ordering::SeqCst);
        drop(links);
        drop(freed);
    }
}

/// Invalidates an executor, or an interpreted trace, as long as there is one. It keeps nothing of it.
#[derive(Clone)]
pub struct Invalidator {
    code: Weak<dyn Linked>,
    shared: Weak<Shared>,
}

impl Invalidator {
    pub(crate) fn new<C: Linked + 'static>(code: &Arc<C>, shared: &Arc<Shared>) -> Self {
        let code: Weak<C> = Arc::downgrade(code);
        Self {
            code,
            shared: Arc::downgrade(shared),
        }
    }

    /// Does what [`Executor::invalidate`] does. Returns whether the executor is still there.
    pub fn invalidate(&self) -> bool {
        // Dropping what may be the last reference is sound at any time: the executor that is dropped meanwhile has been
        // unlinked, and is kept elsewhere as long as anything runs.
        match (self.code.upgrade(), self.shared.upgrade()) {
            (Some(code), Some(shared)) => {
                shared.invalidate(&*code);
                true
            }
            _ => false,
        }
    }

    /// Whether the executor is still there, or runs.
    pub fn is_alive(&self) -> bool {
        self.code.strong_count() != 0
    }
}

impl fmt::Debug for Invalidator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code.upgrade() {
            Some(code) => write!(f, "Invalidator({})", code.id()),
            None => f.write_str("Invalidator(none)"),
        }
    }
}

/// A thread is inside an executor as long as this lives.
pub(crate) struct Running<'a>(&'a Shared);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let last = self.0.running.fetch_sub(1, Ordering::SeqCst) == 1;
        if last && self.0.has_retired.load(Ordering::SeqCst) {
            self.0.reclaim();
        }
    }
}

/// A compiled trace. Its memory is freed when it is dropped, once nothing runs in it.
pub struct Executor {
    pub(crate) code: Arc<Code>,
    pub(crate) shared: Arc<Shared>,
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Executor({}, {} uops, {} exits)",
            self.code.id,
            self.code.facts.uops,
            self.code.facts.exits.len()
        )
    }
}

impl Executor {
    /// The executor's number, which its exits report.
    pub fn id(&self) -> ExecutorId {
        self.code.id
    }

    /// The frame that it was compiled for.
    pub fn shape(&self) -> FrameShape {
        self.code.facts.shape
    }

    /// Its exits, by index.
    pub fn exits(&self) -> &[ExitInfo] {
        &self.code.facts.exits
    }

    /// How many uops were compiled.
    pub fn uop_count(&self) -> usize {
        self.code.facts.uops as usize
    }

    /// Bytes of machine code, hot and cold and veneers.
    pub fn code_len(&self) -> usize {
        self.code.code_len as usize
    }

    /// Bytes of the machine code that the trace runs through.
    pub fn hot_len(&self) -> usize {
        self.code.facts.hot_len as usize
    }

    /// The machine code as it was patched.
    pub fn code(&self) -> &[u8] {
        self.code.block.code()
    }

    /// The address at which the code runs.
    pub fn address(&self) -> usize {
        self.code.block.address()
    }

    /// Runs the trace, and whatever its exits are linked to, until an exit that is not linked.
    ///
    /// # Safety
    /// - `frame` points to a frame of the layout that the table's templates assume, with at least the locals of
    ///   [`shape`](Self::shape), valid for reads and writes.
    /// - `stack_pointer` points one past the top of an evaluation stack that holds
    ///   [`entry_depth`](FrameShape::entry_depth) values and has room for [`stack`](FrameShape::stack) in all.
    /// - `thread` points to a thread state as the templates assume, which starts with [`ThreadState`].
    /// - The process has not forked since the executor was made: code memory is left out of children.
    /// - Everything that the uops do with the values there, and with their operands, is sound: the table's code does what
    ///   its templates say, which neither loading nor verifying the table proves. See
    ///   [`Engine::new`](crate::engine::Engine::new).
    pub unsafe fn run(
        &self,
        frame: *mut u8,
        stack_pointer: *mut u64,
        thread: *mut ThreadState,
    ) -> SideExit {
        let running = self.shared.run();
        // SAFETY: the code was made by `Engine::compile` from a checked trace and cannot be freed while `running`
        // lives; the rest is what the caller promises.
        unsafe { enter(frame, stack_pointer, thread, self.address(), 0) };
        // SAFETY: the trace was left through `leave`, which has set all fields; the exit's record belongs to an executor
        // that is not freed while `running` lives.
        let mut exit = unsafe { (*thread).side_exit() };
        self.shared.count_exit(&mut exit, &*self.code);
        drop(running);
        exit
    }

    fn end(&self) -> End<'_> {
        End {
            id: self.id(),
            shape: self.shape(),
            exits: self.exits(),
            shared: &self.shared,
            counts: &self.code.counts,
        }
    }

    /// How often control came back through an exit, or `None` if there is no such exit. What goes on through a link does
    /// not count.
    pub fn exit_count(&self, exit: u32) -> Option<u64> {
        self.end().exit_count(exit)
    }

    /// Makes an exit go on in another executor, without coming back in between.
    ///
    /// The other executor may be dropped at any time; the exit then leaves again.
    ///
    /// # Errors
    /// See [`LinkError`]; nothing is changed.
    pub fn link(&self, exit: u32, to: &Executor) -> Result<(), LinkError> {
        self.end().fits(exit, to.end())?;
        let mut links = self.shared.links();
        if let Some(invalid) = [self, to].into_iter().find(|executor| !executor.is_valid()) {
            return Err(LinkError::Invalid(invalid.id()));
        }
        links.link(self.code.clone(), exit, to.code.clone());
        let stored = self.code.set_exit(exit, to.address() as u64);
        stored.map_err(|_| {
            links.unlink(self.id(), exit);
            LinkError::Unwritable(self.id())
        })
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

    /// Declares that the executor's assumptions no longer hold: it is unlinked from everywhere, cannot be linked, and what
    /// runs in it leaves at the next uop that checks validity, or by the next exit.
    ///
    /// Any thread may do so at any time, also a function that the trace itself has called. In protect mode that takes a
    /// mapping for a moment: the process is ended where it has none left, as it is where an executor that is linked to is
    /// dropped then.
    pub fn invalidate(&self) {
        self.shared.invalidate(&*self.code);
    }

    /// What invalidates the executor without keeping it.
    pub fn invalidator(&self) -> Invalidator {
        Invalidator::new(&self.code, &self.shared)
    }

    /// Whether [`invalidate`](Self::invalidate) was never called.
    pub fn is_valid(&self) -> bool {
        self.code.is_valid()
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        self.shared.retire(&self.code);
    }
}
