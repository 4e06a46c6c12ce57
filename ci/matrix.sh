#!/usr/bin/env bash
# The same from every LLVM: builds, tests and compares with each version that mimeo can be built with, natively where the system
# has it, and otherwise in a small system of its own that is made for it and removed afterwards.
set -euo pipefail

margin=3

usage() {
    cat <<TEXT
Usage: ci/matrix.sh [OPTIONS] [VERSION...]
For each VERSION of LLVM, by default 19 20 21 22 23: builds mimeo with it, passes the tests (ci/test.sh), compiles the standard
sets, checks every stencil (mimeo verify), runs the recorded traces with the new table, and compares the tables with the
checked-in ones (mimeo diff --interface): the same uops and variants; of each the same effects, flags and limits, the same ways
out, and holes filled with the same values and symbols. Bytes, registers, and how often and where a value is used may differ.
Code and data of a set together may be $margin % larger or smaller.

A version that ci/setup-llvm.sh can install is used natively. Others are installed in a chroot that debootstrap makes:
Ubuntu 24.04 for 20, Debian 13 for 19, 21 and 22, Debian unstable for 23. It sees this repository, the Rust toolchain and
cargo's registry read-only. That needs root, a toolchain that rustup installed, and some 4 GB of disk for each at a time.

  --native         never make a chroot: fail where a version cannot be had here
  --no-tests       leave the tests out
  --no-report      leave the report out, though not what it is made of
  --out DIR        where the report goes, with tables, logs and differences (default: matrix in cargo's target directory)
  --mirror URL     a mirror of Debian, or of Ubuntu for 20, to make chroots from, where the system's package sources name
                   none; may be given for both
  --work DIR       where chroots are made (default: a temporary directory); one that is there is used again
  --keep           keep chroots, with what was built in them
Exit code: 0 all is well, 1 something failed or differs, 2 usage. report.md in DIR says what.
TEXT
}

cd "$(dirname "${BASH_SOURCE[0]}")/.."
repository=$PWD
program=matrix
# shellcheck source-path=SCRIPTDIR source=common.sh
. ci/common.sh

versions=() native=no tests=yes report=yes keep=no work=''
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
out=$target/matrix
while [ $# -gt 0 ]; do
    case $1 in
    --out | --work | --mirror)
        [ $# -ge 2 ] || usage_error "$1 needs a value"
        case $1 in
        --out) out=$(realpath -m "$2") ;;
        --work) work=$(realpath -m "$2") ;;
        --mirror) mirrors_given+=("$2") ;;
        esac
        shift 2
        ;;
    --native) native=yes && shift ;;
    --no-tests) tests=no && shift ;;
    --no-report) report=no && shift ;;
    --keep) keep=yes && shift ;;
    -h | --help) usage && exit 0 ;;
    19 | 20 | 21 | 22 | 23) versions+=("$1") && shift ;;
    *) usage_error "neither an option nor a version that is supported: $1" ;;
    esac
done
[ "${#versions[@]}" -gt 0 ] || versions=(19 20 21 22 23)

# ---- One version, here -----------------------------------------------------------------------------------------

# Runs a command with its output in a log, of which the end is shown where it fails.
logged() {
    local log=$1
    shift
    "$@" >"$log" 2>&1 || {
        tail -n 40 "$log" >&2
        say "failed: $*" >&2
        return 1
    }
}

# The system, in a word.
system() { sed -n 's/^PRETTY_NAME=//p' /etc/os-release 2>/dev/null | tr -d '"'; }

