//! Constants. A constant is owned by the code that holds it; a load takes a reference of its own, also where CPython
//! borrows one, because here no int or string is immortal.

use crate::object_ops::{P, Path, release_and_continue, retain};
use mimeo_compiler::builder::TemplateBuilder;
use mimeo_compiler::template::Template;

pub(crate) fn templates() -> Vec<Template> {
    vec![
        Template::new("_LOAD_CONST", load_const).stack(0, 1),
        Template::new("_LOAD_CONST_INLINE", |b| load_inline(b, false)).stack(0, 1),
        Template::new("_LOAD_CONST_INLINE_BORROW", |b| load_inline(b, false)).stack(0, 1),
        Template::new("_LOAD_CONST_INLINE_WITH_NULL", |b| load_inline(b, true)).stack(0, 2),
        Template::new("_LOAD_CONST_INLINE_BORROW_WITH_NULL", |b| {
            load_inline(b, true)
        })
        .stack(0, 2),
        Template::new("_POP_TOP_LOAD_CONST_INLINE_BORROW", pop_and_load).stack(1, 1),
    ]
}

/// The operand is the address of the code object's array of constants.
fn load_const(mut b: TemplateBuilder<'_, '_>) -> Path {
    let constants = b.operand_pointer()?;
    let slot = b.offset(constants, b.scaled_oparg(3)?)?;
    let value = b.load_pointer(slot, 0)?;
    retain(&b, value)?;
    b.push(value)?;
    b.continue_()
}

fn load_inline(mut b: TemplateBuilder<'_, '_>, with_null: bool) -> Path {
    let value = b.operand_pointer()?;
    retain(&b, value)?;
    b.push(value)?;
    if with_null {
        b.push(b.llvm_type(P).into_pointer_type().const_null())?;
    }
    b.continue_()
}

fn pop_and_load(mut b: TemplateBuilder<'_, '_>) -> Path {
    let old = b.pop_pointer()?;
    let value = b.operand_pointer()?;
    retain(&b, value)?;
    b.push(value)?;
    release_and_continue(b, &[old], &[old])
}
