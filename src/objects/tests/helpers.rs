//! The helpers as generated code calls them: what they return, what they consume, how they raise.

#![allow(unsafe_code)]

use mimeo_objects::code::CodeSpec;
use mimeo_objects::error::{ErrorKind, PyError};
use mimeo_objects::format::repr_text;
use mimeo_objects::frame::OwnedFrame;
use mimeo_objects::heap;
use mimeo_objects::helpers::*;
use mimeo_objects::object::{Header, Ref, View};
use mimeo_objects::thread::ThreadState;
use mimeo_objects::{builtin::BuiltinId, methods, types::TypeId};
use num_bigint::BigInt;
use std::ptr;

type Object = *mut Header;
type Binary = unsafe extern "C" fn(*mut ThreadState, Object, Object) -> Object;

/// What a helper answered: the object's text, or the error.
type Answer = Result<String, PyError>;

/// Runs helpers on a thread state of their own and checks that no object is left.
fn run<T>(work: impl FnOnce(&mut ThreadState) -> T) -> T {
    let before = heap::stats().live();
    let mut thread = ThreadState::new();
    let result = work(&mut thread);
    assert!(
        thread.error.is_none(),
        "an error is left: {:?}",
        thread.error
    );
    drop(thread);
    assert_eq!(
        heap::stats().live(),
        before,
        "objects leaked, or were freed twice"
    );
    result
}

/// Takes what a helper returned.
fn taken(thread: &mut ThreadState, object: Object) -> Answer {
    // SAFETY: a helper returns a new reference or null.
    match unsafe { Ref::from_nullable(object) } {
        Some(object) => Ok(repr_text(&object).unwrap()),
        None => Err(thread.take_error().unwrap()),
    }
}

/// Takes what a helper that returns a status returned.
fn outcome(thread: &mut ThreadState, status: i32) -> Result<(), PyError> {
    match status {
        0 => Ok(()),
        _ => Err(thread.take_error().unwrap()),
    }
}

fn ok(text: &str) -> Answer {
    Ok(text.to_owned())
}

fn error<T>(kind: ErrorKind, message: &str) -> Result<T, PyError> {
    Err(PyError::new(kind, message))
}

fn int(value: i64) -> Object {
    Ref::int(value).into_raw()
}

fn float(value: f64) -> Object {
    Ref::float(value).into_raw()
}

fn text(value: &str) -> Object {
    Ref::str(value).into_raw()
}

fn list(values: &[i64]) -> Object {
    Ref::list(values.iter().map(|&value| Ref::int(value)).collect()).into_raw()
}

#[test]
fn the_table_names_each_helper_once() {
    let names: Vec<&str> = symbols().iter().map(|symbol| symbol.name).collect();
    assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
    assert!(names.iter().all(|name| name.starts_with("mimeo_")));
    let add = symbols()
        .iter()
        .find(|symbol| symbol.name == "mimeo_int_add")
        .unwrap();
    // SAFETY: the name says which function is there.
    let add: Binary = unsafe { std::mem::transmute(add.address) };
    run(|thread| {
        // SAFETY: the operands are new references to ints.
        let sum = unsafe { add(thread, int(20), int(3)) };
        assert_eq!(taken(thread, sum), ok("23"));
    });
}

#[test]
fn arithmetic_consumes_its_operands() {
    let ints: [(Binary, i64, i64, &str); 6] = [
        (mimeo_int_add, 1, 2, "3"),
        (mimeo_int_add, i64::MAX, 1, "9223372036854775808"),
        (mimeo_int_subtract, i64::MIN, 1, "-9223372036854775809"),
        (mimeo_int_subtract, 1, 2, "-1"),
        (
            mimeo_int_multiply,
            1 << 40,
            1 << 40,
            "1208925819614629174706176",
        ),
        (mimeo_int_multiply, -3, 4, "-12"),
    ];
    let floats: [(Binary, f64, f64, &str); 3] = [
        (mimeo_float_add, 0.1, 0.2, "0.30000000000000004"),
        (mimeo_float_subtract, 1.0, 1.5, "-0.5"),
        (mimeo_float_multiply, 1e200, 1e200, "inf"),
    ];
    run(|thread| {
        // SAFETY: the operands are new references of the kinds that the helpers ask for.
        unsafe {
            for (helper, a, b, expected) in ints {
                let result = helper(thread, int(a), int(b));
                assert_eq!(taken(thread, result), ok(expected));
            }
            for (helper, a, b, expected) in floats {
                let result = helper(thread, float(a), float(b));
                assert_eq!(taken(thread, result), ok(expected));
            }
        }
    });
}

