//! Operations that would call a method of the program: refused with one, CPython 3.13's answer without.

use mimeo_objects::builtin::BuiltinId;
use mimeo_objects::bytes::Bytes;
use mimeo_objects::call::call;
use mimeo_objects::class::ClassSpec;
use mimeo_objects::code::CodeSpec;
use mimeo_objects::compare::{Comparison, compare};
use mimeo_objects::error::Result;
use mimeo_objects::hash::hash;
use mimeo_objects::object::{Ref, View};
use mimeo_objects::ops::{self, BinaryOperator};
use mimeo_objects::types::TypeId;
use mimeo_objects::{attribute, format, iterator, sequence, subscript};

fn shown(result: Result<Ref>) -> String {
    match result.and_then(|object| format::repr_text(&object)) {
        Ok(text) => text,
        Err(error) => error.to_string(),
    }
}

fn function(name: &str) -> Ref {
    let spec = CodeSpec {
        name: name.to_owned(),
        qualified_name: name.to_owned(),
        ..CodeSpec::default()
    };
    Ref::function(Ref::code(spec).unwrap(), Ref::dict(), Ref::dict())
}

fn derived(name: &str, base: &Ref, namespace: Vec<(&str, Ref)>) -> Ref {
    let namespace = namespace.into_iter();
    Ref::class(ClassSpec {
        name: name.to_owned(),
        bases: vec![base.clone()],
        namespace: namespace.map(|(k, v)| (k.to_owned(), v)).collect(),
        ..ClassSpec::default()
    })
    .unwrap()
}

/// A class `C` with these methods.
fn class(methods: &[&str]) -> Ref {
    let namespace = methods.iter().map(|&name| (name, function(name)));
    derived("C", &Ref::type_object(TypeId::Object), namespace.collect())
}

fn instance(methods: &[&str]) -> Ref {
    call(&class(methods), &[]).unwrap()
}

fn built_in(id: BuiltinId, arguments: &[&Ref]) -> Result<Ref> {
    let arguments: Vec<Ref> = arguments.iter().copied().cloned().collect();
    call(&Ref::builtin(id), &arguments)
}

fn made(id: TypeId, argument: &Ref) -> Result<Ref> {
    call(&Ref::type_object(id), std::slice::from_ref(argument))
}

fn done(result: Result<()>) -> Result<Ref> {
    result.map(|()| Ref::none())
}

type Operation = fn(&Ref) -> Result<Ref>;

