#!/bin/sh
# A run over three hosts, one of which goes down in the middle of it, is finished by the other two.
#
# The hosts are made of namespaces: each has its own network, name, processes and shared memory, and
# all share the file system. A fourth, the hub, starts the run and is where this script runs; with
# its first process, which is this script, everything ends that was started in it.
cd "$(dirname "$0")/../.." || exit 1
spaces="--net --uts --mount --pid --fork --kill-child --mount-proc"
if [ -z "${HOSTS:-}" ]; then
    for tool in unshare nsenter ip pgrep; do
        command -v $tool >/dev/null || why="$tool is missing"
    done
    [ -n "${why:-}" ] || unshare $spaces ip link add br0 type bridge 2>/dev/null || why="namespaces cannot be made here"
    if [ -n "${why:-}" ]; then
        echo "ok - three hosts # SKIP $why"
        exit
    fi
    HOSTS=unknown unshare $spaces "$PWD/tests/cluster/test_hosts.sh"
    exit
fi
. tests/program/lib.sh
find_python
config=$work/hosts.json
run="run $config"

HOSTS=$work/hosts # the number of each host's first process, as the hub sees it
scratch=$work/scratch
mkdir "$HOSTS" "$scratch"
export HOSTS

for thing in ball cube star heart fish boat tree house; do
    for place in meadow hill desert; do
        printf '{"id": "%s %s", "source": "a red %s on a %s", "targets": [' $thing $place $thing $place
        printf '{"prompt": "a blue %s on a %s", "edit": "replace"}]}\n' $thing $place
    done
done >"$work/hosts.jsonl"
printf '{"model": "%s", "manifest": "hosts.jsonl", "steps": 16, "width": 64, "height": 64}\n' \
    "$PWD/models/scenes" >"$config"

start_hub()
{
    hostname hub
    { echo "127.0.0.1 localhost" && echo "10.77.0.254 hub" && printf '10.77.0.%d n%d\n' 1 1 2 2 3 3; } >"$work/names"
    mount --bind "$work/names" /etc/hosts
    ip link set lo up
    ip link add br0 type bridge
    ip addr add 10.77.0.254/24 dev br0
    ip link set br0 up
}

# start_host NUMBER
start_host()
{
    unshare $spaces sh -c "hostname n$1; mount -t tmpfs none /dev/shm; mount -t tmpfs none '$scratch'
        touch '$scratch/up'; while :; do sleep 1000; done" 2>"$work/host-$1" &
    for i in $(seq 200); do
        init=$(pgrep -P $!) && [ -e "/proc/$init/root$scratch/up" ] && break
        sleep 0.02
    done
    echo "$init" >"$HOSTS/n$1"
    ip link add "v$1" type veth peer name eth0 netns "$init"
    ip link set "v$1" master br0 up
    for words in "link set lo up" "addr add 10.77.0.$1/24 dev eth0" "link set eth0 up"; do
        nsenter --target "$init" --net ip $words
    done
}

# over HOSTS RANKS STORE, as "n1,n2" 4 a.h5
over()
{
    timeout -k 5 120 mpirun --mca plm rsh --mca plm_rsh_agent "$PWD/tests/cluster/on.sh" \
        --mca plm_rsh_no_tree_spawn 1 --mca orte_tmpdir_base "$scratch" \
        --mca btl_tcp_if_include 10.77.0.0/24 --mca oob_tcp_if_include 10.77.0.0/24 \
        --oversubscribe --bind-to none --host "$1" -n "$2" "$program" $run --store "$3"
}

hosts_in()
{
    "$python" -c 'import h5py, sys
print(*sorted({row["host"].decode() for row in h5py.File(sys.argv[1], "r")["provenance/entry"][:]} - {""}))' "$1"
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
kill -9 "$(cat "$HOSTS/n2")"
check "the run ends when a host goes down" job_ends_badly
check "what was done on all hosts is undamaged" ends 0 "$program" verify "$store"
check "not all was done" ends 85 "$program" status "$store"
check "the two other hosts finish what is left" ends 0 over n1:2,n3:2 4 "$store"
check "the store is as if no host had gone down" same_stores "$work/reference.h5" "$store"
check "all three hosts have made pictures of it" [ "$(hosts_in "$store")" = "n1 n2 n3" ]
