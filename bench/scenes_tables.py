"""The tables of bench/scenes.sh, in Markdown, from the tables that `promptmill measure` wrote.

python3 bench/scenes_tables.py FOLDER CASES FEWER; nothing but Python's own library is needed.
"""

import csv
import math
import sys
from pathlib import Path

METHODS = ["direct", "negative-prompt", "ddim", "null-text"]
COLUMNS = [("truth_psnr_inside_mask", "edited"), ("nearer", "nearer to the truth"),
           ("psnr_outside_mask", "unedited part, PSNR"),
           ("ssim_outside_mask", "unedited part, SSIM")]
Row = dict[str, str]


def number(text: str) -> float:
    return float(text) if text else math.nan


def cell(values: list[float], digits: int) -> str:
    """Mean and half of its 95 % interval, of what is finite."""
    finite = [v for v in values if math.isfinite(v)]
    if not finite:
        return "–"
    mean = sum(finite) / len(finite)
    if len(finite) < 2:
        return f"{mean:.{digits}f}"
    variance = sum((v - mean) ** 2 for v in finite) / (len(finite) - 1)
    return f"{mean:.{digits}f} ± {1.96 * math.sqrt(variance / len(finite)):.{digits}f}"


def read(path: Path) -> list[Row]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def edits_of(rows: list[Row], untouched: dict[str, float]) -> list[Row]:
    """Every edit, with what an editor that does nothing would be at."""
    edits = [row for row in rows if row["target"] != "-1"]
    for row in edits:
        nothing = untouched[row["id"].split("/")[0]]
        row["untouched"] = str(nothing)
        row["nearer"] = str(float(number(row["truth_psnr_inside_mask"]) > nothing))
    return edits


def line(name: str, rows: list[Row]) -> str:
    cells = [name, str(len(rows)), cell([number(r["untouched"]) for r in rows], 2)]
    for key, _ in COLUMNS:
        values = [number(row[key]) for row in rows]
        if key == "nearer":
            cells.append(f"{100 * sum(values) / len(values):.0f} %")
        else:
            cells.append(cell(values, 3 if key.startswith("ssim") else 2))
    return "| " + " | ".join(cells) + " |"


def table(first: str, groups: dict[str, list[Row]]) -> str:
    head = [first, "edits", "picture left as it is"] + [title for _, title in COLUMNS]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + [line(name, rows) for name, rows in groups.items()]) + "\n"


def by(rows: list[Row], key) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups


def main() -> None:
    folder, cases, fewer = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    rows = read(folder / "direct.metrics.csv")
    untouched = {row["id"]: number(row["truth_psnr_inside_mask"]) for row in rows
                 if row["target"] == "-1"}  # as well as the VAE can show the picture
    direct = edits_of(rows, untouched)
    print(f"Direct inversion, by category, {cases} cases:\n")
    print(table("category", by(direct, lambda row: row["category"]) | {"all": direct}))
    methods = {name: edits_of(read(folder / f"{name}.metrics.csv"), untouched)
               for name in METHODS[1:]}
    shared = {row["id"] for rows in methods.values() for row in rows}
    methods = {"direct": [row for row in direct if row["id"] in shared]} | methods
    print(f"By inversion method, the same {fewer} cases:\n")
    print(table("inversion", methods))
    for name, key in (("cross", "cross_replace_steps"), ("self", "self_replace_steps")):
        rows = edits_of(read(folder / f"{name}.metrics.csv"), untouched)
        print(f"By `{key}`, direct inversion, the same {fewer} cases:\n")
        print(table(f"`{key}`", by(rows, lambda row: row["id"].rsplit("=", 1)[1])))


if __name__ == "__main__":
    main()
