"""The loop that every trained stage runs in: schedule, checkpoints, signals, progress."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch import nn

from .settings import Schedule
from .workspace import RecipeError, Stopped, Workspace, as_plain, replacing

SAVE_SECONDS = 300
REPORT_STEPS = 50

# A step's loss and the figures to report, from the step's own source of chance.
Loss = Callable[[np.random.Generator], tuple[torch.Tensor, dict[str, float]]]


def device() -> torch.device:
    """The first GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def mixed_precision() -> AbstractContextManager:
    """bfloat16 where it is safe: half the memory traffic, no scaling of the loss needed."""
    return torch.autocast(device().type, torch.bfloat16)


def to_unit(pictures: np.ndarray) -> torch.Tensor:
    """uint8 [batch, height, width, 3] to float [batch, 3, height, width] in -1..1."""
    planes = torch.tensor(pictures, device=device()).permute(0, 3, 1, 2)
    return planes.float().div(127.5).sub(1).to(memory_format=torch.channels_last)


class Average:
    """The moving average of a module's weights: smoother than the weights of any one step."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = [weight.detach().clone() for weight in module.parameters()]

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """`step` is the number of steps taken; the first few count less, they are far off."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.weights, list(module.parameters()), 1 - decay)

    @torch.no_grad()
    def copy_to(self, module: nn.Module) -> None:
        for weight, mean in zip(module.parameters(), self.weights, strict=True):
            weight.copy_(mean)


def optimizer_of(module: nn.Module, settings: Schedule,
                 rate: Callable[[str], float] = lambda _name: 1.0) -> torch.optim.Optimizer:
    """AdamW; `rate` gives a parameter's learning rate, by its name, in learning_rates."""
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        groups.setdefault(rate(name), []).append(parameter)
    return torch.optim.AdamW(
        [{"params": members, "rate": factor} for factor, members in groups.items()],
        settings.learning_rate, betas=settings.betas, weight_decay=settings.weight_decay,
        fused=True)


def learning_rate(settings: Schedule, step: int) -> float:
    """A linear rise, then a half cosine down to the floor, or a straight line down to zero."""
    progress = step / settings.steps
    if settings.decay == "linear":
        fall = 1 - progress
    else:
        fall = 0.5 * (1 + math.cos(math.pi * progress)) + settings.floor
    return settings.learning_rate * min(1, (step + 1) / settings.warmup) * fall


def train(workspace: Workspace, stage: str, settings: Schedule, module: nn.Module,
          optimizer: torch.optim.Optimizer, loss_of: Loss, average: Average | None = None) -> None:
    """Train `module` from the stage's checkpoint, if there is one, to the last step.

    Chance is a function of (seed, step), so a run that was stopped and went on makes the same
    weights as one that was not.
    """
    step = _restore(workspace, stage, settings, module, optimizer, average)
    saved = reported = time.monotonic()
    figures: list[dict[str, float]] = []
    while step < settings.steps:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(settings, step) * group["rate"]
        torch.manual_seed(settings.seed * 1_000_000_007 + step)
        loss, seen = loss_of(np.random.default_rng([settings.seed, step]))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(module.parameters(), settings.largest_gradient)
        optimizer.step()
        step += 1
        if average:
            average.update(module, step)
        figures.append(seen)
        now = time.monotonic()
        if step % REPORT_STEPS == 0 or step == settings.steps:
            _report(stage, settings, step, figures, (now - reported) / len(figures))
            reported, figures = now, []
        if step == settings.steps or workspace.stopping or now - saved > SAVE_SECONDS:
            _save(workspace, stage, settings, step, module, optimizer, average)
            saved = now
        if workspace.stopping:
            raise Stopped


def load_weights(workspace: Workspace, stage: str, unfinished: bool = False) -> dict[str, Any]:
    """The state of a finished stage: module, and average (None where the stage keeps none).

    With `unfinished`, the stage may be on its way, and its state is that of its checkpoint.
    """
    path = workspace.require(workspace.checkpoint(stage), stage)
    state = torch.load(path, map_location=device(), weights_only=True)
    if not unfinished and state["step"] < state["settings"]["steps"]:
        raise RecipeError(f"stage {stage} was stopped at step {state['step']} of "
                          f"{state['settings']['steps']}; run it to its end first")
    return state


def batches(count: int, size: int) -> Iterator[slice]:
    """Slices of at most `size` that cover 0..count."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def _restore(workspace: Workspace, stage: str, settings: Schedule, module: nn.Module,
             optimizer: torch.optim.Optimizer, average: Average | None) -> int:
    path = workspace.checkpoint(stage)
    if not path.exists():
        return 0
    state = torch.load(path, map_location=device(), weights_only=True)
    if state["settings"] != as_plain(settings):
        raise RecipeError(f"{path} was made with other settings; remove it to start stage "
                          f"{stage} anew")
    module.load_state_dict(state["module"])
    optimizer.load_state_dict(state["optimizer"])
    if average:
        average.weights = state["average"]
    print(f"{stage}: going on from step {state['step']}", flush=True)
    return state["step"]


def _save(workspace: Workspace, stage: str, settings: Schedule, step: int, module: nn.Module,
          optimizer: torch.optim.Optimizer, average: Average | None) -> None:
    with replacing(workspace.checkpoint(stage)) as path:
        torch.save({"settings": as_plain(settings), "step": step, "module": module.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "average": average.weights if average else None}, path)


def _report(stage: str, settings: Schedule, step: int, figures: list[dict[str, float]],
            seconds: float) -> None:
    means = "  ".join(f"{name} {np.mean([seen[name] for seen in figures]):.4f}"
                      for name in figures[0])
    left = (settings.steps - step) * seconds / 60
    print(f"{stage}: step {step} of {settings.steps}  {means}  {seconds:.2f} s a step, "
          f"{left:.0f} min left", flush=True)
