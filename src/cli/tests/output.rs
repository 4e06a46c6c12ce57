//! What stands where a command writes its output: a regular file is replaced as a whole, everything else is written to.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;
use tempfile::TempDir;

const TRACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/traces/gcd.json");

fn convert(output: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mimeo"));
    command.args(["convert", TRACE, "-o"]).arg(output);
    command.output().unwrap()
}

/// What is converted, as standard output has it.
fn expected() -> Vec<u8> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mimeo"));
    command.args(["convert", TRACE, "--to", "uops"]);
    command.output().unwrap().stdout
}

/// Makes a character device; whether that could be done.
fn make_device(path: &Path, minor: &str) -> bool {
    let mut command = Command::new("mknod");
    command.arg("-m666").arg(path).args(["c", "1", minor]);
    command.status().is_ok_and(|status| status.success())
}

fn names(directory: &Path) -> Vec<PathBuf> {
    let mut names: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into())
        .collect();
    names.sort();
    names
}

#[test]
fn a_pipe_and_a_socket_get_the_output_and_stay() {
    let directory = TempDir::new().unwrap();
    let pipe = directory.path().join("pipe.uops");
    let status = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(status.success());
    let reader = thread::spawn({
        let pipe = pipe.clone();
        move || fs::read(pipe).unwrap()
    });
    let output = convert(&pipe);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(reader.join().unwrap(), expected());
    assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());

    let socket = directory.path().join("socket.uops");
    let listener = UnixListener::bind(&socket).unwrap();
    let reader = thread::spawn(move || {
        let mut bytes = Vec::new();
        let (mut stream, _) = listener.accept().unwrap();
        stream.read_to_end(&mut bytes).unwrap();
        bytes
    });
    let output = convert(&socket);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(reader.join().unwrap(), expected());
    assert!(fs::metadata(&socket).unwrap().file_type().is_socket());
}

/// Devices of our own, which whoever is not the superuser cannot make.
#[test]
fn a_device_gets_the_output_and_stays() {
    let directory = TempDir::new().unwrap();
    let (null, full) = (directory.path().join("null"), directory.path().join("full"));
    if !make_device(&null, "3")
        || !make_device(&full, "7")
        || File::options().write(true).open(&null).is_err()
    {
        eprintln!("SKIPPED: no devices can be made here");
        return;
    }
    let output = convert(&null);
    assert!(output.status.success(), "{output:?}");
    let output = convert(&full);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("No space left on device"), "{message}");
    for device in [&null, &full] {
        assert!(fs::metadata(device).unwrap().file_type().is_char_device());
    }
    assert_eq!(names(directory.path()).len(), 2);
}

#[test]
fn what_a_link_leads_to_is_replaced() {
    let directory = TempDir::new().unwrap();
    let (file, link) = (
        directory.path().join("file.uops"),
        directory.path().join("link.uops"),
    );
    fs::create_dir(directory.path().join("below")).unwrap();
    let far = directory.path().join("below/far.uops");
    symlink("file.uops", &link).unwrap();
    symlink("../link.uops", &far).unwrap();
    // At first to nothing.
    for _ in 0..2 {
        let output = convert(&far);
        assert!(output.status.success(), "{output:?}");
        assert!(far.is_symlink() && link.is_symlink() && !file.is_symlink());
        assert_eq!(fs::read(&file).unwrap(), expected());
    }
    let circle = directory.path().join("circle.uops");
    symlink("circle.uops", &circle).unwrap();
    assert_eq!(convert(&circle).status.code(), Some(3));
    assert!(circle.is_symlink());
}

#[test]
fn permissions_are_those_of_the_old_file_or_of_new_files() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("trace.uops");
    let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
    let script = r#"umask 027 && "$0" convert "$1" -o "$2""#;
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_mimeo"), TRACE]);
    assert!(command.arg(&path).status().unwrap().success());
    assert_eq!(mode(), 0o640);
    fs::set_permissions(&path, PermissionsExt::from_mode(0o606)).unwrap();
    assert!(convert(&path).status.success());
    assert_eq!(mode(), 0o606);
}

/// A file that may have a kilobyte at most: either an error, or the signal SIGXFSZ, which ends the process in the middle.
#[test]
fn what_cannot_be_written_whole_leaves_the_old_file_and_nothing_else() {
    for (script, code) in [
        (
            r#"ulimit -f 1; trap '' XFSZ; exec "$0" convert "$1" -o "$2""#,
            Some(3),
        ),
        (
            r#"ulimit -c 0; ulimit -f 1; exec "$0" convert "$1" -o "$2""#,
            None,
        ),
    ] {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("trace.uops");
        fs::write(&path, "old").unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", script, env!("CARGO_BIN_EXE_mimeo"), TRACE]);
        let output = command.arg(&path).output().unwrap();
        assert_eq!(output.status.code(), code, "{output:?}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(directory.path()), [Path::new("trace.uops")]);
    }
}

#[test]
fn places_that_cannot_be_written_are_named() {
    let directory = TempDir::new().unwrap();
    let locked = directory.path().join("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, PermissionsExt::from_mode(0o555)).unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "old").unwrap();
    for (path, problem) in [
        (directory.path().to_owned(), "Is a directory"),
        (directory.path().join("missing/trace.uops"), "No such file"),
        (file.join("trace.uops"), "Not a directory"),
        // Nothing stops the superuser in a directory that is locked.
        (Path::new("/proc/self").join("trace.uops"), "No such file"),
        (locked.join("trace.uops"), "Permission denied"),
    ] {
        let output = convert(&path);
        if path.starts_with(&locked) && output.status.success() {
            continue;
        }
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{message}");
        let expected = format!("error: {}: {problem}", path.display());
        assert!(message.starts_with(&expected), "{message}");
    }
}
