//! Traces: sequences of uops with one entry, labels to jump to, and side exits, checked before any code is made of them.
//!
//! The check proves that control stays inside the trace until an exit, that every uop has what its code needs, that
//! locals exist, and that the evaluation stack is as deep as each uop expects and never deeper than the frame holds.
//!
//! # Frames
//! A trace starts in one frame. A uop that enters another says what that one is like ([`Uop::enters`]), and one that leaves
//! a frame goes back to the one that it was entered from, with the stack there as it was left. The check follows frames as
//! it follows depths: in front of each uop it is known in which frame the uop runs, and from where that was entered.

use crate::executor::ExitInfo;
use crate::hole::HoleValue;
use crate::stencil::{Count, StackEffect, UopFlags};
use crate::table::{StencilTable, UopId};
use std::collections::HashMap;
use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering};

/// A place in a trace to jump to; made by [`Trace::label`], and of no use in another trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Label {
    trace: u64,
    /// One more than its index, so that no label needs no room of its own in a uop.
    number: NonZero<u32>,
}

impl Label {
    fn index(self) -> usize {
        self.number.get() as usize - 1
    }
}

/// One uop of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uop {
    /// Which uop.
    pub id: UopId,
    /// Its small argument, in 0..65536.
    pub oparg: u32,
    /// Its large argument.
    pub operand: u64,
    /// Its second large argument.
    pub operand1: u64,
    /// Where the interpreter resumes, in 0..2^31; what it counts is up to the uop set.
    pub target: u32,
    /// Where its jump goes.
    pub jump: Option<Label>,
    /// Where it goes when it raises an error.
    pub error: Option<Label>,
    /// What the frame is like that it enters.
    pub enters: Option<FrameShape>,
}

impl Uop {
    /// A uop without arguments.
    pub fn new(id: UopId) -> Self {
        Self {
            id,
            oparg: 0,
            operand: 0,
            operand1: 0,
            target: 0,
            jump: None,
            error: None,
            enters: None,
        }
    }

    /// Sets the oparg.
    #[must_use]
    pub fn oparg(mut self, oparg: u32) -> Self {
        self.oparg = oparg;
        self
    }

    /// Sets the operand.
    #[must_use]
    pub fn operand(mut self, operand: u64) -> Self {
        self.operand = operand;
        self
    }

    /// Sets the second operand.
    #[must_use]
    pub fn operand1(mut self, operand1: u64) -> Self {
        self.operand1 = operand1;
        self
    }

    /// Sets the target.
    #[must_use]
    pub fn target(mut self, target: u32) -> Self {
        self.target = target;
        self
    }

    /// Sets where the jump goes.
    #[must_use]
    pub fn jump(mut self, label: Label) -> Self {
        self.jump = Some(label);
        self
    }

    /// Sets where an error goes.
    #[must_use]
    pub fn error(mut self, label: Label) -> Self {
        self.error = Some(label);
        self
    }

    /// Sets what the frame is like that it enters.
    ///
    /// Its [`entry_depth`](FrameShape::entry_depth) counts the values that are on the frame's stack already, and not those
    /// that the uop pushes there.
    #[must_use]
    pub fn enters(mut self, shape: FrameShape) -> Self {
        self.enters = Some(shape);
        self
    }
}

/// A frame that a trace, or a part of it, runs in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FrameShape {
    /// How many locals there are.
    pub locals: u32,
    /// How many values the evaluation stack can hold.
    pub stack: u32,
    /// How many values are on the evaluation stack when the frame is entered.
    pub entry_depth: u32,
}

