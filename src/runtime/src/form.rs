//! Forms: the shapes in which one uop, or a sequence of uops fused into one stencil, takes its stack values and hands
//! them on.
//!
//! Every uop has a *base form*: all stack values in memory. A table may hold further *variants*, which keep values in
//! registers. There are two kinds:
//!
//! - **Slots** (`_rIO`): the top `I` values of the stack are in the first value registers on entry, the top `O` on exit,
//!   the lowest of them in the first register. Memory holds the rest, up to the stack pointer. Ways out other than to
//!   the next uop leave everything in memory. This suits uops that call functions, as those of Python do.
//! - **Operands**: each value the uop takes is in a register of its own or is a constant in the instruction, and so is
//!   the value that it leaves. All other registers are kept. The registers in the code are placeholders: the code has
//!   [register holes](RegisterHole) and can be had for any registers of the [renameable](OperandForm::renameable) set,
//!   so that one stencil serves stack values and pinned locals alike. This suits unboxed scalars.
//!
//! Register holes are the registers' counterpart of holes: the low three bits of a register's number stand in a field
//! of ModRM, SIB or the opcode, the fourth in a bit of the REX prefix (Intel SDM volume 2, section 2.2.1). Deegen
//! (Xu and Kjolstad, 2024) patches registers so in its code.

use crate::table::VALUE_REGISTERS;
use std::fmt;
use std::ops::RangeInclusive;

/// A register that carries values from uop to uop.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Register(u8);

/// What a register can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Integers, bools and pointers.
    General,
    /// 64-bit floats.
    Float,
}

/// The registers of each class, in the order in which `preserve_none` passes arguments after the first three.
const NAMES: [&str; 16] = [
    "r15", "rdi", "rsi", "rdx", "rcx", "r8", "r9", "r11", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4",
    "xmm5", "xmm6", "xmm7",
];

/// The numbers that the processor knows the registers by.
const ENCODINGS: [u8; 16] = [15, 7, 6, 2, 1, 8, 9, 11, 0, 1, 2, 3, 4, 5, 6, 7];

impl Register {
    /// How many registers there are of each class.
    pub const PER_CLASS: u8 = 8;
    /// How many there are in all.
    pub const COUNT: u8 = 16;

    /// General register `index` in 0..8, in the order of the convention; `None` beyond.
    pub const fn general(index: u8) -> Option<Self> {
        if index < Self::PER_CLASS {
            Some(Self(index))
        } else {
            None
        }
    }

    /// Float register `index` in 0..8; `None` beyond.
    pub const fn float(index: u8) -> Option<Self> {
        if index < Self::PER_CLASS {
            Some(Self(Self::PER_CLASS + index))
        } else {
            None
        }
    }

    /// Register `index` of a class.
    pub const fn of_class(class: Class, index: u8) -> Option<Self> {
        match class {
            Class::General => Self::general(index),
            Class::Float => Self::float(index),
        }
    }

    /// The register with this number in a table, 0..16.
    pub const fn from_u8(number: u8) -> Option<Self> {
        if number < Self::COUNT {
            Some(Self(number))
        } else {
            None
        }
    }

    /// The number in a table: general registers 0..8, float registers 8..16.
    pub const fn as_u8(self) -> u8 {
        self.0
    }

    /// The position within its class, 0..8.
    pub const fn index(self) -> u8 {
        self.0 % Self::PER_CLASS
    }

    /// What it holds.
    pub const fn class(self) -> Class {
        if self.0 < Self::PER_CLASS {
            Class::General
        } else {
            Class::Float
        }
    }

    /// The number in instructions, 0..16.
    pub const fn encoding(self) -> u8 {
        ENCODINGS[self.0 as usize]
    }

    /// The name in assembly.
    pub const fn name(self) -> &'static str {
        NAMES[self.0 as usize]
    }

    /// All registers, in the order of the numbers.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).map(Self)
    }
}

