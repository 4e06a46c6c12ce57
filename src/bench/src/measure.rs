//! Measuring: what is compiled and run how often, and what is computed from the times.
//!
//! Times are of the [processor](crate::clock). They drift on a shared machine, ratios do not: engines take turns within
//! each round, and medians are taken over the rounds. The process is pinned to one CPU. Each engine compiles several
//! different traces in rotation, because branch predictors learn a single one by heart; slow engines are given fewer of
//! them.
#![allow(unsafe_code)]

use crate::clock::Moment;
use crate::kernels::Kernel;
use crate::peer::{BenchError, Compiled, Patching, Peer};
use crate::python;
use crate::reference::{Undefined, run_reference};
use crate::report::{
    CompileRow, Fixed, GenerationRow, KernelRow, Machine, PythonRow, Report, summarise,
};
use crate::scalar::ScalarTrace;
use crate::state::{Left, State};
use crate::traces::{exit_share, random_inputs, random_trace};
use rustix::thread::{CpuSet, sched_getcpu, sched_setaffinity};
use std::time::Duration;

/// What to measure, and for how long.
#[derive(Clone, Debug)]
pub struct Options {
    /// Lengths of the traces to compile.
    pub sizes: Vec<usize>,
    /// Rounds; the first is not counted where there are more.
    pub rounds: usize,
    /// Roughly how long one engine may take for one length, all rounds together.
    pub budget: Duration,
    /// What to run.
    pub kernels: Vec<Kernel>,
    /// Whether to run recorded Python traces, too.
    pub python: bool,
    /// Whether to compile the sets' templates again, to measure that; needs LLVM.
    pub generation: bool,
}

impl Options {
    /// Everything.
    pub fn full(kernels: Vec<Kernel>) -> Self {
        Self {
            sizes: vec![100, 1_000, 10_000, 100_000],
            rounds: 15,
            budget: Duration::from_secs(4),
            kernels,
            python: true,
            generation: true,
        }
    }

    /// The same in a few seconds, for a first look.
    pub fn quick(kernels: Vec<Kernel>) -> Self {
        Self {
            sizes: vec![100, 1_000, 10_000],
            rounds: 5,
            budget: Duration::from_millis(400),
            generation: false,
            ..Self::full(kernels)
        }
    }
}

/// Pins the process to the CPU that it runs on, and returns which one that is.
///
/// # Errors
/// The system refuses.
pub fn pin() -> Result<usize, BenchError> {
    let cpu = sched_getcpu();
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).map_err(|error| BenchError::System {
        what: "pin the process to a CPU",
        source: error.into(),
    })?;
    Ok(cpu)
}

/// Measures all of it. `note` is told what comes next.
///
/// # Errors
/// An engine fails, or engines disagree about the outcome of a kernel.
pub fn measure(
    peers: &[Box<dyn Peer>],
    options: &Options,
    note: &mut dyn FnMut(&str),
) -> Result<Report, BenchError> {
    // Generation uses all CPUs and so comes before the pinning.
    let mut generation = Vec::new();
    if options.generation {
        note("generation of the tables");
        generation = generate()?;
    }
    let mut report = Report {
        machine: Machine {
            pinned_to: Some(pin()?),
            ..machine()
        },
        generation,
        ..Report::default()
    };
    note("agreement on random traces");
    agree_on_random_traces(peers, 0..20, 200)?;
    note("compiling: traces that only leave");
    report.fixed = fixed_costs(peers, options)?;
    for &uops in &options.sizes {
        note(&format!("compiling: traces of {uops} uops"));
        report.compile.extend(compile_times(peers, uops, options)?);
    }
    for kernel in &options.kernels {
        note(&format!("running: {}", kernel.name));
        report.kernels.extend(run_times(peers, kernel, options)?);
    }
    if options.python {
        note("running: recorded Python traces");
        report.python = python_times(options)?;
    }
    report.summary = summarise(&report);
    Ok(report)
}

