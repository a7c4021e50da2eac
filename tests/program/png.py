"""8-bit RGB PNGs as arrays, with nothing but NumPy."""

import struct
import zlib

import numpy as np


def read(path):
    """Returns uint8 [height, width, 3]."""
    with open(path, "rb") as file:
        data = file.read()
    assert data[:8] == b"\x89PNG\r\n\x1a\n", path
    at, packed = 8, b""
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        body = data[at + 8:at + 8 + size]
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack(">IIBB", body[:10])
            assert (depth, colour) == (8, 2), path
        packed += body if kind == b"IDAT" else b""
        at += 12 + size
    raw = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(height, 1 + width * 3)
    rows = np.zeros((height + 1, width + 1, 3), np.int64)  # a margin of zeros, above and before
    for y in range(height):
        kind, line = raw[y, 0], raw[y, 1:].reshape(width, 3)
        for x in range(width):
            a, b, c = rows[y + 1, x], rows[y, x + 1], rows[y, x]
            distances = np.abs([b - c, a - c, a + b - 2 * c])
            paeth = np.where((distances[0] <= distances[1]) & (distances[0] <= distances[2]), a,
                             np.where(distances[1] <= distances[2], b, c))
            rows[y + 1, x + 1] = (line[x] + [0, a, b, (a + b) // 2, paeth][kind]) % 256
    return rows[1:, 1:].astype(np.uint8)
