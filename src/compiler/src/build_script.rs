//! For build scripts: a stencil table that is compiled where there is LLVM, and otherwise the one that is checked in.
//!
//! A crate with uops of its own keeps three files: its templates, the table that was made of them, and a build script that
//! has mimeo-compiler as build-dependency. The script leaves the table in `OUT_DIR`, under the checked-in file's name, in one
//! of two ways, and says which:
//! - With LLVM, the templates are compiled. Where the result differs from the checked-in table, it says why.
//! - Without LLVM, the checked-in table is checked in full and used. If it is stale, that is, made from other sources than are
//!   there now, that is an error: the program would silently run old code. The digest of the [`Sources`], which the table
//!   [carries](StencilTable::sources), tells.
//!
//! # Example
//! `Cargo.toml`, for LLVM where it is asked for (`cargo build --features llvm19`):
//! ```toml
//! [features]
//! llvm19 = ["mimeo-compiler/llvm19"]
//!
//! [dependencies]
//! mimeo = "0.1"
//!
//! [build-dependencies]
//! mimeo-compiler = "0.1"
//! ```
//! With `features = ["llvm19", "if-installed"]` at `mimeo-compiler` it is used wherever it is installed instead.
//!
//! `build.rs`, which needs no `cfg`: what is inside the two macros is there with LLVM only. The templates are written out
//! here; usually they are in a file of their own, and the macro holds `mod templates;`.
//! ```no_run
//! use mimeo_compiler::build_script::Table;
//!
//! mimeo_compiler::if_llvm! {
//!     mod templates {
//!         use mimeo_compiler::template::{FrameLayout, Template, TemplateSet};
//!
//!         pub fn set() -> TemplateSet {
//!             let add = Template::new("ADD", |mut b| {
//!                 let (right, left) = (b.pop_i64()?, b.pop_i64()?);
//!                 b.push(b.ir().build_int_add(left, right, "")?)?;
//!                 b.continue_()
//!             })
//!             .stack(2, 1);
//!             TemplateSet::new("numbers", FrameLayout::default()).with([add])
//!         }
//!     }
//! }
//!
//! fn main() {
//!     Table::checked_in("numbers.mimeo")
//!         .source("build.rs")
//!         .build(mimeo_compiler::templates!(templates::set()));
//! }
//! ```
//! The program:
//! ```ignore
//! let table = StencilTable::from_static(include_bytes!(concat!(env!("OUT_DIR"), "/numbers.mimeo")))?;
//! ```
//!
//! # The environment
//! A build script must not write into the source tree unasked. So the variable `MIMEO_TABLES` asks:
//!
//! | `MIMEO_TABLES=` | |
//! |---|---|
//! | `update` | Writes the checked-in tables anew where they differ. Needs LLVM. The first table is made this way. |
//! | `check` | A checked-in table that differs is an error; for continuous integration. Needs LLVM, of the same version. |
//! | `allow-stale` | Uses a stale table, and says so. |
//!
//! `update` and `check` leave alone packages that cargo has downloaded.
//!
//! A table made by another version of LLVM may well differ, and there may be another without harm: whoever has none gets the
//! checked-in one. The digest of the sources knows nothing of mimeo-compiler's own version; `check` does.
//!
//! Interpreters' images are not built here.

mod outcome;

pub use outcome::{BuildError, Difference, NoLlvm, Origin};

use crate::format::to_rust;
use crate::sources::Sources;
#[cfg(llvm)]
use crate::template::TemplateSet;
use crate::verify::check_table;
use mimeo::table::{StencilTable, TableError, write_file};
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;

/// The environment variable that asks for more than a table in `OUT_DIR`.
const VARIABLE: &str = "MIMEO_TABLES";

