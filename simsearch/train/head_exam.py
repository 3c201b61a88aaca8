"""What a learned head is worth, on classes that it was taught and on some that were kept from it.

Its weight beside the bare features is chosen here too, on validation images and held-out classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simsearch.encode.encoder import Vectors
from simsearch.train.baselines import Embed, fit_lda, fit_logistic_regression, unit_rows
from simsearch.train.features import Features
from simsearch.train.retrieval import Retrieval, judge_scores

WEIGHTS = tuple(tenth / 10 for tenth in range(1, 10))
_BETWEEN = (-0.05, 0.05)  # also tried, beside the best of these
_LEAST_CLASSES = 5  # of fewer none is kept from the head
_SHARE_KEPT = 0.2
_MAY_LOSE = 0.02  # of P@1, on known and on held-out classes, against the encoder alone
_SEED = 60_000
_MOST_QUERIES, _MOST_GALLERY = 2_000, 10_000
_SURE = 1.96  # standard errors

FitHead = Callable[[tuple[int, ...] | None], Embed]  # classes to learn, None for all -> their head


class Row(NamedTuple):
    """How one way of embedding retrieves."""

    name: str
    known: Retrieval  # validation images of classes that it was taught, among the training images
    unseen: Retrieval | None  # images of classes that it was not taught, among each other


@dataclass(frozen=True)
class Exam:
    """The results of a head and of what it is measured against."""

    weight: float  # of the head, beside the features
    rows: tuple[Row, ...]  # the encoder alone first, the joined vectors last
    held_out_classes: int

    @property
    def gain(self) -> float:
        """Of MAP@R on validation images, over the encoder alone."""
        return self.rows[-1].known.map_at_r - self.rows[0].known.map_at_r

    @property
    def is_gain(self) -> bool:
        """Whether that is more than chance, image by image."""
        differences = self.rows[-1].known.precisions - self.rows[0].known.precisions
        if len(differences) < 2:
            return False
        error = float(differences.std(ddof=1)) / len(differences) ** 0.5
        return bool(differences.mean() > _SURE * error)


class _Questions:
    """Queries, galleries and truth: which rows are asked about, and among which."""

    def __init__(self, features: Features, unseen: Sequence[int]) -> None:
        rng = np.random.default_rng(_SEED)
        self.features, part = features, features.part
        self.queries = np.sort(rng.permutation(part.validation)[:_MOST_QUERIES])
        self.gallery = np.sort(rng.permutation(part.train)[:_MOST_GALLERY])
        rows = np.sort(np.concatenate(part))
        strange = rows[np.isin(features.labels[rows], unseen)]
        self.strange = np.sort(rng.permutation(strange)[:_MOST_QUERIES])

    def known(self, embed: Embed) -> NDArray[np.float32]:
        """Scores of validation images and training images, (Q, N)."""
        return embed(self.features.vectors[self.queries]) @ embed(self.features.vectors[self.gallery]).T

    def unseen(self, embed: Embed) -> NDArray[np.float32]:
        """Scores of images of held-out classes with each other, (U, U)."""
        vectors = embed(self.features.vectors[self.strange])
        return vectors @ vectors.T

    def row(self, name: str, known: NDArray[np.float32], unseen: NDArray[np.float32] | None) -> Row:
        """Judge both; the latter without each image itself."""
        labels = self.features.labels
        return Row(
            name,
            judge_scores(known, labels[self.queries], labels[self.gallery]),
            None if unseen is None else judge_scores(unseen, labels[self.strange]),
        )


def examine(features: Features, fit_head: FitHead) -> Exam:
    """Choose the weight of a head, and measure it beside the encoder alone, LDA and logistic regression.

    For held-out classes each way is fitted once more, without their images; they are queried against each
    other.

    :param fit_head: Trains a head on some classes only, or gives that of all.
    """
    unseen = held_out_classes(features)
    taught = tuple(label for label in _classes(features) if label not in unseen)
    questions = _Questions(features, unseen)
    train = features.part.train
    some = train[np.isin(features.labels[train], taught)]

    def fitted(fit: Callable[[Vectors, NDArray[np.int64]], Embed]) -> tuple[Embed, Embed | None]:
        vectors, labels = features.vectors, features.labels
        return fit(vectors[train], labels[train]), fit(vectors[some], labels[some]) if unseen else None

    heads = fit_head(None), fit_head(taught) if unseen else None
    embeds = {
        "the encoder alone": (_as_they_are, _as_they_are if unseen else None),
        "shrunken LDA": fitted(fit_lda),
        "logistic regression": fitted(fit_logistic_regression),
        "the head alone": heads,
    }
    scores = {
        name: (questions.known(known), None if other is None else questions.unseen(other))
        for name, (known, other) in embeds.items()
    }
    rows = [questions.row(name, *both) for name, both in scores.items()]
    mean = features.vectors[train].mean(axis=0)

    def centered(vectors: Vectors) -> Vectors:
        return unit_rows(vectors - mean)

    given = questions.known(centered), questions.unseen(centered) if unseen else None
    joined = _best(questions, scores["the head alone"], given, rows[0])
    return Exam(joined[0], (*rows, joined[1]), len(unseen))


def held_out_classes(features: Features) -> tuple[int, ...]:
    """A fifth of the classes, at least two, the same for every run; none where there are fewer than five."""
    classes = _classes(features)
    if len(classes) < _LEAST_CLASSES:
        return ()
    count = max(2, round(_SHARE_KEPT * len(classes)))
    return tuple(sorted(np.random.default_rng(_SEED).permutation(classes)[:count].tolist()))


def _classes(features: Features) -> list[int]:
    """The classes that are trained on."""
    classes: list[int] = np.unique(features.labels[np.concatenate(features.part)]).tolist()
    return classes


_Scores = tuple[NDArray[np.float32], NDArray[np.float32] | None]  # of known and of unseen classes


def _best(questions: _Questions, learned: _Scores, given: _Scores, alone: Row) -> tuple[float, Row]:
    """The weight with the best MAP@R on known classes that costs next to no P@1."""

    def judge(weight: float) -> tuple[float, Row]:
        known = weight * learned[0] + (1 - weight) * given[0]
        unseen = None
        if learned[1] is not None and given[1] is not None:
            unseen = weight * learned[1] + (1 - weight) * given[1]
        return weight, questions.row(f"joined, {weight:.0%} the head", known, unseen)

    def best(found: list[tuple[float, Row]]) -> tuple[float, Row]:
        allowed = [entry for entry in found if _keeps_p_at_1(entry[1], alone)] or found[:1]
        return max(allowed, key=lambda entry: entry[1].known.map_at_r)

    chosen = best([judge(weight) for weight in WEIGHTS])
    return best([chosen, *(judge(round(chosen[0] + step, 2)) for step in _BETWEEN)])


def _keeps_p_at_1(row: Row, alone: Row) -> bool:
    """Whether no P@1 is lower than the encoder's by more than the little that it may cost."""
    both = [(row.known, alone.known)]
    if row.unseen is not None and alone.unseen is not None:
        both.append((row.unseen, alone.unseen))
    return all(not found.p_at_1 < given.p_at_1 - _MAY_LOSE for found, given in both)


def _as_they_are(vectors: Vectors) -> Vectors:
    return vectors
