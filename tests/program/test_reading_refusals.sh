#!/bin/sh
# What measure, merge, compare and export refuse of stores and of tables, and in which words.
. tests/program/lib.sh
find_python

cp configs/images/red-star.png "$work/star.png"
target='{"prompt": "a blue star", "edit": "replace"}'
cat >"$work/edits.jsonl" <<END
{"id": "star", "source": "a red star", "seed": 1, "targets": [$target]}
{"id": "maps", "source": "a red star", "seed": 1, "targets": []}
{"id": "real", "source": "a red star", "image": "star.png", "targets": [$target]}
END
# make STORE CONFIG-MEMBERS [FLAG...]: a store of the lines in edits.jsonl
make()
{
    printf '{"model": "%s", "manifest": "edits.jsonl", "steps": 1, "scheduler": "ddim", "width": 16, %s}\n' \
        "$PWD/models/scenes" "$2" >"$work/run.json"
    store=$work/$1
    shift 2
    "$program" run "$work/run.json" --store "$store" "$@" >/dev/null 2>&1
}
none='"height": 16, "capture": {"attention": []}'
make a.h5 "$none"
make b.h5 "$none" --guidance-scale 2
make tall.h5 '"height": 32, "capture": {"attention": []}'
make none.h5 "$none" --time-limit 0.001
sed -i 's/"id": "/"id": "other-/' "$work/edits.jsonl"
make other.h5 "$none"
a=$work/a.h5

# refused WHAT TEXT ARGUMENT...: does it end with 1 and tell TEXT?
refused()
{
    what=$1 text=$2
    shift 2
    check "$what: exit status 1" ends 1 "$program" "$@"
    check "$what: it is told" says "$text"
}

refused "nothing to measure" "none.h5 has no finished edits yet" measure "$work/none.h5"
cp "$a" "$work/bare.h5"
"$python" -c 'import h5py, sys; del h5py.File(sys.argv[1], "r+")["original"]' "$work/bare.h5"
refused "a real picture that is not kept" "real: the store does not have the real picture" measure "$work/bare.h5"
merge() { refused "$1" "$2" merge "$work/merged.h5" "$a" "$work/$3"; }
merge "a store of other lines" "other.h5 is of another manifest than $a" other.h5
merge "a store that lost a dataset" \
    "$a and $work/bare.h5 are of one run, but not of one shape: one of them is damaged" bare.h5
cp "$a" "$work/torn.h5"
"$python" -c 'import h5py, sys; h5py.File(sys.argv[1], "r+").attrs["config"] = "{"' "$work/torn.h5"
merge "a store whose config is torn" "torn.h5: its config cannot be read" torn.h5
check "nothing is merged" [ ! -e "$work/merged.h5" ]

for name in a b other; do ends 0 "$program" measure "$work/$name.h5"; done

compare() { refused "$1" "$2" compare "$a" "$work/$3.h5" --out "${4:-$work/compared}"; }
check "two stores are compared" ends 0 "$program" compare "$a" "$work/b.h5" --out "$work/compared"
compare "stores of other edits" "no edit is done in two of them: none has the same id, target and prompt" other
mkdir -p "$work/taken/statistics.csv"
compare "a folder in a table's place" "cannot write $work/taken/statistics.csv: Is a directory" b "$work/taken"
compare "a file in the folder's place" "cannot make the folder $a/x: Not a directory" b "$a/x"
# table TEXT: b's
table() { printf "$1" >"$work/b.metrics.csv"; }
table 'entry,id,elegance\n1,star,3\n'
compare "tables of other metrics" "the tables of metrics have no metric in common" b
table 'id,psnr\nstar,30\n'
compare "a table without entries" 'b.metrics.csv has no column "entry"' b
table 'entry,id,psnr\n1,star,high\n'
compare "a metric that is no number" 'b.metrics.csv:2: "high" is no number' b
table 'entry,id,psnr\n1,star,30\n99,star,30\n'
compare "an entry that there is not" "b.metrics.csv:3: the store has no entry 99: it is not the table's store" b

# Sheets have a limit, and so has the number of settings: pictures of 16 x 192, two settings of each of 69 edits.
printf '{"id": "many", "source": "a red star", "targets": [%s%s]}\n' \
    "$(for i in $(seq 68); do printf '%s, ' "$target"; done)" "$target" >"$work/edits.jsonl"
make many.h5 '"height": 192, "capture": {"attention": []}, "sweep": {"seed": [1, 2]}'
ends 0 "$program" measure "$work/many.h5"
refused "a sheet that is too high" \
    "a sheet of 69 edits under 2 settings would be 96x16632 pixels, more than 16384 on a side" \
    compare "$work/many.h5" --shown 69 --out "$work/compared"
printf '{"id": "one", "source": "a red star", "targets": [%s]}\n' "$target" >"$work/edits.jsonl"
make sweep.h5 "$none, \"sweep\": {\"seed\": [$(seq -s , 33)]}"
ends 0 "$program" measure "$work/sweep.h5"
refused "settings without end" "more than 32 settings are too many to compare" compare "$work/sweep.h5"

export_() { what=$1 text=$2; shift 2; refused "$what" "$text" export "$@"; }
out=$work/out
export_ "nothing to draw" "none.h5 has no finished edits yet" "$work/none.h5" --out "$out"
export_ "nothing kept" "a.h5 has no finished edits that are kept" "$a" --out "$out" --keep "psnr>=1000" star
export_ "a file in the export's place" "cannot make the folder $a/x: Not a directory" "$a" --out "$a/x"
mkdir -p "$out"
touch "$out/annotation_images"
export_ "lines without targets" "a.h5 has no edits of this kind: its lines have no targets" \
    "$a" --as instruct-pix2pix --out "$work/pairs" maps
export_ "pictures that are not square" "PIE-Bench's pictures are square; those of $work/tall.h5 are 16x32" \
    "$work/tall.h5" --as pie-bench --out "$work/pie"
export_ "no maps" "a.h5 keeps no cross-attention that heat maps could be made of" "$a" --as heat-maps --out "$work/heat"

cat >"$work/edits.jsonl" <<END
{"id": "text", "source": "a red star", "meta": {"words": "star", "image_path": "deep/text.png"}, "targets": [$target]}
{"id": "number", "source": "a red star", "meta": {"words": ["star", 3]}}
{"id": "nothing", "source": "a red star", "meta": {"words": [""]}}
END
make words.h5 '"height": 16, "capture": {"attention": [{"name": "mean"}]}'
words() { export_ "$1" "$2" "$work/words.h5" --as masks --out "$work/masks" $3; }
words "words that are no list" 'text: "words" of its "meta" is to be a list of at most 255 words' text
words "a word that is a number" 'number: "words"[1] of its "meta" is a whole number; a word is wanted' number
words "a word of nothing" 'nothing: "words"[0] of its "meta" is empty; a word is wanted' nothing
words "words without end" "--words: at most 255 words" "--words $(seq -s , 256)"
export_ "a file in a folder's place" "cannot make the folder $out/annotation_images/deep: Not a directory" \
    "$work/words.h5" --as pie-bench --out "$out" text
