//! The fast patchers write what the reference writes, for every uop of the standard set, near its helpers and far away.

use mimeo::engine::CompileError;
use mimeo::stencil::UopFlags;
use mimeo::table::{StencilTable, UopId};
use mimeo::trace::{FrameShape, Label, Trace, Uop};
use mimeo::{PatchError, Patcher};
use mimeo_objects::recorded::engine;
use mimeo_tests::numbers::Numbers;
use std::sync::Arc;

/// A frame with room for anything.
const SHAPE: FrameShape = FrameShape {
    locals: 256,
    stack: 1 << 16,
    entry_depth: 1 << 15,
};

/// A trace of these uops with arguments that they take. Their labels lead to exits of their own, behind the rest, since
/// each leaves another depth.
fn trace<'t>(table: &'t StencilTable, uops: &[UopId], numbers: &mut Numbers) -> Trace<'t> {
    let mut trace = Trace::new(table);
    let mut labels: Vec<Label> = Vec::new();
    for id in entering_first(table, uops) {
        let info = table.uop(id);
        let small = info.oparg_max.min(SHAPE.locals - 1) as usize;
        let (jump, error) = (trace.label(), trace.label());
        labels.extend([jump, error]);
        let mut uop = Uop::new(id)
            .oparg(numbers.below(small + 1) as u32)
            .operand(numbers.number().min(info.operand_max))
            .target(numbers.below(1000) as u32)
            .jump(jump)
            .error(error);
        if info.flags.contains(UopFlags::ENTERS_FRAME) {
            uop = uop.enters(SHAPE);
        }
        trace.push(uop);
    }
    let exit = trace.uop("_EXIT_TRACE").expect("the set has exits");
    trace.push(exit);
    for label in labels {
        trace.bind(label).expect("it is bound once");
        trace.push(exit.target(numbers.below(1000) as u32));
    }
    trace
}

/// The uops with one that enters a frame in front of each that leaves one, unless there is a frame to leave.
fn entering_first(table: &StencilTable, uops: &[UopId]) -> Vec<UopId> {
    let flags = |id: UopId| table.uop(id).flags;
    let enters = |id: &UopId| flags(*id).contains(UopFlags::ENTERS_FRAME);
    let mut entered = 0;
    let mut all = Vec::new();
    for &id in uops {
        if flags(id).contains(UopFlags::LEAVES_FRAME) {
            if entered == 0 {
                all.extend(table.uops().find(enters));
                entered += 1;
            }
            entered -= 1;
        }
        entered += u32::from(enters(&id));
        all.push(id);
    }
    all
}

#[test]
fn all_patchers_write_the_same_bytes_for_the_standard_set() {
    let table = Arc::new(mimeo_ir_templates::standard_table().expect("the embedded table"));
    let engine = engine(Arc::clone(&table)).expect("an engine of the standard set");
    let all: Vec<UopId> = table.uops().collect();
    let flags = |id: &UopId| table.uop(*id).flags;
    let (last, going_on): (Vec<UopId>, Vec<UopId>) = all
        .iter()
        .partition(|id| flags(id).contains(UopFlags::TERMINAL));
    let mut numbers = Numbers::new(3);
    // Every uop that goes on, in a different order each time; and each that does not, behind some of them.
    let mut sequences = Vec::new();
    for &last in &last {
        let mut uops = going_on.clone();
        for index in (1..uops.len()).rev() {
            uops.swap(index, numbers.below(index + 1));
        }
        if flags(&last).contains(UopFlags::TOP) {
            // It goes to the second uop, where the stack has to be as deep as there: to itself.
            uops.retain(|id| !flags(id).intersects(UopFlags::SWITCHES_FRAME));
            uops.truncate(1);
        }
        uops.push(last);
        sequences.push(uops);
    }
    assert!(!sequences.is_empty());
    let here = engine_address(&engine);
    for uops in sequences {
        let trace = trace(&table, &uops, &mut numbers);
        let prepared = engine.prepare(&trace, SHAPE).expect("the trace is right");
        for address in [here, here + (1 << 20), 1 << 46] {
            let image = |patcher| match engine.image(&prepared, patcher, address) {
                Ok(image) => Ok(image),
                Err(CompileError::Patch(error)) => Err::<_, PatchError>(error),
                Err(error) => panic!("{error}"),
            };
            let expected = image(Patcher::Reference);
            assert!(expected.is_ok() || address == 1 << 46, "{expected:?}");
            for patcher in [Patcher::Portable, Patcher::Avx2, Patcher::Avx512] {
                if patcher.is_available() {
                    assert!(image(patcher) == expected, "{patcher:?} at {address:#x}");
                }
            }
        }
    }
}

/// An address near the helpers, as the engine's own code memory is.
fn engine_address(engine: &mimeo::engine::Engine) -> usize {
    let mut trace = Trace::new(engine.table());
    trace.push(trace.uop("_EXIT_TRACE").expect("the set has exits"));
    let executor = engine.compile(&trace, FrameShape::default());
    executor.expect("a trace of an exit").address()
}
