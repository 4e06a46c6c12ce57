//! Numbers computed before calls. LLVM moves what computes a number down to where the number is used. If there is a call
//! before that, what it is computed from has to be kept over the call: often several registers instead of one, of which calls
//! leave six.

use crate::addresses::comes_back;
use crate::constants::users;
use crate::dominance::Dominance;
use inkwell::basic_block::BasicBlock;
use inkwell::builder::BuilderError;
use inkwell::module::Module;
use inkwell::values::{
    BasicValue, CallSiteValue, FunctionValue, InstructionOpcode, InstructionValue, IntValue,
};

/// Computes numbers in all functions of an optimised module where the last of what they are computed from is known, if
/// nothing else needs that later on.
///
/// # Errors
/// An instruction cannot be built.
pub(crate) fn compute_early(module: &Module<'_>) -> Result<(), BuilderError> {
    for function in module.get_functions() {
        let mut blocks = function.get_basic_blocks().into_iter();
        if blocks.any(|block| block.get_instructions().any(comes_back)) {
            compute_early_in(module, function)?;
        }
    }
    Ok(())
}

fn compute_early_in<'ctx>(
    module: &Module<'ctx>,
    function: FunctionValue<'ctx>,
) -> Result<(), BuilderError> {
    let context = module.get_context();
    let builder = context.create_builder();
    let dominance = Dominance::of(function);
    let mut moved = Vec::new();
    // What only one other block leads to is not wanted whenever that is.
    for &block in dominance.blocks().iter().filter(|&&block| is_join(block)) {
        for root in block.get_instructions().collect::<Vec<_>>() {
            let computation = Computation::of(root);
            let Some(end) = computation.home(&dominance, block) else {
                continue;
            };
            builder.position_before(&end);
            for instruction in computation.inner {
                instruction.remove_from_basic_block();
                builder.insert_instruction(&instruction, None);
                moved.push((instruction, end));
            }
        }
    }
    // LLVM would move it down again, were it not used where it is.
    for (instruction, end) in moved {
        let home = end.get_parent();
        let is_kept = users(instruction)
            .iter()
            .any(|user| user.get_parent() != home);
        if let (true, Ok(number)) = (is_kept, IntValue::try_from(instruction)) {
            let signature = context
                .void_type()
                .fn_type(&[number.get_type().into()], false);
            let (text, constraint) = (String::new(), "r".to_owned());
            let using =
                context.create_inline_asm(signature, text, constraint, true, false, None, false);
            builder.position_before(&end);
            builder.build_indirect_call(signature, using, &[number.into()], "")?;
        }
    }
    Ok(())
}

/// Whether several ways lead to a block.
fn is_join(block: BasicBlock<'_>) -> bool {
    let first = block.get_first_use();
    first.is_some_and(|first| first.get_next_use().is_some())
}

/// What computes a number in a block.
struct Computation<'ctx> {
    /// The instructions, each behind those that it needs.
    inner: Vec<InstructionValue<'ctx>>,
    /// Those whose results they take.
    leaves: Vec<InstructionValue<'ctx>>,
}

impl<'ctx> Computation<'ctx> {
    /// An instruction, and those of its block that only it needs.
    fn of(root: InstructionValue<'ctx>) -> Self {
        let mut inner = vec![root];
        let before = std::iter::successors(root.get_previous_instruction(), |instruction| {
            instruction.get_previous_instruction()
        });
        for instruction in before {
            let mut users = users(instruction).into_iter();
            if is_pure(instruction) && users.all(|user| inner.contains(&user)) {
                inner.push(instruction);
            }
        }
        inner.reverse();
        let mut leaves = Vec::new();
        for operand in inner.iter().flat_map(|inner| inner.get_operands()) {
            if let Some(leaf) = operand.and_then(|used| used.value()?.as_instruction_value())
                && !inner.contains(&leaf)
                && !leaves.contains(&leaf)
            {
                leaves.push(leaf);
            }
        }
        Self { inner, leaves }
    }

    /// The end of the block in which the last leaf is known, if that is not the block it stands in, there are several leaves,
    /// and they end here.
    fn home(
        &self,
        dominance: &Dominance<'ctx>,
        block: BasicBlock<'ctx>,
    ) -> Option<InstructionValue<'ctx>> {
        if self.leaves.len() < 2 || !self.inner.iter().all(|&inner| is_pure(inner)) {
            return None;
        }
        let homes = self.leaves.iter().filter_map(|leaf| leaf.get_parent());
        let home = homes.reduce(|home, other| match dominance.dominates(home, other) {
            true => other,
            false => home,
        })?;
        let ends = |leaf: &InstructionValue<'ctx>| {
            // A hole is a call of a function of mimeo's until it is an operand, and takes no register.
            CallSiteValue::try_from(*leaf).is_err()
                && users(*leaf).iter().all(|user| {
                    let place = user.get_parent();
                    self.inner.contains(user)
                        || place.is_some_and(|place| dominance.dominates(place, home))
                })
        };
        let moves = home != block && self.leaves.iter().all(ends);
        moves.then(|| home.get_terminator())?
    }
}

/// Whether an instruction computes a number, and may do so whatever its operands are.
fn is_pure(instruction: InstructionValue<'_>) -> bool {
    use InstructionOpcode as Op;
    matches!(
        instruction.get_opcode(),
        Op::Add
            | Op::Sub
            | Op::Mul
            | Op::And
            | Op::Or
            | Op::Xor
            | Op::Shl
            | Op::LShr
            | Op::AShr
            | Op::ICmp
            | Op::ZExt
            | Op::SExt
            | Op::Trunc
            | Op::Select
    )
}
