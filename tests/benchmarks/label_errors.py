"""Likely label errors of MNIST's training split, by networks that did not learn the labels they judge.

Confident learning (Northcutt, Jiang, Chuang, JAIR 70, 2021) by cross-validation: of each fold's images a
network trained on the other folds gives the probability of each class, the posterior of a calibration that is
fitted to the fold. Test images are not looked at. Prints the clearest errors as a table in Markdown.

    python tests/benchmarks/label_errors.py --folds 3 --epochs 4 --save errors

`--save` keeps the probabilities (`probabilities.npy`) and a picture of what the table lists.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from simsearch.data.datasets import load_named
from simsearch.data.splits import HoldOut, Split, hold_out
from simsearch.index.leave_one_out import ask
from simsearch.index.stores.by_class import NearestPerClass
from simsearch.index.stores.faiss import FaissStore
from simsearch.stats.fitting import fit_posterior
from simsearch.stats.label_errors import LabelErrors, Votes, find_label_errors
from simsearch.train.loop import Trainer, configure_torch
from simsearch.train.networks import DIGIT_NETWORK
from simsearch.train.recipes import DEFAULT_RECIPE, configure
from simsearch.train.validation import embed

_CHOOSING = 1_000  # images of the other folds that choose the checkpoint
_COLUMNS, _CELL = 10, 56  # of the picture
_LEAST = 1e-9

Shares = NDArray[np.float64]


def fold_probabilities(split: Split, fold: NDArray[np.int64], settings: list[str], seed: int) -> Shares:
    """The probability of each class for each image of a fold, (F, C), by a network trained on the others."""
    assert split.labels is not None
    others = np.setdiff1d(np.arange(len(split)), fold)
    part = HoldOut(*(others[rows] for rows in hold_out(len(others), _CHOOSING)))
    trainer = Trainer(
        configure(DEFAULT_RECIPE, settings), split.images, split.labels, None, seed=seed, part=part
    )
    trainer.run(on_epoch=lambda record, _: print(record, file=sys.stderr, flush=True))
    model = trainer.best_model()
    gallery, asked = (
        embed(model, DIGIT_NETWORK.keep(split.images[rows])).numpy() for rows in (part.train, fold)
    )
    store = FaissStore.build(gallery, part.train, split.labels[part.train])
    means = ask(NearestPerClass(store, None), asked, None, None).means  # (F, C)
    return fit_posterior(means, split.labels[fold]).probability(means)


def cross_validate(split: Split, folds: int, settings: list[str], seed: int) -> Shares:
    """The probability of each class for each image, (N, C)."""
    order = np.random.default_rng(seed).permutation(len(split))
    found = np.zeros((len(split), len(split.classes)))
    for number, fold in enumerate(map(np.sort, np.array_split(order, folds))):
        started = time.process_time()
        found[fold] = fold_probabilities(split, fold, settings, seed + number)
        print(f"fold {number}: {time.process_time() - started:.0f} s of CPU", file=sys.stderr, flush=True)
    return found


def as_votes(labels: NDArray[np.int64], probabilities: Shares) -> Votes:
    """Each class as a neighbor whose share is its probability."""
    classes = np.broadcast_to(np.arange(probabilities.shape[1]), probabilities.shape)
    return Votes(labels, classes, probabilities, probabilities[np.arange(len(labels)), labels])


def clearest(errors: LabelErrors, odds: Shares, count: int) -> NDArray[np.int64]:
    """The rows to list: confident errors first, each by the log odds of the other class."""
    return np.lexsort((-odds, ~errors.is_confident))[:count]


def draw(split: Split, rows: NDArray[np.int64], file: Path) -> None:
    """Save the listed images as one picture, row by row."""
    lines = -(-len(rows) // _COLUMNS)
    sheet = Image.new("L", (_COLUMNS * _CELL, lines * _CELL), 128)
    for place, row in enumerate(rows):
        cell = Image.fromarray(split.images[row]).resize((_CELL - 2, _CELL - 2), Image.Resampling.NEAREST)
        sheet.paste(cell, (place % _COLUMNS * _CELL, place // _COLUMNS * _CELL))
    sheet.save(file)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--average", type=float, default=0.99, help="of weights, as short as the schedule")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--save", type=Path, help="folder for probabilities and picture")
    options = parser.parse_args()
    configure_torch(threads=options.threads)
    split = load_named("mnist:train")
    assert split.labels is not None
    settings = [f"epochs={options.epochs}", f"average={options.average}"]
    probabilities = cross_validate(split, options.folds, settings, options.seed)
    votes = as_votes(split.labels, probabilities)
    errors = find_label_errors(votes)
    suggested = probabilities[np.arange(len(split)), errors.suggested]
    odds = np.log(np.maximum(suggested, _LEAST)) - np.log(np.maximum(votes.own, _LEAST))
    rows = clearest(errors, odds, options.count)
    right = (probabilities.argmax(axis=1) == split.labels).mean()
    print(f"{right:.4f} of {len(split):,} labels are the most probable class;", end=" ")
    print(f"{errors.is_confident.sum()} confident errors, {errors.estimated:.0f} estimated\n")
    print("| image | label | proposed | margin | log odds |\n|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row} | {split.labels[row]} | {errors.suggested[row]} |"
            f" {errors.margin[row]:.3f} | {odds[row]:.1f} |"
        )
    if options.save:
        options.save.mkdir(parents=True, exist_ok=True)
        np.save(options.save / "probabilities.npy", probabilities)
        draw(split, rows, options.save / "clearest.png")


if __name__ == "__main__":
    main()
