//! Arithmetic of integers.

use super::{Builder, Built, Path, binary, intrinsic, peek_two, replace, unary};
use inkwell::IntPredicate;
use inkwell::values::IntValue;
use mimeo_compiler::builder::Overflowing;
use mimeo_compiler::template::Template;

pub(super) fn templates() -> Vec<Template> {
    let mut templates = Vec::from(wrapping());
    templates.extend(shifts());
    templates.extend(extremes());
    templates.extend([
        checked("I64_ADD_CHECKED", Overflowing::Add),
        checked("I64_SUB_CHECKED", Overflowing::Subtract),
        checked("I64_MUL_CHECKED", Overflowing::Multiply),
        divide("I64_DIV", true, |b, left, right| {
            Ok(b.ir().build_int_signed_div(left, right, "")?)
        }),
        divide("I64_REM", true, |b, left, right| {
            Ok(b.ir().build_int_signed_rem(left, right, "")?)
        }),
        divide("U64_DIV", false, |b, left, right| {
            Ok(b.ir().build_int_unsigned_div(left, right, "")?)
        }),
        divide("U64_REM", false, |b, left, right| {
            Ok(b.ir().build_int_unsigned_rem(left, right, "")?)
        }),
    ]);
    templates.extend(of_one());
    templates.extend(extensions());
    templates
}

fn wrapping() -> [Template; 6] {
    [
        binary("I64_ADD", |b, left, right| {
            Ok(b.ir().build_int_add(left, right, "")?)
        }),
        binary("I64_SUB", |b, left, right| {
            Ok(b.ir().build_int_sub(left, right, "")?)
        }),
        binary("I64_MUL", |b, left, right| {
            Ok(b.ir().build_int_mul(left, right, "")?)
        }),
        binary("I64_AND", |b, left, right| {
            Ok(b.ir().build_and(left, right, "")?)
        }),
        binary("I64_OR", |b, left, right| {
            Ok(b.ir().build_or(left, right, "")?)
        }),
        binary("I64_XOR", |b, left, right| {
            Ok(b.ir().build_xor(left, right, "")?)
        }),
    ]
}

/// The count modulo 64, as the processor takes it: LLVM drops the mask.
fn modulo_64<'ctx>(b: &Builder<'_, 'ctx>, count: IntValue<'ctx>) -> Built<IntValue<'ctx>> {
    Ok(b.ir().build_and(count, b.i64(63), "")?)
}

fn shifts() -> [Template; 5] {
    [
        binary("I64_SHL", |b, value, count| {
            Ok(b.ir().build_left_shift(value, modulo_64(b, count)?, "")?)
        }),
        binary("I64_SHR", |b, value, count| {
            Ok(b.ir()
                .build_right_shift(value, modulo_64(b, count)?, false, "")?)
        }),
        binary("I64_SAR", |b, value, count| {
            Ok(b.ir()
                .build_right_shift(value, modulo_64(b, count)?, true, "")?)
        }),
        // A rotation is a funnel shift of a value with itself, which takes the count modulo its width.
        binary("I64_ROTL", |b, value, count| {
            intrinsic(b, "llvm.fshl", &[value.into(), value.into(), count.into()])
        }),
        binary("I64_ROTR", |b, value, count| {
            intrinsic(b, "llvm.fshr", &[value.into(), value.into(), count.into()])
        }),
    ]
}

fn extremes() -> [Template; 4] {
    [
        ("I64_MIN", "llvm.smin"),
        ("I64_MAX", "llvm.smax"),
        ("U64_MIN", "llvm.umin"),
        ("U64_MAX", "llvm.umax"),
    ]
    .map(|(name, function)| {
        binary(name, move |b, left, right| {
            intrinsic(b, function, &[left.into(), right.into()])
        })
    })
}

