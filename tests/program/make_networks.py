"""Small networks with random weights, in the files that analysis/network_metrics.py reads.

    make_networks.py FOLDER      clip/, squeezenet.pth, lpips.pth, dino.pth
"""
import math
import shutil
import sys
from pathlib import Path

import torch
import transformers

folder = Path(sys.argv[1])
torch.manual_seed(5)
# SqueezeNet 1.1
FIRES = {3: (64, 16, 64), 4: (128, 16, 64), 6: (128, 32, 128), 7: (256, 32, 128), 9: (256, 48, 192),
         10: (384, 48, 192), 11: (384, 64, 256), 12: (512, 64, 256)}  # fmt: skip
TAPS = (64, 128, 256, 384, 384, 512, 512)


def layer(weights, name, *shape, scale=None):
    weights[f"{name}.weight"] = torch.randn(shape) * (scale or (2 / math.prod(shape[1:])) ** 0.5)
    weights[f"{name}.bias"] = torch.randn(shape[0]) * 0.1


def squeezenet():
    weights = {}
    layer(weights, "features.0", 64, 3, 3, 3)
    for number, (wide, narrow, half) in FIRES.items():
        layer(weights, f"features.{number}.squeeze", narrow, wide, 1, 1)
        layer(weights, f"features.{number}.expand1x1", half, narrow, 1, 1)
        layer(weights, f"features.{number}.expand3x3", half, narrow, 3, 3)
    return weights


def dino(width=128, patch=32, blocks=12):
    positions = torch.randn(1, (224 // patch) ** 2 + 1, width)
    weights = {"cls_token": torch.randn(1, 1, width), "pos_embed": positions}
    layer(weights, "patch_embed.proj", width, 3, patch, patch, scale=0.001)
    for block in range(blocks):
        for norm in "norm1", "norm2":
            weights[f"blocks.{block}.{norm}.weight"] = 1 + torch.randn(width) * 0.1
            weights[f"blocks.{block}.{norm}.bias"] = torch.randn(width) * 0.1
        for name, out, into in ("attn.qkv", 3, 1), ("attn.proj", 1, 1), ("mlp.fc1", 4, 1), ("mlp.fc2", 1, 4):
            layer(weights, f"blocks.{block}.{name}", out * width, into * width)
    return weights


def clip():
    tokens = {"vocab_size": 641, "max_position_embeddings": 77, "bos_token_id": 639, "eos_token_id": 640}
    text = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2} | tokens
    vision = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
              "image_size": 48, "patch_size": 16}  # fmt: skip
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)
    transformers.CLIPModel(config).save_pretrained(folder / "clip")
    for file in Path("models/scenes/tokenizer").iterdir():
        shutil.copy(file, folder / "clip")


clip()
torch.save(squeezenet(), folder / "squeezenet.pth")
linear = {f"lin{i}.model.1.weight": torch.rand(1, width, 1, 1) for i, width in enumerate(TAPS)}
torch.save(linear, folder / "lpips.pth")
torch.save(dino(), folder / "dino.pth")
