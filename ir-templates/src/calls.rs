//! Calls of built-in functions, methods and types. On the stack are the callable, a first argument or null, and `oparg`
//! more.

use crate::containers::LENGTH;
use crate::object_ops::{
    Builder, Built, P, Path, at, bool_object, compare, is_null, oparg_i32, push_result,
    push_result_or_error, release_then, require_kind,
};
use inkwell::IntPredicate;
use inkwell::values::{IntValue, PointerValue};
use mimeo::stencil::Count;
use mimeo_compiler::builder::TemplateBuilder;
use mimeo_compiler::template::{Helper, Template, Type};
use mimeo_objects::builtin::BuiltinId;
use mimeo_objects::call::CallKind;
use mimeo_objects::layout;
use mimeo_objects::types::TypeId;

const CALL: Helper = Helper::new("mimeo_call", &[P, P, Type::I32], P);
const CALL_METHOD: Helper = Helper::new("mimeo_call_method", &[P, P, Type::I32], P);
const IS_INSTANCE: Helper = Helper::new("mimeo_is_instance", &[P, P, P], Type::I32);
const CONVERT: Helper = Helper::new("mimeo_convert_value", &[P, P, Type::I32], P);
const TUPLE: Helper = Helper::new("mimeo_tuple", &[P, P], P);
const TYPE_OF: Helper = Helper::new("mimeo_type_of", &[P, P], P);

/// The conversion of `str()`, as `CONVERT_VALUE` numbers it.
const TO_STR: i32 = 1;

const OPERANDS: Count = Count::oparg_plus(2);

pub(crate) fn templates() -> Vec<Template> {
    let mut templates = vec![
        deopting("_CALL_BUILTIN_CLASS", |mut b| {
            let callable = callable(&b)?;
            require_kind(&mut b, callable, layout::KIND_TYPE)?;
            // Classes of the program have no `tp_vectorcall`.
            let class = b.load_pointer(callable, at(layout::TYPE_CLASS))?;
            let of_program = b.ir().build_is_not_null(class, "")?;
            b.unlikely(of_program, |b| b.jump())?;
            call(b, &CALL)
        }),
        deopting("_CALL_LEN", call_length),
        deopting("_CALL_ISINSTANCE", call_is_instance),
        Template::new("_CALL_NON_PY_GENERAL", |b| call(b, &CALL))
            .stack_counts(OPERANDS, Count::fixed(1))
            .may_error(),
        Template::new("_CHECK_IS_NOT_PY_CALLABLE", check_is_not_function)
            .stack_counts(OPERANDS, OPERANDS)
            .may_exit(),
        Template::new("_CALL_STR_1", |b| {
            call_type_with_one(b, TypeId::Str, |b, argument| {
                let conversion = b.i32(TO_STR);
                push_result_or_error(b, &CONVERT, &[argument.into(), conversion.into()])
            })
        })
        .stack(3, 1)
        .may_deopt()
        .may_error(),
        Template::new("_CALL_TUPLE_1", |b| {
            call_type_with_one(b, TypeId::Tuple, |b, argument| {
                push_result_or_error(b, &TUPLE, &[argument.into()])
            })
        })
        .stack(3, 1)
        .may_deopt()
        .may_error(),
        Template::new("_CALL_TYPE_1", |b| {
            call_type_with_one(b, TypeId::Type, |b, argument| {
                push_result(b, &TYPE_OF, &[argument.into()])
            })
        })
        .stack(3, 1)
        .may_deopt(),
    ];
    for (name, kind) in [
        ("_CALL_BUILTIN_O", CallKind::One),
        ("_CALL_BUILTIN_FAST", CallKind::Fast),
        (
            "_CALL_BUILTIN_FAST_WITH_KEYWORDS",
            CallKind::FastWithKeywords,
        ),
    ] {
        templates.push(deopting(name, move |mut b| {
            let callable = callable(&b)?;
            require_flags(&mut b, callable, layout::FLAG_FUNCTION | kind as u32)?;
            if kind == CallKind::One {
                require_count(&mut b, 1)?;
            }
            call(b, &CALL)
        }));
    }
    for (name, kind) in [
        ("_CALL_METHOD_DESCRIPTOR_NOARGS", CallKind::NoArguments),
        ("_CALL_METHOD_DESCRIPTOR_O", CallKind::One),
        ("_CALL_METHOD_DESCRIPTOR_FAST", CallKind::Fast),
        (
            "_CALL_METHOD_DESCRIPTOR_FAST_WITH_KEYWORDS",
            CallKind::FastWithKeywords,
        ),
    ] {
        templates.push(deopting(name, move |b| call_method(b, kind)));
    }
    templates
}

/// A call that deoptimises unless the operands are as the uop expects.
fn deopting(
    name: &str,
    build: impl Fn(TemplateBuilder<'_, '_>) -> Path + Send + Sync + 'static,
) -> Template {
    Template::new(name, build)
        .stack_counts(OPERANDS, Count::fixed(1))
        .may_deopt()
        .may_error()
}

/// Deoptimises unless an object has exactly these flags, which say its kind as well.
fn require_flags<'ctx>(
    b: &mut TemplateBuilder<'_, 'ctx>,
    object: PointerValue<'ctx>,
    flags: u32,
) -> Built<()> {
    let found = b.load_i32(object, at(layout::OBJECT_FLAGS))?;
    let other = compare(b, IntPredicate::NE, found, b.i32(flags as i32))?;
    b.unlikely(other, |b| b.jump())
}

