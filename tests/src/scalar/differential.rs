//! The comparison of an engine with the reference: both run the same trace in the same place, and everything that can be
//! observed afterwards must be the same, bit for bit.
#![allow(unsafe_code)]

use mimeo::engine::Engine;
use mimeo::table::StencilTable;
use mimeo_bench::reference::{Undefined, run_reference};
use mimeo_bench::{Inputs, Left, ScalarTrace, State};
use std::sync::Arc;

/// Whoever runs scalar traces.
pub trait Runner {
    /// Runs a trace in a state.
    ///
    /// # Errors
    /// It cannot be run, or ended as no run does.
    fn run(&mut self, trace: &ScalarTrace, state: &mut State) -> Result<Left, String>;
}

/// What can be observed of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The position of the exit's uop.
    pub uop: u32,
    /// Its target.
    pub target: u32,
    /// The locals.
    pub locals: Vec<u64>,
    /// The values on the stack.
    pub values: Vec<u64>,
    /// The memory.
    pub buffers: Vec<Vec<u64>>,
}

impl Outcome {
    /// What a run left, through this exit.
    pub fn of(state: &State, uop: u32, target: u32) -> Self {
        Self {
            uop,
            target,
            locals: state.locals().to_vec(),
            values: state.values().to_vec(),
            buffers: state.buffers().to_vec(),
        }
    }

    /// How another outcome differs from this, which is the right one; `None` where it does not.
    pub fn difference(&self, found: &Self) -> Option<String> {
        let exit = |outcome: &Self| (outcome.uop, outcome.target);
        if exit(self) != exit(found) {
            let ((uop, target), (other, other_target)) = (exit(self), exit(found));
            return Some(format!(
                "left through uop {other} (target {other_target}), expected uop {uop} (target {target})"
            ));
        }
        let words = |what: &str, expected: &[u64], found: &[u64]| {
            if expected.len() != found.len() {
                return Some(format!(
                    "{} {what}, expected {}",
                    found.len(),
                    expected.len()
                ));
            }
            let index = (0..expected.len()).find(|&index| expected[index] != found[index])?;
            let (expected, found) = (expected[index], found[index]);
            Some(format!(
                "word {index} of the {what} is {found:#x}, expected {expected:#x}"
            ))
        };
        words("locals", &self.locals, &found.locals)
            .or_else(|| words("values on the stack", &self.values, &found.values))
            .or_else(|| {
                let buffers = self.buffers.iter().zip(&found.buffers);
                buffers
                    .enumerate()
                    .find_map(|(index, (a, b))| words(&format!("words of buffer {index}"), a, b))
            })
    }
}

/// What became of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All agree.
    Same {
        /// How many uops the reference ran.
        steps: u64,
        /// The position of the exit's uop.
        exit: u32,
    },
    /// The trace has no defined end, or one that is left open: nothing can be compared.
    Open(Undefined),
    /// The trace's results depend on the bits of a NaN.
    Ambiguous,
    /// Somebody differs.
    Different(String),
}

/// The most uops that the reference runs.
pub const STEP_LIMIT: u64 = 200_000;

/// Runs a trace with the reference and with each of these.
pub fn compare(
    trace: &ScalarTrace,
    inputs: &Inputs,
    runners: &mut [(&str, &mut dyn Runner)],
) -> Verdict {
    let mut state = match State::new(trace, inputs) {
        Ok(state) => state,
        Err(error) => return Verdict::Different(format!("the inputs: {error}")),
    };
    let end = match run_reference(trace, &mut state, STEP_LIMIT) {
        Ok(end) if end.ambiguous => return Verdict::Ambiguous,
        Ok(end) => end,
        Err(undefined) => return Verdict::Open(undefined),
    };
    let expected = Outcome::of(&state, end.uop, end.target);
    for (name, runner) in runners {
        state.reset();
        let found = match runner.run(trace, &mut state) {
            Ok(left) => Outcome::of(&state, left.uop, left.target),
            Err(error) => return Verdict::Different(format!("{name}: {error}")),
        };
        if let Some(difference) = expected.difference(&found) {
            return Verdict::Different(format!("{name}: {difference}"));
        }
    }
    Verdict::Same {
        steps: end.steps,
        exit: end.uop,
    }
}

/// Compiled by mimeo's engine.
#[derive(Debug)]
pub struct Compiled {
    table: Arc<StencilTable>,
    engine: Engine,
}

impl Compiled {
    /// An engine of the embedded scalar table.
    ///
    /// # Panics
    /// The table is damaged, or there is no executable memory to be had.
    pub fn new() -> Self {
        let table = Arc::new(mimeo_ir_templates::scalar_table().expect("the embedded table"));
        // SAFETY: the scalar set refers to no symbols.
        let engine = unsafe { Engine::new(Arc::clone(&table), |_| None) };
        Self {
            table,
            engine: engine.expect("an engine of the scalar set"),
        }
    }
}

impl Default for Compiled {
    fn default() -> Self {
        Self::new()
    }
}

impl Runner for Compiled {
    fn run(&mut self, trace: &ScalarTrace, state: &mut State) -> Result<Left, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let built = trace.build(&self.table).map_err(|error| text(&error))?;
        let executor = self
            .engine
            .compile(&built, trace.shape())
            .map_err(|error| text(&error))?;
        let mut exit = None;
        let left = state
            .enter(|frame, stack_pointer, thread| {
                // SAFETY: frame and stack are as the trace's shape says; the reference ran the same trace on the same
                // inputs and found every access inside the buffers; native functions come from the table of them.
                let left = unsafe { executor.run(frame, stack_pointer, thread) };
                exit = Some(left);
                left.into()
            })
            .map_err(|error| text(&error))?;
        let known = exit.and_then(|exit| executor.exits().get(exit.index as usize));
        match known {
            Some(info)
                if info.uop == left.uop && info.depth == Some(state.values().len() as u32) =>
            {
                Ok(left)
            }
            _ => Err(format!(
                "left through {exit:?} with {} values on the stack, which its record {known:?} does not say",
                state.values().len()
            )),
        }
    }
}
