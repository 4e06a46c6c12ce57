//! Patching: every relocation kind up to its limits and one beyond, every hole value, and what happens where a helper is
//! out of reach.

use mimeo::code_memory::{ArenaOptions, CodeArena, Placement};
use mimeo::engine::{CompileError, Engine};
use mimeo::executor::{Executor, ExecutorHeader, ExitRecord};
use mimeo::hole::{Hole, HoleValue};
use mimeo::reloc::RelocationKind;
use mimeo::stencil::{Part, StencilBuf, UopFlags};
use mimeo::table::{TableContents, UopContents};
use mimeo::trace::{FrameShape, Trace};
use mimeo::{PatchError, Patcher, Prepared, TooLarge};
use mimeo_tests::machine::Machine;
use mimeo_tests::toy::{self, DOUBLE, NUMBER, ToyEngine, ToyExecutor, op};

/// Where the hole of a probe is; the bytes around it are int3.
const OFFSET: u32 = 3;

/// A stencil with one hole in it.
fn with_hole(hole: Hole) -> StencilBuf {
    let (start, end) = (hole.offset() as usize, hole.end() as usize);
    let mut bytes = vec![0xcc; end + 2];
    bytes[start..end].fill(0);
    StencilBuf {
        bytes,
        holes: vec![hole],
        align: 1,
    }
}

/// A uop that ends a trace and has this in one part and nothing else.
fn probe(part: Part, stencil: StencilBuf) -> UopContents {
    let mut probe = toy::uop("_PROBE");
    probe.flags = UopFlags::TERMINAL | UopFlags::OPERAND;
    for hole in &stencil.holes {
        probe.flags |= UopFlags::announcing(hole.value());
    }
    match part {
        Part::Hot => probe.group.hot = stencil,
        Part::Cold => probe.group.cold = stencil,
        Part::Data => probe.group.data = stencil,
    }
    probe
}

/// Two bytes of nop.
fn padding() -> UopContents {
    let mut padding = toy::uop("_PADDING");
    padding.group.hot = toy::code(&[0x66, 0x90], &[]);
    padding
}

/// An engine of `_PADDING` and this `_PROBE`.
fn probe_engine(probe: UopContents) -> Engine {
    toy::engine_of(&toy::contents("probe", &[], vec![padding(), probe]))
}

/// Prepares `_PADDING` and `_PROBE` with this operand, or second operand where it reads that.
fn prepare_probe(engine: &Engine, operand: u64) -> Result<Prepared, CompileError> {
    let mut trace = Trace::new(engine.table());
    trace.push(op(&trace, "_PADDING"));
    let probe = op(&trace, "_PROBE");
    let reads_second = engine
        .table()
        .uop(probe.id)
        .flags
        .contains(UopFlags::OPERAND1);
    trace.push(match reads_second {
        true => probe.operand(!operand).operand1(operand),
        false => probe.operand(operand).operand1(!operand),
    });
    engine.prepare(&trace, FrameShape::default())
}

/// Compiles `_PADDING` and `_PROBE` with this operand, and gives the code of both.
fn compile_probe(probe: UopContents, operand: u64) -> Result<Vec<u8>, PatchError> {
    let engine = probe_engine(probe);
    let prepared = prepare_probe(&engine, operand);
    match prepared.and_then(|prepared| engine.compile_prepared(&prepared)) {
        Ok(executor) => Ok(executor.code().to_owned()),
        Err(CompileError::Patch(error)) => Err(error),
        Err(error) => panic!("{error}"),
    }
}

/// What a hole of this kind must hold, or what it would have to hold and cannot.
type Expected = Result<u64, i128>;

