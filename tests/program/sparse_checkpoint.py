"""Write the tensors of a list (tests/golden/data/checkpoints) as a file of full size, in half precision,
whose data is a hole: it takes no room, and all numbers are 0.

    sparse_checkpoint.py LIST OUT.safetensors
"""
import json
import math
import struct
import sys

header, at = {}, 0


def add(name, shape):
    global at
    sides = [] if shape == "1s" else [int(side) for side in shape.split("x")]
    size = 2 * math.prod(sides)
    header[name] = {"dtype": "F16", "shape": sides, "data_offsets": [at, at + size]}
    at += size


for line in open(sys.argv[1]):
    name, _, *shapes = line.split()
    endings = [".weight", ".bias"] if len(shapes) == 2 else [""]
    for ending, shape in zip(endings, shapes):
        add(name + ending, shape)
text = json.dumps(header).encode()
with open(sys.argv[2], "wb") as file:
    file.write(struct.pack("<Q", len(text)) + text)
    file.truncate(8 + len(text) + at)
