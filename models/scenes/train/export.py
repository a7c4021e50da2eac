"""The finished model as a folder in diffusers layout, in fp16."""

import json
import shutil
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import ModelMixin
from safetensors.torch import save_file
from transformers import CLIPTextModel

from .unet import SCHEDULER, finished_denoiser
from .vae import finished_vae
from .workspace import Workspace

COMPONENTS = {
    "feature_extractor": (None, None), "image_encoder": (None, None),
    "safety_checker": (None, None), "scheduler": ("diffusers", "DDIMScheduler"),
    "text_encoder": ("transformers", "CLIPTextModel"),
    "tokenizer": ("transformers", "CLIPTokenizer"),
    "unet": ("diffusers", "UNet2DConditionModel"), "vae": ("diffusers", "AutoencoderKL"),
}


def run(workspace: Workspace, stage: str, _settings: None) -> None:
    """Write the folder anew."""
    folder = workspace.model
    denoiser, vae = finished_denoiser(workspace), finished_vae(workspace)
    if folder.exists():
        shutil.rmtree(folder)
    _write_json(folder / "model_index.json", _versioned("StableDiffusionPipeline") | {
        "requires_safety_checker": False, **COMPONENTS})
    _write_json(folder / "scheduler" / "scheduler_config.json",
                _versioned("DDIMScheduler") | SCHEDULER)
    shutil.copytree(workspace.tokenizer, folder / "tokenizer")
    _write_text_encoder(folder / "text_encoder", denoiser.text_encoder)
    _write_network(folder / "unet", denoiser.unet)
    _write_network(folder / "vae", vae)
    print(f"{stage}: {folder}", flush=True)


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
