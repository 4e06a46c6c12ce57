//! The methods of lists.

use super::{MethodEntry, size_argument};
use crate::call::CallKind::{Fast, FastWithKeywords, NoArguments, One};
use crate::call::check_count;
use crate::compare::same_or_equal;
use crate::error::{PyError, Result};
use crate::format;
use crate::hooks::unless_hooked;
use crate::int;
use crate::limits;
use crate::list::List;
use crate::object::{Ref, View};
use crate::sequence;

pub(super) const METHODS: &[MethodEntry] = &[
    MethodEntry {
        name: "append",
        kind: One,
        call: |list, arguments| {
            sequence::append(this(list)?, arguments[0].clone())?;
            Ok(Ref::none())
        },
    },
    MethodEntry {
        name: "clear",
        kind: NoArguments,
        call: |list, _| {
            // The items are dropped when the list is empty.
            drop(this(list)?.change(std::mem::take));
            Ok(Ref::none())
        },
    },
    MethodEntry {
        name: "copy",
        kind: NoArguments,
        call: |list, _| Ok(Ref::list(this(list)?.to_vec())),
    },
    MethodEntry {
        name: "count",
        kind: One,
        call: |list, arguments| count(this(list)?.iter(), &arguments[0]),
    },
    MethodEntry {
        name: "extend",
        kind: One,
        call: |list, arguments| {
            sequence::extend(this(list)?, &arguments[0])?;
            Ok(Ref::none())
        },
    },
    MethodEntry {
        name: "index",
        kind: Fast,
        call: |list, arguments| {
            let list = this(list)?;
            let found = index(|index| list.get(index), list.len(), arguments)?;
            found
                .map(int::from_usize)
                .ok_or_else(|| match format::repr_text(&arguments[0]) {
                    Ok(text) => PyError::value(format!("{text} is not in list")),
                    Err(error) => error,
                })
        },
    },
    MethodEntry {
        name: "insert",
        kind: Fast,
        call: insert,
    },
    MethodEntry {
        name: "pop",
        kind: Fast,
        call: pop,
    },
    MethodEntry {
        name: "remove",
        kind: One,
        call: |list, arguments| remove(this(list)?, &arguments[0]),
    },
    MethodEntry {
        name: "reverse",
        kind: NoArguments,
        call: |list, _| {
            this(list)?.change(|items| items.reverse());
            Ok(Ref::none())
        },
    },
    MethodEntry {
        name: "sort",
        kind: FastWithKeywords,
        call: sort,
    },
];

fn this(receiver: &Ref) -> Result<&List> {
    match receiver.view() {
        View::List(list) => Ok(list),
        _ => Err(PyError::type_error("the method of a list needs a list")),
    }
}

/// How many of the items equal a value.
pub(super) fn count(items: impl Iterator<Item = Ref>, wanted: &Ref) -> Result<Ref> {
    let mut count = 0;
    for item in items {
        count += usize::from(same_or_equal(&item, wanted)?);
    }
    Ok(int::from_usize(count))
}

/// The place of the first item that equals the first argument, within the bounds that may follow it. Items may be
/// fewer than they were.
pub(super) fn index(
    item: impl Fn(usize) -> Option<Ref>,
    length: usize,
    arguments: &[Ref],
) -> Result<Option<usize>> {
    check_count("index", arguments, 1..=3)?;
    let bound = |index: usize, default: usize| -> Result<usize> {
        let Some(bound) = arguments.get(index) else {
            return Ok(default);
        };
        let value = bound.as_int().ok_or_else(|| {
            let message = "slice indices must be integers or have an __index__ method";
            unless_hooked(bound, &["__index__"], PyError::type_error(message))
        })?;
        let value = value.saturate();
        let from_start = if value < 0 {
            value.saturating_add_unsigned(length as u64).max(0)
        } else {
            value
        };
        Ok(from_start as usize)
    };
    let (start, stop) = (bound(1, 0)?, bound(2, usize::MAX)?);
    let mut at = start;
    while at < stop
        && let Some(candidate) = item(at)
    {
        if same_or_equal(&candidate, &arguments[0])? {
            return Ok(Some(at));
        }
        at += 1;
    }
    Ok(None)
}

fn insert(list: &Ref, arguments: &[Ref]) -> Result<Ref> {
    check_count("insert", arguments, 2..=2)?;
    let index = size_argument(&arguments[0])?;
    let list = this(list)?;
    let length = list.len();
    limits::check_items(length + 1)?;
    let from_start = if index < 0 {
        index.saturating_add_unsigned(length as u64).max(0)
    } else {
        index
    };
    let at = usize::try_from(from_start).unwrap_or(length).min(length);
    list.change(|items| items.insert(at, arguments[1].clone()));
    Ok(Ref::none())
}

fn pop(list: &Ref, arguments: &[Ref]) -> Result<Ref> {
    check_count("pop", arguments, 0..=1)?;
    let index = arguments.first().map_or(Ok(-1), size_argument)?;
    let list = this(list)?;
    let length = list.len();
    if length == 0 {
        return Err(PyError::index("pop from empty list"));
    }
    let from_start = if index < 0 {
        index.saturating_add_unsigned(length as u64)
    } else {
        index
    };
    match usize::try_from(from_start) {
        Ok(at) if at < length => Ok(list.change(|items| items.remove(at))),
        _ => Err(PyError::index("pop index out of range")),
    }
}

fn remove(list: &List, wanted: &Ref) -> Result<Ref> {
    let mut at = 0;
    while let Some(item) = list.get(at) {
        if same_or_equal(&item, wanted)? {
            drop(list.change(|items| (at < items.len()).then(|| items.remove(at))));
            return Ok(Ref::none());
        }
        at += 1;
    }
    Err(PyError::value("list.remove(x): x not in list"))
}

/// Sorts in place. Where two items have no order the list keeps its items as they were.
fn sort(list: &Ref, arguments: &[Ref]) -> Result<Ref> {
    super::at_most("sort", 2, arguments)?;
    if !arguments.is_empty() {
        return Err(PyError::type_error("sort() takes no positional arguments"));
    }
    let list = this(list)?;
    let sorted = crate::sort::sort(list.to_vec())?;
    drop(list.change(|items| std::mem::replace(items, sorted)));
    Ok(Ref::none())
}
