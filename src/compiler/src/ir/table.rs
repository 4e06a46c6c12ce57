//! What a module of IR needs besides to give stencils of a table, and what is refused because tables do not have it.
//!
//! A trace is left through an exit record, whose first word says where to, with the record's address in r15: the fourth
//! parameter of the convention. The templates' functions have three. So a call through the record is given the address
//! in memory, and is an ordinary tail call, which need not have the caller's parameters.

use super::{Declared, IrFunction, IrSource, Unit, instructions};
use crate::builder::Facts;
use crate::error::{CompileError, IrProblem};
use crate::module::assemble;
use crate::symbol::{HoleSymbol, SymbolMeanings};
use crate::target::{PRESERVE_NONE, TRIPLE};
use crate::template::Template;
use inkwell::GlobalVisibility;
use inkwell::attributes::{Attribute, AttributeLoc};
use inkwell::builder::BuilderError;
use inkwell::module::{Linkage, Module};
use inkwell::types::{BasicMetadataTypeEnum, BasicTypeEnum};
use inkwell::values::{
    AnyValue, BasicMetadataValueEnum, BasicValue, BasicValueEnum, CallSiteValue, FunctionValue,
    GlobalValue, InstructionOpcode, InstructionValue, LLVMTailCallKind, PointerValue,
};
use mimeo::hole::HoleValue;
use mimeo::stencil::{StackEffect, UopFlags};
use std::fmt;
use std::sync::Arc;

/// A module of IR whose functions are templates of a table, and which of its symbols mean which hole:
/// [`Template::from_ir`] makes a template of each. A clone is the same module.
#[derive(Clone)]
pub struct IrTemplates(Arc<(IrSource, SymbolMeanings)>);

impl IrTemplates {
    /// The module, and its holes.
    ///
    /// Tables have these: continue, jump target, error target and top, to which tail calls go; oparg, operand, operand1, target
    /// and exit index, which are numbers as wide as is said here; exit and executor, which are addresses of data. Numbers are
    /// unsigned, and not shifted: what the code does with them is found in the code.
    pub fn new(source: IrSource, holes: SymbolMeanings) -> Self {
        Self(Arc::new((source, holes)))
    }

    /// The module.
    pub fn source(&self) -> &IrSource {
        &self.0.0
    }

    /// The holes.
    pub fn holes(&self) -> &SymbolMeanings {
        &self.0.1
    }

    /// Whether this is a clone of the other.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for IrTemplates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let holes: Vec<&str> = self.holes().holes().map(|(name, _)| name).collect();
        write!(f, "IrTemplates({:?}, {holes:?})", self.source())
    }
}

/// Whether a hole is the address of data, which code reads or hands over.
pub(super) fn is_address(value: HoleValue) -> bool {
    matches!(value, HoleValue::Exit | HoleValue::Executor)
}

/// Whether a hole is a number, with which code computes.
pub(crate) fn is_number(value: HoleValue) -> bool {
    use HoleValue::{ExitIndex, Oparg, Operand, Operand1, Target};
    matches!(value, Oparg | Operand | Operand1 | Target | ExitIndex)
}

/// Whether a template may jump to a hole: other control is for the compiler.
fn is_way_out(value: HoleValue) -> bool {
    use HoleValue::{Continue, ErrorTarget, JumpTarget, Top};
    matches!(value, Continue | JumpTarget | ErrorTarget | Top)
}

