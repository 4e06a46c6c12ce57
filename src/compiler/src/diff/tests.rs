//! What counts as a difference, between tables, headers, and a table and a header.

use super::*;
use crate::c_header::Header;
use mimeo::form::{
    Form as VariantForm, Input, OperandForm, Register, RegisterField, RegisterHole, RegisterSet,
};
use mimeo::hole::{Hole, HoleValue};
use mimeo::reloc::RelocationKind::{Abs32S, Abs64, Pc32};
use mimeo::stencil::{StackEffect, StencilBuf, StencilGroupBuf, UopFlags};
use mimeo::table::{StencilTable, TableContents, UopContents, VariantContents};

// ---- Tables ----------------------------------------------------------------------------------------------------

fn uop(name: &str, hot: &[u8], holes: &[Hole]) -> UopContents {
    UopContents {
        name: name.to_owned(),
        effect: StackEffect::fixed(0, 0),
        leaving_effect: StackEffect::fixed(0, 0),
        flags: UopFlags::OPARG | UopFlags::EXIT,
        oparg_max: 255,
        operand_max: 0,
        operand1_max: 0,
        locals: 0,
        group: StencilGroupBuf {
            hot: stencil(hot, holes),
            ..StencilGroupBuf::default()
        },
    }
}

fn stencil(bytes: &[u8], holes: &[Hole]) -> StencilBuf {
    StencilBuf {
        bytes: bytes.to_vec(),
        holes: holes.to_vec(),
        align: 1,
    }
}

/// mov rax, [r12 + disp32]; jmp rel32; jmp rel32
const LOAD: [u8; 18] = [
    0x49, 0x8b, 0x84, 0x24, 0, 0, 0, 0, 0xe9, 0, 0, 0, 0, 0xe9, 0, 0, 0, 0,
];

fn load_holes() -> [Hole; 3] {
    [
        Hole::new(4, Abs32S, HoleValue::Oparg, 48).with_shift(3),
        Hole::new(9, Pc32, HoleValue::JumpTarget, -4),
        Hole::new(14, Pc32, HoleValue::Symbol, -4).with_symbol(1),
    ]
}

/// add r8, r9
fn add(registers: [u8; 2]) -> VariantContents {
    let [left, right] = registers.map(|index| Register::general(index).unwrap());
    let field = |field, register| RegisterHole {
        cold: false,
        offset: 2,
        rex: Some(0),
        field,
        register,
    };
    VariantContents {
        uops: vec!["ADD".to_owned()],
        form: VariantForm::Operands(OperandForm {
            inputs: vec![Input::Register(left), Input::Register(right)],
            output: Some(left),
            intact: 0,
            renameable: RegisterSet::ALL,
        }),
        oparg_max: vec![255],
        operand_max: vec![0],
        operand1_max: vec![0],
        group: StencilGroupBuf {
            hot: stencil(&[0x4d, 0x01, 0xc8], &[]),
            ..StencilGroupBuf::default()
        },
        register_holes: vec![
            field(RegisterField::Base, left),
            field(RegisterField::Reg, right),
        ],
    }
}

fn contents() -> TableContents {
    let mut add_uop = uop("ADD", &[0x90], &[]);
    add_uop.effect = StackEffect::fixed(2, 1);
    TableContents {
        set: "small".to_owned(),
        cpu: "x86-64".to_owned(),
        llvm_version: (19, 1, 7),
        digest: [7; 32],
        sources: [9; 32],
        symbols: vec!["first".to_owned(), "second".to_owned()],
        uops: vec![
            add_uop,
            uop("LOAD", &LOAD, &load_holes()),
            uop("NOP", &[], &[]),
        ],
        variants: vec![add([5, 6])],
    }
}

fn stencils(contents: &TableContents) -> Stencils {
    let bytes = contents.to_bytes().unwrap();
    Stencils::from(&StencilTable::from_bytes(bytes).unwrap())
}

/// What `change` does to the table.
fn table_diff(change: impl FnOnce(&mut TableContents)) -> Comparison {
    let mut changed = contents();
    change(&mut changed);
    Comparison::new(
        &stencils(&contents()),
        &stencils(&changed),
        Listings::Changed,
    )
}

