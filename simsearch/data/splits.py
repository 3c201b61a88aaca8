"""A split: images with what is known about them; and which training images are set aside for validation."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simsearch.data.collection import Skipped
from simsearch.prepare.inputs import Pictures

VALIDATION_IMAGES = 5_000
VALIDATION_SHARE = 0.15
LEAST_OF_A_CLASS = 4  # different pictures; of fewer, two cannot be held out and two be trained on
_HELD_OUT_OF_A_CLASS = 2
_SEED = 60_000


@dataclass(frozen=True, eq=False)
class Split:
    """Images with what is known about them, row by row."""

    images: Pictures  # (N, H, W) gray, light ink on dark for digits, or (N, H, W, 3) RGB
    labels: NDArray[np.int64] | None  # (N,), None when unlabeled
    sources: Sequence[str]  # N strings: "mnist/test/17", or a path relative to the given folder
    name: str  # "mnist-test"
    classes: tuple[str, ...] = ()  # classes[label] is the class's name
    sha256: Mapping[str, str] = field(default_factory=dict)  # data file -> hash; empty for image folders
    skipped: tuple[Skipped, ...] = ()  # files of a folder that were passed over
    root: str | None = None  # the folder that the sources are read from, for image folders

    def __post_init__(self) -> None:
        shape = self.images.shape
        if self.images.dtype != np.uint8 or not (len(shape) == 3 or (len(shape) == 4 and shape[3] == 3)):
            raise ValueError(
                f"images must be uint8 (N, H, W) or (N, H, W, 3), not {self.images.dtype} {shape}"
            )
        if len(self.sources) != len(self):
            raise ValueError(f"{len(self)} images but {len(self.sources)} sources")
        if self.labels is None:
            return
        if self.labels.dtype != np.int64 or self.labels.shape != (len(self),):
            raise ValueError(
                f"labels must be int64 ({len(self)},), not {self.labels.dtype} {self.labels.shape}"
            )
        if len(self) and not 0 <= self.labels.min() <= self.labels.max() < len(self.classes):
            raise ValueError(f"labels must lie in 0..{len(self.classes) - 1}, one class name each")

    def __len__(self) -> int:
        return len(self.images)

    def take(self, rows: Sequence[int] | NDArray[Any]) -> Split:
        """The split of these rows (indices or a mask), in this order."""
        chosen = np.arange(len(self))[rows]
        return replace(
            self,
            images=self.images[chosen],
            labels=None if self.labels is None else self.labels[chosen],
            sources=tuple(self.sources[row] for row in chosen),
        )


class HoldOut(NamedTuple):
    """Two disjoint sets of rows, int64, each ascending; together they are all rows."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]


def hold_out(total: int, count: int = VALIDATION_IMAGES) -> HoldOut:
    """Split rows 0..total-1 at random, the same way for every run, recipe and seed.

    :raises ValueError: If nothing would be left on one side.
    """
    if not 0 < count < total:
        raise ValueError(f"cannot hold out {count} of {total} images")
    order = np.random.default_rng(_SEED).permutation(total)
    return HoldOut(train=np.sort(order[count:]), validation=np.sort(order[:count]))


class StratifiedHoldOut(NamedTuple):
    """Rows to train on and to hold out, each ascending, and the classes that are too small for either."""

    part: HoldOut
    too_small: tuple[int, ...]


def stratified_hold_out(
    labels: NDArray[np.int64], contents: Sequence[str], share: float = VALIDATION_SHARE
) -> StratifiedHoldOut:
    """Hold out a share of each class, at least two pictures, the same for every run, recipe and seed.

    Copies stay together, whatever their classes, so that no picture that is held out is trained on under
    another name. Classes of fewer than four different pictures are left out of both sides.

    :param labels: Class of each row, int64 (N,).
    :param contents: What each row holds, N strings: equal for copies.
    :param share: Of the different pictures of each class.
    """
    copies: dict[str, list[int]] = {}
    for row, content in enumerate(contents):
        copies.setdefault(content, []).append(row)
    groups = [(rows, {int(labels[row]) for row in rows}) for rows in copies.values()]
    pictures = Counter(label for _, classes in groups for label in classes)
    too_small = {label for label, count in pictures.items() if count < LEAST_OF_A_CLASS}
    wanted = {label: max(_HELD_OUT_OF_A_CLASS, round(share * count)) for label, count in pictures.items()}
    held_out: list[int] = []
    for number in np.random.default_rng(_SEED).permutation(len(groups)):
        rows, classes = groups[number]
        classes = classes - too_small
        if classes and all(wanted[label] > 0 for label in classes):
            held_out += rows
            wanted.update({label: wanted[label] - 1 for label in classes})
    usable = ~np.isin(labels, sorted(too_small))
    chosen = np.zeros(len(labels), bool)
    chosen[held_out] = True
    part = HoldOut(np.flatnonzero(usable & ~chosen), np.flatnonzero(usable & chosen))
    return StratifiedHoldOut(part, tuple(sorted(too_small)))


def rows_sha256(rows: NDArray[np.int64]) -> str:
    """How a model's card names the rows that its training held out."""
    return hashlib.sha256(rows.astype("<i8").tobytes()).hexdigest()
