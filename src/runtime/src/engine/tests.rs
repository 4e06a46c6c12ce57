//! All patchers write the same bytes: stencils with any holes, placed in any order, at any address.

use super::*;
use crate::assemble::{Arguments, LabelId, NO_EXIT, Renaming, StencilId, UopArguments};
use crate::executor::ExitInfo;
use crate::form::RegisterSet;
use crate::form::{Form, Input, MAX_INPUTS, OperandForm, Register, RegisterField, RegisterHole};
use crate::hole::{Hole, HoleValue};
use crate::reloc::RelocationKind;
use crate::stencil::{StackEffect, StencilBuf, StencilGroupBuf, UopFlags};
use crate::table::{TableContents, UopContents, VariantContents};
use proptest::prelude::*;
use std::sync::LazyLock;

/// What the fast patchers are compared with the reference as.
const FAST: [Patcher; 3] = [Patcher::Portable, Patcher::Avx2, Patcher::Avx512];

/// Where the symbols are: two close together, and data close by.
const SYMBOLS: [usize; 3] = [0x5555_0000_1000, 0x5555_0000_1234, 0x5555_0004_0000];

const SYMBOL_NAMES: [&str; 3] = ["first", "second", "data"];

/// Addresses of blocks: near, at the end of what is near, and far on either side.
const ADDRESSES: [usize; 4] = [
    0x5555_1000_0000,
    0x5555_7000_0000,
    0x4555_0000_0000,
    0x7555_0000_0040,
];

/// How a made-up hole comes about: how far behind the one before, its kind, its value, and what it adds.
type HoleSeed = (u32, usize, usize, i32, u8);

fn hole_seeds() -> impl Strategy<Value = Vec<HoleSeed>> {
    let addend = prop_oneof![3 => -8..8i32, 1 => -0x1_0000..=0x1_0000i32];
    proptest::collection::vec((0..12u32, 0..12usize, 0..32usize, addend, 0..4u8), 0..8)
}

/// Values, those that stencils have most first.
const VALUES: [HoleValue; 17] = [
    HoleValue::Oparg,
    HoleValue::Operand,
    HoleValue::JumpTarget,
    HoleValue::Symbol,
    HoleValue::Exit,
    HoleValue::Cold,
    HoleValue::Data,
    HoleValue::Continue,
    HoleValue::Target,
    HoleValue::ErrorTarget,
    HoleValue::ExitIndex,
    HoleValue::Executor,
    HoleValue::Code,
    HoleValue::Top,
    HoleValue::Leave,
    HoleValue::Zero,
    HoleValue::Operand1,
];

/// A stencil with holes of all kinds; now and then with one that cannot be filled.
fn stencil(len: usize, seeds: &[HoleSeed], align: u32) -> StencilBuf {
    let mut holes = Vec::new();
    let mut end = 0;
    for &(gap, kind, value, addend, extra) in seeds {
        let value = VALUES[value % VALUES.len()];
        let number = matches!(
            value,
            HoleValue::Oparg | HoleValue::Target | HoleValue::ExitIndex | HoleValue::Zero
        );
        let kinds: &[RelocationKind] = if number {
            use RelocationKind::{Abs8, Abs16, Abs32S, Abs64};
            &[Abs8, Abs16, Abs32S, Abs32S, Abs64]
        } else if matches!(value, HoleValue::Operand | HoleValue::Operand1) {
            &[RelocationKind::Abs64]
        } else if kind < 9 {
            &[RelocationKind::Pc32]
        } else {
            &[RelocationKind::Abs64, RelocationKind::Pc32]
        };
        let kind = kinds[kind % kinds.len()];
        let narrow = kind.width() < 4;
        let addend = if narrow { addend % 8 } else { addend };
        let mut hole = Hole::new(end + gap, kind, value, addend);
        if value == HoleValue::Symbol {
            hole = hole.with_symbol(u32::from(extra) % 3);
        }
        if number && value == HoleValue::Oparg && !narrow {
            hole = hole.with_shift(extra);
        }
        if hole.end() as usize > len {
            break;
        }
        end = hole.end();
        holes.push(hole);
    }
    let mut bytes: Vec<u8> = (0..len).map(|index| (index * 37 + len) as u8 | 1).collect();
    for hole in &holes {
        let start = hole.offset() as usize;
        bytes[start..hole.end() as usize].fill(0);
        // Half of the symbols are called.
        if hole.value() == HoleValue::Symbol && hole.symbol() < 2 && start > 0 {
            bytes[start - 1] = 0xe8;
        }
    }
    let mut stencil = StencilBuf {
        bytes,
        holes,
        align,
    };
    // The byte in front of a hole may have been another hole's.
    for hole in stencil.holes.clone() {
        stencil.bytes[hole.offset() as usize..hole.end() as usize].fill(0);
    }
    stencil
}

