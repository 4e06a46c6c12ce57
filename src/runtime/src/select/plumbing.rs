//! Plumbing: the stencils that carry values between registers, stack slots and locals, and the emitter that places them.
//!
//! The compiler adds them to every set with operand forms, under names that start with an underscore; the uops that load and
//! store locals and push constants are the set's own, found by their flags.

use super::index::{FormEntry, Index, Role};
use super::stack::{Entry, Location};
use super::{Arguments, Assemble, LabelId, NO_EXIT, Renaming, StencilId, UopArguments};
use crate::form::{Class, Input, MAX_INPUTS, Register, RegisterSet};
use crate::table::{StencilTable, UopId};
use crate::trace::Uop;
use std::ops::RangeInclusive;

/// What the oparg of a stack slot's stencil is for the slot that the stack pointer points to.
const BIAS: i64 = 32768;

/// The slots that such an oparg reaches, from the stack pointer.
const REACH: RangeInclusive<i64> = -BIAS..=BIAS - 1;

/// The largest such oparg.
const OPARG_MAX: u32 = u16::MAX as u32;

/// The registers of a class.
pub(super) const fn of_class(class: Class) -> RegisterSet {
    match class {
        Class::General => RegisterSet(0x00ff),
        Class::Float => RegisterSet(0xff00),
    }
}

/// A register that holds no value once all values are in memory, for constants on their way there.
const fn scratch(class: Class) -> Option<Register> {
    Register::of_class(class, 0)
}

/// The plumbing for one class of registers.
#[derive(Clone, Debug)]
struct ClassPlumbing {
    /// From a register to another.
    copy: FormEntry,
    /// From a register to a stack slot.
    spill: FormEntry,
    /// From a stack slot to a register.
    reload: FormEntry,
    /// From a local to a register, and from a register to a local.
    local: Option<(FormEntry, FormEntry)>,
    /// From nothing to a register, the narrowest form first.
    constants: Vec<FormEntry>,
}

/// The plumbing of a table with operand forms.
#[derive(Clone, Debug)]
pub(crate) struct Plumbing {
    general: ClassPlumbing,
    float: ClassPlumbing,
    /// From a small constant to a stack slot.
    spill_constant: Option<FormEntry>,
    adjust: StencilId,
    jump: StencilId,
    leave: StencilId,
    /// The largest local that can be loaded from and stored to by all of these.
    pub(super) local_max: u32,
}

impl Plumbing {
    /// Finds the plumbing; `None` where some of it is missing or less general than selection relies on.
    pub(super) fn find(table: &StencilTable, index: &Index) -> Option<Self> {
        let finder = Finder { table, index };
        let class = |class, names| finder.class(class, names);
        let general = class(Class::General, ["_MOVE_I64", "_SPILL_I64", "_RELOAD_I64"])?;
        let float = class(Class::Float, ["_MOVE_F64", "_SPILL_F64", "_RELOAD_F64"])?;
        let locals = [&general.local, &float.local].into_iter().flatten();
        let local_max = locals
            .flat_map(|(load, store)| [load, store])
            .filter_map(|form| index.limits_of(form))
            .fold(u32::MAX, |max, limits| max.min(limits.oparg));
        let small = |form: &FormEntry| form.count == 1 && form.inputs[0] == Input::Signed32;
        Some(Self {
            general,
            float,
            spill_constant: finder.slot_form("_SPILL_I64", small),
            adjust: finder.slot_form("_ADJUST_STACK", is_bare)?.stencil,
            jump: finder.form("_JUMP", is_bare)?.stencil,
            leave: finder.form("_LEAVE", is_bare)?.stencil,
            local_max,
        })
    }

    fn class(&self, class: Class) -> &ClassPlumbing {
        match class {
            Class::General => &self.general,
            Class::Float => &self.float,
        }
    }

    /// Whether locals can be kept in registers of a class.
    pub(super) fn can_pin(&self, class: Class) -> bool {
        self.class(class).local.is_some()
    }

