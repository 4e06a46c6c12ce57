//! Programs run by mimeo: by the engine in each way that it selects stencils, and by the interpreter.
#![allow(unsafe_code)]

use super::ast::{Program, Value};
use super::code::{Code, compile};
use super::lower::{ENDED, Point, RAISED, Referents, Targets, lower};
use super::outcome::{Outcome, Raised, describe};
use crate::numbers::Numbers;
use mimeo::engine::Engine;
use mimeo::executor::{Executor, ExecutorId, SideExit};
use mimeo::interpreter::{InterpretedTrace, Interpreter};
use mimeo::select::Selection;
use mimeo::table::StencilTable;
use mimeo::trace::{FrameShape, Trace};
use mimeo_objects::builtin::BuiltinId;
use mimeo_objects::call::call;
use mimeo_objects::code::{CodeSpec, OPTIMIZED};
use mimeo_objects::frame::OwnedFrame;
use mimeo_objects::heap;
use mimeo_objects::object::Ref;
use mimeo_objects::recorded::{engine, interpreter};
use mimeo_objects::thread::ThreadState;
use mimeo_objects::types::TypeId;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// One way to run traces.
#[derive(Debug)]
pub enum Way {
    /// Machine code, selected with these means.
    Compiled(Arc<Engine>, Selection),
    /// The interpreter of the same table.
    Interpreted(Interpreter),
}

/// A trace that is ready to run.
#[derive(Debug)]
enum Loaded {
    Compiled(Executor),
    Interpreted(InterpretedTrace),
}

/// What a run left.
#[derive(Clone, Debug)]
pub struct Run {
    /// How the program ended.
    pub outcome: Outcome,
    /// How many traces were made.
    pub traces: usize,
    /// How many objects it left behind.
    pub left: i64,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compiled(_, selection) => write!(f, "the engine with {selection:?}"),
            Self::Interpreted(_) => f.write_str("the interpreter"),
        }
    }
}

impl Way {
    /// The interpreter, and the engine in every way.
    ///
    /// # Panics
    /// There is no code memory to be had, or the embedded table is damaged.
    pub fn all() -> Vec<Self> {
        let table = mimeo_ir_templates::standard_table().expect("the embedded table");
        let table = Arc::new(table);
        let image = mimeo_ir_templates::standard_interpreter().expect("the embedded interpreter");
        // SAFETY: the image was made with the embedded table, and is in the program's text.
        let interpreter = unsafe { interpreter(Arc::clone(&table), &image) };
        let mut ways = vec![Self::Interpreted(interpreter.expect("an interpreter"))];
        let engine = Arc::new(engine(table).expect("an engine of the standard set"));
        for [registers, pins, supernodes] in [
            [true, true, true],
            [false, false, false],
            [true, false, false],
            [false, false, true],
        ] {
            let selection = Selection {
                registers,
                pins,
                supernodes,
            };
            ways.push(Self::Compiled(Arc::clone(&engine), selection));
        }
        ways
    }

    fn table(&self) -> &Arc<StencilTable> {
        match self {
            Self::Compiled(engine, _) => engine.table(),
            Self::Interpreted(interpreter) => interpreter.table(),
        }
    }

    fn load(&self, trace: &Trace<'_>, shape: FrameShape) -> Loaded {
        let loaded = match self {
            Self::Compiled(engine, selection) => engine
                .prepare_with(trace, shape, *selection)
                .and_then(|prepared| engine.compile_prepared(&prepared))
                .map(Loaded::Compiled),
            Self::Interpreted(interpreter) => {
                interpreter.load(trace, shape).map(Loaded::Interpreted)
            }
        };
        loaded.unwrap_or_else(|error| panic!("{error} in {}", listing(trace)))
    }

    /// Runs a program; `seed` says how it is cut into traces.
    pub fn run(&self, program: &Program, seed: u64) -> Run {
        let code = compile(program);
        let before = heap::stats().live() as i64;
        let (outcome, traces) = {
            let mut machine = Machine::new(self, program, &code, seed);
            machine.run();
            (machine.outcome(), machine.loaded.len())
        };
        Run {
            outcome,
            traces,
            left: heap::stats().live() as i64 - before,
        }
    }
}

/// The uops of a trace, a line each.
pub fn listing(trace: &Trace<'_>) -> String {
    let mut text = String::new();
    for (index, uop) in trace.uops().iter().enumerate() {
        let place = |label| {
            trace
                .position(label)
                .map_or(String::new(), |to| format!(" -> {to}"))
        };
        let jump = uop.jump.map_or(String::new(), place);
        text += &format!(
            "{index:4} {} {} target {}{jump}\n",
            trace.table().uop(uop.id).name,
            uop.oparg,
            uop.target
        );
    }
    text
}

impl Loaded {
    fn id(&self) -> ExecutorId {
        match self {
            Self::Compiled(executor) => executor.id(),
            Self::Interpreted(trace) => trace.id(),
        }
    }

    fn link(&self, exit: u32, to: &Self) {
        let linked = match (self, to) {
            (Self::Compiled(from), Self::Compiled(to)) => from.link(exit, to),
            (Self::Interpreted(from), Self::Interpreted(to)) => from.link(exit, to),
            _ => unreachable!("all of one way"),
        };
        linked.unwrap_or_else(|error| panic!("{error}"));
    }
}

/// A program that runs.
struct Machine<'a> {
    way: &'a Way,
    code: &'a Code,
    // Traces hold addresses of the objects: they are dropped first.
    loaded: Vec<Loaded>,
    by_point: HashMap<Point, usize>,
    by_id: HashMap<ExecutorId, usize>,
    targets: Targets,
    frame: OwnedFrame,
    thread: Box<ThreadState>,
    constants: Vec<Ref>,
    callables: Vec<Ref>,
    numbers: Numbers,
}

