//! The independent checker: proves from a stencil group's bytes and holes alone that it keeps the stencils' rules,
//! whatever compiler and extractor made it.
//!
//! Problem: a stencil is copied, patched and run without anybody looking at it again. One hole beside its field, one
//! call on a misaligned stack or one way out with a word left on the stack corrupts memory in somebody else's process.
//!
//! Strategy: decode what control can reach, following branches and holes, into a control-flow graph; then prove each
//! rule over the graph in a pass of its own. [`check_group`] is the list of what is proven. As with regalloc2's
//! checker, nothing is taken from the producer but the result.
//!
//! Where a trace is left, r15 must hold the address of the exit record: what is there writes through it.
//!
//! What is assumed, because it cannot be seen in a stencil: C functions follow the System V ABI (they return, keep rbx,
//! rbp and r12 to r15, and leave their caller's frame alone but for what it passed them); addresses in registers other
//! than rsp are used within what they point to; the values that fill holes fit their fields, which the patcher checks.

mod contract;
mod frame;
mod graph;
mod handler;
mod instruction;
mod renaming;
mod role;
mod values;
mod variant;
mod violation;

pub use contract::{check_c_entry, check_c_stencil};
pub use frame::{BasePointer, Frame};
pub use handler::check_handler;
pub use instruction::Field;
pub use violation::{VerifyError, Violation};

use crate::disassemble::{hole_text, instruction_text};
use frame::Frames;
use graph::{ENTRY, Graph, Node, Place, Target};
use iced_x86::{FlowControl, Instruction};
use instruction::{Access, memory_access};
use mimeo::form::{Form, Register, RegisterHole, RegisterSet};
use mimeo::hole::{Hole, HoleValue};
use mimeo::reloc::RelocationKind;
use mimeo::stencil::{Part, Stencil, StencilGroup, UopFlags, UopInfo};
use mimeo::table::StencilTable;
use std::fmt;
use std::rc::Rc;

/// The largest part of a stencil group that is looked at, in bytes: far beyond any uop, and so small that no sum of
/// offsets, displacements and addends overflows.
pub const MAX_PART_LEN: usize = 1 << 24;

/// What was learned about a stencil group that keeps the rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Instructions that control can reach, hot and cold.
    pub instructions: usize,
    /// Calls to C functions.
    pub calls: usize,
    /// Ways out: branches that leave, and hot code's end where control reaches it.
    pub exits: usize,
    /// Places where cold code is entered.
    pub cold_entries: usize,
    /// The deepest frame, in bytes; what called functions use is not counted.
    pub max_stack: u64,
}

/// A uop whose stencils go through `jmp [r15]`: where traces of operand sets leave, with the exit record in r15. The
/// compiler adds it to those sets.
const LEAVE_UOP: &str = "_LEAVE";

/// The uop that moves the stack pointer of operand sets, where others leave it alone. The compiler adds it, too.
const ADJUST_STACK_UOP: &str = "_ADJUST_STACK";

/// The registers that base forms of operand sets keep, because locals of a trace may be pinned in them: all value
/// registers but the first three of each class.
pub const PINNED: RegisterSet = pinned();

const fn pinned() -> RegisterSet {
    let mut set = RegisterSet(0);
    let mut index = 3;
    while index < Register::PER_CLASS {
        if let (Some(general), Some(float)) = (Register::general(index), Register::float(index)) {
            set = set.with(general).with(float);
        }
        index += 1;
    }
    set
}

/// A variant: which uops it runs, and how it takes and leaves their values.
#[derive(Clone, Copy, Debug)]
pub struct VariantInfo<'a> {
    /// The uops, in the order in which they run.
    pub uops: &'a [UopInfo<'a>],
    /// How values come and go.
    pub form: &'a Form,
}

impl fmt::Display for VariantInfo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.uops.iter().map(|uop| uop.name).collect();
        let separator = match self.form {
            Form::Slots { .. } => "",
            Form::Operands(_) => " ",
        };
        write!(f, "{}{separator}{}", names.join("+"), self.form)
    }
}

