//! Which LLVM is installed, where, and what to do where none is.
//!
//! Built twice: into the build script, which links what is found here, and into the library, for `mimeo doctor`. It needs the
//! standard library alone.

use std::env;
use std::fmt;
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The major versions of LLVM that mimeo can be built with, each a cargo feature: `llvm19` and so on.
pub const SUPPORTED: RangeInclusive<u32> = 19..=23;

/// An LLVM that can be linked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    /// The major version.
    pub major: u32,
    /// The version as `llvm-config` gives it, or as much of it as the library's name tells.
    pub version: String,
    /// The shared library.
    pub library: PathBuf,
}

/// Why there is no LLVM to link. Its text says what was looked for, what was found, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The environment names a place, and there is another version in it.
    OtherVersion {
        /// The version that is wanted.
        major: u32,
        /// The place.
        prefix: PathBuf,
        /// The version that is there.
        found: String,
    },
    /// The environment names a place, and there is no LLVM in it.
    EmptyPrefix {
        /// The version that is wanted.
        major: u32,
        /// The place.
        prefix: PathBuf,
    },
    /// There is an `llvm-config`, and no shared library where it says.
    NoLibrary {
        /// The version that is wanted.
        major: u32,
        /// The program that was asked.
        config: PathBuf,
        /// Where it says the libraries are.
        directory: PathBuf,
        /// How to install the version: see [`Surroundings::advice`].
        advice: String,
    },
    /// This version is not installed.
    NotInstalled {
        /// The version that is wanted.
        major: u32,
        /// The versions that are, of those mimeo can be built with, ascending.
        others: Vec<u32>,
        /// How to install the version: see [`Surroundings::advice`].
        advice: String,
    },
}

impl std::error::Error for Missing {}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherVersion {
                major,
                prefix,
                found,
            } => {
                let variable = prefix_variable(*major);
                write!(
                    f,
                    "the feature llvm{major} needs LLVM {major}, but {variable} is {}, which has LLVM {found}: set it to where \
                     LLVM {major} is installed",
                    prefix.display()
                )?;
                match leading_number(found).filter(|found| SUPPORTED.contains(found)) {
                    Some(found) => write!(f, ", or use the feature llvm{found}"),
                    None => Ok(()),
                }
            }
            Self::EmptyPrefix { major, prefix } => write!(
                f,
                "the feature llvm{major} needs LLVM {major}, but {variable} is {}, which has neither bin/llvm-config nor \
                 lib/libLLVM.so.{major}.1: set it to where LLVM {major} is installed, or unset it",
                prefix.display(),
                variable = prefix_variable(*major)
            ),
            Self::NoLibrary {
                major,
                config,
                directory,
                advice,
            } => write!(
                f,
                "the feature llvm{major} needs the shared library of LLVM {major}, but there is none in {}, where {} says that \
                 libraries are: {advice}; an LLVM of your own has to be built with LLVM_BUILD_LLVM_DYLIB=ON",
                directory.display(),
                config.display(),
            ),
            Self::NotInstalled {
                major,
                others,
                advice,
            } => {
                write!(
                    f,
                    "the feature llvm{major} needs LLVM {major}, which is not installed: {advice}; or set {} to where it is",
                    prefix_variable(*major)
                )?;
                match &others[..] {
                    [] => Ok(()),
                    [other] => write!(
                        f,
                        ". LLVM {other} is installed: the feature llvm{other} uses it"
                    ),
                    others => {
                        let features = others.iter().map(|other| format!("llvm{other}"));
                        write!(
                            f,
                            ". LLVM {} are installed: the features {} use them",
                            listed(others.iter().map(u32::to_string)),
                            listed(features)
                        )
                    }
                }
            }
        }
    }
}

/// Words as a sentence lists them: "a", "a and b", "a, b and c".
fn listed(words: impl Iterator<Item = String>) -> String {
    let words: Vec<String> = words.collect();
    match &words[..] {
        [] => String::new(),
        [word] => word.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}

/// The environment variable that names where an LLVM version is installed, as it is for the crate llvm-sys:
/// `LLVM_SYS_191_PREFIX` for LLVM 19.
pub fn prefix_variable(major: u32) -> String {
    format!("LLVM_SYS_{major}1_PREFIX")
}

/// Where LLVM is looked for: what the environment and the file system are to the search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surroundings {
    /// Where the environment says that a major version is: see [`prefix_variable`].
    pub prefixes: Vec<(u32, PathBuf)>,
    /// The directories in which programs are looked for, the first first.
    pub search_path: Vec<PathBuf>,
    /// The directory that the system's `usr`, `etc` and `opt` are in.
    pub root: PathBuf,
}

