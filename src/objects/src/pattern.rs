//! Patterns of `match` statements: of keys and of classes.

use crate::attribute;
use crate::compare::same_or_equal;
use crate::error::{ErrorKind, PyError, Result};
use crate::exception::is_subclass;
use crate::format;
use crate::object::{Ref, View};
use crate::types::{Type, TypeId};

/// The values of these keys, a tuple, in a mapping, or `None` if one is missing.
///
/// # Errors
/// `ValueError` for a key that comes twice, `TypeError` for one without a hash.
pub fn keys(subject: &Ref, keys: &Ref) -> Result<Option<Ref>> {
    let (View::Dict(dict), View::Tuple(keys)) = (subject.view(), keys.view()) else {
        return Err(PyError::not_supported(format_args!(
            "a mapping pattern for '{}'",
            subject.type_name()
        )));
    };
    let mut values = Vec::new();
    for (index, key) in keys.items().iter().enumerate() {
        for other in &keys.items()[..index] {
            if same_or_equal(other, key)? {
                return Err(PyError::value(format!(
                    "mapping pattern checks duplicate key ({})",
                    format::repr_text(key)?
                )));
            }
        }
        match dict.get(key)? {
            Some(value) => values.push(value),
            None => return Ok(None),
        }
    }
    Ok(Some(Ref::tuple(values)))
}

/// What `class(p1, ..., name=q1, ...)` matches its parts with: the attributes of the first `positional` in the class's
/// `__match_args__`, then those with these names. `None` if the subject is no instance of the class or lacks one.
///
/// # Errors
/// `TypeError` where CPython raises it for the pattern, otherwise those of the attributes.
pub fn class(subject: &Ref, class: &Ref, positional: usize, names: &Ref) -> Result<Option<Ref>> {
    let (View::Type(of), View::Tuple(names)) = (class.view(), names.view()) else {
        return Err(PyError::type_error("called match pattern must be a class"));
    };
    if !is_subclass(&subject.class_of(), class) {
        return Ok(None);
    }
    let mut parts = Parts {
        subject,
        of,
        seen: Vec::new(),
        found: Vec::new(),
    };
    let complete = parts.positional(positional)? && parts.named(names.items())?;
    Ok(complete.then(|| Ref::tuple(parts.found)))
}

struct Parts<'a> {
    subject: &'a Ref,
    of: &'a Type,
    seen: Vec<Ref>,
    found: Vec<Ref>,
}

impl Parts<'_> {
    /// Whether all were found.
    fn positional(&mut self, count: usize) -> Result<bool> {
        if count == 0 {
            return Ok(true);
        }
        let arguments = self.of.lookup("__match_args__");
        let names = match arguments.as_ref().map(|found| (found, found.view())) {
            None => &[][..],
            Some((_, View::Tuple(names))) => names.items(),
            Some((other, _)) => {
                return Err(PyError::type_error(format!(
                    "{}.__match_args__ must be a tuple (got {})",
                    self.of.name(),
                    other.type_name()
                )));
            }
        };
        let is_itself = arguments.is_none() && matches_itself(self.of);
        let allowed = if is_itself { 1 } else { names.len() };
        if allowed < count {
            let plural = if allowed == 1 { "" } else { "s" };
            return Err(PyError::type_error(format!(
                "{}() accepts {allowed} positional sub-pattern{plural} ({count} given)",
                self.of.name()
            )));
        }
        if is_itself {
            self.found.push(self.subject.clone());
            return Ok(true);
        }
        self.named(&names[..count])
    }

    /// Whether all were found.
    fn named(&mut self, names: &[Ref]) -> Result<bool> {
        for name in names {
            if !self.one(name)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn one(&mut self, name: &Ref) -> Result<bool> {
        let View::Str(text) = name.view() else {
            return Err(PyError::type_error(format!(
                "__match_args__ elements must be strings (got {})",
                name.type_name()
            )));
        };
        for other in &self.seen {
            if same_or_equal(other, name)? {
                return Err(PyError::type_error(format!(
                    "{}() got multiple sub-patterns for attribute {}",
                    self.of.name(),
                    format::repr_text(name)?
                )));
            }
        }
        self.seen.push(name.clone());
        match attribute::get(self.subject, &text.to_string_lossy()) {
            Ok(value) => {
                self.found.push(value);
                Ok(true)
            }
            Err(error) if error.kind == ErrorKind::AttributeError => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Whether the only positional part of a pattern of this class matches the subject itself.
fn matches_itself(of: &Type) -> bool {
    matches!(
        of.id(),
        TypeId::Bool
            | TypeId::Bytes
            | TypeId::Dict
            | TypeId::Float
            | TypeId::FrozenSet
            | TypeId::Int
            | TypeId::List
            | TypeId::Set
            | TypeId::Str
            | TypeId::Tuple
    )
}
