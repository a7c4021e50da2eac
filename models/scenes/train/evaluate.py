"""A sheet of pictures by which to judge a model: easy prompts first, known weaknesses last."""

import textwrap
from pathlib import Path

import diffusers
import torch
import transformers
from diffusers import StableDiffusionPipeline
from PIL import Image, ImageDraw

from .scenes import SIDE
from .settings import Sheet
from .training import device
from .workspace import Stopped, Workspace

PROMPTS = [
    "a red ball on a meadow", "a blue cube in the desert", "a yellow star in the snow",
    "a pink heart on a road", "a purple house in the desert", "a green tree on a meadow",
    "a white mushroom on a road", "an orange cup in the snow", "a green fish on the water",
    "a black boat on the water", "a blue car on a road", "a green cactus in the desert",
    "a striped blue car on a road", "a dotted red cup on a meadow",
    "a red house on a meadow at night", "a blue tree in the snow at sunset",
    "a yellow car on a road in the rain", "a green mushroom in the snow in the fog",
    "a drawing of a purple house in the desert", "a painting of a red boat on the water",
    "a mosaic of a pink heart on a road", "a red ball next to a blue cube on a meadow",
    "a yellow star next to a green tree in the snow",
    "a photo of a white cup next to a black car in the desert at night",
]
TEXT_WIDTH = 200
GAP = 4


def run(workspace: Workspace, stage: str, settings: Sheet, model: Path | None = None) -> None:
    """Draw the sheet: a row a prompt, the same seeds in every row."""
    folder = workspace.require(model or workspace.model, "export")
    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()
    pipeline = StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32)
    pipeline.to(device()).set_progress_bar_config(disable=True)
    prompts = PROMPTS[:settings.prompts]
    pitch = SIDE + GAP
    sheet = Image.new("RGB", (TEXT_WIDTH + settings.seeds * pitch, len(prompts) * pitch), "white")
    for row, prompt in enumerate(prompts):
        if workspace.stopping:
            raise Stopped
        label = "\n".join(textwrap.wrap(prompt, 28))
        ImageDraw.Draw(sheet).text((GAP, row * pitch + SIDE // 3), label, fill="black")
        # Noise drawn on the CPU is the same noise on every machine.
        noise = [torch.Generator().manual_seed(seed) for seed in range(settings.seeds)]
        pictures = pipeline(prompt, num_images_per_prompt=settings.seeds, generator=noise,
                            num_inference_steps=settings.steps,
                            guidance_scale=settings.guidance).images
        for column, picture in enumerate(pictures):
            sheet.paste(picture, (TEXT_WIDTH + column * pitch, row * pitch))
        print(f"{stage}: {row + 1} of {len(prompts)} prompts", flush=True)
    sheet.save(workspace.sheet)
    print(f"{stage}: {workspace.sheet}", flush=True)
