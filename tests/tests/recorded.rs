//! The recorded traces: those that are supported end as CPython ended, the others are refused for a reason that says
//! what is missing.

use mimeo::engine::Engine;
use mimeo_objects::recorded::{Document, LoadError, LowerError, Program, ProgramError, engine};
use mimeo_tests::recorded::{directory, names, text, unsupported_directory};
use std::path::Path;
use std::sync::Arc;

/// Traces that have to run: one that no longer does is a regression, wherever its file has been moved.
const SUPPORTED: [&str; 28] = [
    "binary_search",
    "bubble_pass",
    "char_scan",
    "collatz",
    "compare_overflow",
    "crc32_bits",
    "fib_bigint",
    "float_sum",
    "gcd",
    "horner",
    "index_deopt",
    "int_mix",
    "levenshtein",
    "list_append",
    "mandelbrot_inner",
    "matmul_inner",
    "nbody_step",
    "nested_branches",
    "newton_sqrt",
    "pair_unpack",
    "sieve_inner",
    "string_build",
    "string_compare",
    "sum_squares",
    "tuple_records",
    "two_way",
    "type_change",
    "while_break",
];

fn standard_engine() -> Engine {
    let table = mimeo_ir_templates::standard_table().expect("the embedded table");
    engine(Arc::new(table)).expect("an engine of the standard set")
}

fn document(directory: &Path, name: &str) -> Document {
    Document::parse(&text(directory, name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Compiles and runs a trace and compares its end with the recorded one.
fn run(document: &Document, engine: &Engine) -> Result<(), Box<dyn std::error::Error>> {
    let mut program = Program::new(document, engine)?;
    let outcome = program.run()?;
    Ok(program.check(&outcome)?)
}

#[test]
fn supported_traces_end_as_they_did_in_cpython() {
    let engine = standard_engine();
    let found = names(&directory());
    for name in SUPPORTED {
        assert!(
            found.iter().any(|found| found == name),
            "{name} is not among the supported traces"
        );
    }
    let differences: Vec<String> = found
        .iter()
        .filter_map(|name| {
            let difference = run(&document(&directory(), name), &engine).err()?;
            Some(format!("{name}: {difference}"))
        })
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert_eq!(engine.memory().blocks, 0);
}

#[test]
fn unsupported_traces_are_refused_for_what_is_missing() {
    let engine = standard_engine();
    for name in names(&unsupported_directory()) {
        let document = document(&unsupported_directory(), &name);
        match Program::new(&document, &engine) {
            Ok(_) => panic!(
                "{name} can be compiled by now: move it to {}",
                directory().display()
            ),
            Err(error) if is_missing(&error) => println!("{name}: {error}"),
            Err(error) => panic!("{name} is refused for another reason: {error}"),
        }
    }
    assert_eq!(engine.memory().blocks, 0);
}

/// Whether a uop or a kind of object is what is missing.
fn is_missing(error: &ProgramError) -> bool {
    use ProgramError::{Load, Lower};
    matches!(
        error,
        Lower(LowerError::UnknownUop { .. } | LowerError::Load(LoadError::Unsupported { .. }))
            | Load(LoadError::Unsupported { .. })
    )
}
