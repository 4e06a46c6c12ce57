//! Stencil tables: what is written is read, files are replaced as a whole, and a row for each way in which a file can
//! fail to be a table.
#![allow(unsafe_code)]

use mimeo::form::{
    Class, Form, Input, MAX_FUSED, OperandForm, Register, RegisterField, RegisterHole, RegisterSet,
};
use mimeo::hole::{Hole, HoleValue, MAX_SHIFT};
use mimeo::reloc::RelocationKind;
use mimeo::stencil::{Count, Part, StackEffect, StencilBuf, StencilGroupBuf, UopFlags};
use mimeo::table::{
    CALLING_CONVENTION, MAX_ALIGN, StencilTable, TRIPLE, TableContents, TableError, UopContents,
    VALUE_REGISTERS, VariantContents, write_file,
};
use mimeo_tests::table_file::{Draft, SECTIONS, header};
use mimeo_tests::toy;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

// ---- Round trip ------------------------------------------------------------------------------------------------------

/// A hole, with the gap in front of it in place of its offset and any number in place of its symbol and element.
#[derive(Clone, Debug)]
struct HoleSeed {
    gap: u32,
    kind: RelocationKind,
    value: HoleValue,
    addend: i32,
    shift: u8,
    symbol: u32,
    element: u8,
}

fn hole() -> impl Strategy<Value = HoleSeed> {
    let value = (
        select(&RelocationKind::ALL[..]),
        select(&HoleValue::ALL[..]),
        prop_oneof![Just(0), Just(-4), any::<i32>()],
        0..=MAX_SHIFT,
    );
    (0..6u32, value, any::<u32>(), any::<u8>()).prop_map(
        |(gap, (kind, value, addend, shift), symbol, element)| HoleSeed {
            gap,
            kind,
            value,
            addend,
            shift,
            symbol,
            element,
        },
    )
}

#[derive(Clone, Debug)]
struct StencilSeed {
    bytes: Vec<u8>,
    holes: Vec<HoleSeed>,
    align: u32,
}

fn stencil(max_align_log: u32) -> impl Strategy<Value = StencilSeed> {
    let holes = vec(hole(), 0..6);
    (vec(any::<u8>(), 0..60), holes, 0..=max_align_log).prop_map(|(bytes, holes, align_log)| {
        StencilSeed {
            bytes,
            holes,
            align: 1 << align_log,
        }
    })
}

type GroupSeed = [StencilSeed; 3];

fn group() -> impl Strategy<Value = GroupSeed> {
    (stencil(0), stencil(0), stencil(MAX_ALIGN.ilog2()))
        .prop_map(|(hot, cold, data)| [hot, cold, data])
}

/// Whose stencils are made of seeds: so that each hole is one that there can be.
struct Owner<'a> {
    symbols: u32,
    /// The flags of the uops; `None` for a base form, which gets those that its holes need.
    flags: Option<&'a [UopFlags]>,
    inputs: &'a [Input],
}

impl Owner<'_> {
    fn group(&self, seeds: &GroupSeed) -> StencilGroupBuf {
        let [hot, cold, data] = seeds.each_ref().map(|seed| self.stencil(seed));
        StencilGroupBuf { hot, cold, data }
    }

    /// Puts holes one behind the other, as many as there is room for.
    fn stencil(&self, seed: &StencilSeed) -> StencilBuf {
        let mut end = 0;
        let mut holes = Vec::new();
        for seed_of_hole in &seed.holes {
            let Some(hole) = self.hole(seed_of_hole, end + seed_of_hole.gap) else {
                continue;
            };
            end = hole.end();
            if end as usize > seed.bytes.len() {
                break;
            }
            holes.push(hole);
        }
        StencilBuf {
            bytes: seed.bytes.clone(),
            holes,
            align: seed.align,
        }
    }

    fn hole(&self, seed: &HoleSeed, offset: u32) -> Option<Hole> {
        let addend = if seed.kind.is_pc_relative() {
            seed.addend.rem_euclid(0x2_0001) - 0x1_0000
        } else {
            seed.addend
        };
        let hole = Hole::new(offset, seed.kind, seed.value, addend);
        match seed.value {
            HoleValue::Symbol if self.symbols == 0 => None,
            HoleValue::Symbol => Some(hole.with_symbol(seed.symbol % self.symbols)),
            HoleValue::Input | HoleValue::Pooled => self.input(seed, hole),
            value => {
                let shift = match value {
                    HoleValue::Oparg | HoleValue::Operand | HoleValue::Target => seed.shift,
                    _ => 0,
                };
                let element = self.element(value, seed.element)?;
                Some(hole.with_shift(shift).with_element(element))
            }
        }
    }

    /// One of the inputs that a hole of this value is for.
    fn input(&self, seed: &HoleSeed, hole: Hole) -> Option<Hole> {
        let (element, input) = self
            .inputs
            .iter()
            .enumerate()
            .cycle()
            .skip(seed.element.into())
            .take(self.inputs.len())
            .find(|(_, input)| match seed.value {
                HoleValue::Pooled => **input == Input::Pooled,
                _ => matches!(input, Input::Signed32 | Input::Unsigned(_)),
            })?;
        let kind = match input {
            _ if seed.value == HoleValue::Pooled => seed.kind,
            Input::Unsigned(..=7) => RelocationKind::Abs8,
            Input::Unsigned(..=15) => RelocationKind::Abs16,
            Input::Unsigned(_) => RelocationKind::Abs32,
            _ => RelocationKind::Abs32S,
        };
        let addend = if seed.value == HoleValue::Pooled {
            hole.addend()
        } else {
            0
        };
        let hole = Hole::new(hole.offset(), kind, seed.value, addend);
        Some(hole.with_element(element as u8))
    }

    /// One of the uops that may have a hole of this value; always the same for a way out.
    fn element(&self, value: HoleValue, any: u8) -> Option<u8> {
        let announcing = UopFlags::announcing(value);
        let Some(flags) = self.flags.filter(|_| !announcing.is_empty()) else {
            return Some(0);
        };
        let mut having = (0..flags.len()).filter(|&index| flags[index].intersects(announcing));
        let element = match value {
            HoleValue::Oparg | HoleValue::Operand | HoleValue::Target => {
                let count = having.clone().count().max(1);
                having.nth(usize::from(any) % count)?
            }
            _ => having.next()?,
        };
        Some(element as u8)
    }
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

