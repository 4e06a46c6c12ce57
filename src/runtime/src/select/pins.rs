//! Pinned locals: which locals of a trace live in registers across it.
//!
//! A local is worth a register if its uses, weighted by how deep in loops they stand, are more than what it costs to load it
//! where the trace starts and to write it back where it ends. Five registers of each class can be pinned to; the other three
//! are the temporaries of base forms.

use super::Assemble;
use super::index::{Index, Role};
use super::places::Sites;
use super::plumbing::Plumbing;
use crate::form::{Class, Register, RegisterSet};
use crate::stencil::UopFlags;

/// How many locals of a class are pinned at most.
const PER_CLASS: usize = 5;

/// The registers to pin to, by class, as positions within it, for the most used local first: r8, r9, r11, rcx, rdx. The last
/// two have parts of their own in shifts and divisions, so that other locals are better kept there.
const ORDER: [[u8; PER_CLASS]; 2] = [[5, 6, 7, 4, 3], [3, 4, 5, 6, 7]];

/// Locals from here on are not looked at.
const LOCALS: usize = 1 << 12;

/// How much more often than its surroundings a loop is taken to run, as a shift, and up to how deep it counts.
const LOOP_SHIFT: u32 = 3;
const LOOP_LEVELS: u32 = 4;

/// A local in a register.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pin {
    pub(super) local: u32,
    pub(super) register: Register,
    /// Whether it is stored to anywhere, and so has to be written back.
    pub(super) dirty: bool,
    /// Whether its value is needed where the trace starts.
    pub(super) loaded: bool,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Pins {
    pub(super) all: Vec<Pin>,
    /// The register of each local; `None` behind the last that has one.
    by_local: Vec<Option<Register>>,
}

/// What is known of a local's uses.
#[derive(Clone, Copy, Default)]
struct Uses {
    weight: u32,
    /// Bit 0: used as a general value; bit 1: as a float.
    classes: u8,
    dirty: bool,
    /// Whether it is stored to before anything can look at it.
    stored_first: bool,
    /// Whether something uses it in memory.
    in_memory: bool,
}

impl Pins {
    /// Chooses the locals.
    pub(super) fn choose<A: Assemble>(
        sites: &Sites<'_, A>,
        index: &Index,
        plumbing: &Plumbing,
    ) -> Self {
        let uses = uses(sites, index);
        let mut pins = Self::default();
        for class in [Class::General, Class::Float] {
            if plumbing.can_pin(class) {
                pins.choose_class(class, &uses, plumbing.local_max);
            }
        }
        let behind = pins.all.iter().map(|pin| pin.local as usize + 1).max();
        pins.by_local = vec![None; behind.unwrap_or(0)];
        for pin in &pins.all {
            pins.by_local[pin.local as usize] = Some(pin.register);
        }
        pins
    }

    fn choose_class(&mut self, class: Class, uses: &[Uses], local_max: u32) {
        let wanted = 1 << class as u8;
        // The best so far, the best of them first; of equal locals the first.
        let mut best: [Option<(u32, u32)>; PER_CLASS] = [None; PER_CLASS];
        for (local, used) in (0..=local_max).zip(uses) {
            let cost = u32::from(!used.stored_first) + u32::from(used.dirty);
            if used.classes != wanted || used.in_memory || used.weight <= cost {
                continue;
            }
            let mut candidate = Some((used.weight, local));
            for place in &mut best {
                if candidate.map(|(weight, _)| weight) > place.map(|(weight, _)| weight) {
                    std::mem::swap(place, &mut candidate);
                }
            }
        }
        let registers = ORDER[class as usize];
        for ((_, local), position) in best.into_iter().flatten().zip(registers) {
            let used = uses[local as usize];
            self.all
                .extend(Register::of_class(class, position).map(|register| Pin {
                    local,
                    register,
                    dirty: used.dirty,
                    loaded: !used.stored_first,
                }));
        }
    }

    /// The register of a local.
    pub(super) fn register_of(&self, local: u32) -> Option<Register> {
        self.by_local.get(local as usize).copied().flatten()
    }

    /// The registers that no local is in.
    pub(super) fn others(&self) -> RegisterSet {
        let pins = self.all.iter();
        pins.fold(RegisterSet::ALL, |set, pin| set.without(pin.register))
    }
}

/// Looks at all uses of locals.
fn uses<A: Assemble>(sites: &Sites<'_, A>, index: &Index) -> Vec<Uses> {
    let levels = loop_levels(sites);
    let mut uses: Vec<Uses> = Vec::new();
    let mut in_memory = 0;
    // As long as nothing but the next uop can come next.
    let mut straight = true;
    let mut level = 0i32;
    for (at, change) in levels.iter().enumerate().take(sites.len()) {
        level += change;
        if !sites.is_reached(at) {
            continue;
        }
        let (uop, entry) = (sites.uop(at), sites.entry(at));
        let leaves = UopFlags::ERROR | UopFlags::EXIT_RECORD | UopFlags::TOP;
        straight &=
            !sites.is_label(at) && !entry.flags.needs_jump() && !entry.flags.intersects(leaves);
        in_memory = in_memory.max(entry.locals as usize);
        let local = uop.oparg as usize;
        if !entry.flags.contains(UopFlags::LOCAL) && !is_local(index.role(uop)) || local >= LOCALS {
            continue;
        }
        if uses.len() <= local {
            uses.resize(local + 1, Uses::default());
        }
        let used = &mut uses[local];
        let weight = 1u32 << (LOOP_SHIFT * level.clamp(0, LOOP_LEVELS as i32) as u32);
        match index.role(uop) {
            Role::Load(class) => {
                used.classes |= 1 << class as u8;
                used.weight = used.weight.saturating_add(weight);
            }
            Role::Store(class) => {
                used.stored_first |= straight && used.classes == 0;
                used.classes |= 1 << class as u8;
                used.weight = used.weight.saturating_add(2 * weight);
                used.dirty = true;
            }
            _ => used.in_memory = true,
        }
    }
    for used in uses.iter_mut().take(in_memory) {
        used.in_memory = true;
    }
    uses
}

fn is_local(role: Role) -> bool {
    matches!(role, Role::Load(_) | Role::Store(_))
}

/// By how many loops more each uop is in than the one before it. A loop reaches from where a jump back goes to the last such
/// jump.
fn loop_levels<A: Assemble>(sites: &Sites<'_, A>) -> Vec<i32> {
    let mut ends = vec![0u32; sites.len()];
    for at in (0..sites.len()).filter(|&at| sites.is_reached(at)) {
        let top = sites.entry(at).flags.contains(UopFlags::TOP).then_some(1);
        for place in [Some(sites.trace.places[at].jump), top]
            .into_iter()
            .flatten()
        {
            if place as usize <= at {
                ends[place as usize] = at as u32 + 1;
            }
        }
    }
    let mut levels = vec![0; sites.len() + 1];
    for (start, &end) in ends.iter().enumerate().filter(|(_, end)| **end != 0) {
        levels[start] += 1;
        levels[end as usize] -= 1;
    }
    levels
}
