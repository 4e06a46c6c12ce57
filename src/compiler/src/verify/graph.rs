//! The control-flow graph of a stencil group, made of what control can reach. That it can be made is a proof already:
//! instructions are valid and permitted, holes fill fields, and branches go somewhere.

use super::instruction::{
    Field, MAX_INSTRUCTION_LEN, decode, fields, is_callee_saved, is_permitted, is_read_alike,
    writes,
};
use super::violation::{VerifyError, Violation};
use super::{Checker, Kind, Report};
use crate::disassemble::hole_text;
use iced_x86::{Code, ConstantOffsets, FlowControl, Instruction, Mnemonic, OpKind, Register};
use mimeo::hole::{Hole, HoleValue};
use mimeo::stencil::Part;
use std::collections::{BTreeMap, BTreeSet};

/// A byte of a stencil group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) part: Part,
    pub(super) offset: u32,
}

/// Where hot code is entered.
pub(super) const ENTRY: Place = Place::new(Part::Hot, 0);

impl Place {
    pub(super) const fn new(part: Part, offset: u32) -> Self {
        Self { part, offset }
    }

    /// Where a hole of this part begins.
    pub(super) fn of(part: Part, hole: &Hole) -> Self {
        Self::new(part, hole.offset())
    }

    /// Another byte of the same part.
    const fn at(self, offset: u32) -> Self {
        Self::new(self.part, offset)
    }
}

/// Where control goes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// To an instruction of the stencil group.
    Inside(Place),
    /// To the next uop, by hot code's end or by a `CONTINUE` hole.
    Continue,
    /// Out of the stencil, elsewhere.
    Out,
}

impl Target {
    fn place(self) -> Option<Place> {
        match self {
            Self::Inside(place) => Some(place),
            Self::Continue | Self::Out => None,
        }
    }
}

/// A hole and the field that it fills.
#[derive(Clone, Copy, Debug)]
pub(super) struct Filled<'a> {
    pub(super) hole: &'a Hole,
    pub(super) field: Field,
    /// The offset of the first byte behind the instruction.
    end: u32,
}

impl Filled<'_> {
    /// What the CPU makes of the patched field, minus the hole's value. In the psABI's letters: the CPU adds the
    /// address E behind the instruction to a PC-relative field, so S + A - P becomes S + A + (E - P).
    pub(super) fn beyond_value(&self) -> i64 {
        let from_end = match self.hole.kind().is_pc_relative() {
            true => i64::from(self.end) - i64::from(self.hole.offset()),
            false => 0,
        };
        i64::from(self.hole.addend()) + from_end
    }

    /// The CPU makes exactly the hole's value of it.
    fn is_exact(&self) -> Result<(), Violation> {
        let found = self.hole.addend();
        let expected = i64::from(found) - self.beyond_value();
        match i64::from(found) == expected {
            true => Ok(()),
            false => Err(Violation::Addend { found, expected }),
        }
    }

    /// Whether the field becomes a value that the uop's author says is a function's address.
    fn is_function(&self) -> bool {
        matches!(
            self.hole.value(),
            HoleValue::Operand | HoleValue::Operand1 | HoleValue::Symbol if self.hole.shift() == 0
        ) && self.beyond_value() == 0
    }
}

/// An instruction that control reaches.
pub(super) struct Node<'a> {
    pub(super) place: Place,
    pub(super) instruction: Instruction,
    pub(super) filled: Vec<Filled<'a>>,
    /// Where control goes when no branch is taken.
    next: Option<Target>,
    /// Where the branch goes.
    pub(super) branch: Option<Target>,
}

impl Node<'_> {
    /// The offset of the first byte behind the instruction.
    pub(super) fn end(&self) -> u32 {
        self.place.offset + self.instruction.len() as u32
    }

    /// Everywhere that control may go from here, straight on last: on a stack of places it is then the next.
    pub(super) fn targets(&self) -> impl Iterator<Item = Target> {
        self.branch.into_iter().chain(self.next)
    }

    pub(super) fn is_call(&self) -> bool {
        let flow = self.instruction.flow_control();
        matches!(flow, FlowControl::Call | FlowControl::IndirectCall)
    }

    /// Whether this is `movabs register, imm64` with a function's address.
    fn loads_function(&self, register: Register) -> bool {
        self.instruction.code() == Code::Mov_r64_imm64
            && self.instruction.op0_register() == register
            && self.filled.iter().any(Filled::is_function)
    }

    /// Whether the register, or a part of it, may hold another value after the instruction.
    fn clobbers(&self, register: Register) -> bool {
        match self.is_call() {
            true => !is_callee_saved(register),
            false => writes(&self.instruction, register),
        }
    }
}

