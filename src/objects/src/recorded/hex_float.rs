//! Floats as recorded traces write them: Python's `float.hex()`, which is C's hexadecimal notation. Every `f64` has such a
//! text, and reading it never rounds: a text that no `f64` equals is not a float.

/// Bits of an `f64`'s significand, the leading one included.
const SIGNIFICAND_BITS: i64 = 53;
/// Exponent of the smallest subnormal.
const MIN_EXPONENT: i64 = -1074;
/// Exponent of the leading bit of the largest finite value.
const MAX_EXPONENT: i64 = 1023;
/// Bits of the significand that are stored.
const STORED_BITS: u32 = 52;
/// Exponent texts longer than this are out of range whatever the digits before them, in any text that fits in memory.
const EXPONENT_DIGITS: usize = 15;

/// The `f64` that `text` denotes exactly: `inf`, `nan` or `0xH.HHHp+D`, each with an optional `-`.
///
/// `None` where the text is neither, or where its value would have to be rounded. `nan` is Rust's [`f64::NAN`]: the text
/// carries neither sign nor payload.
pub(super) fn parse(text: &str) -> Option<f64> {
    let (negative, magnitude) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let value = match magnitude {
        "inf" => f64::INFINITY,
        "nan" => f64::NAN,
        _ => finite(magnitude)?,
    };
    Some(if negative { -value } else { value })
}

/// The value of an unsigned `0xH.HHHp+D`.
fn finite(text: &str) -> Option<f64> {
    let (digits, exponent) = text.strip_prefix("0x")?.split_once('p')?;
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() || (fraction.is_empty() && digits.contains('.')) {
        return None;
    }
    let (significand, dropped) = significand(whole, fraction)?;
    let fraction_bits = i64::try_from(fraction.len()).ok()?.checked_mul(4)?;
    let exponent = decimal_exponent(exponent)?
        .checked_add(dropped)?
        .checked_sub(fraction_bits)?;
    compose(significand, exponent)
}

/// The digits as an odd integer (or zero), and how many zero bits behind it were dropped.
fn significand(whole: &str, fraction: &str) -> Option<(u64, i64)> {
    let mut value = 0u64;
    // Zero bits seen since the last one bit: they count only when another one bit follows.
    let mut pending = 0i64;
    for digit in whole.chars().chain(fraction.chars()) {
        let digit = u64::from(digit.to_digit(16)?);
        if digit == 0 {
            pending += 4;
            continue;
        }
        let trailing = i64::from(digit.trailing_zeros());
        value = shift_in(value, pending + 4 - trailing, digit >> trailing)?;
        pending = trailing;
    }
    Some((value, pending))
}

/// `value << shift | low`, or `None` where one bits would be lost.
fn shift_in(value: u64, shift: i64, low: u64) -> Option<u64> {
    if value == 0 {
        return Some(low);
    }
    (i64::from(value.leading_zeros()) >= shift).then(|| (value << shift) | low)
}

/// The signed decimal behind the `p`.
fn decimal_exponent(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.is_empty()
        || digits.len() > EXPONENT_DIGITS
        || !digits.bytes().all(|b| b.is_ascii_digit())
    {
        return None;
    }
    let value: i64 = digits.parse().ok()?;
    Some(if negative { -value } else { value })
}

/// `significand * 2^exponent` for an odd significand or zero, or `None` where that is not an `f64`.
fn compose(significand: u64, exponent: i64) -> Option<f64> {
    if significand == 0 {
        return Some(0.0);
    }
    let width = i64::from(u64::BITS - significand.leading_zeros());
    let leading = exponent.checked_add(width - 1)?;
    if width > SIGNIFICAND_BITS || exponent < MIN_EXPONENT || leading > MAX_EXPONENT {
        return None;
    }
    let min_normal = MIN_EXPONENT + i64::from(STORED_BITS);
    let bits = if leading < min_normal {
        significand << (exponent - MIN_EXPONENT)
    } else {
        let stored = (significand << (SIGNIFICAND_BITS - width)) & ((1 << STORED_BITS) - 1);
        // The biased exponent of the smallest normal is 1.
        let biased = u64::try_from(leading - min_normal + 1).ok()?;
        (biased << STORED_BITS) | stored
    };
    Some(f64::from_bits(bits))
}

