"""The finished model as a folder in diffusers layout, in fp16."""

import json
import shutil
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import AutoencoderKL, ModelMixin
from safetensors.torch import save_file
from transformers import CLIPTextModel

from .settings import Base
from .unet import FIRST_STAGES, SCHEDULER, Denoiser, trained_denoiser
from .vae import base_vae, finished_vae
from .workspace import Workspace

PARTS = ("scheduler", "text_encoder", "tokenizer", "unet", "vae")
COMPONENTS = {
    "feature_extractor": (None, None), "image_encoder": (None, None),
    "safety_checker": (None, None), "scheduler": ("diffusers", "DDIMScheduler"),
    "text_encoder": ("transformers", "CLIPTextModel"),
    "tokenizer": ("transformers", "CLIPTokenizer"),
    "unet": ("diffusers", "UNet2DConditionModel"), "vae": ("diffusers", "AutoencoderKL"),
}


def base(workspace: Workspace, stage: str, settings: Base) -> None:
    """The model that the later stages go on from: a given one, or that of the stages before."""
    if settings.model is None:
        denoiser = trained_denoiser(workspace, FIRST_STAGES[-1])
        _write(workspace.base, denoiser, finished_vae(workspace), workspace.tokenizer)
    else:
        if workspace.base.exists():
            shutil.rmtree(workspace.base)
        for name in PARTS:
            shutil.copytree(Path(settings.model) / name, workspace.base / name)
        shutil.copytree(workspace.base / "tokenizer", workspace.tokenizer, dirs_exist_ok=True)
    print(f"{stage}: {workspace.base}", flush=True)


def run(workspace: Workspace, stage: str, _settings: None, unfinished: bool = False) -> None:
    """Write the finished model's folder anew."""
    denoiser = trained_denoiser(workspace, "unet4", unfinished)
    _write(workspace.model, denoiser, base_vae(workspace), workspace.tokenizer)
    print(f"{stage}: {workspace.model}", flush=True)


def _write(folder: Path, denoiser: Denoiser, vae: AutoencoderKL, tokenizer: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
    _write_json(folder / "model_index.json", _versioned("StableDiffusionPipeline") | {
        "requires_safety_checker": False, **COMPONENTS})
    _write_json(folder / "scheduler" / "scheduler_config.json",
                _versioned("DDIMScheduler") | SCHEDULER)
    shutil.copytree(tokenizer, folder / "tokenizer")
    _write_text_encoder(folder / "text_encoder", denoiser.text_encoder)
    _write_network(folder / "unet", denoiser.unet)
    _write_network(folder / "vae", vae)


def _versioned(name: str) -> dict[str, Any]:
    return {"_class_name": name, "_diffusers_version": diffusers.__version__}


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")


def _write_network(folder: Path, network: ModelMixin) -> None:
    network.to("cpu", memory_format=torch.contiguous_format).half()
    network.save_pretrained(folder)


def _write_text_encoder(folder: Path, encoder: CLIPTextModel) -> None:
    """transformers 5 names weights without the prefix that every published model has."""
    config = json.loads(encoder.config.to_json_string()) | {"architectures": ["CLIPTextModel"]}
    config.pop("dtype", None)
    _write_json(folder / "config.json", dict(sorted(config.items())))
    weights = {f"text_model.{name}": weight.to("cpu", torch.float16).contiguous()
               for name, weight in encoder.state_dict().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
