//! `mimeo cpython` on a small tree of the form that CPython's has, `cpython/tree`, whose uops are those of a toy machine. What
//! `cpython/jit.c` does with the header is what CPython's `jit.c` does with its own, with all that CPython assumes checked.
#![cfg(all(feature = "llvm", target_arch = "x86_64", target_os = "linux"))]

mod programs;

use mimeo_compiler::target::LLVM_MAJOR;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const CASES: &str = "Python/executor_cases.c.h";
const TEMPLATE: &str = "Tools/jit/template.c";
const PATCHLEVEL: &str = "Include/patchlevel.h";

/// The files of the tree, in the order in which they are written.
const FILES: [&str; 7] = [
    PATCHLEVEL,
    "Include/Python.h",
    "Include/internal/pycore_toy.h",
    CASES,
    TEMPLATE,
    "Tools/jit/trampoline.c",
    "Tools/jit/nested/notes.txt",
];

/// The clang of the linked LLVM's version, under one of the names that `mimeo cpython` tries.
fn clang() -> Option<String> {
    let version = format!("clang version {LLVM_MAJOR}.");
    let is_suitable = |clang: &String| {
        let output = Command::new(clang).arg("--version").output();
        output.is_ok_and(|output| text(&output.stdout).contains(&version))
    };
    let names = [format!("clang-{LLVM_MAJOR}"), "clang".to_owned()];
    names.into_iter().find(is_suitable)
}

/// Whether there is a clang that the uops can be compiled with; says so if there is none.
fn there_is_clang() -> bool {
    let found = clang().is_some();
    if !found {
        println!("skipped: clang {LLVM_MAJOR} is not installed");
    }
    found
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn of_tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cpython")
}

/// A copy of the tree with a build directory, in a directory of their own.
struct Tree {
    directory: TempDir,
}

impl Tree {
    fn new() -> Self {
        let tree = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        for file in FILES {
            let path = tree.source().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::copy(of_tests().join("tree").join(file), path).unwrap();
        }
        fs::create_dir(tree.build()).unwrap();
        fs::write(tree.build().join("pyconfig.h"), "#define CONFIGURED 1\n").unwrap();
        tree.makefile("x86_64-pc-linux-gnu");
        tree
    }

    fn of_version(major: u32, minor: u32) -> Self {
        let tree = Self::new();
        let patchlevel = format!(
            "#define PY_MAJOR_VERSION {major}\n#define PY_MINOR_VERSION {minor}\n\
             #define PY_VERSION \"{major}.{minor}.0a2\"\n"
        );
        fs::write(tree.source().join(PATCHLEVEL), patchlevel).unwrap();
        tree
    }

    /// With a change to one of the files, which has to have the text.
    fn edited(file: &str, from: &str, to: &str) -> Self {
        let tree = Self::new();
        tree.edit(file, from, to);
        tree
    }

    fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.source().join(file);
        let old = fs::read_to_string(&path).unwrap();
        assert!(old.contains(from), "{file} has no {from:?}");
        fs::write(path, old.replace(from, to)).unwrap();
    }

    /// With these lines in the case of `_NOP`.
    fn with_nop(lines: &str) -> Self {
        let case = "        case _NOP: {\n";
        Self::edited(CASES, case, &format!("{case}{lines}\n"))
    }

    fn makefile(&self, arguments: &str) {
        let line = format!("jit_stencils.h:\n\tpython3 $(srcdir)/Tools/jit/build.py {arguments}\n");
        fs::write(self.build().join("Makefile"), line).unwrap();
    }

    fn source(&self) -> PathBuf {
        self.directory.path().join("source")
    }

    fn build(&self) -> PathBuf {
        self.directory.path().join("build")
    }

    fn header_path(&self) -> PathBuf {
        self.build().join("jit_stencils.h")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mimeo"));
        command.arg("cpython");
        command.arg("--source").arg(self.source());
        command.arg("--build").arg(self.build());
        command.args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn header(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{}", text(&output.stderr));
        fs::read_to_string(self.header_path()).unwrap()
    }

    /// Runs into an error, which leaves everything as it was, and returns what was said.
    fn refused(&self, arguments: &[&str]) -> String {
        const OLD: &str = "// the old header\n";
        fs::write(self.header_path(), OLD).unwrap();
        let before = names(&self.build());
        let output = self.run(arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert_eq!(text(&output.stdout), "");
        assert!(!said.contains("panicked"), "{said}");
        assert_eq!(fs::read_to_string(self.header_path()).unwrap(), OLD);
        assert_eq!(names(&self.build()), before);
        said
    }

    /// A program in the place of clang: a shell script that runs these lines when it is to compile.
    fn script(&self, lines: &str) -> String {
        let version = format!(
            "if [ \"$1\" = --version ]; then echo 'clang version {LLVM_MAJOR}.1.0'; exit; fi"
        );
        self.program(&format!("#!/bin/sh\n{version}\n{lines}\n"))
    }

    fn program(&self, contents: &str) -> String {
        let path = self.directory.path().join("clang");
        programs::write(&path, contents);
        path.display().to_string()
    }
}

fn names(directory: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect()
}

fn assert_says(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "{part:?} is not in: {said}");
    }
}

