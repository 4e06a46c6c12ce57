# Programs that checks need and that Rust does not bring, in the versions that are stated here, and what checks ask of the
# packages. Sourced by them; needs bash.
# shellcheck shell=bash disable=SC2034
#
# One that is installed in that version is used. Others go to a directory of their own: $MIMEO_TOOLS, or tools in cargo's
# target directory.

# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

typos_version=1.52.0
cargo_deny_version=0.20.2
semver_checks_version=0.51.0

tools=${MIMEO_TOOLS:-${CARGO_TARGET_DIR:-target}/tools}
case $tools in /*) ;; *) tools=$PWD/$tools ;; esac

# The command prints this version.
has_version() {
    local version=$1
    shift
    [[ " $("$@" --version 2>/dev/null) " =~ [\ v]"$version"[[:space:]] ]]
}

# find_tool COMMAND VERSION: sets `tool` to the program, or to where it is to be installed, and says whether it is there.
find_tool() {
    tool=$1
    ! has_version "$2" "$tool" || return 0
    tool=$tools/$1-$2/bin/$1
    has_version "$2" "$tool"
}

# A Python that makes environments: Debian has that in a package of its own.
set_up_python() {
    python3 -c 'import ensurepip, venv' 2>/dev/null ||
        { install_packages python3-venv && python3 -c 'import ensurepip, venv' 2>/dev/null; }
}

# python_tool COMMAND VERSION: a program that PyPI has built under its own name. Sets `tool`; fails where there is none for this
# machine.
python_tool() {
    local command=$1 version=$2 directory=$tools/$1-$2
    ! find_tool "$command" "$version" || return 0
    set_up_python || return 1
    rm -rf "$directory"
    mkdir -p "$tools"
    python3 -m venv "$directory" &&
        "$directory/bin/python" -m pip install -q --disable-pip-version-check --only-binary :all: --no-deps \
            "$command==$version" &&
        find_tool "$command" "$version"
}

# cargo_tool COMMAND VERSION PACKAGE: a program built from crates.io, which takes minutes. Sets `tool`.
cargo_tool() {
    ! find_tool "$1" "$2" || return 0
    say "building $3 $2, which takes some minutes"
    cargo install -q --locked --root "$tools/$1-$2" --target-dir "$tools/build" "$3@$2"
    rm -rf "$tools/build"
}

# The name of the package with this manifest.
package_name() { sed -n '0,/^name = /s/^name = "\(.*\)"$/\1/p' "$1"; }

is_published() { ! grep -q '^publish = false$' "$1"; }

# A field that all packages take from the workspace.
workspace_field() {
    sed -n '/^\[workspace.package\]/,/^\[workspace.dependencies\]/s/^'"$1"' = "\(.*\)"$/\1/p' Cargo.toml
}
