#!/usr/bin/env python3
"""Everything that `make bench` compares, in one table: ours, each peer, the ratio and what it is to be.

    bench/table.py [--repeat N] [--threads 1,2] [--quick] [--venv FOLDER] [--checkpoint FILE]

At the size of Stable Diffusion 1.5, 512x512, on a checkpoint of random weights that is made once (2.1 GB), with
peers from a virtual environment that is made once (bench/requirements.txt, 6 GB). Ours and a peer's runs take turns
on the same cores. One thread: the processor's seconds count, which other programs' turns do not change; more:
the wall clock's. A whole edit is 50 passes, the decoding of all pictures and the encoding of all prompts, each
measured by itself; it would take an hour otherwise. Also writes build/bench/table.json.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys

TOKENIZER = "tests/golden/data/tokenizer/clip-tokenizer"
STEPS = 50
# Good for torch: an allocator that keeps freed memory rather than have the system clear it anew.
TORCH_ENVIRONMENT = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 32),
                     "MALLOC_TOP_PAD_": str(1 << 28)}
# Settings made for another program's OpenBLAS.
UNWANTED = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=1, help="passes that count, after one that warms up")
    parser.add_argument("--threads", default="1", help="as 1,2: which numbers of threads")
    parser.add_argument("--quick", action="store_true", help="ours alone, without peers")
    parser.add_argument("--venv", default="build/bench-venv", help="where the peers are, or will be")
    parser.add_argument("--checkpoint", default="build/bench/sd15.safetensors")
    return parser.parse_args()


class Bench:
    def __init__(self, options):
        self.options = options
        self.build = os.environ.get("BUILD", "build")
        self.cores = sorted(os.sched_getaffinity(0))
        self.known = {}
        self.rows = []
        self.environment = {k: v for k, v in os.environ.items() if k not in UNWANTED}
        self.checkpoint = pathlib.Path(options.checkpoint)
        if not self.checkpoint.exists():
            self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
            partial = self.checkpoint.with_suffix(".partial")
            subprocess.run(["/usr/bin/python3", "bench/checkpoint.py", "sd15", partial], check=True)
            partial.rename(self.checkpoint)
        self.python = pathlib.Path(options.venv) / "bin/python"
        if not options.quick and not self.python.exists():
            subprocess.run([sys.executable, "-m", "venv", options.venv], check=True)
            subprocess.run([self.python, "-m", "pip", "install", "--quiet", "-r", "bench/requirements.txt"],
                           check=True)

    def pinned(self, threads, command, first=0):
        cores = ",".join(map(str, self.cores[first:first + threads]))
        return ["taskset", "-c", cores, *map(str, command)]

    def measure(self, key, command, threads, environment):
        """Seconds of what is named by key, measured once."""
        if key not in self.known:
            done = subprocess.run(self.pinned(threads, command), env=environment, check=True, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            for line in done.stdout.splitlines():
                result = json.loads(line)
                print("#", line, flush=True)
                self.known[(result["peer"], *key[1:2], result["part"], *key[3:])] = result
        return self.known[key]

    def ours(self, part, dtype, threads, targets=1):
        command = [f"{self.build}/bench/pass", self.checkpoint, TOKENIZER, "-p", dtype, "-t", threads, "-n", targets,
                   "-r", self.options.repeat, *(["pass"] if targets > 1 else [])]
        return self.measure(("promptmill", dtype, part, threads, targets), command, threads,
                            self.environment | {"OMP_NUM_THREADS": str(threads)})

    def peer(self, name, part, dtype, threads):
        command = [self.python, "bench/peers.py", "--threads", threads, "--dtype", dtype, "--part", part, "--repeat",
                   self.options.repeat, name]
        return self.measure((name, dtype, part, threads, 1), command, threads,
                            self.environment | TORCH_ENVIRONMENT)

    @staticmethod
    def seconds(result):
        return result["cpu_seconds" if result["threads"] == 1 else "seconds"]

    def add(self, what, ours, peer, theirs, target, at_least=False):
        ratio = ours / theirs if theirs else None
        self.rows.append({"what": what, "ours": ours, "peer": peer, "theirs": theirs, "ratio": ratio,
                          "target": target, "at_least": at_least})

    def compare_passes(self, dtype, threads):
        mine = self.seconds(self.ours("pass", dtype, threads))
        what = f"UNet pass, 4 samples, {dtype}, {threads} thread{'s' * (threads > 1)}"
        limits = {"openvino": {"fp32": 0.80, "bf16": 0.85}, "diffusers-p2p": {"fp32": 0.50, "bf16": 0.75}}
        for name in limits:
            theirs = self.seconds(self.peer(name, "pass", dtype, threads))
            self.add(what, mine, name, theirs, limits[name][dtype])

    def edit(self, dtype, threads, targets):
        """Of a source with its targets: seconds."""
        passes = self.seconds(self.ours("pass", dtype, threads, targets))
        pictures = (targets + 1) * self.seconds(self.ours("decode", dtype, threads))
        return STEPS * passes + pictures + self.seconds(self.ours("encode", dtype, threads))

    def compare_edits(self, dtype, threads):
        theirs = (STEPS * self.seconds(self.peer("diffusers-p2p", "pass", "fp32", threads)) +
                  2 * self.seconds(self.peer("diffusers", "decode", "fp32", threads)))
        mine = f"{dtype}, {threads} thread{'s' * (threads > 1)}"
        self.add(f"edit of 50 steps, {mine}", self.edit(dtype, threads, 1), "diffusers-p2p fp32", theirs, 0.45)
        self.add(f"each of four targets, {mine}", self.edit(dtype, threads, 4) / 4, "diffusers-p2p fp32", theirs,
                 0.35)

    def compare_decoding(self, threads):
        self.add(f"VAE decoding, fp32, {threads} thread{'s' * (threads > 1)}",
                 self.seconds(self.ours("decode", "fp32", threads)), "diffusers",
                 self.seconds(self.peer("diffusers", "decode", "fp32", threads)), 0.6)

    def start_pass(self, dtype, threads, first=0):
        """One more of our passes, whether it was measured before or not."""
        command = [f"{self.build}/bench/pass", self.checkpoint, TOKENIZER, "-p", dtype, "-t", threads, "-r",
                   self.options.repeat, "pass"]
        return subprocess.Popen(self.pinned(threads, command, first), text=True, stdout=subprocess.PIPE,
                                env=self.environment | {"OMP_NUM_THREADS": str(threads)})

    @staticmethod
    def wait_for_pass(process):
        return json.loads(process.communicate()[0])["seconds"]

    def compare_threads(self, dtype):
        """Right after one another, since the machine's speed varies."""
        one, two = (self.wait_for_pass(self.start_pass(dtype, threads)) for threads in (1, 2))
        self.add(f"UNet pass, {dtype}, two threads as fast as one", one, "promptmill, 2 threads", two, 1.8, True)

    def compare_ranks(self, dtype):
        """Two processes with a core each: passes a second, against one alone."""
        running = [self.start_pass(dtype, 1, first) for first in (0, 1)]
        together = [self.wait_for_pass(process) for process in running]
        alone = self.ours("pass", dtype, 1)["seconds"]
        self.add(f"UNet passes, {dtype}, two ranks' rate against one's", sum(alone / x for x in together), "", 1.0,
                 1.9, True)

    def run(self):
        threads = [int(n) for n in self.options.threads.split(",")]
        for n in threads:
            for dtype in ("fp32", "bf16"):
                if self.options.quick:
                    self.add(f"UNet pass, 4 samples, {dtype}, {n} threads",
                             self.seconds(self.ours("pass", dtype, n)), "", None, None)
                    continue
                self.compare_passes(dtype, n)
            if not self.options.quick:
                self.compare_edits("fp32", n)
                self.compare_decoding(n)
        if len(self.cores) > 1 and 2 in threads:
            for dtype in ("fp32", "bf16"):
                self.compare_threads(dtype)
                self.compare_ranks(dtype)
        for dtype in ("fp32", "bf16"):
            scratch = max(self.ours(part, dtype, threads[0])["scratch_bytes"] for part in ("pass", "decode"))
            self.add(f"GiB of a rank beyond the weights, {dtype}", scratch / 2 ** 30, "", 1.0, 1.5)

    def print(self):
        print(f"\n| what | ours | peer | theirs | ratio | to be |\n|{'---|' * 6}")
        for row in self.rows:
            ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
            target = "" if row["target"] is None else f"{'≥' if row['at_least'] else '≤'} {row['target']}"
            theirs = "" if not row["peer"] or row["theirs"] is None else f"{row['theirs']:.2f}"
            print(f"| {row['what']} | {row['ours']:.2f} | {row['peer']} | {theirs} | {ratio} | {target} |")
        path = pathlib.Path(self.build) / "bench/table.json"
        path.write_text(json.dumps({"rows": self.rows, "measured": list(self.known.values())}, indent=1) + "\n")
        print(f"\n{path} has the figures")
        return all(row["target"] is None or
                   (row["ratio"] >= row["target"] if row["at_least"] else row["ratio"] <= row["target"])
                   for row in self.rows)


def main():
    bench = Bench(parse())
    bench.run()
    return 0 if bench.print() else 1


if __name__ == "__main__":
    sys.exit(main())
