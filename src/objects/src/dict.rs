//! Dictionaries, their views and the iterators over them.
//!
//! A dict is an array of entries in the order of insertion, which generated code reads, and an index of it by hash.
//! An entry that is removed leaves a hole until the entries are written anew, so that positions stay what they are.
//! When that happens is CPython's choice, because iterators over a dict that changes show it.
//!
//! Comparing keys never runs code of the program, so nothing changes a dict while a key is looked up.

#![allow(unsafe_code)]

use crate::call::check_count;
use crate::compare;
use crate::error::{PyError, Result};
use crate::hash;
use crate::heap;
use crate::iterator;
use crate::limits;
use crate::object::{Header, Kind, Ref, View};
use crate::ops::BinaryOperator;
use crate::types::TypeId;
use std::cell::{Cell, RefCell};
use std::ptr::NonNull;

/// An entry of a dict; a hole has neither key nor value.
#[repr(C)]
pub struct Entry {
    pub(crate) hash: u64,
    pub(crate) key: Option<Ref>,
    pub(crate) value: Option<Ref>,
}

/// A `dict`.
#[repr(C)]
pub struct Dict {
    header: Header,
    /// The parts of a `Vec<Entry>`, in a layout that generated code can rely on.
    pub(crate) entries: Cell<*mut Entry>,
    pub(crate) length: Cell<usize>,
    capacity: Cell<usize>,
    /// Zero until somebody asks for the version of the keys, and again when they change.
    pub(crate) version: Cell<u32>,
    /// How many entries may be appended before the index is too full.
    usable: Cell<usize>,
    /// Entries that are not holes.
    used: Cell<usize>,
    /// Open addressing; a power of two of positions in `entries`, or none.
    index: RefCell<Vec<u32>>,
}

/// A slot of the index that was never used.
const EMPTY: u32 = u32::MAX;
/// A slot of the index whose entry was removed: a search goes on behind it.
const REMOVED: u32 = u32::MAX - 1;
/// The smallest index.
const SMALLEST: usize = 8;
/// How many bits of the hash each step of a search brings in.
const PERTURB_SHIFT: u32 = 5;

thread_local! {
    static LAST_VERSION: Cell<u32> = const { Cell::new(0) };
}

/// How many entries an index of this size serves.
const fn usable(size: usize) -> usize {
    size * 2 / 3
}

/// The slots in which an entry of this hash may be, in the order of the search: every slot comes in the end.
fn slots(hash: u64, size: usize) -> impl Iterator<Item = usize> {
    let mask = size - 1;
    let mut slot = hash as usize & mask;
    let mut perturb = hash;
    std::iter::repeat_with(move || {
        let this = slot;
        perturb >>= PERTURB_SHIFT;
        slot = slot
            .wrapping_mul(5)
            .wrapping_add(perturb as usize)
            .wrapping_add(1)
            & mask;
        this
    })
}

impl Ref {
    /// An empty dict.
    pub fn dict() -> Self {
        heap::allocate(Dict {
            header: Header::new(Kind::Dict, 0),
            entries: Cell::new(std::ptr::null_mut()),
            length: Cell::new(0),
            capacity: Cell::new(0),
            version: Cell::new(0),
            usable: Cell::new(0),
            used: Cell::new(0),
            index: RefCell::new(Vec::new()),
        })
    }

    /// A dict of these items, of which later ones replace earlier ones.
    ///
    /// # Errors
    /// `TypeError` if a key has no hash.
    pub fn dict_of(items: impl IntoIterator<Item = (Ref, Ref)>) -> Result<Self> {
        let dict = Self::dict();
        if let View::Dict(new) = dict.view() {
            for (key, value) in items {
                new.insert(key, value)?;
            }
        }
        Ok(dict)
    }
}

