//! Uops with two operands: one set through selection, every patcher, a supernode, the interpreter, the limit, the JSON
//! form, the C header, and with templates from IR. All must do what the same arithmetic in Rust does.
#![cfg(feature = "llvm")]
#![allow(unsafe_code)]

use mimeo::Patcher;
use mimeo::code_memory::{ArenaOptions, CodeArena};
use mimeo::engine::Engine;
use mimeo::executor::{SideExit, ThreadState};
use mimeo::hole::HoleValue;
use mimeo::interpreter::{Interpreter, InterpreterImage};
use mimeo::select::Selection;
use mimeo::stencil::UopFlags;
use mimeo::table::StencilTable;
use mimeo::trace::{FrameShape, Trace, TraceError};
use mimeo_compiler::codegen::{Options, compile};
use mimeo_compiler::format::{from_json, to_c, to_json};
use mimeo_compiler::interpreter::compile_interpreter;
use mimeo_compiler::ir::{IrSource, IrTemplates};
use mimeo_compiler::limit::{Cpu, Level, TraceIr};
use mimeo_compiler::symbol::{HoleSymbol, SymbolMeanings};
use mimeo_compiler::template::{FrameLayout, Registers, Template, TemplateSet};
use std::fs;
use std::process::Command;
use std::sync::{Arc, LazyLock};

// ---- The set -------------------------------------------------------------------------------------------------------

/// How wide the operands of `_NARROW` are.
const BITS: u8 = 9;
const BITS1: u8 = 20;

fn both() -> Template {
    Template::new("_BOTH", |mut b| {
        let tripled = b.ir().build_int_mul(b.operand()?, b.i64(3), "")?;
        b.push(b.ir().build_int_sub(tripled, b.operand1()?, "")?)?;
        b.continue_()
    })
    .stack(0, 1)
}

fn narrow() -> Template {
    Template::new("_NARROW", |mut b| {
        let value = b.pop_i64()?;
        let value = b.ir().build_xor(value, b.small_operand(BITS)?, "")?;
        b.push(b.ir().build_int_add(value, b.small_operand1(BITS1)?, "")?)?;
        b.continue_()
    })
    .stack(1, 1)
}

/// The uops that are the same in all sets.
fn others() -> [Template; 5] {
    [
        Template::new("_MIX", |mut b| {
            let value = b.ir().build_int_mul(b.pop_i64()?, b.i64(5), "")?;
            let value = b.ir().build_int_add(value, b.operand()?, "")?;
            b.push(b.ir().build_xor(value, b.operand1()?, "")?)?;
            b.continue_()
        })
        .stack(1, 1),
        Template::new("_DOWN", |mut b| {
            let less = b
                .ir()
                .build_int_sub(b.load_i64(b.local()?, 0)?, b.i64(1), "")?;
            b.store(less, b.local()?, 0)?;
            b.push(less)?;
            b.continue_()
        })
        .local_oparg()
        .stack(0, 1),
        Template::new("_EXIT_IF_ZERO", |mut b| {
            let value = b.pop_pointer()?;
            let zero = b.ir().build_is_null(value, "")?;
            b.unlikely(zero, |b| b.side_exit())?;
            b.continue_()
        })
        .stack(1, 0)
        .side_exits(),
        Template::new("_EXIT", |b| b.side_exit())
            .side_exits()
            .terminal(),
        Template::new("_AGAIN", |b| b.top()).restarts().terminal(),
    ]
}

fn set(first: [Template; 2]) -> TemplateSet {
    TemplateSet::new("second", FrameLayout { locals: 0 })
        .with(first)
        .with(others())
}

fn built() -> TemplateSet {
    set([both(), narrow()])
        .with_registers(Registers::Slots)
        .with_supernodes([vec!["_MIX".to_owned(), "_NARROW".to_owned()]])
}

fn table_of(set: &TemplateSet) -> Arc<StencilTable> {
    let contents = compile(set, Options::default()).expect("the templates are right");
    let bytes = contents.to_bytes().expect("a table");
    Arc::new(StencilTable::from_bytes(bytes).expect("a table"))
}

