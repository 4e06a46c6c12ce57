//! Arguments on the stack. Stencils call C functions with the stack as it is; a call with an odd number of words of arguments
//! moves it by eight bytes more than one with none, so that no frame suits both (System V ABI, section 3.2.2: rsp is a multiple of
//! 16 at calls). Such a call gets one word more, behind all others, which the callee does not know of: who calls also clears
//! the stack. Where C enters stencils, the call of those is at 8 mod 16, and those of C functions get an odd number of words.

use crate::constants::operand;
use inkwell::attributes::{Attribute, AttributeLoc};
use inkwell::builder::{Builder, BuilderError};
use inkwell::context::ContextRef;
use inkwell::module::Module;
use inkwell::types::{BasicMetadataTypeEnum, BasicType, BasicTypeEnum};
use inkwell::values::{
    AnyValue, BasicMetadataValueEnum, BasicValue, BasicValueEnum, CallSiteValue, FunctionValue,
    InstructionOpcode, InstructionValue, ValueKind,
};

/// How many integers and addresses are passed in registers (System V ABI, section 3.2.3).
const GENERAL: usize = 6;

/// How many floats are.
const FLOAT: usize = 8;

/// LLVM's number of the C calling convention.
const C: u32 = 0;

/// Gives calls of C functions one word more on the stack, where it is not an odd, or even, number of words.
///
/// It is for optimised modules: before, LLVM would hold the calls for mistakes.
///
/// # Errors
/// An instruction cannot be built.
pub(crate) fn make_words(module: &Module<'_>, odd: bool) -> Result<(), BuilderError> {
    let instructions: Vec<InstructionValue<'_>> = module
        .get_functions()
        .flat_map(|function| function.get_basic_blocks())
        .flat_map(|block| block.get_instructions())
        .filter(|instruction| instruction.get_opcode() == InstructionOpcode::Call)
        .collect();
    let context = module.get_context();
    let builder = context.create_builder();
    for instruction in instructions {
        if let Ok(call) = CallSiteValue::try_from(instruction)
            && call.get_call_convention() == C
            && is_function(instruction, call)
            && let Some((general, words)) = places(instruction, call)
            && (words % 2 == 1) != odd
        {
            add_word(context, &builder, instruction, call, general)?;
        }
    }
    Ok(())
}

/// Whether a call is one of a function, or of an address; LLVM's own functions and assembly are none.
fn is_function(instruction: InstructionValue<'_>, call: CallSiteValue<'_>) -> bool {
    match call.get_called_fn_value() {
        Some(callee) => !is_own(callee),
        None => !instruction.print_to_string().to_string().contains(" asm "),
    }
}

/// Whether a function stands for instructions, as LLVM's own do and mimeo's, so that nothing is called.
pub(crate) fn is_own(callee: FunctionValue<'_>) -> bool {
    let name = callee.get_name().to_bytes();
    name.starts_with(b"llvm.") || name.starts_with(b"mimeo.")
}

/// The arguments of a call.
fn arguments<'ctx>(
    instruction: InstructionValue<'ctx>,
    call: CallSiteValue<'ctx>,
) -> Vec<BasicValueEnum<'ctx>> {
    (0..call.count_arguments())
        .filter_map(|index| operand(instruction, index))
        .collect()
}

/// How many general registers and words on the stack a call's arguments take; `None` where some are of other kinds.
fn places(instruction: InstructionValue<'_>, call: CallSiteValue<'_>) -> Option<(usize, usize)> {
    let (mut general, mut floats) = (0_usize, 0_usize);
    for (index, argument) in arguments(instruction, call).into_iter().enumerate() {
        let by_value = Attribute::get_named_enum_kind_id("byval");
        let location = AttributeLoc::Param(index as u32);
        if call.get_enum_attribute(location, by_value).is_some() {
            return None;
        }
        match argument.get_type() {
            BasicTypeEnum::IntType(kind) if kind.get_bit_width() <= 64 => general += 1,
            BasicTypeEnum::PointerType(_) => general += 1,
            BasicTypeEnum::FloatType(kind) if kind.get_bit_width() <= 64 => floats += 1,
            _ => return None,
        }
    }
    let words = general.saturating_sub(GENERAL) + floats.saturating_sub(FLOAT);
    Some((general.min(GENERAL), words))
}

/// Calls with arguments that nobody reads: in what is left of the general registers, and in a word on the stack.
fn add_word<'ctx>(
    context: ContextRef<'ctx>,
    builder: &Builder<'ctx>,
    instruction: InstructionValue<'ctx>,
    call: CallSiteValue<'ctx>,
    general: usize,
) -> Result<(), BuilderError> {
    let Some(BasicValueEnum::PointerValue(callee)) = instruction
        .get_num_operands()
        .checked_sub(1)
        .and_then(|last| operand(instruction, last))
    else {
        return Ok(());
    };
    let word = context.i64_type();
    let unread = 1 + GENERAL - general;
    let mut values: Vec<BasicMetadataValueEnum<'ctx>> = arguments(instruction, call)
        .into_iter()
        .map(Into::into)
        .collect();
    values.extend(vec![
        BasicMetadataValueEnum::from(word.get_poison());
        unread - 1
    ]);
    // Something that is pushed: for nothing, LLVM would make the whole frame larger, and other calls find the stack as little
    // aligned as this one does.
    values.push(word.const_zero().into());
    let old = call.get_called_fn_type();
    let mut kinds = old.get_param_types();
    if !old.is_var_arg() {
        kinds.extend(vec![BasicMetadataTypeEnum::from(word); unread]);
    }
    let signature = match old.get_return_type() {
        Some(result) => result.fn_type(&kinds, old.is_var_arg()),
        None => context.void_type().fn_type(&kinds, old.is_var_arg()),
    };
    builder.position_before(&instruction);
    let new = builder.build_indirect_call(signature, callee, &values, "")?;
    let parameters = (0..call.count_arguments()).map(AttributeLoc::Param);
    for location in parameters.chain([AttributeLoc::Return, AttributeLoc::Function]) {
        for attribute in call.attributes(location) {
            new.add_attribute(location, attribute);
        }
    }
    let new = match new.try_as_basic_value() {
        ValueKind::Instruction(new) => Some(new),
        ValueKind::Basic(value) => value.as_instruction_value(),
    };
    if let Some(new) = new {
        instruction.replace_all_uses_with(&new);
        instruction.erase_from_basic_block();
    }
    Ok(())
}
