//! The model machine: in place of the assembler, it keeps what is placed; then it runs that as the forms promise.

use super::table::Kind;
use super::{Flow, LabelId, Register, World};
use crate::assemble::{Arguments, Renaming, StencilId, UopArguments};
use crate::executor::ExitInfo;
use crate::form::{Form, Input, MAX_INPUTS, OperandForm, RegisterSet};
use crate::select::Assemble;
use crate::table::StencilTable;
use std::fmt;

use super::generate::Random;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    /// The position of the uop through whose exit it was left, if it was not cut off.
    pub(super) exit: Option<u32>,
    pub(super) stack: Vec<u64>,
    pub(super) world: World,
}

/// A stencil that was placed.
#[derive(Clone)]
pub(super) struct Placed {
    /// The names of the uops.
    pub(super) names: Vec<String>,
    /// `None` for a base form.
    pub(super) form: Option<Form>,
    pub(super) renaming: Renaming,
    pub(super) uops: Vec<UopArguments>,
    pub(super) inputs: [u64; MAX_INPUTS],
    jump: LabelId,
    error: LabelId,
    exit: u32,
}

impl fmt::Debug for Placed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.names.join("+"))?;
        match &self.form {
            None => {}
            Some(Form::Slots {
                registers_in,
                registers_out,
            }) => write!(f, "_r{registers_in}{registers_out}")?,
            Some(Form::Operands(form)) => {
                for (input, bits) in form.inputs.iter().zip(self.inputs) {
                    match input {
                        Input::Register(register) => write!(f, " {}", self.renaming.of(*register))?,
                        _ => write!(f, " {bits:#x}")?,
                    }
                }
                if let Some(output) = form.output {
                    write!(f, " -> {}", self.renaming.of(output))?;
                }
            }
        }
        let opargs: Vec<u32> = self.uops.iter().map(|uop| uop.oparg).collect();
        write!(f, " {opargs:?} jump {:?}", self.jump)
    }
}

#[derive(Debug)]
pub(super) struct Model<'t> {
    table: &'t StencilTable,
    /// Hot, then cold.
    pub(super) code: [Vec<Placed>; 2],
    in_cold: bool,
    labels: Vec<Option<(usize, usize)>>,
    leave: Option<LabelId>,
    top: Option<LabelId>,
    exits: Vec<ExitInfo>,
}

impl<'t> Model<'t> {
    pub(super) fn new(table: &'t StencilTable) -> Self {
        Self {
            table,
            code: Default::default(),
            in_cold: false,
            labels: Vec::new(),
            leave: None,
            top: None,
            exits: Vec::new(),
        }
    }

    /// What was placed, without what is said of labels.
    pub(super) fn lines(&self, region: usize) -> Vec<String> {
        let line = |placed: &Placed| {
            let line = format!("{placed:?}");
            line.split(" jump").next().unwrap_or_default().to_owned()
        };
        self.code[region].iter().map(line).collect()
    }
}

impl Assemble for Model<'_> {
    fn label(&mut self) -> LabelId {
        self.labels.push(None);
        LabelId::new(self.labels.len() as u32 - 1)
    }

    fn bind(&mut self, label: LabelId) {
        let region = usize::from(self.in_cold);
        let place = &mut self.labels[label.index()];
        assert_eq!(*place, None, "{label:?} is bound twice");
        *place = Some((region, self.code[region].len()));
    }

    fn place(&mut self, stencil: StencilId, renaming: Renaming, arguments: &Arguments<'_>) {
        let index = stencil.index();
        let name = |uop| self.table.uop(uop).name.to_owned();
        let (names, form) = match self.table.uops().nth(index) {
            Some(uop) => (vec![name(uop)], None),
            None => {
                let id = self.table.variants().nth(index - self.table.uop_count());
                let variant = self.table.variant(id.expect("a stencil of the table"));
                for (element, uop) in arguments.uops.iter().enumerate() {
                    assert!(uop.oparg <= variant.oparg_max(element));
                    assert!(uop.operand <= variant.operand_max(element));
                    assert!(uop.operand1 <= variant.operand1_max(element));
                }
                let names = variant.uops.iter().map(|&uop| name(uop)).collect();
                (names, Some(variant.form.clone()))
            }
        };
        assert_eq!(names.len(), arguments.uops.len());
        self.code[usize::from(self.in_cold)].push(Placed {
            names,
            form,
            renaming,
            uops: arguments.uops.to_vec(),
            inputs: arguments.inputs,
            jump: arguments.jump,
            error: arguments.error,
            exit: arguments.exit,
        });
    }

    fn begin_cold(&mut self) {
        self.in_cold = true;
    }

    fn set_leave(&mut self, label: LabelId) {
        self.leave = Some(label);
    }

    fn set_top(&mut self, label: LabelId) {
        self.top = Some(label);
    }

    fn exit(&mut self, exit: ExitInfo) -> u32 {
        self.exits.push(exit);
        self.exits.len() as u32 - 1
    }
}