/// Whether the first argument is missing, as a number. The first argument is null where all of them are counted.
fn first_is_missing<'ctx>(b: &TemplateBuilder<'_, 'ctx>) -> Built<IntValue<'ctx>> {
    let first = b.load_pointer(below_arguments(b, 1)?, 0)?;
    let missing = is_null(b, first)?;
    Ok(b.ir()
        .build_int_z_extend(missing, b.context().i64_type(), "")?)
}

/// Deoptimises unless there are so many arguments: one less is counted where the first one is given.
fn require_count(b: &mut TemplateBuilder<'_, '_>, count: u32) -> Built<()> {
    let missing = first_is_missing(b)?;
    let expected = b
        .ir()
        .build_int_add(missing, b.i64(i64::from(count) - 1), "")?;
    let wrong = compare(b, IntPredicate::NE, b.oparg()?, expected)?;
    b.unlikely(wrong, |b| b.jump())
}

/// The first of the arguments, of which there is one: the first argument, or the one that stands in its place.
fn receiver<'ctx>(b: &TemplateBuilder<'_, 'ctx>) -> Built<PointerValue<'ctx>> {
    let missing = first_is_missing(b)?;
    let slot = b.slot(below_arguments(b, 1)?, missing)?;
    b.load_pointer(slot, 0)
}

/// A method's receiver must be of the type itself, as in CPython.
fn call_method(mut b: TemplateBuilder<'_, '_>, kind: CallKind) -> Path {
    match kind {
        CallKind::NoArguments => require_count(&mut b, 1)?,
        CallKind::One => require_count(&mut b, 2)?,
        _ => {
            let missing = first_is_missing(&b)?;
            let none = compare(&b, IntPredicate::ULT, b.oparg()?, missing)?;
            b.unlikely(none, |b| b.jump())?;
        }
    }
    let method = callable(&b)?;
    require_flags(&mut b, method, layout::FLAG_METHOD | kind as u32)?;
    let wanted = b.load_i32(method, at(layout::METHOD_RECEIVER))?;
    let found = b.load_i32(receiver(&b)?, at(layout::OBJECT_KIND))?;
    let other = compare(&b, IntPredicate::NE, found, wanted)?;
    b.unlikely(other, |b| b.jump())?;
    call(b, &CALL_METHOD)
}

/// Deoptimises unless the callable is this function.
fn require_builtin(b: &mut TemplateBuilder<'_, '_>, id: BuiltinId) -> Built<()> {
    let callable = callable(b)?;
    require_kind(b, callable, layout::KIND_BUILTIN)?;
    let found = b.load_i32(callable, at(layout::BUILTIN_ID))?;
    let other = compare(b, IntPredicate::NE, found, b.i32(id as i32))?;
    b.unlikely(other, |b| b.jump())
}

/// `len(argument)`. Unlike those of other calls, the operands stay when there is an error: CPython's uop pops none then.
fn call_length(mut b: TemplateBuilder<'_, '_>) -> Path {
    require_builtin(&mut b, BuiltinId::Len)?;
    require_count(&mut b, 1)?;
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

/// `isinstance(object, class)`, where the operands stay when there is an error, as those of `len`.
fn call_is_instance(mut b: TemplateBuilder<'_, '_>) -> Path {
    require_builtin(&mut b, BuiltinId::IsInstance)?;
    require_count(&mut b, 2)?;
    // Wherever the first of the two is counted, they are the topmost.
    let (class, object) = (b.peek_pointer(0)?, b.peek_pointer(1)?);
    let operands = [b.thread().into(), object.into(), class.into()];
    let answer = b.call_int(&IS_INSTANCE, &operands)?;
    let failed = compare(&b, IntPredicate::SLT, answer, b.i32(0))?;
    b.unlikely(failed, |b| b.error())?;
    b.pop_array(OPERANDS)?;
    let holds = compare(&b, IntPredicate::NE, answer, b.i32(0))?;
    let result = bool_object(&b, holds)?;
    b.push(result)?;
    // The function is immortal: its references are not counted.
    release_then(b, object, |b| release_then(b, class, |b| b.continue_()))
}

/// Calls a type with one argument that is counted.
fn call_type_with_one<'ctx>(
    mut b: Builder<'_, 'ctx>,
    of: TypeId,
    call: impl FnOnce(Builder<'_, 'ctx>, PointerValue<'ctx>) -> Path,
) -> Path {
    let first = b.peek_pointer(1)?;
    let given = b.ir().build_is_not_null(first, "")?;
    b.unlikely(given, |b| b.jump())?;
    let callable = b.peek_pointer(2)?;
    require_kind(&mut b, callable, layout::KIND_TYPE)?;
    let found = b.load_i32(callable, at(layout::TYPE_ID))?;
    let other = compare(&b, IntPredicate::NE, found, b.i32(of as i32))?;
    b.unlikely(other, |b| b.jump())?;
    let argument = b.pop_pointer()?;
    // The type is immortal: its references are not counted.
    b.pop_pointer()?;
    b.pop_pointer()?;
    call(b, argument)
}

/// The address of the value `depth` below the `oparg` arguments: 1 is right below.
fn below_arguments<'ctx>(b: &TemplateBuilder<'_, 'ctx>, depth: u8) -> Built<PointerValue<'ctx>> {
    b.deep_slot(Count::oparg_plus(depth))
}

fn callable<'ctx>(b: &TemplateBuilder<'_, 'ctx>) -> Built<PointerValue<'ctx>> {
    b.load_pointer(below_arguments(b, 2)?, 0)
}

fn call(mut b: TemplateBuilder<'_, '_>, helper: &Helper) -> Path {
    let operands = b.pop_array(OPERANDS)?;
    let count = oparg_i32(&b)?;
    push_result_or_error(b, helper, &[operands.into(), count.into()])
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
