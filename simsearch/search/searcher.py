"""Asking an index: images in, nearest items, a ranking of the classes and a verdict out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from simsearch.encode.model_folder import Model
from simsearch.errors import BadInputError
from simsearch.index.bundle import PRIVATE_BYTES, Bundle, open_bundle
from simsearch.index.stores.base import NOTHING, Ids, Vectors
from simsearch.index.stores.by_class import NearestPerClass
from simsearch.index.stores.hits import join, reshape
from simsearch.prepare.pictures import prepare_picture
from simsearch.prepare.prepare import PreparedImage, Preprocess
from simsearch.stats.calibration import MATCH, UNKNOWN, PlattScaling
from simsearch.stats.class_ranking import NEAREST_PER_CLASS, ClassScore, rank_classes
from simsearch.text import did_you_mean, listed

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
    probability: float | None  # that query and item show the same class, assuming equal priors
    source: str
    match: bool | None = None  # whether it counts as the query's class; None without a limit for it


@dataclass(frozen=True)
class ClassRank:
    """One class of the ranking: its best score, the mean of its five best, and its best item."""

    rank: int  # from 1
    label: str
    best: float
    mean: float
    probability: float | None  # of the best score
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

    query: PreparedImage | None  # None where the query is not one picture
    hits: tuple[Hit, ...]
    classes: tuple[ClassRank, ...]  # empty in a gallery without labels
    verdict: Verdict | None = None  # None without labels, calibration, or one picture as the query

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, scores at full precision."""
        return {
            "notes": list(self.query.notes) if self.query else [],
            "verdict": dict(vars(self.verdict)) if self.verdict else None,
            "hits": [dict(vars(hit)) for hit in self.hits],
            "classes": [dict(vars(row)) for row in self.classes],
        }


@dataclass(frozen=True)
class Similarity:
    """How similar two images are: their cosine, and its logit and probability of one class, if known."""

    score: float
    logit: float | None
    probability: float | None


