#!/bin/sh
# What a run keeps is what its config says, as plan foretells it.
. tests/program/lib.sh
find_python

head -1 tests/program/edits.jsonl >"$work/edits.jsonl"
sed -n 2p tests/program/edits.jsonl >>"$work/edits.jsonl"

# configure CAPTURE LIMITS: a config of two lines of the manifest, in $work/run.json
configure()
{
    cat >"$work/run.json" <<END
{"model": "$PWD/models/scenes", "manifest": "edits.jsonl", "steps": 3, "scheduler": "ddim",
 "width": 64, "height": 64, "capture": {$1}, "limits": {$2}}
END
}

# agrees STORE: is the store what plan foretells, and do its captures agree?
agrees()
{
    "$program" plan "$work/run.json" --store "$1" >"$work/plan" 2>"$work/stderr" || return 1
    "$python" tests/program/check_captures.py "$1" <"$work/plan" >"$work/stdout" 2>"$work/stderr"
}

configure '"attention": [
    {"name": "cross_mean"}, {"name": "before", "when": "before"}, {"name": "words", "tokens": "words"},
    {"name": "each", "steps": "each", "layers": "each", "heads": "each"},
    {"name": "half", "steps": "each", "dtype": "f16"}, {"name": "listed", "layers": [1, 5], "dtype": "u8"},
    {"name": "self", "kind": "self", "steps": [0, 2]}]' ''
for ranks in 1 2; do
    check "$ranks ranks capture" ends 0 on $ranks run "$work/run.json" --store "$work/$ranks.h5"
done
check "two ranks capture the same as one" same_stores "$work/1.h5" "$work/2.h5"
check "the store is what plan foretold and its captures agree" agrees "$work/1.h5"
check "every checksum is right" ends 0 "$program" verify "$work/1.h5"
check "its words can be drawn" ends 0 "$program" export "$work/1.h5" --as png --out "$work/pictures"

configure '"images": false, "latents": "none", "attention": []' ''
check "nothing can be kept" ends 0 on 1 run "$work/run.json" --store "$work/none.h5"
check "its checksums are right" ends 0 "$program" verify "$work/none.h5"
check "its pictures cannot be drawn" ends 1 "$program" export "$work/none.h5" --as png
check "that is said" says "none.h5 has no pictures"
check "other captures cannot go on with a store" ends 1 "$program" run "$work/run.json" \
    --store "$work/1.h5"
check "the difference is named" says '"capture" was'

# cannot WHAT CAPTURE TEXT: plan and run must refuse the capture, tell TEXT and make no store
cannot()
{
    configure "\"attention\": [{\"name\": \"x\", $2}]" "${4:-}"
    for verb in plan run; do
        check "$verb refuses $1" ends 1 "$program" $verb "$work/run.json" --store "$work/no.h5"
        check "$verb says why" says "$3"
    done
    check "$1 leaves no store" [ ! -e "$work/no.h5" ]
}
cross='the layers of cross-attention are 1, 5, 7 of [8, 8], 3 of [4, 4]'
cannot "a layer that there is not" '"layers": [1, 9]' "layer 9 is none of these; $cross"
cannot "a layer of the other kind" '"layers": [2]' "layer 2 is none of these; $cross"
cannot "layers of two sizes" '"layers": [1, 3]' "layers 1 and 3 differ in size; $cross"
cannot "a size that there is not" '"size": [16, 16]' "no layer has maps of [16, 16]; $cross"
cannot "a step that there is not" '"steps": [3]' "there is no step 3; the steps are 0 to 2"
cannot "a store that is too large" '"steps": "each"' '"limits.store_bytes" allows 100000 (' \
    '"store_bytes": 1e5'
