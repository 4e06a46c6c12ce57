//! Tables in other forms: a C program runs traces with the headers, the JSON document is the table again, and the Rust
//! source compiles and is the table's bytes.

use mimeo::stencil::{StackEffect, UopFlags};
use mimeo::table::{StencilTable, TableContents, UopContents};
use mimeo_compiler::format::{Format, FormatError, from_json, to_c, to_json, to_rust};
use mimeo_ir_templates::{scalar_table, standard_table};
use mimeo_tests::toy;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

fn all_tables() -> Vec<Arc<StencilTable>> {
    vec![
        Arc::new(standard_table().unwrap()),
        Arc::new(scalar_table().unwrap()),
        toy::table(),
        toy::table_of(&toy::contents_with_variants()),
    ]
}

/// A table of one uop without code.
fn bare(set: &str, uop: &str) -> Arc<StencilTable> {
    let uop = UopContents {
        name: uop.to_owned(),
        effect: StackEffect::default(),
        leaving_effect: StackEffect::default(),
        flags: UopFlags::empty(),
        oparg_max: 0,
        operand_max: 0,
        operand1_max: 0,
        locals: 0,
        group: Default::default(),
    };
    let contents = TableContents {
        set: set.to_owned(),
        cpu: "x86-64".to_owned(),
        llvm_version: (19, 1, 7),
        digest: [0; 32],
        sources: [0; 32],
        symbols: Vec::new(),
        uops: vec![uop],
        variants: Vec::new(),
    };
    toy::table_of(&contents)
}

// ---- C --------------------------------------------------------------------------------------------------------------

/// Compiles C, or C++, without a warning. `None` where there is no such compiler.
fn compile(compiler: &str, options: &[&str], directory: &Path, source: &Path) -> Option<PathBuf> {
    let program = directory.join(format!("{compiler}-program"));
    let output = Command::new(compiler)
        .args(options)
        .args(["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"])
        .arg("-I")
        .arg(directory)
        .arg("-o")
        .args([&program, source])
        .output()
        .ok()?;
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{compiler} {options:?} {}:\n{messages}",
        source.display()
    );
    Some(program)
}

fn write_headers(directory: &Path) {
    for table in [standard_table().unwrap(), scalar_table().unwrap()] {
        let path = directory.join(Format::C.file_name(&table).unwrap());
        fs::write(path, to_c(&table).unwrap()).unwrap();
    }
}

#[test]
fn a_c_program_patches_and_runs_traces() {
    let expected = "\
scalar: below 0 from 5: exit 0, sum 5
scalar: below 1 from 5: exit 0, sum 5
scalar: below 2 from 5: exit 0, sum 4
scalar: below 10 from 5: exit 0, sum 100
scalar: below 1001 from 5: exit 0, sum 166917005
scalar: below 1000 from 9223372036854774807: exit 1, sum 9223372036854775542
scalar: below 10 from -9223372036854775808: exit 1, sum -9223372036854775808
uop LOAD_I64: oparg 0x10000 is too large, the limit is 0xffff
uop JUMP, hot code: the hole at 0x1 (R_X86_64_PC32 JUMP_TARGET) would hold 0x180000000, its range is \
[-0x80000000, 0x7fffffff]
python: exit 0, x has 2 references, y was deallocated
all as in C: scalar 19.1.7, python 19.1.7
";
    let directory = tempfile::tempdir().unwrap();
    write_headers(directory.path());
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("c/run_trace.c");
    let mut runs = 0;
    for compiler in ["gcc", "clang-19"] {
        let options = ["-std=c11", "-O1"];
        let Some(program) = compile(compiler, &options, directory.path(), &source) else {
            println!("skipped: there is no {compiler}");
            continue;
        };
        let output = Command::new(program).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{compiler}: {errors}");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
        runs += 1;
    }
    println!("{runs} compilers");
}

/// Nothing of what the headers declare is used, and both languages take them.
#[test]
fn headers_compile_without_warnings_as_c_and_as_cplusplus() {
    let directory = tempfile::tempdir().unwrap();
    write_headers(directory.path());
    let text = "#include \"python.h\"\n#include \"scalar.h\"\n#include \"python.h\"\nint main(void) { return 0; }\n";
    for (compiler, standard, name) in [
        ("gcc", "-std=c11", "unused.c"),
        ("g++", "-std=c++17", "unused.cpp"),
    ] {
        let source = directory.path().join(name);
        fs::write(&source, text).unwrap();
        let options = [standard, "-O0", "-Wshadow"];
        if compile(compiler, &options, directory.path(), &source).is_none() {
            println!("skipped: there is no {compiler}");
        }
    }
}

#[test]
fn names_that_c_and_rust_cannot_have_are_refused() {
    let rows = [
        ("a set", "UOP", Some("the set"), Some("")),
        ("../a", "UOP", Some("the set"), Some("")),
        ("a-set", "UOP", None, None),
        ("a", "A UOP", Some("the uop"), Some("the uop")),
        ("a", "ADD*/", Some("the uop"), Some("the uop")),
        ("a", "3", None, Some("the uop")),
        ("a", "self", None, Some("the uop")),
        ("a", "move", None, None),
    ];
    let named = |result: Result<String, FormatError>| match result {
        Ok(_) => None,
        Err(FormatError::Name { what, .. }) => Some(what),
        Err(other) => panic!("{other}"),
    };
    for (set, uop, c, rust) in rows {
        let table = bare(set, uop);
        assert_eq!(named(to_c(&table)), c, "{set} {uop} in C");
        // The set's name is text in Rust, but has to be that of a file.
        match rust {
            Some("") => assert_eq!(named(Format::Rust.file_name(&table)), Some("the set")),
            _ => assert_eq!(named(to_rust(&table)), rust, "{set} {uop} in Rust"),
        }
        assert!(to_json(&table).is_ok());
    }
    assert_eq!(Format::C.file_name(&bare("a-set", "A")).unwrap(), "a-set.h");
}

