"""Pairs of pictures and what torchmetrics and scikit-image measure in them.

    venv/bin/python tests/golden/make/metrics.py    # writes tests/golden/data/images/metrics.*

The venv is that of images.py; torchmetrics is 1.4, because 1.5 began to count windows that reach over
the edge in SSIM (its pull request 2721), while PIE-Bench's numbers are from before. Whole pictures and PIE-Bench's parts (both pictures times the mask) are
torchmetrics', as PnPInversion's matrics_calculator.py calls it; means over a part alone are taken from
scikit-image's map of SSIM, and from the squared differences.
"""

import json
import pathlib

import numpy as np
import torch
from skimage.metrics import structural_similarity
from torchmetrics.image import PeakSignalNoiseRatio, StructuralSimilarityIndexMeasure
from torchmetrics.regression import MeanSquaredError

from tensors import write_safetensors

OUT = pathlib.Path(__file__).resolve().parent.parent / "data" / "images"
MARGIN = 5  # half of SSIM's window: its map is valid so far from the edge
random = np.random.default_rng(11)


def picture(height, width, phase):
    y, x = np.mgrid[0:height, 0:width]
    waves = [np.sin(x / (4 + c) + y / 6 + phase) + np.cos(y / (5 + c)) for c in range(3)]
    return np.clip(np.round(128 + 60 * np.stack(waves, -1)), 0, 255).astype(np.uint8)


def noisy(image, amount):
    return np.clip(np.round(image + random.normal(0, amount, image.shape)), 0, 255).astype(np.uint8)


def disk(height, width, radius):
    y, x = np.mgrid[0:height, 0:width]
    return ((x - 0.6 * width) ** 2 + (y - 0.4 * height) ** 2 < radius**2).astype(np.uint8)


def cases():
    a = picture(41, 37, 0)
    yield "noise", noisy(a, 6), a, disk(41, 37, 10)
    b = picture(32, 48, 1)
    edited = np.where(disk(32, 48, 12)[..., None] > 0, picture(32, 48, 2), noisy(b, 1))
    yield "edit", edited.astype(np.uint8), b, disk(32, 48, 11)
    yield "unlike", picture(24, 24, 0), noisy(picture(24, 24, 3), 40), disk(24, 24, 5)
    flat = np.full((20, 20, 3), 90, np.uint8)
    yield "flat", flat + 1, flat, disk(20, 20, 6)


def torch_metrics(a, b):
    a, b = (torch.tensor(image / 255.0).float().permute(2, 0, 1)[None].contiguous() for image in (a, b))
    return {
        "mse": float(MeanSquaredError()(a, b)),
        "psnr": float(PeakSignalNoiseRatio(data_range=1.0)(a, b)),
        "ssim": float(StructuralSimilarityIndexMeasure(data_range=1.0)(a, b)),
    }


def part_metrics(a, b, mask):
    a, b, mask = a / 255.0, b / 255.0, mask.astype(bool)
    _, ssim = structural_similarity(
        a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1.0,
        channel_axis=2, full=True,
    )  # fmt: skip
    valid = np.zeros_like(mask)
    valid[MARGIN:-MARGIN, MARGIN:-MARGIN] = True
    mse = ((a - b) ** 2)[mask].mean()
    return {"mse": mse, "psnr": -10 * np.log10(mse), "ssim": ssim[mask & valid].mean()}


def measure(a, b, mask):
    inside = mask[..., None]
    parts = {
        "": torch_metrics(a, b),
        "_edit_part": torch_metrics(a * inside, b * inside),
        "_unedit_part": torch_metrics(a * (1 - inside), b * (1 - inside)),
        "_inside_mask": part_metrics(a, b, mask),
        "_outside_mask": part_metrics(a, b, 1 - mask),
    }
    return {name + suffix: value for suffix, part in parts.items() for name, value in part.items()}


def main():
    tensors, description = {}, {}
    for name, a, b, mask in cases():
        tensors |= {f"{name}.image": a, f"{name}.reference": b, f"{name}.mask": mask}
        description[name] = measure(a, b, mask)
    write_safetensors(OUT / "metrics.safetensors", tensors)
    (OUT / "metrics.json").write_text(json.dumps(description, indent=1) + "\n")


if __name__ == "__main__":
    main()
