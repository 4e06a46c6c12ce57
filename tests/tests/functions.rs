//! Functions of the program, called in traces of the Python set: frames that are entered and left, in the middle too;
//! guards; cells; globals and names. Every trace is run compiled and interpreted, and leaks nothing.
#![allow(unsafe_code)]

use mimeo::executor::SideExit;
use mimeo::table::StencilTable;
use mimeo::trace::{FrameShape, Trace};
use mimeo_objects::code::{Code, CodeSpec, OPTIMIZED, VARARGS};
use mimeo_objects::format::repr_text;
use mimeo_objects::frame::{Frame, OwnedFrame};
use mimeo_objects::function::Function;
use mimeo_objects::heap;
use mimeo_objects::object::{Ref, View};
use mimeo_objects::recorded::{engine, interpreter};
use mimeo_objects::thread::ThreadState;
use std::sync::Arc;

/// The targets of the exits: at the end of a trace, of a guard, and of an error.
const END: u32 = 1;
const GUARD: u32 = 2;
const ERROR: u32 = 3;

/// A uop of a trace in short.
#[derive(Clone, Copy, Debug)]
struct Op {
    name: &'static str,
    oparg: u32,
    operand: u64,
    /// What the `_ERROR_POP_N` of its error target drops.
    error_pops: u32,
    enters: Option<FrameShape>,
}

fn op(name: &'static str, oparg: u32) -> Op {
    Op {
        name,
        oparg,
        operand: 0,
        error_pops: 0,
        enters: None,
    }
}

impl Op {
    fn operand(self, operand: impl Into<u64>) -> Self {
        let operand = operand.into();
        Self { operand, ..self }
    }

    fn error_pops(self, error_pops: u32) -> Self {
        Self { error_pops, ..self }
    }
}

/// Pushes an object, which outlives the run.
fn push(object: &Ref) -> Op {
    op("_LOAD_CONST_INLINE", 0).operand(object.as_ptr() as u64)
}

/// Enters a frame of a function's code.
fn enter(function: &Ref) -> Op {
    let code = code(function);
    Op {
        enters: Some(FrameShape {
            locals: code.local_count(),
            stack: code.stack_size(),
            entry_depth: 0,
        }),
        ..op("_PUSH_FRAME", 0)
    }
}

fn view(function: &Ref) -> &Function {
    match function.view() {
        View::Function(function) => function,
        _ => panic!("no function"),
    }
}

fn code(function: &Ref) -> &Code {
    view(function).code()
}

fn version(function: &Ref) -> u64 {
    view(function).version().into()
}

fn function(spec: CodeSpec) -> Ref {
    Ref::function(Ref::code(spec).unwrap(), Ref::dict(), Ref::dict())
}

/// The specification of a function of these locals, the first of which are parameters.
fn spec(argument_count: u32, locals: &[&str]) -> CodeSpec {
    CodeSpec {
        name: "f".to_owned(),
        qualified_name: "f".to_owned(),
        argument_count,
        flags: OPTIMIZED,
        stack_size: 10,
        local_names: locals.iter().map(|&name| name.to_owned()).collect(),
        ..CodeSpec::default()
    }
}

/// How a run ended, in the frame that it was entered in.
#[derive(Clone, Debug, PartialEq, Eq)]
struct End {
    target: u32,
    /// How many frames it had entered and not left.
    nested: usize,
    locals: Vec<String>,
    stack: Vec<String>,
    error: Option<String>,
}

impl End {
    fn new(target: u32, locals: &[&str], stack: &[&str]) -> Self {
        let own = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        Self {
            target,
            nested: 0,
            locals: own(locals),
            stack: own(stack),
            error: None,
        }
    }

    fn nested(self, nested: usize) -> Self {
        Self { nested, ..self }
    }

    fn error(self, error: &str) -> Self {
        let error = Some(error.to_owned());
        Self { error, ..self }
    }
}

/// What a run starts with.
struct Start<'a> {
    function: &'a Ref,
    locals: Vec<Option<Ref>>,
    namespace: Option<Ref>,
    /// What is changed in the thread's state.
    thread: fn(&mut ThreadState),
}

