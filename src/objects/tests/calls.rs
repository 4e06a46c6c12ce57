//! Calls of functions of the program: what their parameters are bound to, and what is said of wrong arguments, as the
//! machine's Python does; the frames that calls make; and how they are left.
#![allow(unsafe_code)]

mod python;

use mimeo_objects::code::{CodeSpec, OPTIMIZED, VARARGS, VARKEYWORDS};
use mimeo_objects::error::{ErrorKind, PyError};
use mimeo_objects::format::repr_text;
use mimeo_objects::frame::{Frame, OwnedFrame};
use mimeo_objects::helpers::{
    mimeo_bind_function, mimeo_copy_free_variables, mimeo_enter_function, mimeo_leave_function,
    mimeo_load_from_dict_or_cell,
};
use mimeo_objects::object::{Header, Ref, View};
use mimeo_objects::thread::{RECURSION_LIMIT, ThreadState};
use mimeo_objects::{globals, heap};
use std::fmt::Write as _;
use std::ptr;

// ---- Binding -------------------------------------------------------------------------------------------------------

/// The parameters of a function.
#[derive(Clone, Debug)]
struct Signature {
    positional: usize,
    /// How many of them have defaults.
    defaults: usize,
    /// For each keyword-only parameter, whether it has a default.
    keyword_only: Vec<bool>,
    args: bool,
    kwargs: bool,
}

impl Signature {
    /// All of a certain size.
    fn all() -> Vec<Self> {
        let mut all = Vec::new();
        let keyword_only: [&[bool]; 8] = [
            &[],
            &[false],
            &[true],
            &[false, false],
            &[true, false],
            &[false, true],
            &[true, true],
            &[false, false, false],
        ];
        for positional in 0..5 {
            for defaults in 0..=positional {
                for keyword_only in keyword_only {
                    for (args, kwargs) in
                        [(false, false), (true, false), (false, true), (true, true)]
                    {
                        all.push(Self {
                            positional,
                            defaults,
                            keyword_only: keyword_only.to_vec(),
                            args,
                            kwargs,
                        });
                    }
                }
            }
        }
        all
    }

    /// The names of the parameters in the order of the locals.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = (0..self.positional).map(|i| format!("p{i}")).collect();
        names.extend((0..self.keyword_only.len()).map(|i| format!("k{i}")));
        names.extend(self.args.then(|| "args".to_owned()));
        names.extend(self.kwargs.then(|| "kwargs".to_owned()));
        names
    }

    /// The parameters as Python writes them; the value of a default is its parameter's number.
    fn python(&self) -> String {
        let mut parts = Vec::new();
        for index in 0..self.positional {
            let has_default = index >= self.positional - self.defaults;
            parts.push(match has_default {
                true => format!("p{index}={}", 100 + index),
                false => format!("p{index}"),
            });
        }
        if self.args || !self.keyword_only.is_empty() {
            parts.push(if self.args { "*args" } else { "*" }.to_owned());
        }
        for (index, has_default) in self.keyword_only.iter().enumerate() {
            parts.push(match has_default {
                true => format!("k{index}={}", 200 + index),
                false => format!("k{index}"),
            });
        }
        parts.extend(self.kwargs.then(|| "**kwargs".to_owned()));
        parts.join(", ")
    }

    fn function(&self) -> Ref {
        let flag = |is_set, flag| if is_set { flag } else { 0 };
        let code = Ref::code(CodeSpec {
            name: "f".to_owned(),
            qualified_name: "f".to_owned(),
            argument_count: self.positional as u32,
            keyword_only: self.keyword_only.len() as u32,
            flags: OPTIMIZED | flag(self.args, VARARGS) | flag(self.kwargs, VARKEYWORDS),
            local_names: self.names(),
            ..CodeSpec::default()
        });
        let function = Ref::function(code.unwrap(), Ref::dict(), Ref::dict());
        let View::Function(view) = function.view() else {
            panic!("no function")
        };
        if self.defaults != 0 {
            let first = self.positional - self.defaults;
            let defaults = (first..self.positional).map(|index| Ref::int(100 + index as i64));
            view.set_defaults(Some(Ref::tuple(defaults.collect())));
        }
        if self.keyword_only.contains(&true) {
            let defaults = Ref::dict();
            if let View::Dict(defaults) = defaults.view() {
                for (index, has_default) in self.keyword_only.iter().enumerate() {
                    if *has_default {
                        let value = Ref::int(200 + index as i64);
                        defaults.insert_str(&format!("k{index}"), value);
                    }
                }
            }
            view.set_keyword_defaults(Some(defaults));
        }
        function
    }
}