// ---- The header's code ---------------------------------------------------------------------------------------------

/// Compiles `jit.c` with the header and runs it.
fn run_traces(tree: &Tree, name: &str, flags: &[&str]) {
    let program = tree.directory.path().join(name);
    let mut compiler = Command::new("cc");
    // The last three as CPython compiles its own.
    compiler.args(["-std=c11", "-O1", "-Wall", "-Wextra", "-Werror"]);
    compiler.args(["-Wno-unused-parameter", "-Wno-missing-field-initializers"]);
    compiler.arg("-Wno-unused-function").args(flags);
    for directory in ["Include", "Include/internal", "Python"] {
        compiler.arg("-I").arg(tree.source().join(directory));
    }
    compiler.arg("-I").arg(tree.build());
    compiler
        .arg("-o")
        .arg(&program)
        .arg(of_tests().join("jit.c"));
    let output = compiler.output().expect("there is a C compiler (cc)");
    assert!(output.status.success(), "{}", text(&output.stderr));
    for seed in ["1", "2", "3"] {
        let output = Command::new(&program).args([seed, "300", "1000"]).output();
        let output = output.unwrap();
        let said = text(&output.stderr);
        assert!(output.status.success(), "{name}, seed {seed}: {said}");
        assert!(text(&output.stdout).starts_with("the same; "));
    }
}

fn traces_end_as_interpreted(tree: &Tree, arguments: &[&str]) {
    if !there_is_clang() {
        return;
    }
    tree.header(arguments);
    run_traces(tree, "near", &["-DNEAR", "-no-pie", "-fno-pie"]);
    run_traces(tree, "far", &["-pie", "-fPIE"]);
}

#[test]
fn traces_end_as_interpreted_by_the_contract_of_3_13() {
    traces_end_as_interpreted(&Tree::new(), &[]);
}

#[test]
fn traces_end_as_interpreted_by_the_contract_of_3_14() {
    traces_end_as_interpreted(&Tree::of_version(3, 14), &[]);
}

#[test]
fn traces_end_as_interpreted_with_assertions() {
    traces_end_as_interpreted(&Tree::new(), &["--debug"]);
}

// ---- The header's text ---------------------------------------------------------------------------------------------

/// What a header is compared by where the file system may order files in another way: all but the digest.
fn without_digest(header: &str) -> &str {
    header.split_once('\n').unwrap().1
}

#[test]
fn the_header_depends_on_nothing_but_the_sources() {
    if !there_is_clang() {
        return;
    }
    let tree = Tree::new();
    let header = tree.header(&["--jobs", "1"]);
    for jobs in ["2", "5"] {
        assert!(tree.header(&["--jobs", jobs]) == header, "--jobs {jobs}");
    }
    let mut command = tree.command(&["--out", "-"]);
    command
        .env("LC_ALL", "tr_TR.UTF-8")
        .env("TZ", "Asia/Kathmandu");
    command.env("SOURCE_DATE_EPOCH", "1").current_dir("/");
    let output = command.output().unwrap();
    assert!(text(&output.stdout) == header, "another environment");

    let other = Tree::new();
    let other_header = other.header(&[]);
    assert!(
        without_digest(&other_header) == without_digest(&header),
        "another path"
    );
    let mut command = Command::new(env!("CARGO_BIN_EXE_mimeo"));
    command.args(["cpython", "--source", "source", "--build", "build"]);
    command
        .args(["--out", "-"])
        .current_dir(other.directory.path());
    let output = command.output().unwrap();
    assert!(text(&output.stdout) == other_header, "a relative path");
}

