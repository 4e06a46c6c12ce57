//! Subscripts: items and slices of sequences, and values of dicts, read, stored and deleted.

use crate::bytes::Bytes;
use crate::error::{ErrorKind, PyError, Result};
use crate::hooks::{refuse_hook, unless_hooked};
use crate::int;
use crate::iterator;
use crate::limits;
use crate::list::List;
use crate::object::{Ref, View};
use crate::slice::{Selection, Slice};
use crate::str;
use crate::types::TypeId;

/// `container[index]`
///
/// # Errors
/// `TypeError` if the container has no items or the index is of the wrong type, `IndexError` if it is out of range,
/// `KeyError` if there is no such key.
pub fn get(container: &Ref, index: &Ref) -> Result<Ref> {
    if let View::Dict(dict) = container.view() {
        return dict.get(index)?.ok_or_else(|| PyError::key(index));
    }
    if let View::Slice(slice) = index.view() {
        return get_slice(container, slice);
    }
    match container.view() {
        View::List(list) => {
            let position = position(list.len(), index, "list")?;
            position
                .and_then(|index| list.get(index))
                .ok_or_else(|| out_of_range("list index"))
        }
        View::Tuple(tuple) => {
            let items = tuple.items();
            let position = position(items.len(), index, "tuple")?;
            position
                .map(|i| items[i].clone())
                .ok_or_else(|| out_of_range("tuple index"))
        }
        View::Str(string) => {
            let position = position(string.len(), index, "string")?;
            let code_point = position.and_then(|index| string.get(index));
            code_point
                .map(str::single)
                .ok_or_else(|| out_of_range("string index"))
        }
        View::Bytes(bytes) => {
            let data = bytes.data();
            let position = position(data.len(), index, "byte")?;
            position
                .map(|index| Ref::int(data[index].into()))
                .ok_or_else(|| PyError::index("index out of range"))
        }
        View::Range(range) => match index.as_int() {
            Some(index) => range.item(index),
            None => Err(wrong_index("range", index)),
        },
        _ => Err(not_subscriptable(container)),
    }
}

fn get_slice(container: &Ref, slice: &Slice) -> Result<Ref> {
    match container.view() {
        View::List(list) => {
            let indices = slice.select(list.len())?.indices();
            Ok(Ref::list(
                indices.filter_map(|index| list.get(index)).collect(),
            ))
        }
        View::Tuple(tuple) => {
            let items = tuple.items();
            let selection = slice.select(items.len())?;
            if selection.count == items.len() && selection.step == 1 {
                return Ok(container.clone());
            }
            Ok(Ref::tuple(
                selection
                    .indices()
                    .map(|index| items[index].clone())
                    .collect(),
            ))
        }
        View::Str(string) => {
            let selection = slice.select(string.len())?;
            if selection.count == string.len() && selection.step == 1 {
                return Ok(container.clone());
            }
            Ok(str::pick(string, selection.indices()))
        }
        View::Bytes(bytes) => {
            let data = bytes.data();
            let selection = slice.select(data.len())?;
            if selection.count == data.len() && selection.step == 1 {
                return Ok(container.clone());
            }
            let selected = selection.indices().map(|index| data[index]);
            Ok(Bytes::object(selected.collect()))
        }
        View::Range(range) => range.slice(slice),
        _ => Err(not_subscriptable(container)),
    }
}

/// `container[index] = value`
///
/// # Errors
/// As [`get`], and `TypeError` if the container's items cannot be replaced.
pub fn set(container: &Ref, index: &Ref, value: Ref) -> Result<()> {
    if let View::Dict(dict) = container.view() {
        return dict.insert(index.clone(), value);
    }
    let View::List(list) = container.view() else {
        check_index_of_immutable(container, index)?;
        let message = format!(
            "'{}' object does not support item assignment",
            container.type_name()
        );
        return Err(unless_hooked(
            container,
            &["__setitem__"],
            PyError::type_error(message),
        ));
    };
    if let View::Slice(slice) = index.view() {
        return set_slice(list, slice, &value);
    }
    let position = position(list.len(), index, "list")?;
    let is_set = position.is_some_and(|index| list.set(index, value).is_ok());
    if is_set {
        Ok(())
    } else {
        Err(out_of_range("list assignment index"))
    }
}

fn set_slice(list: &List, slice: &Slice, value: &Ref) -> Result<()> {
    let selection = slice.select(list.len())?;
    let items = iterator::items(value).map_err(|error| {
        error.instead(|| PyError::type_error("must assign iterable to extended slice"))
    })?;
    let items = limits::collect(items)?;
    if selection.step == 1 {
        limits::check_items(list.len() - selection.count + items.len())?;
        replace_range(list, selection, items);
        return Ok(());
    }
    if items.len() != selection.count {
        return Err(PyError::value(format!(
            "attempt to assign sequence of size {} to extended slice of size {}",
            items.len(),
            selection.count
        )));
    }
    for (index, item) in selection.indices().zip(items) {
        // The indices are in range: nothing has changed the list since.
        let _ = list.set(index, item);
    }
    Ok(())
}

