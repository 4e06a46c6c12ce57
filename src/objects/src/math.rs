//! The functions of the module `math`.
//!
//! Those of the C library are called, as CPython calls them, so that results are the same bits on the same system.
//! Sums, products and lengths that CPython computes with extra precision are exact here and rounded once.

#![allow(unsafe_code)]

use crate::builtin::FunctionEntry;
use crate::call::CallKind::{self, Fast, FastWithKeywords, One};
use crate::call::{check_count, wrong_index};
use crate::error::{PyError, Result};
use crate::float;
use crate::gamma;
use crate::hooks::{refuse_hooks, unless_hooked};
use crate::int::{self, IntView};
use crate::iterator;
use crate::limits;
use crate::methods::at_most;
use crate::object::{Ref, View};
use crate::ops::{self, BinaryOperator};
use num_bigint::{BigInt, BigUint, Sign};
use num_integer::Integer;
use num_traits::{One as _, Signed, ToPrimitive, Zero};
use std::f64::consts;

// The functions of the C library, which are defined for all floats.
unsafe extern "C" {
    safe fn acos(x: f64) -> f64;
    safe fn acosh(x: f64) -> f64;
    safe fn asin(x: f64) -> f64;
    safe fn asinh(x: f64) -> f64;
    safe fn atan(x: f64) -> f64;
    safe fn atan2(y: f64, x: f64) -> f64;
    safe fn atanh(x: f64) -> f64;
    safe fn cbrt(x: f64) -> f64;
    safe fn cos(x: f64) -> f64;
    safe fn cosh(x: f64) -> f64;
    safe fn erf(x: f64) -> f64;
    safe fn erfc(x: f64) -> f64;
    safe fn exp(x: f64) -> f64;
    safe fn exp2(x: f64) -> f64;
    safe fn expm1(x: f64) -> f64;
    safe fn log(x: f64) -> f64;
    safe fn log10(x: f64) -> f64;
    safe fn log1p(x: f64) -> f64;
    safe fn log2(x: f64) -> f64;
    safe fn pow(x: f64, y: f64) -> f64;
    safe fn remainder(x: f64, y: f64) -> f64;
    safe fn sin(x: f64) -> f64;
    safe fn sinh(x: f64) -> f64;
    safe fn tan(x: f64) -> f64;
    safe fn tanh(x: f64) -> f64;
}

/// The attributes that are numbers.
pub(crate) const CONSTANTS: &[(&str, f64)] = &[
    ("pi", consts::PI),
    ("e", consts::E),
    ("tau", consts::TAU),
    ("inf", f64::INFINITY),
    ("nan", f64::NAN),
];

const fn function(
    name: &'static str,
    kind: CallKind,
    call: fn(&[Ref]) -> Result<Ref>,
) -> FunctionEntry {
    FunctionEntry { name, kind, call }
}

/// A function of a float that has poles or no value somewhere, but is finite for other finite arguments.
macro_rules! bounded {
    ($name:literal, $function:expr) => {
        function($name, One, |arguments| {
            let value = number(&arguments[0])?;
            checked(value, $function(value), domain_error)
        })
    };
}

/// A function of a float that may overflow.
macro_rules! growing {
    ($name:literal, $function:expr) => {
        function($name, One, |arguments| {
            let value = number(&arguments[0])?;
            checked(value, $function(value), range_error)
        })
    };
}

/// A function of a float that has a value everywhere.
macro_rules! total {
    ($name:literal, $function:expr) => {
        function($name, One, |arguments| {
            let function: fn(f64) -> f64 = $function;
            number(&arguments[0]).map(|value| Ref::float(function(value)))
        })
    };
}

macro_rules! test {
    ($name:literal, $test:expr) => {
        function($name, One, |arguments| {
            let test: fn(f64) -> bool = $test;
            number(&arguments[0]).map(|value| Ref::bool(test(value)))
        })
    };
}

/// A function of two floats.
macro_rules! binary {
    ($name:literal, $function:expr) => {
        function($name, Fast, |arguments| {
            check_count($name, arguments, 2..=2)?;
            let function: fn(f64, f64) -> Result<f64> = $function;
            function(number(&arguments[0])?, number(&arguments[1])?).map(Ref::float)
        })
    };
}

