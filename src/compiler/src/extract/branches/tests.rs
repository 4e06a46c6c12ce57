//! What becomes of branches, as a table; and that random code still goes where it went.

use super::*;
use crate::disassemble::disassemble;
use mimeo::stencil::Part;

/// A piece of code: bytes, and the hole in its last four of them.
type Piece = (Vec<u8>, Option<HoleValue>);

fn x(bytes: &[u8]) -> Piece {
    (bytes.to_vec(), None)
}

fn hole(opcode: &[u8], value: HoleValue) -> Piece {
    ([opcode, &[0; 4]].concat(), Some(value))
}

fn jmp(value: HoleValue) -> Piece {
    hole(&[0xe9], value)
}

fn je(value: HoleValue) -> Piece {
    hole(&[0x0f, 0x84], value)
}

const NOP: &[u8] = &[0x90];
const MOV_RAX_RIP: &[u8] = &[0x48, 0x8b, 0x05];
const JMP_RAX: &[u8] = &[0xff, 0xe0];

fn code(pieces: &[Piece]) -> StencilBuf {
    let mut code = StencilBuf::default();
    for (bytes, value) in pieces {
        code.bytes.extend(bytes);
        if let Some(value) = value {
            let offset = code.bytes.len() as u32 - 4;
            let hole = Hole::new(offset, RelocationKind::Pc32, *value, -4);
            code.holes.push(hole);
        }
    }
    code
}

fn text(code: &StencilBuf) -> Vec<String> {
    let lines = disassemble(code.as_stencil(), Part::Hot, &[]).into_iter();
    let lines = lines.map(|line| match line.holes.first() {
        Some(hole) => {
            let opcode = line.text.split(' ').next().unwrap_or_default();
            format!("{opcode} {}", hole.trim_start_matches("R_X86_64_PC32 "))
        }
        None => line.text,
    });
    lines.collect()
}

