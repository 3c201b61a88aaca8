"""Batch retrieval evaluation: a set of queries, each against the whole gallery, ranked exactly."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import xxhash
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from simsearch.data.splits import Split
from simsearch.documents import installed_versions
from simsearch.errors import BadInputError
from simsearch.evaluate.report import Approximation, ClassRow, Estimate, PerQuery, Report
from simsearch.index.bundle import Bundle
from simsearch.index.stores.base import Vectors, gather
from simsearch.stats import retrieval as metrics
from simsearch.stats.pairs import Verification, verify_pairs
from simsearch.stats.significance import RESAMPLES, bootstrap_means

LEAVE_ONE_OUT = "gallery leave-one-out"
QUERY_SET = "query set against gallery"
RECALL_LEVELS = np.linspace(0, 1, 101)
_BLOCK_SCORES = 2**21  # scores that a worker holds at once
_SAME_SCORE = 1e-6  # below this, float32 scores of unit vectors are not told apart
_LIBRARIES = ("numpy", "faiss-cpu", "onnxruntime")

Progress = Callable[[int], None]
MetricTable = Mapping[str, Callable[[metrics.RelevantRanks], metrics.Values]]


def metric_table(k: int) -> MetricTable:
    """The metrics of a report by name, in the order in which they are printed."""
    return {
        "P@1": lambda ranks: metrics.precision_at(ranks, 1),
        "R-precision": metrics.r_precision,
        "MAP@R": metrics.average_precision_at_r,
        "MAP": metrics.average_precision,
        "MRR": metrics.reciprocal_rank,
        f"P@{k}": lambda ranks: metrics.precision_at(ranks, k),
        f"hit@{k}": lambda ranks: metrics.hit_at(ranks, k),
        f"recall@{k}": lambda ranks: metrics.recall_at(ranks, k),
        f"capped recall@{k}": lambda ranks: metrics.capped_recall_at(ranks, k),
        f"nDCG@{k}": lambda ranks: metrics.ndcg_at(ranks, k),
    }


@dataclass(frozen=True, eq=False)
class Queries:
    """Q queries against a gallery of N items, all as arrays.

    `own` is the row of each query in the gallery, int64 (Q,), which its ranking leaves out; None for
    queries that are not gallery items. `labels` are classes of the gallery, -1 where it has no such class.
    """

    vectors: Vectors  # (Q, D)
    labels: NDArray[np.int64]  # (Q,)
    names: tuple[str, ...]  # Q
    own: NDArray[np.int64] | None

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Ranked:
    """What ranking the gallery for each query gave: all arrays have a row a query."""

    values: Mapping[str, metrics.Values]  # metric -> (Q,), NaN without a relevant item
    curves: NDArray[np.float64]  # (Q, L)
    nearest: NDArray[np.int64]  # (Q,), row of the best-scored item

    def take(self, rows: NDArray[np.int64]) -> Ranked:
        """The same of some queries."""
        values = {name: column[rows] for name, column in self.values.items()}
        return Ranked(values, self.curves[rows], self.nearest[rows])


def evaluate(
    bundle: Bundle,
    queries: Split | None = None,
    *,
    k: int = 10,
    seed: int = 0,
    command: str = "",
    threads: int = 0,
    on_progress: Progress = lambda _: None,
) -> Report:
    """Evaluate an index.

    :param queries: Labeled images to ask about; None asks about each gallery item, itself left out.
    :param k: Where P@k, hit@k, recall@k and nDCG@k cut the ranking.
    :param seed: Of the bootstrap and of the random pairs for verification.
    :param command: Recorded in the report.
    :param threads: How many rank the gallery side by side; 0 uses every core.
    :param on_progress: Called with the number of queries of each finished block.
    :raises BadInputError: If gallery or queries have no labels, or no query has a relevant item.
    :raises ValueError: If k < 1.
    """
    labels = _gallery_labels(bundle)
    every = prepare_queries(bundle, queries)
    gallery = gather(bundle.store).vectors
    ranked = rank_gallery(every, gallery, labels, k=k, threads=threads, on_progress=on_progress)
    rows = np.flatnonzero(~np.isnan(ranked.values["P@1"]))
    if not len(rows):
        raise _nothing_relevant(bundle.manifest.name, queries)
    manifest, judged = bundle.manifest, ranked.take(rows)
    per_query = _per_query(bundle, every, judged, rows)
    per_class = tuple(_class_rows(judged.values, every.labels[rows], manifest.classes))
    return Report(
        index=manifest.name,
        model=manifest.model,
        encoder=manifest.encoder,
        protocol=LEAVE_ONE_OUT if queries is None else QUERY_SET,
        gallery=len(labels),
        gallery_fingerprint=gallery_fingerprint(bundle),
        query_set=manifest.name if queries is None else queries.name,
        query_fingerprint=gallery_fingerprint(bundle) if queries is None else split_fingerprint(queries),
        queries=len(rows),
        without_relevant=len(every) - len(rows),
        k=k,
        seed=seed,
        resamples=RESAMPLES,
        command=command,
        versions=installed_versions(*_LIBRARIES),
        classes=manifest.classes,
        figures=_figures(judged.values, per_class, seed),
        per_class=per_class,
        confusion=_confusion(every.labels[rows], labels[judged.nearest], len(manifest.classes)),
        recall_levels=tuple(RECALL_LEVELS.tolist()),
        precision=tuple(judged.curves.mean(axis=0).tolist()),
        verification=_verify(bundle, every, seed),
        approximation=None if bundle.store.is_exact else _approximation(bundle, every, gallery, k),
        per_query=per_query,
    )


def _per_query(bundle: Bundle, queries: Queries, judged: Ranked, rows: NDArray[np.int64]) -> PerQuery:
    """The table of the queries that have a relevant item, which lie in some rows of all."""
    classes = bundle.manifest.classes
    return PerQuery(
        row=rows,
        query=tuple(queries.names[row] for row in rows),
        label=tuple(classes[label] for label in queries.labels[rows]),
        nearest=bundle.ids[judged.nearest],
        values=judged.values,
    )


def rank_gallery(
    queries: Queries,
    gallery: Vectors,
    labels: NDArray[np.int64],
    *,
    k: int = 10,
    threads: int = 0,
    on_progress: Progress = lambda _: None,
) -> Ranked:
    """Rank the whole gallery for every query, a block of queries at a time, on every core or some threads.

    A query is left out of its own ranking by its row, whatever its score; duplicates of it stay in.

    :param gallery: Unit rows, float32 (N, D), in order of id.
    :param labels: Class of each gallery item, int64 (N,).
    """
    table = metric_table(k)

    def rank_block(rows: slice) -> Ranked:
        scores = _scores(queries, gallery, rows)  # (B, N)
        relevant = (queries.labels[rows, None] == labels) & (scores > -np.inf)  # (B, N)
        ranks = metrics.relevant_ranks(scores, relevant)
        on_progress(len(scores))
        return Ranked(
            values={name: metric(ranks) for name, metric in table.items()},
            curves=metrics.interpolated_precision(ranks, RECALL_LEVELS),
            nearest=scores.argmax(axis=1),  # the first of equal scores
        )

    # One thread of BLAS for each worker: more would wait for each other, spinning.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        blocks = list(pool.map(rank_block, _blocks(len(queries), len(gallery))))
    return Ranked(
        values={name: np.concatenate([block.values[name] for block in blocks]) for name in table},
        curves=np.concatenate([block.curves for block in blocks]),
        nearest=np.concatenate([block.nearest for block in blocks]),
    )


def score_blocks(queries: Queries, gallery: Vectors) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """The scores of each query with the whole gallery, a block of queries at a time: float32 (B, N).

    A query's own item scores -inf.
    """
    for rows in _blocks(len(queries), len(gallery)):
        yield rows, _scores(queries, gallery, rows)


def _scores(queries: Queries, gallery: Vectors, rows: slice) -> NDArray[np.float32]:
    scores: NDArray[np.float32] = queries.vectors[rows] @ gallery.T
    if queries.own is not None:
        scores[np.arange(len(scores)), queries.own[rows]] = -np.inf
    return scores


def _blocks(queries: int, gallery: int) -> Iterator[slice]:
    size = max(1, _BLOCK_SCORES // gallery)
    return (slice(start, min(start + size, queries)) for start in range(0, queries, size))


def _gallery_labels(bundle: Bundle) -> NDArray[np.int64]:
    if bundle.labels is None:
        raise BadInputError(
            f"the index {bundle.manifest.name} has no labels, so nothing can be said to be right",
            hint="build it from a dataset with labels, or from a folder with one sub-folder a class",
        )
    return bundle.labels


def _nothing_relevant(index: str, queries: Split | None) -> BadInputError:
    if queries is None:
        return BadInputError(
            f"each class in the index {index} has one item, which is left out when it is asked about",
            hint="ask about other pictures of these classes: `--queries FOLDER`",
        )
    return BadInputError(
        f"no query has an item of its own class in the index {index}",
        hint="check that query labels and gallery labels use the same names",
    )


def prepare_queries(bundle: Bundle, split: Split | None = None) -> Queries:
    """The queries of an evaluation: the gallery's own items, or a split encoded with the index's encoder.

    A split's labels are matched to the gallery's by class name.

    :raises BadInputError: If gallery or split have no labels.
    """
    if split is None:
        rows = np.arange(len(bundle.ids))
        return Queries(gather(bundle.store).vectors, _gallery_labels(bundle), tuple(bundle.sources), rows)
    if split.labels is None:
        raise BadInputError(f"the queries {split.name} have no labels, so nothing can be said to be right")
    numbers = {name: number for number, name in enumerate(bundle.manifest.classes)}
    renumbered = np.array([numbers.get(name, -1) for name in split.classes], np.int64)
    return Queries(bundle.encoder.encode(split.images), renumbered[split.labels], tuple(split.sources), None)


def _figures(
    values: Mapping[str, metrics.Values], per_class: tuple[ClassRow, ...], seed: int
) -> dict[str, Estimate]:
    intervals = bootstrap_means(values, np.random.default_rng(seed))
    return {
        name: Estimate(
            value=float(column.mean()),
            low=intervals[name].low,
            high=intervals[name].high,
            macro=float(np.mean([row.metrics[name] for row in per_class])),
        )
        for name, column in values.items()
    }


def _class_rows(
    values: Mapping[str, metrics.Values], labels: NDArray[np.int64], classes: tuple[str, ...]
) -> Iterator[ClassRow]:
    """One row for each class that has a query with a relevant item."""
    for label, name in enumerate(classes):
        rows = labels == label
        if rows.any():
            means = {metric: float(column[rows].mean()) for metric, column in values.items()}
            yield ClassRow(name, int(rows.sum()), means)


def _confusion(
    labels: NDArray[np.int64], nearest: NDArray[np.int64], classes: int
) -> tuple[tuple[int, ...], ...]:
    counts = np.bincount(labels * classes + nearest, minlength=classes * classes)
    return tuple(tuple(row) for row in counts.reshape(classes, classes).tolist())


def _verify(bundle: Bundle, queries: Queries, seed: int) -> Verification | None:
    """Verify pairs of queries whose classes the gallery knows."""
    known = queries.labels >= 0
    manifest = bundle.manifest
    line = manifest.pair_scaling or manifest.projection  # the network's own is measured, though not shown
    if line is None:  # nothing says from which cosine on a pair is of one class
        return None
    return verify_pairs(
        queries.vectors[known],
        queries.labels[known],
        line,
        learned=manifest.projection,
        seed=seed,
    )


def _approximation(bundle: Bundle, queries: Queries, gallery: Vectors, k: int) -> Approximation:
    """Ask the approximate index itself, and count the hits that score as high as the exact ones."""
    own = queries.own
    cut = min(k, len(bundle.ids) - (own is not None))
    left_out = None if own is None else bundle.ids[own]
    scores = np.nan_to_num(bundle.store.search(queries.vectors, cut, left_out=left_out).scores, nan=-np.inf)
    exact = np.concatenate(
        [
            np.partition(block, (-cut, -1), axis=1)[:, [-1, -cut]]  # the scores at rank 1 and at rank k
            for _, block in score_blocks(queries, gallery)
        ]
    )
    return Approximation(
        recall_at_1=float(np.mean(scores[:, 0] >= exact[:, 0] - _SAME_SCORE)),
        recall_at_k=float(np.mean(scores >= exact[:, 1:] - _SAME_SCORE)),
    )


def gallery_fingerprint(bundle: Bundle) -> str:
    """Equal for indexes of the same images under the same ids and labels, whatever encoded them."""
    manifest = bundle.manifest
    files = [
        part.files[role]
        for part in manifest.parts
        for role in ("ids", "thumbnails", "labels")
        if role in part.files
    ]
    files += [entry for role, entry in manifest.shared.items() if role == "removed"]
    checksums = [entry.xxh3_128 for entry in files] + [str(number) for number in manifest.class_numbers or ()]
    if manifest.store is not None:  # whose items no file tells from others
        held = manifest.store
        checksums += [held.uri, held.served_name, str(held.last)]
    return xxhash.xxh3_128_hexdigest(" ".join([*checksums, *bundle.manifest.classes]).encode())


def split_fingerprint(split: Split) -> str:
    """Equal for query sets of the same images with the same class names."""
    digest = xxhash.xxh3_128(split.images.tobytes())
    if split.labels is not None:
        digest.update(" ".join(split.classes[label] for label in split.labels).encode())
    return digest.hexdigest()
