"""Pictures by which to learn to see, each with labels of what it shows.

Apart from observer.py, for the processes that draw need no torch.
"""

import numpy as np

from . import scenes
from .scenes import CANVAS, SIDE, Placement, Scene

THING_VALUES = {"kind": scenes.OBJECTS, "colour": list(scenes.COLOURS),
                "texture": scenes.TEXTURES}
SCENE_VALUES = {"place": list(scenes.PLACES), "time": list(scenes.TIMES),
                "weather": scenes.WEATHERS, "style": scenes.STYLES}
MOST_THINGS = 2
UNKNOWN = -100  # what cross_entropy passes over
# A row of labels: the scene's values, then for each thing x and y in pixels and its values.
SCENE_COLUMNS = len(SCENE_VALUES)
THING_COLUMNS = 2 + len(THING_VALUES)
COLUMNS = SCENE_COLUMNS + MOST_THINGS * THING_COLUMNS


def labels_of(scene: Scene, placements: list[Placement]) -> np.ndarray:
    """float32 [COLUMNS]: values as their numbers, UNKNOWN where there is none to be seen."""
    row = np.full(COLUMNS, UNKNOWN, np.float32)
    row[:SCENE_COLUMNS] = [values.index(getattr(scene, name))
                           for name, values in SCENE_VALUES.items()]
    for number, (thing, place) in enumerate(zip(scene.things, placements)):
        start = SCENE_COLUMNS + number * THING_COLUMNS
        numbers = [values.index(getattr(thing, name)) for name, values in THING_VALUES.items()]
        if scene.style == "drawing":
            numbers[list(THING_VALUES).index("colour")] = UNKNOWN
        row[start:start + THING_COLUMNS] = [place.x * SIDE / CANVAS, place.y * SIDE / CANVAS,
                                            *numbers]
    return row


def view(index: int, pairs: float) -> tuple[np.ndarray, np.ndarray]:
    """Scene number `index`: its picture and its labels."""
    rng = scenes.scene_random(index)
    scene = scenes.sample_scene(rng, pairs)
    picture, placements = scenes.render(scene, rng)
    return picture, labels_of(scene, placements)
