# Sourced by the tests that need several hosts, from the repository root, after go_to_hub.
#
# The hosts are made of namespaces: each has its own network, name, processes and shared memory, and
# all share the file system. A fourth, the hub, starts the jobs and is where the test itself runs; with
# its first process, which is the test, everything ends that was started in it.
spaces="--net --uts --mount --pid --fork --kill-child --mount-proc"

# go_to_hub FACT TOOL...: run this test again as the first process of a hub, or skip it
go_to_hub()
{
    [ -z "${HOSTS:-}" ] || return 0
    fact=$1 why=
    shift
    for tool in unshare nsenter ip pgrep flock "$@"; do
        command -v "$tool" >/dev/null || why="$tool is missing"
    done
    [ -n "$why" ] || unshare $spaces ip link add br0 type bridge 2>/dev/null || why="namespaces cannot be made here"
    if [ -n "$why" ]; then
        echo "ok - $fact # SKIP $why"
        exit
    fi
    # One test at a time: processes of two hubs have the same numbers, by which Open MPI names its files.
    exec 9>>"${TMPDIR:-/tmp}/promptmill-hub.$(id -u)"
    flock 9
    HOSTS=unknown unshare $spaces "$PWD/tests/cluster/${0##*/}"
    exit
}

# start_hub: HOSTS then has the number of each host's first process, as the hub sees it
start_hub()
{
    HOSTS=$work/hosts scratch=$work/scratch
    export HOSTS
    mkdir "$HOSTS" "$scratch"
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
    # An address of its own, so that a host that comes up again is found where the others remember it.
    ip link add "v$1" type veth peer name eth0 address "02:00:00:00:00:0$1" netns "$init"
    ip link set "v$1" master br0 up
    for words in "link set lo up" "addr add 10.77.0.$1/24 dev eth0" "link set eth0 up"; do
        nsenter --target "$init" --net ip $words
    done
}

# kill_host NUMBER: as if its power had gone. The kernel takes its network down some time after its processes.
kill_host()
{
    host=$(cat "$HOSTS/n$1")
    kill -9 "$host"
    while [ -d "/proc/$host" ] && ! grep -q '^State:.Z' "/proc/$host/status" 2>/dev/null; do sleep 0.1; done
    while ip link show "v$1" >/dev/null 2>&1; do sleep 0.1; done
}

hosts_in()
{
    "$python" -c 'import h5py, sys
print(*sorted({row["host"].decode() for row in h5py.File(sys.argv[1], "r")["provenance/entry"][:]} - {""}))' "$1"
}