/// Why a trace cannot be compiled. `index` is the position of the uop in the trace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TraceError {
    /// There is no uop of this name.
    #[error("the table {table} has no uop {name}")]
    UnknownUop {
        /// The name that was asked for.
        name: String,
        /// The table's uop set.
        table: String,
    },
    /// The trace has no uops.
    #[error("the trace is empty")]
    Empty,
    /// The trace has more uops or labels than can be counted.
    #[error("the trace has {found} uops, the limit is {limit}")]
    TooLong {
        /// How many there are.
        found: usize,
        /// How many there may be.
        limit: usize,
    },
    /// The uop belongs to another table.
    #[error(
        "uop {index}: it is number {id} of the table {found}, the trace is of the table {expected}"
    )]
    ForeignUop {
        /// Where.
        index: usize,
        /// The uop's number in its table.
        id: usize,
        /// The uop's table: its uop set, and its checksum where that does not tell it from the trace's.
        found: String,
        /// The trace's table.
        expected: String,
    },
    /// An argument is larger than the code was compiled for.
    #[error("uop {index} {name}: {what} {found} is too large, the limit is {limit}")]
    Argument {
        /// Where.
        index: usize,
        /// The uop's name.
        name: String,
        /// Which argument.
        what: &'static str,
        /// Its value.
        found: u64,
        /// The largest value.
        limit: u64,
    },
    /// A local that the frame does not have.
    #[error("uop {index} {name}: there is no local {found}, the frame has {locals}")]
    Local {
        /// Where.
        index: usize,
        /// The uop's name.
        name: String,
        /// The local's index.
        found: u32,
        /// How many there are.
        locals: u32,
    },
    /// A label that is needed and not given.
    #[error("uop {index} {name}: it needs {what}")]
    MissingLabel {
        /// Where.
        index: usize,
        /// The uop's name.
        name: String,
        /// What is missing.
        what: &'static str,
    },
    /// A label that stands nowhere in this trace.
    #[error("uop {index} {name}: its {what} is never bound to a uop of this trace")]
    UnboundLabel {
        /// Where.
        index: usize,
        /// The uop's name.
        name: String,
        /// Which label.
        what: &'static str,
    },
    /// A label of another trace was to be bound here.
    #[error("the label to stand in front of uop {index} is another trace's")]
    ForeignLabel {
        /// Where.
        index: usize,
    },
    /// A label was bound twice.
    #[error("label {label} is bound twice, to uop {first} and uop {second}")]
    BoundTwice {
        /// The label's number.
        label: u32,
        /// Its first place.
        first: usize,
        /// Its second place.
        second: usize,
    },
    /// Control would run past the last uop.
    #[error("uop {index} {name} is the last, but goes on with the next uop")]
    RunsOff {
        /// Where.
        index: usize,
        /// The uop's name.
        name: String,
    },
    /// The uop takes more values than there are.
    #[error("uop {index} {name}: it takes {needed} values, the stack holds {depth}")]
    StackUnderflow {
        /// Where.
        index: usize,
        /// The uop's name.
        name: String,
        /// What it takes.
        needed: u64,
        /// What is there.
        depth: u64,
    },
    /// The stack would be deeper than the frame holds.
    #[error(
        "uop {index} {name}: the stack would hold {depth} values, the frame has room for {limit}"
    )]
    StackOverflow {
        /// Where.
        index: usize,
        /// The uop's name.
        name: String,
        /// How deep it would be.
        depth: u64,
        /// The frame's room.
        limit: u32,
    },
    /// Two ways to the same uop disagree on the depth of the stack.
    #[error("uop {index} {name}: it is reached with {first} and with {second} values on the stack")]
    DepthMismatch {
        /// Where.
        index: usize,
        /// The uop's name.
        name: String,
        /// One depth.
        first: u64,
        /// The other.
        second: u64,
    },
    /// A uop that enters a frame must say what that is like, and no other may.
    #[error("uop {index} {name}: {problem}")]
    EnteredFrame {
        /// Where.
        index: usize,
        /// The uop's name.
        name: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// The uop leaves a frame that the trace has not entered.
    #[error("uop {index} {name}: it leaves the frame that the trace was entered in")]
    LeavesOuterFrame {
        /// Where.
        index: usize,
        /// The uop's name.
        name: String,
    },
    /// Two ways to the same uop disagree on the frame, or on where it was entered from.
    #[error("uop {index} {name}: it is reached in different frames")]
    FrameMismatch {
        /// Where.
        index: usize,
        /// The uop's name.
        name: String,
    },
}

/// The most uops a trace may have: offsets into its code have 32 bits.
pub const MAX_UOPS: usize = 1 << 20;