    /// Whether constants need not be in registers of a class before something takes them from there.
    pub(super) fn has_constants(&self, class: Class) -> bool {
        self.class(class).constants.iter().any(takes_any)
    }
}

/// Whether a form neither takes nor gives a value.
fn is_bare(form: &FormEntry) -> bool {
    form.count == 0 && form.output.is_none()
}

/// Whether a form takes one value, from any register of a class.
fn takes_register(form: &FormEntry, class: Class) -> bool {
    form.count == 1
        && matches!(form.inputs[0], Input::Register(register) if register.class() == class)
        && covers(form, class)
}

/// Whether a form gives its value to any register of a class.
fn gives(form: &FormEntry, class: Class) -> bool {
    form.output.is_some_and(|output| output.class() == class) && covers(form, class)
}

fn covers(form: &FormEntry, class: Class) -> bool {
    let all = of_class(class).0;
    form.renameable.0 & all == all
}

/// Whether a constant's form takes any 64 bits.
fn takes_any(form: &FormEntry) -> bool {
    form.count == 0 || form.inputs[0] == Input::Pooled
}

struct Finder<'a> {
    table: &'a StencilTable,
    index: &'a Index,
}

impl Finder<'_> {
    fn class(&self, class: Class, [copy, spill, reload]: [&str; 3]) -> Option<ClassPlumbing> {
        let takes = |form: &FormEntry| takes_register(form, class);
        let is_copy = |form: &FormEntry| takes(form) && gives(form, class) && is_distinct(form);
        Some(ClassPlumbing {
            copy: self.form(copy, is_copy)?,
            spill: self.slot_form(spill, |form| takes(form) && form.output.is_none())?,
            reload: self.slot_form(reload, |form| form.count == 0 && gives(form, class))?,
            local: self.local(class),
            constants: self.constants(class),
        })
    }

    fn local(&self, class: Class) -> Option<(FormEntry, FormEntry)> {
        let load = self.with_role(Role::Load(class));
        let store = self.with_role(Role::Store(class));
        let loads = |form: &FormEntry| form.count == 0 && gives(form, class);
        let stores = |form: &FormEntry| takes_register(form, class);
        Some((
            load.flat_map(|uop| self.forms(uop)).copied().find(loads)?,
            store
                .flat_map(|uop| self.forms(uop))
                .copied()
                .find(stores)?,
        ))
    }

    fn constants(&self, class: Class) -> Vec<FormEntry> {
        let uops = self.with_role(Role::Constant(class));
        let forms = uops.flat_map(|uop| self.forms(uop)).copied();
        let mut forms: Vec<_> = forms
            .filter(|form| gives(form, class) && form.count <= 1)
            // A form whose operand is limited is no form for what other uops push.
            .filter(|form| self.index.limits_of(form).is_none())
            .filter(|form| form.count == 1 || self.takes_any_operand(form))
            .collect();
        forms.sort_by_key(|form| match (form.count, form.inputs[0]) {
            (0, _) => 2,
            (_, Input::Pooled) => 1,
            _ => 0,
        });
        forms
    }

    /// Whether an input-less form, whose stencil is a constant uop's, takes any operand.
    fn takes_any_operand(&self, form: &FormEntry) -> bool {
        let uop = self.table.uops().find(|&uop| {
            let mut forms = self.forms(uop);
            forms.any(|other| other.stencil == form.stencil)
        });
        uop.is_some_and(|uop| self.table.entry(uop).operand_max == u64::MAX)
    }

    /// A form of a uop whose oparg is a biased distance from the stack pointer.
    fn slot_form(&self, name: &str, fits: impl Fn(&FormEntry) -> bool) -> Option<FormEntry> {
        let base = self.table.entry(self.table.find(name)?).oparg_max;
        self.form(name, |form| {
            let limits = self.index.limits_of(form);
            fits(form) && limits.map_or(base, |limits| limits.oparg) >= OPARG_MAX
        })
    }

    fn form(&self, name: &str, fits: impl Fn(&FormEntry) -> bool) -> Option<FormEntry> {
        let uop = self.table.find(name)?;
        self.forms(uop).copied().find(fits)
    }

    fn forms(&self, uop: UopId) -> impl Iterator<Item = &FormEntry> {
        let node = self.index.single(&Uop::new(uop));
        self.index
            .shapes(node)
            .iter()
            .flat_map(|shape| shape.forms())
    }

    fn with_role(&self, role: Role) -> impl Iterator<Item = UopId> {
        let has_role = move |uop: &UopId| self.index.role(&Uop::new(*uop)) == role;
        self.table.uops().filter(has_role)
    }
}

