//! Selection is checked with a model machine: it takes the place of the assembler, and runs what was placed as the forms say
//! that it behaves, with everything that they do not promise turned to garbage. Random traces of random tables must do there
//! what the uops do one after the other.

mod generate;
mod model;
mod table;

use super::{Index, Selection, select};
use crate::assemble::LabelId;
use crate::form::Register;
use crate::table::StencilTable;
use crate::trace::{FrameShape, Trace, Uop};
use generate::{Program, Random};
use model::{Model, Outcome};
use table::{Kind, Options};

/// How many jumps may be taken or not before a run is cut off.
const FUEL: u32 = 200;

/// What a uop's behaviour depends on and changes besides the stack.
#[derive(Clone, Debug, PartialEq, Eq)]
struct World {
    locals: Vec<u64>,
    /// A hash of everything that was done in order.
    log: u64,
    fuel: u32,
}

/// Where a uop goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Next,
    Jump,
    Error,
    Top,
    Exit,
    /// The fuel is used up.
    Cut,
}

impl World {
    fn new(random: &mut Random, locals: u32) -> Self {
        Self {
            locals: (0..locals).map(|_| random.word()).collect(),
            log: 0,
            fuel: FUEL,
        }
    }

    fn note(&mut self, kind: Kind, values: &[u64]) {
        for &value in [kind as u64].iter().chain(values) {
            self.log = (self.log.rotate_left(5) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
    }

    /// Runs one uop on the values of a stack.
    fn run(&mut self, kind: Kind, stack: &mut Vec<u64>, oparg: u32, operand: u64) -> Flow {
        let (popped, _) = kind.effect();
        assert!(stack.len() >= popped, "{kind:?} on {stack:x?}");
        let first = stack.len() - popped;
        let taken: Vec<u64> = stack[first..].to_vec();
        let local = oparg as usize;
        if kind.is_noted() {
            if self.fuel == 0 {
                return Flow::Cut;
            }
            self.fuel -= 1;
            self.note(kind, &taken);
        }
        let mut replace = |values: &[u64]| {
            stack.truncate(first);
            stack.extend_from_slice(values);
        };
        let mixed = |salt: u64| {
            taken.iter().fold(salt, |mixed, &value| {
                (mixed.rotate_left(9) ^ value).wrapping_mul(0xd6e8_feb8_6659_fd93)
            })
        };
        let taken_jump = mixed(kind as u64) >> 61 < 2;
        match kind {
            Kind::LoadI | Kind::LoadF => replace(&[self.locals[local]]),
            Kind::StoreI | Kind::StoreF => {
                self.locals[local] = taken[0];
                replace(&[]);
            }
            Kind::PeekMemory => replace(&[self.locals[local].wrapping_add(1)]),
            Kind::ConstI | Kind::ConstF => replace(&[operand]),
            Kind::Dup => replace(&[taken[0], taken[0]]),
            Kind::Drop | Kind::Sink | Kind::Sink3 => replace(&[]),
            Kind::Swap => replace(&[taken[1], taken[0]]),
            Kind::Add => replace(&[taken[0].wrapping_add(taken[1])]),
            Kind::Shift | Kind::AddF | Kind::ToF | Kind::ToI | Kind::Choose | Kind::Call => {
                replace(&[mixed(kind as u64 + 100)]);
            }
            Kind::Less => replace(&[u64::from(taken[0] < taken[1])]),
            Kind::CheckedAdd | Kind::Divide => {
                if taken_jump {
                    return Flow::Jump;
                }
                replace(&[mixed(kind as u64 + 100)]);
            }
            Kind::Guard => {
                if taken_jump {
                    return Flow::Jump;
                }
                replace(&[taken[0]]);
            }
            Kind::JumpIf => {
                replace(&[]);
                if taken[0] % 3 == 1 {
                    return Flow::Jump;
                }
            }
            Kind::FailIf => {
                if taken_jump {
                    return Flow::Error;
                }
            }
            Kind::LeaveIf => {
                replace(&[]);
                if taken_jump {
                    return Flow::Exit;
                }
            }
            Kind::Jump => return Flow::Jump,
            Kind::Top => return Flow::Top,
            Kind::Leave => return Flow::Exit,
        }
        Flow::Next
    }
}

/// What the uops of a trace do one after the other.
fn reference(program: &Program, mut world: World, mut stack: Vec<u64>) -> Outcome {
    let mut at = 0;
    loop {
        let op = &program.ops[at];
        let flow = world.run(op.kind, &mut stack, op.oparg, op.operand);
        at = match flow {
            Flow::Next => at + 1,
            Flow::Jump | Flow::Error => program.labels[op.jump.unwrap()].unwrap(),
            Flow::Top => 1,
            Flow::Exit | Flow::Cut => {
                return Outcome {
                    exit: (flow == Flow::Exit).then_some(at as u32),
                    stack,
                    world,
                };
            }
        };
    }
}

fn trace_of<'t>(table: &'t StencilTable, program: &Program) -> Trace<'t> {
    let mut trace = Trace::new(table);
    let labels: Vec<_> = program.labels.iter().map(|_| trace.label()).collect();
    for (at, op) in program.ops.iter().enumerate() {
        for (label, place) in program.labels.iter().enumerate() {
            if *place == Some(at) {
                trace.bind(labels[label]).unwrap();
            }
        }
        let mut uop = Uop::new(table.find(op.kind.name()).unwrap())
            .oparg(op.oparg)
            .operand(op.operand)
            .operand1(op.operand.swap_bytes())
            .target(at as u32);
        uop.jump = op.jump.map(|label| labels[label]);
        uop.error = uop.jump;
        trace.push(uop);
    }
    trace
}