/// Expands to the items in it where mimeo-compiler has LLVM, and to nothing otherwise: for templates, which need types of
/// LLVM. See [`build_script`](crate::build_script).
///
/// `cargo fmt` does not follow a `mod` in a macro: format that file with `rustfmt`.
#[cfg(llvm)]
#[macro_export]
macro_rules! if_llvm {
    ($($items:tt)*) => { $($items)* };
}

/// Expands to the items in it where mimeo-compiler has LLVM, and to nothing otherwise: for templates, which need types of
/// LLVM. See [`build_script`](crate::build_script).
///
/// `cargo fmt` does not follow a `mod` in a macro: format that file with `rustfmt`.
#[cfg(not(llvm))]
#[macro_export]
macro_rules! if_llvm {
    ($($items:tt)*) => {};
}

/// [`Templates`](crate::build_script::Templates) of a `TemplateSet`: the expression is evaluated where mimeo-compiler has
/// LLVM, and not even compiled otherwise.
#[cfg(llvm)]
#[macro_export]
macro_rules! templates {
    ($set:expr) => {
        $crate::build_script::Templates::from($set)
    };
}

/// [`Templates`](crate::build_script::Templates) of a `TemplateSet`: the expression is evaluated where mimeo-compiler has
/// LLVM, and not even compiled otherwise.
#[cfg(not(llvm))]
#[macro_export]
macro_rules! templates {
    ($set:expr) => {
        $crate::build_script::Templates::none()
    };
}

/// The templates that a table is compiled from, where there is LLVM to compile them; made by [`templates!`](crate::templates!).
#[derive(Debug)]
pub struct Templates(Result<Set, NoLlvm>);

#[cfg(llvm)]
type Set = TemplateSet;
#[cfg(not(llvm))]
type Set = std::convert::Infallible;

impl Templates {
    /// None, as where there is no LLVM: the checked-in table is used.
    pub fn none() -> Self {
        Self(Err(NoLlvm::here()))
    }
}

#[cfg(llvm)]
impl From<TemplateSet> for Templates {
    fn from(set: TemplateSet) -> Self {
        Self(Ok(set))
    }
}

/// A table that a build script provides; see the [module](self).
///
/// Paths are relative to the package's manifest.
#[derive(Clone, Debug)]
#[must_use = "nothing is built before `build`"]
pub struct Table {
    checked_in: PathBuf,
    sources: Vec<PathBuf>,
    rust_source: bool,
}

/// What a build script has made.
#[derive(Debug)]
pub struct Built {
    /// The table's file, in `OUT_DIR`.
    pub file: PathBuf,
    /// How it came about, as text: one line.
    pub origin: Origin,
}

impl Table {
    /// The table with this checked-in file, such as `tables/numbers.mimeo`.
    pub fn checked_in(path: impl Into<PathBuf>) -> Self {
        Self {
            checked_in: path.into(),
            sources: Vec::new(),
            rust_source: false,
        }
    }

    /// Adds a file with the templates' source or something else that they depend on, or a directory of such files. There must
    /// be one at least.
    pub fn source(mut self, path: impl Into<PathBuf>) -> Self {
        self.sources.push(path.into());
        self
    }

    /// Writes the table as [Rust source](to_rust) too, with a constant for each uop's name, under the table's name with `.rs`.
    pub fn rust_source(mut self) -> Self {
        self.rust_source = true;
        self
    }

    /// Leaves the table in `OUT_DIR`, and says by a `cargo::warning` how it came about, which is the only thing that cargo
    /// shows of a build that succeeds. Otherwise says by a `cargo::error` what is wrong, and ends the process.
    pub fn build(&self, templates: Templates) {
        match self.try_build(templates) {
            Ok(built) => {
                let table = self.checked_in.display();
                println!("cargo::warning={table}: {}", built.origin);
            }
            Err(error) => {
                for line in error.to_string().lines() {
                    println!("cargo::error={line}");
                }
                process::exit(1);
            }
        }
    }

