//! Hostile traces: documents made or changed at random are refused with an error, or compiled and run until they leave.
//! They run in processes of their own, so that a crash is a failed test that names the document by its number.
//!
//! `MIMEO_HOSTILE=0..200000 cargo test --release -p mimeo-tests --test hostile_traces` tries other numbers. With
//! `MIMEO_HOSTILE_CHILD=1` the test's own process does it, as a debugger or valgrind wants it, and with
//! `MIMEO_HOSTILE_SHOW=1` it prints the documents.
#![allow(unsafe_code)]

use mimeo::engine::CompileError;
use mimeo::stencil::{StackEffect, UopFlags};
use mimeo_objects::format::repr_text;
use mimeo_objects::heap;
use mimeo_objects::limits::{self, Limits};
use mimeo_objects::recorded::uops::{self, ErrorPop, LocalAccess};
use mimeo_objects::recorded::{
    Document, Interrupter, Program, ProgramError, Tier, engine, interpreter,
};
use serde_json::{Value as Json, json};
use std::fs::{self, File};
use std::ops::Range;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The documents to be tried, by number.
const NUMBERS: Range<u64> = 0..4000;
/// The variable that says which numbers to try.
const RANGE: &str = "MIMEO_HOSTILE";
/// The variable that makes a process try them itself.
const CHILD: &str = "MIMEO_HOSTILE_CHILD";

/// The variable that asks for the documents themselves.
const SHOW: &str = "MIMEO_HOSTILE_SHOW";

/// A run is asked to leave after this time: loops end where they check for it.
const PATIENCE: Duration = Duration::from_millis(3);
/// A process gives up a run that does not, with this exit code.
const ENDLESS: i32 = 42;
const ENDLESS_AFTER: Duration = Duration::from_millis(400);

#[test]
fn hostile_documents_are_refused_or_run() {
    let numbers = std::env::var(RANGE).map_or(NUMBERS, |text| parse_range(&text));
    if std::env::var_os(CHILD).is_some() {
        try_all(numbers);
        return;
    }
    let total = numbers.end - numbers.start;
    let mut outcome = Outcome::default();
    let mut rest = numbers;
    while !rest.is_empty() {
        rest.start = outcome.run_process(rest.clone());
    }
    println!("{outcome:?}");
    assert!(
        outcome.crashes.is_empty(),
        "{} of {total} documents crash:\n{}",
        outcome.crashes.len(),
        outcome.crashes.join("\n")
    );
    // Many get as far as machine code, and almost all come back from it.
    assert!(outcome.ran * 3 > total, "only {} run", outcome.ran);
    assert!(outcome.endless * 50 < total, "{} endless", outcome.endless);
}

fn parse_range(text: &str) -> Range<u64> {
    let bounds = text.split_once("..").expect("a range of numbers");
    bounds.0.parse().expect("a number")..bounds.1.parse().expect("a number")
}

/// What has become of the documents.
#[derive(Debug, Default)]
struct Outcome {
    ran: u64,
    endless: u64,
    crashes: Vec<String>,
}

impl Outcome {
    /// Tries documents in another process and gives the number to go on with.
    fn run_process(&mut self, numbers: Range<u64>) -> u64 {
        let directory = tempfile::tempdir().expect("a directory");
        let log = directory.path().join("log");
        let status = Command::new(std::env::current_exe().expect("this test"))
            .args([
                "--exact",
                "hostile_documents_are_refused_or_run",
                "--nocapture",
            ])
            .env(CHILD, "1")
            .env("RUST_BACKTRACE", "0")
            .env(RANGE, format!("{}..{}", numbers.start, numbers.end))
            .stdout(Stdio::null())
            .stderr(File::create(&log).expect("a file"))
            .status()
            .expect("a process");
        let log = String::from_utf8_lossy(&fs::read(&log).expect("a log")).into_owned();
        self.ran += log.lines().filter(|line| line.ends_with(" ran")).count() as u64;
        if status.success() {
            return numbers.end;
        }
        let last = log
            .lines()
            .filter_map(|line| line.strip_prefix("document ")?.parse::<u64>().ok())
            .next_back()
            .expect("a number");
        if status.code() == Some(ENDLESS) {
            self.endless += 1;
        } else {
            let (_, said) = log.rsplit_once("document ").unwrap_or_default();
            self.crashes
                .push(format!("{status}: {}", &said[..said.len().min(600)]));
        }
        last + 1
    }
}

/// Tries documents in this process, telling which before and what after.
fn try_all(numbers: Range<u64>) {
    limits::set(Limits {
        items: 1 << 16,
        bits: 1 << 18,
    });
    let table = mimeo_ir_templates::standard_table().expect("a table");
    let ops: Vec<String> = table
        .uops()
        .map(|uop| table.uop(uop).name.to_owned())
        .collect();
    let table = Arc::new(table);
    let image = mimeo_ir_templates::standard_interpreter().expect("an image");
    // SAFETY: the image was made with the table and is in the program's text.
    let interpreter = unsafe { interpreter(Arc::clone(&table), &image) }.expect("an interpreter");
    let engine = engine(table).expect("an engine");
    let recorded = recorded();
    let timer = Timer::start();
    for number in numbers {
        eprintln!("document {number}");
        let mut random = Random::new(number);
        // Nothing frees lists that lead back to themselves, so leaks are looked for where there are none.
        let is_tame = random.one_in(4);
        let json = if is_tame || random.one_in(2) {
            Generator::document(&mut random, &ops, &recorded[0], is_tame)
        } else {
            mutate(&mut random, &ops, &recorded)
        };
        let before = heap::stats().live();
        let tier: Tier<'_> = match number % 2 {
            0 => (&engine).into(),
            _ => (&interpreter).into(),
        };
        eprintln!("{number} {}", attempt(&json.to_string(), tier, &timer));
        let left = heap::stats().live() - before;
        assert!(left == 0 || !is_tame, "{left} objects leak");
    }
}

/// Parses, compiles or interprets, and looks at everything that is left.
fn attempt(text: &str, tier: Tier<'_>, timer: &Timer) -> String {
    if std::env::var_os(SHOW).is_some() {
        eprintln!("{text}");
    }
    let document = match Document::parse(text) {
        Ok(document) => document,
        Err(error) => return format!("format: {error}"),
    };
    let mut program = match Program::new(&document, tier) {
        Ok(program) => program,
        Err(ProgramError::Compile {
            source: CompileError::Internal(message),
            ..
        }) => panic!("an error in mimeo, and no refusal: {message}"),
        Err(error) => return format!("program: {error}"),
    };
    timer.watch(Some(program.interrupter()));
    let outcome = program.run();
    let end = match &outcome {
        Ok(outcome) => outcome
            .error
            .as_ref()
            .map_or_else(|| outcome.op.clone(), ToString::to_string),
        Err(error) => error.to_string(),
    };
    if let Ok(outcome) = &outcome {
        drop(program.check(outcome));
    }
    let places = program.frame().locals.iter().chain(program.frame().stack);
    for object in places.flatten() {
        drop(repr_text(object));
    }
    timer.watch(None);
    format!("{end}: ran")
}

/// Makes runs end that do not by themselves.
struct Timer(Arc<Mutex<Option<(Interrupter, Instant)>>>);

