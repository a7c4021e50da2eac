"""Makes the golden data of models/scenes anew, with torch and diffusers, for any weights.

    python3 -m venv venv && venv/bin/pip install -r tests/golden/make/requirements.txt
    venv/bin/python tests/golden/make/scenes.py tests/golden/data /tmp/made --model models/scenes

What is made is what the folder has: parameters and inputs (prompts, noise, real pictures) are read from
its files, and every other tensor of theirs is computed with the model, as the folder's README.md
describes it. Both are then compared: with the weights that the folder belongs to, they must agree.
Names given behind the folders, as edits/scenes/01_replace_stable, are made alone.
"""

import argparse
import functools
import json
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler, PNDMScheduler, StableDiffusionPipeline
from safetensors.torch import load_file, save_file

from prompt_to_prompt import Edit, attention_layers, unwatch, watch

# The largest error that other orders of summation make, by what a tensor's name begins with:
# absolute, of the data's rms (errors' rms), of the data's maximum, or the part of the bytes that may
# differ by one.
TOLERANCES = {
    "hidden": ("absolute", 2e-5), "last_hidden_state": ("absolute", 2e-5), "context": ("absolute", 2e-5),
    "out": ("absolute", 2e-4), "small.out": ("absolute", 2e-4), "small.feature": ("absolute", 1e-3),
    "small.attn": ("absolute", 5e-4), "grad": ("maximum", 1e-4),
    "mean_cross": ("absolute", 3e-6), "mean": ("absolute", 1e-3), "logvar": ("absolute", 1e-3),
    "latents": ("rms", 5e-4), "latent": ("absolute", 2e-4), "pre_blend": ("rms", 5e-4),
    "decoded_u8": ("bytes", 0.01), "decoded": ("absolute", 1e-4), "images": ("bytes", 0.02),
    "mask_score": ("absolute", 1e-3), "mask": ("bytes", 0.001), "inverted": ("absolute", 5e-4),
    "ddim": ("absolute", 5e-4), "direct.offsets": ("absolute", 5e-4), "uncond": ("absolute", 2e-5),
    "null_embeddings": ("rms", 2e-3), "null_losses": ("maximum", 1e-4),
}
LARGEST_SELF = {"stable": 4, "nulltext": 2, "pnp": 2}  # the latent's side, divided, squared: pixels


class Model:
    """A model folder, in float32, and what its parts compute."""

    def __init__(self, folder, memory_format=torch.contiguous_format):
        self.pipe = StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32)
        self.unet, self.vae = self.pipe.unet.eval(), self.pipe.vae.eval()
        self.tokenizer, self.scale = self.pipe.tokenizer, self.vae.config.scaling_factor
        for part in (self.unet, self.vae, self.pipe.text_encoder):
            part.requires_grad_(False)
        self.unet.to(memory_format=memory_format)

    def ids(self, prompts):
        return self.tokenizer(prompts, padding="max_length", max_length=77, truncation=True,
                              return_tensors="pt").input_ids

    def context(self, prompts):
        return self.pipe.text_encoder(self.ids(prompts)).last_hidden_state

    def eps(self, latents, t, context):
        return self.unet(latents, t, context).sample

    def bytes_of(self, latents):
        decoded = self.vae.decode(latents / self.scale).sample
        return (decoded / 2 + 0.5).clamp(0, 1).mul(255).byte().permute(0, 2, 3, 1)  # cut off, not rounded


def text_encoder(model, parameters, _given):
    prompts = parameters["prompts"]
    out = model.pipe.text_encoder(model.ids(prompts), output_hidden_states=True)
    made = {f"hidden.{layer}": state[:1] for layer, state in enumerate(out.hidden_states)}
    return made | {"ids": model.ids(prompts).int(), "last_hidden_state": out.last_hidden_state}


