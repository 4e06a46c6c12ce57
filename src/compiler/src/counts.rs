//! References that are counted. Where a count in memory goes up or down, LLVM holds that a pointer in the frame, say that of
//! the stack, may have changed, and loads it again. But what is counted is a number, and where a stencil's parameters lead
//! to there is none in the place of a pointer: behind a count the pointer is as it was, and only what is called may change
//! it. So a stencil that frees an object, which is rare, loads the stack pointer again, and one that does not has it still.
//!
//! LLVM is told so by scopes of aliases (its language reference, "noalias" and "alias.scope" metadata).

use crate::addresses::comes_back;
use crate::constants::operand;
use inkwell::module::Module;
use inkwell::types::AnyTypeEnum;
use inkwell::values::{
    BasicValue, BasicValueEnum, FunctionValue, InstructionOpcode, InstructionValue,
    InstructionValueError,
};

/// Marks what counts, and the pointers at fixed distances from a parameter, in all functions of an optimised module.
///
/// # Errors
/// LLVM does not take the marks.
pub(crate) fn mark_counts(module: &Module<'_>) -> Result<(), InstructionValueError> {
    let context = module.get_context();
    let name = |name| context.metadata_string(name).into();
    let domain = context.metadata_node(&[name("mimeo.counts")]);
    let scope = context.metadata_node(&[name("mimeo.pointers"), domain.into()]);
    let scopes = context.metadata_node(&[scope.into()]);
    let is_in = context.get_kind_id("alias.scope");
    let is_not_in = context.get_kind_id("noalias");
    for function in module.get_functions() {
        let blocks = function.get_basic_blocks().into_iter();
        let instructions: Vec<InstructionValue<'_>> =
            blocks.flat_map(|block| block.get_instructions()).collect();
        // To have several places load it is more code.
        let calls = instructions
            .iter()
            .filter(|&&instruction| comes_back(instruction));
        if calls.count() > 1 {
            continue;
        }
        for instruction in instructions {
            if counts(instruction).is_some() {
                instruction.set_metadata(scopes, is_not_in)?;
            } else if pointer_of_parameter(function, instruction).is_some() {
                instruction.set_metadata(scopes, is_in)?;
            }
        }
    }
    Ok(())
}

/// `Some` if an instruction stores what was loaded from there, and one more or less.
fn counts(instruction: InstructionValue<'_>) -> Option<()> {
    let sum = operand(instruction, 0)?.as_instruction_value()?;
    let old = operand(sum, 0)?.as_instruction_value()?;
    let BasicValueEnum::IntValue(step) = operand(sum, 1)? else {
        return None;
    };
    let is_count = instruction.get_opcode() == InstructionOpcode::Store
        && sum.get_opcode() == InstructionOpcode::Add
        && old.get_opcode() == InstructionOpcode::Load
        && operand(old, 0) == operand(instruction, 1)
        && matches!(step.get_sign_extended_constant(), Some(1 | -1));
    is_count.then_some(())
}

/// `Some` if an instruction loads or stores a pointer at a fixed distance from a parameter.
fn pointer_of_parameter(
    function: FunctionValue<'_>,
    instruction: InstructionValue<'_>,
) -> Option<()> {
    let (is_pointer, place) = match instruction.get_opcode() {
        InstructionOpcode::Load => {
            let is_pointer = matches!(instruction.get_type(), AnyTypeEnum::PointerType(_));
            (is_pointer, operand(instruction, 0)?)
        }
        InstructionOpcode::Store => (
            operand(instruction, 0)?.is_pointer_value(),
            operand(instruction, 1)?,
        ),
        _ => return None,
    };
    let is_number =
        |value| matches!(value, Some(BasicValueEnum::IntValue(step)) if step.is_const());
    let base = match place {
        BasicValueEnum::PointerValue(address) => match address.as_instruction() {
            Some(at) if at.get_opcode() == InstructionOpcode::GetElementPtr => {
                let is_fixed =
                    (1..at.get_num_operands()).all(|index| is_number(operand(at, index)));
                operand(at, 0).filter(|_| is_fixed)?
            }
            _ => place,
        },
        _ => return None,
    };
    (is_pointer && function.get_param_iter().any(|own| own == base)).then_some(())
}
