"""What export and analysis/attention_dataset.py have made of a store, held against what h5py reads of it.

    check_attention_dataset.py FOLDER      dataset.h5 and what test_attention_dataset.sh has made of it
"""
import io
import json
import re
import sys
import tarfile
from pathlib import Path

import facts
import h5py
import numpy as np
from PIL import Image

sys.path.insert(0, "bench")
from masks_tables import decode  # noqa: E402

folder = Path(sys.argv[1])
raw = h5py.File(folder / "dataset.h5")
DONE = np.flatnonzero(raw["entry"]["state"] == 1)
STEPS = 2


def words_of(entry):
    return list(raw["prompt/word"].asstr()[entry][: raw["prompt/word_count"][entry]])


def columns_of(entry, word):
    return np.flatnonzero(raw["prompt/token_word"][entry] == words_of(entry).index(word))


def folder_of(name, entry):
    return next((folder / name).glob(f"{entry:05d}-*"))


def check_heat_maps():
    named = {entry: json.loads((folder_of("heat", entry) / "words.json").read_text()) for entry in DONE}
    wanted = [["mushroom", "snow"], ["fish", "meadow"], ["ball", "road"], ["road", "cube"]]
    found = [[word["word"] for word in one["words"]] for one in named.values()]
    facts.check("words are those that the line names and the prompt has", found == wanted, found)
    facts.check("the best captures are taken", named[0]["settings"]["maps"] == ["cross"], named[0]["settings"])
    same = all(word["tokens"] == columns_of(entry, word["word"]).tolist()
               for entry, one in named.items() for word in one["words"])  # fmt: skip
    facts.check("tokens are those of the words", same)
    files = sorted(path.name for path in folder_of("heat", 0).iterdir())
    facts.check("a folder has the picture, numbers, and two pictures a word", files == [
        "01-mushroom.overlay.png", "01-mushroom.png", "02-snow.overlay.png", "02-snow.png", "heat.npy", "picture.png",
        "words.json"], files)  # fmt: skip
    heat = np.load(folder_of("heat", 0) / "heat.npy")
    facts.check("heat maps are of the latent's size", heat.shape == (2, 16, 16) and heat.dtype == np.float32, heat.shape)
    grey = np.asarray(Image.open(folder_of("heat", 0) / "01-mushroom.png"))
    facts.check("a grey picture goes from 0 to 255", (grey.shape, grey.min(), grey.max()) == ((64, 64), 0, 255))
    picture = np.asarray(Image.open(folder_of("heat", 1) / "picture.png"))
    facts.check("a real picture is shown itself", (picture == raw["original"][1]).all())
    all_words = json.loads((folder / "all" / "00000-plain" / "words.json").read_text())["words"]
    facts.check("where none is named, all words are taken", [word["word"] for word in all_words] == words_of(0))


def check_spread():
    """Maps, self-attention and heat are of one size, so that nothing is enlarged."""
    for entry in DONE:
        affinity = raw["attention/self"][entry].mean(axis=0).reshape(64, 64)
        affinity /= affinity.sum(axis=1, keepdims=True)
        record = json.loads((folder_of("spread", entry) / "words.json").read_text())
        heat = np.load(folder_of("spread", entry) / "heat.npy")
        for number, word in enumerate(record["words"]):
            mean = raw["attention/mean"][entry][:, :, columns_of(entry, word["word"])].mean(axis=-1).ravel()
            expected = (affinity @ affinity @ mean * STEPS).reshape(8, 8)
            if abs(heat[number] - expected).max() > 1e-5:
                facts.check("propagated heat is the mean times self-attention, twice", False, (entry, word["word"]))
                return
    facts.check("propagated heat is the mean times self-attention, twice", True)
    chosen = json.loads((folder_of("chosen", 3) / "words.json").read_text())["words"]
    phrase = [token for word in ("on", "a", "road") for token in columns_of(3, word)]
    phrase = sorted(set(phrase) - set(columns_of(3, "a"))) + list(last_article(3))
    wanted = [columns_of(3, "cube").tolist(), sorted(int(token) for token in phrase)]
    facts.check("several words can be one", [word["tokens"] for word in chosen] == wanted, chosen)


def last_article(entry):
    """The tokens of the "a" before the last word."""
    return np.flatnonzero(raw["prompt/token_word"][entry] == raw["prompt/word_count"][entry] - 2)


