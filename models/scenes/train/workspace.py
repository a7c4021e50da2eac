"""Where a run keeps its files, what of it is finished, and when to stop."""

import dataclasses
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class RecipeError(Exception):
    """The run cannot go on; the message is a sentence for the user."""


class Stopped(Exception):
    """The user asked to stop, and everything that is needed to go on has been written."""


@dataclasses.dataclass(frozen=True)
class Pictures:
    """The files of one set of training pictures."""

    images: Path  # uint8 [pictures, 128, 128, 3]
    captions: Path  # a line a picture: the list of its captions
    latents: Path  # float16 [pictures, 4, 32, 32], scaled


class Workspace:
    """The folder of one run. Each stage reads its predecessors' files there and adds its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tokenizer = root / "tokenizer"
        self.base = root / "base"  # the model that the later stages go on from
        self.model = root / "model"  # the finished model, in diffusers layout
        self.views = root / "views.npy"  # uint8 [2, pictures, 128, 128, 3]: drawn, and blurred
        self.view_labels = root / "view_labels.npy"  # see observer.labels_of
        self.observer = root / "observer.safetensors"
        self.sheet = root / "sheet.png"
        self.stopping = False
        root.mkdir(parents=True, exist_ok=True)

    def pictures(self, stage: str) -> Pictures:
        """The files of a stage that draws pictures: data or pairs."""
        name = "" if stage == "data" else f"{stage}."
        return Pictures(images=self.root / f"{name}images.npy",
                        captions=self.root / f"{name}captions.jsonl",
                        latents=self.root / f"{name}latents.npy")

    def checkpoint(self, stage: str) -> Path:
        """A trained stage's state: that of its last step once it is finished."""
        return self.root / f"{stage}.pt"

    def finished(self, stage: str, settings: Any) -> bool:
        """Whether the stage has run to its end; an end under other settings is an error."""
        note = self._note(stage)
        if not note.exists():
            return False
        if json.loads(note.read_text()) != as_plain(settings):
            raise RecipeError(f"stage {stage} in {self.root} was made with other settings; "
                              "give another folder with --work, or remove this one")
        return True

    def finish(self, stage: str, settings: Any) -> None:
        with replacing(self._note(stage)) as path:
            path.write_text(json.dumps(as_plain(settings)))

    def require(self, path: Path, stage: str) -> Path:
        """The path, if it is there; it is what `stage` makes."""
        if not path.exists():
            raise RecipeError(f"{path} is missing; run stage {stage} first")
        return path

    def stop_on_signals(self) -> None:
        """Let Ctrl-C and a batch system's SIGTERM end the run after the step in progress.

        A second signal ends it at once; the run then goes on from what was saved before.
        """
        def note(number: int, _frame: Any) -> None:
            self.stopping = True
            signal.signal(number, signal.default_int_handler)

        signal.signal(signal.SIGINT, note)
        signal.signal(signal.SIGTERM, note)

    def _note(self, stage: str) -> Path:
        return self.root / f"{stage}.finished.json"


def as_plain(settings: Any) -> Any:
    """Settings as JSON gives them back, for comparison."""
    plain = dataclasses.asdict(settings) if dataclasses.is_dataclass(settings) else settings
    return json.loads(json.dumps(plain))


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file under another name and move it into place when it is whole."""
    partial = path.with_name(path.name + ".part")
    yield partial
    os.replace(partial, path)
