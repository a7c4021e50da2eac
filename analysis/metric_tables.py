"""The tables of metrics beside a store, from `promptmill measure` and network_metrics.py, as numbers by entry."""
from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from store_error import StoreError

CSV, JSON_LINES, NETWORKS = ".metrics.csv", ".metrics.jsonl", ".network-metrics.csv"
NOT_METRICS = ("entry", "id", "target", "category", "mask")


@dataclass(frozen=True)
class Metrics:
    """Tables of metrics, joined. What is not measured is NaN."""

    names: list[str]
    values: np.ndarray  # f64 [entry, name]

    def of(self, name: str) -> np.ndarray:
        """f64 [entry]. An unknown name is an error that lists the known ones."""
        if name not in self.names:
            raise StoreError(f"there is no metric {name!r}; there are {', '.join(self.names) or 'none'}")
        return self.values[:, self.names.index(name)]


def tables_beside(path_of: Callable[[str], Path]) -> list[Path]:
    """Those that are there. @param path_of  makes a suffix a path"""
    own = next((suffix for suffix in (CSV, JSON_LINES) if path_of(suffix).exists()), CSV)  # they hold the same
    return [path for path in (path_of(own), path_of(NETWORKS)) if path.exists()]


def read_tables(paths: list[Path], entries: list[tuple[str, int]]) -> Metrics:
    """@param entries  each entry's id and target, which the tables must agree with"""
    columns: dict[str, np.ndarray] = {}
    for path in paths:
        for name, column in _read_table(path, entries).items():
            if name in columns:
                raise StoreError(f"{path}: the metric {name} is in another table as well")
            columns[name] = column
    values = np.stack([*columns.values()], axis=1) if columns else np.empty((len(entries), 0))
    return Metrics([*columns], values)


def _records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a table with their lines, from 1."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            if path.suffix == ".jsonl":
                for line, text in enumerate(file, 1):
                    row = json.loads(text)
                    if not isinstance(row, dict):
                        raise ValueError(f"line {line} is not an object")
                    yield line, row
            else:
                reader = csv.DictReader(file, strict=True)
                for row in reader:
                    yield reader.line_num, row
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        raise StoreError(f"{path} cannot be read: {error}") from error


def _read_table(path: Path, entries: list[tuple[str, int]]) -> dict[str, np.ndarray]:
    """A column for each metric, f64 [entry]."""
    columns: dict[str, np.ndarray] = {}
    for line, row in _records(path):
        number = _number_of_entry(path, line, row, entries)
        for name, value in row.items():
            if name in NOT_METRICS:
                continue
            if name is None or value is None and path.suffix != ".jsonl":
                raise StoreError(f"{path}:{line}: it has another number of cells than the header")
            try:
                metric = float("nan" if value is None else value)
            except (TypeError, ValueError):
                raise StoreError(f"{path}:{line}: {name}: {value!r} is not a number") from None
            if name not in columns:
                columns[name] = np.full(len(entries), np.nan)
            columns[name][number] = metric
    return columns


def _number_of_entry(path: Path, line: int, row: dict[str, Any], entries: list[tuple[str, int]]) -> int:
    try:
        number, target, name = int(row["entry"]), int(row["target"]), row["id"]
    except (KeyError, TypeError, ValueError):
        raise StoreError(f"{path}:{line}: no table of metrics: it needs the columns entry, id and target") from None
    if not 0 <= number < len(entries) or entries[number] != (name, target):
        raise StoreError(f"{path}:{line}: entry {number} of the store is not target {target} of {name!r}: the table is "
                         "of another store; `promptmill measure` makes it anew")  # fmt: skip
    return number
