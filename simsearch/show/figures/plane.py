"""Unit vectors on a plane: principal components in numpy, t-SNE by scikit-learn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from simsearch.index.stores.base import Vectors

Plane = NDArray[np.float64]  # (N, 2)
PCA, TSNE = "pca", "tsne"
_PERPLEXITY = 30.0
_LEAST = 4  # points that t-SNE needs


def project(vectors: Vectors, method: str = PCA, *, seed: int = 0) -> tuple[Plane, str]:
    """Lay vectors out on a plane; the same vectors and seed give the same plane.

    :param vectors: Unit rows, float32 (N, D).
    :param method: "pca", or "tsne" (van der Maaten and Hinton, "Visualizing Data using t-SNE", JMLR 2008).
    :return: float64 (N, 2), and what was done, in words.
    :raises ValueError: If there are too few vectors: 2, or 4 for t-SNE.
    """
    if method == PCA:
        return principal_components(vectors)
    if len(vectors) < _LEAST:
        raise ValueError(f"t-SNE needs at least {_LEAST} vectors, not {len(vectors)}")
    from sklearn import manifold

    perplexity = min(_PERPLEXITY, (len(vectors) - 1) / 3)
    embedder = manifold.TSNE(
        perplexity=perplexity, init="pca", learning_rate="auto", random_state=seed, n_jobs=1
    )
    with threadpool_limits(1):  # sums in another order would move the points
        plane = np.asarray(embedder.fit_transform(vectors), np.float64)
    return plane, "t-SNE; far distances mean nothing"


def principal_components(vectors: Vectors) -> tuple[Plane, str]:
    """The two directions of greatest variance (Pearson 1901), each with its largest weight positive.

    :raises ValueError: If there are fewer than two vectors.
    """
    if len(vectors) < 2:
        raise ValueError(f"a map needs at least 2 vectors, not {len(vectors)}")
    centered = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)  # (N, D)
    _, deviations, directions = np.linalg.svd(centered, full_matrices=False)
    two = np.zeros((2, vectors.shape[1]))
    two[: len(directions[:2])] = directions[:2]
    largest = two[[0, 1], np.abs(two).argmax(axis=1)]
    two *= np.where(largest < 0, -1.0, 1.0)[:, None]
    variance = deviations**2
    share = variance[:2].sum() / variance.sum() if variance.sum() else 0.0
    return centered @ two.T, f"principal components 1 and 2, {100 * share:.0f} % of the variance"