/// The control-flow graph of a stencil group.
pub(super) struct Graph<'a> {
    /// Where control begins: hot code's first instruction, or behind hot code that is empty.
    pub(super) entry: Target,
    nodes: BTreeMap<Place, Node<'a>>,
}

impl<'a> Graph<'a> {
    /// The instructions, hot before cold, ascending.
    pub(super) fn nodes(&self) -> impl Iterator<Item = &Node<'a>> {
        self.nodes.values()
    }

    /// The instruction that begins here.
    pub(super) fn get(&self, place: Place) -> Option<&Node<'a>> {
        self.nodes.get(&place)
    }

    /// The instruction that holds this byte.
    pub(super) fn owner(&self, place: Place) -> Option<&Node<'a>> {
        let (_, node) = self.nodes.range(..=place).next_back()?;
        (node.place.part == place.part && node.end() > place.offset).then_some(node)
    }

    /// The first instruction that begins here or behind, but before `end`.
    fn first_within(&self, place: Place, end: u32) -> Option<&Node<'a>> {
        Some(self.nodes.range(place..place.at(end)).next()?.1)
    }

    /// Where the padding that begins at this place, outside any instruction, ends; `None` if it is none.
    pub(super) fn padding_end(&self, bytes: &[u8], place: Place) -> Option<u32> {
        let (instruction, _) = decode(bytes, place.offset)?;
        let end = place.offset + instruction.len() as u32;
        let is_padding = matches!(instruction.mnemonic(), Mnemonic::Nop | Mnemonic::Int3);
        (is_padding && self.first_within(place, end).is_none()).then_some(end)
    }

    /// Where basic blocks begin because control arrives from elsewhere than the instruction before.
    pub(super) fn leaders(&self) -> BTreeSet<Place> {
        let branches = self.nodes().filter_map(|node| node.branch);
        branches
            .chain([self.entry])
            .filter_map(Target::place)
            .collect()
    }

    /// Whether the register of an indirect call holds a function's address: backwards through the basic block, the
    /// first instruction that changes the register puts one there.
    pub(super) fn calls_known_function(&self, call: &Node<'_>, leaders: &BTreeSet<Place>) -> bool {
        if call.instruction.op0_kind() != OpKind::Register {
            return false;
        }
        let register = call.instruction.op0_register();
        let setter = self
            .block_before(call.place, leaders)
            .find(|node| node.clobbers(register));
        setter.is_some_and(|node| node.loads_function(register))
    }

    /// The instructions before this place in its basic block, the nearest first.
    fn block_before(
        &self,
        place: Place,
        leaders: &BTreeSet<Place>,
    ) -> impl Iterator<Item = &Node<'a>> {
        let before = |place: Place| {
            let last_byte = place.at(place.offset.checked_sub(1)?);
            let is_leader = leaders.contains(&place);
            let node = self.owner(last_byte).filter(|_| !is_leader)?;
            node.branch.is_none().then_some(node)
        };
        std::iter::successors(before(place), move |node| before(node.place))
    }

    /// The summary for the caller; `max_stack` is the deepest frame.
    pub(super) fn report(&self, max_stack: u64) -> Report {
        let entry = (self.entry == Target::Continue).then_some(self.entry);
        let targets = self.nodes().flat_map(Node::targets).chain(entry);
        let cold_entries: BTreeSet<Place> = self
            .nodes()
            .filter(|node| {
                let mut filled = node.filled.iter();
                filled.any(|filled| filled.hole.value() == HoleValue::Cold)
            })
            .filter_map(|node| node.branch?.place())
            .collect();
        Report {
            instructions: self.nodes.len(),
            calls: self.nodes().filter(|node| node.is_call()).count(),
            exits: targets.filter(|target| target.place().is_none()).count(),
            cold_entries: cold_entries.len(),
            max_stack,
        }
    }
}

