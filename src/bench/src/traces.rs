//! Random traces to compile: straight code as tracing front ends emit it, with a guard in every fifth or sixth uop.
//!
//! A quarter of the statements work on floats, the others on integers; operands are mostly locals, some constants, some elements
//! of an array behind a bounds guard. Guards and checked operations lead to exits behind the trace's code, each shared by
//! a few of them, as one resume point serves the operations of one statement. A trace runs once through and leaves through its last exit
//! or through that of a guard; no operation traps.

use crate::op::Op;
use crate::scalar::{Label, ScalarTrace, ScalarTraceError, ScalarUop, Writer};
use crate::state::{Inputs, Word};

/// A pseudo-random sequence: Steele, Lea and Flood's SplitMix64.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence of a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below `limit`, which is not 0.
    pub const fn below(&mut self, limit: u32) -> u32 {
        (((self.next() >> 32) * limit as u64) >> 32) as u32
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u32) as usize]
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.below(100) < percent
    }
}

/// The local that holds the array's address, and the one that holds its length.
const ARRAY: u32 = 0;
const LENGTH: u32 = 1;
/// Locals that hold integers, and those that hold floats.
const INTEGERS: std::ops::Range<u32> = 2..12;
const FLOATS: std::ops::Range<u32> = 12..20;
const LOCALS: u32 = 20;
/// Elements of the array.
const ELEMENTS: usize = 64;
/// The most guards that share an exit.
const SHARED: u32 = 4;

/// A random trace of exactly `uops` uops; 1 gives a trace that only leaves.
///
/// # Errors
/// Never, unless this generator is wrong: the traces are checked.
pub fn random_trace(seed: u64, uops: usize) -> Result<ScalarTrace, ScalarTraceError> {
    let mut generator = Generator {
        random: Random::new(seed),
        writer: Writer::new(LOCALS),
        exits: Vec::new(),
        written: 0,
        targets: 1,
    };
    // The last exit and those of guards are uops as well.
    while generator.written + generator.exits.len() + 1 + LONGEST <= uops {
        generator.statement();
    }
    while generator.written + generator.exits.len() + 1 < uops {
        generator.filler(uops);
    }
    generator.finish()
}

/// What random traces run on.
pub fn random_inputs(seed: u64) -> Inputs {
    let mut random = Random::new(seed);
    let mut locals = vec![Word::buffer(0), Word::from(ELEMENTS as i64)];
    for _ in INTEGERS {
        locals.push(Word::from(i64::from(random.below(1 << 20)) - (1 << 19)));
    }
    for _ in FLOATS {
        locals.push(Word::from(
            f64::from(random.below(1 << 20)) / 1024.0 - 300.0,
        ));
    }
    let elements = (0..ELEMENTS).map(|_| u64::from(random.below(1 << 16)));
    Inputs {
        locals,
        stack: Vec::new(),
        buffers: vec![elements.collect()],
    }
}

/// The share of a trace's uops that may leave it through an exit behind them.
pub fn exit_share(trace: &ScalarTrace) -> f64 {
    let leaves = |to: usize| trace.uops[to].op == Op::Exit;
    let guards = trace
        .uops
        .iter()
        .filter(|uop| trace.destination(uop).is_some_and(leaves));
    guards.count() as f64 / trace.uops.len().max(1) as f64
}

/// No statement has more uops and exits than this.
const LONGEST: usize = 16;

/// An exit behind the code: its label, how many values are on the stack there, how many guards go to it.
struct Exit {
    label: Label,
    depth: u32,
    guards: u32,
    target: u32,
}

struct Generator {
    random: Random,
    writer: Writer,
    exits: Vec<Exit>,
    written: usize,
    targets: u32,
}

impl Generator {
    fn push(&mut self, uop: ScalarUop) {
        self.writer.push(uop);
        self.written += 1;
    }

    fn op(&mut self, op: Op) {
        self.push(ScalarUop::new(op));
    }

    fn local(&mut self, op: Op, oparg: u32) {
        self.push(ScalarUop {
            oparg,
            ..ScalarUop::new(op)
        });
    }

    fn constant(&mut self, op: Op, operand: u64) {
        self.push(ScalarUop {
            operand,
            ..ScalarUop::new(op)
        });
    }

    /// A uop that jumps to an exit with so many values on the stack.
    fn guard(&mut self, op: Op, depth: u32) {
        let open = self
            .exits
            .iter_mut()
            .rev()
            .take(3)
            .find(|exit| exit.depth == depth && exit.guards < SHARED);
        let label = match open {
            Some(exit) => {
                exit.guards += 1;
                exit.label
            }
            None => {
                let label = self.writer.label();
                let target = self.targets;
                self.targets += 1;
                self.exits.push(Exit {
                    label,
                    depth,
                    guards: 1,
                    target,
                });
                label
            }
        };
        self.writer.jumping(op, label);
        self.written += 1;
    }

    fn integer_local(&mut self) -> u32 {
        INTEGERS.start + self.random.below(INTEGERS.end - INTEGERS.start)
    }

    fn float_local(&mut self) -> u32 {
        FLOATS.start + self.random.below(FLOATS.end - FLOATS.start)
    }