/// The largest oparg, operand and second operand.
type Limits = (u32, u64, u64);

fn limits() -> impl Strategy<Value = Limits> {
    let operand1 = (0..=64u32).prop_map(|bits| u64::MAX.checked_shr(64 - bits).unwrap_or(0));
    (0..=u32::from(u16::MAX), any::<u64>(), operand1)
}

/// A uop without a name.
fn uop(symbols: u32) -> impl Strategy<Value = UopContents> {
    let limits = (limits(), any::<u32>());
    let flags = any::<u32>().prop_map(UopFlags::from_bits_truncate);
    (effect(), effect(), flags, limits, group()).prop_map(
        move |(effect, leaving_effect, flags, (limits, locals), group)| {
            let (oparg_max, operand_max, operand1_max) = limits;
            let owner = Owner {
                symbols,
                flags: None,
                inputs: &[],
            };
            let group = owner.group(&group);
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
                operand1_max,
                locals,
                group,
            }
        },
    )
}

/// Registers that differ, none of them or more.
fn registers(most: usize) -> impl Strategy<Value = Vec<Register>> {
    subsequence(Register::all().collect::<Vec<_>>(), 0..=most).prop_shuffle()
}

fn form() -> impl Strategy<Value = Form> {
    let slots = (0..=3u8, 0..=3u8).prop_map(|(inside, outside)| toy::slots(inside, outside));
    let constants = prop_oneof![
        Just(Input::Signed32),
        (1..=31u8).prop_map(Input::Unsigned),
        Just(Input::Pooled),
    ];
    let inputs = (registers(2), vec(constants, 0..=2)).prop_flat_map(|(registers, constants)| {
        let registers = registers.into_iter().map(Input::Register);
        Just(registers.chain(constants).collect::<Vec<_>>()).prop_shuffle()
    });
    let output = option::of(select(Register::all().collect::<Vec<_>>()));
    let operands = (inputs, output, any::<u8>(), any::<u16>()).prop_map(
        |(inputs, output, intact, renameable)| {
            let mut form = OperandForm {
                intact: intact % (inputs.len() as u8 + 1),
                inputs,
                output,
                renameable: RegisterSet(renameable),
            };
            form.renameable.0 |= form.placeholders().0;
            Form::Operands(form)
        },
    );
    prop_oneof![1 => slots, 2 => operands]
}

/// What a variant is made of when the uops are known: their positions, limits and all else.
type VariantSeed = (Vec<(usize, Limits)>, Form, GroupSeed, Vec<(u8, u8)>);

fn variant_seed() -> impl Strategy<Value = VariantSeed> {
    let elements = vec((any::<usize>(), limits()), 1..=MAX_FUSED);
    (elements, form(), group(), vec(any::<(u8, u8)>(), 0..6))
}

