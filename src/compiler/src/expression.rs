//! Numbers that are computed when a stencil is patched: arithmetic on what fills holes. A template that was compiled from
//! C computes `frame + 8 * oparg + 72` or `oparg & 1`; known before the code runs, such a number needs no code at all.
//!
//! Everything is computed modulo 2^64. A number's [range](Expression::range) says what it can be: as a signed number
//! where some of it is negative, as an unsigned one otherwise.

use mimeo::hole::HoleValue;
use std::ops::RangeInclusive;

/// A number that depends on nothing but what fills holes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Expression {
    /// What fills a hole: a number below 2^`bits`; 64 for addresses.
    Hole {
        /// What it is.
        value: HoleValue,
        /// How large it may be.
        bits: u8,
    },
    /// A number.
    Constant(i64),
    /// The address of a function or of data of the program. Two of them are less than 2 GiB apart, less 16 MiB, as in all
    /// programs of the small code model (psABI, section 3.5.1).
    Address(String),
    /// The low bits of a number, so many of them.
    Low(Box<Self>, u8),
    /// The low bits of a number, so many of them, the highest of which is the sign.
    SignedLow(Box<Self>, u8),
    /// An operation on two numbers.
    Binary(Operation, Box<Self>, Box<Self>),
}

/// What is done with two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// The sum.
    Add,
    /// The first less the second.
    Subtract,
    /// The product.
    Multiply,
    /// The first, shifted left by the second.
    ShiftLeft,
    /// The first, shifted right by the second: none of them is negative.
    ShiftRight,
    /// The bits of both.
    And,
    /// The bits of either.
    Or,
    /// The bits in which they differ.
    ExclusiveOr,
}

impl Operation {
    /// The operator in C.
    const fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::ShiftLeft => "<<",
            Self::ShiftRight => ">>",
            Self::And => "&",
            Self::Or => "|",
            Self::ExclusiveOr => "^",
        }
    }
}

/// How far addresses of a program are apart at most, in bytes: what 32 bits hold, less what a part of something may be away from
/// its start, which LLVM adds.
const MAX_DISTANCE: i128 = (1 << 31) - (1 << 24);

/// What 64 bits hold.
const WORD: RangeInclusive<i128> = 0..=u64::MAX as i128;

impl Expression {
    /// An operation on two numbers; done at once where both are constants.
    pub fn binary(operation: Operation, left: Self, right: Self) -> Self {
        let both = Self::Binary(operation, Box::new(left), Box::new(right));
        match &both {
            Self::Binary(_, left, right)
                if matches!((&**left, &**right), (Self::Constant(_), Self::Constant(_))) =>
            {
                Self::Constant(both.evaluate(&|_| 0, &|_| 0) as i64)
            }
            _ => both,
        }
    }

    /// The low `bits` bits; the number itself where it has no others.
    #[must_use]
    pub fn low(self, bits: u8) -> Self {
        match fits_unsigned(&self.range(), bits) {
            true => self,
            false => Self::Low(Box::new(self), bits),
        }
    }

    /// The low `bits` bits as a signed number; the number itself where it is one.
    #[must_use]
    pub fn signed_low(self, bits: u8) -> Self {
        match fits_signed(&self.range(), bits) {
            true => self,
            false => Self::SignedLow(Box::new(self), bits),
        }
    }

    /// The values that the number can have: all of 64 bits where the arithmetic may wrap around.
    pub fn range(&self) -> RangeInclusive<i128> {
        let range = match self {
            Self::Hole { bits, .. } => 0..=low_mask(*bits).into(),
            Self::Constant(number) => (*number).into()..=(*number).into(),
            Self::Address(_) => WORD,
            Self::Low(_, bits) => 0..=low_mask(*bits).into(),
            Self::SignedLow(_, bits) => {
                let limit = 1 << (bits - 1);
                -limit..=limit - 1
            }
            Self::Binary(Operation::Subtract, left, right)
                if matches!((&**left, &**right), (Self::Address(_), Self::Address(_))) =>
            {
                -MAX_DISTANCE..=MAX_DISTANCE
            }
            Self::Binary(operation, left, right) => {
                range_of(*operation, &left.range(), &right.range())
            }
        };
        match fits_signed(&range, 64) || fits_unsigned(&range, 64) {
            true => range,
            false => WORD,
        }
    }

    /// Whether the number depends on a hole of which this is so.
    pub fn depends_on(&self, is: &impl Fn(HoleValue) -> bool) -> bool {
        match self {
            Self::Hole { value, .. } => is(*value),
            Self::Constant(_) | Self::Address(_) => false,
            Self::Low(number, _) | Self::SignedLow(number, _) => number.depends_on(is),
            Self::Binary(_, left, right) => left.depends_on(is) || right.depends_on(is),
        }
    }

