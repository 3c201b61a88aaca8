"""The networks in numpy, from the weights of a checkpoint: a second opinion of what an encoder should give.

It shares nothing with torch or onnxruntime, and folds nothing. It is slow; the check of a model uses it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from simsearch.encode.checkpoint import Weights
from simsearch.prepare.inputs import ImageInput

EMBEDDING_NET, RESIDUAL = "embedding-net", "residual"
KNOWN = (EMBEDDING_NET, RESIDUAL)
_DIM = 128
_EPSILON = 1e-5  # of batch normalization, as torch has it
_PARTS = ("weight", "bias", "running_mean", "running_var")  # of batch normalization
_WIDTHS = (24, 56, 96)  # of the residual network, at full, half and quarter resolution
_LARGEST = 32  # pixels a side, at most, at full resolution

Array = NDArray[np.float64]
Shapes = dict[str, tuple[int, ...]]


def shapes_of(network: str, input: ImageInput) -> Shapes:
    """The tensors that a checkpoint of one of the known networks has, for such pictures."""
    layers = dict(_residual_layers(input) if network == RESIDUAL else _embedding_layers(input))
    shapes: Shapes = {f"embedding.{name}": shape for name, shape in layers.items()}
    return shapes | {"projection.weight": (1, 1), "projection.bias": (1,)}


def embed(network: str, weights: Weights, images: NDArray[np.float32]) -> Array:
    """The vectors of images by one of the known networks.

    :param weights: Of `shapes_of`.
    :param images: Normalized, float32 (N, C, H, W).
    :return: Unit rows, float64 (N, 128); not finite where the weights are not.
    """
    wide = {name.removeprefix("embedding."): array.astype(np.float64) for name, array in weights.items()}
    maps = _residual_maps if network == RESIDUAL else _embedding_maps
    last = "norm5" if network == RESIDUAL else "norm3"
    with np.errstate(all="ignore"):
        x = np.stack([maps(image[None].astype(np.float64), wide).reshape(-1) for image in images])
        x = x @ wide["linear.weight"].T + wide["linear.bias"]  # (N, 128)
        x = np.maximum(_normalized(x, wide, last), 0)
        vectors: Array = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    return vectors


def _embedding_maps(x: Array, wide: dict[str, Array]) -> Array:
    """What EmbeddingNet's linear layer sees of an image (1, C, H, W)."""
    for number in (1, 2):
        x = _convolved(x, wide[f"conv{number}.weight"]) + wide[f"conv{number}.bias"][:, None, None]
        x = np.maximum(_pooled(_normalized(x, wide, f"norm{number}")), 0)  # (1, 32, 14, 14), (1, 64, 7, 7)
    return x


def _residual_maps(x: Array, wide: dict[str, Array]) -> Array:
    """What the residual network's linear layer sees of an image (1, C, H, W)."""

    def step(x: Array, conv: str, norm: str, stride: int = 1) -> Array:
        return _normalized(_convolved(x, wide[f"{conv}.weight"], stride), wide, norm)

    def block(x: Array, name: str) -> Array:
        inner = np.maximum(step(x, f"{name}.conv1", f"{name}.norm1"), 0)
        return np.maximum(x + step(inner, f"{name}.conv2", f"{name}.norm2"), 0)

    for number in range(sum(name.startswith("stem.") and name.endswith(".0.weight") for name in wide)):
        x = np.maximum(step(x, f"stem.{number}.0", f"stem.{number}.1", stride=2), 0)
    x = np.maximum(step(x, "conv1", "norm1"), 0)  # (1, 24, H, W)
    x = np.maximum(_pooled(step(x, "conv2", "norm2")), 0)
    x = block(np.maximum(step(x, "conv3", "norm3"), 0), "block1")  # (1, 56, H/2, W/2)
    x = _pooled(x)
    return block(np.maximum(step(x, "conv4", "norm4"), 0), "block2")  # (1, 96, H/4, W/4)


def _embedding_layers(input: ImageInput) -> Iterator[tuple[str, tuple[int, ...]]]:
    for number, inputs, outputs in ((1, input.channels, 32), (2, 32, 64)):
        yield f"conv{number}.weight", (outputs, inputs, 5, 5)
        yield f"conv{number}.bias", (outputs,)
        yield from _norm(f"norm{number}", outputs)
    yield from _end(64 * (input.height // 4) * (input.width // 4), "norm3")


def _residual_layers(input: ImageInput) -> Iterator[tuple[str, tuple[int, ...]]]:
    first, second, third = _WIDTHS
    halvings = max(0, (max(input.height, input.width) - 1) // _LARGEST).bit_length()
    inputs, height, width = input.channels, input.height, input.width
    for number in range(halvings):
        yield f"stem.{number}.0.weight", (first, inputs, 3, 3)
        yield from _norm(f"stem.{number}.1", first)
        inputs, height, width = first, (height + 1) // 2, (width + 1) // 2
    steps = (
        ("", 1, inputs, first), ("", 2, first, first), ("", 3, first, second), ("", 4, second, third),
        ("block1.", 1, second, second), ("block1.", 2, second, second),
        ("block2.", 1, third, third), ("block2.", 2, third, third),
    )  # fmt: skip
    for place, number, fan_in, fan_out in steps:
        yield f"{place}conv{number}.weight", (fan_out, fan_in, 3, 3)
        yield from _norm(f"{place}norm{number}", fan_out)
    yield from _end(third * (height // 4) * (width // 4), "norm5")


def _end(inputs: int, norm: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield "linear.weight", (_DIM, inputs)
    yield "linear.bias", (_DIM,)
    yield from _norm(norm, _DIM)


def _norm(name: str, size: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for part in _PARTS:
        yield f"{name}.{part}", (size,)


def _convolved(x: Array, weight: Array, stride: int = 1) -> Array:
    """Cross-correlation, padded so that a stride of one keeps the size."""
    pad = weight.shape[-1] // 2
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = sliding_window_view(padded, weight.shape[-2:], axis=(2, 3))  # (N, C, H, W, 5, 5)
    windows = windows[:, :, ::stride, ::stride]
    return np.moveaxis(np.tensordot(windows, weight, axes=((1, 4, 5), (1, 2, 3))), -1, 1)  # (N, O, H, W)


def _normalized(x: Array, weights: dict[str, Array], layer: str) -> Array:
    """Batch normalization by the averages of training (Ioffe and Szegedy 2015)."""
    scale, shift, mean, variance = (
        weights[f"{layer}.{part}"].reshape(-1, *[1] * (x.ndim - 2)) for part in _PARTS
    )
    return (x - mean) / np.sqrt(variance + _EPSILON) * scale + shift


def _pooled(x: Array) -> Array:
    """The largest of each two by two; an odd last row or column is left out."""
    n, channels, height, width = x.shape
    even = x[:, :, : height // 2 * 2, : width // 2 * 2]
    pooled: Array = even.reshape(n, channels, height // 2, 2, width // 2, 2).max(axis=(3, 5))
    return pooled
