//! The rules for stencils that C code copies: a table of stencils that break one each, and of others that are much the same
//! and keep them.

use super::*;
use HoleValue::{Continue, Data, ErrorTarget, JumpTarget, Symbol, Top};

const RET: &[u8] = &[0xc3];
const JMP_RAX: &[u8] = &[0xff, 0xe0];
const JMP_AT_RAX: &[u8] = &[0xff, 0x20];
const PUSH_R12: &[u8] = &[0x41, 0x54];
const POP_R12: &[u8] = &[0x41, 0x5c];
const MOV_R12_RAX: &[u8] = &[0x49, 0x89, 0xc4];
const MOV_R13_RCX: &[u8] = &[0x49, 0x89, 0xcd];
const MOV_R13_RAX: &[u8] = &[0x49, 0x89, 0xc5];
const MOV_R14_RSI: &[u8] = &[0x49, 0x89, 0xf6];
const MOV_R13_AT_R13: &[u8] = &[0x4d, 0x8b, 0x6d, 0x00];
const MOV_RBX_R12: &[u8] = &[0x4c, 0x89, 0xe3];
const MOV_R12_RBX: &[u8] = &[0x49, 0x89, 0xdc];
const MOV_RCX_R12: &[u8] = &[0x4c, 0x89, 0xe1];
const MOV_R12_RCX: &[u8] = &[0x49, 0x89, 0xcc];
const LEA_R14_8_BEHIND: &[u8] = &[0x4d, 0x8d, 0x76, 0x08];

/// A call through the first word of the data.
fn call_through_word() -> Piece {
    rip(&[0xff, 0x15], Data, 0)
}

/// Code, and data of one word with the address of a function.
fn stencil(pieces: &[Piece]) -> Case {
    hot("", pieces)
        .data(8, 8)
        .data_hole(Hole::new(0, Abs64, Symbol, 0))
}

fn checked(pieces: &[Piece]) -> Result<Report, VerifyError> {
    check_c_stencil("_TEST", stencil(pieces).group.as_group(), SYMBOLS)
}

#[test]
fn stencils_that_keep_the_rules() {
    let rows: &[(&str, &[Piece])] = &[
        ("nothing", &[]),
        ("calls through a word", &[call_through_word()]),
        (
            "calls with a frame",
            &[x(SUB_RSP_16), call_through_word(), x(ADD_RSP_16)],
        ),
        ("returns", &[x(RET)]),
        (
            "ends in a trap, wherever the stack is",
            &[x(SUB_RSP_16), call_through_word(), x(&[0x0f, 0x0b])],
        ),
        (
            "returns on one of two ways",
            &[x(&[0x74, 0x01]), x(RET), x(NOP)],
        ),
        (
            "returns from a frame",
            &[x(SUB_RSP_16), call_through_word(), x(ADD_RSP_16), x(RET)],
        ),
        ("jumps to another trace", &[x(JMP_RAX)]),
        ("jumps through memory", &[x(JMP_AT_RAX)]),
        (
            "leaves by holes",
            &[je(JumpTarget), je(ErrorTarget), je(Top), jmp(Continue)],
        ),
        ("uses rbp", &[x(MOV_RBP_RAX)]),
        ("returns with r12 lost", &[x(MOV_R12_RAX), x(RET)]),
        (
            "saves r12 on the stack",
            &[x(PUSH_R12), x(MOV_R12_RAX), x(POP_R12)],
        ),
        (
            "saves r12 in rbx",
            &[
                x(MOV_RBX_R12),
                x(MOV_R12_RAX),
                call_through_word(),
                x(MOV_R12_RBX),
            ],
        ),
        (
            "saves r12 in rcx",
            &[x(MOV_RCX_R12), x(MOV_R12_RAX), x(MOV_R12_RCX)],
        ),
        ("moves the stack pointer", &[x(LEA_R14_8_BEHIND)]),
        ("takes another frame", &[x(MOV_R13_AT_R13)]),
        (
            "takes the frame that a call returns",
            &[call_through_word(), x(MOV_R13_RAX)],
        ),
        ("has the address of its data", &[rip(LEA_RAX_RIP, Data, 0)]),
        ("reads a word", &[rip(MOV_RAX_RIP, Data, 0)]),
    ];
    for (name, pieces) in rows {
        if let Err(error) = checked(pieces) {
            panic!("{name}: {error}");
        }
    }
}

