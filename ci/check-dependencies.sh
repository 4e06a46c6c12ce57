#!/usr/bin/env bash
# The runtime must not need LLVM: fails when its dependencies name inkwell or llvm-sys.
set -euo pipefail
cd "$(dirname "$0")/.."

tree=$(cargo tree --locked -p mimeo -e normal --prefix none)
if found=$(grep -E '^(inkwell|llvm-sys)' <<<"$tree"); then
    echo "check-dependencies: package mimeo depends on LLVM through:" >&2
    echo "$found" >&2
    exit 1
fi
echo "check-dependencies: package mimeo needs no LLVM"
