//! The format as a C program reads it: `c/read_table.c` knows of tables only what the documentation of `mimeo::table`
//! says, and has to see in them what the library sees.

use mimeo::form::Form;
use mimeo::stencil::{Count, Stencil, StencilGroup};
use mimeo::table::StencilTable;
use mimeo_tests::table_file::{Draft, header};
use mimeo_tests::toy;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Compiles the reader, or `None` where there is no C compiler.
fn reader(directory: &Path) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("c/read_table.c");
    let program = directory.join("read_table");
    let output = Command::new("cc")
        .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-O1", "-o"])
        .args([&program, &source])
        .output()
        .ok()?;
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}:\n{messages}", source.display());
    Some(program)
}

/// Runs the reader on a file with these bytes.
fn read(program: &Path, bytes: &[u8]) -> Output {
    let path = program.with_extension("mimeo");
    fs::write(&path, bytes).expect("a file in a directory of our own");
    Command::new(program)
        .arg(&path)
        .output()
        .expect("the reader runs")
}

/// CRC-32 as IEEE 802.3 has it.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & 0u32.wrapping_sub(crc & 1))
        })
    })
}

/// What the reader should print, from what the library says.
fn expected(table: &StencilTable) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    let (major, minor, patch) = table.llvm_version();
    let checksum = Draft::new(table.as_bytes()).u32_at(header::CHECKSUM);
    let (set, triple, cpu) = (table.set(), table.triple(), table.cpu());
    write!(
        text,
        "table {set} {triple} {cpu} {major}.{minor}.{patch} {checksum:08x} "
    )?;
    for byte in table.digest() {
        write!(text, "{byte:02x}")?;
    }
    text.push(' ');
    for byte in table.sources().unwrap_or(&[0; 32]) {
        write!(text, "{byte:02x}")?;
    }
    text.push('\n');
    for symbol in table.symbols() {
        writeln!(text, "symbol {symbol}")?;
    }
    for id in table.uops() {
        let (uop, group) = (table.uop(id), table.group(id));
        write!(text, "uop {}", uop.name)?;
        for effect in [uop.effect, uop.leaving_effect] {
            write!(text, " {} {}", count(effect.popped), count(effect.pushed))?;
        }
        let (flags, oparg, operand) = (uop.flags.bits(), uop.oparg_max, uop.operand_max);
        let operand1 = uop.operand1_max;
        write!(
            text,
            " {flags:x} {oparg} {operand} {operand1} {}",
            uop.locals
        )?;
        writeln!(text, "{}", parts(group))?;
    }
    for id in table.variants() {
        let variant = table.variant(id);
        write!(text, "variant")?;
        for (index, &uop) in variant.uops.iter().enumerate() {
            let (oparg, operand) = (variant.oparg_max(index), variant.operand_max(index));
            let (name, operand1) = (table.uop(uop).name, variant.operand1_max(index));
            write!(text, " {name} {oparg} {operand} {operand1}")?;
        }
        write!(text, " {}", variant.form)?;
        if let Form::Operands(form) = variant.form {
            write!(text, " {} {:04x}", form.intact, form.renameable.0)?;
        }
        for hole in variant.register_holes {
            let rex = hole.rex.map_or("-".to_owned(), |rex| rex.to_string());
            let (part, field) = (u8::from(hole.cold), hole.field as u8);
            let (offset, register) = (hole.offset, hole.register);
            write!(text, " {part}/{offset}/{rex}/{field}/{register}")?;
        }
        writeln!(text, "{}", parts(variant.group))?;
    }
    Ok(text)
}

fn parts(group: StencilGroup<'_>) -> String {
    let described = group.parts().map(|(_, stencil)| part(stencil));
    let checksums = group.parts().map(|(_, stencil)| crc32(stencil.bytes));
    let [hot, cold, data] = checksums.map(|checksum| format!("{checksum:08x}"));
    format!(" {} {hot} {cold} {data}", described.join(" "))
}

fn count(count: Count) -> String {
    format!("{},{},{}", count.fixed, count.per_oparg, count.low_bit)
}

fn part(stencil: Stencil<'_>) -> String {
    let sum = stencil.holes.iter().fold(0u64, |sum, hole| {
        let fields = [
            u64::from(hole.offset()),
            hole.kind() as u64,
            hole.value() as u64,
            u64::from(hole.shift()),
            u64::from(hole.element()),
            u64::from(hole.symbol()),
            i64::from(hole.addend()).cast_unsigned(),
        ];
        fields
            .into_iter()
            .fold(sum, |sum, field| sum.wrapping_mul(31).wrapping_add(field))
    });
    let (len, align, holes) = (stencil.bytes.len(), stencil.align, stencil.holes.len());
    format!("{len}/{align}/{holes}:{sum:016x}")
}

#[test]
fn a_c_program_sees_what_the_library_sees() {
    let directory = tempfile::tempdir().unwrap();
    let Some(program) = reader(directory.path()) else {
        println!("skipped: there is no C compiler (cc)");
        return;
    };
    let standard = mimeo_ir_templates::standard_table().unwrap();
    let mut limited = toy::contents_with_variants();
    for (bits, uop) in (0..=64).step_by(9).zip(&mut limited.uops) {
        uop.operand1_max = u64::MAX.checked_shr(64 - bits).unwrap_or(0);
    }
    limited.variants[1].operand1_max.fill(0xffff);
    let variants = toy::table_of(&limited);
    for table in [&standard, &toy::table(), &variants] {
        let output = read(&program, table.as_bytes());
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        let found = String::from_utf8(output.stdout).unwrap();
        let expected = expected(table).unwrap();
        for (found, expected) in found.lines().zip(expected.lines()) {
            assert_eq!(found, expected);
        }
        assert_eq!(found.lines().count(), expected.lines().count());
    }

    let mut damaged = standard.as_bytes().to_vec();
    damaged[12_345] ^= 1;
    let output = read(&program, &damaged);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stderr, b"not a table: its checksum is another\n");
}