#[test]
fn a_float_that_nobody_else_sees_is_reused() {
    run(|thread| {
        let (a, b) = (Ref::float(1.0), Ref::float(2.0));
        // SAFETY: the operands are references to floats; their number is counted below.
        unsafe {
            let shared = mimeo_float_add(thread, a.clone().into_raw(), b.clone().into_raw());
            assert_ne!(shared, a.as_ptr());
            assert_ne!(shared, b.as_ptr());
            let own = float(5.0);
            let reused = mimeo_float_subtract(thread, a.clone().into_raw(), own);
            assert_eq!(reused, own);
            assert_eq!(taken(thread, reused), ok("-4.0"));
            assert_eq!(taken(thread, shared), ok("3.0"));
        }
        assert_eq!((a.refcount(), b.refcount()), (1, 1));
        assert_eq!(
            (repr_text(&a).unwrap(), repr_text(&b).unwrap()),
            ("1.0".into(), "2.0".into())
        );
    });
}

#[test]
fn operators_by_their_cpython_number() {
    let rows: [(u32, &str); 13] = [
        (0, "20"),
        (1, "1"),
        (2, "5"),
        (3, "136"),
        (5, "51"),
        (6, "2"),
        (7, "19"),
        (8, "4913"),
        (9, "2"),
        (10, "14"),
        (11, "5.666666666666667"),
        (12, "18"),
        (13, "20"),
    ];
    run(|thread| {
        // SAFETY: the operands are new references.
        unsafe {
            for (oparg, expected) in rows {
                let result = mimeo_binary_op(thread, int(17), int(3), oparg);
                assert_eq!(taken(thread, result), ok(expected), "oparg {oparg}");
            }
            let result = mimeo_binary_op(thread, int(1), int(0), 2);
            let message = "integer division or modulo by zero";
            assert_eq!(
                taken(thread, result),
                error(ErrorKind::ZeroDivisionError, message)
            );
            let result = mimeo_binary_op(thread, int(1), text("ab"), 4 + 13);
            let message = "unsupported operand type(s) for @=: 'int' and 'str'";
            assert_eq!(taken(thread, result), error(ErrorKind::TypeError, message));
            let result = mimeo_binary_op(thread, int(1), int(1), 26);
            assert_eq!(
                taken(thread, result).unwrap_err().kind,
                ErrorKind::NotSupported
            );
            let result = mimeo_unary_negative(thread, int(i64::MIN));
            assert_eq!(taken(thread, result), ok("9223372036854775808"));
            let result = mimeo_unary_invert(thread, float(1.0));
            let message = "bad operand type for unary ~: 'float'";
            assert_eq!(taken(thread, result), error(ErrorKind::TypeError, message));
        }
    });
}

#[test]
fn comparisons_by_their_cpython_number() {
    // The lower bits, of which 16 asks for a bool, do not matter.
    let rows = [
        (2, true),
        (42, true),
        (80, false),
        (103, true),
        (148, false),
        (18, true),
    ];
    run(|thread| {
        // SAFETY: the operands are new references.
        unsafe {
            for (oparg, expected) in rows {
                let result = mimeo_compare(thread, int(1), float(2.5), oparg);
                let expected = if expected { "True" } else { "False" };
                assert_eq!(taken(thread, result), ok(expected), "oparg {oparg}");
            }
            let result = mimeo_compare(thread, int(1), list(&[]), 0);
            let message = "'<' not supported between instances of 'int' and 'list'";
            assert_eq!(taken(thread, result), error(ErrorKind::TypeError, message));
            let result = mimeo_contains(thread, int(2), list(&[1, 2]), 0);
            assert_eq!(taken(thread, result), ok("True"));
            let result = mimeo_contains(thread, int(2), list(&[1, 2]), 1);
            assert_eq!(taken(thread, result), ok("False"));
            let result = mimeo_contains(thread, int(2), int(2), 1);
            let message = "argument of type 'int' is not iterable";
            assert_eq!(taken(thread, result), error(ErrorKind::TypeError, message));
        }
    });
}

