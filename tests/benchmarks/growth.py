"""How an index grows: build, size, opening, a cold query, a batch, memory and recall, and fitted exponents.

Galleries are the shipped vectors, extended by seeded noise along the covariance of each class, with pictures;
see `galleries.py`. Two kinds of index: flat, and inverted lists of 8-bit codes that are all that is stored of
vectors (`--precision int8`), their number the square root of the gallery's size rounded down to a power of
two. An exponent is the slope of a line through the logarithms: 1 is as much as the gallery.

    python tests/benchmarks/growth.py --sizes 10000 100000 1000000
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
from galleries import SHIPPED, Made, make_gallery
from large import bytes_of
from start import DIGIT, run

from simsearch.index.bundle import open_bundle
from simsearch.index.stores.comparison import compare
from simsearch.search.searcher import Searcher

K, BATCH, CHECKED = 10, 256, 100


class Grown(NamedTuple):
    """What an index of some size takes: seconds are of the processor."""

    build_s: float
    files_mb: float  # without pictures and encoder
    open_s: float
    cold_s: float
    cold_mb: float  # peak of memory
    batch_s: float  # of 256 vectors, class ranking and all
    recall: float


def kind_of(count: int, kind: str) -> tuple[str, str]:
    """The factory string and the precision."""
    if kind == "flat":
        return "Flat", "float32"
    return f"IVF{2 ** int(np.log2(count**0.5))},SQ8", "int8"


def grow(folder: Path, count: int, kind: str, rounds: int) -> Grown:
    """Build an index, and measure it."""
    factory, precision = kind_of(count, kind)
    started = time.process_time()
    make_gallery(folder, count, factory, precision=precision)
    build = time.process_time() - started
    size = sum(size for role, size in bytes_of(folder).items() if role not in ("thumbnails", "encoder"))
    query = ("-m", "simsearch", "query", str(DIGIT), "--index", str(folder))
    cold = min((run(query) for _ in range(rounds)), key=lambda spent: spent.cpu)
    started = time.process_time()
    bundle = open_bundle(folder, threads=1, private=0)
    opened = time.process_time() - started
    queries = next(Made(open_bundle(SHIPPED), BATCH, 3).vectors())
    searcher, batch = Searcher(bundle), float("inf")
    for _ in range(rounds):
        started = time.process_time()
        searcher.query_vectors(queries, [None] * BATCH, k=K)
        batch = min(batch, time.process_time() - started)
    recall = 1.0
    if not bundle.store.is_exact:
        near, exact = (
            compare(bundle.store, queries[:CHECKED], exact=exact).nearest(K).ids for exact in (False, True)
        )
        recall = float((near[:, :, None] == exact[:, None, :]).any(1).mean())
    return Grown(build, size / 1e6, opened, cold.cpu, cold.peak, batch, recall)


def exponent(sizes: list[int], values: list[float]) -> float:
    """The slope of a line through the logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--kinds", nargs="+", choices=("flat", "coded"), default=["flat", "coded"])
    parser.add_argument("--rounds", type=int, default=3)
    settings = parser.parse_args()
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}, one thread\n")
    print(f"{'':24s}" + "".join(f"{name:>10s}" for name in Grown._fields))
    with tempfile.TemporaryDirectory() as root:
        for kind in settings.kinds:
            grown = []
            for count in settings.sizes:
                folder = Path(root) / f"{kind}-{count}"
                grown.append(grow(folder, count, kind, settings.rounds))
                shutil.rmtree(folder)
                name = f"{count:,} {kind_of(count, kind)[0]}"
                print(f"{name:24s}" + "".join(f"{value:10.3f}" for value in grown[-1]), flush=True)
            if len(settings.sizes) > 1:
                columns = list(zip(*grown, strict=True))[:-1]
                slopes = [exponent(settings.sizes, list(column)) for column in columns]
                print(f"{'exponent':24s}" + "".join(f"{slope:10.2f}" for slope in slopes) + "\n")


if __name__ == "__main__":
    main()
