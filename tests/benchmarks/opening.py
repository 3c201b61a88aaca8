"""What verifying the shipped index costs when it is opened.

Times, best and median of a number of rounds with warm file caches, in one process: comparing size and
XXH3-128 of every file; SHA-256 of every file, the alternative; the checks of the FAISS index's structure, the
encoder's ONNX file and the vectors' lengths; and all of `open_bundle`, with and without verification.

    python tests/benchmarks/opening.py --rounds 30
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from unittest import mock

from simsearch.encode.onnx_check import read_graph
from simsearch.files import open_regular
from simsearch.index import bundle as bundles
from simsearch.index.bundle import open_bundle, read_manifest
from simsearch.index.data_files import open_checked
from simsearch.index.stores import faiss as stores
from simsearch.index.stores.base import gather, is_unit
from simsearch.index.stores.faiss_check import check_structure

INDEX = Path(__file__).parents[2] / "indexes" / "mnist-test"
LIBRARIES = ("numpy", "faiss-cpu", "onnxruntime", "xxhash")


def milliseconds(rounds: int, work: Callable[[], object]) -> tuple[float, float]:
    """Best and median time of a call."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        times.append(1e3 * (time.perf_counter() - started))
    return min(times), statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=30)
    rounds = parser.parse_args().rounds
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(", ".join(f"{name} {metadata.version(name)}" for name in LIBRARIES))
    manifest, opened = read_manifest(INDEX), open_bundle(INDEX, threads=1)
    entries = manifest.all_files
    print(f"{INDEX.name}: {sum(entry.size for entry in entries) / 1e6:.1f} MB in {len(entries)} files")

    def hash_all() -> None:
        for entry in entries:
            with open_checked(INDEX, entry):
                pass

    def sha256_all() -> None:
        for entry in entries:
            hashlib.sha256((INDEX / entry.name).read_bytes()).hexdigest()

    def open_unverified() -> None:
        with (
            mock.patch.object(bundles, "open_checked", lambda *parts: open_regular(parts[0] / parts[1].name)),
            mock.patch.object(bundles, "is_unit", return_value=True),
            mock.patch.object(stores, "check_structure"),
        ):
            open_bundle(INDEX, threads=1)

    def check_graph() -> None:
        read_graph(opened.encoder.model).largest_batch((1, 28, 28), 64)

    def verify() -> None:
        hash_all()
        check_structure(opened.store.index)
        check_graph()
        is_unit(gather(opened.store).vectors)

    print(f"{'':44s} best  median, ms of {rounds} rounds")
    for name, work in {
        "files: size and XXH3-128": hash_all,
        "files: SHA-256, the alternative": sha256_all,
        "FAISS structure": lambda: check_structure(opened.store.index),
        "ONNX graph": check_graph,
        "unit vectors": lambda: is_unit(gather(opened.store).vectors),
        "all verification": verify,
        "open_bundle": lambda: open_bundle(INDEX, threads=1),
        "open_bundle, only its ONNX graph verified": open_unverified,
    }.items():
        best, median = milliseconds(rounds, work)
        print(f"{name:40s} {best:8.2f} {median:8.2f}")


if __name__ == "__main__":
    main()
