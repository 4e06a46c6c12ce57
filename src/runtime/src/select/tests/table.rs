//! Tables of uops without code: the model machine knows what they do.

use super::generate::Random;
use crate::form::{Class, Form, Input, OperandForm, Register, RegisterSet};
use crate::stencil::{Count, StackEffect, StencilGroupBuf, UopFlags};
use crate::table::{StencilTable, TableContents, UopContents, VariantContents};

macro_rules! kinds {
    ($($kind:ident)*) => {
        /// What a uop does.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Kind { $($kind),* }

        impl Kind {
            pub(super) const ALL: &'static [Self] = &[$(Self::$kind),*];

            pub(super) fn name(self) -> &'static str {
                match self { $(Self::$kind => stringify!($kind)),* }
            }
        }
    };
}

kinds! {
    LoadI LoadF StoreI StoreF PeekMemory ConstI ConstF Dup Drop Swap
    Add Shift AddF ToF ToI Choose Less CheckedAdd Divide Guard JumpIf
    Sink Sink3 Call FailIf LeaveIf Jump Top Leave
}

use Kind::*;

impl Kind {
    /// How many values it takes, and how many it leaves on the way to the next uop.
    pub(super) fn effect(self) -> (usize, usize) {
        match self {
            LoadI | LoadF | PeekMemory | ConstI | ConstF => (0, 1),
            StoreI | StoreF | Drop | Sink | JumpIf | LeaveIf => (1, 0),
            Dup => (1, 2),
            Swap => (2, 2),
            Add | Shift | AddF | Less | CheckedAdd | Divide | Guard | Call => (2, 1),
            ToF | ToI | FailIf => (1, 1),
            Choose => (3, 1),
            Sink3 => (3, 0),
            Jump | Top | Leave => (0, 0),
        }
    }

    /// How many of the values it takes are there where it jumps.
    fn intact(self) -> Option<usize> {
        match self {
            CheckedAdd | Divide | Guard => Some(2),
            JumpIf | Jump => Some(0),
            FailIf => Some(1),
            _ => None,
        }
    }

    /// How deep the stack is where it jumps or fails.
    pub(super) fn leaving_depth(self, depth: usize) -> Option<usize> {
        Some(depth - self.effect().0 + self.intact()?)
    }

    /// The classes of what it takes and leaves, if it has operand forms.
    fn classes(self) -> Option<(&'static [Class], Option<Class>)> {
        use Class::{Float as F, General as G};
        Some(match self {
            LoadI => (&[], Some(G)),
            LoadF => (&[], Some(F)),
            StoreI | Sink | JumpIf => (&[G], None),
            StoreF => (&[F], None),
            Add | Shift | Less | CheckedAdd | Divide | Guard => (&[G, G], Some(G)),
            AddF => (&[F, F], Some(F)),
            ToF => (&[G], Some(F)),
            ToI => (&[F], Some(G)),
            Choose => (&[F, F, G], Some(F)),
            Sink3 => (&[G, G, F], None),
            _ => return None,
        })
    }

    pub(super) fn is_local(self) -> bool {
        matches!(self, LoadI | LoadF | StoreI | StoreF | PeekMemory)
    }

    pub(super) fn is_constant(self) -> bool {
        matches!(self, ConstI | ConstF)
    }

    pub(super) fn is_terminal(self) -> bool {
        matches!(self, Jump | Top | Leave)
    }

    pub(super) fn is_base_only(self) -> bool {
        matches!(self, PeekMemory | Call | FailIf | LeaveIf)
    }

    /// Whether it counts as something that was done.
    pub(super) fn is_noted(self) -> bool {
        self.intact().is_some() || matches!(self, Sink | Sink3 | Call | LeaveIf | Top | Leave)
    }

    fn flags(self) -> UopFlags {
        match self {
            LoadI | LoadF => UopFlags::LOADS_LOCAL | UopFlags::LOCAL | UopFlags::OPARG,
            StoreI | StoreF => UopFlags::STORES_LOCAL | UopFlags::LOCAL | UopFlags::OPARG,
            PeekMemory => UopFlags::LOCAL | UopFlags::OPARG,
            ConstI | ConstF => UopFlags::CONSTANT | UopFlags::OPERAND,
            Dup => UopFlags::COPIES,
            Drop => UopFlags::DROPS,
            Swap => UopFlags::SWAPS,
            CheckedAdd | Divide | Guard => UopFlags::DEOPT,
            JumpIf => UopFlags::JUMP,
            FailIf => UopFlags::ERROR,
            LeaveIf => UopFlags::EXIT_RECORD,
            Jump => UopFlags::JUMP | UopFlags::TERMINAL,
            Top => UopFlags::TOP | UopFlags::TERMINAL,
            Leave => UopFlags::EXIT_RECORD | UopFlags::TERMINAL,
            _ => UopFlags::empty(),
        }
    }

