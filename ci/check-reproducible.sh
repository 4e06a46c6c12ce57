#!/usr/bin/env bash
# The checked-in tables and interpreters are what the templates give, byte for byte, wherever and however they are compiled.
# Varied are: the path of the source, from which the generator is built a second time, without optimisation; the number of
# threads; the working directory, the home directory, the locale and the time zone. The time varies by itself: what is checked in
# is older.
set -euo pipefail
cd "$(dirname "$0")/.."

elsewhere=$(mktemp -d)
trap 'rm -rf "$elsewhere"' EXIT
# A path with a space in it, and much longer than ours.
copy="$elsewhere/another place, deep down/$(printf '%.0sx' {1..60})/mimeo"
mkdir -p "$copy" "$elsewhere/one" "$elsewhere/three"
tar --exclude=./target --exclude=./.git -cf - . | tar -C "$copy" -xf -

cargo build --locked --release -p mimeo-cli --features llvm19
here=$(realpath -m "${CARGO_TARGET_DIR:-target}")/release/mimeo
# In a target directory of its own: to cargo, the same packages at another path are built already.
(
    cd "$copy"
    export CARGO_TARGET_DIR=$elsewhere/target CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_DEBUG=none
    cargo build --locked -p mimeo-cli --features llvm19
)
there=$elsewhere/target/debug/mimeo

"$here" build --check
(
    cd "$elsewhere"
    env -i PATH="$PATH" HOME=/nonexistent LC_ALL=C TZ=Asia/Tokyo "$there" build --threads 1 --out one
    env LC_ALL=C.UTF-8 TZ=America/St_Johns "$there" build --threads 3 --out three
)
for file in ir-templates/tables/*.mimeo ir-templates/tables/*.interp; do
    cmp "$elsewhere/one/${file##*/}" "$file"
    cmp "$elsewhere/three/${file##*/}" "$file"
done
"$here" verify ir-templates/tables/*.mimeo
echo "check-reproducible: the same bytes from two paths, by 1, 3 and all threads, in other locales and time zones"
