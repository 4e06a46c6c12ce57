#!/usr/bin/env bash
# Passes the tests: all packages, with the templates compiled by LLVM. LLVM, and the Python that some tests compare with, are
# installed if they are missing. The last line counts the tests.
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

# Programs are also run by Python, from 3.11 on. Where there is none, or none that can be installed, the tests say so.
set_up_python() {
    local as_root=()
    [ -z "${MIMEO_PYTHON:-}" ] && ! command -v python3 >/dev/null 2>&1 && command -v apt-get >/dev/null 2>&1 || return 0
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    "${as_root[@]}" apt-get update -q || true
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends python3 || true
}

ci/setup-llvm.sh "$version"
set_up_python
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