/// Checks the base form of a uop whose values are all in memory, so that it keeps no register.
///
/// `symbols` are the names that the holes' symbol indices mean.
///
/// # Errors
/// The first rule that is broken, and where. [`VerifyError::is_misaligned_call`] tells the one for which the compiler
/// has a remedy.
pub fn check_group(
    uop: &UopInfo<'_>,
    group: StencilGroup<'_>,
    symbols: &[&str],
) -> Result<Report, VerifyError> {
    check_base(uop, group, RegisterSet::default(), symbols)
}

/// Checks the base form of a uop, which keeps the registers `kept` on every way out: [`PINNED`] in operand sets.
///
/// # Errors
/// As [`check_group`].
pub fn check_base(
    uop: &UopInfo<'_>,
    group: StencilGroup<'_>,
    kept: RegisterSet,
    symbols: &[&str],
) -> Result<Report, VerifyError> {
    let checker = Checker {
        name: uop.name.to_owned(),
        uops: std::slice::from_ref(uop),
        registers: Registers::Base { kept },
        group,
        symbols,
        kind: Kind::Stencil,
    };
    let (graph, frames) = checker.group_keeps_the_rules()?;
    checker.declared_ways_out_exist()?;
    Ok(graph.report(frames.deepest))
}

/// Checks a variant: all rules of base forms, and those of its form.
///
/// # Errors
/// As [`check_group`].
pub fn check_variant(
    variant: &VariantInfo<'_>,
    group: StencilGroup<'_>,
    register_holes: &[RegisterHole],
    symbols: &[&str],
) -> Result<Report, VerifyError> {
    let checker = Checker {
        name: variant.to_string(),
        uops: variant.uops,
        registers: Registers::Form(variant.form),
        group,
        symbols,
        kind: Kind::Stencil,
    };
    checker.form_is_possible()?;
    let (graph, frames) = checker.group_keeps_the_rules()?;
    checker.placeholders_can_be_renamed(&graph, variant.form, register_holes)?;
    Ok(graph.report(frames.deepest))
}

/// Checks every stencil of a table, the base forms first.
pub fn check_table(
    table: &StencilTable,
) -> impl Iterator<Item = Result<Report, VerifyError>> + use<'_> {
    let symbols: Rc<[&str]> = table.symbols().collect();
    let is_operands = |id| matches!(table.variant(id).form, Form::Operands(_));
    let kept = match table.variants().any(is_operands) {
        true => PINNED,
        false => RegisterSet::default(),
    };
    let names = Rc::clone(&symbols);
    let locals = Rc::new(role::Locals::default());
    let same_locals = Rc::clone(&locals);
    let bases = table.uops().map(move |uop| {
        let (info, group) = (table.uop(uop), table.group(uop));
        let report = check_base(&info, group, kept, &names)?;
        same_locals.are_those_of(info.name, info.flags, group)?;
        Ok(report)
    });
    let variants = table.variants().map(move |id| {
        let variant = table.variant(id);
        let uops: Vec<UopInfo<'_>> = variant.infos().collect();
        let info = VariantInfo {
            uops: &uops,
            form: variant.form,
        };
        let (group, register_holes) = (variant.group, variant.register_holes);
        let report = check_variant(&info, group, register_holes, &symbols)?;
        if let [uop] = info.uops {
            locals.are_those_of(&info.to_string(), uop.flags, group)?;
        }
        Ok(report)
    });
    bases.chain(variants)
}

/// What is checked.
struct Checker<'a> {
    /// The stencil's name, for errors.
    name: String,
    /// The uops that it runs.
    uops: &'a [UopInfo<'a>],
    registers: Registers<'a>,
    group: StencilGroup<'a>,
    symbols: &'a [&'a str],
    kind: Kind,
}

/// Whose rules hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Those of tables.
    Stencil,
    /// Those of the interpreter's handlers: see [`check_handler`].
    Handler,
    /// Those of stencils that C code copies: see [`check_c_stencil`].
    C,
    /// Those of the code through which C enters such stencils: see [`check_c_entry`].
    CEntry,
}

impl Kind {
    fn is_for_c(self) -> bool {
        matches!(self, Self::C | Self::CEntry)
    }
}

/// What the stencil does with the value registers.
#[derive(Clone, Copy)]
enum Registers<'a> {
    /// All values are in memory.
    Base {
        /// The registers that are kept all the same.
        kept: RegisterSet,
    },
    /// As the form says.
    Form(&'a Form),
}

