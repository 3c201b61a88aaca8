"""Many query files through one index, beside encoding the same images from memory, and beside one by one.

The images of MNIST's training split that no index holds are written as PNG files first. Then, in one process
and in turn, best of a number of rounds: encoding alone, of the images already in memory; every file through
`answer_queries`, hits, class ranking and verdict included; the first files one by one through
`Searcher.query`. Last, the whole command with `--jsonl` on a tenth of the files and on all, each in a process
of its own, with its peak of memory.

    python tests/benchmarks/query_batch.py --files 10000
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import numpy as np
from PIL import Image

from simsearch.data.datasets import load_split
from simsearch.search.batch import answer_queries
from simsearch.search.queries import Query
from simsearch.search.searcher import Searcher

INDEX = Path(__file__).parents[2] / "indexes" / "mnist-test"
LIBRARIES = ("numpy", "faiss-cpu", "onnxruntime", "pillow")
ONE_BY_ONE = 500

COMMAND = """
import json, resource, sys, time
sys.argv = ["simsearch", "query", "--files-from", sys.argv[1], "--index", sys.argv[2], "--jsonl"]
from simsearch.cli.main import main
started = time.perf_counter()
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"wall_s": time.perf_counter() - started, "peak_mb": peak}), file=sys.stderr)
"""


def measure(rounds: int, work: Callable[[], object]) -> dict[str, float]:
    """Best wall and processor time of a call, in seconds."""
    walls, spent = [], []
    for _ in range(rounds):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        walls.append(time.perf_counter() - wall)
        spent.append(time.process_time() - cpu)
    return {"wall_s": min(walls), "cpu_s": min(spent)}


def write_pictures(folder: Path, count: int) -> tuple[list[Path], np.ndarray]:
    """The pictures as files, and as they are in memory."""
    images = load_split("mnist", "train").images[:count]
    files = [folder / f"{row:05d}.png" for row in range(len(images))]
    for file, image in zip(files, images, strict=True):
        Image.fromarray(image).save(file)
    return files, images


def run_command(files: list[Path], folder: Path) -> dict[str, float]:
    """Wall time and peak memory of the whole command."""
    names = folder / "names.txt"
    names.write_text("".join(f"{file}\n" for file in files))
    with (folder / "answers.jsonl").open("w") as answers:
        done = subprocess.run(
            [sys.executable, "-c", COMMAND, names, INDEX],
            stdout=answers,
            stderr=subprocess.PIPE,
            text=True,
            check=True,
        )
    assert len((folder / "answers.jsonl").read_text().splitlines()) == len(files)
    return json.loads(done.stderr.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    settings = parser.parse_args()
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(", ".join(f"{name} {metadata.version(name)}" for name in LIBRARIES))
    searcher = Searcher.open(INDEX)
    with tempfile.TemporaryDirectory() as folder:
        files, images = write_pictures(Path(folder), settings.files)
        queries = [Query(str(file), file) for file in files]
        few = files[:ONE_BY_ONE]
        works: dict[str, tuple[int, Callable[[], object]]] = {
            "encode": (len(files), lambda: searcher.bundle.encoder.encode(images)),
            "batch": (len(files), lambda: deque(answer_queries(searcher, queries), maxlen=0)),
            "one by one": (len(few), lambda: [searcher.query(file) for file in few]),
        }
        micros: dict[str, dict[str, float]] = {}
        for name, (count, work) in works.items():
            spent = measure(settings.rounds, work)
            micros[name] = {key: 1e6 * value / count for key, value in spent.items()}
            wall, cpu = micros[name]["wall_s"], micros[name]["cpu_s"]
            print(f"{name:10s} {count:6,d} images  {1e6 / wall:7,.0f}/s  cpu {cpu:6.0f} us an image")
        for name, other in (("batch", "encode"), ("one by one", "batch")):
            wall, cpu = (micros[name][key] / micros[other][key] for key in ("wall_s", "cpu_s"))
            print(f"{name} / {other}: {wall:.2f} times the time, {cpu:.2f} times the processor time")
        for some in (files[: len(files) // 10], files):
            used = run_command(some, Path(folder))
            rate = len(some) / used["wall_s"]
            print(
                f"command, {len(some):6,d} files: {rate:,.0f}/s with start-up, peak {used['peak_mb']:.0f} MB"
            )
    print(f"peak of this process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
