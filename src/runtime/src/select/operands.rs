//! Selection for sets with operand forms: keeps the stack in registers and as constants as far as it can, and locals pinned.
//!
//! At each uop, the virtual stack says where every value is. Uops that only move values about change the virtual stack and
//! give no code: loads of pinned locals, constants, copies, drops, swaps. For the others the longest sequence of uops that has
//! an operand form becomes one stencil, its placeholders renamed to where the values are. What has no such form gets its base
//! form, in front of which all values are stored.
//!
//! **State.** Whatever is placed on the way to a form (reloads, moves to registers that it can have, spills for want of
//! registers) leaves every value what it is, somewhere. So when an attempt fails half-way, the next starts from there.
//!
//! **Labels.** Where control meets, all values are in memory and the stack pointer points behind them. A jump out of another
//! state goes to an edge stub in the cold region, which stores what is missing and goes on. Jumps leave every register as it
//! was, so the state there is the one in front of the stencil. Pinned locals stay in their registers everywhere.

use super::index::{FormEntry, Index, NodeId, Role, Shape};
use super::pins::Pins;
use super::places::Sites;
use super::plumbing::{Emitter, Plumbing};
use super::stack::{Entry, Location, VirtualStack};
use super::{Arguments, Assemble, LabelId, NO_EXIT, Renaming, Selection};
use crate::form::{Class, Input, MAX_FUSED, MAX_INPUTS, Register, RegisterSet};
use crate::stencil::UopFlags;

/// The most entries of the virtual stack; beyond, all are stored. It bounds the length of edge stubs.
const MAX_ENTRIES: usize = 16;

/// How many edge stubs of a place are compared with one that is needed.
const COMPARED: usize = 8;

/// Selects for a whole trace.
pub(super) fn select<A: Assemble>(
    mut sites: Sites<'_, A>,
    index: &Index,
    plumbing: &Plumbing,
    selection: Selection,
) {
    let pins = if selection.registers && selection.pins {
        Pins::choose(&sites, index, plumbing)
    } else {
        Pins::default()
    };
    sites.move_terminals();
    let depth = sites.trace.shape.entry_depth;
    let mut selector = Selector {
        stack: VirtualStack::new(depth, pins.others()),
        emitter: Emitter {
            plumbing,
            stack_pointer: depth,
        },
        stubs: Stubs::new(sites.len()),
        registers: selection.registers,
        longest: if selection.supernodes { MAX_FUSED } else { 1 },
        sites,
        index,
        pins,
    };
    let leave = selector.prologue();
    selector.hot();
    selector.sites.assembler.begin_cold();
    selector.stubs();
    selector.cold_terminals();
    if let Some(leave) = leave {
        selector.leave(leave);
    }
}

struct Selector<'a, A> {
    sites: Sites<'a, A>,
    index: &'a Index,
    emitter: Emitter<'a>,
    pins: Pins,
    stack: VirtualStack,
    stubs: Stubs,
    /// Whether there are other forms than base forms.
    registers: bool,
    /// The most uops of a stencil.
    longest: usize,
}

/// Where the output of a form goes.
struct Output<'a> {
    form: &'a FormEntry,
    register: Option<Register>,
}

/// A store to a pinned local right behind a form, which the form's output can do by itself.
struct Wanted {
    register: Register,
    /// Whether the value stays on the stack too.
    copied: bool,
}