/// Binds `given` arguments, the first of them as a method's where there is one and the number is odd.
fn bind(thread: &mut ThreadState, signature: &Signature, given: usize) -> Result<String, PyError> {
    let arguments: Vec<Ref> = (0..given).map(|index| Ref::int(index as i64)).collect();
    let function = signature.function();
    let mut operands = vec![function.into_raw()];
    if given.is_multiple_of(2) {
        operands.push(ptr::null_mut());
    }
    operands.extend(arguments.into_iter().map(Ref::into_raw));
    let count = operands.len() as u32 - 2;
    // SAFETY: the operands are a function, a nullable and `count` arguments; the frame is the thread's last.
    unsafe {
        let frame = mimeo_bind_function(thread, operands.as_mut_ptr(), count);
        if frame.is_null() {
            return Err(thread.take_error().unwrap());
        }
        let mut text = String::new();
        for (name, local) in signature.names().iter().zip(Frame::locals(frame)) {
            let value = local.as_ref().map(|local| repr_text(local).unwrap());
            let _ = write!(text, "{name}={} ", value.as_deref().unwrap_or("unbound"));
        }
        mimeo_leave_function(thread, frame, (*frame).stack_pointer);
        Ok(text)
    }
}

/// Runs each line, a function's parameters and the number of arguments.
const BINDER: &str = r#"
import sys
for line in sys.stdin:
    parameters, given = line.rstrip("\n").split(";")
    exec(f"def f({parameters}): return locals()")
    try:
        bound = f(*range(int(given)))
        print("".join(f"{name}={bound[name]!r} " for name in f.__code__.co_varnames))
    except TypeError as e:
        print("TypeError:", e)
"#;

#[test]
fn arguments_are_bound_as_python_binds_them() {
    const MOST: usize = 6;
    let signatures = Signature::all();
    let mut lines = String::new();
    for signature in &signatures {
        for given in 0..MOST {
            let _ = writeln!(lines, "{};{given}", signature.python());
        }
    }
    let Some(answers) = python::ask(BINDER, lines) else {
        return;
    };
    let before = heap::stats().live();
    let mut thread = ThreadState::new();
    let calls = signatures
        .iter()
        .flat_map(|signature| (0..MOST).map(move |given| (signature, given)));
    let mut compared = 0;
    for ((signature, given), expected) in calls.zip(answers.lines()) {
        let found = bind(&mut thread, signature, given);
        let found = found.unwrap_or_else(|error| error.to_string());
        assert_eq!(found, expected, "f({}) with {given}", signature.python());
        compared += 1;
    }
    assert_eq!(compared, signatures.len() * MOST);
    assert_eq!(heap::stats().live(), before);
}

// ---- Frames --------------------------------------------------------------------------------------------------------

