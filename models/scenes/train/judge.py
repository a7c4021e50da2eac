"""How good a model is, measured without people: python3 -m train.judge --model FOLDER ...

promptmill draws prompts and makes edits with each model; the observer (observer.py) tells what the
pictures show, and that is held against what was asked. Every edit is held against drawing its
target anew from the same seed, too: what editing is for is to keep the rest.
"""

import argparse
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from . import scenes, trials
from .observer import WEIGHTS, Sight, load_observer
from .scenes import SIDE, Scene
from .trials import Edit, Prompt
from .views import SCENE_VALUES, THING_VALUES

REPOSITORY = Path(__file__).resolve().parents[3]
LAYOUT = 0.1 * SIDE  # pixels that a thing may move and still be where it was
COLOUR = 25.5  # of 255 that each channel of a pixel may change by and still be what it was
DONE = 1  # a store's state of an entry

# A line of a table: what was asked; then what was measured, and how much of it each trial has: all or nothing,
# but for pixels.
Outcomes = dict[str, dict[str, list[float]]]


class JudgeError(Exception):
    """The models cannot be judged; the message is a sentence for the user."""


def main() -> int:
    """Judge the models and print the table. Returns the exit status."""
    arguments = _parse()
    observer = load_observer(arguments.observer)
    prompts = [trials.prompt(number) for number in range(arguments.prompts)]
    edits = [trials.edit(number) for number in range(arguments.edits)]
    drawn = {"generator": judge_prompts(prompts, observer.look(_truth(prompts)))}
    edited: dict[str, Outcomes] = {}
    try:
        for number, model in enumerate(arguments.model, 1):
            folder = arguments.work / f"{number}-{model.resolve().name}"
            sights = observer.look(_draw(folder / "prompts", model, prompt_lines(prompts),
                                         arguments))
            drawn[str(model)] = judge_prompts(prompts, sights)
            pictures = _draw(folder / "edits", model, edit_lines(edits), arguments)
            sights = observer.look(pictures)
            for part, how in (1, "edited"), (2, "drawn anew"):
                edited[f"{model}, {how}"] = judge_edits(
                    edits, sights[::3], sights[part::3],
                    pixels_kept(pictures[::3], pictures[part::3]))
    except JudgeError as error:
        print(f"judge: {error}", file=sys.stderr)
        return 1
    tables = _table("prompts of", drawn) + "\n" + _table("edits of", edited)
    (arguments.work / "table.md").write_text(tables)
    print(tables, end="")
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python3 -m train.judge",
        description="Measure how well models draw what is asked, and how well edits change what "
                    "they should and keep the rest. Goes on where it was stopped.")
    parser.add_argument("--model", type=Path, action="append", required=True, metavar="FOLDER",
                        help="a model in diffusers layout; may be given several times")
    parser.add_argument("--prompts", type=int, default=1000, metavar="N")
    parser.add_argument("--edits", type=int, default=300, metavar="N")
    parser.add_argument("--steps", type=int, default=50, metavar="N")
    parser.add_argument("--guidance", type=float, default=7.5, metavar="X")
    parser.add_argument("--ranks", type=int, default=2, metavar="N", help="of promptmill")
    parser.add_argument("--promptmill", type=Path, metavar="PROGRAM",
                        default=REPOSITORY / "build" / "promptmill")
    parser.add_argument("--observer", type=Path, default=WEIGHTS, metavar="FILE",
                        help="the network that looks at the pictures (default: the one here)")
    parser.add_argument("--work", type=Path, metavar="FOLDER",
                        default=REPOSITORY / "build" / "scenes-judge",
                        help="where to keep manifests, stores and the table")
    arguments = parser.parse_args()
    for name in ("prompts", "edits", "steps", "ranks"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name} must be at least 1, not {getattr(arguments, name)}")
    return arguments


def _truth(prompts: list[Prompt]) -> np.ndarray:
    """What the generator draws of the same scenes: shows how well the observer sees."""
    pictures = [scenes.render(prompt.scene, scenes.scene_random(trials.FIRST_PROMPT + prompt.seed))
                for prompt in prompts]
    return np.stack([picture for picture, _ in pictures])


def prompt_lines(prompts: list[Prompt]) -> list[dict[str, Any]]:
    """The manifest's lines: a picture of each prompt."""
    return [{"id": f"prompt-{prompt.seed}", "source": scenes.full_caption(prompt.scene),
             "seed": prompt.seed, "targets": []} for prompt in prompts]


def edit_lines(edits: list[Edit]) -> list[dict[str, Any]]:
    """The manifest's lines. Pictures of each edit: source, target, target drawn anew."""
    lines = []
    for edit in edits:
        target = scenes.full_caption(edit.target)
        lines += [{"id": f"edit-{edit.seed}", "source": scenes.full_caption(edit.source),
                   "seed": edit.seed, "targets": [{"prompt": target} | edit.settings]},
                  {"id": f"anew-{edit.seed}", "source": target, "seed": edit.seed, "targets": []}]
    return lines


