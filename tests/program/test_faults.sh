#!/bin/sh
# Whatever goes wrong, a run ends with a sentence, what was done before stays, and the next run makes
# good what was lost: the finished store is the undisturbed one's equal, bit for bit.

# In a mount namespace of its own, where it may have one: small disks are mounted that go with it.
if [ -z "${PROMPTMILL_MOUNTS:-}" ]; then
    PROMPTMILL_MOUNTS=no
    unshare --mount true 2>/dev/null && PROMPTMILL_MOUNTS=yes
    export PROMPTMILL_MOUNTS
    [ $PROMPTMILL_MOUNTS = no ] || exec unshare --mount "$0"
fi
. tests/program/lib.sh
find_python
tool="$python tests/program/store_faults.py"

cat >"$work/edits.jsonl" <<'END'
{"id": "cube", "source": "a red ball on a meadow", "seed": 7, "targets": [{"prompt": "a red cube on a meadow", "edit": "replace", "local_blend": {"source": ["ball"], "target": ["cube"], "threshold": 0.3}}]}
{"id": "hill", "source": "a tree on a hill", "targets": [{"prompt": "a tree on a hill at sunset", "edit": "refine"}, {"edit": "reweight", "equalizer": {"hill": 2}}]}
{"id": "fog", "source": "a house in the fog", "targets": [{"edit": "reweight", "equalizer": {"fog": -1}}]}
{"id": "alone", "source": "a green cactus in the desert at night", "seed": 3, "targets": []}
END
tail -n 1 "$work/edits.jsonl" >"$work/one.jsonl"
write_config() # FILE MANIFEST MODEL LIMITS
{
    printf '{"model": "%s", "manifest": "%s", "steps": 3, "width": 64, "height": 64, "limits": {%s}}\n' \
        "$3" "$2" "$4" >"$1"
}
model=$PWD/models/scenes
config=$work/edits.json
write_config "$config" edits.jsonl "$model" ''
reference=$work/reference.h5
check "an undisturbed run finishes" ends 0 on 2 run "$config" --store "$reference"

