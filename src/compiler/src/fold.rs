//! Holes put where they are used. While LLVM optimises, a hole of a template from IR is the result of a function that
//! nobody defines (see `ir`). Afterwards, what is computed from such results and from constants alone is found, as an
//! [`Expression`], and its uses get a symbol that stands for the finished number: an immediate, a displacement, or 64
//! bits in a register.
//!
//! What LLVM does with a symbol depends on the range that it is told, and it takes every symbol for an address. So a
//! symbol is an operand only where no constant stands beside it, of which LLVM would believe that it is another number;
//! elsewhere inline assembly puts it in a register.

use crate::addresses::{ADDRESS, DISTANCE, comes_back, is_small, part};
use crate::constants::swapped;
use crate::contract::Addresses;
use crate::dominance::Dominance;
use crate::error::IrProblem;
use crate::expression::{Expression, Operation, fits_signed, fits_unsigned};
use crate::ir::{OPAQUE, function_using};
use crate::module::{address_beyond, assemble};
use crate::symbol::{HoleSymbol, SymbolMeanings};
use inkwell::GlobalVisibility;
use inkwell::basic_block::BasicBlock;
use inkwell::builder::{Builder, BuilderError};
use inkwell::context::ContextRef;
use inkwell::module::Module;
use inkwell::targets::TargetData;
use inkwell::types::{BasicTypeEnum, IntType};
use inkwell::values::{
    AnyValue, BasicValue, BasicValueEnum, CallSiteValue, FunctionValue, InstructionOpcode,
    InstructionValue, IntValue, PointerValue,
};
use mimeo::hole::MAX_SHIFT;
use std::collections::{BTreeMap, HashMap};

/// What the symbols of numbers begin with.
const NUMBER: &str = "mimeo.number.";

/// How symbols stand for numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// By the names of holes in tables, which can be shifted but not computed with.
    Holes,
    /// By names of their own, for whatever can be computed; addresses stand in words of the data.
    Numbers {
        /// Whether numbers of 32 bits that are not known to be positive may be operands of instructions of 32 bits.
        wide_operands: bool,
        /// Where addresses, and other numbers of 64 bits, stand.
        addresses: Addresses,
    },
}

/// The numbers that symbols stand for, by their names.
pub(crate) type Numbers = BTreeMap<String, Expression>;

/// Puts the holes of all functions where they are used.
///
/// # Errors
/// The function in which a hole is used as none can be, and how.
pub(crate) fn fold(
    module: &Module<'_>,
    data: &TargetData,
    holes: &SymbolMeanings,
    style: Style,
) -> Result<Numbers, (String, IrProblem)> {
    let context = module.get_context();
    let mut folder = Folder {
        module,
        context,
        builder: context.create_builder(),
        data,
        holes,
        style,
        known: HashMap::new(),
        numbers: BTreeMap::new(),
        symbols: HashMap::new(),
        in_words: false,
        uses: HashMap::new(),
    };
    for function in module.get_functions() {
        folder.fold_function(function).map_err(|error| {
            let name = function.get_name().to_string_lossy().into_owned();
            let reason = error.to_string();
            let symbol = "(of the function)".to_owned();
            (name, IrProblem::Hole { symbol, reason })
        })?;
    }
    match left_over(module) {
        Some((function, symbol)) => {
            let reason = "it is used in a way that is not understood".to_owned();
            Err((function, IrProblem::Hole { symbol, reason }))
        }
        None => Ok(folder.numbers),
    }
}

/// A function in which a hole is left, and which hole.
fn left_over(module: &Module<'_>) -> Option<(String, String)> {
    let opaque = |name: &str| {
        [OPAQUE, DISTANCE, ADDRESS]
            .into_iter()
            .find_map(|prefix| name.strip_prefix(prefix).map(str::to_owned))
    };
    module.get_functions().find_map(|function| {
        let symbol = opaque(function.get_name().to_str().ok()?)?;
        let address = function.as_global_value().as_pointer_value();
        address.get_first_use()?;
        Some((function_using(address).unwrap_or_default(), symbol))
    })
}

