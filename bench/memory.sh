#!/bin/sh
# How much memory the weights take when a host runs one rank and when it runs several. Run it from
# the repository's root.
#
#     bench/memory.sh [-n RANKS] [-m MODEL]
#
# Exit status 1 when RANKS ranks (default 4) have more than 1.1 times the weights of one. BUILD says
# where the build is (default: build); bench/README.md tells more.
set -eu

ranks=4 model=models/scenes
while getopts n:m: option; do
    case $option in
        n) ranks=$OPTARG ;;
        m) model=$OPTARG ;;
        *) exit 2 ;;
    esac
done
program=${BUILD:-build}/promptmill
if ! [ -x "$program" ]; then
    echo "bench/memory.sh: $program is not there; make it first" >&2
    exit 2
fi
if [ "$(id -u)" -eq 0 ]; then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi

folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
trap 'exit 1' INT TERM
for i in 1 2 3 4 5 6 7 8; do
    echo '{"id": "'"$i"'", "source": "a red ball on a meadow", "seed": '"$i"', "targets": [
        {"prompt": "a red cube on a meadow", "edit": "replace"}]}' | tr -d '\n'
    echo
done >"$folder/edits.jsonl"
cat >"$folder/config.json" <<EOF
{"model": "$(realpath "$model")", "manifest": "edits.jsonl", "store": "edits.h5", "steps": 10}
EOF

# Of one rank: MB of its weights and of all else, every page divided by the ranks that map it. The
# weights are the shared file, or what a rank alone has, the one nameless mapping that is read-only.
memory_of() { # PID
    awk '/^[0-9a-f]+-[0-9a-f]+ / { is_weights = /\/memfd:weights/ || ($2 == "r--p" && NF == 5) }
         $1 == "Pss:" { if (is_weights) weights += $2; else rest += $2 }
         END { print weights * 1024 / 1e6, rest * 1024 / 1e6 }' "/proc/$1/smaps"
}

# The largest sum seen while N ranks edit, and the largest rest of a rank. The ranks stand still
# while they are looked at, so that no page is counted by halves.
measure() { # N
    rm -f "$folder/edits.h5" "$folder/seen"
    mpirun --oversubscribe --bind-to none -n "$1" "$program" run --threads 1 --log error \
        "$folder/config.json" &
    launcher=$!
    trap 'kill "$launcher"; exit 1' INT TERM
    while kill -0 "$launcher" 2>/dev/null; do
        sleep 0.2
        pids=$(pgrep -P "$launcher" -x promptmill) || continue
        { kill -STOP $pids
          for pid in $pids; do memory_of "$pid"; done >"$folder/now"
          kill -CONT $pids; } 2>/dev/null || continue # some of them have just ended
        awk -v ranks="$1" '$1 > 1 { n++; weights += $1; if ($2 > rest) rest = $2 }
            END { if (n == ranks) print weights, rest }' "$folder/now" >>"$folder/seen"
    done
    wait "$launcher"
    awk '{ if ($1 > w) w = $1; if ($2 > r) r = $2 }
        END { if (!NR) exit 1; print w, r }' "$folder/seen"
}

one=$(measure 1)
several=$(measure "$ranks")
apart=$(ulimit -f 4194304 && measure "$ranks")
printf '%-24s %12s %18s\n' "" "weights, MB" "else, MB a rank"
printf '%-24s %12.1f %18.1f\n' "1 rank" $one "$ranks ranks" $several \
    "$ranks ranks, not shared" $apart
if awk -v one="${one% *}" -v several="${several% *}" 'BEGIN { exit several <= 1.1 * one }'; then
    echo "bench/memory.sh: the ranks do not share the weights" >&2
    exit 1
fi
