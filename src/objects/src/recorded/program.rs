//! Programs: all executors of a document compiled and linked, to be run from the recorded entry to the exit that leaves
//! them, and compared with what CPython had there.
#![allow(unsafe_code)]

use super::compare::{Difference, FrameState, compare};
use super::coverage::Coverage;
use super::flow::Unproven;
use super::format::{Document, Expected};
use super::load::{LoadError, Objects};
use super::lower::{Constants, LowerError, Lowered, Origin, lower};
use super::places::{self, PlaceError};
use super::tier::{Loaded, Tier};
use crate::error::PyError;
use crate::frame::{Frame, OwnedFrame};
use crate::helpers;
use crate::thread::ThreadState;
use mimeo::engine::{CompileError, Engine, EngineError};
use mimeo::executor::{Executor, LinkError};
use mimeo::interpreter::{Interpreter, InterpreterError, InterpreterImage};
use mimeo::table::StencilTable;
use std::fmt;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// An engine for the standard uop set: its table bound to this package's helpers.
///
/// # Errors
/// The table needs a helper that is not here, or there is no code memory to be had.
pub fn engine(table: Arc<StencilTable>) -> Result<Engine, EngineError> {
    // SAFETY: the addresses are those of the functions that the standard templates name, which are compiled against the
    // declarations in `helpers`.
    unsafe { Engine::new(table, helper) }
}

/// An interpreter for the standard uop set: its image, run where it is, bound to this package's helpers.
///
/// # Errors
/// The image is another table's, or needs a helper that is not here.
///
/// # Safety
/// The image is one that mimeo's compiler has made, and its bytes are mapped executable as long as the program runs.
pub unsafe fn interpreter(
    table: Arc<StencilTable>,
    image: &InterpreterImage<'static>,
) -> Result<Interpreter, InterpreterError> {
    // SAFETY: for the image as the caller promises; for the addresses as in `engine`.
    unsafe { Interpreter::from_text(table, image, helper) }
}

/// The address of one of this package's helpers.
fn helper(name: &str) -> Option<usize> {
    let symbol = helpers::symbols()
        .iter()
        .find(|symbol| symbol.name == name)?;
    Some(symbol.address as usize)
}

/// Why a document cannot be compiled and run.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// A uop may look for an object where there is none.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// A recorded value cannot be made.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A recorded executor cannot become a trace.
    #[error(transparent)]
    Lower(#[from] LowerError),
    /// A trace cannot be compiled.
    #[error("executors[{executor}]: {source}")]
    Compile {
        /// The executor.
        executor: usize,
        /// Why.
        source: CompileError,
    },
    /// Executors cannot be linked as recorded.
    #[error("executors[{executor}]: {source}")]
    Link {
        /// The executor whose exit it is.
        executor: usize,
        /// Why.
        source: LinkError,
    },
    /// The program was run before: its executors are proven for the recorded entry only.
    #[error("the program has run already; make another to run it again")]
    HasRun,
    /// A uop took for granted what was not so.
    #[error(
        "executors[{executor}].uops[{}]: it takes for granted a value that was another when it ran: {}",
        operand.uop,
        operand.expectation()
    )]
    TakenForGranted {
        /// The executor.
        executor: usize,
        /// What was expected.
        operand: Unproven,
    },
}

/// One executor of a document.
struct Compiled {
    number: usize,
    trace: Loaded,
    origins: Vec<Origin>,
    unproven: Vec<Unproven>,
}

/// A document whose reachable executors are compiled and linked.
///
/// Objects belong to the thread that made them, and so does a program.
pub struct Program<'d> {
    // The executors hold addresses of the constants: they are dropped first.
    compiled: Vec<Compiled>,
    /// Machine code adds to what is in it.
    coverage: Option<Coverage>,
    objects: Objects<'d>,
    frame: OwnedFrame,
    /// The frame that the run has ended in: `frame`, or that of a call which it has left in the middle of.
    innermost: *mut Frame,
    thread: Box<ThreadState>,
    interrupter: Interrupter,
    compile_time: Duration,
    has_run: bool,
    /// Machine code holds addresses of what is in it.
    constants: Constants,
}

/// Asks a [`Program`] to leave its traces, from any thread.
#[derive(Clone, Debug)]
pub struct Interrupter(Arc<Mutex<Option<Flag>>>);

/// The interrupt flag of a thread state that lives.
#[derive(Debug)]
struct Flag(NonNull<AtomicU32>);

// SAFETY: any thread may use an atomic; the program takes the flag out of the mutex before it goes.
unsafe impl Send for Flag {}

