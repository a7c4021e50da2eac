#!/bin/sh
# A run that was killed or told to stop is taken up again, and its store is as if nothing had been.
. tests/program/lib.sh
find_python
run="run $config --steps 30"

# begin_in_background RANKS STORE: under mpirun, as $job; each rank's process id in a file
begin_in_background()
{
    rm -f "$work"/rank.*
    mpirun --oversubscribe --bind-to none -n "$1" \
        sh -c 'echo $$ >"$0.$OMPI_COMM_WORLD_RANK" && exec "$@"' "$work/rank" \
        "$program" $run --store "$2" >"$work/stdout" 2>"$work/stderr" &
    job=$!
}

# until_mid_run STORE: has it done something, but not all?
until_mid_run()
{
    before=$(count_in "$1" done)
    for i in $(seq 600); do
        [ "$(count_in "$1" done)" -gt "$before" ] && break
        kill -0 "$job" 2>/dev/null || break
        sleep 0.05
    done
    [ "$(count_in "$1" done)" -gt "$before" ] && [ "$(count_in "$1" left)" -gt 0 ]
}

# job_ends STATUS, or "badly": with anything but 0, 2 and 85, as finished and stopped runs end
job_ends()
{
    got=0
    wait "$job" || got=$?
    job=
    case $1 in
        badly) case $got in 0 | 2 | 85) return 1 ;; esac ;;
        *) [ "$got" -eq "$1" ] ;;
    esac
}

check "an undisturbed run finishes" ends 2 on 2 $run --store "$work/undisturbed.h5"
cp "$work/undisturbed.h5" "$work/copy.h5"
check "a run on a finished store exits as before" ends 2 on 2 $run --store "$work/undisturbed.h5"
check "a run on a finished store changes nothing" cmp "$work/undisturbed.h5" "$work/copy.h5"

# Two stores, on each of which several things happen one after the other, while there is work left.
store=$work/stopped.h5
begin_in_background 2 "$store"
check "a run is under way, before SIGUSR1" until_mid_run "$store"
kill -USR1 "$job"
check "SIGUSR1 to mpirun ends the job with 85" job_ends 85
check "the run tells that a signal stopped it" says "a signal came" "run the same command again"
check "after SIGUSR1 some edits are left" ends 85 "$program" status "$store"

check "the time limit ends a run with 85" ends 85 on 2 $run --store "$store" --time-limit 0.001
check "the run tells that the time limit stopped it" says "the time limit is reached"
touch "$work/halt"
check "the halt file ends a run with 85" ends 85 on 2 $run --store "$store" --halt-file "$work/halt"
check "the run tells that the halt file stopped it" says "the halt file is there"
rm "$work/halt"
check "without them the run finishes" ends 2 on 2 $run --store "$store" --halt-file "$work/halt" \
    --time-limit 1000
check "the store is as if nothing had stopped it" same_stores "$work/undisturbed.h5" "$store"

store=$work/killed.h5
for victim in 0 1; do
    ranks=$((victim + 2))
    begin_in_background $ranks "$store"
    check "$ranks ranks are at work, before rank $victim is killed" until_mid_run "$store"
    kill -9 "$(cat "$work/rank.$victim")"
    check "the job ends when rank $victim is killed" job_ends badly
    check "status exits 85 after rank $victim was killed" ends 85 "$program" status "$store"
    check "what is there is undamaged after rank $victim was killed" ends 0 "$program" verify "$store"
done
check "the run finishes after its ranks were killed" ends 2 on 2 $run --store "$store"
check "the store is as if none had been killed" same_stores "$work/undisturbed.h5" "$store"
