//! Floats, their arithmetic, and the rounding of exact numbers to them.

use crate::error::{ErrorKind, PyError, Result};
use crate::heap;
use crate::int::{self, IntView};
use crate::object::{Header, Kind, Ref};
use num_bigint::{BigInt, BigUint};
use num_traits::ToPrimitive;

/// A float.
#[repr(C)]
pub(crate) struct Float {
    header: Header,
    pub(crate) value: f64,
}

impl Float {
    pub(crate) fn value(&self) -> f64 {
        self.value
    }
}

impl Ref {
    /// A float.
    pub fn float(value: f64) -> Self {
        heap::allocate(Float {
            header: Header::new(Kind::Float, 0),
            value,
        })
    }
}

/// `a / b`
///
/// # Errors
/// `ZeroDivisionError` if `b` is zero.
pub fn divide(a: f64, b: f64) -> Result<f64> {
    if b == 0.0 {
        return Err(PyError::zero_division("float division by zero"));
    }
    Ok(a / b)
}

/// `a // b`: the largest whole float not above the quotient.
///
/// # Errors
/// `ZeroDivisionError` if `b` is zero.
pub fn floor_divide(a: f64, b: f64) -> Result<f64> {
    if b == 0.0 {
        return Err(PyError::zero_division("float floor division by zero"));
    }
    Ok(floor_and_remainder(a, b).0)
}

/// `a % b`: has the sign of `b`.
///
/// # Errors
/// `ZeroDivisionError` if `b` is zero.
pub fn remainder(a: f64, b: f64) -> Result<f64> {
    if b == 0.0 {
        return Err(PyError::zero_division("float modulo by zero"));
    }
    Ok(floor_and_remainder(a, b).1)
}

/// `divmod(a, b)`
///
/// # Errors
/// `ZeroDivisionError` if `b` is zero.
pub fn divide_with_remainder(a: f64, b: f64) -> Result<(f64, f64)> {
    if b == 0.0 {
        return Err(PyError::zero_division("float divmod()"));
    }
    Ok(floor_and_remainder(a, b))
}

/// The floor of the quotient and the remainder; `b` is not zero.
///
/// The remainder is that of C's `fmod`, which is exact, moved to the sign of `b`. The quotient follows from it, so
/// that both fit together even where `a / b` rounds across a whole number.
fn floor_and_remainder(a: f64, b: f64) -> (f64, f64) {
    let truncated = a % b;
    let mut quotient = (a - truncated) / b;
    let remainder = if truncated == 0.0 {
        0.0_f64.copysign(b)
    } else if (truncated < 0.0) != (b < 0.0) {
        quotient -= 1.0;
        truncated + b
    } else {
        truncated
    };
    if quotient == 0.0 {
        return (0.0_f64.copysign(a / b), remainder);
    }
    // The quotient is a whole number but for the rounding of its computation.
    let floor = quotient.floor();
    (
        if quotient - floor > 0.5 {
            floor + 1.0
        } else {
            floor
        },
        remainder,
    )
}

/// `a ** b`
///
/// # Errors
/// `ZeroDivisionError` for zero to a negative power, `OverflowError` if the result would be infinite though the
/// operands are not, `NotSupported` where the result is a complex number.
pub fn power(a: f64, b: f64) -> Result<f64> {
    if a == 0.0 && b < 0.0 && b.is_finite() {
        return Err(PyError::zero_division(
            "0.0 cannot be raised to a negative power",
        ));
    }
    if a < 0.0 && a.is_finite() && b.is_finite() && b != b.floor() {
        return Err(PyError::not_supported(
            "a complex number, the result of **,",
        ));
    }
    // IEEE 754's pow, which C's is, has Python's results for all special operands.
    let result = a.powf(b);
    if result.is_infinite() && a.is_finite() && b.is_finite() {
        return Err(PyError::new(
            ErrorKind::OverflowError,
            "(34, 'Numerical result out of range')",
        ));
    }
    Ok(result)
}

/// The float nearest to `mantissa * 2**exponent`, ties to even, infinite where the range ends.
///
/// A mantissa whose highest bit is bit 54 or above may stand for a number a little larger than itself if its lowest
/// bit is set ("sticky"): the result is that number's.
pub(crate) fn round_scaled(mantissa: u64, exponent: i64) -> f64 {
    const PRECISION: i64 = f64::MANTISSA_DIGITS as i64;
    /// The exponent of the smallest subnormal.
    const SMALLEST: i64 = f64::MIN_EXP as i64 - PRECISION;
    let bits = i64::from(64 - mantissa.leading_zeros());
    let dropped = (bits - PRECISION).max(SMALLEST - exponent).max(0);
    if dropped > 64 {
        return 0.0;
    }
    let wide = u128::from(mantissa);
    let rest = wide & ((1 << dropped) - 1);
    let half = (1 << dropped) >> 1;
    let kept = (wide >> dropped) as u64;
    let round_up = dropped > 0 && (rest > half || rest == half && kept & 1 == 1);
    let kept = kept + u64::from(round_up);
    scale(kept as f64, exponent + dropped)
}

