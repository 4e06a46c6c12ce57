//! Sequences: concatenation, repetition, membership and unpacking.

use crate::bytes::Bytes;
use crate::compare::same_or_equal;
use crate::error::{ErrorKind, PyError, Result};
use crate::hooks::unless_hooked;
use crate::int::{self, IntView};
use crate::iterator;
use crate::limits;
use crate::list::List;
use crate::object::{Kind, Ref, View};
use crate::ops::BinaryOperator;
use crate::range::Range;
use crate::str;
use crate::tuple;

/// `a + b` and `a * b` where one is a sequence; `None` if that means nothing.
pub(crate) fn binary(
    operator: BinaryOperator,
    in_place: bool,
    a: &Ref,
    b: &Ref,
) -> Option<Result<Ref>> {
    match operator {
        BinaryOperator::Add => concatenate(in_place, a, b),
        BinaryOperator::Multiply => multiply(in_place, a, b),
        _ => None,
    }
}

fn concatenate(in_place: bool, a: &Ref, b: &Ref) -> Option<Result<Ref>> {
    Some(match (a.view(), b.view()) {
        (View::List(list), _) if in_place => extend(list, b).map(|()| a.clone()),
        (View::List(x), View::List(y)) => limits::check_items(x.len() + y.len()).map(|()| {
            let mut items = x.to_vec();
            items.extend(y.iter());
            Ref::list(items)
        }),
        (View::Tuple(x), View::Tuple(y)) => {
            let mut items = x.items().iter().chain(y.items());
            let length = x.items().len() + y.items().len();
            limits::check_items(length).map(|()| tuple::from_fn(length, || items.next().cloned()))
        }
        (View::Str(_), View::Str(_)) => str::concat(a.clone(), b.clone()),
        (View::Bytes(x), View::Bytes(y)) => limits::check_items(x.data().len() + y.data().len())
            .map(|()| Bytes::object([x.data(), y.data()].concat())),
        (View::Bytes(_), _) => Err(PyError::type_error(format!(
            "can't concat {} to bytes",
            b.type_name()
        ))),
        (View::List(_) | View::Tuple(_) | View::Str(_), _) => Err(PyError::type_error(format!(
            "can only concatenate {0} (not \"{1}\") to {0}",
            a.type_name(),
            b.type_name()
        ))),
        _ => return None,
    })
}

fn multiply(in_place: bool, a: &Ref, b: &Ref) -> Option<Result<Ref>> {
    let is_repeatable = |object: &Ref| {
        matches!(
            object.kind(),
            Kind::List | Kind::Tuple | Kind::Str | Kind::Bytes
        )
    };
    if is_repeatable(a) {
        return Some(repeat(in_place, a, b));
    }
    // A range is a sequence that does not repeat; in place, CPython then does not look at the other operand.
    if in_place && matches!(a.view(), View::Range(_)) {
        return None;
    }
    is_repeatable(b).then(|| repeat(false, b, a))
}

/// Repeats a list, tuple or string.
fn repeat(in_place: bool, sequence: &Ref, count: &Ref) -> Result<Ref> {
    let Some(count) = count.as_int() else {
        let message = format!(
            "can't multiply sequence by non-int of type '{}'",
            count.type_name()
        );
        return Err(unless_hooked(
            count,
            &["__index__"],
            PyError::type_error(message),
        ));
    };
    let count = int::to_index(count, ErrorKind::OverflowError)?;
    match sequence.view() {
        View::List(list) if in_place => {
            let items = repeat_items(&list.to_vec(), count)?;
            // The old items are dropped when the list has the new ones.
            drop(list.change(|old| std::mem::replace(old, items)));
            Ok(sequence.clone())
        }
        View::List(list) => Ok(Ref::list(repeat_items(&list.to_vec(), count)?)),
        View::Tuple(_) if count == 1 => Ok(sequence.clone()),
        View::Tuple(tuple) => Ok(Ref::tuple(repeat_items(tuple.items(), count)?)),
        View::Str(_) if count == 1 => Ok(sequence.clone()),
        View::Str(string) => str::repeat(string, count),
        View::Bytes(_) if count == 1 => Ok(sequence.clone()),
        View::Bytes(bytes) => {
            let count = usize::try_from(count).unwrap_or(0);
            let length = bytes.data().len().checked_mul(count);
            let length = length.filter(|&length| length <= isize::MAX as usize);
            let length = length.ok_or_else(|| PyError::overflow("repeated bytes are too long"))?;
            limits::check_items(length)?;
            Ok(Bytes::object(bytes.data().repeat(count)))
        }
        _ => Err(PyError::not_supported("repeating such a sequence")),
    }
}

fn repeat_items(items: &[Ref], count: i64) -> Result<Vec<Ref>> {
    let count = usize::try_from(count).unwrap_or(0);
    let length = items.len().saturating_mul(count);
    limits::check_items(length)?;
    let mut result = Vec::new();
    result
        .try_reserve_exact(length)
        .map_err(|_| PyError::memory())?;
    for _ in 0..if items.is_empty() { 0 } else { count } {
        result.extend_from_slice(items);
    }
    Ok(result)
}

