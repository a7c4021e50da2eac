#!/bin/sh
# Datasets of attention maps: pictures of prompts, edits and real pictures, their words' heat maps and masks, and what
# training programs read.
. tests/program/lib.sh
find_python

cp -r configs/images "$work/images"
cat >"$work/prompts.jsonl" <<'END'
{"id": "plain", "source": "a striped red mushroom in the snow", "seed": 1, "meta": {"words": ["mushroom", "snow"]}}
{"id": "real", "source": "a red fish on a meadow", "image": "images/red-fish.png", "meta": {"words": ["fish", "meadow"]}}
{"id": "edit.1/b", "source": "a red ball on a road", "seed": 3, "meta": {"words": ["ball", "road", "cube"]}, "targets": [{"prompt": "a red cube on a road", "edit": "replace"}, {"prompt": "a red moon", "edit": "replace", "local_blend": {"source": "nosuch", "target": "moon"}}]}
END
cat >"$work/run.json" <<END
{"model": "$PWD/models/scenes", "manifest": "prompts.jsonl", "steps": 2, "scheduler": "ddim", "width": 64,
 "height": 64, "capture": {"attention": [
   {"name": "cross", "layers": "each", "heads": "each"}, {"name": "middle", "size": [4, 4], "dtype": "u8"},
   {"name": "mean"}, {"name": "steps", "steps": "each", "tokens": "words", "dtype": "f16"},
   {"name": "before", "when": "before"}, {"name": "self", "kind": "self", "layers": "each"}]}}
END
ends 2 on 2 run "$work/run.json" --store "$work/dataset.h5"
export_() { ends 0 "$program" export "$work/dataset.h5" "$@"; }

check "heat maps are exported" export_ --as heat-maps --out "$work/heat"
check "of all that is done, and it is said" prints "$work/heat/: 4 pictures written; 1 edits left out: not done"
check "an export goes on" export_ --as heat-maps --out "$work/heat"
check "with what is not there" prints "0 pictures written, 4 were there"
check "as another's folder it is refused" ends 1 "$program" export "$work/dataset.h5" --as heat-maps \
    --propagate 1 --out "$work/heat"
check "that is said" says "is of another export"
check "heat is propagated and summed" export_ --as heat-maps --out "$work/spread" --propagate 2 --time sum --maps mean
check "words can be chosen" export_ --as heat-maps --out "$work/chosen" --words "cube,on a road" --share-tokens
check "masks are made" export_ --as masks --out "$work/masks" --propagate 1 --guide 4 --compete --threshold otsu
for ranks in 1 3; do
    check "on $ranks ranks" ends 0 on $ranks export "$work/dataset.h5" --as masks --out "$work/masks-$ranks" \
        --propagate 1 --guide 4 --compete --threshold otsu
    check "they are the same on $ranks" diff -r "$work/masks" "$work/masks-$ranks"
done
check "masks may overlap" export_ --as masks --out "$work/overlapping" --words ball,cube,road,fish --threshold 0.3

# refused WHAT TEXT OPTION...
refused()
{
    what=$1 text=$2
    shift 2
    check "$what is refused" ends 1 "$program" export "$work/dataset.h5" --out "$work/no" "$@"
    check "$what: that is said" says "$text"
}
refused "a word of no prompt" "no prompt of $work/dataset.h5 has \"cat\"" --as masks --words ball,cat
refused "a word twice" "names \"ball\" twice" --as masks --words ball,ball
refused "an empty word" "a word is empty" --as masks --words ball,,road
refused "a capture that there is not" "has no capture \"nosuch\"" --as heat-maps --maps nosuch
refused "a capture twice" "names \"mean\" twice" --as heat-maps --maps mean,mean
refused "self-attention as cross-attention" "is a capture of self-attention" --as heat-maps --maps self
refused "cross-attention as self-attention" "is a capture of cross-attention" --as heat-maps --propagate 1 --self mean
refused "words beside tokens" "one of words" --as heat-maps --maps mean,steps
refused "shares of words" "wants maps of tokens" --as heat-maps --maps steps --share-tokens
refused "a threshold of 1" "is a number from 0 and below 1" --as masks --threshold 1
refused "a threshold of heat maps" "--threshold is without effect on heat-maps" --as heat-maps --threshold 0.5
refused "a capture of self-attention for nothing" "--self without --propagate is without effect" --as masks --self self
refused "a way to add steps" "steps make a mean or sum" --as heat-maps --time max

