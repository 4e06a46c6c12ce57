//! Calls of built-in functions and types. On the stack are the callable, a first argument or null, and `oparg` more.

use crate::containers::LENGTH;
use crate::object_ops::{
    Built, P, Path, at, compare, is_null, oparg_i32, push_result_or_error, release_then,
    require_kind,
};
use inkwell::IntPredicate;
use inkwell::values::PointerValue;
use mimeo::stencil::Count;
use mimeo_compiler::builder::TemplateBuilder;
use mimeo_compiler::template::{Helper, Template, Type};
use mimeo_objects::builtin::BuiltinId;
use mimeo_objects::layout;

const CALL: Helper = Helper::new("mimeo_call", &[P, P, P, P, Type::I32], P);

const OPERANDS: Count = Count::oparg_plus(2);

/// How many arguments there must be, the first one included where it is not null.
#[derive(Clone, Copy)]
enum Arguments {
    Any,
    One,
}

pub(crate) fn templates() -> Vec<Template> {
    vec![
        specialised("_CALL_BUILTIN_CLASS", layout::KIND_TYPE, Arguments::Any),
        specialised("_CALL_BUILTIN_O", layout::KIND_BUILTIN, Arguments::One),
        specialised("_CALL_BUILTIN_FAST", layout::KIND_BUILTIN, Arguments::Any),
        specialised(
            "_CALL_BUILTIN_FAST_WITH_KEYWORDS",
            layout::KIND_BUILTIN,
            Arguments::Any,
        ),
        Template::new("_CALL_LEN", call_length)
            .stack_counts(OPERANDS, Count::fixed(1))
            .may_deopt()
            .may_error(),
        Template::new("_CALL_NON_PY_GENERAL", call)
            .stack_counts(OPERANDS, Count::fixed(1))
            .may_error(),
        Template::new("_CHECK_IS_NOT_PY_CALLABLE", check_is_not_function)
            .stack_counts(OPERANDS, OPERANDS)
            .may_exit(),
    ]
}

/// A call that deoptimises unless the callable is of this kind and there are so many arguments.
fn specialised(name: &str, kind: u32, arguments: Arguments) -> Template {
    let build = move |mut b: TemplateBuilder<'_, '_>| {
        let callable = callable(&b)?;
        require_kind(&mut b, callable, kind)?;
        if let Arguments::One = arguments {
            require_one_argument(&mut b)?;
        }
        call(b)
    };
    Template::new(name, build)
        .stack_counts(OPERANDS, Count::fixed(1))
        .may_deopt()
        .may_error()
}

/// Counted without the first argument, there is none where it is given and one where it is not.
fn require_one_argument(b: &mut TemplateBuilder<'_, '_>) -> Built<()> {
    let first = b.load_pointer(below_arguments(b, 1)?, 0)?;
    let missing = b
        .ir()
        .build_int_z_extend(is_null(b, first)?, b.context().i64_type(), "")?;
    let wrong = compare(b, IntPredicate::NE, b.oparg()?, missing)?;
    b.unlikely(wrong, |b| b.jump())
}

/// `len(argument)`. Unlike those of other calls, the operands stay when there is an error: CPython's uop pops none then.
fn call_length(mut b: TemplateBuilder<'_, '_>) -> Path {
    let callable = callable(&b)?;
    require_kind(&mut b, callable, layout::KIND_BUILTIN)?;
    let found = b.load_i32(callable, at(layout::BUILTIN_ID))?;
    let other = compare(&b, IntPredicate::NE, found, b.i32(BuiltinId::Len as i32))?;
    b.unlikely(other, |b| b.jump())?;
    require_one_argument(&mut b)?;
    // Wherever the one argument is counted, it is on top.
    let argument = b.peek_pointer(0)?;
    let length = b.call_pointer(&LENGTH, &[b.thread().into(), argument.into()])?;
    let failed = is_null(&b, length)?;
    b.unlikely(failed, |b| b.error())?;
    b.pop_array(OPERANDS)?;
    b.push(length)?;
    // The function is immortal: its references are not counted.
    release_then(b, argument, |b| b.continue_())
}

/// The address of the value `depth` below the `oparg` arguments: 1 is right below.
fn below_arguments<'ctx>(b: &TemplateBuilder<'_, 'ctx>, depth: u8) -> Built<PointerValue<'ctx>> {
    b.deep_slot(Count::oparg_plus(depth))
}

fn callable<'ctx>(b: &TemplateBuilder<'_, 'ctx>) -> Built<PointerValue<'ctx>> {
    b.load_pointer(below_arguments(b, 2)?, 0)
}

fn call(mut b: TemplateBuilder<'_, '_>) -> Path {
    let arguments = b.pop_array(Count::oparg_plus(0))?;
    let first = b.pop_pointer()?;
    let callable = b.pop_pointer()?;
    let count = oparg_i32(&b)?;
    let operands = [
        callable.into(),
        first.into(),
        arguments.into(),
        count.into(),
    ];
    push_result_or_error(b, &CALL, &operands)
}

/// Functions of the program and methods bound to an object have frames of their own and are called otherwise.
fn check_is_not_function(mut b: TemplateBuilder<'_, '_>) -> Path {
    let kind = b.load_i32(callable(&b)?, at(layout::OBJECT_KIND))?;
    for python in [layout::KIND_FUNCTION, layout::KIND_METHOD] {
        let python = compare(&b, IntPredicate::EQ, kind, b.i32(python as i32))?;
        b.unlikely(python, |b| b.jump())?;
    }
    b.continue_()
}