impl<'a> Start<'a> {
    fn of(function: &'a Ref) -> Self {
        let locals = code(function).local_count() as usize;
        Self {
            function,
            locals: vec![None; locals],
            namespace: None,
            thread: |_| (),
        }
    }

    fn local(mut self, index: usize, value: Ref) -> Self {
        self.locals[index] = Some(value);
        self
    }

    fn thread(mut self, change: fn(&mut ThreadState)) -> Self {
        self.thread = change;
        self
    }
}

/// The trace of these uops; behind them stand the exits.
fn assemble<'t>(table: &'t StencilTable, ops: &[Op]) -> Trace<'t> {
    let mut trace = Trace::new(table);
    let mut exits = Vec::new();
    for op in ops {
        let (guard, error) = (trace.label(), trace.label());
        let mut uop = trace
            .uop(op.name)
            .unwrap()
            .oparg(op.oparg)
            .operand(op.operand)
            .jump(guard)
            .error(error);
        if let Some(shape) = op.enters {
            uop = uop.enters(shape);
        }
        trace.push(uop);
        exits.push((guard, error, op.error_pops));
    }
    trace.push(trace.uop("_EXIT_TRACE").unwrap().target(END));
    for (guard, error, pops) in exits {
        trace.bind(guard).unwrap();
        trace.push(trace.uop("_DEOPT").unwrap().target(GUARD));
        trace.bind(error).unwrap();
        let pop = trace.uop("_ERROR_POP_N").unwrap();
        trace.push(pop.oparg(pops).target(ERROR));
    }
    trace
}

/// Runs the uops in a new frame, once compiled and once interpreted, and checks that both end alike.
fn run(ops: &[Op], start: &Start<'_>) -> End {
    let table = Arc::new(mimeo_ir_templates::standard_table().unwrap());
    let code = code(start.function);
    let shape = FrameShape {
        locals: code.local_count(),
        stack: code.stack_size(),
        entry_depth: 0,
    };
    let trace = assemble(&table, ops);
    let engine = engine(table.clone()).unwrap();
    let executor = engine.compile(&trace, shape).unwrap();
    let image = mimeo_ir_templates::standard_interpreter().unwrap();
    // SAFETY: the image is the one that goes with the table, and is part of this program.
    let interpreter = unsafe { interpreter(table.clone(), &image) }.unwrap();
    let interpreted = interpreter.load(&trace, shape).unwrap();
    // SAFETY: the tests run traces on objects of the kinds that they are for.
    let compiled = end_of(start, |frame, stack, thread| unsafe {
        executor.run(frame.cast(), stack, thread)
    });
    // SAFETY: as above.
    let interpreted = end_of(start, |frame, stack, thread| unsafe {
        interpreted.run(frame.cast(), stack, thread)
    });
    assert_eq!(compiled, interpreted, "{ops:?}");
    compiled
}

fn end_of(
    start: &Start<'_>,
    run: impl FnOnce(*mut Frame, *mut u64, *mut mimeo::executor::ThreadState) -> SideExit,
) -> End {
    let code = code(start.function);
    let mut thread = ThreadState::new();
    (start.thread)(&mut thread);
    let recursion = thread.recursion_remaining;
    let locals = start.locals.clone();
    let function = Some(start.function.clone());
    let room = code.stack_size() as usize;
    let mut frame = OwnedFrame::new(code.number(), function, locals, room).unwrap();
    if let Some(namespace) = &start.namespace {
        frame.set_namespace(namespace.clone());
    }
    let outer = frame.as_ptr();
    let exit = run(
        outer,
        frame.frame().stack_pointer.cast(),
        (&raw mut thread).cast(),
    );
    let mut innermost: *mut Frame = exit.frame.cast();
    let mut nested = 0;
    // SAFETY: the exit's frame is `outer` or one that was entered from there.
    unsafe {
        (*innermost).stack_pointer = exit.stack_pointer.cast();
        let left = innermost;
        while innermost != outer {
            innermost = (*innermost).previous;
            nested += 1;
        }
        assert_eq!(thread.recursion_remaining, recursion - nested as u32);
        thread.unwind(left, outer);
    }
    assert_eq!(thread.recursion_remaining, recursion);
    let texts = |slots: &[Option<Ref>]| {
        let text = |slot: &Option<Ref>| slot.as_ref().map_or("NULL".to_owned(), text);
        slots.iter().map(text).collect()
    };
    End {
        target: exit.target,
        nested,
        locals: texts(frame.locals()),
        stack: texts(frame.stack()),
        error: thread.take_error().map(|error| error.to_string()),
    }
}

