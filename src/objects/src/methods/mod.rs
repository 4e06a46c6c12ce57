//! The methods of built-in types: a table for each type, and the objects of its entries.

mod bytes;
mod dict;
mod list;
mod number;
mod range;
mod set;
pub(crate) mod str;
mod text;
mod tuple;
mod unicode;

pub(crate) use number::bytes_of_items;

use crate::call::CallKind;
use crate::error::{PyError, Result};
use crate::hooks::unless_hooked;
use crate::immortal;
use crate::method::MethodDescriptor;
use crate::object::{Header, Kind, Ref, View};
use crate::types::TypeId;
use std::ptr::NonNull;

/// A method of a built-in type.
#[derive(Debug)]
pub(crate) struct MethodEntry {
    pub(crate) name: &'static str,
    pub(crate) kind: CallKind,
    /// Called with the receiver, which is of the type or of a subtype, and the other arguments. How many there are is
    /// checked before for [`CallKind::NoArguments`] and [`CallKind::One`] only.
    pub(crate) call: fn(&Ref, &[Ref]) -> Result<Ref>,
}

/// The types that have methods: the type, the kind of its instances, the methods, and those of the type itself.
struct Family {
    of: TypeId,
    kind: Kind,
    methods: &'static [MethodEntry],
    class_methods: &'static [MethodEntry],
}

const FAMILIES: &[Family] = &[
    Family {
        of: TypeId::Str,
        kind: Kind::Str,
        methods: str::METHODS,
        class_methods: str::CLASS_METHODS,
    },
    Family {
        of: TypeId::List,
        kind: Kind::List,
        methods: list::METHODS,
        class_methods: &[],
    },
    Family {
        of: TypeId::Tuple,
        kind: Kind::Tuple,
        methods: tuple::METHODS,
        class_methods: &[],
    },
    Family {
        of: TypeId::Int,
        kind: Kind::Int,
        methods: number::INT_METHODS,
        class_methods: number::INT_CLASS_METHODS,
    },
    Family {
        of: TypeId::Float,
        kind: Kind::Float,
        methods: number::FLOAT_METHODS,
        class_methods: number::FLOAT_CLASS_METHODS,
    },
    Family {
        of: TypeId::Range,
        kind: Kind::Range,
        methods: range::METHODS,
        class_methods: &[],
    },
    Family {
        of: TypeId::Slice,
        kind: Kind::Slice,
        methods: range::SLICE_METHODS,
        class_methods: &[],
    },
    Family {
        of: TypeId::Bytes,
        kind: Kind::Bytes,
        methods: bytes::METHODS,
        class_methods: bytes::CLASS_METHODS,
    },
    Family {
        of: TypeId::Dict,
        kind: Kind::Dict,
        methods: dict::METHODS,
        class_methods: dict::CLASS_METHODS,
    },
    Family {
        of: TypeId::DictKeys,
        kind: Kind::DictView,
        methods: dict::VIEW_METHODS,
        class_methods: &[],
    },
    Family {
        of: TypeId::DictItems,
        kind: Kind::DictView,
        methods: dict::VIEW_METHODS,
        class_methods: &[],
    },
    Family {
        of: TypeId::DictValues,
        kind: Kind::DictView,
        methods: dict::VALUES_METHODS,
        class_methods: &[],
    },
    Family {
        of: TypeId::Set,
        kind: Kind::Set,
        methods: set::METHODS,
        class_methods: &[],
    },
    Family {
        of: TypeId::FrozenSet,
        kind: Kind::FrozenSet,
        methods: set::FROZEN_METHODS,
        class_methods: &[],
    },
];

/// How many methods there are, so many objects of them a thread may have.
pub(crate) const COUNT: usize = {
    let mut count = 0;
    let mut index = 0;
    while index < FAMILIES.len() {
        count += FAMILIES[index].methods.len();
        index += 1;
    }
    count
};

/// The object of a type's method: `list.append` is `find(TypeId::List, "append")`. A type has those of the types that
/// it is derived from as well.
pub fn find(of: TypeId, name: &str) -> Option<Ref> {
    let mut number = 0;
    for family in FAMILIES {
        if of.is_subtype_of(family.of)
            && let Some(index) = family.methods.iter().position(|m| m.name == name)
        {
            return Some(immortal::method(number + index));
        }
        number += family.methods.len();
    }
    None
}

