"""Asking an index: images in, nearest items, a ranking of the classes and a verdict out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from simsearch.bundle import Bundle, open_bundle
from simsearch.calibration import MATCH, UNKNOWN
from simsearch.errors import BadImageError
from simsearch.familiarity import gather_evidence
from simsearch.images import PreparedImage, Preprocess, prepare_image
from simsearch.models import Model
from simsearch.ranking import NEAREST_PER_CLASS, ClassScore, rank_classes
from simsearch.stores.base import Hits, Vectors

ANSWER_VERSION = 2

ImageSource: TypeAlias = bytes | str | Path | Image.Image | NDArray[np.uint8]


@dataclass(frozen=True)
class Limits:
    """What an answer's decisions are taken at; None takes what is stored with the index.

    An item is a match from the score `min_score` on, and from the pair probability `min_probability` on; if
    either is given, the stored one does not count. A picture less familiar than `unknown_below` is unknown.
    """

    min_score: float | None = None  # cosine, in [-1, 1]
    min_probability: float | None = None  # in [0, 1]
    unknown_below: float | None = None  # in [0, 1]

    def __post_init__(self) -> None:
        """Refuse limits that nothing can lie on one side of."""
        for name, least in (("min_score", -1), ("min_probability", 0), ("unknown_below", 0)):
            value = getattr(self, name)
            if value is not None and not least <= value <= 1:
                raise ValueError(f"{name} must lie in {least} to 1, not {value}")


STORED_LIMITS = Limits()


@dataclass(frozen=True)
class Hit:
    """One item of an answer. `label` is its class's name, or None in a gallery without labels."""

    rank: int  # from 1
    id: int
    label: str | None
    score: float  # cosine similarity
    probability: float  # that query and item show the same class, as likely as not beforehand
    source: str
    match: bool | None = None  # whether it counts as the query's class; None without a limit for it


@dataclass(frozen=True)
class ClassRank:
    """One class of the ranking: its best score, the mean of its five best, and its best item."""

    rank: int  # from 1
    label: str
    best: float
    mean: float
    probability: float  # of the best score
    example: int  # id
    posterior: float | None = None  # that the query is of this class, if of any; None without a calibration


@dataclass(frozen=True)
class Verdict:
    """What the whole query shows, and what that was decided on.

    It is known if its familiarity reaches `unknown_below` and the best item of the top class is a match.
    """

    label: str | None  # the top class; None if unknown
    probability: float  # posterior of the top class, given that the picture shows one of the classes
    known: bool
    familiarity: float  # share of known pictures that are less familiar, in [0, 1]
    unknown_below: float
    best: float  # score of the top class's best item
    min_score: float  # of a match


