//! Sets: `set`, `frozenset`, and the iterator over them.
//!
//! Programs see the order in which a set iterates, so the table is CPython's: its probing, its sizes and the way each
//! operation fills it (the facts are those of `Objects/setobject.c` of 3.13). Sets of numbers and of tuples of them
//! iterate as there; strings, whose hashes are random there, do not.
//!
//! Comparing items never runs code of the program, so nothing changes a set while an item is looked up.

use crate::call::check_count;
use crate::compare::{self, Comparison};
use crate::dict::{DictView, Part};
use crate::error::{PyError, Result};
use crate::hash;
use crate::heap;
use crate::iterator;
use crate::limits;
use crate::object::{Header, Kind, Ref, View};
use crate::ops::BinaryOperator;
use crate::sequence;
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

    /// Grows for this many items more, most of them new.
    fn reserve(&mut self, more: usize) {
        if (self.fill + more) * 5 >= self.mask() * 3 {
            self.resize((self.used + more) * 2);
        }
    }

    /// Writes the items anew if many were removed.
    fn purge(&mut self) {
        if self.fill - self.used > self.mask() / 4 {
            self.resize(self.grown());
        }
    }

    /// Adds the items of another table.
    fn merge(&mut self, other: &Self) -> Result<()> {
        if other.used == 0 {
            return Ok(());
        }
        limits::check_items(self.used + other.used)?;
        self.reserve(other.used);
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

    /// A set of the items of an iterable.
    ///
    /// # Errors
    /// As [`set_of`](Self::set_of), and `TypeError` if it is not iterable.
    pub(crate) fn set_of_iterable(iterable: &Ref) -> Result<Self> {
        let set = Self::set();
        if let View::Set(new) = set.view() {
            new.update(iterable)?;
        }
        Ok(set)
    }

    /// A frozen set of these items.
    ///
    /// # Errors
    /// As [`set_of`](Self::set_of).
    pub fn frozen_set(items: impl IntoIterator<Item = Ref>) -> Result<Self> {
        collect(Kind::FrozenSet, items)
    }
}

