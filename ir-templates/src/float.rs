//! Float arithmetic. The result goes into an operand that nothing else refers to, where there is one.

use crate::object_ops::{
    Built, P, at, is_shared, push_result, release_and_continue, release_shared_and_continue,
};
use inkwell::values::{BasicValueEnum, FloatValue, PointerValue};
use mimeo_compiler::builder::TemplateBuilder;
use mimeo_compiler::template::{Helper, Template, Type};
use mimeo_objects::layout;

#[derive(Clone, Copy)]
enum Operation {
    Add,
    Subtract,
    Multiply,
}

impl Operation {
    /// Consumes two floats and gives a new one.
    const fn helper(self) -> Helper {
        let name = match self {
            Self::Add => "mimeo_float_add",
            Self::Subtract => "mimeo_float_subtract",
            Self::Multiply => "mimeo_float_multiply",
        };
        Helper::new(name, &[P, P, P], P)
    }
}

pub(crate) fn templates() -> Vec<Template> {
    vec![
        binary("_BINARY_OP_ADD_FLOAT", Operation::Add),
        binary("_BINARY_OP_SUBTRACT_FLOAT", Operation::Subtract),
        binary("_BINARY_OP_MULTIPLY_FLOAT", Operation::Multiply),
    ]
}

/// The value of a float.
pub(crate) fn value<'ctx>(
    b: &TemplateBuilder<'_, 'ctx>,
    float: PointerValue<'ctx>,
) -> Built<FloatValue<'ctx>> {
    Ok(b.load(Type::F64, float, at(layout::FLOAT_VALUE))?
        .into_float_value())
}

fn apply<'ctx>(
    b: &TemplateBuilder<'_, 'ctx>,
    operation: Operation,
    left: PointerValue<'ctx>,
    right: PointerValue<'ctx>,
) -> Built<FloatValue<'ctx>> {
    let (left, right) = (value(b, left)?, value(b, right)?);
    Ok(match operation {
        Operation::Add => b.ir().build_float_add(left, right, "")?,
        Operation::Subtract => b.ir().build_float_sub(left, right, "")?,
        Operation::Multiply => b.ir().build_float_mul(left, right, "")?,
    })
}

fn binary(name: &str, operation: Operation) -> Template {
    let build = move |mut b: TemplateBuilder<'_, '_>| {
        let right = b.pop_pointer()?;
        let left = b.pop_pointer()?;
        let operands: [BasicValueEnum<'_>; 2] = [left.into(), right.into()];
        let result = apply(&b, operation, left, right)?;
        let left_shared = is_shared(&b, left)?;
        b.when(left_shared, |mut b| {
            let right_shared = is_shared(&b, right)?;
            b.cold_if(right_shared, &operands, |b, operands| {
                push_result(b, &operation.helper(), operands)
            })?;
            b.store(result, right, at(layout::FLOAT_VALUE))?;
            b.push(right)?;
            release_shared_and_continue(b, left)
        })?;
        b.store(result, left, at(layout::FLOAT_VALUE))?;
        b.push(left)?;
        release_and_continue(b, &[left, right], &[right])
    };
    Template::new(name, build).stack(2, 1)
}
