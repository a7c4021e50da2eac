"""A promptmill store, for Python: its edits, settings, pictures, maps and metrics.

    from promptmill_store import Store

    with Store("edits.h5") as store:
        for edit in store.edits:
            if edit.state == "done":
                show(store.original(edit), store.image(edit), store.setting(edit, "cross_replace_steps"))

docs/format.md says what a store is. This reads one that a run is still writing, a packed one, and one of several
files alike: plans and rows when it is opened, pictures and maps when they are asked for. What was not done then
stays so until it is opened again. Nothing is ever written.

StoreError says what is wrong with a file, in a sentence with its name.
"""
from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from metric_tables import Metrics, read_tables, tables_beside
from store_error import StoreError

os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")  # a run may hold the store open; read before h5py is loaded
import h5py  # noqa: E402

FORMAT, FORMAT_VERSION = "promptmill store", 1
STATES = ("pending", "done", "failed")
FLAG_BLEND_MASK, FLAG_REAL_PICTURE = 1, 2
NO_INVERSION = "from noise"


@dataclass(frozen=True)
class Item:
    """A line of the manifest, under one setting of the sweep if there is one."""

    number: int
    id: str
    line: int  # of the manifest, from 1: the same for all settings of a sweep
    seed: int
    first_entry: int
    recipe_json: str = field(repr=False)

    @cached_property
    def recipe(self) -> dict[str, Any]:
        """The line with every default filled in (docs/manifest.md)."""
        try:
            recipe = json.loads(self.recipe_json)
        except (ValueError, RecursionError):
            recipe = None
        if not isinstance(recipe, dict):
            raise StoreError(f"the recipe of {self.id} is not a JSON object; `promptmill verify` tells what is damaged")
        return recipe


@dataclass(frozen=True)
class Entry:
    """A picture: a source, or an edit of one."""

    number: int
    item: Item
    target: int  # of the item's targets, from 0; -1: the source
    prompt: str
    state: str  # of STATES
    message: str  # why it failed, else empty
    flags: int
    rank: int  # rank, attempts, finished, seconds and host mean nothing while it is pending
    attempts: int
    finished: int  # seconds since 1970, UTC
    seconds: float
    host: str

    @property
    def is_source(self) -> bool:
        return self.target < 0


