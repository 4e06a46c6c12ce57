//! `mimeo diff` on tables that were changed on purpose, and on headers that are not what they should be.

use mimeo::form::Form;
use mimeo::stencil::{Stencil, StencilBuf, StencilGroup, StencilGroupBuf, UopFlags};
use mimeo::table::{StencilTable, TableContents, UopContents, VariantContents};
use mimeo_tests::toy;
use serde_json::Value as Json;
use std::fs;
use std::process::Command;
use tempfile::TempDir;

const PYTHON_TABLE: &[u8] = include_bytes!("../../../ir-templates/tables/python.mimeo");
const HEADER: &str = include_str!("headers/before.h");

/// Writes files to a directory of their own and runs `mimeo diff` there: exit code, output, what was said of failures.
fn diff(files: &[(&str, &[u8])], arguments: &[&str]) -> (Option<i32>, String, String) {
    let directory: TempDir = tempfile::tempdir().unwrap();
    for (name, contents) in files {
        fs::write(directory.path().join(name), contents).unwrap();
    }
    let output = Command::new(env!("CARGO_BIN_EXE_mimeo"))
        .arg("diff")
        .args(arguments)
        .current_dir(directory.path())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

// ---- Tables ----------------------------------------------------------------------------------------------------

fn stencil(stencil: Stencil<'_>) -> StencilBuf {
    StencilBuf {
        bytes: stencil.bytes.to_vec(),
        holes: stencil.holes.to_vec(),
        align: stencil.align,
    }
}

fn group(group: StencilGroup<'_>) -> StencilGroupBuf {
    StencilGroupBuf {
        hot: stencil(group.hot),
        cold: stencil(group.cold),
        data: stencil(group.data),
    }
}

/// What a table was written from.
fn contents(bytes: &[u8]) -> TableContents {
    let table = StencilTable::from_bytes(bytes.to_vec()).unwrap();
    let uops = table.uops().map(|uop| {
        let info = table.uop(uop);
        UopContents {
            name: info.name.to_owned(),
            effect: info.effect,
            leaving_effect: info.leaving_effect,
            flags: info.flags,
            oparg_max: info.oparg_max,
            operand_max: info.operand_max,
            operand1_max: info.operand1_max,
            locals: info.locals,
            group: group(table.group(uop)),
        }
    });
    let variants = table.variants().map(|variant| {
        let variant = table.variant(variant);
        let infos = || variant.infos();
        VariantContents {
            uops: infos().map(|info| info.name.to_owned()).collect(),
            form: variant.form.clone(),
            oparg_max: infos().map(|info| info.oparg_max).collect(),
            operand_max: infos().map(|info| info.operand_max).collect(),
            operand1_max: infos().map(|info| info.operand1_max).collect(),
            group: group(variant.group),
            register_holes: variant.register_holes.to_vec(),
        }
    });
    TableContents {
        set: table.set().to_owned(),
        cpu: table.cpu().to_owned(),
        llvm_version: table.llvm_version(),
        digest: *table.digest(),
        sources: table.sources().copied().unwrap_or_default(),
        symbols: table.symbols().map(str::to_owned).collect(),
        uops: uops.collect(),
        variants: variants.collect(),
    }
}

/// Compares the Python table with what `change` makes of it.
fn python_diff(change: impl FnOnce(&mut TableContents), arguments: &[&str]) -> (i32, String) {
    let mut changed = contents(PYTHON_TABLE);
    change(&mut changed);
    let changed = changed.to_bytes().unwrap();
    let files = [("a.mimeo", PYTHON_TABLE), ("b.mimeo", &changed[..])];
    let (code, output, error) = diff(&files, &[&["a.mimeo", "b.mimeo"], arguments].concat());
    assert_eq!(error, "");
    (code.unwrap(), output)
}

fn uop<'c>(contents: &'c mut TableContents, name: &str) -> &'c mut UopContents {
    let mut uops = contents.uops.iter_mut();
    uops.find(|uop| uop.name == name).unwrap()
}

/// The rows of uops and variants.
fn rows_in(output: &str) -> Vec<&str> {
    let lines = output.lines().filter(|line| line.starts_with('_'));
    lines.collect()
}

fn first_word(row: &str) -> &str {
    row.split(' ').next().unwrap()
}

#[test]
fn a_table_that_is_written_again_is_the_same() {
    let (code, output) = python_diff(|_| {}, &[]);
    assert_eq!((code, rows_in(&output)), (0, vec![]));
    let (code, json) = python_diff(|_| {}, &["--format", "json"]);
    let json: Json = serde_json::from_str(&json).unwrap();
    assert_eq!((code, &json["same"]), (0, &Json::from(true)));
}

