//! What the checker accepts and rejects, as tables of hand-assembled stencil groups, and what it does with groups that
//! have been tampered with.

mod contract;
mod variants;

use super::*;
use mimeo::reloc::RelocationKind::{self, *};
use mimeo::stencil::{StackEffect, StencilBuf, StencilGroupBuf};

const SYMBOLS: &[&str] = &["mimeo_int_add", "mimeo_float_box"];

/// A piece of code: bytes, and the holes in them by offset from the piece's start.
#[derive(Clone)]
struct Piece(Vec<u8>, Vec<Hole>);

/// Bytes without a hole.
fn x(bytes: &[u8]) -> Piece {
    Piece(bytes.to_vec(), Vec::new())
}

/// Bytes with a hole, which is given in full.
fn with(bytes: &[u8], hole: Hole) -> Piece {
    Piece(bytes.to_vec(), vec![hole])
}

/// An opcode and a hole behind it, at the instruction's end.
fn ends_with(opcode: &[u8], kind: RelocationKind, value: HoleValue, addend: i32) -> Piece {
    let mut bytes = opcode.to_vec();
    bytes.resize(opcode.len() + kind.width(), 0);
    let hole = Hole::new(opcode.len() as u32, kind, value, addend);
    with(&bytes, hole)
}

fn jmp(value: HoleValue) -> Piece {
    ends_with(&[0xe9], Pc32, value, -4)
}

fn je(value: HoleValue) -> Piece {
    ends_with(&[0x0f, 0x84], Pc32, value, -4)
}

fn je_to(value: HoleValue, destination: i32) -> Piece {
    ends_with(&[0x0f, 0x84], Pc32, value, destination - 4)
}

fn call() -> Piece {
    ends_with(&[0xe8], Pc32, HoleValue::Symbol, -4)
}

/// An instruction with a rip-relative displacement at its end.
fn rip(opcode: &[u8], value: HoleValue, destination: i32) -> Piece {
    ends_with(opcode, Pc32, value, destination - 4)
}

/// `lea r15, [rip + EXIT]; jmp [rip + EXIT]`.
fn jmp_through_exit() -> Piece {
    let Piece(mut bytes, mut holes) = rip(&[0x4c, 0x8d, 0x3d], HoleValue::Exit, 0);
    let jump = rip(JMP_RIP, HoleValue::Exit, 0);
    let start = bytes.len() as u32;
    holes.extend(jump.1.iter().map(|hole| hole.at(start + hole.offset())));
    bytes.extend(jump.0);
    Piece(bytes, holes)
}

/// `movabs rax, imm64`.
fn movabs_rax(value: HoleValue, addend: i32) -> Piece {
    ends_with(&[0x48, 0xb8], Abs64, value, addend)
}

const JMP_RIP: &[u8] = &[0xff, 0x25];
const NOP: &[u8] = &[0x90];
const UD2: &[u8] = &[0x0f, 0x0b];
const PUSH_RAX: &[u8] = &[0x50];
const POP_RCX: &[u8] = &[0x59];
const PUSH_RBP: &[u8] = &[0x55];
const POP_RBP: &[u8] = &[0x5d];
const MOV_RBP_RAX: &[u8] = &[0x48, 0x89, 0xc5];
const SUB_RSP_8: &[u8] = &[0x48, 0x83, 0xec, 0x08];
const ADD_RSP_8: &[u8] = &[0x48, 0x83, 0xc4, 0x08];
const SUB_RSP_16: &[u8] = &[0x48, 0x83, 0xec, 0x10];
const ADD_RSP_16: &[u8] = &[0x48, 0x83, 0xc4, 0x10];
const CALL_RAX: &[u8] = &[0xff, 0xd0];
const CALL_RBX: &[u8] = &[0xff, 0xd3];
/// `mov rax, [rip + disp32]` and the like, without the displacement.
const MOV_RAX_RIP: &[u8] = &[0x48, 0x8b, 0x05];
const MOV_RIP_RAX: &[u8] = &[0x48, 0x89, 0x05];
const LEA_RAX_RIP: &[u8] = &[0x48, 0x8d, 0x05];
const MOVAPS_RIP: &[u8] = &[0x0f, 0x28, 0x05];
const MOVUPS_RIP: &[u8] = &[0x0f, 0x10, 0x05];
const ADDPD_RIP: &[u8] = &[0x66, 0x0f, 0x58, 0x05];
const VMOVAPS_YMM_RIP: &[u8] = &[0xc5, 0xfc, 0x28, 0x05];
const VADDPD_RIP: &[u8] = &[0xc5, 0xf9, 0x58, 0x05];
/// `mov rax, [r12 + disp32]` without the displacement.
const MOV_RAX_R12: &[u8] = &[0x49, 0x8b, 0x84, 0x24];

/// A stencil group in the making, and the flags of its uop.
#[derive(Clone)]
struct Case {
    name: &'static str,
    flags: UopFlags,
    group: StencilGroupBuf,
}

fn code(pieces: &[Piece]) -> StencilBuf {
    let mut stencil = StencilBuf::default();
    for Piece(bytes, holes) in pieces {
        let start = stencil.bytes.len() as u32;
        stencil
            .holes
            .extend(holes.iter().map(|hole| hole.at(start + hole.offset())));
        stencil.bytes.extend(bytes);
    }
    stencil
}

/// A group with this hot code. The uop is declared to do what the code does, but to continue.
fn hot(name: &'static str, pieces: &[Piece]) -> Case {
    let group = StencilGroupBuf {
        hot: code(pieces),
        ..Default::default()
    };
    Case {
        name,
        flags: UopFlags::empty(),
        group,
    }
    .declared()
}

impl Case {
    fn cold(mut self, pieces: &[Piece]) -> Self {
        self.group.cold = code(pieces);
        self.declared()
    }

    /// `len` bytes of data.
    fn data(mut self, len: usize, align: u32) -> Self {
        self.group.data = StencilBuf {
            bytes: vec![0; len],
            holes: Vec::new(),
            align,
        };
        self
    }

    fn data_hole(mut self, hole: Hole) -> Self {
        self.group.data.holes.push(hole);
        self.declared()
    }

    fn terminal(mut self) -> Self {
        self.flags |= UopFlags::TERMINAL;
        self
    }