    /// The registers that its forms cannot have for placeholders.
    fn taken(self) -> RegisterSet {
        match self {
            // rcx
            Shift => RegisterSet(1 << 4),
            // rdx, and one of the temporaries of base forms
            Divide => RegisterSet(1 << 3 | 1 << 1),
            _ => RegisterSet(0),
        }
    }
}

/// The sequences that are fused.
const FUSED: &[&[Kind]] = &[
    &[Less, JumpIf],
    &[Add, Add],
    &[Add, Add, Add],
    &[Shift, CheckedAdd],
    &[CheckedAdd, Add],
    &[Add, StoreI],
    &[Guard, Add],
    &[Guard, Choose],
    &[AddF, AddF],
    &[AddF, ToI, Add],
    &[ToI, Sink],
    &[LoadI, Add],
    &[LoadI, LoadI, CheckedAdd],
    &[ConstI, Add, Less, JumpIf],
    &[Dup, Add],
    &[Swap, Divide],
    &[Sink, Sink],
    &[Call, Call],
    &[Add, Jump],
    &[Call, FailIf],
    &[Drop, LeaveIf],
];

/// Which variants a table has.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Options {
    pub(super) operands: bool,
    pub(super) slots: bool,
    /// How many of 100 variants are missing.
    pub(super) missing: u8,
    /// How many of 100 operand forms can have fewer registers than they might.
    pub(super) narrow: u8,
    pub(super) seed: u64,
}

impl Options {
    pub(super) fn base() -> Self {
        Self::default()
    }

    pub(super) fn operands() -> Self {
        Self {
            operands: true,
            ..Self::default()
        }
    }

    pub(super) fn slots() -> Self {
        Self {
            slots: true,
            ..Self::default()
        }
    }
}

pub(super) fn table(options: Options) -> StencilTable {
    let mut variants = Vec::new();
    let mut random = Random(options.seed);
    let singles = Kind::ALL.iter().map(std::slice::from_ref);
    let mut uops: Vec<UopContents> = Kind::ALL.iter().map(|&kind| uop(kind)).collect();
    for sequence in singles.chain(FUSED.iter().copied()) {
        let mut made = Vec::new();
        if options.operands {
            made.extend(operand_forms(sequence, options, &mut random));
        }
        if options.slots {
            made.extend(slots_forms(sequence));
        }
        for form in made {
            if random.below(100) < options.missing.into() {
                continue;
            }
            let mut made = variant(sequence.iter().map(|kind| kind.name()), form);
            if options.missing > 0 && sequence.len() > 1 && random.chance(5) {
                made.operand_max.fill(u64::MAX >> 1);
                made.operand1_max.fill(u64::MAX >> 1);
            }
            variants.push(made);
        }
    }
    if options.operands {
        for (name, effect, flags, forms) in plumbing() {
            uops.push(plain(name, effect, flags));
            variants.extend(
                forms
                    .into_iter()
                    .map(|form| variant([name].into_iter(), form)),
            );
        }
    }
    if options.slots {
        uops.push(plain("_SPILL", StackEffect::fixed(0, 0), UopFlags::empty()));
        for (registers_in, registers_out) in [(1, 0), (2, 0), (3, 0), (2, 1), (3, 1), (3, 2)] {
            let needed = registers_out == 0;
            if needed || random.below(100) >= options.missing.into() {
                variants.push(variant(
                    ["_SPILL"].into_iter(),
                    Form::Slots {
                        registers_in,
                        registers_out,
                    },
                ));
            }
        }
    }
    let contents = TableContents {
        set: "model".to_owned(),
        cpu: "x86-64".to_owned(),
        llvm_version: (0, 0, 0),
        digest: [0; 32],
        sources: [0; 32],
        symbols: Vec::new(),
        uops,
        variants,
    };
    let bytes = contents
        .to_bytes()
        .unwrap_or_else(|error| panic!("{error}"));
    StencilTable::from_bytes(bytes).unwrap()
}