#[test]
fn hot_code_runs_into_the_continuation() {
    use HoleValue::{Continue, Exit, JumpTarget};
    let nops = |count| x(&[0x90].repeat(count));
    let rows: &[(&[Piece], &[&str])] = &[
        (&[], &[]),
        (&[jmp(Continue)], &[]),
        (&[x(NOP), jmp(Continue)], &["nop"]),
        (&[x(NOP), jmp(JumpTarget)], &["nop", "jmp JUMP_TARGET"]),
        (&[je(Continue), jmp(JumpTarget)], &["jne JUMP_TARGET"]),
        (&[je(JumpTarget), jmp(Continue)], &["je JUMP_TARGET"]),
        // je over the jump.
        (
            &[x(&[0x74, 5]), jmp(JumpTarget), x(NOP), jmp(Continue)],
            &["jne JUMP_TARGET", "nop"],
        ),
        // The jump that is branched over is the goal of another branch.
        (
            &[x(&[0x78, 2]), x(&[0x74, 5]), jmp(JumpTarget), x(NOP)],
            &["js 4", "je 9", "jmp JUMP_TARGET", "nop"],
        ),
        // To the final jump to the continuation.
        (&[x(&[0x74, 1]), x(NOP), jmp(Continue)], &["je 3", "nop"]),
        // The continuation in the middle is a short jump to the end.
        (
            &[x(&[0x74, 6]), x(NOP), jmp(Continue), x(NOP), jmp(Continue)],
            &["je 5", "nop", "jmp 6", "nop"],
        ),
        (&[je(Continue), x(NOP), jmp(Continue)], &["je 3", "nop"]),
        // A jump that only one branch needs.
        (
            &[x(&[0x74, 6]), x(NOP), jmp(Continue), jmp(JumpTarget)],
            &["je JUMP_TARGET", "nop"],
        ),
        // For two branches it stays, which is shorter.
        (
            &[
                x(&[0x74, 8]),
                x(&[0x78, 6]),
                x(NOP),
                jmp(Continue),
                jmp(JumpTarget),
            ],
            &["je 7", "js 7", "nop", "jmp 0xc", "jmp JUMP_TARGET"],
        ),
        // The rest of the code is reached by a jump back; the way on is the short one.
        (
            &[je(JumpTarget), jmp(Continue), x(NOP)],
            &["je JUMP_TARGET"],
        ),
        (
            &[
                x(&[0x78, 13]),
                x(NOP),
                je(JumpTarget),
                jmp(Continue),
                x(NOP),
                x(NOP),
            ],
            &["js 0xa", "nop", "jne 0xb", "jmp JUMP_TARGET", "nop"],
        ),
        // Nothing leads there.
        (&[jmp(JumpTarget), x(NOP), x(NOP)], &["jmp JUMP_TARGET"]),
        // Loops, over themselves and back.
        (&[x(&[0xeb, 0xfe])], &["jmp 0"]),
        (&[x(&[0xeb, 0]), x(&[0xeb, 0xfc])], &["jmp 0"]),
        (
            &[x(NOP), x(&[0x75, 0xfd]), jmp(Continue)],
            &["nop", "jne 0"],
        ),
        // Exits.
        (&[hole(MOV_RAX_RIP, Exit), x(JMP_RAX)], &["jmp EXIT"]),
        (
            &[x(&[0x74, 7]), hole(MOV_RAX_RIP, Exit), x(JMP_RAX)],
            &["je 9", "mov EXIT", "jmp rax"],
        ),
        // mov rax, [r15] and mov rax, [rcx + 8]
        (
            &[x(&[0x49, 0x8b, 0x07]), x(JMP_RAX)],
            &["jmp qword ptr [r15]"],
        ),
        (
            &[x(&[0x48, 0x8b, 0x41, 8]), x(JMP_RAX)],
            &["jmp qword ptr [rcx+8]"],
        ),
        // mov rax, rcx and mov rcx, [rcx]
        (
            &[x(&[0x48, 0x8b, 0xc1]), x(JMP_RAX)],
            &["mov rax, rcx", "jmp rax"],
        ),
        (
            &[x(&[0x48, 0x8b, 0x09]), x(JMP_RAX)],
            &["mov rcx, [rcx]", "jmp rax"],
        ),
        (
            &[hole(MOV_RAX_RIP, HoleValue::Data), x(JMP_RAX)],
            &["mov DATA", "jmp rax"],
        ),
        // As short as it can be, and no shorter.
        (
            &[x(&[0x0f, 0x84, 4, 0, 0, 0]), nops(4), x(NOP), jmp(Continue)],
            &["je 6", "nop", "nop", "nop", "nop", "nop"],
        ),
    ];
    for (pieces, expected) in rows {
        let before = code(pieces);
        let after = improve_hot(before.clone()).code;
        assert_eq!(text(&after), *expected, "{:?}", text(&before));
        assert_eq!(after.align, before.align);
    }
}

#[test]
fn branches_are_as_long_as_they_must_be() {
    for (distance, length) in [(0, 0), (1, 2), (127, 2), (128, 6), (1000, 6)] {
        // je over so many bytes, in its long form.
        let je = [&[0x0f, 0x84][..], &i32::to_le_bytes(distance)].concat();
        let nops = x(&[0x90].repeat(distance as usize));
        let after = improve_hot(code(&[x(&je), nops, jmp(HoleValue::Continue)])).code;
        assert_eq!(after.bytes.len(), distance as usize + length);
    }
    for (distance, length) in [(126, 2), (127, 6)] {
        let back = -(distance + 6);
        let jne = [&[0x0f, 0x85][..], &i32::to_le_bytes(back)].concat();
        let nops = x(&[0x90].repeat(distance as usize));
        let after = improve_hot(code(&[nops, x(&jne)])).code;
        assert_eq!(after.bytes.len(), distance as usize + length);
    }
}

#[test]
fn cold_code_keeps_its_continuation() {
    use HoleValue::{Continue, ErrorTarget};
    let rows: &[(&[Piece], &[&str])] = &[
        (&[jmp(Continue)], &["jmp CONTINUE"]),
        (
            &[je(ErrorTarget), jmp(Continue)],
            &["je ERROR_TARGET", "jmp CONTINUE"],
        ),
        (
            &[x(&[0x74, 5]), jmp(Continue), x(NOP), jmp(ErrorTarget)],
            &["jne CONTINUE", "nop", "jmp ERROR_TARGET"],
        ),
    ];
    for (pieces, expected) in rows {
        assert_eq!(text(&improve_cold(code(pieces))), *expected);
    }
}