/// A table, indexed.
struct Subject {
    table: StencilTable,
    index: Index,
}

impl Subject {
    fn new(options: Options) -> Self {
        let table = table::table(options);
        Self {
            index: Index::new(&table),
            table,
        }
    }

    fn select(&self, program: &Program, selection: Selection) -> Model<'_> {
        let trace = trace_of(&self.table, program);
        let shape = FrameShape {
            locals: generate::LOCALS,
            stack: program.room,
            entry_depth: program.entry_depth,
        };
        let checked = trace.check(shape).unwrap_or_else(|error| panic!("{error}"));
        let mut model = Model::new(&self.table);
        select(&checked, &self.index, selection, &mut model);
        model
    }

    /// Whether a run of a program does the same both ways; panics where the model machine is used against the rules.
    fn agrees(&self, program: &Program, selection: Selection, seed: u64) -> bool {
        let model = self.select(program, selection);
        (0..3).all(|round| {
            let mut random = Random(seed ^ round << 40);
            let world = World::new(&mut random, generate::LOCALS);
            let stack: Vec<u64> = (0..program.entry_depth).map(|_| random.word()).collect();
            let expected = reference(program, world.clone(), stack.clone());
            let found = model.run(world, &stack, program.room as usize, &mut random);
            if expected.exit.is_some() || found.exit.is_some() {
                found == expected
            } else {
                // A stencil of several uops may have been cut off in its middle.
                found.world.log == expected.world.log
            }
        })
    }
}

