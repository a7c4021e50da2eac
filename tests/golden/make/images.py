"""Small pictures of every kind, what Pillow reads in them, and what it makes of them at other sizes.

    python3 -m venv venv && venv/bin/pip install -r tests/golden/make/requirements.txt
    venv/bin/python tests/golden/make/images.py    # writes tests/golden/data/images

images.json lists the files ("read"), whose pixels are the tensors of the same names, and the cases of
cropping and resizing ("fit"), whose pixels are the tensors "fit.N".
"""

import json
import pathlib
import struct
import zlib

import numpy as np
from PIL import Image, ImageOps

from tensors import write_safetensors

OUT = pathlib.Path(__file__).resolve().parent.parent / "data" / "images"
GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6  # PNG's colour types
HEIGHT, WIDTH = 9, 13
random = np.random.default_rng(5)


def samples(channels, maximum, dtype=np.uint16):
    return random.integers(0, maximum + 1, (HEIGHT, WIDTH, channels)).astype(dtype)


# --- PNG: Pillow writes neither 16 bits of colour nor interlaced files -----------------------------


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def pack_rows(pixels, depth):
    """[height, width, channels] to PNG's bytes, each row with filter 0."""
    if pixels.shape[0] == 0 or pixels.shape[1] == 0:
        return b""
    rows = b""
    for row in pixels.reshape(pixels.shape[0], -1):
        if depth == 16:
            data = row.astype(">u2").tobytes()
        elif depth == 8:
            data = row.astype(np.uint8).tobytes()
        else:
            bits = "".join(format(value, f"0{depth}b") for value in row)
            bits += "0" * (-len(bits) % 8)
            data = int(bits, 2).to_bytes(len(bits) // 8, "big")
        rows += b"\0" + data
    return rows


ADAM7 = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]


def write_png(name, pixels, color_type, depth, interlaced=False, chunks=b"", exif=None):
    height, width = pixels.shape[:2]
    if interlaced:
        raw = b"".join(pack_rows(pixels[y::dy, x::dx], depth) for y, x, dy, dx in ADAM7)
    else:
        raw = pack_rows(pixels, depth)
    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, int(interlaced))
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunks + chunk(b"IDAT", zlib.compress(raw, 9))
    if exif:
        data += chunk(b"eXIf", exif)
    (OUT / name).write_bytes(data + chunk(b"IEND", b""))


def palette(entries):
    return chunk(b"PLTE", random.integers(0, 256, (entries, 3)).astype(np.uint8).tobytes())


def transparency(values):
    return chunk(b"tRNS", bytes(values))


def write_pngs():
    for depth in (1, 2, 4, 8, 16):
        write_png(f"grey{depth}.png", samples(1, 2**depth - 1), GREY, depth)
    for depth in (1, 2, 4, 8):
        write_png(f"palette{depth}.png", samples(1, 2**depth - 1), PALETTE, depth, chunks=palette(2**depth))
    for depth in (8, 16):
        maximum = 2**depth - 1
        write_png(f"rgb{depth}.png", samples(3, maximum), RGB, depth)
        write_png(f"grey-alpha{depth}.png", samples(2, maximum), GREY_ALPHA, depth)
        write_png(f"rgba{depth}.png", samples(4, maximum), RGBA, depth)
        write_png(f"interlaced-rgba{depth}.png", samples(4, maximum), RGBA, depth, interlaced=True)
    write_png("interlaced-grey1.png", samples(1, 1), GREY, 1, interlaced=True)
    write_png("interlaced-palette4.png", samples(1, 15), PALETTE, 4, interlaced=True, chunks=palette(16))
    write_png("palette-alpha.png", samples(1, 3), PALETTE, 2, chunks=palette(4) + transparency([0, 77, 254]))
    write_png("grey-key.png", samples(1, 3), GREY, 2, chunks=transparency([0, 2]))
    rgb = samples(3, 255)
    rgb[3:6, 2:7] = (1, 2, 3)
    write_png("rgb-key.png", rgb, RGB, 8, chunks=transparency([0, 1, 0, 2, 0, 3]))
    write_png("gamma.png", samples(3, 255), RGB, 8, chunks=chunk(b"gAMA", struct.pack(">I", 100000)))
    write_png("exif.png", samples(3, 255), RGB, 8, exif=exif_data(6, ">"))


# --- JPEG -------------------------------------------------------------------------------------------


