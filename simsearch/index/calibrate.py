"""Fitting a calibration to a model on images that it was not trained on; whether it suits a gallery.

Every image is queried against the others, itself left out, as a query that an index has never seen. What
is unknown is learned from outliers made of the same images (`data/outliers/`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from simsearch.data.outliers.make import make_outliers
from simsearch.data.splits import HoldOut, Split
from simsearch.encode.encoder import Encoder, Vectors
from simsearch.encode.model_folder import ModelCard, open_model, write_model_card
from simsearch.errors import BadInputError
from simsearch.index.held_out import validation_split, was_trained_on
from simsearch.index.leave_one_out import (
    Asked,
    Gallery,
    ask,
    encode_some,
    has_company,
    is_enough,
    score_pairs,
)
from simsearch.index.stores.base import Ids, Labels, VectorStore
from simsearch.index.stores.by_class import NearestPerClass
from simsearch.index.stores.faiss import FaissStore
from simsearch.prepare.pictures import DIGITS
from simsearch.prepare.prepare import Images
from simsearch.stats.calibration import (
    F1,
    LEAST_CHECKED,
    LEAST_IMAGES,
    MATCH,
    UNKNOWN,
    Calibration,
    NoveltyTest,
    Threshold,
)
from simsearch.stats.checking import check_posterior
from simsearch.stats.fitting import PrecisionRecallCurve, fit_logistic, fit_platt_scaling, fit_posterior
from simsearch.stats.novelty import FEATURES, VECTOR_FEATURES, Features
from simsearch.stats.reliability import measure_reliability

ByIds: TypeAlias = Callable[[Ids], Images]
PAIRS = 200_000
OUTLIERS = 200  # of each kind
PRECISION = 0.99
FALSE_REJECT = 0.01
_MOST_POSTERIOR_ECE = 0.02  # beyond what chance alone makes of so many images
_GALLERY_SAMPLE = 2_000  # items that are queried, at least; of small galleries more
_MOST_SAMPLE, _MOST_SCORES = 10_000, 30_000_000  # items, and cosines of these
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


def calibrate_model(
    folder: Path, train: Split, part: HoldOut | None = None, *, outliers: int = OUTLIERS, threads: int = 0
) -> ModelCard:
    """Fit the calibration of a model on the images that its training held out, and write it into its card.

    :param train: The training split of the run.
    :param part: Which of its images were held out, as for `validation_split`.
    :param outliers: How many of each kind.
    :raises MissingModelError, BrokenModelError: If there is no usable model in the folder.
    :raises BadInputError: If the model held out other images than these, or they are too few.
    """
    encoder, card = open_model(folder, threads=threads)
    calibration = fit_calibration(encoder, validation_split(card, train, part), outliers=outliers)
    if calibration is None:
        raise BadInputError(
            f"{train.name} holds out too few images to calibrate on",
            hint=f"{LEAST_IMAGES} are needed, of two classes, and two in each",
        )
    card = structs.replace(card, calibration=calibration)
    write_model_card(folder, card)
    return card


def fit_calibration(
    encoder: Encoder, known: Split, *, outliers: int = OUTLIERS, seed: int = 0
) -> Calibration | None:
    """Fit a calibration on images that the encoder was not trained on.

    For pictures that are no digits no outliers are made; see `fit_vectors`.

    :param outliers: How many of each kind.
    :return: None where they are too few, or have no labels, or probabilities do not hold on all of them.
    """
    if known.labels is None or not is_enough(known.labels):
        return None
    known = known.take(has_company(known.labels))
    images, labels = known.images, known.labels
    assert labels is not None
    vectors = encoder.encode(images)
    if encoder.input.preparation != DIGITS:
        return fit_vectors(vectors, labels, known.name, seed=seed)
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
        Gallery.of(store),
        labels,
        asked,
        untuned,
        f"{known.name}: {len(images):,} images, each against the others, and {len(made):,} outliers",
        seed,
    )


def calibration_of(
    card: ModelCard, root: str | None, store: VectorStore, pictures: ByIds | None
) -> Calibration | None:
    """The calibration of an index of a folder, or of a gallery with a name; see `suit_gallery`.

    A folder that the model was trained on says nothing of new pictures, because training has brought its
    classes further apart: the model's calibration stays as it is, unchecked.

    :param root: The folder.
    """
    if was_trained_on(card, root):
        return unchecked(card)
    return suit_gallery(card.calibration, store, pictures)


def unchecked(card: ModelCard) -> Calibration | None:
    """A model's calibration for the images that it was trained on."""
    said = "not checked: the model was trained on these images"
    return card.calibration and replace(card.calibration, gallery=said)


