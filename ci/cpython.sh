#!/usr/bin/env bash
# CPython is the judge: builds the JIT of CPython 3.13 and 3.14 with the stencils that `mimeo cpython` makes, and runs CPython's
# own tests with it. 3.13's source comes from Debian and does not stay; the system's list of package sources is left alone.
# 3.14's is not in Debian 13: a tree must be there.
set -euo pipefail

usage() {
    cat <<TEXT
Usage: ci/cpython.sh [OPTIONS]
Builds CPython with mimeo's stencils in its JIT and runs CPython's tests with PYTHON_JIT=1, after a few kernels that must
compute the same with the JIT and without. On the way it makes sure that the header's digest is the one that CPython's own
Tools/jit computes, that a header put anew into a finished build is built in, and that make then has nothing to do.

With --source DIR this is done for that source tree alone. Without it, for CPython 3.13 from Debian's source package, and then
for the trees that are named: by the variable MIMEO_CPYTHON_SOURCE, directories separated by colons; where that is not set, all
directories cpython-* beside the checkout, such as ../cpython-3.14. What cannot be had is said to be SKIPPED, which is a success;
so is 3.14 where no tree of it is named.

  --source DIR     a source tree of CPython 3.13 or 3.14 in which nothing was built; it is copied
  --header PATH    put this header in, in the place of the one mimeo makes: the file jit_stencils.h, or a directory with it and
                   the file that it includes. Without --source for Debian's 3.13 alone
  --mimeo PATH     the mimeo command, in the place of building it
  --llvm VERSION   the LLVM that mimeo is built with, and its clang: 19 (the default) to 23
  --clang PATH     the clang for mimeo, in the place of clang-VERSION
  --work DIR       work in DIR, keep it, and use what is there already; without it, a temporary directory. Trees that are named
                   have directories of their own in DIR/trees
  --mirror URL     a mirror of Debian for its source package, where the system's package sources name none
  --jobs N         processes at a time (default: all processors)
  --tests "LIST"   the tests to run, as CPython's test runner names them
  --all-tests      run CPython's whole test suite. As root or without a network some tests fail whatever the stencils:
                   ci/cpython-bench.sh --suite compares
  --debug          a debug build of CPython, with mimeo's stencils for one
  --pgo            a build with --enable-optimizations, whose profile is of two short tests
  --cflags FLAGS   configure with CFLAGS_JIT=FLAGS, which 3.14 has
  --only digest    configure, and compare the digest alone: of the build, for a debug build, and with other flags
  --require        fail where something would be SKIPPED
Exit code: 0 fine or skipped, 1 the build or a test failed, 2 usage.
TEXT
}

program=${0##*/}
source_option='' header_option='' mimeo_option='' clang_option='' cflags_option='' work_option=''
llvm=19 jobs=$(nproc) debug=no pgo=no require=no only=''
tests="test_capi.test_opt test_generators test_dict test_list test_float test_int test_string test_json test_descr
    test_class test_exceptions"
# shellcheck source-path=SCRIPTDIR source=cpython/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/cpython/common.sh"

while [ $# -gt 0 ]; do
    case $1 in
    --source | --header | --mimeo | --llvm | --clang | --work | --mirror | --jobs | --tests | --cflags | --only)
        [ $# -ge 2 ] || usage_error "$1 needs a value"
        case $1 in
        --source) source_option=$2 ;;
        --header) header_option=$2 ;;
        --mimeo) mimeo_option=$2 ;;
        --llvm) llvm=$2 ;;
        --clang) clang_option=$2 ;;
        --work) work_option=$2 ;;
        --mirror) mirrors_given+=("$2") ;;
        --jobs) jobs=$2 ;;
        --tests) tests=$2 ;;
        --cflags) cflags_option=$2 ;;
        --only)
            [ "$2" = digest ] || usage_error "--only takes digest, not $2"
            only=$2
            ;;
        esac
        shift 2
        ;;
    --all-tests) tests='' && shift ;;
    --debug) debug=yes && shift ;;
    --pgo) pgo=yes && shift ;;
    --require) require=yes && shift ;;
    -h | --help) usage && exit 0 ;;
    *) usage_error "unknown argument: $1" ;;
    esac
done
check_options
[ -z "$only" ] || [ -z "$header_option" ] || usage_error "--only digest is about the header that mimeo makes, not --header"