/// The three parts of a uop.
type UopSeed = (
    (usize, Vec<HoleSeed>),
    (usize, Vec<HoleSeed>),
    (usize, Vec<HoleSeed>, u32),
);

fn uop_seeds() -> impl Strategy<Value = UopSeed> {
    let len = prop_oneof![1 => Just(0usize), 6 => 1..50usize, 1 => 50..150usize];
    let cold_len = prop_oneof![2 => Just(0usize), 1 => 1..60usize];
    let data_len = prop_oneof![3 => Just(0usize), 1 => 1..40usize];
    let data_holes = prop_oneof![3 => Just(Vec::new()), 1 => hole_seeds()];
    (
        (len, hole_seeds()),
        (cold_len, hole_seeds()),
        (data_len, data_holes, 0..7u32),
    )
}

fn uop(name: String, seed: &UopSeed) -> UopContents {
    let (hot, cold, data) = seed;
    UopContents {
        name,
        effect: StackEffect::default(),
        leaving_effect: StackEffect::default(),
        flags: UopFlags::all() - UopFlags::TERMINAL - UopFlags::SWITCHES_FRAME,
        oparg_max: u32::from(u16::MAX),
        operand_max: u64::MAX,
        operand1_max: u64::MAX,
        locals: 0,
        group: StencilGroupBuf {
            hot: stencil(hot.0, &hot.1, 1),
            cold: stencil(cold.0, &cold.1, 1),
            data: stencil(data.0, &data.1, 1 << data.2),
        },
    }
}

fn general(index: u8) -> Register {
    Register::general(index).expect("an index below 8")
}

/// A variant of hot code; placeholders stand at the offsets, extended by the REX prefix at `rex`.
fn variant(
    uops: &[&str],
    inputs: &[Input],
    bytes: &[u8],
    holes: &[Hole],
    placeholders: &[(u32, u32, RegisterField, Register)],
) -> VariantContents {
    let register_hole = |&(offset, rex, field, register)| RegisterHole {
        cold: false,
        offset,
        rex: Some(rex),
        field,
        register,
    };
    let mut register_holes: Vec<_> = placeholders.iter().map(register_hole).collect();
    register_holes.sort_by_key(RegisterHole::order);
    VariantContents {
        uops: uops.iter().map(|&name| name.to_owned()).collect(),
        form: Form::Operands(OperandForm {
            inputs: inputs.to_vec(),
            output: Some(general(5)),
            intact: 0,
            renameable: RegisterSet::ALL,
        }),
        oparg_max: vec![u32::from(u16::MAX); uops.len()],
        operand_max: vec![u64::MAX; uops.len()],
        operand1_max: vec![u64::MAX; uops.len()],
        group: StencilGroupBuf {
            hot: StencilBuf {
                bytes: bytes.to_vec(),
                holes: holes.to_vec(),
                align: 1,
            },
            ..StencilGroupBuf::default()
        },
        register_holes,
    }
}

