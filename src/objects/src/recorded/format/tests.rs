//! What a document must be: one row for each way in which it can be wrong.

use super::*;
use crate::recorded::fixtures::{edited, trace, traces};
use serde_json::{Value as Json, json};

#[test]
fn all_traces_are_documents() {
    for (name, text) in traces() {
        let document = Document::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(document.program, name);
    }
}

#[test]
fn fields_are_where_they_belong() {
    let document = Document::parse(&trace("sum_squares")).unwrap();
    assert_eq!(document.entry.offset, 14);
    assert_eq!(
        document.codes[0].body.as_ref().unwrap().varnames,
        ["n", "total", "i"]
    );
    assert_eq!(
        document.codes[1],
        Code {
            name: "setup".to_owned(),
            body: None
        }
    );
    assert_eq!(document.globals["range"], 5);
    assert_eq!(
        document.executors[0].uops[0],
        Uop {
            op: "_START_EXECUTOR".to_owned(),
            oparg: 0,
            code: 0,
            target: None,
            jump_target: Some(14),
            error_target: None,
            exit: None,
            operand: Some(Operand::Executor(0)),
        }
    );
    assert_eq!(
        document.executors[0].uops[16].exit,
        Some(Exit {
            index: 1,
            target: 27,
            executor: None
        })
    );
    assert_eq!(document.values[1], Value::Int(20000.into()));
    assert_eq!(
        document.values[3],
        Value::RangeIterator {
            start: 0,
            step: 1,
            len: 20000
        }
    );
    assert_eq!(document.state_in.locals, [Some(1), Some(2), None]);
    assert_eq!(
        (document.expected.from, document.expected.values[0].origin),
        (Some(3), Some(0))
    );
    assert_eq!(document.stats.jump_to_top, [20000]);
}

