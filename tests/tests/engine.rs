//! Running traces: control inside them, the exits through which they are left, linking exits to other executors, and
//! invalidation; with the toy set, of which every value on the stack is known.

use mimeo::code_memory::{ArenaOptions, CodeArena, CodeMemoryError};
use mimeo::engine::{CompileError, EngineError};
use mimeo::executor::{ExitInfo, LinkError, SideExit};
use mimeo::table::TableContents;
use mimeo::trace::{FrameShape, Trace};
use mimeo_compiler::verify::check_group;
use mimeo_tests::machine::Machine;
use mimeo_tests::toy::{self, ToyEngine, ToyExecutor, op, push_add_to_local};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Minus one.
const MINUS_ONE: u64 = u64::MAX;

/// Adds 1 to local 1 and takes 1 from local 0; exit 0, to target 100, when that is 0, else exit 1, to target 200.
fn step(engine: &ToyEngine, shape: FrameShape) -> ToyExecutor {
    let mut trace = engine.trace();
    push_add_to_local(&mut trace, 1, 1);
    push_add_to_local(&mut trace, 0, MINUS_ONE);
    trace.push(op(&trace, "_LOAD").oparg(0));
    trace.push(op(&trace, "_EXIT_IF_ZERO").target(100));
    trace.push(op(&trace, "_EXIT").target(200));
    engine.compile(&trace, shape).unwrap()
}

/// The exit of a [`step`] when local 0 is 0, and the other one.
const DONE: u32 = 0;
const NEXT: u32 = 1;

/// Which exit was taken of which executor.
fn taken(exit: SideExit) -> (mimeo::executor::ExecutorId, u32) {
    (exit.executor, exit.index)
}

/// What is assembled by hand is held to the same rules as what LLVM makes.
#[test]
fn the_toy_set_keeps_the_rules_of_stencils() {
    let table = toy::table();
    let symbols: Vec<&str> = table.symbols().collect();
    for id in table.uops() {
        check_group(&table.uop(id), table.group(id), &symbols)
            .unwrap_or_else(|error| panic!("{error}"));
    }
}

// ---- Control inside a trace ----------------------------------------------------------------------------------------

#[test]
fn labels_lead_forward_and_back() {
    let engine = ToyEngine::new();
    let mut machine = Machine::new(&[100, 0], 2, &[]);
    let mut trace = engine.trace();
    let (again, done) = (trace.label(), trace.label());
    trace.bind(again).unwrap();
    trace.push(op(&trace, "_LOAD").oparg(0));
    trace.push(op(&trace, "_JUMP_IF_ZERO").jump(done));
    trace.push(op(&trace, "_LOAD").oparg(0));
    trace.push(op(&trace, "_LOAD_1"));
    trace.push(op(&trace, "_ADD"));
    trace.push(op(&trace, "_STORE").oparg(1));
    push_add_to_local(&mut trace, 0, MINUS_ONE);
    trace.push(op(&trace, "_JUMP").jump(again));
    trace.bind(done).unwrap();
    trace.push(op(&trace, "_EXIT").target(9));
    let executor = engine.compile(&trace, machine.shape()).unwrap();
    assert_eq!(machine.run(&executor).target, 9);
    assert_eq!(machine.locals(), [0, 5050]);
}

#[test]
fn the_top_is_the_second_uop() {
    let engine = ToyEngine::new();
    let mut machine = Machine::new(&[3, 0, 0], 2, &[42]);
    let mut trace = engine.trace();
    // The first uop takes the value that is there at the entry only.
    trace.push(op(&trace, "_STORE").oparg(2));
    trace.push(op(&trace, "_LOAD").oparg(0));
    trace.push(op(&trace, "_EXIT_IF_ZERO"));
    push_add_to_local(&mut trace, 0, MINUS_ONE);
    push_add_to_local(&mut trace, 1, 10);
    trace.push(op(&trace, "_JUMP_TO_TOP"));
    let executor = engine.compile(&trace, machine.shape()).unwrap();
    machine.run(&executor);
    assert_eq!(machine.locals(), [0, 30, 42]);
    assert_eq!(machine.values(), [0; 0]);
}

