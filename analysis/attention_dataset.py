#!/usr/bin/env python3
"""Training data out of a store: pictures, prompts and attention maps as .npz files or as WebDataset's shards.

    analysis/attention_dataset.py STORE --as npz|webdataset [--out FOLDER] [--captures NAMES]
                                  [--heat-maps FOLDER] [--masks FOLDER] [--shard-samples N] [ID...]

Everything that is done is taken, sources and targets. A sample has

    picture      u8 [y, x, rgb]; of a real picture's source the picture itself
    NAME         for each capture of attention its maps as the store keeps them (docs/format.md), cut to the prompt's
                 tokens; numbers are multiples of the capture's "scale_factor"
    token_id, token_word    of each token its number, and which of the words it is of (-1: none)
    heat         f32 [word, y, x], with --heat-maps, what `promptmill export --as heat-maps` made of the store
    mask         u8 [y, x], with --masks, what `promptmill export --as masks` made of it
    about        JSON: id, entry, target, seed, prompt, words, tokens, captures, model, the words of heat and mask

npz: a file a sample, FOLDER/00012-ID.npz, for numpy.load. webdataset: FOLDER/000000.tar, ... with 00000012.png, .txt
(the prompt), .json (about), .npz (arrays but the pictures), .mask.png for each sample, in the store's order.
docs/attention.md tells more.
"""
from __future__ import annotations

import argparse
import io
import json
import os
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from promptmill_store import Entry, Store, StoreError


def folder_of(entry: Entry, folder: Path, ending: str) -> Path:
    """What an export has named after an entry."""
    found = sorted(folder.glob(f"{entry.number:05d}-*{ending}"))
    if len(found) != 1:
        raise StoreError(f"{folder} has {len(found)} of {entry.number:05d}-*{ending}; one is wanted: is it an export "
                         "of this store, and complete?")  # fmt: skip
    return found[0]


def check_export(store: Store, folder: Path, kind: str) -> dict[str, Any]:
    """@return how the export was made"""
    try:
        record = json.loads((folder / "export.json").read_text())
    except (OSError, ValueError) as error:
        raise StoreError(f"{folder} is no export: {error}") from error
    if record.get("format") != kind:
        raise StoreError(f"{folder} is an export as {record.get('format')}, not as {kind}")
    if record.get("store") != store.attributes["run_uuid"]:
        raise StoreError(f"{folder} is an export of another store than {store.path}")
    return record.get("settings", {})


class Samples:
    """The samples of a store, one after the other."""

    def __init__(self, store: Store, arguments: argparse.Namespace) -> None:
        self.store, self.heat, self.masks = store, arguments.heat_maps, arguments.masks
        self.captures = sorted(store.captures) if arguments.captures is None else arguments.captures.split(",")
        for name in self.captures:
            if name and name not in store.captures:
                raise StoreError(f"{store.path} has no capture {name!r}; there are {', '.join(store.captures)}")
        self.captures = [name for name in self.captures if name]
        self.settings = {}
        if self.heat:
            self.settings["heat"] = check_export(store, self.heat, "heat-maps")
        if self.masks:
            self.settings["mask"] = check_export(store, self.masks, "masks")
        unknown = set(arguments.ids) - {item.id for item in store.items}
        if unknown:
            raise StoreError(f"{store.path} has no id {sorted(unknown)[0]!r}")
        self.entries = [entry for entry in store.entries
                        if entry.state == "done" and (not arguments.ids or entry.item.id in arguments.ids)]  # fmt: skip

    def __iter__(self) -> Iterator[tuple[Entry, dict[str, np.ndarray], dict[str, Any]]]:
        for entry in self.entries:
            yield entry, self.arrays(entry), self.about(entry)

    def arrays(self, entry: Entry) -> dict[str, np.ndarray]:
        store = self.store
        picture = store.original(entry) if entry.is_source else store.image(entry)
        arrays = {"picture": picture, "token_id": store.token_ids(entry), "token_word": store.token_words(entry)}
        for name in self.captures:
            arrays[name] = store.maps(entry, name)
        if self.heat:
            arrays["heat"] = np.load(folder_of(entry, self.heat, "") / "heat.npy", allow_pickle=False)
        if self.masks:
            with Image.open(folder_of(entry, self.masks / "masks", ".png")) as mask:
                arrays["mask"] = np.asarray(mask)
        return arrays

    def about(self, entry: Entry) -> dict[str, Any]:
        store = self.store
        about = {"id": entry.item.id, "entry": entry.number, "target": entry.target, "seed": entry.item.seed,
                 "prompt": entry.prompt, "words": store.words(entry), "tokens": store.tokens(entry),
                 "captures": {name: store.captures[name] for name in self.captures},
                 "model_hash": store.attributes["model_hash"], "run_uuid": store.attributes["run_uuid"],
                 "meta": entry.item.recipe.get("meta", {}), "settings": self.settings}  # fmt: skip
        if self.heat:
            record = folder_of(entry, self.heat, "") / "words.json"
            about["heat_words"] = [word["word"] for word in json.loads(record.read_text())["words"]]
        return about


