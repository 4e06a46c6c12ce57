//! Instances of classes of the program: values inline, and a dict once there are attributes without a place or somebody
//! asks for it.

#![allow(unsafe_code)]

use crate::class::Class;
use crate::error::{PyError, Result};
use crate::heap;
use crate::object::{Header, Kind, Ref, View};
use crate::types::{Type, TypeId};
use std::cell::Cell;
use std::mem::offset_of;
use std::ptr::NonNull;

/// The most values that an instance has.
pub(crate) const MOST_VALUES: usize = 32;

/// An instance. Its values follow it; their number is the class's.
#[repr(C)]
pub struct Instance {
    header: Header,
    pub(crate) class: Ref,
    /// Its `__dict__`, once there is one; the values behind the slots are then empty.
    pub(crate) dict: Cell<Option<Ref>>,
    pub(crate) value_count: u32,
    /// How many values behind the slots there are.
    pub(crate) order_length: Cell<u32>,
    /// Which ones, in the order in which they were set: for each the offset of the value in words, from the start of the
    /// instance.
    pub(crate) order: [Cell<u8>; MOST_VALUES],
    pub(crate) values: [Cell<Option<Ref>>; 0],
}

/// The offset of the first value in words.
const FIRST_WORD: usize = offset_of!(Instance, values) / size_of::<usize>();

impl Instance {
    /// Its class, as an object.
    pub fn class_object(&self) -> &Ref {
        &self.class
    }

    /// Its class as a type.
    pub fn of(&self) -> &Type {
        match self.class.view() {
            View::Type(class) => class,
            _ => unreachable!("instances are made of classes only"),
        }
    }

    /// Its class.
    pub fn class(&self) -> &Class {
        match self.of().class() {
            Some(class) => class,
            None => unreachable!("instances are made of classes of the program only"),
        }
    }

    fn values(&self) -> &[Cell<Option<Ref>>] {
        // SAFETY: `Ref::instance_of` makes so many values behind the instance, and they stay.
        unsafe { std::slice::from_raw_parts(self.values.as_ptr(), self.value_count as usize) }
    }

    /// Its `__dict__`, if there is one already.
    pub fn existing_dict(&self) -> Option<Ref> {
        copy(&self.dict)
    }

    /// A value, whatever it is the place of.
    pub(crate) fn value(&self, index: usize) -> Option<Ref> {
        copy(self.values().get(index)?)
    }

    /// Replaces a value, a slot if `in_order` is false.
    fn replace(&self, index: usize, value: Option<Ref>, in_order: bool) -> Option<Ref> {
        let is_set = value.is_some();
        let old = self.values()[index].replace(value);
        if in_order && is_set != old.is_some() {
            self.note(index, is_set);
        }
        old
    }

    /// Notes that a value, given by its offset in bytes, was set behind all others.
    pub(crate) fn note_offset(&self, offset: usize) {
        self.note(offset / size_of::<usize>() - FIRST_WORD, true);
    }

    /// Keeps the order of the values that are set.
    fn note(&self, index: usize, is_set: bool) {
        let word = (FIRST_WORD + index) as u8;
        let length = self.order_length.get() as usize;
        if is_set {
            self.order[length].set(word);
            self.order_length.set(length as u32 + 1);
            return;
        }
        let order = &self.order[..length];
        let position = order.iter().position(|other| other.get() == word);
        for index in position.unwrap_or(length)..length.saturating_sub(1) {
            order[index].set(order[index + 1].get());
        }
        self.order_length.set(length.saturating_sub(1) as u32);
    }

    /// The indices of the values that are set, slots not included, in the order in which they were set.
    fn order(&self) -> impl Iterator<Item = usize> {
        let order = &self.order[..self.order_length.get() as usize];
        order
            .iter()
            .map(|word| usize::from(word.get()) - FIRST_WORD)
    }

    /// What the slot holds.
    pub(crate) fn replace_slot(&self, index: usize, value: Option<Ref>) -> Option<Ref> {
        self.replace(index, value, false)
    }

    /// The instance's own attribute, not a slot.
    pub fn own(&self, name: &str) -> Option<Ref> {
        if let Some(dict) = self.existing_dict() {
            return match dict.view() {
                View::Dict(dict) => dict.get_str(name),
                _ => None,
            };
        }
        self.value(self.class().inline_index(name)?)
    }

    /// Sets the instance's own attribute, not a slot; the class allows other attributes.
    pub fn set_own(&self, name: &str, value: Ref) {
        if self.dict_ref().is_none()
            && let Some(index) = self.of().place_for(name)
        {
            drop(self.replace(index, Some(value), true));
            return;
        }
        if let View::Dict(dict) = self.make_dict().view() {
            dict.insert_str(name, value);
        }
    }

    /// Sets an attribute, a slot or not, without calling anything. Returns whether the class allows it.
    pub(crate) fn set_initial(&self, name: &str, value: Ref) -> bool {
        match self.class().slot(name) {
            Some(slot) => drop(self.replace_slot(slot, Some(value))),
            None if self.class().has_dict() => self.set_own(name, value),
            None => return false,
        }
        true
    }

