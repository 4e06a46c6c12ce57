//! Floats: in locals and in flat arrays. The oracles compute in the same order, so results are the same to the bit.

use super::code::Code;
use super::data::{numbers, words_of_f64};
use super::{Kernel, Place};
use crate::op::Op;
use crate::scalar::ScalarTraceError;

pub(super) fn kernels() -> Result<Vec<Kernel>, ScalarTraceError> {
    Ok(vec![
        mandelbrot(64, 200)?,
        n_body(2_000)?,
        matrix_multiply(64)?,
        dot_product(4096, 32)?,
    ])
}

/// Points of a square grid over the Mandelbrot set, each iterated at most `most` times; the iterations added up.
fn mandelbrot(size: i64, most: i64) -> Result<Kernel, ScalarTraceError> {
    const LEFT: f64 = -2.0;
    const BOTTOM: f64 = -1.25;
    let step = 2.5 / size as f64;
    let mut code = Code::new();
    let (x, y, n) = (code.int(0), code.int(0), code.int(size));
    let (k, limit, total) = (code.int(0), code.int(most), code.int(0));
    let [cr, ci, zr, zi, zr2, zi2] = [(); 6].map(|()| code.float(0.0));
    let scale = code.float(step);
    let row = code.here();
    code.load(&[y])
        .op(Op::I64ToF64)
        .load_f64(&[scale])
        .op(Op::MulF)
        .constant_f64(BOTTOM)
        .op(Op::AddF)
        .store_f64(ci)
        .set(x, 0);
    let point = code.here();
    code.load(&[x])
        .op(Op::I64ToF64)
        .load_f64(&[scale])
        .op(Op::MulF)
        .constant_f64(LEFT)
        .op(Op::AddF)
        .store_f64(cr);
    code.constant_f64(0.0).store_f64(zr);
    code.constant_f64(0.0).store_f64(zi);
    code.set(k, 0);
    let inner = code.here();
    let escaped = code.label();
    code.load_f64(&[zr, zr]).op(Op::MulF).store_f64(zr2);
    code.load_f64(&[zi, zi]).op(Op::MulF).store_f64(zi2);
    code.load_f64(&[zr2, zi2])
        .op(Op::AddF)
        .constant_f64(4.0)
        .op(Op::GtF)
        .jumping(Op::JumpIfTrue, escaped);
    code.load_f64(&[zr, zi])
        .ops(&[Op::MulF, Op::DupF64, Op::AddF])
        .load_f64(&[ci])
        .op(Op::AddF)
        .store_f64(zi);
    code.load_f64(&[zr2, zi2])
        .op(Op::SubF)
        .load_f64(&[cr])
        .op(Op::AddF)
        .store_f64(zr);
    code.increment(k).repeat_below(inner, k, limit);
    code.bind(escaped)
        .load(&[total, k])
        .guarded(Op::AddChecked)
        .store(total);
    code.increment(x).repeat_below(point, x, n);
    code.increment(y).repeat_below(row, y, n);

    let mut expected = 0;
    for y in 0..size {
        let ci = y as f64 * step + BOTTOM;
        for x in 0..size {
            let cr = x as f64 * step + LEFT;
            let (mut zr, mut zi) = (0.0, 0.0);
            for _ in 0..most {
                let (zr2, zi2) = (zr * zr, zi * zi);
                if zr2 + zi2 > 4.0 {
                    break;
                }
                let product: f64 = zr * zi;
                zi = product + product + ci;
                zr = zr2 - zi2 + cr;
                expected += 1;
            }
        }
    }
    code.finish(
        "mandelbrot",
        expected,
        &[Place::Local(total)],
        vec![expected],
    )
}