#[test]
fn what_others_see_of_a_table() {
    // Code that is two bytes longer and does the same.
    let longer = |contents: &mut TableContents| {
        contents.llvm_version = (22, 1, 8);
        let hot = &mut uop(contents, "_NOP").group.hot;
        hot.bytes = vec![0x90, 0x90];
    };
    let (code, output) = python_diff(longer, &["--interface"]);
    assert_eq!((code, rows_in(&output)), (0, vec![]));
    assert!(
        output.contains("uops with the same interface, 0 without\n"),
        "{output}"
    );
    let last = output.lines().last().unwrap();
    assert!(
        last.starts_with("code and data ") && last.ends_with(" bytes (+0.0 %)"),
        "{last}"
    );

    let (code, output) = python_diff(longer, &["--interface", "--margin", "1"]);
    assert_eq!(code, 0);
    assert!(output.ends_with("(+0.0 %), within 1 %\n"), "{output}");
    let (code, output) = python_diff(longer, &["--interface", "--margin", "0.001"]);
    assert_eq!(code, 1);
    assert!(
        output.ends_with("(+0.0 %), more than 0.001 %\n"),
        "{output}"
    );

    let (code, output) = python_diff(longer, &["--interface", "--format", "markdown"]);
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!((code, lines.len()), (0, 3));
    assert!(lines[0].starts_with("| set | LLVM | uops |"), "{output}");
    assert!(
        lines[2].starts_with("| python | 19.1.7 → 22.1.8 | "),
        "{output}"
    );
    assert!(
        lines[2].ends_with(" | +0.0 % | 1 | 0 | 0 | ok |"),
        "{output}"
    );
    // Without --interface everything counts.
    let (code, output) = python_diff(longer, &["--format", "markdown"]);
    assert_eq!(code, 1);
    assert!(output.ends_with(" | 1 | 0 | 0 | differs |\n"), "{output}");

    // Another way to the next uop is no difference, another exit is one.
    let (code, output) = python_diff(
        |contents| {
            uop(contents, "_NOP").flags |= UopFlags::LOCAL;
            contents.uops.retain(|uop| uop.name != "_SWAP");
            contents
                .variants
                .retain(|variant| !variant.uops.contains(&"_SWAP".to_owned()));
        },
        &["--interface"],
    );
    assert_eq!(code, 1);
    let rows = rows_in(&output);
    assert_eq!(
        rows[..2],
        ["_NOP: flags: none -> LOCAL", "_SWAP: only in A"]
    );
    assert!(
        output.contains(" uops with the same interface, 2 without\n"),
        "{output}"
    );
}

#[test]
fn only_tables_have_interfaces() {
    let files: &[(&str, &[u8])] = &[("a.h", HEADER.as_bytes()), ("b.mimeo", PYTHON_TABLE)];
    for arguments in [&["--interface"][..], &["--format", "markdown"]] {
        let arguments = [arguments, &["a.h", "b.mimeo"]].concat();
        let (code, output, errors) = diff(files, &arguments);
        assert_eq!((code, output.as_str()), (Some(2), ""));
        assert!(
            errors.contains("compares stencil tables, and not both are"),
            "{errors}"
        );
    }
}

#[test]
fn a_changed_table() {
    let change = |contents: &mut TableContents| {
        contents.llvm_version = (20, 1, 8);
        // A nop behind the code: it still falls through.
        uop(contents, "_LOAD_FAST_1").group.hot.bytes.push(0x90);
        uop(contents, "_POP_TOP").flags |= UopFlags::OPARG;
        uop(contents, "_NOP").name = "_NO_OPERATION".to_owned();
        let is_changed = |variant: &&mut VariantContents| variant.to_string() == "_LOAD_FAST_1_r01";
        let variant = contents.variants.iter_mut().find(is_changed).unwrap();
        variant.group.hot.bytes[4] = 0x48;
        // No variant has the old name.
        contents
            .variants
            .retain(|variant| !variant.uops.iter().any(|name| name == "_NOP"));
    };
    let (code, output) = python_diff(change, &[]);
    assert_eq!(code, 1);
    assert!(
        output.contains("\nllvm_version: 19.1.7 -> 20.1.8\n"),
        "{output}"
    );
    let rows = rows_in(&output);
    for (row, name, rest) in [
        (
            0,
            "_LOAD_FAST_1",
            "+1    +6.3 %      0 ->      0     0 ->     0  hot at 0x10: end -> nop",
        ),
        (1, "_NOP", "only in A"),
        (2, "_NO_OPERATION", "only in B"),
        (3, "_POP_TOP", "flags: none -> OPARG"),
        (
            4,
            "_LOAD_FAST_1_r01",
            "hot at 0x0: mov r15, [r12+0x40] -> mov r15, [r12+0x48]",
        ),
    ] {
        assert_eq!(first_word(rows[row]), name, "{output}");
        assert!(rows[row].ends_with(rest), "{output}");
    }

    let (code, output) = python_diff(change, &["--sort", "size"]);
    assert_eq!((code, first_word(rows_in(&output)[0])), (1, "_LOAD_FAST_1"));
    let (code, _) = python_diff(change, &["--uop", "_LOAD_FAST"]);
    assert_eq!(code, 0, "what was not asked for was compared");
    let (code, output) = python_diff(change, &["--uop", "_LOAD_FAST_1"]);
    assert_eq!(code, 1);
    let nop = "  +        10  90                       nop\n";
    assert!(output.contains(nop), "{output}");
}

