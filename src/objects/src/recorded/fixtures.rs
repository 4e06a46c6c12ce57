//! What the tests share: the recorded traces, documents with a change in them, and a generator of numbers.

use super::Document;
use serde_json::Value as Json;
use std::fs;
use std::path::PathBuf;

/// The recorded traces by name, in the order of the names; those included whose uops are not all there yet.
pub(super) fn traces() -> Vec<(String, String)> {
    let directory = directory();
    let mut paths: Vec<PathBuf> = fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .map(|entry| entry.expect("a readable directory").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .collect();
    paths.sort_by(|a, b| a.file_stem().cmp(&b.file_stem()));
    assert!(paths.len() >= 39, "there are only {} traces", paths.len());
    paths
        .into_iter()
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(&path).unwrap())
        })
        .collect()
}

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/traces")
}

/// The text of one trace.
pub(super) fn trace(name: &str) -> String {
    let path = directory().join(name).with_extension("json");
    fs::read_to_string(path).unwrap_or_else(|error| panic!("there is no trace {name}: {error}"))
}

/// One trace, read.
pub(super) fn document(name: &str) -> Document {
    Document::parse(&trace(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The text of one trace with changes: a JSON pointer, and what to put there (`-` appends to an array) or, for `None`,
/// to take away.
pub(super) fn edited(name: &str, edits: &[(&str, Option<Json>)]) -> String {
    let mut json = serde_json::from_str(&trace(name)).expect("a good trace");
    for (pointer, value) in edits {
        edit(&mut json, pointer, value.clone());
    }
    json.to_string()
}

fn edit(json: &mut Json, pointer: &str, value: Option<Json>) {
    let (parent, last) = pointer.rsplit_once('/').expect("a pointer to something");
    match (
        json.pointer_mut(parent)
            .unwrap_or_else(|| panic!("{pointer} leads nowhere")),
        value,
    ) {
        (Json::Object(fields), Some(value)) => drop(fields.insert(last.to_owned(), value)),
        (Json::Object(fields), None) => drop(fields.remove(last).expect("a field to remove")),
        (Json::Array(items), Some(value)) if last == "-" => items.push(value),
        (Json::Array(items), Some(value)) => items[last.parse::<usize>().unwrap()] = value,
        (Json::Array(items), None) => drop(items.remove(last.parse().unwrap())),
        _ => panic!("{pointer} is in no array or object"),
    }
}

/// Marsaglia's xorshift64: the same numbers on each run.
pub(super) struct Numbers(pub u64);

impl Numbers {
    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `limit`.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).unwrap()
    }
}
