//! Which LLVM is installed, where, and what to do where none is.
//!
//! Built twice: into the build script, which links what is found here, and into the library, for `mimeo doctor`. It needs the
//! standard library alone.

use std::env;
use std::fmt;
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::Command;

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
        /// The variable that names the place.
        variable: String,
        /// The place.
        prefix: PathBuf,
        /// The version that is there.
        found: String,
    },
    /// The environment names a place, and there is no LLVM in it.
    EmptyPrefix {
        /// The version that is wanted.
        major: u32,
        /// The variable that names the place.
        variable: String,
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
    },
    /// This version is not installed.
    NotInstalled {
        /// The version that is wanted.
        major: u32,
        /// The versions that are, of those mimeo can be built with.
        others: Vec<u32>,
    },
}

impl std::error::Error for Missing {}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherVersion {
                major,
                variable,
                prefix,
                found,
            } => {
                write!(
                    f,
                    "the feature llvm{major} needs LLVM {major}, and {variable}={} has LLVM {found}: ",
                    prefix.display()
                )?;
                match leading_number(found).filter(|found| SUPPORTED.contains(found)) {
                    Some(found) => {
                        write!(
                            f,
                            "use the feature llvm{found}, or let {variable} name an LLVM {major}"
                        )
                    }
                    None => write!(f, "let it name an LLVM {major}"),
                }
            }
            Self::EmptyPrefix {
                major,
                variable,
                prefix,
            } => write!(
                f,
                "the feature llvm{major} needs LLVM {major}, and {variable}={} has neither bin/llvm-config nor \
                 lib/libLLVM.so.{major}.1: let it name where LLVM {major} is installed, or unset it",
                prefix.display()
            ),
            Self::NoLibrary {
                major,
                config,
                directory,
            } => write!(
                f,
                "the feature llvm{major} needs the shared library of LLVM {major}, and {} has none, though {} says so: \
                 install it ({}), or build LLVM with LLVM_BUILD_LLVM_DYLIB=ON",
                directory.display(),
                config.display(),
                advice(*major)
            ),
            Self::NotInstalled { major, others } => {
                write!(
                    f,
                    "the feature llvm{major} needs LLVM {major}, which is not installed"
                )?;
                if let Some((last, rest)) = others.split_last() {
                    let rest: String = rest.iter().map(|other| format!("{other}, ")).collect();
                    write!(f, " (LLVM {rest}{last} is: the feature llvm{last} uses it)")?;
                }
                write!(
                    f,
                    ": {}, or set {} to where it is",
                    advice(*major),
                    prefix_variable(*major)
                )
            }
        }
    }
}

/// The environment variable that names where an LLVM version is installed, as it is for the crate llvm-sys:
/// `LLVM_SYS_191_PREFIX` for LLVM 19.
pub fn prefix_variable(major: u32) -> String {
    format!("LLVM_SYS_{major}1_PREFIX")
}

/// Finds an LLVM version: where its [variable](prefix_variable) says, and nowhere else; or where an `llvm-config` in the
/// search path says; or among the system's libraries, for which the package of the library alone is enough.
///
/// # Errors
/// There is none that can be linked.
pub fn find(major: u32) -> Result<Installation, Missing> {
    let variable = prefix_variable(major);
    if let Some(prefix) = env::var_os(&variable).filter(|prefix| !prefix.is_empty()) {
        return find_in(major, variable, prefix.into());
    }
    let asked = configs(major)
        .find_map(|config| Some((version_of(&config, major)?, config)))
        .map(|(version, config)| of_config(major, version, config));
    if let Some(Ok(installation)) = asked {
        return Ok(installation);
    }
    if let Some(library) = system_library(major) {
        return Ok(Installation {
            major,
            version: version_in_name(&library).unwrap_or_else(|| major.to_string()),
            library,
        });
    }
    asked.unwrap_or_else(|| {
        let others = SUPPORTED.filter(|&other| other != major && is_installed(other));
        Err(Missing::NotInstalled {
            major,
            others: others.collect(),
        })
    })
}

/// Whether a version is there to link, its variable aside.
fn is_installed(major: u32) -> bool {
    system_library(major).is_some()
        || configs(major).any(|config| {
            version_of(&config, major)
                .is_some_and(|version| of_config(major, version, config).is_ok())
        })
}