    fn integer(&mut self) {
        if self.random.chance(70) {
            let local = self.integer_local();
            self.local(Op::LoadI64, local);
        } else {
            let value = i64::from(self.random.below(2000)) - 1000;
            self.constant(Op::ConstI64, value as u64);
        }
    }

    fn float(&mut self) {
        if self.random.chance(80) {
            let local = self.float_local();
            self.local(Op::LoadF64, local);
        } else {
            let value = f64::from(self.random.below(1000)) / 8.0;
            self.constant(Op::ConstF64, value.to_bits());
        }
    }

    fn statement(&mut self) {
        match self.random.below(100) {
            0..35 => self.integer_statement(),
            35..65 => self.compare_and_guard(),
            65..75 => self.element(),
            75..92 => self.float_statement(),
            _ => self.compare_floats_and_guard(),
        }
    }

    /// `local = local op value`, checked for the most part, with a second operation now and then.
    fn integer_statement(&mut self) {
        const CHECKED: [Op; 3] = [Op::AddChecked, Op::AddChecked, Op::SubChecked];
        const PLAIN: [Op; 6] = [Op::And, Op::Or, Op::Xor, Op::Add, Op::Sub, Op::Mul];
        self.integer();
        for _ in 0..=self.random.below(2) {
            self.integer();
            if self.random.chance(85) {
                let op = self.random.pick(&CHECKED);
                self.guard(op, 2);
            } else {
                let op = self.random.pick(&PLAIN);
                self.op(op);
            }
        }
        if self.random.chance(25) {
            let count = self.random.below(8);
            self.constant(Op::ConstI64, count.into());
            let op = self.random.pick(&[Op::Shl, Op::Sar, Op::Shr]);
            self.op(op);
        }
        let local = self.integer_local();
        self.local(Op::StoreI64, local);
    }

    /// A comparison whose result is as expected or leaves.
    fn compare_and_guard(&mut self) {
        self.integer();
        self.integer();
        let op = self.random.pick(&[Op::Lt, Op::Ge, Op::Ne, Op::LtU]);
        self.op(op);
        let guard = self.random.pick(&[Op::GuardTrue, Op::GuardFalse]);
        self.guard(guard, 0);
    }

    fn compare_floats_and_guard(&mut self) {
        self.float();
        self.float();
        let op = self.random.pick(&[Op::LtF, Op::GeF, Op::LeF]);
        self.op(op);
        let guard = self.random.pick(&[Op::GuardTrue, Op::GuardFalse]);
        self.guard(guard, 0);
    }

    /// `local = array[local & 63]`, or the other way round.
    fn element(&mut self) {
        let stores = self.random.chance(30);
        if stores {
            self.integer();
        }
        self.local(Op::LoadI64, ARRAY);
        let local = self.integer_local();
        self.local(Op::LoadI64, local);
        self.constant(Op::ConstI64, ELEMENTS as u64 - 1);
        self.op(Op::And);
        self.local(Op::LoadI64, LENGTH);
        self.guard(Op::GuardIndex, 3 + u32::from(stores));
        if stores {
            self.op(Op::StoreAtI64);
        } else {
            self.op(Op::LoadAtI64);
            let local = self.integer_local();
            self.local(Op::StoreI64, local);
        }
    }

    fn float_statement(&mut self) {
        self.float();
        for _ in 0..=self.random.below(3) {
            self.float();
            let op =
                self.random
                    .pick(&[Op::AddF, Op::SubF, Op::MulF, Op::MulF, Op::AddF, Op::MaxF]);
            self.op(op);
        }
        let local = self.float_local();
        self.local(Op::StoreF64, local);
    }

    /// One or two uops, to come out at the number that was asked for.
    fn filler(&mut self, uops: usize) {
        if self.written + self.exits.len() + 3 <= uops {
            let local = self.integer_local();
            self.local(Op::LoadI64, local);
            self.local(Op::StoreI64, local);
        } else {
            let label = self.writer.label();
            self.writer.jumping(Op::Jump, label);
            self.writer.bind(label);
            self.written += 1;
        }
    }

    fn finish(mut self) -> Result<ScalarTrace, ScalarTraceError> {
        self.writer.exit(0);
        for exit in std::mem::take(&mut self.exits) {
            self.writer.exit_at(exit.label, exit.target);
        }
        self.writer.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_are_as_long_as_asked_for() {
        for uops in [1, 2, 3, 17, 100, 1000, 10_000] {
            for seed in 0..20 {
                let trace = random_trace(seed, uops).expect("a trace that makes sense");
                assert_eq!(trace.uops.len(), uops);
            }
        }
    }

    #[test]
    fn traces_differ_by_seed_alone() {
        assert_eq!(random_trace(1, 500), random_trace(1, 500));
        assert_ne!(random_trace(1, 500), random_trace(2, 500));
    }

    #[test]
    fn every_fifth_or_sixth_uop_may_leave() {
        let trace = random_trace(3, 10_000).expect("a trace that makes sense");
        let share = exit_share(&trace);
        assert!((0.15..0.21).contains(&share), "{share}");
    }
}
