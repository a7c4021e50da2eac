"""Heat maps as DAAM computes them, of attention maps drawn at random.

    venv/bin/python tests/golden/make/heat_maps.py    # writes tests/golden/data/heat_maps.*

The venv is that of images.py; only torch and numpy are used. This restates in our own words what
castorini/daam does (Tang et al. 2022, arXiv 2210.04885; trace.py: compute_global_heat_map, heatmap.py:
compute_word_heat_map and expand_as), upon torch's own bicubic interpolation. What is not square is not
DAAM's, which takes squares for granted, but the same by formula.
"""

import json
import pathlib

import numpy as np
import torch
from torch.nn.functional import interpolate
from tensors import write_safetensors

OUT = pathlib.Path(__file__).resolve().parent.parent / "data"

# name: size of the heat map, of the picture; sizes of maps with their layers; steps, heads, tokens, a word's tokens
CASES = {
    "two-sizes": ((16, 16), (40, 40), [((4, 4), 2), ((8, 8), 3)], 3, 2, 6, [2, 3]),
    "not-square": ((12, 20), (33, 50), [((6, 10), 1), ((3, 5), 2)], 2, 3, 5, [1]),
    "smaller": ((4, 4), (16, 16), [((8, 8), 1)], 1, 4, 4, [1, 2]),
}


def global_heat_map(maps, size):
    """maps: of each size [step, layer, head, y, x, token]. Returns [token, y, x]."""
    large = []
    for of_size in maps:
        for layer in of_size.sum(dim=0):  # over time
            for head in layer:  # [y, x, token]
                one = head.permute(2, 0, 1).unsqueeze(1)
                large.append(interpolate(one, size=size, mode="bicubic").clamp(min=0)[:, 0])
    return torch.stack(large).mean(dim=0)


def main():
    random = np.random.default_rng(5)
    tensors, description = {}, {}
    for name, (size, picture, groups, steps, heads, tokens, word) in CASES.items():
        maps = []
        for number, ((height, width), layers) in enumerate(groups):
            # peaked, so that bicubic interpolation goes below 0
            logits = random.normal(0, 3, (steps, layers, heads, height, width, tokens))
            probs = torch.softmax(torch.tensor(logits), dim=-1).float()
            tensors[f"{name}.maps{number}"] = probs.numpy()
            maps.append(probs)
        heat = global_heat_map(maps, size)
        share = heat / (heat[1:-1].sum(dim=0, keepdim=True) + 1e-6)
        of_word = heat[word].mean(dim=0)
        expanded = interpolate(of_word[None, None], size=picture, mode="bicubic")[0, 0]
        expanded = (expanded - expanded.min()) / (expanded.max() - expanded.min() + 1e-8)
        tensors |= {f"{name}.heat": heat.numpy(), f"{name}.share": share.contiguous().numpy(),
                    f"{name}.word": of_word.numpy(), f"{name}.expanded": expanded.numpy()}  # fmt: skip
        description[name] = {"groups": len(groups), "steps": steps, "heads": heads, "word": word}
    write_safetensors(OUT / "heat_maps.safetensors", tensors)
    (OUT / "heat_maps.json").write_text(json.dumps(description, indent=1) + "\n")


if __name__ == "__main__":
    main()
