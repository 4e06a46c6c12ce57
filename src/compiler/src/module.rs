//! Templates to one IR module: the functions, their signature and attributes, and the symbols that stand for holes.
//!
//! Every stencil is a function with one signature, because a `musttail` call needs caller and callee to agree. Each
//! function, hot or cold, gets a section of its own, so that the object file keeps every jump between them as a
//! relocation.
//!
//! A stencil is made from a [`Job`]: one template or several that run one after the other, and the form in which they
//! take their values. What a register carries on the way out decides what the code in between keeps: a stencil passes
//! on what others may rely on, and poison for the rest, so that nothing is saved for nobody.

use crate::builder::inline::Site;
use crate::builder::{Continuation, Facts, Mode, TemplateBuilder, VALUE_REGISTERS};
use crate::error::{CompileError, TemplateError};
use crate::forms::{Entry, Job};
use crate::symbol::HoleSymbol;
use crate::target::PRESERVE_NONE;
use crate::template::{FrameLayout, Helper, Registers, Template, TemplateSet, Type};
use inkwell::GlobalVisibility;
use inkwell::attributes::{Attribute, AttributeLoc};
use inkwell::builder::{Builder, BuilderError};
use inkwell::context::{Context, ContextRef};
use inkwell::intrinsics::Intrinsic;
use inkwell::llvm_sys::core::{
    LLVMContextSetDiagnosticHandler, LLVMDisposeMessage, LLVMGetConstOpcode,
    LLVMGetDiagInfoDescription, LLVMGetDiagInfoSeverity, LLVMGetGC, LLVMGetGEPSourceElementType,
    LLVMGetNumOperands, LLVMGetOperand, LLVMIsAConstantArray, LLVMIsAConstantExpr,
    LLVMIsAConstantStruct, LLVMIsAConstantVector,
};
use inkwell::llvm_sys::prelude::LLVMDiagnosticInfoRef;
use inkwell::llvm_sys::{LLVMDiagnosticSeverity, LLVMOpcode};
use inkwell::module::{FlagBehavior, Linkage, Module};
use inkwell::types::{BasicMetadataTypeEnum, BasicType, BasicTypeEnum, FunctionType};
use inkwell::values::{
    AnyValueEnum, AsValueRef as _, BasicMetadataValueEnum, BasicValue, BasicValueEnum,
    BasicValueUse, CallSiteValue, FunctionValue, GlobalValue, InstructionOpcode, InstructionValue,
    IntValue, LLVMTailCallKind, PointerValue,
};
use mimeo::form::{Class, Register};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, c_void};
use std::fmt;

/// The section of a stencil's hot code.
pub(crate) fn hot_section(stencil: &str) -> String {
    format!(".text.{stencil}")
}

/// The symbol of a stencil's hot code. No helper's name holds a dot, nor does a template's.
fn hot_symbol(stencil: &str) -> String {
    format!("{stencil}.hot")
}

/// The section of a stencil's cold function `index`.
pub(crate) fn cold_section(stencil: &str, index: usize) -> String {
    format!(".text.{}", cold_symbol(stencil, index))
}

/// The symbol of a stencil's cold function `index`.
pub(crate) fn cold_symbol(stencil: &str, index: usize) -> String {
    format!("{stencil}.cold{index}")
}

/// A module with the code of some templates, and what was learned while it was built.
pub(crate) struct BuiltModule<'ctx> {
    pub(crate) module: Module<'ctx>,
    /// In the order of the jobs. `None` where a template has no such form.
    pub(crate) facts: Vec<Option<Facts>>,
    pub(crate) externals: Externals,
}

/// What a template takes a symbol from outside for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum External {
    Data,
    Function(Helper),
}

impl fmt::Display for External {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data => f.write_str("data"),
            Self::Function(helper) => write!(f, "{helper}"),
        }
    }
}

/// The symbols from outside that templates use, each as what, and by which template first.
#[derive(Debug, Default)]
pub(crate) struct Externals(BTreeMap<String, (External, String)>);

impl Externals {
    /// # Errors
    /// A template, this one or another, uses the symbol as something else.
    fn declare(
        &mut self,
        name: &str,
        external: External,
        template: &str,
    ) -> Result<(), TemplateError> {
        let (known, first) = self
            .0
            .entry(name.to_owned())
            .or_insert_with(|| (external, template.to_owned()));
        if *known == external {
            return Ok(());
        }
        Err(TemplateError::Misuse(format!(
            "uses {name} as {external}, but {first} uses it as {known}"
        )))
    }

    /// The functions' names.
    pub(crate) fn functions(&self) -> impl Iterator<Item = &str> {
        let symbols = self.0.iter();
        let functions = symbols.filter(|(_, (kind, _))| matches!(kind, External::Function(_)));
        functions.map(|(name, _)| name.as_str())
    }

