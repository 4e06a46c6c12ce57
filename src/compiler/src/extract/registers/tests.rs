//! Where registers stand, as a table of instructions; and what cannot be renamed.

use super::*;
use RegisterField::{Base, Index, Reg};

fn register(name: &str) -> Register {
    Register::all()
        .find(|register| register.name() == name)
        .unwrap()
}

fn set(names: &[&str]) -> RegisterSet {
    names
        .iter()
        .fold(RegisterSet::default(), |set, name| set.with(register(name)))
}

fn group(hot: &[u8], cold: &[u8]) -> StencilGroupBuf {
    let part = |bytes: &[u8]| StencilBuf {
        bytes: bytes.to_vec(),
        ..StencilBuf::default()
    };
    StencilGroupBuf {
        hot: part(hot),
        cold: part(cold),
        data: StencilBuf::default(),
    }
}

const ALL_PLACEHOLDERS: &[&str] = &["r8", "r9", "r11", "r15", "xmm4", "xmm5", "xmm6", "xmm7"];

/// What an instruction is with every placeholder in turn renamed to the register of its class with the index `to`.
fn renamed(bytes: &[u8], to: u8) -> Vec<String> {
    let placeholders = set(ALL_PLACEHOLDERS);
    let (holes, _) = find(&group(bytes, &[]), placeholders).unwrap();
    let mut texts = Vec::new();
    for name in ALL_PLACEHOLDERS {
        let from = register(name);
        let holes = holes.iter().filter(|hole| hole.register == from);
        let mut bytes = bytes.to_vec();
        let mut count = 0;
        for hole in holes {
            hole.rename(Register::of_class(from.class(), to).unwrap(), &mut bytes);
            count += 1;
        }
        if count > 0 {
            texts.push(instruction_text(&decode(&bytes, 0)));
        }
    }
    texts
}