class Store:
    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._file = _open(self.path)
        try:
            _check_shards(self.path, self._file)
            self.config: dict[str, Any] = json.loads(self._file.attrs["config"])
            self.items = _read_items(self._file)
            self.entries = _read_entries(self._file, self.items)
            self._check_links()
            self._check_shapes()
        except (KeyError, ValueError, TypeError, IndexError, RecursionError, OSError) as error:
            self._file.close()
            raise StoreError(f"{self.path} is damaged or no whole store: {error}") from error
        except StoreError:
            self._file.close()
            raise

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def attributes(self) -> dict[str, Any]:
        """The file's: software, created, model, … (docs/format.md)"""
        return dict(self._file.attrs)

    @property
    def edits(self) -> list[Entry]:
        return [entry for entry in self.entries if not entry.is_source]

    @property
    def has_images(self) -> bool:
        return "image" in self._file

    @property
    def picture_shape(self) -> tuple[int, int]:
        """Height and width in pixels; 1, 1 of a store without pictures."""
        return tuple(self._file["image"].shape[1:3]) if self.has_images else (1, 1)

    @cached_property
    def swept(self) -> list[str]:
        """The settings that the config's sweep varies, as `setting` takes them."""
        sweep = self.config.get("sweep")
        return sorted(sweep) if isinstance(sweep, dict) else []

    def source(self, entry: Entry) -> Entry:
        return self.entries[entry.item.first_entry]

    def image(self, entry: Entry) -> np.ndarray:
        """The picture of an entry that is done: u8 [y, x, rgb]."""
        self._check_done(entry)
        return self._row("image", entry.number)

    def original(self, entry: Entry) -> np.ndarray:
        """What was edited, a real picture or the source made from noise: u8 [y, x, rgb]."""
        source = self.source(entry)
        if not source.flags & FLAG_REAL_PICTURE:
            return self.image(source)
        self._check_done(source)
        return self._row("original", entry.item.number)

    def reconstruction_psnr(self, entry: Entry) -> float:
        """Of the source against its real picture, dB; NaN of one made from noise, or not done."""
        source = self.source(entry)
        if source.state != "done" or not source.flags & FLAG_REAL_PICTURE:
            return float("nan")
        return float(self._row("reconstruction/psnr", entry.item.number))

    def blend_mask(self, entry: Entry) -> np.ndarray | None:
        """Where local blend let the edit through: bool [latent_y, latent_x]; None: it has none."""
        self._check_done(entry)
        return self._row("blend_mask", entry.number) != 0 if entry.flags & FLAG_BLEND_MASK else None

    def words(self, entry: Entry) -> list[str]:
        count = int(self._row("prompt/word_count", entry.number))
        return [_text(word) for word in self._row("prompt/word", entry.number)[:count]]

    def tokens(self, entry: Entry) -> list[str]:
        """With begin and end."""
        count = int(self._row("prompt/token_count", entry.number))
        return [_text(token) for token in self._row("prompt/token", entry.number)[:count]]

    def token_ids(self, entry: Entry) -> np.ndarray:
        return self._row("prompt/token_id", entry.number)[: len(self.tokens(entry))]

    def token_words(self, entry: Entry) -> np.ndarray:
        """Which of the words each token is of; -1: none."""
        return self._row("prompt/token_word", entry.number)[: len(self.tokens(entry))]

    @cached_property
    def captures(self) -> dict[str, dict[str, Any]]:
        """By name, what docs/format.md says of each dataset of attention: its attributes, and "axes"."""
        group = self._file.get("attention")
        return {name: {"axes": [axis.label for axis in data.dims][1:]}
                | {key: _plain(value) for key, value in data.attrs.items() if key != "DIMENSION_LABELS"}
                for name, data in (group.items() if isinstance(group, h5py.Group) else ())}  # fmt: skip

    def maps(self, entry: Entry, capture: str) -> np.ndarray:
        """One capture's maps as they are kept, the last axis no longer than the prompt's tokens or words."""
        self._check_done(entry)
        last = self.captures[capture]["axes"][-1]
        maps = self._row(f"attention/{capture}", entry.number)
        if last == "key":
            return maps
        return maps[..., : len(self.words(entry) if last == "word" else self.tokens(entry))]

    def word_maps(self, entry: Entry) -> list[tuple[str, np.ndarray]]:
        """For each word of the prompt how much the picture attends to it, f32 [map_y, map_x], as the mean over
        all that the capture keeps apart. Empty where the store keeps no cross-attention."""
        self._check_done(entry)
        capture = self._map_capture
        if capture is None:
            return []
        maps = self._row(capture, entry.number).astype(np.float32)
        maps = maps.mean(axis=tuple(range(maps.ndim - 3))) * self._file[capture].attrs["scale_factor"]
        words = self.words(entry)
        if _text(self._file[capture].attrs["tokens"]) == "words":
            return [(word, maps[:, :, i]) for i, word in enumerate(words)]
        word_of_token = self._row("prompt/token_word", entry.number)[: maps.shape[-1]]
        of_words = [maps[:, :, np.flatnonzero(word_of_token == i)] for i in range(len(words))]
        return [(word, of_word.mean(axis=-1)) for word, of_word in zip(words, of_words) if of_word.shape[-1]]

    def setting(self, entry: Entry, key: str) -> Any:
        """What an edit was made with: a manifest's key of its target or its line ("edit", "seed"), "id", a dotted
        path ("local_blend.threshold", "meta.photographer"), and for short

            category    the line's "meta", "category", else "-"
            inversion   the method's name; "from noise" where the picture is not real

        @return None where nothing is set"""
        recipe = entry.item.recipe
        if key == "category":
            category = _member(recipe, "meta.category")
            return "-" if category is None else category
        if key == "inversion":
            inversion = recipe.get("inversion") if recipe.get("image") else NO_INVERSION
            return inversion.get("method") if isinstance(inversion, dict) else inversion
        targets = recipe.get("targets")
        target = targets[entry.target] if isinstance(targets, list) and 0 <= entry.target < len(targets) else {}
        value = _member(target, key)
        return _member(recipe, key) if value is None else value

    def mask_source(self, entry: Entry) -> Any:
        """The line's mask as the manifest has it: a path, {"height", "width", "runs"}, or None."""
        return entry.item.recipe.get("mask")

    @property
    def manifest_folder(self) -> Path:
        """Where the manifest's paths start from."""
        return Path(str(self.config.get("manifest", ""))).parent

    def table_path(self, suffix: str) -> Path:
        """Beside the store: "edits.h5" and ".metrics.csv" make "edits.metrics.csv"."""
        name = self.path.name
        return self.path.with_name((name[:-3] if name.endswith(".h5") else name) + suffix)

    def metrics(self, paths: Sequence[str | os.PathLike[str]] | None = None) -> Metrics:
        """The tables of metrics, joined.

        @param paths  CSV or JSON Lines; None: those beside the store that are there"""
        if paths is None:
            paths = tables_beside(self.table_path)
        return read_tables([Path(path) for path in paths], [(e.item.id, e.target) for e in self.entries])

    @cached_property
    def _map_capture(self) -> str | None:
        """The capture of cross-attention with the fewest axes kept apart, after editing rather than before."""
        group = self._file.get("attention")
        captures = group.items() if isinstance(group, h5py.Group) else []
        cross = [(data.ndim, _text(data.attrs.get("when")) != "after", name) for name, data in captures
                 if _text(data.attrs.get("kind")) == "cross" and data.ndim >= 4]  # fmt: skip
        return "attention/" + min(cross)[2] if cross else None

    def _check_done(self, entry: Entry) -> None:
        if entry.state != "done":
            raise StoreError(f"{self.path}: entry {entry.number} ({entry.item.id}) is {entry.state}: it has no picture")

    def _check_links(self) -> None:
        for item, next_item in zip(self.items, [*self.items[1:], None]):
            end = next_item.first_entry if next_item else len(self.entries)
            own = self.entries[item.first_entry : end]
            wanted = [(item.number, target) for target in range(-1, len(own) - 1)]
            if not own or [(entry.item.number, entry.target) for entry in own] != wanted:
                raise StoreError(f"{self.path} is damaged: the entries of item {item.number} are not those after "
                                 f"/item/first_entry[{item.number}]")  # fmt: skip

    def _check_shapes(self) -> None:
        entries, items = len(self.entries), len(self.items)
        wanted = {"image": (entries, 4), "original": (items, 4), "blend_mask": (entries, 3)}
        wanted |= {"prompt/word": (entries, 2), "prompt/word_count": (entries, 1), "prompt/token_word": (entries, 2)}
        for name, (rows, axes) in wanted.items():
            if name not in self._file:
                continue
            shape = self._file[name].shape
            if len(shape) != axes or shape[0] != rows or axes == 4 and shape[3] != 3:
                raise StoreError(f"{self.path} is damaged: /{name} has the shape {shape}; {rows} rows are wanted")

    def _row(self, name: str, number: int) -> Any:
        try:
            return self._file[name][number]
        except (KeyError, ValueError, IndexError, OSError) as error:
            raise StoreError(f"{self.path}: row {number} of /{name} cannot be read: {error}") from error


