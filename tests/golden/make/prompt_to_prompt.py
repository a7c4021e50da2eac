"""Prompt-to-Prompt on diffusers, written from its description (Hertz et al. 2022, arXiv 2208.01626, and
what google/prompt-to-prompt's notebooks do), for scenes.py to compute golden edits with.

Attention is [prompt, head, query, key]; prompt 0 is the source. Only the conditional half is edited.
"""

import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import AttnProcessor2_0

LENGTH = 77


def word_tokens(tokenizer, text, word):
    """Where the tokens of a word lie in a prompt, every time it occurs; words are parted by spaces."""
    at, found = 1, []  # behind the begin token
    for other in text.split(" "):
        count = len(tokenizer(other).input_ids) - 2
        if other == word:
            found += range(at, at + count)
        at += count
    return found


def replacement(tokenizer, source, target):
    """[77, 77]: which source tokens a target token takes its attention from, when words are swapped.
    As published, slip included: behind the last swapped word, a token takes from its own number."""
    mapper = torch.zeros(LENGTH, LENGTH)
    words = list(zip(source.split(" "), target.split(" "), strict=True))
    last = max(number for number, (old, new) in enumerate(words) if old != new)
    row = column = 1
    mapper[0, 0] = 1
    for old, new in words[:last + 1]:
        rows, columns = (len(tokenizer(word).input_ids) - 2 for word in (old, new))
        if rows == columns:
            mapper[row:row + rows, column:column + columns] = torch.eye(rows)
        else:
            mapper[row:row + rows, column:column + columns] = 1 / columns
        row, column = row + rows, column + columns
    for step in range(LENGTH - max(row, column)):
        mapper[column + step, column + step] = 1
    return mapper


def refinement(tokenizer, source, target):
    """For each target token the source token that it is aligned with, and 1, or 0 where it is new:
    a global alignment (Needleman and Wunsch), match 1, mismatch -1, gap 0. Among equals, a new
    target token is preferred, then a lost source token."""
    old, new = (tokenizer(text).input_ids for text in (source, target))
    score = [[0] * (len(new) + 1) for _ in range(len(old) + 1)]
    way = [["new"] * (len(new) + 1) for _ in range(len(old) + 1)]
    for i in range(1, len(old) + 1):
        way[i][0] = "lost"
        for j in range(1, len(new) + 1):
            ways = {"new": score[i][j - 1], "lost": score[i - 1][j],
                    "both": score[i - 1][j - 1] + (1 if old[i - 1] == new[j - 1] else -1)}
            score[i][j] = max(ways.values())
            way[i][j] = next(name for name, value in ways.items() if value == score[i][j])
    mapper = torch.arange(LENGTH)
    known = torch.ones(LENGTH)
    i, j = len(old), len(new)
    while i or j:
        step = way[i][j]
        i, j = i - (step != "new"), j - (step != "lost")
        if step == "both":
            mapper[j] = i
        elif step == "new":
            mapper[j], known[j] = -1, 0
    return mapper, known


def windows(tokenizer, prompts, bounds, steps):
    """[steps + 1, targets, 77]: 1 where and while a target's token takes the source's attention."""
    given = bounds if isinstance(bounds, dict) else {"default_": bounds}
    table = torch.zeros(steps + 1, len(prompts) - 1, LENGTH)
    for word in sorted(given, key=lambda word: word != "default_"):
        start, end = given[word] if isinstance(given[word], list) else (0, given[word])
        start, end = (int(bound * len(table)) for bound in (start, end))
        for number, prompt in enumerate(prompts[1:]):
            tokens = range(LENGTH) if word == "default_" else word_tokens(tokenizer, prompt, word)
            table[:, number, tokens] = 0
            table[start:end, number, tokens] = 1
    return table


def factors(tokenizer, text, words, values):
    """[77]: what the attention to each token is multiplied by."""
    table = torch.ones(LENGTH)
    for number, word in enumerate(words):
        table[word_tokens(tokenizer, text, word)] = values[min(number, len(values) - 1)]
    return table


