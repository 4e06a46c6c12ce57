//! Addresses of functions and data, in code that may be anywhere: each stands in a word of the stencil's data, from which
//! the code takes it. That is a word for every stencil that needs it, so here some are done without, after LLVM's
//! optimisation:
//! - one of two addresses is the other plus their distance, or plus nothing: a number that is known when the stencil is
//!   patched;
//! - what is compared with the same address twice finds it in a register.
//!
//! And addresses near a parameter are computed where they are used, which instructions do for nothing: kept from elsewhere,
//! they take a register and a move.

use crate::arguments::is_own;
use crate::constants::{operand, users};
use crate::contract::Addresses;
use crate::dominance::Dominance;
use crate::module::{address_beyond, assemble};
use crate::target::PRESERVE_NONE;
use inkwell::basic_block::BasicBlock;
use inkwell::builder::{Builder, BuilderError};
use inkwell::context::ContextRef;
use inkwell::module::Module;
use inkwell::values::{
    AnyValue, BasicValue, BasicValueEnum, CallSiteValue, FunctionValue, InstructionOpcode,
    InstructionValue, IntValue, PhiValue, PointerValue,
};

type Built<T> = Result<T, BuilderError>;

/// What the names of functions begin with whose results are distances: the name of the address that is subtracted and that
/// of the other follow, with a space between them.
pub(crate) const DISTANCE: &str = "mimeo.distance ";

/// What the names of functions begin with whose results are addresses: the name of what is there follows.
pub(crate) const ADDRESS: &str = "mimeo.address ";

/// Saves words in all functions of an optimised module.
///
/// # Errors
/// An instruction cannot be built.
pub(crate) fn save_words(module: &Module<'_>, addresses: Addresses) -> Built<()> {
    let saver = Saver::of(module);
    for function in module.get_functions() {
        if function.get_first_basic_block().is_none() {
            continue;
        }
        for instruction in instructions(function) {
            match instruction.get_opcode() {
                // Small ones take either from memory.
                InstructionOpcode::Or => saver.mark_choices(instruction)?,
                _ if addresses == Addresses::InCode => {}
                InstructionOpcode::Select if is_small(function) => {}
                InstructionOpcode::Phi => saver.choose_by_distance(instruction)?,
                InstructionOpcode::Select => saver.select_by_distance(instruction)?,
                _ => {}
            }
        }
        match addresses {
            Addresses::InCode => saver.put_all_in_code(function)?,
            Addresses::InData if is_small(function) => {}
            Addresses::InData => saver.put_in_code(function)?,
        }
        if addresses == Addresses::InData && !has_calls(function) {
            saver.keep_compared(function)?;
        }
    }
    Ok(())
}

/// Computes addresses near a parameter where they are used, in all functions.
///
/// # Errors
/// An instruction cannot be built.
pub(crate) fn sink_addresses(module: &Module<'_>) -> Built<()> {
    let saver = Saver::of(module);
    for function in module.get_functions() {
        saver.sink_addresses(function)?;
        if function.get_call_conventions() == PRESERVE_NONE && function.count_basic_blocks() > 1 {
            saver.hand_over_together(function)?;
        }
    }
    Ok(())
}

fn instructions(function: FunctionValue<'_>) -> Vec<InstructionValue<'_>> {
    let blocks = function.get_basic_blocks().into_iter();
    blocks.flat_map(|block| block.get_instructions()).collect()
}

/// Functions of fewer instructions are small: there the three bytes matter by which code with an address is longer than
/// code that loads it.
const SMALL: usize = 26;

/// Functions of so many instructions are large: there words with what is compared are not worth six bytes of code.
const LARGE: usize = 64;

/// Whether words with addresses are better for a function than longer code. They are where C enters stencils, which leave no
/// register as it was to keep an address in.
pub(crate) fn is_small(function: FunctionValue<'_>) -> bool {
    function.get_call_conventions() != PRESERVE_NONE || instructions(function).len() < SMALL
}

/// Whether anything is called that comes back: then a register costs more than a word.
fn has_calls(function: FunctionValue<'_>) -> bool {
    instructions(function).into_iter().any(comes_back)
}

/// Whether an instruction calls something that comes back.
pub(crate) fn comes_back(instruction: InstructionValue<'_>) -> bool {
    CallSiteValue::try_from(instruction).is_ok_and(|call| {
        !call.get_called_fn_value().is_some_and(is_own)
            && call.get_call_convention() != PRESERVE_NONE
    })
}

/// An operand that is an address outside, or near one.
struct Use<'ctx> {
    address: PointerValue<'ctx>,
    offset: i64,
    user: InstructionValue<'ctx>,
    index: u32,
}