    /// Adds another module's symbols.
    ///
    /// # Errors
    /// The modules use a symbol differently.
    pub(crate) fn merge(&mut self, other: Self) -> Result<(), CompileError> {
        for (name, (external, template)) in other.0 {
            self.declare(&name, external, &template)
                .map_err(|source| CompileError::Template { template, source })?;
        }
        Ok(())
    }
}

/// The functions of a template that get one more word of stack than their code needs, because they would otherwise call
/// C with rsp at 8 mod 16: 0 is the hot code, `n + 1` is cold function `n`.
pub(crate) type Padded = BTreeSet<usize>;

impl Externals {
    /// The names, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }
}

/// Builds one module; `padded` applies to every stencil in it.
///
/// # Errors
/// A template is wrong, or the IR it built is not valid.
pub(crate) fn build_module<'ctx>(
    context: &'ctx Context,
    set: &TemplateSet,
    jobs: &[Job<'_>],
    padded: &Padded,
    mode: Mode<'_>,
) -> Result<BuiltModule<'ctx>, CompileError> {
    let module = context.create_module(&set.name);
    // Stencils are entered with rsp at 0 mod 16, not at 8 as after a call: told that the stack is aligned to 8 only,
    // LLVM does not adjust it before calls.
    let alignment = context.i32_type().const_int(8, false);
    module.add_basic_value_flag("override-stack-alignment", FlagBehavior::Error, alignment);
    let builder = context.create_builder();
    let mut facts = Vec::with_capacity(jobs.len());
    let externals = RefCell::default();
    for job in jobs {
        facts.push(build_stencil(
            &module, &builder, set, job, mode, &externals, padded,
        )?);
    }
    module.verify().map_err(|message| CompileError::InvalidIr {
        templates: invalid_function(&module).unwrap_or_else(|| set.name.clone()),
        message: message.to_string(),
    })?;
    Ok(BuiltModule {
        module,
        facts,
        externals: externals.into_inner(),
    })
}

/// Builds a job's templates one after the other into one function. `None` is a variant that they do not have.
fn build_stencil<'ctx>(
    module: &Module<'ctx>,
    builder: &Builder<'ctx>,
    set: &TemplateSet,
    job: &Job<'_>,
    mode: Mode<'_>,
    externals: &RefCell<Externals>,
    padded: &Padded,
) -> Result<Option<Facts>, CompileError> {
    let mut facts = Facts::default();
    if let Entry::Slots { registers_out, .. } = job.entry {
        facts.registers_out = registers_out;
    }
    let mut cold_functions = 0;
    let mut from = None;
    for (element, template) in job.templates.iter().enumerate() {
        let unit = Unit {
            module,
            builder,
            template,
            job,
            element: element as u8,
            frame: set.frame,
            mode,
            registers: match mode.is_interpreter() {
                // Handlers keep nothing in registers.
                true => Registers::None,
                false => set.registers,
            },
            externals,
            facts: RefCell::new(std::mem::take(&mut facts)),
            cold_functions: Cell::new(cold_functions),
            continuation: RefCell::default(),
            reads: RefCell::default(),
            site: None,
        };
        let built = match from {
            None => unit.build_first(),
            Some(from) => unit.build_next(from),
        };
        let built = built.and_then(|()| match element + 1 == job.templates.len() {
            true => unit.finish(padded),
            false => Ok(()),
        });
        match built {
            Ok(()) => {}
            // Its base form is right: it is only that it cannot be had in this one.
            Err(TemplateError::Misuse(_)) if job.entry != Entry::Base => {
                unit.abandon()?;
                return Ok(None);
            }
            Err(source) => {
                return Err(CompileError::Template {
                    template: template.name().to_owned(),
                    source,
                });
            }
        }
        from = unit.continuation.take();
        cold_functions = unit.cold_functions.get();
        facts = unit.facts.into_inner();
    }
    Ok((!job.is_base_again(facts.registers_out)).then_some(facts))
}

/// The first template with a function that is not valid by itself.
fn invalid_function(module: &Module<'_>) -> Option<String> {
    let wrong = module
        .get_functions()
        .find(|function| !function.verify(false))?;
    let name = wrong.get_name().to_string_lossy().into_owned();
    Some(name.split('.').next().unwrap_or_default().to_owned())
}

/// What a stencil function hands to another, besides values.
#[derive(Clone, Copy)]
pub(crate) struct State<'ctx> {
    /// The function that hands it over, which passes on what it was given itself.
    pub(crate) caller: FunctionValue<'ctx>,
    pub(crate) frame: PointerValue<'ctx>,
    pub(crate) stack: PointerValue<'ctx>,
}