#[test]
fn the_header_names_no_directory_of_the_machine() {
    if !there_is_clang() {
        return;
    }
    let tree = Tree::with_nop("mix_text(tstate, __FILE__, 0); assert(frame != 0);");
    tree.edit(
        "Include/internal/pycore_toy.h",
        "static inline Value\nadd(",
        "static inline const char *here(void) { return __FILE__; }\n\nstatic inline Value\nadd(",
    );
    tree.edit(CASES, "\"a text in the data\"", "(touch(tstate), here())");
    let quoted = |header: &str| {
        // Texts are in the data, and in the comments about it.
        let mut bytes = String::new();
        for line in header
            .lines()
            .filter(|line| line.trim_start().starts_with("0x"))
        {
            for byte in line.trim().trim_end_matches(',').split(", ") {
                let byte = u8::from_str_radix(byte.trim_start_matches("0x"), 16).unwrap();
                bytes.push(char::from(byte));
            }
        }
        bytes
    };
    for arguments in [&[][..], &["--debug"]] {
        let header = tree.header(arguments);
        let data = quoted(&header);
        assert!(data.contains("executor_cases.c.h"));
        assert!(data.contains("Include/internal/pycore_toy.h"));
        let directory = tree.directory.path().display().to_string();
        for path in [directory.as_str(), "/home/", "/root", "/tmp/", "/usr/"] {
            assert!(!header.contains(path), "{path} is in the header");
            assert!(!data.contains(path), "{path} is in the header's data");
        }
    }
}

/// CPython's own generator goes through a directory and those in it, sorted by their names.
fn walk(directory: &Path, found: &mut Vec<(String, Vec<PathBuf>)>) {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => walk(&path, found),
            false => files.push(path),
        }
    }
    found.push((directory.to_str().unwrap().to_owned(), files));
}

fn expected_digest(tree: &Tree, triple: &str, debug: bool) -> String {
    let mut bytes = triple.as_bytes().to_vec();
    bytes.push(debug.into());
    bytes.extend(fs::read(tree.source().join(CASES)).unwrap());
    bytes.extend(fs::read(tree.build().join("pyconfig.h")).unwrap());
    let mut directories = Vec::new();
    walk(&tree.source().join("Tools/jit"), &mut directories);
    directories.sort();
    for file in directories.iter().flat_map(|(_, files)| files) {
        bytes.extend(fs::read(file).unwrap());
    }
    let digest = Sha256::digest(&bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_first_line_is_the_digest_that_cpython_would_write() {
    if !there_is_clang() {
        return;
    }
    let tree = Tree::new();
    for (directory, contents) in [("a", "1"), ("a-b", "2"), ("a/b", "3"), ("A", "4")] {
        let directory = tree.source().join("Tools/jit").join(directory);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("file"), contents).unwrap();
    }
    for (triple, debug) in [
        ("x86_64-pc-linux-gnu", false),
        ("x86_64-unknown-linux-gnu", false),
        ("x86_64-pc-linux-gnu", true),
    ] {
        tree.makefile(&format!("{triple}{}", if debug { " --debug" } else { "" }));
        let header = tree.header(&[]);
        let digest = expected_digest(&tree, triple, debug);
        assert_eq!(header.lines().next(), Some(format!("// {digest}").as_str()));
    }
    tree.makefile("x86_64-pc-linux-gnu");
    let header = tree.header(&["--debug"]);
    let digest = expected_digest(&tree, "x86_64-pc-linux-gnu", true);
    assert_eq!(header.lines().next(), Some(format!("// {digest}").as_str()));
}

#[test]
fn mimeo_diff_reads_the_header() {
    if !there_is_clang() {
        return;
    }
    for tree in [Tree::new(), Tree::of_version(3, 14)] {
        tree.header(&[]);
        let diff = |other: &Path| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_mimeo"));
            command.arg("diff").arg(tree.header_path()).arg(other);
            command.output().unwrap()
        };
        let same = diff(&tree.header_path());
        assert_eq!(same.status.code(), Some(0), "{}", text(&same.stderr));

        let changed = Tree::with_nop("frame->fuel += 1;");
        changed.edit(PATCHLEVEL, "13", "14");
        changed.header(&[]);
        let differs = diff(&changed.header_path());
        assert_eq!(differs.status.code(), Some(1), "{}", text(&differs.stderr));
        assert_says(&text(&differs.stdout), &["_NOP"]);
    }
}

