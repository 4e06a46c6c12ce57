//! What the templates of this build were written as, so that a table made from other ones is known without LLVM.

use crate::{NAME, SCALAR_NAME, supernodes};
use mimeo_compiler::sources::Sources;
use mimeo_objects::layout;

macro_rules! files {
    ($($file:literal),+ $(,)?) => {
        &[$(($file, include_str!($file))),+]
    };
}

/// The files of the Python set's templates.
const PYTHON: &[(&str, &str)] = files![
    "attributes.rs",
    "calls.rs",
    "cells.rs",
    "compare.rs",
    "constants.rs",
    "containers.rs",
    "control.rs",
    "dicts.rs",
    "exceptions.rs",
    "float.rs",
    "globals.rs",
    "guards.rs",
    "int.rs",
    "iteration.rs",
    "locals.rs",
    "matching.rs",
    "object_ops.rs",
    "operators.rs",
    "py_calls.rs",
    "python.rs",
    "stack.rs",
    "str.rs",
    "subscripts.rs",
    "truth.rs",
];

/// The files of the scalar set's templates.
const SCALAR: &[(&str, &str)] = files![
    "scalar.rs",
    "scalar/arithmetic.rs",
    "scalar/calls.rs",
    "scalar/compare.rs",
    "scalar/control.rs",
    "scalar/float.rs",
    "scalar/memory.rs",
    "scalar/values.rs",
];

/// The files of this package that are no templates.
#[cfg(test)]
const OTHERS: [&str; 5] = [
    "image.rs",
    "lib.rs",
    "reference.rs",
    "supernodes.rs",
    "text.rs",
];

fn sources(files: &[(&str, &str)], supernodes: &str) -> Sources {
    let sources = Sources::default().with("supernodes", supernodes);
    let add = |sources: Sources, &(name, text): &(&str, &str)| sources.with(name, text);
    files.iter().fold(sources, add)
}

/// The digest of the Python set's sources, and of the layout of the objects that they work on.
pub(crate) fn python() -> [u8; 32] {
    let layout: String = layout::contract()
        .map(|(name, number)| format!("{name} {number}\n"))
        .collect();
    sources(PYTHON, supernodes::PYTHON)
        .with("layout", layout)
        .digest()
}

/// The digest of the scalar set's sources.
pub(crate) fn scalar() -> [u8; 32] {
    sources(SCALAR, supernodes::SCALAR).digest()
}

/// The digest of the sources of one of the [sets](crate::SET_NAMES) as they were when this program was built, or `None` for
/// any other name. A table of the set that [carries](mimeo::table::StencilTable::sources) another one is stale.
pub fn sources_of(set: &str) -> Option<[u8; 32]> {
    match set {
        NAME => Some(python()),
        SCALAR_NAME => Some(scalar()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SET_NAMES, table_of};
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    /// A file of templates that is in no list would not count.
    #[test]
    fn every_file_is_in_a_list() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let names = |directory: &str| -> Vec<String> {
            let files = fs::read_dir(root.join(directory)).unwrap();
            let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
            names
                .filter(|name| name.ends_with(".rs"))
                .map(|name| format!("{directory}{name}"))
                .collect()
        };
        let found = BTreeSet::from_iter([names(""), names("scalar/")].concat());
        let lists = [PYTHON, SCALAR].concat();
        let listed = lists.iter().map(|(name, _)| *name).chain(OTHERS);
        assert_eq!(BTreeSet::from_iter(listed.map(str::to_owned)), found);
    }

    #[test]
    fn the_embedded_tables_are_not_stale() {
        for set in SET_NAMES {
            let table = table_of(set).unwrap().unwrap();
            assert_eq!(
                table.sources().copied(),
                sources_of(set),
                "the table {set} was made from other templates; with LLVM, `mimeo build` makes it anew"
            );
        }
        assert_eq!(sources_of("filter"), None);
    }
}