impl Timer {
    fn start() -> Self {
        let watched = Arc::<Mutex<Option<(Interrupter, Instant)>>>::default();
        let timer = Self(Arc::clone(&watched));
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(PATIENCE);
                if let Some((interrupter, since)) = &*watched.lock().expect("no panic") {
                    if since.elapsed() > PATIENCE {
                        interrupter.interrupt();
                    }
                    if since.elapsed() > ENDLESS_AFTER {
                        std::process::exit(ENDLESS);
                    }
                }
            }
        });
        timer
    }

    fn watch(&self, interrupter: Option<Interrupter>) {
        *self.0.lock().expect("no panic") =
            interrupter.map(|interrupter| (interrupter, Instant::now()));
    }
}

/// Sebastiano Vigna's splitmix64: the same numbers for the same document on each run.
struct Random(u64);

impl Random {
    fn new(number: u64) -> Self {
        Self(number.wrapping_mul(0x2545_f491_4f6c_dd1d))
    }

    /// A number below `limit`, which is taken for 1 if it is 0.
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit.max(1) as u64) as usize
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn pick<'t, T: ?Sized>(&mut self, from: &[&'t T]) -> &'t T {
        from[self.below(from.len())]
    }
}

/// Uops that recorded traces do not have.
const NOT_IN_TRACES: [&str; 8] = [
    "_COLD_EXIT",
    "_COUNT",
    "_DYNAMIC_EXIT",
    "_EXPECT_KIND",
    "_EXPECT_LOCAL_KIND",
    "_FATAL_ERROR",
    "_SPILL",
    "_UNPACK_EX",
];

/// What the proofs rely on is what the stencils do.
#[test]
fn the_table_does_what_is_known_of_its_uops() {
    let table = mimeo_ir_templates::standard_table().expect("a table");
    for uop in table.uops() {
        let info = table.uop(uop);
        let name = info.name;
        let Some(facts) = uops::facts(name) else {
            // Not one of those that traces have: no document gets by with it.
            assert!(NOT_IN_TRACES.contains(&name), "{name}");
            continue;
        };
        let flags = info.flags;
        assert_eq!(
            flags.contains(UopFlags::TERMINAL),
            uops::is_terminal(name),
            "{name}"
        );
        assert!(facts.jumps || !flags.needs_jump(), "{name} jumps");
        assert!(
            facts.error.is_some() || !flags.contains(UopFlags::ERROR),
            "{name} raises"
        );
        let by_oparg = flags.contains(UopFlags::LOCAL);
        let is_local = uops::names_local(name) && uops::fixed_oparg(name).is_none();
        assert_eq!(by_oparg, is_local, "{name}");
        let opargs = uops::oparg_range(name).unwrap_or(0..=9);
        for oparg in opargs.map(u32::from).take(300) {
            assert_eq!(
                net(info.effect, oparg),
                net(facts.effect, oparg),
                "{name} {oparg}"
            );
            let needed = (info.effect.popped.of(oparg), facts.effect.popped.of(oparg));
            assert!(needed.0 <= needed.1, "{name} {oparg}: {needed:?}");
            let leaving = if facts.pops_before_jump {
                net(facts.effect, oparg)
            } else {
                0
            };
            if flags.needs_jump() {
                assert_eq!(net(info.leaving_effect, oparg), leaving, "{name} {oparg}");
            }
        }
    }
}

/// By how much the stack grows.
fn net(effect: StackEffect, oparg: u32) -> i64 {
    effect.pushed.of(oparg) as i64 - effect.popped.of(oparg) as i64
}

// ---- Bombs --------------------------------------------------------------------------------------------------------

/// What would take all memory, or all of the native stack, is an exception.
#[test]
fn bombs_are_exceptions() {
    limits::set(Limits {
        items: 1 << 16,
        bits: 1 << 20,
    });
    let table = mimeo_ir_templates::standard_table().expect("a table");
    let engine = engine(Arc::new(table)).expect("an engine");
    let live = heap::stats().live();
    for (locals, body, expected) in [
        // x = x + x
        (
            ["str", "none"],
            "x x _GUARD_BOTH_UNICODE _BINARY_OP_ADD_UNICODE =x",
            "MemoryError",
        ),
        (["str", "none"], "x x _BINARY_OP:0 =x", "MemoryError"),
        (["list", "none"], "x x _BINARY_OP:0 =x", "MemoryError"),
        (["tuple", "none"], "x x _BINARY_OP:0 =x", "MemoryError"),
        // x += x
        (["list", "none"], "x x _BINARY_OP:13 =x", "MemoryError"),
        (
            ["list", "none"],
            "x x _LIST_EXTEND:1 _POP_TOP",
            "MemoryError",
        ),
        (
            ["list", "list_iterator"],
            "x y _LIST_EXTEND:1 _POP_TOP",
            "MemoryError",
        ),
        (
            ["list", "none"],
            "x y _LIST_APPEND:1 _POP_TOP",
            "MemoryError",
        ),
        (
            ["list", "none"],
            "x x _CONST:none _CONST:zero _STORE_SLICE",
            "MemoryError",
        ),
        (["str", "none"], "x x _BUILD_STRING:2 =x", "MemoryError"),
        // x = x * x
        (
            ["three", "none"],
            "x x _GUARD_BOTH_INT _BINARY_OP_MULTIPLY_INT =x",
            "MemoryError",
        ),
        (["three", "none"], "x x _BINARY_OP:5 =x", "MemoryError"),
        // y * huge, and the like
        (
            ["huge", "str"],
            "y x _BINARY_OP:5 _POP_TOP",
            "OverflowError: repeated string is too long",
        ),
        (["huge", "list"], "x y _BINARY_OP:5 _POP_TOP", "MemoryError"),
        (
            ["huge", "list"],
            "y x _BINARY_OP:18 _POP_TOP",
            "MemoryError",
        ),
        (
            ["huge", "tuple"],
            "y x _BINARY_OP:5 _POP_TOP",
            "MemoryError",
        ),
        (
            ["huge", "three"],
            "y x _BINARY_OP:3 _POP_TOP",
            "MemoryError",
        ),
        (
            ["million", "three"],
            "y x _BINARY_OP:3 x _BINARY_OP:3 _POP_TOP",
            "MemoryError",
        ),
        (
            ["huge", "three"],
            "y x _BINARY_OP:8 _POP_TOP",
            "MemoryError",
        ),
        (
            ["wide", "million"],
            "x y _BINARY_OP:8 _POP_TOP",
            "MemoryError",
        ),
        // What a range without an end makes
        (
            ["range", "none"],
            "_CONST:list_type _PUSH_NULL x _CALL_BUILTIN_CLASS:1 _POP_TOP",
            "MemoryError",
        ),
        (
            ["range", "none"],
            "_CONST:tuple_type x _CALL_BUILTIN_CLASS:0 _POP_TOP",
            "MemoryError",
        ),
        (
            ["range", "none"],
            "_CONST:sorted _PUSH_NULL x _CALL_BUILTIN_FAST_WITH_KEYWORDS:1 _POP_TOP",
            "MemoryError",
        ),
        (
            ["range", "list"],
            "y x _LIST_EXTEND:1 _POP_TOP",
            "MemoryError",
        ),
        (
            ["range", "list"],
            "x y _CONST:zero _CONST:zero _STORE_SLICE",
            "MemoryError",
        ),
        // x = [x, x] prints longer and longer.
        (
            ["list", "none"],
            "x x _BUILD_LIST:2 =x x _FORMAT_SIMPLE _POP_TOP",
            "MemoryError",
        ),
        // x = [x] gets deeper and deeper.
        (
            ["list", "none"],
            "x _BUILD_LIST:1 =x x _CONVERT_VALUE:2 _POP_TOP",
            "RecursionError",
        ),
        (
            ["list", "list"],
            "x _BUILD_LIST:1 =x y _BUILD_LIST:1 =y x y _COMPARE_OP:72 _POP_TOP",
            "RecursionError",
        ),
        (
            ["list", "list"],
            "x _BUILD_TUPLE:1 =x y _BUILD_TUPLE:1 =y x y _BUILD_TUPLE:1 _CONTAINS_OP:0 _POP_TOP",
            "RecursionError",
        ),
        (
            ["types", "none"],
            "x _BUILD_TUPLE:1 =x _CONST:isinstance y x _CALL_BUILTIN_FAST:1 _POP_TOP",
            "RecursionError",
        ),
        // It is dropped at the end of the run.
        (
            ["list", "list"],
            "x _BUILD_LIST:1 =x y _BUILD_TUPLE:1 =y",
            "",
        ),
        // Operands that an error leaves behind
        (
            ["str", "three"],
            "x y _BUILD_STRING:2 =x",
            "TypeError: expected str, found int",
        ),
        (
            ["three", "none"],
            "_CONST:len _PUSH_NULL x _CALL_LEN:1 _POP_TOP",
            "TypeError: object of type 'int' has no len()",
        ),
        (
            ["three", "none"],
            "x _GET_LEN _POP_TOP _POP_TOP",
            "TypeError: object of type 'int' has no len()",
        ),
        (
            ["list", "three"],
            "x x y _LIST_EXTEND:2 _POP_TOP _POP_TOP",
            "TypeError: Value after * must be an iterable, not int",
        ),
    ] {
        let json = loop_of(body, locals);
        let document =
            Document::parse(&json.to_string()).unwrap_or_else(|error| panic!("{body}: {error}"));
        let mut program =
            Program::new(&document, &engine).unwrap_or_else(|error| panic!("{body}: {error}"));
        let interrupter = program.interrupter();
        if expected.is_empty() {
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(50));
                interrupter.interrupt();
            });
        }
        let outcome = program
            .run()
            .unwrap_or_else(|error| panic!("{body}: {error}"));
        let found = outcome
            .error
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert!(
            found.starts_with(expected) && found.is_empty() == expected.is_empty(),
            "{body}: {found}"
        );
    }
    assert_eq!(heap::stats().live(), live, "they leak");
    limits::set(Limits::DEFAULT);
}

