//! Traces that go from frame to frame: what their check proves of each, that the code does it, and that exits know which
//! frame they leave.
#![allow(unsafe_code)]

use mimeo::engine::Engine;
use mimeo::executor::{Executor, LinkError, SideExit, ThreadState};
use mimeo::form::Form;
use mimeo::table::{StencilTable, VariantContents};
use mimeo::trace::{FrameShape, Trace, TraceError};
use mimeo_tests::toy::{self, FRAME_WORDS, contents_with_frames, op, push_add_to_local};

fn shape(locals: u32, stack: u32) -> FrameShape {
    FrameShape {
        locals,
        stack,
        entry_depth: 0,
    }
}

/// A frame of the toy set, which can be entered.
struct Frame {
    words: Vec<u64>,
    locals: usize,
}

impl Frame {
    /// A frame with these locals and room for `room` values.
    fn new(locals: &[u64], room: usize) -> Self {
        let mut words = vec![0; FRAME_WORDS];
        words.extend(locals);
        words.resize(words.len() + room, 0);
        let stack = &raw const words[FRAME_WORDS + locals.len() - 1] as u64 + 8;
        words[0] = stack;
        Self {
            words,
            locals: locals.len(),
        }
    }

    fn address(&mut self) -> u64 {
        &raw mut self.words[FRAME_WORDS] as u64
    }

    fn stack(&self) -> u64 {
        self.words[0]
    }

    fn locals(&self) -> &[u64] {
        &self.words[FRAME_WORDS..][..self.locals]
    }

    /// The values of its stack up to where it was left.
    fn values(&self, exit: &SideExit) -> &[u64] {
        let count = (exit.stack_pointer as u64 - self.stack()) / 8;
        &self.words[FRAME_WORDS + self.locals..][..count as usize]
    }
}

/// Runs an executor in a frame.
fn run(executor: &Executor, frame: &mut Frame) -> SideExit {
    let address = frame.address() as *mut u8;
    let stack = frame.stack() as *mut u64;
    // SAFETY: the tests enter frames of the shapes that the traces name, and what is in them are numbers.
    unsafe { executor.run(address, stack, &mut ThreadState::default()) }
}

fn engine() -> Engine {
    toy::engine_of(&contents_with_frames())
}

/// Appends uops that push a frame's address and enter it.
fn push_enter(trace: &mut Trace<'_>, frame: u64, shape: FrameShape) {
    trace.push(op(trace, "_PUSH").operand(frame));
    trace.push(op(trace, "_ENTER").enters(shape));
}

#[test]
fn values_travel_through_frames_three_deep() {
    let engine = engine();
    let [mut outer, mut first, mut second, mut third] =
        [1, 2, 3, 4].map(|local| Frame::new(&[local, 10 * local], 3));
    let mut trace = Trace::new(engine.table());
    trace.push(op(&trace, "_LOAD").oparg(0));
    push_enter(&mut trace, first.address(), shape(2, 2));
    trace.push(op(&trace, "_LOAD").oparg(0));
    push_enter(&mut trace, second.address(), shape(2, 2));
    push_add_to_local(&mut trace, 1, 5);
    push_enter(&mut trace, third.address(), shape(1, 1));
    trace.push(op(&trace, "_LOAD").oparg(0));
    trace.push(op(&trace, "_RETURN"));
    trace.push(op(&trace, "_LOAD_1"));
    trace.push(op(&trace, "_ADD"));
    trace.push(op(&trace, "_RETURN"));
    trace.push(op(&trace, "_ADD"));
    trace.push(op(&trace, "_RETURN"));
    trace.push(op(&trace, "_ADD"));
    trace.push(op(&trace, "_EXIT").target(9));
    let executor = engine.compile(&trace, shape(2, 2)).unwrap();
    for turn in 0..3 {
        let exit = run(&executor, &mut outer);
        assert_eq!((exit.target, exit.frame as u64), (9, outer.address()));
        // 4 and 30 + 5 with each turn, on top of 2, on top of 1.
        assert_eq!(outer.values(&exit), [1 + 2 + 4 + 35 + 5 * turn]);
        assert_eq!(second.locals(), [3, 35 + 5 * turn]);
        assert_eq!(third.locals(), [4, 40]);
    }
}

