"""All of performance in one table: each work beside what it cannot do without, or another way to do it.

A ratio is of two works that were measured in turn in one run: of the processor's time, or of the clock where
it says so. Peaks are of the resident memory of a whole process, and stand beside the data that it reads.

    python tests/benchmarks/run.py --quick       three minutes of a quiet machine; 100,000 vectors
    python tests/benchmarks/run.py               1,000,000 vectors, more rounds
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import evaluation
import numpy as np
from answers import BATCH, least, measure_batch, measure_large
from galleries import SHIPPED, make_gallery
from large import bytes_of, measure
from PIL import Image, ImageDraw
from start import BY_TORCH, IMPORTS, QUERY, ROOT, run

from simsearch.data.mnist import default_data_dir
from simsearch.encode import shipped_models
from simsearch.encode.model_folder import open_model
from simsearch.index.bundle import open_bundle
from simsearch.index.retype import IndexKind, retype
from simsearch.prepare.prepare import prepare_image

LIBRARIES = ("numpy", "faiss-cpu", "onnxruntime", "pillow", "typer", "rich", "msgspec")
_ENCODED = 256


class Row(NamedTuple):
    """A line of the table; None for what does not apply."""

    work: str
    against: str
    ratio: float | None
    aim: str
    peak: float | None = None  # MB
    data: float | None = None  # MB

    def __str__(self) -> str:
        numbers = (
            "" if self.ratio is None else f"{self.ratio:.2f} x",
            self.aim,
            "" if self.peak is None else f"{self.peak:,.0f} MB",
            "" if self.data is None else f"{self.data:,.0f} MB",
        )
        return f"{self.work:44s} {self.against:36s}" + "".join(f" {text:>12s}" for text in numbers)


class Settings(NamedTuple):
    """How much is measured."""

    items: int
    factory: str
    rounds: int
    checked: int


def megabytes(folder: Path) -> float:
    """What an index has on disk."""
    return sum(bytes_of(folder).values()) / 1e6


def starting(settings: Settings) -> Iterator[Row]:
    """Whole processes, in turn."""
    works = {
        "query": QUERY,
        "imports": ("-c", IMPORTS),
        "help": ("-m", "simsearch", "--help"),
        "typer": ("-c", "import typer, rich"),
        **({"torch": ("-c", BY_TORCH)} if find_spec("torch") and find_spec("torchvision") else {}),
    }
    for command in works.values():
        run(command)
    turns = [{name: run(command) for name, command in works.items()} for _ in range(settings.rounds)]

    def ratio(first: str, second: str) -> float:
        return statistics.median(turn[first].cpu / turn[second].cpu for turn in turns)

    peak = statistics.median(turn["query"].peak for turn in turns)
    yield Row(
        "cold query", "importing its libraries", ratio("query", "imports"), "1.3", peak, megabytes(SHIPPED)
    )
    yield Row("--help", "importing typer, rich", ratio("help", "typer"), "1.5")
    if "torch" in works:
        yield Row("the same answer by torch", "cold query", ratio("torch", "query"), "at least 10")


def preparing(settings: Settings) -> Iterator[Row]:
    """A drawing of 280x280 beside its decoding."""
    image = Image.new("L", (280, 280))
    ImageDraw.Draw(image).line([(80, 60), (200, 60), (120, 230)], fill=255, width=24, joint="curve")
    packed = io.BytesIO()
    image.save(packed, "PNG")
    data = packed.getvalue()
    spent = least(
        5 * settings.rounds,
        {
            "decode": lambda: Image.open(io.BytesIO(data)).load(),
            "prepare": lambda: prepare_image(data),
        },
    )
    work = f"preparing a drawing, {spent['prepare']:.2f} ms"
    yield Row(work, "decoding it", spent["prepare"] / spent["decode"], "1.5 ms")


def answering(settings: Settings) -> Iterator[Row]:
    """Answers in this process, beside FAISS's scores and rows, one thread."""
    batch = measure_batch(settings.rounds)
    floor, vectors, pictures = batch.values()
    yield Row(f"{BATCH} vectors at 10,000", "FAISS Flat", vectors / floor, "1.6")
    yield Row(f"{BATCH} pictures at 10,000, with verdicts", "FAISS Flat", pictures / floor, "1.6")
    found = measure_large(settings.items, settings.factory, settings.rounds, settings.checked)
    floor, ours = found.flat.values()
    yield Row(f"one vector at {settings.items:,}, Flat", "FAISS Flat", ours / floor, "1.15")
    floor, ours, one_class, coded = found.near.values()
    against = f"FAISS {settings.factory}"
    yield Row(f"one vector at {settings.items:,}, {settings.factory}", against, ours / floor, "3")
    yield Row("  the same, hits of one class only", against, one_class / floor, "")
    yield Row("  where the codes are all that is stored", against, coded / floor, "")
    yield Row(f"  recall@10 {found.recall:.4f}, top class {found.same_top:.2%}", "exact", None, ".95, 99.9 %")


