#!/bin/sh
# Lists of edits made elsewhere become manifests that plan takes.
. tests/program/lib.sh

cat >"$work/edits.csv" <<'END'
source,prompt,edit,seed,author
a photo of a red ball on a meadow,a photo of a red cube on a meadow,replace,3,ann
a photo of a red ball on a meadow,a photo of a red ball on a meadow at sunset,,,
END
check "a CSV file is imported" ends 0 "$program" import csv "$work/edits.csv"
check "it says where to, and what has no effect" prints "$work/edits.manifest.jsonl: 2 lines" \
    'under "meta", without effect: author'
check "plan takes it" ends 0 "$program" plan $config --manifest "$work/edits.manifest.jsonl"
check "plan finds its edits" prints "2 lines, 2 edits"
check "a manifest that is there is kept" ends 1 "$program" import csv "$work/edits.csv"
check "it is named" says "$work/edits.manifest.jsonl exists already"
check "with --force it is replaced" ends 0 "$program" import csv --force "$work/edits.csv"

echo '{"input": "a red ball", "edit": "make it a cube", "output": "a red cube"}' >"$work/a.jsonl"
check "InstructPix2Pix's prompts are imported" ends 0 "$program" import instruct-pix2pix \
    "$work/a.jsonl" --out "$work/b.jsonl"
check "plan takes them" ends 0 "$program" plan $config --manifest "$work/b.jsonl"
echo '{"input": "a red ball", "outptu": "a red cube"}' >>"$work/a.jsonl"
check "a line that is wrong ends it" ends 1 "$program" import instruct-pix2pix "$work/a.jsonl"
check "line and field are named" says 'a.jsonl:2: "output" is missing'
check "nothing is left behind" [ "$(find "$work" -name 'a.manifest*' | wc -l)" -eq 0 ]

cat >"$work/mapping_file.json" <<'END'
{"000000000000": {"image_path": "0/0.jpg", "original_prompt": "a [red] ball",
  "editing_prompt": "a [blue] ball", "editing_instruction": "", "editing_type_id": "6",
  "blended_word": "ball ball", "mask": [0, 9]}}
END
check "PIE-Bench is imported" ends 0 "$program" import pie-bench "$work/mapping_file.json" \
    --images data --published-settings
check "with its pictures, words and settings" has_all "$work/mapping_file.manifest.jsonl" \
    '"image": "data/0/0.jpg"' '"source": "a red ball"' '"prompt": "a blue ball"' \
    '"cross_replace_steps": 0.4' '"equalizer": {"ball": 2.0}' '"category": "change color"'

check "an unknown format is refused" ends 1 "$program" import tsv "$work/edits.csv"
check "the formats are named" says "pie-bench, instruct-pix2pix and csv"
check "an option without effect is refused" ends 1 "$program" import csv "$work/edits.csv" -p
check "it is named" says "--published-settings is without effect on csv"
check "a missing file is named" ends 1 "$program" import csv "$work/none.csv"
check "help helps" ends 0 "$program" import --help
