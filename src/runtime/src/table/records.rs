//! The records of a table file, byte for byte as the [format](super) has them, and what is checked of a file before its
//! records are looked at.

use super::{FORMAT_VERSION, Limits, MAGIC, TableError};
use crate::form::{Form, Input, OperandForm, Register, RegisterField, RegisterHole, RegisterSet};
use crate::stencil::Count;
use std::ops::Range;
use zerocopy::byteorder::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Where the checksum stands, in tables and in the images of interpreters.
pub(crate) const CHECKSUM_FIELD: Range<usize> = 24..28;

#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct TextRecord {
    pub(super) offset: U32,
    pub(super) length: U32,
}

#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct SectionRecord {
    pub(super) offset: U32,
    pub(super) count: U32,
}

#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Header {
    pub(super) magic: [u8; 8],
    pub(super) format_version: U32,
    pub(super) header_length: U32,
    pub(super) file_length: U64,
    pub(super) checksum: U32,
    pub(super) calling_convention: U32,
    pub(super) llvm_version: [U16; 4],
    pub(super) value_registers: U32,
    pub(super) reserved: U32,
    pub(super) digest: [u8; 32],
    pub(super) sources: [u8; 32],
    pub(super) set: TextRecord,
    pub(super) triple: TextRecord,
    pub(super) cpu: TextRecord,
    pub(super) uops: SectionRecord,
    pub(super) variants: SectionRecord,
    pub(super) elements: SectionRecord,
    pub(super) holes: SectionRecord,
    pub(super) register_holes: SectionRecord,
    pub(super) symbols: SectionRecord,
    pub(super) code: SectionRecord,
    pub(super) data: SectionRecord,
    pub(super) strings: SectionRecord,
}

#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct CountRecord {
    fixed: u8,
    per_oparg: u8,
    low_bit: u8,
}

#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct PartRecord {
    pub(super) offset: U32,
    pub(super) length: U32,
    pub(super) first_hole: U32,
    pub(super) hole_count: U32,
    pub(super) align: U32,
}

/// The largest arguments.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct LimitsRecord {
    oparg_max: U16,
    /// How many of the upper bits of operand1 are 0.
    operand1_zeros: U16,
    operand_max: U64,
}

#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct UopRecord {
    pub(super) name: TextRecord,
    pub(super) popped: CountRecord,
    pub(super) pushed: CountRecord,
    pub(super) leaving_popped: CountRecord,
    pub(super) leaving_pushed: CountRecord,
    pub(super) flags: U32,
    pub(super) limits: LimitsRecord,
    pub(super) locals: U32,
    pub(super) hot: PartRecord,
    pub(super) cold: PartRecord,
    pub(super) data: PartRecord,
}

/// A uop's place among those that are fused into one stencil.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct ElementRecord {
    pub(super) uop: U32,
    pub(super) limits: LimitsRecord,
}

/// What stands where a form has no input or no output.
const NONE: u8 = 0xff;

/// What stands where a register hole has no REX prefix.
const NO_REX: u32 = u32::MAX;

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct FormRecord {
    kind: u8,
    registers_in: u8,
    registers_out: u8,
    inputs: [u8; 4],
    output: u8,
    intact: u8,
    reserved: u8,
    renameable: U16,
}

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct VariantRecord {
    pub(super) first_element: U32,
    pub(super) element_count: U32,
    pub(super) first_register_hole: U32,
    pub(super) register_hole_count: U32,
    pub(super) form: FormRecord,
    pub(super) hot: PartRecord,
    pub(super) cold: PartRecord,
    pub(super) data: PartRecord,
}

#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct RegisterHoleRecord {
    offset: U32,
    rex: U32,
    part: u8,
    field: u8,
    register: u8,
    reserved: u8,
}

const _: () = assert!(
    size_of::<Header>() == 208
        && size_of::<UopRecord>() == 100
        && size_of::<ElementRecord>() == 16
        && size_of::<VariantRecord>() == 88
        && size_of::<RegisterHoleRecord>() == 12
);

impl From<Count> for CountRecord {
    fn from(count: Count) -> Self {
        Self {
            fixed: count.fixed,
            per_oparg: count.per_oparg,
            low_bit: count.low_bit,
        }
    }
}

