//! The virtual stack: where each value of the evaluation stack is while operands are selected.
//!
//! A value may be in its stack slot, in a temporary register, which copies of it share, in the register of a pinned local,
//! or nowhere, being a constant. The slots below the entries hold their values, all of them.

use super::plumbing::of_class;
use crate::form::{Class, Register, RegisterSet};

/// Where a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Location {
    /// In its stack slot.
    Memory,
    /// In a register that only stack values use.
    Temporary(Register),
    /// In the register of a pinned local, of which it is the value.
    Pinned(Register),
    /// In no place: these bits.
    Constant(u64),
}

/// A value on the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) location: Location,
    /// Whether its stack slot holds it, whatever the location.
    pub(super) stored: bool,
}

impl Entry {
    /// A value that is in its slot only.
    pub(super) const MEMORY: Self = Self {
        location: Location::Memory,
        stored: true,
    };

    /// A value that is not in its slot.
    pub(super) const fn at(location: Location) -> Self {
        Self {
            location,
            stored: false,
        }
    }
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct VirtualStack {
    /// The slot of the first entry.
    pub(super) base: u32,
    pub(super) entries: Vec<Entry>,
    /// How many entries are in each temporary.
    users: [u32; Register::COUNT as usize],
    /// How many entries refer to each pinned local's register.
    pinned: [u32; Register::COUNT as usize],
    /// The temporaries that entries are in.
    in_use: RegisterSet,
    /// The registers that no local is pinned to.
    temporaries: RegisterSet,
    /// Temporaries that must stay what they are until the next stencil is placed.
    pub(super) locked: RegisterSet,
}

impl VirtualStack {
    /// A stack of `depth` values in memory.
    pub(super) fn new(depth: u32, temporaries: RegisterSet) -> Self {
        Self {
            base: depth,
            entries: Vec::with_capacity(32),
            users: [0; _],
            pinned: [0; _],
            in_use: RegisterSet(0),
            temporaries,
            locked: RegisterSet(0),
        }
    }

    /// Forgets everything: `depth` values in memory.
    pub(super) fn reset(&mut self, depth: u32) {
        self.base = depth;
        self.entries.clear();
        self.users = [0; _];
        self.pinned = [0; _];
        self.in_use = RegisterSet(0);
    }

    /// How many values there are.
    pub(super) fn depth(&self) -> u32 {
        self.base + self.entries.len() as u32
    }

    /// The slot of an entry.
    pub(super) fn slot(&self, index: usize) -> u32 {
        self.base + index as u32
    }

    /// Makes the top `count` values entries. Returns the first of them, or `None` where there are not as many values.
    pub(super) fn expose(&mut self, count: usize) -> Option<usize> {
        while self.entries.len() < count {
            self.base = self.base.checked_sub(1)?;
            self.entries.insert(0, Entry::MEMORY);
        }
        Some(self.entries.len() - count)
    }

    pub(super) fn push(&mut self, entry: Entry) {
        self.acquire(entry.location);
        self.entries.push(entry);
    }

    /// Takes the top value; one in memory where the stack is empty.
    pub(super) fn pop(&mut self) -> Entry {
        let Some(entry) = self.entries.pop() else {
            self.base = self.base.saturating_sub(1);
            return Entry::MEMORY;
        };
        self.release(entry.location);
        entry
    }

    /// Drops the entries from `index` on.
    pub(super) fn truncate(&mut self, index: usize) {
        while self.entries.len() > index {
            self.pop();
        }
    }

    /// Changes where an entry is; whether it is in its slot too does not change.
    pub(super) fn relocate(&mut self, index: usize, location: Location) {
        self.acquire(location);
        let old = std::mem::replace(&mut self.entries[index].location, location);
        self.release(old);
    }

    fn acquire(&mut self, location: Location) {
        match location {
            Location::Temporary(register) => {
                self.users[usize::from(register.as_u8())] += 1;
                self.in_use = self.in_use.with(register);
            }
            Location::Pinned(register) => self.pinned[usize::from(register.as_u8())] += 1,
            Location::Memory | Location::Constant(_) => {}
        }
    }

    fn release(&mut self, location: Location) {
        match location {
            Location::Temporary(register) => {
                let users = &mut self.users[usize::from(register.as_u8())];
                *users -= 1;
                if *users == 0 {
                    self.in_use = self.in_use.without(register);
                }
            }
            Location::Pinned(register) => self.pinned[usize::from(register.as_u8())] -= 1,
            Location::Memory | Location::Constant(_) => {}
        }
    }

    /// How many entries are in a temporary.
    pub(super) fn users(&self, register: Register) -> u32 {
        self.users[usize::from(register.as_u8())]
    }

    /// How many entries are the value of the local that is pinned to a register.
    pub(super) fn pinned(&self, register: Register) -> u32 {
        self.pinned[usize::from(register.as_u8())]
    }

    /// A temporary of a class that is free and in the set.
    pub(super) fn free(&self, class: Class, set: RegisterSet) -> Option<Register> {
        let usable = self.usable(class, set).0 & !self.in_use.0;
        Register::from_u8(usable.trailing_zeros() as u8)
    }

    /// The lowest entry that keeps a temporary of a class in the set from being free.
    pub(super) fn victim(&self, class: Class, set: RegisterSet) -> Option<usize> {
        let usable = self.usable(class, set);
        self.entries.iter().position(|entry| {
            matches!(entry.location, Location::Temporary(register) if usable.contains(register))
        })
    }

    fn usable(&self, class: Class, set: RegisterSet) -> RegisterSet {
        RegisterSet(set.0 & of_class(class).0 & self.temporaries.0 & !self.locked.0)
    }
}