/// Five bodies that attract each other, so many steps on: positions and velocities, coordinate by coordinate.
fn n_body(steps: i64) -> Result<Kernel, ScalarTraceError> {
    const STEP: f64 = 0.01;
    let mut next = numbers(5);
    let mut coordinates =
        |scale: f64| -> Vec<f64> { (0..5).map(|_| (next() % 1000) as f64 * scale).collect() };
    let positions: [Vec<f64>; 3] = std::array::from_fn(|_| coordinates(0.03));
    let velocities: [Vec<f64>; 3] = std::array::from_fn(|_| coordinates(0.002));
    let masses = coordinates(0.01);

    let mut code = Code::new();
    let position = [0, 1, 2].map(|axis| code.buffer(words_of_f64(&positions[axis])));
    let velocity = [0, 1, 2].map(|axis| code.buffer(words_of_f64(&velocities[axis])));
    let mass = code.buffer(words_of_f64(&masses));
    let (t, last, i, j) = (code.int(0), code.int(steps), code.int(0), code.int(0));
    let (count, before_last) = (code.int(5), code.int(4));
    let distance = [(); 3].map(|()| code.float(0.0));
    let (square, magnitude, weight) = (code.float(0.0), code.float(0.0), code.float(0.0));
    let dt = code.float(STEP);
    let step = code.here();
    code.set(i, 0);
    let first = code.here();
    code.load(&[i]).constant(1).op(Op::Add).store(j);
    let pair = code.here();
    code.load(&[i, count])
        .guarded(Op::GuardIndex)
        .op(Op::DropI64)
        .load(&[j, count])
        .guarded(Op::GuardIndex)
        .op(Op::DropI64);
    for axis in 0..3 {
        code.load(&[position[axis], i])
            .op(Op::LoadAtF64)
            .load(&[position[axis], j])
            .ops(&[Op::LoadAtF64, Op::SubF])
            .store_f64(distance[axis]);
    }
    code.load_f64(&[distance[0], distance[0]])
        .op(Op::MulF)
        .load_f64(&[distance[1], distance[1]])
        .ops(&[Op::MulF, Op::AddF])
        .load_f64(&[distance[2], distance[2]])
        .ops(&[Op::MulF, Op::AddF])
        .store_f64(square);
    code.load_f64(&[dt, square, square])
        .ops(&[Op::SqrtF, Op::MulF, Op::DivF])
        .store_f64(magnitude);
    for (body, other, change) in [(i, j, Op::SubF), (j, i, Op::AddF)] {
        code.load(&[mass, other])
            .op(Op::LoadAtF64)
            .load_f64(&[magnitude])
            .op(Op::MulF)
            .store_f64(weight);
        for axis in 0..3 {
            code.load(&[velocity[axis], body])
                .op(Op::LoadAtF64)
                .load_f64(&[distance[axis], weight])
                .ops(&[Op::MulF, change])
                .load(&[velocity[axis], body])
                .op(Op::StoreAtF64);
        }
    }
    code.increment(j).repeat_below(pair, j, count);
    code.increment(i).repeat_below(first, i, before_last);
    code.set(i, 0);
    let move_on = code.here();
    for axis in 0..3 {
        code.element(Op::LoadAtF64, position[axis], i, count)
            .load_f64(&[dt])
            .load(&[velocity[axis], i])
            .ops(&[Op::LoadAtF64, Op::MulF, Op::AddF])
            .load(&[position[axis], i])
            .op(Op::StoreAtF64);
    }
    code.increment(i).repeat_below(move_on, i, count);
    code.increment(t).repeat_below(step, t, last);

    let (p, v) = move_bodies(positions, velocities, &masses, STEP, steps);
    let expected = p.iter().chain(&v).flat_map(|axis| words_of_f64(axis));
    // Ten pairs a step.
    code.finish(
        "n_body",
        10 * steps as u64,
        &[0, 1, 2, 3, 4, 5].map(Place::Buffer),
        expected.collect(),
    )
}

type Axes = [Vec<f64>; 3];