def _draw(folder: Path, model: Path, lines: list[dict[str, Any]],
          arguments: argparse.Namespace) -> np.ndarray:
    """All pictures of a manifest, uint8 [pictures, y, x, 3], made by promptmill."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    config = {"model": str(model.resolve()), "manifest": "manifest.jsonl", "store": "store.h5",
              "steps": arguments.steps, "guidance_scale": arguments.guidance,
              "scheduler": "ddim", "capture": {"latents": "none", "attention": []}}
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    command = ["mpirun", "-n", str(arguments.ranks), str(arguments.promptmill), "run",
               str(folder / "config.json")]
    status = subprocess.run(command).returncode
    if status:
        raise JudgeError(f"{' '.join(command)} ended with status {status}")
    with h5py.File(folder / "store.h5") as store:
        undone = int((store["entry"]["state"] != DONE).sum())
        if undone:
            raise JudgeError(f"{folder / 'store.h5'} has {undone} pictures that are not done")
        return store["image"][:]


def judge_prompts(prompts: Iterable[Prompt], sights: Iterable[Sight]) -> Outcomes:
    """What is as asked, of the pictures of one object, of two and of all."""
    outcomes: Outcomes = {"all": {}, "one object": {}, "two objects": {}}
    for prompt, sight in zip(prompts, sights, strict=True):
        scene = prompt.scene
        things = "two objects" if len(scene.things) == 2 else "one object"
        seen = {name: _things_right(scene, sight, name) for name in THING_VALUES
                if name != "colour" or scene.style != "drawing"}  # a drawing has no colours
        seen |= {name: getattr(sight, name) == getattr(scene, name) for name in SCENE_VALUES}
        _add(outcomes, things, seen | {"everything": all(seen.values())})
    return outcomes


def _add(outcomes: Outcomes, line: str, seen: dict[str, float]) -> None:
    """Count a trial in its own line and in that of all."""
    for measured in (outcomes["all"], outcomes[line]):
        for name, right in seen.items():
            measured.setdefault(name, []).append(right)


def _things_right(scene: Scene, sight: Sight, name: str) -> bool:
    """Kinds: whether there are just those asked for. Else: whether each asked for has its own."""
    if name == "kind":
        return Counter(thing.kind for thing in scene.things) == Counter(
            thing.kind for thing in sight.things)
    asked = Counter((thing.kind, getattr(thing, name)) for thing in scene.things)
    return not asked - Counter((thing.kind, getattr(thing, name)) for thing in sight.things)


def judge_edits(edits: Iterable[Edit], before: Iterable[Sight], after: Iterable[Sight],
                pixels: Iterable[float]) -> Outcomes:
    """Whether what was asked changed, and the rest did not; by the kind of edit."""
    outcomes: Outcomes = {"all": {}} | {kind: {} for kind in trials.KINDS}
    for edit, source, target, same in zip(edits, before, after, pixels, strict=True):
        kept, layout = _kept(edit, source, target), _layout_kept(source, target)
        _add(outcomes, edit.kind, {"changed": _changed(edit, target), "kept": kept,
                                   "layout kept": layout, "all else kept": kept and layout,
                                   "pixels kept": same})
    return outcomes


def pixels_kept(before: np.ndarray, after: np.ndarray) -> list[float]:
    """The part of each picture whose colours are about the same, of uint8 [pictures, y, x, 3]."""
    change = np.abs(before.astype(np.int16) - after).max(axis=3)
    return (change <= COLOUR).mean(axis=(1, 2)).tolist()


def _changed(edit: Edit, target: Sight) -> bool:
    """Whether the attribute is as the target asks."""
    if edit.changes in SCENE_VALUES:
        return getattr(target, edit.changes) == getattr(edit.target, edit.changes)
    new = set(edit.target.things) - set(edit.source.things)
    return all(any(seen.kind == thing.kind
                   and getattr(seen, edit.changes) == getattr(thing, edit.changes)
                   for seen in target.things) for thing in new)


def _kept(edit: Edit, source: Sight, target: Sight) -> bool:
    """Whether everything that can be seen but the attribute is as it was in the source's picture,
    whatever that shows; of one thing, the attribute may have changed."""
    names = [name for name in SCENE_VALUES if name != edit.changes]
    if any(getattr(source, name) != getattr(target, name) for name in names):
        return False
    if len(source.things) != len(target.things):
        return False
    colourless = "drawing" in (source.style, target.style)
    changed = 0
    for old, new in zip(source.things, target.things):
        different = [name for name in THING_VALUES if getattr(old, name) != getattr(new, name)
                     and not (name == "colour" and colourless)]
        changed += edit.changes in different
        if set(different) - {edit.changes}:
            return False
    return changed <= 1


def _layout_kept(source: Sight, target: Sight) -> bool:
    """Whether every thing is where one was."""
    return len(source.things) == len(target.things) and all(
        np.hypot(old.x - new.x, old.y - new.y) <= LAYOUT
        for old, new in zip(source.things, target.things))


def _table(title: str, outcomes: dict[str, Outcomes]) -> str:
    """Markdown: per cent of the trials; the models beside each other in every line."""
    some = next(iter(outcomes.values()))
    names = list(some["all"])
    lines = [f"| {title} | by | trials | {' | '.join(names)} |",
             "|---|---|---|" + "---|" * len(names)]
    for line in some:
        for model, of_model in outcomes.items():
            measured = of_model[line]
            cells = [f"{100 * np.mean(measured[name]):.1f}" if measured.get(name) else ""
                     for name in names]
            count = max(map(len, measured.values()), default=0)
            lines.append(f"| {line} | {model} | {count} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
