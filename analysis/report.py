#!/usr/bin/env python3
"""One HTML file that shows what is in a store: every edit with its pictures, what was measured, what failed.

The page needs nothing but itself: pictures are inside, and it loads nothing. Metrics are those of the tables beside
the store, if `promptmill measure` or network_metrics.py made some."""
from __future__ import annotations

import argparse
import base64
import hashlib
import json
import math
import re
import sys
from collections import Counter
from pathlib import Path

import report_charts
from markup import Markup, escaped, tag
from metric_names import in_order, metric
from promptmill_store import Entry, Metrics, Store, label
from report_cards import by_metric, card, choose, filter_values, pictured, picture_rules, tile
from store_error import exit_status

PAGE = Path(__file__).with_name("page")
MAX_CHARTS, MAX_OTHER_CHARTS, MAX_TILES, MAX_REASONS = 6, 3, 6, 30
TITLES = {"state": "Status", "inversion": "Method"}


def summary(store: Store) -> Markup:
    edits = store.edits
    states = Counter(edit.state for edit in edits)
    seconds = {entry.item.number: 0.0 for entry in store.entries}
    for entry in store.entries:
        if entry.state != "pending":
            seconds[entry.item.number] = max(seconds[entry.item.number], entry.seconds)
    made = [value for value in seconds.values() if value > 0]
    ranks = {(entry.rank, entry.host) for entry in store.entries if entry.state != "pending"}
    numbers = {
        "edits done": f"{states['done']:,}",
        "failed": f"{states['failed']:,}",
        "left": f"{states['pending']:,}",
        "lines": f"{len(store.items):,}",
        "ranks": len(ranks),
        "rank hours": f"{sum(made) / 3600:.2f}",
    }
    bad = {"failed"} if states["failed"] else set()
    tiles = [tag("div", tag("b", value), tag("span", name), class_="bad" if name in bad else None)
             for name, value in numbers.items()]  # fmt: skip
    return tag("div", tiles, class_="numbers")


def title_of(key: str) -> str:
    return TITLES.get(key, key.replace("_", " ").replace(".", " ").capitalize())


def choices(store: Store, entries: list[Entry]) -> dict[str, list[str]]:
    """What can be filtered by: the values of each setting of which there are several."""
    values: dict[str, set[str]] = {}
    for entry in entries:
        for key, value in filter_values(store, entry).items():
            values.setdefault(key, set()).add(value)
    return {key: sorted(some) for key, some in values.items() if len(some) > 1}


def filters(options: dict[str, list[str]], shown: list[str]) -> Markup:
    selects = []
    for key, values in options.items():
        wanted = [tag("option", value, value=value) for value in values]
        select = tag("select", tag("option", "all", value=""), wanted, data_key=key)
        selects.append(tag("label", title_of(key), select))
    orders = [tag("option", "as in the manifest", value="")]
    for name in shown:
        for way, word in (("-1", "highest"), ("1", "lowest")):
            orders.append(tag("option", f"{metric(name).title}, {word} first", value=f"{way} {name}"))
    text = tag("label", "Text", tag("input", type="search", id="text", placeholder="prompt, id, reason"))
    order = tag("label", "Order", tag("select", orders, id="order"))
    return tag("form", text, selects, order, tag("output", id="count"), id="filters")


