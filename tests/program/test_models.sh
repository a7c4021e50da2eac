#!/bin/sh
# What a model may be, and what is said of one that will not run.
. tests/program/lib.sh

config=tests/program/edits.json
check "the tokenizer's folder can be given" ends 0 "$program" config $config --tokenizer models --get tokenizer
check "from where the program is called" prints "$PWD/models"
check "what the model predicts can be given" ends 0 "$program" config $config --prediction v_prediction --get prediction
check "it is kept with the config" prints v_prediction
check "another prediction is refused" ends 1 "$program" config $config --prediction noise
check "with what there is" says '"prediction" is "noise"' epsilon v_prediction
check "a folder needs no other configs" ends 1 "$program" plan $config --model-config models/scenes
check "and says so" says "is a folder, with configs of its own"
printf 'PK\003\004\024\000\010\010 this was a pickle' >"$work/model.ckpt"
check "a pickled model is refused" ends 1 "$program" plan $config --model "$work/model.ckpt"
check "with the command that converts it" says "model.ckpt is pickled" "python3 -c" 'OUT.safetensors'
check "a model that is not there is refused" ends 1 "$program" plan $config --model "$work/none"
check "with where it was looked for" says "cannot open the model $work/none"
check "a file that is no model is refused" ends 1 "$program" plan $config --model README.md
check "and named" says "README.md"

fingerprint() { sed -n 's/.*fingerprint //p' "$work/stdout"; }
check "a plan" ends 0 "$program" plan configs/demo.json
own=$(fingerprint)
check "a plan with another tokenizer" ends 0 "$program" plan configs/demo.json --tokenizer models/scenes/tokenizer
check "its model is another" [ "$own" != "$(fingerprint)" ]

check "a profile" ends 0 "$program" config configs/attention-maps.json --profile ptp-stable
check "is resolved" prints '"self_replace_max_side": 0.25' '"local_blend.start": 0.0' '"mapper": "reference"'
