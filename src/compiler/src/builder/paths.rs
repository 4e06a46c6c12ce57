//! How a template's control flow goes: branches, cold paths, the ways out, and what is seen of them.

use super::stack::{Delta, Stack};
use super::{Built, Done, TemplateBuilder, VALUE_REGISTERS};
use crate::error::TemplateError;
use crate::symbol::HoleSymbol;
use crate::template::{Template, Type};
use inkwell::basic_block::BasicBlock;
use inkwell::values::{BasicValueEnum, FunctionValue, IntValue};
use mimeo::hole::HoleValue;
use mimeo::stencil::{StackEffect, UopFlags};

/// How often a branch is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Likelihood {
    Even,
    Rare,
}

/// Code out of line that several branches of a template may share; made by [`TemplateBuilder::cold_path`].
pub struct ColdPath<'ctx> {
    function: FunctionValue<'ctx>,
    /// The function that it was built in, and its values there.
    from: FunctionValue<'ctx>,
    values: Vec<BasicValueEnum<'ctx>>,
    /// The stack that it is entered with.
    stack: Stack<'ctx>,
}

impl<'t, 'ctx> TemplateBuilder<'t, 'ctx> {
    /// Where `condition` holds, which is rare, takes the path that `path` builds; goes on here otherwise.
    pub fn unlikely<F>(&mut self, condition: IntValue<'ctx>, path: F) -> Built<()>
    where
        F: FnOnce(TemplateBuilder<'t, 'ctx>) -> Built<Done>,
    {
        self.branch(condition, Likelihood::Rare, path)
    }

    /// Where `condition` holds takes the path that `path` builds; goes on here otherwise.
    pub fn when<F>(&mut self, condition: IntValue<'ctx>, path: F) -> Built<()>
    where
        F: FnOnce(TemplateBuilder<'t, 'ctx>) -> Built<Done>,
    {
        self.branch(condition, Likelihood::Even, path)
    }

    fn branch<F>(&mut self, condition: IntValue<'ctx>, likelihood: Likelihood, path: F) -> Built<()>
    where
        F: FnOnce(TemplateBuilder<'t, 'ctx>) -> Built<Done>,
    {
        let here = self.current_block()?;
        // The way on stands right here and the other path at the function's end: LLVM turns a branch into a jump
        // straight to the hole only where the block that continues comes first.
        let next = self.context().insert_basic_block_after(here, "");
        let other = self.context().append_basic_block(self.function, "");
        let branch = self.ir().build_conditional_branch(condition, other, next)?;
        if likelihood == Likelihood::Rare {
            self.unit.mark_rare(branch);
        }
        self.ir().position_at_end(other);
        path(self.fork())?;
        self.ir().position_at_end(next);
        Ok(())
    }

    /// The builder of another path that starts here. The builder is not `Clone`: each must end in a way out.
    fn fork(&self) -> Self {
        Self {
            unit: self.unit,
            function: self.function,
            stack: self.stack.clone(),
            cold: self.cold,
            entered_above: self.entered_above,
        }
    }

    fn current_block(&self) -> Built<BasicBlock<'ctx>> {
        match self.ir().get_insert_block() {
            Some(block) => Ok(block),
            None => self.misuse("builds where there is no block"),
        }
    }

    // ---- Ways out ----------------------------------------------------------------------------------------------

    /// Goes on with the next uop.
    ///
    /// # Errors
    /// The stack is not as the template declares, or it declares to be terminal.
    pub fn continue_(self) -> Built<Done> {
        if self.flags().contains(UopFlags::TERMINAL) {
            return self.misuse("declares to be terminal, but continues");
        }
        let effect = self.unit.template().effect();
        let expected = Delta::from(effect.pushed) - Delta::from(effect.popped);
        let found = self.stack.total();
        if found != expected {
            return self.misuse(format!(
                "declares the stack effect {effect}, which changes the depth by {expected}, \
                 but continues with a change of {found}"
            ));
        }
        self.unit.note(|facts| facts.continues = true);
        self.leave_to(HoleValue::Continue)
    }

    /// Goes to the uop that the trace's jump label names, with the stack as it is now.
    ///
    /// # Errors
    /// The template declares none of `may_deopt()`, `may_exit()` and `jumps()`, or jumps elsewhere with another depth.
    pub fn jump(self) -> Built<Done> {
        if !self.flags().needs_jump() {
            return self.misuse("jumps, but declares none of may_deopt(), may_exit() and jumps()");
        }
        self.note_leaving_effect()?;
        self.unit.note(|facts| facts.jumps = true);
        self.leave_to(HoleValue::JumpTarget)
    }

    /// Goes to the uop that the trace's error label names, with the stack pointer as at entry. The values that the
    /// template popped are dead: it has released or given away whatever they own.
    ///
    /// # Errors
    /// The template does not declare `may_error()`.
    pub fn error(mut self) -> Built<Done> {
        self.require(UopFlags::ERROR, "an error", "may_error()")?;
        self.unit.note(|facts| facts.errors = true);
        // From where the stack stands now, if that is known: a second pointer would take a second register.
        let (base, above) = match self.stack.base_offset {
            Some(above) => (self.stack.base, above),
            None => (self.unit.stack_parameter(self.function), self.entered_above),
        };
        let top = self.slot(base, self.i64((-above).into()))?;
        self.stack.reset(top);
        self.leave_to(HoleValue::ErrorTarget)
    }

    /// Goes to the trace's second uop, with the stack as it is now, which must be as deep as at entry.
    ///
    /// # Errors
    /// The template does not declare `restarts()`, or the depth differs.
    pub fn top(self) -> Built<Done> {
        self.require(UopFlags::TOP, "the trace's top", "restarts()")?;
        if self.stack.total() != Delta::default() {
            return self.misuse(format!(
                "goes to the trace's top with a stack that is deeper by {}",
                self.stack.total()
            ));
        }
        self.unit.note(|facts| facts.restarts = true);
        self.leave_to(HoleValue::Top)
    }

    /// Leaves the trace through this uop's own exit record, with the stack as it is now.
    ///
    /// # Errors
    /// The template does not declare `side_exits()`.
    pub fn side_exit(mut self) -> Built<Done> {
        self.require(UopFlags::EXIT_RECORD, "a side exit", "side_exits()")?;
        if !self.cold && !self.flags().contains(UopFlags::TERMINAL) {
            self.flush()?;
            return self.outline(&[], |b, _| b.side_exit());
        }
        self.note_leaving_effect()?;
        self.unit.note(|facts| facts.exits = true);
        let stack = self.store_pending()?;
        if self.is_handler() {
            return self.leave_through_record(stack);
        }
        let record = self.unit.hole_address(HoleSymbol::address(HoleValue::Exit));
        let address = self.assembly(false, "leaq ${1:c}(%rip), $0", "=r,i", &[record.into()])?;
        let entry = self
            .ir()
            .build_load(self.llvm_type(Type::Pointer), record, "entry")?
            .into_pointer_value();
        let address = self
            .ir()
            .build_ptr_to_int(address, self.context().i64_type(), "")?;
        self.unit
            .tail_call_indirect(entry, self.function, stack, &[address])?;
        Ok(Done(()))
    }

    /// Goes on in code of its own, out of line past the whole trace's hot code, with `values` (at most
    /// [`VALUE_REGISTERS`], of 64 bits) handed over in registers. This is the place for slow paths and calls: the hot
    /// code then holds neither them nor the stack adjustments they need.
    ///
    /// # Errors
    /// As [`cold_path`](Self::cold_path).
    pub fn outline<F>(self, values: &[BasicValueEnum<'ctx>], path: F) -> Built<Done>
    where
        F: FnOnce(TemplateBuilder<'t, 'ctx>, &[BasicValueEnum<'ctx>]) -> Built<Done>,
    {
        let cold = self.cold_path(values, path)?;
        self.go_cold(&cold)
    }

    /// [`unlikely`](Self::unlikely) and [`outline`](Self::outline) together.
    ///
    /// # Errors
    /// As [`cold_path`](Self::cold_path).
    pub fn cold_if<F>(
        &mut self,
        condition: IntValue<'ctx>,
        values: &[BasicValueEnum<'ctx>],
        path: F,
    ) -> Built<()>
    where
        F: FnOnce(TemplateBuilder<'t, 'ctx>, &[BasicValueEnum<'ctx>]) -> Built<Done>,
    {
        let cold = self.cold_path(values, path)?;
        self.unlikely_to(condition, &cold)
    }

    /// Builds code as [`outline`](Self::outline) does, for several branches to go to: with the stack as it is here, and
    /// with these values.
    ///
    /// # Errors
    /// Pushed values are not in memory, there are too many values, or one is not of 64 bits.
    pub fn cold_path<F>(&self, values: &[BasicValueEnum<'ctx>], path: F) -> Built<ColdPath<'ctx>>
    where
        F: FnOnce(TemplateBuilder<'t, 'ctx>, &[BasicValueEnum<'ctx>]) -> Built<Done>,
    {
        self.require_no_pending("a cold path")?;
        if values.len() > VALUE_REGISTERS {
            return self.misuse(format!(
                "hands {} values to a cold path, the limit is {VALUE_REGISTERS}",
                values.len()
            ));
        }
        let Some(base_offset) = self.stack.base_offset else {
            return self.misuse("has a cold path after pop_array or push_array");
        };
        let here = self.current_block()?;
        let function = self.unit.cold_function();
        let mut inner = Self::entering(self.unit, function, Some(base_offset));
        inner.stack.below = self.stack.below;
        inner.stack.depth = self.stack.depth;
        self.ir()
            .position_at_end(self.context().append_basic_block(function, ""));
        let received = values
            .iter()
            .enumerate()
            .map(|(index, &value)| {
                let word = self.unit.value_parameter(function, index);
                inner.convert(word.into(), kind_of(value))
            })
            .collect::<Built<Vec<_>>>()?;
        path(inner, &received)?;
        self.ir().position_at_end(here);
        Ok(ColdPath {
            function,
            from: self.function,
            values: values.to_vec(),
            stack: self.stack.clone(),
        })
    }

    /// Where `condition` holds, which is rare, goes to `path`; goes on here otherwise.
    ///
    /// # Errors
    /// As [`go_cold`](Self::go_cold).
    pub fn unlikely_to(&mut self, condition: IntValue<'ctx>, path: &ColdPath<'ctx>) -> Built<()> {
        self.unlikely(condition, |b| b.go_cold(path))
    }

    /// Goes on in `path`, with the values that it was built for.
    ///
    /// # Errors
    /// The stack has changed since the path was built, or the path was built in other code than this, where its values
    /// are not known.
    pub fn go_cold(self, path: &ColdPath<'ctx>) -> Built<Done> {
        if self.function != path.from {
            return self.misuse(
                "goes to a cold path from other code than it was built in; hand it values with go_cold_with()",
            );
        }
        let values = path.values.clone();
        self.go_cold_with(path, &values)
    }

    /// Goes on in `path`, with other values of the same types: from other cold code, too.
    ///
    /// # Errors
    /// The stack is another one than where the path was built, or the values are not as many or of the types.
    pub fn go_cold_with(
        self,
        path: &ColdPath<'ctx>,
        values: &[BasicValueEnum<'ctx>],
    ) -> Built<Done> {
        if !self.stack.is_like(&path.stack) {
            return self.misuse(
                "goes to a cold path with another stack than the one that it was built for",
            );
        }
        let types = path.values.iter().map(BasicValueEnum::get_type);
        if !types.eq(values.iter().map(BasicValueEnum::get_type)) {
            return self.misuse(
                "goes to a cold path with other values than the ones that it was built for",
            );
        }
        let words = values
            .iter()
            .map(|&value| self.as_word(value))
            .collect::<Built<Vec<_>>>()?;
        self.unit
            .tail_call(path.function, self.function, self.stack.base, &words)?;
        Ok(Done(()))
    }

    fn leave_to(self, value: HoleValue) -> Built<Done> {
        let stack = self.store_pending()?;
        if self.is_handler() {
            return self.dispatch(value, stack);
        }
        let function = self.unit.control_hole(HoleSymbol::address(value));
        self.unit.tail_call(function, self.function, stack, &[])?;
        Ok(Done(()))
    }

    fn effect_now(&self) -> Built<StackEffect> {
        let popped = self.unit.template().effect().popped;
        match (Delta::from(popped) + self.stack.total()).as_count() {
            Some(pushed) => Ok(StackEffect { popped, pushed }),
            None => self.misuse("leaves with fewer values than it may take"),
        }
    }

    /// A uop leaves its path with one depth of the stack, whether it jumps or exits.
    fn note_leaving_effect(&self) -> Built<()> {
        let effect = self.effect_now()?;
        let before = self.unit.note(|facts| facts.leaving_effect.replace(effect));
        match before {
            Some(before) if before != effect => self.misuse(format!(
                "leaves with different depths of the stack, {before} and {effect}"
            )),
            _ => Ok(()),
        }
    }
}
/// The type as which a value that was handed over in a register comes out.
fn kind_of(value: BasicValueEnum<'_>) -> Type {
    match value {
        BasicValueEnum::PointerValue(_) => Type::Pointer,
        BasicValueEnum::FloatValue(_) => Type::F64,
        _ => Type::I64,
    }
}

/// What a template was seen to do while it was built.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) continues: bool,
    pub(crate) errors: bool,
    pub(crate) restarts: bool,
    pub(crate) exits: bool,
    pub(crate) jumps: bool,
    /// The stack effect on the way to the jump target or out of the trace.
    pub(crate) leaving_effect: Option<StackEffect>,
}

impl Facts {
    /// Whether everything that the template declares is there.
    pub(crate) fn check(&self, template: &Template) -> Result<(), TemplateError> {
        let flags = template.flags();
        let rules = [
            (
                !flags.contains(UopFlags::TERMINAL),
                self.continues,
                "does not declare terminal(), but never continues",
            ),
            (
                flags.contains(UopFlags::ERROR),
                self.errors,
                "declares may_error(), but never raises an error",
            ),
            (
                flags.contains(UopFlags::TOP),
                self.restarts,
                "declares restarts(), but never goes to the trace's top",
            ),
            (
                flags.contains(UopFlags::EXIT_RECORD),
                self.exits,
                "declares side_exits(), but never leaves through one",
            ),
            (
                flags.needs_jump(),
                self.jumps,
                "declares may_deopt(), may_exit() or jumps(), but never jumps",
            ),
        ];
        match rules
            .into_iter()
            .find(|(declared, done, _)| *declared && !done)
        {
            Some((_, _, what)) => Err(TemplateError::Misuse(what.to_owned())),
            None => Ok(()),
        }
    }
}
