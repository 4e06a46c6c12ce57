//! Constant inputs made immediates. LLVM takes a symbol for an address, and gives most instructions a register with all
//! 64 bits of it. So a constant input is opaque while LLVM optimises (see `builder::entry`), and afterwards the uses that
//! x86-64 has an immediate form for are rewritten: those that LLVM selects rightly with the symbol itself as an operand,
//! the others with inline assembly. What is left has the constant in a register, with a `mov` of 32 bits.

use crate::builder::CONSTANT_INPUT;
use crate::error::TemplateError;
use inkwell::IntPredicate;
use inkwell::builder::Builder;
use inkwell::context::ContextRef;
use inkwell::module::Module;
use inkwell::types::BasicMetadataTypeEnum;
use inkwell::values::{
    AnyValue, AnyValueEnum, BasicMetadataValueEnum, BasicValue, BasicValueEnum, CallSiteValue,
    FunctionValue, InstructionOpcode, InstructionValue, IntValue, PointerValue,
};

type Built<T> = Result<T, TemplateError>;

/// Rewrites every function of an optimised module.
pub(crate) fn make_immediates<'ctx>(module: &Module<'ctx>) -> Built<()> {
    let context = module.get_context();
    let builder = context.create_builder();
    for function in module.get_functions() {
        for constant in constants(function) {
            Rewriter {
                context,
                builder: &builder,
                constant,
            }
            .run()?;
        }
    }
    Ok(())
}

/// A constant input.
#[derive(Clone, Copy)]
struct Constant<'ctx> {
    /// The instruction that has it in a register.
    instruction: InstructionValue<'ctx>,
    symbol: PointerValue<'ctx>,
    /// The symbol as a number.
    word: IntValue<'ctx>,
}

/// The constants of a function. They stand in its first block.
fn constants(function: FunctionValue<'_>) -> Vec<Constant<'_>> {
    let Some(entry) = function.get_first_basic_block() else {
        return Vec::new();
    };
    let is_constant = |instruction: &InstructionValue<'_>| {
        let name = instruction.get_name();
        name.is_some_and(|name| name.to_bytes().starts_with(CONSTANT_INPUT.as_bytes()))
    };
    entry
        .get_instructions()
        .filter(is_constant)
        .filter_map(|instruction| {
            let symbol = match instruction.get_operand(0)?.value()? {
                BasicValueEnum::PointerValue(symbol) => symbol,
                _ => return None,
            };
            let word = symbol.const_to_int(instruction.get_type().into_int_type());
            Some(Constant {
                instruction,
                symbol,
                word,
            })
        })
        .collect()
}

struct Rewriter<'b, 'ctx> {
    context: ContextRef<'ctx>,
    builder: &'b Builder<'ctx>,
    constant: Constant<'ctx>,
}

