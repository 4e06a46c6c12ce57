//! Register holes: where the numbers of placeholder registers stand in a stencil's code.
//!
//! Nothing is derived from opcode tables. A register's number can only stand in ModRM, SIB or an opcode; each place in
//! an instruction that could be such a field with a placeholder's number is changed to every other register and decoded
//! again, and is a hole if just one operand has changed, to that register. Where an operand with a placeholder is left
//! without a hole, the stencil cannot be renamed, and extraction fails.

use crate::disassemble::instruction_text;
use iced_x86::{
    ConstantOffsets, Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory,
    Register as Named,
};
use mimeo::form::{Class, Register, RegisterField, RegisterHole, RegisterSet};
use mimeo::stencil::{Part, StencilBuf, StencilGroupBuf};
use std::collections::BTreeMap;

/// An instruction whose placeholders cannot be renamed.
#[derive(Debug)]
pub(super) struct Problem {
    /// The part.
    pub(super) part: Part,
    /// Bytes from the start of the part.
    pub(super) offset: u32,
    /// The instruction, or what stands there instead.
    pub(super) instruction: String,
    /// What is wrong.
    pub(super) reason: String,
}

/// The register holes of a group, and the registers that its code uses in another way than through them.
pub(super) fn find(
    group: &StencilGroupBuf,
    placeholders: RegisterSet,
) -> Result<(Vec<RegisterHole>, RegisterSet), Problem> {
    let mut search = Search {
        placeholders,
        holes: Vec::new(),
        used_otherwise: RegisterSet::default(),
        information: InstructionInfoFactory::new(),
    };
    search.part(Part::Hot, &group.hot)?;
    search.part(Part::Cold, &group.cold)?;
    Ok((search.holes, search.used_otherwise))
}

struct Search {
    placeholders: RegisterSet,
    holes: Vec<RegisterHole>,
    used_otherwise: RegisterSet,
    information: InstructionInfoFactory,
}

impl Search {
    fn part(&mut self, part: Part, code: &StencilBuf) -> Result<(), Problem> {
        let mut decoder = Decoder::new(64, &code.bytes, DecoderOptions::NONE);
        while decoder.can_decode() {
            let instruction = decoder.decode();
            let offset = instruction.ip() as u32;
            let problem = |reason| Problem {
                part,
                offset,
                instruction: instruction_text(&instruction),
                reason,
            };
            if instruction.is_invalid() {
                return Err(problem("which is not decoded".to_owned()));
            }
            let offsets = decoder.get_constant_offsets(&instruction);
            let bytes = &code.bytes[offset as usize..][..instruction.len()];
            let found = self.instruction(&instruction, &offsets, bytes);
            self.holes.extend(
                found
                    .map_err(problem)?
                    .into_iter()
                    .map(|hole| RegisterHole {
                        cold: part == Part::Cold,
                        offset: offset + hole.offset,
                        rex: hole.rex.map(|rex| offset + rex),
                        ..hole
                    }),
            );
        }
        Ok(())
    }

    /// The holes of an instruction with these bytes, by their offset in it.
    fn instruction(
        &mut self,
        instruction: &Instruction,
        offsets: &ConstantOffsets,
        bytes: &[u8],
    ) -> Result<Vec<RegisterHole>, String> {
        let mut holes = BTreeMap::new();
        for register in self.used(instruction) {
            match self.placeholders.contains(register) {
                true => find_holes(register, instruction, offsets, bytes, &mut holes),
                false => self.used_otherwise = self.used_otherwise.with(register),
            }
        }
        for (operand, register) in OPERANDS.map(|operand| (operand, operand.get(instruction))) {
            let placeholder = value_register(register).filter(|&it| self.placeholders.contains(it));
            if let Some(placeholder) = placeholder
                && !holes.contains_key(&operand)
            {
                return Err(format!("which holds {placeholder} in no field of its own"));
            }
        }
        self.implicit_use(instruction)?;
        Ok(holes.into_values().collect())
    }

    /// The value registers that an instruction uses, whether it names them or not.
    fn used(&mut self, instruction: &Instruction) -> Vec<Register> {
        let calls = matches!(
            instruction.flow_control(),
            FlowControl::Call | FlowControl::IndirectCall
        );
        let information = self.information.info(instruction);
        let used: Vec<Named> = information
            .used_registers()
            .iter()
            .map(|used| used.register())
            .collect();
        Register::all()
            .filter(|&register| {
                // Of the value registers, a C function keeps only r15.
                (calls && register.encoding() != 15)
                    || used
                        .iter()
                        .any(|&used| value_register(used) == Some(register))
            })
            .collect()
    }

    /// A placeholder must not be used beyond the operands: that would stay when it is renamed.
    fn implicit_use(&mut self, instruction: &Instruction) -> Result<(), String> {
        let mut without = *instruction;
        for operand in OPERANDS {
            let register = operand.get(instruction);
            let placeholder = value_register(register).filter(|&it| self.placeholders.contains(it));
            if placeholder.is_some() {
                // No value register, and none that an instruction uses without naming it.
                let scratch = match register.is_xmm() {
                    true => Named::XMM15,
                    false => with_number(register, 10),
                };
                operand.set(&mut without, scratch);
            }
        }
        let used = self.used(&without).into_iter();
        match used.into_iter().find(|&it| self.placeholders.contains(it)) {
            Some(register) => Err(format!("which uses {register} without naming it")),
            None => Ok(()),
        }
    }
}

