//! The cases in `uops`: traces written by hand, each of which says how it ends.

use mimeo_objects::recorded::Document;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the cases are.
pub fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("uops")
}

/// All cases with their names, sorted.
///
/// # Panics
/// The directory cannot be read, or is empty.
pub fn paths() -> Vec<(String, PathBuf)> {
    let root = directory();
    let mut paths = Vec::new();
    find(&root, &mut paths);
    assert!(!paths.is_empty(), "no cases in {}", root.display());
    let name = |path: PathBuf| {
        let name = path.strip_prefix(&root).unwrap_or(&path);
        (name.display().to_string(), path)
    };
    paths.into_iter().map(name).collect()
}

fn find(directory: &Path, found: &mut Vec<PathBuf>) {
    let entries =
        fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("a readable directory").path())
        .collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            find(&path, found);
        } else if path.extension().is_some_and(|it| it == "uops") {
            found.push(path);
        }
    }
}

/// A case, or its error with the place shown.
///
/// # Errors
/// It is not a trace.
///
/// # Panics
/// The file cannot be read.
pub fn read(name: &str, path: &Path) -> Result<Document, String> {
    let text =
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Document::parse_text(&text).map_err(|error| error.render(name, &text))
}