fn move_bodies(mut p: Axes, mut v: Axes, masses: &[f64], dt: f64, steps: i64) -> (Axes, Axes) {
    for _ in 0..steps {
        for i in 0..4 {
            for j in i + 1..5 {
                let [x, y, z] = [0, 1, 2].map(|axis: usize| p[axis][i] - p[axis][j]);
                let square = x * x + y * y + z * z;
                let magnitude = dt / (square * square.sqrt());
                for (axis, distance) in [x, y, z].into_iter().enumerate() {
                    v[axis][i] -= distance * (masses[j] * magnitude);
                    v[axis][j] += distance * (masses[i] * magnitude);
                }
            }
        }
        for (p, v) in p.iter_mut().zip(&v) {
            for (p, v) in p.iter_mut().zip(v) {
                *p += dt * v;
            }
        }
    }
    (p, v)
}

/// The product of two square matrices, row by column.
fn matrix_multiply(size: usize) -> Result<Kernel, ScalarTraceError> {
    let mut next = numbers(7);
    let mut matrix = || -> Vec<f64> {
        (0..size * size)
            .map(|_| (next() % 1000) as f64 * 0.125)
            .collect()
    };
    let (left, right) = (matrix(), matrix());
    let mut code = Code::new();
    let a = code.buffer(words_of_f64(&left));
    let b = code.buffer(words_of_f64(&right));
    let c = code.buffer(vec![0; size * size]);
    let (n, length) = (code.int(size as i64), code.int((size * size) as i64));
    let [i, j, k, row, at_a, at_b] = [(); 6].map(|()| code.int(0));
    let sum = code.float(0.0);
    let rows = code.here();
    code.set(j, 0);
    let columns = code.here();
    code.set(k, 0).copy(row, at_a).copy(j, at_b);
    code.constant_f64(0.0).store_f64(sum);
    let inner = code.here();
    code.load_f64(&[sum])
        .element(Op::LoadAtF64, a, at_a, length)
        .element(Op::LoadAtF64, b, at_b, length)
        .ops(&[Op::MulF, Op::AddF])
        .store_f64(sum);
    code.increment(at_a);
    code.load(&[at_b, n]).guarded(Op::AddChecked).store(at_b);
    code.increment(k).repeat_below(inner, k, n);
    code.load_f64(&[sum])
        .load(&[c, row, j])
        .guarded(Op::AddChecked)
        .load(&[length])
        .guarded(Op::GuardIndex)
        .op(Op::StoreAtF64);
    code.increment(j).repeat_below(columns, j, n);
    code.load(&[row, n]).guarded(Op::AddChecked).store(row);
    code.increment(i).repeat_below(rows, i, n);

    let mut expected = Vec::new();
    for i in 0..size {
        for j in 0..size {
            let mut sum = 0.0;
            for k in 0..size {
                sum += left[i * size + k] * right[k * size + j];
            }
            expected.push(sum);
        }
    }
    code.finish(
        "matrix_multiply",
        (size * size * size) as u64,
        &[Place::Buffer(2)],
        words_of_f64(&expected),
    )
}

/// The dot product of two vectors, so many times over.
fn dot_product(length: usize, times: i64) -> Result<Kernel, ScalarTraceError> {
    let mut next = numbers(11);
    let mut vector = || -> Vec<f64> { (0..length).map(|_| (next() % 4096) as f64 * 0.1).collect() };
    let (left, right) = (vector(), vector());
    let mut code = Code::new();
    let a = code.buffer(words_of_f64(&left));
    let b = code.buffer(words_of_f64(&right));
    let (i, n) = (code.int(0), code.int(length as i64));
    let (round, rounds) = (code.int(0), code.int(times));
    let sum = code.float(0.0);
    let outer = code.here();
    code.set(i, 0);
    let inner = code.here();
    code.load_f64(&[sum])
        .element(Op::LoadAtF64, a, i, n)
        .load(&[b, i])
        .ops(&[Op::LoadAtF64, Op::MulF, Op::AddF])
        .store_f64(sum);
    code.increment(i).repeat_below(inner, i, n);
    code.increment(round).repeat_below(outer, round, rounds);
    let mut expected = 0.0;
    for _ in 0..times {
        for (a, b) in left.iter().zip(&right) {
            expected += a * b;
        }
    }
    code.finish(
        "dot_product",
        length as u64 * times as u64,
        &[Place::Local(sum)],
        words_of_f64(&[expected]),
    )
}
