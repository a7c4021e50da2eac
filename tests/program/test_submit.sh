#!/bin/sh
# What is said when a run cannot be submitted, by a Slurm that answers as it is told to.
. tests/program/lib.sh

mkdir "$work/bin"
export PATH="$work/bin:$PATH"
# answers COMMAND TEXT STATUS: this is all that COMMAND does from now on
answers()
{
    printf '#!/bin/sh\ncat <<END\n%s\nEND\nexit %s\n' "$2" "$3" >"$work/bin/$1"
    chmod +x "$work/bin/$1"
}
# cannot WHAT TEXT ARGUMENT...: submit must end with 1 and tell TEXT
cannot()
{
    what=$1 text=$2
    shift 2
    check "$what: exit status 1" ends 1 "$program" submit "$@"
    check "$what: it is told" says "$text"
}

head -1 tests/program/edits.jsonl >"$work/one.jsonl"
cat >"$work/run.json" <<END
{"model": "$PWD/models/scenes", "manifest": "one.jsonl", "store": "a.h5", "steps": 1, "width": 64, "height": 64}
END
sed 's/"store": "a.h5", //' "$work/run.json" >"$work/homeless.json"
main='main*|4|1000000|2|1:00:00'
answers sinfo "$main" 0
answers sbatch 4711 0

cannot "no store" 'homeless.json: "store" is missing' "$work/homeless.json"
cannot "a script that is not there" "cannot open none.sbatch: No such file" --script none.sbatch "$work/run.json"
cannot "some edits that are wrong" \
    "6 of 17 edits cannot be done; nothing is submitted (--keep-going submits the others)" \
    --store "$work/b.h5" $config
cannot "only wrong edits" "none of the 3 edits can be done" --manifest tests/program/wrong.jsonl "$work/run.json"
mkdir -p "$work/alone/bin"
cp "$program" "$work/alone/bin/promptmill"
check "a program without its scripts: exit status 1" ends 1 "$work/alone/bin/promptmill" submit "$work/run.json"
check "where they were looked for is told" says "edit.sbatch is neither in $work/alone/bin/../slurm" \
    "nor in $work/alone/bin/../share/promptmill/slurm; --script names yours"

cannot "a partition that there is not" 'Slurm has no partition "night" with nodes' "$work/run.json" --partition=night
cannot "a number of nodes that is none" "--nodes=two: one whole number from 1 to 1000000 is understood here" "$work/run.json" --nodes=two
cannot "so many ranks" "--ntasks-per-node=0: one whole number from 1 to 1000000 is understood here" \
    "$work/run.json" --ntasks-per-node 0
answers sinfo 'main|4|1000000|2|1:00:00' 0
cannot "no partition that is meant" "Slurm has no default partition with nodes: give --partition=NAME" "$work/run.json"
answers sinfo 'main*|4|200|2|1:00:00' 0
cannot "nodes that are too small" 'GB for the model, and a node of "main" has 0.2 GB' "$work/run.json"
answers sinfo "" 3
cannot "a Slurm that is down" "Slurm does not answer: sinfo ended with status 3" "$work/run.json"

answers sinfo "$main" 0
answers sbatch "" 1
cannot "a job that Slurm refuses" "sbatch refused the job, with status 1: see above" "$work/run.json"
check "no job is noted down" [ ! -e "$work/a.h5.job" ]
answers sbatch "not a number" 0
cannot "a job without a number" "sbatch refused the job, with status 0" "$work/run.json"
answers sbatch 4711 0
mkdir "$work/a.h5.job"
cannot "a job that cannot be noted down" "cannot write $work/a.h5.job: Is a directory" "$work/run.json"

rm "$work/bin/sinfo"
for folder in /usr/bin /bin; do ln -sf "$folder"/* "$work/bin" 2>/dev/null; done
rm -f "$work/bin/sinfo" "$work/bin/sbatch"
export PATH="$work/bin"
cannot "no Slurm at all" "cannot start sinfo: No such file or directory" "$work/run.json"
check "a proposal can still be looked at" ends 0 "$program" submit --dry-run "$work/run.json"
check "for nodes like this host, as it is told" says \
    "cannot start sinfo: No such file or directory; nodes like this host are taken for granted"
check "it is shown" prints "proposed " 'of "this host"' "sbatch --parsable"
