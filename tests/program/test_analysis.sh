#!/bin/sh
# The Python programs in analysis/, on stores of a few small pictures.
. tests/program/lib.sh
find_python

cp -r configs/images "$work/images"
cat >"$work/edits.jsonl" <<'END'
{"id": "fish", "source": "a red fish on a meadow", "image": "images/red-fish.png", "mask": {"height": 128, "width": 128, "runs": [0, 4096]}, "meta": {"category": "change object"}, "targets": [{"prompt": "a red boat on a meadow", "edit": "replace"}, {"prompt": "a red cat on a meadow", "edit": "replace", "local_blend": {"source": "nosuch", "target": "cat"}}]}
{"id": "star", "source": "a red star", "seed": 3, "meta": {"category": "<b>\"&", "by": "Ünal"}, "targets": [{"prompt": "a blue star", "edit": "replace", "local_blend": {}}, {"prompt": "a red star at night", "edit": "refine"}]}
END
cat >"$work/run.json" <<END
{"model": "$PWD/models/scenes", "manifest": "edits.jsonl", "steps": 2, "scheduler": "ddim", "width": 64,
 "height": 64, "sweep": {"cross_replace_steps": [0.4, 0.8]}, "store": "one.h5"}
END
ends 2 on 2 run "$work/run.json"
ends 2 "$program" run "$work/run.json" --store "$work/node.h5" --store-files node
"$program" pack "$work/one.h5" "$work/packed.h5" >/dev/null
"$program" measure "$work/one.h5" >/dev/null
"$program" measure "$work/one.h5" --as jsonl --out "$work/one.jsonl" >/dev/null
facts() { PYTHONDONTWRITEBYTECODE=1 "$python" tests/program/"$@" || bad_facts=$((bad_facts + 1)); }

facts check_store_module.py "$work"