def unet(model, parameters, given):
    context = model.context(parameters["context_prompts"])
    made = {"sample": given["sample"], "small.sample": given["small.sample"], "context": context}
    for t in parameters["timesteps"]:
        made[f"out.t{t}"] = model.eps(given["sample"], t, context)

    def keep(name):
        def hook(_module, _inputs, out):
            made[f"small.feature.{name}"] = out[0] if isinstance(out, tuple) else out
        return hook

    parts = {name: module for name, module in model.unet.named_modules()
             if f"small.feature.{name}" in given}
    hooks = [module.register_forward_hook(keep(name)) for name, module in parts.items()]

    def show(layer, _is_cross, probabilities):
        made[f"small.attn.L{layer:02}"] = probabilities[-1]
        return probabilities

    watch(model.unet, show)
    made["small.out"] = model.eps(given["small.sample"], parameters["small_timestep"], context[:1])
    unwatch(model.unet)
    for hook in hooks:
        hook.remove()
    return made


def unet_grad(model, parameters, given):
    made = {"cotangent": given["cotangent"]}
    for t in (int(name.split(".t")[1]) for name in given if name.startswith("grad_sample")):
        sample = given["sample"].clone().requires_grad_()
        context = model.context(parameters["context_prompts"]).requires_grad_()
        with torch.enable_grad():
            loss = (given["cotangent"] * model.eps(sample, t, context)).sum()
        made[f"grad_sample.t{t}"], made[f"grad_context.t{t}"] = torch.autograd.grad(loss, (sample, context))
    return made


def vae(model, _parameters, given):
    picture = given["image"].permute(2, 0, 1)[None] / 127.5 - 1
    latents = model.vae.encode(picture).latent_dist
    return {"image": given["image"], "z": given["z"], "mean": latents.mean, "logvar": latents.logvar,
            "latent": latents.mean * model.scale, "decoded_u8": model.bytes_of(given["z"]),
            "decoded": model.vae.decode(given["z"] / model.scale).sample}


def scheduler_of(parameters):
    config = {key: value for key, value in parameters["scheduler_config"].items() if key not in ("class", "eta")}
    kinds = {"DDIMScheduler": DDIMScheduler, "PNDMScheduler": PNDMScheduler}
    scheduler = kinds[parameters["scheduler_config"]["class"]](**config)
    scheduler.set_timesteps(parameters["steps"])
    return scheduler


