"""The contact sheet of a report: which edits are in it, and a card for each."""
from __future__ import annotations

import difflib
import json
import math
import re

from markup import Markup, tag
from metric_names import metric
from promptmill_store import Entry, Metrics, Store, label
from report_pictures import heat_map, thumbnail

EXTREMES = 24  # best and worst edits that are always in, each
MAX_WORDS = 24  # of a prompt, with maps
SETTINGS = ("edit", "inversion", "cross_replace_steps", "self_replace_steps", "equalizer", "local_blend.threshold",
            "restore", "mapper", "seed")  # fmt: skip


def pictured(store: Store) -> list[Entry]:
    """What a card is for: every edit that is done or failed, and sources that stand alone."""
    sources_of_edits = {edit.item.number for edit in store.edits}
    begun = [entry for entry in store.entries if entry.state != "pending"]
    return [entry for entry in begun if not entry.is_source or entry.item.number not in sources_of_edits]


def by_metric(entries: list[Entry], metrics: Metrics, name: str) -> list[Entry]:
    """Those measured, best first."""
    values = metrics.of(name)
    sign = -1 if metric(name).is_higher_better else 1
    measured = [entry for entry in entries if not entry.is_source and not math.isnan(values[entry.number])]
    return sorted(measured, key=lambda entry: (sign * values[entry.number], entry.number))