# finishes WHAT STORE [RANKS]: does the next run make a whole store of it? Without RANKS: without mpirun
finishes()
{
    if [ $# -eq 3 ]; then
        check "$1: the next run finishes" ends 0 on "$3" run "$config" --store "$2"
    else
        check "$1: the next run finishes" ends 0 "$program" run "$config" --store "$2"
    fi
    check "$1: the store is as if nothing had been" same_stores "$reference" "$2"
    check "$1: nothing is left beside the store" [ "$(echo "$2"*)" = "$2" ]
}

# verify_names STORE ENTRIES: exit status 2, and exactly these entries are named?
verify_names()
{
    ends 2 "$program" verify "$1" || return 1
    named=$(sed -n 's/^damaged .*entry \([0-9]*\).*/\1/p' "$work/stdout" | tr '\n' ' ')
    [ "$named" = "$2 " ]
}

# Flipped bits, one after the other and in pictures of different lines. With each, verify names one more
# picture: of DATASET ROW ENTRY.
flips() # WHAT RANKS "DATASET ROW ENTRY"...
{
    what=$1 ranks=$2 expected=
    shift 2
    store=$work/flipped.h5
    cp "$reference" "$store"
    for flip; do
        $tool flip "$store" ${flip% *}
        expected="$expected ${flip##* }"
        check "a flipped bit in /${flip%% *}: verify names its picture" verify_names "$store" "${expected# }"
    done
    finishes "flipped bits in $what" "$store" $ranks
}
flips "what was made" "" "blend_mask 1 1" "latent/x_T 1 2" "image 5 5" "latent/final 7 7"
flips "the plan" "" "prompt/text 0 0" "item/recipe 1 2" "prompt/token_id 6 6" "item/seed 3 7"
flips "both and in a row that vouches" 3 "image 0 0" "prompt/word 2 2" "entry 7 7"

# Writes that never came to the disk, as after a loss of power. A row of zeros says pending.
cp "$reference" "$store"
$tool lose "$store" image 4 6
$tool lose "$store" entry 2 3
check "lost writes: verify names their pictures" verify_names "$store" "4 5"
finishes "lost writes" "$store" 2

# A store cut short, as by a copy that was broken off: HDF5 may have lost its own data too.
store=$work/cut.h5
bytes=$(wc -c <"$reference")
for cut in 1 $((bytes / 2)) $((bytes - 10)); do
    head -c -$cut "$reference" >"$store"
    check "a store that lacks $cut bytes is refused" ends 1 "$program" run "$config" --store "$store"
    check "that it lacks $cut bytes is told" says "$store: cannot open"
    check "verify refuses a store that lacks $cut bytes" ends 1 "$program" verify "$store"
    check "a store that lacks $cut bytes is left as it is" [ "$(wc -c <"$store")" -eq $((bytes - cut)) ]
done

# A full disk.
if [ $PROMPTMILL_MOUNTS = yes ] && mkdir "$work/small" && mount -t tmpfs -o size=1m none "$work/small" \
    2>/dev/null; then
    store=$work/small/a.h5
    head -c 900k /dev/zero >"$work/small/ballast"
    check "a store that the disk has no room for is not begun" ends 1 "$program" run "$config" --store "$store"
    check "how much it takes is told" says "$store takes 2" "bytes, and its disk has"
    check "nothing is left of it" [ "$(ls "$work/small")" = ballast ]
    rm "$work/small/ballast"
    check "a store is begun" ends 85 "$program" run "$config" --store "$store" --time-limit 0.001
    head -c 2m /dev/zero >"$work/small/ballast" 2>/dev/null
    truncate -s -60k "$work/small/ballast"
    check "a disk that becomes full ends the run with 70" ends 70 on 2 run "$config" --store "$store"
    check "what could not be written is told" says "$store: /" "cannot write"
    check "what was done is undamaged on the full disk" ends 0 "$program" verify "$store"
    rm "$work/small/ballast"
    finishes "a full disk" "$store" 2
    umount "$work/small"
else
    echo "# nothing can be mounted here: a full disk is not tried"
fi

# A limit on the size of files, which nobody foresees: while the store is created, HDF5 fails.
seq -f '{"id": "n%g", "source": "a red ball on a meadow", "targets": []}' 1500 >"$work/many.jsonl"
write_config "$work/many.json" many.jsonl "$model" ''
limited()
{
    (
        trap '' XFSZ
        ulimit -f 40000
        timeout 60 "$program" run "$work/many.json" --store "$1"
    )
}
check "a file that may not grow ends the run with 70" ends 70 limited "$work/many.h5"
check "that the new store cannot be written is told" says "the new store cannot be written"
check "there is no store then" [ ! -e "$work/many.h5" ]

# Weights that are not numbers.
mkdir "$work/model" "$work/model/unet"
ln -s "$model"/[!u]* "$work/model"
ln -s "$model/unet/config.json" "$work/model/unet"
$tool spoil "$model/unet/diffusion_pytorch_model.safetensors" \
    "$work/model/unet/diffusion_pytorch_model.safetensors"
write_config "$work/spoilt.json" edits.jsonl "$work/model" ''
store=$work/spoilt.h5
check "a model with NaN in it: exit status 2" ends 2 "$program" run "$work/spoilt.json" --store "$store"
check "at which step is told" says "not finite after step 0"
check "status counts what failed" ends 2 "$program" status "$store"
check "no picture is kept of it" prints "0 done, 8 failed, 0 left"
check "its store is sound" ends 0 "$program" verify "$store"
check "with the good model it is refused" ends 1 "$program" run "$config" --store "$store"
check "the reason is told" says "the model's files have changed"

# One target that leads to NaN, by a word whose vector is none, beside others of its source.
"$python" - "$work/nan.safetensors" <<'EOF'
import json
import struct
import sys

channels = json.load(open("models/scenes/text_encoder/config.json"))["hidden_size"]
entry = {"dtype": "F32", "shape": [channels], "data_offsets": [0, 4 * channels]}
header = json.dumps({"<nan>": entry}).encode()
vector = struct.pack(f"<{channels}f", *[float("nan")] * channels)
open(sys.argv[1], "wb").write(struct.pack("<Q", len(header)) + header + vector)
EOF
ball='{"id": "mixed", "source": "a red ball on a meadow", "targets": [{"prompt": "a red cube on a meadow", "edit": "replace"}'
star=', {"prompt": "a red star on a meadow", "edit": "replace"}]}'
echo "$ball$star" >"$work/good.jsonl"
echo "$ball, {\"prompt\": \"a red <nan> on a meadow\", \"edit\": \"replace\"}$star" >"$work/mixed.jsonl"
for name in good mixed; do write_config "$work/$name.json" $name.jsonl "$model" ''; done
check "the good targets alone" ends 0 "$program" run "$work/good.json" --store "$work/good.h5" \
    --embedding "=$work/nan.safetensors"
check "with one of NaN among them: exit status 2" ends 2 "$program" run "$work/mixed.json" \
    --store "$work/mixed.h5" --embedding "=$work/nan.safetensors"
check "status tells of it" ends 2 "$program" status "$work/mixed.h5"
check "which one, and why" prints "failed  mixed, target 1 (entry 2): the latents are not finite after step 0"
check "the others are as without it, bit for bit" "$python" - "$work/good.h5" "$work/mixed.h5" <<'EOF'
import sys
import h5py

good, mixed = (h5py.File(path, "r")["image"] for path in sys.argv[1:])
sys.exit(any((good[i] != mixed[j]).any() for i, j in ((0, 0), (1, 1), (2, 3))))
EOF

# Two runs at a time, of which the second must not disturb the first; and one that is killed.
steps=40 # so that there is time to disturb a run, on a busy machine too
begin() # STORE CONFIG: returns when an edit has been begun
{
    "$program" run "$2" --steps "$steps" --store "$1" >"$work/first" 2>&1 &
    job=$!
    $tool await "$1"
}
job_ends()
{
    got=0
    wait "$job" 2>/dev/null || got=$?
    job=
    [ "$got" -eq "$1" ]
}
slow=$work/slow.h5
check "an undisturbed run of more steps finishes" ends 0 "$program" run "$config" --steps "$steps" --store "$slow"
store=$work/twice.h5
begin "$store" "$config"
kill -STOP "$job" # so that it cannot finish before the second begins
check "a second run on a store is refused" ends 1 "$program" run "$config" --steps "$steps" --store "$store"
check "the first one's host and process are told" says "in use by a run on $(hostname), process $job"
check "it is not packed meanwhile" ends 1 "$program" pack "$store" "$work/packed.h5"
check "the reason is told" says "in use by a run on $(hostname), process $job"
kill -CONT "$job"
check "the first one finishes" job_ends 0
check "the first one's store is as if there had been no other" same_stores "$slow" "$store"

store=$work/killed.h5
begin "$store" "$config"
kill -9 "$job"
check "a run is killed" job_ends 137
check "its lock stays" [ -e "$store.lock" ]
check "the next run needs nobody to remove it" ends 0 on 2 run "$config" --steps "$steps" --store "$store"
check "it says whom it follows" says "took over from a run on $(hostname), process"
check "the store is as if nobody had been killed" same_stores "$slow" "$store"
check "no lock is left" [ ! -e "$store.lock" ]

# An edit that kills its rank each time is given up, and --retry-failed takes it up again.
steps=200 # of one edit
write_config "$work/once.json" one.jsonl "$model" '"attempts": 1'
check "an undisturbed run of one line finishes" ends 0 "$program" run "$work/once.json" --steps "$steps" \
    --store "$work/one.h5"
store=$work/once.h5
begin "$store" "$work/once.json"
kill -9 "$job"
check "a run with one attempt is killed" job_ends 137
check "its edit is given up" ends 2 "$program" run "$work/once.json" --steps "$steps" --store "$store"
check "it stays given up" ends 2 "$program" run "$work/once.json" --steps "$steps" --store "$store"
check "status says why" ends 2 "$program" status "$store"
check "the reason has the number in it" prints "begun 1 times and never finished"
check "--retry-failed tries again" ends 0 "$program" run "$work/once.json" --steps "$steps" --store "$store" \
    --retry-failed
check "the store is as if it had not failed" same_stores "$work/one.h5" "$store"

# No time.
steps=40
store=$work/late.h5
check "a limit that is over at once: exit status 85" ends 85 "$program" run "$config" --steps "$steps" \
    --store "$store" --time-limit 0.001
check "no edit was begun" [ "$($tool begun "$store")" = "0 0" ]
check "a limit that is too short for all: exit status 85" ends 85 "$program" run "$config" --steps "$steps" \
    --store "$store" --time-limit 0.4
check "what was begun is done" [ "$($tool begun "$store" | tr ' ' '\n' | uniq | wc -l)" -eq 1 ]
check "without a limit the run finishes" ends 0 "$program" run "$config" --steps "$steps" --store "$store"
check "the store is as if there had been no limit" same_stores "$slow" "$store"

# A manifest that goes away, and one that changes, between two runs.
store=$work/a.h5
check "a run is stopped" ends 85 "$program" run "$config" --store "$store" --time-limit 0.001
cp "$store" "$work/copy.h5"
mv "$work/edits.jsonl" "$work/away.jsonl"
check "a manifest that is gone: exit status 1" ends 1 "$program" run "$config" --store "$store"
check "it is named" says "$work/edits.jsonl" "No such file"
sed 's/sunset/dawn/' "$work/away.jsonl" >"$work/edits.jsonl"
check "a manifest that has changed: exit status 1" ends 1 "$program" run "$config" --store "$store"
check "the line is named" says "edits.jsonl:2 is not what the store was begun with"
check "the store is not touched" cmp "$store" "$work/copy.h5"
mv "$work/away.jsonl" "$work/edits.jsonl"
finishes "the manifest back" "$store"
