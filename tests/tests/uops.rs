//! The cases in `tests/uops`: each runs on the engine and on the interpreter, and ends as it says.
#![allow(unsafe_code)]

use mimeo_objects::recorded::{Document, Program, Tier, engine, interpreter};
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// All `.uops` files under a directory, sorted.
fn cases(directory: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(directory).expect("a readable directory");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("a readable directory").path())
        .collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            cases(&path, found);
        } else if path.extension().is_some_and(|it| it == "uops") {
            found.push(path);
        }
    }
}

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
    let mut paths = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("uops");
    cases(&root, &mut paths);
    assert!(!paths.is_empty(), "no cases in {}", root.display());
    let mut failures = Vec::new();
    for path in &paths {
        let name = path
            .strip_prefix(&root)
            .unwrap_or(path)
            .display()
            .to_string();
        let text = fs::read_to_string(path).expect("a readable case");
        let document = match Document::parse_text(&text) {
            Ok(document) => document,
            Err(error) => {
                failures.push(error.render(&name, &text));
                continue;
            }
        };
        for tier in [Tier::from(&engine), Tier::from(&interpreter)] {
            if let Err(error) = run(&document, tier) {
                let kind = match tier {
                    Tier::Compiled(_) => "compiled",
                    Tier::Interpreted(_) => "interpreted",
                };
                failures.push(format!("{name}, {kind}: {error}"));
            }
        }
    }
    println!("{} cases", paths.len());
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    assert_eq!(engine.memory().blocks, 0);
}
