#!/bin/sh
# Real pictures: their edits are the same on any ranks, and bad pictures do not stop the others.
. tests/program/lib.sh
find_python

cp -r configs/images "$work/images"
printf 'no picture' >"$work/images/broken.png"
cat >"$work/edits.jsonl" <<'END'
{"id": "direct", "source": "a red fish on a meadow", "image": "images/red-fish.png", "targets": [{"prompt": "a red boat on a meadow", "edit": "replace", "local_blend": {}, "restore": "mask"}, {"prompt": "a red cup on a meadow", "edit": "replace"}]}
{"id": "drifts", "source": "a photo of a pink cup on a road", "image": "images/pink-cup.jpg", "inversion": "ddim", "crop": {"left": 8}, "targets": [{"prompt": "a photo of a blue cup on a road", "edit": "replace", "local_blend": {"background": "inversion"}}]}
{"id": "null text", "source": "a red star", "image": "images/red-star.png", "inversion": {"method": "null-text", "inner_steps": 2}, "targets": [{"prompt": "a blue star", "edit": "replace"}]}
{"id": "no picture", "source": "a red star", "image": "images/broken.png", "targets": [{"prompt": "a red cup", "edit": "replace"}]}
{"id": "not there", "source": "a red star", "image": "images/none.png", "targets": []}
{"id": "another size", "source": "a red star", "image": "images/red-star.png", "fit": "exact", "targets": []}
{"id": "from noise", "source": "a red star", "seed": 3, "targets": [{"prompt": "a blue star", "edit": "replace", "restore": "mask"}]}
END
cat >"$work/run.json" <<END
{"model": "$PWD/models/scenes", "manifest": "edits.jsonl", "steps": 4, "scheduler": "ddim",
 "width": 64, "height": 64, "capture": {"inversions": true}}
END

for ranks in 1 2; do
    check "$ranks ranks edit what can be edited" ends 2 on $ranks run "$work/run.json" --store "$work/$ranks.h5"
done
check "two ranks make the same as one" same_stores "$work/1.h5" "$work/2.h5"
"$program" status "$work/1.h5" >"$work/stdout" 2>&1
for sentence in 'broken.png' 'none.png' 'red-star.png'; do
    check "status says what is wrong with $sentence" grep -q "$sentence" "$work/stdout"
done
check "bf16 edits real pictures" ends 2 on 2 run "$work/run.json" --precision bf16 --store "$work/bf16.h5"
"$program" status "$work/bf16.h5" >"$work/stdout" 2>&1
check "null-text inversion, which needs a gradient, is refused there" \
    prints 'edits.jsonl:3: null-text inversion needs the precision fp32, not bf16'
check "PNDM cannot invert" ends 1 "$program" plan "$work/run.json" --scheduler pndm
check "and the plan says what can" prints 'edits.jsonl:1: an "image" is inverted by DDIM'

# Inversions of an earlier run are found again, and only those.
cp "$work/edits.jsonl" "$work/edits.jsonl.all"
grep -v '"another size"\|"not there"\|"no picture"\|"from noise"' "$work/edits.jsonl.all" |
    sed 's/"targets": \[.*/"targets": [{"prompt": "a red house", "edit": "refine"}]}/' >"$work/edits.jsonl"
check "a run without an earlier one makes its inversions" ends 0 "$program" run "$work/run.json" --store "$work/alone.h5"
check "a run after another finds its inversions" ends 0 on 2 run "$work/run.json" --store "$work/after.h5" \
    --inversions "$work/1.h5" --log debug
check "of all three pictures" [ "$(grep -c 'its inversion was there already' "$work/stderr")" -eq 3 ]
check "and its store is the same" same_stores "$work/alone.h5" "$work/after.h5"
sed -i 's/"crop": {"left": 8}/"crop": {"left": 9}/; s/"a red star"/"a star"/' "$work/edits.jsonl"
check "other pictures and prompts are inverted anew" ends 0 "$program" run "$work/run.json" \
    --store "$work/other.h5" --inversions "$work/1.h5" --log debug
check "but the one that is the same" [ "$(grep -c 'its inversion was there already' "$work/stderr")" -eq 1 ]
check "another schedule finds none" ends 0 "$program" run "$work/run.json" --steps 5 \
    --store "$work/steps.h5" --inversions "$work/1.h5" --log debug
check "and says why" grep -q "has none of this run's size and steps" "$work/stderr"
check "its own store is no earlier one" ends 1 "$program" run "$work/run.json" --store "$work/other.h5" \
    --inversions "$work/other.h5"
check "show tells how good a reconstruction is" ends 0 "$program" show "$work/1.h5" direct
check "in decibels" prints "dB PSNR of the picture"
check "a packed copy keeps all of it" ends 0 "$program" pack "$work/1.h5" "$work/packed.h5"
check "and vouches for it" ends 0 "$program" verify "$work/packed.h5"
check "inversions are found in a packed store, into one of several files" ends 0 on 2 run "$work/run.json" \
    --store "$work/node.h5" --store-files node --inversions "$work/packed.h5"
check "which is right too" ends 0 "$program" verify "$work/node.h5"