struct Saver<'m, 'ctx> {
    module: &'m Module<'ctx>,
    context: ContextRef<'ctx>,
    builder: Builder<'ctx>,
}

impl<'m, 'ctx> Saver<'m, 'ctx> {
    fn of(module: &'m Module<'ctx>) -> Self {
        let context = module.get_context();
        Self {
            module,
            context,
            builder: context.create_builder(),
        }
    }

    /// One of two addresses with a bit set is one of two with the bit set: numbers that are known when a stencil is patched.
    fn mark_choices(&self, instruction: InstructionValue<'ctx>) -> Built<()> {
        let (Some(BasicValueEnum::IntValue(number)), Some(BasicValueEnum::IntValue(mark))) =
            (operand(instruction, 0), operand(instruction, 1))
        else {
            return Ok(());
        };
        let Some(choice) = number
            .as_instruction_value()
            .filter(|choice| choice.get_opcode() == InstructionOpcode::Select)
        else {
            return Ok(());
        };
        let is_address = |value: &BasicValueEnum<'ctx>| part(self.module, *value).is_some();
        let (
            Some(BasicValueEnum::IntValue(condition)),
            Some(BasicValueEnum::IntValue(one)),
            Some(BasicValueEnum::IntValue(other)),
        ) = (
            operand(choice, 0),
            operand(choice, 1).filter(is_address),
            operand(choice, 2).filter(is_address),
        )
        else {
            return Ok(());
        };
        if !mark.is_const() || users(choice).len() != 1 {
            return Ok(());
        }
        self.builder.position_before(&choice);
        let one = self.builder.build_or(one, mark, "")?;
        let other = self.builder.build_or(other, mark, "")?;
        let chosen = self.builder.build_select(condition, one, other, "")?;
        if let Some(chosen) = chosen.as_instruction_value() {
            instruction.replace_all_uses_with(&chosen);
            instruction.erase_from_basic_block();
            choice.erase_from_basic_block();
        }
        Ok(())
    }

