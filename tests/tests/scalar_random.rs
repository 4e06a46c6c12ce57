//! Traces made at random do on every engine what the reference says, bit for bit.
//!
//! `MIMEO_RANDOM_TRACES` says how many there are, `MIMEO_RANDOM_SEED` which the first is; a failure names its seed, and
//! `MIMEO_RANDOM_TRACES=1` with it repeats it. The seeds in work are in `random-trace-*` in cargo's directory for tests,
//! in case a trace takes the process down.

use mimeo_bench::reference::Undefined;
use mimeo_bench::{Left, Op, ScalarTrace, State};
use mimeo_tests::scalar::differential::{Compiled, Runner, Verdict, compare};
use mimeo_tests::scalar::random::{Case, Tape, make, shrink};
use std::collections::HashSet;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// As many as take some seconds.
const TRACES: u64 = 20_000;

fn setting(name: &str, otherwise: u64) -> u64 {
    let value = std::env::var(name).ok();
    value.map_or(otherwise, |value| {
        value
            .parse()
            .unwrap_or_else(|error| panic!("{name}={value}: {error}"))
    })
}

/// What was met on the way.
#[derive(Debug, Default)]
struct Tally {
    same: u64,
    steps: u64,
    ambiguous: u64,
    too_long: u64,
    uops: u64,
    exits: HashSet<u32>,
    ops: HashSet<&'static str>,
}

#[test]
fn engines_do_what_the_reference_says() {
    let (first, count) = (
        setting("MIMEO_RANDOM_SEED", 0),
        setting("MIMEO_RANDOM_TRACES", TRACES),
    );
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get() as u64);
    let tallies: Vec<Tally> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|worker| {
                scope.spawn(move || {
                    let seeds = (first..first + count).filter(|seed| seed % threads == worker);
                    run(worker, seeds)
                })
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| {
                worker
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    });
    let mut all = Tally::default();
    for tally in tallies {
        all.same += tally.same;
        all.steps += tally.steps;
        all.ambiguous += tally.ambiguous;
        all.too_long += tally.too_long;
        all.uops += tally.uops;
        all.exits.extend(tally.exits);
        all.ops.extend(tally.ops);
    }
    println!(
        "{} traces of {} uops ran {} uops; {} depend on the bits of a NaN, {} were too long",
        all.same, all.uops, all.steps, all.ambiguous, all.too_long
    );
    if count >= 1000 {
        // A generator that lost its way would prove nothing.
        assert!(all.same * 10 >= count * 9, "{all:?}");
        assert!(all.steps >= all.same * 20, "{all:?}");
        let missing: Vec<&str> = Op::ALL
            .iter()
            .map(|op| op.name())
            .filter(|name| !all.ops.contains(name))
            .collect();
        assert!(missing.is_empty(), "never made: {missing:?}");
    }
}

fn run(worker: u64, seeds: impl Iterator<Item = u64>) -> Tally {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("random-trace-{worker}"));
    let note = File::create(&place).expect("a directory for tests");
    let mut compiled = Compiled::new();
    let mut tally = Tally::default();
    for seed in seeds {
        note.write_all_at(format!("{seed:20}\n").as_bytes(), 0)
            .expect("a file that can be written");
        let mut tape = Tape::record(seed);
        let case = make(&mut tape);
        match verdict(&case, &mut compiled) {
            Verdict::Same { steps, exit } => {
                tally.same += 1;
                tally.steps += steps;
                tally.uops += case.trace.uops.len() as u64;
                tally.exits.insert(exit);
                tally
                    .ops
                    .extend(case.trace.uops.iter().map(|uop| uop.op.name()));
            }
            Verdict::Ambiguous => tally.ambiguous += 1,
            Verdict::Open(Undefined::Steps) => tally.too_long += 1,
            Verdict::Open(undefined) => panic!("seed {seed}: {undefined:?} in {case:#?}"),
            Verdict::Different(difference) => {
                report(seed, tape.choices(), &difference, &mut compiled)
            }
        }
    }
    tally
}

fn verdict(case: &Case, compiled: &mut Compiled) -> Verdict {
    let mut runners: [(&str, &mut dyn Runner); 1] = [("compiled", compiled)];
    compare(&case.trace, &case.inputs, &mut runners)
}

fn report(seed: u64, choices: &[u32], difference: &str, compiled: &mut Compiled) -> ! {
    let fails = |choices: &[u32], compiled: &mut Compiled| {
        let case = make(&mut Tape::play(choices));
        match verdict(&case, compiled) {
            Verdict::Different(difference) => Some((case, difference)),
            _ => None,
        }
    };
    let smaller = shrink(choices, |choices| fails(choices, compiled).is_some());
    match fails(&smaller, compiled) {
        Some((case, smaller)) => {
            let json = |value: serde_json::Result<String>| value.expect("plain data");
            panic!(
                "seed {seed}: {difference}\nsmaller: {smaller}\ntrace: {}\ninputs: {}",
                json(serde_json::to_string_pretty(&case.trace)),
                json(serde_json::to_string(&case.inputs))
            )
        }
        None => panic!("seed {seed}: {difference}, but not the second time"),
    }
}

/// An engine that takes one uop for another.
struct Wrong {
    compiled: Compiled,
    from: Op,
    to: Op,
}

impl Runner for Wrong {
    fn run(&mut self, trace: &ScalarTrace, state: &mut State) -> Result<Left, String> {
        let mut trace = trace.clone();
        for uop in &mut trace.uops {
            if uop.op == self.from {
                uop.op = self.to;
            }
        }
        self.compiled.run(&trace, state)
    }
}

/// The comparison sees what it is there for, and the trace that shows it is made small.
#[test]
fn a_wrong_engine_is_found_out() {
    // None that loops count by: a loop would never end.
    let pairs = [
        (Op::Mul, Op::Add),
        (Op::Shr, Op::Sar),
        (Op::LtU, Op::LeU),
        (Op::MinF, Op::MaxF),
        (Op::LoadAtS16, Op::LoadAtU16),
        (Op::MulChecked, Op::Mul),
        (Op::Div, Op::DivU),
        (Op::SelectI64, Op::SelectF64),
        (Op::SwapI64, Op::SwapF64),
        (Op::GuardTrue, Op::JumpIfFalse),
    ];
    for (from, to) in pairs {
        let mut wrong = Wrong {
            compiled: Compiled::new(),
            from,
            to,
        };
        let mut differs = |tape: &mut Tape| {
            let case = make(tape);
            let mut runners: [(&str, &mut dyn Runner); 1] = [("wrong", &mut wrong)];
            let verdict = compare(&case.trace, &case.inputs, &mut runners);
            matches!(verdict, Verdict::Different(_)).then_some(case)
        };
        let found = (0..2000).find_map(|seed| {
            let mut tape = Tape::record(seed);
            differs(&mut tape).map(|_| tape.choices().to_vec())
        });
        // Of these two do the same, so that nothing may be found.
        let alike = [Op::SelectI64, Op::SwapI64, Op::GuardTrue].contains(&from);
        assert_eq!(found.is_none(), alike, "{from} as {to}");
        let Some(found) = found else { continue };
        let smaller = shrink(&found, |choices| {
            differs(&mut Tape::play(choices)).is_some()
        });
        let case = make(&mut Tape::play(&smaller));
        assert!(case.trace.uops.len() <= 20, "{from} as {to}: {case:#?}");
    }
}
