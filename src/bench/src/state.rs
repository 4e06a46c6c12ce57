//! What a scalar trace runs in: a frame, an evaluation stack and buffers of memory, made of [`Inputs`] that can be
//! written to a file.

use crate::scalar::ScalarTrace;
use mimeo::executor::{SideExit, ThreadState};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// A word of the frame or of the stack at the start of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Word {
    /// These bits: an integer, or a float's.
    Bits(u64),
    /// The address of a byte in a buffer.
    Address {
        /// Which buffer.
        buffer: usize,
        /// Bytes from its start.
        #[serde(default)]
        offset: usize,
    },
}

impl From<i64> for Word {
    fn from(value: i64) -> Self {
        Self::Bits(value as u64)
    }
}

impl From<f64> for Word {
    fn from(value: f64) -> Self {
        Self::Bits(value.to_bits())
    }
}

impl Word {
    /// The address of a buffer.
    pub const fn buffer(buffer: usize) -> Self {
        Self::Address { buffer, offset: 0 }
    }
}

/// What a run starts with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    /// The locals; those that are missing are 0.
    #[serde(default)]
    pub locals: Vec<Word>,
    /// The values on the stack, the top one last: as many as the trace is entered with.
    #[serde(default)]
    pub stack: Vec<Word>,
    /// Memory, in words.
    #[serde(default)]
    pub buffers: Vec<Vec<u64>>,
}

/// Why a run cannot start or did not end as a run does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// There are other numbers of values than the trace says.
    #[error("the inputs have {found} {what}, the trace has {expected}")]
    Count {
        /// Of what.
        what: &'static str,
        /// In the inputs.
        found: usize,
        /// In the trace.
        expected: u32,
    },
    /// An address outside the buffers.
    #[error("an input is the address of byte {offset} in buffer {buffer}, which is not there")]
    Address {
        /// Which buffer.
        buffer: usize,
        /// Bytes from its start.
        offset: usize,
    },
    /// Words around the frame or the stack were changed.
    #[error("a word {place} was overwritten with {found:#x}")]
    Stray {
        /// Where.
        place: &'static str,
        /// What stands there.
        found: u64,
    },
    /// The run ended with a stack pointer that is outside the stack.
    #[error("the run ended with a stack pointer {offset} bytes into a stack of {room} values")]
    StackPointer {
        /// Bytes from the start of the stack.
        offset: i128,
        /// How many values there is room for.
        room: usize,
    },
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Left {
    /// The position of the exit's uop.
    pub uop: u32,
    /// The exit's target.
    pub target: u32,
    /// The stack pointer, one past the top value.
    pub stack_pointer: *mut u64,
}

impl From<SideExit> for Left {
    fn from(exit: SideExit) -> Self {
        Self {
            uop: exit.uop,
            target: exit.target,
            stack_pointer: exit.stack_pointer,
        }
    }
}

/// Words in front of and behind the frame and the stack, which nothing must change.
const GUARDS: usize = 8;

/// What stands in them.
const GUARD: u64 = 0xdead_beef_0bad_cafe;

/// What stands in the stack where there is no value.
const FRESH: u64 = 0x5afe_5afe_5afe_5afe;

/// The frame, the stack and the memory of a run, which it changes. They stay at their addresses, so that engines can be
/// compared word by word: [`reset`](Self::reset) between two runs.
#[derive(Debug)]
pub struct State {
    inputs: Inputs,
    locals: usize,
    room: usize,
    frame: Vec<u64>,
    stack: Vec<u64>,
    depth: usize,
    buffers: Vec<Vec<u64>>,
    thread: ThreadState,
}

impl State {
    /// The state at the start of a run.
    ///
    /// # Errors
    /// The inputs do not suit the trace.
    pub fn new(trace: &ScalarTrace, inputs: &Inputs) -> Result<Self, StateError> {
        let count = |what, found: &[Word], expected: u32, fits: bool| match fits {
            true => Ok(()),
            false => Err(StateError::Count {
                what,
                found: found.len(),
                expected,
            }),
        };
        let (locals, room) = (trace.locals as usize, trace.stack as usize);
        count(
            "locals",
            &inputs.locals,
            trace.locals,
            inputs.locals.len() <= locals,
        )?;
        count(
            "values on the stack",
            &inputs.stack,
            trace.entry_depth,
            inputs.stack.len() == trace.entry_depth as usize && inputs.stack.len() <= room,
        )?;
        for word in inputs.locals.iter().chain(&inputs.stack) {
            if let Word::Address { buffer, offset } = *word
                && inputs
                    .buffers
                    .get(buffer)
                    .is_none_or(|words| offset > words.len() * size_of::<u64>())
            {
                return Err(StateError::Address { buffer, offset });
            }
        }
        let mut state = Self {
            inputs: inputs.clone(),
            locals,
            room,
            frame: vec![GUARD; GUARDS + locals + GUARDS],
            stack: vec![GUARD; GUARDS + room + GUARDS],
            depth: 0,
            buffers: inputs.buffers.clone(),
            thread: ThreadState::default(),
        };
        state.reset();
        Ok(state)
    }

