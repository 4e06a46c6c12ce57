//! Selection: which stencils a trace is made of. So far, the base form of each uop.

use crate::assemble::{Arguments, Assembler, LabelId, NO_EXIT, Renaming, StencilId, UopArguments};
use crate::executor::ExitInfo;
use crate::form::MAX_INPUTS;
use crate::stencil::UopFlags;
use crate::trace::{CheckedTrace, NOWHERE};

/// Places the stencils of a trace.
pub(crate) fn select(trace: &CheckedTrace<'_>, assembler: &mut Assembler<'_>) {
    let labels: Vec<LabelId> = trace.uops.iter().map(|_| assembler.label()).collect();
    let at = |place: u32| match place {
        NOWHERE => LabelId::NONE,
        place => labels[place as usize],
    };
    if let Some(&second) = labels.get(1) {
        assembler.set_top(second);
    }
    for (index, uop) in trace.uops.iter().enumerate() {
        let flags = trace.table.entry(uop.id).flags;
        let exit = if flags.contains(UopFlags::EXIT_RECORD) {
            assembler.exit(ExitInfo {
                uop: index as u32,
                target: uop.target,
                depth: trace.exit_depth(index),
            })
        } else {
            NO_EXIT
        };
        assembler.bind(labels[index]);
        assembler.place(
            StencilId::base(uop.id),
            Renaming::default(),
            &Arguments {
                index: index as u32,
                uops: &[UopArguments {
                    oparg: uop.oparg,
                    target: uop.target,
                    operand: uop.operand,
                }],
                inputs: [0; MAX_INPUTS],
                jump: at(trace.places[index].jump),
                error: at(trace.places[index].error),
                exit,
            },
        );
    }
}
