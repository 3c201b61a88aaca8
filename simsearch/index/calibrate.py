"""Fitting a calibration to a model on images that it was not trained on; whether it suits a gallery.

Every image is queried against the others, itself left out, as a query that an index has never seen. What
is unknown is learned from outliers made of the same images (`outliers.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from simsearch.data.outliers.make import make_outliers
from simsearch.data.splits import VALIDATION_IMAGES, VALIDATION_SHARE, HoldOut, Split, hold_out, rows_sha256
from simsearch.encode.encoder import Encoder, Vectors
from simsearch.encode.model_folder import ModelCard, open_model, write_model_card
from simsearch.errors import BadImageError, BadInputError
from simsearch.index.stores.base import NOTHING, Hits, Ids, Labels, VectorStore, gather, outline
from simsearch.index.stores.by_class import NearestPerClass
from simsearch.index.stores.comparison import at_once
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
from simsearch.stats.pairs import draw_pairs
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
_PAIRS_AT_ONCE = 2**13  # whose vectors stay in the processor's cache
_SCORES = 2**22  # that are held at once: a build has no more memory where its gallery is larger
_HELD = 2**17  # vectors that are gathered; of more only those are asked for that are looked at
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
class _Gallery:
    """What is in a store; the vectors of a large one stay there until they are looked at."""

    ids: Ids
    labels: Labels | None
    vectors: Callable[[NDArray[np.int64]], Vectors]  # of rows

    @classmethod
    def of(cls, store: VectorStore) -> _Gallery:
        if len(store) <= min(_HELD, at_once(store, exact=True)):
            ids, labels, vectors = gather(store)
            return cls(ids, labels, vectors.__getitem__)
        ids, labels, _ = outline(store)
        return cls(ids, labels, lambda rows: store.vectors(ids[rows]))


@dataclass(frozen=True, eq=False)
class Asked:
    """What asking about known pictures, each without itself, gave."""

    means: NDArray[np.float64]  # (Q, C), -1 where a class has no other item
    features: Features


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


def held_out_of(card: ModelCard) -> tuple[int, float | None]:
    """How many images a model's training held out at most, and which share of each class.

    None for the share of a model from before there was one, whose training held out so many at random.
    """
    recipe = card.training.get("recipe")
    said = recipe if isinstance(recipe, dict) else {}
    most, share = said.get("held_out_images"), said.get("held_out_share")
    return (
        most if type(most) is int else VALIDATION_IMAGES,
        share if type(share) is float else None if said else VALIDATION_SHARE,
    )


def validation_split(card: ModelCard, train: Split, part: HoldOut | None = None) -> Split:
    """The images of a training split that a model's training held out.

    :param part: Which these are; None draws as many as the card says, as the training of digits does.
    :raises BadInputError: If the split has no labels, or the card says that it was trained on another.
    """
    try:
        part = part or hold_out(len(train), held_out_of(card)[0])
    except ValueError as error:
        raise BadInputError(f"{train.name} cannot be calibrated on: {error}") from error
    rows = part.validation
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
        _Gallery.of(store),
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


def was_trained_on(card: ModelCard, root: str | None) -> bool:
    """Whether a model was trained on the images of a folder."""
    return root is not None and root == card.training.get("root")


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
    gallery = _Gallery.of(store)
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
        scores, same = _score_pairs(gallery, labels, _GALLERY_PAIRS, seed)
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
    gallery: _Gallery,
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
    scores, same = _score_pairs(gallery, labels, _GALLERY_PAIRS, seed + 1)
    pairs = measure_reliability(fitted.pairs.probability(scores), same).ece
    classes = check_posterior(asked.means, np.unique(labels, return_inverse=True)[1][rows], seed)
    if pairs > _MOST_ECE or classes.ece - classes.by_chance > _MOST_POSTERIOR_ECE:
        return None
    said = f"ECE of pairs {pairs:.4f}, of classes {classes.ece:.4f}, {classes.by_chance:.4f} by chance alone"
    return replace(fitted, gallery=f"{because}: {said}")


def _fit_to(
    gallery: _Gallery,
    labels: Labels,
    asked: Asked,
    test: NoveltyTest,
    fitted_on: str,
    seed: int,
    rows: NDArray[np.int64] | slice = slice(None),
) -> Calibration:
    """Everything but the weights of the features, from pairs of all images and queries of some rows."""
    scores, same = _score_pairs(gallery, labels, PAIRS, seed)
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


def is_enough(labels: Labels | None, least: int = LEAST_IMAGES) -> bool:
    """Whether there are so many labeled images that are not alone in their class, and two such classes."""
    if labels is None:
        return False
    company = labels[has_company(labels)]
    return len(company) >= least and len(np.unique(company)) >= 2


def has_company(labels: Labels) -> NDArray[np.bool_]:
    """Which images have another of their class, (N,): the others can be in no pair of one."""
    _, group, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    several: NDArray[np.bool_] = sizes[group] >= 2
    return several


def ask(nearest: NearestPerClass, vectors: Vectors, pictures: Images | None, own: Ids | None) -> Asked:
    """Ask about pictures class by class, each without its own item, if there is one."""
    parts = []
    for part, compared in nearest.compare(vectors, exact=True, scores=_SCORES):
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
    gallery: _Gallery, labels: Labels, count: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    rows = np.flatnonzero(has_company(labels))
    table = draw_pairs(labels[rows], count, np.random.default_rng(seed))
    first, second = rows[table.first], rows[table.second]
    scores = np.empty(count)
    for start in range(0, count, _PAIRS_AT_ONCE):
        part = slice(start, start + _PAIRS_AT_ONCE)
        one, other = gallery.vectors(first[part]), gallery.vectors(second[part])
        scores[part] = np.einsum("pd,pd->p", one, other)
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
