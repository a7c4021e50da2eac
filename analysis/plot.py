"""Plots as SVG: lines of means with their intervals, in panels, for papers and pages; nothing but this is needed."""
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markup import Markup, tag

WIDTH, HEIGHT = 420, 300  # of a panel
LEFT, RIGHT, TOP, BOTTOM = 66, 16, 34, 48  # its margins
LEGEND = 30
APART = 4  # pixels between points of several lines at one place
COLORS = ("#420a68", "#a8327d", "#dd513a", "#f3a01c", "#2a788e", "#5a5a5a")  # dark to light; then others
STYLE = """
svg { background: #fff; font: 13px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; fill: #222; }
.grid { stroke: #e4e4e4; } .axis { stroke: #888; } .title { font-weight: 600; } .soft { fill: #666; font-size: 12px; }
"""


@dataclass(frozen=True)
class Point:
    x: float
    y: float
    half_width: float = math.nan  # of y's interval; NaN: none
    label: str = ""  # beside it


@dataclass(frozen=True)
class Line:
    label: str
    points: Sequence[Point]


@dataclass(frozen=True)
class Panel:
    title: str
    x_title: str
    lines: Sequence[Line]
    x_ticks: Sequence[tuple[float, str]] | None = None  # None: round numbers
    y_title: str = ""


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers from low to high: multiples of 1, 2, 2.5 or 5 times a power of ten."""
    step = 10.0 ** math.floor(math.log10((high - low) / about))
    step *= next(factor for factor in (1, 2, 2.5, 5, 10) if (high - low) / (step * factor) <= about)
    return [i * step for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def figure(panels: Sequence[Panel], legend_title: str, width: int = WIDTH, height: int = HEIGHT) -> str:
    """Two panels beside each other, each of this size in pixels."""
    columns = min(2, len(panels))
    whole_width, whole_height = columns * width, LEGEND + math.ceil(len(panels) / columns) * height
    labels = list(dict.fromkeys(line.label for panel in panels for line in panel.lines))
    drawn = [tag("g", _Frame(panel, labels, width, height).drawn(),
                 transform=f"translate({i % columns * width},{LEGEND + i // columns * height})")
             for i, panel in enumerate(panels)]  # fmt: skip
    svg = tag("svg", tag("style", Markup(STYLE)), _legend(legend_title, labels), drawn, width=whole_width,
              height=whole_height, viewBox=f"0 0 {whole_width} {whole_height}", xmlns="http://www.w3.org/2000/svg")
    return svg + "\n"


def _legend(title: str, labels: list[str]) -> list[Markup]:
    if len(labels) < 2:
        return []
    parts, x = [tag("text", title, x=LEFT, y=20, class_="soft")], LEFT + 7 * len(title) + 14
    for i, label in enumerate(labels):
        parts.append(tag("path", d=f"M{x},16h18", stroke=COLORS[i % len(COLORS)], stroke_width=3))
        parts.append(tag("text", label, x=x + 23, y=20))
        x += 42 + 8 * len(label)
    return parts


class _Frame:
    """A panel's axes and what is drawn in them."""

    def __init__(self, panel: Panel, labels: list[str], width: int, height: int) -> None:
        self.panel, self.labels = panel, labels
        self.right, self.bottom = width - RIGHT, height - BOTTOM
        points = [point for line in panel.lines for point in line.points]
        halves = [p.half_width if math.isfinite(p.half_width) else 0.0 for p in points]
        self.x_low, self.x_high = _with_room([p.x for p in points])
        self.y_low, self.y_high = _with_room([p.y + way * half for way in (-1, 1) for p, half in zip(points, halves)])

    def x(self, value: float) -> float:
        return round(LEFT + (value - self.x_low) / (self.x_high - self.x_low) * (self.right - LEFT), 2)

    def y(self, value: float) -> float:
        return round(self.bottom - (value - self.y_low) / (self.y_high - self.y_low) * (self.bottom - TOP), 2)

    def drawn(self) -> list[Markup]:
        lines = [self._line(i, line) for i, line in enumerate(self.panel.lines)]
        return [tag("text", self.panel.title, x=LEFT, y=TOP - 14, class_="title"), *self._axes(), *lines]

    def _axes(self) -> list[Markup]:
        parts, middle = [], (TOP + self.bottom) / 2
        for y in ticks(self.y_low, self.y_high):
            parts.append(tag("path", d=f"M{LEFT},{self.y(y)}H{self.right}", class_="grid"))
            parts.append(tag("text", f"{y:.6g}", x=LEFT - 7, y=self.y(y) + 4, text_anchor="end", class_="soft"))
        for x, text in self.panel.x_ticks or [(x, f"{x:.6g}") for x in ticks(self.x_low, self.x_high)]:
            parts.append(tag("text", text, x=self.x(x), y=self.bottom + 17, text_anchor="middle", class_="soft"))
        parts.append(tag("path", d=f"M{LEFT},{self.bottom}H{self.right}", class_="axis"))
        center = (LEFT + self.right) / 2
        parts.append(tag("text", self.panel.x_title, x=center, y=self.bottom + 38, text_anchor="middle"))
        turned = f"rotate(-90 14 {middle})"
        parts.append(tag("text", self.panel.y_title, x=14, y=middle, text_anchor="middle", transform=turned))
        return parts

    def _line(self, number: int, line: Line) -> Markup:
        color = COLORS[self.labels.index(line.label) % len(COLORS)]
        aside = (number - (len(self.panel.lines) - 1) / 2) * APART if self.panel.x_ticks else 0
        path = "L".join(f"{self.x(p.x) + aside},{self.y(p.y)}" for p in line.points)
        parts = [tag("path", d=f"M{path}", fill="none", stroke=color, stroke_width=2)]
        for p in line.points:
            x, y = self.x(p.x) + aside, self.y(p.y)
            parts.append(tag("circle", cx=x, cy=y, r=3.5, fill=color))
            parts.append(tag("text", p.label, x=x + 6, y=y - 6, class_="soft") if p.label else "")
            if math.isfinite(p.half_width):
                whisker = f"M{x},{self.y(p.y - p.half_width)}V{self.y(p.y + p.half_width)}"
                parts.append(tag("path", d=whisker, stroke=color, opacity=0.5))
        return tag("g", parts)


def _with_room(values: Sequence[float]) -> tuple[float, float]:
    room = (max(values) - min(values)) * 0.06 or 0.5
    return min(values) - room, max(values) + room
