//! Ints: one machine word, growing to a big integer when a result does not fit; and the arithmetic of both.
//!
//! A value that fits an `i64` is always an `Int`, never a `BigInteger`, so that the representations of equal
//! values are the same.

use crate::error::{ErrorKind, PyError, Result};
use crate::float::{self, round_scaled};
use crate::heap;
use crate::limits;
use crate::object::{FLAG_BIG, Header, Kind, Ref};
use num_bigint::{BigInt, BigUint, Sign};
use num_integer::Integer;
use num_traits::{FromPrimitive, Signed, ToPrimitive, Zero};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

/// An int that fits a machine word.
#[repr(C)]
pub(crate) struct Int {
    header: Header,
    pub(crate) value: i64,
}

impl Int {
    pub(crate) fn value(&self) -> i64 {
        self.value
    }
}

/// An int that does not fit a machine word.
#[repr(C)]
pub(crate) struct BigInteger {
    header: Header,
    value: BigInt,
}

impl BigInteger {
    pub(crate) fn value(&self) -> &BigInt {
        &self.value
    }
}

impl Ref {
    /// An int.
    pub fn int(value: i64) -> Self {
        heap::allocate(Int {
            header: Header::new(Kind::Int, 0),
            value,
        })
    }

    /// An int of any size.
    pub fn big(value: BigInt) -> Self {
        match value.to_i64() {
            Some(small) => Self::int(small),
            None => heap::allocate(BigInteger {
                header: Header::new(Kind::Int, FLAG_BIG),
                value,
            }),
        }
    }

    /// The value of an int or, as everywhere in arithmetic, of a bool.
    pub fn as_int(&self) -> Option<IntView<'_>> {
        match self.view() {
            crate::object::View::Int(value) => Some(value),
            crate::object::View::Bool(value) => Some(IntView::Small(i64::from(value))),
            _ => None,
        }
    }
}

/// The value of an int.
#[derive(Clone, Copy, Debug)]
pub enum IntView<'a> {
    /// One that fits a machine word.
    Small(i64),
    /// One that does not.
    Big(&'a BigInt),
}

impl<'a> IntView<'a> {
    /// The value as a big integer.
    pub fn to_big(self) -> Cow<'a, BigInt> {
        match self {
            Self::Small(value) => Cow::Owned(value.into()),
            Self::Big(value) => Cow::Borrowed(value),
        }
    }

    /// The value if it fits a machine word.
    pub fn to_i64(self) -> Option<i64> {
        match self {
            Self::Small(value) => Some(value),
            Self::Big(_) => None,
        }
    }

    /// The value, or the bound of the machine word that it lies beyond.
    pub fn saturate(self) -> i64 {
        match self {
            Self::Small(value) => value,
            Self::Big(value) if value.is_negative() => i64::MIN,
            Self::Big(_) => i64::MAX,
        }
    }

    /// The nearest float, ties to even; `None` where that would be infinite.
    pub fn to_f64(self) -> Option<f64> {
        match self {
            Self::Small(value) => Some(value as f64),
            Self::Big(value) => {
                let magnitude = nearest_float(value.magnitude())?;
                Some(if value.is_negative() {
                    -magnitude
                } else {
                    magnitude
                })
            }
        }
    }

    /// The nearest float, or CPython's error.
    ///
    /// # Errors
    /// `OverflowError` where the float would be infinite.
    pub fn to_float(self) -> Result<f64> {
        self.to_f64()
            .ok_or_else(|| PyError::overflow("int too large to convert to float"))
    }

    /// Whether the value is zero.
    pub fn is_zero(self) -> bool {
        matches!(self, Self::Small(0))
    }

    /// Whether the value is below zero.
    pub fn is_negative(self) -> bool {
        match self {
            Self::Small(value) => value < 0,
            Self::Big(value) => value.is_negative(),
        }
    }

    /// The order of two ints.
    pub fn compare(self, other: IntView<'_>) -> Ordering {
        match (self, other) {
            (Self::Small(a), IntView::Small(b)) => a.cmp(&b),
            (Self::Small(_), IntView::Big(b)) if b.is_negative() => Ordering::Greater,
            (Self::Small(_), IntView::Big(_)) => Ordering::Less,
            (Self::Big(a), IntView::Small(_)) if a.is_negative() => Ordering::Less,
            (Self::Big(_), IntView::Small(_)) => Ordering::Greater,
            (Self::Big(a), IntView::Big(b)) => a.cmp(b),
        }
    }

    /// The order of an int and a float as exact numbers; `None` for a NaN.
    pub fn compare_float(self, other: f64) -> Option<Ordering> {
        /// Up to here every int is a float.
        const EXACT: i64 = 1 << f64::MANTISSA_DIGITS;
        match self {
            Self::Small(value) if (-EXACT..=EXACT).contains(&value) => {
                (value as f64).partial_cmp(&other)
            }
            _ if other.is_nan() => None,
            _ if other == f64::INFINITY => Some(Ordering::Less),
            _ if other == f64::NEG_INFINITY => Some(Ordering::Greater),
            _ => {
                let floor = BigInt::from_f64(other.floor())?;
                let order = self.compare(IntView::of(&floor));
                let has_fraction = other.floor() != other;
                Some(order.then(if has_fraction {
                    Ordering::Less
                } else {
                    Ordering::Equal
                }))
            }
        }
    }

    /// The view of a big integer, which may fit a machine word.
    pub fn of(value: &'a BigInt) -> Self {
        value.to_i64().map_or(Self::Big(value), Self::Small)
    }

    /// How many bits the magnitude has.
    pub(crate) fn bits(self) -> u64 {
        match self {
            Self::Small(value) => u64::from(64 - value.unsigned_abs().leading_zeros()),
            Self::Big(value) => value.bits(),
        }
    }
}

