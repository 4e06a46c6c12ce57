#!/usr/bin/env bash
# How fast the JIT of CPython 3.13 or 3.14 is with mimeo's stencils, against the same CPython with the stencils of its own
# generator, both made by the same LLVM: five kernels, or with --suite whether both pass the same of CPython's tests.
set -euo pipefail

usage() {
    cat <<TEXT
Usage: ci/cpython-bench.sh [OPTIONS]
Builds two interpreters that differ in the header of stencils alone, CPython's own and mimeo's, and runs five kernels with
PYTHON_JIT=1, taking turns on one CPU: the medians of processor time, their ratios, and the ratios' geometric mean. Fails if
the results differ.

  --rounds N                processes of each interpreter and kernel (default: 15)
  --kernel NAME             only this kernel (again for more): nbody, fannkuch, spectral_norm, int_loop, float_loop
  --cpu N                   the CPU to run on (default: the last)
  --json FILE               write all times to FILE
  --suite                   in the place of the kernels, run CPython's whole test suite with both, and fail if ours fails a
                            test, twice, that the reference passes (some twenty minutes on two CPUs)
  --tests "LIST"            with --suite: only these tests
  --reference-header PATH   put this header into the reference, in the place of the one CPython's generator makes: the file
                            jit_stencils.h, or a directory with it and the file that it includes
  --header PATH             put this header into ours, in the place of the one mimeo makes
  --source DIR              a source tree of CPython 3.13 or 3.14, which is copied, in the place of Debian's source package of
                            3.13
  --mimeo PATH              the mimeo command, in the place of building it
  --llvm VERSION            the LLVM of both, and its clang: 19 (the default) to 23
  --clang PATH              the clang for mimeo, in the place of clang-VERSION
  --work DIR                work in DIR, keep it, and use what is there already, such as the reference's header and
                            interpreter; without it, a temporary directory
  --mirror URL              a mirror of Debian for its source package, where the system's package sources name none
  --jobs N                  processes at a time when building and in the suite (default: all processors)
  --debug                   debug builds of both
Exit code: 0 fine, 1 something failed or differs, 2 usage.
TEXT
}

program=${0##*/}
source_option='' header_option='' mimeo_option='' clang_option='' cflags_option='' work_option='' reference_option=''
llvm=19 jobs=$(nproc) debug=no pgo=no require=yes
suite=no tests='' compare=()
# shellcheck source-path=SCRIPTDIR source=cpython/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/cpython/common.sh"

while [ $# -gt 0 ]; do
    case $1 in
    --source | --header | --reference-header | --mimeo | --llvm | --clang | --work | --mirror | --jobs | --tests | --rounds | --kernel | --cpu | \
        --json)
        [ $# -ge 2 ] || usage_error "$1 needs a value"
        case $1 in
        --source) source_option=$2 ;;
        --header) header_option=$2 ;;
        --reference-header) reference_option=$2 ;;
        --mimeo) mimeo_option=$2 ;;
        --llvm) llvm=$2 ;;
        --clang) clang_option=$2 ;;
        --work) work_option=$2 ;;
        --mirror) mirrors_given+=("$2") ;;
        --jobs) jobs=$2 ;;
        --tests) tests=$2 ;;
        --rounds | --cpu)
            [[ $2 =~ ^[0-9]+$ ]] || usage_error "$1 takes a number, not $2"
            compare+=("$1" "$2")
            ;;
        --kernel)
            case $2 in
            nbody | fannkuch | spectral_norm | int_loop | float_loop) compare+=(--kernel "$2") ;;
            *) usage_error "no kernel is called $2" ;;
            esac
            ;;
        --json) compare+=(--json "$(realpath -m "$2")") ;;
        esac
        shift 2
        ;;
    --suite) suite=yes && shift ;;
    --debug) debug=yes && shift ;;
    -h | --help) usage && exit 0 ;;
    *) usage_error "unknown argument: $1" ;;
    esac
