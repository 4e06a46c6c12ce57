//! Running the kernels on each engine; `mimeo bench` compares them in one run and says what the figures mean.
#![allow(missing_docs, reason = "the functions are made by a macro")]
#![allow(unsafe_code)]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mimeo_bench::kernels::kernels;
use mimeo_bench::measure::agree_on_kernel;
use mimeo_bench::peer::peers;
use mimeo_bench::state::State;

fn run(criterion: &mut Criterion) {
    let peers = peers().unwrap_or_else(|error| panic!("{error}"));
    for kernel in kernels().expect("kernels that make sense") {
        agree_on_kernel(&peers, &kernel).unwrap_or_else(|error| panic!("{error}"));
        let mut group = criterion.benchmark_group(format!("run/{}", kernel.name));
        group
            .throughput(Throughput::Elements(kernel.iterations))
            .sample_size(10);
        for peer in peers.iter().filter(|peer| peer.runs()) {
            let compiled = peer
                .compile(&kernel.trace)
                .unwrap_or_else(|error| panic!("{error}"));
            let mut state =
                State::new(&kernel.trace, &kernel.inputs).expect("inputs that suit the trace");
            group.bench_function(BenchmarkId::from_parameter(peer.name()), |bencher| {
                bencher.iter(|| {
                    state.reset();
                    let left = state.enter(|frame, stack, thread| {
                        // SAFETY: the state was made for this trace, which keeps to its buffers: it just did.
                        unsafe { compiled.run.run(frame, stack, thread) }
                    });
                    left.expect("a run that ends as it did before")
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, run);
criterion_main!(benches);
