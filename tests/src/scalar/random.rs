//! Scalar traces made of random choices.
//!
//! A trace is made while a tape of choices is read. The tape is recorded from a seeded generator of numbers, or played
//! back; past its end every choice is 0, which is always the plainest. So a tape with parts cut out or choices lowered is
//! again a tape, of a smaller trace: that is how [`shrink`] works, without knowing what a trace is (the idea is that of
//! Hypothesis, MacIver and Donaldson 2020).
//!
//! Every trace ends: loops count, and what jumps out of line comes back further on or leaves. Addresses go from the
//! locals straight into accesses behind guards, so that what a trace does depends on the tape alone. Beyond that anything
//! goes: values stay on the stack across branches, loops and exits, locals are stored to while copies of them are on the
//! stack, floats are taken for integers.

use crate::numbers::Numbers;
use mimeo::form::Class;
use mimeo_bench::native::NATIVES;
use mimeo_bench::op::Jump;
use mimeo_bench::scalar::Label;
use mimeo_bench::{Inputs, Op, ScalarTrace, ScalarUop, Word, Writer};

/// A trace and what it starts with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// The trace.
    pub trace: ScalarTrace,
    /// What it starts with.
    pub inputs: Inputs,
}

/// The choices that a trace is made of.
#[derive(Clone, Debug)]
pub struct Tape {
    choices: Vec<u32>,
    at: usize,
    source: Option<Numbers>,
}

impl Tape {
    /// A tape that is recorded while it is read.
    pub fn record(seed: u64) -> Self {
        // Neighbouring seeds give xorshift neighbouring numbers at first.
        let seed = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut source = Numbers::new(seed ^ seed >> 32);
        for _ in 0..8 {
            source.number();
        }
        Self {
            choices: Vec::new(),
            at: 0,
            source: Some(source),
        }
    }

    /// A tape that was recorded.
    pub fn play(choices: &[u32]) -> Self {
        Self {
            choices: choices.to_vec(),
            at: 0,
            source: None,
        }
    }

    /// What was recorded.
    pub fn choices(&self) -> &[u32] {
        &self.choices
    }

    fn choice(&mut self) -> u32 {
        if let Some(source) = &mut self.source {
            self.choices.push((source.number() >> 32) as u32);
        }
        let choice = self.choices.get(self.at).copied().unwrap_or_default();
        self.at += 1;
        choice
    }

    /// A number in 0..`limit`.
    fn below(&mut self, limit: usize) -> usize {
        self.choice() as usize % limit.max(1)
    }

    /// Whether something happens that does once in `times`.
    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) + 1 == times
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn word(&mut self) -> u64 {
        u64::from(self.choice()) << 32 | u64::from(self.choice())
    }
}

/// Integers at which something changes.
const EDGES: &[i64] = &[
    i64::MIN,
    i64::MIN + 1,
    i64::MAX,
    i64::MAX - 1,
    i32::MIN as i64,
    i32::MIN as i64 - 1,
    i32::MAX as i64,
    i32::MAX as i64 + 1,
    u32::MAX as i64,
    u32::MAX as i64 + 1,
    -1,
    63,
    64,
    65,
    127,
    128,
    -128,
    -129,
    255,
    256,
    1 << 31,
    1 << 52,
    1 << 53,
    (1 << 53) + 1,
];

/// The same for floats, as bits.
const FLOAT_EDGES: &[u64] = &[
    0x3ff0_0000_0000_0000, // 1
    0x8000_0000_0000_0000, // -0
    0x7ff0_0000_0000_0000, // infinity
    0xfff0_0000_0000_0000, // -infinity
    0xfff8_0000_0000_0000, // the processor's NaN
    0x7ff8_0000_0000_0001, // another
    0x7ff0_0000_0000_0001, // one that signals
    0x0000_0000_0000_0001, // the smallest
    0x0010_0000_0000_0000, // the smallest normal
    0x7fef_ffff_ffff_ffff, // the largest
    0x43e0_0000_0000_0000, // 2^63
    0xc3e0_0000_0000_0000, // -2^63
    0x43df_ffff_ffff_ffff, // below 2^63
    0x4340_0000_0000_0000, // 2^53
    0x3fe0_0000_0000_0000, // 1/2
    0xbff8_0000_0000_0000, // -1.5
];