impl<'ctx> Rewriter<'_, 'ctx> {
    fn run(&self) -> Built<()> {
        for user in users(self.constant.instruction) {
            self.rewrite(user)?;
        }
        if self.constant.instruction.get_first_use().is_none() {
            self.constant.instruction.erase_from_basic_block();
        }
        Ok(())
    }

    fn rewrite(&self, user: InstructionValue<'ctx>) -> Built<()> {
        use InstructionOpcode as Op;
        // Neither would LLVM be asked to compute with two symbols, nor to compare one with a number: it takes an address
        // for different from every number.
        if user.get_opcode() != Op::Store && (0..2).any(|index| is_literal(user, index)) {
            return self.drop_mask(user);
        }
        let (left, right) = (self.is_operand(user, 0), self.is_operand(user, 1));
        match user.get_opcode() {
            Op::Add if left != right => self.put_right(user),
            Op::Store if left && !right => self.put(user, 0),
            Op::ICmp if right => self.put(user, 1),
            Op::ICmp if left => return self.compare_swapped(user),
            Op::Sub if right && !left => return self.replace(user, 0, "subq $2, $0"),
            Op::And if left != right && only_compared_with_zero(user) => {
                return self.test(user, u32::from(left));
            }
            Op::And if left != right => return self.replace(user, left.into(), "andq $2, $0"),
            Op::Or if left != right => return self.replace(user, left.into(), "orq $2, $0"),
            Op::Xor if left != right => return self.replace(user, left.into(), "xorq $2, $0"),
            Op::Mul if left != right => return self.multiply(user, u32::from(left)),
            Op::Shl if right && !left => return self.replace(user, 0, "shlq $2, $0"),
            Op::LShr if right && !left => return self.replace(user, 0, "shrq $2, $0"),
            Op::AShr if right && !left => return self.replace(user, 0, "sarq $2, $0"),
            Op::Call => return self.rewrite_call(user),
            _ => {}
        }
        Ok(())
    }

    fn rewrite_call(&self, user: InstructionValue<'ctx>) -> Built<()> {
        let Ok(call) = CallSiteValue::try_from(user) else {
            return Ok(());
        };
        let Some(function) = call.get_called_fn_value() else {
            // Inline assembly, whose operand may be an immediate; see `TemplateBuilder::checked`.
            if self.is_operand(user, 1) && !self.is_operand(user, 0) {
                self.put(user, 1);
            }
            return Ok(());
        };
        let name = function.get_name().to_string_lossy().into_owned();
        let overflow = name.contains(".with.overflow.");
        let rotation = [("llvm.fshl.", "rolq $2, $0"), ("llvm.fshr.", "rorq $2, $0")]
            .into_iter()
            .find(|(prefix, _)| name.starts_with(prefix));
        let (left, right) = (self.is_operand(user, 0), self.is_operand(user, 1));
        if name.starts_with("llvm.smul.with.overflow.") && left != right {
            return self.multiply_checked(user, u32::from(left));
        } else if overflow && left != right && (right || !name.starts_with("llvm.ssub")) {
            self.put_right(user);
        } else if let Some((_, text)) = rotation
            && self.is_operand(user, 2)
            && operand(user, 0) == operand(user, 1)
            && !self.is_operand(user, 0)
        {
            return self.replace(user, 0, text);
        }
        Ok(())
    }

    fn is_operand(&self, user: InstructionValue<'ctx>, index: u32) -> bool {
        let constant = self.constant.instruction;
        operand(user, index).and_then(|value| value.as_instruction_value()) == Some(constant)
    }

    /// Puts the symbol itself in.
    fn put(&self, user: InstructionValue<'ctx>, index: u32) {
        user.set_operand(index, self.constant.word);
    }

    /// Puts the symbol in on the right, of an operation that does not mind where the operands stand if it is on the left.
    fn put_right(&self, user: InstructionValue<'ctx>) {
        if self.is_operand(user, 0)
            && let Some(other) = operand(user, 1)
        {
            user.set_operand(0, other);
        }
        self.put(user, 1);
    }

    fn compare_swapped(&self, user: InstructionValue<'ctx>) -> Built<()> {
        let (Some(predicate), Some(BasicValueEnum::IntValue(other))) =
            (user.get_icmp_predicate(), operand(user, 1))
        else {
            return Ok(());
        };
        self.builder.position_before(&user);
        let compared =
            self.builder
                .build_int_compare(swapped(predicate), other, self.constant.word, "")?;
        self.take_place(user, compared.into());
        Ok(())
    }

    /// Removes the mask of a shift count, which is as small as the mask says.
    fn drop_mask(&self, user: InstructionValue<'ctx>) -> Built<()> {
        let limit = self.limit();
        let masks =
            (0..2).any(|index| literal(user, index).is_some_and(|mask| mask & limit == limit));
        if user.get_opcode() != InstructionOpcode::And || !masks {
            return Ok(());
        }
        let constant = self.constant.instruction;
        user.replace_all_uses_with(&constant);
        user.erase_from_basic_block();
        for user in users(constant) {
            self.rewrite(user)?;
        }
        Ok(())
    }

    /// The largest value, where it is not signed.
    fn limit(&self) -> u64 {
        let name = self
            .constant
            .symbol
            .get_name()
            .to_string_lossy()
            .into_owned();
        match crate::symbol::HoleSymbol::parse(&name) {
            Ok(Some(hole)) if !hole.signed => hole.max(),
            _ => u64::MAX,
        }
    }

    /// `and` that only sets the flags.
    fn test(&self, user: InstructionValue<'ctx>, other: u32) -> Built<()> {
        let Some(value) = operand(user, other) else {
            return Ok(());
        };
        for comparison in users(user) {
            let Some(predicate) = comparison.get_icmp_predicate() else {
                continue;
            };
            let flag = match predicate {
                IntPredicate::EQ => "={@ccz},r,i,~{flags}",
                _ => "={@ccnz},r,i,~{flags}",
            };
            self.builder.position_before(&comparison);
            let byte = self.context.i8_type();
            let operands = [value.into(), self.constant.symbol.into()];
            let Some(BasicValueEnum::IntValue(set)) =
                self.assemble(byte.into(), "testq $2, $1", flag, &operands)?
            else {
                continue;
            };
            let set =
                self.builder
                    .build_int_compare(IntPredicate::NE, set, byte.const_zero(), "")?;
            self.take_place(comparison, set.into());
        }
        if user.get_first_use().is_none() {
            user.erase_from_basic_block();
        }
        Ok(())
    }

    /// Replaces an instruction by one that has the constant as an immediate and puts its result where the other operand
    /// was.
    fn replace(&self, user: InstructionValue<'ctx>, other: u32, text: &str) -> Built<()> {
        self.assemble_for(user, other, text, "=r,0,i,~{flags}")
    }

    fn multiply(&self, user: InstructionValue<'ctx>, other: u32) -> Built<()> {
        self.assemble_for(user, other, "imulq $2, $1, $0", "=r,r,i,~{flags}")
    }

    /// A product and whether it overflows: each is taken out of the pair on its own.
    fn multiply_checked(&self, user: InstructionValue<'ctx>, other: u32) -> Built<()> {
        let word = self.context.i64_type();
        let Some(BasicValueEnum::IntValue(value)) = operand(user, other) else {
            return Ok(());
        };
        let parts = users(user);
        let is_part = |part: &InstructionValue<'ctx>| {
            part.get_opcode() == InstructionOpcode::ExtractValue && part.get_indices().len() == 1
        };
        if value.get_type() != word || !parts.iter().all(is_part) {
            return Ok(());
        }
        self.builder.position_before(&user);
        let byte = self.context.i8_type();
        let pair = self.context.struct_type(&[word.into(), byte.into()], false);
        let operands = [value.into(), self.constant.symbol.into()];
        let constraints = "=r,={@cco},r,i,~{flags}";
        let pair = self.assemble(pair.into(), "imulq $3, $2, $0", constraints, &operands)?;
        let Some(BasicValueEnum::StructValue(pair)) = pair else {
            return Ok(());
        };
        let product = self.builder.build_extract_value(pair, 0, "")?;
        let overflows = self.builder.build_extract_value(pair, 1, "")?;
        let overflows = self.builder.build_int_compare(
            IntPredicate::NE,
            overflows.into_int_value(),
            byte.const_zero(),
            "",
        )?;
        for part in parts {
            match part.get_indices().first() {
                Some(0) => self.take_place(part, product),
                _ => self.take_place(part, overflows.into()),
            }
        }
        if user.get_first_use().is_none() {
            user.erase_from_basic_block();
        }
        Ok(())
    }

    fn assemble_for(
        &self,
        user: InstructionValue<'ctx>,
        other: u32,
        text: &str,
        constraints: &str,
    ) -> Built<()> {
        let AnyValueEnum::IntValue(result) = user.as_any_value_enum() else {
            return Ok(());
        };
        let kind = result.get_type();
        // Narrower ones are too rare to have instructions of their own.
        let (Some(value), 64) = (operand(user, other), kind.get_bit_width()) else {
            return Ok(());
        };
        self.builder.position_before(&user);
        let operands = [value.into(), self.constant.symbol.into()];
        if let Some(new) = self.assemble(kind.into(), text, constraints, &operands)? {
            self.take_place(user, new);
        }
        Ok(())
    }

    fn assemble(
        &self,
        kind: inkwell::types::BasicTypeEnum<'ctx>,
        text: &str,
        constraints: &str,
        operands: &[BasicMetadataValueEnum<'ctx>],
    ) -> Built<Option<BasicValueEnum<'ctx>>> {
        use inkwell::types::BasicType;
        let kinds: Vec<BasicMetadataTypeEnum<'ctx>> = operands
            .iter()
            .map(|operand| match operand {
                BasicMetadataValueEnum::IntValue(value) => value.get_type().into(),
                _ => self.context.ptr_type(Default::default()).into(),
            })
            .collect();
        let signature = kind.fn_type(&kinds, false);
        let assembly = self.context.create_inline_asm(
            signature,
            text.to_owned(),
            constraints.to_owned(),
            false,
            false,
            None,
            false,
        );
        let call = self
            .builder
            .build_indirect_call(signature, assembly, operands, "")?;
        Ok(call.try_as_basic_value().basic())
    }

    /// Puts a value where an instruction's result was.
    fn take_place(&self, user: InstructionValue<'ctx>, new: BasicValueEnum<'ctx>) {
        if let Some(new) = new.as_instruction_value() {
            user.replace_all_uses_with(&new);
            user.erase_from_basic_block();
        }
    }
}