/// What an object is, without its address.
fn text(object: &Ref) -> String {
    match object.view() {
        View::Function(function) => format!("function {}", function.name()),
        View::Method(_) | View::Code(_) => object.type_name().to_owned(),
        View::Cell(cell) => match cell.get() {
            Some(contents) => format!("cell of {}", text(&contents)),
            None => "empty cell".to_owned(),
        },
        _ => repr_text(object).unwrap(),
    }
}

/// Runs `test` and checks that all of its objects are freed.
fn without_leaks(test: impl FnOnce()) {
    let before = heap::stats().live();
    test();
    assert_eq!(heap::stats().live(), before, "objects were leaked");
}

// ---- Calls ---------------------------------------------------------------------------------------------------------

/// The uops of a call, from the checks to the way into the frame; the operands are on the stack.
fn call(callee: &Ref, init: &'static str, count: u32) -> Vec<Op> {
    vec![
        op("_CHECK_PEP_523", 0),
        op("_CHECK_FUNCTION_EXACT_ARGS", count).operand(version(callee)),
        op("_CHECK_STACK_SPACE", count),
        op(init, count),
        op("_SAVE_RETURN_OFFSET", 4),
        enter(callee),
    ]
}

#[test]
fn a_function_is_called_with_any_number_of_arguments() {
    const NUMBERED: [&str; 5] = [
        "_INIT_CALL_PY_EXACT_ARGS_0",
        "_INIT_CALL_PY_EXACT_ARGS_1",
        "_INIT_CALL_PY_EXACT_ARGS_2",
        "_INIT_CALL_PY_EXACT_ARGS_3",
        "_INIT_CALL_PY_EXACT_ARGS_4",
    ];
    without_leaks(|| {
        let names = ["p0", "p1", "p2", "p3", "p4", "p5", "p6", "x", "y"];
        let outer = function(spec(0, &["r"]));
        let values: Vec<Ref> = (0..7).map(|value| Ref::int(1000 + value)).collect();
        for (given, has_self, locals) in (0..6).flat_map(|given| {
            [(false, 0), (true, 0), (false, 2), (true, 2)]
                .map(|(has_self, more)| (given, has_self, more))
        }) {
            let taken = given + usize::from(has_self);
            let callee = function(spec(taken as u32, &names[..taken + locals]));
            let numbered = NUMBERED.get(given).copied();
            for init in numbered.into_iter().chain(["_INIT_CALL_PY_EXACT_ARGS"]) {
                let mut ops = vec![push(&callee)];
                ops.push(match has_self {
                    true => push(&values[6]),
                    false => op("_PUSH_NULL", 0),
                });
                ops.extend(values[..given].iter().map(push));
                ops.extend(call(&callee, init, given as u32));
                // All parameters in a tuple, as nobody else has them; the other locals are unbound.
                ops.extend((0..taken as u32).map(|index| op("_LOAD_FAST", index)));
                ops.push(op("_BUILD_TUPLE", taken as u32));
                ops.extend((taken..taken + locals).flat_map(|index| {
                    [
                        op("_LOAD_FAST_AND_CLEAR", index as u32),
                        op("_STORE_FAST", index as u32),
                    ]
                }));
                ops.push(op("_POP_FRAME", 0));
                ops.push(op("_STORE_FAST", 0));
                let mut expected: Vec<&Ref> = Vec::new();
                expected.extend(has_self.then_some(&values[6]));
                expected.extend(&values[..given]);
                let expected = Ref::tuple(expected.into_iter().cloned().collect());
                let end = run(&ops, &Start::of(&outer));
                assert_eq!(
                    end,
                    End::new(END, &[&text(&expected)], &[]),
                    "{init} {given}"
                );
            }
        }
    });
}