def write_whole(path: Path, data: bytes) -> None:
    """The file appears when it is whole."""
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(data)
    os.replace(partial, path)


def npz_of(arrays: dict[str, np.ndarray]) -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)
    return out.getvalue()


def png_of(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, format="PNG")
    return out.getvalue()


def json_of(about: dict[str, Any]) -> str:
    return json.dumps(about, ensure_ascii=False, sort_keys=True)


def write_npz(samples: Samples, out: Path) -> int:
    count = 0
    for entry, arrays, about in samples:
        safe = "".join(c if c.isascii() and (c.isalnum() or c in "._-+=,") else "_" for c in entry.item.id)[:96]
        write_whole(out / f"{entry.number:05d}-{safe}.npz", npz_of(arrays | {"about": np.array(json_of(about))}))
        count += 1
    return count


def write_shards(samples: Samples, out: Path, shard_samples: int) -> int:
    """The same samples make the same bytes."""
    shard: tarfile.TarFile | None = None
    path = Path()
    count = 0

    def add(name: str, data: bytes) -> None:
        member = tarfile.TarInfo(name)
        member.size = len(data)
        shard.addfile(member, io.BytesIO(data))

    def finish() -> None:
        shard.close()
        os.replace(path.with_name(path.name + ".partial"), path)

    for entry, arrays, about in samples:
        if count % shard_samples == 0:
            if shard:
                finish()
            path = out / f"{count // shard_samples:06d}.tar"
            shard = tarfile.open(path.with_name(path.name + ".partial"), "w", format=tarfile.USTAR_FORMAT)
        key = f"{entry.number:08d}"
        add(f"{key}.png", png_of(arrays.pop("picture")))
        if "mask" in arrays:
            add(f"{key}.mask.png", png_of(arrays.pop("mask")))
        add(f"{key}.txt", entry.prompt.encode())
        add(f"{key}.json", json_of(about).encode())
        add(f"{key}.npz", npz_of(arrays))
        count += 1
    if shard:
        finish()
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", metavar="STORE")
    parser.add_argument("ids", nargs="*", metavar="ID", help="these lines only")
    parser.add_argument("--as", dest="kind", required=True, choices=("npz", "webdataset"))
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="default: edits.npz or edits.webdataset of edits.h5")
    parser.add_argument("--captures", metavar="NAMES", help="with commas between; '': none (default: all)")
    parser.add_argument("--heat-maps", type=Path, metavar="FOLDER", help="of promptmill export --as heat-maps")
    parser.add_argument("--masks", type=Path, metavar="FOLDER", help="of promptmill export --as masks")
    parser.add_argument("--shard-samples", type=int, metavar="N", help="samples of a shard (default: 1000)")
    arguments = parser.parse_args()
    if arguments.shard_samples is not None and arguments.kind == "npz":
        parser.error("--shard-samples is without effect on npz")
    if arguments.shard_samples is not None and arguments.shard_samples < 1:
        parser.error(f"--shard-samples {arguments.shard_samples}: at least 1")
    try:
        with Store(arguments.store) as store:
            samples = Samples(store, arguments)
            out = arguments.out or store.table_path(f".{arguments.kind}")
            out.mkdir(parents=True, exist_ok=True)
            if arguments.kind == "npz":
                count = write_npz(samples, out)
            else:
                count = write_shards(samples, out, arguments.shard_samples or 1000)
            left = sum(entry.state != "done" for entry in store.entries)
            print(f"{out}: {count} samples" + (f"; {left} left out: not done" if left else ""))
    except (StoreError, OSError) as error:
        print(f"attention_dataset.py: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
