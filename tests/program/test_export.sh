#!/bin/sh
# Edits as the trees of files that PIE-Bench's evaluator and InstructPix2Pix's training read.
. tests/program/lib.sh
find_python
export PYTHONPATH=$PWD/tests/program

cp -r configs/images "$work/images"
cat >"$work/edits.jsonl" <<'END'
{"id": "fish", "source": "a red fish on a meadow", "image": "images/red-fish.png", "meta": {"image_path": "1_change/a.jpg", "editing_instruction": "make it a boat"}, "targets": [{"prompt": "a red boat on a meadow", "edit": "replace"}]}
{"id": "../../up", "source": "a red star", "image": "images/red-star.png", "meta": {"image_path": "../../../up.jpg"}, "targets": [{"prompt": "a blue star", "edit": "replace"}, {"prompt": "a pink star", "edit": "replace"}]}
{"id": "a b", "source": "a red star", "seed": 3, "targets": [{"prompt": "a blue star", "edit": "replace"}]}
{"id": "a/b", "source": "a red star", "seed": 3, "targets": [{"prompt": "a red", "edit": "replace"}]}
{"id": "maps", "source": "a red star", "seed": 3, "targets": []}
{"id": "猫", "source": "a red star", "seed": 4, "targets": [{"prompt": "a blue star", "edit": "replace"}]}
END
cat >"$work/run.json" <<END
{"model": "$PWD/models/scenes", "manifest": "edits.jsonl", "steps": 2, "scheduler": "ddim",
 "width": 64, "height": 64, "store": "a.h5", "capture": {"attention": []}}
END
ends 2 on 2 run "$work/run.json"

# files FOLDER: what is in it
files() { (cd "$1" && find . -type f | sort); }
pie=$work/deep/er/pie
mkdir -p "$work/deep/er"
check "PIE-Bench's tree is written" ends 0 "$program" export "$work/a.h5" --as pie-bench --out "$pie"
check "it says how much, and what is left out" prints "$pie/: 5 pictures written; 1 edits left out: not done"
check "the evaluator finds its image_path" [ -f "$pie/annotation_images/1_change/a.jpg" ]
check "an edit without one has its id's name" [ -f "$pie/annotation_images/a_b~"*.png ]
check "two targets of a line have a tree each" [ "$(ls -d "$pie"/target-[01]/annotation_images | wc -l)" -eq 2 ]
check "nothing is outside the folder" [ "$(find "$work" -newer "$work/a.h5" -type f | grep -cv "^$pie/\|/std")" -eq 0 ]

cat >"$work/strip.py" <<'END'
import sys
import h5py, numpy as np, png
strip, store = png.read(sys.argv[1]), h5py.File(sys.argv[2])
assert strip.shape == (512, 2048, 3), strip.shape
large = [strip[:, side * 512:(side + 1) * 512] for side in range(4)]
assert (large[0] == 255).any() and (large[0] != 255).any()  # text
for tile, picture in zip(large[1:], (store["original"][0], store["image"][0], store["image"][1])):
    assert (tile == picture.repeat(8, 0).repeat(8, 1)).all()
END
check "a strip is text, the picture, its reconstruction and the edit" ends 0 "$python" "$work/strip.py" \
    "$pie/annotation_images/1_change/a.jpg" "$work/a.h5"

cp -rp "$pie" "$work/before"
rm "$pie/annotation_images/1_change/a.jpg"
touch -d '1 second ago' "$work/stamp"
find "$pie" -type f -exec touch -d '1 minute ago' {} +
check "an export goes on" ends 0 on 2 export "$work/a.h5" --as pie-bench --out "$pie"
check "what is there is not written again" prints "1 pictures written, 4 were there"
check "two ranks write the same" ends 0 diff -r "$pie" "$work/before"
check "and leave the others' files alone" [ "$(find "$pie" -type f -newer "$work/stamp" | wc -l)" -eq 1 ]
check "the folder of another export is refused" ends 1 "$program" export "$work/a.h5" --as pie-bench \
    --plain --out "$pie"
check "and told why" says "$pie is of another export"
check "plain JPEGs on request" ends 0 "$program" export "$work/a.h5" --as pie-bench --plain \
    --pictures jpeg --out "$work/plain" fish
