//! Calls of functions that the trace names by address.

use super::{Builder, Path};
use inkwell::types::{BasicMetadataTypeEnum, BasicType};
use inkwell::values::BasicMetadataValueEnum;
use mimeo_compiler::template::{Template, Type};

/// The most integers that a function takes: more would not be in registers.
const MOST_INTS: u8 = 6;

/// The most floats.
const MOST_FLOATS: u8 = 2;

pub(super) fn templates() -> Vec<Template> {
    let ints = (0..=MOST_INTS).map(|count| (format!("CALL_{count}"), count, Type::I64));
    let floats = (1..=MOST_FLOATS).map(|count| (format!("CALL_F64_{count}"), count, Type::F64));
    ints.chain(floats)
        .map(|(name, count, kind)| {
            Template::new(name, move |b| call(b, count, kind)).stack(count, 1)
        })
        .collect()
}

fn call(mut b: Builder<'_, '_>, count: u8, kind: Type) -> Path {
    let mut arguments: Vec<BasicMetadataValueEnum<'_>> = Vec::new();
    for _ in 0..count {
        arguments.insert(0, b.pop(kind)?.into());
    }
    let value = b.llvm_type(kind);
    let types: Vec<BasicMetadataTypeEnum<'_>> = arguments.iter().map(|_| value.into()).collect();
    let signature = value.fn_type(&types, false);
    let function = b.operand_pointer()?;
    let call = b
        .ir()
        .build_indirect_call(signature, function, &arguments, "")?;
    // A function that returns a value has one.
    if let Some(result) = call.try_as_basic_value().basic() {
        b.push(result)?;
    }
    b.continue_()
}