/// One template while it is built, with the stencil and the module around it.
pub(crate) struct Unit<'t, 'ctx> {
    module: &'t Module<'ctx>,
    builder: &'t Builder<'ctx>,
    template: &'t Template,
    job: &'t Job<'t>,
    /// Which of the job's templates it is.
    element: u8,
    frame: FrameLayout,
    mode: Mode<'t>,
    registers: Registers,
    externals: &'t RefCell<Externals>,
    facts: RefCell<Facts>,
    cold_functions: Cell<usize>,
    /// Where the next of the job's templates starts.
    continuation: RefCell<Option<Continuation<'ctx>>>,
    /// What the base form reads of the stack it is entered with, by depth below the top.
    reads: RefCell<Vec<(usize, IntValue<'ctx>)>>,
    /// Where the code goes in a trace that is one function; `None` for stencils.
    site: Option<&'t Site<'t, 'ctx>>,
}

impl<'t, 'ctx> Unit<'t, 'ctx> {
    /// Builds the first of a job's templates.
    fn build_first(&self) -> Result<(), TemplateError> {
        self.template.check(self.frame, self.registers)?;
        let name = &self.job.name;
        let function = self.stencil_function(&hot_symbol(name), &hot_section(name));
        let entry = self.context().append_basic_block(function, "");
        self.builder.position_at_end(entry);
        self.template
            .build(TemplateBuilder::start(self, function)?)?;
        Ok(())
    }

    /// Builds another one where the one before it continues.
    fn build_next(&self, from: Continuation<'ctx>) -> Result<(), TemplateError> {
        self.template.build(TemplateBuilder::go_on(self, from))?;
        Ok(())
    }

    /// What there is to do when all templates are built.
    fn finish(&self, padded: &Padded) -> Result<(), TemplateError> {
        for &index in padded {
            let function = match index.checked_sub(1) {
                None => self.hot_function(),
                Some(cold) => self.cold_function_at(cold),
            };
            if let Some(function) = function {
                pad_frame(self.context(), self.builder, function, 1)?;
            }
        }
        self.check_cold_paths()?;
        let mut facts = self.facts.borrow_mut();
        if self.is_base() {
            facts.check(self.template)?;
            facts.calls = self.has_calls();
            self.find_masks(&mut facts);
        }
        Ok(())
    }

    fn hot_function(&self) -> Option<FunctionValue<'ctx>> {
        self.module.get_function(&hot_symbol(&self.job.name))
    }

