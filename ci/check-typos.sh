#!/usr/bin/env bash
# No word is misspelled, in code, comments, documents and file names. What is no mistake is listed in ci/typos.toml.
set -euo pipefail
cd "$(dirname "$0")/.."
program=${0##*/}
# shellcheck source-path=SCRIPTDIR source=tools.sh
. ci/tools.sh

usage() {
    cat <<TEXT
Usage: ci/check-typos.sh [--write] [FILE...]
Looks for misspelled words in FILEs, or in the whole project, with typos $typos_version, which is installed if it is missing.

  --write   correct them
Exit code: 0 fine, 1 a word is misspelled or the program cannot be had, 2 usage.
TEXT
}

arguments=(--config ci/typos.toml)
while [ $# -gt 0 ]; do
    case $1 in
    --write) arguments+=(--write-changes) && shift ;;
    -h | --help) usage && exit 0 ;;
    -*) usage_error "unknown argument: $1" ;;
    *) break ;;
    esac
done
for file in "$@"; do
    [ -e "$file" ] || usage_error "no such file: $file"
done

python_tool typos "$typos_version" || cargo_tool typos "$typos_version" typos-cli
"$tool" "${arguments[@]}" "$@" || fail "words are misspelled; ci/check-typos.sh --write corrects what has one correction"
say "no word is misspelled"
