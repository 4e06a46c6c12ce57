//! The evaluation stack as a template sees it: values come from memory or from what was pushed before, and go to memory
//! only at the way out.

use super::{Built, TemplateBuilder, type_name};
use crate::template::{SLOT_SIZE, Type};
use inkwell::values::{BasicValue, BasicValueEnum, IntValue, PointerValue};
use mimeo::hole::MAX_SHIFT;
use mimeo::stencil::Count;
use std::fmt;
use std::ops::{Add, Sub};

/// A difference of stack depths that may depend on the oparg, as [`Count`] but signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Delta {
    fixed: i32,
    per_oparg: i32,
    low_bit: i32,
}

impl From<Count> for Delta {
    fn from(count: Count) -> Self {
        Self {
            fixed: count.fixed.into(),
            per_oparg: count.per_oparg.into(),
            low_bit: count.low_bit.into(),
        }
    }
}

impl Add for Delta {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            fixed: self.fixed + other.fixed,
            per_oparg: self.per_oparg + other.per_oparg,
            low_bit: self.low_bit + other.low_bit,
        }
    }
}

impl Sub for Delta {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self + Self {
            fixed: -other.fixed,
            per_oparg: -other.per_oparg,
            low_bit: -other.low_bit,
        }
    }
}

impl Delta {
    const fn fixed(fixed: i32) -> Self {
        Self {
            fixed,
            per_oparg: 0,
            low_bit: 0,
        }
    }

    /// The same number, unless it is negative for some oparg.
    pub(super) fn as_count(self) -> Option<Count> {
        Some(Count {
            fixed: self.fixed.try_into().ok()?,
            per_oparg: self.per_oparg.try_into().ok()?,
            low_bit: self.low_bit.try_into().ok()?,
        })
    }

    /// The number for this oparg.
    pub(super) fn of(self, oparg: u32) -> i64 {
        let (oparg, low_bit) = (i64::from(oparg), i64::from(oparg & 1));
        i64::from(self.fixed)
            + i64::from(self.per_oparg) * oparg
            + i64::from(self.low_bit) * low_bit
    }

    /// The number, if it does not depend on the oparg.
    pub(super) fn as_fixed(self) -> Option<i32> {
        (self.per_oparg == 0 && self.low_bit == 0).then_some(self.fixed)
    }

    fn is_negative(self) -> bool {
        self.fixed < 0 || self.per_oparg < 0 || self.low_bit < 0
    }
}

/// As a sum: `-1 + oparg`.
impl fmt::Display for Delta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut terms = Vec::new();
        if self.fixed != 0 || *self == Self::default() {
            terms.push(self.fixed.to_string());
        }
        for (factor, what) in [(self.per_oparg, "oparg"), (self.low_bit, "(oparg & 1)")] {
            match factor {
                0 => {}
                1 => terms.push(what.to_owned()),
                _ => terms.push(format!("{factor}*{what}")),
            }
        }
        f.write_str(&terms.join(" + "))
    }
}

/// Where the evaluation stack stands, relative to the template's entry.
#[derive(Clone)]
pub(super) struct Stack<'ctx> {
    /// An address in the stack.
    pub(super) base: PointerValue<'ctx>,
    /// How many slots `base` is above the stack's top at entry; `None` where that depends on the oparg.
    pub(super) base_offset: Option<i32>,
    /// The values in memory end this many slots below `base`.
    pub(super) below: i32,
    /// How far the end of the values in memory is from the stack's top at entry.
    pub(super) depth: Delta,
    /// Pushed values that are not in memory, the last on top.
    pub(super) pending: Vec<BasicValueEnum<'ctx>>,
    /// Whether it is another frame's than at entry: what is left of that is only how many values were popped.
    pub(super) switched: bool,
}

impl<'ctx> Stack<'ctx> {
    /// The stack at the start of a function that is entered with the pointer `base`, `base_offset` slots above the
    /// top at the template's entry.
    pub(super) fn entered_at(base: PointerValue<'ctx>, base_offset: i32) -> Self {
        Self {
            base,
            base_offset: Some(base_offset),
            below: 0,
            depth: Delta::default(),
            pending: Vec::new(),
            switched: false,
        }
    }

