//! Symbols: which undefined symbol of an object file means which hole.
//!
//! A hole is an external symbol whose name starts with `_JIT_`, as in CPython's templates: `_JIT_CONTINUE`,
//! `_JIT_OPARG`, ... A hole for a value also says how large the value may be and how far it is shifted left, because one
//! operand may stand in several fields of different widths: `_JIT_OPARG.u16.shl3` is eight times an oparg below 2^16,
//! and `_JIT_INPUT.s32` any i32. Where uops are fused it also says of which uop it is, and a constant input says which:
//! `_JIT_OPARG.u16.e1` is the second uop's oparg.
//! A name with the prefix that means nothing is an error; it is never taken for somebody's function.

use mimeo::form::{MAX_FUSED, MAX_INPUTS};
use mimeo::hole::{HoleValue, MAX_SHIFT};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

/// The prefix of every hole's symbol.
pub const PREFIX: &str = "_JIT_";

/// Elements are fused uops, or inputs, whichever there are more of.
const MAX_ELEMENTS: u8 = if MAX_FUSED > MAX_INPUTS {
    MAX_FUSED as u8
} else {
    MAX_INPUTS as u8
};

/// Whether a name is one that C could give a function: letters, digits and `_`, no digit first.
///
/// Dots are left to the compiler, for the names of its own functions.
#[cfg(llvm)]
pub(crate) fn is_identifier(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.chars().all(plain) && name.starts_with(|first: char| !first.is_ascii_digit())
}

/// A hole as a symbol names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HoleSymbol {
    /// What fills the hole.
    pub value: HoleValue,
    /// The value is below 2^`bits`; 64 for addresses. Where it is signed, below 2^(`bits` - 1) and not below its negative.
    pub bits: u8,
    /// The value is shifted left this far.
    pub shift: u8,
    /// Which of the fused uops it is of, or which input.
    pub element: u8,
    /// Whether the value may be negative.
    pub signed: bool,
}

impl HoleSymbol {
    /// A hole that is filled with an address.
    pub const fn address(value: HoleValue) -> Self {
        Self {
            value,
            bits: 64,
            shift: 0,
            element: 0,
            signed: false,
        }
    }

    /// A hole for a number below 2^`bits`.
    pub const fn number(value: HoleValue, bits: u8) -> Self {
        Self {
            value,
            bits,
            shift: 0,
            element: 0,
            signed: false,
        }
    }

    /// A hole for a number of `bits` bits, sign-extended.
    pub const fn signed(value: HoleValue, bits: u8) -> Self {
        let mut hole = Self::number(value, bits);
        hole.signed = true;
        hole
    }

    /// The same hole, shifted left.
    #[must_use]
    pub const fn shifted(mut self, shift: u8) -> Self {
        self.shift = shift;
        self
    }

    /// The same hole, of the fused uop or the input with this index.
    #[must_use]
    pub const fn of_element(mut self, element: u8) -> Self {
        self.element = element;
        self
    }

    /// The largest unshifted value.
    pub const fn max(self) -> u64 {
        let bits = self.bits - self.signed as u8;
        if bits >= 64 {
            u64::MAX
        } else {
            (1 << bits) - 1
        }
    }

    /// The smallest unshifted value.
    pub const fn min(self) -> i64 {
        if self.signed {
            -(1 << (self.bits - 1))
        } else {
            0
        }
    }

    /// Reads a symbol's name.
    ///
    /// `Ok(None)` is a symbol that is not a hole.
    ///
    /// # Errors
    /// The name has the prefix of a hole but is not that of one; the text says what is wrong with it.
    pub fn parse(name: &str) -> Result<Option<Self>, String> {
        let Some(rest) = name.strip_prefix(PREFIX) else {
            return Ok(None);
        };
        let mut parts = rest.split('.');
        let base = parts.next().unwrap_or_default();
        let value = HoleValue::ALL
            .into_iter()
            .find(|value| {
                value.name() == base && !matches!(value, HoleValue::Zero | HoleValue::Symbol)
            })
            .ok_or_else(|| format!("{base:?} is not the name of a hole"))?;
        let mut hole = Self::address(value);
        for part in parts {
            if let Some(bits) = part.strip_prefix("shl").map(str::parse::<u8>) {
                hole.shift = bits
                    .ok()
                    .filter(|shift| (1..=MAX_SHIFT).contains(shift))
                    .ok_or_else(|| format!("{part:?} is not a shift of 1 to {MAX_SHIFT}"))?;
            } else if let Some(bits) = part.strip_prefix('u').map(str::parse::<u8>) {
                hole.bits = bits
                    .ok()
                    .filter(|bits| (1..=64).contains(bits))
                    .ok_or_else(|| format!("{part:?} is not a width of 1 to 64 bits"))?;
            } else if let Some(bits) = part.strip_prefix('s').map(str::parse::<u8>) {
                hole.signed = true;
                hole.bits = bits
                    .ok()
                    .filter(|bits| (2..=32).contains(bits))
                    .ok_or_else(|| format!("{part:?} is not a signed width of 2 to 32 bits"))?;
            } else if let Some(element) = part.strip_prefix('e').map(str::parse::<u8>) {
                hole.element = element
                    .ok()
                    .filter(|element| (1..MAX_ELEMENTS).contains(element))
                    .ok_or_else(|| {
                        format!("{part:?} is not an element of 1 to {}", MAX_ELEMENTS - 1)
                    })?;
            } else {
                return Err(format!(
                    "{part:?} is neither a width (u16, s32), a shift (shl3) nor an element (e1)"
                ));
            }
        }
        // One way to write each hole, so that a symbol that no builder makes is not taken for one.
        match hole.to_string() == name {
            true => Ok(Some(hole)),
            false => Err(format!("it would be written {hole}")),
        }
    }
}

