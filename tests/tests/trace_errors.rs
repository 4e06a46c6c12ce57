//! Traces that cannot be compiled: a row per reason, with the whole error that is expected.

use mimeo::table::{StencilTable, UopId};
use mimeo::trace::{FrameShape, MAX_UOPS, Trace, TraceError, Uop};
use mimeo_tests::toy::{self, op};
use std::sync::Arc;

/// A frame with 2 locals, room for 3 values, and 1 of them there at the entry.
const SHAPE: FrameShape = FrameShape {
    locals: 2,
    stack: 3,
    entry_depth: 1,
};

/// Ends a trace with an exit.
fn exit(trace: &mut Trace<'_>) {
    trace.push(op(trace, "_EXIT"));
}

fn argument(name: &str, what: &'static str, found: u64, limit: u64) -> TraceError {
    TraceError::Argument {
        index: 0,
        name: name.to_owned(),
        what,
        found,
        limit,
    }
}

fn no_local(index: usize, name: &str, found: u32, locals: u32) -> TraceError {
    TraceError::Local {
        index,
        name: name.to_owned(),
        found,
        locals,
    }
}

fn missing(index: usize, name: &str, what: &'static str) -> TraceError {
    TraceError::MissingLabel {
        index,
        name: name.to_owned(),
        what,
    }
}

fn unbound(index: usize, name: &str, what: &'static str) -> TraceError {
    TraceError::UnboundLabel {
        index,
        name: name.to_owned(),
        what,
    }
}

fn underflow(index: usize, name: &str, needed: u64, depth: u64) -> TraceError {
    TraceError::StackUnderflow {
        index,
        name: name.to_owned(),
        needed,
        depth,
    }
}

fn overflow(index: usize, name: &str, depth: u64, limit: u32) -> TraceError {
    TraceError::StackOverflow {
        index,
        name: name.to_owned(),
        depth,
        limit,
    }
}

fn mismatch(index: usize, name: &str, first: u64, second: u64) -> TraceError {
    TraceError::DepthMismatch {
        index,
        name: name.to_owned(),
        first,
        second,
    }
}

type Row = (&'static str, fn(&mut Trace<'_>), TraceError);

/// Builds each row's trace over a fresh copy of the toy set and compares the error.
fn check<const N: usize>(shape: FrameShape, rows: [Row; N]) {
    let mut contents = toy::toy_contents();
    let push = contents.uops.iter_mut().find(|uop| uop.name == "_PUSH");
    let push = push.expect("a toy uop");
    (push.operand_max, push.operand1_max) = (0xffff, 0xff);
    let table = toy::table_of(&contents);
    for (row, build, expected) in rows {
        let mut trace = Trace::new(&table);
        build(&mut trace);
        match trace.check(shape) {
            Ok(_) => panic!("{row}: it is accepted"),
            Err(error) => assert_eq!(error, expected, "{row}"),
        }
    }
}

#[test]
fn arguments_and_locals() {
    check(
        SHAPE,
        [
            (
                "an oparg beyond what the code was compiled for",
                |trace| {
                    trace.push(op(trace, "_POP").oparg(1001));
                    exit(trace);
                },
                argument("_POP", "oparg", 1001, 1000),
            ),
            (
                "an operand beyond it",
                |trace| {
                    trace.push(op(trace, "_PUSH").operand(0x1_0000));
                    exit(trace);
                },
                argument("_PUSH", "operand", 0x1_0000, 0xffff),
            ),
            (
                "a second operand beyond it",
                |trace| {
                    trace.push(op(trace, "_PUSH").operand(0xffff).operand1(0xff));
                    trace.push(op(trace, "_PUSH").operand(0xffff).operand1(0x100));
                    exit(trace);
                },
                TraceError::Argument {
                    index: 1,
                    name: "_PUSH".to_owned(),
                    what: "operand1",
                    found: 0x100,
                    limit: 0xff,
                },
            ),
            (
                "a target of 2^31",
                |trace| {
                    trace.push(op(trace, "_EXIT").target(1 << 31));
                },
                argument("_EXIT", "target", 1 << 31, (1 << 31) - 1),
            ),
            (
                "a local that the frame does not have",
                |trace| {
                    trace.push(op(trace, "_LOAD").oparg(1));
                    trace.push(op(trace, "_STORE").oparg(2));
                    exit(trace);
                },
                no_local(1, "_STORE", 2, 2),
            ),
        ],
    );
    let one_local = FrameShape { locals: 1, ..SHAPE };
    check(
        one_local,
        [(
            "a local that the code names by itself",
            |trace| {
                trace.push(op(trace, "_LOAD_1"));
                exit(trace);
            },
            no_local(0, "_LOAD_1", 1, 1),
        )],
    );
}