    fn cold_function_at(&self, index: usize) -> Option<FunctionValue<'ctx>> {
        self.module
            .get_function(&cold_symbol(&self.job.name, index))
    }

    fn functions(&self) -> impl Iterator<Item = FunctionValue<'ctx>> {
        let cold = (0..self.cold_functions.get()).filter_map(|index| self.cold_function_at(index));
        self.hot_function().into_iter().chain(cold)
    }

    /// Makes what was built so far valid, for nobody to use.
    fn abandon(&self) -> Result<(), CompileError> {
        for block in self
            .functions()
            .flat_map(|function| function.get_basic_blocks())
        {
            if block.get_terminator().is_none() {
                self.builder.position_at_end(block);
                self.builder
                    .build_unreachable()
                    .map_err(|source| CompileError::Template {
                        template: self.template.name().to_owned(),
                        source: source.into(),
                    })?;
            }
        }
        Ok(())
    }

    /// Whether the code calls anything besides other stencils.
    fn has_calls(&self) -> bool {
        let blocks = self
            .functions()
            .flat_map(|function| function.get_basic_blocks());
        blocks
            .flat_map(|block| block.get_instructions())
            .filter_map(|instruction| CallSiteValue::try_from(instruction).ok())
            .filter(|call| call.get_call_convention() != PRESERVE_NONE)
            .any(|call| match call.get_called_fn_value() {
                Some(function) => !function.get_name().to_bytes().starts_with(b"llvm."),
                // A call of an address, unless it is of inline assembly, which no instruction computes.
                None => {
                    let instruction: Option<InstructionValue<'ctx>> =
                        call.try_as_basic_value().instruction();
                    let instruction = instruction.or_else(|| {
                        call.try_as_basic_value()
                            .basic()
                            .and_then(|value| value.as_instruction_value())
                    });
                    let callee = instruction.and_then(|instruction| {
                        let last = instruction.get_num_operands().checked_sub(1)?;
                        instruction.get_operand(last)?.value()
                    });
                    callee.is_some_and(|callee| callee.as_instruction_value().is_some())
                }
            })
    }

    fn check_cold_paths(&self) -> Result<(), TemplateError> {
        let unused = (0..self.cold_functions.get())
            .filter_map(|index| self.cold_function_at(index))
            .filter(|function| {
                let address = function.as_global_value().as_pointer_value();
                address.get_first_use().is_none()
            })
            .count();
        match unused {
            0 => Ok(()),
            _ => Err(TemplateError::Misuse(format!(
                "builds cold paths that nothing goes to: {unused}"
            ))),
        }
    }

    /// Builds the template's code into the function of a trace, from the block on that `builder` is positioned at.
    pub(crate) fn build_at(
        module: &Module<'ctx>,
        builder: &Builder<'ctx>,
        set: &TemplateSet,
        template: &Template,
        externals: &RefCell<Externals>,
        site: &Site<'_, 'ctx>,
    ) -> Result<(), TemplateError> {
        let job = Job::base(template);
        let unit = Unit {
            module,
            builder,
            template,
            job: &job,
            element: 0,
            frame: set.frame,
            mode: Mode::Stencils,
            // Nothing is in a register that LLVM has not chosen.
            registers: Registers::None,
            externals,
            facts: RefCell::default(),
            cold_functions: Cell::new(0),
            continuation: RefCell::default(),
            reads: RefCell::default(),
            site: Some(site),
        };
        template.build(TemplateBuilder::start(&unit, site.function())?)?;
        Ok(())
    }

    pub(crate) fn site(&self) -> Option<&'t Site<'t, 'ctx>> {
        self.site
    }

    pub(crate) fn ir(&self) -> &'t Builder<'ctx> {
        self.builder
    }

    pub(crate) fn context(&self) -> ContextRef<'ctx> {
        self.module.get_context()
    }

    pub(crate) fn template(&self) -> &'t Template {
        self.template
    }

    pub(crate) fn mode(&self) -> Mode<'t> {
        self.mode
    }

    /// Whether this is the base form, with all values in memory.
    pub(crate) fn is_base(&self) -> bool {
        self.job.entry == Entry::Base
    }

    /// The form.
    pub(crate) fn entry(&self) -> &'t Entry {
        &self.job.entry
    }

    /// Which of the fused templates this is.
    pub(crate) fn element(&self) -> u8 {
        self.element
    }

    /// Whether what continues goes on with another of the fused templates.
    pub(crate) fn is_followed(&self) -> bool {
        usize::from(self.element) + 1 < self.job.templates.len()
    }

    /// The registers that the set's stencils may keep values in.
    pub(crate) fn registers(&self) -> Registers {
        self.registers
    }

    /// Notes that a value is read which stands at `place`, from the stack's top at entry.
    pub(crate) fn note_read(&self, place: Option<i32>, kind: Type, value: BasicValueEnum<'ctx>) {
        let depth = place.and_then(|place| usize::try_from(-1 - place).ok());
        let (true, Some(depth)) = (self.is_base(), depth) else {
            return;
        };
        let class = match kind {
            Type::F64 => Class::Float,
            Type::Pointer | Type::I64 | Type::I32 => Class::General,
        };
        self.note(|facts| facts.note_read(depth, class));
        if let (Type::I64, BasicValueEnum::IntValue(value)) = (kind, value) {
            self.reads.borrow_mut().push((depth, value));
        }
    }

    /// Finds the values of which only the low bits count, as shift counts do.
    fn find_masks(&self, facts: &mut Facts) {
        for (depth, value) in self.reads.borrow().iter() {
            if let Some(input) = facts.inputs.get_mut(*depth) {
                // A value that is read twice is not looked at: no shift is.
                let again = input.mask_bits.is_some();
                input.mask_bits = mask_of(*value).filter(|_| !again);
            }
        }
    }

    /// Leaves the next template the place where it starts.
    ///
    /// # Errors
    /// There is one already.
    pub(crate) fn continue_at(
        &self,
        continuation: Continuation<'ctx>,
    ) -> Result<(), TemplateError> {
        match self.continuation.replace(Some(continuation)) {
            None => Ok(()),
            Some(_) => Err(TemplateError::Misuse(
                "continues in more than one place, so that nothing can be fused behind it".into(),
            )),
        }
    }

    pub(crate) fn frame_layout(&self) -> FrameLayout {
        self.frame
    }

    pub(crate) fn note<T>(&self, update: impl FnOnce(&mut Facts) -> T) -> T {
        update(&mut self.facts.borrow_mut())
    }

    pub(crate) fn llvm_type(&self, kind: Type) -> BasicTypeEnum<'ctx> {
        match kind {
            Type::Pointer => self.context().ptr_type(Default::default()).into(),
            Type::I64 => self.context().i64_type().into(),
            Type::I32 => self.context().i32_type().into(),
            Type::F64 => self.context().f64_type().into(),
        }
    }

    // ---- Functions ---------------------------------------------------------------------------------------------

    /// The registers that stencils have for values.
    fn value_registers(&self) -> impl Iterator<Item = Register> + use<> {
        let count = match self.registers {
            Registers::None => VALUE_REGISTERS as u8,
            Registers::Slots => Register::PER_CLASS,
            Registers::Operands => Register::COUNT,
        };
        Register::all().take(count.into())
    }

    /// The type that a register has in the signature.
    fn register_type(&self, register: Register) -> BasicTypeEnum<'ctx> {
        match register.class() {
            Class::General => self.context().i64_type().into(),
            Class::Float => self.context().f64_type().into(),
        }
    }

    /// frame, stack pointer, thread state, and the values that travel in registers.
    pub(crate) fn signature(&self) -> FunctionType<'ctx> {
        let pointer: BasicMetadataTypeEnum<'ctx> =
            self.context().ptr_type(Default::default()).into();
        let mut parameters = vec![pointer; self.mode.first_value()];
        parameters.extend(
            self.value_registers()
                .map(|register| BasicMetadataTypeEnum::from(self.register_type(register))),
        );
        self.context().void_type().fn_type(&parameters, false)
    }

    fn stencil_function(&self, name: &str, section: &str) -> FunctionValue<'ctx> {
        let function = self
            .module
            .add_function(name, self.signature(), Some(Linkage::External));
        function.set_call_conventions(PRESERVE_NONE);
        function.set_section(Some(section));
        self.add_attributes(function, &["optsize", "nounwind", "noredzone"]);
        // Jump tables would be data with relocations into the code.
        for (key, value) in [
            ("no-jump-tables", "true"),
            ("frame-pointer", "none"),
            ("no-builtins", ""),
        ] {
            function.add_attribute(
                AttributeLoc::Function,
                self.context().create_string_attribute(key, value),
            );
        }
        function
    }

    /// A new function for code of this template that is out of line.
    pub(crate) fn cold_function(&self) -> FunctionValue<'ctx> {
        let index = self.cold_functions.get();
        self.cold_functions.set(index + 1);
        let name = &self.job.name;
        let function = self.stencil_function(&cold_symbol(name, index), &cold_section(name, index));
        self.add_attributes(function, &["noinline", "cold"]);
        function
    }

    fn add_attributes(&self, function: FunctionValue<'ctx>, names: &[&str]) {
        for name in names {
            let kind = Attribute::get_named_enum_kind_id(name);
            let attribute = self.context().create_enum_attribute(kind, 0);
            function.add_attribute(AttributeLoc::Function, attribute);
        }
    }

    fn pointer_parameter(&self, function: FunctionValue<'ctx>, index: u32) -> PointerValue<'ctx> {
        match function.get_nth_param(index) {
            Some(parameter) => parameter.into_pointer_value(),
            None => self.context().ptr_type(Default::default()).get_poison(),
        }
    }

    pub(crate) fn frame_parameter(&self, function: FunctionValue<'ctx>) -> PointerValue<'ctx> {
        self.pointer_parameter(function, 0)
    }

    pub(crate) fn stack_parameter(&self, function: FunctionValue<'ctx>) -> PointerValue<'ctx> {
        if let Some(site) = self.site {
            return site.stack_pointer();
        }
        self.pointer_parameter(function, 1)
    }

    pub(crate) fn thread_parameter(&self, function: FunctionValue<'ctx>) -> PointerValue<'ctx> {
        self.pointer_parameter(function, 2)
    }

    /// The address of the uop's instruction record, in a handler.
    pub(crate) fn record_parameter(&self, function: FunctionValue<'ctx>) -> PointerValue<'ctx> {
        self.pointer_parameter(function, 3)
    }

    /// What a register holds at the function's entry.
    pub(crate) fn register_parameter(
        &self,
        function: FunctionValue<'ctx>,
        register: Register,
    ) -> BasicValueEnum<'ctx> {
        function
            .get_nth_param(self.mode.first_value() as u32 + u32::from(register.as_u8()))
            .unwrap_or_else(|| poison(self.register_type(register)))
    }

    /// Whether stencils rely on what the register held before.
    fn passes_on(&self, register: Register) -> bool {
        match (self.registers, &self.job.entry) {
            (Registers::Operands, Entry::Operands { .. }) => true,
            // The others are dead where a base form starts.
            (Registers::Operands, _) => usize::from(register.index()) >= VALUE_REGISTERS,
            (Registers::None | Registers::Slots, _) => false,
        }
    }

    // ---- Tail calls --------------------------------------------------------------------------------------------

    /// Ends the block with a tail call of `callee`, another stencil function.
    pub(crate) fn tail_call(
        &self,
        callee: FunctionValue<'ctx>,
        state: State<'ctx>,
        values: &[(Register, BasicValueEnum<'ctx>)],
    ) -> Result<(), TemplateError> {
        let call = self
            .builder
            .build_call(callee, &self.arguments(state, values), "")?;
        self.finish_tail_call(call)
    }

    /// Ends the block with a tail call of the stencil function at an address.
    pub(crate) fn tail_call_indirect(
        &self,
        callee: PointerValue<'ctx>,
        state: State<'ctx>,
        values: &[(Register, BasicValueEnum<'ctx>)],
    ) -> Result<(), TemplateError> {
        let arguments = self.arguments(state, values);
        let call = self
            .builder
            .build_indirect_call(self.signature(), callee, &arguments, "")?;
        self.finish_tail_call(call)
    }

    pub(crate) fn finish_tail_call(&self, call: CallSiteValue<'ctx>) -> Result<(), TemplateError> {
        call.set_call_convention(PRESERVE_NONE);
        call.set_tail_call_kind(LLVMTailCallKind::LLVMTailCallKindMustTail);
        self.builder.build_return(None)?;
        Ok(())
    }

    /// What a stencil function hands to another: `values` in these registers, what it must pass on in others.
    pub(crate) fn arguments(
        &self,
        state: State<'ctx>,
        values: &[(Register, BasicValueEnum<'ctx>)],
    ) -> Vec<BasicMetadataValueEnum<'ctx>> {
        let State {
            caller,
            frame,
            stack,
        } = state;
        let mut arguments: Vec<BasicMetadataValueEnum<'ctx>> = vec![
            frame.into(),
            stack.into(),
            self.thread_parameter(caller).into(),
        ];
        if self.mode.is_interpreter() {
            arguments.push(self.record_parameter(caller).into());
        }
        arguments.extend(self.value_registers().map(|register| {
            let value = values.iter().find(|(given, _)| *given == register);
            let argument = match value {
                Some((_, value)) => *value,
                None if self.passes_on(register) => self.register_parameter(caller, register),
                // A register that carries nothing costs nothing.
                None => poison(self.register_type(register)),
            };
            BasicMetadataValueEnum::from(argument)
        }));
        arguments
    }

    // ---- Symbols -----------------------------------------------------------------------------------------------

    /// The address that stands for a hole.
    pub(crate) fn hole_address(&self, symbol: HoleSymbol) -> PointerValue<'ctx> {
        let name = symbol.to_string();
        if let Some(global) = self.module.get_global(&name) {
            return global.as_pointer_value();
        }
        let global = self.add_external_data(&name);
        if symbol.bits < 64 {
            // LLVM may choose any field that the largest value fits.
            let kind = self.context().get_kind_id("absolute_symbol");
            let limit = (symbol.max() << symbol.shift) + (1 << symbol.shift);
            let i64_type = self.context().i64_type();
            let range = [
                i64_type.const_int(symbol.min() as u64, true).into(),
                i64_type.const_int(limit, false).into(),
            ];
            global.set_metadata(self.context().metadata_node(&range), kind);
        }
        global.as_pointer_value()
    }

    /// The stencil function that stands for a hole that is jumped to.
    pub(crate) fn control_hole(&self, symbol: HoleSymbol) -> FunctionValue<'ctx> {
        let name = symbol.to_string();
        self.module.get_function(&name).unwrap_or_else(|| {
            let function =
                self.module
                    .add_function(&name, self.signature(), Some(Linkage::External));
            function.set_call_conventions(PRESERVE_NONE);
            function
        })
    }

    /// The address of somebody's data.
    ///
    /// # Errors
    /// The symbol is used as a function.
    pub(crate) fn external_address(&self, name: &str) -> Result<PointerValue<'ctx>, TemplateError> {
        self.declare(name, External::Data)?;
        let existing = self.module.get_global(name);
        Ok(existing
            .unwrap_or_else(|| self.add_external_data(name))
            .as_pointer_value())
    }

    pub(crate) fn declare(&self, name: &str, external: External) -> Result<(), TemplateError> {
        let template = self.template.name();
        self.externals
            .borrow_mut()
            .declare(name, external, template)
    }

    fn add_external_data(&self, name: &str) -> GlobalValue<'ctx> {
        let global = self.module.add_global(self.context().i8_type(), None, name);
        // Hidden means that it is reached without a global offset table.
        global.set_visibility(GlobalVisibility::Hidden);
        global
    }

    /// A C function, declared once.
    ///
    /// # Errors
    /// It is used with another signature, or as data.
    pub(crate) fn helper(&self, helper: &Helper) -> Result<FunctionValue<'ctx>, TemplateError> {
        self.declare(helper.name, External::Function(*helper))?;
        if let Some(function) = self.module.get_function(helper.name) {
            return Ok(function);
        }
        let signature = self.helper_type(helper);
        let linkage = Some(Linkage::External);
        let function = self.module.add_function(helper.name, signature, linkage);
        self.add_attributes(function, &["nounwind"]);
        Ok(function)
    }

    /// The type of a C function.
    pub(crate) fn helper_type(&self, helper: &Helper) -> FunctionType<'ctx> {
        let arguments: Vec<BasicMetadataTypeEnum<'ctx>> = helper
            .arguments
            .iter()
            .map(|&kind| self.llvm_type(kind).into())
            .collect();
        match helper.result {
            Some(kind) => self.llvm_type(kind).fn_type(&arguments, false),
            None => self.context().void_type().fn_type(&arguments, false),
        }
    }

    /// One of LLVM's own functions, for this type.
    pub(crate) fn intrinsic(
        &self,
        name: &str,
        kinds: &[BasicTypeEnum<'ctx>],
    ) -> Option<FunctionValue<'ctx>> {
        Intrinsic::find(name)?.get_declaration(self.module, kinds)
    }

    // ---- Shape -------------------------------------------------------------------------------------------------

    /// Tells LLVM that a branch's first way is hardly ever taken.
    pub(crate) fn mark_rare(&self, branch: InstructionValue<'ctx>) {
        let weight = |value| self.context().i32_type().const_int(value, false).into();
        let tag = self.context().metadata_string("branch_weights").into();
        let weights = self
            .context()
            .metadata_node(&[tag, weight(1), weight(2000)]);
        // The only failure is an instruction of another function.
        let _ = branch.set_metadata(weights, self.context().get_kind_id("prof"));
    }
}

/// The address so many bytes beyond another.
#[expect(
    unsafe_code,
    reason = "inkwell holds every address computation for unsafe, whatever becomes of it"
)]
pub(crate) fn address_beyond<'ctx>(
    context: ContextRef<'ctx>,
    builder: &Builder<'ctx>,
    base: PointerValue<'ctx>,
    distance: IntValue<'ctx>,
) -> Result<PointerValue<'ctx>, BuilderError> {
    // SAFETY: this builds an instruction of valid operands, whose result is not promised to lie inside anything.
    unsafe { builder.build_gep(context.i8_type(), base, &[distance], "") }
}