impl<'a> Checker<'a> {
    /// What is proven of every stencil; the calls say what, in order.
    fn group_keeps_the_rules(&self) -> Result<(Graph<'a>, Frames), VerifyError> {
        self.parts_and_holes_are_well_formed()?;
        self.data_holes_are_addresses()?;
        let graph = self.reachable_code_decodes()?;
        self.other_bytes_are_padding(&graph)?;
        self.every_hole_is_in_an_instruction(&graph)?;
        self.indirect_calls_are_known(&graph)?;
        self.data_is_used_within_bounds(&graph)?;
        self.constants_are_inputs(&graph)?;
        self.control_continues_as_declared(&graph)?;
        let frames = self.stack_is_level(&graph)?;
        let values = self.values(&graph, &frames.before, self.live_on_entry());
        if let Registers::Form(_) = self.registers {
            self.only_live_registers_are_read(&graph, &values)?;
        }
        self.ways_out_keep_registers(&graph, &values)?;
        self.holes_are_declared()?;
        self.role_is_kept(&graph)?;
        Ok((graph, frames))
    }

    /// The form is one that there can be for the uops.
    fn form_is_possible(&self) -> Result<(), VerifyError> {
        let error = |what| Err(self.error(ENTRY, Violation::Form(what)));
        let Some((_, all_but_last)) = self.uops.split_last() else {
            return error("runs no uop");
        };
        let terminates = |uop: &UopInfo<'_>| uop.flags.contains(UopFlags::TERMINAL);
        let switches = |uop: &UopInfo<'_>| uop.flags.intersects(UopFlags::SWITCHES_FRAME);
        match self.registers {
            _ if self.uops.iter().any(switches) => error("goes to another frame"),
            _ if all_but_last.iter().any(terminates) => error("goes on behind a terminal uop"),
            registers if registers.exceeds_slots() => error("has more than 3 values in registers"),
            _ => Ok(()),
        }
    }

    /// Whether this is the uop that moves the stack pointer.
    fn adjusts_stack(&self) -> bool {
        matches!(self.uops, [uop] if uop.name == ADJUST_STACK_UOP)
    }

    /// Whether this is a uop that continues in another frame.
    fn switches_frame(&self) -> bool {
        matches!(self.uops, [uop] if uop.flags.intersects(UopFlags::SWITCHES_FRAME))
    }

    /// Whether this is the way out of traces of operand sets.
    fn is_leave(&self) -> bool {
        self.uops.last().is_some_and(|uop| uop.name == LEAVE_UOP)
    }

    /// Every part and each of its holes means something.
    fn parts_and_holes_are_well_formed(&self) -> Result<(), VerifyError> {
        for (part, stencil) in self.group.parts() {
            part_is_well_formed(part, stencil)
                .map_err(|violation| self.error(Place::new(part, 0), violation))?;
            let mut previous_end = 0;
            for hole in stencil.holes {
                self.hole_is_well_formed(hole, previous_end, stencil.bytes)
                    .map_err(|violation| self.error(Place::of(part, hole), violation))?;
                previous_end = hole.end();
            }
        }
        Ok(())
    }

    /// A hole's fields are valid; it lies behind the one before it and inside its part, with zeros under it.
    fn hole_is_well_formed(
        &self,
        hole: &Hole,
        previous_end: u32,
        bytes: &[u8],
    ) -> Result<(), Violation> {
        hole.check(self.symbols.len()).map_err(Violation::BadHole)?;
        if hole.offset() < previous_end {
            return Err(Violation::HoleOrder { previous_end });
        }
        let (end, len) = (hole.end(), bytes.len());
        match bytes.get(hole.offset() as usize..end as usize) {
            None => Err(Violation::HoleOutside { end, len }),
            Some(found) if found.iter().any(|&byte| byte != 0) => {
                let found = found.to_vec();
                Err(Violation::BytesUnderHole { found })
            }
            Some(_) => Ok(()),
        }
    }