def label(value: Any) -> str:
    """A setting in words, as in the ids of a sweep: 0.8, 0.2-0.8, cube:0.4+default:0.8, none."""
    if value is None:
        return "none"
    if isinstance(value, bool) or isinstance(value, str):
        return str(value)
    if isinstance(value, (int, float)):
        return f"{value:.15g}"
    if isinstance(value, list):
        return "-".join(label(part) for part in value)
    if isinstance(value, dict):
        return "+".join(f"{key}:{label(part)}" for key, part in value.items())
    return str(value)


def _member(value: Any, path: str) -> Any:
    """@return the member of objects that a dotted path names, or None"""
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _plain(value: Any) -> Any:
    """An attribute as JSON may have it."""
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else _text(value)


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _open(path: Path) -> h5py.File:
    try:
        opened = h5py.File(path, "r")
    except OSError as error:
        reason = "there is no such file" if not path.exists() else f"it is not an HDF5 file, or damaged ({error})"
        raise StoreError(f"{path} cannot be opened: {reason}") from error
    found, version = _text(opened.attrs.get("format")), opened.attrs.get("format_version")
    if found != FORMAT or version != FORMAT_VERSION:
        opened.close()
        what = f"is of format version {version}" if found == FORMAT else "is not a promptmill store"
        raise StoreError(f"{path} {what}; stores of version {FORMAT_VERSION} are read")
    return opened