pub(crate) const FUNCTIONS: &[FunctionEntry] = &[
    bounded!("acos", acos),
    bounded!("acosh", acosh),
    bounded!("asin", asin),
    bounded!("asinh", asinh),
    bounded!("atan", atan),
    binary!("atan2", |y, x| Ok(atan2(y, x))),
    bounded!("atanh", atanh),
    bounded!("cbrt", cbrt),
    function("ceil", One, |arguments| to_int(&arguments[0], f64::ceil)),
    function("comb", Fast, comb),
    binary!("copysign", |x, y| Ok(x.copysign(y))),
    bounded!("cos", cos),
    growing!("cosh", cosh),
    total!("degrees", |x| x * (180.0 / consts::PI)),
    function("dist", Fast, dist),
    total!("erf", |x| erf(x)),
    total!("erfc", |x| erfc(x)),
    growing!("exp", exp),
    growing!("exp2", exp2),
    growing!("expm1", expm1),
    total!("fabs", f64::abs),
    function("factorial", One, |arguments| factorial(&arguments[0])),
    function("floor", One, |arguments| to_int(&arguments[0], f64::floor)),
    function("fma", Fast, fused),
    binary!("fmod", |x, y| {
        let result = x % y;
        if result.is_nan() && !x.is_nan() && !y.is_nan() {
            return Err(domain_error());
        }
        Ok(result)
    }),
    function("frexp", One, |arguments| {
        let (mantissa, exponent) = split(number(&arguments[0])?);
        Ok(Ref::tuple(vec![Ref::float(mantissa), Ref::int(exponent)]))
    }),
    function("fsum", One, |arguments| exact_sum(&arguments[0])),
    function("gamma", One, |arguments| {
        let value = number(&arguments[0])?;
        gamma::gamma(value).map(Ref::float)
    }),
    function("gcd", Fast, |arguments| {
        let gcd = fold_ints(arguments, BigInt::zero(), |a, b| a.gcd(b))?;
        Ok(Ref::big(gcd))
    }),
    function("hypot", Fast, |arguments| {
        let coordinates: Vec<f64> = arguments.iter().map(number).collect::<Result<_>>()?;
        Ok(Ref::float(length(&coordinates)))
    }),
    function("isclose", FastWithKeywords, is_close),
    test!("isfinite", f64::is_finite),
    test!("isinf", f64::is_infinite),
    test!("isnan", f64::is_nan),
    function("isqrt", One, |arguments| {
        let value = index(&arguments[0])?.to_big();
        if value.is_negative() {
            return Err(PyError::value("isqrt() argument must be nonnegative"));
        }
        Ok(Ref::big(value.sqrt()))
    }),
    function("lcm", Fast, |arguments| {
        let lcm = fold_ints(arguments, BigInt::one(), |a, b| a.lcm(b))?;
        Ok(Ref::big(lcm))
    }),
    function("ldexp", Fast, load_exponent),
    function("lgamma", One, |arguments| {
        let value = number(&arguments[0])?;
        gamma::log_gamma(value).map(Ref::float)
    }),
    function("log", Fast, |arguments| {
        check_count("log", arguments, 1..=2)?;
        let value = logarithm(&arguments[0], |x| log(x))?;
        match arguments.get(1) {
            Some(base) => float::divide(value, logarithm(base, |x| log(x))?).map(Ref::float),
            None => Ok(Ref::float(value)),
        }
    }),
    function("log10", One, |arguments| {
        logarithm(&arguments[0], |x| log10(x)).map(Ref::float)
    }),
    bounded!("log1p", log1p),
    function("log2", One, |arguments| {
        logarithm(&arguments[0], |x| log2(x)).map(Ref::float)
    }),
    function("modf", One, |arguments| {
        let value = number(&arguments[0])?;
        let whole = value.trunc();
        let fraction = if value.is_infinite() {
            0.0
        } else {
            value - whole
        };
        let parts = [fraction.copysign(value), whole];
        Ok(Ref::tuple(parts.map(Ref::float).to_vec()))
    }),
    function("nextafter", FastWithKeywords, |arguments| {
        let [x, y] = two_positional("nextafter", 3, arguments)?;
        Ok(Ref::float(next_after(number(x)?, number(y)?)))
    }),
    function("perm", Fast, perm),
    binary!("pow", power),
    function("prod", FastWithKeywords, product),
    total!("radians", |x| x * (consts::PI / 180.0)),
    binary!("remainder", |x, y| {
        if x.is_nan() || y.is_nan() {
            Ok(x + y)
        } else if x.is_infinite() || y == 0.0 {
            Err(domain_error())
        } else {
            Ok(remainder(x, y))
        }
    }),
    bounded!("sin", sin),
    growing!("sinh", sinh),
    bounded!("sqrt", f64::sqrt),
    function("sumprod", Fast, sum_of_products),
    bounded!("tan", tan),
    bounded!("tanh", tanh),
    function("trunc", One, |arguments| {
        refuse_hooks(&[&arguments[0]], &["__trunc__"])?;
        to_int(&arguments[0], f64::trunc).map_err(|error| match arguments[0].view() {
            View::Float(_) => error,
            _ => PyError::type_error(format!(
                "type {} doesn't define __trunc__ method",
                arguments[0].type_name()
            )),
        })
    }),
    function("ulp", One, |arguments| {
        let value = number(&arguments[0])?.abs();
        Ok(Ref::float(if !value.is_finite() {
            value
        } else if value == f64::MAX {
            value - value.next_down()
        } else {
            value.next_up() - value
        }))
    }),
];

