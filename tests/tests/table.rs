//! Stencil tables: what is written is read, files are replaced as a whole, and a row for each way in which a file can
//! fail to be a table.

use mimeo::hole::{Hole, HoleValue, MAX_SHIFT};
use mimeo::reloc::RelocationKind;
use mimeo::stencil::{Count, Part, StackEffect, StencilBuf, StencilGroupBuf, UopFlags};
use mimeo::table::{
    CALLING_CONVENTION, MAX_ALIGN, StencilTable, TRIPLE, TableContents, TableError, UopContents,
    VALUE_REGISTERS, replace_file,
};
use mimeo_tests::table_file::{Draft, SECTIONS, header};
use mimeo_tests::toy;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

// ---- Round trip ------------------------------------------------------------------------------------------------------

/// A hole, with the gap in front of it in place of its offset and any number in place of its symbol.
fn hole() -> impl Strategy<Value = (u32, RelocationKind, HoleValue, i32, u8, u32)> {
    (
        0..6u32,
        select(&RelocationKind::ALL[..]),
        select(&HoleValue::ALL[..]),
        any::<i32>(),
        0..=MAX_SHIFT,
        any::<u32>(),
    )
}

fn stencil(symbols: u32, max_align_log: u32) -> impl Strategy<Value = StencilBuf> {
    let holes = vec(hole(), 0..6);
    (vec(any::<u8>(), 0..60), holes, 0..=max_align_log).prop_map(
        move |(bytes, holes, align_log)| StencilBuf {
            holes: place(&holes, bytes.len(), symbols),
            bytes,
            align: 1 << align_log,
        },
    )
}

/// Puts holes one behind the other, as many as there is room for.
fn place(
    holes: &[(u32, RelocationKind, HoleValue, i32, u8, u32)],
    len: usize,
    symbols: u32,
) -> Vec<Hole> {
    let mut end = 0;
    let mut placed = Vec::new();
    for &(gap, kind, value, addend, shift, symbol) in holes {
        let hole = Hole::new(end + gap, kind, value, addend);
        let hole = match value {
            HoleValue::Symbol if symbols == 0 => continue,
            HoleValue::Symbol => hole.with_symbol(symbol % symbols),
            HoleValue::Oparg | HoleValue::Operand | HoleValue::Target => hole.with_shift(shift),
            _ => hole,
        };
        end = hole.end();
        if end as usize > len {
            break;
        }
        placed.push(hole);
    }
    placed
}

fn count() -> impl Strategy<Value = Count> {
    (any::<u8>(), any::<u8>(), any::<u8>()).prop_map(|(fixed, per_oparg, low_bit)| Count {
        fixed,
        per_oparg,
        low_bit,
    })
}

fn effect() -> impl Strategy<Value = StackEffect> {
    (count(), count()).prop_map(|(popped, pushed)| StackEffect { popped, pushed })
}

/// A uop without a name.
fn uop(symbols: u32) -> impl Strategy<Value = UopContents> {
    let group = (
        stencil(symbols, 0),
        stencil(symbols, 0),
        stencil(symbols, MAX_ALIGN.ilog2()),
    );
    let limits = (any::<u32>(), any::<u64>(), any::<u32>());
    let flags = any::<u32>().prop_map(UopFlags::from_bits_truncate);
    (effect(), effect(), flags, limits, group).prop_map(
        |(effect, leaving_effect, flags, (oparg_max, operand_max, locals), (hot, cold, data))| {
            let group = StencilGroupBuf { hot, cold, data };
            let announced = group
                .as_group()
                .holes()
                .map(|hole| UopFlags::announcing(hole.value()))
                .fold(flags, UopFlags::union);
            UopContents {
                name: String::new(),
                effect,
                leaving_effect,
                flags: announced,
                oparg_max,
                operand_max,
                locals,
                group,
            }
        },
    )
}

