//! What registers hold, by abstract interpretation over the control-flow graph: values are sums of what registers held on
//! entry and of what fills holes, modulo 2^64. So a copy is known for what it is, wherever it is kept, and so is a
//! value to which something was added and taken away again. Everything else that a stencil computes is just defined.
//!
//! Where ways meet, what differs between them is no longer known; so each register's knowledge only ever shrinks, and
//! the interpretation ends.

use super::Checker;
use super::frame::{Frame, deepens};
use super::graph::{Filled, Graph, Node, Place, Target};
use super::instruction::{Field, is_callee_saved, is_write, memory_access};
use super::violation::{VerifyError, Violation};
use iced_x86::{
    Instruction, InstructionInfoFactory, MemorySize, Mnemonic, OpAccess, OpKind, Register,
};
use mimeo::hole::HoleValue;
use mimeo::reloc::RelocationKind;
use std::collections::BTreeMap;
use std::rc::Rc;

/// A 64-bit register, or the low half of a vector register: 0..16 by their numbers, 16..32.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Location(u8);

impl Location {
    const COUNT: usize = 32;

    pub(super) const R12: Self = Self(12);
    pub(super) const R13: Self = Self(13);
    pub(super) const R14: Self = Self(14);
    pub(super) const R15: Self = Self(15);

    /// Where a value register is.
    pub(super) fn of(register: mimeo::form::Register) -> Self {
        match register.class() {
            mimeo::form::Class::General => Self(register.encoding()),
            mimeo::form::Class::Float => Self(16 + register.encoding()),
        }
    }

    /// The location that a register of any width is part of.
    fn part_of(register: Register) -> Option<Self> {
        let full = register.full_register();
        match () {
            () if register.is_gpr() => Some(Self(full.number() as u8)),
            () if register.is_vector_register() && full.number() < 16 => {
                Some(Self(16 + full.number() as u8))
            }
            () => None,
        }
    }

    /// The location that a register is as a whole: 64 bits of a general register, or a vector register.
    pub(super) fn whole(register: Register) -> Option<Self> {
        match register.is_gpr64() || register.is_xmm() {
            true => Self::part_of(register),
            false => None,
        }
    }

    fn is_vector(self) -> bool {
        self.0 >= 16
    }

    fn register(self) -> Register {
        match self.is_vector() {
            true => Register::XMM0 + u32::from(self.0 - 16),
            false => Register::RAX + u32::from(self.0),
        }
    }

    /// The name in assembly.
    pub(super) fn name(self) -> String {
        format!("{:?}", self.register()).to_lowercase()
    }
}

/// What a value is a multiple of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Atom {
    /// What this location held on entry.
    Entry(u8),
    /// What fills a hole: its value, element, symbol and shift.
    Hole(HoleValue, u8, u32, u8),
}

/// A sum of multiples, modulo 2^64: ascending, without multiples of 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    terms: Vec<(Atom, i64)>,
    constant: i64,
}

impl Sum {
    fn constant(constant: i64) -> Self {
        Self {
            terms: Vec::new(),
            constant,
        }
    }

    fn atom(atom: Atom) -> Self {
        Self {
            terms: vec![(atom, 1)],
            constant: 0,
        }
    }

    /// The value of a hole's field but for its own address.
    fn filled(filled: &Filled<'_>) -> Self {
        let hole = filled.hole;
        let atom = Atom::Hole(hole.value(), hole.element(), hole.symbol(), hole.shift());
        Self {
            constant: filled.beyond_value(),
            ..Self::atom(atom)
        }
    }

    fn plus(&self, other: &Self) -> Self {
        let mut terms = self.terms.clone();
        for &(atom, count) in &other.terms {
            match terms.binary_search_by_key(&atom, |&(atom, _)| atom) {
                Ok(index) => terms[index].1 = terms[index].1.wrapping_add(count),
                Err(index) => terms.insert(index, (atom, count)),
            }
        }
        terms.retain(|&(_, count)| count != 0);
        Self {
            terms,
            constant: self.constant.wrapping_add(other.constant),
        }
    }

    fn times(&self, factor: i64) -> Self {
        let terms = self.terms.iter();
        let terms = terms.map(|&(atom, count)| (atom, count.wrapping_mul(factor)));
        Self {
            terms: terms.filter(|&(_, count)| count != 0).collect(),
            constant: self.constant.wrapping_mul(factor),
        }
    }
}

