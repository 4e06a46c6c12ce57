//! The methods of ints and floats.

use super::{MethodEntry, at_most, size_argument};
use crate::bytes::Bytes;
use crate::call::CallKind::{FastWithKeywords, NoArguments, One};
use crate::error::{PyError, Result};
use crate::float;
use crate::int::{self, IntView};
use crate::iterator;
use crate::limits;
use crate::object::{Ref, View};
use num_bigint::{BigInt, Sign};
use num_traits::Signed;

macro_rules! method {
    ($name:literal, $kind:expr, $call:expr) => {
        MethodEntry {
            name: $name,
            kind: $kind,
            call: $call,
        }
    };
}

pub(super) const INT_METHODS: &[MethodEntry] = &[
    method!("as_integer_ratio", NoArguments, |value, _| {
        Ok(Ref::tuple(vec![plain(value)?, Ref::int(1)]))
    }),
    method!("bit_count", NoArguments, |value, _| {
        let ones = |digit: u64| u64::from(digit.count_ones());
        let magnitude = this_int(value)?.to_big();
        let count: u64 = magnitude.magnitude().iter_u64_digits().map(ones).sum();
        Ok(int::from_usize(count as usize))
    }),
    method!("bit_length", NoArguments, |value, _| {
        Ok(int::from_usize(this_int(value)?.bits() as usize))
    }),
    method!("conjugate", NoArguments, |value, _| plain(value)),
    method!("is_integer", NoArguments, |_, _| Ok(Ref::bool(true))),
    method!("to_bytes", FastWithKeywords, to_bytes),
];

pub(super) const INT_CLASS_METHODS: &[MethodEntry] =
    &[method!("from_bytes", FastWithKeywords, from_bytes)];

pub(super) const FLOAT_METHODS: &[MethodEntry] = &[
    method!("as_integer_ratio", NoArguments, |value, _| {
        let value = this_float(value)?;
        if value.is_nan() {
            return Err(PyError::value("cannot convert NaN to integer ratio"));
        }
        if value.is_infinite() {
            return Err(PyError::overflow(
                "cannot convert Infinity to integer ratio",
            ));
        }
        let (numerator, denominator) = float::ratio(value);
        Ok(Ref::tuple(vec![Ref::big(numerator), Ref::big(denominator)]))
    }),
    method!("conjugate", NoArguments, |value, _| Ok(value.clone())),
    method!("hex", NoArguments, |value, _| {
        Ok(Ref::str(&float::hex(this_float(value)?)))
    }),
    method!("is_integer", NoArguments, |value, _| {
        let value = this_float(value)?;
        Ok(Ref::bool(value.is_finite() && value == value.floor()))
    }),
];

pub(super) const FLOAT_CLASS_METHODS: &[MethodEntry] =
    &[method!("fromhex", One, |_, arguments| {
        let View::Str(text) = arguments[0].view() else {
            return Err(PyError::type_error(
                "bad argument type for built-in operation",
            ));
        };
        float::from_hex(&text.to_string()).map(Ref::float)
    })];

fn this_int(receiver: &Ref) -> Result<IntView<'_>> {
    receiver
        .as_int()
        .ok_or_else(|| PyError::type_error("the method of an int needs an int"))
}

fn this_float(receiver: &Ref) -> Result<f64> {
    match receiver.view() {
        View::Float(value) => Ok(value),
        _ => Err(PyError::type_error("the method of a float needs a float")),
    }
}

/// The int itself, or the int that a bool is.
fn plain(receiver: &Ref) -> Result<Ref> {
    match receiver.view() {
        View::Int(_) => Ok(receiver.clone()),
        _ => Ok(int::add(this_int(receiver)?, IntView::Small(0))),
    }
}

/// Whether the most significant byte comes first.
fn is_big_endian(name: &str, order: Option<&Ref>) -> Result<bool> {
    let Some(order) = order else {
        return Ok(true);
    };
    let View::Str(text) = order.view() else {
        return Err(super::wrong_argument(name, "'byteorder'", "str", order));
    };
    match text.as_ascii() {
        Some("big") => Ok(true),
        Some("little") => Ok(false),
        _ => Err(PyError::value("byteorder must be either 'little' or 'big'")),
    }
}

fn at_most_positional(name: &str, arguments: &[Ref]) -> Result<()> {
    at_most(name, 3, arguments)?;
    at_most(name, 2, arguments).map_err(|_| {
        PyError::type_error(format!(
            "{name}() takes at most 2 positional arguments ({} given)",
            arguments.len()
        ))
    })
}

/// The bytes of an int that is not negative; `signed` can only be a keyword.
fn to_bytes(value: &Ref, arguments: &[Ref]) -> Result<Ref> {
    at_most_positional("to_bytes", arguments)?;
    let length = arguments.first().map_or(Ok(1), size_argument)?;
    let big_endian = is_big_endian("to_bytes", arguments.get(1))?;
    let Ok(length) = usize::try_from(length) else {
        return Err(PyError::value("length argument must be non-negative"));
    };
    let value = this_int(value)?;
    if value.is_negative() {
        return Err(PyError::overflow("can't convert negative int to unsigned"));
    }
    let value = value.to_big();
    if value.bits().div_ceil(8) > length as u64 {
        return Err(PyError::overflow("int too big to convert"));
    }
    limits::check_items(length)?;
    let mut bytes = value.magnitude().to_bytes_le();
    bytes.resize(length, 0);
    if big_endian {
        bytes.reverse();
    }
    Ok(Bytes::object(bytes))
}

fn from_bytes(_: &Ref, arguments: &[Ref]) -> Result<Ref> {
    at_most_positional("from_bytes", arguments)?;
    let Some(source) = arguments.first() else {
        return Err(PyError::type_error(
            "from_bytes() missing required argument 'bytes' (pos 1)",
        ));
    };
    let big_endian = is_big_endian("from_bytes", arguments.get(1))?;
    let data = match source.view() {
        View::Bytes(bytes) => bytes.data().to_vec(),
        View::Str(_) | View::Int(_) | View::Bool(_) | View::Float(_) | View::None => {
            return Err(cannot_convert(source));
        }
        _ => bytes_of_items(source)?,
    };
    let value = if big_endian {
        BigInt::from_bytes_be(Sign::Plus, &data)
    } else {
        BigInt::from_bytes_le(Sign::Plus, &data)
    };
    debug_assert!(!value.is_negative());
    Ok(Ref::big(value))
}

fn cannot_convert(source: &Ref) -> PyError {
    PyError::type_error(format!(
        "cannot convert '{}' object to bytes",
        source.type_name()
    ))
}

/// The bytes that an iterable of ints gives.
pub(crate) fn bytes_of_items(source: &Ref) -> Result<Vec<u8>> {
    iterator::iterate(source).map_err(|error| error.instead(|| cannot_convert(source)))?;
    let byte = |item: Result<Ref>| {
        let item = item?;
        let value = item
            .as_int()
            .ok_or_else(|| crate::call::wrong_index(&item))?;
        u8::try_from(value.saturate()).map_err(|_| PyError::value("bytes must be in range(0, 256)"))
    };
    limits::collect(iterator::items(source)?.map(byte))
}
