#!/usr/bin/env bash
# CPython is the judge: builds CPython 3.13's JIT with the stencils that `mimeo cpython` makes, and runs CPython's own tests
# with it. The source comes from Debian and does not stay; the system's list of package sources is left alone.
set -euo pipefail

usage() {
    cat <<TEXT
Usage: ci/cpython.sh [OPTIONS]
Builds CPython 3.13 with mimeo's stencils in its JIT and runs CPython's tests with PYTHON_JIT=1, after a few kernels that must
compute the same with the JIT and without. Where CPython's source cannot be had, says SKIPPED and succeeds.

  --source DIR     a source tree of CPython 3.13, which is copied, in the place of Debian's source package
  --header FILE    put this jit_stencils.h in, in the place of the one mimeo makes
  --mimeo PATH     the mimeo command, in the place of building it
  --clang PATH     the clang for mimeo, in the place of clang-19
  --work DIR       work in DIR, keep it, and use what is there already; without it, a temporary directory
  --jobs N         processes at a time (default: all processors)
  --tests "LIST"   the tests to run, as CPython's test runner names them
  --all-tests      run CPython's whole test suite. As root or without a network some tests fail whatever the stencils:
                   ci/cpython-bench.sh --suite compares
  --debug          a debug build of CPython, with mimeo's stencils for one
  --require        fail where the source cannot be had
Exit code: 0 fine or skipped, 1 the build or a test failed, 2 usage.
TEXT
}

program=${0##*/}
source_option='' header_option='' mimeo_option='' clang_option='' work_option=''
jobs=$(nproc) debug=no require=no
tests="test_capi.test_opt test_generators test_dict test_list test_float test_int test_string test_json test_descr
    test_class test_exceptions"
# shellcheck source-path=SCRIPTDIR source=cpython/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/cpython/common.sh"

while [ $# -gt 0 ]; do
    case $1 in
    --source | --header | --mimeo | --clang | --work | --jobs | --tests)
        [ $# -ge 2 ] || usage_error "$1 needs a value"
        case $1 in
        --source) source_option=$2 ;;
        --header) header_option=$2 ;;
        --mimeo) mimeo_option=$2 ;;
        --clang) clang_option=$2 ;;
        --work) work_option=$2 ;;
        --jobs) jobs=$2 ;;
        --tests) tests=$2 ;;
        esac
        shift 2
        ;;
    --all-tests) tests='' && shift ;;
    --debug) debug=yes && shift ;;
    --require) require=yes && shift ;;
    -h | --help) usage && exit 0 ;;
    *) usage_error "unknown argument: $1" ;;
    esac
done
check_options

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

set_up_work
if [ "$debug" = yes ]; then build=$work/build-debug; else build=$work/build; fi
tools=()
[ -n "$header_option$clang_option" ] || tools+=(clang-19=clang-19)
phase "tools" set_up_tools ${tools[@]+"${tools[@]}"}
phase "source" get_source
[ -n "$header_option" ] || phase "mimeo" set_up_mimeo
phase "configure" configure_build "$build"
phase "header" put_our_header "$build"
phase "make" make_build "$build"
phase "kernels" run_kernels
phase "tests" run_tests
check_header "$build"
say "passed: CPython's tests, with the header's code"
