//! Traces of one small set of templates in both tiers, the engine and the interpreter: frames that are entered and left,
//! exits that count and are linked to trees and loops, and executors that are invalidated, also by what they call.
#![cfg(feature = "llvm")]
#![allow(unsafe_code)]

use mimeo::code_memory::{ArenaOptions, CodeArena};
use mimeo::dependencies::Dependencies;
use mimeo::engine::Engine;
use mimeo::executor::{
    Executor, ExecutorHeader, ExecutorId, Invalidator, LinkError, SideExit, ThreadState,
};
use mimeo::interpreter::{InterpretedTrace, Interpreter, InterpreterImage};
use mimeo::table::StencilTable;
use mimeo::trace::{FrameShape, Label, Trace, Uop};
use mimeo_compiler::builder::{Done, TemplateBuilder};
use mimeo_compiler::codegen::{Options, compile};
use mimeo_compiler::error::TemplateError;
use mimeo_compiler::interpreter::compile_interpreter;
use mimeo_compiler::template::{FrameLayout, Helper, Registers, Template, TemplateSet, Type};
use mimeo_tests::numbers::Numbers;
use std::cell::RefCell;
use std::mem::offset_of;
use std::sync::{Arc, LazyLock, Mutex};

// ---- The set -------------------------------------------------------------------------------------------------------

type Path = Result<Done, TemplateError>;
type Builder<'t, 'ctx> = TemplateBuilder<'t, 'ctx>;

/// Where things are in a frame, in bytes: the frame that it was entered from, the stack pointer there, the address of the
/// frame's own stack, and the locals.
const OUTER: u32 = 0;
const OUTER_STACK: u32 = 8;
const STACK: u32 = 16;
const LOCALS: u32 = 24;

/// Gets a word, does what the test wants, and returns another.
const ACT: Helper = Helper::new("act", &[Type::I64], Type::I64);

fn set() -> TemplateSet {
    let local = |build: fn(Builder<'_, '_>) -> Path, name| Template::new(name, build).local_oparg();
    TemplateSet::new("tiers", FrameLayout { locals: LOCALS })
        .with_registers(Registers::Slots)
        .with([
            Template::new("_PUSH", |mut b| {
                let value = b.operand()?;
                b.push(value)?;
                b.continue_()
            })
            .stack(0, 1),
            Template::new("_ADD", |mut b| {
                let (right, left) = (b.pop_i64()?, b.pop_i64()?);
                let sum = b.ir().build_int_add(left, right, "")?;
                b.push(sum)?;
                b.continue_()
            })
            .stack(2, 1),
            local(load, "_LOAD").stack(0, 1),
            local(store, "_STORE").stack(1, 0),
            Template::new("_CALL", |mut b| {
                let value = b.pop_i64()?;
                let result = b.call_int(&ACT, &[value.into()])?;
                b.push(result)?;
                b.continue_()
            })
            .stack(1, 1),
            Template::new("_JUMP_IF_ZERO", |mut b| {
                let value = b.pop_pointer()?;
                let zero = b.ir().build_is_null(value, "")?;
                b.when(zero, |b| b.jump())?;
                b.continue_()
            })
            .stack(1, 0)
            .jumps(),
            Template::new("_JUMP", |b| b.jump()).jumps().terminal(),
            Template::new("_EXIT_IF_ZERO", |mut b| {
                let value = b.pop_pointer()?;
                let zero = b.ir().build_is_null(value, "")?;
                b.unlikely(zero, |b| b.side_exit())?;
                b.continue_()
            })
            .stack(1, 0)
            .side_exits(),
            Template::new("_EXIT", |b| b.side_exit())
                .side_exits()
                .terminal(),
            Template::new("_CHECK_VALIDITY", |mut b| {
                let field = b.executor_field(offset_of!(ExecutorHeader, valid) as u32)?;
                let valid = b.load_pointer(field, 0)?;
                let invalid = b.ir().build_is_null(valid, "")?;
                b.unlikely(invalid, |b| b.jump())?;
                b.continue_()
            })
            .may_deopt(),
            Template::new("_ENTER", enter).stack(1, 0).enters_frame(),
            Template::new("_RETURN", return_).stack(1, 1).leaves_frame(),
        ])
}

fn load(mut b: Builder<'_, '_>) -> Path {
    let value = b.load_i64(b.local()?, 0)?;
    b.push(value)?;
    b.continue_()
}

