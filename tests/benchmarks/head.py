"""CPU time of learning a head on the features of 5,000 images, part by part, on one core.

The features are drawn: clusters of 100 classes in 1,280 dimensions, as EfficientNet-Lite0 has. Encoding is
not in it; that is done once. The network's own steps are printed beside a step of EmbeddingNet and of the
residual network on MNIST's size, measured in the same process in turns, so that machines can be compared.

    python tests/benchmarks/head.py
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch

from simsearch.data.splits import stratified_hold_out
from simsearch.train.baselines import fit_lda, fit_logistic_regression, unit_rows
from simsearch.train.features import Features
from simsearch.train.head_exam import examine
from simsearch.train.head_run import HeadRun
from simsearch.train.loop import configure_torch
from simsearch.train.networks import NETWORKS
from simsearch.train.recipes import HEAD_PAIRS

ROUNDS = 7


def draw_features(images: int, classes: int, dim: int) -> Features:
    """Clusters of different width, each image its own deviation."""
    rng = np.random.default_rng(0)
    labels = np.sort(rng.integers(0, classes, images))
    centers, widths = rng.normal(size=(classes, dim)), rng.uniform(1, 4, classes)
    vectors = unit_rows(centers[labels] + widths[labels, None] * rng.normal(size=(images, dim)))
    part, _ = stratified_hold_out(labels, [str(row) for row in range(images)])
    return Features(vectors, labels, part)


def timed(name: str, work: Callable[[], object]) -> float:
    """Run, print and return the CPU seconds of something."""
    started = time.process_time()
    work()
    spent = time.process_time() - started
    print(f"  {name:<28} {spent:6.2f} s", flush=True)
    return spent


def compare_networks() -> None:
    """CPU time of a training step and of encoding, as a multiple of EmbeddingNet's."""
    layout = torch.channels_last
    images = torch.randn(256, 1, 28, 28).to(memory_format=layout)
    networks = {name: build(1, 28, 28).to(memory_format=layout) for name, build in NETWORKS.items()}

    def train(network: torch.nn.Module) -> None:
        vectors = network.train()(images)
        (vectors @ vectors.T).sum().backward()

    def encode(network: torch.nn.Module) -> None:
        with torch.inference_mode():
            network.eval()(images)

    for name, work in (("a training step", train), ("encoding", encode)):
        spent: dict[str, list[float]] = {network: [] for network in networks}
        for _ in range(ROUNDS):
            for network, built in networks.items():
                started = time.process_time()
                work(built)
                spent[network].append(time.process_time() - started)
        base = float(np.median(spent["embedding-net"]))
        ratios = ", ".join(f"{network} {np.median(one) / base:.2f}" for network, one in spent.items())
        print(f"{name} of 256 images: {1000 * base:.0f} ms for embedding-net; {ratios}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=5_000)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--dim", type=int, default=1_280)
    arguments = parser.parse_args()
    configure_torch(threads=1)
    features = draw_features(arguments.images, arguments.classes, arguments.dim)
    vectors, labels = features.vectors[features.part.train], features.labels[features.part.train]
    print(f"{arguments.images:,} images, {arguments.classes} classes, {arguments.dim:,} features; CPU time")
    timed("(shrunken LDA once)", lambda: fit_lda(vectors, labels))
    timed("(logistic regression once)", lambda: fit_logistic_regression(vectors, labels))
    run = HeadRun(HEAD_PAIRS, features, 0, None)
    trainer = run.trainer(None, None)
    total = timed("the head", trainer.run)
    total += timed(
        "all it is measured against", lambda: examine(features, lambda classes: run.embed(classes, trainer))
    )
    print(f"  {'together':<28} {total:6.2f} s")
    compare_networks()


if __name__ == "__main__":
    main()
