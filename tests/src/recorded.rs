//! The recorded traces, and documents with a change in them.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the recorded traces are: `MIMEO_TRACES` if that is set, else `traces` of this package.
pub fn directory() -> PathBuf {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("traces");
    std::env::var_os("MIMEO_TRACES").map_or(beside, PathBuf::from)
}

/// The names of the recorded traces in a directory, sorted; none if there is no such directory.
///
/// # Panics
/// The directory cannot be read.
pub fn names(directory: &Path) -> Vec<String> {
    if !directory.exists() {
        return Vec::new();
    }
    let entries =
        fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("a readable directory").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    names
}

/// The text of a recorded trace in a directory.
///
/// # Panics
/// There is no such trace.
pub fn text(directory: &Path, name: &str) -> String {
    let path = directory.join(name).with_extension("json");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The text of a trace in [`directory`] with other values in it, each under the JSON pointer (RFC 6901) of what it replaces.
///
/// # Panics
/// There is no such trace, or a pointer leads nowhere in it.
pub fn with(name: &str, changes: &[(&str, Value)]) -> String {
    let mut json: Value =
        serde_json::from_str(&text(&directory(), name)).expect("recorded traces are JSON");
    for (pointer, value) in changes {
        *json
            .pointer_mut(pointer)
            .unwrap_or_else(|| panic!("{name}: {pointer} leads nowhere")) = value.clone();
    }
    json.to_string()
}
