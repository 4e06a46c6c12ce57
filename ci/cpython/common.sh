# What ci/cpython.sh and ci/cpython-bench.sh share: where CPython's source comes from, how an interpreter with the JIT is
# built of it, and how a header of stencils gets into it. Sourced by them; needs bash.
# shellcheck shell=bash
#
# Sets nothing up on its own. The caller has set `program`, and the options: `require`, `source_option`, `header_option`,
# `mimeo_option`, `clang_option`, `cflags_option`, `work_option`, `llvm`, `jobs`, `debug`, `pgo`.

: "${program:?}" "${require:?}" "${llvm:?}" "${jobs:?}" "${debug:?}" "${pgo:?}"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=${here%/ci/cpython}
release=trixie # the first Debian release that has python3.13

# shellcheck source-path=SCRIPTDIR source=../common.sh
. "$repository/ci/common.sh"

# Wrong options are found before the work starts.
check_options() {
    [[ $jobs =~ ^[1-9][0-9]*$ ]] || usage_error "--jobs is a number of processes, not $jobs"
    [[ $llvm =~ ^(19|2[0-3])$ ]] || usage_error "--llvm is a version from 19 to 23, not $llvm"
    [ -z "$source_option" ] || is_source_tree "$source_option" || usage_error "$wrong"
    check_header_option "$header_option"
    [ -z "$mimeo_option" ] || [ -x "$mimeo_option" ] || usage_error "not a program: $mimeo_option"
}

# A header that is given is the file jit_stencils.h, or a directory with that file and those that it includes.
check_header_option() {
    local header=$1
    [ -n "$header" ] || return 0
    [ ! -d "$header" ] || header=$header/jit_stencils.h
    [ -s "$header" ] || usage_error "no header: $header"
    if [ ! -d "$1" ] && grep -q '^#include "jit_stencils-' "$1"; then
        usage_error "$1 includes the file with the stencils: give the directory of both"
    fi
}

# The source cannot be had. Plainly said; an error only for those who asked for one.
skipped() {
    [ "$require" = no ] || fail "no source, and --require was given: $*"
    printf '%s: SKIPPED: %s\n' "$program" "$*"
}

skip() {
    skipped "$@"
    exit 0
}

# Runs a phase of the work and says how long it took.
phase() {
    local what=$1 start=$SECONDS
    shift
    say "$what ..."
    "$@"
    say "$what: $((SECONDS - start)) s"
}

# Runs a command with its output in a log, which is shown where it fails.
logged() {
    local log=$1
    shift
    if ! "$@" >"$log" 2>&1; then
        tail -n 40 "$log" >&2
        fail "failed: $*"
    fi
}

# --work DIR, which stays, or a temporary directory that goes when the script does. After kill -9 that directory is left
# over, and nothing else: no file of the system is changed but by installing packages.
set_up_work() {
    if [ -n "$work_option" ]; then
        mkdir -p "$work_option"
        work=$(cd "$work_option" && pwd)
    else
        work=$(mktemp -d "${TMPDIR:-/tmp}/mimeo-cpython.XXXXXXXX")
        trap 'rm -rf "$work"' EXIT
        trap 'exit 129' HUP
        trap 'exit 130' INT
        trap 'exit 143' TERM
        chmod 711 "$work" # apt downloads as a user of its own
    fi
}

compiles_c() { echo '#include <stdio.h>' | gcc -x c -fsyntax-only - 2>/dev/null; }

# A Python that runs (a version manager's stub may be there and not run) and is new enough for CPython's scripts.
find_python() {
    local candidate
    for candidate in python3 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys; assert sys.version_info >= (3, 11)' >/dev/null 2>&1; then
            "$candidate" -c 'import sys; print(sys.executable)'
            return 0
        fi
    done
    return 1
}

