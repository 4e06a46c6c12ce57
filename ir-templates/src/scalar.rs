//! The scalar set: unboxed 64-bit integers, floats, booleans and pointers, as tracing compilers of numeric code work on
//! them. Nothing is counted or freed, and the frame is an array of 8-byte locals, with nothing in front of them.
//!
//! A value is 64 bits; a uop takes it for what it needs, bit by bit, so that a float may be loaded as an integer. A
//! condition holds unless it is 0, and uops leave 1 or 0 for one. "Jumps" means: to the uop's jump label. Where a uop
//! says *kept*, the values that it takes are still on the stack there, unchanged; elsewhere they are gone.
//!
//! # Values and locals
//!
//! | Uop | Effect | What it does |
//! |---|---|---|
//! | `CONST_I64`, `CONST_F64` | `( -- a)` | the operand; its bits as a float |
//! | `LOAD_I64`, `LOAD_F64` | `( -- a)` | local number oparg |
//! | `STORE_I64`, `STORE_F64` | `(a -- )` | into local number oparg |
//! | `DUP_I64`, `DUP_F64` | `(a -- a a)` | |
//! | `DROP_I64`, `DROP_F64` | `(a -- )` | |
//! | `SWAP_I64`, `SWAP_F64` | `(a b -- b a)` | |
//!
//! # Integers
//!
//! | Uop | Effect | What it does |
//! |---|---|---|
//! | `I64_ADD`, `I64_SUB`, `I64_MUL` | `(a b -- c)` | modulo 2^64 |
//! | `I64_AND`, `I64_OR`, `I64_XOR` | `(a b -- c)` | bit by bit |
//! | `I64_SHL`, `I64_SHR`, `I64_SAR` | `(a n -- c)` | left, right with zeros, right with the sign; by n modulo 64 |
//! | `I64_ROTL`, `I64_ROTR` | `(a n -- c)` | rotates; by n modulo 64 |
//! | `I64_MIN`, `I64_MAX`, `U64_MIN`, `U64_MAX` | `(a b -- c)` | signed, unsigned |
//! | `I64_ADD_CHECKED`, `I64_SUB_CHECKED`, `I64_MUL_CHECKED` | `(a b -- c)` | jumps on signed overflow, kept |
//! | `I64_DIV`, `I64_REM` | `(a b -- c)` | towards zero, remainder of the sign of a; jumps if b = 0 or c would be 2^63, kept |
//! | `U64_DIV`, `U64_REM` | `(a b -- c)` | unsigned; jumps if b = 0, kept |
//! | `I64_NEG`, `I64_NOT`, `I64_ABS` | `(a -- b)` | modulo 2^64: -2^63 has itself for both `NEG` and `ABS` |
//! | `I64_CLZ`, `I64_CTZ`, `I64_POPCNT` | `(a -- b)` | leading zeros, trailing zeros (64 for 0), ones |
//! | `I64_BSWAP` | `(a -- b)` | the bytes in reverse |
//! | `I64_EXTEND_S8`, `_S16`, `_S32`, `_U8`, `_U16`, `_U32` | `(a -- b)` | the low bits, sign-extended or zero-extended |
//!
//! # Comparisons
//!
//! | Uop | Effect | What it does |
//! |---|---|---|
//! | `I64_EQ`, `NE`, `LT`, `LE`, `GT`, `GE` | `(a b -- c)` | signed |
//! | `U64_LT`, `LE`, `GT`, `GE` | `(a b -- c)` | unsigned |
//! | `F64_EQ`, `NE`, `LT`, `LE`, `GT`, `GE` | `(a b -- c)` | with a NaN, `NE` gives 1 and all others 0 |
//! | `BOOL_NOT` | `(a -- b)` | 1 for 0, and 0 for all else |
//! | `SELECT_I64`, `SELECT_F64` | `(a b c -- d)` | a, or b if c is 0 |
//!
//! # Floats
//! As IEEE 754, rounding to nearest; the order of operations is kept and none are contracted. Of two NaNs, the result has
//! the bits of either.
//!
//! | Uop | Effect | What it does |
//! |---|---|---|
//! | `F64_ADD`, `F64_SUB`, `F64_MUL`, `F64_DIV` | `(a b -- c)` | |
//! | `F64_MIN`, `F64_MAX` | `(a b -- c)` | a if a < b (a > b), else b: also where one is NaN, or both are zeros |
//! | `F64_NEG`, `F64_ABS` | `(a -- b)` | the sign bit inverted, cleared: also of NaNs |
//! | `F64_SQRT` | `(a -- b)` | |
//! | `I64_TO_F64` | `(a -- b)` | rounds to nearest |
//! | `F64_TO_I64` | `(a -- b)` | towards zero; jumps unless -2^63 < a < 2^63, kept |
//! | `F64_BITS`, `F64_FROM_BITS` | `(a -- b)` | the bits as an integer, and back |
//!
//! # Memory
//! A pointer is an address, and an index counts elements of the uop's size. Nothing need be aligned, and nothing is
//! checked: guards in front of it see to that.
//!
//! | Uop | Effect | What it does |
//! |---|---|---|
//! | `GUARD_INDEX` | `(index length -- index)` | jumps unless index < length, unsigned; kept |
//! | `LOAD_AT_S8`, `U8`, `S16`, `U16`, `S32`, `U32`, `I64`, `F64` | `(pointer index -- a)` | an element, extended to 64 bits |
//! | `STORE_AT_8`, `16`, `32`, `I64`, `F64` | `(a pointer index -- )` | the low bits of a |
//!
//! # Control
//!
//! | Uop | Effect | What it does |
//! |---|---|---|
//! | `JUMP` | `( -- )` | jumps |
//! | `JUMP_IF_TRUE`, `JUMP_IF_FALSE` | `(a -- )` | jumps if the condition holds, or does not |
//! | `GUARD_TRUE`, `GUARD_FALSE` | `(a -- )` | jumps unless the condition holds, or does not: which is rare |
//! | `EXIT` | `( -- )` | leaves the trace, with its target |
//! | `CALL_0` to `CALL_6` | `(a... -- b)` | calls the operand, an `extern "C" fn(i64...) -> i64` |
//! | `CALL_F64_1`, `CALL_F64_2` | `(a... -- b)` | the same with floats |

