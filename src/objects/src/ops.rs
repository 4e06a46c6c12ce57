//! Operators: which operation a pair of operands means, and CPython's errors where there is none.

use crate::call::wrong_index;
use crate::dict;
use crate::error::{PyError, Result};
use crate::float;
use crate::hooks::{class_of, refuse_hooks, unless_hooked};
use crate::int::{self, IntView};
use crate::object::{Kind, Ref, View};
use crate::percent;
use crate::sequence;
use crate::set;
use crate::str;
use num_traits::Zero;

/// A binary operator, numbered as `BINARY_OP`'s oparg in CPython; the in-place form of each follows 13 later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum BinaryOperator {
    /// `+`
    Add = 0,
    /// `&`
    And = 1,
    /// `//`
    FloorDivide = 2,
    /// `<<`
    LeftShift = 3,
    /// `@`
    MatrixMultiply = 4,
    /// `*`
    Multiply = 5,
    /// `%`
    Remainder = 6,
    /// `|`
    Or = 7,
    /// `**`
    Power = 8,
    /// `>>`
    RightShift = 9,
    /// `-`
    Subtract = 10,
    /// `/`
    TrueDivide = 11,
    /// `^`
    Xor = 12,
}

impl BinaryOperator {
    /// Every operator, in the order of the numbers.
    pub const ALL: [Self; 13] = [
        Self::Add,
        Self::And,
        Self::FloorDivide,
        Self::LeftShift,
        Self::MatrixMultiply,
        Self::Multiply,
        Self::Remainder,
        Self::Or,
        Self::Power,
        Self::RightShift,
        Self::Subtract,
        Self::TrueDivide,
        Self::Xor,
    ];

    /// The operator of a `BINARY_OP` with this oparg, 0..=25, and whether it is in place.
    pub fn from_oparg(oparg: u32) -> Option<(Self, bool)> {
        let count = Self::ALL.len();
        let number = usize::try_from(oparg).ok()?;
        let operator = if number < 2 * count {
            Self::ALL.get(number % count)
        } else {
            None
        };
        operator.map(|&operator| (operator, number >= count))
    }

    /// The operator as it is written.
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::And => "&",
            Self::FloorDivide => "//",
            Self::LeftShift => "<<",
            Self::MatrixMultiply => "@",
            Self::Multiply => "*",
            Self::Remainder => "%",
            Self::Or => "|",
            Self::Power => "**",
            Self::RightShift => ">>",
            Self::Subtract => "-",
            Self::TrueDivide => "/",
            Self::Xor => "^",
        }
    }

    /// The name of its method without the underscores.
    const fn method(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::And => "and",
            Self::FloorDivide => "floordiv",
            Self::LeftShift => "lshift",
            Self::MatrixMultiply => "matmul",
            Self::Multiply => "mul",
            Self::Remainder => "mod",
            Self::Or => "or",
            Self::Power => "pow",
            Self::RightShift => "rshift",
            Self::Subtract => "sub",
            Self::TrueDivide => "truediv",
            Self::Xor => "xor",
        }
    }
}

/// `a operator b`
///
/// # Errors
/// `TypeError` if the operator does not take these operands, otherwise the operation's own.
pub fn binary(operator: BinaryOperator, a: &Ref, b: &Ref) -> Result<Ref> {
    apply(operator, false, a, b)
}

/// `a operator= b`: the object that `a` becomes. A list is changed and returned.
///
/// # Errors
/// As [`binary`].
pub fn in_place(operator: BinaryOperator, a: &Ref, b: &Ref) -> Result<Ref> {
    apply(operator, true, a, b)
}

/// As [`binary`] and [`in_place`], but takes the operands over: a string that nobody else refers to grows in place.
///
/// # Errors
/// As [`binary`].
pub fn binary_owned(operator: BinaryOperator, in_place: bool, a: Ref, b: Ref) -> Result<Ref> {
    match (operator, a.kind(), b.kind()) {
        (BinaryOperator::Add, Kind::Str, Kind::Str) => str::concat(a, b),
        _ => apply(operator, in_place, &a, &b),
    }
}

fn apply(operator: BinaryOperator, in_place: bool, a: &Ref, b: &Ref) -> Result<Ref> {
    if let (BinaryOperator::Remainder, View::Str(string)) = (operator, a.view()) {
        return percent::format(string, b);
    }
    // A list that is extended, say, asks the other operand for `__radd__` first.
    if class_of(a).is_some() || class_of(b).is_some() {
        refuse_operators(operator, in_place, a, b)?;
    }
    let outcome = numeric(operator, a, b)
        .or_else(|| sequence::binary(operator, in_place, a, b))
        .or_else(|| dict::binary(operator, in_place, a, b))
        .or_else(|| set::binary(operator, in_place, a, b))
        .or_else(|| not_covered(operator, a, b));
    outcome.unwrap_or_else(|| Err(unsupported(operator, in_place, a, b)))
}

