//! The index of a table's variants: from a sequence of uops to the forms in which they are one stencil. Built once for a
//! table; a trie over the sequences, because the longest one that a trace continues with is wanted.

use super::StencilId;
use super::plumbing::Plumbing;
use crate::form::{Class, Form, Input, MAX_INPUTS, OperandForm, Register, RegisterSet};
use crate::stencil::{StackEffect, UopFlags};
use crate::table::{Limits, StencilTable, UopId, Variant};
use crate::trace::Uop;
use std::collections::BTreeMap;

/// What a uop means to selection, besides having stencils.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Nothing.
    Plain,
    /// It pushes a local of this class.
    Load(Class),
    /// It pops a value of this class into a local.
    Store(Class),
    /// It pushes its operand, a value of this class.
    Constant(Class),
    /// It pushes the top value again.
    Copy,
    /// It drops the top value.
    Drop,
    /// It exchanges the top two values.
    Swap,
}

/// No stencil, node or limit.
const NONE: u32 = u32::MAX;

/// An operand form as selection needs it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FormEntry {
    pub(crate) stencil: StencilId,
    /// How many inputs there are.
    pub(crate) count: u8,
    /// The placeholder of each input that is in a register.
    pub(crate) inputs: [Input; MAX_INPUTS],
    /// The placeholder of the output.
    pub(crate) output: Option<Register>,
    pub(crate) renameable: RegisterSet,
    pub(crate) intact: u8,
    /// Where its limits start, if it takes fewer arguments than the base forms of its uops do.
    limits: u32,
}

/// Forms of one sequence that take their inputs in the same way and differ in where their output is.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    /// How many inputs there are.
    pub(crate) count: u8,
    /// Whether the input is no value from the stack but the constant that the uop pushes.
    pub(crate) is_constant: bool,
    /// Bit `i` is set where input `i` is a constant.
    pub(crate) constants: u8,
    /// The inputs; of those in registers only the class counts.
    pub(crate) inputs: [Input; MAX_INPUTS],
    /// The class of the output.
    pub(crate) output: Option<Class>,
    /// Which of the fused uops jumps.
    pub(crate) jump: Option<u8>,
    /// The registers that every form can have for any placeholder.
    pub(crate) renameable: RegisterSet,
    /// The form without an output or with one in a register of its own.
    pub(crate) distinct: Option<FormEntry>,
    /// The forms whose output replaces input `i`.
    pub(crate) in_place: [Option<FormEntry>; MAX_INPUTS],
}

impl Shape {
    /// The class of input `i`, if it is in a register.
    pub(crate) fn class(&self, input: usize) -> Option<Class> {
        match self.inputs[input] {
            Input::Register(register) => Some(register.class()),
            _ => None,
        }
    }

    /// All forms.
    pub(crate) fn forms(&self) -> impl Iterator<Item = &FormEntry> {
        self.distinct.iter().chain(self.in_place.iter().flatten())
    }
}

/// The slots forms of one sequence: by registers in and registers out.
pub(crate) type SlotForms = [[Option<SlotForm>; 4]; 4];

/// A slots form as selection needs it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SlotForm {
    pub(crate) stencil: StencilId,
    limits: u32,
}

/// A sequence of uops, or the start of one.
#[derive(Clone, Debug, Default)]
struct Node {
    first_edge: u32,
    edge_count: u32,
    first_shape: u32,
    shape_count: u32,
    /// Index of the slots forms.
    slots: Option<u32>,
}

/// Which sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NodeId(u32);

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Index {
    roles: Vec<Role>,
    /// The first of them are the sequences of one uop, in the order of the uops.
    nodes: Vec<Node>,
    /// The uop that a sequence may go on with, and the longer sequence.
    edges: Vec<(u32, NodeId)>,
    shapes: Vec<Shape>,
    slots: Vec<SlotForms>,
    /// For each uop, bit `i` is set where a form starts with it that takes `i` values in registers.
    accepted: Vec<u8>,
    /// The largest arguments of each uop of a form that has limits.
    limits: Vec<Limits>,
    plumbing: Option<Box<Plumbing>>,
    spills: [[Option<StencilId>; 4]; 4],
    can_spill: bool,
}