pub(crate) fn domain_error() -> PyError {
    PyError::value("math domain error")
}

pub(crate) fn range_error() -> PyError {
    PyError::overflow("math range error")
}

/// The arguments of a function that takes keywords as well, of which there are `most` arguments in all.
fn two_positional<'a>(name: &str, most: usize, arguments: &'a [Ref]) -> Result<[&'a Ref; 2]> {
    at_most(name, most, arguments)?;
    match arguments {
        [a, b] => Ok([a, b]),
        _ => Err(PyError::type_error(format!(
            "{name}() takes exactly 2 positional arguments ({} given)",
            arguments.len()
        ))),
    }
}

/// An argument that is a real number.
fn number(object: &Ref) -> Result<f64> {
    match (object.view(), object.as_int()) {
        (View::Float(value), _) => Ok(value),
        (_, Some(value)) => value.to_float(),
        _ => {
            let message = format!("must be real number, not {}", object.type_name());
            let methods = ["__float__", "__index__"];
            Err(unless_hooked(
                object,
                &methods,
                PyError::type_error(message),
            ))
        }
    }
}

/// An argument that is an int.
fn index(object: &Ref) -> Result<IntView<'_>> {
    object.as_int().ok_or_else(|| wrong_index(object))
}

/// The result of a function, or the error that it is where the argument was none.
fn checked(argument: f64, result: f64, infinite: fn() -> PyError) -> Result<Ref> {
    if result.is_nan() && !argument.is_nan() {
        return Err(domain_error());
    }
    if result.is_infinite() && argument.is_finite() {
        return Err(infinite());
    }
    Ok(Ref::float(result))
}

fn to_int(object: &Ref, round: fn(f64) -> f64) -> Result<Ref> {
    match (object.view(), object.as_int()) {
        (_, Some(value)) => Ok(int::add(value, IntView::Small(0))),
        _ => int::from_float(round(number(object)?)),
    }
}

fn fold_ints(
    arguments: &[Ref],
    start: BigInt,
    operation: fn(&BigInt, &BigInt) -> BigInt,
) -> Result<BigInt> {
    let mut result = start;
    for argument in arguments {
        let value = index(argument)?.to_big();
        limits::check_bits(u128::from(result.bits()) + u128::from(value.bits()))?;
        result = operation(&result, &value);
    }
    Ok(result.abs())
}

fn power(x: f64, y: f64) -> Result<f64> {
    let result = pow(x, y);
    if x.is_finite() && y.is_finite() {
        if result.is_nan() || result.is_infinite() && x == 0.0 {
            return Err(domain_error());
        }
        if result.is_infinite() {
            return Err(range_error());
        }
    }
    Ok(result)
}