impl<A: Assemble> Selector<'_, A> {
    /// Loads pinned locals. Returns the label of the way out, if there is a way out.
    fn prologue(&mut self) -> Option<LabelId> {
        let is_exit = |at: usize| {
            self.sites.is_reached(at) && self.sites.entry(at).flags.contains(UopFlags::EXIT_RECORD)
        };
        let leave = (0..self.sites.len()).any(is_exit).then(|| {
            let label = self.sites.assembler.label();
            self.sites.assembler.set_leave(label);
            label
        });
        for pin in self.pins.all.iter().filter(|pin| pin.loaded) {
            self.emitter
                .load(self.sites.assembler, pin.local, pin.register);
        }
        leave
    }

    fn hot(&mut self) {
        let mut at = 0;
        while at < self.sites.len() {
            if !self.sites.is_reached(at) || self.sites.is_cold(at) {
                at += 1;
                continue;
            }
            if self.sites.is_label(at) {
                self.enter(at);
            }
            at = self.step(at);
        }
    }

    /// Starts anew at a label.
    fn enter(&mut self, at: usize) {
        if at == 0 || self.sites.falls(at) {
            self.store_all();
        }
        // Some jump goes there, or control would not get there.
        let depth = self.sites.trace.depth(at).unwrap_or(0);
        self.stack.reset(depth);
        self.emitter.stack_pointer = depth;
        self.sites.bind(at);
    }

    /// Selects for the uop at `at` and as many behind it as fit. Returns the position behind them.
    fn step(&mut self, at: usize) -> usize {
        if self.stack.entries.len() > MAX_ENTRIES {
            self.store_all();
        }
        if !self.registers {
            return self.base(at);
        }
        let uop = self.sites.uop(at);
        let done = match self.index.role(uop) {
            Role::Load(_) => self.push_pinned(uop.oparg),
            Role::Store(_) => self.store_pinned(uop.oparg),
            Role::Constant(class) => self.push_constant(class, uop.operand),
            Role::Copy => self.copy_top(),
            Role::Drop => {
                self.stack.pop();
                true
            }
            Role::Swap => self.swap_top(),
            Role::Plain => false,
        };
        if done {
            return at + 1;
        }
        let next = self.sequence(at).unwrap_or_else(|| self.base(at));
        self.stack.locked = RegisterSet(0);
        next
    }

    // ---- Uops that change the virtual stack only ---------------------------------------------------------------

    fn push_pinned(&mut self, local: u32) -> bool {
        let register = self.pins.register_of(local);
        if let Some(register) = register {
            self.stack.push(Entry::at(Location::Pinned(register)));
        }
        register.is_some()
    }

    fn push_constant(&mut self, class: Class, bits: u64) -> bool {
        if self.emitter.plumbing.has_constants(class) {
            self.stack.push(Entry::at(Location::Constant(bits)));
            return true;
        }
        // Not every constant can be had later, but this one perhaps now.
        let Some(register) = self.allocate(class, RegisterSet::ALL) else {
            return false;
        };
        let given = self.emitter.constant(self.sites.assembler, bits, register);
        if given {
            self.stack.push(Entry::at(Location::Temporary(register)));
        }
        given
    }

    fn copy_top(&mut self) -> bool {
        let Some(top) = self.stack.expose(1).and_then(|top| self.lift(top)) else {
            return false;
        };
        self.stack.push(Entry::at(top));
        true
    }

    fn swap_top(&mut self) -> bool {
        let Some(first) = self.stack.expose(2) else {
            return false;
        };
        let (Some(lower), Some(upper)) = (self.lift(first), self.lift(first + 1)) else {
            return false;
        };
        // To lift the upper value may have spilled the lower.
        if self.stack.entries[first].location != lower {
            return false;
        }
        self.stack.truncate(first);
        self.stack.push(Entry::at(upper));
        self.stack.push(Entry::at(lower));
        true
    }

    /// Sees to it that an entry is not in memory only. Returns where it is.
    fn lift(&mut self, index: usize) -> Option<Location> {
        if self.stack.entries[index].location == Location::Memory {
            // A value is as well in a register of either class; that of the uop that takes it is not known yet.
            let register = self.allocate(Class::General, RegisterSet::ALL)?;
            let slot = self.stack.slot(index);
            self.emitter.reload(self.sites.assembler, slot, register);
            self.stack.relocate(index, Location::Temporary(register));
        }
        Some(self.stack.entries[index].location)
    }

    /// Pops a value into a pinned local.
    fn store_pinned(&mut self, local: u32) -> bool {
        let Some(register) = self.pins.register_of(local) else {
            return false;
        };
        let Some(top) = self.stack.expose(1) else {
            return false;
        };
        let location = self.stack.entries[top].location;
        if location != Location::Pinned(register) {
            self.keep_old(register, top);
            if !self.bring(top, register) {
                return false;
            }
        }
        self.stack.pop();
        true
    }

    /// Brings the value of an entry to a register, which nothing else may be in; the entry stays where it is.
    /// Returns whether that is possible.
    fn bring(&mut self, index: usize, register: Register) -> bool {
        let slot = self.stack.slot(index);
        let assembler = &mut *self.sites.assembler;
        match self.stack.entries[index].location {
            Location::Temporary(from) | Location::Pinned(from) => {
                if from.class() == register.class() {
                    self.emitter.copy(assembler, from, register);
                    return true;
                }
                // Between the classes, a value goes through memory.
                if !self.stack.entries[index].stored {
                    self.emitter.spill(assembler, from, slot);
                    self.stack.entries[index].stored = true;
                }
                self.emitter.reload(assembler, slot, register);
            }
            Location::Memory => self.emitter.reload(assembler, slot, register),
            Location::Constant(bits) => {
                if !self.emitter.constant(assembler, bits, register) {
                    // The other class has forms for it.
                    let Some(through) = self.allocate_other(register.class()) else {
                        return false;
                    };
                    let assembler = &mut *self.sites.assembler;
                    if !self.emitter.constant(assembler, bits, through) {
                        return false;
                    }
                    self.emitter.spill(assembler, through, slot);
                    self.emitter.reload(assembler, slot, register);
                    self.stack.entries[index].stored = true;
                }
            }
        }
        true
    }

    fn allocate_other(&mut self, class: Class) -> Option<Register> {
        let other = match class {
            Class::General => Class::Float,
            Class::Float => Class::General,
        };
        self.allocate(other, RegisterSet::ALL)
    }

    /// Before the value of a pinned local changes: the entries below `end` that are its old value get a place of their own.
    fn keep_old(&mut self, register: Register, end: usize) {
        let is_old = |entry: &Entry| entry.location == Location::Pinned(register);
        if self.stack.pinned(register) == 0 || !self.stack.entries[..end].iter().any(is_old) {
            return;
        }
        let new = self.allocate(register.class(), RegisterSet::ALL);
        if let Some(new) = new {
            self.emitter.copy(self.sites.assembler, register, new);
        }
        for index in 0..end {
            if !is_old(&self.stack.entries[index]) {
                continue;
            }
            match new {
                Some(new) => self.stack.relocate(index, Location::Temporary(new)),
                None => self.spill(index),
            }
        }
    }

    // ---- Registers ---------------------------------------------------------------------------------------------

    /// A temporary of a class, in the set and not locked; spills the lowest values where none is free.
    fn allocate(&mut self, class: Class, set: RegisterSet) -> Option<Register> {
        loop {
            if let Some(free) = self.stack.free(class, set) {
                return Some(free);
            }
            let victim = self.stack.victim(class, set)?;
            self.spill(victim);
        }
    }

    /// Leaves an entry that is in a register in its slot only.
    fn spill(&mut self, index: usize) {
        let entry = self.stack.entries[index];
        if let Location::Temporary(register) | Location::Pinned(register) = entry.location {
            if !entry.stored {
                let slot = self.stack.slot(index);
                self.emitter.spill(self.sites.assembler, register, slot);
                self.stack.entries[index].stored = true;
            }
            self.stack.relocate(index, Location::Memory);
        }
    }

    /// Brings everything to the state of labels and base forms.
    fn store_all(&mut self) {
        let (entries, base) = (&self.stack.entries, self.stack.base);
        self.emitter.store_all(self.sites.assembler, entries, base);
        self.stack.reset(self.stack.depth());
    }

    // ---- Forms -------------------------------------------------------------------------------------------------

    /// Places the base form of a uop.
    fn base(&mut self, at: usize) -> usize {
        self.store_all();
        self.sites.place_base(at);
        // Behind a uop that does not continue, a label says how deep the stack is.
        let depth = self.sites.trace.depth(at + 1).unwrap_or(0);
        self.stack.reset(depth);
        self.emitter.stack_pointer = depth;
        at + 1
    }

    /// Places the longest sequence from `at` on that an operand form can be had for.
    fn sequence(&mut self, at: usize) -> Option<usize> {
        let first = self.sites.uop(at);
        if self.sites.entry(at).flags.contains(UopFlags::TERMINAL) {
            return None;
        }
        let mut nodes = [self.index.single(first); MAX_FUSED];
        let mut length = 1;
        while length < self.longest && !self.sites.is_label(at + length) {
            let next = self.sites.trace.uops.get(at + length);
            let longer = next
                .filter(|uop| !self.is_pinned(uop))
                .and_then(|uop| self.index.longer(nodes[length - 1], uop));
            let Some(longer) = longer else {
                break;
            };
            nodes[length] = longer;
            length += 1;
        }
        (1..=length)
            .rev()
            .find_map(|length| self.fused(at, length, nodes[length - 1]))
    }

    /// Whether a uop loads or stores a local that is not in memory.
    fn is_pinned(&self, uop: &crate::trace::Uop) -> bool {
        matches!(self.index.role(uop), Role::Load(_) | Role::Store(_))
            && self.pins.register_of(uop.oparg).is_some()
    }

    /// Places `length` uops as one operand form, if one fits. Returns the position behind what it does.
    fn fused(&mut self, at: usize, length: usize, node: NodeId) -> Option<usize> {
        let index = self.index;
        let shapes = index.shapes(node);
        let mut shapes = shapes.iter().filter(|shape| !shape.is_constant).peekable();
        let count = usize::from(shapes.peek()?.count);
        let first = self.stack.expose(count)?;
        let shape =
            shapes.find(|shape| usize::from(shape.count) == count && self.suits(shape, first))?;
        self.stack.locked = RegisterSet(0);
        self.bind_inputs(shape, first)?;
        let uops = &self.sites.trace.uops[at..at + length];
        let fits = |form: &FormEntry| index.fits(form, uops);
        let next = at + length;
        let wanted = shape.output.and_then(|class| self.wanted(next, class));
        if let Some(wanted) = wanted
            && let Some(output) = self.output_to_pin(shape, first, wanted.register, fits)
        {
            self.keep_old(wanted.register, first);
            self.place(at, length, shape, first, &output);
            self.stack.truncate(first);
            if wanted.copied {
                self.stack
                    .push(Entry::at(Location::Pinned(wanted.register)));
            }
            return Some(next + 1 + usize::from(wanted.copied));
        }
        let output = self.output(shape, first, fits)?;
        self.place(at, length, shape, first, &output);
        self.stack.truncate(first);
        if let Some(register) = output.register {
            self.stack.push(Entry::at(Location::Temporary(register)));
        }
        Some(next)
    }

    /// Whether the values that a shape has as constants are constants that it takes.
    fn suits(&self, shape: &Shape, first: usize) -> bool {
        let entries = &self.stack.entries[first..];
        let mut inputs = shape.inputs.iter().zip(entries);
        shape.constants == 0
            || inputs.all(|(input, entry)| match (input, entry.location) {
                (Input::Register(_), _) => true,
                (constant, Location::Constant(bits)) => constant.accepts(bits),
                _ => false,
            })
    }

    /// Brings every input that a shape takes from a register to one that it can have, and locks them.
    fn bind_inputs(&mut self, shape: &Shape, first: usize) -> Option<()> {
        let mut moving = [false; MAX_INPUTS];
        let count = usize::from(shape.count);
        for (input, moving) in moving.iter_mut().enumerate().take(count) {
            let Some(class) = shape.class(input) else {
                continue;
            };
            match self.stack.entries[first + input].location {
                Location::Temporary(register) | Location::Pinned(register)
                    if register.class() == class && shape.renameable.contains(register) =>
                {
                    self.stack.locked = self.stack.locked.with(register);
                }
                _ => *moving = true,
            }
        }
        for input in (0..count).filter(|&input| moving[input]) {
            let class = shape.class(input)?;
            let register = self.allocate(class, shape.renameable)?;
            // Until the value is there, the register is not to be had for anything else.
            self.stack.locked = self.stack.locked.with(register);
            if !self.bring(first + input, register) {
                return None;
            }
            self.stack
                .relocate(first + input, Location::Temporary(register));
        }
        Some(())
    }

    /// The store to a pinned local of this class, if there is one, that comes right behind.
    fn wanted(&self, next: usize, class: Class) -> Option<Wanted> {
        let store = |at: usize| {
            let uop = self.sites.trace.uops.get(at)?;
            let stores = self.index.role(uop) == Role::Store(class) && !self.sites.is_label(at);
            let register = self.pins.register_of(uop.oparg).filter(|_| stores)?;
            (register.class() == class).then_some(register)
        };
        if let Some(register) = store(next) {
            return Some(Wanted {
                register,
                copied: false,
            });
        }
        let uop = self.sites.trace.uops.get(next)?;
        let copies = self.index.role(uop) == Role::Copy && !self.sites.is_label(next);
        let register = store(next + 1).filter(|_| copies)?;
        Some(Wanted {
            register,
            copied: true,
        })
    }

    /// The registers of a shape's inputs.
    fn input_register(&self, shape: &Shape, first: usize, input: usize) -> Option<Register> {
        shape.class(input)?;
        match self.stack.entries[first + input].location {
            Location::Temporary(register) | Location::Pinned(register) => Some(register),
            _ => None,
        }
    }

    /// The form that gives its output to the register of a pinned local.
    fn output_to_pin<'s>(
        &self,
        shape: &'s Shape,
        first: usize,
        pin: Register,
        fits: impl Fn(&FormEntry) -> bool,
    ) -> Option<Output<'s>> {
        let is_pin = |&input: &usize| self.input_register(shape, first, input) == Some(pin);
        let mut inputs = (0..usize::from(shape.count)).filter(is_pin);
        let form = match (inputs.next(), inputs.next()) {
            (None, _) => shape.distinct.as_ref(),
            (Some(input), None) => shape.in_place[input].as_ref(),
            // The output may not replace one of two inputs that are the same.
            _ => None,
        };
        let form = form.filter(|form| form.renameable.contains(pin) && fits(form))?;
        Some(Output {
            form,
            register: Some(pin),
        })
    }

    /// The form for a new value on the stack, and a temporary for it.
    fn output<'s>(
        &mut self,
        shape: &'s Shape,
        first: usize,
        fits: impl Fn(&FormEntry) -> bool,
    ) -> Option<Output<'s>> {
        let Some(class) = shape.output else {
            let form = shape.distinct.as_ref().filter(|form| fits(form))?;
            return Some(Output {
                form,
                register: None,
            });
        };
        if let Some(output) = self.output_in_place(shape, first, &fits) {
            return Some(output);
        }
        if let Some(form) = shape.distinct.as_ref().filter(|form| fits(form)) {
            if let Some(register) = self.allocate(class, form.renameable) {
                return Some(Output {
                    form,
                    register: Some(register),
                });
            }
            // What was spilled meanwhile may have shared a register with an input.
            if let Some(output) = self.output_in_place(shape, first, &fits) {
                return Some(output);
            }
        }
        // An input that is still wanted, or a pinned local: its form works on a copy.
        for input in 0..usize::from(shape.count) {
            let form = shape.in_place[input].as_ref().filter(|form| fits(form));
            if let Some(form) = form
                && let Some(register) = self.allocate(class, form.renameable)
                && self.bring(first + input, register)
            {
                self.stack
                    .relocate(first + input, Location::Temporary(register));
                return Some(Output {
                    form,
                    register: Some(register),
                });
            }
        }
        None
    }

    /// The form that replaces an input which nothing else needs.
    fn output_in_place<'s>(
        &self,
        shape: &'s Shape,
        first: usize,
        fits: impl Fn(&FormEntry) -> bool,
    ) -> Option<Output<'s>> {
        (0..usize::from(shape.count)).find_map(|input| {
            let form = shape.in_place[input].as_ref()?;
            let Location::Temporary(register) = self.stack.entries[first + input].location else {
                return None;
            };
            let usable =
                self.stack.users(register) == 1 && form.renameable.contains(register) && fits(form);
            usable.then_some(Output {
                form,
                register: Some(register),
            })
        })
    }

    /// Places a form, its placeholders renamed to where its values are.
    fn place(
        &mut self,
        at: usize,
        length: usize,
        shape: &Shape,
        first: usize,
        output: &Output<'_>,
    ) {
        let form = output.form;
        let mut renaming = Renaming::default();
        let mut inputs = [0; MAX_INPUTS];
        let entries = &self.stack.entries[first..];
        for ((input, bits), entry) in form.inputs.iter().zip(&mut inputs).zip(entries) {
            match (input, entry.location) {
                (
                    Input::Register(placeholder),
                    Location::Temporary(register) | Location::Pinned(register),
                ) => renaming = renaming.with(*placeholder, register),
                (_, Location::Constant(constant)) => *bits = constant,
                // Inputs were bound to registers.
                _ => {}
            }
        }
        if let (Some(placeholder), Some(register)) = (form.output, output.register) {
            renaming = renaming.with(placeholder, register);
        }
        let jump = shape.jump.map_or(LabelId::NONE, |element| {
            let target = self.sites.trace.places[at + usize::from(element)].jump;
            self.edge(target, first + usize::from(form.intact))
        });
        let uops = self.sites.arguments(at, length);
        let arguments = Arguments {
            index: at as u32,
            uops: &uops[..length],
            inputs,
            jump,
            error: LabelId::NONE,
            exit: NO_EXIT,
        };
        self.sites
            .assembler
            .place(form.stencil, renaming, &arguments);
    }

    // ---- Edges -------------------------------------------------------------------------------------------------

    /// The label to jump to with the first `kept` entries on the stack: the target's, or that of a stub.
    fn edge(&mut self, target: u32, kept: usize) -> LabelId {
        let entries = &self.stack.entries[..kept];
        let depth = self.stack.slot(kept);
        let stored = entries.iter().all(|entry| entry.stored);
        if stored && self.emitter.stack_pointer == depth {
            return self.sites.label_of(target);
        }
        let stub = Stub {
            label: LabelId::NONE,
            target,
            base: self.stack.base,
            stack_pointer: self.emitter.stack_pointer,
            first_entry: 0,
            entry_count: kept as u32,
            previous: NO_STUB,
        };
        self.stubs.find(&stub, entries).unwrap_or_else(|| {
            let label = self.sites.assembler.label();
            self.stubs.add(Stub { label, ..stub }, entries);
            label
        })
    }

    /// Places the edge stubs.
    fn stubs(&mut self) {
        for index in 0..self.stubs.all.len() {
            let stub = self.stubs.all[index];
            self.sites.assembler.bind(stub.label);
            self.emitter.stack_pointer = stub.stack_pointer;
            self.emitter.store_all(
                self.sites.assembler,
                self.stubs.entries_of(&stub),
                stub.base,
            );
            if self.sites.is_cold(stub.target as usize) {
                // A copy of what is there saves the jump to it.
                self.sites.place_base(stub.target as usize);
            } else {
                let label = self.sites.label_of(stub.target);
                self.emitter.jump(self.sites.assembler, label);
            }
        }
    }

    /// Places the terminal uops of the cold region that something jumps to.
    fn cold_terminals(&mut self) {
        while let Some(at) = self.sites.next_cold() {
            self.sites.bind(at);
            self.sites.place_base(at);
        }
    }

    /// Places the way out.
    fn leave(&mut self, label: LabelId) {
        self.sites.assembler.bind(label);
        for pin in self.pins.all.iter().filter(|pin| pin.dirty) {
            self.emitter
                .store(self.sites.assembler, pin.register, pin.local);
        }
        self.emitter.leave(self.sites.assembler);
    }
}

