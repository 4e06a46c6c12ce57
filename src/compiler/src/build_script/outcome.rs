//! What became of a build script's table, or why nothing did, in words.

#[cfg(llvm)]
use crate::error::CompileError;
use crate::format::FormatError;
use mimeo::table::TableError;
use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// A version of LLVM: major, minor, patch.
type Version = (u16, u16, u16);

/// How a table came about.
#[derive(Debug)]
#[non_exhaustive]
pub enum Origin {
    /// It was compiled, and is the checked-in one.
    Same {
        /// What compiled it.
        llvm: Version,
    },
    /// It was compiled, and is not the checked-in one.
    Different {
        /// What compiled it.
        llvm: Version,
        /// What is with the checked-in one.
        difference: Difference,
    },
    /// It was compiled, and is the checked-in one from now on.
    Updated {
        /// What compiled it.
        llvm: Version,
    },
    /// It is the checked-in one.
    CheckedIn {
        /// What compiled it back then.
        llvm: Version,
        /// Why it was not compiled.
        why: NoLlvm,
    },
    /// It is the checked-in one, though it was made from other sources.
    Stale {
        /// What compiled it back then.
        llvm: Version,
        /// Why it was not compiled.
        why: NoLlvm,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same { llvm } => write!(
                f,
                "compiled by {}, with the checked-in table as result",
                Llvm(*llvm)
            ),
            Self::Different { llvm, difference } => write!(
                f,
                "compiled by {}; {difference} (MIMEO_TABLES=update writes it anew)",
                Llvm(*llvm)
            ),
            Self::Updated { llvm } => {
                write!(
                    f,
                    "compiled by {}; the checked-in table was written anew",
                    Llvm(*llvm)
                )
            }
            Self::CheckedIn { llvm, why } => {
                write!(f, "the checked-in table, by {}, because {why}", Llvm(*llvm))
            }
            Self::Stale { llvm, why } => write!(
                f,
                "the checked-in table, by {}, because {why}; it is stale, and MIMEO_TABLES=allow-stale lets it be used",
                Llvm(*llvm)
            ),
        }
    }
}

/// How a checked-in table differs from the one that the templates give.
#[derive(Debug)]
#[non_exhaustive]
pub enum Difference {
    /// There is none.
    Missing,
    /// It is none that this library can use.
    Unusable(TableError),
    /// It was made from other sources.
    Sources,
    /// It was made by this other version of LLVM.
    Llvm(Version),
    /// It was made from the same sources by the same LLVM.
    Other,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("there is no checked-in table"),
            Self::Unusable(error) => write!(f, "the checked-in table cannot be used: {error}"),
            Self::Sources => f.write_str("the checked-in table is stale, made from other sources"),
            Self::Llvm(version) => write!(
                f,
                "the checked-in table differs, as may be expected, because it is by {}",
                Llvm(*version)
            ),
            Self::Other => f.write_str(
                "the checked-in table differs, though made by the same LLVM from the same sources: by another version of \
                 mimeo-compiler, or from something that is not named as a source",
            ),
        }
    }
}

/// Why templates are not compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoLlvm {
    /// mimeo-compiler was built without a feature for LLVM.
    NoFeature,
    /// mimeo-compiler was built with this feature and `if-installed`, and found no such LLVM.
    NotInstalled(&'static str),
    /// There is LLVM, but the build script gives no templates.
    NoTemplates,
}

impl NoLlvm {
    /// What holds for this build of mimeo-compiler.
    pub(super) fn here() -> Self {
        let features = [
            ("llvm19", cfg!(feature = "llvm19")),
            ("llvm20", cfg!(feature = "llvm20")),
            ("llvm21", cfg!(feature = "llvm21")),
            ("llvm22", cfg!(feature = "llvm22")),
            ("llvm23", cfg!(feature = "llvm23")),
        ];
        match features.iter().find(|(_, is_on)| *is_on) {
            Some(_) if cfg!(llvm) => Self::NoTemplates,
            Some((feature, _)) => Self::NotInstalled(feature),
            None => Self::NoFeature,
        }
    }
}

