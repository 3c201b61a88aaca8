"""How near a streaming build comes to the slower of its two halves, decoding and encoding.

Small PNGs (digits of the shipped gallery) or photographs (JPEGs of smooth noise) are written to a folder.
Then, in turn and in one process, the files are decoded, and nothing else; as many pictures are encoded, and
nothing else; and the index is built. Each half is done by one core, as in a pipeline in which a core decodes
while another encodes, and by all. Printed are seconds of the clock and of all processors, and what share of
the slower half's rate the build has. Processor time tells it on a busy machine too: a build that wastes none
has, on two cores, the rate of all its processor time over two. Both halves on every core cannot run beside
each other for nothing, so of these the sum of their processor time is compared. Peak memory is that of the
building process at this and at a tenth of the number of pictures.

    python tests/benchmarks/build.py --kind digits --count 100000
    python tests/benchmarks/build.py --kind photos --count 2000 --model models/efficientnet-lite0
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from start import run

from simsearch.data.decoding import decode_files
from simsearch.encode.model_folder import PRETRAINED, open_model
from simsearch.index.bundle import open_bundle
from simsearch.index.change.folder_build import Source, build_folder
from simsearch.index.reading import ReadCodec, read_picture

SHIPPED = Path(__file__).parents[2] / "indexes" / "mnist-test"
_IN_A_FOLDER = 1_000
_BATCH = 256
_PHOTOS = 200  # that differ


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
        if row >= _PHOTOS:
            (folder / f"{row}.jpg").write_bytes((folder / f"{row % _PHOTOS}.jpg").read_bytes())
            continue
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
    model, alone = open_model(model_folder), open_model(model_folder, threads=1)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    read = partial(read_picture, model.encoder.input)
    sample = np.stack([read(file).pixels for file in files[:_BATCH]])
    batches = [sample[: min(_BATCH, len(files) - start)] for start in range(0, len(files), _BATCH)]

    def decode(processes: int) -> int:
        return sum(1 for _ in decode_files(files, read, processes=processes, codec=ReadCodec()))

    costs: dict[str, list[Cost]] = {}
    with tempfile.TemporaryDirectory() as top:
        work: dict[str, Callable[[], object]] = {
            "decode, one core": lambda: decode(1),
            "encode, one core": lambda: [alone.encoder.encode(batch) for batch in batches],
            "decode, all cores": lambda: decode(0),
            "encode, all cores": lambda: [model.encoder.encode(batch) for batch in batches],
            "build": lambda: build_folder(Source(folder, "pictures"), model, Path(top) / "index"),
        }
        for _ in range(rounds):
            for name, do in work.items():
                costs.setdefault(name, []).append(cost_of(do))
    best = {name: Cost(*map(min, zip(*found, strict=True))) for name, found in costs.items()}
    for name, cost in best.items():
        print(
            f"{name:17} {cost.wall:8.2f} s  {cost.cpu:8.2f} s of processors  {len(files) / cost.wall:9,.0f}/s"
        )
    compare(best)


def compare(best: Mapping[str, Cost]) -> None:
    """Print what share of the halves' rate the build has."""
    build, cores = best["build"], len(os.sched_getaffinity(0))
    one = [best["decode, one core"], best["encode, one core"]]
    every = [best["decode, all cores"], best["encode, all cores"]]
    slower = max(half.wall for half in one) / build.wall
    possible = max(half.cpu for half in one) / (build.cpu / cores)
    print(f"of the slower half's rate, each on a core: {slower:.0%} on the clock, ", end="")
    print(f"{possible:.0%} by processor time on {cores} cores")
    print(
        f"of the slower half's rate, each on all cores: {max(e.wall for e in every) / build.wall:.0%}, ",
        end="",
    )
    print(f"where no more than {max(e.cpu for e in every) / sum(e.cpu for e in every):.0%} can be")
    print(f"both halves are {sum(e.cpu for e in every) / build.cpu:.0%} of the build's processor time")


def peak_memory(folder: Path, model_folder: Path) -> float:
    """Megabytes at the peak of a process that builds an index of a folder."""
    with tempfile.TemporaryDirectory() as top:
        command = ["-m", "simsearch", "build-index", "--dataset", str(folder), "--name", "x"]
        return run([*command, "--model", str(model_folder.resolve()), "--index-dir", top]).peak


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
        for count in (arguments.count // 10, arguments.count):
            folders[count] = Path(top) / f"{count}"
            write(folders[count], count)
        print(f"{arguments.count:,} {arguments.kind}, model {arguments.model.name}")
        measure(folders[arguments.count], arguments.model, arguments.rounds)
        for count, folder in folders.items():
            print(f"{count:9,} pictures: {peak_memory(folder, arguments.model):.0f} MB at the peak")


if __name__ == "__main__":
    main()