pub(crate) fn operand<'ctx>(
    user: InstructionValue<'ctx>,
    index: u32,
) -> Option<BasicValueEnum<'ctx>> {
    user.get_operand(index)?.value()
}

fn literal(user: InstructionValue<'_>, index: u32) -> Option<u64> {
    match operand(user, index)? {
        BasicValueEnum::IntValue(value) => value.get_zero_extended_constant(),
        _ => None,
    }
}

/// Whether an operand is a number, or another symbol.
fn is_literal(user: InstructionValue<'_>, index: u32) -> bool {
    match operand(user, index) {
        Some(BasicValueEnum::IntValue(value)) => value.is_const(),
        _ => false,
    }
}

/// The instructions that use a value, each once.
pub(crate) fn users(instruction: InstructionValue<'_>) -> Vec<InstructionValue<'_>> {
    let uses = std::iter::successors(instruction.get_first_use(), |found| found.get_next_use());
    let mut users: Vec<InstructionValue<'_>> = Vec::new();
    for found in uses {
        let user = match found.get_user() {
            AnyValueEnum::InstructionValue(user) => Some(user),
            AnyValueEnum::IntValue(value) => value.as_instruction_value(),
            AnyValueEnum::PointerValue(value) => value.as_instruction_value(),
            AnyValueEnum::FloatValue(value) => value.as_instruction_value(),
            AnyValueEnum::StructValue(value) => value.as_instruction_value(),
            _ => None,
        };
        if let Some(user) = user
            && !users.contains(&user)
        {
            users.push(user);
        }
    }
    users
}

fn only_compared_with_zero(instruction: InstructionValue<'_>) -> bool {
    let users = users(instruction);
    !users.is_empty()
        && users.into_iter().all(|user| {
            let equality = matches!(
                user.get_icmp_predicate(),
                Some(IntPredicate::EQ | IntPredicate::NE)
            );
            equality && literal(user, 1) == Some(0)
        })
}

/// The comparison that says of operands the other way round what this one says.
pub(crate) fn swapped(predicate: IntPredicate) -> IntPredicate {
    match predicate {
        IntPredicate::EQ | IntPredicate::NE => predicate,
        IntPredicate::UGT => IntPredicate::ULT,
        IntPredicate::UGE => IntPredicate::ULE,
        IntPredicate::ULT => IntPredicate::UGT,
        IntPredicate::ULE => IntPredicate::UGE,
        IntPredicate::SGT => IntPredicate::SLT,
        IntPredicate::SGE => IntPredicate::SLE,
        IntPredicate::SLT => IntPredicate::SGT,
        IntPredicate::SLE => IntPredicate::SGE,
    }
}
