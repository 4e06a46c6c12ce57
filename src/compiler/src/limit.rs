//! The limit: a trace's templates in one function, optimised by LLVM as a whole and compiled in this process.
//!
//! What copy-and-patch gives up is what LLVM finds across the borders of uops. The limit is that: the same templates,
//! with every operand a constant, every label a block, and locals and stack where LLVM can keep them in registers. It
//! takes some ten thousand times as long to compile as patching does, which is why it is a yardstick and a partner in
//! differential tests and nothing to ship.
//!
//! Two kinds of sets are told apart by their [register variants](Registers). The values of an
//! [`Operands`](Registers::Operands) set are unboxed: the locals that the trace names and the stack are read once at
//! entry and written back at exits, and nothing else is assumed to look at them in between: an operand of such a trace
//! that points into its own frame is outside of what the limit compiles. In other sets both stay in the frame, because
//! the functions that templates call may look at it.
//!
//! Exits cannot be linked to one another, and there is no way back in but the entry. [`Limit::invalidate`] is seen
//! wherever LLVM has not proven that a loop's checks of validity all give the same.
#![allow(unsafe_code)]

mod loaded_code;

use loaded_code::LoadedCode;

use crate::builder::inline::{InlinedTrace, Site, slot};
use crate::error::{CompileError, TemplateError};
use crate::module::{Externals, Unit};
use crate::target;
use crate::template::{Registers, Template, TemplateSet};
use inkwell::OptimizationLevel;
use inkwell::attributes::{Attribute, AttributeLoc};
use inkwell::basic_block::BasicBlock;
use inkwell::builder::Builder;
use inkwell::context::Context;
use inkwell::module::{Linkage, Module};
use inkwell::passes::PassBuilderOptions;
use inkwell::targets::{FileType, TargetMachine};
use inkwell::types::IntType;
use inkwell::values::{FunctionValue, PointerValue};
use mimeo::executor::{ExecutorHeader, ThreadState};
use mimeo::stencil::UopFlags;
use mimeo::trace::{FrameShape, Label, Trace, TraceError};
use object::{Object as _, ObjectSection as _, SectionKind};
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// How hard LLVM tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Level {
    /// No passes, and the fast instruction selector and register allocator.
    O0,
    /// `default<O1>`.
    O1,
    /// `default<O2>`.
    O2,
}

impl Level {
    const fn pipeline(self) -> Option<&'static str> {
        match self {
            Self::O0 => None,
            Self::O1 => Some("default<O1>"),
            Self::O2 => Some("default<O2>"),
        }
    }

    const fn codegen(self) -> OptimizationLevel {
        match self {
            Self::O0 => OptimizationLevel::None,
            Self::O1 => OptimizationLevel::Less,
            Self::O2 => OptimizationLevel::Default,
        }
    }
}

/// What the code may assume of the processor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Cpu {
    /// What the stencils assume: [`target::CPU`].
    #[default]
    Baseline,
    /// The one that this runs on, with everything it has.
    Host,
}

/// Why a trace cannot be compiled as one function.
#[derive(Debug, thiserror::Error)]
pub enum LimitError {
    /// The trace is wrong.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// The trace has a uop that the set has no template for.
    #[error("uop {index}: the set {set} has no template {name}")]
    MissingTemplate {
        /// Where.
        index: usize,
        /// The uop.
        name: String,
        /// The set.
        set: String,
    },
    /// The trace goes to other frames than the one that it is entered in, which one function does not.
    #[error("uop {index} {name} goes to another frame")]
    OtherFrame {
        /// Where.
        index: usize,
        /// The uop.
        name: String,
    },
    /// A template calls a function that has no address.
    #[error("the templates need the symbol {0}, which is not there")]
    MissingSymbol(String),
    /// A template is wrong, or LLVM failed.
    #[error(transparent)]
    Compile(#[from] CompileError),
}

/// Through which exit control left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitExit {
    /// Which of the exits, as in [`Executor::exits`](mimeo::executor::Executor::exits).
    pub index: u32,
    /// The position of the exit's uop in the trace.
    pub uop: u32,
    /// The uop's target: where the interpreter resumes.
    pub target: u32,
    /// The stack pointer, one past the top value.
    pub stack_pointer: *mut u64,
}

/// The signature of the compiled function: frame, stack pointer, thread state, where the stack pointer goes at the exit;
/// the exit's number.
type Entry = unsafe extern "C" fn(*mut u8, *mut u64, *mut ThreadState, *mut *mut u64) -> u64;

const ENTRY: &str = "mimeo_limit";