def opening(settings: Settings) -> Iterator[Row]:
    """Cold queries of large indexes, and what they have on disk."""
    with tempfile.TemporaryDirectory() as folder:
        indexes = {"10,000 Flat": SHIPPED}
        for factory in ("Flat", settings.factory):
            name = f"{settings.items:,} {factory}"
            indexes[name] = Path(folder) / factory.replace(",", "-")
            make_gallery(indexes[name], settings.items, factory)
        name = f"{settings.items:,} {settings.factory} int8"
        indexes[name] = Path(folder) / "coded"
        make_gallery(indexes[name], settings.items)
        retype(indexes[name], IndexKind(settings.factory, "int8"))
        spent = measure(indexes, settings.rounds)
        base = next(iter(spent.values()))
        for name, one in list(spent.items())[1:]:
            size = megabytes(indexes[name])
            yield Row(
                f"cold query at {name}",
                "cold query at 10,000",
                one.cpu / base.cpu,
                "2, 300 MB",
                one.peak,
                size,
            )
        kept = sum(
            size for role, size in bytes_of(indexes[name]).items() if role not in ("thumbnails", "encoder")
        )
        index = bytes_of(indexes[name])["index"]
        yield Row(
            f"files of {name}, no pictures",
            "FAISS's file alone",
            kept / index,
            "250 MB at 10^6",
            data=kept / 1e6,
        )


def encoding(settings: Settings) -> Iterator[Row]:
    """Pictures to vectors, one core, beside torch eager."""
    if not find_spec("torch"):
        return
    import torch

    from simsearch.train.checkpoints import load_model
    from simsearch.train.quantize import quantize_model

    torch.set_num_threads(1)
    model = open_model(threads=1)
    images = np.asarray(open_bundle(SHIPPED).thumbnails[:_ENCODED])
    network = load_model(ROOT / "simsearch" / "pretrained" / "best_model.pt").embedding.eval()
    batch = torch.from_numpy(model.encoder.input.to_batch(images))

    def by_torch() -> None:
        with torch.inference_mode():
            network(batch)

    coarse = quantize_model(model, images, threads=1).encoder
    second = open_model(shipped_models.SHIPPED["residual"], threads=1).encoder
    spent = least(
        settings.rounds,
        {
            "ours": lambda: model.encoder.encode(images),
            "int8": lambda: coarse.encode(images),
            "second": lambda: second.encode(images),
            "torch": by_torch,
        },
    )
    work = f"encoding by torch eager, batch {_ENCODED}"
    yield Row(work, "encoding", spent["torch"] / spent["ours"], "")
    yield Row(work, "encoding in int8", spent["torch"] / spent["int8"], "at least 4")
    yield Row("encoding by the residual model", "encoding", spent["second"] / spent["ours"], "at most 3")


