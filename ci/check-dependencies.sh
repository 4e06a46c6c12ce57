#!/usr/bin/env bash
# The runtime must not need LLVM, nor what it is compared with: fails when its dependencies name inkwell, llvm-sys or
# Cranelift.
set -euo pipefail
cd "$(dirname "$0")/.."

tree=$(cargo tree --locked -p mimeo -e normal --prefix none)
if found=$(grep -E '^(inkwell|llvm-sys|cranelift|mimeo-bench)' <<<"$tree"); then
    echo "check-dependencies: package mimeo depends on a compiler through:" >&2
    echo "$found" >&2
    exit 1
fi
echo "check-dependencies: package mimeo needs no LLVM"
