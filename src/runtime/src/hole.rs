//! Holes: the places of a stencil that are patched when it is copied. A hole is like a relocation record: offset,
//! relocation kind, value, symbol and addend.

use crate::reloc::RelocationKind;
use std::fmt;
use zerocopy::byteorder::little_endian::{I32, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// What a hole is filled with: the S of the psABI's expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum HoleValue {
    /// Zero: the addend alone.
    Zero = 0,
    /// The uop's `oparg`.
    Oparg = 1,
    /// The uop's 64-bit `operand`.
    Operand = 2,
    /// The uop's `target`: where the interpreter resumes.
    Target = 3,
    /// The address of the next uop's hot code.
    Continue = 4,
    /// The address of the uop that the uop's jump label names.
    JumpTarget = 5,
    /// The address of the uop that the uop's error label names.
    ErrorTarget = 6,
    /// The index of the uop's exit record.
    ExitIndex = 7,
    /// The address of the uop's exit record.
    Exit = 8,
    /// The address of the executor's header.
    Executor = 9,
    /// The address of this stencil group's hot code.
    Code = 10,
    /// The address of this stencil group's cold code.
    Cold = 11,
    /// The address of this stencil group's data.
    Data = 12,
    /// The address of the trace's second uop, where `_JUMP_TO_TOP` goes.
    Top = 13,
    /// The address of an external symbol, named in the table.
    Symbol = 14,
    /// The constant that input `element` of an operand form is.
    Input = 15,
    /// The address, among the trace's constants, of the 64 bits that input `element` of an operand form is.
    Pooled = 16,
    /// The address of the trace's way out: code that writes pinned locals back and goes on through the exit record whose
    /// address is in the first value register.
    Leave = 17,
    /// The uop's second 64-bit operand, `operand1`.
    Operand1 = 18,
}

impl HoleValue {
    /// Every value, in the order of the numbers.
    pub const ALL: [Self; 19] = [
        Self::Zero,
        Self::Oparg,
        Self::Operand,
        Self::Target,
        Self::Continue,
        Self::JumpTarget,
        Self::ErrorTarget,
        Self::ExitIndex,
        Self::Exit,
        Self::Executor,
        Self::Code,
        Self::Cold,
        Self::Data,
        Self::Top,
        Self::Symbol,
        Self::Input,
        Self::Pooled,
        Self::Leave,
        Self::Operand1,
    ];

    /// The value with this number in a table, or `None`.
    pub fn from_u8(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// The name that tools print, as in CPython's `HoleValue` where it has one.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Zero => "ZERO",
            Self::Oparg => "OPARG",
            Self::Operand => "OPERAND",
            Self::Target => "TARGET",
            Self::Continue => "CONTINUE",
            Self::JumpTarget => "JUMP_TARGET",
            Self::ErrorTarget => "ERROR_TARGET",
            Self::ExitIndex => "EXIT_INDEX",
            Self::Exit => "EXIT",
            Self::Executor => "EXECUTOR",
            Self::Code => "CODE",
            Self::Cold => "COLD",
            Self::Data => "DATA",
            Self::Top => "TOP",
            Self::Symbol => "SYMBOL",
            Self::Input => "INPUT",
            Self::Pooled => "POOLED",
            Self::Leave => "LEAVE",
            Self::Operand1 => "OPERAND1",
        }
    }

    /// Whether a jump may go to this value: the address of code that is entered with the stencils' convention.
    pub const fn is_control(self) -> bool {
        matches!(
            self,
            Self::Continue
                | Self::JumpTarget
                | Self::ErrorTarget
                | Self::Code
                | Self::Cold
                | Self::Top
                | Self::Leave
        )
    }
}

impl fmt::Display for HoleValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A place to patch, exactly as it stands in a table (16 bytes, little-endian, no alignment).
///
/// What is written is `(S << shift) + A`, minus P where the kind is PC-relative. `shift` is not zero only for
/// `OPARG`, `OPERAND`, `OPERAND1` and `TARGET`: it lets an index become a byte displacement in the instruction.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Hole {
    offset: U32,
    addend: I32,
    symbol: U32,
    kind: u8,
    value: u8,
    shift: u8,
    element: u8,
}

