//! The builder's second mode: the same templates as the handlers of an interpreter. Where a stencil has a hole, a handler
//! reads its uop's instruction record; see [`mimeo::interpreter`].
//!
//! The record's address stays in its register, which C functions preserve, so reading it anew costs less than keeping what
//! was read: loads of what never changes while a trace runs say so, and LLVM may do either.

use super::{Built, Done, TemplateBuilder};
use crate::error::TemplateError;
use crate::module::External;
use crate::symbol::HoleSymbol;
use crate::template::{Helper, SLOT_SIZE, Type};
use inkwell::types::BasicTypeEnum;
use inkwell::values::{
    BasicMetadataValueEnum, BasicValueEnum, CallSiteValue, IntValue, PointerValue,
};
use mimeo::executor::{ExecutorHeader, ExitRecord};
use mimeo::hole::HoleValue;
use mimeo::interpreter::{OPERAND1_BIAS, OPERAND1_DIVISOR, Record, SYMBOLS};
use std::mem::offset_of;

/// What the templates' functions become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode<'t> {
    /// Stencils with holes.
    Stencils,
    /// Handlers of an interpreter, which find the addresses of these symbols in a table of that order; sorted.
    Interpreter(&'t [String]),
}

impl Mode<'_> {
    pub(crate) const fn is_interpreter(self) -> bool {
        matches!(self, Self::Interpreter(_))
    }

    /// The first parameter that carries a value: frame, stack pointer and thread state come first, and to a handler the
    /// record's address.
    pub(crate) const fn first_value(self) -> usize {
        if self.is_interpreter() { 4 } else { 3 }
    }
}