fn fused(arguments: &[Ref]) -> Result<Ref> {
    check_count("fma", arguments, 3..=3)?;
    let [x, y, z] = [&arguments[0], &arguments[1], &arguments[2]].map(number);
    let (x, y, z) = (x?, y?, z?);
    let result = x.mul_add(y, z);
    if result.is_nan() && ![x, y, z].iter().any(|operand| operand.is_nan()) {
        return Err(PyError::value("invalid operation in fma"));
    }
    if result.is_infinite() && [x, y, z].iter().all(|operand| operand.is_finite()) {
        return Err(PyError::overflow("overflow in fma"));
    }
    Ok(Ref::float(result))
}

/// The mantissa in [0.5, 1) and the exponent of two.
fn split(value: f64) -> (f64, i64) {
    if value == 0.0 || !value.is_finite() {
        return (value, 0);
    }
    // A subnormal is made normal first.
    let (value, offset) = if value.abs() < f64::MIN_POSITIVE {
        (value * 2f64.powi(54), -54)
    } else {
        (value, 0)
    };
    let bits = value.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i64 - 1022;
    let mantissa = f64::from_bits(bits & !(0x7ff << 52) | 1022 << 52);
    (mantissa, exponent + offset)
}

fn load_exponent(arguments: &[Ref]) -> Result<Ref> {
    check_count("ldexp", arguments, 2..=2)?;
    let value = number(&arguments[0])?;
    let Some(exponent) = arguments[1].as_int() else {
        return Err(PyError::type_error(
            "Expected an int as second argument to ldexp.",
        ));
    };
    if value == 0.0 || !value.is_finite() {
        return Ok(Ref::float(value));
    }
    /// Beyond this nothing but zero and infinity is left.
    const FAR: i64 = 5000;
    let exponent = exponent.saturate().clamp(-FAR, FAR);
    let (mantissa, own) = split(value);
    let scaled = BigInt::from((mantissa.abs() * 2f64.powi(53)) as i64);
    let result = float::nearest_scaled(scaled.magnitude(), own + exponent - 53);
    if result.is_infinite() {
        return Err(range_error());
    }
    Ok(Ref::float(result.copysign(value)))
}

/// The logarithm of a number; an int may be too large for a float.
fn logarithm(object: &Ref, function: fn(f64) -> f64) -> Result<f64> {
    if let Some(value) = object.as_int() {
        if value.is_negative() || value.is_zero() {
            return Err(domain_error());
        }
        if value.to_f64().is_none() {
            let big = value.to_big();
            let exponent = big.bits();
            let mantissa = float::nearest_scaled(big.magnitude(), -(exponent as i64));
            return Ok(function(mantissa) + function(2.0) * exponent as f64);
        }
    }
    let value = number(object)?;
    if value <= 0.0 {
        return Err(domain_error());
    }
    Ok(function(value))
}

fn next_after(x: f64, y: f64) -> f64 {
    if x.is_nan() || y.is_nan() {
        x + y
    } else if x == y {
        y
    } else if x < y {
        x.next_up()
    } else {
        x.next_down()
    }
}

/// `a` and `b` are close if they differ by at most 1e-9 of the larger.
fn is_close(arguments: &[Ref]) -> Result<Ref> {
    let names = ["a", "b"];
    if let Some(missing) = names.get(arguments.len()) {
        let position = arguments.len() + 1;
        return Err(PyError::type_error(format!(
            "isclose() missing required argument '{missing}' (pos {position})"
        )));
    }
    let [a, b] = two_positional("isclose", 4, arguments)?;
    let (a, b) = (number(a)?, number(b)?);
    let is_close = a == b
        || !a.is_infinite() && !b.is_infinite() && {
            let difference = (b - a).abs();
            difference <= (1e-9 * b).abs() || difference <= (1e-9 * a).abs()
        };
    Ok(Ref::bool(is_close))
}

fn factorial(object: &Ref) -> Result<Ref> {
    let value = index(object)?;
    if value.is_negative() {
        return Err(PyError::value(
            "factorial() not defined for negative values",
        ));
    }
    let Some(value) = value.to_i64() else {
        return Err(PyError::overflow(format!(
            "factorial() argument should not exceed {}",
            i64::MAX
        )));
    };
    product_of_range(0, value as u64).map(Ref::big)
}

