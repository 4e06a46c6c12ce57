#!/usr/bin/env bash
# The checked-in tables are what the templates give, and a build elsewhere with another number of threads gives the same
# bytes.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --locked --release -p mimeo-cli --features llvm19
mimeo=$PWD/${CARGO_TARGET_DIR:-target}/release/mimeo
case ${CARGO_TARGET_DIR:-} in /*) mimeo=$CARGO_TARGET_DIR/release/mimeo ;; esac
"$mimeo" build --check

elsewhere=$(mktemp -d)
trap 'rm -rf "$elsewhere"' EXIT
mkdir "$elsewhere/one" "$elsewhere/three"
(cd "$elsewhere" && LC_ALL=C TZ=Asia/Tokyo "$mimeo" build --threads 1 --out one && "$mimeo" build --threads 3 --out three)
for table in ir-templates/tables/*.mimeo; do
    cmp "$elsewhere/one/${table##*/}" "$table"
    cmp "$elsewhere/three/${table##*/}" "$table"
    "$mimeo" verify "$table"
done