#[test]
fn what_is_not_understood_stays() {
    use HoleValue::Continue;
    let rows: &[&[Piece]] = &[
        // loop, jrcxz: branches without an opposite.
        &[x(&[0xe2, 0xfe]), jmp(Continue)],
        &[x(&[0xe3, 5]), jmp(Continue), jmp(Continue)],
        // A branch with a prefix.
        &[x(&[0x2e, 0x74, 0]), jmp(Continue)],
        // An address in the code itself.
        &[x(&[0x48, 0x8d, 0x05, 0, 0, 0, 0]), jmp(Continue)],
        // A call in the code itself.
        &[x(&[0xe8, 0, 0, 0, 0]), jmp(Continue)],
        // Into an instruction, and out of the code.
        &[x(&[0x74, 1]), jmp(Continue)],
        &[x(&[0x74, 100]), jmp(Continue)],
        // No instruction.
        &[x(&[0x06]), jmp(Continue)],
        &[jmp(Continue), x(&[0x0f])],
        &[x(&[0x0f, 0x0b])],
    ];
    for pieces in rows {
        let before = code(pieces);
        let after = improve_hot(before.clone()).code;
        assert_eq!(after, before, "{:?}", text(&before));
    }
    // Cold code that runs over its end.
    let open = code(&[je(Continue), x(NOP)]);
    assert_eq!(improve_cold(open.clone()), open);
    // A jump to what is not quite the continuation.
    let mut beside = code(&[x(NOP), jmp(Continue)]);
    beside.holes[0] = Hole::new(2, RelocationKind::Pc32, Continue, 0);
    assert_eq!(improve_hot(beside.clone()).code, beside);
}

/// xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }

    /// Instructions that can be told apart, and branches among them and out, the last one a way out.
    fn code(&mut self) -> Code {
        const WAYS: [HoleValue; 3] = [HoleValue::Continue, HoleValue::JumpTarget, HoleValue::Cold];
        let count = 1 + self.below(12);
        let mut steps: Vec<Step> = (0..count)
            .map(|number| {
                let way = Hole::new(0, RelocationKind::Pc32, WAYS[self.below(3)], -4);
                let inside = Target::Step(self.below(count));
                let condition = 4 + self.below(4) as u8;
                match self.below(6) {
                    0 => Step::Branch(None, Target::Hole(way)),
                    1 => Step::Branch(None, inside),
                    2 => Step::Branch(Some(condition), Target::Hole(way)),
                    3 => Step::Branch(Some(condition), inside),
                    _ => {
                        // mov eax, number; and some more, so that not every branch is short.
                        let mut bytes = vec![0xb8, number as u8, 0, 0, 0];
                        bytes.extend([0x90].repeat(self.below(2) * self.below(90)));
                        Step::Plain(bytes, Vec::new(), false)
                    }
                }
            })
            .collect();
        let way = Hole::new(0, RelocationKind::Pc32, WAYS[self.below(3)], -4);
        steps.push(Step::Branch(None, Target::Hole(way)));
        Code {
            staying: steps.len(),
            steps,
            align: 1,
        }
    }
}