/// Operand forms by hand; r8 and r9 are the placeholders.
fn variants() -> Vec<VariantContents> {
    use RegisterField::{Base, Reg};
    let (r8, r9) = (general(5), general(6));
    let oparg = |offset, element| {
        Hole::new(offset, RelocationKind::Abs32S, HoleValue::Oparg, 0)
            .with_shift(3)
            .with_element(element)
    };
    vec![
        // add r8, r9
        variant(
            &["U0"],
            &[Input::Register(r8), Input::Register(r9)],
            &[0x4d, 0x01, 0xc8],
            &[],
            &[(2, 0, Reg, r9), (2, 0, Base, r8)],
        ),
        // add r8, imm32
        variant(
            &["U0"],
            &[Input::Register(r8), Input::Signed32],
            &[0x49, 0x81, 0xc0, 0, 0, 0, 0],
            &[Hole::new(3, RelocationKind::Abs32S, HoleValue::Input, 0).with_element(1)],
            &[(2, 0, Base, r8)],
        ),
        // shl r8, imm8; nop
        variant(
            &["U0"],
            &[Input::Register(r8), Input::Unsigned(6)],
            &[0x49, 0xc1, 0xe0, 0, 0x90],
            &[Hole::new(3, RelocationKind::Abs8, HoleValue::Input, 0).with_element(1)],
            &[(2, 0, Base, r8)],
        ),
        // mov r8, [rip + POOLED]
        variant(
            &["U0"],
            &[Input::Pooled],
            &[0x4c, 0x8b, 0x05, 0, 0, 0, 0],
            &[Hole::new(3, RelocationKind::Pc32, HoleValue::Pooled, -4)],
            &[(2, 0, Reg, r8)],
        ),
        // mov r8, [r12 + OPARG]; add r8, [r12 + OPARG]
        variant(
            &["U0", "U1"],
            &[],
            &[
                0x4d, 0x8b, 0x84, 0x24, 0, 0, 0, 0, 0x4d, 0x03, 0x84, 0x24, 0, 0, 0, 0,
            ],
            &[oparg(4, 0), oparg(12, 1)],
            &[(2, 0, Reg, r8), (10, 8, Reg, r8)],
        ),
    ]
}

/// A stencil to place: which, the arguments, and where its labels stand among the placements.
#[derive(Clone, Debug)]
struct Step {
    stencil: usize,
    registers: (u8, u8),
    oparg: u32,
    operand: u64,
    target: u32,
    input: i32,
    jump: usize,
    error: usize,
    exit: Option<u32>,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let arguments = (
        prop_oneof![Just(0u32), 0..14u32],
        any::<u64>(),
        prop_oneof![0..100u32, Just(0u32)],
        any::<i32>(),
    );
    let registers = (0..8u8, 0..8u8);
    let places = (any::<usize>(), any::<usize>(), 0..4u32);
    let step = (any::<usize>(), registers, arguments, places).prop_map(
        |(stencil, registers, (oparg, operand, target, input), (jump, error, exit))| Step {
            stencil,
            registers,
            oparg,
            operand,
            target,
            input,
            jump,
            error,
            exit: Some(exit),
        },
    );
    proptest::collection::vec(step, 1..40)
}

static ARENA: LazyLock<Arc<CodeArena>> =
    LazyLock::new(|| CodeArena::new(ArenaOptions::default()).expect("there is executable memory"));

fn engine(seeds: &[UopSeed]) -> Engine {
    let contents = TableContents {
        set: "random".to_owned(),
        cpu: "x86-64".to_owned(),
        llvm_version: (19, 1, 0),
        digest: [0; 32],
        sources: [0; 32],
        symbols: SYMBOL_NAMES.map(str::to_owned).to_vec(),
        uops: (0..)
            .zip(seeds)
            .map(|(index, seed): (usize, _)| uop(format!("U{index}"), seed))
            .collect(),
        variants: variants(),
    };
    let table = StencilTable::from_bytes(contents.to_bytes().expect("valid contents"));
    let resolve = |symbol: &str| {
        let index = SYMBOL_NAMES.iter().position(|&name| name == symbol)?;
        Some(SYMBOLS[index])
    };
    // SAFETY: nothing of this engine is ever run.
    unsafe { Engine::with_arena(Arc::new(table.expect("a table")), resolve, ARENA.clone()) }
        .expect("every symbol has an address")
}