fn store(mut b: Builder<'_, '_>) -> Path {
    let value = b.pop_i64()?;
    b.store(value, b.local()?, 0)?;
    b.continue_()
}

fn enter(mut b: Builder<'_, '_>) -> Path {
    let inner = b.pop_pointer()?;
    let left = b.flush()?;
    b.store(b.frame(), inner, OUTER)?;
    b.store(left, inner, OUTER_STACK)?;
    let stack = b.load_pointer(inner, STACK)?;
    b.switch_frame(inner, stack)?;
    b.continue_()
}

fn return_(mut b: Builder<'_, '_>) -> Path {
    let value = b.pop_i64()?;
    let outer = b.load_pointer(b.frame(), OUTER)?;
    let stack = b.load_pointer(b.frame(), OUTER_STACK)?;
    b.switch_frame(outer, stack)?;
    b.push(value)?;
    b.continue_()
}

/// The set's table and the image of its interpreter.
static COMPILED: LazyLock<(Arc<StencilTable>, Vec<u8>)> = LazyLock::new(|| {
    let contents = compile(&set(), Options::default()).expect("the templates are right");
    let bytes = contents.to_bytes().expect("a table");
    let table = StencilTable::from_bytes(bytes).expect("a table");
    let image = compile_interpreter(&set(), table.digest(), Options::default());
    let image = image.expect("the templates are right").to_bytes();
    (Arc::new(table), image.expect("an image"))
});

fn table() -> Arc<StencilTable> {
    Arc::clone(&COMPILED.0)
}

// ---- The tiers -----------------------------------------------------------------------------------------------------

/// What a helper does with the word that it is handed.
type Action = Box<dyn FnMut(u64) -> u64>;

thread_local! {
    /// What `act` does on this thread.
    static ACTION: RefCell<Option<Action>> = const { RefCell::new(None) };
}

extern "C" fn act(word: u64) -> u64 {
    // An action may run a trace that calls again.
    let action = ACTION.with(|action| action.borrow_mut().take());
    let Some(mut action) = action else {
        return word;
    };
    let result = action(word);
    ACTION.with(|place| {
        place.borrow_mut().get_or_insert(action);
    });
    result
}

/// Has `act` do something on this thread until the end of a test.
fn when_called(action: impl FnMut(u64) -> u64 + 'static) {
    ACTION.with(|place| *place.borrow_mut() = Some(Box::new(action)));
}

fn resolve(symbol: &str) -> Option<usize> {
    (symbol == ACT.name).then_some(act as *const () as usize)
}

/// A way to run traces.
trait Tier: 'static {
    type Loaded: Loaded;
    fn new() -> Self;
    fn load(&self, trace: &Trace<'_>, shape: FrameShape) -> Self::Loaded;
    /// How many blocks of code memory traces take.
    fn blocks(&self) -> Option<usize>;
}

/// A trace that can be run.
trait Loaded: Send + Sync + 'static {
    fn id(&self) -> ExecutorId;
    /// # Safety
    /// As for [`Executor::run`].
    unsafe fn run_in(&self, frame: *mut u8, stack: *mut u64, thread: *mut ThreadState) -> SideExit;
    fn link_to(&self, exit: u32, to: &Self) -> Result<(), LinkError>;
    fn invalidate(&self);
    fn count(&self, exit: u32) -> Option<u64>;
    fn invalidator(&self) -> Invalidator;
}

macro_rules! loaded {
    ($type:ty) => {
        impl Loaded for $type {
            fn id(&self) -> ExecutorId {
                self.id()
            }

            unsafe fn run_in(
                &self,
                frame: *mut u8,
                stack: *mut u64,
                thread: *mut ThreadState,
            ) -> SideExit {
                // SAFETY: as the caller promises.
                unsafe { self.run(frame, stack, thread) }
            }

            fn link_to(&self, exit: u32, to: &Self) -> Result<(), LinkError> {
                self.link(exit, to)
            }

            fn invalidate(&self) {
                self.invalidate();
            }

            fn count(&self, exit: u32) -> Option<u64> {
                self.exit_count(exit)
            }

            fn invalidator(&self) -> Invalidator {
                self.invalidator()
            }
        }
    };
}

loaded!(Executor);
loaded!(InterpretedTrace);

impl Tier for Engine {
    type Loaded = Executor;

    fn new() -> Self {
        // SAFETY: `act` is a function of the signature that the templates declare.
        unsafe { Engine::new(table(), resolve) }.expect("an engine")
    }

