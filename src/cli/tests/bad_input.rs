//! What the command says of bad input, and its exit code: 1 where the answer is no, 3 where there is no answer.

use mimeo::table::{StencilTable, refresh_checksum};
use serde_json::{Value as Json, json};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

const STANDARD_TABLE: &[u8] = include_bytes!("../../../ir-templates/tables/python.mimeo");

/// A directory with inputs, in which commands run.
struct Inputs(TempDir);

impl Inputs {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn put(&self, name: &str, contents: impl AsRef<[u8]>) {
        fs::write(self.0.path().join(name), contents).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mimeo"));
        command.args(arguments).current_dir(self.0.path());
        command
    }

    /// The exit code, what was printed, and what was said of failures.
    fn run(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let output = self.command(arguments).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    }
}

fn recorded(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/traces")
        .join(name)
}

fn sum_squares() -> Json {
    let text = fs::read_to_string(recorded("sum_squares.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// sum_squares with another value at a pointer, or without what is there.
fn edited(pointer: &str, value: Option<Json>) -> String {
    let mut json = sum_squares();
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    match (json.pointer_mut(parent).unwrap(), value) {
        (Json::Object(fields), Some(value)) => drop(fields.insert(last.to_owned(), value)),
        (Json::Object(fields), None) => drop(fields.remove(last).unwrap()),
        (Json::Array(items), Some(value)) => items[last.parse::<usize>().unwrap()] = value,
        (other, _) => panic!("{pointer}: {other}"),
    }
    json.to_string()
}

#[test]
fn traces_that_cannot_be_used() {
    let inputs = Inputs::new();
    for (pointer, value, expected) in [
        (
            "/executors/0/uops/8/op",
            Some(json!("_MAGIC")),
            "executors[0].uops[8].op: the table python has no uop _MAGIC",
        ),
        (
            "/executors/0/uops/2/jump_target",
            Some(json!(99)),
            "executors[0].uops[2].jump_target: found index 99, expected the index of one of 21 uops",
        ),
        (
            "/executors/0/uops/2/jump_target",
            Some(json!(8)),
            "executors[0].uops[2].jump_target: found 8 (_LOAD_FAST_2), expected an _EXIT_TRACE or a _DEOPT",
        ),
        (
            "/executors/0/uops/2/jump_target",
            None,
            "executors[0].uops[2].jump_target: missing, expected where _ITER_CHECK_RANGE leaves",
        ),
        (
            "/state_in/locals",
            Some(json!("total")),
            "state_in.locals: found a string, expected an array",
        ),
        (
            "/state_in/locals/1",
            Some(json!(null)),
            "executors[0].uops[6]: _LOAD_FAST_1 loads local 1 (total), which may be unbound",
        ),
        (
            "/values/1",
            Some(json!({"t": "dict", "items": []})),
            "expected.values[1].in: found value 1 (dict), expected a value of kind int",
        ),
        (
            "/values/2",
            Some(json!({"t": "int", "v": "many"})),
            "values[2].v: found \"many\", expected a decimal integer",
        ),
        (
            "/executors/0/uops/7",
            Some(
                json!({"op": "_LOAD_CONST_INLINE", "oparg": 0, "operand": {"kind": "object", "value": 4}}),
            ),
            "executors[0].uops[9]: it takes for granted a value that was another when it ran: \
             expected int at depth 1",
        ),
        (
            "/executors/0/uops/0",
            Some(json!({"op": "_UNARY_NOT", "oparg": 0})),
            "executors[0].uops[0]: _UNARY_NOT takes its operands for granted where the trace starts, \
             expected _START_EXECUTOR",
        ),
    ] {
        inputs.put("trace.json", edited(pointer, value));
        let (code, printed, said) = inputs.run(&["run", "trace.json"]);
        assert_eq!(
            said,
            format!("error: trace.json: {expected}\n"),
            "{pointer}"
        );
        assert_eq!((code, printed.as_str()), (Some(3), ""), "{pointer}");
    }
}

#[test]
fn files_that_are_no_traces() {
    let inputs = Inputs::new();
    let trace = fs::read(recorded("sum_squares.json")).unwrap();
    inputs.put("empty.json", "");
    inputs.put("prose.json", "Dear reader,");
    inputs.put("truncated.json", &trace[..500]);
    inputs.put("latin1.json", b"{\"format\": \"\xe9\"}");
    inputs.put("number.json", "7");
    inputs.put("other.json", "{\"format\": 2}");
    for (name, expected) in [
        ("empty.json", "the file is empty, expected a recorded trace"),
        ("prose.json", "not JSON: expected value at line 1 column 1"),
        (
            "truncated.json",
            "not JSON: EOF while parsing a value at line 8 column 87",
        ),
        ("latin1.json", "not JSON: byte 12 is not UTF-8"),
        (
            "number.json",
            "document: found an integer, expected an object",
        ),
        ("other.json", "format: found 2, expected 1"),
        ("missing.json", "No such file or directory (os error 2)"),
        (".", "Is a directory (os error 21)"),
    ] {
        let (code, printed, said) = inputs.run(&["run", name]);
        assert_eq!(said, format!("error: {name}: {expected}\n"));
        assert_eq!((code, printed.as_str()), (Some(3), ""), "{name}");
    }
}

#[test]
fn traces_that_end_otherwise() {
    let inputs = Inputs::new();
    for (pointer, value, expected) in [
        (
            "/expected/values/2/v",
            json!("1"),
            "local 1 (total): expected int 1, found int 2666466670000",
        ),
        (
            "/expected/stack",
            json!([]),
            "depth of the stack: expected 0, found 1",
        ),
        (
            "/values/3",
            json!({"t": "range_iterator", "start": "0", "step": "1", "len": "20"}),
            "local 1 (total): expected int 2666466670000, found int 2470",
        ),
    ] {
        inputs.put("trace.json", edited(pointer, Some(value)));
        let (code, printed, said) = inputs.run(&["run", "trace.json"]);
        let result = printed.lines().nth(1).unwrap_or_default();
        assert!(
            result.starts_with("trace ") && result.ends_with(expected),
            "{pointer}: {result}"
        );
        assert_eq!((code, said.as_str()), (Some(1), ""), "{pointer}");
    }
}

/// What can be run is run, and printed before what is said of the others.
#[test]
fn good_and_bad_traces_together() {
    let inputs = Inputs::new();
    inputs.put("good.json", sum_squares().to_string());
    inputs.put(
        "differs.json",
        edited("/expected/values/2/v", Some(json!("1"))),
    );
    inputs.put(
        "unknown.json",
        edited("/executors/0/uops/8/op", Some(json!("_MAGIC"))),
    );
    let names = [
        "unknown.json",
        "good.json",
        "missing.json",
        "differs.json",
        "good.json",
    ];
    let (code, printed, said) = inputs.run(&[&["run", "--repeat", "1"][..], &names].concat());
    let lines: Vec<&str> = printed
        .lines()
        .map(|line| line.split(' ').next().unwrap_or_default())
        .collect();
    assert_eq!(lines, ["trace", "good", "differs", "good"]);
    assert_eq!(
        said,
        "error: unknown.json: executors[0].uops[8].op: the table python has no uop _MAGIC\n\
         error: missing.json: No such file or directory (os error 2)\n\
         error: 2 of the inputs could not be used\n"
    );
    assert_eq!(code, Some(3));
    let (code, ..) = inputs.run(&[
        "run",
        "--repeat",
        "1",
        "good.json",
        "differs.json",
        "good.json",
    ]);
    assert_eq!(code, Some(1));
}

#[test]
fn json_is_an_object_a_line() {
    let inputs = Inputs::new();
    inputs.put("good.json", sum_squares().to_string());
    inputs.put(
        "differs.json",
        edited("/expected/values/2/v", Some(json!("1"))),
    );
    for (arguments, names) in [
        (
            &[
                "run",
                "--format",
                "json",
                "good.json",
                "absent.json",
                "differs.json",
            ][..],
            &["good", "differs"][..],
        ),
        (&["inspect", "--format", "json"], &["python"]),
        (
            &["inspect", "--format", "json", "_NOP", "_NOP"],
            &["python"],
        ),
    ] {
        let (_, printed, _) = inputs.run(arguments);
        let found: Vec<String> = printed
            .lines()
            .map(|line| serde_json::from_str::<Json>(line).unwrap())
            .map(|object| {
                object
                    .get("trace")
                    .unwrap_or(&object["set"])
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect();
        assert_eq!(found, names);
    }
}

/// The standard table with a change, and with the checksum that then is right.
fn changed(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = STANDARD_TABLE.to_vec();
    change(&mut bytes);
    refresh_checksum(&mut bytes);
    bytes
}

/// Tables that keep the rules, but were not made from the templates of the program that looks at them.
#[test]
fn stale_tables_are_told_without_llvm() {
    const SOURCES: std::ops::Range<usize> = 80..112;
    let inputs = Inputs::new();
    let good = STANDARD_TABLE.to_vec();
    let stale = changed(|bytes| bytes[SOURCES.start] ^= 1);
    // The digest of the IR, which nobody can ask for without LLVM.
    let other = changed(|bytes| bytes[SOURCES.start - 1] ^= 1);
    let unknown = changed(|bytes| bytes[SOURCES].fill(0));
    let foreign = {
        let table = StencilTable::from_static(STANDARD_TABLE).unwrap();
        let set = table.set().as_bytes();
        let mut strings = STANDARD_TABLE.windows(set.len());
        let place = strings.rposition(|text| text == set).unwrap();
        changed(|bytes| bytes[place..place + set.len()].copy_from_slice(b"cobras"))
    };
    let digest: String = stale[SOURCES]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    for (table, code, expected) in [
        (
            good,
            0,
            "table python, LLVM 19.1.7, made from this mimeo's templates",
        ),
        (
            other,
            0,
            "it says that it was made from this mimeo's templates, but it is not the table that this mimeo has",
        ),
        (
            stale,
            1,
            &*format!("stale: made from templates whose source has the digest {digest}"),
        ),
        (unknown, 1, "it does not say what it was made from"),
        (
            foreign,
            0,
            "table cobras, LLVM 19.1.7, of a set that is not this mimeo's",
        ),
    ] {
        inputs.put("table.mimeo", table);
        let (found, printed, said) = inputs.run(&["verify", "table.mimeo"]);
        assert!(printed.contains(expected), "{printed}");
        assert!(printed.contains("230 of 230 uops"), "{printed}");
        assert_eq!((found, said.as_str()), (Some(code), ""));
        // Who runs a table is told, too.
        let trace = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/traces/gcd.json");
        let (_, _, said) = inputs.run(&["run", "--repeat", "1", "--table", "table.mimeo", trace]);
        let origin = expected.split(", ").last().unwrap();
        let is_own = expected.ends_with("made from this mimeo's templates");
        assert_eq!(said.contains(origin), !is_own, "{said}");
    }
}

#[test]
fn tables_that_cannot_be_used() {
    let inputs = Inputs::new();
    let length = STANDARD_TABLE.len();
    let mut flipped = STANDARD_TABLE.to_vec();
    flipped[length / 2] ^= 4;
    inputs.put("good.json", sum_squares().to_string());
    for (table, expected) in [
        (Vec::new(), "the file has 0 bytes, expected 208: "),
        (
            STANDARD_TABLE[..100].to_vec(),
            "the file has 100 bytes, expected 208: ",
        ),
        (
            STANDARD_TABLE[..length - 1].to_vec(),
            "it is truncated or has something appended",
        ),
        (
            [STANDARD_TABLE, b"\n"].concat(),
            "it is truncated or has something appended",
        ),
        (flipped, "the file is damaged"),
        (
            changed(|bytes| bytes[0] = b'm'),
            "not a stencil table: it starts with",
        ),
        (
            changed(|bytes| bytes[8] = 4),
            "stencil table of format version 4, this library reads version 3",
        ),
        (changed(|bytes| bytes[28] = 10), "the table is for"),
    ] {
        inputs.put("table.mimeo", table);
        for arguments in [
            &["verify", "table.mimeo"][..],
            &["inspect", "--table", "table.mimeo"],
            &["run", "--table", "table.mimeo", "good.json"],
        ] {
            let (code, printed, said) = inputs.run(arguments);
            assert!(
                said.starts_with("error: table.mimeo: ") && said.contains(expected),
                "{arguments:?}: {said}"
            );
            assert_eq!((code, printed.as_str()), (Some(3), ""), "{arguments:?}");
        }
    }
}

/// The bytes are those of a table, and nothing but the rules for stencils tells that they must not run.
#[test]
fn tables_with_a_stencil_that_breaks_a_rule() {
    const LOAD_FAST_1: [u8; 5] = [0x49, 0x8b, 0x44, 0x24, 0x40];
    const RETURN: u8 = 0xc3;
    let inputs = Inputs::new();
    let broken = changed(|bytes| {
        let place = bytes.windows(5).position(|window| window == LOAD_FAST_1);
        bytes[place.expect("mov rax, [r12+0x40]")] = RETURN;
    });
    inputs.put("table.mimeo", broken);
    inputs.put("good.json", sum_squares().to_string());
    let (code, printed, said) = inputs.run(&["verify", "table.mimeo"]);
    assert!(
        printed.starts_with("table.mimeo: _LOAD_FAST_1")
            && printed.contains(" variants keep the rules"),
        "{printed}"
    );
    assert_eq!((code, said.as_str()), (Some(1), ""));
    let (code, printed, said) = inputs.run(&["run", "--table", "table.mimeo", "good.json"]);
    assert!(
        said.starts_with("error: table.mimeo: _LOAD_FAST_1"),
        "{said}"
    );
    assert_eq!((code, printed.as_str()), (Some(3), ""));
}

/// As in `mimeo inspect | head -1`.
#[test]
fn a_reader_that_has_seen_enough() {
    let inputs = Inputs::new();
    let mut child = inputs
        .command(&["inspect"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    reader.read_line(&mut line).unwrap();
    drop(reader);
    let output = child.wait_with_output().unwrap();
    assert!(line.starts_with("table python: "), "{line}");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn output_that_cannot_be_written() {
    let inputs = Inputs::new();
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let output = inputs
        .command(&["inspect", "_NOP"])
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "error: cannot write the output: No space left on device (os error 28)\n"
    );
    assert_eq!(output.status.code(), Some(3));
}