/// Where this runs.
pub fn machine() -> Machine {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = text
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or_else(|| "unknown".to_owned(), |(_, name)| name.trim().to_owned());
    Machine {
        cpu,
        pinned_to: None,
    }
}

/// The middle of some numbers; 0 of none.
pub fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or_default()
}

// ---- Compiling -------------------------------------------------------------------------------------------------------

/// How many traces of a length an engine compiles in a round, and in how many rounds; `None` where one trace would take
/// too long.
fn plan(peer: &dyn Peer, uops: usize, options: &Options) -> Option<(usize, usize)> {
    // Enough different uops that predictors cannot know them.
    const UOPS_PER_ROUND: usize = 200_000;
    let most = (UOPS_PER_ROUND / uops).clamp(2, 256);
    let trace = peer.cost() * uops as f64;
    let budget = options.budget.as_nanos() as f64;
    let affordable = budget / trace;
    if affordable < 1.0 {
        return None;
    }
    let rounds = options.rounds.min(affordable as usize).max(1);
    let traces = most.min((affordable / rounds as f64) as usize).max(1);
    Some((traces, rounds))
}

fn compile_times(
    peers: &[Box<dyn Peer>],
    uops: usize,
    options: &Options,
) -> Result<Vec<CompileRow>, BenchError> {
    let plans: Vec<_> = peers
        .iter()
        .map(|peer| plan(peer.as_ref(), uops, options))
        .collect();
    let most = plans.iter().flatten().map(|plan| plan.0).max().unwrap_or(1);
    let traces = (0..most as u64)
        .map(|seed| random_trace(seed ^ ((uops as u64) << 32), uops))
        .collect::<Result<Vec<_>, _>>()?;
    let times = take_turns(peers, &plans, &traces)?;
    let share = traces.iter().map(exit_share).sum::<f64>() / traces.len() as f64;
    let rows = peers.iter().zip(&plans).zip(times);
    Ok(rows
        .filter_map(|((peer, plan), (mut prepare, mut compile))| {
            let (traces, rounds) = (*plan)?;
            Some(CompileRow {
                engine: peer.name().to_owned(),
                uops,
                traces,
                rounds,
                exit_share: share,
                prepare_ns_per_uop: median(&mut prepare) / uops as f64,
                compile_ns_per_uop: median(&mut compile) / uops as f64,
            })
        })
        .collect())
}

/// For each engine the nanoseconds of preparing and of compiling a trace, by round.
type Rounds = Vec<(Vec<f64>, Vec<f64>)>;

fn take_turns(
    peers: &[Box<dyn Peer>],
    plans: &[Option<(usize, usize)>],
    traces: &[ScalarTrace],
) -> Result<Rounds, BenchError> {
    let mut times: Rounds = vec![Default::default(); peers.len()];
    let rounds = plans.iter().flatten().map(|plan| plan.1).max();
    for round in 0..rounds.unwrap_or_default() {
        for ((peer, plan), times) in peers.iter().zip(plans).zip(&mut times) {
            let Some((count, rounds)) = *plan else {
                continue;
            };
            if round >= rounds {
                continue;
            }
            let taken = peer.compile_all(&traces[..count])?;
            if round == 0 && rounds > 1 {
                continue;
            }
            times.0.push(taken.prepare.as_nanos() as f64 / count as f64);
            times.1.push(taken.compile.as_nanos() as f64 / count as f64);
        }
    }
    Ok(times)
}

fn fixed_costs(peers: &[Box<dyn Peer>], options: &Options) -> Result<Vec<Fixed>, BenchError> {
    const TRACES: usize = 256;
    let trace = random_trace(0, 1)?;
    let traces = vec![trace; TRACES];
    // One uop costs a compiler a hundred times what it costs among others.
    let plans: Vec<_> = peers
        .iter()
        .map(|peer| plan(peer.as_ref(), 100, options).map(|plan| (plan.0.min(TRACES), plan.1)))
        .collect();
    let times = take_turns(peers, &plans, &traces)?;
    Ok(peers
        .iter()
        .zip(times)
        .filter(|(_, times)| !times.1.is_empty())
        .map(|(peer, (mut prepare, mut compile))| Fixed {
            engine: peer.name().to_owned(),
            prepare_ns: median(&mut prepare),
            compile_ns: median(&mut compile),
        })
        .collect())
}

