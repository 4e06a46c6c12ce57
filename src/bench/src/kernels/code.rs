//! Writes a kernel: a trace together with its inputs.

use super::{Kernel, Place};
use crate::op::Op;
use crate::scalar::{Label, ScalarTraceError, Writer};
use crate::state::{Inputs, Word};
use std::collections::BTreeMap;

/// The target of the exit at the end.
pub(super) const DONE: u32 = 1;

/// The target of the way out of guards; the depth of the stack is added.
pub(super) const DEOPT: u32 = 100;

/// A kernel being written. Every local has its first value from the start, and every guard a way out.
#[derive(Default)]
pub(super) struct Code {
    writer: Writer,
    inputs: Inputs,
    depth: u32,
    /// The ways out, by the depth of the stack there.
    outs: BTreeMap<u32, Label>,
}

impl Code {
    pub(super) fn new() -> Self {
        Self::default()
    }

    // ---- Locals ------------------------------------------------------------------------------------------------

    fn local(&mut self, word: Word) -> u32 {
        self.inputs.locals.push(word);
        self.writer.local()
    }

    /// A local that starts with this.
    pub(super) fn int(&mut self, value: i64) -> u32 {
        self.local(value.into())
    }

    /// A local that starts with this.
    pub(super) fn float(&mut self, value: f64) -> u32 {
        self.local(value.into())
    }

    /// A buffer and a local with its address.
    pub(super) fn buffer(&mut self, words: Vec<u64>) -> u32 {
        let buffer = self.inputs.buffers.len();
        self.inputs.buffers.push(words);
        self.local(Word::buffer(buffer))
    }

    // ---- Uops --------------------------------------------------------------------------------------------------

    /// What a uop does to the depth. A mistake shows when the trace is checked.
    fn passed(&mut self, op: Op) {
        self.depth = op.depth_after(self.depth).unwrap_or_default();
    }

    pub(super) fn load(&mut self, locals: &[u32]) -> &mut Self {
        self.writer.load(locals);
        self.depth += locals.len() as u32;
        self
    }

    pub(super) fn load_f64(&mut self, locals: &[u32]) -> &mut Self {
        self.writer.load_f64(locals);
        self.depth += locals.len() as u32;
        self
    }

    pub(super) fn store(&mut self, local: u32) -> &mut Self {
        self.writer.store(local);
        self.passed(Op::StoreI64);
        self
    }

    pub(super) fn store_f64(&mut self, local: u32) -> &mut Self {
        self.writer.store_f64(local);
        self.passed(Op::StoreF64);
        self
    }

    pub(super) fn constant(&mut self, value: i64) -> &mut Self {
        self.writer.int(value);
        self.depth += 1;
        self
    }

    pub(super) fn constant_f64(&mut self, value: f64) -> &mut Self {
        self.writer.float(value);
        self.depth += 1;
        self
    }

    pub(super) fn ops(&mut self, ops: &[Op]) -> &mut Self {
        for &op in ops {
            self.writer.op(op);
            self.passed(op);
        }
        self
    }

    pub(super) fn op(&mut self, op: Op) -> &mut Self {
        self.ops(&[op])
    }

    /// A uop that leaves the trace where it jumps.
    pub(super) fn guarded(&mut self, op: Op) -> &mut Self {
        let depth = op.depth_at_label(self.depth).unwrap_or_default();
        let writer = &mut self.writer;
        let label = *self.outs.entry(depth).or_insert_with(|| writer.label());
        self.jumping(op, label)
    }

    pub(super) fn jumping(&mut self, op: Op, label: Label) -> &mut Self {
        self.writer.jumping(op, label);
        self.passed(op);
        self
    }

    pub(super) fn label(&mut self) -> Label {
        self.writer.label()
    }

    pub(super) fn bind(&mut self, label: Label) -> &mut Self {
        self.writer.bind(label);
        self
    }

    pub(super) fn here(&mut self) -> Label {
        self.writer.here()
    }

    // ---- What recurs -------------------------------------------------------------------------------------------

    /// One local is set to another.
    pub(super) fn copy(&mut self, from: u32, to: u32) -> &mut Self {
        self.load(&[from]).store(to)
    }

    /// A local is set to a constant.
    pub(super) fn set(&mut self, local: u32, value: i64) -> &mut Self {
        self.constant(value).store(local)
    }

    /// A local goes up by one, checked.
    pub(super) fn increment(&mut self, local: u32) -> &mut Self {
        self.load(&[local])
            .constant(1)
            .guarded(Op::AddChecked)
            .store(local)
    }

    /// Goes back as long as one local is below another.
    pub(super) fn repeat_below(&mut self, head: Label, local: u32, limit: u32) -> &mut Self {
        self.load(&[local, limit])
            .op(Op::Lt)
            .jumping(Op::JumpIfTrue, head)
    }

    /// Loads the element that a local counts, guarded by the length in another.
    pub(super) fn element(&mut self, load: Op, pointer: u32, index: u32, length: u32) -> &mut Self {
        self.load(&[pointer, index, length])
            .guarded(Op::GuardIndex)
            .op(load)
    }

    // ---- The end -----------------------------------------------------------------------------------------------

    /// The kernel, which ends here.
    pub(super) fn finish(
        mut self,
        name: &str,
        iterations: u64,
        results: &[Place],
        expected: Vec<u64>,
    ) -> Result<Kernel, ScalarTraceError> {
        self.writer.exit(DONE);
        for (&depth, &label) in &self.outs {
            self.writer.exit_at(label, DEOPT + depth);
        }
        Ok(Kernel {
            name: name.to_owned(),
            set: "scalar".to_owned(),
            trace: self.writer.finish()?,
            inputs: self.inputs,
            iterations,
            target: DONE,
            results: results.to_vec(),
            expected,
        })
    }
}
