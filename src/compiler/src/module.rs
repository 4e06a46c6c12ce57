//! Templates to one IR module: the functions, their signature and attributes, and the symbols that stand for holes.
//!
//! Every stencil is a function with one signature, because a `musttail` call needs caller and callee to agree. Each
//! function, hot or cold, gets a section of its own, so that the object file keeps every jump between them as a
//! relocation.

use crate::builder::{Facts, Mode, TemplateBuilder, VALUE_REGISTERS};
use crate::error::{CompileError, TemplateError};
use crate::symbol::HoleSymbol;
use crate::target::PRESERVE_NONE;
use crate::template::{FrameLayout, Helper, Template, TemplateSet, Type};
use inkwell::GlobalVisibility;
use inkwell::attributes::{Attribute, AttributeLoc};
use inkwell::builder::Builder;
use inkwell::context::{Context, ContextRef};
use inkwell::intrinsics::Intrinsic;
use inkwell::module::{FlagBehavior, Linkage, Module};
use inkwell::types::{BasicMetadataTypeEnum, BasicType, BasicTypeEnum, FunctionType};
use inkwell::values::{
    BasicMetadataValueEnum, BasicValue, CallSiteValue, FunctionValue, GlobalValue,
    InstructionValue, IntValue, LLVMTailCallKind, PointerValue,
};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The section of a template's hot code.
pub(crate) fn hot_section(template: &str) -> String {
    format!(".text.{template}")
}

/// The symbol of a template's hot code. No helper's name holds a dot, nor does a template's.
fn hot_symbol(template: &str) -> String {
    format!("{template}.hot")
}

/// The section of a template's cold function `index`.
pub(crate) fn cold_section(template: &str, index: usize) -> String {
    format!(".text.{}", cold_symbol(template, index))
}

/// The symbol of a template's cold function `index`.
pub(crate) fn cold_symbol(template: &str, index: usize) -> String {
    format!("{template}.cold{index}")
}

/// A module with the code of some templates, and what was learned while it was built.
pub(crate) struct BuiltModule<'ctx> {
    pub(crate) module: Module<'ctx>,
    /// In the order of the templates.
    pub(crate) facts: Vec<Facts>,
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