/// The table's uops of one type do not look at their operands: a check does where the trace has not.
#[test]
fn what_is_taken_for_granted_is_checked() {
    let table = mimeo_ir_templates::standard_table().expect("a table");
    let engine = engine(Arc::new(table)).expect("an engine");
    for (locals, body, expected) in [
        (
            ["three", "str"],
            "x y _BINARY_OP_ADD_INT =x",
            "int at depth 0",
        ),
        (
            ["str", "three"],
            "x y _BINARY_OP_ADD_INT =x",
            "int at depth 1",
        ),
        (
            ["three", "three"],
            "x y _BINARY_OP_ADD_UNICODE =x",
            "str at depth 0",
        ),
        (["three", "none"], "x _UNARY_NOT =x", "bool at depth 0"),
        (["list", "none"], "x _GUARD_IS_TRUE_POP", "bool at depth 0"),
        (["list", "none"], "x _GUARD_IS_FALSE_POP", "bool at depth 0"),
        (
            ["tuple", "three"],
            "x y _LIST_APPEND:1 =x",
            "list at depth 1",
        ),
        (
            ["list", "none"],
            "x _GUARD_NOT_EXHAUSTED_LIST =x",
            "list iterator at depth 0",
        ),
        (
            ["list", "none"],
            "x _ITER_NEXT_LIST =y =x",
            "list iterator that is not exhausted at depth 0",
        ),
        (
            ["three", "none"],
            "x _ITER_NEXT_RANGE =y =x",
            "range iterator that is not exhausted at depth 0",
        ),
        (
            ["list_iterator", "none"],
            "x _ITER_CHECK_LIST _ITER_NEXT_LIST =y =x",
            "list iterator that is not exhausted at depth 0",
        ),
    ] {
        let json = loop_of(body, locals);
        let document =
            Document::parse(&json.to_string()).unwrap_or_else(|error| panic!("{body}: {error}"));
        let mut program =
            Program::new(&document, &engine).unwrap_or_else(|error| panic!("{body}: {error}"));
        let error = program.run().expect_err(body).to_string();
        assert!(
            error.ends_with(&format!("expected {expected}")),
            "{body}: {error}"
        );
    }
}

/// Values by name.
fn named_values() -> Vec<(&'static str, Json)> {
    let of_type = |name: &str| json!({"t": "type", "name": name});
    let builtin = |name: &str| json!({"t": "builtin", "name": name});
    vec![
        ("function", json!({"t": "function", "name": "f", "code": 0})),
        ("none", json!({"t": "none"})),
        ("zero", json!({"t": "int", "v": "0"})),
        ("three", json!({"t": "int", "v": "3"})),
        ("million", json!({"t": "int", "v": "1000000"})),
        ("huge", json!({"t": "int", "v": "4611686018427387904"})),
        (
            "wide",
            json!({"t": "int", "v": "-340282366920938463463374607431768211457"}),
        ),
        ("str", json!({"t": "str", "v": "ab"})),
        ("list", json!({"t": "list", "items": [2, 3]})),
        ("tuple", json!({"t": "tuple", "items": [2, 3]})),
        (
            "list_iterator",
            json!({"t": "list_iterator", "seq": 8, "index": 0}),
        ),
        (
            "range",
            json!({"t": "range", "start": "0", "stop": "1000000000000000000000", "step": "1"}),
        ),
        ("list_type", of_type("list")),
        ("tuple_type", of_type("tuple")),
        ("sorted", builtin("sorted")),
        ("isinstance", builtin("isinstance")),
        ("len", builtin("len")),
        ("types", json!({"t": "tuple", "items": [12]})),
    ]
}

/// A document with a loop of uops, written as `op` or `op:oparg`, `_CONST:value`, and `x` and `=x` for the locals.
fn loop_of(body: &str, locals: [&str; 2]) -> Json {
    let values = named_values();
    let value = |name: &str| {
        let found = values.iter().position(|(other, _)| *other == name);
        found.unwrap_or_else(|| panic!("no value {name}"))
    };
    let local = |name: &str| usize::from(name == "y");
    let mut uops = vec![
        json!({"op": "_START_EXECUTOR", "oparg": 0, "jump_target": 0,
        "operand": {"kind": "executor", "executor": 0}}),
    ];
    let mut exits = vec![deopt()];
    for word in ["_TIER2_RESUME_CHECK"]
        .into_iter()
        .chain(body.split(' '))
        .chain(["_JUMP_TO_TOP"])
    {
        let (op, argument) = word.split_once(':').unwrap_or((word, "0"));
        let (op, oparg, operand) = match op {
            "x" | "y" => ("_LOAD_FAST", local(op), Json::Null),
            "=x" | "=y" => ("_STORE_FAST", local(&op[1..]), Json::Null),
            "_CONST" => (
                "_LOAD_CONST_INLINE",
                0,
                json!({"kind": "object", "value": value(argument)}),
            ),
            _ => (op, argument.parse().expect("an oparg"), Json::Null),
        };
        uops.push(uop(op, oparg, operand, exits.len(), exits.len() + 1));
        exits.push(deopt());
        exits.push(error_pop_n(popped_on_error(op, oparg).unwrap_or(0)));
    }
    let base = uops.len() as i64;
    retarget(&mut uops, 0, base);
    uops.append(&mut exits);
    let mut json = recorded().swap_remove(0);
    json["globals"] = json!({});
    json["codes"] = json!([{"name": "f", "argcount": 0, "kwonly": 0, "varargs": false, "nlocalsplus": 2,
        "stacksize": STACK_SIZE, "varnames": ["x", "y"], "names": [], "consts": [], "instructions": []}]);
    json["executors"] = json!([{"id": 0, "code": 0, "uops": uops}]);
    json["state_in"] = json!({"code": 0, "function": 0, "locals": locals.map(value), "stack": []});
    json["values"] = values.into_iter().map(|(_, value)| value).collect();
    complete(&mut json);
    json
}