check "these are JPEGs" [ "$(head -c 3 "$work/plain/annotation_images/1_change/a.jpg" | od -An -tx1 | tr -d ' ')" = ffd8ff ]
check "an option without effect is an error" ends 1 "$program" export "$work/a.h5" --as pie-bench --scale 2
check "it is named" says "--scale is without effect on pie-bench"

# Two edits of one image_path would be one file.
cat >"$work/twice.jsonl" <<'END'
{"id": "a b", "source": "a red star", "meta": {"image_path": "b.png"}, "targets": [{"prompt": "a blue star", "edit": "replace"}]}
{"id": "猫", "source": "a red star", "meta": {"image_path": "/b.png"}, "targets": [{"prompt": "a blue star", "edit": "replace"}]}
END
ends 0 "$program" run "$work/run.json" --manifest "$work/twice.jsonl" --store "$work/b.h5"
check "two edits for one file are refused" ends 1 on 2 export "$work/b.h5" --as pie-bench --out "$work/twice"
check "with their ids and the file" says '"a b" and "猫" would both be annotation_images/b.png'

# InstructPix2Pix: a sweep's settings are candidates for one pair of prompts.
cat >"$work/pairs.jsonl" <<'END'
{"id": "a b", "source": "a red star", "targets": [{"prompt": "a blue star", "edit": "replace"}]}
{"id": "a/b", "source": "a red star", "targets": [{"prompt": "a red", "edit": "replace"}]}
{"id": "pair", "source": "a red star", "meta": {"edit": "paint it blue"}, "targets": [{"prompt": "a blue star", "edit": "replace"}]}
{"id": "猫", "source": "a red star", "targets": [{"prompt": "a blue star", "edit": "replace"}]}
END
sed 's/"edits.jsonl"/"pairs.jsonl", "sweep": {"seed": [5, 6], "self_replace_steps": [0.2, [0.1, 0.8]]}/; s/"a.h5"/"c.h5"/' \
    "$work/run.json" >"$work/sweep.json"
ends 2 on 2 run "$work/sweep.json"
check "InstructPix2Pix's tree is written" ends 0 on 3 export "$work/c.h5" --as instruct-pix2pix --out "$work/ip2p"
check "every candidate is a pair" prints "24 pictures written; 4 edits left out: not done"

cat >"$work/dataset.py" <<'END'
import json, sys
from pathlib import Path
path = Path(sys.argv[1])
seeds = json.loads((path / "seeds.json").read_text())
assert [name for name, _ in seeds] == sorted(name for name, _ in seeds) and len(seeds) == 3, seeds
for name, keys in seeds:
    assert keys == ["5", "6", "5-2", "6-2"], keys
    assert (path / name).parent == path
    prompt = json.loads((path / name / "prompt.json").read_text())
    assert prompt["caption"] == "a red star" and prompt["output"] == "a blue star"
    assert prompt["edit"] == ("paint it blue" if name == "pair" else "a blue star"), prompt
    lines = [json.loads(line) for line in (path / name / "metadata.jsonl").read_text().splitlines()]
    assert [line["key"] for line in lines] == keys
    assert [line["p2p_threshold"] for line in lines] == [0.2, 0.2, 0.8, 0.8]
    assert {line["cfg_scale"] for line in lines} == {7.5}
    for key in keys:
        for which in "01":
            with open(path / name / f"{key}_{which}.jpg", "rb") as file:
                assert file.read(3) == b"\xff\xd8\xff"
END
check "its reader finds seeds, prompts, pictures and parameters" ends 0 "$python" "$work/dataset.py" "$work/ip2p"
cp -rp "$work/ip2p" "$work/before-2"
rm "$work/ip2p/pair/5_1.jpg" "$work/ip2p/seeds.json"
check "it goes on as well" ends 0 "$program" export "$work/c.h5" --as instruct-pix2pix --out "$work/ip2p"
check "and writes what is missing" prints "1 pictures written, 23 were there"
check "so that all is as it was" ends 0 diff -r "$work/ip2p" "$work/before-2"
check "of PIE-Bench, each setting of a sweep has a tree" ends 0 "$program" export "$work/c.h5" --as pie-bench \
    --out "$work/settings" pair/self=0.2,seed=5 pair/self=0.1-0.8,seed=6