done
check_options
check_header_option "$reference_option"
[ "$suite" = yes ] || [ -z "$tests" ] || usage_error "--tests goes with --suite"

# The header of CPython's own generator, made once for a work directory and an LLVM.
put_reference_header() {
    if [ -n "$reference_option" ]; then
        give_header "$reference_option" "$reference"
        return 0
    fi
    if [ ! -s "$generated/jit_stencils.h" ]; then
        rm -rf "$generated"
        mkdir "$generated"
        cp -p "$reference/pyconfig.h" "$generated/"
        (
            cd "$generated"
            logged "$reference/generator.log" "$python" -B "$here/generator.py" "$work/source" "$reference" "$llvm"
        )
        check_digest "$reference" "$generated"
    fi
    give_header "$generated" "$reference"
}

# A reference that was built with this header is built once.
build_reference() {
    local header=${reference_option:-$generated}
    if [ -e "$reference/built/jit_stencils.h" ]; then
        if [ -d "$header" ]; then
            ! same_header "$header" "$reference/built" >/dev/null || built=yes
        elif [ -s "$header" ] && [ "$(header_files "$reference/built")" = jit_stencils.h ]; then
            ! cmp -s "$header" "$reference/built/jit_stencils.h" || built=yes
        fi
    fi
    if [ "$built" = yes ]; then
        say "built already: $reference"
        return 0
    fi
    rm -rf "$reference/built"
    put_reference_header
    make_build "$reference"
    cp -r "$reference/expected" "$reference/built"
}

# A copy of the reference that knows where it is: then only what depends on the header must be built again. Files that name
# the directory keep their dates, or make would build everything.
copy_reference() {
    local file
    ! cmp -s "$reference/configured" "$ours/configured" || return 0
    rm -rf "$ours"
    cp -a "$reference" "$ours"
    rm -rf "$ours/configured" "$ours/built" "$ours"/generated*
    while IFS= read -r -d '' file; do
        touch -r "$file" "$ours/date"
        sed -i "s|$reference\\>|$ours|g" "$file"
        touch -r "$ours/date" "$file"
    done < <(grep -rlIZ --include=Makefile --include=Makefile.pre --include=config.status --include=ld_so_aix \
        --include='_sysconfigdata_*.py' -F "$reference" "$ours")
    find "$ours/build" -name __pycache__ -prune -exec rm -rf {} +
    cp "$reference/configured" "$ours/configured"
}

build_ours() {
    copy_reference
    put_our_header "$ours"
    make_build "$ours"
    if ! same_header "$reference" "$ours" >/dev/null && cmp -s "$reference/python" "$ours/python"; then
        fail "the headers differ, and the interpreters do not"
    fi
}

run_suite() {
    local list
    read -r -d '' -a list <<<"$tests" || true
    "$python" "$here/suite.py" "$reference/python" "$ours/python" --logs "$work" --jobs "$jobs" ${list[@]+"${list[@]}"}
}

set_up_work
if [ "$debug" = yes ]; then suffix=-debug; else suffix=''; fi
reference=$work/reference$suffix ours=$work/ours$suffix
generated=$reference/generated-$llvm built=no
tools=()
[ -n "$header_option$clang_option" ] || tools+=("clang-$llvm=clang-$llvm")
[ -n "$reference_option" ] || tools+=("clang-$llvm=clang-$llvm" "llvm-readobj-$llvm=llvm-$llvm")
phase "tools" set_up_tools ${tools[@]+"${tools[@]}"}
phase "source" get_source
[ -n "$header_option" ] || phase "mimeo" set_up_mimeo
phase "configure" configure_build "$reference"
phase "the reference" build_reference
phase "ours" build_ours
if [ "$suite" = yes ]; then
    phase "both suites" run_suite
else
    phase "kernels" "$python" "$here/compare.py" "$reference/python" "$ours/python" ${compare[@]+"${compare[@]}"}
fi