// ---- Recorded documents, changed ---------------------------------------------------------------------------------

/// Recorded traces that are not long; sum_squares comes first.
fn recorded() -> Vec<Json> {
    let names = [
        "sum_squares",
        "char_scan",
        "compare_overflow",
        "fib_bigint",
        "float_sum",
        "gcd",
        "horner",
        "index_deopt",
        "pair_unpack",
        "sieve_inner",
        "string_build",
        "string_compare",
        "two_way",
        "while_break",
        "append_call",
        "bound_method_local",
        "class_constant",
        "closure_free",
        "dict_comprehension",
        "dict_count",
        "dict_methods",
        "float_callee",
        "fstring_mix",
        "function_arg",
        "instance_class_attr",
        "linked_list",
        "list_methods",
        "math_calls",
        "method_call",
        "method_chain",
        "nested_calls",
        "nested_dict",
        "point_attrs",
        "set_comprehension",
        "slice_store",
        "slots_walk",
        "spectral_a",
        "tuple_keys",
    ];
    let read = |name: &&str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("traces/{name}.json"));
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        serde_json::from_str(&text).expect("a good trace")
    };
    names.iter().map(read).collect()
}

fn list<'j>(json: &'j mut Json, pointer: &str) -> &'j mut Vec<Json> {
    let items = json.pointer_mut(pointer).and_then(Json::as_array_mut);
    items.unwrap_or_else(|| panic!("{pointer} is no list"))
}

fn length(json: &Json, pointer: &str) -> usize {
    json.pointer(pointer)
        .and_then(Json::as_array)
        .map_or(0, Vec::len)
}

fn mutate(random: &mut Random, ops: &[String], recorded: &[Json]) -> Json {
    let mut json = recorded[random.below(recorded.len())].clone();
    for _ in 0..=random.below(4) {
        let executor = random.below(length(&json, "/executors"));
        change(random, ops, &mut json, executor);
    }
    complete(&mut json);
    json
}

/// One change, after which the document may well be good.
fn change(random: &mut Random, ops: &[String], json: &mut Json, executor: usize) {
    let values = length(json, "/values");
    let codes = "/codes/0/consts";
    match random.below(14) {
        12 => {
            let codes = length(json, "/codes");
            let uop = some_uop(random, json, executor);
            match random.below(4) {
                0 => uop["code"] = json!(random.below(codes)),
                1 if uop["operand"]["code"].is_u64() => {
                    uop["operand"]["code"] = json!(random.below(codes));
                }
                _ if uop["operand"]["name"].is_string() => {
                    uop["operand"]["name"] = json!(random.pick(&ATTRIBUTES));
                }
                _ => {}
            }
        }
        13 => change_value(random, json),
        0 => {
            let value = 1 + random.below(values - 1);
            let (_, other) = some_value(random, values);
            list(json, "/values")[value] = other;
        }
        1 => {
            let locals = list(json, "/state_in/locals");
            let local = random.below(locals.len());
            if let Some(place) = locals.get_mut(local) {
                *place = index_or_null(random, values);
            }
        }
        2 => {
            let stack = list(json, "/state_in/stack");
            match random.below(3) {
                0 => stack.push(index_or_null(random, values)),
                1 => drop(stack.pop()),
                _ => {
                    let place = random.below(stack.len());
                    if let Some(place) = stack.get_mut(place) {
                        *place = index_or_null(random, values);
                    }
                }
            }
        }
        3 => {
            let consts = list(json, codes);
            match random.below(3) {
                0 => drop(consts.pop()),
                _ => consts.push(json!(random.below(values))),
            }
        }
        4 => json["codes"][0]["stacksize"] = json!(4 + random.below(4)),
        5 => {
            let uop = some_uop(random, json, executor);
            uop["oparg"] = json!([0, 1, 2, 3, 88, 65535][random.below(6)]);
        }
        6 => {
            let uop = some_uop(random, json, executor);
            if uop["operand"]["value"].is_u64() {
                uop["operand"]["value"] = json!(random.below(values));
            }
        }
        7 => {
            let executors = length(json, "/executors");
            let uop = some_uop(random, json, executor);
            if uop["op"] == "_EXIT_TRACE" {
                uop["exit"]["executor"] = index_or_null(random, executors);
            }
        }
        8 => {
            let op = random.pick(&ops.iter().map(String::as_str).collect::<Vec<_>>());
            let uop = some_uop(random, json, executor);
            let shape =
                |op: &str| uops::facts(op).map(|facts| (facts.effect, facts.jumps, facts.error));
            if shape(op) == shape(uop["op"].as_str().unwrap_or_default()) || random.one_in(20) {
                uop["op"] = json!(op);
            }
        }
        9 => {
            let place = random.below(length(json, &format!("/executors/{executor}/uops")));
            remove(json, executor, place);
        }
        10 => {
            let uops = list(json, &format!("/executors/{executor}/uops"));
            let (from, far) = (random.below(uops.len()), random.below(uops.len()));
            let to = if random.one_in(5) { far } else { from + 1 };
            if to < uops.len() {
                uops.swap(from, to);
            }
        }
        _ => {
            let place = random.below(length(json, &format!("/executors/{executor}/uops")));
            let op = &ops[random.below(ops.len())];
            if random.one_in(2) {
                remove(json, executor, place);
            }
            insert(random, json, executor, place, op);
        }
    }
}

/// Uops that documents made from nothing have no place for.
const ONLY_IN_CALLS: [&str; 5] = [
    "_INIT_CALL_PY_EXACT_ARGS",
    "_PY_FRAME_GENERAL",
    "_PUSH_FRAME",
    "_POP_FRAME",
    "_COPY_FREE_VARS",
];

/// Names of attributes, some of which the classes of the recorded programs have.
const ATTRIBUTES: [&str; 6] = ["total", "n", "state", "x", "value", "pos"];

/// Changes what is said of a class, a function or an instance.
fn change_value(random: &mut Random, json: &mut Json) {
    let codes = length(json, "/codes");
    let values = list(json, "/values");
    let (count, index) = (values.len(), random.below(values.len()));
    let value = &mut values[index];
    for field in ["inline_keys", "slots", "attrs", "methods", "items"] {
        let Some(items) = value.get_mut(field).and_then(Json::as_array_mut) else {
            continue;
        };
        let (from, to) = (random.below(items.len()), random.below(items.len()));
        match random.below(3) {
            0 => drop(items.pop()),
            1 if !items.is_empty() => items.swap(from, to),
            _ if field == "items" && !items.is_empty() && items[from].is_u64() => {
                items[from] = json!(random.below(count));
            }
            _ => {}
        }
    }
    match value["t"].as_str().unwrap_or_default() {
        "function" => value["code"] = json!(random.below(codes)),
        "instance" => value["type"] = json!(random.below(count)),
        "method" => {
            let field = random.pick(&["func", "self"]);
            value[field] = json!(random.below(count));
        }
        "type" if random.one_in(3) => {
            if let Some(names) = value
                .as_object_mut()
                .and_then(|fields| fields.remove("slots"))
            {
                value["inline_keys"] = names;
            }
        }
        _ => {}
    }
}