#[test]
fn operations_ask_methods_of_the_program() {
    let cases: &[(&str, Operation, &str)] = &[
        ("__bool__", |c| ops::truth(c).map(Ref::bool), "True"),
        ("__len__", |c| ops::truth(c).map(Ref::bool), "True"),
        ("__len__", |c| made(TypeId::Bool, c), "True"),
        (
            "__bool__",
            |c| built_in(BuiltinId::All, &[&Ref::list(vec![c.clone()])]),
            "True",
        ),
        (
            "__bool__",
            |c| built_in(BuiltinId::Any, &[&Ref::list(vec![c.clone()])]),
            "True",
        ),
        (
            "__len__",
            iterator::length,
            "TypeError: object of type 'C' has no len()",
        ),
        (
            "__iter__",
            iterator::iterate,
            "TypeError: 'C' object is not iterable",
        ),
        (
            "__getitem__",
            iterator::iterate,
            "TypeError: 'C' object is not iterable",
        ),
        (
            "__iter__",
            |c| sequence::unpack(c, 2).map(Ref::tuple),
            "TypeError: cannot unpack non-iterable C object",
        ),
        (
            "__next__",
            |c| built_in(BuiltinId::Next, &[c]),
            "TypeError: 'C' object is not an iterator",
        ),
        (
            "__getitem__",
            |c| subscript::get(c, &Ref::int(0)),
            "TypeError: 'C' object is not subscriptable",
        ),
        (
            "__setitem__",
            |c| done(subscript::set(c, &Ref::int(0), Ref::none())),
            "TypeError: 'C' object does not support item assignment",
        ),
        (
            "__delitem__",
            |c| done(subscript::delete(c, &Ref::int(0))),
            "TypeError: 'C' object does not support item deletion",
        ),
        (
            "__contains__",
            |c| sequence::contains(c, &Ref::int(0)).map(Ref::bool),
            "TypeError: argument of type 'C' is not iterable",
        ),
        (
            "__index__",
            |c| subscript::get(&Ref::list(vec![Ref::none()]), c),
            "TypeError: list indices must be integers or slices, not C",
        ),
        (
            "__index__",
            |c| ops::binary(BinaryOperator::Multiply, &Ref::list(vec![]), c),
            "TypeError: can't multiply sequence by non-int of type 'C'",
        ),
        (
            "__index__",
            |c| built_in(BuiltinId::Hex, &[c]),
            "TypeError: 'C' object cannot be interpreted as an integer",
        ),
        (
            "__call__",
            |c| call(c, &[]),
            "TypeError: 'C' object is not callable",
        ),
        (
            "__neg__",
            ops::negative,
            "TypeError: bad operand type for unary -: 'C'",
        ),
        (
            "__pos__",
            ops::positive,
            "TypeError: bad operand type for unary +: 'C'",
        ),
        (
            "__invert__",
            ops::invert,
            "TypeError: bad operand type for unary ~: 'C'",
        ),
        (
            "__abs__",
            ops::absolute,
            "TypeError: bad operand type for abs(): 'C'",
        ),
        (
            "__int__",
            |c| made(TypeId::Int, c),
            "TypeError: int() argument must be a string, a bytes-like object or a real number, not 'C'",
        ),
        (
            "__float__",
            |c| made(TypeId::Float, c),
            "TypeError: float() argument must be a string or a real number, not 'C'",
        ),
        (
            "__round__",
            |c| built_in(BuiltinId::Round, &[c]),
            "TypeError: type C doesn't define __round__ method",
        ),
        (
            "__rdivmod__",
            |c| ops::divide_with_remainder(&Ref::int(1), c),
            "TypeError: unsupported operand type(s) for divmod(): 'int' and 'C'",
        ),
        (
            "__add__",
            |c| ops::binary(BinaryOperator::Add, c, &Ref::int(1)),
            "TypeError: unsupported operand type(s) for +: 'C' and 'int'",
        ),
        (
            "__radd__",
            |c| ops::in_place(BinaryOperator::Add, &Ref::list(vec![]), c),
            "TypeError: 'C' object is not iterable",
        ),
        (
            "__radd__",
            |c| ops::binary(BinaryOperator::Add, &Ref::str("a"), c),
            "TypeError: can only concatenate str (not \"C\") to str",
        ),
        (
            "__isub__",
            |c| ops::in_place(BinaryOperator::Subtract, c, &Ref::int(1)),
            "TypeError: unsupported operand type(s) for -=: 'C' and 'int'",
        ),
        (
            "__gt__",
            |c| compare(Comparison::Less, &Ref::int(1), c).map(Ref::bool),
            "TypeError: '<' not supported between instances of 'int' and 'C'",
        ),
        (
            "__eq__",
            |c| compare(Comparison::NotEqual, c, &Ref::int(1)).map(Ref::bool),
            "True",
        ),
        (
            "__eq__",
            |c| sequence::contains(&Ref::list(vec![Ref::int(1)]), c).map(Ref::bool),
            "False",
        ),
        (
            "__format__",
            |c| built_in(BuiltinId::Format, &[c, &Ref::str("x")]),
            "TypeError: unsupported format string passed to C.__format__",
        ),
        (
            "__reversed__",
            |c| made(TypeId::Reversed, c),
            "TypeError: 'C' object is not reversible",
        ),
        (
            "__float__",
            |c| ops::binary(BinaryOperator::Remainder, &Ref::str("%f"), c),
            "TypeError: must be real number, not C",
        ),
    ];
    for (method, operation, without) in cases {
        assert_eq!(shown(operation(&instance(&[]))), *without, "{method}");
        assert_eq!(
            shown(operation(&instance(&[method]))),
            format!("NotSupported: calling {method} of 'C' is not supported"),
        );
    }
}

#[test]
fn text_asks_methods_of_the_program() {
    for (method, operation) in [
        ("__repr__", format::repr as Operation),
        ("__repr__", format::str),
        ("__str__", format::str),
    ] {
        assert!(shown(operation(&instance(&[]))).contains("<__main__.C object at 0x"));
        assert_eq!(
            shown(operation(&instance(&[method]))),
            format!("NotSupported: calling {method} of 'C' is not supported"),
        );
    }
}

