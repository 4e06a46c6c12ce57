//! The interpreter as one of those that are compared with the reference.
#![allow(unsafe_code)]

use super::differential::Runner;
use mimeo::interpreter::Interpreter;
use mimeo_bench::{Left, ScalarTrace, State};
use mimeo_ir_templates::{scalar_interpreter, scalar_table};
use std::sync::Arc;

/// Interpreted by handlers that are in the program's text.
#[derive(Debug)]
pub struct Interpreted {
    interpreter: Interpreter,
}

impl Interpreted {
    /// The embedded interpreter of the scalar set.
    ///
    /// # Panics
    /// The image is damaged, or not that of the embedded table.
    pub fn new() -> Self {
        let table = Arc::new(scalar_table().expect("the embedded table"));
        let image = scalar_interpreter().expect("the embedded image");
        // SAFETY: the image was made with the table and is in the program's text; there are no symbols.
        let interpreter = unsafe { Interpreter::from_text(table, &image, |_| None) };
        Self {
            interpreter: interpreter.expect("an interpreter of the scalar set"),
        }
    }
}

impl Default for Interpreted {
    fn default() -> Self {
        Self::new()
    }
}

impl Runner for Interpreted {
    fn run(&mut self, trace: &ScalarTrace, state: &mut State) -> Result<Left, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let built = trace
            .build(self.interpreter.table())
            .map_err(|error| text(&error))?;
        let loaded = self
            .interpreter
            .load(&built, trace.shape())
            .map_err(|error| text(&error))?;
        let mut exit = None;
        let left = state
            .enter(|frame, stack_pointer, thread| {
                // SAFETY: frame and stack are as the trace's shape says; the reference ran the same trace on the same
                // inputs and found every access inside the buffers; native functions come from the table of them.
                let left = unsafe { loaded.run(frame, stack_pointer, thread) };
                exit = Some(left);
                left.into()
            })
            .map_err(|error| text(&error))?;
        let known = exit.and_then(|exit| loaded.exits().get(exit.index as usize));
        let depth = state.values().len() as u32;
        match known {
            Some(info) if info.uop == left.uop && info.depth == Some(depth) => Ok(left),
            _ => Err(format!(
                "left through {exit:?} with {depth} values on the stack, which its record {known:?} does not say"
            )),
        }
    }
}