    fn load(&self, trace: &Trace<'_>, shape: FrameShape) -> Executor {
        self.compile(trace, shape).expect("a trace that compiles")
    }

    fn blocks(&self) -> Option<usize> {
        Some(self.memory().blocks)
    }
}

impl Tier for Interpreter {
    type Loaded = InterpretedTrace;

    fn new() -> Self {
        let arena = CodeArena::new(ArenaOptions::default()).expect("code memory");
        let image = InterpreterImage::parse(&COMPILED.1).expect("an image");
        // SAFETY: the compiler has made the image; `act` is as above.
        unsafe { Interpreter::in_arena(table(), &image, resolve, &arena) }.expect("an interpreter")
    }

    fn load(&self, trace: &Trace<'_>, shape: FrameShape) -> InterpretedTrace {
        Interpreter::load(self, trace, shape).expect("a trace that can be interpreted")
    }

    fn blocks(&self) -> Option<usize> {
        None
    }
}

/// Both tiers.
macro_rules! in_both {
    ($($name:ident)*) => {$(
        mod $name {
            #[test]
            fn by_the_engine() {
                super::$name::<super::Engine>();
            }

            #[test]
            fn by_the_interpreter() {
                super::$name::<super::Interpreter>();
            }
        }
    )*};
}

in_both! {
    frames_are_entered_and_left
    random_traces_do_what_the_model_does
    exits_count_what_is_not_linked
    side_exits_grow_to_a_tree
    executors_form_a_loop
    exits_of_inner_frames_go_on_in_executors_for_these
    an_invalidated_executor_is_cut_off
    what_is_called_invalidates_the_trace_that_called_it
    what_is_called_drops_the_trace_that_called_it
    a_change_invalidates_what_depends_on_it
    runs_inside_a_run_keep_what_is_left_alive
}

// ---- Frames --------------------------------------------------------------------------------------------------------

fn shape(locals: u32, stack: u32) -> FrameShape {
    FrameShape {
        locals,
        stack,
        entry_depth: 0,
    }
}

const FIRST_LOCAL: usize = LOCALS as usize / 8;

/// A frame and its stack.
struct Frame {
    words: Box<[u64]>,
    locals: usize,
}

impl Frame {
    fn new(locals: &[u64], room: usize) -> Self {
        let mut words = vec![0; FIRST_LOCAL];
        words.extend(locals);
        words.resize(FIRST_LOCAL + locals.len() + room, 0);
        let mut frame = Self {
            words: words.into(),
            locals: locals.len(),
        };
        frame.words[STACK as usize / 8] = frame.stack();
        frame
    }

    fn address(&self) -> u64 {
        self.words.as_ptr() as u64
    }

    fn stack(&self) -> u64 {
        self.address() + 8 * (FIRST_LOCAL + self.locals) as u64
    }

    fn locals(&self) -> &[u64] {
        &self.words[FIRST_LOCAL..][..self.locals]
    }

    fn set_local(&mut self, local: usize, value: u64) {
        self.words[FIRST_LOCAL + local] = value;
    }

    fn values(&self, exit: &SideExit) -> &[u64] {
        let count = (exit.stack_pointer as u64 - self.stack()) / 8;
        &self.words[FIRST_LOCAL + self.locals..][..count as usize]
    }

    fn run(&mut self, trace: &impl Loaded) -> SideExit {
        let frame: *mut u8 = self.words.as_mut_ptr().cast();
        let stack = self.stack() as *mut u64;
        // SAFETY: frame and stack are as the traces here expect them, and so are those that they enter.
        unsafe { trace.run_in(frame, stack, &mut ThreadState::default()) }
    }
}

fn op(trace: &Trace<'_>, name: &str) -> Uop {
    trace.uop(name).unwrap_or_else(|error| panic!("{error}"))
}

fn push(trace: &mut Trace<'_>, value: u64) {
    trace.push(op(trace, "_PUSH").operand(value));
}

fn push_add(trace: &mut Trace<'_>, local: u32, number: u64) {
    trace.push(op(trace, "_LOAD").oparg(local));
    push(trace, number);
    trace.push(op(trace, "_ADD"));
    trace.push(op(trace, "_STORE").oparg(local));
}

fn push_enter(trace: &mut Trace<'_>, frame: &Frame, shape: FrameShape) {
    push(trace, frame.address());
    trace.push(op(trace, "_ENTER").enters(shape));
}

