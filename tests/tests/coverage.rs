//! Coverage: every uop of the standard set, and every way out of it, is taken by a recorded trace or by a case, or
//! `tests/coverage.txt` says why not.

use mimeo::stencil::UopFlags;
use mimeo::table::StencilTable;
use mimeo_objects::recorded::coverage::Way;
use mimeo_objects::recorded::{Document, Program, engine};
use mimeo_tests::{cases, recorded};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;

/// The names of the ways, in the file and in the report.
const WAYS: [(Way, &str); 3] = [
    (Way::Executed, "executed"),
    (Way::Jump, "exit"),
    (Way::Error, "error"),
];

type Counts = BTreeMap<(String, Way), u64>;

/// The recorded traces and the cases, by name.
fn documents() -> Vec<(String, Document)> {
    let directory = recorded::directory();
    let traces = recorded::names(&directory).into_iter().map(|name| {
        let document = Document::parse(&recorded::text(&directory, &name));
        let document = document.unwrap_or_else(|error| panic!("{name}: {error}"));
        (name, document)
    });
    let cases = cases::paths().into_iter().map(|(name, path)| {
        let document = cases::read(&name, &path).unwrap_or_else(|error| panic!("{error}"));
        (name, document)
    });
    traces.chain(cases).collect()
}

/// How often each way was taken, all traces and cases together.
fn counts(table: &Arc<StencilTable>) -> Counts {
    let engine = engine(Arc::clone(table)).expect("an engine of the standard set");
    let mut counts = Counts::new();
    for (name, document) in documents() {
        let mut program = Program::with_coverage(&document, &engine)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let outcome = program
            .run()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        // What is counted must be what the case says.
        program
            .check(&outcome)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let coverage = program.coverage().expect("a program that counts");
        for ((uop, way), count) in coverage.counts() {
            *counts.entry((uop.to_owned(), way)).or_default() += count;
        }
    }
    counts
}

/// The ways that a uop has.
fn ways(flags: UopFlags) -> Vec<Way> {
    let mut ways = vec![Way::Executed];
    if flags.needs_jump() {
        ways.push(Way::Jump);
    }
    if flags.contains(UopFlags::ERROR) {
        ways.push(Way::Error);
    }
    ways
}

fn name(way: Way) -> &'static str {
    let found = WAYS.iter().find(|(known, _)| *known == way);
    found.map_or("", |(_, name)| name)
}

/// The ways that are not taken, from `coverage.txt`: `uop way reason` in each line.
fn explained() -> BTreeSet<String> {
    let path = cases::directory().with_file_name("coverage.txt");
    let text =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let mut words = line.splitn(3, ' ');
            let (uop, way, reason) = (words.next(), words.next(), words.next());
            assert!(reason.is_some(), "{}: no reason: {line}", path.display());
            format!("{} {}", uop.unwrap_or_default(), way.unwrap_or_default())
        })
        .collect()
}

#[test]
fn every_way_is_taken_or_explained() {
    let table = Arc::new(mimeo_ir_templates::standard_table().expect("the embedded table"));
    let counts = counts(&table);
    let count = |uop: &str, way| counts.get(&(uop.to_owned(), way)).copied().unwrap_or(0);
    let mut untaken = BTreeSet::new();
    let mut total = 0;
    println!(
        "{:<42} {:>10} {:>10} {:>10}",
        "uop", "executed", "exit", "error"
    );
    for uop in table.uops() {
        let info = table.uop(uop);
        let mut row = format!("{:<42}", info.name);
        let has = ways(info.flags);
        for (way, _) in WAYS {
            let text = match has.contains(&way) {
                true => count(info.name, way).to_string(),
                false => "-".to_owned(),
            };
            row.push_str(&format!(" {text:>10}"));
        }
        println!("{row}");
        total += has.len();
        let never = has.into_iter().filter(|&way| count(info.name, way) == 0);
        untaken.extend(never.map(|way| format!("{} {}", info.name, name(way))));
    }
    println!("{} of {total} ways taken", total - untaken.len());
    let explained = explained();
    let difference = |a: &BTreeSet<String>, b: &BTreeSet<String>| {
        a.difference(b).cloned().collect::<Vec<_>>().join("\n  ")
    };
    assert!(
        untaken == explained,
        "never taken and not explained in tests/coverage.txt:\n  {}\ntaken after all, or not there:\n  {}",
        difference(&untaken, &explained),
        difference(&explained, &untaken)
    );
}
