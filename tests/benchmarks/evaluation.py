"""Full-ranking evaluation of 10,000 queries against 10,000 items, beside pytorch-metric-learning's.

Both compute P@1, R-precision, MAP@R and MAP, leave-one-out, on the shipped index's vectors, each in a
process of its own. The floor is one product of all queries with the gallery and one sort of its values,
in the same blocks and on the same cores as ours.

    python tests/benchmarks/evaluation.py
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from simsearch.evaluate.evaluation import prepare_queries, rank_gallery
from simsearch.index.bundle import open_bundle
from simsearch.index.stores.base import gather

INDEX = Path(__file__).parents[2] / "indexes" / "mnist-test"
LIBRARIES = ("numpy", "faiss-cpu", "torch", "pytorch-metric-learning")


def ours() -> dict[str, float]:
    bundle = open_bundle(INDEX)
    assert bundle.labels is not None
    started = time.perf_counter(), time.process_time()
    ranked = rank_gallery(prepare_queries(bundle), gather(bundle.store).vectors, bundle.labels)
    values = {name: float(ranked.values[name].mean()) for name in ("P@1", "R-precision", "MAP@R", "MAP")}
    return {**values, **spent(*started)}


def theirs() -> dict[str, float]:
    import torch
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

    bundle = open_bundle(INDEX)
    include = ("precision_at_1", "r_precision", "mean_average_precision_at_r", "mean_average_precision")
    calculator = AccuracyCalculator(include=include, k=len(bundle.ids) - 1)
    vectors, labels = (
        torch.from_numpy(np.array(gather(bundle.store).vectors)),
        torch.from_numpy(bundle.labels),
    )
    started = time.perf_counter(), time.process_time()
    values = calculator.get_accuracy(vectors, labels)
    names = dict(zip(("P@1", "R-precision", "MAP@R", "MAP"), include, strict=True))
    return {**{name: float(values[key]) for name, key in names.items()}, **spent(*started)}


def floor() -> dict[str, float]:
    bundle = open_bundle(INDEX)
    started = time.perf_counter(), time.process_time()
    gallery = gather(bundle.store).vectors

    def multiply_and_sort(part: slice) -> None:
        (gallery[part] @ gallery.T).sort(axis=1)

    parts = [slice(start, start + 419) for start in range(0, len(gallery), 419)]
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(multiply_and_sort, parts))
    return spent(*started)


def spent(wall: float, cpu: float) -> dict[str, float]:
    """Seconds since then, and the process's peak memory in megabytes."""
    return {
        "wall_s": time.perf_counter() - wall,
        "cpu_s": time.process_time() - cpu,
        "peak_mb": peak(),
    }


def peak() -> float:
    """Of this process: `ru_maxrss` is at least that of the process that started it."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(lines["VmHWM"].split()[0]) / 1024


SIDES = {"ours": ours, "theirs": theirs, "floor": floor}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    side = parser.parse_args().side
    if side:
        print(json.dumps(SIDES[side]()))
        return
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(", ".join(f"{name} {metadata.version(name)}" for name in LIBRARIES))
    results = {}
    for name in SIDES:
        command = [sys.executable, __file__, "--side", name]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        results[name] = json.loads(done.stdout)
        print(f"{name:7s}", "  ".join(f"{key} {value:.4f}" for key, value in results[name].items()))
    a, b, c = results["ours"], results["theirs"], results["floor"]
    for key in ("wall_s", "cpu_s", "peak_mb"):
        print(f"{key:8s} theirs / ours {b[key] / a[key]:6.1f}    ours / floor {a[key] / c[key]:5.2f}")
    print("largest difference of a figure", max(abs(a[name] - b[name]) for name in a if "_" not in name))


if __name__ == "__main__":
    main()