/// What is known of 64 bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// Something that nobody put there: a C function may have left anything.
    Undefined,
    /// Something that was put there.
    Defined,
    Sum(Rc<Sum>),
}

impl Value {
    fn entry(location: Location) -> Self {
        Self::of(Sum::atom(Atom::Entry(location.0)))
    }

    fn of(sum: Sum) -> Self {
        Self::Sum(Rc::new(sum))
    }

    fn sum(&self) -> Option<&Sum> {
        match self {
            Self::Sum(sum) => Some(sum),
            Self::Undefined | Self::Defined => None,
        }
    }

    /// Whether this is what the location held on entry.
    pub(super) fn is_entry_of(&self, location: Location) -> bool {
        self.above_entry_of(location) == Some(0)
    }

    /// By how much this is more than what the location held on entry, if it is so by a constant.
    pub(super) fn above_entry_of(&self, location: Location) -> Option<i64> {
        let sum = self.sum()?;
        (sum.terms == [(Atom::Entry(location.0), 1)]).then_some(sum.constant)
    }

    /// Whether this is what r13 held on entry, moved to the stack slot that the oparg of the uop `element` says.
    pub(super) fn is_adjusted_stack(&self, element: u8) -> bool {
        let oparg = Sum::atom(Atom::Hole(HoleValue::Oparg, element, 0, 3));
        let slot = oparg.plus(&Sum::constant(-SLOT_BIAS * WORD));
        let expected = Sum::atom(Atom::Entry(Location::R13.0)).plus(&slot);
        self.sum() == Some(&expected)
    }

    /// Whether this is the unshifted value of a hole, for the element.
    pub(super) fn is_hole(&self, value: HoleValue, element: u8) -> bool {
        let expected = Sum::atom(Atom::Hole(value, element, 0, 0));
        self.sum() == Some(&expected)
    }

    /// Whether this depends on something that nobody put there.
    pub(super) fn is_undefined(&self, live: Live) -> bool {
        match self {
            Self::Undefined => true,
            Self::Defined => false,
            Self::Sum(sum) => sum.terms.iter().any(|&(atom, _)| match atom {
                Atom::Entry(location) => !live.contains(Location(location)),
                Atom::Hole(..) => false,
            }),
        }
    }

    /// What is known where two ways meet; whether that is less than it was.
    fn join(&mut self, other: &Self, live: Live) -> bool {
        if self == other {
            return false;
        }
        let joined = match self.is_undefined(live) || other.is_undefined(live) {
            true => Self::Undefined,
            false => Self::Defined,
        };
        let changed = *self != joined;
        *self = joined;
        changed
    }
}

/// The locations that hold something of the stencil's own on entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Live(u32);

impl Live {
    /// What every stencil is entered with: frame, stack pointer and thread, and the two registers of the machine's stack.
    pub(super) const ALWAYS: Self = Self(1 << 12 | 1 << 13 | 1 << 14 | 1 << 4 | 1 << 5);

    pub(super) fn with(self, location: Location) -> Self {
        Self(self.0 | 1 << location.0)
    }

    fn contains(self, location: Location) -> bool {
        self.0 & 1 << location.0 != 0
    }
}

/// What registers and the stencil's own frame hold between two instructions.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct State {
    locations: [Value; Location::COUNT],
    /// Words of the frame whose contents are known, by their distance from where rsp was on entry.
    slots: BTreeMap<i64, Value>,
}

impl State {
    pub(super) fn at_entry() -> Self {
        Self {
            locations: std::array::from_fn(|number| Value::entry(Location(number as u8))),
            slots: BTreeMap::new(),
        }
    }

    pub(super) fn get(&self, location: Location) -> &Value {
        &self.locations[usize::from(location.0)]
    }

    fn set(&mut self, location: Location, value: Value) {
        self.locations[usize::from(location.0)] = value;
    }

    /// Forgets what another way to the same place does not agree with; whether there was anything.
    fn join(&mut self, other: &Self, live: Live) -> bool {
        let mut changed = false;
        for (value, other) in self.locations.iter_mut().zip(&other.locations) {
            changed |= value.join(other, live);
        }
        let before = self.slots.len();
        self.slots
            .retain(|place, value| other.slots.get(place) == Some(value));
        changed | (self.slots.len() != before)
    }

    /// Forgets the words of the frame that these bytes are part of.
    fn overwrite_slots(&mut self, start: i64, size: i64) {
        self.slots
            .retain(|&place, _| place + WORD <= start || start + size <= place);
    }
}

