//! The digest in the header's first line. CPython's own generator writes one, and leaves a header alone whose first line it
//! would write again; so this one is computed as there: what goes into it, and in which order, is read from the generator.

use super::CPythonError;
use super::contract::words;
use super::tree::{CASES, Tree};
use crate::format::hex;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// What a digest is made of, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Recipe {
    inputs: Vec<Input>,
    /// Whether the compiler's flags are among it.
    pub(super) has_cflags: bool,
    /// Whether the files of a directory come in the order of their names; else in that of the file system.
    pub(super) is_sorted: bool,
    /// Whether directories called `__pycache__` are left out.
    pub(super) skips_caches: bool,
}

/// A part of what is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    /// The name of the target.
    Triple,
    /// A byte: whether it is a debug build.
    Debug,
    /// The flags for the compiler.
    Cflags,
    /// The cases of all uops.
    Cases,
    /// The configuration.
    Configuration,
    /// The generator: every file under `Tools/jit`, directories in the order of their names.
    Generator,
}

/// The function of the generator that computes the digest.
const FUNCTION: &str = "_compute_digest";

/// What its lines are made of: anything else might be a step that is not done here.
const WORDS: [&str; 34] = [
    "Path",
    "PYTHON_EXECUTOR_CASES_C_H",
    "TOOLS_JIT",
    "_",
    "__pycache__",
    "cflags",
    "continue",
    "debug",
    "dirpath",
    "encode",
    "endswith",
    "filename",
    "filenames",
    "for",
    "h",
    "hasher",
    "hashlib",
    "hexdigest",
    "if",
    "in",
    "os",
    "out",
    "pathlib",
    "pyconfig",
    "pyconfig_dir",
    "read_bytes",
    "return",
    "self",
    "sha256",
    "sorted",
    "to_bytes",
    "triple",
    "update",
    "walk",
];

impl Input {
    /// What a line that hashes it names.
    const NAMES: [(&str, Self); 6] = [
        ("triple", Self::Triple),
        ("debug", Self::Debug),
        ("cflags", Self::Cflags),
        ("PYTHON_EXECUTOR_CASES_C_H", Self::Cases),
        ("pyconfig", Self::Configuration),
        ("filename", Self::Generator),
    ];
}

impl Recipe {
    /// Reads the function of the generator, each line of which has to be known.
    ///
    /// # Errors
    /// There is no such function, or a line of it does what no known one does.
    pub(super) fn read(path: &Path, generator: &str) -> Result<Self, CPythonError> {
        let unknown = |found: &str| CPythonError::Feature {
            path: path.to_owned(),
            feature: "how the digest is computed".to_owned(),
            found: found.to_owned(),
            expected: format!(
                "a function {FUNCTION} that hashes triple, debug, cflags, the uops, pyconfig.h and the files of Tools/jit"
            ),
        };
        let mut lines = generator
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines
            .find(|line| {
                line.strip_prefix("def ")
                    .is_some_and(|rest| rest.starts_with(FUNCTION))
            })
            .ok_or_else(|| unknown("none"))?;
        let mut recipe = Self::default();
        for line in lines {
            let has = |wanted: &str| words(line).any(|word| word == wanted);
            if !words(line).all(|word| WORDS.contains(&word)) {
                return Err(unknown(line));
            }
            if line.starts_with("return") && has("hexdigest") {
                return Ok(recipe);
            }
            if has("update") {
                let named = |(name, _): &&(&str, Input)| has(name);
                match &Input::NAMES.iter().filter(named).collect::<Vec<_>>()[..] {
                    [(_, input)] => recipe.inputs.push(*input),
                    _ => return Err(unknown(line)),
                }
                recipe.has_cflags |= has("cflags");
            } else if line.starts_with("for ") && has("walk") && has("sorted") {
            } else if line.starts_with("for ") && has("filename") && has("filenames") {
                recipe.is_sorted = has("sorted");
            } else if line.starts_with("if ") && has("endswith") && has("__pycache__") {
                recipe.skips_caches = true;
            } else if line != "continue" && !(has("hasher") && has("sha256")) {
                return Err(unknown(line));
            }
        }
        Err(unknown("a function that returns no hexdigest"))
    }
}

