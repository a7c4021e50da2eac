#!/bin/sh
# LoRA and textual inversion: laid over the model, part of what a result depends on, refused by name.
. tests/program/lib.sh
find_python

data=$PWD/tests/golden/data
lora=$data/components/mini-sd1/lora
word=$data/components/mini-sd1/textual-inversion
cat >"$work/edits.jsonl" <<'END'
{"id": "word", "source": "a photo of a <blob> on a meadow", "seed": 3, "targets": [{"prompt": "a photo of a cube on a meadow", "edit": "replace", "local_blend": {"source": "<blob>", "target": "cube"}}, {"prompt": "a photo of a <blob> on a meadow", "edit": "reweight", "equalizer": {"<blob>": 2}, "cross_replace_steps": {"default": 0.8, "<blob>": 0.4}}]}
{"id": "plain", "source": "a photo of a cat", "seed": 4}
END
cat >"$work/edits.json" <<END
{"model": "$data/models/mini-sd1", "manifest": "edits.jsonl", "steps": 2,
 "lora": [{"file": "$lora/kohya.safetensors", "weight": 1.0}],
 "embeddings": [{"file": "$word/diffusers.safetensors"}]}
END
config=$work/edits.json
store=$work/a.h5

check "a plan with additions" ends 0 "$program" plan "$config" --log debug
check "the plan names them" prints "kohya.safetensors, weight 1" "diffusers.safetensors"
check "the plan knows the word's tokens" prints \
    "source  a  photo  of  a  <blob>-<blob>_1  on  a  meadow" \
    "target  a  photo  of  a  cube             on  a  meadow"
check "a run with additions" ends 0 on 1 run "$config" --store "$store"
check "another run, on two ranks" ends 0 on 2 run "$config" --store "$work/b.h5"
check "its results are the same" same_stores "$store" "$work/b.h5"
check "goes on with the files elsewhere" \
    sh -c "cp -r '$lora' '$work/moved' && '$program' run '$config' --store '$store' \
        --lora '$work/moved/kohya.safetensors' >'$work/stdout' 2>'$work/stderr'"
check "a run without LoRA" ends 0 "$program" run "$config" --store "$work/c.h5" \
    --lora "$lora/kohya.safetensors:0"
check "its pictures are others" ends 1 "$python" tests/program/compare_stores.py \
    "$store" "$work/c.h5"

# refused WHAT TEXT ARGUMENTS...: going on is refused, and told why
refused()
{
    what=$1 text=$2
    shift 2
    check "$what is refused" ends 1 "$program" run "$config" --store "$store" "$@"
    check "$what is named" says "cannot be gone on with" "$text"
}
refused "another weight" '"lora"[0].weight was 1.0 and is now 0.5' --lora "$lora/kohya.safetensors:0.5"
refused "another file" '"lora"[0].hash was' --lora "$lora/diffusers.safetensors"
refused "one more file" '"lora" listed 1 files and now lists 2' \
    --lora "$lora/kohya.safetensors" --lora "$lora/diffusers.safetensors"
refused "another word" '"embeddings"[0].token was absent and is now "<x>"' \
    --embedding "<x>=$word/diffusers.safetensors"

check "a LoRA of another model" ends 1 "$program" plan "$config" --model models/scenes
check "its key is named" says "lora_" "its layer is ["
check "an embedding without its word" ends 1 "$program" plan "$config" \
    --embedding "=$word/emb_params.safetensors"
check "its file is named" says "emb_params.safetensors does not say for which word it is"
printf 'PK\003\004 this was a pickle' >"$work/word.pt"
check "a pickled embedding" ends 1 "$program" plan "$config" --embedding "<x>=$work/word.pt"
check "why it is refused" says "word.pt is a pickled file"
check "a LoRA that is not there" ends 1 on 2 run "$config" --store "$work/d.h5" --lora nowhere
check "where it was looked for" says '"lora"[0]: cannot open' nowhere
