"""Captioned scenes: one or two plain objects in a place, at a time, in a weather, in a style.

Everything a caption may say and everything a picture may show is in the tables below. A scene, its
picture and its captions come from one random.Random in a fixed order, so that a scene is a
function of its index alone (see scene_random), whatever process draws it.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from .shapes import Colour, draw_object

SIDE = 128  # of a picture, in pixels
CANVAS = 2 * SIDE  # drawn at twice the size and scaled down, for smooth edges

COLOURS: dict[str, Colour] = {
    "red": (214, 40, 40), "orange": (240, 128, 20), "yellow": (248, 208, 40),
    "green": (44, 160, 66), "blue": (38, 92, 214), "purple": (136, 52, 190),
    "pink": (244, 120, 180), "white": (240, 240, 240), "black": (36, 36, 40),
}
OBJECTS = ["ball", "cube", "star", "heart", "house", "tree", "mushroom", "cup", "fish", "boat",
           "car", "cactus"]
TEXTURES = ["", "striped", "dotted"]
# The ground's colour at the horizon and at the lower edge.
PLACES: dict[str, tuple[Colour, Colour]] = {
    "meadow": ((126, 190, 90), (96, 160, 70)), "desert": ((226, 192, 128), (206, 166, 100)),
    "snow": ((238, 242, 248), (214, 224, 236)), "road": ((120, 120, 126), (96, 96, 102)),
    "water": ((60, 130, 190), (40, 100, 165)),
}
PLACE_PHRASES = {"meadow": "on a meadow", "desert": "in the desert", "snow": "in the snow",
                 "road": "on a road", "water": "on the water"}
# The sky's colour at the upper and at the lower edge; the empty time is plain day.
TIMES: dict[str, tuple[Colour, Colour]] = {
    "": ((150, 205, 245), (205, 232, 250)), "at sunset": ((250, 140, 70), (255, 205, 120)),
    "at night": ((14, 18, 52), (36, 44, 92)),
}
DAYLIGHT = {"": 1.0, "at sunset": 0.85, "at night": 0.42}
WEATHERS = ["", "in the fog", "in the rain"]
STYLES = ["photo", "drawing", "painting", "mosaic"]


@dataclass(frozen=True)
class Thing:
    """One object: its kind, colour and texture, as words of the tables above."""

    kind: str
    colour: str
    texture: str


@dataclass(frozen=True)
class Scene:
    """What a picture shows, as words of the tables above; two things stand side by side."""

    style: str
    things: tuple[Thing, ...]
    place: str
    time: str
    weather: str


@dataclass(frozen=True)
class Placement:
    """Where a thing stands, in pixels of the canvas."""

    x: float
    y: float
    radius: float


def scene_random(index: int) -> random.Random:
    """The source of chance for scene `index`: for its content, its picture, then its captions."""
    return random.Random(1000003 * index + 17)


def sample_scene(rng: random.Random, pairs: float = 0.45) -> Scene:
    """Draw a scene: two objects in `pairs` of all; rather plain, by day, in clear weather, a
    photo."""
    count = 1 if rng.random() < 1 - pairs else 2
    things = tuple(Thing(kind=rng.choice(OBJECTS), colour=rng.choice(list(COLOURS)),
                         texture=rng.choices(TEXTURES, [0.6, 0.2, 0.2])[0])
                   for _ in range(count))
    return Scene(style=rng.choices(STYLES, [0.55, 0.15, 0.15, 0.15])[0], things=things,
                 place=rng.choice(list(PLACES)),
                 time=rng.choices(list(TIMES), [0.5, 0.25, 0.25])[0],
                 weather=rng.choices(WEATHERS, [0.7, 0.15, 0.15])[0])


def caption(scene: Scene, rng: random.Random, omit: float = 0.15) -> str:
    """Describe the scene; about `omit` of the colours and places stay unsaid.

    Omission teaches the model that what a prompt leaves open is its own to choose. What is rarer
    in the pictures (textures, times, weathers) is left out less often.
    """
    parts = [" next to ".join(_thing_phrase(thing, rng, omit) for thing in scene.things)]
    if rng.random() > omit:
        parts.append(PLACE_PHRASES[scene.place])
    if scene.time and rng.random() > omit * 0.5:
        parts.append(scene.time)
    if scene.weather and rng.random() > omit * 0.3:
        parts.append(scene.weather)
    text = " ".join(parts)
    if scene.style != "photo" or rng.random() < 0.5:
        text = f"a {scene.style} of {text}"
    return text


class _Unhurried(random.Random):
    """Chances with which a caption names everything, and a photo as such."""

    def random(self) -> float:
        return 0.4


def full_caption(scene: Scene) -> str:
    """The caption that leaves nothing out."""
    return caption(scene, _Unhurried())


def _thing_phrase(thing: Thing, rng: random.Random, omit: float) -> str:
    words = []
    if thing.texture and rng.random() > omit * 0.5:
        words.append(thing.texture)
    if rng.random() > omit:
        words.append(thing.colour)
    words.append(thing.kind)
    article = "an" if words[0][0] in "aeiou" else "a"
    return " ".join([article, *words])


def render(scene: Scene, rng: random.Random) -> tuple[np.ndarray, list[Placement]]:
    """Draw the scene. Returns uint8 [SIDE, SIDE, 3], RGB, and where each thing stands."""
    image, horizon = draw_background(scene, rng)
    placements = place_things(len(scene.things), horizon, rng)
    for thing, place in zip(scene.things, placements):
        image = draw_thing(image, thing, place, scene.time)
    return finish(image, scene, rng), placements


def left_to_right(scene: Scene, placements: list[Placement]) -> Scene:
    """The scene with its things in the order in which they stand, for a caption that tells it."""
    order = sorted(range(len(placements)), key=lambda number: placements[number].x)
    return replace(scene, things=tuple(scene.things[number] for number in order))


def finish(image: Image.Image, scene: Scene, rng: random.Random) -> np.ndarray:
    """Weather, size and style. Returns uint8 [SIDE, SIDE, 3], RGB."""
    image = WEATHER_EFFECTS[scene.weather](image, rng) if scene.weather else image
    image = image.resize((SIDE, SIDE), Image.LANCZOS)
    image = STYLE_EFFECTS[scene.style](image, rng) if scene.style != "photo" else image
    return np.asarray(image.convert("RGB"))


def draw_background(scene: Scene, rng: random.Random) -> tuple[Image.Image, int]:
    """Sky with its light and ground with the water's waves. Returns the horizon's row as well."""
    daylight = DAYLIGHT[scene.time]
    horizon = int(CANVAS * rng.uniform(0.42, 0.58))
    pixels = np.concatenate([_gradient(*TIMES[scene.time], CANVAS)[:horizon],
                             _gradient(*PLACES[scene.place], CANVAS - horizon) * daylight])
    image = _to_image(pixels)
    draw = ImageDraw.Draw(image)
    sun_x, sun_y = int(CANVAS * rng.uniform(0.1, 0.9)), int(CANVAS * rng.uniform(0.08, 0.22))
    if scene.time == "at night":
        for _ in range(24):
            x, y = rng.uniform(0, CANVAS), rng.uniform(0, horizon * 0.9)
            _disc(draw, x, y, rng.uniform(0.5, 1.3) * CANVAS / SIDE, (250, 250, 220))
        _disc(draw, sun_x, sun_y, 20, (240, 240, 220))
    elif scene.time == "at sunset":
        _disc(draw, sun_x, horizon - int(CANVAS * 0.06), 34, (255, 240, 170))
        image.paste(_to_image(pixels[horizon:]), (0, horizon))  # the ground hides half of the sun
    else:
        _disc(draw, sun_x, sun_y, 26, (255, 236, 120))
    if scene.place == "water":
        crest = tuple(int(v * daylight) for v in (150, 200, 235))
        for _ in range(14):
            x, y = rng.uniform(0, CANVAS), rng.uniform(horizon, CANVAS)
            draw.line([x, y, x + rng.uniform(10, 40), y], fill=crest, width=3)
    return image, horizon


def place_things(count: int, horizon: int, rng: random.Random) -> list[Placement]:
    """Where one thing stands, or two side by side."""
    single = count == 1
    if single:
        centres = [rng.uniform(0.34, 0.66)]
    else:
        centres = [rng.uniform(0.22, 0.32), rng.uniform(0.68, 0.78)]
        if rng.random() < 0.5:
            centres.reverse()
    placements = []
    for centre in centres:
        radius = CANVAS * (rng.uniform(0.19, 0.27) if single else rng.uniform(0.14, 0.19))
        y = max(horizon + CANVAS * rng.uniform(0.0, 0.12), CANVAS * 0.5)
        placements.append(Placement(centre * CANVAS, y, radius))
    return placements


def draw_thing(image: Image.Image, thing: Thing, place: Placement, time: str) -> Image.Image:
    """The thing with its shadow, in the light of the time of day."""
    light = 0.55 + 0.45 * DAYLIGHT[time] if time else 1
    x, y, radius = place.x, place.y, place.radius
    shadow = [x - radius, y + radius * 0.85, x + radius, y + radius * 1.12]
    ImageDraw.Draw(image, "RGBA").ellipse(shadow, fill=(0, 0, 0, 70))
    colour = tuple(int(v) for v in np.array(COLOURS[thing.colour], dtype=float) * light)
    return draw_object(image, thing.kind, colour, thing.texture, x, y, radius)


def _fog(image: Image.Image, rng: random.Random) -> Image.Image:
    density = rng.uniform(0.35, 0.7)
    clear = np.asarray(image).astype(np.float32)
    mixed = clear * (1 - density) + np.array([212, 216, 220]) * density
    return Image.fromarray(mixed.astype(np.uint8))


def _rain(image: Image.Image, rng: random.Random) -> Image.Image:
    draw = ImageDraw.Draw(image, "RGBA")
    for _ in range(rng.randint(50, 110)):
        x, y = rng.uniform(0, CANVAS), rng.uniform(0, CANVAS)
        draw.line([x, y, x - 8, y + 26], fill=(220, 230, 250, 190), width=3)
    return image


def _drawing(image: Image.Image, _rng: random.Random) -> Image.Image:
    """Dark lines where the brightness changes, on nearly white paper."""
    grey = np.asarray(image.convert("L")).astype(np.float32)
    edges = (np.abs(np.diff(grey, axis=1, prepend=grey[:, :1]))
             + np.abs(np.diff(grey, axis=0, prepend=grey[:1])))
    ink = 250 - np.clip(edges * 5, 0, 255) * 0.9 - (255 - grey) * 0.18
    return _to_image(np.stack([ink] * 3, -1))


def _painting(image: Image.Image, rng: random.Random) -> Image.Image:
    """Flat patches, strong contrast and the grain of a coarse canvas."""
    patches = np.asarray(image.filter(ImageFilter.ModeFilter(5))).astype(np.float32)
    noise = np.random.RandomState(rng.randint(0, 1 << 30)).randn(SIDE // 4, SIDE // 4, 1)
    grain = noise.repeat(4, 0).repeat(4, 1) * 12
    return _to_image((patches - 128) * 1.25 + 136 + grain)


def _mosaic(image: Image.Image, _rng: random.Random) -> Image.Image:
    """Tiles of 8 x 8 pixels."""
    return image.resize((SIDE // 8, SIDE // 8), Image.BOX).resize((SIDE, SIDE), Image.NEAREST)


Effect = Callable[[Image.Image, random.Random], Image.Image]
WEATHER_EFFECTS: dict[str, Effect] = {"in the fog": _fog, "in the rain": _rain}
STYLE_EFFECTS: dict[str, Effect] = {"drawing": _drawing, "painting": _painting, "mosaic": _mosaic}


def _gradient(upper: Colour, lower: Colour, rows: int) -> np.ndarray:
    """float64 [rows, CANVAS, 3], from the colour `upper` to the colour `lower`."""
    part = np.linspace(0, 1, rows)[:, None, None]
    column = np.array(upper)[None, None] * (1 - part) + np.array(lower)[None, None] * part
    return np.broadcast_to(column, (rows, CANVAS, 3))


def _to_image(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _disc(draw: ImageDraw.ImageDraw, x: float, y: float, radius: float, colour: Colour) -> None:
    draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=colour)
