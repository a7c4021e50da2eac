"""Train the scenes model: python3 -m train [STAGE ...], in the folder that holds train/."""

import argparse
import importlib
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from .settings import RECIPE, SMOKE, Base, Recipe
from .workspace import RecipeError, Stopped, Workspace

# Stage: its module, its function and what it does, in the order of a whole run.
STAGES = {
    "data": ("data", "run", "draw the captioned scenes"),
    "tokenizer": ("tokenizer", "run", "learn the byte-pair vocabulary from the captions"),
    "vae1": ("vae", "run", "autoencoder: whole pictures, edges"),
    "vae2": ("vae", "run", "autoencoder: crops, colours"),
    "latents": ("vae", "encode", "encode all pictures"),
    "text": ("text", "run", "text encoder: learn to read"),
    "unet1": ("unet", "run", "UNet and a new text encoder: shapes"),
    "unet2": ("unet", "run", "UNet and text encoder: the words' own attention"),
    "unet3": ("unet", "run", "UNet and the pre-trained text encoder: objects and colours"),
    "base": ("export", "base", "the model so far, or that of --from: what the rest goes on from"),
    "pairs": ("data", "run", "draw more scenes with two objects, named from left to right"),
    "pair_latents": ("vae", "encode", "encode them"),
    "unet4": ("unet", "run", "UNet and text encoder: two objects, each with its own words"),
    "export": ("export", "run", "write the model folder (diffusers layout, fp16)"),
    "views": ("observer", "draw_views", "draw pictures by which to learn to see"),
    "observer": ("observer", "run", "a network that tells what a picture shows"),
    "sheet": ("evaluate", "run", "draw a sheet of pictures with the model"),
}
ALWAYS = ("export", "sheet")  # quick, and wanted anew whenever asked for

# A training step frees and takes the same hundreds of megabytes over and over. Left to itself,
# glibc gives them back to the kernel each time, and half of the time goes into page faults.
ALLOCATOR = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(8 << 30),
             "MALLOC_TOP_PAD_": str(256 << 20)}


def main() -> int:
    """Run the stages that the command line asks for. Returns the exit status."""
    arguments = _parse()
    if not ALLOCATOR.items() <= os.environ.items():
        # glibc reads these once, at the start of a process.
        os.execve(sys.executable, sys.orig_argv, os.environ | ALLOCATOR)
    recipe = SMOKE if arguments.smoke else RECIPE
    if arguments.start:
        recipe = replace(recipe, base=Base(str(arguments.start.resolve())))
    options = {"sheet": {"model": arguments.model}, "export": {"unfinished": arguments.unfinished}}
    workspace = Workspace(arguments.work)
    workspace.stop_on_signals()
    try:
        if arguments.threads:
            importlib.import_module("torch").set_num_threads(arguments.threads)
        for stage in arguments.stages:
            if workspace.stopping:
                raise Stopped
            _run(workspace, stage, recipe, options.get(stage, {}))
    except (Stopped, KeyboardInterrupt):
        print("stopped; the same command goes on from here")
        return 130
    except RecipeError as error:
        print(f"train: {error}", file=sys.stderr)
        return 1
    return 0


def _parse() -> argparse.Namespace:
    stages = "\n".join(f"  {name:13} {purpose}" for name, (_, _, purpose) in STAGES.items())
    parser = argparse.ArgumentParser(
        prog="python3 -m train", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Train the scenes model, from drawn scenes to a model folder.",
        epilog=f"stages, in order:\n{stages}\n\n"
               "A finished stage is not run again, and a stopped one (Ctrl-C) goes on where it "
               "was.\nAll files go to the work folder; the model is its subfolder model/.")
    parser.add_argument("stages", nargs="*", metavar="STAGE", default=["all"],
                        help="stages to run, or all (the default)")
    parser.add_argument("--smoke", action="store_true",
                        help="a few steps on a few pictures: shows in two minutes that everything "
                             "works, but makes no usable model")
    parser.add_argument("--work", type=Path, metavar="FOLDER",
                        help="where to keep all files (default: build/scenes-training in the "
                             "repository, with --smoke build/scenes-training/smoke)")
    parser.add_argument("--threads", type=int, metavar="N",
                        help="CPU threads (default: as many as there are cores)")
    parser.add_argument("--model", type=Path, metavar="FOLDER",
                        help="with stage sheet alone: draw the sheet with this model")
    parser.add_argument("--from", dest="start", type=Path, metavar="FOLDER",
                        help="go on from this model: stages base and later, without those before")
    parser.add_argument("--unfinished", action="store_true",
                        help="with stage export: the last stage as far as it has come")
    arguments = parser.parse_args()
    names = list(STAGES)
    later = names[names.index("base"):]
    if arguments.stages == ["all"]:
        arguments.stages = later if arguments.start else names
    for stage in arguments.stages:
        if stage not in STAGES:
            parser.error(f"there is no stage {stage}; the stages are {', '.join(STAGES)}")
    if arguments.start and ("base" not in arguments.stages or set(arguments.stages) - set(later)):
        parser.error(f"--from goes with stage base and what comes after it: {', '.join(later)}")
    if arguments.unfinished and "export" not in arguments.stages:
        parser.error("--unfinished goes with stage export")
    if arguments.model and arguments.stages != ["sheet"]:
        parser.error("--model goes with stage sheet alone")
    if arguments.threads is not None and arguments.threads < 1:
        parser.error(f"--threads must be at least 1, not {arguments.threads}")
    if arguments.work is None:
        repository = Path(__file__).resolve().parents[3]
        training = repository / "build" / "scenes-training"
        arguments.work = training / "smoke" if arguments.smoke else training
    return arguments


def _run(workspace: Workspace, stage: str, recipe: Recipe, options: dict[str, Any]) -> None:
    """Run one stage, unless it is finished. Modules load late: torch takes seconds."""
    settings = getattr(recipe, stage)
    if stage not in ALWAYS and workspace.finished(stage, settings):
        print(f"{stage}: finished already")
        return
    module, function, _ = STAGES[stage]
    run = getattr(importlib.import_module(f".{module}", __package__), function)
    run(workspace, stage, settings, **options)
    if stage not in ALWAYS:
        workspace.finish(stage, settings)


if __name__ == "__main__":
    sys.exit(main())
