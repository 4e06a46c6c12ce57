//! Names that are not locals: globals, builtins, and those in the dict of a module's or class's frame.
//!
//! A specialised load finds its name by the index of an entry, the operand, in a dict whose version a guard has compared.

use crate::object_ops::{
    Built, P, Path, at, compare, continue_or_error, is_null, oparg_i32, push_result_or_error,
    release_and_continue, retain,
};
use inkwell::IntPredicate;
use inkwell::values::{BasicValueEnum, IntValue, PointerValue};
use mimeo::stencil::Count;
use mimeo_compiler::builder::TemplateBuilder;
use mimeo_compiler::template::{Helper, Template, Type};
use mimeo_objects::layout;

const LOAD_GLOBAL: Helper = Helper::new("mimeo_load_global", &[P, P, Type::I32], P);
const STORE_GLOBAL: Helper = Helper::new("mimeo_store_global", &[P, P, P, Type::I32], Type::I32);
const DELETE_GLOBAL: Helper = Helper::new("mimeo_delete_global", &[P, P, Type::I32], Type::I32);
const STORE_NAME: Helper = Helper::new("mimeo_store_name", &[P, P, P, Type::I32], Type::I32);
const DELETE_NAME: Helper = Helper::new("mimeo_delete_name", &[P, P, Type::I32], Type::I32);
const LOAD_LOCALS: Helper = Helper::new("mimeo_load_locals", &[P, P], P);
const SET_UP_ANNOTATIONS: Helper = Helper::new("mimeo_set_up_annotations", &[P, P], Type::I32);
const MAKE_FUNCTION: Helper = Helper::new("mimeo_make_function", &[P, P, P], P);
const SET_ATTRIBUTE: Helper =
    Helper::without_result("mimeo_set_function_attribute", &[P, P, P, Type::I32]);

/// The value, and a null behind it where the oparg's lowest bit asks for one, as calls do.
const VALUE_AND_NULL: Count = Count {
    fixed: 1,
    per_oparg: 0,
    low_bit: 1,
};
/// CPython numbers the entries of a dict in as many bits.
const ENTRY_BITS: u8 = 16;

pub(crate) fn templates() -> Vec<Template> {
    let names = |name, helper| Template::new(name, move |b| change(b, helper)).may_error();
    vec![
        Template::new("_LOAD_GLOBAL", load)
            .stack_counts(Count::fixed(0), VALUE_AND_NULL)
            .may_error(),
        load_entry("_LOAD_GLOBAL_MODULE", layout::FUNCTION_GLOBALS),
        load_entry("_LOAD_GLOBAL_BUILTINS", layout::FUNCTION_BUILTINS),
        check_version("_GUARD_GLOBALS_VERSION", layout::FUNCTION_GLOBALS),
        check_version("_GUARD_BUILTINS_VERSION", layout::FUNCTION_BUILTINS),
        Template::new("_STORE_GLOBAL", |b| store(b, &STORE_GLOBAL))
            .stack(1, 0)
            .may_error(),
        Template::new("_STORE_NAME", |b| store(b, &STORE_NAME))
            .stack(1, 0)
            .may_error(),
        names("_DELETE_GLOBAL", &DELETE_GLOBAL),
        names("_DELETE_NAME", &DELETE_NAME),
        Template::new("_LOAD_LOCALS", |b| {
            let frame = b.frame();
            push_result_or_error(b, &LOAD_LOCALS, &[frame.into()])
        })
        .stack(0, 1)
        .may_error(),
        Template::new("_SETUP_ANNOTATIONS", |b| {
            let frame = b.frame();
            continue_or_error(b, &SET_UP_ANNOTATIONS, &[frame.into()])
        })
        .may_error(),
        Template::new("_MAKE_FUNCTION", make_function)
            .stack(1, 1)
            .may_error(),
        Template::new("_SET_FUNCTION_ATTRIBUTE", set_attribute).stack(2, 1),
    ]
}

/// The oparg, but for its lowest bit, is the index of the name.
fn load(mut b: TemplateBuilder<'_, '_>) -> Path {
    let index = b
        .ir()
        .build_right_shift(oparg_i32(&b)?, b.i32(1), false, "")?;
    let place = [b.thread().into(), b.frame().into(), index.into()];
    let value = b.call_pointer(&LOAD_GLOBAL, &place)?;
    let failed = is_null(&b, value)?;
    b.unlikely(failed, |b| b.error())?;
    push_with_null(&mut b, value)?;
    b.continue_()
}

