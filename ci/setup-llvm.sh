#!/usr/bin/env bash
# Installs the LLVM that mimeo's templates are compiled with, unless it is there.
# Usage: ci/setup-llvm.sh [VERSION]      (VERSION is 19, the only one so far)
# On Debian and Ubuntu it installs packages; elsewhere it says what to install.
set -euo pipefail

version=${1:-19}
if [ "$version" != 19 ]; then
    echo "setup-llvm: mimeo is built with LLVM 19, not $version" >&2
    exit 2
fi

# llvm-sys asks llvm-config where the library and its headers are.
find_llvm() {
    local candidate
    for candidate in "${LLVM_SYS_191_PREFIX:+$LLVM_SYS_191_PREFIX/bin/llvm-config}" "llvm-config-$version" llvm-config; do
        if [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1 &&
            [[ "$("$candidate" --version)" == "$version".* ]] &&
            [ -e "$("$candidate" --includedir)/llvm-c/Core.h" ]; then
            echo "$candidate"
            return 0
        fi
    done
    return 1
}

# A C++ program must link, because LLVM's library is one.
links_cxx() {
    local out
    out=$(mktemp)
    echo 'int main(void) { return 0; }' | cc -x c -o "$out" - -lstdc++ 2>/dev/null
    local status=$?
    rm -f "$out"
    return $status
}

if llvm=$(find_llvm) && links_cxx; then
    echo "setup-llvm: LLVM $("$llvm" --version) is there"
    exit 0
fi

if ! command -v apt-get >/dev/null 2>&1; then
    cat >&2 <<TEXT
setup-llvm: LLVM $version is missing, and this is neither Debian nor Ubuntu. Install it with its headers and a C++
standard library, then try again:
  Fedora:  dnf install llvm$version-devel gcc-c++
  Arch:    pacman -S llvm$version gcc
  macOS:   brew install llvm@$version
or set LLVM_SYS_191_PREFIX to where LLVM $version is installed.
TEXT
    exit 1
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    as_root=(sudo)
fi
"${as_root[@]}" apt-get update -q
packages=("llvm-$version-dev")
command -v cc >/dev/null 2>&1 || packages+=(gcc libc6-dev)
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${packages[@]}"
if ! links_cxx; then
    # The C++ library that belongs to the C compiler.
    cxx="libstdc++-$(cc -dumpversion | cut -d. -f1)-dev"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$cxx"
fi
llvm=$(find_llvm)
echo "setup-llvm: LLVM $("$llvm" --version) is installed"
