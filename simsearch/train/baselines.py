"""What a learned head is measured against: closed-form LDA and logistic regression on the same features."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from simsearch.encode.encoder import Vectors

SHRINKAGE = 0.5
_DECAY = 1e-3  # of the weights of logistic regression, on features of variance 1
_ITERATIONS = 15
_HISTORY = 10

Embed = Callable[[Vectors], Vectors]  # features (N, D) -> unit rows


def unit_rows(rows: NDArray[np.floating]) -> Vectors:
    """Rows brought to length 1; rows of nothing stay so."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, 1e-12), np.float32)


def fit_lda(features: Vectors, labels: NDArray[np.int64]) -> Embed:
    """Shrunken linear discriminant analysis: directions in which classes differ more than their images do.

    Fisher, "The use of multiple measurements in taxonomic problems", 1936; the covariance within classes is
    drawn half way towards a multiple of the identity (Friedman, "Regularized Discriminant Analysis", 1989).

    :return: What maps features to unit rows of at most as many numbers as there are classes, less one.
    """
    _, group, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    x = features.astype(np.float64)
    mean = x.mean(axis=0)
    sums = np.zeros((len(sizes), x.shape[1]))
    np.add.at(sums, group, x)
    means = sums / sizes[:, None]  # (C, D)
    within = x - means[group]
    covariance = within.T @ within / len(x)
    spread = np.trace(covariance) / len(covariance)
    covariance = (1 - SHRINKAGE) * covariance + (SHRINKAGE * spread + 1e-12) * np.eye(len(covariance))
    whiten = np.linalg.inv(np.linalg.cholesky(covariance)).T  # (D, D)
    between = (means - mean) @ whiten * np.sqrt(sizes / len(x))[:, None]
    directions = np.linalg.svd(between, full_matrices=False)[2][: max(1, len(sizes) - 1)]
    project = whiten @ directions.T  # (D, C - 1)
    return lambda rows: unit_rows((rows - mean) @ project)


def fit_logistic_regression(features: Vectors, labels: NDArray[np.int64]) -> Embed:
    """Multinomial logistic regression; the roots of its probabilities are unit rows (Hellinger).

    :return: What maps features to unit rows of as many numbers as there are classes.
    """
    classes, group = np.unique(labels, return_inverse=True)
    mean, scale = features.mean(axis=0), max(float(features.std(axis=0).mean()), 1e-6)
    x, truth = torch.from_numpy((features - mean) / scale), torch.from_numpy(group)
    weights = torch.zeros(len(classes), x.shape[1], requires_grad=True)
    bias = torch.zeros(len(classes), requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weights, bias], max_iter=_ITERATIONS, history_size=_HISTORY, line_search_fn="strong_wolfe"
    )

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = F.cross_entropy(F.linear(x, weights, bias), truth) + _DECAY / 2 * weights.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]

    def embed(rows: Vectors) -> Vectors:
        with torch.inference_mode():
            logits = F.linear(torch.from_numpy((rows - mean) / scale), weights, bias)
            return unit_rows(torch.softmax(logits, dim=1).sqrt().numpy())

    return embed
