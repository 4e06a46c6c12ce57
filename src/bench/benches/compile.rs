//! Compiling random traces of the scalar set, each engine on the same ones in rotation; `mimeo bench` compares them in one
//! run and says what the figures mean.
#![allow(missing_docs, reason = "the functions are made by a macro")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mimeo_bench::peer::{BenchError, Peer, peers};
use mimeo_bench::scalar::ScalarTrace;
use mimeo_bench::traces::random_trace;
use std::time::Duration;

/// Traces in rotation.
const TRACES: u64 = 32;

fn compile(criterion: &mut Criterion) {
    let peers = peers().unwrap_or_else(|error| panic!("{error}"));
    for uops in [100, 1_000] {
        let traces: Vec<ScalarTrace> = (0..TRACES)
            .map(|seed| random_trace(seed, uops).expect("a trace that makes sense"))
            .collect();
        let mut group = criterion.benchmark_group(format!("compile/{uops}"));
        group
            .throughput(Throughput::Elements(uops as u64))
            .sample_size(10);
        for peer in &peers {
            group.bench_function(BenchmarkId::from_parameter(peer.name()), |bencher| {
                bencher.iter_custom(|repeat| {
                    time(peer.as_ref(), &traces, repeat).unwrap_or_else(|error| panic!("{error}"))
                });
            });
        }
        group.finish();
    }
}

/// How long it takes to compile `repeat` traces, in rotation, from what is prepared to code.
fn time(peer: &dyn Peer, traces: &[ScalarTrace], repeat: u64) -> Result<Duration, BenchError> {
    let mut taken = Duration::ZERO;
    let mut left = repeat as usize;
    while left > 0 {
        let count = left.min(traces.len());
        taken += peer.compile_all(&traces[..count])?.compile;
        left -= count;
    }
    Ok(taken)
}

criterion_group!(benches, compile);
criterion_main!(benches);
