//! Stencils and stencil groups. A stencil is machine code or data with holes, like a section of an object file; a
//! stencil group is all that one uop needs, like an object file; a uop is described by what it does to the stack.

use crate::hole::{Hole, HoleValue};
use bitflags::bitflags;
use std::fmt;

/// Code or data with holes, borrowed from a table or from a [`StencilBuf`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stencil<'a> {
    /// The bytes to copy; those under a hole are zero.
    pub bytes: &'a [u8],
    /// The holes, ascending by offset and not overlapping.
    pub holes: &'a [Hole],
    /// The alignment of the copy, a power of two; 1 for code.
    pub align: u32,
}

/// Code or data with holes, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StencilBuf {
    /// The bytes to copy; those under a hole are zero.
    pub bytes: Vec<u8>,
    /// The holes, ascending by offset and not overlapping.
    pub holes: Vec<Hole>,
    /// The alignment of the copy, a power of two; 1 for code.
    pub align: u32,
}

impl Default for StencilBuf {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            holes: Vec::new(),
            align: 1,
        }
    }
}

impl StencilBuf {
    /// The same stencil, borrowed.
    pub fn as_stencil(&self) -> Stencil<'_> {
        Stencil {
            bytes: &self.bytes,
            holes: &self.holes,
            align: self.align,
        }
    }
}

/// The parts of a stencil group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// The code that the trace runs through; its end falls through to the next uop.
    Hot,
    /// Code that is laid out past the hot code of the whole trace; it never falls through.
    Cold,
    /// Constants, read only.
    Data,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hot => "hot code",
            Self::Cold => "cold code",
            Self::Data => "data",
        })
    }
}

/// All that one uop needs, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StencilGroup<'a> {
    /// Entered at its first byte; reaching its end means continuing with the next uop.
    pub hot: Stencil<'a>,
    /// Entered through `COLD` holes.
    pub cold: Stencil<'a>,
    /// Reached through `DATA` holes.
    pub data: Stencil<'a>,
}

impl<'a> StencilGroup<'a> {
    /// The parts, in the order of a table.
    pub fn parts(&self) -> [(Part, Stencil<'a>); 3] {
        [
            (Part::Hot, self.hot),
            (Part::Cold, self.cold),
            (Part::Data, self.data),
        ]
    }

    /// Bytes of code, hot and cold.
    pub fn code_len(&self) -> usize {
        self.hot.bytes.len() + self.cold.bytes.len()
    }

    /// Every hole of every part.
    pub fn holes(&self) -> impl Iterator<Item = &'a Hole> {
        self.parts()
            .into_iter()
            .flat_map(|(_, stencil)| stencil.holes)
    }
}

/// All that one uop needs, owned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StencilGroupBuf {
    /// See [`StencilGroup::hot`].
    pub hot: StencilBuf,
    /// See [`StencilGroup::cold`].
    pub cold: StencilBuf,
    /// See [`StencilGroup::data`].
    pub data: StencilBuf,
}

impl StencilGroupBuf {
    /// The same group, borrowed.
    pub fn as_group(&self) -> StencilGroup<'_> {
        StencilGroup {
            hot: self.hot.as_stencil(),
            cold: self.cold.as_stencil(),
            data: self.data.as_stencil(),
        }
    }
}

/// A number of stack values that may depend on the oparg: `fixed + per_oparg * oparg + low_bit * (oparg & 1)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Count {
    /// The part that does not depend on the oparg.
    pub fixed: u8,
    /// Values per unit of oparg.
    pub per_oparg: u8,
    /// Values for an odd oparg: the form in which CPython says "and a NULL".
    pub low_bit: u8,
}

impl Count {
    /// Always `fixed` values.
    pub const fn fixed(fixed: u8) -> Self {
        Self {
            fixed,
            per_oparg: 0,
            low_bit: 0,
        }
    }

    /// `fixed` values and one for each unit of oparg.
    pub const fn oparg_plus(fixed: u8) -> Self {
        Self {
            fixed,
            per_oparg: 1,
            low_bit: 0,
        }
    }

    /// The number for this oparg.
    pub fn of(self, oparg: u32) -> u64 {
        u64::from(self.fixed)
            + u64::from(self.per_oparg) * u64::from(oparg)
            + u64::from(self.low_bit) * u64::from(oparg & 1)
    }

    /// Whether the oparg matters.
    pub const fn is_fixed(self) -> bool {
        self.per_oparg == 0 && self.low_bit == 0
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut terms = Vec::new();
        if self.fixed != 0 || self.is_fixed() {
            terms.push(self.fixed.to_string());
        }
        match self.per_oparg {
            0 => {}
            1 => terms.push("oparg".to_owned()),
            n => terms.push(format!("{n}*oparg")),
        }
        match self.low_bit {
            0 => {}
            1 => terms.push("(oparg & 1)".to_owned()),
            n => terms.push(format!("{n}*(oparg & 1)")),
        }
        f.write_str(&terms.join(" + "))
    }
}

/// What a uop does to the evaluation stack on the way to the next uop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct StackEffect {
    /// Values taken from the top.
    pub popped: Count,
    /// Values put on top afterwards.
    pub pushed: Count,
}

