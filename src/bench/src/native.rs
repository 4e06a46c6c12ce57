//! The functions that scalar traces may call. A trace names one by its number in [`NATIVES`], so that traces can be
//! written to a file; its address takes the number's place when the trace is made one of mimeo's.

use crate::op::Op;

/// A function's address, by its type.
#[derive(Clone, Copy, Debug)]
pub enum Function {
    /// No arguments.
    Int0(extern "C" fn() -> i64),
    /// One integer.
    Int1(extern "C" fn(i64) -> i64),
    /// Two integers.
    Int2(extern "C" fn(i64, i64) -> i64),
    /// Three integers.
    Int3(extern "C" fn(i64, i64, i64) -> i64),
    /// Four integers.
    Int4(extern "C" fn(i64, i64, i64, i64) -> i64),
    /// Five integers.
    Int5(extern "C" fn(i64, i64, i64, i64, i64) -> i64),
    /// Six integers.
    Int6(extern "C" fn(i64, i64, i64, i64, i64, i64) -> i64),
    /// One float.
    Float1(extern "C" fn(f64) -> f64),
    /// Two floats.
    Float2(extern "C" fn(f64, f64) -> f64),
}

impl Function {
    /// The address, as an operand.
    pub fn address(self) -> u64 {
        let address = match self {
            Self::Int0(function) => function as *const (),
            Self::Int1(function) => function as *const (),
            Self::Int2(function) => function as *const (),
            Self::Int3(function) => function as *const (),
            Self::Int4(function) => function as *const (),
            Self::Int5(function) => function as *const (),
            Self::Int6(function) => function as *const (),
            Self::Float1(function) => function as *const (),
            Self::Float2(function) => function as *const (),
        };
        address as u64
    }

    /// The uop that calls it.
    pub const fn op(self) -> Op {
        match self {
            Self::Int0(_) => Op::Call0,
            Self::Int1(_) => Op::Call1,
            Self::Int2(_) => Op::Call2,
            Self::Int3(_) => Op::Call3,
            Self::Int4(_) => Op::Call4,
            Self::Int5(_) => Op::Call5,
            Self::Int6(_) => Op::Call6,
            Self::Float1(_) => Op::CallF1,
            Self::Float2(_) => Op::CallF2,
        }
    }
}

/// The functions, one for each uop that calls.
pub static NATIVES: &[Function] = &[
    Function::Int0(answer),
    Function::Int1(scramble),
    Function::Int2(difference),
    Function::Int3(weigh_3),
    Function::Int4(weigh_4),
    Function::Int5(weigh_5),
    Function::Int6(weigh_6),
    Function::Float1(halve),
    Function::Float2(hypotenuse),
];

/// The function with this number, if `op` can call it.
pub fn native(op: Op, number: u64) -> Option<Function> {
    let function = *NATIVES.get(usize::try_from(number).ok()?)?;
    (function.op() == op).then_some(function)
}

extern "C" fn answer() -> i64 {
    42
}

extern "C" fn scramble(a: i64) -> i64 {
    // The multiplier is that of Knuth's linear congruential generator MMIX.
    a.wrapping_mul(6_364_136_223_846_793_005).rotate_left(23)
}

extern "C" fn difference(a: i64, b: i64) -> i64 {
    a.wrapping_sub(b)
}

/// Weighs the arguments differently, so that none can be taken for another.
fn weigh(arguments: &[i64]) -> i64 {
    arguments.iter().fold(0i64, |sum, &argument| {
        sum.wrapping_mul(31).wrapping_add(argument)
    })
}

extern "C" fn weigh_3(a: i64, b: i64, c: i64) -> i64 {
    weigh(&[a, b, c])
}

extern "C" fn weigh_4(a: i64, b: i64, c: i64, d: i64) -> i64 {
    weigh(&[a, b, c, d])
}

extern "C" fn weigh_5(a: i64, b: i64, c: i64, d: i64, e: i64) -> i64 {
    weigh(&[a, b, c, d, e])
}

extern "C" fn weigh_6(a: i64, b: i64, c: i64, d: i64, e: i64, f: i64) -> i64 {
    weigh(&[a, b, c, d, e, f])
}

extern "C" fn halve(a: f64) -> f64 {
    a * 0.5
}

extern "C" fn hypotenuse(a: f64, b: f64) -> f64 {
    (a * a + b * b).sqrt()
}
