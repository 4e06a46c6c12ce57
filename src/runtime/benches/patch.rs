//! What it costs to make an executor of a prepared trace, with a made-up table: 300 stencils of the lengths and with the
//! holes of a scalar uop set in registers. Traces are rotated, as a replayed one would be predicted by the processor.
//!
//! `cargo bench -p mimeo --bench patch` measures. For instruction counts (`valgrind --tool=callgrind`), `... -- --compile N`
//! makes N executors and nothing else, `--prepare N` N prepared traces; of 1,000 uops each, or of `--uops U`.

use criterion::{BenchmarkId, Criterion, Throughput};
use mimeo::engine::Engine;
use mimeo::hole::{Hole, HoleValue};
use mimeo::reloc::RelocationKind;
use mimeo::stencil::{StackEffect, StencilBuf, StencilGroupBuf, UopFlags};
use mimeo::table::{StencilTable, TableContents, UopContents};
use mimeo::trace::{FrameShape, Trace, Uop};
use mimeo::{Patcher, Prepared};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many stencils the table has, besides that of the exit.
const STENCILS: usize = 300;

/// In how many of a hundred stencils there is a jump to a side exit.
const JUMPING: u64 = 18;

/// Numbers that are the same on each run: xorshift64*.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }
}

fn uop(name: String, flags: UopFlags, bytes: Vec<u8>, holes: Vec<Hole>) -> UopContents {
    UopContents {
        name,
        effect: StackEffect::default(),
        leaving_effect: StackEffect::default(),
        flags,
        oparg_max: u32::from(u16::MAX),
        operand_max: u64::MAX,
        operand1_max: u64::MAX,
        locals: 0,
        group: StencilGroupBuf {
            hot: StencilBuf {
                bytes,
                holes,
                align: 1,
            },
            ..StencilGroupBuf::default()
        },
    }
}

/// A stencil of 4 to 31 bytes, 15 on average, with at most one number and at most one jump.
fn stencil(index: usize, numbers: &mut Numbers) -> UopContents {
    let mut len = 4 + numbers.below(12) + numbers.below(12);
    let (mut holes, mut flags) = (Vec::new(), UopFlags::empty());
    if numbers.below(100) < 40 {
        len = len.max(8);
        let offset = 3 + numbers.below(len - 7) as u32;
        holes.push(Hole::new(offset, RelocationKind::Abs32S, HoleValue::Oparg, 0).with_shift(3));
        flags |= UopFlags::OPARG;
    }
    if numbers.below(100) < JUMPING {
        len += 6;
        let offset = len as u32 - 4;
        holes.push(Hole::new(
            offset,
            RelocationKind::Pc32,
            HoleValue::JumpTarget,
            -4,
        ));
        flags |= UopFlags::JUMP;
    }
    let bytes = vec![0x90; len as usize];
    uop(format!("UOP_{index:03}"), flags, bytes, holes)
}

fn engine() -> Engine {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut uops: Vec<_> = (0..STENCILS)
        .map(|index| stencil(index, &mut numbers))
        .collect();
    // lea r15, [rip + EXIT]; jmp [r15]
    let leave = [0x4c, 0x8d, 0x3d, 0, 0, 0, 0, 0x41, 0xff, 0x27];
    uops.push(uop(
        "EXIT".to_owned(),
        UopFlags::EXIT_RECORD | UopFlags::TERMINAL,
        leave.to_vec(),
        vec![Hole::new(3, RelocationKind::Pc32, HoleValue::Exit, -4)],
    ));
    let contents = TableContents {
        set: "bench".to_owned(),
        cpu: "x86-64".to_owned(),
        llvm_version: (19, 1, 0),
        digest: [0; 32],
        sources: [0; 32],
        symbols: Vec::new(),
        uops,
        variants: Vec::new(),
    };
    let bytes = contents.to_bytes().expect("the contents are a table");
    let table = StencilTable::from_bytes(bytes).expect("the table is one");
    // SAFETY: the table has no symbols.
    #[allow(unsafe_code)]
    let engine = unsafe { Engine::new(Arc::new(table), |_| None) };
    engine.expect("there is executable memory")
}

/// A trace of so many uops, with an exit behind it for each fifty.
fn trace<'t>(table: &'t StencilTable, uops: usize, numbers: &mut Numbers) -> Trace<'t> {
    let mut trace = Trace::new(table);
    let exits: Vec<_> = (0..=uops / 50).map(|_| trace.label()).collect();
    let exit = trace.uop("EXIT").expect("the table has it");
    let ids: Vec<_> = table.uops().filter(|&id| id != exit.id).collect();
    for _ in 0..uops {
        let id = ids[numbers.below(ids.len() as u64) as usize];
        let label = exits[numbers.below(exits.len() as u64) as usize];
        trace.push(Uop::new(id).oparg(numbers.below(1000) as u32).jump(label));
    }
    for label in exits {
        trace.bind(label).expect("it is bound once");
        trace.push(exit.target(7));
    }
    trace
}

fn prepare(engine: &Engine, trace: &Trace<'_>) -> Prepared {
    engine
        .prepare(trace, FrameShape::default())
        .expect("the trace is right")
}

