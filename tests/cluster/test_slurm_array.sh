#!/bin/sh
# A sweep submitted as a job array under a real Slurm: its parts' merge and an evaluation come after it.
cd "$(dirname "$0")/../.." || exit 1
. tests/cluster/hosts.sh
. tests/cluster/slurm.sh
go_to_hub "a job array under Slurm" $slurm_tools
. tests/program/lib.sh
find_python
trap 'stop_slurm; clean_up' EXIT
export PROMPTMILL="$program" TMPDIR=/tmp PROMPTMILL_SPARE_SECONDS=0

start_hub
for number in 1 2 3; do start_host $number; done
check "Slurm starts on three hosts" start_slurm "PartitionName=main Nodes=n[1-3] Default=YES MaxTime=60"
head -n 3 configs/demo.jsonl >"$work/sweep.jsonl"
printf '{"model": "%s", "manifest": "sweep.jsonl", "store": "sweep.h5", "steps": 4, "sweep": {"seed": [1, 2]}}\n' \
    "$PWD/models/scenes" >"$work/sweep.json"
check "a single run does the sweep" ends 0 on 2 run "$work/sweep.json" --store "$work/single.h5"
unset PROMPTMILL
check "submit plans, proposes and submits" ends 0 "$program" submit --parts 3 "$work/sweep.json" \
    --nodes=1 --ntasks-per-node=1 --mem=600M --time=10 --output="$work/job-%A-%a.log"
check "it prints the jobs" prints "proposed    1 nodes of \"main\"" "--array=1-3" "--dependency=afterok:"
merge=$(sed -n 's/.*then merged by job \([0-9]*\).*/\1/p' "$work/stdout")
export PROMPTMILL="$program"
submit --dependency=afterok:"$merge" --kill-on-invalid-dep=yes --mem=600M --time=10 slurm/after.sbatch measure "$work/sweep.h5"
check "what comes after the merge is done" ends_as "$id" COMPLETED 120
check "the merged store is that of a single run" same_stores "$work/single.h5" "$work/sweep.h5"
check "there is a table of metrics" [ -s "$work/sweep.metrics.csv" ]

check "all daemons are stopped" stop_slurm