    /// Goes back to the start.
    pub fn reset(&mut self) {
        for (buffer, words) in self.buffers.iter_mut().zip(&self.inputs.buffers) {
            buffer.copy_from_slice(words);
        }
        self.frame.fill(GUARD);
        self.stack.fill(GUARD);
        self.frame[GUARDS..GUARDS + self.locals].fill(0);
        self.stack[GUARDS..GUARDS + self.room].fill(FRESH);
        let locals = self.inputs.locals.iter().map(|&word| self.word(word));
        let locals: Vec<u64> = locals.collect();
        self.frame[GUARDS..GUARDS + locals.len()].copy_from_slice(&locals);
        let values = self.inputs.stack.iter().map(|&word| self.word(word));
        let values: Vec<u64> = values.collect();
        self.stack[GUARDS..GUARDS + values.len()].copy_from_slice(&values);
        self.depth = values.len();
    }

    fn word(&self, word: Word) -> u64 {
        match word {
            Word::Bits(bits) => bits,
            Word::Address { buffer, offset } => {
                self.buffers[buffer].as_ptr() as u64 + offset as u64
            }
        }
    }

    /// The locals.
    pub fn locals(&self) -> &[u64] {
        &self.frame[GUARDS..GUARDS + self.locals]
    }

    /// The locals.
    pub fn locals_mut(&mut self) -> &mut [u64] {
        &mut self.frame[GUARDS..GUARDS + self.locals]
    }

    /// The values on the stack, the top one last.
    pub fn values(&self) -> &[u64] {
        &self.stack[GUARDS..GUARDS + self.depth]
    }

    /// Replaces the values on the stack, the top one last. Those for which there is no room are left out.
    pub fn set_values(&mut self, values: &[u64]) {
        self.depth = values.len().min(self.room);
        self.stack[GUARDS..GUARDS + self.depth].copy_from_slice(&values[..self.depth]);
    }

    /// The buffers' words.
    pub fn buffers(&self) -> &[Vec<u64>] {
        &self.buffers
    }

    /// The addresses of a buffer's bytes.
    pub fn addresses(&self, buffer: usize) -> Range<u64> {
        let words = &self.buffers[buffer];
        let start = words.as_ptr() as u64;
        start..start + size_of_val(words.as_slice()) as u64
    }

    /// The buffer that holds the `size` bytes at an address, and the first byte's offset in it.
    pub fn find(&self, address: u64, size: u64) -> Option<(usize, usize)> {
        (0..self.buffers.len()).find_map(|buffer| {
            let range = self.addresses(buffer);
            let end = address.checked_add(size)?;
            (range.start <= address && end <= range.end)
                .then(|| (buffer, (address - range.start) as usize))
        })
    }

    /// The `size` bytes (1 to 8) at an address, as the low bytes of a word; `None` outside the buffers.
    pub fn read(&self, address: u64, size: usize) -> Option<u64> {
        let (buffer, offset) = self.find(address, size as u64)?;
        let byte = |index: usize| self.buffers[buffer][index / 8].to_le_bytes()[index % 8];
        let mut bytes = [0; 8];
        for (index, place) in bytes.iter_mut().take(size).enumerate() {
            *place = byte(offset + index);
        }
        Some(u64::from_le_bytes(bytes))
    }

    /// Stores the low `size` bytes (1 to 8) of a word at an address; `None` outside the buffers.
    pub fn write(&mut self, address: u64, size: usize, value: u64) -> Option<()> {
        let (buffer, offset) = self.find(address, size as u64)?;
        for (index, byte) in value.to_le_bytes().into_iter().take(size).enumerate() {
            let (word, shift) = ((offset + index) / 8, (offset + index) % 8 * 8);
            let old = &mut self.buffers[buffer][word];
            *old = *old & !(0xff << shift) | u64::from(byte) << shift;
        }
        Some(())
    }

    /// Hands out what an engine runs in: frame, stack pointer and thread state. The engine may change the frame's locals,
    /// the stack's room and the buffers.
    ///
    /// # Errors
    /// The run left the stack pointer outside the stack, or changed what it must not.
    pub fn enter(
        &mut self,
        run: impl FnOnce(*mut u8, *mut u64, *mut ThreadState) -> Left,
    ) -> Result<Left, StateError> {
        let frame = self.frame[GUARDS..].as_mut_ptr();
        let base = self.stack[GUARDS..].as_mut_ptr();
        let stack_pointer = base.wrapping_add(self.depth);
        let left = run(frame.cast(), stack_pointer, &raw mut self.thread);
        let offset = left.stack_pointer as i128 - base as i128;
        let limit = (self.room * size_of::<u64>()) as i128;
        if offset < 0 || offset > limit || offset % 8 != 0 {
            return Err(StateError::StackPointer {
                offset,
                room: self.room,
            });
        }
        self.depth = offset as usize / size_of::<u64>();
        self.check_guards()?;
        Ok(left)
    }

    fn check_guards(&self) -> Result<(), StateError> {
        let places = [
            ("in front of the frame", &self.frame[..GUARDS]),
            ("behind the frame", &self.frame[GUARDS + self.locals..]),
            ("in front of the stack", &self.stack[..GUARDS]),
            ("behind the stack", &self.stack[GUARDS + self.room..]),
        ];
        for (place, words) in places {
            if let Some(&found) = words.iter().find(|&&word| word != GUARD) {
                return Err(StateError::Stray { place, found });
            }
        }
        Ok(())
    }
}