    fn but(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Adds what the holes need to the flags.
    fn declared(mut self) -> Self {
        for hole in self.group.as_group().holes() {
            self.flags |= match hole.value() {
                HoleValue::JumpTarget => UopFlags::DEOPT,
                value => UopFlags::announcing(value),
            };
        }
        self
    }

    fn check(&self) -> Result<Report, VerifyError> {
        let uop = UopInfo {
            name: "_TEST",
            flags: self.flags,
            ..Default::default()
        };
        check_group(&uop, self.group.as_group(), SYMBOLS)
    }
}

/// Shorthand for the counts of a report.
fn report(instructions: usize, calls: usize, exits: usize, cold: usize, max_stack: u64) -> Report {
    Report {
        instructions,
        calls,
        exits,
        cold_entries: cold,
        max_stack,
    }
}

#[test]
fn sound_groups_are_accepted() {
    use HoleValue::*;
    let rows = [
        (hot("nothing to do", &[]), report(0, 0, 1, 0, 0)),
        (hot("falls through", &[x(NOP)]), report(1, 0, 1, 0, 0)),
        (
            hot("continues by a hole", &[jmp(Continue)]),
            report(1, 0, 1, 0, 0),
        ),
        (
            hot("branches to its end", &[x(&[0x74, 0x01]), x(NOP)]),
            report(2, 0, 2, 0, 0),
        ),
        (
            hot("jumps to its end", &[x(&[0xeb, 0x00])]),
            report(1, 0, 1, 0, 0),
        ),
        (hot("guards", &[je(JumpTarget)]), report(1, 0, 2, 0, 0)),
        (
            hot("loops", &[x(NOP), x(&[0x75, 0xfd])]),
            report(2, 0, 1, 0, 0),
        ),
        (
            hot("counts down", &[x(&[0xe2, 0xfe])]),
            report(1, 0, 1, 0, 0),
        ),
        (
            hot("goes to the top", &[jmp(Top)]).terminal(),
            report(1, 0, 1, 0, 0),
        ),
        (
            hot("exits", &[jmp_through_exit()]).terminal(),
            report(2, 0, 1, 0, 0),
        ),
        (
            hot("jumps to its own start", &[je_to(Code, 0)]),
            report(1, 0, 1, 0, 0),
        ),
        (
            hot(
                "skips padding",
                &[x(&[0xeb, 0x04]), x(&[0x0f, 0x1f, 0x00, 0xcc]), x(NOP)],
            ),
            report(2, 0, 1, 0, 0),
        ),
        (
            hot(
                "nops with an operand",
                &[x(&[0x0f, 0x1f, 0x44, 0x24, 0x40])],
            ),
            report(1, 0, 1, 0, 0),
        ),
        (hot("calls", &[call()]), report(1, 1, 1, 0, 0)),
        (
            hot(
                "writes a saved rbp on one of two ways",
                &[
                    x(PUSH_RBP),
                    x(&[0x74, 0x03]),
                    x(MOV_RBP_RAX),
                    x(NOP),
                    x(POP_RBP),
                ],
            ),
            report(5, 0, 1, 0, 8),
        ),
        (
            hot(
                "writes a saved rbp on the way back",
                &[
                    x(PUSH_RBP),
                    x(NOP),
                    x(MOV_RBP_RAX),
                    x(&[0x75, 0xfa]),
                    x(POP_RBP),
                ],
            ),
            report(5, 0, 1, 0, 8),
        ),
        (
            hot(
                "calls with a frame",
                &[x(SUB_RSP_16), call(), x(ADD_RSP_16)],
            ),
            report(3, 1, 1, 0, 16),
        ),
        (
            hot(
                "adjusts by lea",
                &[
                    x(&[0x48, 0x8d, 0x64, 0x24, 0xf0]),
                    call(),
                    x(&[0x48, 0x8d, 0x64, 0x24, 0x10]),
                ],
            ),
            report(3, 1, 1, 0, 16),
        ),
        (
            hot(
                "calls through a register",
                &[movabs_rax(Symbol, 0), x(NOP), x(CALL_RAX)],
            ),
            report(3, 1, 1, 0, 0),
        ),
        (
            hot(
                "calls a second operand",
                &[movabs_rax(Operand1, 0), x(CALL_RAX)],
            ),
            report(2, 1, 1, 0, 0),
        ),
        (
            hot(
                "calls twice through a register that calls keep",
                &[
                    ends_with(&[0x48, 0xbb], Abs64, Operand, 0),
                    x(CALL_RBX),
                    x(CALL_RBX),
                ],
            ),
            report(3, 2, 1, 0, 0),
        ),
        (
            hot(
                "keeps rbp",
                &[
                    x(PUSH_RBP),
                    x(PUSH_RAX),
                    x(MOV_RBP_RAX),
                    call(),
                    x(POP_RCX),
                    x(POP_RBP),
                ],
            ),
            report(6, 1, 1, 0, 16),
        ),
        (
            hot(
                "pushes rbp for its size",
                &[x(PUSH_RBP), x(PUSH_RAX), call(), x(ADD_RSP_16)],
            ),
            report(4, 1, 1, 0, 16),
        ),
        (
            hot(
                "uses its frame",
                &[
                    x(SUB_RSP_16),
                    x(&[0x48, 0x89, 0x44, 0x24, 0x08]), // mov [rsp + 8], rax
                    x(&[0x0f, 0x29, 0x04, 0x24]),       // movaps [rsp], xmm0
                    x(&[0x48, 0x89, 0xe7]),             // mov rdi, rsp
                    x(&[0x48, 0x8d, 0x74, 0x24, 0x0f]), // lea rsi, [rsp + 15]
                    x(&[0xff, 0x34, 0x24]),             // push [rsp]
                    x(POP_RCX),
                    x(ADD_RSP_16),
                ],
            ),
            report(8, 0, 1, 0, 24),
        ),
        (
            hot(
                "enters cold code in two places",
                &[je_to(Cold, 0), je_to(Cold, 1)],
            )
            .cold(&[x(NOP), jmp(ErrorTarget)]),
            report(4, 0, 2, 2, 0),
        ),
        (
            hot("comes back from cold code", &[je_to(Cold, 0), x(NOP)])
                .cold(&[call(), ends_with(&[0xe9], Pc32, Code, 6 - 4)]),
            report(4, 1, 1, 1, 0),
        ),
        (
            hot(
                "takes its frame to cold code",
                &[x(PUSH_RAX), je_to(Cold, 0), x(POP_RCX)],
            )
            .cold(&[x(POP_RCX), jmp(Continue)]),
            report(5, 0, 2, 1, 8),
        ),
        (
            hot(
                "has a hole in each field",
                &[
                    ends_with(&[0x04], Abs8, Oparg, 1),             // add al, imm8
                    ends_with(&[0x48, 0x83, 0xc0], Abs8, Oparg, 0), // add rax, simm8
                    ends_with(&[0x66, 0x05], Abs16, Oparg, 0),      // add ax, imm16
                    ends_with(&[0xb8], Abs32, Target, 0),           // mov eax, imm32
                    ends_with(&[0x05], Abs32S, ExitIndex, 0),       // add eax, imm32
                    ends_with(&[0x48, 0x05], Abs32S, Zero, 7),      // add rax, simm32
                    ends_with(&[0x49, 0x8b, 0x44, 0x24], Abs8, Oparg, 8), // mov rax, [r12 + disp8]
                    with(
                        &[MOV_RAX_R12, &[0; 4]].concat(),
                        Hole::new(4, Abs32S, Oparg, 48).with_shift(3),
                    ),
                    movabs_rax(Executor, 0),
                    rip(MOV_RAX_RIP, Operand, 8),
                    rip(MOV_RAX_RIP, Operand1, 8),
                    rip(MOV_RIP_RAX, Exit, 16),
                    Piece(
                        vec![0xc7, 0x05, 0, 0, 0, 0, 0, 0, 0, 0], // mov dword [rip + disp32], imm32
                        vec![
                            Hole::new(2, Pc32, Executor, -8),
                            Hole::new(6, Abs32S, Target, 0),
                        ],
                    ),
                ],
            ),
            report(13, 0, 1, 0, 0),
        ),
        (
            hot(
                "reads its data",
                &[
                    rip(MOV_RAX_RIP, Data, 24),
                    rip(MOVAPS_RIP, Data, 16),
                    rip(ADDPD_RIP, Data, 0),
                    rip(MOVUPS_RIP, Data, 3),
                    rip(VADDPD_RIP, Data, 9),
                    rip(LEA_RAX_RIP, Data, 31),
                    ends_with(&[0x48, 0x8b, 0x04, 0xc5], Abs32S, Data, 8), // mov rax, [rax * 8 + disp32]
                    movabs_rax(Data, 31),
                ],
            )
            .data(32, 16)
            .data_hole(Hole::new(8, Abs64, Symbol, 0))
            .data_hole(Hole::new(16, Abs64, Data, 31)),
            report(8, 0, 1, 0, 0),
        ),
    ];
    for (case, expected) in rows {
        assert_eq!(case.check(), Ok(expected), "{}", case.name);
    }
}

/// A row of the table below: the group, and the violation with its place.
macro_rules! rejected {
    ($case:expr, $part:ident $offset:literal, $violation:pat) => {{
        let is: fn(&Violation) -> bool = |violation| matches!(violation, &$violation);
        ($case, Part::$part, $offset, is, stringify!($violation))
    }};
}

type Rejected = (Case, Part, u32, fn(&Violation) -> bool, &'static str);

fn assert_rejected(rows: impl IntoIterator<Item = Rejected>) {
    for (case, part, offset, is, expected) in rows {
        let name = case.name;
        let error = case.check().expect_err(name);
        assert!(
            is(&error.violation),
            "{name}: expected {expected}, found {error}"
        );
        assert_eq!(
            (error.part, error.offset),
            (part, offset),
            "{name}: {error}"
        );
        assert!(
            error
                .to_string()
                .starts_with(&format!("_TEST, {part} at {offset:#x}")),
            "{error}"
        );
    }
}

#[test]
fn malformed_parts_and_holes_are_rejected() {
    use HoleValue::*;
    use Violation as V;
    let add_two = |first: Hole, second: Hole| {
        let bytes = vec![0xc7, 0x05, 0, 0, 0, 0, 0, 0, 0, 0];
        Piece(bytes, vec![first, second])
    };
    let patched = |change: fn(&mut Case)| hot("patched", &[je(JumpTarget)]).but(change);
    assert_rejected([
        rejected!(
            hot("large", &[x(&vec![0x90; MAX_PART_LEN + 1])]),
            Hot 0, V::PartTooLarge { len: 0x100_0001 }
        ),
        rejected!(patched(|c| c.group.hot.align = 16), Hot 0, V::Alignment { found: 16, .. }),
        rejected!(patched(|c| c.group.cold.align = 0), Cold 0, V::Alignment { found: 0, .. }),
        rejected!(patched(|c| c.group.data.align = 12), Data 0, V::Alignment { found: 12, .. }),
        rejected!(patched(|c| c.group.data.align = 0), Data 0, V::Alignment { found: 0, .. }),
        rejected!(
            hot("symbol", &[with(&[0xe8, 0, 0, 0, 0], Hole::new(1, Pc32, Symbol, -4).with_symbol(2))]),
            Hot 1, V::BadHole(_)
        ),
        rejected!(
            hot("symbol without use", &[with(&[0xe9, 0, 0, 0, 0], Hole::new(1, Pc32, Top, -4).with_symbol(1))]),
            Hot 1, V::BadHole(_)
        ),
        rejected!(
            hot("shift", &[with(&[0xe9, 0, 0, 0, 0], Hole::new(1, Pc32, Top, -4).with_shift(1))]),
            Hot 1, V::BadHole(_)
        ),
        rejected!(
            hot("order", &[add_two(Hole::new(6, Abs32, Zero, 0), Hole::new(2, Pc32, Exit, -8))]),
            Hot 2, V::HoleOrder { previous_end: 10 }
        ),
        rejected!(
            hot("overlapping", &[add_two(Hole::new(2, Pc32, Exit, -8), Hole::new(5, Abs32, Zero, 0))]),
            Hot 5, V::HoleOrder { previous_end: 6 }
        ),
        rejected!(
            hot("same place", &[add_two(Hole::new(2, Pc32, Exit, -8), Hole::new(2, Pc32, Exit, -8))]),
            Hot 2, V::HoleOrder { previous_end: 6 }
        ),
        rejected!(
            hot("outside", &[with(&[0xe9, 0, 0, 0], Hole::new(1, Pc32, Continue, -4))]),
            Hot 1, V::HoleOutside { end: 5, len: 4 }
        ),
        rejected!(
            hot("far outside", &[with(NOP, Hole::new(u32::MAX, Pc32, Continue, -4))]),
            Hot 0xffff_ffff, V::HoleOutside { end: u32::MAX, len: 1 }
        ),
        rejected!(
            hot("bytes", &[with(&[0xe9, 0, 0, 1, 0], Hole::new(1, Pc32, Continue, -4))]),
            Hot 1, V::BytesUnderHole { .. }
        ),
        rejected!(
            hot("bytes in data", &[]).data(16, 8).data_hole(Hole::new(8, Abs64, Symbol, 0))
                .but(|c| c.group.data.bytes[15] = 1),
            Data 8, V::BytesUnderHole { .. }
        ),
        rejected!(
            hot("unaligned in data", &[]).data(16, 8).data_hole(Hole::new(4, Abs64, Symbol, 0)),
            Data 4, V::DataHole { .. }
        ),
        rejected!(
            hot("narrow in data", &[]).data(16, 8).data_hole(Hole::new(8, Abs32, Oparg, 0)),
            Data 8, V::DataHole { .. }
        ),
        rejected!(
            hot("relative in data", &[]).data(16, 8).data_hole(Hole::new(8, Pc32, Data, 0)),
            Data 8, V::DataHole { .. }
        ),
        rejected!(
            hot("jump table", &[]).data(16, 8).data_hole(Hole::new(0, Abs64, Code, 0)),
            Data 0, V::DataHole { .. }
        ),
        rejected!(
            hot("pointer past data", &[]).data(16, 8).data_hole(Hole::new(0, Abs64, Data, 16)),
            Data 0, V::DataOutside { destination: 16, size: 1, len: 16 }
        ),
    ]);
}

#[test]
fn bytes_that_are_no_sound_code_are_rejected() {
    use HoleValue::*;
    use Violation as V;
    let forbidden = |name, bytes: &[u8]| rejected!(hot(name, &[x(NOP), x(bytes), x(NOP)]), Hot 1, V::Forbidden(_));
    assert_rejected([
        rejected!(hot("invalid", &[x(NOP), x(&[0x06])]), Hot 1, V::InvalidInstruction { .. }),
        rejected!(hot("cut off", &[x(NOP), x(&[0x48, 0x8b])]), Hot 1, V::InvalidInstruction { .. }),
        rejected!(
            hot("invalid in cold code", &[je_to(Cold, 1)]).cold(&[x(NOP), x(&[0x06])]),
            Cold 1, V::InvalidInstruction { .. }
        ),
        rejected!(
            // mov eax, 0x90909090 and a branch into it
            hot("into an instruction", &[x(&[0xb8, 0x90, 0x90, 0x90, 0x90]), x(&[0x74, 0xfb])]),
            Hot 2, V::Overlap { other: 0 }
        ),
        rejected!(
            hot("two streams", &[x(&[0x74, 0x01]), x(&[0xb8, 0x90, 0x90, 0x90, 0x90])]),
            Hot 3, V::Overlap { other: 2 }
        ),
        rejected!(
            hot("an instruction over another", &[
                je_to(Cold, 0), je_to(Cold, 1),
            ]).cold(&[x(&[0xb8]), x(NOP), x(NOP), x(NOP), x(NOP), jmp(Continue)]),
            Cold 0, V::Overlap { other: 1 }
        ),
        rejected!(
            hot("unreached", &[jmp(Continue), x(&[0x31, 0xc0])]),
            Hot 5, V::Unreached
        ),
        rejected!(
            hot("unreached ud2", &[jmp(Continue), x(UD2)]),
            Hot 5, V::Unreached
        ),
        rejected!(hot("cold without entry", &[]).cold(&[jmp(Continue)]), Cold 0, V::Unreached),
        rejected!(
            // Padding that is cut off by the code behind it.
            hot("padding over code", &[x(&[0xeb, 0x02]), x(&[0x0f, 0x1f]), x(&[0x00, 0xc0])]),
            Hot 2, V::Unreached
        ),
        forbidden("ret", &[0xc3]),
        forbidden("far ret", &[0xcb]),
        forbidden("int3", &[0xcc]),
        forbidden("int 0x80", &[0xcd, 0x80]),
        forbidden("ud2", UD2),
        forbidden("syscall", &[0x0f, 0x05]),
        forbidden("sysenter", &[0x0f, 0x34]),
        forbidden("hlt", &[0xf4]),
        forbidden("cli", &[0xfa]),
        forbidden("in al, dx", &[0xec]),
        forbidden("xbegin", &[0xc7, 0xf8, 0, 0, 0, 0]),
        forbidden("mov fs, ax", &[0x8e, 0xe0]),
        forbidden("wrfsbase rax", &[0xf3, 0x48, 0x0f, 0xae, 0xd0]),
        forbidden("std", &[0xfd]),
        forbidden("popf", &[0x9d]),
        forbidden("far call", &[0xff, 0x18]),
        forbidden("call rax or ax", &[0x66, 0xff, 0xd0]),
        forbidden("jmp rax or ax", &[0x66, 0xff, 0xe0]),
        forbidden("jmp with an operand size", &[0x66, 0xe9, 0, 0, 0, 0]),
        forbidden("short je with an operand size", &[0x66, 0x74, 0x00]),
    ]);
}

#[test]
fn control_that_goes_astray_is_rejected() {
    use HoleValue::*;
    use Violation as V;
    assert_rejected([
        rejected!(hot("before", &[x(&[0x74, 0xfd])]), Hot 0, V::BranchOutside { destination: -1, .. }),
        rejected!(hot("behind", &[x(&[0x74, 0x01])]), Hot 0, V::BranchOutside { destination: 3, len: 2, .. }),
        rejected!(
            hot("cold branch to cold's end", &[je_to(Cold, 0)]).cold(&[x(&[0x74, 0x05]), jmp(Continue)]),
            Cold 0, V::BranchOutside { part: Part::Cold, destination: 7, .. }
        ),
        rejected!(
            hot("cold entry outside", &[je_to(Cold, 5)]).cold(&[jmp(Continue)]),
            Hot 0, V::BranchOutside { part: Part::Cold, destination: 5, len: 5 }
        ),
        rejected!(
            hot("cold entry without cold", &[je_to(Cold, 0)]),
            Hot 0, V::BranchOutside { part: Part::Cold, destination: 0, len: 0 }
        ),
        rejected!(
            hot("cold entry before", &[je_to(Cold, -1)]).cold(&[jmp(Continue)]),
            Hot 0, V::BranchOutside { part: Part::Cold, destination: -1, .. }
        ),
        rejected!(
            hot("hot's end from cold", &[je_to(Cold, 0)]).cold(&[ends_with(&[0xe9], Pc32, Code, 6 - 4)]),
            Cold 0, V::BranchOutside { part: Part::Hot, destination: 6, len: 6 }
        ),
        rejected!(
            hot("cold falls off", &[je_to(Cold, 0)]).cold(&[x(NOP)]),
            Cold 0, V::RunsOffCold
        ),
        rejected!(
            hot("cold branch falls off", &[je_to(Cold, 0)]).cold(&[je(Continue)]),
            Cold 0, V::RunsOffCold
        ),
        rejected!(hot("terminal falls through", &[x(NOP), x(NOP)]).terminal(), Hot 1, V::TerminalContinues),
        rejected!(hot("terminal continues", &[x(NOP), jmp(Continue)]).terminal(), Hot 1, V::TerminalContinues),
        rejected!(
            hot("terminal branches to its end", &[x(&[0x74, 0x05]), jmp(Top)]).terminal(),
            Hot 0, V::TerminalContinues
        ),
        rejected!(hot("terminal without code", &[]).terminal(), Hot 0, V::TerminalContinues),
        rejected!(hot("never continues", &[jmp(JumpTarget)]), Hot 0, V::NeverContinues),
        rejected!(hot("jumps to a symbol", &[jmp(Symbol)]), Hot 0, V::BranchValue { value: Symbol, .. }),
        rejected!(hot("branches to a symbol", &[je(Symbol)]), Hot 0, V::BranchValue { value: Symbol, .. }),
        rejected!(hot("jumps to a record", &[jmp(Exit)]), Hot 0, V::BranchValue { value: Exit, .. }),
        rejected!(hot("jumps to an operand", &[jmp(Operand)]), Hot 0, V::BranchValue { value: Operand, .. }),
        rejected!(hot("jumps to an oparg", &[je(Oparg)]), Hot 0, V::BranchValue { value: Oparg, .. }),
        rejected!(
            hot("calls the trace", &[ends_with(&[0xe8], Pc32, Continue, -4)]),
            Hot 0, V::BranchValue { value: Continue, .. }
        ),
        rejected!(
            hot("calls an operand", &[ends_with(&[0xe8], Pc32, Operand, -4)]),
            Hot 0, V::BranchValue { value: Operand, .. }
        ),
        rejected!(hot("calls itself", &[x(&[0xe8, 0, 0, 0, 0])]), Hot 0, V::CallWithoutHole),
        rejected!(hot("jumps through a register", &[x(&[0xff, 0xe0])]), Hot 0, V::IndirectJump),
        rejected!(
            hot("jumps through data", &[rip(&[0xff, 0x25], Data, 0)]).data(8, 8),
            Hot 0, V::IndirectJump
        ),
        rejected!(
            hot("jumps through a table", &[ends_with(&[0xff, 0x24, 0xc5], Abs32S, Exit, 0)]),
            Hot 0, V::IndirectJump
        ),
        rejected!(
            hot("far jump through the record", &[rip(&[0xff, 0x2d], Exit, 0)]),
            Hot 0, V::IndirectJump
        ),
        rejected!(
            hot("jumps through the record's second field", &[rip(&[0xff, 0x25], Exit, 8)]),
            Hot 0, V::Addend { found: 4, expected: -4 }
        ),
        rejected!(
            hot("jumps beside the next uop", &[ends_with(&[0xe9], Pc32, Continue, -3)]),
            Hot 0, V::Addend { found: -3, expected: -4 }
        ),
        rejected!(
            hot("jumps beside the jump target", &[ends_with(&[0x0f, 0x84], Pc32, JumpTarget, 0)]),
            Hot 0, V::Addend { found: 0, expected: -4 }
        ),
        rejected!(
            hot("calls into a function", &[ends_with(&[0xe8], Pc32, Symbol, 0)]),
            Hot 0, V::Addend { found: 0, expected: -4 }
        ),
    ]);
}

#[test]
fn calls_through_what_is_not_known_are_rejected() {
    use HoleValue::*;
    use Violation as V;
    let mov_rax_0 = x(&[0x31, 0xc0]);
    assert_rejected([
        rejected!(hot("no setter", &[x(NOP), x(CALL_RAX)]), Hot 1, V::IndirectCall),
        rejected!(
            hot("overwritten", &[movabs_rax(Symbol, 0), mov_rax_0, x(CALL_RAX)]),
            Hot 12, V::IndirectCall
        ),
        rejected!(
            // mov al, 1
            hot("overwritten in part", &[movabs_rax(Symbol, 0), x(&[0xb0, 0x01]), x(CALL_RAX)]),
            Hot 12, V::IndirectCall
        ),
        rejected!(
            hot("another register", &[movabs_rax(Symbol, 0), x(CALL_RBX)]),
            Hot 10, V::IndirectCall
        ),
        rejected!(
            hot("lost in a call", &[movabs_rax(Symbol, 0), x(CALL_RAX), x(CALL_RAX)]),
            Hot 12, V::IndirectCall
        ),
        rejected!(
            hot("behind a branch", &[movabs_rax(Symbol, 0), je(JumpTarget), x(CALL_RAX)]),
            Hot 16, V::IndirectCall
        ),
        rejected!(
            hot("reached by a branch", &[x(&[0x74, 0x0a]), movabs_rax(Symbol, 0), x(CALL_RAX)]),
            Hot 12, V::IndirectCall
        ),
        rejected!(hot("address of data", &[movabs_rax(Data, 0), x(CALL_RAX)]).data(8, 8), Hot 10, V::IndirectCall),
        rejected!(hot("beside a symbol", &[movabs_rax(Symbol, 1), x(CALL_RAX)]), Hot 10, V::IndirectCall),
        rejected!(hot("a constant", &[x(&[0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8]), x(CALL_RAX)]), Hot 10, V::IndirectCall),
        rejected!(
            hot("a 32-bit operand", &[ends_with(&[0xb8], Abs32, Operand, 0), x(CALL_RAX)]),
            Hot 5, V::IndirectCall
        ),
        rejected!(hot("through memory", &[rip(&[0xff, 0x15], Symbol, 0)]), Hot 0, V::IndirectCall),
    ]);
}

#[test]
fn holes_beside_their_fields_are_rejected() {
    use HoleValue::*;
    use Violation as V;
    let one = |name, bytes: &[u8], offset, kind, value| {
        hot(
            name,
            &[x(NOP), with(bytes, Hole::new(offset, kind, value, 0))],
        )
    };
    assert_rejected([
        rejected!(one("on the opcode", &[0x00, 0xc0], 0, Abs8, Oparg), Hot 1, V::HoleOffField { .. }),
        rejected!(one("narrow", &[0xb8, 0, 0, 0, 0], 1, Abs8, Oparg), Hot 1, V::HoleOffField { .. }),
        rejected!(one("in the middle", &[0xb8, 0, 0, 0, 0], 2, Abs16, Oparg), Hot 1, V::HoleOffField { .. }),
        rejected!(
            one("over two instructions", &[0x04, 0, 0x00, 0x00], 1, Abs16, Oparg),
            Hot 1, V::HoleOffField { .. }
        ),
        rejected!(
            one("no field", &[0x0f, 0x28, 0x00], 2, Abs8, Oparg),
            Hot 1, V::HoleOffField { .. }
        ),
        rejected!(
            hot("in padding", &[jmp(Continue), ends_with(&[0x0f, 0x1f, 0x80], Abs32S, Oparg, 0)]),
            Hot 8, V::HoleOffField { .. }
        ),
        rejected!(
            one("zero-extended where signs are extended", &[0x48, 0x05, 0, 0, 0, 0], 2, Abs32, Oparg),
            Hot 1, V::KindMismatch { kind: Abs32, field: Field::SignExtended(4) }
        ),
        rejected!(
            // mov qword [rax], simm32
            one("stored with its sign", &[0x48, 0xc7, 0x00, 0, 0, 0, 0], 3, Abs32, Target),
            Hot 1, V::KindMismatch { kind: Abs32, field: Field::SignExtended(4) }
        ),
        rejected!(
            one("pushed with its sign", &[0x68, 0, 0, 0, 0], 1, Abs32, Target),
            Hot 1, V::KindMismatch { kind: Abs32, field: Field::SignExtended(4) }
        ),
        rejected!(
            one("zero-extended displacement", &[0x49, 0x8b, 0x84, 0x24, 0, 0, 0, 0], 4, Abs32, Oparg),
            Hot 1, V::KindMismatch { kind: Abs32, field: Field::Displacement(4) }
        ),
        rejected!(
            one("relative immediate", &[0xb8, 0, 0, 0, 0], 1, Pc32, Symbol),
            Hot 1, V::KindMismatch { kind: Pc32, field: Field::Immediate(4) }
        ),
        rejected!(
            one("relative displacement", &[0x49, 0x8b, 0x84, 0x24, 0, 0, 0, 0], 4, Pc32, Data),
            Hot 1, V::KindMismatch { kind: Pc32, field: Field::Displacement(4) }
        ),
        rejected!(
            one("absolute behind rip", &[0x48, 0x8b, 0x05, 0, 0, 0, 0], 3, Abs32S, Data),
            Hot 1, V::KindMismatch { kind: Abs32S, field: Field::RipRelative }
        ),
        rejected!(
            one("absolute branch", &[0xe9, 0, 0, 0, 0], 1, Abs32S, Continue),
            Hot 1, V::KindMismatch { kind: Abs32S, field: Field::Branch }
        ),
        rejected!(
            one("short branch", &[0x74, 0], 1, Abs8, Continue),
            Hot 1, V::KindMismatch { kind: Abs8, field: Field::Fixed }
        ),
        rejected!(
            // movabs rax, [imm64]
            one("64-bit address", &[0x48, 0xa1, 0, 0, 0, 0, 0, 0, 0, 0], 2, Abs64, Operand),
            Hot 1, V::KindMismatch { kind: Abs64, field: Field::Fixed }
        ),
        rejected!(
            // mov eax, [ecx + disp32]
            one("32-bit address", &[0x67, 0x8b, 0x81, 0, 0, 0, 0], 3, Abs32S, Oparg),
            Hot 1, V::KindMismatch { kind: Abs32S, field: Field::Fixed }
        ),
        rejected!(
            // mov eax, [eip + disp32]
            one("relative to eip", &[0x67, 0x8b, 0x05, 0, 0, 0, 0], 3, Pc32, Data),
            Hot 1, V::KindMismatch { kind: Pc32, field: Field::Fixed }
        ),
        rejected!(
            // vmovups zmm0, [rax + disp8 * 64]
            one("scaled displacement", &[0x62, 0xf1, 0x7c, 0x48, 0x10, 0x40, 0], 6, Abs8, Oparg),
            Hot 1, V::KindMismatch { kind: Abs8, field: Field::Fixed }
        ),
        rejected!(
            one("oparg as an address", &[0x48, 0x8b, 0x05, 0, 0, 0, 0], 3, Pc32, Oparg),
            Hot 1, V::ValueMismatch { value: Oparg, field: Field::RipRelative }
        ),
        rejected!(
            one("code as data", &[0x48, 0x8b, 0x05, 0, 0, 0, 0], 3, Pc32, Code),
            Hot 1, V::ValueMismatch { value: Code, field: Field::RipRelative }
        ),
        rejected!(
            hot("shifted address", &[with(
                &[0x48, 0x8b, 0x05, 0, 0, 0, 0], Hole::new(3, Pc32, Operand, -4).with_shift(3),
            )]),
            Hot 0, V::ValueMismatch { value: Operand, field: Field::RipRelative }
        ),
        rejected!(
            one("a jump's address in a register", &[0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0], 2, Abs64, JumpTarget),
            Hot 1, V::ValueMismatch { value: JumpTarget, field: Field::Immediate(8) }
        ),
        rejected!(
            one("cold code's address in a register", &[0xb8, 0, 0, 0, 0], 1, Abs32, Cold),
            Hot 1, V::ValueMismatch { value: Cold, field: Field::Immediate(4) }
        ),
        rejected!(hot("rip alone", &[x(&[0x48, 0x8b, 0x05, 0, 0, 0, 0])]), Hot 0, V::RipRelativeWithoutHole),
        rejected!(
            hot("rip with a hole elsewhere", &[with(
                &[0xc7, 0x05, 0, 0, 0, 0, 0, 0, 0, 0], Hole::new(6, Abs32, Oparg, 0),
            )]),
            Hot 0, V::RipRelativeWithoutHole
        ),
    ]);
}

#[test]
fn wrong_uses_of_data_are_rejected() {
    use HoleValue::*;
    use Violation as V;
    assert_rejected([
        rejected!(
            hot("behind", &[rip(MOV_RAX_RIP, Data, 9)]).data(16, 8),
            Hot 0, V::DataOutside { destination: 9, size: 8, len: 16 }
        ),
        rejected!(
            hot("before", &[rip(MOV_RAX_RIP, Data, -1)]).data(16, 8),
            Hot 0, V::DataOutside { destination: -1, size: 8, len: 16 }
        ),
        rejected!(
            hot("none there", &[rip(LEA_RAX_RIP, Data, 0)]),
            Hot 0, V::DataOutside { destination: 0, size: 1, len: 0 }
        ),
        rejected!(
            hot("absolute", &[ends_with(&[0x48, 0x8b, 0x04, 0xc5], Abs32S, Data, 12)]).data(16, 8),
            Hot 0, V::DataOutside { destination: 12, size: 8, .. }
        ),
        rejected!(
            hot("address", &[movabs_rax(Data, 16)]).data(16, 8),
            Hot 0, V::DataOutside { destination: 16, size: 1, .. }
        ),
        rejected!(
            // The displacement is not at the instruction's end: cmp dword [rip + disp32], imm32.
            hot("the end counts", &[with(
                &[0x81, 0x3d, 0, 0, 0, 0, 1, 0, 0, 0], Hole::new(2, Pc32, Data, -8 + 13),
            )]).data(16, 8),
            Hot 0, V::DataOutside { destination: 13, size: 4, .. }
        ),
        rejected!(
            hot("aligned move", &[rip(MOVAPS_RIP, Data, 8)]).data(32, 16),
            Hot 0, V::DataMisaligned { destination: 8, align: 16, expected: 16 }
        ),
        rejected!(
            hot("aligned move of unaligned data", &[rip(MOVAPS_RIP, Data, 0)]).data(32, 8),
            Hot 0, V::DataMisaligned { destination: 0, align: 8, expected: 16 }
        ),
        rejected!(
            hot("aligned operand", &[rip(ADDPD_RIP, Data, 0)]).data(32, 8),
            Hot 0, V::DataMisaligned { destination: 0, align: 8, expected: 16 }
        ),
        rejected!(
            hot("wide aligned move", &[rip(VMOVAPS_YMM_RIP, Data, 0)]).data(32, 16),
            Hot 0, V::DataMisaligned { destination: 0, align: 16, expected: 32 }
        ),
        rejected!(hot("store", &[rip(MOV_RIP_RAX, Data, 0)]).data(8, 8), Hot 0, V::DataWritten),
        rejected!(
            // lock inc qword [rip + disp32]
            hot("update", &[rip(&[0xf0, 0x48, 0xff, 0x05], Data, 0)]).data(8, 8),
            Hot 0, V::DataWritten
        ),
        rejected!(
            // bt [rip + disp32], rax
            hot("bit string", &[rip(&[0x48, 0x0f, 0xa3, 0x05], Data, 0)]).data(8, 8),
            Hot 0, V::UnknownAccess
        ),
    ]);
}

#[test]
fn stacks_that_are_not_level_are_rejected() {
    use HoleValue::*;
    use Violation as V;
    let written = |name, bytes: &[u8]| rejected!(hot(name, &[x(NOP), x(bytes)]), Hot 1, V::StackPointerWritten);
    assert_rejected([
        rejected!(hot("left at the end", &[x(NOP), x(PUSH_RAX)]), Hot 1, V::NotLevel { depth: 8 }),
        rejected!(hot("left at a branch", &[x(PUSH_RAX), je(JumpTarget), x(POP_RCX)]), Hot 1, V::NotLevel { depth: 8 }),
        rejected!(hot("left at a jump", &[x(SUB_RSP_16), jmp(Continue)]), Hot 4, V::NotLevel { depth: 16 }),
        rejected!(
            hot("left at a branch to the end", &[x(PUSH_RAX), x(&[0x74, 0x01]), x(POP_RCX)]),
            Hot 1, V::NotLevel { depth: 8 }
        ),
        rejected!(
            hot("left at an exit", &[x(PUSH_RAX), jmp_through_exit()]).terminal(),
            Hot 8, V::NotLevel { depth: 8 }
        ),
        rejected!(
            hot("left without the record", &[rip(JMP_RIP, Exit, 0)]).terminal(),
            Hot 0, V::LeaveWithoutExit
        ),
        rejected!(
            hot("left in cold code", &[x(PUSH_RAX), je_to(Cold, 0), x(POP_RCX)]).cold(&[jmp(ErrorTarget)]),
            Cold 0, V::NotLevel { depth: 8 }
        ),
        rejected!(hot("popped", &[x(POP_RCX), x(PUSH_RAX)]), Hot 0, V::AboveEntry { above: 8 }),
        rejected!(hot("added", &[x(PUSH_RAX), x(ADD_RSP_16), x(SUB_RSP_8)]), Hot 1, V::AboveEntry { above: 8 }),
        rejected!(
            hot("lea above", &[x(&[0x48, 0x8d, 0x64, 0x24, 0x08]), x(PUSH_RAX)]),
            Hot 0, V::AboveEntry { above: 8 }
        ),
        rejected!(
            hot("joined unlike", &[x(&[0x74, 0x01]), x(PUSH_RAX), x(NOP), x(POP_RCX)]),
            Hot 3, V::Join { .. }
        ),
        rejected!(
            hot("grown in a loop", &[x(&[0x74, 0x03]), x(PUSH_RAX), x(&[0xeb, 0xfb])]),
            Hot 0, V::Join { .. }
        ),
        rejected!(
            hot("joined with another rbp", &[x(&[0x74, 0x03]), x(PUSH_RAX), x(&[0xeb, 0x01]), x(PUSH_RBP), x(POP_RCX)]),
            Hot 6, V::Join { .. }
        ),
        written("mov rsp, rax", &[0x48, 0x89, 0xc4]),
        written("and rsp, -16", &[0x48, 0x83, 0xe4, 0xf0]),
        written("sub rsp, rax", &[0x48, 0x29, 0xc4]),
        written("lea rsp, [rax]", &[0x48, 0x8d, 0x20]),
        written("lea rsp, [rsp + rax]", &[0x48, 0x8d, 0x24, 0x04]),
        written("lea esp, [rsp]", &[0x8d, 0x24, 0x24]),
        written("pop rsp", &[0x5c]),
        written("pop [rax]", &[0x8f, 0x00]),
        written("push ax", &[0x66, 0x50]),
        written("pushfq", &[0x9c]),
        written("enter 0, 0", &[0xc8, 0, 0, 0]),
        written("leave", &[0xc9]),
        written("xchg rsp, rax", &[0x48, 0x94]),
        written("mov spl, 0", &[0x40, 0xb4, 0x00]),
        rejected!(
            hot("patched frame", &[ends_with(&[0x48, 0x81, 0xec], Abs32S, Oparg, 0)]),
            Hot 0, V::StackPointerWritten
        ),
        rejected!(
            hot("patched lea", &[ends_with(&[0x48, 0x8d, 0xa4, 0x24], Abs32S, Oparg, 0)]),
            Hot 0, V::StackPointerWritten
        ),
    ]);
}

#[test]
fn memory_outside_the_frame_is_rejected() {
    use HoleValue::*;
    use Violation as V;
    let framed = |name, bytes: &[u8]| hot(name, &[x(SUB_RSP_16), x(bytes), x(ADD_RSP_16)]);
    assert_rejected([
        rejected!(
            hot("caller's frame", &[x(&[0x48, 0x8b, 0x04, 0x24])]),
            Hot 0, V::OutsideFrame { displacement: 0, size: 8, depth: 0 }
        ),
        rejected!(
            framed("one byte too far", &[0x48, 0x8b, 0x44, 0x24, 0x09]),
            Hot 4, V::OutsideFrame { displacement: 9, size: 8, depth: 16 }
        ),
        rejected!(
            framed("red zone", &[0x48, 0x89, 0x44, 0x24, 0xf8]),
            Hot 4, V::OutsideFrame { displacement: -8, size: 8, depth: 16 }
        ),
        rejected!(
            framed("wide store", &[0x0f, 0x11, 0x44, 0x24, 0x08]),
            Hot 4, V::OutsideFrame { displacement: 8, size: 16, depth: 16 }
        ),
        rejected!(
            framed("address behind", &[0x48, 0x8d, 0x7c, 0x24, 0x10]),
            Hot 4, V::OutsideFrame { displacement: 16, size: 1, depth: 16 }
        ),
        rejected!(
            hot("address of the caller's frame", &[x(&[0x48, 0x89, 0xe7])]),
            Hot 0, V::OutsideFrame { displacement: 0, size: 1, depth: 0 }
        ),
        rejected!(
            hot("pushed from the caller's frame", &[x(&[0xff, 0x34, 0x24]), x(POP_RCX)]),
            Hot 0, V::OutsideFrame { displacement: 0, size: 8, depth: 0 }
        ),
        rejected!(framed("index", &[0x48, 0x8b, 0x04, 0x0c]), Hot 4, V::UnknownAccess),
        rejected!(framed("32-bit address", &[0x67, 0x8b, 0x04, 0x24]), Hot 4, V::UnknownAccess),
        rejected!(framed("bit string", &[0x48, 0x0f, 0xab, 0x04, 0x24]), Hot 4, V::UnknownAccess),
        rejected!(
            hot("patched displacement", &[
                x(SUB_RSP_16), ends_with(&[0x48, 0x8b, 0x84, 0x24], Abs32S, Oparg, 0), x(ADD_RSP_16),
            ]),
            Hot 4, V::UnknownAccess
        ),
        rejected!(
            hot("aligned store at an odd depth", &[
                x(SUB_RSP_16), x(SUB_RSP_8), x(&[0x0f, 0x29, 0x04, 0x24]), x(ADD_RSP_8), x(ADD_RSP_16),
            ]),
            Hot 8, V::FrameMisaligned { displacement: 0, depth: 24, expected: 16 }
        ),
        rejected!(
            // vmovaps [rsp], ymm0 needs 32: nothing says that rsp is that.
            hot("wide aligned store", &[
                x(SUB_RSP_16), x(SUB_RSP_16), x(&[0xc5, 0xfc, 0x29, 0x04, 0x24]), x(ADD_RSP_16), x(ADD_RSP_16),
            ]),
            Hot 8, V::FrameMisaligned { displacement: 0, depth: 32, expected: 32 }
        ),
    ]);
}

#[test]
fn a_lost_base_pointer_is_rejected() {
    use Violation as V;
    assert_rejected([
        rejected!(hot("written", &[x(NOP), x(MOV_RBP_RAX)]), Hot 1, V::BasePointer(_)),
        rejected!(hot("written in part", &[x(&[0x40, 0xb5, 0x01])]), Hot 0, V::BasePointer(_)),
        rejected!(hot("popped without push", &[x(PUSH_RAX), x(POP_RBP)]), Hot 1, V::BasePointer(_)),
        rejected!(
            // What is written on one way is lost on both.
            hot("dropped where ways meet", &[
                x(PUSH_RBP), x(&[0x74, 0x03]), x(MOV_RBP_RAX), x(NOP), x(POP_RCX),
            ]),
            Hot 7, V::BasePointer(_)
        ),
        rejected!(
            hot("popped from elsewhere", &[x(PUSH_RBP), x(PUSH_RAX), x(POP_RBP), x(POP_RCX)]),
            Hot 2, V::BasePointer(_)
        ),
        rejected!(
            hot("dropped", &[x(PUSH_RBP), x(MOV_RBP_RAX), x(ADD_RSP_8)]),
            Hot 4, V::BasePointer(_)
        ),
        rejected!(
            hot("popped into another", &[x(PUSH_RBP), x(MOV_RBP_RAX), x(POP_RCX)]),
            Hot 4, V::BasePointer(_)
        ),
        rejected!(
            hot("pushed too late", &[x(PUSH_RBP), x(MOV_RBP_RAX), x(PUSH_RBP), x(POP_RBP), x(POP_RBP)]),
            Hot 5, V::BasePointer(_)
        ),
        rejected!(
            // mov [rsp], rax
            hot("overwritten", &[x(PUSH_RBP), x(&[0x48, 0x89, 0x04, 0x24]), x(POP_RBP)]),
            Hot 1, V::BasePointer(_)
        ),
        rejected!(
            // mov [rsp + 7], ax
            hot("overwritten in part", &[
                x(PUSH_RBP), x(PUSH_RAX), x(&[0x66, 0x89, 0x44, 0x24, 0x07]), x(POP_RCX), x(POP_RBP),
            ]),
            Hot 2, V::BasePointer(_)
        ),
    ]);
}

#[test]
fn a_misaligned_call_can_be_told_from_other_errors() {
    use HoleValue::*;
    use Violation as V;
    let rows = [
        rejected!(hot("one word", &[x(PUSH_RAX), call(), x(POP_RCX)]), Hot 1, V::MisalignedCall { depth: 8 }),
        rejected!(
            hot("rbp and a frame", &[x(PUSH_RBP), x(SUB_RSP_16), call(), x(ADD_RSP_16), x(POP_RBP)]),
            Hot 5, V::MisalignedCall { depth: 24 }
        ),
        rejected!(
            hot("through a register", &[x(PUSH_RAX), movabs_rax(Operand, 0), x(CALL_RAX), x(POP_RCX)]),
            Hot 11, V::MisalignedCall { depth: 8 }
        ),
        rejected!(
            hot("in cold code", &[x(PUSH_RAX), je_to(Cold, 0), x(POP_RCX)])
                .cold(&[call(), x(POP_RCX), jmp(Continue)]),
            Cold 0, V::MisalignedCall { depth: 8 }
        ),
    ];
    for (case, ..) in &rows {
        assert!(
            case.check().is_err_and(|error| error.is_misaligned_call()),
            "{}",
            case.name
        );
    }
    assert_rejected(rows);
    let other = hot("another", &[x(PUSH_RAX)]).check();
    assert!(other.is_err_and(|error| !error.is_misaligned_call()));
}

#[test]
fn flags_and_holes_that_disagree_are_rejected() {
    use HoleValue::*;
    use Violation as V;
    let without = |name, piece: Piece, flag: UopFlags| {
        hot(name, &[x(NOP), piece]).but(|case| case.flags.remove(flag))
    };
    let immediate = |value| ends_with(&[0xb8], Abs32, value, 0);
    let declared = |name, flag| hot(name, &[x(NOP)]).but(|case| case.flags = flag);
    assert_rejected([
        rejected!(without("jump", je(JumpTarget), UopFlags::DEOPT), Hot 3, V::Undeclared { value: JumpTarget, .. }),
        rejected!(without("error", je(ErrorTarget), UopFlags::ERROR), Hot 3, V::Undeclared { value: ErrorTarget, .. }),
        rejected!(without("top", je(Top), UopFlags::TOP), Hot 3, V::Undeclared { value: Top, .. }),
        rejected!(without("oparg", immediate(Oparg), UopFlags::OPARG), Hot 2, V::Undeclared { value: Oparg, .. }),
        rejected!(without("operand", immediate(Operand), UopFlags::OPERAND), Hot 2, V::Undeclared { value: Operand, .. }),
        rejected!(without("operand1", immediate(Operand1), UopFlags::OPERAND1), Hot 2, V::Undeclared { value: Operand1, .. }),
        rejected!(without("target", immediate(Target), UopFlags::TARGET), Hot 2, V::Undeclared { value: Target, .. }),
        rejected!(
            without("exit", rip(MOV_RAX_RIP, Exit, 0), UopFlags::EXIT_RECORD),
            Hot 4, V::Undeclared { value: Exit, .. }
        ),
        rejected!(
            without("exit index", immediate(ExitIndex), UopFlags::EXIT_RECORD),
            Hot 2, V::Undeclared { value: ExitIndex, .. }
        ),
        rejected!(
            hot("operand in data", &[]).data(8, 8).data_hole(Hole::new(0, Abs64, Operand, 0))
                .but(|case| case.flags = UopFlags::empty()),
            Data 0, V::Undeclared { value: Operand, .. }
        ),
        rejected!(declared("deopt", UopFlags::DEOPT), Hot 0, V::NeverUsed { values: &[JumpTarget], .. }),
        rejected!(declared("exit", UopFlags::EXIT), Hot 0, V::NeverUsed { values: &[JumpTarget], .. }),
        rejected!(declared("jump", UopFlags::JUMP), Hot 0, V::NeverUsed { values: &[JumpTarget], .. }),
        rejected!(declared("error", UopFlags::ERROR), Hot 0, V::NeverUsed { values: &[ErrorTarget], .. }),
        rejected!(declared("record", UopFlags::EXIT_RECORD), Hot 0, V::NeverUsed { values: &[Exit, ExitIndex], .. }),
        rejected!(declared("top", UopFlags::TOP), Hot 0, V::NeverUsed { values: &[Top], .. }),
    ]);
    let values = UopFlags::OPARG | UopFlags::OPERAND | UopFlags::OPERAND1;
    let values = values | UopFlags::TARGET | UopFlags::LOCAL;
    assert!(declared("values", values).check().is_ok());
    for flag in [UopFlags::DEOPT, UopFlags::EXIT, UopFlags::JUMP] {
        assert!(
            hot("jumps", &[je(JumpTarget)])
                .but(|case| case.flags = flag)
                .check()
                .is_ok()
        );
    }
}

/// Only uops that are declared to go to another frame may, and only on their way on; they must.
#[test]
fn frames_are_switched_as_declared() {
    use HoleValue::*;
    let enters = |case: Case| case.but(|case| case.flags |= UopFlags::ENTERS_FRAME);
    let load_frame = || x(&[0x4c, 0x8b, 0x20]); // mov r12, [rax]
    let load_stack = || x(&[0x4c, 0x8b, 0x68, 0x08]); // mov r13, [rax + 8]
    let accepted = [
        hot("goes to a frame", &[load_frame(), load_stack()]),
        hot("jumps before", &[je(JumpTarget), load_frame()]),
        hot("moves on", &[x(&[0x49, 0x83, 0xc4, 0x40])]), // add r12, 64
    ];
    for case in accepted {
        let name = case.name;
        enters(case)
            .check()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    let copy = |from: u8| x(&[0x49, 0x89, 0xc4 | from << 3]); // mov r12, rax + from
    let not_kept = |register: &str, value| Violation::NotKept {
        register: register.to_owned(),
        value,
    };
    let undefined = |register: &str| Violation::UndefinedFrame {
        register: register.to_owned(),
    };
    let rejected = [
        (
            hot("is not declared", &[load_frame()]),
            not_kept("r12", Continue),
        ),
        (enters(hot("stays", &[x(NOP)])), Violation::SameFrame),
        (
            // Nobody has put anything in rcx.
            enters(hot("goes anywhere", &[copy(1)])),
            undefined("r12"),
        ),
        (
            // mov r13, rcx
            enters(hot(
                "has any stack",
                &[load_frame(), x(&[0x49, 0x89, 0xcd])],
            )),
            undefined("r13"),
        ),
        (
            enters(hot("jumps behind", &[load_frame(), je(JumpTarget)])),
            not_kept("r12", JumpTarget),
        ),
        (
            // mov r14, [rax]
            enters(hot(
                "takes the thread along",
                &[load_frame(), x(&[0x4c, 0x8b, 0x30])],
            )),
            not_kept("r14", Continue),
        ),
    ];
    for (case, expected) in rejected {
        let error = case.check().expect_err(case.name);
        assert_eq!(error.violation, expected, "{}", case.name);
    }
}

/// What selection does in its own way: each with its stack effect and its code.
fn roles() -> [(UopFlags, StackEffect, StencilBuf); 6] {
    let load = || with(&[0x49, 0x8b, 0x84, 0x24, 0, 0, 0, 0], local(4)); // mov rax, [r12 + 8 * oparg]
    let store = || with(&[0x49, 0x89, 0x84, 0x24, 0, 0, 0, 0], local(4));
    let pop = || x(&[0x49, 0x8b, 0x45, 0xf8]); // mov rax, [r13 - 8]
    let push = || x(&[0x49, 0x89, 0x45, 0x00]);
    let up = || x(&[0x49, 0x83, 0xc5, 0x08]); // add r13, 8
    let down = || x(&[0x49, 0x83, 0xc5, 0xf8]);
    let number = || movabs_rax(HoleValue::Operand, 0);
    let swap = [
        x(&[0x49, 0x8b, 0x45, 0xf0]),
        x(&[0x49, 0x8b, 0x4d, 0xf8]),
        x(&[0x49, 0x89, 0x4d, 0xf0]),
        x(&[0x49, 0x89, 0x45, 0xf8]),
    ];
    let effect = StackEffect::fixed;
    let of_local = UopFlags::LOCAL | UopFlags::OPARG;
    [
        (
            UopFlags::LOADS_LOCAL | of_local,
            effect(0, 1),
            code(&[load(), push(), up()]),
        ),
        (
            UopFlags::STORES_LOCAL | of_local,
            effect(1, 0),
            code(&[pop(), down(), store()]),
        ),
        (
            UopFlags::CONSTANT | UopFlags::OPERAND,
            effect(0, 1),
            code(&[number(), push(), up()]),
        ),
        (UopFlags::COPIES, effect(1, 2), code(&[pop(), push(), up()])),
        (UopFlags::DROPS, effect(1, 0), code(&[down()])),
        (UopFlags::SWAPS, effect(2, 2), code(&swap)),
    ]
}

/// The hole for the local that the oparg names.
fn local(offset: u32) -> Hole {
    Hole::new(offset, Abs32S, HoleValue::Oparg, 0).with_shift(3)
}

fn check_role(
    flags: UopFlags,
    effect: StackEffect,
    hot: StencilBuf,
) -> Result<Report, VerifyError> {
    let group = StencilGroupBuf {
        hot,
        ..StencilGroupBuf::default()
    };
    let info = UopInfo {
        name: "_UOP",
        effect,
        flags,
        ..UopInfo::default()
    };
    check_group(&info, group.as_group(), SYMBOLS)
}

#[test]
fn roles_are_what_the_code_does() {
    for (flags, effect, hot) in roles() {
        check_role(flags, effect, hot.clone()).unwrap();
        // Each of them is for one code alone.
        for (.., other) in roles().into_iter().filter(|(.., other)| *other != hot) {
            assert!(check_role(flags, effect, other).is_err(), "{flags:?}");
        }
        // Nor is a change of one bit, unless the instructions are the same.
        let texts = |bytes: &[u8]| -> Vec<String> {
            let decoder = iced_x86::Decoder::new(64, bytes, iced_x86::DecoderOptions::NONE);
            decoder
                .into_iter()
                .map(|found| instruction_text(&found))
                .collect()
        };
        let holes: Vec<u32> = hot
            .holes
            .iter()
            .flat_map(|hole| hole.offset()..hole.end())
            .collect();
        for bit in 0..hot.bytes.len() * 8 {
            if holes.contains(&(bit as u32 / 8)) {
                continue;
            }
            let mut changed = hot.clone();
            changed.bytes[bit / 8] ^= 1 << (bit % 8);
            let (before, now) = (texts(&hot.bytes), texts(&changed.bytes));
            let is_accepted = check_role(flags, effect, changed).is_ok();
            assert!(before == now || !is_accepted, "{flags:?}: {now:?}");
        }
    }
}

#[test]
fn errors_say_where_and_what() {
    use HoleValue::*;
    let message = |case: Case| case.check().map_err(|error| error.to_string());
    let rows = [
        (
            hot("", &[x(PUSH_RAX), call(), x(POP_RCX)]),
            "_TEST, hot code at 0x1 in `call 6`: a call at depth 8, expected a multiple of 16",
        ),
        (
            hot("", &[ends_with(&[0x48, 0x05], Abs32, Oparg, 0)]),
            "_TEST, hot code at 0x0 in `add rax, 0`: R_X86_64_32 on an immediate that is sign-extended from 4 bytes, \
             expected R_X86_64_32S",
        ),
        (
            hot("", &[je_to(Cold, 0)]).cold(&[x(NOP)]),
            "_TEST, cold code at 0x0 in `nop`: control runs off the end of cold code",
        ),
        (
            hot("", &[je(JumpTarget)]).but(|case| case.flags = UopFlags::empty()),
            "_TEST, hot code at 0x2: a hole for JUMP_TARGET, but the uop is not declared DEOPT or EXIT or JUMP",
        ),
        (
            hot("", &[x(&[0x74, 0x01]), x(PUSH_RAX), x(NOP), x(POP_RCX)]),
            "_TEST, hot code at 0x3 in `nop`: reached with depth 0 and rbp kept, and another way with depth 8 and rbp kept",
        ),
    ];
    for (case, expected) in rows {
        assert_eq!(message(case), Err(expected.to_owned()));
    }
}

/// A group with something of everything: each kind of hole, a call, a frame, both parts of code, data.
fn rich() -> Case {
    use HoleValue::*;
    let hot_code = [
        with(
            &[MOV_RAX_R12, &[0; 4]].concat(),
            Hole::new(4, Abs32S, Oparg, 48).with_shift(3),
        ),
        ends_with(&[0x48, 0x83, 0xc0], Abs8, Oparg, 0),
        ends_with(&[0x66, 0x05], Abs16, Oparg, 0),
        ends_with(&[0xb8], Abs32, Target, 0),
        je(JumpTarget),
        rip(MOVAPS_RIP, Data, 16),
        x(PUSH_RBP),
        x(PUSH_RAX),
        x(MOV_RBP_RAX),
        je_to(Cold, 0),
        movabs_rax(Symbol, 0),
        x(CALL_RAX),
        x(&[0x48, 0x89, 0x04, 0x24]), // mov [rsp], rax
        x(POP_RCX),
        x(POP_RBP),
        je_to(Cold, 13),
    ];
    let cold_code = [
        call(),
        x(POP_RCX),
        x(POP_RBP),
        je(ErrorTarget),
        rip(MOV_RAX_RIP, Exit, 8),
        jmp_through_exit(),
        x(&[0x66, 0x90]),
    ];
    hot("rich", &hot_code)
        .cold(&cold_code)
        .data(32, 16)
        .data_hole(Hole::new(8, Abs64, Operand, 0))
}

/// A part of an owned group, to be changed.
fn part_of(case: &mut Case, part: Part) -> &mut StencilBuf {
    match part {
        Part::Hot => &mut case.group.hot,
        Part::Cold => &mut case.group.cold,
        Part::Data => &mut case.group.data,
    }
}

/// The rich group once for each of its holes, with that hole replaced by what `change` makes of it.
fn with_each_hole(mut change: impl FnMut(Hole) -> Vec<Hole>, mut then: impl FnMut(&Case, &Hole)) {
    let sound = rich();
    for (part, stencil) in sound.group.as_group().parts() {
        for (index, &hole) in stencil.holes.iter().enumerate() {
            for changed in change(hole) {
                let mut case = sound.clone();
                part_of(&mut case, part).holes[index] = changed;
                then(&case.declared(), &changed);
            }
        }
    }
}

#[test]
fn a_flipped_bit_never_panics_and_is_rejected_under_a_hole() {
    let sound = rich();
    assert_eq!(sound.check(), Ok(report(23, 2, 4, 2, 16)));
    for (part, stencil) in sound.group.as_group().parts() {
        let is_hole = |bit: usize| {
            let covers = |hole: &Hole| (hole.offset()..hole.end()).contains(&(bit as u32 / 8));
            stencil.holes.iter().any(covers)
        };
        for bit in 0..8 * stencil.bytes.len() {
            let mut case = sound.clone();
            part_of(&mut case, part).bytes[bit / 8] ^= 1 << (bit % 8);
            let result = case.check();
            assert!(
                !is_hole(bit) || result.is_err(),
                "bit {bit} of the {part} is under a hole"
            );
        }
    }
}

#[test]
fn a_moved_hole_is_rejected() {
    let moved = |hole: Hole| {
        let (back, on) = (hole.offset().checked_sub(1), hole.offset() + 1);
        back.into_iter()
            .chain([on])
            .map(|offset| hole.at(offset))
            .collect()
    };
    with_each_hole(moved, |case, hole| {
        assert!(
            case.check().is_err(),
            "{hole:?} is accepted where it is no more"
        );
    });
}

#[test]
fn another_kind_or_value_never_panics_and_kinds_of_other_widths_are_rejected() {
    let changed = |hole: Hole| {
        let kinds = RelocationKind::ALL.into_iter();
        let both = kinds.flat_map(|kind| HoleValue::ALL.map(|value| (kind, value)));
        let addends = [i32::MIN, -5, -4, 0, 1, i32::MAX];
        both.flat_map(|(kind, value)| {
            addends.map(|addend| Hole::new(hole.offset(), kind, value, addend))
        })
        .collect()
    };
    let widths = std::cell::Cell::new(0);
    let kinds = |hole: Hole| {
        widths.set(hole.kind().width());
        changed(hole)
    };
    with_each_hole(kinds, |case, hole| {
        let result = case.check();
        if hole.kind().width() != widths.get() {
            assert!(
                result.is_err(),
                "{hole:?} is accepted in {} bytes",
                widths.get()
            );
        }
    });
}

#[test]
fn random_code_never_panics() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..20_000 {
        let mut case = rich();
        for part in [Part::Hot, Part::Cold] {
            let stencil = part_of(&mut case, part);
            let holes = stencil.holes.clone();
            let under_hole = |byte: usize| {
                holes
                    .iter()
                    .any(|hole| (hole.offset()..hole.end()).contains(&(byte as u32)))
            };
            for _ in 0..next() % 4 {
                let byte = next() as usize % stencil.bytes.len();
                if !under_hole(byte) {
                    stencil.bytes[byte] = next() as u8;
                }
            }
        }
        let _ = case.check();
    }
}
