//! Attributes: any, by name; and those whose place a guard on the type of their owner has made known.
//!
//! The operand of the guards is an address: of the record of a type, or of the keys of a class. That of the uops that load
//! or store a value of an instance is the offset of the value from the start of the instance, in bytes; that of the
//! others is the object that the type has.

use crate::object_ops::{
    Built, P, Path, at, compare, continue_or_error, differ, is_null, is_shared, oparg_i32, release,
    release_and_continue, release_and_go_on, require_kind, retain,
};
use inkwell::IntPredicate;
use inkwell::values::{IntValue, PointerValue};
use mimeo::stencil::Count;
use mimeo_compiler::builder::{ColdPath, TemplateBuilder};
use mimeo_compiler::template::{Helper, Template, Type};
use mimeo_objects::layout;
use mimeo_objects::types::TypeId;

const LOAD: Helper = Helper::new("mimeo_load_attribute", &[P, P, P, Type::I32, P], Type::I32);
const STORE: Helper = Helper::new("mimeo_store_attribute", &[P, P, P, P, Type::I32], Type::I32);
const DELETE: Helper = Helper::new("mimeo_delete_attribute", &[P, P, P, Type::I32], Type::I32);
const LOAD_SUPER: Helper = Helper::new(
    "mimeo_load_super_attribute",
    &[P, P, P, P, Type::I32, P],
    Type::I32,
);
const NOTE_STORE: Helper = Helper::without_result("mimeo_note_store", &[P, P, Type::I64]);
const FINISH_STORE: Helper = Helper::without_result("mimeo_finish_store", &[P, P, P]);
const LOAD_FROM_DICT: Helper = Helper::new("mimeo_load_from_dict", &[P, P, P, Type::I32], P);

/// The attribute, and what goes before its arguments where the oparg's lowest bit says that it is called.
const CALLEE: Count = Count {
    fixed: 1,
    per_oparg: 0,
    low_bit: 1,
};
/// Offsets into an instance are small.
const OFFSET_BITS: u8 = 16;
/// CPython numbers the entries of a dict in as many bits.
const ENTRY_BITS: u8 = 16;

pub(crate) fn templates() -> Vec<Template> {
    let mut templates = vec![
        Template::new("_LOAD_ATTR", load)
            .stack_counts(Count::fixed(1), CALLEE)
            .may_error(),
        Template::new("_STORE_ATTR", store).stack(2, 0).may_error(),
        Template::new("_DELETE_ATTR", delete)
            .stack(1, 0)
            .may_error(),
        Template::new("_GUARD_TYPE_VERSION", guard_type)
            .stack(1, 1)
            .may_exit(),
        Template::new("_GUARD_KEYS_VERSION", guard_keys)
            .stack(1, 1)
            .may_deopt(),
        Template::new("_CHECK_ATTR_CLASS", check_class)
            .stack(1, 1)
            .may_deopt(),
        Template::new("_CHECK_ATTR_MODULE", check_module)
            .stack(1, 1)
            .may_deopt(),
        Template::new("_CHECK_ATTR_WITH_HINT", |b| check_dict(b, false))
            .stack(1, 1)
            .may_deopt(),
        Template::new("_LOAD_ATTR_MODULE", load_from_module)
            .stack_counts(Count::fixed(1), CALLEE)
            .may_deopt(),
        Template::new("_LOAD_ATTR_WITH_HINT", load_from_dict)
            .stack_counts(Count::fixed(1), CALLEE)
            .may_deopt(),
        Template::new("_STORE_ATTR_INSTANCE_VALUE", store_value).stack(2, 0),
        Template::new("_STORE_ATTR_SLOT", store_slot).stack(2, 0),
        Template::new("_LOAD_SUPER_ATTR_ATTR", |b| load_super(b, Count::fixed(1)))
            .stack(3, 1)
            .may_deopt()
            .may_error(),
        Template::new("_LOAD_SUPER_ATTR_METHOD", |b| {
            load_super(b, Count::fixed(2))
        })
        .stack(3, 2)
        .may_deopt()
        .may_error(),
    ];
    // The attributes of these instances are values: they have no dict.
    for name in [
        "_CHECK_MANAGED_OBJECT_HAS_VALUES",
        "_CHECK_ATTR_METHOD_LAZY_DICT",
        "_GUARD_DORV_NO_DICT",
        "_GUARD_DORV_VALUES_INST_ATTR_FROM_DICT",
    ] {
        templates.push(
            Template::new(name, |b| check_dict(b, true))
                .stack(1, 1)
                .may_deopt(),
        );
    }
    for (suffix, calls) in [("0", false), ("1", true)] {
        let pushed = 1 + u8::from(calls);
        for kind in ["INSTANCE_VALUE", "SLOT"] {
            templates.push(
                Template::new(format!("_LOAD_ATTR_{kind}_{suffix}"), move |b| {
                    load_value(b, calls)
                })
                .stack(1, pushed)
                .may_deopt(),
            );
        }
        templates.push(
            Template::new(format!("_LOAD_ATTR_CLASS_{suffix}"), move |b| {
                load_operand(b, calls)
            })
            .stack(1, pushed),
        );
    }
    for name in ["WITH_VALUES", "NO_DICT", "LAZY_DICT"] {
        templates.push(Template::new(format!("_LOAD_ATTR_METHOD_{name}"), load_method).stack(1, 2));
    }
    for name in ["WITH_VALUES", "NO_DICT"] {
        templates.push(
            Template::new(format!("_LOAD_ATTR_NONDESCRIPTOR_{name}"), |b| {
                load_operand(b, false)
            })
            .stack(1, 1),
        );
    }
    templates
}