impl Dict {
    /// How many items there are.
    pub fn len(&self) -> usize {
        self.used.get()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of a key.
    ///
    /// # Errors
    /// `TypeError` if the key has no hash.
    pub fn get(&self, key: &Ref) -> Result<Option<Ref>> {
        let position = self.find(key, hash::hash(key)? as u64)?;
        Ok(position.and_then(|position| self.entry(position)?.value.clone()))
    }

    /// Whether there is such a key.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn contains(&self, key: &Ref) -> Result<bool> {
        Ok(self.find(key, hash::hash(key)? as u64)?.is_some())
    }

    /// The value of a key that is a string.
    pub fn get_str(&self, key: &str) -> Option<Ref> {
        self.entry(self.index_of(key)?)?.value.clone()
    }

    /// The position among the entries of a key that is a string; it stays the same as long as the version of the keys
    /// does.
    pub fn index_of(&self, key: &str) -> Option<usize> {
        let key = Ref::str(key);
        let hash = hash::hash(&key).ok()? as u64;
        self.find(&key, hash).ok().flatten()
    }

    /// Adds an item, or replaces the value of an equal key.
    ///
    /// # Errors
    /// `TypeError` if the key has no hash, `MemoryError` if there would be too many items.
    pub fn insert(&self, key: Ref, value: Ref) -> Result<()> {
        let hash = hash::hash(&key)? as u64;
        self.insert_hashed(key, hash, value)
    }

    /// As [`insert`](Self::insert) with a key that is a string. A dict that is full stays as it is.
    pub fn insert_str(&self, key: &str, value: Ref) {
        let _ = self.insert(Ref::str(key), value);
    }

    pub(crate) fn insert_hashed(&self, key: Ref, hash: u64, value: Ref) -> Result<()> {
        match self.find(&key, hash)? {
            Some(position) => drop(self.replace(position, value)),
            None => self.append(key, hash, value)?,
        }
        Ok(())
    }

    /// Removes an item and returns its value.
    ///
    /// # Errors
    /// `TypeError` if the key has no hash.
    pub fn remove(&self, key: &Ref) -> Result<Option<Ref>> {
        let position = self.find(key, hash::hash(key)? as u64)?;
        Ok(position
            .and_then(|position| self.take_at(position))
            .map(|(_, value)| value))
    }

    /// Removes the item that was added last.
    pub fn pop_last(&self) -> Option<(Ref, Ref)> {
        let position = (0..self.length.get()).rev().find(|&position| {
            self.entry(position)
                .is_some_and(|entry| entry.key.is_some())
        })?;
        let item = self.take_at(position);
        // What is cut off are holes. Their slots in the index stay used, so `usable` does not grow.
        self.length.set(position);
        item
    }

    /// Removes every item.
    pub fn clear(&self) {
        let entries = self.take_entries();
        self.index.borrow_mut().clear();
        self.usable.set(0);
        self.used.set(0);
        self.version.set(0);
        drop(entries);
    }

