#!/usr/bin/env bash
# Installs a C compiler, which Rust links with, unless there is one. On Debian and Ubuntu with apt; elsewhere it says what to
# install.
set -euo pipefail
program=setup-linker
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() {
    cat <<TEXT
Usage: ci/setup-linker.sh
Makes \`cc\` link C programs, as Rust needs: on Debian and Ubuntu the packages gcc and libc6-dev are installed where it does not, as
root or with sudo.
Exit code: 0 it links, 1 it does not, 2 usage.
TEXT
}

case ${1:-} in
'') ;;
-h | --help) usage && exit 0 ;;
*) usage_error "unknown argument: $1" ;;
esac

links_c() {
    local out status=0
    out=$(mktemp)
    echo 'int main(void) { return 0; }' | cc -x c -o "$out" - 2>/dev/null || status=$?
    rm -f "$out"
    return "$status"
}

! links_c || exit 0
install_packages gcc libc6-dev >&2 ||
    fail "cc links no C program, which Rust needs: install gcc (Debian: and libc6-dev), or Xcode's tools on macOS"
links_c || fail "gcc and libc6-dev are installed, and cc links no C program"