#[test]
fn helpers_that_borrow_leave_their_operands() {
    run(|thread| {
        let big = Ref::big(BigInt::from(1) << 70);
        let (one, empty) = (Ref::int(1), Ref::str(""));
        let (text, same) = (Ref::str("ab☃"), Ref::str("ab☃"));
        // SAFETY: the operands stay alive.
        unsafe {
            assert_eq!(mimeo_int_compare(thread, big.as_ptr(), one.as_ptr()), 1);
            assert_eq!(mimeo_int_compare(thread, one.as_ptr(), big.as_ptr()), -1);
            assert_eq!(mimeo_int_compare(thread, one.as_ptr(), one.as_ptr()), 0);
            assert_eq!(mimeo_str_equal(thread, text.as_ptr(), same.as_ptr()), 1);
            assert_eq!(mimeo_str_equal(thread, text.as_ptr(), empty.as_ptr()), 0);
            assert_eq!(mimeo_truth(thread, empty.as_ptr()), 0);
            assert_eq!(mimeo_truth(thread, one.as_ptr()), 1);
            let length = mimeo_length(thread, text.as_ptr());
            assert_eq!(taken(thread, length), ok("3"));
            let length = mimeo_length(thread, one.as_ptr());
            let message = "object of type 'int' has no len()";
            assert_eq!(taken(thread, length), error(ErrorKind::TypeError, message));
            let item = mimeo_str_item(thread, text.as_ptr(), 2);
            assert_eq!(taken(thread, item), ok("'☃'"));
            let item = mimeo_str_item(thread, text.as_ptr(), -1);
            assert_eq!(
                taken(thread, item),
                error(ErrorKind::IndexError, "string index out of range")
            );
            let truth = mimeo_to_bool(thread, empty.clone().into_raw());
            assert_eq!(taken(thread, truth), ok("False"));
        }
        for object in [big, one, empty, text, same] {
            assert_eq!(object.refcount(), 1);
        }
    });
}

#[test]
fn containers_are_built_from_the_stack() {
    run(|thread| {
        // SAFETY: the arrays hold new references, which the helpers consume.
        unsafe {
            let mut items = [int(1), text("ab"), int(3)];
            let result = mimeo_build_tuple(thread, items.as_mut_ptr(), 3);
            assert_eq!(taken(thread, result), ok("(1, 'ab', 3)"));
            let result = mimeo_build_tuple(thread, ptr::null_mut(), 0);
            assert_eq!(taken(thread, result), ok("()"));
            let mut items = [int(1), int(2)];
            let result = mimeo_build_list(thread, items.as_mut_ptr(), 2);
            assert_eq!(taken(thread, result), ok("[1, 2]"));
            let mut items = [text("ab"), text("☃"), text("")];
            let result = mimeo_build_string(thread, items.as_mut_ptr(), 3);
            assert_eq!(taken(thread, result), ok("'ab☃'"));
            let mut items = [int(1), int(2)];
            let result = mimeo_build_slice(thread, items.as_mut_ptr(), 2);
            assert_eq!(taken(thread, result), ok("slice(1, 2, None)"));
        }
    });
}

#[test]
fn containers_are_read_and_written() {
    run(|thread| {
        let target = Ref::list(vec![]);
        let shared = || target.clone().into_raw();
        let items = || repr_text(&target).unwrap();
        // SAFETY: arguments are new references where they are consumed.
        unsafe {
            let status = mimeo_list_append(thread, target.as_ptr(), int(7));
            assert_eq!(outcome(thread, status), Ok(()));
            let status = mimeo_list_extend(thread, target.as_ptr(), text("ab"));
            assert_eq!(outcome(thread, status), Ok(()));
            assert_eq!(items(), "[7, 'a', 'b']");
            let status = mimeo_list_extend(thread, target.as_ptr(), int(1));
            let message = "Value after * must be an iterable, not int";
            assert_eq!(
                outcome(thread, status),
                error(ErrorKind::TypeError, message)
            );
            let status = mimeo_store_subscript(thread, int(8), shared(), int(-1));
            assert_eq!(outcome(thread, status), Ok(()));
            let status = mimeo_store_subscript(thread, int(8), shared(), int(3));
            let message = "list assignment index out of range";
            assert_eq!(
                outcome(thread, status),
                error(ErrorKind::IndexError, message)
            );
            let none = || Ref::none().into_raw();
            let status = mimeo_store_slice(thread, text("xyz"), shared(), int(1), none());
            assert_eq!(outcome(thread, status), Ok(()));
            assert_eq!(items(), "[7, 'x', 'y', 'z']");
            let status = mimeo_delete_subscript(thread, shared(), int(0));
            assert_eq!(outcome(thread, status), Ok(()));
            let slice = mimeo_slice(thread, shared(), none(), int(-1));
            assert_eq!(taken(thread, slice), ok("['x', 'y']"));
            let slice = mimeo_slice(thread, int(1), none(), none());
            let message = "'int' object is not subscriptable";
            assert_eq!(taken(thread, slice), error(ErrorKind::TypeError, message));
            let item = mimeo_subscript(thread, shared(), int(2));
            assert_eq!(taken(thread, item), ok("'z'"));
            let item = mimeo_subscript(thread, shared(), int(3));
            assert_eq!(
                taken(thread, item),
                error(ErrorKind::IndexError, "list index out of range")
            );
        }
        assert_eq!(target.refcount(), 1);
    });
}

