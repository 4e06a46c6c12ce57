//! `mimeo cpython` on a small tree of the form that CPython's has, `cpython/tree`, whose uops are those of a toy machine. What
//! `cpython/jit.c` does with the header is what CPython's `jit.c` does with its own, with all that CPython assumes checked.
#![cfg(all(feature = "llvm", target_arch = "x86_64", target_os = "linux"))]

mod programs;

use mimeo_compiler::target::LLVM_MAJOR;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const CASES: &str = "Python/executor_cases.c.h";
const JIT: &str = "Python/jit.c";
const TEMPLATE: &str = "Tools/jit/template.c";
const TRAMPOLINE: &str = "Tools/jit/trampoline.c";
const SHIM: &str = "Tools/jit/shim.c";
const BUILD: &str = "Tools/jit/build.py";
const TARGETS: &str = "Tools/jit/_targets.py";
const PATCHLEVEL: &str = "Include/patchlevel.h";

const TRIPLE: &str = "x86_64-pc-linux-gnu";

/// A form that CPython's tree has had, as the toy's.
#[derive(Clone, Copy, Debug)]
struct Form {
    version: &'static str,
    /// What `mimeo cpython` calls the contract.
    known: &'static str,
    operands: u8,
    /// Whether a guard includes the header's file.
    is_guarded: bool,
    /// Whether the digest is also of the flags.
    has_cflags: bool,
    /// Whether the digest is of sorted files, and of no caches.
    is_sorted: bool,
}

const FORMS: [Form; 6] = [
    Form {
        version: "3.13.5",
        known: "3.13.5 to 3.13.11",
        operands: 1,
        is_guarded: false,
        has_cflags: false,
        is_sorted: false,
    },
    Form {
        version: "3.13.99",
        known: "3.13.12 to 3.13.15",
        operands: 1,
        is_guarded: false,
        has_cflags: false,
        is_sorted: true,
    },
    Form {
        version: "3.14.0a1+",
        known: "3.14.0a1+ of October 2024 to 8 November 2024",
        operands: 1,
        is_guarded: false,
        has_cflags: false,
        is_sorted: false,
    },
    Form {
        version: "3.14.0a2",
        known: "3.14.0a1+ from 9 November 2024 on, and 3.14.0a2",
        operands: 2,
        is_guarded: false,
        has_cflags: false,
        is_sorted: false,
    },
    Form {
        version: "3.14.0",
        known: "3.14.0 to 3.14.2",
        operands: 2,
        is_guarded: true,
        has_cflags: true,
        is_sorted: false,
    },
    Form {
        version: "3.14.99",
        known: "3.14.3 to 3.14.7",
        operands: 2,
        is_guarded: true,
        has_cflags: true,
        is_sorted: true,
    },
];

impl Form {
    const OF_3_13: Self = FORMS[1];
    const OF_3_14: Self = FORMS[5];

    /// The files, in the order in which they are written.
    fn files(self) -> [&'static str; 2] {
        match self.is_guarded {
            true => ["jit_stencils-x86_64-pc-linux-gnu.h", "jit_stencils.h"],
            false => ["jit_stencils.h", ""],
        }
    }

    fn contract(self) -> String {
        format!("the contract of {}", self.known)
    }

    fn minor(self) -> &'static str {
        &self.version[..4]
    }
}

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

/// Copies a directory's files, and those of the directories in it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &to),
            false => fs::write(to, fs::read(entry.path()).unwrap()).unwrap(),
        }
    }
}

/// A copy of the tree with a build directory, in a directory of their own.
struct Tree {
    directory: TempDir,
    form: Form,
}

impl Tree {
    fn new() -> Self {
        Self::of(Form::OF_3_13)
    }