/// What a constant is made of.
pub(crate) struct Compound<'ctx> {
    /// What computes it; `None` for a vector, structure or array of its parts.
    pub(crate) operation: Option<LLVMOpcode>,
    /// What it is computed from, or its elements.
    pub(crate) parts: Vec<BasicValueEnum<'ctx>>,
}

/// What a constant is made of, if of other constants.
#[expect(unsafe_code, reason = "inkwell does not look into constants")]
pub(crate) fn compound<'ctx>(constant: BasicValueEnum<'ctx>) -> Option<Compound<'ctx>> {
    let value = constant.as_value_ref();
    // SAFETY: the value is alive, and is asked only for what a constant of its kind has. Its parts live as long as its context.
    unsafe {
        let is_expression = !LLVMIsAConstantExpr(value).is_null();
        let is_aggregate = !LLVMIsAConstantVector(value).is_null()
            || !LLVMIsAConstantStruct(value).is_null()
            || !LLVMIsAConstantArray(value).is_null();
        if !is_expression && !is_aggregate {
            return None;
        }
        let count = u32::try_from(LLVMGetNumOperands(value)).unwrap_or_default();
        Some(Compound {
            operation: is_expression.then(|| LLVMGetConstOpcode(value)),
            parts: (0..count)
                .map(|index| BasicValueEnum::new(LLVMGetOperand(value, index)))
                .collect(),
        })
    }
}