/// The registers, the stack in memory, and everything else.
struct Machine<'r> {
    registers: [u64; Register::COUNT as usize],
    memory: Vec<u64>,
    stack_pointer: usize,
    world: World,
    random: &'r mut Random,
}

impl Model<'_> {
    /// Runs what was placed.
    pub(super) fn run(
        &self,
        world: World,
        stack: &[u64],
        room: usize,
        random: &mut Random,
    ) -> Outcome {
        let mut memory: Vec<u64> = (0..room).map(|_| random.word()).collect();
        memory[..stack.len()].copy_from_slice(stack);
        let mut machine = Machine {
            registers: std::array::from_fn(|_| random.word()),
            memory,
            stack_pointer: stack.len(),
            world,
            random,
        };
        let mut at = (0, 0);
        loop {
            let placed = self.code[at.0]
                .get(at.1)
                .expect("control stays inside the code");
            let label = match self.step(&mut machine, placed) {
                Flow::Next => {
                    at.1 += 1;
                    continue;
                }
                Flow::Jump => placed.jump,
                Flow::Error => placed.error,
                Flow::Top => self.top.expect("a top"),
                Flow::Exit => {
                    machine.registers[0] = placed.exit.into();
                    match (self.leave, placed.names[0].as_str()) {
                        (Some(leave), _) => leave,
                        (None, _) => return self.outcome(machine),
                    }
                }
                Flow::Cut if placed.names == ["_LEAVE"] => return self.outcome(machine),
                Flow::Cut => {
                    return Outcome {
                        exit: None,
                        stack: Vec::new(),
                        world: machine.world,
                    };
                }
            };
            at = self.labels[label.index()].expect("labels that are used are bound");
        }
    }

    fn outcome(&self, machine: Machine<'_>) -> Outcome {
        let exit = &self.exits[machine.registers[0] as usize];
        assert_eq!(exit.depth, Some(machine.stack_pointer as u32));
        Outcome {
            exit: Some(exit.uop),
            stack: machine.memory[..machine.stack_pointer].to_vec(),
            world: machine.world,
        }
    }

    fn step(&self, machine: &mut Machine<'_>, placed: &Placed) -> Flow {
        if let Some(name) = placed.names[0].strip_prefix('_') {
            return machine.plumbing(name, placed);
        }
        match &placed.form {
            None => machine.slots(placed, 0, 0, true),
            Some(Form::Slots {
                registers_in,
                registers_out,
            }) => machine.slots(
                placed,
                (*registers_in).into(),
                (*registers_out).into(),
                false,
            ),
            Some(Form::Operands(form)) => machine.operands(placed, form),
        }
    }
}

