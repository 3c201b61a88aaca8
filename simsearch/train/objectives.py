"""Which pairs a training step compares: random pairs drawn beforehand, or every pair inside a batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from simsearch.errors import BadInputError
from simsearch.stats.pairs import PairTable, draw_pairs
from simsearch.train.model import SimilarityModel
from simsearch.train.networks import DIGIT_NETWORK, Network
from simsearch.train.pairs import PairBatch, PairDataset, as_is
from simsearch.train.recipes import Recipe

# Names of the independent random streams of one seed; each epoch has its own part of each.
_PAIR_STREAM, _ORDER_STREAM, _AUGMENTATION_STREAM, _OUTLIER_STREAM = 1, 2, 3, 5


class PairLogits(NamedTuple):
    """What a step compares: P pairs with logits, truth and weights, and how many samples they are of."""

    logits: Tensor  # (P,)
    same: Tensor  # (P,), 1 for one class, else 0
    weights: Tensor | None  # (P,), of sum 1; None for equal ones
    samples: int


def pair_loss(logits: Tensor, same: Tensor, weights: Tensor | None) -> Tensor:
    """Binary cross-entropy of pairs, weighted where weights are given; float32, ()."""
    if weights is None:
        return F.binary_cross_entropy_with_logits(logits, same)
    return F.binary_cross_entropy_with_logits(logits, same, weights, reduction="sum")


def pair_accuracy(logits: Tensor, same: Tensor, weights: Tensor | None) -> Tensor:
    """Share of pairs on the right side of probability 0.5, weighted like the loss; float64, ()."""
    right = ((logits > 0) == (same > 0)).double()  # (P,)
    return right.mean() if weights is None else (right * weights).sum()


class Objective(Protocol):
    """An endless supply of training steps, the same for the same seed and epoch."""

    @property
    def steps(self) -> int:
        """Steps an epoch."""

    def epoch(self, epoch: int) -> Iterator[Callable[[SimilarityModel], PairLogits]]:
        """The steps of an epoch: each a function that puts its images through a model."""


class SampledPairs:
    """Fresh balanced random pairs in every epoch, both images of a pair embedded on their own."""

    def __init__(
        self,
        recipe: Recipe,
        images: Tensor,
        labels: NDArray[np.int64],
        *,
        seed: int,
        device: torch.device,
        workers: int,
        network: Network = DIGIT_NETWORK,
    ) -> None:
        """Draw pairs of images, as their network keeps them."""
        self._recipe, self._images, self._labels = recipe, images, labels
        self._seed, self._device, self._workers = seed, device, workers
        self._augment, self._network = network.augmentation(recipe), network

    @property
    def steps(self) -> int:
        """Steps an epoch."""
        return -(-self._recipe.pairs_per_epoch // self._recipe.batch_size)

    def epoch(self, epoch: int) -> Iterator[Callable[[SimilarityModel], PairLogits]]:
        """The steps of an epoch."""
        rng = np.random.default_rng([self._seed, _PAIR_STREAM, epoch])
        table = draw_training_pairs(self._labels, self._recipe.pairs_per_epoch, rng, "training")
        generator = torch_generator(self._seed, _AUGMENTATION_STREAM, epoch)
        for batch in self._loader(PairDataset(self._images, table)):
            first, second, same = (part.to(self._device, non_blocking=True) for part in batch)
            first, second = (
                self._network.enter(self._augment(images, generator)) for images in (first, second)
            )

            def step(
                model: SimilarityModel, first: Tensor = first, second: Tensor = second, same: Tensor = same
            ) -> PairLogits:
                return PairLogits(model(first, second), same, None, len(same))

            yield step

    def _loader(self, dataset: PairDataset) -> DataLoader[PairBatch]:
        return DataLoader(
            dataset,
            batch_size=self._recipe.batch_size,
            collate_fn=as_is,
            num_workers=self._workers,
            pin_memory=self._device.type == "cuda",
        )


class BatchPairs:
    """Every image once an epoch, in random batches; each image is compared with all others of its batch.

    A batch of 256 is embedded once and gives 32,640 pairs. Pairs of one class and of two together have
    half of the weight each, so the loss is that of balanced pairs.

    With outliers some are put beside every batch, and compared with its images, though not with each other:
    Hendrycks, Mazeika, Dietterich, "Deep Anomaly Detection with Outlier Exposure", ICLR 2019.
    """

    def __init__(
        self,
        recipe: Recipe,
        images: Tensor,
        labels: NDArray[np.int64],
        *,
        seed: int,
        device: torch.device,
        network: Network = DIGIT_NETWORK,
        outliers: Tensor | None = None,
    ) -> None:
        """Batch images, as their network keeps them, and outliers of the same form.

        :raises BadInputError: If there are fewer images than a batch holds, and the recipe has no
            `least_steps`.
        """
        if recipe.least_steps:
            recipe = replace(recipe, batch_size=min(recipe.batch_size, len(images)))
        if len(images) < recipe.batch_size:
            raise BadInputError(
                f"{len(images)} training images do not fill a batch of {recipe.batch_size}",
                hint="choose a smaller one with --set batch_size=NUMBER",
            )
        self._images = images.to(device)
        self._labels = torch.from_numpy(labels).to(device)
        self._batch_size, self._seed, self._device = recipe.batch_size, seed, device
        self._augment, self._network = network.augmentation(recipe), network
        self._outliers = images[:0].to(device) if outliers is None else outliers.to(device)
        self._beside = 0 if outliers is None else round(recipe.outliers * recipe.batch_size)
        self._outlier_weight = recipe.outlier_weight if self._beside else 0.0
        self._others = 1 - torch.eye(recipe.batch_size, device=device)  # an image is no pair with itself
        self._steps = max(len(images) // recipe.batch_size, math.ceil(recipe.least_steps / recipe.epochs))

    @property
    def steps(self) -> int:
        """Steps an epoch; an incomplete last batch is left out."""
        return self._steps

    def epoch(self, epoch: int) -> Iterator[Callable[[SimilarityModel], PairLogits]]:
        """The steps of an epoch."""
        rng = np.random.default_rng([self._seed, _ORDER_STREAM, epoch])
        generator = torch_generator(self._seed, _AUGMENTATION_STREAM, epoch)
        outlier_rng = np.random.default_rng([self._seed, _OUTLIER_STREAM, epoch])
        for batch in self._batches(rng):
            images, labels = torch.cat([self._images[batch], self._draw(outlier_rng)]), self._labels[batch]
            images = self._network.enter(self._augment(images, generator))

            def step(model: SimilarityModel, images: Tensor = images, labels: Tensor = labels) -> PairLogits:
                return self._compare(model, model.embedding(images), labels)

            yield step

    def _batches(self, rng: np.random.Generator) -> Iterator[Tensor]:
        """The rows of each batch of an epoch; where that takes all images again, in another order."""
        once = len(self._images) // self._batch_size
        for start in range(0, self._steps, once):
            rows = torch.from_numpy(rng.permutation(len(self._images))).to(self._device)
            yield from torch.split(rows, self._batch_size)[: min(once, self._steps - start)]

    def _draw(self, rng: np.random.Generator) -> Tensor:
        """Outliers for one batch."""
        if not self._beside:
            return self._outliers
        rows = rng.choice(len(self._outliers), self._beside, replace=False)
        return self._outliers[torch.from_numpy(rows).to(self._device)]

    def _compare(self, model: SimilarityModel, vectors: Tensor, labels: Tensor) -> PairLogits:
        """All cells of the table of a batch with itself: each pair twice, with half of its weight.

        Taking each pair out of the table once would need a gradient that is put back cell by cell. The rows
        below it are outliers', each alike to none of the batch.

        :param vectors: Of the batch and the outliers beside it, (B + O, D).
        :param labels: Of the batch, (B,).
        """
        with torch.autocast(self._device.type, enabled=False):
            exact = vectors.float()
            logits = model.project(exact @ exact[: len(labels)].T)  # (B + O, B)
        same = (labels[:, None] == labels).float()  # (B, B)
        alike, unlike = same * self._others, 1 - same
        weights = alike * (0.5 / alike.sum().clamp(min=1)) + unlike * (0.5 / unlike.sum().clamp(min=1))
        beside = logits.new_zeros(len(vectors) - len(labels), len(labels))  # (O, B)
        share = self._outlier_weight / (1 + self._outlier_weight)
        weights = torch.cat([weights * (1 - share), beside + share / max(beside.numel(), 1)])
        return PairLogits(
            logits.flatten(), torch.cat([same, beside]).flatten(), weights.flatten(), len(labels)
        )


def make_objective(
    recipe: Recipe,
    images: Tensor,
    labels: NDArray[np.int64],
    *,
    seed: int,
    device: torch.device,
    workers: int = 0,
    network: Network = DIGIT_NETWORK,
    outliers: Tensor | None = None,
) -> Objective:
    """The objective that a recipe names."""
    if recipe.pairing == "sampled":
        return SampledPairs(
            recipe, images, labels, seed=seed, device=device, workers=workers, network=network
        )
    return BatchPairs(recipe, images, labels, seed=seed, device=device, network=network, outliers=outliers)


def draw_training_pairs(
    labels: NDArray[np.int64], count: int, rng: np.random.Generator, part: str
) -> PairTable:
    """As `draw_pairs`, refusing labels that cannot be paired in words for the user.

    :raises BadInputError: If there are fewer than two classes, or none has two images.
    """
    try:
        return draw_pairs(labels, count, rng)
    except ValueError as error:
        raise BadInputError(
            f"the {len(labels)} {part} images cannot be paired: {error}",
            hint="give every class more images, or change their share with --set held_out_images=NUMBER",
        ) from None


def torch_generator(seed: int, *stream: int) -> torch.Generator:
    """torch's generator for one of a seed's independent streams."""
    state = np.random.SeedSequence([seed, *stream]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))