/// The only group of a section that differs.
fn changed(section: &Section) -> &GroupDiff {
    let differ: Vec<_> = section
        .groups
        .iter()
        .filter(|group| group.status != Status::Same)
        .collect();
    assert_eq!(differ.len(), 1, "{differ:?}");
    differ[0]
}

fn change(what: &str, a: &str, b: &str) -> Change {
    let text = |text: &str| (text != "-").then(|| text.to_owned());
    Change {
        what: what.to_owned(),
        a: text(a),
        b: text(b),
    }
}

fn hole_change(a: Option<&str>, b: Option<&str>, count: usize) -> HoleChange {
    HoleChange {
        a: a.map(str::to_owned),
        b: b.map(str::to_owned),
        count,
    }
}

#[test]
fn a_table_is_the_same_as_itself() {
    let comparison = table_diff(|_| {});
    assert!(comparison.same);
    assert_eq!(comparison.uops.totals.same, 3);
    assert_eq!(comparison.variants.totals.same, 1);
    assert_eq!(comparison.uops.totals.a, comparison.uops.totals.b);
    let size = Size {
        code_bytes: 19,
        data_bytes: 0,
        holes: 3,
    };
    assert_eq!(comparison.uops.totals.a_in_both, size);
    assert!(
        comparison
            .uops
            .groups
            .iter()
            .flat_map(|group| &group.parts)
            .all(|part| part.lines.is_empty())
    );
}

#[test]
fn what_is_said_of_a_table() {
    let comparison = table_diff(|table| {
        table.cpu = "x86-64-v3".to_owned();
        table.llvm_version = (20, 1, 0);
        table.digest = [8; 32];
        table.symbols = vec!["third".to_owned(), "second".to_owned()];
    });
    let digits = |digit: &str| digit.repeat(32);
    assert_eq!(
        comparison.changes,
        [
            change("cpu", "x86-64", "x86-64-v3"),
            change("llvm_version", "19.1.7", "20.1.0"),
            change("digest", &digits("07"), &digits("08")),
            change("symbol", "first", "-"),
            change("symbol", "-", "third"),
        ]
    );
    assert!(!comparison.same);
    assert!(comparison.uops.is_same() && comparison.variants.is_same());
}

/// Whether the interfaces of all are the same though something else is not, and how that of the one that differs does.
fn interface_diff(change: impl FnOnce(&mut TableContents)) -> (bool, Vec<Change>) {
    let comparison = table_diff(change);
    assert!(!comparison.same);
    let group = changed(&comparison.uops);
    let same = comparison.same_interface.unwrap();
    assert_eq!(same, group.is_same_interface());
    (same, group.interface.clone())
}

#[test]
fn how_code_uses_values_is_not_in_its_interface() {
    // The oparg twice, by another relocation and with another addend; a constant; code that ends behind a jump out.
    let (same, changes) = interface_diff(|table| {
        let uop = &mut table.uops[1];
        let hot = &mut uop.group.hot;
        hot.bytes = vec![0; 64];
        hot.holes = vec![
            Hole::new(2, Abs64, HoleValue::Oparg, 0).with_shift(3),
            Hole::new(12, Abs32S, HoleValue::Oparg, -8).with_shift(3),
            Hole::new(16, Pc32, HoleValue::Symbol, -4).with_symbol(1),
            Hole::new(24, Pc32, HoleValue::JumpTarget, -4),
            Hole::new(28, Pc32, HoleValue::Data, -4),
            Hole::new(32, Pc32, HoleValue::Cold, -4),
            Hole::new(36, Pc32, HoleValue::Continue, -4),
        ];
        uop.group.cold = stencil(&[0; 5], &[Hole::new(1, Pc32, HoleValue::Code, -4)]);
        uop.group.data = StencilBuf {
            align: 16,
            ..stencil(&[1; 16], &[])
        };
    });
    assert_eq!((same, &changes[..]), (true, &[][..]));

    // A variant uses its operands otherwise.
    let comparison = table_diff(|table| table.variants[0].register_holes.truncate(1));
    assert_eq!(
        (comparison.same, comparison.same_interface),
        (false, Some(true))
    );

    // The tables were made by other versions, of other templates.
    let comparison = table_diff(|table| {
        table.llvm_version = (22, 1, 0);
        table.digest = [8; 32];
    });
    assert_eq!(
        (comparison.same, comparison.same_interface),
        (false, Some(true))
    );
}

