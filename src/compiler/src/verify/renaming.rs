//! The registers of an operand form can be renamed: each use of a placeholder is a register hole and each register hole a
//! use, and the registers that placeholders may become are used in no other way.
//!
//! The proof is by doing it: every instruction is renamed, by its register holes alone, to each register of the class in
//! turn, and must then be the instruction with just that operand in another register.

use super::Checker;
use super::graph::{Graph, Node, Place};
use super::instruction::{decode, is_callee_saved};
use super::violation::{VerifyError, Violation};
use iced_x86::{Instruction, InstructionInfoFactory, OpKind, Register as Named};
use mimeo::form::{Form, Input, OperandForm, Register, RegisterHole, RegisterSet};
use mimeo::stencil::Part;
use std::collections::BTreeMap;

impl Checker<'_> {
    /// See the [module](self).
    pub(super) fn placeholders_can_be_renamed(
        &self,
        graph: &Graph<'_>,
        form: &Form,
        holes: &[RegisterHole],
    ) -> Result<(), VerifyError> {
        let no_placeholders;
        let form = match form {
            Form::Operands(form) => form,
            Form::Slots { .. } => {
                no_placeholders = OperandForm {
                    inputs: Vec::new(),
                    output: None,
                    intact: 0,
                    renameable: RegisterSet::default(),
                };
                &no_placeholders
            }
        };
        let placeholders = placeholders(form);
        let holes = self.holes_by_instruction(graph, placeholders, holes)?;
        for node in graph.nodes() {
            let holes = holes.get(&node.place).map_or(&[][..], Vec::as_slice);
            self.renames(node, placeholders, holes)
                .and_then(|()| uses_no_target(node, placeholders, form.renameable))
                .map_err(|violation| self.error_at(node, violation))?;
        }
        Ok(())
    }

    /// The register holes of each instruction. They ascend, name placeholders and lie in instructions.
    fn holes_by_instruction<'h>(
        &self,
        graph: &Graph<'_>,
        placeholders: RegisterSet,
        holes: &'h [RegisterHole],
    ) -> Result<BTreeMap<Place, Vec<&'h RegisterHole>>, VerifyError> {
        let mut of_instruction: BTreeMap<Place, Vec<&RegisterHole>> = BTreeMap::new();
        let mut previous = None;
        for hole in holes {
            let part = match hole.cold {
                true => Part::Cold,
                false => Part::Hot,
            };
            let place = Place::new(part, hole.offset);
            let error = |violation| self.error(place, violation);
            if previous.replace(hole.order()) >= Some(hole.order()) {
                return Err(error(Violation::RegisterHoleOrder));
            }
            let register = hole.register;
            if !placeholders.contains(register) {
                return Err(error(Violation::NoPlaceholder { register }));
            }
            let rex_is_inside = |node: &&super::graph::Node<'_>| {
                let whole = node.place.offset..node.end();
                hole.rex.is_none_or(|rex| whole.contains(&rex))
            };
            let node = graph
                .owner(place)
                .filter(rex_is_inside)
                .ok_or_else(|| error(Violation::RegisterHoleOffField { register }))?;
            of_instruction.entry(node.place).or_default().push(hole);
        }
        Ok(of_instruction)
    }

    /// The holes of an instruction rename each placeholder to each register of its class, wherever it is an operand and
    /// nowhere else.
    fn renames(
        &self,
        node: &Node<'_>,
        placeholders: RegisterSet,
        holes: &[&RegisterHole],
    ) -> Result<(), Violation> {
        let used = used(&node.instruction);
        let here = Register::all().filter(|&register| placeholders.contains(register));
        for placeholder in here {
            let holes = holes.iter().filter(|hole| hole.register == placeholder);
            if !used.contains(placeholder) && holes.clone().next().is_none() {
                continue;
            }
            let others = || {
                Register::all().filter(|&to| to.class() == placeholder.class() && to != placeholder)
            };
            for to in others() {
                let mut bytes = self.part(node.place.part).bytes[..node.end() as usize].to_vec();
                for hole in holes.clone() {
                    hole.rename(to, &mut bytes);
                }
                let expected = with_operand(&node.instruction, placeholder, to);
                let found = decode(&bytes, node.place.offset).map(|(instruction, _)| instruction);
                if found != Some(expected) {
                    return Err(Violation::NotRenamed { placeholder, to });
                }
            }
            // What is used without being named is the placeholder still, whatever it was renamed to.
            for to in others().take(1) {
                let renamed = with_operand(&node.instruction, placeholder, to);
                if self::used(&renamed).contains(placeholder) {
                    return Err(Violation::NotRenamed { placeholder, to });
                }
            }
        }
        Ok(())
    }
}

