"""The queries an index answers worst, with their pictures and what was found instead."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simsearch.data.splits import Split
from simsearch.errors import BadInputError
from simsearch.evaluate.evaluation import LEAVE_ONE_OUT, gallery_fingerprint, split_fingerprint
from simsearch.evaluate.report import PerQuery
from simsearch.evaluate.saved_report import SavedReport
from simsearch.index.bundle import Bundle
from simsearch.index.originals import Originals
from simsearch.index.stores.base import NOTHING, Ids

_ASKED = 1_024  # items that are searched for at once
_NONE = np.empty(0, np.int64)

Pixels = NDArray[np.uint8]  # (H, W)


@dataclass(frozen=True, eq=False)
class Neighbor:
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
    neighbors: tuple[Neighbor, ...]
    address: str | None = None  # of the query's file, where it is an item's and still there


def misplaced_items(bundle: Bundle) -> tuple[Ids, Ids]:
    """The items whose nearest other item is of another class, and those nearest ones: int64 (M,) each.

    In order of id; as near as the index itself finds, so exact where it is. An item that is alone in its
    class is none, as in an evaluation.

    :param bundle: An index with labels.
    """
    items, others = [], []
    for block in bundle.store.scan():
        for start in range(0, len(block.ids), _ASKED):
            part = slice(start, start + _ASKED)
            hits = bundle.store.search(block.vectors[part], 1, left_out=block.ids[part])
            there = (hits.ids != NOTHING).any(axis=1)  # no neighbor where it is the only item
            items.append(block.ids[part][there])
            others.append(hits.ids[there].ravel())
    return _of_another_class(bundle, np.concatenate([_NONE, *items]), np.concatenate([_NONE, *others]))


def saved_misplaced_items(report: SavedReport, bundle: Bundle) -> tuple[Ids, Ids]:
    """The same of an evaluation that was written as JSON.

    :raises BadInputError: If it is not the leave-one-out evaluation of this index.
    """
    _check_index(report, bundle)
    if report.protocol != LEAVE_ONE_OUT:
        raise BadInputError(
            f"the evaluation of {report.index} asked about {report.query_set}, not about its own items",
            hint="evaluate without --queries",
        )
    items, nearest = bundle.ids[report.per_query.row], report.per_query.nearest
    return _of_another_class(bundle, items, nearest)


def find_mistakes(
    bundle: Bundle,
    per_query: PerQuery,
    queries: Split | None = None,
    *,
    count: int = 50,
    neighbors: int = 10,
) -> tuple[Mistake, ...]:
    """The queries of lowest average precision, worst first; equal ones in order of query.

    :param per_query: Of the evaluation of this bundle with these queries.
    :param queries: The query set of the evaluation; None for gallery leave-one-out.
    """
    precision = per_query.values["MAP"]
    worst = np.argsort(precision, kind="stable")[:count]
    rows = per_query.row[worst]
    if queries is None:
        images, left_out = bundle.thumbnails[rows], bundle.ids[rows]
        vectors = bundle.store.vectors(left_out)
    else:
        images, left_out = queries.images[rows], None
        vectors = bundle.encoder.encode(images)
    hits = bundle.store.search(vectors, neighbors, left_out=left_out)
    originals = Originals(bundle)
    files = [None if left_out is None else originals.existing(int(left_out[i])) for i in range(len(worst))]
    return tuple(
        Mistake(
            query=per_query.query[place],
            label=per_query.label[place],
            average_precision=float(precision[place]),
            pixels=images[i],
            neighbors=_neighbors(bundle, per_query.label[place], hits.ids[i], hits.scores[i]),
            address=None if (file := files[i]) is None else file.absolute().as_uri(),
        )
        for i, place in enumerate(worst)
    )


def saved_mistakes(
    report: SavedReport,
    bundle: Bundle,
    queries: Split | None = None,
    *,
    count: int = 50,
    neighbors: int = 10,
) -> tuple[Mistake, ...]:
    """The same of an evaluation that was written as JSON.

    :raises BadInputError: If it is not the evaluation of this index with these queries.
    """
    _check_index(report, bundle)
    asked = gallery_fingerprint(bundle) if queries is None else split_fingerprint(queries)
    if report.query_fingerprint != asked:
        other = "the gallery itself" if report.protocol == LEAVE_ONE_OUT else report.query_set
        raise BadInputError(
            f"the evaluation asked about {other}",
            hint="name its queries with --queries, as `simsearch evaluate` was given them",
        )
    return find_mistakes(bundle, report.per_query, queries, count=count, neighbors=neighbors)


def _check_index(report: SavedReport, bundle: Bundle) -> None:
    if (report.encoder, report.gallery_fingerprint) != (
        bundle.manifest.encoder,
        gallery_fingerprint(bundle),
    ):
        raise BadInputError(
            f"the evaluation is of the index {report.index}, not of the one in {bundle.folder}",
            hint="name its index with --index, or evaluate again",
        )


def _of_another_class(bundle: Bundle, items: Ids, nearest: Ids) -> tuple[Ids, Ids]:
    assert bundle.labels is not None
    own = bundle.labels[bundle.rows(items)]
    alone = [label for label in bundle.store.classes if bundle.store.count(label) == 1]
    differs = (own != bundle.labels[bundle.rows(nearest)]) & ~np.isin(own, alone)
    return items[differs], nearest[differs]


def _neighbors(
    bundle: Bundle, label: str, ids: NDArray[np.int64], scores: NDArray[np.float32]
) -> tuple[Neighbor, ...]:
    assert bundle.labels is not None  # an evaluation exists only of a labeled gallery
    found = []
    there = ids != NOTHING
    ids, scores = ids[there], scores[there]
    for item, score, row in zip(ids.tolist(), scores.tolist(), bundle.rows(ids), strict=True):
        name = bundle.manifest.classes[bundle.labels[row]]
        found.append(Neighbor(item, name, score, name == label, bundle.thumbnails[row]))
    return tuple(found)
