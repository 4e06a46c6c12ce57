//! Thread state: what generated code and its helpers know of the thread that runs them.

#![allow(unsafe_code)]

use crate::data_stack::DataStack;
use crate::error::PyError;
use crate::frame::{Frame, OWNER_DATA_STACK};
use crate::object::{Header, Kind, Ref, View};
use crate::types::TypeId;
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
    /// Where the frames of calls are.
    pub(crate) data_stack: DataStack,
    /// Whether something else runs functions, as a frame evaluation function of PEP 523 does: traces then leave before
    /// they call one.
    pub eval_frame: u32,
    /// The exception that is handled, or `None`.
    pub(crate) handled: *mut Header,
    /// `AssertionError`.
    pub(crate) assertion_error: *mut Header,
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
            data_stack: DataStack::new(),
            eval_frame: 0,
            handled: Ref::none().into_raw(),
            assertion_error: Ref::type_object(TypeId::AssertionError).into_raw(),
        }
    }

    /// The exception that is handled: what `_PUSH_EXC_INFO` has made it last.
    pub fn handled(&self) -> Option<Ref> {
        // SAFETY: the pointer is a reference that the thread owns.
        let handled = unsafe { Ref::clone(&Ref::borrow(self.handled)) };
        (handled.kind() != Kind::None).then_some(handled)
    }

    /// Makes an exception, or none, the one that is handled.
    pub fn set_handled(&mut self, exception: Option<Ref>) {
        let exception = exception.unwrap_or_else(Ref::none).into_raw();
        let old = std::mem::replace(&mut self.handled, exception);
        // SAFETY: the pointer was a reference that the thread owned.
        drop(unsafe { Ref::from_raw(old) });
    }

    /// Takes the exception that is raised.
    pub fn take_error(&mut self) -> Option<PyError> {
        self.error.take().map(|error| *error)
    }

    /// Raises an exception.
    pub fn raise(&mut self, error: PyError) {
        self.error = Some(Box::new(error));
    }

    /// Makes a frame for a call of `function`, with all locals unbound.
    ///
    /// # Panics
    /// If `function` is no function of the program.
    pub fn new_frame(&mut self, function: Ref) -> *mut Frame {
        let View::Function(view) = function.view() else {
            panic!("a frame of a {}, expected a function", function.type_name())
        };
        let code = view.code();
        let frame = self
            .data_stack
            .push(code.frame_size() as usize)
            .cast::<Frame>();
        // SAFETY: there is room for the frame and its slots; the locals are unbound, and the stack is behind them.
        unsafe {
            let slots = Frame::slots(frame);
            let local_count = code.local_count();
            frame.write(Frame {
                previous: std::ptr::null_mut(),
                function: std::ptr::null_mut(),
                code: code.number(),
                instruction: 0,
                return_offset: 0,
                local_count,
                capacity: local_count + code.stack_size(),
                owner: OWNER_DATA_STACK,
                namespace: std::ptr::null_mut(),
                stack_pointer: slots.add(local_count as usize),
                slots: [],
            });
            for index in 0..local_count as usize {
                slots.add(index).write(std::ptr::null_mut());
            }
            (*frame).function = function.into_raw();
        }
        frame
    }

    /// Discards the frame of a call with what is in its slots below `end`.
    ///
    /// # Safety
    /// `frame` is the youngest frame on the data stack, and `end` in its stack; the slots below are references or null.
    pub(crate) unsafe fn discard_frame(&mut self, frame: *mut Frame, end: *mut *mut Header) {
        // SAFETY: the caller's promise.
        unsafe {
            debug_assert_eq!((*frame).owner, OWNER_DATA_STACK);
            Frame::release(frame, end);
            self.data_stack.pop(frame.cast());
        }
    }

    /// Discards the frames of the calls that a trace has left in the middle of: from the innermost, `frame`, up to but
    /// without `until`, each with what is on its stack below the stack pointer in it.
    ///
    /// # Safety
    /// `frame` is the frame that the trace has left in, its stack pointer the one that it has left with; `until` is that
    /// frame or one of its callers, and every frame before it was entered by a trace of this thread, last of all.
    pub unsafe fn unwind(&mut self, mut frame: *mut Frame, until: *mut Frame) {
        while frame != until {
            // SAFETY: the caller's promise; the frames between are on the data stack, the innermost last.
            unsafe {
                let previous = (*frame).previous;
                self.discard_frame(frame, (*frame).stack_pointer);
                frame = previous;
            }
            self.recursion_remaining += 1;
        }
    }
}

impl Default for ThreadState {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for ThreadState {
    fn drop(&mut self) {
        for object in [
            self.none,
            self.bools[0],
            self.bools[1],
            self.handled,
            self.assertion_error,
        ] {
            // SAFETY: `new` took a reference for each. Nobody changes the pointers but `handled`, which stays a reference.
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
        assert_eq!(Ref::none().refcount(), count - 2);
    }
}
