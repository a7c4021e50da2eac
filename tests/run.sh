#!/bin/sh
# Runs everything that is checked: the layers, unit, golden and MPI tests, and the program itself.
#
#     BUILD=build tests/run.sh [PATTERN]
#
# BUILD is one build folder or several; PATTERN, a shell pattern, picks tests by their path
# ("*unit/test_json*"). Silent but for what is wrong; the last line is "N passed, N failed". A test
# that crashes, runs out of time, stops early or says nothing counts as one that failed. Exit
# status: 0, or 1 when something failed.
set -u
cd "$(dirname "$0")/.." || exit 1
pattern=${1:-*}
folder=$(mktemp -d "${TMPDIR:-/tmp}/promptmill-tests.XXXXXX") || exit 1
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' HUP INT TERM
: >"$folder/tally"

# Open MPI's hwloc would visit every core, and wait at each that is busy, to ask it what the system knows.
export HWLOC_COMPONENTS=-x86
# More threads than cores, of several tests and ranks: those that wait must not spin on cores that others want.
export OMP_WAIT_POLICY=passive
if [ "$(id -u)" -eq 0 ]; then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
export CMOCKA_MESSAGE_OUTPUT=TAP
# For builds with sanitizers. Whole stacks, so that libraries' own leaks are known as such.
export ASAN_OPTIONS=fast_unwind_on_malloc=0
export LSAN_OPTIONS=suppressions=$PWD/tests/sanitizers/lsan.supp:print_suppressions=0
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1

# Of a build with sanitizers, many times slower, this much is left out: edits and inversions on
# models/scenes (the unit tests have smaller ones), other numbers of ranks than two, and of the program's tests
# all but the one that has every kind of line in it.
is_sanitized() { case $1 in *-san) ;; *) false ;; esac; }
is_wanted()
{
    case $2 in $pattern) ;; *) return 1 ;; esac
    is_sanitized "$1" || return 0
    case $2 in
        */golden/test_edits | */golden/test_inversion) return 1 ;;
        tests/program/*) [ "$2" = tests/program/test_bad_lines.sh ] ;;
    esac
}

# wanted_programs BUILD KIND
wanted_programs()
{
    for source in tests/"$2"/test_*.c; do
        is_wanted "$1" "$1/${source%.c}" && echo "$1/${source%.c}"
    done
}

# judge NAME STATUS OUTPUT...: count what a test said and show what is wrong. The outputs, in TAP,
# are of its ranks: what all of them tested counts once, as failed if it failed on any.
judge()
{
    name=$1 status=$2
    shift 2
    awk -v name="$name" -v status="$status" -v tally="$folder/tally" '
        /^1\.\.[0-9]+$/ { missing[FILENAME] += substr($0, 4); next }
        /^(not )?ok / {
            missing[FILENAME]--
            test = $0
            sub(/^(not )?ok /, "", test)
            failures[test] += /^not/
            if (/^ok/) next
        }
        { text = text $0 "\n" }
        END {
            for (test in failures) if (failures[test]) failed++; else passed++
            if (status == 124) why = ": out of time"
            else if (status > 128) why = ": ended by signal " status - 128
            else if (status != 0) why = ": exit status " status
            for (file in missing) if (missing[file] > 0) why = why ": stopped early"
            if (!failed && !passed) why = why ": no result"
            if (why && !failed) failed = 1
            if (failed) printf "FAILED %s%s\n%s\n", name, why, text
            print passed + 0, failed + 0 >>tally
        }' "$@"
}

run_layers()
{
    is_wanted none tests/layers.sh || return
    { tests/layers.sh && echo "ok - layers"; } >"$folder/output" 2>&1
    judge tests/layers.sh $? "$folder/output"
}

# wanted_tests BUILD: all but those of MPI
wanted_tests()
{
    for script in tests/program/test_*.sh; do
        is_wanted "$1" "$script" && echo "$script"
    done
    for kind in golden unit fuzz; do wanted_programs "$1" "$kind"; done
}

# One more at once than there are cores, since many of them wait for most of their time. A script that is out
# of time ends after the command that it waits for, which has a limit as well.
run_tests()
{
    for build; do
        wanted_tests "$build" | sed "s|^|$build |"
    done >"$folder/tests"
    xargs -r -n 2 -P "$(($(nproc) + 1))" sh -c '
        output=$0/$(echo "$1 $2" | tr " /" __)
        case $2 in
            *.sh) limit=600 grace=130 ;;
            *) limit=300 grace=10 && export OMP_NUM_THREADS=1 ;;
        esac
        BUILD=$1 timeout --foreground -k "$grace" "$limit" "$2" >"$output.output" 2>&1
        echo $? >"$output.status"' "$folder" <"$folder/tests"
    while read -r build path; do
        output=$folder/$(echo "$build $path" | tr " /" __)
        case $path in *.sh) name="$path of $build" ;; *) name=$path ;; esac
        judge "$name" "$(cat "$output.status")" "$output.output"
    done <"$folder/tests"
}

# One at a time: they measure how much CPU time they take. Each rank has a file for its output,
# which mpirun could mix up.
run_mpi_programs()
{
    rank_counts="1 2 3 4"
    is_sanitized "$1" && rank_counts=2
    for path in $(wanted_programs "$1" mpi); do
        for ranks in $rank_counts; do
            rm -f "$folder"/rank.*
            : >"$folder/rank.0"
            timeout --foreground -k 10 120 mpirun --oversubscribe -n "$ranks" \
                sh -c 'exec "$1" >"$0/rank.$$" 2>&1' "$folder" "$path" >"$folder/output" 2>&1
            judge "$path on $ranks ranks" $? "$folder/output" "$folder"/rank.*
        done
    done
}

run_layers
run_tests ${BUILD:-build}
for build in ${BUILD:-build}; do
    run_mpi_programs "$build"
done
if [ ! -s "$folder/tally" ]; then
    echo "no test matches $pattern" >&2
    exit 1
fi
awk '{ passed += $1; failed += $2 }
     END { print passed " passed, " failed " failed"; exit failed > 0 }' "$folder/tally"