/// Puts items in place of a selection of step 1.
fn replace_range(list: &List, selection: Selection, new: Vec<Ref>) {
    let start = selection.start as usize;
    let old: Vec<Ref> =
        list.change(|items| items.splice(start..start + selection.count, new).collect());
    drop(old);
}

/// `del container[index]`
///
/// # Errors
/// As [`get`], and `TypeError` if the container's items cannot be deleted.
pub fn delete(container: &Ref, index: &Ref) -> Result<()> {
    if let View::Dict(dict) = container.view() {
        let removed = dict.remove(index)?;
        return removed.map(drop).ok_or_else(|| PyError::key(index));
    }
    let View::List(list) = container.view() else {
        let is_sequence = check_index_of_immutable(container, index)?;
        let verb = if is_sequence { "doesn't" } else { "does not" };
        let message = format!(
            "'{}' object {verb} support item deletion",
            container.type_name()
        );
        return Err(unless_hooked(
            container,
            &["__delitem__"],
            PyError::type_error(message),
        ));
    };
    if let View::Slice(slice) = index.view() {
        let selection = slice.select(list.len())?;
        delete_selection(list, selection);
        return Ok(());
    }
    let position = position(list.len(), index, "list")?;
    let position = position.ok_or_else(|| out_of_range("list assignment index"))?;
    drop(list.change(|items| items.remove(position)));
    Ok(())
}

fn delete_selection(list: &List, selection: Selection) {
    let mut selected: Vec<usize> = selection.indices().collect();
    selected.sort_unstable();
    let mut selected = selected.into_iter().peekable();
    let removed: Vec<Ref> = list.change(|items| {
        let mut index = 0;
        let is_selected = |_: &mut Ref| {
            let hit = selected.next_if_eq(&index).is_some();
            index += 1;
            hit
        };
        items.extract_if(.., is_selected).collect()
    });
    drop(removed);
}

/// Checks the index of an item that is to be replaced or deleted in a container that does not allow it: CPython looks
/// at it first if the container is a sequence and the index an int, and this says whether they are.
///
/// # Errors
/// `IndexError` if they are and the index does not fit a machine word.
fn check_index_of_immutable(container: &Ref, index: &Ref) -> Result<bool> {
    let is_sequence = matches!(
        container.view(),
        View::Tuple(_) | View::Str(_) | View::Range(_) | View::Bytes(_)
    );
    match index.as_int().filter(|_| is_sequence) {
        Some(index) => int::to_index(index, ErrorKind::IndexError).map(|_| true),
        None => Ok(false),
    }
}

/// The position that an index means in a sequence of this length; `None` if it is out of range.
fn position(length: usize, index: &Ref, sequence: &'static str) -> Result<Option<usize>> {
    let Some(index) = index.as_int() else {
        return Err(wrong_index(sequence, index));
    };
    let index = int::to_index(index, ErrorKind::IndexError)?;
    let from_start = if index < 0 {
        index.saturating_add_unsigned(length as u64)
    } else {
        index
    };
    Ok(usize::try_from(from_start)
        .ok()
        .filter(|&position| position < length))
}

fn wrong_index(sequence: &str, index: &Ref) -> PyError {
    let name = index.type_name();
    let message = match sequence {
        "string" => format!("string indices must be integers, not '{name}'"),
        _ => format!("{sequence} indices must be integers or slices, not {name}"),
    };
    unless_hooked(index, &["__index__"], PyError::type_error(message))
}

fn out_of_range(what: &str) -> PyError {
    PyError::index(format!("{what} out of range"))
}

fn not_subscriptable(container: &Ref) -> PyError {
    match container.view() {
        View::Type(of) if matches!(of.id(), TypeId::List | TypeId::Tuple | TypeId::Type) => {
            PyError::not_supported("a generic alias of a type")
        }
        View::Type(of) => {
            let message = format!("type '{}' is not subscriptable", of.name());
            let refused = refuse_hook(of.class(), "__class_getitem__");
            refused.err().unwrap_or(PyError::type_error(message))
        }
        _ => {
            let message = format!("'{}' object is not subscriptable", container.type_name());
            unless_hooked(container, &["__getitem__"], PyError::type_error(message))
        }
    }
}

/// The item of a string at an index that is in range.
pub(crate) fn str_item(string: &str::Str, index: i64) -> Option<Ref> {
    let index = usize::try_from(index).ok()?;
    string.get(index).map(str::single)
}