def best_and_worst(store: Store, ranked: list[Entry], metrics: Metrics, name: str) -> Markup:
    what, values = metric(name), metrics.of(name)
    half = min(MAX_TILES, len(ranked) // 2)
    says_whether_edited = name.startswith(("truth_", "clip_"))
    note = "" if says_whether_edited else " An edit that did nothing comes first: this tells what was left alone only."
    rows = [[tag("h3", title), tag("div", [tile(store, entry, f"{what.worded(values[entry.number])} {what.unit}")
                                           for entry in some], class_="tiles")]
            for title, some in (("Best", ranked[:half]), ("Worst", ranked[::-1][:half]))]  # fmt: skip
    better = "higher" if what.is_higher_better else "lower"
    return Markup(tag("p", f"By {what.title}; {better} is better.", note, class_="note") + escaped(rows))


def failures(entries: list[Entry]) -> Markup:
    """Reasons without the lines they name, how often each, and one example."""
    reasons: Counter[str] = Counter()
    examples: dict[str, Entry] = {}
    for entry in entries:
        if entry.state == "failed":
            reason = re.sub(r"^\S+?:\d+: (targets\[\d+\]: )?", "", entry.message)
            reasons[reason] += 1
            examples.setdefault(reason, entry)
    if not reasons:
        return Markup()
    rows = [tag("tr", tag("td", count, class_="number"), tag("td", reason),
                tag("td", f"{examples[reason].item.id}, line {examples[reason].item.line}"))
            for reason, count in reasons.most_common(MAX_REASONS)]  # fmt: skip
    note = f"The {MAX_REASONS} most frequent of {len(reasons)} reasons." if len(reasons) > MAX_REASONS else ""
    head = tag("tr", tag("th", "pictures", class_="number"), tag("th", "reason"), tag("th", "for example"))
    return Markup(tag("p", note, class_="note") + tag("div", tag("table", head, rows), class_="wide"))


def spreads(store: Store, entries: list[Entry], metrics: Metrics, shown: list[str]) -> Markup:
    """By category, and by method and what a sweep varied where there are several."""
    if not shown:
        command = tag("code", f"promptmill measure {store.path.name}")
        return tag("p", "There is no table of metrics beside the store yet: ", command, " makes one.", class_="note")
    done = [edit for edit in entries if edit.state == "done" and not edit.is_source]
    numbers = [edit.number for edit in done]
    parts = [tag("p", "How edits spread, the middle half below, the median as a line.", class_="note")]
    for key in ("category", "inversion", *store.swept):
        groups = [label(store.setting(edit, key)) for edit in done]
        if key != "category" and len(set(groups)) < 2:
            continue
        names = shown if key == "category" else shown[:MAX_OTHER_CHARTS]
        charts = [report_charts.distributions(name, metrics.of(name)[numbers], groups) for name in names]
        parts += [tag("h3", f"By {title_of(key).lower()}"), tag("div", charts, class_="charts")]
    return Markup("".join(parts))


def measured_names(entries: list[Entry], metrics: Metrics) -> list[str]:
    """Those that tell most first."""
    edits = [entry.number for entry in entries if not entry.is_source]
    return [name for name in in_order(metrics.names)
            if any(math.isfinite(value) for value in metrics.of(name)[edits])][:MAX_CHARTS]  # fmt: skip


def page(store: Store, metrics: Metrics, most: int, side: int) -> str:
    everything = pictured(store)
    shown = measured_names(everything, metrics)
    ranked = by_metric(everything, metrics, shown[0]) if shown else []
    chosen = choose(everything, ranked, most)
    in_page = {entry.number for entry in chosen}
    ranked_in_page = [entry for entry in ranked if entry.number in in_page]
    options = choices(store, chosen)
    cards = [card(store, entry, metrics, shown, set(options)) for entry in chosen]
    note = f"{len(everything)} pictures" if len(chosen) == len(everything) else (
        f"{len(chosen)} of {len(everything)}: the best, the worst, failed ones, and evenly many of the rest. "
        "--edits takes more.")  # fmt: skip
    sheet = [tag("p", note, class_="note"), filters(options, shown), tag("div", cards, class_="cards")]
    sections = {
        "Best and worst": best_and_worst(store, ranked_in_page, metrics, shown[0]) if len(ranked_in_page) > 1 else "",
        "Metrics": spreads(store, everything, metrics, shown),
        "Contact sheet": sheet,
        "What failed": failures(store.entries),
        "Time and failures by rank": report_charts.ranks(store.entries),
        "Settings": tag("pre", json.dumps(store.config, indent=1)),
    }
    present = {f"section-{i}": section for i, section in enumerate(sections.items()) if section[1]}
    links = tag("nav", [tag("a", title, href=f"#{name}") for name, (title, _) in present.items()])
    body = [tag("section", tag("h2", title), content, id=name) for name, (title, content) in present.items()]
    return _document(store, tag("main", links, summary(store), body), picture_rules(store, chosen, side))


def _document(store: Store, main: Markup, rules: Markup) -> str:
    script = (PAGE / "script.js").read_text(encoding="utf-8")
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{allowed}'"
    style = (PAGE / "style.css").read_text(encoding="utf-8")
    about, config = store.attributes, store.config
    line = [f"{config.get('steps')} steps", f"guidance {config.get('guidance_scale')}", about.get("scheduler"),
            Path(str(about.get("model"))).name, f"begun {about.get('created')}", about.get("software")]  # fmt: skip
    head = tag("head", tag("meta", charset="utf-8"), tag("meta", http_equiv="Content-Security-Policy", content=policy),
               tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
               tag("meta", name="color-scheme", content="light dark"),
               tag("title", f"{store.path.name} – promptmill"),
               tag("style", Markup(style), rules))  # fmt: skip
    header = tag("header", tag("h1", store.path.name), tag("p", " · ".join(map(str, line))))
    body = tag("body", header, main, tag("dialog", id="detail"), tag("script", Markup(script)))
    return "<!DOCTYPE html>\n" + tag("html", head, body, lang="en") + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="report.py", description=__doc__)
    parser.add_argument("store", metavar="STORE")
    parser.add_argument("--out", type=Path, help="the page (default: the store's name with .report.html for .h5)")
    parser.add_argument("--edits", type=int, default=200, metavar="N",
                        help="pictures in the contact sheet at most (default: 200)")
    parser.add_argument("--side", type=int, default=192, metavar="PIXELS",
                        help="of a picture in the page at most (default: 192)")
    parser.add_argument("--table", action="append", metavar="FILE",
                        help="instead of the tables beside the store; may be given again")  # fmt: skip
    arguments = parser.parse_args()
    if not 1 <= arguments.edits <= 5000 or not 16 <= arguments.side <= 1024:
        parser.error("--edits is from 1 to 5000 and --side from 16 to 1024")
    with Store(arguments.store) as store:
        text = page(store, store.metrics(arguments.table), arguments.edits, arguments.side)
        out = arguments.out or store.table_path(".report.html")
    out.write_text(text, encoding="utf-8")
    print(f"{out}: {len(text) / 1e6:.1f} MB")


if __name__ == "__main__":
    sys.exit(exit_status(main))
