#!/usr/bin/env bash
# What the libraries offer has not changed more than their version says, since the last release or another revision.
set -euo pipefail
cd "$(dirname "$0")/.."
program=${0##*/}
# shellcheck source-path=SCRIPTDIR source=tools.sh
. ci/tools.sh

usage() {
    cat <<TEXT
Usage: ci/check-semver.sh [OPTIONS] [REVISION]
Compares the public items of the libraries, with their default features, with those at REVISION, or at the last tag v*, with
cargo-semver-checks $semver_checks_version, which is built if it is missing. Without a tag there is no release to compare with:
says SKIPPED and succeeds. The packages' versions say what may change; between equal versions nothing may break.

  --package NAME        only this package (again for more)
  --release-type TYPE   what the next version will be: major, minor or patch
Exit code: 0 fine or skipped, 1 a package breaks its promise or the comparison failed, 2 usage.
TEXT
}

options=() packages=() baseline=''
while [ $# -gt 0 ]; do
    case $1 in
    --package | --release-type)
        [ $# -ge 2 ] || usage_error "$1 needs a value"
        case $1 in
        --package) packages+=("$2") ;;
        --release-type)
            [[ $2 =~ ^(major|minor|patch)$ ]] || usage_error "--release-type is major, minor or patch, not $2"
            options+=(--release-type "$2")
            ;;
        esac
        shift 2
        ;;
    -h | --help) usage && exit 0 ;;
    -*) usage_error "unknown argument: $1" ;;
    *)
        [ -z "$baseline" ] || usage_error "one revision, not $baseline and $1"
        baseline=$1 && shift
        ;;
    esac
done

if [ -z "$baseline" ]; then
    baseline=$(git describe --tags --abbrev=0 --match 'v[0-9]*' 2>/dev/null || true)
    if [ -z "$baseline" ]; then
        say "SKIPPED: there is no release yet, and no revision was given"
        exit 0
    fi
fi
commit=$(git rev-parse --verify --quiet "$baseline^{commit}") || usage_error "no such revision: $baseline"

# The libraries that are published.
if [ ${#packages[@]} -eq 0 ]; then
    for manifest in $(git ls-files '*/Cargo.toml'); do
        if [ -e "${manifest%Cargo.toml}src/lib.rs" ] && is_published "$manifest"; then
            packages+=("$(package_name "$manifest")")
        fi
    done
fi
for package in "${packages[@]}"; do
    options+=(--package "$package")
done

cargo_tool cargo-semver-checks "$semver_checks_version" cargo-semver-checks
say "comparing ${packages[*]} with $baseline ($(git rev-parse --short "$commit"))"
"$tool" semver-checks --baseline-rev "$commit" --default-features "${options[@]}" ||
    fail "the libraries have changed more than their versions say, or could not be compared"
say "the libraries keep their promise"