def choose(entries: list[Entry], ranked: list[Entry], most: int) -> list[Entry]:
    """At most so many, in order: the best, the worst, the failed, a quarter of the room each, and of the others
    evenly many from everywhere."""
    if len(entries) <= most:
        return entries
    share = min(EXTREMES, most // 4)
    failed = [entry for entry in entries if entry.state == "failed"]
    chosen = {entry.number for entry in [*ranked[:share], *ranked[len(ranked) - share :], *failed[: most // 4]]}
    rest = [entry for entry in entries if entry.number not in chosen]
    room = most - len(chosen)
    chosen |= {rest[i * len(rest) // room].number for i in range(room)}
    return [entry for entry in entries if entry.number in chosen]


def filter_values(store: Store, entry: Entry) -> dict[str, str]:
    """What cards are filtered by; what a sweep varies too."""
    values = {"category": label(store.setting(entry, "category")), "state": entry.state,
              "inversion": label(store.setting(entry, "inversion")),
              "edit": "source" if entry.is_source else label(store.setting(entry, "edit"))}  # fmt: skip
    return values | {key: label(store.setting(entry, key)) for key in store.swept}


def picture_rules(store: Store, entries: list[Entry], side: int) -> Markup:
    """CSS that gives .sITEM its source's picture and .eENTRY its edit's, each written once however often shown."""
    rules = [":root{--shape:%d/%d}" % store.picture_shape[::-1]]
    if store.has_images:
        for entry in {entry.item.number: entry for entry in entries}.values():
            if store.source(entry).state == "done":
                rules.append(f".s{entry.item.number}{{--source:url({thumbnail(store.original(entry), side)})}}")
        for entry in entries:
            if entry.state == "done" and not entry.is_source:
                rules.append(f".e{entry.number}{{--edit:url({thumbnail(store.image(entry), side)})}}")
    return Markup("\n".join(rules))


def prompt_change(store: Store, entry: Entry) -> Markup:
    """The target prompt, with what was taken out of the source prompt and what was put in."""
    before = store.source(entry).prompt.split()
    after = (entry.prompt or str(store.setting(entry, "prompt") or "")).split()  # what was refused has its line only
    parts = []
    for kind, a, b, c, d in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind == "equal":
            parts += [" ".join(after[c:d]), " "]
        else:
            parts += [[tag("del", " ".join(before[a:b])), " "] if a < b else ""]
            parts += [[tag("ins", " ".join(after[c:d])), " "] if c < d else ""]
    return tag("p", parts, class_="prompt")


def pair(store: Store, entry: Entry) -> Markup:
    """Source and edit, side by side."""
    has_source = store.has_images and store.source(entry).state == "done"
    pictures = [tag("div", class_="picture source", role="img", aria_label="source") if has_source else
                tag("div", "no source", class_="picture none")]  # fmt: skip
    if not entry.is_source:
        is_shown = store.has_images and entry.state == "done"
        pictures.append(tag("div", class_="picture edit", role="img", aria_label="edit") if is_shown else
                        tag("div", entry.state, class_="picture none"))  # fmt: skip
    return tag("div", pictures, class_="pair")


def card(store: Store, entry: Entry, metrics: Metrics, shown: list[str], varying: set[str]) -> Markup:
    """@param shown  the metrics to order by, the first of which is on the card
    @param varying  the settings that differ from card to card"""
    values = filter_values(store, entry)
    measured = {name: metrics.of(name)[entry.number] for name in metrics.names}
    numbers = {name: float(f"{measured[name]:.6g}") for name in shown if math.isfinite(measured[name])}
    is_chip = varying & {"category", "edit", "inversion"}
    chips = [tag("span", text, class_="chip") for key, text in values.items() if key in is_chip and text != "-"]
    name = shown[0] if shown else None
    first = tag("b", metric(name).worded(numbers[name]), " ", metric(name).unit) if name in numbers else ""
    text = " ".join([entry.item.id, store.source(entry).prompt, entry.prompt, entry.message]).lower()
    return tag(
        "article",
        pair(store, entry),
        prompt_change(store, entry),
        tag("p", entry.message, class_="reason") if entry.message else "",
        tag("p", first, chips, class_="chips"),
        tag("p", entry.item.id, class_="id"),
        tag("div", _words(store, entry), _facts(store, entry, measured), class_="more", hidden=True),
        class_=f"card s{entry.item.number} e{entry.number} {entry.state}", id=f"entry-{entry.number}", tabindex=0,
        data_values=json.dumps(values), data_metrics=json.dumps(numbers), data_text=text, data_number=entry.number,
    )  # fmt: skip


def tile(store: Store, entry: Entry, value: str) -> Markup:
    """A small card that leads to the large one."""
    return tag("a", pair(store, entry), tag("b", value), prompt_change(store, entry),
               tag("p", entry.item.id, class_="id"), href=f"#entry-{entry.number}",
               class_=f"tile s{entry.item.number} e{entry.number}")  # fmt: skip


def _words(store: Store, entry: Entry) -> Markup:
    if entry.state != "done" or not store.has_images:
        return Markup()
    maps = store.word_maps(entry)[:MAX_WORDS]
    figures = [tag("figure", tag("div", class_="picture word", style=f"--map:url({heat_map(of_word)})", role="img",
                                 aria_label=f"attention to {word}"), tag("figcaption", word))
               for word, of_word in maps]  # fmt: skip
    if not figures:
        return Markup()
    return tag("div", tag("h4", "Where the picture attends to each word"),
               tag("div", figures, class_="words" + (" of-source" if entry.is_source else "")))  # fmt: skip


def _facts(store: Store, entry: Entry, measured: dict[str, float]) -> Markup:
    settings = {key: store.setting(entry, key) for key in SETTINGS}
    facts = {re.sub("[_.]", " ", key): label(value) for key, value in settings.items() if value is not None}
    if store.source(entry).state == "done" and math.isfinite(psnr := store.reconstruction_psnr(entry)):
        facts["reconstruction"] = f"{psnr:.2f} dB PSNR"
    facts["made by"] = f"rank {entry.rank} on {entry.host}, {entry.seconds:.1f} s"
    facts["manifest"] = f"line {entry.item.line}, {entry.item.id}"
    for name, value in measured.items():
        if not math.isnan(value):
            facts[metric(name).title] = f"{metric(name).worded(value)} {metric(name).unit}"
    rows = [tag("tr", tag("th", key, scope="row"), tag("td", value)) for key, value in facts.items()]
    return tag("table", rows, class_="facts")