#[test]
fn absolute_kinds_take_their_range_and_nothing_beyond() {
    use RelocationKind::{Abs8, Abs16, Abs32, Abs32S, Abs64};
    let min = i32::MIN;
    let rows: [(RelocationKind, u64, u8, i32, Expected); 27] = [
        // kind, operand, shift, addend: the field, or the value that does not fit
        (Abs64, 0, 0, 0, Ok(0)),
        (Abs64, 0, 0, min, Ok(0xffff_ffff_8000_0000)),
        (Abs64, u64::MAX, 0, 0, Ok(u64::MAX)),
        // Sums of 64 bits wrap, as in the psABI; a shift must not lose bits.
        (Abs64, u64::MAX, 0, 1, Ok(0)),
        (Abs64, 3, 6, 5, Ok(197)),
        (Abs64, (1 << 57) - 1, 6, 0x3f, Ok(u64::MAX >> 1)),
        (Abs64, 1 << 58, 6, 0, Err(1 << 64)),
        (Abs32, 0, 0, 0, Ok(0)),
        (Abs32, 0, 0, -1, Err(-1)),
        (Abs32, 0xffff_ffff, 0, 0, Ok(0xffff_ffff)),
        (Abs32, 0xffff_ffff, 0, 1, Err(0x1_0000_0000)),
        (Abs32, 0x3ff_ffff, 6, 0x3f, Ok(0xffff_ffff)),
        (Abs32, 0x1_0000_0004, 0, -5, Ok(0xffff_ffff)),
        // S is never negative: no value is below what this kind takes.
        (Abs32S, 0, 0, min, Ok(0x8000_0000)),
        (Abs32S, 0x7fff_ffff, 0, 0, Ok(0x7fff_ffff)),
        (Abs32S, 0x7fff_ffff, 0, 1, Err(0x8000_0000)),
        (Abs32S, 1, 3, -16, Ok(0xffff_fff8)),
        (Abs16, 0, 0, -0x8000, Ok(0x8000)),
        (Abs16, 0, 0, -0x8001, Err(-0x8001)),
        (Abs16, 0x7fff, 0, 0, Ok(0x7fff)),
        (Abs16, 0x7fff, 0, 1, Err(0x8000)),
        (Abs16, 0x1ff, 6, 0x3f, Ok(0x7fff)),
        (Abs8, 0, 0, -0x80, Ok(0x80)),
        (Abs8, 0, 0, -0x81, Err(-0x81)),
        (Abs8, 0x7f, 0, 0, Ok(0x7f)),
        (Abs8, 0x7f, 0, 1, Err(0x80)),
        (Abs8, 0x0f, 3, 7, Ok(0x7f)),
    ];
    for (kind, operand, shift, addend, expected) in rows {
        for value in [HoleValue::Operand, HoleValue::Operand1] {
            let hole = Hole::new(OFFSET, kind, value, addend).with_shift(shift);
            let found = compile_probe(probe(Part::Cold, with_hole(hole)), operand);
            check(hole, found, expected, &format!("{hole:?} of {operand:#x}"));
        }
    }
}

#[test]
fn the_relative_kind_takes_its_range_and_nothing_beyond() {
    // The probe's hot code starts at 2. A number as S is at any distance one likes from the hole.
    const ADDRESS: u64 = 0x7000_0000_0000;
    let place = ADDRESS + 2 + u64::from(OFFSET);
    let (low, high) = (place - 0x8000_0000, place + 0x7fff_ffff);
    let rows: [(u64, i32, Expected); 8] = [
        (place, -4, Ok(0xffff_fffc)),
        (high, 0, Ok(0x7fff_ffff)),
        (high, 1, Err(0x8000_0000)),
        (high + 0x1_0000, -0x1_0000, Ok(0x7fff_ffff)),
        (low, 0, Ok(0x8000_0000)),
        (low, -1, Err(-0x8000_0001)),
        (low - 0x1_0000, 0x1_0000, Ok(0x8000_0000)),
        (0, 0, Err(-i128::from(place))),
    ];
    for (operand, addend, expected) in rows {
        for value in [HoleValue::Operand, HoleValue::Operand1] {
            let hole = Hole::new(OFFSET, RelocationKind::Pc32, value, addend);
            let engine = probe_engine(probe(Part::Hot, with_hole(hole)));
            let prepared = prepare_probe(&engine, operand).unwrap();
            let found = match engine.image(&prepared, Patcher::Auto, ADDRESS as usize) {
                Ok(image) => Ok(image[..prepared.code_len()].to_owned()),
                Err(CompileError::Patch(error)) => Err(error),
                Err(error) => panic!("{error}"),
            };
            check(hole, found, expected, &format!("{hole:?} of {operand:#x}"));
        }
    }
}

#[test]
fn relative_holes_lead_from_part_to_part() {
    // The probe's hot code starts at 2 and its cold code behind it.
    let kind = RelocationKind::Pc32;
    let probe_of = |value, addend| {
        let hole = Hole::new(OFFSET, kind, value, addend);
        (hole, probe(Part::Hot, with_hole(hole)))
    };
    let hot_len = probe_of(HoleValue::Cold, 0).1.group.hot.bytes.len() as u64;
    let up = hot_len - u64::from(OFFSET);
    for (value, addend, field) in [
        (HoleValue::Cold, -4, up - 4),
        (HoleValue::Cold, 0x1_0000, up + 0x1_0000),
        (HoleValue::Code, -4, 0x1_0000_0000 - 7),
        (HoleValue::Code, -0x1_0000, 0x1_0000_0000 - 0x1_0003),
    ] {
        let (hole, probe) = probe_of(value, addend);
        let found = compile_probe(probe, 0);
        check(hole, found, Ok(field), &format!("{hole:?}"));
    }
}

