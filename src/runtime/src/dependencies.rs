//! Dependencies: which executors assume what, so that whoever changes it can invalidate them.
//!
//! A trace may rely on what no uop of it checks: that a name of a module stays what it is, say. Its executor is noted under
//! the name, and whoever changes that tells. CPython 3.13 gives each executor a Bloom filter of what it depends on and goes
//! through all executors at a change (`_Py_Executors_InvalidateDependency`); here each thing has a list, so that a change
//! costs nothing where nobody depends on it, and hits nobody else.

use crate::executor::Invalidator;
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Executors by what they depend on. Any thread may add to it and tell it of changes.
pub struct Dependencies<K> {
    dependents: Mutex<HashMap<K, Vec<Invalidator>>>,
}

impl<K: Eq + Hash> Dependencies<K> {
    /// No dependencies.
    pub fn new() -> Self {
        Self {
            dependents: Mutex::default(),
        }
    }

    /// Notes that an executor depends on something, until it is dropped.
    pub fn add(&self, key: K, executor: Invalidator) {
        let mut dependents = self.lock();
        let executors = dependents.entry(key).or_default();
        if executors.len() == executors.capacity() {
            // It would grow: those that are gone make room first.
            executors.retain(Invalidator::is_alive);
        }
        executors.push(executor);
    }

    /// Invalidates all executors that depend on something, which no longer is what it was. Returns how many there were.
    ///
    /// They may be running, also in this thread: they leave where they next check for it.
    pub fn changed(&self, key: &K) -> usize {
        // What is invalidated may be freed here; nothing of that needs the lock.
        let executors = self.lock().remove(key).unwrap_or_default();
        let invalidated = executors.iter().filter(|executor| executor.invalidate());
        invalidated.count()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Vec<Invalidator>>> {
        // Every update leaves the lists whole.
        self.dependents
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> Default for Dependencies<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Eq + Hash> fmt::Debug for Dependencies<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dependencies(on {} things)", self.lock().len())
    }
}
