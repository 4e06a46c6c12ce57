//! Locals: loads, stores and deletes. CPython has a uop of its own for each of the first eight.

use crate::object_ops::{
    Built, P, Path, is_null, oparg_i32, release_and_continue, release_nullable_and_continue, retain,
};
use inkwell::values::PointerValue;
use mimeo_compiler::builder::TemplateBuilder;
use mimeo_compiler::template::{Helper, Template, Type};

/// Locals that have uops without an oparg.
const NUMBERED: u32 = 8;

const RAISE_UNBOUND_LOCAL: Helper =
    Helper::without_result("mimeo_raise_unbound_local", &[P, P, Type::I32]);

pub(crate) fn templates() -> Vec<Template> {
    let mut templates = vec![
        Template::new("_LOAD_FAST", |b| load(&b.local()?, b))
            .stack(0, 1)
            .local_oparg(),
        Template::new("_STORE_FAST", |b| store(&b.local()?, b))
            .stack(1, 0)
            .local_oparg(),
        Template::new("_LOAD_FAST_CHECK", load_checked)
            .stack(0, 1)
            .local_oparg()
            .may_error(),
        Template::new("_LOAD_FAST_AND_CLEAR", load_and_clear)
            .stack(0, 1)
            .local_oparg(),
        Template::new("_DELETE_FAST", delete)
            .local_oparg()
            .may_error(),
    ];
    for index in 0..NUMBERED {
        templates.push(
            Template::new(format!("_LOAD_FAST_{index}"), move |b| {
                load(&b.local_at(index)?, b)
            })
            .stack(0, 1)
            .uses_local(index),
        );
        templates.push(
            Template::new(format!("_STORE_FAST_{index}"), move |b| {
                store(&b.local_at(index)?, b)
            })
            .stack(1, 0)
            .uses_local(index),
        );
    }
    templates
}

fn load<'ctx>(local: &PointerValue<'ctx>, mut b: TemplateBuilder<'_, 'ctx>) -> Path {
    let value = b.load_pointer(*local, 0)?;
    retain(&b, value)?;
    b.push(value)?;
    b.continue_()
}

fn store<'ctx>(local: &PointerValue<'ctx>, mut b: TemplateBuilder<'_, 'ctx>) -> Path {
    let value = b.pop_pointer()?;
    let old = b.load_pointer(*local, 0)?;
    b.store(value, *local, 0)?;
    release_nullable_and_continue(b, old)
}

fn load_checked(mut b: TemplateBuilder<'_, '_>) -> Path {
    let value = b.load_pointer(b.local()?, 0)?;
    error_if_unbound(&mut b, value)?;
    retain(&b, value)?;
    b.push(value)?;
    b.continue_()
}

fn load_and_clear(mut b: TemplateBuilder<'_, '_>) -> Path {
    let local = b.local()?;
    let value = b.load_pointer(local, 0)?;
    b.store(b.llvm_type(P).into_pointer_type().const_null(), local, 0)?;
    b.push(value)?;
    b.continue_()
}

fn delete(mut b: TemplateBuilder<'_, '_>) -> Path {
    let local = b.local()?;
    let value = b.load_pointer(local, 0)?;
    error_if_unbound(&mut b, value)?;
    b.store(b.llvm_type(P).into_pointer_type().const_null(), local, 0)?;
    release_and_continue(b, &[value], &[value])
}

/// Raises the error of the local that the oparg names where `value`, which should be its, is null.
pub(crate) fn error_if_unbound<'ctx>(
    b: &mut TemplateBuilder<'_, 'ctx>,
    value: PointerValue<'ctx>,
) -> Built<()> {
    let unbound = is_null(b, value)?;
    b.cold_if(unbound, &[], |b, _| {
        let index = oparg_i32(&b)?;
        let place = [b.thread().into(), b.frame().into(), index.into()];
        b.call(&RAISE_UNBOUND_LOCAL, &place)?;
        b.error()
    })
}
