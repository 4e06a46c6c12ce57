//! Classes of the program: their bases, namespaces and the places of their instances' attributes.
//!
//! A guard on a type compares the number in an object's header with the number in the type's current *guard record*. A
//! change of a class, or of one that it is derived from, empties the record and makes another, so that no guard made
//! before matches again. Records live as long as their type.

use crate::construct::construct;
use crate::error::{ErrorKind, PyError, Result};
use crate::heap;
use crate::instance;
use crate::object::{FIRST_CLASS, Ref, View};
use crate::types::{Type, TypeId};
use std::cell::{Cell, RefCell};

/// What a class is made of.
#[derive(Clone, Debug, Default)]
pub struct ClassSpec {
    /// Its name without those of what it is defined in.
    pub name: String,
    /// What it is derived from, in order; `object` if there is nothing.
    pub bases: Vec<Ref>,
    /// Its attributes in order.
    pub namespace: Vec<(String, Ref)>,
    /// The names in its `__slots__`, if it has them.
    pub slots: Option<Vec<String>>,
    /// The names of the attributes for which its instances have a place without a dict, in order.
    pub inline_keys: Vec<String>,
}

/// What a class has that built-in types have not.
pub struct Class {
    pub(crate) number: u32,
    name: Box<str>,
    bases: Vec<Ref>,
    /// The order in which attributes are looked for, behind the class itself.
    pub(crate) ancestors: Vec<Ref>,
    namespace: RefCell<Vec<(Box<str>, Ref)>>,
    /// The names of the slots, inherited ones first: slot i is value i of an instance.
    slots: Vec<Box<str>>,
    /// Whether it was made with `__eq__` and without `__hash__`, and so does not hash.
    only_compares: bool,
    /// Whether instances can have other attributes as well.
    has_dict: bool,
    /// The names of the values behind the slots.
    inline_keys: RefCell<Vec<Box<str>>>,
    /// How many values an instance has room for.
    pub(crate) capacity: usize,
    /// The classes that are derived from this one; each takes itself off when it is freed.
    derived: RefCell<Vec<*const Type>>,
}

/// How instances of a class hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hashing {
    /// By their identity.
    Identity,
    /// Not at all.
    None,
    /// By a method of the program.
    Method,
}

/// Room for inline attributes that instances get beyond those that are known.
const SPARE_KEYS: usize = 4;

impl Class {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is directly derived from.
    pub fn bases(&self) -> &[Ref] {
        &self.bases
    }

    /// The types in which attributes are looked for after the class itself: its method resolution order without it.
    pub fn ancestors(&self) -> &[Ref] {
        &self.ancestors
    }

    /// The names of the slots, inherited ones first.
    pub fn slots(&self) -> impl Iterator<Item = &str> {
        self.slots.iter().map(|name| &**name)
    }

    /// Whether instances have a `__dict__`.
    pub fn has_dict(&self) -> bool {
        self.has_dict
    }

    /// The names of the attributes that instances keep without a dict, slots not included.
    pub fn inline_keys(&self) -> Vec<String> {
        let keys = self.inline_keys.borrow();
        keys.iter().map(|key| key.to_string()).collect()
    }

    /// Its own attribute with this name.
    pub fn own(&self, name: &str) -> Option<Ref> {
        let namespace = self.namespace.borrow();
        let found = namespace.iter().find(|(key, _)| **key == *name)?;
        Some(found.1.clone())
    }

    /// Copies of its own attributes in order.
    pub fn namespace(&self) -> Vec<(String, Ref)> {
        let namespace = self.namespace.borrow();
        let copy = |(key, value): &(Box<str>, Ref)| (key.to_string(), value.clone());
        namespace.iter().map(copy).collect()
    }

    /// The slot with this name.
    pub(crate) fn slot(&self, name: &str) -> Option<usize> {
        self.slots.iter().position(|slot| **slot == *name)
    }

    /// The value of instances that an attribute without a dict is.
    pub(crate) fn inline_index(&self, name: &str) -> Option<usize> {
        let keys = self.inline_keys.borrow();
        let index = keys.iter().position(|key| **key == *name)?;
        Some(self.slots.len() + index)
    }

