"""The text encoder learns to read before the UNet uses it.

A minute of it saves hours: the UNet's loss alone teaches words very slowly. From the last token of
each object's name it must be possible to tell the object's kind, colour and texture; from the last
word, the end token and the last padding token the place, time, weather and style.
"""

import random
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from . import scenes
from .settings import Text
from .training import device, load_weights, optimizer_of, train
from .workspace import Workspace

# Values of what is asked about an object; an unsaid colour or texture is the last or first value.
OBJECT_VALUES = {"kind": scenes.OBJECTS, "colour": [*scenes.COLOURS, ""],
                 "texture": scenes.TEXTURES}
# Values of what is asked about the whole scene, and the word that gives each away.
SCENE_VALUES = {"place": ["", *scenes.PLACES], "time": ["", "sunset", "night"],
                "weather": ["", "fog", "rain"], "style": scenes.STYLES}


def new_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """CLIP's text encoder: three layers of width 128 with four heads, 77 tokens."""
    return CLIPTextModel(CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=128, intermediate_size=512, num_hidden_layers=3,
        num_attention_heads=4, max_position_embeddings=77, hidden_act="quick_gelu",
        projection_dim=128, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id))


def load_tokenizer(workspace: Workspace) -> CLIPTokenizer:
    return CLIPTokenizer.from_pretrained(workspace.require(workspace.tokenizer, "tokenizer"))


class Reader(nn.Module):
    """The text encoder with one linear classifier for each question."""

    def __init__(self, encoder: CLIPTextModel) -> None:
        super().__init__()
        self.encoder = encoder
        width = encoder.config.hidden_size
        self.questions = nn.ModuleDict({
            name: nn.Linear(width, len(values))
            for name, values in (OBJECT_VALUES | SCENE_VALUES).items()})


def load_pretrained(workspace: Workspace, encoder: CLIPTextModel) -> None:
    """Give `encoder` the weights that this stage made."""
    weights = load_weights(workspace, "text")["module"]
    encoder.load_state_dict({name.removeprefix("encoder."): weight
                             for name, weight in weights.items()
                             if name.startswith("encoder.")})


@dataclass
class Reading:
    """A caption and what it says itself; of its scene it may tell less."""

    tokens: list[int]  # the start token and the words, without an end token
    objects: list[tuple[int, dict[str, int]]]  # where each is named in full; its values
    scene: dict[str, int]


class Labeller:
    """Reads captions word by word."""

    def __init__(self, tokenizer: CLIPTokenizer) -> None:
        self.tokenizer = tokenizer
        self.known: dict[str, list[int]] = {}

    def read(self, caption: str) -> Reading:
        reading = Reading([self.tokenizer.bos_token_id], [], dict.fromkeys(SCENE_VALUES, 0))
        adjectives = {"colour": "", "texture": ""}
        for word in caption.split():
            reading.tokens += self._tokens(word)
            for name in adjectives:
                if word in OBJECT_VALUES[name]:
                    adjectives[name] = word
            for name, values in SCENE_VALUES.items():
                if word in values:
                    reading.scene[name] = values.index(word)
            if word in scenes.OBJECTS:
                said = adjectives | {"kind": word}
                reading.objects.append((len(reading.tokens) - 1,
                                        {name: OBJECT_VALUES[name].index(value)
                                         for name, value in said.items()}))
                adjectives = {"colour": "", "texture": ""}
        return reading

    def _tokens(self, word: str) -> list[int]:
        if word not in self.known:
            self.known[word] = self.tokenizer(word).input_ids[1:-1]
        return self.known[word]


def run(workspace: Workspace, stage: str, settings: Text) -> None:
    """Train on fresh captions of scenes that are never drawn."""
    tokenizer = load_tokenizer(workspace)
    torch.manual_seed(settings.seed)
    reader = Reader(new_text_encoder(tokenizer)).to(device()).train()
    labeller = Labeller(tokenizer)

    def loss_of(rng: np.random.Generator) -> tuple[torch.Tensor, dict[str, float]]:
        chance = random.Random(int(rng.integers(1 << 62)))
        captions = [scenes.caption(scenes.sample_scene(chance), chance)
                    for _ in range(settings.batch)]
        return _loss(reader, [labeller.read(caption) for caption in captions], settings.length)

    train(workspace, stage, settings, reader, optimizer_of(reader, settings), loss_of)


def _loss(reader: Reader, readings: list[Reading],
          length: int) -> tuple[torch.Tensor, dict[str, float]]:
    tokens = torch.full((len(readings), length), reader.encoder.config.eos_token_id)
    for row, reading in enumerate(readings):
        tokens[row, :len(reading.tokens)] = torch.tensor(reading.tokens)
    states = reader.encoder(tokens.to(device())).last_hidden_state

    loss = states.new_zeros(())
    figures = {}
    named = [(row, at, values) for row, reading in enumerate(readings)
             for at, values in reading.objects]
    at_names = states[[row for row, _, _ in named], [at for _, at, _ in named]]
    for name in OBJECT_VALUES:
        answer = reader.questions[name](at_names)
        truth = torch.tensor([values[name] for _, _, values in named], device=device())
        loss = loss + F.cross_entropy(answer, truth)
        figures[name] = (answer.argmax(1) == truth).float().mean().item()

    rows = list(range(len(readings)))
    last = [len(reading.tokens) - 1 for reading in readings]
    for name in SCENE_VALUES:
        truth = torch.tensor([reading.scene[name] for reading in readings], device=device())
        for at in (last, [i + 1 for i in last], [length - 1] * len(readings)):
            answer = reader.questions[name](states[rows, at])
            loss = loss + F.cross_entropy(answer, truth) / 3
    return loss, {"loss": loss.item(), **figures}
