#!/bin/sh
# Weights that a run leaves in a folder, for the next one to begin with.
. tests/program/lib.sh
find_python

printf '{"id": "ball", "source": "a red ball on a meadow", "targets": [{"prompt": "a blue ball on a meadow", "edit": "replace"}]}\n' \
    >"$work/edits.jsonl"
printf '{"model": "%s", "manifest": "edits.jsonl", "steps": 2, "width": 64, "height": 64, "packed_weights": "kept"}\n' \
    "$PWD/models/scenes" >"$work/edits.json"
mkdir "$work/kept"

check "a run without such a folder is made" ends 0 on 1 run "$work/edits.json" --packed-weights /nowhere --store "$work/none.h5"
check "it says why nothing is kept" says "the packed weights are not kept: cannot write /nowhere/" "No such file or directory"
check "the first run packs the weights" ends 0 on 2 run "$work/edits.json" --store "$work/first.h5"
check "it says so" says "there is no $work/kept/" "the weights are packed, and kept there for the next run"
check "one file is left, beside the config" [ "$(ls "$work/kept" | grep -c -e '-fp32\.packed$')" -eq 1 ]
check "nothing else is" [ "$(ls "$work/kept" | wc -l)" -eq 1 ]
check "the next run takes them" ends 0 on 2 run "$work/edits.json" --store "$work/second.h5"
check "it packs nothing" eval '! says "are packed"'
check "a finished store is gone on with without them" ends 0 on 1 run "$work/edits.json" --store "$work/first.h5" --packed-weights /nowhere
for name in first second; do
    check "$name: the pictures are those of a run that keeps nothing" same_stores "$work/none.h5" "$work/$name.h5"
done
