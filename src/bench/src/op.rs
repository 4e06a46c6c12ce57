//! The uops of the scalar set, as data. What each computes is said where the templates are, in `mimeo-ir-templates`.

use mimeo::form::Class;
use mimeo::form::Class::{Float as F, General as G};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a uop's jump label means to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Jump {
    /// It has none.
    Never,
    /// It always goes there.
    Always,
    /// It may go there, with what it takes gone from the stack.
    Taken,
    /// It may go there, with what it takes still on the stack, unchanged.
    Kept,
}

macro_rules! ops {
    ($($(#[doc = $doc:literal])* $variant:ident = $name:literal ($($input:ident)* -- $($output:ident)*) $jump:ident;)*) => {
        /// A uop of the scalar set.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Op {
            $($(#[doc = $doc])* #[serde(rename = $name)] $variant,)*
        }

        impl Op {
            /// Every uop, in the order of the families.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name in the table.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// What it takes from the stack, the lowest first.
            pub const fn inputs(self) -> &'static [Class] {
                match self { $(Self::$variant => &[$($input),*]),* }
            }

            /// What it leaves in its place on the way to the next uop, the lowest first.
            pub const fn outputs(self) -> &'static [Class] {
                match self { $(Self::$variant => &[$($output),*]),* }
            }

            /// Where its jump label comes in.
            pub const fn jump(self) -> Jump {
                match self { $(Self::$variant => Jump::$jump),* }
            }
        }
    };
}

ops! {
    /// The operand.
    ConstI64 = "CONST_I64" (-- G) Never;
    /// The operand's bits as a float.
    ConstF64 = "CONST_F64" (-- F) Never;
    /// Local number oparg.
    LoadI64 = "LOAD_I64" (-- G) Never;
    /// Local number oparg.
    LoadF64 = "LOAD_F64" (-- F) Never;
    /// Local number oparg.
    StoreI64 = "STORE_I64" (G --) Never;
    /// Local number oparg.
    StoreF64 = "STORE_F64" (F --) Never;
    /// The top value again.
    DupI64 = "DUP_I64" (G -- G G) Never;
    /// The top value again.
    DupF64 = "DUP_F64" (F -- F F) Never;
    /// Less by the top value.
    DropI64 = "DROP_I64" (G --) Never;
    /// Less by the top value.
    DropF64 = "DROP_F64" (F --) Never;
    /// The top two exchanged.
    SwapI64 = "SWAP_I64" (G G -- G G) Never;
    /// The top two exchanged.
    SwapF64 = "SWAP_F64" (F F -- F F) Never;
    /// Wraps.
    Add = "I64_ADD" (G G -- G) Never;
    /// Wraps.
    Sub = "I64_SUB" (G G -- G) Never;
    /// Wraps.
    Mul = "I64_MUL" (G G -- G) Never;
    /// Bitwise.
    And = "I64_AND" (G G -- G) Never;
    /// Bitwise.
    Or = "I64_OR" (G G -- G) Never;
    /// Bitwise.
    Xor = "I64_XOR" (G G -- G) Never;
    /// Left, by the count modulo 64.
    Shl = "I64_SHL" (G G -- G) Never;
    /// Right with zeros, by the count modulo 64.
    Shr = "I64_SHR" (G G -- G) Never;
    /// Right with copies of the sign, by the count modulo 64.
    Sar = "I64_SAR" (G G -- G) Never;
    /// Rotates left by the count modulo 64.
    Rotl = "I64_ROTL" (G G -- G) Never;
    /// Rotates right by the count modulo 64.
    Rotr = "I64_ROTR" (G G -- G) Never;
    /// The smaller, signed.
    Min = "I64_MIN" (G G -- G) Never;
    /// The larger, signed.
    Max = "I64_MAX" (G G -- G) Never;
    /// The smaller, unsigned.
    MinU = "U64_MIN" (G G -- G) Never;
    /// The larger, unsigned.
    MaxU = "U64_MAX" (G G -- G) Never;
    /// Jumps on signed overflow.
    AddChecked = "I64_ADD_CHECKED" (G G -- G) Kept;
    /// Jumps on signed overflow.
    SubChecked = "I64_SUB_CHECKED" (G G -- G) Kept;
    /// Jumps on signed overflow.
    MulChecked = "I64_MUL_CHECKED" (G G -- G) Kept;
    /// Towards zero; jumps where the divisor is zero, and on MIN / -1.
    Div = "I64_DIV" (G G -- G) Kept;
    /// The remainder of the same division, with the dividend's sign.
    Rem = "I64_REM" (G G -- G) Kept;
    /// Unsigned; jumps where the divisor is zero.
    DivU = "U64_DIV" (G G -- G) Kept;
    /// The remainder, unsigned; jumps where the divisor is zero.
    RemU = "U64_REM" (G G -- G) Kept;
    /// Wraps.
    Neg = "I64_NEG" (G -- G) Never;
    /// Every bit.
    Not = "I64_NOT" (G -- G) Never;
    /// MIN stays.
    Abs = "I64_ABS" (G -- G) Never;
    /// Leading zeros, 64 for 0.
    Clz = "I64_CLZ" (G -- G) Never;
    /// Trailing zeros, 64 for 0.
    Ctz = "I64_CTZ" (G -- G) Never;
    /// Bits that are set.
    Popcnt = "I64_POPCNT" (G -- G) Never;
    /// Bytes in reverse order.
    Bswap = "I64_BSWAP" (G -- G) Never;
    /// The low 8 bits, signed.
    ExtendS8 = "I64_EXTEND_S8" (G -- G) Never;
    /// The low 16 bits, signed.
    ExtendS16 = "I64_EXTEND_S16" (G -- G) Never;
    /// The low 32 bits, signed.
    ExtendS32 = "I64_EXTEND_S32" (G -- G) Never;
    /// The low 8 bits.
    ExtendU8 = "I64_EXTEND_U8" (G -- G) Never;
    /// The low 16 bits.
    ExtendU16 = "I64_EXTEND_U16" (G -- G) Never;
    /// The low 32 bits.
    ExtendU32 = "I64_EXTEND_U32" (G -- G) Never;
    /// 1 for 0, 0 for anything else.
    BoolNot = "BOOL_NOT" (G -- G) Never;
    /// 1 or 0.
    Eq = "I64_EQ" (G G -- G) Never;
    /// 1 or 0.
    Ne = "I64_NE" (G G -- G) Never;
    /// 1 or 0, signed.
    Lt = "I64_LT" (G G -- G) Never;
    /// 1 or 0, signed.
    Le = "I64_LE" (G G -- G) Never;
    /// 1 or 0, signed.
    Gt = "I64_GT" (G G -- G) Never;
    /// 1 or 0, signed.
    Ge = "I64_GE" (G G -- G) Never;
    /// 1 or 0, unsigned.
    LtU = "U64_LT" (G G -- G) Never;
    /// 1 or 0, unsigned.
    LeU = "U64_LE" (G G -- G) Never;
    /// 1 or 0, unsigned.
    GtU = "U64_GT" (G G -- G) Never;
    /// 1 or 0, unsigned.
    GeU = "U64_GE" (G G -- G) Never;
    /// 1 or 0; 0 with a NaN.
    EqF = "F64_EQ" (F F -- G) Never;
    /// 1 or 0; 1 with a NaN.
    NeF = "F64_NE" (F F -- G) Never;
    /// 1 or 0; 0 with a NaN.
    LtF = "F64_LT" (F F -- G) Never;
    /// 1 or 0; 0 with a NaN.
    LeF = "F64_LE" (F F -- G) Never;
    /// 1 or 0; 0 with a NaN.
    GtF = "F64_GT" (F F -- G) Never;
    /// 1 or 0; 0 with a NaN.
    GeF = "F64_GE" (F F -- G) Never;
    /// `a b condition -- a` unless the condition is 0, `b` then.
    SelectI64 = "SELECT_I64" (G G G -- G) Never;
    /// `a b condition -- a` unless the condition is 0, `b` then.
    SelectF64 = "SELECT_F64" (F F G -- F) Never;
    /// IEEE 754.
    AddF = "F64_ADD" (F F -- F) Never;
    /// IEEE 754.
    SubF = "F64_SUB" (F F -- F) Never;
    /// IEEE 754.
    MulF = "F64_MUL" (F F -- F) Never;
    /// IEEE 754.
    DivF = "F64_DIV" (F F -- F) Never;
    /// `a < b ? a : b`.
    MinF = "F64_MIN" (F F -- F) Never;
    /// `a > b ? a : b`.
    MaxF = "F64_MAX" (F F -- F) Never;
    /// The sign bit inverted.
    NegF = "F64_NEG" (F -- F) Never;
    /// The sign bit cleared.
    AbsF = "F64_ABS" (F -- F) Never;
    /// IEEE 754.
    SqrtF = "F64_SQRT" (F -- F) Never;
    /// Rounds to even.
    I64ToF64 = "I64_TO_F64" (G -- F) Never;
    /// Truncates; jumps with NaN and unless -2^63 < a < 2^63.
    F64ToI64 = "F64_TO_I64" (F -- G) Kept;
    /// The bits as an integer.
    F64Bits = "F64_BITS" (F -- G) Never;
    /// The integer's bits as a float.
    F64FromBits = "F64_FROM_BITS" (G -- F) Never;
    /// `index length -- index`; jumps unless index < length, unsigned.
    GuardIndex = "GUARD_INDEX" (G G -- G) Kept;
    /// `pointer index -- value`.
    LoadAtS8 = "LOAD_AT_S8" (G G -- G) Never;
    /// `pointer index -- value`.
    LoadAtU8 = "LOAD_AT_U8" (G G -- G) Never;
    /// `pointer index -- value`, 2 bytes an element.
    LoadAtS16 = "LOAD_AT_S16" (G G -- G) Never;
    /// `pointer index -- value`, 2 bytes an element.
    LoadAtU16 = "LOAD_AT_U16" (G G -- G) Never;
    /// `pointer index -- value`, 4 bytes an element.
    LoadAtS32 = "LOAD_AT_S32" (G G -- G) Never;
    /// `pointer index -- value`, 4 bytes an element.
    LoadAtU32 = "LOAD_AT_U32" (G G -- G) Never;
    /// `pointer index -- value`, 8 bytes an element.
    LoadAtI64 = "LOAD_AT_I64" (G G -- G) Never;
    /// `pointer index -- value`, 8 bytes an element.
    LoadAtF64 = "LOAD_AT_F64" (G G -- F) Never;
    /// `value pointer index --`.
    StoreAt8 = "STORE_AT_8" (G G G --) Never;
    /// `value pointer index --`, 2 bytes an element.
    StoreAt16 = "STORE_AT_16" (G G G --) Never;
    /// `value pointer index --`, 4 bytes an element.
    StoreAt32 = "STORE_AT_32" (G G G --) Never;
    /// `value pointer index --`, 8 bytes an element.
    StoreAtI64 = "STORE_AT_I64" (G G G --) Never;
    /// `value pointer index --`, 8 bytes an element.
    StoreAtF64 = "STORE_AT_F64" (F G G --) Never;
    /// Goes to its label.
    Jump = "JUMP" (--) Always;
    /// Jumps unless the value is 0.
    JumpIfTrue = "JUMP_IF_TRUE" (G --) Taken;
    /// Jumps if the value is 0.
    JumpIfFalse = "JUMP_IF_FALSE" (G --) Taken;
    /// Jumps if the value is 0, which is rare.
    GuardTrue = "GUARD_TRUE" (G --) Taken;
    /// Jumps unless the value is 0, which is rare.
    GuardFalse = "GUARD_FALSE" (G --) Taken;
    /// Leaves through its exit record.
    Exit = "EXIT" (--) Never;
    /// Calls the operand; see [`native`](crate::native).
    Call0 = "CALL_0" (-- G) Never;
    /// Calls the operand.
    Call1 = "CALL_1" (G -- G) Never;
    /// Calls the operand.
    Call2 = "CALL_2" (G G -- G) Never;
    /// Calls the operand.
    Call3 = "CALL_3" (G G G -- G) Never;
    /// Calls the operand.
    Call4 = "CALL_4" (G G G G -- G) Never;
    /// Calls the operand.
    Call5 = "CALL_5" (G G G G G -- G) Never;
    /// Calls the operand.
    Call6 = "CALL_6" (G G G G G G -- G) Never;
    /// Calls the operand, a function of floats.
    CallF1 = "CALL_F64_1" (F -- F) Never;
    /// Calls the operand, a function of floats.
    CallF2 = "CALL_F64_2" (F F -- F) Never;
}

impl Op {
    /// The uop with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|op| op.name() == name)
    }

    /// Whether the oparg is a local.
    pub const fn names_local(self) -> bool {
        matches!(
            self,
            Self::LoadI64 | Self::LoadF64 | Self::StoreI64 | Self::StoreF64
        )
    }

    /// Whether the operand is the number of a [native function](crate::native::NATIVES).
    pub const fn calls(self) -> bool {
        matches!(
            self,
            Self::Call0
                | Self::Call1
                | Self::Call2
                | Self::Call3
                | Self::Call4
                | Self::Call5
                | Self::Call6
                | Self::CallF1
                | Self::CallF2
        )
    }

    /// Whether control never goes on with the next uop.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Jump | Self::Exit)
    }

    /// The depth of the stack behind it on the way to the next uop, from the one before; `None` where it would take
    /// more than there is.
    pub fn depth_after(self, depth: u32) -> Option<u32> {
        let kept = depth.checked_sub(self.inputs().len() as u32)?;
        Some(kept + self.outputs().len() as u32)
    }

    /// The depth at its jump label, from the one before it.
    pub fn depth_at_label(self, depth: u32) -> Option<u32> {
        let without = depth.checked_sub(self.inputs().len() as u32)?;
        match self.jump() {
            Jump::Kept => Some(depth),
            _ => Some(without),
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
