//! Sets: `set`, `frozenset`, and the iterator over them.
//!
//! Programs see the order in which a set iterates, so the table is CPython's: its probing, its sizes and the way each
//! operation fills it (the facts are those of `Objects/setobject.c` of 3.13). Sets of numbers and of tuples of them
//! iterate as there; strings, whose hashes are random there, do not.
//!
//! Comparing items never runs code of the program, so nothing changes a set while an item is looked up.

use crate::compare::{self, Comparison};
use crate::error::{PyError, Result};
use crate::hash;
use crate::heap;
use crate::iterator;
use crate::limits;
use crate::object::{Header, Kind, Ref, View};
use std::cell::{Cell, RefCell};

/// A `set` or `frozenset`.
#[repr(C)]
pub struct Set {
    header: Header,
    table: RefCell<Table>,
}

/// How many slots behind the first are looked at before the search jumps.
const LINEAR_PROBES: usize = 9;
/// How many bits of the hash each jump brings in.
const PERTURB_SHIFT: u32 = 5;
/// The smallest table.
const SMALLEST: usize = 8;
/// From this many items on a table doubles instead of growing fourfold.
const LARGE: usize = 50_000;

#[derive(Clone)]
enum Slot {
    Empty,
    /// An item was removed: a search goes on behind it.
    Removed,
    Item(Ref, i64),
}

impl Slot {
    fn item(&self) -> Option<(&Ref, i64)> {
        match self {
            Self::Item(item, hash) => Some((item, *hash)),
            _ => None,
        }
    }
}

struct Table {
    /// A power of two.
    slots: Vec<Slot>,
    /// Slots that are not empty.
    fill: usize,
    /// Slots with items.
    used: usize,
    /// Where `pop` looks next.
    finger: usize,
}

/// Where an item is, or may be added.
enum Place {
    Found(usize),
    Free(usize),
}

impl Table {
    fn new() -> Self {
        Self {
            slots: vec![Slot::Empty; SMALLEST],
            fill: 0,
            used: 0,
            finger: 0,
        }
    }

    fn mask(&self) -> usize {
        self.slots.len() - 1
    }

    /// The slots of a hash in the order of the search.
    fn probes(mask: usize, hash: i64) -> impl Iterator<Item = usize> {
        let mut start = hash as usize & mask;
        let mut perturb = hash as u64;
        std::iter::repeat_with(move || {
            let run = start;
            perturb >>= PERTURB_SHIFT;
            start = start
                .wrapping_mul(5)
                .wrapping_add(1)
                .wrapping_add(perturb as usize)
                & mask;
            let more = if run + LINEAR_PROBES <= mask {
                LINEAR_PROBES
            } else {
                0
            };
            run..=run + more
        })
        .flatten()
    }

    fn find(&self, item: &Ref, hash: i64) -> Result<Place> {
        let mut removed = None;
        for index in Self::probes(self.mask(), hash) {
            match &self.slots[index] {
                Slot::Empty => return Ok(Place::Free(removed.unwrap_or(index))),
                Slot::Removed => removed = Some(index),
                Slot::Item(found, theirs) => {
                    if *theirs == hash && is_item(found, item)? {
                        return Ok(Place::Found(index));
                    }
                }
            }
        }
        // Not reached: there always is an empty slot.
        Ok(Place::Free(0))
    }

    fn contains(&self, item: &Ref, hash: i64) -> Result<bool> {
        Ok(matches!(self.find(item, hash)?, Place::Found(_)))
    }

    /// Adds an item; whether it was not there.
    fn add(&mut self, item: Ref, hash: i64) -> Result<bool> {
        let Place::Free(index) = self.find(&item, hash)? else {
            return Ok(false);
        };
        limits::check_items(self.used + 1)?;
        let was_empty = matches!(self.slots[index], Slot::Empty);
        self.slots[index] = Slot::Item(item, hash);
        self.used += 1;
        if was_empty {
            self.fill += 1;
            if self.fill * 5 >= self.mask() * 3 {
                self.resize(self.grown());
            }
        }
        Ok(true)
    }

    /// Takes an item out, if it is there.
    fn discard(&mut self, item: &Ref, hash: i64) -> Result<Option<Ref>> {
        match self.find(item, hash)? {
            Place::Found(index) => Ok(self.take(index)),
            Place::Free(_) => Ok(None),
        }
    }

