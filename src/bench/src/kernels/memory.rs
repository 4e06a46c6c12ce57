//! Memory: bytes, tables, columns.

use super::code::Code;
use super::data::{numbers, words_of_bytes, words_of_f64, words_of_i64, words_of_u32};
use super::{Kernel, Place};
use crate::op::Op;
use crate::scalar::ScalarTraceError;

pub(super) fn kernels() -> Result<Vec<Kernel>, ScalarTraceError> {
    Ok(vec![
        sieve(100_000)?,
        crc32_by_table(100_000)?,
        crc32_by_bits(20_000)?,
        filter_and_aggregate(50_000)?,
        string_hash(200_000)?,
        binary_search(4096, 10_000)?,
    ])
}

fn bytes(count: usize, seed: u64) -> Vec<u8> {
    let mut next = numbers(seed);
    (0..count).map(|_| next() as u8).collect()
}

/// The primes below `limit`: Eratosthenes, a byte a number.
fn sieve(limit: usize) -> Result<Kernel, ScalarTraceError> {
    let mut code = Code::new();
    let flags = code.buffer(vec![0; limit.div_ceil(8)]);
    let (i, n) = (code.int(2), code.int(limit as i64));
    let (j, primes) = (code.int(0), code.int(0));
    let outer = code.here();
    let (inner, next) = (code.label(), code.label());
    code.element(Op::LoadAtU8, flags, i, n)
        .jumping(Op::JumpIfTrue, next);
    code.increment(primes);
    code.load(&[i, i]).guarded(Op::MulChecked).store(j);
    code.load(&[j, n]).op(Op::Ge).jumping(Op::JumpIfTrue, next);
    code.bind(inner)
        .constant(1)
        .load(&[flags, j, n])
        .guarded(Op::GuardIndex)
        .op(Op::StoreAt8);
    code.load(&[j, i]).guarded(Op::AddChecked).store(j);
    code.repeat_below(inner, j, n);
    code.bind(next).increment(i).repeat_below(outer, i, n);

    let (mut composite, mut count, mut iterations) = (vec![0u8; limit], 0, 0);
    for i in 2..limit {
        iterations += 1;
        if composite[i] == 0 {
            count += 1;
            for j in (i * i..limit).step_by(i) {
                composite[j] = 1;
                iterations += 1;
            }
        }
    }
    let mut expected = vec![count];
    expected.extend(words_of_bytes(&composite));
    let results = [Place::Local(primes), Place::Buffer(0)];
    code.finish("sieve", iterations, &results, expected)
}

/// The polynomial of CRC-32 (IEEE 802.3), reflected.
const POLYNOMIAL: u32 = 0xedb8_8320;

fn crc32_step(crc: u32) -> u32 {
    crc >> 1 ^ (crc & 1).wrapping_neg() & POLYNOMIAL
}

fn crc32(bytes: &[u8]) -> u32 {
    let byte = |crc: u32, &byte: &u8| (0..8).fold(crc ^ u32::from(byte), |crc, _| crc32_step(crc));
    !bytes.iter().fold(!0, byte)
}

/// CRC-32 of bytes, a table look-up a byte.
fn crc32_by_table(count: usize) -> Result<Kernel, ScalarTraceError> {
    let input = bytes(count, 13);
    let table: Vec<u32> = (0..256)
        .map(|byte| (0..8).fold(byte, |crc, _| crc32_step(crc)))
        .collect();
    let mut code = Code::new();
    let data = code.buffer(words_of_bytes(&input));
    let table = code.buffer(words_of_u32(&table));
    let (i, n) = (code.int(0), code.int(count as i64));
    let crc = code.int(u32::MAX.into());
    let head = code.here();
    // The index is a byte, which needs no guard in a table of 256.
    code.load(&[table, crc])
        .element(Op::LoadAtU8, data, i, n)
        .op(Op::Xor)
        .constant(0xff)
        .ops(&[Op::And, Op::LoadAtU32])
        .load(&[crc])
        .constant(8)
        .ops(&[Op::Shr, Op::Xor])
        .store(crc);
    code.increment(i).repeat_below(head, i, n);
    code.load(&[crc]).ops(&[Op::Not, Op::ExtendU32]).store(crc);
    let expected = vec![crc32(&input).into()];
    code.finish("crc32", count as u64, &[Place::Local(crc)], expected)
}

/// CRC-32 of bytes, bit by bit.
fn crc32_by_bits(count: usize) -> Result<Kernel, ScalarTraceError> {
    let input = bytes(count, 17);
    let mut code = Code::new();
    let data = code.buffer(words_of_bytes(&input));
    let (i, n) = (code.int(0), code.int(count as i64));
    let (bit, bits) = (code.int(0), code.int(8));
    let crc = code.int(u32::MAX.into());
    let outer = code.here();
    code.load(&[crc])
        .element(Op::LoadAtU8, data, i, n)
        .op(Op::Xor)
        .store(crc)
        .set(bit, 0);
    let inner = code.here();
    code.load(&[crc])
        .constant(1)
        .op(Op::Shr)
        .load(&[crc])
        .constant(1)
        .ops(&[Op::And, Op::Neg])
        .constant(POLYNOMIAL.into())
        .ops(&[Op::And, Op::Xor])
        .store(crc);
    code.increment(bit).repeat_below(inner, bit, bits);
    code.increment(i).repeat_below(outer, i, n);
    code.load(&[crc]).ops(&[Op::Not, Op::ExtendU32]).store(crc);
    let expected = vec![crc32(&input).into()];
    let iterations = 8 * count as u64;
    code.finish("crc32_bitwise", iterations, &[Place::Local(crc)], expected)
}

