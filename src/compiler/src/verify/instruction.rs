//! What the checker knows of single instructions: which a stencil may hold, what their fields mean to a hole, and what
//! they do with registers and memory.

use super::violation::Violation;
use iced_x86::{
    Code, ConstantOffsets, Decoder, DecoderOptions, EncodingKind, FlowControl, Instruction,
    InstructionInfoFactory, Mnemonic, OpAccess, OpKind, Register,
};
use mimeo::hole::{Hole, HoleValue};
use mimeo::reloc::RelocationKind;
use std::fmt;

/// The longest that an x86-64 instruction may be, in bytes.
pub(super) const MAX_INSTRUCTION_LEN: usize = 15;

/// The instruction at an offset, and where its fields are; `None` where there is none.
pub(super) fn decode(bytes: &[u8], offset: u32) -> Option<(Instruction, ConstantOffsets)> {
    let mut decoder = decoder(bytes, offset, DecoderOptions::NONE)?;
    let instruction = decoder.decode();
    (!instruction.is_invalid()).then(|| (instruction, decoder.get_constant_offsets(&instruction)))
}

/// Intel's and AMD's processors read the instruction alike; an operand-size prefix on a branch they do not.
pub(super) fn is_read_alike(
    bytes: &[u8],
    offset: u32,
    by_intel: &Instruction,
) -> Result<(), Violation> {
    let by_amd = decoder(bytes, offset, DecoderOptions::AMD).map(|mut decoder| decoder.decode());
    match by_amd.is_some_and(|by_amd| by_amd.eq_all_bits(by_intel)) {
        true => Ok(()),
        false => Err(Violation::Forbidden(
            "an instruction that Intel's and AMD's processors read differently",
        )),
    }
}

fn decoder(bytes: &[u8], offset: u32, options: u32) -> Option<Decoder<'_>> {
    let rest = bytes.get(offset as usize..)?;
    Some(Decoder::with_ip(64, rest, u64::from(offset), options))
}

/// What an instruction does with a field that a hole may fill: it decides which holes are right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The 32-bit destination of a branch, relative to the end of the instruction.
    Branch,
    /// The 32-bit displacement of a rip-relative address.
    RipRelative,
    /// The displacement of an address without rip, sign-extended from its size in bytes.
    Displacement(u8),
    /// An immediate that is as wide as its use, of that size in bytes.
    Immediate(u8),
    /// An immediate that the CPU sign-extends from its size in bytes.
    SignExtended(u8),
    /// A field that has no relocation: a short branch, a scaled displacement, an address of another size.
    Fixed,
}

impl Field {
    /// The relocation kinds whose extension is that of the field.
    pub(super) const fn kinds(self) -> &'static [RelocationKind] {
        use RelocationKind::*;
        match self {
            Self::Branch | Self::RipRelative => &[Pc32],
            Self::Immediate(8) => &[Abs64],
            Self::Immediate(4) => &[Abs32, Abs32S],
            Self::Displacement(4) | Self::SignExtended(4) => &[Abs32S],
            Self::Immediate(2) => &[Abs16],
            Self::Displacement(1) | Self::Immediate(1) | Self::SignExtended(1) => &[Abs8],
            _ => &[],
        }
    }

    /// Whether the hole's value can be what the field is for. What a branch may go to depends on the branch, and is
    /// seen where its destination is.
    pub(super) fn accepts(self, hole: &Hole) -> bool {
        use HoleValue::*;
        match self {
            Self::Branch => true,
            Self::RipRelative => {
                hole.shift() == 0
                    && matches!(
                        hole.value(),
                        Operand | Operand1 | Exit | Executor | Data | Symbol | Pooled
                    )
            }
            _ => !hole.value().is_control() && hole.value() != Pooled,
        }
    }

    /// What [`accepts`](Self::accepts) takes, as text.
    pub(super) const fn values(self) -> &'static str {
        match self {
            Self::Branch => "a destination",
            Self::RipRelative => "an unshifted address of data",
            _ => "a value that is neither a destination nor a pooled constant",
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Branch => f.write_str("a near branch"),
            Self::RipRelative => f.write_str("a rip-relative address"),
            Self::Displacement(size) => write!(f, "a displacement of {size} bytes"),
            Self::Immediate(size) => write!(f, "an immediate of {size} bytes"),
            Self::SignExtended(size) => {
                write!(f, "an immediate that is sign-extended from {size} bytes")
            }
            Self::Fixed => f.write_str("a field without relocation"),
        }
    }
}

