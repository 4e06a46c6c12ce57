//! From blocks of instructions to traces.
//!
//! A trace starts anywhere in a block and takes in some of the blocks that follow, which it reaches by labels; where it
//! ends, an exit says at which [`Point`] to go on. It is made when control gets there for the first time, as in a tracing
//! compiler: the kinds of the values in the frame at that moment are what typed uops are chosen for. That is a guess, so
//! guards stand in front of them, unless the trace itself has proven the kind. A guard that fails goes on at the same
//! instruction with a generic uop.

use super::ast::{Binary, Comparison, Unary};
use super::code::{Block, BlockId, Code, End, Op};
use crate::numbers::Numbers;
use mimeo::table::StencilTable;
use mimeo::trace::{FrameShape, Label, Trace, TraceError, Uop};
use mimeo_objects::object::{Kind, Ref};
use mimeo_objects::recorded::uops::{ErrorPop, facts};
use std::collections::HashMap;

/// A place in a program to go on at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Point {
    /// The block.
    pub block: BlockId,
    /// The instruction in it; behind the last one is the block's end.
    pub op: usize,
    /// Whether a guard of this very instruction has failed.
    pub generic: bool,
}

/// The target of an exit that ends the program.
pub const ENDED: u32 = 0;
/// The target of an exit by an exception.
pub const RAISED: u32 = 1;
/// The target of the first point.
const FIRST: u32 = 2;

/// What an exit's target says.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    points: Vec<Point>,
    numbers: HashMap<Point, u32>,
}

impl Targets {
    /// The number of a point.
    pub fn number(&mut self, point: Point) -> u32 {
        let points = &mut self.points;
        *self.numbers.entry(point).or_insert_with(|| {
            points.push(point);
            FIRST + points.len() as u32 - 1
        })
    }

    /// The point of this number.
    pub fn point(&self, number: u32) -> Point {
        self.points[(number - FIRST) as usize]
    }
}

/// What is known of a value.
#[derive(Clone, Copy, Debug, Default)]
struct Fact {
    kind: Option<Kind>,
    /// Whether the trace has made sure of the kind.
    proven: bool,
    /// The local that it was loaded from, if that still holds it.
    local: Option<usize>,
}

impl Fact {
    fn guess(kind: Option<Kind>) -> Self {
        Self {
            kind,
            ..Self::default()
        }
    }

    fn proven(kind: Kind) -> Self {
        Self {
            kind: Some(kind),
            proven: true,
            local: None,
        }
    }

    fn is(&self, kind: Kind) -> bool {
        self.kind == Some(kind)
    }
}

/// What is known of a frame.
#[derive(Clone, Debug)]
struct State {
    locals: Vec<Fact>,
    stack: Vec<Fact>,
}

impl State {
    /// What remains where control may come from elsewhere: guesses.
    fn forget(&mut self) {
        for fact in self.locals.iter_mut().chain(&mut self.stack) {
            *fact = Fact::guess(fact.kind);
        }
    }
}

/// The objects that a program's traces refer to.
#[derive(Clone, Copy, Debug)]
pub struct Referents<'a> {
    /// The constants.
    pub constants: &'a [Ref],
    /// The built-in callables.
    pub callables: &'a [Ref],
}

/// A trace, and how it uses its frame.
#[derive(Debug)]
pub struct Lowered<'t> {
    /// The trace.
    pub trace: Trace<'t>,
    /// Its frame.
    pub shape: FrameShape,
}

/// Makes the trace that starts at a point, with these values in the frame.
///
/// # Errors
/// The table lacks a uop.
pub fn lower<'t>(
    code: &Code,
    referents: Referents<'_>,
    table: &'t StencilTable,
    targets: &mut Targets,
    start: Point,
    frame: (&[Option<Ref>], &[Option<Ref>]),
    numbers: &mut Numbers,
) -> Result<Lowered<'t>, TraceError> {
    let kinds = |values: &[Option<Ref>]| {
        let kinds = values.iter().map(|value| value.as_ref().map(Ref::kind));
        kinds.map(Fact::guess).collect()
    };
    let shape = FrameShape {
        locals: frame.0.len() as u32,
        stack: code.stack,
        entry_depth: frame.1.len() as u32,
    };
    let size = 1 + numbers.below(12);
    let specialises = !numbers.number().is_multiple_of(6);
    let mut lowering = Lowering {
        code,
        referents,
        targets,
        numbers,
        trace: Trace::new(table),
        start,
        state: State {
            locals: kinds(frame.0),
            stack: kinds(frame.1),
        },
        labels: HashMap::new(),
        pending: Vec::new(),
        stubs: Vec::new(),
        failures: Vec::new(),
        size,
        specialises,
    };
    lowering.run()?;
    Ok(Lowered {
        trace: lowering.trace,
        shape,
    })
}