/// Checks what does not depend on the code.
///
/// # Errors
/// The module is for another machine, a function has another signature than stencils, or a hole is one that templates of
/// tables do not have.
pub(super) fn check(
    module: &Module<'_>,
    source: &str,
    templates: &[(&IrFunction, FunctionValue<'_>)],
    holes: &SymbolMeanings,
) -> Result<(), CompileError> {
    let triple = module.get_triple();
    let triple = triple.as_str().to_string_lossy();
    if !triple.is_empty() && !triple.starts_with("x86_64") {
        let problem = IrProblem::Machine {
            found: triple.into_owned(),
            expected: TRIPLE,
        };
        return Err(CompileError::ir(source, None, problem));
    }
    for (name, hole) in holes.holes() {
        check_hole(hole).map_err(|reason| {
            let symbol = name.to_owned();
            CompileError::ir(source, None, IrProblem::Hole { symbol, reason })
        })?;
    }
    for (wanted, function) in templates {
        let kind = function.get_type();
        let is_pointer = |kind: &BasicMetadataTypeEnum<'_>| kind.is_pointer_type();
        let parameters = kind.get_param_types();
        let result = kind.get_return_type();
        let fits = parameters.len() == 3
            && parameters.iter().all(is_pointer)
            && result.is_none_or(|result| result.is_pointer_type())
            && !kind.is_var_arg();
        if !fits {
            let found = kind.print_to_string().to_string();
            let problem = IrProblem::TableSignature { found };
            return Err(CompileError::ir(source, Some(&wanted.stencil), problem));
        }
    }
    check_numbers(module, source, templates, holes)
}

/// Checks that no front end has computed with what it believes of an address.
///
/// A symbol that is not weak is never null and lies apart from every other, and one that is aligned has low bits that are
/// zero. Optimisation decides by that, and afterwards it cannot be seen what it decided.
///
/// # Errors
/// A front end has optimised a template's function, and a hole that is a number is such a symbol.
fn check_numbers(
    module: &Module<'_>,
    source: &str,
    templates: &[(&IrFunction, FunctionValue<'_>)],
    holes: &SymbolMeanings,
) -> Result<(), CompileError> {
    if module.get_global_metadata_size(FRONT_END) == 0 {
        return Ok(());
    }
    let optimised = templates
        .iter()
        .find(|(_, function)| !is_as_written(*function));
    let Some((wanted, _)) = optimised else {
        return Ok(());
    };
    for (name, _) in holes.holes().filter(|(_, hole)| is_number(hole.value)) {
        let function = module.get_function(name);
        let symbol = function
            .map(|function| function.as_global_value())
            .or_else(|| module.get_global(name))
            .filter(|symbol| symbol.is_declaration());
        let Some(symbol) = symbol else {
            continue;
        };
        let reason = match symbol.get_alignment() {
            _ if symbol.get_linkage() != Linkage::ExternalWeak => "not weak",
            0 | 1 => continue,
            _ => "aligned",
        };
        let problem = IrProblem::Decided {
            symbol: name.to_owned(),
            reason,
        };
        return Err(CompileError::ir(source, Some(&wanted.stencil), problem));
    }
    Ok(())
}

/// The metadata by which front ends say who they are. IR without it was written by hand, or by a program that knows what
/// holes are.
const FRONT_END: &str = "llvm.ident";

/// Whether a function is as a front end wrote it: no optimisation has been there, or each parameter would not still be stored
/// to a variable.
fn is_as_written(function: FunctionValue<'_>) -> bool {
    let unoptimised = Attribute::get_named_enum_kind_id("optnone");
    let is_marked = function
        .get_enum_attribute(AttributeLoc::Function, unoptimised)
        .is_some();
    let Some(entry) = function.get_first_basic_block() else {
        return true;
    };
    let stored: Vec<BasicValueEnum<'_>> = entry
        .get_instructions()
        .filter(|found| found.get_opcode() == InstructionOpcode::Store)
        .filter(|store| {
            let place = store.get_operand(1).and_then(|place| place.value());
            let place = place.and_then(|place| place.as_instruction_value());
            place.is_some_and(|place| place.get_opcode() == InstructionOpcode::Alloca)
        })
        .filter_map(|store| store.get_operand(0)?.value())
        .collect();
    is_marked
        || function
            .get_param_iter()
            .all(|parameter| stored.contains(&parameter))
}

fn check_hole(hole: HoleSymbol) -> Result<(), String> {
    let value = hole.value;
    let plain = match value {
        value if is_number(value) => {
            let bits = (1..=64).contains(&hole.bits);
            bits && HoleSymbol::number(value, hole.bits) == hole
        }
        value if is_address(value) || is_way_out(value) => HoleSymbol::address(value) == hole,
        value => return Err(format!("templates have no {value}")),
    };
    match plain {
        true => Ok(()),
        false if is_number(value) => Err(format!(
            "{value} is unsigned, of 1 to 64 bits, not shifted, and of no element"
        )),
        false => Err(format!("{value} is an address")),
    }
}

/// A function of an optimised module that is called, which stencils cannot do.
pub(crate) fn not_inlined(module: &Module<'_>, templates: &[IrFunction]) -> Option<String> {
    module.get_functions().find_map(|function| {
        let name = function.get_name().to_string_lossy().into_owned();
        let is_left = function.count_basic_blocks() > 0
            && templates.iter().all(|template| template.function != name);
        let address = function.as_global_value().as_pointer_value();
        (is_left && address.get_first_use().is_some()).then_some(name)
    })
}

/// What was seen of a template in an optimised module, for the checks that templates of the builder undergo.
pub(crate) fn seen(
    function: FunctionValue<'_>,
    holes: &SymbolMeanings,
    template: &Template,
) -> Facts {
    let mut facts = Facts::default();
    for call in instructions(function).filter_map(|found| CallSiteValue::try_from(found).ok()) {
        let Some(callee) = call.get_called_fn_value() else {
            // Only what goes through an exit record has the convention of stencils.
            facts.exits |= call.get_call_convention() == PRESERVE_NONE;
            continue;
        };
        let name = callee.get_name().to_string_lossy();
        let hole = holes.holes().find(|(hole, _)| *hole == name);
        match hole.map(|(_, hole)| hole.value) {
            Some(HoleValue::Continue) => facts.continues = true,
            Some(HoleValue::ErrorTarget) => facts.errors = true,
            Some(HoleValue::JumpTarget) => facts.jumps = true,
            Some(HoleValue::Top) => facts.restarts = true,
            _ => {}
        }
    }
    let flags = template.flags();
    // The checker sees in the machine code whether it does.
    facts.switches = flags.intersects(UopFlags::SWITCHES_FRAME);
    if flags.needs_jump() || flags.contains(UopFlags::EXIT_RECORD) {
        let popped = template.effect().popped;
        let unchanged = StackEffect {
            popped,
            pushed: popped,
        };
        facts.leaving_effect = Some(template.leaving().unwrap_or(unchanged));
    }
    facts
}

impl<'ctx> Unit<'_, 'ctx> {
    /// Makes of the module what stencils of tables need.
    ///
    /// # Errors
    /// The function that uses a hole as none can be, and how.
    pub(super) fn fit_for_table(
        &self,
        templates: &[FunctionValue<'ctx>],
        declared: &Declared<'ctx>,
    ) -> Result<(), (FunctionValue<'ctx>, IrProblem)> {
        self.hide_symbols(templates);
        // No other code jumps to a stencil's start.
        let kind = Attribute::get_named_enum_kind_id("nocf_check");
        let unmarked = self.context.create_enum_attribute(kind, 0);
        for template in templates {
            template.add_attribute(AttributeLoc::Function, unmarked);
        }
        self.share_convention();
        let functions = || self.module.get_functions();
        for function in functions() {
            for instruction in instructions(function).collect::<Vec<_>>() {
                let called = refuse_called_number(instruction, declared);
                called
                    .and_then(|()| self.leave_through_record(instruction, declared))
                    .and_then(|left| match left {
                        true => Ok(()),
                        false => refuse_other_address(instruction),
                    })
                    .map_err(|problem| (function, problem))?;
            }
        }
        Ok(())
    }

    /// What is outside is reached without a global offset table, which traces do not have: the runtime keeps helpers and
    /// data near. What the module has besides templates is its own.
    fn hide_symbols(&self, templates: &[FunctionValue<'ctx>]) {
        let is_llvm = |name: &[u8]| name.starts_with(b"llvm.");
        let hide = |global: GlobalValue<'ctx>| {
            if global.is_declaration() {
                global.set_linkage(Linkage::External);
                global.set_visibility(GlobalVisibility::Hidden);
            } else if global.get_linkage() != Linkage::Private {
                global.set_visibility(GlobalVisibility::Default);
                global.set_linkage(Linkage::Internal);
            }
        };
        let lazy = Attribute::get_named_enum_kind_id("nonlazybind");
        for global in self.module.get_globals() {
            if !is_llvm(global.get_name().to_bytes()) {
                hide(global);
            }
        }
        for function in self.module.get_functions() {
            if is_llvm(function.get_name().to_bytes()) || templates.contains(&function) {
                continue;
            }
            hide(function.as_global_value());
            function.remove_enum_attribute(AttributeLoc::Function, lazy);
        }
        let functions = self.module.get_functions();
        for call in functions
            .flat_map(instructions)
            .filter_map(|found| CallSiteValue::try_from(found).ok())
        {
            call.remove_enum_attribute(AttributeLoc::Function, lazy);
        }
    }

    /// Where a call must be a tail call, caller and callee have one convention: that of stencils, if either has it. So do
    /// all calls of what has it. This is so for templates, for what they call, and for templates that are compiled apart.
    fn share_convention(&self) {
        let is_stencil =
            |function: FunctionValue<'ctx>| function.get_call_conventions() == PRESERVE_NONE;
        let calls = || {
            let found = self.module.get_functions().flat_map(instructions);
            found.filter_map(|found| Some((found, CallSiteValue::try_from(found).ok()?)))
        };
        let pairs: Vec<(FunctionValue<'ctx>, FunctionValue<'ctx>)> = calls()
            .filter(|(instruction, _)| must_tail(*instruction))
            .filter_map(|(instruction, call)| {
                let caller = instruction.get_parent()?.get_parent()?;
                Some((caller, call.get_called_fn_value()?))
            })
            .collect();
        while let Some(&(caller, callee)) = pairs
            .iter()
            .find(|(caller, callee)| is_stencil(*caller) != is_stencil(*callee))
        {
            caller.set_call_conventions(PRESERVE_NONE);
            callee.set_call_conventions(PRESERVE_NONE);
        }
        for (instruction, call) in calls() {
            let caller = instruction
                .get_parent()
                .and_then(|block| block.get_parent());
            let has_it = match call.get_called_fn_value() {
                Some(callee) => is_stencil(callee),
                None => must_tail(instruction) && caller.is_some_and(is_stencil),
            };
            if has_it {
                call.set_call_convention(PRESERVE_NONE);
            }
        }
    }

    /// Gives a call through an exit record the record's address. `false` is one that is no such call.
    fn leave_through_record(
        &self,
        call: InstructionValue<'ctx>,
        declared: &Declared<'ctx>,
    ) -> Result<bool, IrProblem> {
        let Some((name, record, entry)) = exit_record(call, declared) else {
            return Ok(false);
        };
        let refuse = |reason: String| IrProblem::Hole {
            symbol: name.to_owned(),
            reason,
        };
        let arguments: Vec<BasicValueEnum<'ctx>> = (0..call.get_num_operands().saturating_sub(1))
            .filter_map(|index| call.get_operand(index)?.value())
            .collect();
        let state = self.signature.get_param_types().len();
        let fits = arguments.len() == state && arguments.iter().all(|a| a.is_pointer_value());
        if !fits {
            let text = call.print_to_string();
            return Err(refuse(format!(
                "its entry is not called as stencils are: {text}"
            )));
        }
        self.call_with_record(call, entry, &arguments, record)
            .map(|()| true)
            .map_err(|error| refuse(error.to_string()))
    }

    fn call_with_record(
        &self,
        old: InstructionValue<'ctx>,
        entry: PointerValue<'ctx>,
        arguments: &[BasicValueEnum<'ctx>],
        record: PointerValue<'ctx>,
    ) -> Result<(), BuilderError> {
        let pointer = self.context.ptr_type(Default::default());
        self.builder.position_before(&old);
        let address = self.record_address(record)?;
        let arguments: Vec<BasicMetadataValueEnum<'ctx>> = arguments
            .iter()
            .copied()
            .chain([address])
            .map(BasicMetadataValueEnum::from)
            .collect();
        let kinds = vec![BasicMetadataTypeEnum::from(pointer); arguments.len()];
        let signature = match self.signature.get_return_type() {
            Some(BasicTypeEnum::PointerType(result)) => result.fn_type(&kinds, false),
            _ => self.context.void_type().fn_type(&kinds, false),
        };
        // The last load before the jump becomes one with it.
        let last = self.builder.build_load(pointer, record, "")?;
        let new = self.builder.build_indirect_call(
            signature,
            last.into_pointer_value(),
            &arguments,
            "",
        )?;
        new.set_call_convention(PRESERVE_NONE);
        new.set_tail_call_kind(LLVMTailCallKind::LLVMTailCallKindTail);
        let result = new.try_as_basic_value().basic();
        if let Some(result) = result.and_then(|result| result.as_instruction_value()) {
            old.replace_all_uses_with(&result);
        }
        old.erase_from_basic_block();
        let unused = entry
            .as_instruction_value()
            .filter(|load| load.get_first_use().is_none());
        if let Some(load) = unused {
            load.erase_from_basic_block();
        }
        Ok(())
    }

    /// The record's address, which is computed where it is handed over.
    fn record_address(
        &self,
        record: PointerValue<'ctx>,
    ) -> Result<BasicValueEnum<'ctx>, BuilderError> {
        let pointer = self.context.ptr_type(Default::default()).into();
        let text = "leaq ${1:c}(%rip), $0";
        let address = assemble(self.context, &self.builder, pointer, text, "=r,i", record)?;
        Ok(address.unwrap_or_else(|| record.into()))
    }
}

/// Gives the module's constants, after optimisation, names that stand in the object file: relocations against others name
/// the section alone.
pub(crate) fn name_constants(module: &Module<'_>) {
    let constants = module
        .get_globals()
        .filter(|global| !global.is_declaration() && global.is_constant());
    for (index, constant) in constants.enumerate() {
        constant.set_linkage(Linkage::External);
        constant.set_visibility(GlobalVisibility::Hidden);
        constant.set_name(&format!("mimeo.constant.{index}"));
    }
}

fn must_tail(instruction: InstructionValue<'_>) -> bool {
    let kind = instruction.get_tail_call_kind();
    kind.is_ok_and(|kind| kind == LLVMTailCallKind::LLVMTailCallKindMustTail)
}

/// What a call calls.
fn callee(call: InstructionValue<'_>) -> Option<PointerValue<'_>> {
    if call.get_opcode() != InstructionOpcode::Call {
        return None;
    }
    let last = call.get_num_operands().checked_sub(1)?;
    match call.get_operand(last)?.value()? {
        BasicValueEnum::PointerValue(callee) => Some(callee),
        _ => None,
    }
}

/// The hole's name, the record and the address that was loaded from it, where a call goes through an exit record.
fn exit_record<'d, 'ctx>(
    call: InstructionValue<'ctx>,
    declared: &'d Declared<'ctx>,
) -> Option<(&'d str, PointerValue<'ctx>, PointerValue<'ctx>)> {
    let entry = callee(call)?;
    let load = entry.as_instruction_value()?;
    if load.get_opcode() != InstructionOpcode::Load {
        return None;
    }
    let BasicValueEnum::PointerValue(from) = load.get_operand(0)?.value()? else {
        return None;
    };
    let (name, (record, _)) = declared.addresses.iter().find(|(_, (record, hole))| {
        hole.value == HoleValue::Exit && record.as_pointer_value() == from
    })?;
    Some((name, record.as_pointer_value(), entry))
}

/// # Errors
/// A stencil is left to an address that does not come from the exit record, or not visibly.
fn refuse_other_address(call: InstructionValue<'_>) -> Result<(), IrProblem> {
    let Some(callee) = callee(call) else {
        return Ok(());
    };
    let leaves = must_tail(call)
        || CallSiteValue::try_from(call)
            .is_ok_and(|call| call.get_call_convention() == PRESERVE_NONE);
    match leaves && callee.as_instruction_value().is_some() {
        true => Err(IrProblem::Elsewhere(call.print_to_string().to_string())),
        false => Ok(()),
    }
}

/// # Errors
/// A number is called.
fn refuse_called_number(
    call: InstructionValue<'_>,
    declared: &Declared<'_>,
) -> Result<(), IrProblem> {
    let Some(callee) = callee(call) else {
        return Ok(());
    };
    let numbers = &mut declared.numbers.iter();
    match numbers.find(|(_, (global, _))| global.as_pointer_value() == callee) {
        Some((name, _)) => Err(IrProblem::Hole {
            symbol: name.clone(),
            reason: format!(
                "it is a number, but it is called: {}",
                call.print_to_string()
            ),
        }),
        None => Ok(()),
    }
}
