"""The autoencoder between pictures and latents, and the latents of the training pictures."""

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL

from .settings import Latents, Vae
from .training import (batches, device, load_weights, mixed_precision, optimizer_of, to_unit,
                       train)
from .workspace import Stopped, Workspace, replacing

STAGES = ("vae1", "vae2")
SAMPLES = slice(0, 512, 2)  # the pictures whose latents give the scaling factor


def new_vae() -> AutoencoderKL:
    """Three levels of one block each: 128 x 128 x 3 pixels to 32 x 32 x 4 latents."""
    return AutoencoderKL(
        in_channels=3, out_channels=3, down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3, block_out_channels=(16, 32, 64),
        layers_per_block=1, latent_channels=4, norm_num_groups=8, sample_size=128)


def finished_vae(workspace: Workspace) -> AutoencoderKL:
    """The autoencoder after its last stage, for use, with its scaling factor."""
    vae = new_vae().to(device(), memory_format=torch.channels_last)
    vae.load_state_dict(load_weights(workspace, STAGES[-1])["module"])
    vae.eval().requires_grad_(False)
    images = _images(workspace, "data")
    vae.register_to_config(scaling_factor=_scaling_factor(vae, images[SAMPLES]))
    return vae


def base_vae(workspace: Workspace) -> AutoencoderKL:
    """The autoencoder of the model that the later stages go on from."""
    folder = workspace.require(workspace.base, "base") / "vae"
    vae = AutoencoderKL.from_pretrained(folder, dtype=torch.float32)
    vae.to(device(), memory_format=torch.channels_last)
    return vae.eval().requires_grad_(False)


def run(workspace: Workspace, stage: str, settings: Vae) -> None:
    """One stage; it starts from the one before."""
    images = _images(workspace, "data")
    torch.manual_seed(settings.seed)
    vae = new_vae().to(device(), memory_format=torch.channels_last).train()
    if stage != STAGES[0]:
        before = STAGES[STAGES.index(stage) - 1]
        vae.load_state_dict(load_weights(workspace, before)["module"])

    def loss_of(rng: np.random.Generator) -> tuple[torch.Tensor, dict[str, float]]:
        x = to_unit(_squares(images, settings, rng))
        if rng.random() < 0.5:
            x = x.flip(3)
        with mixed_precision():
            latents = vae.encode(x).latent_dist
        mean, logvar = latents.mean.float(), latents.logvar.float()
        sample = mean + torch.exp(0.5 * logvar) * torch.randn_like(mean)
        with mixed_precision():
            y = vae.decode(sample).sample.float()
        return _loss(settings, x, y, mean, logvar)

    train(workspace, stage, settings, vae, optimizer_of(vae, settings), loss_of)


def _images(workspace: Workspace, stage: str) -> np.ndarray:
    """The pictures that a stage drew, left on disk."""
    return np.load(workspace.require(workspace.pictures(stage).images, stage), mmap_mode="r")


def _squares(images: np.ndarray, settings: Vae, rng: np.random.Generator) -> np.ndarray:
    """uint8 [batch, crop, crop, 3]: from random pictures, at random places."""
    side = settings.crop
    pictures = np.sort(rng.integers(len(images), size=settings.batch))
    corners = rng.integers(images.shape[1] - side + 1, size=(settings.batch, 2))
    return np.stack([images[i, row:row + side, column:column + side]
                     for i, (row, column) in zip(pictures, corners)])


def _loss(settings: Vae, x: torch.Tensor, y: torch.Tensor, mean: torch.Tensor,
          logvar: torch.Tensor) -> tuple[torch.Tensor, dict[str, float]]:
    error = y - x
    squared, absolute = error.square().mean(), error.abs().mean()
    edges = error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
    # Local means: without them hue is traded for edges.
    colour = F.avg_pool2d(error, 8).square().mean()
    divergence = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean()
    loss = (settings.absolute * absolute + settings.squared * squared + settings.edges * edges
            + settings.colour * colour + settings.divergence * divergence)
    return loss, {"error": absolute.item(), "edges": edges.item(), "colour": colour.item(),
                  "psnr": -10 * np.log10(squared.item() / 4)}


@torch.no_grad()
def _scaling_factor(vae: AutoencoderKL, pictures: np.ndarray) -> float:
    """What gives the latents a standard deviation of one."""
    latents = torch.cat([vae.encode(to_unit(pictures[part])).latent_dist.mean
                         for part in batches(len(pictures), 16)])
    return 1 / latents.std().item()


@torch.no_grad()
def encode(workspace: Workspace, stage: str, settings: Latents) -> None:
    """Write the scaled mean latents of all pictures; starts anew when stopped (a few minutes)."""
    images = _images(workspace, settings.pictures)
    vae = base_vae(workspace) if settings.from_base else finished_vae(workspace)
    factor = vae.config.scaling_factor
    with replacing(workspace.pictures(settings.pictures).latents) as path:
        latents = np.lib.format.open_memmap(path, "w+", np.float16, (len(images), 4, 32, 32))
        for part in batches(len(images), settings.batch):
            if workspace.stopping:
                raise Stopped
            with mixed_precision():
                mean = vae.encode(to_unit(images[part])).latent_dist.mean
            latents[part] = (mean.float() * factor).cpu().numpy()
        latents.flush()
    print(f"{stage}: {len(images)} pictures, scaling factor {factor:.4f}", flush=True)
