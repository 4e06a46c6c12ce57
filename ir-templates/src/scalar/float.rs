//! Floats, and what they are converted to and from.

use super::{Builder, Built, Path, replace};
use inkwell::values::FloatValue;
use inkwell::{FloatPredicate, IntPredicate};
use mimeo_compiler::template::{Template, Type};

pub(super) fn templates() -> Vec<Template> {
    vec![
        binary("F64_ADD", |b, left, right| {
            Ok(b.ir().build_float_add(left, right, "")?)
        }),
        binary("F64_SUB", |b, left, right| {
            Ok(b.ir().build_float_sub(left, right, "")?)
        }),
        binary("F64_MUL", |b, left, right| {
            Ok(b.ir().build_float_mul(left, right, "")?)
        }),
        binary("F64_DIV", |b, left, right| {
            Ok(b.ir().build_float_div(left, right, "")?)
        }),
        binary("F64_MIN", |b, left, right| {
            extreme(b, FloatPredicate::OLT, left, right)
        }),
        binary("F64_MAX", |b, left, right| {
            extreme(b, FloatPredicate::OGT, left, right)
        }),
        unary("F64_NEG", |b, value| {
            Ok(b.ir().build_float_neg(value, "")?)
        }),
        unary("F64_ABS", |b, value| intrinsic(b, "llvm.fabs", value)),
        unary("F64_SQRT", |b, value| intrinsic(b, "llvm.sqrt", value)),
        Template::new("I64_TO_F64", from_int).stack(1, 1),
        Template::new("F64_TO_I64", to_int).stack(1, 1).may_exit(),
        // The stack converts bit by bit.
        Template::new("F64_BITS", |b| reinterpret(b, Type::F64, Type::I64)).stack(1, 1),
        Template::new("F64_FROM_BITS", |b| reinterpret(b, Type::I64, Type::F64)).stack(1, 1),
    ]
}

fn binary<F>(name: &str, compute: F) -> Template
where
    F: for<'ctx> Fn(
            &Builder<'_, 'ctx>,
            FloatValue<'ctx>,
            FloatValue<'ctx>,
        ) -> Built<FloatValue<'ctx>>
        + Send
        + Sync
        + 'static,
{
    Template::new(name, move |mut b| {
        let right = b.pop(Type::F64)?.into_float_value();
        let left = b.pop(Type::F64)?.into_float_value();
        let value = compute(&b, left, right)?;
        b.push(value)?;
        b.continue_()
    })
    .stack(2, 1)
}

fn unary<F>(name: &str, compute: F) -> Template
where
    F: for<'ctx> Fn(&Builder<'_, 'ctx>, FloatValue<'ctx>) -> Built<FloatValue<'ctx>>
        + Send
        + Sync
        + 'static,
{
    Template::new(name, move |mut b| {
        let value = b.pop(Type::F64)?.into_float_value();
        let value = compute(&b, value)?;
        b.push(value)?;
        b.continue_()
    })
    .stack(1, 1)
}

/// `left` where it compares so with `right`, and `right` otherwise: what `minsd` and `maxsd` do.
fn extreme<'ctx>(
    b: &Builder<'_, 'ctx>,
    predicate: FloatPredicate,
    left: FloatValue<'ctx>,
    right: FloatValue<'ctx>,
) -> Built<FloatValue<'ctx>> {
    let holds = b.ir().build_float_compare(predicate, left, right, "")?;
    Ok(b.ir()
        .build_select(holds, left, right, "")?
        .into_float_value())
}

fn intrinsic<'ctx>(
    b: &Builder<'_, 'ctx>,
    name: &str,
    value: FloatValue<'ctx>,
) -> Built<FloatValue<'ctx>> {
    let kind = b.llvm_type(Type::F64);
    Ok(b.intrinsic(name, &[kind], &[value.into()])?
        .into_float_value())
}

fn from_int(mut b: Builder<'_, '_>) -> Path {
    let value = b.pop_i64()?;
    let kind = b.context().f64_type();
    let value = b.ir().build_signed_int_to_float(value, kind, "")?;
    b.push(value)?;
    b.continue_()
}

/// `cvttsd2si` gives -2^63 for whatever does not fit (Intel SDM volume 1, section 11.5.2.1), and for -2^63 itself, which
/// therefore counts as out of range: the test is one comparison. LLVM's own `fptosi` is undefined there.
fn to_int(mut b: Builder<'_, '_>) -> Path {
    let value = b.peek(0, Type::F64)?.into_float_value();
    let pair = b.context().f64_type().vec_type(2).get_poison();
    let pair = b.ir().build_insert_element(pair, value, b.i64(0), "")?;
    let converted = b
        .intrinsic("llvm.x86.sse2.cvttsd2si64", &[], &[pair.into()])?
        .into_int_value();
    let refused = b
        .ir()
        .build_int_compare(IntPredicate::EQ, converted, b.i64(i64::MIN), "")?;
    b.unlikely(refused, |b| b.jump())?;
    replace(b, 1, converted)
}

fn reinterpret(mut b: Builder<'_, '_>, from: Type, to: Type) -> Path {
    let value = b.pop(from)?;
    let value = b.ir().build_bit_cast(value, b.llvm_type(to), "")?;
    b.push(value)?;
    b.continue_()
}