/// A trace under construction.
///
/// ```
/// # use mimeo::{table::StencilTable, trace::{Trace, TraceError, Uop}};
/// # fn example(table: &StencilTable) -> Result<(), TraceError> {
/// let mut trace = Trace::new(table);
/// let exit = trace.label();
/// trace.push(trace.uop("_GUARD_TOS_INT")?.jump(exit));
/// trace.push(trace.uop("_JUMP_TO_TOP")?);
/// trace.bind(exit)?;
/// trace.push(trace.uop("_EXIT_TRACE")?.target(12));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Trace<'t> {
    /// Tells this trace's labels from those of others. A clone has the same labels.
    id: u64,
    table: &'t StencilTable,
    uops: Vec<Uop>,
    labels: Vec<Option<u32>>,
    /// Whether any uop says what frame it enters: otherwise all of them run in one.
    enters_frames: bool,
}

impl<'t> Trace<'t> {
    /// An empty trace of this table's uops.
    pub fn new(table: &'t StencilTable) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            table,
            uops: Vec::new(),
            labels: Vec::new(),
            enters_frames: false,
        }
    }

    /// This trace as one of `table`, which has the same bytes as its own.
    pub(crate) fn in_table<'s>(&self, table: &'s StencilTable) -> Trace<'s> {
        Trace {
            id: self.id,
            table,
            uops: self.uops.clone(),
            labels: self.labels.clone(),
            enters_frames: self.enters_frames,
        }
    }

    /// The table whose uops these are.
    pub fn table(&self) -> &'t StencilTable {
        self.table
    }

    /// The uops so far.
    pub fn uops(&self) -> &[Uop] {
        &self.uops
    }

    /// A uop by name, without arguments, to be [pushed](Self::push).
    ///
    /// # Errors
    /// [`TraceError::UnknownUop`].
    pub fn uop(&self, name: &str) -> Result<Uop, TraceError> {
        self.table
            .find(name)
            .map(Uop::new)
            .ok_or_else(|| TraceError::UnknownUop {
                name: name.to_owned(),
                table: self.table.set().to_owned(),
            })
    }

    /// Appends a uop and returns its position.
    pub fn push(&mut self, uop: Uop) -> usize {
        self.enters_frames |= uop.enters.is_some();
        self.uops.push(uop);
        self.uops.len() - 1
    }

    /// A new label, which stands nowhere yet.
    pub fn label(&mut self) -> Label {
        let number = NonZero::<u32>::MIN.saturating_add(self.labels.len() as u32);
        self.labels.push(None);
        Label {
            trace: self.id,
            number,
        }
    }

    /// Puts a label in front of the next uop that is pushed.
    ///
    /// # Errors
    /// The label already stands somewhere, or is another trace's.
    pub fn bind(&mut self, label: Label) -> Result<(), TraceError> {
        let here = self.uops.len();
        if label.trace != self.id {
            return Err(TraceError::ForeignLabel { index: here });
        }
        match self.labels.get_mut(label.index()) {
            Some(place @ None) => *place = Some(here as u32),
            Some(Some(first)) => {
                return Err(TraceError::BoundTwice {
                    label: label.index() as u32,
                    first: *first as usize,
                    second: here,
                });
            }
            // Made by a clone of this trace after it was cloned.
            None => return Err(TraceError::ForeignLabel { index: here }),
        }
        Ok(())
    }

    /// The position of the uop that a label stands in front of; `None` if it stands nowhere in this trace.
    pub fn position(&self, label: Label) -> Option<usize> {
        self.stands_at(label).map(|place| place as usize)
    }

    /// Where a label stands, if it is one of this trace's that stands in front of a uop.
    fn stands_at(&self, label: Label) -> Option<u32> {
        let place = (*self.labels.get(label.index())?)?;
        (label.trace == self.id && (place as usize) < self.uops.len()).then_some(place)
    }

    /// Proves what the [module](self) says.
    ///
    /// # Errors
    /// The first thing that does not hold.
    pub fn check(&self, shape: FrameShape) -> Result<CheckedTrace<'_>, TraceError> {
        if self.uops.is_empty() {
            return Err(TraceError::Empty);
        }
        if self.uops.len() > MAX_UOPS {
            return Err(TraceError::TooLong {
                found: self.uops.len(),
                limit: MAX_UOPS,
            });
        }
        let mut places = Vec::with_capacity(self.uops.len());
        for index in 0..self.uops.len() {
            places.push(match self.plain_places(index, shape) {
                Some(places) => places,
                None => self.check_uop(index, shape)?,
            });
        }
        let depths = Depths::of(self, shape, &places)?;
        self.check_locals_of_frames(&depths)?;
        Ok(CheckedTrace {
            uops: &self.uops,
            table: self.table,
            shape,
            places,
            depths,
        })
    }

    fn name(&self, index: usize) -> String {
        self.table.uop(self.uops[index].id).name.to_owned()
    }

    /// The places of a uop of which little is to be checked, and that little holds; most are so. `None` says nothing.
    #[inline]
    fn plain_places(&self, index: usize, shape: FrameShape) -> Option<Places> {
        let uop = &self.uops[index];
        if !self.table.has(uop.id) {
            return None;
        }
        let entry = self.table.entry(uop.id);
        let special = UopFlags::announcing(HoleValue::JumpTarget)
            .union(UopFlags::ERROR)
            .union(UopFlags::TOP)
            .union(UopFlags::ENTERS_FRAME);
        let is_plain = !self.enters_frames
            && !entry.flags.intersects(special)
            && uop.oparg <= entry.oparg_max
            && uop.operand <= entry.operand_max
            && uop.operand1 <= entry.operand1_max
            && uop.target <= i32::MAX as u32
            && entry.locals <= shape.locals
            && (uop.oparg < shape.locals || !entry.flags.contains(UopFlags::LOCAL))
            && (index + 1 < self.uops.len() || entry.flags.contains(UopFlags::TERMINAL));
        is_plain.then_some(Places {
            jump: NOWHERE,
            error: NOWHERE,
        })
    }

    fn check_uop(&self, index: usize, shape: FrameShape) -> Result<Places, TraceError> {
        let uop = &self.uops[index];
        if !self.table.has(uop.id) {
            let [found, expected] = self.table.names_of(uop.id);
            return Err(TraceError::ForeignUop {
                index,
                id: uop.id.index(),
                found,
                expected,
            });
        }
        let entry = self.table.entry(uop.id);
        let arguments = [
            ("oparg", u64::from(uop.oparg), u64::from(entry.oparg_max)),
            ("operand", uop.operand, entry.operand_max),
            ("operand1", uop.operand1, entry.operand1_max),
            ("target", u64::from(uop.target), i32::MAX as u64),
        ];
        if let Some(&(what, found, limit)) =
            arguments.iter().find(|(_, found, limit)| found > limit)
        {
            return Err(TraceError::Argument {
                index,
                name: self.name(index),
                what,
                found,
                limit,
            });
        }
        // Where there are several frames it is not known yet in which one the uop runs.
        if !self.enters_frames {
            self.check_locals(index, shape)?;
        }
        let problem = match (entry.flags.contains(UopFlags::ENTERS_FRAME), uop.enters) {
            (true, None) => Some("it enters a frame of which nothing is known"),
            (false, Some(_)) => Some("it says what frame it enters, but enters none"),
            _ => None,
        };
        if let Some(problem) = problem {
            return Err(TraceError::EnteredFrame {
                index,
                name: self.name(index),
                problem,
            });
        }
        if !entry.flags.contains(UopFlags::TERMINAL) && index + 1 == self.uops.len() {
            return Err(TraceError::RunsOff {
                index,
                name: self.name(index),
            });
        }
        if entry.flags.contains(UopFlags::TOP) && self.uops.len() < 2 {
            return Err(TraceError::MissingLabel {
                index,
                name: self.name(index),
                what: "a second uop to go to",
            });
        }
        Ok(Places {
            jump: self.place(index, entry.flags.needs_jump(), uop.jump, "jump label")?,
            error: self.place(
                index,
                entry.flags.contains(UopFlags::ERROR),
                uop.error,
                "error label",
            )?,
        })
    }

    /// The frame has the locals that a uop names.
    fn check_locals(&self, index: usize, shape: FrameShape) -> Result<(), TraceError> {
        let uop = &self.uops[index];
        let entry = self.table.entry(uop.id);
        let named = entry.flags.contains(UopFlags::LOCAL).then_some(uop.oparg);
        let highest = named.max(entry.locals.checked_sub(1));
        match highest.filter(|&local| local >= shape.locals) {
            None => Ok(()),
            Some(found) => Err(TraceError::Local {
                index,
                name: self.name(index),
                found,
                locals: shape.locals,
            }),
        }
    }

    /// Each frame has the locals that the uops name which run in it.
    fn check_locals_of_frames(&self, depths: &Depths) -> Result<(), TraceError> {
        let Some(frames) = &depths.frames else {
            return Ok(());
        };
        for (index, &depth) in depths.before.iter().enumerate() {
            if depth != UNREACHED {
                self.check_locals(index, frames.shape(index))?;
            }
        }
        Ok(())
    }

    /// The uop that a label stands in front of, or [`NOWHERE`] where the uop's code never goes there.
    fn place(
        &self,
        index: usize,
        needed: bool,
        label: Option<Label>,
        what: &'static str,
    ) -> Result<u32, TraceError> {
        if !needed {
            return Ok(NOWHERE);
        }
        let Some(label) = label else {
            return Err(TraceError::MissingLabel {
                index,
                name: self.name(index),
                what,
            });
        };
        self.stands_at(label)
            .ok_or_else(|| TraceError::UnboundLabel {
                index,
                name: self.name(index),
                what,
            })
    }
}

