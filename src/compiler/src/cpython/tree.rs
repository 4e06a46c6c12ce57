//! A source tree of CPython with its build directory: what they say of themselves, and the translation unit that has all
//! uops.
//!
//! `template.c` is a function around a `switch` over every uop, of which one is chosen by a macro; CPython's own generator
//! compiles it once for each. Here the parts before the function, which include headers, stand once, and the function once
//! for each uop, around that uop's case alone.

use super::CPythonError;
use super::version::Version;
use crate::ir::IrFunction;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Where the cases of the uops are.
const CASES: &str = "Python/executor_cases.c.h";

/// Where the template is.
const TEMPLATE: &str = "Tools/jit/template.c";

/// Where C enters stencils: one of these, depending on the version.
const ENTRIES: [(&str, &str); 2] = [
    ("Tools/jit/trampoline.c", "trampoline"),
    ("Tools/jit/shim.c", "shim"),
];

/// Where the version is said.
const PATCHLEVEL: &str = "Include/patchlevel.h";

/// What the names of the functions begin with.
const FUNCTION: &str = "mimeo_stencil_";

/// The function in which C enters stencils.
const ENTRY_FUNCTION: &str = "_ENTRY";

/// The machine that is compiled for where the build directory does not say.
const TRIPLE: &str = "x86_64-pc-linux-gnu";

/// CPython, to be compiled.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) source: PathBuf,
    pub(super) build: PathBuf,
    pub(super) version: &'static Version,
    pub(super) full_version: String,
    /// The names, sorted.
    pub(super) uops: Vec<String>,
    /// What the stencil is called in which C enters the others.
    pub(super) entry: String,
    entry_path: &'static str,
    pub(super) triple: String,
    pub(super) debug: bool,
    cases: Vec<Case>,
    template: String,
}

/// A uop's case.
#[derive(Debug)]
struct Case {
    uop: String,
    /// The line on which the text begins, counted from 1.
    line: usize,
    text: String,
}

/// The function of a uop in the translation unit.
pub(super) fn function_of(uop: &str) -> IrFunction {
    IrFunction {
        function: format!("{FUNCTION}{uop}"),
        stencil: uop.to_owned(),
    }
}

/// The uop of a function in the translation unit.
pub(super) fn uop_of(function: &str) -> Option<&str> {
    function.strip_prefix(FUNCTION)
}

impl Tree {
    pub(super) fn open(source: &Path, build: &Path, debug: bool) -> Result<Self, CPythonError> {
        let source = directory(source)?;
        let build = directory(build)?;
        let (version, full_version) = version(&source)?;
        let cases = cases(&source.join(CASES))?;
        let template = read(&source.join(TEMPLATE))?;
        let entry = ENTRIES
            .into_iter()
            .find(|(path, _)| source.join(path).is_file());
        let Some((entry_path, entry)) = entry else {
            let path = source.join(ENTRIES[0].0);
            return Err(CPythonError::tree(&path, "there is no such file"));
        };
        let configuration = build.join("pyconfig.h");
        if !configuration.is_file() {
            let problem = "there is no pyconfig.h, expected a build directory of CPython that has been configured";
            return Err(CPythonError::tree(&build, problem));
        }
        let (triple, is_debug) = configured(&build)?;
        let mut uops: Vec<String> = cases.iter().map(|case| case.uop.clone()).collect();
        uops.sort();
        if let Some(twice) = uops.windows(2).find(|pair| pair[0] == pair[1]) {
            let problem = format!("there are two cases of {}", twice[0]);
            return Err(CPythonError::tree(&source.join(CASES), problem));
        }
        Ok(Self {
            source,
            build,
            version,
            full_version,
            uops,
            entry: entry.to_owned(),
            entry_path,
            triple,
            debug: debug || is_debug,
            cases,
            template,
        })
    }

    /// What it is called in messages.
    pub(super) fn name(&self) -> String {
        format!("CPython {}", self.full_version)
    }

    pub(super) fn entry_function(&self) -> IrFunction {
        IrFunction {
            function: ENTRY_FUNCTION.to_owned(),
            stencil: self.entry.clone(),
        }
    }