impl From<CountRecord> for Count {
    fn from(record: CountRecord) -> Self {
        Self {
            fixed: record.fixed,
            per_oparg: record.per_oparg,
            low_bit: record.low_bit,
        }
    }
}

impl LimitsRecord {
    /// The record of limits.
    ///
    /// # Errors
    /// Says which limit the format has no number for.
    pub(super) fn of(limits: Limits) -> Result<Self, String> {
        let Limits {
            oparg,
            operand,
            operand1,
        } = limits;
        let Ok(oparg_max) = u16::try_from(oparg) else {
            return Err(format!(
                "its largest oparg is {oparg}, the format holds {}",
                u16::MAX
            ));
        };
        let record = Self {
            oparg_max: U16::new(oparg_max),
            operand1_zeros: U16::new(operand1.leading_zeros() as u16),
            operand_max: U64::new(operand),
        };
        match record.operand1_max() == Some(operand1) {
            true => Ok(record),
            false => Err(format!(
                "its largest operand1 is {operand1}, expected one less than a power of two"
            )),
        }
    }

    fn operand1_max(&self) -> Option<u64> {
        match self.operand1_zeros.get().into() {
            zeros @ 0..u64::BITS => Some(u64::MAX >> zeros),
            u64::BITS => Some(0),
            _ => None,
        }
    }

    /// The limits.
    ///
    /// # Errors
    /// Says which field means nothing.
    pub(super) fn read(&self) -> Result<Limits, String> {
        let Some(operand1) = self.operand1_max() else {
            return Err(format!(
                "{} upper bits of operand1 are 0, expected at most 64",
                self.operand1_zeros
            ));
        };
        Ok(Limits {
            oparg: self.oparg_max.get().into(),
            operand: self.operand_max.get(),
            operand1,
        })
    }
}

impl FormRecord {
    const SLOTS: u8 = 0;
    const OPERANDS: u8 = 1;

    /// What sorts the variants of the same uops and tells one from another: all but what its code requires.
    pub(super) fn key(&self) -> [u8; 8] {
        let [a, b, c, d] = self.inputs;
        let Self {
            kind,
            registers_in,
            registers_out,
            output,
            ..
        } = *self;
        [kind, registers_in, registers_out, a, b, c, d, output]
    }

    /// The record of a form that passes its [check](Form::check).
    pub(super) fn of(form: &Form) -> Self {
        let nothing = Self {
            kind: Self::SLOTS,
            registers_in: 0,
            registers_out: 0,
            inputs: [NONE; 4],
            output: NONE,
            intact: 0,
            reserved: 0,
            renameable: U16::ZERO,
        };
        match form {
            Form::Slots {
                registers_in,
                registers_out,
            } => Self {
                registers_in: *registers_in,
                registers_out: *registers_out,
                ..nothing
            },
            Form::Operands(form) => {
                let mut inputs = [NONE; 4];
                for (number, input) in inputs.iter_mut().zip(&form.inputs) {
                    *number = input.as_u8();
                }
                Self {
                    kind: Self::OPERANDS,
                    inputs,
                    output: form.output.map_or(NONE, Register::as_u8),
                    intact: form.intact,
                    renameable: U16::new(form.renameable.0),
                    ..nothing
                }
            }
        }
    }

    /// The form.
    ///
    /// # Errors
    /// Says which field means nothing, or nothing together with another.
    pub(super) fn read(&self) -> Result<Form, String> {
        let form = match self.kind {
            Self::SLOTS => Form::Slots {
                registers_in: self.registers_in,
                registers_out: self.registers_out,
            },
            Self::OPERANDS => Form::Operands(self.read_operands()?),
            kind => return Err(format!("form {kind} is unknown, expected 0 or 1")),
        };
        form.check()?;
        // Each form has one record, so that whatever is not used is as the writer leaves it.
        if Self::of(&form).as_bytes() != self.as_bytes() {
            return Err(format!("a field that {form} does not use is in use"));
        }
        Ok(form)
    }