    /// [`build`](Self::build), for scripts that say it in their own way: prints only what tells cargo when to run the script
    /// again.
    ///
    /// # Errors
    /// The templates are wrong; or the checked-in table is needed, and is missing, damaged or stale; or it is not what
    /// `MIMEO_TABLES` demands; or this is not a build script that cargo runs.
    pub fn try_build(&self, templates: Templates) -> Result<Built, BuildError> {
        self.watch();
        self.build_in(&Surroundings::of_this_process()?, templates)
    }

    /// Tells cargo to run the script again when something changes that it depends on.
    fn watch(&self) {
        println!("cargo::rerun-if-env-changed={VARIABLE}");
        for path in self.sources.iter().chain([&self.checked_in]) {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }

    fn build_in(
        &self,
        surroundings: &Surroundings,
        templates: Templates,
    ) -> Result<Built, BuildError> {
        let name = self.checked_in.file_name();
        let name = name.ok_or_else(|| BuildError::NoFile(self.checked_in.clone()))?;
        let sources = self.digest(&surroundings.manifest)?;
        let checked_in = surroundings.manifest.join(&self.checked_in);
        let (table, origin) = match templates.0 {
            Ok(set) => compiled(set, sources, &checked_in, surroundings)?,
            Err(why) => self.found(why, sources, &checked_in, surroundings)?,
        };
        let file = surroundings.out.join(name);
        write_file(&file, table.as_bytes())?;
        if self.rust_source {
            write_file(file.with_extension("rs"), to_rust(&table)?.as_bytes())?;
        }
        Ok(Built { file, origin })
    }

    /// Without LLVM: the checked-in table, if nothing is wrong with it.
    fn found(
        &self,
        why: NoLlvm,
        sources: [u8; 32],
        checked_in: &Path,
        surroundings: &Surroundings,
    ) -> Result<(StencilTable, Origin), BuildError> {
        let path = || checked_in.to_owned();
        match surroundings.wish {
            Wish::Update => return Err(BuildError::NeedsLlvm("update", why)),
            Wish::Check => return Err(BuildError::NeedsLlvm("check", why)),
            Wish::Nothing | Wish::AllowStale => (),
        }
        let table = open(checked_in)
            .map_err(|problem| BuildError::Unusable(path(), problem.into(), why))?
            .ok_or_else(|| BuildError::Missing(path(), why))?;
        if let Some(problem) = check_table(&table).find_map(Result::err) {
            return Err(BuildError::Unusable(path(), problem.into(), why));
        }
        let llvm = table.llvm_version();
        let origin = match table.sources() == Some(&sources) {
            true => Origin::CheckedIn { llvm, why },
            false if surroundings.wish == Wish::AllowStale => Origin::Stale { llvm, why },
            false => {
                return Err(BuildError::Stale {
                    path: path(),
                    sources: self.sources.clone(),
                    is_known: table.sources().is_some(),
                    why,
                });
            }
        };
        Ok((table, origin))
    }

    fn digest(&self, manifest: &Path) -> Result<[u8; 32], BuildError> {
        if self.sources.is_empty() {
            return Err(BuildError::NoSources(self.checked_in.clone()));
        }
        let mut sources = Sources::default();
        for path in &self.sources {
            let added = sources.with_files(manifest, path);
            sources = added.map_err(BuildError::Source)?;
        }
        Ok(sources.digest())
    }
}

/// What a build script is told by its environment.
struct Surroundings {
    /// The directory of the package's manifest.
    manifest: PathBuf,
    /// `OUT_DIR`.
    out: PathBuf,
    wish: Wish,
}

/// What is to be done about the checked-in table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Nothing,
    Update,
    Check,
    AllowStale,
}