    /// The number, modulo 2^64, where holes are filled with these values and symbols have these addresses.
    pub fn evaluate(
        &self,
        fill: &impl Fn(HoleValue) -> u64,
        address: &impl Fn(&str) -> u64,
    ) -> u64 {
        match self {
            Self::Hole { value, .. } => fill(*value),
            Self::Constant(number) => *number as u64,
            Self::Address(name) => address(name),
            Self::Low(number, bits) => number.evaluate(fill, address) & low_mask(*bits),
            Self::SignedLow(number, bits) => {
                let unused = 64 - u32::from(*bits);
                ((number.evaluate(fill, address) << unused) as i64 >> unused) as u64
            }
            Self::Binary(operation, left, right) => {
                let (left, right) = (left.evaluate(fill, address), right.evaluate(fill, address));
                match operation {
                    Operation::Add => left.wrapping_add(right),
                    Operation::Subtract => left.wrapping_sub(right),
                    Operation::Multiply => left.wrapping_mul(right),
                    Operation::ShiftLeft => left.unbounded_shl(right as u32),
                    Operation::ShiftRight => left.unbounded_shr(right as u32),
                    Operation::And => left & right,
                    Operation::Or => left | right,
                    Operation::ExclusiveOr => left ^ right,
                }
            }
        }
    }

    /// The number as a C expression of an unsigned type, given what each hole is filled with.
    pub fn to_c(&self, name: &impl Fn(HoleValue) -> String) -> String {
        match self {
            Self::Hole { value, .. } => name(*value),
            Self::Address(name) => format!("(uintptr_t)&{name}"),
            other => other.operand(name),
        }
    }

    /// As [`to_c`](Self::to_c), to stand beside an operator: what is narrower than 64 bits would be computed as an `int`.
    fn operand(&self, name: &impl Fn(HoleValue) -> String) -> String {
        match self {
            Self::Hole { value, .. } => format!("(uint64_t){}", name(*value)),
            Self::Constant(number) => format!("{number}"),
            Self::Low(number, bits @ (8 | 16 | 32)) => {
                format!("(uint{bits}_t){}", number.operand_of_cast(name))
            }
            Self::Address(name) => format!("(uint64_t)(uintptr_t)&{name}"),
            Self::SignedLow(number, bits @ (8 | 16 | 32)) => {
                format!("(int{bits}_t){}", number.operand_of_cast(name))
            }
            Self::SignedLow(number, bits) => {
                let unused = 64 - bits;
                let number = number.operand(name);
                format!("((int64_t)({number} << {unused}) >> {unused})")
            }
            Self::Low(number, bits) => {
                format!("({} & {:#x})", number.operand(name), low_mask(*bits))
            }
            Self::Binary(operation, left, right) => {
                let wide = |number: &Self| match number {
                    Self::Low(..) | Self::SignedLow(..) => {
                        format!("(uint64_t){}", number.operand(name))
                    }
                    _ => number.operand(name),
                };
                format!("({} {} {})", wide(left), operation.symbol(), wide(right))
            }
        }
    }

    fn operand_of_cast(&self, name: &impl Fn(HoleValue) -> String) -> String {
        match self {
            Self::Hole { value, .. } => name(*value),
            other => other.operand(name),
        }
    }
}

const fn low_mask(bits: u8) -> u64 {
    match bits {
        64.. => u64::MAX,
        _ => (1 << bits) - 1,
    }
}

/// Whether all values are unsigned numbers of so many bits.
pub(crate) fn fits_unsigned(range: &RangeInclusive<i128>, bits: u8) -> bool {
    *range.start() >= 0 && *range.end() <= low_mask(bits).into()
}

/// Whether all values are signed numbers of so many bits.
pub(crate) fn fits_signed(range: &RangeInclusive<i128>, bits: u8) -> bool {
    let limit = 1_i128 << (bits - 1);
    *range.start() >= -limit && *range.end() < limit
}

