//! Variants in `mimeo inspect` and `mimeo verify`, of a table that has one of each kind.

use mimeo_tests::toy;
use serde_json::{Value as Json, json};
use std::fs;
use std::process::Command;
use tempfile::TempDir;

/// Runs a command on the table, and gives its exit code and output.
fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let directory: TempDir = tempfile::tempdir().unwrap();
    let bytes = toy::contents_with_variants().to_bytes().unwrap();
    fs::write(directory.path().join("toy.mimeo"), bytes).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_mimeo"))
        .args(arguments)
        .current_dir(directory.path())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    (
        output.status.code(),
        String::from_utf8(output.stdout).unwrap(),
    )
}

#[test]
fn a_uop_is_shown_with_the_variants_that_begin_with_it() {
    let (code, shown) = run(&["inspect", "--table", "toy.mimeo", "_ADD", "_PUSH"]);
    assert_eq!(code, Some(0));
    let headings: Vec<&str> = shown.lines().filter(|line| line.starts_with('_')).collect();
    assert_eq!(
        headings,
        [
            "_ADD (2 -- 1): 12 bytes of code, 0 of data, 0 holes, 6 variants",
            "_ADD_r21: 3 bytes of code, 0 of data, 0 holes, 0 register holes",
            "_ADD [r8, r9 -> r8]: 3 bytes of code, 0 of data, 0 holes, 2 register holes",
            "_ADD [r8, r9 -> r11]: 4 bytes of code, 0 of data, 0 holes, 3 register holes",
            "_ADD [r8, 6-bit unsigned -> r8]: 4 bytes of code, 0 of data, 1 holes, 1 register holes",
            "_ADD [r8, 32-bit -> r8]: 7 bytes of code, 0 of data, 1 holes, 1 register holes",
            "_ADD [xmm4, pooled -> xmm4]: 8 bytes of code, 0 of data, 1 holes, 1 register holes",
            "_PUSH (0 -- 1) OPERAND: 18 bytes of code, 0 of data, 1 holes, 2 variants of which 1 fused",
            "_PUSH_r01: 10 bytes of code, 0 of data, 1 holes, 0 register holes",
            "_PUSH+_ADD_r11: 13 bytes of code, 0 of data, 1 holes, 0 register holes",
        ]
    );
    let lea = "       0  4f8d1c08                 lea r11, [r8+r9]                      \
               ; r11 as reg, r8 as base, r9 as index\n";
    assert!(shown.contains(lea), "{shown}");
    let form = "1 register holes\n  renameable to any register but rcx\n";
    assert_eq!(shown.matches(form).count(), 1, "{shown}");
    let total = "\n8 of 11 variants: 52 bytes of code, 0 of data, 5 holes, 8 register holes\n";
    assert!(shown.ends_with(total), "{shown}");
}

#[test]
fn what_is_on_the_stack_where_a_variant_jumps_is_shown() {
    let (_, shown) = run(&["inspect", "--table", "toy.mimeo", "_JUMP_IF_ZERO"]);
    let form = "2 register holes\n  0 of 1 inputs are intact where it jumps\n  hot code";
    assert!(shown.contains(form), "{shown}");
}

/// Where all uops are shown, variants are only counted.
#[test]
fn a_whole_table_is_shown_without_variants() {
    let (code, shown) = run(&["inspect", "--table", "toy.mimeo"]);
    assert_eq!(code, Some(0));
    assert!(shown.contains("\n_LOAD (0 -- 1) LOCAL OPARG: "), "{shown}");
    assert!(!shown.contains("_ADD_r21"), "{shown}");
    let total = "\n11 of 11 variants: 100 bytes of code, 0 of data, 11 holes, 13 register holes\n";
    assert!(shown.ends_with(total), "{shown}");
}

#[test]
fn variants_for_programs() {
    let (code, shown) = run(&[
        "inspect",
        "--table",
        "toy.mimeo",
        "--format",
        "json",
        "_EXIT_IF_ZERO",
        "_LOAD",
    ]);
    assert_eq!(code, Some(0));
    let table: Json = serde_json::from_str(&shown).unwrap();
    assert_eq!(table["variants"], json!(11));
    let exit = &table["uops"][0]["variants"][0];
    assert_eq!(exit["name"], json!("_EXIT_IF_ZERO [r8]"));
    let form =
        json!({"kind": "operands", "inputs": ["r8"], "output": null, "intact": null, "fixed": []});
    assert_eq!(exit["form"], form);
    let cold = &exit["parts"][1]["lines"][0];
    assert_eq!(cold["registers"], json!(["r8 as reg"]));
    let fused = &table["uops"][1]["variants"][0];
    assert_eq!(
        fused["form"],
        json!({"kind": "slots", "registers_in": 0, "registers_out": 0})
    );
    let limits = |name| json!({"name": name, "oparg_max": 1000, "operand_max": u64::MAX});
    assert_eq!(
        fused["uops"],
        json!([limits("_LOAD"), limits("_JUMP_IF_ZERO")])
    );
}

/// Operand forms leave through their exits only by jumping, and base forms beside them keep the registers of locals.
#[test]
fn variants_are_verified() {
    let (code, shown) = run(&["verify", "toy.mimeo"]);
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!((code, lines.len()), (Some(1), 4), "{shown}");
    assert!(lines[0].starts_with("toy.mimeo: _CALL, "), "{shown}");
    assert!(
        lines[1].starts_with("toy.mimeo: _EXIT_IF_ZERO [r8], "),
        "{shown}"
    );
    let counts = "toy.mimeo: 16 of 17 uops and 10 of 11 variants keep the rules, ";
    assert!(lines[2].starts_with(counts), "{shown}");
    let origin = "toy.mimeo: table variants, LLVM ";
    assert!(lines[3].starts_with(origin), "{shown}");
    assert!(
        lines[3].ends_with(", of a set that is not this mimeo's"),
        "{shown}"
    );
}
