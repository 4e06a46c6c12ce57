//! A frame and an evaluation stack of plain words, in which executors of the [toy set](crate::toy) run.
#![allow(unsafe_code)]

use crate::toy::ToyExecutor;
use mimeo::executor::{SideExit, ThreadState};
use mimeo::trace::FrameShape;

/// A frame, a stack and a thread state.
#[derive(Debug)]
pub struct Machine {
    locals: Vec<u64>,
    /// As many words as the stack has room for; `depth` of them are values.
    stack: Vec<u64>,
    depth: usize,
    thread: ThreadState,
}

impl Machine {
    /// A machine with these locals, with room for `room` values and with these values on the stack.
    ///
    /// # Panics
    /// There are more values than there is room.
    pub fn new(locals: &[u64], room: usize, values: &[u64]) -> Self {
        let mut stack = vec![0; room];
        stack[..values.len()].copy_from_slice(values);
        Self {
            locals: locals.to_owned(),
            stack,
            depth: values.len(),
            thread: ThreadState::default(),
        }
    }

    /// What an executor has to be compiled for in order to run here.
    pub fn shape(&self) -> FrameShape {
        let count = |number| u32::try_from(number).expect("tests have small frames");
        FrameShape {
            locals: count(self.locals.len()),
            stack: count(self.stack.len()),
            entry_depth: count(self.depth),
        }
    }

    /// The locals.
    pub fn locals(&self) -> &[u64] {
        &self.locals
    }

    /// The locals, to be changed between runs.
    pub fn locals_mut(&mut self) -> &mut [u64] {
        &mut self.locals
    }

    /// The values on the stack, the top one last.
    pub fn values(&self) -> &[u64] {
        &self.stack[..self.depth]
    }

    /// Runs an executor, and what it is linked to, until an exit that is not linked.
    ///
    /// # Panics
    /// The executor is for frames of another shape, or came back with another frame or outside the stack.
    pub fn run(&mut self, executor: &ToyExecutor) -> SideExit {
        let (here, there) = (self.shape(), executor.shape());
        assert!(
            here.entry_depth == there.entry_depth
                && here.locals >= there.locals
                && here.stack >= there.stack,
            "an executor for {there:?} does not run in {here:?}"
        );
        let frame: *mut u8 = self.locals.as_mut_ptr().cast();
        let base = self.stack.as_mut_ptr();
        // SAFETY: frame and stack are as the executor's shape says and belong to this machine; the thread state is the
        // one that the toy set has; toy uops treat values as numbers, so every value is sound; the tests do not fork.
        let exit = unsafe { executor.run(frame, base.add(self.depth), &mut self.thread) };
        assert_eq!(
            exit.frame, frame,
            "it was entered with one frame and left with another"
        );
        let bytes = (exit.stack_pointer as usize).wrapping_sub(base as usize);
        self.depth = bytes / size_of::<u64>();
        assert!(
            bytes.is_multiple_of(size_of::<u64>()) && self.depth <= self.stack.len(),
            "the stack pointer {:p} is outside the stack at {base:p}",
            exit.stack_pointer
        );
        exit
    }
}
