"""analysis/edit_masks.py, held against what `promptmill measure` made of the same masks.

    check_edit_masks.py FOLDER      one.h5 and its table
"""
import csv
import sys
from pathlib import Path
from types import SimpleNamespace

import facts
import numpy as np
from PIL import Image

sys.path.insert(0, "analysis")
import edit_masks  # noqa: E402
from promptmill_store import Store, StoreError  # noqa: E402

folder = Path(sys.argv[1])
RUNS = {"height": 128, "width": 128, "runs": [0, 4096, 9000, 50]}


def check_kinds(store, rows):
    wrong = []
    for row in rows:
        entry = store.entries[int(row["entry"])]
        mask, kind = edit_masks.edit_mask(store, entry)
        if mask is not None:
            squares = (store.image(entry) / 255.0 - store.original(entry) / 255.0) ** 2
            seen = [(squares * part[..., None]).mean() if part.any() else np.nan for part in (~mask, mask)]
            measured = [float(row["mse_unedit_part"]), float(row["mse_edit_part"])]
            if not np.allclose(seen, measured, rtol=1e-6, atol=0, equal_nan=True):
                wrong.append((row["id"], row["target"], seen, measured))
        if kind != row["mask"]:
            wrong.append((row["id"], row["target"], kind))
    facts.check("parts of pictures are those that measure measured", not wrong, wrong)
    kinds = {row["mask"] for row in rows}
    facts.check("of manifest's masks, blend's and none", kinds == {"manifest", "blend", "none"}, kinds)


def check_forms(store):
    entry = SimpleNamespace(item=SimpleNamespace(id="fish"))
    of_runs = np.asarray(edit_masks._from_runs(entry, RUNS))
    Image.fromarray(of_runs).convert("RGB").save(folder / "mask.png")
    of_file = np.asarray(edit_masks._from_file(store, entry, "mask.png"))
    facts.check("a mask in a file beside the manifest is the same as one of runs",
                (of_runs == of_file).all() and (of_runs > 0).sum() == 4146)  # fmt: skip
    wide = Image.fromarray(np.arange(100, dtype=np.uint8)[None].repeat(50, axis=0))
    recipe = {"crop": {"left": 20, "right": 10}}
    facts.check("margins are cut off, then the centre is kept", (edit_masks.fitted(wide, recipe, 50, 50)
                == np.arange(30, 80)).all())  # fmt: skip
    for fact, mask in (("a run beyond the picture is refused", RUNS | {"runs": [16000, 1000]}),
                       ("a mask without a size", {"runs": []}),
                       ("half a run", RUNS | {"runs": [3]}),
                       ("a mask of a huge size", {"height": 1 << 20, "width": 1 << 20, "runs": []})):  # fmt: skip
        with facts.refuses(fact, StoreError, "fish", "mask"):
            edit_masks._from_runs(entry, mask)


with Store(folder / "one.h5") as opened, open(folder / "one.metrics.csv", newline="") as file:
    check_kinds(opened, list(csv.DictReader(file)))
    check_forms(opened)
facts.finish()