/// A number as arithmetic sees it: a bool is an int.
enum Number<'a> {
    Int(IntView<'a>),
    Float(f64),
}

fn number(object: &Ref) -> Option<Number<'_>> {
    match object.view() {
        View::Float(value) => Some(Number::Float(value)),
        _ => object.as_int().map(Number::Int),
    }
}

/// The operation on two numbers; `None` if they are not, or the operator is not one of theirs.
fn numeric(operator: BinaryOperator, a: &Ref, b: &Ref) -> Option<Result<Ref>> {
    match (number(a)?, number(b)?) {
        (Number::Int(x), Number::Int(y)) => match (a.view(), b.view()) {
            (View::Bool(x), View::Bool(y)) if is_bitwise(operator) => {
                Some(Ok(Ref::bool(bool_operation(operator, x, y))))
            }
            _ => int_operation(operator, x, y),
        },
        (Number::Int(x), Number::Float(y)) => float_operation(operator, x.to_float(), Ok(y)),
        (Number::Float(x), Number::Int(y)) => float_operation(operator, Ok(x), y.to_float()),
        (Number::Float(x), Number::Float(y)) => float_operation(operator, Ok(x), Ok(y)),
    }
}

fn is_bitwise(operator: BinaryOperator) -> bool {
    matches!(
        operator,
        BinaryOperator::And | BinaryOperator::Or | BinaryOperator::Xor
    )
}

fn bool_operation(operator: BinaryOperator, a: bool, b: bool) -> bool {
    match operator {
        BinaryOperator::And => a & b,
        BinaryOperator::Or => a | b,
        _ => a ^ b,
    }
}

fn int_operation(operator: BinaryOperator, a: IntView<'_>, b: IntView<'_>) -> Option<Result<Ref>> {
    Some(match operator {
        BinaryOperator::Add => Ok(int::add(a, b)),
        BinaryOperator::And => Ok(int::and(a, b)),
        BinaryOperator::FloorDivide => int::floor_divide(a, b),
        BinaryOperator::LeftShift => int::left_shift(a, b),
        BinaryOperator::MatrixMultiply => return None,
        BinaryOperator::Multiply => int::multiply(a, b),
        BinaryOperator::Remainder => int::remainder(a, b),
        BinaryOperator::Or => Ok(int::or(a, b)),
        BinaryOperator::Power => int::power(a, b),
        BinaryOperator::RightShift => int::right_shift(a, b),
        BinaryOperator::Subtract => Ok(int::subtract(a, b)),
        BinaryOperator::TrueDivide => int::true_divide(a, b).map(Ref::float),
        BinaryOperator::Xor => Ok(int::xor(a, b)),
    })
}

/// The operation on floats; an operand may be an int that is too large for one.
fn float_operation(
    operator: BinaryOperator,
    a: Result<f64>,
    b: Result<f64>,
) -> Option<Result<Ref>> {
    let operation: fn(f64, f64) -> Result<f64> = match operator {
        BinaryOperator::Add => |a, b| Ok(a + b),
        BinaryOperator::FloorDivide => float::floor_divide,
        BinaryOperator::Multiply => |a, b| Ok(a * b),
        BinaryOperator::Remainder => float::remainder,
        BinaryOperator::Power => float::power,
        BinaryOperator::Subtract => |a, b| Ok(a - b),
        BinaryOperator::TrueDivide => float::divide,
        _ => return None,
    };
    Some(a.and_then(|a| operation(a, b?)).map(Ref::float))
}

/// What Python has an operation for and these objects have not.
fn not_covered(operator: BinaryOperator, a: &Ref, b: &Ref) -> Option<Result<Ref>> {
    let is_type = |object: &Ref| matches!(object.view(), View::Type(_) | View::None);
    match (operator, a.view(), b.view()) {
        (BinaryOperator::Remainder, View::Bytes(_), _) => {
            Some(Err(PyError::not_supported("formatting bytes with %")))
        }
        (BinaryOperator::Or, View::Type(_), _) if is_type(b) => {
            Some(Err(PyError::not_supported("a union of types")))
        }
        (BinaryOperator::Or, View::None, View::Type(_)) => {
            Some(Err(PyError::not_supported("a union of types")))
        }
        _ => None,
    }
}

/// Fails if one of the operands has the operator as a method of the program.
fn refuse_operators(operator: BinaryOperator, in_place: bool, a: &Ref, b: &Ref) -> Result<()> {
    let name = operator.method();
    let own = format!("__{name}__");
    refuse_hooks(&[a], &[&own])?;
    refuse_hooks(&[b], &[&format!("__r{name}__")])?;
    if in_place {
        refuse_hooks(&[a], &[&format!("__i{name}__")])?;
    }
    Ok(())
}