/// `list.append(item)`
///
/// # Errors
/// `MemoryError` if the list would be too long.
pub fn append(list: &List, item: Ref) -> Result<()> {
    limits::check_items(list.len() + 1)?;
    list.push(item);
    Ok(())
}

/// `list.extend(items)`
///
/// # Errors
/// `TypeError` if the items are not iterable, `MemoryError` if the list would be too long.
pub fn extend(list: &List, items: &Ref) -> Result<()> {
    // The list may be what is iterated over: it is not changed before the items are known.
    let new = match items.view() {
        View::List(items) => items.to_vec(),
        View::Tuple(items) => items.items().to_vec(),
        _ => {
            for item in iterator::items(items)? {
                append(list, item?)?;
            }
            return Ok(());
        }
    };
    limits::check_items(list.len() + new.len())?;
    list.change(|items| items.extend(new));
    Ok(())
}

/// `item in container`
///
/// # Errors
/// `TypeError` if the container has no items, or the item of a string is not a string.
pub fn contains(container: &Ref, item: &Ref) -> Result<bool> {
    match container.view() {
        View::Str(string) => match item.view() {
            View::Str(part) => Ok(string.contains(part)),
            _ => Err(PyError::type_error(format!(
                "'in <string>' requires string as left operand, not {}",
                item.type_name()
            ))),
        },
        View::List(list) => any_equal(list.iter().map(Ok), item),
        View::Tuple(tuple) => any_equal(tuple.items().iter().cloned().map(Ok), item),
        View::Range(range) => Ok(range_contains(range, item)),
        View::Bytes(bytes) => bytes_contain(bytes, item),
        View::Dict(dict) => dict.contains(item),
        View::DictView(view) => view.contains(item),
        View::Set(set) => set.contains(item),
        _ if iterator::is_iterator(container) => any_equal(iterator::items(container)?, item),
        _ => {
            let message = format!(
                "argument of type '{}' is not iterable",
                container.type_name()
            );
            let methods = ["__contains__", "__iter__", "__getitem__"];
            Err(unless_hooked(
                container,
                &methods,
                PyError::type_error(message),
            ))
        }
    }
}

/// Whether bytes contain others, or a byte that is given as an int.
fn bytes_contain(bytes: &Bytes, item: &Ref) -> Result<bool> {
    match (item.view(), item.as_int()) {
        (View::Bytes(part), _) => {
            let (data, part) = (bytes.data(), part.data());
            Ok(part.is_empty() || data.windows(part.len()).any(|window| window == part))
        }
        (_, Some(value)) => match u8::try_from(value.saturate()) {
            Ok(byte) => Ok(bytes.data().contains(&byte)),
            Err(_) => Err(PyError::value("byte must be in range(0, 256)")),
        },
        _ => Err(PyError::type_error(format!(
            "a bytes-like object is required, not '{}'",
            item.type_name()
        ))),
    }
}

fn any_equal(items: impl Iterator<Item = Result<Ref>>, wanted: &Ref) -> Result<bool> {
    for item in items {
        if same_or_equal(&item?, wanted)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether an object equals one of a range's ints: only a number can.
fn range_contains(range: &Range, item: &Ref) -> bool {
    match item.view() {
        View::Float(value) if value == value.floor() => int::from_float(value)
            .is_ok_and(|int| range.contains(int.as_int().unwrap_or(IntView::Small(0)))),
        _ => item.as_int().is_some_and(|value| range.contains(value)),
    }
}

/// Exactly `count` items of an iterable.
///
/// # Errors
/// `TypeError` if it is not iterable, `ValueError` if there are fewer or more items.
pub fn unpack(iterable: &Ref, count: usize) -> Result<Vec<Ref>> {
    let mut items = unpacked_items(iterable)?;
    let unpacked: Vec<Ref> = items.by_ref().take(count).collect::<Result<_>>()?;
    if unpacked.len() < count {
        return Err(PyError::value(format!(
            "not enough values to unpack (expected {count}, got {})",
            unpacked.len()
        )));
    }
    if items.next().transpose()?.is_some() {
        return Err(PyError::value(format!(
            "too many values to unpack (expected {count})"
        )));
    }
    Ok(unpacked)
}

/// `before` items of an iterable, a list of those between, and `after` at its end.
///
/// # Errors
/// `TypeError` if it is not iterable, `ValueError` if there are fewer items, `MemoryError` if there are too many.
pub fn unpack_extended(iterable: &Ref, before: usize, after: usize) -> Result<Vec<Ref>> {
    let mut unpacked = limits::collect(unpacked_items(iterable)?)?;
    let given = unpacked.len();
    if given < before + after {
        return Err(PyError::value(format!(
            "not enough values to unpack (expected at least {}, got {given})",
            before + after
        )));
    }
    let between: Vec<Ref> = unpacked.drain(before..given - after).collect();
    unpacked.insert(before, Ref::list(between));
    Ok(unpacked)
}

/// The items of what is to be unpacked.
fn unpacked_items(iterable: &Ref) -> Result<impl Iterator<Item = Result<Ref>> + use<>> {
    iterator::items(iterable).map_err(|error| {
        error.instead(|| {
            PyError::type_error(format!(
                "cannot unpack non-iterable {} object",
                iterable.type_name()
            ))
        })
    })
}
