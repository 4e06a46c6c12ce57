//! The gamma function and its logarithm, by Lanczos' approximation with 13 terms and the coefficients that Boost and
//! CPython have for double precision.

use crate::error::Result;
use crate::math::{domain_error, range_error};
use std::f64::consts::PI;

const G: f64 = 6.024_680_040_776_73;
const G_MINUS_HALF: f64 = 5.524_680_040_776_73;

const NUMERATOR: [f64; 13] = [
    23531376880.41076,
    42919803642.6491,
    35711959237.35567,
    17921034426.03721,
    6039542586.352028,
    1439720407.3117216,
    248874557.86205417,
    31426415.585400194,
    2876370.6289353725,
    186056.26539522348,
    8071.672002365816,
    210.82427775157936,
    2.5066282746310002,
];

const DENOMINATOR: [f64; 13] = [
    0.0,
    39916800.0,
    120543840.0,
    150917976.0,
    105258076.0,
    45995730.0,
    13339535.0,
    2637558.0,
    357423.0,
    32670.0,
    1925.0,
    66.0,
    1.0,
];

/// The factorials of 0 up to 22, which are floats.
fn exact_factorial(n: u32) -> f64 {
    (1..=n).map(f64::from).product()
}

/// The rational function of the approximation for a positive argument.
fn lanczos_sum(x: f64) -> f64 {
    let (mut numerator, mut denominator) = (0.0, 0.0);
    if x < 5.0 {
        for index in (0..NUMERATOR.len()).rev() {
            numerator = numerator * x + NUMERATOR[index];
            denominator = denominator * x + DENOMINATOR[index];
        }
    } else {
        // In powers of the reciprocal neither overflows.
        for index in 0..NUMERATOR.len() {
            numerator = numerator / x + NUMERATOR[index];
            denominator = denominator / x + DENOMINATOR[index];
        }
    }
    numerator / denominator
}

/// The sine of pi times a finite number, exact at multiples of a half.
fn sine_of_pi_times(x: f64) -> f64 {
    let y = x.abs() % 2.0;
    let value = match (2.0 * y).round() as i32 {
        0 => (PI * y).sin(),
        1 => (PI * (y - 0.5)).cos(),
        // The argument is 1 - y so that the sign of zero is that of the limit.
        2 => (PI * (1.0 - y)).sin(),
        3 => -(PI * (y - 1.5)).cos(),
        _ => (PI * (y - 2.0)).sin(),
    };
    1f64.copysign(x) * value
}

/// `math.gamma(x)`
///
/// # Errors
/// `ValueError` at the poles, `OverflowError` where the result is too large.
pub(crate) fn gamma(x: f64) -> Result<f64> {
    if !x.is_finite() {
        return if x == f64::NEG_INFINITY {
            Err(domain_error())
        } else {
            Ok(x)
        };
    }
    if x == 0.0 {
        return Err(domain_error());
    }
    if x == x.floor() {
        if x < 0.0 {
            return Err(domain_error());
        }
        if x <= 23.0 {
            return Ok(exact_factorial(x as u32 - 1));
        }
    }
    let size = x.abs();
    if size < 1e-20 {
        let result = 1.0 / x;
        return if result.is_infinite() {
            Err(range_error())
        } else {
            Ok(result)
        };
    }
    if size > 200.0 {
        return if x < 0.0 {
            Ok(0.0 / sine_of_pi_times(x))
        } else {
            Err(range_error())
        };
    }
    let result = gamma_by_lanczos(x, size);
    if result.is_infinite() {
        Err(range_error())
    } else {
        Ok(result)
    }
}

/// Gamma of a number that is not close to zero and at most 200 in size.
fn gamma_by_lanczos(x: f64, size: f64) -> f64 {
    let y = size + G_MINUS_HALF;
    // What the addition rounds away, computed so that neither operand loses it.
    let lost = if size > G_MINUS_HALF {
        (y - size) - G_MINUS_HALF
    } else {
        (y - G_MINUS_HALF) - size
    };
    let correction = lost * G / y;
    // A power that would overflow is taken in two halves.
    let halves = size >= 140.0;
    let exponent = if halves {
        size / 2.0 - 0.25
    } else {
        size - 0.5
    };
    if x < 0.0 {
        let mut result = -PI / sine_of_pi_times(size) / size * y.exp() / lanczos_sum(size);
        result -= correction * result;
        let power = y.powf(exponent);
        result /= power;
        if halves { result / power } else { result }
    } else {
        let mut result = lanczos_sum(size) / y.exp();
        result += correction * result;
        let power = y.powf(exponent);
        result *= power;
        if halves { result * power } else { result }
    }
}

/// `math.lgamma(x)`: the logarithm of the size of gamma.
///
/// # Errors
/// `ValueError` at the poles, `OverflowError` where the result is too large.
pub(crate) fn log_gamma(x: f64) -> Result<f64> {
    if !x.is_finite() {
        return Ok(if x.is_nan() { x } else { f64::INFINITY });
    }
    if x == x.floor() && x <= 2.0 {
        return if x <= 0.0 {
            Err(domain_error())
        } else {
            Ok(0.0)
        };
    }
    let size = x.abs();
    if size < 1e-20 {
        return Ok(-size.ln());
    }
    let mut result = lanczos_sum(size).ln() - G;
    result += (size - 0.5) * ((size + G - 0.5).ln() - 1.0);
    if x < 0.0 {
        // The reflection formula.
        result = PI.ln() - sine_of_pi_times(size).abs().ln() - size.ln() - result;
    }
    if result.is_infinite() {
        return Err(range_error());
    }
    Ok(result)
}