/// The product of the ints above `from` up to `to`.
fn product_of_range(from: u64, to: u64) -> Result<BigInt> {
    fn multiply(from: u64, to: u64) -> BigUint {
        if to - from <= 16 {
            return (from + 1..=to).map(BigUint::from).product();
        }
        let middle = from + (to - from) / 2;
        multiply(from, middle) * multiply(middle, to)
    }
    if from >= to {
        return Ok(BigInt::one());
    }
    // Each factor but half of them at the least has nearly all the bits of the largest.
    let bits = u128::from(64 - to.leading_zeros());
    limits::check_bits(u128::from(to - from) * bits / 2)?;
    Ok(BigInt::from_biguint(Sign::Plus, multiply(from, to)))
}

/// A number that may be large, and how many of it are taken, which may not.
fn check_selection(name: &str, value: IntView<'_>) -> Result<()> {
    if value.is_negative() {
        return Err(PyError::value(format!(
            "{name} must be a non-negative integer"
        )));
    }
    Ok(())
}

fn perm(arguments: &[Ref]) -> Result<Ref> {
    check_count("perm", arguments, 1..=2)?;
    let k = match arguments.get(1).filter(|k| !matches!(k.view(), View::None)) {
        None => return factorial(&arguments[0]),
        Some(k) => index(k),
    };
    let (n, k) = (index(&arguments[0])?, k?);
    check_selection("n", n)?;
    check_selection("k", k)?;
    if n.compare(k).is_lt() {
        return Ok(Ref::int(0));
    }
    let Some(k) = k.to_i64() else {
        let message = format!("k must not exceed {}", i64::MAX);
        return Err(PyError::overflow(message));
    };
    falling_product(&n.to_big(), k as u64).map(Ref::big)
}

/// `n * (n - 1) * ...`, `k` factors of which none is negative.
fn falling_product(n: &BigInt, k: u64) -> Result<BigInt> {
    if let Some(n) = n.to_u64() {
        return product_of_range(n - k, n);
    }
    limits::check_bits(u128::from(n.bits()) * u128::from(k))?;
    Ok((0..k).map(|index| n - index).product())
}

fn comb(arguments: &[Ref]) -> Result<Ref> {
    check_count("comb", arguments, 2..=2)?;
    let (n, k) = (index(&arguments[0])?, index(&arguments[1])?);
    check_selection("n", n)?;
    check_selection("k", k)?;
    if n.compare(k).is_lt() {
        return Ok(Ref::int(0));
    }
    let (n, k) = (n.to_big(), k.to_big());
    let other = &*n - &*k;
    let smaller = if other < *k { other } else { k.into_owned() };
    let Some(k) = smaller.to_i64() else {
        let message = format!("min(n - k, k) must not exceed {}", i64::MAX);
        return Err(PyError::overflow(message));
    };
    let product = falling_product(&n, k as u64)?;
    Ok(Ref::big(product / product_of_range(0, k as u64)?))
}

fn product(arguments: &[Ref]) -> Result<Ref> {
    let [items] = arguments else {
        at_most("prod", 2, arguments)?;
        return Err(PyError::type_error(format!(
            "prod() takes exactly 1 positional argument ({} given)",
            arguments.len()
        )));
    };
    let mut result = Ref::int(1);
    for item in iterator::items(items)? {
        result = ops::binary(BinaryOperator::Multiply, &result, &item?)?;
    }
    Ok(result)
}

/// The exponent of two of the units in which floats are summed: that of the smallest float.
const UNIT: i64 = -1074;

/// A finite float in [units](UNIT).
fn in_units(value: f64) -> BigInt {
    let (numerator, denominator) = float::ratio(value);
    // The denominator is a power of two, at most that of the unit.
    let shift = UNIT.unsigned_abs() - (denominator.bits() - 1);
    numerator << shift
}

fn nearest(value: &BigInt, exponent: i64) -> f64 {
    let magnitude = float::nearest_scaled(value.magnitude(), exponent);
    if value.is_negative() {
        -magnitude
    } else {
        magnitude
    }
}