static TABLE: LazyLock<Arc<StencilTable>> = LazyLock::new(|| table_of(&built()));

fn engine_of(table: &Arc<StencilTable>) -> Engine {
    // SAFETY: the set has no symbols.
    unsafe { Engine::new(Arc::clone(table), |_| None) }.expect("there is executable memory")
}

fn interpreter() -> Interpreter {
    let image = compile_interpreter(&built(), TABLE.digest(), Options::default());
    let image = image.expect("the templates are right").to_bytes();
    let image = image.expect("an image");
    let image = InterpreterImage::parse(&image).expect("an image");
    let arena = CodeArena::new(ArenaOptions::default()).expect("there is executable memory");
    // SAFETY: the compiler has made the image, and it has no symbols.
    let made = unsafe { Interpreter::in_arena(Arc::clone(&TABLE), &image, |_| None, &arena) };
    made.expect("it is the table's")
}

// ---- The trace -----------------------------------------------------------------------------------------------------

/// Operands and second operands of the trace's first uops: no two halves of them are the same.
const BOTH: (u64, u64) = (0xdead_beef_0123_4567, 0xfeed_face_89ab_cdef);
const MIX: (u64, u64) = (0x8000_0000_7fff_fff1, 0x0011_2233_4455_6677);
const NARROW: (u64, u64) = ((1 << BITS) - 1, (1 << BITS1) - 2);

const TARGET: u32 = 77;

const SHAPE: FrameShape = FrameShape {
    locals: 1,
    stack: 3,
    entry_depth: 0,
};

/// Its first uop reads a second operand, and the loop goes to its second uop.
fn trace(table: &StencilTable) -> Trace<'_> {
    let mut trace = Trace::new(table);
    let uop = |name: &str| trace.uop(name).expect("a uop of the set");
    let with = |name, (operand, operand1)| uop(name).operand(operand).operand1(operand1);
    let uops = [
        with("_BOTH", BOTH),
        with("_MIX", MIX),
        with("_NARROW", NARROW),
        uop("_DOWN"),
        uop("_EXIT_IF_ZERO").target(TARGET),
        uop("_AGAIN"),
    ];
    for uop in uops {
        trace.push(uop);
    }
    trace
}

fn start() -> u64 {
    BOTH.0.wrapping_mul(3).wrapping_sub(BOTH.1)
}

fn turn(value: u64) -> u64 {
    let mixed = value.wrapping_mul(5).wrapping_add(MIX.0) ^ MIX.1;
    (mixed ^ NARROW.0).wrapping_add(NARROW.1)
}

/// What is on the stack after this many turns.
fn expected(turns: u64) -> u64 {
    (0..turns).fold(start(), |value, _| turn(value))
}

/// Runs the trace for some numbers of turns, and looks at what it leaves.
fn check_runs(what: &str, run: impl Fn(*mut u8, *mut u64, &mut ThreadState) -> (u32, *mut u64)) {
    for turns in [1, 2, 5] {
        let (mut locals, mut stack) = ([turns], [0; SHAPE.stack as usize]);
        let base = stack.as_mut_ptr();
        let (target, end) = run(
            locals.as_mut_ptr().cast(),
            base,
            &mut ThreadState::default(),
        );
        assert_eq!((target, end), (TARGET, base.wrapping_add(1)), "{what}");
        assert_eq!(stack[0], expected(turns), "{what}, {turns} turns");
    }
}

fn left(exit: &SideExit) -> (u32, *mut u64) {
    (exit.target, exit.stack_pointer)
}

/// What gives base forms only.
const BASE: Selection = Selection {
    registers: false,
    pins: false,
    supernodes: false,
};