class Edit:
    """What happens to attention and latents in the course of an edit, and a record of it."""

    def __init__(self, tokenizer, parameters, profile, largest_self):
        prompts, self.steps = parameters["prompts"], parameters["steps"]
        self.controller = parameters["controller"].split("+")
        self.cross = windows(tokenizer, prompts, parameters["cross"], self.steps)
        bounds = parameters["self"]
        bounds = bounds if isinstance(bounds, list) else [0, bounds]
        self.self_steps = range(*(int(self.steps * bound) for bound in bounds))
        self.largest_self = largest_self
        pairs = [(tokenizer, prompts[0], prompt) for prompt in prompts[1:]]
        if "replace" in self.controller:
            self.mapper = torch.stack([replacement(*pair) for pair in pairs])
        elif "refine" in self.controller:
            self.mapper, self.known = (torch.stack(part) for part in zip(*(refinement(*pair) for pair in pairs)))
        self.equalizer = torch.ones(LENGTH)
        if "eq" in parameters:
            self.equalizer = factors(tokenizer, prompts[1], *parameters["eq"])
        self.blend = self._tokens(tokenizer, prompts, parameters.get("blend"))
        self.subtract = self._tokens(tokenizer, prompts, parameters.get("substruct"))
        self.threshold = parameters.get("th", 0.3)
        self.one_mask = profile == "stable"
        self.blend_after = 0 if profile == "stable" else int(0.2 * self.steps)
        self.step = 0
        self.maps = {}  # sums over the steps of cross-attention, by layer, as edited

    @staticmethod
    def _tokens(tokenizer, prompts, words):
        if not words:
            return None
        chosen = torch.zeros(len(prompts), LENGTH)
        for row, (prompt, of_prompt) in enumerate(zip(prompts, words, strict=True)):
            for word in of_prompt:
                chosen[row, word_tokens(tokenizer, prompt, word)] = 1
        return chosen

    def attention(self, layer, is_cross, before):
        """[prompt, head, query, key] as the layer computed it, to what it goes on with."""
        source, targets = before[:1], before[1:]
        if is_cross:
            taken = source.expand_as(targets)
            if "replace" in self.controller:
                taken = torch.einsum("bhqk,bkn->bhqn", taken, self.mapper)
            elif "refine" in self.controller:
                known = self.known[:, None, None]
                taken = torch.stack([source[0][..., row] for row in self.mapper]) * known + targets * (1 - known)
            alpha = self.cross[self.step][:, None, None]
            targets = taken * self.equalizer * alpha + targets * (1 - alpha)
        elif self.step in self.self_steps and before.shape[2] <= self.largest_self:
            targets = source.expand_as(targets)
        after = torch.cat([source, targets])
        if is_cross:
            self.maps[layer] = self.maps.get(layer, 0) + after
        return after

    def mean_cross(self, layers, size):
        """[prompt, y, x, 77]: the mean over steps, layers and heads."""
        mean = torch.cat([self.maps[layer] for layer in layers], 1).mean(1) / (self.step + 1)
        return mean.reshape(-1, *size, LENGTH)

    def scores(self, layers, size, latent_size, tokens, pool=True):
        """[prompt, 1, y, x]: attention to some tokens, of its maximum."""
        maps = (self.mean_cross(layers, size) * tokens[:, None, None]).sum(-1)[:, None]
        if pool:
            maps = F.max_pool2d(maps, 3, 1, 1)
        maps = F.interpolate(maps, latent_size)
        return maps / maps.amax((2, 3), keepdim=True)

    def blended(self, latents, layers, size):
        """The latents after local blending, the mask, its scores, and how near one came to the
        threshold; None where there is no mask yet."""
        if self.blend is None or self.step < self.blend_after:
            return latents, None, None, None
        thresholds = self.threshold if isinstance(self.threshold, list) else [self.threshold] * 2
        score = self.scores(layers, size, latents.shape[2:], self.blend)
        mask, margin = score > thresholds[0], (score - thresholds[0]).abs().min()
        mask = mask[:1] | (mask[1:] if self.one_mask else mask)
        if self.subtract is not None:
            away = self.scores(layers, size, latents.shape[2:], self.subtract, pool=False) > thresholds[1]
            mask = mask & ~(away[:1] | away)
        return latents[:1] + mask * (latents - latents[:1]), mask, score, float(margin)


class Processor:
    """An attention layer's computation, with its probabilities shown to `show(layer, is_cross, probs)`
    for the conditional half of the batch, and replaced by what it returns."""

    def __init__(self, layer, show):
        self.layer, self.show = layer, show

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, **_):
        keys = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key, value = (attn.head_to_batch_dim(part) for part in (
            attn.to_q(hidden_states), attn.to_k(keys), attn.to_v(keys)))
        probabilities = attn.get_attention_scores(query, key)
        batch, heads = len(hidden_states), attn.heads
        split = probabilities.reshape(batch, heads, *probabilities.shape[1:])
        half = batch // 2
        shown = self.show(self.layer, encoder_hidden_states is not None, split[half:])
        probabilities = torch.cat([split[:half], shown]).flatten(0, 1)
        out = attn.batch_to_head_dim(torch.bmm(probabilities, value))
        return attn.to_out[1](attn.to_out[0](out))


def attention_layers(unet):
    """Names of the attention modules in the order of their execution."""
    names = [name for name, _ in unet.named_modules() if name.endswith(("attn1", "attn2"))]
    return sorted(names, key=lambda name: [name.startswith(part) for part in ("up", "mid", "down")])


def watch(unet, show):
    """Let `show` see every attention layer."""
    layers = {name: number for number, name in enumerate(attention_layers(unet))}
    for name, module in unet.named_modules():
        if name in layers:
            module.set_processor(Processor(layers[name], show))


def unwatch(unet):
    unet.set_attn_processor(AttnProcessor2_0())
