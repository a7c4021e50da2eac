"""8-bit RGB PNGs as arrays, with nothing but NumPy."""

import struct
import zlib

import numpy as np


def _unfilter(kind, line, above):
    """A row's bytes; plain integers, since each depends on the one before."""
    if kind == 0:
        return line
    if kind == 2:
        return bytes((a + b) & 255 for a, b in zip(line, above))
    row = bytearray(3) + bytearray(len(line))  # a pixel of zeros before
    above = bytes(3) + bytes(above)
    for i, value in enumerate(line):
        a, b, c = row[i], above[i + 3], above[i]
        if kind == 1:
            row[i + 3] = (value + a) & 255
        elif kind == 3:
            row[i + 3] = (value + ((a + b) >> 1)) & 255
        else:
            to_a, to_b, to_c = abs(b - c), abs(a - c), abs(a + b - 2 * c)
            nearest = a if to_a <= to_b and to_a <= to_c else b if to_b <= to_c else c
            row[i + 3] = (value + nearest) & 255
    return bytes(row[3:])


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
    raw, stride = zlib.decompress(packed), 1 + width * 3
    rows = [bytes(width * 3)]
    for y in range(height):
        rows.append(_unfilter(raw[y * stride], raw[y * stride + 1:(y + 1) * stride], rows[-1]))
    return np.frombuffer(b"".join(rows[1:]), np.uint8).reshape(height, width, 3)
