//! Scalar traces as data: what engines and the reference share.
//!
//! # JSON form
//! A trace is an object; what is 0 or absent in a uop may be left out:
//!
//! ```
//! let trace: mimeo_bench::ScalarTrace = serde_json::from_str(r#"{
//!     "locals": 2, "stack": 2, "entry_depth": 0,
//!     "uops": [
//!         {"op": "LOAD_I64", "oparg": 0},
//!         {"op": "CONST_I64", "operand": 1},
//!         {"op": "I64_SUB_CHECKED", "jump": 1},
//!         {"op": "DUP_I64"},
//!         {"op": "STORE_I64", "oparg": 0},
//!         {"op": "JUMP_IF_TRUE", "jump": 0},
//!         {"op": "EXIT", "target": 1},
//!         {"op": "EXIT", "target": 2}
//!     ],
//!     "labels": [0, 7]
//! }"#).unwrap();
//! trace.check().unwrap();
//! ```
//!
//! `jump` is an index into `labels`, each of which is the position of a uop. The operand of a `CALL` uop is the number of
//! a [native function](crate::native::NATIVES), that of `CONST_F64` the float's bits.

use crate::native::native;
use crate::op::{Jump, Op};
use mimeo::table::StencilTable;
use mimeo::trace::{FrameShape, Trace, TraceError, Uop};
use serde::{Deserialize, Serialize};

/// One uop of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScalarUop {
    /// Which uop.
    pub op: Op,
    /// The local, where the uop has one.
    #[serde(default, skip_serializing_if = "is_zero_u32")]
    pub oparg: u32,
    /// The constant, or the number of a native function.
    #[serde(default, skip_serializing_if = "is_zero_u64")]
    pub operand: u64,
    /// The number that an exit reports.
    #[serde(default, skip_serializing_if = "is_zero_u32")]
    pub target: u32,
    /// Where it jumps: an index into [`ScalarTrace::labels`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jump: Option<u32>,
}

fn is_zero_u32(number: &u32) -> bool {
    *number == 0
}

fn is_zero_u64(number: &u64) -> bool {
    *number == 0
}

impl ScalarUop {
    /// A uop without arguments.
    pub const fn new(op: Op) -> Self {
        Self {
            op,
            oparg: 0,
            operand: 0,
            target: 0,
            jump: None,
        }
    }
}

/// A trace of the scalar set. Anything can stand in it; [`check`](Self::check) says whether it makes sense.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScalarTrace {
    /// How many locals the frame has.
    pub locals: u32,
    /// The most values that are on the stack at any time.
    pub stack: u32,
    /// How many values are on the stack when the trace is entered.
    #[serde(default)]
    pub entry_depth: u32,
    /// The uops; the first is the entry.
    pub uops: Vec<ScalarUop>,
    /// The position of the uop that each label stands in front of.
    #[serde(default)]
    pub labels: Vec<u32>,
}

/// Why a scalar trace makes no sense. `index` is the position of the uop.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScalarTraceError {
    /// There is no uop.
    #[error("the trace is empty")]
    Empty,
    /// A label that does not exist, or stands at no uop.
    #[error("uop {index} {op}: its jump label {label:?} stands at no uop")]
    Label {
        /// Where.
        index: usize,
        /// The uop.
        op: Op,
        /// The label.
        label: Option<u32>,
    },
    /// A local that the frame does not have.
    #[error("uop {index} {op}: there is no local {local}, the frame has {locals}")]
    Local {
        /// Where.
        index: usize,
        /// The uop.
        op: Op,
        /// The local.
        local: u32,
        /// How many there are.
        locals: u32,
    },
    /// A function that does not exist or takes other arguments.
    #[error("uop {index} {op}: native function {number} is none that it can call")]
    Native {
        /// Where.
        index: usize,
        /// The uop.
        op: Op,
        /// The function's number.
        number: u64,
    },
    /// The stack holds too little or too much.
    #[error("uop {index} {op}: the stack holds {depth} values there, of at most {limit}")]
    Depth {
        /// Where.
        index: usize,
        /// The uop.
        op: Op,
        /// The depth in front of it.
        depth: u32,
        /// The most that fit.
        limit: u32,
    },
    /// Two ways to a uop disagree on the depth.
    #[error("uop {index} {op}: it is reached with {first} and with {second} values on the stack")]
    Mismatch {
        /// Where.
        index: usize,
        /// The uop.
        op: Op,
        /// One depth.
        first: u32,
        /// The other.
        second: u32,
    },
    /// Control runs past the end.
    #[error("the last uop, {op}, goes on with the next")]
    RunsOff {
        /// The uop.
        op: Op,
    },
    /// mimeo finds something wrong.
    #[error(transparent)]
    Trace(#[from] TraceError),
}