#[test]
fn a_bound_method_passes_what_it_is_bound_to() {
    without_leaks(|| {
        let outer = function(spec(0, &[]));
        let callee = function(spec(2, &["self", "a"]));
        let method = Ref::method(callee.clone(), Ref::int(7000));
        let argument = Ref::int(8000);
        let operands = [push(&method), op("_PUSH_NULL", 0), push(&argument)];
        let body = [
            op("_LOAD_FAST", 1),
            op("_LOAD_FAST", 0),
            op("_BUILD_TUPLE", 2),
            op("_POP_FRAME", 0),
        ];
        let mut exact = operands.to_vec();
        exact.push(op("_CHECK_CALL_BOUND_METHOD_EXACT_ARGS", 1));
        exact.push(op("_INIT_CALL_BOUND_METHOD_EXACT_ARGS", 1));
        exact.extend(call(&callee, "_INIT_CALL_PY_EXACT_ARGS_1", 1));
        exact.extend(body);
        let mut general = operands.to_vec();
        general.extend([
            op("_CHECK_METHOD_VERSION", 1).operand(version(&callee)),
            op("_EXPAND_METHOD", 1),
            op("_PY_FRAME_GENERAL", 1),
            op("_SAVE_RETURN_OFFSET", 4),
            enter(&callee),
        ]);
        general.extend(body);
        for ops in [exact, general] {
            let end = run(&ops, &Start::of(&outer));
            assert_eq!(end, End::new(END, &[], &["(8000, 7000)"]));
        }
        assert_eq!((method.refcount(), callee.refcount()), (1, 2));
    });
}

/// The frames need more than one chunk of the data stack.
#[test]
fn traces_leave_in_the_middle_of_calls() {
    without_leaks(|| {
        let outer = function(spec(0, &["r"]));
        let callee = function(CodeSpec {
            stack_size: 1000,
            ..spec(1, &["a", "b"])
        });
        let value = Ref::float(0.5);
        for depth in [1, 2, 5] {
            let mut ops = Vec::new();
            for _ in 0..depth {
                ops.extend([push(&callee), op("_PUSH_NULL", 0), push(&value)]);
                ops.push(op("_INIT_CALL_PY_EXACT_ARGS_1", 1));
                ops.push(enter(&callee));
                // Something stays on each stack.
                ops.push(push(&value));
            }
            let start = Start::of(&outer);
            let end = run(&ops, &start);
            assert_eq!(end, End::new(END, &["NULL"], &[]).nested(depth));
            let unbound = [ops.clone(), vec![op("_LOAD_FAST_CHECK", 1)]].concat();
            let message = "UnboundLocalError: cannot access local variable 'b' where it is not \
                           associated with a value";
            let expected = End::new(ERROR, &["NULL"], &[]).nested(depth).error(message);
            assert_eq!(run(&unbound, &start), expected);
            // All the way back, and again.
            let back: Vec<Op> = (0..depth).map(|_| op("_POP_FRAME", 0)).collect();
            let and_back = [ops, back, vec![op("_STORE_FAST", 0)]].concat();
            let twice = [and_back.clone(), and_back].concat();
            assert_eq!(run(&twice, &start), End::new(END, &["0.5"], &[]));
        }
        assert_eq!(value.refcount(), 1);
    });
}