/// Builds one module; `padded` applies to every template in it.
///
/// # Errors
/// A template is wrong, or the IR it built is not valid.
pub(crate) fn build_module<'ctx>(
    context: &'ctx Context,
    set: &TemplateSet,
    templates: &[&Template],
    padded: &Padded,
    mode: Mode<'_>,
) -> Result<BuiltModule<'ctx>, CompileError> {
    let module = context.create_module(&set.name);
    // Stencils are entered with rsp at 0 mod 16, not at 8 as after a call: told that the stack is aligned to 8 only,
    // LLVM does not adjust it before calls.
    let alignment = context.i32_type().const_int(8, false);
    module.add_basic_value_flag("override-stack-alignment", FlagBehavior::Error, alignment);
    let builder = context.create_builder();
    let mut facts = Vec::with_capacity(templates.len());
    let externals = RefCell::default();
    for template in templates {
        let unit = Unit {
            module: &module,
            builder: &builder,
            template,
            frame: set.frame,
            mode,
            externals: &externals,
            facts: RefCell::default(),
            cold_functions: Cell::new(0),
        };
        let wrong = |source| CompileError::Template {
            template: template.name().to_owned(),
            source,
        };
        facts.push(unit.build(padded).map_err(wrong)?);
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

/// The first template with a function that is not valid by itself.
fn invalid_function(module: &Module<'_>) -> Option<String> {
    let wrong = module
        .get_functions()
        .find(|function| !function.verify(false))?;
    let name = wrong.get_name().to_string_lossy().into_owned();
    Some(name.split('.').next().unwrap_or_default().to_owned())
}

/// One template while it is built, with the module around it.
pub(crate) struct Unit<'t, 'ctx> {
    module: &'t Module<'ctx>,
    builder: &'t Builder<'ctx>,
    template: &'t Template,
    frame: FrameLayout,
    mode: Mode<'t>,
    externals: &'t RefCell<Externals>,
    facts: RefCell<Facts>,
    cold_functions: Cell<usize>,
}

impl<'t, 'ctx> Unit<'t, 'ctx> {
    fn build(&self, padded: &Padded) -> Result<Facts, TemplateError> {
        self.template.check(self.frame)?;
        let name = self.template.name();
        let function = self.stencil_function(&hot_symbol(name), &hot_section(name));
        let entry = self.context().append_basic_block(function, "");
        self.builder.position_at_end(entry);
        self.template.build(TemplateBuilder::new(self, function))?;
        for &index in padded {
            self.pad_frame(match index.checked_sub(1) {
                None => Some(function),
                Some(cold) => self.module.get_function(&cold_symbol(name, cold)),
            })?;
        }
        self.check_cold_paths()?;
        let facts = *self.facts.borrow();
        facts.check(self.template)?;
        Ok(facts)
    }

    fn check_cold_paths(&self) -> Result<(), TemplateError> {
        let name = self.template.name();
        let unused = (0..self.cold_functions.get())
            .filter_map(|index| self.module.get_function(&cold_symbol(name, index)))
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

    /// frame, stack pointer, thread state, and the values that travel in registers.
    pub(crate) fn signature(&self) -> FunctionType<'ctx> {
        let pointer: BasicMetadataTypeEnum<'ctx> =
            self.context().ptr_type(Default::default()).into();
        let first_value = self.mode.first_value();
        let mut parameters = vec![pointer; first_value];
        parameters.resize(
            first_value + VALUE_REGISTERS,
            self.context().i64_type().into(),
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
        let name = self.template.name();
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
        self.pointer_parameter(function, 1)
    }

    pub(crate) fn thread_parameter(&self, function: FunctionValue<'ctx>) -> PointerValue<'ctx> {
        self.pointer_parameter(function, 2)
    }

    /// The address of the uop's instruction record, in a handler.
    pub(crate) fn record_parameter(&self, function: FunctionValue<'ctx>) -> PointerValue<'ctx> {
        self.pointer_parameter(function, 3)
    }

    pub(crate) fn value_parameter(
        &self,
        function: FunctionValue<'ctx>,
        index: usize,
    ) -> IntValue<'ctx> {
        match function.get_nth_param((self.mode.first_value() + index) as u32) {
            Some(parameter) => parameter.into_int_value(),
            None => self.context().i64_type().get_poison(),
        }
    }

    // ---- Tail calls --------------------------------------------------------------------------------------------

    /// Ends the block with a tail call of `callee`, another stencil function.
    pub(crate) fn tail_call(
        &self,
        callee: FunctionValue<'ctx>,
        caller: FunctionValue<'ctx>,
        stack: PointerValue<'ctx>,
        values: &[IntValue<'ctx>],
    ) -> Result<(), TemplateError> {
        let call = self
            .builder
            .build_call(callee, &self.arguments(caller, stack, values), "")?;
        self.finish_tail_call(call)
    }

    /// Ends the block with a tail call of the stencil function at an address.
    pub(crate) fn tail_call_indirect(
        &self,
        callee: PointerValue<'ctx>,
        caller: FunctionValue<'ctx>,
        stack: PointerValue<'ctx>,
        values: &[IntValue<'ctx>],
    ) -> Result<(), TemplateError> {
        let arguments = self.arguments(caller, stack, values);
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

    pub(crate) fn arguments(
        &self,
        caller: FunctionValue<'ctx>,
        stack: PointerValue<'ctx>,
        values: &[IntValue<'ctx>],
    ) -> Vec<BasicMetadataValueEnum<'ctx>> {
        let mut arguments: Vec<BasicMetadataValueEnum<'ctx>> = vec![
            self.frame_parameter(caller).into(),
            stack.into(),
            self.thread_parameter(caller).into(),
        ];
        if self.mode.is_interpreter() {
            arguments.push(self.record_parameter(caller).into());
        }
        arguments.extend(
            values
                .iter()
                .map(|&value| BasicMetadataValueEnum::from(value)),
        );
        // A register that carries nothing costs nothing.
        arguments.resize(
            self.mode.first_value() + VALUE_REGISTERS,
            self.context().i64_type().get_poison().into(),
        );
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
                i64_type.const_zero().into(),
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

    /// Gives a function a word of stack that nothing can remove.
    fn pad_frame(&self, function: Option<FunctionValue<'ctx>>) -> Result<(), TemplateError> {
        let Some(entry) = function.and_then(FunctionValue::get_first_basic_block) else {
            return Ok(());
        };
        match entry.get_first_instruction() {
            Some(first) => self.builder.position_before(&first),
            None => self.builder.position_at_end(entry),
        }
        let word = self
            .builder
            .build_alloca(self.context().i64_type(), "pad")?
            .as_basic_value_enum();
        let pointer = self.context().ptr_type(Default::default());
        let signature = self.context().void_type().fn_type(&[pointer.into()], false);
        // An operand in memory: the word must exist, but no instruction touches it.
        let keep = self.context().create_inline_asm(
            signature,
            String::new(),
            "*m".to_owned(),
            true,
            false,
            None,
            false,
        );
        let call = self
            .builder
            .build_indirect_call(signature, keep, &[word.into()], "")?;
        let element = Attribute::get_named_enum_kind_id("elementtype");
        let element = self
            .context()
            .create_type_attribute(element, self.context().i64_type().into());
        call.add_attribute(AttributeLoc::Param(0), element);
        Ok(())
    }
}