fn load(mut b: TemplateBuilder<'_, '_>) -> Path {
    let owner = b.pop_pointer()?;
    let oparg = oparg_i32(&b)?;
    let frame = b.frame();
    let places = b.push_array(CALLEE)?;
    let operands = [frame.into(), owner.into(), oparg.into(), places.into()];
    continue_or_error(b, &LOAD, &operands)
}

/// The value is below the owner.
fn store(mut b: TemplateBuilder<'_, '_>) -> Path {
    let owner = b.pop_pointer()?;
    let value = b.pop_pointer()?;
    let operands = [
        b.frame().into(),
        owner.into(),
        value.into(),
        oparg_i32(&b)?.into(),
    ];
    continue_or_error(b, &STORE, &operands)
}

fn delete(mut b: TemplateBuilder<'_, '_>) -> Path {
    let owner = b.pop_pointer()?;
    let operands = [b.frame().into(), owner.into(), oparg_i32(&b)?.into()];
    continue_or_error(b, &DELETE, &operands)
}

/// The record holds what the objects of the type have in their header, or 0 once the type was changed.
fn guard_type(mut b: TemplateBuilder<'_, '_>) -> Path {
    let found = b.load_i32(b.peek_pointer(0)?, at(layout::OBJECT_KIND))?;
    let expected = b.load_i32(b.operand_pointer()?, 0)?;
    let other = compare(&b, IntPredicate::NE, found, expected)?;
    b.unlikely(other, |b| b.jump())?;
    b.continue_()
}

/// The owner is an instance of a class of the program.
fn guard_keys(mut b: TemplateBuilder<'_, '_>) -> Path {
    let class = b.load_pointer(b.peek_pointer(0)?, at(layout::INSTANCE_CLASS))?;
    require_operand(&mut b, class, layout::TYPE_KEYS)?;
    b.continue_()
}

/// The owner is the class whose record the operand is the address of.
fn check_class(mut b: TemplateBuilder<'_, '_>) -> Path {
    let class = b.peek_pointer(0)?;
    require_kind(&mut b, class, layout::KIND_TYPE)?;
    require_operand(&mut b, class, layout::TYPE_GUARD)?;
    b.continue_()
}

/// Deoptimises unless a field of a type is the operand.
fn require_operand<'ctx>(
    b: &mut TemplateBuilder<'_, 'ctx>,
    class: PointerValue<'ctx>,
    field: usize,
) -> Built<()> {
    let found = b.load_pointer(class, at(field))?;
    let other = differ(b, found, b.operand_pointer()?)?;
    b.unlikely(other, |b| b.jump())
}

/// The operand is the version of the keys of the module's dict.
fn check_module(mut b: TemplateBuilder<'_, '_>) -> Path {
    let module = b.peek_pointer(0)?;
    require_kind(&mut b, module, layout::KIND_MODULE)?;
    let dict = b.load_pointer(module, at(layout::MODULE_DICT))?;
    let version = b.load_i32(dict, at(layout::DICT_VERSION))?;
    let expected = b.operand()?;
    let expected = b
        .ir()
        .build_int_truncate(expected, b.context().i32_type(), "")?;
    let other = compare(&b, IntPredicate::NE, version, expected)?;
    b.unlikely(other, |b| b.jump())?;
    b.continue_()
}