/// An exit of a trace: the position of its uop and the uop's target.
type Exit = (u32, u32);

/// A trace as one function of LLVM IR, not optimised.
pub struct TraceIr {
    // Fields are dropped in this order: what is in the context goes before it.
    module: Module<'static>,
    machine: TargetMachine,
    /// C functions by name, and their addresses.
    helpers: Vec<(String, usize)>,
    header: Box<Header>,
    exits: Box<[Exit]>,
    context: Box<Context>,
}

impl fmt::Debug for TraceIr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraceIr({} exits)", self.exits.len())
    }
}

/// What templates find at the executor's address; laid out as [`ExecutorHeader`].
#[repr(C)]
struct Header {
    valid: AtomicU64,
    id: AtomicU64,
}

const _: () = assert!(size_of::<Header>() == size_of::<ExecutorHeader>());

impl TraceIr {
    /// Builds the function of a trace, for frames of this shape. `set` has the templates of the trace's table, and
    /// `resolve` gives the addresses of symbols.
    ///
    /// # Errors
    /// The trace is wrong, a template or a symbol is missing, or the linked LLVM is not the one this build is for.
    pub fn build(
        set: &TemplateSet,
        trace: &Trace<'_>,
        shape: FrameShape,
        cpu: Cpu,
        resolve: &dyn Fn(&str) -> Option<usize>,
    ) -> Result<Self, LimitError> {
        target::check_version()?;
        trace.check(shape)?;
        let templates = templates(set, trace)?;
        stays_in_frame(&templates)?;
        let context = Box::new(Context::create());
        // SAFETY: the context is on the heap and does not move; whatever borrows it in `Self` and in `Limit` is a field
        // in front of it and so is dropped before it, and none of it is handed out.
        let borrowed: &'static Context = unsafe { &*std::ptr::from_ref::<Context>(&context) };
        let machine = target::machine()?;
        let module = borrowed.create_module(ENTRY);
        module.set_triple(&machine.get_triple());
        module.set_data_layout(&machine.get_target_data().get_data_layout());
        let header = Box::new(Header {
            valid: AtomicU64::new(1),
            id: AtomicU64::new(0),
        });
        let exits = exits(trace, &templates);
        let build = Build {
            set,
            trace,
            shape,
            templates: &templates,
            resolve,
            module: &module,
            builder: borrowed.create_builder(),
            word: borrowed.i64_type(),
            header: &raw const *header as u64,
            exits: &exits,
        };
        let externals = build.run(cpu)?;
        module.verify().map_err(|message| CompileError::InvalidIr {
            templates: set.name.clone(),
            message: message.to_string(),
        })?;
        let helpers = externals
            .functions()
            .map(|name| match resolve(name) {
                Some(address) => Ok((name.to_owned(), address)),
                None => Err(LimitError::MissingSymbol(name.to_owned())),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            module,
            machine,
            helpers,
            header,
            exits,
            context,
        })
    }

    /// The function as text.
    pub fn text(&self) -> String {
        self.module.print_to_string().to_string()
    }

    /// Optimises the function; not at [`Level::O0`].
    fn optimise(&self, level: Level) -> Result<(), LimitError> {
        let Some(pipeline) = level.pipeline() else {
            return Ok(());
        };
        let options = PassBuilderOptions::create();
        self.module
            .run_passes(pipeline, &self.machine, options)
            .map_err(|message| llvm("optimise a trace", &message))
    }

