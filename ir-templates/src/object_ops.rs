//! What the families share: reading objects, references, results, and the ways out that release operands.

use inkwell::IntPredicate;
use inkwell::values::{BasicValueEnum, IntValue, PointerValue};
use mimeo_compiler::builder::{ColdPath, Done, TemplateBuilder};
use mimeo_compiler::error::TemplateError;
use mimeo_compiler::template::{Helper, Type};
use mimeo_objects::layout;

pub(crate) type Builder<'t, 'ctx> = TemplateBuilder<'t, 'ctx>;
pub(crate) type Built<T> = Result<T, TemplateError>;
/// A template's function, or the part of one that ends a path.
pub(crate) type Path = Built<Done>;

pub(crate) const P: Type = Type::Pointer;
pub(crate) const DEALLOC: Helper = Helper::without_result("mimeo_dealloc", &[P, P]);
const RELEASE: Helper = Helper::without_result("mimeo_release", &[P, P]);

/// An offset into an object, as the builder takes it.
pub(crate) const fn at(offset: usize) -> u32 {
    offset as u32
}

/// Which numbers a comparison of integers compares for.
pub(crate) fn compare<'ctx>(
    b: &Builder<'_, 'ctx>,
    predicate: IntPredicate,
    left: IntValue<'ctx>,
    right: IntValue<'ctx>,
) -> Built<IntValue<'ctx>> {
    Ok(b.ir().build_int_compare(predicate, left, right, "")?)
}

/// Whether two pointers differ.
pub(crate) fn differ<'ctx>(
    b: &Builder<'_, 'ctx>,
    left: PointerValue<'ctx>,
    right: PointerValue<'ctx>,
) -> Built<IntValue<'ctx>> {
    Ok(b.ir()
        .build_int_compare(IntPredicate::NE, left, right, "")?)
}

pub(crate) fn is_null<'ctx>(
    b: &Builder<'_, 'ctx>,
    pointer: PointerValue<'ctx>,
) -> Built<IntValue<'ctx>> {
    Ok(b.ir().build_is_null(pointer, "")?)
}

/// Whether an object is of another kind.
fn is_not<'ctx>(
    b: &Builder<'_, 'ctx>,
    object: PointerValue<'ctx>,
    kind: u32,
) -> Built<IntValue<'ctx>> {
    let found = b.load_i32(object, at(layout::OBJECT_KIND))?;
    compare(b, IntPredicate::NE, found, b.i32(kind as i32))
}

/// Goes to the jump target unless the object is of this kind.
pub(crate) fn require_kind<'ctx>(
    b: &mut Builder<'_, 'ctx>,
    object: PointerValue<'ctx>,
    kind: u32,
) -> Built<()> {
    let other = is_not(b, object, kind)?;
    b.unlikely(other, |b| b.jump())
}

/// Takes another reference.
pub(crate) fn retain<'ctx>(b: &Builder<'_, 'ctx>, object: PointerValue<'ctx>) -> Built<()> {
    let count = b.load_i64(object, at(layout::OBJECT_REFCOUNT))?;
    let count = b.ir().build_int_add(count, b.i64(1), "")?;
    b.store(count, object, at(layout::OBJECT_REFCOUNT))
}

/// Whether an object has other references than this one, so that it may not be changed in place.
pub(crate) fn is_shared<'ctx>(
    b: &Builder<'_, 'ctx>,
    object: PointerValue<'ctx>,
) -> Built<IntValue<'ctx>> {
    let count = b.load_i64(object, at(layout::OBJECT_REFCOUNT))?;
    compare(b, IntPredicate::NE, count, b.i64(1))
}

/// Gives a reference up and says whether it was the last.
pub(crate) fn release<'ctx>(
    b: &Builder<'_, 'ctx>,
    object: PointerValue<'ctx>,
) -> Built<IntValue<'ctx>> {
    let count = b.load_i64(object, at(layout::OBJECT_REFCOUNT))?;
    let count = b.ir().build_int_sub(count, b.i64(1), "")?;
    b.store(count, object, at(layout::OBJECT_REFCOUNT))?;
    compare(b, IntPredicate::EQ, count, b.i64(0))
}

