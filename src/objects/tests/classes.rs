//! Classes of the program, their instances and exceptions, as tables of what CPython 3.13 answers.

#![allow(unsafe_code)]

use mimeo_objects::attribute::{delete, get, get_method, get_super, set};
use mimeo_objects::call::call;
use mimeo_objects::class::ClassSpec;
use mimeo_objects::code::CodeSpec;
use mimeo_objects::error::{ErrorKind, PyError, Result};
use mimeo_objects::exception;
use mimeo_objects::object::{Ref, View};
use mimeo_objects::types::{Type, TypeId};
use mimeo_objects::{format, heap, pattern};

fn shown(result: Result<Ref>) -> String {
    match result.and_then(|object| format::repr_text(&object)) {
        Ok(text) => text,
        Err(error) => error.to_string(),
    }
}

fn done(result: Result<()>) -> String {
    shown(result.map(|()| Ref::none()))
}

fn function(name: &str) -> Ref {
    let spec = CodeSpec {
        name: name.to_owned(),
        qualified_name: name.to_owned(),
        ..CodeSpec::default()
    };
    Ref::function(Ref::code(spec).unwrap(), Ref::dict(), Ref::dict())
}

fn named(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn class(name: &str, bases: &[&Ref], namespace: Vec<(&str, Ref)>) -> Ref {
    try_class(name, bases, namespace).unwrap()
}

fn try_class(name: &str, bases: &[&Ref], namespace: Vec<(&str, Ref)>) -> Result<Ref> {
    let namespace = namespace.into_iter();
    Ref::class(ClassSpec {
        name: name.to_owned(),
        bases: bases.iter().copied().cloned().collect(),
        namespace: namespace.map(|(k, v)| (k.to_owned(), v)).collect(),
        ..ClassSpec::default()
    })
}

fn slotted(name: &str, slots: &[&str], namespace: Vec<(&str, Ref)>) -> Ref {
    let namespace = namespace.into_iter();
    Ref::class(ClassSpec {
        name: name.to_owned(),
        slots: Some(named(slots)),
        namespace: namespace.map(|(k, v)| (k.to_owned(), v)).collect(),
        ..ClassSpec::default()
    })
    .unwrap()
}

fn of_type(object: &Ref) -> &Type {
    match object.view() {
        View::Type(of) => of,
        _ => panic!("no type"),
    }
}

/// The number that guards made now would compare with.
fn guard(of: &Ref) -> u32 {
    let record = of_type(of).guard_address() as *const u32;
    // SAFETY: the record lives as long as its type.
    unsafe { record.read() }
}

#[test]
fn attributes_of_instances() {
    let property = Ref::property(None, None, None);
    let d = class(
        "D",
        &[],
        vec![("k", Ref::int(1)), ("m", function("D.m")), ("p", property)],
    );
    let object = call(&d, &[]).unwrap();
    let own = |name| get(&object, name);
    assert_eq!(
        shown(own("a")),
        "AttributeError: 'D' object has no attribute 'a'"
    );
    assert_eq!(shown(own("k")), "1");
    assert!(shown(own("m")).starts_with("<bound method D.m of <__main__.D object at 0x"));
    assert_eq!(
        shown(own("p")),
        "AttributeError: property of 'D' object has no getter"
    );
    assert_eq!(shown(own("__class__")), "<class '__main__.D'>");
    set(&object, "a", Ref::int(5)).unwrap();
    set(&object, "k", Ref::int(6)).unwrap();
    set(&object, "m", Ref::int(7)).unwrap();
    assert_eq!(shown(own("m")), "7", "an instance's own hides a function");
    assert_eq!(
        done(set(&object, "p", Ref::int(1))),
        "AttributeError: property 'p' of 'D' object has no setter"
    );
    assert_eq!(
        done(delete(&object, "p")),
        "AttributeError: property 'p' of 'D' object has no deleter"
    );
    delete(&object, "a").unwrap();
    set(&object, "a", Ref::int(8)).unwrap();
    assert_eq!(shown(own("__dict__")), "{'k': 6, 'm': 7, 'a': 8}");
    assert_eq!(shown(own("a")), "8", "values move to the dict");
    delete(&object, "a").unwrap();
    assert_eq!(
        done(delete(&object, "a")),
        "AttributeError: 'D' object has no attribute 'a'"
    );
}

#[test]
fn attributes_of_instances_with_slots() {
    let c = slotted("C", &["a"], vec![("k", Ref::int(1))]);
    let object = call(&c, &[]).unwrap();
    let missing = "AttributeError: 'C' object has no attribute 'a'";
    assert_eq!(shown(get(&object, "a")), missing);
    set(&object, "a", Ref::int(2)).unwrap();
    assert_eq!(shown(get(&object, "a")), "2");
    delete(&object, "a").unwrap();
    assert_eq!(done(delete(&object, "a")), missing);
    let read_only = "AttributeError: 'C' object attribute 'k' is read-only";
    assert_eq!(done(set(&object, "k", Ref::int(1))), read_only);
    assert_eq!(done(delete(&object, "k")), read_only);
    assert_eq!(
        done(set(&object, "z", Ref::int(1))),
        "AttributeError: 'C' object has no attribute 'z' and no __dict__ for setting new attributes"
    );
    assert_eq!(
        shown(get(&object, "__dict__")),
        "AttributeError: 'C' object has no attribute '__dict__'"
    );
}

#[test]
fn attributes_of_built_in_objects() {
    let module = Ref::module("math");
    let cases = [
        (
            get(&Ref::int(5), "foo"),
            "AttributeError: 'int' object has no attribute 'foo'",
        ),
        (get(&Ref::bool(true), "real"), "1"),
        (get(&Ref::int(5), "denominator"), "1"),
        (get(&Ref::float(0.5), "imag"), "0.0"),
        (
            get(&Ref::none(), "x"),
            "AttributeError: 'NoneType' object has no attribute 'x'",
        ),
        (
            get(&module, "x"),
            "AttributeError: module 'math' has no attribute 'x'",
        ),
        (get(&module, "__name__"), "'math'"),
        (
            get(&Ref::type_object(TypeId::Int), "x"),
            "AttributeError: type object 'int' has no attribute 'x'",
        ),
        (
            get(&Ref::type_object(TypeId::Bool), "__bases__"),
            "(<class 'int'>,)",
        ),
        (
            get(&Ref::int(5), "__add__"),
            "NotSupported: the attribute __add__ of 'int' is not supported",
        ),
    ];
    for (found, expected) in cases {
        assert_eq!(shown(found), expected);
    }
    let cases = [
        (
            set(&Ref::int(5), "foo", Ref::none()),
            "AttributeError: 'int' object has no attribute 'foo' and no __dict__ for setting new attributes",
        ),
        (
            set(&Ref::int(5), "real", Ref::none()),
            "AttributeError: attribute 'real' of 'int' objects is not writable",
        ),
        (
            set(&Ref::type_object(TypeId::Int), "x", Ref::none()),
            "TypeError: cannot set 'x' attribute of immutable type 'int'",
        ),
        (
            set(&Ref::int(5), "__class__", Ref::int(1)),
            "TypeError: __class__ must be set to a class, not 'int' object",
        ),
        (
            delete(&module, "x"),
            "AttributeError: module 'math' has no attribute 'x'",
        ),
    ];
    for (found, expected) in cases {
        assert_eq!(done(found), expected);
    }
}

#[test]
fn methods_are_given_with_what_they_are_called_on() {
    let m = function("C.m");
    let c = class(
        "C",
        &[],
        vec![("m", m.clone()), ("s", Ref::static_method(m.clone()))],
    );
    let object = call(&c, &[]).unwrap();
    let (found, receiver) = get_method(&object, "m").unwrap();
    assert!(found.is(&m) && receiver.unwrap().is(&object));
    let (found, receiver) = get_method(&object, "s").unwrap();
    assert!(found.is(&m) && receiver.is_none());
    let (found, receiver) = get_method(&c, "m").unwrap();
    assert!(found.is(&m) && receiver.is_none(), "of the class itself");
    let d = class("D", &[&c], vec![("m", Ref::none())]);
    let derived = call(&d, &[]).unwrap();
    let (found, receiver) = get_super(&d, &derived, "m").unwrap();
    assert!(found.is(&m) && receiver.unwrap().is(&derived));
    assert_eq!(
        get_super(&d, &object, "m").unwrap_err().to_string(),
        "TypeError: super(type, obj): obj must be an instance or subtype of type"
    );
}

#[test]
fn the_order_of_bases_is_c3() {
    let a = class("A", &[], vec![("x", Ref::int(1))]);
    let b = class("B", &[&a], vec![]);
    let c = class("C", &[&a], vec![("x", Ref::int(2))]);
    let d = class("D", &[&b, &c], vec![]);
    assert_eq!(shown(get(&d, "x")), "2");
    assert_eq!(
        shown(get(&d, "__mro__")),
        "(<class '__main__.D'>, <class '__main__.B'>, <class '__main__.C'>, <class '__main__.A'>, <class 'object'>)"
    );
    assert_eq!(
        shown(try_class("E", &[&a, &b], vec![])),
        "TypeError: Cannot create a consistent method resolution order (MRO) for bases A, B in class E"
    );
    assert_eq!(
        shown(try_class("E", &[&a, &a], vec![])),
        "TypeError: duplicate base class A"
    );
    assert!(of_type(&d).is_subtype_of(of_type(&a)) && !of_type(&a).is_subtype_of(of_type(&d)));
}

#[test]
fn guards_fail_once_a_class_or_its_base_is_changed() {
    let base = class("B", &[], vec![("x", Ref::int(1))]);
    let derived = class("D", &[&base], vec![]);
    let [old_base, old_derived] = [&base, &derived].map(|of| of_type(of).guard_address());
    let numbers = [guard(&base), guard(&derived)];
    assert!(numbers[0] != numbers[1] && numbers.iter().all(|&number| number >= 4096));
    set(&base, "x", Ref::int(2)).unwrap();
    for (of, old, number) in [
        (&base, old_base, numbers[0]),
        (&derived, old_derived, numbers[1]),
    ] {
        assert_ne!(of_type(of).guard_address(), old);
        // SAFETY: records live as long as their type.
        assert_eq!(unsafe { (old as *const u32).read() }, 0);
        assert_eq!(guard(of), number, "guards made from now on match again");
    }
    let before = of_type(&base).guard_address();
    delete(&derived, "x").unwrap_err();
    set(&derived, "x", Ref::int(3)).unwrap();
    assert_eq!(
        of_type(&base).guard_address(),
        before,
        "a base does not see"
    );
}

#[test]
fn guards_on_keys_fail_once_there_is_one_more() {
    let c = class("C", &[], vec![]);
    let keys = of_type(&c).keys_address();
    let object = call(&c, &[]).unwrap();
    set(&object, "a", Ref::int(1)).unwrap();
    assert_ne!(of_type(&c).keys_address(), keys);
    assert_eq!(of_type(&c).value_index("a"), Some(0));
    let keys = of_type(&c).keys_address();
    set(&call(&c, &[]).unwrap(), "a", Ref::int(1)).unwrap();
    assert_eq!(of_type(&c).keys_address(), keys);
}

#[test]
fn attributes_beyond_the_room_make_a_dict() {
    let c = class("C", &[], vec![]);
    let object = call(&c, &[]).unwrap();
    for index in 0..50 {
        set(&object, &format!("a{index}"), Ref::int(index)).unwrap();
    }
    let View::Instance(instance) = object.view() else {
        panic!("no instance")
    };
    assert!(instance.existing_dict().is_some());
    let expected: Vec<String> = (0..50).map(|index| format!("a{index}")).collect();
    let attributes = instance.attributes().into_iter();
    let names: Vec<String> = attributes.map(|(name, _)| shown(Ok(name))).collect();
    assert_eq!(
        names,
        expected
            .iter()
            .map(|name| format!("'{name}'"))
            .collect::<Vec<_>>()
    );
    assert_eq!(shown(get(&object, "a49")), "49");
}

#[test]
fn calls_of_the_program_are_not_made() {
    let f = || function("f");
    let c = class("C", &[], vec![("__init__", f())]);
    assert_eq!(
        shown(call(&c, &[])),
        "NotSupported: calling __init__ of 'C' is not supported"
    );
    let c = class("C", &[], vec![("__repr__", f()), ("__getattr__", f())]);
    let object = call(&c, &[]).unwrap();
    assert_eq!(
        shown(Ok(object.clone())),
        "NotSupported: calling __repr__ of 'C' is not supported"
    );
    assert_eq!(
        shown(get(&object, "x")),
        "NotSupported: calling __getattr__ of 'C' is not supported"
    );
    let plain = class("P", &[], vec![]);
    assert_eq!(
        shown(call(&plain, &[Ref::none()])),
        "TypeError: P() takes no arguments"
    );
}

#[test]
fn exceptions_are_objects() {
    let make = |id, arguments: Vec<Ref>| call(&Ref::type_object(id), &arguments).unwrap();
    let x = || Ref::str("x");
    let cases = [
        (make(TypeId::ValueError, vec![]), "ValueError()", ""),
        (make(TypeId::ValueError, vec![x()]), "ValueError('x')", "x"),
        (make(TypeId::KeyError, vec![x()]), "KeyError('x')", "'x'"),
        (
            make(TypeId::TypeError, vec![x(), Ref::int(1)]),
            "TypeError('x', 1)",
            "('x', 1)",
        ),
    ];
    for (exception, repr, text) in cases {
        assert_eq!(shown(Ok(exception.clone())), repr);
        let View::Exception(view) = exception.view() else {
            panic!("no exception")
        };
        assert_eq!(shown(view.text()), shown(Ok(Ref::str(text))));
        assert_eq!(view.to_error().unwrap().message, text);
    }
    let error = PyError::new(ErrorKind::KeyError, "'k'");
    let raised = Ref::raised(error.clone()).unwrap();
    let View::Exception(view) = raised.view() else {
        panic!("no exception")
    };
    assert_eq!(view.to_error().unwrap(), error);
}

#[test]
fn handlers_take_derived_exceptions() {
    let [lookup, key, int] =
        [TypeId::LookupError, TypeId::KeyError, TypeId::Int].map(Ref::type_object);
    let exception = call(&key, &[]).unwrap();
    assert!(exception::matches(&exception, &lookup).unwrap());
    let other = call(&lookup, &[]).unwrap();
    assert!(!exception::matches(&other, &key).unwrap());
    let both = Ref::tuple(vec![key.clone(), lookup]);
    assert!(exception::matches(&other, &both).unwrap());
    assert_eq!(
        exception::matches(&other, &int).unwrap_err().to_string(),
        "TypeError: catching classes that do not inherit from BaseException is not allowed"
    );
    let own = class("Mine", &[&key], vec![]);
    let mine = call(&own, &[Ref::int(1)]).unwrap();
    assert_eq!(shown(Ok(mine.clone())), "Mine(1)");
    assert!(exception::matches(&mine, &key).unwrap());
    set(&mine, "code", Ref::int(3)).unwrap();
    assert_eq!(shown(get(&mine, "code")), "3");
    assert_eq!(shown(get(&mine, "args")), "(1,)");
}

#[test]
fn patterns_take_classes_apart() {
    let arguments = Ref::tuple(vec![Ref::str("x"), Ref::str("y")]);
    let point = class("Point", &[], vec![("__match_args__", arguments)]);
    let object = call(&point, &[]).unwrap();
    for (name, value) in [("x", 1), ("y", 2)] {
        set(&object, name, Ref::int(value)).unwrap();
    }
    let parts = |subject: &Ref, of: &Ref, positional, names: &[&str]| {
        let names = Ref::tuple(names.iter().map(|name| Ref::str(name)).collect());
        shown(pattern::class(subject, of, positional, &names).map(|p| p.unwrap_or_else(Ref::none)))
    };
    assert_eq!(parts(&object, &point, 1, &["y"]), "(1, 2)");
    assert_eq!(parts(&object, &point, 0, &["z"]), "None");
    assert_eq!(parts(&Ref::int(1), &point, 0, &[]), "None");
    assert_eq!(
        parts(&object, &point, 3, &[]),
        "TypeError: Point() accepts 2 positional sub-patterns (3 given)"
    );
    assert_eq!(
        parts(&object, &point, 1, &["x"]),
        "TypeError: Point() got multiple sub-patterns for attribute 'x'"
    );
    let int = Ref::type_object(TypeId::Int);
    assert_eq!(parts(&Ref::bool(true), &int, 1, &[]), "(True,)");
    assert_eq!(
        parts(&Ref::int(1), &int, 2, &[]),
        "TypeError: int() accepts 1 positional sub-pattern (2 given)"
    );
    let range = Ref::type_object(TypeId::Range);
    let subject = call(&range, &[Ref::int(3)]).unwrap();
    assert_eq!(
        parts(&subject, &range, 1, &[]),
        "TypeError: range() accepts 0 positional sub-patterns (1 given)"
    );
}

#[test]
fn patterns_find_keys() {
    let dict = Ref::dict_of([(Ref::str("a"), Ref::int(1)), (Ref::int(2), Ref::int(3))]).unwrap();
    let values = |keys: Vec<Ref>| {
        let found = pattern::keys(&dict, &Ref::tuple(keys));
        shown(found.map(|values| values.unwrap_or_else(Ref::none)))
    };
    assert_eq!(values(vec![Ref::int(2), Ref::str("a")]), "(3, 1)");
    assert_eq!(values(vec![Ref::str("b")]), "None");
    assert_eq!(
        values(vec![Ref::str("a"), Ref::str("a")]),
        "ValueError: mapping pattern checks duplicate key ('a')"
    );
}

#[test]
fn nothing_leaks() {
    let before = heap::stats().live();
    {
        let base = class("B", &[], vec![("m", function("m"))]);
        let derived = class("D", &[&base], vec![]);
        let object = call(&derived, &[]).unwrap();
        set(&object, "a", Ref::list(vec![Ref::int(1000)])).unwrap();
        set(&object, "a", Ref::float(0.5)).unwrap();
        drop(get(&object, "m").unwrap());
        drop(get(&object, "__dict__").unwrap());
        set(&derived, "x", Ref::float(1.5)).unwrap();
        let slots = slotted("S", &["a", "b"], vec![]);
        let other = call(&slots, &[]).unwrap();
        set(&other, "b", object).unwrap();
        let error = class("E", &[&Ref::type_object(TypeId::Exception)], vec![]);
        let exception = call(&error, &[other]).unwrap();
        set(&exception, "x", Ref::module("m")).unwrap();
    }
    assert_eq!(heap::stats().live(), before);
}
