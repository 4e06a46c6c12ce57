#!/usr/bin/env bash
# The packages build with the oldest Rust that they say they do: rust-version in Cargo.toml. LLVM's features are included, and
# LLVM itself is not needed, because nothing is linked.
set -euo pipefail
cd "$(dirname "$0")/.."
program=${0##*/}
# shellcheck source-path=SCRIPTDIR source=tools.sh
. ci/tools.sh

usage() {
    cat <<TEXT
Usage: ci/check-msrv.sh [--install]
Checks all packages with the Rust version that the workspace's manifest states: the Rust in use where it is that one, or
rustup's toolchain of that version.

  --install   have rustup install that toolchain where it is missing
Exit code: 0 fine, 1 something does not build with it, 2 usage, 3 that version is not there: nothing was checked.
TEXT
}

install=no
while [ $# -gt 0 ]; do
    case $1 in
    --install) install=yes && shift ;;
    -h | --help) usage && exit 0 ;;
    *) usage_error "unknown argument: $1" ;;
    esac
done

version=$(workspace_field rust-version)
[[ $version =~ ^1\.[0-9]+(\.[0-9]+)?$ ]] || fail "Cargo.toml states no rust-version"
for manifest in $(git ls-files '*/Cargo.toml'); do
    grep -q '^rust-version.workspace = true$' "$manifest" || fail "$manifest does not take the workspace's rust-version"
done

# 1.95 means the first of its releases, and any of them does.
is_version() {
    [[ "$("$@" --version 2>/dev/null)" == "rustc $version"[.\ ]* ]]
}

export RUSTUP_AUTO_INSTALL=0
if is_version rustc; then
    cargo=(cargo)
elif command -v rustup >/dev/null 2>&1; then
    if ! is_version rustup run "$version" rustc && [ "$install" = yes ]; then
        rustup toolchain install "$version" --profile minimal || true
    fi
    if is_version rustup run "$version" rustc; then
        cargo=(rustup run "$version" cargo)
    fi
fi
if [ -z "${cargo[*]-}" ]; then
    say "SKIPPED: Rust $version is not there, only $(rustc --version)" >&2
    exit 3
fi

# With DOCS_RS set the compiler's build script links nothing.
export DOCS_RS=1
packages=(--locked --workspace --all-targets)
say "Rust $version, without LLVM"
"${cargo[@]}" check "${packages[@]}" || fail "a package does not build with Rust $version"
say "Rust $version, with every feature but those of other LLVM versions"
# The example's build script would run LLVM.
"${cargo[@]}" check "${packages[@]}" --exclude filter-example \
    --features mimeo-compiler/llvm19,mimeo-ir-templates/llvm19,mimeo-cli/llvm19,mimeo-cli/bench,mimeo-tests/llvm19 ||
    fail "a package does not build with Rust $version and its features"
say "all packages build with Rust $version"
