//! Frames: the locals and the evaluation stack of a running function, as generated code addresses them.

#![allow(unsafe_code)]

use crate::object::{Header, Ref};
use std::alloc::{self, Layout};
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

/// A frame. The slots of the locals follow it, and those of the evaluation stack follow them; a slot is a reference
/// or null. The stack grows towards higher addresses.
#[derive(Debug)]
#[repr(C)]
pub struct Frame {
    /// The caller's frame, or null.
    pub previous: *mut Frame,
    /// The function that runs, or null; owned by the frame.
    pub function: *mut Header,
    /// The number of the code object.
    pub code: u32,
    /// The offset of the instruction that runs, as `_SET_IP` last set it, in code units.
    pub instruction: u32,
    /// How far behind the call the caller goes on, in code units.
    pub return_offset: u32,
    /// How many slots are locals.
    pub local_count: u32,
    /// How many slots there are.
    pub capacity: u32,
    /// Whose memory it is: [`OWNER_RUST`] or [`OWNER_DATA_STACK`].
    pub owner: u32,
    /// The dict of the names of a module's or class's code, or null; owned by the frame.
    pub namespace: *mut Header,
    /// The slot above the top of the stack. Generated code may keep it in a register and write it here before it
    /// leaves.
    pub stack_pointer: *mut *mut Header,
    pub(crate) slots: [*mut Header; 0],
}

/// [`Frame::owner`] of an [`OwnedFrame`].
pub const OWNER_RUST: u32 = 0;
/// [`Frame::owner`] of a frame that a call has put on the thread's data stack.
pub const OWNER_DATA_STACK: u32 = 1;

/// The most slots that a frame has, far beyond what any compiler asks for.
pub(crate) const FRAME_SLOT_LIMIT: usize = 1 << 24;

impl Frame {
    /// The bytes of a frame with this many slots.
    pub(crate) const fn size_with(slots: u32) -> usize {
        size_of::<Self>() + slots as usize * size_of::<*mut Header>()
    }

    /// The function that runs, if there is one.
    pub fn function(&self) -> Option<Ref> {
        Some(Ref::clone(&*self.borrow_function()?))
    }

    /// The function that runs, as long as the frame is not left.
    pub(crate) fn borrow_function(&self) -> Option<ManuallyDrop<Ref>> {
        let function = NonNull::new(self.function)?;
        // SAFETY: a frame owns a reference to its function.
        Some(unsafe { Ref::borrow(function.as_ptr()) })
    }

    /// The locals, `None` where unbound.
    ///
    /// # Safety
    /// `frame` is a frame whose slots nothing changes while the result is used.
    pub unsafe fn locals<'a>(frame: *const Self) -> &'a [Option<Ref>] {
        // SAFETY: the slots of the locals are references or null, as `Option<Ref>` is.
        unsafe {
            std::slice::from_raw_parts(Self::slots(frame).cast(), (*frame).local_count as usize)
        }
    }

    /// The evaluation stack from the bottom up to the stack pointer in the frame, `None` for a null.
    ///
    /// # Safety
    /// `frame` is a frame whose slots nothing changes while the result is used.
    ///
    /// # Panics
    /// If the stack pointer is not in the frame.
    pub unsafe fn stack<'a>(frame: *const Self) -> &'a [Option<Ref>] {
        // SAFETY: the slots below the stack pointer are references or null, as `Option<Ref>` is.
        unsafe { std::slice::from_raw_parts(Self::stack_base(frame).cast(), Self::depth(frame)) }
    }

    /// How many values are on the stack.
    ///
    /// # Safety
    /// `frame` is a frame.
    unsafe fn depth(frame: *const Self) -> usize {
        // SAFETY: the caller's promise.
        let (fields, base) = unsafe { (&*frame, Self::stack_base(frame)) };
        let bytes = fields.stack_pointer.addr().saturating_sub(base.addr());
        let depth = bytes / size_of::<*mut Header>();
        let room = (fields.capacity - fields.local_count) as usize;
        assert!(
            depth <= room,
            "the stack pointer is {depth} slots up a stack of {room}"
        );
        depth
    }

    /// # Safety
    /// `frame` is a frame.
    pub(crate) unsafe fn slots(frame: *const Self) -> *mut *mut Header {
        // SAFETY: the slots are part of the frame's allocation.
        unsafe { (&raw const (*frame).slots).cast_mut().cast() }
    }

    /// # Safety
    /// `frame` is a frame.
    unsafe fn stack_base(frame: *const Self) -> *mut *mut Header {
        // SAFETY: the stack starts behind the locals, in the same allocation.
        unsafe { Self::slots(frame).add((*frame).local_count as usize) }
    }

