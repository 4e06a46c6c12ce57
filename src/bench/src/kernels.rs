//! Kernels: traces of programs that people know, as a good tracing front end would emit them, with inputs and with the
//! results that plain Rust code gets from the same inputs.

use crate::scalar::ScalarTrace;
use crate::state::{Inputs, State};
use serde::{Deserialize, Serialize};

/// Where a run leaves a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// In a local.
    Local(u32),
    /// In all words of a buffer.
    Buffer(usize),
}

/// A trace with what it runs on and what comes out.
///
/// In a JSON file, `set`, `results` and `expected` may be left out; without the last two, a run is checked by its exit
/// alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kernel {
    /// What it is called, unique among the [`kernels`].
    pub name: String,
    /// The uop set.
    #[serde(default = "scalar")]
    pub set: String,
    /// The trace.
    pub trace: ScalarTrace,
    /// What it starts with.
    pub inputs: Inputs,
    /// How often a run goes through the innermost loop: run times are given per iteration.
    pub iterations: u64,
    /// The target of the exit that a run ends with.
    pub target: u32,
    /// Where the results are.
    #[serde(default)]
    pub results: Vec<Place>,
    /// What they are, one place's words after the other's.
    #[serde(default)]
    pub expected: Vec<u64>,
}

fn scalar() -> String {
    "scalar".to_owned()
}

impl Kernel {
    /// The words at the places of the results. Places that the state does not have give none.
    pub fn results(&self, state: &State) -> Vec<u64> {
        let words = |place: &Place| match *place {
            Place::Local(index) => state
                .locals()
                .get(index as usize)
                .map_or(&[][..], std::slice::from_ref),
            Place::Buffer(index) => state.buffers().get(index).map_or(&[][..], Vec::as_slice),
        };
        self.results
            .iter()
            .flat_map(|place| words(place).iter().copied())
            .collect()
    }
}

/// Every kernel.
pub fn kernels() -> Vec<Kernel> {
    Vec::new()
}
