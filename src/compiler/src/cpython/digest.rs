//! The digest in the header's first line. CPython's own generator writes one, and leaves a header alone whose first line it
//! would write again; so this one is computed as there.

use super::CPythonError;
use super::tree::Tree;
use crate::format::hex;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// SHA-256, in hexadecimal, of the target, whether it is a debug build, the uops, the configuration, and the generator:
/// every file under `Tools/jit`, directories in the order of their names, the files of each in the order in which the file
/// system has them.
pub(super) fn digest(tree: &Tree) -> Result<String, CPythonError> {
    let mut hasher = Sha256::new();
    hasher.update(tree.triple.as_bytes());
    hasher.update([u8::from(tree.debug)]);
    hasher.update(read(&tree.source.join("Python/executor_cases.c.h"))?);
    hasher.update(read(&tree.build.join("pyconfig.h"))?);
    let mut directories = Vec::new();
    walk(&tree.source.join("Tools/jit"), &mut directories)?;
    // As texts: between the names of paths there would be no separator that is less than some letters.
    directories.sort_by(|(a, _), (b, _)| a.as_os_str().cmp(b.as_os_str()));
    for (_, files) in directories {
        for file in files {
            hasher.update(read(&file)?);
        }
    }
    Ok(hex(&hasher.finalize()))
}

fn read(path: &Path) -> Result<Vec<u8>, CPythonError> {
    std::fs::read(path).map_err(|error| CPythonError::io(path, error))
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
