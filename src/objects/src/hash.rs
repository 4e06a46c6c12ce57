//! Hashes: `hash()` of numbers, strings, tuples and whatever else may be a key.
//!
//! Numbers, tuples and frozen sets hash as in CPython 3.13, so that sets of them iterate in CPython's order. Strings and
//! bytes have a fixed hash of their own: CPython's is random by default. Everything that compares by identity hashes
//! by its address.

use crate::attribute::refuse_hooks;
use crate::error::{PyError, Result};
use crate::int::IntView;
use crate::nesting;
use crate::object::{Kind, Ref, View};
use crate::range::Range;
use crate::set::Set;
use crate::slice::Slice;
use crate::str::{Str, Units};
use num_traits::ToPrimitive;

/// Hashes of numbers are remainders by this Mersenne prime, as `sys.hash_info.modulus` says.
const MODULUS: u64 = (1 << MODULUS_BITS) - 1;
const MODULUS_BITS: u32 = 61;
/// `sys.hash_info.inf`
const INFINITY: i64 = 314_159;
/// `hash(None)`, fixed since CPython 3.12.
const NONE: i64 = 0xfca8_6420;

/// `hash(object)`; equal objects have equal hashes, and none is -1.
///
/// # Errors
/// `TypeError` if the object has none, `RecursionError` if it is nested too deeply.
pub fn hash(object: &Ref) -> Result<i64> {
    match object.view() {
        View::Str(string) => Ok(string.hash()),
        View::Int(value) => Ok(int(value)),
        View::Bool(value) => Ok(i64::from(value)),
        View::Float(value) if value.is_nan() => Ok(address(object)),
        View::Float(value) => Ok(float(value)),
        View::None => Ok(NONE),
        View::Tuple(tuple) => items(tuple.items()),
        View::Slice(slice) => bounds(slice),
        View::Range(range) => self::range(range),
        View::Set(set) if object.kind() == Kind::FrozenSet => Ok(frozen_set(set)),
        View::List(_) | View::Dict(_) | View::Set(_) => Err(unhashable(object)),
        View::DictView(view) if view.is_set_like() => Err(unhashable(object)),
        View::Instance(_) => {
            // A class that only defines `__eq__` has no hash; which it is needs no telling apart here.
            refuse_hooks(&[object], &["__hash__", "__eq__"])?;
            Ok(address(object))
        }
        _ => Ok(address(object)),
    }
}

fn items(items: &[Ref]) -> Result<i64> {
    let _nested = nesting::enter("")?;
    let state = tuple_state(items.iter().map(hash))?;
    Ok(finish_tuple(state, items.len()))
}

fn bounds(slice: &Slice) -> Result<i64> {
    let _nested = nesting::enter("")?;
    let bounds = [slice.start(), slice.stop(), slice.step()];
    let state = tuple_state(bounds.into_iter().map(hash))?;
    Ok(without_error_mark(state, 1_546_275_796))
}

fn range(range: &Range) -> Result<i64> {
    let length = Ref::big(range.len());
    let count = length.as_int().map_or(0, IntView::saturate);
    let start = if count > 0 { int(range.start()) } else { NONE };
    let step = if count > 1 { int(range.step()) } else { NONE };
    let hashes = [hash(&length)?, start, step];
    Ok(finish_tuple(tuple_state(hashes.map(Ok).into_iter())?, 3))
}

fn unhashable(object: &Ref) -> PyError {
    PyError::type_error(format!("unhashable type: '{}'", object.type_name()))
}

/// A hash is never -1, which says in C that there was an error.
fn without_error_mark(hash: u64, instead: i64) -> i64 {
    match hash as i64 {
        -1 => instead,
        hash => hash,
    }
}

fn int(value: IntView<'_>) -> i64 {
    let (remainder, is_negative) = match value {
        IntView::Small(value) => (value.unsigned_abs() % MODULUS, value < 0),
        IntView::Big(value) => {
            let remainder = value.magnitude() % MODULUS;
            (
                remainder.to_u64().unwrap_or(0),
                value.sign() == num_bigint::Sign::Minus,
            )
        }
    };
    signed(remainder, is_negative)
}

