//! What becomes of the memory of executors: nothing of it is left after they are dropped, however often, and whatever
//! other threads do with them at that moment.

use mimeo::code_memory::ArenaStats;
use mimeo::engine::CompileError;
use mimeo::trace::FrameShape;
use mimeo_tests::allocations::{CountingAllocator, held};
use mimeo_tests::machine::Machine;
use mimeo_tests::numbers::Numbers;
use mimeo_tests::toy::{ToyEngine, ToyExecutor, op, push_add_to_local};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Locals of every trace here: fuel, which each pass takes one of, and passes made.
const SHAPE: FrameShape = FrameShape {
    locals: 2,
    stack: 2,
    entry_depth: 0,
};

/// More bytes than the arena's list of freed blocks ever takes, as it is worked off when they add up to a megabyte.
const LIST_OF_FREED_BLOCKS: i64 = 1 << 17;

/// Exit 0: no fuel left. Never linked, so that every run ends.
const EMPTY: u32 = 0;
/// Exit 1: to be linked.
const NEXT: u32 = 1;

/// An executor that moves one from local 0 to local 1, in `1 + padding` steps so that sizes differ.
fn pass(engine: &ToyEngine, padding: usize) -> Result<ToyExecutor, CompileError> {
    let mut trace = engine.trace();
    trace.push(op(&trace, "_LOAD").oparg(0));
    trace.push(op(&trace, "_EXIT_IF_ZERO"));
    push_add_to_local(&mut trace, 0, u64::MAX);
    for _ in 0..padding {
        trace.push(op(&trace, "_CONSTANT"));
        trace.push(op(&trace, "_CALL"));
        trace.push(op(&trace, "_POP"));
    }
    push_add_to_local(&mut trace, 1, 1);
    trace.push(op(&trace, "_EXIT"));
    engine.compile(&trace, SHAPE)
}

/// Does something again and again with one engine, and checks that when the engine is gone as well, this thread holds what
/// it held before.
fn leaves_nothing(cycles: usize, cycle: impl Fn(&ToyEngine, usize)) -> ArenaStats {
    let repeat = |cycles| {
        let engine = ToyEngine::new();
        (0..cycles).for_each(|number| cycle(&engine, number));
        engine.memory()
    };
    // What is made once for all.
    repeat(10);
    let before = held();
    let memory = repeat(cycles);
    assert_eq!(held(), before);
    assert_eq!((memory.blocks, memory.in_use), (0, 0));
    assert_eq!(memory.segments, 1, "{memory:?}");
    memory
}

#[test]
fn ten_thousand_cycles_leave_nothing_behind() {
    let memory = leaves_nothing(10_000, |engine, number| {
        let mut machine = Machine::new(&[7, 0], 2, &[]);
        let (a, b) = (pass(engine, 0).unwrap(), pass(engine, number % 5).unwrap());
        a.link(NEXT, &b).unwrap();
        b.link(NEXT, &a).unwrap();
        let exit = machine.run(&a);
        assert_eq!((exit.executor, exit.index), (b.id(), EMPTY));
        assert_eq!(machine.locals(), [0, 7]);
        match number % 4 {
            0 => drop((a, b)),
            1 => drop((b, a)),
            2 => b.invalidate(),
            _ => a.unlink(NEXT).unwrap(),
        }
    });
    assert!(memory.barriers > 0, "it was not used again: {memory:?}");
}

#[test]
fn an_executor_that_lives_on_remembers_nothing_of_those_that_were_linked_to_it() {
    let engine = ToyEngine::new();
    let hub = pass(&engine, 0).unwrap();
    let cycle = |_| {
        let spoke = pass(&engine, 0).unwrap();
        for _ in 0..3 {
            spoke.link(NEXT, &hub).unwrap();
            hub.link(NEXT, &spoke).unwrap();
        }
    };
    (0..10).for_each(cycle);
    let before = held();
    (0..10_000).for_each(cycle);
    let after = held();
    assert!(
        after.blocks == before.blocks && after.bytes - before.bytes < LIST_OF_FREED_BLOCKS,
        "{before:?} became {after:?}"
    );
    assert_eq!(engine.memory().blocks, 1);
}