/// The hash under which an item is looked for: that of a set is the one of a frozen set.
fn hash_to_find(item: &Ref) -> Result<i64> {
    match item.view() {
        View::Set(set) => Ok(hash::frozen_set(set)),
        _ => hash::hash(item),
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

    /// Whether the item is in the set. A set, which has no hash, is looked for as a frozen one.
    ///
    /// # Errors
    /// `TypeError` if the item has no hash.
    pub fn contains(&self, item: &Ref) -> Result<bool> {
        self.table.borrow().contains(item, hash_to_find(item)?)
    }

    /// Adds an item; whether it was not there.
    ///
    /// # Errors
    /// `TypeError` if the item has no hash, `MemoryError` if there would be too many.
    pub fn add(&self, item: Ref) -> Result<bool> {
        let hash = hash::hash(&item)?;
        self.table.borrow_mut().add(item, hash)
    }

    /// Removes an item, which is looked for as in [`contains`](Self::contains); whether it was there.
    ///
    /// # Errors
    /// `TypeError` if the item has no hash.
    pub fn discard(&self, item: &Ref) -> Result<bool> {
        let hash = hash_to_find(item)?;
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

    fn discard_hashed(&self, item: &Ref, hash: i64) -> Result<bool> {
        Ok(self.table.borrow_mut().discard(item, hash)?.is_some())
    }

    fn add_hashed(&self, item: Ref, hash: i64) -> Result<bool> {
        self.table.borrow_mut().add(item, hash)
    }

    fn contains_hashed(&self, item: &Ref, hash: i64) -> Result<bool> {
        self.table.borrow().contains(item, hash)
    }

    /// Adds the items of any iterable.
    ///
    /// # Errors
    /// `TypeError` if it is not iterable or an item has no hash, `MemoryError` if there would be too many.
    pub fn update(&self, other: &Ref) -> Result<()> {
        match other.view() {
            View::Set(other) if std::ptr::eq(other, self) => {}
            View::Set(other) => self.table.borrow_mut().merge(&other.table.borrow())?,
            View::Dict(dict) => {
                self.table.borrow_mut().reserve(dict.len());
                for (key, hash, _) in dict.hashed_items() {
                    self.add_hashed(key, hash as i64)?;
                }
            }
            _ => {
                for item in iterator::items(other)? {
                    self.add(item?)?;
                }
            }
        }
        Ok(())
    }

    /// A set of the same kind and the same items.
    pub(crate) fn copy(&self) -> Result<Ref> {
        let mut table = Table::new();
        table.merge(&self.table.borrow())?;
        Ok(new(self.kind(), table))
    }

    /// A set of the items that are in the iterable as well.
    pub(crate) fn intersection(&self, other: &Ref) -> Result<Ref> {
        let mut table = Table::new();
        match other.view() {
            View::Set(other) if std::ptr::eq(other, self) => return self.copy(),
            View::Set(other) => {
                let (small, large) = if other.len() > self.len() {
                    (self, other)
                } else {
                    (other, self)
                };
                for (item, hash) in small.hashed_items() {
                    if large.contains_hashed(&item, hash)? {
                        table.add(item, hash)?;
                    }
                }
            }
            _ => {
                for item in iterator::items(other)? {
                    let item = item?;
                    let hash = hash::hash(&item)?;
                    if self.contains_hashed(&item, hash)? {
                        table.add(item, hash)?;
                        if table.used >= self.len() {
                            break;
                        }
                    }
                }
            }
        }
        Ok(new(self.kind(), table))
    }

    /// A set of the items that are not in the iterable.
    pub(crate) fn difference(&self, other: &Ref) -> Result<Ref> {
        let is_item: &dyn Fn(&Ref, i64) -> Result<bool> = match other.view() {
            View::Set(other) if self.len() >> 2 <= other.len() => {
                &|item, hash| other.contains_hashed(item, hash)
            }
            View::Dict(other) if self.len() >> 2 <= other.len() => {
                &|item, hash| Ok(other.find(item, hash as u64)?.is_some())
            }
            _ => {
                let result = self.copy()?;
                if let View::Set(set) = result.view() {
                    set.difference_update(other)?;
                }
                return Ok(result);
            }
        };
        let mut table = Table::new();
        for (item, hash) in self.hashed_items() {
            if !is_item(&item, hash)? {
                table.add(item, hash)?;
            }
        }
        Ok(new(self.kind(), table))
    }

    /// Removes the items of an iterable.
    pub(crate) fn difference_update(&self, other: &Ref) -> Result<()> {
        match other.view() {
            View::Set(other) if std::ptr::eq(other, self) => {
                self.clear();
                return Ok(());
            }
            View::Set(set) => {
                // CPython's bound for looking only at what both have.
                let common = (set.len() >> 3 > self.len()).then(|| self.intersection(other));
                let common = common.transpose()?;
                let set = common.as_ref().and_then(Ref::downcast).unwrap_or(set);
                for (item, hash) in set.hashed_items() {
                    self.discard_hashed(&item, hash)?;
                }
            }
            _ => {
                for item in iterator::items(other)? {
                    self.discard(&item?)?;
                }
            }
        }
        self.table.borrow_mut().purge();
        Ok(())
    }

    /// A set of the items that are in either but not in both.
    pub(crate) fn symmetric_difference(&self, other: &Ref) -> Result<Ref> {
        let result = new(self.kind(), Table::new());
        if let View::Set(set) = result.view() {
            set.update(other)?;
            set.toggle(self.hashed_items())?;
        }
        Ok(result)
    }

    /// Removes the items of the iterable that are there and adds the others.
    pub(crate) fn symmetric_difference_update(&self, other: &Ref) -> Result<()> {
        match other.view() {
            View::Set(other) if std::ptr::eq(other, self) => self.clear(),
            View::Set(other) => self.toggle(other.hashed_items())?,
            View::Dict(dict) => {
                let keys = dict.hashed_items();
                self.toggle(keys.map(|(key, hash, _)| (key, hash as i64)))?;
            }
            _ => {
                let other = Ref::set_of_iterable(other)?;
                if let View::Set(other) = other.view() {
                    self.toggle(other.hashed_items())?;
                }
            }
        }
        Ok(())
    }

    fn toggle(&self, items: impl Iterator<Item = (Ref, i64)>) -> Result<()> {
        for (item, hash) in items {
            if !self.discard_hashed(&item, hash)? {
                self.add_hashed(item, hash)?;
            }
        }
        Ok(())
    }

    /// Whether every item is in the other set.
    pub(crate) fn is_subset(&self, other: &Self) -> Result<bool> {
        if self.len() > other.len() {
            return Ok(false);
        }
        for (item, hash) in self.hashed_items() {
            if !other.contains_hashed(&item, hash)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Takes over the items of a set that nobody else needs.
    pub(crate) fn assign(&self, other: &Self) {
        let table = std::mem::replace(&mut *other.table.borrow_mut(), Table::new());
        drop(self.exchange(table));
    }

    /// Copies of the items and their hashes, in the order of the table.
    fn hashed_items(&self) -> impl Iterator<Item = (Ref, i64)> + '_ {
        (0..)
            .map_while(|index| self.slot(index))
            .filter_map(|slot| slot.item().map(|(item, hash)| (item.clone(), hash)))
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

/// `set(*arguments)` and `frozenset(*arguments)`
pub(crate) fn construct(kind: Kind, arguments: &[Ref]) -> Result<Ref> {
    let is_frozen = kind == Kind::FrozenSet;
    check_count(
        if is_frozen { "frozenset" } else { "set" },
        arguments,
        0..=1,
    )?;
    let made = new(kind, Table::new());
    match arguments.first() {
        Some(argument) if is_frozen && argument.kind() == kind => return Ok(argument.clone()),
        Some(argument) => {
            if let View::Set(set) = made.view() {
                set.update(argument)?;
            }
        }
        None => {}
    }
    Ok(made)
}

/// Whether the object compares and combines as sets do: a set, or a view of keys or items.
pub(crate) fn is_set_like(object: &Ref) -> bool {
    matches!(object.view(), View::Set(_)) || is_set_like_view(object)
}

fn is_set_like_view(object: &Ref) -> bool {
    matches!(object.view(), View::DictView(view) if view.is_set_like())
}

/// `a comparison b` of objects that are [set-like](is_set_like): `<` says that one is a proper part of the other.
pub(crate) fn compare(comparison: Comparison, a: &Ref, b: &Ref) -> Result<bool> {
    let order = length(a).cmp(&length(b));
    let is_possible = match comparison {
        Comparison::NotEqual => return Ok(!compare(Comparison::Equal, a, b)?),
        _ => comparison.holds(Some(order)),
    };
    if !is_possible {
        return Ok(false);
    }
    match comparison {
        Comparison::Greater | Comparison::GreaterEqual => is_part(b, a),
        _ => is_part(a, b),
    }
}

fn length(set_like: &Ref) -> usize {
    match set_like.view() {
        View::Set(set) => set.len(),
        View::DictView(view) => view.len(),
        _ => 0,
    }
}

fn is_part(part: &Ref, whole: &Ref) -> Result<bool> {
    if let (View::Set(part), View::Set(whole)) = (part.view(), whole.view()) {
        return part.is_subset(whole);
    }
    for item in iterator::items(part)? {
        if !sequence::contains(whole, &item?)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// `a & b`, `a | b`, `a ^ b` and `a - b` of sets, or where one is a view of keys or items; `None` if that means
/// nothing.
pub(crate) fn binary(
    operator: BinaryOperator,
    in_place: bool,
    a: &Ref,
    b: &Ref,
) -> Option<Result<Ref>> {
    if !matches!(
        operator,
        BinaryOperator::And | BinaryOperator::Or | BinaryOperator::Xor | BinaryOperator::Subtract
    ) {
        return None;
    }
    match (a.view(), b.view()) {
        (View::Set(x), View::Set(_)) if in_place && !x.is_frozen() => {
            Some(change(operator, x, b).map(|()| a.clone()))
        }
        (View::Set(x), View::Set(_)) => Some(combine(operator, x, b)),
        _ if is_set_like_view(a) || is_set_like_view(b) => Some(combine_views(operator, a, b)),
        _ => None,
    }
}

fn combine(operator: BinaryOperator, a: &Set, b: &Ref) -> Result<Ref> {
    match operator {
        BinaryOperator::And => a.intersection(b),
        BinaryOperator::Subtract => a.difference(b),
        BinaryOperator::Xor => a.symmetric_difference(b),
        _ => {
            let result = a.copy()?;
            if let View::Set(set) = result.view()
                && !matches!(b.view(), View::Set(b) if std::ptr::eq(a, b))
            {
                set.update(b)?;
            }
            Ok(result)
        }
    }
}

fn change(operator: BinaryOperator, a: &Set, b: &Ref) -> Result<()> {
    match operator {
        BinaryOperator::And => {
            let result = a.intersection(b)?;
            if let View::Set(result) = result.view() {
                a.assign(result);
            }
            Ok(())
        }
        BinaryOperator::Subtract => a.difference_update(b),
        BinaryOperator::Xor => a.symmetric_difference_update(b),
        _ => a.update(b),
    }
}

/// The operation where one operand is a view and the other any iterable: the result is a set.
fn combine_views(operator: BinaryOperator, a: &Ref, b: &Ref) -> Result<Ref> {
    match (operator, a.view(), b.view()) {
        (BinaryOperator::And, _, _) => return intersect_views(a, b),
        (BinaryOperator::Xor, View::DictView(x), View::DictView(y))
            if x.part() == Part::Item && y.part() == Part::Item =>
        {
            return differing_items(x, y);
        }
        _ => {}
    }
    let result = match a.view() {
        View::DictView(view) if view.part() == Part::Key => Ref::set_of_iterable(view.object())?,
        _ => Ref::set_of_iterable(a)?,
    };
    if let View::Set(set) = result.view() {
        match operator {
            BinaryOperator::Subtract => set.difference_update(b)?,
            BinaryOperator::Xor => set.symmetric_difference_update(b)?,
            _ => set.update(b)?,
        }
    }
    Ok(result)
}

/// The items of either view whose key the other has not or with another value, those of the second first.
fn differing_items(a: &DictView, b: &DictView) -> Result<Ref> {
    let set = Ref::set();
    if let (View::Dict(a), View::Dict(b), View::Set(result)) =
        (a.object().view(), b.object().view(), set.view())
    {
        for (key, value) in b.iter() {
            let is_common = match a.get(&key)? {
                Some(other) => compare::same_or_equal(&other, &value)?,
                None => false,
            };
            if !is_common {
                result.add(Ref::tuple(vec![key, value]))?;
            }
        }
        for (key, value) in a.iter() {
            let is_common = match b.get(&key)? {
                Some(other) => compare::same_or_equal(&value, &other)?,
                None => false,
            };
            if !is_common {
                result.add(Ref::tuple(vec![key, value]))?;
            }
        }
    }
    Ok(set)
}

/// Looks the items of one up in the other, a view; CPython's choice which shows in the order of the result.
fn intersect_views(a: &Ref, b: &Ref) -> Result<Ref> {
    let (mut view, mut other) = if is_set_like_view(a) { (a, b) } else { (b, a) };
    match other.view() {
        View::Set(set) if !set.is_frozen() && length(view) <= set.len() => {
            return set.intersection(view);
        }
        View::DictView(_) if is_set_like_view(other) && length(other) > length(view) => {
            (view, other) = (other, view);
        }
        _ => {}
    }
    let mut table = Table::new();
    for item in iterator::items(other)? {
        let item = item?;
        if sequence::contains(view, &item)? {
            let hash = hash::hash(&item)?;
            table.add(item, hash)?;
        }
    }
    Ok(new(Kind::Set, table))
}

/// Whether a set, or a view of keys or items, and any iterable have no item in common.
pub(crate) fn is_disjoint(set_like: &Ref, other: &Ref) -> Result<bool> {
    if set_like.is(other) {
        return Ok(length(other) == 0);
    }
    let has_length = match set_like.view() {
        View::Set(_) => matches!(other.view(), View::Set(_)),
        _ => is_set_like(other),
    };
    let (small, large) = if has_length && length(other) > length(set_like) {
        (set_like, other)
    } else {
        (other, set_like)
    };
    for item in iterator::items(small)? {
        if sequence::contains(large, &item?)? {
            return Ok(false);
        }
    }
    Ok(true)
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