/// The oparg of the stack slot that r13 points at.
const SLOT_BIAS: i64 = 32768;

/// The size of a stack slot, and of what push and pop move, in bytes.
const WORD: i64 = 8;

/// What is held in front of every instruction.
pub(super) struct Values<'a> {
    states: BTreeMap<Place, State>,
    frames: &'a BTreeMap<Place, Frame>,
    live: Live,
    /// Whether an address in the frame is taken: then what the frame holds is anybody's.
    escapes: bool,
}

impl Checker<'_> {
    /// What registers hold, everywhere. `live` are those that hold something of the stencil's own on entry.
    pub(super) fn values<'a>(
        &self,
        graph: &Graph<'_>,
        frames: &'a BTreeMap<Place, Frame>,
        live: Live,
    ) -> Values<'a> {
        let mut values = Values {
            states: BTreeMap::new(),
            frames,
            live,
            escapes: graph.nodes().any(|node| takes_address(&node.instruction)),
        };
        let mut pending = vec![(graph.entry, State::at_entry())];
        while let Some((target, state)) = pending.pop() {
            let Target::Inside(place) = target else {
                continue;
            };
            let Some(node) = graph.get(place) else {
                continue;
            };
            let changed = match values.states.get_mut(&place) {
                Some(known) => known.join(&state, live),
                None => {
                    values.states.insert(place, state);
                    true
                }
            };
            if changed && let Some(after) = values.after(node) {
                pending.extend(node.targets().map(|target| (target, after.clone())));
            }
        }
        values
    }

    /// No instruction uses what nobody put there: a register that holds nothing of the stencil's on entry, or that a C
    /// function has left. Copying it is no use.
    pub(super) fn only_live_registers_are_read(
        &self,
        graph: &Graph<'_>,
        values: &Values<'_>,
    ) -> Result<(), VerifyError> {
        for node in graph.nodes() {
            let Some(state) = values.states.get(&node.place) else {
                continue;
            };
            let used = reads(&node.instruction).into_iter();
            let undefined = used
                .filter(|_| copied(&node.instruction).is_none())
                .find(|&location| state.get(location).is_undefined(values.live));
            if let Some(location) = undefined {
                let register = location.name();
                return Err(self.error_at(node, Violation::UndefinedRegister { register }));
            }
        }
        Ok(())
    }
}

/// Whether an instruction puts an address in the frame where it can be used later.
fn takes_address(instruction: &Instruction) -> bool {
    let adjusts = instruction.op0_register() == Register::RSP;
    let lea = instruction.mnemonic() == Mnemonic::Lea
        && instruction.memory_base().full_register() == Register::RSP;
    let named = (0..instruction.op_count()).any(|operand| {
        instruction.op_kind(operand) == OpKind::Register
            && instruction.op_register(operand).full_register() == Register::RSP
    });
    !adjusts && (lea || named)
}

/// The locations whose contents an instruction uses.
fn reads(instruction: &Instruction) -> Vec<Location> {
    let mut factory = InstructionInfoFactory::new();
    let used = factory.info(instruction).used_registers().iter();
    // A conditional move keeps what is there, or not.
    let keeps = |access| {
        access == OpAccess::CondWrite
            && instruction.condition_code() != iced_x86::ConditionCode::None
    };
    used.filter(|used| match used.access() {
        OpAccess::Read | OpAccess::CondRead => true,
        OpAccess::ReadWrite | OpAccess::ReadCondWrite => {
            !(used.register().is_vector_register() && replaces_low_half(instruction.mnemonic()))
        }
        access => keeps(access),
    })
    .filter_map(|used| Location::part_of(used.register()))
    .collect()
}

/// Whether an instruction that keeps a vector register's high bits replaces the low ones.
fn replaces_low_half(mnemonic: Mnemonic) -> bool {
    use Mnemonic::*;
    matches!(
        mnemonic,
        Movsd | Movlpd | Sqrtsd | Roundsd | Cvtsi2sd | Cvtss2sd
    )
}

/// What a copying instruction moves: 64 bits as they are.
#[derive(Clone, Copy)]
enum Copied {
    Move(Destination, Destination),
    Exchange(Location, Location),
    Push(Location),
    Pop(Location),
}

