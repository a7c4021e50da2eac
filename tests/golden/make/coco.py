"""Masks as pycocotools encodes them.

    venv/bin/python tests/golden/make/coco.py    # writes tests/golden/data/coco.*

The venv has pycocotools (requirements.txt).
"""

import json
import pathlib

import numpy as np
from pycocotools import mask as coco
from tensors import write_safetensors

OUT = pathlib.Path(__file__).resolve().parent.parent / "data"


def cases():
    random = np.random.default_rng(7)
    yield "empty", np.zeros((5, 7), np.uint8)
    yield "full", np.ones((6, 3), np.uint8)
    yield "first-pixel", (np.arange(35).reshape(5, 7) == 0).astype(np.uint8)
    yield "last-pixel", (np.arange(35).reshape(5, 7) == 34).astype(np.uint8)
    yield "noise", (random.random((37, 23)) < 0.5).astype(np.uint8)
    y, x = np.mgrid[0:200, 0:301]
    yield "disk", ((y - 90) ** 2 + (x - 170) ** 2 < 80**2).astype(np.uint8)
    long = np.zeros((400, 60), np.uint8)
    long[:, 59] = 1
    long[3, 2] = 1
    yield "long-runs", long


def main():
    tensors, description = {}, {}
    for name, mask in cases():
        rle = coco.encode(np.asfortranarray(mask))
        tensors[f"{name}.mask"] = mask
        description[name] = {"size": rle["size"], "counts": rle["counts"].decode(), "area": int(coco.area(rle)),
                             "bbox": [int(side) for side in coco.toBbox(rle)]}  # fmt: skip
    write_safetensors(OUT / "coco.safetensors", tensors)
    (OUT / "coco.json").write_text(json.dumps(description, indent=1) + "\n")


if __name__ == "__main__":
    main()