/// The holes for one placeholder, by the operand that they are.
fn find_holes(
    placeholder: Register,
    instruction: &Instruction,
    offsets: &ConstantOffsets,
    bytes: &[u8],
    holes: &mut BTreeMap<Operand, RegisterHole>,
) {
    let Some((rex, opcode)) = skip_prefixes(bytes) else {
        return;
    };
    let constants = [
        (offsets.has_displacement(), offsets.displacement_offset()),
        (offsets.has_immediate(), offsets.immediate_offset()),
    ];
    let end = constants
        .iter()
        .filter(|(exists, _)| *exists)
        .map(|&(_, offset)| offset)
        .fold(bytes.len(), usize::min);
    for offset in opcode..end {
        for field in [
            RegisterField::Reg,
            RegisterField::Base,
            RegisterField::Index,
        ] {
            let hole = RegisterHole {
                cold: false,
                offset: offset as u32,
                rex: rex.map(|rex| rex as u32),
                field,
                register: placeholder,
            };
            if let Some(operand) = renames(&hole, instruction, bytes) {
                holes.entry(operand).or_insert(hole);
            }
        }
    }
}

/// The operand that has another register, and nothing else changed, whenever the hole is renamed.
fn renames(hole: &RegisterHole, instruction: &Instruction, bytes: &[u8]) -> Option<Operand> {
    let low = bytes[hole.offset as usize] >> hole.field.shift() & 7;
    let fourth = hole
        .rex
        .map_or(0, |rex| bytes[rex as usize] >> hole.field.rex_bit() & 1);
    if low | fourth << 3 != hole.register.encoding() {
        return None;
    }
    OPERANDS.into_iter().find(|operand| {
        let before = operand.get(instruction);
        value_register(before) == Some(hole.register)
            && of_class(hole.register.class()).all(|register| {
                let mut renamed = bytes.to_vec();
                hole.rename(register, &mut renamed);
                let mut expected = *instruction;
                operand.set(&mut expected, with_number(before, register.encoding()));
                decode(&renamed, instruction.ip()) == expected
            })
    })
}

fn of_class(class: Class) -> impl Iterator<Item = Register> {
    Register::all().filter(move |register| register.class() == class)
}

fn decode(bytes: &[u8], ip: u64) -> Instruction {
    Decoder::with_ip(64, bytes, ip, DecoderOptions::NONE).decode()
}

/// Where the REX prefix is, if there is one, and where the opcode begins. `None` for encodings whose prefixes hold the
/// registers' bits in another way: VEX, EVEX.
fn skip_prefixes(bytes: &[u8]) -> Option<(Option<usize>, usize)> {
    let is_legacy = |byte: &u8| {
        matches!(
            byte,
            0x66 | 0x67 | 0xf0 | 0xf2 | 0xf3 | 0x26 | 0x2e | 0x36 | 0x3e | 0x64 | 0x65
        )
    };
    let start = bytes.iter().position(|byte| !is_legacy(byte))?;
    match bytes[start] {
        0x40..=0x4f => Some((Some(start), start + 1)),
        0xc4 | 0xc5 | 0x62 => None,
        _ => Some((None, start)),
    }
}

/// Where an instruction can name a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Operand {
    Register(u32),
    MemoryBase,
    MemoryIndex,
}

const OPERANDS: [Operand; 6] = [
    Operand::Register(0),
    Operand::Register(1),
    Operand::Register(2),
    Operand::Register(3),
    Operand::MemoryBase,
    Operand::MemoryIndex,
];

impl Operand {
    /// The register that is named there, or [`Named::None`].
    fn get(self, instruction: &Instruction) -> Named {
        match self {
            Self::Register(index) if index < instruction.op_count() => {
                instruction.op_register(index)
            }
            Self::Register(_) => Named::None,
            Self::MemoryBase => instruction.memory_base(),
            Self::MemoryIndex => instruction.memory_index(),
        }
    }

    fn set(self, instruction: &mut Instruction, register: Named) {
        match self {
            Self::Register(index) => instruction.set_op_register(index, register),
            Self::MemoryBase => instruction.set_memory_base(register),
            Self::MemoryIndex => instruction.set_memory_index(register),
        }
    }
}

/// The value register that the processor's register, of any width, is a part of.
fn value_register(named: Named) -> Option<Register> {
    let class = match () {
        () if named.is_gpr() => Class::General,
        () if named.is_vector_register() => Class::Float,
        () => return None,
    };
    let number = named.full_register().number();
    of_class(class).find(|register| usize::from(register.encoding()) == number)
}

/// The register of the same width with another number.
fn with_number(register: Named, number: u8) -> Named {
    let number = match register.is_gpr8() && number >= 4 {
        // ah, ch, dh and bh stand in between.
        true => number + 4,
        false => number,
    };
    register.base() + u32::from(number)
}

#[cfg(test)]
mod tests;
