#!/bin/sh
# Kills a random rank of a run at a random moment, goes on with another number of ranks, and so on:
# every store that comes out of it, of one file or with one for each host, must be the undisturbed one's
# equal, bit for bit.
#
#     BUILD=build KILLS=100 SEED=1 VERBOSE=0 tests/soak.sh
#
# The moments are spread over a run's whole time: making the store, planning, editing, closing. SEED
# repeats the choices, as far as the machine repeats its times. Exit status: 0, or 1 with a sentence.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/program/lib.sh
find_python
kills_wanted=${KILLS:-100}
seed=${SEED:-1}
config=$work/soak.json
store=$work/soak.h5

# random N: a number below N, as $random
random()
{
    seed=$(((seed * 1103515245 + 12345) % 2147483648))
    random=$((seed / 65536 % $1))
}

fail()
{
    echo "soak: after $kills kills: $*" >&2
    sed 's/^/    /' "$work/output" >&2
    exit 1
}

write_work()
{
    for thing in ball cube star heart; do
        for place in "on a meadow" "in the snow"; do
            printf '{"id": "%s %s", "source": "a red %s %s", "targets": [' "$thing" "$place" "$thing" "$place"
            printf '{"prompt": "a blue %s %s", "edit": "replace", "local_blend": {"source": ["red"], "target": ["blue"]}}, ' \
                "$thing" "$place"
            printf '{"edit": "reweight", "equalizer": {"red": 2}}]}\n'
        done
    done >"$work/soak.jsonl"
    # a picture is begun as often as it takes
    printf '{"model": "%s", "manifest": "soak.jsonl", "steps": 6, "width": 64, "height": 64, "limits": {"attempts": 1000}}\n' \
        "$PWD/models/scenes" >"$config"
}

now() { date +%s%N; }

# begin RANKS: a run in the background, as $job; returns when all its ranks have a process
begin()
{
    rm -f "$work"/rank.*
    timeout -k 10 120 mpirun --oversubscribe --bind-to none -n "$1" \
        sh -c 'echo $$ >"$0.$OMPI_COMM_WORLD_RANK" && exec "$@"' "$work/rank" \
        "$program" run "$config" --store "$store" --store-files "$files" >"$work/output" 2>&1 &
    job=$!
    until [ "$(cat "$work"/rank.* 2>/dev/null | wc -l)" -eq "$1" ]; do
        kill -0 "$job" 2>/dev/null || break
        sleep 0.01
    done
}

# Wait for it; its exit status as $status
end()
{
    status=0
    wait "$job" 2>/dev/null || status=$?
    job=
}

# kill_rank RANK: false when it has ended already. One that is about to end, or has not been waited for,
# still has its name, but no command line any more.
kill_rank()
{
    process=$(cat "$work/rank.$1")
    case $(cat "/proc/$process/comm" 2>/dev/null) in promptmill | sh) ;; *) return 1 ;; esac
    [ -n "$({ tr -d '\0' <"/proc/$process/cmdline"; } 2>/dev/null)" ] || return 1
    kill -9 "$process" 2>/dev/null
}

compare()
{
    same_stores "$work/reference.h5" "$store" || fail "the store is another: $(cat "$work/stdout")"
    rm "$store" "$store".shard-* 2>/dev/null
    stores=$((stores + 1))
    [ "$files" = one ] && files=node || files=one
}

# After a kill the store, if there is one by now, must open. A row of which only a part was written is
# damaged: that may be.
examine()
{
    [ -e "$store" ] && { [ "$files" = one ] || [ -e "$store.shard-0" ]; } || {
        early=$((early + 1))
        return
    }
    ends 0 "$program" verify "$store" || {
        ends 2 "$program" verify "$store" || fail "the store cannot be read: $(cat "$work/stderr")"
        torn=$((torn + 1))
    }
}

kills=0 stores=0 early=0 torn=0
files=one # and node, in turn
write_work
begin 2
start=$(now)
end
[ "$status" -eq 0 ] || fail "the undisturbed run ends with $status"
milliseconds=$((($(now) - start) / 1000000))
mv "$store" "$work/reference.h5"

while [ "$kills" -lt "$kills_wanted" ]; do
    random 4
    ranks=$((random + 1))
    random "$ranks"
    victim=$random
    random "$milliseconds"
    delay=$random
    begin "$ranks"
    sleep "$(printf '%d.%03d' $((delay / 1000)) $((delay % 1000)))"
    was_killed=no
    kill_rank "$victim" && was_killed=yes
    end
    case $was_killed,$status in
        no,0) compare ;;
        yes,0 | yes,124) fail "rank $victim of $ranks was killed after $delay ms, and the run ends with $status" ;;
        yes,*)
            kills=$((kills + 1))
            examine
            [ "${VERBOSE:-0}" -eq 0 ] || echo "kill $kills: rank $victim of $ranks after $delay ms:" \
                "$(count_in "$store" done) pictures done"
            ;;
        *) fail "$ranks ranks, of which none was killed, end with $status" ;;
    esac
done
begin 2
end
[ "$status" -eq 0 ] || fail "the last run ends with $status"
compare
echo "$kills kills, $early of them before there was a store; $torn half-written rows; $stores stores," \
    "all equal to the undisturbed one"
