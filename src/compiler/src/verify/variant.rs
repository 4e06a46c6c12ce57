//! What a stencil does with the registers that values travel in: the rules of [forms](mimeo::form). Each way out is
//! looked at with what the registers are known to hold there.

use super::graph::{ENTRY, Filled, Graph, Node, Target};
use super::instruction::memory_access;
use super::values::{Live, Location, State, Value, Values};
use super::violation::{VerifyError, Violation};
use super::{Checker, Registers};
use iced_x86::Mnemonic;
use mimeo::form::{Form, Input, OperandForm, Register, RegisterSet};
use mimeo::hole::{Hole, HoleValue};
use mimeo::stencil::{Count, StackEffect};

/// The size of a stack value, in bytes.
const WORD: i64 = 8;

/// The most stack values that a stencil takes and leaves in the first value registers.
const SLOTS: u8 = 3;

/// How control leaves, and the fused uop that it leaves from.
#[derive(Clone, Copy)]
struct WayOut {
    value: HoleValue,
    element: u8,
}

const CONTINUE: WayOut = WayOut {
    value: HoleValue::Continue,
    element: 0,
};

impl Checker<'_> {
    /// The constants of a form fill holes that hold every value they may have, and are read as what they are; only
    /// forms have such.
    pub(super) fn constants_are_inputs(&self, graph: &Graph<'_>) -> Result<(), VerifyError> {
        for node in graph.nodes() {
            for filled in &node.filled {
                match filled.hole.value() {
                    HoleValue::Input => self.is_number_input(filled.hole),
                    HoleValue::Pooled => self.is_pooled_input(node, filled),
                    _ => Ok(()),
                }
                .map_err(|violation| self.error_at(node, violation))?;
            }
        }
        Ok(())
    }

    fn is_number_input(&self, hole: &Hole) -> Result<(), Violation> {
        let addend = i64::from(hole.addend());
        let (low, high) = match self.input(hole) {
            Some(Input::Signed32) => (i64::from(i32::MIN), i64::from(i32::MAX)),
            Some(Input::Unsigned(bits)) => (0, (1 << bits) - 1),
            _ => return Err(no_input(hole)),
        };
        let range = hole.kind().range();
        match range.contains(&(low + addend)) && range.contains(&(high + addend)) {
            true => Ok(()),
            false => Err(Violation::NarrowInput {
                kind: hole.kind(),
                low,
                high,
            }),
        }
    }

    /// A pooled constant has 8 bytes at a multiple of 8.
    fn is_pooled_input(&self, node: &Node<'_>, filled: &Filled<'_>) -> Result<(), Violation> {
        if self.input(filled.hole) != Some(Input::Pooled) {
            return Err(no_input(filled.hole));
        }
        let access = memory_access(&node.instruction).ok_or(Violation::UnknownAccess)?;
        let is_load = node.instruction.mnemonic() != Mnemonic::Lea && !access.writes;
        let inside = filled.beyond_value() == 0 && access.size <= WORD && access.align <= WORD;
        match is_load && inside {
            true => Ok(()),
            false => Err(Violation::PooledAccess),
        }
    }

    fn input(&self, hole: &Hole) -> Option<Input> {
        let inputs = &self.operands()?.inputs;
        inputs.get(usize::from(hole.element())).copied()
    }

    fn operands(&self) -> Option<&OperandForm> {
        match self.registers {
            Registers::Form(Form::Operands(form)) => Some(form),
            Registers::Form(Form::Slots { .. }) | Registers::Base { .. } => None,
        }
    }

    /// The locations that hold something of the stencil's own on entry.
    pub(super) fn live_on_entry(&self) -> Live {
        let mut live = Live::ALWAYS;
        match self.registers {
            Registers::Form(Form::Operands(form)) => {
                for input in &form.inputs {
                    if let Input::Register(register) = input {
                        live = live.with(Location::of(*register));
                    }
                }
            }
            Registers::Form(Form::Slots { registers_in, .. }) => {
                for register in (0..*registers_in).filter_map(Register::general) {
                    live = live.with(Location::of(register));
                }
            }
            Registers::Base { .. } => {}
        }
        match self.is_leave() {
            true => live.with(Location::R15),
            false => live,
        }
    }

    /// On every way out, the registers hold what whoever goes on there expects.
    pub(super) fn ways_out_keep_registers(
        &self,
        graph: &Graph<'_>,
        values: &Values<'_>,
    ) -> Result<(), VerifyError> {
        if graph.entry == Target::Continue {
            self.way_out_keeps_registers(CONTINUE, &State::at_entry())
                .map_err(|violation| self.error(ENTRY, violation))?;
        }
        for node in graph.nodes() {
            for target in node.targets() {
                let Some(way) = way_out(node, target) else {
                    continue;
                };
                if let Some(state) = values.after(node) {
                    self.way_out_keeps_registers(way, &state)
                        .map_err(|violation| self.error_at(node, violation))?;
                }
            }
        }
        Ok(())
    }

    fn way_out_keeps_registers(&self, way: WayOut, state: &State) -> Result<(), Violation> {
        let kept = |location| is_kept(location, way, state);
        kept(Location::R14)?;
        if self.switches_frame() && way.value == HoleValue::Continue {
            self.is_another_frame(state)?;
        } else {
            kept(Location::R12)?;
            self.stack_pointer_is_as_declared(way, state.get(Location::R13))?;
        }
        match self.registers {
            Registers::Base { kept: registers } => keeps(registers, way, state)?,
            Registers::Form(Form::Slots { registers_out, .. }) => {
                if way.value == HoleValue::Continue {
                    for register in (0..*registers_out).filter_map(Register::general) {
                        self.is_defined(register, state)?;
                    }
                }
            }
            Registers::Form(Form::Operands(form)) => {
                let registers = match (way.value, form.output) {
                    (HoleValue::Continue, Some(output)) => {
                        self.is_defined(output, state)?;
                        RegisterSet::ALL.without(output)
                    }
                    (HoleValue::Continue | HoleValue::JumpTarget, _) => RegisterSet::ALL,
                    _ if self.is_leave() => RegisterSet::ALL,
                    (value, _) => return Err(Violation::OperandsLeave { value }),
                };
                let stack = state.get(Location::R13);
                if !self.adjusts_stack() || !stack.is_adjusted_stack(0) {
                    kept(Location::R13)?;
                }
                keeps(registers, way, state)?;
            }
        }
        match way.value {
            HoleValue::Leave | HoleValue::Exit
                if !self.is_leave()
                    && !state
                        .get(Location::R15)
                        .is_hole(HoleValue::Exit, way.element) =>
            {
                Err(Violation::LeaveWithoutExit)
            }
            _ => Ok(()),
        }
    }

    fn is_defined(&self, register: Register, state: &State) -> Result<(), Violation> {
        let location = Location::of(register);
        match state.get(location).is_undefined(self.live_on_entry()) {
            true => Err(Violation::UndefinedOutput { register }),
            false => Ok(()),
        }
    }

    /// r12 is another frame, and r13 its stack pointer: something that the stencil has put there, wherever it has it from.
    fn is_another_frame(&self, state: &State) -> Result<(), Violation> {
        if state.get(Location::R12).is_entry_of(Location::R12) {
            return Err(Violation::SameFrame);
        }
        let is_undefined = |location: &Location| {
            let value = state.get(*location);
            value.is_undefined(self.live_on_entry())
        };
        match [Location::R12, Location::R13]
            .into_iter()
            .find(is_undefined)
        {
            None => Ok(()),
            Some(location) => Err(Violation::UndefinedFrame {
                register: location.name(),
            }),
        }
    }

    /// r13 is where the stack effects say, if they and r13 are known.
    fn stack_pointer_is_as_declared(&self, way: WayOut, value: &Value) -> Result<(), Violation> {
        let (Some(found), Some(expected)) = (
            value.above_entry_of(Location::R13),
            self.expected_stack_change(way),
        ) else {
            return Ok(());
        };
        match found == expected {
            true => Ok(()),
            false => Err(Violation::StackPointerValue {
                value: way.value,
                found,
                expected,
            }),
        }
    }

    /// How far r13 moves on a way out, in bytes; `None` where the oparg or something else decides.
    fn expected_stack_change(&self, way: WayOut) -> Option<i64> {
        let (values_in, values_out) = match self.registers {
            // Operands are in no memory at all.
            Registers::Form(Form::Operands(_)) => return None,
            Registers::Form(Form::Slots {
                registers_in,
                registers_out,
            }) => (i64::from(*registers_in), i64::from(*registers_out)),
            Registers::Base { .. } => (0, 0),
        };
        let before = match way.value {
            HoleValue::Continue => self.uops.len(),
            _ => usize::from(way.element),
        };
        let mut depth = values_in;
        for uop in self.uops.get(..before)? {
            depth += net(uop.effect)?;
        }
        match way.value {
            HoleValue::Continue => depth -= values_out,
            HoleValue::JumpTarget | HoleValue::Exit | HoleValue::Leave => {
                depth += net(self.uops.get(before)?.leaving_effect)?;
            }
            // As at the uop's entry.
            HoleValue::ErrorTarget => {}
            _ => return None,
        }
        Some(depth * WORD)
    }
}

