#!/bin/sh
# The Python programs in analysis/, on stores of a few small pictures. What needs PyTorch runs where python3, or the
# one that NETWORKS_PYTHON names, has it (analysis/requirements.txt).
. tests/program/lib.sh
find_python

cp -r configs/images "$work/images"
cat >"$work/edits.jsonl" <<'END'
{"id": "fish", "source": "a red fish on a meadow", "image": "images/red-fish.png", "crop": {"left": 16, "top": 5}, "mask": {"height": 128, "width": 128, "runs": [0, 4096]}, "meta": {"category": "change object"}, "targets": [{"prompt": "a red boat on a meadow", "edit": "replace"}, {"prompt": "a red cat on a meadow", "edit": "replace", "local_blend": {"source": "nosuch", "target": "cat"}}]}
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

analyse() { PYTHONDONTWRITEBYTECODE=1 "$python" analysis/"$@"; }

if "$python" -c 'import PIL' 2>/dev/null; then
    check "a report is made" ends 0 analyse report.py "$work/one.h5"
    check "it says where" prints "$work/one.report.html: "
    check "a short one too" ends 0 analyse report.py "$work/one.h5" --edits 3 --out "$work/few.report.html"
    facts check_report.py "$work"
    facts check_edit_masks.py "$work"
    check "what is no store is an error" ends 1 analyse report.py "$work/one.metrics.csv"
    check "it is a sentence" says "report.py: $work/one.metrics.csv cannot be opened: it is not an HDF5 file"
else
    echo "# report.py and masks are left out: $python has no Pillow (Debian: python3-pil)"
fi

check "a table is made" ends 0 analyse tables.py "$work/one.h5"
cp "$work/stdout" "$work/table.md"
check "as CSV too" ends 0 analyse tables.py "$work/one.h5" --by category,cross_replace_steps --as csv
cp "$work/stdout" "$work/table.csv"
facts check_tables.py "$work"
check "a setting of its own choice" ends 0 analyse tables.py "$work/one.h5" "$work/packed.h5" --by store,edit
check "it has its rows" prints "| one | refine | 2 |"
check "reconstructions have tables" ends 0 analyse tables.py "$work/one.h5" --reconstructions --by inversion
check "of real pictures" prints "| direct | 2 |"
check "an unknown metric is an error" ends 1 analyse tables.py "$work/one.h5" --metrics pnsr
check "the known ones are named" says "'pnsr'" "psnr, ssim"
check "a store without metrics is an error" ends 1 analyse tables.py "$work/packed.h5"
check "what makes them is named" says "promptmill measure"

check "a figure of windows is made" ends 0 analyse figures.py windows "$work/one.h5" --metrics psnr,ssim
check "it says where" prints "$work/one.windows.svg"
facts check_figures.py "$work"
check "a figure of the trade-off too" ends 0 analyse figures.py trade-off "$work/one.h5" --happened mse
check "without a metric that tells of the edit it is refused" ends 1 analyse figures.py trade-off "$work/one.h5"
check "with what there is" says "whether an edit happened" "there are psnr_outside_mask"

facts check_store_module.py "$work"

for networks in "${NETWORKS_PYTHON:-}" python3 /usr/bin/python3 ""; do
    [ -n "$networks" ] && "$networks" -c 'import torch, transformers, h5py, PIL' 2>/dev/null && break
done
if [ -n "$networks" ]; then
    python=$networks
    facts make_networks.py "$work" 2>/dev/null
    check "metrics of networks are measured" ends 0 analyse network_metrics.py "$work/one.h5" --batch 3 \
        --clip "$work/clip" --squeezenet "$work/squeezenet.pth" --lpips "$work/lpips.pth" --dino "$work/dino.pth"
    check "it says where to" prints "$work/one.network-metrics.csv: 8 pictures"
    facts check_networks.py "$work"
else
    echo "# network_metrics.py is left out: no PyTorch and transformers (analysis/requirements.txt)"
fi
