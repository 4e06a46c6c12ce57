//! The methods of sets, frozen or not.

use crate::call::CallKind;
use crate::error::{ErrorKind, PyError, Result};
use crate::methods::MethodEntry;
use crate::object::{Ref, View};
use crate::set::{self, Set};

/// The methods of `set`; the first nine are those of `frozenset` as well.
pub(super) const METHODS: &[MethodEntry] = &[
    entry("__contains__", CallKind::One, |set, arguments| {
        of(set)?.contains(&arguments[0]).map(Ref::bool)
    }),
    entry("copy", CallKind::NoArguments, |set, _| {
        if of(set)?.is_frozen() {
            return Ok(set.clone());
        }
        of(set)?.copy()
    }),
    entry("difference", CallKind::Variadic, difference),
    entry("intersection", CallKind::Variadic, intersection),
    entry("isdisjoint", CallKind::One, |set, arguments| {
        set::is_disjoint(set, &arguments[0]).map(Ref::bool)
    }),
    entry("issubset", CallKind::One, |set, arguments| {
        is_subset(of(set)?, &arguments[0]).map(Ref::bool)
    }),
    entry("issuperset", CallKind::One, |set, arguments| {
        is_superset(of(set)?, &arguments[0]).map(Ref::bool)
    }),
    entry("symmetric_difference", CallKind::One, |set, arguments| {
        of(set)?.symmetric_difference(&arguments[0])
    }),
    entry("union", CallKind::Variadic, union),
    entry("add", CallKind::One, |set, arguments| {
        done(of(set)?.add(arguments[0].clone()))
    }),
    entry("clear", CallKind::NoArguments, |set, _| {
        of(set)?.clear();
        Ok(Ref::none())
    }),
    entry("difference_update", CallKind::Variadic, |set, others| {
        for other in others {
            of(set)?.difference_update(other)?;
        }
        Ok(Ref::none())
    }),
    entry("discard", CallKind::One, |set, arguments| {
        done(of(set)?.discard(&arguments[0]))
    }),
    entry("intersection_update", CallKind::Variadic, |set, others| {
        let result = intersection(set, others)?;
        of(set)?.assign(of(&result)?);
        Ok(Ref::none())
    }),
    entry("pop", CallKind::NoArguments, |set, _| {
        of(set)?
            .pop()
            .ok_or_else(|| PyError::new(ErrorKind::KeyError, "'pop from an empty set'"))
    }),
    entry("remove", CallKind::One, |set, arguments| {
        if of(set)?.discard(&arguments[0])? {
            return Ok(Ref::none());
        }
        Err(PyError::key(&arguments[0]))
    }),
    entry(
        "symmetric_difference_update",
        CallKind::One,
        |set, arguments| done(of(set)?.symmetric_difference_update(&arguments[0])),
    ),
    entry("update", CallKind::Variadic, |set, others| {
        for other in others {
            of(set)?.update(other)?;
        }
        Ok(Ref::none())
    }),
];

/// The methods of `frozenset`.
pub(super) const FROZEN_METHODS: &[MethodEntry] = METHODS.split_at(9).0;

const fn entry(
    name: &'static str,
    kind: CallKind,
    call: fn(&Ref, &[Ref]) -> Result<Ref>,
) -> MethodEntry {
    MethodEntry { name, kind, call }
}

fn of(receiver: &Ref) -> Result<&Set> {
    receiver.downcast().ok_or_else(|| {
        PyError::type_error(format!(
            "descriptor requires a 'set' object but received a '{}'",
            receiver.type_name()
        ))
    })
}

/// None, unless there was an error.
fn done<T>(result: Result<T>) -> Result<Ref> {
    result.map(|_| Ref::none())
}

fn difference(receiver: &Ref, others: &[Ref]) -> Result<Ref> {
    let Some((first, rest)) = others.split_first() else {
        return copy(receiver);
    };
    let result = of(receiver)?.difference(first)?;
    for other in rest {
        of(&result)?.difference_update(other)?;
    }
    Ok(result)
}

fn intersection(receiver: &Ref, others: &[Ref]) -> Result<Ref> {
    let Some((first, rest)) = others.split_first() else {
        return copy(receiver);
    };
    let first = of(receiver)?.intersection(first)?;
    rest.iter()
        .try_fold(first, |result, other| of(&result)?.intersection(other))
}

fn copy(receiver: &Ref) -> Result<Ref> {
    of(receiver)?.copy()
}

fn union(receiver: &Ref, others: &[Ref]) -> Result<Ref> {
    let result = copy(receiver)?;
    for other in others.iter().filter(|other| !other.is(receiver)) {
        of(&result)?.update(other)?;
    }
    Ok(result)
}

fn is_subset(set: &Set, other: &Ref) -> Result<bool> {
    match other.view() {
        View::Set(other) => set.is_subset(other),
        _ => Ok(of(&set.intersection(other)?)?.len() == set.len()),
    }
}

fn is_superset(set: &Set, other: &Ref) -> Result<bool> {
    if let View::Set(other) = other.view() {
        return other.is_subset(set);
    }
    for item in crate::iterator::items(other)? {
        if !set.contains(&item?)? {
            return Ok(false);
        }
    }
    Ok(true)
}