/// The values that there are more afterwards.
fn net(effect: StackEffect) -> Option<i64> {
    let fixed = |count: Count| count.is_fixed().then(|| i64::from(count.fixed));
    Some(fixed(effect.pushed)? - fixed(effect.popped)?)
}

fn no_input(hole: &Hole) -> Violation {
    Violation::NoInput {
        value: hole.value(),
        element: hole.element(),
    }
}

/// How control leaves by an instruction, if it does to this target.
fn way_out(node: &Node<'_>, target: Target) -> Option<WayOut> {
    match target {
        Target::Inside(_) => None,
        Target::Continue => Some(CONTINUE),
        Target::Out => {
            let hole = node.filled.first().map(|filled| filled.hole);
            // Only the way out of the trace has no hole.
            Some(hole.map_or(
                WayOut {
                    value: HoleValue::Exit,
                    element: 0,
                },
                |hole| WayOut {
                    value: hole.value(),
                    element: hole.element(),
                },
            ))
        }
    }
}

fn keeps(registers: RegisterSet, way: WayOut, state: &State) -> Result<(), Violation> {
    Register::all()
        .filter(|&register| registers.contains(register))
        .try_for_each(|register| is_kept(Location::of(register), way, state))
}

fn is_kept(location: Location, way: WayOut, state: &State) -> Result<(), Violation> {
    match state.get(location).is_entry_of(location) {
        true => Ok(()),
        false => Err(Violation::NotKept {
            register: location.name(),
            value: way.value,
        }),
    }
}

impl Registers<'_> {
    /// Whether more than [`SLOTS`] values would be in registers.
    pub(super) fn exceeds_slots(self) -> bool {
        match self {
            Self::Form(&Form::Slots {
                registers_in,
                registers_out,
            }) => registers_in > SLOTS || registers_out > SLOTS,
            Self::Form(Form::Operands(_)) | Self::Base { .. } => false,
        }
    }
}