/// The place of a label that the uop's code does not go to.
pub(crate) const NOWHERE: u32 = u32::MAX;

/// Where a uop's labels stand, as positions in the trace, or [`NOWHERE`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places {
    pub(crate) jump: u32,
    pub(crate) error: u32,
}

/// A trace of which everything is proven that the compiler relies on.
#[derive(Debug)]
pub struct CheckedTrace<'a> {
    pub(crate) uops: &'a [Uop],
    pub(crate) table: &'a StencilTable,
    pub(crate) shape: FrameShape,
    pub(crate) places: Vec<Places>,
    depths: Depths,
}

impl CheckedTrace<'_> {
    /// The depth of the stack in front of a uop; `None` where control never gets there or there is no such uop.
    pub(crate) fn depth(&self, index: usize) -> Option<u32> {
        let depth = self.depths.before.get(index).copied();
        depth.filter(|&depth| depth != UNREACHED)
    }

    /// What a uop's exit record says of the exit.
    pub(crate) fn exit(&self, index: usize) -> ExitInfo {
        let uop = &self.uops[index];
        let frames = self.depths.frames.as_ref();
        ExitInfo {
            uop: index as u32,
            target: uop.target,
            depth: self.exit_depth(index),
            shape: frames.map_or(self.shape, |frames| frames.shape(index)),
        }
    }

    /// The depth of the stack where the trace is left through a uop's exit record; `None` where control never gets there.
    fn exit_depth(&self, index: usize) -> Option<u32> {
        let uop = &self.uops[index];
        let depth = self.depth(index)?;
        let entry = self.table.entry(uop.id);
        let after = entry.leaving_effect.apply(depth.into(), uop.oparg)?;
        u32::try_from(after).ok()
    }
}