fn integer(tape: &mut Tape) -> u64 {
    match tape.below(6) {
        0 => tape.below(8) as u64,
        1 => (tape.below(300) as i64 - 150) as u64,
        2 => tape.pick(EDGES) as u64,
        3 => (tape.choice() as i32 as i64) as u64,
        4 => (1u64 << tape.below(64)).wrapping_sub(tape.below(3) as u64),
        _ => tape.word(),
    }
}

fn float(tape: &mut Tape) -> u64 {
    match tape.below(4) {
        0 => (tape.below(8) as f64).to_bits(),
        1 => (f64::from(tape.choice() as i32) / 1024.0).to_bits(),
        2 => tape.pick(FLOAT_EDGES),
        _ => {
            // A normal number of any size.
            let exponent = 1 + tape.below(2046) as u64;
            tape.word() & !(0x7ff << 52) | exponent << 52
        }
    }
}

fn constant(tape: &mut Tape, class: Class) -> u64 {
    match class {
        Class::General => integer(tape),
        Class::Float => float(tape),
    }
}

/// Uops that compute one value of others, whatever they are.
const COMPUTE: &[Op] = &[
    Op::Add,
    Op::Sub,
    Op::Mul,
    Op::And,
    Op::Or,
    Op::Xor,
    Op::Shl,
    Op::Shr,
    Op::Sar,
    Op::Rotl,
    Op::Rotr,
    Op::Min,
    Op::Max,
    Op::MinU,
    Op::MaxU,
    Op::Neg,
    Op::Not,
    Op::Abs,
    Op::Clz,
    Op::Ctz,
    Op::Popcnt,
    Op::Bswap,
    Op::ExtendS8,
    Op::ExtendS16,
    Op::ExtendS32,
    Op::ExtendU8,
    Op::ExtendU16,
    Op::ExtendU32,
    Op::BoolNot,
    Op::Eq,
    Op::Ne,
    Op::Lt,
    Op::Le,
    Op::Gt,
    Op::Ge,
    Op::LtU,
    Op::LeU,
    Op::GtU,
    Op::GeU,
    Op::EqF,
    Op::NeF,
    Op::LtF,
    Op::LeF,
    Op::GtF,
    Op::GeF,
    Op::SelectI64,
    Op::SelectF64,
    Op::AddF,
    Op::SubF,
    Op::MulF,
    Op::DivF,
    Op::MinF,
    Op::MaxF,
    Op::NegF,
    Op::AbsF,
    Op::SqrtF,
    Op::I64ToF64,
    Op::F64Bits,
    Op::F64FromBits,
];

/// Uops that do so unless they jump.
const PARTIAL: &[Op] = &[
    Op::AddChecked,
    Op::SubChecked,
    Op::MulChecked,
    Op::Div,
    Op::Rem,
    Op::DivU,
    Op::RemU,
    Op::F64ToI64,
    Op::GuardIndex,
];

const COMPARE: &[Op] = &[
    Op::Lt,
    Op::Ne,
    Op::Eq,
    Op::Ge,
    Op::LtU,
    Op::GtU,
    Op::LtF,
    Op::NeF,
    Op::GeF,
    Op::EqF,
];

const BRANCHES: &[Op] = &[
    Op::JumpIfFalse,
    Op::JumpIfTrue,
    Op::GuardTrue,
    Op::GuardFalse,
];

const LOADS: &[(Op, u64)] = &[
    (Op::LoadAtI64, 8),
    (Op::LoadAtF64, 8),
    (Op::LoadAtS8, 1),
    (Op::LoadAtU8, 1),
    (Op::LoadAtS16, 2),
    (Op::LoadAtU16, 2),
    (Op::LoadAtS32, 4),
    (Op::LoadAtU32, 4),
];

const STORES: &[(Op, u64)] = &[
    (Op::StoreAtI64, 8),
    (Op::StoreAtF64, 8),
    (Op::StoreAt8, 1),
    (Op::StoreAt16, 2),
    (Op::StoreAt32, 4),
];

/// The deepest that loops are nested.
const LOOPS: usize = 3;

/// No trace has many more uops.
const BUDGET: usize = 3000;