/// What happens when the code runs: the numbers that it loads, and where it goes, if it gets anywhere. `seed` decides
/// what every load does to the flags.
fn run(code: &Improved, seed: u64) -> (Vec<u8>, Option<HoleValue>) {
    let mut loaded = Vec::new();
    let mut flags = seed;
    let (mut part, mut place) = (&code.code, 0);
    for _ in 0..4000 {
        let Some(rest) = part.bytes.get(place..).filter(|rest| !rest.is_empty()) else {
            assert_eq!(*part, code.code, "control runs off what has moved");
            return (loaded, Some(HoleValue::Continue));
        };
        let mut decoder = Decoder::with_ip(64, rest, place as u64, DecoderOptions::NONE);
        let instruction = decoder.decode();
        let next = place + instruction.len();
        let condition = match *rest {
            [0xb8, number, ..] => {
                loaded.push(number);
                flags = flags
                    .wrapping_add(1)
                    .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                    .rotate_left(29);
                None
            }
            [0xeb | 0xe9, ..] => Some(true),
            [opcode @ 0x70..=0x7f, ..] | [0x0f, opcode, ..] => {
                let flag = flags >> (opcode >> 1 & 7) & 1 == 1;
                Some(flag != (opcode & 1 == 1))
            }
            _ => None,
        };
        if condition != Some(true) {
            place = next;
            continue;
        }
        let mut holes = part.holes.iter();
        let hole = holes.find(|hole| (place..next).contains(&(hole.offset() as usize)));
        let across = |hole: &Hole| (hole.addend() + 4) as usize;
        match hole {
            Some(hole) if hole.value() == HoleValue::Code => {
                (part, place) = (&code.code, across(hole));
            }
            Some(hole) if hole.value() == HoleValue::Cold && hole.symbol() == MOVED => {
                (part, place) = (&code.moved, across(hole));
            }
            Some(hole) => return (loaded, Some(hole.value())),
            None => place = instruction.near_branch_target() as usize,
        }
    }
    // It may have gone around in a circle for ever, at another speed.
    loaded.truncate(10);
    (loaded, None)
}

#[test]
fn random_code_goes_where_it_went_and_hardly_grows() {
    let mut random = Random(0x6d69_6d65_6f21);
    let mut moved = 0;
    for _ in 0..1000 {
        let before = random.code().put_together();
        let after = improve_hot(before.code.clone());
        let (hot, cold) = (after.code.bytes.len(), after.moved.bytes.len());
        assert!(hot <= before.code.bytes.len());
        let whole = improve_hot_in_place(before.code.clone()).bytes.len();
        assert!(cold == 0 || hot < whole);
        // One block after the other may move.
        assert!(cold == 0 || hot + cold <= whole + MAX_GROWTH * after.code.holes.len());
        moved += usize::from(cold > 0);
        for seed in 0..4 {
            let (expected, found) = (run(&before, seed), run(&after, seed));
            assert_eq!(
                found,
                expected,
                "{:?}\n{:?}",
                text(&before.code),
                texts(&after)
            );
        }
        let holes = after.code.holes.iter();
        assert!(
            holes
                .filter(|hole| hole.value() == HoleValue::Continue)
                .count()
                == 0
        );
    }
    assert!(moved > 50, "blocks moved in {moved} of 1000");
}

/// Hot code with nothing moved.
fn improve_hot_in_place(code: StencilBuf) -> StencilBuf {
    let mut improved = Code::take_apart(&code, true).unwrap();
    while improved.step() {}
    improved.put_together().code
}

/// Both parts.
fn texts(improved: &Improved) -> [Vec<String>; 2] {
    [&improved.code, &improved.moved].map(|part| {
        let mut part = part.clone();
        for hole in &mut part.holes {
            if hole.value() == HoleValue::Cold {
                assert_eq!(hole.symbol(), MOVED);
                *hole = hole.with_symbol(0);
            }
        }
        text(&part)
    })
}

