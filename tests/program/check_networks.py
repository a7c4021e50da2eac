"""analysis/networks.py against the same formulas written plainly in NumPy, and network_metrics.py's table against both.

    check_networks.py FOLDER      one.h5, one.network-metrics.csv of it, and make_networks.py's files
"""
import csv
import math
import sys
from pathlib import Path

import facts
import numpy as np
from PIL import Image

sys.path.insert(0, "analysis")
import networks  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from edit_masks import edit_mask  # noqa: E402
from promptmill_store import Store, StoreError  # noqa: E402

folder = Path(sys.argv[1])


def weights_of(name):
    return {key: value.double().numpy() for key, value in torch.load(folder / name, weights_only=True).items()}


def convolved(x, weights, name, stride=1, padding=0):
    """x [channel, y, x]"""
    kernel = weights[f"{name}.weight"]
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    height, width = ((length - kernel.shape[2]) // stride + 1 for length in x.shape[1:])
    out = np.zeros((len(kernel), height, width)) + weights[f"{name}.bias"][:, None, None]
    for i in range(kernel.shape[2]):
        for j in range(kernel.shape[3]):
            shifted = x[:, i : i + height * stride : stride, j : j + width * stride : stride][:, :height, :width]
            out += np.einsum("oc,cyx->oyx", kernel[:, :, i, j], shifted)
    return out


def pooled(x):
    """The greatest of 3x3, every second one, the last ones over the edge."""
    height, width = (math.ceil((length - 3) / 2) + 1 for length in x.shape[1:])
    x = np.pad(x, ((0, 0), (0, 2), (0, 2)), constant_values=-np.inf)
    shifted = [x[:, i : i + 2 * height - 1 : 2, j : j + 2 * width - 1 : 2] for i in range(3) for j in range(3)]
    return np.max(shifted, axis=0)


def plain_lpips(a, b):
    """Zhang et al. 2018, equation 1: of unit vectors along the channels, weighted squares, averaged over places."""
    weights, linear = weights_of("squeezenet.pth"), weights_of("lpips.pth")

    def taps(picture):
        x = (picture.transpose(2, 0, 1) / 127.5 - 1 - np.array([-0.03, -0.088, -0.188])[:, None, None])
        x = np.maximum(convolved(x / np.array([0.458, 0.448, 0.45])[:, None, None], weights, "features.0", 2), 0)
        found = [x]
        for module in (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12):
            if module in (2, 5, 8):
                x = pooled(x)
                continue
            name = f"features.{module}"
            narrow = np.maximum(convolved(x, weights, f"{name}.squeeze"), 0)
            wide = convolved(narrow, weights, f"{name}.expand3x3", 1, 1)
            x = np.maximum(np.concatenate([convolved(narrow, weights, f"{name}.expand1x1"), wide]), 0)
            if module in (4, 7, 9, 10, 11, 12):
                found.append(x)
        return found

    total = 0.0
    for i, pair in enumerate(zip(taps(a), taps(b))):
        unit_a, unit_b = (x / (np.sqrt((x**2).sum(axis=0)) + 1e-10) for x in pair)
        total += np.einsum("c,cyx->yx", linear[f"lin{i}.model.1.weight"].ravel(), (unit_a - unit_b) ** 2).mean()
    return total


def plain_structure(picture):
    """Cosines of the keys of a vision transformer's twelfth block, of 224 x 224 pixels."""
    w = weights_of("dino.pth")
    at = np.clip((np.arange(224) + 0.5) * picture.shape[0] / 224 - 0.5, 0, picture.shape[0] - 1)
    low, share = np.floor(at).astype(int), at - np.floor(at)
    high = np.minimum(low + 1, picture.shape[0] - 1)
    rows = picture[low] * (1 - share)[:, None, None] + picture[high] * share[:, None, None]
    small = rows[:, low] * (1 - share)[None, :, None] + rows[:, high] * share[None, :, None]
    x = ((small - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)).transpose(2, 0, 1)
    side = w["patch_embed.proj.weight"].shape[-1]
    x = convolved(x, w, "patch_embed.proj", side).reshape(128, -1).T
    x = np.concatenate([w["cls_token"][0], x]) + w["pos_embed"][0]
    erf = np.vectorize(math.erf)

    def linear(x, name):
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(x, name):
        centred = x - x.mean(axis=-1, keepdims=True)
        deviation = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-6)
        return centred / deviation * w[f"{name}.weight"] + w[f"{name}.bias"]

    for block in (f"blocks.{i}" for i in range(12)):
        q, k, v = np.split(linear(norm(x, f"{block}.norm1"), f"{block}.attn.qkv"), 3, axis=-1)
        heads = []
        for head in (slice(0, 64), slice(64, 128)):
            scores = np.exp(q[:, head] @ k[:, head].T / 8)
            heads.append(scores / scores.sum(axis=-1, keepdims=True) @ v[:, head])
        x = x + linear(np.concatenate(heads, axis=-1), f"{block}.attn.proj")
        hidden = linear(norm(x, f"{block}.norm2"), f"{block}.mlp.fc1")
        x = x + linear(hidden * (1 + erf(hidden / math.sqrt(2))) / 2, f"{block}.mlp.fc2")
    unit = k / np.sqrt((k**2).sum(axis=-1, keepdims=True))
    return unit @ unit.T


