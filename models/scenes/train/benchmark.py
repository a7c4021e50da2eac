"""scenes-bench: an editing benchmark in PIE-Bench's format whose truth is known.

python3 -m train.benchmark FOLDER --cases N, in the folder that holds train/. Every case is a scene
drawn twice, before and after the edit, from the same chances: the mask is where the edit may be
seen, exactly, and the second picture is what an editor should have made.

    mapping_file.json    as PIE-Bench's (Ju et al. 2023, arXiv 2310.01506); masks are 512 x 512
    annotation_images/   the pictures to edit, by the mapping's image_path
    target_images/       what they should become, by the same path

Categories and their shares are PIE-Bench's, without its "change pose", for which captions have no
words. A case is a function of its category and number: a smaller edition is part of a larger one.
"""

import argparse
import difflib
import json
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from . import scenes
from .scenes import COLOURS, OBJECTS, PLACES, SIDE, STYLES, TEXTURES, TIMES, WEATHERS, Scene, Thing

MASK_SIDE = 512
FIRST_SEED = 1_000_000  # of the cases: no scene of the training has such a number


@dataclass(frozen=True)
class Case:
    """A scene before and after; `slots` say where the things of each stand, of `places`."""

    source: Scene
    target: Scene
    source_slots: tuple[int, ...]
    target_slots: tuple[int, ...]
    places: int
    blended_word: str
    instruction: str
    whole: bool = False  # the edit is of the whole picture


def _other(rng: random.Random, values: list[str], value: str) -> str:
    return rng.choice([v for v in values if v != value])


def _with_thing(scene: Scene, slot: int, **changes: str) -> Scene:
    things = list(scene.things)
    things[slot] = replace(things[slot], **changes)
    return replace(scene, things=tuple(things))


def _same_places(scene: Scene, target: Scene, blended_word: str, instruction: str,
                 whole: bool = False) -> Case:
    slots = tuple(range(len(scene.things)))
    return Case(scene, target, slots, slots, len(slots), blended_word, instruction, whole)


def _change_object(scene: Scene, rng: random.Random) -> Case:
    slot = rng.randrange(len(scene.things))
    old = scene.things[slot].kind
    new = _other(rng, OBJECTS, old)
    return _same_places(scene, _with_thing(scene, slot, kind=new), f"{old} {new}",
                        f"change the {old} to a {new}")


def _two_things(scene: Scene, rng: random.Random) -> Scene:
    """The scene with a second thing, of another kind."""
    first = scene.things[0]
    second = Thing(kind=_other(rng, OBJECTS, first.kind), colour=rng.choice(list(COLOURS)),
                   texture=rng.choice(TEXTURES))
    return replace(scene, things=(first, second))


def _add_object(scene: Scene, rng: random.Random) -> Case:
    both = _two_things(scene, rng)
    alone = replace(both, things=both.things[:1])
    return Case(alone, both, (0,), (0, 1), 2, "", f"add a {both.things[1].kind}")


def _delete_object(scene: Scene, rng: random.Random) -> Case:
    both = _two_things(scene, rng)
    alone = replace(both, things=both.things[:1])
    return Case(both, alone, (0, 1), (0,), 2, "", f"delete the {both.things[1].kind}")


def _change_content(scene: Scene, rng: random.Random) -> Case:
    """The time of day or the weather. Waves would move with the stars: not on the water."""
    scene = replace(scene, style="photo", time="", weather="",
                    place=scene.place if scene.place != "water" else "meadow")
    if rng.random() < 0.5:
        phrase = _other(rng, list(TIMES), "")
        target = replace(scene, time=phrase)
    else:
        phrase = _other(rng, WEATHERS, "")
        target = replace(scene, weather=phrase)
    return _same_places(scene, target, "", f"show it {phrase}", whole=True)


def _change_colour(scene: Scene, rng: random.Random) -> Case:
    slot = rng.randrange(len(scene.things))
    thing = scene.things[slot]
    new = _other(rng, list(COLOURS), thing.colour)
    return _same_places(scene, _with_thing(scene, slot, colour=new), f"{thing.kind} {thing.kind}",
                        f"make the {thing.kind} {new}")


def _change_material(scene: Scene, rng: random.Random) -> Case:
    slot = rng.randrange(len(scene.things))
    thing = scene.things[slot]
    new = _other(rng, TEXTURES, thing.texture)
    return _same_places(scene, _with_thing(scene, slot, texture=new), f"{thing.kind} {thing.kind}",
                        f"make the {thing.kind} {new or 'plain'}")


def _change_background(scene: Scene, rng: random.Random) -> Case:
    new = _other(rng, list(PLACES), scene.place)
    return _same_places(scene, replace(scene, place=new), f"{scene.place} {new}",
                        f"move it {scenes.PLACE_PHRASES[new]}")


def _change_style(scene: Scene, rng: random.Random) -> Case:
    scene = replace(scene, style="photo")
    style = _other(rng, STYLES, "photo")
    return _same_places(scene, replace(scene, style=style), "", f"make it a {style}", whole=True)


Change = Callable[[Scene, random.Random], Case]
CHANGES: dict[str, Change] = {
    "1": _change_object, "2": _add_object, "3": _delete_object, "4": _change_content,
    "6": _change_colour, "7": _change_material, "8": _change_background, "9": _change_style,
}


def _change_anything(scene: Scene, rng: random.Random) -> Case:
    change = rng.choice(list(CHANGES.values()))
    if change not in (_add_object, _delete_object) and rng.random() < 0.25:
        scene = _two_things(scene, rng)
    return change(scene, rng)