#[test]
fn a_sequence_is_unpacked_downwards() {
    run(|thread| {
        let mut slots: [Object; 3] = [ptr::null_mut(); 3];
        // SAFETY: the sequences are new references, and there are three slots.
        unsafe {
            let status = mimeo_unpack_sequence(thread, list(&[1, 2, 3]), 3, slots.as_mut_ptr());
            assert_eq!(outcome(thread, status), Ok(()));
            let items = slots.map(|item| taken(thread, item).unwrap());
            assert_eq!(items, ["3", "2", "1"]);
            for (sequence, kind, message) in [
                (
                    list(&[1]),
                    ErrorKind::ValueError,
                    "not enough values to unpack (expected 3, got 1)",
                ),
                (
                    text("abcd"),
                    ErrorKind::ValueError,
                    "too many values to unpack (expected 3)",
                ),
                (
                    int(1),
                    ErrorKind::TypeError,
                    "cannot unpack non-iterable int object",
                ),
            ] {
                slots = [ptr::null_mut(); 3];
                let status = mimeo_unpack_sequence(thread, sequence, 3, slots.as_mut_ptr());
                assert_eq!(outcome(thread, status), error(kind, message));
                assert_eq!(slots, [ptr::null_mut(); 3], "something was written");
            }
        }
    });
}

#[test]
fn iteration_ends_with_a_null_and_no_error() {
    run(|thread| {
        // SAFETY: the container is a new reference, the iterator is borrowed.
        unsafe {
            let iterator = Ref::from_raw(mimeo_get_iter(thread, list(&[1, 2])));
            for expected in ["1", "2"] {
                let item = mimeo_iter_next(thread, iterator.as_ptr());
                assert_eq!(taken(thread, item), ok(expected));
            }
            assert!(mimeo_iter_next(thread, iterator.as_ptr()).is_null());
            assert!(thread.error.is_none());
            let View::ListIterator(state) = iterator.view() else {
                panic!("{iterator:?}")
            };
            assert_eq!(state.index(), -1);
            assert!(state.sequence().is_none());
            let item = mimeo_iter_next(thread, Ref::none().as_ptr());
            let message = "'NoneType' object is not an iterator";
            assert_eq!(taken(thread, item), error(ErrorKind::TypeError, message));
            let iterator = mimeo_get_iter(thread, int(1));
            let message = "'int' object is not iterable";
            assert_eq!(
                taken(thread, iterator),
                error(ErrorKind::TypeError, message)
            );
        }
    });
}

#[test]
fn calls_consume_callable_self_and_arguments() {
    run(|thread| {
        let function = |id| Ref::builtin(id).into_raw();
        // SAFETY: everything is a new reference or, for self, null.
        unsafe {
            let null = ptr::null_mut();
            let call = |thread: *mut ThreadState, operands: &mut [*mut Header]| {
                mimeo_call(thread, operands.as_mut_ptr(), operands.len() as u32 - 2)
            };
            let result = call(
                thread,
                &mut [function(BuiltinId::Divmod), null, int(7), int(2)],
            );
            assert_eq!(taken(thread, result), ok("(3, 1)"));
            let result = call(thread, &mut [function(BuiltinId::Max), int(9), int(2)]);
            assert_eq!(taken(thread, result), ok("9"));
            let range = Ref::type_object(TypeId::Range).into_raw();
            let result = call(thread, &mut [range, int(3)]);
            assert_eq!(taken(thread, result), ok("range(0, 3)"));
            let result = call(thread, &mut [int(1), text("ab")]);
            let message = "'int' object is not callable";
            assert_eq!(taken(thread, result), error(ErrorKind::TypeError, message));
            let append = methods::named("list.append").unwrap().into_raw();
            let list = Ref::list(Vec::new());
            let mut operands = [append, list.clone().into_raw(), int(5)];
            let result = mimeo_call_method(thread, operands.as_mut_ptr(), 1);
            assert_eq!(taken(thread, result), ok("None"));
            assert_eq!(repr_text(&list).unwrap(), "[5]");
            let code = Ref::code(CodeSpec::default()).unwrap();
            let user = Ref::function(code, Ref::dict(), Ref::dict()).into_raw();
            let result = call(thread, &mut [user, null]);
            assert_eq!(
                taken(thread, result).unwrap_err().kind,
                ErrorKind::NotSupported
            );
        }
    });
}