struct Folder<'m, 'ctx> {
    module: &'m Module<'ctx>,
    context: ContextRef<'ctx>,
    builder: Builder<'ctx>,
    data: &'m TargetData,
    holes: &'m SymbolMeanings,
    style: Style,
    /// What instructions compute, if it depends on holes and constants alone.
    known: HashMap<InstructionValue<'ctx>, Option<Expression>>,
    numbers: Numbers,
    symbols: HashMap<(Expression, bool), PointerValue<'ctx>>,
    /// Whether numbers of 64 bits stand in words of the data, and not in the code.
    in_words: bool,
    /// What operands of the function each expression is: how many, and whether something is called behind the first.
    uses: HashMap<Expression, (usize, bool)>,
}

type Built<T> = Result<T, BuilderError>;

/// Numbers of 64 bits that are in registers: they are worth keeping.
struct Words<'ctx> {
    dominance: Dominance<'ctx>,
    known: Vec<(Expression, BasicBlock<'ctx>, IntValue<'ctx>)>,
}

impl<'ctx> Folder<'_, 'ctx> {
    fn fold_function(&mut self, function: FunctionValue<'ctx>) -> Built<()> {
        if function.get_first_basic_block().is_none() {
            return Ok(());
        }
        let dominance = Dominance::of(function);
        let instructions: Vec<InstructionValue<'ctx>> = dominance
            .blocks()
            .iter()
            .flat_map(|block| block.get_instructions())
            .collect();
        self.in_words = match self.style {
            Style::Numbers {
                addresses: Addresses::InData,
                ..
            } => is_small(function),
            _ => false,
        };
        self.count_uses(&instructions, &dominance);
        let mut words = Words {
            dominance,
            known: Vec::new(),
        };
        for &instruction in &instructions {
            if self.expression(instruction).is_none() {
                self.fold_operands(instruction, &mut words)?;
            }
        }
        // Nobody uses them any more, the last first.
        let mut left: Vec<_> = instructions
            .into_iter()
            .filter(|&instruction| self.expression(instruction).is_some())
            .collect();
        while let Some(unused) = left
            .iter()
            .rposition(|instruction| instruction.get_first_use().is_none())
        {
            left.remove(unused).erase_from_basic_block();
        }
        self.known.clear();
        Ok(())
    }

    fn count_uses(&mut self, instructions: &[InstructionValue<'ctx>], dominance: &Dominance<'ctx>) {
        self.uses.clear();
        let calls: Vec<BasicBlock<'ctx>> = instructions
            .iter()
            .filter(|&&instruction| comes_back(instruction))
            .filter_map(|call| call.get_parent())
            .collect();
        for &user in instructions {
            if self.expression(user).is_some() {
                continue;
            }
            for index in 0..user.get_num_operands() {
                if let Some(used) = self.operand(user, index) {
                    let home = user.get_parent();
                    let is_below = |call: &BasicBlock<'ctx>| {
                        home.is_none_or(|home| dominance.dominates(home, *call))
                    };
                    let uses = self.uses.entry(used);
                    uses.or_insert_with(|| (0, calls.iter().any(is_below))).0 += 1;
                }
            }
        }
    }

    // ---- What is computed -------------------------------------------------------------------------------------

    /// What an instruction computes, if that can be a symbol.
    fn expression(&mut self, instruction: InstructionValue<'ctx>) -> Option<Expression> {
        if let Some(known) = self.known.get(&instruction) {
            return known.clone();
        }
        // For what depends on itself, through a phi.
        self.known.insert(instruction, None);
        let found = self
            .computed(instruction)
            .filter(|expression| self.can_stand(expression));
        self.known.insert(instruction, found.clone());
        found
    }

    fn can_stand(&self, expression: &Expression) -> bool {
        match self.style {
            Style::Holes => self.hole_of(expression).is_some(),
            Style::Numbers { .. } => true,
        }
    }

    /// The hole that an expression is in a table.
    fn hole_of(&self, expression: &Expression) -> Option<HoleSymbol> {
        let of = |value, bits| match bits {
            64 => HoleSymbol::address(value),
            bits => HoleSymbol::number(value, bits),
        };
        match expression {
            Expression::Hole { value, bits } => Some(of(*value, *bits)),
            Expression::Binary(operation, left, right) => {
                let (Expression::Hole { value, bits }, Expression::Constant(by)) =
                    (&**left, &**right)
                else {
                    return None;
                };
                let shift = match operation {
                    Operation::ShiftLeft => u8::try_from(*by).ok()?,
                    Operation::Multiply if by.count_ones() == 1 => by.trailing_zeros() as u8,
                    _ => return None,
                };
                let fits = (1..=MAX_SHIFT).contains(&shift) && bits + shift < 32;
                fits.then(|| of(*value, *bits).shifted(shift))
            }
            _ => None,
        }
    }

    fn computed(&mut self, instruction: InstructionValue<'ctx>) -> Option<Expression> {
        use InstructionOpcode as Op;
        let bits = self.bits_of(instruction)?;
        let operation = match instruction.get_opcode() {
            Op::Call => return self.called_hole(instruction),
            Op::IntToPtr | Op::PtrToInt => {
                return self.operand(instruction, 0).filter(|_| bits == 64);
            }
            Op::Trunc => return Some(self.operand(instruction, 0)?.low(bits)),
            Op::ZExt => {
                let number = self.operand(instruction, 0)?;
                return (*number.range().start() >= 0).then_some(number);
            }
            Op::SExt => {
                let from = self.bits_of_operand(instruction, 0)?;
                return Some(self.operand(instruction, 0)?.signed_low(from));
            }
            Op::GetElementPtr => return self.address(instruction),
            Op::Add => Operation::Add,
            Op::Sub => Operation::Subtract,
            Op::Mul => Operation::Multiply,
            Op::Shl => Operation::ShiftLeft,
            Op::LShr | Op::AShr => Operation::ShiftRight,
            Op::And => Operation::And,
            // Without a bit in common that is the sum.
            Op::Or if is_disjoint(instruction) => Operation::Add,
            Op::Or => Operation::Or,
            Op::Xor => Operation::ExclusiveOr,
            _ => return None,
        };
        let (left, right) = (
            self.operand_or_constant(instruction, 0)?,
            self.operand_or_constant(instruction, 1)?,
        );
        if matches!(
            (&left, &right),
            (Expression::Constant(_), Expression::Constant(_))
        ) {
            return None;
        }
        // Shifted left and back is the low part, with its sign.
        if let (Op::AShr, Expression::Binary(Operation::ShiftLeft, number, by), true) =
            (instruction.get_opcode(), &left, bits == 64)
            && **by == right
            && let Expression::Constant(by @ 1..64) = right
        {
            return Some((**number).clone().signed_low(64 - by as u8));
        }
        // A mask of all bits but some is not a negative number.
        let unsigned = |side: Expression| match side {
            Expression::Constant(mask) if bits < 64 => {
                Expression::Constant(mask & ((1 << bits) - 1))
            }
            other => other,
        };
        let (left, right) = match operation {
            Operation::And | Operation::Or | Operation::ExclusiveOr => {
                (unsigned(left), unsigned(right))
            }
            _ => (left, right),
        };
        // All bits changed is -1 less the number, of which it is known how small it can be.
        let (operation, left, right) = match (operation, &right) {
            (Operation::ExclusiveOr, Expression::Constant(mask)) if is_all(*mask, bits) => {
                (Operation::Subtract, Expression::Constant(-1), left)
            }
            _ => (operation, left, right),
        };
        let sign_matters = instruction.get_opcode() == Op::AShr
            && !fits_unsigned(&left.range(), bits.saturating_sub(1));
        let negative = *left.range().start() < 0 || *right.range().start() < 0;
        if sign_matters || (operation == Operation::ShiftRight && negative) {
            return None;
        }
        let is_wide = |number: &Expression| {
            let range = number.range();
            !fits_signed(&range, 32) && !fits_unsigned(&range, 32)
        };
        let is_narrow = !is_wide(&left) && !is_wide(&right);
        let result = Expression::binary(operation, left, right);
        // An instruction that scales costs less than an immediate of 64 bits.
        if is_narrow && is_wide(&result) && operation != Operation::Subtract {
            return None;
        }
        let range = result.range();
        let exact = bits == 64 || fits_unsigned(&range, bits) || fits_signed(&range, bits);
        let wraps = matches!(
            operation,
            Operation::Add | Operation::Subtract | Operation::Multiply | Operation::ShiftLeft
        );
        match exact {
            true => Some(result),
            false => wraps.then(|| result.low(bits)),
        }
    }

    /// The hole whose function is called.
    fn called_hole(&self, call: InstructionValue<'ctx>) -> Option<Expression> {
        let callee = CallSiteValue::try_from(call).ok()?.get_called_fn_value()?;
        let name = callee.get_name().to_str().ok()?;
        if let Some((from, to)) = name
            .strip_prefix(DISTANCE)
            .and_then(|addresses| addresses.split_once(' '))
        {
            let [from, to] = [from, to].map(|name| Expression::Address(name.to_owned()));
            return Some(Expression::binary(Operation::Subtract, to, from));
        }
        if let Some(name) = name.strip_prefix(ADDRESS) {
            return Some(Expression::Address(name.to_owned()));
        }
        let name = name.strip_prefix(OPAQUE)?;
        let (_, hole) = self.holes.holes().find(|(known, _)| *known == name)?;
        Some(Expression::Hole {
            value: hole.value,
            bits: hole.bits,
        })
    }

    /// The address of a part of something whose address is a hole, or of a part that depends on a hole.
    fn address(&mut self, instruction: InstructionValue<'ctx>) -> Option<Expression> {
        let base = match instruction.get_operand(0)?.value()? {
            BasicValueEnum::PointerValue(base) if base.is_const() => self.outside(base)?,
            _ => self.operand(instruction, 0)?,
        };
        let offset = self.offset(instruction)?;
        match (&base, &offset) {
            // Other parts of the same thing are near.
            (base, Expression::Constant(_)) if !base.depends_on(&|_| true) => None,
            (_, Expression::Constant(0)) => Some(base),
            _ => Some(Expression::binary(Operation::Add, base, offset)),
        }
    }

    /// The address of something that the module does not define, or of a part of it.
    fn outside(&self, address: PointerValue<'ctx>) -> Option<Expression> {
        let (base, offset) = part(self.module, address.into())?;
        let base = Expression::Address(base.get_name().to_str().ok()?.to_owned());
        Some(match offset {
            0 => base,
            offset => Expression::binary(Operation::Add, base, Expression::Constant(offset)),
        })
    }

    /// How far from its base an address is, if that is a number.
    fn offset(&mut self, instruction: InstructionValue<'ctx>) -> Option<Expression> {
        let mut kind = instruction.get_gep_source_element_type().ok()?;
        let mut offset = Expression::Constant(0);
        for index in 1..instruction.get_num_operands() {
            let number = self.index(instruction, index)?;
            let size = match (index, kind) {
                (1, kind) => self.data.get_abi_size(&kind),
                (_, BasicTypeEnum::ArrayType(array)) => {
                    kind = array.get_element_type();
                    self.data.get_abi_size(&kind)
                }
                (_, BasicTypeEnum::StructType(structure)) => {
                    let Expression::Constant(field) = number else {
                        return None;
                    };
                    let field = u32::try_from(field).ok()?;
                    kind = structure.get_field_type_at_index(field)?;
                    let start = self.data.offset_of_element(&structure, field)?;
                    let start = Expression::Constant(i64::try_from(start).ok()?);
                    offset = Expression::binary(Operation::Add, offset, start);
                    continue;
                }
                _ => return None,
            };
            let scaled = scaled(number, i64::try_from(size).ok()?);
            offset = match offset {
                Expression::Constant(0) => scaled,
                offset => Expression::binary(Operation::Add, offset, scaled),
            };
        }
        Some(offset)
    }

    /// An index, which is extended with its sign.
    fn index(&mut self, instruction: InstructionValue<'ctx>, index: u32) -> Option<Expression> {
        let bits = self.bits_of_operand(instruction, index)?;
        let number = self.operand_or_constant(instruction, index)?;
        (bits == 64 || fits_signed(&number.range(), bits)).then_some(number)
    }

    fn operand(&mut self, user: InstructionValue<'ctx>, index: u32) -> Option<Expression> {
        let value = user.get_operand(index)?.value()?;
        self.expression(value.as_instruction_value()?)
    }

    fn operand_or_constant(
        &mut self,
        user: InstructionValue<'ctx>,
        index: u32,
    ) -> Option<Expression> {
        if let BasicValueEnum::IntValue(value) = user.get_operand(index)?.value()?
            && let Some(number) = value.get_sign_extended_constant()
        {
            return Some(Expression::Constant(number));
        }
        self.operand(user, index)
    }

    fn bits_of(&self, instruction: InstructionValue<'ctx>) -> Option<u8> {
        use inkwell::types::AnyTypeEnum;
        match instruction.get_type() {
            AnyTypeEnum::IntType(kind) => u8::try_from(kind.get_bit_width()).ok(),
            AnyTypeEnum::PointerType(_) => Some(64),
            _ => None,
        }
        .filter(|bits| *bits <= 64)
    }

    fn bits_of_operand(&self, user: InstructionValue<'ctx>, index: u32) -> Option<u8> {
        match user.get_operand(index)?.value()?.get_type() {
            BasicTypeEnum::IntType(kind) => u8::try_from(kind.get_bit_width()).ok(),
            _ => None,
        }
        .filter(|bits| *bits <= 64)
    }

    // ---- Where it is used -------------------------------------------------------------------------------------

    /// Puts symbols in for an instruction's operands.
    fn fold_operands(
        &mut self,
        user: InstructionValue<'ctx>,
        words: &mut Words<'ctx>,
    ) -> Built<()> {
        if user.get_opcode() == InstructionOpcode::GetElementPtr && self.fold_offset(user, words)? {
            return Ok(());
        }
        for index in 0..user.get_num_operands() {
            let Some(expression) = self.operand(user, index) else {
                continue;
            };
            let Some(old) = user.get_operand(index).and_then(|operand| operand.value()) else {
                continue;
            };
            self.position_for(user, index)?;
            let stands_alone = self.stands_alone(user, index);
            let new = self.number(&expression, old.get_type(), stands_alone, words)?;
            user.set_operand(index, new);
        }
        if user.get_opcode() == InstructionOpcode::ICmp {
            self.put_right(user)?;
        }
        Ok(())
    }

    /// `base + offset`, where the offset is a number, as an address with a displacement.
    fn fold_offset(
        &mut self,
        user: InstructionValue<'ctx>,
        words: &mut Words<'ctx>,
    ) -> Built<bool> {
        let base = user.get_operand(0).and_then(|operand| operand.value());
        let Some(BasicValueEnum::PointerValue(base)) = base else {
            return Ok(false);
        };
        let Some(offset) = self.offset(user).filter(|offset| self.can_stand(offset)) else {
            return Ok(false);
        };
        let range = offset.range();
        let is_wide = !fits_signed(&range, 32) && !fits_unsigned(&range, 31);
        if is_wide || matches!(offset, Expression::Constant(_)) {
            return Ok(false);
        }
        self.builder.position_before(&user);
        let word = self.context.i64_type();
        // Beside a constant, LLVM would make one constant of both.
        let stands_alone = !base.is_const();
        let BasicValueEnum::IntValue(offset) =
            self.number(&offset, word.into(), stands_alone, words)?
        else {
            return Ok(false);
        };
        let address = address_beyond(self.context, &self.builder, base, offset)?;
        if let Some(address) = address.as_instruction_value() {
            user.replace_all_uses_with(&address);
            user.erase_from_basic_block();
        }
        Ok(true)
    }

    /// Goes to where a number for this operand must be computed, if it needs an instruction.
    fn position_for(&self, user: InstructionValue<'ctx>, index: u32) -> Built<()> {
        if let Ok(phi) = inkwell::values::PhiValue::try_from(user)
            && let Some((_, block)) = phi.get_incoming(index)
            && let Some(end) = block.get_terminator()
        {
            self.builder.position_before(&end);
        } else {
            self.builder.position_before(&user);
        }
        Ok(())
    }

    /// Whether LLVM can be given a symbol as this operand: it has an immediate for it, and nothing to conclude from what
    /// stands beside it.
    fn stands_alone(&mut self, user: InstructionValue<'ctx>, index: u32) -> bool {
        use InstructionOpcode as Op;
        let beside_number = (0..user.get_num_operands())
            .filter(|&other| other != index)
            .any(
                |other| match user.get_operand(other).and_then(|operand| operand.value()) {
                    Some(BasicValueEnum::IntValue(value)) => value.is_const(),
                    Some(BasicValueEnum::PointerValue(value)) => value.is_const(),
                    _ => false,
                },
            );
        match user.get_opcode() {
            Op::Store => true,
            Op::Call => CallSiteValue::try_from(user)
                .is_ok_and(|call| !call.get_called_fn_value().is_some_and(is_intrinsic)),
            Op::Load => true,
            Op::Return => true,
            Op::ICmp | Op::Add | Op::Sub | Op::GetElementPtr => !beside_number,
            _ => false,
        }
    }

    /// A comparison with a symbol, which x86 has on the right.
    fn put_right(&mut self, user: InstructionValue<'ctx>) -> Built<()> {
        let side = |index| user.get_operand(index).and_then(|operand| operand.value());
        let (Some(BasicValueEnum::IntValue(left)), Some(BasicValueEnum::IntValue(right))) =
            (side(0), side(1))
        else {
            return Ok(());
        };
        let Some(predicate) = user.get_icmp_predicate() else {
            return Ok(());
        };
        if !left.is_const() || right.is_const() {
            return Ok(());
        }
        self.builder.position_before(&user);
        let swapped = self
            .builder
            .build_int_compare(swapped(predicate), right, left, "")?;
        if let Some(swapped) = swapped.as_instruction_value() {
            user.replace_all_uses_with(&swapped);
            user.erase_from_basic_block();
        }
        Ok(())
    }

    /// A number of this type, built where the builder is.
    fn number(
        &mut self,
        expression: &Expression,
        kind: BasicTypeEnum<'ctx>,
        stands_alone: bool,
        words: &mut Words<'ctx>,
    ) -> Built<BasicValueEnum<'ctx>> {
        let range = expression.range();
        let symbol = self.symbol(expression);
        let kind = match kind {
            BasicTypeEnum::IntType(kind) => kind,
            // What is used again is kept in a register, unless a call would cost another one.
            _ if self.in_words
                && stands_alone
                && matches!(self.uses.get(expression), Some((1, _) | (_, true))) =>
            {
                return Ok(symbol.into());
            }
            _ => {
                let number = self.word(expression, symbol, words)?;
                let pointer = self.context.ptr_type(Default::default());
                return Ok(self.builder.build_int_to_ptr(number, pointer, "")?.into());
            }
        };
        let bits = kind.get_bit_width();
        let is_positive = fits_unsigned(&range, 31);
        let is_signed = fits_signed(&range, 32);
        let is_unsigned = fits_unsigned(&range, 32);
        let may_be_wide = matches!(
            self.style,
            Style::Numbers {
                wide_operands: true,
                ..
            }
        );
        match bits {
            64 if stands_alone && (is_positive || is_signed) => {
                return Ok(symbol.const_to_int(kind).into());
            }
            32 if stands_alone && (is_positive || (is_unsigned && may_be_wide)) => {
                return Ok(symbol.const_to_int(kind).into());
            }
            _ => {}
        }
        let word = self.context.i64_type();
        let half = self.context.i32_type();
        let number = match () {
            // The upper half of the register is zero then, which LLVM need not know.
            () if is_unsigned && bits == 64 => {
                self.move_immediate(symbol, word, "movl $1, ${0:k}")?
            }
            () if is_unsigned => self.move_immediate(symbol, half, "movl $1, $0")?,
            () if is_signed => self.move_immediate(symbol, word, "movq $1, $0")?,
            () => self.word(expression, symbol, words)?,
        };
        let narrower = bits < number.get_type().get_bit_width();
        Ok(match narrower {
            true => self.builder.build_int_truncate(number, kind, "")?.into(),
            false => number.into(),
        })
    }

    /// All 64 bits of a number, in a register that has them already where there is one.
    fn word(
        &mut self,
        expression: &Expression,
        symbol: PointerValue<'ctx>,
        words: &mut Words<'ctx>,
    ) -> Built<IntValue<'ctx>> {
        let here = self.builder.get_insert_block();
        let is_here = |&&(_, block, _): &&(Expression, BasicBlock<'ctx>, IntValue<'ctx>)| {
            here.is_some_and(|here| words.dominance.dominates(block, here))
        };
        let mut dominating = words.known.iter().filter(is_here);
        if let Some(&(_, _, value)) = dominating.clone().find(|(known, ..)| known == expression) {
            return Ok(value);
        }
        // An address is another one plus their distance, which is shorter.
        let near =
            dominating.find_map(|(known, _, value)| Some((distance(known, expression)?, *value)));
        if let (Some((distance, value)), false) = (near, self.in_words) {
            let word = self.context.i64_type();
            let distance = match distance {
                Expression::Constant(bytes) => word.const_int(bytes as u64, true),
                distance => self.symbol(&distance).const_to_int(word),
            };
            return self.builder.build_int_add(value, distance, "");
        }
        let word = self.context.i64_type();
        let value = match self.in_words {
            true => self.move_immediate(symbol, word, "")?,
            false => self.move_immediate(symbol, word, "movabsq $1, $0")?,
        };
        if let Some(here) = here {
            words.known.push((expression.clone(), here, value));
        }
        Ok(value)
    }

    fn move_immediate(
        &self,
        symbol: PointerValue<'ctx>,
        kind: IntType<'ctx>,
        text: &str,
    ) -> Built<IntValue<'ctx>> {
        let operands = if text.is_empty() { "=r,0" } else { "=r,i" };
        let moved = assemble(
            self.context,
            &self.builder,
            kind.into(),
            text,
            operands,
            symbol,
        )?;
        match moved {
            Some(BasicValueEnum::IntValue(value)) => Ok(value),
            _ => Ok(kind.get_poison()),
        }
    }

    /// The symbol that stands for a number.
    fn symbol(&mut self, expression: &Expression) -> PointerValue<'ctx> {
        let range = expression.range();
        let is_narrow = fits_unsigned(&range, 32) || fits_signed(&range, 32);
        let in_word = self.in_words && !is_narrow;
        if let Some(&symbol) = self.symbols.get(&(expression.clone(), in_word)) {
            return symbol;
        }
        let name = match self.style {
            Style::Holes => self.hole_of(expression).map(|hole| hole.to_string()),
            Style::Numbers { .. } => None,
        };
        let name = name.unwrap_or_else(|| {
            let name = format!("{NUMBER}{}", self.numbers.len());
            self.numbers.insert(name.clone(), expression.clone());
            name
        });
        let byte = self.context.i8_type();
        let global = self.module.get_global(&name);
        let global = global.unwrap_or_else(|| self.module.add_global(byte, None, &name));
        // Hidden means that it is reached without a global offset table.
        if !in_word {
            global.set_visibility(GlobalVisibility::Hidden);
        }
        if is_narrow {
            // Below 128, LLVM would choose fields of one byte, which C has no function to patch.
            let end = (*range.end()).max(255) + 1;
            let word = self.context.i64_type();
            let bounds = [*range.start() as u64, end as u64].map(|end| word.const_int(end, false));
            let bounds = self.context.metadata_node(&bounds.map(Into::into));
            global.set_metadata(bounds, self.context.get_kind_id("absolute_symbol"));
        }
        let symbol = global.as_pointer_value();
        self.symbols.insert((expression.clone(), in_word), symbol);
        symbol
    }
}

