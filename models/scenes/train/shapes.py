"""The shapes of the twelve objects, as data, and how one is drawn.

Coordinates are relative to the object: the centre is (0, 0), x grows to the right, y downwards,
and 1 is the object's radius.
"""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
Points = tuple[tuple[float, float], ...]

WOOD: Colour = (104, 68, 40)
GLASS: Colour = (190, 225, 245)
TYRE: Colour = (24, 24, 26)


@dataclass(frozen=True)
class Part:
    """One outline. Boxes (all but polygons) are given by two opposite corners."""

    outline: str  # ellipse, rectangle, rounded, polygon, upper half or handle
    points: Points
    colour: Colour | None = None  # of a detail; None: a darker shade of the object's own colour
    corner: float = 0.0  # radius of the corners of a rounded box


def _star() -> Points:
    lengths = [1 if k % 2 == 0 else 0.45 for k in range(10)]
    return tuple((length * math.sin(math.pi * k / 5), -length * math.cos(math.pi * k / 5))
                 for k, length in enumerate(lengths))


def _heart() -> Points:
    angles = [2 * math.pi * k / 60 for k in range(60)]
    return tuple((math.sin(t) ** 3,
                  -(13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t)
                    - math.cos(4 * t)) / 16)
                 for t in angles)


# The body carries the object's colour, texture and shading.
BODIES: dict[str, list[Part]] = {
    "ball": [Part("ellipse", ((-1, -1), (1, 1)))],
    "cube": [Part("rectangle", ((-0.85, -0.85), (0.85, 0.85)))],
    "star": [Part("polygon", _star())],
    "heart": [Part("polygon", _heart())],
    "house": [Part("rectangle", ((-0.8, -0.1), (0.8, 1)))],
    "tree": [Part("polygon", ((0, -1), (-0.75, 0.5), (0.75, 0.5)))],
    "mushroom": [Part("upper half", ((-1, -0.9), (1, 0.9)))],
    "cup": [Part("polygon", ((-0.75, -0.8), (0.75, -0.8), (0.55, 1), (-0.55, 1)))],
    "fish": [Part("ellipse", ((-1, -0.55), (0.6, 0.55))),
             Part("polygon", ((0.45, 0), (1, -0.5), (1, 0.5)))],
    "boat": [Part("polygon", ((-1, 0.3), (1, 0.3), (0.6, 1), (-0.6, 1)))],
    "car": [Part("rounded", ((-1, -0.1), (1, 0.6)), corner=0.2),
            Part("rounded", ((-0.55, -0.6), (0.5, 0.1)), corner=0.2)],
    "cactus": [Part("rounded", ((-0.22, -1), (0.22, 1)), corner=0.2),
               Part("rounded", ((-0.8, -0.3), (-0.45, 0.3)), corner=0.15),
               Part("rectangle", ((-0.7, 0.02), (0, 0.3))),
               Part("rounded", ((0.45, -0.55), (0.8, 0.1)), corner=0.15),
               Part("rectangle", ((0, -0.15), (0.7, 0.1)))],
}

# Details are drawn over the body, each in its own colour.
DETAILS: dict[str, list[Part]] = {
    "house": [Part("polygon", ((-1, -0.1), (0, -1), (1, -0.1))),
              Part("rectangle", ((-0.18, 0.4), (0.18, 1)), (92, 60, 36))],
    "tree": [Part("rectangle", ((-0.14, 0.5), (0.14, 1)), WOOD)],
    "mushroom": [Part("rectangle", ((-0.28, 0), (0.28, 1)), (238, 226, 200))],
    "cup": [Part("handle", ((0.4, -0.5), (1.15, 0.5)))],
    "fish": [Part("ellipse", ((-0.7, -0.2), (-0.5, 0)), (10, 10, 10))],
    "boat": [Part("rectangle", ((-0.05, -1), (0.05, 0.3)), WOOD),
             Part("polygon", ((0.08, -0.95), (0.08, 0.15), (0.8, 0.15)), (250, 250, 245))],
    "car": [Part("ellipse", ((-0.74, 0.38), (-0.26, 0.86)), TYRE),
            Part("ellipse", ((0.26, 0.38), (0.74, 0.86)), TYRE),
            Part("rectangle", ((-0.4, -0.48), (-0.05, -0.12)), GLASS),
            Part("rectangle", ((0.02, -0.48), (0.36, -0.12)), GLASS)],
}


def draw_object(image: Image.Image, kind: str, colour: Colour, texture: str,
                x: float, y: float, radius: float) -> Image.Image:
    """Return a copy of `image` with the object drawn at (x, y); `texture` may be empty."""
    mask = Image.new("L", image.size, 0)
    for part in BODIES[kind]:
        _draw_part(ImageDraw.Draw(mask), part, x, y, radius, 255)
    skin = Image.new("RGB", image.size, colour)
    _draw_texture(ImageDraw.Draw(skin), texture, colour, x, y, radius)

    # Light falls from the upper left.
    rows, columns = np.mgrid[0:image.height, 0:image.width]
    shade = 1.0 - 0.28 * np.clip(((columns - x) + (rows - y)) / (2.0 * radius), -1, 1)
    lit = np.asarray(skin).astype(np.float32) * shade[..., None]
    cover = np.asarray(mask).astype(np.float32)[..., None] / 255
    pixels = np.asarray(image).astype(np.float32) * (1 - cover) + lit * cover
    result = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))

    darker = tuple(int(v * 0.6) for v in colour)
    for part in DETAILS.get(kind, []):
        _draw_part(ImageDraw.Draw(result), part, x, y, radius, part.colour or darker)
    return result


def _draw_part(draw: ImageDraw.ImageDraw, part: Part, x: float, y: float, radius: float,
               fill: int | Colour) -> None:
    points = [(x + radius * px, y + radius * py) for px, py in part.points]
    match part.outline:
        case "ellipse":
            draw.ellipse(points, fill=fill)
        case "rectangle":
            draw.rectangle(points, fill=fill)
        case "rounded":
            draw.rounded_rectangle(points, radius=int(radius * part.corner), fill=fill)
        case "polygon":
            draw.polygon(points, fill=fill)
        case "upper half":
            draw.pieslice(points, 180, 360, fill=fill)
        case "handle":
            draw.arc(points, 270, 90, fill=fill, width=max(2, int(radius * 0.16)))
        case _:
            raise ValueError(f"no such outline: {part.outline}")


def _draw_texture(draw: ImageDraw.ImageDraw, texture: str, colour: Colour,
                  x: float, y: float, radius: float) -> None:
    """Stripes or dots in a shade that stands out: lighter on dark colours, darker on light ones."""
    if sum(colour) < 560:
        contrast = tuple(int(v + (255 - v) * 0.75) for v in colour)
    else:
        contrast = tuple(int(v * 0.35) for v in colour)
    if texture == "striped":
        step = radius * 0.42
        left = x - 2 * radius
        while left < x + 2 * radius:
            draw.rectangle([left, y - 2 * radius, left + step * 0.5, y + 2 * radius],
                           fill=contrast)
            left += step
    elif texture == "dotted":
        step = radius * 0.5
        for row in range(-4, 5):
            for column in range(-4, 5):
                dot_x, dot_y = x + (column + 0.5 * (row % 2)) * step, y + row * step
                draw.ellipse([dot_x - step * 0.24, dot_y - step * 0.24,
                              dot_x + step * 0.24, dot_y + step * 0.24], fill=contrast)
