#!/bin/sh
# The demo under a real Slurm on three hosts: a time limit that is too short for it, then a host that
# goes down. `make test-slurm` does much more of this kind.
cd "$(dirname "$0")/../.." || exit 1
. tests/cluster/hosts.sh
. tests/cluster/slurm.sh
go_to_hub "the demo under Slurm" $slurm_tools
. tests/program/lib.sh
find_python
trap 'stop_slurm; clean_up' EXIT
export PROMPTMILL="$program" TMPDIR=/tmp
flags="--steps 8"

start_hub
for number in 1 2 3; do start_host $number; done
check "Slurm starts on three hosts" start_slurm "PartitionName=main Nodes=n[1-3] Default=YES MaxTime=60"
start=$(date +%s)
check "an undisturbed run on one host finishes" ends 0 on 2 run configs/demo.json $flags --store "$work/reference.h5"
half=$((($(date +%s) - start) / 2))
[ "$half" -ge 3 ] || half=3
[ "$half" -le 50 ] || half=50

store=$work/limit.h5
export PROMPTMILL_SPARE_SECONDS=$((60 - half))
submit_demo --time=1
check "the job ends well though its time limit is too short" ends_as "$id" COMPLETED 90
check "it has requeued itself" [ "$(restarts_of "$id")" -gt 0 ]
check "the store is as if there had been no limit" same_stores "$work/reference.h5" "$store"
check "no edit was made twice" [ "$(most_attempts "$store")" -eq 1 ]

store=$work/killed.h5
export PROMPTMILL_SPARE_SECONDS=0
submit_demo --time=5
check "a job is under way on two hosts" until_true 30 has_done "$store" 8
check "status tells of the job" ends 85 "$program" status "$store"
check "where it runs" prints "job $id runs on n[1-2]"
kill_host 2
scontrol update NodeName=n2 State=DOWN Reason=killed # as Slurm finds by itself, in SlurmdTimeout
check "the job ends well though a host went down" ends_as "$id" COMPLETED 90
check "it was requeued" [ "$(restarts_of "$id")" -gt 0 ]
check "what srun exits with then is not believed" grep -q "Slurm is ending the job" "$work/job-$id.log"
check "it went on on another host" [ "$(hosts_in "$store")" = "n1 n2 n3" ]
check "the store is as if no host had gone down" same_stores "$work/reference.h5" "$store"
check "all daemons are stopped" stop_slurm
