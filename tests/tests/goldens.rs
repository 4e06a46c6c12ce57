//! The code of representative standard uops, one of each family and shape, compared with `goldens/*.txt`: a change of
//! a template, of the builder or of the extractor shows in a diff. It is read from the embedded table and needs no
//! LLVM.
//!
//! `MIMEO_BLESS=1 cargo test -p mimeo-tests --test goldens` writes the files anew.

use mimeo::stencil::{Part, Stencil};
use mimeo::table::{StencilTable, UopId};
use mimeo_compiler::disassemble::{Line, disassemble};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

const UOPS: [&str; 20] = [
    // Locals and constants: an oparg in a displacement, one that is part of the name, an operand of 64 bits.
    "_LOAD_FAST",
    "_STORE_FAST_2",
    "_LOAD_CONST_INLINE",
    // The stack: a depth that depends on the oparg.
    "_SWAP",
    "_POP_TOP",
    // Arithmetic: reuse of an operand in line, helpers out of line; only a helper.
    "_BINARY_OP_ADD_INT",
    "_BINARY_OP_MULTIPLY_FLOAT",
    "_BINARY_OP_ADD_UNICODE",
    "_BINARY_OP",
    // Comparison, truth and guards: answers looked up by the oparg, jumps straight to the jump target.
    "_COMPARE_OP_INT",
    "_TO_BOOL_INT",
    "_GUARD_BOTH_INT",
    "_GUARD_IS_TRUE_POP",
    // Iteration and containers: several assumptions, arrays of operands.
    "_ITER_NEXT_RANGE",
    "_BINARY_SUBSCR_LIST_INT",
    "_BUILD_LIST",
    // Control: the executor's header, exits through records, the way back.
    "_CHECK_VALIDITY_AND_SET_IP",
    "_JUMP_TO_TOP",
    "_EXIT_TRACE",
    "_ERROR_POP_N",
];

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("goldens")
}

/// What `mimeo inspect` shows of a uop.
fn listing(table: &StencilTable, uop: UopId) -> String {
    let info = table.uop(uop);
    let symbols: Vec<&str> = table.symbols().collect();
    let flags: Vec<&str> = info.flags.iter_names().map(|(name, _)| name).collect();
    let mut text = format!("{} {} {}\n", info.name, info.effect, flags.join("|"));
    for (part, stencil) in table.group(uop).parts() {
        if !stencil.bytes.is_empty() {
            list_part(&mut text, part, stencil, &symbols);
        }
    }
    text
}

fn list_part(text: &mut String, part: Part, stencil: Stencil<'_>, symbols: &[&str]) {
    let size = stencil.bytes.len();
    let align = stencil.align;
    writeln!(text, "  {part}, {size} bytes, alignment {align}").unwrap();
    for line in disassemble(stencil, part, symbols) {
        let Line {
            offset,
            bytes,
            text: instruction,
            holes,
        } = line;
        let bytes: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let line = format!("    {offset:4x}  {bytes:<24} {instruction}");
        match holes.is_empty() {
            true => writeln!(text, "{line}").unwrap(),
            false => writeln!(text, "{line:<72} ; {}", holes.join(", ")).unwrap(),
        }
    }
}

#[test]
fn the_code_is_the_expected_one() {
    let table = mimeo_ir_templates::standard_table().unwrap();
    let found = UOPS.map(|name| {
        let uop = table.find(name);
        let uop = uop.unwrap_or_else(|| panic!("there is no uop {name}"));
        (format!("{name}.txt"), listing(&table, uop))
    });
    let found = BTreeMap::from(found);
    if std::env::var_os("MIMEO_BLESS").is_some() {
        write_goldens(&found);
    }
    let expected = read_goldens();
    let names = expected.keys().chain(found.keys());
    let differ: Vec<String> = BTreeSet::from_iter(names)
        .into_iter()
        .filter(|&name| expected.get(name) != found.get(name))
        .map(|name| {
            let text = |from: &BTreeMap<String, String>| {
                from.get(name).map_or("nothing\n".to_owned(), String::clone)
            };
            format!(
                "{name}: expected\n{}found\n{}",
                text(&expected),
                text(&found)
            )
        })
        .collect();
    assert!(
        differ.is_empty(),
        "{}\nMIMEO_BLESS=1 cargo test -p mimeo-tests --test goldens writes the files anew",
        differ.join("\n")
    );
}

/// The text of every file, by name.
fn read_goldens() -> BTreeMap<String, String> {
    let files = fs::read_dir(directory()).unwrap();
    let read = files.map(|file| {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, fs::read_to_string(path).unwrap())
    });
    read.collect()
}

fn write_goldens(texts: &BTreeMap<String, String>) {
    for name in read_goldens().keys() {
        fs::remove_file(directory().join(name)).unwrap();
    }
    for (name, text) in texts {
        fs::write(directory().join(name), text).unwrap();
    }
}