#[test]
fn the_header_goes_where_it_is_asked_for() {
    if !there_is_clang() {
        return;
    }
    let tree = Tree::new();
    let header = tree.header(&[]);
    let output = tree.run(&["--out", "-"]);
    assert_eq!(text(&output.stderr), "");
    assert!(text(&output.stdout) == header);
    let path = tree.directory.path().join("other.h");
    let output = tree.run(&["--out", path.to_str().unwrap()]);
    assert_says(
        &text(&output.stdout),
        &["other.h: CPython 3.13.99, 53 stencils"],
    );
    assert!(fs::read_to_string(path).unwrap() == header);
}

// ---- Errors of the sources -----------------------------------------------------------------------------------------

#[test]
fn an_unknown_hole_is_named_with_its_uop() {
    if !there_is_clang() {
        return;
    }
    let tree = Tree::with_nop("extern void _JIT_FOO; stack_pointer[0] = (Value)&_JIT_FOO;");
    assert_says(
        &tree.refused(&[]),
        &["template _NOP: symbol _JIT_FOO is not a hole", "_JIT_OPARG"],
    );
    let tree = Tree::with_nop("JUMP_OUT(_JIT_BAR);");
    assert_says(&tree.refused(&[]), &["_NOP", "_JIT_BAR is not a hole"]);
}

#[test]
fn a_uop_that_cannot_be_a_stencil_is_named() {
    if !there_is_clang() {
        return;
    }
    let rows = [
        ("extern __thread Value local; local++;", "local"),
        (
            "Value many[CURRENT_OPARG()]; mix_array(tstate, many, 4);",
            "rsp is written",
        ),
        (
            "here: stack_pointer[0] = (Value)&&here; touch(tstate);",
            "without a hole",
        ),
    ];
    for (lines, problem) in rows {
        assert_says(&Tree::with_nop(lines).refused(&[]), &["_NOP", problem]);
    }
}

#[test]
fn the_fatal_uop_has_no_instruction() {
    if !there_is_clang() {
        return;
    }
    let fatal = "fatal(\"the fatal uop was executed\");";
    let tree = Tree::edited(CASES, fatal, "frame->fuel = CURRENT_OPARG();");
    assert_says(
        &tree.refused(&[]),
        &["_FATAL_ERROR depends on its instruction"],
    );
}

#[test]
fn ways_out_are_what_a_uop_has() {
    if !there_is_clang() {
        return;
    }
    let ways = [
        "return frame->code;",
        "if (stack_pointer[-1]) return frame->code;",
        "for (;;) touch(tstate);",
        "for (;;) ;",
        "if (stack_pointer[-1]) __builtin_trap();",
        "JUMP_TO_ERROR();",
        "if (CURRENT_OPARG() & 1) JUMP_TO_JUMP_TARGET(); else JUMP_TO_ERROR();",
    ];
    for way in ways {
        let header = Tree::with_nop(way).header(&[]);
        assert_says(&header, &["emit__NOP("]);
    }
}

#[test]
fn messages_of_clang_name_cpythons_files_and_lines() {
    if !there_is_clang() {
        return;
    }
    let tree = Tree::with_nop("frame->nothing = 1;");
    let cases = fs::read_to_string(tree.source().join(CASES)).unwrap();
    let line = 1 + cases
        .lines()
        .position(|line| line.contains("nothing"))
        .unwrap();
    assert_says(
        &tree.refused(&[]),
        &[
            "does not compile",
            &format!("{CASES}:{line}:8: error: no member named 'nothing'"),
        ],
    );
    let tree = Tree::edited(TEMPLATE, "    int oparg;\n", "    int oparg = ;\n");
    let template = fs::read_to_string(tree.source().join(TEMPLATE)).unwrap();
    let line = 1 + template
        .lines()
        .position(|line| line.contains("= ;"))
        .unwrap();
    assert_says(&tree.refused(&[]), &[&format!("{TEMPLATE}:{line}:")]);
    let tree = Tree::edited("Tools/jit/trampoline.c", "target;", "target");
    assert_says(
        &tree.refused(&[]),
        &["Tools/jit/trampoline.c:16:18: error: expected ';'"],
    );
}