def evaluating(_: Settings) -> Iterator[Row]:
    """10,000 queries against 10,000 items, beside pytorch-metric-learning."""
    sides = ["ours", "floor"] + (["theirs"] if find_spec("pytorch_metric_learning") else [])
    found = {}
    for side in sides:
        done = subprocess.run(
            [sys.executable, evaluation.__file__, "--side", side], capture_output=True, check=True
        )
        found[side] = json.loads(done.stdout)
    ours, data = found["ours"], 1e-6 * 4 * 128 * 10_000
    yield Row(
        "evaluate 10,000",
        "one product, one sort",
        ours["cpu_s"] / found["floor"]["cpu_s"],
        "",
        ours["peak_mb"],
        data,
    )
    if "theirs" in found:
        ratio = found["theirs"]["cpu_s"] / ours["cpu_s"]
        peak = found["theirs"]["peak_mb"]
        yield Row("  by pytorch-metric-learning", "evaluate 10,000", ratio, "at least 15", peak, data)


def building(_: Settings) -> Iterator[Row]:
    """The memory of a build of 10,000 digits."""
    if not (default_data_dir() / "MNIST").exists():
        return
    with tempfile.TemporaryDirectory() as folder:
        spent = run(("-m", "simsearch", "build-index", "--name", "built", "--index-dir", folder))
        yield Row("build-index, 10,000 digits", "", None, "", spent.peak, 28 * 28 * 1e-6 * 10_000)


def serving(settings: Settings) -> Iterator[Row]:
    """One client of the page's API, on the clock, and a server's memory."""
    import shutil

    if shutil.which("wrk") is None or find_spec("fastapi") is None:
        return
    from serve import REQUEST, direct, drawing, load, served

    cores = os.cpu_count() or 1
    with (
        tempfile.TemporaryDirectory() as folder,
        served("simsearch", cores) as ours,
        served("bare", 1) as bare,
    ):
        picture, script = Path(folder) / "seven.png", Path(folder) / "post.lua"
        picture.write_bytes(drawing())
        script.write_text(REQUEST.format(picture=picture))
        load(ours.url, 4, 1, script)
        ratios, halves = [], []
        for _ in range(settings.rounds):
            mine, floor = load(ours.url, 1, 2, script), load(bare.url, 1, 2, script)
            ratios.append(mine.p50 / floor.p50)
            halves.append(mine.p50)
        middle = statistics.median(halves)
        yield Row(
            f"one search served, p50 {middle:.1f} ms", "bare endpoint", statistics.median(ratios), "5 ms"
        )
        for clients in (16, 64):
            shares = [
                load(ours.url, clients, 2, script).rate / max(direct(threads, 2).rate for threads in (1, 2))
                for _ in range(max(1, settings.rounds - 2))
            ]
            yield Row(
                f"throughput at {clients} clients",
                "calls of one or two threads",
                statistics.median(shares),
                ".8",
            )
        yield Row(f"serve, with {cores} decoders", "", None, "", ours.peak(), megabytes(SHIPPED))


PARTS: tuple[Callable[[Settings], Iterator[Row]], ...] = (
    starting,
    preparing,
    answering,
    opening,
    encoding,
    evaluating,
    building,
    serving,
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="smaller, and fewer rounds")
    parser.add_argument("--only", nargs="+", choices=[part.__name__ for part in PARTS])
    chosen = parser.parse_args()
    settings = (
        Settings(100_000, "IVF256,SQ8", 3, 200)
        if chosen.quick
        else Settings(1_000_000, "IVF512,SQ8", 7, 1_000)
    )
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(", ".join(f"{name} {metadata.version(name)}" for name in LIBRARIES) + "\n")
    head = f"{'work':44s} {'against':36s}"
    print(head + "".join(f" {text:>12s}" for text in ("ratio", "aim", "peak", "data")))
    started = time.perf_counter()
    for part in PARTS:
        if chosen.only and part.__name__ not in chosen.only:
            continue
        rows = part(settings)
        while True:
            with contextlib.redirect_stdout(io.StringIO()):
                row = next(rows, None)
            if row is None:
                break
            print(row, flush=True)
    print(f"\n{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
