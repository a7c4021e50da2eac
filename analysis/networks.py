"""The networks of network_metrics.py and what is computed of them, in PyTorch, on pictures of a batch.

Formulas and preparation are those of the programs whose numbers are published, each named below: weights are theirs
too, from files. Nothing is downloaded.
"""
from __future__ import annotations

import os
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"  # read when transformers is loaded

import numpy as np  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from PIL import Image  # noqa: E402
from promptmill_store import StoreError  # noqa: E402

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def load_weights(path: Path, needed: str) -> dict[str, torch.Tensor]:
    """A state dict of plain tensors, as f32.

    @param needed  a key without which the file is another network's"""
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
        weights = {name: tensor.float() for name, tensor in weights.items()}
    except Exception as error:  # of damaged files torch raises whatever its readers do
        raise StoreError(f"{path} cannot be read as PyTorch's weights: {error}") from error
    if needed not in weights:
        raise StoreError(f"{path}: it has no {needed}: these are other weights")
    return weights


def as_tensor(pictures: np.ndarray, device: str) -> torch.Tensor:
    """@param pictures  u8 [picture, y, x, rgb]   @return f32 [picture, rgb, y, x], 0 to 255"""
    return torch.from_numpy(pictures).to(device).permute(0, 3, 1, 2).float()