/// In front of and behind the way to another frame, and in it.
#[test]
fn exits_leave_in_the_frame_that_they_are_in() {
    let engine = engine();
    let mut outer = Frame::new(&[1], 2);
    let mut inner = Frame::new(&[1, 1], 3);
    let mut trace = Trace::new(engine.table());
    let exit = |trace: &mut Trace<'_>, local| {
        trace.push(op(trace, "_LOAD").oparg(local));
        trace.push(op(trace, "_EXIT_IF_ZERO"));
    };
    exit(&mut trace, 0);
    trace.push(op(&trace, "_PUSH").operand(77));
    push_enter(&mut trace, inner.address(), shape(2, 3));
    exit(&mut trace, 0);
    trace.push(op(&trace, "_PUSH").operand(88));
    exit(&mut trace, 1);
    trace.push(op(&trace, "_RETURN"));
    trace.push(op(&trace, "_EXIT"));
    let executor = engine.compile(&trace, shape(1, 2)).unwrap();
    let (there, here) = (shape(2, 3), shape(1, 2));
    let found: Vec<_> = executor
        .exits()
        .iter()
        .map(|exit| (exit.depth, exit.shape))
        .collect();
    let expected = [
        (Some(0), here),
        (Some(0), there),
        (Some(1), there),
        (Some(2), here),
    ];
    assert_eq!(found, expected);

    let ends = [
        (0, 1, 1, &[][..]),
        (1, 0, 1, &[]),
        (1, 1, 0, &[88]),
        (1, 1, 1, &[77, 88]),
    ];
    for (index, (local, first, second, values)) in ends.into_iter().enumerate() {
        outer.words[FRAME_WORDS] = local;
        inner.words[FRAME_WORDS..][..2].copy_from_slice(&[first, second]);
        let exit = run(&executor, &mut outer);
        assert_eq!(exit.index as usize, index);
        let frame = if found[index].1 == there {
            &mut inner
        } else {
            &mut outer
        };
        assert_eq!(exit.frame as u64, frame.address());
        assert_eq!(frame.values(&exit), values);
    }
}

/// An exit of an inlined frame goes on in an executor for frames of that shape, and only there.
#[test]
fn exits_of_inner_frames_are_linked_by_the_shape_of_these() {
    let engine = engine();
    let mut outer = Frame::new(&[1], 1);
    let mut inner = Frame::new(&[6, 7], 2);
    let mut trace = Trace::new(engine.table());
    push_enter(&mut trace, inner.address(), shape(2, 2));
    trace.push(op(&trace, "_EXIT"));
    let enters = engine.compile(&trace, shape(1, 1)).unwrap();
    let mut trace = Trace::new(engine.table());
    push_add_to_local(&mut trace, 1, 100);
    trace.push(op(&trace, "_EXIT"));
    let goes_on = engine.compile(&trace, shape(2, 2)).unwrap();

    enters.link(0, &goes_on).unwrap();
    let exit = run(&enters, &mut outer);
    assert_eq!(
        (exit.executor, exit.frame as u64),
        (goes_on.id(), inner.address())
    );
    assert_eq!(inner.locals(), [6, 107]);

    // The trace's own frame would do, but it is not the one that is left.
    let mut trace = Trace::new(engine.table());
    trace.push(op(&trace, "_EXIT"));
    for expected in [shape(3, 1), shape(1, 3)] {
        let to = engine.compile(&trace, expected).unwrap();
        let refused = LinkError::Shape {
            from: enters.id(),
            to: to.id(),
            exit: 0,
            found: Some(0),
            locals: 2,
            stack: 2,
            expected,
        };
        assert_eq!(enters.link(0, &to), Err(refused));
    }
}

// ---- What the check proves -------------------------------------------------------------------------------------------

fn table() -> StencilTable {
    let bytes = contents_with_frames().to_bytes();
    bytes.and_then(StencilTable::from_bytes).expect("a table")
}

