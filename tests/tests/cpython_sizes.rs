//! The sizes of CPython's stencils, ours beside those of CPython's own generator, as they were when both made a header of the same
//! tree with LLVM 19 (`tests/goldens/cpython`; `ci/cpython/sizes.py` makes such a file of two headers). No stencil of ours has more code or
//! data, but those named here, and the article from which this project began says what some of the others have.

use std::collections::BTreeMap;
use std::path::Path;

/// Code and data in bytes, ours and the original's.
type Sizes = BTreeMap<String, [[usize; 2]; 2]>;

fn read(version: &str) -> (Sizes, [usize; 2]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("goldens/cpython/{version}.tsv"));
    let text = std::fs::read_to_string(&path).unwrap();
    let number = |text: &str| text.parse::<usize>().unwrap();
    let mut sizes = Sizes::new();
    let mut places = [0; 2];
    for line in text.lines() {
        match line.split('\t').collect::<Vec<_>>()[..] {
            ["# places", ours, "", original] => places = [number(ours), number(original)],
            [name, code, data, original_code, original_data] if !name.starts_with('#') => {
                let ours = [number(code), number(data)];
                let original = [number(original_code), number(original_data)];
                sizes.insert(name.to_owned(), [ours, original]);
            }
            _ => assert!(line.starts_with('#'), "{}: {line}", path.display()),
        }
    }
    (sizes, places)
}

/// Bytes of all code, or data, ours and the original's.
fn total(sizes: &Sizes, part: usize) -> [usize; 2] {
    [0, 1].map(|whose| sizes.values().map(|sizes| sizes[whose][part]).sum())
}

#[test]
fn no_stencil_is_larger_than_cpythons_own() {
    // What else is larger: the entry, which saves rbp for all stencils, and one uop of 2024.
    let rows: [(&str, usize, &[&str], [usize; 2]); 3] = [
        ("3.13.15", 236, &["trampoline"], [20_186, 3_989]),
        ("3.14.0a1+", 268, &["shim"], [25_359, 4_092]),
        ("3.14.7", 286, &["shim"], [29_107, 3_200]),
    ];
    for (version, count, exceptions, limits) in rows {
        let (sizes, [places, original_places]) = read(version);
        assert_eq!(sizes.len(), count, "{version}");
        for (name, [ours, original]) in &sizes {
            let is_larger = ours[0] > original[0] || ours[1] > original[1];
            let is_known = exceptions.contains(&name.as_str());
            assert_eq!(
                is_larger, is_known,
                "{version} {name}: {ours:?}, not {original:?}"
            );
        }
        for (part, limit) in limits.into_iter().enumerate() {
            let [ours, original] = total(&sizes, part);
            assert!(
                ours <= limit && ours <= original,
                "{version}: {ours} of {original}"
            );
        }
        assert!(places < original_places, "{version}");
    }
}

#[test]
fn what_the_article_prints_is_smaller_here() {
    // Code and data of 3.14.0a2.
    let article = [
        ("_BINARY_OP", [140, 40]),
        ("_BINARY_OP_ADD_FLOAT", [52, 24]),
        ("_BINARY_OP_ADD_INT", [182, 40]),
        ("_BINARY_OP_ADD_UNICODE", [182, 40]),
        ("_BINARY_OP_INPLACE_ADD_UNICODE", [173, 64]),
        ("_BINARY_OP_MULTIPLY_FLOAT", [52, 24]),
        ("_BINARY_OP_MULTIPLY_INT", [182, 40]),
        ("_BINARY_OP_SUBTRACT_FLOAT", [52, 24]),
    ];
    let (sizes, _) = read("3.14.0a1+");
    for (name, printed) in article {
        let [ours, original] = sizes[name];
        assert_eq!(original, printed, "{name}: the tree is the article's");
        assert!(
            ours[0] < printed[0] && ours[1] < printed[1],
            "{name}: {ours:?}"
        );
    }
}