/// The depth in front of a uop that control never gets to.
const UNREACHED: u32 = u32::MAX;

/// The stack in front of each uop.
#[derive(Debug)]
struct Depths {
    /// How deep it is, or [`UNREACHED`].
    before: Vec<u32>,
    /// Whose stack it is; `None` where all uops run in one frame.
    frames: Option<Frames>,
    /// The room of the frame that the trace is entered in.
    limit: u32,
}

/// The frames that the uops of a trace run in.
#[derive(Debug)]
struct Frames {
    known: Vec<Frame>,
    numbers: HashMap<Frame, u32>,
    /// The number of the frame that each uop runs in, once it was reached.
    before: Vec<u32>,
}

/// A frame of a trace. Those entered from the same place, and of one shape, are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Frame {
    shape: FrameShape,
    /// The number of the frame that it was entered from and the depth of the stack there; `None` for the trace's own.
    caller: Option<(u32, u32)>,
}

impl Frames {
    fn new(shape: FrameShape, uops: usize) -> Self {
        let outer = Frame {
            shape,
            caller: None,
        };
        Self {
            known: vec![outer],
            numbers: HashMap::from([(outer, 0)]),
            before: vec![0; uops],
        }
    }

    /// The frame that a uop runs in.
    fn of(&self, index: usize) -> Frame {
        self.known[self.before[index] as usize]
    }

