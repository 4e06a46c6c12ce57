//! The floor: copying 32 bytes for each uop into memory that is there already, with nothing to patch.

use super::{BenchError, CompileTimes, Compiled, Peer};
use crate::clock::Moment;
use crate::scalar::ScalarTrace;
use std::cell::RefCell;
use std::hint::black_box;

/// As many bytes as mimeo copies for a fragment of a stencil.
const BLOCK: usize = 32;

/// How many different blocks there are to copy from; a table of stencils is about as large.
const BLOCKS: usize = 4096;

/// Copies and does nothing else.
#[derive(Debug)]
pub struct Copying {
    blocks: Vec<[u8; BLOCK]>,
    target: RefCell<Vec<u8>>,
}

impl Copying {
    /// Something to copy from.
    pub fn new() -> Self {
        Self {
            blocks: (0..BLOCKS).map(|number| [number as u8; BLOCK]).collect(),
            target: RefCell::default(),
        }
    }
}

impl Default for Copying {
    fn default() -> Self {
        Self::new()
    }
}

impl Peer for Copying {
    fn name(&self) -> &str {
        "copying alone"
    }

    fn cost(&self) -> f64 {
        1.0
    }

    fn compile(&self, _: &ScalarTrace) -> Result<Compiled, BenchError> {
        Err(BenchError::engine(self.name(), &"it makes no code"))
    }

    fn compile_all(&self, traces: &[ScalarTrace]) -> Result<CompileTimes, BenchError> {
        // Which block a uop is: different ones for different uops, known before.
        let choices: Vec<Vec<u16>> = traces
            .iter()
            .map(|trace| {
                let choose = |(index, uop): (usize, &crate::scalar::ScalarUop)| {
                    ((uop.op as usize * 37 + uop.oparg as usize * 5 + index % 3) % BLOCKS) as u16
                };
                trace.uops.iter().enumerate().map(choose).collect()
            })
            .collect();
        let most = choices.iter().map(Vec::len).max().unwrap_or_default();
        let mut target = self.target.borrow_mut();
        target.resize((most + 1) * BLOCK, 0);
        // Stencils are about half as long as what is copied for them.
        const STEP: usize = BLOCK / 2;
        let start = Moment::now();
        for trace in &choices {
            let mut rest = &mut target[..];
            for &choice in trace {
                let block = &self.blocks[usize::from(choice)];
                rest[..BLOCK].copy_from_slice(block);
                rest = &mut rest[STEP..];
            }
            black_box(&mut target);
        }
        let mut times = CompileTimes::default();
        times.add(Default::default(), start.elapsed());
        Ok(times)
    }

    fn runs(&self) -> bool {
        false
    }
}
