//! What a build directory was configured for: how its Makefile calls CPython's own generator.

use super::CPythonError;
use std::path::Path;

/// The machine that is compiled for where the build directory does not say.
const TRIPLE: &str = "x86_64-pc-linux-gnu";

/// What a build directory should be.
pub(super) const CONFIGURED: &str =
    "expected one of a CPython configured with --enable-experimental-jit";

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
    /// It cannot be read, is configured without the JIT or for another machine, or has arguments that only make could expand.
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
        let mut recipes = text.lines().filter(|line| line.starts_with('\t'));
        let call = recipes.find_map(|line| line.split_once("/jit/build.py"));
        let Some((_, line)) = call else {
            return match text.is_empty() {
                true => Ok(configured),
                false => Err(wrong(format!(
                    "no recipe calls Tools/jit/build.py, {CONFIGURED}"
                ))),
            };
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
                "it is configured for {}, expected x86-64 Linux with glibc",
                triples.join(" and ")
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read of a Makefile with these lines.
    fn read(makefile: &str) -> String {
        let build = tempfile::tempdir().expect("a directory of our own");
        std::fs::write(build.path().join("Makefile"), makefile).expect("it is ours");
        match Configured::read(build.path()) {
            Ok(Configured {
                triple,
                debug,
                cflags,
            }) => format!("{triple}, {debug}, {cflags}"),
            Err(error) => {
                let error = error.to_string();
                error.replace(&build.path().display().to_string(), "BUILD")
            }
        }
    }

    #[test]
    fn a_makefile_says_what_is_built() {
        let rows = [
            (
                "all:\n\tcc\n",
                "BUILD/Makefile: no recipe calls Tools/jit/build.py, expected one of a CPython configured with --enable-experimental-jit",
            ),
            (
                "# x/jit/build.py riscv\nDEPS = x/jit/build.py\nx:\n\tpython x/jit/build.py x86_64-unknown-linux-gnu\n\n\
                 y:\n\tpython x/jit/build.py riscv\n",
                "x86_64-unknown-linux-gnu, false, ",
            ),
        ];
        for (makefile, expected) in rows {
            assert_eq!(read(makefile), expected);
        }
        let calls = [
            ("", "x86_64-pc-linux-gnu, false, "),
            ("-d x86_64-pc-linux-gnu", "x86_64-pc-linux-gnu, true, "),
            (
                "--debug -f --verbose x86_64-a-linux-gnu",
                "x86_64-a-linux-gnu, true, ",
            ),
            (
                "x86_64-pc-linux-gnu --output-dir . --pyconfig-dir=. --cflags=\"\"",
                "x86_64-pc-linux-gnu, false, ",
            ),
            (
                "-o riscv -p riscv --cflags \"-DA=1 -O2\" x86_64-pc-linux-gnu",
                "x86_64-pc-linux-gnu, false, -DA=1 -O2",
            ),
            (
                "--cflags='-DA=\"$$ORIGIN\"' x86_64-pc-linux-gnu",
                "x86_64-pc-linux-gnu, false, -DA=\"$ORIGIN\"",
            ),
            ("--cflags", "x86_64-pc-linux-gnu, false, "),
            (
                "--cflags=\"$(FLAGS)\"",
                "BUILD/Makefile: the call of Tools/jit/build.py has a variable of make: --cflags=\"$(FLAGS)\"",
            ),
            (
                "--cflags=\"$$$(FLAGS)\"",
                "BUILD/Makefile: the call of Tools/jit/build.py has a variable of make: --cflags=\"$$$(FLAGS)\"",
            ),
            (
                "--cflags=\"-O2",
                "BUILD/Makefile: a quote is not closed: --cflags=\"-O2",
            ),
            (
                "aarch64-unknown-linux-gnu",
                "BUILD/Makefile: it is configured for aarch64-unknown-linux-gnu, expected x86-64 Linux with glibc",
            ),
            (
                "x86_64-pc-linux-musl",
                "BUILD/Makefile: it is configured for x86_64-pc-linux-musl, expected x86-64 Linux with glibc",
            ),
            (
                "x86_64-pc-linux-gnu x86_64-b-linux-gnu",
                "BUILD/Makefile: it is configured for x86_64-pc-linux-gnu and x86_64-b-linux-gnu, expected x86-64 Linux with glibc",
            ),
        ];
        for (call, expected) in calls {
            let makefile =
                format!("jit_stencils.h:\n\t$(PYTHON) $(srcdir)/Tools/jit/build.py {call}\n");
            assert_eq!(read(&makefile), expected, "{call}");
        }
    }

    #[test]
    fn a_build_directory_without_a_makefile_is_for_this_machine() {
        let build = tempfile::tempdir().expect("a directory of our own");
        let configured = Configured::read(build.path()).expect("nothing is wrong");
        assert_eq!(
            (configured.triple.as_str(), configured.debug),
            (TRIPLE, false)
        );
        std::fs::create_dir(build.path().join("Makefile")).expect("it is ours");
        assert!(Configured::read(build.path()).is_err());
    }
}
