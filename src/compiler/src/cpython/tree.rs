//! A source tree of CPython with its build directory: what they say of themselves, and, where there is LLVM, the translation
//! unit that has all uops.
//!
//! `template.c` is a function around a `switch` over every uop, of which one is chosen by a macro; CPython's own generator
//! compiles it once for each. Here the parts before the function, which include headers, stand once, and the function once
//! for each uop, around that uop's case alone.

#[cfg(llvm)]
use super::contract::{CASE, Cases, INCLUDE, words};
use super::contract::{Contract, TEMPLATE};
use super::makefile::Configured;
use super::{CPythonError, Sources};
#[cfg(llvm)]
use crate::error::{CompileError, IrProblem};
#[cfg(llvm)]
use crate::ir::IrFunction;
#[cfg(llvm)]
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Where the cases of the uops are.
pub(super) const CASES: &str = "Python/executor_cases.c.h";

/// Where the version is said.
const PATCHLEVEL: &str = "Include/patchlevel.h";

/// What the names of the functions begin with.
#[cfg(llvm)]
const FUNCTION: &str = "mimeo_stencil_";

/// CPython, to be compiled.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) source: PathBuf,
    pub(super) build: PathBuf,
    pub(super) contract: Contract,
    /// CPython's version, in full.
    pub(super) version: String,
    /// The names, sorted.
    pub(super) uops: Vec<String>,
    pub(super) triple: String,
    pub(super) debug: bool,
    /// Flags for the compiler, behind all others.
    pub(super) cflags: String,
    #[cfg(llvm)]
    cases: Vec<Case>,
    #[cfg(llvm)]
    template: String,
}

/// A uop's case.
#[derive(Debug)]
#[cfg_attr(not(llvm), allow(dead_code, reason = "only names are checked"))]
struct Case {
    uop: String,
    /// The line on which the text begins, counted from 1.
    line: usize,
    text: String,
}

/// The function of a uop in the translation unit.
#[cfg(llvm)]
pub(super) fn function_of(uop: &str) -> IrFunction {
    IrFunction {
        function: format!("{FUNCTION}{uop}"),
        stencil: uop.to_owned(),
    }
}

impl Tree {
    pub(super) fn open(sources: &Sources) -> Result<Self, CPythonError> {
        let source = directory(&sources.source)?;
        let build = directory(&sources.build)?;
        let version = version(&source)?;
        let cases = cases(&source.join(CASES))?;
        let template = read(&source.join(TEMPLATE))?;
        let contract = Contract::of(&source, &template)?;
        let configuration = build.join("pyconfig.h");
        if !configuration.is_file() {
            let problem = "there is no pyconfig.h, expected a build directory of CPython that has been configured";
            return Err(CPythonError::tree(&build, problem));
        }
        let free_threaded = "#define Py_GIL_DISABLED 1";
        if read(&configuration)?
            .lines()
            .any(|line| line.trim_end() == free_threaded)
        {
            let problem =
                "Py_GIL_DISABLED is defined: with --disable-gil CPython has no JIT compiler";
            return Err(CPythonError::tree(&configuration, problem));
        }
        let configured = Configured::read(&build)?;
        let mut uops: Vec<String> = cases.iter().map(|case| case.uop.clone()).collect();
        uops.sort();
        if let Some(twice) = uops.windows(2).find(|pair| pair[0] == pair[1]) {
            let problem = format!("there are two cases of {}", twice[0]);
            return Err(CPythonError::tree(&source.join(CASES), problem));
        }
        Ok(Self {
            source,
            build,
            contract,
            version,
            uops,
            triple: configured.triple,
            debug: sources.debug || configured.debug,
            cflags: sources.cflags.clone().unwrap_or(configured.cflags),
            #[cfg(llvm)]
            cases,
            #[cfg(llvm)]
            template,
        })
    }
}

#[cfg(llvm)]
impl Tree {
    /// What it is called in messages.
    pub(super) fn name(&self) -> String {
        format!("CPython {}", self.version)
    }

    pub(super) fn entry_function(&self) -> IrFunction {
        IrFunction {
            function: self.contract.entry.function().to_owned(),
            stencil: self.contract.entry.name().to_owned(),
        }
    }

    /// An error of a function of the translation unit, as one of its uop and that one's file: those are the user's.
    pub(super) fn of_uop(&self, mut error: CompileError) -> CPythonError {
        if let CompileError::Ir {
            stencil: Some(name),
            problem,
            ..
        } = &mut error
            && let Some(uop) = name.strip_prefix(FUNCTION)
        {
            if let IrProblem::UnknownHole { symbol, known } = &mut **problem {
                return CPythonError::Feature {
                    path: self.source.join(CASES),
                    feature: format!("a hole of {uop}"),
                    found: symbol.clone(),
                    expected: known.join(", "),
                };
            }
            *name = uop.to_owned();
        }
        error.into()
    }

