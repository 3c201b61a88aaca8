"""CPU time until the default recipe retrieves as well as `siamese-pairs` does at its end.

Trains `siamese-pairs` to its last epoch and the default recipe over a short schedule, one after the other in
one process, each with the same number of threads. After every epoch MAP@R of the images held out of the
training split (each asked about against the others) is measured, outside of the time that counts.

    python tests/benchmarks/training.py --epochs 5 --threads 1
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from importlib import metadata
from pathlib import Path

import numpy as np

from simsearch.data.datasets import load_named
from simsearch.data.splits import hold_out
from simsearch.encode.history import EpochRecord
from simsearch.evaluate.evaluation import Queries, rank_gallery
from simsearch.train.checkpoints import load_model
from simsearch.train.loop import Trainer, configure_torch
from simsearch.train.recipes import DEFAULT_RECIPE, SIAMESE_PAIRS, Recipe, configure
from simsearch.train.validation import embed

LIBRARIES = ("torch", "numpy")


class Clock:
    """A trainer's CPU time, and MAP@R of held-out images after each epoch."""

    def __init__(self, recipe: Recipe, images: np.ndarray, labels: np.ndarray, folder: Path) -> None:
        self._labels = labels[hold_out(len(labels), recipe.held_out_images).validation]
        self._trainer = Trainer(recipe, images, labels, folder)
        self._folder, self._name = folder, recipe.name
        self.seconds: list[float] = []
        self.figures: list[float] = []

    def run(self) -> None:
        self._mark = time.process_time()
        self._trainer.run(on_epoch=self._measure)

    def _measure(self, record: EpochRecord, _: bool) -> None:
        spent = time.process_time() - self._mark
        self.seconds.append(spent + (self.seconds[-1] if self.seconds else 0.0))
        self.figures.append(self._map_at_r(load_model(self._folder / "best_model.pt")))
        print(
            f"{self._name} epoch {record.epoch}: {self.seconds[-1]:.0f} s, MAP@R {self.figures[-1]:.4f}",
            flush=True,
        )
        self._mark = time.process_time()

    def _map_at_r(self, model: object) -> float:
        vectors = embed(model, self._trainer._validation.images).numpy()  # type: ignore[arg-type]
        rows = np.arange(len(vectors))
        queries = Queries(vectors, self._labels, tuple(map(str, rows)), rows)
        values = rank_gallery(queries, vectors, self._labels, k=10, threads=1).values
        return float(values["MAP@R"].mean())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=5, help="of the default recipe's short schedule")
    parser.add_argument("--average", type=float, default=0.99, help="of weights, shorter like the schedule")
    parser.add_argument("--reference-epochs", type=int, default=SIAMESE_PAIRS.epochs)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(", ".join(f"{name} {metadata.version(name)}" for name in LIBRARIES))
    configure_torch(threads=arguments.threads)
    split = load_named("mnist:train")
    assert split.labels is not None
    recipes = (
        configure(SIAMESE_PAIRS.name, [f"epochs={arguments.reference_epochs}"]),
        configure(DEFAULT_RECIPE, [f"epochs={arguments.epochs}", f"average={arguments.average}"]),
    )
    clocks = []
    for recipe in recipes:
        with tempfile.TemporaryDirectory() as folder:
            clocks.append(Clock(recipe, split.images, split.labels, Path(folder)))
            clocks[-1].run()
    reference, default = clocks
    goal = reference.figures[-1]
    print(f"{SIAMESE_PAIRS.name}: MAP@R {goal:.4f} after {reference.seconds[-1]:.0f} s")
    reached = [
        seconds for seconds, figure in zip(default.seconds, default.figures, strict=True) if figure >= goal
    ]
    if not reached:
        print(
            f"{DEFAULT_RECIPE}: not reached in {default.seconds[-1]:.0f} s (MAP@R {default.figures[-1]:.4f})"
        )
        return
    print(
        f"{DEFAULT_RECIPE}: reached after {reached[0]:.0f} s,"
        f" {reference.seconds[-1] / reached[0]:.1f} times less"
    )


if __name__ == "__main__":
    main()