    /// Releases what is in the slots below `end`, and what the frame itself refers to.
    ///
    /// # Safety
    /// `frame` is a frame, and `end` in its stack; the slots below it are references or null. The frame is not used
    /// afterwards.
    pub(crate) unsafe fn release(frame: *mut Self, end: *mut *mut Header) {
        // SAFETY: the caller's promise; each reference is read once.
        unsafe {
            let mut slot = Self::slots(frame);
            while slot < end {
                drop(Ref::from_nullable(slot.read()));
                slot = slot.add(1);
            }
            drop(Ref::from_nullable((*frame).function));
            drop(Ref::from_nullable((*frame).namespace));
        }
    }
}

/// A frame and what is in it.
#[derive(Debug)]
pub struct OwnedFrame(NonNull<Frame>);

/// There are more values than the frame has slots for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {capacity} slots has no room for another value")]
pub struct StackOverflow {
    /// The slots of the frame, locals and stack.
    pub capacity: u32,
}

/// A frame needs more slots than its 32-bit counts can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{locals} locals and {stack} stack slots are more than a frame can have")]
pub struct FrameTooLarge {
    /// The locals that were asked for.
    pub locals: usize,
    /// The stack slots that were asked for.
    pub stack: usize,
}

impl OwnedFrame {
    /// A frame of the code object with these locals, `None` where unbound, and an empty stack of `stack_capacity`
    /// slots.
    ///
    /// # Errors
    /// If there are too many slots; the limit is 2**24, far beyond any compiler's output.
    pub fn new(
        code: u32,
        function: Option<Ref>,
        locals: Vec<Option<Ref>>,
        stack_capacity: usize,
    ) -> Result<Self, FrameTooLarge> {
        let slots = locals.len().saturating_add(stack_capacity);
        if slots > FRAME_SLOT_LIMIT {
            return Err(FrameTooLarge {
                locals: locals.len(),
                stack: stack_capacity,
            });
        }
        let layout = Self::layout(slots as u32);
        // SAFETY: the layout is not empty.
        let frame = NonNull::new(unsafe { alloc::alloc(layout) })
            .unwrap_or_else(|| alloc::handle_alloc_error(layout))
            .cast::<Frame>();
        // SAFETY: the allocation has room for the frame and its slots, the stack starting behind the locals.
        unsafe {
            let first = Frame::slots(frame.as_ptr());
            frame.write(Frame {
                previous: std::ptr::null_mut(),
                function: function.map_or(std::ptr::null_mut(), Ref::into_raw),
                code,
                instruction: 0,
                return_offset: 0,
                local_count: locals.len() as u32,
                capacity: slots as u32,
                owner: OWNER_RUST,
                namespace: std::ptr::null_mut(),
                stack_pointer: first.add(locals.len()),
                slots: [],
            });
            for (index, local) in locals.into_iter().enumerate() {
                first
                    .add(index)
                    .write(local.map_or(std::ptr::null_mut(), Ref::into_raw));
            }
        }
        Ok(Self(frame))
    }

    /// Pushes a value, or the null that calls keep on the stack.
    ///
    /// # Errors
    /// If the stack is full; the value is dropped.
    pub fn push(&mut self, value: Option<Ref>) -> Result<(), StackOverflow> {
        let frame = self.frame();
        if frame.local_count as usize + self.depth() >= frame.capacity as usize {
            return Err(StackOverflow {
                capacity: frame.capacity,
            });
        }
        // SAFETY: there is room for a slot.
        unsafe {
            let frame = self.0.as_mut();
            frame
                .stack_pointer
                .write(value.map_or(std::ptr::null_mut(), Ref::into_raw));
            frame.stack_pointer = frame.stack_pointer.add(1);
        }
        Ok(())
    }

    /// The address that generated code works on. It stays the same and is valid as long as `self` lives.
    pub fn as_ptr(&self) -> *mut Frame {
        self.0.as_ptr()
    }

    /// The frame without its slots.
    pub fn frame(&self) -> &Frame {
        // SAFETY: the frame lives as long as `self`.
        unsafe { self.0.as_ref() }
    }

    /// Sets the offset of the instruction that runs, in code units.
    pub fn set_instruction(&mut self, offset: u32) {
        // SAFETY: the frame lives as long as `self`.
        unsafe { self.0.as_mut() }.instruction = offset;
    }