/// Every patcher, with and without what selection can do: supernodes save so many stencils.
fn check_engine(table: &Arc<StencilTable>, saved: usize) {
    let engine = engine_of(table);
    let trace = trace(engine.table());
    let single = Selection {
        supernodes: false,
        ..Selection::default()
    };
    let mut counts = Vec::new();
    for selection in [Selection::default(), single, BASE] {
        let prepared = engine.prepare_with(&trace, SHAPE, selection).unwrap();
        counts.push(prepared.stencil_count());
        let patchers = Patcher::ALL.into_iter();
        for patcher in patchers.filter(|patcher| patcher.is_available()) {
            let what = format!("{patcher:?}, {selection:?}");
            let executor = engine.compile_with(&prepared, patcher).unwrap();
            check_runs(&what, |frame, stack, thread| {
                // SAFETY: frame and stack are as the shape says.
                left(&unsafe { executor.run(frame, stack, thread) })
            });
        }
    }
    assert_eq!(counts[0] + saved, counts[1]);
}

#[test]
fn every_patcher_fills_both_operands_also_of_fused_uops() {
    check_engine(&TABLE, 1);
}

#[test]
fn limits_are_those_of_the_narrowest_hole() {
    let table = &TABLE;
    let limits = |name| {
        let uop = table.uop(table.find(name).unwrap());
        assert!(uop.flags.contains(UopFlags::OPERAND | UopFlags::OPERAND1));
        (uop.operand_max, uop.operand1_max)
    };
    let narrow = ((1 << BITS) - 1, (1 << BITS1) - 1);
    assert_eq!(limits("_BOTH"), (u64::MAX, u64::MAX));
    assert_eq!(limits("_NARROW"), narrow);
    let mut variants = table.variants().map(|id| table.variant(id));
    let fused = variants.find(|variant| variant.uops.len() == 2).unwrap();
    let of = |element| (fused.operand_max(element), fused.operand1_max(element));
    assert_eq!([of(0), of(1)], [(u64::MAX, u64::MAX), narrow]);
    let mut values: Vec<(HoleValue, u8)> = fused
        .group
        .holes()
        .map(|hole| (hole.value(), hole.element()))
        .collect();
    values.sort();
    let [operand, operand1] = [HoleValue::Operand, HoleValue::Operand1];
    assert_eq!(
        values,
        [(operand, 0), (operand, 1), (operand1, 0), (operand1, 1)]
    );

    let mut trace = Trace::new(table);
    let too_large = trace.uop("_NARROW").unwrap().operand1(1 << BITS1);
    trace.push(too_large);
    let shape = FrameShape {
        entry_depth: 1,
        ..SHAPE
    };
    let expected = TraceError::Argument {
        index: 0,
        name: "_NARROW".to_owned(),
        what: "operand1",
        found: 1 << BITS1,
        limit: (1 << BITS1) - 1,
    };
    assert_eq!(trace.check(shape).err(), Some(expected));
}

// ---- The interpreter and the limit ---------------------------------------------------------------------------------

#[test]
fn the_interpreter_reads_both_operands() {
    let interpreter = interpreter();
    let trace = trace(interpreter.table());
    let loaded = interpreter.load(&trace, SHAPE).unwrap();
    check_runs("the interpreter", |frame, stack, thread| {
        // SAFETY: frame and stack are as the shape says.
        left(&unsafe { loaded.run(frame, stack, thread) })
    });
}

/// Exits, links and validity are found behind the second operands as well; traces without any have no place for them.
#[test]
fn interpreted_traces_are_linked_and_invalidated() {
    let interpreter = interpreter();
    let table = interpreter.table();
    let load = |names: &[(&str, (u64, u64))], entry_depth| {
        let mut trace = Trace::new(table);
        for &(name, (operand, operand1)) in names {
            let uop = trace.uop(name).unwrap().target(TARGET);
            trace.push(uop.operand(operand).operand1(operand1));
        }
        let shape = FrameShape {
            entry_depth,
            ..SHAPE
        };
        interpreter.load(&trace, shape).unwrap()
    };
    let first = load(&[("_BOTH", BOTH), ("_EXIT", (0, 0))], 0);
    let rest = [("_MIX", MIX), ("_NARROW", NARROW), ("_EXIT", (0, 0))];
    let second = load(&rest, 1);
    let plain = load(&[("_EXIT", (1, 2))], 1);
    assert_eq!(plain.byte_len(), 16 + 40 + 40);
    assert_eq!(first.byte_len(), 2 * 8 + 16 + 2 * 40 + 40);

    let run = || {
        let (mut locals, mut stack) = ([0_u64], [0; SHAPE.stack as usize]);
        let mut thread = ThreadState::default();
        let frame = locals.as_mut_ptr().cast();
        // SAFETY: frame and stack are as the shape says.
        let exit = unsafe { first.run(frame, stack.as_mut_ptr(), &mut thread) };
        (exit.executor, stack[0])
    };
    assert_eq!(run(), (first.id(), start()));
    first.link(0, &second).unwrap();
    assert_eq!(run(), (second.id(), turn(start())));
    second.invalidate();
    assert!(first.is_valid() && !second.is_valid());
    assert_eq!(run(), (first.id(), start()));
}

