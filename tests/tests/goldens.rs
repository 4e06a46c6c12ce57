//! What the standard tables hold, compared with checked-in files, in two kinds:
//!
//! - `goldens/meaning/SET.txt`, a line for each stencil, has what every version of LLVM must give: stack effects, flags, the
//!   largest arguments, and which values fill its holes, exits and symbols among them. The embedded tables are held to it, and,
//!   with LLVM, those that the linked version makes of the templates.
//! - `goldens/code/UOP.txt` has the code of representative Python uops, one of each family and shape, as the LLVM gave it that the
//!   embedded table names: a change of a template, of the builder or of the extractor shows in a diff.
//!
//! `MIMEO_BLESS=1 cargo test -p mimeo-tests --test goldens` writes all of them anew from the embedded tables.

use mimeo::form::Register;
use mimeo::hole::{Hole, HoleValue};
use mimeo::stencil::{Part, StackEffect, Stencil, StencilGroup, UopFlags};
use mimeo::table::{StencilTable, UopId};
use mimeo_compiler::disassemble::{Line, disassemble};
use mimeo_ir_templates::SET_NAMES;
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

// ---- Meaning ---------------------------------------------------------------------------------------------------

/// What of a table does not depend on the LLVM: a line for each uop, then one for each variant.
fn meaning(table: &StencilTable) -> String {
    let symbols: Vec<&str> = table.symbols().collect();
    let mut text = String::new();
    for uop in table.uops() {
        let info = table.uop(uop);
        write!(text, "{} {}", info.name, info.effect).unwrap();
        if ![info.effect, StackEffect::default()].contains(&info.leaving_effect) {
            write!(text, " leaving {}", info.leaving_effect).unwrap();
        }
        let flags: Vec<&str> = info.flags.iter_names().map(|(name, _)| name).collect();
        write!(text, " ({})", flags.join(" ")).unwrap();
        for (what, limit, flag) in [
            ("oparg", u64::from(info.oparg_max), UopFlags::OPARG),
            ("operand", info.operand_max, UopFlags::OPERAND),
            ("operand1", info.operand1_max, UopFlags::OPERAND1),
        ] {
            if info.flags.contains(flag) {
                write!(text, " {what} to {limit}").unwrap();
            }
        }
        writeln!(text, ":{}", values(table.group(uop), &symbols)).unwrap();
    }
    for variant in table.variants() {
        let variant = table.variant(variant);
        write!(text, "{variant}").unwrap();
        for (element, &uop) in variant.uops.iter().enumerate() {
            let info = table.uop(uop);
            for (limit, base) in [
                (
                    u64::from(variant.oparg_max(element)),
                    u64::from(info.oparg_max),
                ),
                (variant.operand_max(element), info.operand_max),
                (variant.operand1_max(element), info.operand1_max),
            ] {
                if limit != base {
                    write!(text, " {element} to {limit}").unwrap();
                }
            }
        }
        let holes = variant.register_holes.iter();
        let registers: BTreeSet<Register> = holes.map(|hole| hole.register).collect();
        let registers: Vec<String> = registers.iter().map(Register::to_string).collect();
        if !registers.is_empty() {
            write!(text, " ({})", registers.join(" ")).unwrap();
        }
        writeln!(text, ":{}", values(variant.group, &symbols)).unwrap();
    }
    text
}

/// The values that fill a stencil's holes, each once, but for what leads from one of its parts to another.
fn values(group: StencilGroup<'_>, symbols: &[&str]) -> String {
    let value = |hole: &Hole| {
        let value = hole.value();
        let text = match value {
            HoleValue::Code | HoleValue::Cold | HoleValue::Data => return None,
            HoleValue::Symbol => symbols[hole.symbol() as usize].to_owned(),
            HoleValue::Input | HoleValue::Pooled => format!("{value}{}", hole.element()),
            // Which uop of a sequence the argument is of.
            _ if hole.element() > 0 => format!("{value}@{}", hole.element()),
            _ => value.to_string(),
        };
        Some((value as u8, text))
    };
    let holes = group.parts().into_iter().flat_map(|(_, part)| part.holes);
    let values: BTreeSet<(u8, String)> = holes.filter_map(value).collect();
    values.iter().map(|(_, text)| format!(" {text}")).collect()
}

#[test]
fn the_embedded_tables_mean_what_they_should() {
    let found = SET_NAMES.map(|set| {
        let table = mimeo_ir_templates::table_of(set).unwrap().unwrap();
        (format!("{set}.txt"), meaning(&table))
    });
    check("meaning", &BTreeMap::from(found));
}

/// Whatever version of LLVM is linked.
#[cfg(feature = "llvm")]
#[test]
fn what_this_llvm_makes_of_the_templates_means_the_same() {
    use mimeo_compiler::codegen::{Options, compile_to_bytes};

    let found = SET_NAMES.map(|set| {
        let templates = mimeo_ir_templates::templates_of(set).unwrap();
        let bytes = compile_to_bytes(&templates, Options::default()).unwrap();
        let table = StencilTable::from_bytes(bytes).unwrap();
        (format!("{set}.txt"), meaning(&table))
    });
    let differences = differences(&read_goldens("meaning"), &BTreeMap::from(found));
    assert!(
        differences.is_empty(),
        "LLVM {:?} gives another meaning:\n{differences}",
        mimeo_compiler::target::linked_version()
    );
}

// ---- Code ------------------------------------------------------------------------------------------------------

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
    check("code", &BTreeMap::from(found));
}

// ---- Files -----------------------------------------------------------------------------------------------------

/// The text of files, by name.
type Texts = BTreeMap<String, String>;

fn directory(kind: &str) -> PathBuf {
    let goldens = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("goldens");
    goldens.join(kind)
}

/// Compares texts with the files of a kind, or writes those where that is asked for.
fn check(kind: &str, found: &Texts) {
    if std::env::var_os("MIMEO_BLESS").is_some() {
        write_goldens(kind, found);
    }
    let differences = differences(&read_goldens(kind), found);
    assert!(
        differences.is_empty(),
        "{differences}\nMIMEO_BLESS=1 cargo test -p mimeo-tests --test goldens writes the files anew"
    );
}

/// The lines that are in one of them alone, under the names of their files.
fn differences(expected: &Texts, found: &Texts) -> String {
    let names: BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    let mut text = String::new();
    for name in names {
        let lines = |texts: &'_ Texts| -> Vec<String> {
            let text = texts.get(name).map(String::as_str).unwrap_or_default();
            text.lines().map(str::to_owned).collect()
        };
        let (expected, found) = (lines(expected), lines(found));
        if expected == found {
            continue;
        }
        writeln!(text, "{name}:").unwrap();
        for (sign, these, others) in [('-', &expected, &found), ('+', &found, &expected)] {
            let others: BTreeSet<&String> = others.iter().collect();
            for line in these.iter().filter(|line| !others.contains(line)) {
                writeln!(text, "{sign} {line}").unwrap();
            }
        }
    }
    text
}

fn read_goldens(kind: &str) -> Texts {
    let files = fs::read_dir(directory(kind)).unwrap();
    let read = files.map(|file| {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, fs::read_to_string(path).unwrap())
    });
    read.collect()
}

fn write_goldens(kind: &str, texts: &Texts) {
    fs::create_dir_all(directory(kind)).unwrap();
    for name in read_goldens(kind).keys() {
        fs::remove_file(directory(kind).join(name)).unwrap();
    }
    for (name, text) in texts {
        fs::write(directory(kind).join(name), text).unwrap();
    }
}