impl Machine<'_> {
    /// The actual register of a placeholder.
    fn actual(placed: &Placed, form: &OperandForm, placeholder: Register) -> usize {
        let actual = placed.renaming.of(placeholder);
        assert_eq!(actual.class(), placeholder.class(), "{placed:?}");
        assert!(
            form.renameable.contains(actual),
            "{placed:?} cannot have {actual}"
        );
        actual.as_u8().into()
    }

    fn plumbing(&mut self, name: &str, placed: &Placed) -> Flow {
        let uop = placed.uops[0];
        let slot = (self.stack_pointer as i64 + i64::from(uop.oparg) - 32768) as usize;
        if let Some(Form::Slots {
            registers_in,
            registers_out,
        }) = placed.form
        {
            assert_eq!(name, "SPILL");
            return self.slots_with(
                registers_in.into(),
                registers_out.into(),
                |_, _| Flow::Next,
                false,
            );
        }
        let Some(Form::Operands(form)) = &placed.form else {
            panic!("plumbing has operand forms: {placed:?}");
        };
        let input = match form.inputs.first() {
            Some(Input::Register(register)) => {
                Some(self.registers[Self::actual(placed, form, *register)])
            }
            Some(constant) => {
                assert!(constant.accepts(placed.inputs[0]));
                Some(placed.inputs[0])
            }
            None => None,
        };
        let output = match name {
            "MOVE_I64" | "MOVE_F64" => input,
            "RELOAD_I64" | "RELOAD_F64" => Some(self.memory[slot]),
            "SPILL_I64" | "SPILL_F64" => {
                self.memory[slot] = input.unwrap();
                None
            }
            "ADJUST_STACK" => {
                assert!(slot <= self.memory.len());
                self.stack_pointer = slot;
                None
            }
            "JUMP" => return Flow::Jump,
            // Leaving is told from being cut off by the name.
            "LEAVE" => return Flow::Cut,
            name => panic!("{name}"),
        };
        if let (Some(register), Some(value)) = (form.output, output) {
            self.registers[Self::actual(placed, form, register)] = value;
        }
        Flow::Next
    }

    fn operands(&mut self, placed: &Placed, form: &OperandForm) -> Flow {
        let kinds = kinds(placed);
        let is_itself = kinds.len() == 1 && matches!(kinds[0], Kind::ConstI | Kind::ConstF);
        let mut stack = Vec::new();
        let mut used = RegisterSet(0);
        for (input, &bits) in form.inputs.iter().zip(&placed.inputs) {
            match input {
                Input::Register(register) => {
                    let actual = Self::actual(placed, form, *register);
                    let is_output = form.output == Some(*register);
                    if !is_output {
                        used = used.with(Register::from_u8(actual as u8).unwrap());
                    }
                    stack.push(self.registers[actual]);
                }
                constant => {
                    assert!(constant.accepts(bits), "{placed:?}");
                    if !is_itself {
                        stack.push(bits);
                    }
                }
            }
        }
        let taken = stack.clone();
        let operand_of = |element: usize| match is_itself && !form.inputs.is_empty() {
            true => placed.inputs[0],
            false => placed.uops[element].operand,
        };
        for (element, &kind) in kinds.iter().enumerate() {
            let flow = self.world.run(
                kind,
                &mut stack,
                placed.uops[element].oparg,
                operand_of(element),
            );
            if flow != Flow::Next {
                if flow == Flow::Jump {
                    assert_eq!(stack, taken[..form.intact.into()], "{placed:?}");
                }
                return flow;
            }
        }
        if let Some(output) = form.output {
            let actual = Self::actual(placed, form, output);
            let shared = used.contains(Register::from_u8(actual as u8).unwrap());
            assert!(
                !shared,
                "the output shares a register with an input: {placed:?}"
            );
            self.registers[actual] = stack.pop().unwrap();
        }
        assert!(stack.is_empty(), "{placed:?}");
        Flow::Next
    }

    fn slots(&mut self, placed: &Placed, held: usize, left: usize, is_base: bool) -> Flow {
        let kinds = kinds(placed);
        let run = |world: &mut World, stack: &mut Vec<u64>| {
            for (&kind, uop) in kinds.iter().zip(&placed.uops) {
                let flow = world.run(kind, stack, uop.oparg, uop.operand);
                if flow != Flow::Next {
                    return flow;
                }
            }
            Flow::Next
        };
        self.slots_with(held, left, run, is_base)
    }

    fn slots_with(
        &mut self,
        held: usize,
        left: usize,
        run: impl FnOnce(&mut World, &mut Vec<u64>) -> Flow,
        is_base: bool,
    ) -> Flow {
        let mut stack = self.memory[..self.stack_pointer].to_vec();
        stack.extend_from_slice(&self.registers[..held]);
        let flow = run(&mut self.world, &mut stack);
        // What the convention does not keep is lost.
        for register in 0..3 {
            self.registers[register] = self.random.word();
            if is_base {
                self.registers[8 + register] = self.random.word();
            }
        }
        let left = if flow == Flow::Next { left } else { 0 };
        let in_memory = stack.len() - left;
        self.registers[..left].copy_from_slice(&stack[in_memory..]);
        self.memory[..in_memory].copy_from_slice(&stack[..in_memory]);
        self.stack_pointer = in_memory;
        flow
    }
}

fn kinds(placed: &Placed) -> Vec<Kind> {
    let kind = |name: &String| *Kind::ALL.iter().find(|kind| kind.name() == name).unwrap();
    placed.names.iter().map(kind).collect()
}