fn checked(name: &str, operation: Overflowing) -> Template {
    Template::new(name, move |mut b| {
        let (left, right) = peek_two(&b)?;
        let value = b.checked(operation, left, right)?;
        replace(b, 2, value)
    })
    .stack(2, 1)
    .may_exit()
}

/// Jumps where the divisor is 0, and where a signed quotient is not an i64.
fn divide<F>(name: &str, signed: bool, compute: F) -> Template
where
    F: for<'ctx> Fn(&Builder<'_, 'ctx>, IntValue<'ctx>, IntValue<'ctx>) -> Built<IntValue<'ctx>>
        + Send
        + Sync
        + 'static,
{
    Template::new(name, move |mut b| {
        let (left, right) = peek_two(&b)?;
        jump_on_zero(&mut b, right)?;
        if signed {
            jump_on_overflow(&mut b, left, right)?;
        }
        let value = compute(&b, left, right)?;
        replace(b, 2, value)
    })
    .stack(2, 1)
    .may_exit()
}

/// The quotient of -2^63 and -1 is not an i64, and the processor traps on it.
fn jump_on_overflow<'ctx>(
    b: &mut Builder<'_, 'ctx>,
    left: IntValue<'ctx>,
    right: IntValue<'ctx>,
) -> Built<()> {
    let ir = b.ir();
    let lowest = ir.build_int_compare(IntPredicate::EQ, left, b.i64(i64::MIN), "")?;
    let negates = ir.build_int_compare(IntPredicate::EQ, right, b.i64(-1), "")?;
    let overflows = ir.build_and(lowest, negates, "")?;
    b.unlikely(overflows, |b| b.jump())
}

fn jump_on_zero<'ctx>(b: &mut Builder<'_, 'ctx>, value: IntValue<'ctx>) -> Built<()> {
    let zero = b
        .ir()
        .build_int_compare(IntPredicate::EQ, value, b.i64(0), "")?;
    b.unlikely(zero, |b| b.jump())
}

fn of_one() -> [Template; 7] {
    [
        unary("I64_NEG", |b, value| Ok(b.ir().build_int_neg(value, "")?)),
        unary("I64_NOT", |b, value| Ok(b.ir().build_not(value, "")?)),
        unary("I64_ABS", |b, value| {
            intrinsic(b, "llvm.abs", &[value.into(), no(b).into()])
        }),
        unary("I64_CLZ", |b, value| {
            intrinsic(b, "llvm.ctlz", &[value.into(), no(b).into()])
        }),
        unary("I64_CTZ", |b, value| {
            intrinsic(b, "llvm.cttz", &[value.into(), no(b).into()])
        }),
        unary("I64_POPCNT", |b, value| {
            intrinsic(b, "llvm.ctpop", &[value.into()])
        }),
        unary("I64_BSWAP", |b, value| {
            intrinsic(b, "llvm.bswap", &[value.into()])
        }),
    ]
}

/// To an intrinsic: there is no argument for which its result is undefined.
fn no<'ctx>(b: &Builder<'_, 'ctx>) -> IntValue<'ctx> {
    b.context().bool_type().const_zero()
}

fn extensions() -> impl Iterator<Item = Template> {
    [8u32, 16, 32].into_iter().flat_map(|bits| {
        [(true, "S"), (false, "U")].map(|(signed, letter)| {
            Template::new(format!("I64_EXTEND_{letter}{bits}"), move |b| {
                extend(b, bits, signed)
            })
            .stack(1, 1)
        })
    })
}

fn extend(mut b: Builder<'_, '_>, bits: u32, signed: bool) -> Path {
    let value = b.pop_i64()?;
    let (word, part) = (b.context().i64_type(), super::memory::int_type(&b, bits));
    let low = b.ir().build_int_truncate(value, part, "")?;
    let value = match signed {
        true => b.ir().build_int_s_extend(low, word, "")?,
        false => b.ir().build_int_z_extend(low, word, "")?,
    };
    b.push(value)?;
    b.continue_()
}