fn index_or_null(random: &mut Random, below: usize) -> Json {
    match random.below(4) {
        0 => Json::Null,
        _ => json!(random.below(below)),
    }
}

fn some_uop<'j>(random: &mut Random, json: &'j mut Json, executor: usize) -> &'j mut Json {
    let uops = list(json, &format!("/executors/{executor}/uops"));
    let place = random.below(uops.len());
    &mut uops[place]
}

/// Moves the targets of uops that lead to `from` or beyond.
fn retarget(uops: &mut [Json], from: usize, by: i64) {
    for uop in uops {
        for field in ["jump_target", "error_target"] {
            if let Some(target) = uop[field].as_u64()
                && target as usize >= from
            {
                uop[field] = json!(target as i64 + by);
            }
        }
    }
}

fn remove(json: &mut Json, executor: usize, place: usize) {
    let uops = list(json, &format!("/executors/{executor}/uops"));
    uops.remove(place);
    retarget(uops, place + 1, -1);
}

/// Puts a uop that carries what one of its name carries.
fn insert(random: &mut Random, json: &mut Json, executor: usize, place: usize, op: &str) {
    let [locals, consts, values] = [
        length(json, "/state_in/locals"),
        length(json, "/codes/0/consts"),
        length(json, "/values"),
    ];
    let operand = operand(random, op, executor, random_value(values));
    let uops = list(json, &format!("/executors/{executor}/uops"));
    let oparg = oparg(random, op, locals, consts);
    retarget(uops, place, 1);
    let (jump, error) = (uops.len() + 1, uops.len() + 2);
    let uop = uop(op, oparg, operand, jump, error);
    let error_pop = popped_on_error(op, oparg);
    uops.insert(place, uop);
    uops.push(deopt());
    uops.push(error_pop_n(error_pop.unwrap_or(0)));
}

fn random_value(values: usize) -> impl Fn(&mut Random) -> usize {
    move |random| random.below(values)
}

/// Numbers the exits, and expects the first of them that is not linked.
fn complete(json: &mut Json) {
    let executors = list(json, "/executors");
    let mut expected = None;
    for (executor, json) in executors.iter_mut().enumerate() {
        let mut exits = 0;
        for (number, uop) in list(json, "/uops").iter_mut().enumerate() {
            if let Some(exit) = uop.get_mut("exit") {
                exit["index"] = json!(exits);
                exits += 1;
            }
            let target = match uop["op"].as_str() {
                Some("_DEOPT") => uop["target"].clone(),
                Some("_EXIT_TRACE") if uop["exit"]["executor"].is_null() => {
                    uop["exit"]["target"].clone()
                }
                _ => continue,
            };
            expected.get_or_insert((executor, number, uop["op"].clone(), target));
        }
    }
    let count = executors.len();
    let locals = vec![Json::Null; length(json, "/state_in/locals")];
    if let Some((executor, uop, op, target)) = expected {
        json["expected"] = json!({"executor": executor, "uop": uop, "op": op, "from": null, "from_op": null,
            "code": 0, "target": target, "locals": locals, "stack": [], "values": []});
    }
    for field in ["executor_entries", "jump_to_top", "uops_reached"] {
        json["stats"][field] = json!(vec![0; count]);
    }
}

// ---- Uops that are well formed ------------------------------------------------------------------------------------

fn uop(op: &str, oparg: usize, operand: Json, jump: usize, error: usize) -> Json {
    let mut uop = json!({"op": op, "oparg": oparg});
    if !operand.is_null() {
        uop["operand"] = operand;
    }
    let facts = uops::facts(op);
    match op {
        "_EXIT_TRACE" => {
            uop["exit"] = json!({"index": 0, "target": 7, "executor": null});
        }
        "_DEOPT" => uop["target"] = json!(7),
        _ => {}
    }
    if facts.is_some_and(|facts| facts.jumps) {
        uop["jump_target"] = json!(jump);
    }
    if facts.is_some_and(|facts| facts.error.is_some()) {
        uop["error_target"] = json!(error);
    }
    uop
}

fn deopt() -> Json {
    json!({"op": "_DEOPT", "oparg": 0, "target": 5})
}

fn error_pop_n(count: usize) -> Json {
    json!({"op": "_ERROR_POP_N", "oparg": count, "target": 0, "operand": {"kind": "offset", "offset": 3}})
}

fn popped_on_error(op: &str, oparg: usize) -> Option<usize> {
    let facts = uops::facts(op)?;
    Some(match facts.error? {
        ErrorPop::Operands => facts.effect.popped.of(oparg as u32) as usize,
        ErrorPop::Nothing => 0,
    })
}

/// An oparg that means something to the uop.
fn oparg(random: &mut Random, op: &str, locals: usize, consts: usize) -> usize {
    if let Some(fixed) = uops::fixed_oparg(op) {
        return fixed.into();
    }
    match op {
        _ if uops::names_local(op) => random.below(locals),
        "_LOAD_CONST" => random.below(consts),
        _ if op.starts_with("_COMPARE_OP") => random.below(6) << 5 | random.below(32),
        _ => {
            let range = uops::oparg_range(op).unwrap_or(0..=3);
            let (start, end) = (usize::from(*range.start()), usize::from(*range.end()));
            start + random.below((end - start + 1).min(if op == "_BINARY_OP" { 26 } else { 4 }))
        }
    }
}

fn operand(
    random: &mut Random,
    op: &str,
    executor: usize,
    value: impl Fn(&mut Random) -> usize,
) -> Json {
    match uops::operand_kind(op) {
        Some("object") => json!({"kind": "object", "value": value(random)}),
        Some("function_version") => json!({"kind": "function_version", "value": 0}),
        Some("type_version") => json!({"kind": "type_version", "value": value(random)}),
        Some("index") => {
            json!({"kind": "index", "index": 0, "name": random.pick(&ATTRIBUTES)})
        }
        Some("ip") => json!({"kind": "ip", "code": 0, "offset": 4}),
        Some("executor") => json!({"kind": "executor", "executor": executor}),
        _ => Json::Null,
    }
}

// ---- Values -------------------------------------------------------------------------------------------------------

/// What the recorded values are called, by what uops distinguish.
const KINDS: [&str; 24] = [
    "dict",
    "set",
    "frozenset",
    "bytes",
    "method_descriptor",
    "module_function",
    "none",
    "bool",
    "int",
    "int",
    "float",
    "str",
    "wide",
    "list",
    "list",
    "tuple",
    "range",
    "range_iterator",
    "list_iterator",
    "tuple_iterator",
    "str_ascii_iterator",
    "function",
    "type",
    "builtin",
];

/// A value that may refer to any of `values`, and its kind.
fn some_value(random: &mut Random, values: usize) -> (&'static str, Json) {
    let kind = random.pick(&KINDS);
    (kind, value_of(random, kind, values))
}