#[test]
fn an_error_goes_to_its_label_with_the_stack_as_it_was() {
    let engine = ToyEngine::new();
    for (value, target, values) in [(5, 1, vec![5, 7]), (0, 2, vec![0])] {
        let mut machine = Machine::new(&[], 2, &[value]);
        let mut trace = engine.trace();
        let error = trace.label();
        trace.push(op(&trace, "_FAIL_IF_ZERO").error(error));
        trace.push(op(&trace, "_PUSH").operand(7));
        trace.push(op(&trace, "_EXIT").target(1));
        trace.bind(error).unwrap();
        trace.push(op(&trace, "_EXIT").target(2));
        let executor = engine.compile(&trace, machine.shape()).unwrap();
        assert_eq!(machine.run(&executor).target, target);
        assert_eq!(machine.values(), values);
    }
}

// ---- What nothing reaches ----------------------------------------------------------------------------------------------

/// Uops behind an exit, to which nothing leads: each with labels that stand nowhere else.
type Unreached = fn(&mut Trace<'_>);

#[test]
fn what_nothing_reaches_gives_no_code() {
    let dead: [Unreached; 7] = [
        |_| (),
        |trace| {
            trace.push(op(trace, "_JUMP_TO_TOP"));
        },
        |trace| {
            trace.push(op(trace, "_EXIT").target(9));
        },
        |trace| {
            let here = trace.label();
            trace.bind(here).expect("a new label");
            trace.push(op(trace, "_JUMP").jump(here));
        },
        |trace| {
            let end = trace.label();
            trace.push(op(trace, "_JUMP_IF_ZERO").jump(end));
            trace.push(op(trace, "_FAIL_IF_ZERO").error(end));
            trace.push(op(trace, "_EXIT_IF_ZERO").target(8));
            trace.bind(end).expect("a new label");
            trace.push(op(trace, "_JUMP_TO_TOP"));
        },
        // How deep the stack is nobody knows there.
        |trace| {
            trace.push(op(trace, "_ADD"));
            trace.push(op(trace, "_STORE").oparg(0));
            trace.push(op(trace, "_JUMP_TO_TOP"));
        },
        |trace| {
            push_add_to_local(trace, 1, 100);
            trace.push(op(trace, "_JUMP_TO_TOP"));
        },
    ];
    let engine = ToyEngine::new();
    // At the end, and in front of what is jumped to.
    for in_the_middle in [false, true] {
        let mut lengths = Vec::new();
        for (row, dead) in dead.iter().enumerate() {
            let mut machine = Machine::new(&[0, 0], 2, &[]);
            let mut trace = engine.trace();
            push_add_to_local(&mut trace, 1, 1);
            if in_the_middle {
                let end = trace.label();
                trace.push(op(&trace, "_JUMP").jump(end));
                dead(&mut trace);
                trace.bind(end).expect("a new label");
                push_add_to_local(&mut trace, 1, 1);
            }
            trace.push(op(&trace, "_EXIT").target(7));
            if !in_the_middle {
                dead(&mut trace);
            }
            let executor = engine
                .compile(&trace, machine.shape())
                .unwrap_or_else(|error| panic!("row {row}: {error}"));
            assert_eq!(machine.run(&executor).target, 7, "row {row}");
            assert_eq!(machine.locals(), [0, 1 + u64::from(in_the_middle)]);
            lengths.push(executor.code().len());
        }
        assert!(lengths.iter().all(|&len| len == lengths[0]), "{lengths:?}");
    }
}

#[test]
fn what_nothing_reaches_is_checked_like_anything_else() {
    let engine = ToyEngine::new();
    let wrong: [(Unreached, &str); 4] = [
        (
            |trace| {
                trace.push(op(trace, "_JUMP"));
            },
            "uop 1 _JUMP: it needs jump label",
        ),
        (
            |trace| {
                trace.push(op(trace, "_LOAD").oparg(2));
            },
            "uop 1 _LOAD: there is no local 2, the frame has 2",
        ),
        (
            |trace| {
                trace.push(op(trace, "_EXIT").target(1 << 31));
            },
            "uop 1 _EXIT: target 2147483648 is too large, the limit is 2147483647",
        ),
        (
            |trace| {
                trace.push(op(trace, "_LOAD").oparg(0));
            },
            "uop 1 _LOAD is the last, but goes on with the next uop",
        ),
    ];
    for (unreached, message) in wrong {
        let machine = Machine::new(&[0, 0], 2, &[]);
        let mut trace = engine.trace();
        trace.push(op(&trace, "_EXIT").target(7));
        unreached(&mut trace);
        let error = engine.compile(&trace, machine.shape()).map(drop);
        assert_eq!(error.expect_err(message).to_string(), message);
    }
}

// ---- Exits -----------------------------------------------------------------------------------------------------------

#[test]
fn an_exit_reports_itself_and_the_whole_state() {
    let engine = ToyEngine::new();
    let shape = Machine::new(&[0, 0], 4, &[77]).shape();
    let mut trace = engine.trace();
    trace.push(op(&trace, "_LOAD").oparg(0));
    trace.push(op(&trace, "_EXIT_IF_ZERO").target(11));
    trace.push(op(&trace, "_RESERVE").oparg(2));
    trace.push(op(&trace, "_LOAD").oparg(1));
    trace.push(op(&trace, "_EXIT_IF_ZERO").target(i32::MAX as u32));
    trace.push(op(&trace, "_EXIT"));
    // Control never gets here.
    trace.push(op(&trace, "_EXIT").target(13));
    let executor = engine.compile(&trace, shape).unwrap();
    let info = |uop, target, depth| ExitInfo {
        uop,
        target,
        depth,
        shape,
    };
    let exits = [
        info(1, 11, Some(1)),
        info(4, i32::MAX as u32, Some(3)),
        info(5, 0, Some(3)),
        info(6, 13, None),
    ];
    assert_eq!(executor.exits(), exits);
    assert_eq!((executor.uop_count(), executor.shape()), (7, shape));

    for (locals, index) in [([0, 0], 0), ([1, 0], 1), ([1, 1], 2)] {
        let mut machine = Machine::new(&locals, 4, &[77]);
        let exit = machine.run(&executor);
        let expected = exits[index];
        assert_eq!(exit.executor, executor.id());
        assert_eq!(exit.index as usize, index);
        assert_eq!((exit.uop, exit.target), (expected.uop, expected.target));
        // The machine has compared the frame; the stack pointer shows in the number of values.
        assert_eq!(Some(machine.values().len() as u32), expected.depth);
        assert_eq!(machine.values()[0], 77);
        assert_eq!(machine.locals(), locals);
    }
}

#[test]
fn executors_have_numbers_of_their_own() {
    let (one, other) = (ToyEngine::new(), ToyEngine::new());
    let shape = Machine::new(&[0, 0], 2, &[]).shape();
    let executors = [step(&one, shape), step(&other, shape), step(&one, shape)];
    let mut ids = executors.each_ref().map(|executor| executor.id()).to_vec();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

// ---- Linking ---------------------------------------------------------------------------------------------------------

#[test]
fn a_linked_exit_goes_on_in_the_other_executor_until_it_is_unlinked() {
    let engine = ToyEngine::new();
    let mut machine = Machine::new(&[100, 0], 2, &[]);
    let shape = machine.shape();
    let [a, b, c] = [(); 3].map(|()| step(&engine, shape));
    assert_eq!(taken(machine.run(&a)), (a.id(), NEXT));
    assert_eq!(machine.locals(), [99, 1]);
    // A chain, which is left through the last one's exit.
    a.link(NEXT, &b).unwrap();
    b.link(NEXT, &c).unwrap();
    assert_eq!(taken(machine.run(&a)), (c.id(), NEXT));
    assert_eq!(machine.locals(), [96, 4]);
    // Linked anew: past B, it makes one step less.
    a.link(NEXT, &c).unwrap();
    assert_eq!(taken(machine.run(&a)), (c.id(), NEXT));
    assert_eq!(machine.locals(), [94, 6]);
    // What becomes of the one it was linked to before is no longer of interest.
    let d = step(&engine, shape);
    a.link(NEXT, &d).unwrap();
    a.link(NEXT, &c).unwrap();
    d.invalidate();
    drop(d);
    assert_eq!(taken(machine.run(&a)), (c.id(), NEXT));
    a.unlink(NEXT).unwrap();
    assert_eq!(taken(machine.run(&a)), (a.id(), NEXT));
    // What was not linked can be unlinked.
    a.unlink(NEXT).unwrap();
    a.unlink(DONE).unwrap();
    assert_eq!(taken(machine.run(&b)), (c.id(), NEXT));
    assert_eq!(machine.locals(), [89, 11]);
}

#[test]
fn a_loop_of_executors_runs_until_an_exit_that_is_not_linked() {
    let engine = ToyEngine::new();
    let mut machine = Machine::new(&[10_001, 0], 2, &[]);
    let shape = machine.shape();
    let (a, b) = (step(&engine, shape), step(&engine, shape));
    a.link(NEXT, &b).unwrap();
    b.link(NEXT, &a).unwrap();
    assert_eq!(taken(machine.run(&a)), (a.id(), DONE));
    assert_eq!(machine.locals(), [0, 10_001]);
    machine.locals_mut()[0] = 10_000;
    assert_eq!(taken(machine.run(&a)), (b.id(), DONE));
    // To itself.
    b.link(NEXT, &b).unwrap();
    machine.locals_mut().copy_from_slice(&[1000, 0]);
    assert_eq!(taken(machine.run(&b)), (b.id(), DONE));
    assert_eq!(machine.locals(), [0, 1000]);
}

#[test]
fn a_dropped_executor_is_no_longer_linked_to() {
    let engine = ToyEngine::new();
    let mut machine = Machine::new(&[1000, 0], 2, &[]);
    let shape = machine.shape();
    let [a, b, c] = [(); 3].map(|()| step(&engine, shape));
    a.link(NEXT, &c).unwrap();
    b.link(NEXT, &c).unwrap();
    b.link(DONE, &a).unwrap();
    c.link(NEXT, &a).unwrap();
    drop(c);
    assert_eq!(engine.memory().blocks, 2);
    assert_eq!(taken(machine.run(&a)), (a.id(), NEXT));
    assert_eq!(taken(machine.run(&b)), (b.id(), NEXT));
    // The dropped one's own link to A is gone as well: A can be dropped and its memory used for another.
    drop(a);
    assert_eq!(engine.memory().blocks, 1);
    let d = step(&engine, shape);
    b.link(NEXT, &d).unwrap();
    assert_eq!(taken(machine.run(&b)), (d.id(), NEXT));
    drop((b, d));
    assert_eq!((engine.memory().blocks, engine.memory().in_use), (0, 0));
}

#[test]
fn an_executor_outlives_its_engine() {
    let engine = ToyEngine::new();
    let mut machine = Machine::new(&[8, 0], 2, &[]);
    let (a, b) = (
        step(&engine, machine.shape()),
        step(&engine, machine.shape()),
    );
    drop(engine);
    a.link(NEXT, &b).unwrap();
    b.link(NEXT, &a).unwrap();
    assert_eq!(taken(machine.run(&a)), (b.id(), DONE));
}

#[test]
fn links_that_cannot_be_are_refused_and_change_nothing() {
    let engine = ToyEngine::new();
    let mut machine = Machine::new(&[100, 0, 0], 3, &[]);
    let shape = machine.shape();
    let a = step(&engine, shape);
    let fits = step(&engine, FrameShape { locals: 2, ..shape });
    a.link(NEXT, &fits).unwrap();

    let no_exit = |found| LinkError::NoExit {
        executor: a.id(),
        found,
        count: 2,
    };
    assert_eq!(a.link(2, &fits), Err(no_exit(2)));
    assert_eq!(a.unlink(u32::MAX), Err(no_exit(u32::MAX)));

    let other = step(&ToyEngine::new(), shape);
    let other_engine = LinkError::OtherEngine {
        from: a.id(),
        to: other.id(),
    };
    assert_eq!(a.link(NEXT, &other), Err(other_engine));

    let wants = |locals, stack, entry_depth| FrameShape {
        locals,
        stack,
        entry_depth,
    };
    for expected in [wants(4, 3, 0), wants(2, 4, 0), wants(2, 3, 1)] {
        let to = step(&engine, expected);
        let refused = LinkError::Shape {
            from: a.id(),
            to: to.id(),
            exit: NEXT,
            found: Some(0),
            locals: 3,
            stack: 3,
            expected,
        };
        assert_eq!(a.link(NEXT, &to), Err(refused));
    }

    let invalid = step(&engine, shape);
    invalid.invalidate();
    assert_eq!(
        a.link(NEXT, &invalid),
        Err(LinkError::Invalid(invalid.id()))
    );
    assert_eq!(
        invalid.link(NEXT, &a),
        Err(LinkError::Invalid(invalid.id()))
    );

    assert_eq!(taken(machine.run(&a)), (fits.id(), NEXT));
}

#[test]
fn an_exit_that_control_never_gets_to_is_not_linked() {
    let engine = ToyEngine::new();
    let mut trace = engine.trace();
    trace.push(op(&trace, "_EXIT"));
    trace.push(op(&trace, "_EXIT"));
    let executor = engine.compile(&trace, FrameShape::default()).unwrap();
    executor.link(0, &executor).unwrap();
    match executor.link(1, &executor) {
        Err(LinkError::Shape { found: None, .. }) => {}
        other => panic!("{other:?}"),
    }
}

// ---- Invalidation ------------------------------------------------------------------------------------------------------

/// Leaves to target 1 if it was invalidated, and to target 2 if not.
fn checks_validity(engine: &ToyEngine, shape: FrameShape) -> ToyExecutor {
    let mut trace = engine.trace();
    let invalid = trace.label();
    trace.push(op(&trace, "_CHECK_VALIDITY").jump(invalid));
    trace.push(op(&trace, "_EXIT").target(2));
    trace.bind(invalid).unwrap();
    trace.push(op(&trace, "_EXIT").target(1));
    engine.compile(&trace, shape).unwrap()
}

#[test]
fn nothing_leads_to_an_invalidated_executor_and_its_checks_fail() {
    let engine = ToyEngine::new();
    let mut machine = Machine::new(&[100, 0], 2, &[]);
    let a = step(&engine, machine.shape());
    let b = checks_validity(&engine, machine.shape());
    a.link(NEXT, &b).unwrap();
    a.link(DONE, &b).unwrap();
    assert!(b.is_valid());
    assert_eq!(machine.run(&a).target, 2);

    b.invalidate();
    assert!(a.is_valid() && !b.is_valid());
    assert_eq!(taken(machine.run(&a)), (a.id(), NEXT));
    machine.locals_mut()[0] = 1;
    assert_eq!(taken(machine.run(&a)), (a.id(), DONE));
    assert_eq!(machine.run(&b).target, 1);
    b.invalidate();
    assert_eq!(machine.run(&b).target, 1);
}

/// Runs an executor that does not stop by itself while `stop` is at work, which has to make it stop.
fn stops(executor: &ToyExecutor, mut machine: Machine, stop: impl FnOnce() + Send) -> SideExit {
    // Threads are scoped, so an executor that does not stop would hang the test: the limit ends the process instead.
    let (done, waiting) = mpsc::channel::<()>();
    thread::spawn(move || {
        if waiting.recv_timeout(Duration::from_secs(30)) == Err(mpsc::RecvTimeoutError::Timeout) {
            eprintln!("the executor did not stop");
            std::process::abort();
        }
    });
    let exit = thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(20));
            stop();
        });
        machine.run(executor)
    });
    drop(done);
    exit
}

