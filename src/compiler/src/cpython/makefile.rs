//! What a build directory was configured for: how its Makefile calls CPython's own generator.

use super::CPythonError;
use std::path::Path;

/// The machine that is compiled for where the build directory does not say.
const TRIPLE: &str = "x86_64-pc-linux-gnu";

/// The arguments of the generator that matter here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Configured {
    pub(super) triple: String,
    /// Whether CPython is built with assertions.
    pub(super) debug: bool,
    /// Flags for the compiler.
    pub(super) cflags: String,
}

impl Configured {
    /// Reads the Makefile of a build directory.
    ///
    /// # Errors
    /// It cannot be read, is configured for another machine, or has arguments that only make could expand.
    pub(super) fn read(build: &Path) -> Result<Self, CPythonError> {
        let path = build.join("Makefile");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            // A build directory without one can only be of somebody's own making.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(CPythonError::io(&path, error)),
        };
        let wrong = |problem: String| CPythonError::tree(&path, problem);
        let mut configured = Self {
            triple: TRIPLE.to_owned(),
            debug: false,
            cflags: String::new(),
        };
        let call = text
            .lines()
            .find_map(|line| line.split_once("/jit/build.py"));
        let Some((_, line)) = call else {
            return Ok(configured);
        };
        if line.replace("$$", "").contains('$') {
            let problem = format!("the call of Tools/jit/build.py has a variable of make:{line}");
            return Err(wrong(problem));
        }
        let arguments = shlex::split(&line.replace("$$", "$"))
            .ok_or_else(|| wrong(format!("a quote is not closed:{line}")))?;
        let mut arguments = arguments.into_iter();
        let mut triples = Vec::new();
        while let Some(argument) = arguments.next() {
            match argument.split_once('=') {
                Some(("--cflags", value)) => configured.cflags = value.to_owned(),
                _ if argument == "--cflags" => {
                    configured.cflags = arguments.next().unwrap_or_default();
                }
                _ if matches!(
                    &argument[..],
                    "--output-dir" | "-o" | "--pyconfig-dir" | "-p"
                ) =>
                {
                    arguments.next();
                }
                _ if matches!(&argument[..], "--debug" | "-d") => configured.debug = true,
                _ if argument.starts_with('-') => {}
                _ => triples.push(argument),
            }
        }
        let is_ours =
            |triple: &String| triple.starts_with("x86_64-") && triple.ends_with("-linux-gnu");
        match &triples[..] {
            [] => Ok(configured),
            [triple] if is_ours(triple) => {
                configured.triple = triple.clone();
                Ok(configured)
            }
            _ => Err(wrong(format!(
                "it is configured for {}, expected x86-64 Linux",
                triples.join(" and ")
            ))),
        }
    }
}
