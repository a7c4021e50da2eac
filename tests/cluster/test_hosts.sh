#!/bin/sh
# A run over three hosts, one of which goes down in the middle of it, is finished by the other two.
cd "$(dirname "$0")/../.." || exit 1
. tests/cluster/hosts.sh
go_to_hub "three hosts"
. tests/program/lib.sh
find_python
config=$work/hosts.json
run="run $config"

for thing in ball cube star heart fish boat tree house; do
    for place in meadow hill desert; do
        printf '{"id": "%s %s", "source": "a red %s on a %s", "targets": [' $thing $place $thing $place
        printf '{"prompt": "a blue %s on a %s", "edit": "replace"}]}\n' $thing $place
    done
done >"$work/hosts.jsonl"
printf '{"model": "%s", "manifest": "hosts.jsonl", "steps": 16, "width": 64, "height": 64}\n' \
    "$PWD/models/scenes" >"$config"

# over HOSTS RANKS STORE, as "n1,n2" 4 a.h5
over()
{
    timeout -k 5 120 mpirun --mca plm rsh --mca plm_rsh_agent "$PWD/tests/cluster/on.sh" \
        --mca plm_rsh_no_tree_spawn 1 --mca orte_tmpdir_base "$scratch" \
        --mca btl_tcp_if_include 10.77.0.0/24 --mca oob_tcp_if_include 10.77.0.0/24 \
        --oversubscribe --bind-to none --host "$1" -n "$2" "$program" $run --store "$3"
}

# until_mid_run STORE: has the second host done a picture, so that it makes the next one?
until_mid_run()
{
    for i in $(seq 400); do
        case $(hosts_in "$1" 2>/dev/null) in *n2*) return ;; esac
        kill -0 "$job" 2>/dev/null || return 1
        sleep 0.05
    done
    return 1
}

# Now and then Open MPI's launcher hangs when a host is gone: after some seconds it is ended.
job_ends_badly()
{
    for i in $(seq 400); do
        kill -0 "$job" 2>/dev/null || break
        [ "$i" -ne 100 ] || kill $(pgrep -P "$job") # timeout, in the job's shell
        sleep 0.05
    done
    got=0
    wait "$job" 2>/dev/null || got=$?
    job=
    for i in $(seq 200); do
        pgrep promptmill >/dev/null || break
        sleep 0.05
    done
    case $got in 0 | 2 | 85) return 1 ;; esac
}

start_hub
for number in 1 2 3; do start_host $number; done
check "an undisturbed run on one host finishes" ends 0 on 2 $run --store "$work/reference.h5"
store=$work/a.h5
over n1:2,n2:2,n3:2 6 "$store" >"$work/stdout" 2>"$work/stderr" &
job=$!
check "six ranks run on three hosts" until_mid_run "$store"
kill_host 2
check "the run ends when a host goes down" job_ends_badly
check "what was done on all hosts is undamaged" ends 0 "$program" verify "$store"
check "not all was done" ends 85 "$program" status "$store"
check "the two other hosts finish what is left" ends 0 over n1:2,n3:2 4 "$store"
check "the store is as if no host had gone down" same_stores "$work/reference.h5" "$store"
check "all three hosts have made pictures of it" [ "$(hosts_in "$store")" = "n1 n2 n3" ]