#[test]
fn calls_are_left_to_others_where_they_must_be() {
    without_leaks(|| {
        let outer = function(spec(0, &[]));
        let [callee, other, large] = [10, 10, 3000].map(|stack_size| {
            function(CodeSpec {
                stack_size,
                ..spec(0, &["a"])
            })
        });
        let left = |guard: Op, callable: &Ref, change: fn(&mut ThreadState)| {
            let ops = [push(callable), op("_PUSH_NULL", 0), guard];
            let end = run(&ops, &Start::of(&outer).thread(change));
            assert_eq!(end.stack.len(), 2);
            end.target == GUARD
        };
        let nothing: fn(&mut ThreadState) = |_| ();
        let nested: fn(&mut ThreadState) = |thread| thread.recursion_remaining = 1;
        let replaced: fn(&mut ThreadState) = |thread| thread.eval_frame = 1;
        let exact = op("_CHECK_FUNCTION_EXACT_ARGS", 0).operand(version(&callee));
        assert!(!left(exact, &callee, nothing));
        assert!(left(exact, &other, nothing));
        assert!(left(exact, &Ref::none(), nothing));
        let versioned = op("_CHECK_FUNCTION_VERSION", 0).operand(version(&callee));
        assert!(!left(versioned, &callee, nothing));
        assert!(left(versioned, &other, nothing));
        assert!(left(versioned, &Ref::none(), nothing));
        let space = op("_CHECK_STACK_SPACE", 0);
        assert!(!left(space, &callee, nothing));
        assert!(left(space, &large, nothing));
        assert!(left(space, &callee, nested));
        let words = op("_CHECK_STACK_SPACE_OPERAND", 0);
        assert!(!left(words.operand(2000_u64), &callee, nothing));
        assert!(left(words.operand(2048_u64), &callee, nothing));
        assert!(left(words.operand(1_u64), &callee, nested));
        let recursion = op("_CHECK_RECURSION_REMAINING", 0);
        assert!(!left(recursion, &callee, nothing));
        assert!(left(recursion, &callee, nested));
        let evaluation = op("_CHECK_PEP_523", 0);
        assert!(!left(evaluation, &callee, nothing));
        assert!(left(evaluation, &callee, replaced));
        let running = op("_CHECK_FUNCTION", 0);
        assert!(!left(running.operand(version(&outer)), &callee, nothing));
        assert!(left(running.operand(version(&callee)), &callee, nothing));
        let not_python = op("_CHECK_IS_NOT_PY_CALLABLE", 0);
        assert!(left(not_python, &callee, nothing));
        assert!(!left(not_python, &Ref::none(), nothing));
        let method = Ref::method(callee.clone(), Ref::none());
        let of_other = Ref::method(other.clone(), Ref::none());
        let of_none = Ref::method(Ref::none(), Ref::none());
        assert!(left(not_python, &method, nothing));
        let bound = op("_CHECK_CALL_BOUND_METHOD_EXACT_ARGS", 0);
        assert!(!left(bound, &method, nothing));
        assert!(left(bound, &callee, nothing));
        let versioned = op("_CHECK_METHOD_VERSION", 0).operand(version(&callee));
        assert!(!left(versioned, &method, nothing));
        assert!(left(versioned, &of_other, nothing));
        assert!(left(versioned, &of_none, nothing));
        assert!(left(versioned, &callee, nothing));
        // With other defaults arguments are bound in another way.
        view(&callee).set_defaults(Some(Ref::tuple(vec![])));
        assert!(left(exact, &callee, nothing));
    });
}

#[test]
fn the_first_argument_counts_among_the_exact_ones() {
    without_leaks(|| {
        let outer = function(spec(0, &[]));
        let callee = function(spec(2, &["a", "b"]));
        let value = Ref::int(3);
        for (first, given, passes) in [
            (false, 2, true),
            (true, 1, true),
            (true, 2, false),
            (false, 1, false),
            (false, 3, false),
        ] {
            let mut ops = vec![push(&callee)];
            ops.push(match first {
                true => push(&value),
                false => op("_PUSH_NULL", 0),
            });
            ops.extend((0..given).map(|_| push(&value)));
            ops.push(op("_CHECK_FUNCTION_EXACT_ARGS", given).operand(version(&callee)));
            let end = run(&ops, &Start::of(&outer));
            assert_eq!(end.target == END, passes, "{first} {given}");
        }
    });
}

#[test]
fn wrong_arguments_are_an_error_without_operands() {
    without_leaks(|| {
        let outer = function(spec(0, &["r"]));
        let callee = function(spec(2, &["a", "b"]));
        let (below, value) = (Ref::int(5000), Ref::float(0.25));
        for (given, message) in [
            (
                1,
                "TypeError: f() missing 1 required positional argument: 'b'",
            ),
            (
                4,
                "TypeError: f() takes 2 positional arguments but 4 were given",
            ),
        ] {
            let mut ops = vec![push(&below), push(&callee), op("_PUSH_NULL", 0)];
            ops.extend((0..given).map(|_| push(&value)));
            ops.extend([op("_PY_FRAME_GENERAL", given), enter(&callee)]);
            let end = run(&ops, &Start::of(&outer));
            assert_eq!(end, End::new(ERROR, &["NULL"], &["5000"]).error(message));
        }
        assert_eq!((value.refcount(), callee.refcount()), (1, 1));
    });
}

