//! Thread state: what generated code and its helpers know of the thread that runs them.

#![allow(unsafe_code)]

use crate::error::PyError;
use crate::object::{Header, Ref};
use std::sync::atomic::AtomicU32;

/// The state of a thread.
///
/// It holds pointers to objects, so it stays on the thread that made it.
#[derive(Debug)]
#[repr(C)]
pub struct ThreadState {
    /// The part that the runtime and the stencils share. It comes first, so that a pointer to one is a pointer to the
    /// other.
    pub base: mimeo::executor::ThreadState,
    /// `None`.
    pub(crate) none: *mut Header,
    /// `False` and `True`.
    pub(crate) bools: [*mut Header; 2],
    /// Asks traces to leave when it is not zero. Another thread or a signal handler may set it.
    pub interrupt: AtomicU32,
    /// How many calls may still be nested.
    pub recursion_remaining: u32,
    /// The exception that is raised.
    pub error: Option<Box<PyError>>,
    local_names: Vec<String>,
}

/// How many calls may be nested: `sys.getrecursionlimit()`.
pub const RECURSION_LIMIT: u32 = 1000;

impl ThreadState {
    /// The state of this thread with no exception raised.
    pub fn new() -> Self {
        Self {
            base: mimeo::executor::ThreadState::default(),
            none: Ref::none().into_raw(),
            bools: [false, true].map(|value| Ref::bool(value).into_raw()),
            interrupt: AtomicU32::new(0),
            recursion_remaining: RECURSION_LIMIT,
            error: None,
            local_names: Vec::new(),
        }
    }

    /// Takes the exception that is raised.
    pub fn take_error(&mut self) -> Option<PyError> {
        self.error.take().map(|error| *error)
    }

    /// Raises an exception.
    pub fn raise(&mut self, error: PyError) {
        self.error = Some(Box::new(error));
    }

    /// Names the locals of the code that runs, for the text of `UnboundLocalError`.
    pub fn set_local_names(&mut self, names: Vec<String>) {
        self.local_names = names;
    }

    /// The name of a local, if it is known.
    pub fn local_name(&self, index: u32) -> Option<&str> {
        self.local_names.get(index as usize).map(String::as_str)
    }
}

impl Default for ThreadState {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for ThreadState {
    fn drop(&mut self) {
        for object in [self.none, self.bools[0], self.bools[1]] {
            // SAFETY: `new` took a reference for each, and nobody changes the pointers.
            drop(unsafe { Ref::from_raw(object) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn an_error_is_taken_once() {
        let mut thread = ThreadState::new();
        thread.raise(PyError::new(ErrorKind::ValueError, "no"));
        assert_eq!(thread.take_error().unwrap().to_string(), "ValueError: no");
        assert!(thread.take_error().is_none());
    }

    #[test]
    fn singletons_are_the_threads() {
        let thread = ThreadState::new();
        assert_eq!(thread.none, Ref::none().as_ptr());
        assert_eq!(
            thread.bools,
            [false, true].map(|value| Ref::bool(value).as_ptr())
        );
        let count = Ref::none().refcount();
        drop(thread);
        assert_eq!(Ref::none().refcount(), count - 1);
    }
}
