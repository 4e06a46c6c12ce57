//! The limit: every template of the standard sets can be built into a trace's one function and compiled by LLVM. That the
//! code does what stencils do is tested with kernels and random traces.
#![cfg(feature = "llvm")]

use mimeo::stencil::UopFlags;
use mimeo::table::{StencilTable, UopId};
use mimeo::trace::{FrameShape, Trace, Uop};
use mimeo_bench::State;
use mimeo_bench::kernels::kernels;
use mimeo_compiler::limit::{Cpu, Level, LimitError, TraceIr};
use mimeo_compiler::template::TemplateSet;
use mimeo_ir_templates::{scalar_table, standard_table, templates_of};
use mimeo_tests::scalar::differential::{Runner, Verdict, compare};
use mimeo_tests::scalar::random::{Tape, make};
use mimeo_tests::scalar::whole::Whole;

const OPARG: u32 = 3;

/// One uop, with an exit behind it, at its jump label and at its error label.
fn trace_of<'t>(table: &'t StencilTable, id: UopId, exit: &str) -> Trace<'t> {
    let mut trace = Trace::new(table);
    let (jump, error) = (trace.label(), trace.label());
    let mut uop = Uop::new(id)
        .oparg(OPARG.min(table.uop(id).oparg_max))
        // An address, where it is one: LLVM makes nothing of code that calls null.
        .operand(0x1000.min(table.uop(id).operand_max))
        .jump(jump)
        .error(error);
    if table.uop(id).flags.contains(UopFlags::ENTERS_FRAME) {
        uop = uop.enters(FrameShape::default());
    }
    trace.push(uop);
    let exit = trace.uop(exit).expect("a uop that leaves");
    trace.push(exit);
    trace.bind(jump).expect("a label of this trace");
    trace.push(exit);
    trace.bind(error).expect("a label of this trace");
    trace.push(exit);
    trace
}

/// Every symbol is somewhere; nothing is called.
fn anywhere(_: &str) -> Option<usize> {
    Some(0x1000)
}

fn compile_each(set: &TemplateSet, table: &StencilTable, exit: &str) {
    let (mut compiled, mut others) = (0, 0);
    for id in table.uops() {
        let name = table.uop(id).name;
        if !set.templates.iter().any(|template| template.name() == name) {
            // The compiler has added it, for selection to move values with.
            continue;
        }
        let trace = trace_of(table, id, exit);
        let entry_depth = table.uop(id).effect.popped.of(OPARG) as u32;
        let shape = FrameShape {
            locals: 16,
            stack: entry_depth + 16,
            entry_depth,
        };
        let built = TraceIr::build(set, &trace, shape, Cpu::Baseline, &anywhere);
        if table.uop(id).flags.intersects(UopFlags::SWITCHES_FRAME) {
            // It goes to another frame, which one function does not; and a trace may leave only what it has entered.
            let refused = matches!(
                built,
                Err(LimitError::OtherFrame { .. } | LimitError::Trace(_))
            );
            assert!(refused, "{name}");
            others += 1;
            continue;
        }
        let built = built.unwrap_or_else(|error| panic!("{name}: {error}"));
        let text = built.text();
        assert!(!text.contains("_JIT_"), "{name} has a hole left:\n{text}");
        let bytes = built
            .code_len(Level::O1)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        // A loop without an end is two bytes.
        assert!(bytes >= 2, "{name} has {bytes} bytes of code");
        compiled += 1;
    }
    assert_eq!(compiled + others, set.templates.len());
}

#[test]
fn every_python_template_can_be_inlined() {
    let table = standard_table().expect("the embedded table");
    let set = templates_of("python").expect("a standard set");
    compile_each(&set, &table, "_EXIT_TRACE");
}

#[test]
fn every_scalar_template_can_be_inlined() {
    let table = scalar_table().expect("the embedded table");
    let set = templates_of("scalar").expect("a standard set");
    compile_each(&set, &table, "EXIT");
}

#[test]
fn kernels_get_the_results_of_plain_rust() {
    for level in [Level::O0, Level::O1, Level::O2] {
        let mut whole = Whole::new(level);
        for kernel in kernels().expect("the kernels") {
            let name = &kernel.name;
            let mut state = State::new(&kernel.trace, &kernel.inputs).expect("its inputs");
            let left = whole
                .run(&kernel.trace, &mut state)
                .unwrap_or_else(|error| panic!("{name}, {level:?}: {error}"));
            assert_eq!(left.target, kernel.target, "{name}, {level:?}");
            assert_eq!(kernel.results(&state), kernel.expected, "{name}, {level:?}");
        }
    }
}

#[test]
fn random_traces_do_what_the_reference_says() {
    let (mut quick, mut best) = (Whole::new(Level::O0), Whole::new(Level::O2));
    let mut same = 0;
    for seed in 0..60 {
        let case = make(&mut Tape::record(seed));
        let mut runners: [(&str, &mut dyn Runner); 2] =
            [("LLVM -O0", &mut quick), ("LLVM -O2", &mut best)];
        match compare(&case.trace, &case.inputs, &mut runners) {
            Verdict::Same { .. } => same += 1,
            Verdict::Different(difference) => panic!("seed {seed}: {difference} in {case:#?}"),
            Verdict::Ambiguous | Verdict::Open(_) => {}
        }
    }
    assert!(same >= 50, "{same}");
}

#[test]
fn a_trace_that_is_wrong_is_refused() {
    let table = scalar_table().expect("the embedded table");
    let set = templates_of("scalar").expect("a standard set");
    let mut trace = Trace::new(&table);
    trace.push(trace.uop("I64_ADD").expect("a scalar uop"));
    let build = |trace: &Trace<'_>| {
        TraceIr::build(&set, trace, FrameShape::default(), Cpu::Baseline, &anywhere)
    };
    assert!(matches!(build(&trace), Err(LimitError::Trace(_))));
}

#[test]
fn a_set_without_the_traces_templates_is_refused() {
    let table = scalar_table().expect("the embedded table");
    let mut set = templates_of("scalar").expect("a standard set");
    set.templates.retain(|template| template.name() != "EXIT");
    let mut trace = Trace::new(&table);
    trace.push(trace.uop("EXIT").expect("a scalar uop"));
    let built = TraceIr::build(
        &set,
        &trace,
        FrameShape::default(),
        Cpu::Baseline,
        &anywhere,
    );
    assert!(matches!(
        built,
        Err(LimitError::MissingTemplate { index: 0, .. })
    ));
}