/// Deoptimises if the owner, an instance of a class of the program, has a dict where it should be without, or the other
/// way round.
fn check_dict(mut b: TemplateBuilder<'_, '_>, without: bool) -> Path {
    let dict = b.load_pointer(b.peek_pointer(0)?, at(layout::INSTANCE_DICT))?;
    let wrong = match without {
        true => b.ir().build_is_not_null(dict, "")?,
        false => is_null(&b, dict)?,
    };
    b.unlikely(wrong, |b| b.jump())?;
    b.continue_()
}

/// Replaces the owner by an attribute, whose reference is handed over, and null where it is called.
fn replace_owner<'ctx>(
    mut b: TemplateBuilder<'_, 'ctx>,
    owner: PointerValue<'ctx>,
    attribute: PointerValue<'ctx>,
    calls: bool,
) -> Path {
    b.drop_values(1)?;
    b.push(attribute)?;
    if calls {
        b.push(b.llvm_type(P).into_pointer_type().const_null())?;
    }
    release_and_continue(b, &[owner], &[owner])
}

/// As [`replace_owner`], where the oparg says whether the attribute is called.
fn replace_owner_by_oparg<'ctx>(
    mut b: TemplateBuilder<'_, 'ctx>,
    owner: PointerValue<'ctx>,
    attribute: PointerValue<'ctx>,
) -> Path {
    b.drop_values(1)?;
    release_and_go_on(b, owner, attribute, push_callee)
}

/// Pushes an attribute, and a null behind it where the oparg's lowest bit says that it is called.
fn push_callee<'ctx>(mut b: TemplateBuilder<'_, 'ctx>, attribute: PointerValue<'ctx>) -> Path {
    // Where there is no null to push, its place is the attribute's.
    let low_bit = b.ir().build_and(b.oparg()?, b.i64(1), "")?;
    let places = b.push_array(CALLEE)?;
    b.store(b.i64(0), b.slot(places, low_bit)?, 0)?;
    b.store(attribute, places, 0)?;
    b.continue_()
}

/// The address of a value of an instance.
fn value_place<'ctx>(
    b: &TemplateBuilder<'_, 'ctx>,
    owner: PointerValue<'ctx>,
) -> Built<PointerValue<'ctx>> {
    b.offset(owner, b.small_operand(OFFSET_BITS)?)
}

fn load_value(mut b: TemplateBuilder<'_, '_>, calls: bool) -> Path {
    let owner = b.peek_pointer(0)?;
    let value = b.load_pointer(value_place(&b, owner)?, 0)?;
    let unset = is_null(&b, value)?;
    b.unlikely(unset, |b| b.jump())?;
    retain(&b, value)?;
    replace_owner(b, owner, value, calls)
}

/// The operand is the index of an entry of the module's dict.
fn load_from_module(mut b: TemplateBuilder<'_, '_>) -> Path {
    let module = b.peek_pointer(0)?;
    let dict = b.load_pointer(module, at(layout::MODULE_DICT))?;
    let entries = b.load_pointer(dict, at(layout::DICT_ENTRIES))?;
    let offset = b.ir().build_int_mul(
        b.small_operand(ENTRY_BITS)?,
        b.i64(layout::DICT_ENTRY_SIZE as i64),
        "",
    )?;
    let entry = b.offset(entries, offset)?;
    let value = b.load_pointer(entry, at(layout::DICT_ENTRY_VALUE))?;
    let removed = is_null(&b, value)?;
    b.unlikely(removed, |b| b.jump())?;
    // Nothing else refers to the module, which never happens: leave freeing it to whoever goes on.
    let last = b.ir().build_not(is_shared(&b, module)?, "")?;
    b.unlikely(last, |b| b.jump())?;
    release(&b, module)?;
    retain(&b, value)?;
    b.drop_values(1)?;
    push_callee(b, value)
}

/// The attribute is found by its name, not by CPython's hint where in the dict it is.
fn load_from_dict(mut b: TemplateBuilder<'_, '_>) -> Path {
    let owner = b.peek_pointer(0)?;
    let index = b
        .ir()
        .build_right_shift(oparg_i32(&b)?, b.i32(1), false, "")?;
    let place = [
        b.thread().into(),
        b.frame().into(),
        owner.into(),
        index.into(),
    ];
    let value = b.call_pointer(&LOAD_FROM_DICT, &place)?;
    let missing = is_null(&b, value)?;
    b.unlikely(missing, |b| b.jump())?;
    replace_owner_by_oparg(b, owner, value)
}