#[test]
fn what_others_see_is_in_the_interface() {
    let (same, changes) = interface_diff(|table| {
        let uop = &mut table.uops[1];
        uop.effect = StackEffect::fixed(1, 0);
        uop.flags |= UopFlags::ERROR | UopFlags::OPERAND | UopFlags::OPERAND1;
        let holes = &mut uop.group.hot.holes;
        // Without the shift, another way out, another symbol; and one more value.
        holes[0] = holes[0].with_shift(0);
        holes[1] = Hole::new(9, Pc32, HoleValue::ErrorTarget, -4);
        holes[2] = holes[2].with_symbol(0);
        let operands = [
            Hole::new(0, Abs64, HoleValue::Operand, 0),
            Hole::new(8, Abs64, HoleValue::Operand1, 0),
        ];
        uop.group.data = stencil(&[0; 16], &operands);
    });
    assert!(!same);
    assert_eq!(
        changes,
        [
            change("stack effect", "(0 -- 0)", "(1 -- 0)"),
            change("flags", "EXIT OPARG", "ERROR EXIT OPARG OPERAND OPERAND1"),
            change("hole value", "OPARG << 3", "-"),
            change("hole value", "-", "OPARG"),
            change("hole value", "-", "OPERAND"),
            change("hole value", "-", "OPERAND1"),
            change("symbol", "second", "-"),
            change("symbol", "-", "first"),
            change("way out", "JUMP_TARGET", "-"),
            change("way out", "-", "ERROR_TARGET"),
        ]
    );

    let interface = |change: fn(&mut TableContents)| table_diff(change).same_interface;
    assert_eq!(
        interface(|table| table.cpu = "x86-64-v3".to_owned()),
        Some(false)
    );
    assert_eq!(
        interface(|table| table.set = "other".to_owned()),
        Some(false)
    );
    assert_eq!(interface(|table| drop(table.uops.pop())), Some(false));
    assert_eq!(interface(|table| drop(table.variants.pop())), Some(false));
    assert_eq!(
        interface(|table| table.variants[0].oparg_max[0] = 7),
        Some(false)
    );
}

#[test]
fn the_order_of_symbols_is_no_difference() {
    let comparison = table_diff(|table| {
        table.symbols.reverse();
        let holes = &mut table.uops[1].group.hot.holes;
        holes[2] = holes[2].with_symbol(0);
    });
    assert!(comparison.same);
}

#[test]
fn what_is_said_of_a_uop() {
    let comparison = table_diff(|table| {
        let uop = &mut table.uops[1];
        uop.effect = StackEffect::fixed(0, 1);
        uop.leaving_effect = StackEffect::fixed(0, 2);
        uop.flags |= UopFlags::TARGET;
        (uop.oparg_max, uop.operand_max, uop.locals) = (7, 9, 3);
        uop.operand1_max = 15;
        uop.group.data = StencilBuf {
            align: 16,
            ..stencil(&[1; 16], &[])
        };
    });
    let group = changed(&comparison.uops);
    assert_eq!(
        group.changes,
        [
            change("stack effect", "(0 -- 0)", "(0 -- 1)"),
            change("leaving effect", "(0 -- 0)", "(0 -- 2)"),
            change("flags", "EXIT OPARG", "EXIT OPARG TARGET"),
            change("oparg_max", "255", "7"),
            change("operand_max", "0", "9"),
            change("operand1_max", "0", "15"),
            change("locals", "0", "3"),
            change("alignment of data", "-", "16"),
        ]
    );
    assert_eq!(group.name, "LOAD");
    assert_eq!((group.code_delta, group.code_percent), (0, Some(0.0)));
    assert_eq!(comparison.uops.totals.same_size, 3);
    assert_eq!(comparison.uops.totals.b_in_both.data_bytes, 16);
}

