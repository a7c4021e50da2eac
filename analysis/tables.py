#!/usr/bin/env python3
"""Means of a store's metrics with 95 % confidence intervals, as Markdown or CSV: by category, by method and by what a
sweep varied. Metrics are those of the tables beside the store (promptmill measure, network_metrics.py). What is not
a finite number is left out and counted. Intervals take into account that several edits of one picture tell less than
as many of several pictures."""
from __future__ import annotations

import argparse
import contextlib
import csv
import html
import itertools
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from means import Mean, mean
from metric_names import in_order, metric
from promptmill_store import Metrics, Store, label
from store_error import StoreError, exit_status

ALL = "all"
MARKDOWN_METRICS = 6


@dataclass(frozen=True)
class Edit:
    """What a table needs to know of an edit."""

    settings: dict[str, str]
    picture: str  # that it is an edit of: its file, or its line of the manifest
    metrics: dict[str, float]


@dataclass(frozen=True)
class Row:
    group: tuple[str, ...]  # a value for each key
    edits: int
    means: dict[str, Mean]


def read(paths: list[str], keys: list[str] | None, tables: list[str] | None,
         of_sources: bool) -> tuple[list[str], list[Edit]]:  # fmt: skip
    """The edits that are done, of all stores, or their sources.

    @param keys  settings as Store.setting takes them, "store" too; None: those of which there are several values
    @return the keys, and the edits"""
    if len({Path(path).name for path in paths}) < len(paths):
        raise StoreError("two of the stores have the same name: their rows could not be told apart")
    edits: list[Edit] = []
    found: list[str] = ["store", "category", "inversion"] if keys is None else keys
    with contextlib.ExitStack() as stack:
        stores = [stack.enter_context(Store(path)) for path in paths]
        if keys is None:
            found += sorted({key for store in stores for key in store.swept})
        for store in stores:
            edits += _edits_of(store, found, store.metrics(tables), of_sources)
    if keys is None:
        several = [key for key in found if len({edit.settings[key] for edit in edits}) > 1]
        found = several or ["category"]
    return found, edits


def _edits_of(store: Store, keys: list[str], metrics: Metrics, of_sources: bool) -> Iterator[Edit]:
    for entry in store.entries:
        if entry.state == "done" and entry.is_source == of_sources:
            settings = {key: label(store.setting(entry, key)) for key in keys if key != "store"}
            picture = entry.item.recipe.get("image") or f"{store.path.name}:{entry.item.line}"
            measured = dict(zip(metrics.names, metrics.values[entry.number].tolist()))
            yield Edit(settings | {"store": store.path.stem}, str(picture), measured)


def summarise(edits: list[Edit], keys: list[str], names: list[str]) -> list[Row]:
    """A row for each combination of values that there is; where the category is among the keys, all categories
    together as well, else all edits."""
    groups: dict[tuple[str, ...], list[Edit]] = {}
    joined = keys.index("category") if "category" in keys else 0
    for edit in edits:
        group = tuple(edit.settings[key] for key in keys)
        groups.setdefault(group, []).append(edit)
        if len(keys) == 1 or keys[joined] == "category":
            groups.setdefault((*group[:joined], ALL, *group[joined + 1 :]), []).append(edit)
    return [_row(group, groups[group], names) for group in sorted(groups, key=lambda group: [*map(_sort_key, group)])]


def _row(group: tuple[str, ...], edits: list[Edit], names: list[str]) -> Row:
    pictures = [edit.picture for edit in edits]
    means = {name: mean([edit.metrics.get(name, math.nan) for edit in edits], pictures) for name in names}
    return Row(group, len(edits), means)


def measured_names(edits: list[Edit]) -> list[str]:
    known = dict.fromkeys(itertools.chain.from_iterable(edit.metrics for edit in edits))
    return [name for name in in_order(list(known)) if any(math.isfinite(e.metrics.get(name, math.nan)) for e in edits)]


def markdown(rows: list[Row], keys: list[str], names: list[str]) -> Iterator[str]:
    yield _markdown_row([*keys, "edits", *(metric(name).heading for name in names)])
    yield "|" + "---|" * len(keys) + "--:|" * (len(names) + 1)
    for row in rows:
        yield _markdown_row([*row.group, str(row.edits), *(_cell(name, row) for name in names)])
    yield ""
    yield "Mean ± half of the 95 % confidence interval; (n): of so many edits, where others have no finite value."


def write_csv(file: TextIO, rows: list[Row], keys: list[str], names: list[str]) -> None:
    """One line for each group and metric."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*keys, "metric", "mean", "low_95", "high_95", "edits", "left_out"])
    for row in rows:
        for name in names:
            m = row.means[name]
            bounds = (m.value, m.value - m.half_width, m.value + m.half_width)
            writer.writerow([*row.group, name, *(f"{bound:.9g}" for bound in bounds), m.count, m.left_out])


def _sort_key(value: str) -> tuple[int, float, str]:
    """Numbers by size, then words, then the sum."""
    try:
        return 0, float(value), ""
    except ValueError:
        return (2 if value == ALL else 1), 0.0, value


def _cell(name: str, row: Row) -> str:
    m, worded = row.means[name], metric(name).worded
    if m.count == 0:
        return "–"
    width = f" ± {worded(m.half_width)}" if math.isfinite(m.half_width) else ""
    return f"{worded(m.value)}{width}{f' ({m.count})' if m.count < row.edits else ''}"


def _markdown_row(cells: list[str]) -> str:
    plain = [html.escape(" ".join(cell.split()), quote=False).replace("|", "\\|") for cell in cells]
    return f"| {' | '.join(plain)} |"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tables.py", description=__doc__)
    parser.add_argument("stores", nargs="+", metavar="STORE")
    parser.add_argument("--by", metavar="KEYS",
                        help="settings, separated by commas: store, category, inversion, a manifest's key, meta.KEY "
                        "(default: the first three and what a sweep varied, as far as there are several values)")
    parser.add_argument("--metrics", metavar="NAMES",
                        help="columns of the tables, separated by commas (default: of Markdown, those that tell most)")
    parser.add_argument("--as", dest="form", choices=("markdown", "csv"), default="markdown")
    parser.add_argument("--reconstructions", action="store_true", help="of real pictures, instead of edits")
    parser.add_argument("--table", action="append", metavar="FILE",
                        help="of one store, instead of the tables beside it; may be given again")  # fmt: skip
    arguments = parser.parse_args()
    if arguments.table and len(arguments.stores) > 1:
        parser.error("--table goes with one store: each has tables of its own")
    return arguments


def run(arguments: argparse.Namespace) -> None:
    asked = arguments.by.split(",") if arguments.by else None
    keys, edits = read(arguments.stores, asked, arguments.table, arguments.reconstructions)
    names = [name for name in measured_names(edits) if not (arguments.reconstructions and name.startswith("truth_"))]
    if not names:
        raise StoreError(f"{', '.join(arguments.stores)}: nothing is measured yet; `promptmill measure STORE` does it")
    if arguments.metrics:
        wanted = arguments.metrics.split(",")
        for name in wanted:
            if name not in names:
                raise StoreError(f"there is no metric {name!r} with a finite value; there are {', '.join(names)}")
        names = wanted
    elif arguments.form == "markdown":
        names = names[:MARKDOWN_METRICS]
    rows = summarise(edits, keys, names)
    if arguments.form == "csv":
        write_csv(sys.stdout, rows, keys, names)
    else:
        print("\n".join(markdown(rows, keys, names)))


def main() -> None:
    run(parse())


if __name__ == "__main__":
    sys.exit(exit_status(main))
