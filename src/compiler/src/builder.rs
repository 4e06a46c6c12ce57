//! The builder that a template's function works with: holes, the evaluation stack, helpers, and the ways out.
//!
//! A path through a template ends in exactly one way out ([`continue_`](TemplateBuilder::continue_),
//! [`jump`](TemplateBuilder::jump), ...). Each takes the builder by value and returns [`Done`], which nothing else makes,
//! so a path that ends nowhere, or twice, does not type-check.
//!
//! The stack is tracked while the IR is built: `pop` reads what `push` left if there is anything, and memory otherwise;
//! pushed values are stored, and the stack pointer moved, at the way out. What the template declares and what it does
//! are compared there. This is also where register variants come in: a value that need not be stored is not.
//!
//! A template is built several times, once for each form: it is not told in which, and pops and pushes as ever. In a
//! variant the stack starts with values that are not in memory, as though somebody had just pushed them; on the way to
//! the next uop some of them stay in registers. Where uops are fused, the next template starts with the stack that the
//! one before it leaves.

#![allow(
    clippy::missing_errors_doc,
    reason = "every method fails alike, as `TemplateBuilder` says; where there is more to say, it says so"
)]

mod entry;
pub(crate) mod inline;
mod interpreter;
mod paths;
mod stack;

pub(crate) use entry::{CONSTANT_INPUT, Continuation};
pub(crate) use interpreter::Mode;
pub use paths::ColdPath;
pub(crate) use paths::{Facts, InputFacts};

use crate::error::TemplateError;
use crate::forms::Entry;
use crate::module::{External, Unit};
use crate::symbol::{HoleSymbol, PREFIX, is_identifier};
use crate::template::{Helper, SLOT_SIZE, Type};
use entry::Entered;
use inkwell::builder::Builder;
use inkwell::context::ContextRef;
use inkwell::types::{BasicMetadataTypeEnum, BasicType, BasicTypeEnum};
use inkwell::values::{
    BasicMetadataValueEnum, BasicValue, BasicValueEnum, FunctionValue, IntValue, PointerValue,
};
use mimeo::hole::{HoleValue, MAX_SHIFT};
use mimeo::stencil::UopFlags;
use stack::Stack;
use std::ops::RangeInclusive;

/// The values that a stencil passes to the next one in registers besides frame, stack pointer and thread state.
pub const VALUE_REGISTERS: usize = 3;

/// Bits of an oparg, as in CPython's `_PyUOpInstruction`.
pub const OPARG_BITS: u8 = 16;

/// Proof that a path through a template has ended in a way out.
#[derive(Debug)]
pub struct Done(());

impl Done {
    const fn new() -> Self {
        Self(())
    }
}

/// Signed arithmetic that may overflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflowing {
    /// Addition.
    Add,
    /// Subtraction.
    Subtract,
    /// Multiplication.
    Multiply,
}

impl Overflowing {
    /// What takes the operation back, given the result and the right operand: the left one comes out.
    const fn undo(self) -> Option<&'static str> {
        match self {
            Self::Add => Some("subq"),
            Self::Subtract => Some("addq"),
            Self::Multiply => None,
        }
    }

    const fn intrinsic(self) -> &'static str {
        match self {
            Self::Add => "llvm.sadd.with.overflow",
            Self::Subtract => "llvm.ssub.with.overflow",
            Self::Multiply => "llvm.smul.with.overflow",
        }
    }
}

/// Builds the IR of one path through a template. See the [module](self).
///
/// # Errors
/// Every method that returns a `Result` fails where a template goes against its own declaration or uses a value of the
/// wrong type ([`TemplateError::Misuse`]), or where inkwell refuses to build an instruction.
pub struct TemplateBuilder<'t, 'ctx> {
    unit: &'t Unit<'t, 'ctx>,
    function: FunctionValue<'ctx>,
    stack: Stack<'ctx>,
    cold: bool,
    /// The frame: the one that `function` is entered with, until the template goes to another.
    frame: PointerValue<'ctx>,
    /// How many slots the stack pointer that `function` is entered with is above the template's at entry.
    entered_above: i32,
    /// What the template's own form starts with.
    entered: Entered<'ctx>,
}

type Built<T> = Result<T, TemplateError>;