fn made_variant(seed: VariantSeed, symbols: u32, uops: &[UopContents]) -> Option<VariantContents> {
    let (mut elements, form, group, places) = seed;
    let of = |element: &(usize, Limits)| uops.get(element.0.checked_rem(uops.len())?);
    let terminal = |element| of(element).is_some_and(|uop| uop.flags.contains(UopFlags::TERMINAL));
    if let Some(last) = elements.iter().position(terminal) {
        elements.truncate(last + 1);
    }
    let uops: Vec<&UopContents> = elements.iter().map(of).collect::<Option<_>>()?;
    let flags: Vec<UopFlags> = uops.iter().map(|uop| uop.flags).collect();
    let owner = Owner {
        symbols,
        flags: Some(&flags),
        inputs: form.inputs(),
    };
    let mut made = VariantContents {
        uops: uops.iter().map(|uop| uop.name.clone()).collect(),
        oparg_max: elements.iter().map(|element| element.1.0).collect(),
        operand_max: elements.iter().map(|element| element.1.1).collect(),
        operand1_max: elements.iter().map(|element| element.1.2).collect(),
        group: owner.group(&group),
        form,
        register_holes: Vec::new(),
    };
    for (cold, field) in places {
        place_register(&mut made, cold % 2 == 1, field);
    }
    made.register_holes.sort_by_key(RegisterHole::order);
    Some(made)
}

/// Puts an instruction with a placeholder behind one of the parts, if there are placeholders.
fn place_register(variant: &mut VariantContents, cold: bool, any: u8) {
    let registers: Vec<Register> = variant.form.placeholders().registers().collect();
    let Some(&register) = registers.get(usize::from(any / 3) % registers.len().max(1)) else {
        return;
    };
    let fields = [
        RegisterField::Reg,
        RegisterField::Base,
        RegisterField::Index,
    ];
    let field = fields[usize::from(any % 3)];
    let part = if cold {
        &mut variant.group.cold.bytes
    } else {
        &mut variant.group.hot.bytes
    };
    let start = part.len() as u32;
    let rex = 0x40 | (register.encoding() >> 3) << field.rex_bit();
    let number = (register.encoding() & 7) << field.shift();
    part.extend([rex, 0x8b, 0xc0 & !(7 << field.shift()) | number]);
    variant.register_holes.push(RegisterHole {
        cold,
        offset: start + 2,
        rex: (register.class() == Class::General).then_some(start),
        field,
        register,
    });
}

fn contents() -> impl Strategy<Value = TableContents> {
    let symbols = vec("\\PC{1,8}", 0..4);
    (
        ".{0,8}",
        ".{0,8}",
        any::<(u16, u16, u16)>(),
        any::<[u8; 32]>(),
        any::<[u8; 32]>(),
        symbols,
    )
        .prop_flat_map(|(set, cpu, llvm_version, digest, sources, symbols)| {
            let uops = btree_map("\\PC{1,8}", uop(symbols.len() as u32), 0..10);
            let variants = vec(variant_seed(), 0..12);
            (uops, variants).prop_map(move |(uops, variants)| {
                let uops: Vec<UopContents> = uops
                    .into_iter()
                    .map(|(name, uop)| {
                        let flags = match variants.is_empty() {
                            true => uop.flags,
                            // Locals in registers do not go with other frames.
                            false => uop.flags.difference(UopFlags::SWITCHES_FRAME),
                        };
                        UopContents { name, flags, ..uop }
                    })
                    .collect();
                let made = |seed| made_variant(seed, symbols.len() as u32, &uops);
                TableContents {
                    set: set.clone(),
                    cpu: cpu.clone(),
                    llvm_version,
                    digest,
                    sources,
                    symbols: symbols.clone(),
                    variants: without_doubles(variants.into_iter().filter_map(made)),
                    uops,
                }
            })
        })
}

/// The variants in the order of a table, one of those whose uops and values are the same.
fn without_doubles(variants: impl Iterator<Item = VariantContents>) -> Vec<VariantContents> {
    let key = |variant: &VariantContents| {
        let values = match &variant.form {
            Form::Slots {
                registers_in,
                registers_out,
            } => (0, *registers_in, *registers_out, [0xff; 4], 0xff),
            Form::Operands(form) => {
                let mut inputs = [0xff; 4];
                for (number, input) in inputs.iter_mut().zip(&form.inputs) {
                    *number = input.as_u8();
                }
                (1, 0, 0, inputs, form.output.map_or(0xff, Register::as_u8))
            }
        };
        (variant.uops.clone(), values)
    };
    let by_key: BTreeMap<_, _> = variants.map(|variant| (key(&variant), variant)).collect();
    by_key.into_values().collect()
}