/// Where there is no null to push, its place is the value's.
fn push_with_null<'ctx>(b: &mut TemplateBuilder<'_, 'ctx>, value: PointerValue<'ctx>) -> Built<()> {
    let low_bit = b.ir().build_and(b.oparg()?, b.i64(1), "")?;
    let place = b.push_array(VALUE_AND_NULL)?;
    b.store(b.i64(0), b.slot(place, low_bit)?, 0)?;
    b.store(value, place, 0)
}

/// The dict that the running function looks into.
fn names<'ctx>(b: &TemplateBuilder<'_, 'ctx>, which: usize) -> Built<PointerValue<'ctx>> {
    let function = b.load_pointer(b.frame(), at(layout::FRAME_FUNCTION))?;
    b.load_pointer(function, at(which))
}

fn load_entry(name: &str, which: usize) -> Template {
    let build = move |mut b: TemplateBuilder<'_, '_>| {
        let entries = b.load_pointer(names(&b, which)?, at(layout::DICT_ENTRIES))?;
        let offset = b.ir().build_int_mul(
            b.small_operand(ENTRY_BITS)?,
            b.i64(layout::DICT_ENTRY_SIZE as i64),
            "",
        )?;
        let entry = b.offset(entries, offset)?;
        let value = b.load_pointer(entry, at(layout::DICT_ENTRY_VALUE))?;
        let removed = is_null(&b, value)?;
        b.unlikely(removed, |b| b.jump())?;
        retain(&b, value)?;
        push_with_null(&mut b, value)?;
        b.continue_()
    };
    Template::new(name, build)
        .stack_counts(Count::fixed(0), VALUE_AND_NULL)
        .may_deopt()
}

/// The operand is the version of the dict's keys.
fn check_version(name: &str, which: usize) -> Template {
    let build = move |mut b: TemplateBuilder<'_, '_>| {
        let version = b.load_i32(names(&b, which)?, at(layout::DICT_VERSION))?;
        let expected = as_i32(&b, b.operand()?)?;
        let other = compare(&b, IntPredicate::NE, version, expected)?;
        b.unlikely(other, |b| b.jump())?;
        b.continue_()
    };
    Template::new(name, build).may_deopt()
}

fn as_i32<'ctx>(b: &TemplateBuilder<'_, 'ctx>, value: IntValue<'ctx>) -> Built<IntValue<'ctx>> {
    Ok(b.ir()
        .build_int_truncate(value, b.context().i32_type(), "")?)
}

/// Calls a helper with the frame, `values` and the index of a name, the oparg.
fn with_name<'ctx>(
    b: TemplateBuilder<'_, 'ctx>,
    helper: &Helper,
    value: Option<BasicValueEnum<'ctx>>,
) -> Path {
    let mut operands = vec![b.frame().into()];
    operands.extend(value);
    operands.push(oparg_i32(&b)?.into());
    continue_or_error(b, helper, &operands)
}

fn store(mut b: TemplateBuilder<'_, '_>, helper: &Helper) -> Path {
    let value = b.pop_pointer()?;
    with_name(b, helper, Some(value.into()))
}

fn change(b: TemplateBuilder<'_, '_>, helper: &Helper) -> Path {
    with_name(b, helper, None)
}

/// The code object stays where there is an error.
fn make_function(mut b: TemplateBuilder<'_, '_>) -> Path {
    let code = b.peek_pointer(0)?;
    let place = [b.thread().into(), b.frame().into(), code.into()];
    let function = b.call_pointer(&MAKE_FUNCTION, &place)?;
    let failed = is_null(&b, function)?;
    b.unlikely(failed, |b| b.error())?;
    b.drop_values(1)?;
    b.push(function)?;
    release_and_continue(b, &[code], &[code])
}

/// The oparg says which attribute; the function is on top of it.
fn set_attribute(mut b: TemplateBuilder<'_, '_>) -> Path {
    let function = b.pop_pointer()?;
    let attribute = b.pop_pointer()?;
    let oparg = oparg_i32(&b)?;
    let call = [
        b.thread().into(),
        function.into(),
        attribute.into(),
        oparg.into(),
    ];
    b.call(&SET_ATTRIBUTE, &call)?;
    b.push(function)?;
    b.continue_()
}