/// Whether a form of one input gives its output to a register of its own.
fn is_distinct(form: &FormEntry) -> bool {
    form.output
        .is_some_and(|output| form.inputs[0] != Input::Register(output))
}

/// Places plumbing, and knows where the stack pointer is.
pub(super) struct Emitter<'a> {
    pub(super) plumbing: &'a Plumbing,
    /// The slot that the stack pointer points to.
    pub(super) stack_pointer: u32,
}

/// What a plumbing stencil is placed with.
#[derive(Clone, Copy, Default)]
struct Placing {
    input: Option<Register>,
    output: Option<Register>,
    constant: u64,
    oparg: u32,
    operand: u64,
}

impl Emitter<'_> {
    /// From a register to another of its class.
    pub(super) fn copy(&self, to: &mut impl Assemble, from: Register, into: Register) {
        let form = &self.plumbing.class(from.class()).copy;
        let placing = Placing {
            input: Some(from),
            output: Some(into),
            ..Placing::default()
        };
        place(to, form, placing);
    }

    /// From a register to a stack slot.
    pub(super) fn spill(&mut self, to: &mut impl Assemble, from: Register, slot: u32) {
        let placing = Placing {
            input: Some(from),
            oparg: self.address(to, slot),
            ..Placing::default()
        };
        place(to, &self.plumbing.class(from.class()).spill, placing);
    }

    /// From a stack slot to a register.
    pub(super) fn reload(&mut self, to: &mut impl Assemble, slot: u32, into: Register) {
        let placing = Placing {
            output: Some(into),
            oparg: self.address(to, slot),
            ..Placing::default()
        };
        place(to, &self.plumbing.class(into.class()).reload, placing);
    }

    /// A constant to a register. Returns whether there is a form for it.
    pub(super) fn constant(&self, to: &mut impl Assemble, bits: u64, into: Register) -> bool {
        let forms = &self.plumbing.class(into.class()).constants;
        let takes = |form: &&FormEntry| form.count == 0 || form.inputs[0].accepts(bits);
        let Some(form) = forms.iter().find(takes) else {
            return false;
        };
        let placing = Placing {
            output: Some(into),
            constant: bits,
            operand: bits,
            ..Placing::default()
        };
        place(to, form, placing);
        true
    }

    /// From a local to a register.
    pub(super) fn load(&self, to: &mut impl Assemble, local: u32, into: Register) {
        if let Some((form, _)) = &self.plumbing.class(into.class()).local {
            let placing = Placing {
                output: Some(into),
                oparg: local,
                ..Placing::default()
            };
            place(to, form, placing);
        }
    }

    /// From a register to a local.
    pub(super) fn store(&self, to: &mut impl Assemble, from: Register, local: u32) {
        if let Some((_, form)) = &self.plumbing.class(from.class()).local {
            let placing = Placing {
                input: Some(from),
                oparg: local,
                ..Placing::default()
            };
            place(to, form, placing);
        }
    }

    /// Goes on at a label.
    pub(super) fn jump(&self, to: &mut impl Assemble, label: LabelId) {
        bare(to, self.plumbing.jump, 0, label);
    }

    /// Goes on through the exit record whose address is in the first register.
    pub(super) fn leave(&self, to: &mut impl Assemble) {
        bare(to, self.plumbing.leave, 0, LabelId::NONE);
    }

    /// Makes the stack pointer point to a slot.
    pub(super) fn point_to(&mut self, to: &mut impl Assemble, slot: u32) {
        while self.stack_pointer != slot {
            let distance = i64::from(slot) - i64::from(self.stack_pointer);
            let step = distance.clamp(*REACH.start(), *REACH.end());
            bare(
                to,
                self.plumbing.adjust,
                (step + BIAS) as u32,
                LabelId::NONE,
            );
            self.stack_pointer = (i64::from(self.stack_pointer) + step) as u32;
        }
    }

    /// The oparg for a slot; brings the stack pointer nearer where it is out of reach.
    fn address(&mut self, to: &mut impl Assemble, slot: u32) -> u32 {
        let distance = i64::from(slot) - i64::from(self.stack_pointer);
        if !REACH.contains(&distance) {
            self.point_to(to, slot);
        }
        (i64::from(slot) - i64::from(self.stack_pointer) + BIAS) as u32
    }

    /// Stores every value to its slot, the first of them to the slot `base`, and makes the stack pointer point behind the
    /// last. Registers that are not pinned have no meaning afterwards.
    pub(super) fn store_all(&mut self, to: &mut impl Assemble, entries: &[Entry], base: u32) {
        let missing = |&(_, entry): &(u32, &Entry)| !entry.stored;
        for (slot, entry) in (base..).zip(entries).filter(missing) {
            if let Location::Temporary(register) | Location::Pinned(register) = entry.location {
                self.spill(to, register, slot);
            }
        }
        for (slot, entry) in (base..).zip(entries).filter(missing) {
            if let Location::Constant(bits) = entry.location {
                self.spill_constant(to, bits, slot);
            }
        }
        self.point_to(to, base + entries.len() as u32);
    }

    /// A constant to a stack slot, through a scratch register where it is too large for an instruction.
    fn spill_constant(&mut self, to: &mut impl Assemble, bits: u64, slot: u32) {
        let small = self.plumbing.spill_constant;
        if let Some(form) = small.filter(|form| form.inputs[0].accepts(bits)) {
            let placing = Placing {
                constant: bits,
                oparg: self.address(to, slot),
                ..Placing::default()
            };
            return place(to, &form, placing);
        }
        // One of the classes has forms for every constant, or constants would not be deferred.
        for class in [Class::General, Class::Float] {
            if let Some(scratch) = scratch(class)
                && self.constant(to, bits, scratch)
            {
                return self.spill(to, scratch, slot);
            }
        }
    }
}

