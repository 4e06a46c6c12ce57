//! Memory: elements behind a pointer, and the guard in front of them.

use super::{Builder, Built, Path, peek_two};
use inkwell::IntPredicate;
use inkwell::types::{BasicTypeEnum, IntType};
use inkwell::values::{InstructionValue, PointerValue};
use mimeo_compiler::template::{Template, Type};

/// What an element is, besides a float.
#[derive(Clone, Copy)]
struct Int {
    bits: u32,
    signed: bool,
}

pub(super) fn templates() -> Vec<Template> {
    let loads = [
        ("S8", 8, true),
        ("U8", 8, false),
        ("S16", 16, true),
        ("U16", 16, false),
        ("S32", 32, true),
        ("U32", 32, false),
        ("I64", 64, false),
    ]
    .map(|(suffix, bits, signed)| {
        Template::new(format!("LOAD_AT_{suffix}"), move |b| {
            load_int(b, Int { bits, signed })
        })
        .stack(2, 1)
    });
    let stores = [("8", 8), ("16", 16), ("32", 32), ("I64", 64)].map(|(suffix, bits)| {
        Template::new(format!("STORE_AT_{suffix}"), move |b| store_int(b, bits)).stack(3, 0)
    });
    let others = [
        Template::new("LOAD_AT_F64", load_float).stack(2, 1),
        Template::new("STORE_AT_F64", store_float).stack(3, 0),
        Template::new("GUARD_INDEX", guard_index)
            .stack(2, 1)
            .may_exit(),
    ];
    loads.into_iter().chain(stores).chain(others).collect()
}

/// LLVM's integer type of so many bits, 64 where there is none.
pub(super) fn int_type<'ctx>(b: &Builder<'_, 'ctx>, bits: u32) -> IntType<'ctx> {
    let context = b.context();
    match bits {
        8 => context.i8_type(),
        16 => context.i16_type(),
        32 => context.i32_type(),
        _ => context.i64_type(),
    }
}

/// Takes an index and a pointer: the address of the element of this many bytes.
fn pop_element<'ctx>(b: &mut Builder<'_, 'ctx>, size: u32) -> Built<PointerValue<'ctx>> {
    let index = b.pop_i64()?;
    let pointer = b.pop_pointer()?;
    let shift = b.i64(size.trailing_zeros().into());
    let bytes = b.ir().build_left_shift(index, shift, "")?;
    b.offset(pointer, bytes)
}

/// Says that an element may lie anywhere.
fn unaligned(access: Option<InstructionValue<'_>>) {
    if let Some(access) = access {
        // The only failure is an instruction that accesses no memory.
        let _ = access.set_alignment(1);
    }
}

fn load_int(mut b: Builder<'_, '_>, element: Int) -> Path {
    let address = pop_element(&mut b, element.bits / 8)?;
    let (part, word) = (int_type(&b, element.bits), b.context().i64_type());
    let value = b.ir().build_load(part, address, "")?.into_int_value();
    unaligned(value.as_instruction());
    let value = match (element.bits, element.signed) {
        (64, _) => value,
        (_, true) => b.ir().build_int_s_extend(value, word, "")?,
        (_, false) => b.ir().build_int_z_extend(value, word, "")?,
    };
    b.push(value)?;
    b.continue_()
}

fn load_float(mut b: Builder<'_, '_>) -> Path {
    let address = pop_element(&mut b, 8)?;
    let kind: BasicTypeEnum<'_> = b.llvm_type(Type::F64);
    let value = b.ir().build_load(kind, address, "")?.into_float_value();
    unaligned(value.as_instruction());
    b.push(value)?;
    b.continue_()
}

fn store_int(mut b: Builder<'_, '_>, bits: u32) -> Path {
    let address = pop_element(&mut b, bits / 8)?;
    let value = b.pop_i64()?;
    let part = match bits {
        64 => value,
        _ => b.ir().build_int_truncate(value, int_type(&b, bits), "")?,
    };
    let store = b.ir().build_store(address, part)?;
    unaligned(Some(store));
    b.continue_()
}

fn store_float(mut b: Builder<'_, '_>) -> Path {
    let address = pop_element(&mut b, 8)?;
    let value = b.pop(Type::F64)?;
    let store = b.ir().build_store(address, value)?;
    unaligned(Some(store));
    b.continue_()
}

/// Both stay on the stack where the guard fails: whoever goes on there reports them.
fn guard_index(mut b: Builder<'_, '_>) -> Path {
    let (index, length) = peek_two(&b)?;
    let outside = b
        .ir()
        .build_int_compare(IntPredicate::UGE, index, length, "")?;
    b.unlikely(outside, |b| b.jump())?;
    b.drop_values(1)?;
    b.continue_()
}
