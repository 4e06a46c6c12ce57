//! Programs made at random do on mimeo what they do on the machine's Python: every local at the end is the same, bit for
//! bit, and so is the exception; and they leave no object behind.
//!
//! `MIMEO_PROGRAMS` says how many programs there are, `MIMEO_PROGRAMS_SEED` which the first is, `MIMEO_PYTHON` which Python
//! judges; a failure names its seed, and `MIMEO_PROGRAMS=1` with it repeats it. `MIMEO_PROGRAMS_TRACES=1` shows the traces.
//! The seeds in work are in `program-*` in cargo's directory for tests, in case a program takes the process down.

use mimeo_tests::programs::ast::Program;
use mimeo_tests::programs::generate::generate;
use mimeo_tests::programs::machine::Way;
use mimeo_tests::programs::outcome::agrees;
use mimeo_tests::programs::python::{Answer, Python};
use mimeo_tests::programs::shrink::shrink;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// As many as take half a minute.
const PROGRAMS: u64 = 4_000;

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
    too_long: u64,
    /// Statements that ran.
    steps: u64,
    traces: u64,
    raised: BTreeMap<String, u64>,
    /// What is valid Python that the objects say they do not cover.
    unsupported: BTreeMap<String, u64>,
    failures: Vec<String>,
}

/// How many failures one thread looks for before it gives up.
const ENOUGH: usize = 4;

/// Whoever takes part in the comparison.
struct Judges {
    python: Python,
    ways: Vec<Way>,
}

/// What came out of one program.
enum Verdict {
    Same {
        steps: u64,
        traces: u64,
        raised: Option<String>,
    },
    TooLong,
    Unsupported(String),
    Different(String),
}

impl Judges {
    /// Compares Python with the interpreter, with the engine that makes use of everything, and with one that does not,
    /// another for each seed.
    fn verdict(&mut self, program: &Program, seed: u64) -> Verdict {
        let Answer::Ended {
            outcome: expected,
            steps,
            cycles,
        } = self.python.run(program)
        else {
            return Verdict::TooLong;
        };
        let mut traces = 0;
        let other = 2 + seed as usize % (self.ways.len() - 2);
        for way in [0, 1, other] {
            let way = &self.ways[way];
            let run = way.run(program, seed);
            traces += run.traces as u64;
            // Memory is limited in different ways.
            let classes = [&expected, &run.outcome].map(|outcome| outcome.raised.as_ref());
            if classes
                .into_iter()
                .flatten()
                .any(|raised| raised.class == "MemoryError")
            {
                return Verdict::TooLong;
            }
            if let Some(raised) = &run.outcome.raised
                && raised.class == "NotSupported"
            {
                return Verdict::Unsupported(raised.message.clone());
            }
            if !agrees(&expected, &run.outcome, self.python.version) {
                return Verdict::Different(format!(
                    "Python ends with\n{expected}\n{way} with\n{}",
                    run.outcome
                ));
            }
            if run.left != 0 && !cycles {
                return Verdict::Different(format!("{way} leaves {} objects", run.left));
            }
        }
        Verdict::Same {
            steps,
            traces,
            raised: expected.raised.map(|raised| raised.class),
        }
    }

    fn report(&mut self, program: &Program, seed: u64, difference: &str) -> String {
        let smaller = shrink(program, |program| {
            matches!(self.verdict(program, seed), Verdict::Different(_))
        });
        let Verdict::Different(smaller_difference) = self.verdict(&smaller, seed) else {
            return format!("seed {seed}: {difference}\nbut not the second time, in\n{program}");
        };
        format!("seed {seed}: {smaller_difference}\n{smaller}")
    }
}

fn run(worker: u64, seeds: impl Iterator<Item = u64>) -> Tally {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("program-{worker}"));
    let note = File::create(&place).expect("a directory for tests");
    let mut judges = Judges {
        python: Python::start(),
        ways: Way::all(),
    };
    let mut tally = Tally::default();
    for seed in seeds {
        note.write_all_at(format!("{seed:20}\n").as_bytes(), 0)
            .expect("a file that can be written");
        let program = generate(seed);
        match judges.verdict(&program, seed) {
            Verdict::Same {
                steps,
                traces,
                raised,
            } => {
                tally.same += 1;
                tally.steps += steps;
                tally.traces += traces;
                if let Some(raised) = raised {
                    *tally.raised.entry(raised).or_default() += 1;
                }
            }
            Verdict::TooLong => tally.too_long += 1,
            Verdict::Unsupported(what) => *tally.unsupported.entry(what).or_default() += 1,
            Verdict::Different(difference) => {
                let failure = judges.report(&program, seed, &difference);
                tally.failures.push(failure);
                if tally.failures.len() == ENOUGH {
                    break;
                }
            }
        }
    }
    tally
}

/// The first that assigns and jumps as Python should: in 3.11.2, which Debian 12 has, `a, b, b = 1, 2, 3` may leave 2 in b, and a
/// `break` may be taken for one outside of a loop.
const FIRST_SOUND: (u64, u64, u64) = (3, 11, 7);

/// The last whose messages are those of 3.13.
const LAST_ALIKE: (u64, u64) = (3, 13);

#[test]
fn programs_do_what_python_does() {
    let python = Python::start();
    let ((major, minor), patch) = (python.version, python.patch);
    drop(python);
    if (major, minor, patch) < FIRST_SOUND || (major, minor) > LAST_ALIKE {
        eprintln!(
            "SKIPPED: programs are compared with Python 3.11.7 to 3.13, this is {major}.{minor}.{patch}"
        );
        return;
    }
    let (first, count) = (
        setting("MIMEO_PROGRAMS_SEED", 0),
        setting("MIMEO_PROGRAMS", PROGRAMS),
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
        all.too_long += tally.too_long;
        all.steps += tally.steps;
        all.traces += tally.traces;
        all.failures.extend(tally.failures);
        for (class, count) in tally.raised {
            *all.raised.entry(class).or_default() += count;
        }
        for (what, count) in tally.unsupported {
            *all.unsupported.entry(what).or_default() += count;
        }
    }
    println!(
        "{} programs of {} statements run were the same, by {} traces; {} ran too long; raised: {:?}; not supported: {:?}",
        all.same, all.steps, all.traces, all.too_long, all.raised, all.unsupported
    );
    assert!(all.failures.is_empty(), "{}", all.failures.join("\n"));
    if count >= 1000 {
        // A generator that lost its way would prove nothing.
        assert!(all.same * 10 >= count * 8, "{} the same", all.same);
        assert!(all.steps >= all.same * 20, "{} statements", all.steps);
        assert!(all.raised.len() >= 6, "{:?}", all.raised);
    }
}