    /// One C source with all uops.
    pub(super) fn translation_unit(&self) -> Result<String, CPythonError> {
        let path = self.source.join(TEMPLATE);
        let wrong = |problem: String| CPythonError::tree(&path, problem);
        let function = function_start(&self.template)
            .ok_or_else(|| wrong("there is no definition of _JIT_ENTRY".to_owned()))?;
        let (before, function) = self.template.split_at(function);
        let function_line = line_of(&self.template, before.len());
        let include = "#include \"executor_cases.c.h\"\n";
        let place = function
            .find(include)
            .ok_or_else(|| wrong(format!("{:?} is not in _JIT_ENTRY", include.trim())))?;
        let (head, tail) = function.split_at(place);
        let tail = &tail[include.len()..];
        let tail_line = line_of(&self.template, before.len() + place) + 1;
        let entry = read(&self.source.join(self.entry_path))?;
        let mut unit = String::new();
        // Messages name CPython's own files. All functions are _JIT_ENTRY to themselves, as they are in CPython.
        let mut part = |line: usize, file: &str, text: &str| {
            // Writing to a string does not fail.
            let _ = write!(unit, "#line {line} \"{file}\"\n{text}\n");
        };
        part(1, TEMPLATE, before);
        part(1, "<mimeo>", "#define __func__ \"_JIT_ENTRY\"");
        for case in &self.cases {
            let names = format!(
                "#undef _JIT_OPCODE\n#define _JIT_OPCODE {uop}\n#undef _JIT_ENTRY\n#define _JIT_ENTRY {FUNCTION}{uop}",
                uop = case.uop
            );
            part(1, "<mimeo>", &names);
            part(function_line, TEMPLATE, head);
            part(1, "<mimeo>", "#undef TIER_TWO\n#define TIER_TWO 2");
            part(case.line, CASES, &case.text);
            part(1, "<mimeo>", "#undef TIER_TWO");
            part(tail_line, TEMPLATE, tail);
        }
        part(1, "<mimeo>", "#undef __func__\n#undef _JIT_ENTRY");
        part(1, self.entry_path, &entry);
        Ok(unit)
    }
}

/// Where the definition of the function begins: behind the empty line before its name.
fn function_start(template: &str) -> Option<usize> {
    let name = template.find("\n_JIT_ENTRY(")?;
    Some(template[..name].rfind("\n\n")? + 2)
}

/// The line of a byte, counted from 1.
fn line_of(text: &str, place: usize) -> usize {
    text[..place].bytes().filter(|&byte| byte == b'\n').count() + 1
}

fn directory(path: &Path) -> Result<PathBuf, CPythonError> {
    let found = path.canonicalize();
    let found = found.map_err(|error| CPythonError::io(path, error))?;
    match found.is_dir() {
        true => Ok(found),
        false => Err(CPythonError::tree(path, "expected a directory")),
    }
}

fn read(path: &Path) -> Result<String, CPythonError> {
    std::fs::read_to_string(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => CPythonError::tree(
            path,
            "there is no such file, expected the source tree of a CPython that has a JIT compiler",
        ),
        _ => CPythonError::io(path, error),
    })
}

/// The version that a tree declares.
fn version(source: &Path) -> Result<(&'static Version, String), CPythonError> {
    let path = source.join(PATCHLEVEL);
    let text = std::fs::read_to_string(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => CPythonError::tree(
            source,
            format!("there is no {PATCHLEVEL}, expected the source tree of CPython"),
        ),
        _ => CPythonError::io(&path, error),
    })?;
    let define = |name: &str| {
        text.lines().find_map(|line| {
            let value = line
                .strip_prefix("#define ")?
                .trim_start()
                .strip_prefix(name)?;
            value.starts_with(char::is_whitespace).then(|| value.trim())
        })
    };
    let (Some(major), Some(minor)) = (define("PY_MAJOR_VERSION"), define("PY_MINOR_VERSION"))
    else {
        let problem = "it does not define PY_MAJOR_VERSION and PY_MINOR_VERSION";
        return Err(CPythonError::tree(&path, problem));
    };
    let name = format!("{major}.{minor}");
    let full = define("PY_VERSION").map(|version| version.trim_matches('"'));
    let full = full.unwrap_or(&name).to_owned();
    match Version::find(&name) {
        Some(version) => Ok((version, full)),
        None => Err(CPythonError::Version { path, found: full }),
    }
}

/// The cases of all uops, in the order of the file, each from behind its first line to the next.
fn cases(path: &Path) -> Result<Vec<Case>, CPythonError> {
    let text = read(path)?;
    let lines: Vec<&str> = text.lines().collect();
    let starts: Vec<(usize, &str)> = lines
        .iter()
        .enumerate()
        .filter_map(|(index, line)| {
            let uop = line.strip_prefix("        case ")?.strip_suffix(": {")?;
            let is_name = uop
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            (is_name && !uop.is_empty()).then_some((index, uop))
        })
        .collect();
    if starts.is_empty() {
        return Err(CPythonError::tree(path, "there is no case of a uop"));
    }
    let ends = starts.iter().skip(1).map(|(index, _)| *index);
    let ends = ends.chain([lines.len()]);
    Ok(starts
        .iter()
        .zip(ends)
        .map(|(&(start, uop), end)| {
            // What stands around the cases is not the last one's.
            let is_inside = |line: &&&str| !line.starts_with("#undef TIER_TWO");
            let inside: Vec<&str> = lines[start..end]
                .iter()
                .take_while(is_inside)
                .copied()
                .collect();
            Case {
                uop: uop.to_owned(),
                line: start + 1,
                text: inside.join("\n"),
            }
        })
        .collect())
}

