"""Pictures whose things' places are known, to hold masks of attention against; or captions alone.

    bench/masks_cases.py FOLDER [--first N] [--count N]     pictures with truth
    bench/masks_cases.py --captions N >prompts.jsonl        a manifest of prompts to make pictures of

A case is a scene of the generator of models/scenes with a number that no scene of its training has:

    FOLDER/manifest.jsonl   a line a case: caption, picture, and in "meta" the words whose things it has
    FOLDER/images/ID.png    the picture, with shadows, weather and style
    FOLDER/truth/ID.png     u8: 0 the sky and all that has no word, else 1 + which of the words is there

A thing is where its shape covers half of a pixel or more, without its shadow, and the later one where two
overlap; the place ("meadow", "road") is the ground below the horizon that no thing covers.
"""
import argparse
import json
import random
import sys
from dataclasses import replace
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "models" / "scenes"))
import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402
from train import scenes, shapes  # noqa: E402
from train.benchmark import prompts as captions_of  # noqa: E402
from train.benchmark import Case  # noqa: E402

FIRST = 2_000_000  # scenes-bench's begin at 1 000 000


def scene_of(number: int) -> scenes.Scene:
    """A scene whose things are of different kinds, so that a word is of one thing."""
    chances = random.Random(f"{number} content")
    scene = scenes.sample_scene(chances)
    while len({thing.kind for thing in scene.things}) < len(scene.things):
        scene = scenes.sample_scene(chances)
    return scene


def caption_of(scene: scenes.Scene) -> str:
    """With all that there is in it."""
    return captions_of(Case(scene, scene, (), (), 0, "", ""))[0]


def covered(thing: scenes.Thing, place: scenes.Placement) -> np.ndarray:
    """Where a thing hides what is behind it: the same over either background. bool [SIDE, SIDE]"""
    over = []
    for background in (255, 0, 255), (0, 255, 0):
        canvas = Image.new("RGB", (scenes.CANVAS, scenes.CANVAS), background)
        drawn = shapes.draw_object(canvas, thing.kind, scenes.COLOURS[thing.colour], thing.texture,
                                   place.x, place.y, place.radius)  # fmt: skip
        over.append(np.asarray(drawn))
    hidden = (over[0] == over[1]).all(axis=-1)
    scale = scenes.CANVAS // scenes.SIDE
    return hidden.reshape(scenes.SIDE, scale, scenes.SIDE, scale).mean(axis=(1, 3)) >= 0.5


def draw(scene: scenes.Scene, number: int) -> tuple[np.ndarray, np.ndarray]:
    """The picture and the truth."""
    image, horizon = scenes.draw_background(scene, random.Random(f"{number} background"))
    places = scenes.place_things(len(scene.things), horizon, random.Random(f"{number} things"))
    truth = np.zeros((scenes.SIDE, scenes.SIDE), np.uint8)
    truth[horizon * scenes.SIDE // scenes.CANVAS :] = len(scene.things) + 1
    for slot, (thing, place) in enumerate(zip(scene.things, places)):
        image = scenes.draw_thing(image, thing, place, scene.time)
        truth[covered(thing, place)] = slot + 1
    return scenes.finish(image, scene, random.Random(f"{number} finish")), truth


def write_cases(folder: Path, first: int, count: int) -> None:
    for name in "images", "truth":
        (folder / name).mkdir(parents=True, exist_ok=True)
    with open(folder / "manifest.jsonl", "w") as manifest:
        for number in range(FIRST + first, FIRST + first + count):
            scene = scene_of(number)
            picture, truth = draw(scene, number)
            Image.fromarray(picture).save(folder / "images" / f"{number}.png")
            Image.fromarray(truth).save(folder / "truth" / f"{number}.png")
            words = [thing.kind for thing in scene.things] + [scene.place]
            line = {"id": str(number), "source": caption_of(scene), "image": f"images/{number}.png",
                    "meta": {"words": words}}  # fmt: skip
            manifest.write(json.dumps(line) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", metavar="FOLDER")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="the first case's number (default: 0)")
    parser.add_argument("--count", type=int, default=240, metavar="N", help="of cases (default: 240)")
    parser.add_argument("--captions", type=int, metavar="N", help="print a manifest of N captions instead")
    arguments = parser.parse_args()
    if (arguments.folder is None) == (arguments.captions is None):
        parser.error("either FOLDER or --captions is wanted")
    if arguments.folder:
        write_cases(arguments.folder, arguments.first, arguments.count)
        return
    for number in range(FIRST, FIRST + arguments.captions):
        scene = scene_of(number)
        words = [thing.kind for thing in scene.things] + [scene.place]
        print(json.dumps({"id": str(number), "source": caption_of(scene), "seed": number,
                          "meta": {"words": words}}))  # fmt: skip


if __name__ == "__main__":
    main()