#[test]
fn what_is_left_over_goes_into_a_tuple() {
    without_leaks(|| {
        let outer = function(spec(0, &[]));
        let callee = function(CodeSpec {
            flags: OPTIMIZED | VARARGS,
            ..spec(1, &["a", "args", "x"])
        });
        let values: Vec<Ref> = (1..4).map(Ref::int).collect();
        let mut ops = vec![push(&callee), op("_PUSH_NULL", 0)];
        ops.extend(values.iter().map(push));
        ops.extend([
            op("_PY_FRAME_GENERAL", 3),
            enter(&callee),
            op("_LOAD_FAST", 1),
            op("_POP_FRAME", 0),
        ]);
        let end = run(&ops, &Start::of(&outer));
        assert_eq!(end, End::new(END, &[], &["(2, 3)"]));
    });
}

// ---- Cells ---------------------------------------------------------------------------------------------------------

#[test]
fn a_cell_takes_the_place_of_its_local() {
    without_leaks(|| {
        let function = function(spec(0, &["x", "y"]));
        let value = Ref::int(700);
        let bound = || Start::of(&function).local(0, value.clone());
        let make = op("_MAKE_CELL", 0);
        assert_eq!(
            run(&[make, op("_MAKE_CELL", 1)], &bound()),
            End::new(END, &["cell of 700", "empty cell"], &[])
        );
        assert_eq!(
            run(&[make, op("_LOAD_DEREF", 0)], &bound()),
            End::new(END, &["cell of 700", "NULL"], &["700"])
        );
        assert_eq!(
            run(&[make, push(&function), op("_STORE_DEREF", 0)], &bound()),
            End::new(END, &["cell of function f", "NULL"], &[])
        );
        assert_eq!(
            run(&[make, op("_DELETE_DEREF", 0)], &bound()),
            End::new(END, &["empty cell", "NULL"], &[])
        );
        let message = "UnboundLocalError: cannot access local variable 'x' where it is not \
                       associated with a value";
        for unbound in ["_LOAD_DEREF", "_DELETE_DEREF"] {
            assert_eq!(
                run(&[make, op(unbound, 0)], &Start::of(&function)),
                End::new(ERROR, &["empty cell", "NULL"], &[]).error(message)
            );
        }
        assert_eq!(value.refcount(), 1);
    });
}

/// `def counter(): n = 0; def f(): nonlocal n; n = n + 1; return n`, called three times.
#[test]
fn a_closure_shares_its_variable() {
    without_leaks(|| {
        let inner = Ref::code(CodeSpec {
            free_count: 1,
            ..spec(0, &["n"])
        });
        let inner = inner.unwrap();
        let outer = function(spec(0, &["n", "f"]));
        let shape = Ref::function(inner.clone(), Ref::dict(), Ref::dict());
        let one = Ref::int(1);
        let mut ops = vec![
            op("_MAKE_CELL", 0),
            op("_LOAD_FAST", 0),
            op("_BUILD_TUPLE", 1),
            push(&inner),
            op("_MAKE_FUNCTION", 0),
            op("_SET_FUNCTION_ATTRIBUTE", 8),
            op("_STORE_FAST", 1),
        ];
        for _ in 0..3 {
            ops.extend([op("_LOAD_FAST", 1), op("_PUSH_NULL", 0)]);
            ops.extend(call(&shape, "_INIT_CALL_PY_EXACT_ARGS_0", 0));
            ops.extend([
                op("_COPY_FREE_VARS", 1),
                op("_LOAD_DEREF", 0),
                push(&one),
                op("_BINARY_OP", 0).error_pops(2),
                op("_STORE_DEREF", 0),
                op("_LOAD_DEREF", 0),
                op("_POP_FRAME", 0),
            ]);
        }
        let start = Start::of(&outer).local(0, Ref::int(600));
        assert_eq!(
            run(&ops, &start),
            End::new(END, &["cell of 603", "function f"], &["601", "602", "603"])
        );
    });
}

