"""The charts of a report: rows of HTML, so that words keep their size on any screen, with SVG for the shapes."""
from __future__ import annotations

import statistics
import time
from collections import defaultdict

import numpy as np
from markup import Markup, tag
from metric_names import metric
from promptmill_store import Entry

BINS = 60
MAX_RANKS, MAX_CATEGORIES = 64, 24
HEIGHT = 24  # of a row's shapes; its width is 100, whatever that is on the screen


def distributions(name: str, values: np.ndarray, categories: list[str]) -> Markup:
    """How a metric spreads in each category, all on one axis, with median and middle half.

    @param values  [edit] what is not finite is left out; at least one is
    @param categories  [edit]"""
    groups: dict[str, list[float]] = defaultdict(list)
    for value, category in zip(values, categories):
        if np.isfinite(value):
            groups[category].append(float(value))
    finite = np.concatenate([np.array(group) for group in groups.values()])
    low, high = np.quantile(finite, (0.005, 0.995))  # so that one wild value does not press the others together
    if high <= low:
        low, high = low - 0.5, high + 0.5
    largest = sorted(groups, key=lambda category: (-len(groups[category]), category))[:MAX_CATEGORIES]
    rows = [_spread(name, category, np.array(groups[category]), low, high) for category in sorted(largest)]
    what = metric(name)
    unit = f"median, {what.unit}" if what.unit else "median"
    axis = _axis(what.worded(low), what.worded(high), unit)
    left_out = len(values) - len(finite)
    note = f"{len(finite)} edits" + (f"; {left_out} without a finite value" if left_out else "")
    better = "higher" if what.is_higher_better else "lower"
    return tag("section", tag("h3", what.title), tag("p", f"{better} is better · {note}", class_="note"), rows, axis,
               class_="chart")  # fmt: skip


def ranks(entries: list[Entry]) -> Markup:
    """What each rank did, and when."""
    groups: dict[tuple[int, str], list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.state != "pending" and entry.finished > 0:
            groups[entry.rank, entry.host].append(entry)
    if not groups:
        return tag("p", "Nothing is finished yet.", class_="note")
    everything = [entry for group in groups.values() for entry in group]
    begin, end = min(e.finished - e.seconds for e in everything), max(e.finished for e in everything)
    busiest = sorted(groups, key=lambda key: -sum(_item_seconds(groups[key])))[:MAX_RANKS]
    rows = [_rank(key, groups[key], begin, max(end - begin, 1.0)) for key in sorted(busiest)]
    times = [time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(moment)) for moment in (begin, end)]
    axis = _axis(times[0], times[1] + " UTC", "pictures, a line's median")
    note = f"The {MAX_RANKS} busiest of {len(groups)} ranks. " if len(groups) > MAX_RANKS else ""
    note += "The darker, the more pictures were finished then; red: some failed."
    return tag("section", tag("p", note, class_="note"), rows, axis, class_="chart ranks")


def _axis(low: str, high: str, unit: str) -> Markup:
    ends = tag("span", tag("i", low), tag("i", high), class_="axis")
    return tag("div", tag("span"), ends, tag("span", unit, class_="number"), class_="row")


def _spread(name: str, category: str, values: np.ndarray, low: float, high: float) -> Markup:
    density = _density(values, low, high)
    x = np.linspace(0, 100, BINS)
    y = HEIGHT - 1 - density / density.max() * (HEIGHT - 4)
    outline = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y))
    first, median, third = (np.quantile(values, (0.25, 0.5, 0.75)).clip(low, high) - low) / (high - low) * 100
    shapes = [
        tag("polygon", points=f"0,{HEIGHT - 1} {outline} 100,{HEIGHT - 1}", class_="area"),
        tag("path", d=f"M{first:.1f},{HEIGHT - 1}H{third:.1f}", class_="half"),
        tag("path", d=f"M{median:.1f},2V{HEIGHT - 1}", class_="median"),
    ]
    label = tag("span", category, " ", tag("small", len(values)), class_="label")
    median_text = metric(name).worded(float(np.median(values)))
    number = tag("span", median_text, class_="number")
    return tag("div", label, _svg(shapes, f"{category}: median {median_text}"), number, class_="row")


def _density(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Counts under a Gaussian kernel of Silverman's width (1986, equation 3.31), [BINS]. Values outside count as
    the bounds."""
    counts, edges = np.histogram(np.clip(values, low, high), bins=BINS, range=(low, high))
    spread = min(values.std(), np.subtract(*np.quantile(values, (0.75, 0.25))) / 1.34)
    width = max(0.9 * spread * len(values) ** -0.2, edges[1] - edges[0])
    apart = (edges[:-1, None] - edges[None, :-1]) / width
    return np.exp(-0.5 * apart**2) @ counts


def _item_seconds(entries: list[Entry]) -> list[float]:
    """A line's pictures are made together: each one's seconds count from the line's beginning."""
    items: dict[int, float] = defaultdict(float)
    for entry in entries:
        items[entry.item.number] = max(items[entry.item.number], entry.seconds)
    return list(items.values())


def _rank(key: tuple[int, str], entries: list[Entry], begin: float, length: float) -> Markup:
    cells: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    for entry in entries:
        cell = min(int((entry.finished - begin) / length * BINS), BINS - 1)
        cells[cell][entry.state == "failed"] += 1
    most = max(sum(cell) for cell in cells.values())
    width = 100 / BINS
    shapes = [tag("rect", x=f"{cell * width:.2f}", y=2, width=f"{width * 0.92:.2f}", height=HEIGHT - 4,
                  class_="bad" if failed else "good", opacity=f"{0.25 + 0.75 * (done + failed) / most:.2f}")
              for cell, (done, failed) in sorted(cells.items())]  # fmt: skip
    failed = sum(entry.state == "failed" for entry in entries)
    median = statistics.median(_item_seconds(entries))
    numbers = [f"{len(entries) - failed}", tag("em", f" + {failed} failed") if failed else "", f", {median:.1f} s"]
    label = tag("span", f"rank {key[0]} ", tag("small", key[1]), class_="label")
    number = tag("span", numbers, class_="number")
    return tag("div", label, _svg(shapes, f"{len(entries)} pictures"), number, class_="row")


def _svg(shapes: list[Markup], text: str) -> Markup:
    return tag("svg", shapes, viewBox=f"0 0 100 {HEIGHT}", preserveAspectRatio="none", role="img", aria_label=text)
