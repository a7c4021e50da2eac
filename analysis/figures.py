#!/usr/bin/env python3
"""Figures of the attention windows against fidelity, as SVG, from a sweep over them (docs/config.md#sweeps) or from
edits that have windows of their own.

    windows    each metric by cross_replace_steps, a line for each self_replace_steps
    trade-off  how far edits happened against how much they left alone, a point for each pair of windows

Whiskers are 95 % confidence intervals of the means. Where there are many windows, as of random ones, those near to
each other are put together."""
from __future__ import annotations

import argparse
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import plot
from means import Mean, mean
from metric_names import metric
from promptmill_store import Store
from store_error import StoreError, exit_status
from tables import Edit, measured_names, read

CROSS, SELF = "cross_replace_steps", "self_replace_steps"
PANELS = 4
MOST_CROSS, MOST_SELF = 8, 5  # windows that are drawn apart
TOGETHER = {CROSS: 6, SELF: 3}  # else in so many parts of equally many edits
TRADE_OFF_SIZE = 620, 460
LEFT_ALONE = ("psnr_outside_mask", "psnr_unedit_part", "lpips_unedit_part", "structure_distance", "psnr")
HAPPENED = ("truth_psnr_inside_mask", "truth_psnr", "clip_sim_dir", "clip_similarity_target_image_edit_part",
            "clip_similarity_target_image")  # fmt: skip


def number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def put_together(edits: list[Edit], key: str, most: int) -> list[Edit]:
    """Where a setting has more values than that, all of them numbers: with ranges instead, "0.1 to 0.25"."""
    values = np.array([number(edit.settings[key]) for edit in edits])
    if len(set(edit.settings[key] for edit in edits)) <= most or np.isnan(values).any():
        return edits
    parts = TOGETHER[key]
    bounds = np.quantile(values, np.linspace(0, 1, parts + 1))
    part = np.clip(np.searchsorted(bounds, values, side="right") - 1, 0, parts - 1)
    labels = [f"{bounds[i]:.2g} to {bounds[i + 1]:.2g}" for i in range(parts)]
    return [replace(edit, settings=edit.settings | {key: labels[i]}) for edit, i in zip(edits, part)]


def in_size(values: set[str]) -> list[str]:
    """Numbers and ranges by size, then windows and others."""
    first = {value: number(value.split(" ")[0]) for value in values}
    return sorted(values, key=lambda value: (math.isnan(first[value]), first[value], value))


def means_of(edits: list[Edit], cross: str, self: str, name: str) -> Mean:
    group = [e for e in edits if (e.settings[CROSS], e.settings[SELF]) == (cross, self)]
    return mean([e.metrics.get(name, math.nan) for e in group], [e.picture for e in group])


def axis(values: set[str]) -> dict[str, float]:
    """Where each value of a setting stands: at its number if all are numbers, else one after the other."""
    ordered = in_size(values)
    numbers = [number(value) for value in ordered]
    return dict(zip(ordered, range(len(ordered)) if np.isnan(numbers).any() else numbers))


def windows(edits: list[Edit], names: list[str]) -> str:
    places = axis({edit.settings[CROSS] for edit in edits})
    panels = []
    for name in names:
        lines = []
        for self in in_size({edit.settings[SELF] for edit in edits}):
            means = {cross: means_of(edits, cross, self, name) for cross in places}
            points = [plot.Point(places[cross], m.value, m.half_width) for cross, m in means.items() if m.count]
            lines.append(plot.Line(self, points))
        ticks = [(place, cross) for cross, place in places.items()]
        panels.append(plot.Panel(metric(name).heading, CROSS, [line for line in lines if line.points], ticks))
    return plot.figure(panels, SELF)


def trade_off(edits: list[Edit], left_alone: str, happened: str) -> str:
    """The ends of each line have their window beside them."""
    lines = []
    for self in in_size({edit.settings[SELF] for edit in edits}):
        points = []
        for cross in in_size({edit.settings[CROSS] for edit in edits}):
            x, y = (means_of(edits, cross, self, name) for name in (left_alone, happened))
            if x.count and y.count:
                points.append(plot.Point(x.value, y.value, label=cross))
        points[1:-1] = [replace(point, label="") for point in points[1:-1]]
        lines.append(plot.Line(self, points))
    lines = [line for line in lines if line.points]
    axes = {"x_title": metric(left_alone).heading, "y_title": metric(happened).heading}
    panel = plot.Panel(f"{CROSS}, at the ends of lines", lines=lines, **axes)
    return plot.figure([panel], SELF, *TRADE_OFF_SIZE)


def choose(asked: str | None, known: list[str], wanted: tuple[str, ...], why: str) -> str:
    name = asked or next((name for name in wanted if name in known), None)
    if name not in known:
        what = f"no metric {asked!r}" if asked else f"no metric that tells {why} ({', '.join(wanted)})"
        raise StoreError(f"there is {what} with finite values; there are {', '.join(known) or 'none'}")
    return name


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="figures.py", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("figure", choices=("windows", "trade-off"))
    parser.add_argument("stores", nargs="+", metavar="STORE")
    parser.add_argument("--out", type=Path, help="default: beside the first store, NAME.windows.svg")
    parser.add_argument("--metrics", metavar="NAMES",
                        help="of windows: separated by commas (default: those that tell most)")  # fmt: skip
    parser.add_argument("--left-alone", metavar="NAME", help="of trade-off: the metric along the x axis")
    parser.add_argument("--happened", metavar="NAME", help="of trade-off: the metric along the y axis")
    return parser.parse_args()


def draw(arguments: argparse.Namespace) -> Path:
    _, edits = read(arguments.stores, [CROSS, SELF], None, False)
    known = measured_names(edits)
    edits = put_together(put_together(edits, CROSS, MOST_CROSS), SELF, MOST_SELF)
    if len({(edit.settings[CROSS], edit.settings[SELF]) for edit in edits}) < 2:
        raise StoreError(f"all edits that are done have the same {CROSS} and {SELF}: there is nothing to compare")
    if arguments.figure == "windows":
        asked = arguments.metrics.split(",") if arguments.metrics else known[:PANELS]
        text = windows(edits, [choose(name, known, (), "") for name in asked or [None]])
    else:
        left_alone = choose(arguments.left_alone, known, LEFT_ALONE, "what was left alone")
        text = trade_off(edits, left_alone, choose(arguments.happened, known, HAPPENED, "whether an edit happened"))
    out = arguments.out
    if out is None:
        with Store(arguments.stores[0]) as store:
            out = store.table_path(f".{arguments.figure}.svg")
    out.write_text(text, encoding="utf-8")
    return out


def main() -> None:
    print(draw(parse()))


if __name__ == "__main__":
    sys.exit(exit_status(main))