@dataclass(frozen=True)
class Category:
    name: str
    share: int  # PIE-Bench's number of them
    change: Change


CATEGORIES: dict[str, Category] = {
    "0": Category("random", 140, _change_anything),
    "1": Category("change_object", 80, _change_object),
    "2": Category("add_object", 80, _add_object),
    "3": Category("delete_object", 80, _delete_object),
    "4": Category("change_content", 40, _change_content),
    "6": Category("change_color", 40, _change_colour),
    "7": Category("change_material", 40, _change_material),
    "8": Category("change_background", 80, _change_background),
    "9": Category("change_style", 80, _change_style),
}


def draw(scene: Scene, slots: tuple[int, ...], places: int, seed: int) -> np.ndarray:
    """Draw a scene whose things stand in some of the places. What two scenes of one seed have in
    common is drawn alike. Returns uint8 [SIDE, SIDE, 3], RGB."""
    image, horizon = scenes.draw_background(scene, random.Random(f"{seed} background"))
    placements = scenes.place_things(places, horizon, random.Random(f"{seed} things"))
    for thing, slot in zip(scene.things, slots):
        image = scenes.draw_thing(image, thing, placements[slot], scene.time)
    return scenes.finish(image, scene, random.Random(f"{seed} finish"))


def mask(case: Case, source: np.ndarray, target: np.ndarray, seed: int) -> np.ndarray:
    """Where the pictures differ, and where things that changed stand in either, even if some of
    their pixels are equal. Returns bool [SIDE, SIDE]."""
    if case.whole:
        return np.ones((SIDE, SIDE), bool)
    result = (source != target).any(axis=-1)
    before = dict(zip(case.source_slots, case.source.things))
    after = dict(zip(case.target_slots, case.target.things))
    for things, scene, picture in ((before, case.source, source), (after, case.target, target)):
        rest = {slot: thing for slot, thing in things.items()
                if before.get(slot) == after.get(slot)}
        bare = replace(scene, things=tuple(rest.values()))
        result |= (picture != draw(bare, tuple(rest), case.places, seed)).any(axis=-1)
    return result


def runs(pixels: np.ndarray) -> list[int]:
    """PIE-Bench's form of a mask: start, length, start, length, ... at 512 x 512."""
    scale = MASK_SIDE // SIDE
    large = pixels.repeat(scale, 0).repeat(scale, 1).ravel().astype(np.int8)
    edges = np.flatnonzero(np.diff(large, prepend=0, append=0))
    return [int(v) for start, end in edges.reshape(-1, 2) for v in (start, end - start)]


def prompts(case: Case) -> tuple[str, str]:
    """Both captions, with what differs in brackets."""
    words = [scenes.full_caption(scene).split() for scene in (case.source, case.target)]
    marked: tuple[list[str], list[str]] = ([], [])
    for kind, a, b, c, d in difflib.SequenceMatcher(None, *words, autojunk=False).get_opcodes():
        for out, span in zip(marked, (words[0][a:b], words[1][c:d])):
            text = " ".join(span)
            out.extend([text] if kind == "equal" else [f"[{text}]"] if text else [])
    return " ".join(marked[0]), " ".join(marked[1])


def shares(cases: int) -> dict[str, int]:
    """How many of each category: PIE-Bench's proportions, by largest remainder, one at least."""
    total = sum(category.share for category in CATEGORIES.values())
    exact = {key: cases * category.share / total for key, category in CATEGORIES.items()}
    counts = {key: max(1, int(value)) for key, value in exact.items()}
    by_remainder = sorted(exact, key=lambda key: counts[key] - exact[key])
    for key in by_remainder[:max(0, cases - sum(counts.values()))]:
        counts[key] += 1
    return counts


def write_case(folder: Path, key: str, number: int) -> tuple[str, dict]:
    """Draw a case's pictures. Returns its id and its entry of the mapping."""
    category = CATEGORIES[key]
    identity = f"{key}{number:011d}"
    seed = FIRST_SEED + int(key) * 100_000 + number
    rng = random.Random(f"{seed} content")
    scene = scenes.sample_scene(rng)
    case = category.change(replace(scene, things=scene.things[:1]), rng)
    source = draw(case.source, case.source_slots, case.places, seed)
    target = draw(case.target, case.target_slots, case.places, seed)
    path = f"{key}_{category.name}/{identity}.png"
    for kind, picture in (("annotation_images", source), ("target_images", target)):
        file = folder / kind / path
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(file, optimize=True)
    original_prompt, editing_prompt = prompts(case)
    return identity, {"image_path": path, "original_prompt": original_prompt,
                      "editing_prompt": editing_prompt, "editing_instruction": case.instruction,
                      "editing_type_id": key, "blended_word": case.blended_word,
                      "mask": runs(mask(case, source, target, seed))}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python3 -m train.benchmark",
        description="Write scenes-bench: pictures to edit, exact masks, and what the edits should "
                    "make, in PIE-Bench's format.")
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--cases", type=int, default=700, metavar="N",
                        help="in all, shared out as PIE-Bench's categories (default: 700)")
    arguments = parser.parse_args()
    if not len(CATEGORIES) <= arguments.cases <= 500_000:
        parser.error(f"--cases {arguments.cases}: from {len(CATEGORIES)} to 500000 are wanted")
    mapping = dict(write_case(arguments.folder, key, number)
                   for key, count in shares(arguments.cases).items() for number in range(count))
    (arguments.folder / "mapping_file.json").write_text(json.dumps(mapping) + "\n")
    print(f"{arguments.folder}: {len(mapping)} cases")
    return 0


if __name__ == "__main__":
    sys.exit(main())