#[test]
fn rare_blocks_move_to_the_cold_code() {
    use HoleValue::{Continue, ErrorTarget, JumpTarget};
    let nops = |count| x(&[0x90].repeat(count));
    type Row<'a> = (&'a [Piece], &'a [&'a str], &'a [&'a str]);
    let rows: &[Row<'_>] = &[
        // A guard's exit behind the block that continues.
        (
            &[
                x(&[0x70, 6]),
                x(NOP),
                jmp(Continue),
                x(NOP),
                jmp(JumpTarget),
            ],
            &["jo COLD", "nop"],
            &["nop", "jmp JUMP_TARGET"],
        ),
        // The same, branched over: the way on falls through.
        (
            &[
                x(&[0x71, 6]),
                x(NOP),
                jmp(JumpTarget),
                x(NOP),
                jmp(Continue),
            ],
            &["jo COLD", "nop"],
            &["nop", "jmp JUMP_TARGET"],
        ),
        // At the end, branched over.
        (
            &[x(NOP), x(&[0x71, 6]), x(NOP), jmp(JumpTarget)],
            &["nop", "jo COLD"],
            &["nop", "jmp JUMP_TARGET"],
        ),
        // Two of them, one behind the other.
        (
            &[
                x(&[0x70, 8]),
                x(&[0x74, 12]),
                x(NOP),
                jmp(Continue),
                x(NOP),
                jmp(JumpTarget),
                nops(2),
                jmp(ErrorTarget),
            ],
            &["jo COLD", "je COLD + 6", "nop"],
            &["nop", "jmp JUMP_TARGET", "nop", "nop", "jmp ERROR_TARGET"],
        ),
        // A detour that joins behind its branch.
        (
            &[
                x(&[0x74, 4]),
                nops(2),
                x(&[0xeb, 3]),
                x(NOP),
                x(&[0xeb, 0xfa]),
            ],
            &["je COLD", "nop", "nop"],
            &["nop", "jmp CODE + 7"],
        ),
        // A loop stays, also where its end lies behind the way on.
        (
            &[
                x(NOP),
                x(&[0x74, 4]),
                nops(2),
                x(&[0xeb, 3]),
                x(NOP),
                x(&[0xeb, 0xf6]),
            ],
            &["nop", "je 7", "nop", "nop", "jmp 0xa", "nop", "jmp 0"],
            &[],
        ),
        // Two ways on: nothing says which is rare.
        (
            &[x(&[0x74, 4]), nops(2), x(&[0xeb, 1]), x(NOP)],
            &["je 6", "nop", "nop", "jmp 7", "nop"],
            &[],
        ),
        // Many branches to one exit would make the code longer than it is worth.
        (
            &[
                x(&[0x70, 12]),
                x(&[0x74, 10]),
                x(&[0x78, 8]),
                x(&[0x7c, 6]),
                x(NOP),
                jmp(Continue),
                nops(20),
                jmp(JumpTarget),
            ],
            &[],
            &[],
        ),
        // Nothing continues.
        (
            &[x(&[0x74, 1]), x(NOP), jmp(JumpTarget)],
            &["je 3", "nop", "jmp JUMP_TARGET"],
            &[],
        ),
    ];
    for (pieces, hot, moved) in rows {
        let before = code(pieces);
        let after = improve_hot(before.clone());
        match hot.is_empty() {
            true => assert_eq!(after.moved, StencilBuf::default(), "{:?}", text(&before)),
            false => assert_eq!(
                texts(&after),
                [hot.to_vec(), moved.to_vec()],
                "{:?}",
                text(&before)
            ),
        }
    }
}

#[test]
fn random_code_in_one_piece_goes_where_it_went_and_never_grows() {
    let mut random = Random(0x7768_6f6c_6521);
    let (mut moved, mut shared) = (0, 0);
    for _ in 0..400 {
        let before = random.code().put_together();
        let after = improve_whole(before.code.clone(), |_| None);
        let in_place = improve_hot_in_place(before.code.clone());
        assert!(after.bytes.len() <= in_place.bytes.len());
        let mut last = Code::take_apart(&before.code, true).unwrap();
        while last.step() {}
        while last.move_last() {}
        let last = last.put_together().code.bytes.len();
        moved += usize::from(last < in_place.bytes.len());
        shared += usize::from(after.bytes.len() < last);
        let after = Improved {
            code: after,
            moved: StencilBuf::default(),
        };
        for seed in 0..4 {
            let (expected, found) = (run(&before, seed), run(&after, seed));
            assert_eq!(
                found,
                expected,
                "{:?}\n{:?}",
                text(&before.code),
                text(&after.code)
            );
        }
    }
    assert!(moved > 0, "no block moved");
    assert!(shared > 20, "a jump was shared in {shared} of 400");
}