#[test]
fn comparisons_ask_only_their_own_methods() {
    let c = instance(&["__lt__"]);
    let one = Ref::int(1);
    assert_eq!(compare(Comparison::Equal, &c, &one), Ok(false));
    assert_eq!(compare(Comparison::Equal, &c, &c), Ok(true));
    assert_eq!(
        shown(compare(Comparison::Greater, &c, &one).map(Ref::bool)),
        "TypeError: '>' not supported between instances of 'C' and 'int'"
    );
}

#[test]
fn hashes_of_instances() {
    let plain = instance(&[]);
    assert_eq!(hash(&plain), hash(&plain));
    let refused = "NotSupported: calling __hash__ of 'C' is not supported";
    let unhashable = "TypeError: unhashable type: 'C'";
    let hashed = |object: &Ref| shown(hash(object).map(Ref::int));
    assert_eq!(hashed(&instance(&["__hash__"])), refused);
    assert_eq!(hashed(&instance(&["__hash__", "__eq__"])), refused);
    assert_eq!(hashed(&instance(&["__eq__"])), unhashable);
    let object = Ref::type_object(TypeId::Object);
    let none = derived("C", &object, vec![("__hash__", Ref::none())]);
    assert_eq!(hashed(&call(&none, &[]).unwrap()), unhashable);
    let comparing = derived("C", &class(&["__hash__"]), vec![("__eq__", function("f"))]);
    assert_eq!(hashed(&call(&comparing, &[]).unwrap()), unhashable);
    let hashing = derived("C", &class(&["__eq__"]), vec![("__hash__", function("f"))]);
    assert_eq!(hashed(&call(&hashing, &[]).unwrap()), refused);
    let late = class(&[]);
    attribute::set(&late, "__eq__", function("f")).unwrap();
    assert!(hash(&call(&late, &[]).unwrap()).is_ok(), "not made with it");
    let base = Ref::type_object(TypeId::ValueError);
    let error = derived("C", &base, vec![("__eq__", function("f"))]);
    assert_eq!(hashed(&call(&error, &[]).unwrap()), unhashable);
}

#[test]
fn keys_that_are_bytes_or_methods() {
    let dict = Ref::dict();
    let View::Dict(of) = dict.view() else {
        panic!("no dict")
    };
    let bytes = |data: &[u8]| Bytes::object(data.to_vec());
    of.insert(bytes(b"key"), Ref::int(1)).unwrap();
    of.insert(bytes(b"key"), Ref::int(2)).unwrap();
    of.insert(bytes(b"other"), Ref::int(3)).unwrap();
    assert_eq!(shown(Ok(dict.clone())), "{b'key': 2, b'other': 3}");

    let (object, list) = (instance(&["m"]), Ref::list(vec![]));
    let equal = |a: &Ref, b: &Ref| {
        let equal = compare(Comparison::Equal, a, b).unwrap();
        assert!(!equal || hash(a) == hash(b));
        equal
    };
    for (object, other, name) in [
        (&object, &instance(&["m"]), "m"),
        (&list, &Ref::list(vec![]), "append"),
    ] {
        let bound = attribute::get(object, name).unwrap();
        assert!(equal(&bound, &attribute::get(object, name).unwrap()));
        assert!(!equal(&bound, &attribute::get(other, name).unwrap()));
    }
    let append = attribute::get(&list, "append").unwrap();
    assert!(!equal(&append, &attribute::get(&list, "clear").unwrap()));
}

#[test]
fn an_error_keeps_what_it_refuses() {
    let cases: [Operation; 4] = [
        |c| made(TypeId::Dict, &Ref::list(vec![c.clone()])),
        |c| made(TypeId::Bytes, c),
        |c| {
            let join = attribute::get(&Ref::str(","), "join")?;
            call(&join, std::slice::from_ref(c))
        },
        |c| {
            let (list, none) = (Ref::list(vec![]), Ref::none());
            let all = Ref::slice(none.clone(), none.clone(), none);
            done(subscript::set(&list, &all, c.clone()))
        },
    ];
    for operation in cases {
        assert_eq!(
            shown(operation(&instance(&["__iter__"]))),
            "NotSupported: calling __iter__ of 'C' is not supported"
        );
    }
}
