//! The heap: whatever is done, every object that was allocated is freed exactly once, however deep it lies.

use mimeo_objects::builtin::BuiltinId;
use mimeo_objects::call::call;
use mimeo_objects::code::CodeSpec;
use mimeo_objects::compare::{Comparison, compare};
use mimeo_objects::error::ErrorKind;
use mimeo_objects::heap::{self, HeapStats};
use mimeo_objects::object::{Ref, View};
use mimeo_objects::ops::{BinaryOperator, binary, binary_owned, in_place};
use mimeo_objects::types::TypeId;
use mimeo_objects::{format, iterator, sequence, subscript};
use num_bigint::BigInt;

/// Runs `work` and checks that it leaves no object behind; returns how many it allocated.
fn allocations(work: impl FnOnce()) -> u64 {
    let before = heap::stats();
    work();
    let after = heap::stats();
    assert_eq!(
        after.live(),
        before.live(),
        "objects leaked, or were freed twice"
    );
    after.allocated - before.allocated
}

fn big() -> Ref {
    Ref::big(BigInt::from(1) << 100)
}

fn ints(values: impl IntoIterator<Item = i64>) -> Vec<Ref> {
    values.into_iter().map(Ref::int).collect()
}

#[test]
fn every_family_frees_what_it_allocates() {
    let families: [(&str, fn()); 12] = [
        ("int", || {
            drop(binary(BinaryOperator::Add, &Ref::int(1), &Ref::int(2)).unwrap())
        }),
        ("big int", || {
            drop(binary(BinaryOperator::Multiply, &big(), &big()).unwrap())
        }),
        ("float", || {
            drop(binary(BinaryOperator::Power, &Ref::float(2.0), &Ref::int(-3)).unwrap())
        }),
        ("str", || {
            drop(binary(BinaryOperator::Add, &Ref::str("ab"), &Ref::str("c☃")).unwrap())
        }),
        ("list", || {
            let list = Ref::list(ints(0..100));
            in_place(BinaryOperator::Add, &list, &list).unwrap();
            in_place(BinaryOperator::Multiply, &list, &Ref::int(3)).unwrap();
            let slice = Ref::slice(Ref::int(5), Ref::none(), Ref::int(7));
            subscript::delete(&list, &slice).unwrap();
            subscript::set(&list, &Ref::int(0), list_of(list_of(big()))).unwrap();
        }),
        ("tuple", || {
            drop(
                binary(
                    BinaryOperator::Multiply,
                    &Ref::tuple(ints(0..9)),
                    &Ref::int(9),
                )
                .unwrap(),
            )
        }),
        ("range", || {
            let range = Ref::range(&Ref::int(0), &big(), &Ref::int(3)).unwrap();
            subscript::get(&range, &Ref::int(-1)).unwrap();
        }),
        ("iterators", || {
            let containers = [
                Ref::list(ints(0..3)),
                Ref::tuple(ints(0..3)),
                Ref::str("abc"),
                Ref::range(&Ref::int(0), &Ref::int(3), &Ref::int(1)).unwrap(),
                Ref::range(&big(), &Ref::int(0), &Ref::big(BigInt::from(-1) << 99)).unwrap(),
            ];
            for container in containers {
                let iterator = iterator::iterate(&container).unwrap();
                while iterator::next(&iterator).unwrap().is_some() {}
                iterator::iterate(&container).unwrap();
            }
        }),
        ("function", || {
            let code = Ref::code(CodeSpec {
                local_names: vec!["a".to_owned()],
                constants: vec![Some(Ref::int(1000)), None],
                ..CodeSpec::default()
            });
            let function = Ref::function(code.unwrap(), Ref::dict(), Ref::dict());
            let cell = Ref::cell(Some(Ref::method(function, Ref::float(0.5))));
            drop(cell);
        }),
        ("calls", || {
            let list = Ref::list(ints([3, 1, 2]));
            for id in [
                BuiltinId::Sorted,
                BuiltinId::Sum,
                BuiltinId::Max,
                BuiltinId::Repr,
            ] {
                call(&Ref::builtin(id), std::slice::from_ref(&list)).unwrap();
            }
            call(&Ref::type_object(TypeId::Tuple), &[list]).unwrap();
        }),
        ("errors", || {
            let list = Ref::list(ints(0..3));
            assert!(subscript::set(&list, &Ref::int(7), big()).is_err());
            assert!(sequence::unpack(&list, 2).is_err());
            assert!(sequence::unpack(&list, 4).is_err());
            assert!(binary(BinaryOperator::Add, &list, &big()).is_err());
            assert!(call(&Ref::builtin(BuiltinId::Len), &[big()]).is_err());
        }),
        ("text", || {
            drop(format::repr(&Ref::tuple(vec![big(), Ref::list(vec![])])).unwrap())
        }),
    ];
    for (family, work) in families {
        assert!(allocations(work) > 0, "{family} allocates nothing");
    }
}

#[test]
fn immortal_objects_are_not_counted() {
    let counted = allocations(|| {
        for value in [
            Ref::none(),
            Ref::bool(true),
            Ref::bool(false),
            Ref::str("a"),
        ] {
            assert!(value.refcount() > 1 << 61);
        }
        assert!(Ref::type_object(TypeId::Int).is(&Ref::int(1).type_object_of()));
    });
    assert_eq!(counted, 1, "only the int");
}