fn value_of(random: &mut Random, kind: &str, values: usize) -> Json {
    match kind {
        "bool" => json!({"t": kind, "v": random.one_in(2)}),
        "int" => json!({"t": kind, "v": some_int(random)}),
        "float" => {
            let text = random.pick(&[
                "0x1.8000000000000p+1",
                "-0x0.0p+0",
                "nan",
                "inf",
                "-inf",
                "0x1.fffffffffffffp+1023",
                "0x1.0000000000000p+63",
                "0x0.0000000000001p-1022",
            ]);
            json!({"t": kind, "v": text})
        }
        "str" => {
            let text = random.pick(&["", "a", "12", "-7_0", "abcabc", "nan", "text"]);
            json!({"t": kind, "v": text})
        }
        // Strings that are not ASCII, of each width.
        "wide" => json!({"t": "str", "v": random.pick(&["é", "aé", "ab€", "x\u{1f600}"])}),
        "bytes" => json!({"t": kind, "v": random.pick(&["", "00", "616263", "ff80"])}),
        "dict" => {
            let items: Vec<[usize; 2]> = (0..random.below(4))
                .map(|_| [random.below(values), random.below(values)])
                .collect();
            json!({"t": kind, "items": items})
        }
        "method_descriptor" => {
            let name = random.pick(&[
                "list.append",
                "list.pop",
                "list.sort",
                "dict.get",
                "dict.setdefault",
                "dict.items",
                "set.add",
                "str.join",
                "str.split",
                "str.replace",
                "str.format",
                "int.to_bytes",
                "float.hex",
                "bytes.decode",
                "tuple.index",
            ]);
            json!({"t": kind, "name": name})
        }
        "module_function" => {
            let name = random.pick(&[
                "math.sqrt",
                "math.gcd",
                "math.floor",
                "math.fsum",
                "math.log",
            ]);
            json!({"t": kind, "name": name})
        }
        "list" | "tuple" | "set" | "frozenset" => {
            let items: Vec<usize> = (0..random.below(4)).map(|_| random.below(values)).collect();
            json!({"t": kind, "items": items})
        }
        "range" => {
            let step = random.pick(&[
                "1",
                "-1",
                "3",
                "-9223372036854775808",
                "18446744073709551616",
            ]);
            let stop = if random.one_in(40) {
                some_int(random)
            } else {
                "300"
            };
            json!({"t": kind, "start": random.pick(&["0", "-5", "1000"]), "stop": stop, "step": step})
        }
        "range_iterator" => {
            let rows = if random.one_in(20) { 6 } else { 5 };
            let row = random.below(rows);
            let [start, step, len] = [
                ["0", "1", "3"],
                ["0", "1", "0"],
                ["5", "-2", "200"],
                ["9223372036854775800", "1", "7"],
                ["-9223372036854775808", "9223372036854775807", "2"],
                ["0", "1", "9223372036854775807"],
            ][row];
            json!({"t": kind, "start": start, "step": step, "len": len})
        }
        "list_iterator" | "tuple_iterator" | "str_ascii_iterator" => {
            let seq = match random.below(4) {
                0 => Json::Null,
                _ => json!(random.below(values)),
            };
            let index = [0, 0, 0, 1, 5, i64::MAX][random.below(6)];
            json!({"t": kind, "seq": seq, "index": index})
        }
        "function" => json!({"t": kind, "name": "f", "code": 0}),
        "type" => {
            let name = random.pick(&[
                "object",
                "type",
                "bool",
                "int",
                "float",
                "str",
                "list",
                "tuple",
                "range",
                "slice",
                "dict",
                "set",
                "frozenset",
                "bytes",
                "enumerate",
                "zip",
                "reversed",
            ]);
            json!({"t": kind, "name": name})
        }
        "builtin" => {
            let name = random.pick(&[
                "abs",
                "all",
                "any",
                "ascii",
                "bin",
                "callable",
                "chr",
                "divmod",
                "hex",
                "isinstance",
                "iter",
                "len",
                "len",
                "max",
                "min",
                "next",
                "oct",
                "ord",
                "pow",
                "print",
                "repr",
                "round",
                "sorted",
                "sum",
            ]);
            json!({"t": kind, "name": name})
        }
        _ => json!({"t": "none"}),
    }
}

fn some_int(random: &mut Random) -> &'static str {
    random.pick(&[
        "0",
        "1",
        "-1",
        "2",
        "3",
        "7",
        "-13",
        "63",
        "64",
        "65535",
        "1073741823",
        "1073741824",
        "-1073741824",
        "4294967295",
        "9223372036854775807",
        "-9223372036854775808",
        "9223372036854775808",
        "-18446744073709551616",
        "340282366920938463463374607431768211457",
    ])
}

// ---- Documents made from nothing ----------------------------------------------------------------------------------

/// Values of each kind, then some of any.
const VALUES: usize = 50;
const STACK_SIZE: usize = 9;

/// Makes executors of uops that find what they need on the stack, more often than not.
struct Generator<'a> {
    random: &'a mut Random,
    ops: &'a [String],
    /// The kinds of the document's values.
    values: Vec<&'static str>,
    consts: usize,
    executor: usize,
    executors: usize,
    uops: Vec<Json>,
    /// Where uops leave to.
    exits: Vec<Json>,
    /// Kinds of what is on the stack, `""` for a NULL.
    stack: Vec<&'static str>,
    locals: Vec<&'static str>,
}

impl<'a> Generator<'a> {
    /// A tame document has no lists that lead back to themselves and makes none.
    fn document(random: &mut Random, ops: &[String], pattern: &Json, is_tame: bool) -> Json {
        let is_allowed = |op: &&String| !is_tame || !may_make_cycles(op);
        let ops: Vec<String> = ops.iter().filter(is_allowed).cloned().collect();
        let mut json = pattern.clone();
        // Number 0 is the function that runs.
        let mut kinds = vec!["function"];
        kinds.extend(KINDS);
        while kinds.len() < VALUES {
            kinds.push(random.pick(&KINDS));
        }
        json["values"] = (0..VALUES)
            .map(|index| good_value(random, index, &kinds, is_tame))
            .collect();
        json["globals"] = json!({});
        let locals: Vec<Json> = (0..3 + random.below(7))
            .map(|_| index_or_null(random, VALUES))
            .collect();
        let stack: Vec<usize> = (0..random.below(3)).map(|_| random.below(VALUES)).collect();
        let consts: Vec<usize> = (0..4).map(|_| random.below(VALUES)).collect();
        let names: Vec<String> = (0..locals.len()).map(|local| format!("v{local}")).collect();
        json["codes"] = json!([{"name": "f", "argcount": 0, "kwonly": 0, "varargs": false, "nlocalsplus": names.len(),
            "stacksize": STACK_SIZE, "varnames": names, "names": ATTRIBUTES, "consts": consts, "instructions": []}]);
        let executors = 1 + random.below(3);
        let kind = |value: &Json| value.as_u64().map_or("", |value| kinds[value as usize]);
        let made: Vec<Json> = (0..executors)
            .map(|executor| {
                let mut generator = Generator {
                    random,
                    ops: &ops,
                    values: kinds.clone(),
                    consts: consts.len(),
                    executor,
                    executors,
                    uops: Vec::new(),
                    exits: Vec::new(),
                    stack: stack.iter().map(|&value| kinds[value]).collect(),
                    locals: locals.iter().map(kind).collect(),
                };
                generator.run();
                generator.finish()
            })
            .collect();
        json["executors"] = json!(made);
        json["state_in"] = json!({"code": 0, "function": 0, "locals": locals, "stack": stack});
        complete(&mut json);
        json
    }

