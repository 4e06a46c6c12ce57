#!/usr/bin/env bash
# Installs a C compiler, which Rust links with, unless there is one. On Debian and Ubuntu with apt; elsewhere it says what to
# install.
set -euo pipefail

usage() {
    cat <<TEXT
Usage: ci/setup-linker.sh
Makes \`cc\` link C programs, as Rust needs: on Debian and Ubuntu the packages gcc and libc6-dev are installed where it does not, as
root or with sudo.
Exit code: 0 it links, 1 it does not, 2 usage.
TEXT
}

fail() {
    printf 'setup-linker: %s\n' "$*" >&2
    exit 1
}

case ${1:-} in
'') ;;
-h | --help) usage && exit 0 ;;
*) printf 'setup-linker: unknown argument: %s (--help says more)\n' "$1" >&2 && exit 2 ;;
esac

links_c() {
    local out status=0
    out=$(mktemp)
    echo 'int main(void) { return 0; }' | cc -x c -o "$out" - 2>/dev/null || status=$?
    rm -f "$out"
    return "$status"
}

! links_c || exit 0
command -v apt-get >/dev/null 2>&1 ||
    fail "cc links no C program, which Rust needs, and there is no apt-get: install gcc (Fedora, Arch) or Xcode's tools (macOS)"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null 2>&1 || fail "installing packages needs root, and there is no sudo"
    as_root=(sudo)
fi
apt() { ${as_root[@]+"${as_root[@]}"} env LC_ALL=C DEBIAN_FRONTEND=noninteractive apt-get -q "$@" >&2; }
apt update || printf 'setup-linker: %s\n' "the lists of packages could not all be brought up to date" >&2
apt install -y --no-install-recommends gcc libc6-dev
links_c || fail "gcc and libc6-dev are installed, and cc links no C program"