/// Places the steps, the last `cold` of them in the cold region.
fn assemble(engine: &Engine, steps: &[Step], cold: usize) -> Result<Prepared, CompileError> {
    let table = engine.table();
    let mut assembler = Assembler::new(table, &engine.symbols, &engine.fragments, steps.len());
    let labels: Vec<LabelId> = (0..=steps.len()).map(|_| assembler.label()).collect();
    let at = |place: usize| labels[place % labels.len()];
    let exits: Vec<u32> = (0..4)
        .map(|uop| {
            assembler.exit(ExitInfo {
                uop,
                target: 10 * uop,
                depth: (uop != 2).then_some(uop),
                shape: FrameShape::default(),
            })
        })
        .collect();
    assembler.set_leave(at(steps[0].jump));
    assembler.set_top(at(1));
    for (index, step) in steps.iter().enumerate() {
        assembler.bind(labels[index]);
        if index + cold >= steps.len() {
            assembler.begin_cold();
        }
        let count = table.uop_count() + table.variant_count();
        let stencil = step.stencil % count;
        let (id, uops) = match stencil.checked_sub(table.uop_count()) {
            None => (
                StencilId::base(table.uops().nth(stencil).expect("a uop")),
                1,
            ),
            Some(variant) => {
                let variant = table.variants().nth(variant).expect("a variant");
                let uops = table.variant(variant).uops.len();
                (StencilId::variant(table, variant), uops)
            }
        };
        let renaming = Renaming::default()
            .with(general(5), general(step.registers.0))
            .with(general(6), general(step.registers.1));
        let uop = |element: u32| UopArguments {
            oparg: step.oparg + element,
            target: step.target,
            operand: step.operand,
            operand1: !step.operand,
        };
        // What does not go into a signed field of 6 bits is refused: see `what_a_form_cannot_take_is_refused`.
        let takes_6_bits =
            stencil >= table.uop_count() && is_unsigned(table, stencil - table.uop_count());
        let input = if takes_6_bits {
            u64::from(step.input.unsigned_abs() % 64)
        } else {
            i64::from(step.input).cast_unsigned()
        };
        assembler.place(
            id,
            renaming,
            &Arguments {
                index: index as u32,
                uops: &[uop(0), uop(1)][..uops],
                inputs: [input; MAX_INPUTS],
                jump: at(step.jump),
                error: at(step.error),
                exit: step.exit.map_or(NO_EXIT, |exit| exits[exit as usize]),
            },
        );
    }
    assembler.bind(labels[steps.len()]);
    assembler.finish(FrameShape::default(), steps.len(), &engine.shared)
}

/// Whether variant `index` takes a number of a few bits.
fn is_unsigned(table: &StencilTable, index: usize) -> bool {
    let id = table.variants().nth(index).expect("a variant");
    match table.variant(id).form {
        Form::Operands(form) => matches!(form.inputs.last(), Some(Input::Unsigned(_))),
        Form::Slots { .. } => false,
    }
}

/// What a patcher makes of it, with errors as text.
fn image(
    engine: &Engine,
    prepared: &Prepared,
    patcher: Patcher,
    at: usize,
) -> Result<Vec<u8>, String> {
    engine
        .image(prepared, patcher, at)
        .map_err(|error| error.to_string())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn all_patchers_write_the_same_bytes(
        seeds in proptest::collection::vec(uop_seeds(), 2..12),
        steps in steps(),
        cold in 0..5usize,
    ) {
        let engine = engine(&seeds);
        let prepared = match assemble(&engine, &steps, cold) {
            Ok(prepared) => prepared,
            Err(CompileError::Patch(error)) => {
                // A word that does not fit is refused as the reference would refuse it.
                prop_assert!(
                    error.found < error.low.into() || error.found > error.high.into(),
                    "{error}"
                );
                return Ok(());
            }
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        };
        for address in ADDRESSES {
            let expected = image(&engine, &prepared, Patcher::Reference, address);
            for patcher in FAST.into_iter().filter(|patcher| patcher.is_available()) {
                let found = image(&engine, &prepared, patcher, address);
                prop_assert_eq!(&found, &expected, "{:?} at {:#x}", patcher, address);
            }
        }
    }
}

/// A step that places this stencil with small arguments.
fn step(stencil: usize, input: i32) -> Step {
    Step {
        stencil,
        registers: (5, 6),
        oparg: 1,
        operand: 2,
        target: 3,
        input,
        jump: 0,
        error: 0,
        exit: None,
    }
}

/// Two uops of two bytes without holes.
fn plain_uops() -> [UopSeed; 2] {
    let plain = (2, Vec::new());
    let seed = (plain.clone(), (0, Vec::new()), (0, Vec::new(), 0));
    [seed.clone(), seed]
}

/// The stencil of the variant of `U0` with these bytes.
fn variant_with(engine: &Engine, bytes: &[u8]) -> usize {
    let table = engine.table();
    let mut variants = table.variants();
    let index = variants.position(|id| table.variant(id).group.hot.bytes == bytes);
    table.uop_count() + index.expect("there is such a variant")
}

