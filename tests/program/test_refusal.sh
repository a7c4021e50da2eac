#!/bin/sh
# What cannot be done is refused with a sentence that names it, and nothing is touched.
. tests/program/lib.sh

store=$work/a.h5
model=$PWD/models/scenes
check "a store is made" ends 2 on 2 run $config --store "$store"
cp "$store" "$work/copy.h5"

# refused WHAT TEXT... -- ARGUMENTS...: does a run with these arguments end with 1, tell the texts
# and leave the store as it was?
refused()
{
    what=$1
    shift
    texts=
    while [ "$1" != -- ]; do
        texts="$texts$1
"
        shift
    done
    shift
    check "$what is refused" ends 1 "$program" run "$@" --store "$store"
    check "$what is named" says "$store" "${texts%?}"
    check "$what leaves the store alone" cmp "$store" "$work/copy.h5"
}

refused "another number of steps" '"steps" was 3 and is now 4' -- $config --steps 4
check "two ranks refuse together" ends 1 on 2 run $config --steps 4 --store "$store"
refused "another guidance scale" '"guidance_scale" was 7.5 and is now 2' -- \
    $config --guidance-scale 2
refused "another size" '"width" was 64 and is now 72' -- $config --width 72
sed '1s/a red cube/a red star/' tests/program/edits.jsonl >"$work/edits.jsonl"
refused "a changed line" "edits.jsonl:1 is not what the store was begun with" -- \
    $config --manifest "$work/edits.jsonl"
sed '1,2d' tests/program/edits.jsonl >"$work/edits.jsonl"
refused "a shorter manifest" "14 lines with 27 pictures, the manifest has 12" -- \
    $config --manifest "$work/edits.jsonl"

# fails WHAT TEXT -- COMMAND...: it must end with 1 and tell TEXT
fails()
{
    what=$1 text=$2
    shift 3
    check "$what: exit status 1" ends 1 "$@"
    check "$what: it is named" says "$text"
}

nowhere=$work/nowhere
fails "a config that is not there" "$nowhere.json" -- "$program" plan "$nowhere.json"
fails "a manifest that is not there" "$nowhere.jsonl" -- \
    "$program" plan $config --manifest "$nowhere.jsonl"
fails "a model that is not there" "$nowhere" -- "$program" plan $config --model "$nowhere"
fails "a model that is not there, for info" "$nowhere" -- "$program" info "$nowhere"
fails "a store in a folder that is not there" "$nowhere/a.h5" -- \
    on 2 run $config --store "$nowhere/a.h5"
fails "no store in the config" '"store" is missing' -- "$program" run $config
for verb in status verify show export; do
    fails "$verb of a store that is not there" "$nowhere.h5" -- "$program" $verb "$nowhere.h5"
    fails "$verb of a file that is no store" "$config" -- "$program" $verb $config
done

mkdir "$work/model"
for part in model_index.json scheduler text_encoder tokenizer vae; do
    ln -s "$model/$part" "$work/model"
done
fails "a model without its unet" "$work/model/unet" -- "$program" info "$work/model"
fails "a run of a model without its unet" "$work/model/unet" -- \
    "$program" run $config --model "$work/model" --store "$work/b.h5"

sed 's/"steps"/"stepps"/' $config >"$work/typo.json"
fails "a config with an unknown key" 'unknown key "stepps"; did you mean "steps"?' -- \
    "$program" plan "$work/typo.json"
echo '{"model": ' >"$work/cut.json"
fails "a config cut short" "$work/cut.json" -- "$program" plan "$work/cut.json"

if [ "$(id -u)" -ne 0 ]; then
    mkdir "$work/kept"
    chmod a-w "$work/kept"
    fails "a store in a folder that may not be written" "$work/kept/a.h5" -- \
        "$program" run $config --store "$work/kept/a.h5"
else
    echo "# root may write everywhere: a read-only folder is not tried"
fi

fails "a folder for logs that cannot be made" "cannot make the folder $config/logs: Not a directory" -- \
    "$program" run $config --store "$work/b.h5" --log-folder $config/logs
for i in $(seq 21); do echo "[$i]"; done >"$work/lists.jsonl"
fails "a manifest of wrong lines only" "none of the 21 edits can be done" -- \
    "$program" run $config --manifest "$work/lists.jsonl" --store "$work/b.h5"
check "the first 20 are named, the others counted" says "lists.jsonl:20: " \
    '... and 1 more; `promptmill plan` lists them all'
check "no more of them" [ "$(grep -c 'lists.jsonl:' "$work/stderr")" -eq 20 ]

# Each rank has a folder of its own, as hosts have whose disks are not shared.
for rank in 0 1; do
    mkdir "$work/$rank"
    sed -n "$((rank + 1)),5p" tests/program/edits.jsonl >"$work/$rank/edits.jsonl"
done
sed "s|\"edits.jsonl\"|\"/proc/self/cwd/edits.jsonl\"|; s|\"../../models/scenes\"|\"$model\"|" \
    $config >"$work/apart.json"
on_two_disks()
{
    timeout -k 10 120 mpirun --oversubscribe --bind-to none \
        -n 1 --wdir "$work/0" "$program" "$@" : -n 1 --wdir "$work/1" "$program" "$@"
}
bytes_of() { wc -c <"$work/$1/edits.jsonl"; }
fails "ranks that see two manifests" \
    "edits.jsonl has $(bytes_of 1) bytes where rank 1 runs, and $(bytes_of 0) where rank 0 does" -- \
    on_two_disks run "$work/apart.json" --store "$work/b.h5"
check "nothing was begun" [ ! -e "$work/b.h5" ]

# A store of other lines that says of itself that it has these.
find_python
sed "2s/\"id\": \"/&$(printf '%0200d' 1)/" tests/program/edits.jsonl >"$work/edits.jsonl"
ends 2 "$program" run $config --manifest "$work/edits.jsonl" --store "$work/others.h5"
cp "$store" "$work/liar.h5"
"$python" -c 'import sys, h5py
liar, others = h5py.File(sys.argv[1], "r+"), h5py.File(sys.argv[2])
liar.attrs["manifest_hash"] = others.attrs["manifest_hash"]' "$work/liar.h5" "$work/others.h5"
fails "a store whose hash of the manifest is not its own" "the manifest is not what the store was begun with" -- \
    "$program" run $config --manifest "$work/edits.jsonl" --store "$work/liar.h5"