/// The hash of a number from the remainder of its magnitude.
fn signed(remainder: u64, is_negative: bool) -> i64 {
    let hash = remainder as i64;
    without_error_mark(if is_negative { -hash } else { hash } as u64, -2)
}

/// The remainder of the fraction that a float is: dividing by two is a rotation of the modulus's bits.
fn float(value: f64) -> i64 {
    if value.is_infinite() {
        return if value > 0.0 { INFINITY } else { -INFINITY };
    }
    const FRACTION_BITS: u32 = f64::MANTISSA_DIGITS - 1;
    let bits = value.to_bits();
    let biased = (bits >> FRACTION_BITS & 0x7ff) as i32;
    let fraction = bits & ((1 << FRACTION_BITS) - 1);
    let (mantissa, biased) = match biased {
        0 => (fraction, 1),
        _ => (fraction | 1 << FRACTION_BITS, biased),
    };
    let exponent = biased - (f64::MAX_EXP - 1) - FRACTION_BITS as i32;
    let shift = exponent.rem_euclid(MODULUS_BITS as i32) as u32;
    let rotated = match shift {
        0 => mantissa,
        _ => (mantissa << shift & MODULUS) | mantissa >> (MODULUS_BITS - shift),
    };
    signed(rotated, value.is_sign_negative())
}

/// The hash of what compares by identity. Addresses are multiples of 8 and mostly of 16.
fn address(object: &Ref) -> i64 {
    let address = object.as_ptr().addr() as u64;
    without_error_mark(address.rotate_right(4), -2)
}

/// The primes of xxHash (Yann Collet), on which CPython's hash of tuples is built since 3.8.
const PRIME_1: u64 = 11_400_714_785_074_694_791;
const PRIME_2: u64 = 14_029_467_366_897_019_727;
const PRIME_5: u64 = 2_870_177_450_012_600_261;

fn tuple_state(hashes: impl Iterator<Item = Result<i64>>) -> Result<u64> {
    let mut state = PRIME_5;
    for hash in hashes {
        state = state.wrapping_add((hash? as u64).wrapping_mul(PRIME_2));
        state = state.rotate_left(31).wrapping_mul(PRIME_1);
    }
    Ok(state)
}

fn finish_tuple(state: u64, length: usize) -> i64 {
    let hash = state.wrapping_add(length as u64 ^ PRIME_5 ^ 3_527_539);
    without_error_mark(hash, 1_546_275_796)
}

/// Independent of the order of the items, whose hashes are mixed and joined by exclusive or.
pub(crate) fn frozen_set(set: &Set) -> i64 {
    let mix = |hash: u64| (hash ^ 89_869_747 ^ (hash << 16)).wrapping_mul(3_644_798_167);
    let items = set.hashes().fold(0, |hash, item| hash ^ mix(item as u64));
    let hash = items ^ (set.len() as u64 + 1).wrapping_mul(1_927_868_237);
    let hash = hash ^ hash >> 11 ^ hash >> 25;
    let hash = hash.wrapping_mul(69_069).wrapping_add(907_133_923);
    without_error_mark(hash, 590_923_713)
}

/// The hash of a string: of its units, which are the same for equal strings.
pub(crate) fn string(string: &Str) -> i64 {
    match string.units() {
        Units::One(units) => bytes(units),
        Units::Two(units) => words(units.iter().map(|&unit| unit.into())),
        Units::Four(units) => words(units.iter().map(|&unit| unit.into())),
    }
}

/// The hash of bytes, read as words of eight.
pub(crate) fn bytes(bytes: &[u8]) -> i64 {
    let (chunks, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let tail = (!rest.is_empty()).then(|| u64::from_le_bytes(last));
    let words = chunks.iter().map(|&chunk| u64::from_le_bytes(chunk));
    finish(mix(words.chain(tail)), bytes.len())
}

fn words(values: impl ExactSizeIterator<Item = u64>) -> i64 {
    let length = values.len();
    finish(mix(values), length)
}

/// Multiplies each word in and folds the product's halves, as wyhash (Wang Yi) does.
fn mix(words: impl Iterator<Item = u64>) -> u64 {
    words.fold(PRIME_5, |state, word| fold(state ^ word, PRIME_1))
}

fn finish(state: u64, length: usize) -> i64 {
    without_error_mark(fold(state ^ length as u64, PRIME_2), -2)
}

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}