#[test]
fn control() {
    check(
        SHAPE,
        [
            ("no uops", |_| {}, TraceError::Empty),
            (
                "one uop too many",
                |trace| {
                    let pop = op(trace, "_POP");
                    for _ in 0..=MAX_UOPS {
                        trace.push(pop);
                    }
                },
                TraceError::TooLong {
                    found: MAX_UOPS + 1,
                    limit: MAX_UOPS,
                },
            ),
            (
                "a jump without a label",
                |trace| {
                    trace.push(op(trace, "_POP"));
                    trace.push(op(trace, "_JUMP"));
                },
                missing(1, "_JUMP", "jump label"),
            ),
            (
                "a check of assumptions without a label",
                |trace| {
                    trace.push(op(trace, "_CHECK_VALIDITY"));
                    exit(trace);
                },
                missing(0, "_CHECK_VALIDITY", "jump label"),
            ),
            (
                "a uop that may raise an error, with a jump label instead of an error label",
                |trace| {
                    let label = trace.label();
                    trace.push(op(trace, "_FAIL_IF_ZERO").jump(label));
                    trace.bind(label).expect("a new label");
                    exit(trace);
                },
                missing(0, "_FAIL_IF_ZERO", "error label"),
            ),
            (
                "a jump to the top of a trace of one uop",
                |trace| {
                    trace.push(op(trace, "_JUMP_TO_TOP"));
                },
                missing(0, "_JUMP_TO_TOP", "a second uop to go to"),
            ),
            (
                "a label that stands nowhere",
                |trace| {
                    let label = trace.label();
                    trace.push(op(trace, "_JUMP").jump(label));
                },
                unbound(0, "_JUMP", "jump label"),
            ),
            (
                "a label behind the last uop",
                |trace| {
                    let label = trace.label();
                    trace.push(op(trace, "_FAIL_IF_ZERO").error(label));
                    exit(trace);
                    trace.bind(label).expect("a new label");
                },
                unbound(0, "_FAIL_IF_ZERO", "error label"),
            ),
            (
                "a label of another trace, which is bound there, as is the one of the same number here",
                |trace| {
                    let here = trace.label();
                    trace.bind(here).expect("a new label");
                    let mut other = Trace::new(trace.table());
                    let label = other.label();
                    other.bind(label).expect("a new label");
                    exit(&mut other);
                    trace.push(op(trace, "_JUMP").jump(label));
                },
                unbound(0, "_JUMP", "jump label"),
            ),
            (
                "a last uop that goes on",
                |trace| {
                    let label = trace.label();
                    trace.bind(label).expect("a new label");
                    trace.push(op(trace, "_CHECK_VALIDITY").jump(label));
                },
                TraceError::RunsOff {
                    index: 0,
                    name: "_CHECK_VALIDITY".to_owned(),
                },
            ),
        ],
    );
}

#[test]
fn the_stack() {
    check(
        SHAPE,
        [
            (
                "more taken than there is",
                |trace| {
                    trace.push(op(trace, "_ADD"));
                    exit(trace);
                },
                underflow(0, "_ADD", 2, 1),
            ),
            (
                "more put there than there is room",
                |trace| {
                    trace.push(op(trace, "_PUSH"));
                    trace.push(op(trace, "_PUSH"));
                    trace.push(op(trace, "_PUSH"));
                    exit(trace);
                },
                overflow(2, "_PUSH", 4, 3),
            ),
            (
                "as many as the oparg says",
                |trace| {
                    trace.push(op(trace, "_RESERVE").oparg(1000));
                    exit(trace);
                },
                overflow(0, "_RESERVE", 1001, 3),
            ),
            (
                "a way past a push and one without it",
                |trace| {
                    let label = trace.label();
                    trace.push(op(trace, "_CHECK_VALIDITY").jump(label));
                    trace.push(op(trace, "_PUSH"));
                    trace.bind(label).expect("a new label");
                    exit(trace);
                },
                mismatch(2, "_EXIT", 1, 2),
            ),
            (
                "a loop that grows the stack",
                |trace| {
                    let label = trace.label();
                    trace.bind(label).expect("a new label");
                    trace.push(op(trace, "_PUSH"));
                    trace.push(op(trace, "_JUMP").jump(label));
                },
                mismatch(0, "_PUSH", 1, 2),
            ),
            (
                "a top that is reached with less than at first",
                |trace| {
                    trace.push(op(trace, "_PUSH"));
                    trace.push(op(trace, "_POP"));
                    trace.push(op(trace, "_JUMP_TO_TOP"));
                },
                mismatch(1, "_POP", 2, 1),
            ),
        ],
    );
    let no_room = FrameShape { stack: 0, ..SHAPE };
    check(
        no_room,
        [(
            "more at the entry than there is room",
            exit,
            overflow(0, "_EXIT", 1, 0),
        )],
    );
}