    /// Optimises the function, compiles it to machine code and loads that.
    ///
    /// # Errors
    /// LLVM fails.
    pub fn compile(self, level: Level) -> Result<Limit, LimitError> {
        self.optimise(level)?;
        // What was optimised away needs no address.
        let helpers: Vec<(FunctionValue<'static>, usize)> = self
            .helpers
            .iter()
            .filter_map(|(name, address)| Some((self.module.get_function(name)?, *address)))
            .collect();
        let code = LoadedCode::new(self.module, level.codegen(), &helpers)
            .map_err(|message| llvm("make a JIT compiler", &message))?;
        let address = code
            .address(ENTRY)
            .ok_or_else(|| llvm("compile a trace", &"the function has no address"))?;
        // SAFETY: it is the function that was built above, which has this signature.
        let entry = unsafe { std::mem::transmute::<usize, Entry>(address.get()) };
        Ok(Limit {
            entry,
            exits: self.exits,
            header: self.header,
            _code: code,
            _context: self.context,
        })
    }

    /// The bytes of machine code that [`compile`](Self::compile) makes of the function.
    ///
    /// # Errors
    /// LLVM fails.
    pub fn code_len(self, level: Level) -> Result<usize, LimitError> {
        self.optimise(level)?;
        self.machine_code(level)
    }

    fn machine_code(&self, level: Level) -> Result<usize, LimitError> {
        let machine = target::machine_at(level.codegen())?;
        let file = machine
            .write_to_memory_buffer(&self.module, FileType::Object)
            .map_err(|message| llvm("emit an object file", &message))?;
        let file = object::File::parse(file.as_slice())
            .map_err(|error| llvm("emit an object file", &error))?;
        let code = file
            .sections()
            .filter(|section| section.kind() == SectionKind::Text);
        Ok(code.map(|section| section.size() as usize).sum())
    }
}

fn llvm(stage: &'static str, message: &dyn fmt::Display) -> LimitError {
    LimitError::Compile(CompileError::Llvm {
        stage,
        message: message.to_string(),
    })
}

/// The template of each uop.
fn templates<'s>(set: &'s TemplateSet, trace: &Trace<'_>) -> Result<Vec<&'s Template>, LimitError> {
    let by_name: HashMap<&str, &Template> = set
        .templates
        .iter()
        .map(|template| (template.name(), template))
        .collect();
    let find = |(index, uop): (usize, &mimeo::trace::Uop)| {
        let name = trace.table().uop(uop.id).name;
        by_name
            .get(name)
            .copied()
            .ok_or_else(|| LimitError::MissingTemplate {
                index,
                name: name.to_owned(),
                set: set.name.clone(),
            })
    };
    trace.uops().iter().enumerate().map(find).collect()
}

/// No uop goes to another frame.
fn stays_in_frame(templates: &[&Template]) -> Result<(), LimitError> {
    let switches = |template: &&Template| template.flags().intersects(UopFlags::SWITCHES_FRAME);
    match templates.iter().position(switches) {
        None => Ok(()),
        Some(index) => Err(LimitError::OtherFrame {
            index,
            name: templates[index].name().to_owned(),
        }),
    }
}

/// The uops with an exit record, in the order in which the runtime numbers them.
fn exits(trace: &Trace<'_>, templates: &[&Template]) -> Box<[Exit]> {
    let uops = trace.uops().iter().zip(templates).enumerate();
    uops.filter(|(_, (_, template))| template.flags().contains(UopFlags::EXIT_RECORD))
        .map(|(index, (uop, _))| (index as u32, uop.target))
        .collect()
}

/// Building one trace's function.
struct Build<'a> {
    set: &'a TemplateSet,
    trace: &'a Trace<'a>,
    shape: FrameShape,
    templates: &'a [&'a Template],
    resolve: &'a dyn Fn(&str) -> Option<usize>,
    module: &'a Module<'static>,
    builder: Builder<'static>,
    word: IntType<'static>,
    header: u64,
    exits: &'a [Exit],
}

/// The places that hold what is in the frame while the function runs.
struct Places {
    /// The lowest slot of the stack.
    stack: PointerValue<'static>,
    /// The same in the caller's memory.
    memory: PointerValue<'static>,
    locals: Option<Vec<Option<PointerValue<'static>>>>,
}

