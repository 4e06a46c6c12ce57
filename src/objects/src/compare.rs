//! Comparisons: numbers as exact numbers, strings by code points, sequences item by item, dicts by keys and values, sets
//! as parts of each other, the rest by identity.

use crate::error::{ErrorKind, PyError, Result};
use crate::hooks::{class_of, refuse_hooks};
use crate::object::{Ref, View};
use crate::set;
use std::cmp::Ordering;

/// A comparison, numbered as in CPython's `COMPARE_OP`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Comparison {
    /// `<`
    Less = 0,
    /// `<=`
    LessEqual = 1,
    /// `==`
    Equal = 2,
    /// `!=`
    NotEqual = 3,
    /// `>`
    Greater = 4,
    /// `>=`
    GreaterEqual = 5,
}

impl Comparison {
    /// Every comparison, in the order of the numbers.
    pub const ALL: [Self; 6] = [
        Self::Less,
        Self::LessEqual,
        Self::Equal,
        Self::NotEqual,
        Self::Greater,
        Self::GreaterEqual,
    ];

    /// The comparison of a CPython 3.13 `COMPARE_OP` with this oparg. The lower bits, a mask for specialised forms and
    /// the wish for a bool, make no difference: these objects always give one.
    pub fn from_oparg(oparg: u32) -> Option<Self> {
        Self::ALL.get(usize::try_from(oparg >> 5).ok()?).copied()
    }

    /// The comparison as it is written.
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
        }
    }

    /// Whether the comparison holds for operands of this order; `None` is that of a NaN.
    pub fn holds(self, order: Option<Ordering>) -> bool {
        let Some(order) = order else {
            return self == Self::NotEqual;
        };
        match self {
            Self::Less => order.is_lt(),
            Self::LessEqual => order.is_le(),
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Greater => order.is_gt(),
            Self::GreaterEqual => order.is_ge(),
        }
    }
}

/// How deep sequences may be nested in each other where they are compared or printed: what fits the native stack of
/// any thread.
pub(crate) const NESTING_LIMIT: u32 = 500;

/// `a comparison b`
///
/// # Errors
/// `TypeError` if the operands have no order, `RecursionError` if they are nested too deeply.
pub fn compare(comparison: Comparison, a: &Ref, b: &Ref) -> Result<bool> {
    compare_nested(comparison, a, b, 0)
}

/// `a is b or a == b`: how containers look for an item.
///
/// # Errors
/// `RecursionError` if the operands are nested too deeply.
pub fn same_or_equal(a: &Ref, b: &Ref) -> Result<bool> {
    Ok(a.is(b) || compare(Comparison::Equal, a, b)?)
}

fn compare_nested(comparison: Comparison, a: &Ref, b: &Ref, depth: u32) -> Result<bool> {
    if depth > NESTING_LIMIT {
        let message = "maximum recursion depth exceeded in comparison";
        return Err(PyError::new(ErrorKind::RecursionError, message));
    }
    match (a.view(), b.view()) {
        (View::Str(x), View::Str(y)) => Ok(comparison.holds(Some(x.compare(y)))),
        (View::Bytes(x), View::Bytes(y)) => Ok(comparison.holds(Some(x.data().cmp(y.data())))),
        (View::List(x), View::List(y)) => {
            let items = (|index| x.get(index), |index| y.get(index));
            compare_sequences(comparison, (x.len(), y.len()), items, depth)
        }
        (View::Tuple(x), View::Tuple(y)) => {
            let (x, y) = (x.items(), y.items());
            let items = (|index| x.get(index).cloned(), |index| y.get(index).cloned());
            compare_sequences(comparison, (x.len(), y.len()), items, depth)
        }
        (View::Slice(x), View::Slice(y)) => {
            let bounds = [x, y].map(|s| [s.start(), s.stop(), s.step()].map(Ref::clone).to_vec());
            let [x, y] = bounds.map(Ref::tuple);
            compare_nested(comparison, &x, &y, depth + 1)
        }
        (View::Dict(x), View::Dict(y)) if is_equality(comparison) => {
            let equal = x.equals(y, |x, y| {
                Ok(x.is(y) || compare_nested(Comparison::Equal, x, y, depth + 1)?)
            })?;
            Ok(equal == (comparison == Comparison::Equal))
        }
        _ if set::is_set_like(a) && set::is_set_like(b) => set::compare(comparison, a, b),
        (View::Range(x), View::Range(y)) if is_equality(comparison) => {
            Ok(x.equals(y) == (comparison == Comparison::Equal))
        }
        (View::Method(x), View::Method(y)) if is_equality(comparison) => {
            let same = x.instance().is(y.instance());
            let equal = same
                && (x.function().is(y.function())
                    || compare_nested(Comparison::Equal, x.function(), y.function(), depth + 1)?);
            Ok(equal == (comparison == Comparison::Equal))
        }
        (View::BoundBuiltin(x), View::BoundBuiltin(y)) if is_equality(comparison) => {
            Ok(x.is_same_as(y) == (comparison == Comparison::Equal))
        }
        _ if class_of(a).is_some() || class_of(b).is_some() => {
            refuse_comparison(comparison, a, b)?;
            match comparison {
                Comparison::Equal => Ok(a.is(b)),
                Comparison::NotEqual => Ok(!a.is(b)),
                _ => Err(unordered(comparison, a, b)),
            }
        }
        _ => match numeric_order(a, b) {
            Some(order) => Ok(comparison.holds(order)),
            None if is_equality(comparison) => Ok(a.is(b) == (comparison == Comparison::Equal)),
            None => Err(unordered(comparison, a, b)),
        },
    }
}