# What the build needs, installed where it is missing. Arguments: further commands, each as COMMAND=PACKAGE. Sets `python`.
set_up_tools() {
    [ "$(uname -sm)" = "Linux x86_64" ] || skip "the stencils are for x86-64 Linux, and this is $(uname -sm)"
    local missing=() pair
    compiles_c || missing+=(gcc libc6-dev)
    for pair in make=make xz=xz-utils tar=tar "$@"; do
        command -v "${pair%%=*}" >/dev/null 2>&1 || missing+=("${pair#*=}")
    done
    find_python >/dev/null || missing+=(python3)
    if [ "${#missing[@]}" -gt 0 ]; then
        install_packages "${missing[@]}" || fail "cannot install what is missing: ${missing[*]}"
    fi
    compiles_c || fail "gcc compiles no C program"
    python=$(find_python) || fail "no Python from 3.11 on is here (tried python3, python3.13, python3.12, python3.11)"
}

# Downloads the source package's files into $1 with an apt that has its own sources, lists and cache there, and shares with
# the system's only how the network is reached. apt checks signatures and checksums.
download_source() {
    local apt=$1 keyring=/usr/share/keyrings/debian-archive-keyring.gpg mirror
    command -v apt-get >/dev/null 2>&1 ||
        skip "there is no apt-get to get Debian's source package python3.13 with; give a source tree with --source DIR"
    if [ ! -r "$keyring" ]; then
        install_packages debian-archive-keyring >"$work/keyring.log" 2>&1 || true
        [ -r "$keyring" ] || skip "Debian's keyring is not here ($keyring, package debian-archive-keyring)"
    fi
    [ -n "$(mirrors Debian)" ] || skip "$(no_mirror Debian)"
    for mirror in $(mirrors Debian); do
        rm -rf "$apt"
        mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/files"
        if [ "$(id -u)" -eq 0 ] && id _apt >/dev/null 2>&1; then
            chown _apt "$apt/files"
        fi
        echo "deb-src [signed-by=$keyring] $mirror $release main" >"$apt/sources.list"
        cat >"$apt/apt.conf" <<TEXT
#clear APT::Default-Release;
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
Dir::Etc::SourceList "$apt/sources.list";
Dir::Etc::SourceParts "-";
Dir::State::Lists "$apt/lists";
Dir::Cache "$apt/cache";
Acquire::Retries "2";
Acquire::http::Timeout "30";
TEXT
        if apt-get -c="$apt/apt.conf" update >"$apt/log" 2>&1 &&
            (cd "$apt/files" &&
                apt-get -c="$apt/apt.conf" source --download-only --only-source -t "$release" python3.13) >>"$apt/log" 2>&1 &&
            ls "$apt"/files/python3.13_*.orig.tar.xz >/dev/null 2>&1; then
            say "Debian's python3.13 comes from $mirror"
            return 0
        fi
        if grep -qi 'hash sum mismatch' "$apt/log"; then
            tail -n 20 "$apt/log" >&2
            fail "$mirror gave files that are not those it is signed for"
        fi
        say "no source from $mirror: $(grep -E '^[EW]:' "$apt/log" | head -n 1 || true)"
    done
    skip "no mirror of Debian gave the source package python3.13 of $release"
}

# The .dsc, which apt has checked against the signed index, names the tarball's checksum.
check_tarball() {
    local tarball=$1 dsc sum
    dsc=$(ls "${tarball%/*}"/python3.13_*.dsc)
    sum=$(awk -v file="${tarball##*/}" '/^[^ ]/ { sha256 = /^Checksums-Sha256:/ } sha256 && $3 == file { print $1 }' "$dsc")
    [ -n "$sum" ] || fail "$dsc names no SHA-256 of ${tarball##*/}"
    echo "$sum  $tarball" | sha256sum --check --quiet || fail "$tarball is not the file that $dsc names"
}

# The version that the tree $1 declares; nothing where it declares none.
version_of() { sed -n 's/^#define PY_VERSION  *"\(.*\)"/\1/p' "$1/Include/patchlevel.h" 2>/dev/null || true; }

# Whether $1 is the source of a CPython whose JIT has stencils. If not, `wrong` says what was found and what was expected.
# Which of these CPythons mimeo knows is for mimeo to say.
is_source_tree() {
    local version
    version=$(version_of "$1")
    wrong="expected a source tree of CPython 3.13 or 3.14, with configure and Tools/jit/build.py; found"
    if [ ! -d "$1" ]; then
        wrong+=" no directory: $1"
    elif [ -z "$version" ]; then
        wrong+=" no version in Include/patchlevel.h: $1"
    elif [ ! -f "$1/Tools/jit/build.py" ]; then
        wrong+=" CPython $version without Tools/jit/build.py: $1"
    elif [ ! -x "$1/configure" ]; then
        wrong+=" CPython $version without configure: $1"
    else
        return 0
    fi
    return 1
}

