//! The builder's second mode: the templates of a whole trace in one function, for [the limit](crate::limit).
//!
//! A uop's holes are constants here, and its ways out are branches to the blocks of other uops. Where a set keeps
//! unboxed values, the locals that the trace names and the stack are allocated in the function, entered with what memory
//! holds and written back at exits, so that LLVM is free to keep them in registers. Otherwise they stay in the frame, as
//! the functions that templates call may look at them there.

use super::paths::ColdPath;
use super::{Built, Done, TemplateBuilder};
use crate::error::TemplateError;
use crate::symbol::HoleSymbol;
use inkwell::basic_block::BasicBlock;
use inkwell::builder::Builder;
use inkwell::values::{
    BasicValue, BasicValueEnum, FunctionValue, IntValue, PhiValue, PointerValue,
};
use mimeo::hole::HoleValue;
use std::cell::RefCell;

/// The function of a trace while the uops are built into it.
pub(crate) struct InlinedTrace<'ctx> {
    pub(crate) function: FunctionValue<'ctx>,
    /// Where each uop starts.
    pub(crate) blocks: Vec<BasicBlock<'ctx>>,
    /// The lowest slot of the stack.
    pub(crate) stack: PointerValue<'ctx>,
    /// The places of the locals, where they are not in the frame; `None` for those that the trace does not name.
    pub(crate) locals: Option<Vec<Option<PointerValue<'ctx>>>>,
    /// The slot that the caller's stack pointer is one past at entry, in memory that outlives the function; `None` where
    /// the stack is there all the time.
    pub(crate) memory: Option<PointerValue<'ctx>>,
    /// Where all exits come together, with the number of the exit and the depth of the stack there.
    pub(crate) leave: BasicBlock<'ctx>,
    pub(crate) exit: PhiValue<'ctx>,
    pub(crate) depth: PhiValue<'ctx>,
    /// The address of the executor's header.
    pub(crate) header: u64,
    /// How deep the stack is in front of each uop; `None` where nothing was seen to go there yet.
    pub(crate) reached: RefCell<Vec<Option<u32>>>,
    /// Uops that something goes to and that are not built yet.
    pub(crate) pending: RefCell<Vec<usize>>,
}

impl InlinedTrace<'_> {
    /// Notes a way to a uop.
    ///
    /// # Errors
    /// There is no such uop, or it is reached with another depth.
    pub(crate) fn reach(&self, uop: usize, depth: u32) -> Result<(), TemplateError> {
        match self.reached.borrow_mut().get_mut(uop) {
            Some(known @ None) => {
                *known = Some(depth);
                self.pending.borrow_mut().push(uop);
                Ok(())
            }
            Some(Some(known)) if *known == depth => Ok(()),
            Some(Some(known)) => Err(TemplateError::Misuse(format!(
                "goes to uop {uop} with {depth} values on the stack, others with {known}"
            ))),
            None => Err(TemplateError::Misuse(format!(
                "goes to uop {uop}, which the trace does not have"
            ))),
        }
    }
}

/// One uop of a trace that is one function.
pub(crate) struct Site<'t, 'ctx> {
    pub(crate) trace: &'t InlinedTrace<'ctx>,
    pub(crate) builder: &'t Builder<'ctx>,
    /// The address of a symbol from outside.
    pub(crate) resolve: &'t dyn Fn(&str) -> Option<usize>,
    /// Its position.
    pub(crate) index: usize,
    pub(crate) oparg: u32,
    pub(crate) operand: u64,
    pub(crate) operand1: u64,
    pub(crate) target: u32,
    /// The number of its exit record.
    pub(crate) exit: Option<u32>,
    /// Where its labels stand.
    pub(crate) jump: Option<usize>,
    pub(crate) error: Option<usize>,
    /// How deep the stack is in front of it.
    pub(crate) depth: u32,
}

impl<'ctx> Site<'_, 'ctx> {
    pub(crate) fn function(&self) -> FunctionValue<'ctx> {
        self.trace.function
    }

    fn i64(&self, value: u64) -> IntValue<'ctx> {
        let context = self.trace.function.get_type().get_context();
        context.i64_type().const_int(value, false)
    }

    /// The stack pointer in front of the uop.
    pub(crate) fn stack_pointer(&self) -> PointerValue<'ctx> {
        let depth = self.i64(self.depth.into());
        slot(self.builder, self.trace.stack, depth).unwrap_or(self.trace.stack)
    }

    /// The operand or the second operand.
    pub(crate) fn operand(&self, value: HoleValue) -> u64 {
        match value {
            HoleValue::Operand1 => self.operand1,
            _ => self.operand,
        }
    }

    /// A known address.
    pub(crate) fn pointer(&self, address: u64) -> PointerValue<'ctx> {
        self.i64(address)
            .const_to_pointer(self.trace.stack.get_type())
    }

    pub(crate) fn header(&self) -> PointerValue<'ctx> {
        self.pointer(self.trace.header)
    }

    pub(crate) fn symbol(&self, name: &str) -> Built<PointerValue<'ctx>> {
        match (self.resolve)(name) {
            Some(address) => Ok(self.pointer(address as u64)),
            None => misuse(format!("uses {name}, which has no address")),
        }
    }

    /// What would fill the hole.
    pub(crate) fn number(&self, symbol: HoleSymbol) -> Built<IntValue<'ctx>> {
        let value = match symbol.value {
            HoleValue::Oparg => self.oparg.into(),
            value @ (HoleValue::Operand | HoleValue::Operand1) => self.operand(value),
            HoleValue::Target => self.target.into(),
            HoleValue::ExitIndex => self.exit.unwrap_or_default().into(),
            other => return misuse(format!("uses {other} as a number")),
        };
        if value > symbol.max() {
            return misuse(format!(
                "is built for {} up to {}, found {value}",
                symbol.value,
                symbol.max()
            ));
        }
        Ok(self.i64(value << symbol.shift))
    }
}