impl Build<'_> {
    fn run(&self, cpu: Cpu) -> Result<Externals, LimitError> {
        let function = self.function(cpu);
        let context = self.module.get_context();
        let entry = context.append_basic_block(function, "entry");
        let blocks: Vec<BasicBlock<'static>> = self
            .templates
            .iter()
            .map(|template| context.append_basic_block(function, template.name()))
            .collect();
        let leave = context.append_basic_block(function, "leave");
        self.builder.position_at_end(entry);
        let places = self.enter(function).map_err(|error| self.wrong(0, error))?;
        self.builder
            .build_unconditional_branch(blocks[0])
            .map_err(|error| self.wrong(0, error.into()))?;
        self.builder.position_at_end(leave);
        let phi = || self.builder.build_phi(self.word, "");
        let (exit, depth) = phi()
            .and_then(|exit| Ok((exit, phi()?)))
            .map_err(|error| self.wrong(0, error.into()))?;
        let inlined = InlinedTrace {
            function,
            blocks,
            stack: places.stack,
            locals: places.locals,
            memory: self.unboxed().then_some(places.memory),
            leave,
            exit,
            depth,
            header: self.header,
            reached: RefCell::new(vec![None; self.templates.len()]),
            pending: RefCell::default(),
        };
        let externals = RefCell::default();
        inlined
            .reach(0, self.shape.entry_depth)
            .map_err(|error| self.wrong(0, error))?;
        let mut exit_of = vec![None; self.templates.len()];
        for (number, &(uop, _)) in self.exits.iter().enumerate() {
            exit_of[uop as usize] = Some(number as u32);
        }
        loop {
            let Some(index) = inlined.pending.borrow_mut().pop() else {
                break;
            };
            self.uop(index, exit_of[index], &inlined, &externals)
                .map_err(|error| self.wrong(index, error))?;
        }
        self.leave(&inlined, places.memory)
            .map_err(|error| self.wrong(0, error))?;
        Ok(externals.into_inner())
    }

    fn wrong(&self, index: usize, source: TemplateError) -> LimitError {
        LimitError::Compile(CompileError::Template {
            template: self.templates[index].name().to_owned(),
            source,
        })
    }

    /// Whether locals and stack can be anywhere.
    fn unboxed(&self) -> bool {
        self.set.registers == Registers::Operands
    }

    fn function(&self, cpu: Cpu) -> FunctionValue<'static> {
        let context = self.module.get_context();
        let pointer = context.ptr_type(Default::default());
        let signature = self.word.fn_type(&[pointer.into(); 4], false);
        let function = self
            .module
            .add_function(ENTRY, signature, Some(Linkage::External));
        let flag = |name, location| {
            let kind = Attribute::get_named_enum_kind_id(name);
            function.add_attribute(location, context.create_enum_attribute(kind, 0));
        };
        flag("nounwind", AttributeLoc::Function);
        flag("noalias", AttributeLoc::Param(3));
        if self.unboxed() {
            flag("noalias", AttributeLoc::Param(0));
            flag("noalias", AttributeLoc::Param(1));
        }
        let (name, features) = match cpu {
            Cpu::Baseline => (target::CPU.to_owned(), String::new()),
            Cpu::Host => (
                TargetMachine::get_host_cpu_name().to_string(),
                TargetMachine::get_host_cpu_features().to_string(),
            ),
        };
        for (key, value) in [
            ("target-cpu", name.as_str()),
            ("target-features", &features),
        ] {
            let attribute = context.create_string_attribute(key, value);
            function.add_attribute(AttributeLoc::Function, attribute);
        }
        function
    }

    fn parameter(&self, function: FunctionValue<'static>, index: u32) -> PointerValue<'static> {
        match function.get_nth_param(index) {
            Some(parameter) => parameter.into_pointer_value(),
            None => self
                .module
                .get_context()
                .ptr_type(Default::default())
                .get_poison(),
        }
    }

    fn slot(
        &self,
        pointer: PointerValue<'static>,
        index: i64,
    ) -> Result<PointerValue<'static>, TemplateError> {
        slot(
            &self.builder,
            pointer,
            self.word.const_int(index as u64, true),
        )
    }

    /// Copies a word.
    fn copy(
        &self,
        from: PointerValue<'static>,
        to: PointerValue<'static>,
    ) -> Result<(), TemplateError> {
        let value = self.builder.build_load(self.word, from, "")?;
        self.builder.build_store(to, value)?;
        Ok(())
    }

    /// The address of a local in the frame.
    fn frame_local(
        &self,
        function: FunctionValue<'static>,
        index: u32,
    ) -> Result<PointerValue<'static>, TemplateError> {
        // The layout gives bytes; locals are aligned to 8, as `slot` counts.
        let bytes = u64::from(self.set.frame.locals) + 8 * u64::from(index);
        let frame = self.parameter(function, 0);
        let offset = self.word.const_int(bytes, false);
        let byte = self.module.get_context().i8_type();
        // SAFETY: as in `TemplateBuilder::element`: one index into a scalar type.
        Ok(unsafe { self.builder.build_gep(byte, frame, &[offset], "")? })
    }

    /// Makes the places for locals and stack and fills them.
    fn enter(&self, function: FunctionValue<'static>) -> Result<Places, TemplateError> {
        let entry_depth = i64::from(self.shape.entry_depth);
        let memory = self.slot(self.parameter(function, 1), -entry_depth)?;
        if !self.unboxed() {
            return Ok(Places {
                stack: memory,
                memory,
                locals: None,
            });
        }
        let size = self.shape.stack.max(1);
        let stack = self
            .builder
            .build_alloca(self.word.array_type(size), "stack")?;
        let mut locals = vec![None; self.shape.locals as usize];
        for (index, named) in self.locals_named(|_| true).into_iter().enumerate() {
            if named {
                locals[index] = Some(self.builder.build_alloca(self.word, "local")?);
            }
        }
        for (index, place) in locals.iter().enumerate() {
            if let Some(place) = place {
                self.copy(self.frame_local(function, index as u32)?, *place)?;
            }
        }
        for index in 0..entry_depth {
            self.copy(self.slot(memory, index)?, self.slot(stack, index)?)?;
        }
        Ok(Places {
            stack,
            memory,
            locals: Some(locals),
        })
    }

    /// Which locals are named by uops with such flags.
    fn locals_named(&self, counts: impl Fn(UopFlags) -> bool) -> Vec<bool> {
        let mut named = vec![false; self.shape.locals as usize];
        for (uop, template) in self.trace.uops().iter().zip(self.templates) {
            if !counts(template.flags()) {
                continue;
            }
            if template.flags().contains(UopFlags::LOCAL) {
                named[uop.oparg as usize] = true;
            }
            named[..template.locals() as usize].fill(true);
        }
        named
    }

    fn uop(
        &self,
        index: usize,
        exit: Option<u32>,
        inlined: &InlinedTrace<'static>,
        externals: &RefCell<Externals>,
    ) -> Result<(), TemplateError> {
        let uop = &self.trace.uops()[index];
        let depth = inlined.reached.borrow()[index].unwrap_or_default();
        let place = |label: Option<Label>| self.trace.position(label?);
        let site = Site {
            trace: inlined,
            builder: &self.builder,
            resolve: self.resolve,
            index,
            oparg: uop.oparg,
            operand: uop.operand,
            operand1: uop.operand1,
            target: uop.target,
            exit,
            jump: place(uop.jump),
            error: place(uop.error),
            depth,
        };
        self.builder.position_at_end(inlined.blocks[index]);
        Unit::build_at(
            self.module,
            &self.builder,
            self.set,
            self.templates[index],
            externals,
            &site,
        )
    }

    /// Ends the function: writes locals back and returns. What nothing goes to is unreachable.
    fn leave(
        &self,
        inlined: &InlinedTrace<'static>,
        memory: PointerValue<'static>,
    ) -> Result<(), TemplateError> {
        for (block, reached) in inlined.blocks.iter().zip(inlined.reached.borrow().iter()) {
            if reached.is_none() {
                self.builder.position_at_end(*block);
                self.builder.build_unreachable()?;
            }
        }
        self.builder.position_at_end(inlined.leave);
        if inlined.exit.count_incoming() == 0 {
            // A loop without an end.
            inlined.exit.as_instruction().erase_from_basic_block();
            inlined.depth.as_instruction().erase_from_basic_block();
            self.builder.build_unreachable()?;
            return Ok(());
        }
        if let Some(locals) = &inlined.locals {
            let changed = self.locals_named(|flags| !flags.contains(UopFlags::LOADS_LOCAL));
            for (index, place) in locals.iter().enumerate() {
                if let Some(place) = place.filter(|_| changed[index]) {
                    self.copy(place, self.frame_local(inlined.function, index as u32)?)?;
                }
            }
        }
        let depth = inlined.depth.as_basic_value().into_int_value();
        let end = slot(&self.builder, memory, depth)?;
        self.builder
            .build_store(self.parameter(inlined.function, 3), end)?;
        self.builder
            .build_return(Some(&inlined.exit.as_basic_value()))?;
        Ok(())
    }
}

