//! The methods of ranges and slices.

use super::MethodEntry;
use crate::call::CallKind::One;
use crate::call::wrong_index;
use crate::error::{PyError, Result};
use crate::format;
use crate::object::{Ref, View};
use crate::range::Range;
use crate::sequence;
use num_integer::Integer;

pub(super) const METHODS: &[MethodEntry] = &[
    MethodEntry {
        name: "count",
        kind: One,
        call: |range, arguments| Ok(Ref::int(sequence::contains(range, &arguments[0])?.into())),
    },
    MethodEntry {
        name: "index",
        kind: One,
        call: |range, arguments| match range.view() {
            View::Range(range) => index(range, &arguments[0]),
            _ => Err(PyError::type_error("the method of a range needs a range")),
        },
    },
];

pub(super) const SLICE_METHODS: &[MethodEntry] = &[MethodEntry {
    name: "indices",
    kind: One,
    call: |slice, arguments| match slice.view() {
        View::Slice(slice) => indices(slice, &arguments[0]),
        _ => Err(PyError::type_error("the method of a slice needs a slice")),
    },
}];

fn index(range: &Range, wanted: &Ref) -> Result<Ref> {
    // A float that is an int is found as well, which takes a search in CPython.
    let value = match wanted.view() {
        View::Float(value) if value.floor() == value && value.is_finite() => {
            crate::int::from_float(value)?
        }
        _ => wanted.clone(),
    };
    if let Some(value) = value.as_int()
        && range.contains(value)
    {
        let distance = &*value.to_big() - &*range.start().to_big();
        return Ok(Ref::big(distance.div_floor(&range.step().to_big())));
    }
    Err(match wanted.as_int() {
        Some(_) => PyError::value(format!("{} is not in range", format::repr_text(wanted)?)),
        None => PyError::value("sequence.index(x): x not in sequence"),
    })
}

fn indices(slice: &crate::slice::Slice, length: &Ref) -> Result<Ref> {
    let length = length.as_int().ok_or_else(|| wrong_index(length))?;
    if length.is_negative() {
        return Err(PyError::value("length should not be negative"));
    }
    let Some(length) = length.to_i64() else {
        return Err(PyError::not_supported(
            "slicing what is longer than a machine word",
        ));
    };
    let selection = slice.select(length as usize)?;
    let bounds = [selection.start, selection.stop, selection.step];
    Ok(Ref::tuple(bounds.map(Ref::int).to_vec()))
}