impl StackEffect {
    /// Takes `popped` values and puts `pushed` in their place, whatever the oparg.
    pub const fn fixed(popped: u8, pushed: u8) -> Self {
        Self {
            popped: Count::fixed(popped),
            pushed: Count::fixed(pushed),
        }
    }

    /// The depth after the uop, or `None` where fewer than `popped` values are there.
    pub fn apply(self, depth: u64, oparg: u32) -> Option<u64> {
        Some(depth.checked_sub(self.popped.of(oparg))? + self.pushed.of(oparg))
    }
}

impl fmt::Display for StackEffect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} -- {})", self.popped, self.pushed)
    }
}

bitflags! {
    /// What a uop may do and what it needs; the numbers are those of the table format.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct UopFlags: u32 {
        /// May leave through its error target: the trace must give an error label.
        const ERROR = 1 << 0;
        /// May leave through its jump target because the trace's assumptions do not hold.
        const DEOPT = 1 << 1;
        /// May leave through its jump target to go on elsewhere.
        const EXIT = 1 << 2;
        /// Goes to its jump target as part of its work.
        const JUMP = 1 << 3;
        /// Never continues with the next uop.
        const TERMINAL = 1 << 4;
        /// Has an exit record of its own: a side exit that can be linked.
        const EXIT_RECORD = 1 << 5;
        /// Its oparg is the index of a local.
        const LOCAL = 1 << 6;
        /// Reads its oparg.
        const OPARG = 1 << 7;
        /// Reads its operand.
        const OPERAND = 1 << 8;
        /// Reads its target.
        const TARGET = 1 << 9;
        /// Goes to the trace's second uop.
        const TOP = 1 << 10;
        /// Does nothing but push the local that the oparg names: free where that local is in a register.
        const LOADS_LOCAL = 1 << 11;
        /// Does nothing but pop a value into the local that the oparg names.
        const STORES_LOCAL = 1 << 12;
        /// Does nothing but push its operand.
        const CONSTANT = 1 << 13;
        /// Does nothing but push the top value again.
        const COPIES = 1 << 14;
        /// Does nothing but drop the top value.
        const DROPS = 1 << 15;
        /// Does nothing but exchange the top two values.
        const SWAPS = 1 << 16;
        /// Continues in another frame, which it enters from the one that it starts in: what it pops is popped from the old
        /// frame's stack and what it pushes is pushed onto the new one's. The trace must say what that frame is like.
        const ENTERS_FRAME = 1 << 17;
        /// Continues in the frame from which the one that it starts in was entered: what it pops is popped from the frame
        /// that it leaves and what it pushes is pushed onto the other's stack.
        const LEAVES_FRAME = 1 << 18;
        /// Its error target finds the stack without the values that it pops.
        const POPS_BEFORE_ERROR = 1 << 19;
        /// Reads its second operand.
        const OPERAND1 = 1 << 20;
    }
}

impl UopFlags {
    /// The flags of uops that continue in another frame than they start in. They have a base form only.
    pub const SWITCHES_FRAME: Self = Self::ENTERS_FRAME.union(Self::LEAVES_FRAME);

    /// Whether the trace must give a jump label.
    pub const fn needs_jump(self) -> bool {
        self.intersects(Self::announcing(HoleValue::JumpTarget))
    }

    /// The flags of which a uop has at least one if its stencils have holes with this value; empty where any uop's may.
    pub const fn announcing(value: HoleValue) -> Self {
        match value {
            HoleValue::Oparg => Self::OPARG,
            HoleValue::Operand => Self::OPERAND,
            HoleValue::Operand1 => Self::OPERAND1,
            HoleValue::Target => Self::TARGET,
            HoleValue::JumpTarget => Self::DEOPT.union(Self::EXIT).union(Self::JUMP),
            HoleValue::ErrorTarget => Self::ERROR,
            HoleValue::Exit | HoleValue::ExitIndex => Self::EXIT_RECORD,
            HoleValue::Top => Self::TOP,
            HoleValue::Zero
            | HoleValue::Continue
            | HoleValue::Executor
            | HoleValue::Code
            | HoleValue::Cold
            | HoleValue::Data
            | HoleValue::Symbol
            | HoleValue::Input
            | HoleValue::Pooled
            | HoleValue::Leave => Self::empty(),
        }
    }
}

/// What the runtime knows of a uop besides its code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UopInfo<'a> {
    /// The name, unique in its table.
    pub name: &'a str,
    /// The stack effect on the way to the next uop.
    pub effect: StackEffect,
    /// The stack effect on the way to the jump target or out through the exit record, where there is one of them.
    pub leaving_effect: StackEffect,
    /// What it may do and needs.
    pub flags: UopFlags,
    /// The largest oparg its code was compiled for.
    pub oparg_max: u32,
    /// The largest operand its code was compiled for.
    pub operand_max: u64,
    /// The largest second operand its code was compiled for: 2^n - 1, n from 0 to 64.
    pub operand1_max: u64,
    /// How many locals the frame must have at least, whatever the oparg.
    pub locals: u32,
}
