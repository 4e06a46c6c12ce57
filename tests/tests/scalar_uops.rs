//! Every scalar uop by examples: what it leaves, or that it jumps, by the reference and compiled, with its values coming
//! from the stack, from locals and from constants in every combination.

use mimeo_bench::op::Jump;
use mimeo_bench::{Inputs, Op, ScalarTrace, ScalarUop, State, Word, Writer, run_reference};
use mimeo_tests::scalar::differential::{Compiled, Outcome, Runner};
use std::collections::HashSet;

const MIN: u64 = i64::MIN as u64;
const MAX: u64 = i64::MAX as u64;
const ALL: u64 = u64::MAX;
const INFINITY: u64 = f(f64::INFINITY);
const NAN: u64 = 0xfff8_0000_0000_0000;
/// Another, with something in it.
const ODD_NAN: u64 = 0x7ff8_0000_0000_0123;
const MINUS_ZERO: u64 = f(-0.0);

const fn f(value: f64) -> u64 {
    value.to_bits()
}

const fn neg(value: i64) -> u64 {
    (-value) as u64
}

/// What a uop does.
#[derive(Clone, Copy, Debug)]
enum Does {
    Give(u64),
    Jump,
}
use Does::{Give, Jump as Jumps};

/// The uop, what it takes, and what it does.
const EXAMPLES: &[(Op, &[u64], Does)] = &[
    (Op::Add, &[MAX, 1], Give(MIN)),
    (Op::Add, &[5, neg(7)], Give(neg(2))),
    (Op::Sub, &[MIN, 1], Give(MAX)),
    (Op::Sub, &[5, 7], Give(neg(2))),
    (Op::Mul, &[MAX, 2], Give(neg(2))),
    (Op::Mul, &[neg(3), 7], Give(neg(21))),
    (Op::And, &[0b1100, 0b1010], Give(0b1000)),
    (Op::And, &[ALL, neg(256)], Give(neg(256))),
    (Op::Or, &[0b1100, 0b1010], Give(0b1110)),
    (Op::Xor, &[0b1100, 0b1010], Give(0b0110)),
    (Op::Shl, &[1, 63], Give(MIN)),
    (Op::Shl, &[3, 64], Give(3)),
    (Op::Shl, &[3, 65], Give(6)),
    (Op::Shl, &[3, ALL], Give(MIN)),
    (Op::Shr, &[MIN, 63], Give(1)),
    (Op::Shr, &[MIN, 64], Give(MIN)),
    (Op::Shr, &[ALL, 0x104], Give(ALL >> 4)),
    (Op::Sar, &[MIN, 63], Give(ALL)),
    (Op::Sar, &[neg(5), 1], Give(neg(3))),
    (Op::Sar, &[MIN, 128], Give(MIN)),
    (Op::Rotl, &[MIN | 1, 1], Give(3)),
    (Op::Rotl, &[0x1234, 64], Give(0x1234)),
    (Op::Rotr, &[3, 1], Give(MIN | 1)),
    (Op::Rotr, &[1, 0], Give(1)),
    (Op::Rotr, &[1, 68], Give(1 << 60)),
    (Op::Min, &[neg(1), 1], Give(neg(1))),
    (Op::Min, &[3, 2], Give(2)),
    (Op::Max, &[neg(1), 1], Give(1)),
    (Op::Max, &[MIN, MAX], Give(MAX)),
    (Op::MinU, &[neg(1), 1], Give(1)),
    (Op::MaxU, &[neg(1), 1], Give(neg(1))),
    (Op::AddChecked, &[MAX, 1], Jumps),
    (Op::AddChecked, &[MIN, neg(1)], Jumps),
    (Op::AddChecked, &[MAX, neg(1)], Give(MAX - 1)),
    (Op::SubChecked, &[MIN, 1], Jumps),
    (Op::SubChecked, &[0, MIN], Jumps),
    (Op::SubChecked, &[neg(1), MIN], Give(MAX)),
    (Op::MulChecked, &[MIN, neg(1)], Jumps),
    (Op::MulChecked, &[1 << 32, 1 << 31], Jumps),
    (Op::MulChecked, &[1 << 31, 1 << 31], Give(1 << 62)),
    (Op::MulChecked, &[neg(1), MAX], Give(MIN + 1)),
    (Op::Div, &[7, neg(2)], Give(neg(3))),
    (Op::Div, &[neg(7), 2], Give(neg(3))),
    (Op::Div, &[MIN, neg(1)], Jumps),
    (Op::Div, &[MIN, 1], Give(MIN)),
    (Op::Div, &[5, neg(1)], Give(neg(5))),
    (Op::Div, &[5, 0], Jumps),
    (Op::Rem, &[7, neg(2)], Give(1)),
    (Op::Rem, &[neg(7), 2], Give(neg(1))),
    (Op::Rem, &[MIN, neg(1)], Jumps),
    (Op::Rem, &[MIN + 1, neg(1)], Give(0)),
    (Op::Rem, &[0, 0], Jumps),
    (Op::DivU, &[ALL, 2], Give(MAX)),
    (Op::DivU, &[MIN, ALL], Give(0)),
    (Op::DivU, &[ALL, ALL], Give(1)),
    (Op::DivU, &[1, 0], Jumps),
    (Op::RemU, &[ALL, 10], Give(5)),
    (Op::RemU, &[MIN, ALL], Give(MIN)),
    (Op::RemU, &[1, 0], Jumps),
    (Op::Neg, &[1], Give(ALL)),
    (Op::Neg, &[MIN], Give(MIN)),
    (Op::Not, &[0], Give(ALL)),
    (Op::Not, &[0xff], Give(neg(256))),
    (Op::Abs, &[neg(5)], Give(5)),
    (Op::Abs, &[MIN], Give(MIN)),
    (Op::Abs, &[MAX], Give(MAX)),
    (Op::Clz, &[0], Give(64)),
    (Op::Clz, &[1], Give(63)),
    (Op::Clz, &[ALL], Give(0)),
    (Op::Ctz, &[0], Give(64)),
    (Op::Ctz, &[MIN], Give(63)),
    (Op::Ctz, &[12], Give(2)),
    (Op::Popcnt, &[0], Give(0)),
    (Op::Popcnt, &[ALL], Give(64)),
    (Op::Popcnt, &[0x8001_0000_0101], Give(4)),
    (
        Op::Bswap,
        &[0x0102_0304_0506_0708],
        Give(0x0807_0605_0403_0201),
    ),
    (Op::ExtendS8, &[0x1280], Give(neg(128))),
    (Op::ExtendS8, &[0x127f], Give(127)),
    (Op::ExtendS16, &[0x12_8000], Give(neg(32768))),
    (Op::ExtendS32, &[0x12_8000_0000], Give(neg(1 << 31))),
    (Op::ExtendS32, &[0x12_7fff_ffff], Give(0x7fff_ffff)),
    (Op::ExtendU8, &[0x1280], Give(0x80)),
    (Op::ExtendU16, &[0x12_8000], Give(0x8000)),
    (Op::ExtendU32, &[ALL], Give(0xffff_ffff)),
    (Op::BoolNot, &[0], Give(1)),
    (Op::BoolNot, &[1], Give(0)),
    (Op::BoolNot, &[1 << 32], Give(0)),
    (Op::Eq, &[MIN, MIN], Give(1)),
    (Op::Eq, &[0, 1 << 32], Give(0)),
    (Op::Ne, &[MIN, MIN], Give(0)),
    (Op::Ne, &[0, 1 << 32], Give(1)),
    (Op::Lt, &[neg(1), 1], Give(1)),
    (Op::Lt, &[1, 1], Give(0)),
    (Op::Le, &[1, 1], Give(1)),
    (Op::Le, &[1, neg(1)], Give(0)),
    (Op::Gt, &[neg(1), 1], Give(0)),
    (Op::Gt, &[1, MIN], Give(1)),
    (Op::Ge, &[1, 1], Give(1)),
    (Op::Ge, &[MIN, MAX], Give(0)),
    (Op::LtU, &[neg(1), 1], Give(0)),
    (Op::LtU, &[1, neg(1)], Give(1)),
    (Op::LeU, &[neg(1), 1], Give(0)),
    (Op::LeU, &[ALL, ALL], Give(1)),
    (Op::GtU, &[neg(1), 1], Give(1)),
    (Op::GtU, &[0, 0], Give(0)),
    (Op::GeU, &[neg(1), 1], Give(1)),
    (Op::GeU, &[0, 1], Give(0)),
    (Op::EqF, &[MINUS_ZERO, 0], Give(1)),
    (Op::EqF, &[NAN, NAN], Give(0)),
    (Op::NeF, &[MINUS_ZERO, 0], Give(0)),
    (Op::NeF, &[NAN, NAN], Give(1)),
    (Op::NeF, &[f(1.0), f(2.0)], Give(1)),
    (Op::LtF, &[f(-1.0), f(1.0)], Give(1)),
    (Op::LtF, &[NAN, f(1.0)], Give(0)),
    (Op::LtF, &[f(1.0), NAN], Give(0)),
    (Op::LeF, &[f(1.0), f(1.0)], Give(1)),
    (Op::LeF, &[NAN, NAN], Give(0)),
    (Op::GtF, &[INFINITY, f(1.0)], Give(1)),
    (Op::GtF, &[f(1.0), NAN], Give(0)),
    (Op::GeF, &[MINUS_ZERO, 0], Give(1)),
    (Op::GeF, &[NAN, f(1.0)], Give(0)),
    (Op::SelectI64, &[10, 20, 1], Give(10)),
    (Op::SelectI64, &[10, 20, 0], Give(20)),
    (Op::SelectI64, &[10, 20, 1 << 63], Give(10)),
    (Op::SelectF64, &[f(1.5), f(2.5), 7], Give(f(1.5))),
    (Op::SelectF64, &[f(1.5), ODD_NAN, 0], Give(ODD_NAN)),
    (
        Op::AddF,
        &[f(0.1), f(0.2)],
        Give(f(0.300_000_000_000_000_04)),
    ),
    (Op::AddF, &[INFINITY, f(f64::NEG_INFINITY)], Give(NAN)),
    (Op::SubF, &[f(1.0), f(2.5)], Give(f(-1.5))),
    (Op::SubF, &[MINUS_ZERO, 0], Give(MINUS_ZERO)),
    (Op::MulF, &[f(-0.5), f(3.0)], Give(f(-1.5))),
    (Op::MulF, &[f(f64::MAX), f(2.0)], Give(INFINITY)),
    (Op::DivF, &[f(1.0), f(3.0)], Give(f(1.0 / 3.0))),
    (Op::DivF, &[f(-1.0), 0], Give(f(f64::NEG_INFINITY))),
    (Op::DivF, &[0, 0], Give(NAN)),
    (Op::MinF, &[f(1.0), f(2.0)], Give(f(1.0))),
    (Op::MinF, &[ODD_NAN, f(2.0)], Give(f(2.0))),
    (Op::MinF, &[f(2.0), ODD_NAN], Give(ODD_NAN)),
    (Op::MinF, &[0, MINUS_ZERO], Give(MINUS_ZERO)),
    (Op::MinF, &[MINUS_ZERO, 0], Give(0)),
    (Op::MaxF, &[f(1.0), f(2.0)], Give(f(2.0))),
    (Op::MaxF, &[ODD_NAN, f(2.0)], Give(f(2.0))),
    (Op::MaxF, &[f(2.0), ODD_NAN], Give(ODD_NAN)),
    (Op::MaxF, &[0, MINUS_ZERO], Give(MINUS_ZERO)),
    (Op::NegF, &[0], Give(MINUS_ZERO)),
    (Op::NegF, &[NAN], Give(NAN ^ MIN)),
    (Op::AbsF, &[f(-2.0)], Give(f(2.0))),
    (Op::AbsF, &[NAN], Give(NAN ^ MIN)),
    (Op::SqrtF, &[f(2.25)], Give(f(1.5))),
    (Op::SqrtF, &[MINUS_ZERO], Give(MINUS_ZERO)),
    (Op::SqrtF, &[f(-1.0)], Give(NAN)),
    (Op::I64ToF64, &[neg(3)], Give(f(-3.0))),
    (
        Op::I64ToF64,
        &[(1 << 53) + 1],
        Give(f(9_007_199_254_740_992.0)),
    ),
    (Op::I64ToF64, &[MAX], Give(f(9_223_372_036_854_775_808.0))),
    (Op::F64ToI64, &[f(-2.9)], Give(neg(2))),
    (
        Op::F64ToI64,
        &[f(9_223_372_036_854_774_784.0)],
        Give(MAX - 1023),
    ),
    (Op::F64ToI64, &[f(9_223_372_036_854_775_808.0)], Jumps),
    (Op::F64ToI64, &[f(-9_223_372_036_854_775_808.0)], Jumps),
    (
        Op::F64ToI64,
        &[f(-9_223_372_036_854_774_784.0)],
        Give(MIN + 1024),
    ),
    (Op::F64ToI64, &[NAN], Jumps),
    (Op::F64ToI64, &[INFINITY], Jumps),
    (Op::F64Bits, &[ODD_NAN], Give(ODD_NAN)),
    (Op::F64FromBits, &[ODD_NAN], Give(ODD_NAN)),
    (Op::GuardIndex, &[2, 3], Give(2)),
    (Op::GuardIndex, &[3, 3], Jumps),
    (Op::GuardIndex, &[neg(1), 3], Jumps),
    (Op::GuardIndex, &[3, neg(1)], Give(3)),
];

