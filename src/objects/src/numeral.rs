//! Numerals: floats as text, and ints and floats read from text.

use crate::error::{PyError, Result};
use crate::format;
use crate::int::{self, MAX_TEXT_DIGITS};
use crate::object::Ref;
use crate::str::Str;
use num_bigint::Sign;

/// `repr(value)`: the shortest digits that read back as the same float, with an exponent if that of the first digit
/// is below -4 or above 15.
pub fn float_text(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    let sign = if value.is_sign_negative() { "-" } else { "" };
    if value.is_infinite() {
        return format!("{sign}inf");
    }
    let (digits, exponent) = shortest_digits(value.abs());
    let body = match exponent {
        -4..=-1 => format!(
            "0.{}{digits}",
            "0".repeat(exponent.unsigned_abs() as usize - 1)
        ),
        0..=15 => {
            let whole = exponent as usize + 1;
            match digits.split_at_checked(whole) {
                Some((whole, fraction)) if !fraction.is_empty() => format!("{whole}.{fraction}"),
                _ => format!("{digits:0<whole$}.0"),
            }
        }
        _ => {
            let (first, rest) = digits.split_at(1);
            let point = if rest.is_empty() { "" } else { "." };
            let exponent_sign = if exponent < 0 { '-' } else { '+' };
            format!(
                "{first}{point}{rest}e{exponent_sign}{:02}",
                exponent.unsigned_abs()
            )
        }
    };
    format!("{sign}{body}")
}

/// The shortest decimal digits of a finite float, which is not negative, and the exponent of the first one.
fn shortest_digits(value: f64) -> (String, i32) {
    let mut buffer = ryu::Buffer::new();
    let text = buffer.format_finite(value);
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let leading_zeros = all.len() - all.trim_start_matches('0').len();
    let digits = all.trim_matches('0');
    if digits.is_empty() {
        return ("0".to_owned(), 0);
    }
    let exponent: i32 = exponent.parse().unwrap_or(0);
    (
        digits.to_owned(),
        exponent + whole.len() as i32 - 1 - leading_zeros as i32,
    )
}

/// `float(text)`
///
/// # Errors
/// `ValueError` if the text is not a float's, `NotSupported` if it has digits beyond ASCII.
pub fn parse_float(text: &Str) -> Result<f64> {
    let invalid = || {
        let literal = format::str_repr(text);
        PyError::value(format!("could not convert string to float: {literal}"))
    };
    let plain = ascii_text(text)?.ok_or_else(invalid)?;
    let plain = plain.trim_matches(is_space);
    let number = without_underscores(plain, 10).ok_or_else(invalid)?;
    number.parse().map_err(|_| invalid())
}

/// `int(text, base)`
///
/// # Errors
/// `ValueError` if the base is neither 0 nor 2..=36, or the text is not an int's in it; `NotSupported` if it has
/// digits beyond ASCII.
pub fn parse_int(text: &Str, base: i64) -> Result<Ref> {
    check_base(base)?;
    let invalid = || {
        let literal = format::str_repr(text);
        PyError::value(format!(
            "invalid literal for int() with base {base}: {literal}"
        ))
    };
    let plain = ascii_text(text)?.ok_or_else(invalid)?;
    let plain = plain.trim_matches(is_space);
    let (sign, plain) = match plain.strip_prefix('-') {
        Some(rest) => (Sign::Minus, rest),
        None => (Sign::Plus, plain.strip_prefix('+').unwrap_or(plain)),
    };
    let (radix, digits) = split_prefix(plain, base).ok_or_else(invalid)?;
    let digits = without_underscores(digits, radix).ok_or_else(invalid)?;
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return Err(invalid());
    }
    if !radix.is_power_of_two() && digits.len() > MAX_TEXT_DIGITS {
        return Err(PyError::value(format!(
            "Exceeds the limit ({MAX_TEXT_DIGITS} digits) for integer string conversion: value has {} digits; \
             use sys.set_int_max_str_digits() to increase the limit",
            digits.len()
        )));
    }
    int::from_digits(sign, digits.as_bytes(), radix).ok_or_else(invalid)
}

/// Checks the base of [`parse_int`].
///
/// # Errors
/// `ValueError` if it is neither 0 nor 2..=36.
pub(crate) fn check_base(base: i64) -> Result<()> {
    match base {
        0 | 2..=36 => Ok(()),
        _ => Err(PyError::value("int() base must be >= 2 and <= 36, or 0")),
    }
}

/// The radix and the digits behind the prefix that the base demands or allows. `None` for a decimal number with a
/// leading zero, which base 0 rejects as a program does.
fn split_prefix(text: &str, base: i64) -> Option<(u32, &str)> {
    const PREFIXES: [(&str, u32); 3] = [("0b", 2), ("0o", 8), ("0x", 16)];
    for (prefix, radix) in PREFIXES {
        let (Some(start), Some(digits)) = (text.get(..2), text.get(2..)) else {
            break;
        };
        if (base == 0 || base == i64::from(radix)) && start.eq_ignore_ascii_case(prefix) {
            // One underscore may stand behind the prefix.
            return Some((radix, digits.strip_prefix('_').unwrap_or(digits)));
        }
    }
    if base != 0 {
        return Some((u32::try_from(base).ok()?, text));
    }
    let has_leading_zero = text.starts_with('0') && text.contains(|c| !matches!(c, '0' | '_'));
    (!has_leading_zero).then_some((10, text))
}

/// The text with digit separators removed; `None` if one does not stand between two digits.
fn without_underscores(text: &str, radix: u32) -> Option<String> {
    let bytes = text.as_bytes();
    let is_digit = |index: usize| {
        bytes
            .get(index)
            .is_some_and(|&b| char::from(b).is_digit(radix))
    };
    let mut underscores = (0..bytes.len()).filter(|&index| bytes[index] == b'_');
    underscores
        .all(|index| index > 0 && is_digit(index - 1) && is_digit(index + 1))
        .then(|| text.replace('_', ""))
}

/// The text with other spaces made ASCII ones; `None` if other characters are left.
fn ascii_text(text: &Str) -> Result<Option<String>> {
    if let Some(text) = text.as_ascii() {
        return Ok(Some(text.to_owned()));
    }
    let mut plain = String::new();
    for code_point in text.code_points() {
        match char::from_u32(code_point) {
            Some(c) if c.is_ascii() => plain.push(c),
            Some(c) if c.is_whitespace() => plain.push(' '),
            Some(c) if c.is_numeric() => {
                return Err(PyError::not_supported("a number in digits beyond ASCII"));
            }
            _ => return Ok(None),
        }
    }
    Ok(Some(plain))
}

/// The spaces of the C locale.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t'..='\r')
}