#[test]
fn a_free_variable_without_a_value_says_so() {
    without_leaks(|| {
        let function = function(CodeSpec {
            free_count: 1,
            ..spec(0, &["a", "x"])
        });
        let ops = [op("_COPY_FREE_VARS", 1), op("_LOAD_DEREF", 1)];
        let message = "NameError: cannot access free variable 'x' where it is not associated with \
                       a value in enclosing scope";
        assert_eq!(
            run(&ops, &Start::of(&function)),
            End::new(ERROR, &["NULL", "empty cell"], &[]).error(message)
        );
    });
}

// ---- Names ---------------------------------------------------------------------------------------------------------

fn named(names: &[&str]) -> CodeSpec {
    CodeSpec {
        names: names.iter().map(|&name| name.to_owned()).collect(),
        ..spec(0, &[])
    }
}

fn dict(object: &Ref) -> &mimeo_objects::dict::Dict {
    match object.view() {
        View::Dict(dict) => dict,
        _ => panic!("no dict"),
    }
}

#[test]
fn globals_are_loaded_by_name_and_by_entry() {
    without_leaks(|| {
        let function = function(named(&["x", "len"]));
        let globals = dict(view(&function).globals());
        let builtins = dict(view(&function).builtins());
        globals.insert_str("y", Ref::int(400));
        globals.insert_str("x", Ref::int(300));
        builtins.insert_str("len", Ref::int(500));
        let start = Start::of(&function);
        let ends = |ops: &[Op], stack: &[&str]| {
            assert_eq!(run(ops, &start), End::new(END, &[], stack));
        };
        ends(&[op("_LOAD_GLOBAL", 0)], &["300"]);
        ends(&[op("_LOAD_GLOBAL", 1)], &["300", "NULL"]);
        ends(&[op("_LOAD_GLOBAL", 2)], &["500"]);
        ends(&[op("_LOAD_GLOBAL", 3)], &["500", "NULL"]);
        let entry = |dict: &mimeo_objects::dict::Dict, name| dict.index_of(name).unwrap() as u64;
        let module = op("_LOAD_GLOBAL_MODULE", 0).operand(entry(globals, "x"));
        let builtin = op("_LOAD_GLOBAL_BUILTINS", 3).operand(entry(builtins, "len"));
        let version = |dict: &mimeo_objects::dict::Dict| u64::from(dict.keys_version());
        let guards = [
            op("_GUARD_GLOBALS_VERSION", 0).operand(version(globals)),
            op("_GUARD_BUILTINS_VERSION", 0).operand(version(builtins)),
            module,
            builtin,
        ];
        ends(&guards, &["300", "500", "NULL"]);
        // Another value is no other key.
        globals.insert_str("x", Ref::int(301));
        ends(&guards, &["301", "500", "NULL"]);
        globals.insert_str("z", Ref::int(1));
        assert_eq!(run(&guards, &start), End::new(GUARD, &[], &[]));
        let unguarded = [guards[1], module, builtin];
        ends(&unguarded, &["301", "500", "NULL"]);
        builtins.insert_str("abs", Ref::int(1));
        assert_eq!(run(&unguarded, &start), End::new(GUARD, &[], &[]));
        // An entry whose key was removed has no value.
        globals.remove(&Ref::str("x")).unwrap();
        assert_eq!(run(&[module], &start), End::new(GUARD, &[], &[]));
        let message = "NameError: name 'x' is not defined";
        for oparg in [0, 1] {
            let end = run(&[op("_LOAD_GLOBAL", oparg)], &start);
            assert_eq!(end, End::new(ERROR, &[], &[]).error(message));
        }
    });
}