# The source trees that are named, as --help says. What was named by hand must be one.
name_trees() {
    local tree list
    trees=()
    if [ -n "${MIMEO_CPYTHON_SOURCE+set}" ]; then
        IFS=: read -r -a list <<<"$MIMEO_CPYTHON_SOURCE"
        for tree in ${list[@]+"${list[@]}"}; do
            [ -n "$tree" ] || continue
            is_source_tree "$tree" || usage_error "MIMEO_CPYTHON_SOURCE: $wrong"
            trees+=("$(cd "$tree" && pwd)")
        done
        return 0
    fi
    for tree in "${repository%/*}"/cpython-*; do
        [ -d "$tree" ] || continue
        if ! is_source_tree "$tree"; then
            say "passed over: $wrong"
        elif [ -e "$tree/pyconfig.h" ]; then
            say "passed over, because something was built in it: $tree"
        else
            trees+=("$tree")
        fi
    done
}

run_tests() {
    local list
    read -r -d '' -a list <<<"$tests" || true
    # The whole suite, but for the tests that need debugging information in the interpreter.
    [ "${#list[@]}" -gt 0 ] || list=(-x test_gdb)
    PYTHON_JIT=1 "$build/python" -m test -j"$jobs" --timeout 600 "${list[@]}" ||
        fail "CPython's tests failed with PYTHON_JIT=1"
}

# CPython's tests loop little. What hot loops compute must be the same with the JIT and without.
run_kernels() {
    PYTHON_JIT=1 "$build/python" -B -S "$here/kernels.py" all >"$work/with-jit" || fail "the kernels failed with PYTHON_JIT=1"
    PYTHON_JIT=0 "$build/python" -B -S "$here/kernels.py" all >"$work/without-jit" || fail "the kernels failed"
    diff "$work/without-jit" "$work/with-jit" || fail "the kernels compute something else with PYTHON_JIT=1"
}

# What make must not touch where nothing changed, with dates.
dates() {
    local files=()
    read -r -d '' -a files <<<"$(header_files "$build")" || true
    (cd "$build" && stat -c '%y %n' "${files[@]}" Python/jit.o python)
}

# A header that is put into a finished build anew, even one of the same text, is built in; and then make has nothing to do.
make_again() {
    local before after
    put_header "$build"
    logged "$build/make-again.log" make -C "$build" -j"$jobs"
    check_build "$build"
    before=$(dates)
    logged "$build/make-idle.log" make -C "$build" -j"$jobs"
    check_build "$build"
    after=$(dates)
    [ "$before" = "$after" ] || fail "make, run again, made something anew" "before:" "$before" "after:" "$after"
    ! grep -F Tools/jit/build.py "$build"/make*.log || fail "make ran CPython's generator"
}

# For a debug build, and with other flags, the header has other code and another digest.
check_digests() {
    local flags='-O2 -DX="a b"'
    make_header "$build" "$work/header"
    check_digest "$build" "$work/header"
    make_header "$build" "$work/header" --debug
    check_digest "$build" "$work/header" --debug
    if grep -q CFLAGS_JIT "$work/source/configure"; then
        make_header "$build" "$work/header" --cflags "$flags"
        check_digest "$build" "$work/header" --cflags="$flags"
    fi
}

# All of it, for one source: --source, or Debian's.
run() {
    local tools=()
    build=$work/build
    [ "$debug" = no ] || build+=-debug
    [ "$pgo" = no ] || build+=-pgo
    [ -n "$header_option$clang_option" ] || tools+=("clang-$llvm=clang-$llvm")
    phase "tools" set_up_tools ${tools[@]+"${tools[@]}"}
    phase "source" get_source
    [ -n "$header_option" ] || phase "mimeo" set_up_mimeo
    phase "configure" configure_build "$build"
    if [ "$only" = digest ]; then
        phase "digests" check_digests
        say "passed: the digests of CPython $(version_of "$work/source")"
        return 0
    fi
    phase "header" put_our_header "$build"
    phase "make" make_build "$build"
    phase "make again" make_again
    phase "kernels" run_kernels
    phase "tests" run_tests
    check_header "$build"
    say "passed: the tests of CPython $(version_of "$work/source"), with the header's code"
}

trees=()
[ -n "$source_option$header_option" ] || name_trees
set_up_work
if [ -n "$source_option$header_option" ]; then
    run
    exit 0
fi
(run)
is_there=no
for tree in ${trees[@]+"${trees[@]}"}; do
    case $(version_of "$tree") in 3.14.*) is_there=yes ;; esac
    say "the tree $tree"
    mkdir -p "$work/trees/${tree##*/}"
    (
        source_option=$tree work=$work/trees/${tree##*/}
        run
    )
done
[ "$is_there" = yes ] ||
    skipped "CPython 3.14: MIMEO_CPYTHON_SOURCE names no tree of it, and beside the checkout there is none called cpython-*"