#[test]
fn a_template_of_another_form_is_refused() {
    let rows = [
        (
            "\n_JIT_ENTRY(",
            "\nENTRY(",
            "there is no definition of _JIT_ENTRY",
        ),
        (
            "#include \"executor_cases.c.h\"\n",
            "",
            "\"executor_cases.c.h\\\"\" is not in _JIT_ENTRY",
        ),
    ];
    for (from, to, problem) in rows {
        let tree = Tree::edited(TEMPLATE, from, to);
        let clang = tree.script("exit 1");
        assert_says(&tree.refused(&["--clang", &clang]), &[TEMPLATE, problem]);
    }
    if !there_is_clang() {
        return;
    }
    let parameters = "(Frame *frame, Value *stack_pointer, Thread *tstate)\n{\n    HOLE";
    let rows = [
        "(Frame *frame, Value *stack_pointer, Thread *tstate, int more)\n{\n    HOLE",
        "(Frame *frame, double stack_pointer, Thread *tstate)\n{\n    HOLE",
    ];
    for other in rows {
        let tree = Tree::edited(TEMPLATE, parameters, other);
        assert_says(&tree.refused(&[]), &[TEMPLATE, "error: "]);
    }
    let tree = Tree::edited(
        "Tools/jit/trampoline.c",
        "((jit_func)&_JIT_CONTINUE)(frame, stack_pointer, tstate)",
        "0",
    );
    assert_says(
        &tree.refused(&[]),
        &["trampoline: it calls the continuation in 0 places, expected 1"],
    );
}

#[test]
fn cases_of_another_form_are_refused() {
    let tree = Tree::edited(CASES, "case _ADD: {", "case _MULTIPLY: {");
    assert_says(
        &tree.refused(&[]),
        &[CASES, "there are two cases of _MULTIPLY"],
    );
    let tree = Tree::edited(CASES, "        case ", "        CASE ");
    assert_says(&tree.refused(&[]), &[CASES, "there is no case of a uop"]);
}

// ---- Errors of the directories -------------------------------------------------------------------------------------

#[test]
fn a_directory_that_is_not_cpython_is_refused() {
    for (missing, problem) in [
        (
            PATCHLEVEL,
            "there is no Include/patchlevel.h, expected the source tree of CPython",
        ),
        (
            CASES,
            "expected the source tree of a CPython that has a JIT compiler",
        ),
        (
            TEMPLATE,
            "expected the source tree of a CPython that has a JIT compiler",
        ),
        ("Tools/jit/trampoline.c", "there is no such file"),
    ] {
        let tree = Tree::new();
        fs::remove_file(tree.source().join(missing)).unwrap();
        assert_says(&tree.refused(&[]), &[problem]);
    }
    let tree = Tree::new();
    fs::remove_dir_all(tree.source()).unwrap();
    assert_says(&tree.refused(&[]), &["/source: "]);
    fs::write(tree.source(), "").unwrap();
    assert_says(&tree.refused(&[]), &["/source: expected a directory"]);
    let tree = Tree::new();
    fs::write(tree.source().join(CASES), [0xff, 0xfe]).unwrap();
    assert_says(&tree.refused(&[]), &[CASES, "UTF-8"]);
}

#[test]
fn versions_without_a_contract_are_refused() {
    for minor in [12, 15] {
        assert_says(
            &Tree::of_version(3, minor).refused(&[]),
            &[
                &format!("is of CPython 3.{minor}.0a2"),
                "there are contracts for 3.13 and 3.14",
            ],
        );
    }
    let tree = Tree::edited(PATCHLEVEL, "#define PY_MINOR_VERSION 13\n", "");
    assert_says(
        &tree.refused(&[]),
        &["does not define PY_MAJOR_VERSION and PY_MINOR_VERSION"],
    );
}

#[test]
fn a_build_directory_that_is_not_configured_for_this_is_refused() {
    let tree = Tree::new();
    fs::remove_file(tree.build().join("pyconfig.h")).unwrap();
    assert_says(
        &tree.refused(&[]),
        &["there is no pyconfig.h, expected a build directory of CPython"],
    );
    let tree = Tree::new();
    for triple in ["aarch64-apple-darwin24.0.0", "x86_64-pc-windows-msvc"] {
        tree.makefile(triple);
        assert_says(
            &tree.refused(&[]),
            &[&format!("configured for {triple}, expected x86-64 Linux")],
        );
    }
}

#[test]
fn a_header_that_cannot_be_written_is_an_error() {
    if !there_is_clang() {
        return;
    }
    let tree = Tree::new();
    let beyond = |path: &str| tree.directory.path().join(path).display().to_string();
    for path in ["nothing/header.h", "build/pyconfig.h/header.h", "source"] {
        assert_says(&tree.refused(&["--out", &beyond(path)]), &[path]);
    }
    assert!(!names(tree.directory.path()).contains("nothing"));
}