#[test]
fn what_runs_in_an_executor_leaves_when_another_thread_invalidates_it() {
    let engine = ToyEngine::new();
    let machine = Machine::new(&[], 0, &[]);
    let mut trace = engine.trace();
    let (again, invalid) = (trace.label(), trace.label());
    trace.bind(again).unwrap();
    trace.push(op(&trace, "_CHECK_VALIDITY").jump(invalid));
    trace.push(op(&trace, "_JUMP").jump(again));
    trace.bind(invalid).unwrap();
    trace.push(op(&trace, "_EXIT").target(3));
    let executor = engine.compile(&trace, machine.shape()).unwrap();
    let exit = stops(&executor, machine, || executor.invalidate());
    assert_eq!(exit.target, 3);
}

#[test]
fn a_loop_of_executors_ends_when_another_thread_cuts_it() {
    // Each of A and B goes on in the other for ever, or until local 0 is 0 after 2^64 rounds.
    let build = || {
        let engine = ToyEngine::new();
        let machine = Machine::new(&[0, 0], 2, &[]);
        let (a, b) = (
            step(&engine, machine.shape()),
            step(&engine, machine.shape()),
        );
        a.link(NEXT, &b).unwrap();
        b.link(NEXT, &a).unwrap();
        (engine, machine, a, b)
    };
    let (_engine, machine, a, b) = build();
    let exit = stops(&a, machine, || b.unlink(NEXT).unwrap());
    assert_eq!(taken(exit), (b.id(), NEXT));

    let (_engine, machine, a, b) = build();
    // It is cut off on both sides, so control leaves wherever it was.
    let exit = stops(&a, machine, || b.invalidate());
    assert!([a.id(), b.id()].contains(&exit.executor) && exit.index == NEXT);

    // Dropped while it is being run: its memory stays until nobody is inside.
    let (engine, machine, a, b) = build();
    let ids = [a.id(), b.id()];
    let exit = stops(&a, machine, move || drop(b));
    assert!(ids.contains(&exit.executor) && exit.index == NEXT);
    assert_eq!(engine.memory().blocks, 1);
}