trait TypeObjectOf {
    fn type_object_of(&self) -> Ref;
}

impl TypeObjectOf for Ref {
    fn type_object_of(&self) -> Ref {
        call(&Ref::type_object(TypeId::Type), std::slice::from_ref(self)).unwrap()
    }
}

fn list_of(item: Ref) -> Ref {
    Ref::list(vec![item])
}

fn tuple_of(item: Ref) -> Ref {
    Ref::tuple(vec![item])
}

fn slice_of(item: Ref) -> Ref {
    Ref::slice(item, Ref::none(), Ref::none())
}

fn iterator_of(item: Ref) -> Ref {
    iterator::iterate(&list_of(item)).unwrap()
}

fn nested(depth: usize, wrap: impl Fn(Ref) -> Ref) -> Ref {
    (0..depth).fold(Ref::int(0), |inner, _| wrap(inner))
}

#[test]
fn deep_objects_are_freed_without_deep_recursion() {
    const DEPTH: usize = 1_000_000;
    let wraps: [fn(Ref) -> Ref; 4] = [list_of, tuple_of, slice_of, iterator_of];
    for wrap in wraps {
        assert!(allocations(|| drop(nested(DEPTH, wrap))) > DEPTH as u64);
    }
    let mixed = |inner: Ref| tuple_of(list_of(slice_of(inner)));
    assert_eq!(
        allocations(|| drop(nested(DEPTH / 4, mixed))),
        3 * (DEPTH as u64 / 4) + 1
    );
}

#[test]
fn deep_objects_are_compared_and_printed_up_to_a_limit() {
    let flat_enough = [nested(400, list_of), nested(400, list_of)];
    assert_eq!(
        compare(Comparison::Equal, &flat_enough[0], &flat_enough[1]),
        Ok(true)
    );
    assert_eq!(format::repr_text(&flat_enough[0]).unwrap().len(), 801);
    let too_deep = [nested(100_000, tuple_of), nested(100_000, tuple_of)];
    let errors = [
        compare(Comparison::Less, &too_deep[0], &too_deep[1]).unwrap_err(),
        format::repr_text(&too_deep[0]).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind, ErrorKind::RecursionError);
        assert!(
            error
                .message
                .starts_with("maximum recursion depth exceeded"),
            "{error}"
        );
    }
}

#[test]
fn an_object_lives_as_long_as_its_last_reference() {
    let counted = allocations(|| {
        let item = big();
        let list = list_of(item.clone());
        assert_eq!(item.refcount(), 2);
        let View::List(items) = list.view() else {
            panic!("not a list")
        };
        let again = items.get(0).unwrap();
        assert!(again.is(&item));
        assert_eq!(item.refcount(), 3);
        drop(again);
        drop(list);
        assert_eq!(item.refcount(), 1);
    });
    assert_eq!(counted, 2);
}

#[test]
fn strings_grow_in_place_only_if_nobody_else_sees_it() {
    let mut text = Ref::str("ab");
    let address = text.as_ptr();
    let alias = text.clone();
    text = binary_owned(BinaryOperator::Add, false, text, Ref::str("c")).unwrap();
    assert_ne!(text.as_ptr(), address, "the alias would have changed");
    assert_eq!(format::repr_text(&alias).unwrap(), "'ab'");
    let address = text.as_ptr();
    for _ in 0..10_000 {
        text = binary_owned(BinaryOperator::Add, true, text, Ref::str("d")).unwrap();
    }
    assert_eq!(text.as_ptr(), address);
    let View::Str(string) = text.view() else {
        panic!("not a string")
    };
    assert_eq!((string.len(), string.width()), (10_003, 1));
    assert_eq!(
        string.as_ascii().unwrap(),
        format!("abc{}", "d".repeat(10_000))
    );
}

/// A thread's objects, free lists and immortal objects go with it, in whatever order its variables do.
#[test]
fn references_may_outlive_the_heap_of_a_thread() {
    use std::cell::RefCell;
    thread_local! {
        static KEPT: RefCell<Vec<Ref>> = const { RefCell::new(Vec::new()) };
    }
    for keep_first in [false, true] {
        let worker = std::thread::spawn(move || {
            if keep_first {
                KEPT.with_borrow_mut(|kept| kept.reserve(1));
            }
            drop(nested(2000, list_of));
            let objects = [
                Ref::none(),
                Ref::bool(true),
                Ref::str("x"),
                nested(10, tuple_of),
                big(),
            ];
            KEPT.with_borrow_mut(|kept| kept.extend(objects));
            heap::stats().live()
        });
        assert_eq!(worker.join().unwrap(), 12);
    }
}

#[test]
fn each_thread_counts_its_own_objects() {
    let _object = big();
    let other = std::thread::spawn(|| {
        drop(Ref::int(1));
        heap::stats()
    });
    assert_eq!(
        other.join().unwrap(),
        HeapStats {
            allocated: 1,
            freed: 1
        }
    );
}