fn random_programs(first: u64, tables: u64, options: impl Fn(&mut Random) -> Options) {
    const PROGRAMS: u64 = 40;
    for table in first..first + tables {
        let mut random = Random(table.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let options = options(&mut random);
        let subject = Subject::new(options);
        for number in 0..PROGRAMS {
            let selection = Selection {
                registers: !random.chance(10),
                pins: !random.chance(4),
                supernodes: !random.chance(4),
            };
            let program = Program::random(&mut random);
            let seed = random.word();
            let run = || subject.agrees(&program, selection, seed);
            // Not to be told apart from a wrong result: what panicked is printed with the panic.
            let agrees = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
            assert!(
                agrees.is_ok_and(|agrees| agrees),
                "table {table}, program {number}: {options:?}, {selection:?}\n{program}{:#?}",
                subject.select(&program, selection).code
            );
        }
    }
}

#[test]
fn operand_forms_do_what_the_uops_do() {
    random_programs(0, 15, |_| Options::operands());
}

#[test]
fn operand_forms_with_gaps_do_what_the_uops_do() {
    random_programs(1 << 20, 60, |random| Options {
        missing: random.below(60) as u8,
        narrow: random.below(60) as u8,
        seed: random.word(),
        ..Options::operands()
    });
}

#[test]
fn slots_forms_do_what_the_uops_do() {
    random_programs(2 << 20, 40, |random| Options {
        missing: random.below(60) as u8,
        seed: random.word(),
        ..Options::slots()
    });
}

#[test]
fn tables_without_variants_give_base_forms() {
    random_programs(3 << 20, 5, |_| Options::base());
}

/// A program of these uops, with an argument each: a local, a constant or a label. Labels stand where `at` says.
fn program(ops: &[(Kind, u64)], at: &[usize]) -> Program {
    let op = |&(kind, argument): &(Kind, u64)| {
        let jumps = kind.leaving_depth(3).is_some();
        generate::Op {
            kind,
            oparg: if kind.is_local() { argument as u32 } else { 0 },
            operand: if kind.is_constant() { argument } else { 0 },
            jump: jumps.then_some(argument as usize),
        }
    };
    Program {
        ops: ops.iter().map(op).collect(),
        labels: at.iter().copied().map(Some).collect(),
        entry_depth: 0,
        room: 24,
    }
}

/// What is placed for a program, hot and cold, after it was seen to do what it should.
fn placed(program: &Program, options: Options) -> [Vec<String>; 2] {
    let subject = Subject::new(options);
    let selection = Selection::default();
    assert!(subject.agrees(program, selection, 1), "{program}");
    let model = subject.select(program, selection);
    [0, 1].map(|region| model.lines(region))
}

#[test]
fn hot_locals_stay_in_registers() {
    let counting = program(
        &[
            (Kind::LoadI, 0),
            (Kind::ConstI, 3),
            (Kind::CheckedAdd, 1),
            (Kind::StoreI, 0),
            (Kind::LoadI, 0),
            (Kind::LoadI, 1),
            (Kind::Less, 0),
            (Kind::JumpIf, 0),
            (Kind::Leave, 0),
            (Kind::Leave, 0),
        ],
        &[0, 9],
    );
    let [hot, cold] = placed(&counting, Options::operands());
    assert_eq!(
        hot,
        [
            "LoadI -> r8 [0]",
            "LoadI -> r9 [1]",
            "CheckedAdd r8 0x3 -> r8 [0]",
            "Less+JumpIf r8 r9 [0, 0]",
            "Leave [0]",
        ]
    );
    assert_eq!(
        cold,
        [
            // What the addition leaves where it jumps, then a copy of the exit, then the way out.
            "_SPILL_I64 r8 [32768]",
            "_SPILL_I64 0x3 [32769]",
            "_ADJUST_STACK [32770]",
            "Leave [0]",
            "StoreI r8 [0]",
            "_LEAVE [0]",
        ]
    );
}

#[test]
fn old_values_of_a_pinned_local_are_kept_for_the_stack() {
    let exchanging = program(
        &[
            (Kind::LoadI, 0),
            (Kind::LoadI, 1),
            (Kind::StoreI, 0),
            (Kind::StoreI, 1),
            (Kind::LoadI, 0),
            (Kind::JumpIf, 0),
            (Kind::Leave, 0),
        ],
        &[0],
    );
    let [hot, _] = placed(&exchanging, Options::operands());
    assert_eq!(
        hot,
        [
            "LoadI -> r8 [0]",
            "LoadI -> r9 [1]",
            "_MOVE_I64 r8 -> r15 [0]",
            "_MOVE_I64 r9 -> r8 [0]",
            "_MOVE_I64 r15 -> r9 [0]",
            "JumpIf r8 [0]",
            "Leave [0]",
        ]
    );
}

#[test]
fn a_value_that_is_wanted_twice_is_not_replaced() {
    let squaring = program(
        &[
            (Kind::LoadI, 0),
            (Kind::Dup, 0),
            (Kind::Dup, 0),
            (Kind::Add, 0),
            (Kind::ToF, 0),
            (Kind::ToI, 0),
            (Kind::Shift, 0),
            (Kind::Sink, 0),
            (Kind::Leave, 0),
        ],
        &[],
    );
    let [hot, _] = placed(&squaring, Options::operands());
    assert_eq!(
        hot,
        [
            "LoadI -> r15 [0]",
            // Both operands are the value that is still on the stack below.
            "Add r15 r15 -> rdi [0]",
            "ToF rdi -> xmm0 [0]",
            "ToI xmm0 -> rdi [0]",
            "Shift r15 rdi -> r15 [0]",
            "Sink r15 [0]",
            "Leave [0]",
        ]
    );
}

#[test]
fn more_values_than_registers_are_spilled_from_the_bottom() {
    let mut ops = Vec::new();
    for local in 0..10 {
        ops.push((Kind::LoadI, local));
    }
    ops.extend([(Kind::Sink, 0); 10]);
    ops.push((Kind::Leave, 0));
    let [hot, _] = placed(&program(&ops, &[]), Options::operands());
    let count = |prefix: &str| hot.iter().filter(|line| line.starts_with(prefix)).count();
    // Ten values, eight registers of which none is pinned.
    assert_eq!(
        (count("_SPILL_I64"), count("_RELOAD_I64")),
        (2, 2),
        "{hot:#?}"
    );
    assert_eq!(hot[8], "_SPILL_I64 r15 [32768]", "{hot:#?}");
}

#[test]
fn edges_in_the_same_state_share_a_stub() {
    let guarding = program(
        &[
            (Kind::LoadI, 0),
            (Kind::LoadI, 1),
            (Kind::JumpIf, 0),
            (Kind::LoadI, 2),
            (Kind::JumpIf, 0),
            (Kind::Sink, 0),
            (Kind::Leave, 0),
            (Kind::Leave, 0),
        ],
        &[7],
    );
    let [_, cold] = placed(&guarding, Options::operands());
    assert_eq!(
        cold,
        [
            "_SPILL_I64 r15 [32768]",
            "_ADJUST_STACK [32769]",
            "Leave [0]",
            "_LEAVE [0]",
        ]
    );
}

#[test]
fn deep_stacks_are_stored_now_and_then() {
    // Every guard jumps with all values below it: without a bound, stubs would grow with the square of the depth.
    const GUARDS: usize = 60;
    let mut ops = Vec::new();
    for guard in 0..GUARDS as u64 {
        ops.extend([(Kind::ConstI, guard), (Kind::ConstI, 2), (Kind::ConstI, 1)]);
        ops.extend([(Kind::CheckedAdd, guard), (Kind::Drop, 0)]);
    }
    ops.extend([(Kind::Drop, 0); GUARDS]);
    ops.push((Kind::Leave, 0));
    let at: Vec<usize> = (0..GUARDS).map(|guard| ops.len() + guard).collect();
    ops.extend([(Kind::Leave, 0); GUARDS]);
    let mut guarding = program(&ops, &at);
    guarding.room = GUARDS as u32 + 3;
    let [_, cold] = placed(&guarding, Options::operands());
    let spills = cold.iter().filter(|line| line.starts_with("_SPILL"));
    let spills = spills.count();
    // Half of what fits the virtual stack on average, and the operands.
    assert!(spills < GUARDS * 14, "{spills}");
}

#[test]
fn slots_hold_values_up_to_a_label() {
    let adding = program(
        &[
            (Kind::LoadI, 0),
            (Kind::LoadI, 1),
            (Kind::Less, 0),
            (Kind::LoadI, 2),
            (Kind::Leave, 0),
        ],
        &[],
    );
    let [hot, _] = placed(&adding, Options::slots());
    assert_eq!(
        hot,
        [
            "LoadI_r01 [0]",
            "LoadI_r12 [1]",
            "Less_r21 [0]",
            "LoadI_r12 [2]",
            "Leave_r20 [0]",
        ]
    );
}
