"""Is a network better that never saw the likely label errors of its training images?

Takes the probabilities that `label_errors.py --save FOLDER` kept, leaves out the training images whose label
is a confident error, or as many as are estimated with the lowest margin, and trains each seed on all images
and on what is left. Figures are of validation images, whose labels stay as they are, and of the test split.

    python tests/benchmarks/without_errors.py errors --seeds 0 1 --epochs 5
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from label_errors import as_votes
from numpy.typing import NDArray

from simsearch.data.datasets import load_named
from simsearch.data.splits import HoldOut, Split, hold_out
from simsearch.stats.label_errors import LabelErrors, find_label_errors
from simsearch.train.loop import Trainer, configure_torch
from simsearch.train.networks import DIGIT_NETWORK
from simsearch.train.recipes import DEFAULT_RECIPE, Recipe, configure
from simsearch.train.retrieval import judge_scores
from simsearch.train.validation import embed

Rows = NDArray[np.int64]


class Figures(NamedTuple):
    """What a network retrieves."""

    held_out_map_at_r: float
    held_out_p_at_1: float
    kept_p_at_1: float  # held-out images against all kept ones
    test_map_at_r: float
    test_p_at_1: float


def likely_errors(errors: LabelErrors) -> Rows:
    """The confident errors, and as many of the lowest margins as are estimated beyond them."""
    count = max(round(errors.estimated), int(errors.is_confident.sum()))
    return np.lexsort((errors.margin, ~errors.is_confident))[:count]


def train_and_measure(
    recipe: Recipe,
    train: Split,
    test: Split,
    part: HoldOut,
    kept: Rows,
    seed: int,
    change: Callable[[Trainer], None] = lambda _: None,
) -> Figures:
    """Train on some rows of the training split; measure with all that are kept.

    :param change: What is done to the trainer before it begins.
    """
    assert train.labels is not None
    assert test.labels is not None
    trainer = Trainer(recipe, train.images, train.labels, None, seed=seed, part=part)
    change(trainer)
    trainer.run(on_epoch=lambda record, _: print(record, file=sys.stderr, flush=True))
    model = trainer.best_model()

    def vectors(split: Split, rows: Rows | slice = slice(None)) -> NDArray[np.float32]:
        return np.asarray(embed(model, DIGIT_NETWORK.keep(split.images[rows])).numpy(), np.float32)

    asked, labels = vectors(train, part.validation), train.labels[part.validation]
    own = judge_scores(asked @ asked.T, labels)
    gallery = vectors(train, kept)
    nearest = np.concatenate([(block @ gallery.T).argmax(axis=1) for block in np.array_split(asked, 10)])
    tested = vectors(test)
    other = judge_scores(tested @ tested.T, test.labels)
    right = float((train.labels[kept][nearest] == labels).mean())
    return Figures(own.map_at_r, own.p_at_1, right, other.map_at_r, other.p_at_1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("errors", type=Path, help="folder of label_errors.py --save")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--average", type=float, default=0.99, help="of weights, as short as the schedule")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    configure_torch(threads=options.threads)
    train, test = load_named("mnist:train"), load_named("mnist")
    assert train.labels is not None
    recipe = configure(DEFAULT_RECIPE, [f"epochs={options.epochs}", f"average={options.average}"])
    errors = find_label_errors(as_votes(train.labels, np.load(options.errors / "probabilities.npy")))
    part = hold_out(len(train))
    left_out = np.intersect1d(likely_errors(errors), part.train)
    print(f"{len(left_out)} of {len(part.train):,} training images are left out\n")
    print("| | " + " | ".join(Figures._fields) + " |\n|---" + "|---" * len(Figures._fields) + "|")
    for seed in options.seeds:
        for name, rows in (("all", part.train), ("without", np.setdiff1d(part.train, left_out))):
            seen = HoldOut(rows, part.validation)
            figures = train_and_measure(recipe, train, test, seen, part.train, seed)
            print(
                f"| {name}, seed {seed} | " + " | ".join(f"{one:.4f}" for one in figures) + " |", flush=True
            )


if __name__ == "__main__":
    main()
