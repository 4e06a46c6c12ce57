#!/usr/bin/env bash
# Every package that is published is whole: it has what it must have, builds from what is packed alone, and so does its
# documentation as docs.rs builds it, all without LLVM.
set -euo pipefail
cd "$(dirname "$0")/.."
program=${0##*/}
# shellcheck source-path=SCRIPTDIR source=tools.sh
. ci/tools.sh

usage() {
    cat <<TEXT
Usage: ci/check-packages.sh [OPTIONS]
Packs the packages, as they are in the working directory; looks at what is in them; builds each from what was packed; and
builds the documentation of each as docs.rs does. No LLVM is found meanwhile, though it may be installed.

  --quick   check that what was packed compiles, in the place of building it, which takes most of the time
  --tests   also run the tests that are in the packages
Exit code: 0 fine, 1 a package is not as it must be, 2 usage.
TEXT
}

tests=no quick=no
while [ $# -gt 0 ]; do
    case $1 in
    --tests) tests=yes && shift ;;
    --quick) quick=yes && shift ;;
    -h | --help) usage && exit 0 ;;
    *) usage_error "unknown argument: $1" ;;
    esac
done

target=${CARGO_TARGET_DIR:-target}
case $target in /*) ;; *) target=$PWD/$target ;; esac
export CARGO_TARGET_DIR=$target
# Always the same place, so that cargo does not take the packages for others each time.
work=$target/package/check
rm -rf "$work"
mkdir -p "$work/empty" "$work/packages"

# A variable that names a place where LLVM is not: whoever looks for it fails.
for major in 19 20 21 22 23; do
    export "LLVM_SYS_${major}1_PREFIX=$work/empty"
done

# Where the manifests of published packages are.
directories=() exclude=()
for manifest in $(git ls-files '*/Cargo.toml'); do
    if is_published "$manifest"; then
        directories+=("${manifest%/Cargo.toml}")
    else
        exclude+=(--exclude "$(package_name "$manifest")")
    fi
done

pack=(cargo package --locked --allow-dirty --workspace "${exclude[@]}")
if [ "$quick" = yes ]; then pack+=(--no-verify); fi
say "${pack[*]}"
"${pack[@]}" 2>"$work/log" || {
    cat "$work/log" >&2
    fail "cargo package failed"
}

version=$(workspace_field version)
names=()
for directory in "${directories[@]}"; do
    name=$(package_name "$directory/Cargo.toml")
    crate=$target/package/$name-$version.crate
    [ -s "$crate" ] || fail "$name: not packed"
    # With the time of now: cargo goes by it, and packs all files with the same.
    tar -xzmf "$crate" -C "$work/packages"
    mv "$work/packages/$name-$version" "$work/packages/$name"
    names+=("$name")
    packed=$work/packages/$name
    for file in LICENSE-MIT LICENSE-APACHE; do
        cmp -s "$file" "$packed/$file" || fail "$name: $file is missing, or another one"
    done
    # A link that git did not make a link has a line of text, its target.
    [ "$(wc -l <"$packed/README.md")" -gt 5 ] || fail "$name: it has no README"
    for field in description license keywords categories readme rust-version; do
        grep -q "^$field = " "$packed/Cargo.toml" || fail "$name: its manifest has no $field"
    done
    ! grep -q '^path = "\.\./' "$packed/Cargo.toml" || fail "$name: its manifest has a path out of it"
    size=$(stat -c %s "$crate")
    [ "$size" -le 10485760 ] || fail "$name: $size bytes are more than crates.io takes"
    printf '%-20s %4d files, %4d KiB packed\n' "$name" "$(find "$packed" -type f | wc -l)" "$((size / 1024))"
done

# What was packed, as a workspace in which the packages find each other.
{
    printf '[workspace]\nresolver = "3"\nmembers = ["*"]\n[patch.crates-io]\n'
    for name in "${names[@]}"; do
        printf '%s = { path = "%s" }\n' "$name" "$name"
    done
} >"$work/packages/Cargo.toml"
cp Cargo.lock "$work/packages/"
in_packages() { (cd "$work/packages" && "$@"); }

if [ "$quick" = yes ]; then
    for name in "${names[@]}"; do
        say "checking $name"
        in_packages cargo check -q --package "$name" || fail "$name does not compile from what was packed"
    done
fi

# The features that docs.rs is told to take.
docs_features() {
    sed -n '/^\[package.metadata.docs.rs\]/,/^$/s/^features = \["\(.*\)"\]$/\1/p' "$work/packages/$1/Cargo.toml.orig"
}

for name in "${names[@]}"; do
    # There is no documentation of commands on docs.rs.
    [ -e "$work/packages/$name/src/lib.rs" ] || continue
    features=$(docs_features "$name")
    say "documentation of $name${features:+, with $features}"
    DOCS_RS=1 RUSTDOCFLAGS="-D warnings --cfg docsrs" \
        in_packages cargo doc -q --no-deps --package "$name" --features "$features" || fail "$name: no documentation"
done

if [ "$tests" = yes ]; then
    for name in "${names[@]}"; do
        say "tests of $name"
        in_packages cargo test -q --package "$name" || fail "$name: its tests fail"
    done
fi
say "${#names[@]} packages are whole"
