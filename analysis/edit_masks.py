"""Which part of a picture was meant to change, as `promptmill measure` understands it: the line's mask, with the crop
and resizing of its picture, else the edit's own blend mask."""
from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image
from promptmill_store import Entry, Store, StoreError

MAX_PIXELS = 1 << 26
HALF = 128  # of 255


def edit_mask(store: Store, entry: Entry) -> tuple[np.ndarray | None, str]:
    """@return bool [y, x] at the picture's size, or None, and where it is from: "manifest", "blend" or "none" """
    height, width = store.picture_shape
    source = store.mask_source(entry)
    if source is not None:
        picture = _from_runs(entry, source) if isinstance(source, dict) else _from_file(store, entry, source)
        return fitted(picture, entry.item.recipe, height, width) >= HALF, "manifest"
    small = store.blend_mask(entry)
    if small is None:
        return None, "none"
    rows, columns = np.arange(height) * small.shape[0] // height, np.arange(width) * small.shape[1] // width
    return small[np.ix_(rows, columns)], "blend"


def fitted(picture: Image.Image, recipe: dict[str, Any], height: int, width: int) -> np.ndarray:
    """A picture as the run has cropped and resized it (include/pm/data/image_fit.h): u8 [y, x] of a grey one."""
    cut = recipe.get("crop") or {}
    left, top = cut.get("left", 0), cut.get("top", 0)
    full_width = picture.width - left - cut.get("right", 0)
    full_height = picture.height - top - cut.get("bottom", 0)
    if full_width < 1 or full_height < 1:
        raise StoreError(f"{recipe.get('id')}: the crop leaves nothing of a mask of {picture.width}x{picture.height}")
    if full_width * height > full_height * width:
        part_width, part_height = _proportion(full_height, width, height, full_width), full_height
    else:
        part_width, part_height = full_width, _proportion(full_width, height, width, full_height)
    left, top = left + (full_width - part_width) // 2, top + (full_height - part_height) // 2
    part = picture.crop((left, top, left + part_width, top + part_height))
    return np.asarray(part.resize((width, height), Image.BICUBIC))


def _proportion(side: int, numerator: int, denominator: int, most: int) -> int:
    return min(max((side * numerator + denominator // 2) // denominator, 1), most)


def _from_runs(entry: Entry, mask: dict[str, Any]) -> Image.Image:
    """Pairs of a first pixel and a length, row by row (include/pm/data/mask.h)."""
    try:
        height, width, runs = int(mask["height"]), int(mask["width"]), np.array(mask["runs"], dtype=np.int64)
        if not (0 < height * width <= MAX_PIXELS and height > 0) or runs.ndim != 1 or len(runs) % 2:
            raise ValueError("height, width or runs are no mask's")
        starts, lengths = runs[::2], runs[1::2]
        if len(runs) and (starts.min() < 0 or lengths.min() < 0 or (starts + lengths).max() > height * width):
            raise ValueError("a run goes beyond the picture")
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise StoreError(f"{entry.item.id}: \"mask\": {error}") from error
    pixels = np.zeros(height * width, np.uint8)
    for start, length in zip(starts, lengths):
        pixels[start : start + length] = 255
    return Image.fromarray(pixels.reshape(height, width))


def _from_file(store: Store, entry: Entry, name: object) -> Image.Image:
    path = store.manifest_folder / str(name)
    try:
        with Image.open(path) as picture:
            return picture.convert("L")
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise StoreError(f"{entry.item.id}: the mask {path} cannot be read: {error}") from error