impl<'a> Checker<'a> {
    /// What control can reach, from hot code's start and through `COLD` holes, is valid and permitted instructions
    /// that do not overlap; their holes fill fields and mean what the instruction does with them; every branch goes
    /// into the stencil group, to a hole, or to hot code's end.
    pub(super) fn reachable_code_decodes(&self) -> Result<Graph<'a>, VerifyError> {
        let entry = match self.group.hot.bytes.is_empty() {
            true => Target::Continue,
            false => Target::Inside(ENTRY),
        };
        let nodes = BTreeMap::new();
        let mut graph = Graph { entry, nodes };
        let mut pending = vec![entry];
        while let Some(target) = pending.pop() {
            let Some(place) = target.place() else {
                continue;
            };
            if graph.get(place).is_some() {
                continue;
            }
            let node = self.separate_node(&graph, place)?;
            pending.extend(node.targets());
            graph.nodes.insert(place, node);
        }
        Ok(graph)
    }

    /// The instruction at a place that lies inside its part, sharing no byte with those seen before.
    fn separate_node(&self, graph: &Graph<'a>, place: Place) -> Result<Node<'a>, VerifyError> {
        let overlap = |other: &Node<'_>| Violation::Overlap {
            other: other.place.offset,
        };
        if let Some(other) = graph.owner(place) {
            return Err(self.error(place, overlap(other)));
        }
        let node = self.node(place)?;
        match graph.first_within(place, node.end()) {
            Some(other) => Err(self.error_at(&node, overlap(other))),
            None => Ok(node),
        }
    }

    /// The instruction at a place that lies inside its part.
    fn node(&self, place: Place) -> Result<Node<'a>, VerifyError> {
        let bytes = self.part(place.part).bytes;
        let Some((instruction, offsets)) = decode(bytes, place.offset) else {
            let rest = bytes.iter().skip(place.offset as usize);
            let found = rest.take(MAX_INSTRUCTION_LEN).copied().collect();
            return Err(self.error(place, Violation::InvalidInstruction { found }));
        };
        let error = |violation| self.error_in(place, &instruction, violation);
        is_read_alike(bytes, place.offset, &instruction).map_err(error)?;
        let ends = matches!(
            instruction.flow_control(),
            FlowControl::Return | FlowControl::Exception
        );
        if !(ends && self.kind.is_for_c()) {
            is_permitted(&instruction).map_err(error)?;
        }
        let filled = self.filled(place, &instruction, &offsets).map_err(error)?;
        let mut node = Node {
            place,
            instruction,
            filled,
            next: None,
            branch: None,
        };
        (node.next, node.branch) = self.follow(&node).map_err(error)?;
        Ok(node)
    }

    /// The holes that begin in the instruction, each with the field that it fills.
    fn filled(
        &self,
        place: Place,
        instruction: &Instruction,
        offsets: &ConstantOffsets,
    ) -> Result<Vec<Filled<'a>>, Violation> {
        let holes = self.part(place.part).holes;
        let end = place.offset + instruction.len() as u32;
        let first = holes.partition_point(|hole| hole.offset() < place.offset);
        let past = holes.partition_point(|hole| hole.offset() < end);
        let fill = |hole| {
            let field = self.field_of(hole, place, instruction, offsets)?;
            Ok(Filled { hole, field, end })
        };
        let filled: Vec<_> = holes[first..past]
            .iter()
            .map(fill)
            .collect::<Result<_, _>>()?;
        let fills_rip_relative = filled.iter().any(|f| f.field == Field::RipRelative);
        match instruction.is_ip_rel_memory_operand() && !fills_rip_relative {
            true => Err(Violation::RipRelativeWithoutHole),
            false => Ok(filled),
        }
    }

    /// The field that the hole fills exactly, with a kind and a value that are right for it.
    fn field_of(
        &self,
        hole: &Hole,
        place: Place,
        instruction: &Instruction,
        offsets: &ConstantOffsets,
    ) -> Result<Field, Violation> {
        let (kind, value) = (hole.kind(), hole.value());
        let lies_on = |&(_, offset, size): &(Field, u32, usize)| {
            place.offset + offset == hole.offset() && size == kind.width()
        };
        let Some((field, ..)) = fields(instruction, offsets).find(lies_on) else {
            let end = place.offset as usize + instruction.len();
            let hole = hole_text(hole, end, self.symbols);
            return Err(Violation::HoleOffField { hole });
        };
        if !field.kinds().contains(&kind) {
            return Err(Violation::KindMismatch { kind, field });
        }
        match field.accepts(hole) {
            true => Ok(field),
            false => Err(Violation::ValueMismatch { value, field }),
        }
    }

    /// Where control goes from the instruction: straight on, and by branching.
    fn follow(&self, node: &Node<'_>) -> Result<(Option<Target>, Option<Target>), Violation> {
        Ok(match node.instruction.flow_control() {
            FlowControl::UnconditionalBranch => (None, Some(self.jump_target(node)?)),
            FlowControl::ConditionalBranch => {
                (Some(self.next_target(node)?), Some(self.jump_target(node)?))
            }
            FlowControl::IndirectBranch if self.kind != Kind::Stencil => (None, Some(Target::Out)),
            FlowControl::Return => (None, Some(Target::Out)),
            // Nobody comes here: behind a function that does not return.
            FlowControl::Exception => (None, None),
            FlowControl::IndirectBranch if self.is_leave() => (None, Some(leave_target(node)?)),
            FlowControl::IndirectBranch => (None, Some(exit_record_target(node)?)),
            FlowControl::Call if self.kind == Kind::CEntry => {
                (Some(self.next_target(node)?), Some(self.jump_target(node)?))
            }
            FlowControl::Call => {
                calls_symbol(node)?;
                (Some(self.next_target(node)?), None)
            }
            _ => (Some(self.next_target(node)?), None),
        })
    }

    /// Where control goes behind the instruction.
    fn next_target(&self, node: &Node<'_>) -> Result<Target, Violation> {
        let (part, end) = (node.place.part, node.end());
        match (part, (end as usize) < self.part(part).bytes.len()) {
            (_, true) => Ok(Target::Inside(Place::new(part, end))),
            (Part::Hot, false) => Ok(Target::Continue),
            (_, false) => Err(Violation::RunsOffCold),
        }
    }

    /// Where a direct jump goes.
    fn jump_target(&self, node: &Node<'_>) -> Result<Target, Violation> {
        let Some(filled) = node.filled.first() else {
            return self.jump_target_without_hole(node);
        };
        match filled.hole.value() {
            HoleValue::Code => self.inside(Part::Hot, filled.beyond_value()),
            HoleValue::Cold => self.inside(Part::Cold, filled.beyond_value()),
            HoleValue::Continue => filled.is_exact().map(|()| Target::Continue),
            value if value.is_control() => filled.is_exact().map(|()| Target::Out),
            value => Err(Violation::BranchValue {
                value,
                expected: "code of the trace",
            }),
        }
    }

    fn jump_target_without_hole(&self, node: &Node<'_>) -> Result<Target, Violation> {
        // Offsets are the addresses that were decoded for: before the start is a negative number.
        let destination = node.instruction.near_branch64() as i64;
        let hot_end = self.group.hot.bytes.len() as i64;
        match node.place.part {
            Part::Hot if destination == hot_end => Ok(Target::Continue),
            part => self.inside(part, destination),
        }
    }

    /// A place in a part, which must not be its end: only a `CONTINUE` hole says that from afar.
    fn inside(&self, part: Part, destination: i64) -> Result<Target, Violation> {
        let len = self.part(part).bytes.len();
        match u32::try_from(destination) {
            Ok(offset) if (offset as usize) < len => Ok(Target::Inside(Place::new(part, offset))),
            _ => Err(Violation::BranchOutside {
                part,
                destination,
                len,
            }),
        }
    }
}

