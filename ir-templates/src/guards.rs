//! Guards: they check what the trace assumes and leave through the jump target where it does not hold.

use crate::object_ops::{
    Path, at, bool_constant, differ, none, release_and_continue, require_kind,
};
use inkwell::IntPredicate;
use inkwell::values::PointerValue;
use mimeo::stencil::Count;
use mimeo_compiler::builder::TemplateBuilder;
use mimeo_compiler::template::Template;
use mimeo_objects::layout;

/// Kinds of objects are numbered from 1 up.
const KIND_BITS: u8 = 31;

pub(crate) fn templates() -> Vec<Template> {
    let mut templates = vec![
        Template::new("_GUARD_IS_TRUE_POP", |b| pop_expecting_bool(b, true))
            .stack(1, 0)
            .may_exit(),
        Template::new("_GUARD_IS_FALSE_POP", |b| pop_expecting_bool(b, false))
            .stack(1, 0)
            .may_exit(),
        Template::new("_GUARD_IS_NONE_POP", pop_expecting_none)
            .stack(1, 0)
            .may_exit(),
        Template::new("_GUARD_IS_NOT_NONE_POP", pop_expecting_something)
            .stack(1, 0)
            .may_exit(),
        Template::new("_EXPECT_LOCAL_KIND", expect_local_kind)
            .local_oparg()
            .may_deopt(),
        Template::new("_EXPECT_KIND", expect_kind_at)
            .stack_counts(Count::oparg_plus(0), Count::oparg_plus(0))
            .may_deopt(),
    ];
    for (name, kind) in [
        ("INT", layout::KIND_INT),
        ("FLOAT", layout::KIND_FLOAT),
        ("UNICODE", layout::KIND_STR),
    ] {
        templates.push(
            Template::new(format!("_GUARD_BOTH_{name}"), move |b| {
                expect_kind(b, &[0, 1], kind)
            })
            .stack(2, 2)
            .may_exit(),
        );
    }
    for (name, kind) in [("INT", layout::KIND_INT), ("FLOAT", layout::KIND_FLOAT)] {
        templates.push(
            Template::new(format!("_GUARD_TOS_{name}"), move |b| {
                expect_kind(b, &[0], kind)
            })
            .stack(1, 1)
            .may_exit(),
        );
        templates.push(
            Template::new(format!("_GUARD_NOS_{name}"), move |b| {
                expect_kind(b, &[1], kind)
            })
            .stack(2, 2)
            .may_exit(),
        );
    }
    templates
}

/// The values at these depths are of one kind.
fn expect_kind(mut b: TemplateBuilder<'_, '_>, depths: &[usize], kind: u32) -> Path {
    for &depth in depths {
        let value = b.peek_pointer(depth)?;
        require_kind(&mut b, value, kind)?;
    }
    b.continue_()
}

/// A bool is immortal, so dropping it touches no count.
fn pop_expecting_bool(mut b: TemplateBuilder<'_, '_>, expected: bool) -> Path {
    let value = b.pop_pointer()?;
    let other = differ(&b, value, bool_constant(&b, expected)?)?;
    b.unlikely(other, |b| b.jump())?;
    b.continue_()
}

fn pop_expecting_none(mut b: TemplateBuilder<'_, '_>) -> Path {
    let value = b.pop_pointer()?;
    let other = differ(&b, value, none(&b)?)?;
    b.cold_if(other, &[value.into()], |b, values| {
        crate::object_ops::release_then(b, values[0].into_pointer_value(), |b| b.jump())
    })?;
    b.continue_()
}

fn pop_expecting_something(mut b: TemplateBuilder<'_, '_>) -> Path {
    let value = b.pop_pointer()?;
    // Every way out leaves without it.
    b.flush()?;
    let is_none = b
        .ir()
        .build_int_compare(IntPredicate::EQ, value, none(&b)?, "")?;
    b.unlikely(is_none, |b| b.jump())?;
    release_and_continue(b, &[value], &[value])
}

/// The value that the oparg counts down to, 1 being the top, is of the kind that the operand names. CPython has no such
/// uop: it stands in front of uops whose operands a trace takes for granted without a proof.
fn expect_kind_at(b: TemplateBuilder<'_, '_>) -> Path {
    let value = b.load_pointer(b.deep_slot(Count::oparg_plus(0))?, 0)?;
    require_kind_of_operand(b, value)
}

/// The same of the local that the oparg names, which is bound.
fn expect_local_kind(b: TemplateBuilder<'_, '_>) -> Path {
    let value = b.load_pointer(b.local()?, 0)?;
    require_kind_of_operand(b, value)
}

fn require_kind_of_operand<'ctx>(
    mut b: TemplateBuilder<'_, 'ctx>,
    value: PointerValue<'ctx>,
) -> Path {
    let found = b.load_i32(value, at(layout::OBJECT_KIND))?;
    let kind = b.small_operand(KIND_BITS)?;
    let kind = b
        .ir()
        .build_int_truncate(kind, b.context().i32_type(), "")?;
    let other = b
        .ir()
        .build_int_compare(IntPredicate::NE, found, kind, "")?;
    b.unlikely(other, |b| b.jump())?;
    b.continue_()
}