#[test]
fn registers_are_renamed_in_copies() {
    let engine = engine(&plain_uops());
    let add = variant_with(&engine, &[0x4d, 0x01, 0xc8]);
    let steps: Vec<Step> = [(5, 6), (0, 1), (1, 0), (3, 3)]
        .into_iter()
        .map(|registers| Step {
            registers,
            ..step(add, 0)
        })
        .collect();
    let prepared = assemble(&engine, &steps, 0).unwrap();
    // add r8, r9; add r15, rdi; add rdi, r15; add rdx, rdx
    let expected = [
        0x4d, 0x01, 0xc8, 0x49, 0x01, 0xff, 0x4c, 0x01, 0xff, 0x48, 0x01, 0xd2,
    ];
    for patcher in Patcher::ALL
        .into_iter()
        .filter(|patcher| patcher.is_available())
    {
        let image = engine.image(&prepared, patcher, ADDRESSES[0]).unwrap();
        assert_eq!(image[..expected.len()], expected, "{patcher:?}");
    }
}

#[test]
fn pooled_constants_are_there_once() {
    let engine = engine(&plain_uops());
    let load = variant_with(&engine, &[0x4c, 0x8b, 0x05, 0, 0, 0, 0]);
    let prepared = assemble(&engine, &[step(load, 7), step(load, -7), step(load, 7)], 0).unwrap();
    let image = engine
        .image(&prepared, Patcher::Auto, ADDRESSES[0])
        .unwrap();
    let field = |index: usize| {
        let start = 7 * index + 3;
        let bytes: [u8; 4] = image[start..start + 4].try_into().unwrap();
        start + 4 + u32::from_le_bytes(bytes) as usize
    };
    assert_eq!(field(0), field(2));
    for (index, bits) in [(0, 7i64), (1, -7)] {
        assert_eq!(image[field(index)..][..8], bits.to_le_bytes());
    }
    assert_eq!(field(1) + 8, image.len());
}

#[test]
fn what_a_form_cannot_take_is_refused() {
    let engine = engine(&plain_uops());
    let shift = variant_with(&engine, &[0x49, 0xc1, 0xe0, 0, 0x90]);
    let table = engine.table();
    let place = |input: u64, uops: &[UopArguments]| {
        let mut assembler = Assembler::new(table, &engine.symbols, &engine.fragments, 1);
        let id = table.variants().nth(shift - table.uop_count()).unwrap();
        assembler.place(
            StencilId::variant(table, id),
            Renaming::default(),
            &Arguments {
                index: 0,
                uops,
                inputs: [input; MAX_INPUTS],
                jump: LabelId::NONE,
                error: LabelId::NONE,
                exit: NO_EXIT,
            },
        );
        assembler.finish(FrameShape::default(), 1, &engine.shared)
    };
    let arguments = UopArguments::default();
    let too_large = UopArguments {
        oparg: 0x1_0000,
        ..arguments
    };
    assert!(place(63, &[arguments]).is_ok());
    for (input, uops) in [
        (64, &[arguments][..]),
        (63, &[]),
        (63, &[arguments; 2]),
        (63, &[too_large]),
    ] {
        let refused = place(input, uops);
        assert!(
            matches!(refused, Err(CompileError::Internal(_))),
            "{refused:?}"
        );
    }
}

#[test]
fn a_label_that_stands_nowhere_is_refused() {
    let jump = (6, vec![(1, 0, 2, -4, 0)]);
    let seed = (jump, (0, Vec::new()), (0, Vec::new(), 0));
    let engine = engine(&[seed.clone(), seed]);
    let table = engine.table();
    let mut assembler = Assembler::new(table, &engine.symbols, &engine.fragments, 1);
    let label = assembler.label();
    assembler.place(
        StencilId::base(table.uops().next().unwrap()),
        Renaming::default(),
        &Arguments {
            index: 0,
            uops: &[UopArguments::default()],
            inputs: [0; MAX_INPUTS],
            jump: label,
            error: LabelId::NONE,
            exit: NO_EXIT,
        },
    );
    let refused = assembler.finish(FrameShape::default(), 1, &engine.shared);
    assert!(
        matches!(refused, Err(CompileError::Internal(_))),
        "{refused:?}"
    );
}

#[test]
fn a_prepared_trace_is_of_one_engine() {
    let engines = [engine(&plain_uops()), engine(&plain_uops())];
    let prepared = assemble(&engines[0], &[step(0, 0)], 0).unwrap();
    assert!(engines[0].compile_prepared(&prepared).is_ok());
    let refused = engines[1].compile_prepared(&prepared);
    assert!(
        matches!(refused, Err(CompileError::OtherEngine)),
        "{refused:?}"
    );
}
