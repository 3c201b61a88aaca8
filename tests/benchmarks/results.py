"""The results of training recipes over seeds: every figure of docs/results.md.

For each recipe and seed it trains a run that is not there yet (and continues one that was interrupted), or
takes a finished one; then it measures the model on held-out images, on test images, and on other people's
handwriting (the digits of UCI, as scikit-learn ships them), and prints a table a recipe, in Markdown.

    python tests/benchmarks/results.py siamese-pairs batch-pairs --seeds 0 1 2 --runs runs

Training takes half a minute an epoch and core; measuring takes a minute a model.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from sklearn.datasets import load_digits

from simsearch.data.datasets import load_named
from simsearch.data.splits import Split
from simsearch.encode.model_folder import LAST_CHECKPOINT, MODEL_CARD, open_model
from simsearch.errors import BadImageError
from simsearch.evaluate.evaluation import evaluate
from simsearch.index.build import build_index
from simsearch.index.bundle import Bundle, open_bundle
from simsearch.prepare.prepare import prepare_image
from simsearch.train.recipes import Recipe, configure
from simsearch.train.run import train

LIBRARIES = ("torch", "numpy", "faiss-cpu", "onnxruntime", "scikit-learn")
Figures = dict[str, float]


def train_missing(recipe: Recipe, seed: int, folder: Path, threads: int) -> None:
    """Train a run to its end, unless it is."""
    if (folder / MODEL_CARD).exists():
        return
    resume = (folder / LAST_CHECKPOINT).exists()
    train(
        recipe,
        load_named("mnist:train"),
        folder,
        seed=seed,
        resume=resume,
        threads=threads,
        on_epoch=lambda record, _: print(f"{folder}: {record}", file=sys.stderr, flush=True),
    )


def uci_digits() -> Split:
    """1,797 digits of 13 writers, 8x8 pixels, as pictures of 240x240 prepared like anyone's.

    Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository 1998.
    """
    digits = load_digits()
    pictures = [
        Image.fromarray((pixels * 255 / 16).round().astype(np.uint8)).resize(
            (160, 160), Image.Resampling.BICUBIC
        )
        for pixels in digits.images
    ]
    found = {}
    for row, picture in enumerate(pictures):
        with suppress(BadImageError):  # 4 of them, filled areas, are no digits to the preparation
            found[row] = prepare_image(ImageOps.expand(picture, 40)).pixels
    rows = list(found)
    return Split(
        images=np.stack(list(found.values())),
        labels=digits.target[rows].astype(np.int64),
        sources=tuple(f"uci/{row}" for row in rows),
        name="uci-digits",
        classes=tuple("0123456789"),
        sha256={},
        skipped=(),
    )


def measure(run: Path, splits: Mapping[str, Split], work: Path) -> Figures:
    """All figures of one model, the choosing ones first."""
    model = open_model(run)
    indexes: dict[str, Bundle] = {}
    for name in ("held-out", "kept", "test", "train"):
        folder = work / f"{run.name}-{name}"
        build_index(splits[name], model, folder)
        indexes[name] = open_bundle(folder)
    alone = evaluate(indexes["held-out"]).figures
    figures = {
        "held-out, leave-one-out: MAP@R": alone["MAP@R"].value,
        "held-out against kept: P@1": p_at_1(indexes["kept"], splits["held-out"]),
        "distorted against kept: P@1": p_at_1(indexes["kept"], splits["distorted"]),
    }
    report = evaluate(indexes["test"])
    for name in ("MAP@R", "R-precision", "P@1", "MAP"):
        figures[f"test, leave-one-out: {name}"] = report.figures[name].value
    pairs = report.verification
    assert pairs is not None
    figures["test pairs: accuracy"] = pairs.accuracy
    figures["test pairs: ROC AUC"] = pairs.roc_auc
    against = evaluate(indexes["train"], splits["test"]).figures
    figures["test against train: P@1"] = against["P@1"].value
    figures["test against train: MAP@R"] = against["MAP@R"].value
    figures["UCI digits against train: P@1"] = p_at_1(indexes["train"], splits["uci"])
    if seen := model.card.training["recipe"].get("classes"):
        figures |= by_sight(report.per_class, set(seen.split(",")))
    return figures


def p_at_1(gallery: Bundle, queries: Split) -> float:
    return evaluate(gallery, queries).figures["P@1"].value


def by_sight(rows: Sequence, seen: set[str]) -> Figures:
    """The test figures apart for classes that training saw and those it never saw."""
    figures = {}
    for which, members in (("seen", True), ("unseen", False)):
        chosen = [row for row in rows if (row.label in seen) == members]
        for name in ("MAP@R", "P@1"):
            mean = sum(row.metrics[name] * row.queries for row in chosen) / sum(r.queries for r in chosen)
            figures[f"test, leave-one-out, {which} classes: {name}"] = mean
    return figures


def print_table(name: str, seeds: Sequence[int], columns: Sequence[Figures]) -> None:
    heads = [f"seed {seed}" for seed in seeds]
    if len(seeds) > 1:
        heads += ["mean", "standard deviation"]
    print(f"\n| {name} | {' | '.join(heads)} |\n|---|{'---|' * len(heads)}")
    for figure in columns[0]:
        values = [column[figure] for column in columns]
        if len(values) > 1:
            values += [statistics.mean(values), statistics.stdev(values)]
        digits = 5 if "AUC" in figure else 4
        print(f"| {figure} | {' | '.join(f'{value:.{digits}f}' for value in values)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipes", nargs="+")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="FIELD=VALUE")
    parser.add_argument("--name", help="of the runs' folders; the recipe's by default")
    arguments = parser.parse_args()
    print(f"{platform.platform()}, Python {platform.python_version()}")
    print(", ".join(f"{name} {metadata.version(name)}" for name in LIBRARIES))
    parts = ("held-out", "distorted", "kept", "test", "train")
    splits = {part: load_named(f"mnist:{part}") for part in parts} | {"uci": uci_digits()}
    splits["held-out"] = replace(splits["held-out"], name="mnist-held-out")
    for recipe_name in arguments.recipes:
        recipe = configure(recipe_name, arguments.settings)
        name = arguments.name or recipe_name
        columns = []
        for seed in arguments.seeds:
            run = arguments.runs / f"{name}-seed{seed}"
            train_missing(recipe, seed, run, arguments.threads)
            with tempfile.TemporaryDirectory() as work:
                columns.append(measure(run, splits, Path(work)))
            print(f"{run}: measured", file=sys.stderr, flush=True)
        print_table(name, arguments.seeds, columns)


if __name__ == "__main__":
    main()