    fn read_operands(&self) -> Result<OperandForm, String> {
        let count = self.inputs.iter().take_while(|&&number| number != NONE);
        let inputs = self.inputs[..count.count()].iter().map(|&number| {
            Input::from_u8(number).ok_or_else(|| format!("input {number:#x} is unknown"))
        });
        let output = match self.output {
            NONE => None,
            number => Some(
                Register::from_u8(number)
                    .ok_or_else(|| format!("output {number:#x} is unknown"))?,
            ),
        };
        Ok(OperandForm {
            inputs: inputs.collect::<Result<_, _>>()?,
            output,
            intact: self.intact,
            renameable: RegisterSet(self.renameable.get()),
        })
    }
}

impl RegisterHoleRecord {
    pub(super) fn of(hole: &RegisterHole) -> Self {
        Self {
            offset: U32::new(hole.offset),
            rex: U32::new(hole.rex.unwrap_or(NO_REX)),
            part: hole.cold.into(),
            field: hole.field as u8,
            register: hole.register.as_u8(),
            reserved: 0,
        }
    }

    /// The register hole.
    ///
    /// # Errors
    /// Says which field means nothing.
    pub(super) fn read(&self) -> Result<RegisterHole, String> {
        if self.part > 1 || self.reserved != 0 {
            return Err(format!(
                "part {} is unknown or a reserved field is not 0",
                self.part
            ));
        }
        Ok(RegisterHole {
            cold: self.part == 1,
            offset: self.offset.get(),
            rex: Some(self.rex.get()).filter(|&rex| rex != NO_REX),
            field: RegisterField::from_u8(self.field)
                .ok_or_else(|| format!("field {} is unknown, expected 0..3", self.field))?,
            register: Register::from_u8(self.register)
                .ok_or_else(|| format!("register {} is unknown", self.register))?,
        })
    }
}

/// Where a section's records are in a file.
pub(super) fn section_range<T>(section: SectionRecord) -> Option<Range<usize>> {
    let start = section.offset.get() as usize;
    let length = (section.count.get() as usize).checked_mul(size_of::<T>())?;
    Some(start..start.checked_add(length)?)
}

/// Magic, version, length and checksum: what must hold before anything else is looked at.
pub(super) fn check_envelope(bytes: &[u8]) -> Result<Header, TableError> {
    let header = check_start(bytes)?;
    let (expected, found) = (header.file_length.get(), bytes.len() as u64);
    if expected != found {
        return Err(TableError::Length { expected, found });
    }
    let (expected, found) = (header.checksum.get(), checksum(bytes));
    if expected != found {
        return Err(TableError::Checksum { expected, found });
    }
    Ok(header)
}

/// Magic and version, and that there is a whole header.
pub(super) fn check_start(bytes: &[u8]) -> Result<Header, TableError> {
    let start = &bytes[..bytes.len().min(MAGIC.len())];
    if start != &MAGIC[..start.len()] || start.is_empty() {
        return Err(TableError::Magic {
            found: start.to_owned(),
        });
    }
    let found = bytes.len() as u64;
    let version = bytes
        .get(8..12)
        .and_then(|version| U32::read_from_bytes(version).ok());
    match version.map(U32::get) {
        Some(FORMAT_VERSION) => {}
        Some(found) => return Err(TableError::Version { found }),
        None => {
            return Err(TableError::Length {
                expected: size_of::<Header>() as u64,
                found,
            });
        }
    }
    match Header::read_from_prefix(bytes) {
        Ok((header, _)) => Ok(header),
        Err(_) => Err(TableError::Length {
            expected: size_of::<Header>() as u64,
            found,
        }),
    }
}

/// CRC-32 of a table, or an image, whose checksum field counts as zero.
pub(crate) fn checksum(bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[..CHECKSUM_FIELD.start]);
    hasher.update(&[0; 4]);
    hasher.update(&bytes[CHECKSUM_FIELD.end..]);
    hasher.finalize()
}

/// Recomputes a table's checksum in place: for tests and tools that change a table on purpose.
///
/// Does nothing where there is no whole header.
pub fn refresh_checksum(bytes: &mut [u8]) {
    if bytes.len() >= size_of::<Header>() {
        let checksum = checksum(bytes);
        bytes[CHECKSUM_FIELD].copy_from_slice(&checksum.to_le_bytes());
    }
}
