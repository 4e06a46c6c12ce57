//! The semantics of each family of objects as tables: what Python says on the left, what CPython 3.13 answers on the
//! right. These hold without a Python on the machine; the differential test goes further where there is one.

use mimeo_objects::builtin::BuiltinId;
use mimeo_objects::call::call;
use mimeo_objects::code::CodeSpec;
use mimeo_objects::compare::{Comparison, compare};
use mimeo_objects::error::Result;
use mimeo_objects::object::{Ref, View};
use mimeo_objects::ops::{self, BinaryOperator};
use mimeo_objects::types::TypeId;
use mimeo_objects::{format, iterator, sequence, str, subscript};
use num_bigint::BigInt;

/// The representation of a value, or the exception's type and text.
fn shown(result: Result<Ref>) -> String {
    match result.and_then(|object| format::repr_text(&object)) {
        Ok(text) => text,
        Err(error) => error.to_string(),
    }
}

/// The value of a literal: an int, a float, a string in single quotes, a constant, or a list or tuple of those.
fn value(literal: &str) -> Ref {
    let items = |body: &str| {
        let body = body.trim_end_matches(',');
        let literals = body
            .split(',')
            .map(str::trim)
            .filter(|literal| !literal.is_empty());
        literals.map(value).collect::<Vec<_>>()
    };
    let inside = |open, close| literal.strip_prefix(open)?.strip_suffix(close);
    if let Some(body) = inside('[', ']') {
        return Ref::list(items(body));
    }
    if let Some(body) = inside('(', ')') {
        return Ref::tuple(items(body));
    }
    if let Some(text) = inside('\'', '\'') {
        return Ref::str(text);
    }
    match literal {
        "None" => Ref::none(),
        "True" => Ref::bool(true),
        "False" => Ref::bool(false),
        _ => match literal.parse::<BigInt>() {
            Ok(int) => Ref::big(int),
            Err(_) => Ref::float(literal.parse().expect("a literal")),
        },
    }
}

/// Evaluates `a operator b`, where the only spaces are those around the operator.
fn evaluate(expression: &str) -> Result<Ref> {
    let parts: Vec<&str> = expression.split(' ').collect();
    let [a, symbol, b] = parts[..] else {
        panic!("{expression} is not an expression")
    };
    let (a, b) = (value(a), value(b));
    if let Some(operator) = BinaryOperator::ALL
        .into_iter()
        .find(|op| op.symbol() == symbol)
    {
        return ops::binary(operator, &a, &b);
    }
    if let Some(comparison) = Comparison::ALL.into_iter().find(|op| op.symbol() == symbol) {
        return compare(comparison, &a, &b).map(Ref::bool);
    }
    let in_place = symbol.strip_suffix('=').and_then(|symbol| {
        BinaryOperator::ALL
            .into_iter()
            .find(|operator| operator.symbol() == symbol)
    });
    match in_place {
        Some(operator) => ops::in_place(operator, &a, &b),
        None if symbol == "in" => sequence::contains(&b, &a).map(Ref::bool),
        None => panic!("{symbol} is not an operator"),
    }
}

fn check(rows: &[(&str, &str)]) {
    for (expression, expected) in rows {
        assert_eq!(shown(evaluate(expression)), *expected, "{expression}");
    }
}

