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
    random_programs(0, 25, |_| Options::operands());
}

#[test]
fn operand_forms_with_gaps_do_what_the_uops_do() {
    random_programs(1 << 20, 200, |random| Options {
        missing: random.below(60) as u8,
        narrow: random.below(60) as u8,
        seed: random.word(),
        ..Options::operands()
    });
}

#[test]
fn slots_forms_do_what_the_uops_do() {
    random_programs(2 << 20, 100, |random| Options {
        missing: random.below(60) as u8,
        seed: random.word(),
        ..Options::slots()
    });
}

#[test]
fn tables_without_variants_give_base_forms() {
    random_programs(3 << 20, 5, |_| Options::base());
}
