"""The UNet learns to remove noise from latents, as the prompt says. Four stages, one loop."""

from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from safetensors.torch import load_file
from torch import nn
from transformers import CLIPTextModel, CLIPTokenizer

from .data import read_captions
from .settings import Unet
from .text import load_pretrained, load_tokenizer, new_text_encoder
from .tokenizer import LENGTH
from .training import (Average, batches, device, load_weights, mixed_precision, optimizer_of,
                       train)
from .workspace import Workspace

FIRST_STAGES = ("unet1", "unet2", "unet3")  # each starts from the one before
TIMES = 1000  # steps of the noise schedule
NOISY_FROM = 400  # from here on, objects and colours are decided

# Stable Diffusion's noise schedule and sampler; also the exported scheduler's configuration.
SCHEDULER = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear",
             "num_train_timesteps": TIMES, "clip_sample": False, "set_alpha_to_one": False,
             "steps_offset": 1, "prediction_type": "epsilon", "timestep_spacing": "leading",
             "trained_betas": None}


def new_unet() -> UNet2DConditionModel:
    """Three levels of one block each; the prompt is read at 16 x 16 and, in the middle, 8 x 8."""
    return UNet2DConditionModel(
        sample_size=32, in_channels=4, out_channels=4, layers_per_block=1,
        block_out_channels=(64, 128, 192),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=128, attention_head_dim=4, norm_num_groups=16)


class Denoiser(nn.Module):
    """The two networks that are trained together."""

    def __init__(self, tokenizer: CLIPTokenizer) -> None:
        super().__init__()
        self.unet: UNet2DConditionModel = new_unet()
        self.text_encoder: CLIPTextModel = new_text_encoder(tokenizer)
        self.to(device(), memory_format=torch.channels_last)


def trained_denoiser(workspace: Workspace, stage: str, unfinished: bool = False) -> Denoiser:
    """The networks after a stage, with their averaged weights; see load_weights."""
    denoiser = Denoiser(load_tokenizer(workspace))
    average = Average(denoiser, decay=0.0)
    average.weights = load_weights(workspace, stage, unfinished)["average"]
    average.copy_to(denoiser)
    return denoiser.eval().requires_grad_(False)


def load_model(folder: Path, denoiser: Denoiser) -> None:
    """Give the networks the weights of a model folder."""
    unet = load_file(folder / "unet" / "diffusion_pytorch_model.safetensors")
    denoiser.unet.load_state_dict(unet)
    words = load_file(folder / "text_encoder" / "model.safetensors")
    denoiser.text_encoder.load_state_dict({name.removeprefix("text_model."): weight
                                           for name, weight in words.items()})


class Examples:
    """The latents in memory and all captions as tokens, and batches of both."""

    def __init__(self, workspace: Workspace, tokenizer: CLIPTokenizer, stage: str) -> None:
        """`stage` is the one that drew the pictures."""
        pictures = workspace.pictures(stage)
        self.latents = np.load(workspace.require(pictures.latents, f"latents of {stage}"))
        captions = list(read_captions(workspace.require(pictures.captions, stage)))
        flat = [text for texts in captions for text in texts]
        tokens = np.concatenate([_tokens(tokenizer, flat[part])
                                 for part in batches(len(flat), 4096)])
        self.tokens = tokens.reshape(len(captions), -1, LENGTH)
        self.empty = _tokens(tokenizer, [""])[0]
        self.end = tokenizer.eos_token_id
        self.alphas = DDIMScheduler.from_config(SCHEDULER).alphas_cumprod.to(device())

    def batch(self, settings: Unet,
              rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Latents float [batch, 4, 32, 32], tokens [batch, 77] and time steps [batch]."""
        size = settings.batch
        pictures = rng.integers(len(self.latents), size=size)
        latents = torch.from_numpy(self.latents[pictures].astype(np.float32))
        tokens = self.tokens[pictures, rng.integers(self.tokens.shape[1], size=size)]
        tokens[rng.random(size) < settings.empty] = self.empty
        times = np.where(rng.random(size) < settings.noisy,
                         rng.integers(NOISY_FROM, TIMES, size), rng.integers(TIMES, size=size))
        return (latents.to(device(), memory_format=torch.channels_last),
                torch.from_numpy(tokens).to(device()), torch.from_numpy(times).to(device()))


def _tokens(tokenizer: CLIPTokenizer, texts: list[str]) -> np.ndarray:
    padded = tokenizer(texts, padding="max_length", max_length=LENGTH, truncation=True)
    return np.array(padded.input_ids, dtype=np.int64)


def run(workspace: Workspace, stage: str, settings: Unet) -> None:
    """One stage; it starts from the one before, with a fresh optimizer and average."""
    tokenizer = load_tokenizer(workspace)
    examples = Examples(workspace, tokenizer, settings.pictures)
    torch.manual_seed(settings.seed)
    denoiser = Denoiser(tokenizer).train()
    _start(workspace, stage, settings, denoiser)
    weights = _weights(settings, examples.alphas)

    def loss_of(rng: np.random.Generator) -> tuple[torch.Tensor, dict[str, float]]:
        latents, tokens, times = examples.batch(settings, rng)
        alpha = examples.alphas[times].view(-1, 1, 1, 1)
        noise = torch.randn_like(latents)
        noisy = alpha.sqrt() * latents + (1 - alpha).sqrt() * noise
        # The padding of a causal text encoder has read the whole prompt. Batches without it
        # make the attention maps of the words their own.
        words = _up_to_end(tokens, examples.end) if rng.random() < settings.masked else None
        with mixed_precision():
            states = denoiser.text_encoder(tokens).last_hidden_state
            told = denoiser.unet(noisy, times, states, encoder_attention_mask=words).sample
        errors = (told.float() - noise).square().mean((1, 2, 3))
        return (errors * weights[times]).mean(), {"mse": errors.mean().item()}

    def rate(name: str) -> float:
        if name.startswith("text_encoder."):
            return settings.text_rate
        return settings.words_rate if "attn2" in name else 1.0

    train(workspace, stage, settings, denoiser, optimizer_of(denoiser, settings, rate), loss_of,
          Average(denoiser, settings.average))


def _weights(settings: Unet, alphas: torch.Tensor) -> torch.Tensor:
    """What an error counts at each time step, for a network that tells noise.

    min-SNR weights, and `layout` of those of an error in the picture: where the noise is strong,
    it is told well enough without deciding what stands where, and a picture is not.
    """
    snr = alphas / (1 - alphas)
    return (snr.clamp(max=settings.snr_limit) + settings.layout) / snr


def _start(workspace: Workspace, stage: str, settings: Unet, denoiser: Denoiser) -> None:
    """Give the networks the weights that the stage starts from."""
    if stage not in FIRST_STAGES:
        load_model(workspace.require(workspace.base, "base"), denoiser)
    elif stage != FIRST_STAGES[0]:
        before = FIRST_STAGES[FIRST_STAGES.index(stage) - 1]
        denoiser.load_state_dict(load_weights(workspace, before)["module"])
    if settings.pretrained_text:
        load_pretrained(workspace, denoiser.text_encoder)


def _up_to_end(tokens: torch.Tensor, end: int) -> torch.Tensor:
    """bool [batch, 77]: the tokens up to the first end token, which padding repeats."""
    first = (tokens == end).int().argmax(1, keepdim=True)
    return torch.arange(tokens.shape[1], device=tokens.device)[None] <= first