fn range_of(
    operation: Operation,
    left: &RangeInclusive<i128>,
    right: &RangeInclusive<i128>,
) -> RangeInclusive<i128> {
    let (low, high) = (*left.start(), *left.end());
    let (other_low, other_high) = (*right.start(), *right.end());
    let is_negative = low < 0 || other_low < 0;
    match operation {
        Operation::Add => low + other_low..=high + other_high,
        Operation::Subtract => low - other_high..=high - other_low,
        Operation::Multiply => {
            let ends = [low, high]
                .map(|one| [other_low, other_high].map(|other| one.saturating_mul(other)))
                .concat();
            let least = ends.iter().copied().min().unwrap_or_default();
            least..=ends.iter().copied().max().unwrap_or_default()
        }
        Operation::ShiftLeft if (0..64).contains(&other_low) && other_low == other_high => {
            low << other_low..=high << other_low
        }
        Operation::ShiftRight if low >= 0 && (0..64).contains(&other_low) => {
            low >> other_high.min(127)..=high >> other_low
        }
        // No bit that is not in a mask.
        Operation::And if low >= 0 && other_low >= 0 => 0..=high.min(other_high),
        Operation::And if other_low >= 0 => 0..=other_high,
        Operation::And if low >= 0 => 0..=high,
        // No bit above those of either.
        Operation::Or | Operation::ExclusiveOr if !is_negative => {
            let all = (high | other_high) as u128;
            0..=(u128::MAX >> all.leading_zeros().min(127)) as i128
        }
        _ => WORD,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn oparg() -> Expression {
        Expression::Hole {
            value: HoleValue::Oparg,
            bits: 16,
        }
    }

    fn operand() -> Expression {
        Expression::Hole {
            value: HoleValue::Operand,
            bits: 64,
        }
    }

    fn with(operation: Operation, left: Expression, number: i64) -> Expression {
        Expression::binary(operation, left, Expression::Constant(number))
    }

    #[test]
    fn expressions_in_c() {
        let name = |value| format!("instruction->{}", HoleValue::name(value).to_lowercase());
        let rows = [
            (oparg(), "instruction->oparg"),
            (
                with(Operation::ShiftLeft, oparg(), 3),
                "((uint64_t)instruction->oparg << 3)",
            ),
            (
                with(Operation::And, with(Operation::ShiftRight, oparg(), 5), 7),
                "(((uint64_t)instruction->oparg >> 5) & 7)",
            ),
            (operand().low(32), "(uint32_t)instruction->operand"),
            (
                with(Operation::Add, operand().low(32), 1),
                "((uint64_t)(uint32_t)instruction->operand + 1)",
            ),
            (operand().low(5), "((uint64_t)instruction->operand & 0x1f)"),
            (
                Expression::binary(Operation::Subtract, Expression::Constant(-16), oparg()),
                "(-16 - (uint64_t)instruction->oparg)",
            ),
            (with(Operation::Add, Expression::Constant(2), 3), "5"),
            (operand().signed_low(32), "(int32_t)instruction->operand"),
            (
                Expression::binary(
                    Operation::Subtract,
                    Expression::Address("one".to_owned()),
                    Expression::Address("other".to_owned()),
                ),
                "((uint64_t)(uintptr_t)&one - (uint64_t)(uintptr_t)&other)",
            ),
        ];
        for (expression, expected) in rows {
            assert_eq!(expression.to_c(&name), expected);
        }
    }

    #[test]
    fn what_can_wrap_around_may_be_anything() {
        assert_eq!(with(Operation::Add, operand(), 1).range(), WORD);
        assert_eq!(with(Operation::ShiftLeft, oparg(), 3).range(), 0..=524_280);
        let below = Expression::binary(Operation::Subtract, Expression::Constant(0), oparg());
        assert_eq!(below.range(), -65_535..=0);
        let sum = with(Operation::Add, oparg(), 3);
        assert_eq!(with(Operation::ShiftRight, sum, 13).range(), 0..=8);
        assert_eq!(oparg().low(16), oparg());
    }

    fn any_expression() -> impl Strategy<Value = Expression> {
        let leaf = prop_oneof![
            Just(oparg()),
            Just(operand()),
            (-70_000..70_000_i64).prop_map(Expression::Constant),
            (0..64_i64).prop_map(Expression::Constant),
        ];
        leaf.prop_recursive(4, 16, 2, |inner| {
            let operation = prop_oneof![
                Just(Operation::Add),
                Just(Operation::Subtract),
                Just(Operation::Multiply),
                Just(Operation::ShiftLeft),
                Just(Operation::ShiftRight),
                Just(Operation::And),
                Just(Operation::Or),
                Just(Operation::ExclusiveOr),
            ];
            prop_oneof![
                (inner.clone(), 1..64_u8).prop_map(|(number, bits)| number.low(bits)),
                (inner.clone(), 1..64_u8).prop_map(|(number, bits)| number.signed_low(bits)),
                (operation, inner.clone(), inner).prop_map(|(operation, left, right)| {
                    Expression::binary(operation, left, right)
                }),
            ]
        })
    }

    proptest! {
        /// The range holds every value, read as a signed number where the range has negative ones.
        #[test]
        fn values_lie_in_the_range(
            expression in any_expression(),
            oparg in any::<u16>(),
            operand in any::<u64>(),
        ) {
            let fill = |value| match value {
                HoleValue::Oparg => oparg.into(),
                _ => operand,
            };
            let found = expression.evaluate(&fill, &|_| 0);
            let range = expression.range();
            let found = match *range.start() < 0 {
                true => i128::from(found as i64),
                false => found.into(),
            };
            prop_assert!(range.contains(&found), "{expression:?} is {found}, not in {range:?}");
        }
    }
}