const _: () = assert!(size_of::<Hole>() == 16);

/// The largest shift of a hole: scaled addressing reaches 8 bytes, cache lines 64.
pub const MAX_SHIFT: u8 = 6;

impl Hole {
    /// A hole `offset` bytes from the start of its stencil.
    pub fn new(offset: u32, kind: RelocationKind, value: HoleValue, addend: i32) -> Self {
        Self {
            offset: U32::new(offset),
            addend: I32::new(addend),
            symbol: U32::ZERO,
            kind: kind as u8,
            value: value as u8,
            shift: 0,
            element: 0,
        }
    }

    /// The same hole for the symbol with this index.
    #[must_use]
    pub fn with_symbol(mut self, symbol: u32) -> Self {
        self.symbol = U32::new(symbol);
        self
    }

    /// The same hole with its value shifted left.
    #[must_use]
    pub fn with_shift(mut self, shift: u8) -> Self {
        self.shift = shift;
        self
    }

    /// The same hole for the fused uop, or the input, with this index.
    #[must_use]
    pub fn with_element(mut self, element: u8) -> Self {
        self.element = element;
        self
    }

    /// The same hole at another offset.
    #[must_use]
    pub fn at(mut self, offset: u32) -> Self {
        self.offset = U32::new(offset);
        self
    }

    /// Bytes from the start of the stencil.
    pub fn offset(&self) -> u32 {
        self.offset.get()
    }

    /// The addend A.
    pub fn addend(&self) -> i32 {
        self.addend.get()
    }

    /// Index into the table's symbols; meaningful when the value is [`HoleValue::Symbol`].
    pub fn symbol(&self) -> u32 {
        self.symbol.get()
    }

    /// How far the value is shifted left before the addend is added.
    pub fn shift(&self) -> u8 {
        self.shift
    }

    /// Which of the fused uops the value is of; for `INPUT` and `POOLED`, which input. 0 for what belongs to the whole.
    pub fn element(&self) -> u8 {
        self.element
    }

    /// The relocation kind. A hole from outside must have passed [`check`](Self::check).
    pub fn kind(&self) -> RelocationKind {
        RelocationKind::from_u8(self.kind).unwrap_or(RelocationKind::Abs64)
    }

    /// The value. A hole from outside must have passed [`check`](Self::check).
    pub fn value(&self) -> HoleValue {
        HoleValue::from_u8(self.value).unwrap_or(HoleValue::Zero)
    }

    /// The first byte behind the hole.
    pub fn end(&self) -> u32 {
        self.offset().saturating_add(self.kind().width() as u32)
    }

    /// Whether every field means something; `symbols` is the number of symbols there are.
    ///
    /// # Errors
    /// Says which field is wrong, what it holds and what was expected.
    pub fn check(&self, symbols: usize) -> Result<(), String> {
        if RelocationKind::from_u8(self.kind).is_none() {
            return Err(format!("relocation kind {} is unknown", self.kind));
        }
        let Some(value) = HoleValue::from_u8(self.value) else {
            return Err(format!(
                "hole value {} is unknown, expected 0..{}",
                self.value,
                HoleValue::ALL.len()
            ));
        };
        let shiftable = matches!(
            value,
            HoleValue::Oparg | HoleValue::Operand | HoleValue::Operand1 | HoleValue::Target
        );
        if self.shift > MAX_SHIFT || (self.shift != 0 && !shiftable) {
            return Err(format!("shift {} of {value} is not allowed", self.shift));
        }
        match value {
            HoleValue::Symbol if self.symbol() as usize >= symbols => Err(format!(
                "symbol {} does not exist, there are {symbols}",
                self.symbol()
            )),
            HoleValue::Symbol => Ok(()),
            _ if self.symbol() != 0 => Err(format!(
                "symbol is {} for {value}, expected 0",
                self.symbol()
            )),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Hole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Hole({:#x}: {} {}",
            self.offset(),
            self.kind(),
            self.value()
        )?;
        if self.value() == HoleValue::Symbol {
            write!(f, " #{}", self.symbol())?;
        }
        if self.shift != 0 {
            write!(f, " << {}", self.shift)?;
        }
        write!(f, " {:+})", self.addend())
    }
}