/// Contents in the order of a table, and the same in any order.
fn contents_and_shuffled() -> impl Strategy<Value = (TableContents, TableContents)> {
    contents().prop_flat_map(|contents| {
        let uops = Just(contents.uops.clone()).prop_shuffle();
        let variants = Just(contents.variants.clone()).prop_shuffle();
        (Just(contents), uops, variants).prop_map(|(contents, uops, variants)| {
            let shuffled = TableContents {
                uops,
                variants,
                ..contents.clone()
            };
            (contents, shuffled)
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn what_is_written_is_read_whatever_the_order((contents, shuffled) in contents_and_shuffled()) {
        let bytes = contents.to_bytes().expect("contents that are valid");
        prop_assert_eq!(&bytes, &shuffled.to_bytes().expect("contents that are valid"));

        let table = StencilTable::from_bytes(bytes.clone()).expect("a table that was written");
        prop_assert_eq!(table.as_bytes(), &bytes);
        prop_assert_eq!(table.set(), &contents.set);
        prop_assert_eq!(table.cpu(), &contents.cpu);
        prop_assert_eq!(table.triple(), TRIPLE);
        prop_assert_eq!(table.llvm_version(), contents.llvm_version);
        prop_assert_eq!(table.digest(), &contents.digest);
        prop_assert_eq!(table.sources(), Some(&contents.sources));
        prop_assert!(table.symbols().eq(contents.symbols.iter().map(String::as_str)));
        prop_assert_eq!(table.uop_count(), contents.uops.len());
        for (id, uop) in table.uops().zip(&contents.uops) {
            prop_assert_eq!(table.uop(id), uop.info());
            prop_assert_eq!(table.group(id), uop.group.as_group());
            prop_assert_eq!(table.find(&uop.name), Some(id));
        }
        prop_assert_eq!(table.find(""), None);
        prop_assert_eq!(table.variant_count(), contents.variants.len());
        for (id, variant) in table.variants().zip(&contents.variants) {
            prop_assert_eq!(&toy::owned_variant(&table, id), variant);
            prop_assert_eq!(table.variant(id).to_string(), variant.to_string());
        }
    }
}

#[test]
fn a_file_a_static_and_bytes_are_the_same_table() {
    let bytes = mimeo_ir_templates::STANDARD_TABLE;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("table.mimeo");
    write_file(&path, bytes).unwrap();
    for table in [
        StencilTable::open(&path),
        // SAFETY: nothing else knows the file.
        unsafe { StencilTable::map(&path) },
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
    check_rows_of(&Draft::new(toy::table().as_bytes()), rows);
}

fn check_rows_of<const N: usize>(draft: &Draft, rows: [Row; N]) {
    draft.clone().load().expect("a table");
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
            |draft| draft.put_u32(header::FORMAT_VERSION, 4),
            "Version",
            "of format version 4, this library reads version 3",
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
            |draft| draft.put_u32(header::HEADER_LENGTH, 212),
            "Invalid",
            "header: its length is 212, expected 208",
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

/// The toy set's table with variants.
fn with_variants() -> Draft {
    let bytes = toy::contents_with_variants().to_bytes();
    Draft::new(&bytes.expect("contents that are valid"))
}

/// Sections lie one behind the other, without gaps, up to the end of the file.
#[test]
fn sections_that_are_elsewhere_or_longer_or_shorter() {
    let draft = with_variants();
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
    let standard = Draft::new(mimeo_ir_templates::STANDARD_TABLE);
    for draft in [with_variants(), standard] {
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
            |draft| draft.add_u32(draft.uop("_EXIT") + 20, 1 << 21),
            "Invalid",
            "uop _EXIT: flags 0x200030 hold unknown bits",
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
            |draft| draft.put_u8(draft.hole("_LOAD", 0) + 13, 19),
            "Invalid",
            "hole at 0x4: hole value 19 is unknown, expected 0..19",
        ),
        (
            "a shift too far",
            |draft| draft.put_u8(draft.hole("_LOAD", 0) + 14, 7),
            "Invalid",
            "hole at 0x4: shift 7 of OPARG is not allowed",
        ),
        (
            "a second operand of less than no bits",
            |draft| draft.put_u8(draft.uop("_PUSH") + 26, 65),
            "Invalid",
            "uop _PUSH: 65 upper bits of operand1 are 0, expected at most 64",
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
            "hole at 0x5: its addend is 65537, expected at most 65536 either way",
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

/// The variants are those of [`toy::contents_with_variants`], in the order there; a uop that does not continue is number
/// 4, `_EXIT`.
#[test]
fn variants_that_are_wrong() {
    check_rows_of(
        &with_variants(),
        [
            (
                "another variant's uops",
                |draft| draft.add_u32(draft.variant(1), 1),
                "Invalid",
                "variant 1: elements 2 and 1 on, expected them from 1 of 13",
            ),
            (
                "more uops than there are",
                |draft| draft.put_u32(draft.variant(10) + 4, u32::MAX),
                "Invalid",
                "variant 10: elements 11 and 4294967295 on, expected them from 11 of 13",
            ),
            (
                "no uops",
                |draft| draft.put_u32(draft.variant(0) + 4, 0),
                "Invalid",
                "variant 0: it has 0 uops, expected 1 to 6",
            ),
            (
                "too many uops",
                |draft| draft.put_u32(draft.variant(0) + 4, 7),
                "Invalid",
                "variant 0: it has 7 uops, expected 1 to 6",
            ),
            (
                "uops that no variant uses",
                |draft| draft.put_u32(draft.variant(10) + 4, 1),
                "Invalid",
                "elements: there are 13, but the variants use 12",
            ),
            (
                "a uop that there is not",
                |draft| draft.put_u32(draft.variant_element(10, 1), 17),
                "Invalid",
                "variant 10: uop 17 does not exist, there are 17",
            ),
            (
                "a uop behind one that does not continue",
                |draft| draft.put_u32(draft.variant_element(8, 0), 4),
                "Invalid",
                "variant 8: _EXIT never continues, but is not the last of its uops",
            ),
            (
                "variants out of order",
                |draft| draft.put_u32(draft.variant_element(0, 0), 1),
                "Invalid",
                "variant 1: it does not sort after the one before",
            ),
            (
                "the same variant twice",
                |draft| draft.put_u8(draft.form(2) + 7, 5),
                "Invalid",
                "variant 2: it does not sort after the one before",
            ),
            (
                "a kind of form that there is not",
                |draft| draft.put_u8(draft.form(0), 2),
                "Invalid",
                "variant 0: form 2 is unknown, expected 0 or 1",
            ),
            (
                "four values in registers",
                |draft| draft.put_u8(draft.form(0) + 1, 4),
                "Invalid",
                "variant 0: 4 values are in registers, at most 3 can be",
            ),
            (
                "slots with an output",
                |draft| draft.put_u8(draft.form(0) + 7, 5),
                "Invalid",
                "variant 0: a field that _r21 does not use is in use",
            ),
            (
                "slots with an input",
                |draft| draft.put_u8(draft.form(0) + 3, 5),
                "Invalid",
                "variant 0: a field that _r21 does not use is in use",
            ),
            (
                "operands with values in slots",
                |draft| draft.put_u8(draft.form(1) + 1, 1),
                "Invalid",
                "variant 1: a field that [r8, r9 -> r8] does not use is in use",
            ),
            (
                "an input behind none",
                |draft| draft.put_u8(draft.form(1) + 6, 7),
                "Invalid",
                "variant 1: a field that [r8, r9 -> r8] does not use is in use",
            ),
            (
                "a reserved byte in use",
                |draft| draft.put_u8(draft.form(1) + 9, 1),
                "Invalid",
                "variant 1: a field that [r8, r9 -> r8] does not use is in use",
            ),
            (
                "an input that there is not",
                |draft| draft.put_u8(draft.form(1) + 3, 0x42),
                "Invalid",
                "variant 1: input 0x42 is unknown",
            ),
            (
                "an unsigned number without bits",
                |draft| draft.put_u8(draft.form(3) + 4, 0x20),
                "Invalid",
                "variant 3: input 0x20 is unknown",
            ),
            (
                "an output that is no register",
                |draft| draft.put_u8(draft.form(1) + 7, 16),
                "Invalid",
                "variant 1: output 0x10 is unknown",
            ),
            (
                "one placeholder for two inputs",
                |draft| draft.put_u8(draft.form(1) + 4, 5),
                "Invalid",
                "variant 1: two inputs share the placeholder r8",
            ),
            (
                "more inputs intact than there are",
                |draft| draft.put_u8(draft.form(1) + 8, 3),
                "Invalid",
                "variant 1: 3 of its inputs are intact where it jumps, it takes 2",
            ),
            (
                "a placeholder that is not renameable",
                |draft| draft.put_u8(draft.form(1) + 10, !(1 << 6)),
                "Invalid",
                "variant 1: its placeholder r9 is not renameable",
            ),
        ],
    );
}

#[test]
fn holes_of_variants_that_are_wrong() {
    check_rows_of(
        &with_variants(),
        [
            (
                "a part outside its section",
                |draft| draft.add_u32(draft.variant_part(6, Part::Cold), 10_000),
                "Invalid",
                "variant _EXIT_IF_ZERO [r8], cold code: its bytes or holes lie outside their section",
            ),
            (
                "code that is aligned",
                |draft| draft.put_u32(draft.variant_part(10, Part::Hot) + 16, 2),
                "Invalid",
                "variant _PUSH+_ADD_r11, hot code: its alignment is 2",
            ),
            (
                "an element that there is not",
                |draft| draft.put_u8(draft.variant_hole(8, 0) + 15, 2),
                "Invalid",
                "variant _LOAD+_JUMP_IF_ZERO_r00, hot code: hole at 0x4: element 2 of OPARG does not exist, there are 2",
            ),
            (
                "an oparg of a uop without one",
                |draft| draft.put_u8(draft.variant_hole(8, 0) + 15, 1),
                "Invalid",
                "hole at 0x4: it is filled with OPARG, but the uop does not have the flag OPARG",
            ),
            (
                "a jump of a uop that does not jump",
                |draft| draft.put_u8(draft.variant_hole(8, 1) + 15, 0),
                "Invalid",
                "hole at 0xb: it is filled with JUMP_TARGET, but the uop does not have the flag",
            ),
            (
                "an input that there is not",
                |draft| draft.put_u8(draft.variant_hole(4, 0) + 15, 2),
                "Invalid",
                "hole at 0x3: element 2 of INPUT does not exist, there are 2",
            ),
            (
                "an input in a register as a number",
                |draft| draft.put_u8(draft.variant_hole(4, 0) + 15, 0),
                "Invalid",
                "hole at 0x3: it is filled with INPUT 0, which is r8",
            ),
            (
                "a number that is not pooled",
                |draft| draft.put_u8(draft.variant_hole(4, 0) + 13, HoleValue::Pooled as u8),
                "Invalid",
                "hole at 0x3: it is filled with POOLED 1, which is 32-bit",
            ),
            (
                "a pooled number in the instruction",
                |draft| draft.put_u8(draft.variant_hole(5, 0) + 13, HoleValue::Input as u8),
                "Invalid",
                "hole at 0x4: it is filled with INPUT 1, which is pooled",
            ),
            (
                "a signed number where it would be extended with zeros",
                |draft| draft.put_u8(draft.variant_hole(4, 0) + 12, 10),
                "Invalid",
                "which is 32-bit: -2147483648 to 2147483647 do not fit R_X86_64_32",
            ),
            (
                "a signed number and an addend",
                |draft| draft.put_u32(draft.variant_hole(4, 0) + 4, 1),
                "Invalid",
                "which is 32-bit: -2147483647 to 2147483648 do not fit R_X86_64_32S",
            ),
            (
                "a number less its own address",
                |draft| draft.put_u8(draft.variant_hole(4, 0) + 12, 2),
                "Invalid",
                "do not fit R_X86_64_PC32",
            ),
            (
                "an unsigned number of too many bits",
                |draft| draft.put_u8(draft.form(3) + 4, 0x28),
                "Invalid",
                "which is 8-bit unsigned: 0 to 255 do not fit R_X86_64_8",
            ),
            (
                "a link too far",
                |draft| draft.put_u32(draft.variant_hole(7, 0) + 4, u32::MAX << 17),
                "Invalid",
                "hole at 0x5: its addend is -131072, expected at most 65536 either way",
            ),
        ],
    );
}

#[test]
fn register_holes_that_are_wrong() {
    check_rows_of(
        &with_variants(),
        [
            (
                "another variant's",
                |draft| draft.add_u32(draft.variant(1) + 8, 1),
                "Invalid",
                "variant _ADD [r8, r9 -> r8]: register holes 1 and 2 on, expected them from 0 of 13",
            ),
            (
                "more than there are",
                |draft| draft.put_u32(draft.variant(1) + 12, u32::MAX),
                "Invalid",
                "register holes 0 and 4294967295 on, expected them from 0 of 13",
            ),
            (
                "one that is left out",
                |draft| draft.put_u32(draft.variant(7) + 12, 1),
                "Invalid",
                "variant _LOAD+_JUMP_IF_ZERO_r00: register holes 13 and 0 on, expected them from 12 of 13",
            ),
            (
                "one that no variant uses",
                |draft| {
                    draft.put_u32(draft.variant(7) + 12, 1);
                    (8..11).for_each(|variant| draft.put_u32(draft.variant(variant) + 8, 12));
                },
                "Invalid",
                "register holes: there are 13, but the variants use 12",
            ),
            (
                "a part that there is not",
                |draft| draft.put_u8(draft.register_hole(1, 0) + 8, 2),
                "Invalid",
                "part 2 is unknown or a reserved field is not 0",
            ),
            (
                "a reserved byte in use",
                |draft| draft.put_u8(draft.register_hole(1, 0) + 11, 1),
                "Invalid",
                "part 0 is unknown or a reserved field is not 0",
            ),
            (
                "a field that there is not",
                |draft| draft.put_u8(draft.register_hole(1, 0) + 9, 3),
                "Invalid",
                "field 3 is unknown, expected 0..3",
            ),
            (
                "a register that there is not",
                |draft| draft.put_u8(draft.register_hole(1, 0) + 10, 16),
                "Invalid",
                "register 16 is unknown",
            ),
            (
                "a register that is no placeholder",
                |draft| draft.put_u8(draft.register_hole(1, 0) + 10, 7),
                "Invalid",
                "register hole at 0x2 of the hot code: r11 is no placeholder of [r8, r9 -> r8]",
            ),
            (
                "another placeholder",
                |draft| draft.put_u8(draft.register_hole(1, 0) + 10, 6),
                "Invalid",
                "at 0x2 of the hot code: register number 8 stands there, expected 9 for r9",
            ),
            (
                "other bits",
                |draft| draft.put_u8(draft.register_hole(1, 0) + 9, 0),
                "Invalid",
                "at 0x2 of the hot code: register number 9 stands there, expected 8 for r8",
            ),
            (
                "a byte behind the part",
                |draft| draft.put_u32(draft.register_hole(1, 0), 3),
                "Invalid",
                "at 0x3 of the hot code: offset 0x3 is behind the 0x3 bytes",
            ),
            (
                "a prefix behind the part",
                |draft| draft.put_u32(draft.register_hole(1, 0) + 4, 0xffff_fffe),
                "Invalid",
                "offset 0xfffffffe is behind the 0x3 bytes",
            ),
            (
                "a general register without a prefix",
                |draft| draft.put_u32(draft.register_hole(1, 0) + 4, u32::MAX),
                "Invalid",
                "r8 has no REX prefix, which it needs",
            ),
            (
                "a prefix that is the byte itself",
                |draft| draft.put_u32(draft.register_hole(1, 0) + 4, 2),
                "Invalid",
                "its REX prefix is at 0x2, expected a little before it",
            ),
            (
                "a prefix that is none",
                |draft| draft.put_u32(draft.register_hole(1, 0) + 4, 1),
                "Invalid",
                "its REX prefix is 0x01, expected 0x40 to 0x4f",
            ),
            (
                "a prefix of another instruction",
                |draft| {
                    let cold = draft.register_hole(6, 2);
                    draft.put_u32(cold, 9);
                },
                "Invalid",
                "at 0x9 of the cold code: its REX prefix is at 0x0, expected a little before it",
            ),
            (
                "a byte that is patched",
                |draft| {
                    let code = draft.u32_at(draft.variant_part(7, Part::Hot)) as usize;
                    let code = draft.element("code", code);
                    draft.put_u8(code + 4, 0x4d);
                    draft.put_u32(draft.register_hole(7, 0) + 4, 4);
                    draft.put_u32(draft.register_hole(7, 0), 7);
                },
                "Invalid",
                "variant _JUMP_IF_ZERO [r8]: register hole at 0x7 of the hot code: a hole is at 0x7",
            ),
            (
                "the same bits twice",
                |draft| {
                    let first = draft.register_hole(7, 0);
                    draft.bytes.copy_within(first..first + 12, first + 12);
                },
                "Invalid",
                "it does not sort after the one before",
            ),
        ],
    );
}

/// One label or exit record of a kind is all that a trace gives a variant.
#[test]
fn two_uops_of_a_variant_cannot_leave_the_same_way() {
    let jump = |offset, element| toy::relative(offset, HoleValue::JumpTarget).with_element(element);
    let uops = ["_CHECK_VALIDITY", "_JUMP_IF_ZERO"];
    let code = [0x0f, 0x84, 0, 0, 0, 0, 0x0f, 0x85, 0, 0, 0, 0];
    for (second, error) in [
        (0, None),
        (
            1,
            Some(
                "hole at 0x8: it is filled with JUMP_TARGET of element 1, but element 0 has one as well",
            ),
        ),
    ] {
        let mut contents = toy::toy_contents();
        let holes = [jump(2, 0), jump(8, second)];
        contents.variants = vec![toy::variant(&uops, toy::slots(0, 0), &code, &holes)];
        match (contents.to_bytes(), error) {
            (Ok(_), None) => {}
            (Err(found), Some(message)) => check("two jumps", &found, ("Invalid", message)),
            (result, _) => panic!("{result:?}"),
        }
    }
}

#[test]
fn variants_that_are_not_written() {
    let made = |change: fn(&mut VariantContents)| {
        let mut contents = toy::contents_with_variants();
        change(&mut contents.variants[0]);
        contents.to_bytes()
    };
    type Change = (&'static str, fn(&mut VariantContents), &'static str);
    let rows: [Change; 8] = [
        (
            "a uop that there is not",
            |variant| variant.uops = vec!["_NOTHING".to_owned()],
            "variant _NOTHING_r21: there is no uop _NOTHING",
        ),
        (
            "more limits than uops",
            |variant| variant.oparg_max.push(0),
            "variant _ADD_r21: it has 1 uops, but 2 largest opargs, 1 largest operands and 1 largest second operands",
        ),
        (
            "fewer limits than uops",
            |variant| variant.operand_max.clear(),
            "variant _ADD_r21: it has 1 uops, but 1 largest opargs, 0 largest operands and 1 largest second operands",
        ),
        (
            "fewer limits of the second operand",
            |variant| variant.operand1_max.clear(),
            "variant _ADD_r21: it has 1 uops, but 1 largest opargs, 1 largest operands and 0 largest second operands",
        ),
        (
            "a second operand up to some number",
            |variant| variant.operand1_max[0] = 6,
            "variant _ADD_r21: its largest operand1 is 6, expected one less than a power of two",
        ),
        (
            "more bits than a number has",
            |variant| variant.form = toy::operands(&[Input::Unsigned(255)], None),
            "an input has 255 bits, expected 1 to 31",
        ),
        (
            "more inputs than there can be",
            |variant| variant.form = toy::operands(&[Input::Signed32; 5], None),
            "it takes 5 inputs, at most 4 are possible",
        ),
        (
            "a variant that is there already",
            |variant| {
                variant.uops = vec!["_PUSH".to_owned()];
                variant.form = toy::slots(0, 1);
            },
            "it does not sort after the one before",
        ),
    ];
    for (row, change, message) in rows {
        match made(change) {
            Ok(_) => panic!("{row}: it is written"),
            Err(error) => check(row, &error, ("Invalid", message)),
        }
    }
}

/// The variants are found in the order that the documentation gives, under the names that tools print.
#[test]
fn variants_have_names_and_an_order() {
    let table = toy::table_of(&toy::contents_with_variants());
    let names: Vec<String> = table
        .variants()
        .map(|id| table.variant(id).to_string())
        .collect();
    assert_eq!(
        names,
        [
            "_ADD_r21",
            "_ADD [r8, r9 -> r8]",
            "_ADD [r8, r9 -> r11]",
            "_ADD [r8, 6-bit unsigned -> r8]",
            "_ADD [r8, 32-bit -> r8]",
            "_ADD [xmm4, pooled -> xmm4]",
            "_EXIT_IF_ZERO [r8]",
            "_JUMP_IF_ZERO [r8]",
            "_LOAD+_JUMP_IF_ZERO_r00",
            "_PUSH_r01",
            "_PUSH+_ADD_r11",
        ]
    );
    let fused = table.variant(table.variants().nth(8).unwrap());
    assert_eq!(
        fused.flags(),
        UopFlags::LOCAL | UopFlags::OPARG | UopFlags::JUMP
    );
    assert_eq!(
        (fused.oparg_max(1), fused.oparg_max(2)),
        (toy::OPARG_MAX, 0)
    );
    assert_eq!((fused.operand_max(1), fused.operand_max(2)), (u64::MAX, 0));
    assert_eq!(
        (fused.operand1_max(1), fused.operand1_max(2)),
        (u64::MAX, 0)
    );
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
    let limited = |oparg_max, operand1_max| {
        vec![UopContents {
            oparg_max,
            operand1_max,
            ..toy::uop("_LIMITED")
        }]
    };
    let rows = [
        (
            "an oparg of more than 16 bits",
            limited(0x1_0000, 0),
            "uop _LIMITED: its largest oparg is 65536, the format holds 65535",
        ),
        (
            "a second operand up to some number",
            limited(0, 5),
            "uop _LIMITED: its largest operand1 is 5, expected one less than a power of two",
        ),
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
    // SAFETY: nothing else knows the file.
    for table in [StencilTable::open(&empty), unsafe {
        StencilTable::map(&empty)
    }] {
        let error = table.unwrap_err();
        check("an empty file", &error, ("Length", "the file has 0 bytes"));
    }
}

#[test]
fn a_file_without_an_end_is_not_read_to_it() {
    let error = StencilTable::open("/dev/zero").unwrap_err();
    check(
        "zeros",
        &error,
        ("Magic", "[00, 00, 00, 00, 00, 00, 00, 00]"),
    );
}

#[test]
fn a_file_with_more_behind_a_table_or_less_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("table.mimeo");
    let bytes = toy::toy_contents().to_bytes().unwrap();
    for len in [
        1,
        9,
        100,
        bytes.len() - 1,
        bytes.len() + 1,
        bytes.len() + 99,
    ] {
        let mut changed = bytes.clone();
        changed.resize(len, 0);
        fs::write(&path, &changed).unwrap();
        let found = StencilTable::open(&path).unwrap_err().to_string();
        assert!(
            found.starts_with(&format!("the file has {len} bytes")),
            "{found}"
        );
        assert_eq!(
            found,
            StencilTable::from_bytes(changed).unwrap_err().to_string()
        );
    }
}

#[test]
fn a_table_does_not_change_with_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("table.mimeo");
    let bytes = mimeo_ir_templates::STANDARD_TABLE;
    type Change = fn(&File);
    let changes: [Change; 2] = [
        |file| file.set_len(0).unwrap(),
        |mut file| file.write_all(&[0xff; 4096]).unwrap(),
    ];
    for change in changes {
        fs::write(&path, bytes).unwrap();
        let table = StencilTable::open(&path).unwrap();
        change(&File::options().write(true).open(&path).unwrap());
        assert!(table.find("_LOAD_FAST").is_some());
        assert_eq!(table.as_bytes(), bytes);
    }
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
    write_file(&path, &old).unwrap();
    // Whoever has mapped the old file keeps it.
    // SAFETY: the file is replaced, and not changed.
    let mapped = unsafe { StencilTable::map(&path) }.unwrap();
    write_file(&path, new).unwrap();
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
    write_file(&path, &tables[0]).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let found = StencilTable::open(&path).expect("a whole table");
                assert!(tables.iter().any(|table| table == found.as_bytes()));
            }
        });
        for turn in 0..40 {
            write_file(&path, &tables[turn % 2]).unwrap();
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
        let error = write_file(&path, b"new").unwrap_err();
        let expected = format!("cannot write {}", path.display());
        check(row, &error, ("Io", &expected));
        assert_eq!(names(directory.path()), before, "{row}");
        assert_eq!(fs::read(&file).unwrap(), b"old", "{row}");
        assert_eq!(names(&occupied), ["inside"], "{row}");
    }
}