struct Lowering<'a, 't> {
    code: &'a Code,
    referents: Referents<'a>,
    targets: &'a mut Targets,
    numbers: &'a mut Numbers,
    trace: Trace<'t>,
    start: Point,
    state: State,
    /// The blocks that are in the trace from their start, and whether they are placed yet.
    labels: HashMap<BlockId, (Label, bool)>,
    pending: Vec<(BlockId, State)>,
    /// The exits: their label, uop and target.
    stubs: Vec<(Label, &'static str, u32)>,
    /// Where errors go, and how many operands are gone by then.
    failures: Vec<(Label, u32)>,
    /// How many more blocks may be taken in.
    size: usize,
    /// Whether typed uops are used at all.
    specialises: bool,
}

type Lowers<T = ()> = Result<T, TraceError>;

impl<'a> Lowering<'a, '_> {
    fn once_in(&mut self, times: usize) -> bool {
        self.numbers.below(times) == 0
    }

    fn run(&mut self) -> Lowers {
        let again = self.exit_to(self.start);
        self.push_jumping("_START_EXECUTOR", 0, again)?;
        if self.start.op == 0 && !self.start.generic {
            let label = self.trace.label();
            self.labels.insert(self.start.block, (label, true));
            self.trace.bind(label)?;
        }
        if self.once_in(3) {
            self.push_jumping("_TIER2_RESUME_CHECK", 0, again)?;
        }
        self.place(self.start)?;
        while let Some((block, state)) = self.pending.pop() {
            if self.labels[&block].1 {
                continue;
            }
            self.state = state;
            self.enter(block)?;
        }
        for (label, op, target) in std::mem::take(&mut self.stubs) {
            self.trace.bind(label)?;
            let uop = self.trace.uop(op)?.target(target);
            self.trace.push(uop);
        }
        for (label, gone) in std::mem::take(&mut self.failures) {
            self.trace.bind(label)?;
            let uop = self.trace.uop("_ERROR_POP_N")?;
            self.trace.push(uop.oparg(gone).target(RAISED));
        }
        Ok(())
    }

    /// Places a block that has a label.
    fn enter(&mut self, block: BlockId) -> Lowers {
        let entry = self.labels.get_mut(&block).expect("it has a label");
        entry.1 = true;
        let label = entry.0;
        self.trace.bind(label)?;
        self.state.forget();
        assert_eq!(self.state.stack.len(), self.block(block).depth as usize);
        self.place(Point {
            block,
            op: 0,
            generic: false,
        })
    }

