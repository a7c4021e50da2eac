"""analysis/promptmill_store.py, held against what h5py reads of the same files.

    check_store_module.py FOLDER      one.h5, its table, packed.h5, node.h5 with a shard, other.h5
"""
import shutil
import sys
from pathlib import Path

import facts
import numpy as np

sys.path.insert(0, "analysis")
import h5py  # noqa: E402
from promptmill_store import Store, StoreError, label  # noqa: E402

folder = Path(sys.argv[1])


def everything(store):
    """All that the module tells of a store, to compare."""
    found = []
    for entry in store.entries:
        found.append((entry.item.id, entry.item.seed, entry.target, entry.prompt, entry.state, entry.message))
        if entry.state == "done":
            maps = [(word, of_word.tobytes()) for word, of_word in store.word_maps(entry)]
            found.append((store.image(entry).tobytes(), maps, str(store.blend_mask(entry))))
    return found


def check_content(store, raw):
    fish, star = store.edits[0], next(edit for edit in store.edits if edit.item.id.startswith("star"))
    facts.check("states and messages are the rows'", [(e.state, e.message.encode()) for e in store.entries] == [
        (("pending", "done", "failed")[row["state"]], row["message"]) for row in raw["entry"]])  # fmt: skip
    facts.check("a failed edit has its reason", any("nosuch" in e.message for e in store.edits if e.state == "failed"))
    facts.check("a picture is its row", (store.image(star) == raw["image"][star.number]).all())
    facts.check("a real picture is edited from the photo", (store.original(fish) == raw["original"][0]).all())
    facts.check("one from noise from its source", (store.original(star) == raw["image"][star.number - 1]).all())
    facts.check("only a real picture has a reconstruction", store.reconstruction_psnr(fish) > 1
                and np.isnan(store.reconstruction_psnr(star)))  # fmt: skip
    settings = [store.setting(fish, key) for key in ("category", "inversion", "edit", "cross_replace_steps", "seed")]
    wanted = ["change object", "direct", "replace", 0.4, None]
    facts.check("settings are the line's and the target's", settings == wanted, settings)
    keys = ("category", "inversion", "local_blend.threshold", "meta.by", "nil")
    settings = [store.setting(star, key) for key in keys]
    facts.check("dotted ones too", settings == ['<b>"&', "from noise", 0.3, "Ünal", None], settings)
    facts.check("the sweep's settings are known", store.swept == ["cross_replace_steps"], store.swept)
    words = dict(store.word_maps(star))
    tokens = np.flatnonzero(raw["prompt/token_word"][star.number] == store.words(star).index("star"))
    mean = raw["attention/cross_mean"][star.number][:, :, tokens].mean(axis=-1)
    facts.check("a word's map is the mean of its tokens'", len(tokens) > 1 and np.allclose(words["star"], mean))


def check_metrics(store):
    metrics = store.metrics()
    star = next(e.number for e in store.edits if e.item.id.startswith("star"))
    facts.check("the table beside the store is found", "psnr" in metrics.names, metrics.names)
    mse = ((store.image(store.entries[star]) / 255.0 - store.original(store.entries[star]) / 255.0) ** 2).mean()
    facts.check("its numbers stand at their entries", np.isclose(metrics.of("mse")[star], mse))
    facts.check("what is not measured is NaN", np.isnan(metrics.of("mse")[store.entries[star].item.first_entry]))
    facts.check("JSON lines are the same", np.allclose(store.metrics([folder / "one.jsonl"]).values, metrics.values,
                                                       rtol=1e-8, equal_nan=True))  # fmt: skip
    with facts.refuses("an unknown metric is refused by name", StoreError, "pnsr", "psnr"):
        metrics.of("pnsr")
    table = (folder / "one.metrics.csv").read_text().splitlines()
    for fact, lines, words in (
        ("a table of another store is refused", [table[0], table[1].replace("fish", "dish", 1)], (":2:", "dish")),
        ("a row with too few cells is refused", [table[0], table[1].rsplit(",", 1)[0]], (":2:", "cells")),
        ("one with too many", [table[0], table[1] + ",1"], (":2:", "cells")),
        ("a cell that is no number is refused", [table[0], table[1].rsplit(",", 1)[0] + ",x"], (":2:", "'x'")),
        ("another CSV file is refused", ["a,b", "1,2"], (":2:", "entry, id and target")),
        ("an entry beyond the last one is refused", [table[0], "99" + table[1]], (":2:", "99")),
    ):
        (folder / "bad.csv").write_text("\n".join(lines) + "\n")
        with facts.refuses(fact, StoreError, str(folder / "bad.csv"), *words):
            store.metrics([folder / "bad.csv"])


def check_refusals():
    with facts.refuses("a file that is not there is named", StoreError, "nil.h5", "no such file"):
        Store(folder / "nil.h5")
    with facts.refuses("a file that is no HDF5 is refused", StoreError, "one.metrics.csv", "not an HDF5 file"):
        Store(folder / "one.metrics.csv")
    with h5py.File(folder / "alien.h5", "w") as alien:
        alien["x"] = 1
    with facts.refuses("another program's HDF5 file is refused", StoreError, "alien.h5", "not a promptmill store"):
        Store(folder / "alien.h5")
    shutil.copy(folder / "one.h5", folder / "hurt.h5")
    with h5py.File(folder / "hurt.h5", "r+") as hurt:
        hurt["item/first_entry"][1] = 0
    with facts.refuses("a store with a wrong link is refused", StoreError, "hurt.h5", "first_entry"):
        Store(folder / "hurt.h5")
    with h5py.File(folder / "hurt.h5", "r+") as hurt:
        hurt["item/first_entry"][1] = 3
        del hurt["image"]
        hurt["image"] = np.zeros((2, 64, 64), np.uint8)
    with facts.refuses("one with pictures of another shape is refused", StoreError, "hurt.h5", "/image", "(2, 64, 64)"):
        Store(folder / "hurt.h5")
    shard = folder / "node.h5.shard-0"
    shard.rename(folder / "kept")
    with facts.refuses("a missing shard is named", StoreError, f"{shard} is missing"):
        Store(folder / "node.h5")
    shutil.copy(folder / "one.h5", shard)
    with facts.refuses("another file in a shard's place is named", StoreError, str(shard), "not this shard"):
        Store(folder / "node.h5")


with Store(folder / "one.h5") as one, h5py.File(folder / "one.h5") as raw:
    check_content(one, raw)
    check_metrics(one)
    for name, what in ("packed.h5", "a packed store"), ("node.h5", "one of several files"):
        with Store(folder / name) as other:
            facts.check(f"{what} is read alike", everything(other) == everything(one))
    with facts.refuses("a failed edit has no picture", StoreError, "is failed"):
        one.image(next(edit for edit in one.edits if edit.state == "failed"))
check_refusals()
facts.check("settings are worded as in a sweep's ids", [label(value) for value in (
    0.8, [0.2, 0.8], {"cube": 0.4, "default": 1}, None, "direct")] == [
    "0.8", "0.2-0.8", "cube:0.4+default:1", "none", "direct"])  # fmt: skip
facts.finish()