#[test]
fn code_in_one_piece_ends_in_what_continues() {
    use HoleValue::{Continue, ErrorTarget, JumpTarget};
    let nops = |count| x(&[0x90].repeat(count));
    let rows: &[(&[Piece], &[&str])] = &[
        // The block that continues moves behind the one that does not, and needs no jump.
        (
            &[
                x(&[0x70, 6]),
                x(NOP),
                jmp(Continue),
                x(NOP),
                jmp(JumpTarget),
            ],
            &["jno 8", "nop", "jmp JUMP_TARGET", "nop"],
        ),
        // It is last already.
        (
            &[
                x(&[0x70, 6]),
                x(NOP),
                jmp(JumpTarget),
                x(NOP),
                jmp(Continue),
            ],
            &["jo 8", "nop", "jmp JUMP_TARGET", "nop"],
        ),
        // Both continue, and the one behind falls through.
        (
            &[x(&[0x70, 6]), x(NOP), jmp(Continue), nops(2), jmp(Continue)],
            &["jo 5", "nop", "jmp 7", "nop", "nop"],
        ),
        // A jump elsewhere that is branched over becomes a branch.
        (
            &[
                je(JumpTarget),
                x(NOP),
                x(&[0x70, 5]),
                jmp(ErrorTarget),
                nops(3),
            ],
            &[
                "je JUMP_TARGET",
                "nop",
                "jno ERROR_TARGET",
                "nop",
                "nop",
                "nop",
            ],
        ),
        // There is a jump, which the others reach.
        (
            &[
                je(JumpTarget),
                x(NOP),
                je(JumpTarget),
                x(&[0x70, 6]),
                x(NOP),
                jmp(JumpTarget),
                nops(3),
            ],
            &[
                "je 8",
                "nop",
                "je 8",
                "jo 0xd",
                "nop",
                "jmp JUMP_TARGET",
                "nop",
                "nop",
                "nop",
            ],
        ),
        // There is a place for one, behind a jump elsewhere.
        (
            &[
                je(JumpTarget),
                x(NOP),
                je(JumpTarget),
                x(NOP),
                je(JumpTarget),
                x(&[0x70, 6]),
                x(NOP),
                jmp(ErrorTarget),
                nops(3),
            ],
            &[
                "je 0x10",
                "nop",
                "je 0x10",
                "nop",
                "je 0x10",
                "jo 0x15",
                "nop",
                "jmp ERROR_TARGET",
                "jmp JUMP_TARGET",
                "nop",
                "nop",
                "nop",
            ],
        ),
    ];
    for (pieces, expected) in rows {
        let found = improve_whole(code(pieces), |_| None);
        assert_eq!(text(&found), *expected);
    }
}

#[test]
fn words_of_stack_are_pushed_and_popped_where_nothing_is_lost() {
    use HoleValue::ErrorTarget;
    let (make, leave) = (
        |size| x(&[0x48, 0x83, 0xec, size]),
        |size| x(&[0x48, 0x83, 0xc4, size]),
    );
    let call = || x(&[0xff, 0x15, 0, 0, 0, 0]);
    let rows: &[(&[Piece], &[&str])] = &[
        (
            &[make(16), x(NOP), leave(16)],
            &["push rax", "push rax", "nop", "pop rcx", "pop rcx"],
        ),
        (
            &[make(24), x(NOP), leave(24), jmp(ErrorTarget)],
            &[
                "sub rsp, 0x18",
                "nop",
                "pop rcx",
                "pop rcx",
                "pop rcx",
                "jmp ERROR_TARGET",
            ],
        ),
        // Registers that C functions preserve are restored behind it.
        (
            &[leave(8), x(&[0x5b]), x(&[0x41, 0x5c]), x(&[0xc3])],
            &["pop rcx", "pop rbx", "pop r12", "ret"],
        ),
        // Something may be in rcx.
        (&[leave(16), x(NOP)], &["add rsp, 0x10", "nop"]),
        (
            &[leave(16), x(&[0xff, 0xe1])],
            &["add rsp, 0x10", "jmp rcx"],
        ),
        (&[make(32), x(NOP)], &["sub rsp, 0x20", "nop"]),
    ];
    for (pieces, expected) in rows {
        let found = improve_whole(code(pieces), |_| None);
        assert_eq!(text(&found), *expected);
    }
    // Behind a call nothing is.
    let called = Code::take_apart(&code(&[x(&[0xe8]), x(NOP)]), true);
    assert!(called.is_none(), "half a call");
    let mut called = Code {
        steps: [call(), leave(8), x(NOP)]
            .iter()
            .map(|piece| Step::Plain(code(std::slice::from_ref(piece)).bytes, Vec::new(), false))
            .collect(),
        staying: 3,
        align: 1,
    };
    called.push_frames();
    assert_eq!(called.steps[1], Step::Plain(vec![0x59], Vec::new(), false));
}