/// The operand is what the type has; a reference is taken.
fn load_operand(mut b: TemplateBuilder<'_, '_>, calls: bool) -> Path {
    let owner = b.peek_pointer(0)?;
    let attribute = b.operand_pointer()?;
    retain(&b, attribute)?;
    // The owner is released after the attribute was retained: it may be what keeps it alive.
    b.flush()?;
    replace_owner(b, owner, attribute, calls)
}

/// The operand is the function; the owner goes before the arguments.
fn load_method(mut b: TemplateBuilder<'_, '_>) -> Path {
    let owner = b.pop_pointer()?;
    let function = b.operand_pointer()?;
    retain(&b, function)?;
    b.push(function)?;
    b.push(owner)?;
    b.continue_()
}

/// A value that was not set before is the last in the order in which they were.
fn store_value(b: TemplateBuilder<'_, '_>) -> Path {
    replace_value(b, |b, owner, unset, _| {
        b.cold_if(unset, &[owner.into()], |b, values| {
            let place = b.small_operand(OFFSET_BITS)?;
            b.call(&NOTE_STORE, &[b.thread().into(), values[0], place.into()])?;
            b.continue_()
        })
    })
}

fn store_slot(b: TemplateBuilder<'_, '_>) -> Path {
    replace_value(b, |b, _, unset, finish| b.unlikely_to(unset, finish))
}

/// Replaces a value by the one below the owner; the owner and what was there are released. Goes on as `unset` says where
/// there was nothing.
fn replace_value(
    mut b: TemplateBuilder<'_, '_>,
    unset: impl for<'t, 'ctx> FnOnce(
        &mut TemplateBuilder<'t, 'ctx>,
        PointerValue<'ctx>,
        IntValue<'ctx>,
        &ColdPath<'ctx>,
    ) -> Built<()>,
) -> Path {
    let (owner, value) = (b.pop_pointer()?, b.pop_pointer()?);
    let place = value_place(&b, owner)?;
    let old = b.load_pointer(place, 0)?;
    b.store(value, place, 0)?;
    b.flush()?;
    let finish = b.cold_path(&[owner.into(), old.into()], |b, values| {
        b.call(&FINISH_STORE, &[b.thread().into(), values[0], values[1]])?;
        b.continue_()
    })?;
    let null = is_null(&b, old)?;
    unset(&mut b, owner, null, &finish)?;
    let dead = release(&b, old)?;
    b.unlikely_to(dead, &finish)?;
    // The helper takes the last reference to the owner over: it is not given up before.
    let count = b.load_i64(owner, at(layout::OBJECT_REFCOUNT))?;
    let count = b.ir().build_int_sub(count, b.i64(1), "")?;
    let last = compare(&b, IntPredicate::EQ, count, b.i64(0))?;
    let nothing = b.llvm_type(P).into_pointer_type().const_null();
    b.unlikely(last, |b| {
        b.go_cold_with(&finish, &[owner.into(), nothing.into()])
    })?;
    b.store(count, owner, at(layout::OBJECT_REFCOUNT))?;
    b.continue_()
}

/// On the stack are `super`, the class and the owner. `super` is immortal: its references are not counted.
fn load_super(mut b: TemplateBuilder<'_, '_>, pushed: Count) -> Path {
    let (owner, class, function) = (b.peek_pointer(0)?, b.peek_pointer(1)?, b.peek_pointer(2)?);
    require_kind(&mut b, function, layout::KIND_TYPE)?;
    let id = b.load_i32(function, at(layout::TYPE_ID))?;
    let other = compare(&b, IntPredicate::NE, id, b.i32(TypeId::Super as i32))?;
    b.unlikely(other, |b| b.jump())?;
    require_kind(&mut b, class, layout::KIND_TYPE)?;
    b.drop_values(3)?;
    let oparg = oparg_i32(&b)?;
    let frame = b.frame();
    let places = b.push_array(pushed)?;
    let operands = [
        frame.into(),
        class.into(),
        owner.into(),
        oparg.into(),
        places.into(),
    ];
    continue_or_error(b, &LOAD_SUPER, &operands)
}
