//! Every engine ends the same traces with the same words in locals, stack and memory.
#![cfg(feature = "peers")]

use mimeo_bench::kernels::kernels;
use mimeo_bench::measure::{agree_on_kernel, agree_on_random_traces};
use mimeo_bench::peer::peers;

#[test]
fn engines_agree_on_random_traces() {
    let peers = peers().expect("every engine of this build");
    for uops in [1, 40, 200] {
        agree_on_random_traces(&peers, 0..8, uops).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn engines_agree_on_kernels() {
    let peers = peers().expect("every engine of this build");
    for kernel in kernels().expect("kernels that make sense") {
        agree_on_kernel(&peers, &kernel).unwrap_or_else(|error| panic!("{error}"));
    }
}
