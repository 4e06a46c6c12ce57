//! Limits: how large a single object may become. CPython's bound is the memory there is; a process that embeds
//! generated code should see a `MemoryError` long before that, rather than end.

use crate::error::{PyError, Result};
use std::cell::Cell;

/// What operations of a thread refuse to make, with a `MemoryError`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most items of a list or tuple, and the most code points of a string.
    pub items: usize,
    /// The most bits of an int. Sums may get beyond it, bit by bit.
    pub bits: u64,
}

impl Limits {
    /// The limits of a new thread: at most a gigabyte an object, without what it refers to.
    pub const DEFAULT: Self = Self {
        items: 1 << 27,
        bits: 1 << 30,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

thread_local! {
    static LIMITS: Cell<Limits> = const { Cell::new(Limits::DEFAULT) };
}

/// The limits of this thread.
pub fn get() -> Limits {
    LIMITS.get()
}

/// Sets the limits of this thread. Objects that are beyond them stay.
pub fn set(limits: Limits) {
    LIMITS.set(limits);
}

/// Fails for a sequence that would have more items or code points than it may.
pub(crate) fn check_items(count: usize) -> Result<()> {
    if count > get().items {
        return Err(PyError::memory());
    }
    Ok(())
}

/// Fails for an int that would have more bits than it may.
pub(crate) fn check_bits(count: u128) -> Result<()> {
    if count > get().bits.into() {
        return Err(PyError::memory());
    }
    Ok(())
}

/// The items as they come, until there are too many.
pub(crate) fn collect<T>(items: impl Iterator<Item = Result<T>>) -> Result<Vec<T>> {
    let limit = get().items;
    let collected: Vec<T> = items.take(limit.saturating_add(1)).collect::<Result<_>>()?;
    check_items(collected.len())?;
    Ok(collected)
}