    /// Copies of the items in order, and of those that are added meanwhile.
    pub fn iter(&self) -> impl Iterator<Item = (Ref, Ref)> + '_ {
        (0..)
            .map_while(|position| self.entry(position))
            .filter_map(|entry| Some((entry.key.clone()?, entry.value.clone()?)))
    }

    /// Copies of the keys in order.
    pub fn keys(&self) -> impl Iterator<Item = Ref> + '_ {
        self.iter().map(|(key, _)| key)
    }

    /// A number that no other keys of a dict of this thread have: it changes when a key is added or removed, or an
    /// entry moves, but not when a value is replaced. Never zero.
    pub fn keys_version(&self) -> u32 {
        if self.version.get() == 0 {
            let next = LAST_VERSION.get().saturating_add(1);
            if next == u32::MAX {
                // The numbers are used up: this one is given, but no dict has it.
                return next;
            }
            LAST_VERSION.set(next);
            self.version.set(next);
        }
        self.version.get()
    }

    /// Adds the items of another dict, which replace those of equal keys.
    ///
    /// # Errors
    /// `MemoryError` if there would be too many items.
    pub fn merge(&self, other: &Self) -> Result<()> {
        if std::ptr::eq(self, other) {
            return Ok(());
        }
        for (key, hash, value) in other.hashed_items() {
            self.insert_hashed(key, hash, value)?;
        }
        Ok(())
    }

    /// `dict.update(items)`: the items of a dict, or pairs of key and value.
    ///
    /// # Errors
    /// `TypeError` or `ValueError` if they are neither, `TypeError` if a key has no hash.
    pub fn update(&self, items: &Ref) -> Result<()> {
        if let View::Dict(other) = items.view() {
            return self.merge(other);
        }
        for (index, pair) in iterator::items(items)?.enumerate() {
            let (key, value) = as_pair(&pair?, index)?;
            self.insert(key, value)?;
        }
        Ok(())
    }

    /// The keys, their hashes and values in order.
    pub(crate) fn hashed_items(&self) -> impl Iterator<Item = (Ref, u64, Ref)> + '_ {
        (0..)
            .map_while(|position| self.entry(position))
            .filter_map(|entry| Some((entry.key.clone()?, entry.hash, entry.value.clone()?)))
    }

    /// Makes room for this many items more.
    pub(crate) fn reserve(&self, more: usize) {
        if more > self.usable.get() {
            self.rebuild((self.len() + more) * 3 / 2 + 1);
        }
    }

    /// A dict of the same items.
    pub fn copy(&self) -> Ref {
        let copy = Ref::dict();
        if let View::Dict(new) = copy.view() {
            new.reserve(self.len());
            for (key, hash, value) in self.hashed_items() {
                new.append_new(key, hash, value);
            }
        }
        copy
    }

    /// Whether the same keys have values that are equal by this function.
    pub(crate) fn equals(
        &self,
        other: &Self,
        mut equal: impl FnMut(&Ref, &Ref) -> Result<bool>,
    ) -> Result<bool> {
        if self.len() != other.len() {
            return Ok(false);
        }
        for (key, hash, value) in self.hashed_items() {
            let Some(position) = other.find(&key, hash)? else {
                return Ok(false);
            };
            let Some(theirs) = other.entry(position).and_then(|e| e.value.clone()) else {
                return Ok(false);
            };
            if !equal(&value, &theirs)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The position of a key among the entries.
    pub(crate) fn find(&self, key: &Ref, hash: u64) -> Result<Option<usize>> {
        let index = self.index.borrow();
        if index.is_empty() {
            return Ok(None);
        }
        for slot in slots(hash, index.len()) {
            match index[slot] {
                EMPTY => break,
                REMOVED => {}
                position => {
                    if let Some(entry) = self.entry(position as usize)
                        && entry.hash == hash
                        && let Some(found) = &entry.key
                        && is_key(found, key)?
                    {
                        return Ok(Some(position as usize));
                    }
                }
            }
        }
        Ok(None)
    }

    /// The entry at a position.
    pub(crate) fn entry(&self, position: usize) -> Option<&Entry> {
        if position >= self.length.get() {
            return None;
        }
        // SAFETY: `length` entries are there. Nothing changes the dict while the reference is used: the callers, all
        // in this package, copy what they need before they do anything else, or compare keys.
        Some(unsafe { &*self.entries.get().add(position) })
    }

    /// Replaces the value of the entry at a position, which is there, and returns the old one.
    pub(crate) fn replace(&self, position: usize, value: Ref) -> Option<Ref> {
        debug_assert!(position < self.length.get());
        // SAFETY: as in `entry`; the old value is returned, not dropped here.
        unsafe { (*self.entries.get().add(position)).value.replace(value) }
    }

    /// Appends an entry whose key is not there yet.
    pub(crate) fn append(&self, key: Ref, hash: u64, value: Ref) -> Result<()> {
        limits::check_items(self.len() + 1)?;
        if self.usable.get() == 0 {
            self.rebuild(self.len() * 3);
        }
        self.append_new(key, hash, value);
        Ok(())
    }

    /// As [`append`](Self::append) where there is room.
    fn append_new(&self, key: Ref, hash: u64, value: Ref) {
        let position = self.length.get();
        let mut index = self.index.borrow_mut();
        let size = index.len();
        if let Some(slot) = slots(hash, size).find(|&slot| index[slot] == EMPTY) {
            // Positions are below `limits::Limits::items`, and so far below the marks.
            index[slot] = position as u32;
        }
        let mut entries = self.take_entries();
        entries.push(Entry {
            hash,
            key: Some(key),
            value: Some(value),
        });
        self.put_entries(entries);
        self.usable.set(self.usable.get() - 1);
        self.used.set(self.used.get() + 1);
        self.version.set(0);
    }

    /// Takes the item at a position out; it becomes a hole.
    fn take_at(&self, position: usize) -> Option<(Ref, Ref)> {
        let hash = self.entry(position)?.hash;
        let mut index = self.index.borrow_mut();
        let size = index.len();
        let slot = slots(hash, size)
            .take_while(|&slot| index[slot] != EMPTY)
            .find(|&slot| index[slot] as usize == position)?;
        index[slot] = REMOVED;
        // SAFETY: as in `entry`.
        let entry = unsafe { &mut *self.entries.get().add(position) };
        let item = entry.key.take().zip(entry.value.take());
        self.used.set(self.used.get() - 1);
        self.version.set(0);
        item
    }

    /// Writes the entries anew, without holes, with an index for at least this many slots.
    fn rebuild(&self, slots_wanted: usize) {
        // CPython's rounding: 16 becomes 32.
        let size = (slots_wanted | SMALLEST).next_power_of_two().max(SMALLEST);
        let mut entries = self.take_entries();
        entries.retain(|entry| entry.key.is_some());
        entries.reserve_exact(usable(size).saturating_sub(entries.len()));
        let mut index = vec![EMPTY; size];
        for (position, entry) in entries.iter().enumerate() {
            if let Some(slot) = slots(entry.hash, size).find(|&slot| index[slot] == EMPTY) {
                index[slot] = position as u32;
            }
        }
        self.usable.set(usable(size) - entries.len());
        self.put_entries(entries);
        *self.index.borrow_mut() = index;
        self.version.set(0);
    }

    /// Takes the entries out; the dict then has none.
    fn take_entries(&self) -> Vec<Entry> {
        let length = self.length.replace(0);
        let capacity = self.capacity.replace(0);
        let Some(buffer) = NonNull::new(self.entries.replace(std::ptr::null_mut())) else {
            return Vec::new();
        };
        // SAFETY: the parts are those of a vector (`put_entries`); only `pop_last` makes the length smaller, where no
        // entry owns anything, and generated code changes only values.
        unsafe { Vec::from_raw_parts(buffer.as_ptr(), length, capacity) }
    }

    /// Puts entries into a dict that has none.
    fn put_entries(&self, entries: Vec<Entry>) {
        let mut entries = std::mem::ManuallyDrop::new(entries);
        if entries.capacity() > 0 {
            self.entries.set(entries.as_mut_ptr());
        }
        self.length.set(entries.len());
        self.capacity.set(entries.capacity());
    }
}

impl Drop for Dict {
    fn drop(&mut self) {
        drop(self.take_entries());
    }
}

/// Whether a key of the same hash is the one that is looked for.
fn is_key(found: &Ref, key: &Ref) -> Result<bool> {
    match (found.view(), key.view()) {
        _ if found.is(key) => Ok(true),
        (View::Str(found), View::Str(key)) => Ok(found.units() == key.units()),
        _ => compare::same_or_equal(&found.clone(), key),
    }
}

/// The two items of an element of what a dict is updated from.
fn as_pair(element: &Ref, index: usize) -> Result<(Ref, Ref)> {
    let items = iterator::items(element).map_err(|error| {
        error.instead(|| {
            PyError::type_error(format!(
                "cannot convert dictionary update sequence element #{index} to a sequence"
            ))
        })
    })?;
    let items = limits::collect(items)?;
    match <[Ref; 2]>::try_from(items) {
        Ok([key, value]) => Ok((key, value)),
        Err(items) => Err(PyError::value(format!(
            "dictionary update sequence element #{index} has length {}; 2 is required",
            items.len()
        ))),
    }
}

/// `dict(*arguments)`
pub(crate) fn construct(arguments: &[Ref]) -> Result<Ref> {
    check_count("dict", arguments, 0..=1)?;
    let made = Ref::dict();
    if let (View::Dict(dict), Some(items)) = (made.view(), arguments.first()) {
        dict.update(items)?;
    }
    Ok(made)
}

/// `a | b` of dicts, and `a |= b` of a dict and what [`Dict::update`] takes; `None` if that means nothing.
pub(crate) fn binary(
    operator: BinaryOperator,
    in_place: bool,
    a: &Ref,
    b: &Ref,
) -> Option<Result<Ref>> {
    let View::Dict(left) = a.view() else {
        return None;
    };
    match (operator, b.view()) {
        (BinaryOperator::Or, _) if in_place => Some(left.update(b).map(|()| a.clone())),
        (BinaryOperator::Or, View::Dict(right)) => {
            let copy = left.copy();
            let merged = match copy.view() {
                View::Dict(new) => new.merge(right),
                _ => Ok(()),
            };
            Some(merged.map(|()| copy))
        }
        _ => None,
    }
}

/// What of each item a view or an iterator gives. The numbers are flags of their headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Part {
    /// The key.
    Key = 0,
    /// The value.
    Value = 1,
    /// A tuple of both.
    Item = 2,
}