    /// Gives the frame a dict for the names of a module's or class's code.
    pub fn set_namespace(&mut self, namespace: Ref) {
        // SAFETY: the frame lives as long as `self`, and owns a reference to its namespace.
        unsafe {
            let old = std::mem::replace(&mut self.0.as_mut().namespace, namespace.into_raw());
            drop(Ref::from_nullable(old));
        }
    }

    /// The function that runs.
    pub fn function(&self) -> Option<Ref> {
        self.frame().function()
    }

    /// The locals, `None` where unbound.
    pub fn locals(&self) -> &[Option<Ref>] {
        // SAFETY: the frame lives as long as `self`.
        unsafe { Frame::locals(self.0.as_ptr()) }
    }

    /// The evaluation stack from the bottom up to the stack pointer in the frame, `None` for a null.
    pub fn stack(&self) -> &[Option<Ref>] {
        // SAFETY: the frame lives as long as `self`.
        unsafe { Frame::stack(self.0.as_ptr()) }
    }

    /// How many values are on the stack.
    fn depth(&self) -> usize {
        // SAFETY: the frame lives as long as `self`.
        unsafe { Frame::depth(self.0.as_ptr()) }
    }

    fn layout(slots: u32) -> Layout {
        // SAFETY: the alignment is a type's, and 2**32 slots do not overflow the size.
        unsafe { Layout::from_size_align_unchecked(Frame::size_with(slots), align_of::<Frame>()) }
    }
}

impl Drop for OwnedFrame {
    fn drop(&mut self) {
        let frame = self.0.as_ptr();
        let depth = self.depth();
        // SAFETY: the frame owns its function and what is in the slots that are in use; nothing is used afterwards.
        unsafe {
            Frame::release(frame, Frame::stack_base(frame).add(depth));
            let layout = Self::layout(self.frame().capacity);
            alloc::dealloc(self.0.as_ptr().cast(), layout);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::CodeSpec;
    use crate::format::repr_text;
    use crate::heap;

    fn texts(slots: &[Option<Ref>]) -> Vec<Option<String>> {
        slots
            .iter()
            .map(|slot| slot.as_ref().map(|slot| repr_text(slot).unwrap()))
            .collect()
    }

    #[test]
    fn a_frame_owns_what_is_in_it() {
        let before = heap::stats().live();
        let code = Ref::code(CodeSpec::default()).unwrap();
        let function = Ref::function(code, Ref::dict(), Ref::dict());
        let locals = vec![Some(Ref::int(1)), None];
        let mut frame = OwnedFrame::new(3, Some(function.clone()), locals, 2).unwrap();
        frame.set_instruction(7);
        frame.push(Some(Ref::float(0.5))).unwrap();
        frame.push(None).unwrap();
        assert_eq!(
            frame.push(Some(Ref::int(2))),
            Err(StackOverflow { capacity: 4 })
        );
        assert_eq!(texts(frame.locals()), [Some("1".to_owned()), None]);
        assert_eq!(texts(frame.stack()), [Some("0.5".to_owned()), None]);
        let fields = frame.frame();
        assert_eq!(
            (fields.code, fields.instruction, fields.local_count),
            (3, 7, 2)
        );
        assert!(frame.function().unwrap().is(&function));
        drop(frame);
        assert_eq!(function.refcount(), 1);
        drop(function);
        assert_eq!(heap::stats().live(), before);
    }

    /// Generated code pops and pushes through the pointer in the frame.
    #[test]
    fn the_stack_is_what_generated_code_leaves() {
        let before = heap::stats().live();
        let mut frame = OwnedFrame::new(0, None, vec![None], 3).unwrap();
        frame.push(Some(Ref::int(1))).unwrap();
        // SAFETY: the slots are within the frame, and what is popped is dropped.
        unsafe {
            let fields = &mut *frame.as_ptr();
            fields.stack_pointer = fields.stack_pointer.sub(1);
            drop(Ref::from_raw(fields.stack_pointer.read()));
            for value in [5, 6] {
                fields.stack_pointer.write(Ref::int(value).into_raw());
                fields.stack_pointer = fields.stack_pointer.add(1);
            }
        }
        assert_eq!(
            texts(frame.stack()),
            [Some("5".to_owned()), Some("6".to_owned())]
        );
        drop(frame);
        assert_eq!(heap::stats().live(), before);
    }

    #[test]
    fn a_frame_has_a_size_limit() {
        let error = OwnedFrame::new(0, None, vec![], usize::MAX).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "0 locals and {} stack slots are more than a frame can have",
                usize::MAX
            )
        );
    }
}
