//! The functions of the module `operator` that are operators.

use crate::builtin::FunctionEntry;
use crate::call::CallKind::{self, Fast, One};
use crate::call::{check_count, is_index};
use crate::compare::{Comparison, compare, same_or_equal};
use crate::error::{PyError, Result};
use crate::hooks::unless_hooked;
use crate::int::{self, IntView};
use crate::iterator;
use crate::object::{Ref, View};
use crate::ops::{self, BinaryOperator};
use crate::sequence;
use crate::subscript;

const fn function(
    name: &'static str,
    kind: CallKind,
    call: fn(&[Ref]) -> Result<Ref>,
) -> FunctionEntry {
    FunctionEntry { name, kind, call }
}

macro_rules! binary {
    ($name:literal, $operator:ident) => {
        function($name, Fast, |arguments| {
            check_count($name, arguments, 2..=2)?;
            ops::binary(BinaryOperator::$operator, &arguments[0], &arguments[1])
        })
    };
}

macro_rules! in_place {
    ($name:literal, $operator:ident) => {
        function($name, Fast, |arguments| {
            check_count($name, arguments, 2..=2)?;
            ops::in_place(BinaryOperator::$operator, &arguments[0], &arguments[1])
        })
    };
}

macro_rules! comparison {
    ($name:literal, $comparison:ident) => {
        function($name, Fast, |arguments| {
            check_count($name, arguments, 2..=2)?;
            compare(Comparison::$comparison, &arguments[0], &arguments[1]).map(Ref::bool)
        })
    };
}

pub(crate) const FUNCTIONS: &[FunctionEntry] = &[
    function("abs", One, |arguments| ops::absolute(&arguments[0])),
    binary!("add", Add),
    binary!("and_", And),
    function("concat", Fast, |arguments| {
        concat("concat", false, arguments)
    }),
    function("contains", Fast, |arguments| {
        check_count("contains", arguments, 2..=2)?;
        sequence::contains(&arguments[0], &arguments[1]).map(Ref::bool)
    }),
    function("countOf", Fast, count_of),
    function("delitem", Fast, |arguments| {
        check_count("delitem", arguments, 2..=2)?;
        subscript::delete(&arguments[0], &arguments[1]).map(|()| Ref::none())
    }),
    comparison!("eq", Equal),
    binary!("floordiv", FloorDivide),
    comparison!("ge", GreaterEqual),
    function("getitem", Fast, |arguments| {
        check_count("getitem", arguments, 2..=2)?;
        subscript::get(&arguments[0], &arguments[1])
    }),
    comparison!("gt", Greater),
    in_place!("iadd", Add),
    in_place!("iand", And),
    function("iconcat", Fast, |arguments| {
        concat("iconcat", true, arguments)
    }),
    in_place!("ifloordiv", FloorDivide),
    in_place!("ilshift", LeftShift),
    in_place!("imatmul", MatrixMultiply),
    in_place!("imod", Remainder),
    in_place!("imul", Multiply),
    function("index", One, |arguments| ops::index(&arguments[0])),
    function("indexOf", Fast, index_of),
    function("inv", One, |arguments| ops::invert(&arguments[0])),
    function("invert", One, |arguments| ops::invert(&arguments[0])),
    in_place!("ior", Or),
    in_place!("ipow", Power),
    in_place!("irshift", RightShift),
    function("is_", Fast, |arguments| {
        check_count("is_", arguments, 2..=2)?;
        Ok(Ref::bool(arguments[0].is(&arguments[1])))
    }),
    function("is_not", Fast, |arguments| {
        check_count("is_not", arguments, 2..=2)?;
        Ok(Ref::bool(!arguments[0].is(&arguments[1])))
    }),
    in_place!("isub", Subtract),
    in_place!("itruediv", TrueDivide),
    in_place!("ixor", Xor),
    comparison!("le", LessEqual),
    binary!("lshift", LeftShift),
    comparison!("lt", Less),
    binary!("matmul", MatrixMultiply),
    binary!("mod", Remainder),
    binary!("mul", Multiply),
    comparison!("ne", NotEqual),
    function("neg", One, |arguments| ops::negative(&arguments[0])),
    function("not_", One, |arguments| {
        Ok(Ref::bool(!ops::truth(&arguments[0])?))
    }),
    binary!("or_", Or),
    function("pos", One, positive),
    binary!("pow", Power),
    binary!("rshift", RightShift),
    function("setitem", Fast, |arguments| {
        check_count("setitem", arguments, 3..=3)?;
        subscript::set(&arguments[0], &arguments[1], arguments[2].clone()).map(|()| Ref::none())
    }),
    binary!("sub", Subtract),
    binary!("truediv", TrueDivide),
    function("truth", One, |arguments| {
        ops::truth(&arguments[0]).map(Ref::bool)
    }),
    binary!("xor", Xor),
];

/// `a + b` of two sequences.
fn concat(name: &str, in_place: bool, arguments: &[Ref]) -> Result<Ref> {
    check_count(name, arguments, 2..=2)?;
    let [a, b] = [&arguments[0], &arguments[1]];
    let is_sequence = |object: &Ref| {
        matches!(
            object.view(),
            View::List(_) | View::Tuple(_) | View::Str(_) | View::Bytes(_)
        )
    };
    if !is_sequence(a) {
        let message = format!("'{}' object can't be concatenated", a.type_name());
        let methods = ["__add__", "__iadd__", "__getitem__"];
        return Err(unless_hooked(a, &methods, PyError::type_error(message)));
    }
    if in_place {
        ops::in_place(BinaryOperator::Add, a, b)
    } else {
        ops::binary(BinaryOperator::Add, a, b)
    }
}

fn not_iterable(object: &Ref) -> PyError {
    PyError::type_error(format!(
        "argument of type '{}' is not iterable",
        object.type_name()
    ))
}

fn count_of(arguments: &[Ref]) -> Result<Ref> {
    check_count("countOf", arguments, 2..=2)?;
    let items = iterator::items(&arguments[0])
        .map_err(|error| error.instead(|| not_iterable(&arguments[0])))?;
    let mut count = 0;
    for item in items {
        count += usize::from(same_or_equal(&item?, &arguments[1])?);
    }
    Ok(int::from_usize(count))
}

fn index_of(arguments: &[Ref]) -> Result<Ref> {
    check_count("indexOf", arguments, 2..=2)?;
    let items = iterator::items(&arguments[0])
        .map_err(|error| error.instead(|| not_iterable(&arguments[0])))?;
    for (index, item) in items.enumerate() {
        if same_or_equal(&item?, &arguments[1])? {
            return Ok(int::from_usize(index));
        }
    }
    Err(PyError::value("sequence.index(x): x not in sequence"))
}

/// `+a`
fn positive(arguments: &[Ref]) -> Result<Ref> {
    match arguments[0].view() {
        View::Float(_) => Ok(arguments[0].clone()),
        _ if is_index(&arguments[0]) => {
            let value = arguments[0].as_int().unwrap_or(IntView::Small(0));
            Ok(int::add(value, IntView::Small(0)))
        }
        _ => ops::positive(&arguments[0]),
    }
}