// ---- What cannot be compiled -----------------------------------------------------------------------------------------

#[test]
fn an_engine_wants_every_symbol_of_its_table() {
    match toy::engine_without(toy::table(), toy::NUMBER) {
        Err(EngineError::MissingSymbol { table, symbol }) => {
            assert_eq!((table.as_str(), symbol.as_str()), ("toy", toy::NUMBER));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_trace_of_another_table_is_refused() {
    let engine = ToyEngine::new();
    let mut contents = toy::toy_contents();
    contents.set = "other".to_owned();
    let table = toy::table_of(&contents);
    let mut trace = Trace::new(&table);
    trace.push(op(&trace, "_EXIT"));
    match engine.compile(&trace, FrameShape::default()) {
        Err(CompileError::OtherTable {
            found, expected, ..
        }) => {
            assert_eq!((found.as_str(), expected.as_str()), ("other", "toy"));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_differs_in_a_table_of_the_same_name_is_said() {
    let engine = ToyEngine::new();
    let refused = |change: fn(&mut TableContents)| {
        let mut contents = toy::toy_contents();
        change(&mut contents);
        let table = toy::table_of(&contents);
        let mut trace = Trace::new(&table);
        trace.push(op(&trace, "_EXIT"));
        let error = engine.compile(&trace, FrameShape::default());
        error.map(drop).expect_err("another table").to_string()
    };
    let of = |what: &str| {
        format!("the trace is of the table toy, the engine's is toy: the trace's has {what}")
    };
    assert_eq!(
        refused(|contents| contents.llvm_version = (99, 1, 2)),
        of("version of LLVM 99.1.2, expected 0.0.0")
    );
    let uops = toy::table().uop_count();
    assert_eq!(
        refused(|contents| contents.uops.push(toy::uop("_ZZZ"))),
        of(&format!("number of uops {}, expected {uops}", uops + 1))
    );
    let digest = refused(|contents| contents.digest = [0xab; 32]);
    assert!(digest.starts_with(&of(&format!("digest of the templates {}", "ab".repeat(32)))));
    // Alike in all that is counted.
    let code = refused(|contents| contents.uops[0].oparg_max ^= 1);
    assert!(code.starts_with(&of("checksum 0x")), "{code}");
}

#[test]
fn a_trace_of_a_second_load_of_the_table_is_compiled() {
    let engine = ToyEngine::new();
    let twin = toy::table();
    let mut machine = Machine::new(&[3, 0], 2, &[]);
    let mut trace = Trace::new(&twin);
    let done = trace.label();
    push_add_to_local(&mut trace, 1, 1);
    trace.push(op(&trace, "_LOAD").oparg(1));
    trace.push(op(&trace, "_JUMP_IF_ZERO").jump(done));
    // An id of the engine's own load is one of this.
    let load = engine.trace().uop("_LOAD").expect("a uop");
    trace.push(load.oparg(0));
    trace.push(op(&trace, "_STORE").oparg(1));
    trace.bind(done).expect("a label of this trace");
    trace.push(op(&trace, "_EXIT").target(7));
    let executor = engine.compile(&trace, machine.shape()).expect("a trace");
    assert_eq!(machine.run(&executor).target, 7);
    assert_eq!(machine.locals(), [3, 3]);
}

#[test]
fn full_code_memory_is_an_error_until_something_is_dropped() {
    let options = ArenaOptions {
        segment_len: 4096,
        max_len: 4096,
        ..ArenaOptions::default()
    };
    let engine = ToyEngine::with_arena(CodeArena::new(options).unwrap());
    let mut machine = Machine::new(&[5, 0], 2, &[]);
    let compile = || {
        let mut trace = engine.trace();
        push_add_to_local(&mut trace, 1, 1);
        trace.push(op(&trace, "_EXIT"));
        engine.compile(&trace, machine.shape())
    };
    let mut executors = Vec::new();
    let refused = loop {
        match compile() {
            Ok(executor) => executors.push(executor),
            Err(error) => break error,
        }
        assert!(executors.len() < 4096);
    };
    assert!(
        matches!(
            refused,
            CompileError::CodeMemory(CodeMemoryError::OutOfMemory { .. })
        ),
        "{refused}"
    );
    assert_eq!(engine.memory().blocks, executors.len());
    let half = executors.len() / 2;
    executors.truncate(half);
    let executor = compile().unwrap();
    machine.run(&executor);
    assert_eq!(machine.locals(), [5, 1]);
}