impl<'t, 'ctx> TemplateBuilder<'t, 'ctx> {
    /// A builder for a cold function that is entered `entered_above` slots above the template's stack pointer.
    fn entering_cold(
        &self,
        function: FunctionValue<'ctx>,
        entered_above: i32,
    ) -> TemplateBuilder<'t, 'ctx> {
        Self {
            unit: self.unit,
            function,
            stack: Stack::entered_at(self.unit.stack_parameter(function), entered_above),
            frame: self.unit.frame_parameter(function),
            cold: true,
            entered_above,
            entered: Entered::default(),
        }
    }

    // ---- What the code runs in -------------------------------------------------------------------------------

    /// inkwell's builder, positioned where the next instruction goes: for arithmetic and everything else of IR.
    ///
    /// Control flow made with it by hand must come back to one block before a way out is built.
    pub fn ir(&self) -> &'t Builder<'ctx> {
        self.unit.ir()
    }

    /// The LLVM context.
    pub fn context(&self) -> ContextRef<'ctx> {
        self.unit.context()
    }

    /// The frame's address.
    pub fn frame(&self) -> PointerValue<'ctx> {
        self.frame
    }

    /// The thread state's address.
    pub fn thread(&self) -> PointerValue<'ctx> {
        self.unit.thread_parameter(self.function)
    }

    /// An i64 constant.
    pub fn i64(&self, value: i64) -> IntValue<'ctx> {
        self.context().i64_type().const_int(value as u64, true)
    }

    /// An i32 constant.
    pub fn i32(&self, value: i32) -> IntValue<'ctx> {
        self.context().i32_type().const_int(value as u64, true)
    }

    /// The LLVM type of `kind`.
    pub fn llvm_type(&self, kind: Type) -> BasicTypeEnum<'ctx> {
        self.unit.llvm_type(kind)
    }

    // ---- Holes -------------------------------------------------------------------------------------------------

    /// The oparg, as an i64 in 0..65536.
    pub fn oparg(&self) -> Built<IntValue<'ctx>> {
        self.number(HoleSymbol::number(HoleValue::Oparg, OPARG_BITS))
    }

    /// The oparg where it is known to be below 2^`bits`, as an i64. `bits` is 1 to 16; up to 7 it may stand in a field of
    /// one byte. The runtime refuses a larger oparg.
    pub fn small_oparg(&self, bits: u8) -> Built<IntValue<'ctx>> {
        self.bounded("the width of an oparg", bits, 1..=OPARG_BITS)?;
        self.number(HoleSymbol::number(HoleValue::Oparg, bits))
    }

    /// The oparg times 2^`shift`, as an i64: an index that has become a displacement. `shift` is 0 to
    /// [`MAX_SHIFT`].
    pub fn scaled_oparg(&self, shift: u8) -> Built<IntValue<'ctx>> {
        self.bounded("a shift", shift, 0..=MAX_SHIFT)?;
        self.number(HoleSymbol::number(HoleValue::Oparg, OPARG_BITS).shifted(shift))
    }

    /// The operand, any 64-bit value.
    pub fn operand(&self) -> Built<IntValue<'ctx>> {
        if let Some(value) = self.entered.operand {
            return Ok(value);
        }
        let pointer = self.operand_pointer()?;
        Ok(self
            .ir()
            .build_ptr_to_int(pointer, self.context().i64_type(), "operand")?)
    }

    /// The operand as an address.
    pub fn operand_pointer(&self) -> Built<PointerValue<'ctx>> {
        if let Some(value) = self.entered.operand {
            let kind = self.llvm_type(Type::Pointer).into_pointer_type();
            return Ok(self.ir().build_int_to_ptr(value, kind, "")?);
        }
        self.whole(HoleValue::Operand)
    }

    /// The operand where it is known to be below 2^`bits`, as an i64. `bits` is 1 to 31: the value then stands in the
    /// instruction that uses it. The runtime refuses a larger operand.
    pub fn small_operand(&self, bits: u8) -> Built<IntValue<'ctx>> {
        self.bounded("the width of an operand", bits, 1..=31)?;
        self.number(HoleSymbol::number(HoleValue::Operand, bits))
    }

    /// The second operand, any 64-bit value.
    pub fn operand1(&self) -> Built<IntValue<'ctx>> {
        let pointer = self.operand1_pointer()?;
        Ok(self
            .ir()
            .build_ptr_to_int(pointer, self.context().i64_type(), "operand1")?)
    }

    /// The second operand as an address.
    pub fn operand1_pointer(&self) -> Built<PointerValue<'ctx>> {
        self.whole(HoleValue::Operand1)
    }

    /// The second operand where it is known to be below 2^`bits`, as [`small_operand`](Self::small_operand).
    pub fn small_operand1(&self, bits: u8) -> Built<IntValue<'ctx>> {
        self.bounded("the width of a second operand", bits, 1..=31)?;
        self.number(HoleSymbol::number(HoleValue::Operand1, bits))
    }

    /// All 64 bits of an operand, as an address.
    fn whole(&self, value: HoleValue) -> Built<PointerValue<'ctx>> {
        if let Some(site) = self.unit.site() {
            return Ok(site.pointer(site.operand(value)));
        }
        if self.is_handler() {
            return self.recorded_pointer(value);
        }
        let element = self.unit.element();
        let hole = HoleSymbol::address(value).of_element(element);
        self.unit
            .note(|facts| facts.note_range(element, value, hole.max()));
        // A symbol in an ordinary operand may be given a 32-bit field; movabs has none but a 64-bit one.
        let hole = self.unit.hole_address(hole);
        self.assembly(false, "movabsq $1, $0", "=r,i", &[hole.into()])
    }

    /// The target: where the interpreter resumes, as an i64 in 0..2^31.
    pub fn target(&self) -> Built<IntValue<'ctx>> {
        self.number(HoleSymbol::number(HoleValue::Target, 31))
    }

    /// The index of this uop's exit record in its executor, as an i64.
    pub fn exit_index(&self) -> Built<IntValue<'ctx>> {
        self.require(UopFlags::EXIT_RECORD, "the exit index", "side_exits()")?;
        self.number(HoleSymbol::number(HoleValue::ExitIndex, 31))
    }

    /// The address of a field of the executor's header, `offset` bytes in; see [`mimeo::executor::ExecutorHeader`].
    pub fn executor_field(&self, offset: u32) -> Built<PointerValue<'ctx>> {
        if let Some(site) = self.unit.site() {
            return self.offset(site.header(), self.i64(offset.into()));
        }
        if self.is_handler() {
            return self.offset(self.recorded_header()?, self.i64(offset.into()));
        }
        let header = self
            .unit
            .hole_address(HoleSymbol::address(HoleValue::Executor));
        self.offset(header, self.i64(offset.into()))
    }

    /// The address of an external symbol, for data that is not called. It must be within 2 GiB of the code.
    pub fn symbol_address(&self, name: &str) -> Built<PointerValue<'ctx>> {
        self.check_external_name(name)?;
        if let Some(site) = self.unit.site() {
            return site.symbol(name);
        }
        if self.is_handler() {
            return self.symbol_from_table(name, External::Data);
        }
        let symbol = self.unit.external_address(name)?;
        self.assembly(false, "leaq ${1:c}(%rip), $0", "=r,i", &[symbol.into()])
    }

    fn number(&self, symbol: HoleSymbol) -> Built<IntValue<'ctx>> {
        if let Some(site) = self.unit.site() {
            return site.number(symbol);
        }
        if self.is_handler() {
            return self.recorded_number(symbol);
        }
        let element = self.unit.element();
        self.unit
            .note(|facts| facts.note_range(element, symbol.value, symbol.max()));
        let hole = self.unit.hole_address(symbol.of_element(element));
        Ok(hole.const_to_int(self.context().i64_type()))
    }

    fn bounded(&self, what: &str, bits: u8, expected: RangeInclusive<u8>) -> Built<()> {
        if expected.contains(&bits) {
            return Ok(());
        }
        let (least, most) = expected.into_inner();
        self.misuse(format!(
            "gives {what} as {bits} bits, expected {least} to {most}"
        ))
    }

    /// An address that inline assembly gives; see [`assembled`](Self::assembled).
    fn assembly(
        &self,
        stays: bool,
        text: &str,
        constraints: &str,
        operands: &[BasicMetadataValueEnum<'ctx>],
    ) -> Built<PointerValue<'ctx>> {
        match self.assembled(Type::Pointer, stays, text, constraints, operands)? {
            BasicValueEnum::PointerValue(value) => Ok(value),
            _ => self.misuse("builds inline assembly that gives no pointer"),
        }
    }

    /// A value that inline assembly gives, so that LLVM cannot choose the instruction; where it `stays`, nor its place.
    fn assembled(
        &self,
        kind: Type,
        stays: bool,
        text: &str,
        constraints: &str,
        operands: &[BasicMetadataValueEnum<'ctx>],
    ) -> Built<BasicValueEnum<'ctx>> {
        let pointer = self.context().ptr_type(Default::default());
        let kinds: Vec<BasicMetadataTypeEnum<'ctx>> = operands
            .iter()
            .map(|operand| match operand {
                BasicMetadataValueEnum::IntValue(value) => value.get_type().into(),
                _ => pointer.into(),
            })
            .collect();
        let signature = self.llvm_type(kind).fn_type(&kinds, false);
        let assembly = self.context().create_inline_asm(
            signature,
            text.to_owned(),
            constraints.to_owned(),
            stays,
            false,
            None,
            false,
        );
        let call = self
            .ir()
            .build_indirect_call(signature, assembly, operands, "")?;
        match call.try_as_basic_value().basic() {
            Some(value) => Ok(value),
            None => self.misuse("builds inline assembly that gives nothing"),
        }
    }

    /// The address `slots` further on, computed here and nowhere else.
    ///
    /// LLVM sees that every use of the new address is the old one and a number, keeps the old one, and adds the number
    /// on each path; it cannot see through assembly.
    fn moved(&self, pointer: PointerValue<'ctx>, slots: i32) -> Built<PointerValue<'ctx>> {
        if slots == 0 {
            return Ok(pointer);
        }
        if self.unit.site().is_some() {
            return self.slot(pointer, self.i64(slots.into()));
        }
        let bytes = self.i64(i64::from(slots) * SLOT_SIZE as i64);
        let operands = [pointer.into(), bytes.into()];
        self.assembly(true, "addq $2, $0", "=r,0,i,~{flags}", &operands)
    }

    /// The same number, of which LLVM knows nothing. It takes a hole for an address, which is never zero: whether an oparg
    /// is must be asked of this.
    pub fn opaque(&self, number: IntValue<'ctx>) -> Built<IntValue<'ctx>> {
        match self.assembled(Type::I64, false, "", "=r,0", &[number.into()])? {
            BasicValueEnum::IntValue(value) => Ok(value),
            _ => self.misuse("builds inline assembly that gives no integer"),
        }
    }

    // ---- Arithmetic --------------------------------------------------------------------------------------------

    /// `left` and `right` combined, and whether the signed result does not fit.
    pub fn overflowing(
        &self,
        operation: Overflowing,
        left: IntValue<'ctx>,
        right: IntValue<'ctx>,
    ) -> Built<(IntValue<'ctx>, IntValue<'ctx>)> {
        let name = operation.intrinsic();
        let kinds = [left.get_type().into()];
        let result = self.intrinsic(name, &kinds, &[left.into(), right.into()])?;
        let BasicValueEnum::StructValue(pair) = result else {
            return self.misuse(format!("uses {name}, which gives no pair"));
        };
        let value = self.ir().build_extract_value(pair, 0, "")?.into_int_value();
        let overflow = self.ir().build_extract_value(pair, 1, "")?.into_int_value();
        Ok((value, overflow))
    }

    /// `left` and `right` combined; goes to the jump target, with the stack as it is now, where the signed result does
    /// not fit.
    ///
    /// Where the result takes the place of an operand that the jump target needs, it is taken back there: that costs the
    /// way on nothing.
    ///
    /// # Errors
    /// As [`jump`](Self::jump).
    pub fn checked(
        &mut self,
        operation: Overflowing,
        left: IntValue<'ctx>,
        right: IntValue<'ctx>,
    ) -> Built<IntValue<'ctx>> {
        let (value, overflow) = self.overflowing(operation, left, right)?;
        self.unlikely(overflow, |mut b| {
            b.take_back(operation, value, left, right)?;
            b.jump()
        })?;
        Ok(value)
    }

    /// The result of an LLVM intrinsic, `llvm.ctpop` say, that is overloaded on these types.
    pub fn intrinsic(
        &self,
        name: &str,
        kinds: &[BasicTypeEnum<'ctx>],
        arguments: &[BasicMetadataValueEnum<'ctx>],
    ) -> Built<BasicValueEnum<'ctx>> {
        let Some(function) = self.unit.intrinsic(name, kinds) else {
            return self.misuse(format!("uses {name}, which this LLVM does not have"));
        };
        let call = self.ir().build_call(function, arguments, "")?;
        match call.try_as_basic_value().basic() {
            Some(value) => Ok(value),
            None => self.misuse(format!("uses the result of {name}, which has none")),
        }
    }

    // ---- Memory ------------------------------------------------------------------------------------------------

    /// The address `bytes` behind `pointer`.
    pub fn offset(
        &self,
        pointer: PointerValue<'ctx>,
        bytes: IntValue<'ctx>,
    ) -> Built<PointerValue<'ctx>> {
        self.element(self.context().i8_type().into(), pointer, bytes)
    }

    /// The address of 8-byte slot `index` behind `pointer`.
    pub fn slot(
        &self,
        pointer: PointerValue<'ctx>,
        index: IntValue<'ctx>,
    ) -> Built<PointerValue<'ctx>> {
        self.element(self.context().i64_type().into(), pointer, index)
    }

    #[allow(unsafe_code)]
    fn element(
        &self,
        kind: BasicTypeEnum<'ctx>,
        pointer: PointerValue<'ctx>,
        index: IntValue<'ctx>,
    ) -> Built<PointerValue<'ctx>> {
        // SAFETY: inkwell marks this unsafe because LLVM asserts that the indices suit the type: one index into a
        // scalar type always does.
        let address = unsafe { self.ir().build_gep(kind, pointer, &[index], "")? };
        Ok(address)
    }

    /// Loads a value of `kind` from `offset` bytes behind `pointer`.
    pub fn load(
        &self,
        kind: Type,
        pointer: PointerValue<'ctx>,
        offset: u32,
    ) -> Built<BasicValueEnum<'ctx>> {
        let address = self.offset(pointer, self.i64(offset.into()))?;
        Ok(self.ir().build_load(self.llvm_type(kind), address, "")?)
    }

    /// Loads a pointer from `offset` bytes behind `pointer`.
    pub fn load_pointer(
        &self,
        pointer: PointerValue<'ctx>,
        offset: u32,
    ) -> Built<PointerValue<'ctx>> {
        Ok(self
            .load(Type::Pointer, pointer, offset)?
            .into_pointer_value())
    }

    /// Loads an i64 from `offset` bytes behind `pointer`.
    pub fn load_i64(&self, pointer: PointerValue<'ctx>, offset: u32) -> Built<IntValue<'ctx>> {
        Ok(self.load(Type::I64, pointer, offset)?.into_int_value())
    }

    /// Loads an i32 from `offset` bytes behind `pointer`.
    pub fn load_i32(&self, pointer: PointerValue<'ctx>, offset: u32) -> Built<IntValue<'ctx>> {
        Ok(self.load(Type::I32, pointer, offset)?.into_int_value())
    }

    /// Stores a value `offset` bytes behind `pointer`.
    pub fn store(
        &self,
        value: impl BasicValue<'ctx>,
        pointer: PointerValue<'ctx>,
        offset: u32,
    ) -> Built<()> {
        let address = self.offset(pointer, self.i64(offset.into()))?;
        self.ir().build_store(address, value)?;
        Ok(())
    }

    /// The address of the local that the oparg names.
    pub fn local(&self) -> Built<PointerValue<'ctx>> {
        self.require(
            UopFlags::LOCAL,
            "the local that the oparg names",
            "local_oparg()",
        )?;
        if let Some(local) = self.inlined_local(None)? {
            return Ok(local);
        }
        // Eight times the oparg plus the offset of the locals is one displacement with an addend.
        let locals = self.i64(self.unit.frame_layout().locals.into());
        let displacement = self.ir().build_int_add(self.scaled_oparg(3)?, locals, "")?;
        self.offset(self.frame(), displacement)
    }

    /// The address of local `index`.
    ///
    /// # Errors
    /// The template does not declare `uses_local()` for it.
    pub fn local_at(&self, index: u32) -> Built<PointerValue<'ctx>> {
        if index >= self.unit.template().locals() {
            return self.misuse(format!(
                "uses local {index}, but does not declare uses_local({index})"
            ));
        }
        if let Some(local) = self.inlined_local(Some(index))? {
            return Ok(local);
        }
        let offset = u64::from(self.unit.frame_layout().locals) + u64::from(index) * SLOT_SIZE;
        self.offset(self.frame(), self.i64(offset as i64))
    }

    // ---- Calls -------------------------------------------------------------------------------------------------

    /// Calls a helper. The result is `None` exactly where the helper declares none.
    pub fn call(
        &self,
        helper: &Helper,
        arguments: &[BasicValueEnum<'ctx>],
    ) -> Built<Option<BasicValueEnum<'ctx>>> {
        self.require_kept_registers("a call")?;
        self.check_external_name(helper.name)?;
        let wanted = helper.arguments.iter().map(|&kind| self.llvm_type(kind));
        if !wanted.eq(arguments.iter().map(BasicValueEnum::get_type)) {
            let found: Vec<String> = arguments.iter().map(|&value| type_name(value)).collect();
            return self.misuse(format!("calls {helper} with ({})", found.join(", ")));
        }
        let arguments: Vec<BasicMetadataValueEnum<'ctx>> =
            arguments.iter().map(|&value| value.into()).collect();
        if self.is_handler() {
            return self.call_through_table(helper, &arguments);
        }
        let function = self.unit.helper(helper)?;
        let call = self.ir().build_call(function, &arguments, "")?;
        Ok(call.try_as_basic_value().basic())
    }

    /// Calls a helper that returns a pointer.
    pub fn call_pointer(
        &self,
        helper: &Helper,
        arguments: &[BasicValueEnum<'ctx>],
    ) -> Built<PointerValue<'ctx>> {
        match self.call(helper, arguments)? {
            Some(BasicValueEnum::PointerValue(pointer)) => Ok(pointer),
            _ => self.misuse(format!("uses the result of {helper} as a pointer")),
        }
    }

    /// Calls a helper that returns an integer.
    pub fn call_int(
        &self,
        helper: &Helper,
        arguments: &[BasicValueEnum<'ctx>],
    ) -> Built<IntValue<'ctx>> {
        match self.call(helper, arguments)? {
            Some(BasicValueEnum::IntValue(value)) => Ok(value),
            _ => self.misuse(format!("uses the result of {helper} as an integer")),
        }
    }

    fn check_external_name(&self, name: &str) -> Built<()> {
        if name.starts_with(PREFIX) {
            return self.misuse(format!("uses {name}, the name of a hole, as a symbol"));
        }
        match is_identifier(name) {
            true => Ok(()),
            false => self.misuse(format!(
                "uses {name:?}, which is no C identifier, as a symbol"
            )),
        }
    }

    // ---- Checks ------------------------------------------------------------------------------------------------

    fn flags(&self) -> UopFlags {
        self.unit.template().flags()
    }

    fn require(&self, flag: UopFlags, what: &str, declaration: &str) -> Built<()> {
        if self.flags().contains(flag) {
            return Ok(());
        }
        self.misuse(format!("uses {what}, but does not declare {declaration}"))
    }

    /// Operand forms keep all registers and touch no stack: what cannot has no such form.
    fn require_kept_registers(&self, what: &str) -> Built<()> {
        self.unit.note(|facts| facts.needs_memory = true);
        match self.unit.entry() {
            Entry::Operands { .. } => self.misuse(format!(
                "has {what}, which does not go with operands in registers"
            )),
            Entry::Base | Entry::Slots { .. } => Ok(()),
        }
    }

    fn require_no_pending(&self, what: &str) -> Built<()> {
        if self.stack.pending.is_empty() {
            return Ok(());
        }
        self.misuse(format!(
            "uses {what} while pushed values are not in memory; flush() first"
        ))
    }

    fn misuse<T>(&self, message: impl Into<String>) -> Built<T> {
        Err(TemplateError::Misuse(message.into()))
    }
}

/// A value's type as LLVM writes it.
fn type_name(value: BasicValueEnum<'_>) -> String {
    let text = value.get_type().print_to_string();
    text.to_string_lossy().into_owned()
}