/// SHA-256, in hexadecimal, of what the tree's generator hashes.
pub(super) fn digest(tree: &Tree) -> Result<String, CPythonError> {
    let mut hasher = Sha256::new();
    let recipe = &tree.contract.digest;
    for input in &recipe.inputs {
        match input {
            Input::Triple => hasher.update(tree.triple.as_bytes()),
            Input::Debug => hasher.update([u8::from(tree.debug)]),
            Input::Cflags => hasher.update(tree.cflags.as_bytes()),
            Input::Cases => hasher.update(read(&tree.source.join(CASES))?),
            Input::Configuration => hasher.update(read(&tree.build.join("pyconfig.h"))?),
            Input::Generator => {
                for file in generator(&tree.source.join(TOOLS), recipe)? {
                    hasher.update(read(&file)?);
                }
            }
        }
    }
    Ok(hex(&hasher.finalize()))
}

/// The inputs of a header, each with a short digest of its own, which says where those of two headers differ.
pub(super) fn inputs(tree: &Tree) -> Result<[(&'static str, String); 5], CPythonError> {
    // The order of the files depends on nothing but their names.
    let recipe = Recipe {
        is_sorted: true,
        skips_caches: true,
        ..Recipe::default()
    };
    let mut tools = Sha256::new();
    for file in generator(&tree.source.join(TOOLS), &recipe)? {
        tools.update(read(&file)?);
    }
    let target = format!("{} {}", tree.triple, tree.debug);
    let inputs = [
        (CASES, Sha256::digest(read(&tree.source.join(CASES))?)),
        (
            "pyconfig.h",
            Sha256::digest(read(&tree.build.join("pyconfig.h"))?),
        ),
        (TOOLS, tools.finalize()),
        ("target", Sha256::digest(target)),
        ("flags", Sha256::digest(&tree.cflags)),
    ];
    Ok(inputs.map(|(name, digest)| (name, hex(&digest[..INPUT_BYTES]))))
}

/// How many bytes of an input's digest are written: it only has to tell two inputs apart.
const INPUT_BYTES: usize = 6;

/// Where the generator is.
const TOOLS: &str = "Tools/jit";

fn read(path: &Path) -> Result<Vec<u8>, CPythonError> {
    std::fs::read(path).map_err(|error| CPythonError::io(path, error))
}

/// The files of the generator.
fn generator(root: &Path, recipe: &Recipe) -> Result<Vec<PathBuf>, CPythonError> {
    let mut directories = Vec::new();
    walk(root, &mut directories)?;
    // As texts: between the names of paths there would be no separator that is less than some letters.
    directories.sort_by(|(a, _), (b, _)| a.as_os_str().cmp(b.as_os_str()));
    let is_cache = |path: &Path| {
        path.as_os_str()
            .as_encoded_bytes()
            .ends_with(b"__pycache__")
    };
    directories.retain(|(path, _)| !(recipe.skips_caches && is_cache(path)));
    if recipe.is_sorted {
        for (_, files) in &mut directories {
            files.sort_by(|a, b| a.as_os_str().cmp(b.as_os_str()));
        }
    }
    Ok(directories
        .into_iter()
        .flat_map(|(_, files)| files)
        .collect())
}

/// A directory and those in it, each with its files.
fn walk(
    directory: &Path,
    directories: &mut Vec<(PathBuf, Vec<PathBuf>)>,
) -> Result<(), CPythonError> {
    let failed = |error| CPythonError::io(directory, error);
    let mut files = Vec::new();
    let mut inner = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        match path.is_dir() {
            true => inner.push((path, entry.file_type().map_err(failed)?)),
            false => files.push(path),
        }
    }
    directories.push((directory.to_owned(), files));
    for (path, kind) in inner {
        // As there, links are not followed.
        if !kind.is_symlink() {
            walk(&path, directories)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read of a function with these lines, a word a part.
    fn read(lines: &[&str]) -> String {
        let generator = format!(
            "import hashlib\n\ndef _compute_digest(self):\n    {}\n\ndef other():\n    pass\n",
            lines.join("\n    ")
        );
        match Recipe::read(Path::new("_targets.py"), &generator) {
            Ok(recipe) => {
                let mut parts: Vec<String> = recipe
                    .inputs
                    .iter()
                    .map(|input| format!("{input:?}"))
                    .collect();
                for (is, name) in [
                    (recipe.has_cflags, "flags"),
                    (recipe.is_sorted, "sorted"),
                    (recipe.skips_caches, "no caches"),
                ] {
                    parts.extend(is.then(|| name.to_owned()));
                }
                parts.join(", ")
            }
            Err(CPythonError::Feature { found, .. }) => format!("unknown: {found}"),
            Err(other) => other.to_string(),
        }
    }

    const START: &str = "hasher = hashlib.sha256()";
    const END: &str = "return hasher.hexdigest()";
    const WALK: &str = "for dirpath, _, filenames in sorted(os.walk(TOOLS_JIT)):";
    const FILE: &str = "hasher.update(pathlib.Path(dirpath, filename).read_bytes())";

    #[test]
    fn a_recipe_is_read_line_by_line() {
        let triple = "hasher.update(self.triple.encode())";
        let cases = "hasher.update(PYTHON_EXECUTOR_CASES_C_H.read_bytes())";
        let rows: [(&[&str], &str); 12] = [
            (&[START, triple, END], "Triple"),
            (&[START, "# Why.", "", triple, END, "yield"], "Triple"),
            // In their order.
            (
                &[START, cases, "hasher.update(self.debug.to_bytes())", END],
                "Cases, Debug",
            ),
            (
                &[
                    START,
                    "hasher.update(self.cflags.encode())",
                    "hasher.update((out / \"pyconfig.h\").read_bytes())",
                    END,
                ],
                "Cflags, Configuration, flags",
            ),
            (
                &[START, WALK, "for filename in filenames:", FILE, END],
                "Generator",
            ),
            (
                &[
                    START,
                    WALK,
                    "if dirpath.endswith(\"__pycache__\"):",
                    "continue",
                    "for filename in sorted(filenames):",
                    FILE,
                    END,
                ],
                "Generator, sorted, no caches",
            ),
            (&[START, triple], "unknown: def other():"),
            (
                &["hasher = hashlib.blake2b()", END],
                "unknown: hasher = hashlib.blake2b()",
            ),
            (
                &[START, "hasher.update(self.triple.upper().encode())", END],
                "unknown: hasher.update(self.triple.upper().encode())",
            ),
            (
                &[START, "if self.debug:", triple, END],
                "unknown: if self.debug:",
            ),
            (
                &[
                    START,
                    "hasher.update(self.triple.encode() + self.cflags.encode())",
                    END,
                ],
                "unknown: hasher.update(self.triple.encode() + self.cflags.encode())",
            ),
            (
                &[
                    START,
                    "for dirpath, _, filenames in os.walk(TOOLS_JIT):",
                    FILE,
                    END,
                ],
                "unknown: for dirpath, _, filenames in os.walk(TOOLS_JIT):",
            ),
        ];
        for (lines, expected) in rows {
            assert_eq!(read(lines), expected, "{lines:?}");
        }
        let nothing = Recipe::read(Path::new("_targets.py"), "def other():\n").unwrap_err();
        assert!(
            nothing
                .to_string()
                .contains("is none, expected a function _compute_digest")
        );
    }

    #[test]
    fn files_come_in_the_order_of_directories() {
        let root = tempfile::tempdir().expect("a directory of our own");
        let files = [
            "z",
            "a/2",
            "a/1",
            "a-b/1",
            "a/b/1",
            "A/1",
            "__pycache__/x",
            "a/__pycache__/x",
            "my__pycache__/x",
        ];
        for file in files {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().expect("it has one")).expect("it is ours");
            std::fs::write(path, file).expect("it is ours");
        }
        std::os::unix::fs::symlink(root.path().join("a"), root.path().join("l"))
            .expect("it is ours");
        std::os::unix::fs::symlink(root.path().join("z"), root.path().join("y"))
            .expect("it is ours");
        let found = |recipe: Recipe| {
            let files = generator(root.path(), &recipe).expect("the files can be read");
            files
                .iter()
                .map(|path| {
                    path.strip_prefix(root.path())
                        .expect("it is below")
                        .display()
                        .to_string()
                })
                .collect::<Vec<_>>()
        };
        let mut recipe = Recipe {
            is_sorted: true,
            skips_caches: true,
            ..Recipe::default()
        };
        // Links to files are files, links to directories are nothing.
        let expected = ["y", "z", "A/1", "a/1", "a/2", "a-b/1", "a/b/1"];
        assert_eq!(found(recipe.clone()), expected);
        recipe.skips_caches = false;
        assert_eq!(found(recipe.clone()).len(), 10);
        recipe.is_sorted = false;
        let mut unsorted = found(recipe);
        let directories: Vec<String> = unsorted
            .iter()
            .map(|file| file.rsplit_once('/').unwrap_or_default().0.to_owned())
            .collect();
        assert!(directories.is_sorted());
        unsorted.sort();
        assert_eq!(unsorted.len(), 10);
    }
}