#[test]
fn sizes_and_bytes_of_code() {
    let comparison = table_diff(|table| {
        // The first jump becomes a nop and nothing: all behind it moves.
        let hot = &mut table.uops[1].group.hot;
        hot.bytes.splice(8..13, [0x90]);
        hot.holes.remove(1);
        hot.holes[1] = hot.holes[1].at(10);
    });
    let group = changed(&comparison.uops);
    assert_eq!((group.code_delta, group.code_percent), (-4, Some(-22.2)));
    let [part] = &group.parts[..] else {
        panic!("{group:?}");
    };
    let difference = Difference {
        offset: 8,
        a: Some("jmp 0xd".to_owned()),
        b: Some("nop".to_owned()),
    };
    assert_eq!(part.first_difference, Some(difference));
    assert_eq!(
        part.holes,
        [hole_change(Some("R_X86_64_PC32 JUMP_TARGET"), None, 1)]
    );
    assert_eq!(part.holes_moved, 1);
    let lines: Vec<_> = part
        .lines
        .iter()
        .map(|line| (line.side, line.a_offset, line.b_offset))
        .collect();
    assert_eq!(
        lines,
        [
            (Side::Both, Some(0), Some(0)),
            (Side::A, Some(8), None),
            (Side::B, None, Some(8)),
            (Side::Both, Some(13), Some(9)),
        ]
    );
    assert_eq!(part.lines[3].holes, ["R_X86_64_PC32 second"]);
    let Totals {
        smaller,
        larger,
        same_size,
        changed,
        same,
        ..
    } = comparison.uops.totals;
    assert_eq!((smaller, larger, same_size, changed, same), (1, 0, 2, 1, 2));
}

#[test]
fn code_that_ends_early_differs_at_its_end() {
    let comparison = table_diff(|table| {
        let hot = &mut table.uops[1].group.hot;
        hot.bytes.truncate(13);
        hot.holes.pop();
    });
    let part = &changed(&comparison.uops).parts[0];
    let difference = Difference {
        offset: 13,
        a: Some("jmp 0x12".to_owned()),
        b: None,
    };
    assert_eq!(part.first_difference, Some(difference));
}

#[test]
fn bytes_are_shown_where_the_text_is_the_same() {
    // Two encodings of one instruction.
    let mut table = contents();
    table.uops[0].group.hot.bytes = vec![0x48, 0x89, 0xd8];
    let a = stencils(&table);
    table.uops[0].group.hot.bytes = vec![0x48, 0x8b, 0xc3];
    let comparison = Comparison::new(&a, &stencils(&table), Listings::None);
    let part = &changed(&comparison.uops).parts[0];
    let difference = part.first_difference.as_ref().unwrap();
    assert_eq!(difference.a.as_deref(), Some("mov rax, rbx (4889d8)"));
    assert_eq!(difference.b.as_deref(), Some("mov rax, rbx (488bc3)"));
    assert_eq!(part.lines, []);
}

#[test]
fn holes_are_compared_wherever_they_are() {
    // Two holes trade places: only offsets differ.
    let comparison = table_diff(|table| {
        let holes = &mut table.uops[1].group.hot.holes;
        (holes[1], holes[2]) = (holes[2].at(9), holes[1].at(14));
    });
    let part = &changed(&comparison.uops).parts[0];
    assert_eq!((&part.holes[..], part.holes_moved), (&[][..], 2));
    assert_eq!(part.first_difference, None);

    // An addend, a kind and a value, of which the last is no longer the same hole.
    let comparison = table_diff(|table| {
        let uop = &mut table.uops[1];
        uop.flags |= UopFlags::ERROR;
        uop.group.data = stencil(
            &[0; 16],
            &[
                Hole::new(0, Abs64, HoleValue::Data, 0),
                Hole::new(8, Abs64, HoleValue::Data, 0),
            ],
        );
        uop.group.hot.holes = vec![
            Hole::new(4, Abs32S, HoleValue::Oparg, 56).with_shift(3),
            Hole::new(9, Pc32, HoleValue::ErrorTarget, -4),
            load_holes()[2],
        ];
    });
    let parts = &changed(&comparison.uops).parts;
    assert_eq!(
        parts[0].holes,
        [
            hole_change(
                Some("R_X86_64_32S OPARG << 3 + 48"),
                Some("R_X86_64_32S OPARG << 3 + 56"),
                1
            ),
            hole_change(Some("R_X86_64_PC32 JUMP_TARGET"), None, 1),
            hole_change(None, Some("R_X86_64_PC32 ERROR_TARGET"), 1),
        ]
    );
    assert_eq!(parts[0].holes_moved, 0);
    assert_eq!(
        parts[1].holes,
        [hole_change(None, Some("R_X86_64_64 DATA"), 2)]
    );
}