/// The address that a constant computes from others, computed from these instead.
#[expect(
    unsafe_code,
    reason = "inkwell does not look into constants, and holds every address computation for unsafe"
)]
pub(crate) fn same_part<'ctx>(
    builder: &Builder<'ctx>,
    constant: PointerValue<'ctx>,
    base: PointerValue<'ctx>,
    indices: &[IntValue<'ctx>],
) -> Result<PointerValue<'ctx>, BuilderError> {
    // SAFETY: the constant computes an address, of something that has a type; the instruction has operands like its own.
    unsafe {
        let kind = BasicTypeEnum::new(LLVMGetGEPSourceElementType(constant.as_value_ref()));
        builder.build_gep(kind, base, indices, "")
    }
}

/// The garbage collector that a function was written for.
#[expect(unsafe_code, reason = "inkwell takes it for granted that there is one")]
pub(crate) fn collector(function: FunctionValue<'_>) -> Option<String> {
    // SAFETY: the function is alive; what LLVM gives is null or a string that is copied right away.
    unsafe {
        let name = LLVMGetGC(function.as_value_ref());
        (!name.is_null()).then(|| CStr::from_ptr(name).to_string_lossy().into_owned())
    }
}

/// Lets LLVM work, and returns what errors it reports meanwhile. Without somebody to report to, it ends the process.
#[expect(unsafe_code, reason = "inkwell keeps diagnostics to itself")]
pub(crate) fn diagnosed<T>(context: ContextRef<'_>, work: impl FnOnce() -> T) -> (T, Vec<String>) {
    extern "C" fn note(report: LLVMDiagnosticInfoRef, place: *mut c_void) {
        // SAFETY: LLVM gives a report that is alive, and the place that it was given below. The text is this function's.
        unsafe {
            if matches!(
                LLVMGetDiagInfoSeverity(report),
                LLVMDiagnosticSeverity::LLVMDSError
            ) {
                let text = LLVMGetDiagInfoDescription(report);
                let message = CStr::from_ptr(text).to_string_lossy().trim().to_owned();
                LLVMDisposeMessage(text);
                (*place.cast::<RefCell<Vec<String>>>())
                    .borrow_mut()
                    .push(message);
            }
        }
    }
    let messages = RefCell::new(Vec::new());
    let place = (&raw const messages).cast_mut().cast::<c_void>();
    // SAFETY: the context is alive, and LLVM forgets the place before it is gone.
    unsafe { LLVMContextSetDiagnosticHandler(context.raw(), Some(note), place) };
    let result = work();
    // SAFETY: the context is alive.
    unsafe { LLVMContextSetDiagnosticHandler(context.raw(), None, std::ptr::null_mut()) };
    (result, messages.into_inner())
}