fn place(to: &mut impl Assemble, form: &FormEntry, placing: Placing) {
    let mut renaming = Renaming::default();
    if let (Input::Register(placeholder), Some(register)) = (form.inputs[0], placing.input) {
        renaming = renaming.with(placeholder, register);
    }
    if let (Some(placeholder), Some(register)) = (form.output, placing.output) {
        renaming = renaming.with(placeholder, register);
    }
    let mut inputs = [0; MAX_INPUTS];
    inputs[0] = placing.constant;
    let arguments = Arguments {
        index: 0,
        uops: &[UopArguments {
            oparg: placing.oparg,
            operand: placing.operand,
            ..UopArguments::default()
        }],
        inputs,
        jump: LabelId::NONE,
        error: LabelId::NONE,
        exit: NO_EXIT,
    };
    to.place(form.stencil, renaming, &arguments);
}

fn bare(to: &mut impl Assemble, stencil: StencilId, oparg: u32, jump: LabelId) {
    let arguments = Arguments {
        index: 0,
        uops: &[UopArguments {
            oparg,
            ..UopArguments::default()
        }],
        inputs: [0; MAX_INPUTS],
        jump,
        error: LabelId::NONE,
        exit: NO_EXIT,
    };
    to.place(stencil, Renaming::default(), &arguments);
}