/// Uops whose value is a condition, and for which conditions they jump.
const CONDITIONS: &[(Op, bool)] = &[
    (Op::JumpIfTrue, true),
    (Op::JumpIfFalse, false),
    (Op::GuardTrue, false),
    (Op::GuardFalse, true),
];

/// Values in memory below the uop's, which stay.
const BELOW: [u64; 2] = [0x1111, 0x2222];

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Stack,
    Local,
    Constant,
}

/// Every way in which so many values can come; what is on the stack is below the rest.
fn ways(count: usize) -> Vec<Vec<Source>> {
    let mut ways = vec![Vec::new()];
    for _ in 0..count {
        let longer = |way: &Vec<Source>| {
            let sources = [Source::Stack, Source::Local, Source::Constant];
            let possible = |source: &Source| {
                *source != Source::Stack || way.iter().all(|&before| before == Source::Stack)
            };
            let with = |source| way.iter().copied().chain([source]).collect::<Vec<_>>();
            sources
                .into_iter()
                .filter(possible)
                .map(with)
                .collect::<Vec<_>>()
        };
        ways = ways.iter().flat_map(longer).collect();
    }
    ways
}

/// A trace of one uop, which ends with target 1, or with target 2 where it jumps.
fn trace(op: Op, values: &[u64], way: &[Source]) -> (ScalarTrace, Inputs) {
    let on_stack = way
        .iter()
        .filter(|&&source| source == Source::Stack)
        .count();
    let mut inputs = Inputs {
        stack: BELOW.map(Word::Bits).to_vec(),
        ..Inputs::default()
    };
    let mut code = Writer::default().entered_with((BELOW.len() + on_stack) as u32);
    for ((&value, &source), class) in values.iter().zip(way).zip(op.inputs()) {
        let float = *class == mimeo::form::Class::Float;
        match source {
            Source::Stack => inputs.stack.push(Word::Bits(value)),
            Source::Local => {
                inputs.locals.push(Word::Bits(value));
                let local = code.local();
                match float {
                    true => code.load_f64(&[local]),
                    false => code.load(&[local]),
                };
            }
            Source::Constant => {
                code.push(ScalarUop {
                    operand: value,
                    ..ScalarUop::new(if float { Op::ConstF64 } else { Op::ConstI64 })
                });
            }
        }
    }
    let out = code.label();
    match op.jump() {
        Jump::Never => code.op(op),
        _ => code.jumping(op, out),
    };
    code.exit(1).exit_at(out, 2);
    let trace = code
        .finish()
        .unwrap_or_else(|error| panic!("{op}: {error}"));
    (trace, inputs)
}