    fn take(&mut self, index: usize) -> Option<Ref> {
        match std::mem::replace(&mut self.slots[index], Slot::Removed) {
            Slot::Item(item, _) => {
                self.used -= 1;
                Some(item)
            }
            _ => None,
        }
    }

    fn pop(&mut self) -> Option<Ref> {
        if self.used == 0 {
            return None;
        }
        let mut index = self.finger & self.mask();
        while self.slots[index].item().is_none() {
            index = (index + 1) & self.mask();
        }
        self.finger = index + 1;
        self.take(index)
    }

    fn grown(&self) -> usize {
        self.used * if self.used > LARGE { 2 } else { 4 }
    }

    /// Writes the items into a table of more than `wanted` slots.
    fn resize(&mut self, wanted: usize) {
        let size = (wanted + 1).next_power_of_two().max(SMALLEST);
        let is_smallest = size == SMALLEST && self.slots.len() == SMALLEST;
        if is_smallest && self.fill == self.used {
            return;
        }
        let old = std::mem::replace(&mut self.slots, vec![Slot::Empty; size]);
        for slot in old {
            if let Slot::Item(item, hash) = slot {
                self.put(item, hash);
            }
        }
        self.fill = self.used;
    }

    /// Writes an item that is not there into a table without removed items; the counts stay.
    fn put(&mut self, item: Ref, hash: i64) {
        let mask = self.mask();
        let mut probes = Self::probes(mask, hash);
        if let Some(index) = probes.find(|&index| matches!(self.slots[index], Slot::Empty)) {
            self.slots[index] = Slot::Item(item, hash);
        }
    }

    /// Adds the items of another table.
    fn merge(&mut self, other: &Self) -> Result<()> {
        if other.used == 0 {
            return Ok(());
        }
        limits::check_items(self.used + other.used)?;
        if (self.fill + other.used) * 5 >= self.mask() * 3 {
            self.resize((self.used + other.used) * 2);
        }
        if self.fill > 0 {
            for (item, hash) in other.items() {
                self.add(item.clone(), hash)?;
            }
            return Ok(());
        }
        if self.slots.len() == other.slots.len() && other.fill == other.used {
            self.slots.clone_from(&other.slots);
        } else {
            for (item, hash) in other.items() {
                self.put(item.clone(), hash);
            }
        }
        self.fill = other.used;
        self.used = other.used;
        Ok(())
    }

    fn items(&self) -> impl Iterator<Item = (&Ref, i64)> {
        self.slots.iter().filter_map(Slot::item)
    }
}

/// Whether an item of the same hash is the one that is looked for.
fn is_item(found: &Ref, item: &Ref) -> Result<bool> {
    match (found.view(), item.view()) {
        _ if found.is(item) => Ok(true),
        (View::Str(found), View::Str(item)) => Ok(found.units() == item.units()),
        _ => compare::same_or_equal(found, item),
    }
}

fn new(kind: Kind, table: Table) -> Ref {
    heap::allocate(Set {
        header: Header::new(kind, 0),
        table: RefCell::new(table),
    })
}

impl Ref {
    /// An empty set.
    pub fn set() -> Self {
        new(Kind::Set, Table::new())
    }

    /// A set of these items.
    ///
    /// # Errors
    /// `TypeError` if an item has no hash, `MemoryError` if there are too many.
    pub fn set_of(items: impl IntoIterator<Item = Ref>) -> Result<Self> {
        collect(Kind::Set, items)
    }

    /// A frozen set of these items.
    ///
    /// # Errors
    /// As [`set_of`](Self::set_of).
    pub fn frozen_set(items: impl IntoIterator<Item = Ref>) -> Result<Self> {
        collect(Kind::FrozenSet, items)
    }
}

fn collect(kind: Kind, items: impl IntoIterator<Item = Ref>) -> Result<Ref> {
    let mut table = Table::new();
    for item in items {
        let hash = hash::hash(&item)?;
        table.add(item, hash)?;
    }
    Ok(new(kind, table))
}