/// The registers that stand for others.
fn placeholders(form: &OperandForm) -> RegisterSet {
    let inputs = form.inputs.iter().filter_map(|input| match input {
        Input::Register(register) => Some(*register),
        Input::Signed32 | Input::Unsigned(_) | Input::Pooled => None,
    });
    inputs
        .chain(form.output)
        .fold(RegisterSet::default(), RegisterSet::with)
}

/// An instruction uses no register that a placeholder may become, but as a placeholder.
fn uses_no_target(
    node: &Node<'_>,
    placeholders: RegisterSet,
    renameable: RegisterSet,
) -> Result<(), Violation> {
    let mut uses = used(&node.instruction);
    if node.is_call() {
        let lost = Register::all().filter(|&register| !is_callee_saved(named(register)));
        uses = lost.fold(uses, RegisterSet::with);
    }
    let conflict = Register::all().find(|&register| {
        uses.contains(register)
            && renameable.contains(register)
            && (!placeholders.contains(register) || node.is_call())
    });
    match conflict {
        Some(register) => Err(Violation::RenameableIsUsed { register }),
        None => Ok(()),
    }
}

/// The value registers that an instruction uses in any way and width.
fn used(instruction: &Instruction) -> RegisterSet {
    let mut factory = InstructionInfoFactory::new();
    let information = factory.info(instruction);
    let used = information
        .used_registers()
        .iter()
        .map(|used| used.register());
    let memory = [instruction.memory_base(), instruction.memory_index()];
    let operands = (0..instruction.op_count())
        .filter(|&operand| instruction.op_kind(operand) == OpKind::Register)
        .map(|operand| instruction.op_register(operand));
    used.chain(memory)
        .chain(operands)
        .filter_map(|used| Register::all().find(|&register| is_part_of(used, register)))
        .fold(RegisterSet::default(), RegisterSet::with)
}

/// The processor's register of 64 bits or, for floats, 128.
fn named(register: Register) -> Named {
    let first = match register.class() {
        mimeo::form::Class::General => Named::RAX,
        mimeo::form::Class::Float => Named::XMM0,
    };
    first + u32::from(register.encoding())
}

fn is_part_of(part: Named, register: Register) -> bool {
    part != Named::None && part.full_register() == named(register).full_register()
}

/// The instruction with another register wherever it names one.
fn with_operand(instruction: &Instruction, from: Register, to: Register) -> Instruction {
    let replaced = |found: Named| {
        is_part_of(found, from).then(|| match found.size() {
            1 => low_byte(to),
            2 => Named::AX + u32::from(to.encoding()),
            4 => Named::EAX + u32::from(to.encoding()),
            8 | 16 => named(to),
            32 => Named::YMM0 + u32::from(to.encoding()),
            _ => Named::ZMM0 + u32::from(to.encoding()),
        })
    };
    let mut renamed = *instruction;
    for operand in 0..instruction.op_count() {
        if instruction.op_kind(operand) == OpKind::Register
            && let Some(register) = replaced(instruction.op_register(operand))
        {
            renamed.set_op_register(operand, register);
        }
    }
    if let Some(base) = replaced(instruction.memory_base()) {
        renamed.set_memory_base(base);
    }
    if let Some(index) = replaced(instruction.memory_index()) {
        renamed.set_memory_index(index);
    }
    renamed
}

/// The lowest byte of a general register.
fn low_byte(register: Register) -> Named {
    const BYTES: [Named; 16] = [
        Named::AL,
        Named::CL,
        Named::DL,
        Named::BL,
        Named::SPL,
        Named::BPL,
        Named::SIL,
        Named::DIL,
        Named::R8L,
        Named::R9L,
        Named::R10L,
        Named::R11L,
        Named::R12L,
        Named::R13L,
        Named::R14L,
        Named::R15L,
    ];
    BYTES[usize::from(register.encoding())]
}
