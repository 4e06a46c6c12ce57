//! The rules that hold for a handler of the interpreter, which is put at its place once, when it is compiled.

use super::graph::{ENTRY, Graph, Place, Target};
use super::violation::{VerifyError, Violation};
use super::{Checker, Kind, Registers, Report};
use mimeo::form::RegisterSet;
use mimeo::hole::HoleValue;
use mimeo::reloc::RelocationKind;
use mimeo::stencil::{StencilGroup, UopInfo};

/// Checks a handler's code and data. The calls are what is proven, in order: of the stencils' rules those about valid
/// instructions, branches, constants and the stack (aligned at calls, level on every way out).
///
/// What leads out of a handler is read from records and tables, so nothing is known of where indirect calls and jumps
/// go: every indirect jump counts as a way out.
///
/// # Errors
/// The first rule that is broken, and where.
pub fn check_handler(uop: &UopInfo<'_>, group: StencilGroup<'_>) -> Result<Report, VerifyError> {
    let checker = Checker {
        name: uop.name.to_owned(),
        uops: std::slice::from_ref(uop),
        registers: Registers::Base {
            kept: RegisterSet::default(),
        },
        group,
        symbols: &[],
        kind: Kind::Handler,
    };
    checker.holes_stay_inside()?;
    checker.parts_and_holes_are_well_formed()?;
    let graph = checker.reachable_code_decodes()?;
    checker.other_bytes_are_padding(&graph)?;
    checker.every_hole_is_in_an_instruction(&graph)?;
    checker.data_is_used_within_bounds(&graph)?;
    checker.control_leaves_by_jumps(&graph)?;
    let frames = checker.stack_is_level(&graph)?;
    Ok(graph.report(frames.deepest))
}

impl Checker<'_> {
    /// Every hole is a distance to a part of the same handler: the code can be put anywhere without being patched.
    fn holes_stay_inside(&self) -> Result<(), VerifyError> {
        for (part, stencil) in self.group.parts() {
            for hole in stencil.holes {
                let inside = matches!(
                    hole.value(),
                    HoleValue::Code | HoleValue::Cold | HoleValue::Data
                );
                if !inside || hole.kind() != RelocationKind::Pc32 {
                    let hole_text = format!("{} {}", hole.kind(), hole.value());
                    let violation = Violation::HandlerHole { hole: hole_text };
                    return Err(self.error(Place::of(part, hole), violation));
                }
            }
        }
        Ok(())
    }

    /// Nothing stands behind a handler that control could go on with.
    fn control_leaves_by_jumps(&self, graph: &Graph<'_>) -> Result<(), VerifyError> {
        let runs_off = |target| target == Target::Continue;
        if runs_off(graph.entry) {
            return Err(self.error(ENTRY, Violation::HandlerRunsOff));
        }
        match graph.nodes().find(|node| node.targets().any(runs_off)) {
            None => Ok(()),
            Some(node) => Err(self.error_at(node, Violation::HandlerRunsOff)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mimeo::hole::Hole;
    use mimeo::stencil::{StencilBuf, StencilGroupBuf};

    fn check(code: &[u8], holes: &[Hole], data: &[u8]) -> Result<Report, String> {
        let part = |bytes: &[u8], holes: &[Hole], align| StencilBuf {
            bytes: bytes.to_vec(),
            holes: holes.to_vec(),
            align,
        };
        let group = StencilGroupBuf {
            hot: part(code, holes, 1),
            cold: part(&[], &[], 1),
            data: part(data, &[], 8),
        };
        let uop = UopInfo {
            name: "X",
            ..UopInfo::default()
        };
        check_handler(&uop, group.as_group()).map_err(|error| error.to_string())
    }

    /// `mov rax, [r15 + 40]; add r15, 40; jmp rax`
    const DISPATCH: [u8; 11] = [0x49, 0x8b, 0x47, 40, 0x49, 0x83, 0xc7, 40, 0xff, 0xe0, 0x90];

    #[test]
    fn a_handler_that_dispatches_keeps_the_rules() {
        let report = check(&DISPATCH, &[], &[]).unwrap();
        assert_eq!((report.instructions, report.exits), (3, 1));
        // call [rax + 8]
        let calls = [&[0xff, 0x50, 0x08], &DISPATCH[..]].concat();
        assert_eq!(check(&calls, &[], &[]).unwrap().calls, 1);
        // movsd xmm0, [rip + DATA]
        let reads = [&[0xf2, 0x0f, 0x10, 0x05, 0, 0, 0, 0], &DISPATCH[..]].concat();
        let hole = Hole::new(4, RelocationKind::Pc32, HoleValue::Data, -4);
        assert_eq!(check(&reads, &[hole], &[0; 8]).unwrap().instructions, 4);
    }

    #[test]
    fn what_breaks_a_rule_is_refused() {
        let pc32 = |value| Hole::new(1, RelocationKind::Pc32, value, -4);
        let unlevel = [&[0x50], &DISPATCH[..]].concat();
        let misaligned = [&[0x50, 0xff, 0x50, 0x08, 0x59], &DISPATCH[..]].concat();
        for (code, holes, expected) in [
            (&DISPATCH[..8], vec![], "control runs off the end"),
            (&[][..], vec![], "control runs off the end"),
            (
                &[0xe9, 0, 0, 0, 0][..],
                vec![pc32(HoleValue::Continue)],
                "leads out of the handler",
            ),
            (
                &[0xe8, 0, 0, 0, 0, 0xff, 0xe0][..],
                vec![pc32(HoleValue::Symbol)],
                "leads out of the handler",
            ),
            (
                &[0xbf, 0, 0, 0, 0, 0xff, 0xe0][..],
                vec![Hole::new(1, RelocationKind::Abs32, HoleValue::Data, 0)],
                "leads out of the handler",
            ),
            (&unlevel, vec![], "control leaves at depth 8"),
            (&misaligned, vec![], "`call qword ptr [rax+8]`"),
            (&[0xc3][..], vec![], "a return"),
        ] {
            let error = check(code, &holes, &[0; 8]).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