impl fmt::Display for HoleSymbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.value)?;
        if self.bits < 64 {
            let sign = if self.signed { 's' } else { 'u' };
            write!(f, ".{sign}{}", self.bits)?;
        }
        if self.shift != 0 {
            write!(f, ".shl{}", self.shift)?;
        }
        if self.element != 0 {
            write!(f, ".e{}", self.element)?;
        }
        Ok(())
    }
}

/// What an undefined symbol of an object file means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// It is a hole.
    Hole(HoleSymbol),
    /// It is a number in this range, which who reads the stencil computes; it keeps its name as a symbol.
    Number(RangeInclusive<i64>),
    /// It is somebody's function or data.
    Address,
}

/// Which undefined symbol means what, where this is not for the names alone to say: see [`HoleSymbol::parse`].
#[derive(Clone, Debug, Default)]
pub struct SymbolMeanings {
    holes: BTreeMap<String, HoleSymbol>,
    numbers: BTreeMap<String, RangeInclusive<i64>>,
}

impl SymbolMeanings {
    /// Declares that a symbol is a hole.
    #[must_use]
    pub fn hole(mut self, name: impl Into<String>, hole: HoleSymbol) -> Self {
        self.holes.insert(name.into(), hole);
        self
    }

    /// Declares that a symbol is a number in a range.
    #[must_use]
    pub fn number(mut self, name: impl Into<String>, range: RangeInclusive<i64>) -> Self {
        self.numbers.insert(name.into(), range);
        self
    }

    /// The declared holes, sorted by name.
    pub fn holes(&self) -> impl Iterator<Item = (&str, HoleSymbol)> {
        self.holes.iter().map(|(name, &hole)| (name.as_str(), hole))
    }

    /// What a symbol means.
    ///
    /// # Errors
    /// It has the prefix of a hole, but neither is it declared nor is it the name of one.
    pub fn meaning(&self, name: &str) -> Result<Meaning, String> {
        if let Some(range) = self.numbers.get(name) {
            return Ok(Meaning::Number(range.clone()));
        }
        if let Some(&hole) = self.holes.get(name) {
            return Ok(Meaning::Hole(hole));
        }
        Ok(match HoleSymbol::parse(name)? {
            Some(hole) => Meaning::Hole(hole),
            None => Meaning::Address,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_its_meaning_are_inverse() {
        for symbol in [
            HoleSymbol::address(HoleValue::Continue),
            HoleSymbol::address(HoleValue::Exit),
            HoleSymbol::number(HoleValue::Oparg, 16),
            HoleSymbol::number(HoleValue::Oparg, 16).shifted(3),
            HoleSymbol::number(HoleValue::Target, 31),
            HoleSymbol::address(HoleValue::Operand),
            HoleSymbol::address(HoleValue::Operand1).of_element(1),
            HoleSymbol::number(HoleValue::Operand1, 31),
            HoleSymbol::signed(HoleValue::Input, 32),
            HoleSymbol::number(HoleValue::Input, 6).of_element(1),
            HoleSymbol::address(HoleValue::Pooled).of_element(3),
            HoleSymbol::number(HoleValue::Oparg, 16)
                .shifted(3)
                .of_element(2),
        ] {
            assert_eq!(HoleSymbol::parse(&symbol.to_string()), Ok(Some(symbol)));
        }
        assert_eq!(
            HoleSymbol::number(HoleValue::Oparg, 16)
                .shifted(3)
                .to_string(),
            "_JIT_OPARG.u16.shl3"
        );
        assert_eq!(
            HoleSymbol::number(HoleValue::Operand1, 31)
                .of_element(2)
                .to_string(),
            "_JIT_OPERAND1.u31.e2"
        );
    }

    #[test]
    fn limits_of_values() {
        let limits = |hole: HoleSymbol| (hole.min(), hole.max());
        assert_eq!(
            limits(HoleSymbol::signed(HoleValue::Input, 32)),
            (i32::MIN.into(), i32::MAX as u64)
        );
        assert_eq!(limits(HoleSymbol::number(HoleValue::Input, 6)), (0, 63));
        assert_eq!(
            limits(HoleSymbol::address(HoleValue::Operand)),
            (0, u64::MAX)
        );
    }

    #[test]
    fn other_symbols_are_not_holes() {
        for name in ["mimeo_int_add", "", "JIT_OPARG", "_JIT"] {
            assert_eq!(HoleSymbol::parse(name), Ok(None), "{name}");
        }
    }

    #[test]
    fn a_hole_that_does_not_exist_is_an_error() {
        for name in [
            "_JIT_",
            "_JIT_OPARGS",
            "_JIT_OPERAND0",
            "_JIT_OPERAND11",
            "_JIT_SYMBOL",
            "_JIT_ZERO",
            "_JIT_OPARG.16",
            "_JIT_OPARG.e0",
            "_JIT_OPARG.e6",
            "_JIT_INPUT.s33",
            "_JIT_INPUT.s1",
            "_JIT_INPUT.e1.s32",
            "_JIT_OPARG.u65",
            "_JIT_OPARG.u0",
            "_JIT_OPARG.shl7",
            "_JIT_OPARG.",
            "_JIT_OPARG.u16.u16",
            "_JIT_OPARG.u+16",
            "_JIT_OPARG.u016",
            "_JIT_OPARG.u64",
            "_JIT_OPARG.shl3.u16",
        ] {
            assert!(HoleSymbol::parse(name).is_err(), "{name}");
        }
    }
}