/// A trace that LLVM compiled as one function.
pub struct Limit {
    entry: Entry,
    exits: Box<[Exit]>,
    header: Box<Header>,
    // Dropped in this order; see `TraceIr`.
    _code: LoadedCode,
    _context: Box<Context>,
}

impl fmt::Debug for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Limit({} exits)", self.exits.len())
    }
}

impl Limit {
    /// Runs the trace until an exit.
    ///
    /// # Safety
    /// As [`Executor::run`](mimeo::executor::Executor::run), for the shape that the trace was built for; besides, no
    /// operand of an [`Operands`](Registers::Operands) set points into the frame or the stack.
    pub unsafe fn run(
        &self,
        frame: *mut u8,
        stack_pointer: *mut u64,
        thread: *mut ThreadState,
    ) -> LimitExit {
        let mut left = stack_pointer;
        // SAFETY: the caller promises what the templates expect, and the code lives as long as this value.
        let index = unsafe { (self.entry)(frame, stack_pointer, thread, &raw mut left) } as u32;
        let (uop, target) = self
            .exits
            .get(index as usize)
            .copied()
            .unwrap_or((u32::MAX, 0));
        LimitExit {
            index,
            uop,
            target,
            stack_pointer: left,
        }
    }

    /// Declares that the trace's assumptions no longer hold, as
    /// [`Executor::invalidate`](mimeo::executor::Executor::invalidate) does.
    pub fn invalidate(&self) {
        self.header.valid.store(0, Ordering::SeqCst);
    }
}