impl Part {
    const MASK: u32 = 3;

    fn of_flags(flags: u32) -> Self {
        match flags & Self::MASK {
            0 => Self::Key,
            1 => Self::Value,
            _ => Self::Item,
        }
    }

    fn of(self, key: Ref, value: Ref) -> Ref {
        match self {
            Self::Key => key,
            Self::Value => value,
            Self::Item => Ref::tuple(vec![key, value]),
        }
    }
}

/// A view of a dict: `dict_keys`, `dict_values` or `dict_items`.
#[repr(C)]
pub struct DictView {
    header: Header,
    dict: Ref,
}

impl DictView {
    /// What the view shows of each item.
    pub fn part(&self) -> Part {
        Part::of_flags(self.header.flags.get())
    }

    pub(crate) fn type_id(&self) -> TypeId {
        match self.part() {
            Part::Key => TypeId::DictKeys,
            Part::Value => TypeId::DictValues,
            Part::Item => TypeId::DictItems,
        }
    }

    /// The dict that is viewed, as an object.
    pub fn object(&self) -> &Ref {
        &self.dict
    }

    /// Whether the view has the operations of sets: not that of the values.
    pub fn is_set_like(&self) -> bool {
        self.part() != Part::Value
    }

    /// How many items there are.
    pub fn len(&self) -> usize {
        self.dict().map_or(0, Dict::len)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the view shows, in order.
    pub fn iter(&self) -> impl Iterator<Item = Ref> + '_ {
        let part = self.part();
        self.dict()
            .into_iter()
            .flat_map(Dict::iter)
            .map(move |(key, value)| part.of(key, value))
    }