// ---- Running ---------------------------------------------------------------------------------------------------------

/// All that a run changes.
#[derive(Debug, PartialEq)]
struct End {
    uop: u32,
    target: u32,
    locals: Vec<u64>,
    values: Vec<u64>,
    buffers: Vec<Vec<u64>>,
}

impl End {
    fn of(left: Left, state: &State) -> Self {
        Self {
            uop: left.uop,
            target: left.target,
            locals: state.locals().to_vec(),
            values: state.values().to_vec(),
            buffers: state.buffers().to_vec(),
        }
    }

    /// What is another in `found`.
    fn difference(&self, found: &Self) -> Option<String> {
        let words = |what: &str, expected: &[u64], found: &[u64]| {
            if expected.len() != found.len() {
                return Some(format!(
                    "{} {what}, expected {}",
                    found.len(),
                    expected.len()
                ));
            }
            let index = (0..found.len()).find(|&index| expected[index] != found[index])?;
            Some(format!(
                "{what} {index} is {:#x}, expected {:#x}",
                found[index], expected[index]
            ))
        };
        if (self.uop, self.target) != (found.uop, found.target) {
            return Some(format!(
                "left through uop {} to {}, expected uop {} to {}",
                found.uop, found.target, self.uop, self.target
            ));
        }
        words("local", &self.locals, &found.locals)
            .or_else(|| words("stack value", &self.values, &found.values))
            .or_else(|| {
                let mut buffers = self.buffers.iter().zip(&found.buffers).enumerate();
                buffers.find_map(|(index, (expected, found))| {
                    words(&format!("buffer {index} word"), expected, found)
                })
            })
    }
}

/// Runs code once from the start, and returns how long that took.
fn run_once(
    engine: &str,
    compiled: &Compiled,
    state: &mut State,
) -> Result<(Left, Duration), BenchError> {
    state.reset();
    let mut taken = Duration::ZERO;
    let left = state.enter(|frame, stack, thread| {
        let start = Moment::now();
        // SAFETY: the state was made for this trace. That the trace keeps to its buffers is what its author promises, as
        // of every kernel.
        let left = unsafe { compiled.run.run(frame, stack, thread) };
        taken = start.elapsed();
        left
    });
    let left = left.map_err(|source| BenchError::State {
        engine: engine.to_owned(),
        source,
    })?;
    Ok((left, taken))
}

fn new_state(trace: &ScalarTrace, inputs: &crate::state::Inputs) -> Result<State, BenchError> {
    State::new(trace, inputs).map_err(|source| BenchError::State {
        engine: "any engine".to_owned(),
        source,
    })
}

fn disagrees(kernel: &str, engine: &str, difference: String) -> BenchError {
    BenchError::Disagrees {
        kernel: kernel.to_owned(),
        engine: engine.to_owned(),
        difference,
    }
}

/// Runs a kernel once with code and compares its end with what the kernel says and with another engine's end.
fn verify(
    kernel: &Kernel,
    engine: &str,
    compiled: &Compiled,
    state: &mut State,
    expected: &mut Option<End>,
) -> Result<(), BenchError> {
    let (left, _) = run_once(engine, compiled, state)?;
    if left.target != kernel.target {
        let what = format!(
            "left through uop {} to {}, expected {}",
            left.uop, left.target, kernel.target
        );
        return Err(disagrees(&kernel.name, engine, what));
    }
    let results = kernel.results(state);
    if !kernel.expected.is_empty() && results != kernel.expected {
        let index = (0..results.len().max(kernel.expected.len()))
            .find(|&index| results.get(index) != kernel.expected.get(index))
            .unwrap_or_default();
        let what = format!(
            "result {index} is {:x?}, expected {:x?}",
            results.get(index),
            kernel.expected.get(index)
        );
        return Err(disagrees(&kernel.name, engine, what));
    }
    compare_ends(&kernel.name, engine, End::of(left, state), expected)
}