fn frames_are_entered_and_left<T: Tier>() {
    let tier = T::new();
    let table = table();
    let mut outer = Frame::new(&[1], 3);
    let inner = [2, 3, 4].map(|local| Frame::new(&[local], 2));
    let mut trace = Trace::new(&table);
    // Values stay in registers up to where the frame is left, and come from memory behind it.
    push(&mut trace, 1000);
    trace.push(op(&trace, "_LOAD").oparg(0));
    for frame in &inner {
        push_enter(&mut trace, frame, shape(1, 2));
        trace.push(op(&trace, "_LOAD").oparg(0));
    }
    trace.push(op(&trace, "_EXIT_IF_ZERO"));
    trace.push(op(&trace, "_LOAD").oparg(0));
    trace.push(op(&trace, "_CALL"));
    for _ in &inner {
        trace.push(op(&trace, "_RETURN"));
        trace.push(op(&trace, "_ADD"));
    }
    trace.push(op(&trace, "_ADD"));
    trace.push(op(&trace, "_EXIT").target(5));
    let loaded = tier.load(&trace, shape(1, 3));
    when_called(|word| 100 * word);
    let exit = outer.run(&loaded);
    assert_eq!((exit.target, exit.frame as u64), (5, outer.address()));
    assert_eq!(outer.values(&exit), [1000 + 1 + 2 + 3 + 400]);

    let mut inner = inner;
    inner[2].set_local(0, 0);
    let exit = outer.run(&loaded);
    assert_eq!((exit.index, exit.frame as u64), (0, inner[2].address()));
    assert_eq!(inner[2].values(&exit), [0; 0]);
    // What was on the stacks of the frames that are still entered is there.
    let left = inner
        .each_ref()
        .map(|frame| frame.words[OUTER_STACK as usize / 8]);
    assert_eq!(left[0], outer.stack() + 16);
    assert_eq!(left[1], inner[0].stack() + 8);
    assert_eq!(left[2], inner[1].stack() + 8);
    assert_eq!(inner[1].words[FIRST_LOCAL + 1], 3);
}

/// A frame as the model has it.
#[derive(Clone, Debug, PartialEq)]
struct Model {
    locals: Vec<u64>,
    stack: Vec<u64>,
}

const MODEL_FRAMES: usize = 5;
const MODEL_LOCALS: usize = 3;
const MODEL_ROOM: usize = 6;

/// Makes a random trace together with what it does: straight on, through frames that are entered and left, up to an exit
/// that is taken for a zero, or to the end.
struct Generator<'t, 'f> {
    trace: Trace<'t>,
    frames: &'f [Frame],
    models: Vec<Model>,
    /// The frames that are entered, by number; the innermost last.
    entered: Vec<usize>,
    numbers: Numbers,
    exits: u32,
}

/// How a trace ends: by which exit, and in which frame.
struct Expected {
    exit: u32,
    frame: usize,
    models: Vec<Model>,
}

impl Generator<'_, '_> {
    fn model(&mut self) -> &mut Model {
        &mut self.models[*self.entered.last().expect("a frame")]
    }

    /// One uop, or a few. Returns the number of the exit where it is taken.
    fn step(&mut self) -> Option<u32> {
        let depth = self.model().stack.len();
        let local = self.numbers.below(MODEL_LOCALS);
        match self.numbers.below(9) {
            0..=1 if depth < MODEL_ROOM => {
                let value = self.numbers.number() | 1;
                push(&mut self.trace, value);
                self.model().stack.push(value);
            }
            2 if depth < MODEL_ROOM => {
                self.trace
                    .push(op(&self.trace, "_LOAD").oparg(local as u32));
                let value = self.model().locals[local];
                self.model().stack.push(value);
            }
            3 if depth > 0 => {
                self.trace
                    .push(op(&self.trace, "_STORE").oparg(local as u32));
                let value = self.model().stack.pop().expect("a value");
                self.model().locals[local] = value;
            }
            4 if depth > 1 => {
                self.trace.push(op(&self.trace, "_ADD"));
                let stack = &mut self.model().stack;
                let sum = stack.pop().expect("a value").wrapping_add(stack[depth - 2]);
                stack[depth - 2] = sum;
            }
            5 if depth > 0 => {
                self.trace.push(op(&self.trace, "_EXIT_IF_ZERO"));
                let value = self.model().stack.pop().expect("a value");
                self.exits += 1;
                if value == 0 {
                    return Some(self.exits - 1);
                }
            }
            6..=7 if depth < MODEL_ROOM => self.enter(),
            8 if depth > 0 && self.entered.len() > 1 => {
                self.trace.push(op(&self.trace, "_RETURN"));
                let value = self.model().stack.pop().expect("a value");
                self.entered.pop();
                self.model().stack.push(value);
            }
            _ => {}
        }
        None
    }

