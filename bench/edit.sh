#!/bin/sh
# One edit by promptmill and by diffusers, on the same cores, in turn: seconds of each, and the
# ratio. Run it from the repository's root.
#
#     bench/edit.sh [-t THREADS] [-n ROUNDS] [-r REPEATS]
#
# A round times both programs, so that whatever else the machine does meets both; a figure is the
# median over rounds. BUILD says where the build is (default: build); bench/README.md tells more.
set -eu

threads=1 rounds=3 repeats=3
while getopts t:n:r: option; do
    case $option in
        t) threads=$OPTARG ;;
        n) rounds=$OPTARG ;;
        r) repeats=$OPTARG ;;
        *) exit 2 ;;
    esac
done
build=${BUILD:-build}
program=$build/bench/edit
venv=build/bench-venv
python=$venv/bin/python

if ! [ -x "$program" ]; then
    echo "bench/edit.sh: $program is not there; make it first" >&2
    exit 2
fi
if ! [ -x "$python" ]; then
    python3 -m venv "$venv"
    "$python" -m pip install --quiet -r bench/requirements.txt
fi

# As many of the cores that we may use as there are threads.
cores=$("$python" -c 'import os, sys
cores = sorted(os.sched_getaffinity(0))
threads = int(sys.argv[1])
if threads > len(cores):
    sys.exit(f"bench/edit.sh: {threads} threads, but {len(cores)} cores")
print(*cores[-threads:], sep=",")' "$threads")

folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
trap 'exit 1' INT TERM
results=$folder/results

# diffusers at its best: no settings that were made for another program's OpenBLAS, and an
# allocator that keeps freed memory rather than have the system clear it anew.
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE
run_diffusers() {
    MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=4294967296 MALLOC_TOP_PAD_=268435456 \
        taskset -c "$cores" "$python" bench/edit_diffusers.py "$@"
}

round=0
while [ "$round" -lt "$rounds" ]; do
    round=$((round + 1))
    taskset -c "$cores" "$program" -t "$threads" -r "$repeats" -p "$folder/pixels" >>"$results"
    run_diffusers -t "$threads" -r "$repeats" -p "$folder/pixels" >>"$results"
done

values() { # PROGRAM KEY
    sed -n "s/.*\"program\": \"$1\".*\"$2\": \([0-9.]*\).*/\1/p" "$results" | sort -n
}
median() {
    values "$1" "$2" | awk '{ x[NR] = $1 }
        END { printf "%.3f", (x[int((NR + 1) / 2)] + x[int(NR / 2) + 1]) / 2 }'
}

ours=$(median promptmill seconds) ours_cpu=$(median promptmill cpu_seconds)
theirs=$(median diffusers seconds) theirs_cpu=$(median diffusers cpu_seconds)
difference=$(values diffusers mean_difference | tail -n 1)
cat "$results"
awk -v o="$ours" -v oc="$ours_cpu" -v t="$theirs" -v tc="$theirs_cpu" 'BEGIN {
    printf "\n%-12s %9s %12s\n", "", "seconds", "CPU seconds"
    printf "%-12s %9.3f %12.3f\n", "promptmill", o, oc
    printf "%-12s %9.3f %12.3f\n", "diffusers", t, tc
    printf "%-12s %9.2f %12.2f\n", "ratio", t / o, tc / oc }'
echo "mean difference of the pictures: $difference of 255"
# Rounding makes some 0.0002; leaving out the replacement of cross-attention, 0.8.
if awk -v d="$difference" 'BEGIN { exit d < 0.02 }'; then
    echo "bench/edit.sh: the two programs do not make the same pictures" >&2
    exit 1
fi
