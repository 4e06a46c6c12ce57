//! Scalar traces that make no sense are told from those that do, and states guard what is around them.

use mimeo_bench::scalar::{ScalarTrace, ScalarTraceError as E, ScalarUop, Writer};
use mimeo_bench::state::{Inputs, State, StateError, Word};
use mimeo_bench::{Left, Op};

fn uop(op: Op) -> ScalarUop {
    ScalarUop::new(op)
}

fn trace(uops: &[ScalarUop], labels: &[u32]) -> ScalarTrace {
    ScalarTrace {
        locals: 1,
        stack: 2,
        entry_depth: 0,
        uops: uops.to_vec(),
        labels: labels.to_vec(),
    }
}

#[test]
fn mistakes_are_named() {
    let exit = uop(Op::Exit);
    let jump = |op, label| ScalarUop {
        jump: Some(label),
        ..uop(op)
    };
    let constant = uop(Op::ConstI64);
    let cases = [
        (trace(&[], &[]), E::Empty),
        (trace(&[constant], &[]), E::RunsOff { op: Op::ConstI64 }),
        (
            trace(&[uop(Op::Jump)], &[0]),
            E::Label {
                index: 0,
                op: Op::Jump,
                label: None,
            },
        ),
        (
            trace(&[jump(Op::Jump, 0), exit], &[2]),
            E::Label {
                index: 0,
                op: Op::Jump,
                label: Some(0),
            },
        ),
        (
            trace(
                &[
                    ScalarUop {
                        oparg: 1,
                        ..uop(Op::LoadF64)
                    },
                    exit,
                ],
                &[],
            ),
            E::Local {
                index: 0,
                op: Op::LoadF64,
                local: 1,
                locals: 1,
            },
        ),
        (
            trace(
                &[
                    constant,
                    ScalarUop {
                        operand: 0,
                        ..uop(Op::Call1)
                    },
                    exit,
                ],
                &[],
            ),
            E::Native {
                index: 1,
                op: Op::Call1,
                number: 0,
            },
        ),
        (
            trace(&[constant, uop(Op::Add), exit], &[]),
            E::Depth {
                index: 1,
                op: Op::Add,
                depth: 1,
                limit: 2,
            },
        ),
        (
            trace(&[constant, constant, constant, exit], &[]),
            E::Depth {
                index: 2,
                op: Op::ConstI64,
                depth: 2,
                limit: 2,
            },
        ),
        (
            trace(&[constant, constant, jump(Op::AddChecked, 0), exit], &[3]),
            E::Mismatch {
                index: 3,
                op: Op::Exit,
                first: 1,
                second: 2,
            },
        ),
    ];
    for (trace, expected) in cases {
        assert_eq!(trace.check(), Err(expected));
    }
}

#[test]
fn depths_are_those_in_front_of_each_uop() {
    let mut code = Writer::new(0).entered_with(1);
    let out = code.label();
    code.int(1).jumping(Op::AddChecked, out).op(Op::DropI64);
    code.exit(1).op(Op::Add).exit(2).exit_at(out, 3);
    let trace = code.finish().unwrap();
    assert_eq!(trace.stack, 2);
    let expected = [Some(1), Some(2), Some(1), Some(0), None, None, Some(2)];
    assert_eq!(trace.check().unwrap(), expected);
}

#[test]
fn inputs_must_suit_the_trace() {
    let trace = trace(&[uop(Op::Exit)], &[]);
    let too_many = Inputs {
        locals: vec![Word::Bits(1), Word::Bits(2)],
        ..Inputs::default()
    };
    let on_the_stack = Inputs {
        stack: vec![Word::Bits(1)],
        ..Inputs::default()
    };
    let outside = Inputs {
        locals: vec![Word::Address {
            buffer: 0,
            offset: 9,
        }],
        buffers: vec![vec![0]],
        ..Inputs::default()
    };
    let error = |inputs| State::new(&trace, &inputs).err();
    assert!(matches!(error(too_many), Some(StateError::Count { .. })));
    assert!(matches!(
        error(on_the_stack),
        Some(StateError::Count { .. })
    ));
    assert_eq!(
        error(outside),
        Some(StateError::Address {
            buffer: 0,
            offset: 9
        })
    );
}

#[test]
fn a_stray_stack_pointer_is_found() {
    let trace = trace(&[uop(Op::Exit)], &[]);
    let mut state = State::new(&trace, &Inputs::default()).unwrap();
    for (slots, fits) in [(0, true), (2, true), (3, false), (-1, false)] {
        state.reset();
        let left = state.enter(|_, stack_pointer, _| Left {
            uop: 0,
            target: 0,
            stack_pointer: stack_pointer.wrapping_offset(slots),
        });
        assert_eq!(left.is_ok(), fits, "{slots}");
    }
}

#[test]
fn memory_is_found_by_its_address() {
    let trace = trace(&[uop(Op::Exit)], &[]);
    let inputs = Inputs {
        locals: vec![Word::buffer(0)],
        buffers: vec![vec![0x0807_0605_0403_0201, 0]],
        ..Inputs::default()
    };
    let mut state = State::new(&trace, &inputs).unwrap();
    let start = state.locals()[0];
    assert_eq!(state.read(start + 1, 2), Some(0x0302));
    assert_eq!(state.write(start + 6, 4, 0xaabb_ccdd), Some(()));
    assert_eq!(state.buffers()[0], [0xccdd_0605_0403_0201, 0xaabb]);
    assert_eq!(state.read(start + 9, 8), None);
    assert_eq!(state.read(start - 1, 1), None);
    assert_eq!(state.read(u64::MAX, 8), None);
    state.reset();
    assert_eq!(state.buffers()[0], inputs.buffers[0]);
}

/// The kernels' traces stand beside the recorded ones, as a corpus for `mimeo mine`. `MIMEO_BLESS=1` writes them.
#[test]
fn the_corpus_holds_the_kernels_traces() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("traces/scalar");
    for kernel in mimeo_bench::kernels::kernels().expect("kernels that make sense") {
        let path = directory.join(format!("{}.json", kernel.name));
        let text = serde_json::to_string(&kernel.trace).expect("a trace as JSON") + "\n";
        if std::env::var_os("MIMEO_BLESS").is_some() {
            std::fs::create_dir_all(&directory).expect("a directory");
            std::fs::write(&path, text).expect("a file");
            continue;
        }
        let present = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(
            present, text,
            "{}: MIMEO_BLESS=1 writes it anew",
            kernel.name
        );
    }
}
