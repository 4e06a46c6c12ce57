//! Cells: locals that are shared with other functions. The oparg is the index of the local that the cell is in.

use crate::locals::error_if_unbound;
use crate::object_ops::{
    P, Path, at, is_null, oparg_i32, release_and_continue, release_nullable_and_continue, retain,
};
use mimeo_compiler::builder::TemplateBuilder;
use mimeo_compiler::template::{Helper, Template, Type};
use mimeo_objects::layout;

const MAKE_CELL: Helper = Helper::new("mimeo_make_cell", &[P, P], P);
const COPY_FREE: Helper = Helper::without_result("mimeo_copy_free_variables", &[P, P, Type::I32]);
const LOAD_FROM_DICT_OR_CELL: Helper =
    Helper::new("mimeo_load_from_dict_or_cell", &[P, P, P, Type::I32], P);

pub(crate) fn templates() -> Vec<Template> {
    vec![
        Template::new("_MAKE_CELL", make).local_oparg(),
        Template::new("_LOAD_DEREF", load)
            .stack(0, 1)
            .local_oparg()
            .may_error(),
        Template::new("_STORE_DEREF", store)
            .stack(1, 0)
            .local_oparg(),
        Template::new("_DELETE_DEREF", delete)
            .local_oparg()
            .may_error(),
        Template::new("_COPY_FREE_VARS", copy_free_variables),
        Template::new("_LOAD_FROM_DICT_OR_DEREF", load_from_dict_or_cell)
            .stack(1, 1)
            .local_oparg()
            .may_error(),
    ]
}

/// What is in the local, which may be nothing, is in a cell from now on.
fn make(b: TemplateBuilder<'_, '_>) -> Path {
    let local = b.local()?;
    let contents = b.load_pointer(local, 0)?;
    let cell = b.call_pointer(&MAKE_CELL, &[b.thread().into(), contents.into()])?;
    b.store(cell, local, 0)?;
    b.continue_()
}

fn load(mut b: TemplateBuilder<'_, '_>) -> Path {
    let cell = b.load_pointer(b.local()?, 0)?;
    let value = b.load_pointer(cell, at(layout::CELL_CONTENTS))?;
    error_if_unbound(&mut b, value)?;
    retain(&b, value)?;
    b.push(value)?;
    b.continue_()
}

fn store(mut b: TemplateBuilder<'_, '_>) -> Path {
    let value = b.pop_pointer()?;
    let cell = b.load_pointer(b.local()?, 0)?;
    let old = b.load_pointer(cell, at(layout::CELL_CONTENTS))?;
    b.store(value, cell, at(layout::CELL_CONTENTS))?;
    release_nullable_and_continue(b, old)
}

fn delete(mut b: TemplateBuilder<'_, '_>) -> Path {
    let cell = b.load_pointer(b.local()?, 0)?;
    let value = b.load_pointer(cell, at(layout::CELL_CONTENTS))?;
    error_if_unbound(&mut b, value)?;
    b.store(
        b.llvm_type(P).into_pointer_type().const_null(),
        cell,
        at(layout::CELL_CONTENTS),
    )?;
    release_and_continue(b, &[value], &[value])
}

/// The oparg is how many cells the closure has; they become the last locals.
fn copy_free_variables(b: TemplateBuilder<'_, '_>) -> Path {
    let count = oparg_i32(&b)?;
    let place = [b.thread().into(), b.frame().into(), count.into()];
    b.call(&COPY_FREE, &place)?;
    b.continue_()
}

/// The dict stays where there is an error.
fn load_from_dict_or_cell(mut b: TemplateBuilder<'_, '_>) -> Path {
    // Also says that the frame has the local.
    b.local()?;
    let names = b.peek_pointer(0)?;
    let index = oparg_i32(&b)?;
    let place = [
        b.thread().into(),
        b.frame().into(),
        names.into(),
        index.into(),
    ];
    let value = b.call_pointer(&LOAD_FROM_DICT_OR_CELL, &place)?;
    let failed = is_null(&b, value)?;
    b.unlikely(failed, |b| b.error())?;
    b.drop_values(1)?;
    b.push(value)?;
    release_and_continue(b, &[names], &[names])
}