impl fmt::Display for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of registers; bit n is the register with number n.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RegisterSet(pub u16);

impl RegisterSet {
    /// Every register.
    pub const ALL: Self = Self(u16::MAX);

    /// Whether the register is in the set.
    pub const fn contains(self, register: Register) -> bool {
        self.0 & (1 << register.0) != 0
    }

    /// The set with the register.
    #[must_use]
    pub const fn with(self, register: Register) -> Self {
        Self(self.0 | 1 << register.0)
    }

    /// The set without the register.
    #[must_use]
    pub const fn without(self, register: Register) -> Self {
        Self(self.0 & !(1 << register.0))
    }

    /// Whether every register of the other set is in this one.
    pub const fn contains_all(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    /// The registers in the set, in the order of the numbers.
    pub fn registers(self) -> impl Iterator<Item = Register> {
        Register::all().filter(move |&register| self.contains(register))
    }
}

/// The most values that an operand form takes.
pub const MAX_INPUTS: usize = 4;

/// The most uops that are fused into one stencil.
pub const MAX_FUSED: usize = 6;

/// Where a value that a stencil takes is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// In a register; in the table, the placeholder of a role. Two inputs never share a placeholder.
    Register(Register),
    /// A number in the instruction, filled through `INPUT` holes: any i32, sign-extended.
    Signed32,
    /// A number below 2^bits in the instruction, filled through `INPUT` holes; 1 to 31 bits.
    Unsigned(u8),
    /// 64 bits among the trace's constants, reached through `POOLED` holes.
    Pooled,
}

impl Input {
    /// The number in a table: 0..16 registers, 0x20 + bits, 0x40 signed, 0x41 pooled.
    pub const fn as_u8(self) -> u8 {
        match self {
            Self::Register(register) => register.as_u8(),
            Self::Unsigned(bits) => 0x20 + bits,
            Self::Signed32 => 0x40,
            Self::Pooled => 0x41,
        }
    }

    /// The input with this number in a table, or `None`.
    pub const fn from_u8(number: u8) -> Option<Self> {
        match number {
            0x21..=0x3f => Some(Self::Unsigned(number - 0x20)),
            0x40 => Some(Self::Signed32),
            0x41 => Some(Self::Pooled),
            _ => match Register::from_u8(number) {
                Some(register) => Some(Self::Register(register)),
                None => None,
            },
        }
    }

    /// Whether the constant with these bits can be this input.
    pub const fn accepts(self, bits: u64) -> bool {
        match self {
            Self::Register(_) => false,
            Self::Signed32 => bits as i64 as i32 as i64 == bits as i64,
            Self::Unsigned(width) => bits >> width == 0,
            Self::Pooled => true,
        }
    }

    /// The smallest and the largest number that an `INPUT` hole of this input is filled with; `None` where it has none.
    pub const fn numbers(self) -> Option<RangeInclusive<i64>> {
        match self {
            Self::Signed32 => Some(i32::MIN as i64..=i32::MAX as i64),
            Self::Unsigned(width) => Some(0..=(1 << width) - 1),
            Self::Register(_) | Self::Pooled => None,
        }
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Register(register) => register.fmt(f),
            Self::Signed32 => f.write_str("32-bit"),
            Self::Unsigned(width) => write!(f, "{width}-bit unsigned"),
            Self::Pooled => f.write_str("pooled"),
        }
    }
}

/// A form with every value in a register or an instruction. See the [module](self).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperandForm {
    /// Where the values are that it takes, the lowest first; at most [`MAX_INPUTS`].
    pub inputs: Vec<Input>,
    /// Where the value is that it leaves on top of what is left; an input's register where it replaces that input.
    pub output: Option<Register>,
    /// On the way to the jump target, how many of the inputs are still on the stack, from the lowest on, unchanged and
    /// where they were; the others are gone. Meaningful where a fused uop jumps.
    pub intact: u8,
    /// The registers that the placeholders may be renamed to: those that the code uses in no other way.
    pub renameable: RegisterSet,
}