#[test]
fn the_document_has_everything_in_a_stable_order() {
    let change = |contents: &mut TableContents| {
        uop(contents, "_LOAD_FAST_1").group.hot.bytes.push(0x90);
        contents.uops.reverse();
        contents.variants.reverse();
    };
    let (code, first) = python_diff(change, &["--format", "json"]);
    let (_, second) = python_diff(change, &["--format", "json", "--sort", "size", "--all"]);
    assert_eq!(code, 1);
    assert!(
        first == second,
        "the document depends on how the text is shown"
    );
    let json: Json = serde_json::from_str(&first).unwrap();
    let count = |section: &str| json[section]["groups"].as_array().unwrap().len();
    let table = StencilTable::from_bytes(PYTHON_TABLE.to_vec()).unwrap();
    assert_eq!(count("uops"), table.uop_count());
    assert_eq!(count("variants"), table.variant_count());
    assert_eq!(json["files"], Json::from(vec!["a.mimeo", "b.mimeo"]));
    assert_eq!(json["uops"]["totals"]["larger"], 1);
    let groups = json["uops"]["groups"].as_array().unwrap();
    let changed: Vec<&Json> = groups
        .iter()
        .filter(|group| group["status"] == "changed")
        .collect();
    assert_eq!(
        (changed.len(), &changed[0]["name"]),
        (1, &Json::from("_LOAD_FAST_1"))
    );
    assert_eq!(changed[0]["parts"][0]["lines"].as_array().unwrap().len(), 5);
}

#[test]
fn variants_of_every_form_are_compared() {
    let before = toy::contents_with_variants();
    let mut after = before.clone();
    let with_holes = |variant: &&mut VariantContents| variant.register_holes.len() > 1;
    let variant = after.variants.iter_mut().find(with_holes).unwrap();
    let name = variant.to_string();
    let Form::Operands(form) = &mut variant.form else {
        panic!("{name} has register holes");
    };
    form.renameable = form.placeholders();
    let (before, after) = (before.to_bytes().unwrap(), after.to_bytes().unwrap());
    let files = [("a", &before[..]), ("b", &after[..])];
    let (code, output, error) = diff(&files, &["a", "b"]);
    assert_eq!((code, error.as_str()), (Some(1), ""));
    let row = output.lines().find(|line| line.starts_with(&name)).unwrap();
    assert!(row.contains("  renameable: "), "{output}");
    assert_eq!(rows_in(&output).len(), 1, "{output}");
}

// ---- Bad input -------------------------------------------------------------------------------------------------