#[test]
fn usage_errors_are_usage_errors() {
    let tree = Tree::new();
    for arguments in [&["--jobs", "0"][..], &["--jobs", "x"], &["--nonsense"]] {
        assert_eq!(tree.run(arguments).status.code(), Some(2));
    }
    let output = Command::new(env!("CARGO_BIN_EXE_mimeo"))
        .args(["cpython", "--source", "."])
        .output();
    assert_eq!(output.unwrap().status.code(), Some(2));
    assert!(!tree.header_path().exists());
}

// ---- Errors of clang -----------------------------------------------------------------------------------------------

#[test]
fn a_clang_of_another_version_is_refused() {
    let tree = Tree::new();
    let clang = tree.program("#!/bin/sh\necho 'Debian clang version 14.0.6'\n");
    assert_says(
        &tree.refused(&["--clang", &clang]),
        &[
            &format!("is clang 14.0.6; clang {LLVM_MAJOR} is needed"),
            &format!("apt-get install clang-{LLVM_MAJOR}"),
        ],
    );
    let other = tree.program("#!/bin/sh\necho 'gcc (Debian) 14'\n");
    assert_says(
        &tree.refused(&["--clang", &other]),
        &[&format!(
            "it does not say that it is clang; clang {LLVM_MAJOR} is needed"
        )],
    );
}

#[test]
fn a_clang_that_is_not_there_is_refused() {
    let tree = Tree::new();
    for clang in ["/nonexistent/clang", "mimeo-no-such-clang"] {
        assert_says(
            &tree.refused(&["--clang", clang]),
            &[&format!(
                "{clang}: there is none; clang {LLVM_MAJOR} is needed"
            )],
        );
    }
}

#[test]
fn what_a_clang_writes_need_not_be_ir() {
    let tree = Tree::new();
    for lines in [
        "cat > /dev/null; echo garbage",
        "cat > /dev/null",
        "exit 0",
        "printf 'BC\\300\\336xxxx'; cat > /dev/null",
    ] {
        let clang = tree.script(lines);
        tree.refused(&["--clang", &clang]);
    }
    let clang = tree.script("cat > /dev/null; echo 'define void @f() { ret void }'");
    assert_says(
        &tree.refused(&["--clang", &clang]),
        &["function mimeo_stencil_", "is not defined"],
    );
}

#[test]
fn a_clang_may_write_more_than_a_pipe_holds() {
    let tree = Tree::new();
    // Before it reads anything.
    let flood = "i=0; while [ $i -lt 40000 ]; do echo 'error: a line of a hundred bytes, more or less' >&2; \
                 i=$((i + 1)); done";
    let clang = tree.script(&format!("{flood}; cat > /dev/null; exit 1"));
    let said = tree.refused(&["--clang", &clang]);
    assert!(said.len() > 1_000_000, "{} bytes", said.len());
    let clang = tree.script(&format!("{flood}; exit 1"));
    let said = tree.refused(&["--clang", &clang]);
    assert_says(&said, &["does not compile the uops"]);
}

#[test]
fn a_clang_may_be_named_from_where_one_is() {
    let Some(clang) = clang() else {
        println!("skipped: clang {LLVM_MAJOR} is not installed");
        return;
    };
    let tree = Tree::new();
    tree.program(&format!("#!/bin/sh\nexec {clang} \"$@\"\n"));
    let mut command = tree.command(&["--clang", "./clang"]);
    let output = command.current_dir(tree.directory.path()).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn a_killed_mimeo_leaves_the_old_header() {
    let tree = Tree::new();
    fs::write(tree.header_path(), "old").unwrap();
    let before = names(&tree.build());
    let started = tree.directory.path().join("started");
    let clang = tree.script(&format!("echo > {}; exec sleep 20", started.display()));
    let mut mimeo = tree.command(&["--clang", &clang]).spawn().unwrap();
    let start = Instant::now();
    while !started.exists() {
        assert!(start.elapsed() < Duration::from_secs(20), "clang never ran");
        std::thread::sleep(Duration::from_millis(5));
    }
    mimeo.kill().unwrap();
    assert!(!mimeo.wait().unwrap().success());
    assert_eq!(fs::read_to_string(tree.header_path()).unwrap(), "old");
    assert_eq!(names(&tree.build()), before);
}