/// The uop that stores registers of a set with slots forms.
const SPILL: &str = "_SPILL";

impl Index {
    /// Indexes a table's variants.
    pub(crate) fn new(table: &StencilTable) -> Self {
        let mut builder = Builder {
            table,
            nodes: vec![BuilderNode::default(); table.uop_count()],
            limits: Vec::new(),
        };
        for id in table.variants() {
            builder.add(StencilId::variant(table, id), &table.variant(id));
        }
        let Builder { nodes, limits, .. } = builder;
        let mut index = Self {
            roles: Vec::new(),
            nodes: Vec::with_capacity(nodes.len()),
            edges: Vec::new(),
            shapes: Vec::new(),
            slots: Vec::new(),
            accepted: vec![0; table.uop_count()],
            limits,
            plumbing: None,
            spills: Default::default(),
            can_spill: false,
        };
        for node in nodes {
            index.flatten(node);
        }
        index.roles = table.uops().map(|uop| index.role_of(table, uop)).collect();
        index.plumbing = Plumbing::find(table, &index).map(Box::new);
        index.note_slots(table);
        index
    }

    fn flatten(&mut self, mut node: BuilderNode) {
        let mut flat = Node {
            first_edge: self.edges.len() as u32,
            edge_count: node.children.len() as u32,
            first_shape: self.shapes.len() as u32,
            shape_count: node.shapes.len() as u32,
            slots: None,
        };
        let children = node.children.into_iter();
        self.edges
            .extend(children.map(|(uop, child)| (uop, NodeId(child))));
        // The form that takes the most constants as they are is tried first.
        node.shapes
            .sort_by_key(|shape| std::cmp::Reverse(shape.constants.count_ones()));
        for mut shape in node.shapes {
            let sets = shape.forms().map(|form| form.renameable.0);
            shape.renameable = RegisterSet(sets.fold(u16::MAX, |all, set| all & set));
            self.shapes.push(shape);
        }
        if let Some(forms) = node.slots {
            flat.slots = Some(self.slots.len() as u32);
            self.slots.push(*forms);
        }
        self.nodes.push(flat);
    }

    /// A uop's role, as far as its flags and its forms agree on one.
    fn role_of(&self, table: &StencilTable, uop: UopId) -> Role {
        let entry = table.entry(uop);
        let node = NodeId(uop.index() as u32);
        let outputs = || self.shapes(node).iter().find_map(|shape| shape.output);
        // A form for a constant does not say of which class the values are.
        let inputs = || {
            let mut shapes = self.shapes(node).iter();
            shapes.find_map(|shape| shape.class(0).filter(|_| shape.count == 1))
        };
        let leaves = UopFlags::ERROR
            | UopFlags::DEOPT
            | UopFlags::EXIT
            | UopFlags::JUMP
            | UopFlags::TERMINAL
            | UopFlags::EXIT_RECORD
            | UopFlags::TOP;
        let role = UopFlags::LOADS_LOCAL
            | UopFlags::STORES_LOCAL
            | UopFlags::CONSTANT
            | UopFlags::COPIES
            | UopFlags::DROPS
            | UopFlags::SWAPS;
        if entry.flags.intersects(leaves) || entry.locals != 0 {
            return Role::Plain;
        }
        let (wanted, found) = match entry.flags & role {
            UopFlags::LOADS_LOCAL => ((0, 1), outputs().map(Role::Load)),
            UopFlags::STORES_LOCAL => ((1, 0), inputs().map(Role::Store)),
            UopFlags::CONSTANT => ((0, 1), outputs().map(Role::Constant)),
            UopFlags::COPIES => ((1, 2), Some(Role::Copy)),
            UopFlags::DROPS => ((1, 0), Some(Role::Drop)),
            UopFlags::SWAPS => ((2, 2), Some(Role::Swap)),
            _ => return Role::Plain,
        };
        found
            .filter(|_| entry.effect == StackEffect::fixed(wanted.0, wanted.1))
            .unwrap_or(Role::Plain)
    }

