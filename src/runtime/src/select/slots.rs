//! Selection for sets with slots forms, and for sets without variants.
//!
//! The state is how many of the top values are in registers, 0 to 3. Where the longest sequence of uops is looked for that
//! takes as many, and none does, the lowest of them are stored, so that a form takes the rest. All labels are met with
//! every value in memory, and whatever leaves otherwise than to the next uop leaves so by itself.

use super::index::{Index, SlotForm};
use super::places::Sites;
use super::plumbing::Emitter;
use super::{Arguments, Assemble, LabelId, NO_EXIT, Renaming, Selection, StencilId, UopArguments};
use crate::form::{MAX_FUSED, MAX_INPUTS};
use crate::stencil::UopFlags;

/// Selects for a whole trace.
pub(super) fn select<A: Assemble>(sites: Sites<'_, A>, index: &Index, selection: Selection) {
    let mut selector = Selector {
        sites,
        index,
        registers: selection.registers && index.can_spill(),
        longest: if selection.supernodes { MAX_FUSED } else { 1 },
        held: 0,
    };
    let mut at = 0;
    while at < selector.sites.len() {
        // Behind a terminal uop: nothing is in registers here, and nothing is to be placed.
        if !selector.sites.is_reached(at) {
            at += 1;
            continue;
        }
        if selector.sites.is_label(at) {
            selector.spill_to(0);
            selector.sites.bind(at);
        }
        at = selector.step(at);
    }
    selector.sites.assembler.begin_cold();
    selector.way_out();
}

struct Selector<'a, A> {
    sites: Sites<'a, A>,
    index: &'a Index,
    registers: bool,
    longest: usize,
    /// How many values are in registers.
    held: usize,
}

/// What is placed next.
struct Choice {
    stencil: StencilId,
    length: usize,
    /// How many values it leaves in registers.
    left: usize,
}

impl<A: Assemble> Selector<'_, A> {
    /// Exits of sets with operand forms leave the trace through code of their own, also where no local is in a register.
    fn way_out(&mut self) {
        let is_exit = |at: usize| {
            self.sites.is_reached(at) && self.sites.entry(at).flags.contains(UopFlags::EXIT_RECORD)
        };
        let Some(plumbing) = self.index.operands() else {
            return;
        };
        if !(0..self.sites.len()).any(is_exit) {
            return;
        }
        let label = self.sites.assembler.label();
        self.sites.assembler.set_leave(label);
        self.sites.assembler.bind(label);
        let emitter = Emitter {
            plumbing,
            stack_pointer: 0,
        };
        emitter.leave(self.sites.assembler);
    }

    fn step(&mut self, at: usize) -> usize {
        let choice = loop {
            match self.choose(at) {
                Some(choice) => break choice,
                // The base form is a choice where nothing is held.
                None => self.spill_some(at),
            }
        };
        self.sites.place_sequence(choice.stencil, at, choice.length);
        self.held = choice.left;
        let last = at + choice.length - 1;
        if self.sites.entry(last).flags.contains(UopFlags::TERMINAL) {
            self.held = 0;
        }
        last + 1
    }

    /// The longest sequence from `at` on that takes as many values in registers as there are.
    fn choose(&self, at: usize) -> Option<Choice> {
        let uops = &self.sites.trace.uops[at..];
        let mut node = self.index.single(&uops[0]);
        let base = (self.held == 0).then(|| Choice {
            stencil: StencilId::base(uops[0].id),
            length: 1,
            left: 0,
        });
        let mut best = self.form(node, at, 1).or(base);
        for (length, uop) in (1..self.longest).zip(&uops[1..]) {
            let longer = self.index.longer(node, uop);
            let Some(longer) = longer.filter(|_| !self.sites.is_label(at + length)) else {
                break;
            };
            node = longer;
            best = self.form(node, at, length + 1).or(best);
        }
        best
    }

    /// The form of a sequence for what is held that leaves as many values in registers as the next uop can take there.
    fn form(&self, node: super::index::NodeId, at: usize, length: usize) -> Option<Choice> {
        let forms = &self.index.slot_forms(node)?[self.held];
        let uops = &self.sites.trace.uops[at..at + length];
        let fits = |form: &&SlotForm| self.index.slot_fits(form, uops);
        let next = at + length;
        // At a label everything is in memory: what stays there from the start need not be stored.
        let ends = !self.registers || next >= self.sites.len() || self.sites.is_label(next);
        let accepted = match self.sites.trace.uops.get(next) {
            Some(uop) if !ends => self.index.accepted(uop),
            _ => 1,
        };
        let of = |left: usize| forms[left].as_ref().filter(fits).map(|form| (form, left));
        let welcome = |&left: &usize| accepted >> left & 1 != 0;
        let most = (0..4).rev().filter(welcome).find_map(of);
        // Where the next uop takes none of these numbers, the fewer there are, the less is to be stored.
        let (form, left) = most.or_else(|| (0..4).find_map(of))?;
        let alike = length == 1 || self.sites.leave_alike(at, length);
        (alike && (self.registers || left == 0)).then_some(Choice {
            stencil: form.stencil,
            length,
            left,
        })
    }

    /// Stores as few values as let the uop at `at` take the others, or all.
    fn spill_some(&mut self, at: usize) {
        let accepted = self.index.accepted(self.sites.uop(at));
        let kept = (0..self.held).rev().find(|&kept| accepted >> kept & 1 != 0);
        self.spill_to(kept.unwrap_or(0));
    }

    /// Leaves the top `kept` values in registers, or none.
    fn spill_to(&mut self, kept: usize) {
        while self.held > kept {
            let (stencil, kept) = match self.index.spill(self.held, kept) {
                Some(stencil) => (Some(stencil), kept),
                None => (self.index.spill(self.held, 0), 0),
            };
            if let Some(stencil) = stencil {
                let arguments = Arguments {
                    index: 0,
                    uops: &[UopArguments::default()],
                    inputs: [0; MAX_INPUTS],
                    jump: LabelId::NONE,
                    error: LabelId::NONE,
                    exit: NO_EXIT,
                };
                self.sites
                    .assembler
                    .place(stencil, Renaming::default(), &arguments);
            }
            self.held = kept;
        }
    }
}