/// Rows of three columns, filtered by all three: how many there are and their revenue.
fn filter_and_aggregate(rows: usize) -> Result<Kernel, ScalarTraceError> {
    const LEAST_PRICE: i64 = 200;
    const QUANTITY_LIMIT: i64 = 40;
    const LEAST_DISCOUNT: f64 = 0.02;
    let mut next = numbers(19);
    let mut column =
        |limit: u64| -> Vec<i64> { (0..rows).map(|_| (next() % limit) as i64).collect() };
    let (prices, quantities) = (column(1000), column(50));
    let discounts: Vec<f64> = column(10)
        .into_iter()
        .map(|percent| percent as f64 * 0.01)
        .collect();
    let mut code = Code::new();
    let price = code.buffer(words_of_i64(&prices));
    let quantity = code.buffer(words_of_i64(&quantities));
    let discount = code.buffer(words_of_f64(&discounts));
    let (i, n) = (code.int(0), code.int(rows as i64));
    let (p, q, d) = (code.int(0), code.int(0), code.float(0.0));
    let (count, revenue) = (code.int(0), code.float(0.0));
    let head = code.here();
    let next_row = code.label();
    code.element(Op::LoadAtI64, price, i, n).store(p);
    code.load(&[p])
        .constant(LEAST_PRICE)
        .op(Op::Lt)
        .jumping(Op::JumpIfTrue, next_row);
    code.load(&[quantity, i]).op(Op::LoadAtI64).store(q);
    code.load(&[q])
        .constant(QUANTITY_LIMIT)
        .op(Op::Ge)
        .jumping(Op::JumpIfTrue, next_row);
    code.load(&[discount, i]).op(Op::LoadAtF64).store_f64(d);
    code.load_f64(&[d])
        .constant_f64(LEAST_DISCOUNT)
        .op(Op::LtF)
        .jumping(Op::JumpIfTrue, next_row);
    code.increment(count);
    code.load_f64(&[revenue])
        .load(&[p, q])
        .guarded(Op::MulChecked)
        .op(Op::I64ToF64)
        .constant_f64(1.0)
        .load_f64(&[d])
        .ops(&[Op::SubF, Op::MulF, Op::AddF])
        .store_f64(revenue);
    code.bind(next_row).increment(i).repeat_below(head, i, n);

    let (mut found, mut sum) = (0u64, 0.0);
    for ((&p, &q), &d) in prices.iter().zip(&quantities).zip(&discounts) {
        if p >= LEAST_PRICE && q < QUANTITY_LIMIT && d >= LEAST_DISCOUNT {
            found += 1;
            sum += (p * q) as f64 * (1.0 - d);
        }
    }
    code.finish(
        "filter_and_aggregate",
        rows as u64,
        &[Place::Local(count), Place::Local(revenue)],
        vec![found, sum.to_bits()],
    )
}

/// FNV-1a of 64 bits (Fowler, Noll, Vo) over bytes.
fn string_hash(count: usize) -> Result<Kernel, ScalarTraceError> {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    let input = bytes(count, 23);
    let mut code = Code::new();
    let text = code.buffer(words_of_bytes(&input));
    let (i, n) = (code.int(0), code.int(count as i64));
    let hash = code.int(OFFSET as i64);
    let head = code.here();
    code.load(&[hash])
        .element(Op::LoadAtU8, text, i, n)
        .op(Op::Xor)
        .constant(PRIME as i64)
        .op(Op::Mul)
        .store(hash);
    code.increment(i).repeat_below(head, i, n);
    let step = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(PRIME);
    let expected = vec![input.iter().fold(OFFSET, step)];
    code.finish("string_hash", count as u64, &[Place::Local(hash)], expected)
}

/// Searches in a sorted array: where each number would have to stand, added up.
fn binary_search(length: usize, queries: usize) -> Result<Kernel, ScalarTraceError> {
    let mut next = numbers(29);
    let mut sorted: Vec<i64> = (0..length).map(|_| (next() % 100_000) as i64).collect();
    sorted.sort_unstable();
    let wanted: Vec<i64> = (0..queries).map(|_| (next() % 100_000) as i64).collect();
    let mut code = Code::new();
    let array = code.buffer(words_of_i64(&sorted));
    let wanted_at = code.buffer(words_of_i64(&wanted));
    let (n, count) = (code.int(length as i64), code.int(queries as i64));
    let [i, low, high, middle, number, sum] = [(); 6].map(|()| code.int(0));
    let outer = code.here();
    code.element(Op::LoadAtI64, wanted_at, i, count)
        .store(number)
        .set(low, 0)
        .copy(n, high);
    let inner = code.here();
    let (upper, narrowed) = (code.label(), code.label());
    code.load(&[low, high])
        .op(Op::Add)
        .constant(1)
        .op(Op::Shr)
        .store(middle);
    code.element(Op::LoadAtI64, array, middle, n)
        .load(&[number])
        .op(Op::Lt)
        .jumping(Op::JumpIfTrue, upper);
    code.copy(middle, high).jumping(Op::Jump, narrowed);
    code.bind(upper)
        .load(&[middle])
        .constant(1)
        .op(Op::Add)
        .store(low);
    code.bind(narrowed).repeat_below(inner, low, high);
    code.load(&[sum, low]).guarded(Op::AddChecked).store(sum);
    code.increment(i).repeat_below(outer, i, count);

    let (mut expected, mut iterations) = (0, 0);
    for &number in &wanted {
        let (mut low, mut high) = (0, length);
        while low < high {
            iterations += 1;
            let middle = (low + high) / 2;
            if sorted[middle] < number {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        expected += low as u64;
    }
    code.finish(
        "binary_search",
        iterations,
        &[Place::Local(sum)],
        vec![expected],
    )
}