/// What is not reached is not followed: its depth is unknown, and harms nobody.
#[test]
fn uops_that_control_never_gets_to_may_do_what_they_like_with_the_stack() {
    let table = toy::table();
    let mut trace = Trace::new(&table);
    exit(&mut trace);
    for _ in 0..10 {
        trace.push(op(&trace, "_ADD"));
    }
    exit(&mut trace);
    trace.check(SHAPE).unwrap();
}

#[test]
fn a_label_is_bound_once() {
    let table = toy::table();
    let mut trace = Trace::new(&table);
    let first = trace.label();
    let label = trace.label();
    trace.bind(first).unwrap();
    trace.push(op(&trace, "_POP"));
    trace.bind(label).unwrap();
    trace.push(op(&trace, "_POP"));
    let twice = TraceError::BoundTwice {
        label: 1,
        first: 1,
        second: 2,
    };
    assert_eq!(trace.bind(label), Err(twice));
    // The first place holds.
    exit(&mut trace);
}

#[test]
fn a_label_is_bound_in_its_own_trace() {
    let table = toy::table();
    let mut trace = Trace::new(&table);
    let before = trace.label();
    let mut clone = trace.clone();
    let after = clone.label();
    // A clone has the labels that were there.
    clone.bind(before).unwrap();
    trace.bind(before).unwrap();
    let foreign = Err(TraceError::ForeignLabel { index: 0 });
    assert_eq!(trace.bind(after), foreign);
    assert_eq!(Trace::new(&table).bind(before), foreign);
}

#[test]
fn names_that_are_not_there() {
    let table = toy::table();
    for name in ["", "_EXI", "_EXIT ", "_EXITS", "_exit", "\0", "~"] {
        let unknown = TraceError::UnknownUop {
            name: name.to_owned(),
            table: "toy".to_owned(),
        };
        assert_eq!(Trace::new(&table).uop(name), Err(unknown));
    }
}

/// Why a trace of `table` is refused whose only uop is `id`.
fn pushed(table: &StencilTable, id: UopId) -> TraceError {
    let mut trace = Trace::new(table);
    trace.push(Uop::new(id));
    trace.check(SHAPE).expect_err("another table's uop")
}

/// A table of one uop and this name.
fn of_one(set: &str) -> Arc<StencilTable> {
    toy::table_of(&toy::contents(set, &[], vec![toy::uop("_ONE")]))
}

#[test]
fn a_uop_of_another_table() {
    let (table, small) = (toy::table(), of_one("small"));
    let foreign = |id: UopId, found: &str, expected: &str| TraceError::ForeignUop {
        index: 0,
        id: id.index(),
        found: found.to_owned(),
        expected: expected.to_owned(),
    };
    // Whether or not the number is one of the trace's table.
    for id in table.uops() {
        assert_eq!(pushed(&small, id), foreign(id, "toy", "small"));
    }
    let one = small.find("_ONE").expect("its uop");
    let error = pushed(&table, one);
    assert_eq!(error, foreign(one, "small", "toy"));
    assert_eq!(
        error.to_string(),
        "uop 0: it is number 0 of the table small, the trace is of the table toy"
    );
}

#[test]
fn a_uop_of_another_table_of_the_same_name() {
    let (one, other) = (
        of_one("same"),
        toy::contents("same", &[], vec![toy::uop("_TWO")]),
    );
    let other = toy::table_of(&other);
    let id = one.find("_ONE").expect("its uop");
    let name = |table: &StencilTable| {
        let checksum = u32::from_le_bytes(table.as_bytes()[24..28].try_into().expect("4 bytes"));
        format!("same (checksum {checksum:#010x})")
    };
    let (found, expected) = (name(&one), name(&other));
    let message =
        format!("uop 0: it is number 0 of the table {found}, the trace is of the table {expected}");
    assert_eq!(pushed(&other, id).to_string(), message);
    // A table that is gone has no name any more.
    drop(one);
    let message = message.replacen("table same", "table that is no longer loaded", 1);
    assert_eq!(pushed(&other, id).to_string(), message);
}

#[test]
fn a_uop_of_a_table_that_is_loaded_twice() {
    let (one, twin) = (toy::table(), toy::table());
    let mut trace = Trace::new(&one);
    trace.push(Uop::new(twin.find("_EXIT").expect("its uop")));
    assert!(trace.check(SHAPE).is_ok());
    assert_eq!(
        one.uops().collect::<Vec<_>>(),
        twin.uops().collect::<Vec<_>>()
    );
    for id in twin.uops() {
        assert_eq!(one.uop(id).name, twin.uop(id).name);
    }
}

#[test]
#[should_panic(expected = "a uop of the table small was asked of the table toy")]
fn what_is_known_of_another_tables_uop() {
    let (table, small) = (toy::table(), of_one("small"));
    table.uop(small.find("_ONE").expect("its uop"));
}
