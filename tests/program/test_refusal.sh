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
    check "$what is refused" ends 1 on 2 run "$@" --store "$store"
    check "$what is named" says "$store" "${texts%?}"
    check "$what leaves the store alone" cmp "$store" "$work/copy.h5"
}

refused "another number of steps" '"steps" was 3 and is 4' -- $config --steps 4
refused "another guidance scale" '"guidance_scale" was' -- $config --guidance-scale 2
refused "another size" '"width" was 64 and is 72' -- $config --width 72
sed 's/a red cube on a meadow", "edit": "replace", "cross/a red star on a meadow", "edit": "replace", "cross/' \
    tests/program/edits.jsonl >"$work/edits.jsonl"
refused "a changed line" "edits.jsonl:1 is not what the store was begun with" -- \
    $config --manifest "$work/edits.jsonl"
sed '1,2d' tests/program/edits.jsonl >"$work/edits.jsonl"
refused "a shorter manifest" "14 lines with 27 pictures, the manifest has 12" -- \
    $config --manifest "$work/edits.jsonl"
