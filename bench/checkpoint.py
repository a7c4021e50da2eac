"""Write a checkpoint of Stable Diffusion's true size, in one file, half precision, with random weights
that keep activations in range.

    checkpoint.py sd15|sd21 OUT.safetensors

Names and shapes are those of the published files (tests/golden/data/checkpoints).
"""
import json
import math
import struct
import sys

import numpy

BLOCK = 1 << 22
random = numpy.random.default_rng(1)
block = random.standard_normal(BLOCK, dtype=numpy.float32)


def entries(path):
    for line in open(path):
        name, _, *shapes = line.split()
        endings = [".weight", ".bias"] if len(shapes) == 2 else [""]
        for ending, shape in zip(endings, shapes):
            sides = [] if shape == "1s" else [int(side) for side in shape.split("x")]
            yield name + ending, sides


def values(name, sides):
    """A random piece of the block, over and over; norms are left as they are."""
    count = math.prod(sides)
    if len(sides) < 2:
        is_norm = any(part in name for part in ("norm", "ln_", "in_layers.0", "out_layers.0", ".out.0"))
        return numpy.full(count, 1.0 if is_norm and name.endswith("weight") else 0.0, numpy.float16)
    scale = 1.0 / math.sqrt(count / sides[0])
    start = int(random.integers(BLOCK // 2))
    return numpy.resize((block[start:] * scale).astype(numpy.float16), count)


family, out = sys.argv[1:]
tensors = list(entries(f"tests/golden/data/checkpoints/{family}-keys.txt"))
header, at = {}, 0
for name, sides in tensors:
    size = 2 * math.prod(sides)
    header[name] = {"dtype": "F16", "shape": sides, "data_offsets": [at, at + size]}
    at += size
text = json.dumps(header).encode()
with open(out, "wb") as file:
    file.write(struct.pack("<Q", len(text)) + text)
    for name, sides in tensors:
        file.write(values(name, sides).tobytes())
