//! The recorded traces end as CPython ended.

use mimeo::engine::Engine;
use mimeo_objects::recorded::{Document, Program, engine};
use mimeo_tests::recorded::{directory, names, text};
use std::path::Path;
use std::sync::Arc;

/// Traces that have to run: one that no longer does is a regression, wherever its file has been moved.
const SUPPORTED: [&str; 82] = [
    "append_call",
    "bigint_pow",
    "binary_search",
    "bound_method_local",
    "bubble_pass",
    "builtin_calls",
    "char_scan",
    "class_constant",
    "closure_free",
    "collatz",
    "compare_overflow",
    "comprehension",
    "crc32_bits",
    "deopt_missing_key",
    "dict_comprehension",
    "dict_count",
    "dict_methods",
    "dict_pop_del",
    "dict_setdefault",
    "dict_word_count",
    "divmod_loop",
    "fib_bigint",
    "fib_tuple",
    "float_callee",
    "float_sum",
    "fstring_mix",
    "fstring_rows",
    "function_arg",
    "gcd",
    "global_const",
    "horner",
    "index_deopt",
    "instance_class_attr",
    "instance_create",
    "int_bits",
    "int_float_mix",
    "int_mix",
    "int_to_str",
    "levenshtein",
    "linked_list",
    "list_append",
    "list_concat",
    "list_methods",
    "mandelbrot_inner",
    "math_calls",
    "matmul_inner",
    "method_call",
    "method_chain",
    "module_math",
    "nbody_step",
    "negatives",
    "nested_branches",
    "nested_calls",
    "nested_dict",
    "newton_sqrt",
    "pair_unpack",
    "point_attrs",
    "power_float",
    "property_like",
    "range_inner",
    "set_comprehension",
    "sieve_inner",
    "slice_store",
    "slices_list",
    "slots_particle",
    "slots_walk",
    "spectral_a",
    "stack_machine",
    "str_index_loop",
    "str_join",
    "string_build",
    "string_compare",
    "sum_squares",
    "ternary_chain",
    "tree_depth_1",
    "tuple_building",
    "tuple_keys",
    "tuple_records",
    "two_way",
    "type_change",
    "while_break",
    "while_queue",
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