    /// A choice between two addresses where ways meet.
    fn choose_by_distance(&self, instruction: InstructionValue<'ctx>) -> Built<()> {
        let Ok(phi) = PhiValue::try_from(instruction) else {
            return Ok(());
        };
        let incoming: Vec<(BasicValueEnum<'ctx>, BasicBlock<'ctx>)> = phi.get_incomings().collect();
        let mut addresses: Vec<PointerValue<'ctx>> = Vec::new();
        for (value, _) in &incoming {
            match outside(self.module, *value) {
                Some(address) if addresses.contains(&address) => {}
                Some(address) => addresses.push(address),
                None => return Ok(()),
            }
        }
        // A number for each of several ways is longer than the words.
        let ([base, other], 2) = (&addresses[..], incoming.len()) else {
            return Ok(());
        };
        let (base, other) = (*base, *other);
        let word = self.context.i64_type();
        let distance = self.distance(instruction, base, other)?;
        self.builder.position_before(&instruction);
        let chosen = self.builder.build_phi(word, "")?;
        for (value, block) in incoming {
            let number: IntValue<'ctx> = match outside(self.module, value) == Some(base) {
                true => word.const_zero(),
                false => distance,
            };
            chosen.add_incoming(&[(&number, block)]);
        }
        let Some(block) = instruction.get_parent() else {
            return Ok(());
        };
        let first = block
            .get_instructions()
            .find(|instruction| instruction.get_opcode() != InstructionOpcode::Phi);
        if let Some(first) = first {
            self.builder.position_before(&first);
        }
        self.replace(instruction, base, chosen.as_basic_value().into_int_value())
    }

    /// A choice between two addresses by a condition.
    fn select_by_distance(&self, instruction: InstructionValue<'ctx>) -> Built<()> {
        let operand = |index| operand(instruction, index);
        let (Some(BasicValueEnum::IntValue(condition)), Some(one), Some(other)) =
            (operand(0), operand(1), operand(2))
        else {
            return Ok(());
        };
        let (Some(one), Some(other)) = (outside(self.module, one), outside(self.module, other))
        else {
            return Ok(());
        };
        let distance = self.distance(instruction, other, one)?;
        self.builder.position_before(&instruction);
        let other = self.in_register(other)?;
        let one = self.beyond(other, distance)?;
        let chosen = self.builder.build_select(condition, one, other, "")?;
        if let Some(chosen) = chosen.as_instruction_value() {
            instruction.replace_all_uses_with(&chosen);
            instruction.erase_from_basic_block();
        }
        Ok(())
    }

    /// The operands that are addresses outside, or near one.
    fn uses(&self, function: FunctionValue<'ctx>) -> Vec<Use<'ctx>> {
        let mut uses: Vec<Use<'ctx>> = Vec::new();
        for user in instructions(function) {
            for index in 0..user.get_num_operands() {
                let operand = user.get_operand(index).and_then(|used| used.value());
                if let Some((address, offset)) =
                    operand.and_then(|operand| part(self.module, operand))
                {
                    uses.push(Use {
                        address,
                        offset,
                        user,
                        index,
                    });
                }
            }
        }
        uses
    }

    /// Puts all addresses into the code but those of what is called.
    fn put_all_in_code(&self, function: FunctionValue<'ctx>) -> Built<()> {
        for used in self.uses(function) {
            let is_callee = used.user.get_opcode() == InstructionOpcode::Call
                && used.index + 1 == used.user.get_num_operands();
            if !is_callee {
                self.put_use_in_code(&used)?;
            }
        }
        Ok(())
    }

    fn put_use_in_code(&self, used: &Use<'ctx>) -> Built<()> {
        let name = used.address.get_name().to_string_lossy().into_owned();
        let number = self.opaque(used.user, &format!("{ADDRESS}{name}"))?;
        match PhiValue::try_from(used.user) {
            Ok(phi) => {
                let incoming = phi.get_incoming(used.index);
                let end = incoming.and_then(|(_, block)| block.get_terminator());
                if let Some(end) = end {
                    self.builder.position_before(&end);
                }
            }
            Err(_) => self.builder.position_before(&used.user),
        }
        let is_number = used
            .user
            .get_operand(used.index)
            .and_then(|operand| operand.value())
            .is_some_and(|operand| operand.is_int_value());
        let number = match used.offset {
            0 => number,
            offset => {
                let offset = self.context.i64_type().const_int(offset as u64, true);
                self.builder.build_int_add(number, offset, "")?
            }
        };
        if is_number {
            used.user.set_operand(used.index, number);
        } else {
            let pointer = self.context.ptr_type(Default::default());
            let address = self.builder.build_int_to_ptr(number, pointer, "")?;
            used.user.set_operand(used.index, address);
        }
        Ok(())
    }

    /// Puts addresses of data that is read in one place, or in two, into the code.
    fn put_in_code(&self, function: FunctionValue<'ctx>) -> Built<()> {
        let uses = self.uses(function);
        use InstructionOpcode as Op;
        let is_large = instructions(function).len() >= LARGE;
        let calls = has_calls(function);
        let is_read = |used: &Use<'ctx>| match used.user.get_opcode() {
            Op::Load => true,
            // Code without calls is short, whatever else it does.
            Op::Store => calls,
            Op::Call => used.offset == 0,
            Op::ICmp => used.offset == 0 && is_large,
            _ => false,
        };
        for used in &uses {
            let of_same = || uses.iter().filter(|other| other.address == used.address);
            if of_same().count() > 2 || !of_same().all(is_read) {
                continue;
            }
            self.put_use_in_code(used)?;
        }
        Ok(())
    }

    /// Computes what is at a constant distance from a parameter where it is used, each time.
    fn sink_addresses(&self, function: FunctionValue<'ctx>) -> Built<()> {
        let parameters = function.get_params();
        for instruction in instructions(function) {
            let is_address = instruction.get_opcode() == InstructionOpcode::GetElementPtr
                && instruction.get_num_operands() == 2
                && operand(instruction, 0).is_some_and(|base| parameters.contains(&base));
            let (true, Some(BasicValueEnum::IntValue(index))) =
                (is_address, operand(instruction, 1))
            else {
                continue;
            };
            if !index.is_const() {
                continue;
            }
            for user in users(instruction) {
                if user.get_opcode() == InstructionOpcode::Phi {
                    continue;
                }
                let copy = instruction.explicit_clone();
                self.builder.position_before(&user);
                self.builder.insert_instruction(&copy, None);
                for index in 0..user.get_num_operands() {
                    let used = operand(user, index);
                    let is_it = used.and_then(|used| used.as_instruction_value());
                    if is_it == Some(instruction)
                        && let Ok(address) = PointerValue::try_from(copy)
                    {
                        user.set_operand(index, address);
                    }
                }
            }
            if instruction.get_first_use().is_none() {
                instruction.erase_from_basic_block();
            }
        }
        Ok(())
    }

    /// Computes an address near a parameter once where all ways from there on hand it over: then it takes the parameter's
    /// register, which else is moved on each way.
    fn hand_over_together(&self, function: FunctionValue<'ctx>) -> Built<()> {
        let dominance = Dominance::of(function);
        // Other ways out return, or wait for ever.
        let ways: Vec<(InstructionValue<'ctx>, BasicBlock<'ctx>)> = instructions(function)
            .into_iter()
            .filter(|&instruction| {
                CallSiteValue::try_from(instruction)
                    .is_ok_and(|call| call.get_call_convention() == PRESERVE_NONE)
            })
            .filter_map(|call| Some((call, call.get_parent()?)))
            .collect();
        for (position, parameter) in function.get_params().into_iter().enumerate() {
            let found = dominance.blocks().iter().rev().find_map(|&home| {
                let distance = self.handed_over(&dominance, &ways, home, position, parameter)?;
                Some((home, distance))
            });
            if let (Some((home, distance)), BasicValueEnum::PointerValue(base)) = (found, parameter)
            {
                self.compute_once(&dominance, home, base, distance)?;
            }
        }
        Ok(())
    }

    /// The distance from a parameter at which all of several ways that leave behind a block hand over its successor.
    fn handed_over(
        &self,
        dominance: &Dominance<'ctx>,
        ways: &[(InstructionValue<'ctx>, BasicBlock<'ctx>)],
        home: BasicBlock<'ctx>,
        position: usize,
        parameter: BasicValueEnum<'ctx>,
    ) -> Option<i64> {
        if ways.iter().any(|(_, block)| *block == home) {
            return None;
        }
        let mut distances = ways
            .iter()
            .filter(|(_, block)| dominance.dominates(home, *block))
            .map(|(call, _)| {
                let value = call.get_operand(position as u32)?.value()?;
                self.near(value.as_instruction_value()?, parameter)
            });
        let first = distances.next()??;
        let second = distances.next()?;
        let all_same = second == Some(first) && distances.all(|other| other == Some(first));
        (first != 0 && all_same).then_some(first)
    }

    /// Computes the address at a distance from a parameter in a block; all near it there and behind are computed from that.
    fn compute_once(
        &self,
        dominance: &Dominance<'ctx>,
        home: BasicBlock<'ctx>,
        base: PointerValue<'ctx>,
        distance: i64,
    ) -> Built<()> {
        let parameter = BasicValueEnum::from(base);
        let own: Vec<InstructionValue<'ctx>> = home.get_instructions().collect();
        // What needs the parameter itself finds it in its register until the end.
        let needs_it = |instruction: &InstructionValue<'ctx>| {
            let mut uses = instruction.get_operands().flatten();
            self.near(*instruction, parameter).is_none()
                && uses.any(|used| used.value() == Some(parameter))
        };
        let is_phi = |own: &&InstructionValue<'ctx>| own.get_opcode() == InstructionOpcode::Phi;
        let start = match own.iter().any(needs_it) {
            true => own.len() - 1,
            false => own.iter().take_while(is_phi).count(),
        };
        let Some(first) = own.get(start) else {
            return Ok(());
        };
        self.builder.position_before(first);
        let word = self.context.i64_type();
        // LLVM would compute it from the parameter each time.
        let address = self.beyond(base, word.const_int(distance as u64, true))?;
        let address = self.in_register(address)?;
        let behind = dominance
            .blocks()
            .iter()
            .filter(|&&block| block != home && dominance.dominates(home, block))
            .flat_map(|block| block.get_instructions());
        for instruction in own.into_iter().skip(start).chain(behind) {
            let Some(other) = self.near(instruction, parameter) else {
                continue;
            };
            self.builder.position_before(&instruction);
            let rest = word.const_int((other - distance) as u64, true);
            let new = match other == distance {
                true => address,
                false => self.beyond(address, rest)?,
            };
            if let Some(new) = new.as_instruction_value() {
                instruction.replace_all_uses_with(&new);
                instruction.erase_from_basic_block();
            }
        }
        Ok(())
    }

    /// How far in bytes from a parameter the address is that an instruction computes, if that is constant.
    fn near(
        &self,
        instruction: InstructionValue<'ctx>,
        parameter: BasicValueEnum<'ctx>,
    ) -> Option<i64> {
        let operand = |index| operand(instruction, index);
        let is_address = instruction.get_opcode() == InstructionOpcode::GetElementPtr
            && instruction.get_num_operands() == 2
            && operand(0) == Some(parameter)
            && instruction.get_gep_source_element_type().ok()
                == Some(self.context.i8_type().into());
        match operand(1) {
            Some(BasicValueEnum::IntValue(index)) if is_address => {
                index.get_sign_extended_constant()
            }
            _ => None,
        }
    }

    /// The distance from one address to another.
    fn distance(
        &self,
        user: InstructionValue<'ctx>,
        from: PointerValue<'ctx>,
        to: PointerValue<'ctx>,
    ) -> Built<IntValue<'ctx>> {
        let name = |address: PointerValue<'ctx>| address.get_name().to_string_lossy().into_owned();
        self.opaque(user, &format!("{DISTANCE}{} {}", name(from), name(to)))
    }

    /// What a function of this name returns, at the start of the function that uses it.
    fn opaque(&self, user: InstructionValue<'ctx>, name: &str) -> Built<IntValue<'ctx>> {
        let word = self.context.i64_type();
        let function = self.module.get_function(name);
        let function = function.unwrap_or_else(|| {
            self.module
                .add_function(name, word.fn_type(&[], false), None)
        });
        let entry = user
            .get_parent()
            .and_then(|block| block.get_parent())
            .and_then(|function| function.get_first_basic_block());
        if let Some(first) = entry.and_then(|entry| entry.get_first_instruction()) {
            self.builder.position_before(&first);
        }
        let call = self.builder.build_call(function, &[], "")?;
        match call.try_as_basic_value().basic() {
            Some(BasicValueEnum::IntValue(value)) => Ok(value),
            _ => Ok(word.const_zero()),
        }
    }

    fn replace(
        &self,
        instruction: InstructionValue<'ctx>,
        base: PointerValue<'ctx>,
        distance: IntValue<'ctx>,
    ) -> Built<()> {
        let base = self.in_register(base)?;
        let address = self.beyond(base, distance)?;
        if let Some(address) = address.as_instruction_value() {
            instruction.replace_all_uses_with(&address);
            instruction.erase_from_basic_block();
        }
        Ok(())
    }

    fn beyond(
        &self,
        base: PointerValue<'ctx>,
        distance: IntValue<'ctx>,
    ) -> Built<PointerValue<'ctx>> {
        address_beyond(self.context, &self.builder, base, distance)
    }

    /// The same address, of which LLVM knows nothing but that it is in a register.
    fn in_register(&self, address: PointerValue<'ctx>) -> Built<PointerValue<'ctx>> {
        let pointer = self.context.ptr_type(Default::default()).into();
        let kept = assemble(self.context, &self.builder, pointer, "", "=r,0", address)?;
        match kept {
            Some(BasicValueEnum::PointerValue(kept)) => Ok(kept),
            _ => Ok(address),
        }
    }

    /// What is compared with the same address several times finds it in a register.
    fn keep_compared(&self, function: FunctionValue<'ctx>) -> Built<()> {
        let dominance = Dominance::of(function);
        let mut compared: Vec<(PointerValue<'ctx>, Vec<(InstructionValue<'ctx>, u32)>)> =
            Vec::new();
        let blocks = dominance.blocks().iter();
        for instruction in blocks.flat_map(|block| block.get_instructions()) {
            if instruction.get_opcode() != InstructionOpcode::ICmp {
                continue;
            }
            for index in 0..2 {
                let operand = operand(instruction, index);
                let Some(address) = operand.and_then(|operand| outside(self.module, operand))
                else {
                    continue;
                };
                match compared.iter_mut().find(|(known, _)| *known == address) {
                    Some((_, uses)) => uses.push((instruction, index)),
                    None => compared.push((address, vec![(instruction, index)])),
                }
            }
        }
        for (address, uses) in compared {
            let (Some(&(first, _)), true) = (uses.first(), uses.len() > 1) else {
                continue;
            };
            let Some(home) = first.get_parent() else {
                continue;
            };
            self.builder.position_before(&first);
            let kept = self.in_register(address)?;
            for (user, index) in uses {
                let dominated = user
                    .get_parent()
                    .is_some_and(|block| dominance.dominates(home, block));
                if dominated {
                    user.set_operand(index, kept);
                }
            }
        }
        Ok(())
    }
}