fn compare_ends(
    kernel: &str,
    engine: &str,
    end: End,
    expected: &mut Option<End>,
) -> Result<(), BenchError> {
    match expected {
        None => *expected = Some(end),
        Some(expected) => {
            if let Some(difference) = expected.difference(&end) {
                return Err(disagrees(kernel, engine, difference));
            }
        }
    }
    Ok(())
}

/// Compiles random traces of this length with every engine, runs them, and compares where they end: with the
/// [reference](crate::reference) and so with one another.
///
/// # Errors
/// An engine fails, or ends a trace otherwise than the others.
pub fn agree_on_random_traces(
    peers: &[Box<dyn Peer>],
    seeds: std::ops::Range<u64>,
    uops: usize,
) -> Result<(), BenchError> {
    for seed in seeds {
        let trace = random_trace(seed, uops)?;
        let mut state = new_state(&trace, &random_inputs(seed))?;
        let reference = run_reference(&trace, &mut state, uops as u64)?;
        if reference.ambiguous {
            continue;
        }
        let mut expected = Some(End {
            uop: reference.uop,
            target: reference.target,
            locals: state.locals().to_vec(),
            values: state.values().to_vec(),
            buffers: state.buffers().to_vec(),
        });
        for peer in peers.iter().filter(|peer| peer.runs()) {
            let compiled = peer.compile(&trace)?;
            let (left, _) = run_once(peer.name(), &compiled, &mut state)?;
            let name = format!("random trace {seed}");
            compare_ends(&name, peer.name(), End::of(left, &state), &mut expected)?;
        }
    }
    Ok(())
}

/// How many uops of a trace from outside are tried before any engine runs it.
const TRIED: u64 = 50_000_000;

/// The target of the exit through which a trace leaves, by the plain [reference](crate::reference), which accesses
/// nothing but the inputs' buffers; `None` where it has not left after many uops.
///
/// # Errors
/// The trace makes no sense, does not suit the inputs, or does something that is not defined.
pub fn target(
    trace: &ScalarTrace,
    inputs: &crate::state::Inputs,
) -> Result<Option<u32>, BenchError> {
    trace.check()?;
    let mut state = new_state(trace, inputs)?;
    match run_reference(trace, &mut state, TRIED) {
        Ok(end) => Ok(Some(end.target)),
        Err(Undefined::Steps) => Ok(None),
        Err(undefined) => Err(undefined.into()),
    }
}

/// Compiles a kernel with every engine, runs it, and compares where it ends: with what the kernel says, and word by word
/// with the other engines.
///
/// # Errors
/// An engine fails or disagrees.
pub fn agree_on_kernel(peers: &[Box<dyn Peer>], kernel: &Kernel) -> Result<(), BenchError> {
    let mut state = new_state(&kernel.trace, &kernel.inputs)?;
    compile_and_verify(peers, kernel, &mut state).map(|_| ())
}

type Runners<'p> = (Vec<&'p Box<dyn Peer>>, Vec<Compiled>);

fn compile_and_verify<'p>(
    peers: &'p [Box<dyn Peer>],
    kernel: &Kernel,
    state: &mut State,
) -> Result<Runners<'p>, BenchError> {
    let runners: Vec<_> = peers.iter().filter(|peer| peer.runs()).collect();
    let compiled = runners
        .iter()
        .map(|peer| peer.compile(&kernel.trace))
        .collect::<Result<Vec<_>, _>>()?;
    let mut expected = None;
    for (peer, compiled) in runners.iter().zip(&compiled) {
        verify(kernel, peer.name(), compiled, state, &mut expected)?;
    }
    Ok((runners, compiled))
}