    /// The name of a value.
    pub(crate) fn value_name(&self, index: usize) -> Option<Ref> {
        match self.slots.get(index) {
            Some(slot) => Some(Ref::str(slot)),
            None => {
                let keys = self.inline_keys.borrow();
                keys.get(index - self.slots.len()).map(|key| Ref::str(key))
            }
        }
    }

    /// How its instances hash: as the first class says in which anything says it.
    pub(crate) fn hashing(&self) -> Hashing {
        let said = |class: &Class| match class.own("__hash__") {
            Some(method) if matches!(method.view(), View::None) => Some(Hashing::None),
            Some(_) => Some(Hashing::Method),
            None => class.only_compares.then_some(Hashing::None),
        };
        let ancestors = self.ancestors.iter().filter_map(|base| match base.view() {
            View::Type(base) => base.class(),
            _ => None,
        });
        let said = std::iter::once(self).chain(ancestors).find_map(said);
        said.unwrap_or(Hashing::Identity)
    }

    /// Whether it has a method of this name that a program defines; those of `object` do not count.
    pub(crate) fn defines(&self, name: &str) -> bool {
        self.own(name).is_some() || self.ancestors.iter().any(|base| own(base, name).is_some())
    }
}

/// A type's own attribute, if it is a class.
fn own(of: &Ref, name: &str) -> Option<Ref> {
    match of.view() {
        View::Type(of) => of.class()?.own(name),
        _ => None,
    }
}

impl Type {
    /// The place of an attribute among the values of instances, a slot or not.
    pub fn value_index(&self, name: &str) -> Option<usize> {
        let class = self.class()?;
        class.slot(name).or_else(|| class.inline_index(name))
    }

    /// The place of an attribute that instances keep without a dict; the first time that one is given, there may be room
    /// for one more. Guards on the keys of the class fail from then on.
    pub(crate) fn place_for(&self, name: &str) -> Option<usize> {
        let class = self.class()?;
        if let Some(index) = class.inline_index(name) {
            return Some(index);
        }
        let mut keys = class.inline_keys.borrow_mut();
        let index = class.slots.len() + keys.len();
        if !class.has_dict || index >= class.capacity {
            return None;
        }
        keys.push(name.into());
        self.renew_keys();
        Some(index)
    }

    /// The attribute that the type or one that it is derived from has.
    pub fn lookup(&self, name: &str) -> Option<Ref> {
        let Some(class) = self.class() else {
            return crate::methods::find(self.id(), name);
        };
        class.own(name).or_else(|| {
            class.ancestors.iter().find_map(|base| match base.view() {
                View::Type(base) => match base.class() {
                    Some(base) => base.own(name),
                    None => crate::methods::find(base.id(), name),
                },
                _ => None,
            })
        })
    }

    /// Sets an attribute of a class. No guard on it, or on a class derived from it, matches any more.
    ///
    /// # Errors
    /// `TypeError` for a built-in type.
    pub fn set_attribute(&self, name: &str, value: Ref) -> Result<()> {
        let class = self.class().ok_or_else(|| self.immutable(name))?;
        let mut namespace = class.namespace.borrow_mut();
        let old = match namespace.iter_mut().find(|(key, _)| **key == *name) {
            Some((_, place)) => Some(std::mem::replace(place, value)),
            None => {
                namespace.push((name.into(), value));
                None
            }
        };
        drop(namespace);
        self.modified();
        drop(old);
        Ok(())
    }

    /// Deletes an attribute of a class, as [`set_attribute`](Self::set_attribute) sets one.
    ///
    /// # Errors
    /// `TypeError` for a built-in type, `AttributeError` if there is no such attribute.
    pub fn delete_attribute(&self, name: &str) -> Result<()> {
        let class = self.class().ok_or_else(|| self.immutable(name))?;
        let mut namespace = class.namespace.borrow_mut();
        let Some(index) = namespace.iter().position(|(key, _)| **key == *name) else {
            let message = format!("type object '{}' has no attribute '{name}'", self.name());
            return Err(PyError::new(ErrorKind::AttributeError, message));
        };
        let old = namespace.remove(index);
        drop(namespace);
        self.modified();
        drop(old);
        Ok(())
    }

    fn immutable(&self, name: &str) -> PyError {
        PyError::type_error(format!(
            "cannot set '{name}' attribute of immutable type '{}'",
            self.name()
        ))
    }