/// The address of something that the module does not define, and that does not stand for a hole.
fn outside<'ctx>(module: &Module<'ctx>, value: BasicValueEnum<'ctx>) -> Option<PointerValue<'ctx>> {
    let BasicValueEnum::PointerValue(address) = value else {
        return None;
    };
    let name = address.get_name().to_str().ok()?;
    let global = module.get_global(name)?;
    let is_it = global.as_pointer_value() == address && !name.is_empty();
    (is_it && global.is_declaration() && !name.starts_with("mimeo.")).then_some(address)
}

/// The address of something outside and the distance in bytes from it, which LLVM has in one constant; the same as a number.
pub(crate) fn part<'ctx>(
    module: &Module<'ctx>,
    value: BasicValueEnum<'ctx>,
) -> Option<(PointerValue<'ctx>, i64)> {
    if let Some(address) = outside(module, value) {
        return Some((address, 0));
    }
    let text = match value {
        BasicValueEnum::PointerValue(part) if part.is_const() => part.print_to_string(),
        BasicValueEnum::IntValue(number)
            if number.is_const() && number.get_sign_extended_constant().is_none() =>
        {
            number.print_to_string()
        }
        _ => return None,
    };
    let text = text.to_string();
    // From LLVM 22 on an address that was a number once is still one.
    let text = match text.strip_prefix("ptr inttoptr (") {
        Some(rest) => rest.strip_suffix(" to ptr)")?,
        None => &text,
    };
    let text = match text.strip_prefix("i64 ptrtoint (") {
        Some(rest) => rest.strip_suffix(" to i64)")?,
        None => text,
    };
    let (name, offset) = match text.split_once("(i8, ptr @") {
        Some((_, rest)) => {
            let (name, rest) = rest.split_once(", i64 ")?;
            (name, rest.strip_suffix(')')?.parse().ok()?)
        }
        None => (text.strip_prefix("ptr @")?, 0),
    };
    let global = module.get_global(name)?;
    let address = outside(module, global.as_pointer_value().into())?;
    Some((address, offset))
}