/// What is wrong with a trace in which one place was changed, or removed.
fn message(name: &str, pointer: &str, value: Option<Json>) -> String {
    match Document::parse(&edited(name, &[(pointer, value.clone())])) {
        Ok(_) => panic!("{name} is still good with {value:?} at {pointer}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn missing_fields() {
    for (pointer, expected) in [
        ("/format", "format: missing, expected the format number"),
        (
            "/python",
            "python: missing, expected the version of CPython",
        ),
        (
            "/source",
            "source: missing, expected the text of the program",
        ),
        ("/entry", "entry: missing, expected an object"),
        (
            "/entry/arrival",
            "entry.arrival: missing, expected an integer",
        ),
        ("/codes/0/name", "codes[0].name: missing, expected a name"),
        (
            "/codes/0/stacksize",
            "codes[0].stacksize: missing, expected an integer",
        ),
        (
            "/codes/0/nlocalsplus",
            "codes[0].nlocalsplus: missing, expected an integer",
        ),
        ("/globals", "globals: missing, expected an object"),
        ("/executors", "executors: missing, expected the traces"),
        (
            "/executors/0/code",
            "executors[0].code: missing, expected a code",
        ),
        (
            "/executors/0/uops",
            "executors[0].uops: missing, expected the uops",
        ),
        (
            "/executors/0/uops/3/op",
            "executors[0].uops[3].op: missing, expected the name of a uop",
        ),
        (
            "/executors/0/uops/3/oparg",
            "executors[0].uops[3].oparg: missing, expected an integer",
        ),
        (
            "/executors/0/uops/3/jump_target",
            "executors[0].uops[3].jump_target: missing, expected where _GUARD_NOT_EXHAUSTED_RANGE leaves",
        ),
        (
            "/executors/0/uops/4/error_target",
            "executors[0].uops[4].error_target: missing, expected where _ITER_NEXT_RANGE raises an error",
        ),
        (
            "/executors/0/uops/14/target",
            "executors[0].uops[14].target: missing, expected where the interpreter goes on",
        ),
        (
            "/executors/0/uops/15/exit",
            "executors[0].uops[15].exit: missing, expected where _EXIT_TRACE leaves to",
        ),
        (
            "/executors/0/uops/15/exit/executor",
            "executors[0].uops[15].exit.executor: missing, expected an executor or null",
        ),
        (
            "/executors/0/uops/0/operand",
            "executors[0].uops[0].operand: missing, expected an operand of kind executor",
        ),
        (
            "/executors/0/uops/17/operand/kind",
            "executors[0].uops[17].operand.kind: missing, expected the kind of the operand",
        ),
        (
            "/executors/0/uops/17/operand/offset",
            "executors[0].uops[17].operand.offset: missing, expected a bytecode offset",
        ),
        (
            "/values/1/t",
            "values[1].t: missing, expected the kind of the value",
        ),
        ("/values/1/v", "values[1].v: missing, expected the value"),
        (
            "/values/3/len",
            "values[3].len: missing, expected a decimal integer",
        ),
        (
            "/state_in/function",
            "state_in.function: missing, expected a value",
        ),
        (
            "/expected/from_op",
            "expected.from_op: missing, expected the name of a uop or null",
        ),
        (
            "/expected/values",
            "expected.values: missing, expected the objects",
        ),
        (
            "/loop_iterations",
            "loop_iterations: missing, expected an integer",
        ),
        (
            "/stats/uops_reached",
            "stats.uops_reached: missing, expected a count per executor",
        ),
    ] {
        assert_eq!(message("sum_squares", pointer, None), expected);
    }
}

#[test]
fn wrong_types() {
    for (pointer, value, expected) in [
        (
            "/format",
            json!("1"),
            "format: found a string, expected an integer",
        ),
        (
            "/entry",
            json!([]),
            "entry: found an array, expected an object",
        ),
        (
            "/codes",
            json!({}),
            "codes: found an object, expected an array",
        ),
        (
            "/codes/0/varargs",
            json!(0),
            "codes[0].varargs: found an integer, expected a bool",
        ),
        (
            "/codes/0/varnames/1",
            json!(7),
            "codes[0].varnames[1]: found an integer, expected a string",
        ),
        (
            "/codes/0/instructions/2/1",
            json!(null),
            "codes[0].instructions[2][1]: found null, expected a string",
        ),
        (
            "/globals/range",
            json!("5"),
            "globals.range: found a string, expected an integer",
        ),
        (
            "/executors/0/uops/3",
            json!("uop"),
            "executors[0].uops[3]: found a string, expected an object",
        ),
        (
            "/executors/0/uops/3/oparg",
            json!(true),
            "executors[0].uops[3].oparg: found a bool, expected an integer",
        ),
        (
            "/executors/0/uops/3/oparg",
            json!(1.0),
            "executors[0].uops[3].oparg: found a number with a fraction or out of every range, expected an integer",
        ),
        (
            "/executors/0/uops/3/jump_target",
            json!(null),
            "executors[0].uops[3].jump_target: found null, expected an integer",
        ),
        (
            "/executors/0/uops/15/exit",
            json!(null),
            "executors[0].uops[15].exit: found null, expected an object",
        ),
        (
            "/executors/0/uops/0/operand",
            json!(5),
            "executors[0].uops[0].operand: found an integer, expected an object",
        ),
        (
            "/values/1/v",
            json!(20000),
            "values[1].v: found an integer, expected a string",
        ),
        (
            "/values/1",
            json!(null),
            "values[1]: found null, expected an object",
        ),
        (
            "/state_in/locals/0",
            json!("1"),
            "state_in.locals[0]: found a string, expected an integer",
        ),
        (
            "/expected/stack",
            json!(null),
            "expected.stack: found null, expected an array",
        ),
    ] {
        assert_eq!(message("sum_squares", pointer, Some(value)), expected);
    }
}

#[test]
fn indices_that_lead_nowhere() {
    for (name, pointer, value, expected) in [
        (
            "sum_squares",
            "/entry/executor",
            1,
            "entry.executor: found index 1, expected the index of one of 1 executors",
        ),
        (
            "sum_squares",
            "/entry/code",
            2,
            "entry.code: found index 2, expected the index of one of 2 codes",
        ),
        (
            "sum_squares",
            "/codes/0/consts/1",
            6,
            "codes[0].consts[1]: found index 6, expected the index of one of 6 values",
        ),
        (
            "sum_squares",
            "/globals/range",
            6,
            "globals.range: found index 6, expected the index of one of 6 values",
        ),
        (
            "sum_squares",
            "/executors/0/code",
            2,
            "executors[0].code: found index 2, expected the index of one of 2 codes",
        ),
        (
            "sum_squares",
            "/executors/0/uops/5/code",
            9,
            "executors[0].uops[5].code: found index 9, expected the index of one of 2 codes",
        ),
        (
            "sum_squares",
            "/executors/0/uops/3/jump_target",
            21,
            "executors[0].uops[3].jump_target: found index 21, expected the index of one of 21 uops",
        ),
        (
            "sum_squares",
            "/executors/0/uops/4/error_target",
            99,
            "executors[0].uops[4].error_target: found index 99, expected the index of one of 21 uops",
        ),
        (
            "sum_squares",
            "/executors/0/uops/15/exit/executor",
            1,
            "executors[0].uops[15].exit.executor: found index 1, expected the index of one of 1 executors",
        ),
        (
            "sum_squares",
            "/executors/0/uops/15/exit/index",
            3,
            "executors[0].uops[15].exit.index: found index 3, expected the index of one of 3 exits",
        ),
        (
            "sum_squares",
            "/executors/0/uops/0/operand/executor",
            4,
            "executors[0].uops[0].operand.executor: found index 4, expected the index of one of 1 executors",
        ),
        (
            "type_change",
            "/executors/0/uops/12/operand/value",
            5000,
            "executors[0].uops[12].operand.value: found index 5000, expected the index of one of 1210 values",
        ),
        (
            "method_call",
            "/executors/0/uops/14/operand/code",
            4,
            "executors[0].uops[14].operand.code: found index 4, expected the index of one of 4 codes",
        ),
        (
            "sum_squares",
            "/values/0/code",
            2,
            "values[0].code: found index 2, expected the index of one of 2 codes",
        ),
        (
            "type_change",
            "/values/1/items/7",
            1210,
            "values[1].items[7]: found index 1210, expected the index of one of 1210 values",
        ),
        (
            "dict_methods",
            "/expected/values/12/items/3/1",
            5000,
            "expected.values[12].items[3][1]: found index 5000, expected the index of one of 35 expected.values",
        ),
        (
            "method_call",
            "/values/1/attrs/1/1",
            13,
            "values[1].attrs[1][1]: found index 13, expected the index of one of 13 values",
        ),
        (
            "method_call",
            "/values/1/type",
            13,
            "values[1].type: found index 13, expected the index of one of 13 values",
        ),
        (
            "method_call",
            "/values/2/methods/0/1",
            13,
            "values[2].methods[0][1]: found index 13, expected the index of one of 13 values",
        ),
        (
            "char_scan",
            "/values/5/seq",
            15,
            "values[5].seq: found index 15, expected the index of one of 15 values",
        ),
        (
            "sum_squares",
            "/state_in/locals/0",
            6,
            "state_in.locals[0]: found index 6, expected the index of one of 6 values",
        ),
        (
            "sum_squares",
            "/state_in/stack/0",
            6,
            "state_in.stack[0]: found index 6, expected the index of one of 6 values",
        ),
        (
            "sum_squares",
            "/state_in/code",
            2,
            "state_in.code: found index 2, expected the index of one of 2 codes",
        ),
        (
            "sum_squares",
            "/state_in/function",
            6,
            "state_in.function: found index 6, expected the index of one of 6 values",
        ),
        (
            "sum_squares",
            "/expected/executor",
            1,
            "expected.executor: found index 1, expected the index of one of 1 executors",
        ),
        (
            "sum_squares",
            "/expected/uop",
            21,
            "expected.uop: found index 21, expected the index of one of 21 uops",
        ),
        (
            "sum_squares",
            "/expected/from",
            21,
            "expected.from: found index 21, expected the index of one of 21 uops",
        ),
        (
            "sum_squares",
            "/expected/locals/1",
            5,
            "expected.locals[1]: found index 5, expected the index of one of 5 expected.values",
        ),
        (
            "sum_squares",
            "/expected/values/4/in",
            6,
            "expected.values[4].in: found index 6, expected the index of one of 6 values",
        ),
        (
            "type_change",
            "/expected/values/1/items/0",
            9999,
            "expected.values[1].items[0]: found index 9999, expected the index of one of 1208 expected.values",
        ),
    ] {
        assert_eq!(message(name, pointer, Some(json!(value))), expected);
    }
}

#[test]
fn contradictions() {
    let rows = [
        (
            "sum_squares",
            "/format",
            json!(2),
            "format: found 2, expected 1",
        ),
        (
            "sum_squares",
            "/entry/offset",
            json!(-1),
            "entry.offset: found -1, expected an integer in 0..=4294967295",
        ),
        (
            "sum_squares",
            "/codes/0/stacksize",
            json!(65537),
            "codes[0].stacksize: found 65537, expected at most 65536, the largest stack",
        ),
        (
            "sum_squares",
            "/codes/0/nlocalsplus",
            json!(4),
            "codes[0].nlocalsplus: found 4, expected 3, the number of varnames",
        ),
        (
            "sum_squares",
            "/codes/0/argcount",
            json!(4),
            "codes[0].argcount, with kwonly and varargs: found 4, expected at most 3, the number of locals",
        ),
        (
            "sum_squares",
            "/codes/0/instructions/1",
            json!([1, "NOP"]),
            "codes[0].instructions[1]: found an array of 2, expected [offset, name, oparg]",
        ),
        (
            "sum_squares",
            "/executors/0/id",
            json!(1),
            "executors[0].id: found 1, expected 0, its position",
        ),
        (
            "sum_squares",
            "/executors/0/code",
            json!(1),
            "executors[0].code: found code 1, which has only a name, expected a code in use",
        ),
        (
            "sum_squares",
            "/executors/0/uops",
            json!([]),
            "executors[0].uops: found no uops, expected at least one",
        ),
        (
            "sum_squares",
            "/executors/0/uops/-",
            json!({"op": "_NOP", "oparg": 0}),
            "executors[0].uops[21].op: found _NOP, expected a uop that does not fall through, at the end",
        ),
        (
            "sum_squares",
            "/executors/0/uops",
            json!([{"op": "_JUMP_TO_TOP", "oparg": 0}]),
            "executors[0].uops[0].op: found _JUMP_TO_TOP, expected a second uop for it to jump to",
        ),
        (
            "sum_squares",
            "/executors/0/uops/0",
            json!({"op": "_ERROR_POP_N", "oparg": 0}),
            "executors[0].uops[0].op: found _ERROR_POP_N, expected a uop that may be reached without an error",
        ),
        (
            "sum_squares",
            "/executors/0/uops/3/op",
            json!(""),
            "executors[0].uops[3].op: found \"\", expected the name of a uop",
        ),
        (
            "sum_squares",
            "/executors/0/uops/3/oparg",
            json!(65536),
            "executors[0].uops[3].oparg: found 65536, expected an integer in 0..=65535",
        ),
        (
            "sum_squares",
            "/executors/0/uops/5/oparg",
            json!(1),
            "executors[0].uops[5].oparg: found 1, expected an integer in 2..=2 for _STORE_FAST_2",
        ),
        (
            "sum_squares",
            "/executors/0/uops/3/jump_target",
            json!(17),
            "executors[0].uops[3].jump_target: found 17 (_ERROR_POP_N), expected an _EXIT_TRACE or a _DEOPT",
        ),
        (
            "sum_squares",
            "/executors/0/uops/4/error_target",
            json!(16),
            "executors[0].uops[4].error_target: found 16 (_EXIT_TRACE), expected an _ERROR_POP_N",
        ),
        (
            "sum_squares",
            "/executors/0/uops/4/error_target",
            json!(18),
            "executors[0].uops[4].error_target -> oparg: found 2, expected 1, the values that _ITER_NEXT_RANGE leaves behind when it raises an error",
        ),
        (
            "sum_squares",
            "/executors/0/uops/5/jump_target",
            json!(14),
            "executors[0].uops[5].jump_target: found a target, expected none, _STORE_FAST_2 never leaves",
        ),
        (
            "sum_squares",
            "/executors/0/uops/5/error_target",
            json!(17),
            "executors[0].uops[5].error_target: found a target, expected none, _STORE_FAST_2 raises no error",
        ),
        (
            "sum_squares",
            "/executors/0/uops/5",
            json!({"op": "_NOP", "oparg": 0, "exit": {"index": 0, "target": 0, "executor": null}}),
            "executors[0].uops[5].exit: found an exit, expected none, _NOP is not an _EXIT_TRACE",
        ),
        (
            "sum_squares",
            "/executors/0/uops/15/exit/index",
            json!(1),
            "executors[0].uops[16].exit.index: found 1, expected a number that no other exit of the executor has",
        ),
        (
            "sum_squares",
            "/executors/0/uops/3/target",
            json!(3),
            "executors[0].uops[3]: found more than one of a target, a jump or error target and an exit, expected at most one",
        ),
        (
            "type_change",
            "/executors/0/uops/12/operand",
            json!({"kind": "offset", "offset": 3}),
            "executors[0].uops[12].operand.kind: found offset, expected object, which _LOAD_CONST_INLINE needs",
        ),
        (
            "gcd",
            "/executors/1/uops/0/operand/executor",
            json!(0),
            "executors[1].uops[0].operand.executor: found 0, expected 1, the executor that it is in",
        ),
        (
            "sum_squares",
            "/values/1/v",
            json!("0x10"),
            "values[1].v: found \"0x10\", expected a decimal integer",
        ),
        (
            "sum_squares",
            "/values/1/v",
            json!("-"),
            "values[1].v: found \"-\", expected a decimal integer",
        ),
        (
            "sum_squares",
            "/values/1/v",
            json!("9".repeat(4301)),
            "values[1].v: found 4301 digits, expected at most 4300 digits",
        ),
        (
            "sum_squares",
            "/values/3/start",
            json!("9223372036854775808"),
            "values[3].start: found \"9223372036854775808\", expected a decimal integer of 64 bits",
        ),
        (
            "sum_squares",
            "/values/3/step",
            json!("0"),
            "values[3].step: found 0, expected a step that is not zero",
        ),
        (
            "sum_squares",
            "/values/3/len",
            json!("-1"),
            "values[3].len: found -1, expected at least 0",
        ),
        (
            "sum_squares",
            "/values/3/start",
            json!("9223372036854755808"),
            "values[3].len: found 20000, which leads to 9223372036854775808, expected values of 64 bits",
        ),
        (
            "sum_squares",
            "/values/4",
            json!({"t": "float", "v": "0.5"}),
            "values[4].v: found \"0.5\", expected an exact hexadecimal float, as float.hex()",
        ),
        (
            "sum_squares",
            "/values/4",
            json!({"t": "bytes", "v": "00f"}),
            "values[4].v: found \"00f\", expected pairs of hexadecimal digits",
        ),
        (
            "sum_squares",
            "/values/4",
            json!({"t": "range", "start": "0", "stop": "9", "step": "0"}),
            "values[4].step: found 0, expected a step that is not zero",
        ),
        (
            "sum_squares",
            "/values/4",
            json!({"t": "tuple", "items": [1, 4]}),
            "values[4]: found a tuple that contains itself, expected every tuple to be made of earlier objects",
        ),
        (
            "sum_squares",
            "/values/4",
            json!({"t": "list_iterator", "seq": 1, "index": 0}),
            "values[4].seq: found value 1 (int), expected a value of kind list",
        ),
        (
            "sum_squares",
            "/values/4",
            json!({"t": "tuple_iterator", "seq": null, "index": -1}),
            "values[4].index: found -1, expected at least 0",
        ),
        (
            "char_scan",
            "/values/1/v",
            json!("h\u{e9}"),
            "values[5].seq: found \"h\u{e9}\", expected an ASCII str",
        ),
        (
            "method_call",
            "/values/1/type",
            json!(5),
            "values[1].type: found value 5 (int), expected a value of kind type",
        ),
        (
            "method_call",
            "/executors/0/uops/7/operand/value",
            json!(5),
            "executors[0].uops[7].operand.value: found value 5 (int), expected a value of kind type",
        ),
        (
            "method_call",
            "/executors/0/uops/15/operand/value",
            json!(2),
            "executors[0].uops[15].operand.value: found value 2 (type), expected a value of kind function",
        ),
        (
            "sum_squares",
            "/state_in/locals/-",
            json!(null),
            "state_in.locals: found 4 locals, expected 3 locals, as codes[0] has",
        ),
        (
            "sum_squares",
            "/state_in/stack",
            json!([3, 3, 3, 3, 3]),
            "state_in.stack: found 5, expected at most 4, the stack of its code",
        ),
        (
            "sum_squares",
            "/state_in/code",
            json!(1),
            "state_in.code: found 1, expected 0, the code of the entry",
        ),
        (
            "sum_squares",
            "/entry/code",
            json!(1),
            "entry.code: found 1, expected 0, the code of the entry executor",
        ),
        (
            "sum_squares",
            "/state_in/function",
            json!(1),
            "state_in.function: found value 1 (int), expected a value of kind function",
        ),
        (
            "method_call",
            "/state_in/function",
            json!(4),
            "state_in.function -> code: found 2, expected 0, the code of the frame",
        ),
        (
            "sum_squares",
            "/expected/uop",
            json!(3),
            "expected.op: found _EXIT_TRACE, expected _GUARD_NOT_EXHAUSTED_RANGE, as that uop says",
        ),
        (
            "sum_squares",
            "/expected/target",
            json!(26),
            "expected.target: found 26, expected 27, as that uop says",
        ),
        (
            "sum_squares",
            "/expected/from",
            json!(null),
            "expected.from_op: found \"_GUARD_NOT_EXHAUSTED_RANGE\", expected null, as `from` is",
        ),
        (
            "sum_squares",
            "/expected/from",
            json!(2),
            "expected.from_op: found _GUARD_NOT_EXHAUSTED_RANGE, expected _ITER_CHECK_RANGE, as that uop says",
        ),
        (
            "sum_squares",
            "/expected/values/4/in",
            json!(1),
            "expected.values[4].in: found value 1 (int), expected a value of kind range_iterator",
        ),
        (
            "sum_squares",
            "/expected/values/1",
            json!({"t": "tuple", "items": [1]}),
            "expected.values[1]: found a tuple that contains itself, expected every tuple to be made of earlier objects",
        ),
        (
            "sum_squares",
            "/stats/jump_to_top",
            json!([1, 2]),
            "stats.jump_to_top: found 2, expected 1, the number of executors",
        ),
    ];
    for (name, pointer, value, expected) in rows {
        assert_eq!(message(name, pointer, Some(value)), expected);
    }
}

#[test]
fn operands_of_keys_may_be_of_two_kinds() {
    let found = message(
        "method_call",
        "/executors/0/uops/9/operand/value",
        Some(json!(5)),
    );
    let expected = "found value 5 (int), expected a value of kind type or module";
    assert_eq!(
        found,
        format!("executors[0].uops[9].operand.value: {expected}")
    );
}

#[test]
fn syntax_errors_have_a_place() {
    for (text, line, column) in [
        ("", 1, 0),
        ("{\"format\": 1,\n \"python\" 3}", 2, 11),
        ("[1, 2", 1, 5),
        ("{} {}", 1, 4),
        ("{\"a\": \"\\q\"}", 1, 9),
    ] {
        match Document::parse(text) {
            Err(FormatError::Syntax {
                line: at,
                column: and,
                message,
            }) => {
                assert_eq!((at, and), (line, column), "{text}: {message}");
                assert!(
                    message.contains(&format!("line {line} column {column}")),
                    "{message}"
                );
            }
            other => panic!("{text:?}: {other:?}"),
        }
    }
}

#[test]
fn what_is_not_an_object_is_not_a_document() {
    for text in ["null", "3", "[]", "\"format\""] {
        let error = Document::parse(text).unwrap_err().to_string();
        assert!(error.starts_with("document: found "), "{error}");
    }
}

/// Every kind that the format lists, and one that it does not.
#[test]
fn all_kinds_of_value_are_read() {
    let values = [
        json!({"t": "none"}),
        json!({"t": "bool", "v": true}),
        json!({"t": "int", "v": "-170141183460469231731687303715884105728"}),
        json!({"t": "float", "v": "-0x1.8p+1"}),
        json!({"t": "str", "v": "\u{1f600}"}),
        json!({"t": "bytes", "v": "00ff"}),
        json!({"t": "list", "items": [6, 7]}),
        json!({"t": "tuple", "items": [6]}),
        json!({"t": "set", "items": [0]}),
        json!({"t": "dict", "items": [[0, 9]]}),
        json!({"t": "range", "start": "0", "stop": "-100000000000000000000", "step": "-1"}),
        json!({"t": "range_iterator", "start": "5", "step": "-2", "len": "3"}),
        json!({"t": "list_iterator", "seq": 6, "index": -1}),
        json!({"t": "tuple_iterator", "seq": 7, "index": 0}),
        json!({"t": "str_ascii_iterator", "seq": null, "index": 4}),
        json!({"t": "function", "name": "f", "code": 1}),
        json!({"t": "type", "name": "int"}),
        json!({"t": "type", "name": "C", "user": true, "methods": [["m", 15]], "inline_keys": ["a"]}),
        json!({"t": "type", "name": "D", "user": true, "methods": [], "slots": ["a"]}),
        json!({"t": "instance", "type": 17, "attrs": [["a", 19]]}),
        json!({"t": "builtin", "name": "len"}),
        json!({"t": "method_descriptor", "name": "list.append"}),
        json!({"t": "module", "name": "math"}),
        json!({"t": "module_function", "name": "math.sqrt"}),
        json!({"t": "method", "func": 15, "self": 19}),
        json!({"t": "generator", "frame": {}}),
    ];
    let mut edits: Vec<_> = values
        .iter()
        .map(|value| ("/values/-", Some(value.clone())))
        .collect();
    // The rows refer to each other by position.
    edits.insert(0, ("/values", Some(json!([]))));
    edits.extend([
        ("/state_in/locals", Some(json!([0, 0, 0]))),
        ("/state_in/stack", Some(json!([25]))),
        ("/state_in/function", Some(json!(25))),
        ("/codes/0/consts", Some(json!([]))),
        ("/globals", Some(json!({}))),
        ("/expected/locals", Some(json!([null, null, null]))),
        ("/expected/stack", Some(json!([]))),
        ("/expected/values", Some(json!([]))),
    ]);
    let document = Document::parse(&edited("sum_squares", &edits)).unwrap();
    for (value, json) in document.values.iter().zip(&values) {
        assert_eq!(value.kind(), json["t"]);
    }
    assert_eq!(document.values[4], Value::Str("\u{1f600}".to_owned()));
    assert_eq!(document.values[5], Value::Bytes(vec![0, 255]));
    assert_eq!(
        document.values[25],
        Value::Unknown {
            kind: "generator".to_owned()
        }
    );
}

#[test]
fn what_is_not_known_is_left_to_whoever_needs_it() {
    for (pointer, value) in [
        (
            "/executors/0/uops/0/operand",
            json!({"kind": "quantum", "state": 1}),
        ),
        ("/executors/0/uops/6/op", json!("_LOAD_MAGIC")),
        ("/comment", json!("ignored")),
        ("/entry/comment", json!({})),
        ("/executors/0/uops/6/comment", json!(null)),
        ("/values/1/comment", json!([1, [2]])),
    ] {
        Document::parse(&edited("sum_squares", &[(pointer, Some(value))])).unwrap();
    }
}

#[test]
fn mutable_objects_may_contain_themselves() {
    let values = [
        json!({"t": "list", "items": [4, 5]}),
        json!({"t": "tuple", "items": [4]}),
    ];
    let edits = [
        ("/values/4", Some(values[0].clone())),
        ("/values/5", Some(values[1].clone())),
    ];
    let document = Document::parse(&edited("sum_squares", &edits)).unwrap();
    let place = |value| {
        document
            .creation_order
            .iter()
            .position(|&made| made == value)
    };
    assert!(place(4) < place(5));
}

#[test]
fn deep_and_long_documents_are_refused_or_read_without_recursion() {
    assert!(matches!(
        Document::parse(&"[".repeat(1_000_000)),
        Err(FormatError::Syntax { .. })
    ));
    let chain = 30_000;
    let mut values: Vec<Json> = (0..chain)
        .map(|index| json!({"t": "tuple", "items": [index + 1]}))
        .collect();
    values.push(json!({"t": "none"}));
    let edits = [
        ("/expected/locals/0", Some(json!(0))),
        ("/expected/stack", Some(json!([]))),
        ("/expected/values", Some(Json::from(values.clone()))),
    ];
    Document::parse(&edited("sum_squares", &edits)).unwrap();
    // The last leads back to the first.
    values[chain - 1] = json!({"t": "tuple", "items": [0]});
    let error = Document::parse(&edited(
        "sum_squares",
        &[("/expected/values", Some(Json::from(values)))],
    ));
    assert!(matches!(error, Err(FormatError::Cycle { .. })), "{error:?}");
}