fn run_times(
    peers: &[Box<dyn Peer>],
    kernel: &Kernel,
    options: &Options,
) -> Result<Vec<KernelRow>, BenchError> {
    let mut state = new_state(&kernel.trace, &kernel.inputs)?;
    let (runners, compiled) = compile_and_verify(peers, kernel, &mut state)?;
    let mut times = vec![Vec::new(); runners.len()];
    for _ in 0..options.rounds {
        for ((peer, compiled), times) in runners.iter().zip(&compiled).zip(&mut times) {
            let (_, taken) = run_once(peer.name(), compiled, &mut state)?;
            times.push(taken.as_nanos() as f64 / kernel.iterations.max(1) as f64);
        }
    }
    let rows = runners.iter().zip(&compiled).zip(times);
    Ok(rows
        .map(|((peer, compiled), mut times)| KernelRow {
            kernel: kernel.name.clone(),
            engine: peer.name().to_owned(),
            uops: kernel.trace.uops.len(),
            ns_per_iteration: median(&mut times),
            code_bytes: compiled.code_bytes,
        })
        .collect())
}

fn python_times(options: &Options) -> Result<Vec<PythonRow>, BenchError> {
    let engines = python::engines()?;
    let mut rows = Vec::new();
    for kernel in python::KERNELS {
        let document = kernel.document()?;
        let mut times = vec![Vec::new(); engines.len()];
        for _ in 0..options.rounds {
            for (engine, times) in engines.iter().zip(&mut times) {
                times.push(engine.run(kernel, &document)?);
            }
        }
        for (engine, times) in engines.iter().zip(&mut times) {
            rows.push(PythonRow {
                kernel: kernel.name.to_owned(),
                engine: engine.name().to_owned(),
                ns_per_iteration: median(times),
            });
        }
    }
    Ok(rows)
}

// ---- Generation ------------------------------------------------------------------------------------------------------

#[cfg(feature = "llvm")]
fn generate() -> Result<Vec<GenerationRow>, BenchError> {
    use mimeo_compiler::codegen::{Options as CompilerOptions, compile};
    let sets = [
        mimeo_ir_templates::scalar_templates(),
        mimeo_ir_templates::standard_templates(),
    ];
    let mut rows = Vec::new();
    for set in &sets {
        let options = CompilerOptions::default();
        let start = std::time::Instant::now();
        let contents =
            compile(set, options).map_err(|error| BenchError::engine("mimeo-compiler", &error))?;
        let taken = start.elapsed();
        let bytes = contents
            .to_bytes()
            .map_err(|error| BenchError::engine("mimeo-compiler", &error))?;
        rows.push(GenerationRow {
            set: set.name.clone(),
            uops: contents.uops.len(),
            stencils: contents.uops.len() + contents.variants.len(),
            threads: options.threads.get(),
            seconds: taken.as_secs_f64(),
            table_bytes: bytes.len(),
        });
    }
    Ok(rows)
}

#[cfg(not(feature = "llvm"))]
fn generate() -> Result<Vec<GenerationRow>, BenchError> {
    Ok(Vec::new())
}

// ---- Instruction counts ----------------------------------------------------------------------------------------------

/// What instructions are counted of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Everything up to the traces: to be taken off.
    Nothing,
    /// Choosing forms.
    Prepare,
    /// Copying and patching what is prepared already.
    Patch,
}

/// Does some of the work of compiling traces `repeat` times, for a tool that counts instructions; returns the number of
/// uops. With `repeat` 0 all that comes before is done: the difference is the work alone.
///
/// # Errors
/// There is no code memory to be had.
pub fn work(work: Work, uops: usize, repeat: usize) -> Result<usize, BenchError> {
    const TRACES: u64 = 16;
    let traces = (0..TRACES)
        .map(|seed| random_trace(seed, uops))
        .collect::<Result<Vec<_>, _>>()?;
    Patching::new()?.work(work, &traces, repeat)?;
    Ok(uops * TRACES as usize * repeat)
}