#[test]
fn stencils_that_break_a_rule() {
    let rows: &[(&str, &[Piece], &str)] = &[
        (
            "a misaligned call",
            &[x(PUSH_RAX), call_through_word(), x(POP_RCX)],
            "a call at depth 8",
        ),
        ("a return that is not level", &[x(PUSH_RAX), x(RET)], "8"),
        ("an end that is not level", &[x(SUB_RSP_8)], "8"),
        (
            "a jump to a trace that is not level",
            &[x(PUSH_RAX), x(JMP_RAX)],
            "8",
        ),
        ("more popped than pushed", &[x(POP_RCX), x(PUSH_RAX)], ""),
        ("the distance of a function", &[call()], "mimeo_int_add"),
        (
            "the distance of data",
            &[rip(LEA_RAX_RIP, Symbol, 0)],
            "mimeo_int_add",
        ),
        (
            "a load from far away",
            &[rip(MOV_RAX_RIP, Symbol, 0)],
            "mimeo_int_add",
        ),
        (
            "a distance that nobody fills",
            &[x(&[0x48, 0x8d, 0x05, 0, 0, 0, 0])],
            "without a hole",
        ),
        ("a word behind the data", &[rip(MOV_RAX_RIP, Data, 8)], "8"),
        ("r12 lost at the end", &[x(MOV_R12_RAX)], "r12"),
        (
            "r12 lost at a way out",
            &[
                x(MOV_RBX_R12),
                x(MOV_R12_RAX),
                je(JumpTarget),
                x(MOV_R12_RBX),
            ],
            "r12",
        ),
        (
            "r12 lost at a jump to a trace",
            &[x(MOV_R12_RAX), x(JMP_RAX)],
            "r12",
        ),
        (
            "r12 saved where calls lose it",
            &[
                x(MOV_RCX_R12),
                x(MOV_R12_RAX),
                call_through_word(),
                x(MOV_R12_RCX),
            ],
            "r12",
        ),
        (
            "r13 from what a call leaves",
            &[call_through_word(), x(MOV_R13_RCX)],
            "r13",
        ),
        (
            "r14 from what a call leaves",
            &[call_through_word(), x(MOV_R14_RSI)],
            "r14",
        ),
        ("a breakpoint", &[x(&[0xcc])], ""),
        (
            "bytes that nobody reaches",
            &[x(RET), x(&[0x48])],
            "does not reach",
        ),
        (
            "half an instruction",
            &[x(&[0x48])],
            "no 64-bit instruction",
        ),
    ];
    for (name, pieces, said) in rows {
        match checked(pieces) {
            Ok(_) => panic!("{name}: accepted"),
            Err(error) => assert!(error.to_string().contains(said), "{name}: {error}"),
        }
    }
    let misaligned = checked(&[x(PUSH_RAX), call_through_word(), x(POP_RCX)]);
    assert!(misaligned.is_err_and(|error| error.is_misaligned_call()));
    let far = checked(&[call()]);
    assert!(far.is_err_and(|error| !error.is_misaligned_call()));
}

#[test]
fn the_entry_is_a_c_function() {
    let check = |pieces: &[Piece]| {
        let case = stencil(pieces);
        check_c_entry("trampoline", case.group.as_group(), SYMBOLS)
    };
    // push rbp; push rax; call STENCILS; pop rcx; pop rbp; ret
    let calls = x(&[0x55, 0x50, 0xe8, 3, 0, 0, 0, 0x59, 0x5d, 0xc3]);
    assert!(check(std::slice::from_ref(&calls)).is_ok());
    // Stencils are called with one word, or three, less; C functions with as many.
    let misaligned = check(&[x(&[0x55, 0xe8, 2, 0, 0, 0, 0x5d, 0xc3])]);
    assert!(misaligned.is_err_and(|error| error.is_misaligned_call()));
    let with_call = |before: &[u8], behind: &[u8]| {
        check(&[x(before), call_through_word(), x(behind), calls.clone()])
    };
    assert!(with_call(PUSH_RAX, POP_RCX).is_ok());
    assert!(with_call(&[], &[]).is_err_and(|error| error.is_misaligned_call()));
    // rbp, and the stack, are at the end what they were.
    assert!(check(&[x(&[0x50, 0x50, 0xe8, 2, 0, 0, 0, 0x59, 0xc3])]).is_err());
    assert!(check(&[x(&[0x5d]), calls.clone()]).is_err());
    assert!(check(&[x(MOV_R12_RAX), calls.clone()]).is_ok());
    let far = check(&[rip(LEA_RAX_RIP, Symbol, 0), calls.clone()]);
    assert!(far.is_err_and(|error| error.to_string().contains("mimeo_int_add")));
    let outside = check(&[rip(MOV_RAX_RIP, Data, 8), calls]);
    assert!(outside.is_err());
    assert!(check(&[x(&[0x48])]).is_err());
}
