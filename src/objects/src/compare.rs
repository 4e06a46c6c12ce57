//! Comparisons: numbers as exact numbers, strings by code points, sequences item by item, dicts by keys and values, sets
//! as parts of each other, the rest by identity.

use crate::attribute::refuse_hooks;
use crate::error::{PyError, Result};
use crate::nesting;
use crate::object::{Kind, Ref, View};
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

/// `a comparison b`
///
/// # Errors
/// `TypeError` if the operands have no order, `RecursionError` if they are nested too deeply.
pub fn compare(comparison: Comparison, a: &Ref, b: &Ref) -> Result<bool> {
    match (a.kind(), b.kind()) {
        (Kind::List, Kind::List)
        | (Kind::Tuple, Kind::Tuple)
        | (Kind::Slice, Kind::Slice)
        | (Kind::Dict, Kind::Dict)
        | (Kind::Set | Kind::FrozenSet | Kind::DictView, _) => {
            let _nested = nesting::enter(" in comparison")?;
            compare_containers(comparison, a, b)
        }
        _ => compare_simple(comparison, a, b),
    }
}

/// `a is b or a == b`: how containers look for an item.
///
/// # Errors
/// `RecursionError` if the operands are nested too deeply.
pub fn same_or_equal(a: &Ref, b: &Ref) -> Result<bool> {
    Ok(a.is(b) || compare(Comparison::Equal, a, b)?)
}

fn compare_containers(comparison: Comparison, a: &Ref, b: &Ref) -> Result<bool> {
    match (a.view(), b.view()) {
        (View::List(x), View::List(y)) => {
            let items = (|index| x.get(index), |index| y.get(index));
            compare_sequences(comparison, (x.len(), y.len()), items)
        }
        (View::Tuple(x), View::Tuple(y)) => {
            let (x, y) = (x.items(), y.items());
            let items = (|index| x.get(index).cloned(), |index| y.get(index).cloned());
            compare_sequences(comparison, (x.len(), y.len()), items)
        }
        (View::Slice(x), View::Slice(y)) => {
            let bounds = [x, y].map(|s| [s.start(), s.stop(), s.step()].map(Ref::clone).to_vec());
            let [x, y] = bounds.map(Ref::tuple);
            compare(comparison, &x, &y)
        }
        (View::Dict(x), View::Dict(y)) if is_equality(comparison) => {
            let equal = x.equals(y, same_or_equal)?;
            Ok(equal == (comparison == Comparison::Equal))
        }
        _ if set::is_set_like(a) && set::is_set_like(b) => set::compare(comparison, a, b),
        _ => compare_simple(comparison, a, b),
    }
}

/// Compares objects that are not both containers of one kind.
fn compare_simple(comparison: Comparison, a: &Ref, b: &Ref) -> Result<bool> {
    match (a.view(), b.view()) {
        (View::Str(x), View::Str(y)) => Ok(comparison.holds(Some(x.compare(y)))),
        (View::Bytes(x), View::Bytes(y)) => Ok(comparison.holds(Some(x.data().cmp(y.data())))),
        (View::Range(x), View::Range(y)) if is_equality(comparison) => {
            Ok(x.equals(y) == (comparison == Comparison::Equal))
        }
        (View::Instance(_), _) | (_, View::Instance(_)) => {
            // Every comparison may call the method of another: `!=` calls `__eq__`, `a < b` calls `b.__gt__`.
            let hooks = ["__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"];
            refuse_hooks(&[a, b], &hooks)?;
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
) -> Result<bool> {
    if lengths.0 != lengths.1 && is_equality(comparison) {
        return Ok(comparison == Comparison::NotEqual);
    }
    let pairs = (0..).map_while(|index| Some((items.0(index)?, items.1(index)?)));
    for (a, b) in pairs {
        if same_or_equal(&a, &b)? {
            continue;
        }
        return match comparison {
            Comparison::Equal => Ok(false),
            Comparison::NotEqual => Ok(true),
            _ => compare(comparison, &a, &b),
        };
    }
    Ok(comparison.holds(Some(lengths.0.cmp(&lengths.1))))
}
