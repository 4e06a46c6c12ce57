//! clang: C to IR. It does nothing else, so that only its front end takes time; the IR is for the LLVM that is linked.

use super::CPythonError;
use super::tree::Tree;
use crate::target::LLVM_MAJOR;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

/// A clang that can be used.
#[derive(Debug)]
pub(super) struct Clang {
    pub(super) path: PathBuf,
    pub(super) version: String,
}

/// The one that is asked for, or the first suitable one.
pub(super) fn find(asked: Option<&Path>) -> Result<Clang, CPythonError> {
    let candidates = match asked {
        Some(path) => vec![from_here(path)],
        None => vec![format!("clang-{LLVM_MAJOR}").into(), "clang".into()],
    };
    let mut problems = Vec::new();
    for path in candidates {
        match version(&path) {
            Ok(version) if major(&version) == Some(LLVM_MAJOR) => {
                return Ok(Clang { path, version });
            }
            Ok(version) => problems.push(format!("{} is clang {version}", path.display())),
            Err(problem) => problems.push(format!("{}: {problem}", path.display())),
        }
    }
    Err(CPythonError::Clang {
        problem: problems.join(", "),
        major: LLVM_MAJOR,
    })
}

/// A path that means the same in another directory, where clang runs. A name alone is looked for in `PATH`.
fn from_here(path: &Path) -> PathBuf {
    match path.components().count() {
        0 | 1 => path.to_owned(),
        _ => std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
    }
}

fn version(clang: &Path) -> Result<String, String> {
    let output = Command::new(clang)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => "there is none".to_owned(),
            _ => error.to_string(),
        })?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text
        .split_once("clang version ")
        .and_then(|(_, rest)| rest.split_whitespace().next());
    version
        .map(str::to_owned)
        .ok_or_else(|| "it does not say that it is clang".to_owned())
}

fn major(version: &str) -> Option<u32> {
    version.split('.').next()?.parse().ok()
}

/// Compiles a translation unit to bitcode, without a file.
pub(super) fn compile(clang: &Clang, tree: &Tree, unit: &str) -> Result<Vec<u8>, CPythonError> {
    let failed = |error: io::Error| CPythonError::io(&clang.path, error);
    let mut child = Command::new(&clang.path)
        .args(arguments(tree)?)
        .current_dir(&tree.build)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    // clang need not have read everything before it writes, and may write more than a pipe holds.
    let stdin = child.stdin.take();
    let (written, output) = thread::scope(|scope| {
        let writer = stdin.map(|mut stdin| scope.spawn(move || stdin.write_all(unit.as_bytes())));
        let output = child.wait_with_output();
        let written = writer.map(|writer| writer.join());
        (written, output)
    });
    let output = output.map_err(failed)?;
    if !output.status.success() {
        let messages = String::from_utf8_lossy(&output.stderr);
        return Err(CPythonError::Refused {
            clang: clang.path.clone(),
            path: tree.source.clone(),
            messages: messages.trim_end().to_owned(),
        });
    }
    match written {
        None | Some(Ok(Ok(()))) => Ok(output.stdout),
        Some(Ok(Err(error))) => Err(failed(error)),
        Some(Err(_)) => Err(failed(io::Error::other(
            "the sources were not written to it",
        ))),
    }
}

/// CPython's own generator passes these, but for what concerns output, warnings and optimisation.
fn arguments(tree: &Tree) -> Result<Vec<OsString>, CPythonError> {
    let flags = shlex::split(&tree.cflags).ok_or_else(|| CPythonError::Flags {
        cflags: tree.cflags.clone(),
    })?;
    let flags = flags.into_iter().map(OsString::from);
    let mut arguments: Vec<OsString> = [
        format!("--target={}", tree.triple).as_str(),
        "-DPy_BUILD_CORE_MODULE",
        if tree.debug { "-D_DEBUG" } else { "-DNDEBUG" },
        "-D_PyJIT_ACTIVE",
        "-D_Py_JIT",
        "-std=c11",
        "-fpic",
        "-fno-asynchronous-unwind-tables",
        "-fno-builtin",
        "-fno-plt",
        "-fno-stack-protector",
        "-fomit-frame-pointer",
        "-I.",
    ]
    .map(OsString::from)
    .into();
    for directory in [
        "Include",
        "Include/internal",
        "Include/internal/mimalloc",
        "Python",
        "Tools/jit",
    ] {
        let mut include = OsString::from("-I");
        include.push(tree.source.join(directory));
        arguments.push(include);
    }
    // Assertions name files; where the tree is must not be seen.
    let mut prefix = OsString::from("-ffile-prefix-map=");
    prefix.push(&tree.source);
    prefix.push("=.");
    arguments.push(prefix);
    let output = [
        "-O3",
        "-Xclang",
        "-disable-llvm-passes",
        "-w",
        "-fno-color-diagnostics",
        "-emit-llvm",
        "-c",
        "-x",
        "c",
        "-",
        "-o",
        "-",
    ];
    // The user's stand behind the generator's own, to override them, but for what comes out.
    arguments.extend(flags);
    arguments.extend(output.map(OsString::from));
    Ok(arguments)
}