#[test]
fn every_field_that_names_a_placeholder_is_a_hole() {
    // The instruction; its holes as offset, REX, field and register.
    type Row = (
        &'static [u8],
        &'static [(u32, Option<u32>, RegisterField, &'static str)],
    );
    let rows: &[Row] = &[
        // mov rax, r8 and mov r8, rax, in both directions of the encoding
        (&[0x4c, 0x89, 0xc0], &[(2, Some(0), Reg, "r8")]),
        (&[0x49, 0x8b, 0xc0], &[(2, Some(0), Base, "r8")]),
        // add r8, r9
        (
            &[0x4d, 0x01, 0xc8],
            &[(2, Some(0), Base, "r8"), (2, Some(0), Reg, "r9")],
        ),
        // add r8, r8: one hole each
        (
            &[0x4d, 0x01, 0xc0],
            &[(2, Some(0), Reg, "r8"), (2, Some(0), Base, "r8")],
        ),
        // imul r8, r9, 5
        (
            &[0x4d, 0x6b, 0xc1, 5],
            &[(2, Some(0), Reg, "r8"), (2, Some(0), Base, "r9")],
        ),
        // lea r8, [r9 + 8*r11 + 16]
        (
            &[0x4f, 0x8d, 0x44, 0xd9, 0x10],
            &[
                (2, Some(0), Reg, "r8"),
                (3, Some(0), Base, "r9"),
                (3, Some(0), Index, "r11"),
            ],
        ),
        // mov [r15 + r15], r15: SIB without displacement
        (
            &[0x4f, 0x89, 0x3c, 0x3f],
            &[
                (2, Some(0), Reg, "r15"),
                (3, Some(0), Base, "r15"),
                (3, Some(0), Index, "r15"),
            ],
        ),
        // mov r8, imm64; bswap r9; push r11; pop r15; xchg r8, rax: in the opcode
        (
            &[0x49, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0],
            &[(1, Some(0), Base, "r8")],
        ),
        (&[0x49, 0x0f, 0xc9], &[(2, Some(0), Base, "r9")]),
        (&[0x41, 0x53], &[(1, Some(0), Base, "r11")]),
        (&[0x41, 0x5f], &[(1, Some(0), Base, "r15")]),
        (&[0x49, 0x90], &[(1, Some(0), Base, "r8")]),
        // setb r8b; movzx r8d, r9b; mov word ptr [r8], r11w
        (&[0x41, 0x0f, 0x92, 0xc0], &[(3, Some(0), Base, "r8")]),
        (
            &[0x45, 0x0f, 0xb6, 0xc1],
            &[(3, Some(0), Reg, "r8"), (3, Some(0), Base, "r9")],
        ),
        (
            &[0x66, 0x45, 0x89, 0x18],
            &[(3, Some(1), Base, "r8"), (3, Some(1), Reg, "r11")],
        ),
        // add xmm4, xmm5 without REX; movq xmm4, r8; cvttsd2si r9, xmm4; movsd xmm4, [r8 + 8*r9]
        (
            &[0xf2, 0x0f, 0x58, 0xe5],
            &[(3, None, Reg, "xmm4"), (3, None, Base, "xmm5")],
        ),
        (
            &[0x66, 0x49, 0x0f, 0x6e, 0xe0],
            &[(4, Some(1), Base, "r8"), (4, Some(1), Reg, "xmm4")],
        ),
        (
            &[0xf2, 0x4c, 0x0f, 0x2c, 0xcc],
            &[(4, Some(1), Reg, "r9"), (4, Some(1), Base, "xmm4")],
        ),
        (
            &[0xf2, 0x43, 0x0f, 0x10, 0x24, 0xc8],
            &[
                (5, Some(1), Base, "r8"),
                (5, Some(1), Index, "r9"),
                (4, Some(1), Reg, "xmm4"),
            ],
        ),
        // xmm12 has xmm4's low bits, r10 is no placeholder: mov r10, [r12]
        (&[0xf2, 0x45, 0x0f, 0x58, 0xe4], &[]),
        (&[0x4d, 0x8b, 0x14, 0x24], &[]),
        // shl r8, cl: rcx stays
        (&[0x49, 0xd3, 0xe0], &[(2, Some(0), Base, "r8")]),
        // cmp r8, 0x11223344, whose bytes look like much
        (
            &[0x49, 0x81, 0xf8, 0xc0, 0xc1, 0xc8, 0xcb],
            &[(2, Some(0), Base, "r8")],
        ),
    ];
    for (bytes, expected) in rows {
        let (mut found, _) = find(&group(bytes, &[]), set(ALL_PLACEHOLDERS)).unwrap();
        found.sort_by_key(|hole| {
            (
                hole.register.as_u8() >= 8,
                hole.register.encoding(),
                hole.offset,
                hole.field != Reg,
            )
        });
        let found: Vec<_> = found
            .iter()
            .map(|hole| (hole.offset, hole.rex, hole.field, hole.register.name()))
            .collect();
        let mut expected = expected.to_vec();
        expected.sort_by_key(|&(offset, _, field, name)| {
            let register = register(name);
            (
                register.as_u8() >= 8,
                register.encoding(),
                offset,
                field != Reg,
            )
        });
        assert_eq!(found, expected, "{bytes:02x?}");
    }
}