impl OperandForm {
    /// The registers that stand for others in the code: those of the inputs and of the output.
    pub fn placeholders(&self) -> RegisterSet {
        let inputs = self.inputs.iter().filter_map(|input| match input {
            Input::Register(register) => Some(*register),
            Input::Signed32 | Input::Unsigned(_) | Input::Pooled => None,
        });
        inputs
            .chain(self.output)
            .fold(RegisterSet::default(), RegisterSet::with)
    }

    fn check(&self) -> Result<(), String> {
        let count = self.inputs.len();
        if count > MAX_INPUTS {
            return Err(format!(
                "it takes {count} inputs, at most {MAX_INPUTS} are possible"
            ));
        }
        let mut seen = RegisterSet::default();
        for input in &self.inputs {
            match *input {
                Input::Register(register) if seen.contains(register) => {
                    return Err(format!("two inputs share the placeholder {register}"));
                }
                Input::Register(register) => seen = seen.with(register),
                Input::Unsigned(width) if !(1..=31).contains(&width) => {
                    return Err(format!("an input has {width} bits, expected 1 to 31"));
                }
                Input::Signed32 | Input::Unsigned(_) | Input::Pooled => {}
            }
        }
        if usize::from(self.intact) > count {
            return Err(format!(
                "{} of its inputs are intact where it jumps, it takes {count}",
                self.intact
            ));
        }
        // Otherwise not even the placeholders themselves could stand for what they do.
        match self
            .placeholders()
            .registers()
            .find(|&register| !self.renameable.contains(register))
        {
            Some(register) => Err(format!("its placeholder {register} is not renameable")),
            None => Ok(()),
        }
    }
}

/// How a variant takes and leaves stack values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// The top `registers_in` values in the first value registers on entry, the top `registers_out` on the way to the
    /// next uop; 0 to 3 each.
    Slots {
        /// I of `_rIO`.
        registers_in: u8,
        /// O of `_rIO`.
        registers_out: u8,
    },
    /// Operands.
    Operands(OperandForm),
}

impl Form {
    /// Whether the form is one that a variant can have.
    ///
    /// # Errors
    /// Says what is wrong with it and what was expected.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Self::Slots {
                registers_in,
                registers_out,
            } => {
                let most = *registers_in.max(registers_out);
                if u32::from(most) > VALUE_REGISTERS {
                    return Err(format!(
                        "{most} values are in registers, at most {VALUE_REGISTERS} can be"
                    ));
                }
                Ok(())
            }
            Self::Operands(form) => form.check(),
        }
    }

    /// Where the values are that it takes, the lowest first; none for [`Form::Slots`].
    pub fn inputs(&self) -> &[Input] {
        match self {
            Self::Slots { .. } => &[],
            Self::Operands(form) => &form.inputs,
        }
    }

    /// The registers that stand for others in the code; none for [`Form::Slots`].
    pub fn placeholders(&self) -> RegisterSet {
        match self {
            Self::Slots { .. } => RegisterSet::default(),
            Self::Operands(form) => form.placeholders(),
        }
    }
}

/// `_r21`, or `[r8, 32-bit -> r9]`: what tools append to the names of the uops.
impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form = match self {
            Self::Slots {
                registers_in,
                registers_out,
            } => return write!(f, "_r{registers_in}{registers_out}"),
            Self::Operands(form) => form,
        };
        let inputs: Vec<String> = form.inputs.iter().map(Input::to_string).collect();
        let inputs = inputs.join(", ");
        match form.output {
            None => write!(f, "[{inputs}]"),
            Some(output) if inputs.is_empty() => write!(f, "[-> {output}]"),
            Some(output) => write!(f, "[{inputs} -> {output}]"),
        }
    }
}