@dataclass(frozen=True, eq=False)
class Answer:
    """What the index says about one query."""

    query: PreparedImage
    hits: tuple[Hit, ...]
    classes: tuple[ClassRank, ...]  # empty in a gallery without labels
    verdict: Verdict | None = None  # None in a gallery without labels, or an index without a calibration

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, scores at full precision."""
        return {
            "notes": list(self.query.notes),
            "verdict": None if self.verdict is None else asdict(self.verdict),
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
        limits: Limits = STORED_LIMITS,
    ) -> Answer:
        """Find the k items most similar to an image.

        :param image: A path, the bytes of an image file, a Pillow image, or uint8 pixels.
        :param k: How many; a smaller gallery is answered whole.
        :param invert: Whether the ink is dark on light; None decides from the picture.
        :param limits: What counts as a match and as unknown, other than what is stored.
        :raises BadImageError: If the image cannot be read or shows nothing.
        :raises ValueError: If k < 1.
        """
        prepared = prepare_image(image, preprocess=preprocess, invert=invert)
        return self.query_prepared([prepared], k=k, limits=limits)[0]

    def query_prepared(
        self, images: Sequence[PreparedImage], *, k: int = 10, limits: Limits = STORED_LIMITS
    ) -> list[Answer]:
        """Answer several prepared images at once; each answer is what it would be alone."""
        if not images:
            return []
        vectors = self.bundle.encoder.encode(np.stack([image.pixels for image in images]))
        hits = self.bundle.store.search(vectors, k)
        least = self._least_score(limits)
        rankings, verdicts = self._rank_and_judge(vectors, least, limits)
        return [
            Answer(image, self._hits(scores, ids, least), classes, verdict)
            for image, scores, ids, classes, verdict in zip(
                images, hits.scores, hits.ids, rankings, verdicts, strict=True
            )
        ]

    def query_files(
        self,
        paths: Iterable[Path],
        *,
        k: int = 10,
        preprocess: Preprocess = Preprocess.AUTO,
        invert: bool | None = None,
        limits: Limits = STORED_LIMITS,
    ) -> Iterator[Outcome]:
        """Answer files one after the other; one that cannot be used does not stop the rest."""
        for path in paths:
            try:
                answer = self.query(path, k=k, preprocess=preprocess, invert=invert, limits=limits)
                yield Outcome(str(path), answer)
            except BadImageError as error:
                yield Outcome(str(path), error=error)

    def thumbnail(self, item: int) -> NDArray[np.uint8]:
        """The picture of the item of this id, uint8 (28, 28).

        :raises ValueError: If there is no such item.
        """
        pixels: NDArray[np.uint8] = self.bundle.thumbnails[self._rows([item])[0]]
        return pixels

    def _hits(
        self, scores: NDArray[np.float32], ids: NDArray[np.int64], least: float | None
    ) -> tuple[Hit, ...]:
        bundle = self.bundle
        rows = self._rows(ids)
        probabilities = bundle.manifest.pairs.probability(scores)
        return tuple(
            Hit(
                rank=position + 1,
                id=int(ids[position]),
                label=self._label(row),
                score=float(scores[position]),
                probability=float(probabilities[position]),
                source=bundle.sources[row],
                match=None if least is None else bool(scores[position] >= least),
            )
            for position, row in enumerate(rows)
        )

    def _least_score(self, limits: Limits) -> float | None:
        """The score from which on an item is a match; None where nothing says so."""
        manifest = self.bundle.manifest
        least = [] if limits.min_score is None else [limits.min_score]
        if limits.min_probability is not None:
            least.append(manifest.pairs.score(limits.min_probability))
        if not least and manifest.calibration is not None:
            least.append(manifest.calibration.thresholds[MATCH].value)
        return max(least, default=None)

    def _rank_and_judge(
        self, vectors: Vectors, least: float | None, limits: Limits
    ) -> tuple[list[tuple[ClassRank, ...]], list[Verdict | None]]:
        """The class ranking of each query (Q, D), from exact searches inside each class, and the verdict."""
        if not self._class_ids:
            return [()] * len(vectors), [None] * len(vectors)
        store, calibration = self.bundle.store, self.bundle.manifest.calibration
        nearest = [store.search(vectors, NEAREST_PER_CLASS, among=ids) for ids in self._class_ids.values()]
        scores = np.stack([_padded(hits, NEAREST_PER_CLASS) for hits in nearest], axis=1)  # (Q, C, 5)
        examples = np.stack([hits.ids[:, 0] for hits in nearest], axis=1)  # (Q, C)
        labels = np.array(list(self._class_ids))
        rankings = [self._named(rank_classes(labels, scores[q], examples[q])) for q in range(len(vectors))]
        if calibration is None or least is None:
            return rankings, [None] * len(vectors)
        familiarity = calibration.familiarity
        shares = familiarity.share(familiarity.logit(gather_evidence(scores)))
        below = limits.unknown_below
        below = calibration.thresholds[UNKNOWN].value if below is None else below
        return rankings, [
            _judge(ranking[0], float(share), below, least)
            for ranking, share in zip(rankings, shares, strict=True)
        ]

    def _named(self, ranking: Sequence[ClassScore]) -> tuple[ClassRank, ...]:
        manifest, calibration = self.bundle.manifest, self.bundle.manifest.calibration
        probabilities = manifest.pairs.probability([row.best for row in ranking])
        posterior = None
        if calibration is not None:
            posterior = calibration.classes.probability([row.mean for row in ranking])
        return tuple(
            ClassRank(
                rank=position + 1,
                label=manifest.classes[row.label],
                best=row.best,
                mean=row.mean,
                probability=float(probabilities[position]),
                example=row.example,
                posterior=None if posterior is None else float(posterior[position]),
            )
            for position, row in enumerate(ranking)
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
    projection = model.card.pairs
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


def _judge(top: ClassRank, familiarity: float, unknown_below: float, min_score: float) -> Verdict:
    """The verdict on a query whose ranking starts with this class."""
    known = familiarity >= unknown_below and top.best >= min_score
    return Verdict(
        label=top.label if known else None,
        probability=cast("float", top.posterior),
        known=known,
        familiarity=familiarity,
        unknown_below=unknown_below,
        best=top.best,
        min_score=min_score,
    )


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
