#!/usr/bin/env python3
"""Seconds of one Prompt-to-Prompt edit with diffusers: what bench/edit.c does, as users run it.

Published implementations put a processor of their own into every attention layer: it computes the
attention probabilities and hands them to a controller in Python, which changes those of the
conditional half. Here the controller does what the edit needs and no more: it replaces
cross-attention, copies self-attention, and sums the cross-attention maps whose mean is kept.
One UNet call makes a step for both prompts and both halves of the guidance.

Prints one line of JSON: medians of the wall clock's seconds and of the processor's.
needs: pip install -r bench/requirements.txt
"""
import argparse
import json
import statistics
import time

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer
from transformers.utils import logging

SOURCE = "a photo of a red ball on a meadow"
TARGET = "a photo of a red cube on a meadow"
SEED, STEPS, GUIDANCE = 7, 50, 7.5
CROSS_REPLACE, SELF_REPLACE = 0.8, 0.4  # fractions of the steps


class Model:
    def __init__(self, folder, channels_last):
        self.tokenizer = CLIPTokenizer.from_pretrained(folder, subfolder="tokenizer")
        self.text_encoder = self.load(CLIPTextModel, folder, "text_encoder")
        self.unet = self.load(UNet2DConditionModel, folder, "unet")
        self.vae = self.load(AutoencoderKL, folder, "vae")
        self.scheduler = DDIMScheduler.from_pretrained(folder, subfolder="scheduler")
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.unet.to(memory_format=self.layout)
        self.vae.to(memory_format=self.layout)

    @staticmethod
    def load(kind, folder, name):
        return kind.from_pretrained(folder, subfolder=name, torch_dtype=torch.float32).eval()

    def tokens(self, prompts):
        return self.tokenizer(prompts, padding="max_length", max_length=77, truncation=True,
                              return_tensors="pt").input_ids


def token_mapper(model):
    """[77, 77]: how much of a source token's map each target token's is made of. Word by word; the
    words differ in spelling only, so that a word has as many tokens in both prompts."""
    counts = [[len(model.tokenizer(word).input_ids) - 2 for word in prompt.split()]
              for prompt in (SOURCE, TARGET)]
    if counts[0] != counts[1]:
        raise SystemExit(f"the prompts' words have {counts[0]} and {counts[1]} tokens")
    return torch.eye(77)


class Controller:
    """Changes attention probabilities [batch * heads, queries, keys] in place."""

    def __init__(self, mapper, latent_pixels):
        self.mapper, self.self_max_pixels = mapper, latent_pixels // 4
        self.step, self.sums = 0, {}  # sums: layer -> [2, heads, queries, keys]

    def __call__(self, name, is_cross, probs):
        queries, keys = probs.shape[1:]
        # [uncond source, uncond target, source, target] x heads
        source, target = probs.view(2, 2, -1, queries, keys)[1]
        if is_cross:
            if self.step < int(CROSS_REPLACE * (STEPS + 1)):
                torch.matmul(source, self.mapper, out=target)
            if "mid" not in name:
                self.keep(name, source, target)
        elif self.step < int(SELF_REPLACE * STEPS) and queries <= self.self_max_pixels:
            target.copy_(source)

    def keep(self, name, source, target):
        maps = torch.stack([source, target])
        if name in self.sums:
            self.sums[name] += maps
        else:
            self.sums[name] = maps

    def mean_maps(self):
        """[2, queries, keys], over steps, layers and heads."""
        return torch.stack([s.mean(1) for s in self.sums.values()]).mean(0) / STEPS


class MaterialisedAttention:
    """Attention with its probabilities in hand."""

    def __init__(self, name, control):
        self.name, self.control = name, control

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, **_):
        is_cross = encoder_hidden_states is not None
        context = encoder_hidden_states if is_cross else hidden_states
        query = attn.head_to_batch_dim(attn.to_q(hidden_states))
        key = attn.head_to_batch_dim(attn.to_k(context))
        value = attn.head_to_batch_dim(attn.to_v(context))
        probs = attn.get_attention_scores(query, key)
        self.control(self.name, is_cross, probs)
        out = attn.batch_to_head_dim(torch.bmm(probs, value))
        return attn.to_out[1](attn.to_out[0](out))


@torch.inference_mode()
def edit(model, mapper):
    """@return uint8 [2, height, width, 3] and the mean cross-attention maps [2, queries, 77]"""
    side = model.unet.config.sample_size
    controller = Controller(mapper, side * side)
    model.unet.set_attn_processor({name: MaterialisedAttention(name, controller)
                                   for name in model.unet.attn_processors})
    context = model.text_encoder(model.tokens(["", "", SOURCE, TARGET])).last_hidden_state
    noise = torch.randn(1, 4, side, side, generator=torch.Generator().manual_seed(SEED))
    latents = noise.repeat(2, 1, 1, 1).contiguous(memory_format=model.layout)
    model.scheduler.set_timesteps(STEPS)
    for step, t in enumerate(model.scheduler.timesteps):
        controller.step = step
        uncond, cond = model.unet(torch.cat([latents, latents]), t, context).sample.chunk(2)
        guided = uncond + GUIDANCE * (cond - uncond)
        latents = model.scheduler.step(guided, t, latents).prev_sample
    decoded = model.vae.decode(latents / model.vae.config.scaling_factor).sample
    images = ((decoded / 2 + 0.5).clamp(0, 1) * 255).to(torch.uint8).permute(0, 2, 3, 1)
    return images.contiguous(), controller.mean_maps()


def main():
    p = argparse.ArgumentParser(description="Time one Prompt-to-Prompt edit with diffusers.")
    p.add_argument("-t", "--threads", type=int, default=1)
    p.add_argument("-r", "--repeats", type=int, default=3, help="after one that is not counted")
    p.add_argument("-p", "--pixels", metavar="FILE", help="what bench/edit -p wrote, to compare")
    p.add_argument("-m", "--model", metavar="FOLDER", default="models/scenes")
    p.add_argument("--contiguous", action="store_true", help="channels first (default: last)")
    a = p.parse_args()

    torch.set_num_threads(a.threads)
    logging.disable_progress_bar()
    model = Model(a.model, channels_last=not a.contiguous)
    mapper = token_mapper(model)
    images, _ = edit(model, mapper)
    seconds, cpu_seconds = [], []
    for _ in range(a.repeats):
        start, cpu_start = time.perf_counter(), time.process_time()
        edit(model, mapper)
        seconds.append(time.perf_counter() - start)
        cpu_seconds.append(time.process_time() - cpu_start)
    result = {"program": "diffusers", "threads": a.threads,
              "seconds": round(statistics.median(seconds), 3),
              "cpu_seconds": round(statistics.median(cpu_seconds), 3), "torch": torch.__version__}
    if a.pixels:
        with open(a.pixels, "rb") as file:
            ours = torch.frombuffer(bytearray(file.read()), dtype=torch.uint8)
        if ours.numel() != images.numel():
            raise SystemExit(f"{a.pixels} has {ours.numel()} bytes, not {images.numel()}")
        difference = (images.flatten().int() - ours.int()).abs().float()
        result["mean_difference"] = round(difference.mean().item(), 5)
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
