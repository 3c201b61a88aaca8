"""Fitting a calibration to a model on images that it was not trained on; whether it suits a gallery.

Every image is queried against the others, itself left out, as a query that an index has never seen. What
is unknown is learned from outliers made of the same images (`outliers.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from simsearch.data.outliers import make_outliers
from simsearch.data.splits import VALIDATION_IMAGES, Split, hold_out, rows_sha256
from simsearch.encode.encoder import Encoder, Vectors
from simsearch.encode.model_folder import ModelCard, open_model, write_model_card
from simsearch.errors import BadImageError, BadInputError
from simsearch.index.stores.base import NOTHING, Hits, Ids, Labels, VectorStore, gather, positions
from simsearch.index.stores.by_class import NearestPerClass
from simsearch.index.stores.faiss import FaissStore
from simsearch.prepare.prepare import Images
from simsearch.stats.calibration import F1, MATCH, UNKNOWN, Calibration, NoveltyTest, Threshold
from simsearch.stats.fitting import PrecisionRecallCurve, fit_logistic, fit_platt_scaling, fit_posterior
from simsearch.stats.novelty import FEATURES, Features
from simsearch.stats.pairs import draw_pairs
from simsearch.stats.reliability import measure_reliability

PAIRS = 200_000
OUTLIERS = 200  # of each kind
PRECISION = 0.99
FALSE_REJECT = 0.01
LEAST_IMAGES = 200  # with fewer, a hundredth of them says nothing
_MOST_POSTERIOR_ECE = 0.05  # of a thousand images, some of it chance
_GALLERY_SAMPLE = 2_000
_GALLERY_PAIRS = 50_000
_MOST_ECE = 0.02  # beyond it a gallery gets a calibration of its own
_LEVELS = (
    0.0,
    0.001,
    0.002,
    0.005,
    0.01,
    0.015,
    0.02,
    0.03,
    0.05,
    0.075,
    *(tenth / 10 for tenth in range(1, 11)),
)


@dataclass(frozen=True, eq=False)
class Asked:
    """What asking about known pictures, each without itself, gave."""

    means: NDArray[np.float64]  # (Q, C), -1 where a class has no other item
    features: Features


def calibrate_model(folder: Path, train: Split, *, outliers: int = OUTLIERS, threads: int = 0) -> ModelCard:
    """Fit the calibration of a model on the images that its training held out, and write it into its card.

    :param train: The training split of the run.
    :param outliers: How many of each kind.
    :raises MissingModelError, BrokenModelError: If there is no usable model in the folder.
    :raises BadInputError: If the model held out other images than these, or they are too few.
    """
    encoder, card = open_model(folder, threads=threads)
    calibration = fit_calibration(encoder, validation_split(card, train), outliers=outliers)
    if calibration is None:
        raise BadInputError(
            f"{train.name} holds out too few images to calibrate on",
            hint=f"{LEAST_IMAGES} are needed, of two classes, and two in each",
        )
    card = structs.replace(card, calibration=calibration)
    write_model_card(folder, card)
    return card


def validation_split(card: ModelCard, train: Split) -> Split:
    """The images of a training split that a model's training held out.

    :raises BadInputError: If the split has no labels, or the card says that it was trained on another.
    """
    recipe = card.training.get("recipe")
    count = recipe.get("held_out_images") if isinstance(recipe, dict) else None
    try:
        rows = hold_out(len(train), count if type(count) is int else VALIDATION_IMAGES).validation
    except ValueError as error:
        raise BadInputError(f"{train.name} cannot be calibrated on: {error}") from error
    said = card.training.get("held_out_rows_sha256")
    data = card.training.get("data_sha256") or {}
    if (said is not None and said != rows_sha256(rows)) or (
        train.sha256 and data and dict(train.sha256) != data
    ):
        raise BadInputError(
            f"{card.name} was not trained on {train.name}, so which images it never saw is not known",
            hint="name the dataset that it was trained on: --dataset",
        )
    name = train.name.removesuffix("-train")
    return replace(train.take(rows), name=f"{name}-held-out")


def fit_calibration(
    encoder: Encoder, known: Split, *, outliers: int = OUTLIERS, seed: int = 0
) -> Calibration | None:
    """Fit a calibration on images that the encoder was not trained on.

    :param outliers: How many of each kind.
    :return: None where they are too few, or have no labels.
    """
    images, labels = known.images, known.labels
    if labels is None or not is_enough(labels):
        return None
    vectors = encoder.encode(images)
    ids = np.arange(len(images), dtype=np.int64)
    store = FaissStore.build(vectors, ids, labels)
    nearest = NearestPerClass(store, images.__getitem__)
    asked = ask(nearest, vectors, images, ids)
    made, unlike_vectors = encode_some(encoder, make_outliers(images, labels, outliers, seed=seed))
    unlike = ask(nearest, unlike_vectors, made, None).features
    line = fit_logistic(
        np.concatenate([_columns(asked.features), _columns(unlike)]),
        np.arange(len(images) + len(made)) < len(images),
        balanced=True,
    )
    untuned = NoveltyTest(dict(zip(FEATURES, line.weights.tolist(), strict=True)), line.bias, (), ())
    return _fit_to(
        vectors,
        labels,
        asked,
        untuned,
        f"{known.name}: {len(images):,} images, each against the others, and {len(made):,} outliers",
        seed,
    )


def suit_gallery(
    calibration: Calibration, store: VectorStore, pictures: Images, *, seed: int = 0
) -> Calibration:
    """The calibration of an index: the model's, if it holds on the gallery, or one fitted to the gallery.

    It holds if no more than twice the targeted share of the gallery's items is unknown when queried
    against the others, and its probabilities of pairs are right to an ECE of 0.02. Otherwise all but the
    weights of the features is fitted to the gallery.
    """
    ids, labels, vectors = gather(store)
    if not is_enough(labels) or labels is None:
        return replace(calibration, gallery="not checked: too few labelled images")
    nearest = NearestPerClass(store, lambda items: pictures[positions(ids, items)])
    rows = np.sort(np.random.default_rng(seed).permutation(len(labels))[:_GALLERY_SAMPLE])
    asked = ask(nearest, vectors[rows], np.asarray(pictures[rows]), ids[rows])
    test = calibration.novelty
    shares = test.p_value(test.logit(asked.features))
    rejected = float(np.mean(shares < calibration.thresholds[UNKNOWN].value))
    scores, same = _score_pairs(vectors, labels, _GALLERY_PAIRS, seed)
    ece = measure_reliability(calibration.pairs.probability(scores), same).ece
    found = f"{rejected:.2%} of {len(rows):,} of its images unknown, ECE of pairs {ece:.4f}"
    if rejected <= 2 * FALSE_REJECT and ece <= _MOST_ECE:
        return replace(calibration, gallery=f"holds: {found}")
    fitted_on = f"the gallery itself: {len(rows):,} images, each against the others"
    fitted = _fit_to(vectors, labels, asked, test, fitted_on, seed, rows)
    return replace(fitted, gallery=f"the model's did not hold: {found}")


def fit_gallery(store: VectorStore, *, seed: int = 0) -> Calibration | None:
    """A calibration fitted to a gallery alone, of vectors that a model without one made.

    Novelty then rests on the best cosine. Probabilities of pairs are checked on other pairs, the posterior on
    images that it was not fitted on.

    :return: None where the labelled images are too few, or a check fails: then nothing may be claimed.
    """
    ids, labels, vectors = gather(store)
    if not is_enough(labels) or labels is None:
        return None
    rows = np.random.default_rng(seed).permutation(len(labels))[:_GALLERY_SAMPLE]
    asked = ask(NearestPerClass(store), vectors[rows], None, ids[rows])
    half = len(rows) // 2
    fitted_on = f"the gallery itself: {half:,} images, each against the others"
    first = Asked(asked.means[:half], {name: column[:half] for name, column in asked.features.items()})
    test = NoveltyTest({"best": 1.0}, 0.0, (), ())
    fitted = _fit_to(vectors, labels, first, test, fitted_on, seed, rows[:half])
    scores, same = _score_pairs(vectors, labels, _GALLERY_PAIRS, seed + 1)
    pairs = measure_reliability(fitted.pairs.probability(scores), same).ece
    columns = np.unique(labels, return_inverse=True)[1][rows[half:]]
    chances = fitted.classes.probability(asked.means[half:])  # (R, C)
    right = chances.argmax(axis=1) == columns
    classes = measure_reliability(chances.max(axis=1), right).ece
    if pairs > _MOST_ECE or classes > _MOST_POSTERIOR_ECE:
        return None
    return replace(fitted, gallery=f"fitted to it: ECE of pairs {pairs:.4f}, of classes {classes:.4f}")


def _fit_to(
    vectors: Vectors,
    labels: Labels,
    asked: Asked,
    test: NoveltyTest,
    fitted_on: str,
    seed: int,
    rows: NDArray[np.int64] | slice = slice(None),
) -> Calibration:
    """Everything but the weights of the features, from pairs of all images and queries of some rows."""
    scores, same = _score_pairs(vectors, labels, PAIRS, seed)
    curve = PrecisionRecallCurve.of(scores, same)
    columns = np.unique(labels, return_inverse=True)[1]
    logits = test.logit(asked.features)
    return Calibration(
        pairs=fit_platt_scaling(scores, same),
        classes=fit_posterior(asked.means, columns[rows]),
        novelty=replace(test, levels=_LEVELS, values=tuple(np.quantile(logits, _LEVELS).tolist())),
        thresholds={
            MATCH: Threshold(curve.with_precision(PRECISION), f"{PRECISION:.0%} precision of balanced pairs"),
            F1: Threshold(curve.with_best_f1(), "the best F1 of balanced pairs"),
            UNKNOWN: Threshold(FALSE_REJECT, f"{FALSE_REJECT:.0%} of known images called unknown"),
        },
        fitted_on=fitted_on,
    )


def is_enough(labels: Labels | None) -> bool:
    """Whether there are enough labelled images to fit a calibration to."""
    if labels is None:
        return False
    counts = np.bincount(labels)
    counts = counts[counts > 0]
    return len(labels) >= LEAST_IMAGES and len(counts) >= 2 and int(counts.min()) >= 2


def ask(nearest: NearestPerClass, vectors: Vectors, pictures: Images | None, own: Ids | None) -> Asked:
    """Ask about pictures class by class, each without its own item, if there is one."""
    parts = []
    for part, compared in nearest.compare(vectors, exact=True):
        items = None if own is None else own[part]
        means = _mean(nearest.search(compared, items))  # (q, C)
        tops = np.array(nearest.classes)[means.argmax(axis=1)]
        shown = None if pictures is None else pictures[part]
        like = nearest.like_top(compared, tops, items)
        parts.append(Asked(means, nearest.features(like, vectors[part], shown)))
    names = parts[0].features
    return Asked(
        np.concatenate([asked.means for asked in parts]),
        {name: np.concatenate([asked.features[name] for asked in parts]) for name in names},
    )


def _mean(hits: Hits) -> NDArray[np.float64]:
    """The mean score of each row of hits, as the class ranking takes it; -1, the least, without any."""
    there = hits.ids != NOTHING
    total = np.where(there, hits.scores, 0).sum(axis=-1, dtype=np.float64)
    mean: NDArray[np.float64] = np.where(there.any(axis=-1), total / np.maximum(there.sum(axis=-1), 1), -1)
    return mean


def _columns(features: Features) -> NDArray[np.float64]:
    return np.stack([features[name] for name in FEATURES], axis=1).astype(np.float64)


def _score_pairs(
    vectors: Vectors, labels: Labels, count: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    table = draw_pairs(labels, count, np.random.default_rng(seed))
    scores = np.einsum("pd,pd->p", vectors[table.first], vectors[table.second]).astype(np.float64)
    return scores, table.same


def encode_some(encoder: Encoder, images: Images) -> tuple[Images, Vectors]:
    """The images that have a vector, and their vectors."""
    try:
        return images, encoder.encode(images)
    except BadImageError:
        if len(images) == 1:
            return images[:0], np.empty((0, encoder.dim), np.float32)
        halves = [encode_some(encoder, half) for half in np.array_split(images, 2)]
        return np.concatenate([half[0] for half in halves]), np.concatenate([half[1] for half in halves])