# Puts CPython's source at $work/source: Debian's tarball as it came from CPython, without Debian's patches, or a copy of
# --source DIR, because building and testing write beside the library's modules.
get_source() {
    local origin="Debian $release" tarball
    [ -z "$source_option" ] || origin=$(cd "$source_option" && pwd)
    if [ -e "$work/source.from" ]; then
        [ "$(cat "$work/source.from")" = "$origin" ] ||
            fail "$work has the source from $(cat "$work/source.from"), not from $origin: use another directory"
        say "the source is there: $work/source"
        return 0
    fi
    rm -rf "$work/source"
    mkdir "$work/source"
    if [ -n "$source_option" ]; then
        [ ! -e "$origin/pyconfig.h" ] || fail "$origin has been built in: give a clean tree"
        tar -C "$origin" --exclude=./.git -cf - . | tar -C "$work/source" -xf -
    else
        download_source "$work/apt"
        tarball=$(ls "$work"/apt/files/python3.13_*.orig.tar.xz)
        check_tarball "$tarball"
        tar -C "$work/source" --strip-components=1 --no-same-owner -xf "$tarball"
        rm -rf "$work/apt/lists" "$work/apt/cache"
    fi
    is_source_tree "$work/source" || fail "$wrong (from $origin)"
    echo "$origin" >"$work/source.from"
    say "CPython $(version_of "$work/source"), from $origin"
}

# A Python for CPython's make, which refuses to run CPython's generator: the header must not be made anew.
write_python_for_regen() {
    cat >"$work/python-for-regen" <<TEXT
#!/bin/sh
case "\$*" in
*Tools/jit/build.py*)
    echo "CPython's make runs CPython's generator: \$*" >&2
    exit 1
    ;;
esac
exec "$python" "\$@"
TEXT
    chmod +x "$work/python-for-regen"
}

# Configures $1, a directory in $work, unless it is.
configure_build() {
    local build=$1 options=(--enable-experimental-jit)
    [ "$debug" = no ] || options+=(--with-pydebug)
    [ "$pgo" = no ] || options+=(--enable-optimizations "PROFILE_TASK=-m test test_list test_dict")
    if [ -n "$cflags_option" ]; then
        grep -q CFLAGS_JIT "$work/source/configure" || fail "the configure of this CPython knows no CFLAGS_JIT"
        options+=("CFLAGS_JIT=$cflags_option")
    fi
    write_python_for_regen
    if [ "$(cat "$build/configured" 2>/dev/null)" = "${options[*]}" ]; then
        say "configured already: $build"
        return 0
    fi
    rm -rf "$build"
    mkdir "$build"
    (
        cd "$build" || exit
        # configure would take any Python it sees, whether it runs or not.
        export PYTHON_FOR_REGEN=$work/python-for-regen
        # No debugging information: it takes time, and makes no code.
        export CFLAGS=-g0
        logged configure.log ../source/configure "${options[@]}"
    )
    echo "${options[*]}" >"$build/configured"
}

# Builds the mimeo command unless it was given. Sets `mimeo`.
set_up_mimeo() {
    if [ -n "$mimeo_option" ]; then
        mimeo=$(realpath "$mimeo_option")
        return 0
    fi
    local target
    target=$(cd "$repository" && realpath -m "${CARGO_TARGET_DIR:-target}")
    "$repository/ci/setup-llvm.sh" "$llvm"
    (cd "$repository" && cargo build --locked --release -p mimeo-cli --features "llvm$llvm")
    mimeo=$target/release/mimeo
}

# Has mimeo write the header of build directory $1 into directory $2. Further arguments go to mimeo.
make_header() {
    local build=$1 out=$2
    shift 2
    [ -z "$clang_option" ] || set -- --clang "$clang_option" "$@"
    rm -rf "$out"
    "$mimeo" cpython --source "$work/source" --build "$build" --out "$out" --jobs "$jobs" "$@" ||
        fail "mimeo makes no header for CPython $(version_of "$work/source")${*:+ with $*}"
}