/// Code out of line, which the uops that may jump go to.
struct Handler {
    label: Label,
    /// What is on the stack there.
    stack: Vec<Class>,
    /// How many of the values on top are an address and what belongs to it, of which nothing must be made.
    addresses: usize,
    /// Where it goes on, and with what; it leaves the trace otherwise.
    resume: Option<Resume>,
}

struct Resume {
    label: Label,
    stack: Option<Vec<Class>>,
}

/// A local that holds an address.
#[derive(Clone, Copy)]
struct Pointer {
    local: u32,
    bytes: u64,
}

struct Maker<'t> {
    tape: &'t mut Tape,
    code: Writer,
    stack: Vec<Class>,
    deepest: usize,
    /// What the locals hold that the trace may store to.
    locals: Vec<Class>,
    pointers: Vec<Pointer>,
    counters: [u32; LOOPS],
    handlers: Vec<Handler>,
    /// The handlers that have yet to come back to a block, for each block around here.
    returning: Vec<Vec<usize>>,
    exits: u32,
}

/// Makes a trace of a tape.
///
/// # Panics
/// The generator has made a trace that makes no sense.
pub fn make(tape: &mut Tape) -> Case {
    let count = 1 + tape.below(12) + if tape.once_in(10) { 100 } else { 0 };
    let locals: Vec<Class> = (0..count)
        .map(|_| match tape.once_in(2) {
            true => Class::Float,
            false => Class::General,
        })
        .collect();
    let buffers: Vec<Vec<u64>> = (0..1 + tape.below(2)).map(|_| buffer(tape)).collect();
    let mut inputs = Inputs::default();
    for &class in &locals {
        inputs.locals.push(Word::Bits(constant(tape, class)));
    }
    let mut pointers = Vec::new();
    for _ in 0..1 + tape.below(3) {
        let buffer = tape.below(buffers.len());
        let bytes = buffers[buffer].len() * 8;
        let offset = match tape.below(3) {
            0 => 0,
            1 => 8 * tape.below(bytes / 8),
            _ => tape.below(bytes),
        };
        pointers.push(Pointer {
            local: inputs.locals.len() as u32,
            bytes: (bytes - offset) as u64,
        });
        inputs.locals.push(Word::Address { buffer, offset });
    }
    let first_counter = inputs.locals.len() as u32;
    let preset = 1 + tape.below(4);
    inputs.locals.push(Word::Bits(preset as u64));
    inputs.buffers = buffers;
    let entry: Vec<Class> = (0..tape.below(8).saturating_sub(3))
        .map(|_| tape.pick(&[Class::General, Class::Float]))
        .collect();
    for &class in &entry {
        inputs.stack.push(Word::Bits(constant(tape, class)));
    }
    let deepest = 6 + tape.below(9);
    let mut maker = Maker {
        code: Writer::new(first_counter + LOOPS as u32).entered_with(entry.len() as u32),
        tape,
        stack: entry,
        deepest,
        locals,
        pointers,
        counters: std::array::from_fn(|level| first_counter + level as u32),
        handlers: Vec::new(),
        returning: Vec::new(),
        exits: 0,
    };
    maker.whole();
    let trace = maker.code.finish();
    Case {
        trace: trace.unwrap_or_else(|error| panic!("the generator made no sense: {error}")),
        inputs,
    }
}

fn buffer(tape: &mut Tape) -> Vec<u64> {
    let words = 1 + tape.below(6);
    let mut words: Vec<u64> = (0..words).map(|_| integer(tape)).collect();
    words.push(float(tape));
    words
}