// ---- JSON -----------------------------------------------------------------------------------------------------------

#[test]
fn json_is_the_whole_table() {
    for table in all_tables() {
        let text = to_json(&table).unwrap();
        let contents = from_json(&text).unwrap();
        let bytes = contents.to_bytes().unwrap();
        assert!(bytes == table.as_bytes(), "{table:?}");
        // For whoever takes any JSON.
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["set"], table.set());
        assert_eq!(value["uops"].as_array().unwrap().len(), table.uop_count());
        assert_eq!(
            value["variants"].as_array().unwrap().len(),
            table.variant_count()
        );
    }
}

#[test]
fn json_of_no_table_is_refused_with_its_place() {
    let text = to_json(&scalar_table().unwrap()).unwrap();
    let rows = [
        (
            "\"version\": 3",
            "\"version\": 2",
            "version: \"2\", this library reads \"3\"",
        ),
        (
            "x86_64-unknown",
            "riscv-unknown",
            "triple: \"riscv-unknown-linux-gnu\", this library reads",
        ),
        (
            "\"digest\": \"",
            "\"digest\": \"0",
            "digest: expected pairs of hexadecimal digits",
        ),
        (
            "\"digest\": \"",
            "\"digest\": \"00",
            "digest: 33 bytes, expected 32",
        ),
        (
            "\"sources\": \"",
            "\"sources\": \"00",
            "sources: 33 bytes, expected 32",
        ),
        (
            "\"JUMP_TARGET\"",
            "\"SOMEWHERE\"",
            "hole value \"SOMEWHERE\" is unknown",
        ),
        (
            "R_X86_64_PC32",
            "R_X86_64_PC16",
            "relocation kind \"R_X86_64_PC16\" is unknown",
        ),
        (
            "\"CONSTANT\"",
            "\"CONSTANTS\"",
            "uop CONST_F64: flag \"CONSTANTS\" is unknown",
        ),
        (
            "{\"register\":\"r8\"}",
            "{\"register\":\"r10\"}",
            "register \"r10\" is unknown",
        ),
        ("\"locals\":", "\"local\":", "unknown field `local`"),
        (
            "\"part\":\"hot\"",
            "\"part\":\"data\"",
            "part \"data\" of a register hole, expected hot or cold",
        ),
        (
            "\"field\":\"reg\"",
            "\"field\":\"rm\"",
            "field \"rm\" is unknown",
        ),
    ];
    for (from, to, expected) in rows {
        assert!(text.contains(from), "{from}");
        let error = from_json(&text.replacen(from, to, 1))
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error}");
    }
    assert!(matches!(
        from_json(&text[..text.len() / 2]),
        Err(FormatError::Json(_))
    ));
}

// ---- Rust -----------------------------------------------------------------------------------------------------------

/// Runs the compiler of this project on a source file.
fn rustc(directory: &Path, kind: &str, name: &str, source: &str) -> PathBuf {
    let path = directory.join(name).with_extension("rs");
    let output = directory.join(name);
    fs::write(&path, source).unwrap();
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let result = Command::new(compiler)
        .args(["--edition=2024", "--crate-type", kind, "-o"])
        .args([&output, &path])
        .output()
        .expect("rustc runs");
    let messages = String::from_utf8_lossy(&result.stderr);
    assert!(result.status.success(), "{messages}");
    output
}

#[test]
fn rust_source_is_the_table_and_the_names() {
    let directory = tempfile::tempdir().unwrap();
    let table = scalar_table().unwrap();
    let generated = directory
        .path()
        .join(Format::Rust.file_name(&table).unwrap());
    fs::write(&generated, to_rust(&table).unwrap()).unwrap();
    // Public, documented and without the standard library; then private and hardly used.
    let library = format!(
        "//! Stencils.\n#![no_std]\n#![deny(warnings, missing_docs)]\ninclude!({generated:?});\n"
    );
    rustc(directory.path(), "lib", "library", &library);
    let program = format!(
        r#"#![deny(warnings, unreachable_pub)]
mod stencils {{ include!({generated:?}); }}
fn main() {{
    assert_eq!(stencils::uops::I64_ADD, "I64_ADD");
    assert_eq!(stencils::LLVM_VERSION.0, 19);
    let index = stencils::UOPS.binary_search(&stencils::uops::I64_ADD).unwrap();
    assert_eq!(index, {});
    use std::io::Write;
    std::io::stdout().write_all(stencils::TABLE).unwrap();
}}
"#,
        table.find("I64_ADD").unwrap().index()
    );
    let program = rustc(directory.path(), "bin", "program", &program);
    let output = Command::new(program).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(output.stdout == table.as_bytes(), "the bytes are others");

    // Names that are keywords, or not in capitals, are constants all the same.
    for name in ["move", "add_i64", "_"] {
        let source = to_rust(&bare("a", name));
        match name {
            "_" => assert!(source.is_err()),
            _ => drop(rustc(
                directory.path(),
                "lib",
                name,
                &format!(
                    "//! One.\n#![no_std]\n#![deny(warnings)]\n{}",
                    source.unwrap()
                ),
            )),
        }
    }
}