impl Interrupter {
    fn new(thread: &ThreadState) -> Self {
        let flag = Flag(NonNull::from(&thread.interrupt));
        Self(Arc::new(Mutex::new(Some(flag))))
    }

    /// Makes the program leave at the next uop that checks for a request: `_TIER2_RESUME_CHECK` or `_RESUME_CHECK`, one
    /// of which CPython puts at the top of every loop. The request is gone when the run ends. Does nothing once the
    /// program is dropped.
    pub fn interrupt(&self) {
        self.set(1);
    }

    fn set(&self, value: u32) {
        if let Some(flag) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            // SAFETY: the thread state lives as long as the flag is here.
            unsafe { flag.0.as_ref() }.store(value, Ordering::Relaxed);
        }
    }

    /// Forgets the flag; what is asked for afterwards does nothing.
    fn detach(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Drop for Program<'_> {
    fn drop(&mut self) {
        self.interrupter.detach();
        // SAFETY: the innermost frame is the kernel's, or was entered from it by calls that the run has not left.
        unsafe { self.thread.unwind(self.innermost, self.frame.as_ptr()) };
    }
}

/// How control left the traces.
#[derive(Debug)]
pub struct Outcome {
    /// The executor that was left.
    pub executor: usize,
    /// Index of the uop through which it was left.
    pub uop: usize,
    /// That uop's name.
    pub op: String,
    /// The code of the frame.
    pub code: usize,
    /// The codes of the callers' frames that the traces have not gone back to, the innermost first.
    pub callers: Vec<usize>,
    /// Where the interpreter resumes.
    pub target: u32,
    /// The exception that was raised, if it was left through an error.
    pub error: Option<PyError>,
    /// How long it ran.
    pub run_time: Duration,
}

/// How the end differs from the one that was recorded.
#[derive(Debug, thiserror::Error)]
pub enum Mismatch {
    /// It was left elsewhere.
    #[error("left through {found}, expected {expected}")]
    Exit {
        /// Where it was left.
        found: String,
        /// Where CPython left it.
        expected: String,
    },
    /// The frame's contents differ.
    #[error(transparent)]
    State(#[from] Difference),
}

impl<'d> Program<'d> {
    /// Makes the recorded objects, and compiles and links every executor that can be reached from the entry: to machine
    /// code for an [`Engine`], to records for an [`Interpreter`].
    ///
    /// # Errors
    /// Something in the document is not supported or does not fit together; nothing was run.
    pub fn new<'e>(
        document: &'d Document,
        tier: impl Into<Tier<'e>>,
    ) -> Result<Self, ProgramError> {
        Self::make(document, tier.into(), None)
    }