    /// Enters a frame that is not entered.
    fn enter(&mut self) {
        let number = self.numbers.below(MODEL_FRAMES);
        if self.entered.contains(&number) {
            return;
        }
        let shape = shape(MODEL_LOCALS as u32, MODEL_ROOM as u32);
        push_enter(&mut self.trace, &self.frames[number], shape);
        self.entered.push(number);
        self.model().stack.clear();
    }

    fn make(mut self, steps: usize) -> (Self, Expected) {
        let mut taken = None;
        for _ in 0..steps {
            taken = taken.or(self.step().map(|exit| (exit, self.entered.clone())));
            if taken.is_some() {
                break;
            }
        }
        let exit = taken.map_or(self.exits, |(exit, _)| exit);
        self.trace.push(op(&self.trace, "_EXIT"));
        let expected = Expected {
            exit,
            frame: *self.entered.last().expect("a frame"),
            models: self.models.clone(),
        };
        (self, expected)
    }
}

fn random_traces_do_what_the_model_does<T: Tier>() {
    let tier = T::new();
    let table = table();
    let mut deepest = 0;
    for seed in 1..400 {
        let locals = [0, seed, 7];
        let mut frames: Vec<Frame> = (0..MODEL_FRAMES)
            .map(|_| Frame::new(&locals, MODEL_ROOM + 1))
            .collect();
        let generator = Generator {
            trace: Trace::new(&table),
            frames: &frames,
            models: vec![
                Model {
                    locals: locals.to_vec(),
                    stack: Vec::new(),
                };
                MODEL_FRAMES
            ],
            entered: vec![0],
            numbers: Numbers::new(seed * 0x9e37_79b9),
            exits: 0,
        };
        let (made, expected) = generator.make(60);
        deepest = deepest.max(made.entered.len());
        let (entered, trace) = (made.entered, made.trace);
        // One more value than the model's room, for the address of a frame.
        let outer = shape(MODEL_LOCALS as u32, MODEL_ROOM as u32 + 1);
        let loaded = tier.load(&trace, outer);
        let exit = frames[0].run(&loaded);
        assert_eq!(exit.index, expected.exit, "seed {seed}");
        let left = &frames[expected.frame];
        assert_eq!(exit.frame as u64, left.address(), "seed {seed}");
        for (frame, model) in frames.iter().zip(&expected.models) {
            assert_eq!(frame.locals(), model.locals, "seed {seed}");
        }
        let values = &expected.models[expected.frame].stack;
        assert_eq!(left.values(&exit), values, "seed {seed}");
        // The frames that are still entered are left with what is on their stacks.
        for pair in entered.windows(2) {
            let (outer, inner) = (&frames[pair[0]], &frames[pair[1]]);
            let stack = &expected.models[pair[0]].stack;
            let words = &outer.words[FIRST_LOCAL + MODEL_LOCALS..][..stack.len()];
            assert_eq!(words, stack, "seed {seed}");
            let end = outer.stack() + 8 * stack.len() as u64;
            assert_eq!(inner.words[OUTER_STACK as usize / 8], end, "seed {seed}");
        }
    }
    assert!(deepest >= 4, "{deepest}");
}

// ---- Exits ---------------------------------------------------------------------------------------------------------

/// Takes one from local 0 and adds one to `counter`; exit 0 where local 0 is 0 then, else exit 1.
fn step(table: &StencilTable, counter: u32) -> Trace<'_> {
    let mut trace = Trace::new(table);
    push_add(&mut trace, counter, 1);
    push_add(&mut trace, 0, u64::MAX);
    trace.push(op(&trace, "_LOAD").oparg(0));
    trace.push(op(&trace, "_EXIT_IF_ZERO").target(1));
    trace.push(op(&trace, "_EXIT").target(2));
    trace
}

const DONE: u32 = 0;
const NEXT: u32 = 1;

fn taken(exit: SideExit) -> (ExecutorId, u32, u64) {
    (exit.executor, exit.index, exit.count)
}

