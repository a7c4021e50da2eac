"""What it costs to keep attention maps: processor time of runs with captures beside runs without.

    bench/capture.py [-m MODEL] [-p PROMPTS] [-s STEPS] [-r ROUNDS] [-o FOLDER]

Each round runs the same prompts, on one rank of one thread, under every kind of capture in turn, and once without
any edit (a time limit forbids them), which is what starting takes and is taken off. The table has the medians over
rounds of user processor time of a picture, and of its ratio to the same round's run without capture: the ratio hardly
depends on what else the machine does. BUILD says where the build is (default: build); bench/README.md tells more.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

PROMPT = "a photo of a red ball next to a blue cube on a meadow at sunset"
START, NONE = "start", "none"


def cross_sizes(program: Path, model: Path, tokenizer: list[str]) -> list[list[int]]:
    """The sizes of the maps of cross-attention on the way down and up, small ones first."""
    said = subprocess.run([program, "info", model, *tokenizer], check=True, capture_output=True, text=True).stdout
    found = re.findall(r"on words, (?:down|up), (\d+) x (\d+) pixels", said)
    if not found:
        sys.exit(f"capture.py: `promptmill info {model}` lists no layers on words")
    return sorted({(int(height), int(width)) for height, width in found})


def kinds_of(sizes: list[tuple[int, int]]) -> dict[str, list[dict]]:
    """What is captured, by name."""
    small = [size for size in sizes if max(size) <= 16]
    each = {"steps": "each", "dtype": "f16"}
    named = [(f"cross_{height}x{width}", [height, width]) for height, width in sizes]
    return {
        NONE: [],
        "mean map a token, one size": [{"name": "cross_mean"}],
        "mean map a token, all sizes": [{"name": name, "size": size} for name, size in named],
        "each layer and head, all sizes (DAAM), f16": [
            {"name": name, "size": size, "layers": "each", "heads": "each", "dtype": "f16"} for name, size in named],
        "each step, up to 16x16, f16": [
            {"name": f"steps_{size[0]}x{size[1]}", "size": list(size), **each} for size in small],
        "each step, layer and head, up to 16x16, f16": [
            {"name": f"all_{size[0]}x{size[1]}", "size": list(size), "layers": "each", "heads": "each", **each}
            for size in small],
        "DAAM's and mean self-attention of the smallest of these sizes, f16": [
            *({"name": name, "size": size, "layers": "each", "heads": "each", "dtype": "f16"} for name, size in named),
            {"name": "self", "kind": "self", "size": list(sizes[0]), "dtype": "f16"}],
    }  # fmt: skip


def run(program: Path, folder: Path, config: dict, *flags: str) -> float:
    """User seconds of a run into a new store, on one thread."""
    (folder / "run.json").write_text(json.dumps(config))
    for left in folder.glob("run.h5*"):
        left.unlink()
    started = subprocess.Popen([program, "run", folder / "run.json", *flags], stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True)  # fmt: skip
    said = started.stderr.read()
    _, status, usage = os.wait4(started.pid, 0)
    wanted = 85 if flags else 0
    if os.waitstatus_to_exitcode(status) != wanted:
        sys.exit(f"capture.py: the run ended with {os.waitstatus_to_exitcode(status)}, not {wanted}:\n{said}")
    return usage.ru_utime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-m", "--model", type=Path, default=Path("models/scenes"))
    parser.add_argument("-k", "--tokenizer", type=Path, help="for a model of one file")
    parser.add_argument("-p", "--prompts", type=int, default=6)
    parser.add_argument("-s", "--steps", type=int, default=20)
    parser.add_argument("-r", "--rounds", type=int, default=5)
    parser.add_argument("-o", "--out", type=Path, help="keep the numbers here, as JSON")
    parser.add_argument("--guidance-scale", type=float, default=7.5)
    arguments = parser.parse_args()
    program = Path(os.environ.get("BUILD", "build")).resolve() / "promptmill"
    if not program.exists():
        sys.exit(f"capture.py: {program} is not there; make it first")
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "HWLOC_COMPONENTS": "-x86",
                   "OMPI_MCA_ess_singleton_isolated": "1"}  # fmt: skip
    tokenizer = ["--tokenizer", arguments.tokenizer] if arguments.tokenizer else []
    kinds = kinds_of(cross_sizes(program, arguments.model, tokenizer))
    folder = Path(tempfile.mkdtemp(prefix="promptmill-capture."))
    try:
        seconds = measure(program, folder, kinds, arguments)
    finally:
        shutil.rmtree(folder)
    if arguments.out:
        arguments.out.write_text(json.dumps(seconds, indent=1) + "\n")
    print_table(seconds, arguments.prompts)


def measure(program: Path, folder: Path, kinds: dict, arguments: argparse.Namespace) -> dict[str, list[float]]:
    with open(folder / "prompts.jsonl", "w") as manifest:
        for seed in range(arguments.prompts):
            manifest.write(json.dumps({"id": str(seed), "source": PROMPT, "seed": seed}) + "\n")
    config = {"model": str(arguments.model.resolve()), "manifest": "prompts.jsonl", "store": "run.h5",
              "scheduler": "ddim", "steps": arguments.steps, "guidance_scale": arguments.guidance_scale}  # fmt: skip
    if arguments.tokenizer:
        config["tokenizer"] = str(arguments.tokenizer.resolve())
    seconds: dict[str, list[float]] = {kind: [] for kind in (START, *kinds)}
    for number in range(arguments.rounds):
        seconds[START].append(run(program, folder, config, "--time-limit", "0.001"))
        for kind, captures in kinds.items():
            seconds[kind].append(run(program, folder, config | {"capture": {"attention": captures}}))
        print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
    return seconds


def print_table(seconds: dict[str, list[float]], prompts: int) -> None:
    start = median(seconds[START])
    print("| kept | user s a picture | to none |\n|---|--:|--:|")
    for kind, measured in seconds.items():
        if kind == START:
            continue
        ratio = median((own - start) / (none - start) for own, none in zip(measured, seconds[NONE]))
        print(f"| {kind} | {(median(measured) - start) / prompts:.3f} | {ratio:.3f} |")


if __name__ == "__main__":
    main()
