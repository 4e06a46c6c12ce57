//! Writing a file that somebody may be reading, and whatever else a path may name.

use super::TableError;
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// Writes `bytes` to what `path` names: a regular file, which need not be there, is replaced as a whole, so that whoever reads
/// it sees the old contents or the new ones; a device, a pipe or a socket gets the bytes. Of a symbolic link, that is done with
/// what it leads to.
///
/// A new file has the permissions that the process gives to new files; one that is replaced keeps its own. Nothing is left
/// beside it when the process is ended on the way, where the file system has files without a name (`O_TMPFILE`).
///
/// # Errors
/// What is there cannot be written: it is a directory, its directory cannot be written, or there is no room. A regular file
/// is then as it was.
pub fn write_file(path: impl AsRef<Path>, bytes: &[u8]) -> Result<(), TableError> {
    let path = path.as_ref();
    write(path, bytes).map_err(|source| TableError::Io {
        action: "write",
        path: path.to_owned(),
        source,
    })
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(found) if found.is_file() => match path.canonicalize() {
            Ok(target) => replace(&target, Some(&found), bytes),
            // It has no name any more, as standard output may have none.
            Err(_) => OpenOptions::new()
                .write(true)
                .truncate(true)
                .open(path)?
                .write_all(bytes),
        },
        Ok(found) if found.file_type().is_socket() => UnixStream::connect(path)?.write_all(bytes),
        // Opening a directory to write is an error that says so.
        Ok(_) => OpenOptions::new().write(true).open(path)?.write_all(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            replace(&missing_target(path)?, None, bytes)
        }
        Err(error) => Err(error),
    }
}

/// What links lead to at whose end is nothing.
fn missing_target(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    // As many as Linux follows.
    for _ in 0..40 {
        match fs::read_link(&path) {
            Ok(next) => path = path.parent().unwrap_or(Path::new("")).join(next),
            Err(_) => return Ok(path),
        }
    }
    Err(rustix::io::Errno::LOOP.into())
}

/// Replaces a file, or makes it.
fn replace(path: &Path, old: Option<&fs::Metadata>, bytes: &[u8]) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mode = Mode::from_raw_mode(old.map_or(0o666, |old| old.mode() & 0o7777));
    let fill = |mut file: &File| {
        if let Some(old) = old {
            // The umask is for new files. Another owner's file stays theirs where we may give files away.
            let _ = std::os::unix::fs::fchown(file, Some(old.uid()), Some(old.gid()));
            rustix::fs::fchmod(file, mode)?;
        }
        file.write_all(bytes)?;
        file.sync_all()
    };
    let mut beside = tempfile::Builder::new();
    beside.prefix(".mimeo-");
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let named = match rustix::fs::open(directory, flags, mode) {
        Ok(unnamed) => {
            let unnamed = File::from(unnamed);
            fill(&unnamed)?;
            let open = format!("/proc/self/fd/{}", unnamed.as_raw_fd());
            beside.make_in(directory, |name| {
                Ok(rustix::fs::linkat(
                    CWD,
                    &open,
                    CWD,
                    name,
                    AtFlags::SYMLINK_FOLLOW,
                )?)
            })
        }
        // File systems without such files say so in several ways; what else is wrong shows again.
        Err(_) => beside.make_in(directory, |name| {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
            let file = File::from(rustix::fs::open(name, flags, mode)?);
            fill(&file).inspect_err(|_| drop(fs::remove_file(name)))
        }),
    }?;
    named.persist(path).map_err(|error| error.error)?;
    Ok(())
}
