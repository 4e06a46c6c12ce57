//! The processor's features, as far as patching asks for them, and the patcher that is chosen.

use mimeo::Patcher;
use serde::Serialize;

#[derive(Debug, Serialize)]
pub(super) struct Processor {
    /// As the system calls it, if it does.
    pub(super) model: Option<String>,
    pub(super) features: Vec<Feature>,
    /// The patcher that compiles traces here: the fastest that this processor can run.
    pub(super) patcher: &'static str,
    /// All that could be asked for.
    pub(super) patchers: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
pub(super) struct Feature {
    pub(super) name: &'static str,
    pub(super) present: bool,
    /// What asks for it.
    pub(super) needed_by: &'static str,
}

/// What every stencil and the interpreter may use.
const BASELINE: &str = "all stencils: the x86-64 baseline";

impl Processor {
    pub(super) fn new() -> Self {
        let feature = |name, present, needed_by| Feature {
            name,
            present,
            needed_by,
        };
        // The fastest first, as the runtime tries them.
        let patchers = [Patcher::Avx512, Patcher::Avx2, Patcher::Portable];
        let available: Vec<&str> = patchers
            .into_iter()
            .filter(|patcher| patcher.is_available())
            .map(Patcher::name)
            .collect();
        Self {
            model: model(),
            features: vec![
                feature("sse", is_x86_feature_detected!("sse"), BASELINE),
                feature("sse2", is_x86_feature_detected!("sse2"), BASELINE),
                feature("avx2", is_x86_feature_detected!("avx2"), "the patcher avx2"),
                feature(
                    "avx512vl",
                    is_x86_feature_detected!("avx512vl"),
                    "the patcher avx512",
                ),
                feature(
                    "avx512vbmi2",
                    is_x86_feature_detected!("avx512vbmi2"),
                    "the patcher avx512",
                ),
            ],
            patcher: available.first().copied().unwrap_or("portable"),
            patchers: available,
        }
    }
}

/// The first processor's name in /proc/cpuinfo.
fn model() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    let (_, name) = line.split_once(':')?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}