    /// What the frame is like that a uop runs in: the trace's own where control never gets there.
    fn shape(&self, index: usize) -> FrameShape {
        self.of(index).shape
    }

    /// The number of a frame.
    fn number(&mut self, frame: Frame) -> u32 {
        let next = self.known.len() as u32;
        let number = *self.numbers.entry(frame).or_insert(next);
        if number == next {
            self.known.push(frame);
        }
        number
    }
}

/// The frame that a way to a uop is in and the depth of the stack there.
#[derive(Clone, Copy)]
struct Reached {
    frame: u32,
    depth: u32,
}

impl Depths {
    fn of(trace: &Trace<'_>, shape: FrameShape, places: &[Places]) -> Result<Self, TraceError> {
        let depth = entry_depth(trace, 0, shape)?;
        let uops = trace.uops.len();
        let mut depths = Self {
            before: vec![UNREACHED; uops],
            frames: trace.enters_frames.then(|| Frames::new(shape, uops)),
            limit: shape.stack,
        };
        depths.before[0] = depth;
        // Most traces run in one frame, and what is checked on the way to every executor should be fast for them.
        match trace.enters_frames {
            false => depths.follow::<false>(trace, places)?,
            true => depths.follow::<true>(trace, places)?,
        }
        Ok(depths)
    }

    /// Follows all ways from the first uop on.
    fn follow<const FRAMES: bool>(
        &mut self,
        trace: &Trace<'_>,
        places: &[Places],
    ) -> Result<(), TraceError> {
        // Uops that were reached by a jump and from which nothing was followed yet.
        let mut pending = vec![0];
        while let Some(mut index) = pending.pop() {
            // Follows the trace down to where it ends or is known.
            while let Some(next) = self.step::<FRAMES>(trace, index, places, &mut pending)? {
                index = next;
            }
        }
        Ok(())
    }

    /// Follows one uop to wherever it goes. Returns the next uop where it is reached for the first time.
    #[inline]
    fn step<const FRAMES: bool>(
        &mut self,
        trace: &Trace<'_>,
        index: usize,
        places: &[Places],
        pending: &mut Vec<usize>,
    ) -> Result<Option<usize>, TraceError> {
        let uop = &trace.uops[index];
        let entry = trace.table.entry(uop.id);
        let depth = self.before[index];
        let (frame, limit) = match &self.frames {
            Some(frames) if FRAMES => (frames.before[index], frames.shape(index).stack),
            _ => (0, self.limit),
        };
        let here = |depth| Reached { frame, depth };
        let apply = |effect| apply(trace, index, effect, depth, limit);
        if entry.flags.needs_jump() {
            let (place, after) = (places[index].jump as usize, apply(entry.leaving_effect)?);
            if self.reach::<FRAMES>(trace, place, here(after))? {
                pending.push(place);
            }
        }
        if entry.flags.contains(UopFlags::ERROR) {
            let place = places[index].error as usize;
            let pops = entry.flags.contains(UopFlags::POPS_BEFORE_ERROR);
            let after = match pops {
                false => depth,
                true => apply(StackEffect {
                    popped: entry.effect.popped,
                    pushed: Count::default(),
                })?,
            };
            if self.reach::<FRAMES>(trace, place, here(after))? {
                pending.push(place);
            }
        }
        if entry.flags.contains(UopFlags::EXIT_RECORD) {
            apply(entry.leaving_effect)?;
        }
        if entry.flags.contains(UopFlags::TOP) && self.reach::<FRAMES>(trace, 1, here(depth))? {
            pending.push(1);
        }
        if entry.flags.contains(UopFlags::TERMINAL) {
            return Ok(None);
        }
        let after = match entry.flags.intersects(UopFlags::SWITCHES_FRAME) {
            false => here(apply(entry.effect)?),
            true => self.switch_frame(trace, index, limit)?,
        };
        let next = index + 1;
        Ok(self.reach::<FRAMES>(trace, next, after)?.then_some(next))
    }

