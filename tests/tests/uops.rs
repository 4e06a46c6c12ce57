//! The cases in `tests/uops`: each runs on the engine and on the interpreter, and ends as it says.
#![allow(unsafe_code)]

use mimeo_objects::recorded::{Document, Program, Tier, engine, interpreter};
use mimeo_tests::cases;
use std::error::Error;
use std::sync::Arc;

/// Runs a case and compares its end with what it says.
fn run(document: &Document, tier: Tier<'_>) -> Result<(), Box<dyn Error>> {
    let mut program = Program::new(document, tier)?;
    let outcome = program.run()?;
    Ok(program.check(&outcome)?)
}

#[test]
fn cases_end_as_they_say() {
    let table = Arc::new(mimeo_ir_templates::standard_table().expect("the embedded table"));
    let image = mimeo_ir_templates::standard_interpreter().expect("an image");
    let engine = engine(Arc::clone(&table)).expect("an engine of the standard set");
    // SAFETY: the image is the embedded one, which lies in this program's own code.
    let interpreter = unsafe { interpreter(table, &image) }.expect("an interpreter");
    let mut failures = Vec::new();
    for (name, path) in cases::paths() {
        let document = match cases::read(&name, &path) {
            Ok(document) => document,
            Err(error) => {
                failures.push(error);
                continue;
            }
        };
        for (tier, how) in [
            (Tier::from(&engine), "compiled"),
            (Tier::from(&interpreter), "interpreted"),
        ] {
            if let Err(error) = run(&document, tier) {
                failures.push(format!("{name}, {how}: {error}"));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    assert_eq!(engine.memory().blocks, 0);
}