    /// Makes guards on the class, and on those derived from it, fail.
    fn modified(&self) {
        self.renew_guard();
        let derived = self.class().map(|class| class.derived.borrow());
        for &class in derived.iter().flat_map(|derived| derived.iter()) {
            deref(class).renew_guard();
        }
    }
}

/// A class on the list of those that are derived from another.
#[allow(unsafe_code)]
fn deref<'a>(class: *const Type) -> &'a Type {
    // SAFETY: a class takes itself off the lists when it is freed (`forget`).
    unsafe { &*class }
}

/// Takes a class that is freed off the lists of those that it is derived from.
pub(crate) fn forget(freed: &Type, class: &Class) {
    for base in &class.ancestors {
        if let View::Type(base) = base.view()
            && let Some(base) = base.class()
        {
            base.derived
                .borrow_mut()
                .retain(|&other| !std::ptr::eq(other, freed));
        }
    }
}

impl Ref {
    /// A class of the program.
    ///
    /// # Errors
    /// As CPython's where the bases contradict each other; `NotSupported` for a class derived from a built-in type that
    /// is neither `object` nor an exception.
    pub fn class(spec: ClassSpec) -> Result<Self> {
        let bases = match spec.bases.is_empty() {
            true => vec![Ref::type_object(TypeId::Object)],
            false => spec.bases,
        };
        let id = built_in_base(&bases)?;
        let ancestors = linearize(&spec.name, &bases)?;
        let inherited = inherited_slots(&bases)?;
        let own_slots = spec.slots.as_deref().unwrap_or_default();
        let has_dict = spec.slots.is_none()
            || own_slots.iter().any(|slot| slot == "__dict__")
            || bases.iter().any(|base| match base.view() {
                View::Type(base) => base.class().is_some_and(Class::has_dict),
                _ => false,
            });
        let own_slots = own_slots.iter().filter(|name| !name.starts_with("__"));
        let slots: Vec<Box<str>> = inherited
            .into_iter()
            .chain(own_slots.map(|name| name.as_str().into()))
            .collect();
        let inline_keys: Vec<Box<str>> = match has_dict {
            true => spec.inline_keys.into_iter().map(Into::into).collect(),
            false => Vec::new(),
        };
        let fixed = slots.len() + inline_keys.len();
        if fixed > instance::MOST_VALUES {
            return Err(PyError::not_supported(format_args!(
                "a class with {fixed} slots and inline attributes"
            )));
        }
        let names = |name| spec.namespace.iter().any(|(key, _)| key == name);
        let only_compares = names("__eq__") && !names("__hash__");
        let spare = if has_dict { SPARE_KEYS } else { 0 };
        let class = Class {
            number: next_number()?,
            name: spec.name.into(),
            capacity: (fixed + spare).min(instance::MOST_VALUES),
            bases,
            ancestors,
            namespace: RefCell::new(
                spec.namespace
                    .into_iter()
                    .map(|(name, value)| (name.into(), value))
                    .collect(),
            ),
            slots,
            only_compares,
            has_dict,
            inline_keys: RefCell::new(inline_keys),
            derived: RefCell::new(Vec::new()),
        };
        Ok(register(heap::allocate(Type::of_class(id, class))))
    }
}

/// `class(*arguments)`
///
/// # Errors
/// As CPython's; `NotSupported` where that would call a function of the program.
pub(crate) fn call(of: &Ref, arguments: &[Ref]) -> Result<Ref> {
    let View::Type(class) = of.view() else {
        return Err(PyError::type_error("expected a class"));
    };
    if let Some(class) = class.class()
        && let Some(name) = ["__new__", "__init__"]
            .iter()
            .find(|name| class.defines(name))
    {
        return Err(PyError::not_supported(format_args!(
            "calling {name} of '{}'",
            class.name()
        )));
    }
    if class.id().is_subtype_of(TypeId::BaseException) {
        return Ref::exception(of.clone(), arguments.to_vec());
    }
    match class.class() {
        Some(class) if !arguments.is_empty() => Err(PyError::type_error(format!(
            "{}() takes no arguments",
            class.name()
        ))),
        Some(_) => Ref::instance_of(of),
        None => construct(class.id(), arguments),
    }
}

