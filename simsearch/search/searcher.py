"""Asking an index: images in, nearest items, a ranking of the classes and a verdict out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from simsearch.encode.model_folder import Model
from simsearch.errors import BadInputError
from simsearch.index.bundle import PRIVATE_BYTES, Bundle, open_bundle
from simsearch.index.stores.base import NOTHING, Hits, Ids, Vectors
from simsearch.index.stores.by_class import NearestPerClass
from simsearch.index.stores.comparison import Comparison
from simsearch.index.stores.hits import join, reshape
from simsearch.prepare.pictures import prepare_picture
from simsearch.prepare.prepare import PreparedImage, Preprocess
from simsearch.records import deal, records_of
from simsearch.search.answers import STORED_LIMITS, Answer, ClassRank, Hit, Limits, Similarity, judge
from simsearch.stats.calibration import MATCH, Calibration, PlattScaling
from simsearch.stats.class_ranking import NEAREST_PER_CLASS, ClassScore, rank_classes

ImageSource: TypeAlias = bytes | str | Path | Image.Image | NDArray[np.uint8]


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
        return self.bundle.manifest.count

    def query(
        self,
        image: ImageSource,
        *,
        k: int = 10,
        labels: Sequence[str] = (),
        preprocess: Preprocess = Preprocess.AUTO,
        invert: bool | None = None,
        limits: Limits = STORED_LIMITS,
        exact: bool = False,
    ) -> Answer:
        """Find the k items most similar to an image.

        :param image: A path, the bytes of an image file, a Pillow image, or uint8 pixels.
        :param k: How many; a smaller gallery is answered whole.
        :param labels: Names of the only classes that hits may have. The class ranking and the verdict are
            always those of the whole gallery.
        :param invert: Whether the ink is dark on light; None decides from the picture.
        :param limits: What counts as a match and as unknown, other than what is stored.
        :param exact: Whether to look at every item though the index is approximate.
        :raises BadImageError: If the image cannot be read or shows nothing.
        :raises BadInputError: If there is no such class.
        :raises ValueError: If k < 1.
        """
        prepared = prepare_picture(image, self.bundle.encoder.input, preprocess=preprocess, invert=invert)
        return self.query_prepared([prepared], k=k, labels=labels, limits=limits, exact=exact)[0]

    def query_item(
        self,
        item: int,
        *,
        k: int = 10,
        labels: Sequence[str] = (),
        limits: Limits = STORED_LIMITS,
        exact: bool = False,
    ) -> Answer:
        """Ask about the item of this id, which itself is left out of hits and classes before any cut.

        :raises ValueError: If there is no such item, or k < 1.
        """
        vectors = self.bundle.store.vectors(np.array([item], np.int64))
        images = [PreparedImage(self.thumbnail(item))]
        asked = self.query_vectors(
            vectors, images, k=k, labels=labels, left_out=[item], limits=limits, exact=exact
        )
        return asked[0]

    def query_prepared(
        self,
        images: Sequence[PreparedImage],
        *,
        k: int = 10,
        labels: Sequence[str] = (),
        limits: Limits = STORED_LIMITS,
        exact: bool = False,
    ) -> list[Answer]:
        """Answer several prepared images at once; each answer is what it would be alone."""
        if not images:
            return []
        vectors = self.bundle.encoder.encode(np.stack([image.pixels for image in images]))
        return self.query_vectors(vectors, images, k=k, labels=labels, limits=limits, exact=exact)

    def query_vectors(
        self,
        vectors: Vectors,
        images: Sequence[PreparedImage | None],
        *,
        k: int = 10,
        labels: Sequence[str] = (),
        left_out: Sequence[int | None] | None = None,
        limits: Limits = STORED_LIMITS,
        exact: bool = False,
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
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        least, answers = self._least_score(limits), []
        for part, compared in self._nearest.compare(vectors, exact=exact):
            own = None if items is None else items[part]
            hits, nearest = self._ask(compared, k, classes, own)
            rankings = self._rank(nearest)
            shares = self._familiarity(compared, vectors[part], images[part], rankings, own)
            answers += [
                Answer(
                    image,
                    found,
                    classes_ranked,
                    judge(
                        classes_ranked[0] if classes_ranked else None,
                        share,
                        least,
                        self.bundle.manifest.calibration,
                        unknown_below=limits.unknown_below,
                    ),
                    approximate=not (exact or self.bundle.store.is_exact),
                )
                for image, found, classes_ranked, share in zip(
                    images[part],
                    self._hits(hits, least, limits.only_matches),
                    self._named(rankings),
                    shares,
                    strict=True,
                )
            ]
        return answers

    def thumbnail(self, item: int) -> NDArray[np.uint8]:
        """The picture of the item of this id, uint8 (H, W).

        :raises ValueError: If there is no such item.
        """
        pixels: NDArray[np.uint8] = self.bundle.columns.pictures_of(np.array([item], np.int64))[0]
        return pixels

    def label(self, item: int) -> str | None:
        """The class of the item of this id, or None in a gallery without labels.

        :raises ValueError: If there is no such item.
        """
        [known] = self.bundle.columns.describe(np.array([item], np.int64))
        return None if known.label is None else self.bundle.manifest.classes[known.label]

    def check_labels(self, labels: Sequence[str]) -> None:
        """Check that the gallery has these classes.

        :raises BadInputError: Naming the first that it has not.
        """
        if not labels:
            return
        from simsearch.data.class_names import meant_class  # few ask for classes

        manifest = self.bundle.manifest
        for label in labels:
            if not self.bundle.store.classes:
                raise BadInputError(f"there is no class {label!r}: {manifest.name} has no labels")
            meant_class(label, manifest.classes, manifest.name)

    def _class_numbers(self, labels: Sequence[str]) -> list[int] | None:
        """The numbers of these classes, ascending; None for no restriction."""
        if not labels:
            return None
        from simsearch.data.class_names import meant_class

        self.check_labels(labels)
        classes, name = self.bundle.manifest.classes, self.bundle.manifest.name
        return sorted({classes.index(meant_class(label, classes, name)) for label in labels})

    def _ask(
        self, compared: Comparison, k: int, classes: Sequence[int] | None, left_out: Ids | None
    ) -> tuple[Hits, Hits]:
        """The hits, (Q, k), and the five nearest in each class, (Q, C, 5)."""
        hits = compared.nearest(k, classes=classes, left_out=left_out)
        nearest = self._nearest.search(compared, left_out)
        if (
            classes is None and compared.is_exact and not self.bundle.store.is_exact
        ):  # what it missed, and the class ranking shows
            hits = join(hits, reshape(nearest, len(hits.ids), nearest.ids.shape[1] * NEAREST_PER_CLASS), k)
        return hits, nearest

    def _rank(self, nearest: Hits) -> list[tuple[ClassScore, ...]]:
        classes = self._nearest.classes
        if not classes:
            return [()] * len(nearest.ids)
        return rank_classes(np.array(classes, np.int64), nearest.scores, nearest.ids[..., 0])

    def _hits(self, hits: Hits, least: float | None, only_matches: bool) -> list[tuple[Hit, ...]]:
        """The hits of each query, without the places that hold none."""
        bundle, there = self.bundle, hits.ids != NOTHING
        if only_matches and least is not None:
            there &= hits.scores.astype(np.float64) >= least  # as `match` is decided
        scores, ranks = (
            hits.scores[there],
            np.broadcast_to(np.arange(1, there.shape[1] + 1), there.shape)[there],
        )
        names, known = bundle.manifest.classes, bundle.columns.describe(hits.ids[there])
        found = records_of(
            Hit,
            ranks.tolist(),
            hits.ids[there].tolist(),
            [None if item.label is None else names[item.label] for item in known],
            scores.tolist(),
            _probabilities(bundle.manifest.pair_scaling, scores),
            [item.source for item in known],
            [None] * len(known) if least is None else (scores.astype(np.float64) >= least).tolist(),
        )
        return deal(found, there.sum(axis=1).tolist())

    def _least_score(self, limits: Limits) -> float | None:
        """The score from which on an item is a match; None where nothing says so."""
        manifest = self.bundle.manifest
        least = [] if limits.min_score is None else [limits.min_score]
        if limits.min_probability is not None:
            if manifest.pair_scaling is None:
                raise BadInputError(
                    f"{manifest.name} has no probabilities: there is no calibration",
                    hint="set a least score instead: --min-score",
                )
            score = manifest.pair_scaling.score(limits.min_probability)
            least.append(min(max(score, -1.0), math.nextafter(1, 2)))  # infinite for 0 and 1
        if not least and manifest.calibration is not None:
            least.append(manifest.calibration.thresholds[MATCH].value)
        if limits.only_matches and not least:
            raise BadInputError(
                f"nothing says what a match is: {manifest.name} has no calibration",
                hint="set a least score: --min-score",
            )
        return max(least, default=None)

    def _familiarity(
        self,
        compared: Comparison,
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
        tops = np.array([ranking[0].label if ranking else self._nearest.classes[0] for ranking in rankings])
        features = self._nearest.features(
            self._nearest.like_top(compared, tops, items)[asked],
            vectors[asked],
            np.stack(list(pictures.values())) if self.bundle.keeps_digits else None,
        )
        test = calibration.novelty
        for row, share in zip(asked, test.p_value(test.logit(features)).tolist(), strict=True):
            shares[row] = share
        return shares

    def _named(self, rankings: Sequence[tuple[ClassScore, ...]]) -> list[tuple[ClassRank, ...]]:
        """The rankings with names and probabilities."""
        manifest, calibration = self.bundle.manifest, self.bundle.manifest.calibration
        every = [row for ranking in rankings for row in ranking]
        best = [row.best for row in every]
        named = records_of(
            ClassRank,
            [rank for ranking in rankings for rank in range(1, len(ranking) + 1)],
            [manifest.classes[row.label] for row in every],
            best,
            [row.mean for row in every],
            _probabilities(manifest.pair_scaling, best),
            [row.example for row in every],
            _posteriors(calibration, rankings),
        )
        return deal(named, map(len, rankings))


def measure_similarity(model: Model, first: PreparedImage, second: PreparedImage) -> Similarity:
    """Compare two images with a model alone, which cannot tell whether it knows such pictures.

    See `simsearch.search.similarity.compare_pictures`.
    """
    vectors = model.encoder.encode(np.stack([first.pixels, second.pixels])).astype(np.float64)
    score = float(np.clip(vectors[0] @ vectors[1], -1, 1))
    line = model.card.pair_scaling
    if line is None:
        return Similarity(score, None, None)
    return Similarity(score, float(line.logit(score)), float(line.probability(score)))


def _probabilities(line: PlattScaling | None, scores: ArrayLike) -> Sequence[float | None]:
    """The pair probability of each score, (P,); None where nothing tells."""
    table = np.asarray(scores, np.float64)
    if line is None:
        return [None] * len(table)
    values: list[float | None] = line.probability(table).tolist()
    return values


def _posteriors(
    calibration: Calibration | None, rankings: Sequence[tuple[ClassScore, ...]]
) -> Sequence[float | None]:
    """The posterior of each class of each ranking, one after the other; None without a calibration."""
    if calibration is None:
        return [None] * sum(map(len, rankings))
    means = [[row.mean for row in ranking] for ranking in rankings if ranking]
    if len({len(row) for row in means}) == 1:
        together: list[float] = calibration.classes.probability(means).ravel().tolist()
        return together
    return [chance for row in means for chance in calibration.classes.probability(row).tolist()]