fn plain(name: &str, effect: StackEffect, flags: UopFlags) -> UopContents {
    UopContents {
        name: name.to_owned(),
        effect,
        leaving_effect: effect,
        flags,
        oparg_max: u16::MAX.into(),
        operand_max: u64::MAX,
        operand1_max: u64::MAX,
        locals: 0,
        group: StencilGroupBuf::default(),
    }
}

fn uop(kind: Kind) -> UopContents {
    let (popped, pushed) = kind.effect();
    let effect = StackEffect::fixed(popped as u8, pushed as u8);
    let left = kind.intact().unwrap_or(pushed) as u8;
    UopContents {
        leaving_effect: StackEffect {
            popped: Count::fixed(popped as u8),
            pushed: Count::fixed(left),
        },
        ..plain(kind.name(), effect, kind.flags())
    }
}

fn variant<'a>(uops: impl Iterator<Item = &'a str>, form: Form) -> VariantContents {
    let uops: Vec<String> = uops.map(str::to_owned).collect();
    VariantContents {
        oparg_max: vec![u16::MAX.into(); uops.len()],
        operand_max: vec![u64::MAX; uops.len()],
        operand1_max: vec![u64::MAX; uops.len()],
        uops,
        form,
        group: StencilGroupBuf::default(),
        register_holes: Vec::new(),
    }
}

/// The classes of a sequence's inputs and of its output, how many inputs are intact where it jumps.
fn flow(sequence: &[Kind]) -> Option<(Vec<Class>, Option<Class>, usize)> {
    let mut inputs = Vec::new();
    let mut stack: Vec<Class> = Vec::new();
    let mut intact = None;
    for &kind in sequence {
        let (taken, left): (Vec<Class>, Vec<Class>) = match kind {
            ConstI => (vec![], vec![Class::General]),
            Dup => (vec![Class::General], vec![Class::General; 2]),
            Swap => (vec![Class::General; 2], vec![Class::General; 2]),
            kind => kind
                .classes()
                .map(|(taken, left)| (taken.to_vec(), left.into_iter().collect()))?,
        };
        // An input that is touched below what earlier uops left is the next lower one from outside.
        let missing = taken.len().saturating_sub(stack.len());
        inputs.splice(0..0, taken[..missing].iter().copied());
        stack.splice(0..0, taken[..missing].iter().copied());
        // Only values from outside can be intact, and only where nothing took them yet.
        if let Some(left) = kind.intact() {
            let depth = stack.len() - taken.len() + left;
            if intact.replace(depth).is_some() {
                return None;
            }
        }
        stack.truncate(stack.len() - taken.len());
        stack.extend(left);
    }
    if stack.len() > 1 || inputs.len() > 4 {
        return None;
    }
    Some((inputs, stack.pop(), intact.unwrap_or(0)))
}

/// Whether the intact values of a sequence are those that it took, in their places.
fn is_intact(sequence: &[Kind]) -> bool {
    let jumping = sequence.iter().position(|kind| kind.intact().is_some());
    jumping.is_none_or(|jumping| jumping == 0 || sequence[jumping].intact() == Some(0))
}

