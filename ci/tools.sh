# Programs that checks need and that Rust does not bring, in the versions that are stated here. Sourced by them; needs bash.
# shellcheck shell=bash disable=SC2034
#
# One that is installed in that version is used. Others go to a directory of their own: $MIMEO_TOOLS, or tools in cargo's
# target directory. The caller has set `program`.

: "${program:?}"

typos_version=1.52.0
cargo_deny_version=0.20.2
semver_checks_version=0.51.0

say() { printf '%s: %s\n' "$program" "$*"; }

fail() {
    printf '%s: %s\n' "$program" "$*" >&2
    exit 1
}

usage_error() {
    printf '%s: %s (--help says more)\n' "$program" "$*" >&2
    exit 2
}

tools=${MIMEO_TOOLS:-${CARGO_TARGET_DIR:-target}/tools}
case $tools in /*) ;; *) tools=$PWD/$tools ;; esac

# The command prints this version.
has_version() {
    local version=$1
    shift
    [[ " $("$@" --version 2>/dev/null) " =~ [\ v]"$version"[[:space:]] ]]
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# A Python that makes environments: Debian has that in a package of its own.
set_up_python() {
    if ! python3 -c 'import ensurepip, venv' 2>/dev/null && command -v apt-get >/dev/null 2>&1; then
        as_root apt-get update -q
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends python3-venv
    fi
    python3 -c 'import ensurepip, venv' 2>/dev/null
}

# python_tool COMMAND VERSION REQUIREMENT...: a program that PyPI has built. What a requirement names is what is installed.
# Sets `tool`; fails where there is none for this machine.
python_tool() {
    local command=$1 version=$2 directory=$tools/$1-$2
    shift 2
    tool=$directory/bin/$command
    has_version "$version" "$tool" && return 0
    set_up_python || return 1
    rm -rf "$directory"
    mkdir -p "$tools"
    printf '%s\n' "$@" >"$tools/$command.requirements"
    python3 -m venv "$directory" &&
        "$directory/bin/python" -m pip install -q --disable-pip-version-check --only-binary :all: --no-deps \
            -r "$tools/$command.requirements" &&
        has_version "$version" "$tool"
}

# cargo_tool COMMAND VERSION PACKAGE: a program built from crates.io, which takes minutes. Sets `tool`.
cargo_tool() {
    local command=$1 version=$2 package=$3 directory=$tools/$1-$2
    tool=$directory/bin/$command
    has_version "$version" "$tool" && return 0
    say "building $package $version, which takes some minutes"
    cargo install -q --locked --root "$directory" --target-dir "$tools/build" "$package@$version"
    rm -rf "$tools/build"
}
