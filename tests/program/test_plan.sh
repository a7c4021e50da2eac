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
check "a word that is not there" prints 'edits.jsonl:2: targets[0]: equalizer: the word "bal"'
check "a picture that is missing" prints "edits.jsonl:5: cannot open $work/none.png"
check "a picture that is none" prints "edits.jsonl:6: $work/edits.jsonl is neither a PNG nor a JPEG file"
check "a picture of which the margins leave nothing" prints "edits.jsonl:8: $work/ball2.png"
check "how many pictures were read" prints "4 pictures and masks were read, 3 of them cannot be used"
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
# Everything that is wrong with one target, and every mask.
cat >"$work/words.jsonl" <<'EOF'
{"id": "words", "source": "a red ball on a meadow", "targets": [{"prompt": "a red cube on a green meadow", "edit": "replace", "cross_replace_steps": {"bell": 0.4}, "equalizer": {"cubes": 2, "ret": 3}, "local_blend": {"source": ["bal"], "target": ["cube"], "subtract": {"source": ["sky"], "target": ["lake"]}}}]}
{"id": "mask", "source": "a red ball on a meadow", "mask": "none.png", "targets": []}
{"id": "runs", "source": "a red ball on a meadow", "mask": {"height": 64, "width": 64, "runs": [0, 5000]}, "targets": []}
{"id": "none", "source": "a red ball on a meadow", "mask": {"height": 64, "width": 64, "runs": []}, "targets": []}
{"id": "all", "source": "a red ball on a meadow", "mask": {"height": 64, "width": 64, "runs": [0, 4096]}, "targets": []}
{"id": "half", "source": "a red ball on a meadow", "mask": {"height": 64, "width": 64, "runs": [0, 2048]}, "targets": []}
{"id": "layers", "source": "a red ball on a meadow", "targets": [{"prompt": "a red cube on a meadow", "edit": "replace", "self_replace_max_pixels": 63}]}
{"id": "layers-2", "source": "a red ball on a meadow", "targets": [{"prompt": "a red cube on a meadow", "edit": "replace", "self_replace_max_pixels": 64}]}
{"id": "guidance", "source": "a red ball on a meadow", "guidance_scale": 0, "targets": []}
EOF
plan_words() { "$program" plan "$work/edits.json" --manifest "$work/words.jsonl" "$@"; }
check "plan exits 1 when words are wrong" ends 1 plan_words
check "every word of a target that is nowhere" prints 'cross_replace_steps: the word "bell"' \
    'equalizer: the word "cubes"' 'equalizer: the word "ret"' 'local_blend, source: the word "bal"' \
    'local_blend, subtract source: the word "sky"' 'local_blend, subtract target: the word "lake"'
check "each of them once" [ "$(grep -c '"bell"' "$work/stdout")" -eq 1 ]
check "and that there are other numbers of words" prints \
    'words.jsonl:1: targets[0]: "replace" puts word for word'
check "a mask that is missing" prints "words.jsonl:2: \"mask\": cannot open $work/none.png"
check "a mask that is larger than it says" prints 'words.jsonl:3: "mask": [0]: a run of 5000 pixels'
check "a mask of nothing, as a note" prints "words.jsonl:4: note: the mask has no pixel inside"
check "a mask of everything, as a note" prints "words.jsonl:5: note: the mask has no pixel outside"
check "layers that are all too large, as a note" prints \
    "words.jsonl:7: note: targets[0]: self_replace_steps: no layer"
check "prompts that nothing is made of, as a note" prints \
    "words.jsonl:9: note: with a guidance_scale of 0"
check "nothing of the others" [ "$(grep -c 'words.jsonl:[68]:' "$work/stdout")" -eq 0 ]
check "a negative prompt that nothing is made of" ends 1 plan_words \
    --guidance-scale 1 --negative-prompt blurry
check "is told of all lines without a scale of their own" \
    [ "$(grep -c 'note: with a guidance_scale of 1 the negative_prompt' "$work/stdout")" -eq 8 ]

# What is wrong with the config hides nothing of the manifest.
cat >"$work/sizes.json" <<EOF
{"model": "$PWD/models/scenes", "manifest": "words.jsonl", "steps": 10, "scheduler": "ddim",
 "height": 30, "negative_prompt": "$(seq 90 | tr '\n' ' ')",
 "capture": {"attention": [{"name": "first", "layers": [99]}, {"name": "second"}, {"name": "third", "layers": [98]}]}}
EOF
sed 's/"height": 30,//' "$work/sizes.json" >"$work/captures.json"
check "plan exits 1 when a size is wrong" ends 1 "$program" plan "$work/sizes.json"
check "a size that the model cannot take" says \
    'sizes.json: "height" is 30; this model takes multiples of 4'
