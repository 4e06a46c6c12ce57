//! The methods of dicts and of their views.

use crate::call::{CallKind, check_count};
use crate::dict::{Dict, Part};
use crate::error::{ErrorKind, PyError, Result};
use crate::iterator;
use crate::methods::MethodEntry;
use crate::object::{Ref, View};
use crate::sequence;
use crate::set;
use crate::subscript;

pub(super) const METHODS: &[MethodEntry] = &[
    entry("__contains__", CallKind::One, |dict, arguments| {
        sequence::contains(dict, &arguments[0]).map(Ref::bool)
    }),
    entry("__getitem__", CallKind::One, |dict, arguments| {
        subscript::get(dict, &arguments[0])
    }),
    entry("__reversed__", CallKind::NoArguments, |dict, _| {
        reversed(dict, Part::Key)
    }),
    entry("clear", CallKind::NoArguments, |dict, _| {
        of(dict)?.clear();
        Ok(Ref::none())
    }),
    entry(
        "copy",
        CallKind::NoArguments,
        |dict, _| Ok(of(dict)?.copy()),
    ),
    entry("get", CallKind::Fast, get),
    entry("items", CallKind::NoArguments, |dict, _| {
        view(dict, Part::Item)
    }),
    entry("keys", CallKind::NoArguments, |dict, _| {
        view(dict, Part::Key)
    }),
    entry("pop", CallKind::Fast, pop),
    entry("popitem", CallKind::NoArguments, |dict, _| pop_item(dict)),
    entry("setdefault", CallKind::Fast, set_default),
    entry("update", CallKind::Variadic, update),
    entry("values", CallKind::NoArguments, |dict, _| {
        view(dict, Part::Value)
    }),
];

/// Those of the type itself; the receiver is the type.
pub(super) const CLASS_METHODS: &[MethodEntry] = &[entry("fromkeys", CallKind::Fast, from_keys)];

/// The methods of `dict_keys` and `dict_items`.
pub(super) const VIEW_METHODS: &[MethodEntry] = &[
    entry(
        "__reversed__",
        CallKind::NoArguments,
        |view, _| match view.view() {
            View::DictView(of) => reversed(of.object(), of.part()),
            _ => Err(wrong_receiver("dict view", view)),
        },
    ),
    entry("isdisjoint", CallKind::One, |view, arguments| {
        set::is_disjoint(view, &arguments[0]).map(Ref::bool)
    }),
];

/// The methods of `dict_values`, which is not like a set.
pub(super) const VALUES_METHODS: &[MethodEntry] = VIEW_METHODS.split_at(1).0;

const fn entry(
    name: &'static str,
    kind: CallKind,
    call: fn(&Ref, &[Ref]) -> Result<Ref>,
) -> MethodEntry {
    MethodEntry { name, kind, call }
}

fn of(receiver: &Ref) -> Result<&Dict> {
    receiver
        .downcast()
        .ok_or_else(|| wrong_receiver("dict", receiver))
}

fn wrong_receiver(expected: &str, found: &Ref) -> PyError {
    PyError::type_error(format!(
        "descriptor requires a '{expected}' object but received a '{}'",
        found.type_name()
    ))
}

fn view(dict: &Ref, part: Part) -> Result<Ref> {
    Ref::dict_view(dict.clone(), part).map_err(|other| wrong_receiver("dict", &other))
}

fn reversed(dict: &Ref, part: Part) -> Result<Ref> {
    Ref::dict_iterator(dict.clone(), part, true).map_err(|other| wrong_receiver("dict", &other))
}

fn get(receiver: &Ref, arguments: &[Ref]) -> Result<Ref> {
    check_count("get", arguments, 1..=2)?;
    let found = of(receiver)?.get(&arguments[0])?;
    Ok(found.unwrap_or_else(|| default(arguments)))
}

/// The second argument, or None.
fn default(arguments: &[Ref]) -> Ref {
    arguments.get(1).cloned().unwrap_or_else(Ref::none)
}

fn pop(receiver: &Ref, arguments: &[Ref]) -> Result<Ref> {
    check_count("pop", arguments, 1..=2)?;
    let dict = of(receiver)?;
    let removed = if dict.is_empty() {
        // CPython does not ask a key for its hash here.
        None
    } else {
        dict.remove(&arguments[0])?
    };
    removed
        .or_else(|| arguments.get(1).cloned())
        .ok_or_else(|| PyError::key(&arguments[0]))
}

fn pop_item(receiver: &Ref) -> Result<Ref> {
    match of(receiver)?.pop_last() {
        Some((key, value)) => Ok(Ref::tuple(vec![key, value])),
        None => Err(PyError::new(
            ErrorKind::KeyError,
            "'popitem(): dictionary is empty'",
        )),
    }
}

fn set_default(receiver: &Ref, arguments: &[Ref]) -> Result<Ref> {
    check_count("setdefault", arguments, 1..=2)?;
    let dict = of(receiver)?;
    if let Some(value) = dict.get(&arguments[0])? {
        return Ok(value);
    }
    let value = default(arguments);
    dict.insert(arguments[0].clone(), value.clone())?;
    Ok(value)
}

fn update(receiver: &Ref, arguments: &[Ref]) -> Result<Ref> {
    check_count("update", arguments, 0..=1)?;
    if let Some(items) = arguments.first() {
        of(receiver)?.update(items)?;
    }
    Ok(Ref::none())
}

fn from_keys(_type: &Ref, arguments: &[Ref]) -> Result<Ref> {
    check_count("fromkeys", arguments, 1..=2)?;
    let made = Ref::dict();
    for key in iterator::items(&arguments[0])? {
        of(&made)?.insert(key?, default(arguments))?;
    }
    Ok(made)
}