/// One instruction of assembly, or none, with an address as its operand: `%1` in the constraints' terms.
pub(crate) fn assemble<'ctx>(
    context: ContextRef<'ctx>,
    builder: &Builder<'ctx>,
    result: BasicTypeEnum<'ctx>,
    text: &str,
    constraints: &str,
    operand: PointerValue<'ctx>,
) -> Result<Option<BasicValueEnum<'ctx>>, BuilderError> {
    let pointer = context.ptr_type(Default::default());
    let signature = result.fn_type(&[pointer.into()], false);
    let (text, constraints) = (text.to_owned(), constraints.to_owned());
    let assembly =
        context.create_inline_asm(signature, text, constraints, false, false, None, false);
    let call = builder.build_indirect_call(signature, assembly, &[operand.into()], "")?;
    Ok(call.try_as_basic_value().basic())
}

/// Gives a function words of stack that nothing can remove.
pub(crate) fn pad_frame<'ctx>(
    context: ContextRef<'ctx>,
    builder: &Builder<'ctx>,
    function: FunctionValue<'ctx>,
    words: u32,
) -> Result<(), BuilderError> {
    let Some(entry) = function.get_first_basic_block() else {
        return Ok(());
    };
    match entry.get_first_instruction() {
        Some(first) => builder.position_before(&first),
        None => builder.position_at_end(entry),
    }
    let word = builder
        .build_alloca(context.i64_type().array_type(words), "pad")?
        .as_basic_value_enum();
    let pointer = context.ptr_type(Default::default());
    let signature = context.void_type().fn_type(&[pointer.into()], false);
    // An operand in memory: the word must exist, but no instruction touches it.
    let keep = context.create_inline_asm(
        signature,
        String::new(),
        "*m".to_owned(),
        true,
        false,
        None,
        false,
    );
    let call = builder.build_indirect_call(signature, keep, &[word.into()], "")?;
    let element = Attribute::get_named_enum_kind_id("elementtype");
    let element =
        context.create_type_attribute(element, context.i64_type().array_type(words).into());
    call.add_attribute(AttributeLoc::Param(0), element);
    Ok(())
}

