"""The queries an index answers worst, with their pictures and what was found instead."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simsearch.bundle import Bundle
from simsearch.datasets import Split
from simsearch.report import Report

Pixels = NDArray[np.uint8]  # (28, 28)


@dataclass(frozen=True, eq=False)
class Neighbour:
    """One item near a badly answered query."""

    id: int
    label: str
    score: float
    right: bool  # whether it shows the query's class
    pixels: Pixels


@dataclass(frozen=True, eq=False)
class Mistake:
    """One badly answered query and its nearest items, best score first."""

    query: str
    label: str
    average_precision: float
    pixels: Pixels
    neighbours: tuple[Neighbour, ...]


def find_mistakes(
    bundle: Bundle, report: Report, queries: Split | None = None, *, count: int = 50, neighbours: int = 10
) -> tuple[Mistake, ...]:
    """The queries of lowest average precision, worst first; equal ones in order of query.

    :param report: The evaluation of this bundle with these queries.
    :param queries: The query set of the report; None for gallery leave-one-out.
    """
    precision = report.per_query.values["MAP"]
    worst = np.argsort(precision, kind="stable")[:count]
    rows = report.per_query.row[worst]
    if queries is None:
        images, vectors = bundle.thumbnails[rows], bundle.store.all_vectors()[rows]
        own: list[int | None] = bundle.ids[rows].tolist()
    else:
        images, own = queries.images[rows], [None] * len(rows)
        vectors = bundle.encoder.encode(images)
    hits = bundle.store.search(np.ascontiguousarray(vectors), neighbours + (queries is None))
    return tuple(
        Mistake(
            query=report.per_query.query[place],
            label=report.per_query.label[place],
            average_precision=float(precision[place]),
            pixels=images[i],
            neighbours=_neighbours(
                bundle, report.per_query.label[place], hits.ids[i], hits.scores[i], own[i]
            )[:neighbours],
        )
        for i, place in enumerate(worst)
    )


def _neighbours(
    bundle: Bundle, label: str, ids: NDArray[np.int64], scores: NDArray[np.float32], own: int | None
) -> tuple[Neighbour, ...]:
    assert bundle.labels is not None  # a report exists only of a labelled gallery
    found = []
    for item, score, row in zip(ids.tolist(), scores.tolist(), bundle.store.rows(ids), strict=True):
        if item != own:
            name = bundle.manifest.classes[bundle.labels[row]]
            found.append(Neighbour(item, name, score, name == label, bundle.thumbnails[row]))
    return tuple(found)