impl<'a> Machine<'a> {
    fn new(way: &'a Way, program: &Program, code: &'a Code, seed: u64) -> Self {
        let mut locals: Vec<Option<Ref>> = program.arguments.iter().map(object).map(Some).collect();
        locals.resize_with(program.names.len(), || None);
        Self {
            way,
            code,
            loaded: Vec::new(),
            by_point: HashMap::new(),
            by_id: HashMap::new(),
            targets: Targets::default(),
            frame: OwnedFrame::new(
                0,
                Some(function(program, code)),
                locals,
                code.stack as usize,
            )
            .expect("a small frame"),
            thread: Box::new(ThreadState::new()),
            constants: code.constants.iter().map(object).collect(),
            callables: code.callables.iter().map(|name| builtin(name)).collect(),
            numbers: Numbers::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        }
    }

    fn run(&mut self) {
        let start = Point {
            block: 0,
            op: 0,
            generic: false,
        };
        let mut current = self.trace_at(start);
        loop {
            let exit = self.enter(current);
            if exit.target == ENDED || exit.target == RAISED {
                return;
            }
            let from = self.by_id[&exit.executor];
            current = self.trace_at(self.targets.point(exit.target));
            // Some exits are never linked, as where the interpreter takes over.
            if exit.index % 5 != 4 {
                self.loaded[from].link(exit.index, &self.loaded[current]);
            }
        }
    }

    /// The trace that starts at a point; it is made now if it is the first time.
    fn trace_at(&mut self, point: Point) -> usize {
        if let Some(&index) = self.by_point.get(&point) {
            return index;
        }
        let lowered = lower(
            self.code,
            Referents {
                constants: &self.constants,
                callables: &self.callables,
            },
            self.way.table(),
            &mut self.targets,
            point,
            (self.frame.locals(), self.frame.stack()),
            &mut self.numbers,
        );
        let lowered = lowered.unwrap_or_else(|error| panic!("{error}"));
        let loaded = self.way.load(&lowered.trace, lowered.shape);
        if std::env::var_os("MIMEO_PROGRAMS_TRACES").is_some() {
            let number = self.targets.number(point);
            println!(
                "trace of target {number}, {point:?}:\n{}",
                listing(&lowered.trace)
            );
        }
        let index = self.loaded.len();
        self.by_id.insert(loaded.id(), index);
        self.loaded.push(loaded);
        self.by_point.insert(point, index);
        index
    }

    fn enter(&mut self, index: usize) -> SideExit {
        let frame = self.frame.as_ptr();
        let thread: *mut ThreadState = &mut *self.thread;
        // SAFETY: the frame has the locals and the room for a stack that all traces were checked for, and as many values
        // on it as at the point where the trace starts; typed uops stand behind guards or proofs; what the traces refer to
        // lives as long as `self`.
        unsafe {
            let stack_pointer = (*frame).stack_pointer.cast();
            let exit = match &self.loaded[index] {
                Loaded::Compiled(executor) => {
                    executor.run(frame.cast(), stack_pointer, thread.cast())
                }
                Loaded::Interpreted(trace) => trace.run(frame.cast(), stack_pointer, thread.cast()),
            };
            (*frame).stack_pointer = exit.stack_pointer.cast();
            exit
        }
    }

    fn outcome(&mut self) -> Outcome {
        let raised = self.thread.take_error().map(|error| Raised {
            class: error.kind.name().to_owned(),
            message: error.message,
        });
        Outcome {
            locals: describe(self.frame.locals()),
            raised,
        }
    }
}

/// The function, for the names of its locals.
fn function(program: &Program, code: &Code) -> Ref {
    let spec = CodeSpec {
        name: "f".to_owned(),
        qualified_name: "f".to_owned(),
        argument_count: program.arguments.len() as u32,
        flags: OPTIMIZED,
        stack_size: code.stack,
        local_names: program.names.clone(),
        ..CodeSpec::default()
    };
    let code = Ref::code(spec).expect("more locals than parameters");
    Ref::function(code, Ref::dict(), Ref::dict())
}

/// A new object of this value.
fn object(value: &Value) -> Ref {
    match value {
        Value::None => Ref::none(),
        Value::Bool(value) => Ref::bool(*value),
        Value::Int(value) => match i64::try_from(*value) {
            Ok(value) => Ref::int(value),
            Err(_) => {
                let text = Ref::str(&value.to_string());
                call(&Ref::type_object(TypeId::Int), &[text]).expect("decimal digits")
            }
        },
        Value::Float(value) => Ref::float(*value),
        Value::Str(value) => Ref::str(value),
        Value::List(items) => Ref::list(items.iter().map(object).collect()),
        Value::Tuple(items) => Ref::tuple(items.iter().map(object).collect()),
        Value::Dict(items) => {
            let pairs = items
                .iter()
                .map(|(key, value)| (object(key), object(value)));
            Ref::dict_of(pairs).expect("keys with a hash")
        }
        Value::Set(items) => Ref::set_of(items.iter().map(object)).expect("items with a hash"),
    }
}

/// The built-in function or type of this name.
fn builtin(name: &str) -> Ref {
    let function = BuiltinId::named(name).map(Ref::builtin);
    let of = || TypeId::named(name).map(Ref::type_object);
    function
        .or_else(of)
        .unwrap_or_else(|| panic!("there is no {name}"))
}
