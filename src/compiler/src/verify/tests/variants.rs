//! Variants that keep the rules of their forms, and such as break one of them.

use super::*;
use mimeo::form::{Class, Input, OperandForm, RegisterField};
use mimeo::stencil::{Count, StackEffect};

fn register(name: &str) -> Register {
    Register::all()
        .find(|register| register.name() == name)
        .unwrap()
}

fn set(names: &[&str]) -> RegisterSet {
    let names = names.iter().map(|name| register(name));
    names.fold(RegisterSet::default(), RegisterSet::with)
}

fn r(name: &str) -> Input {
    Input::Register(register(name))
}

/// Takes `popped` values and leaves `pushed`; when it jumps, `jumping`.
fn uop(
    name: &'static str,
    popped: u8,
    pushed: u8,
    jumping: u8,
    flags: UopFlags,
) -> UopInfo<'static> {
    UopInfo {
        name,
        effect: StackEffect::fixed(popped, pushed),
        leaving_effect: StackEffect::fixed(popped, jumping),
        flags,
        ..Default::default()
    }
}

/// A variant in the making.
#[derive(Clone)]
struct Variant {
    name: &'static str,
    uops: Vec<UopInfo<'static>>,
    form: Form,
    group: StencilGroupBuf,
    register_holes: Vec<RegisterHole>,
}

impl Variant {
    fn check(&self) -> Result<Report, VerifyError> {
        let info = VariantInfo {
            uops: &self.uops,
            form: &self.form,
        };
        check_variant(&info, self.group.as_group(), &self.register_holes, SYMBOLS)
    }

    fn cold(mut self, pieces: &[Piece]) -> Self {
        self.group.cold = code(pieces);
        self.with_holes()
    }