impl Surroundings {
    /// Those of this process. A variable that is set to nothing counts as unset.
    pub fn of_this_process() -> Self {
        let prefix = |major| {
            let value = env::var_os(prefix_variable(major))?;
            (!value.is_empty()).then(|| (major, PathBuf::from(value)))
        };
        let path = env::var_os("PATH").unwrap_or_default();
        Self {
            prefixes: { SUPPORTED }.filter_map(prefix).collect(),
            search_path: env::split_paths(&path)
                .filter(|directory| !directory.as_os_str().is_empty())
                .collect(),
            root: PathBuf::from("/"),
        }
    }

    /// Finds an LLVM version: where its [variable](prefix_variable) says, and nowhere else; or where an `llvm-config` in the
    /// search path says; or among the system's libraries, for which the package of the library alone is enough.
    ///
    /// # Errors
    /// There is none that can be linked.
    pub fn find(&self, major: u32) -> Result<Installation, Missing> {
        if let Some((_, prefix)) = self.prefixes.iter().find(|(of, _)| *of == major) {
            return self.find_in(major, prefix);
        }
        let asked = self
            .configs(major)
            .find_map(|config| Some((version_of(&config, major)?, config)))
            .map(|(version, config)| self.of_config(major, version, config));
        if let Some(Ok(installation)) = asked {
            return Ok(installation);
        }
        if let Some(library) = self.system_library(major) {
            return Ok(of_library(major, library));
        }
        asked.unwrap_or_else(|| {
            let others = SUPPORTED.filter(|&other| other != major && self.is_installed(other));
            Err(Missing::NotInstalled {
                major,
                others: others.collect(),
                advice: self.advice(major),
            })
        })
    }

    /// Whether a version is there to link, its variable aside.
    fn is_installed(&self, major: u32) -> bool {
        self.system_library(major).is_some()
            || self.configs(major).any(|config| {
                version_of(&config, major)
                    .is_some_and(|version| self.of_config(major, version, config).is_ok())
            })
    }

    /// LLVM in the place that the environment names.
    fn find_in(&self, major: u32, prefix: &Path) -> Result<Installation, Missing> {
        let other_version = |found| Missing::OtherVersion {
            major,
            prefix: prefix.to_owned(),
            found,
        };
        let config = prefix.join("bin").join("llvm-config");
        if let Some(version) = ask(&config, "--version") {
            return match leading_number(&version) == Some(major) {
                true => self.of_config(major, version, config),
                false => Err(other_version(version)),
            };
        }
        let libraries = prefix.join("lib");
        if let Some(library) = library_in(&libraries, major) {
            return Ok(of_library(major, library));
        }
        let other = { SUPPORTED }.find_map(|other| library_in(&libraries, other));
        match other.and_then(|library| version_in_name(&library)) {
            Some(found) => Err(other_version(found)),
            None => Err(Missing::EmptyPrefix {
                major,
                prefix: prefix.to_owned(),
            }),
        }
    }

    /// The LLVM that an `llvm-config` belongs to.
    fn of_config(
        &self,
        major: u32,
        version: String,
        config: PathBuf,
    ) -> Result<Installation, Missing> {
        let directory = PathBuf::from(ask(&config, "--libdir").unwrap_or_default());
        match library_in(&directory, major) {
            Some(library) => Ok(Installation {
                major,
                version,
                library,
            }),
            None => Err(Missing::NoLibrary {
                major,
                config,
                directory,
                advice: self.advice(major),
            }),
        }
    }

    /// The programs that may be the `llvm-config` of a version, as distributions call it, the surest first.
    fn configs(&self, major: u32) -> impl Iterator<Item = PathBuf> {
        let names = [
            format!("llvm-config-{major}"),
            format!("llvm-config{major}"),
            format!("llvm{major}-config"),
            format!("llvm-config-{major}-64"),
            "llvm-config".to_owned(),
        ];
        let places = [
            format!("usr/lib/llvm-{major}/bin/llvm-config"),
            format!("opt/homebrew/opt/llvm@{major}/bin/llvm-config"),
            format!("usr/local/opt/llvm@{major}/bin/llvm-config"),
        ];
        let in_path = names.into_iter().flat_map(|name| {
            let directories = self.search_path.iter();
            directories.map(move |directory| directory.join(&name))
        });
        let elsewhere = places.into_iter().map(|place| self.root.join(place));
        in_path.chain(elsewhere).filter(|config| config.is_file())
    }

