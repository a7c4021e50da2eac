#!/bin/sh
# Sweeps that draw: the values are in the store, and lead to the same pictures when they are given.
. tests/program/lib.sh
find_python

cat >"$work/edits.jsonl" <<'END'
{"id": "star", "source": "a red star", "targets": [{"prompt": "a blue star", "edit": "replace"}]}
{"id": "cup", "source": "a red cup", "guidance_scale": 3, "targets": [{"prompt": "a blue cup", "edit": "replace"}]}
END
cat >"$work/draws.json" <<END
{"model": "$PWD/models/scenes", "manifest": "edits.jsonl", "steps": 2, "scheduler": "ddim", "store": "draws.h5",
 "width": 64, "height": 64, "capture": {"attention": []},
 "sweep": {"random": 2, "random_seed": 5, "self_replace_steps": {"uniform": [0.1, 0.9]},
           "guidance_scale": {"uniform": [7.5, 15]}, "seed": {"uniform": [0, 4294967295]}}}
END
check "a plan counts the draws" ends 0 "$program" plan "$work/draws.json"
check "as settings of each line" prints "2 settings of each of 2 lines"
check "draws are run" ends 0 "$program" run "$work/draws.json"
check "and on three ranks" ends 0 on 3 run "$work/draws.json" --store "$work/3.h5"
check "which make the same" same_stores "$work/draws.h5" "$work/3.h5"

"$python" - "$work" <<'END'
import json, sys
import h5py
work = sys.argv[1]
recipes = [json.loads(text) for text in h5py.File(work + "/draws.h5")["item/recipe"].asstr()]
assert [r["id"] for r in recipes] == ["star/draw=0", "star/draw=1", "cup/draw=0", "cup/draw=1"]
assert len({r["seed"] for r in recipes}) == len({r["guidance_scale"] for r in recipes}) == 4
assert all(7.5 <= r["guidance_scale"] <= 15 for r in recipes)
with open(work + "/given.jsonl", "w") as out:
    for recipe in recipes:
        print(json.dumps(recipe), file=out)
END
check "the store has what was drawn" [ $? -eq 0 ]
grep -v '"sweep"\|"guidance_scale"' "$work/draws.json" | sed 's/"attention": \[\]},/"attention": []}}/; s/"edits.jsonl"/"given.jsonl"/' >"$work/given.json"
check "given as values, they are run as well" ends 0 "$program" run "$work/given.json" --store "$work/given.h5"
check "to the same pictures" ends 0 "$python" -c "
import h5py
a, b = (h5py.File('$work/' + name)['image'][:] for name in ('draws.h5', 'given.h5'))
assert (a == b).all() and (a[1] != a[3]).any()"

# A line's own guidance is the run's of that value.
sed 's/"guidance_scale": 3, //' "$work/edits.jsonl" >"$work/given.jsonl"
ends 0 "$program" run "$work/given.json" --store "$work/usual.h5" --guidance-scale 3
ends 0 "$program" run "$work/given.json" --store "$work/own.h5" --manifest "$work/edits.jsonl"
check "a line's own guidance counts for it alone" ends 0 "$python" -c "
import h5py
a, b = (h5py.File('$work/' + name)['image'][:] for name in ('usual.h5', 'own.h5'))
assert (a[2:] == b[2:]).all() and (a[:2] != b[:2]).any()"
