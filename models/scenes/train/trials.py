"""What a model is tried with: prompts to draw, and edits of every kind.

A trial is a function of its number: fewer trials are part of more. Scenes have numbers that no
training has seen.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from . import scenes
from .scenes import COLOURS, OBJECTS, PLACES, STYLES, TEXTURES, TIMES, WEATHERS, Scene

FIRST_PROMPT = 3_000_000  # of the scenes' numbers
FIRST_EDIT = 4_000_000
PAIRS = 0.5  # part of the prompts with two objects


@dataclass(frozen=True)
class Prompt:
    """A scene to draw from its full caption."""

    scene: Scene
    seed: int


@dataclass(frozen=True)
class Edit:
    """A scene before and after, and the manifest's keys of the edit that leads there."""

    kind: str  # of KINDS
    changes: str  # the attribute of the scene or of one of its things
    source: Scene
    target: Scene
    seed: int
    settings: dict[str, Any] = field(default_factory=dict)


def prompt(number: int) -> Prompt:
    rng = scenes.scene_random(FIRST_PROMPT + number)
    return Prompt(_apart(scenes.sample_scene(rng, PAIRS), rng), number)


def edit(number: int) -> Edit:
    """The kinds take turns."""
    kind = list(KINDS)[number % len(KINDS)]
    rng = scenes.scene_random(FIRST_EDIT + number)
    scene = scenes.sample_scene(rng, pairs=1.0 if kind == "two objects" else 0.0)
    return KINDS[kind](kind, _apart(replace(scene, style="photo"), rng), rng, number)


def _apart(scene: Scene, rng: random.Random) -> Scene:
    """The scene with things of different kinds and colours, so that it can be told which has
    which."""
    if len(scene.things) == 1:
        return scene
    first, second = scene.things
    return replace(scene, things=(first, replace(
        second, kind=_other(rng, OBJECTS, first.kind),
        colour=_other(rng, list(COLOURS), first.colour))))


def _other(rng: random.Random, values: list[str], *known: str) -> str:
    return rng.choice([value for value in values if value not in known])


def _with_thing(scene: Scene, slot: int, **changes: str) -> Scene:
    things = list(scene.things)
    things[slot] = replace(things[slot], **changes)
    return replace(scene, things=tuple(things))


def _listening(word: str, share: float = 0.2, self_replace_steps: float = 0.2) -> dict[str, Any]:
    """Keep the source's attention, but let the new word find its own place."""
    return {"cross_replace_steps": {"default": 0.8, word: share},
            "self_replace_steps": self_replace_steps}


def _object(kind: str, scene: Scene, rng: random.Random, seed: int) -> Edit:
    new = _other(rng, OBJECTS, scene.things[0].kind)
    return Edit(kind, "kind", scene, _with_thing(scene, 0, kind=new), seed,
                {"edit": "replace"} | _listening(new, 0.3))


def _colour(kind: str, scene: Scene, rng: random.Random, seed: int) -> Edit:
    new = _other(rng, list(COLOURS), scene.things[0].colour)
    return Edit(kind, "colour", scene, _with_thing(scene, 0, colour=new), seed,
                {"edit": "replace"} | _listening(new, self_replace_steps=0.4))


def _texture(kind: str, scene: Scene, rng: random.Random, seed: int) -> Edit:
    old = rng.choice(TEXTURES)
    new = _other(rng, TEXTURES, old, "")
    return Edit(kind, "texture", _with_thing(scene, 0, texture=old),
                _with_thing(scene, 0, texture=new), seed,
                {"edit": "replace" if old else "refine"}
                | _listening(new, self_replace_steps=0.4))


def _place(kind: str, scene: Scene, rng: random.Random, seed: int) -> Edit:
    new = _other(rng, list(PLACES), scene.place)
    return Edit(kind, "place", scene, replace(scene, place=new), seed,
                {"edit": "replace"} | _listening(new))


def _time(kind: str, scene: Scene, rng: random.Random, seed: int) -> Edit:
    new = _other(rng, list(TIMES), "")
    word = new.split()[-1]
    return Edit(kind, "time", replace(scene, time=""), replace(scene, time=new), seed,
                {"edit": "refine", "cross_replace_steps": 0.4, "self_replace_steps": 0.1,
                 "equalizer": {word: 2.0}})


def _weather(kind: str, scene: Scene, rng: random.Random, seed: int) -> Edit:
    new = _other(rng, WEATHERS, "")
    return Edit(kind, "weather", replace(scene, weather=""), replace(scene, weather=new), seed,
                {"edit": "refine"} | _listening(new.split()[-1]))


def _style(kind: str, scene: Scene, rng: random.Random, seed: int) -> Edit:
    new = _other(rng, STYLES, "photo")
    return Edit(kind, "style", scene, replace(scene, style=new), seed,
                {"edit": "replace"} | _listening(new))


def _two_objects(kind: str, scene: Scene, rng: random.Random, seed: int) -> Edit:
    """One of two things becomes another, or has another colour."""
    slot = rng.randrange(2)
    thing, other = scene.things[slot], scene.things[1 - slot]
    if rng.random() < 0.5:
        new = _other(rng, OBJECTS, thing.kind, other.kind)
        return Edit(kind, "kind", scene, _with_thing(scene, slot, kind=new), seed,
                    {"edit": "replace"} | _listening(new, 0.3))
    new = _other(rng, list(COLOURS), thing.colour, other.colour)
    return Edit(kind, "colour", scene, _with_thing(scene, slot, colour=new), seed,
                {"edit": "replace"} | _listening(new, self_replace_steps=0.4))


KINDS: dict[str, Callable[[str, Scene, random.Random, int], Edit]] = {
    "object": _object, "colour": _colour, "texture": _texture, "place": _place, "time": _time,
    "weather": _weather, "style": _style, "two objects": _two_objects,
}