def _check_shards(path: Path, file: h5py.File) -> None:
    """HDF5 shows zeros for a file that it does not find: entries would seem to be pending."""
    if "shard_prefix" not in file.attrs:
        return
    prefix, run = _text(file.attrs["shard_prefix"]), _text(file.attrs["run_uuid"])
    if "/" in prefix:
        raise StoreError(f"{path}: its shards lie in another folder ({prefix}); they belong beside it")
    for number in range(len(file.attrs["shard_first_item"])):
        shard = path.with_name(f"{prefix}{number}")
        if not shard.exists():
            raise StoreError(f"{shard} is missing: it belongs to {path}")
        try:
            with h5py.File(shard, "r") as opened:
                is_own = f"{run}/{number}" in opened
        except OSError as error:
            raise StoreError(f"{shard} cannot be opened: {error}") from error
        if not is_own:
            raise StoreError(f"{shard} is not this shard of {path}, but another store's or another one")


def _texts(data: h5py.Dataset) -> list[str]:
    return [_text(value) for value in data[:]]


def _read_items(file: h5py.File) -> list[Item]:
    group = file["item"]
    columns = (_texts(group["id"]), group["line"][:].tolist(), group["seed"][:].tolist(),
               group["first_entry"][:].tolist(), _texts(group["recipe"]))  # fmt: skip
    if len({len(column) for column in columns}) != 1:
        raise StoreError(f"{file.filename} is damaged: the datasets of /item are not of one length")
    return [Item(number, *row) for number, row in enumerate(zip(*columns))]


def _read_entries(file: h5py.File, items: list[Item]) -> list[Entry]:
    rows, makers = file["entry"][:], file["provenance/entry"][:]  # rows first: what they call done is written
    prompts, targets = _texts(file["prompt/text"]), file["prompt/target"][:].tolist()
    numbers = file["prompt/item"][:].tolist()
    if len({len(rows), len(makers), len(prompts), len(targets), len(numbers)}) != 1:
        raise StoreError(f"{file.filename} is damaged: /entry, /prompt and /provenance are not of one length")
    if not all(0 <= number < len(items) for number in numbers) or not (rows["state"] < len(STATES)).all():
        raise StoreError(f"{file.filename} is damaged: an entry's item or state is not one that there is")
    makers = {name: makers[name].tolist() for name in ("rank", "attempts", "finished", "seconds", "host")}
    states, flags, messages = (rows[name].tolist() for name in ("state", "flags", "message"))
    return [
        Entry(i, items[numbers[i]], targets[i], prompts[i], STATES[states[i]], _text(messages[i]), flags[i],
              makers["rank"][i], makers["attempts"][i], makers["finished"][i], makers["seconds"][i],
              _text(makers["host"][i]))
        for i in range(len(rows))
    ]  # fmt: skip
