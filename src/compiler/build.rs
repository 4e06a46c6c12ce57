//! Links the one LLVM that the cargo features ask for, or says in one message why it cannot be had.
//!
//! The crate llvm-sys, which has LLVM's declarations, is told not to look for LLVM itself: it would accept a newer version than
//! its own, want headers that nothing here needs, and fail in the linker.

#[path = "src/installation.rs"]
#[allow(dead_code, unreachable_pub, reason = "the library needs the rest")]
mod installation;

use installation::{Installation, SUPPORTED, Surroundings};
use std::env;

macro_rules! exclude_each_other {
    ($last:literal) => {};
    ($first:literal, $($other:literal),+) => {
        $(
            #[cfg(all(feature = $first, feature = $other))]
            compile_error!(concat!(
                "the features ", $first, " and ", $other, " exclude each other, because a program is linked with one \
                 LLVM: keep one of them, and use no --all-features"
            ));
        )+
        exclude_each_other!($($other),+);
    };
}

exclude_each_other!("llvm19", "llvm20", "llvm21", "llvm22", "llvm23");

fn main() {
    println!("cargo::rustc-check-cfg=cfg(llvm)");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/installation.rs");
    if let Err(message) = llvm() {
        // Fails the build by itself. Of a script that failed, cargo would print all output, and with it the message again.
        println!("cargo::error={message}");
    }
}

/// Links LLVM where a feature asks for it, and tells the library that it is there: `cfg(llvm)`.
fn llvm() -> Result<(), String> {
    // Of more than one, this script was not compiled.
    let Some(major) = { SUPPORTED }.find(|major| has_feature(&format!("LLVM{major}"))) else {
        return match has_feature("LLVM") {
            true => Err(no_version()),
            false => Ok(()),
        };
    };
    // Documentation is built without linking, and docs.rs has no LLVM.
    println!("cargo::rerun-if-env-changed=DOCS_RS");
    if env::var_os("DOCS_RS").is_some() {
        have_llvm(major);
        return Ok(());
    }
    watch(major);
    match Surroundings::of_this_process().find(major) {
        Ok(found) => {
            link(&found);
            have_llvm(major);
            Ok(())
        }
        Err(missing) if has_feature("IF_INSTALLED") => {
            println!("cargo::warning=built without LLVM: {missing}");
            Ok(())
        }
        Err(missing) => Err(missing.to_string()),
    }
}

fn have_llvm(major: u32) {
    println!("cargo::rustc-cfg=llvm");
    println!("cargo::rustc-env=MIMEO_LLVM_MAJOR={major}");
}

fn has_feature(name: &str) -> bool {
    env::var_os(format!("CARGO_FEATURE_{name}")).is_some()
}

fn no_version() -> String {
    let names: Vec<String> = SUPPORTED.map(|major| format!("llvm{major}")).collect();
    format!(
        "the feature `llvm` alone names no version of LLVM: use one of {} in its place",
        names.join(", ")
    )
}

/// Run this script again when an LLVM is installed, removed, or named by the environment.
fn watch(major: u32) {
    println!(
        "cargo::rerun-if-env-changed={}",
        installation::prefix_variable(major)
    );
    println!("cargo::rerun-if-env-changed=PATH");
    // What the loader finds changes with each library that a package brings.
    let cache = "/etc/ld.so.cache";
    if std::path::Path::new(cache).exists() {
        println!("cargo::rerun-if-changed={cache}");
    }
}

/// Links the library under the very name that was found: a package without headers has no other.
fn link(found: &Installation) {
    println!("cargo::rerun-if-changed={}", found.library.display());
    let directory = found.library.parent().map(|path| path.display());
    let name = found.library.file_name().and_then(|name| name.to_str());
    let (Some(directory), Some(name)) = (directory, name) else {
        return;
    };
    println!("cargo::rustc-link-search=native={directory}");
    let plain = name
        .strip_suffix(".so")
        .or_else(|| name.strip_suffix(".dylib"))
        .and_then(|name| name.strip_prefix("lib"));
    match plain {
        Some(plain) => println!("cargo::rustc-link-lib=dylib={plain}"),
        None => println!("cargo::rustc-link-lib=dylib:+verbatim={name}"),
    }
}