    fn note_slots(&mut self, table: &StencilTable) {
        if self.slots.is_empty() {
            return;
        }
        if let Some(spill) = table.find(SPILL)
            && let Some(forms) = self.slot_forms(NodeId(spill.index() as u32))
        {
            self.spills = forms.map(|row| row.map(|form| form.map(|form| form.stencil)));
        }
        self.can_spill = (1..4).all(|held| self.spills[held][0].is_some());
        for uop in 0..self.accepted.len() {
            self.accepted[uop] = 1 | self.accepted_from(NodeId(uop as u32));
        }
    }

    fn accepted_from(&self, node: NodeId) -> u8 {
        let own = self.slot_forms(node).map_or(0, |forms| {
            let held = (0..4).filter(|&held| forms[held].iter().any(Option::is_some));
            held.fold(0, |mask, held| mask | 1 << held)
        });
        let children = self.edges_of(node).iter();
        children.fold(own, |mask, &(_, child)| mask | self.accepted_from(child))
    }

    /// What a uop means to selection.
    pub(crate) fn role(&self, uop: &Uop) -> Role {
        self.roles[uop.id.index()]
    }

    /// What the stack is kept with in registers, if the table's forms are operand forms and it has all that it takes.
    pub(crate) fn operands(&self) -> Option<&Plumbing> {
        self.plumbing.as_deref()
    }

    /// Whether values can be in registers between slots forms.
    pub(crate) fn can_spill(&self) -> bool {
        self.can_spill
    }

    /// The stencil that stores all but the top `kept` of `held` values.
    pub(crate) fn spill(&self, held: usize, kept: usize) -> Option<StencilId> {
        self.spills[held][kept]
    }

    /// Bit `i` is set where a form starts with this uop that takes `i` values in registers.
    pub(crate) fn accepted(&self, uop: &Uop) -> u8 {
        self.accepted[uop.id.index()]
    }

    /// The sequence of this one uop.
    pub(crate) fn single(&self, uop: &Uop) -> NodeId {
        NodeId(uop.id.index() as u32)
    }

    /// The sequence and one uop more.
    pub(crate) fn longer(&self, node: NodeId, uop: &Uop) -> Option<NodeId> {
        let wanted = uop.id.index() as u32;
        let edges = self.edges_of(node);
        edges
            .iter()
            .find_map(|&(uop, child)| (uop == wanted).then_some(child))
    }

    fn edges_of(&self, node: NodeId) -> &[(u32, NodeId)] {
        let node = &self.nodes[node.0 as usize];
        &self.edges[node.first_edge as usize..][..node.edge_count as usize]
    }

    /// The operand forms of a sequence, those with the most constants first.
    pub(crate) fn shapes(&self, node: NodeId) -> &[Shape] {
        let node = &self.nodes[node.0 as usize];
        &self.shapes[node.first_shape as usize..][..node.shape_count as usize]
    }

    /// The slots forms of a sequence.
    pub(crate) fn slot_forms(&self, node: NodeId) -> Option<&SlotForms> {
        let slots = self.nodes[node.0 as usize].slots?;
        self.slots.get(slots as usize)
    }

    /// Whether a form was compiled for arguments as large as those of the uops.
    pub(crate) fn fits(&self, form: &FormEntry, uops: &[Uop]) -> bool {
        self.within(form.limits, uops)
    }

