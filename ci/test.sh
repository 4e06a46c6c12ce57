#!/usr/bin/env bash
# Passes the tests: all packages, with the templates compiled by LLVM, which is installed if it is missing. The last line counts
# them.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
    cat <<TEXT
Usage: ci/test.sh [--llvm VERSION] [ARGUMENTS OF cargo test]
Passes all tests with LLVM 19, or the VERSION that is given.
Exit code: 0 passed, 2 usage, another: a test failed, or LLVM cannot be installed.
TEXT
}

version=19
arguments=()
while [ $# -gt 0 ]; do
    case $1 in
    --llvm)
        [ $# -ge 2 ] || { echo "test: --llvm needs a version (--help says more)" >&2 && exit 2; }
        version=$2
        shift 2
        ;;
    --llvm=*) version=${1#*=} && shift ;;
    -h | --help) usage && exit 0 ;;
    --) break ;;
    *) arguments+=("$1") && shift ;;
    esac
done

ci/setup-llvm.sh "$version"
features=$(printf "%s/llvm$version," mimeo-compiler mimeo-ir-templates mimeo-cli mimeo-tests)
packages=(--workspace)
# The example asks for LLVM 19 itself, and two versions exclude each other.
[ "$version" = 19 ] || packages+=(--exclude filter-example)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
cargo test "${packages[@]}" --features "${features%,}" ${arguments[@]+"${arguments[@]}"} "$@" 2>&1 | tee "$log" || status=$?
# Cargo has a closing line for each test program.
awk '/^test result:/ { passed += $4; failed += $6; skipped += $8 }
     END { printf "\n%d passed, %d failed, %d skipped\n", passed, failed, skipped }' "$log"
exit "$status"