impl Surroundings {
    fn of_this_process() -> Result<Self, BuildError> {
        let directory = |variable| match env::var_os(variable) {
            Some(path) => Ok(PathBuf::from(path)),
            None => Err(BuildError::NoBuildScript(variable)),
        };
        let manifest = directory("CARGO_MANIFEST_DIR")?;
        let wish = Wish::parse(env::var_os(VARIABLE).as_deref())?;
        let is_ours = !is_downloaded(&manifest);
        Ok(Self {
            out: directory("OUT_DIR")?,
            wish: match wish {
                Wish::Update | Wish::Check if !is_ours => Wish::Nothing,
                _ => wish,
            },
            manifest,
        })
    }
}

impl Wish {
    fn parse(value: Option<&OsStr>) -> Result<Self, BuildError> {
        let value = value.unwrap_or_default();
        Ok(match value.to_str() {
            Some("") => Self::Nothing,
            Some("update") => Self::Update,
            Some("check") => Self::Check,
            Some("allow-stale") => Self::AllowStale,
            _ => return Err(BuildError::Wish(value.to_owned())),
        })
    }
}

/// Whether a package's files are cargo's copies: from a registry or a git repository, or vendored.
fn is_downloaded(manifest: &Path) -> bool {
    manifest.join(".cargo-checksum.json").exists()
        || manifest
            .ancestors()
            .any(|directory| directory.join(".cargo-ok").exists())
}

/// With LLVM: compiles the templates, and compares.
fn compiled(
    set: Set,
    sources: [u8; 32],
    checked_in: &Path,
    surroundings: &Surroundings,
) -> Result<(StencilTable, Origin), BuildError> {
    let table = StencilTable::from_bytes(compile(set, sources)?)?;
    let llvm = table.llvm_version();
    let origin = match (difference(&table, checked_in), surroundings.wish) {
        (None, _) => Origin::Same { llvm },
        (Some(_), Wish::Update) => {
            update(checked_in, table.as_bytes())?;
            Origin::Updated { llvm }
        }
        (Some(difference), Wish::Check) => {
            return Err(BuildError::Differs {
                path: checked_in.to_owned(),
                llvm,
                difference,
            });
        }
        (Some(difference), _) => Origin::Different { llvm, difference },
    };
    Ok((table, origin))
}

#[cfg(llvm)]
fn compile(set: TemplateSet, sources: [u8; 32]) -> Result<Vec<u8>, BuildError> {
    let mut options = crate::codegen::Options::default();
    // As many as cargo's -j allows.
    let jobs = env::var("NUM_JOBS").ok().and_then(|jobs| jobs.parse().ok());
    options.threads = jobs.unwrap_or(options.threads);
    Ok(crate::codegen::compile_to_bytes(
        &set.with_sources(sources),
        options,
    )?)
}

#[cfg(not(llvm))]
fn compile(set: Set, _: [u8; 32]) -> Result<Vec<u8>, BuildError> {
    match set {}
}

fn update(checked_in: &Path, bytes: &[u8]) -> Result<(), BuildError> {
    if let Some(directory) = checked_in.parent() {
        fs::create_dir_all(directory).map_err(|source| TableError::Io {
            action: "create",
            path: directory.to_owned(),
            source,
        })?;
    }
    Ok(write_file(checked_in, bytes)?)
}

/// What of the checked-in table differs from the table that was compiled now, and why.
fn difference(table: &StencilTable, checked_in: &Path) -> Option<Difference> {
    match open(checked_in) {
        Ok(None) => Some(Difference::Missing),
        Err(error) => Some(Difference::Unusable(error)),
        Ok(Some(old)) if old.as_bytes() == table.as_bytes() => None,
        Ok(Some(old)) if old.sources() != table.sources() => Some(Difference::Sources),
        Ok(Some(old)) if old.llvm_version() != table.llvm_version() => {
            Some(Difference::Llvm(old.llvm_version()))
        }
        Ok(Some(_)) => Some(Difference::Other),
    }
}

/// The table in a file, or none where there is no file.
fn open(path: &Path) -> Result<Option<StencilTable>, TableError> {
    match StencilTable::open(path) {
        Ok(table) => Ok(Some(table)),
        Err(TableError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