impl Set {
    /// How many items there are.
    pub fn len(&self) -> usize {
        self.table.borrow().used
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether this is a `frozenset`.
    pub fn is_frozen(&self) -> bool {
        self.kind() == Kind::FrozenSet
    }

    fn kind(&self) -> Kind {
        Kind::of_number(self.header.kind.get())
    }

    /// Whether the item is in the set.
    ///
    /// # Errors
    /// `TypeError` if the item has no hash.
    pub fn contains(&self, item: &Ref) -> Result<bool> {
        self.table.borrow().contains(item, hash::hash(item)?)
    }

    /// Adds an item; whether it was not there.
    ///
    /// # Errors
    /// `TypeError` if the item has no hash, `MemoryError` if there would be too many.
    pub fn add(&self, item: Ref) -> Result<bool> {
        let hash = hash::hash(&item)?;
        self.table.borrow_mut().add(item, hash)
    }

    /// Removes an item; whether it was there.
    ///
    /// # Errors
    /// `TypeError` if the item has no hash.
    pub fn discard(&self, item: &Ref) -> Result<bool> {
        let hash = hash::hash(item)?;
        let removed = self.table.borrow_mut().discard(item, hash)?;
        Ok(removed.is_some())
    }

    /// Removes and returns some item.
    pub fn pop(&self) -> Option<Ref> {
        self.table.borrow_mut().pop()
    }

    /// Removes every item.
    pub fn clear(&self) {
        drop(self.exchange(Table::new()));
    }

    /// Copies of the items, in the order of the table.
    pub fn iter(&self) -> impl Iterator<Item = Ref> + '_ {
        (0..)
            .map_while(|index| self.slot(index))
            .filter_map(|slot| slot.item().map(|(item, _)| item.clone()))
    }

    /// The hashes of the items.
    pub(crate) fn hashes(&self) -> impl Iterator<Item = i64> {
        let hashes: Vec<i64> = self.table.borrow().items().map(|(_, hash)| hash).collect();
        hashes.into_iter()
    }

    fn slot(&self, index: usize) -> Option<Slot> {
        self.table.borrow().slots.get(index).cloned()
    }

    /// Puts another table in place, without the finger, and returns the old one, to be dropped when the set is whole.
    fn exchange(&self, mut table: Table) -> Table {
        let mut old = self.table.borrow_mut();
        table.finger = old.finger;
        std::mem::replace(&mut *old, table)
    }
}

/// An iterator over a set.
#[repr(C)]
pub struct SetIterator {
    header: Header,
    /// Null once exhausted.
    set: Cell<Option<Ref>>,
    /// Of the next slot.
    position: Cell<usize>,
    /// The items of the set at the start. A set that has another number of them was changed.
    expected: Cell<usize>,
    remaining: Cell<usize>,
}

impl Ref {
    /// An iterator over a set.
    ///
    /// # Errors
    /// Gives the object back if it is not a set.
    pub fn set_iterator(set: Ref) -> std::result::Result<Self, Ref> {
        let View::Set(of) = set.view() else {
            return Err(set);
        };
        let length = of.len();
        Ok(heap::allocate(SetIterator {
            header: Header::new(Kind::SetIterator, 0),
            set: Cell::new(Some(set)),
            position: Cell::new(0),
            expected: Cell::new(length),
            remaining: Cell::new(length),
        }))
    }
}

impl SetIterator {
    /// The set, unless the iterator is exhausted.
    pub fn set(&self) -> Option<Ref> {
        let set = self.set.take();
        self.set.set(set.clone());
        set
    }

    /// How many items are left, as long as the set is not changed.
    pub fn remaining(&self) -> usize {
        self.remaining.get()
    }

    pub(crate) fn advance(&self) -> Result<Option<Ref>> {
        let Some(object) = self.set() else {
            return Ok(None);
        };
        let View::Set(set) = object.view() else {
            return Ok(None);
        };
        if self.expected.get() != set.len() {
            // It stays in this state, as in CPython.
            self.expected.set(usize::MAX);
            return Err(PyError::runtime("Set changed size during iteration"));
        }
        let mut slots = (self.position.get()..).map_while(|index| Some((index, set.slot(index)?)));
        match slots.find_map(|(index, slot)| Some((index, slot.item()?.0.clone()))) {
            Some((index, item)) => {
                self.position.set(index + 1);
                self.remaining.set(self.remaining.get().saturating_sub(1));
                Ok(Some(item))
            }
            None => {
                self.set.set(None);
                Ok(None)
            }
        }
    }
}