#[test]
fn uops_that_only_one_table_has() {
    let comparison = table_diff(|table| {
        table.uops[2].name = "POP".to_owned();
        table.uops[2].group.hot = stencil(&[0x90, 0x90], &[]);
    });
    let statuses: Vec<_> = comparison
        .uops
        .groups
        .iter()
        .map(|group| (group.name.as_str(), group.status))
        .collect();
    assert_eq!(
        statuses,
        [
            ("ADD", Status::Same),
            ("LOAD", Status::Same),
            ("NOP", Status::OnlyA),
            ("POP", Status::OnlyB)
        ]
    );
    let totals = comparison.uops.totals;
    assert_eq!((totals.only_a, totals.only_b, totals.same_size), (1, 1, 2));
    assert_eq!((totals.b.code_bytes, totals.b_in_both.code_bytes), (21, 19));
    assert_eq!(
        (
            comparison.uops.groups[3].a,
            comparison.uops.groups[3].code_percent
        ),
        (None, None)
    );
    assert_eq!(comparison.uops.groups[3].parts[0].lines.len(), 2);
}

#[test]
fn variants() {
    let comparison = table_diff(|table| {
        table.variants[0].oparg_max = vec![15];
        let VariantForm::Operands(form) = &mut table.variants[0].form else {
            panic!("a variant of another form");
        };
        form.renameable = RegisterSet::ALL.without(Register::general(0).unwrap());
    });
    let group = changed(&comparison.variants);
    assert_eq!(group.name, "ADD [r8, r9 -> r8]");
    assert_eq!(group.changes[0], change("oparg_max of ADD #0", "255", "15"));
    assert_eq!(group.changes[1].what, "renameable");
    assert_eq!(group.changes.len(), 2);
    assert!(comparison.uops.is_same());

    // Other registers are another variant.
    let comparison = table_diff(|table| {
        table.variants[0] = add([6, 5]);
        table.variants[0].group.hot.bytes = vec![0x4d, 0x01, 0xc1];
    });
    let Totals {
        only_a,
        only_b,
        same,
        changed,
        ..
    } = comparison.variants.totals;
    assert_eq!((only_a, only_b, same, changed), (1, 1, 0, 0));
}

#[test]
fn what_is_not_retained_is_not_compared() {
    let mut other = contents();
    other.digest = [8; 32];
    other.variants.clear();
    other.uops[2].group.hot = stencil(&[0x90], &[]);
    let compare = |name: &str| {
        let names = BTreeSet::from([name.to_owned()]);
        let (mut a, mut b) = (stencils(&contents()), stencils(&other));
        a.retain(&names);
        b.retain(&names);
        Comparison::new(&a, &b, Listings::All)
    };
    let load = compare("LOAD");
    assert!(load.same);
    assert_eq!(load.uops.groups[0].parts[0].lines.len(), 3);
    assert_eq!(compare("NOP").uops.totals.changed, 1);
    assert_eq!(compare("ADD").variants.totals.only_a, 1);
    assert_eq!(
        stencils(&contents()).names().collect::<Vec<_>>(),
        ["ADD", "LOAD", "NOP"]
    );
}

// ---- Headers ---------------------------------------------------------------------------------------------------

/// `LOAD` as CPython's generator would have it, and a trampoline.
const HEADER: &str = "// made by hand
void emit_LOAD(unsigned char *code, unsigned char *data)
{
    const unsigned char code_body[7] = {0x48, 0x8b, 0x05, 0x00, 0x00, 0x00, 0x00};
    const unsigned char data_body[16] = {0,0,0,0,0,0,0,0, 0,0,0,0,0,0,0,0};
    memcpy(data, data_body, sizeof(data_body));
    patch_64(data + 0x0, instruction->oparg);
    patch_64(data + 0x8, (uintptr_t)&first);
    memcpy(code, code_body, sizeof(code_body));
    patch_32r(code + 0x3, (uintptr_t)data + -0x4);
}
void emit_trampoline(unsigned char *code)
{
    const unsigned char code_body[1] = {0xc3};
    memcpy(code, code_body, sizeof(code_body));
}
static const StencilGroup trampoline = {emit_trampoline, 1, 0};
static const StencilGroup stencil_groups[] = { [LOAD] = {emit_LOAD, 7, 16, {0}} };
";