/// Where 64 bits are copied to or from.
#[derive(Clone, Copy)]
enum Destination {
    Location(Location),
    /// So many bytes above rsp.
    Frame(i64),
}

/// What an instruction copies, if that is all it does.
fn copied(instruction: &Instruction) -> Option<Copied> {
    use Mnemonic::*;
    let whole = |operand| {
        (instruction.op_kind(operand) == OpKind::Register)
            .then(|| Location::whole(instruction.op_register(operand)))
            .flatten()
    };
    let in_frame = instruction.memory_base() == Register::RSP
        && instruction.memory_index() == Register::None
        && matches!(
            instruction.memory_size(),
            MemorySize::UInt64 | MemorySize::Int64 | MemorySize::Float64
        );
    let side = |operand| match instruction.op_kind(operand) {
        OpKind::Memory if in_frame => {
            let above = instruction.memory_displacement64() as i64;
            Some(Destination::Frame(above))
        }
        _ => whole(operand).map(Destination::Location),
    };
    match instruction.mnemonic() {
        Mov | Movsd | Movq if instruction.op_count() == 2 => Some(Copied::Move(side(0)?, side(1)?)),
        Movaps | Movapd | Movups | Movupd | Movdqa | Movdqu => {
            let (to, from) = (whole(0)?, whole(1)?);
            Some(Copied::Move(
                Destination::Location(to),
                Destination::Location(from),
            ))
        }
        Xchg => Some(Copied::Exchange(whole(0)?, whole(1)?)),
        Push => Some(Copied::Push(whole(0)?)),
        Pop => Some(Copied::Pop(whole(0)?)),
        _ => None,
    }
}

impl Values<'_> {
    /// Whether what the frame holds may be changed by others.
    pub(super) fn frame_escapes(&self) -> bool {
        self.escapes
    }

    /// What is held behind an instruction, if control gets to it.
    pub(super) fn after(&self, node: &Node<'_>) -> Option<State> {
        let before = self.states.get(&node.place)?;
        let depth = self.frames.get(&node.place)?.depth;
        let mut after = before.clone();
        if node.is_call() {
            leave_what_is_kept(&mut after);
        } else {
            match copied(&node.instruction) {
                Some(copied) => self.copy(copied, depth, before, &mut after),
                None => self.compute(node, depth, before, &mut after),
            }
        }
        if self.escapes {
            after.slots.clear();
        }
        Some(after)
    }

    fn copy(&self, copied: Copied, depth: i64, before: &State, after: &mut State) {
        let slot = |place: i64| before.slots.get(&place).cloned().unwrap_or(Value::Defined);
        match copied {
            Copied::Move(to, from) => {
                let value = match from {
                    Destination::Location(from) => before.get(from).clone(),
                    Destination::Frame(above) => slot(above - depth),
                };
                match to {
                    Destination::Location(to) => after.set(to, value),
                    Destination::Frame(above) => {
                        after.overwrite_slots(above - depth, WORD);
                        after.slots.insert(above - depth, value);
                    }
                }
            }
            Copied::Exchange(one, other) => {
                after.set(one, before.get(other).clone());
                after.set(other, before.get(one).clone());
            }
            Copied::Push(from) => {
                let place = -depth - WORD;
                after.overwrite_slots(place, WORD);
                after.slots.insert(place, before.get(from).clone());
            }
            Copied::Pop(to) => {
                after.set(to, slot(-depth));
                after.overwrite_slots(-depth, WORD);
            }
        }
    }

    /// An instruction that does more than to copy.
    fn compute(&self, node: &Node<'_>, depth: i64, before: &State, after: &mut State) {
        let instruction = &node.instruction;
        let mut factory = InstructionInfoFactory::new();
        for used in factory.info(instruction).used_registers() {
            if is_write(used.access())
                && let Some(location) = Location::part_of(used.register())
            {
                after.set(location, Value::Defined);
            }
        }
        if let Some((location, sum)) = linear(node, before) {
            after.set(location, Value::of(sum));
        }
        let access = memory_access(instruction).filter(|access| access.writes);
        if let Some(access) = access
            && instruction.memory_base().full_register() == Register::RSP
        {
            let above = instruction.memory_displacement64() as i64;
            after.overwrite_slots(above - depth, access.size);
        }
        if instruction.mnemonic() == Mnemonic::Push {
            after.overwrite_slots(-depth - WORD, WORD);
        }
        // Where the frame shrinks, what is below it is lost.
        let deeper = deepens(node).unwrap_or(-depth);
        after.slots.retain(|&place, _| place >= -(depth + deeper));
    }
}

