//! The places of a trace: which of its uops are jumped to and which are never reached, and the assembler's labels and exit
//! records for them.

use super::{Arguments, Assemble, LabelId, NO_EXIT, Renaming, StencilId, UopArguments};
use crate::form::{MAX_FUSED, MAX_INPUTS};
use crate::stencil::UopFlags;
use crate::table::UopEntry;
use crate::trace::{CheckedTrace, NOWHERE, Places, Uop};

/// What is known of a uop's place.
#[derive(Clone, Copy, Debug)]
struct Site {
    /// The label in front of it, or `LabelId::NONE` as long as nothing needed one.
    label: LabelId,
    /// The uop's exit record.
    exit: u32,
    marks: u8,
}

/// Control gets there.
const REACHED: u8 = 1;
/// A jump goes there.
const LABEL: u8 = 2;
/// The uop before it continues there.
const FALLS: u8 = 4;
/// It goes to the cold region: one terminal uop that is only jumped to.
const COLD: u8 = 8;

/// A trace, its places, and the assembler that its stencils go to. See the [module](self).
pub(super) struct Sites<'a, A> {
    pub(super) trace: &'a CheckedTrace<'a>,
    pub(super) assembler: &'a mut A,
    sites: Vec<Site>,
    /// Uops of the cold region to which something goes and that are not placed yet.
    pending: Vec<u32>,
}

impl<'a, A: Assemble> Sites<'a, A> {
    /// Finds the places, and has exit records made, one for each uop that has one, in the order of the uops.
    pub(super) fn new(trace: &'a CheckedTrace<'a>, assembler: &'a mut A) -> Self {
        let blank = Site {
            label: LabelId::NONE,
            exit: NO_EXIT,
            marks: 0,
        };
        let mut sites = vec![blank; trace.uops.len()];
        for (index, uop) in trace.uops.iter().enumerate() {
            let flags = trace.table.entry(uop.id).flags;
            if flags.contains(UopFlags::EXIT_RECORD) {
                sites[index].exit = assembler.exit(trace.exit(index));
            }
            if trace.depth(index).is_none() {
                continue;
            }
            sites[index].marks |= REACHED;
            let places = &trace.places[index];
            for place in [places.jump, places.error] {
                // `NOWHERE` is no position.
                if let Some(site) = sites.get_mut(place as usize) {
                    site.marks |= LABEL;
                }
            }
            if flags.contains(UopFlags::TOP) {
                sites[1].marks |= LABEL;
                // The one label that the assembler has to know by its purpose.
                if sites[1].label == LabelId::NONE {
                    sites[1].label = assembler.label();
                    assembler.set_top(sites[1].label);
                }
            }
            if !flags.contains(UopFlags::TERMINAL) {
                sites[index + 1].marks |= FALLS;
            }
        }
        Self {
            trace,
            assembler,
            sites,
            pending: Vec::new(),
        }
    }

    /// Decides that terminal uops which are only jumped to go to the cold region.
    pub(super) fn move_terminals(&mut self) {
        for index in 1..self.sites.len() {
            let marks = self.sites[index].marks;
            if marks & (REACHED | FALLS) == REACHED
                && self.entry(index).flags.contains(UopFlags::TERMINAL)
            {
                self.sites[index].marks |= COLD;
                if self.sites[index].label != LabelId::NONE {
                    self.pending.push(index as u32);
                }
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.sites.len()
    }

    pub(super) fn uop(&self, index: usize) -> &'a Uop {
        &self.trace.uops[index]
    }

    pub(super) fn entry(&self, index: usize) -> &'a UopEntry {
        self.trace.table.entry(self.trace.uops[index].id)
    }

    pub(super) fn is_reached(&self, index: usize) -> bool {
        self.sites[index].marks & REACHED != 0
    }

    /// Whether something jumps there; `false` behind the last uop.
    pub(super) fn is_label(&self, index: usize) -> bool {
        self.sites
            .get(index)
            .is_some_and(|site| site.marks & LABEL != 0)
    }

    /// Whether the uop before it continues there.
    pub(super) fn falls(&self, index: usize) -> bool {
        self.sites[index].marks & FALLS != 0
    }

    pub(super) fn is_cold(&self, index: usize) -> bool {
        self.sites[index].marks & COLD != 0
    }

    /// The label in front of a uop.
    pub(super) fn label_of(&mut self, index: u32) -> LabelId {
        let Some(site) = self.sites.get_mut(index as usize) else {
            return LabelId::NONE;
        };
        if site.label == LabelId::NONE {
            site.label = self.assembler.label();
            if site.marks & COLD != 0 {
                self.pending.push(index);
            }
        }
        site.label
    }

    /// Binds the label in front of a uop.
    pub(super) fn bind(&mut self, index: usize) {
        let label = self.label_of(index as u32);
        self.assembler.bind(label);
    }

    /// A uop of the cold region that is to be placed.
    pub(super) fn next_cold(&mut self) -> Option<usize> {
        self.pending.pop().map(|index| index as usize)
    }

    /// Places the base form of a uop.
    pub(super) fn place_base(&mut self, index: usize) {
        let stencil = StencilId::base(self.uop(index).id);
        self.place_sequence(stencil, index, 1);
    }

    /// Places a form of the `count` uops from `index` on that leaves everything in memory where it jumps.
    pub(super) fn place_sequence(&mut self, stencil: StencilId, index: usize, count: usize) {
        let uops = self.arguments(index, count);
        let places = &self.trace.places[index..index + count];
        let sites = &self.sites[index..index + count];
        let exit = sites.iter().map(|site| site.exit).min();
        let jump = places.iter().map(|places| places.jump).min();
        let error = places.iter().map(|places| places.error).min();
        let arguments = Arguments {
            index: index as u32,
            uops: &uops[..count],
            inputs: [0; MAX_INPUTS],
            jump: self.label_of(jump.unwrap_or(NOWHERE)),
            error: self.label_of(error.unwrap_or(NOWHERE)),
            exit: exit.unwrap_or(NO_EXIT),
        };
        self.assembler
            .place(stencil, Renaming::default(), &arguments);
    }

    /// Whether the uops from `index` on share a jump label, an error label and an exit record, as far as they have them.
    pub(super) fn leave_alike(&self, index: usize, count: usize) -> bool {
        let places = &self.trace.places[index..index + count];
        let sites = &self.sites[index..index + count];
        let alike = |of: fn(&Places) -> u32| {
            let mut given = places.iter().map(of).filter(|&place| place != NOWHERE);
            let first = given.next();
            given.all(|place| Some(place) == first)
        };
        let exits = sites.iter().filter(|site| site.exit != NO_EXIT).count();
        alike(|places| places.jump) && alike(|places| places.error) && exits <= 1
    }

    /// The arguments of `count` uops from `index` on.
    pub(super) fn arguments(&self, index: usize, count: usize) -> [UopArguments; MAX_FUSED] {
        let mut arguments = [UopArguments::default(); MAX_FUSED];
        for (argument, uop) in arguments
            .iter_mut()
            .zip(&self.trace.uops[index..index + count])
        {
            *argument = UopArguments {
                oparg: uop.oparg,
                operand: uop.operand,
                operand1: uop.operand1,
                target: uop.target,
            };
        }
        arguments
    }
}