fn exits_count_what_is_not_linked<T: Tier>() {
    let tier = T::new();
    let table = table();
    let mut frame = Frame::new(&[100, 0, 0], 2);
    let [a, b] = [1, 2].map(|counter| tier.load(&step(&table, counter), shape(3, 2)));
    assert_eq!(
        (a.count(DONE), a.count(NEXT), a.count(2)),
        (Some(0), Some(0), None)
    );
    for count in 1..=10 {
        assert_eq!(taken(frame.run(&a)), (a.id(), NEXT, count));
    }
    a.link_to(NEXT, &b).unwrap();
    for count in 1..=7 {
        // It is not the one that is entered that counts.
        assert_eq!(taken(frame.run(&a)), (b.id(), NEXT, count));
    }
    assert_eq!((a.count(NEXT), b.count(NEXT)), (Some(10), Some(7)));
    assert_eq!(taken(frame.run(&b)), (b.id(), NEXT, 8));
    frame.set_local(0, 1);
    assert_eq!(taken(frame.run(&a)), (a.id(), DONE, 1));
    assert_eq!(
        (a.count(DONE), a.count(NEXT), b.count(DONE)),
        (Some(1), Some(10), Some(0))
    );
    // Another thread's exits count with them.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut frame = Frame::new(&[1, 0, 0], 2);
                for _ in 0..1000 {
                    frame.set_local(0, 1);
                    frame.run(&b);
                }
            });
        }
    });
    assert_eq!(b.count(DONE), Some(4000));
}

/// A trace that goes on to the next through its first exit; local `index` says whether it does.
fn branch(table: &StencilTable, index: u32) -> Trace<'_> {
    let mut trace = Trace::new(table);
    trace.push(op(&trace, "_LOAD").oparg(index));
    trace.push(op(&trace, "_EXIT_IF_ZERO").target(2 * index));
    trace.push(op(&trace, "_EXIT").target(2 * index + 1));
    trace
}

/// A tree as it grows in a program: whatever exit is taken twice gets a trace of its own.
fn side_exits_grow_to_a_tree<T: Tier>() {
    const DEPTH: u32 = 5;
    let tier = T::new();
    let table = table();
    let mut traces = vec![(tier.load(&branch(&table, 0), shape(DEPTH, 1)), 0)];
    let mut frame = Frame::new(&[0; DEPTH as usize], 1);
    let mut numbers = Numbers::new(11);
    let mut left = [0; 2];
    for _ in 0..2000 {
        for local in 0..DEPTH as usize {
            frame.set_local(local, numbers.below(2) as u64);
        }
        let exit = frame.run(&traces[0].0);
        let at = traces
            .iter()
            .position(|(trace, _)| trace.id() == exit.executor);
        let (from, level) = (at.expect("one of the tree"), traces[at.unwrap()].1);
        assert_eq!(
            exit.target,
            2 * level + u32::from(frame.locals()[level as usize] != 0)
        );
        if level + 1 == DEPTH {
            left[exit.index as usize] += 1;
            continue;
        }
        assert!(exit.count <= 2);
        if exit.count == 2 {
            let next = tier.load(&branch(&table, level + 1), shape(DEPTH, 1));
            traces[from].0.link_to(exit.index, &next).unwrap();
            traces.push((next, level + 1));
        }
    }
    // All of a tree of 5 levels, and every run ends in a leaf by now.
    assert_eq!(traces.len(), (1 << DEPTH) - 1);
    let leaves: u64 = traces
        .iter()
        .filter(|(_, level)| level + 1 == DEPTH)
        .map(|(trace, _)| trace.count(0).unwrap() + trace.count(1).unwrap())
        .sum();
    assert_eq!(leaves, left[0] + left[1]);
    assert!(leaves > 1800, "{leaves}");
    // Without its root's first branch, the half behind it is not reached.
    traces[1].0.invalidate();
    let cut = traces[1].0.id();
    for _ in 0..100 {
        for local in 0..DEPTH as usize {
            frame.set_local(local, numbers.below(2) as u64);
        }
        assert_ne!(frame.run(&traces[0].0).executor, cut);
    }
}