/// The fields of an instruction, each with its offset in the instruction and its size in bytes.
pub(super) fn fields(
    instruction: &Instruction,
    offsets: &ConstantOffsets,
) -> impl Iterator<Item = (Field, u32, usize)> {
    let displacement = displacement_field(instruction, offsets.displacement_size());
    let immediate = immediate_field(instruction, offsets.immediate_size());
    let all = [
        (
            displacement,
            offsets.displacement_offset(),
            offsets.displacement_size(),
        ),
        (
            immediate,
            offsets.immediate_offset(),
            offsets.immediate_size(),
        ),
        (
            Field::Immediate(1),
            offsets.immediate_offset2(),
            offsets.immediate_size2(),
        ),
    ];
    all.into_iter()
        .filter(|&(_, _, size)| size != 0)
        .map(|(field, offset, size)| (field, offset as u32, size))
}

fn displacement_field(instruction: &Instruction, size: usize) -> Field {
    let (base, index) = (instruction.memory_base(), instruction.memory_index());
    // A 32-bit address wraps where a 64-bit one extends.
    let is_32_bit = base.size() == 4 || index.size() == 4 || instruction.memory_displ_size() == 4;
    // EVEX scales a displacement of one byte by the size of the access.
    let scales = matches!(
        instruction.encoding(),
        EncodingKind::EVEX | EncodingKind::MVEX
    );
    match (base, size) {
        (Register::RIP, 4) => Field::RipRelative,
        (_, 1) if !is_32_bit && !scales => Field::Displacement(1),
        (_, 4) if !is_32_bit => Field::Displacement(4),
        _ => Field::Fixed,
    }
}

fn immediate_field(instruction: &Instruction, size: usize) -> Field {
    let size = size as u8;
    let of_kind = instruction.op_kinds().find_map(|kind| match kind {
        OpKind::Immediate8 | OpKind::Immediate16 | OpKind::Immediate32 | OpKind::Immediate64 => {
            Some(Field::Immediate(size))
        }
        OpKind::Immediate8to16
        | OpKind::Immediate8to32
        | OpKind::Immediate8to64
        | OpKind::Immediate32to64 => Some(Field::SignExtended(size)),
        OpKind::NearBranch64 if size == 4 => Some(Field::Branch),
        _ => None,
    });
    of_kind.unwrap_or(Field::Fixed)
}

/// The instructions that a stencil may hold: those that stay in its process, leave the machine's modes alone, and
/// transfer control in a way that can be followed.
pub(super) fn is_permitted(instruction: &Instruction) -> Result<(), Violation> {
    let forbidden = |what| Err(Violation::Forbidden(what));
    match instruction.flow_control() {
        _ if instruction.is_privileged() => forbidden("a privileged instruction"),
        FlowControl::Next => is_ordinary(instruction),
        FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch
            if instruction.op0_kind() == OpKind::NearBranch64 =>
        {
            Ok(())
        }
        FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch => {
            forbidden("a far or narrow branch")
        }
        FlowControl::IndirectBranch => Ok(()),
        FlowControl::Call if instruction.code() == Code::Call_rel32_64 => Ok(()),
        FlowControl::Call => forbidden("a system call"),
        FlowControl::IndirectCall if instruction.code() == Code::Call_rm64 => Ok(()),
        FlowControl::IndirectCall => forbidden("a far call"),
        FlowControl::Return => forbidden("a return"),
        FlowControl::Interrupt => forbidden("an interrupt"),
        FlowControl::XbeginXabortXend => forbidden("a transaction"),
        FlowControl::Exception => forbidden("an undefined instruction"),
    }
}

