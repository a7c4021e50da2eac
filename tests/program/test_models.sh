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
check "with where it was looked for" says "cannot open the model $work/none: No such file or directory; a model is a folder or a file, and none is downloaded"
check "a file that is no model is refused" ends 1 "$program" plan $config --model README.md
check "and named" says "README.md"

fingerprint() { sed -n 's/.*fingerprint //p' "$work/stdout"; }
check "a plan" ends 0 "$program" plan configs/demo.json
own=$(fingerprint)
check "a plan with another tokenizer" ends 0 "$program" plan configs/demo.json --tokenizer models/scenes/tokenizer
check "its model is another" [ "$own" != "$(fingerprint)" ]

check "a profile" ends 0 "$program" config configs/attention-maps.json --profile ptp-stable
check "is resolved" prints '"self_replace_max_side": 0.25' '"local_blend.start": 0.0' '"mapper": "reference"'

find_python
data=tests/golden/data
"$python" tests/program/sparse_checkpoint.py $data/checkpoints/sd21-keys.txt "$work/sd21.safetensors"
check "info of a file of SD 2.1's size" ends 0 "$program" info "$work/sd21.safetensors" --tokenizer $data/tokenizer/clip-tokenizer
check "names the family" prints "Stable Diffusion 2.x" "one file"
check "names parameters and precision" prints "UNet 865.9 M, text encoder 340.4 M, VAE 83.7 M" "F16 on disk"
check "names the prediction, and that it is taken for that" prints "predicts      v, as a 2.x file is taken to"
check "names size and memory" prints "768 x 768 as trained" "GB for the model, once a host" "one target, local blend"
check "info of another prediction" ends 0 "$program" info "$work/sd21.safetensors" --prediction epsilon --tokenizer $data/tokenizer/clip-tokenizer
check "is of the smaller model" prints "512 x 512 as trained" "the noise (epsilon)"
check "info of a file without a tokenizer" ends 1 "$program" info "$work/sd21.safetensors"
check "says what to do" says "has no tokenizer" "--tokenizer"

cp -r $data/models/mini-sd1 "$work/broken"
rm "$work/broken/tokenizer/merges.txt"
sed -i 's/"silu"/"gelu"/' "$work/broken/unet/config.json"
sed -i 's/"norm_num_groups": 8/"norm_num_groups": 5/' "$work/broken/vae/config.json"
sed -i 's/scaled_linear/squaredcos_cap_v2/' "$work/broken/scheduler/scheduler_config.json"
check "info of a model with several faults" ends 1 "$program" info "$work/broken"
check "tells every one" says "merges.txt" '"act_fn" is "gelu"' "no multiple of 5 groups" "squaredcos_cap_v2" "broken will not run"
check "info of a size that cannot be" ends 1 "$program" info models/scenes --width 130
check "says which can" says '"width" is 130; this model takes multiples of 4'
check "info of no model at all" ends 1 "$program" info README.md
check "says so" says "README.md will not run"
no_text=$(printf '\377')
check "info of a path that is no UTF-8" ends 1 "$program" info "$no_text"
check "names it" says "the model's path, \"$no_text\", is no UTF-8"
check "info of a tokenizer's path that is none" ends 1 "$program" info models/scenes --tokenizer "$no_text"
check "names it too" says "\"$no_text\" is no UTF-8"

# Stable Diffusion 2's kind, of sizes that its levels cannot halve evenly
cat >"$work/odd.jsonl" <<'END'
{"id": "a", "source": "a photo of a star on a road", "seed": 3, "targets": [{"prompt": "a photo of a cactus on a road", "edit": "replace", "local_blend": {"source": "star", "target": "cactus"}}]}
END
printf '{"model": "%s", "manifest": "odd.jsonl", "store": "odd.h5", "steps": 2, "width": 136, "height": 104}\n' \
    "$PWD/$data/models/mini-sd2" >"$work/odd.json"
check "an edit of 136 x 104 pixels" ends 0 "$program" run "$work/odd.json"
check "its picture has that size" "$python" -c '
import h5py, sys
image = h5py.File(sys.argv[1])["image"]
sys.exit(int(image.shape != (2, 104, 136, 3) or image[0].std() == 0))' "$work/odd.h5"
check "another prediction is another run" ends 1 "$program" run "$work/odd.json" --prediction epsilon
check "which is told" says "cannot be gone on with" '"prediction" was "model" and is now "epsilon"'