def check_masks():
    found = json.loads((folder / "masks" / "annotations.json").read_text())
    images = [image["id"] for image in found["images"]]
    facts.check("each picture is listed, in order", images == DONE.tolist(), images)
    names = {category["id"]: category["name"] for category in found["categories"]}
    facts.check("categories are the words", list(names.values()) == ["mushroom", "snow", "fish", "meadow", "ball",
                                                                     "road", "cube"], names)  # fmt: skip
    numbers = [one["id"] for one in found["annotations"]]
    facts.check("annotations are numbered from 1", numbers == list(range(1, len(numbers) + 1)) and numbers)
    right = True
    for image in found["images"]:
        with Image.open(folder / "masks" / "masks" / Path(image["file_name"]).name) as opened:
            mode, index = opened.mode, np.asarray(opened)
        right = right and mode == "P" and (folder / "masks" / image["file_name"]).exists()
        words = json.loads(raw["item/recipe"].asstr()[raw["prompt/item"][image["id"]]])["meta"]["words"]
        own = [one for one in found["annotations"] if one["image_id"] == image["id"]]
        rest = index != 0
        for one in own:
            mask = decode(one["segmentation"])
            y, x = np.nonzero(mask)
            box = [x.min(), y.min(), x.max() - x.min() + 1, y.max() - y.min() + 1]
            right = right and (mask == (index == words.index(one["word"]) + 1)).all() and one["area"] == mask.sum()
            right = right and one["bbox"] == box and names[one["category_id"]] == one["word"]
            rest &= ~mask
        right = right and not rest.any()
    facts.check("annotations and indexed pictures have the same pixels", right)
    overlapping = json.loads((folder / "overlapping" / "annotations.json").read_text())
    names = [category["name"] for category in overlapping["categories"]]
    facts.check("categories are in the order of --words", names == ["ball", "cube", "road", "fish"], names)
    masks = [decode(one["segmentation"]) for one in overlapping["annotations"] if one["image_id"] == 2]
    facts.check("masks that do not compete may overlap", len(masks) == 2 and (masks[0] & masks[1]).any())


def check_npz():
    right = True
    for entry in DONE:
        with np.load(next((folder / "dataset.npz").glob(f"{entry:05d}-*")), allow_pickle=False) as sample:
            about = json.loads(str(sample["about"]))
            count = raw["prompt/token_count"][entry]
            for name in raw["attention"]:
                kept = raw["attention"][name][entry]
                short = kept if name == "self" else kept[..., : len(about["words"]) if name == "steps" else count]
                right = right and (sample[name] == short).all() and sample[name].dtype == kept.dtype
            right = right and (sample["token_id"] == raw["prompt/token_id"][entry][:count]).all()
            right = right and about["prompt"] == raw["prompt/text"].asstr()[entry] and about["entry"] == entry
            right = right and (sample["heat"] == np.load(folder_of("heat", entry) / "heat.npy")).all()
            right = right and sample["heat"].shape[0] == len(about["heat_words"])
            right = right and sample["mask"].shape == sample["picture"].shape[:2] == (64, 64)
            right = right and about["captures"]["middle"]["scale_factor"] == 1 / 255
    facts.check("NumPy's files have what the store has", right)


def check_webdataset():
    shards = sorted((folder / "dataset.webdataset").iterdir())
    facts.check("shards have as many samples as asked for", [shard.name for shard in shards] == ["000000.tar", "000001.tar"])
    keys, right = [], True
    for shard in shards:
        with tarfile.open(shard) as opened:
            members = {member.name: opened.extractfile(member).read() for member in opened}
        names = [name.split(".", 1) for name in members]
        keys += dict.fromkeys(key for key, _ in names)
        for key in dict.fromkeys(key for key, _ in names):
            right = right and [ending for own, ending in names if own == key] == ["png", "mask.png", "txt", "json", "npz"]
            about = json.loads(members[f"{key}.json"])
            entry = about["entry"]
            arrays = np.load(io.BytesIO(members[f"{key}.npz"]), allow_pickle=False)
            right = right and members[f"{key}.txt"].decode() == raw["prompt/text"].asstr()[entry]
            right = right and sorted(arrays) == ["cross", "heat", "self", "token_id", "token_word"]
            right = right and (arrays["self"] == raw["attention/self"][entry]).all()
            picture = raw["original"][1] if entry == 1 else raw["image"][entry]
            right = right and (np.asarray(Image.open(io.BytesIO(members[f"{key}.png"]))) == picture).all()
    facts.check("keys are the entries", keys == [f"{entry:08d}" for entry in DONE], keys)
    facts.check("samples have what the store has", right)


def check_reading():
    """What docs/reading.md shows, as it stands there."""
    blocks = re.findall(r"```python\n(.*?)```", Path("docs/reading.md").read_text(), re.S)
    seen = {}
    for block in blocks:
        exec(block.replace('"dataset.h5"', f'"{folder / "dataset.h5"}"'), seen)
    mushroom = raw["attention/cross"][0][..., columns_of(0, "mushroom")]
    facts.check("five lines read a word's maps", (seen["words"]["mushroom"] == mushroom).all() and len(blocks) == 5)
    facts.check("its axes have names", seen["axes"] == ["entry", "layer", "head", "map_y", "map_x", "token"])
    maps = seen["Maps"](folder / "dataset.h5")
    facts.check("a data set has all that is done", len(maps) == len(DONE) and maps[1][2] == "a red fish on a meadow")
    facts.check("blocks and the latent's size are said", raw["attention/middle"].attrs["blocks"] == "mid"
                and raw["attention/cross"].attrs["blocks"] == "down, up"
                and raw["attention/cross"].attrs["latent_size"].tolist() == [16, 16])  # fmt: skip


check_heat_maps()
check_spread()
check_masks()
check_npz()
check_webdataset()
check_reading()
facts.finish()