mod arithmetic;
mod calls;
mod compare;
mod control;
mod float;
mod memory;
mod values;

use inkwell::values::{BasicMetadataValueEnum, BasicValue, IntValue};
use mimeo_compiler::builder::{Done, TemplateBuilder};
use mimeo_compiler::error::TemplateError;
use mimeo_compiler::template::{FrameLayout, Registers, Template, TemplateSet, Type};

/// The templates that the scalar table is made of, with the sequences that are [fused](crate::supernodes::SCALAR).
pub fn scalar_templates() -> TemplateSet {
    TemplateSet::new(crate::SCALAR_NAME, FrameLayout { locals: 0 })
        .with_registers(Registers::Operands)
        .with_supernodes(crate::supernodes::of(crate::supernodes::SCALAR))
        .with_sources(crate::text::scalar())
        .with(values::templates())
        .with(arithmetic::templates())
        .with(compare::templates())
        .with(float::templates())
        .with(memory::templates())
        .with(control::templates())
        .with(calls::templates())
}

type Builder<'t, 'ctx> = TemplateBuilder<'t, 'ctx>;
type Built<T> = Result<T, TemplateError>;
type Path = Built<Done>;

/// The top two integers, the lower one first, which stay.
fn peek_two<'ctx>(b: &Builder<'_, 'ctx>) -> Built<(IntValue<'ctx>, IntValue<'ctx>)> {
    let (right, left) = (b.peek(0, Type::I64)?, b.peek(1, Type::I64)?);
    Ok((left.into_int_value(), right.into_int_value()))
}

/// Replaces the top `popped` values, which were only read so far, and continues.
fn replace<'ctx>(mut b: Builder<'_, 'ctx>, popped: usize, value: impl BasicValue<'ctx>) -> Path {
    b.drop_values(popped)?;
    b.push(value)?;
    b.continue_()
}

/// The integer that an intrinsic on i64 gives.
fn intrinsic<'ctx>(
    b: &Builder<'_, 'ctx>,
    name: &str,
    arguments: &[BasicMetadataValueEnum<'ctx>],
) -> Built<IntValue<'ctx>> {
    let word = b.context().i64_type().into();
    Ok(b.intrinsic(name, &[word], arguments)?.into_int_value())
}

/// `(a b -- c)` of integers.
fn binary<F>(name: &str, compute: F) -> Template
where
    F: for<'ctx> Fn(&Builder<'_, 'ctx>, IntValue<'ctx>, IntValue<'ctx>) -> Built<IntValue<'ctx>>
        + Send
        + Sync
        + 'static,
{
    Template::new(name, move |mut b| {
        let right = b.pop_i64()?;
        let left = b.pop_i64()?;
        let value = compute(&b, left, right)?;
        b.push(value)?;
        b.continue_()
    })
    .stack(2, 1)
}

/// `(a -- b)` of integers.
fn unary<F>(name: &str, compute: F) -> Template
where
    F: for<'ctx> Fn(&Builder<'_, 'ctx>, IntValue<'ctx>) -> Built<IntValue<'ctx>>
        + Send
        + Sync
        + 'static,
{
    Template::new(name, move |mut b| {
        let value = b.pop_i64()?;
        let value = compute(&b, value)?;
        b.push(value)?;
        b.continue_()
    })
    .stack(1, 1)
}