impl fmt::Display for IntView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Small(value) => value.fmt(f),
            Self::Big(value) => value.fmt(f),
        }
    }
}

/// Applies a checked operation on machine words, and the one on big integers where that overflows.
fn checked(
    a: IntView<'_>,
    b: IntView<'_>,
    small: impl FnOnce(i64, i64) -> Option<i64>,
    big: impl FnOnce(&BigInt, &BigInt) -> BigInt,
) -> Ref {
    if let (IntView::Small(a), IntView::Small(b)) = (a, b)
        && let Some(result) = small(a, b)
    {
        return Ref::int(result);
    }
    Ref::big(big(&a.to_big(), &b.to_big()))
}

/// `a + b`
pub fn add(a: IntView<'_>, b: IntView<'_>) -> Ref {
    checked(a, b, i64::checked_add, |a, b| a + b)
}

/// `a - b`
pub fn subtract(a: IntView<'_>, b: IntView<'_>) -> Ref {
    checked(a, b, i64::checked_sub, |a, b| a - b)
}

/// `a * b`
///
/// # Errors
/// `MemoryError` if the result is too large.
pub fn multiply(a: IntView<'_>, b: IntView<'_>) -> Result<Ref> {
    if let (IntView::Big(_), _) | (_, IntView::Big(_)) = (a, b) {
        limits::check_bits(u128::from(a.bits()) + u128::from(b.bits()))?;
    }
    Ok(checked(a, b, i64::checked_mul, |a, b| a * b))
}

/// `a & b` on two's complement of unbounded width.
pub fn and(a: IntView<'_>, b: IntView<'_>) -> Ref {
    checked(a, b, |a, b| Some(a & b), |a, b| a & b)
}

/// `a | b` on two's complement of unbounded width.
pub fn or(a: IntView<'_>, b: IntView<'_>) -> Ref {
    checked(a, b, |a, b| Some(a | b), |a, b| a | b)
}

/// `a ^ b` on two's complement of unbounded width.
pub fn xor(a: IntView<'_>, b: IntView<'_>) -> Ref {
    checked(a, b, |a, b| Some(a ^ b), |a, b| a ^ b)
}

/// `-a`
pub fn negate(a: IntView<'_>) -> Ref {
    subtract(IntView::Small(0), a)
}

/// `~a`
pub fn invert(a: IntView<'_>) -> Ref {
    xor(a, IntView::Small(-1))
}

/// `abs(a)`
pub fn absolute(a: IntView<'_>) -> Ref {
    if a.is_negative() {
        negate(a)
    } else {
        add(a, IntView::Small(0))
    }
}

/// `a // b`: rounds down.
///
/// # Errors
/// `ZeroDivisionError` if `b` is zero.
pub fn floor_divide(a: IntView<'_>, b: IntView<'_>) -> Result<Ref> {
    if b.is_zero() {
        return Err(PyError::zero_division("integer division or modulo by zero"));
    }
    let small = |a: i64, b: i64| (b != -1).then(|| Integer::div_floor(&a, &b));
    Ok(checked(a, b, small, |a, b| a.div_floor(b)))
}

/// `a % b`: has the sign of `b`.
///
/// # Errors
/// `ZeroDivisionError` if `b` is zero.
pub fn remainder(a: IntView<'_>, b: IntView<'_>) -> Result<Ref> {
    if b.is_zero() {
        return Err(PyError::zero_division("integer modulo by zero"));
    }
    let small = |a: i64, b: i64| {
        Some(if b == -1 {
            0
        } else {
            Integer::mod_floor(&a, &b)
        })
    };
    Ok(checked(a, b, small, |a, b| a.mod_floor(b)))
}