    fn run(&mut self) {
        let entry = self.stack.len();
        let itself = json!({"kind": "executor", "executor": self.executor});
        self.push_uop("_START_EXECUTOR", 0, itself);
        if !self.random.one_in(50) {
            self.push_uop("_TIER2_RESUME_CHECK", 0, Json::Null);
        }
        for _ in 0..1 + self.random.below(25) {
            self.step();
        }
        while self.stack.len() > entry {
            match self.stack.last() {
                Some(&"") => self.push_uop("_STORE_FAST_0", 0, Json::Null),
                _ => self.push_uop("_POP_TOP", 0, Json::Null),
            }
        }
        while self.stack.len() < entry {
            self.push_value("int");
        }
        match self.random.below(4) {
            0 => {
                self.push_uop("_EXIT_TRACE", 0, Json::Null);
                let to = index_or_null(self.random, self.executors);
                if let Some(uop) = self.uops.last_mut() {
                    uop["exit"]["executor"] = to;
                }
            }
            _ => self.push_uop("_JUMP_TO_TOP", 0, Json::Null),
        }
    }

    /// What uops leave to stands behind the others.
    fn finish(mut self) -> Json {
        let base = self.uops.len() as i64;
        retarget(&mut self.uops, 0, base);
        self.uops.append(&mut self.exits);
        json!({"id": self.executor, "code": 0, "uops": self.uops})
    }

    fn step(&mut self) {
        match self.random.below(12) {
            0 | 1 if self.stack.len() < STACK_SIZE => {
                let kind = self.random.pick(&KINDS);
                self.push_value(kind);
            }
            2 | 3 => {
                let op = self.random.pick(&[
                    "_COPY",
                    "_SWAP",
                    "_POP_TOP",
                    "_STORE_FAST",
                    "_STORE_FAST",
                    "_STORE_FAST",
                    "_LOAD_FAST",
                    "_LOAD_FAST",
                    "_LOAD_FAST_AND_CLEAR",
                    "_LOAD_FAST_CHECK",
                    "_DELETE_FAST",
                    "_PUSH_NULL",
                ]);
                self.operation(op);
            }
            _ => {
                let op = &self.ops[self.random.below(self.ops.len())];
                let wanted = wanted(self.random, op);
                if self.random.below(4) != 0 && self.stack.len() + wanted.len() < STACK_SIZE {
                    wanted.iter().for_each(|kind| self.push_value(kind));
                }
                self.operation(op);
            }
        }
    }

    /// Pushes a value of this kind, `"any"` being any, `""` a NULL.
    fn push_value(&mut self, kind: &'static str) {
        if kind.is_empty() {
            return self.push_uop("_PUSH_NULL", 0, Json::Null);
        }
        let local = self.random.below(self.locals.len());
        if kind == "any" || self.locals[local] == kind && self.random.one_in(2) {
            let index = if self.locals[local].is_empty() {
                0
            } else {
                local
            };
            if !self.locals[index].is_empty() {
                return self.push_uop("_LOAD_FAST", index, Json::Null);
            }
        }
        let fitting: Vec<usize> = (1..self.values.len())
            .filter(|&value| self.values[value] == kind)
            .collect();
        let value = match fitting.len() {
            0 => self.random.below(self.values.len()),
            count => fitting[self.random.below(count)],
        };
        self.push_uop(
            "_LOAD_CONST_INLINE",
            0,
            json!({"kind": "object", "value": value}),
        );
    }

    /// Pushes a uop if the stack allows it, and sometimes if it does not.
    fn operation(&mut self, op: &str) {
        let reckless = self.random.one_in(300);
        let is_out_of_place = |op| uops::is_terminal(op) || ONLY_IN_CALLS.contains(&op);
        let Some(facts) =
            uops::facts(op).filter(|_| !is_out_of_place(uops::without_number(op)) || reckless)
        else {
            return;
        };
        let oparg = oparg(self.random, op, self.locals.len(), self.consts);
        let popped = facts.effect.popped.of(oparg as u32) as usize;
        let pushed = facts.effect.pushed.of(oparg as u32) as usize;
        let depth = self.stack.len();
        let fits = popped <= depth && depth - popped + pushed <= STACK_SIZE;
        let takes_nulls =
            matches!(uops::without_number(op), "_STORE_FAST" | "_SWAP") || op.starts_with("_CALL_");
        let nulls = fits && !takes_nulls && self.stack[depth - popped..].contains(&"");
        let access = uops::local_access(op);
        let local = self.locals.get(oparg);
        if access.is_some() && local.is_none() {
            return;
        }
        let unbound = access == Some(LocalAccess::Load) && local == Some(&"");
        if !reckless && (!fits || nulls || unbound) {
            return;
        }
        let values = self.values.len();
        let operand = operand(self.random, op, self.executor, random_value(values));
        self.push_uop(op, oparg, operand);
    }

    /// Pushes a uop, with the exits that it needs, and follows its effect.
    fn push_uop(&mut self, op: &str, oparg: usize, operand: Json) {
        let made = uop(
            op,
            oparg,
            operand.clone(),
            self.exits.len(),
            self.exits.len() + 1,
        );
        self.uops.push(made);
        self.exits.push(deopt());
        let error_pop = popped_on_error(op, oparg).unwrap_or(0);
        self.exits.push(error_pop_n(error_pop));
        let Some(facts) = uops::facts(op) else { return };
        let popped = facts.effect.popped.of(oparg as u32) as usize;
        let pushed = facts.effect.pushed.of(oparg as u32) as usize;
        let depth = self.stack.len();
        if popped > depth {
            return;
        }
        match (op, uops::local_access(op)) {
            (_, Some(LocalAccess::Load | LocalAccess::LoadChecked)) => {
                self.stack.push(self.locals[oparg]);
            }
            (_, Some(LocalAccess::LoadAndClear)) => {
                self.stack.push(std::mem::take(&mut self.locals[oparg]));
            }
            (_, Some(LocalAccess::Store)) => {
                self.locals[oparg] = self.stack.pop().unwrap_or_default();
            }
            (_, Some(LocalAccess::Delete)) => self.locals[oparg] = "",
            ("_COPY", _) => self.stack.push(self.stack[depth - oparg]),
            ("_SWAP", _) => self.stack.swap(depth - 1, depth - oparg),
            ("_PUSH_NULL", _) => self.stack.push(""),
            _ if popped == pushed && pushed > 0 && op.contains("CHECK") | op.contains("GUARD") => {}
            ("_LIST_APPEND" | "_LIST_EXTEND", _) => drop(self.stack.pop()),
            _ if op.starts_with("_ITER_NEXT") || op == "_FOR_ITER_TIER_TWO" || op == "_GET_LEN" => {
                self.stack.push("int");
            }
            _ => {
                self.stack.truncate(depth - popped);
                let constant = operand["value"]
                    .as_u64()
                    .map(|value| self.values[value as usize]);
                let result = constant.unwrap_or_else(|| result(op));
                self.stack.extend(vec![result; pushed.min(STACK_SIZE)]);
                if op.ends_with("_WITH_NULL")
                    && let Some(top) = self.stack.last_mut()
                {
                    *top = "";
                }
            }
        }
    }
}

/// Whether a list may get into itself.
fn may_make_cycles(op: &str) -> bool {
    [
        "_LIST_", "_STORE_S", "_DICT_", "_MAP_ADD", "_STORE_ATTR", "_STORE_DEREF", "_STORE_GLOBAL",
    ]
    .iter()
    .any(|prefix| op.starts_with(prefix))
        // Methods such as list.append.
        || op.starts_with("_CALL_METHOD_DESCRIPTOR")
        || op == "_CALL_NON_PY_GENERAL"
        || op == "_BINARY_OP"
}