/// Checks traces as `push` makes them, in a frame of one local and two values.
fn check(push: impl FnOnce(&mut Trace<'_>)) -> Result<(), TraceError> {
    let table = table();
    let mut trace = Trace::new(&table);
    push(&mut trace);
    trace.check(shape(1, 2)).map(|_| ())
}

fn push_all(trace: &mut Trace<'_>, names: &[&str]) {
    for name in names {
        trace.push(op(trace, name));
    }
}

#[test]
fn frames_that_are_entered_are_known() {
    let name = || "_ENTER".to_owned();
    let unknown = check(|trace| push_all(trace, &["_PUSH", "_ENTER", "_EXIT"]));
    let problem = "it enters a frame of which nothing is known";
    let error = |index, name, problem| {
        Err(TraceError::EnteredFrame {
            index,
            name,
            problem,
        })
    };
    assert_eq!(unknown, error(1, name(), problem));
    let needless = check(|trace| {
        trace.push(op(trace, "_PUSH").enters(shape(1, 1)));
        trace.push(op(trace, "_EXIT"));
    });
    let problem = "it says what frame it enters, but enters none";
    assert_eq!(needless, error(0, "_PUSH".to_owned(), problem));
    let too_deep = check(|trace| {
        trace.push(op(trace, "_PUSH"));
        let deep = FrameShape {
            entry_depth: 2,
            ..shape(0, 1)
        };
        trace.push(op(trace, "_ENTER").enters(deep));
        trace.push(op(trace, "_EXIT"));
    });
    let overflow = TraceError::StackOverflow {
        index: 1,
        name: name(),
        depth: 2,
        limit: 1,
    };
    assert_eq!(too_deep, Err(overflow));
}

#[test]
fn only_frames_that_were_entered_are_left() {
    let outer = |index| {
        Err(TraceError::LeavesOuterFrame {
            index,
            name: "_RETURN".to_owned(),
        })
    };
    let never = check(|trace| push_all(trace, &["_PUSH", "_RETURN", "_EXIT"]));
    assert_eq!(never, outer(1));
    let twice = check(|trace| {
        push_enter(trace, 0, shape(1, 1));
        push_all(trace, &["_PUSH", "_RETURN", "_RETURN", "_EXIT"]);
    });
    assert_eq!(twice, outer(4));
}

/// Locals, room, and what is on the stack are those of the frame that the uop runs in.
#[test]
fn each_frame_has_its_own_locals_and_stack() {
    let local = |index, found, locals| {
        Err(TraceError::Local {
            index,
            name: "_LOAD".to_owned(),
            found,
            locals,
        })
    };
    let loads = |inner: u32, outer: u32| {
        check(|trace| {
            push_enter(trace, 0, shape(3, 1));
            trace.push(op(trace, "_LOAD").oparg(inner));
            trace.push(op(trace, "_RETURN"));
            trace.push(op(trace, "_LOAD").oparg(outer));
            trace.push(op(trace, "_EXIT"));
        })
    };
    assert_eq!(loads(2, 0), Ok(()));
    assert_eq!(loads(3, 0), local(2, 3, 3));
    assert_eq!(loads(2, 1), local(4, 1, 1));

    let fills = |pushed: usize, room| {
        check(|trace| {
            push_all(trace, &["_PUSH"]);
            push_enter(trace, 0, shape(0, room));
            push_all(trace, &vec!["_PUSH"; pushed]);
            push_all(trace, &["_RETURN", "_EXIT"]);
        })
    };
    assert_eq!(fills(3, 3), Ok(()));
    let overflow = TraceError::StackOverflow {
        index: 5,
        name: "_PUSH".to_owned(),
        depth: 3,
        limit: 2,
    };
    assert_eq!(fills(3, 2), Err(overflow));
    // The values of the frame that it was entered from are out of reach.
    let underflow = TraceError::StackUnderflow {
        index: 3,
        name: "_RETURN".to_owned(),
        needed: 1,
        depth: 0,
    };
    assert_eq!(fills(0, 2), Err(underflow));
    // There is no room for what is brought back: the frame was left with two values.
    let full = check(|trace| {
        push_all(trace, &["_PUSH"]);
        push_enter(trace, 0, shape(0, 1));
        push_all(trace, &["_PUSH", "_RETURN", "_PUSH", "_EXIT"]);
    });
    let overflow = TraceError::StackOverflow {
        index: 5,
        name: "_PUSH".to_owned(),
        depth: 3,
        limit: 2,
    };
    assert_eq!(full, Err(overflow));
}

/// A label stands in one frame, entered from one place.
#[test]
fn ways_that_meet_agree_on_the_frame() {
    let meet = |one: FrameShape, other: FrameShape, before: usize| {
        check(|trace| {
            let (elsewhere, end) = (trace.label(), trace.label());
            trace.push(op(trace, "_LOAD").oparg(0));
            trace.push(op(trace, "_JUMP_IF_ZERO").jump(elsewhere));
            push_enter(trace, 0, one);
            trace.push(op(trace, "_JUMP").jump(end));
            trace.bind(elsewhere).unwrap();
            push_all(trace, &vec!["_PUSH"; before]);
            push_enter(trace, 8, other);
            trace.bind(end).unwrap();
            push_all(trace, &["_PUSH", "_RETURN", "_EXIT"]);
        })
    };
    assert_eq!(meet(shape(1, 1), shape(1, 1), 0), Ok(()));
    let differ = |index| {
        Err(TraceError::FrameMismatch {
            index,
            name: "_PUSH".to_owned(),
        })
    };
    assert_eq!(meet(shape(1, 1), shape(2, 1), 0), differ(7));
    assert_eq!(meet(shape(1, 1), shape(1, 2), 0), differ(7));
    // The frame is the same, but not what is behind it.
    assert_eq!(meet(shape(1, 1), shape(1, 1), 1), differ(8));
    // A loop that goes deeper each time.
    let deeper = check(|trace| {
        let again = trace.label();
        trace.bind(again).unwrap();
        push_enter(trace, 0, shape(1, 2));
        trace.push(op(trace, "_JUMP").jump(again));
    });
    let differ = TraceError::FrameMismatch {
        index: 0,
        name: "_PUSH".to_owned(),
    };
    assert_eq!(deeper, Err(differ));
}

/// Values in registers are those of one frame.
#[test]
fn uops_that_switch_frames_have_no_variants() {
    let refused = |variants: Vec<VariantContents>| {
        let mut contents = contents_with_frames();
        contents.variants = variants;
        let bytes = contents.to_bytes();
        bytes
            .and_then(StencilTable::from_bytes)
            .unwrap_err()
            .to_string()
    };
    let enter = toy::variant(&["_ENTER"], toy::slots(1, 0), &[], &[]);
    let error = refused(vec![enter]);
    assert!(error.contains("_ENTER goes to another frame"), "{error}");
    let operands = toy::contents_with_variants().variants;
    let is_operands = |variant: &VariantContents| matches!(variant.form, Form::Operands(_));
    let operands = operands.into_iter().filter(is_operands).take(1);
    let error = refused(operands.collect());
    assert!(
        error.contains("they are another frame's behind _ENTER"),
        "{error}"
    );
}
