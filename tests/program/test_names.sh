#!/bin/sh
# Whatever an id or a folder is called: no export leaves its folder or writes over another edit, and no
# shell sees a name.
. tests/program/lib.sh
find_python

long=$(printf '%0255d' 0 | tr 0 n)
mkdir "$work/in \$(touch shell) '\"; touch shell"
folder="$work/in \$(touch shell) '\"; touch shell"
"$python" - "$work/edits.jsonl" "$long" <<'END'
import json, sys
ids = ["../../up", "/etc/up", "a b", "a_b", "a/b", "..", ".", "-rf", "~", "it's", 'say "no"', "$(touch shell)", "`touch shell`",
       "; touch shell", "new\nline", "猫", "赤い", "A", "a", sys.argv[2], sys.argv[2][:-1] + "m", "\u202eabc", "con"]
with open(sys.argv[1], "w") as out:
    for i in ids:
        print(json.dumps({"id": i, "source": "a red star", "targets": [{"prompt": "a blue star", "edit": "replace"}],
                          "meta": {"image_path": i + "/x.png"}}), file=out)
END
cat >"$folder/run.json" <<END
{"model": "$PWD/models/scenes", "manifest": "$work/edits.jsonl", "steps": 1, "scheduler": "ddim",
 "width": 32, "height": 32, "store": "a.h5", "capture": {"attention": []}}
END
store=$folder/a.h5
check "any id is run" ends 0 on 2 run "$folder/run.json"
for verb in status verify show; do
    check "$verb reads its store" ends 0 "$program" $verb "$store"
done
check "an id is asked for as it is" ends 0 "$program" show "$store" "../../up" "it's" "$long"

# written FORMAT COUNT: that many pictures, each another file, and none of them anywhere else
written()
{
    out="$work/deep/er/still/$1"
    mkdir -p "$work/deep/er/still"
    ends 0 "$program" export "$store" --as "$1" --out "$out" || return 1
    [ "$(find "$out" -type f \( -name '*.png' -o -name '*.jpg' \) ! -name 'sheet*' | wc -l)" -eq "$2" ]
}
touch "$work/stamp"
check "strips: each edit has a file of its own" written png 23
check "PIE-Bench's tree: each edit has a file of its own" written pie-bench 23
check "InstructPix2Pix's tree: each edit has its two" written instruct-pix2pix 46
check "nothing is outside the folders" \
    [ "$(find "$work" -newer "$work/stamp" -type f | grep -cv "^$work/deep/er/still/[a-z]\|/std")" -eq 0 ]
check "nor at the root" [ ! -e /etc/up ]
check "a folder's name is one" ends 0 "$program" export "$store" --out "$folder/out'; touch shell" "a b"
check "no shell has seen any of them" [ -z "$(find "$work" . -maxdepth 3 -name shell)" ]
check "what would be given to Slurm is quoted" ends 0 "$program" submit "$folder/run.json" --dry-run
cat >"$work/words.py" <<'END'
import shlex, sys
words = [word for line in open(sys.argv[1]) if "sbatch" in line for word in shlex.split(line)]
assert sys.argv[2] in words, words
END
cp "$work/stdout" "$work/submitted"
check "as a shell reads it" ends 0 "$python" "$work/words.py" "$work/submitted" "$folder/run.json"

# A store or a model that links elsewhere is read as files are, and what is no file is refused.
ln -s "$store" "$work/link.h5"
check "a link to a store is read" ends 0 "$program" verify "$work/link.h5"
ln -s "$work" "$work/folder.h5"
check "a link to a folder is no store" ends 1 "$program" status "$work/folder.h5"
mkfifo "$work/pipe"
pipe_is_refused()
{
    check "for $1 a pipe is refused, and not waited for" ends 1 timeout 20 "$program" "$@"
    check "$1 says so" says "pipe is not a regular file"
}
pipe_is_refused status "$work/pipe"
pipe_is_refused config "$work/pipe"
pipe_is_refused plan "$folder/run.json" --manifest "$work/pipe"
pipe_is_refused import csv "$work/pipe"
echo '{"id": "a", "source": "a red star", "image": "pipe", "targets": []}' >"$work/pipe.jsonl"
check "a picture that is a pipe is refused, and not waited for" ends 1 timeout 20 "$program" plan "$folder/run.json" \
    --manifest "$work/pipe.jsonl"
check "with its line" prints "pipe.jsonl:1: $work/pipe is not a regular file"
mkdir "$work/model"
cp -r models/scenes/* "$work/model"
for part in unet/config.json tokenizer/vocab.json scheduler/scheduler_config.json; do
    rm "$work/model/$part"
    ln -s "$work/stamp" "$work/model/$part"
    check "a model's $part that leads elsewhere is refused" ends 1 "$program" info "$work/model"
    check "and named" says "${part##*/}"
    rm "$work/model/$part"
    mkfifo "$work/model/$part"
    check "a model's $part that is a pipe is refused, and not waited for" ends 1 timeout 20 "$program" info "$work/model"
    rm "$work/model/$part"
    cp "models/scenes/$part" "$work/model/$part"
done