/// No stub.
const NO_STUB: u32 = u32::MAX;

/// Code on the way of a jump: stores the entries and goes on at the target.
#[derive(Clone, Copy, Debug)]
struct Stub {
    label: LabelId,
    target: u32,
    base: u32,
    stack_pointer: u32,
    /// Where its entries start among those of all stubs.
    first_entry: u32,
    entry_count: u32,
    /// The stub for the same target before this one.
    previous: u32,
}

/// The edge stubs of a trace, each state of each target once, as far as it is found.
#[derive(Debug)]
struct Stubs {
    all: Vec<Stub>,
    entries: Vec<Entry>,
    /// The latest stub for each target.
    latest: Vec<u32>,
}

impl Stubs {
    fn new(places: usize) -> Self {
        Self {
            all: Vec::new(),
            entries: Vec::new(),
            latest: vec![NO_STUB; places],
        }
    }

    fn entries_of(&self, stub: &Stub) -> &[Entry] {
        &self.entries[stub.first_entry as usize..][..stub.entry_count as usize]
    }

    fn find(&self, wanted: &Stub, entries: &[Entry]) -> Option<LabelId> {
        let mut next = self.latest[wanted.target as usize];
        for _ in 0..COMPARED {
            let stub = self.all.get(next as usize)?;
            if stub.base == wanted.base
                && stub.stack_pointer == wanted.stack_pointer
                && self.entries_of(stub) == entries
            {
                return Some(stub.label);
            }
            next = stub.previous;
        }
        None
    }

    fn add(&mut self, stub: Stub, entries: &[Entry]) {
        let latest = &mut self.latest[stub.target as usize];
        let index = self.all.len() as u32;
        self.all.push(Stub {
            first_entry: self.entries.len() as u32,
            previous: std::mem::replace(latest, index),
            ..stub
        });
        self.entries.extend_from_slice(entries);
    }
}