fn check(op: Op, values: &[u64], target: u32, left: &[u64], compiled: &mut Compiled) {
    for way in ways(values.len()) {
        let (trace, inputs) = trace(op, values, &way);
        let mut state = State::new(&trace, &inputs).expect("inputs of the trace");
        let end = run_reference(&trace, &mut state, 100).expect("a trace that ends");
        let mut outcomes = vec![("reference", Outcome::of(&state, end.uop, end.target))];
        state.reset();
        let exit = compiled.run(&trace, &mut state);
        let exit = exit.unwrap_or_else(|error| panic!("{op} {values:x?} {way:?}: {error}"));
        outcomes.push(("compiled", Outcome::of(&state, exit.uop, exit.target)));
        for (name, outcome) in outcomes {
            let context = format!("{op} of {values:x?} from {way:?}, {name}");
            assert_eq!(outcome.target, target, "{context}");
            assert_eq!(outcome.values[..BELOW.len()], BELOW, "{context}");
            assert_eq!(outcome.values[BELOW.len()..], *left, "{context}");
            let locals = inputs.locals.iter().map(|word| match word {
                Word::Bits(bits) => *bits,
                Word::Address { .. } => panic!("there are no addresses"),
            });
            assert!(locals.eq(outcome.locals), "{context}");
        }
    }
}

