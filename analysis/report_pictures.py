"""Pictures and maps as data: URIs for a page, small."""
from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

JPEG_QUALITY = 82
# Eleven points of "inferno" of Smith and van der Walt (matplotlib, CC0), as in the strips that are exported.
INFERNO = np.array([
    (0, 0, 4), (22, 11, 57), (66, 10, 104), (106, 23, 110), (147, 38, 103), (188, 55, 84), (221, 81, 58),
    (243, 120, 25), (252, 165, 10), (246, 215, 70), (252, 255, 164)])  # fmt: skip


def thumbnail(picture: np.ndarray, side: int) -> str:
    """@param picture  u8 [y, x, rgb]; it is made smaller where its longer side is above `side`"""
    image = Image.fromarray(picture)
    image.thumbnail((side, side), Image.LANCZOS)
    return _uri(image, "jpeg", quality=JPEG_QUALITY)


def heat_map(attention: np.ndarray) -> str:
    """A map from its least value, clear, to its greatest, to be laid over a picture.

    @param attention  f32 [map_y, map_x]"""
    finite = np.where(np.isfinite(attention), attention, 0)
    least, spread = finite.min(), np.ptp(finite)
    heat = (finite - least) / spread if spread > 0 else np.zeros_like(finite)
    points = np.arange(len(INFERNO)) / (len(INFERNO) - 1)
    channels = [np.interp(heat, points, INFERNO[:, channel]) for channel in range(3)]
    rgba = np.stack([*channels, heat * 255], axis=-1)
    return _uri(Image.fromarray(rgba.round().astype(np.uint8)), "png")


def _uri(image: Image.Image, kind: str, **options: object) -> str:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"