    fn of(form: Form) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let tree = Self { directory, form };
        copy(&of_tests().join("tree"), &tree.source());
        let files = format!("tree-{}", form.minor());
        copy(&of_tests().join(files), &tree.source());
        let patchlevel = format!(
            "/* The version and form that this stand-in for CPython's source tree pretends to have. */\n\
             #define PY_MAJOR_VERSION 3\n#define PY_MINOR_VERSION {}\n#define PY_VERSION \"{}\"\n\
             #define OPERANDS {}\n",
            &form.minor()[2..],
            form.version,
            form.operands
        );
        fs::write(tree.source().join(PATCHLEVEL), patchlevel).unwrap();
        tree.take_form();
        fs::create_dir(tree.build()).unwrap();
        fs::write(tree.build().join("pyconfig.h"), "#define CONFIGURED 1\n").unwrap();
        tree.makefile(TRIPLE);
        tree
    }

    /// The files of a version are those of its last release.
    fn take_form(&self) {
        let form = self.form;
        if !form.has_cflags {
            self.edit(TARGETS, "    hasher.update(cflags.encode())\n", "");
        }
        if !form.is_sorted {
            self.edit(TARGETS, "sorted(filenames)", "filenames");
            let skip = "        if dirpath.endswith(\"__pycache__\"):\n            continue\n";
            self.edit(TARGETS, skip, "");
        }
        if !form.is_guarded {
            let files = "for triple in sys.argv[1:]:\n    print(f\"jit_stencils-{triple}.h\")\n";
            self.edit(BUILD, files, "");
        }
        if form.minor() == "3.14" && form.operands == 1 {
            let second = "    HOLE(uint64_t, _operand1, _JIT_OPERAND1)\n";
            self.edit(TEMPLATE, second, "");
            self.edit(TEMPLATE, "_JIT_OPERAND0", "_JIT_OPERAND");
        }
        if form.minor() == "3.14" && !form.is_guarded {
            // The entry knew the executor still.
            let executor = "HOLE(_PyExecutorObject *, executor, _JIT_EXECUTOR)";
            let call = "    executor->references += 1;\n    Code *target = first(frame, stack_pointer, tstate);\n    \
                        executor->references -= 1;\n    return target;";
            let replaced = format!("    {executor}\n{call}");
            self.edit(
                SHIM,
                "    return first(frame, stack_pointer, tstate);",
                &replaced,
            );
        }
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

    /// The file that has the stencils.
    fn header_path(&self) -> PathBuf {
        self.build().join(self.form.files()[0])
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
        let files = self.form.files().map(|file| self.build().join(file));
        let old = || files.iter().filter(|path| !path.is_dir());
        for path in old() {
            fs::write(path, OLD).unwrap();
        }
        let before = names(&self.build());
        let output = self.run(arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert_eq!(text(&output.stdout), "");
        assert!(!said.contains("panicked"), "{said}");
        for path in old() {
            assert_eq!(fs::read_to_string(path).unwrap(), OLD);
        }
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
        let output = Command::new(&program).args([seed, "120", "400"]).output();
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
fn traces_end_as_interpreted_by_each_contract() {
    // The others differ from these in nothing but their digests.
    for index in [1, 2, 3, 5] {
        println!("{}", FORMS[index].known);
        traces_end_as_interpreted(&Tree::of(FORMS[index]), &[]);
    }
}

#[test]
fn traces_end_as_interpreted_with_assertions() {
    for form in [Form::OF_3_13, Form::OF_3_14] {
        traces_end_as_interpreted(&Tree::of(form), &["--debug"]);
    }
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

/// A python3 that runs the toy's generator, which is written for those that run CPython's.
fn there_is_python() -> bool {
    let mut python = Command::new("python3");
    python.args(["-c", "import sys; sys.exit(sys.version_info < (3, 11))"]);
    let found = python.output().is_ok_and(|output| output.status.success());
    if !found {
        println!("SKIPPED: there is no python3 of 3.11 or later");
    }
    found
}

/// The digest as the tree's own generator computes it.
fn expected_digest(tree: &Tree, triple: &str, debug: bool, cflags: &str) -> String {
    let mut python = Command::new("python3");
    python.arg("-B").arg(tree.source().join(TARGETS));
    let debug = u8::from(debug).to_string();
    let output = python
        .args([triple, &debug, cflags])
        .arg(tree.build())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).trim().to_owned()
}

fn digest_of(header: &str) -> &str {
    header.lines().next().unwrap().trim_start_matches("// ")
}

#[test]
fn each_form_has_its_contract_files_and_digest() {
    if !there_is_clang() {
        return;
    }
    let there_is_python = there_is_python();
    let flags = "-DFIRST=1 '-DSECOND=\"a b\"'";
    for form in FORMS {
        let tree = Tree::of(form);
        let tools = tree.source().join("Tools/jit");
        for (directory, contents) in [
            ("a", "1"),
            ("a-b", "2"),
            ("a/b", "3"),
            ("A", "4"),
            ("__pycache__", "5"),
            ("a/__pycache__", "6"),
        ] {
            fs::create_dir_all(tools.join(directory)).unwrap();
            for file in ["second", "first", "_targets.cpython-311.pyc"] {
                fs::write(tools.join(directory).join(file), contents).unwrap();
            }
        }
        let before = names(&tree.build());
        for (arguments, debug, cflags) in [
            (&[][..], false, ""),
            (&["--debug", "--cflags", flags], true, flags),
        ] {
            let output = tree.run(arguments);
            assert!(output.status.success(), "{}", text(&output.stderr));
            let said = format!("CPython {} ({}), ", form.version, form.contract());
            assert_says(&text(&output.stdout), &[&said, " 69 stencils, "]);
            let header = fs::read_to_string(tree.header_path()).unwrap();
            if there_is_python {
                let expected = expected_digest(&tree, TRIPLE, debug, cflags);
                assert_eq!(digest_of(&header), expected, "{form:?} {arguments:?}");
            }
        }
        let after = names(&tree.build());
        let written: Vec<&str> = after.difference(&before).map(String::as_str).collect();
        let mut files = form.files();
        files.sort_unstable();
        assert_eq!(
            written,
            files
                .into_iter()
                .filter(|file| !file.is_empty())
                .collect::<Vec<_>>()
        );
    }
}

#[test]
fn the_digest_is_of_what_the_makefile_says() {
    if !there_is_clang() || !there_is_python() {
        return;
    }
    let rows = [
        (
            "x86_64-unknown-linux-gnu",
            "x86_64-unknown-linux-gnu",
            false,
            "",
        ),
        ("x86_64-pc-linux-gnu --debug", TRIPLE, true, ""),
        (
            "x86_64-pc-linux-gnu --output-dir . --pyconfig-dir . --cflags=\"\"",
            TRIPLE,
            false,
            "",
        ),
        (
            "-d --cflags=\"-DA=1  -DB='x y' -DC=\\\"$$\\\"\" x86_64-pc-linux-gnu -o . -p .",
            TRIPLE,
            true,
            "-DA=1  -DB='x y' -DC=\"$\"",
        ),
    ];
    let tree = Tree::of(Form::OF_3_14);
    for (call, triple, debug, cflags) in rows {
        tree.makefile(call);
        let output = tree.run(&["--out", "-"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let expected = expected_digest(&tree, triple, debug, cflags);
        assert_eq!(digest_of(&text(&output.stdout)), expected, "{call}");
    }
    // What the command line says counts more.
    let output = tree.run(&["--cflags", "-DD", "--out", "-"]);
    let expected = expected_digest(&tree, TRIPLE, true, "-DD");
    assert_eq!(digest_of(&text(&output.stdout)), expected);
}

#[test]
fn flags_reach_clang() {
    if !there_is_clang() {
        return;
    }
    let tree = Tree::with_nop("#ifdef EXTRA\nframe->fuel += EXTRA;\n#endif");
    let code = |arguments: &[&str]| {
        let header = tree.header(arguments);
        let (_, rest) = header.split_once("emit__NOP(").unwrap();
        rest.split_once("\n}\n").unwrap().0.to_owned()
    };
    let plain = code(&[]);
    let extra = code(&["--cflags", "-O1 -DEXTRA=0x765432"]);
    assert!(!plain.contains("765432") && extra.contains("765432"));
    // Those of the build directory, unless others are asked for.
    tree.makefile("x86_64-pc-linux-gnu --cflags=\"-DEXTRA='0x76 * 0x10000 + 0x5432'\"");
    assert_eq!(code(&[]), extra);
    assert_eq!(code(&["--cflags", ""]), plain);
    assert_says(
        &tree.refused(&["--cflags", "-DEXTRA='1"]),
        &["the compiler's flags have a quote that is not closed: -DEXTRA='1"],
    );
    assert_says(
        &tree.refused(&["--cflags", "-DEXTRA=+"]),
        &["does not compile", CASES],
    );
}

/// make takes the guard for the header: what it includes must never be newer.
#[test]
fn the_guard_is_written_last() {
    if !there_is_clang() {
        return;
    }
    let tree = Tree::of(Form::OF_3_14);
    let [stencils, guard] = tree.form.files().map(|file| tree.build().join(file));
    let changed = |path: &Path| fs::metadata(path).unwrap().modified().unwrap();
    let configured = changed(&tree.build().join("pyconfig.h"));
    for _ in 0..2 {
        tree.header(&[]);
        assert!(changed(&stencils) >= configured);
        assert!(changed(&guard) >= changed(&stencils));
    }
    let included = fs::read_to_string(&guard).unwrap();
    assert_says(
        &included,
        &["#if defined(__x86_64__) && defined(__linux__)\n\
             #include \"jit_stencils-x86_64-pc-linux-gnu.h\"\n#else\n#error "],
    );

    // Where the guard cannot be written, its file stays the one that jit.c was compiled with.
    fs::write(&stencils, "old").unwrap();
    fs::remove_file(&guard).unwrap();
    fs::create_dir(&guard).unwrap();
    let output = tree.run(&[]);
    assert_eq!(output.status.code(), Some(3));
    assert_says(&text(&output.stderr), &["jit_stencils.h"]);
    assert_eq!(fs::read_to_string(&stencils).unwrap(), "old");
}

#[test]
fn mimeo_diff_reads_the_header() {
    if !there_is_clang() {
        return;
    }
    for tree in [Form::OF_3_13, Form::OF_3_14].map(Tree::of) {
        tree.header(&[]);
        let diff = |other: &Path| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_mimeo"));
            command.arg("diff").arg(tree.header_path()).arg(other);
            command.output().unwrap()
        };
        let same = diff(&tree.header_path());
        assert_eq!(same.status.code(), Some(0), "{}", text(&same.stderr));

        let changed = Tree::of(tree.form);
        changed.edit(CASES, "case _NOP: {\n", "case _NOP: {\nframe->fuel += 1;\n");
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
    for (form, directory) in [(Form::OF_3_13, "new"), (Form::OF_3_14, "new/deeper")] {
        let tree = Tree::of(form);
        let header = tree.header(&[]);
        let path = tree.directory.path().join(directory);
        let output = tree.run(&["--out", path.to_str().unwrap()]);
        let said = format!("{directory}: CPython {} (", form.version);
        assert_says(&text(&output.stdout), &[&said]);
        assert!(fs::read_to_string(path.join(form.files()[0])).unwrap() == header);
        assert!(path.join("jit_stencils.h").is_file());
    }
}

// ---- Checking -----------------------------------------------------------------------------------------------------

impl Tree {
    /// The exit code of a check, and what it says.
    fn check(&self, arguments: &[&str]) -> (i32, String) {
        let mut all = vec!["--check"];
        all.extend(arguments);
        let output = self.run(&all);
        assert_eq!(text(&output.stderr), "");
        (output.status.code().unwrap(), text(&output.stdout))
    }

    /// Checks a header with something wrong, and finds these texts in what is said of it.
    fn is_not(&self, arguments: &[&str], parts: &[&str]) {
        let (code, said) = self.check(arguments);
        assert_eq!(code, 1, "{said}");
        let summary = format!(
            ": not the header of CPython {} ({}) in ",
            self.form.version,
            self.form.contract()
        );
        assert_says(said.lines().last().unwrap(), &[&summary]);
        assert_says(&said, parts);
    }

    /// The header with a change, which is not left behind.
    fn with_header(&self, change: impl FnOnce(&str) -> String, check: impl FnOnce(&Self)) {
        let old = fs::read_to_string(self.header_path()).unwrap();
        let new = change(&old);
        assert!(new != old, "nothing was changed");
        fs::write(self.header_path(), new).unwrap();
        check(self);
        fs::write(self.header_path(), old).unwrap();
    }
}

#[test]
fn a_header_is_checked_in_each_form() {
    if !there_is_clang() {
        return;
    }
    for form in FORMS {
        let tree = Tree::of(form);
        for arguments in [&[][..], &["--debug"], &["--cflags", "-DA=1"]] {
            tree.header(arguments);
            let before = names(&tree.build());
            let (code, said) = tree.check(arguments);
            assert_eq!(code, 0, "{said}");
            let found = format!(
                "{}: the header of CPython {} ({}) in ",
                form.files()[0],
                form.version,
                form.contract()
            );
            assert_says(
                &said,
                &[
                    &found,
                    "; 69 of 69 stencils, the code of 69 keeps the rules",
                ],
            );
            assert_eq!(names(&tree.build()), before);
        }
    }
}

#[test]
fn a_header_of_other_inputs_is_told_by_them() {
    if !there_is_clang() {
        return;
    }
    for form in [Form::OF_3_13, Form::OF_3_14] {
        let tree = Tree::of(form);
        tree.header(&[]);
        let changes = [
            (tree.source().join(CASES), "it was made of another "),
            (tree.build().join("pyconfig.h"), "it was made of another "),
            (
                tree.source().join("Tools/jit/nested/new.txt"),
                "it was made of another ",
            ),
        ];
        for (path, problem) in changes {
            let old = fs::read_to_string(&path).ok();
            fs::write(&path, format!("{}\n", old.as_deref().unwrap_or_default())).unwrap();
            let named = match path.ends_with("new.txt") {
                true => tree.source().join("Tools/jit"),
                false => path.clone(),
            };
            let problem = format!("{problem}{}\n", named.display());
            tree.is_not(&[], &["the digest is ", ", expected ", &problem]);
            let (_, said) = tree.check(&[]);
            assert_eq!(said.matches("it was made of").count(), 1, "{said}");
            match old {
                Some(old) => fs::write(&path, old).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
        }
        tree.is_not(
            &["--debug"],
            &[
                "the digest is ",
                "it was made of another target than x86_64-pc-linux-gnu, a debug build\n",
            ],
        );
        // Whether they are part of the digest or not.
        let flags = "it was made of other flags than \"-DA=1\"\n";
        tree.is_not(&["--cflags", "-DA=1"], &[flags]);
        let (_, said) = tree.check(&["--cflags", "-DA=1"]);
        assert_eq!(said.contains("the digest is "), form.has_cflags, "{said}");
        tree.makefile("x86_64-pc-linux-gnu --cflags=\"-DA=1\"");
        tree.is_not(&[], &[flags]);
        assert_eq!(tree.check(&["--cflags", ""]).0, 0);
    }
}

#[test]
fn the_order_of_files_is_told_from_their_contents() {
    if !there_is_clang() {
        return;
    }
    let tree = Tree::of(FORMS[0]);
    tree.header(&[]);
    let cache = tree.source().join("Tools/jit/__pycache__");
    fs::create_dir(&cache).unwrap();
    fs::write(cache.join("x.pyc"), "x").unwrap();
    tree.is_not(
        &[],
        &[
            "the digest is ",
            "its inputs are the same, but Tools/jit has its files in another order",
        ],
    );
}

#[test]
fn a_damaged_header_is_refused_with_its_stencil() {
    if !there_is_clang() {
        return;
    }
    for form in [Form::OF_3_13, Form::OF_3_14] {
        let tree = Tree::of(form);
        tree.header(&[]);
        let line_of = |header: &str, start: &str| {
            let line = header
                .lines()
                .find(|line| line.trim_start().starts_with(start));
            line.unwrap_or_else(|| panic!("no line begins with {start}"))
                .to_owned()
        };
        // A stencil that is not there, and one that nobody asked for.
        tree.with_header(
            |header| header.replacen(&line_of(header, "[_LOOP] ="), "", 1),
            |tree| {
                tree.is_not(
                    &[],
                    &[
                        ": _LOOP has no stencil\n",
                        ": _LOOP is in no array, and is not ",
                    ],
                )
            },
        );
        tree.with_header(
            |header| header.replace("_LOOP", "_LOOPS"),
            |tree| {
                let problem = format!(": _LOOPS is no uop of {CASES}\n");
                tree.is_not(
                    &[],
                    &[
                        ": _LOOP has no stencil\n",
                        &problem,
                        "; 68 of 69 stencils, ",
                    ],
                );
            },
        );
        // Sizes that are not those of the bytes.
        tree.with_header(
            |header| {
                let line = line_of(header, "[_LOOP] =");
                header.replacen(&line, &line.replace("{emit__LOOP, ", "{emit__LOOP, 1"), 1)
            },
            |tree| {
                tree.is_not(
                    &[],
                    &["group _LOOP says 1", " bytes of code, but code_body has "],
                )
            },
        );
        // A jump out of the code.
        let changed_code = |header: &str, uop: &str, from: &str, to: &str| {
            let start = header.find(&format!("emit_{uop}(")).unwrap();
            let end = start + header[start..].find("memcpy(").unwrap();
            let body = start + header[start..end].find("code_body").unwrap();
            let changed = header[body..end].replacen(from, to, 1);
            assert!(changed != header[body..end], "{uop} has no {from}");
            format!("{}{changed}{}", &header[..body], &header[end..])
        };
        tree.with_header(
            |header| {
                changed_code(
                    header,
                    "_ADD",
                    " = {\n        0x49, 0x8b,",
                    " = {\n        0xeb, 0x70,",
                )
            },
            |tree| {
                tree.is_not(
                    &[],
                    &[": _ADD, hot code at 0x0", "the code of 68 keeps the rules"],
                )
            },
        );
        // A register of the convention is overwritten: xor r12d, r12d.
        tree.with_header(
            |header| {
                changed_code(
                    header,
                    "_ADD",
                    " = {\n        0x49, 0x8b, 0x46,",
                    " = {\n        0x45, 0x31, 0xe4,",
                )
            },
            |tree| tree.is_not(&[], &[": _ADD, hot code at 0x"]),
        );
        // Holes: of an unknown kind, with something else under it, in another place, filled with what is far away.
        let hole = |header: &str, uop: &str, what: &str| {
            let start = header.find(&format!("emit_{uop}(")).unwrap();
            let patch = header[start..].find(what).unwrap() + start;
            let line = header[patch..].lines().next().unwrap();
            (patch, line.to_owned())
        };
        for (from, to, problem) in [
            (
                "patch_32r(",
                "patch_16(",
                "patch_16 is no patch of stencils",
            ),
            ("->jump_target]", "->target]", "hot code at 0x"),
            (" + -0x4", " + -0x40000000000", "hot code at 0x"),
        ] {
            tree.with_header(
                |header| {
                    let (place, line) = hole(header, "_GUARD_NOT_ZERO", "patch_32r(code");
                    let changed = line.replacen(from, to, 1);
                    format!(
                        "{}{changed}{}",
                        &header[..place],
                        &header[place + line.len()..]
                    )
                },
                |tree| tree.is_not(&[], &[": _GUARD_NOT_ZERO", problem]),
            );
        }
        tree.with_header(
            |header| {
                let (place, line) = hole(header, "_FATAL_ERROR", "patch_64(data");
                let value = line.find(", ").unwrap();
                format!(
                    "{}, instruction->target);{}",
                    &header[..place + value],
                    &header[place + line.len()..]
                )
            },
            |tree| tree.is_not(&[], &["_FATAL_ERROR: it depends on its instruction"]),
        );
        // What is no header at all.
        for (contents, problem) in [
            ("", "no function is called `emit_NAME`"),
            ("int emit__NOP(", ".h:1:"),
        ] {
            tree.with_header(
                |_| contents.to_owned(),
                |tree| tree.is_not(&[], &[problem, "; 0 of 69 stencils"]),
            );
        }
        assert_eq!(tree.check(&[]).0, 0);
    }
}

#[test]
fn a_header_of_another_contract_is_refused() {
    if !there_is_clang() {
        return;
    }
    let [old, new] = [Form::OF_3_13, Form::OF_3_14].map(Tree::of);
    let headers = [&old, &new].map(|tree| tree.header(&[]));
    fs::write(old.header_path(), &headers[1]).unwrap();
    fs::write(new.header_path(), &headers[0]).unwrap();
    old.is_not(
        &[],
        &[
            "the digest is ",
            "there is no trampoline, through which C enters",
            "shim is in no array, and is not trampoline",
            "the group of _NOP has {{0}} behind its sizes, expected {}",
        ],
    );
    new.is_not(
        &[],
        &[
            "there is no shim, through which C enters",
            "the group of _NOP has {} behind its sizes, expected {{0}}",
            ": _GUARD_NOT_ZERO, hot code at 0x",
        ],
    );
    // A guard where stencils should be, and stencils where the guard should be.
    let guard = fs::read_to_string(new.build().join("jit_stencils.h")).unwrap();
    fs::write(old.header_path(), guard).unwrap();
    let guarded = "a guard that includes jit_stencils-x86_64-pc-linux-gnu.h";
    old.is_not(
        &[],
        &[&format!(
            "jit_stencils.h: it has {guarded}, expected the stencils"
        )],
    );
    fs::write(new.build().join("jit_stencils.h"), &headers[1]).unwrap();
    new.is_not(
        &[],
        &[&format!(
            "jit_stencils.h: it has the stencils, expected {guarded}"
        )],
    );
}

#[test]
fn a_guard_leads_to_the_stencils() {
    if !there_is_clang() {
        return;
    }
    let tree = Tree::of(Form::OF_3_14);
    tree.header(&[]);
    let [stencils, guard] = tree.form.files().map(|file| tree.build().join(file));
    let text = fs::read_to_string(&guard).unwrap();
    for (name, problem) in [
        (
            "jit_stencils-aarch64.h",
            "it has a guard that includes jit_stencils-aarch64.h, expected a guard that includes jit_stencils-x86",
        ),
        (
            "../jit_stencils-x86_64-pc-linux-gnu.h",
            "expected the name of a file in the same directory, found `../jit",
        ),
    ] {
        fs::write(
            &guard,
            text.replace("jit_stencils-x86_64-pc-linux-gnu.h", name),
        )
        .unwrap();
        tree.is_not(&[], &["jit_stencils.h: ", problem, "; 0 of 69 stencils"]);
    }
    fs::remove_file(&guard).unwrap();
    tree.is_not(&[], &["jit_stencils.h: there is no such file"]);
    fs::write(&guard, text).unwrap();
    fs::rename(&stencils, tree.directory.path().join("elsewhere")).unwrap();
    tree.is_not(
        &[],
        &["jit_stencils-x86_64-pc-linux-gnu.h: there is no such file"],
    );
}

#[test]
fn the_code_of_another_generator_is_not_checked() {
    if !there_is_clang() {
        return;
    }
    let tree = Tree::new();
    tree.header(&[]);
    tree.with_header(
        |header| {
            let mut lines: Vec<&str> = header.lines().collect();
            lines[1] = "// $ python3 Tools/jit/build.py x86_64-pc-linux-gnu";
            lines.remove(2);
            // Which may be right by its own convention.
            lines.join("\n").replace("0x49, 0x8b", "0x4d, 0x8b")
        },
        |tree| {
            let (code, said) = tree.check(&[]);
            assert_eq!(code, 0, "{said}");
            assert_says(
                &said,
                &["69 of 69 stencils, their code is not checked, for it is not of mimeo "],
            );
            fs::write(tree.build().join("pyconfig.h"), "").unwrap();
            tree.is_not(&[], &["the digest is "]);
        },
    );
}

#[test]
fn what_cannot_be_checked_is_an_error() {
    let tree = Tree::new();
    for arguments in [&["--jobs", "2"][..], &["--clang", "clang"], &["--out", "-"]] {
        let mut all = vec!["--check"];
        all.extend(arguments);
        assert_eq!(tree.run(&all).status.code(), Some(2), "{arguments:?}");
    }
    tree.is_not(&[], &["jit_stencils.h: there is no such file"]);
    let out = tree.directory.path().join("out").display().to_string();
    for (arguments, problem) in [
        (&["--out", out.as_str()][..], "/out: "),
        (&[], "jit_stencils.h: "),
    ] {
        let _ = fs::create_dir(tree.header_path());
        let mut all = vec!["--check"];
        all.extend(arguments);
        let output = tree.run(&all);
        assert_eq!(output.status.code(), Some(3));
        assert_says(&text(&output.stderr), &[problem]);
    }
    fs::remove_file(tree.source().join(JIT)).unwrap();
    assert_eq!(tree.run(&["--check"]).status.code(), Some(3));
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
        &[
            CASES,
            "a hole of _NOP is _JIT_FOO, expected _JIT_CONTINUE, ",
            KNOWN,
        ],
    );
    let tree = Tree::with_nop("JUMP_OUT(_JIT_BAR);");
    assert_says(&tree.refused(&[]), &["a hole of _NOP is _JIT_BAR"]);
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
            "_Alignas(32) Value array[4] = { 1 }; mix_array(tstate, array, 4);",
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
    let tree = Tree::edited(TRAMPOLINE, "target;", "target");
    assert_says(
        &tree.refused(&[]),
        &["Tools/jit/trampoline.c:16:18: error: expected ';'"],
    );
}

/// Each of these changes makes a tree of none of the known forms. Nothing is compiled.
#[test]
fn a_tree_with_another_feature_is_refused() {
    let parameters = "(Frame *frame, Value *stack_pointer, Thread *tstate)\n{";
    let of_3_13 = [
        (
            TEMPLATE,
            "_JIT_EXECUTOR",
            "_JIT_TRACE",
            "a hole is _JIT_TRACE, expected _JIT_CONTINUE, _JIT_ERROR_TARGET, ",
        ),
        (
            TRAMPOLINE,
            "_JIT_EXECUTOR",
            "_JIT_TRACE",
            "a hole is _JIT_TRACE, expected ",
        ),
        (
            TEMPLATE,
            "\n_JIT_ENTRY(",
            "\nENTRY(",
            "the definition of _JIT_ENTRY is none, expected three pointers",
        ),
        (
            TEMPLATE,
            parameters,
            "(Frame *frame, Value *stack_pointer, Thread *tstate, int more)\n{",
            "the definition of _JIT_ENTRY is (Frame *frame, Value *stack_pointer, Thread *tstate, int more), expected",
        ),
        (
            TEMPLATE,
            parameters,
            "(Frame *frame, double stack_pointer, Thread *tstate)\n{",
            "double stack_pointer, Thread *tstate), expected three pointers, frame, stack_pointer, tstate",
        ),
        (
            TEMPLATE,
            parameters,
            "(Frame *frame, Value *stack_pointer)\n{",
            "expected three pointers, frame, stack_pointer, tstate",
        ),
        (
            TEMPLATE,
            "#include \"executor_cases.c.h\"\n",
            "",
            "the place of the uops' cases is neither, expected the word `CASE`, or `#include",
        ),
        (
            TEMPLATE,
            "#include \"executor_cases.c.h\"\n",
            "CASE\n#include \"executor_cases.c.h\"\n",
            "the place of the uops' cases is both, expected the word `CASE`, or `#include",
        ),
        (
            JIT,
            "instruction_starts",
            "starts",
            "what it hands to the header's functions is neither, expected `jit_state`, or `instruction_starts`",
        ),
        (
            JIT,
            "emitter",
            "trampoline_mask",
            "what it expects in groups is trampoline_mask: true, symbols_map: false, expected both with `jit_state`",
        ),
        (
            TARGETS,
            "    return hasher.hexdigest()",
            "    hasher.update(os.uname().version.encode())\n    return hasher.hexdigest()",
            "how the digest is computed is hasher.update(os.uname().version.encode()), expected a function _compute_digest",
        ),
        (
            TARGETS,
            "hasher.update(triple.encode())",
            "hasher.update(triple.upper().encode())",
            "how the digest is computed is hasher.update(triple.upper().encode()), expected",
        ),
        (
            TARGETS,
            "sha256()",
            "sha512()",
            "how the digest is computed is hasher = hashlib.sha512()",
        ),
        (
            TARGETS,
            "hexdigest()",
            "digest()",
            "how the digest is computed is return hasher.digest()",
        ),
        (
            TARGETS,
            "def _compute_digest",
            "def _digest",
            "how the digest is computed is none",
        ),
    ];
    let of_3_14 = [
        (
            TEMPLATE,
            "CASE\n",
            "CASES\n",
            "the place of the uops' cases is neither, expected",
        ),
        (
            SHIM,
            "_JIT_CONTINUE",
            "_JIT_FIRST",
            "a hole is _JIT_FIRST, expected ",
        ),
        (
            JIT,
            "jit_state",
            "state",
            "expected `jit_state`, or `instruction_starts`",
        ),
        (
            JIT,
            "symbols_map",
            "symbols",
            "what it expects in groups is trampoline_mask: true, symbols_map: false, expected",
        ),
    ];
    for (form, rows) in [(Form::OF_3_13, &of_3_13[..]), (Form::OF_3_14, &of_3_14)] {
        for (file, from, to, problem) in rows {
            let tree = Tree::of(form);
            tree.edit(file, from, to);
            let said = tree.refused(&["--clang", &tree.script("exit 1")]);
            assert_says(&said, &[file, problem, KNOWN]);
        }
    }
    for form in [Form::OF_3_13, Form::OF_3_14] {
        let tree = Tree::of(form);
        fs::write(tree.source().join(SHIM), "").unwrap();
        fs::write(tree.source().join(TRAMPOLINE), "").unwrap();
        let problem =
            "Tools/jit: where C enters stencils is both, expected either trampoline.c or shim.c";
        assert_says(&tree.refused(&[]), &[problem, KNOWN]);
        fs::remove_file(tree.source().join(SHIM)).unwrap();
        fs::remove_file(tree.source().join(TRAMPOLINE)).unwrap();
        let problem = "Tools/jit: where C enters stencils is neither, expected";
        assert_says(&tree.refused(&[]), &[problem, KNOWN]);
    }
}

/// The end of every message about a feature.
const KNOWN: &str = ", as the known trees have it: those of CPython 3.13.5 to 3.13.11, 3.13.12 to 3.13.15, 3.14.0a1+ ";

#[test]
fn an_entry_that_does_not_enter_is_refused() {
    if !there_is_clang() {
        return;
    }
    let tree = Tree::edited(
        TRAMPOLINE,
        "((jit_func)&_JIT_CONTINUE)(frame, stack_pointer, tstate)",
        "0",
    );
    assert_says(
        &tree.refused(&[]),
        &["trampoline: it calls the continuation in 0 places, expected 1"],
    );
    let tree = Tree::of(Form::OF_3_14);
    tree.edit(
        SHIM,
        "return first(",
        "first(frame, stack_pointer, tstate);\n    return first(",
    );
    assert_says(
        &tree.refused(&[]),
        &["shim: it calls the continuation in 2 places, expected 1"],
    );
}

#[test]
fn known_features_that_no_known_tree_has_together_are_said_to_be_that() {
    if !there_is_clang() {
        return;
    }
    let tree = Tree::new();
    tree.edit(TARGETS, "sorted(filenames)", "filenames");
    let output = tree.run(&[]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_says(
        &text(&output.stdout),
        &["(a contract of known features, but of none of the known trees)"],
    );
    if there_is_python() {
        let header = fs::read_to_string(tree.header_path()).unwrap();
        assert_eq!(
            digest_of(&header),
            expected_digest(&tree, TRIPLE, false, "")
        );
    }
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
        (JIT, "Python/jit.c: there is no such file"),
        (BUILD, "Tools/jit/build.py: there is no such file"),
        (TARGETS, "Tools/jit/_targets.py: there is no such file"),
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
fn a_tree_has_a_version() {
    let tree = Tree::edited(PATCHLEVEL, "#define PY_VERSION \"3.13.99\"\n", "");
    assert_says(
        &tree.refused(&[]),
        &[PATCHLEVEL, "does not define PY_VERSION"],
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
    for triple in [
        "aarch64-apple-darwin24.0.0",
        "x86_64-pc-windows-msvc",
        "x86_64-pc-linux-musl",
    ] {
        tree.makefile(triple);
        assert_says(
            &tree.refused(&[]),
            &[&format!("configured for {triple}, expected x86-64 Linux")],
        );
    }
    for (call, problem) in [
        (
            "x86_64-pc-linux-gnu --cflags=\"-DA='1\"\"",
            "Makefile: a quote is not closed: x86_64-pc-linux-gnu --cflags=\"-DA='1\"\"",
        ),
        (
            "x86_64-pc-linux-gnu --cflags=\"$(CFLAGS_JIT)\"",
            "Makefile: the call of Tools/jit/build.py has a variable of make: x86_64-pc-linux-gnu --cflags=\"$(CFLAGS_JIT)\"",
        ),
    ] {
        tree.makefile(call);
        assert_says(&tree.refused(&[]), &[problem]);
    }
    fs::write(tree.build().join("Makefile"), "jit_stencils.h: x\n\t\n").unwrap();
    assert_says(
        &tree.refused(&[]),
        &[
            "Makefile: no recipe calls Tools/jit/build.py",
            "--enable-experimental-jit",
        ],
    );
    tree.makefile("x86_64-pc-linux-gnu");
    let configuration = "#define A 1\n#define Py_GIL_DISABLED 1\n";
    fs::write(tree.build().join("pyconfig.h"), configuration).unwrap();
    assert_says(
        &tree.refused(&[]),
        &["pyconfig.h: Py_GIL_DISABLED is defined", "--disable-gil"],
    );
    fs::write(tree.build().join("pyconfig.h"), "#define CONFIGURED 1\n").unwrap();
    // Flags are looked at where the build directory has them, whether they are those of the digest or not.
    tree.makefile("x86_64-pc-linux-gnu --cflags=\"-DA='1\"");
    if there_is_clang() {
        assert_says(
            &tree.refused(&[]),
            &["the compiler's flags have a quote that is not closed: -DA='1"],
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
    for path in [
        "build/pyconfig.h",
        "build/pyconfig.h/new",
        "source/Tools/jit/build.py/a/b",
    ] {
        assert_says(&tree.refused(&["--out", &beyond(path)]), &[path]);
    }
    let tree = Tree::new();
    fs::create_dir_all(tree.directory.path().join("out/jit_stencils.h")).unwrap();
    let out = tree.directory.path().join("out").display().to_string();
    assert_says(&tree.refused(&["--out", &out]), &["out/jit_stencils.h"]);
    assert_eq!(names(&tree.directory.path().join("out")).len(), 1);
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