impl fmt::Display for NoLlvm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFeature => f.write_str("mimeo-compiler has no feature for LLVM"),
            Self::NotInstalled(feature) => write!(
                f,
                "mimeo-compiler has the feature {feature}, but that LLVM is not installed"
            ),
            Self::NoTemplates => f.write_str("the build script gives no templates"),
        }
    }
}

/// A build script has no table to give.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// An environment variable that cargo sets is not there.
    #[error("the environment variable {0} is not set: this is for build scripts that cargo runs")]
    NoBuildScript(&'static str),
    /// An environment variable that users set means nothing.
    #[error("MIMEO_TABLES={}: expected update, check or allow-stale", .0.display())]
    Wish(OsString),
    /// The checked-in table's path does not end in a name.
    #[error("{}: expected the path of a checked-in table", .0.display())]
    NoFile(PathBuf),
    /// The build script names no sources.
    #[error(
        "{}: the build script names no source, so that nobody could tell a stale table: expected a `source` at least",
        .0.display()
    )]
    NoSources(PathBuf),
    /// A source cannot be read. The error names it.
    #[error("the templates' source: {0}")]
    Source(#[source] io::Error),
    /// There is neither a checked-in table nor LLVM.
    #[error(
        "{}: there is no checked-in table, and none can be compiled, because {}: {REMEDY}",
        .0.display(),
        .1
    )]
    Missing(PathBuf, NoLlvm),
    /// The checked-in table is damaged or breaks a rule, and there is no LLVM.
    #[error(
        "{}: the checked-in table cannot be used: {}; none can be compiled, because {}: restore it, or {REMEDY}",
        .0.display(),
        .1,
        .2
    )]
    Unusable(PathBuf, #[source] Box<dyn Error + Send + Sync>, NoLlvm),
    /// The checked-in table was made from other sources, and there is no LLVM.
    #[error(
        "{}: the checked-in table is stale: {}, and it cannot be compiled, because {why}: {REMEDY}; \
         MIMEO_TABLES=allow-stale uses it as it is",
        .path.display(),
        Staleness { sources, is_known: *is_known }
    )]
    Stale {
        /// The table.
        path: PathBuf,
        /// The sources, as the build script names them.
        sources: Vec<PathBuf>,
        /// Whether the table carries the digest of the sources that it was made from.
        is_known: bool,
        /// Why it cannot be made anew.
        why: NoLlvm,
    },
    /// The checked-in table is not what the templates give, though it should be.
    #[error(
        "{}: not what the templates give, compiled by {}: {difference} (MIMEO_TABLES=update writes it anew)",
        .path.display(),
        Llvm(*llvm)
    )]
    Differs {
        /// The table.
        path: PathBuf,
        /// What compiled the templates.
        llvm: Version,
        /// What is with the checked-in one.
        difference: Difference,
    },
    /// What is asked for cannot be had without LLVM.
    #[error("MIMEO_TABLES={0} needs LLVM to compile the templates, but {1}")]
    NeedsLlvm(&'static str, NoLlvm),
    /// The templates are wrong.
    #[cfg(llvm)]
    #[error(transparent)]
    Compile(#[from] Box<CompileError>),
    /// A file cannot be written.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The table cannot be written as Rust source.
    #[error(transparent)]
    Format(#[from] FormatError),
}

#[cfg(llvm)]
impl From<CompileError> for BuildError {
    fn from(error: CompileError) -> Self {
        Self::Compile(Box::new(error))
    }
}

const REMEDY: &str = "make it on a machine with LLVM, by MIMEO_TABLES=update and a feature of mimeo-compiler from llvm19 to \
                      llvm23";

/// A version as text.
struct Llvm(Version);

impl fmt::Display for Llvm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor, patch) = self.0;
        write!(f, "LLVM {major}.{minor}.{patch}")
    }
}

/// How a table is known to be stale.
struct Staleness<'a> {
    sources: &'a [PathBuf],
    is_known: bool,
}

impl fmt::Display for Staleness<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.is_known {
            return f.write_str("it does not carry the digest of its sources");
        }
        let sources: Vec<String> = self
            .sources
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        write!(f, "it was made when {} read otherwise", sources.join(", "))
    }
}