fn unsupported(operator: BinaryOperator, in_place: bool, a: &Ref, b: &Ref) -> PyError {
    let symbol = match (operator, in_place) {
        (BinaryOperator::Power, false) => "** or pow()".to_owned(),
        (_, false) => operator.symbol().to_owned(),
        (_, true) => format!("{}=", operator.symbol()),
    };
    let types = format!("'{}' and '{}'", a.type_name(), b.type_name());
    let hint = match a.view() {
        View::Builtin(function)
            if function.name() == "print" && symbol == BinaryOperator::RightShift.symbol() =>
        {
            ". Did you mean \"print(<message>, file=<output_stream>)\"?"
        }
        _ => "",
    };
    PyError::type_error(format!(
        "unsupported operand type(s) for {symbol}: {types}{hint}"
    ))
}

/// `-a`
///
/// # Errors
/// `TypeError` if `a` is not a number.
pub fn negative(a: &Ref) -> Result<Ref> {
    match number(a) {
        Some(Number::Int(value)) => Ok(int::negate(value)),
        Some(Number::Float(value)) => Ok(Ref::float(-value)),
        None => Err(bad_operand("unary -", "__neg__", a)),
    }
}

/// `+a`
///
/// # Errors
/// `TypeError` if `a` is not a number.
pub fn positive(a: &Ref) -> Result<Ref> {
    match number(a) {
        Some(Number::Int(value)) => Ok(int::add(value, int::IntView::Small(0))),
        Some(Number::Float(value)) => Ok(Ref::float(value)),
        None => Err(bad_operand("unary +", "__pos__", a)),
    }
}

/// `~a`
///
/// # Errors
/// `TypeError` if `a` is not an int.
pub fn invert(a: &Ref) -> Result<Ref> {
    a.as_int()
        .map(int::invert)
        .ok_or_else(|| bad_operand("unary ~", "__invert__", a))
}

/// An object that stands for an index, as an int.
///
/// # Errors
/// `TypeError` if it is none.
pub(crate) fn index(a: &Ref) -> Result<Ref> {
    let value = a.as_int().ok_or_else(|| wrong_index(a))?;
    Ok(int::add(value, IntView::Small(0)))
}

/// `abs(a)`
///
/// # Errors
/// `TypeError` if `a` is not a number.
pub fn absolute(a: &Ref) -> Result<Ref> {
    match number(a) {
        Some(Number::Int(value)) => Ok(int::absolute(value)),
        Some(Number::Float(value)) => Ok(Ref::float(value.abs())),
        None => Err(bad_operand("abs()", "__abs__", a)),
    }
}

/// `divmod(a, b)`
///
/// # Errors
/// `TypeError` if they are not numbers, `ZeroDivisionError` if `b` is zero.
pub fn divide_with_remainder(a: &Ref, b: &Ref) -> Result<Ref> {
    refuse_hooks(&[a], &["__divmod__"])?;
    refuse_hooks(&[b], &["__rdivmod__"])?;
    let floats = |a: f64, b: f64| {
        let (quotient, remainder) = float::divide_with_remainder(a, b)?;
        Ok(Ref::tuple(vec![
            Ref::float(quotient),
            Ref::float(remainder),
        ]))
    };
    match (number(a), number(b)) {
        (Some(Number::Int(a)), Some(Number::Int(b))) => Ok(Ref::tuple(vec![
            int::floor_divide(a, b)?,
            int::remainder(a, b)?,
        ])),
        (Some(Number::Int(a)), Some(Number::Float(b))) => floats(a.to_float()?, b),
        (Some(Number::Float(a)), Some(Number::Int(b))) => floats(a, b.to_float()?),
        (Some(Number::Float(a)), Some(Number::Float(b))) => floats(a, b),
        _ => Err(PyError::type_error(format!(
            "unsupported operand type(s) for divmod(): '{}' and '{}'",
            a.type_name(),
            b.type_name()
        ))),
    }
}

fn bad_operand(operator: &str, method: &str, a: &Ref) -> PyError {
    let message = format!("bad operand type for {operator}: '{}'", a.type_name());
    unless_hooked(a, &[method], PyError::type_error(message))
}

/// `bool(a)`
///
/// # Errors
/// `NotSupported` if a class of the program says what is true.
pub fn truth(a: &Ref) -> Result<bool> {
    Ok(match a.view() {
        View::None => false,
        View::Bool(value) => value,
        View::Int(value) => !value.is_zero(),
        View::Float(value) => value != 0.0,
        View::Str(string) => !string.is_empty(),
        View::List(list) => !list.is_empty(),
        View::Tuple(tuple) => !tuple.items().is_empty(),
        View::Range(range) => !range.len().is_zero(),
        View::Bytes(bytes) => !bytes.data().is_empty(),
        View::Dict(dict) => !dict.is_empty(),
        View::DictView(view) => !view.is_empty(),
        View::Set(set) => !set.is_empty(),
        _ => return refuse_hooks(&[a], &["__bool__", "__len__"]).map(|()| true),
    })
}
