#!/usr/bin/env bash
# Installs the LLVM that mimeo's templates are compiled with, unless it is there: its shared library, after what Rust itself
# needs. On Debian and Ubuntu with apt; elsewhere it says what to install.
set -euo pipefail
program=setup-llvm
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() {
    cat <<TEXT
Usage: ci/setup-llvm.sh [--mirror URL] [VERSION]
Makes LLVM VERSION usable for mimeo's feature llvmVERSION: 19 (the default), 20, 21, 22 or 23; and has ci/setup-linker.sh see to
it that Rust can link. Where LLVM is found already, nothing is done. It is found as mimeo's build finds it: where
LLVM_SYS_VERSION1_PREFIX says, for LLVM 19 LLVM_SYS_191_PREFIX; or where an llvm-config says; or among the system's libraries.

On Debian and Ubuntu the package libllvmVERSION is installed, as root or with sudo. Where the configured sources have no such
package, those of the same release that may have it are asked: updates, security and backports, with lists of their own, signed
by the distribution's key; the system's lists stay as they are.

  --mirror URL   a mirror of the distribution to ask, before those that the system's package sources name
Exit code: 0 usable, 1 not, 2 usage.
TEXT
}

versions=(19 20 21 22 23)

while [ $# -gt 0 ]; do
    case $1 in
    -h | --help) usage && exit 0 ;;
    --mirror)
        [ $# -ge 2 ] || usage_error "--mirror needs a URL"
        mirrors_given+=("$2")
        shift 2
        ;;
    -*) usage_error "unknown option: $1" ;;
    *) break ;;
    esac
