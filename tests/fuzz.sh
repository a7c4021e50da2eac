#!/bin/sh
# `make fuzz`: every target of tests/fuzz for SECONDS (60), or those whose names are given.
#
#     BUILD=build-fuzz SECONDS=60 tests/fuzz.sh [NAME...]
#
# What is found is kept, in out/fuzz/NAME-crash-..., and -timeout-, -oom-, -slow-unit-; once it is
# mended, it belongs into tests/fuzz/corpus/NAME. Inputs that led to new code are kept in
# BUILD/corpus, for the next time.
set -eu
cd "$(dirname "$0")/.."
build=${BUILD:-build-fuzz}
[ $# -gt 0 ] || set -- $(ls tests/fuzz/test_*.c | sed 's|.*/test_||; s|\.c$||')
mkdir -p out/fuzz
export OMP_NUM_THREADS=1
export ASAN_OPTIONS=allocator_may_return_null=0:detect_leaks=1
export LSAN_OPTIONS=suppressions=$PWD/tests/sanitizers/lsan.supp:print_suppressions=0
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
bad=0

# Other sound inputs that the repository has: they are copied, so that none is written to.
seeds()
{
    case $1 in
        picture) ls tests/golden/data/images/*.png tests/golden/data/images/*.jpg ;;
        config) ls configs/*.json tests/program/*.json ;;
        manifest) ls configs/*.jsonl tests/program/*.jsonl ;;
        model_configs) ls models/scenes/*/*config.json tests/golden/data/models/*/*/*config.json ;;
    esac
}

for name; do
    found=$build/corpus/$name
    mkdir -p "$found"
    for file in $(seeds "$name"); do
        cp "$file" "$found/$(echo "$file" | tr / _)"
    done
    log=out/fuzz/$name.log
    if "$build/tests/fuzz/test_$name" -max_total_time="${SECONDS:-60}" -timeout=5 -report_slow_units=2 \
        -malloc_limit_mb=1024 -rss_limit_mb=4096 -max_len=65536 -print_final_stats=1 \
        -artifact_prefix="out/fuzz/$name-" "$found" "tests/fuzz/corpus/$name" >"$log" 2>&1; then
        echo "$name: $(sed -n 's/stat::number_of_executed_units: *//p' "$log") inputs, nothing found"
    else
        echo "$name: FOUND, see $log"
        bad=1
    fi
done
exit "$bad"