/// `a << b`
///
/// # Errors
/// `ValueError` if `b` is negative, `OverflowError` or `MemoryError` if the result is too large.
pub fn left_shift(a: IntView<'_>, b: IntView<'_>) -> Result<Ref> {
    /// CPython counts an int's digits, of 30 bits in 4 bytes, in a signed word of bytes.
    const MAX_COUNT: u128 = i64::MAX as u128 / 4 * 30;
    check_shift_count(b)?;
    if a.is_zero() {
        return Ok(Ref::int(0));
    }
    let Some(count) = b.to_big().to_u128().filter(|&count| count < MAX_COUNT) else {
        return Err(PyError::overflow("too many digits in integer"));
    };
    limits::check_bits(u128::from(a.bits()) + count)?;
    Ok(match a {
        IntView::Small(a) if count < u128::from(a.unsigned_abs().leading_zeros()) => {
            Ref::int(a << count)
        }
        _ => Ref::big(a.to_big().into_owned() << count),
    })
}

/// `a >> b`: rounds down.
///
/// # Errors
/// `ValueError` if `b` is negative.
pub fn right_shift(a: IntView<'_>, b: IntView<'_>) -> Result<Ref> {
    check_shift_count(b)?;
    let count = b.saturate().unsigned_abs();
    Ok(match a {
        IntView::Small(a) => Ref::int(a >> count.min(63)),
        IntView::Big(a) if count >= a.bits() => Ref::int(if a.is_negative() { -1 } else { 0 }),
        IntView::Big(a) => Ref::big(a >> count),
    })
}

fn check_shift_count(count: IntView<'_>) -> Result<()> {
    if count.is_negative() {
        return Err(PyError::value("negative shift count"));
    }
    Ok(())
}

/// `a ** b`: an int, or a float if `b` is negative.
///
/// # Errors
/// `ZeroDivisionError` for zero to a negative power, `OverflowError` if `b` is negative and an operand is too large
/// for a float, `MemoryError` if the result is too large.
pub fn power(a: IntView<'_>, b: IntView<'_>) -> Result<Ref> {
    if b.is_negative() {
        return float::power(a.to_float()?, b.to_float()?).map(Ref::float);
    }
    if let IntView::Small(base @ -1..=1) = a {
        let is_odd = b.to_big().is_odd();
        return Ok(Ref::int(if b.is_zero() || !is_odd && base == -1 {
            1
        } else {
            base
        }));
    }
    let exponent = b.to_i64().and_then(|exponent| u32::try_from(exponent).ok());
    let Some(exponent) = exponent else {
        return Err(PyError::memory());
    };
    limits::check_bits(u128::from(exponent) * u128::from(a.bits() - 1))?;
    if let IntView::Small(a) = a
        && let Some(result) = a.checked_pow(exponent)
    {
        return Ok(Ref::int(result));
    }
    Ok(Ref::big(a.to_big().pow(exponent)))
}

/// `pow(base, exponent, modulus)`: has the sign of the modulus.
///
/// # Errors
/// `ValueError` if the modulus is zero, or the exponent is negative and the base not invertible.
pub fn modular_power(
    base: IntView<'_>,
    exponent: IntView<'_>,
    modulus: IntView<'_>,
) -> Result<Ref> {
    if modulus.is_zero() {
        return Err(PyError::value("pow() 3rd argument cannot be 0"));
    }
    let (mut base, exponent, modulus) = (base.to_big(), exponent.to_big(), modulus.to_big());
    if exponent.is_negative() {
        let size = modulus.abs();
        let inverse = base
            .modinv(&size)
            .ok_or_else(|| PyError::value("base is not invertible for the given modulus"))?;
        base = Cow::Owned(inverse);
    }
    Ok(Ref::big(base.modpow(&exponent.abs(), &modulus)))
}

/// `a / b`: the nearest float, ties to even.
///
/// # Errors
/// `ZeroDivisionError` if `b` is zero, `OverflowError` if the result would be infinite.
pub fn true_divide(a: IntView<'_>, b: IntView<'_>) -> Result<f64> {
    if b.is_zero() {
        return Err(PyError::zero_division("division by zero"));
    }
    let fits = u64::from(f64::MANTISSA_DIGITS);
    if let (IntView::Small(x), IntView::Small(y)) = (a, b)
        && a.bits() <= fits
        && b.bits() <= fits
    {
        // Both are exact floats, and the division rounds once.
        return Ok(x as f64 / y as f64);
    }
    let magnitude = divide_magnitudes(a.to_big().magnitude(), b.to_big().magnitude());
    if magnitude.is_infinite() {
        return Err(PyError::overflow(
            "integer division result too large for a float",
        ));
    }
    Ok(if a.is_negative() != b.is_negative() {
        -magnitude
    } else {
        magnitude
    })
}