/// An exit record's first field holds the address of code with the stencils' convention; no other memory does.
fn exit_record_target(node: &Node<'_>) -> Result<Target, Violation> {
    let through_record = |filled: &&Filled<'_>| {
        node.instruction.code() == Code::Jmp_rm64
            && filled.field == Field::RipRelative
            && filled.hole.value() == HoleValue::Exit
    };
    let filled = node.filled.first().filter(through_record);
    filled.ok_or(Violation::IndirectJump)?.is_exact()?;
    Ok(Target::Out)
}

/// Where a trace leaves, the exit record is in r15; [`Checker::ways_out_keep_registers`] proves that it still is.
fn leave_target(node: &Node<'_>) -> Result<Target, Violation> {
    let instruction = &node.instruction;
    let through_record = instruction.code() == Code::Jmp_rm64
        && instruction.op0_kind() == OpKind::Memory
        && instruction.memory_base() == Register::R15
        && instruction.memory_index() == Register::None
        && instruction.memory_displacement64() == 0
        && instruction.segment_prefix() == Register::None
        && node.filled.is_empty();
    match through_record {
        true => Ok(Target::Out),
        false => Err(Violation::IndirectJump),
    }
}

/// A direct call goes to a symbol's first byte.
fn calls_symbol(node: &Node<'_>) -> Result<(), Violation> {
    let filled = node.filled.first().ok_or(Violation::CallWithoutHole)?;
    match filled.hole.value() {
        HoleValue::Symbol => filled.is_exact(),
        value => Err(Violation::BranchValue {
            value,
            expected: "a symbol",
        }),
    }
}
