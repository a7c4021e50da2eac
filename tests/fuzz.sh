#!/bin/sh
# `make fuzz`: every target of tests/fuzz for SECONDS (60), or those whose names are given.
#
#     BUILD=build-fuzz SECONDS=60 TIMEOUT=5 tests/fuzz.sh [NAME...]
#
# What is found is kept, in out/fuzz/NAME-crash-..., and -timeout-, -oom-, -slow-unit-; once it is
# mended, it belongs into tests/fuzz/corpus/NAME. Inputs that led to new code are kept in
# BUILD/corpus, for the next time, and in BUILD/NAME.seconds the CPU time since something was found.
# An input may take a second; TIMEOUT allows for the sanitizers, and on a busy machine it must for that.
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

# Bytes of an input, at most. A manifest is looked at line by line: of many, none would be looked at often.
longest()
{
    case $1 in
        manifest) echo 1500 ;;
        store) echo 64 ;;
        tokenizer_files) echo 4096 ;;
        *) echo 65536 ;;
    esac
}

# MiB that may be asked for at once: a picture may have 2^27 pixels, whatever its file's size.
bound()
{
    case $1 in
        picture) echo 512 ;;
        *) echo 128 ;;
    esac
}

# Other sound inputs that the repository has: they are copied, so that none is written to.
seeds()
{
    case $1 in
        picture) ls tests/golden/data/images/*.png tests/golden/data/images/*.jpg ;;
        config) ls configs/*.json tests/program/*.json ;;
        manifest) # a line a file
            mkdir -p "$build/lines"
            cat configs/*.jsonl tests/program/*.jsonl | split -l 1 - "$build/lines/"
            ls "$build"/lines/* ;;
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
    if "$build/tests/fuzz/test_$name" -max_total_time="${SECONDS:-60}" -timeout="${TIMEOUT:-5}" -report_slow_units="${TIMEOUT:-1}" \
        -malloc_limit_mb="$(bound "$name")" -rss_limit_mb=2048 -max_len="$(longest "$name")" \
        -detect_leaks=0 -print_final_stats=1 \
        -artifact_prefix="out/fuzz/$name-" "$found" "tests/fuzz/corpus/$name" >"$log" 2>&1; then
        seconds=$(sed -n 's/^CPU seconds: //p' "$log")
        echo "$seconds" >>"$build/$name.seconds"
        echo "$name: $(sed -n 's/stat::number_of_executed_units: *//p' "$log") inputs in $seconds s of CPU time, nothing found;" \
            "$(awk '{ n += $1 } END { printf "%.1f", n / 60 }' "$build/$name.seconds") minutes in all"
    else
        rm -f "$build/$name.seconds"
        echo "$name: FOUND, see $log"
        bad=1
    fi
done
exit "$bad"