#[test]
fn ints() {
    check(&[
        ("9223372036854775807 + 1", "9223372036854775808"),
        ("9223372036854775808 - 1", "9223372036854775807"),
        ("-9223372036854775808 * -1", "9223372036854775808"),
        ("-9223372036854775808 // -1", "9223372036854775808"),
        ("-9223372036854775808 % -1", "0"),
        ("-7 // 2", "-4"),
        ("-7 % 2", "1"),
        ("7 % -2", "-1"),
        (
            "1 // 0",
            "ZeroDivisionError: integer division or modulo by zero",
        ),
        ("1 % 0", "ZeroDivisionError: integer modulo by zero"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("7 / 2", "3.5"),
        ("9007199254740993 / 1", "9007199254740992.0"),
        ("9007199254740995 / 1", "9007199254740996.0"),
        ("1 << 64", "18446744073709551616"),
        ("0 << 99999999999999999999", "0"),
        (
            "1 << 99999999999999999999999",
            "OverflowError: too many digits in integer",
        ),
        ("1 << 99999999999999", "MemoryError"),
        ("1 << -1", "ValueError: negative shift count"),
        ("-1 >> 99999999999999999999", "-1"),
        ("-18446744073709551617 >> 64", "-2"),
        ("1 >> -1", "ValueError: negative shift count"),
        ("-3 & 18446744073709551615", "18446744073709551613"),
        ("-3 ^ 18446744073709551616", "-18446744073709551619"),
        ("3 ** 40", "12157665459056928801"),
        ("3 ** 41", "36472996377170786403"),
        ("2 ** -2", "0.25"),
        ("-1 ** 99999999999999999999", "-1"),
        (
            "0 ** -1",
            "ZeroDivisionError: 0.0 cannot be raised to a negative power",
        ),
        ("2 ** 99999999999", "MemoryError"),
        (
            "1 @ 2",
            "TypeError: unsupported operand type(s) for @: 'int' and 'int'",
        ),
        (
            "1 + 'a'",
            "TypeError: unsupported operand type(s) for +: 'int' and 'str'",
        ),
        (
            "1 += 'a'",
            "TypeError: unsupported operand type(s) for +=: 'int' and 'str'",
        ),
        (
            "1 ** 'a'",
            "TypeError: unsupported operand type(s) for ** or pow(): 'int' and 'str'",
        ),
        (
            "1 **= 'a'",
            "TypeError: unsupported operand type(s) for **=: 'int' and 'str'",
        ),
    ]);
    let huge = Ref::big(BigInt::from(10).pow(400));
    let huger = Ref::big(BigInt::from(10).pow(800));
    let rows = [
        (
            &huge,
            &Ref::int(3),
            "OverflowError: integer division result too large for a float",
        ),
        (&Ref::int(3), &huge, "0.0"),
        (&huge, &huge, "1.0"),
        (&huge, &huger, "0.0"),
        (
            &huge,
            &Ref::float(1.0),
            "OverflowError: int too large to convert to float",
        ),
    ];
    for (a, b, expected) in rows {
        assert_eq!(
            shown(ops::binary(BinaryOperator::TrueDivide, a, b)),
            expected
        );
    }
}

#[test]
fn bools_are_ints_except_among_themselves() {
    check(&[
        ("True + True", "2"),
        ("True & False", "False"),
        ("True ^ True", "False"),
        ("True | 2", "3"),
        ("True << 3", "8"),
        ("True == 1", "True"),
        ("True < 1.5", "True"),
        ("'ab' * True", "'ab'"),
    ]);
    assert_eq!(shown(ops::negative(&Ref::bool(true))), "-1");
    assert_eq!(shown(ops::invert(&Ref::bool(true))), "-2");
}

#[test]
fn floats() {
    check(&[
        ("0.1 + 0.2", "0.30000000000000004"),
        ("-7.5 // 2", "-4.0"),
        ("-7.5 % 2", "0.5"),
        ("7.5 % -2", "-0.5"),
        ("-0.0 % 3", "0.0"),
        ("0.0 % -3", "-0.0"),
        ("-0.0 // 3", "-0.0"),
        ("1.0 // 0.1", "9.0"),
        ("1.0 % inf", "1.0"),
        ("-1.0 % inf", "inf"),
        ("1.0 / 0", "ZeroDivisionError: float division by zero"),
        (
            "1.0 // 0",
            "ZeroDivisionError: float floor division by zero",
        ),
        ("1.0 % 0", "ZeroDivisionError: float modulo by zero"),
        (
            "0.0 ** -1",
            "ZeroDivisionError: 0.0 cannot be raised to a negative power",
        ),
        ("0.0 ** -inf", "inf"),
        ("nan ** 0", "1.0"),
        ("1.0 ** nan", "1.0"),
        ("-inf ** 3", "-inf"),
        (
            "-8.0 ** 0.5",
            "NotSupported: a complex number, the result of **, is not supported",
        ),
        (
            "10.0 ** 400",
            "OverflowError: (34, 'Numerical result out of range')",
        ),
        ("1e308 * 10", "inf"),
        (
            "1.5 & 1",
            "TypeError: unsupported operand type(s) for &: 'float' and 'int'",
        ),
    ]);
}

#[test]
fn floats_as_text() {
    let rows = [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (1.0, "1.0"),
        (0.1, "0.1"),
        (100.0, "100.0"),
        (123456.789, "123456.789"),
        (1e15, "1000000000000000.0"),
        (9999999999999998.0, "9999999999999998.0"),
        (1e16, "1e+16"),
        (1.5e16, "1.5e+16"),
        (1e22, "1e+22"),
        (1e100, "1e+100"),
        (0.0001, "0.0001"),
        (0.00012345, "0.00012345"),
        (0.00001, "1e-05"),
        (1.2345e-7, "1.2345e-07"),
        (5e-324, "5e-324"),
        (f64::MAX, "1.7976931348623157e+308"),
        (f64::NAN, "nan"),
        (f64::NEG_INFINITY, "-inf"),
    ];
    for (float, expected) in rows {
        assert_eq!(shown(Ok(Ref::float(float))), expected);
    }
}

#[test]
fn comparisons() {
    check(&[
        ("9007199254740993 == 9007199254740992.0", "False"),
        ("9007199254740993 > 9007199254740992.0", "True"),
        ("1.5 > 1", "True"),
        ("-2 < -1.5", "True"),
        ("99999999999999999999 < inf", "True"),
        ("99999999999999999999 > -inf", "True"),
        ("nan == nan", "False"),
        ("1 != nan", "True"),
        ("1 >= nan", "False"),
        ("'a' < 'b'", "True"),
        ("'ab' > 'a'", "True"),
        ("'é' < '☃'", "True"),
        ("'1' == 1", "False"),
        (
            "'1' < 1",
            "TypeError: '<' not supported between instances of 'str' and 'int'",
        ),
        ("None == None", "True"),
        (
            "None < None",
            "TypeError: '<' not supported between instances of 'NoneType' and 'NoneType'",
        ),
        ("[1,2] < [1,3]", "True"),
        ("[1,2] < [1]", "False"),
        ("[1,'a'] == [1.0,'a']", "True"),
        (
            "[1,'a'] < [1,2]",
            "TypeError: '<' not supported between instances of 'str' and 'int'",
        ),
        ("(1,2) == [1,2]", "False"),
        ("(1,2) <= (1,2)", "True"),
    ]);
    let nan = Ref::float(f64::NAN);
    let twice = [Ref::list(vec![nan.clone()]), Ref::list(vec![nan])];
    assert_eq!(
        compare(Comparison::Equal, &twice[0], &twice[1]),
        Ok(true),
        "the same object"
    );
    let range =
        |start, stop, step| Ref::range(&Ref::int(start), &Ref::int(stop), &Ref::int(step)).unwrap();
    assert_eq!(
        compare(Comparison::Equal, &range(0, 3, 2), &range(0, 4, 2)),
        Ok(true)
    );
    assert_eq!(
        compare(Comparison::Equal, &range(0, 0, 2), &range(5, 1, 1)),
        Ok(true)
    );
    assert_eq!(
        compare(Comparison::Equal, &range(0, 3, 1), &range(0, 3, 2)),
        Ok(false)
    );
}

#[test]
fn sequences() {
    check(&[
        ("[1] + [2]", "[1, 2]"),
        ("(1,) + (2,)", "(1, 2)"),
        ("'ab' + 'é☃'", "'abé☃'"),
        (
            "[1] + (2,)",
            "TypeError: can only concatenate list (not \"tuple\") to list",
        ),
        (
            "(1,) + [2]",
            "TypeError: can only concatenate tuple (not \"list\") to tuple",
        ),
        (
            "'a' + 1",
            "TypeError: can only concatenate str (not \"int\") to str",
        ),
        ("[1] += 'ab'", "[1, 'a', 'b']"),
        ("[1] += 2", "TypeError: 'int' object is not iterable"),
        (
            "(1,) += 2",
            "TypeError: can only concatenate tuple (not \"int\") to tuple",
        ),
        ("[1,2] * 2", "[1, 2, 1, 2]"),
        ("2 * (1,)", "(1, 1)"),
        ("'ab' * -1", "''"),
        ("[] * 9999999999999", "[]"),
        ("[1] * 9999999999999", "MemoryError"),
        (
            "'ab' * 9223372036854775807",
            "OverflowError: repeated string is too long",
        ),
        (
            "[1] * 99999999999999999999",
            "OverflowError: cannot fit 'int' into an index-sized integer",
        ),
        (
            "[1] * 1.5",
            "TypeError: can't multiply sequence by non-int of type 'float'",
        ),
        (
            "'a' * 'b'",
            "TypeError: can't multiply sequence by non-int of type 'str'",
        ),
        ("2 in [1,2.0]", "True"),
        ("'é' in 'caféx'", "True"),
        ("'☃' in 'abc'", "False"),
        ("'' in 'abc'", "True"),
        (
            "1 in 'abc'",
            "TypeError: 'in <string>' requires string as left operand, not int",
        ),
        (
            "1 in 2",
            "TypeError: argument of type 'int' is not iterable",
        ),
    ]);
}

#[test]
fn a_list_may_be_extended_with_itself_and_its_iterator() {
    let list = value("[1, 2]");
    ops::in_place(BinaryOperator::Add, &list, &list).unwrap();
    assert_eq!(shown(Ok(list.clone())), "[1, 2, 1, 2]");
    subscript::set(
        &list,
        &Ref::slice(Ref::int(1), Ref::int(3), Ref::none()),
        list.clone(),
    )
    .unwrap();
    assert_eq!(shown(Ok(list.clone())), "[1, 1, 2, 1, 2, 2]");
    let View::List(items) = list.view() else {
        panic!("not a list")
    };
    items.push(list.clone());
    assert_eq!(shown(Ok(list.clone())), "[1, 1, 2, 1, 2, 2, [...]]");
    subscript::set(&list, &Ref::int(-1), Ref::tuple(vec![list.clone()])).unwrap();
    assert_eq!(shown(Ok(list.clone())), "[1, 1, 2, 1, 2, 2, ([...],)]");
    subscript::delete(&list, &Ref::int(-1)).unwrap();
}

#[test]
fn subscripts() {
    let none = Ref::none;
    let slice =
        |start: &str, stop: &str, step: &str| Ref::slice(value(start), value(stop), value(step));
    let rows = [
        ("[1, 2, 3]", Ref::int(-1), "3"),
        (
            "[1, 2, 3]",
            Ref::int(3),
            "IndexError: list index out of range",
        ),
        ("[1, 2, 3]", Ref::bool(true), "2"),
        (
            "[1]",
            Ref::str("ab"),
            "TypeError: list indices must be integers or slices, not str",
        ),
        ("(1,)", Ref::int(1), "IndexError: tuple index out of range"),
        (
            "(1,)",
            none(),
            "TypeError: tuple indices must be integers or slices, not NoneType",
        ),
        ("'aé☃'", Ref::int(1), "'é'"),
        (
            "'aé☃'",
            Ref::int(-4),
            "IndexError: string index out of range",
        ),
        (
            "'a'",
            Ref::float(0.0),
            "TypeError: string indices must be integers, not 'float'",
        ),
        (
            "[1]",
            value("99999999999999999999"),
            "IndexError: cannot fit 'int' into an index-sized integer",
        ),
        (
            "1",
            Ref::int(0),
            "TypeError: 'int' object is not subscriptable",
        ),
        ("[1, 2, 3, 4]", slice("1", "None", "2"), "[2, 4]"),
        ("[1, 2, 3, 4]", slice("None", "None", "-1"), "[4, 3, 2, 1]"),
        (
            "(1, 2, 3)",
            slice("-2", "99999999999999999999", "None"),
            "(2, 3)",
        ),
        ("'aé☃b'", slice("2", "0", "-1"), "'☃é'"),
        ("'aé☃b'", slice("0", "1", "None"), "'a'"),
        (
            "'ab'",
            slice("0", "1", "0"),
            "ValueError: slice step cannot be zero",
        ),
        (
            "'ab'",
            slice("1.5", "1", "1"),
            "TypeError: slice indices must be integers or None or have an __index__ method",
        ),
    ];
    for (container, index, expected) in rows {
        assert_eq!(
            shown(subscript::get(&value(container), &index)),
            expected,
            "{container}[{index:?}]"
        );
    }
    let assignments = [
        ("[1, 2]", Ref::int(0), "'ab'", "['ab', 2]"),
        (
            "[1, 2]",
            Ref::int(2),
            "0",
            "IndexError: list assignment index out of range",
        ),
        (
            "[1, 2, 3]",
            slice("1", "2", "None"),
            "'xyz'",
            "[1, 'x', 'y', 'z', 3]",
        ),
        (
            "[1, 2, 3]",
            slice("2", "0", "None"),
            "'x'",
            "[1, 2, 'x', 3]",
        ),
        (
            "[1, 2, 3]",
            slice("None", "None", "2"),
            "'xy'",
            "['x', 2, 'y']",
        ),
        (
            "[1, 2, 3]",
            slice("None", "None", "2"),
            "'x'",
            "ValueError: attempt to assign sequence of size 1 to extended slice of size 2",
        ),
        (
            "[1]",
            slice("0", "1", "None"),
            "5",
            "TypeError: must assign iterable to extended slice",
        ),
        (
            "[1]",
            slice("0", "1", "2"),
            "5",
            "TypeError: must assign iterable to extended slice",
        ),
        (
            "(1,)",
            Ref::int(0),
            "5",
            "TypeError: 'tuple' object does not support item assignment",
        ),
        (
            "'a'",
            Ref::int(0),
            "5",
            "TypeError: 'str' object does not support item assignment",
        ),
    ];
    for (container, index, item, expected) in assignments {
        let container = value(container);
        let done = subscript::set(&container, &index, value(item));
        assert_eq!(shown(done.map(|()| container)), expected);
    }
    let deletions = [
        ("[1, 2, 3]", Ref::int(-2), "[1, 3]"),
        (
            "[1, 2, 3]",
            Ref::int(3),
            "IndexError: list assignment index out of range",
        ),
        ("[1, 2, 3, 4, 5]", slice("None", "None", "-2"), "[2, 4]"),
        (
            "(1,)",
            Ref::int(0),
            "TypeError: 'tuple' object doesn't support item deletion",
        ),
        (
            "1",
            Ref::int(0),
            "TypeError: 'int' object does not support item deletion",
        ),
    ];
    for (container, index, expected) in deletions {
        let container = value(container);
        assert_eq!(
            shown(subscript::delete(&container, &index).map(|()| container)),
            expected
        );
    }
}

#[test]
fn ranges() {
    let range = |arguments: &[&str]| {
        let arguments: Vec<Ref> = arguments.iter().map(|literal| value(literal)).collect();
        call(&Ref::type_object(TypeId::Range), &arguments)
    };
    let rows: [(&[&str], &str); 8] = [
        (&["3"], "range(0, 3)"),
        (&["1", "True"], "range(1, 1)"),
        (&["5", "1", "-2"], "range(5, 1, -2)"),
        (
            &["0", "1", "0"],
            "ValueError: range() arg 3 must not be zero",
        ),
        (
            &["1.0"],
            "TypeError: 'float' object cannot be interpreted as an integer",
        ),
        (&[], "TypeError: range expected at least 1 argument, got 0"),
        (
            &["1", "2", "3", "4"],
            "TypeError: range expected at most 3 arguments, got 4",
        ),
        (
            &["0", "99999999999999999999"],
            "range(0, 99999999999999999999)",
        ),
    ];
    for (arguments, expected) in rows {
        assert_eq!(shown(range(arguments)), expected);
    }
    let items: [(&[&str], &str); 6] = [
        (&["5", "0", "-2"], "[5, 3, 1]"),
        (&["0"], "[]"),
        (
            &["9223372036854775805", "9223372036854775807"],
            "[9223372036854775805, 9223372036854775806]",
        ),
        (
            &["9223372036854775806", "9223372036854775807", "2"],
            "[9223372036854775806]",
        ),
        (
            &["-9223372036854775807", "-9223372036854775808", "-5"],
            "[-9223372036854775807]",
        ),
        (
            &["18446744073709551616", "18446744073709551619", "2"],
            "[18446744073709551616, 18446744073709551618]",
        ),
    ];
    for (arguments, expected) in items {
        let all = iterator::items(&range(arguments).unwrap())
            .unwrap()
            .collect::<Result<_>>();
        assert_eq!(shown(all.map(Ref::list)), expected);
    }
    // Only a range whose last step stays within a machine word has the iterator that generated code advances.
    let kinds: [(&[&str], &str); 4] = [
        (&["0", "9223372036854775807"], "range_iterator"),
        (&["0", "9223372036854775807", "2"], "longrange_iterator"),
        (&["-1", "9223372036854775807"], "longrange_iterator"),
        (&["0", "-9223372036854775808", "-1"], "longrange_iterator"),
    ];
    for (arguments, expected) in kinds {
        let iterator = iterator::iterate(&range(arguments).unwrap()).unwrap();
        assert_eq!(iterator.type_name(), expected, "{arguments:?}");
    }
    let long = range(&["0", "99999999999999999999"]).unwrap();
    let message = "OverflowError: Python int too large to convert to C ssize_t";
    assert_eq!(shown(iterator::length(&long)), message);
    assert_eq!(sequence::contains(&long, &Ref::float(1e18)), Ok(true));
    assert_eq!(sequence::contains(&long, &Ref::float(0.5)), Ok(false));
}

#[test]
fn iterators_end_as_in_cpython() {
    let rows = [("[1]", -1), ("(1,)", 1), ("'a'", 1), ("'é'", 1)];
    for (container, index) in rows {
        let iterator = iterator::iterate(&value(container)).unwrap();
        assert!(iterator::next(&iterator).unwrap().is_some());
        for _ in 0..2 {
            assert!(iterator::next(&iterator).unwrap().is_none());
            let (View::ListIterator(state) | View::TupleIterator(state) | View::StrIterator(state)) =
                iterator.view()
            else {
                panic!("{iterator:?}")
            };
            assert!(state.sequence().is_none(), "{container}");
            assert_eq!(state.index(), index, "{container}");
        }
        assert!(iterator::iterate(&iterator).unwrap().is(&iterator));
    }
    // Generated code marks the end of a list by the index alone.
    let marked = Ref::list_iterator(Some(value("[1]")), -1).unwrap();
    assert!(iterator::next(&marked).unwrap().is_none());
    let View::ListIterator(state) = marked.view() else {
        panic!("{marked:?}")
    };
    assert!(state.sequence().is_some());
    // A list that grows while it is iterated over goes on, one that grew afterwards does not.
    let list = value("[1]");
    let View::List(items) = list.view() else {
        panic!("not a list")
    };
    let iterator = iterator::iterate(&list).unwrap();
    assert!(iterator::next(&iterator).unwrap().is_some());
    items.push(Ref::int(2));
    assert!(iterator::next(&iterator).unwrap().is_some());
    assert!(iterator::next(&iterator).unwrap().is_none());
    items.push(Ref::int(3));
    assert!(iterator::next(&iterator).unwrap().is_none());
}

#[test]
fn unpacking() {
    let rows = [
        ("(1, 2)", 2, "[1, 2]"),
        ("'ab'", 2, "['a', 'b']"),
        (
            "(1, 2)",
            3,
            "ValueError: not enough values to unpack (expected 3, got 2)",
        ),
        (
            "[1, 2]",
            1,
            "ValueError: too many values to unpack (expected 1)",
        ),
        (
            "1.5",
            1,
            "TypeError: cannot unpack non-iterable float object",
        ),
    ];
    for (iterable, count, expected) in rows {
        assert_eq!(
            shown(sequence::unpack(&value(iterable), count).map(Ref::list)),
            expected
        );
    }
}

#[test]
fn truth() {
    let rows = [
        ("None", false),
        ("False", false),
        ("0", false),
        ("-0.0", false),
        ("nan", true),
        ("''", false),
        ("'a'", true),
        ("[]", false),
        ("(0,)", true),
        ("99999999999999999999", true),
    ];
    for (literal, expected) in rows {
        assert_eq!(ops::truth(&value(literal)), Ok(expected), "{literal}");
    }
    let code = Ref::code(CodeSpec::default()).unwrap();
    assert_eq!(
        ops::truth(&Ref::function(code, Ref::dict(), Ref::dict())),
        Ok(true)
    );
}

#[test]
fn strings() {
    let rows = [
        ("ab", 1, true, "'ab'"),
        ("é\u{ff}", 1, false, "'é\u{ff}'"),
        ("☃", 2, false, "'☃'"),
        ("😀\n\t\\", 4, false, "'😀\\n\\t\\\\'"),
        ("it's", 1, true, "\"it's\""),
        ("'\"", 1, true, "'\\'\"'"),
        (
            "\0\x7f\u{a0}\u{2028}\u{e000}",
            2,
            false,
            "'\\x00\\x7f\\xa0\\u2028\\ue000'",
        ),
        ("e\u{301}\u{f0000}", 4, false, "'e\u{301}\\U000f0000'"),
    ];
    for (text, width, is_ascii, expected) in rows {
        let object = Ref::str(text);
        let View::Str(string) = object.view() else {
            panic!("not a string")
        };
        assert_eq!(
            (string.width(), string.is_ascii()),
            (width, is_ascii),
            "{text:?}"
        );
        assert_eq!(string.len(), text.chars().count());
        assert_eq!(string.to_string(), text);
        assert_eq!(shown(Ok(object)), expected);
    }
    assert_eq!(
        shown(format::ascii(&Ref::str("aé☃😀"))),
        "\"'a\\\\xe9\\\\u2603\\\\U0001f600'\""
    );
    let lone = str::single(0xd800);
    assert_eq!(shown(Ok(lone.clone())), "'\\ud800'");
    let message = "UnicodeEncodeError: 'utf-8' codec can't encode character '\\ud800' in position 0: \
                   surrogates not allowed";
    assert_eq!(
        shown(call(&Ref::builtin(BuiltinId::Print), &[lone])),
        message
    );
    let narrow = subscript::get(
        &Ref::str("a😀"),
        &Ref::slice(Ref::none(), Ref::int(1), Ref::none()),
    );
    let narrow = narrow.unwrap();
    let View::Str(narrow) = narrow.view() else {
        panic!("not a string")
    };
    assert!(
        narrow.is_ascii(),
        "a slice has the smallest units that hold it"
    );
}

#[test]
fn calls() {
    use BuiltinId::*;
    let functions: [(BuiltinId, &[&str], &str); 47] = [
        (Abs, &["-9223372036854775808"], "9223372036854775808"),
        (Abs, &["-1.5"], "1.5"),
        (
            Abs,
            &["'a'"],
            "TypeError: bad operand type for abs(): 'str'",
        ),
        (
            Abs,
            &[],
            "TypeError: abs() takes exactly one argument (0 given)",
        ),
        (All, &["[1, 'a']"], "True"),
        (Any, &["[0, '']"], "False"),
        (Ascii, &["'é'"], "\"'\\\\xe9'\""),
        (Bin, &["-5"], "'-0b101'"),
        (Callable, &["1"], "False"),
        (Chr, &["9731"], "'☃'"),
        (Chr, &["-1"], "ValueError: chr() arg not in range(0x110000)"),
        (
            Chr,
            &["99999999999999999999"],
            "ValueError: chr() arg not in range(0x110000)",
        ),
        (Divmod, &["-7", "2"], "(-4, 1)"),
        (Divmod, &["7.5", "2"], "(3.0, 1.5)"),
        (Divmod, &["1.0", "0"], "ZeroDivisionError: float divmod()"),
        (
            Divmod,
            &["1"],
            "TypeError: divmod expected 2 arguments, got 1",
        ),
        (Hex, &["255"], "'0xff'"),
        (Len, &["'aé'"], "2"),
        (Len, &["1"], "TypeError: object of type 'int' has no len()"),
        (Max, &["1", "2.0", "2"], "2.0"),
        (Min, &["[3, 1, 2]"], "1"),
        (Min, &["[]"], "ValueError: min() iterable argument is empty"),
        (
            Min,
            &[],
            "TypeError: min expected at least 1 argument, got 0",
        ),
        (Next, &["[]"], "TypeError: 'list' object is not an iterator"),
        (Oct, &["8"], "'0o10'"),
        (Ord, &["'☃'"], "9731"),
        (
            Ord,
            &["'ab'"],
            "TypeError: ord() expected a character, but string of length 2 found",
        ),
        (
            Ord,
            &["1"],
            "TypeError: ord() expected string of length 1, but int found",
        ),
        (Pow, &["3", "200", "1000"], "1"),
        (Pow, &["3", "-1", "7"], "5"),
        (
            Pow,
            &["2", "-1", "4"],
            "ValueError: base is not invertible for the given modulus",
        ),
        (
            Pow,
            &["2", "1", "0"],
            "ValueError: pow() 3rd argument cannot be 0",
        ),
        (Pow, &["2", "3", "-5"], "-2"),
        (Pow, &["3", "-1", "1"], "0"),
        (Pow, &["-3", "-5", "-1"], "0"),
        (
            Pow,
            &["2"],
            "TypeError: pow() missing required argument 'exp' (pos 2)",
        ),
        (Repr, &["'a'"], "\"'a'\""),
        (Round, &["2.5"], "2"),
        (Round, &["-3.5"], "-4"),
        (
            Round,
            &["nan"],
            "ValueError: cannot convert float NaN to integer",
        ),
        (
            Round,
            &["'a'"],
            "TypeError: type str doesn't define __round__ method",
        ),
        (Sorted, &["(3, 1.5, 2)"], "[1.5, 2, 3]"),
        (
            Sorted,
            &["[1, 'a']"],
            "TypeError: '<' not supported between instances of 'str' and 'int'",
        ),
        (Sum, &["[1, 9223372036854775807]"], "9223372036854775808"),
        // Compensated since 3.12.
        (
            Sum,
            &["[0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]"],
            "1.0",
        ),
        (Sum, &["[1.0, 1e100, 1.0, -1e100]"], "2.0"),
        (
            Sum,
            &["'a'"],
            "TypeError: unsupported operand type(s) for +: 'int' and 'str'",
        ),
    ];
    for (function, arguments, expected) in functions {
        let arguments: Vec<Ref> = arguments.iter().map(|literal| value(literal)).collect();
        let result = call(&Ref::builtin(function), &arguments);
        assert_eq!(shown(result), expected, "{}{arguments:?}", function.name());
    }
    let types: [(TypeId, &[&str], &str); 21] = [
        (TypeId::Int, &[], "0"),
        (TypeId::Int, &["-1.9"], "-1"),
        (TypeId::Int, &["1e20"], "100000000000000000000"),
        (
            TypeId::Int,
            &["inf"],
            "OverflowError: cannot convert float infinity to integer",
        ),
        (TypeId::Int, &["' -1_0 '"], "-10"),
        (TypeId::Int, &["'0x1f'", "0"], "31"),
        (
            TypeId::Int,
            &["'1.5'"],
            "ValueError: invalid literal for int() with base 10: '1.5'",
        ),
        (
            TypeId::Int,
            &["None"],
            "TypeError: int() argument must be a string, a bytes-like object or a real number, not 'NoneType'",
        ),
        (TypeId::Float, &["' 1e3 '"], "1000.0"),
        (
            TypeId::Float,
            &["'a'"],
            "ValueError: could not convert string to float: 'a'",
        ),
        (
            TypeId::Float,
            &["[]"],
            "TypeError: float() argument must be a string or a real number, not 'list'",
        ),
        (TypeId::Bool, &["''"], "False"),
        (TypeId::Str, &[], "''"),
        (TypeId::Str, &["1.0"], "'1.0'"),
        (TypeId::Str, &["'a'"], "'a'"),
        (TypeId::List, &["'ab'"], "['a', 'b']"),
        (
            TypeId::List,
            &["1"],
            "TypeError: 'int' object is not iterable",
        ),
        (TypeId::Tuple, &["[1]"], "(1,)"),
        (TypeId::Type, &["True"], "<class 'bool'>"),
        (TypeId::Slice, &["1"], "slice(None, 1, None)"),
        (
            TypeId::ListIterator,
            &[],
            "TypeError: cannot create 'list_iterator' instances",
        ),
    ];
    for (id, arguments, expected) in types {
        let arguments: Vec<Ref> = arguments.iter().map(|literal| value(literal)).collect();
        let result = call(&Ref::type_object(id), &arguments);
        assert_eq!(shown(result), expected, "{}{arguments:?}", id.name());
    }
}

#[test]
fn instances() {
    let types = |ids: &[TypeId]| Ref::tuple(ids.iter().map(|&id| Ref::type_object(id)).collect());
    let rows = [
        ("True", Ref::type_object(TypeId::Int), "True"),
        ("1", Ref::type_object(TypeId::Bool), "False"),
        ("'a'", types(&[TypeId::Int, TypeId::Str]), "True"),
        ("None", Ref::type_object(TypeId::Object), "True"),
        (
            "1",
            Ref::int(1),
            "TypeError: isinstance() arg 2 must be a type, a tuple of types, or a union",
        ),
    ];
    for (literal, class, expected) in rows {
        let result = call(
            &Ref::builtin(BuiltinId::IsInstance),
            &[value(literal), class],
        );
        assert_eq!(shown(result), expected, "{literal}");
    }
}
