"""How similar two pictures are, and whether that says anything: not of what the gallery has nothing like."""

from __future__ import annotations

import numpy as np

from simsearch.prepare.prepare import PreparedImage
from simsearch.search.answers import STORED_LIMITS, Limits, Similarity
from simsearch.search.searcher import Searcher


def compare_pictures(
    searcher: Searcher, first: PreparedImage, second: PreparedImage, *, limits: Limits = STORED_LIMITS
) -> Similarity:
    """Compare two pictures by an index: its encoder, its calibration, and what it knows.

    :param limits: From where on a picture is unknown, other than what is stored.
    :return: No logit and no probability where one of the pictures is unlike anything in the gallery, for they
        were fitted on pictures that are in it; nor where the index has no calibration.
    """
    images = [first, second]
    vectors = searcher.bundle.encoder.encode(np.stack([image.pixels for image in images]))
    answers = searcher.query_vectors(vectors, images, k=1, limits=limits)
    score = float(np.clip(vectors[0].astype(np.float64) @ vectors[1].astype(np.float64), -1, 1))
    one, other = (answer.verdict for answer in answers)
    known = None if one is None or other is None else (one.known, other.known)
    line = searcher.bundle.manifest.pair_scaling
    if line is None or known is None or not all(known):
        return Similarity(score, None, None, known)
    return Similarity(score, float(line.logit(score)), float(line.probability(score)), known)