fn misuse<T>(message: String) -> Built<T> {
    Err(TemplateError::Misuse(message))
}

/// The address of 8-byte slot `index` behind `pointer`.
#[allow(unsafe_code)]
pub(crate) fn slot<'ctx>(
    builder: &Builder<'ctx>,
    pointer: PointerValue<'ctx>,
    index: IntValue<'ctx>,
) -> Built<PointerValue<'ctx>> {
    let word = index.get_type();
    // SAFETY: as in `TemplateBuilder::element`: one index into a scalar type.
    Ok(unsafe { builder.build_gep(word, pointer, &[index], "")? })
}

/// A cold path in the trace's own function: its block, and what its values come together in.
pub(super) struct Joined<'ctx> {
    block: BasicBlock<'ctx>,
    values: Vec<PhiValue<'ctx>>,
}

impl<'t, 'ctx> TemplateBuilder<'t, 'ctx> {
    fn site(&self) -> Built<&'t super::inline::Site<'t, 'ctx>> {
        match self.unit.site() {
            Some(site) => Ok(site),
            None => misuse("is built for no place in a trace".to_owned()),
        }
    }

    /// The place of local `index`, or of the one that the oparg names, unless it is in the frame.
    pub(super) fn inlined_local(&self, index: Option<u32>) -> Built<Option<PointerValue<'ctx>>> {
        let Some(site) = self.unit.site() else {
            return Ok(None);
        };
        let Some(locals) = &site.trace.locals else {
            return Ok(None);
        };
        let index = index.unwrap_or(site.oparg);
        match locals.get(index as usize) {
            Some(Some(place)) => Ok(Some(*place)),
            _ => misuse(format!("uses local {index}, which the trace does not name")),
        }
    }

    /// How deep the stack is, pushed values included.
    fn depth_now(&self) -> Built<u32> {
        let site = self.site()?;
        let depth = i64::from(site.depth) + self.stack.total().of(site.oparg);
        match u32::try_from(depth) {
            Ok(depth) => Ok(depth),
            Err(_) => misuse(format!("leaves with {depth} values on the stack")),
        }
    }

    /// [`leave_to`](Self::leave_to) within the trace's function.
    pub(super) fn branch_to(self, value: HoleValue) -> Built<Done> {
        let site = self.site()?;
        let depth = self.depth_now()?;
        self.store_pending()?;
        let next = match value {
            HoleValue::Continue => Some(site.index + 1),
            HoleValue::JumpTarget => site.jump,
            HoleValue::ErrorTarget => site.error,
            HoleValue::Top => Some(1),
            _ => None,
        };
        let block = next.and_then(|next| Some((next, *site.trace.blocks.get(next)?)));
        let Some((next, block)) = block else {
            return misuse(format!("goes to {value}, which the trace does not have"));
        };
        site.trace.reach(next, depth)?;
        self.ir().build_unconditional_branch(block)?;
        Ok(Done(()))
    }

    /// [`side_exit`](Self::side_exit) from the trace's function.
    pub(super) fn leave_inlined(self) -> Built<Done> {
        let site = self.site()?;
        self.note_leaving_effect()?;
        self.unit.note(|facts| facts.exits = true);
        let depth = self.depth_now()?;
        self.store_pending()?;
        if let Some(memory) = site.trace.memory {
            for index in 0..depth {
                let index = self.i64(index.into());
                let from = self.slot(site.trace.stack, index)?;
                let value = self.ir().build_load(self.context().i64_type(), from, "")?;
                self.ir().build_store(self.slot(memory, index)?, value)?;
            }
        }
        let here = self.current_block()?;
        let (exit, depth) = (
            self.i64(site.exit.unwrap_or_default().into()),
            self.i64(depth.into()),
        );
        site.trace.exit.add_incoming(&[(&exit, here)]);
        site.trace.depth.add_incoming(&[(&depth, here)]);
        self.ir().build_unconditional_branch(site.trace.leave)?;
        Ok(Done(()))
    }

    /// [`cold_path`](Self::cold_path) in the trace's function: a block that several branches go to.
    pub(super) fn joined_path<F>(
        &self,
        values: &[BasicValueEnum<'ctx>],
        path: F,
    ) -> Built<ColdPath<'ctx>>
    where
        F: FnOnce(TemplateBuilder<'t, 'ctx>, &[BasicValueEnum<'ctx>]) -> Built<Done>,
    {
        let here = self.current_block()?;
        let block = self.context().append_basic_block(self.function, "");
        self.ir().position_at_end(block);
        let phis = values
            .iter()
            .map(|value| Ok(self.ir().build_phi(value.get_type(), "")?))
            .collect::<Built<Vec<_>>>()?;
        let received: Vec<_> = phis.iter().map(|phi| phi.as_basic_value()).collect();
        path(self.fork(), &received)?;
        self.ir().position_at_end(here);
        Ok(ColdPath {
            function: self.function,
            from: self.function,
            values: values.to_vec(),
            stack: self.stack.clone(),
            joined: Some(Joined {
                block,
                values: phis,
            }),
        })
    }

    /// Goes on in a cold path's block.
    pub(super) fn join(
        self,
        joined: &Joined<'ctx>,
        values: &[BasicValueEnum<'ctx>],
    ) -> Built<Done> {
        let here = self.current_block()?;
        for (phi, value) in joined.values.iter().zip(values) {
            phi.add_incoming(&[(value as &dyn BasicValue<'ctx>, here)]);
        }
        self.ir().build_unconditional_branch(joined.block)?;
        Ok(Done(()))
    }
}