    /// As [`new`](Self::new), with counters for everything that its uops do.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_coverage<'e>(
        document: &'d Document,
        tier: impl Into<Tier<'e>>,
    ) -> Result<Self, ProgramError> {
        Self::make(document, tier.into(), Some(Coverage::default()))
    }

    fn make(
        document: &'d Document,
        tier: Tier<'_>,
        coverage: Option<Coverage>,
    ) -> Result<Self, ProgramError> {
        // What no table has is said first, also of executors that are never reached.
        for (number, executor) in document.executors.iter().enumerate() {
            check_uops(number, executor, tier.table())?;
        }
        places::check(document)?;
        let mut objects = Objects::new(document);
        let frame = objects.entry_frame()?;
        objects.make_globals()?;
        let thread = Box::new(ThreadState::new());
        let mut program = Self {
            compiled: Vec::new(),
            coverage,
            objects,
            innermost: frame.as_ptr(),
            frame,
            interrupter: Interrupter::new(&thread),
            thread,
            compile_time: Duration::ZERO,
            has_run: false,
            constants: Constants::default(),
        };
        program.compile_all(document, tier)?;
        program.link_all(document)?;
        Ok(program)
    }

    fn compile_all(&mut self, document: &Document, tier: Tier<'_>) -> Result<(), ProgramError> {
        let mut pending = vec![(document.entry.executor, document.state_in.stack.len())];
        while let Some((number, depth)) = pending.pop() {
            if self
                .compiled
                .iter()
                .any(|compiled| compiled.number == number)
            {
                continue;
            }
            let mut lowered = lower(
                number,
                depth,
                &mut self.objects,
                &mut self.constants,
                tier.table(),
            )?;
            if let Some(coverage) = &mut self.coverage {
                let instrumented = coverage.instrument(&lowered.trace);
                let (trace, places) = instrumented.map_err(LowerError::from)?;
                let origins = places.into_iter().map(|place| lowered.origins[place]);
                lowered.origins = origins.collect();
                lowered.trace = trace;
            }
            let compiled = self.compile(number, lowered, tier)?;
            for (exit, to) in links(document, &compiled) {
                let depth = compiled.trace.exits()[exit as usize].depth;
                pending.extend(depth.map(|depth| (to, depth as usize)));
            }
            self.compiled.push(compiled);
        }
        Ok(())
    }

    fn compile(
        &mut self,
        number: usize,
        lowered: Lowered<'_>,
        tier: Tier<'_>,
    ) -> Result<Compiled, ProgramError> {
        let start = Instant::now();
        let trace =
            tier.load(&lowered.trace, lowered.shape)
                .map_err(|source| ProgramError::Compile {
                    executor: number,
                    source,
                })?;
        self.compile_time += start.elapsed();
        Ok(Compiled {
            number,
            trace,
            origins: lowered.origins,
            unproven: lowered.unproven,
        })
    }

    fn link_all(&self, document: &Document) -> Result<(), ProgramError> {
        for from in &self.compiled {
            for (exit, to) in links(document, from) {
                let Some(to) = self.compiled.iter().find(|compiled| compiled.number == to) else {
                    // Control never gets to this exit.
                    continue;
                };
                from.trace
                    .link(exit, &to.trace)
                    .map_err(|source| ProgramError::Link {
                        executor: from.number,
                        source,
                    })?;
            }
        }
        Ok(())
    }

    /// What another thread can use to make a run end.
    pub fn interrupter(&self) -> Interrupter {
        self.interrupter.clone()
    }

    /// Runs from the recorded entry until control leaves the executors.
    ///
    /// # Errors
    /// [`ProgramError::TakenForGranted`]; [`ProgramError::HasRun`] for a second run.
    pub fn run(&mut self) -> Result<Outcome, ProgramError> {
        if std::mem::replace(&mut self.has_run, true) {
            return Err(ProgramError::HasRun);
        }
        let entry = &self.compiled[0];
        let frame = self.frame.as_ptr();
        let thread: *mut ThreadState = &mut *self.thread;
        let start = Instant::now();
        // SAFETY: the frame has the locals and the stack of the code that the executors were compiled for, and holds as
        // many values as the entry was found to have; `places::check` has proven that no uop follows a null, the type
        // flow and the checks in the trace that every object is of the type its uop expects; thread state, objects and
        // constants live as long as `self`, and belong to this thread.
        let exit = unsafe {
            let stack_pointer = (*frame).stack_pointer.cast();
            entry.trace.run(frame.cast(), stack_pointer, thread.cast())
        };
        let run_time = start.elapsed();
        self.interrupter.set(0);
        self.innermost = exit.frame.cast();
        // SAFETY: the exit's frame is the one that was entered, or that of a call which was entered from it and not left,
        // and its stack pointer is within the stack, whose depth was checked at every uop.
        unsafe { (*self.innermost).stack_pointer = exit.stack_pointer.cast() };
        let left = self
            .compiled
            .iter()
            .find(|compiled| compiled.trace.id() == exit.executor)
            .unwrap_or(&self.compiled[0]);
        let document = self.objects.document();
        match left.origins[exit.uop as usize] {
            Origin::Check(check) => Err(ProgramError::TakenForGranted {
                executor: left.number,
                operand: left.unproven[check],
            }),
            Origin::Recorded(uop) => Ok(Outcome {
                executor: left.number,
                uop,
                op: document.executors[left.number].uops[uop].op.clone(),
                code: document.executors[left.number].uops[uop].code,
                callers: self.callers(),
                target: exit.target,
                error: self.thread.take_error(),
                run_time,
            }),
        }
    }

    /// Compares the end of a run with the recorded one: the exit, the locals and the stack.
    ///
    /// # Errors
    /// The first difference.
    pub fn check(&self, outcome: &Outcome) -> Result<(), Mismatch> {
        let document = self.objects.document();
        let expected = expected_exit(&document.expected);
        let found = Exit {
            executor: outcome.executor,
            uop: outcome.uop,
            op: &outcome.op,
            code: outcome.code,
            target: outcome.target,
        };
        let raised = outcome.error.as_ref().map(ToString::to_string);
        let wanted = document.expected.error.as_ref().map(ToString::to_string);
        if found != expected || raised != wanted {
            return Err(Mismatch::Exit {
                found: with_error(&found, raised),
                expected: with_error(&expected, wanted),
            });
        }
        compare(&self.objects, self.frame())?;
        Ok(())
    }

    /// What the last run reached, if the program was made to count it.
    pub fn coverage(&self) -> Option<&Coverage> {
        self.coverage.as_ref()
    }

    /// The frame that the run has ended in.
    pub fn frame(&self) -> FrameState<'_> {
        // SAFETY: the frame lives until the program is dropped.
        unsafe { frame_state(self.innermost) }
    }

    /// The frames of the callers, the innermost first; none if the run has ended in the kernel.
    pub fn calling_frames(&self) -> impl Iterator<Item = FrameState<'_>> {
        let kernel = self.frame.as_ptr();
        std::iter::successors(Some(self.innermost), move |&frame| {
            // SAFETY: every frame before the kernel's has one before it.
            (frame != kernel).then(|| unsafe { (*frame).previous })
        })
        .skip(1)
        // SAFETY: as in `frame`.
        .map(|frame| unsafe { frame_state(frame) })
    }

    fn callers(&self) -> Vec<usize> {
        self.calling_frames().map(|frame| frame.code).collect()
    }

    /// How many recorded uops were compiled, of all executors together.
    pub fn recorded_uops(&self) -> usize {
        let recorded = |origin: &&Origin| matches!(origin, Origin::Recorded(_));
        self.compiled
            .iter()
            .map(|compiled| compiled.origins.iter().filter(recorded).count())
            .sum()
    }

    /// The compiled executors, the entry first; none if they are interpreted.
    pub fn executors(&self) -> impl Iterator<Item = &Executor> {
        self.compiled
            .iter()
            .filter_map(|compiled| match &compiled.trace {
                Loaded::Compiled(executor) => Some(executor),
                Loaded::Interpreted(_) => None,
            })
    }

    /// How many uops all executors have together: the recorded ones, and the checks in front of what could not be proven.
    pub fn uop_count(&self) -> usize {
        let counts = self.compiled.iter();
        counts.map(|compiled| compiled.trace.uop_count()).sum()
    }

    /// Bytes of machine code, or of the interpreter's records, of all executors together.
    pub fn byte_len(&self) -> usize {
        let sizes = self.compiled.iter();
        sizes.map(|compiled| compiled.trace.byte_len()).sum()
    }

    /// How long checking, laying out, copying and patching took, or checking and writing records, for all executors together.
    pub fn compile_time(&self) -> Duration {
        self.compile_time
    }
}