fn function(spec: CodeSpec) -> Ref {
    Ref::function(Ref::code(spec).unwrap(), Ref::dict(), Ref::dict())
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

/// Operands of a call, of which the second may be null.
fn operands<const N: usize>(objects: [Option<&Ref>; N]) -> [*mut Header; N] {
    objects.map(|object| object.map_or(ptr::null_mut(), |object| object.clone().into_raw()))
}

#[test]
fn exact_arguments_become_the_first_locals() {
    let before = heap::stats().live();
    let mut thread = ThreadState::new();
    let function = function(CodeSpec {
        number: 5,
        argument_count: 2,
        stack_size: 3,
        local_names: names(&["a", "b", "c"]),
        ..CodeSpec::default()
    });
    let (first, second) = (Ref::float(1.5), Ref::str("two"));
    for mut operands in [
        operands([Some(&function), Some(&first), Some(&second)]).to_vec(),
        operands([Some(&function), None, Some(&first), Some(&second)]).to_vec(),
    ] {
        let count = operands.len() as u32 - 2;
        // SAFETY: the operands are as many as the function takes; the frame is the thread's last.
        unsafe {
            let frame = mimeo_enter_function(&mut thread, operands.as_mut_ptr(), count);
            let locals = Frame::locals(frame);
            assert!(locals[0].as_ref().unwrap().is(&first));
            assert!(locals[1].as_ref().unwrap().is(&second));
            assert!(locals[2].is_none() && locals.len() == 3);
            assert!(Frame::stack(frame).is_empty());
            assert_eq!(((*frame).code, (*frame).capacity), (5, 6));
            assert!((*frame).function().unwrap().is(&function));
            // Something is left on its stack.
            (*frame).stack_pointer.write(second.clone().into_raw());
            mimeo_leave_function(&mut thread, frame, (*frame).stack_pointer.add(1));
        }
    }
    assert_eq!((first.refcount(), second.refcount()), (1, 1));
    drop((function, first, second, thread));
    assert_eq!(heap::stats().live(), before);
}

/// Frames of 8 KiB need a chunk of the data stack for every two of them.
#[test]
fn calls_that_were_left_in_the_middle_are_unwound() {
    let before = heap::stats().live();
    let mut thread = ThreadState::new();
    let value = Ref::float(0.5);
    let function = function(CodeSpec {
        argument_count: 1,
        stack_size: 1000,
        local_names: names(&["a"]),
        ..CodeSpec::default()
    });
    let outer = OwnedFrame::new(0, None, vec![], 1).unwrap();
    for depth in [0, 1, 2, 3, 4, 9, 1] {
        let mut frame = outer.as_ptr();
        for _ in 0..depth {
            let mut operands = operands([Some(&function), Some(&value)]);
            // SAFETY: as `_PUSH_FRAME` does, after one value more was pushed onto the new frame's stack.
            unsafe {
                let entered = mimeo_enter_function(&mut thread, operands.as_mut_ptr(), 0);
                let fields = &mut *entered;
                fields.previous = frame;
                fields.stack_pointer.write(value.clone().into_raw());
                fields.stack_pointer = fields.stack_pointer.add(1);
                frame = entered;
            }
            thread.recursion_remaining -= 1;
        }
        assert_eq!(value.refcount(), 1 + 2 * depth);
        // SAFETY: the frames were entered from `outer` one after the other.
        unsafe { thread.unwind(frame, outer.as_ptr()) };
        assert_eq!((value.refcount(), function.refcount()), (1, 1));
        assert_eq!(thread.recursion_remaining, RECURSION_LIMIT);
    }
    drop((function, value, outer, thread));
    assert_eq!(heap::stats().live(), before);
}

#[test]
fn a_closure_gives_its_cells_and_nothing_else() {
    let closure = CodeSpec {
        free_count: 2,
        local_names: names(&["a", "x", "y"]),
        ..CodeSpec::default()
    };
    for complete in [false, true] {
        let function = function(closure.clone());
        let View::Function(view) = function.view() else {
            panic!("no function")
        };
        let cells = [1, 2].map(|value| Ref::cell(Some(Ref::int(value))));
        let one = Ref::tuple(vec![cells[0].clone()]);
        assert!(!view.complete(8, one), "a cell is missing");
        let other = Ref::tuple(vec![cells[0].clone(), Ref::int(2)]);
        assert!(!view.complete(8, other), "one is no cell");
        if complete {
            assert!(view.complete(8, Ref::tuple(cells.to_vec())));
        }
        let frame = OwnedFrame::new(0, Some(function), vec![None, None, None], 0).unwrap();
        let mut thread = ThreadState::new();
        // SAFETY: the last locals are null.
        unsafe { mimeo_copy_free_variables(&mut thread, frame.as_ptr(), 2) };
        assert!(frame.locals()[0].is_none());
        for (local, cell) in frame.locals()[1..].iter().zip(&cells) {
            let local = local.as_ref().unwrap();
            assert!(matches!(local.view(), View::Cell(_)));
            assert_eq!(local.is(cell), complete);
        }
    }
}

#[test]
fn a_class_finds_names_in_its_dict_and_then_in_cells() {
    let function = function(CodeSpec {
        free_count: 1,
        local_names: names(&["x"]),
        ..CodeSpec::default()
    });
    let cell = Ref::cell(None);
    let frame = OwnedFrame::new(0, Some(function), vec![Some(cell.clone())], 0).unwrap();
    let (names, mut thread) = (Ref::dict(), ThreadState::new());
    // SAFETY: the frame's only local is a cell; the dict is borrowed.
    let mut load = || unsafe {
        let found = mimeo_load_from_dict_or_cell(&mut thread, frame.as_ptr(), names.as_ptr(), 0);
        match Ref::from_nullable(found) {
            Some(value) => repr_text(&value).unwrap(),
            None => thread.take_error().unwrap().to_string(),
        }
    };
    assert_eq!(
        load(),
        "NameError: cannot access free variable 'x' where it is not associated with a value in enclosing scope"
    );
    if let View::Cell(cell) = cell.view() {
        cell.replace(Some(Ref::int(1)));
    }
    assert_eq!(load(), "1");
    if let View::Dict(names) = names.view() {
        names.insert_str("x", Ref::int(2));
    }
    assert_eq!(load(), "2");
}

// ---- Names ---------------------------------------------------------------------------------------------------------

#[test]
fn globals_are_found_before_builtins() {
    let function = function(CodeSpec::default());
    let View::Function(function) = function.view() else {
        panic!("no function")
    };
    let name = Ref::str("x");
    let undefined = PyError::new(ErrorKind::NameError, "name 'x' is not defined");
    assert_eq!(globals::load(function, &name).unwrap_err(), undefined);
    assert_eq!(globals::delete(function, &name).unwrap_err(), undefined);
    if let View::Dict(builtins) = function.builtins().view() {
        builtins.insert_str("x", Ref::int(1));
    }
    let load = || repr_text(&globals::load(function, &name).unwrap()).unwrap();
    assert_eq!(load(), "1");
    globals::store(function, &name, Ref::int(2)).unwrap();
    assert_eq!(load(), "2");
    globals::delete(function, &name).unwrap();
    assert_eq!(load(), "1");
}

#[test]
fn names_of_a_module_are_in_its_dict() {
    let name = Ref::str("x");
    let message = |result: Result<(), PyError>| result.unwrap_err().to_string();
    assert_eq!(
        message(globals::store_name(None, &name, Ref::none())),
        "SystemError: no locals found when storing 'x'"
    );
    assert_eq!(
        message(globals::delete_name(None, &name)),
        "SystemError: no locals when deleting 'x'"
    );
    assert_eq!(
        message(globals::locals(None).map(drop)),
        "SystemError: no locals"
    );
    assert_eq!(
        message(globals::set_up_annotations(None)),
        "SystemError: no locals found when setting up annotations"
    );
    let names = Ref::dict();
    assert_eq!(
        message(globals::delete_name(Some(&names), &name)),
        "NameError: name 'x' is not defined"
    );
    globals::store_name(Some(&names), &name, Ref::int(1)).unwrap();
    for _ in 0..2 {
        globals::set_up_annotations(Some(&names)).unwrap();
        assert_eq!(
            repr_text(&names).unwrap(),
            "{'x': 1, '__annotations__': {}}"
        );
    }
    globals::delete_name(Some(&names), &name).unwrap();
    assert!(globals::locals(Some(&names)).unwrap().is(&names));
}

#[test]
fn a_version_ends_when_calls_would_bind_otherwise() {
    let function = function(CodeSpec {
        argument_count: 1,
        local_names: names(&["a"]),
        ..CodeSpec::default()
    });
    let View::Function(view) = function.view() else {
        panic!("no function")
    };
    let version = view.version();
    assert_eq!(version, view.code().version());
    assert!(view.complete(1, Ref::tuple(vec![Ref::int(1)])));
    assert!(view.complete(2, Ref::dict()));
    assert!(view.complete(4, Ref::tuple(vec![])));
    assert!(!view.complete(1, Ref::int(1)) && !view.complete(2, Ref::int(1)));
    assert!(!view.complete(3, Ref::int(1)));
    view.set_annotations(None);
    assert_eq!(view.version(), version);
    view.set_defaults(None);
    assert_eq!(view.version(), 0);
}