fn traces(table: &StencilTable, uops: usize) -> Vec<Trace<'_>> {
    let mut numbers = Numbers(uops as u64 + 1);
    let count = (400_000 / uops).clamp(4, 200);
    (0..count)
        .map(|_| trace(table, uops, &mut numbers))
        .collect()
}

fn rotation(engine: &Engine, uops: usize) -> Vec<Prepared> {
    let traces = traces(engine.table(), uops);
    traces.iter().map(|trace| prepare(engine, trace)).collect()
}

/// The time of `rounds` compilations, without that of dropping their results.
fn time_compiling(engine: &Engine, traces: &[Prepared], patcher: Patcher, rounds: u64) -> Duration {
    let batch = (100_000 / traces[0].fragment_count()).clamp(1, 64);
    let mut total = Duration::ZERO;
    let mut made = Vec::with_capacity(batch);
    let mut next = (0..traces.len()).cycle();
    let mut left = rounds as usize;
    while left != 0 {
        let now = batch.min(left);
        let start = Instant::now();
        for index in next.by_ref().take(now) {
            made.push(
                engine
                    .compile_with(&traces[index], patcher)
                    .expect("there is room"),
            );
        }
        total += start.elapsed();
        made.clear();
        left -= now;
    }
    total
}

/// The same items as copies of 32 bytes each, at the same distances: what no patcher can be faster than.
fn time_floor(traces: &[Prepared], rounds: u64) -> Duration {
    let sources = vec![[0x90_u8; 64]; STENCILS];
    let longest = traces.iter().map(Prepared::code_len).max().unwrap_or(0);
    let mut block = vec![0_u8; longest + 64];
    let mut numbers = Numbers(3);
    let picks: Vec<u16> = (0..100_000 + 1)
        .map(|_| numbers.below(STENCILS as u64) as u16)
        .collect();
    let start = Instant::now();
    for round in 0..rounds as usize {
        let trace = &traces[round % traces.len()];
        let step = trace.code_len() / trace.fragment_count();
        let picks = &picks[round % 100..][..trace.fragment_count().min(99_000)];
        for (copy, &pick) in picks.iter().enumerate() {
            let source = &sources[usize::from(pick)][..32];
            block[copy * step..][..32].copy_from_slice(source);
        }
        black_box(&mut block);
    }
    start.elapsed()
}

fn benchmarks(criterion: &mut Criterion) {
    let engine = engine();
    for uops in [100, 1_000, 10_000, 100_000] {
        let traces = rotation(&engine, uops);
        let mut group = criterion.benchmark_group(format!("compile/{uops}"));
        group.throughput(Throughput::Elements(uops as u64));
        for patcher in Patcher::ALL {
            let slow = patcher == Patcher::Reference && uops > 1_000;
            if patcher.is_available() && !slow {
                group.bench_function(BenchmarkId::from_parameter(patcher.name()), |bench| {
                    bench.iter_custom(|rounds| time_compiling(&engine, &traces, patcher, rounds));
                });
            }
        }
        group.bench_function("floor", |bench| {
            bench.iter_custom(|rounds| time_floor(&traces, rounds));
        });
        group.bench_function("dropped", |bench| {
            let mut next = traces.iter().cycle();
            bench.iter(|| next.next().map(|trace| engine.compile_prepared(trace)));
        });
        group.finish();
    }
    let mut group = criterion.benchmark_group("fixed");
    let smallest = rotation(&engine, 1);
    group.bench_function("compile", |bench| {
        bench.iter_custom(|rounds| time_compiling(&engine, &smallest, Patcher::Auto, rounds));
    });
    group.bench_function("dropped", |bench| {
        bench.iter(|| engine.compile_prepared(&smallest[0]));
    });
    group.finish();
    let mut group = criterion.benchmark_group("prepare");
    let traces = traces(engine.table(), 1_000);
    group.throughput(Throughput::Elements(1_000));
    group.bench_function("1000", |bench| {
        let mut next = traces.iter().cycle();
        bench.iter(|| next.next().map(|trace| prepare(&engine, trace)));
    });
    group.finish();
}

/// Makes executors and nothing else.
fn compile_only(count: usize, uops: usize) {
    let engine = engine();
    let traces = rotation(&engine, uops);
    for trace in traces.iter().cycle().take(count) {
        drop(black_box(engine.compile_prepared(trace)));
    }
    println!(
        "{count} traces of {} fragments and {} bytes of code",
        traces[0].fragment_count(),
        traces[0].code_len()
    );
}

/// Prepares traces and nothing else.
fn prepare_only(count: usize, uops: usize) {
    let engine = engine();
    let traces = traces(engine.table(), uops);
    for trace in traces.iter().cycle().take(count) {
        drop(black_box(prepare(&engine, trace)));
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let number_behind = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)?.parse().ok()
    };
    if let Some(count) = number_behind("--compile") {
        return compile_only(count, number_behind("--uops").unwrap_or(1_000));
    }
    if let Some(count) = number_behind("--prepare") {
        return prepare_only(count, number_behind("--uops").unwrap_or(1_000));
    }
    let mut criterion = Criterion::default().configure_from_args();
    benchmarks(&mut criterion);
    criterion.final_summary();
}
