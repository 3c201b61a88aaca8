"""Asking about known pictures, each without itself: what a calibration is fitted to, and checked by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simsearch.encode.encoder import Encoder
from simsearch.errors import BadImageError
from simsearch.index.stores.base import NOTHING, Hits, Ids, Labels, Vectors, VectorStore, gather, outline
from simsearch.index.stores.by_class import NearestPerClass
from simsearch.index.stores.comparison import at_once
from simsearch.prepare.prepare import Images
from simsearch.stats.calibration import LEAST_IMAGES
from simsearch.stats.novelty import Features
from simsearch.stats.pairs import draw_pairs

_PAIRS_AT_ONCE = 2**13  # whose vectors stay in the processor's cache
_SCORES = 2**22  # that are held at once: a build has no more memory where its gallery is larger
_HELD = 2**17  # vectors that are gathered; of more only those are asked for that are looked at


@dataclass(frozen=True, eq=False)
class Gallery:
    """What is in a store; the vectors of a large one stay there until they are looked at."""

    ids: Ids
    labels: Labels | None
    vectors: Callable[[NDArray[np.int64]], Vectors]  # of rows

    @classmethod
    def of(cls, store: VectorStore) -> Gallery:
        """Of a store that is open."""
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


def score_pairs(
    gallery: Gallery, labels: Labels, count: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The cosines of balanced random pairs, and which are of one class: (P,) each, P at most `count`."""
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
