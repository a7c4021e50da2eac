"""analysis/figures.py: does it draw what was measured?

    check_figures.py FOLDER      one.h5, its table and one.windows.svg of psnr and ssim
"""
import csv
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import facts
import numpy as np

sys.path.insert(0, "analysis")
import figures  # noqa: E402
import plot  # noqa: E402
from tables import Edit  # noqa: E402

folder = Path(sys.argv[1])
SVG = "{http://www.w3.org/2000/svg}"


def edits_with(values):
    settings = [{figures.CROSS: str(value), figures.SELF: "0.4"} for value in values]
    return [Edit(setting, str(i), {"psnr": 1.0}) for i, setting in enumerate(settings)]


def check_drawn():
    drawing = ElementTree.parse(folder / "one.windows.svg").getroot()
    panels = drawing.findall(f"{SVG}g")
    facts.check("a panel for each metric", len(panels) == 2, len(panels))
    with open(folder / "one.metrics.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["target"] != "-1"]
    means = [np.mean([float(row["psnr"]) for row in rows if row["id"].endswith(end)]) for end in ("=0.4", "=0.8")]
    marks = {text.text: float(text.get("y")) - 4 for text in panels[0].findall(f"{SVG}text") if text.get("x") == "59"}
    ends = sorted((float(text), y) for text, y in marks.items())
    drawn = [float(circle.get("cy")) for circle in panels[0].iter(f"{SVG}circle")]
    slope = (ends[-1][1] - ends[0][1]) / (ends[-1][0] - ends[0][0])
    wanted = [ends[0][1] + (mean - ends[0][0]) * slope for mean in means]
    is_right = np.allclose(drawn, wanted, atol=0.1)
    facts.check("points stand at the means, by the axis' own marks", is_right, (drawn, wanted))


def check_scales():
    facts.check("marks are round numbers", np.allclose(plot.ticks(0.13, 0.98), [0.2, 0.4, 0.6, 0.8])
                and np.allclose(plot.ticks(-7, 41), [0, 10, 20, 30, 40]), plot.ticks(-7, 41))  # fmt: skip
    random = figures.put_together(edits_with(np.linspace(0.1, 0.9, 60)), figures.CROSS, figures.MOST_CROSS)
    values = [edit.settings[figures.CROSS] for edit in random]
    facts.check("many windows are put together in equal parts", len(set(values)) == 6 and
                all(values.count(value) == 10 for value in values), values)  # fmt: skip
    facts.check("in order of size", figures.in_size(set(values)) == list(dict.fromkeys(values)))
    few = edits_with([0.2, 0.8, "0.2-0.8"])
    facts.check("few are left apart", figures.put_together(few, figures.CROSS, figures.MOST_CROSS) == few)
    places = figures.axis({"0.2", "1", "0.2-0.8"})
    in_turn = {"0.2": 0, "1": 1, "0.2-0.8": 2}
    facts.check("windows that are no numbers stand one after the other", places == in_turn, places)


check_drawn()
check_scales()
facts.finish()
