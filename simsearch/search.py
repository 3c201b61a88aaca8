"""Asking an index: images in, nearest items and a ranking of the classes out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from simsearch.bundle import Bundle, open_bundle
from simsearch.errors import BadImageError
from simsearch.images import PreparedImage, Preprocess, prepare_image
from simsearch.models import Model
from simsearch.ranking import NEAREST_PER_CLASS, ClassScore, rank_classes
from simsearch.stores.base import Hits, Vectors

ANSWER_VERSION = 1

ImageSource: TypeAlias = bytes | str | Path | Image.Image | NDArray[np.uint8]


@dataclass(frozen=True)
class Hit:
    """One item of an answer. `label` is its class's name, or None in a gallery without labels."""

    rank: int  # from 1
    id: int
    label: str | None
    score: float  # cosine similarity
    probability: float  # that query and item show the same class
    source: str


@dataclass(frozen=True)
class ClassRank:
    """One class of the ranking: its best score, the mean of its five best, and its best item."""

    rank: int  # from 1
    label: str
    best: float
    mean: float
    probability: float  # of the best score
    example: int  # id


@dataclass(frozen=True, eq=False)
class Answer:
    """What the index says about one query."""

    query: PreparedImage
    hits: tuple[Hit, ...]
    classes: tuple[ClassRank, ...]  # empty in a gallery without labels

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, scores at full precision."""
        return {
            "notes": list(self.query.notes),
            "hits": [asdict(hit) for hit in self.hits],
            "classes": [asdict(row) for row in self.classes],
        }


@dataclass(frozen=True, eq=False)
class Outcome:
    """One file of a batch: its answer, or why there is none."""

    name: str
    answer: Answer | None = None
    error: BadImageError | None = None


@dataclass(frozen=True)
class Similarity:
    """How similar two images are: their cosine, its logit, and the probability of one class."""

    score: float
    logit: float
    probability: float


class Searcher:
    """An open index that answers queries; safe to share between threads, and with a process forked from this.

    A process started in another way opens its own.
    """

    def __init__(self, bundle: Bundle) -> None:
        """Answer from an open bundle."""
        self.bundle = bundle
        self._class_ids = _ids_by_class(bundle)

    @classmethod
    def open(cls, folder: str | Path, *, threads: int = 0) -> Searcher:
        """Open an index folder.

        :param threads: Threads for encoding; 0 uses every core. FAISS's are set for the whole process:
            `OMP_NUM_THREADS`, or `faiss.omp_set_num_threads`.
        :raises MissingBundleError: If there is no index in the folder.
        :raises BrokenBundleError: If it is damaged.
        """
        return cls(open_bundle(Path(folder), threads=threads))

    def __len__(self) -> int:
        return len(self.bundle.ids)

    def query(
        self,
        image: ImageSource,
        *,
        k: int = 10,
        preprocess: Preprocess = Preprocess.AUTO,
        invert: bool | None = None,
    ) -> Answer:
        """Find the k items most similar to an image.

        :param image: A path, the bytes of an image file, a Pillow image, or uint8 pixels.
        :param k: How many; a smaller gallery is answered whole.
        :param invert: Whether the ink is dark on light; None decides from the picture.
        :raises BadImageError: If the image cannot be read or shows nothing.
        :raises ValueError: If k < 1.
        """
        return self.query_prepared([prepare_image(image, preprocess=preprocess, invert=invert)], k=k)[0]

    def query_prepared(self, images: Sequence[PreparedImage], *, k: int = 10) -> list[Answer]:
        """Answer several prepared images at once; each answer is what it would be alone."""
        if not images:
            return []
        vectors = self.bundle.encoder.encode(np.stack([image.pixels for image in images]))
        hits = self.bundle.store.search(vectors, k)
        rankings = self._rank_classes(vectors)
        return [
            Answer(image, self._hits(scores, ids), classes)
            for image, scores, ids, classes in zip(images, hits.scores, hits.ids, rankings, strict=True)
        ]

    def query_files(
        self,
        paths: Iterable[Path],
        *,
        k: int = 10,
        preprocess: Preprocess = Preprocess.AUTO,
        invert: bool | None = None,
    ) -> Iterator[Outcome]:
        """Answer files one after the other; one that cannot be used does not stop the rest."""
        for path in paths:
            try:
                yield Outcome(str(path), self.query(path, k=k, preprocess=preprocess, invert=invert))
            except BadImageError as error:
                yield Outcome(str(path), error=error)

    def thumbnail(self, item: int) -> NDArray[np.uint8]:
        """The picture of the item of this id, uint8 (28, 28).

        :raises ValueError: If there is no such item.
        """
        pixels: NDArray[np.uint8] = self.bundle.thumbnails[self._rows([item])[0]]
        return pixels

    def _hits(self, scores: NDArray[np.float32], ids: NDArray[np.int64]) -> tuple[Hit, ...]:
        bundle = self.bundle
        rows = self._rows(ids)
        probabilities = bundle.manifest.projection.probability(scores)
        return tuple(
            Hit(
                rank=position + 1,
                id=int(ids[position]),
                label=self._label(row),
                score=float(scores[position]),
                probability=float(probabilities[position]),
                source=bundle.sources[row],
            )
            for position, row in enumerate(rows)
        )

    def _rank_classes(self, vectors: Vectors) -> list[tuple[ClassRank, ...]]:
        """The class ranking of each query (Q, D), from exact searches inside each class."""
        if not self._class_ids:
            return [()] * len(vectors)
        store = self.bundle.store
        nearest = [store.search(vectors, NEAREST_PER_CLASS, among=ids) for ids in self._class_ids.values()]
        scores = np.stack([_padded(hits, NEAREST_PER_CLASS) for hits in nearest], axis=1)  # (Q, C, 5)
        examples = np.stack([hits.ids[:, 0] for hits in nearest], axis=1)  # (Q, C)
        labels = np.array(list(self._class_ids))
        return [self._named(rank_classes(labels, scores[q], examples[q])) for q in range(len(vectors))]

    def _named(self, ranking: Iterable[ClassScore]) -> tuple[ClassRank, ...]:
        manifest = self.bundle.manifest
        return tuple(
            ClassRank(
                rank=position,
                label=manifest.classes[row.label],
                best=row.best,
                mean=row.mean,
                probability=float(manifest.projection.probability(row.best)),
                example=row.example,
            )
            for position, row in enumerate(ranking, start=1)
        )

    def _label(self, row: int) -> str | None:
        labels = self.bundle.labels
        return None if labels is None else self.bundle.manifest.classes[labels[row]]

    def _rows(self, ids: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
        return self.bundle.store.rows(np.asarray(ids, np.int64))


def measure_similarity(model: Model, first: PreparedImage, second: PreparedImage) -> Similarity:
    """Compare two images with a model alone, without an index."""
    vectors = model.encoder.encode(np.stack([first.pixels, second.pixels])).astype(np.float64)
    score = float(np.clip(vectors[0] @ vectors[1], -1, 1))
    projection = model.card.projection
    return Similarity(score, float(projection.logit(score)), float(projection.probability(score)))


def outcomes_to_dict(searcher: Searcher, outcomes: Iterable[Outcome]) -> dict[str, Any]:
    """The document that `query --json` prints: the index, and an entry a query."""
    manifest = searcher.bundle.manifest
    return {
        "schema": ANSWER_VERSION,
        "index": {
            "name": manifest.name,
            "items": manifest.count,
            "model": manifest.model,
            "encoder": manifest.encoder,
        },
        "queries": [_outcome_to_dict(outcome) for outcome in outcomes],
    }


def _outcome_to_dict(outcome: Outcome) -> dict[str, Any]:
    if outcome.answer is not None:
        return {"query": outcome.name, **outcome.answer.to_dict()}
    return {"query": outcome.name, "error": outcome.error.message if outcome.error else "not answered"}


def _ids_by_class(bundle: Bundle) -> dict[int, NDArray[np.int64]]:
    """The ids of each class that has any, ascending."""
    if bundle.labels is None:
        return {}
    return {int(label): bundle.ids[bundle.labels == label] for label in np.unique(bundle.labels)}


def _padded(hits: Hits, columns: int) -> NDArray[np.float32]:
    """Scores with NaN columns added up to a width, float32 (Q, columns)."""
    missing = columns - hits.scores.shape[1]
    return np.pad(hits.scores, ((0, 0), (0, missing)), constant_values=np.nan)
