#!/bin/sh
# The same edits under several settings, compared.
. tests/program/lib.sh
find_python
export PYTHONPATH=$PWD/tests/program

cat >"$work/edits.jsonl" <<'END'
{"id": "star", "source": "a red star", "seed": 1, "meta": {"category": "colour, mostly"}, "targets": [{"prompt": "a blue star", "edit": "replace"}, {"prompt": "a pink star", "edit": "replace"}]}
{"id": "cup", "source": "a red cup", "seed": 2, "targets": [{"prompt": "a blue cup", "edit": "replace"}]}
{"id": "boat", "source": "a red boat", "seed": 3, "targets": [{"prompt": "a blue boat", "edit": "replace"}, {"prompt": "a red", "edit": "replace"}]}
END
cat >"$work/run.json" <<END
{"model": "$PWD/models/scenes", "manifest": "edits.jsonl", "steps": 3, "scheduler": "ddim", "store": "a.h5",
 "width": 64, "height": 64, "capture": {"attention": []}}
END
sed 's/"cup", "source": "a red cup"/"mug", "source": "a red cup"/; s/"replace"}/"replace", "self_replace_steps": 1.0}/g' \
    "$work/edits.jsonl" >"$work/others.jsonl"
ends 2 "$program" run "$work/run.json"
ends 2 "$program" run "$work/run.json" --manifest "$work/others.jsonl" --store "$work/b.h5"
check "a comparison wants metrics" ends 1 "$program" compare "$work/a.h5" "$work/b.h5" --out "$work/ab"
check "the table that is missing is named" says "a.metrics.csv"
ends 0 "$program" measure "$work/a.h5"
ends 0 "$program" measure "$work/b.h5"
check "two stores are compared" ends 0 "$program" compare "$work/a.h5" "$work/b.h5" --out "$work/ab"
check "edits of the same id, target and prompt" prints "a.h5 is compared with, 3 edits; 2 have no other"

cat >"$work/check.py" <<'END'
import csv, sys
import h5py, numpy as np
import png
work = sys.argv[1] + "/"
a, b = (h5py.File(work + name)["image"][:].astype(float) for name in ("a.h5", "b.h5"))
tables = [{row["entry"]: float(row["psnr"]) for row in csv.DictReader(open(work + name + ".metrics.csv"))}
          for name in "ab"]
entries = ["1", "2", "6"]  # star's two targets, boat's first one
differences = np.array([tables[1][e] - tables[0][e] for e in entries])
statistics = {row["metric"]: row for row in csv.DictReader(open(work + "ab/statistics.csv"))}
psnr = statistics["psnr"]
assert psnr["pairs"] == "3" and psnr["setting"] == work + "b.h5"
assert abs(float(psnr["mean_difference"]) - differences.mean()) < 1e-6
bounds = [differences.min(), float(psnr["low"]), differences.mean(), float(psnr["high"]), differences.max()]
assert (np.diff(bounds) > -1e-6).all(), bounds
assert int(psnr["higher"]) == (differences > 0).sum() and int(psnr["lower"]) == (differences < 0).sum()
rows = list(csv.DictReader(open(work + "ab/edits.csv")))
assert [(r["id"], r["target"], r["category"]) for r in rows[::2]] == [
    ("star", "0", "colour, mostly"), ("star", "1", "colour, mostly"), ("boat", "0", "")], rows
for row, entry in zip(rows[1::2], map(int, entries)):
    assert abs(float(row["picture_difference"]) - np.abs(a[entry] - b[entry]).mean()) < 1e-6
sheet = png.read(work + "ab/sheet.png")
widest = int(entries[np.abs(differences).argmax()])
tiles = [sheet[16 + 2 * 20 + 20:, 16 + i * 72:][:64, :64] for i in range(3)]
assert all((tile == picture).all() for tile, picture in zip(tiles, (a[0 if widest < 5 else 5], a[widest], b[widest])))
END
check "numbers and pictures are those of the stores" ends 0 "$python" "$work/check.py" "$work"

sed 's/"store": "a.h5"/"store": "s.h5", "sweep": {"self_replace_steps": [0, 0.5, 1.0], "seed": [5]}/' "$work/run.json" >"$work/sweep.json"
ends 2 "$program" run "$work/sweep.json"
ends 0 "$program" measure "$work/s.h5"
check "a sweep's settings are compared" ends 0 "$program" compare "$work/s.h5" --metric ssim --shown 2 --out "$work/s"
check "each with the first" prints "self=0,seed=5 is compared with, 4 edits" "self=0.5,seed=5: its" "self=1,seed=5: its"
check "by the metric asked for" [ "$(grep -c '",ssim,4,' "$work/s/statistics.csv")" -eq 2 ]
check "a store without a sweep is compared with another" ends 1 "$program" compare "$work/a.h5"
check "so it is told" says "has no sweep"
check "a metric that is not there is an error" ends 1 "$program" compare "$work/a.h5" "$work/b.h5" --metric lpips
check "it is named" says 'no column "lpips"'
check "a store is not compared with itself" ends 1 "$program" compare "$work/a.h5" "$work/a.h5"
check "help helps" ends 0 "$program" compare --help