#[test]
fn every_example_holds() {
    let mut compiled = Compiled::new();
    for &(op, values, does) in EXAMPLES {
        match does {
            Give(value) => check(op, values, 1, &[value], &mut compiled),
            Jumps => check(op, values, 2, values, &mut compiled),
        }
    }
}

#[test]
fn branches_take_their_condition() {
    let mut compiled = Compiled::new();
    for &(op, jumps_if) in CONDITIONS {
        for value in [0, 1, 2, 1 << 32, MIN, ALL] {
            let target = if (value != 0) == jumps_if { 2 } else { 1 };
            check(op, &[value], target, &[], &mut compiled);
        }
    }
}

#[test]
fn the_order_of_the_stack_is_kept() {
    let mut compiled = Compiled::new();
    for (op, value) in [(Op::DupI64, MIN), (Op::DupF64, ODD_NAN)] {
        check(op, &[value], 1, &[value, value], &mut compiled);
    }
    for (op, a, b) in [(Op::SwapI64, 5, MIN), (Op::SwapF64, ODD_NAN, MINUS_ZERO)] {
        check(op, &[a, b], 1, &[b, a], &mut compiled);
    }
    for op in [Op::DropI64, Op::DropF64] {
        check(op, &[7], 1, &[], &mut compiled);
    }
}