# The digest in the header of directory $2 must be the one that CPython's own Tools/jit computes for build directory $1.
# Further arguments are for CPython's generator, behind those that make gives it.
check_digest() {
    local build=$1 header=$2 files computed written
    shift 2
    files=$(header_files "$header")
    computed=$("$python" -B "$here/digest.py" "$work/source" "$build" "$@") || fail "Tools/jit computes no digest"
    read -r written <"$header/${files%%$'\n'*}"
    [ "$written" = "// $computed" ] ||
        fail "the digest is not that of CPython's generator${*:+ with $*}" "  Tools/jit: $computed" "  header:    ${written#// }"
    say "the digest is that of Tools/jit${*:+ with $*}: $computed"
}

# Puts our header into build directory $1: --header, or what mimeo makes.
put_our_header() {
    local build=$1
    if [ -n "$header_option" ]; then
        give_header "$header_option" "$build"
        return 0
    fi
    make_header "$build" "$work/header"
    check_digest "$build" "$work/header"
    give_header "$work/header" "$build"
}

# The files of the header in directory $1, in the order in which they are put into a build directory: jit.o depends on
# jit_stencils.h alone, so that the file which that one includes comes first.
header_files() {
    local file
    for file in "$1"/jit_stencils-*.h "$1/jit_stencils.h"; do
        [ ! -e "$file" ] || echo "${file##*/}"
    done
}

# Puts the header $1, a file or a directory, into build directory $2, which remembers it.
give_header() {
    local header=$1 expected=$2/expected file
    rm -rf "$expected"
    mkdir "$expected"
    if [ -d "$header" ]; then
        for file in $(header_files "$header"); do
            cp "$header/$file" "$expected/"
        done
    else
        cp "$header" "$expected/jit_stencils.h"
    fi
    [ -s "$expected/jit_stencils.h" ] || fail "no header: $header"
    put_header "$2"
}

# Puts the header that build directory $1 remembers in it, newer than all that CPython's make would make a new one for.
put_header() {
    local file
    rm -f "$1"/jit_stencils*.h
    for file in $(header_files "$1/expected"); do
        cp "$1/expected/$file" "$1/"
    done
    make -s -C "$1" -q jit_stencils.h || fail "CPython's make would make another header in the place of ours"
}

same_header() {
    local file files
    files=$(header_files "$1")
    [ "$files" = "$(header_files "$2")" ] || return 1
    for file in $files; do
        cmp "$1/$file" "$2/$file" || return 1
    done
}

check_header() {
    same_header "$1/expected" "$1" || fail "the header in $1 is not the one that was put there any more"
}

# Builds directory $1 with the header in it.
make_build() {
    local build=$1
    if [ "$pgo" = no ] || grep -q '^clean-jit-stencils:' "$build/Makefile"; then
        logged "$build/make.log" make -C "$build" -j"$jobs"
    else
        # Such a build of older CPythons deletes the header twice: when it starts from clean, and after the profile is taken.
        logged "$build/make-clean.log" make -C "$build" profile-clean-stamp
        put_header "$build"
        logged "$build/make-profile.log" make -C "$build" -j"$jobs" profile-run-stamp
        put_header "$build"
        logged "$build/make.log" make -C "$build" -j"$jobs"
    fi
    check_build "$build"
}

# Makes sure that the interpreter was built from just the header that was put there.
check_build() {
    local build=$1
    check_header "$build"
    if [ "$build/Python/jit.o" -ot "$build/jit_stencils.h" ] || [ "$build/python" -ot "$build/Python/jit.o" ]; then
        fail "make did not build the interpreter in $build from the header"
    fi
    PYTHON_JIT=1 "$build/python" -B "$here/jit.py" some || fail "the interpreter in $build makes no machine code"
    # Without the JIT the same check must find nothing, or it proves nothing.
    PYTHON_JIT=0 "$build/python" -B "$here/jit.py" none || fail "the interpreter in $build makes machine code unasked"
}