/// Which three bits of a register's number stand where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RegisterField {
    /// ModRM.reg: bits 3..6, and REX.R.
    Reg = 0,
    /// ModRM.rm, SIB.base, or the opcode: bits 0..3, and REX.B.
    Base = 1,
    /// SIB.index: bits 3..6, and REX.X.
    Index = 2,
}

impl RegisterField {
    /// The field with this number, or `None`.
    pub const fn from_u8(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Reg),
            1 => Some(Self::Base),
            2 => Some(Self::Index),
            _ => None,
        }
    }

    /// How far the low three bits are shifted in their byte.
    pub const fn shift(self) -> u8 {
        match self {
            Self::Base => 0,
            Self::Reg | Self::Index => 3,
        }
    }

    /// The bit of the REX prefix that holds the fourth bit.
    pub const fn rex_bit(self) -> u8 {
        match self {
            Self::Reg => 2,
            Self::Index => 1,
            Self::Base => 0,
        }
    }
}

/// A place where a placeholder's number stands in code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegisterHole {
    /// Whether it is in the cold code; in the hot code otherwise.
    pub cold: bool,
    /// The byte with the low three bits, from the start of the part.
    pub offset: u32,
    /// The byte of the REX prefix, from the start of the part; `None` for float registers without one.
    pub rex: Option<u32>,
    /// Which bits.
    pub field: RegisterField,
    /// The placeholder.
    pub register: Register,
}

/// How many bytes there may be between the start of a REX prefix and a byte that it extends: three of the opcode, ModRM,
/// and SIB is the next.
const MAX_REX_DISTANCE: u32 = 5;

impl RegisterHole {
    /// The order in which a table has them: of the parts, then of the offsets.
    pub fn order(&self) -> (bool, u32, u8) {
        (self.cold, self.offset, self.field.shift())
    }

    /// Whether the placeholder stands where this says in `code`, the part with the placeholders.
    ///
    /// # Errors
    /// Says what stands there, and what was expected.
    pub fn check(&self, code: &[u8]) -> Result<(), String> {
        let byte = |offset: u32| {
            code.get(offset as usize)
                .copied()
                .ok_or_else(|| format!("offset {offset:#x} is behind the {:#x} bytes", code.len()))
        };
        let number = self.register.encoding();
        let low = byte(self.offset)? >> self.field.shift() & 7;
        let high = match self.rex {
            Some(rex) => {
                let prefix = byte(rex)?;
                let distance = self.offset.checked_sub(rex);
                if distance.is_none_or(|distance| !(1..=MAX_REX_DISTANCE).contains(&distance)) {
                    return Err(format!(
                        "its REX prefix is at {rex:#x}, expected a little before it"
                    ));
                }
                if !(0x40..=0x4f).contains(&prefix) {
                    return Err(format!(
                        "its REX prefix is {prefix:#04x}, expected 0x40 to 0x4f"
                    ));
                }
                prefix >> self.field.rex_bit() & 1
            }
            None if self.register.class() == Class::General => {
                return Err(format!(
                    "{} has no REX prefix, which it needs",
                    self.register
                ));
            }
            None => 0,
        };
        let found = high << 3 | low;
        if found != number {
            return Err(format!(
                "register number {found} stands there, expected {number} for {}",
                self.register
            ));
        }
        Ok(())
    }

    /// Changes the placeholder in `code`, which holds the part with the placeholder, to another register.
    ///
    /// Nothing is changed where a byte lies outside `code`, or where there is no REX prefix for a number that needs one.
    pub fn rename(&self, to: Register, code: &mut [u8]) {
        let change = self.register.encoding() ^ to.encoding();
        let rex = self.rex.map(|rex| rex as usize);
        if change & 8 != 0
            && let Some(byte) = rex.and_then(|rex| code.get_mut(rex))
        {
            *byte ^= 1 << self.field.rex_bit();
        }
        if let Some(byte) = code.get_mut(self.offset as usize) {
            *byte ^= (change & 7) << self.field.shift();
        }
    }
}