impl Maker<'_> {
    fn whole(&mut self) {
        let size = match self.tape.below(16) {
            15 => 100 + self.tape.below(200),
            _ => self.tape.below(40),
        };
        if self.tape.once_in(8) {
            self.repeat(0, true);
        }
        self.block(size, 0);
        self.leave();
        if self.tape.once_in(16) {
            // Control never gets here.
            self.code.op(Op::Add).op(Op::DropF64);
            self.leave();
        }
        while let Some(handler) = self.handlers.pop() {
            self.handle(handler);
        }
    }

    fn leave(&mut self) {
        self.exits += 1;
        self.code.exit(self.exits);
    }

    fn handle(&mut self, handler: Handler) {
        self.code.bind(handler.label);
        self.stack = handler.stack;
        let Some(resume) = handler.resume else {
            if handler.addresses == 0 {
                self.tidy_up();
            }
            return self.leave();
        };
        for _ in 0..handler.addresses {
            self.drop_top();
        }
        self.tidy_up();
        // Every block lets its handlers come back before it ends.
        self.settle(&resume.stack.unwrap_or_default());
        self.code.jumping(Op::Jump, resume.label);
    }

    /// A few uops that do not jump.
    fn tidy_up(&mut self) {
        for _ in 0..self.tape.below(4) {
            match self.tape.below(4) {
                0 => self.drop_top(),
                1 => self.store_top(),
                2 => self.copy_top(),
                _ => {
                    let class = self.any_class();
                    self.operand(class);
                }
            }
        }
    }

    fn block(&mut self, size: usize, level: usize) {
        self.returning.push(Vec::new());
        for _ in 0..size {
            if self.code.position() > BUDGET {
                break;
            }
            self.statement(level);
            self.come_back(3);
        }
        self.come_back(1);
        self.returning.pop();
    }

    /// Lets each handler of the innermost block that has yet to come back do so here, once in so many times.
    fn come_back(&mut self, times: usize) {
        let Some(waiting) = self.returning.last_mut().map(std::mem::take) else {
            return;
        };
        for index in waiting {
            if !self.tape.once_in(times)
                && let Some(block) = self.returning.last_mut()
            {
                block.push(index);
                continue;
            }
            if let Some(resume) = &mut self.handlers[index].resume {
                self.code.bind(resume.label);
                resume.stack = Some(self.stack.clone());
            }
        }
    }

    fn statement(&mut self, level: usize) {
        match self.tape.below(32) {
            0..=16 => self.simple(),
            17..=19 => {
                let op = self.tape.pick(PARTIAL);
                self.apply(op);
            }
            20..=22 => self.guard(),
            23..=25 => self.access(),
            26 => self.branch(level),
            27 => self.repeat(level, false),
            28 => self.call(),
            _ => self.hazard(),
        }
    }

    fn any_class(&mut self) -> Class {
        self.tape.pick(&[Class::General, Class::Float])
    }

    fn has_room(&self, values: usize) -> bool {
        self.stack.len() + values <= self.deepest
    }

    fn simple(&mut self) {
        match self.tape.below(20) {
            0 => {
                let class = self.any_class();
                self.push_constant(class);
            }
            1..=5 => {
                let class = self.any_class();
                self.operand(class);
            }
            6 | 7 => self.copy_top(),
            8 => self.swap(),
            9 => self.drop_top(),
            10 | 11 => self.store_top(),
            _ => {
                let op = self.tape.pick(COMPUTE);
                self.apply(op);
            }
        }
    }

    // ---- One uop -----------------------------------------------------------------------------------------------

    fn push_constant(&mut self, class: Class) {
        let value = constant(self.tape, class);
        self.constant(class, value);
    }

    fn constant(&mut self, class: Class, operand: u64) {
        if !self.has_room(1) {
            return;
        }
        let op = match class {
            Class::General => Op::ConstI64,
            Class::Float => Op::ConstF64,
        };
        self.code.push(ScalarUop {
            operand,
            ..ScalarUop::new(op)
        });
        self.stack.push(class);
    }

    /// A local, the first ones most often; of any class once in a while.
    fn local(&mut self, class: Class) -> Option<u32> {
        let any = self.tape.once_in(16);
        let fits: Vec<u32> = (0..self.locals.len())
            .filter(|&local| any || self.locals[local] == class)
            .map(|local| local as u32)
            .collect();
        let few = if self.tape.once_in(3) { fits.len() } else { 3 };
        let chosen = self.tape.below(few.min(fits.len()));
        fits.get(chosen).copied()
    }

    fn load(&mut self, class: Class, oparg: u32) {
        if !self.has_room(1) {
            return;
        }
        let op = match class {
            Class::General => Op::LoadI64,
            Class::Float => Op::LoadF64,
        };
        self.code.push(ScalarUop {
            oparg,
            ..ScalarUop::new(op)
        });
        self.stack.push(class);
    }

    fn store(&mut self, oparg: u32) {
        let Some(class) = self.stack.pop() else {
            return;
        };
        let op = match class {
            Class::General => Op::StoreI64,
            Class::Float => Op::StoreF64,
        };
        self.code.push(ScalarUop {
            oparg,
            ..ScalarUop::new(op)
        });
    }

    /// Pushes a value of this class.
    fn operand(&mut self, class: Class) {
        if class == Class::General && self.tape.once_in(12) {
            let counter = self.tape.pick(&self.counters.clone());
            return self.load(class, counter);
        }
        match self.local(class) {
            Some(local) if !self.tape.once_in(3) => self.load(class, local),
            _ => self.push_constant(class),
        }
    }

    fn top_class(&mut self) -> Option<Class> {
        let class = *self.stack.last()?;
        if !self.tape.once_in(24) {
            return Some(class);
        }
        Some(match class {
            Class::General => Class::Float,
            Class::Float => Class::General,
        })
    }

    fn drop_top(&mut self) {
        let op = match self.top_class() {
            None => return,
            Some(Class::General) => Op::DropI64,
            Some(Class::Float) => Op::DropF64,
        };
        self.code.op(op);
        self.stack.pop();
    }

    fn copy_top(&mut self) {
        if !self.has_room(1) {
            return;
        }
        let (op, class) = match self.top_class() {
            None => return,
            Some(class @ Class::General) => (Op::DupI64, class),
            Some(class @ Class::Float) => (Op::DupF64, class),
        };
        self.code.op(op);
        self.stack.push(class);
    }

    fn swap(&mut self) {
        let count = self.stack.len();
        if count < 2 {
            return;
        }
        let op = match self.top_class() {
            Some(Class::Float) => Op::SwapF64,
            _ => Op::SwapI64,
        };
        self.code.op(op);
        self.stack.swap(count - 1, count - 2);
    }

    fn store_top(&mut self) {
        if let Some(class) = self.top_class()
            && let Some(local) = self.local(class)
        {
            self.store(local);
        }
    }

    /// Gets values of these classes to the top: those that are there, or new ones. Whether they are there then.
    fn arrange(&mut self, classes: &[Class]) -> bool {
        let fits = |stack: &[Class], count: usize| stack.ends_with(&classes[..count]);
        let as_is = self.stack.len() >= classes.len() && self.tape.once_in(24);
        let present = match as_is {
            true => classes.len(),
            false => (0..=classes.len())
                .rev()
                .find(|&count| fits(&self.stack, count))
                .unwrap_or_default(),
        };
        if !self.has_room(classes.len() - present) {
            return false;
        }
        for &class in &classes[present..] {
            self.operand(class);
        }
        true
    }

    /// A uop and values for it.
    fn apply(&mut self, op: Op) {
        if self.arrange(op.inputs()) {
            self.finish(op, 0);
        }
    }

    /// A uop whose values are there; `addresses` of them are an address and what belongs to it.
    fn finish(&mut self, op: Op, addresses: usize) {
        let below = self.stack.len() - op.inputs().len();
        match op.jump() {
            Jump::Never | Jump::Always => {
                self.code.op(op);
            }
            Jump::Taken => {
                let label = self.handler(self.stack[..below].to_vec(), addresses);
                self.code.jumping(op, label);
            }
            Jump::Kept => {
                let label = self.handler(self.stack.clone(), addresses);
                self.code.jumping(op, label);
            }
        }
        self.stack.truncate(below);
        self.stack.extend(op.outputs());
    }

    /// The label of code out of line for this stack.
    fn handler(&mut self, stack: Vec<Class>, addresses: usize) -> Label {
        let shared = self.handlers.iter().find(|handler| {
            handler.resume.is_none()
                && handler.stack.len() == stack.len()
                && handler.addresses == addresses
        });
        if let Some(shared) = shared.map(|handler| handler.label)
            && self.tape.once_in(4)
        {
            return shared;
        }
        let label = self.code.label();
        let mut resume = None;
        if self.tape.below(8) != 0
            && let Some(block) = self.returning.last_mut()
        {
            block.push(self.handlers.len());
            resume = Some(Resume {
                label: self.code.label(),
                stack: None,
            });
        }
        self.handlers.push(Handler {
            label,
            stack,
            addresses,
            resume,
        });
        label
    }

    // ---- Several uops ------------------------------------------------------------------------------------------

    /// Pushes a condition; whether there was room.
    fn condition(&mut self) -> bool {
        if !self.has_room(2) {
            return false;
        }
        let depth = self.stack.len();
        match self.tape.below(6) {
            0 => self.operand(Class::General),
            1 => {
                let op = self.tape.pick(COMPARE);
                for &class in op.inputs() {
                    self.operand(class);
                }
                self.finish(op, 0);
            }
            2 => {
                // Of one local twice: mostly known.
                if let Some(local) = self.local(Class::General) {
                    self.load(Class::General, local);
                    self.load(Class::General, local);
                    let op = self.tape.pick(&[Op::Eq, Op::Le, Op::Lt, Op::GeU]);
                    self.finish(op, 0);
                }
            }
            3 => {
                let counter = self.tape.pick(&self.counters.clone());
                self.load(Class::General, counter);
                let limit = self.tape.below(4) as u64;
                self.constant(Class::General, limit);
                self.finish(Op::Lt, 0);
            }
            4 => {
                let op = self.tape.pick(COMPARE);
                self.apply(op);
                return self.stack.last() == Some(&Class::General);
            }
            _ => return self.stack.last() == Some(&Class::General),
        }
        self.stack.len() == depth + 1
    }

    fn guard(&mut self) {
        if self.condition() {
            let op = self.tape.pick(BRANCHES);
            self.finish(op, 0);
        }
    }

    fn access(&mut self) {
        let pointer = self.tape.pick(&self.pointers.clone());
        let loads = self.tape.once_in(2);
        let (op, size) = self.tape.pick(if loads { LOADS } else { STORES });
        let length = pointer.bytes / size;
        if length == 0 || !self.has_room(4) {
            return;
        }
        if !loads && !self.arrange(&op.inputs()[..1]) || !self.has_room(3) {
            return;
        }
        self.load(Class::General, pointer.local);
        match self.tape.below(4) {
            0 => {
                let index = self.tape.below(length as usize) as u64;
                self.constant(Class::General, index);
            }
            1 => {
                self.operand(Class::General);
                self.constant(Class::General, length);
                self.finish(Op::GuardIndex, 3);
            }
            2 => {
                self.operand(Class::General);
                let mask = (length + 1).next_power_of_two() / 2 - 1;
                self.constant(Class::General, mask);
                self.finish(Op::And, 0);
            }
            _ => {
                self.operand(Class::General);
                self.constant(Class::General, length);
                self.finish(Op::RemU, 3);
            }
        }
        self.finish(op, 0);
    }

    /// Makes the stack as deep as another, whose classes it is then taken to have.
    fn settle(&mut self, stack: &[Class]) {
        while self.stack.len() > stack.len() {
            match self.tape.once_in(2) {
                true => {
                    let depth = self.stack.len();
                    self.store_top();
                    if self.stack.len() == depth {
                        self.drop_top();
                    }
                }
                false => self.drop_top(),
            }
        }
        while self.stack.len() < stack.len() {
            self.operand(stack[self.stack.len()]);
        }
        self.stack = stack.to_vec();
    }

    fn branch(&mut self, level: usize) {
        if !self.condition() {
            return;
        }
        let otherwise = self.code.label();
        let op = self.tape.pick(BRANCHES);
        self.code.jumping(op, otherwise);
        self.stack.pop();
        let before = self.stack.clone();
        let size = self.tape.below(6);
        self.block(size, level);
        match self.tape.below(8) {
            0..=2 => {
                self.settle(&before);
                self.code.bind(otherwise);
            }
            3 => {
                self.leave();
                self.code.bind(otherwise);
                self.stack = before;
            }
            _ => {
                let end = self.code.label();
                let there = std::mem::replace(&mut self.stack, before);
                self.code.jumping(Op::Jump, end).bind(otherwise);
                let size = self.tape.below(6);
                self.block(size, level);
                self.settle(&there);
                self.code.bind(end);
            }
        }
    }

    /// A loop; a preset one finds its counter set.
    fn repeat(&mut self, level: usize, preset: bool) {
        let Some(&counter) = self.counters.get(level) else {
            return;
        };
        if !self.has_room(2) {
            return;
        }
        let tested_first = !preset && self.tape.once_in(3);
        let times = 1 + self.tape.below(4) as u64;
        if !preset {
            self.constant(Class::General, if tested_first { 0 } else { times });
            self.store(counter);
        }
        let head = self.code.here();
        let end = self.code.label();
        let before = self.stack.clone();
        if tested_first {
            self.load(Class::General, counter);
            self.constant(Class::General, times);
            self.finish(Op::Lt, 0);
            self.code.jumping(Op::JumpIfFalse, end);
            self.stack.pop();
        }
        let size = self.tape.below(8);
        self.block(size, level + 1);
        self.settle(&before);
        self.load(Class::General, counter);
        self.constant(Class::General, 1);
        if tested_first {
            let op = self.tape.pick(&[Op::Add, Op::AddChecked]);
            self.finish(op, 0);
            self.store(counter);
            self.code.jumping(Op::Jump, head);
        } else {
            let op = self.tape.pick(&[Op::Sub, Op::SubChecked]);
            self.finish(op, 0);
            self.code.op(Op::DupI64);
            self.stack.push(Class::General);
            self.store(counter);
            self.code.jumping(Op::JumpIfTrue, head);
            self.stack.pop();
        }
        self.code.bind(end);
    }

    fn call(&mut self) {
        let number = self.tape.below(NATIVES.len());
        let op = NATIVES[number].op();
        if !self.arrange(op.inputs()) {
            return;
        }
        if op.inputs().is_empty() && !self.has_room(1) {
            return;
        }
        self.code.push(ScalarUop {
            operand: number as u64,
            ..ScalarUop::new(op)
        });
        let below = self.stack.len() - op.inputs().len();
        self.stack.truncate(below);
        self.stack.extend(op.outputs());
    }

    /// What goes wrong where values are not loaded before they are needed.
    fn hazard(&mut self) {
        let class = self.any_class();
        let (Some(one), Some(other)) = (self.local(class), self.local(class)) else {
            return;
        };
        if !self.has_room(4) {
            return;
        }
        let binary = match class {
            Class::General => [Op::Add, Op::Sub, Op::MulChecked, Op::SubChecked],
            Class::Float => [Op::AddF, Op::SubF, Op::MulF, Op::MinF],
        };
        match self.tape.below(6) {
            0 => {
                self.load(class, one);
                self.load(class, one);
                let op = self.tape.pick(&binary);
                self.finish(op, 0);
                self.store(one);
            }
            1 => {
                self.load(class, one);
                self.load(class, other);
                self.push_constant(class);
                self.store(one);
                let op = self.tape.pick(&binary);
                self.finish(op, 0);
            }
            2 => {
                self.load(class, one);
                self.copy_top();
                self.load(class, other);
                let op = self.tape.pick(&binary);
                self.finish(op, 0);
                self.store(one);
            }
            3 => {
                // The locals change places.
                self.load(class, one);
                self.load(class, other);
                self.store(one);
                self.store(other);
            }
            4 => {
                self.load(class, one);
                self.push_constant(class);
                let op = self.tape.pick(&binary);
                self.finish(op, 0);
                self.load(class, one);
                self.swap();
                self.store(one);
            }
            _ => {
                while self.has_room(1) {
                    let class = self.any_class();
                    self.operand(class);
                }
                self.store_top();
            }
        }
    }
}

/// The most tapes that are tried in order to find a shorter one.
const TRIES: usize = 4000;

/// A shorter tape that fails as the given one does.
pub fn shrink(choices: &[u32], mut fails: impl FnMut(&[u32]) -> bool) -> Vec<u32> {
    let mut best = choices.to_vec();
    let mut tries = 0;
    let mut fails = |tape: &[u32]| {
        tries += 1;
        tries <= TRIES && fails(tape)
    };
    loop {
        let before = best.clone();
        let mut length = best.len() / 2;
        while length > 0 {
            let mut start = 0;
            while start + length <= best.len() {
                let mut shorter = best.clone();
                shorter.drain(start..start + length);
                if fails(&shorter) {
                    best = shorter;
                } else {
                    start += length;
                }
            }
            length /= 2;
        }
        for index in 0..best.len() {
            for lower in [0, best[index] / 2, best[index].saturating_sub(1)] {
                if lower >= best[index] {
                    continue;
                }
                let mut plainer = best.clone();
                plainer[index] = lower;
                if fails(&plainer) {
                    best = plainer;
                }
            }
        }
        if best == before {
            return best;
        }
    }
}