/// Exit of one to A, to B, to A.
fn executors_form_a_loop<T: Tier>() {
    let tier = T::new();
    let table = table();
    let mut frame = Frame::new(&[10_000, 0, 0], 2);
    let [entry, a, b] = [1, 1, 2].map(|counter| tier.load(&step(&table, counter), shape(3, 2)));
    entry.link_to(NEXT, &a).unwrap();
    a.link_to(NEXT, &b).unwrap();
    b.link_to(NEXT, &a).unwrap();
    assert_eq!(taken(frame.run(&entry)), (a.id(), DONE, 1));
    assert_eq!(frame.locals(), [0, 5001, 4999]);
    assert_eq!(
        [&entry, &a, &b].map(|trace| trace.count(NEXT)),
        [Some(0); 3]
    );
}

/// A trace leaves in a frame that it has entered; there an executor goes on that was compiled for such frames.
fn exits_of_inner_frames_go_on_in_executors_for_these<T: Tier>() {
    let tier = T::new();
    let table = table();
    let mut outer = Frame::new(&[1], 1);
    let inner = Frame::new(&[5, 0, 0], 2);
    let mut trace = Trace::new(&table);
    push_enter(&mut trace, &inner, shape(3, 2));
    trace.push(op(&trace, "_EXIT"));
    let enters = tier.load(&trace, shape(1, 1));
    let loops = tier.load(&step(&table, 1), shape(3, 2));
    loops.link_to(NEXT, &loops).unwrap();
    enters.link_to(0, &loops).unwrap();
    let exit = outer.run(&enters);
    assert_eq!(taken(exit), (loops.id(), DONE, 1));
    assert_eq!(
        (exit.frame as u64, inner.locals()),
        (inner.address(), &[0, 5, 0][..])
    );
    // Frames of the trace's own shape are not what it leaves.
    let outer_only = tier.load(&step(&table, 1), shape(4, 2));
    assert!(matches!(
        enters.link_to(0, &outer_only),
        Err(LinkError::Shape {
            locals: 3,
            stack: 2,
            ..
        })
    ));
}

// ---- Invalidation ----------------------------------------------------------------------------------------------------

fn an_invalidated_executor_is_cut_off<T: Tier>() {
    let tier = T::new();
    let table = table();
    let mut frame = Frame::new(&[100, 0, 0], 2);
    let [a, b, c] = [1, 2, 1].map(|counter| tier.load(&step(&table, counter), shape(3, 2)));
    a.link_to(NEXT, &b).unwrap();
    b.link_to(NEXT, &c).unwrap();
    assert_eq!(taken(frame.run(&a)), (c.id(), NEXT, 1));
    b.invalidate();
    assert_eq!(taken(frame.run(&a)), (a.id(), NEXT, 1));
    // Its own links are gone, too, so that it keeps nobody.
    assert_eq!(taken(frame.run(&b)), (b.id(), NEXT, 1));
    assert_eq!(a.link_to(NEXT, &b), Err(LinkError::Invalid(b.id())));
    a.link_to(NEXT, &c).unwrap();
    drop(b);
    assert_eq!(taken(frame.run(&a)), (c.id(), NEXT, 2));
    drop((a, c));
    assert!(tier.blocks().is_none_or(|blocks| blocks == 0));
}

/// Calls, and then goes on for ever unless it was invalidated: then it leaves to target 9.
fn calls_and_checks(table: &StencilTable) -> Trace<'_> {
    let mut trace = Trace::new(table);
    let (again, invalid): (Label, Label) = (trace.label(), trace.label());
    trace.bind(again).unwrap();
    trace.push(op(&trace, "_LOAD").oparg(0));
    trace.push(op(&trace, "_CALL"));
    trace.push(op(&trace, "_STORE").oparg(0));
    trace.push(op(&trace, "_CHECK_VALIDITY").jump(invalid));
    trace.push(op(&trace, "_JUMP").jump(again));
    trace.bind(invalid).unwrap();
    trace.push(op(&trace, "_EXIT").target(9));
    trace
}

fn what_is_called_invalidates_the_trace_that_called_it<T: Tier>() {
    let tier = T::new();
    let table = table();
    let loaded = Arc::new(tier.load(&calls_and_checks(&table), shape(1, 1)));
    let running = Arc::clone(&loaded);
    when_called(move |word| {
        if word == 41 {
            running.invalidate();
        }
        word + 1
    });
    let mut frame = Frame::new(&[0], 1);
    let exit = frame.run(&*loaded);
    assert_eq!((exit.target, exit.count, frame.locals()), (9, 1, &[42][..]));
    when_called(|word| word);
}