fn header(text: &str) -> Stencils {
    match Header::parse(text.as_bytes()) {
        Ok(header) => Stencils::from(header),
        Err(error) => panic!("{error}\n{text}"),
    }
}

/// What replacing texts in the header does.
fn header_diff(replaced: &[(&str, &str)]) -> Comparison {
    let mut text = HEADER.to_owned();
    for (old, new) in replaced {
        assert!(text.contains(old), "{old}");
        text = text.replace(old, new);
    }
    Comparison::new(&header(HEADER), &header(&text), Listings::Changed)
}

#[test]
fn a_header_is_the_same_as_itself() {
    let comparison = header_diff(&[]);
    assert!(comparison.same && comparison.holes_compared && !comparison.parts_joined);
    assert_eq!(
        comparison.uops.totals.a,
        Size {
            code_bytes: 7,
            data_bytes: 16,
            holes: 3
        }
    );
    assert_eq!(comparison.others.totals.same, 1);
}

#[test]
fn what_is_said_of_a_header() {
    let digest = "0123456789abcdef".repeat(4);
    let comparison = header_diff(&[
        (
            "// made by hand",
            &format!("// {digest}\n// made by a machine"),
        ),
        ("{0}", "{0x01}"),
    ]);
    assert_eq!(
        comparison.changes,
        [
            change("comment", "made by hand", "made by a machine"),
            change("digest", "-", &digest),
        ]
    );
    let group = changed(&comparison.uops);
    assert_eq!(group.changes, [change("initialiser", "-", "{0x01}")]);
}

#[test]
fn the_newer_form_says_the_same() {
    let comparison = header_diff(&[
        (
            "0x48, 0x8b, 0x05, 0x00, 0x00, 0x00, 0x00",
            "0x48, 0x8b, 0x05",
        ),
        (
            "    const unsigned char data_body[16] = {0,0,0,0,0,0,0,0, 0,0,0,0,0,0,0,0};\n",
            "",
        ),
        ("    memcpy(data, data_body, sizeof(data_body));\n", ""),
        (", {0}", ""),
    ]);
    assert!(comparison.same, "{comparison:?}");
}

#[test]
fn what_was_renamed_is_the_same() {
    let with = |value: &str| header(&HEADER.replace("instruction->oparg", value));
    let compare = |a, b| Comparison::new(&with(a), &with(b), Listings::Changed);
    for (a, b) in [
        ("instruction->operand", "instruction->operand0"),
        ("instruction_starts[1]", "state->instruction_starts[1]"),
    ] {
        assert!(compare(a, b).same, "{a} {b}");
    }
    let holes = |a, b| changed(&compare(a, b).uops).parts[1].holes.clone();
    let (a, b) = (
        "patch_64 instruction->operand",
        "patch_64 instruction->operand1",
    );
    assert_eq!(
        holes("instruction->operand", "instruction->operand1"),
        [hole_change(Some(a), None, 1), hole_change(None, Some(b), 1)]
    );
    // Arithmetic on the same values is paired, too.
    let (a, b) = (
        "patch_64 ((uint64_t)instruction->operand + 8)",
        "patch_64 ((uint64_t)instruction->operand + -16)",
    );
    assert_eq!(
        holes(
            "((uint64_t)instruction->operand + 8)",
            "((uint64_t)instruction->operand0 + -16)"
        ),
        [hole_change(Some(a), Some(b), 1)]
    );
}

#[test]
fn the_trampoline_is_a_group_of_its_own() {
    let comparison = header_diff(&[("{0xc3}", "{0xc4}")]);
    assert_eq!(changed(&comparison.others).name, "trampoline");
    assert!(comparison.uops.is_same() && !comparison.same);
}