check "a negative prompt that is too long" says 'sizes.json: "negative_prompt": the prompt has'
check "the words are looked at all the same" prints 'equalizer: the word "cubes"'
check "not so the masks, whose size is not known" [ "$(grep -c mask "$work/stdout")" -eq 0 ]
check "plan exits 1 when captures are wrong" ends 1 "$program" plan "$work/captures.json"
check "each of them is named" says 'the capture "first": layer 99' 'the capture "third": layer 98'
check "the masks are looked at" prints "words.jsonl:5: note: the mask"

# Names that are too long, and attention maps that no store could hold.
cat >"$work/long.jsonl" <<EOF
{"id": "$(printf '%0300d' 0)", "source": "a red ball on a meadow", "targets": []}
{"id": "path", "source": "a red ball on a meadow", "image": "$(printf '%05000d' 0)", "targets": []}
EOF
check "plan exits 1 when names are too long" ends 1 "$program" plan "$work/edits.json" --manifest "$work/long.jsonl"
check "an id's length is told with the limit" prints '"id" has 300 bytes; 255 are the most'
check "a path is told by its beginning" prints 'long.jsonl:2: the path of the image 0000000000'
cat >"$work/large.json" <<EOF
{"model": "$PWD/models/scenes", "manifest": "edits.jsonl", "steps": 600, "width": 512, "height": 512,
 "capture": {"attention": [{"name": "self", "kind": "self", "size": [32, 32], "steps": "each", "heads": "each"}]}}
EOF
check "plan exits 1 when a store would be beyond any size" ends 1 "$program" plan "$work/large.json"
check "the dataset and the limits are named" says \
    "/attention/self would be too large for a store: one picture's may take 2 GiB, all 4 EiB"

cat >"$work/show.jsonl" <<'EOF'
{"id": "drawn", "source": "a photo of a red ball on a meadow", "targets": [{"prompt": "a photo of a red cube on a meadow", "edit": "replace", "cross_replace_steps": {"default": 0.8, "cube": 0.4}, "equalizer": {"red": 2}, "local_blend": {"source": ["ball"], "target": ["cube"], "subtract": {"source": ["red"], "target": ["red"]}}}, {"prompt": "a photo of a ball on a green meadow", "edit": "refine"}, {"prompt": "a photo of a red extraordinary on a 赤い", "edit": "replace"}, {"prompt": "a photo of a red extraordinary on a meadow", "edit": "replace", "mapper": "reference", "cross_replace_steps": 0}]}
{"id": "wrong", "source": "a cat", "targets": [{"prompt": "a cat sits", "edit": "replace"}]}
EOF
show() { "$program" plan "$work/edits.json" --manifest "$work/show.jsonl" --show "$1"; }
check "a line is shown" ends 0 show drawn
check "what takes whose place" prints \
    "    source  a  photo  of  a  red  ball  on  a  meadow" \
    "            |  |      |   |  |    :     |   |  |" \
    "    target  a  photo  of  a  red  cube  on  a  meadow"
check "what is new and what is left out" prints \
    "    source  a  photo  of  a  red  ball  on  a         meadow" \
    "            |  |      |   |  -    |     |   |  +      |" \
    "    target  a  photo  of  a       ball  on  a  green  meadow"
check "words of several tokens, and of characters that tokens part" prints \
    "    target  a  photo  of  a  red  e-x-t-ra-o-r-d-in-a-r-y  on  a  赤い"
check "the published mapper's slip" prints "(padding)"
check "the steps of all and of a word" prints "cross-attention  the source's in steps 0 to 7 of 10" \
    'for "cube" in steps 0 to 3 of 10' '"red" times 2' "the source's in no step"
check "the blend's words" prints \
    'above 0.3: in the source to "ball", in the target to "cube"; from step 2 on' \
    'but not above 0.3: in the source to "red", in the target to "red"'
check "nothing of other lines" [ "$(grep -c wrong "$work/stdout")" -eq 0 ]
check "a line that is wrong is shown" ends 1 show wrong
check "with what is wrong" prints 'show.jsonl:2: targets[0]: "replace" puts word for word'
check "an id that no line has" ends 1 show nobody
check "is an error" says 'show.jsonl has no line whose id is "nobody"'
check "all lines are shown" ends 1 "$program" plan "$work/edits.json" \
    --manifest "$work/show.jsonl" --log debug
check "each of them" prints "show.jsonl:1  drawn" "show.jsonl:2  wrong"
check "nothing is written" [ ! -e "$work/edits.h5" ]