fn what_is_called_drops_the_trace_that_called_it<T: Tier>() {
    let tier = T::new();
    let table = table();
    let loaded = Arc::new(Mutex::new(Some(
        tier.load(&calls_and_checks(&table), shape(1, 1)),
    )));
    // Enters the other one, in which the call happens.
    let mut trace = Trace::new(&table);
    trace.push(op(&trace, "_EXIT"));
    let entry = tier.load(&trace, shape(1, 1));
    let id = {
        let place = loaded.lock().unwrap();
        let running = place.as_ref().unwrap();
        entry.link_to(0, running).unwrap();
        running.id()
    };
    let place = Arc::clone(&loaded);
    when_called(move |word| {
        if word == 5 {
            let running = place.lock().unwrap().take().unwrap();
            running.invalidate();
            drop(running);
        }
        word + 1
    });
    let mut frame = Frame::new(&[0], 1);
    let exit = frame.run(&entry);
    // It is not freed before it is left, and its exit counts as ever.
    assert_eq!((exit.executor, exit.target, exit.count), (id, 9, 1));
    assert_eq!(frame.locals(), [6]);
    assert!(tier.blocks().is_none_or(|blocks| blocks == 1));
    assert_eq!(frame.run(&entry).executor, entry.id());
    when_called(|word| word);
}

/// One that runs, one that does not, one that is gone, and one that depends on something else.
fn a_change_invalidates_what_depends_on_it<T: Tier>() {
    let tier = T::new();
    let table = table();
    let dependencies = Arc::new(Dependencies::new());
    let depending = |key| {
        let trace = tier.load(&calls_and_checks(&table), shape(1, 1));
        dependencies.add(key, trace.invalidator());
        trace
    };
    let (running, other) = (depending("len"), depending("len"));
    let elsewhere = depending("abs");
    let gone = depending("len").invalidator();
    assert!(!gone.is_alive() && !gone.invalidate());
    let changes = Arc::clone(&dependencies);
    when_called(move |word| {
        if word == 3 {
            assert_eq!(changes.changed(&"len"), 2);
        }
        word + 1
    });
    let run = |trace, start| {
        let mut frame = Frame::new(&[start], 1);
        frame.run(trace);
        frame.locals()[0]
    };
    assert_eq!(run(&running, 0), 4);
    assert_eq!(run(&other, 10), 11);
    // Told again, there is nothing to invalidate.
    assert_eq!(dependencies.changed(&"len"), 0);
    when_called(|word| word);
    assert_eq!(dependencies.changed(&"abs"), 1);
    assert_eq!(run(&elsewhere, 20), 20);
    // Those that are gone take no room.
    for _ in 0..1000 {
        drop(depending("sum"));
    }
    assert_eq!(dependencies.changed(&"sum"), 0);
    drop((running, other, elsewhere));
    assert!(tier.blocks().is_none_or(|blocks| blocks == 0));
}

/// A trace calls what runs a trace, which is dropped and freed when the outer run is over.
fn runs_inside_a_run_keep_what_is_left_alive<T: Tier>() {
    let tier = Arc::new(T::new());
    let table = table();
    let mut trace = Trace::new(&table);
    trace.push(op(&trace, "_LOAD").oparg(0));
    trace.push(op(&trace, "_CALL"));
    trace.push(op(&trace, "_STORE").oparg(0));
    trace.push(op(&trace, "_EXIT"));
    let outer = tier.load(&trace, shape(1, 1));
    let inner = tier.load(&step(&table, 1), shape(2, 2));
    inner.link_to(NEXT, &inner).unwrap();
    let mut inner = Some(inner);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let blocks = Arc::clone(&seen);
    let memory = Arc::clone(&tier);
    when_called(move |word| {
        let mut frame = Frame::new(&[word, 0], 2);
        let running = inner.take().expect("it is called once");
        let exit = frame.run(&running);
        assert_eq!(taken(exit), (running.id(), DONE, 1));
        drop(running);
        blocks.lock().unwrap().extend(memory.blocks());
        frame.locals()[1]
    });
    let mut frame = Frame::new(&[9], 1);
    let exit = frame.run(&outer);
    assert_eq!(taken(exit), (outer.id(), 0, 1));
    assert_eq!(frame.locals(), [9]);
    // Both were there as long as the outer run was.
    let seen = seen.lock().unwrap();
    assert!(seen.iter().all(|&blocks| blocks == 2), "{seen:?}");
    assert!(tier.blocks().is_none_or(|blocks| blocks == 1));
    when_called(|word| word);
}
