#!/bin/sh
# What a run warns of, and goes on.
. tests/program/lib.sh
find_python

cores=$(nproc)
head -1 tests/program/edits.jsonl >"$work/edits.jsonl"
# warned WHAT TEXT COMMAND...: is the run done all the same, and TEXT told?
warned()
{
    what=$1 text=$2
    shift 2
    check "$what: the run is done" ends 0 "$@"
    check "$what: it is told" says "$text"
}
one_line() { on "$1" run $config --manifest "$work/edits.jsonl" --store "$work/$2.h5" --threads "$3"; }
limited() { (ulimit -f 1000000 && one_line 2 limited 1); }

warned "more threads than cores" "a rank has $((cores + 1)) threads but may run on $cores core" \
    one_line 1 threads $((cores + 1))
check "with what gives it more" says "start with mpirun --map-by slot:PE=$((cores + 1)) or srun --cpus-per-task=$((cores + 1))"
warned "more threads than a host has cores" "a host's ranks together have $cores more threads than cores; take fewer ranks" \
    one_line 2 ranks "$cores"
warned "weights that may not be shared" "the 2 ranks of $(hostname) keep a copy of the weights each: files may have" limited
check "the stores are the same" same_stores "$work/threads.h5" "$work/limited.h5"

store=$work/threads.h5
"$python" tests/program/store_faults.py flip "$store" image 1
warned "a picture that has changed" "1 pictures in $store were damaged: they will be made again" one_line 1 threads 1
"$python" tests/program/store_faults.py flip "$store" item/recipe 0
warned "a plan that has changed" "the items or prompts in $store were damaged: they are written again" one_line 1 threads 1
check "the store is as it was" same_stores "$work/limited.h5" "$store"
