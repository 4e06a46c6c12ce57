//! Leaks: ten thousand cycles of loading, compiling, linking, running and dropping recorded traces leave no object, no
//! allocation and no code behind, and neither do those that are refused or never run.

use mimeo::engine::Engine;
use mimeo_objects::heap;
use mimeo_objects::recorded::{Document, Program, engine};
use mimeo_tests::allocations::{CountingAllocator, held};
use mimeo_tests::recorded::{directory, names, text, with};
use serde_json::json;
use std::sync::Arc;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn standard_engine() -> Engine {
    let table = mimeo_ir_templates::standard_table().expect("the embedded table");
    engine(Arc::new(table)).expect("an engine of the standard set")
}

/// A loop over ten numbers in place of 20,000.
fn short_sum_squares() -> String {
    let changes = [
        ("/values/3/len", json!("10")),
        ("/expected/values/2/v", json!("285")),
        ("/expected/values/3/v", json!("9")),
        ("/expected/values/4/start", json!("10")),
    ];
    with("sum_squares", &changes)
}

/// Six executors, linked in loops, over the starts 2 to 5: of 1, 7, 2 and 5 steps.
fn short_collatz() -> String {
    let changes = [
        ("/values/4/len", json!("3")),
        ("/expected/values/2/v", json!("15")),
        ("/expected/values/3/v", json!("7")),
        ("/expected/values/4/v", json!("5")),
        ("/expected/values/6/v", json!("5")),
        ("/expected/values/7/start", json!("6")),
    ];
    with("collatz", &changes)
}

/// Loads, compiles and runs a document, and drops all of it.
fn cycle(text: &str, engine: &Engine) {
    let document = Document::parse(text).expect("a document");
    let mut program = Program::new(&document, engine).expect("a supported trace");
    let outcome = program.run().expect("what is taken for granted");
    program.check(&outcome).expect("the recorded end");
}

/// Does something again and again, and checks that afterwards this thread holds what it held before.
fn leaves_nothing(cycles: usize, cycle: impl Fn(&Engine)) {
    // What is made once for all, such as singletons and small ints, and blocks that the heap keeps for the next object.
    let engine = standard_engine();
    (0..cycles.min(20)).for_each(|_| cycle(&engine));
    drop(engine);

    let (objects, before) = (heap::stats(), held());
    let engine = standard_engine();
    (0..cycles).for_each(|_| cycle(&engine));
    let memory = engine.memory();
    assert_eq!((memory.blocks, memory.in_use), (0, 0));
    assert_eq!(memory.segments, 1, "{memory:?}");
    drop(engine);
    let after = heap::stats();
    assert!(after.allocated > objects.allocated, "no objects were made");
    assert_eq!(
        after.allocated - objects.allocated,
        after.freed - objects.freed,
        "objects that were made and objects that were freed"
    );
    assert_eq!(held(), before);
}

#[test]
fn ten_thousand_cycles_of_one_executor() {
    let text = short_sum_squares();
    leaves_nothing(10_000, |engine| cycle(&text, engine));
}

#[test]
fn a_thousand_cycles_of_linked_executors() {
    let text = short_collatz();
    leaves_nothing(1000, |engine| cycle(&text, engine));
}

#[test]
fn programs_that_never_run() {
    let text = short_collatz();
    leaves_nothing(200, |engine| {
        let document = Document::parse(&text).expect("a document");
        Program::new(&document, engine).expect("a supported trace");
    });
}

#[test]
fn every_supported_trace() {
    for name in names(&directory()) {
        let document = Document::parse(&text(&directory(), &name)).expect("a document");
        leaves_nothing(1, |engine| {
            Program::new(&document, engine)
                .and_then(|mut program| program.run())
                .unwrap_or_else(|error| panic!("{name}: {error}"));
        });
    }
}

#[test]
fn traces_that_are_refused() {
    for (name, place, value) in [
        ("sum_squares", "/executors/0/uops/6/op", json!("_MAGIC")),
        ("method_call", "/executors/0/uops/20/op", json!("_NOP")),
        ("dict_count", "/values/4", json!({"t": "generator"})),
        (
            "linked_list",
            "/executors/0/uops/3/op",
            json!("_TIER2_RESUME_CHECK"),
        ),
    ] {
        let document = Document::parse(&with(name, &[(place, value)])).expect("a document");
        let engine = standard_engine();
        let refused = || Program::new(&document, &engine).map(drop).unwrap_err();
        drop(refused());
        let (objects, before) = (heap::stats(), held());
        (0..20).for_each(|_| drop(refused()));
        assert_eq!(held(), before, "{name}");
        assert_eq!(heap::stats().live(), objects.live(), "{name}");
        assert_eq!(engine.memory().blocks, 0, "{name}");
    }
}