/// The nearest float to `a / b`, which may be infinite. `b` is not zero.
fn divide_magnitudes(a: &BigUint, b: &BigUint) -> f64 {
    if a.is_zero() {
        return 0.0;
    }
    // The quotient of `a` scaled by 2^scale has 63 or 64 bits: enough to round, with one bit for the remainder.
    let scale = 63 - (a.bits() as i64 - b.bits() as i64);
    let (quotient, rest) = if scale >= 0 {
        (a << scale.unsigned_abs()).div_rem(b)
    } else {
        a.div_rem(&(b << scale.unsigned_abs()))
    };
    let quotient = quotient.to_u64().unwrap_or(u64::MAX);
    round_scaled(quotient | u64::from(!rest.is_zero()), -scale)
}

/// The nearest float, ties to even; `None` if that would be infinite.
fn nearest_float(value: &BigUint) -> Option<f64> {
    Some(float::nearest_scaled(value, 0)).filter(|result| result.is_finite())
}

/// `a / b`, where `b` is positive, rounded to the nearest int, ties to even.
pub(crate) fn divide_to_nearest(a: &BigInt, b: &BigInt) -> BigInt {
    let (quotient, rest): (BigInt, BigInt) = a.div_mod_floor(b);
    let round_up = match (rest << 1_u32).cmp(b) {
        Ordering::Less => false,
        Ordering::Equal => quotient.is_odd(),
        Ordering::Greater => true,
    };
    if round_up { quotient + 1 } else { quotient }
}

/// `round(value, digits)`: to the nearest multiple of a power of ten, ties to even.
///
/// # Errors
/// `MemoryError` if the power is too large.
pub(crate) fn round_to(value: IntView<'_>, digits: IntView<'_>) -> Result<Ref> {
    if !digits.is_negative() {
        return Ok(add(value, IntView::Small(0)));
    }
    let count = digits.saturate().unsigned_abs();
    // A power of ten that is more than twice the value leaves nothing of it.
    if count > value.bits() + 1 {
        return Ok(Ref::int(0));
    }
    limits::check_bits(u128::from(count) * 4)?;
    let unit = BigInt::from(10).pow(u32::try_from(count).unwrap_or(u32::MAX));
    Ok(Ref::big(divide_to_nearest(&value.to_big(), &unit) * unit))
}

/// The int part of a float.
///
/// # Errors
/// `ValueError` for a NaN, `OverflowError` for an infinity.
pub fn from_float(value: f64) -> Result<Ref> {
    if value.is_nan() {
        return Err(PyError::value("cannot convert float NaN to integer"));
    }
    match BigInt::from_f64(value) {
        Some(int) => Ok(Ref::big(int)),
        None => Err(PyError::overflow(
            "cannot convert float infinity to integer",
        )),
    }
}

/// The value of an int as a container's index or size.
///
/// # Errors
/// An error of this kind if it does not fit a machine word.
pub(crate) fn to_index(value: IntView<'_>, kind: ErrorKind) -> Result<i64> {
    value
        .to_i64()
        .ok_or_else(|| PyError::new(kind, "cannot fit 'int' into an index-sized integer"))
}

/// How an int's text is limited (`sys.set_int_max_str_digits`).
pub(crate) const MAX_TEXT_DIGITS: usize = 4300;

/// The decimal digits of an int.
///
/// # Errors
/// `ValueError` if there are more than CPython's default limit allows.
pub fn to_text(value: IntView<'_>) -> Result<String> {
    if let IntView::Big(big) = value {
        // A decimal digit holds more than 3.3 bits: far beyond the limit the digits need not be computed.
        let digits = || value.to_string().trim_start_matches('-').len();
        if big.bits() > 4 * MAX_TEXT_DIGITS as u64 || digits() > MAX_TEXT_DIGITS {
            return Err(PyError::value(format!(
                "Exceeds the limit ({MAX_TEXT_DIGITS} digits) for integer string conversion; \
                 use sys.set_int_max_str_digits() to increase the limit"
            )));
        }
    }
    Ok(value.to_string())
}

/// The value of digits in a base of 2..=36 with an optional sign; `None` if there is anything else.
pub(crate) fn from_digits(sign: Sign, digits: &[u8], base: u32) -> Option<Ref> {
    let magnitude = BigUint::parse_bytes(digits, base)?;
    Some(Ref::big(BigInt::from_biguint(sign, magnitude)))
}

/// A length as an int.
pub(crate) fn from_usize(value: usize) -> Ref {
    i64::try_from(value).map_or_else(|_| Ref::big(value.into()), Ref::int)
}