fn operand_forms(sequence: &[Kind], options: Options, random: &mut Random) -> Vec<Form> {
    match sequence {
        [ConstI] => {
            let output = Register::general(5);
            return [vec![Input::Signed32], vec![]]
                .map(|inputs| operand_form(inputs, output, 0, RegisterSet::ALL))
                .to_vec();
        }
        [ConstF] => {
            return vec![operand_form(
                vec![Input::Pooled],
                Register::float(4),
                0,
                RegisterSet::ALL,
            )];
        }
        _ => {}
    }
    let Some((classes, output, intact)) = flow(sequence).filter(|_| is_intact(sequence)) else {
        return Vec::new();
    };
    let mut forms = Vec::new();
    for constant in 0..=classes.len() {
        let mut next = [5, 4];
        let mut place = |class: Class| {
            let number = &mut next[class as usize];
            *number += 1;
            // General r8, r9, r11, then r15; float xmm4 to xmm7.
            let index = if *number == 9 { 0 } else { *number - 1 };
            Register::of_class(class, index)
        };
        let mut inputs = Vec::new();
        for (input, &class) in classes.iter().enumerate() {
            inputs.push(match (input == constant, class) {
                (false, class) => Input::Register(place(class).unwrap()),
                (true, Class::General) if sequence == [Shift] && input == 1 => Input::Unsigned(6),
                (true, Class::General) => Input::Signed32,
                (true, Class::Float) => Input::Pooled,
            });
        }
        let mut outputs = vec![output.and_then(&mut place)];
        outputs.extend(inputs.iter().filter_map(|input| match input {
            Input::Register(register) if Some(register.class()) == output => Some(Some(*register)),
            _ => None,
        }));
        for output in outputs {
            let mut renameable = sequence.iter().fold(RegisterSet::ALL, |set, kind| {
                RegisterSet(set.0 & !kind.taken().0)
            });
            let is_local = sequence.len() == 1 && sequence[0].is_local();
            if !is_local && random.below(100) < options.narrow.into() {
                renameable.0 &= random.word() as u16;
            }
            forms.push(operand_form(inputs.clone(), output, intact, renameable));
        }
    }
    forms
}

fn operand_form(
    inputs: Vec<Input>,
    output: Option<Register>,
    intact: usize,
    renameable: RegisterSet,
) -> Form {
    let placeholders = inputs.iter().filter_map(|input| match input {
        Input::Register(register) => Some(*register),
        _ => None,
    });
    // The registers that the form has are always among those that it can have.
    let renameable = placeholders
        .chain(output)
        .fold(renameable, RegisterSet::with);
    Form::Operands(OperandForm {
        inputs,
        output,
        intact: intact as u8,
        renameable,
    })
}

fn slots_forms(sequence: &[Kind]) -> Vec<Form> {
    let mut forms = Vec::new();
    for registers_in in 0..=3usize {
        let mut held = registers_in;
        let mut fits = true;
        for kind in sequence {
            let (popped, pushed) = kind.effect();
            held = held.saturating_sub(popped) + pushed;
            // A uop that calls leaves nothing in registers.
            if matches!(kind, Call | FailIf) {
                held = 0;
            }
            fits &= held <= 3;
        }
        if sequence.last().is_some_and(|kind| kind.is_terminal()) {
            held = 0;
        }
        let forms_anything = registers_in != 0 || held != 0 || sequence.len() > 1;
        if fits && forms_anything {
            forms.push(Form::Slots {
                registers_in: registers_in as u8,
                registers_out: held as u8,
            });
        }
    }
    forms
}

type Plumbing = (&'static str, StackEffect, UopFlags, Vec<Form>);

fn plumbing() -> Vec<Plumbing> {
    let none = StackEffect::fixed(0, 0);
    let form =
        |inputs: &[Input], output| operand_form(inputs.to_vec(), output, 0, RegisterSet::ALL);
    let mut plumbing = vec![
        (
            "_ADJUST_STACK",
            none,
            UopFlags::OPARG,
            vec![form(&[], None)],
        ),
        (
            "_JUMP",
            none,
            UopFlags::JUMP | UopFlags::TERMINAL,
            vec![form(&[], None)],
        ),
        ("_LEAVE", none, UopFlags::TERMINAL, vec![form(&[], None)]),
    ];
    let names = [
        (Class::General, ["_MOVE_I64", "_SPILL_I64", "_RELOAD_I64"]),
        (Class::Float, ["_MOVE_F64", "_SPILL_F64", "_RELOAD_F64"]),
    ];
    for (class, [copy, spill, reload]) in names {
        let [first, second] = [5, 6].map(|index| Register::of_class(class, index).unwrap());
        let input = Input::Register(first);
        let (pop, push) = (StackEffect::fixed(1, 0), StackEffect::fixed(0, 1));
        let mut spills = vec![form(&[input], None)];
        if class == Class::General {
            spills.push(form(&[Input::Signed32], None));
        }
        plumbing.push((
            copy,
            StackEffect::fixed(1, 1),
            UopFlags::empty(),
            vec![form(&[input], Some(second))],
        ));
        plumbing.push((spill, pop, UopFlags::OPARG, spills));
        plumbing.push((reload, push, UopFlags::OPARG, vec![form(&[], Some(first))]));
    }
    plumbing
}