fn exact_sum(items: &Ref) -> Result<Ref> {
    let mut sum = BigInt::zero();
    let (mut special, mut infinities) = (0.0, 0.0);
    for item in iterator::items(items)? {
        let value = number(&item?)?;
        if value.is_finite() {
            sum += in_units(value);
        } else {
            special += value;
            if value.is_infinite() {
                infinities += value;
            }
        }
    }
    if f64::is_nan(infinities) {
        return Err(PyError::value("-inf + inf in fsum"));
    }
    if special != 0.0 {
        return Ok(Ref::float(special));
    }
    let result = nearest(&sum, UNIT);
    if result.is_infinite() {
        return Err(PyError::overflow("intermediate overflow in fsum"));
    }
    Ok(Ref::float(result))
}

/// The length of a vector.
fn length(coordinates: &[f64]) -> f64 {
    if coordinates.iter().any(|c| c.is_infinite()) {
        return f64::INFINITY;
    }
    if coordinates.iter().any(|c| c.is_nan()) {
        return f64::NAN;
    }
    if let [single] = coordinates {
        return single.abs();
    }
    let squares = coordinates.iter().map(|&c| {
        let c = in_units(c);
        &c * &c
    });
    let sum: BigInt = squares.sum();
    if sum.is_zero() {
        return 0.0;
    }
    // The root has 64 bits before the point at the least, so that the rest decides ties only.
    let shift = 128_u64.saturating_sub(sum.bits()).next_multiple_of(2);
    let shifted: BigInt = sum << shift;
    let root = shifted.sqrt();
    let is_exact = &root * &root == shifted;
    let root: BigInt = (root << 1) + i32::from(!is_exact);
    nearest(&root, UNIT - shift as i64 / 2 - 1)
}

/// The floats of a point.
fn point(object: &Ref) -> Result<Vec<f64>> {
    iterator::collect(object)?.iter().map(number).collect()
}

fn dist(arguments: &[Ref]) -> Result<Ref> {
    check_count("dist", arguments, 2..=2)?;
    let items = |object| iterator::collect(object);
    let (p, q) = (items(&arguments[0])?, items(&arguments[1])?);
    if p.len() != q.len() {
        return Err(PyError::value(
            "both points must have the same number of dimensions",
        ));
    }
    let (p, q) = (point(&arguments[0])?, point(&arguments[1])?);
    let differences: Vec<f64> = p.iter().zip(&q).map(|(p, q)| (p - q).abs()).collect();
    Ok(Ref::float(length(&differences)))
}

/// Ints are added up exactly, and so are products of floats; with anything else the sum goes on by the operators.
fn sum_of_products(arguments: &[Ref]) -> Result<Ref> {
    check_count("sumprod", arguments, 2..=2)?;
    let (p, q) = (
        iterator::collect(&arguments[0])?,
        iterator::collect(&arguments[1])?,
    );
    if p.len() != q.len() {
        return Err(PyError::value("Inputs are not the same length"));
    }
    let pairs = || p.iter().zip(&q);
    let is_float = |object: &Ref| matches!(object.view(), View::Float(_));
    let is_number = |object: &Ref| is_float(object) || matches!(object.view(), View::Int(_));
    let has_float = pairs().any(|(p, q)| is_float(p) || is_float(q));
    if has_float && pairs().all(|(p, q)| is_number(p) && is_number(q)) {
        let floats: Result<Vec<(f64, f64)>> =
            pairs().map(|(p, q)| Ok((number(p)?, number(q)?))).collect();
        if let Ok(floats) = floats
            && floats
                .iter()
                .all(|(p, q)| (p * q).is_finite() && p.is_finite() && q.is_finite())
        {
            let exact = floats.iter().map(|&(p, q)| in_units(p) * in_units(q));
            let sum: BigInt = exact.sum();
            return Ok(Ref::float(nearest(&sum, 2 * UNIT)));
        }
    }
    let mut sum = Ref::int(0);
    for (p, q) in pairs() {
        let product = ops::binary(BinaryOperator::Multiply, p, q)?;
        sum = ops::binary(BinaryOperator::Add, &sum, &product)?;
    }
    Ok(sum)
}