#[test]
fn the_limit_has_both_operands_as_constants() {
    let trace = trace(&TABLE);
    let whole = TraceIr::build(&built(), &trace, SHAPE, Cpu::Baseline, &|_| None).unwrap();
    let whole = whole.compile(Level::O2).unwrap();
    check_runs("the limit", |frame, stack, thread| {
        // SAFETY: frame and stack are as the shape says.
        let exit = unsafe { whole.run(frame, stack, thread) };
        (exit.target, exit.stack_pointer)
    });
}

// ---- Templates from IR ---------------------------------------------------------------------------------------------

const IR: &str = "
    @_JIT_OPERAND = external global i8
    @_JIT_OPERAND1 = external global i8
    @_JIT_SMALL = external global i8
    @_JIT_SMALL1 = external global i8
    declare void @_JIT_CONTINUE(ptr, ptr, ptr)

    define void @both(ptr %frame, ptr %sp, ptr %thread) {
      %tripled = mul i64 ptrtoint (ptr @_JIT_OPERAND to i64), 3
      %value = sub i64 %tripled, ptrtoint (ptr @_JIT_OPERAND1 to i64)
      store i64 %value, ptr %sp
      %next = getelementptr i64, ptr %sp, i64 1
      musttail call void @_JIT_CONTINUE(ptr %frame, ptr %next, ptr %thread)
      ret void
    }

    define void @narrow(ptr %frame, ptr %sp, ptr %thread) {
      %top = getelementptr i64, ptr %sp, i64 -1
      %value = load i64, ptr %top
      %changed = xor i64 %value, ptrtoint (ptr @_JIT_SMALL to i64)
      %sum = add i64 %changed, ptrtoint (ptr @_JIT_SMALL1 to i64)
      store i64 %sum, ptr %top
      musttail call void @_JIT_CONTINUE(ptr %frame, ptr %sp, ptr %thread)
      ret void
    }
";

#[test]
fn templates_from_ir_have_both_operands() {
    let number = HoleSymbol::number;
    let holes = SymbolMeanings::default()
        .hole("_JIT_CONTINUE", HoleSymbol::address(HoleValue::Continue))
        .hole("_JIT_OPERAND", number(HoleValue::Operand, 64))
        .hole("_JIT_OPERAND1", number(HoleValue::Operand1, 64))
        .hole("_JIT_SMALL", number(HoleValue::Operand, BITS))
        .hole("_JIT_SMALL1", number(HoleValue::Operand1, BITS1));
    let module = IrTemplates::new(IrSource::from_bytes("second.ll", IR), holes);
    let from_ir = set([
        Template::from_ir("_BOTH", &module, "both").stack(0, 1),
        Template::from_ir("_NARROW", &module, "narrow").stack(1, 1),
    ]);
    let table = table_of(&from_ir);
    for name in ["_BOTH", "_NARROW"] {
        let [found, expected] = [&table, &*TABLE].map(|table| {
            let uop = table.uop(table.find(name).unwrap());
            (uop.flags, uop.operand_max, uop.operand1_max)
        });
        assert_eq!(found, expected, "{name}");
    }
    check_engine(&table, 0);
}

// ---- Other forms of the table --------------------------------------------------------------------------------------

