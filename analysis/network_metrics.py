#!/usr/bin/env python3
"""Metrics that need a network, of every finished edit of a store and of reconstructions of real pictures, as a table
beside it in the form of `promptmill measure`: edits.network-metrics.csv.

    --clip FOLDER                    CLIP scores and similarities; published numbers are clip-vit-large-patch14's
    --squeezenet FILE --lpips FILE   LPIPS: squeezenet1_1-b8a52dc0.pth and the lpips package's weights/v0.1/squeeze.pth
    --dino FILE                      structure distance: dino_vitbase8_pretrain.pth

Weights are read from these files; nothing is ever downloaded. docs/analysis.md says what each number is."""
from __future__ import annotations

import argparse
import csv
import itertools
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from edit_masks import edit_mask
from metric_tables import NETWORKS
from promptmill_store import FLAG_REAL_PICTURE, Entry, Store, label
from store_error import StoreError, exit_status

SECONDS_BETWEEN_WORDS = 10
CLIP_COLUMNS = ("clip_similarity_source_image", "clip_similarity_target_image",
                "clip_similarity_target_image_edit_part", "clip_sim_0", "clip_sim_1", "clip_sim_dir",
                "clip_sim_image")  # fmt: skip
LPIPS_COLUMNS = ("lpips", "lpips_unedit_part")
DINO_COLUMNS = ("structure_distance",)


class Batch:
    """Some edits: their pictures, masks and prompts."""

    def __init__(self, store: Store, entries: list[Entry]) -> None:
        self.entries = entries
        items = list({entry.item.number: entry for entry in entries}.values())
        self.originals = np.stack([store.original(entry) for entry in items])
        numbers = [entry.item.number for entry in items]
        self.original_of = [numbers.index(entry.item.number) for entry in entries]
        self.pictures = np.stack([store.image(entry) for entry in entries])
        self.sources = [store.source(entry).prompt for entry in entries]
        self.prompts = [entry.prompt for entry in entries]
        masks = [edit_mask(store, entry) for entry in entries]
        self.mask_kinds = [kind for _, kind in masks]
        self.masks = [mask for mask, _ in masks]

    def part(self, pictures: np.ndarray, is_edited: bool) -> tuple[list[int], np.ndarray]:
        """Those with a mask that has such pixels, black elsewhere: their numbers in the batch, and the pictures."""
        parts = {i: mask == is_edited for i, mask in enumerate(self.masks) if mask is not None}
        kept = {i: pictures[i] * part[..., None] for i, part in parts.items() if part.any()}
        return list(kept), np.stack([*kept.values()]) if kept else np.empty((0, *pictures.shape[1:]), np.uint8)


def clip_columns(clip: Any, batch: Batch) -> dict[str, np.ndarray]:
    from networks import clip_score, clip_similarities

    text_0, text_1 = clip.of_texts(batch.sources), clip.of_texts(batch.prompts)
    original = clip.of_processed(batch.originals)[batch.original_of]
    columns = {
        "clip_similarity_source_image": clip_score(original, text_0),
        "clip_similarity_target_image": clip_score(clip.of_processed(batch.pictures), text_1),
    }
    edited, pictures = batch.part(batch.pictures, is_edited=True)
    scores = clip_score(clip.of_processed(pictures), text_1[edited]) if edited else []
    image_0 = clip.of_interpolated(batch.originals)[batch.original_of]
    columns |= clip_similarities(image_0, clip.of_interpolated(batch.pictures), text_0, text_1)
    found = {name: column.cpu().numpy() for name, column in columns.items()}
    return found | {"clip_similarity_target_image_edit_part": spread(scores, edited, len(batch.entries))}


def lpips_columns(lpips: Any, batch: Batch) -> dict[str, np.ndarray]:
    originals = batch.originals[batch.original_of]
    unedited, pictures = batch.part(batch.pictures, is_edited=False)
    distances = lpips.distance(pictures, batch.part(originals, is_edited=False)[1]) if unedited else []
    return {"lpips": lpips.distance(batch.pictures, originals).cpu().numpy(),
            "lpips_unedit_part": spread(distances, unedited, len(batch.entries))}  # fmt: skip


def dino_columns(dino: Any, batch: Batch) -> dict[str, np.ndarray]:
    of_originals = dino.self_similarity(batch.originals)[batch.original_of]
    return {"structure_distance": dino.distance(dino.self_similarity(batch.pictures), of_originals).cpu().numpy()}


def spread(values: Any, places: list[int], count: int) -> np.ndarray:
    """At their places, among NaN."""
    column = np.full(count, np.nan)
    for place, value in zip(places, values):
        column[place] = float(value)
    return column