    /// Has `values` on top of what is in memory at entry: the top at entry is above them.
    pub(super) fn hold(&mut self, values: Vec<BasicValueEnum<'ctx>>) {
        let held = values.len() as i32;
        self.base_offset = self.base_offset.map(|offset| offset - held);
        self.depth = self.depth - Delta::fixed(held);
        self.pending = values;
    }

    /// Counts from here on: this is where another template starts.
    pub(super) fn enter(&mut self) {
        let deeper = self.total().as_fixed();
        self.base_offset = self
            .base_offset
            .zip(deeper)
            .map(|(offset, deeper)| offset - deeper);
        self.depth = Delta::fixed(-(self.pending.len() as i32));
    }

    /// How much deeper the stack is than at entry.
    pub(super) fn total(&self) -> Delta {
        self.depth + Delta::fixed(self.pending.len() as i32)
    }

    /// Whether both stand at the same place, wherever they count from, with as many values that are not in memory.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let place = |stack: &Self| {
            let held = stack.pending.len();
            let offset = (stack.switched, stack.base_offset);
            (offset, stack.below, stack.depth, held)
        };
        self.base_offset.is_some() && place(self) == place(other)
    }

    /// Everything is in memory now, up to `end`.
    fn settle(&mut self, end: PointerValue<'ctx>) {
        let stored = self.pending.len() as i32;
        let offset = self.base_offset.map(|offset| offset + stored - self.below);
        self.depth = self.total();
        self.pending.clear();
        self.rebase(end, offset);
    }

    /// Counts from `base` on, the end of the values in memory.
    fn rebase(&mut self, base: PointerValue<'ctx>, offset: Option<i32>) {
        self.base = base;
        self.base_offset = offset;
        self.below = 0;
    }

    /// Goes to another stack, which ends at `end`; what was popped stays popped.
    pub(super) fn switch(&mut self, end: PointerValue<'ctx>) {
        self.rebase(end, Some(0));
        self.switched = true;
    }

    /// Goes back to the state at the template's entry, where `top` is the stack pointer.
    pub(super) fn reset(&mut self, top: PointerValue<'ctx>) {
        *self = Self::entered_at(top, 0);
    }
}

/// A number of values as the stack counts them. Beyond what any template can declare, all numbers are the same.
fn slots(count: usize) -> i32 {
    const BEYOND: i32 = 1 << 16;
    i32::try_from(count).unwrap_or(BEYOND).min(BEYOND)
}

