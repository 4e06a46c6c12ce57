//! LLVM: which versions are installed, which of them can be linked, and which this program is linked with.

use super::programs::Clang;
use super::{Advice, library};
use mimeo_compiler::installation::{Missing, SUPPORTED, Surroundings};
use serde::Serialize;
use std::path::PathBuf;

/// The major version that this program was built with.
#[cfg(feature = "llvm")]
pub(super) const BUILT_WITH: Option<u32> = Some(mimeo_compiler::target::LLVM_MAJOR);
#[cfg(not(feature = "llvm"))]
pub(super) const BUILT_WITH: Option<u32> = None;

#[derive(Debug, Serialize)]
pub(super) struct Llvm {
    /// The major version that this program was built with; none where it compiles no templates.
    pub(super) built_with: Option<u32>,
    /// The version of the library that is linked.
    pub(super) linked: Option<String>,
    /// Every version that mimeo can be built with.
    pub(super) versions: Vec<Version>,
}

#[derive(Debug, Serialize)]
pub(super) struct Version {
    pub(super) major: u32,
    pub(super) state: State,
    /// In full, as far as it is known without running it.
    pub(super) version: Option<String>,
    pub(super) library: Option<PathBuf>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) problems: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// It can be linked.
    Usable,
    /// Something is there that cannot be.
    Unusable,
    Missing,
}

impl Llvm {
    pub(super) fn new(surroundings: &Surroundings) -> Self {
        Self {
            built_with: BUILT_WITH,
            linked: linked(),
            versions: { SUPPORTED }
                .map(|major| Version::new(major, surroundings))
                .collect(),
        }
    }

    /// What to install to compile templates, and CPython's stencils. One version is enough.
    pub(super) fn advice(&self, surroundings: &Surroundings, clang: &[Clang]) -> Vec<Advice> {
        let has_clang = |major: u32| clang.iter().any(|clang| clang.major == major);
        let mut advice = Vec::new();
        if let Some(major) = self.built_with {
            if self.linked.is_some() && !has_clang(major) {
                advice.push(Advice::new(
                    "mimeo cpython",
                    install_clang(major, surroundings),
                ));
            }
            return advice;
        }
        let purpose = "compiling templates, mimeo cpython";
        let usable = || {
            let usable = self.versions.iter();
            usable
                .filter(|version| version.state == State::Usable)
                .map(|version| version.major)
        };
        // One with its clang does everything, and the first is nearest to the one of the embedded tables.
        match usable()
            .find(|&major| has_clang(major))
            .or_else(|| usable().next())
        {
            Some(major) => advice.push(Advice::new(
                purpose,
                format!(
                    "build mimeo with LLVM {major}, which is there: `cargo build --release -p mimeo-cli --features \
                     llvm{major}`"
                ),
            )),
            None => {
                let major = SUPPORTED.start();
                advice.push(Advice::new(
                    purpose,
                    format!(
                        "{}, then `cargo build --release -p mimeo-cli --features llvm{major}`; LLVM {} to {} do as well",
                        surroundings.advice(*major),
                        major + 1,
                        SUPPORTED.end()
                    ),
                ));
            }
        }
        advice
    }
}

/// How to install clang.
fn install_clang(major: u32, surroundings: &Surroundings) -> String {
    match surroundings.is_like("debian") || surroundings.is_like("ubuntu") {
        true => format!("run `apt-get install clang-{major}`"),
        false => format!("install clang {major}"),
    }
}

/// The version of the library that is linked.
#[cfg(feature = "llvm")]
fn linked() -> Option<String> {
    let (major, minor, patch) = mimeo_compiler::target::linked_version();
    Some(format!("{major}.{minor}.{patch}"))
}

#[cfg(not(feature = "llvm"))]
fn linked() -> Option<String> {
    None
}

impl Version {
    fn new(major: u32, surroundings: &Surroundings) -> Self {
        let (state, version, library, problems) = match surroundings.find(major) {
            Ok(found) => {
                let problems = library::problems(&found.library);
                let state = match problems.is_empty() {
                    true => State::Usable,
                    false => State::Unusable,
                };
                (state, Some(found.version), Some(found.library), problems)
            }
            Err(Missing::NotInstalled { .. }) => (State::Missing, None, None, Vec::new()),
            // Something was found, and the message says what is wrong with it.
            Err(missing) => (State::Unusable, None, None, vec![missing.to_string()]),
        };
        Self {
            major,
            state,
            version,
            library,
            problems,
        }
    }
}
