//! Generic operators: any operands, by the operator's number, with the errors that they may raise.

use crate::object_ops::{P, Path, oparg_i32, push_result_or_error};
use mimeo_compiler::builder::TemplateBuilder;
use mimeo_compiler::template::{Helper, Template, Type};

const BINARY_OP: Helper = Helper::new("mimeo_binary_op", &[P, P, P, Type::I32], P);
const NEGATIVE: Helper = Helper::new("mimeo_unary_negative", &[P, P], P);
const INVERT: Helper = Helper::new("mimeo_unary_invert", &[P, P], P);

pub(crate) fn templates() -> Vec<Template> {
    vec![
        Template::new("_BINARY_OP", binary).stack(2, 1).may_error(),
        Template::new("_UNARY_NEGATIVE", |b| unary(b, &NEGATIVE))
            .stack(1, 1)
            .may_error(),
        Template::new("_UNARY_INVERT", |b| unary(b, &INVERT))
            .stack(1, 1)
            .may_error(),
    ]
}

fn binary(mut b: TemplateBuilder<'_, '_>) -> Path {
    let right = b.pop_pointer()?;
    let left = b.pop_pointer()?;
    let operator = oparg_i32(&b)?;
    push_result_or_error(b, &BINARY_OP, &[left.into(), right.into(), operator.into()])
}

fn unary(mut b: TemplateBuilder<'_, '_>, helper: &Helper) -> Path {
    let value = b.pop_pointer()?;
    push_result_or_error(b, helper, &[value.into()])
}