    /// Data holds only whole words at their natural alignment, and no address of code in a trace: nothing would prove
    /// a jump through data.
    fn data_holes_are_addresses(&self) -> Result<(), VerifyError> {
        for hole in self.group.data.holes {
            let error = |violation| self.error(Place::of(Part::Data, hole), violation);
            let is_word = hole.kind() == RelocationKind::Abs64 && hole.offset().is_multiple_of(8);
            if !is_word || hole.value().is_control() {
                let hole = self.text(hole);
                return Err(error(Violation::DataHole { hole }));
            }
            if hole.value() == HoleValue::Data {
                self.data_holds(i64::from(hole.addend()), Access::ADDRESS)
                    .map_err(error)?;
            }
        }
        Ok(())
    }

    /// What control does not reach is padding.
    fn other_bytes_are_padding(&self, graph: &Graph<'_>) -> Result<(), VerifyError> {
        for (part, stencil) in self.code() {
            let mut place = Place::new(part, 0);
            while (place.offset as usize) < stencil.bytes.len() {
                place.offset = graph
                    .owner(place)
                    .map(Node::end)
                    .or_else(|| graph.padding_end(stencil.bytes, place))
                    .ok_or_else(|| self.error(place, Violation::Unreached))?;
            }
        }
        Ok(())
    }

    /// No hole lies in padding. Those in instructions have been seen to fill their fields.
    fn every_hole_is_in_an_instruction(&self, graph: &Graph<'_>) -> Result<(), VerifyError> {
        for (part, stencil) in self.code() {
            for hole in stencil.holes {
                let place = Place::of(part, hole);
                if graph.owner(place).is_none() {
                    let hole = self.text(hole);
                    return Err(self.error(place, Violation::HoleOffField { hole }));
                }
            }
        }
        Ok(())
    }

    /// A call through a register goes to a function whose address was put there in the same basic block.
    fn indirect_calls_are_known(&self, graph: &Graph<'_>) -> Result<(), VerifyError> {
        let leaders = graph.leaders();
        let indirect =
            |node: &&Node<'_>| node.instruction.flow_control() == FlowControl::IndirectCall;
        match graph
            .nodes()
            .filter(indirect)
            .find(|call| !graph.calls_known_function(call, &leaders))
        {
            Some(call) => Err(self.error_at(call, Violation::IndirectCall)),
            None => Ok(()),
        }
    }

    /// What code reads through `DATA` holes lies in the data, is aligned as it must be, and is not written.
    fn data_is_used_within_bounds(&self, graph: &Graph<'_>) -> Result<(), VerifyError> {
        for node in graph.nodes() {
            let of_data = |filled: &&graph::Filled<'_>| filled.hole.value() == HoleValue::Data;
            for filled in node.filled.iter().filter(of_data) {
                let access = match filled.field {
                    Field::Immediate(_) | Field::SignExtended(_) => Some(Access::ADDRESS),
                    _ => memory_access(&node.instruction),
                };
                access
                    .ok_or(Violation::UnknownAccess)
                    .and_then(|access| self.data_holds(filled.beyond_value(), access))
                    .map_err(|violation| self.error_at(node, violation))?;
            }
        }
        Ok(())
    }

    /// The access, `destination` bytes from the start of the data, is one that the data allows.
    fn data_holds(&self, destination: i64, access: Access) -> Result<(), Violation> {
        let Stencil { bytes, align, .. } = self.group.data;
        let (size, len, expected) = (access.size, bytes.len(), access.align);
        if destination < 0 || destination + size > len as i64 {
            return Err(Violation::DataOutside {
                destination,
                size,
                len,
            });
        }
        if i64::from(align) < expected || destination % expected != 0 {
            return Err(Violation::DataMisaligned {
                destination,
                align,
                expected,
            });
        }
        match access.writes {
            true => Err(Violation::DataWritten),
            false => Ok(()),
        }
    }

    /// A terminal uop never continues with the next uop; any other does on some way.
    fn control_continues_as_declared(&self, graph: &Graph<'_>) -> Result<(), VerifyError> {
        let last = self.uops.last();
        let terminal = last.is_some_and(|uop| uop.flags.contains(UopFlags::TERMINAL));
        let is_empty = graph.entry == Target::Continue;
        let continuing = graph
            .nodes()
            .find(|node| node.targets().any(|target| target == Target::Continue));
        match continuing {
            Some(node) if terminal => Err(self.error_at(node, Violation::TerminalContinues)),
            None if terminal && is_empty => Err(self.error(ENTRY, Violation::TerminalContinues)),
            None if !terminal && !is_empty => Err(self.error(ENTRY, Violation::NeverContinues)),
            _ => Ok(()),
        }
    }