def _normalised(pictures: torch.Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> torch.Tensor:
    mean, std = (torch.tensor(values, device=pictures.device)[:, None, None] for values in (mean, std))
    return (pictures - mean) / std


class Clip:
    """CLIP from a folder in Hugging Face's layout: config.json, model.safetensors, vocab.json, merges.txt.

    Pictures go two ways into it, which give slightly different numbers. As Hugging Face's processor prepares them,
    for the CLIP score of torchmetrics that PnPInversion reports: Pillow's bicubic filter. And as InstructPix2Pix's
    metrics/clip_similarity.py does: PyTorch's bicubic interpolation, without smoothing."""

    def __init__(self, folder: Path, device: str) -> None:
        import transformers

        transformers.utils.logging.disable_progress_bar()
        if not (folder / "config.json").is_file():  # else the name would be looked for at Hugging Face
            raise StoreError(f"{folder} is not a folder with CLIP: it has no config.json")
        try:
            self.model = transformers.CLIPModel.from_pretrained(folder, local_files_only=True).float().eval().to(device)
            self.tokenizer = transformers.CLIPTokenizer.from_pretrained(folder, local_files_only=True)
        except Exception as error:  # transformers raises what its many readers do
            raise StoreError(f"{folder}: CLIP cannot be loaded: {error}") from error
        self.side = self.model.config.vision_config.image_size
        self.most_tokens = self.model.config.text_config.max_position_embeddings
        self.device = device

    def of_texts(self, texts: list[str]) -> torch.Tensor:
        """[text, feature], of length 1"""
        tokens = self.tokenizer(texts, padding=True, truncation=True, max_length=self.most_tokens, return_tensors="pt")
        tokens = tokens.to(self.device)
        pooled = self.model.text_model(tokens["input_ids"], attention_mask=tokens["attention_mask"]).pooler_output
        return F.normalize(self.model.text_projection(pooled), dim=-1)

    def of_processed(self, pictures: np.ndarray) -> torch.Tensor:
        """Hugging Face's way. @param pictures  u8 [picture, y, x, rgb]   @return [picture, feature], of length 1"""
        squares = np.stack([_square(Image.fromarray(picture), self.side) for picture in pictures])
        return self._of_squares(as_tensor(squares, self.device) / 255)

    def of_interpolated(self, pictures: np.ndarray) -> torch.Tensor:
        """InstructPix2Pix's way."""
        size = (self.side, self.side)
        squares = F.interpolate(as_tensor(pictures, self.device) / 255, size, mode="bicubic", align_corners=False)
        return self._of_squares(squares)

    def _of_squares(self, squares: torch.Tensor) -> torch.Tensor:
        pooled = self.model.vision_model(_normalised(squares, CLIP_MEAN, CLIP_STD)).pooler_output
        return F.normalize(self.model.visual_projection(pooled), dim=-1)


def _square(picture: Image.Image, side: int) -> np.ndarray:
    """The shorter side resized, the centre cut out."""
    scale = side / min(picture.size)
    picture = picture.resize([max(side, int(length * scale)) for length in picture.size], Image.BICUBIC)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return np.asarray(picture.crop((left, top, left + side, top + side)))


def clip_score(of_pictures: torch.Tensor, of_texts: torch.Tensor) -> torch.Tensor:
    """100 times the cosine, not below 0: torchmetrics' CLIPScore (Hessel et al. 2021, arXiv 2104.08718)."""
    return (100 * (of_pictures * of_texts).sum(dim=-1)).clamp(min=0)


def clip_similarities(image_0: torch.Tensor, image_1: torch.Tensor, text_0: torch.Tensor,
                      text_1: torch.Tensor) -> dict[str, torch.Tensor]:  # fmt: skip
    """InstructPix2Pix's four. The directional one compares the way that the picture went with the way that the prompt
    went (Gal et al. 2021, arXiv 2108.00946); where either did not move it is NaN."""
    way_of_image, way_of_text = image_1 - image_0, text_1 - text_0
    direction = F.cosine_similarity(way_of_image, way_of_text, dim=-1)
    moved = (way_of_image != 0).any(dim=-1) & (way_of_text != 0).any(dim=-1)
    return {
        "clip_sim_0": (image_0 * text_0).sum(dim=-1),
        "clip_sim_1": (image_1 * text_1).sum(dim=-1),
        "clip_sim_dir": torch.where(moved, direction, torch.nan),
        "clip_sim_image": (image_0 * image_1).sum(dim=-1),
    }


class Lpips:
    """LPIPS with SqueezeNet 1.1 (Zhang et al. 2018, arXiv 1801.03924; their package's version 0.1).

    @param backbone  torchvision's squeezenet1_1 weights
    @param linear    the package's weights/v0.1/squeeze.pth"""

    MEAN, STD = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of pictures from -1 to 1
    FIRES = ((3, 4), (6, 7), (9,), (10,), (11,), (12,))  # modules between one tap and the next
    POOLED = (0, 1, 2)  # of these groups, those that begin with a pooling
    EPSILON = 1e-10

    def __init__(self, backbone: Path, linear: Path, device: str) -> None:
        weights = load_weights(backbone, "features.12.expand3x3.weight")
        self.weights = {name: tensor.to(device) for name, tensor in weights.items() if name.startswith("features.")}
        linear_weights = load_weights(linear, "lin6.model.1.weight")
        self.linear = [linear_weights[f"lin{i}.model.1.weight"].to(device) for i in range(7)]
        self.device = device

    def distance(self, a: np.ndarray, b: np.ndarray) -> torch.Tensor:
        """@param a, b  f32 or u8 [picture, y, x, rgb], 0 to 255   @return [picture]"""
        total = torch.zeros(len(a), device=self.device)
        for of_a, of_b, weight in zip(self._taps(a), self._taps(b), self.linear):
            difference = (self._unit(of_a) - self._unit(of_b)) ** 2
            total += (difference * weight).sum(dim=1).mean(dim=(1, 2))
        return total

    def _unit(self, features: torch.Tensor) -> torch.Tensor:
        return features / (features.norm(dim=1, keepdim=True) + self.EPSILON)

    def _taps(self, pictures: np.ndarray) -> list[torch.Tensor]:
        x = _normalised(as_tensor(pictures, self.device) / 127.5 - 1, self.MEAN, self.STD)
        x = F.relu(self._convolved(x, "features.0", stride=2))
        taps = [x]
        for group, fires in enumerate(self.FIRES):
            if group in self.POOLED:
                x = F.max_pool2d(x, 3, stride=2, ceil_mode=True)
            for fire in fires:
                x = self._fire(x, f"features.{fire}")
            taps.append(x)
        return taps

    def _fire(self, x: torch.Tensor, name: str) -> torch.Tensor:
        squeezed = F.relu(self._convolved(x, f"{name}.squeeze"))
        wide = self._convolved(squeezed, f"{name}.expand3x3", padding=1)
        return F.relu(torch.cat([self._convolved(squeezed, f"{name}.expand1x1"), wide], dim=1))

    def _convolved(self, x: torch.Tensor, name: str, **how: int) -> torch.Tensor:
        return F.conv2d(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"], **how)


class Dino:
    """The structure distance of PnPInversion's evaluation/matrics_calculator.py, which is Splice's (Tumanyan et al.
    2022, arXiv 2201.00424): how differently the patches of two pictures resemble each other, by the keys of DINO's
    last block.

    @param weights  Facebook's dino_vitbase8_pretrain.pth"""

    SIDE, BLOCKS, HEAD_WIDTH, NORM_EPSILON, COSINE_EPSILON = 224, 12, 64, 1e-6, 1e-8

    def __init__(self, weights: Path, device: str) -> None:
        loaded = load_weights(weights, f"blocks.{self.BLOCKS - 1}.attn.qkv.weight")
        self.weights = {name: tensor.to(device) for name, tensor in loaded.items()}
        self.patch = self.weights["patch_embed.proj.weight"].shape[-1]
        self.device = device
        if self.weights["pos_embed"].shape[1] != (self.SIDE // self.patch) ** 2 + 1:
            raise StoreError(f"{weights}: its positions are not those of pictures of {self.SIDE} pixels")

    def distance(self, of_a: torch.Tensor, of_b: torch.Tensor) -> torch.Tensor:
        """@param of_a, of_b  [picture, token, token]   @return [picture]"""
        return ((of_a - of_b) ** 2).mean(dim=(1, 2))

    def self_similarity(self, pictures: np.ndarray) -> torch.Tensor:
        """Cosines of all pairs of tokens' keys, the heads' side by side, the class token among them.

        Two things are as the published numbers have them, though neither was meant: pixels from 0 to 255 are
        normalised as if they went from 0 to 1; and pictures are made smaller without smoothing, as torchvision did
        before 0.17.

        @param pictures  u8 [picture, y, x, rgb], square   @return [picture, token, token]"""
        size = (self.SIDE, self.SIDE)
        small = F.interpolate(as_tensor(pictures, self.device), size, mode="bilinear", align_corners=False)
        keys = self._keys(_normalised(small, IMAGENET_MEAN, IMAGENET_STD))
        norms = keys.norm(dim=-1, keepdim=True)
        return keys @ keys.transpose(1, 2) / (norms @ norms.transpose(1, 2)).clamp(min=self.COSINE_EPSILON)

    def _keys(self, x: torch.Tensor) -> torch.Tensor:
        w = self.weights
        x = F.conv2d(x, w["patch_embed.proj.weight"], w["patch_embed.proj.bias"], stride=self.patch)
        x = x.flatten(2).transpose(1, 2)
        x = torch.cat([w["cls_token"].expand(len(x), -1, -1), x], dim=1) + w["pos_embed"]
        for block in range(self.BLOCKS - 1):
            x = x + self._attention(self._norm(x, f"blocks.{block}.norm1"), f"blocks.{block}.attn")
            hidden = F.gelu(self._linear(self._norm(x, f"blocks.{block}.norm2"), f"blocks.{block}.mlp.fc1"))
            x = x + self._linear(hidden, f"blocks.{block}.mlp.fc2")
        last = f"blocks.{self.BLOCKS - 1}"
        return self._linear(self._norm(x, f"{last}.norm1"), f"{last}.attn.qkv").chunk(3, dim=-1)[1]

    def _attention(self, x: torch.Tensor, name: str) -> torch.Tensor:
        pictures, tokens, width = x.shape
        qkv = self._linear(x, f"{name}.qkv").reshape(pictures, tokens, 3, width // self.HEAD_WIDTH, self.HEAD_WIDTH)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(q, k, v)
        return self._linear(attended.transpose(1, 2).reshape(pictures, tokens, width), f"{name}.proj")

    def _linear(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return F.linear(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def _norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        return F.layer_norm(x, weight.shape, weight, bias, self.NORM_EPSILON)
