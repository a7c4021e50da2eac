"""The training pictures and their captions."""

import json
import multiprocessing
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from . import scenes
from .settings import Data
from .workspace import RecipeError, Stopped, Workspace

BLOCK = 512  # pictures between two points from which a stopped run goes on


def draw(index: int, settings: Data) -> tuple[np.ndarray, list[str]]:
    """Scene number `index`: its picture, uint8 [128, 128, 3], and its captions."""
    rng = scenes.scene_random(index)
    scene = scenes.sample_scene(rng, settings.pairs)
    picture, placements = scenes.render(scene, rng)
    told = scenes.left_to_right(scene, placements) if settings.ordered else scene
    return picture, [scenes.caption(told, rng, settings.omit) for _ in range(settings.captions)]


def run(workspace: Workspace, stage: str, settings: Data) -> None:
    """Draw all scenes on all cores. A line of captions vouches for its picture."""
    pictures = workspace.pictures(stage)
    shape = (settings.pictures, scenes.SIDE, scenes.SIDE, 3)
    if not pictures.images.exists():
        pictures.captions.unlink(missing_ok=True)
    first = _whole_lines(pictures.captions)
    if first > 0:
        images = np.lib.format.open_memmap(pictures.images, "r+")
        if images.shape != shape:
            raise RecipeError(f"{pictures.images} has {len(images)} pictures, not "
                              f"{settings.pictures}; give another folder with --work")
    else:
        images = np.lib.format.open_memmap(pictures.images, "w+", np.uint8, shape)
    # Threads of a parent process do not survive a fork: workers are started afresh.
    context = multiprocessing.get_context("spawn")
    cores = len(os.sched_getaffinity(0))
    with context.Pool(cores, leave_signals_to_parent) as pool, \
            pictures.captions.open("a") as lines:
        for start in range(first, settings.pictures, BLOCK):
            if workspace.stopping:
                raise Stopped
            stop = min(start + BLOCK, settings.pictures)
            jobs = [(settings.first + row, settings) for row in range(start, stop)]
            drawn = pool.starmap(draw, jobs, chunksize=16)
            images[start:stop] = [picture for picture, _ in drawn]
            images.flush()
            lines.writelines(json.dumps(texts) + "\n" for _, texts in drawn)
            lines.flush()
            print(f"{stage}: {stop} of {settings.pictures} pictures", flush=True)


def read_captions(path: Path) -> Iterator[list[str]]:
    """The captions, picture by picture."""
    with path.open() as lines:
        for line in lines:
            yield json.loads(line)


def _whole_lines(path: Path) -> int:
    """Cut off a line that a killed run left unfinished. Returns how many lines are left."""
    if not path.exists():
        return 0
    written = path.read_bytes()
    whole = written[:written.rfind(b"\n") + 1]
    os.truncate(path, len(whole))
    return whole.count(b"\n")


def leave_signals_to_parent() -> None:
    """Ctrl-C reaches all processes of a terminal; the parent decides when its workers end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