#[test]
fn the_stack_pointer_moves_before_it_is_used() {
    let load: &[u8] = &[0x49, 0x8b, 0x46, 0xf8];
    let store: &[u8] = &[0x4d, 0x89, 0x6e, 0xf8];
    let add: &[u8] = &[0x49, 0x83, 0xc6, 0xf8];
    let rows: &[(&[Piece], &[&str])] = &[
        (&[x(load), x(add)], &["add r14, -8", "mov rax, [r14]"]),
        (&[x(store), x(add)], &["add r14, -8", "mov [r14], r13"]),
        // Another distance, the register itself, another base.
        (
            &[x(load), x(&[0x49, 0x83, 0xc6, 0xf0])],
            &["mov rax, [r14-8]", "add r14, -0x10"],
        ),
        (
            &[x(&[0x4d, 0x8b, 0x76, 0xf8]), x(add)],
            &["mov r14, [r14-8]", "add r14, -8"],
        ),
        (
            &[x(&[0x49, 0x8b, 0x47, 0xf8]), x(add)],
            &["mov rax, [r15-8]", "add r14, -8"],
        ),
    ];
    for (pieces, expected) in rows {
        let found = improve_whole(code(pieces), |_| None);
        assert_eq!(text(&found), *expected);
    }
}

#[test]
fn numbers_are_moved_in_as_few_bytes_as_they_need() {
    let moved = |opcode: [u8; 2], range: RangeInclusive<i64>, addend| {
        let mut bytes = opcode.to_vec();
        bytes.extend([0; 8]);
        let hole = Hole::new(2, RelocationKind::Abs64, HoleValue::Symbol, addend).with_symbol(3);
        let code = StencilBuf {
            bytes,
            holes: vec![hole],
            align: 1,
        };
        let found = improve_whole(code, |hole| (hole.symbol() == 3).then(|| range.clone()));
        let hole = found.holes[0];
        (found.bytes, hole.kind(), hole.offset(), hole.addend())
    };
    use RelocationKind::{Abs32, Abs32S, Abs64};
    let zeros = |opcode: &[u8], count: usize| [opcode, &[0].repeat(count)].concat();
    let rows = [
        ([0x48, 0xb8], 0..=65_535, 0, zeros(&[0xb8], 4), Abs32, 1),
        (
            [0x49, 0xbe],
            0..=u32::MAX.into(),
            0,
            zeros(&[0x41, 0xbe], 4),
            Abs32,
            2,
        ),
        (
            [0x49, 0xbe],
            -8..=8,
            0,
            zeros(&[0x49, 0xc7, 0xc6], 4),
            Abs32S,
            3,
        ),
        (
            [0x48, 0xb8],
            0..=8,
            -9,
            zeros(&[0x48, 0xc7, 0xc0], 4),
            Abs32S,
            3,
        ),
        (
            [0x48, 0xb8],
            0..=u32::MAX.into(),
            1,
            zeros(&[0x48, 0xb8], 8),
            Abs64,
            2,
        ),
        (
            [0x48, 0xb8],
            i64::MIN..=i64::MAX,
            0,
            zeros(&[0x48, 0xb8], 8),
            Abs64,
            2,
        ),
    ];
    for (opcode, range, addend, bytes, kind, offset) in rows {
        let found = moved(opcode, range.clone(), addend);
        assert_eq!(found, (bytes, kind, offset, addend), "{range:?} + {addend}");
    }
}