class PlainClip:
    """Transformers' own CLIP, of one picture and one text at a time."""

    def __init__(self):
        import transformers

        self.model = transformers.CLIPModel.from_pretrained(folder / "clip").eval()
        self.tokenizer = transformers.CLIPTokenizer.from_pretrained(folder / "clip")

    @staticmethod
    def unit(features):
        features = getattr(features, "pooler_output", features)[0].double().numpy()  # as of version 5
        return features / np.linalg.norm(features)

    def of_text(self, text):
        return self.unit(self.model.get_text_features(**self.tokenizer([text], return_tensors="pt")))

    def of_square(self, square):
        mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
        pixels = torch.from_numpy((square - mean) / std).permute(2, 0, 1)[None].float()
        return self.unit(self.model.get_image_features(pixel_values=pixels))

    def of_pillow(self, picture):
        return self.of_square(np.asarray(Image.fromarray(picture).resize((48, 48), Image.BICUBIC)) / 255)

    def of_torch(self, picture):
        batch = torch.from_numpy(picture).permute(2, 0, 1)[None] / 255
        return self.of_square(F.interpolate(batch, (48, 48), mode="bicubic")[0].permute(1, 2, 0).numpy())


def plain_row(store, entry, clip):
    a, b, (mask, _) = store.original(entry), store.image(entry), edit_mask(store, entry)
    text_0, text_1 = clip.of_text(store.source(entry).prompt), clip.of_text(entry.prompt)
    image_0, image_1 = clip.of_torch(a), clip.of_torch(b)
    ways = image_1 - image_0, text_1 - text_0
    has_way = store.source(entry).prompt != entry.prompt
    nan = math.nan
    return {
        "clip_similarity_source_image": max(100 * clip.of_pillow(a) @ text_0, 0),
        "clip_similarity_target_image": max(100 * clip.of_pillow(b) @ text_1, 0),
        "clip_similarity_target_image_edit_part":
            nan if mask is None or not mask.any() else max(100 * clip.of_pillow(b * mask[..., None]) @ text_1, 0),
        "clip_sim_0": image_0 @ text_0,
        "clip_sim_1": image_1 @ text_1,
        "clip_sim_dir": ways[0] @ ways[1] / np.linalg.norm(ways[0]) / np.linalg.norm(ways[1]) if has_way else nan,
        "clip_sim_image": image_0 @ image_1,
        "lpips": plain_lpips(a, b),
        "lpips_unedit_part":
            nan if mask is None or mask.all() else plain_lpips(a * ~mask[..., None], b * ~mask[..., None]),
        "structure_distance": ((plain_structure(a) - plain_structure(b)) ** 2).mean(),
    }  # fmt: skip


def check_table(store):
    with open(folder / "one.network-metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    done = [e for e in store.entries if e.state == "done" and (not e.is_source or e.item.id.startswith("fish"))]
    places = [(row["entry"], row["id"], row["target"], row["category"]) for row in rows]
    facts.check("there is a row for each finished edit and reconstruction", places == [
        (str(e.number), e.item.id, str(e.target), store.setting(e, "category")) for e in done], places)  # fmt: skip
    clip, far = PlainClip(), set()
    kinds = {(row["mask"], row["target"] == "-1"): (entry, row) for entry, row in zip(done, rows)}
    for entry, row in kinds.values():  # one of each kind: plain formulas take their time
        for name, value in plain_row(store, entry, clip).items():
            if not np.isclose(float(row[name]), value, rtol=2e-4, atol=2e-5, equal_nan=True):
                far.add((name, row[name], value))
    facts.check("its numbers are those of plain formulas, with masks of all kinds", not far and len(kinds) == 4, far)
    facts.check("what there is no way to measure is NaN", any(row["clip_sim_dir"] == "nan" for row in rows) and
                any(row["lpips_unedit_part"] == "nan" for row in rows))  # fmt: skip
    facts.check("the module reads it beside the other table", {"psnr", "lpips"} <= set(store.metrics().names))


def check_odd_sizes():
    rng = np.random.default_rng(3)
    a, b = rng.integers(0, 256, (2, 1, 66, 70, 3), dtype=np.uint8)
    lpips = networks.Lpips(folder / "squeezenet.pth", folder / "lpips.pth", "cpu")
    seen, plain = float(lpips.distance(a, b)[0]), plain_lpips(a[0], b[0])
    facts.check("LPIPS of sizes that pooling does not divide", math.isclose(seen, plain, rel_tol=1e-4), (seen, plain))
    facts.check("a picture has no distance to itself", float(lpips.distance(a, a)[0]) == 0)
    squares = networks._square(Image.fromarray(a[0]), 48)
    resized = np.asarray(Image.fromarray(a[0]).resize((50, 48), Image.BICUBIC))
    facts.check("CLIP sees the centre of a wide picture", (squares == resized[:, 1:49]).all())


def check_refusals():
    with facts.refuses("another network's weights are refused", StoreError, "lpips.pth", "features.12"):
        networks.Lpips(folder / "lpips.pth", folder / "lpips.pth", "cpu")
    with facts.refuses("a file that is no weights", StoreError, "one.h5"):
        networks.Dino(folder / "one.h5", "cpu")
    with facts.refuses("a name that would have to be downloaded", StoreError, "openai/clip", "no config.json"):
        networks.Clip(Path("openai/clip-vit-large-patch14"), "cpu")


torch.set_grad_enabled(False)
with Store(folder / "one.h5") as opened:
    check_table(opened)
check_odd_sizes()
check_refusals()
facts.finish()