/// `value * 2**exponent`, where the result is exact or infinite. `value` is at most 2**53.
fn scale(value: f64, exponent: i64) -> f64 {
    const BIAS: i64 = f64::MAX_EXP as i64 - 1;
    const FRACTION_BITS: u32 = f64::MANTISSA_DIGITS - 1;
    match exponent {
        _ if value == 0.0 => value,
        _ if exponent > BIAS => f64::INFINITY,
        // A power of two of its own, subnormal ones included; below `SMALLEST` only zero gets here.
        _ if exponent > -BIAS => {
            value * f64::from_bits(((exponent + BIAS) as u64) << FRACTION_BITS)
        }
        _ => value * f64::from_bits(1 << (exponent + BIAS + i64::from(FRACTION_BITS) - 1)),
    }
}

/// Whether a float is below zero.
pub(crate) fn is_negative(value: f64) -> bool {
    value < 0.0
}

/// A finite float as mantissa and exponent of two, of which the mantissa has the sign.
fn decompose(value: f64) -> (i64, i64) {
    const FRACTION_BITS: u32 = f64::MANTISSA_DIGITS - 1;
    let bits = value.to_bits();
    let fraction = (bits & ((1 << FRACTION_BITS) - 1)) as i64;
    let biased = ((bits >> FRACTION_BITS) & 0x7ff) as i64;
    let (mantissa, exponent) = match biased {
        0 => (fraction, -1074),
        _ => (fraction | 1 << FRACTION_BITS, biased - 1075),
    };
    (if value < 0.0 { -mantissa } else { mantissa }, exponent)
}

/// A finite float as a fraction in lowest terms.
pub(crate) fn ratio(value: f64) -> (BigInt, BigInt) {
    let (mantissa, exponent) = decompose(value);
    if mantissa == 0 {
        return (BigInt::ZERO, 1.into());
    }
    let zeros = i64::from(mantissa.trailing_zeros());
    let (mantissa, exponent) = (BigInt::from(mantissa >> zeros), exponent + zeros);
    match usize::try_from(exponent) {
        Ok(exponent) => (mantissa << exponent, 1.into()),
        Err(_) => (mantissa, BigInt::from(1) << exponent.unsigned_abs()),
    }
}

/// `round(value, digits)`: to the nearest decimal with so many digits behind the point, ties to even.
///
/// # Errors
/// `OverflowError` if the result is too large for a float.
pub(crate) fn round_to(value: f64, digits: i64) -> Result<f64> {
    /// More digits than this change no float, and fewer than so many before the point leave nothing of it.
    const MOST: i64 = 323;
    const LEAST: i64 = -308;
    if !value.is_finite() || value == 0.0 || digits > MOST {
        return Ok(value);
    }
    if digits < LEAST {
        return Ok(0.0 * value);
    }
    let rounded = if let Ok(decimals) = usize::try_from(digits) {
        format!("{value:.decimals$}").parse().unwrap_or(value)
    } else {
        let (numerator, denominator) = ratio(value.abs());
        let unit = BigInt::from(10).pow(digits.unsigned_abs() as u32);
        let multiple = int::divide_to_nearest(&numerator, &(denominator * &unit)) * unit;
        IntView::of(&multiple)
            .to_f64()
            .unwrap_or(f64::INFINITY)
            .copysign(value)
    };
    if rounded.is_infinite() {
        return Err(PyError::overflow("rounded value too large to represent"));
    }
    Ok(rounded)
}

/// The float nearest to `mantissa * 2**exponent`, ties to even, infinite where the range ends.
pub(crate) fn nearest_scaled(mantissa: &BigUint, exponent: i64) -> f64 {
    let dropped = mantissa.bits().saturating_sub(64);
    let top = (mantissa >> dropped).to_u64().unwrap_or(u64::MAX);
    let is_inexact = mantissa
        .trailing_zeros()
        .is_some_and(|zeros| zeros < dropped);
    round_scaled(top | u64::from(is_inexact), exponent + dropped as i64)
}

/// `value.hex()`
pub(crate) fn hex(value: f64) -> String {
    if !value.is_finite() {
        return crate::numeral::float_text(value);
    }
    let sign = if value.is_sign_negative() { "-" } else { "" };
    if value == 0.0 {
        return format!("{sign}0x0.0p+0");
    }
    let bits = value.to_bits();
    let fraction = bits & ((1 << 52) - 1);
    let (whole, exponent) = match (bits >> 52) & 0x7ff {
        0 => (0, -1022),
        biased => (1, biased as i64 - 1023),
    };
    format!("{sign}0x{whole}.{fraction:013x}p{exponent:+}")
}