#[test]
fn headers_that_cannot_be_used() {
    for (old, new, expected) in [
        (
            "code_body[11]",
            "code_body[12]",
            "a.h:55:28: group _LOAD says 11 bytes of code, but code_body has 12",
        ),
        (
            "code_body[11]",
            "code_body[10]",
            "a.h:14:35: code_body of emit__LOAD is declared with 10 bytes, but has 11",
        ),
        (
            "emit__STOP(",
            "emit__LOAD(",
            "a.h:29:1: function emit__LOAD is defined twice, first in line 10",
        ),
        (
            "code + 0x3",
            "code + 0x9",
            "a.h:25:5: patch_32r patches 4 bytes at 0x9, but the code of emit__LOAD has 11: the hole is outside",
        ),
        (
            "{emit__STOP, 1, 0}",
            "{emit__HALT, 1, 0}",
            "a.h:57:16: group _STOP names the function emit__HALT, which the file does not define",
        ),
        (
            "{emit__STOP, 1, 0}",
            "{emit__STOP, 2, 0}",
            "a.h:57:28: group _STOP says 2 bytes of code, but code_body has 1",
        ),
        (
            "[_STOP]",
            "[_LOAD]",
            "a.h:57:6: group _LOAD is defined twice, first in line 55",
        ),
        (
            "};\n",
            "",
            "a.h:18:5: expected a byte or `}`, found `const`",
        ),
        (
            "emit_",
            "make_",
            "a.h:1:1: neither a stencil table nor a C header: no function is called `emit_NAME`, as those of a header of stencils are",
        ),
    ] {
        assert!(HEADER.contains(old), "{old}");
        let bad = HEADER.replace(old, new);
        let files = [("a.h", bad.as_bytes()), ("b.h", HEADER.as_bytes())];
        for arguments in [["a.h", "b.h"], ["b.h", "a.h"]] {
            let (code, output, error) = diff(&files, &arguments);
            assert_eq!((code, output.as_str()), (Some(3), ""), "{old} as {new}");
            assert_eq!(error, format!("error: {expected}\n"), "{old} as {new}");
        }
    }
}

/// What includes the header, as CPython's `jit_stencils.h` does.
const GUARD: &str = "// by hand
#if defined(__x86_64__) && defined(__APPLE__)
#include \"apple.h\"
#elif defined(__x86_64__) && defined(__linux__)
#include \"before.h\"
#else
#error \"no stencils\"
#endif
";

#[test]
fn guards_are_followed() {
    let files = [("before.h", HEADER.as_bytes()), ("a.h", GUARD.as_bytes())];
    let (code, output, error) = diff(&files, &["a.h", "before.h"]);
    assert_eq!((code, error.as_str()), (Some(0), ""), "{output}");
    assert!(output.starts_with("A  a.h: header, digest "), "{output}");
    // From another directory.
    let directory: TempDir = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    for (name, contents) in files {
        fs::write(path(name), contents).unwrap();
    }
    let (code, _, error) = diff(&[], &[&path("a.h"), &path("before.h")]);
    assert_eq!((code, error.as_str()), (Some(0), ""));
}

#[test]
fn guards_that_cannot_be_followed() {
    for (old, new, expected) in [
        (
            "before.h",
            "missing.h",
            "a.h:5: the included missing.h: No such file or directory (os error 2)",
        ),
        (
            "before.h",
            "../before.h",
            "a.h:5:11: expected the name of a file in the same directory, found `../before.h`",
        ),
        (
            "__linux__",
            "_WIN32",
            "a.h:3:11: expected one of the included files to be under the condition of x86-64 Linux",
        ),
        (
            "before.h",
            "bad.h",
            "bad.h:57:28: group _STOP says 2 bytes of code, but code_body has 1",
        ),
        (
            "before.h",
            "a.h",
            "a.h:1:1: neither a stencil table nor a C header: no function is called `emit_NAME`, as those of a header of stencils are",
        ),
    ] {
        let guard = GUARD.replace(old, new);
        let bad = HEADER.replace("{emit__STOP, 1, 0}", "{emit__STOP, 2, 0}");
        let files = [
            ("a.h", guard.as_bytes()),
            ("before.h", HEADER.as_bytes()),
            ("bad.h", bad.as_bytes()),
        ];
        let (code, output, error) = diff(&files, &["a.h", "before.h"]);
        assert_eq!((code, output.as_str()), (Some(3), ""), "{old} as {new}");
        assert_eq!(error, format!("error: {expected}\n"), "{old} as {new}");
    }
}

#[test]
fn files_that_end_early() {
    let (table, header) = (&PYTHON_TABLE[..5000], &HEADER[..600]);
    let files = [
        ("a.mimeo", table),
        ("b.mimeo", &PYTHON_TABLE[..5]),
        ("a.h", header.as_bytes()),
        ("empty", b""),
        ("whole.h", HEADER.as_bytes()),
    ];
    for (file, expected) in [
        ("a.mimeo", "the file has 5000 bytes, expected "),
        ("b.mimeo", "neither a stencil table nor a C header: "),
        ("a.h", "a.h:20:15: expected a byte or `}`, found `0x`"),
        ("empty", "neither a stencil table nor a C header: "),
    ] {
        let (code, _, error) = diff(&files, &[file, "whole.h"]);
        assert_eq!(code, Some(3), "{error}");
        assert!(error.contains(expected), "{error}");
    }
}