/// Python's `float.hex()`, but that a negative `nan` keeps its sign: a text that [`parse`] makes the same value of.
pub(super) fn format(value: f64) -> String {
    let sign = if value.is_sign_negative() { "-" } else { "" };
    if value.is_nan() {
        return format!("{sign}nan");
    }
    if value.is_infinite() {
        return format!("{sign}inf");
    }
    let bits = value.to_bits();
    let stored = bits & ((1 << STORED_BITS) - 1);
    let biased = (bits >> STORED_BITS) & 0x7ff;
    // The first digit is the leading bit, so that the stored bits are whole digits.
    let smallest = MIN_EXPONENT + i64::from(STORED_BITS);
    match (biased, stored) {
        (0, 0) => format!("{sign}0x0.0p+0"),
        (0, _) => format!("{sign}0x0.{stored:013x}p{smallest:+}"),
        _ => {
            let exponent = smallest - 1 + biased.cast_signed();
            format!("{sign}0x1.{stored:013x}p{exponent:+}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{format, parse};
    use crate::recorded::fixtures::Numbers;

    #[test]
    fn exact_texts() {
        for (text, bits) in [
            ("0x0.0p+0", 0),
            ("-0x0.0p+0", 1 << 63),
            ("0x1.0000000000000p+0", 1.0f64.to_bits()),
            ("0x1.999999999999ap-4", 0.1f64.to_bits()),
            ("-0x1.8000000000000p+1", (-3.0f64).to_bits()),
            ("0x1.fffffffffffffp+1023", f64::MAX.to_bits()),
            ("0x1.0000000000000p-1022", f64::MIN_POSITIVE.to_bits()),
            ("0x0.fffffffffffffp-1022", f64::MIN_POSITIVE.to_bits() - 1),
            ("0x0.0000000000001p-1022", 1),
            ("0x1p-1074", 1),
            ("0x10p-4", 1.0f64.to_bits()),
            ("0x0.00008p+17", 1.0f64.to_bits()),
            (
                "0x1.00000000000000000000000000000000000p+0",
                1.0f64.to_bits(),
            ),
            ("0x0p+99999", 0),
            ("0xAp0", 10.0f64.to_bits()),
            ("inf", f64::INFINITY.to_bits()),
            ("-inf", f64::NEG_INFINITY.to_bits()),
        ] {
            assert_eq!(parse(text).map(f64::to_bits), Some(bits), "{text}");
        }
        assert!(parse("nan").unwrap().is_nan());
    }

    #[test]
    fn every_float_comes_back() {
        let mut numbers = Numbers(0x1234_5678_9abc_def1);
        let special = [
            0,
            1,
            2,
            (1 << 52) - 1,
            1 << 52,
            (1 << 52) + 1,
            f64::MAX.to_bits(),
            f64::INFINITY.to_bits(),
        ];
        let random: Vec<u64> = (0..50_000).map(|_| numbers.next()).collect();
        // Few exponents are small or few bits are set in random numbers: make some of each.
        let subnormal = random.iter().map(|bits| bits & !(0x7ff << 52));
        let sparse = random
            .iter()
            .zip(random.iter().rev())
            .map(|(a, b)| a & b & (a >> 3));
        for bits in special
            .into_iter()
            .chain(random.iter().copied())
            .chain(subnormal)
            .chain(sparse)
        {
            let value = f64::from_bits(bits);
            let text = format(value);
            let parsed = parse(&text).unwrap_or_else(|| panic!("{text}"));
            assert!(
                parsed.to_bits() == bits || value.is_nan() && parsed.is_nan(),
                "{text}: {bits:#x}"
            );
        }
    }

    #[test]
    fn not_floats() {
        for text in [
            "",
            "-",
            "1.5",
            "0x",
            "0x1",
            "0x1.8",
            "0x.p+0",
            "0x1.p+0",
            "0x.8p+0",
            "0x1p",
            "0x1p+",
            "0x1p+-1",
            "--0x1p+0",
            "0x1.gp+0",
            "0x1p1.0",
            " 0x1p+0",
            "0x1p+0 ",
            "+0x1p+0",
            "NaN",
            "infinity",
            "0x1.é p+0",
            "0x1p+99999999999999999999",
            // Rounding would be needed: one bit too many, one below the smallest, one above the largest.
            "0x1.00000000000008p+0",
            "0x1p-1075",
            "0x1.8p-1074",
            "0x1p+1024",
            "0x0.00000000000008p-1022",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