    /// The library of a version among the system's, without the help of an `llvm-config`.
    fn system_library(&self, major: u32) -> Option<PathBuf> {
        let directories = [
            format!("usr/lib/llvm-{major}/lib"),
            "usr/lib/x86_64-linux-gnu".to_owned(),
            format!("usr/lib64/llvm{major}/lib64"),
            format!("usr/lib64/llvm{major}/lib"),
            "usr/lib64".to_owned(),
            format!("usr/lib/llvm{major}/lib"),
            "usr/lib".to_owned(),
            "usr/local/lib".to_owned(),
        ];
        let mut directories = directories.iter();
        directories.find_map(|directory| library_in(&self.root.join(directory), major))
    }

    /// How to install an LLVM version on this system: an imperative, without a full stop.
    pub fn advice(&self, major: u32) -> String {
        let like = |families: &[&str]| families.iter().any(|family| self.is_like(family));
        if cfg!(target_os = "macos") {
            format!("run `brew install llvm@{major}`")
        } else if like(&["debian", "ubuntu"]) {
            format!(
                "run `ci/setup-llvm.sh {major}` of mimeo's repository, or `apt-get install libllvm{major}`"
            )
        } else if like(&["fedora", "rhel"]) {
            format!(
                "run `dnf install llvm{major}-libs`, or `dnf install llvm-libs` where that is LLVM {major}"
            )
        } else if like(&["arch"]) {
            format!(
                "run `pacman -S llvm{major}-libs`, or `pacman -S llvm-libs` where that is LLVM {major}"
            )
        } else {
            format!("install the shared library of LLVM {major}")
        }
    }

    /// Whether the system is of a family of distributions, as os-release(5) says.
    pub fn is_like(&self, family: &str) -> bool {
        let release = fs::read_to_string(self.root.join("etc/os-release")).unwrap_or_default();
        release.lines().any(|line| {
            let value = line
                .strip_prefix("ID=")
                .or_else(|| line.strip_prefix("ID_LIKE="));
            value.is_some_and(|value| {
                let mut names = value.trim_matches(['"', '\'']).split(' ');
                names.any(|name| name == family)
            })
        })
    }
}

/// The LLVM that a library is.
fn of_library(major: u32, library: PathBuf) -> Installation {
    Installation {
        major,
        version: version_in_name(&library).unwrap_or_else(|| major.to_string()),
        library,
    }
}

/// The version that an `llvm-config` gives, if it is of this major one.
fn version_of(config: &Path, major: u32) -> Option<String> {
    ask(config, "--version").filter(|version| leading_number(version) == Some(major))
}

/// What a program answers to one argument; nothing where it is not there or fails.
fn ask(program: &Path, argument: &str) -> Option<String> {
    let mut command = Command::new(program);
    let output = command.arg(argument).stdin(Stdio::null()).output().ok()?;
    let answer = String::from_utf8(output.stdout).ok()?;
    let answer = answer.trim();
    (output.status.success() && !answer.is_empty()).then(|| answer.to_owned())
}

/// The shared library of a version in a directory, under one of the names that it has had.
fn library_in(directory: &Path, major: u32) -> Option<PathBuf> {
    let names = [
        format!("libLLVM.so.{major}.1"),
        format!("libLLVM-{major}.so"),
        format!("libLLVM-{major}.so.1"),
        format!("libLLVM.so.{major}"),
        format!("libLLVM-{major}.dylib"),
        "libLLVM.dylib".to_owned(),
    ];
    let mut paths = names.iter().map(|name| directory.join(name));
    paths.find(|path| path.is_file())
}

/// The version in the name of the file that a library's name leads to, such as 19.1 of `libLLVM.so.19.1`.
fn version_in_name(library: &Path) -> Option<String> {
    let file = fs::canonicalize(library).ok()?;
    version_in(file.file_name()?.to_str()?).map(str::to_owned)
}

/// The version in a library's file name.
fn version_in(name: &str) -> Option<&str> {
    let version = name.strip_prefix("libLLVM")?;
    let start = version.find(|c: char| c.is_ascii_digit())?;
    let version = &version[start..];
    let end = version
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(version.len());
    Some(version[..end].trim_end_matches('.'))
}

/// The number that a text starts with.
fn leading_number(text: &str) -> Option<u32> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text[..end].parse().ok()
}