    /// Deletes the instance's own attribute, not a slot, and gives what it was.
    pub fn delete_own(&self, name: &str) -> Result<Option<Ref>> {
        if let Some(dict) = self.existing_dict() {
            return match dict.view() {
                View::Dict(dict) => dict.remove(&Ref::str(name)),
                _ => Ok(None),
            };
        }
        let Some(index) = self.class().inline_index(name) else {
            return Ok(None);
        };
        Ok(self.replace(index, None, true))
    }

    fn dict_ref(&self) -> Option<NonNull<Header>> {
        let dict = copy(&self.dict)?;
        NonNull::new(dict.as_ptr())
    }

    /// Its `__dict__`, made of the inline values where there is none.
    pub fn make_dict(&self) -> Ref {
        if let Some(dict) = self.existing_dict() {
            return dict;
        }
        let made = Ref::dict();
        let (class, indices) = (self.class(), self.order().collect::<Vec<_>>());
        if let View::Dict(dict) = made.view() {
            for index in indices {
                let value = self.values()[index].take();
                if let (Some(name), Some(value)) = (class.value_name(index), value) {
                    // A string has a hash, and so few items never are too many.
                    let _ = dict.insert(name, value);
                }
            }
        }
        self.order_length.set(0);
        self.dict.set(Some(made.clone()));
        made
    }

    /// Copies of its attributes: those that are set of its slots in their order, then the others in the order in which
    /// they were set.
    pub fn attributes(&self) -> Vec<(Ref, Ref)> {
        let class = self.class();
        let slots = 0..class.slots().count();
        let own = self.order().collect::<Vec<_>>();
        let mut all: Vec<(Ref, Ref)> = slots
            .chain(own)
            .filter_map(|index| Some((class.value_name(index)?, self.value(index)?)))
            .collect();
        if let Some(dict) = self.existing_dict()
            && let View::Dict(dict) = dict.view()
        {
            all.extend(dict.iter());
        }
        all
    }
}

fn copy(place: &Cell<Option<Ref>>) -> Option<Ref> {
    let value = place.take();
    place.set(value.clone());
    value
}

impl Ref {
    /// An instance of a class of the program with these attributes, set in this order without calling anything.
    ///
    /// # Errors
    /// `NotSupported` if the class is a built-in type or an exception, `AttributeError` for an attribute that its
    /// instances cannot have.
    pub fn instance(
        class: &Ref,
        attributes: impl IntoIterator<Item = (String, Ref)>,
    ) -> Result<Self> {
        let made = Self::instance_of(class)?;
        let View::Instance(instance) = made.view() else {
            unreachable!("`instance_of` makes nothing else")
        };
        for (name, value) in attributes {
            if !instance.set_initial(&name, value) {
                return Err(crate::attribute::no_dict(&made, &name));
            }
        }
        Ok(made)
    }

    /// An instance of a class of the program without attributes.
    pub(crate) fn instance_of(class: &Ref) -> Result<Self> {
        let (number, count) = match class.view() {
            View::Type(of) => match of.class() {
                Some(class) if of.id() == TypeId::Object => (class.number, class.capacity),
                _ => {
                    let name = of.name();
                    return Err(PyError::not_supported(format_args!(
                        "an instance of '{name}'"
                    )));
                }
            },
            _ => return Err(PyError::type_error("expected a class")),
        };
        let header = Header::new(Kind::Instance, 0);
        header.kind.set(number);
        let start = Instance {
            header,
            class: class.clone(),
            dict: Cell::new(None),
            value_count: count as u32,
            order_length: Cell::new(0),
            order: [const { Cell::new(0) }; MOST_VALUES],
            values: [],
        };
        let block = heap::allocate_block(size(count)).cast::<Instance>();
        // SAFETY: the block has room for the instance and its values, all of which are written before it is used.
        unsafe {
            block.write(start);
            let values = block.byte_add(offset_of!(Instance, values));
            let values = values.cast::<Cell<Option<Ref>>>();
            for index in 0..count {
                values.add(index).write(Cell::new(None));
            }
            Ok(Ref::from_raw(block.cast::<Header>().as_ptr()))
        }
    }
}

/// The bytes of an instance with its values.
fn size(values: usize) -> usize {
    size_of::<Instance>() + values * size_of::<Cell<Option<Ref>>>()
}

/// Drops what an instance owns and returns the size of its block.
///
/// # Safety
/// `object` is an instance; afterwards it is only a block.
pub(crate) unsafe fn drop_contents(object: NonNull<Header>) -> usize {
    let instance = object.cast::<Instance>();
    // SAFETY: the caller's promise.
    unsafe {
        let count = instance.as_ref().value_count as usize;
        for value in instance.as_ref().values() {
            drop(value.take());
        }
        instance.drop_in_place();
        size(count)
    }
}
