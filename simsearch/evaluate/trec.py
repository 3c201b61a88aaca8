"""Rankings and relevance in TREC's formats, which trec_eval and its relatives read.

Queries are `q<row>`, gallery items `g<id>`. trec_eval keeps scores in single precision and orders equal
ones its own way, so ties are written as the next smaller float32: the order in the file is ours.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simsearch.evaluate.evaluation import Queries, score_blocks
from simsearch.files import open_atomically
from simsearch.index.bundle import Bundle
from simsearch.index.stores.base import gather

DEFAULT_DEPTH = 1_000
_RUN_NAME = "simsearch"


def write_run(path: Path, bundle: Bundle, queries: Queries, *, depth: int = DEFAULT_DEPTH) -> None:
    """Write each query's ranking: `query Q0 item rank score run`, ranks from 1.

    :param depth: Items a query; 0 for the whole gallery, which average precision needs.
    :raises BadInputError: If the file cannot be written.
    """
    items = np.array([f"g{item}" for item in bundle.ids])
    with open_atomically(path) as file:
        for rows, scores in score_blocks(queries, gather(bundle.store).vectors):
            for query, losses in zip(range(rows.start, rows.stop), -scores, strict=True):
                order = _best(losses, depth or len(losses))
                order = order[losses[order] < np.inf]  # the query's own item is not in its ranking
                written = strictly_decreasing(-losses[order])
                lines = (
                    f"q{query} Q0 {item} {rank} {score:.9g} {_RUN_NAME}\n"
                    for rank, (item, score) in enumerate(
                        zip(items[order].tolist(), written.tolist(), strict=True), start=1
                    )
                )
                file.write("".join(lines).encode())


def write_qrels(path: Path, bundle: Bundle, queries: Queries) -> None:
    """Write each query's relevant items: `query 0 item 1`.

    :raises BadInputError: If the file cannot be written.
    """
    assert bundle.labels is not None  # queries are made for labeled galleries only
    items = {int(label): bundle.ids[bundle.labels == label] for label in np.unique(bundle.labels)}
    with open_atomically(path) as file:
        for query, label in enumerate(queries.labels.tolist()):
            own = -1 if queries.own is None else bundle.ids[queries.own[query]]
            lines = (f"q{query} 0 g{item} 1\n" for item in items.get(label, ()) if item != own)
            file.write("".join(lines).encode())


def strictly_decreasing(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Lower each descending score, where it must be, to the float32 just below the one before it."""
    lowered = scores + np.float32(0)  # a copy, with -0 as 0
    for place in np.flatnonzero(np.diff(lowered) >= 0) + 1:
        while place < len(lowered) and lowered[place] >= lowered[place - 1]:
            lowered[place] = np.nextafter(lowered[place - 1], np.float32(-np.inf))
            place += 1
    return lowered


def _best(losses: NDArray[np.float32], depth: int) -> NDArray[np.int64]:
    """Rows of the `depth` smallest losses, ascending, equal ones by row."""
    if depth >= len(losses):
        return np.argsort(losses, kind="stable")
    bound = np.partition(losses, depth - 1)[depth - 1]
    rows = np.flatnonzero(losses <= bound)  # with everything that ties at the cut
    return rows[np.argsort(losses[rows], kind="stable")[:depth]]
