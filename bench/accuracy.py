#!/usr/bin/env python3
"""How far a UNet pass is from torch's float32 one, at the size of Stable Diffusion 1.5.

    bench/accuracy.py CHECKPOINT OUTPUT...

CHECKPOINT is bench/checkpoint.py's sd15, OUTPUT what `build/bench/pass CHECKPOINT TOKENIZER -o OUTPUT` wrote of it.
Prints the relative rms difference and the largest one in standard deviations of the output.
needs: pip install -r bench/requirements.txt
"""
import sys
import tempfile

import numpy
import torch
from diffusers import UNet2DConditionModel

SIDE, CHANNELS, TOKENS, CONTEXT, STEPS, STEP = 64, 4, 77, 768, 50, 10


def main():
    checkpoint, *outputs = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        UNet2DConditionModel(sample_size=SIDE, cross_attention_dim=CONTEXT, attention_head_dim=8).save_config(folder)
        unet = UNet2DConditionModel.from_single_file(checkpoint, config=folder, torch_dtype=torch.float32).eval()
    timestep = 1000 - 1000 // STEPS * (STEP + 1) + 1  # DDIM's with an offset of 1
    for path in outputs:
        numbers = numpy.fromfile(path, numpy.float32)
        samples = len(numbers) // (2 * SIDE * SIDE * CHANNELS + TOKENS * CONTEXT)
        pixels = samples * SIDE * SIDE * CHANNELS
        latents = numbers[:pixels].reshape(samples, SIDE, SIDE, CHANNELS)
        context = numbers[pixels:-pixels].reshape(samples, TOKENS, CONTEXT)
        ours = numbers[-pixels:].reshape(samples, SIDE, SIDE, CHANNELS).astype(numpy.float64)
        with torch.inference_mode():
            theirs = unet(torch.from_numpy(latents).permute(0, 3, 1, 2), torch.tensor(timestep),
                          torch.from_numpy(context)).sample
        theirs = theirs.permute(0, 2, 3, 1).numpy().astype(numpy.float64)
        difference = ours - theirs
        print(f"{path}: relative rms {numpy.sqrt((difference ** 2).sum() / (theirs ** 2).sum()):.2e}, "
              f"largest {abs(difference).max() / theirs.std():.2e} standard deviations")


if __name__ == "__main__":
    main()