class Searcher:
    """An open index that answers queries; safe to share between threads, and with a process forked from this.

    A process started in another way opens its own.
    """

    def __init__(self, bundle: Bundle) -> None:
        """Answer from an open bundle."""
        self.bundle = bundle
        self._nearest = NearestPerClass(bundle.store, bundle.pictures if bundle.keeps_digits else None)

    @classmethod
    def open(cls, folder: str | Path, *, threads: int = 0, private: int = PRIVATE_BYTES) -> Searcher:
        """Open an index folder.

        :param threads: Threads for encoding; 0 uses every core. FAISS's are set for the whole process:
            `OMP_NUM_THREADS`, or `faiss.omp_set_num_threads`.
        :param private: As for `open_bundle`.
        :raises MissingBundleError: If there is no index in the folder.
        :raises BrokenBundleError: If it is damaged.
        """
        return cls(open_bundle(Path(folder), threads=threads, private=private))

    def __len__(self) -> int:
        return len(self.bundle.ids)

    def query(
        self,
        image: ImageSource,
        *,
        k: int = 10,
        labels: Sequence[str] = (),
        preprocess: Preprocess = Preprocess.AUTO,
        invert: bool | None = None,
        limits: Limits = STORED_LIMITS,
    ) -> Answer:
        """Find the k items most similar to an image.

        :param image: A path, the bytes of an image file, a Pillow image, or uint8 pixels.
        :param k: How many; a smaller gallery is answered whole.
        :param labels: Names of the only classes that hits may have; then exact whatever the index. The class
            ranking and the verdict are always those of the whole gallery.
        :param invert: Whether the ink is dark on light; None decides from the picture.
        :param limits: What counts as a match and as unknown, other than what is stored.
        :raises BadImageError: If the image cannot be read or shows nothing.
        :raises BadInputError: If there is no such class.
        :raises ValueError: If k < 1.
        """
        prepared = prepare_picture(image, self.bundle.encoder.input, preprocess=preprocess, invert=invert)
        return self.query_prepared([prepared], k=k, labels=labels, limits=limits)[0]

    def query_item(
        self, item: int, *, k: int = 10, labels: Sequence[str] = (), limits: Limits = STORED_LIMITS
    ) -> Answer:
        """Ask about the item of this id, which itself is left out of hits and classes before any cut.

        :raises ValueError: If there is no such item, or k < 1.
        """
        vectors = self.bundle.store.vectors(np.array([item], np.int64))
        images = [PreparedImage(self.thumbnail(item))]
        return self.query_vectors(vectors, images, k=k, labels=labels, left_out=[item], limits=limits)[0]

    def query_prepared(
        self,
        images: Sequence[PreparedImage],
        *,
        k: int = 10,
        labels: Sequence[str] = (),
        limits: Limits = STORED_LIMITS,
    ) -> list[Answer]:
        """Answer several prepared images at once; each answer is what it would be alone."""
        if not images:
            return []
        vectors = self.bundle.encoder.encode(np.stack([image.pixels for image in images]))
        return self.query_vectors(vectors, images, k=k, labels=labels, limits=limits)

    def query_vectors(
        self,
        vectors: Vectors,
        images: Sequence[PreparedImage | None],
        *,
        k: int = 10,
        labels: Sequence[str] = (),
        left_out: Sequence[int | None] | None = None,
        limits: Limits = STORED_LIMITS,
    ) -> list[Answer]:
        """Answer several vectors at once.

        :param vectors: Unit rows, float32 (Q, D).
        :param images: The picture behind each vector, where it is one.
        :param left_out: For each query the id of an item that is no answer to it: itself.
        :raises BadInputError: If a label is no class of the gallery.
        :raises ValueError: If a query is no unit vector, or k < 1.
        """
        classes, items = self._class_numbers(labels), None
        if left_out is not None and any(item is not None for item in left_out):
            items = np.array([NOTHING if item is None else item for item in left_out], np.int64)
        store = self.bundle.store
        nearest = self._nearest.search(vectors, items)  # (Q, C, 5)
        hits = store.search(vectors, k, classes=classes, left_out=items)
        if classes is None and not store.is_exact:  # what it missed, and the class ranking shows
            hits = join(hits, reshape(nearest, len(vectors), len(store.classes) * NEAREST_PER_CLASS), k)
        least = self._least_score(limits)
        rankings = rank_classes(np.array(store.classes, np.int64), nearest.scores, nearest.ids[..., 0])
        shares = self._familiarity(vectors, images, rankings, items)
        return [
            Answer(
                image,
                self._hits(scores, ids, least),
                self._named(ranking),
                self._judge(ranking, share, least, limits),
            )
            for image, scores, ids, ranking, share in zip(
                images, hits.scores, hits.ids, rankings, shares, strict=True
            )
        ]

    def thumbnail(self, item: int) -> NDArray[np.uint8]:
        """The picture of the item of this id, uint8 (H, W).

        :raises ValueError: If there is no such item.
        """
        pixels: NDArray[np.uint8] = self.bundle.thumbnails[self._rows([item])[0]]
        return pixels

    def label(self, item: int) -> str | None:
        """The class of the item of this id, or None in a gallery without labels.

        :raises ValueError: If there is no such item.
        """
        return self._label(self._rows([item])[0])

    def check_labels(self, labels: Sequence[str]) -> None:
        """Check that the gallery has these classes.

        :raises BadInputError: Naming the first that it has not.
        """
        manifest = self.bundle.manifest
        for label in labels:
            if not self.bundle.store.classes:
                raise BadInputError(f"there is no class {label!r}: {manifest.name} has no labels")
            if label not in manifest.classes:
                guess = did_you_mean(label, manifest.classes)
                hint = f"{guess}its classes: {listed(manifest.classes)}"
                raise BadInputError(f"there is no class {label!r} in {manifest.name}", hint)

    def _class_numbers(self, labels: Sequence[str]) -> list[int] | None:
        """The numbers of these classes, ascending; None for no restriction."""
        if not labels:
            return None
        self.check_labels(labels)
        return sorted({self.bundle.manifest.classes.index(label) for label in labels})

    def _hits(self, scores: NDArray[np.float32], ids: Ids, least: float | None) -> tuple[Hit, ...]:
        bundle = self.bundle
        found = ids != NOTHING
        scores, ids = scores[found], ids[found]
        rows = self._rows(ids)
        probabilities = _probabilities(bundle.manifest.pair_scaling, scores)
        return tuple(
            Hit(
                rank=rank,
                id=item,
                label=self._label(row),
                score=score,
                probability=probability,
                source=bundle.sources[row],
                match=None if least is None else score >= least,
            )
            for rank, (item, row, score, probability) in enumerate(
                zip(ids.tolist(), rows.tolist(), scores.tolist(), probabilities, strict=True), start=1
            )
        )

    def _least_score(self, limits: Limits) -> float | None:
        """The score from which on an item is a match; None where nothing says so."""
        manifest = self.bundle.manifest
        least = [] if limits.min_score is None else [limits.min_score]
        if limits.min_probability is not None:
            if manifest.pair_scaling is None:
                raise BadInputError(
                    f"{manifest.name} has no probabilities: its model was not trained on pairs",
                    hint="set a least score instead: --min-score",
                )
            score = manifest.pair_scaling.score(limits.min_probability)
            least.append(min(max(score, -1.0), math.nextafter(1, 2)))  # infinite for 0 and 1
        if not least and manifest.calibration is not None:
            least.append(manifest.calibration.thresholds[MATCH].value)
        return max(least, default=None)

    def _familiarity(
        self,
        vectors: Vectors,
        images: Sequence[PreparedImage | None],
        rankings: Sequence[tuple[ClassScore, ...]],
        items: Ids | None,
    ) -> list[float | None]:
        """How familiar each query is; None where it is not one picture, or nothing can tell."""
        shares: list[float | None] = [None] * len(vectors)
        calibration = self.bundle.manifest.calibration
        pictures = {
            row: image.pixels
            for row, (image, ranking) in enumerate(zip(images, rankings, strict=True))
            if image is not None and ranking
        }
        asked = list(pictures)
        if calibration is None or not asked:
            return shares
        features = self._nearest.features(
            vectors[asked],
            np.stack(list(pictures.values())) if self.bundle.keeps_digits else None,
            np.array([rankings[row][0].label for row in asked]),
            None if items is None else items[asked],
        )
        test = calibration.novelty
        for row, share in zip(asked, test.p_value(test.logit(features)).tolist(), strict=True):
            shares[row] = share
        return shares

    def _judge(
        self, ranking: tuple[ClassScore, ...], familiarity: float | None, least: float | None, limits: Limits
    ) -> Verdict | None:
        """The verdict on a query, given its ranking and how familiar it is."""
        calibration = self.bundle.manifest.calibration
        if calibration is None or familiarity is None or least is None:
            return None
        top, below = ranking[0], limits.unknown_below
        below = calibration.thresholds[UNKNOWN].value if below is None else below
        known = familiarity >= below and top.best >= least
        return Verdict(
            label=self.bundle.manifest.classes[top.label] if known else None,
            probability=float(calibration.classes.probability([row.mean for row in ranking])[0]),
            known=known,
            familiarity=familiarity,
            unknown_below=below,
            best=top.best,
            min_score=least,
        )

    def _named(self, ranking: Sequence[ClassScore]) -> tuple[ClassRank, ...]:
        manifest, calibration = self.bundle.manifest, self.bundle.manifest.calibration
        probabilities = _probabilities(manifest.pair_scaling, [row.best for row in ranking])
        posterior = None
        if calibration is not None and ranking:
            posterior = calibration.classes.probability([row.mean for row in ranking])
        return tuple(
            ClassRank(
                rank=position + 1,
                label=manifest.classes[row.label],
                best=row.best,
                mean=row.mean,
                probability=probabilities[position],
                example=row.example,
                posterior=None if posterior is None else float(posterior[position]),
            )
            for position, row in enumerate(ranking)
        )

    def _label(self, row: int) -> str | None:
        labels = self.bundle.labels
        return None if labels is None else self.bundle.manifest.classes[labels[row]]

    def _rows(self, ids: Sequence[int] | Ids) -> NDArray[np.int64]:
        return self.bundle.rows(np.asarray(ids, np.int64))


def measure_similarity(model: Model, first: PreparedImage, second: PreparedImage) -> Similarity:
    """Compare two images with a model alone, without an index."""
    vectors = model.encoder.encode(np.stack([first.pixels, second.pixels])).astype(np.float64)
    score = float(np.clip(vectors[0] @ vectors[1], -1, 1))
    line = model.card.pair_scaling
    if line is None:
        return Similarity(score, None, None)
    return Similarity(score, float(line.logit(score)), float(line.probability(score)))


def _probabilities(line: PlattScaling | None, scores: ArrayLike) -> list[float | None]:
    """The pair probability of each score; None where nothing tells."""
    if line is None:
        return [None] * np.size(np.asarray(scores))
    values: list[float | None] = line.probability(scores).tolist()
    return values
