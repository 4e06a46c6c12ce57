//! Constants that are made of numbers that are holes: a float with an operand's bits, a vector of operands, an address with
//! an operand as index. LLVM takes the symbols for constants, and so makes constants of what is computed from them. Here
//! they are instructions again, which depend on the holes' functions: where they are used, or, for a phi, where that value
//! comes from.

use super::{Unit, instructions};
use crate::module::{Compound, compound, same_part};
use inkwell::builder::BuilderError;
use inkwell::llvm_sys::LLVMOpcode;
use inkwell::types::BasicTypeEnum;
use inkwell::values::{
    AnyValue, BasicValueEnum, FunctionValue, InstructionValue, IntValue, PhiValue, PointerValue,
};

/// The number that stands for an address, if that is a hole.
pub(super) type Number<'a, 'ctx> = &'a dyn Fn(PointerValue<'ctx>) -> Option<IntValue<'ctx>>;

/// An operand that is a constant made of holes.
pub(super) struct Made<'ctx> {
    pub(super) user: InstructionValue<'ctx>,
    pub(super) index: u32,
    pub(super) constant: BasicValueEnum<'ctx>,
    /// The holes' addresses.
    pub(super) of: Vec<PointerValue<'ctx>>,
}

/// The operands of a function's instructions that are made of holes, but for those that are a hole's address, or that as a
/// number, and no operand of a phi.
pub(super) fn made_of_holes<'ctx>(
    function: FunctionValue<'ctx>,
    is_hole: &dyn Fn(PointerValue<'ctx>) -> bool,
) -> Vec<Made<'ctx>> {
    let mut found = Vec::new();
    for user in instructions(function) {
        let is_phi = PhiValue::try_from(user).is_ok();
        for index in 0..user.get_num_operands() {
            let constant = user.get_operand(index).and_then(|operand| operand.value());
            let Some(constant) = constant else {
                continue;
            };
            if !is_phi && is_plain(constant, is_hole) {
                continue;
            }
            let mut of = Vec::new();
            collect(constant, is_hole, &mut of);
            if !of.is_empty() {
                found.push(Made {
                    user,
                    index,
                    constant,
                    of,
                });
            }
        }
    }
    found
}

fn collect<'ctx>(
    constant: BasicValueEnum<'ctx>,
    is_hole: &dyn Fn(PointerValue<'ctx>) -> bool,
    found: &mut Vec<PointerValue<'ctx>>,
) {
    if let BasicValueEnum::PointerValue(address) = constant
        && is_hole(address)
    {
        if !found.contains(&address) {
            found.push(address);
        }
        return;
    }
    for part in compound(constant).into_iter().flat_map(|made| made.parts) {
        collect(part, is_hole, found);
    }
}

/// A hole's address, or that as a number, or as a number that is an address again.
fn is_plain<'ctx>(
    constant: BasicValueEnum<'ctx>,
    is_hole: &dyn Fn(PointerValue<'ctx>) -> bool,
) -> bool {
    if let BasicValueEnum::PointerValue(address) = constant
        && is_hole(address)
    {
        return true;
    }
    match compound(constant) {
        Some(Compound {
            operation: Some(LLVMOpcode::LLVMPtrToInt | LLVMOpcode::LLVMIntToPtr),
            parts,
        }) => parts.iter().all(|&part| is_plain(part, is_hole)),
        _ => false,
    }
}