done
[ $# -le 1 ] || usage_error "one version, not $*"
version=${1:-19}
[[ " ${versions[*]} " == *" $version "* ]] || usage_error "the versions are ${versions[*]}, not $version"
package=libllvm$version

# ---- What is there ---------------------------------------------------------------------------------------------

# The shared library in a directory, under one of the names that it has had. This and the functions below look where
# src/compiler/src/installation.rs looks.
library_in() {
    local name
    for name in "libLLVM.so.$version.1" "libLLVM-$version.so" "libLLVM-$version.so.1" "libLLVM.so.$version" \
        "libLLVM-$version.dylib" libLLVM.dylib; do
        if [ -f "$1/$name" ]; then
            echo "$1/$name"
            return 0
        fi
    done
    return 1
}

# The library of an llvm-config, if that is of this version.
library_of() {
    local found
    found=$("$1" --version 2>/dev/null) && [[ $found =~ ^$version([^0-9]|$) ]] && library_in "$("$1" --libdir)"
}

find_llvm() {
    local variable=LLVM_SYS_${version}1_PREFIX candidate
    local prefix=${!variable:-}
    if [ -n "$prefix" ]; then
        if [ -x "$prefix/bin/llvm-config" ]; then
            library_of "$prefix/bin/llvm-config"
        else
            library_in "$prefix/lib"
        fi
        return
    fi
    for candidate in "llvm-config-$version" "llvm-config$version" "llvm$version-config" "llvm-config-$version-64" llvm-config \
        "/usr/lib/llvm-$version/bin/llvm-config" {/opt/homebrew,/usr/local}"/opt/llvm@$version/bin/llvm-config"; do
        ! library_of "$candidate" || return 0
    done
    for candidate in "/usr/lib/llvm-$version/lib" /usr/lib/x86_64-linux-gnu "/usr/lib64/llvm$version/lib64" \
        "/usr/lib64/llvm$version/lib" /usr/lib64 "/usr/lib/llvm$version/lib" /usr/lib /usr/local/lib; do
        ! library_in "$candidate" || return 0
    done
    return 1
}

# Rust needs it, whatever the LLVM.
"$(dirname "${BASH_SOURCE[0]}")/setup-linker.sh"

if llvm=$(find_llvm); then
    say "LLVM $version is there: $llvm"
    exit 0
fi
variable=LLVM_SYS_${version}1_PREFIX
if [ -n "${!variable:-}" ]; then
    fail "$variable=${!variable} has no LLVM $version with a shared library: let it name one, or unset it"
fi

# ---- What can be installed -------------------------------------------------------------------------------------

if ! command -v apt-get >/dev/null 2>&1; then
    fail "LLVM $version is missing, and there is no apt-get. Install its shared library:" \
        "  Fedora:  dnf install llvm$version-libs      (llvm-libs where that is LLVM $version)" \
        "  Arch:    pacman -S llvm$version-libs        (llvm-libs where that is LLVM $version)" \
        "  macOS:   brew install llvm@$version             (llvm where that is LLVM $version)" \
        "or set $variable to where LLVM $version is installed."
fi

can_install || exit 1

# Whether apt can install this package.
has() {
    local candidate
    candidate=$(LC_ALL=C apt-cache ${apt_options[@]+"${apt_options[@]}"} policy "$1" | awk '$1 == "Candidate:" { print $2 }')
    [ -n "$candidate" ] && [ "$candidate" != "(none)" ]
}

# The versions of LLVM that apt can install.
available() {
    local other
    for other in "${versions[@]}"; do
        ! has "libllvm$other" || echo "$other"
    done
}

# What the system says of itself, such as the ID and VERSION_CODENAME of /etc/os-release.
release() { sed -n "s/^$1=//p" /etc/os-release 2>/dev/null | tr -d '"'; }

# Looks for the package in the suites of this release that the system is not told of, with lists, and settings, that are not the
# system's. Succeeds with `apt_options` set.
ask_other_suites() {
    local id codename distribution base security components keyring suite suites
    id=$(release ID) codename=$(release VERSION_CODENAME)
    [ -n "$codename" ] && [[ $(release PRETTY_NAME) != */sid* ]] || return 1
    case $id in
    debian) distribution=Debian components=main ;;
    ubuntu) distribution=Ubuntu components="main universe" ;;
    *) return 1 ;;
    esac
    keyring=/usr/share/keyrings/$id-archive-keyring.gpg
    base=$(mirrors "$distribution" | head -n 1)
    if [ -z "$base" ]; then
        no_mirror "$distribution" >&2
        return 1
    fi
    # Debian's security updates may be elsewhere.
    security=$base
    [ "$id" = ubuntu ] || security=$(mirrors Debian-Security | head -n 1)
    suites=("$base $codename-updates")
    [ -z "$security" ] || suites+=("$security $codename-security")
    suites+=("$base $codename-backports")
    [ -r "$keyring" ] || return 1
    own_apt "$own"
    echo "deb [signed-by=$keyring] $base $codename $components" >"$own/sources.list"
    for suite in "${suites[@]}"; do
        cp "$own/sources.list" "$own/sources.before"
        echo "deb [signed-by=$keyring] $suite $components" >>"$own/sources.list"
        say "asking $suite"
        if ! apt update >"$own/log" 2>&1; then
            grep -E '^[EW]:' "$own/log" | head -n 2 >&2 || true
            mv "$own/sources.before" "$own/sources.list"
            continue
        fi
        ! has "$package" || return 0
    done
    return 1
}

# Where a version is packaged, as far as is known.
where() {
    case $1 in
    19) echo "Debian 12 and 13, Ubuntu 24.04 (updates) to 26.04" ;;
    20) echo "Ubuntu 24.04 (updates) to 26.04" ;;
    21) echo "Debian 13 (backports), Ubuntu 25.10 and 26.04" ;;
    22) echo "Debian 12 and 13 (security), Ubuntu 26.04" ;;
    23) echo "Debian unstable" ;;
    esac
}

own=$(mktemp -d "${TMPDIR:-/tmp}/mimeo-apt.XXXXXXXX")
trap 'as_root rm -rf "$own"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
chmod 755 "$own" # apt downloads as a user of its own

apt update || say "the lists of packages could not all be brought up to date"
if ! has "$package"; then
    say "the configured package sources have no $package"
    here=$(available)
    if ! ask_other_suites; then
        here=$(sort -u <<<"$here"$'\n'"$(available)" | xargs)
        fail "$(release PRETTY_NAME) has no package $package that apt can find. There is LLVM ${here:-of no version that is supported}." \
            "LLVM $version is in $(where "$version"). LLVM's own packages for Debian and Ubuntu can be used as" \
            "well, and so can any LLVM with a shared library, if $variable says where it is installed."
    fi
fi
apt install -y --no-install-recommends "$package"
llvm=$(find_llvm) || fail "$package is installed, and there is no library of LLVM $version where it should be"
say "LLVM $version is installed: $llvm"