sed 's/"mushroom", "snow"/"mushroom", "snows"/' "$work/prompts.jsonl" | head -1 >"$work/plain.jsonl"
cat >"$work/plain.json" <<END
{"model": "$PWD/models/scenes", "manifest": "plain.jsonl", "steps": 1, "scheduler": "ddim", "width": 64, "height": 64,
 "store": "slip.h5"}
END
ends 0 "$program" run "$work/plain.json"
check "a word in none of a line's prompts is refused" ends 1 "$program" export "$work/slip.h5" --as heat-maps --out "$work/slip"
check "it is named" says 'plain: "words" of its "meta" has "snows", which is in none of its prompts'
sed 's/, "meta": {[^}]*}//' "$work/prompts.jsonl" | head -1 >"$work/plain.jsonl"
cat >"$work/plain.json" <<END
{"model": "$PWD/models/scenes", "manifest": "plain.jsonl", "steps": 1, "scheduler": "ddim", "width": 64, "height": 64,
 "store": "plain.h5", "capture": {"latents": "none", "attention": [{"name": "mean"}]}}
END
ends 0 "$program" run "$work/plain.json"
check "the ready example can be run" ends 0 "$program" plan configs/attention-dataset.json
check "without words masks are refused" ends 1 "$program" export "$work/plain.h5" --as masks --out "$work/no"
check "what names words is said" says "plain: nothing says which words are things: --words"
check "without self-attention nothing spreads" ends 1 "$program" export "$work/plain.h5" --as heat-maps --propagate 1
check "what is wanted is said" says "it wants a capture of \"kind\": \"self\""
check "heat maps are of all words, without latents too" ends 0 "$program" export "$work/plain.h5" --as heat-maps --out "$work/all"

dataset() { PYTHONDONTWRITEBYTECODE=1 "$python" analysis/attention_dataset.py "$@"; }
if "$python" -c 'import PIL' 2>/dev/null; then
    check "NumPy's files are made" ends 0 dataset "$work/dataset.h5" --as npz --heat-maps "$work/heat" --masks "$work/masks"
    check "it says where" prints "$work/dataset.npz: 4 samples; 1 left out: not done"
    check "WebDataset's shards are made" ends 0 dataset "$work/dataset.h5" --as webdataset --shard-samples 3 \
        --captures cross,self --heat-maps "$work/heat" --masks "$work/masks"
    cp -r "$work/dataset.webdataset" "$work/first"
    check "and again" ends 0 dataset "$work/dataset.h5" --as webdataset --shard-samples 3 \
        --captures cross,self --heat-maps "$work/heat" --masks "$work/masks"
    check "to the same bytes" diff -r "$work/first" "$work/dataset.webdataset"
    check "another export's folder is refused" ends 1 dataset "$work/dataset.h5" --as npz --heat-maps "$work/masks"
    check "that is said, too" says "is an export as masks, not as heat-maps"
    check "one of another store" ends 1 dataset "$work/plain.h5" --as npz --heat-maps "$work/heat"
    check "by its run" says "is an export of another store"
    check "an unknown capture is refused" ends 1 dataset "$work/dataset.h5" --as npz --captures nosuch
    check "the known ones are named" says "'nosuch'" "before, cross, mean"
    PYTHONDONTWRITEBYTECODE=1 "$python" tests/program/check_attention_dataset.py "$work" || bad_facts=$((bad_facts + 1))
else
    echo "# npz and webdataset are left out: $python has no Pillow (Debian: python3-pil)"
fi
