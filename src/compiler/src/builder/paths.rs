//! How a template's control flow goes: branches, cold paths, the ways out, and what is seen of them.

use super::inline::Joined;
use super::stack::{Delta, Stack};
use super::{Built, Done, TemplateBuilder, VALUE_REGISTERS};
use crate::error::TemplateError;
use crate::module::State;
use crate::symbol::HoleSymbol;
use crate::template::{Registers, Template, Type};
use inkwell::basic_block::BasicBlock;
use inkwell::values::{BasicValueEnum, FunctionValue, IntValue, PointerValue};
use mimeo::form::{Class, MAX_FUSED, Register};
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
    pub(super) function: FunctionValue<'ctx>,
    /// The function that it was built in, and its values there.
    pub(super) from: FunctionValue<'ctx>,
    pub(super) values: Vec<BasicValueEnum<'ctx>>,
    /// The stack that it is entered with.
    pub(super) stack: Stack<'ctx>,
    /// Where it is in a trace that is one function.
    pub(super) joined: Option<Joined<'ctx>>,
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
    pub(super) fn fork(&self) -> Self {
        Self {
            unit: self.unit,
            function: self.function,
            stack: self.stack.clone(),
            frame: self.frame,
            cold: self.cold,
            entered_above: self.entered_above,
            entered: self.entered.clone(),
        }
    }

    pub(super) fn current_block(&self) -> Built<BasicBlock<'ctx>> {
        match self.ir().get_insert_block() {
            Some(block) => Ok(block),
            None => self.misuse("builds where there is no block"),
        }
    }

    // ---- Ways out ----------------------------------------------------------------------------------------------

    /// Goes to another frame, whose stack ends at `stack_pointer`. What the template has popped is popped from the frame
    /// that it started in, and what it pushes from here on is pushed onto the other's stack; [`frame`](Self::frame) is the
    /// other one. The template keeps what it needs of the old frame by itself: [`flush`](Self::flush) gives the stack
    /// pointer there.
    ///
    /// The only way out behind it is [`continue_`](Self::continue_): errors and exits belong to the frame that the
    /// interpreter was in.
    ///
    /// # Errors
    /// The template declares neither `enters_frame()` nor `leaves_frame()`, goes to another frame twice, or has not
    /// popped what it declares to pop; or values are pushed already.
    pub fn switch_frame(
        &mut self,
        frame: PointerValue<'ctx>,
        stack_pointer: PointerValue<'ctx>,
    ) -> Built<()> {
        if !self.flags().intersects(UopFlags::SWITCHES_FRAME) {
            return self.misuse(
                "goes to another frame, but declares neither enters_frame() nor leaves_frame()",
            );
        }
        if self.unit.site().is_some() {
            return self.misuse("goes to another frame where a trace is one function");
        }
        self.require_kept_registers("another frame")?;
        self.require_same_frame("another frame")?;
        self.require_no_pending("another frame")?;
        let popped = self.unit.template().effect().popped;
        let (expected, found) = (Delta::default() - Delta::from(popped), self.stack.total());
        if found != expected {
            return self.misuse(format!(
                "declares to pop {popped} values, but goes to another frame with a change of depth by {found}"
            ));
        }
        self.frame = frame;
        self.stack.switch(stack_pointer);
        self.unit.note(|facts| facts.switches = true);
        Ok(())
    }

    /// Only the way on leads out of another frame.
    fn require_same_frame(&self, what: &str) -> Built<()> {
        match self.stack.switched {
            true => self.misuse(format!("has {what} behind the way to another frame")),
            false => Ok(()),
        }
    }

    /// Goes on with the next uop.
    ///
    /// # Errors
    /// The stack is not as the template declares, or it declares to be terminal; or it declares to go to another frame and
    /// has not.
    pub fn continue_(self) -> Built<Done> {
        if self.flags().contains(UopFlags::TERMINAL) {
            return self.misuse("declares to be terminal, but continues");
        }
        if self.flags().intersects(UopFlags::SWITCHES_FRAME) && !self.stack.switched {
            return self.misuse("declares to go to another frame, but continues in the same");
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
        self.note_outputs();
        self.go_to_next()
    }

    /// Notes what the next uop finds.
    fn note_outputs(&self) {
        let pushed = usize::from(self.unit.template().effect().pushed.fixed);
        let held = self.stack.pending.iter().rev();
        let mut outputs: Vec<Option<Class>> = held
            .take(pushed)
            .map(|value| match value {
                BasicValueEnum::FloatValue(_) => Some(Class::Float),
                _ => Some(Class::General),
            })
            .collect();
        // Those below them stay where they are.
        outputs.resize(pushed, None);
        outputs.reverse();
        self.unit.note(|facts| {
            facts.continues = true;
            let before = facts.outputs.replace(outputs);
            if before.is_some_and(|before| facts.outputs != Some(before)) {
                facts.needs_memory = true;
            }
        });
    }

    /// Goes to the uop that the trace's jump label names, with the stack as it is now.
    ///
    /// # Errors
    /// The template declares none of `may_deopt()`, `may_exit()` and `jumps()`, or jumps elsewhere with another depth.
    pub fn jump(self) -> Built<Done> {
        if !self.flags().needs_jump() {
            return self.misuse("jumps, but declares none of may_deopt(), may_exit() and jumps()");
        }
        self.require_same_frame("a jump")?;
        self.note_leaving_effect()?;
        self.unit.note(|facts| facts.jumps = true);
        if self.has_operands() {
            return self.jump_with_inputs();
        }
        self.leave_to(HoleValue::JumpTarget)
    }

    /// Goes to the uop that the trace's error label names, with the stack pointer as at entry. The values that the
    /// template popped are dead: it has released or given away whatever they own. Where it declares `pops_before_error()`,
    /// the stack is as it is now.
    ///
    /// # Errors
    /// The template does not declare `may_error()`.
    pub fn error(mut self) -> Built<Done> {
        self.require(UopFlags::ERROR, "an error", "may_error()")?;
        self.require_same_frame("an error")?;
        self.require_kept_registers("an error")?;
        self.unit.note(|facts| facts.errors = true);
        if self.flags().contains(UopFlags::POPS_BEFORE_ERROR) {
            return self.error_without_operands();
        }
        // From where the stack stands now, if that is known: a second pointer would take a second register.
        let (base, above) = match self.stack.base_offset {
            Some(above) => (self.stack.base, above),
            None => (self.unit.stack_parameter(self.function), self.entered_above),
        };
        let top = self.slot(base, self.i64((-above).into()))?;
        let alive = self.entered.still_there(&self.stack.pending);
        for (index, value) in (self.entered.lowest()..).zip(alive) {
            self.store(value, self.slot(top, self.i64(index.into()))?, 0)?;
        }
        self.stack.reset(top);
        self.leave_to(HoleValue::ErrorTarget)
    }

    /// Goes to the error target with the stack as it is now.
    fn error_without_operands(self) -> Built<Done> {
        let popped = self.unit.template().effect().popped;
        let (expected, found) = (Delta::default() - Delta::from(popped), self.stack.total());
        if found != expected {
            return self.misuse(format!(
                "declares that an error pops {popped} values, but raises one with a change of depth by {found}"
            ));
        }
        self.leave_to(HoleValue::ErrorTarget)
    }

    /// Goes to the trace's second uop, with the stack as it is now, which must be as deep as at entry.
    ///
    /// # Errors
    /// The template does not declare `restarts()`, or the depth differs.
    pub fn top(self) -> Built<Done> {
        self.require(UopFlags::TOP, "the trace's top", "restarts()")?;
        self.require_same_frame("a way to the top")?;
        self.require_kept_registers("a way to the top")?;
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
        self.require_same_frame("a side exit")?;
        if self.unit.site().is_some() {
            return self.leave_inlined();
        }
        self.require_kept_registers("a side exit")?;
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
        let symbol = HoleSymbol::address(HoleValue::Exit).of_element(self.unit.element());
        let record = self.unit.hole_address(symbol);
        let address = self.assembly(false, "leaq ${1:c}(%rip), $0", "=r,i", &[record.into()])?;
        if self.unit.registers() == Registers::Operands {
            // The trace's way out writes pinned locals back before it follows the record.
            let leave = HoleSymbol::address(HoleValue::Leave);
            let leave = self.unit.control_hole(leave);
            let values = self.exit_record(address)?;
            self.unit
                .tail_call(leave, self.handed_over(stack), &values)?;
            return Ok(Done(()));
        }
        let entry = self
            .ir()
            .build_load(self.llvm_type(Type::Pointer), record, "entry")?
            .into_pointer_value();
        let values = self.exit_record(address)?;
        self.unit
            .tail_call_indirect(entry, self.handed_over(stack), &values)?;
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
        if self.unit.site().is_some() {
            return self.joined_path(values, path);
        }
        self.require_kept_registers("a cold path")?;
        if self.unit.is_base() {
            self.require_no_pending("a cold path")?;
        }
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
        let mut inner = self.entering_cold(function, base_offset);
        inner.stack.below = self.stack.below;
        inner.stack.depth = self.stack.depth;
        inner.stack.switched = self.stack.switched;
        self.ir()
            .position_at_end(self.context().append_basic_block(function, ""));
        let receive = |values: &[BasicValueEnum<'ctx>], first: u8| {
            let registers = (first..).map_while(Register::general);
            values
                .iter()
                .zip(registers)
                .map(|(&value, register)| {
                    let word = self.unit.register_parameter(function, register);
                    inner.convert(word, kind_of(value))
                })
                .collect::<Built<Vec<_>>>()
        };
        let held = receive(&self.stack.pending, 0)?;
        let received = receive(values, self.first_handed_register())?;
        inner.entered = self.entered.in_cold_code(&self.stack.pending, &held);
        inner.stack.pending = held;
        path(inner, &received)?;
        self.ir().position_at_end(here);
        Ok(ColdPath {
            function,
            from: self.function,
            values: values.to_vec(),
            stack: self.stack.clone(),
            joined: None,
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
        if let Some(joined) = &path.joined {
            return self.join(joined, values);
        }
        let mut registers = self.held_words()?;
        registers.extend(self.in_registers(values)?);
        let state = self.handed_over(self.stack.base);
        self.unit.tail_call(path.function, state, &registers)?;
        Ok(Done(()))
    }

    /// The first of the registers in which values are handed to cold code: in variants those of slots are taken.
    fn first_handed_register(&self) -> u8 {
        match self.unit.is_base() {
            true => 0,
            false => VALUE_REGISTERS as u8,
        }
    }

    /// The values as they are handed over.
    fn in_registers(
        &self,
        values: &[BasicValueEnum<'ctx>],
    ) -> Built<Vec<(Register, BasicValueEnum<'ctx>)>> {
        let registers = (self.first_handed_register()..).map_while(Register::general);
        let values = values.iter().zip(registers);
        values
            .map(|(&value, register)| Ok((register, self.as_word(value)?.into())))
            .collect()
    }

    /// What this code hands to other code, with the stack pointer at `stack`.
    pub(super) fn handed_over(&self, stack: PointerValue<'ctx>) -> State<'ctx> {
        State {
            caller: self.function,
            frame: self.frame,
            stack,
        }
    }

    /// The hole of a way out, which is this uop's where there are several.
    pub(super) fn way_out(&self, value: HoleValue) -> HoleSymbol {
        let symbol = HoleSymbol::address(value);
        match value {
            HoleValue::Continue => symbol,
            _ => symbol.of_element(self.unit.element()),
        }
    }

    /// The address of the exit record as the code that it names takes it.
    fn exit_record(
        &self,
        address: PointerValue<'ctx>,
    ) -> Built<Vec<(Register, BasicValueEnum<'ctx>)>> {
        let first = Register::general(0).into_iter();
        first
            .map(|register| Ok((register, self.as_word(address.into())?.into())))
            .collect()
    }

    pub(super) fn leave_to(self, value: HoleValue) -> Built<Done> {
        if self.unit.site().is_some() {
            return self.branch_to(value);
        }
        let stack = self.store_pending()?;
        if self.is_handler() {
            return self.dispatch(value, stack);
        }
        let function = self.unit.control_hole(self.way_out(value));
        self.unit
            .tail_call(function, self.handed_over(stack), &[])?;
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
    pub(super) fn note_leaving_effect(&self) -> Built<()> {
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
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) continues: bool,
    pub(crate) errors: bool,
    pub(crate) restarts: bool,
    pub(crate) exits: bool,
    pub(crate) jumps: bool,
    /// Whether it goes to another frame.
    pub(crate) switches: bool,
    /// The stack effect on the way to the jump target or out of the trace.
    pub(crate) leaving_effect: Option<StackEffect>,
    /// What is known of the values that the base form takes, the highest first.
    pub(crate) inputs: Vec<InputFacts>,
    /// The classes of the values that the next uop finds on top, the lowest first; `None` for one that stays as it was.
    pub(crate) outputs: Option<Vec<Option<Class>>>,
    /// Whether it cannot do with all values in registers.
    pub(crate) needs_memory: bool,
    /// Whether it calls functions.
    pub(crate) calls: bool,
    /// The values that a variant with slots leaves in registers.
    pub(crate) registers_out: Option<u8>,
    /// The inputs that an operand form leaves on the stack where it jumps.
    pub(crate) intact: Option<u8>,
    /// The largest arguments of each of the fused uops, where it reads them.
    limits: [Limits; MAX_FUSED],
}

/// What is known of a value that a template takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct InputFacts {
    /// What it was read as; `None` where it never was.
    pub(crate) class: Option<Class>,
    /// It counts only modulo 2 to this power.
    pub(crate) mask_bits: Option<u8>,
}

/// The largest values that a uop was compiled for.
#[derive(Clone, Copy, Debug, Default)]
struct Limits {
    oparg: Option<u64>,
    operand: Option<u64>,
    operand1: Option<u64>,
}

impl Facts {
    /// Notes that a hole holds numbers up to `max`.
    pub(super) fn note_range(&mut self, element: u8, value: HoleValue, max: u64) {
        let Some(limits) = self.limits.get_mut(usize::from(element)) else {
            return;
        };
        let noted = match value {
            HoleValue::Oparg => &mut limits.oparg,
            HoleValue::Operand => &mut limits.operand,
            HoleValue::Operand1 => &mut limits.operand1,
            _ => return,
        };
        *noted = Some(noted.map_or(max, |known| known.min(max)));
    }

    /// The largest oparg, operand and second operand that fused uop `element` was compiled for.
    pub(crate) fn limits(&self, element: usize) -> (u32, u64, u64) {
        let limits = self.limits.get(element).copied().unwrap_or_default();
        let oparg = u64::from(u16::MAX);
        let oparg = limits.oparg.unwrap_or(oparg).min(oparg);
        let [operand, operand1] =
            [limits.operand, limits.operand1].map(|limit| limit.unwrap_or(u64::MAX));
        (oparg as u32, operand, operand1)
    }

    /// Whether a template on its own asks for its second operand.
    pub(crate) fn reads_operand1(&self) -> bool {
        self.limits[0].operand1.is_some()
    }

    /// Notes how the value `depth` below the top at entry was read.
    pub(crate) fn note_read(&mut self, depth: usize, class: Class) {
        if self.inputs.len() <= depth {
            self.inputs.resize(depth + 1, InputFacts::default());
        }
        let known = self.inputs[depth].class.replace(class);
        if known.is_some_and(|known| known != class) {
            self.needs_memory = true;
        }
    }

    /// Whether everything that the template declares is there.
    pub(crate) fn check(&self, template: &Template) -> Result<(), TemplateError> {
        let flags = template.flags();
        if let (Some(declared), Some(found)) = (template.leaving(), self.leaving_effect)
            && declared != found
        {
            return Err(TemplateError::Misuse(format!(
                "declares to leave with the stack effect {declared}, but leaves with {found}"
            )));
        }
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
            (
                flags.intersects(UopFlags::SWITCHES_FRAME),
                self.switches,
                "declares enters_frame() or leaves_frame(), but never goes to another frame",
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
