#!/bin/sh
# What plan finds before anything is computed: all of it in one go, each with its line.
. tests/program/lib.sh

cat >"$work/edits.jsonl" <<'EOF'
{"id": "sound", "source": "a red ball on a meadow", "targets": [{"prompt": "a red cube on a meadow", "edit": "replace"}]}
{"id": "word", "source": "a red ball on a meadow", "targets": [{"prompt": "a red cube on a meadow", "edit": "replace", "equalizer": {"bal": 2}}]}
{"id": "twice", "source": "a ball and a tree", "targets": [{"prompt": "a ball and a cube", "edit": "replace", "equalizer": {"a": 2}}]}
{"id": "window", "source": "a red ball on a meadow", "targets": [{"prompt": "a red cube on a meadow", "edit": "replace", "cross_replace_steps": [0.5, 0.501]}]}
{"id": "picture", "source": "a red ball on a meadow", "image": "none.png", "inversion": "direct", "targets": [{"prompt": "a red cube on a meadow", "edit": "replace"}]}
{"id": "text", "source": "a red ball on a meadow", "image": "edits.jsonl", "inversion": "direct", "targets": [{"prompt": "a red cube on a meadow", "edit": "replace"}]}
{"id": "real", "source": "a photo of a yellow ball on the water", "image": "ball.png", "inversion": "direct", "targets": [{"prompt": "a photo of a yellow star on the water", "edit": "replace"}]}
{"id": "margins", "source": "a photo of a yellow ball on the water", "image": "ball2.png", "crop": {"top": 9999}, "inversion": "direct", "targets": [{"prompt": "a photo of a yellow star on the water", "edit": "replace"}]}
EOF
cp configs/images/yellow-ball.png "$work/ball.png"
cp configs/images/yellow-ball.png "$work/ball2.png"
cat >"$work/edits.json" <<EOF
{"model": "$PWD/models/scenes", "manifest": "edits.jsonl", "store": "edits.h5", "steps": 10, "scheduler": "ddim"}
EOF
check "plan exits 1 when something cannot be done" ends 1 "$program" plan "$work/edits.json"
check "a word that is not there" prints 'edits.jsonl:2: targets[0]: the word "bal"'
check "a picture that is missing" prints "edits.jsonl:5: cannot open $work/none.png"
check "a picture that is none" prints "edits.jsonl:6: $work/edits.jsonl is neither a PNG nor a JPEG file"
check "a picture of which the margins leave nothing" prints "edits.jsonl:8: $work/ball2.png"
check "how many pictures were read" prints "4 pictures were read, 3 of them cannot be used"
check "a word that is there twice, as a note" prints \
    'edits.jsonl:3: note: targets[0]: equalizer: "a" is in the prompt "a ball and a cube" 2 times'
check "a window that no step is in, as a note" prints \
    "edits.jsonl:4: note: targets[0]: cross_replace_steps: none of the 10 steps"
check "nothing of what is sound" [ "$(grep -c 'edits.jsonl:[17]:' "$work/stdout")" -eq 0 ]

sed -n '1p; 3,4p; 7p' "$work/edits.jsonl" >"$work/notes.jsonl"
check "notes alone are no failure" ends 0 "$program" plan "$work/edits.json" --manifest "$work/notes.jsonl"

# One sentence for each of many lines would hide the rest.
for i in $(seq 60); do sed -n "4s/window/window-$i/p" "$work/edits.jsonl"; done >"$work/many.jsonl"
check "many notes are no failure" ends 0 "$program" plan "$work/edits.json" --manifest "$work/many.jsonl"
check "the first 50 are printed" [ "$(grep -c 'note: ' "$work/stdout")" -eq 50 ]
check "the others are counted" prints "and 10 more notes"
check "nothing is written" [ ! -e "$work/edits.h5" ]