/// What the build directory was configured for: how its Makefile calls CPython's own generator.
fn configured(build: &Path) -> Result<(String, bool), CPythonError> {
    let path = build.join("Makefile");
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        // A build directory without one can only be of somebody's own making.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(CPythonError::io(&path, error)),
    };
    let call = text
        .lines()
        .find_map(|line| line.split_once("/jit/build.py"));
    let Some((_, arguments)) = call else {
        return Ok((TRIPLE.to_owned(), false));
    };
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    let debug = arguments
        .iter()
        .any(|&argument| argument == "--debug" || argument == "-d");
    let triple = arguments.iter().find(|argument| !argument.starts_with('-'));
    let triple = triple.copied().unwrap_or(TRIPLE);
    match triple.starts_with("x86_64-") && triple.ends_with("-linux-gnu") {
        true => Ok((triple.to_owned(), debug)),
        false => {
            let problem = format!("it is configured for {triple}, expected x86-64 Linux");
            Err(CPythonError::tree(&path, problem))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of a directory with one file.
    fn with<T>(name: &str, text: &str, read: impl FnOnce(&Path) -> T) -> T {
        let directory = tempfile::tempdir().expect("a directory of our own");
        let path = directory.path().join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).expect("a directory in it");
        }
        std::fs::write(&path, text).expect("a file in it");
        read(directory.path())
    }

    #[test]
    fn versions() {
        let found = |text: &str| {
            with(PATCHLEVEL, text, |source| match version(source) {
                Ok((version, full)) => format!("{}: {full}", version.name),
                Err(error) => {
                    let error = error.to_string();
                    error.replace(&source.display().to_string(), "SOURCE")
                }
            })
        };
        let missing =
            "SOURCE/Include/patchlevel.h: it does not define PY_MAJOR_VERSION and PY_MINOR_VERSION";
        let rows = [
            (
                "#define PY_MAJOR_VERSION 3\n#define PY_MINOR_VERSION 13\n",
                "3.13: 3.13",
            ),
            (
                "#define PY_VERSION      \"3.14.0a2\"\n#define PY_MAJOR_VERSION   3\n#define PY_MINOR_VERSION   14\n",
                "3.14: 3.14.0a2",
            ),
            (
                "#define PY_MAJOR_VERSION 3\n#define PY_MINOR_VERSION 12\n",
                "SOURCE/Include/patchlevel.h is of CPython 3.12; there are contracts for 3.13 and 3.14",
            ),
            (
                "#define PY_MAJOR_VERSION 3\n#define PY_MINOR_VERSION_2 13\n",
                missing,
            ),
            ("", missing),
        ];
        for (text, expected) in rows {
            assert_eq!(found(text), expected);
        }
    }

    #[test]
    fn cases_go_to_the_next() {
        let text = "// Generated.\n#define TIER_TWO 2\n\n        case _A: {\n            a;\n            case 1: {\n            }\n        }\n\n        \
                    /* nothing */\n\n        case _B2: {\n        }\n\n#undef TIER_TWO\nx\n";
        let found = with("cases", text, |directory| cases(&directory.join("cases")));
        let found: Vec<(String, usize, String)> = found
            .expect("there are cases")
            .into_iter()
            .map(|case| (case.uop, case.line, case.text))
            .collect();
        let a = "        case _A: {\n            a;\n            case 1: {\n            }\n        }\n\n        /* nothing */\n";
        let b = "        case _B2: {\n        }\n";
        assert_eq!(
            found,
            [
                ("_A".to_owned(), 4, a.to_owned()),
                ("_B2".to_owned(), 12, b.to_owned())
            ]
        );
    }

    #[test]
    fn the_template_begins_behind_an_empty_line() {
        let template = "#define X\n\nint\n_JIT_ENTRY(int x)\n{\n";
        assert_eq!(function_start(template), Some(11));
        assert_eq!(line_of(template, 11), 3);
        assert_eq!(
            function_start("#define X\nint\n_JIT_ENTRY(int x)\n{\n"),
            None
        );
        assert_eq!(function_start("\n\nint _JIT_ENTRY(int x)\n"), None);
        assert_eq!(function_start(""), None);
    }

    #[test]
    fn a_makefile_says_what_is_built() {
        let found = |makefile: &str| {
            with("Makefile", makefile, |build| match configured(build) {
                Ok((triple, debug)) => format!("{triple} {debug}"),
                Err(error) => error
                    .to_string()
                    .replace(&build.display().to_string(), "BUILD"),
            })
        };
        let rows = [
            ("all:\n", "x86_64-pc-linux-gnu false"),
            (
                "\t$(PY) $(srcdir)/Tools/jit/build.py x86_64-unknown-linux-gnu\n",
                "x86_64-unknown-linux-gnu false",
            ),
            (
                "\tpython3 ../Tools/jit/build.py x86_64-pc-linux-gnu --debug\n",
                "x86_64-pc-linux-gnu true",
            ),
            (
                "\tpython3 ../Tools/jit/build.py -d x86_64-pc-linux-gnu\n",
                "x86_64-pc-linux-gnu true",
            ),
            (
                "\tpython3 ../Tools/jit/build.py aarch64-unknown-linux-gnu\n",
                "BUILD/Makefile: it is configured for aarch64-unknown-linux-gnu, expected x86-64 Linux",
            ),
        ];
        for (makefile, expected) in rows {
            assert_eq!(found(makefile), expected);
        }
    }
}