/// Elements of every size, not aligned, the first and the last of a buffer.
#[test]
fn elements_are_where_they_should_be() {
    const WORDS: [u64; 2] = [0x8786_8584_8382_8180, 0xf7f6_f5f4_f3f2_f1f0];
    let mut compiled = Compiled::new();
    let mut run = |op: Op, value: Option<u64>, offset: usize, index: i64| {
        let inputs = Inputs {
            locals: vec![Word::Address { buffer: 0, offset }],
            buffers: vec![WORDS.to_vec()],
            ..Inputs::default()
        };
        let mut code = Writer::new(1);
        if let Some(value) = value {
            code.int(value as i64);
        }
        code.load(&[0]).int(index).op(op).exit(1);
        let trace = code
            .finish()
            .unwrap_or_else(|error| panic!("{op}: {error}"));
        let mut state = State::new(&trace, &inputs).expect("inputs of the trace");
        let end = run_reference(&trace, &mut state, 100).expect("an access inside the buffer");
        let expected = Outcome::of(&state, end.uop, end.target);
        state.reset();
        let exit = compiled.run(&trace, &mut state).expect("a trace that runs");
        let found = Outcome::of(&state, exit.uop, exit.target);
        assert_eq!(expected.difference(&found), None, "{op} at {offset}");
        (found.values, found.buffers[0].clone())
    };
    let loads = [
        (Op::LoadAtS8, 0, 3, 0xffff_ffff_ffff_ff83),
        (Op::LoadAtU8, 0, 15, 0xf7),
        (Op::LoadAtS16, 1, 2, 0xffff_ffff_ffff_8685),
        (Op::LoadAtU16, 14, 0, 0xf7f6),
        (Op::LoadAtS32, 1, 1, 0xffff_ffff_f087_8685),
        (Op::LoadAtU32, 4, 2, 0xf7f6_f5f4),
        (Op::LoadAtI64, 4, 0, 0xf3f2_f1f0_8786_8584),
        (Op::LoadAtF64, 0, 1, WORDS[1]),
        (Op::LoadAtI64, 16, -1, WORDS[1]),
        (Op::LoadAtS8, 16, -16, 0xffff_ffff_ffff_ff80),
    ];
    for (op, offset, index, expected) in loads {
        assert_eq!(run(op, None, offset, index).0, [expected], "{op}");
    }
    let value = 0x1122_3344_5566_7788;
    let stores = [
        (Op::StoreAt8, 0, 3, [0x8786_8584_8882_8180, WORDS[1]]),
        (Op::StoreAt16, 1, 1, [0x8786_8577_8882_8180, WORDS[1]]),
        (Op::StoreAt32, 2, 2, [WORDS[0], 0xf7f6_5566_7788_f1f0]),
        (
            Op::StoreAtI64,
            4,
            0,
            [0x5566_7788_8382_8180, 0xf7f6_f5f4_1122_3344],
        ),
        (Op::StoreAtF64, 8, -1, [value, WORDS[1]]),
    ];
    for (op, offset, index, expected) in stores {
        let (values, words) = run(op, Some(value), offset, index);
        assert!(values.is_empty(), "{op}");
        assert_eq!(words, expected, "{op}");
    }
}