    /// The frame and the stack behind a uop that goes to another frame.
    #[cold]
    fn switch_frame(
        &mut self,
        trace: &Trace<'_>,
        index: usize,
        limit: u32,
    ) -> Result<Reached, TraceError> {
        let uop = &trace.uops[index];
        let StackEffect { popped, pushed } = trace.table.entry(uop.id).effect;
        let popped = StackEffect {
            popped,
            pushed: Count::default(),
        };
        let pushed = StackEffect {
            popped: Count::default(),
            pushed,
        };
        let left = apply(trace, index, popped, self.before[index], limit)?;
        let outer = || TraceError::LeavesOuterFrame {
            index,
            name: trace.name(index),
        };
        // No frame is left in a trace that enters none.
        let frames = self.frames.as_mut().ok_or_else(outer)?;
        let (frame, depth) = match uop.enters {
            Some(shape) => {
                let caller = Some((frames.before[index], left));
                let frame = frames.number(Frame { shape, caller });
                (frame, entry_depth(trace, index, shape)?)
            }
            None => frames.of(index).caller.ok_or_else(outer)?,
        };
        let limit = frames.known[frame as usize].shape.stack;
        let depth = apply(trace, index, pushed, depth, limit)?;
        Ok(Reached { frame, depth })
    }

    /// Notes a way to a uop; returns whether it is the first one.
    #[inline]
    fn reach<const FRAMES: bool>(
        &mut self,
        trace: &Trace<'_>,
        index: usize,
        reached: Reached,
    ) -> Result<bool, TraceError> {
        let Reached { frame, depth } = reached;
        let known = &mut self.before[index];
        if *known == UNREACHED {
            *known = depth;
            if FRAMES && let Some(frames) = &mut self.frames {
                frames.before[index] = frame;
            }
            return Ok(true);
        }
        let first = *known;
        if FRAMES
            && let Some(frames) = &self.frames
            && frames.before[index] != frame
        {
            return Err(TraceError::FrameMismatch {
                index,
                name: trace.name(index),
            });
        }
        match first == depth {
            true => Ok(false),
            false => Err(depths_differ(trace, index, first, depth)),
        }
    }
}

/// The depth of the stack of a frame that is entered in front of a uop, or by it.
fn entry_depth(trace: &Trace<'_>, index: usize, shape: FrameShape) -> Result<u32, TraceError> {
    let (depth, limit) = (shape.entry_depth, shape.stack);
    if depth > limit || limit == UNREACHED {
        return Err(TraceError::StackOverflow {
            index,
            name: trace.name(index),
            depth: depth.into(),
            limit,
        });
    }
    Ok(depth)
}

#[cold]
fn depths_differ(trace: &Trace<'_>, index: usize, first: u32, second: u32) -> TraceError {
    TraceError::DepthMismatch {
        index,
        name: trace.name(index),
        first: first.into(),
        second: second.into(),
    }
}

/// The depth of the stack behind a uop with this effect, in a frame with room for `limit` values.
#[inline(always)]
fn apply(
    trace: &Trace<'_>,
    index: usize,
    effect: StackEffect,
    depth: u32,
    limit: u32,
) -> Result<u32, TraceError> {
    match effect.apply(depth.into(), trace.uops[index].oparg) {
        Some(after) if after <= limit.into() => Ok(after as u32),
        after => Err(wrong_depth(trace, index, effect, (depth, after), limit)),
    }
}

/// The error of a uop that takes the stack from one depth to another, or to none.
#[cold]
fn wrong_depth(
    trace: &Trace<'_>,
    index: usize,
    effect: StackEffect,
    (depth, after): (u32, Option<u64>),
    limit: u32,
) -> TraceError {
    let name = trace.name(index);
    match after {
        Some(depth) => TraceError::StackOverflow {
            index,
            name,
            depth,
            limit,
        },
        None => TraceError::StackUnderflow {
            index,
            name,
            needed: effect.popped.of(trace.uops[index].oparg),
            depth: depth.into(),
        },
    }
}
