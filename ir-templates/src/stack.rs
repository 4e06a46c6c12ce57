//! The evaluation stack: dropping, copying and swapping values.

use crate::object_ops::{P, Path, release_and_continue, retain};
use mimeo::stencil::Count;
use mimeo_compiler::builder::TemplateBuilder;
use mimeo_compiler::template::Template;

pub(crate) fn templates() -> Vec<Template> {
    let oparg = Count::oparg_plus(0);
    vec![
        Template::new("_NOP", |b| b.continue_()),
        Template::new("_POP_TOP", pop_top).stack(1, 0),
        Template::new("_PUSH_NULL", push_null).stack(0, 1),
        Template::new("_COPY", copy).stack_counts(oparg, Count::oparg_plus(1)),
        Template::new("_SWAP", swap).stack_counts(oparg, oparg),
    ]
}

fn pop_top(mut b: TemplateBuilder<'_, '_>) -> Path {
    let value = b.pop_pointer()?;
    release_and_continue(b, &[value], &[value])
}

fn push_null(mut b: TemplateBuilder<'_, '_>) -> Path {
    b.push(b.llvm_type(P).into_pointer_type().const_null())?;
    b.continue_()
}

/// The oparg counts from the top, which is 1.
fn copy(mut b: TemplateBuilder<'_, '_>) -> Path {
    let value = b.load_pointer(b.deep_slot(Count::oparg_plus(0))?, 0)?;
    retain(&b, value)?;
    b.push(value)?;
    b.continue_()
}

fn swap(b: TemplateBuilder<'_, '_>) -> Path {
    let top = b.deep_slot(Count::fixed(1))?;
    let other = b.deep_slot(Count::oparg_plus(0))?;
    let (upper, lower) = (b.load_pointer(top, 0)?, b.load_pointer(other, 0)?);
    b.store(lower, top, 0)?;
    b.store(upper, other, 0)?;
    b.continue_()
}