/// Puts a class on the lists of those that it is derived from.
fn register(class: Ref) -> Ref {
    if let View::Type(new) = class.view() {
        for base in new.class().iter().flat_map(|class| &class.ancestors) {
            if let View::Type(base) = base.view()
                && let Some(base) = base.class()
            {
                base.derived.borrow_mut().push(std::ptr::from_ref(new));
            }
        }
    }
    class
}

/// A number for a class, which none of this thread has had.
fn next_number() -> Result<u32> {
    thread_local! {
        static NEXT: Cell<u32> = const { Cell::new(FIRST_CLASS) };
    }
    let number = NEXT.get();
    if number >= i32::MAX as u32 {
        return Err(PyError::memory());
    }
    NEXT.set(number + 1);
    Ok(number)
}

/// The built-in type that instances are of: the most derived exception among the bases, or `object`.
fn built_in_base(bases: &[Ref]) -> Result<TypeId> {
    let mut found = TypeId::Object;
    for base in bases {
        let View::Type(base) = base.view() else {
            return Err(PyError::not_supported(format_args!(
                "a class derived from a {}",
                base.type_name()
            )));
        };
        let id = base.id();
        if id != TypeId::Object && !id.is_subtype_of(TypeId::BaseException) {
            return Err(PyError::not_supported(format_args!(
                "a class derived from '{}'",
                id.name()
            )));
        }
        if id.is_subtype_of(found) {
            found = id;
        } else if !found.is_subtype_of(id) {
            return Err(PyError::type_error(
                "multiple bases have instance lay-out conflict",
            ));
        }
    }
    Ok(found)
}

/// The slots of the base that has the most; those of the others must start it.
fn inherited_slots(bases: &[Ref]) -> Result<Vec<Box<str>>> {
    let mut longest: Vec<Box<str>> = Vec::new();
    for base in bases {
        let View::Type(base) = base.view() else {
            continue;
        };
        let slots = base.class().map_or(&[][..], |class| &class.slots);
        let (short, long) = match slots.len() > longest.len() {
            true => (&longest[..], slots),
            false => (slots, &longest[..]),
        };
        if !long.starts_with(short) {
            return Err(PyError::type_error(
                "multiple bases have instance lay-out conflict",
            ));
        }
        longest = long.to_vec();
    }
    Ok(longest)
}

/// The order in which attributes are looked for behind the class: the C3 linearization of the bases.
///
/// Barrett et al., "A monotonic superclass linearization for Dylan", OOPSLA 1996.
fn linearize(name: &str, bases: &[Ref]) -> Result<Vec<Ref>> {
    let mut sequences: Vec<Vec<Ref>> = bases.iter().map(resolution_order).collect();
    for (index, base) in bases.iter().enumerate() {
        if bases[..index].iter().any(|other| other.is(base)) {
            let message = format!("duplicate base class {}", class_name(base));
            return Err(PyError::type_error(message));
        }
    }
    sequences.push(bases.to_vec());
    let mut order = Vec::new();
    loop {
        sequences.retain(|sequence| !sequence.is_empty());
        if sequences.is_empty() {
            return Ok(order);
        }
        let next = sequences.iter().map(|sequence| &sequence[0]).find(|head| {
            let in_tail = |sequence: &Vec<Ref>| sequence[1..].iter().any(|other| other.is(head));
            !sequences.iter().any(in_tail)
        });
        let Some(next) = next.cloned() else {
            let names: Vec<&str> = bases.iter().map(class_name).collect();
            return Err(PyError::type_error(format!(
                "Cannot create a consistent method resolution order (MRO) for bases {} in class {name}",
                names.join(", ")
            )));
        };
        for sequence in &mut sequences {
            if sequence[0].is(&next) {
                sequence.remove(0);
            }
        }
        order.push(next);
    }
}

fn class_name(of: &Ref) -> &str {
    match of.view() {
        View::Type(of) => of.name(),
        _ => of.type_name(),
    }
}

/// A type and those that it is derived from, in the order in which attributes are looked for.
pub(crate) fn resolution_order(of: &Ref) -> Vec<Ref> {
    let View::Type(of_type) = of.view() else {
        return Vec::new();
    };
    match of_type.class() {
        Some(class) => std::iter::once(of.clone())
            .chain(class.ancestors.iter().cloned())
            .collect(),
        None => {
            let bases = std::iter::successors(Some(of_type.id()), |id| id.base());
            bases.map(Ref::type_object).collect()
        }
    }
}
