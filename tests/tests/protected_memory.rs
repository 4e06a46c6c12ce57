//! Executors in code memory whose pages are writable and executable by turns: they run, call, link, are invalidated, come
//! and go as in memory with two views, and no page is ever both.

use mimeo::code_memory::{ArenaOptions, CodeArena, Mode, Placement};
use mimeo::trace::FrameShape;
use mimeo_tests::machine::Machine;
use mimeo_tests::toy::{
    self, CONSTANT, NUMBER_VALUE, ToyEngine, ToyExecutor, op, push_add_to_local,
};
use std::fs;
use std::sync::Arc;
use std::thread;

const MODES: [Mode; 2] = [Mode::Dual, Mode::Protect];

/// Locals: fuel, passes made.
const SHAPE: FrameShape = FrameShape {
    locals: 2,
    stack: 2,
    entry_depth: 0,
};

fn engine(mode: Mode, placement: Placement) -> ToyEngine {
    let options = ArenaOptions {
        mode,
        placement,
        segment_len: 1 << 20,
        max_len: 1 << 20,
    };
    let arena = CodeArena::new(options).expect("executable memory");
    assert_eq!(arena.mode(), mode);
    ToyEngine::with_arena(arena)
}

/// Exit 0: no fuel left. Exit 1: a pass was made.
fn pass(engine: &ToyEngine, passes: u64) -> ToyExecutor {
    let mut trace = engine.trace();
    trace.push(op(&trace, "_LOAD").oparg(0));
    trace.push(op(&trace, "_EXIT_IF_ZERO"));
    push_add_to_local(&mut trace, 0, u64::MAX);
    push_add_to_local(&mut trace, 1, passes);
    trace.push(op(&trace, "_EXIT"));
    engine
        .compile(&trace, SHAPE)
        .expect("a trace that is right")
}

/// The mappings of this process that can be written and executed.
fn writable_and_executable() -> Vec<String> {
    let maps = fs::read_to_string("/proc/self/maps").expect("a mounted /proc");
    let is_both = |line: &&str| {
        let permissions = line.split_whitespace().nth(1).unwrap_or_default();
        permissions.contains('w') && permissions.contains('x')
    };
    maps.lines().filter(is_both).map(str::to_owned).collect()
}

#[test]
fn linked_executors_run_and_nothing_is_writable_and_executable() {
    for mode in MODES {
        let engine = engine(mode, Placement::Anywhere);
        let (a, b) = (pass(&engine, 1), pass(&engine, 100));
        let mut machine = Machine::new(&[5, 0], 2, &[]);
        machine.run(&a);
        assert_eq!(machine.locals(), [4, 1], "{mode:?}");
        a.link(1, &b).unwrap();
        b.link(1, &a).unwrap();
        let exit = machine.run(&a);
        assert_eq!((exit.executor, exit.index), (a.id(), 0), "{mode:?}");
        assert_eq!(machine.locals(), [0, 203], "{mode:?}");
        assert_eq!(writable_and_executable(), Vec::<String>::new(), "{mode:?}");

        // Dropping one unlinks the other.
        drop(b);
        machine.locals_mut()[0] = 5;
        let exit = machine.run(&a);
        assert_eq!((exit.executor, exit.index), (a.id(), 1), "{mode:?}");
        a.invalidate();
        assert!(!a.is_valid());
        assert_eq!(writable_and_executable(), Vec::<String>::new(), "{mode:?}");
    }
}

/// What a trace's code reads besides its own bytes: constants, the executor's header, symbols near and far.
#[test]
fn code_reaches_its_data_and_functions() {
    let target = toy::resolve(toy::DOUBLE).expect("a symbol of the toy set");
    for mode in MODES {
        for placement in [Placement::Near(target), Placement::FarFrom(target)] {
            let engine = engine(mode, placement);
            let mut trace = engine.trace();
            let out = trace.label();
            trace.push(op(&trace, "_CONSTANT"));
            trace.push(op(&trace, "_CALL"));
            trace.push(op(&trace, "_STORE").oparg(0));
            if placement == Placement::Near(target) {
                trace.push(op(&trace, "_READ"));
            } else {
                trace.push(op(&trace, "_PUSH").operand(NUMBER_VALUE));
            }
            trace.push(op(&trace, "_STORE").oparg(1));
            trace.push(op(&trace, "_CHECK_VALIDITY").jump(out));
            trace.push(op(&trace, "_EXIT"));
            trace.bind(out).unwrap();
            trace.push(op(&trace, "_EXIT"));
            let executor = engine.compile(&trace, SHAPE).unwrap();
            let mut machine = Machine::new(&[0, 0], 2, &[]);
            assert_eq!(machine.run(&executor).index, 0, "{mode:?} {placement:?}");
            let locals = [CONSTANT.wrapping_mul(2), NUMBER_VALUE];
            assert_eq!(machine.locals(), locals, "{mode:?} {placement:?}");
            executor.invalidate();
            assert_eq!(machine.run(&executor).index, 1, "{mode:?} {placement:?}");
        }
    }
}

/// Memory for 128 executors serves many more that come and go, in several threads at once.
#[test]
fn memory_is_used_again() {
    let engine = Arc::new(engine(Mode::Protect, Placement::Anywhere));
    let work = |thread: u64| {
        let mut kept = Vec::new();
        for number in 0..500 {
            let passes = thread << 32 | number;
            kept.push((passes, pass(&engine, passes)));
            if kept.len() == 8 {
                let (passes, executor) = kept.swap_remove(number as usize % 8);
                let mut machine = Machine::new(&[1, 0], 2, &[]);
                machine.run(&executor);
                assert_eq!(machine.locals(), [0, passes]);
            }
        }
    };
    thread::scope(|scope| (0..4).for_each(|thread| drop(scope.spawn(move || work(thread)))));
    let memory = engine.memory();
    assert_eq!((memory.blocks, memory.in_use), (0, 0));
    assert!(memory.barriers > 0, "{memory:?}");
    assert_eq!(writable_and_executable(), Vec::<String>::new());
}