    /// One C source with all uops.
    pub(super) fn translation_unit(&self) -> Result<String, CPythonError> {
        let path = self.source.join(TEMPLATE);
        let wrong = |problem: String| CPythonError::tree(&path, problem);
        let function = function_start(&self.template)
            .ok_or_else(|| wrong("there is no definition of _JIT_ENTRY".to_owned()))?;
        let (before, function) = self.template.split_at(function);
        let function_line = line_of(&self.template, before.len());
        let word = match self.contract.cases {
            Cases::Included => INCLUDE,
            Cases::Inserted => CASE,
        };
        let place = place_of(function, word)
            .ok_or_else(|| wrong(format!("{:?} is not in _JIT_ENTRY", word.trim())))?;
        let (head, tail) = function.split_at(place);
        let tail = &tail[word.len()..];
        let tail_line = line_of(&self.template, before.len() + place + word.len());
        let entry_path = self.contract.entry.path();
        let entry = read(&self.source.join(entry_path))?;
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
            // The file of the cases defines it, or the template does.
            let defines = self.contract.cases == Cases::Included;
            if defines {
                part(1, "<mimeo>", "#undef TIER_TWO\n#define TIER_TWO 2");
            }
            part(case.line, CASES, &case.text);
            if defines {
                part(1, "<mimeo>", "#undef TIER_TWO");
            }
            part(tail_line, TEMPLATE, tail);
        }
        part(1, "<mimeo>", "#undef __func__\n#undef _JIT_ENTRY");
        part(1, entry_path, &entry);
        Ok(unit)
    }
}

/// Where the definition of the function begins: behind the empty line before its name.
#[cfg(llvm)]
fn function_start(template: &str) -> Option<usize> {
    let name = template.find("\n_JIT_ENTRY(")?;
    Some(template[..name].rfind("\n\n")? + 2)
}

/// Where the function has a text; a word is no part of a longer one.
#[cfg(llvm)]
fn place_of(function: &str, text: &str) -> Option<usize> {
    let mut places = function.match_indices(text).map(|(place, _)| place);
    match words(text).eq([text]) {
        false => places.next(),
        true => {
            let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
            places.find(|&place| {
                !function[..place].ends_with(is_part)
                    && !function[place + text.len()..].starts_with(is_part)
            })
        }
    }
}

/// The line of a byte, counted from 1.
#[cfg(llvm)]
fn line_of(text: &str, place: usize) -> usize {
    text[..place].bytes().filter(|&byte| byte == b'\n').count() + 1
}

pub(super) fn directory(path: &Path) -> Result<PathBuf, CPythonError> {
    let found = path.canonicalize();
    let found = found.map_err(|error| CPythonError::io(path, error))?;
    match found.is_dir() {
        true => Ok(found),
        false => Err(CPythonError::tree(path, "expected a directory")),
    }
}

pub(super) fn read(path: &Path) -> Result<String, CPythonError> {
    std::fs::read_to_string(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => CPythonError::tree(
            path,
            "there is no such file, expected the source tree of a CPython that has a JIT compiler",
        ),
        _ => CPythonError::io(path, error),
    })
}

/// The version that a tree declares.
fn version(source: &Path) -> Result<String, CPythonError> {
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
    match define("PY_VERSION") {
        Some(version) => Ok(version.trim_matches('"').to_owned()),
        None => Err(CPythonError::tree(&path, "it does not define PY_VERSION")),
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
                Ok(version) => version,
                Err(error) => {
                    let error = error.to_string();
                    error.replace(&source.display().to_string(), "SOURCE")
                }
            })
        };
        let missing = "SOURCE/Include/patchlevel.h: it does not define PY_VERSION";
        let rows = [
            (
                "#define PY_MAJOR_VERSION 3\n#define PY_VERSION      \"3.14.0a2+\"\n",
                "3.14.0a2+",
            ),
            ("#define PY_VERSION_HEX 13\n", missing),
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

    #[cfg(llvm)]
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

    #[cfg(llvm)]
    #[test]
    fn a_word_is_no_part_of_a_longer_one() {
        assert_eq!(place_of("CASES _CASE CASE\nCASE", "CASE"), Some(12));
        assert_eq!(place_of("CASES", "CASE"), None);
        assert_eq!(place_of("x #include \"y\"\n", "#include \"y\"\n"), Some(2));
    }
}