# All of it for one version that is usable here. Leaves run.md, heading.md and diff.md, parts of the report, in its directory.
run_here() {
    local version=$1 results=$2 start=$SECONDS mimeo=$target/debug/mimeo
    local failed=() passed=- traces=- verified=- set name build
    # With the tests: what one of them builds, the other need not.
    build=(ci/test.sh --llvm "$version" --locked --no-run)
    [ "$tests" = yes ] || build=(cargo build --locked -p mimeo-cli --features "llvm$version")

    say "LLVM $version: build"
    if logged "$results/build.log" "${build[@]}" &&
        logged "$results/tables.log" "$mimeo" build --out "$results"; then
        say "LLVM $version: tables and traces"
        verified=ok
        logged "$results/verify.log" "$mimeo" verify "$results"/*.mimeo || verified=failed
        [ "$verified" = ok ] || failed+=(verify)
        logged "$results/traces.log" "$mimeo" run --repeat 1 --table "$results/python.mimeo" tests/traces/*.json ||
            failed+=(traces)
        traces="$(grep -c ' ok$' "$results/traces.log" || true) of $(find tests/traces -maxdepth 1 -name '*.json' | wc -l)"
        for set in ir-templates/tables/*.mimeo; do
            name=$(basename "$set" .mimeo)
            compare "$set" "$results" "$name" || failed+=("$name differs")
        done
    else
        failed+=(build)
    fi
    if [ "$tests" = yes ] && [ "${failed[*]}" != build ]; then
        say "LLVM $version: tests"
        # The report is to say all that fails.
        logged "$results/tests.log" ci/test.sh --llvm "$version" --locked --no-fail-fast || failed+=(tests)
        passed=$(tail -n 1 "$results/tests.log")
    fi
    printf '| %s | %s | %s | %s | %s | %s s | %s |\n' "$version" "$(system)" "$passed" "$verified" "$traces" \
        $((SECONDS - start)) "$(list "${failed[@]}")" >"$results/run.md"
    say "LLVM $version: $(list "${failed[@]}"), $((SECONDS - start)) s"
    [ "${#failed[@]}" -eq 0 ]
}

# What failed, or that nothing did.
list() {
    local text
    text=$(printf '%s, ' "$@")
    if [ $# -eq 0 ]; then echo ok; else echo "failed: ${text%, }"; fi
}

# Compares the new table of a set with the checked-in one.
compare() {
    local tables=("$1" "$2/$3.mimeo") text=$2/$3 status=0
    local options=(--interface --margin "$margin")
    "$target/debug/mimeo" diff "${tables[@]}" >"$text.diff" || [ $? -eq 1 ] || return 1
    "$target/debug/mimeo" diff "${options[@]}" "${tables[@]}" >"$text.interface" || status=1
    "$target/debug/mimeo" diff "${options[@]}" --format markdown "${tables[@]}" >"$text.md" || status=1
    head -n 2 "$text.md" >"$2/heading.md"
    tail -n +3 "$text.md" >>"$2/diff.md"
    [ "$status" -eq 0 ] || cat "$text.interface" >&2
    return "$status"
}

# ---- One version, in a chroot ----------------------------------------------------------------------------------

# Sets `keyring` to the key that Ubuntu's archive is signed with. Debian 12 has no package of it: it comes from Debian 13, by an
# apt with lists of its own, which leaves the system's as they are.
get_ubuntu_keyring() {
    local own=$work/keyring
    keyring=$own/files/usr/share/keyrings/ubuntu-archive-keyring.gpg
    [ ! -r "$keyring" ] || return 0
    mkdir -p "$own/files"
    # In a shell of its own, and so are the settings.
    (
        own_apt "$own"
        apt_options+=(-o APT::Sandbox::User=root)
        mirrors Debian |
            sed 's|.*|deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] & trixie main|' >"$own/sources.list"
        cd "$own/files" && apt update && apt download ubuntu-keyring && dpkg-deb -x ubuntu-keyring_*.deb .
    ) >"$own/log" 2>&1 || {
        tail -n 5 "$own/log" >&2
        say "cannot get the package ubuntu-keyring" >&2
        return 1
    }
}

# Where a version's chroot is, and what it is made of.
plan_chroot() {
    components=main distribution=Debian keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    # A release may be newer than debootstrap, which has one script for all.
    case $1 in
    20)
        suite=noble script=gutsy components=main,universe distribution=Ubuntu
        keyring=/usr/share/keyrings/ubuntu-archive-keyring.gpg
        ;;
    23) suite=sid script=sid ;;
    *) suite=trixie script=sid ;;
    esac
    chroot=$work/mimeo-$suite-llvm$1
}

# Makes the planned chroot, unless it is there. What is half made has no file `.made` beside it. Nothing of it is seen outside
# but the files: debootstrap mounts things, too.
make_chroot() {
    local log=$1 mirror
    [ ! -e "$chroot.made" ] || return 0
    command -v debootstrap >/dev/null 2>&1 || install_packages debootstrap >/dev/null || return 1
    if [ ! -r "$keyring" ]; then
        case $suite in
        noble) get_ubuntu_keyring || return 1 ;;
        *) install_packages debian-archive-keyring >/dev/null || return 1 ;;
        esac
    fi
    [ -n "$(mirrors "$distribution")" ] || {
        say "$(no_mirror "$distribution")" >&2
        return 1
    }
    # Of those that were given, one may be the other distribution's.
    for mirror in $(mirrors "$distribution"); do
        remove_chroot || return 1
        say "making a chroot of $suite"
        if in_namespace debootstrap --variant=minbase --components="$components" --keyring="$keyring" \
            "$suite" "$chroot" "$mirror" "/usr/share/debootstrap/scripts/$script" >"$log" 2>&1; then
            touch "$chroot.made"
            return 0
        fi
        tail -n 20 "$log" >&2
        say "cannot make a chroot of $suite from $mirror" >&2
    done
    return 1
}

# Runs a command in a mount and a process namespace of its own: the mounts end with the last process there, and all processes
# with this script. It is waited for so that signals are not.
in_namespace() {
    local status=0
    unshare --mount --propagation private --pid --fork --kill-child "$@" &
    inside=$!
    wait "$inside" || status=$?
    inside=''
    return "$status"
}

# Removes the planned chroot. Nothing can be mounted in it but in the namespaces of the processes there.
remove_chroot() {
    if grep -qF " $chroot" /proc/self/mounts; then
        say "something is mounted in $chroot: it stays" >&2
        return 1
    fi
    rm -f "$chroot.made"
    # What was killed there may need a moment to end.
    rm -rf --one-file-system "$chroot" 2>/dev/null || { sleep 2 && rm -rf --one-file-system "$chroot"; }
}

# Runs this script in the planned chroot.
run_in_chroot() {
    local version=$1 results=$2 toolchain cargo options=()
    if [ "$(id -u)" -ne 0 ]; then
        say "LLVM $version cannot be had here, and a chroot needs root" >&2
        return 1
    fi
    toolchain=$(rustc --print sysroot)
    if [ ! -x "$toolchain/bin/cargo" ] || [ "$toolchain" = /usr ]; then
        say "a chroot needs a Rust toolchain that rustup installed, not $toolchain" >&2
        return 1
    fi
    make_chroot "$results/chroot.log" || return 1
    # Crates are downloaded here, and only read there.
    cargo=${CARGO_HOME:-$HOME/.cargo}
    cargo fetch --locked --quiet || return 1
    mkdir -p "$chroot"/{mimeo,out,target,rust,cargo/registry}
    rm -f "$chroot/etc/resolv.conf"
    cp -L /etc/resolv.conf "$chroot/etc/resolv.conf"
    # Which registry crates are from is a part of where they are.
    [ ! -r "$cargo/config.toml" ] || cp "$cargo/config.toml" "$chroot/cargo/"
    [ "$tests" = yes ] || options+=(--no-tests)
    # shellcheck disable=SC2016  # the inner shell's variables
    in_namespace bash -euc '
        chroot=$1 repository=$2 results=$3 toolchain=$4 cargo=$5
        shift 5
        read_only() {
            mount --bind "$1" "$2"
            mount -o remount,bind,ro "$2"
        }
        mount -t proc proc "$chroot/proc"
        mount --rbind /dev "$chroot/dev"
        mount --bind "$results" "$chroot/out"
        read_only "$repository" "$chroot/mimeo"
        read_only "$toolchain" "$chroot/rust"
        read_only "$cargo/registry" "$chroot/cargo/registry"
        exec chroot "$chroot" env -i "$@"
    ' bash "$chroot" "$repository" "$results" "$toolchain" "$cargo" \
        PATH=/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
        CARGO_HOME=/cargo CARGO_NET_OFFLINE=true CARGO_TARGET_DIR=/target CARGO_BUILD_JOBS="${CARGO_BUILD_JOBS:-$(nproc)}" \
        CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_DEBUG=line-tables-only \
        bash /mimeo/ci/matrix.sh --native --no-report --out /out ${options[@]+"${options[@]}"} "$version"
}

in_chroot() {
    local version=$1 results=$2 status=0
    plan_chroot "$version"
    run_in_chroot "$version" "$results" || status=1
    if [ -d "$results/llvm$version" ]; then
        cp -a "$results/llvm$version/." "$results/"
        rm -rf "${results:?}/llvm$version"
    fi
    [ "$keep" = yes ] || remove_chroot || status=1
    return "$status"
}

# ---- All of them -----------------------------------------------------------------------------------------------

# shellcheck disable=SC2317  # the trap calls it
clean_up() {
    local version
    [ -z "$inside" ] || kill -KILL "$inside" 2>/dev/null || true
    [ "$keep" = no ] || return 0
    for version in "${versions[@]}"; do
        plan_chroot "$version"
        [ ! -e "$chroot" ] || remove_chroot || return
    done
    [ -z "$made_work" ] || rm -rf --one-file-system "$made_work"
}

inside=''
made_work=''
if [ -z "$work" ]; then
    work=$(mktemp -d "${TMPDIR:-/tmp}/mimeo-matrix.XXXXXXXX")
    made_work=$work
fi
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
mkdir -p "$work" "$out"
chmod 755 "$work"

status=0
rows=()
for version in "${versions[@]}"; do
    results=$out/llvm$version
    rm -rf "$results"
    mkdir -p "$results"
    if ci/setup-llvm.sh "$version" >"$results/setup.log" 2>&1; then
        run_here "$version" "$results" || status=1
    elif [ "$native" = yes ]; then
        cat "$results/setup.log" >&2
        status=1
    else
        in_chroot "$version" "$results" || status=1
    fi
    [ -e "$results/run.md" ] || echo "| $version | | | | | | not set up |" >"$results/run.md"
    rows+=("$results")
done

[ "$keep" = no ] || say "kept in $work: $(find "$work" -maxdepth 1 -mindepth 1 -type d -printf '%f ')"
[ "$report" = yes ] || exit "$status"
{
    echo "# mimeo with each LLVM"
    echo
    echo "| LLVM | system | tests | verify | traces | time | result |"
    echo "|---|---|---|---|---|---|---|"
    for results in "${rows[@]}"; do cat "$results/run.md"; done
    echo
    echo "Tables against the checked-in ones; code and data together may differ by $margin %."
    echo
    heading=yes
    for results in "${rows[@]}"; do
        [ -e "$results/diff.md" ] || continue
        [ "$heading" = no ] || cat "$results/heading.md"
        heading=no
        cat "$results/diff.md"
    done
} >"$out/report.md"
cat "$out/report.md"
say "the report is $out/report.md"
exit "$status"