#[test]
fn expressions_and_functions_of_patches() {
    // The slots of the data trade places, and what the code refers to follows.
    let comparison = header_diff(&[
        (
            "data + 0x0, instruction->oparg",
            "data + 0x8, instruction->oparg",
        ),
        (
            "data + 0x8, (uintptr_t)&first",
            "data + 0x0, (uintptr_t)&first",
        ),
        ("data + -0x4", "data + 0x4"),
    ]);
    let parts = &changed(&comparison.uops).parts;
    let (a, b) = (
        "patch_32r (uintptr_t)data + -0x4",
        "patch_32r (uintptr_t)data + 0x4",
    );
    assert_eq!(parts[0].holes, [hole_change(Some(a), Some(b), 1)]);
    assert_eq!((&parts[1].holes[..], parts[1].holes_moved), (&[][..], 2));

    let comparison = header_diff(&[("patch_32r", "patch_x86_64_32rx"), ("&first", "&second")]);
    let parts = &changed(&comparison.uops).parts;
    let b = "patch_x86_64_32rx (uintptr_t)data + -0x4";
    assert_eq!(parts[0].holes, [hole_change(Some(a), Some(b), 1)]);
    assert_eq!(
        parts[1].holes,
        [
            hole_change(Some("patch_64 (uintptr_t)&first"), None, 1),
            hole_change(None, Some("patch_64 (uintptr_t)&second"), 1),
        ]
    );
    assert_eq!(parts[1].lines.len(), 3);
}

#[test]
fn a_part_that_only_one_header_has() {
    let comparison = header_diff(&[
        ("code_body", "hot_body"),
        ("memcpy(code, ", "memcpy(hot, "),
        ("code + ", "hot + "),
        ("LOAD, 7, 16, {0}", "LOAD"),
    ]);
    assert!(
        comparison.parts_joined && comparison.uops.groups[0].parts.iter().all(|part| part.same)
    );

    let body = "    const unsigned char data_body[16]";
    let with_cold = format!("    const unsigned char cold_body[2] = {{0xeb, 0xfe}};\n{body}");
    let comparison = header_diff(&[(body, &with_cold), ("LOAD, 7, 16, {0}", "LOAD")]);
    assert!(!comparison.parts_joined);
    let parts = &changed(&comparison.uops).parts;
    let names: Vec<_> = parts
        .iter()
        .map(|part| (part.part.as_str(), part.a_bytes, part.b_bytes))
        .collect();
    assert_eq!(names, [("code", 7, 7), ("data", 16, 16), ("cold", 0, 2)]);
    assert_eq!(parts[2].lines[0].text, "jmp 0");
}

// ---- A table and a header --------------------------------------------------------------------------------------

#[test]
fn a_table_and_a_header() {
    let mut table = contents();
    table.uops = vec![uop("LOAD", &LOAD[..8], &load_holes()[..1])];
    table.uops[0].group.cold = stencil(
        &LOAD[8..],
        &[
            Hole::new(1, Pc32, HoleValue::JumpTarget, -4),
            Hole::new(6, Pc32, HoleValue::Continue, -4),
        ],
    );
    table.variants.clear();
    let bytes: Vec<String> = LOAD.iter().map(ToString::to_string).collect();
    let text = |second: u32| {
        format!(
            "void emit_LOAD(void) {{ const unsigned char code_body[18] = {{{}}};\
             patch_32(code + 4, a); patch_32r(code + 9, b); patch_32r(code + {second}, c); }}\
             static const Group groups[] = {{{{emit_LOAD, 18, 0}}}};",
            bytes.join(",")
        )
    };
    let compare =
        |second| Comparison::new(&stencils(&table), &header(&text(second)), Listings::None);
    let comparison = compare(14);
    assert!(comparison.same, "{comparison:?}");
    assert!(comparison.parts_joined && !comparison.holes_compared);
    assert_eq!(
        (comparison.a.form, comparison.b.form),
        (Form::Table, Form::Header)
    );
    let elsewhere = compare(13);
    assert_eq!(changed(&elsewhere.uops).parts[0].holes_moved, 1);
}

#[test]
fn percents() {
    assert_eq!(percent(0, 5), None);
    assert_eq!(percent(8, 9), Some(12.5));
    assert_eq!(percent(3, 2), Some(-33.3));
    assert!(percent(100_000, 99_999).is_some_and(f64::is_sign_positive));
}