/// Behind a call: a C function keeps what the ABI says, leaves a result, and anything elsewhere.
fn leave_what_is_kept(state: &mut State) {
    for number in 0..Location::COUNT as u8 {
        let location = Location(number);
        let is_result = matches!(
            location.register(),
            Register::RAX | Register::RDX | Register::XMM0 | Register::XMM1
        );
        match () {
            () if is_result => state.set(location, Value::Defined),
            () if is_callee_saved(location.register()) => {}
            () if location.register() == Register::RSP => {}
            () => state.set(location, Value::Undefined),
        }
    }
}

/// The location and the sum, where an instruction computes one: additions and the like of 64 bits, and constants.
fn linear(node: &Node<'_>, before: &State) -> Option<(Location, Sum)> {
    let instruction = &node.instruction;
    if instruction.op_count() == 0 || instruction.op0_kind() != OpKind::Register {
        return None;
    }
    let register = instruction.op0_register();
    let location = Location::part_of(register)?;
    let is_64_bit = register.is_gpr64();
    let old = || before.get(location).sum();
    let same = instruction.op_count() == 2
        && instruction.op1_kind() == OpKind::Register
        && instruction.op1_register() == register;
    let sum = match instruction.mnemonic() {
        // Whatever was there; a 32-bit result clears the high half.
        Mnemonic::Xor | Mnemonic::Sub if same && (is_64_bit || register.is_gpr32()) => {
            Sum::constant(0)
        }
        Mnemonic::Mov if is_64_bit => constant(node)?,
        Mnemonic::Mov if register.is_gpr32() => constant(node)?,
        Mnemonic::Lea if is_64_bit => address(node, before)?,
        Mnemonic::Add if is_64_bit => old()?.plus(&addend(node, before)?),
        Mnemonic::Sub if is_64_bit => old()?.plus(&addend(node, before)?.times(-1)),
        Mnemonic::Inc if is_64_bit => old()?.plus(&Sum::constant(1)),
        Mnemonic::Dec if is_64_bit => old()?.plus(&Sum::constant(-1)),
        Mnemonic::Neg if is_64_bit => old()?.times(-1),
        // -1 - x.
        Mnemonic::Not if is_64_bit => old()?.times(-1).plus(&Sum::constant(-1)),
        _ => return None,
    };
    Some((location, sum))
}

/// The second operand of an addition.
fn addend(node: &Node<'_>, before: &State) -> Option<Sum> {
    let instruction = &node.instruction;
    match instruction.op1_kind() {
        OpKind::Register => {
            let location = Location::whole(instruction.op1_register())?;
            before.get(location).sum().cloned()
        }
        OpKind::Memory => None,
        _ => constant(node),
    }
}

/// The immediate operand as the instruction uses it.
fn constant(node: &Node<'_>) -> Option<Sum> {
    let instruction = &node.instruction;
    let is_immediate = |field| matches!(field, Field::Immediate(_) | Field::SignExtended(_));
    let filled = node.filled.iter().find(|filled| is_immediate(filled.field));
    match filled {
        // A number of 32 bits and a sign in a field that is not extended so would be another number.
        Some(filled) if filled.field == Field::Immediate(4) => {
            (filled.hole.kind() == RelocationKind::Abs32).then(|| Sum::filled(filled))
        }
        Some(filled) => Some(Sum::filled(filled)),
        None => match instruction.op1_kind() {
            OpKind::Register | OpKind::Memory => None,
            _ => Some(Sum::constant(instruction.immediate(1) as i64)),
        },
    }
}

/// The address that `lea` computes.
fn address(node: &Node<'_>, before: &State) -> Option<Sum> {
    let instruction = &node.instruction;
    let filled = node.filled.first();
    if instruction.is_ip_rel_memory_operand() {
        return filled.map(Sum::filled);
    }
    let mut sum = match filled {
        Some(filled) => Sum::filled(filled),
        None => Sum::constant(instruction.memory_displacement64() as i64),
    };
    for (register, scale) in [
        (instruction.memory_base(), 1),
        (instruction.memory_index(), instruction.memory_index_scale()),
    ] {
        if register != Register::None {
            let value = before.get(Location::whole(register)?).sum()?;
            sum = sum.plus(&value.times(i64::from(scale)));
        }
    }
    Some(sum)
}
