"""Means with confidence intervals, of numbers some of which are missing and some of which hang together."""
from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

LARGE = 400  # degrees of freedom from which Student's distribution is as good as the normal one, to 3 digits
NORMAL_0_975 = 1.959963984540054


@dataclass(frozen=True)
class Mean:
    value: float  # NaN of nothing
    half_width: float  # of the 95 % interval; NaN where fewer than two clusters tell
    count: int  # of finite numbers
    left_out: int  # NaN or infinite: not measured, a part that is empty, pictures that are equal


def mean(numbers: Sequence[float] | np.ndarray, clusters: Sequence[Hashable]) -> Mean:
    """The mean of the finite numbers and its 95 % interval by Student's distribution.

    @param clusters  of each number, what it shares its chances with: ten edits of one picture tell less than ten of
                     ten pictures. The standard error is that of
                     clusters, for clusters of one the usual s / sqrt(n) (Liang and Zeger 1986, Biometrika 73)"""
    numbers = np.asarray(numbers, dtype=float)
    is_finite = np.isfinite(numbers)
    kept = numbers[is_finite]
    if len(kept) == 0:
        return Mean(math.nan, math.nan, 0, len(numbers))
    value = kept.mean()
    sums: dict[Hashable, float] = {}
    for cluster, number in zip((c for c, is_in in zip(clusters, is_finite) if is_in), kept):
        sums[cluster] = sums.get(cluster, 0.0) + number - value
    half_width = math.nan
    if len(sums) > 1:
        squares = sum(deviation**2 for deviation in sums.values()) * len(sums) / (len(sums) - 1)
        half_width = student_0_975(len(sums) - 1) * math.sqrt(squares) / len(kept)
    return Mean(float(value), half_width, len(kept), len(numbers) - len(kept))


@lru_cache(maxsize=None)
def student_0_975(degrees: int) -> float:
    """The 0.975 quantile of Student's distribution, by bisection of its distribution function."""
    if degrees >= LARGE:
        return NORMAL_0_975
    low, high = 1.9, 13.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if _student_within(middle, degrees) < 0.95 else (low, middle)
    return (low + high) / 2


def _student_within(t: float, degrees: int) -> float:
    """How probable it is to be between -t and t (Abramowitz and Stegun, 26.7.3 and 26.7.4)."""
    angle = math.atan(t / math.sqrt(degrees))
    sine, cosine = math.sin(angle), math.cos(angle)
    is_odd = degrees % 2 == 1
    term = cosine if is_odd else 1.0
    total = 0.0
    for i in range(degrees // 2):
        total += term
        factor = (2 * i + 2) / (2 * i + 3) if is_odd else (2 * i + 1) / (2 * i + 2)
        term *= factor * cosine**2
    return 2 / math.pi * (angle + sine * total) if is_odd else sine * total