#[test]
fn traces_that_are_refused_leave_nothing_behind() {
    leaves_nothing(1000, |engine, _| {
        let mut trace = engine.trace();
        trace.push(op(&trace, "_PUSH"));
        trace.push(op(&trace, "_JUMP_TO_TOP"));
        trace.push(op(&trace, "_ADD"));
        engine.compile(&trace, SHAPE).unwrap_err();
    });
}

/// What the threads of the stress test share: executors that any of them may run, link, invalidate and replace.
struct Board {
    engine: ToyEngine,
    slots: Vec<Mutex<Option<Arc<ToyExecutor>>>>,
}

impl Board {
    fn get(&self, slot: usize) -> Option<Arc<ToyExecutor>> {
        self.slots[slot]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn put(&self, slot: usize, executor: Option<ToyExecutor>) {
        let mut place = self.slots[slot]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *place, executor.map(Arc::new));
        drop(place);
        // The last reference may be another thread's, which drops the executor when it has run it.
        drop(old);
    }

    /// One random action. Returns whether it was a run.
    fn act(&self, numbers: &mut Numbers) -> bool {
        let [one, other] = [(); 2].map(|()| numbers.below(self.slots.len()));
        match (numbers.below(10), self.get(one), self.get(other)) {
            (0, ..) => self.put(one, None),
            (1, Some(executor), _) => executor.invalidate(),
            (2, Some(executor), _) => executor.unlink(NEXT).expect("there is such an exit"),
            // Either of them may have been invalidated in the meantime.
            (3..=4, Some(from), Some(to)) => drop(from.link(NEXT, &to)),
            (5..=8, Some(executor), _) => {
                run(&executor, numbers);
                return true;
            }
            _ => {
                let padding = numbers.below(8);
                let executor = pass(&self.engine, padding).expect("a trace that compiles");
                self.put(one, Some(executor));
            }
        }
        false
    }
}

/// Runs an executor, which may be linked to any others and cut off from them on the way.
fn run(executor: &ToyExecutor, numbers: &mut Numbers) {
    let fuel = numbers.below(200) as u64;
    let mut machine = Machine::new(&[fuel, 0], 2, &[]);
    let exit = machine.run(executor);
    let &[left, passes] = machine.locals() else {
        unreachable!("there are two locals")
    };
    assert_eq!(left + passes, fuel, "a pass was lost or made twice");
    assert!(exit.index == NEXT || (exit.index == EMPTY && left == 0));
    assert!(machine.values().is_empty());
}

#[test]
fn threads_compile_run_link_invalidate_and_drop_at_once() {
    let board = Board {
        engine: ToyEngine::new(),
        slots: (0..12).map(|_| Mutex::default()).collect(),
    };
    let end = Instant::now() + Duration::from_millis(1500);
    let runs: u64 = thread::scope(|scope| {
        let threads: Vec<_> = (1..=4)
            .map(|seed| {
                let board = &board;
                scope.spawn(move || {
                    let mut numbers = Numbers::new(seed * 0x9e37_79b9);
                    let mut runs = 0;
                    while Instant::now() < end {
                        runs += u64::from(board.act(&mut numbers));
                    }
                    runs
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no thread panics"))
            .sum()
    });
    assert!(runs > 100, "only {runs} runs");
    let live = (0..board.slots.len())
        .filter(|&slot| board.get(slot).is_some())
        .count();
    // Nobody runs any more: what was dropped is freed, without waiting for another run.
    assert_eq!(board.engine.memory().blocks, live);
    (0..board.slots.len()).for_each(|slot| board.put(slot, None));
    let memory = board.engine.memory();
    assert_eq!((memory.blocks, memory.in_use), (0, 0));
    assert_eq!(memory.segments, 1, "{memory:?}");
}
