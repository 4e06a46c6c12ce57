//! What a uop is declared to be for selection, which then does it in its own way: a value that a uop copies is in two places, a
//! local that it loads is where it is pinned. So its code must do that and nothing else.
//!
//! Such code is a few moves. It is executed with symbols for values: what the stack and the local hold, what fills holes, and what
//! the form puts into registers. Whatever is not known to be one of these moves is refused.

use super::graph::{ENTRY, Filled, Graph, Node, Target};
use super::instruction::Field;
use super::values::Location;
use super::violation::{VerifyError, Violation};
use super::{Checker, Registers};
use iced_x86::{Instruction, Mnemonic, OpKind, Register};
use mimeo::form::{Form, Input, OperandForm};
use mimeo::hole::HoleValue;
use mimeo::reloc::RelocationKind;
use mimeo::stencil::{Part, StackEffect, StencilGroup, UopFlags};
use std::cell::Cell;
use std::collections::BTreeMap;

/// The flags that say what a uop is for selection.
pub(super) const ROLES: UopFlags = UopFlags::LOADS_LOCAL
    .union(UopFlags::STORES_LOCAL)
    .union(UopFlags::CONSTANT)
    .union(UopFlags::COPIES)
    .union(UopFlags::DROPS)
    .union(UopFlags::SWAPS);

/// What such a uop cannot do as well.
const OTHERS: UopFlags = UopFlags::ERROR
    .union(UopFlags::DEOPT)
    .union(UopFlags::EXIT)
    .union(UopFlags::JUMP)
    .union(UopFlags::TERMINAL)
    .union(UopFlags::EXIT_RECORD)
    .union(UopFlags::TOP)
    .union(UopFlags::SWITCHES_FRAME);

/// Where the locals are, of which pinned ones are loaded by one uop and stored by another.
#[derive(Default)]
pub(super) struct Locals(Cell<Option<i32>>);

impl Locals {
    /// A uop that loads or stores locals has them where the others have them.
    pub(super) fn are_those_of(
        &self,
        name: &str,
        flags: UopFlags,
        group: StencilGroup<'_>,
    ) -> Result<(), VerifyError> {
        let role = flags & (UopFlags::LOADS_LOCAL | UopFlags::STORES_LOCAL);
        let mut holes = group.hot.holes.iter();
        let oparg = holes.find(|hole| hole.value() == HoleValue::Oparg && !role.is_empty());
        let Some(hole) = oparg else {
            return Ok(());
        };
        let first = self.0.get().unwrap_or(hole.addend());
        self.0.set(Some(first));
        match hole.addend() == first {
            true => Ok(()),
            false => Err(VerifyError {
                uop: name.to_owned(),
                part: Part::Hot,
                offset: hole.offset(),
                instruction: None,
                violation: Violation::Role {
                    role,
                    found: "has its local elsewhere than other uops of the table",
                },
            }),
        }
    }
}

/// A word of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Word {
    /// Bytes from where the stack pointer was on entry.
    Stack(i64),
    /// The local that the oparg names, counted from this many bytes behind the frame.
    Local(i64),
}

/// 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    /// The address of the frame.
    Frame,
    /// What the stack pointer was on entry, and so many bytes.
    Stack(i64),
    /// What a word held on entry.
    Held(Word),
    /// The operand.
    Operand,
    /// An input of the form, by its index.
    Input(u8),
}

/// The top of the stack on entry.
const TOP: Word = Word::Stack(-8);
/// The value below it.
const SECOND: Word = Word::Stack(-16);
/// Where a value is pushed.
const NEW: Word = Word::Stack(0);

/// Registers and memory, as far as they are known.
struct Machine {
    registers: BTreeMap<Location, Value>,
    written: BTreeMap<Word, Value>,
}

impl Checker<'_> {
    /// A uop with a role does what the role says, and nothing else.
    pub(super) fn role_is_kept(&self, graph: &Graph<'_>) -> Result<(), VerifyError> {
        let [uop] = self.uops else {
            return Ok(());
        };
        let role = uop.flags & ROLES;
        let form = match self.registers {
            // What they do with the stack is what runs.
            Registers::Form(Form::Slots { .. }) => return Ok(()),
            Registers::Form(Form::Operands(form)) => Some(form),
            Registers::Base { .. } => None,
        };
        if role.is_empty() {
            return Ok(());
        }
        let wrong = |found| Violation::Role { role, found };
        let effect = match role {
            UopFlags::LOADS_LOCAL | UopFlags::CONSTANT => StackEffect::fixed(0, 1),
            UopFlags::STORES_LOCAL | UopFlags::DROPS => StackEffect::fixed(1, 0),
            UopFlags::COPIES => StackEffect::fixed(1, 2),
            UopFlags::SWAPS => StackEffect::fixed(2, 2),
            _ => return Err(self.error(ENTRY, wrong("is declared to do several such things"))),
        };
        if uop.effect != effect || uop.flags.intersects(OTHERS) {
            let found = "takes or leaves other values, or may leave the trace";
            return Err(self.error(ENTRY, wrong(found)));
        }
        let mut machine = Machine::new(form);
        let mut next = graph.entry;
        while let Target::Inside(place) = next {
            let Some(node) = graph.get(place) else {
                return Err(self.error(place, wrong("goes on elsewhere")));
            };
            machine
                .step(node)
                .map_err(|found| self.error_at(node, wrong(found)))?;
            // A loop has a branch.
            next = match (node.branch, node.targets().next()) {
                (None, Some(next)) => next,
                _ => return Err(self.error_at(node, wrong("branches"))),
            };
        }
        machine
            .does(role, form)
            .map_err(|found| self.error(ENTRY, wrong(found)))
    }
}