    /// As [`fits`](Self::fits), for slots forms.
    pub(crate) fn slot_fits(&self, form: &SlotForm, uops: &[Uop]) -> bool {
        self.within(form.limits, uops)
    }

    fn within(&self, limits: u32, uops: &[Uop]) -> bool {
        limits == NONE
            || self.limits[limits as usize..]
                .iter()
                .zip(uops)
                .all(|(limits, uop)| limits.cover(uop.oparg, uop.operand, uop.operand1))
    }

    /// The largest arguments that a form of one uop takes; `None` where they are those of the base form.
    pub(crate) fn limits_of(&self, form: &FormEntry) -> Option<Limits> {
        self.limits.get(form.limits as usize).copied()
    }
}

#[derive(Clone, Debug, Default)]
struct BuilderNode {
    children: BTreeMap<u32, u32>,
    shapes: Vec<Shape>,
    slots: Option<Box<SlotForms>>,
}

struct Builder<'t> {
    table: &'t StencilTable,
    nodes: Vec<BuilderNode>,
    limits: Vec<Limits>,
}

/// What a sequence of uops does to the stack, where that does not depend on their opargs.
struct Flow {
    /// How many values must be there.
    needed: i32,
    /// How many more there are afterwards; negative where there are fewer.
    change: i32,
    /// The uop that jumps, and how many more values there are where it jumps.
    jump: Option<(u8, i32)>,
}

