"""What it costs to change an index: 100 images into and out of galleries of growing size.

The galleries are seeded noise under the shipped encoder: their vectors mean nothing, and are searched and
stored like any others. Each command is a process of its own; its processor time, its time on the clock and
its peak memory are those that the system measured, best of a number of rounds. The ratio is to the smallest.

    python tests/benchmarks/change.py --sizes 10000 1000000 --rounds 3
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from msgspec import structs
from PIL import Image
from start import LAUNCH

from simsearch.index.bundle import commit, open_bundle, read_manifest
from simsearch.index.change.merge import array_writer
from simsearch.index.data_files import write_array, write_data_file
from simsearch.index.packed import Sources
from simsearch.index.stores.opening import write_flat
from simsearch.index.writing import write_bytes

SHIPPED = Path(__file__).parents[2] / "indexes" / "mnist-test"
IMAGES = 100
_BLOCK = 10_000


class Cost(NamedTuple):
    """Of one process: seconds of its processor and of the clock, and megabytes at its peak."""

    cpu: float
    wall: float
    memory: float


def make_gallery(folder: Path, count: int, seed: int = 0, *, copied: int = 0) -> None:
    """An index of so many unit vectors of noise, in ten classes, each with a black picture.

    :param copied: Of so many items the second is a copy of the first, and pictures are noise; 0 for none.
    """
    shipped = read_manifest(SHIPPED)
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)

    def vectors() -> Iterator[np.ndarray]:
        for start in range(0, count, _BLOCK):
            block = rng.standard_normal((min(_BLOCK, count - start), shipped.dim), dtype=np.float32)
            yield with_copies(block / np.linalg.norm(block, axis=1, keepdims=True))

    def pictures() -> Iterator[np.ndarray]:
        for start in range(0, count, _BLOCK):
            shape = (min(_BLOCK, count - start), 28, 28)
            yield with_copies(rng.integers(0, 256, shape, np.uint8)) if copied else np.zeros(shape, np.uint8)

    def with_copies(block: np.ndarray) -> np.ndarray:
        if copied:
            block[1::copied] = block[::copied][: len(block[1::copied])]
        return block

    text, ends = Sources.pack([f"noise/{row % 10}/{row}.png" for row in range(count)])
    encoder = (SHIPPED / shipped.files["encoder"].name).read_bytes()
    writers = {
        "encoder": lambda path: write_bytes(path, encoder),
        "index": lambda path: write_flat(path, shipped.dim, count, vectors()),
        "ids": write_array(np.arange(count)),
        "labels": write_array(np.arange(count) % 10),
        "sources": lambda path: write_bytes(path, text),
        "source_ends": write_array(ends),
        "thumbnails": array_writer(np.uint8, (count, 28, 28), pictures()),
    }
    files = {role: write_data_file(folder, role, write) for role, write in writers.items()}
    commit(folder, structs.replace(shipped, name=folder.name, count=count, files=files))


def write_pictures(folder: Path) -> None:
    """Digits of the shipped gallery as PNGs."""
    pictures = open_bundle(SHIPPED).thumbnails[:IMAGES]
    folder.mkdir()
    for row, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"{row}.png")


def cost_of(*arguments: str) -> Cost:
    """Run a command of simsearch and measure it."""
    command = [sys.executable, "-S", "-c", LAUNCH, sys.executable, "-m", "simsearch", *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Cost(*map(float, done.stdout.split()))


def measure(folder: Path, pictures: Path, rounds: int) -> dict[str, Cost]:
    """The best of some rounds of adding and removing."""
    found: dict[str, list[Cost]] = {"add 100": [], "remove 100": []}
    for _ in range(rounds):
        first = read_manifest(folder).next_id or read_manifest(folder).count
        found["add 100"].append(cost_of("add", str(folder), str(pictures), "--label", "7"))
        ids = [argument for item in range(first, first + IMAGES) for argument in ("--id", str(item))]
        found["remove 100"].append(cost_of("remove", str(folder), *ids))
    return {
        name: Cost(*(min(column) for column in zip(*costs, strict=True))) for name, costs in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"{'items':>10}  {'command':12}  {'cpu s':>7}  {'wall s':>7}  {'peak MB':>8}  {'cpu ratio':>9}")
    smallest: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as top:
        write_pictures(Path(top) / "pictures")
        for size in sorted(arguments.sizes):
            folder = Path(top) / f"noise-{size}"
            make_gallery(folder, size)
            for name, cost in measure(folder, Path(top) / "pictures", arguments.rounds).items():
                ratio = cost.cpu / smallest.setdefault(name, cost.cpu)
                figures = f"{cost.cpu:7.2f}  {cost.wall:7.2f}  {cost.memory:8.0f}  {ratio:9.2f}"
                print(f"{size:10,}  {name:12}  {figures}")


if __name__ == "__main__":
    main()