impl Machine {
    fn new(form: Option<&OperandForm>) -> Self {
        let mut registers = BTreeMap::from([
            (Location::R12, Value::Frame),
            (Location::R13, Value::Stack(0)),
        ]);
        for (index, input) in form.iter().flat_map(|form| &form.inputs).enumerate() {
            if let Input::Register(register) = input {
                registers.insert(Location::of(*register), Value::Input(index as u8));
            }
        }
        Self {
            registers,
            written: BTreeMap::new(),
        }
    }

    /// Executes an instruction.
    fn step(&mut self, node: &Node<'_>) -> Result<(), &'static str> {
        const UNKNOWN: &str = "has an instruction that is not known to move 64 bits";
        let instruction = &node.instruction;
        match instruction.mnemonic() {
            Mnemonic::Nop => Ok(()),
            Mnemonic::Mov
            | Mnemonic::Movq
            | Mnemonic::Movsd
            | Mnemonic::Movlps
            | Mnemonic::Movlpd => {
                let value = self.operand(node, 1).ok_or(UNKNOWN)?;
                self.put(node, value).ok_or(UNKNOWN)
            }
            Mnemonic::Movaps | Mnemonic::Movapd | Mnemonic::Movups | Mnemonic::Movdqa
                if (0..2).all(|operand| instruction.op_kind(operand) == OpKind::Register) =>
            {
                let value = self.operand(node, 1).ok_or(UNKNOWN)?;
                self.put(node, value).ok_or(UNKNOWN)
            }
            Mnemonic::Add | Mnemonic::Sub if node.filled.is_empty() => {
                let number = match instruction.op_kind(1) {
                    OpKind::Immediate8to64 | OpKind::Immediate32to64 => {
                        instruction.immediate(1).cast_signed()
                    }
                    _ => return Err(UNKNOWN),
                };
                let number = match instruction.mnemonic() {
                    Mnemonic::Sub => -number,
                    _ => number,
                };
                match self.operand(node, 0) {
                    Some(Value::Stack(at)) if instruction.op_kind(0) == OpKind::Register => {
                        self.put(node, Value::Stack(at + number)).ok_or(UNKNOWN)
                    }
                    _ => Err(UNKNOWN),
                }
            }
            Mnemonic::Lea => match self.address(node).ok_or(UNKNOWN)? {
                Word::Stack(at) => self.put(node, Value::Stack(at)).ok_or(UNKNOWN),
                Word::Local(_) => Err(UNKNOWN),
            },
            _ => Err(UNKNOWN),
        }
    }

    fn does(&self, role: UopFlags, form: Option<&OperandForm>) -> Result<(), &'static str> {
        let local = self.local();
        let (expected, output): (Vec<(Word, Value)>, _) = match (role, form) {
            (UopFlags::LOADS_LOCAL, form) => {
                let value =
                    Value::Held(local.ok_or("does not load the local that its oparg names")?);
                pushed(value, form)
            }
            (UopFlags::CONSTANT, form) => {
                let is_input = form.is_some_and(|form| !form.inputs.is_empty());
                pushed(
                    if is_input {
                        Value::Input(0)
                    } else {
                        Value::Operand
                    },
                    form,
                )
            }
            (UopFlags::STORES_LOCAL, form) => {
                let value = form.map_or(Value::Held(TOP), |_| Value::Input(0));
                let local = local.ok_or("does not store the local that its oparg names")?;
                (vec![(local, value)], None)
            }
            // Selection does these by itself.
            (_, Some(_)) => return Err("has a form with values in registers, expected none"),
            (UopFlags::COPIES, None) => (vec![(NEW, Value::Held(TOP))], None),
            (UopFlags::SWAPS, None) => {
                let swapped = [(SECOND, Value::Held(TOP)), (TOP, Value::Held(SECOND))];
                (swapped.to_vec(), None)
            }
            _ => (Vec::new(), None),
        };
        let mut written = self.written.clone();
        // What is still what it was is as good as not written.
        written.retain(|word, value| *value != Value::Held(*word));
        let as_expected = expected
            .iter()
            .all(|(word, value)| written.remove(word).unwrap_or(Value::Held(*word)) == *value);
        let in_register =
            output.is_none_or(|(location, value)| self.registers.get(&location) == Some(&value));
        match as_expected && in_register && written.is_empty() {
            true => Ok(()),
            false => Err("leaves other values in memory or registers"),
        }
    }