def exif_data(orientation, byte_order):
    """A TIFF header and a directory of two entries: the camera's maker, and the orientation."""
    start = b"MM\0*" if byte_order == ">" else b"II*\0"
    entries = struct.pack(byte_order + "HHI4s", 0x010F, 2, 4, b"abc\0")
    entries += struct.pack(byte_order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    return start + struct.pack(byte_order + "IH", 8, 2) + entries + bytes(4)


def smooth(height, width):
    """A picture that JPEG is made for: waves, an edge, a little grain."""
    y, x = np.mgrid[0:height, 0:width]
    waves = [np.sin(x / (3 + 2 * c) + y / (5 + c)) + np.cos(y / (4 + 3 * c) - x / 9) for c in range(3)]
    picture = 128 + 55 * np.stack(waves, axis=-1) + 30 * ((x + 2 * y) > width)[..., None]
    picture += random.normal(0, 4, picture.shape)
    return np.clip(np.round(picture), 0, 255).astype(np.uint8)


def write_jpegs():
    picture = Image.fromarray(smooth(21, 35))
    picture.save(OUT / "444.jpg", quality=90, subsampling=0)
    picture.save(OUT / "422.jpg", quality=90, subsampling=1)
    picture.save(OUT / "420.jpg", quality=90, subsampling=2)
    picture.save(OUT / "progressive.jpg", quality=90, progressive=True)
    picture.save(OUT / "restarts.jpg", quality=90, restart_marker_blocks=2)
    picture.save(OUT / "stored-as-rgb.jpg", quality=90, keep_rgb=True)
    picture.convert("L").save(OUT / "grey.jpg", quality=90)
    picture.convert("L").save(OUT / "progressive-grey.jpg", quality=90, progressive=True)
    ink = Image.fromarray(np.dstack([smooth(21, 35), smooth(21, 35)[..., :1]]), mode="CMYK")
    ink.save(OUT / "cmyk.jpg", quality=95)
    # The same numbers, said to be YCCK: the last byte of Adobe's segment.
    data = (OUT / "cmyk.jpg").read_bytes()
    last = data.index(b"Adobe") + 11
    (OUT / "ycck.jpg").write_bytes(data[:last] + b"\2" + data[last + 1 :])
    for orientation in range(1, 9):
        exif = b"Exif\0\0" + exif_data(orientation, "<>"[orientation % 2])
        picture.crop((0, 0, 11, 7)).save(OUT / f"exif{orientation}.jpg", quality=80, exif=exif)
    Image.fromarray(smooth(203, 317)).save(OUT / "photo.jpg", quality=80)


# --- What Pillow makes of them ----------------------------------------------------------------------


def read(path):
    """As pm_image_read promises."""
    picture = ImageOps.exif_transpose(Image.open(path))
    if path.name == "grey16.png":  # Pillow's convert("RGB") cuts such a picture at 255
        return np.repeat((np.array(picture) >> 8).astype(np.uint8)[..., None], 3, axis=-1)
    if path.name == "grey-key.png":  # Pillow compares the transparent value with the widened ones
        grey = np.array(picture.convert("L"))
        return np.repeat(np.where(grey == 2 * 85, 255, grey).astype(np.uint8)[..., None], 3, axis=-1)
    if picture.has_transparency_data:
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture.convert("RGBA"))
    return np.array(picture.convert("RGB"))


def fit(picture, width, height, left=0, right=0, top=0, bottom=0):
    """load_512 of google/prompt-to-prompt by its definition, for any size."""
    picture = picture[top : picture.shape[0] - bottom, left : picture.shape[1] - right]
    h, w = picture.shape[:2]
    if w * height > h * width:
        kept = int(h * width / height + 0.5)
        picture = picture[:, (w - kept) // 2 :][:, :kept]
    elif w * height < h * width:
        kept = int(w * height / width + 0.5)
        picture = picture[(h - kept) // 2 :][:kept]
    return np.array(Image.fromarray(picture).resize((width, height)))


FITS = [
    {"file": "photo.jpg", "width": 64, "height": 64},
    {"file": "photo.jpg", "width": 40, "height": 56},
    {"file": "photo.jpg", "width": 72, "height": 16, "crop": {"left": 3, "right": 50, "top": 21, "bottom": 8}},
    {"file": "photo.jpg", "width": 8, "height": 8, "crop": {"left": 116, "top": 2}},
    {"file": "photo.jpg", "width": 1, "height": 1},
    {"file": "photo.jpg", "width": 96, "height": 64, "crop": {"left": 270, "bottom": 170}},
    {"file": "420.jpg", "width": 64, "height": 64},
    {"file": "420.jpg", "width": 21, "height": 21, "crop": {"right": 3}},
    {"file": "rgb8.png", "width": 64, "height": 64},
    {"file": "rgb8.png", "width": 13, "height": 9},
    {"file": "rgb8.png", "width": 7, "height": 40, "crop": {"left": 12}},
    {"file": "exif6.jpg", "width": 24, "height": 24, "crop": {"top": 4}},
]


def main():
    OUT.mkdir(exist_ok=True)
    write_pngs()
    write_jpegs()
    pictures = {path.name: read(path) for path in sorted(OUT.glob("*.[pj][np]g"))}
    tensors = {name: pixels for name, pixels in pictures.items() if name != "photo.jpg"}  # large
    description = {"read": list(tensors), "fit": FITS}
    for number, case in enumerate(FITS):
        picture = pictures[case["file"]]
        tensors[f"fit.{number}"] = fit(picture, case["width"], case["height"], **case.get("crop", {}))
    write_safetensors(OUT / "images.safetensors", tensors)
    (OUT / "images.json").write_text(json.dumps(description, indent=1) + "\n")


if __name__ == "__main__":
    main()