impl Builder<'_> {
    /// Takes up a variant; one that contradicts its uops, or that selection has no use for, is left out.
    fn add(&mut self, stencil: StencilId, variant: &Variant<'_>) {
        match variant.form {
            Form::Slots {
                registers_in,
                registers_out,
            } => self.add_slots(stencil, variant, *registers_in, *registers_out),
            Form::Operands(form) => self.add_operands(stencil, variant, form),
        }
    }

    fn add_slots(&mut self, stencil: StencilId, variant: &Variant<'_>, held: u8, left: u8) {
        // Control goes on from the last uop only.
        let others = &variant.uops[..variant.uops.len() - 1];
        let ends = |uop: &UopId| self.table.entry(*uop).flags.contains(UopFlags::TERMINAL);
        if held > 3 || left > 3 || others.iter().any(ends) {
            return;
        }
        let form = SlotForm {
            stencil,
            limits: self.limits(variant),
        };
        let node = self.node(variant.uops);
        let forms = node.slots.get_or_insert_default();
        forms[held as usize][left as usize].get_or_insert(form);
    }

    fn add_operands(&mut self, stencil: StencilId, variant: &Variant<'_>, form: &OperandForm) {
        let count = form.inputs.len();
        // A constant's form may have the constant itself as an input.
        let first = variant.uops[0];
        let is_constant = variant.uops.len() == 1
            && count == 1
            && self.table.entry(first).flags.contains(UopFlags::CONSTANT)
            && !matches!(form.inputs[0], Input::Register(_));
        let Some(flow) = self.flow(variant.uops) else {
            return;
        };
        let taken = if is_constant { 0 } else { count as i32 };
        let left = i32::from(form.output.is_some());
        let intact = i32::from(form.intact) - taken;
        if count > MAX_INPUTS
            || flow.needed > taken
            || taken + flow.change != left
            || form.intact as usize > count
            || flow.jump.is_some_and(|(_, change)| change != intact)
        {
            return;
        }
        let mut inputs = [Input::Signed32; MAX_INPUTS];
        inputs[..count].copy_from_slice(&form.inputs);
        let constant =
            |(i, input): (usize, &Input)| u8::from(!matches!(input, Input::Register(_))) << i;
        let entry = FormEntry {
            stencil,
            count: count as u8,
            inputs,
            output: form.output,
            renameable: form.renameable,
            intact: form.intact,
            limits: self.limits(variant),
        };
        let shape = Shape {
            count: count as u8,
            is_constant,
            constants: form.inputs.iter().enumerate().map(constant).sum(),
            inputs,
            output: form.output.map(Register::class),
            jump: flow.jump.map(|(element, _)| element),
            renameable: RegisterSet::ALL,
            distinct: None,
            in_place: [None; MAX_INPUTS],
        };
        let replaced = form.inputs.iter().position(|&input| {
            form.output
                .is_some_and(|output| input == Input::Register(output))
        });
        let node = self.node(variant.uops);
        let same = |other: &&mut Shape| takes_alike(other, &shape);
        let index = match node.shapes.iter_mut().find(same) {
            Some(known) => return put(known, replaced, entry),
            None => node.shapes.len(),
        };
        node.shapes.push(shape);
        put(&mut node.shapes[index], replaced, entry);
    }

    /// `None` where an effect depends on the oparg, or where the uops leave in ways that operand forms do not.
    fn flow(&self, uops: &[UopId]) -> Option<Flow> {
        let mut flow = Flow {
            needed: 0,
            change: 0,
            jump: None,
        };
        let leaves = UopFlags::ERROR | UopFlags::EXIT_RECORD | UopFlags::TOP;
        for (element, &uop) in uops.iter().enumerate() {
            let entry = self.table.entry(uop);
            let fixed = |effect: StackEffect| {
                let both = effect.popped.is_fixed() && effect.pushed.is_fixed();
                both.then_some((
                    i32::from(effect.popped.fixed),
                    i32::from(effect.pushed.fixed),
                ))
            };
            // `_JUMP` and `_LEAVE` are terminal; selection places them for what they are.
            let unfit = if uops.len() == 1 {
                leaves
            } else {
                leaves | UopFlags::TERMINAL
            };
            if entry.flags.intersects(unfit) {
                return None;
            }
            let (popped, pushed) = fixed(entry.effect)?;
            flow.needed = flow.needed.max(popped - flow.change);
            if entry.flags.needs_jump() {
                let (popped, pushed) = fixed(entry.leaving_effect)?;
                let change = flow.change + pushed - popped;
                if flow.jump.replace((element as u8, change)).is_some() {
                    return None;
                }
            }
            flow.change += pushed - popped;
        }
        Some(flow)
    }

    fn limits(&mut self, variant: &Variant<'_>) -> u32 {
        let limits: Vec<Limits> = (0..variant.uops.len())
            .map(|element| variant.limits(element))
            .collect();
        let lower = variant.uops.iter().zip(&limits).any(|(&uop, limits)| {
            let entry = self.table.entry(uop);
            !limits.cover(entry.oparg_max, entry.operand_max, entry.operand1_max)
        });
        if !lower {
            return NONE;
        }
        let start = self.limits.len() as u32;
        self.limits.extend(limits);
        start
    }

    fn node(&mut self, uops: &[UopId]) -> &mut BuilderNode {
        let mut node = uops[0].index() as u32;
        for uop in &uops[1..] {
            let next = self.nodes.len() as u32;
            let children = &mut self.nodes[node as usize].children;
            node = *children.entry(uop.index() as u32).or_insert(next);
            if node == next {
                self.nodes.push(BuilderNode::default());
            }
        }
        &mut self.nodes[node as usize]
    }
}

/// Whether two forms of a sequence take their inputs in the same way.
fn takes_alike(a: &Shape, b: &Shape) -> bool {
    let kind = |input: Input| match input {
        Input::Register(register) => Err(register.class()),
        constant => Ok(constant),
    };
    a.count == b.count
        && a.output == b.output
        && (0..a.count as usize).all(|i| kind(a.inputs[i]) == kind(b.inputs[i]))
}

/// Adds a form to its shape; the first of several alike stays.
fn put(shape: &mut Shape, replaced: Option<usize>, entry: FormEntry) {
    let place = match replaced {
        Some(input) => &mut shape.in_place[input],
        None => &mut shape.distinct,
    };
    place.get_or_insert(entry);
}