    /// Each hole's value is one that the flags of its uop announce. Constants that are inputs, which are of no uop, have
    /// been looked at.
    fn holes_are_declared(&self) -> Result<(), VerifyError> {
        for (part, stencil) in self.group.parts() {
            for hole in stencil.holes {
                self.hole_is_declared(hole)
                    .map_err(|violation| self.error(Place::of(part, hole), violation))?;
            }
        }
        Ok(())
    }

    fn hole_is_declared(&self, hole: &Hole) -> Result<(), Violation> {
        let value = hole.value();
        if matches!(value, HoleValue::Input | HoleValue::Pooled) {
            return Ok(());
        }
        let (element, count) = (hole.element(), self.uops.len());
        let Some(uop) = self.uops.get(usize::from(element)) else {
            return Err(Violation::NoElement { element, count });
        };
        let flags = match value {
            HoleValue::Leave => UopFlags::EXIT_RECORD,
            value => UopFlags::announcing(value),
        };
        match flags.is_empty() || uop.flags.intersects(flags) {
            true => Ok(()),
            false => Err(Violation::Undeclared { value, flags }),
        }
    }

    /// The ways out that the flags announce are there: traces prepare labels and records for them.
    fn declared_ways_out_exist(&self) -> Result<(), VerifyError> {
        use HoleValue::*;
        let ways: [&'static [HoleValue]; 4] =
            [&[JumpTarget], &[ErrorTarget], &[Exit, ExitIndex], &[Top]];
        for values in ways {
            let flags = self.flags() & UopFlags::announcing(values[0]);
            let mut holes = self.group.holes();
            if !flags.is_empty() && !holes.any(|hole| values.contains(&hole.value())) {
                return Err(self.error(ENTRY, Violation::NeverUsed { flags, values }));
            }
        }
        Ok(())
    }

    /// The flags of all uops together.
    fn flags(&self) -> UopFlags {
        let flags = self.uops.iter().map(|uop| uop.flags);
        flags.fold(UopFlags::empty(), UopFlags::union)
    }

    fn part(&self, part: Part) -> Stencil<'a> {
        match part {
            Part::Hot => self.group.hot,
            Part::Cold => self.group.cold,
            Part::Data => self.group.data,
        }
    }

    fn code(&self) -> [(Part, Stencil<'a>); 2] {
        [Part::Hot, Part::Cold].map(|part| (part, self.part(part)))
    }

    /// A hole that belongs to no instruction, for an error.
    fn text(&self, hole: &Hole) -> String {
        hole_text(hole, hole.end() as usize, self.symbols)
    }

    fn error(&self, place: Place, violation: Violation) -> VerifyError {
        VerifyError {
            uop: self.name.clone(),
            part: place.part,
            offset: place.offset,
            instruction: None,
            violation,
        }
    }

    fn error_in(&self, place: Place, found: &Instruction, violation: Violation) -> VerifyError {
        VerifyError {
            instruction: Some(instruction_text(found)),
            ..self.error(place, violation)
        }
    }

    fn error_at(&self, node: &Node<'_>, violation: Violation) -> VerifyError {
        self.error_in(node.place, &node.instruction, violation)
    }
}

/// A part has a size that can be looked at and an alignment that it can have.
fn part_is_well_formed(part: Part, stencil: Stencil<'_>) -> Result<(), Violation> {
    let (len, found) = (stencil.bytes.len(), stencil.align);
    let (aligned, expected) = match part {
        Part::Hot | Part::Cold => (found == 1, "1 for code"),
        Part::Data => (found.is_power_of_two(), "a power of two"),
    };
    if len > MAX_PART_LEN {
        return Err(Violation::PartTooLarge { len });
    }
    match aligned {
        true => Ok(()),
        false => Err(Violation::Alignment { found, expected }),
    }
}

#[cfg(test)]
mod tests;
