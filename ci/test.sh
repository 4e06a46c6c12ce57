#!/usr/bin/env bash
# Passes the tests: all packages, with the templates compiled by LLVM. LLVM is installed if it is missing, and so is Python, with
# which programs are compared. The last line counts the tests.
set -euo pipefail
cd "$(dirname "$0")/.."
program='test'
# shellcheck source-path=SCRIPTDIR source=common.sh
. ci/common.sh

usage() {
    cat <<TEXT
Usage: ci/test.sh [--llvm VERSION] [ARGUMENTS OF cargo test]
Passes all tests with LLVM 19, or the VERSION that is given.
Exit code: 0 passed, 2 usage, another: a test failed, or what it needs cannot be installed.
TEXT
}

version=19
arguments=()
while [ $# -gt 0 ]; do
    case $1 in
    --llvm)
        [ $# -ge 2 ] || usage_error "--llvm needs a version"
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
if ! "${MIMEO_PYTHON:-python3}" -c 'import sys; assert sys.version_info >= (3, 11)' 2>/dev/null; then
    install_packages python3 || fail "a Python from 3.11 on is missing: install it, or let MIMEO_PYTHON name one"
fi
features=$(printf "%s/llvm$version," mimeo-compiler mimeo-ir-templates mimeo-cli mimeo-tests)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
cargo test --workspace --features "${features%,}" ${arguments[@]+"${arguments[@]}"} "$@" 2>&1 | tee "$log" || status=$?
# Cargo has a closing line for each test program.
awk '/^test result:/ { passed += $4; failed += $6; skipped += $8 }
     END { printf "\n%d passed, %d failed, %d skipped\n", passed, failed, skipped }' "$log"
exit "$status"
