//! The digest of templates' source text, which needs no LLVM: where it differs from the one that a
//! [table carries](mimeo::table::StencilTable::sources), the table was made from other templates.
//!
//! The table's own digest is of the LLVM IR that the templates give, so that it says what the stencils are, and only LLVM can
//! compute it. This one is of the text, so that it changes with a comment, and anybody can.

use std::fs;
use std::io;
use std::path::Path;

/// The sources of a template set, added one by one.
///
/// ```
/// use mimeo_compiler::sources::Sources;
///
/// let digest = Sources::default().with("add.rs", b"fn add() {}").digest();
/// assert_ne!(digest, Sources::default().with("add.rs", b"fn sub() {}").digest());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Name and text, in the order in which they were added.
    parts: Vec<(String, Vec<u8>)>,
}

impl Sources {
    /// Adds a text, under a name that does not depend on where it is stored. The order in which texts are added does not
    /// matter.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, text: impl Into<Vec<u8>>) -> Self {
        self.parts.push((name.into(), text.into()));
        self
    }

    /// Adds a file, or all files in a directory and below it, named as seen from `root`.
    ///
    /// # Errors
    /// Something cannot be read. The error names it.
    pub fn with_files(mut self, root: &Path, path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let whole = root.join(path);
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("{}: {error}", whole.display()))
        };
        if !fs::metadata(&whole).map_err(named)?.is_dir() {
            let text = fs::read(&whole).map_err(named)?;
            return Ok(self.with(path.to_string_lossy(), text));
        }
        for entry in fs::read_dir(&whole).map_err(named)? {
            let name = entry.map_err(named)?.file_name();
            self = self.with_files(root, path.join(name))?;
        }
        Ok(self)
    }

    /// BLAKE3 of the names and texts, in the order of the names.
    pub fn digest(&self) -> [u8; 32] {
        let mut parts: Vec<&(String, Vec<u8>)> = self.parts.iter().collect();
        parts.sort();
        let mut hasher = blake3::Hasher::new();
        for (name, text) in parts {
            for bytes in [name.as_bytes(), text] {
                hasher.update(&(bytes.len() as u64).to_le_bytes());
                hasher.update(bytes);
            }
        }
        *hasher.finalize().as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_is_names_and_texts_and_not_their_order() {
        let digest = |parts: &[(&str, &str)]| {
            let add = |sources: Sources, &(name, text): &(&str, &str)| sources.with(name, text);
            parts.iter().fold(Sources::default(), add).digest()
        };
        let first = digest(&[("a", "x"), ("b", "y")]);
        assert_eq!(digest(&[("b", "y"), ("a", "x")]), first);
        for other in [
            &[("a", "x")][..],
            &[("a", "y"), ("b", "x")],
            &[("a", "xb"), ("", "y")],
            &[("a", "x"), ("b", "y"), ("c", "")],
        ] {
            assert_ne!(digest(other), first, "{other:?}");
        }
    }

    #[test]
    fn files_are_named_as_seen_from_the_root() {
        let write = |root: &Path| {
            fs::create_dir_all(root.join("src/deep")).unwrap();
            fs::write(root.join("src/a.rs"), "a").unwrap();
            fs::write(root.join("src/deep/b.rs"), "b").unwrap();
        };
        let expected = Sources::default()
            .with("src/a.rs", "a")
            .with("src/deep/b.rs", "b")
            .digest();
        for root in [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()] {
            write(root.path());
            let sources = Sources::default().with_files(root.path(), "src").unwrap();
            assert_eq!(sources.digest(), expected);
            let sources = Sources::default()
                .with_files(root.path(), "src/deep/b.rs")
                .unwrap()
                .with_files(root.path(), "src/a.rs")
                .unwrap();
            assert_eq!(sources.digest(), expected);
            let error = Sources::default().with_files(root.path(), "src/c.rs");
            let error = error.unwrap_err().to_string();
            assert!(error.contains("src/c.rs: No such file"), "{error}");
        }
    }
}