impl<'ctx> TemplateBuilder<'_, 'ctx> {
    /// Takes the top value.
    pub fn pop(&mut self, kind: Type) -> Built<BasicValueEnum<'ctx>> {
        let value = self.peek(0, kind)?;
        self.drop_values(1)?;
        Ok(value)
    }

    /// Takes the top value, a pointer.
    pub fn pop_pointer(&mut self) -> Built<PointerValue<'ctx>> {
        Ok(self.pop(Type::Pointer)?.into_pointer_value())
    }

    /// Takes the top value, an integer.
    pub fn pop_i64(&mut self) -> Built<IntValue<'ctx>> {
        Ok(self.pop(Type::I64)?.into_int_value())
    }

    /// Takes `count` values without reading them.
    pub fn drop_values(&mut self, count: usize) -> Built<()> {
        let pending = count.min(self.stack.pending.len());
        self.stack
            .pending
            .truncate(self.stack.pending.len() - pending);
        let in_memory = slots(count - pending);
        if in_memory == 0 {
            return Ok(());
        }
        self.stack.below += in_memory;
        self.stack.depth = self.stack.depth - Delta::fixed(in_memory);
        self.check_reach(self.stack.depth)
    }

    /// Reads the value `depth` below the top, which stays. A value that was pushed as another type of 64 bits is
    /// converted bit by bit, as memory would.
    pub fn peek(&self, depth: usize, kind: Type) -> Built<BasicValueEnum<'ctx>> {
        let pending = self.stack.pending.len();
        if depth < pending {
            return self.convert(self.stack.pending[pending - 1 - depth], kind);
        }
        let below = slots(depth - pending) + 1;
        let place = self.stack.depth - Delta::fixed(below);
        self.check_reach(place)?;
        let address = self.slot(
            self.stack.base,
            self.i64((-(self.stack.below + below)).into()),
        )?;
        let value = self.ir().build_load(self.llvm_type(kind), address, "")?;
        self.unit.note_read(place.as_fixed(), kind, value);
        Ok(value)
    }

    /// Reads the pointer `depth` below the top, which stays.
    pub fn peek_pointer(&self, depth: usize) -> Built<PointerValue<'ctx>> {
        Ok(self.peek(depth, Type::Pointer)?.into_pointer_value())
    }

    /// Puts a value on top: a pointer, an i64 or an f64.
    pub fn push(&mut self, value: impl BasicValue<'ctx>) -> Built<()> {
        let value = value.as_basic_value_enum();
        let fills_a_slot = [Type::Pointer, Type::I64, Type::F64]
            .into_iter()
            .any(|kind| self.llvm_type(kind) == value.get_type());
        if !fills_a_slot {
            return self.misuse(format!(
                "pushes {}, expected a pointer, i64 or f64",
                type_name(value)
            ));
        }
        self.stack.pending.push(value);
        Ok(())
    }

    /// Takes `count` values at once and returns the address of the lowest. They stay in memory until the way out.
    pub fn pop_array(&mut self, count: Count) -> Built<PointerValue<'ctx>> {
        self.require_kept_registers("pop_array")?;
        self.require_no_pending("pop_array")?;
        let depth = self.stack.depth - Delta::from(count);
        self.check_reach(depth)?;
        let first = self.below_end(count)?;
        self.stack.rebase(first, None);
        self.stack.depth = depth;
        Ok(first)
    }

    /// Makes room for `count` values on top and returns the address of the lowest: the template, or a helper that it
    /// calls, must fill every one before the way out.
    pub fn push_array(&mut self, count: Count) -> Built<PointerValue<'ctx>> {
        self.require_kept_registers("push_array")?;
        let first = self.store_pending()?;
        self.stack.settle(first);
        let end = self.offset(first, self.slot_bytes(count)?)?;
        self.stack.rebase(end, None);
        self.stack.depth = self.stack.depth + Delta::from(count);
        Ok(first)
    }

    /// The address of the value `depth` below the top: 1 is the top itself. For depths that depend on the oparg;
    /// [`peek`](Self::peek) reads the others.
    ///
    /// # Errors
    /// The template's `popped` does not depend on the oparg, or pushed values are not in memory.
    pub fn deep_slot(&self, depth: Count) -> Built<PointerValue<'ctx>> {
        if self.unit.template().effect().popped.is_fixed() {
            return self.misuse(
                "reaches into the stack by the oparg, but the number of values it pops is fixed",
            );
        }
        self.require_kept_registers("deep_slot")?;
        self.require_no_pending("deep_slot")?;
        self.below_end(depth)
    }

    /// Stores what is pending, so that the stack in memory is complete, moves the stack pointer there, and returns it.
    /// Paths that part behind it leave with the stack pointer as it is and need not move it each.
    ///
    /// In a variant the values that travel in registers stay there.
    pub fn flush(&mut self) -> Built<PointerValue<'ctx>> {
        self.require_kept_registers("flush")?;
        if !self.unit.is_base() {
            let end = self.moved(self.stack.base, -self.stack.below)?;
            let offset = self.stack.base_offset;
            let offset = offset.map(|offset| offset - self.stack.below);
            self.stack.rebase(end, offset);
            return Ok(end);
        }
        self.store_pending()?;
        let moved = self.stack.pending.len() as i32 - self.stack.below;
        let end = self.moved(self.stack.base, moved)?;
        self.stack.settle(end);
        Ok(end)
    }

    /// Stores what is pending behind the values in memory and returns the address behind it.
    pub(super) fn store_pending(&self) -> Built<PointerValue<'ctx>> {
        let first = -i64::from(self.stack.below);
        for (index, value) in (first..).zip(&self.stack.pending) {
            let address = self.slot(self.stack.base, self.i64(index))?;
            self.ir().build_store(address, *value)?;
        }
        let end = first + self.stack.pending.len() as i64;
        self.slot(self.stack.base, self.i64(end))
    }

    /// Where the values in memory end.
    pub(super) fn end_of_memory(&self) -> Built<PointerValue<'ctx>> {
        self.slot(self.stack.base, self.i64((-self.stack.below).into()))
    }

    /// Stores the lowest of the values that are pending.
    pub(super) fn store_lowest(&mut self) -> Built<()> {
        if self.stack.pending.is_empty() {
            return Ok(());
        }
        let address = self.end_of_memory()?;
        let value = self.stack.pending.remove(0);
        self.ir().build_store(address, value)?;
        self.stack.below -= 1;
        self.stack.depth = self.stack.depth + Delta::fixed(1);
        Ok(())
    }

    /// Reads the highest of the values in memory, which is pending then.
    pub(super) fn load_top(&mut self) -> Built<()> {
        let value = self.peek(self.stack.pending.len(), Type::I64)?;
        self.stack.pending.insert(0, value);
        self.stack.below += 1;
        self.stack.depth = self.stack.depth - Delta::fixed(1);
        Ok(())
    }

    /// The address `count` slots below the end of the values in memory.
    fn below_end(&self, count: Count) -> Built<PointerValue<'ctx>> {
        let bytes = self.ir().build_int_neg(self.slot_bytes(count)?, "")?;
        let end = self.slot(self.stack.base, self.i64((-self.stack.below).into()))?;
        self.offset(end, bytes)
    }

    /// The bytes of `count` slots.
    fn slot_bytes(&self, count: Count) -> Built<IntValue<'ctx>> {
        let ir = self.ir();
        let times = |factor: u8| self.i64(SLOT_SIZE as i64 * i64::from(factor));
        let mut bytes = times(count.fixed);
        if count.per_oparg != 0 {
            bytes = ir.build_int_add(bytes, self.scaled_by_slots(count.per_oparg)?, "")?;
        }
        if count.low_bit != 0 {
            let low = ir.build_and(self.oparg()?, self.i64(1), "")?;
            let low = ir.build_int_mul(low, times(count.low_bit), "")?;
            bytes = ir.build_int_add(bytes, low, "")?;
        }
        Ok(bytes)
    }

    /// The bytes of `factor` slots for each unit of oparg: in the hole itself where it can be shifted that far.
    fn scaled_by_slots(&self, factor: u8) -> Built<IntValue<'ctx>> {
        let bytes = SLOT_SIZE * u64::from(factor);
        let shift = bytes.trailing_zeros() as u8;
        if bytes.is_power_of_two() && shift <= MAX_SHIFT {
            return self.scaled_oparg(shift);
        }
        Ok(self
            .ir()
            .build_int_mul(self.oparg()?, self.i64(bytes as i64), "")?)
    }

    /// Whether the values up to `depth` are among those that the template declares.
    fn check_reach(&self, depth: Delta) -> Built<()> {
        let declared = self.unit.template().effect().popped;
        // A number that depends on the oparg may be as small as its fixed part.
        if (depth + Delta::from(declared)).is_negative() {
            return self.misuse(format!(
                "reaches deeper into the stack than the {declared} values it declares"
            ));
        }
        Ok(())
    }

    /// The value with its bits seen as another type. Only the lower half of a slot is an i32.
    pub(super) fn convert(
        &self,
        value: BasicValueEnum<'ctx>,
        kind: Type,
    ) -> Built<BasicValueEnum<'ctx>> {
        let ir = self.ir();
        let wanted = self.llvm_type(kind);
        if value.get_type() == wanted {
            return Ok(value);
        }
        let word = self.as_word(value)?;
        Ok(match kind {
            Type::I64 => word.into(),
            Type::I32 => ir
                .build_int_truncate(word, wanted.into_int_type(), "")?
                .into(),
            Type::F64 => ir.build_bit_cast(word, wanted, "")?,
            Type::Pointer => ir
                .build_int_to_ptr(word, wanted.into_pointer_type(), "")?
                .into(),
        })
    }

    /// The bits of a value of 64 bits.
    pub(super) fn as_word(&self, value: BasicValueEnum<'ctx>) -> Built<IntValue<'ctx>> {
        let word = self.context().i64_type();
        match value {
            BasicValueEnum::IntValue(int) if int.get_type() == word => Ok(int),
            BasicValueEnum::PointerValue(pointer) => {
                Ok(self.ir().build_ptr_to_int(pointer, word, "")?)
            }
            BasicValueEnum::FloatValue(float) if float.get_type() == self.context().f64_type() => {
                Ok(self.ir().build_bit_cast(float, word, "")?.into_int_value())
            }
            other => self.misuse(format!(
                "uses {} as a word, expected a pointer, i64 or f64",
                type_name(other)
            )),
        }
    }
}
