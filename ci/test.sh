#!/usr/bin/env bash
# Passes the tests: all packages, with the templates compiled by LLVM 19, which is installed if it is missing. The last
# line counts them.
# Usage: ci/test.sh [ARGUMENTS OF cargo test]
set -euo pipefail
cd "$(dirname "$0")/.."

ci/setup-llvm.sh 19
features=$(printf '%s/llvm19,' mimeo-compiler mimeo-ir-templates mimeo-cli mimeo-tests)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
cargo test --workspace --features "${features%,}" "$@" 2>&1 | tee "$log" || status=$?
# Cargo has a closing line for each test program.
awk '/^test result:/ { passed += $4; failed += $6; skipped += $8 }
     END { printf "\n%d passed, %d failed, %d skipped\n", passed, failed, skipped }' "$log"
exit "$status"
