"""EmbeddingNet in numpy, from the weights of a checkpoint: a second opinion of what an encoder should give.

It shares nothing with torch or onnxruntime, and folds nothing. It is slow; the check of a model uses it.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from simsearch.encode.checkpoint import Weights

SHAPES: dict[str, tuple[int, ...]] = {
    "embedding.conv1.weight": (32, 1, 5, 5),
    "embedding.conv1.bias": (32,),
    "embedding.conv2.weight": (64, 32, 5, 5),
    "embedding.conv2.bias": (64,),
    "embedding.linear.weight": (128, 64 * 7 * 7),
    "embedding.linear.bias": (128,),
    "projection.weight": (1, 1),
    "projection.bias": (1,),
}
for _layer, _size in (("norm1", 32), ("norm2", 64), ("norm3", 128)):
    SHAPES |= {
        f"embedding.{_layer}.{_part}": (_size,) for _part in ("weight", "bias", "running_mean", "running_var")
    }
_EPSILON = 1e-5  # of batch normalization, as torch has it

Array = NDArray[np.float64]


def embed(weights: Weights, images: NDArray[np.float32]) -> Array:
    """The vectors of images.

    :param weights: Of `SHAPES`.
    :param images: Normalized, float32 (N, 1, H, W) of digits.
    :return: Unit rows, float64 (N, 128); not finite where the weights are not.
    """
    wide = {name.removeprefix("embedding."): array.astype(np.float64) for name, array in weights.items()}
    with np.errstate(all="ignore"):
        x = images.astype(np.float64)  # (N, 1, H, W)
        for number in (1, 2):
            x = _convolved(x, wide[f"conv{number}.weight"], wide[f"conv{number}.bias"])
            x = np.maximum(
                _pooled(_normalized(x, wide, f"norm{number}")), 0
            )  # (N, 32, 14, 14), (N, 64, 7, 7)
        x = x.reshape(len(x), -1) @ wide["linear.weight"].T + wide["linear.bias"]  # (N, 128)
        x = np.maximum(_normalized(x, wide, "norm3"), 0)
        vectors: Array = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    return vectors


def _convolved(x: Array, weight: Array, bias: Array) -> Array:
    """Cross-correlation, padded to the same size."""
    pad = weight.shape[-1] // 2
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = sliding_window_view(padded, weight.shape[-2:], axis=(2, 3))  # (N, C, H, W, 5, 5)
    summed = np.tensordot(windows, weight, axes=((1, 4, 5), (1, 2, 3)))  # (N, H, W, O)
    return np.moveaxis(summed, -1, 1) + bias[:, None, None]


def _normalized(x: Array, weights: dict[str, Array], layer: str) -> Array:
    """Batch normalization by the averages of training (Ioffe and Szegedy 2015)."""
    scale, shift, mean, variance = (
        weights[f"{layer}.{part}"].reshape(-1, *[1] * (x.ndim - 2))
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    return (x - mean) / np.sqrt(variance + _EPSILON) * scale + shift


def _pooled(x: Array) -> Array:
    """The largest of each two by two."""
    n, channels, height, width = x.shape
    pooled: Array = x.reshape(n, channels, height // 2, 2, width // 2, 2).max(axis=(3, 5))
    return pooled