/// A value that is consistent with the kinds of the others.
fn good_value(random: &mut Random, index: usize, kinds: &[&str], is_tame: bool) -> Json {
    let kind = kinds[index];
    let is_of_earlier = ["tuple", "frozenset"].contains(&kind) || is_tame || !random.one_in(8);
    let values = if is_of_earlier { index } else { kinds.len() };
    let mut value = value_of(random, kind, values);
    // What is hashed is a string or a number, more often than not.
    if ["set", "frozenset", "dict"].contains(&kind) {
        let is_key = |index: usize| ["int", "str", "float", "bool", "none"].contains(&kinds[index]);
        let keys: Vec<usize> = (0..index).filter(|&index| is_key(index)).collect();
        for item in value["items"].as_array_mut().into_iter().flatten() {
            let key = if item.is_array() { &mut item[0] } else { item };
            if let Some(&fitting) = keys.get(random.below(keys.len())) {
                *key = json!(fitting);
            }
        }
    }
    if let Some((sequence, _)) = kind.split_once("_iterator")
        && let Some(seq) = value["seq"].as_u64()
    {
        let sequence = if sequence == "str_ascii" {
            "str"
        } else {
            sequence
        };
        let fitting = (0..=seq as usize)
            .rev()
            .find(|&index| kinds[index] == sequence);
        value["seq"] = json!(fitting);
    }
    value
}

/// The kinds of operands, the lowest first, with which a uop gets somewhere.
fn wanted(random: &mut Random, op: &str) -> Vec<&'static str> {
    let number = random.pick(&["int", "float", "bool"]);
    let sequence = random.pick(&["list", "tuple", "str", "range", "wide"]);
    let string = random.pick(&["str", "wide"]);
    let iterator = random.pick(&[
        "range_iterator",
        "list_iterator",
        "tuple_iterator",
        "str_ascii_iterator",
    ]);
    let null_or_argument = random.pick(&["", "", "list", "int"]);
    match op {
        _ if op.ends_with("BOTH_INT") || op.starts_with("_BINARY_OP_") && op.ends_with("_INT") => {
            vec!["int", "int"]
        }
        "_COMPARE_OP_INT" | "_GUARD_NOS_INT" => vec!["int", "int"],
        "_COMPARE_OP_FLOAT" | "_GUARD_BOTH_FLOAT" | "_GUARD_NOS_FLOAT" => vec!["float", "float"],
        _ if op.starts_with("_BINARY_OP_") && op.ends_with("_FLOAT") => vec!["float", "float"],
        "_COMPARE_OP_STR" | "_BINARY_OP_ADD_UNICODE" | "_GUARD_BOTH_UNICODE" => vec![string, "str"],
        "_BINARY_OP" | "_COMPARE_OP" if random.one_in(2) => {
            vec![number, random.pick(&["int", "float"])]
        }
        "_BINARY_OP" if random.one_in(2) => vec![sequence, random.pick(&["int", sequence])],
        "_COMPARE_OP" | "_CONTAINS_OP" => vec![sequence, sequence],
        "_BINARY_SUBSCR_DICT" | "_DELETE_SUBSCR" if random.one_in(2) => vec!["dict", "str"],
        "_BINARY_SUBSCR_DICT" => vec!["dict", "int"],
        "_STORE_SUBSCR_DICT" => vec!["any", "dict", "str"],
        "_CONTAINS_OP_DICT" => vec!["int", "dict"],
        "_CONTAINS_OP_SET" => vec!["int", random.pick(&["set", "frozenset"])],
        "_DICT_UPDATE" | "_DICT_MERGE" => vec!["dict", "any", "any", "dict", "dict", "dict"],
        "_MAP_ADD" => vec!["dict", "str", "any"],
        "_SET_ADD" => vec!["set", "int"],
        "_SET_UPDATE" => vec!["set", random.pick(&[sequence, "frozenset"])],
        "_BUILD_MAP" => vec!["str", "any", "int", "any", "str", "any"],
        "_BUILD_CONST_KEY_MAP" => vec!["any", "tuple"],
        "_FORMAT_WITH_SPEC" => vec![number, "str"],
        "_MATCH_KEYS" => vec!["dict", "tuple"],
        _ if op.starts_with("_CALL_METHOD_DESCRIPTOR") => {
            vec![
                "method_descriptor",
                random.pick(&["list", "dict", "str", "set"]),
                "int",
                "str",
            ]
        }
        "_BINARY_SUBSCR_LIST_INT" => vec!["list", "int"],
        "_BINARY_SUBSCR_TUPLE_INT" => vec!["tuple", "int"],
        "_BINARY_SUBSCR_STR_INT" => vec![string, "int"],
        "_BINARY_SUBSCR" | "_DELETE_SUBSCR" => vec![sequence, "int"],
        "_BINARY_SLICE" => vec![sequence, "int", "int"],
        "_STORE_SLICE" => vec![sequence, "list", "int", "int"],
        "_STORE_SUBSCR" | "_STORE_SUBSCR_LIST_INT" => vec!["any", "list", "int"],
        "_LIST_APPEND" | "_LIST_EXTEND" => vec!["list", random.pick(&[sequence, iterator])],
        "_BUILD_STRING" => vec!["str", string, "str"],
        "_GET_ITER" | "_GET_LEN" => vec![sequence],
        "_FOR_ITER_TIER_TWO" => vec![iterator],
        _ if op.ends_with("_RANGE") => vec!["range_iterator"],
        "_ITER_CHECK_LIST" | "_GUARD_NOT_EXHAUSTED_LIST" | "_ITER_NEXT_LIST" => {
            vec!["list_iterator"]
        }
        "_ITER_CHECK_TUPLE" | "_GUARD_NOT_EXHAUSTED_TUPLE" | "_ITER_NEXT_TUPLE" => {
            vec!["tuple_iterator"]
        }
        _ if op.starts_with("_UNPACK_SEQUENCE") => vec![random.pick(&["tuple", "list"])],
        "_CALL_BUILTIN_CLASS" => vec!["type", null_or_argument, sequence, "int", "int"],
        _ if op.starts_with("_CALL_") => vec!["builtin", null_or_argument, sequence, number],
        "_UNARY_NOT" | "_TO_BOOL_BOOL" => vec!["bool"],
        "_GUARD_IS_TRUE_POP" | "_GUARD_IS_FALSE_POP" => vec!["bool"],
        "_TO_BOOL_INT" | "_GUARD_TOS_INT" | "_UNARY_INVERT" | "_UNARY_NEGATIVE" => vec!["int"],
        "_TO_BOOL_LIST" => vec!["list"],
        "_TO_BOOL_STR" => vec!["str"],
        "_GUARD_TOS_FLOAT" => vec!["float"],
        _ => vec!["any", "any"],
    }
}

/// The kind of what a uop makes, as far as it matters.
fn result(op: &str) -> &'static str {
    match op {
        _ if op.starts_with("_BINARY_OP") && op.ends_with("FLOAT") => "float",
        "_BINARY_OP_ADD_UNICODE" | "_BUILD_STRING" | "_FORMAT_SIMPLE" | "_CONVERT_VALUE" => "str",
        "_BUILD_LIST" => "list",
        "_BUILD_TUPLE" => "tuple",
        _ if op.contains("COMPARE") || op.contains("BOOL") || op.starts_with("_IS_") => "bool",
        "_CONTAINS_OP" | "_UNARY_NOT" | "_REPLACE_WITH_TRUE" => "bool",
        "_GET_ITER" => "list_iterator",
        _ => "int",
    }
}