#[test]
fn the_json_form_is_the_table_again() {
    let json = to_json(&TABLE).unwrap();
    let limit = (1 << BITS1) - 1;
    for part in [
        format!("\"operand1_max\":{limit},"),
        format!("\"operand1_max\":[{},{limit}],", u64::MAX),
        "\"value\":\"OPERAND1\",\"symbol\":null,\"shift\":0,\"element\":1".to_owned(),
    ] {
        assert!(json.contains(&part), "{part} in {json}");
    }
    // It is there where it says something.
    let limited = TABLE.variants().map(|id| TABLE.variant(id));
    let limited = limited.filter(|variant| {
        let names = variant.uops.iter().map(|&uop| TABLE.uop(uop).name);
        names.into_iter().any(|name| name == "_NARROW")
    });
    assert_eq!(
        json.matches("operand1_max").count(),
        1 + limited.count(),
        "{json}"
    );
    let again = from_json(&json).unwrap().to_bytes().unwrap();
    assert!(again == TABLE.as_bytes());
}

/// Emits `_BOTH` and `_NARROW` and prints their code; then why a second operand is refused.
const PROGRAM: &str = r#"
#include "second.h"
#include <stdio.h>

int main(void)
{
    const struct { unsigned uop; uint64_t operand, operand1; } steps[] = {@STEPS@};
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        unsigned char code[64];
        const struct mimeo_group *group = &mimeo_second_groups[steps[i].uop];
        const struct mimeo_place place = {.hot = code};
        const struct mimeo_values values = {.operand = steps[i].operand, .operand1 = steps[i].operand1};
        struct mimeo_failure failure;
        if (!(group->flags & MIMEO_OPERAND1) || group->hot_size > sizeof(code))
            return 1;
        if (!group->emit(&place, &values, &failure)) {
            printf("%s, %llx\n", failure.message, (unsigned long long)group->operand1_max);
            continue;
        }
        for (uint32_t at = 0; at < group->hot_size; at++)
            printf("%02x", code[at]);
        putchar('\n');
    }
    return 0;
}
"#;

#[test]
fn a_c_program_fills_both_operands() {
    let narrow = NARROW.0;
    let rows = [
        ("_BOTH", BOTH),
        ("_NARROW", NARROW),
        ("_NARROW", (narrow, 1 << BITS1)),
    ];
    let step = |(uop, (operand, operand1))| {
        format!("{{mimeo_second_{uop}, UINT64_C({operand}), UINT64_C({operand1})}}")
    };
    let program = PROGRAM.replace("@STEPS@", &rows.map(step).join(", "));
    let directory = tempfile::tempdir().unwrap();
    let [header, source, binary] =
        ["second.h", "second.c", "second"].map(|name| directory.path().join(name));
    fs::write(header, to_c(&TABLE).unwrap()).unwrap();
    fs::write(&source, program).unwrap();
    let compiled = Command::new("cc")
        .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-O1", "-o"])
        .args([&binary, &source])
        .output();
    let Ok(compiled) = compiled else {
        println!("skipped: there is no C compiler");
        return;
    };
    let messages = String::from_utf8_lossy(&compiled.stderr);
    assert!(compiled.status.success(), "{messages}");
    let output = Command::new(binary).output().unwrap();
    assert!(output.status.success());

    let engine = engine_of(&TABLE);
    let mut trace = Trace::new(engine.table());
    let mut lines = String::new();
    for (name, (operand, operand1)) in &rows[..2] {
        let uop = trace.uop(name).unwrap();
        trace.push(uop.operand(*operand).operand1(*operand1));
    }
    trace.push(trace.uop("_EXIT").unwrap());
    let prepared = engine.prepare_with(&trace, SHAPE, BASE).unwrap();
    let executor = engine.compile_prepared(&prepared).unwrap();
    let mut code = executor.code().iter();
    for uop in &trace.uops()[..2] {
        let length = TABLE.group(uop.id).hot.bytes.len();
        let bytes = code.by_ref().take(length);
        lines.extend(bytes.map(|byte| format!("{byte:02x}")));
        lines.push('\n');
    }
    lines += "uop _NARROW: operand1 0x100000 is too large, the limit is 0xfffff, fffff\n";
    assert_eq!(String::from_utf8(output.stdout).unwrap(), lines);
}
