//! Control: entry and validity checks, the way back to the top, and the exits.

use crate::object_ops::{Built, Path, at, compare};
use inkwell::IntPredicate;
use mimeo::executor::ExecutorHeader;
use mimeo::stencil::Count;
use mimeo_compiler::builder::TemplateBuilder;
use mimeo_compiler::template::{Helper, Template, Type};
use mimeo_objects::layout;
use std::mem::offset_of;

const P: Type = Type::Pointer;

/// Bytecode offsets are well below 2^31.
const OFFSET_BITS: u8 = 31;

const FATAL_ERROR: Helper = Helper::without_result("mimeo_fatal_error", &[P]);
const INCREMENT: Helper = Helper::without_result("mimeo_increment_counter", &[P, P]);

pub(crate) fn templates() -> Vec<Template> {
    vec![
        Template::new("_START_EXECUTOR", check_validity).may_deopt(),
        Template::new("_CHECK_VALIDITY", check_validity).may_deopt(),
        Template::new(
            "_CHECK_VALIDITY_AND_SET_IP",
            check_validity_and_set_instruction,
        )
        .may_deopt(),
        Template::new("_TIER2_RESUME_CHECK", check_interrupt).may_deopt(),
        Template::new("_RESUME_CHECK", check_interrupt).may_deopt(),
        // A request is answered by whoever the trace leaves to, at the next uop that checks for one.
        Template::new("_CHECK_PERIODIC", |b| b.continue_()),
        Template::new("_SET_IP", |b| {
            set_instruction(&b)?;
            b.continue_()
        }),
        Template::new("_COUNT", count),
        Template::new("_JUMP_TO_TOP", |b| b.top())
            .restarts()
            .terminal(),
        Template::new("_EXIT_TRACE", |b| b.side_exit())
            .side_exits()
            .terminal(),
        Template::new("_DEOPT", |b| b.side_exit())
            .side_exits()
            .terminal(),
        // The runtime counts how often an exit is taken, whatever it is called; what is hot gets a trace, and a link.
        Template::new("_COLD_EXIT", |b| b.side_exit())
            .side_exits()
            .terminal(),
        // Where to go on is not in the trace: the frame says it.
        Template::new("_DYNAMIC_EXIT", |b| b.side_exit())
            .side_exits()
            .terminal(),
        Template::new("_FATAL_ERROR", |mut b| {
            // All values are in memory: this is no place to keep some in registers over a call for.
            b.pop_array(Count::fixed(0))?;
            b.call(&FATAL_ERROR, &[b.thread().into()])?;
            b.side_exit()
        })
        .side_exits()
        .terminal(),
        Template::new("_INTERNAL_INCREMENT_OPT_COUNTER", |mut b| {
            let counter = b.pop_pointer()?;
            b.call(&INCREMENT, &[b.thread().into(), counter.into()])?;
            b.continue_()
        })
        .stack(1, 0),
        Template::new("_ERROR_POP_N", leave_with_error)
            .stack_counts(Count::oparg_plus(0), Count::fixed(0))
            .side_exits()
            .terminal(),
    ]
}

/// Leaves once the executor was invalidated.
fn require_valid(b: &mut TemplateBuilder<'_, '_>) -> Built<()> {
    let valid = b.load_i32(
        b.executor_field(offset_of!(ExecutorHeader, valid) as u32)?,
        0,
    )?;
    let invalid = compare(b, IntPredicate::EQ, valid, b.i32(0))?;
    b.unlikely(invalid, |b| b.jump())
}

fn check_validity(mut b: TemplateBuilder<'_, '_>) -> Path {
    require_valid(&mut b)?;
    b.continue_()
}

fn check_validity_and_set_instruction(mut b: TemplateBuilder<'_, '_>) -> Path {
    require_valid(&mut b)?;
    set_instruction(&b)?;
    b.continue_()
}

/// Adds one to the number that the operand is the address of. CPython has no such uop: it shows which uops a test reaches.
fn count(b: TemplateBuilder<'_, '_>) -> Path {
    let counter = b.operand_pointer()?;
    let count = b.load_i64(counter, 0)?;
    let count = b.ir().build_int_add(count, b.i64(1), "")?;
    b.store(count, counter, 0)?;
    b.continue_()
}

/// Leaves when something asks for the interpreter's attention.
fn check_interrupt(mut b: TemplateBuilder<'_, '_>) -> Path {
    let requests = b.load_i32(b.thread(), at(layout::THREAD_INTERRUPT))?;
    let asked = compare(&b, IntPredicate::NE, requests, b.i32(0))?;
    b.unlikely(asked, |b| b.jump())?;
    b.continue_()
}

/// The operand is the bytecode offset.
fn set_instruction(b: &TemplateBuilder<'_, '_>) -> Built<()> {
    let offset = b.small_operand(OFFSET_BITS)?;
    let offset = b
        .ir()
        .build_int_truncate(offset, b.context().i32_type(), "")?;
    b.store(offset, b.frame(), at(layout::FRAME_INSTRUCTION))
}

/// The uop that failed has released its `oparg` operands already. The operand is its bytecode offset.
fn leave_with_error(mut b: TemplateBuilder<'_, '_>) -> Path {
    set_instruction(&b)?;
    b.pop_array(Count::oparg_plus(0))?;
    b.side_exit()
}
