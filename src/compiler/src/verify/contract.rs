//! The rules that hold for stencils that C code copies and patches; see `contract`.

use super::frame::Frames;
use super::graph::{Graph, Place, Target};
use super::values::{Live, Location};
use super::violation::{VerifyError, Violation};
use super::{Checker, Kind, Registers, Report};
use iced_x86::FlowControl;
use mimeo::form::RegisterSet;
use mimeo::hole::HoleValue;
use mimeo::stencil::{StencilGroup, UopInfo};

/// Checks a stencil whose code is in one piece, the group's hot code. The calls are what is proven, in order: of the
/// rules for tables those about valid instructions, branches, constants and the stack (rsp at 0 mod 16 on entry, aligned at
/// calls, level on every way out); that nothing but code and data of the trace is reached by its distance; and that whoever
/// goes on finds something in the registers of the contract, and in r12, the thread, what it was.
///
/// A stencil may return and jump to an address in memory, and rbp is nobody's.
///
/// # Errors
/// The first rule that is broken, and where. [`VerifyError::is_misaligned_call`] tells the one for which the compiler
/// has a remedy.
pub fn check_c_stencil(
    name: &str,
    group: StencilGroup<'_>,
    symbols: &[&str],
) -> Result<Report, VerifyError> {
    let uop = UopInfo {
        name,
        ..UopInfo::default()
    };
    let checker = checker(&uop, group, symbols, Kind::C);
    let (graph, frames) = checker.code_is_sound()?;
    checker.registers_are_handed_over(&graph, &frames)?;
    Ok(graph.report(frames.deepest))
}

/// Checks the code through which C enters stencils: it is a C function itself, and what it does with registers but rsp and
/// rbp is left to the compiler. Valid instructions, branches and constants are proven; the stack, which is at 8 mod 16 on
/// entry, and so when the first stencil is called; that it is aligned at calls of C functions and level at the end, where rbp
/// is what it was; and that nothing but code and data of the trace is reached by its distance.
///
/// # Errors
/// As [`check_c_stencil`].
pub fn check_c_entry(
    name: &str,
    group: StencilGroup<'_>,
    symbols: &[&str],
) -> Result<Report, VerifyError> {
    let uop = UopInfo {
        name,
        ..UopInfo::default()
    };
    let checker = checker(&uop, group, symbols, Kind::CEntry);
    checker.parts_and_holes_are_well_formed()?;
    checker.data_holes_are_addresses()?;
    let graph = checker.reachable_code_decodes()?;
    checker.every_hole_is_in_an_instruction(&graph)?;
    checker.data_is_used_within_bounds(&graph)?;
    checker.nothing_is_far_away(&graph)?;
    let frames = checker.stack_is_level(&graph)?;
    Ok(graph.report(frames.deepest))
}

fn checker<'a>(
    uop: &'a UopInfo<'a>,
    group: StencilGroup<'a>,
    symbols: &'a [&'a str],
    kind: Kind,
) -> Checker<'a> {
    Checker {
        name: uop.name.to_owned(),
        uops: std::slice::from_ref(uop),
        registers: Registers::Base {
            kept: RegisterSet::default(),
        },
        group,
        symbols,
        kind,
    }
}

impl<'a> Checker<'a> {
    fn code_is_sound(&self) -> Result<(Graph<'a>, Frames), VerifyError> {
        self.parts_and_holes_are_well_formed()?;
        self.data_holes_are_addresses()?;
        let graph = self.reachable_code_decodes()?;
        self.other_bytes_are_padding(&graph)?;
        self.every_hole_is_in_an_instruction(&graph)?;
        self.data_is_used_within_bounds(&graph)?;
        self.nothing_is_far_away(&graph)?;
        let frames = self.stack_is_level(&graph)?;
        Ok((graph, frames))
    }

    /// Distances are to code of the trace and to the stencil's data: where anything else is, nobody knows.
    fn nothing_is_far_away(&self, graph: &Graph<'_>) -> Result<(), VerifyError> {
        for node in graph.nodes() {
            for filled in &node.filled {
                let value = filled.hole.value();
                let is_near = value.is_control() || value == HoleValue::Data;
                if filled.hole.kind().is_pc_relative() && !is_near {
                    let hole = self.text(filled.hole);
                    let place = Place::of(node.place.part, filled.hole);
                    return Err(self.error(place, Violation::FarAway { hole }));
                }
            }
        }
        Ok(())
    }

    /// Whoever goes on finds the thread, a frame and a stack pointer.
    fn registers_are_handed_over(
        &self,
        graph: &Graph<'_>,
        frames: &Frames,
    ) -> Result<(), VerifyError> {
        let values = self.values(graph, &frames.before, Live::ALWAYS);
        for node in graph.nodes() {
            let goes_on = node
                .targets()
                .any(|target| !matches!(target, Target::Inside(_)));
            if !goes_on || node.instruction.flow_control() == FlowControl::Return {
                continue;
            }
            let Some(state) = values.after(node) else {
                continue;
            };
            let error = |location: Location, expected| {
                let register = location.name();
                self.error_at(node, Violation::HandedOver { register, expected })
            };
            // What a called function could have changed in the frame, it has not.
            let thread = state.get(Location::R12);
            let is_kept = thread.is_entry_of(Location::R12)
                || (values.frame_escapes() && !thread.is_undefined(Live::ALWAYS));
            if !is_kept {
                return Err(error(Location::R12, "it was on entry"));
            }
            for location in [Location::R13, Location::R14] {
                if state.get(location).is_undefined(Live::ALWAYS) {
                    return Err(error(location, "the stencil has put there"));
                }
            }
        }
        Ok(())
    }
}