#[test]
fn renaming_gives_the_instruction_with_the_other_register() {
    let rows: &[(&[u8], u8, &[&str])] = &[
        (&[0x4d, 0x01, 0xc8], 1, &["add rdi, r9", "add r8, rdi"]),
        (&[0x41, 0x0f, 0x92, 0xc0], 1, &["setb dil"]),
        (
            &[0x45, 0x0f, 0xb6, 0xc1],
            2,
            &["movzx esi, r9b", "movzx r8d, sil"],
        ),
        (
            &[0x66, 0x45, 0x89, 0x18],
            3,
            &["mov [rdx], r11w", "mov [r8], dx"],
        ),
        (
            &[0x4f, 0x8d, 0x44, 0xd9, 0x10],
            0,
            &[
                "lea r15, [r9 + r11*8 + 0x10]",
                "lea r8, [r15 + r11*8 + 0x10]",
                "lea r8, [r9 + r15*8 + 0x10]",
            ],
        ),
        (
            &[0xf2, 0x0f, 0x58, 0xe5],
            0,
            &["addsd xmm0, xmm5", "addsd xmm4, xmm0"],
        ),
        (&[0x4d, 0x01, 0xc0], 4, &["add rcx, rcx"]),
    ];
    for (bytes, to, expected) in rows {
        let found: Vec<String> = renamed(bytes, *to)
            .iter()
            .map(|text| text.replace('+', " + ").replace("  +  ", " + "))
            .collect();
        assert_eq!(found, *expected);
    }
}

#[test]
fn what_the_code_uses_otherwise_is_not_to_be_renamed_to() {
    let rows: &[(&[u8], &[&str])] = &[
        // mov rax, r8
        (&[0x4c, 0x89, 0xc0], &[]),
        // shl r8, cl; mul r8; push rdi; lock cmpxchg [rsi], r8; rep movsb
        (&[0x49, 0xd3, 0xe0], &["rcx"]),
        (&[0x49, 0xf7, 0xe0], &["rdx"]),
        (&[0x57], &["rdi"]),
        (&[0xf0, 0x4c, 0x0f, 0xb1, 0x06], &["rsi"]),
        (&[0xf3, 0xa4], &["rdi", "rsi", "rcx"]),
        // addsd xmm3, xmm8
        (&[0xf2, 0x41, 0x0f, 0x58, 0xd8], &["xmm3"]),
    ];
    for (bytes, expected) in rows {
        let (_, hot) = find(&group(bytes, &[]), set(&["r8"])).unwrap();
        let (_, cold) = find(&group(&[], bytes), set(&["r8"])).unwrap();
        assert_eq!(hot, set(expected), "{bytes:02x?}");
        assert_eq!(hot, cold);
    }
}

#[test]
fn what_cannot_be_renamed_is_an_error() {
    let rows: &[(&[u8], &[&str], &str)] = &[
        // A call loses them all.
        (
            &[0xe8, 0, 0, 0, 0],
            &["r8"],
            "which uses r8 without naming it",
        ),
        // shl rax, cl; cqo; add edi, edi, whose encoding has no room for r8
        (
            &[0x48, 0xd3, 0xe0],
            &["rcx"],
            "which holds rcx in no field of its own",
        ),
        (&[0x48, 0x99], &["rdx"], "which uses rdx without naming it"),
        (
            &[0x01, 0xff],
            &["rdi"],
            "which holds rdi in no field of its own",
        ),
        // vaddsd xmm4, xmm4, xmm5
        (
            &[0xc5, 0xdb, 0x58, 0xe5],
            &["xmm4"],
            "which holds xmm4 in no field of its own",
        ),
        (&[0x06], &["r8"], "which is not decoded"),
    ];
    for (bytes, placeholders, reason) in rows {
        let hot = [&[0x90], *bytes].concat();
        let problem = find(&group(&hot, &[]), set(placeholders)).unwrap_err();
        assert_eq!((problem.part, problem.offset), (Part::Hot, 1));
        assert_eq!(problem.reason, *reason);
        assert!(find(&group(&[], &hot), set(placeholders)).is_err_and(|it| it.part == Part::Cold));
    }
}

#[test]
fn holes_count_from_the_start_of_their_part() {
    let add = [0x90, 0x4d, 0x01, 0xc8];
    let (holes, _) = find(&group(&add, &[&add[..], &add].concat()), set(&["r8"])).unwrap();
    let places: Vec<_> = holes
        .iter()
        .map(|hole| (hole.cold, hole.offset, hole.rex))
        .collect();
    assert_eq!(
        places,
        [(false, 3, Some(1)), (true, 3, Some(1)), (true, 7, Some(5))]
    );
}