    fn block(&self, block: BlockId) -> &'a Block {
        let code: &'a Code = self.code;
        &code.blocks[block]
    }

    /// Places the rest of a block.
    fn place(&mut self, from: Point) -> Lowers {
        let block = self.block(from.block);
        for (index, op) in block.ops.iter().enumerate().skip(from.op) {
            let here = Point {
                op: index,
                generic: from.generic && index == from.op,
                ..from
            };
            if self.once_in(12) {
                self.push("_SET_IP", 0, index as u64)?;
            }
            self.instruction(here, op)?;
        }
        let here = Point {
            op: block.ops.len(),
            generic: from.generic && from.op == block.ops.len(),
            ..from
        };
        self.block_end(here, block.end)
    }

    // Labels and exits.

    /// The label of an exit that goes on at a point.
    fn exit_to(&mut self, point: Point) -> Label {
        let target = self.targets.number(point);
        let op = match self.once_in(2) {
            true => "_EXIT_TRACE",
            false => "_DEOPT",
        };
        let label = self.trace.label();
        self.stubs.push((label, op, target));
        label
    }

    /// Where a failing guard of an instruction goes.
    fn generic(&mut self, here: Point) -> Label {
        self.exit_to(Point {
            generic: true,
            ..here
        })
    }

    /// Whether a block becomes, or is, part of the trace.
    fn takes_in(&mut self, block: BlockId) -> bool {
        if self.labels.contains_key(&block) {
            return !self.once_in(5);
        }
        if self.size == 0 || self.once_in(4) {
            return false;
        }
        self.size -= 1;
        true
    }

    /// The label of a block that is placed sooner or later, or of an exit to it.
    fn edge(&mut self, block: BlockId) -> Label {
        if !self.takes_in(block) {
            return self.exit_to(start_of(block));
        }
        if let Some(&(label, _)) = self.labels.get(&block) {
            return label;
        }
        let label = self.trace.label();
        self.labels.insert(block, (label, false));
        self.pending.push((block, self.state.clone()));
        label
    }

    /// Goes on with a block.
    fn go(&mut self, block: BlockId) -> Lowers {
        if !self.takes_in(block) {
            return self.leave_to(block);
        }
        match self.labels.get(&block) {
            Some((label, true)) => {
                let label = *label;
                self.jump(block, label)
            }
            Some((_, false)) => self.enter(block),
            None => {
                let label = self.trace.label();
                self.labels.insert(block, (label, false));
                self.enter(block)
            }
        }
    }

    fn leave_to(&mut self, block: BlockId) -> Lowers {
        let target = self.targets.number(start_of(block));
        let uop = self.trace.uop("_EXIT_TRACE")?.target(target);
        self.trace.push(uop);
        Ok(())
    }

    /// Jumps to a block that is placed. No uop just jumps but the one to the top: a guard that fails does.
    fn jump(&mut self, block: BlockId, label: Label) -> Lowers {
        let is_top = start_of(block) == self.start;
        if is_top && !self.once_in(4) {
            let uop = self.trace.uop("_JUMP_TO_TOP")?;
            self.trace.push(uop);
            return Ok(());
        }
        let truth = self.once_in(2);
        let constant = Ref::bool(truth).as_ptr() as u64;
        self.push("_LOAD_CONST_INLINE_BORROW", 0, constant)?;
        let guard = match truth {
            true => "_GUARD_IS_FALSE_POP",
            false => "_GUARD_IS_TRUE_POP",
        };
        self.push_jumping(guard, 0, label)?;
        self.leave_to(block)
    }

    // Uops.

    fn push(&mut self, op: &str, oparg: u32, operand: u64) -> Lowers {
        let uop = self.trace.uop(op)?.oparg(oparg).operand(operand);
        self.push_uop(op, uop);
        Ok(())
    }

    fn push_jumping(&mut self, op: &str, oparg: u32, to: Label) -> Lowers {
        let uop = self.trace.uop(op)?.oparg(oparg).jump(to);
        self.push_uop(op, uop);
        Ok(())
    }

    fn push_uop(&mut self, op: &str, mut uop: Uop) {
        let facts = facts(op).unwrap_or_else(|| panic!("nothing is known of {op}"));
        if let Some(error) = facts.error {
            let gone = match error {
                ErrorPop::Operands => facts.effect.popped.of(uop.oparg) as u32,
                ErrorPop::Nothing => 0,
            };
            let label = self.trace.label();
            self.failures.push((label, gone));
            uop = uop.error(label);
        }
        self.trace.push(uop);
    }

    // What is known.

    fn fact(&self, depth: usize) -> Fact {
        self.state.stack[self.state.stack.len() - 1 - depth]
    }

    fn prove(&mut self, depth: usize, kind: Kind) {
        let place = self.state.stack.len() - 1 - depth;
        let fact = &mut self.state.stack[place];
        (fact.kind, fact.proven) = (Some(kind), true);
        if let Some(local) = fact.local {
            self.state.locals[local] = Fact::proven(kind);
        }
    }

    fn replace(&mut self, popped: usize, pushed: Fact) {
        let left = self.state.stack.len() - popped;
        self.state.stack.truncate(left);
        self.state.stack.push(pushed);
    }

    fn pop(&mut self, count: usize) {
        let left = self.state.stack.len() - count;
        self.state.stack.truncate(left);
    }

    /// Whether a typed uop is to be used here.
    fn specialises(&mut self, here: Point) -> bool {
        self.specialises && !here.generic && !self.once_in(10)
    }

    /// The kind that two values both seem to have; rarely, some other.
    fn common_kind(&mut self) -> Option<Kind> {
        let (right, left) = (self.fact(0), self.fact(1));
        if self.once_in(60) {
            return Some([Kind::Int, Kind::Float, Kind::Str][self.numbers.below(3)]);
        }
        left.kind.filter(|kind| right.kind == Some(*kind))
    }

    /// Makes sure that the top two values are of a kind.
    fn guard_both(&mut self, here: Point, kind: Kind, name: &str) -> Lowers {
        let proven = |fact: Fact| fact.proven && fact.is(kind);
        let (right, left) = (proven(self.fact(0)), proven(self.fact(1)));
        let guard = match (left, right) {
            (true, true) => return Ok(()),
            (true, false) if kind != Kind::Str => "TOS",
            (false, true) if kind != Kind::Str => "NOS",
            _ => "BOTH",
        };
        let label = self.generic(here);
        self.push_jumping(&format!("_GUARD_{guard}_{name}"), 0, label)?;
        self.prove(0, kind);
        self.prove(1, kind);
        Ok(())
    }

    // Instructions.

    fn instruction(&mut self, here: Point, op: &Op) -> Lowers {
        match *op {
            Op::Load(local, unbound) => self.load(local, unbound),
            Op::Store(local) => self.store(local),
            Op::Delete(local) => {
                self.push("_DELETE_FAST", local as u32, 0)?;
                self.set_local(local, Fact::default());
                Ok(())
            }
            Op::Constant(index) => self.constant(index),
            Op::Builtin(index) => {
                let callable = &self.referents.callables[index];
                self.state.stack.push(Fact::proven(callable.kind()));
                self.push("_LOAD_CONST_INLINE", 0, callable.as_ptr() as u64)
            }
            Op::Callable(index) => self.callable(index),
            Op::Pop => {
                self.pop(1);
                self.push("_POP_TOP", 0, 0)
            }
            Op::Copy(depth) => {
                self.state.stack.push(self.fact(depth as usize - 1));
                self.push("_COPY", depth, 0)
            }
            Op::Swap(depth) => {
                let top = self.state.stack.len() - 1;
                self.state.stack.swap(top, top + 1 - depth as usize);
                self.push("_SWAP", depth, 0)
            }
            Op::Unary(operator) => self.unary(operator),
            Op::ToBool => self.truth(here),
            Op::Binary(operator, in_place) => self.binary(here, operator, in_place),
            Op::Compare(comparison) => self.compare(here, comparison),
            Op::Subscript => self.subscript(here),
            Op::Slice => {
                let kind = self.fact(2).kind;
                self.replace(3, Fact::guess(kind));
                self.push("_BINARY_SLICE", 0, 0)
            }
            Op::StoreSubscript => self.store_subscript(here),
            Op::StoreSlice => {
                self.pop(4);
                self.push("_STORE_SLICE", 0, 0)
            }
            Op::DeleteSubscript => {
                self.pop(2);
                self.push("_DELETE_SUBSCR", 0, 0)
            }
            Op::BuildSlice => {
                self.replace(3, Fact::proven(Kind::Slice));
                self.push("_BUILD_SLICE", 3, 0)
            }
            Op::List(count) => self.build("_BUILD_LIST", count, Kind::List),
            Op::Tuple(count) => self.build("_BUILD_TUPLE", count, Kind::Tuple),
            Op::Map(count) => {
                self.replace(2 * count as usize, Fact::proven(Kind::Dict));
                self.push("_BUILD_MAP", count, 0)
            }
            Op::Join(count) => self.build("_BUILD_STRING", count, Kind::Str),
            Op::Unpack(count) => self.unpack(here, count),
            Op::Format => {
                self.replace(1, Fact::proven(Kind::Str));
                self.push("_FORMAT_SIMPLE", 0, 0)
            }
            Op::Convert(how) => {
                self.replace(1, Fact::proven(Kind::Str));
                self.push("_CONVERT_VALUE", how, 0)
            }
            Op::Call(count) => self.call(here, count),
            Op::Iterate => {
                let kind = match self.fact(0).kind {
                    Some(Kind::Range) => Some(Kind::RangeIterator),
                    Some(Kind::List) => Some(Kind::ListIterator),
                    Some(Kind::Tuple) => Some(Kind::TupleIterator),
                    _ => None,
                };
                self.replace(1, Fact::guess(kind));
                self.push("_GET_ITER", 0, 0)
            }
        }
    }

    /// The uop for a local: there are some for the first eight.
    fn local_uop(&mut self, family: &str, local: usize) -> String {
        match local < 8 && self.once_in(2) {
            true => format!("{family}_{local}"),
            false => family.to_owned(),
        }
    }

    fn load(&mut self, local: usize, unbound: bool) -> Lowers {
        let name = match unbound {
            true => "_LOAD_FAST_CHECK".to_owned(),
            false => self.local_uop("_LOAD_FAST", local),
        };
        let fact = self.state.locals[local];
        self.state.stack.push(Fact {
            local: Some(local),
            ..fact
        });
        self.push(&name, local as u32, 0)
    }

    fn store(&mut self, local: usize) -> Lowers {
        let fact = self.fact(0);
        self.pop(1);
        self.set_local(local, fact);
        let name = self.local_uop("_STORE_FAST", local);
        self.push(&name, local as u32, 0)
    }

    fn set_local(&mut self, local: usize, fact: Fact) {
        for other in &mut self.state.stack {
            if other.local == Some(local) {
                other.local = None;
            }
        }
        self.state.locals[local] = Fact {
            local: None,
            ..fact
        };
    }

    fn constant(&mut self, index: usize) -> Lowers {
        let constant = &self.referents.constants[index];
        let (kind, address) = (constant.kind(), constant.as_ptr() as u64);
        self.state.stack.push(Fact::proven(kind));
        match self.numbers.below(3) {
            0 => {
                let all = self.referents.constants.as_ptr() as u64;
                self.push("_LOAD_CONST", index as u32, all)
            }
            1 => self.push("_LOAD_CONST_INLINE", 0, address),
            _ => self.push("_LOAD_CONST_INLINE_BORROW", 0, address),
        }
    }

    fn callable(&mut self, index: usize) -> Lowers {
        let callable = &self.referents.callables[index];
        let (kind, address) = (callable.kind(), callable.as_ptr() as u64);
        self.state.stack.push(Fact::proven(kind));
        self.state.stack.push(Fact::default());
        match self.numbers.below(3) {
            0 => {
                self.push("_LOAD_CONST_INLINE", 0, address)?;
                self.push("_PUSH_NULL", 0, 0)
            }
            1 => self.push("_LOAD_CONST_INLINE_WITH_NULL", 0, address),
            _ => self.push("_LOAD_CONST_INLINE_BORROW_WITH_NULL", 0, address),
        }
    }

    fn unary(&mut self, operator: Unary) -> Lowers {
        let kind = self.fact(0).kind;
        let (name, fact) = match operator {
            Unary::Negative => ("_UNARY_NEGATIVE", Fact::guess(kind)),
            Unary::Invert => ("_UNARY_INVERT", Fact::guess(kind)),
            Unary::Not => ("_UNARY_NOT", Fact::proven(Kind::Bool)),
        };
        self.replace(1, fact);
        self.push(name, 0, 0)
    }

    fn truth(&mut self, here: Point) -> Lowers {
        let special = match self.fact(0).kind {
            Some(Kind::Bool) => Some("_TO_BOOL_BOOL"),
            Some(Kind::None) => Some("_TO_BOOL_NONE"),
            Some(Kind::Int) => Some("_TO_BOOL_INT"),
            Some(Kind::List) => Some("_TO_BOOL_LIST"),
            Some(Kind::Str) => Some("_TO_BOOL_STR"),
            _ => None,
        };
        match special {
            Some(name) if self.specialises(here) => {
                let label = self.generic(here);
                self.push_jumping(name, 0, label)?;
            }
            _ => self.push("_TO_BOOL", 0, 0)?,
        }
        self.replace(1, Fact::proven(Kind::Bool));
        Ok(())
    }

    fn binary(&mut self, here: Point, operator: Binary, in_place: bool) -> Lowers {
        let name = match operator {
            Binary::Add => Some("ADD"),
            Binary::Subtract => Some("SUBTRACT"),
            Binary::Multiply => Some("MULTIPLY"),
            _ => None,
        };
        let kind = self.common_kind();
        if let (Some(name), Some(kind)) = (name, kind)
            && let Some(suffix) = typed(kind)
            && (kind != Kind::Str || operator == Binary::Add)
            && self.specialises(here)
        {
            self.guard_both(here, kind, suffix)?;
            self.replace(2, Fact::proven(kind));
            return self.push(&format!("_BINARY_OP_{name}_{suffix}"), 0, 0);
        }
        let guess = match (self.fact(1).kind, self.fact(0).kind) {
            _ if operator == Binary::TrueDivide => Some(Kind::Float),
            (Some(Kind::Float), _) | (_, Some(Kind::Float)) => Some(Kind::Float),
            (left, _) => left,
        };
        self.replace(2, Fact::guess(guess));
        let oparg = operator as u32 + if in_place { 13 } else { 0 };
        self.push("_BINARY_OP", oparg, 0)
    }

    fn compare(&mut self, here: Point, comparison: Comparison) -> Lowers {
        let plain = match comparison {
            Comparison::In => Some(("_CONTAINS_OP", 0)),
            Comparison::NotIn => Some(("_CONTAINS_OP", 1)),
            Comparison::Is => Some(("_IS_OP", 0)),
            Comparison::IsNot => Some(("_IS_OP", 1)),
            _ => None,
        };
        let special = match self.fact(0).kind {
            Some(Kind::Dict) => Some("_CONTAINS_OP_DICT"),
            Some(Kind::Set | Kind::FrozenSet) => Some("_CONTAINS_OP_SET"),
            _ => None,
        };
        if let (Some(("_CONTAINS_OP", oparg)), Some(name)) = (plain, special)
            && self.specialises(here)
        {
            let label = self.generic(here);
            self.replace(2, Fact::proven(Kind::Bool));
            return self.push_jumping(name, oparg, label);
        }
        if let Some((name, oparg)) = plain {
            self.replace(2, Fact::proven(Kind::Bool));
            return self.push(name, oparg, 0);
        }
        // The outcomes that it asks for: unordered, less, greater, equal; and that the answer be a bool.
        let (number, mask) = match comparison {
            Comparison::Less => (0, 2),
            Comparison::LessEqual => (1, 10),
            Comparison::Equal => (2, 8),
            Comparison::NotEqual => (3, 7),
            Comparison::Greater => (4, 4),
            _ => (5, 12),
        };
        let oparg = number << 5 | 16 | mask;
        let kind = self.common_kind();
        let is_equality = matches!(comparison, Comparison::Equal | Comparison::NotEqual);
        if let Some(kind) = kind
            && let Some(suffix) = typed(kind)
            && (kind != Kind::Str || is_equality)
            && self.specialises(here)
        {
            self.guard_both(here, kind, suffix)?;
            self.replace(2, Fact::proven(Kind::Bool));
            return match kind {
                Kind::Int => {
                    let label = self.generic(here);
                    self.push_jumping("_COMPARE_OP_INT", oparg, label)
                }
                Kind::Float => self.push("_COMPARE_OP_FLOAT", oparg, 0),
                _ => self.push("_COMPARE_OP_STR", oparg, 0),
            };
        }
        self.replace(2, Fact::proven(Kind::Bool));
        self.push("_COMPARE_OP", oparg, 0)
    }

    fn subscript(&mut self, here: Point) -> Lowers {
        let (index, container) = (self.fact(0), self.fact(1));
        let special = match container.kind {
            Some(Kind::List) => Some("_BINARY_SUBSCR_LIST_INT"),
            Some(Kind::Tuple) => Some("_BINARY_SUBSCR_TUPLE_INT"),
            Some(Kind::Str) => Some("_BINARY_SUBSCR_STR_INT"),
            _ => None,
        };
        let guess = match container.kind {
            Some(Kind::Str) => Some(Kind::Str),
            _ => Some(Kind::Int),
        };
        let special = match container.kind {
            Some(Kind::Dict) => Some("_BINARY_SUBSCR_DICT"),
            _ => special.filter(|_| index.is(Kind::Int)),
        };
        match special {
            Some(name) if self.specialises(here) => {
                let label = self.generic(here);
                self.push_jumping(name, 0, label)?;
            }
            _ => self.push("_BINARY_SUBSCR", 0, 0)?,
        }
        self.replace(2, Fact::guess(guess));
        Ok(())
    }

    fn store_subscript(&mut self, here: Point) -> Lowers {
        let (index, container) = (self.fact(0), self.fact(1));
        if container.is(Kind::List) && index.is(Kind::Int) && self.specialises(here) {
            let label = self.generic(here);
            self.push_jumping("_STORE_SUBSCR_LIST_INT", 0, label)?;
        } else if container.is(Kind::Dict) && self.specialises(here) {
            let label = self.generic(here);
            self.push_jumping("_STORE_SUBSCR_DICT", 0, label)?;
        } else {
            self.push("_STORE_SUBSCR", 0, 0)?;
        }
        self.pop(3);
        Ok(())
    }

    fn build(&mut self, name: &str, count: u32, kind: Kind) -> Lowers {
        self.replace(count as usize, Fact::proven(kind));
        self.push(name, count, 0)
    }

    fn unpack(&mut self, here: Point, count: u32) -> Lowers {
        let special = match self.fact(0).kind {
            Some(Kind::Tuple) if count == 2 => Some("_UNPACK_SEQUENCE_TWO_TUPLE"),
            Some(Kind::Tuple) => Some("_UNPACK_SEQUENCE_TUPLE"),
            Some(Kind::List) => Some("_UNPACK_SEQUENCE_LIST"),
            _ => None,
        };
        match special {
            Some(name) if self.specialises(here) => {
                let label = self.generic(here);
                self.push_jumping(name, count, label)?;
            }
            _ => self.push("_UNPACK_SEQUENCE", count, 0)?,
        }
        self.pop(1);
        let depth = self.state.stack.len() + count as usize;
        self.state.stack.resize(depth, Fact::guess(Some(Kind::Int)));
        Ok(())
    }

    fn call(&mut self, here: Point, count: u32) -> Lowers {
        let depth = self.state.stack.len() - 2 - count as usize;
        let callee = self.state.stack[depth].kind;
        let special = match callee {
            Some(Kind::Type) => "_CALL_BUILTIN_CLASS",
            _ if count == 1 && self.once_in(3) => "_CALL_LEN",
            _ if count == 1 && self.once_in(2) => "_CALL_BUILTIN_O",
            _ => "_CALL_BUILTIN_FAST",
        };
        if self.specialises(here) {
            let label = self.generic(here);
            self.push_jumping(special, count, label)?;
        } else {
            if self.once_in(2) {
                let label = self.generic(here);
                self.push_jumping("_CHECK_IS_NOT_PY_CALLABLE", count, label)?;
            }
            self.push("_CALL_NON_PY_GENERAL", count, 0)?;
        }
        self.replace(count as usize + 2, Fact::guess(Some(Kind::Int)));
        Ok(())
    }

    fn block_end(&mut self, here: Point, end: End) -> Lowers {
        match end {
            End::Go(block) => self.go(block),
            End::Return => {
                let uop = self.trace.uop("_EXIT_TRACE")?.target(ENDED);
                self.trace.push(uop);
                Ok(())
            }
            End::Branch { then, otherwise } => {
                self.pop(1);
                let (guard, next, other) = match self.once_in(2) {
                    true => ("_GUARD_IS_TRUE_POP", then, otherwise),
                    false => ("_GUARD_IS_FALSE_POP", otherwise, then),
                };
                let label = self.edge(other);
                self.push_jumping(guard, 0, label)?;
                self.go(next)
            }
            End::Next { body, done } => self.next_item(here, body, done),
        }
    }

    fn next_item(&mut self, here: Point, body: BlockId, done: BlockId) -> Lowers {
        let special = match self.fact(0).kind {
            Some(Kind::RangeIterator) => Some("RANGE"),
            Some(Kind::ListIterator) => Some("LIST"),
            Some(Kind::TupleIterator) => Some("TUPLE"),
            _ => None,
        };
        match special {
            Some(name) if self.specialises(here) => {
                let other = self.generic(here);
                self.push_jumping(&format!("_ITER_CHECK_{name}"), 0, other)?;
                let label = self.edge(done);
                self.push_jumping(&format!("_GUARD_NOT_EXHAUSTED_{name}"), 0, label)?;
                self.push(&format!("_ITER_NEXT_{name}"), 0, 0)?;
                self.state.stack.push(match name {
                    "RANGE" => Fact::proven(Kind::Int),
                    _ => Fact::guess(Some(Kind::Int)),
                });
            }
            _ => {
                let label = self.edge(done);
                self.push_jumping("_FOR_ITER_TIER_TWO", 0, label)?;
                self.state.stack.push(Fact::default());
            }
        }
        self.go(body)
    }
}

fn start_of(block: BlockId) -> Point {
    Point {
        block,
        op: 0,
        generic: false,
    }
}

/// How typed uops name a kind.
fn typed(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Int => Some("INT"),
        Kind::Float => Some("FLOAT"),
        Kind::Str => Some("UNICODE"),
        _ => None,
    }
}
