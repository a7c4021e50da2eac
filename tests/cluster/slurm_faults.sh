#!/bin/sh
# All that Slurm does to a job: requeued by hand, preempted, cancelled, its node drained or dead, its time
# over while it hangs. Each time nothing is lost and no picture is made twice. `make test-slurm`;
# takes minutes.
cd "$(dirname "$0")/../.." || exit 1
. tests/cluster/hosts.sh
. tests/cluster/slurm.sh
go_to_hub "Slurm's faults" $slurm_tools scancel
. tests/program/lib.sh
find_python
trap 'stop_slurm; clean_up' EXIT
export PROMPTMILL="$program" TMPDIR=/tmp PROMPTMILL_SPARE_SECONDS=0
flags="--steps 8"
urgent="PartitionName=urgent Nodes=n[1-3] MaxTime=60 PriorityTier=10"

# under_way NAME OPTION...: a job that has done some pictures of $store, which are noted
under_way()
{
    name=$1 store=$work/$1.h5
    shift
    submit_demo "$@"
    check "$name: a job is under way" until_true 60 has_done "$store" 8
    rows_done "$store" >"$work/before"
}

# goes_on JOB: does it finish what was under way?
goes_on()
{
    check "$name: the job comes to its end" ends_as "$1" COMPLETED 240
    check "$name: the store is as if nothing had been" same_stores "$work/reference.h5" "$store"
    check "$name: nothing that was done was made again" none_made_twice "$store" "$work/before"
}

# ends_for_good JOB STATE: it is over and not requeued; then its command is given again
ends_for_good()
{
    check "$name: the job is over" ends_as "$1" "$2" 150
    check "$name: it is not requeued" [ "$(restarts_of "$1")" -eq 0 ]
    check "$name: what it did is undamaged" ends 0 "$program" verify "$store"
    check "$name: something is left" ends 85 "$program" status "$store"
    submit_demo --time=30
    goes_on "$id"
}

host_is_idle() { [ "$(sinfo --noheader --nodes "n$1" --format %t | head -n 1)" = idle ]; }

start_hub
for number in 1 2 3; do start_host $number; done
check "Slurm starts on three hosts" start_slurm PreemptType=preempt/partition_prio PreemptMode=REQUEUE \
    "PartitionName=main Nodes=n[1-3] Default=YES MaxTime=60 PriorityTier=1" "$urgent"
check "an undisturbed run on one host finishes" ends 0 on 2 run configs/demo.json $flags --store "$work/reference.h5"

under_way requeued --time=30
scontrol requeue "$id"
goes_on "$id"
check "requeued: the job was started again" [ "$(restarts_of "$id")" -gt 0 ]

under_way preempted --time=30
edits=$id
submit --partition=urgent --nodes=3 --ntasks-per-node=2 --mem=200 --time=1 --wrap "sleep 1"
check "preempted: the urgent job is served first" ends_as "$id" COMPLETED 60
goes_on "$edits"
check "preempted: the job was started again" [ "$(restarts_of "$edits")" -gt 0 ]

under_way cancelled --time=30
scancel "$id"
ends_for_good "$id" CANCELLED

under_way drained --time=30
scontrol update NodeName=n2 State=DRAIN Reason=test
scontrol requeue "$id"
goes_on "$id"
check "drained: another host stepped in" [ "$(hosts_in "$store")" = "n1 n2 n3" ]
scontrol update NodeName=n2 State=RESUME
check "drained: the host is taken back" until_true 60 host_is_idle 2

under_way dead --time=30
kill_host 2 # Slurm finds out by itself
goes_on "$id"
check "dead: the job was started again" [ "$(restarts_of "$id")" -gt 0 ]
check "dead: another host stepped in" [ "$(hosts_in "$store")" = "n1 n2 n3" ]
start_host 2
start_slurmd 2
check "dead: the host comes back" until_true 60 host_is_idle 2

# As when the file system does not answer: nothing hears the signal that the end is near.
under_way hanging --time=1
for number in 1 2; do
    ranks=$(tests/cluster/on.sh n$number pgrep promptmill)
    tests/cluster/on.sh n$number kill -STOP $ranks
done
ends_for_good "$id" TIMEOUT

# Jobs that would never come to an end by requeuing themselves.
name=halted store=$work/halted.h5
touch "$work/halt"
flags="$flags --halt-file $work/halt"
submit_demo --time=30
flags="--steps 8"
check "halted: the job is over" ends_as "$id" FAILED 60
check "halted: it says why" grep -q "not requeued: $work/halt is there" "$work/job-$id.log"
name=idle store=$work/idle.h5
flags="$flags --time-limit 0.001"
PROMPTMILL_SPARE_SECONDS=100000 submit_demo --time=30
flags="--steps 8"
check "idle: a job that finishes nothing is over" ends_as "$id" FAILED 60
check "idle: it says why" grep -q "not requeued: nothing was finished in this whole job" "$work/job-$id.log"

check "all daemons are stopped" stop_slurm
