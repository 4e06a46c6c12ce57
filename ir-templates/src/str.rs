//! Strings: concatenation and formatting.

use crate::object_ops::{P, Path, oparg_i32, push_result_or_error};
use mimeo_compiler::builder::TemplateBuilder;
use mimeo_compiler::template::{Helper, Template, Type};

const CONCATENATE: Helper = Helper::new("mimeo_str_concat", &[P, P, P], P);
const FORMAT: Helper = Helper::new("mimeo_format_simple", &[P, P], P);
const FORMAT_WITH: Helper = Helper::new("mimeo_format_with_spec", &[P, P, P], P);
const CONVERT: Helper = Helper::new("mimeo_convert_value", &[P, P, Type::I32], P);

pub(crate) fn templates() -> Vec<Template> {
    vec![
        Template::new("_BINARY_OP_ADD_UNICODE", concatenate)
            .stack(2, 1)
            .may_error(),
        Template::new("_FORMAT_SIMPLE", format)
            .stack(1, 1)
            .may_error(),
        Template::new("_FORMAT_WITH_SPEC", format_with_specification)
            .stack(2, 1)
            .may_error(),
        Template::new("_CONVERT_VALUE", convert)
            .stack(1, 1)
            .may_error(),
    ]
}

/// The error is a lack of memory.
fn concatenate(mut b: TemplateBuilder<'_, '_>) -> Path {
    let right = b.pop_pointer()?;
    let left = b.pop_pointer()?;
    push_result_or_error(b, &CONCATENATE, &[left.into(), right.into()])
}

fn format(mut b: TemplateBuilder<'_, '_>) -> Path {
    let value = b.pop_pointer()?;
    push_result_or_error(b, &FORMAT, &[value.into()])
}

/// The specification is on top.
fn format_with_specification(mut b: TemplateBuilder<'_, '_>) -> Path {
    let specification = b.pop_pointer()?;
    let value = b.pop_pointer()?;
    push_result_or_error(b, &FORMAT_WITH, &[value.into(), specification.into()])
}

/// The oparg says how: 1 is str, 2 repr, 3 ascii.
fn convert(mut b: TemplateBuilder<'_, '_>) -> Path {
    let value = b.pop_pointer()?;
    let conversion = oparg_i32(&b)?;
    push_result_or_error(b, &CONVERT, &[value.into(), conversion.into()])
}