    fn uops(mut self, uops: &[UopInfo<'static>]) -> Self {
        self.uops = uops.to_vec();
        self
    }

    fn but(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn operands(&mut self) -> &mut OperandForm {
        match &mut self.form {
            Form::Operands(form) => form,
            Form::Slots { .. } => unreachable!("the case is of operands"),
        }
    }

    /// Finds the register holes by brute force: the places where a changed number gives a changed placeholder.
    fn with_holes(mut self) -> Self {
        let Form::Operands(form) = &self.form else {
            return self;
        };
        let inputs = form.inputs.iter().filter_map(|input| match input {
            Input::Register(register) => Some(*register),
            _ => None,
        });
        let placeholders: Vec<Register> = inputs.chain(form.output).collect();
        self.register_holes.clear();
        for (cold, part) in [(false, &self.group.hot), (true, &self.group.cold)] {
            for &register in &placeholders {
                self.register_holes.extend(holes_of(part, cold, register));
            }
        }
        self.register_holes.sort_by_key(RegisterHole::order);
        self.register_holes.dedup();
        self
    }
}

/// The instructions of a part, as text.
fn texts(bytes: &[u8]) -> Vec<String> {
    let mut texts = Vec::new();
    let mut offset = 0;
    while let Some((instruction, _)) = instruction::decode(bytes, offset) {
        texts.push(instruction_text(&instruction));
        offset += instruction.len() as u32;
    }
    texts
}

fn holes_of(part: &StencilBuf, cold: bool, register: Register) -> Vec<RegisterHole> {
    let before = texts(&part.bytes);
    let stem = register.name();
    let mut holes = Vec::new();
    for offset in 0..part.bytes.len() as u32 {
        for field in [
            RegisterField::Reg,
            RegisterField::Base,
            RegisterField::Index,
        ] {
            // A float has no prefix here to tell its fields apart, and is no index.
            if register.class() == Class::Float && field == RegisterField::Index {
                continue;
            }
            let near = (offset.saturating_sub(4)..offset).rev();
            let rex = near
                .clone()
                .find(|&rex| part.bytes[rex as usize] & 0xf0 == 0x40);
            let hole = RegisterHole {
                cold,
                offset,
                rex: rex.filter(|_| register.class() == Class::General),
                field,
                register,
            };
            // A register with the other low bits and the other fourth one, if there can be one.
            let to = match register.class() {
                Class::General => self::register("rdi"),
                Class::Float => self::register("xmm3"),
            };
            let mut renamed = part.bytes.clone();
            if hole.check(&part.bytes).is_err() {
                continue;
            }
            hole.rename(to, &mut renamed);
            let after = texts(&renamed);
            let changed: Vec<_> = before
                .iter()
                .zip(&after)
                .filter(|(one, other)| one != other)
                .collect();
            let is_hole = before.len() == after.len()
                && matches!(changed[..], [(one, other)]
                    if one.matches(stem).count() == other.matches(stem).count() + 1
                        && other.matches(to.name()).count() == one.matches(to.name()).count() + 1);
            if is_hole {
                holes.push(hole);
            }
        }
    }
    holes
}

const JUMPS: UopFlags = UopFlags::DEOPT;

/// An operand form of a uop that takes as many values as there are inputs.
fn operands(
    name: &'static str,
    inputs: &[Input],
    output: Option<&str>,
    pieces: &[Piece],
) -> Variant {
    let effect = uop(
        "UOP",
        inputs.len() as u8,
        u8::from(output.is_some()),
        inputs.len() as u8,
        JUMPS,
    );
    Variant {
        name,
        uops: vec![effect],
        form: Form::Operands(OperandForm {
            inputs: inputs.to_vec(),
            output: output.map(register),
            intact: inputs.len() as u8,
            renameable: RegisterSet::ALL,
        }),
        group: StencilGroupBuf {
            hot: code(pieces),
            ..Default::default()
        },
        register_holes: Vec::new(),
    }
    .with_holes()
}

fn slots(
    name: &'static str,
    registers: (u8, u8),
    uop: UopInfo<'static>,
    pieces: &[Piece],
) -> Variant {
    Variant {
        name,
        uops: vec![uop],
        form: Form::Slots {
            registers_in: registers.0,
            registers_out: registers.1,
        },
        group: StencilGroupBuf {
            hot: code(pieces),
            ..Default::default()
        },
        register_holes: Vec::new(),
    }
}

fn jo(value: HoleValue, destination: i32) -> Piece {
    ends_with(&[0x0f, 0x80], Pc32, value, destination - 4)
}

fn input(opcode: &[u8], kind: RelocationKind, element: u8) -> Piece {
    let Piece(bytes, holes) = ends_with(opcode, kind, HoleValue::Input, 0);
    Piece(
        bytes,
        holes
            .iter()
            .map(|hole| hole.with_element(element))
            .collect(),
    )
}

/// A pc-relative operand at the instruction's end, for an input.
fn pooled(opcode: &[u8], beyond: i32) -> Piece {
    ends_with(opcode, Pc32, HoleValue::Pooled, beyond - 4)
}

const ADD_R8_R9: &[u8] = &[0x4d, 0x01, 0xc8];
const SUB_R8_R9: &[u8] = &[0x4d, 0x29, 0xc8];
const ADD_R8: &[u8] = &[0x49, 0x81, 0xc0];
const SUB_R8: &[u8] = &[0x49, 0x81, 0xe8];
const LEA_R11_R8_R9: &[u8] = &[0x4f, 0x8d, 0x1c, 0x08];
const ADDSD_XMM4_XMM5: &[u8] = &[0xf2, 0x0f, 0x58, 0xe5];
const ADDSD_XMM4_RIP: &[u8] = &[0xf2, 0x0f, 0x58, 0x25];
const ADDPD_XMM4_RIP: &[u8] = &[0x66, 0x0f, 0x58, 0x25];
const MOV_R8_RAX: &[u8] = &[0x49, 0x89, 0xc0];
const PUSH_RCX: &[u8] = &[0x51];
const MOV_RCX_R9: &[u8] = &[0x4c, 0x89, 0xc9];
const SHL_R8_CL: &[u8] = &[0x49, 0xd3, 0xe0];
const ADD_R13: &[u8] = &[0x49, 0x83, 0xc5];
/// `mov [r13], r15` and `mov r15, [r13 - 8]`.
const STORE_R15: &[u8] = &[0x4d, 0x89, 0x7d, 0x00];
const LOAD_R15: &[u8] = &[0x4d, 0x8b, 0x7d, 0xf8];

/// An addition that is undone where it overflows.
fn checked_add() -> Variant {
    operands(
        "add, undone on overflow",
        &[r("r8"), r("r9")],
        Some("r8"),
        &[x(ADD_R8_R9), jo(HoleValue::Cold, 0)],
    )
    .cold(&[x(SUB_R8_R9), jmp(HoleValue::JumpTarget)])
}

fn shift() -> Variant {
    operands(
        "shift, with rcx kept in rax",
        &[r("r8"), r("r9")],
        Some("r8"),
        &[
            x(&[0x48, 0x89, 0xc8]), // mov rax, rcx
            x(MOV_RCX_R9),
            x(SHL_R8_CL),
            x(&[0x48, 0x89, 0xc1]), // mov rcx, rax
        ],
    )
    .but(|it| it.operands().renameable = RegisterSet::ALL.without(register("rcx")))
}

fn sound() -> Vec<Variant> {
    use HoleValue::{Cold, JumpTarget, Oparg, Pooled};
    let pops = |pushed| uop("POPS", 2, pushed, 2, JUMPS);
    vec![
        operands("add", &[r("r8"), r("r9")], Some("r8"), &[x(ADD_R8_R9)]),
        operands(
            "add into another",
            &[r("r8"), r("r9")],
            Some("r11"),
            &[x(LEA_R11_R8_R9)],
        ),
        operands(
            "float",
            &[r("xmm4"), r("xmm5")],
            Some("xmm4"),
            &[x(ADDSD_XMM4_XMM5)],
        ),
        operands("drop", &[r("r8")], None, &[]),
        operands(
            "convert",
            &[r("r8")],
            Some("xmm4"),
            &[x(&[0xf2, 0x49, 0x0f, 0x2a, 0xe0])],
        ),
        checked_add(),
        shift(),
        operands(
            "shift, with rcx on the stack",
            &[r("r8"), r("r9")],
            Some("r8"),
            &[x(PUSH_RCX), x(MOV_RCX_R9), x(SHL_R8_CL), x(POP_RCX)],
        )
        .but(|it| it.operands().renameable = RegisterSet::ALL.without(register("rcx"))),
        operands(
            "constant",
            &[r("r8"), Input::Signed32],
            Some("r8"),
            &[input(ADD_R8, Abs32S, 1)],
        ),
        operands(
            "constant, undone",
            &[r("r8"), Input::Signed32],
            Some("r8"),
            &[input(ADD_R8, Abs32S, 1), jo(Cold, 0)],
        )
        .cold(&[input(SUB_R8, Abs32S, 1), jmp(JumpTarget)]),
        operands(
            "count",
            &[r("r8"), Input::Unsigned(6)],
            Some("r8"),
            &[input(&[0x49, 0xc1, 0xe0], Abs8, 1)],
        ),
        operands(
            "pooled",
            &[r("xmm4"), Input::Pooled],
            Some("xmm4"),
            &[with(
                &[ADDSD_XMM4_RIP, &[0; 4]].concat(),
                Hole::new(4, Pc32, Pooled, -4).with_element(1),
            )],
        ),
        operands(
            "one's complement, undone",
            &[r("r8")],
            Some("r8"),
            &[
                x(&[0x49, 0xf7, 0xd0]),
                je(Cold), // not r8
            ],
        )
        .cold(&[
            x(&[0x49, 0xf7, 0xd8]),
            x(&[0x49, 0xff, 0xc8]),
            jmp(JumpTarget),
        ]), // neg r8; dec r8
        operands("way out of the trace", &[], None, &[x(&[0x41, 0xff, 0x27])])
            .uops(&[uop("_LEAVE", 0, 0, 0, UopFlags::TERMINAL)])
            .but(|it| it.operands().renameable = RegisterSet::default()),
        operands(
            "the stack pointer's own",
            &[],
            None,
            &[with(
                &[0x4d, 0x8d, 0xad, 0, 0, 0, 0],
                Hole::new(3, Abs32S, Oparg, -0x40000).with_shift(3),
            )],
        )
        .uops(&[uop("_ADJUST_STACK", 0, 0, 0, UopFlags::OPARG)]),
        // (a -- b) from register to register, to memory, from memory, and with less than it takes.
        slots(
            "one to one",
            (1, 1),
            uop("NEG", 1, 1, 1, JUMPS),
            &[x(&[0x49, 0xf7, 0xdf])],
        ),
        slots(
            "stores",
            (1, 0),
            uop("STORES", 1, 1, 1, JUMPS),
            &[x(STORE_R15), x(ADD_R13), x(&[8])],
        ),
        slots(
            "loads",
            (0, 1),
            uop("LOADS", 1, 1, 1, JUMPS),
            &[x(LOAD_R15), x(ADD_R13), x(&[0xf8])],
        ),
        slots("drops", (1, 0), uop("DROPS", 1, 0, 1, JUMPS), &[]),
        // test r15, rdi; the exit stores both: mov [r13], r15; mov [r13 + 8], rdi; add r13, 16.
        slots(
            "leaves all in memory",
            (2, 0),
            pops(0),
            &[x(&[0x49, 0x85, 0xff]), je(Cold)],
        )
        .cold(&[
            x(STORE_R15),
            x(&[0x49, 0x89, 0x7d, 0x08]),
            x(ADD_R13),
            x(&[16]),
            jmp(JumpTarget),
        ]),
        slots(
            "two uops",
            (1, 0),
            uop("FIRST", 1, 1, 1, JUMPS),
            &[x(STORE_R15), x(ADD_R13), x(&[16])],
        )
        .uops(&[uop("FIRST", 1, 1, 1, JUMPS), uop("SECOND", 0, 1, 0, JUMPS)]),
    ]
}

#[test]
fn variants_that_keep_the_rules_are_accepted() {
    for variant in sound() {
        let result = variant.check();
        assert!(result.is_ok(), "{}: {:?}", variant.name, result.err());
    }
}

#[test]
fn variants_that_break_a_rule_are_rejected() {
    use HoleValue::{Cold, ErrorTarget, Exit, JumpTarget, Leave, Oparg};
    use Violation as V;
    type Row = (Variant, Part, u32, fn(&Violation) -> bool);
    macro_rules! broken {
        ($variant:expr, $part:ident $offset:expr, $violation:pat) => {
            ($variant, Part::$part, $offset, |violation| {
                matches!(violation, $violation)
            })
        };
    }
    let add = || operands("add", &[r("r8"), r("r9")], Some("r8"), &[x(ADD_R8_R9)]);
    let one_to_one =
        |pieces: &[Piece]| slots("one to one", (1, 1), uop("UOP", 1, 1, 1, JUMPS), pieces);
    let rows: Vec<Row> = vec![
        // Registers that are another's.
        broken!(operands("writes an input", &[r("r8"), r("r9")], Some("r9"), &[x(ADD_R8_R9)]), Hot 0, V::NotKept { .. }),
        broken!(
            operands("writes rcx", &[r("r8"), r("r9")], Some("r8"), &[x(MOV_RCX_R9), x(SHL_R8_CL)])
                .but(|it| it.operands().renameable = RegisterSet::ALL.without(register("rcx"))),
            Hot 3, V::NotKept { .. }
        ),
        broken!(operands("writes r12", &[], None, &[x(&[0x49, 0xff, 0xc4])]), Hot 0, V::NotKept { .. }),
        broken!(operands("moves the stack", &[], None, &[x(ADD_R13), x(&[8])]), Hot 0, V::NotKept { .. }),
        broken!(operands("writes a float", &[r("xmm4")], None, &[x(&[0x0f, 0x57, 0xdb])]), Hot 0, V::NotKept { .. }),
        broken!(
            checked_add().cold(&[x(ADD_R8_R9), jmp(JumpTarget)]), Cold 3, V::NotKept { .. }
        ),
        broken!(
            // Undone in 32 bits.
            checked_add().cold(&[x(&[0x45, 0x29, 0xc8]), jmp(JumpTarget)]), Cold 3, V::NotKept { .. }
        ),
        broken!(
            operands("jumps after all", &[r("r8"), r("r9")], Some("r8"), &[x(ADD_R8_R9), jo(JumpTarget, 0)]),
            Hot 3, V::NotKept { .. }
        ),
        broken!(
            operands("undoes another constant", &[Input::Signed32, r("r8"), Input::Signed32], Some("r8"), &[
                input(ADD_R8, Abs32S, 0), jo(Cold, 0),
            ])
            .cold(&[input(SUB_R8, Abs32S, 2), jmp(JumpTarget)]),
            Cold 7, V::NotKept { .. }
        ),
        broken!(
            // add and a jump over the undoing: where the ways meet it is not known.
            operands("undoes on one way", &[r("r8"), r("r9")], None, &[
                x(ADD_R8_R9), x(&[0x70, 3]), x(SUB_R8_R9), x(NOP),
            ]),
            Hot 8, V::NotKept { .. }
        ),
        broken!(
            operands("popped from elsewhere", &[r("r8"), r("r9")], Some("r8"), &[
                x(PUSH_RCX), x(PUSH_RAX), x(MOV_RCX_R9), x(SHL_R8_CL), x(POP_RCX), x(&[0x58]),
            ])
            .but(|it| it.operands().renameable = RegisterSet::ALL.without(register("rcx"))),
            Hot 9, V::NotKept { .. }
        ),
        broken!(
            operands("a call", &[r("r8")], None, &[call()]).but(|it| it.operands().renameable = RegisterSet::default()),
            Hot 0, V::NotKept { .. }
        ),
        // Registers that hold nothing.
        broken!(operands("reads r9", &[r("r8")], Some("r8"), &[x(ADD_R8_R9)]), Hot 0, V::UndefinedRegister { .. }),
        broken!(operands("reads rax", &[], Some("r8"), &[x(MOV_R8_RAX)]), Hot 0, V::UndefinedOutput { .. }),
        broken!(operands("no output", &[r("r8")], Some("r9"), &[]), Hot 0, V::UndefinedOutput { .. }),
        broken!(operands("reads xmm5", &[r("xmm4")], Some("xmm4"), &[x(ADDSD_XMM4_XMM5)]), Hot 0, V::UndefinedRegister { .. }),
        broken!(one_to_one(&[x(&[0x49, 0x01, 0xff])]), Hot 0, V::UndefinedRegister { .. }), // add r15, rdi
        broken!(
            // add r15, rax and test rdi, rdi behind a call that gives rax alone.
            one_to_one(&[call(), x(&[0x49, 0x01, 0xc7]), x(&[0x48, 0x85, 0xff])]), Hot 8, V::UndefinedRegister { .. }
        ),
        broken!(
            slots("leaves one", (1, 2), uop("UOP", 1, 2, 1, JUMPS), &[x(&[0x49, 0xf7, 0xdf])]),
            Hot 0, V::UndefinedOutput { .. }
        ),
        // The stack pointer.
        broken!(one_to_one(&[x(ADD_R13), x(&[8])]), Hot 0, V::StackPointerValue { found: 8, expected: 0, .. }),
        broken!(
            slots("nothing", (1, 0), uop("UOP", 1, 1, 1, JUMPS), &[]), Hot 0,
            V::StackPointerValue { found: 0, expected: 8, .. }
        ),
        broken!(
            one_to_one(&[x(&[0x4d, 0x85, 0xff]), je(JumpTarget)]), Hot 3,
            V::StackPointerValue { value: JumpTarget, found: 0, expected: 8 }
        ),
        broken!(
            slots("exit", (0, 0), uop("UOP", 0, 0, 1, UopFlags::EXIT_RECORD), &[je(Cold)]).cold(&[jmp_through_exit()]),
            Cold 7, V::StackPointerValue { value: Exit, .. }
        ),
        broken!(
            operands("another slot", &[], None, &[
                with(&[0x4d, 0x8d, 0xad, 0, 0, 0, 0], Hole::new(3, Abs32S, Oparg, 0).with_shift(3)),
            ])
            .uops(&[uop("_ADJUST_STACK", 0, 0, 0, UopFlags::OPARG)]),
            Hot 0, V::NotKept { .. }
        ),
        // Ways out.
        broken!(
            operands("error", &[], None, &[je(ErrorTarget)]).uops(&[uop("UOP", 0, 0, 0, UopFlags::ERROR)]),
            Hot 0, V::OperandsLeave { value: ErrorTarget }
        ),
        broken!(
            slots("leaves without", (0, 0), uop("UOP", 0, 0, 0, UopFlags::EXIT_RECORD), &[je(Leave)]),
            Hot 0, V::LeaveWithoutExit
        ),
        broken!(
            slots("through r15", (1, 0), uop("UOP", 1, 0, 0, UopFlags::TERMINAL), &[x(&[0x41, 0xff, 0x27])]),
            Hot 0, V::IndirectJump
        ),
        broken!(
            operands("through r15 + 8", &[], None, &[x(&[0x41, 0xff, 0x67, 8])])
                .uops(&[uop("_LEAVE", 0, 0, 0, UopFlags::TERMINAL)])
        .but(|it| it.operands().renameable = RegisterSet::default()),
            Hot 0, V::IndirectJump
        ),
        broken!(
            operands("through what r15 has become", &[], None, &[x(&[0x49, 0x83, 0xc7, 8]), x(&[0x41, 0xff, 0x27])])
                .uops(&[uop("_LEAVE", 0, 0, 0, UopFlags::TERMINAL)]),
            Hot 4, V::NotKept { .. }
        ),
        broken!(
            slots("second of one", (0, 0), uop("UOP", 0, 0, 0, UopFlags::OPARG), &[
                with(&[0xb8, 0, 0, 0, 0], Hole::new(1, Abs32, Oparg, 0).with_element(1)),
            ]),
            Hot 1, V::NoElement { element: 1, count: 1 }
        ),
        broken!(
            slots("the other's oparg", (0, 0), UopInfo::default(), &[
                with(&[0xb8, 0, 0, 0, 0], Hole::new(1, Abs32, Oparg, 0).with_element(1)),
            ])
            .uops(&[uop("A", 0, 0, 0, UopFlags::OPARG), uop("B", 0, 0, 0, UopFlags::empty())]),
            Hot 1, V::Undeclared { value: Oparg, .. }
        ),
        // Constants.
        broken!(
            operands("no input", &[r("r8")], Some("r8"), &[input(ADD_R8, Abs32S, 1)]), Hot 0, V::NoInput { element: 1, .. }
        ),
        broken!(
            operands("a register", &[r("r8")], Some("r8"), &[input(ADD_R8, Abs32S, 0)]), Hot 0, V::NoInput { .. }
        ),
        broken!(
            operands("narrow", &[r("r8"), Input::Signed32], Some("r8"), &[input(&[0x49, 0x83, 0xc0], Abs8, 1)]),
            Hot 0, V::NarrowInput { .. }
        ),
        broken!(
            // mov r8d, imm32 would lose the sign.
            operands("unsigned", &[Input::Signed32], Some("r8"), &[input(&[0x41, 0xb8], Abs32, 0)]),
            Hot 0, V::NarrowInput { .. }
        ),
        broken!(
            operands("8 bits", &[r("r8"), Input::Unsigned(8)], Some("r8"), &[input(&[0x49, 0xc1, 0xe0], Abs8, 1)]),
            Hot 0, V::NarrowInput { low: 0, high: 255, .. }
        ),
        broken!(
            operands("16 bytes", &[Input::Pooled, r("xmm4")], Some("xmm4"), &[pooled(ADDPD_XMM4_RIP, 0)]),
            Hot 0, V::PooledAccess
        ),
        broken!(
            operands("beside", &[Input::Pooled, r("xmm4")], Some("xmm4"), &[pooled(ADDSD_XMM4_RIP, 4)]),
            Hot 0, V::PooledAccess
        ),
        broken!(
            operands("written", &[Input::Pooled], None, &[pooled(MOV_RIP_RAX, 0)]), Hot 0, V::PooledAccess
        ),
        broken!(
            operands("address", &[Input::Pooled], Some("r8"), &[pooled(&[0x4c, 0x8d, 0x05], 0)]), Hot 0, V::PooledAccess
        ),
        // Forms.
        broken!(one_to_one(&[]).uops(&[]), Hot 0, V::Form(_)),
        broken!(
            one_to_one(&[]).uops(&[uop("A", 0, 0, 0, UopFlags::TERMINAL), uop("B", 0, 0, 0, UopFlags::empty())]),
            Hot 0, V::Form(_)
        ),
        broken!(slots("four", (4, 4), UopInfo::default(), &[]), Hot 0, V::Form(_)),
        // Register holes.
        broken!(add().but(|it| it.register_holes.clear()), Hot 0, V::NotRenamed { .. }),
        broken!(add().but(|it| it.register_holes.swap(0, 1)), Hot 2, V::RegisterHoleOrder),
        broken!(
            add().but(|it| it.register_holes.insert(0, it.register_holes[0])), Hot 2, V::RegisterHoleOrder
        ),
        broken!(add().but(|it| it.register_holes[0].register = register("rdi")), Hot 2, V::NoPlaceholder { .. }),
        broken!(add().but(|it| it.register_holes[1].offset = 77), Hot 77, V::RegisterHoleOffField { .. }),
        broken!(add().but(|it| it.register_holes[0].rex = Some(3)), Hot 2, V::RegisterHoleOffField { .. }),
        broken!(
            one_to_one(&[x(&[0x49, 0xf7, 0xdf])]).but(|it| it.register_holes = add().register_holes),
            Hot 2, V::NoPlaceholder { .. }
        ),
        broken!(
            operands("add edi, edi", &[r("rdi")], Some("rdi"), &[x(&[0x01, 0xff])]), Hot 0, V::NotRenamed { .. }
        ),
        broken!(
            // Each instruction is right, but rcx is the count.
            shift().but(|it| it.operands().renameable = RegisterSet::ALL), Hot 0, V::RenameableIsUsed { .. }
        ),
        broken!(
            operands("a count in rcx", &[r("r8"), r("rcx")], Some("r8"), &[x(SHL_R8_CL)]), Hot 0, V::NotRenamed { .. }
        ),
    ];
    for (variant, part, offset, is_expected) in rows {
        let name = variant.name;
        match variant.check() {
            Ok(_) => panic!("{name} is accepted"),
            Err(error) => {
                assert!(is_expected(&error.violation), "{name}: {error}");
                assert_eq!(
                    (error.part, error.offset),
                    (part, offset),
                    "{name}: {error}"
                );
            }
        }
    }
}

#[test]
fn base_forms_of_operand_sets_keep_the_pinned_registers() {
    let check = |pieces: &[Piece], flags| {
        let group = StencilGroupBuf {
            hot: code(pieces),
            ..Default::default()
        };
        let info = uop("UOP", 0, 0, 0, flags);
        check_base(&info, group.as_group(), PINNED, SYMBOLS).map_err(|error| error.violation)
    };
    assert_eq!(
        PINNED,
        set(&[
            "rdx", "rcx", "r8", "r9", "r11", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7"
        ])
    );
    // xor edi, edi and xor edx, edx
    assert!(check(&[x(&[0x31, 0xff])], UopFlags::empty()).is_ok());
    assert!(matches!(
        check(&[x(&[0x31, 0xd2])], UopFlags::empty()),
        Err(Violation::NotKept { .. })
    ));
    assert!(matches!(
        check(&[call()], UopFlags::empty()),
        Err(Violation::NotKept { .. })
    ));
    // lea r15, [rip + EXIT]; jmp LEAVE
    let lea_r15 = &[0x4c, 0x8d, 0x3d];
    let terminal = UopFlags::EXIT_RECORD | UopFlags::TERMINAL;
    let leaves = |value, beyond| {
        check(
            &[rip(lea_r15, value, beyond), jmp(HoleValue::Leave)],
            terminal,
        )
    };
    assert!(leaves(HoleValue::Exit, 0).is_ok());
    assert_eq!(leaves(HoleValue::Exit, 8), Err(Violation::LeaveWithoutExit));
    assert_eq!(
        leaves(HoleValue::Executor, 0),
        Err(Violation::LeaveWithoutExit)
    );
    let undeclared = check(
        &[rip(lea_r15, HoleValue::Exit, 0), jmp(HoleValue::Leave)],
        UopFlags::TERMINAL,
    );
    assert!(matches!(undeclared, Err(Violation::Undeclared { .. })));
    // Constants are inputs of forms only.
    let constant = input(&[0xb8], Abs32, 0);
    assert!(matches!(
        check(&[constant], UopFlags::empty()),
        Err(Violation::NoInput { .. })
    ));
}

#[test]
fn renamed_code_keeps_the_rules_with_the_other_registers() {
    for variant in sound() {
        let Form::Operands(form) = &variant.form else {
            continue;
        };
        for to in Register::all().filter(|&to| form.renameable.contains(to)) {
            for from in Register::all() {
                let taken = form.inputs.contains(&Input::Register(to)) || form.output == Some(to);
                if from.class() != to.class() || taken {
                    continue;
                }
                let renamed = variant.clone().but(|it| rename(it, from, to));
                let result = renamed.check();
                assert!(
                    result.is_ok(),
                    "{} with {to} for {from}: {:?}",
                    variant.name,
                    result.err()
                );
            }
        }
    }
}

fn rename(variant: &mut Variant, from: Register, to: Register) {
    for hole in variant
        .register_holes
        .iter_mut()
        .filter(|hole| hole.register == from)
    {
        let part = match hole.cold {
            true => &mut variant.group.cold,
            false => &mut variant.group.hot,
        };
        hole.rename(to, &mut part.bytes);
        hole.register = to;
    }
    let form = variant.operands();
    for input in &mut form.inputs {
        if *input == Input::Register(from) {
            *input = Input::Register(to);
        }
    }
    if form.output == Some(from) {
        form.output = Some(to);
    }
}

#[test]
fn a_register_hole_less_or_changed_is_rejected() {
    for variant in sound() {
        for index in 0..variant.register_holes.len() {
            let name = variant.name;
            let changed = |change: &dyn Fn(&mut RegisterHole)| {
                let mut variant = variant.clone();
                change(&mut variant.register_holes[index]);
                variant
            };
            let missing = variant.clone().but(|it| {
                it.register_holes.remove(index);
            });
            assert!(missing.check().is_err(), "{name} without hole {index}");
            let other_field = changed(&|hole| {
                hole.field = match hole.field {
                    RegisterField::Base => RegisterField::Reg,
                    RegisterField::Reg | RegisterField::Index => RegisterField::Base,
                }
            });
            assert!(
                other_field.check().is_err(),
                "{name} with another field of {index}"
            );
            let moved = changed(&|hole| hole.offset += 1);
            assert!(moved.check().is_err(), "{name} with hole {index} moved");
            let other_part = changed(&|hole| hole.cold = !hole.cold);
            assert!(
                other_part.check().is_err(),
                "{name} with hole {index} in the other part"
            );
            if variant.register_holes[index].rex.is_some() {
                let bare = changed(&|hole| hole.rex = None);
                assert!(
                    bare.check().is_err(),
                    "{name} with hole {index} without its prefix"
                );
            }
        }
    }
}

#[test]
fn flipped_bits_of_variants_never_panic_and_those_that_name_registers_are_rejected() {
    for variant in sound() {
        for part in [Part::Hot, Part::Cold] {
            let len = match part {
                Part::Hot => variant.group.hot.bytes.len(),
                _ => variant.group.cold.bytes.len(),
            };
            for bit in 0..8 * len {
                let flipped = variant.clone().but(|it| {
                    let part = match part {
                        Part::Hot => &mut it.group.hot,
                        _ => &mut it.group.cold,
                    };
                    part.bytes[bit / 8] ^= 1 << (bit % 8);
                });
                let result = flipped.check();
                let names_placeholder = variant.register_holes.iter().any(|hole| {
                    let low = hole.field.shift()..hole.field.shift() + 3;
                    (hole.cold == (part == Part::Cold))
                        && hole.offset as usize == bit / 8
                        && low.contains(&((bit % 8) as u8))
                });
                assert!(
                    !names_placeholder || result.is_err(),
                    "{}: bit {bit} of the {part}",
                    variant.name
                );
            }
        }
    }
}

#[test]
fn stack_effects_that_depend_on_the_oparg_are_not_looked_at() {
    let by_oparg = UopInfo {
        effect: StackEffect {
            popped: Count::oparg_plus(0),
            pushed: Count::fixed(1),
        },
        ..uop("UOP", 0, 0, 0, UopFlags::OPARG)
    };
    let variant = slots("by its oparg", (0, 0), by_oparg, &[x(ADD_R13), x(&[8])]);
    assert!(variant.check().is_ok());
}
