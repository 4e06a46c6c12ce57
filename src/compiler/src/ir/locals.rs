//! Locals of templates from IR. The stack of stencils is aligned to words, and LLVM is told so; yet a local may need more.
//! One whose address the code hands on gets room to spare, and its address is rounded up. Of any other nobody can tell how
//! it is aligned, and the instructions that use it are told that it need not be (see `lower_alignments`).

use super::instructions;
use inkwell::attributes::{Attribute, AttributeLoc};
use inkwell::builder::BuilderError;
use inkwell::intrinsics::Intrinsic;
use inkwell::module::Module;
use inkwell::targets::TargetData;
use inkwell::values::{
    AnyValueEnum, BasicValue, BasicValueEnum, CallSiteValue, FunctionValue, InstructionOpcode,
    InstructionValue, PointerValue,
};

/// What the stack is aligned to.
const WORD: u32 = 8;

/// Aligns the locals of an optimised module's functions.
///
/// # Errors
/// An instruction cannot be built.
pub(crate) fn align_locals(module: &Module<'_>, data: &TargetData) -> Result<(), BuilderError> {
    for function in module.get_functions() {
        let Some(entry) = function.get_first_basic_block() else {
            continue;
        };
        copy_by_words(module, function);
        let locals: Vec<InstructionValue<'_>> = entry
            .get_instructions()
            .filter(|found| found.get_opcode() == InstructionOpcode::Alloca)
            .collect();
        for local in locals {
            align(module, data, local)?;
        }
    }
    Ok(())
}

/// LLVM would make of copies to locals copies of 16 bytes at a time, and align the locals for those.
fn copy_by_words(module: &Module<'_>, function: FunctionValue<'_>) {
    let copies_to_local = instructions(function).any(|found| {
        let to = found.get_operand(0).and_then(|to| to.value());
        match to {
            Some(BasicValueEnum::PointerValue(to)) if is_copy(found) => is_local(to),
            _ => false,
        }
    });
    if copies_to_local {
        let kind = Attribute::get_named_enum_kind_id("noimplicitfloat");
        let attribute = module.get_context().create_enum_attribute(kind, 0);
        function.add_attribute(AttributeLoc::Function, attribute);
    }
}

/// Whether an instruction copies or fills memory.
fn is_copy(found: InstructionValue<'_>) -> bool {
    called(found).is_some_and(|name| name.starts_with(b"llvm.mem"))
}

/// The name of the function that is called.
fn called(found: InstructionValue<'_>) -> Option<Vec<u8>> {
    let callee = CallSiteValue::try_from(found).ok()?.get_called_fn_value()?;
    Some(callee.get_name().to_bytes().to_vec())
}

/// Whether an address is one of a local, for all that its computation shows.
fn is_local(address: PointerValue<'_>) -> bool {
    let Some(from) = address.as_instruction_value() else {
        return false;
    };
    match from.get_opcode() {
        InstructionOpcode::Alloca => true,
        InstructionOpcode::GetElementPtr => match from.get_operand(0).and_then(|base| base.value())
        {
            Some(BasicValueEnum::PointerValue(base)) => is_local(base),
            _ => false,
        },
        // It may be.
        InstructionOpcode::Phi | InstructionOpcode::Select => true,
        _ => false,
    }
}

/// Aligns a local of the function's first block, where it must be.
fn align<'ctx>(
    module: &Module<'ctx>,
    data: &TargetData,
    local: InstructionValue<'ctx>,
) -> Result<(), BuilderError> {
    let alignment = local.get_alignment().unwrap_or_default();
    if alignment <= WORD {
        return Ok(());
    }
    let count = match local.get_operand(0).and_then(|count| count.value()) {
        Some(BasicValueEnum::IntValue(count)) => count.get_zero_extended_constant(),
        _ => None,
    };
    // LLVM aligns what has no fixed size by itself, and the checker refuses that.
    let (Some(count), Ok(kind)) = (count, local.get_allocated_type()) else {
        return Ok(());
    };
    if !is_handed_on(local) {
        // The only failure is one of an instruction that has none.
        let _ = local.set_alignment(WORD);
        return Ok(());
    }
    let context = module.get_context();
    let builder = context.create_builder();
    let byte = context.i8_type();
    let size = data.get_abi_size(&kind).saturating_mul(count);
    let spare = u64::from(alignment - WORD);
    let Ok(room) = u32::try_from(size.saturating_add(spare)) else {
        return Ok(());
    };
    let markers = users(local).into_iter().flatten();
    for marker in markers.filter(|user| is_marker(*user)) {
        marker.erase_from_basic_block();
    }
    builder.position_before(&local);
    let room = builder.build_alloca(byte.array_type(room), "")?;
    if let Some(room) = room.as_instruction_value() {
        let _ = room.set_alignment(WORD);
    }
    let word = context.i64_type();
    let pointer = context.ptr_type(Default::default());
    let last =
        crate::module::address_beyond(context, &builder, room, word.const_int(spare, false))?;
    let mask = word.const_int(!u64::from(alignment - 1), false);
    let rounded = Intrinsic::find("llvm.ptrmask")
        .and_then(|intrinsic| intrinsic.get_declaration(module, &[pointer.into(), word.into()]));
    let Some(rounded) = rounded else {
        return Ok(());
    };
    let rounded = builder.build_call(rounded, &[last.into(), mask.into()], "")?;
    if let Some(rounded) = rounded
        .try_as_basic_value()
        .basic()
        .and_then(|rounded| rounded.into_pointer_value().as_instruction_value())
    {
        local.replace_all_uses_with(&rounded);
        local.erase_from_basic_block();
    }
    Ok(())
}

/// Whether anybody could tell how an address is aligned: it is not only loaded from, stored to and copied to.
fn is_handed_on(address: InstructionValue<'_>) -> bool {
    let tells = |user: InstructionValue<'_>| match user.get_opcode() {
        InstructionOpcode::Load => false,
        InstructionOpcode::Store => {
            let stored = user.get_operand(0).and_then(|stored| stored.value());
            stored.is_some_and(|stored| stored.as_instruction_value() == Some(address))
        }
        InstructionOpcode::GetElementPtr => is_handed_on(user),
        _ => !is_copy(user) && !is_marker(user),
    };
    users(address)
        .into_iter()
        .any(|user| user.is_none_or(tells))
}

/// Whether an instruction says from when or until when a local is used.
fn is_marker(found: InstructionValue<'_>) -> bool {
    called(found).is_some_and(|name| name.starts_with(b"llvm.lifetime."))
}

/// The instructions that use the result of one; `None` is a user of another kind.
fn users(used: InstructionValue<'_>) -> Vec<Option<InstructionValue<'_>>> {
    std::iter::successors(used.get_first_use(), |used| used.get_next_use())
        .map(|used| match used.get_user() {
            AnyValueEnum::InstructionValue(user) => Some(user),
            AnyValueEnum::PhiValue(user) => Some(user.as_instruction()),
            AnyValueEnum::IntValue(user) => user.as_instruction_value(),
            AnyValueEnum::PointerValue(user) => user.as_instruction_value(),
            AnyValueEnum::FloatValue(user) => user.as_instruction_value(),
            AnyValueEnum::VectorValue(user) => user.as_instruction_value(),
            AnyValueEnum::StructValue(user) => user.as_instruction_value(),
            AnyValueEnum::ArrayValue(user) => user.as_instruction_value(),
            _ => None,
        })
        .collect()
}