/// Fails if one of the operands has the comparison as a method of the program, or the one that is asked instead.
fn refuse_comparison(comparison: Comparison, a: &Ref, b: &Ref) -> Result<()> {
    let (own, reflected) = match comparison {
        Comparison::Less => ("__lt__", "__gt__"),
        Comparison::LessEqual => ("__le__", "__ge__"),
        Comparison::Greater => ("__gt__", "__lt__"),
        Comparison::GreaterEqual => ("__ge__", "__le__"),
        Comparison::Equal => ("__eq__", "__eq__"),
        Comparison::NotEqual => {
            // Without a method of its own, `!=` asks `__eq__`.
            refuse_hooks(&[a, b], &["__eq__"])?;
            ("__ne__", "__ne__")
        }
    };
    refuse_hooks(&[a], &[own])?;
    refuse_hooks(&[b], &[reflected])
}

fn unordered(comparison: Comparison, a: &Ref, b: &Ref) -> PyError {
    PyError::type_error(format!(
        "'{}' not supported between instances of '{}' and '{}'",
        comparison.symbol(),
        a.type_name(),
        b.type_name()
    ))
}

fn is_equality(comparison: Comparison) -> bool {
    matches!(comparison, Comparison::Equal | Comparison::NotEqual)
}

/// The order of two numbers; `None` if they are not, `Some(None)` if one is a NaN.
fn numeric_order(a: &Ref, b: &Ref) -> Option<Option<Ordering>> {
    match (a.view(), b.view()) {
        (View::Float(a), View::Float(b)) => Some(a.partial_cmp(&b)),
        (View::Float(a), _) => Some(b.as_int()?.compare_float(a).map(Ordering::reverse)),
        (_, View::Float(b)) => Some(a.as_int()?.compare_float(b)),
        _ => Some(Some(a.as_int()?.compare(b.as_int()?))),
    }
}

/// Compares the first items that differ, or the lengths where none does.
fn compare_sequences(
    comparison: Comparison,
    lengths: (usize, usize),
    items: (impl Fn(usize) -> Option<Ref>, impl Fn(usize) -> Option<Ref>),
    depth: u32,
) -> Result<bool> {
    if lengths.0 != lengths.1 && is_equality(comparison) {
        return Ok(comparison == Comparison::NotEqual);
    }
    let pairs = (0..).map_while(|index| Some((items.0(index)?, items.1(index)?)));
    for (a, b) in pairs {
        if a.is(&b) || compare_nested(Comparison::Equal, &a, &b, depth + 1)? {
            continue;
        }
        return match comparison {
            Comparison::Equal => Ok(false),
            Comparison::NotEqual => Ok(true),
            _ => compare_nested(comparison, &a, &b, depth + 1),
        };
    }
    Ok(comparison.holds(Some(lengths.0.cmp(&lengths.1))))
}
