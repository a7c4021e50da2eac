"""A small network that tells what a picture shows: by it pictures are judged without people.

It is taught with the generator's own pictures, whose truth is known, as they come out of the
autoencoder with some noise on their latents: so it reads through the blur of drawn pictures. Where
something stands it finds as CenterNet does (Zhou et al. 2019, arXiv 1904.07850): by the peaks of a
map, at which the thing's kind, colour and texture are read.
"""

import multiprocessing
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

from .data import leave_signals_to_parent
from .scenes import SIDE
from .settings import Observer, Views
from .training import (batches, device, load_weights, mixed_precision, optimizer_of, to_unit,
                       train)
from .vae import base_vae
from .views import (COLUMNS, MOST_THINGS, SCENE_COLUMNS, SCENE_VALUES, THING_COLUMNS, THING_VALUES,
                    UNKNOWN, view)
from .workspace import Stopped, Workspace, replacing

WEIGHTS = Path(__file__).parent / "observer.safetensors"
CELL = 8  # pixels of the picture a cell of the map, each way
CELLS = SIDE // CELL
PEAK = 0.4  # of the map, from which on something stands there
PEAK_SPAN = 5  # cells each way of which a peak must be the highest


class Network(nn.Module):
    """Convolutions to 16 x 16 cells; from there a map of things, and the scene as a whole."""

    def __init__(self) -> None:
        super().__init__()

        def block(before: int, after: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
            return nn.Sequential(
                nn.Conv2d(before, after, 3, stride, dilation, dilation, bias=False),
                nn.BatchNorm2d(after), nn.ReLU())

        self.eye = nn.Sequential(block(3, 24, 2), block(24, 48, 2), block(48, 96, 2),
                                 block(96, 96), block(96, 96, dilation=2),
                                 block(96, 96, dilation=2), block(96, 96))
        # What every cell tells: whether a thing's centre is there, where in the cell, its values.
        self.things = nn.Conv2d(96, 3 + sum(map(len, THING_VALUES.values())), 1)
        self.whole = nn.Sequential(block(96, 96, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                                   nn.Linear(96, sum(map(len, SCENE_VALUES.values()))))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """[batch, 3, 128, 128] in -1..1 to [batch, values, 16, 16] and [batch, values]."""
        cells = self.eye(x)
        return self.things(cells), self.whole(cells)


@torch.no_grad()
def draw_views(workspace: Workspace, stage: str, settings: Views) -> None:
    """Draw pictures with labels, and each as the autoencoder gives it back; minutes, begun anew
    when stopped."""
    count = settings.pictures
    vae = base_vae(workspace)
    labels = np.empty((count, COLUMNS), np.float32)
    context = multiprocessing.get_context("spawn")
    with replacing(workspace.views) as path, \
            context.Pool(len(os.sched_getaffinity(0)), leave_signals_to_parent) as pool:
        views = np.lib.format.open_memmap(path, "w+", np.uint8, (2, count, SIDE, SIDE, 3))
        for part in batches(count, settings.batch):
            if workspace.stopping:
                raise Stopped
            jobs = [(settings.first + row, settings.pairs) for row in range(part.start, part.stop)]
            drawn = pool.starmap(view, jobs, chunksize=4)
            views[0, part] = [picture for picture, _ in drawn]
            labels[part] = [row for _, row in drawn]
            torch.manual_seed(settings.first + part.start)
            with mixed_precision():
                latents = vae.encode(to_unit(views[0, part])).latent_dist.mean
                scale = settings.noise * torch.rand(len(latents), 1, 1, 1, device=device())
                noise = scale * torch.randn_like(latents) / vae.config.scaling_factor
                pictures = vae.decode(latents + noise).sample.float()
            views[1, part] = (pictures.clamp(-1, 1).add(1).mul(127.5).round().byte()
                              .permute(0, 2, 3, 1).cpu().numpy())
        views.flush()
    np.save(workspace.view_labels, labels)
    print(f"{stage}: {count} pictures", flush=True)


def run(workspace: Workspace, stage: str, settings: Observer) -> None:
    """Train, tell how well the pictures held out are read, and write observer.safetensors."""
    views = np.load(workspace.require(workspace.views, "views"), mmap_mode="r")
    labels = np.load(workspace.require(workspace.view_labels, "views"))
    seen = views.shape[1] - settings.held_out
    torch.manual_seed(settings.seed)
    network = Network().to(device(), memory_format=torch.channels_last).train()

    def loss_of(rng: np.random.Generator) -> tuple[torch.Tensor, dict[str, float]]:
        rows = np.sort(rng.integers(seen, size=settings.batch))
        blurred = (rng.random(settings.batch) < settings.blurred).astype(int)
        pictures = np.stack([views[which, row] for which, row in zip(blurred, rows)])
        with mixed_precision():
            things, whole = network(to_unit(pictures))
        return _loss(things.float(), whole.float(), torch.from_numpy(labels[rows]).to(device()))

    train(workspace, stage, settings, network, optimizer_of(network, settings), loss_of)
    network.load_state_dict(load_weights(workspace, stage)["module"])
    network.to("cpu", memory_format=torch.contiguous_format).half()
    save_file(network.state_dict(), workspace.observer)
    observer = load_observer(workspace.observer)
    held_out = slice(seen, views.shape[1])
    for name, right in accuracy(observer.look(views[1, held_out]), labels[held_out]).items():
        print(f"{stage}: {name} read correctly in {100 * right:.1f} % of pictures held out",
              flush=True)


def _loss(things: torch.Tensor, whole: torch.Tensor,
          labels: torch.Tensor) -> tuple[torch.Tensor, dict[str, float]]:
    loss = whole.new_zeros(())
    sizes = [len(values) for values in SCENE_VALUES.values()]
    for column, answer in enumerate(whole.split(sizes, 1)):
        loss = loss + F.cross_entropy(answer, labels[:, column].long())

    heat = torch.zeros_like(things[:, 0])
    centres = torch.arange(CELLS, device=labels.device) * CELL + CELL / 2
    near, targets = [], []
    for number in range(MOST_THINGS):
        thing = labels[:, SCENE_COLUMNS + number * THING_COLUMNS:][:, :THING_COLUMNS]
        right = (centres[None, None] - thing[:, 0, None, None]) / CELL
        down = (centres[None, :, None] - thing[:, 1, None, None]) / CELL
        there = (thing[:, 0] != UNKNOWN)[:, None, None]
        heat = torch.maximum(heat, torch.exp(-(right ** 2 + down ** 2) / 2) * there)
        rows = ((right.abs() < 1.5) & (down.abs() < 1.5) & there).nonzero(as_tuple=True)
        near.append(torch.stack(rows))
        targets.append(torch.cat([torch.stack([right.expand(-1, CELLS, -1)[rows],
                                               down.expand(-1, -1, CELLS)[rows]], 1),
                                  thing[rows[0], 2:]], 1))
    loss = loss + (F.binary_cross_entropy_with_logits(things[:, 0], heat, reduction="none")
                   * (1 + 9 * heat)).mean()

    rows, target = torch.cat(near, 1), torch.cat(targets)
    answers = things.permute(0, 2, 3, 1)[tuple(rows)]
    loss = loss + 0.1 * (answers[:, 1:3] + target[:, :2]).abs().mean()
    figures = {}
    sizes = [len(values) for values in THING_VALUES.values()]
    for column, (name, answer) in enumerate(zip(THING_VALUES, answers[:, 3:].split(sizes, 1))):
        truth = target[:, 2 + column].long()
        loss = loss + F.cross_entropy(answer, truth, ignore_index=UNKNOWN)
        known = truth != UNKNOWN
        figures[name] = (answer.argmax(1) == truth)[known].float().mean().item()
    return loss, {"loss": loss.item(), **figures}


@dataclass(frozen=True)
class SeenThing:
    """A thing in a picture: where its centre is, in pixels, and what it is."""

    x: float
    y: float
    kind: str
    colour: str
    texture: str


@dataclass(frozen=True)
class Sight:
    """What a picture shows, its things from left to right."""

    things: tuple[SeenThing, ...]
    place: str
    time: str
    weather: str
    style: str


class TrainedObserver:
    """A network that has learned to see."""

    def __init__(self, network: Network) -> None:
        self.network = network.to(device(), memory_format=torch.channels_last).eval()

    @torch.no_grad()
    def look(self, pictures: np.ndarray) -> list[Sight]:
        """`pictures`: uint8 [count, 128, 128, 3]."""
        sights = []
        for part in batches(len(pictures), 64):
            things, whole = self.network(to_unit(np.ascontiguousarray(pictures[part])))
            sights += [_sight(cells, values)
                       for cells, values in zip(things.cpu(), whole.cpu())]
        return sights


def load_observer(path: Path = WEIGHTS) -> TrainedObserver:
    network = Network()
    network.load_state_dict(load_file(path))
    return TrainedObserver(network)


def _named(answer: torch.Tensor, tables: dict[str, list[str]]) -> dict[str, str]:
    sizes = [len(values) for values in tables.values()]
    return {name: values[int(part.argmax())]
            for (name, values), part in zip(tables.items(), answer.split(sizes))}


def _sight(cells: torch.Tensor, whole: torch.Tensor) -> Sight:
    heat = cells[0].sigmoid()
    highest = F.max_pool2d(heat[None], PEAK_SPAN, 1, PEAK_SPAN // 2)[0]
    things = []
    for row, column in ((heat == highest) & (heat > PEAK)).nonzero().tolist():
        answer = cells[:, row, column]
        right, down = ((position + 0.5 + float(shift)) * CELL
                       for position, shift in zip((column, row), answer[1:3]))
        things.append(SeenThing(right, down, **_named(answer[3:], THING_VALUES)))
    things.sort(key=lambda thing: thing.x)
    return Sight(tuple(things), **_named(whole, SCENE_VALUES))


def accuracy(sights: list[Sight], labels: np.ndarray) -> dict[str, float]:
    """The part of the pictures read correctly: number of things, their values, the scene's."""
    right: dict[str, list[bool]] = {name: [] for name in ("count", *THING_VALUES, *SCENE_VALUES)}
    for sight, row in zip(sights, labels, strict=True):
        for column, (name, values) in enumerate(SCENE_VALUES.items()):
            right[name].append(getattr(sight, name) == values[int(row[column])])
        things = row[SCENE_COLUMNS:].reshape(MOST_THINGS, THING_COLUMNS)
        things = sorted((thing for thing in things if thing[0] != UNKNOWN),
                        key=lambda thing: thing[0])
        right["count"].append(len(things) == len(sight.things))
        for column, (name, values) in enumerate(THING_VALUES.items()):
            told = [values[int(thing[2 + column])] for thing in things
                    if thing[2 + column] != UNKNOWN]
            if told:
                right[name].append(told == [getattr(thing, name) for thing in sight.things])
    return {name: float(np.mean(values)) for name, values in right.items()}
