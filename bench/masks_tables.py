"""How well masks of attention cover what is there: mean intersection over union, by word and by method.

    bench/masks_tables.py CASES NAME=FOLDER...

CASES is what masks_cases.py has written; each FOLDER is what `promptmill export --as masks` has made of a run on its
manifest. A word's IoU in a picture is of its mask (annotations.json, decoded) with its truth; pictures in which the
truth is empty are left out. A class is a word; its number is the mean over its pictures, and "mIoU" the mean over
classes. ± is half of the 95 % interval over pictures (bootstrap, 2000 resamples).
"""
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

PLACES = {"meadow", "desert", "snow", "road", "water"}
RESAMPLES = 2000


def decode(segmentation: dict) -> np.ndarray:
    """COCO's compressed RLE. Source: cocodataset/cocoapi, common/maskApi.c, rleFrString."""
    height, width = segmentation["size"]
    counts: list[int] = []
    value = shift = 0
    for code in segmentation["counts"].encode():
        code -= 48
        value |= (code & 0x1F) << shift
        shift += 5
        if code & 0x20:
            continue
        if code & 0x10:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    flat = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return flat.reshape(width, height).T


def overlaps(cases: Path, folder: Path) -> dict[tuple[str, str], float]:
    """IoU by case and word."""
    found = json.loads((folder / "annotations.json").read_text())
    case_of = {image["id"]: image["promptmill_id"] for image in found["images"]}
    masks = {(case_of[one["image_id"]], one["word"]): decode(one["segmentation"]) for one in found["annotations"]}
    result = {}
    for line in map(json.loads, (cases / "manifest.jsonl").read_text().splitlines()):
        truth = np.asarray(Image.open(cases / "truth" / f"{line['id']}.png"))
        if line["id"] not in case_of.values():
            sys.exit(f"masks_tables.py: {folder} lacks the case {line['id']}")
        for number, word in enumerate(line["meta"]["words"], 1):
            wanted = truth == number
            if not wanted.any():
                continue
            mask = masks.get((line["id"], word), np.zeros_like(wanted))
            result[line["id"], word] = float((mask & wanted).sum() / (mask | wanted).sum())
    return result


def mean_over_classes(values: np.ndarray, classes: np.ndarray, weights: np.ndarray) -> float:
    """@param weights  how often each value counts"""
    sums, counts = np.bincount(classes, values * weights), np.bincount(classes, weights)
    there = counts > 0
    return float((sums[there] / counts[there]).mean())


def with_interval(found: dict[tuple[str, str], float]) -> str:
    cases, case_of = np.unique([case for case, _ in found], return_inverse=True)
    _, classes = np.unique([word for _, word in found], return_inverse=True)
    values = np.array(list(found.values()))
    chances = np.random.default_rng(1)
    means = []
    for _ in range(RESAMPLES):
        drawn = np.bincount(chances.integers(0, len(cases), len(cases)), minlength=len(cases))
        means.append(mean_over_classes(values, classes, drawn[case_of].astype(float)))
    low, high = np.percentile(means, [2.5, 97.5])
    return f"{mean_over_classes(values, classes, np.ones(len(values))):.3f} ± {(high - low) / 2:.3f}"


def of_kind(found: dict[tuple[str, str], float], places: bool, alone: set[str] | None = None) -> dict:
    return {key: value for key, value in found.items()
            if (key[1] in PLACES) == places and (alone is None or key[0] in alone)}  # fmt: skip


def main() -> None:
    cases = Path(sys.argv[1])
    methods = dict(argument.split("=", 1) for argument in sys.argv[2:])
    found = {name: overlaps(cases, Path(folder)) for name, folder in methods.items()}
    lines = [json.loads(line) for line in (cases / "manifest.jsonl").read_text().splitlines()]
    alone = {line["id"] for line in lines if len(line["meta"]["words"]) == 2}
    pairs = {line["id"] for line in lines} - alone
    print("| method | objects | of these alone | one of two | places |\n|---|--:|--:|--:|--:|")
    for name, of in found.items():
        groups = of_kind(of, False), of_kind(of, False, alone), of_kind(of, False, pairs), of_kind(of, True)
        print(f"| {name} | " + " | ".join(with_interval(group) for group in groups) + " |")
    words = sorted({word for of in found.values() for _, word in of}, key=lambda word: (word in PLACES, word))
    print("\n| word | pictures | " + " | ".join(found) + " |\n|---|--:|" + "--:|" * len(found))
    for word in words:
        columns = [[value for (_, own), value in of.items() if own == word] for of in found.values()]
        print(f"| {word} | {len(columns[0])} | " + " | ".join(f"{np.mean(column):.3f}" for column in columns) + " |")


if __name__ == "__main__":
    main()