/// LLVM in the place that the environment names.
fn find_in(major: u32, variable: String, prefix: PathBuf) -> Result<Installation, Missing> {
    let config = prefix.join("bin").join("llvm-config");
    if let Some(version) = ask(&config, "--version") {
        return match leading_number(&version) == Some(major) {
            true => of_config(major, version, config),
            false => Err(Missing::OtherVersion {
                major,
                variable,
                prefix,
                found: version,
            }),
        };
    }
    if let Some(library) = library_in(&prefix.join("lib"), major) {
        return Ok(Installation {
            major,
            version: version_in_name(&library).unwrap_or_else(|| major.to_string()),
            library,
        });
    }
    let other = { SUPPORTED }.find_map(|other| library_in(&prefix.join("lib"), other));
    match other.and_then(|library| version_in_name(&library)) {
        Some(found) => Err(Missing::OtherVersion {
            major,
            variable,
            prefix,
            found,
        }),
        None => Err(Missing::EmptyPrefix {
            major,
            variable,
            prefix,
        }),
    }
}

/// The LLVM that an `llvm-config` belongs to.
fn of_config(major: u32, version: String, config: PathBuf) -> Result<Installation, Missing> {
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
        }),
    }
}

/// The programs that may be the `llvm-config` of a version, as distributions call it, the surest first.
fn configs(major: u32) -> impl Iterator<Item = PathBuf> {
    let debian = PathBuf::from(format!("/usr/lib/llvm-{major}/bin/llvm-config"));
    let names = [
        format!("llvm-config-{major}"),
        format!("llvm-config{major}"),
        format!("llvm{major}-config"),
        format!("llvm-config-{major}-64"),
        "llvm-config".to_owned(),
    ];
    let homebrew = ["/opt/homebrew/opt", "/usr/local/opt"]
        .map(|opt| PathBuf::from(format!("{opt}/llvm@{major}/bin/llvm-config")));
    names
        .into_iter()
        .map(PathBuf::from)
        .chain([debian])
        .chain(homebrew)
}

/// The version that an `llvm-config` gives, if it is of this major one.
fn version_of(config: &Path, major: u32) -> Option<String> {
    ask(config, "--version").filter(|version| leading_number(version) == Some(major))
}

/// What a program answers to one argument; nothing where it is not there or fails.
fn ask(program: &Path, argument: &str) -> Option<String> {
    let output = Command::new(program).arg(argument).output().ok()?;
    let answer = String::from_utf8(output.stdout).ok()?;
    let answer = answer.trim();
    (output.status.success() && !answer.is_empty()).then(|| answer.to_owned())
}

/// The library of a version among the system's, without the help of an `llvm-config`.
fn system_library(major: u32) -> Option<PathBuf> {
    let directories = [
        format!("/usr/lib/llvm-{major}/lib"),
        "/usr/lib/x86_64-linux-gnu".to_owned(),
        format!("/usr/lib64/llvm{major}/lib64"),
        format!("/usr/lib64/llvm{major}/lib"),
        "/usr/lib64".to_owned(),
        format!("/usr/lib/llvm{major}/lib"),
        "/usr/lib".to_owned(),
        "/usr/local/lib".to_owned(),
    ];
    let mut directories = directories.iter();
    directories.find_map(|directory| library_in(Path::new(directory), major))
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
    let name = file.file_name()?.to_str()?;
    let version = name.strip_prefix("libLLVM")?;
    let start = version.find(|c: char| c.is_ascii_digit())?;
    let version = &version[start..];
    let end = version
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(version.len());
    let version = version[..end].trim_end_matches('.');
    (!version.is_empty()).then(|| version.to_owned())
}

/// The number that a text starts with.
fn leading_number(text: &str) -> Option<u32> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text[..end].parse().ok()
}

/// How to install an LLVM version on this system.
pub fn advice(major: u32) -> String {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let like = |family: &str| {
        release.lines().any(|line| {
            let value = line
                .strip_prefix("ID=")
                .or_else(|| line.strip_prefix("ID_LIKE="));
            value.is_some_and(|value| value.trim_matches('"').split(' ').any(|id| id == family))
        })
    };
    if cfg!(target_os = "macos") {
        format!("`brew install llvm@{major}`")
    } else if like("debian") || like("ubuntu") {
        format!(
            "`ci/setup-llvm.sh {major}` of mimeo's repository or `apt-get install libllvm{major}`"
        )
    } else if like("fedora") {
        format!("`dnf install llvm{major}-libs`, or llvm-libs where that is LLVM {major}")
    } else if like("arch") {
        format!("`pacman -S llvm{major}-libs`, or llvm-libs where that is LLVM {major}")
    } else {
        format!("install the shared library of LLVM {major}")
    }
}