def suit_gallery(
    calibration: Calibration | None, store: VectorStore, pictures: ByIds | None, *, seed: int = 0
) -> Calibration | None:
    """The calibration of an index: the model's, if it holds on the gallery, or one fitted to the gallery.

    The model's holds if no more than twice the targeted share of the gallery's items is unknown when queried
    against the others, and its probabilities of pairs are right to an ECE of 0.02. Otherwise all but the
    weights of the features is fitted to the gallery, and checked: pairs on others, the posterior on each half
    of the items as the other half has it; without a model's, novelty rests on the best cosine.

    :param pictures: Ids (N,) -> their pictures, uint8 (N, H, W); None where only vectors are compared.
    :return: None where the labeled images are too few, or no calibration holds: then nothing may be claimed.
    """
    gallery = Gallery.of(store)
    ids, labels = gallery.ids, gallery.labels
    if labels is None or not is_enough(labels, LEAST_CHECKED):
        return None
    if calibration is None or calibration.novelty.weights.keys() <= set(VECTOR_FEATURES):
        pictures = None
    nearest = NearestPerClass(store, pictures)
    order = np.random.default_rng(seed).permutation(np.flatnonzero(has_company(labels)))
    few = min(_MOST_SAMPLE, _MOST_SCORES // len(labels)) if pictures is None else 0
    rows = order[: max(_GALLERY_SAMPLE, few)]
    asked = ask(nearest, gallery.vectors(rows), None if pictures is None else pictures(ids[rows]), ids[rows])
    if calibration is None:
        test, because = NoveltyTest({"best": 1.0}, 0.0, (), ()), "fitted to it"
    else:
        test = calibration.novelty
        shares = test.p_value(test.logit(asked.features))
        rejected = int(np.sum(shares < calibration.thresholds[UNKNOWN].value))
        scores, same = score_pairs(gallery, labels, _GALLERY_PAIRS, seed)
        ece = measure_reliability(calibration.pairs.probability(scores), same).ece
        found = f"{rejected / len(rows):.2%} of {len(rows):,} of its images unknown, ECE of pairs {ece:.4f}"
        if rejected <= max(1, 2 * FALSE_REJECT * len(rows)) and ece <= _MOST_ECE:
            return replace(calibration, gallery=f"holds: {found}")
        because = f"the model's did not hold: {found}; its own"
    return _fit_checked(gallery, labels, asked, test, rows, because, seed) if is_enough(labels) else None


def fit_vectors(
    vectors: Vectors, labels: NDArray[np.int64], name: str, *, seed: int = 0
) -> Calibration | None:
    """A calibration of what validation images of any kind give, as one is fitted to a gallery.

    :param vectors: Unit rows, float32 (N, D), of images that training did not see.
    :param name: Of these images.
    """
    store = FaissStore.build(vectors, np.arange(len(vectors), dtype=np.int64), labels)
    fitted = suit_gallery(None, store, None, seed=seed)
    said = f"{name}: {len(vectors):,} images, each against the others"
    return fitted and replace(fitted, fitted_on=said, gallery="")


def _fit_checked(
    gallery: Gallery,
    labels: Labels,
    asked: Asked,
    test: NoveltyTest,
    rows: NDArray[np.int64],
    because: str,
    seed: int,
) -> Calibration | None:
    """A calibration of the rows, if it holds on other pairs, and what each half says of the other half."""
    fitted_on = f"the gallery itself: {len(rows):,} images, each against the others"
    fitted = _fit_to(gallery, labels, asked, test, fitted_on, seed, rows)
    scores, same = score_pairs(gallery, labels, _GALLERY_PAIRS, seed + 1)
    pairs = measure_reliability(fitted.pairs.probability(scores), same).ece
    classes = check_posterior(asked.means, np.unique(labels, return_inverse=True)[1][rows], seed)
    if pairs > _MOST_ECE or classes.ece - classes.by_chance > _MOST_POSTERIOR_ECE:
        return None
    said = f"ECE of pairs {pairs:.4f}, of classes {classes.ece:.4f}, {classes.by_chance:.4f} by chance alone"
    return replace(fitted, gallery=f"{because}: {said}")


def _fit_to(
    gallery: Gallery,
    labels: Labels,
    asked: Asked,
    test: NoveltyTest,
    fitted_on: str,
    seed: int,
    rows: NDArray[np.int64] | slice = slice(None),
) -> Calibration:
    """Everything but the weights of the features, from pairs of all images and queries of some rows."""
    scores, same = score_pairs(gallery, labels, PAIRS, seed)
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


def _columns(features: Features) -> NDArray[np.float64]:
    return np.stack([features[name] for name in FEATURES], axis=1).astype(np.float64)
