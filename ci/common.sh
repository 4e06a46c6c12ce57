# What scripts say, and how they install packages. Sourced by them; needs bash. The caller has set `program`, its name.
# shellcheck shell=bash disable=SC2034

: "${program:?}"

say() { printf '%s: %s\n' "$program" "$*"; }

# Each argument is a line.
fail() {
    printf '%s: %s\n' "$program" "$1" >&2
    shift
    [ $# -eq 0 ] || printf '%s\n' "$@" >&2
    exit 1
}

usage_error() {
    printf '%s: %s (--help says more)\n' "$program" "$*" >&2
    exit 2
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# apt, the same in every language; with other settings than the system's once `apt_options` has them.
apt_options=()
apt() { as_root env LC_ALL=C DEBIAN_FRONTEND=noninteractive apt-get ${apt_options[@]+"${apt_options[@]}"} -q "$@"; }

# Whether packages can be installed; says why not.
can_install() {
    if ! command -v apt-get >/dev/null 2>&1; then
        say "there is no apt-get to install packages with" >&2
        return 1
    fi
    if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null 2>&1; then
        say "installing packages needs root, and there is no sudo" >&2
        return 1
    fi
}

# Debian's and Ubuntu's packages, or false where they cannot be installed.
install_packages() {
    can_install || return 1
    say "installing $*"
    apt update || say "the lists of packages could not all be brought up to date" >&2
    apt install -y --no-install-recommends "$@"
}

# Gives apt lists and a cache of its own in a directory, whose sources.list the caller writes: the system's stay as they are.
own_apt() {
    mkdir -p "$1/lists/partial" "$1/cache/archives/partial"
    apt_options=(-o "Dir::Etc::SourceList=$1/sources.list" -o Dir::Etc::SourceParts=- -o "Dir::State::Lists=$1/lists"
        -o "Dir::Cache=$1/cache" -o Acquire::Retries=2 -o Acquire::http::Timeout=30 -o Acquire::Languages=none
        -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false)
}

# Where packages come from: what was given with --mirror, then what the system's own package sources say. Scripts that have the
# option set `mirrors_given`.
mirrors_given=()

# The mirrors of a distribution, Debian or Ubuntu, a line each; none where there is nothing to go by. Those of Debian-Security
# are never given.
mirrors() {
    local distribution=$1
    {
        [ "$distribution" = Debian-Security ] || printf '%s\n' ${mirrors_given[@]+"${mirrors_given[@]}"}
        # Before the first update apt does not know whose a source is.
        # shellcheck disable=SC2016  # these are apt's variables
        apt-get indextargets --format '$(LABEL)|$(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
            awk -F'|' -v label="$distribution" -v path="/${distribution,,}/?$" '$1 == label { print $2 }
                $1 == "$(LABEL)" && $2 ~ path { unnamed = unnamed $2 "\n" }
                END { printf "%s", unnamed }' || true
    } | awk 'NF && !seen[$0]++'
}

no_mirror() { echo "the system's package sources name no mirror of $1: give one with --mirror URL"; }