impl ScalarTrace {
    /// The frame that it runs in.
    pub fn shape(&self) -> FrameShape {
        FrameShape {
            locals: self.locals,
            stack: self.stack,
            entry_depth: self.entry_depth,
        }
    }

    /// The position of the uop that a uop jumps to; `None` where it has no label, or one that stands at no uop.
    pub fn destination(&self, uop: &ScalarUop) -> Option<usize> {
        let position = *self.labels.get(uop.jump? as usize)? as usize;
        (position < self.uops.len()).then_some(position)
    }

    /// The depth of the stack in front of each uop; `None` where control never gets.
    ///
    /// # Errors
    /// The first thing in the trace that makes no sense.
    pub fn check(&self) -> Result<Vec<Option<u32>>, ScalarTraceError> {
        if self.uops.is_empty() {
            return Err(ScalarTraceError::Empty);
        }
        for (index, uop) in self.uops.iter().enumerate() {
            self.check_arguments(index, uop)?;
        }
        let mut depths = vec![None; self.uops.len()];
        let mut open = Vec::new();
        self.reach(0, self.entry_depth, &mut depths, &mut open)?;
        while let Some((index, depth)) = open.pop() {
            let op = self.uops[index].op;
            let wrong = || ScalarTraceError::Depth {
                index,
                op,
                depth,
                limit: self.stack,
            };
            if !op.is_terminal() {
                let after = op.depth_after(depth).ok_or_else(wrong)?;
                if index + 1 == self.uops.len() {
                    return Err(ScalarTraceError::RunsOff { op });
                }
                if after > self.stack {
                    return Err(wrong());
                }
                self.reach(index + 1, after, &mut depths, &mut open)?;
            }
            if let Some(to) = self.destination(&self.uops[index])
                && op.jump() != Jump::Never
            {
                let there = op.depth_at_label(depth).ok_or_else(wrong)?;
                self.reach(to, there, &mut depths, &mut open)?;
            }
        }
        Ok(depths)
    }

    fn check_arguments(&self, index: usize, uop: &ScalarUop) -> Result<(), ScalarTraceError> {
        let op = uop.op;
        if op.names_local() && uop.oparg >= self.locals {
            return Err(ScalarTraceError::Local {
                index,
                op,
                local: uop.oparg,
                locals: self.locals,
            });
        }
        if op.jump() != Jump::Never && self.destination(uop).is_none() {
            return Err(ScalarTraceError::Label {
                index,
                op,
                label: uop.jump,
            });
        }
        if op.calls() && native(op, uop.operand).is_none() {
            return Err(ScalarTraceError::Native {
                index,
                op,
                number: uop.operand,
            });
        }
        Ok(())
    }

    fn reach(
        &self,
        index: usize,
        depth: u32,
        depths: &mut [Option<u32>],
        open: &mut Vec<(usize, u32)>,
    ) -> Result<(), ScalarTraceError> {
        let op = self.uops[index].op;
        match depths[index] {
            Some(first) if first != depth => Err(ScalarTraceError::Mismatch {
                index,
                op,
                first,
                second: depth,
            }),
            Some(_) => Ok(()),
            None if depth > self.stack => Err(ScalarTraceError::Depth {
                index,
                op,
                depth,
                limit: self.stack,
            }),
            None => {
                depths[index] = Some(depth);
                open.push((index, depth));
                Ok(())
            }
        }
    }

    /// The same as a trace of mimeo's, for a table of the scalar set.
    ///
    /// # Errors
    /// The trace makes no sense, or the table lacks a uop.
    pub fn build<'t>(&self, table: &'t StencilTable) -> Result<Trace<'t>, ScalarTraceError> {
        self.check()?;
        let mut trace = Trace::new(table);
        let labels: Vec<_> = self.labels.iter().map(|_| trace.label()).collect();
        let mut bound: Vec<(u32, usize)> = self.labels.iter().copied().zip(0..).collect();
        bound.sort_unstable();
        let mut bound = bound.into_iter().peekable();
        for (index, uop) in self.uops.iter().enumerate() {
            while let Some((_, label)) = bound.next_if(|&(place, _)| place as usize == index) {
                trace.bind(labels[label])?;
            }
            let operand = match native(uop.op, uop.operand) {
                Some(function) => function.address(),
                None => uop.operand,
            };
            let made = trace.uop(uop.op.name())?;
            trace.push(Uop {
                oparg: uop.oparg,
                operand,
                target: uop.target,
                jump: uop
                    .jump
                    .and_then(|label| labels.get(label as usize).copied()),
                ..made
            });
        }
        Ok(trace)
    }
}