check "named as the setting" [ -f "$work/settings/self=0.1-0.8,seed=6/annotation_images/pair.png" ]
# Filters: what does not meet the conditions stays in the store and the table.
check "a condition wants a table" ends 1 "$program" export "$work/c.h5" --as instruct-pix2pix \
    --out "$work/good" --keep "ssim>=0.5"
check "it is named" says "c.metrics.csv"
ends 0 "$program" measure "$work/c.h5"
cat >"$work/good.py" <<'END'
import csv, json, sys
from pathlib import Path
work = Path(sys.argv[1])
rows = [row for row in csv.DictReader(open(work / "c.metrics.csv"))]
if len(sys.argv) == 2:
    print(sorted(float(row["psnr"]) for row in rows)[len(rows) // 2])
    sys.exit()
bound = float(sys.argv[2])
scores = {row["id"]: float(row["psnr"]) for row in rows}
kept, rejected = ({line["id"]: line for file in (work / "good").glob("*/" + name)
                   for line in map(json.loads, file.read_text().splitlines())}
                  for name in ("metadata.jsonl", "rejected.jsonl"))
assert set(kept) == {id for id in scores if scores[id] >= bound}, kept
assert kept and rejected and set(kept) | set(rejected) == set(scores)
for line in [*kept.values(), *rejected.values()]:
    assert abs(line["psnr"] - scores[line["id"]]) < 1e-6 and 0 < line["p2p_threshold"] < 1
seeds = json.loads((work / "good" / "seeds.json").read_text())
assert sum(len(keys) for _, keys in seeds) == len(kept) == len(list((work / "good").glob("*/*_1.jpg")))
END
bound=$("$python" "$work/good.py" "$work")
check "edits that meet a condition are exported" ends 0 on 2 export "$work/c.h5" --as instruct-pix2pix \
    --out "$work/good" --keep "psnr>=$bound" --keep "psnr<=99"
check "the others are counted" prints "edits not kept"
check "and keep their parameters and scores" ends 0 "$python" "$work/good.py" "$work" "$bound"
check "sheets leave them out as well" ends 0 "$program" export "$work/c.h5" --as png --out "$work/sheet" --keep "psnr>=$bound"
check "and say so" prints "strips in $work/sheet/, 4 edits left out: not done, "
check "other conditions want another folder" ends 1 "$program" export "$work/c.h5" --as instruct-pix2pix --out "$work/good"
for wrong in "psnr" "psnr>20" ">=3" "psnr>=nan" "psnr>=2x"; do
    check "\"$wrong\" is no condition" ends 1 "$program" export "$work/c.h5" --keep "$wrong"
    check "of \"$wrong\" it is said" says "is no condition"
done
check "a column that is not there is an error" ends 1 "$program" export "$work/c.h5" --keep "lpips<=0.2"
check "this column is named" says 'c.metrics.csv has no column "lpips"'
sed '2d' "$work/c.metrics.csv" >"$work/short.csv"
check "a table without an edit is an error" ends 1 "$program" export "$work/c.h5" --keep "psnr>=1" --table "$work/short.csv"
check "this edit is named" says 'does not have "a b/self=0.2,seed=5"'
sed '2s/a b/a c/' "$work/c.metrics.csv" >"$work/other.csv"
check "another store's table is an error" ends 1 "$program" export "$work/c.h5" --keep "psnr>=1" --table "$work/other.csv"
check "it is told apart by its ids" says "it is of another store"
printf 'entry,clip\n1,0.3\n3,0.1\n' >"$work/clip.csv"
check "any table with entries will do" ends 0 "$program" export "$work/c.h5" --as pie-bench --plain --out "$work/clip" \
    --keep "clip>=0.2" --table "$work/clip.csv" "a b/self=0.2,seed=5" "a b/self=0.2,seed=6"
check "by its own metrics" prints "1 pictures written; 1 edits not kept"
check "help helps" ends 0 "$program" export --help