impl<'ctx> TemplateBuilder<'_, 'ctx> {
    pub(super) fn is_handler(&self) -> bool {
        self.unit.mode().is_interpreter()
    }

    fn record(&self) -> PointerValue<'ctx> {
        self.unit.record_parameter(self.function)
    }

    /// Loads what does not change while the trace runs.
    fn load_unchanging(
        &self,
        kind: BasicTypeEnum<'ctx>,
        pointer: PointerValue<'ctx>,
        offset: usize,
    ) -> Built<BasicValueEnum<'ctx>> {
        let address = self.offset(pointer, self.i64(offset as i64))?;
        let value = self.ir().build_load(kind, address, "")?;
        let load = match value {
            BasicValueEnum::IntValue(value) => value.as_instruction(),
            BasicValueEnum::PointerValue(value) => value.as_instruction(),
            _ => None,
        };
        if let Some(load) = load {
            let invariant = self.context().get_kind_id("invariant.load");
            // The only failure is an instruction of another function.
            let _ = load.set_metadata(self.context().metadata_node(&[]), invariant);
        }
        Ok(value)
    }

    fn load_unchanging_pointer(
        &self,
        pointer: PointerValue<'ctx>,
        offset: usize,
    ) -> Built<PointerValue<'ctx>> {
        let kind = self.llvm_type(Type::Pointer);
        Ok(self
            .load_unchanging(kind, pointer, offset)?
            .into_pointer_value())
    }

    /// A field of 32 bits as an i64, which is not negative.
    fn recorded_u32(&self, offset: usize) -> Built<IntValue<'ctx>> {
        let field = self
            .load_unchanging(self.context().i32_type().into(), self.record(), offset)?
            .into_int_value();
        Ok(self
            .ir()
            .build_int_z_extend(field, self.context().i64_type(), "")?)
    }

    /// Where the operand, or the second operand, of the uop is: an address, and how many bytes further on.
    fn recorded_operand(&self, value: HoleValue) -> Built<(PointerValue<'ctx>, usize)> {
        if value == HoleValue::Operand {
            return Ok((self.record(), offset_of!(Record, operand)));
        }
        // See `operand1_offset` of the runtime.
        let header = self.recorded_distance(offset_of!(Record, header))?;
        let offset = self.ir().build_int_exact_signed_div(
            self.ir()
                .build_int_sub(header, self.i64(OPERAND1_BIAS.into()), "")?,
            self.i64(OPERAND1_DIVISOR.into()),
            "",
        )?;
        Ok((self.offset(self.recorded_header()?, offset)?, 0))
    }

    /// The address that a field holds the distance to.
    fn recorded_place(&self, offset: usize) -> Built<PointerValue<'ctx>> {
        let distance = self.recorded_distance(offset)?;
        self.offset(self.record(), distance)
    }

    /// A field that holds a distance, as an i64.
    fn recorded_distance(&self, offset: usize) -> Built<IntValue<'ctx>> {
        let distance = self
            .load_unchanging(self.context().i32_type().into(), self.record(), offset)?
            .into_int_value();
        Ok(self
            .ir()
            .build_int_s_extend(distance, self.context().i64_type(), "distance")?)
    }

    /// The number that stands in a stencil's hole.
    pub(super) fn recorded_number(&self, symbol: HoleSymbol) -> Built<IntValue<'ctx>> {
        let value = match symbol.value {
            HoleValue::Oparg => self.recorded_u32(offset_of!(Record, oparg))?,
            HoleValue::Target => self.recorded_u32(offset_of!(Record, target))?,
            HoleValue::Operand | HoleValue::Operand1 => {
                let (pointer, offset) = self.recorded_operand(symbol.value)?;
                self.load_unchanging(self.context().i64_type().into(), pointer, offset)?
                    .into_int_value()
            }
            HoleValue::ExitIndex => {
                let exit = self.recorded_place(offset_of!(Record, exit))?;
                let index = self.load_i32(exit, offset_of!(ExitRecord, index) as u32)?;
                self.ir()
                    .build_int_z_extend(index, self.context().i64_type(), "")?
            }
            other => return self.not_recorded(other),
        };
        if symbol.shift == 0 {
            return Ok(value);
        }
        Ok(self
            .ir()
            .build_left_shift(value, self.i64(symbol.shift.into()), "")?)
    }

    /// The operand, or the second operand, as an address.
    pub(super) fn recorded_pointer(&self, value: HoleValue) -> Built<PointerValue<'ctx>> {
        let (pointer, offset) = self.recorded_operand(value)?;
        self.load_unchanging_pointer(pointer, offset)
    }

    /// The address of the trace's header.
    pub(super) fn recorded_header(&self) -> Built<PointerValue<'ctx>> {
        self.recorded_place(offset_of!(Record, header))
    }

    /// The address of a symbol, which the thread state leads to.
    pub(super) fn symbol_from_table(
        &self,
        name: &str,
        used_as: External,
    ) -> Built<PointerValue<'ctx>> {
        self.unit.declare(name, used_as)?;
        let index = match self.unit.mode() {
            Mode::Interpreter(symbols) => symbols
                .binary_search_by(|symbol| symbol.as_str().cmp(name))
                .ok(),
            Mode::Stencils => None,
        };
        let Some(index) = index else {
            return self.misuse(format!(
                "uses {name} in an interpreter, but not in a stencil"
            ));
        };
        let symbols = self.load_unchanging_pointer(self.thread(), SYMBOLS)?;
        self.load_unchanging_pointer(symbols, index * SLOT_SIZE as usize)
    }

    /// Calls a helper with arguments of its types.
    pub(super) fn call_through_table(
        &self,
        helper: &Helper,
        arguments: &[BasicMetadataValueEnum<'ctx>],
    ) -> Built<Option<BasicValueEnum<'ctx>>> {
        let address = self.symbol_from_table(helper.name, External::Function(*helper))?;
        let signature = self.unit.helper_type(helper);
        let call = self
            .ir()
            .build_indirect_call(signature, address, arguments, "")?;
        Ok(call.try_as_basic_value().basic())
    }

    /// Goes on with another uop, with the stack pointer at `stack`.
    pub(super) fn dispatch(&self, to: HoleValue, stack: PointerValue<'ctx>) -> Built<Done> {
        let record_len = self.i64(size_of::<Record>() as i64);
        let next = match to {
            HoleValue::Continue => self.offset(self.record(), record_len)?,
            HoleValue::JumpTarget => self.recorded_place(offset_of!(Record, jump))?,
            HoleValue::ErrorTarget => self.recorded_place(offset_of!(Record, error))?,
            HoleValue::Top => {
                let first = size_of::<ExecutorHeader>();
                let first = self.offset(self.recorded_header()?, self.i64(first as i64))?;
                self.offset(first, record_len)?
            }
            other => return self.not_recorded(other),
        };
        let handler = self.load_unchanging_pointer(next, offset_of!(Record, handler))?;
        self.go_to(handler, next, stack)
    }

    /// Leaves the trace through the uop's exit record, with the stack pointer at `stack`.
    pub(super) fn leave_through_record(&self, stack: PointerValue<'ctx>) -> Built<Done> {
        let exit = self.recorded_place(offset_of!(Record, exit))?;
        let entry = self.load_pointer(exit, offset_of!(ExitRecord, entry) as u32)?;
        self.go_to(entry, exit, stack)
    }

    /// Ends the block with a tail call of the code at `address`, which finds `record` where this found its own.
    fn go_to(
        &self,
        address: PointerValue<'ctx>,
        record: PointerValue<'ctx>,
        stack: PointerValue<'ctx>,
    ) -> Built<Done> {
        let mut arguments = self.unit.arguments(self.handed_over(stack), &[]);
        arguments[self.unit.mode().first_value() - 1] = record.into();
        let call: CallSiteValue<'ctx> =
            self.ir()
                .build_indirect_call(self.unit.signature(), address, &arguments, "")?;
        self.unit.finish_tail_call(call)?;
        Ok(Done(()))
    }

    fn not_recorded<T>(&self, value: HoleValue) -> Built<T> {
        Err(TemplateError::Misuse(format!(
            "uses {value}, which an instruction record does not hold"
        )))
    }
}