/// Gives up the references to `objects`, in order, and continues. Freeing happens out of line.
///
/// `registers` are the values that the template's other cold paths are handed, so that each stays in one register; the
/// objects are among them.
pub(crate) fn release_and_continue<'ctx>(
    mut b: Builder<'_, 'ctx>,
    registers: &[PointerValue<'ctx>],
    objects: &[PointerValue<'ctx>],
) -> Path {
    b.flush()?;
    let handed: Vec<BasicValueEnum<'ctx>> = registers.iter().map(|&object| object.into()).collect();
    let places: Vec<usize> = objects
        .iter()
        .filter_map(|object| registers.iter().position(|register| register == object))
        .collect();
    // How to free each object and give up those behind it, the last one first.
    let mut paths: Vec<ColdPath<'ctx>> = Vec::new();
    for index in (0..places.len()).rev() {
        let path = b.cold_path(&handed, |b, values| {
            free_and_continue(b, values, &places[index..], &paths)
        })?;
        paths.push(path);
    }
    for (&object, path) in objects.iter().zip(paths.iter().rev()) {
        let last = release(&b, object)?;
        b.unlikely_to(last, path)?;
    }
    b.continue_()
}

/// Frees the value at the first of `places`, whose last reference is gone, gives up those at the others, and continues.
/// `paths` free the others, the last one first.
fn free_and_continue<'ctx>(
    mut b: Builder<'_, 'ctx>,
    values: &[BasicValueEnum<'ctx>],
    places: &[usize],
    paths: &[ColdPath<'ctx>],
) -> Path {
    let Some((&first, others)) = places.split_first() else {
        return b.continue_();
    };
    b.call(&DEALLOC, &[b.thread().into(), values[first]])?;
    for (index, &place) in others.iter().enumerate() {
        let last = release(&b, values[place].into_pointer_value())?;
        // What is left to give up. Nothing else is worth a register.
        let dead = b.llvm_type(P).into_pointer_type().get_poison();
        let mut handed = vec![dead.into(); values.len()];
        for &left in &others[index..] {
            handed[left] = values[left];
        }
        let path = &paths[paths.len() - 1 - index];
        b.unlikely(last, |b| b.go_cold_with(path, &handed))?;
    }
    b.continue_()
}

/// Gives up the reference to `object` and goes on with `then`, which is handed `kept`. Freeing happens out of line.
pub(crate) fn release_and_go_on<'ctx>(
    mut b: Builder<'_, 'ctx>,
    object: PointerValue<'ctx>,
    kept: PointerValue<'ctx>,
    then: impl Fn(Builder<'_, 'ctx>, PointerValue<'ctx>) -> Path,
) -> Path {
    let last = release(&b, object)?;
    b.cold_if(last, &[object.into(), kept.into()], |b, values| {
        b.call(&DEALLOC, &[b.thread().into(), values[0]])?;
        then(b, values[1].into_pointer_value())
    })?;
    then(b, kept)
}

/// Gives up a reference that is not the last one, and continues.
pub(crate) fn release_shared_and_continue<'ctx>(
    b: Builder<'_, 'ctx>,
    object: PointerValue<'ctx>,
) -> Path {
    release(&b, object)?;
    b.continue_()
}

/// Gives up the reference to an object that may be null, and continues.
pub(crate) fn release_nullable_and_continue<'ctx>(
    mut b: Builder<'_, 'ctx>,
    object: PointerValue<'ctx>,
) -> Path {
    b.flush()?;
    let null = is_null(&b, object)?;
    b.when(null, |b| b.continue_())?;
    release_and_continue(b, &[object], &[object])
}

/// What a helper takes: the thread, then its operands.
fn with_thread<'ctx>(
    b: &Builder<'_, 'ctx>,
    operands: &[BasicValueEnum<'ctx>],
) -> Vec<BasicValueEnum<'ctx>> {
    let mut arguments = vec![b.thread().into()];
    arguments.extend_from_slice(operands);
    arguments
}

/// Calls a helper that consumes its operands and cannot fail; pushes its result.
pub(crate) fn push_result<'ctx>(
    mut b: Builder<'_, 'ctx>,
    helper: &Helper,
    operands: &[BasicValueEnum<'ctx>],
) -> Path {
    let result = b.call_pointer(helper, &with_thread(&b, operands))?;
    b.push(result)?;
    b.continue_()
}

/// Calls a helper that consumes its operands and pushes its result, which is null where an error was raised.
pub(crate) fn push_result_or_error<'ctx>(
    mut b: Builder<'_, 'ctx>,
    helper: &Helper,
    operands: &[BasicValueEnum<'ctx>],
) -> Path {
    let result = b.call_pointer(helper, &with_thread(&b, operands))?;
    let failed = is_null(&b, result)?;
    b.unlikely(failed, |b| b.error())?;
    b.push(result)?;
    b.continue_()
}

/// Calls a helper whose result is negative where an error was raised, and continues.
pub(crate) fn continue_or_error<'ctx>(
    mut b: Builder<'_, 'ctx>,
    helper: &Helper,
    operands: &[BasicValueEnum<'ctx>],
) -> Path {
    let status = b.call_int(helper, &with_thread(&b, operands))?;
    let failed = compare(&b, IntPredicate::SLT, status, b.i32(0))?;
    b.unlikely(failed, |b| b.error())?;
    b.continue_()
}

/// The oparg as helpers take it.
pub(crate) fn oparg_i32<'ctx>(b: &Builder<'_, 'ctx>) -> Built<IntValue<'ctx>> {
    let oparg = b.oparg()?;
    Ok(b.ir()
        .build_int_truncate(oparg, b.context().i32_type(), "")?)
}

/// The object True or False for an i1. Both are immortal: their references are not counted.
pub(crate) fn bool_object<'ctx>(
    b: &Builder<'_, 'ctx>,
    value: IntValue<'ctx>,
) -> Built<PointerValue<'ctx>> {
    let index = b
        .ir()
        .build_int_z_extend(value, b.context().i64_type(), "")?;
    let bools = b.offset(b.thread(), b.i64(layout::THREAD_BOOLS as i64))?;
    b.load_pointer(b.slot(bools, index)?, 0)
}

/// One of the two bools.
pub(crate) fn bool_constant<'ctx>(b: &Builder<'_, 'ctx>, value: bool) -> Built<PointerValue<'ctx>> {
    b.load_pointer(
        b.thread(),
        at(layout::THREAD_BOOLS + usize::from(value) * layout::SLOT_SIZE),
    )
}

/// None.
pub(crate) fn none<'ctx>(b: &Builder<'_, 'ctx>) -> Built<PointerValue<'ctx>> {
    b.load_pointer(b.thread(), at(layout::THREAD_NONE))
}

/// Gives up a reference and goes on; for paths that are out of line already, where a call is the shortest code.
pub(crate) fn release_then<'ctx>(
    b: Builder<'_, 'ctx>,
    object: PointerValue<'ctx>,
    then: impl FnOnce(Builder<'_, 'ctx>) -> Path,
) -> Path {
    b.call(&RELEASE, &[b.thread().into(), object.into()])?;
    then(b)
}
