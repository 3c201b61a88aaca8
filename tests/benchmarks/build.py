"""How near a streaming build comes to the slower of its two halves, decoding and encoding.

Small PNGs (digits of the shipped gallery) or photographs (JPEGs of smooth noise) are written to a folder.
Then, in turn and in one process, the files are decoded by the processes that a build uses, and nothing else;
as many pictures are encoded, and nothing else; and the index is built. Printed are seconds of the clock and
of all processors, and what share of the slower half's rate the build has: on the clock, and, because both
halves use every core and so cannot run beside each other for nothing, of the sum of their processor time.
Peak memory is that of the building process at this and at half the number of pictures.

    python tests/benchmarks/build.py --kind digits --count 20000
    python tests/benchmarks/build.py --kind photos --count 300 --model models/efficientnet-lite0
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from simsearch.data.decoding import decode_files
from simsearch.encode.model_folder import PRETRAINED, open_model
from simsearch.index.bundle import open_bundle
from simsearch.index.change.folder_build import Source, build_folder
from simsearch.index.reading import ReadCodec, read_picture

SHIPPED = Path(__file__).parents[2] / "indexes" / "mnist-test"
_IN_A_FOLDER = 1_000


class Cost(NamedTuple):
    """Seconds of the clock, and of the processors of this process and its children."""

    wall: float
    cpu: float


def write_digits(folder: Path, count: int) -> None:
    """Digits of the shipped gallery, again and again."""
    pictures = open_bundle(SHIPPED).thumbnails
    for row in range(count):
        file = folder / f"{row // _IN_A_FOLDER}" / f"{row}.png"
        file.parent.mkdir(exist_ok=True, parents=True)
        Image.fromarray(pictures[row % len(pictures)]).save(file)


def write_photos(folder: Path, count: int, side: int = 1_600) -> None:
    """JPEGs of smooth noise in color."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for row in range(count):
        small = Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8))
        photo = small.resize((side, side * 3 // 4), Image.Resampling.BICUBIC)
        photo.save(folder / f"{row}.jpg", quality=90)


def cost_of(work: Callable[[], object]) -> Cost:
    """What a call takes, its child processes included."""
    before, started = os.times(), time.perf_counter()
    work()
    after = os.times()
    cpu = sum(after[:4]) - sum(before[:4])
    return Cost(time.perf_counter() - started, cpu)


def measure(folder: Path, model_folder: Path, rounds: int) -> None:
    model = open_model(model_folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    read = partial(read_picture, model.encoder.input)
    sample = np.stack([read(file).pixels for file in files[:256]])
    batches = [sample[: min(256, len(files) - start)] for start in range(0, len(files), 256)]
    halves: dict[str, list[Cost]] = {"decode": [], "encode": [], "build": []}
    with tempfile.TemporaryDirectory() as top:
        work: dict[str, Callable[[], object]] = {
            "decode": lambda: sum(1 for _ in decode_files(files, read, codec=ReadCodec())),
            "encode": lambda: [model.encoder.encode(batch) for batch in batches],
            "build": lambda: build_folder(Source(folder, "pictures"), model, Path(top) / "index"),
        }
        for _ in range(rounds):
            for name, do in work.items():
                halves[name].append(cost_of(do))
    best = {name: Cost(*map(min, zip(*costs, strict=True))) for name, costs in halves.items()}
    for name, cost in best.items():
        print(
            f"{name:7} {cost.wall:8.2f} s  {cost.cpu:8.2f} s of processors  {len(files) / cost.wall:9,.0f}/s"
        )
    slower = max(best["decode"].wall, best["encode"].wall)
    both = best["decode"].cpu + best["encode"].cpu
    print(f"build / slower half: {slower / best['build'].wall:.0%} of its rate on the clock")
    print(f"build / both halves: {both / best['build'].cpu:.0%} of their processor time")


def peak_memory(folder: Path, model_folder: Path) -> float:
    """Megabytes at the peak of a process that builds an index of a folder."""
    with tempfile.TemporaryDirectory() as top:
        command = [sys.executable, "-m", "simsearch", "build-index", "--dataset", str(folder), "--name", "x"]
        command += ["--model", str(model_folder), "--index-dir", top]
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        assert child.returncode == 0
        return usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kind", choices=("digits", "photos"), default="digits")
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--model", type=Path, default=PRETRAINED)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    write = {"digits": write_digits, "photos": write_photos}[arguments.kind]
    with tempfile.TemporaryDirectory() as top:
        folders = {}
        for count in (arguments.count // 2, arguments.count):
            folders[count] = Path(top) / f"{count}"
            write(folders[count], count)
        print(f"{arguments.count:,} {arguments.kind}, model {arguments.model.name}")
        measure(folders[arguments.count], arguments.model, arguments.rounds)
        for count, folder in folders.items():
            print(f"{count:9,} pictures: {peak_memory(folder, arguments.model):.0f} MB at the peak")


if __name__ == "__main__":
    main()
