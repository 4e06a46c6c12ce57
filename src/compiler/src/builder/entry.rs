//! How a template's code starts in each form, and how it goes on where the next uop is reached.

use super::stack::Stack;
use super::{Built, Done, Overflowing, TemplateBuilder};
use crate::forms::Entry;
use crate::module::Unit;
use crate::symbol::HoleSymbol;
use crate::template::Type;
use inkwell::basic_block::BasicBlock;
use inkwell::values::{BasicValue, BasicValueEnum, FunctionValue, IntValue, PointerValue};
use mimeo::form::{Class, Input, Register};
use mimeo::hole::HoleValue;
use mimeo::stencil::UopFlags;
use std::rc::Rc;

/// The prefix of the names of values that are constants in the instruction; see [`crate::constants`].
pub(crate) const CONSTANT_INPUT: &str = "constant_input";

/// What a template's code starts with besides memory.
#[derive(Clone, Default)]
pub(super) struct Entered<'ctx> {
    /// The values that are not in memory, the lowest first: those of the whole stencil where uops are fused.
    inputs: Rc<[BasicValueEnum<'ctx>]>,
    /// How many values are not in memory when this template starts.
    held: i32,
    /// Those values, the lowest first. What the template has not popped where it raises an error is still alive there.
    survivors: Rc<[BasicValueEnum<'ctx>]>,
    /// The operand, where it is an input.
    pub(super) operand: Option<IntValue<'ctx>>,
    /// A register whose value at entry is what this says, rather than what LLVM would have to keep a copy of.
    restored: Option<(Register, BasicValueEnum<'ctx>)>,
}

impl<'ctx> Entered<'ctx> {
    /// What is known of it in another function, which starts with the values `there` that are not in memory, as `here`
    /// where it is entered from.
    pub(super) fn in_cold_code(
        &self,
        here: &[BasicValueEnum<'ctx>],
        there: &[BasicValueEnum<'ctx>],
    ) -> Self {
        let alive = self.still_there(here).len().min(there.len());
        Self {
            held: self.held,
            survivors: there[..alive].into(),
            ..Self::default()
        }
    }

    /// The values that were there when the template started and that are where they were in `pending`.
    pub(super) fn still_there(
        &self,
        pending: &[BasicValueEnum<'ctx>],
    ) -> Vec<BasicValueEnum<'ctx>> {
        let pairs = self.survivors.iter().zip(pending);
        pairs
            .take_while(|(entered, now)| entered == now)
            .map(|(entered, _)| *entered)
            .collect()
    }

    /// The lowest slot of the values that are not in memory when the template starts, from the stack's top there.
    pub(super) fn lowest(&self) -> i32 {
        -self.held
    }
}

/// Where a fused uop continues: the next one starts there.
pub(crate) struct Continuation<'ctx> {
    block: BasicBlock<'ctx>,
    function: FunctionValue<'ctx>,
    stack: Stack<'ctx>,
    /// How many slots the stack pointer at the function's entry is above the stack's top here.
    entered_above: i32,
    inputs: Rc<[BasicValueEnum<'ctx>]>,
}

impl<'t, 'ctx> TemplateBuilder<'t, 'ctx> {
    /// A builder positioned at the start of `function`, a stencil's hot code.
    pub(crate) fn start(unit: &'t Unit<'t, 'ctx>, function: FunctionValue<'ctx>) -> Built<Self> {
        let mut this = Self {
            unit,
            function,
            stack: Stack::entered_at(unit.stack_parameter(function), 0),
            frame: unit.frame_parameter(function),
            cold: false,
            entered_above: 0,
            entered: Entered::default(),
        };
        let inputs = match unit.entry() {
            Entry::Base => Vec::new(),
            Entry::Slots { registers_in, .. } => (0..*registers_in)
                .filter_map(Register::general)
                .map(|register| unit.register_parameter(function, register))
                .collect(),
            Entry::Operands { inputs, .. } => (0..)
                .zip(inputs)
                .map(|(index, &input)| this.input(index, input))
                .collect::<Built<_>>()?,
        };
        this.entered.inputs = inputs.into();
        if this.flags().contains(UopFlags::CONSTANT)
            && let [value] = *this.entered.inputs
        {
            this.entered.operand = Some(this.as_word(value)?);
            return Ok(this);
        }
        this.stack.hold(this.entered.inputs.to_vec());
        this.entered_above = -(this.stack.pending.len() as i32);
        this.note_entered();
        Ok(this)
    }

    /// A builder positioned where the uop before this one continues.
    pub(crate) fn go_on(unit: &'t Unit<'t, 'ctx>, from: Continuation<'ctx>) -> Self {
        unit.ir().position_at_end(from.block);
        let mut this = Self {
            unit,
            function: from.function,
            stack: from.stack,
            frame: unit.frame_parameter(from.function),
            cold: false,
            entered_above: from.entered_above,
            entered: Entered {
                inputs: from.inputs,
                ..Entered::default()
            },
        };
        this.note_entered();
        this
    }

    /// Notes which values are not in memory at the template's start.
    fn note_entered(&mut self) {
        self.entered.held = self.stack.pending.len() as i32;
        self.entered.survivors = self.stack.pending[..].into();
    }

    /// The value of one input.
    fn input(&self, index: u8, input: Input) -> Built<BasicValueEnum<'ctx>> {
        let constant = |symbol: HoleSymbol| {
            let hole = self.unit.hole_address(symbol.of_element(index));
            // Opaque to LLVM, which takes symbols for addresses and folds them where their fields do not fit. What can
            // be an immediate becomes one afterwards.
            let value = self.assembled(Type::I64, false, "movq $1, $0", "=r,i", &[hole.into()])?;
            value.set_name(CONSTANT_INPUT);
            Ok(value)
        };
        match input {
            Input::Register(register) => Ok(self.unit.register_parameter(self.function, register)),
            Input::Signed32 => constant(HoleSymbol::signed(HoleValue::Input, 32)),
            Input::Unsigned(bits) => constant(HoleSymbol::number(HoleValue::Input, bits)),
            Input::Pooled => {
                let symbol = HoleSymbol::address(HoleValue::Pooled).of_element(index);
                let address = self.unit.hole_address(symbol);
                let kind = self.llvm_type(Type::F64);
                Ok(self.ir().build_load(kind, address, "")?)
            }
        }
    }

    /// On a path that leaves with the values that `operation` took: says how to have back the one whose register the
    /// result is in.
    pub(super) fn take_back(
        &mut self,
        operation: Overflowing,
        result: IntValue<'ctx>,
        left: IntValue<'ctx>,
        right: IntValue<'ctx>,
    ) -> Built<()> {
        let Entry::Operands {
            output: Some(register),
            ..
        } = *self.unit.entry()
        else {
            return Ok(());
        };
        let Some(undo) = operation.undo() else {
            return Ok(());
        };
        let before = self.unit.register_parameter(self.function, register);
        let undone = if before == left.as_basic_value_enum() {
            self.undone(undo, result, right)?
        } else if before == right.as_basic_value_enum() {
            match operation {
                Overflowing::Add => self.undone(undo, result, left)?,
                // left - (left - right)
                _ => self.undone("subq", left, result)?,
            }
        } else {
            return Ok(());
        };
        self.entered.restored = Some((register, undone));
        Ok(())
    }

    /// `value` with `operand` subtracted or added, so that LLVM does not see what that comes to.
    fn undone(
        &self,
        instruction: &str,
        value: IntValue<'ctx>,
        operand: IntValue<'ctx>,
    ) -> Built<BasicValueEnum<'ctx>> {
        let text = format!("{instruction} $2, $0");
        let operands = [value.into(), operand.into()];
        self.assembled(Type::I64, false, &text, "=r,0,ri,~{flags}", &operands)
    }

    // ---- Ways on ---------------------------------------------------------------------------------------------

    /// Goes on with the next uop, as the form says.
    pub(super) fn go_to_next(self) -> Built<Done> {
        if self.unit.is_followed() {
            return self.go_to_fused();
        }
        match self.unit.entry() {
            Entry::Base => self.leave_to(HoleValue::Continue),
            Entry::Slots { .. } => self.leave_in_slots(),
            Entry::Operands { output, .. } => self.leave_with_output(*output),
        }
    }

    /// Goes on with the next of the fused uops.
    fn go_to_fused(self) -> Built<Done> {
        let block = self.current_block()?;
        let deeper = self.stack.total().as_fixed();
        let (Some(deeper), Some(_), false) = (deeper, self.stack.base_offset, self.cold) else {
            return self.misuse("continues where nothing can be fused behind it");
        };
        let mut stack = self.stack;
        stack.enter();
        self.unit.continue_at(Continuation {
            block,
            function: self.function,
            stack,
            entered_above: self.entered_above - deeper,
            inputs: self.entered.inputs,
        })?;
        Ok(Done::new())
    }

    /// Hands the values that are not in memory to the next stencil in the first value registers. All ways on hand over
    /// as many as the first.
    fn leave_in_slots(mut self) -> Built<Done> {
        let held = self.stack.pending.len() as u8;
        if held > MAX_SLOTS {
            return self.misuse("leaves more values than there are registers for them");
        }
        let wanted = self
            .unit
            .note(|facts| *facts.registers_out.get_or_insert(held));
        while self.stack.pending.len() > usize::from(wanted) {
            self.store_lowest()?;
        }
        while self.stack.pending.len() < usize::from(wanted) {
            self.load_top()?;
        }
        let values = self.held_words()?;
        let stack = self.end_of_memory()?;
        let function = self
            .unit
            .control_hole(HoleSymbol::address(HoleValue::Continue));
        self.unit
            .tail_call(function, self.handed_over(stack), &values)?;
        Ok(Done::new())
    }

    /// The values that are not in memory, each in its register as slots.
    pub(super) fn held_words(&self) -> Built<Vec<(Register, BasicValueEnum<'ctx>)>> {
        let held = self.stack.pending.iter();
        held.zip((0..).map_while(Register::general))
            .map(|(&value, register)| Ok((register, self.as_word(value)?.into())))
            .collect()
    }

    /// Leaves the value, if the form leaves one, in its register.
    fn leave_with_output(self, output: Option<Register>) -> Built<Done> {
        let values = match (output, self.stack.pending.as_slice()) {
            (None, []) => Vec::new(),
            (Some(register), &[value]) => {
                let kind = match register.class() {
                    Class::General => Type::I64,
                    Class::Float => Type::F64,
                };
                vec![(register, self.convert(value, kind)?)]
            }
            _ => return self.misuse("leaves other values than its operand form"),
        };
        self.leave_in_registers(HoleValue::Continue, &values)
    }

    /// Goes to the jump target with the first inputs where they were.
    pub(super) fn jump_with_inputs(self) -> Built<Done> {
        let held = self.stack.pending.as_slice();
        if !self.entered.inputs.starts_with(held) {
            return self.misuse("jumps with other values than its inputs");
        }
        let intact = held.len() as u8;
        let before = self.unit.note(|facts| facts.intact.replace(intact));
        if before.is_some_and(|before| before != intact) {
            return self.misuse("jumps with its inputs and without");
        }
        let restored = Vec::from_iter(self.entered.restored);
        self.leave_in_registers(HoleValue::JumpTarget, &restored)
    }

    /// Leaves with the memory as it was.
    fn leave_in_registers(
        self,
        value: HoleValue,
        values: &[(Register, BasicValueEnum<'ctx>)],
    ) -> Built<Done> {
        let stack = self.unit.stack_parameter(self.function);
        let function = self.unit.control_hole(self.way_out(value));
        self.unit
            .tail_call(function, self.handed_over(stack), values)?;
        Ok(Done::new())
    }

    // ---- What selection works with -----------------------------------------------------------------------------

    /// Whether the form has its values in registers.
    pub(crate) fn has_operands(&self) -> bool {
        matches!(self.unit.entry(), Entry::Operands { .. })
    }

    /// The stack slot that the oparg names: 2^15 is the one that the stack pointer points to.
    pub(crate) fn biased_slot(&self) -> Built<PointerValue<'ctx>> {
        let bias = self.i64(-((1 << 15) * 8));
        let displacement = self.scaled_oparg(3)?.const_add(bias);
        self.offset(self.unit.stack_parameter(self.function), displacement)
    }

    /// Continues with the stack pointer there.
    pub(crate) fn continue_with_stack(self, stack: PointerValue<'ctx>) -> Built<Done> {
        self.unit.note(|facts| facts.continues = true);
        let function = self
            .unit
            .control_hole(HoleSymbol::address(HoleValue::Continue));
        self.unit
            .tail_call(function, self.handed_over(stack), &[])?;
        Ok(Done::new())
    }

    /// Goes to the code that the word points to whose address is in the first value register.
    pub(crate) fn follow_first_register(self) -> Built<Done> {
        let Some(first) = Register::general(0) else {
            return self.misuse("has no register");
        };
        let record = self.unit.register_parameter(self.function, first);
        let pointer = self.convert(record, Type::Pointer)?.into_pointer_value();
        let entry = self.load_pointer(pointer, 0)?;
        let stack = self.unit.stack_parameter(self.function);
        self.unit
            .tail_call_indirect(entry, self.handed_over(stack), &[(first, record)])?;
        Ok(Done::new())
    }
}

/// The most values that slots hold.
const MAX_SLOTS: u8 = 3;