/// How far it is from one number to another, where that is a constant, or the distance of two addresses of the program.
fn distance(from: &Expression, to: &Expression) -> Option<Expression> {
    let ((from, before), (to, behind)) = (base_of(from), base_of(to));
    let bytes = behind.checked_sub(before)?;
    if from == to {
        let is_near = i32::try_from(bytes).is_ok();
        return is_near.then_some(Expression::Constant(bytes));
    }
    let (Expression::Address(_), Expression::Address(_)) = (from, to) else {
        return None;
    };
    let distance = Expression::binary(Operation::Subtract, to.clone(), from.clone());
    let sum = Expression::binary(Operation::Add, distance, Expression::Constant(bytes));
    // Something is added where it is used, too.
    const NEAR: i64 = 1 << 23;
    (-NEAR..NEAR).contains(&bytes).then_some(sum)
}

/// A number without the constant that is added, and that constant.
fn base_of(expression: &Expression) -> (&Expression, i64) {
    match expression {
        Expression::Binary(Operation::Add, base, offset) => match **offset {
            Expression::Constant(offset) => (base, offset),
            _ => (expression, 0),
        },
        _ => (expression, 0),
    }
}

fn scaled(number: Expression, size: i64) -> Expression {
    match (number, size) {
        (Expression::Constant(0), _) | (_, 0) => Expression::Constant(0),
        (number, 1) => number,
        (number, size) if size.count_ones() == 1 => {
            let shift = Expression::Constant(size.trailing_zeros().into());
            Expression::binary(Operation::ShiftLeft, number, shift)
        }
        (number, size) => {
            Expression::binary(Operation::Multiply, number, Expression::Constant(size))
        }
    }
}

/// Whether LLVM knows that the operands of an `or` have no bit in common.
fn is_disjoint(instruction: InstructionValue<'_>) -> bool {
    let text = instruction.print_to_string().to_string();
    text.contains(" = or disjoint ")
}

/// Whether a mask is of all bits of a number.
fn is_all(mask: i64, bits: u8) -> bool {
    mask == -1 || (bits < 64 && mask == (1 << bits) - 1)
}

fn is_intrinsic(function: FunctionValue<'_>) -> bool {
    function.get_name().to_bytes().starts_with(b"llvm.")
}