fn contents() -> impl Strategy<Value = TableContents> {
    let symbols = vec("\\PC{1,8}", 0..4);
    (
        ".{0,8}",
        ".{0,8}",
        any::<(u16, u16, u16)>(),
        any::<[u8; 32]>(),
        symbols,
    )
        .prop_flat_map(|(set, cpu, llvm_version, digest, symbols)| {
            let uops = btree_map("\\PC{1,8}", uop(symbols.len() as u32), 0..10);
            uops.prop_map(move |uops| TableContents {
                set: set.clone(),
                cpu: cpu.clone(),
                llvm_version,
                digest,
                symbols: symbols.clone(),
                uops: uops
                    .into_iter()
                    .map(|(name, uop)| UopContents { name, ..uop })
                    .collect(),
                variants: Vec::new(),
            })
        })
}

/// Contents, sorted by the names of the uops, and the same uops in any order.
fn contents_and_order() -> impl Strategy<Value = (TableContents, Vec<UopContents>)> {
    contents().prop_flat_map(|contents| {
        let uops = Just(contents.uops.clone()).prop_shuffle();
        (Just(contents), uops)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn what_is_written_is_read_whatever_the_order((contents, uops) in contents_and_order()) {
        let bytes = contents.to_bytes().expect("contents that are valid");
        let shuffled = TableContents { uops, ..contents.clone() };
        prop_assert_eq!(&bytes, &shuffled.to_bytes().expect("contents that are valid"));

        let table = StencilTable::from_bytes(bytes.clone()).expect("a table that was written");
        prop_assert_eq!(table.as_bytes(), &bytes);
        prop_assert_eq!(table.set(), &contents.set);
        prop_assert_eq!(table.cpu(), &contents.cpu);
        prop_assert_eq!(table.triple(), TRIPLE);
        prop_assert_eq!(table.llvm_version(), contents.llvm_version);
        prop_assert_eq!(table.digest(), &contents.digest);
        prop_assert!(table.symbols().eq(contents.symbols.iter().map(String::as_str)));
        prop_assert_eq!(table.uop_count(), contents.uops.len());
        for (id, uop) in table.uops().zip(&contents.uops) {
            prop_assert_eq!(table.uop(id), uop.info());
            prop_assert_eq!(table.group(id), uop.group.as_group());
            prop_assert_eq!(table.find(&uop.name), Some(id));
        }
        prop_assert_eq!(table.find(""), None);
    }
}

#[test]
fn a_file_a_static_and_bytes_are_the_same_table() {
    let bytes = mimeo_ir_templates::STANDARD_TABLE;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("table.mimeo");
    replace_file(&path, bytes).unwrap();
    for table in [
        StencilTable::open(&path),
        StencilTable::from_static(bytes),
        StencilTable::from_bytes(bytes.to_vec()),
    ] {
        let table = table.unwrap();
        assert_eq!(table.as_bytes(), bytes);
        assert!(table.uop_count() > 100);
    }
}

// ---- Files that are no table -----------------------------------------------------------------------------------------

/// The name of the variant, to compare an error with a row.
fn variant(error: &TableError) -> &'static str {
    match error {
        TableError::Io { .. } => "Io",
        TableError::Magic { .. } => "Magic",
        TableError::Version { .. } => "Version",
        TableError::Length { .. } => "Length",
        TableError::Checksum { .. } => "Checksum",
        TableError::Foreign { .. } => "Foreign",
        TableError::Invalid { .. } => "Invalid",
        TableError::TooLarge { .. } => "TooLarge",
    }
}

fn check(row: &str, error: &TableError, expected: (&str, &str)) {
    let message = error.to_string();
    assert!(
        variant(error) == expected.0 && message.contains(expected.1),
        "{row}: found {} {message:?}, expected {expected:?}",
        variant(error)
    );
}

type Row = (&'static str, fn(&mut Draft), &'static str, &'static str);

/// Changes the toy set's table as each row says, makes the checksum right again and compares the error.
fn check_rows<const N: usize>(rows: [Row; N]) {
    let draft = Draft::new(toy::table().as_bytes());
    draft.clone().load().expect("the toy set's table");
    for (row, change, variant, message) in rows {
        let mut changed = draft.clone();
        change(&mut changed);
        assert!(changed.bytes != draft.bytes, "{row}: nothing is changed");
        match changed.load() {
            Ok(_) => panic!("{row}: it is accepted"),
            Err(error) => check(row, &error, (variant, message)),
        }
    }
}

#[test]
fn files_of_another_kind() {
    check_rows([
        (
            "another magic",
            |draft| draft.bytes[0] = b'm',
            "Magic",
            "not a stencil table",
        ),
        // What a transfer as text does: CR LF becomes LF.
        (
            "a mangled line end",
            |draft| {
                draft.bytes.remove(5);
            },
            "Magic",
            "not a stencil table",
        ),
        (
            "a newer format",
            |draft| draft.put_u32(header::FORMAT_VERSION, 3),
            "Version",
            "of format version 3, this library reads version 2",
        ),
        (
            "an older format",
            |draft| draft.put_u32(header::FORMAT_VERSION, 1),
            "Version",
            "of format version 1,",
        ),
        (
            "a newer format of another length",
            |draft| {
                draft.put_u32(header::FORMAT_VERSION, u32::MAX);
                draft.bytes.truncate(40);
            },
            "Version",
            "4294967295",
        ),
        (
            "one byte more",
            |draft| draft.bytes.push(0),
            "Length",
            "has something appended",
        ),
        (
            "one byte less",
            |draft| {
                draft.bytes.pop();
            },
            "Length",
            "it is truncated",
        ),
        (
            "another target",
            |draft| {
                let triple = draft.element("strings", draft.u32_at(header::TRIPLE) as usize);
                draft.bytes[triple..][..6].copy_from_slice(b"risc-v");
            },
            "Foreign",
            "for target risc-v-unknown-linux-gnu, this library runs x86_64-unknown-linux-gnu",
        ),
        (
            "the calling convention of older LLVMs",
            |draft| draft.put_u32(header::CALLING_CONVENTION, 10),
            "Foreign",
            "calling convention 10, this library runs 21",
        ),
        (
            "another number of value registers",
            |draft| draft.put_u32(header::VALUE_REGISTERS, 0),
            "Foreign",
            "value registers of 0, this library runs 3",
        ),
    ]);
    assert_eq!((CALLING_CONVENTION, VALUE_REGISTERS), (21, 3));
}

#[test]
fn headers_that_are_wrong() {
    check_rows([
        (
            "a longer header",
            |draft| draft.put_u32(header::HEADER_LENGTH, 180),
            "Invalid",
            "header: its length is 180, expected 176",
        ),
        (
            "a reserved field in use",
            |draft| draft.put_u32(header::RESERVED, 1),
            "Invalid",
            "header: a reserved field is not 0",
        ),
        (
            "a fourth number in the LLVM version",
            |draft| draft.bytes[header::LLVM_VERSION + 6] = 1,
            "Invalid",
            "header: a reserved field is not 0",
        ),
        (
            "the set's name outside the strings",
            |draft| draft.put_u32(header::SET, u32::MAX),
            "Invalid",
            "set name: ",
        ),
        (
            "a set's name that is not UTF-8",
            |draft| {
                let name = draft.element("strings", draft.u32_at(header::SET) as usize);
                draft.bytes[name] = 0xff;
            },
            "Invalid",
            "set name: it is not UTF-8",
        ),
    ]);
}

/// Sections lie one behind the other, without gaps, up to the end of the file.
#[test]
fn sections_that_are_elsewhere_or_longer_or_shorter() {
    let draft = Draft::new(toy::table().as_bytes());
    for (index, (name, field, size)) in SECTIONS.into_iter().enumerate() {
        let next = SECTIONS.get(index + 1).map_or("sections", |next| next.0);
        let too_many = u32::MAX / size as u32;
        let rows = [
            (field, 1, name),
            (field, u32::MAX, name),
            (field, 0x8000_0000, name),
            (field + 4, u32::MAX, next),
            (field + 4, too_many, name),
        ];
        for (at, added, place) in rows {
            let mut changed = draft.clone();
            changed.add_u32(at, added);
            match changed.load() {
                // An element more may still lie inside the file; then it is the next section that starts too early.
                Err(TableError::Invalid { place: found, .. }) => {
                    assert!(
                        found.contains(place) || found.contains(next),
                        "{name} at {at} + {added:#x}: {found}"
                    );
                }
                other => panic!("{name} at {at} + {added:#x}: {other:?}"),
            }
        }
    }
}

#[test]
fn truncation_at_a_boundary_with_a_length_and_a_checksum_that_agree() {
    for bytes in [toy::table().as_bytes(), mimeo_ir_templates::STANDARD_TABLE] {
        let draft = Draft::new(bytes);
        let starts = SECTIONS.map(|(name, ..)| draft.element(name, 0));
        for (start, (name, ..)) in starts.into_iter().zip(SECTIONS) {
            for end in [start - 1, start, start + 1] {
                let mut cut = draft.clone();
                cut.bytes.truncate(end);
                cut.fix_length();
                match cut.load() {
                    Err(TableError::Invalid { place, .. }) if end >= header::LENGTH => {
                        assert!(place.starts_with("section"), "{name}, {end}: {place}");
                    }
                    Err(TableError::Length { .. }) if end < header::LENGTH => {}
                    other => panic!("{name}, {end}: {other:?}"),
                }
            }
        }
    }
}

#[test]
fn uops_that_are_wrong() {
    check_rows([
        (
            "names out of order",
            |draft| {
                let (first, second) = (draft.element("uops", 0), draft.element("uops", 1));
                for at in 0..8 {
                    draft.bytes.swap(first + at, second + at);
                }
            },
            "Invalid",
            "uop 1: _ADD does not sort after _CALL",
        ),
        (
            "one name twice",
            |draft| {
                let (first, second) = (draft.element("uops", 0), draft.element("uops", 1));
                draft.bytes.copy_within(first..first + 8, second);
            },
            "Invalid",
            "uop 1: _ADD does not sort after _ADD",
        ),
        (
            "an empty name",
            |draft| draft.put_u32(draft.uop("_EXIT") + 4, 0),
            "Invalid",
            "its name is not UTF-8 inside the strings, or empty",
        ),
        (
            "a name outside the strings",
            |draft| draft.put_u32(draft.uop("_EXIT") + 4, 10_000),
            "Invalid",
            "its name is not UTF-8 inside the strings, or empty",
        ),
        (
            "a name that is not UTF-8",
            |draft| {
                let name = draft.u32_at(draft.uop("_EXIT")) as usize;
                let name = draft.element("strings", name);
                draft.bytes[name + 1] = 0xc3;
            },
            "Invalid",
            "its name is not UTF-8 inside the strings, or empty",
        ),
        (
            "a flag that there is not",
            |draft| draft.add_u32(draft.uop("_EXIT") + 20, 1 << 17),
            "Invalid",
            "uop _EXIT: flags 0x20030 hold unknown bits",
        ),
        (
            "a symbol without a name",
            |draft| draft.put_u32(draft.element("symbols", 1) + 4, 0),
            "Invalid",
            "symbol 1: its name is not UTF-8 inside the strings, or empty",
        ),
    ]);
}

#[test]
fn parts_that_are_wrong() {
    check_rows([
        (
            "code outside its section",
            |draft| draft.add_u32(draft.part("_EXIT", Part::Hot), 10_000),
            "Invalid",
            "uop _EXIT, hot code: its bytes or holes lie outside their section",
        ),
        (
            "code longer than its section",
            |draft| draft.put_u32(draft.part("_EXIT", Part::Cold) + 4, u32::MAX),
            "Invalid",
            "uop _EXIT, cold code: its bytes or holes lie outside their section",
        ),
        (
            "data that reaches into the strings",
            |draft| draft.put_u32(draft.part("_CONSTANT", Part::Data) + 4, 9),
            "Invalid",
            "uop _CONSTANT, data: its bytes or holes lie outside their section",
        ),
        (
            "holes outside their section",
            |draft| draft.put_u32(draft.part("_EXIT", Part::Hot) + 8, u32::MAX),
            "Invalid",
            "uop _EXIT, hot code: its bytes or holes lie outside their section",
        ),
        (
            "more holes than there are",
            |draft| draft.put_u32(draft.part("_EXIT", Part::Hot) + 12, u32::MAX),
            "Invalid",
            "uop _EXIT, hot code: its bytes or holes lie outside their section",
        ),
        (
            "code that is aligned",
            |draft| draft.put_u32(draft.part("_EXIT", Part::Hot) + 16, 2),
            "Invalid",
            "uop _EXIT, hot code: its alignment is 2, expected a power of two up to 1",
        ),
        (
            "data aligned to nothing",
            |draft| draft.put_u32(draft.part("_CONSTANT", Part::Data) + 16, 0),
            "Invalid",
            "uop _CONSTANT, data: its alignment is 0, expected a power of two up to 64",
        ),
        (
            "data aligned to 3",
            |draft| draft.put_u32(draft.part("_CONSTANT", Part::Data) + 16, 3),
            "Invalid",
            "its alignment is 3,",
        ),
        (
            "data aligned to more than a cache line",
            |draft| draft.put_u32(draft.part("_CONSTANT", Part::Data) + 16, 128),
            "Invalid",
            "its alignment is 128,",
        ),
    ]);
}

#[test]
fn holes_that_are_wrong() {
    // `_CHECK_VALIDITY` has 13 bytes and holes of 4 bytes at 2 (EXECUTOR) and 9 (JUMP_TARGET); `_LOAD` one at 4 (OPARG).
    check_rows([
        (
            "a kind that there is not",
            |draft| draft.put_u8(draft.hole("_LOAD", 0) + 12, 9),
            "Invalid",
            "uop _LOAD, hot code: hole at 0x4: relocation kind 9 is unknown",
        ),
        (
            "a value that there is not",
            |draft| draft.put_u8(draft.hole("_LOAD", 0) + 13, 18),
            "Invalid",
            "hole at 0x4: hole value 18 is unknown, expected 0..18",
        ),
        (
            "a shift too far",
            |draft| draft.put_u8(draft.hole("_LOAD", 0) + 14, 7),
            "Invalid",
            "hole at 0x4: shift 7 of OPARG is not allowed",
        ),
        (
            "a shift of an address",
            |draft| draft.put_u8(draft.hole("_CHECK_VALIDITY", 1) + 14, 1),
            "Invalid",
            "hole at 0x9: shift 1 of JUMP_TARGET is not allowed",
        ),
        (
            "a second uop of a base form",
            |draft| draft.put_u8(draft.hole("_LOAD", 0) + 15, 1),
            "Invalid",
            "hole at 0x4: element 1 of OPARG does not exist, there are 1",
        ),
        (
            "an element of the whole",
            |draft| draft.put_u8(draft.hole("_CHECK_VALIDITY", 0) + 15, 1),
            "Invalid",
            "hole at 0x2: element 1 of EXECUTOR does not exist, there are 1",
        ),
        (
            "an input of a base form",
            |draft| {
                let hole = draft.hole("_LOAD", 0);
                draft.put_u8(hole + 13, HoleValue::Input as u8);
                draft.put_u8(hole + 14, 0);
            },
            "Invalid",
            "hole at 0x4: element 0 of INPUT does not exist, there are 0",
        ),
        (
            "a pooled input of a base form",
            |draft| draft.put_u8(draft.hole("_CALL", 0) + 13, HoleValue::Pooled as u8),
            "Invalid",
            "hole at 0x5: element 0 of POOLED does not exist, there are 0",
        ),
        (
            "an addend that is no part of a link",
            |draft| draft.put_u32(draft.hole("_CALL", 0) + 4, 0x1_0001),
            "Invalid",
            "hole at 0x5: its addend is 0x10001, expected 0x10000 either way at most",
        ),
        (
            "a symbol that there is not",
            |draft| draft.put_u32(draft.hole("_CALL", 0) + 8, 2),
            "Invalid",
            "hole at 0x5: symbol 2 does not exist, there are 2",
        ),
        (
            "a symbol for another value",
            |draft| draft.put_u32(draft.hole("_LOAD", 0) + 8, 1),
            "Invalid",
            "hole at 0x4: symbol is 1 for OPARG, expected 0",
        ),
        (
            "a hole that ends behind its part",
            |draft| draft.put_u32(draft.hole("_CHECK_VALIDITY", 1), 10),
            "Invalid",
            "hole at 0xa: it ends at 0xe, behind the 0xd bytes",
        ),
        (
            "a hole as far away as can be",
            |draft| draft.put_u32(draft.hole("_CHECK_VALIDITY", 1), u32::MAX),
            "Invalid",
            "hole at 0xffffffff: it ends at 0xffffffff, behind the 0xd bytes",
        ),
        (
            "a wider kind that ends behind its part",
            |draft| draft.put_u8(draft.hole("_CHECK_VALIDITY", 1) + 12, 1),
            "Invalid",
            "hole at 0x9: it ends at 0x11, behind the 0xd bytes",
        ),
        (
            "holes that overlap",
            |draft| draft.put_u32(draft.hole("_CHECK_VALIDITY", 1), 5),
            "Invalid",
            "hole at 0x5: it overlaps the one before, which ends at 0x6",
        ),
        (
            "holes that overlap because one is wider",
            |draft| draft.put_u8(draft.hole("_CHECK_VALIDITY", 0) + 12, 1),
            "Invalid",
            "hole at 0x9: it overlaps the one before, which ends at 0xa",
        ),
        (
            "holes out of order",
            |draft| {
                let first = draft.hole("_CHECK_VALIDITY", 0);
                for at in first..first + 16 {
                    draft.bytes.swap(at, at + 16);
                }
            },
            "Invalid",
            "hole at 0x2: it overlaps the one before, which ends at 0xd",
        ),
        // What the trace prepares for a uop it prepares by the uop's flags.
        (
            "an exit record that the uop does not have",
            |draft| draft.put_u8(draft.hole("_CHECK_VALIDITY", 0) + 13, HoleValue::Exit as u8),
            "Invalid",
            "hole at 0x2: it is filled with EXIT, but the uop does not have the flag EXIT_RECORD",
        ),
        (
            "a jump of a uop that does not jump",
            |draft| draft.put_u8(draft.hole("_CALL", 0) + 13, HoleValue::JumpTarget as u8),
            "Invalid",
            "filled with JUMP_TARGET, but the uop does not have the flag DEOPT or EXIT or JUMP",
        ),
    ]);
}

#[test]
fn contents_that_are_no_table_are_not_written() {
    let named = |name: &str| toy::uop(name);
    let with_hole = |hole: Hole| {
        let mut uop = toy::uop("_HOLE");
        uop.flags = UopFlags::OPARG;
        uop.group.hot = toy::code(&[0; 8], &[hole]);
        uop
    };
    let oparg = |offset| Hole::new(offset, RelocationKind::Abs32, HoleValue::Oparg, 0);
    let rows = [
        (
            "two uops of a name",
            vec![named("_A"), named("_B"), named("_A")],
            "_A does not sort after _A",
        ),
        ("a uop without a name", vec![named("")], "empty"),
        (
            "a hole at the edge",
            vec![with_hole(oparg(5))],
            "it ends at 0x9, behind the 0x8 bytes",
        ),
        (
            "a shift too far",
            vec![with_hole(oparg(0).with_shift(7))],
            "shift 7",
        ),
        (
            "a symbol that there is not",
            vec![with_hole(Hole::new(
                0,
                RelocationKind::Pc32,
                HoleValue::Symbol,
                0,
            ))],
            "symbol 0 does not exist, there are 0",
        ),
    ];
    for (row, uops, message) in rows {
        match toy::contents("wrong", &[], uops).to_bytes() {
            Ok(_) => panic!("{row}: it is written"),
            Err(error) => check(row, &error, ("Invalid", message)),
        }
    }
}

#[test]
fn files_that_cannot_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing.mimeo");
    for (path, expected) in [
        (missing.as_path(), ("Io", "missing.mimeo")),
        (directory.path(), ("Io", "cannot read ")),
    ] {
        let error = StencilTable::open(path).unwrap_err();
        check(&path.display().to_string(), &error, expected);
    }
    let empty = directory.path().join("empty.mimeo");
    fs::write(&empty, []).unwrap();
    let error = StencilTable::open(&empty).unwrap_err();
    check("an empty file", &error, ("Length", "the file has 0 bytes"));
}

// ---- Replacing a file --------------------------------------------------------------------------------------------------

/// The names in a directory, hidden ones included.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    let mut names: Vec<String> = entries
        .map(|entry| name(entry.expect("an entry")))
        .collect();
    names.sort();
    names
}

