//! Every kernel gives what plain Rust gives, by the reference and compiled.

use mimeo_bench::kernels::{Kernel, kernels};
use mimeo_bench::reference::run_reference;
use mimeo_bench::{Left, State};
use mimeo_tests::scalar::differential::{Compiled, Runner};
use std::collections::HashSet;

fn all() -> Vec<Kernel> {
    kernels().unwrap_or_else(|error| panic!("{error}"))
}

fn check(kernel: &Kernel, run: impl FnOnce(&mut State) -> (u32, u32)) {
    let name = &kernel.name;
    let mut state =
        State::new(&kernel.trace, &kernel.inputs).unwrap_or_else(|error| panic!("{name}: {error}"));
    let (uop, target) = run(&mut state);
    assert_eq!(target, kernel.target, "{name} left through uop {uop}");
    assert!(state.values().is_empty(), "{name}");
    let found = kernel.results(&state);
    assert_eq!(found.len(), kernel.expected.len(), "{name}");
    let different = (0..found.len()).find(|&index| found[index] != kernel.expected[index]);
    assert_eq!(different, None, "{name}");
}

#[test]
fn compiled_kernels_give_what_rust_gives() {
    let mut compiled = Compiled::new();
    for kernel in all() {
        check(&kernel, |state| {
            let left: Left = compiled
                .run(&kernel.trace, state)
                .unwrap_or_else(|error| panic!("{}: {error}", kernel.name));
            (left.uop, left.target)
        });
    }
}

#[test]
fn the_reference_gives_what_rust_gives() {
    for kernel in all() {
        check(&kernel, |state| {
            let limit = 100 * kernel.iterations + 10_000_000;
            let end = run_reference(&kernel.trace, state, limit)
                .unwrap_or_else(|error| panic!("{}: {error:?}", kernel.name));
            assert!(!end.ambiguous, "{}", kernel.name);
            // An iteration is some uops: were the count wrong, all times per iteration would be.
            let uops = end.steps / kernel.iterations;
            assert!((5..=200).contains(&uops), "{}: {uops}", kernel.name);
            (end.uop, end.target)
        });
    }
}

#[test]
fn kernels_have_names_of_their_own_and_survive_json() {
    let mut names = HashSet::new();
    for kernel in all() {
        let text = serde_json::to_string(&kernel).expect("plain data");
        let again: Kernel = serde_json::from_str(&text).expect("what was written");
        assert!(again == kernel, "{}", kernel.name);
        assert!(names.insert(kernel.name));
    }
    assert!(!names.is_empty());
}
