//! Programs that tests put in the place of others.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// Writes a program, by another process: of one that this process has open for writing, whatever another test starts in that
/// moment has it open as well, and until that runs the program cannot be started (`ETXTBSY`).
pub(crate) fn write(path: &Path, text: &str) {
    let mut install = Command::new("install")
        .args(["-m", "755", "/dev/stdin"])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .expect("the program install");
    let mut stdin = install.stdin.take().expect("a pipe");
    stdin.write_all(text.as_bytes()).expect("a reader");
    drop(stdin);
    assert!(install.wait().expect("its end").success(), "install fails");
}