#[test]
fn strings_are_made() {
    run(|thread| {
        // SAFETY: the operands are new references.
        unsafe {
            let result = mimeo_str_concat(thread, text("ab"), text("é"));
            assert_eq!(taken(thread, result), ok("'abé'"));
            let result = mimeo_format_simple(thread, float(1e16));
            assert_eq!(taken(thread, result), ok("'1e+16'"));
            for (oparg, expected) in [(1, "'é'"), (2, "\"'é'\""), (3, r#""'\\xe9'""#)] {
                let result = mimeo_convert_value(thread, text("é"), oparg);
                assert_eq!(taken(thread, result), ok(expected));
            }
            let result = mimeo_convert_value(thread, text("é"), 4);
            assert_eq!(
                taken(thread, result).unwrap_err().kind,
                ErrorKind::NotSupported
            );
        }
    });
}

#[test]
fn objects_are_made_and_destroyed() {
    run(|thread| {
        // SAFETY: the counts are set to zero by hand, as generated code does before it calls the helper.
        unsafe {
            for object in [mimeo_int_new(thread, 5), mimeo_float_new(thread, 0.5)] {
                *object
                    .byte_add(mimeo_objects::layout::OBJECT_REFCOUNT)
                    .cast::<u64>() -= 1;
                mimeo_dealloc(thread, object);
            }
        }
    });
}

#[test]
fn an_unbound_local_is_named() {
    run(|thread| {
        let names = ["a", "b"].map(str::to_owned).to_vec();
        let named = CodeSpec {
            local_names: names,
            ..CodeSpec::default()
        };
        for (spec, expected) in [(CodeSpec::default(), "#1"), (named, "b")] {
            let function = Ref::function(Ref::code(spec).unwrap(), Ref::dict(), Ref::dict());
            let frame = OwnedFrame::new(0, Some(function), vec![], 0).unwrap();
            // SAFETY: thread state and frame are ours.
            unsafe { mimeo_raise_unbound_local(thread, frame.as_ptr(), 1) };
            let error = thread.take_error().unwrap();
            assert_eq!(error.kind, ErrorKind::UnboundLocalError);
            assert_eq!(
                error.message,
                format!(
                    "cannot access local variable '{expected}' where it is not associated with a value"
                )
            );
        }
    });
}

#[test]
fn counters_count_and_nothing_else_does() {
    run(|thread| {
        let counter = Ref::cell(Some(Ref::int(i64::MAX)));
        let View::Cell(cell) = counter.view() else {
            panic!("no cell")
        };
        for expected in ["9223372036854775808", "9223372036854775809"] {
            // SAFETY: the reference is a new one.
            unsafe { mimeo_increment_counter(thread, counter.clone().into_raw()) };
            assert_eq!(repr_text(&cell.get().unwrap()).unwrap(), expected);
        }
        for (contents, expected) in [(Some(Ref::str("a")), Some("'a'")), (None, None)] {
            cell.replace(contents);
            // SAFETY: as above.
            unsafe { mimeo_increment_counter(thread, counter.clone().into_raw()) };
            let text = cell.get().map(|contents| repr_text(&contents).unwrap());
            assert_eq!(text.as_deref(), expected);
        }
        // SAFETY: as above.
        unsafe { mimeo_increment_counter(thread, Ref::int(500).into_raw()) };
        assert!(thread.take_error().is_none());
    });
}

#[test]
fn a_fatal_error_is_an_exception() {
    run(|thread| {
        // SAFETY: the thread state is ours.
        unsafe { mimeo_fatal_error(thread) };
        let error = thread.take_error().unwrap();
        assert_eq!(error.kind, ErrorKind::SystemError);
    });
}
