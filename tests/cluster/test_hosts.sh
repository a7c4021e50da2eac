#!/bin/sh
# A run over three hosts, one of which goes down in the middle of it, is finished by the other two.
cd "$(dirname "$0")/../.." || exit 1
. tests/cluster/hosts.sh
go_to_hub "three hosts"
. tests/program/lib.sh
find_python
config=$work/hosts.json
run="run $config"

ids=
for thing in ball cube star heart fish boat tree house; do
    for place in meadow hill desert; do
        ids="$ids $thing-$place"
        printf '{"id": "%s-%s", "source": "a red %s on a %s", "targets": [' $thing $place $thing $place
        printf '{"prompt": "a blue %s on a %s", "edit": "replace"}]}\n' $thing $place
    done
done >"$work/hosts.jsonl"
printf '{"model": "%s", "manifest": "hosts.jsonl", "steps": 20, "width": 64, "height": 64}\n' \
    "$PWD/models/scenes" >"$config"

# over HOSTS RANKS STORE OPTIONS..., as "n1,n2" 4 a.h5
over()
{
    hosts=$1 ranks=$2 store=$3
    shift 3
    timeout -k 5 120 mpirun --mca plm rsh --mca plm_rsh_agent "$PWD/tests/cluster/on.sh" \
        --mca plm_rsh_no_tree_spawn 1 --mca orte_tmpdir_base "$scratch" \
        --mca btl_tcp_if_include 10.77.0.0/24 --mca oob_tcp_if_include 10.77.0.0/24 \
        --oversubscribe --bind-to none --host "$hosts" -n "$ranks" "$program" $run \
        --store "$store" "$@"
}

# until_mid_run STORE: has the second host done a picture, so that it makes the next one? The job has two minutes.
until_mid_run()
{
    while kill -0 "$job" 2>/dev/null; do
        "$program" show "$1" $ids 2>/dev/null | grep -q " of n2$" && return
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

# goes_down KIND: a run whose store is of one file or of one a node loses its second host
goes_down()
{
    store=$work/$1.h5
    over n1:2,n2:2,n3:2 6 "$store" --store-files "$1" >"$work/stdout" 2>"$work/stderr" &
    job=$!
    check "$1: six ranks run on three hosts" until_mid_run "$store"
    kill_host 2
    check "$1: the run ends when a host goes down" job_ends_badly
    check "$1: what was done on all hosts is undamaged" ends 0 "$program" verify "$store"
    check "$1: not all was done" ends 85 "$program" status "$store"
    check "$1: the two other hosts finish what is left" ends 0 over n1:2,n3:2 4 "$store"
    check "$1: the store is as if no host had gone down" same_stores "$work/reference.h5" "$store"
    check "$1: all three hosts have made pictures of it" [ "$(hosts_in "$store")" = "n1 n2 n3" ]
}

# Of the first third of the entries, until the second host is out of work.
has_first_shards_entries()
{
    "$python" - "$1" "$2" <<'END'
import h5py, sys
rows = h5py.File(sys.argv[1], "r")["provenance/entry"]
shard = rows[: len(rows) // 3]["host"]
sys.exit(sum(host == sys.argv[2].encode() for host in shard) < len(shard) / 2)
END
}

start_hub
for number in 1 2 3; do start_host $number; done
check "an undisturbed run on one host finishes" ends 0 on 2 $run --store "$work/reference.h5"
goes_down one
start_host 2
goes_down node
check "node: there is a file for each host" [ "$(ls "$work" | grep -c '^node.h5.shard-[012]$')" -eq 3 ]
check "node: a host's pictures are in its file, for the most part" has_first_shards_entries "$store" n1
rm "$store.shard-1"
check "node: a lost file is missed" ends 1 "$program" verify "$store"
check "node: it is named" says "$store.shard-1 is missing"
check "node: one host makes its pictures again" ends 0 over n3:2 2 "$store"
check "node: the store is as if no file had been lost" same_stores "$work/reference.h5" "$store"
