#!/usr/bin/env bash
# What mimeo depends on has licences that go with its own, comes from crates.io, and has no known vulnerability. What is
# allowed is listed in ci/deny.toml.
set -euo pipefail
cd "$(dirname "$0")/.."
program=${0##*/}
# shellcheck source-path=SCRIPTDIR source=tools.sh
. ci/tools.sh

usage() {
    cat <<TEXT
Usage: ci/check-licences.sh [OPTIONS]
Checks licences, sources and bans of all dependencies with cargo-deny $cargo_deny_version, which is built if it is missing
(some minutes), and asks the RustSec database for advisories about them. Where that database cannot be fetched, says SKIPPED and succeeds.

  --require-advisories   fail where the database cannot be fetched
  --no-advisories        do not ask for it
Exit code: 0 fine, or fine with the advisories skipped; 1 something is not allowed, or a program cannot be had; 2 usage;
3 there is an advisory.
TEXT
}

advisories=try
while [ $# -gt 0 ]; do
    case $1 in
    --require-advisories) advisories=require && shift ;;
    --no-advisories) advisories=no && shift ;;
    -h | --help) usage && exit 0 ;;
    *) usage_error "unknown argument: $1" ;;
    esac
done

cargo_tool cargo-deny "$cargo_deny_version" cargo-deny

deny=("$tool" --locked --config ci/deny.toml)
"${deny[@]}" check licenses bans sources || fail "a dependency is not as ci/deny.toml wants it"
say "licences, bans and sources are fine"

[ "$advisories" != no ] || exit 0
# Fetching apart from checking: that the database cannot be had is no advisory.
if ! timeout 120 "${deny[@]}" fetch db; then
    [ "$advisories" = try ] || fail "the advisory database cannot be fetched, and --require-advisories was given"
    say "SKIPPED: advisories: the database cannot be fetched"
    exit 0
fi
if ! "${deny[@]}" --offline check advisories; then
    say "there is an advisory about a dependency" >&2
    exit 3
fi
say "no advisory is known"
