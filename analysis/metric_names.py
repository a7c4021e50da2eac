"""What the columns of the tables of metrics are called in words, and which way is better."""
from __future__ import annotations

import re
from dataclasses import dataclass

KINDS = {  # name: (title, unit, digits, is higher better)
    "mse": ("MSE", "", 5, False),
    "psnr": ("PSNR", "dB", 2, True),
    "ssim": ("SSIM", "", 4, True),
    "lpips": ("LPIPS", "", 4, False),
    "structure_distance": ("Structure distance", "", 5, False),
    "clip_similarity_source_image": ("CLIP score of the original and its prompt", "", 2, True),
    "clip_similarity_target_image": ("CLIP score of the edit and its prompt", "", 2, True),
    "clip_similarity_target_image_edit_part": ("CLIP score of the edited part and the prompt", "", 2, True),
    "clip_sim_0": ("CLIP similarity of the original and its prompt", "", 4, True),
    "clip_sim_1": ("CLIP similarity of the edit and its prompt", "", 4, True),
    "clip_sim_dir": ("CLIP directional similarity", "", 4, True),
    "clip_sim_image": ("CLIP similarity of original and edit", "", 4, True),
}
PARTS = {
    "_outside_mask": "outside the mask",
    "_inside_mask": "inside the mask",
    "_unedit_part": "of the unedited part",
    "_edit_part": "of the edited part",
}
# What tells most about an edit first: what it should have made, whether it happened, what it was to leave alone.
IN_ORDER = (
    "truth_psnr", "clip_sim_dir", "clip_similarity_target_image", "psnr_outside_mask", "psnr_unedit_part",
    "structure_distance", "lpips_unedit_part", "truth_psnr_inside_mask", "truth_ssim", "ssim_outside_mask",
    "ssim_unedit_part", "psnr", "ssim", "lpips",
)  # fmt: skip


@dataclass(frozen=True)
class Metric:
    name: str
    title: str
    unit: str
    digits: int  # after the point, as far as they mean something
    is_higher_better: bool

    @property
    def heading(self) -> str:
        """With its unit and the way that is better: "PSNR, dB ↑"."""
        unit = f", {self.unit}" if self.unit else ""
        return f"{self.title}{unit} {'↑' if self.is_higher_better else '↓'}"

    def worded(self, value: float) -> str:
        return f"{value:.{self.digits}f}"


def metric(name: str) -> Metric:
    """Of a name that is not known, the name itself, higher being better."""
    against = " against the intended picture" if name.startswith("truth_") else ""
    plain = re.sub("^truth_", "", name)
    part = next((suffix for suffix in PARTS if plain.endswith(suffix) and plain not in KINDS), "")
    kind = KINDS.get(plain[: len(plain) - len(part)])
    if kind is None:
        return Metric(name, name, "", 4, True)
    title, unit, digits, is_higher_better = kind
    return Metric(name, f"{title} {PARTS[part]}{against}" if part else title + against, unit, digits, is_higher_better)


def in_order(names: list[str]) -> list[str]:
    """The names by IN_ORDER, then the others."""
    return [name for name in IN_ORDER if name in names] + [name for name in names if name not in IN_ORDER]
