"""analysis/tables.py and the means that it prints.

    check_tables.py FOLDER      one.h5 with its table; what tables.py printed of it: table.md, table.csv
"""
import csv
import math
import sys
from pathlib import Path

import facts
import numpy as np

sys.path.insert(0, "analysis")
from means import mean, student_0_975  # noqa: E402

folder = Path(sys.argv[1])
# Abramowitz and Stegun, table 26.10
STUDENT = {1: 12.706, 2: 4.303, 3: 3.182, 5: 2.571, 10: 2.228, 29: 2.045, 30: 2.042, 120: 1.980, 10**6: 1.960}


def check_means():
    far = {degrees: student_0_975(degrees) for degrees, t in STUDENT.items() if abs(student_0_975(degrees) - t) > 6e-4}
    facts.check("Student's quantiles are the published ones", not far, far)
    numbers = np.array([3.0, 5.0, 4.0, 8.0])
    apart = mean(numbers, range(4))
    usual = student_0_975(3) * numbers.std(ddof=1) / 2
    facts.check("of single numbers it is the usual interval", math.isclose(apart.half_width, usual), apart)
    twice = mean(np.repeat(numbers, 2), np.repeat(np.arange(4), 2))
    facts.check("a number that is there twice tells nothing new", math.isclose(twice.half_width, usual), twice)
    gaps = mean([*numbers, math.nan, math.inf], range(6))
    facts.check("what is not finite is left out and counted", (gaps.value, gaps.half_width, gaps.count, gaps.left_out)
                == (5.0, apart.half_width, 4, 2), gaps)  # fmt: skip
    facts.check("one picture has no interval", math.isnan(mean([1.0, 2.0], [0, 0]).half_width))
    facts.check("nothing has no mean", math.isnan(mean([math.nan], [0]).value))
    rng = np.random.default_rng(1)
    draws = [mean(rng.normal(size=12).repeat(3) + rng.normal(size=36), np.arange(12).repeat(3)) for _ in range(2000)]
    inside = np.mean([abs(m.value) < m.half_width for m in draws])
    facts.check("19 of 20 intervals hold the truth, though numbers hang together", 0.93 < inside < 0.97, inside)


def check_table():
    with open(folder / "one.metrics.csv", newline="") as file:
        measured = [row for row in csv.DictReader(file) if row["target"] != "-1"]
    with open(folder / "table.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    by_hand = {}
    for row in measured:
        cross = row["id"].split("cross=")[1]
        for group in (row["category"], cross), ("all", cross):
            by_hand.setdefault(group, []).append(float(row["psnr"]))
    rows = [row for row in rows if row["metric"] == "psnr"]
    found = {(row["category"], row["cross_replace_steps"]): float(row["mean"]) for row in rows}
    facts.check("a mean for each category and setting, and for all categories", found.keys() == by_hand.keys(), found)
    facts.check("they are those of the table of metrics", all(
        math.isclose(found[group], np.mean(numbers), rel_tol=1e-8) for group, numbers in by_hand.items()))  # fmt: skip
    lines = (folder / "table.md").read_text().splitlines()
    cells = {line.count("|") for line in lines if line.startswith("|")}
    facts.check("Markdown has as many cells in every row", len(cells) == 1 and len(lines) > 6, lines)
    facts.check("and no markup from the store", any('&lt;b&gt;"&amp;' in line for line in lines), lines)


check_means()
check_table()
facts.finish()