/// The object of the method with this qualified name, such as `list.append`.
pub fn named(name: &str) -> Option<Ref> {
    let (of, method) = name.split_once('.')?;
    let family = FAMILIES.iter().find(|family| family.of.name() == of)?;
    find(family.of, method)
}

/// The function that is a class method or static method of a built-in type, such as `int.from_bytes`.
pub fn of_type(of: TypeId, name: &str) -> Option<Ref> {
    let family = FAMILIES.iter().find(|family| of.is_subtype_of(family.of))?;
    let entry = family.class_methods.iter().find(|m| m.name == name)?;
    Some(Ref::bound_builtin(Ref::type_object(of), entry))
}

/// The immortal object of the method with this number.
pub(crate) fn make(number: usize) -> NonNull<Header> {
    let mut index = number;
    for family in FAMILIES {
        if let Some(entry) = family.methods.get(index) {
            let descriptor = MethodDescriptor::new(family.of, family.kind, entry);
            return crate::heap::allocate_immortal(descriptor);
        }
        index -= family.methods.len();
    }
    unreachable!("the number of a method is below COUNT")
}

impl MethodEntry {
    /// Calls the method after checking how many arguments there are.
    pub(crate) fn invoke(&self, receiver: &Ref, arguments: &[Ref]) -> Result<Ref> {
        if let Some(expected) = self.kind.exact_count()
            && expected != arguments.len()
        {
            let of = match receiver.view() {
                View::Type(of) => of.id(),
                _ => self.owner(receiver),
            };
            let name = format!("{}.{}", of.name(), self.name);
            return Err(self.kind.wrong_count(&name, arguments.len()));
        }
        (self.call)(receiver, arguments)
    }

    /// The type that has the method, of which the receiver is an instance.
    fn owner(&self, receiver: &Ref) -> TypeId {
        let found = receiver.type_id();
        let family = FAMILIES.iter().find(|family| {
            found.is_subtype_of(family.of)
                && family.methods.iter().any(|entry| std::ptr::eq(entry, self))
        });
        family.map_or(found, |family| family.of)
    }
}

/// The error of a method that is called with too many positional arguments; others may have been keywords.
pub(crate) fn at_most(name: &str, most: usize, arguments: &[Ref]) -> Result<()> {
    let given = arguments.len();
    if given <= most {
        return Ok(());
    }
    let plural = if most == 1 { "" } else { "s" };
    Err(PyError::type_error(format!(
        "{name}() takes at most {most} argument{plural} ({given} given)"
    )))
}

/// The name of an object's type in the error of a wrong argument.
pub(crate) fn argument_type(object: &Ref) -> &str {
    match object.view() {
        View::None => "None",
        _ => object.type_name(),
    }
}

/// The error of an argument of the wrong type.
pub(crate) fn wrong_argument(name: &str, position: &str, expected: &str, found: &Ref) -> PyError {
    let space = if position.is_empty() { "" } else { " " };
    PyError::type_error(format!(
        "{name}() argument{space}{position} must be {expected}, not {}",
        argument_type(found)
    ))
}

/// An argument that is an index or size of a machine word.
pub(crate) fn size_argument(object: &Ref) -> Result<i64> {
    let value = object
        .as_int()
        .ok_or_else(|| crate::call::wrong_index(object))?;
    value
        .to_i64()
        .ok_or_else(|| PyError::overflow("Python int too large to convert to C ssize_t"))
}

/// The part of a sequence that optional `start` and `end` arguments select, as slices do: `None` if `start` is behind
/// the end.
pub(crate) fn span(length: usize, bounds: &[Ref]) -> Result<Option<(usize, usize)>> {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let bound = |index: usize, default: i64| -> Result<i64> {
        let Some(bound) = bounds.get(index) else {
            return Ok(default);
        };
        if let View::None = bound.view() {
            return Ok(default);
        }
        let value = bound.as_int().ok_or_else(|| {
            let message = "slice indices must be integers or None or have an __index__ method";
            unless_hooked(bound, &["__index__"], PyError::type_error(message))
        })?;
        let value = value.saturate();
        Ok(if value < 0 {
            value.saturating_add(length).max(0)
        } else {
            value
        })
    };
    let (start, end) = (bound(0, 0)?, bound(1, length)?.min(length));
    Ok((start <= end).then_some((start as usize, end as usize)))
}