fn check(hole: Hole, found: Result<Vec<u8>, PatchError>, expected: Expected, row: &str) {
    let width = hole.kind().width();
    match (found, expected) {
        (Ok(code), Ok(field)) => {
            let mut wanted = vec![0x66, 0x90, 0xcc, 0xcc, 0xcc];
            wanted.extend_from_slice(&field.to_le_bytes()[..width]);
            wanted.extend_from_slice(&[0xcc, 0xcc]);
            assert_eq!(code, wanted, "{row}");
        }
        (Err(error), Err(found)) => {
            let (low, high) = hole.kind().range().into_inner();
            let wanted = PatchError {
                index: 1,
                name: "_PROBE".to_owned(),
                part: error.part,
                offset: OFFSET,
                kind: hole.kind(),
                value: hole.value(),
                found,
                low,
                high,
            };
            assert_eq!(error, wanted, "{row}");
        }
        (found, expected) => panic!("{row}: found {found:?}, expected {expected:?}"),
    }
}

#[test]
fn the_error_names_uop_part_hole_value_and_range() {
    for part in [Part::Hot, Part::Cold, Part::Data] {
        let hole = Hole::new(OFFSET, RelocationKind::Abs8, HoleValue::Operand, -0x90);
        let error = compile_probe(probe(part, with_hole(hole)), 0).unwrap_err();
        assert_eq!(error.part, part);
        let message = format!(
            "uop 1 _PROBE, {part}: the hole at 0x3 (R_X86_64_8 OPERAND) would hold -0x90, its range is [-0x80, 0x7f]"
        );
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn all_patchers_run_the_same() {
    let engine = ToyEngine::new();
    let mut trace = engine.trace();
    let again = trace.label();
    trace.bind(again).unwrap();
    trace.push(op(&trace, "_CONSTANT"));
    trace.push(op(&trace, "_CALL"));
    trace.push(op(&trace, "_STORE").oparg(1));
    trace.push(op(&trace, "_LOAD").oparg(0));
    trace.push(op(&trace, "_EXIT_IF_ZERO").target(5));
    toy::push_add_to_local(&mut trace, 0, u64::MAX);
    trace.push(op(&trace, "_JUMP").jump(again));
    let mut machine = Machine::new(&[0, 0], 2, &[]);
    let prepared = engine.prepare(&trace, machine.shape()).unwrap();
    for patcher in Patcher::ALL {
        let compiled = engine.compile_with(&prepared, patcher);
        if !patcher.is_available() {
            assert!(matches!(compiled, Err(CompileError::Patcher(found)) if found == patcher));
            continue;
        }
        machine.locals_mut().copy_from_slice(&[3, 0]);
        let exit = machine.run(&compiled.unwrap());
        assert_eq!(
            (exit.uop, exit.target, exit.index),
            (4, 5, 0),
            "{patcher:?}"
        );
        assert_eq!(machine.locals(), [0, 2 * toy::CONSTANT], "{patcher:?}");
    }
}

#[test]
fn a_prepared_trace_makes_executors_of_their_own() {
    let engine = ToyEngine::new();
    let mut trace = engine.trace();
    trace.push(op(&trace, "_EXIT").target(5));
    let prepared = engine.prepare(&trace, FrameShape::default()).unwrap();
    assert_eq!((prepared.uop_count(), prepared.stencil_count()), (1, 1));
    let executors = [(); 3].map(|()| engine.compile_with(&prepared, Patcher::Auto).unwrap());
    drop(prepared);
    let mut machine = Machine::new(&[], 0, &[]);
    for executor in executors {
        let (id, exits) = (executor.id(), executor.exits().to_owned());
        let exit = machine.run(&executor);
        assert_eq!((exit.executor, exit.target), (id, 5));
        assert_eq!(exits.len(), 1);
    }
}

/// A trace whose third uop has a hole of each value, and what each is to be filled with.
#[test]
fn every_hole_value_is_what_its_documentation_says() {
    const OPERAND: u64 = 0xdead_beef_0000_0001;
    const OPERAND1: u64 = 0xfeed_0000_dead_0002;
    let engine = toy::engine_of(&every_value());
    let mut trace = Trace::new(engine.table());
    let (jump, error) = (trace.label(), trace.label());
    trace.bind(jump).unwrap();
    trace.push(op(&trace, "_LEAVES"));
    trace.bind(error).unwrap();
    trace.push(op(&trace, "_LEAVES"));
    let probe = op(&trace, "_PROBE").oparg(7).operand(OPERAND);
    let probe = probe.operand1(OPERAND1).target(1234);
    trace.push(probe.jump(jump).error(error));
    trace.push(op(&trace, "_END"));
    let executor = engine.compile(&trace, FrameShape::default()).unwrap();

    // Hot code: two times 3 bytes, 1 byte, 2 bytes. Data starts on a cache line: header, three exit records, data.
    let base = executor.address();
    assert_eq!(executor.hot_len(), 9);
    assert_eq!(executor.code_len(), 9 + 8 * BASE_VALUES.len());
    let header = base + executor.code_len().next_multiple_of(64);
    let exits = header + size_of::<ExecutorHeader>();
    let exits_end = exits + 3 * size_of::<ExitRecord>();
    let expected = |value| match value {
        HoleValue::Zero => 0,
        HoleValue::Oparg => 7,
        HoleValue::Operand => OPERAND as usize,
        HoleValue::Operand1 => OPERAND1 as usize,
        HoleValue::Target => 1234,
        HoleValue::Continue => base + 7,
        HoleValue::JumpTarget => base,
        HoleValue::ErrorTarget => base + 3,
        HoleValue::ExitIndex => 2,
        HoleValue::Exit => exits + 2 * size_of::<ExitRecord>(),
        HoleValue::Executor => header,
        HoleValue::Code => base + 6,
        HoleValue::Cold => base + 9,
        HoleValue::Data => data_of_the_probe(&executor),
        HoleValue::Top => base + 3,
        HoleValue::Symbol => toy::resolve(NUMBER).unwrap(),
        HoleValue::Input | HoleValue::Pooled | HoleValue::Leave => {
            unreachable!("not in base forms")
        }
    };
    let fields = executor.code()[executor.hot_len()..].chunks_exact(8);
    for (value, field) in BASE_VALUES.into_iter().zip(fields) {
        let found = u64::from_le_bytes(field.try_into().unwrap());
        assert_eq!(found, expected(value) as u64, "{value}");
    }
    let data = data_of_the_probe(&executor);
    assert!(data >= exits_end && data < exits_end + 128 && data.is_multiple_of(32));
}

/// Where among the constants a uop's data goes is up to the layout; the alignment is the uop's.
fn data_of_the_probe(executor: &Executor) -> usize {
    let field = executor.hot_len() + 8 * HoleValue::Data as usize;
    usize::from_le_bytes(executor.code()[field..][..8].try_into().unwrap())
}

/// The values that holes of a base form may have in any set.
const BASE_VALUES: [HoleValue; 16] = {
    let [mut values @ .., _, _, operand1] = HoleValue::ALL;
    values[15] = operand1;
    values
};

fn every_value() -> TableContents {
    let holes: Vec<Hole> = (0..)
        .step_by(8)
        .zip(BASE_VALUES)
        .map(|(offset, value)| {
            let symbol = u32::from(value == HoleValue::Symbol);
            Hole::new(offset, RelocationKind::Abs64, value, 0).with_symbol(symbol)
        })
        .collect();
    let mut leaves = toy::uop("_LEAVES");
    leaves.flags = UopFlags::EXIT_RECORD;
    leaves.group.hot = toy::code(&[0x90; 3], &[]);
    leaves.group.data.bytes = vec![0x77];
    let mut probe = toy::uop("_PROBE");
    for value in BASE_VALUES {
        probe.flags |= UopFlags::announcing(value);
    }
    probe.group.hot = toy::code(&[0x90], &[]);
    probe.group.cold = toy::code(&[0; 8 * BASE_VALUES.len()], &holes);
    probe.group.data.bytes = vec![0x88; 8];
    probe.group.data.align = 32;
    let mut end = toy::uop("_END");
    end.flags = UopFlags::TERMINAL;
    end.group.hot = toy::code(&[0x0f, 0x0b], &[]);
    toy::contents("values", &[DOUBLE, NUMBER], vec![leaves, probe, end])
}

/// Four times a value: two calls of the helper.
fn quadruple(engine: &ToyEngine, machine: &Machine) -> ToyExecutor {
    let mut trace = engine.trace();
    trace.push(op(&trace, "_CALL"));
    trace.push(op(&trace, "_CALL"));
    trace.push(op(&trace, "_EXIT"));
    engine.compile(&trace, machine.shape()).unwrap()
}

/// An engine whose code memory is out of reach of the helper.
fn far_engine() -> ToyEngine {
    let options = ArenaOptions {
        placement: Placement::FarFrom(toy::resolve(DOUBLE).unwrap()),
        ..ArenaOptions::default()
    };
    ToyEngine::with_arena(CodeArena::new(options).unwrap())
}

#[test]
fn a_helper_out_of_reach_is_called_through_a_veneer() {
    let (near, far) = (ToyEngine::new(), far_engine());
    let mut machines = [
        Machine::new(&[], 1, &[0x1111]),
        Machine::new(&[], 1, &[0x1111]),
    ];
    let executors = [
        quadruple(&near, &machines[0]),
        quadruple(&far, &machines[1]),
    ];
    for (executor, machine) in executors.iter().zip(&mut machines) {
        machine.run(executor);
        assert_eq!(machine.values(), [0x4444]);
    }
    let helper = toy::resolve(DOUBLE).unwrap();
    let [near, far] = &executors;
    assert!(near.address().abs_diff(helper) < 1 << 31);
    assert!(far.address().abs_diff(helper) > 1 << 31);
    // One veneer for both calls: `jmp [rip + 0]` and the address, at a multiple of 16 behind the code.
    assert_eq!(near.code_len(), near.hot_len());
    assert_eq!(far.code_len(), far.hot_len().next_multiple_of(16) + 16);
    let veneer = &far.code()[far.code_len() - 16..];
    assert_eq!(veneer[..6], [0xff, 0x25, 0, 0, 0, 0]);
    assert_eq!(veneer[6..14], helper.to_le_bytes());
}

#[test]
fn code_that_calls_nothing_needs_no_veneer_however_far_it_is() {
    let engine = far_engine();
    let mut machine = Machine::new(&[], 2, &[]);
    let mut trace = engine.trace();
    trace.push(op(&trace, "_CONSTANT"));
    trace.push(op(&trace, "_CONSTANT"));
    trace.push(op(&trace, "_ADD"));
    trace.push(op(&trace, "_EXIT"));
    let executor = engine.compile(&trace, machine.shape()).unwrap();
    machine.run(&executor);
    assert_eq!(machine.values(), [2 * toy::CONSTANT]);
    assert_eq!(executor.code_len(), executor.hot_len());
}

#[test]
fn data_of_a_symbol_is_read_in_reach_and_refused_out_of_it() {
    let read = |engine: &ToyEngine, machine: &mut Machine| {
        let mut trace = engine.trace();
        trace.push(op(&trace, "_READ"));
        trace.push(op(&trace, "_EXIT"));
        let executor = engine.compile(&trace, machine.shape())?;
        machine.run(&executor);
        Ok::<_, CompileError>(machine.values().to_owned())
    };
    let mut machine = Machine::new(&[], 1, &[]);
    let found = read(&ToyEngine::new(), &mut machine).unwrap();
    assert_eq!(found, [toy::NUMBER_VALUE]);

    let mut machine = Machine::new(&[], 1, &[]);
    let far = far_engine();
    match read(&far, &mut machine) {
        Err(CompileError::Patch(error)) => {
            assert_eq!(
                (error.name.as_str(), error.value, error.kind),
                ("_READ", HoleValue::Symbol, RelocationKind::Pc32)
            );
            assert!(!error.kind.range().contains(&(error.found as i64)));
        }
        other => panic!("{other:?}"),
    }
    // Nothing of the attempt is left behind.
    assert_eq!((far.memory().blocks, far.memory().in_use), (0, 0));
}

#[test]
fn a_trace_of_a_gigabyte_is_refused_before_any_of_it_is_made() {
    let [mut end, mut huge] = ["_END", "_HUGE"].map(toy::uop);
    end.flags = UopFlags::TERMINAL;
    huge.group.hot.bytes = vec![0x90; 1 << 20];
    let engine = toy::engine_of(&toy::contents("huge", &[], vec![end, huge]));
    let mut trace = Trace::new(engine.table());
    for _ in 0..1025 {
        trace.push(op(&trace, "_HUGE"));
    }
    trace.push(op(&trace, "_END"));
    match engine.compile(&trace, FrameShape::default()) {
        Err(CompileError::TooLarge(TooLarge { found, limit })) => {
            assert!(found > limit && limit == 1 << 30, "{found} of {limit}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(engine.memory().blocks, 0);
}