#[test]
fn a_file_is_replaced_as_a_whole() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("table.mimeo");
    let old = toy::toy_contents().to_bytes().unwrap();
    let new = mimeo_ir_templates::STANDARD_TABLE;
    replace_file(&path, &old).unwrap();
    let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o644);
    // Whoever has mapped the old file keeps it.
    let mapped = StencilTable::open(&path).unwrap();
    replace_file(&path, new).unwrap();
    assert_eq!(mapped.as_bytes(), old);
    assert_eq!(StencilTable::open(&path).unwrap().as_bytes(), new);
    assert_eq!(names(directory.path()), ["table.mimeo"]);
}

#[test]
fn who_reads_while_a_file_is_replaced_sees_one_or_the_other() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("table.mimeo");
    let tables = [
        toy::toy_contents().to_bytes().unwrap(),
        mimeo_ir_templates::STANDARD_TABLE.to_vec(),
    ];
    replace_file(&path, &tables[0]).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let found = StencilTable::open(&path).expect("a whole table");
                assert!(tables.iter().any(|table| table == found.as_bytes()));
            }
        });
        for turn in 0..40 {
            replace_file(&path, &tables[turn % 2]).unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
}

/// Permissions would not stop the superuser, so these are places where nobody can write.
#[test]
fn a_file_that_cannot_be_replaced_stays_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, b"old").unwrap();
    let occupied = directory.path().join("directory");
    fs::create_dir(&occupied).unwrap();
    fs::write(occupied.join("inside"), b"old").unwrap();
    let before = names(directory.path());
    for (row, path) in [
        ("under a file", file.join("table.mimeo")),
        (
            "under nothing",
            directory.path().join("missing/table.mimeo"),
        ),
        ("in place of a directory", occupied.clone()),
    ] {
        let error = replace_file(&path, b"new").unwrap_err();
        let expected = format!("cannot write {}", path.display());
        check(row, &error, ("Io", &expected));
        assert_eq!(names(directory.path()), before, "{row}");
        assert_eq!(fs::read(&file).unwrap(), b"old", "{row}");
        assert_eq!(names(&occupied), ["inside"], "{row}");
    }
}