def measurable(store: Store) -> list[Entry]:
    """Finished edits of finished sources, and reconstructions of real pictures, as `promptmill measure` has them."""
    if not store.has_images:
        raise StoreError(f'{store.path} has no pictures: its config has "images": false')
    return [entry for entry in store.entries if entry.state == store.source(entry).state == "done"
            and (not entry.is_source or entry.flags & FLAG_REAL_PICTURE)]  # fmt: skip


def rows(store: Store, entries: list[Entry], networks: list[tuple[Any, Any]], size: int) -> Iterator[list[Any]]:
    """A row of the table for each."""
    import torch

    begin = spoken = time.monotonic()
    for first in range(0, len(entries), size):
        batch = Batch(store, entries[first : first + size])
        columns: dict[str, np.ndarray] = {}
        with torch.inference_mode():
            for columns_of, network in networks:
                columns |= columns_of(network, batch)
        names = header(networks)[5:]
        for i, entry in enumerate(batch.entries):
            category = store.setting(entry, "meta.category")
            yield [entry.number, entry.item.id, entry.target, "" if category is None else label(category),
                   batch.mask_kinds[i], *(f"{columns[name][i]:.9g}" for name in names)]  # fmt: skip
        done, now = first + len(batch.entries), time.monotonic()
        if now - spoken > SECONDS_BETWEEN_WORDS:
            spoken = now
            left = (now - begin) / done * (len(entries) - done)
            print(f"{done}/{len(entries)} pictures, {left / 60:.0f} min left", file=sys.stderr)


def header(networks: list[tuple[Any, Any]]) -> list[str]:
    columns = {clip_columns: CLIP_COLUMNS, lpips_columns: LPIPS_COLUMNS, dino_columns: DINO_COLUMNS}
    measured = itertools.chain.from_iterable(columns[columns_of] for columns_of, _ in networks)
    return ["entry", "id", "target", "category", "mask", *measured]


def load(arguments: argparse.Namespace, shape: tuple[int, int]) -> list[tuple[Any, Any]]:
    """Each network with what makes columns of it."""
    try:
        import networks
    except ImportError as error:
        raise StoreError(f"{error}: pip install -r analysis/requirements.txt brings what is needed") from error
    loaded: list[tuple[Any, Any]] = []
    if arguments.clip:
        loaded.append((clip_columns, networks.Clip(arguments.clip, arguments.device)))
    if arguments.lpips:
        loaded.append((lpips_columns, networks.Lpips(arguments.squeezenet, arguments.lpips, arguments.device)))
    if arguments.dino:
        if shape[0] != shape[1]:
            raise StoreError(f"structure distance is of square pictures, these are {shape[1]}x{shape[0]}: no --dino")
        loaded.append((dino_columns, networks.Dino(arguments.dino, arguments.device)))
    return loaded


def write(path: Path, table: Iterator[list[Any]]) -> int:
    """Whole or not at all. @return how many rows it has, without the header"""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    count = -1
    try:
        with open(partial, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            for row in table:
                writer.writerow(row)
                count += 1
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return count


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="network_metrics.py", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("store", metavar="STORE")
    for name in ("clip", "squeezenet", "lpips", "dino"):
        parser.add_argument(f"--{name}", type=Path, metavar="FOLDER" if name == "clip" else "FILE")
    parser.add_argument("--out", type=Path, metavar="FILE", help=f"default: the store's name with {NETWORKS} for .h5")
    parser.add_argument("--batch", type=int, default=16, metavar="N", help="pictures at a time (default: 16)")
    parser.add_argument("--device", default="cpu", help="PyTorch's name of one: cpu (default), cuda")
    arguments = parser.parse_args()
    if not (arguments.clip or arguments.lpips or arguments.dino):
        parser.error("one of --clip, --lpips and --dino is needed")
    if bool(arguments.lpips) != bool(arguments.squeezenet):
        parser.error("--lpips and --squeezenet are two files of one metric: both are needed")
    if not 1 <= arguments.batch <= 4096:
        parser.error("--batch is from 1 to 4096")
    return arguments


def main() -> None:
    arguments = parse()
    with Store(arguments.store) as store:
        entries = measurable(store)
        if not entries:
            raise StoreError(f"{store.path} has no finished edits yet")
        networks = load(arguments, store.picture_shape)
        out = arguments.out or store.table_path(NETWORKS)
        table = rows(store, entries, networks, arguments.batch)
        count = write(out, itertools.chain([header(networks)], table))
    print(f"{out}: {count} pictures")


if __name__ == "__main__":
    sys.exit(exit_status(main))
