//! `mimeo run` and `mimeo doctor` in a process that may have no executable memory but its own text, as under SELinux without `execmem`. A
//! seccomp filter plays the policy.
#![allow(unsafe_code)]
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

use std::arch::asm;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

/// One instruction of classic BPF, as `struct sock_filter` has it.
#[repr(C)]
struct Instruction {
    code: u16,
    if_true: u8,
    if_false: u8,
    value: u32,
}

/// `struct sock_fprog`.
#[repr(C)]
struct Filter {
    len: u16,
    instructions: *const Instruction,
}

/// Instruction codes of BPF: load a word, jump on equality or on common bits, return.
const LOAD: u16 = 0x20;
const IF_EQUAL: u16 = 0x15;
const IF_ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;

/// Where `struct seccomp_data` has the number of the system call, and the low halves of its third and fourth argument.
const NUMBER: u32 = 0;
const PROTECTION: u32 = 16 + 2 * 8;
const FLAGS: u32 = 16 + 3 * 8;

const SYS_MMAP: u32 = 9;
const SYS_MPROTECT: u32 = 10;
const SYS_PRCTL: u64 = 157;
const PROT_EXEC: u32 = 4;
const MAP_SHARED: u32 = 1;
const ALLOW: u32 = 0x7fff_0000;
const REFUSE_WITH_EACCES: u32 = 0x0005_0000 | 13;

const fn instruction(code: u16, value: u32, if_true: u8, if_false: u8) -> Instruction {
    Instruction {
        code,
        if_true,
        if_false,
        value,
    }
}

/// Refuses `mprotect` to executable, and `mmap` of shared executable memory: the loader maps programs privately.
static NO_EXECUTABLE_MEMORY: [Instruction; 9] = [
    instruction(LOAD, NUMBER, 0, 0),
    instruction(IF_EQUAL, SYS_MPROTECT, 3, 0),
    instruction(IF_EQUAL, SYS_MMAP, 0, 4),
    instruction(LOAD, FLAGS, 0, 0),
    instruction(IF_ANY_BIT, MAP_SHARED, 0, 2),
    instruction(LOAD, PROTECTION, 0, 0),
    instruction(IF_ANY_BIT, PROT_EXEC, 1, 0),
    instruction(RETURN, ALLOW, 0, 0),
    instruction(RETURN, REFUSE_WITH_EACCES, 0, 0),
];

fn prctl(option: u64, argument: u64, filter: u64) -> io::Result<()> {
    let result: i64;
    // SAFETY: the options used here read at most the filter that the last argument points to.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") SYS_PRCTL => result,
            in("rdi") option,
            in("rsi") argument,
            in("rdx") filter,
            in("r10") 0,
            in("r8") 0,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    match result {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(-error as i32)),
    }
}

/// Sets up the policy for this process and what it becomes.
fn refuse_executable_memory() -> io::Result<()> {
    const PR_SET_NO_NEW_PRIVS: u64 = 38;
    const PR_SET_SECCOMP: u64 = 22;
    const SECCOMP_MODE_FILTER: u64 = 2;
    let filter = Filter {
        len: NO_EXECUTABLE_MEMORY.len() as u16,
        instructions: NO_EXECUTABLE_MEMORY.as_ptr(),
    };
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0)?;
    prctl(
        PR_SET_SECCOMP,
        SECCOMP_MODE_FILTER,
        &raw const filter as u64,
    )
}

/// `mimeo run` with these arguments under the policy.
fn run(arguments: &[&str]) -> Output {
    mimeo(&[&["run"], arguments].concat())
}

/// `mimeo` with these arguments under the policy.
fn mimeo(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mimeo"));
    command.args(arguments);
    // SAFETY: between fork and exec only system calls are made.
    unsafe { command.pre_exec(refuse_executable_memory) };
    command.output().expect("mimeo starts under the filter")
}

const TRACE: &str = "../../tests/traces/sum_squares.json";

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_interpreter_needs_no_executable_memory() {
    for choice in [&[][..], &["--engine", "auto"], &["--engine", "interp"]] {
        let output = run(&[choice, &["--repeat", "1", TRACE]].concat());
        assert_eq!(text(&output.stderr), "");
        assert!(output.status.success());
        assert!(
            text(&output.stdout).trim_end().ends_with("ok"),
            "{output:?}"
        );
    }
}

#[test]
fn the_engine_says_what_works_instead() {
    let output = run(&["--engine", "jit", TRACE]);
    assert_eq!(output.status.code(), Some(3));
    let error = text(&output.stderr);
    assert!(error.contains("may not be mapped executable"), "{error}");
    assert!(
        error.trim_end().ends_with("`--engine interp` needs none"),
        "{error}"
    );
}

#[test]
fn verbose_says_why_it_interprets() {
    let output = run(&["--verbose", "--repeat", "1", TRACE]);
    assert!(output.status.success());
    let error = text(&output.stderr);
    assert!(error.starts_with("interpreting the traces: "), "{error}");
    assert!(error.contains("may not be mapped executable"), "{error}");
}

#[test]
fn the_doctor_says_what_is_refused_and_what_works() {
    let output = mimeo(&["doctor"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(text(&output.stderr), "");
    let report = text(&output.stdout);
    for expected in [
        "  no   machine code",
        "  yes  interpreter",
        "  no   memory, dual",
        "  no   memory, protect",
        "may not be mapped executable",
        "  for machine code: allow executable memory",
        "\nTraces can be run, with the interpreter only.\n",
    ] {
        assert!(
            report.contains(expected),
            "{expected:?} is not in: {report}"
        );
    }
    let output = mimeo(&["doctor", "--json"]);
    assert!(output.status.success());
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["works"], true);
    assert_eq!(report["traces"]["code_memory"], serde_json::Value::Null);
    assert_eq!(report["traces"]["machine_code"]["works"], false);
}