def run_edit(model, parameters, profile, start, unconditional, offsets=None):
    """One edit from the latent `start`. `unconditional` and `offsets` are a list, by step, of
    embeddings and of what is added to the source. Yields what there is to record after each step."""
    prompts, guidance = parameters["prompts"], parameters["guidance"]
    context = model.context(prompts)
    latents = start.expand(len(prompts), -1, -1, -1)
    side = latents.shape[3]
    edit = Edit(model.tokenizer, parameters, profile, (side // LARGEST_SELF[profile]) ** 2)
    # Blending looks at maps of half of the latent's side, on the way down and up.
    size = (latents.shape[2] // 2, side // 2)
    layers = [number for number, name in enumerate(attention_layers(model.unet))
              if name.endswith("attn2") and not name.startswith("mid")]
    scheduler = scheduler_of(parameters)
    watch(model.unet, edit.attention)
    for step, t in enumerate(scheduler.timesteps):
        both = torch.cat([unconditional[step].expand_as(context), context])
        eps = model.eps(torch.cat([latents] * 2), t, both)
        free, told = eps.chunk(2)
        latents = scheduler.step(free + guidance * (told - free), t, latents).prev_sample
        if offsets is not None:
            latents = torch.cat([latents[:1] + offsets[step], latents[1:]])
        before = latents
        latents, mask, score, margin = edit.blended(latents, layers, size)
        yield {"latents": latents, "pre_blend": before, "mask": mask, "mask_score": score, "margin": margin}
        if step < len(scheduler.timesteps) - 1:
            edit.step += 1
    unwatch(model.unet)
    yield {"images": model.bytes_of(latents), "mean_cross": edit.mean_cross(layers, size),
           "equalizer": edit.equalizer[None]}


def record(states, given, parameters, prefix=""):
    """Of an edit, the tensors that `given` has: NAME.stepK, and those of the end. Notes in the
    parameters how near a pixel of a mask came to flipping."""
    made, margins = {}, {}
    for step, state in enumerate(states):
        if (margin := state.pop("margin", None)) is not None:
            margins[step] = margin
        for name, value in state.items():
            full = prefix + name
            for key in (full, f"{full}.step{step}"):
                if key in given:
                    made[key] = value.byte() if value.dtype == torch.bool else value
    if margins:
        parameters["mask_margin"] = {"min_over_steps": min(margins.values()), "at_saved": {
            str(step): margins[step] for step in parameters["mask_steps"]}}
    return made


def edit(model, parameters, given):
    torch.manual_seed(parameters["seed"])
    start = torch.randn(given["x_T"].shape)
    empty = [model.context([""])] * parameters["unet_calls"]
    states = run_edit(model, parameters, parameters["profile"], start, empty)
    return {"x_T": start} | record(states, given, parameters)


def inversion(model, parameters, given):
    prompts, guidance, steps = parameters["prompts"], parameters["guidance"], parameters["steps"]
    scheduler = scheduler_of(parameters)
    alphas = [float(scheduler.alphas_cumprod[t]) for t in scheduler.timesteps]
    # Levels from the noisiest to the clean one, whose alpha is that of the first timestep of all.
    alphas.append(float(scheduler.final_alpha_cumprod))
    context, empty = model.context(prompts[:1]), model.context([""])

    def move(latents, eps, before, after):
        clean = (latents - (1 - before) ** 0.5 * eps) / before ** 0.5
        return after ** 0.5 * clean + (1 - after) ** 0.5 * eps

    def guided(latents, t, free):
        unconditional, told = model.eps(torch.cat([latents] * 2), t, torch.cat([free, context])).chunk(2)
        return unconditional + guidance * (told - unconditional)

    picture = given["image"].permute(2, 0, 1)[None] / 127.5 - 1
    levels = [model.vae.encode(picture).latent_dist.mean * model.scale]
    for step in reversed(range(steps)):
        eps = model.eps(levels[-1], scheduler.timesteps[step], context)
        levels.append(move(levels[-1], eps, alphas[step + 1], alphas[step]))
    back = levels[-1]
    for step, t in enumerate(scheduler.timesteps):
        back = move(back, model.eps(back, t, context), alphas[step], alphas[step + 1])

    nulls, losses = null_text(model, parameters, scheduler, alphas, levels, context, empty, move)
    offsets = []
    for step, t in enumerate(scheduler.timesteps):
        latents = levels[steps - step]
        wanted = levels[steps - step - 1]
        offsets.append(wanted - move(latents, guided(latents, t, empty), alphas[step], alphas[step + 1]))
    made = {"image": given["image"], "uncond_initial": empty, "ddim_reconstruction_latent": back,
            "inverted": torch.cat(levels)[given["inverted.index"].long()],
            "inverted.index": given["inverted.index"],
            "direct.offsets": torch.cat(offsets)[given["direct.offsets.index"].long()],
            "direct.offsets.index": given["direct.offsets.index"]}
    if "null_embeddings" in given:
        made["null_embeddings"] = torch.cat(nulls)
    parameters["null_losses"] = losses
    parameters["direct_offset_rms"] = [float(offset.square().mean().sqrt()) for offset in offsets]
    ways = {"null_edit": (nulls, None), "npi_edit": ([context] * steps, None),
            "direct_edit": ([empty] * steps, offsets)}
    for name, (unconditional, added) in ways.items():
        profile = parameters[name]["profile"]
        states = run_edit(model, parameters | parameters["edit"], profile, levels[-1], unconditional, added)
        made |= record(states, given, parameters[name], f"{name}.")
    return made


def null_text(model, parameters, scheduler, alphas, levels, context, empty, move):
    """Null-text inversion (Mokady et al. 2023, arXiv 2211.09794). Returns an embedding a step, and the
    losses of its inner steps, each taken before the update."""
    embeddings, losses = [], []
    latents, embedding = levels[-1], empty
    for step, t in enumerate(scheduler.timesteps):
        embedding = embedding.clone().requires_grad_()
        optimizer = torch.optim.Adam([embedding], lr=1e-2 * (1 - step / 100))
        told = model.eps(latents, t, context)

        def advance(free):
            guided = free + parameters["guidance"] * (told - free)
            return move(latents, guided, alphas[step], alphas[step + 1])

        losses.append([])
        for _ in range(parameters["inner"]):
            with torch.enable_grad():
                loss = F.mse_loss(advance(model.eps(latents, t, embedding)), levels[-step - 2])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses[-1].append(loss.item())
            if losses[-1][-1] < parameters["epsilon"] + step * 2e-5:
                break
        embedding = embedding.detach()
        embeddings.append(embedding)
        latents = advance(model.eps(latents, t, embedding))
    return embeddings, losses


def spread(made, again):
    """How far another order of summation leads the reference itself: an edit may be unstable."""
    latents = [(again[key] - value).square().mean().sqrt() / value.square().mean().sqrt()
               for key, value in made.items() if key.startswith("latents")]
    return {"latents": float(max(latents)),
            "mean_cross": float((again["mean_cross"] - made["mean_cross"]).abs().max())}


def compare(name, made, given):
    """Print what is furthest off. Returns whether all tensors agree within their tolerances."""
    worst = {}
    for key, old in given.items():
        kind = key.split("_edit.")[-1]
        prefix = next((start for start in TOLERANCES if kind.startswith(start)), None)
        new, old = made[key].double(), old.double()
        if new.shape != old.shape:
            raise ValueError(f"{name}: {key} is {list(new.shape)}, not {list(old.shape)}")
        way, tolerance = TOLERANCES.get(prefix, ("absolute", 2e-6))
        error = (new - old).abs()
        off = {"absolute": lambda: error.max(), "maximum": lambda: error.max() / old.abs().max(),
               "rms": lambda: error.square().mean().sqrt() / old.square().mean().sqrt(),
               "bytes": lambda: error.bool().double().mean()}[way]()
        worst[key] = float(off) / tolerance
    key = max(worst, key=worst.get)
    print(f"{name}: {len(worst)} tensors; the furthest off is {key}, {worst[key]:.2g} of its tolerance",
          flush=True)
    return worst[key] <= 1


MAKERS = {"components/scenes/text_encoder": text_encoder, "components/scenes/unet": unet,
          "components/scenes/unet_grad": unet_grad, "components/scenes/vae": vae}


def main():
    parser = argparse.ArgumentParser(description="Make the golden data of models/scenes anew.")
    parser.add_argument("data", type=Path, help="a folder of golden data: what is made, and from what")
    parser.add_argument("out", type=Path, help="where to write")
    parser.add_argument("names", nargs="*", help="files to make, without .safetensors (default: all)")
    parser.add_argument("--model", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    model = Model(arguments.model)
    other = functools.cache(lambda: Model(arguments.model, torch.channels_last))
    edits = sorted(arguments.data.glob("edits/scenes/*.safetensors"))
    inversions = sorted(arguments.data.glob("inversion/*.safetensors"))
    makers = MAKERS | {str(path.relative_to(arguments.data).with_suffix("")): maker
                       for paths, maker in ((edits, edit), (inversions, inversion)) for path in paths}
    agree = True
    for name in arguments.names or makers:
        stem = arguments.data / name
        parameters, given = json.loads(Path(f"{stem}.json").read_text()), load_file(f"{stem}.safetensors")
        extra = {}
        if name.startswith("components/scenes/unet"):
            prompts = json.loads((stem.parent / "text_encoder.json").read_text())["prompts"][:2]
            extra = {"context_prompts": prompts}
        inputs = load_file(stem.parent / "unet.safetensors") if name.endswith("unet_grad") else {}
        everything = extra | parameters
        made = makers[name](model, everything, inputs | given)
        if makers[name] is edit:
            everything["spread"] = spread(made, edit(other(), everything, given))
        agree &= compare(name, made, given)
        out = arguments.out / name
        out.parent.mkdir(parents=True, exist_ok=True)
        save_file({key: value.contiguous() for key, value in made.items()}, f"{out}.safetensors")
        kept = {key: value for key, value in everything.items() if key not in extra}
        Path(f"{out}.json").write_text(json.dumps(kept, indent=1) + "\n")
    print("all agree" if agree else "some do not agree: right for other weights only")
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