/// A label of a [`Writer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Label(u32);

/// Writes a trace, uop by uop.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    trace: ScalarTrace,
}

/// A label that was not bound yet.
const UNBOUND: u32 = u32::MAX;

impl Writer {
    /// An empty trace for frames of so many locals.
    pub fn new(locals: u32) -> Self {
        let trace = ScalarTrace {
            locals,
            ..ScalarTrace::default()
        };
        Self { trace }
    }

    /// Says how many values are on the stack at entry.
    #[must_use]
    pub fn entered_with(mut self, depth: u32) -> Self {
        self.trace.entry_depth = depth;
        self
    }

    /// The position of the next uop.
    pub fn position(&self) -> usize {
        self.trace.uops.len()
    }

    /// Appends a uop.
    pub fn push(&mut self, uop: ScalarUop) -> &mut Self {
        self.trace.uops.push(uop);
        self
    }

    /// Appends a uop without arguments.
    pub fn op(&mut self, op: Op) -> &mut Self {
        self.push(ScalarUop::new(op))
    }

    /// Appends uops without arguments.
    pub fn ops(&mut self, ops: &[Op]) -> &mut Self {
        for &op in ops {
            self.op(op);
        }
        self
    }

    /// `LOAD_I64` of each of these locals.
    pub fn load(&mut self, locals: &[u32]) -> &mut Self {
        for &oparg in locals {
            self.local(Op::LoadI64, oparg);
        }
        self
    }

    /// `LOAD_F64` of each of these locals.
    pub fn load_f64(&mut self, locals: &[u32]) -> &mut Self {
        for &oparg in locals {
            self.local(Op::LoadF64, oparg);
        }
        self
    }

    /// `STORE_I64`.
    pub fn store(&mut self, local: u32) -> &mut Self {
        self.local(Op::StoreI64, local)
    }

    /// `STORE_F64`.
    pub fn store_f64(&mut self, local: u32) -> &mut Self {
        self.local(Op::StoreF64, local)
    }

    fn local(&mut self, op: Op, oparg: u32) -> &mut Self {
        self.push(ScalarUop {
            oparg,
            ..ScalarUop::new(op)
        })
    }

    /// `CONST_I64`.
    pub fn int(&mut self, value: i64) -> &mut Self {
        self.push(ScalarUop {
            operand: value as u64,
            ..ScalarUop::new(Op::ConstI64)
        })
    }

    /// `CONST_F64`.
    pub fn float(&mut self, value: f64) -> &mut Self {
        self.push(ScalarUop {
            operand: value.to_bits(),
            ..ScalarUop::new(Op::ConstF64)
        })
    }

    /// A new label, to be [bound](Self::bind).
    pub fn label(&mut self) -> Label {
        self.trace.labels.push(UNBOUND);
        Label(self.trace.labels.len() as u32 - 1)
    }

    /// Puts a label in front of the next uop.
    pub fn bind(&mut self, label: Label) -> &mut Self {
        if let Some(place) = self.trace.labels.get_mut(label.0 as usize) {
            *place = self.trace.uops.len() as u32;
        }
        self
    }

    /// A new label in front of the next uop.
    pub fn here(&mut self) -> Label {
        let label = self.label();
        self.bind(label);
        label
    }

    /// Appends a uop that may jump.
    pub fn jumping(&mut self, op: Op, label: Label) -> &mut Self {
        self.push(ScalarUop {
            jump: Some(label.0),
            ..ScalarUop::new(op)
        })
    }

    /// `EXIT`.
    pub fn exit(&mut self, target: u32) -> &mut Self {
        self.push(ScalarUop {
            target,
            ..ScalarUop::new(Op::Exit)
        })
    }

    /// Binds a label and exits there.
    pub fn exit_at(&mut self, label: Label, target: u32) -> &mut Self {
        self.bind(label).exit(target)
    }

    /// The trace, with as much room on the stack as it needs.
    ///
    /// # Errors
    /// It makes no sense.
    pub fn finish(self) -> Result<ScalarTrace, ScalarTraceError> {
        let mut trace = self.trace;
        trace.stack = u32::MAX;
        let depths = trace.check()?;
        let deepest = |(depth, uop): (&Option<u32>, &ScalarUop)| {
            let depth = (*depth)?;
            let after = match uop.op.is_terminal() {
                true => depth,
                false => uop.op.depth_after(depth)?,
            };
            Some(depth.max(after))
        };
        trace.stack = depths
            .iter()
            .zip(&trace.uops)
            .filter_map(deepest)
            .max()
            .unwrap_or_default();
        Ok(trace)
    }
}