/// No change to what C functions rely on beyond registers: segments, and the flags that hold across functions.
fn is_ordinary(instruction: &Instruction) -> Result<(), Violation> {
    let mut factory = InstructionInfoFactory::new();
    let info = factory.info(instruction);
    let mut used = info.used_registers().iter();
    if used.any(|used| used.register().is_segment_register() && is_write(used.access())) {
        return Err(Violation::Forbidden("a write to a segment register"));
    }
    match instruction.mnemonic() {
        Mnemonic::Wrfsbase | Mnemonic::Wrgsbase => {
            Err(Violation::Forbidden("a write to a segment's base"))
        }
        Mnemonic::Std | Mnemonic::Popf | Mnemonic::Popfd | Mnemonic::Popfq => {
            Err(Violation::Forbidden("a change of the direction flag"))
        }
        _ => Ok(()),
    }
}

/// What an instruction does with its memory operand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Access {
    /// Bytes.
    pub(super) size: i64,
    /// What the address must be a multiple of.
    pub(super) align: i64,
    pub(super) writes: bool,
}

impl Access {
    /// Taking the address: there must be at least one byte that it is the address of.
    pub(super) const ADDRESS: Self = Self {
        size: 1,
        align: 1,
        writes: false,
    };
}

/// How the instruction uses its memory operand, or `None` where there is none or more than the operand tells.
pub(super) fn memory_access(instruction: &Instruction) -> Option<Access> {
    let operand =
        (0..instruction.op_count()).find(|&i| instruction.op_kind(i) == OpKind::Memory)?;
    let size = instruction.memory_size().size() as i64;
    match instruction.mnemonic() {
        Mnemonic::Lea => return Some(Access::ADDRESS),
        // A bit offset in a register reaches beyond the operand.
        Mnemonic::Bt | Mnemonic::Btc | Mnemonic::Btr | Mnemonic::Bts
            if instruction.op1_kind() == OpKind::Register =>
        {
            return None;
        }
        _ if size == 0 || instruction.is_vsib() => return None,
        _ => {}
    }
    let mut factory = InstructionInfoFactory::new();
    let writes = is_write(factory.info(instruction).op_access(operand));
    Some(Access {
        size,
        align: required_alignment(instruction, size),
        writes,
    })
}

/// What the address of an instruction's memory operand must be a multiple of (Intel SDM, volume 2, section 2.4):
/// operands of 16 bytes in legacy encodings, but for the moves and comparisons that exist to be free of it, and the
/// moves of any encoding that are named for it.
fn required_alignment(instruction: &Instruction, size: i64) -> i64 {
    use Mnemonic::*;
    match instruction.mnemonic() {
        Movups | Movupd | Movdqu | Lddqu => 1,
        Pcmpestri | Pcmpestri64 | Pcmpestrm | Pcmpestrm64 | Pcmpistri | Pcmpistrm => 1,
        Vmovaps | Vmovapd | Vmovdqa | Vmovdqa32 | Vmovdqa64 => size,
        Vmovntps | Vmovntpd | Vmovntdq | Vmovntdqa => size,
        _ if size == 16 && instruction.encoding() == EncodingKind::Legacy => 16,
        _ => 1,
    }
}

/// The registers that a C function keeps (System V ABI, figure 3.4).
pub(super) fn is_callee_saved(register: Register) -> bool {
    use Register::*;
    matches!(register, RBX | RBP | R12 | R13 | R14 | R15)
}

pub(super) fn is_write(access: OpAccess) -> bool {
    use OpAccess::*;
    matches!(access, Write | CondWrite | ReadWrite | ReadCondWrite)
}

/// Whether the instruction writes the 64-bit register or a part of it.
pub(super) fn writes(instruction: &Instruction, register: Register) -> bool {
    let mut factory = InstructionInfoFactory::new();
    let info = factory.info(instruction);
    info.used_registers()
        .iter()
        .any(|used| used.register().full_register() == register && is_write(used.access()))
}