#[test]
fn globals_are_stored_and_deleted() {
    without_leaks(|| {
        let function = function(named(&["x"]));
        let value = Ref::int(900);
        let start = Start::of(&function);
        let load = op("_LOAD_GLOBAL", 0);
        let store = op("_STORE_GLOBAL", 0).error_pops(1);
        let delete = op("_DELETE_GLOBAL", 0);
        assert_eq!(
            run(&[push(&value), store, load, delete], &start),
            End::new(END, &[], &["900"])
        );
        assert_eq!(
            run(&[delete], &start),
            End::new(ERROR, &[], &[]).error("NameError: name 'x' is not defined")
        );
        let unknown = op("_STORE_GLOBAL", 9).error_pops(1);
        assert_eq!(
            run(&[push(&value), unknown], &start),
            End::new(ERROR, &[], &[]).error("NotSupported: name 9 is not supported")
        );
        assert_eq!(value.refcount(), 1);
    });
}

#[test]
fn a_frame_may_have_names_of_its_own() {
    without_leaks(|| {
        let function = function(named(&["x"]));
        let value = Ref::int(900);
        let mut start = Start::of(&function);
        let store = [push(&value), op("_STORE_NAME", 0).error_pops(1)];
        let failed = |ops: &[Op], start: &Start<'_>, message: &str| {
            assert_eq!(run(ops, start), End::new(ERROR, &[], &[]).error(message));
        };
        failed(
            &store,
            &start,
            "SystemError: no locals found when storing 'x'",
        );
        let annotate = op("_SETUP_ANNOTATIONS", 0);
        let delete = op("_DELETE_NAME", 0);
        failed(
            &[annotate],
            &start,
            "SystemError: no locals found when setting up annotations",
        );
        failed(&[op("_LOAD_LOCALS", 0)], &start, "SystemError: no locals");
        failed(
            &[delete],
            &start,
            "SystemError: no locals when deleting 'x'",
        );
        start.namespace = Some(Ref::dict());
        let all = [store[0], store[1], annotate, op("_LOAD_LOCALS", 0)];
        let both = "{'x': 900, '__annotations__': {}}";
        assert_eq!(run(&all, &start), End::new(END, &[], &[both]));
        let deleted = End::new(END, &[], &[]);
        assert_eq!(run(&[store[0], store[1], delete], &start), deleted);
        failed(&[delete], &start, "NameError: name 'x' is not defined");
        drop(start);
        assert_eq!(value.refcount(), 1);
    });
}

#[test]
fn a_class_looks_into_its_dict_first() {
    without_leaks(|| {
        let function = function(spec(0, &["x"]));
        let names = Ref::dict();
        let ops = [
            op("_MAKE_CELL", 0),
            push(&names),
            op("_LOAD_FROM_DICT_OR_DEREF", 0),
        ];
        let start = Start::of(&function);
        let message = "UnboundLocalError: cannot access local variable 'x' where it is not \
                       associated with a value";
        // The dict stays on the stack.
        assert_eq!(
            run(&ops, &start),
            End::new(ERROR, &["empty cell"], &["{}"]).error(message)
        );
        dict(&names).insert_str("x", Ref::int(400));
        assert_eq!(run(&ops, &start), End::new(END, &["empty cell"], &["400"]));
        assert_eq!(names.refcount(), 1);
    });
}

#[test]
fn a_new_function_sees_what_the_running_one_sees() {
    without_leaks(|| {
        let function = function(named(&["x"]));
        dict(view(&function).globals()).insert_str("x", Ref::int(300));
        let code = Ref::code(named(&["x"])).unwrap();
        let made = Ref::function(code.clone(), Ref::dict(), Ref::dict());
        let ops = [
            push(&code),
            op("_MAKE_FUNCTION", 0),
            op("_PUSH_NULL", 0),
            op("_CHECK_FUNCTION_EXACT_ARGS", 0).operand(version(&made)),
            op("_INIT_CALL_PY_EXACT_ARGS_0", 0),
            enter(&made),
            op("_LOAD_GLOBAL", 0),
            op("_POP_FRAME", 0),
        ];
        assert_eq!(
            run(&ops, &Start::of(&function)),
            End::new(END, &[], &["300"])
        );
        // What is no code object stays where it is.
        let none = [push(&function), op("_MAKE_FUNCTION", 0)];
        let message = "NotSupported: a function of what is no code is not supported";
        assert_eq!(
            run(&none, &Start::of(&function)),
            End::new(ERROR, &[], &["function f"]).error(message)
        );
    });
}
