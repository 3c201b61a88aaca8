"""What a network is made of, step by step, as a real run of it showed. Pure data; torch fills it in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Step:
    """One operation of the network in the order in which they ran, with what came out of it.

    `name` is the layer's own ("conv1", "block1.conv1"), empty for an operation without weights. `shape`
    leaves the batch out.
    """

    operation: str  # "Conv2d", "relu", "max_pool2d"
    name: str
    detail: str  # "5x5"; empty where there is nothing to say
    parameters: int
    shape: tuple[int, ...]  # (C, H, W)
    output: NDArray[np.float32]  # of that shape


@dataclass(frozen=True, eq=False)
class Anatomy:
    """A SimilarityModel as two images ran through it.

    `network` is the name of the class that both towers are of; `towers` are the steps of both images;
    `shared` says whether both went through the same layers.
    """

    network: str
    images: tuple[NDArray[np.uint8], NDArray[np.uint8]]  # (H, W) or (H, W, 3) each
    towers: tuple[tuple[Step, ...], tuple[Step, ...]]
    head: tuple[Step, ...]  # after both towers have met
    shared: bool
    parameters: int
    weight: float  # of the projection of the cosine
    bias: float

    @property
    def cosine(self) -> float:
        """What came out where the towers met."""
        return float(self.head[0].output.ravel()[0])

    @property
    def logit(self) -> float:
        """What came out at the end."""
        return float(self.head[-1].output.ravel()[0])


@dataclass(frozen=True, eq=False)
class Block:
    """Steps that are drawn as one: those up to a change of shape, and what follows without one."""

    steps: tuple[Step, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """What comes out of the block."""
        return self.steps[-1].shape

    @property
    def output(self) -> NDArray[Any]:
        """The values that came out."""
        return self.steps[-1].output


def blocks(steps: Sequence[Step]) -> tuple[Block, ...]:
    """Group a tower's steps: one that changes the shape, or scales to length 1, starts a block.

    Flattening changes no value, so it stays with the step after it.
    """
    grouped: list[list[Step]] = []
    for step in steps:
        previous = grouped[-1][-1] if grouped else None
        after_flatten = previous is not None and previous.operation == "flatten"
        same = previous is not None and previous.shape == step.shape and step.operation != "normalize"
        if same or after_flatten:
            grouped[-1].append(step)
        else:
            grouped.append([step])
    return tuple(Block(tuple(group)) for group in grouped)