fn poison(kind: BasicTypeEnum<'_>) -> BasicValueEnum<'_> {
    match kind {
        BasicTypeEnum::FloatType(kind) => kind.get_poison().into(),
        BasicTypeEnum::PointerType(kind) => kind.get_poison().into(),
        BasicTypeEnum::IntType(kind) => kind.get_poison().into(),
        other => other.const_zero(),
    }
}

/// The number of low bits that every use of the value takes alone.
fn mask_of(value: IntValue<'_>) -> Option<u8> {
    let mut uses = std::iter::successors(value.get_first_use(), |found| found.get_next_use());
    let first = mask_in(uses.next()?)?;
    uses.all(|found| mask_in(found) == Some(first))
        .then_some(first)
}

fn mask_in(found: BasicValueUse<'_>) -> Option<u8> {
    let AnyValueEnum::IntValue(user) = found.get_user() else {
        return None;
    };
    let user = user.as_instruction_value()?;
    if is_rotation(user) {
        // It takes its count modulo the width.
        let count = user.get_operand(2)?.value()?;
        return (count == found.get_used_value().value()?).then_some(6);
    }
    if user.get_opcode() != InstructionOpcode::And {
        return None;
    }
    let mask = (0..2).find_map(|index| match user.get_operand(index)?.value()? {
        BasicValueEnum::IntValue(value) => value.get_zero_extended_constant(),
        _ => None,
    })?;
    let bits = mask.trailing_ones() as u8;
    ((1..32).contains(&bits) && mask == (1 << bits) - 1).then_some(bits)
}

fn is_rotation(user: InstructionValue<'_>) -> bool {
    let function = CallSiteValue::try_from(user)
        .ok()
        .and_then(|call| call.get_called_fn_value());
    function.is_some_and(|function| {
        let name = function.get_name().to_bytes();
        name == b"llvm.fshl.i64" || name == b"llvm.fshr.i64"
    })
}
