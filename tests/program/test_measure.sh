#!/bin/sh
# Metrics of finished edits, as a table beside the store.
. tests/program/lib.sh
find_python

cp -r configs/images "$work/images"
mkdir "$work/truth"
cp configs/images/red-fish.png "$work/truth/fish, masked.png"
cp configs/images/yellow-ball.png "$work/truth/noise.png"
cp configs/images/yellow-ball.png "$work/truth/maps.png"
cat >"$work/edits.jsonl" <<'END'
{"id": "fish, masked", "source": "a red fish on a meadow", "image": "images/red-fish.png", "mask": {"height": 128, "width": 128, "runs": [0, 4096]}, "meta": {"category": "change object"}, "targets": [{"prompt": "a red boat on a meadow", "edit": "replace"}, {"prompt": "a red", "edit": "replace"}]}
{"id": "noise", "source": "a red star", "seed": 3, "targets": [{"prompt": "a blue star", "edit": "replace", "local_blend": {}}]}
{"id": "maps", "source": "a red star", "seed": 3, "targets": []}
END
cat >"$work/run.json" <<END
{"model": "$PWD/models/scenes", "manifest": "edits.jsonl", "steps": 2, "scheduler": "ddim",
 "width": 64, "height": 64, "store": "a.h5"}
END
ends 2 "$program" run "$work/run.json"
check "finished edits are measured" ends 0 "$program" measure "$work/a.h5" --truth "$work/truth"
check "it says where to, and what was left out" prints "$work/a.metrics.csv: 2 edits" \
    "1 reconstructions" "1 edits left out" "change object"
check "the store stays as it is" ends 0 "$program" verify "$work/a.h5"

cat >"$work/check.py" <<'END'
import csv, sys
import h5py, numpy as np
rows = list(csv.DictReader(open(sys.argv[1])))
image = h5py.File(sys.argv[2])["image"][:].astype(float) / 255
assert [(int(r["entry"]), r["id"], r["target"], r["mask"]) for r in rows] == [
    (0, "fish, masked", "-1", "manifest"), (1, "fish, masked", "0", "manifest"),
    (4, "noise", "0", "blend")], rows
def near(row, name, value):
    assert abs(float(row[name]) - value) < 1e-6 * max(1, abs(value)), (name, row[name], value)
square = (image[4] - image[3]) ** 2
near(rows[2], "mse", square.mean())
near(rows[2], "psnr", -10 * np.log10(square.mean()))
fish = rows[1]
outside = np.ones((64, 64), bool)
outside[:16] = False  # a quarter, by rows
whole = float(fish["mse"])
near(fish, "mse_unedit_part", float(fish["mse_outside_mask"]) * 0.75)  # PIE-Bench counts zeros
near(fish, "mse_edit_part", float(fish["mse_inside_mask"]) * 0.25)
near(fish, "mse", float(fish["mse_edit_part"]) + float(fish["mse_unedit_part"]))
near(fish, "truth_psnr", float(fish["psnr"]))  # the truth is the picture itself
near(fish, "truth_ssim_inside_mask", float(fish["ssim_inside_mask"]))
assert fish["category"] == "change object"
END
check "the numbers are those of the pictures, parts and conventions" ends 0 "$python" \
    "$work/check.py" "$work/a.metrics.csv" "$work/a.h5"
cp "$work/a.metrics.csv" "$work/one.csv"
check "two ranks measure too" ends 0 on 2 measure "$work/a.h5" --truth "$work/truth"
check "and make the same table" cmp "$work/one.csv" "$work/a.metrics.csv"
check "JSON lines on request" ends 0 "$program" measure "$work/a.h5" --as jsonl --out "$work/m.jsonl"
check "they have the same names" has_all "$work/m.jsonl" '"id": "noise"' '"psnr_outside_mask": '

grep noise "$work/edits.jsonl" >"$work/noise.jsonl"
sed 's/"edits.jsonl"/"noise.jsonl", "sweep": {"self_replace_steps": [0.1, 0.9]}/' "$work/run.json" >"$work/sweep.json"
ends 0 "$program" run "$work/sweep.json" --store "$work/sweep.h5"
check "a sweep's settings have one truth" ends 0 "$program" measure "$work/sweep.h5" --truth "$work/truth"

rm "$work/truth/noise.png"
check "a truth that is not there is an error" ends 1 "$program" measure "$work/a.h5" --truth "$work/truth"
check "it is named" says "truth/noise.png"
check "the table before is kept" cmp "$work/one.csv" "$work/a.metrics.csv"
check "an unknown format is refused" ends 1 "$program" measure "$work/a.h5" --as xml
check "the formats are named" says "csv and jsonl"
check "help helps" ends 0 "$program" measure --help