    /// `item in view`
    ///
    /// # Errors
    /// `TypeError` if a key has no hash.
    pub fn contains(&self, item: &Ref) -> Result<bool> {
        let Some(dict) = self.dict() else {
            return Ok(false);
        };
        match (self.part(), item.view()) {
            (Part::Key, _) => dict.contains(item),
            (Part::Value, _) => {
                for (_, value) in dict.iter() {
                    if compare::same_or_equal(&value, item)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            (Part::Item, View::Tuple(pair)) => match pair.items() {
                [key, value] => match dict.get(key)? {
                    Some(found) => compare::same_or_equal(&found, value),
                    None => Ok(false),
                },
                _ => Ok(false),
            },
            (Part::Item, _) => Ok(false),
        }
    }

    fn dict(&self) -> Option<&Dict> {
        self.dict.downcast()
    }
}

/// An iterator over a dict.
#[repr(C)]
pub struct DictIterator {
    header: Header,
    /// Null once exhausted.
    dict: Cell<Option<Ref>>,
    /// Of the next entry; counted from the end if the iterator goes backwards.
    position: Cell<usize>,
    /// The items of the dict at the start. A dict that has another number of them was changed.
    expected: Cell<usize>,
    /// How many items are left.
    remaining: Cell<usize>,
}

/// Flag of an iterator that goes backwards, beside the [`Part`].
const FLAG_REVERSED: u32 = 4;

impl DictIterator {
    /// What the iterator gives of each item.
    pub fn part(&self) -> Part {
        Part::of_flags(self.header.flags.get())
    }

    /// Whether it goes backwards.
    pub fn is_reversed(&self) -> bool {
        self.header.flags.get() & FLAG_REVERSED != 0
    }

    pub(crate) fn type_id(&self) -> TypeId {
        match (self.part(), self.is_reversed()) {
            (Part::Key, false) => TypeId::DictKeyIterator,
            (Part::Value, false) => TypeId::DictValueIterator,
            (Part::Item, false) => TypeId::DictItemIterator,
            (Part::Key, true) => TypeId::DictReverseKeyIterator,
            (Part::Value, true) => TypeId::DictReverseValueIterator,
            (Part::Item, true) => TypeId::DictReverseItemIterator,
        }
    }

    /// How many items are left, as long as the dict is not changed.
    pub fn remaining(&self) -> usize {
        self.remaining.get()
    }

    /// The dict, unless the iterator is exhausted.
    pub fn dict(&self) -> Option<Ref> {
        let dict = self.dict.take();
        self.dict.set(dict.clone());
        dict
    }

    pub(crate) fn advance(&self) -> Result<Option<Ref>> {
        let Some(object) = self.dict() else {
            return Ok(None);
        };
        let View::Dict(dict) = object.view() else {
            return Ok(None);
        };
        if self.expected.get() != dict.len() {
            // It stays in this state, as in CPython.
            self.expected.set(usize::MAX);
            let message = "dictionary changed size during iteration";
            return Err(PyError::runtime(message));
        }
        let Some((key, value)) = self.next_item(dict) else {
            self.dict.set(None);
            return Ok(None);
        };
        let Some(remaining) = self.remaining.get().checked_sub(1) else {
            self.dict.set(None);
            let message = "dictionary keys changed during iteration";
            return Err(PyError::runtime(message));
        };
        self.remaining.set(remaining);
        Ok(Some(self.part().of(key, value)))
    }

    fn next_item(&self, dict: &Dict) -> Option<(Ref, Ref)> {
        loop {
            let position = self.position.get();
            let entry = dict.entry(position)?;
            // At the start the position wraps around, and no entry is there.
            self.position.set(if self.is_reversed() {
                position.wrapping_sub(1)
            } else {
                position + 1
            });
            if let (Some(key), Some(value)) = (&entry.key, &entry.value) {
                return Some((key.clone(), value.clone()));
            }
        }
    }
}

impl Ref {
    /// `dict.keys()`, `dict.values()` or `dict.items()`.
    ///
    /// # Errors
    /// Gives the object back if it is not a dict.
    pub fn dict_view(dict: Ref, part: Part) -> std::result::Result<Self, Ref> {
        if dict.kind() != Kind::Dict {
            return Err(dict);
        }
        Ok(heap::allocate(DictView {
            header: Header::new(Kind::DictView, part as u32),
            dict,
        }))
    }

    /// An iterator over a dict, from the first or the last item on.
    ///
    /// # Errors
    /// Gives the object back if it is not a dict.
    pub fn dict_iterator(dict: Ref, part: Part, reversed: bool) -> std::result::Result<Self, Ref> {
        let View::Dict(of) = dict.view() else {
            return Err(dict);
        };
        let flags = part as u32 | if reversed { FLAG_REVERSED } else { 0 };
        let start = if reversed {
            of.length.get().wrapping_sub(1)
        } else {
            0
        };
        let length = of.len();
        Ok(heap::allocate(DictIterator {
            header: Header::new(Kind::DictIterator, flags),
            dict: Cell::new(Some(dict)),
            position: Cell::new(start),
            expected: Cell::new(length),
            remaining: Cell::new(length),
        }))
    }
}