/// What is in a frame.
///
/// # Safety
/// The frame lives as long as what is made of it, and its stack pointer is in its stack.
unsafe fn frame_state<'f>(frame: *const Frame) -> FrameState<'f> {
    // SAFETY: the caller's promise.
    unsafe {
        FrameState {
            code: (*frame).code as usize,
            locals: Frame::locals(frame),
            stack: Frame::stack(frame),
        }
    }
}

fn check_uops(
    number: usize,
    executor: &super::format::Executor,
    table: &StencilTable,
) -> Result<(), LowerError> {
    match executor
        .uops
        .iter()
        .enumerate()
        .find(|(_, uop)| table.find(&uop.op).is_none())
    {
        None => Ok(()),
        Some((index, uop)) => Err(LowerError::UnknownUop {
            executor: number,
            uop: index,
            op: uop.op.clone(),
            table: table.set().to_owned(),
        }),
    }
}

/// The exits of an executor that are recorded as linked, and what to.
fn links(document: &Document, compiled: &Compiled) -> Vec<(u32, usize)> {
    let recorded = &document.executors[compiled.number].uops;
    let mut links = Vec::new();
    for (index, exit) in compiled.trace.exits().iter().enumerate() {
        // Control never gets to an exit of unknown depth.
        if exit.depth.is_some()
            && let Origin::Recorded(uop) = compiled.origins[exit.uop as usize]
            && let Some(to) = recorded[uop].exit.as_ref().and_then(|exit| exit.executor)
        {
            links.push((index as u32, to));
        }
    }
    links
}

/// An exit, for comparison and for messages.
#[derive(PartialEq, Eq)]
struct Exit<'a> {
    executor: usize,
    uop: usize,
    op: &'a str,
    code: usize,
    target: u32,
}

impl fmt::Display for Exit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            executor,
            uop,
            op,
            code,
            target,
        } = self;
        write!(
            f,
            "executors[{executor}].uops[{uop}] {op} to offset {target} of code {code}"
        )
    }
}

fn with_error(exit: &Exit<'_>, error: Option<String>) -> String {
    match error {
        Some(error) => format!("{exit} with {error}"),
        None => exit.to_string(),
    }
}

fn expected_exit(expected: &Expected) -> Exit<'_> {
    Exit {
        executor: expected.executor,
        uop: expected.uop,
        op: &expected.op,
        code: expected.code,
        target: expected.target,
    }
}
