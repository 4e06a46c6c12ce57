//! Integers in locals: nothing but arithmetic, comparisons and branches.

use super::code::Code;
use super::{Kernel, Place};
use crate::op::Op;
use crate::scalar::ScalarTraceError;

pub(super) fn kernels() -> Result<Vec<Kernel>, ScalarTraceError> {
    Ok(vec![
        sum_of_squares(1_000_000)?,
        collatz(10_000)?,
        fibonacci(500_000, 1_000_000_007)?,
        gcd(1_836_311_903, 20_000)?,
    ])
}

/// The squares of 0 to `limit` - 1, added up, every operation checked.
fn sum_of_squares(limit: i64) -> Result<Kernel, ScalarTraceError> {
    let mut code = Code::new();
    let (i, n, sum) = (code.int(0), code.int(limit), code.int(0));
    let head = code.here();
    code.load(&[sum, i, i])
        .guarded(Op::MulChecked)
        .guarded(Op::AddChecked)
        .store(sum);
    code.increment(i).repeat_below(head, i, n);
    let expected = (0..limit).map(|i| i * i).sum::<i64>();
    let results = [Place::Local(sum), Place::Local(i)];
    code.finish(
        "sum_of_squares",
        limit as u64,
        &results,
        vec![expected as u64, limit as u64],
    )
}

/// The steps that every number from 2 to `limit` - 1 takes to 1, halved if even, else tripled and one added.
fn collatz(limit: i64) -> Result<Kernel, ScalarTraceError> {
    let mut code = Code::new();
    let (start, n) = (code.int(2), code.int(limit));
    let (x, steps) = (code.int(0), code.int(0));
    let outer = code.here();
    code.copy(start, x);
    let inner = code.here();
    let (odd, next) = (code.label(), code.label());
    code.load(&[x])
        .constant(1)
        .op(Op::And)
        .jumping(Op::JumpIfTrue, odd);
    code.load(&[x]).constant(1).op(Op::Sar).store(x);
    code.jumping(Op::Jump, next).bind(odd);
    code.load(&[x])
        .constant(3)
        .guarded(Op::MulChecked)
        .constant(1)
        .guarded(Op::AddChecked)
        .store(x);
    code.bind(next).increment(steps);
    code.load(&[x])
        .constant(1)
        .op(Op::Ne)
        .jumping(Op::JumpIfTrue, inner);
    code.increment(start).repeat_below(outer, start, n);
    let mut expected = 0;
    for start in 2..limit {
        let mut x = start;
        while x != 1 {
            x = if x % 2 == 0 { x / 2 } else { 3 * x + 1 };
            expected += 1;
        }
    }
    code.finish("collatz", expected, &[Place::Local(steps)], vec![expected])
}

/// Fibonacci numbers modulo `modulus`: a division an iteration.
fn fibonacci(count: i64, modulus: i64) -> Result<Kernel, ScalarTraceError> {
    let mut code = Code::new();
    let (i, n, m) = (code.int(0), code.int(count), code.int(modulus));
    let (a, b) = (code.int(0), code.int(1));
    let head = code.here();
    code.load(&[b, a, b])
        .guarded(Op::AddChecked)
        .load(&[m])
        .guarded(Op::Rem)
        .store(b)
        .store(a);
    code.increment(i).repeat_below(head, i, n);
    let (mut x, mut y) = (0, 1);
    for _ in 0..count {
        (x, y) = (y, (x + y) % modulus);
    }
    let results = [Place::Local(a), Place::Local(b)];
    code.finish(
        "fibonacci_modulo",
        count as u64,
        &results,
        vec![x as u64, y as u64],
    )
}

/// The greatest common divisors of `number` and 1 to `limit`, added up: Euclid's algorithm.
fn gcd(number: i64, limit: i64) -> Result<Kernel, ScalarTraceError> {
    let mut code = Code::new();
    let (i, last, whole) = (code.int(1), code.int(limit), code.int(number));
    let (a, b, sum) = (code.int(0), code.int(0), code.int(0));
    let outer = code.here();
    code.copy(whole, a).copy(i, b);
    let inner = code.here();
    code.load(&[b, a, b]).guarded(Op::Rem).store(b).store(a);
    code.load(&[b]).jumping(Op::JumpIfTrue, inner);
    code.load(&[sum, a]).guarded(Op::AddChecked).store(sum);
    code.increment(i);
    code.load(&[i, last])
        .op(Op::Le)
        .jumping(Op::JumpIfTrue, outer);
    let (mut expected, mut iterations) = (0, 0);
    for i in 1..=limit {
        let (mut a, mut b) = (number, i);
        while b != 0 {
            (a, b) = (b, a % b);
            iterations += 1;
        }
        expected += a;
    }
    code.finish(
        "gcd",
        iterations,
        &[Place::Local(sum)],
        vec![expected as u64],
    )
}