/// A uop without an example could do anything.
#[test]
fn every_uop_is_shown() {
    let examples = EXAMPLES.iter().map(|(op, ..)| *op);
    let conditions = CONDITIONS.iter().map(|(op, _)| *op);
    let shown: HashSet<Op> = examples.chain(conditions).collect();
    for &op in Op::ALL {
        let elsewhere = op.calls()
            || op.names_local()
            || op.is_terminal()
            || op.name().contains("_AT_")
            || ["CONST", "DUP", "DROP", "SWAP"]
                .iter()
                .any(|name| op.name().starts_with(name));
        assert!(elsewhere || shown.contains(&op), "{op}");
    }
}

/// The table and the uops as data say the same of each other.
#[test]
fn the_table_is_of_these_uops() {
    let table = mimeo_ir_templates::scalar_table().expect("the embedded table");
    let names: HashSet<&str> = Op::ALL.iter().map(|op| op.name()).collect();
    assert_eq!(names.len(), Op::ALL.len());
    for id in table.uops() {
        let uop = table.uop(id);
        // Plumbing is not for traces.
        if uop.name.starts_with('_') {
            continue;
        }
        let op = Op::from_name(uop.name).unwrap_or_else(|| panic!("{} is unknown", uop.name));
        let effect = mimeo::stencil::StackEffect::fixed(
            op.inputs().len() as u8,
            if op.is_terminal() {
                0
            } else {
                op.outputs().len() as u8
            },
        );
        assert_eq!(uop.effect, effect, "{op}");
        assert_eq!(uop.flags.needs_jump(), op.jump() != Jump::Never, "{op}");
        if op.jump() != Jump::Never {
            let depth = op.inputs().len() as u32;
            assert_eq!(
                uop.leaving_effect.apply(depth.into(), 0),
                op.depth_at_label(depth).map(u64::from),
                "{op}"
            );
        }
    }
    for name in names {
        assert!(table.find(name).is_some(), "{name} is not in the table");
    }
}