/// `float.fromhex(text)`
///
/// # Errors
/// `ValueError` if the text is no such number, `OverflowError` if it is too large.
pub(crate) fn from_hex(text: &str) -> Result<f64> {
    let invalid = || PyError::value("invalid hexadecimal floating-point string");
    let too_large = || PyError::overflow("hexadecimal value too large to represent as a float");
    let text = text.trim_matches(|c: char| matches!(c, ' ' | '\t'..='\r'));
    let (is_negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = text.to_ascii_lowercase();
    let with_sign = |value: f64| Ok(if is_negative { -value } else { value });
    match lower.as_str() {
        "inf" | "infinity" => return with_sign(f64::INFINITY),
        "nan" => return with_sign(f64::NAN),
        _ => {}
    }
    let digits = lower.strip_prefix("0x").unwrap_or(&lower);
    let (digits, exponent) = digits.split_once('p').unwrap_or((digits, "0"));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{whole}{fraction}");
    let is_exponent = |text: &str| {
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
    };
    if all.is_empty() || !all.bytes().all(|b| b.is_ascii_hexdigit()) || !is_exponent(exponent) {
        return Err(invalid());
    }
    let mantissa = BigUint::parse_bytes(all.as_bytes(), 16).ok_or_else(invalid)?;
    if mantissa == BigUint::ZERO {
        return with_sign(0.0);
    }
    /// Exponents beyond this are as good as it, whatever the digits.
    const FAR: i64 = 1 << 40;
    let exponent: i64 = match exponent.parse::<i64>() {
        Ok(exponent) => exponent.clamp(-FAR, FAR),
        Err(_) if exponent.starts_with('-') => -FAR,
        Err(_) => FAR,
    };
    let exponent = exponent - 4 * fraction.len() as i64;
    let value = nearest_scaled(&mantissa, exponent);
    if value.is_infinite() {
        return Err(too_large());
    }
    with_sign(value)
}

/// A sum of floats that keeps apart what each addition rounds away (A. Neumaier, "Rundungsfehleranalyse einiger
/// Verfahren zur Summation endlicher Summen", 1974), as `sum()` does.
pub(crate) struct CompensatedSum {
    sum: f64,
    lost: f64,
}

impl CompensatedSum {
    pub(crate) fn new(start: f64) -> Self {
        Self {
            sum: start,
            lost: 0.0,
        }
    }

    /// Adds a float.
    pub(crate) fn add(&mut self, value: f64) {
        let sum = self.sum + value;
        let (larger, smaller) = if self.sum.abs() >= value.abs() {
            (self.sum, value)
        } else {
            (value, self.sum)
        };
        self.lost += (larger - sum) + smaller;
        self.sum = sum;
    }

    /// Adds the value of an int, without compensation.
    pub(crate) fn add_exactly(&mut self, value: f64) {
        self.sum += value;
    }

    /// The sum, to which an infinite loss adds nothing.
    pub(crate) fn value(&self) -> f64 {
        if self.lost != 0.0 && self.lost.is_finite() {
            self.sum + self.lost
        } else {
            self.sum
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_to_the_nearest_float() {
        let rows = [
            (0, 0, 0.0),
            (1, 0, 1.0),
            (3, -1, 1.5),
            // Ties at bit 53 go to the even neighbour.
            ((1 << 53) + 1, 0, 9007199254740992.0),
            ((1 << 53) + 3, 0, 9007199254740996.0),
            // The sticky bit breaks a tie.
            ((1 << 63) | (1 << 10), 0, 9223372036854775808.0),
            ((1 << 63) | (1 << 10) | 1, 0, 9223372036854777856.0),
            (u64::MAX, 0, 18446744073709551616.0),
            // Subnormals have fewer bits.
            (1, -1074, 5e-324),
            (1, -1075, 0.0),
            (3, -1075, 1e-323),
            (1 << 63, -1137, 5e-324),
            ((1 << 63) | 1, -1138, 5e-324),
            (1 << 63, -1138, 0.0),
            (1 << 63, -1139, 0.0),
            // The range ends half a step above the largest float.
            ((1 << 53) - 1, 971, f64::MAX),
            ((1 << 54) - 1, 970, f64::INFINITY),
            ((1 << 55) - 3, 969, f64::MAX),
            (1, 1023, 2f64.powi(1023)),
            (1, 1024, f64::INFINITY),
        ];
        for (mantissa, exponent, expected) in rows {
            let rounded = round_scaled(mantissa, exponent);
            assert_eq!(
                rounded.to_bits(),
                expected.to_bits(),
                "{mantissa} * 2**{exponent}"
            );
        }
    }

    #[test]
    fn an_overflowed_sum_stays_infinite() {
        let mut sum = CompensatedSum::new(f64::MAX);
        sum.add(f64::MAX);
        assert_eq!(sum.value(), f64::INFINITY);
        assert!(CompensatedSum::new(-0.0).value().is_sign_negative());
    }
}