impl<'ctx> Unit<'_, 'ctx> {
    /// Computes a constant where the builder is; `None` is one without holes.
    ///
    /// # Errors
    /// How it is computed, where that is not understood.
    pub(super) fn spread(
        &self,
        constant: BasicValueEnum<'ctx>,
        number: Number<'_, 'ctx>,
    ) -> Result<Option<BasicValueEnum<'ctx>>, String> {
        let text = |error: BuilderError| error.to_string();
        if let BasicValueEnum::PointerValue(address) = constant
            && let Some(number) = number(address)
        {
            let kind = address.get_type();
            let address = self.builder.build_int_to_ptr(number, kind, "");
            return Ok(Some(address.map_err(text)?.into()));
        }
        let Some(Compound { operation, parts }) = compound(constant) else {
            return Ok(None);
        };
        // Not by way of an address, which would hide the number's range.
        if let (Some(LLVMOpcode::LLVMPtrToInt), [BasicValueEnum::PointerValue(address)]) =
            (operation, &*parts)
            && let Some(number) = number(*address)
            && let BasicTypeEnum::IntType(kind) = constant.get_type()
        {
            return match kind.get_bit_width() {
                64 => Ok(Some(number.into())),
                bits if bits < 64 => {
                    let low = self.builder.build_int_truncate(number, kind, "");
                    Ok(Some(low.map_err(text)?.into()))
                }
                bits => Err(format!("it has {bits} bits")),
            };
        }
        let mut spread = Vec::with_capacity(parts.len());
        let mut has_hole = false;
        for part in parts {
            let new = self.spread(part, number)?;
            has_hole |= new.is_some();
            spread.push(new.unwrap_or(part));
        }
        if !has_hole {
            return Ok(None);
        }
        let built = match operation {
            Some(operation) => self.compute(operation, constant, &spread),
            None => self.assemble_parts(constant, &spread),
        };
        match built.map_err(text)? {
            Some(built) => Ok(Some(built)),
            None => Err("it is used in a constant that is not understood".to_owned()),
        }
    }

    /// What a constant expression computes.
    fn compute(
        &self,
        operation: LLVMOpcode,
        constant: BasicValueEnum<'ctx>,
        parts: &[BasicValueEnum<'ctx>],
    ) -> Result<Option<BasicValueEnum<'ctx>>, BuilderError> {
        use BasicValueEnum::{IntValue as Int, PointerValue as Pointer, VectorValue as Vector};
        use LLVMOpcode as Op;
        let builder = &self.builder;
        let kind = constant.get_type();
        Ok(Some(match (operation, parts) {
            (Op::LLVMBitCast, &[part]) => builder.build_bit_cast(part, kind, "")?,
            (Op::LLVMIntToPtr, &[Int(part)]) => builder
                .build_int_to_ptr(part, self.context.ptr_type(Default::default()), "")?
                .into(),
            (Op::LLVMPtrToInt, &[Pointer(part)]) => builder
                .build_ptr_to_int(part, kind.into_int_type(), "")?
                .into(),
            (Op::LLVMTrunc, &[Int(part)]) => builder
                .build_int_truncate(part, kind.into_int_type(), "")?
                .into(),
            (Op::LLVMAdd, &[Int(left), Int(right)]) => {
                builder.build_int_add(left, right, "")?.into()
            }
            (Op::LLVMSub, &[Int(left), Int(right)]) => {
                builder.build_int_sub(left, right, "")?.into()
            }
            (Op::LLVMMul, &[Int(left), Int(right)]) => {
                builder.build_int_mul(left, right, "")?.into()
            }
            (Op::LLVMXor, &[Int(left), Int(right)]) => builder.build_xor(left, right, "")?.into(),
            (Op::LLVMShl, &[Int(left), Int(right)]) => {
                builder.build_left_shift(left, right, "")?.into()
            }
            (Op::LLVMExtractElement, &[Vector(from), Int(index)]) => {
                builder.build_extract_element(from, index, "")?
            }
            (Op::LLVMInsertElement, &[Vector(into), element, Int(index)]) => builder
                .build_insert_element(into, element, index, "")?
                .into(),
            (Op::LLVMGetElementPtr, [Pointer(base), indices @ ..]) => {
                let indices: Vec<IntValue<'ctx>> = indices
                    .iter()
                    .filter_map(|index| match index {
                        Int(index) => Some(*index),
                        _ => None,
                    })
                    .collect();
                match constant {
                    Pointer(constant) if indices.len() + 1 == parts.len() => {
                        same_part(builder, constant, *base, &indices)?.into()
                    }
                    _ => return Ok(None),
                }
            }
            _ => return Ok(None),
        }))
    }

    /// A vector, structure or array of these.
    fn assemble_parts(
        &self,
        constant: BasicValueEnum<'ctx>,
        parts: &[BasicValueEnum<'ctx>],
    ) -> Result<Option<BasicValueEnum<'ctx>>, BuilderError> {
        let builder = &self.builder;
        let word = self.context.i64_type();
        let parts = (0u32..).zip(parts.iter().copied());
        Ok(Some(match constant.get_type() {
            BasicTypeEnum::VectorType(kind) => {
                let mut whole = kind.get_poison();
                for (index, part) in parts {
                    let index = word.const_int(index.into(), false);
                    whole = builder.build_insert_element(whole, part, index, "")?;
                }
                whole.into()
            }
            BasicTypeEnum::StructType(kind) => {
                let mut whole = kind.get_poison();
                for (index, part) in parts {
                    let next = builder.build_insert_value(whole, part, index, "")?;
                    whole = next.into_struct_value();
                }
                whole.into()
            }
            BasicTypeEnum::ArrayType(kind) => {
                let mut whole = kind.get_poison();
                for (index, part) in parts {
                    let next = builder.build_insert_value(whole, part, index, "")?;
                    whole = next.into_array_value();
                }
                whole.into()
            }
            _ => return Ok(None),
        }))
    }

    /// Makes instructions of what the function's constants compute from holes.
    ///
    /// # Errors
    /// The hole's address, and how it is used.
    pub(super) fn spread_constants(
        &self,
        function: FunctionValue<'ctx>,
        is_hole: &dyn Fn(PointerValue<'ctx>) -> bool,
        number_at_entry: &mut dyn FnMut(PointerValue<'ctx>) -> Result<IntValue<'ctx>, String>,
    ) -> Result<(), (PointerValue<'ctx>, String)> {
        // What comes from one block is one value.
        let mut from_blocks = Vec::new();
        for Made {
            user,
            index,
            constant,
            of,
        } in made_of_holes(function, is_hole)
        {
            let Some(&first) = of.first() else {
                continue;
            };
            let refuse = |reason: String| (first, format!("{reason}: {}", user.print_to_string()));
            let mut numbers = Vec::with_capacity(of.len());
            for hole in of {
                numbers.push((hole, number_at_entry(hole).map_err(refuse)?));
            }
            let from = match PhiValue::try_from(user) {
                Ok(phi) => phi.get_incoming(index).map(|(_, block)| block),
                Err(_) => None,
            };
            let known = from_blocks
                .iter()
                .find(|(phi, block, _)| *phi == user && Some(*block) == from);
            if let Some(&(_, _, new)) = known {
                let _: &BasicValueEnum<'ctx> = &new;
                user.set_operand(index, new);
                continue;
            }
            match from.map(|block| block.get_terminator()) {
                Some(Some(end)) => self.builder.position_before(&end),
                Some(None) => continue,
                None => self.builder.position_before(&user),
            }
            let number = |address| {
                let known = numbers.iter().find(|(hole, _)| *hole == address);
                known.map(|(_, number)| *number)
            };
            if let Some(new) = self.spread(constant, &number).map_err(refuse)? {
                user.set_operand(index, new);
                if let Some(block) = from {
                    from_blocks.push((user, block, new));
                }
            }
        }
        Ok(())
    }
}