    /// The local that was read or written.
    fn local(&self) -> Option<Word> {
        let values = self.registers.values().chain(self.written.values());
        let held = values.filter_map(|value| match value {
            Value::Held(word) => Some(*word),
            _ => None,
        });
        let mut words = held.chain(self.written.keys().copied());
        words.find(|word| matches!(word, Word::Local(_)))
    }

    /// The word that an instruction's memory operand is.
    fn address(&self, node: &Node<'_>) -> Option<Word> {
        let instruction = &node.instruction;
        if instruction.memory_index() != Register::None || instruction.has_segment_prefix() {
            return None;
        }
        let base = self
            .registers
            .get(&Location::whole(instruction.memory_base())?)?;
        let mut holes = node.filled.iter();
        let hole = holes.find(|filled| matches!(filled.field, Field::Displacement(_)));
        let displacement = instruction.memory_displacement64().cast_signed();
        match (base, hole) {
            (Value::Stack(at), None) => Some(Word::Stack(at + displacement)),
            (Value::Frame, Some(filled)) => {
                let is_local = filled.hole.value() == HoleValue::Oparg && filled.hole.shift() == 3;
                is_local.then(|| Word::Local(filled.beyond_value()))
            }
            _ => None,
        }
    }

    /// The value of an operand of 64 bits.
    fn operand(&self, node: &Node<'_>, index: u32) -> Option<Value> {
        let instruction = &node.instruction;
        match instruction.op_kind(index) {
            OpKind::Register => self
                .registers
                .get(&Location::whole(instruction.op_register(index))?)
                .copied(),
            OpKind::Memory if instruction.memory_size().size() != 8 => None,
            OpKind::Memory if instruction.is_ip_rel_memory_operand() => {
                let is_pooled = |filled: &&Filled<'_>| filled.hole.value() == HoleValue::Pooled;
                let pooled = node.filled.iter().find(is_pooled)?;
                (pooled.beyond_value() == 0).then_some(Value::Input(pooled.hole.element()))
            }
            OpKind::Memory => {
                let word = self.address(node)?;
                Some(
                    self.written
                        .get(&word)
                        .copied()
                        .unwrap_or(Value::Held(word)),
                )
            }
            _ => {
                let is_number = |filled: &&Filled<'_>| {
                    matches!(
                        filled.field,
                        Field::Immediate(4 | 8) | Field::SignExtended(4)
                    )
                };
                let filled = node.filled.iter().find(is_number)?;
                // Nothing extends the sign of a number of 32 bits that is as wide as its use.
                let is_signed = filled.field == Field::Immediate(4)
                    && filled.hole.kind() == RelocationKind::Abs32S;
                let exact = filled.beyond_value() == 0 && filled.hole.shift() == 0 && !is_signed;
                match filled.hole.value() {
                    HoleValue::Operand if exact => Some(Value::Operand),
                    HoleValue::Input if exact => Some(Value::Input(filled.hole.element())),
                    _ => None,
                }
            }
        }
    }

    /// Writes an instruction's first operand.
    fn put(&mut self, node: &Node<'_>, value: Value) -> Option<()> {
        let instruction: &Instruction = &node.instruction;
        match instruction.op_kind(0) {
            OpKind::Register => {
                let register = instruction.op0_register();
                // Writing 32 bits clears the others, which numbers of 32 bits do not have.
                let whole = match register.is_gpr32()
                    && matches!(value, Value::Operand | Value::Input(_))
                {
                    true => register.full_register(),
                    false => register,
                };
                self.registers.insert(Location::whole(whole)?, value);
            }
            OpKind::Memory if instruction.memory_size().size() == 8 => {
                let word = self.address(node)?;
                self.written.insert(word, value);
            }
            _ => return None,
        }
        Some(())
    }
}

/// A register, and the value that it is to hold.
type InRegister = Option<(Location, Value)>;

/// Where a value that is pushed is to be.
fn pushed(value: Value, form: Option<&OperandForm>) -> (Vec<(Word, Value)>, InRegister) {
    match form {
        None => (vec![(NEW, value)], None),
        Some(form) => {
            let output = form.output.map(Location::of);
            (Vec::new(), output.map(|location| (location, value)))
        }
    }
}
