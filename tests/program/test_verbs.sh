#!/bin/sh
# Every verb helps when asked, and names the word that it does not understand.
. tests/program/lib.sh
verbs="run plan config status verify show export info"

is_silent_on_stderr() { [ ! -s "$work/stderr" ]; }

for verb in $verbs; do
    check "$verb --help exits 0" ends 0 "$program" $verb --help
    check "$verb --help prints to stdout how it is used" prints "promptmill $verb"
    check "$verb --help says nothing on stderr" is_silent_on_stderr
done
check "--help exits 0" ends 0 "$program" --help
check "--help lists every verb" prints $(printf '  %s\n' $verbs)
check "--version exits 0" ends 0 "$program" --version
check "--version prints a version" prints "promptmill "

# misused WORD ARGUMENTS...: they must be refused, with WORD
misused()
{
    word=$1
    shift
    check "\`$*\` exits 1" ends 1 "$program" "$@"
    check "\`$*\` is told about $word" says "promptmill" "$word"
    check "\`$*\` prints nothing to stdout" [ ! -s "$work/stdout" ]
}

misused "usage: promptmill VERB"
misused '"exprot"; did you mean "export"' exprot a.h5
for verb in run plan config; do
    misused "a config is wanted" $verb
    misused other.json $verb $config other.json
    misused --stepps $verb $config --stepps=3
    misused '"steps" is given as "many"' $verb $config --steps many
    misused '"steps" is 0' $verb $config --steps 0 --store "$work/a.h5"
    misused '"scheduler" is "euler"' $verb $config --scheduler euler --store "$work/a.h5"
    misused loud $verb $config --log loud
    misused "more than 32 flags" $verb $config $(seq -f -s%.0f 40)
done
misused '"width" is 65' run $config --width 65 --store "$work/a.h5"
for verb in status verify show export; do
    misused "a store is wanted" $verb
    misused --frobnicate $verb --frobnicate a.h5
done
for verb in status verify; do
    misused b.h5 $verb a.h5 b.h5
done
misused --retry-failed plan $config --retry-failed
misused '"stor"; did you mean "store"' config $config --get stor
misused '"thread"; did you mean "threads"' config $config --get limits.thread
misused gif export a.h5 --as gif
misused '"0"' export a.h5 --scale 0
misused '"3x"' export a.h5 --columns 3x
misused "a model is wanted" info
misused --frobnicate info --frobnicate

check "a value of the config can be asked for" ends 0 "$program" config $config --get limits.threads -t 3
check "a flag lies over the config" prints 3
check "a key that is not set has no value" ends 0 "$program" config $config --get limits.halt_file
check "no value is an empty answer" [ ! -s "$work/stdout" ]

check "each rank logs to a file when told to" ends 0 on 2 run $config --manifest configs/attention-maps.jsonl \
    --store "$work/logged.h5" --log-folder "$work/logs"
check "there is a log for each rank" [ -e "$work/logs/rank-0000.log" -a -e "$work/logs/rank-0001.log" ]
check "the log holds what is told to people" grep -q "info: the store is" "$work/logs/rank-0000.log"
check "stderr is for warnings and errors then" [ ! -s "$work/stderr" ]

check "a wrong command line writes nothing" [ ! -e "$work/a.h5" ]
check "under mpirun, one rank speaks for all" ends 1 on 2 run $config --stepps=3
check "the wrong word is told once" [ "$(grep -c stepps "$work/stderr")" -eq 1 ]
