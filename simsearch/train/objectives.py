"""Which pairs a training step compares: random pairs drawn beforehand, or every pair inside a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from simsearch.errors import BadInputError
from simsearch.stats.pairs import PairTable, draw_pairs
from simsearch.train.augment import Augmentation
from simsearch.train.model import SimilarityModel
from simsearch.train.pairs import PairBatch, PairDataset, as_is
from simsearch.train.recipes import Recipe

# Names of the independent random streams of one seed; each epoch has its own part of each.
_PAIR_STREAM, _ORDER_STREAM, _AUGMENTATION_STREAM = 1, 2, 3


class PairLogits(NamedTuple):
    """What a step compares: P pairs with logits, truth and weights, and how many samples they are of."""

    logits: Tensor  # (P,)
    same: Tensor  # (P,), 1 for one class, else 0
    weights: Tensor | None  # (P,), of sum 1; None for equal ones
    samples: int


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
    ) -> None:
        """Draw pairs of normalised images, float32 (N, 1, H, W)."""
        self._recipe, self._images, self._labels = recipe, images, labels
        self._seed, self._device, self._workers = seed, device, workers
        self._augment = augmentation(recipe)

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
            if self._augment:
                first, second = self._augment(first, generator), self._augment(second, generator)

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
    """

    def __init__(
        self,
        recipe: Recipe,
        images: Tensor,
        labels: NDArray[np.int64],
        *,
        seed: int,
        device: torch.device,
    ) -> None:
        """Batch normalised images, float32 (N, 1, H, W).

        :raises BadInputError: If there are fewer images than a batch holds.
        """
        if len(images) < recipe.batch_size:
            raise BadInputError(
                f"{len(images)} training images do not fill a batch of {recipe.batch_size}",
                hint="choose a smaller one with --set batch_size=NUMBER",
            )
        self._images = images.to(device)
        self._labels = torch.from_numpy(labels).to(device)
        self._batch_size, self._seed, self._device = recipe.batch_size, seed, device
        self._augment = augmentation(recipe)
        self._pairs = torch.triu_indices(recipe.batch_size, recipe.batch_size, offset=1, device=device)

    @property
    def steps(self) -> int:
        """Steps an epoch; an incomplete last batch is left out."""
        return len(self._images) // self._batch_size

    def epoch(self, epoch: int) -> Iterator[Callable[[SimilarityModel], PairLogits]]:
        """The steps of an epoch."""
        order = np.random.default_rng([self._seed, _ORDER_STREAM, epoch]).permutation(len(self._images))
        generator = torch_generator(self._seed, _AUGMENTATION_STREAM, epoch)
        rows = torch.from_numpy(order).to(self._device)
        for batch in torch.split(rows[: self.steps * self._batch_size], self._batch_size):
            images, labels = self._images[batch], self._labels[batch]
            if self._augment:
                images = self._augment(images, generator)

            def step(model: SimilarityModel, images: Tensor = images, labels: Tensor = labels) -> PairLogits:
                return self._compare(model, model.embedding(images), labels)

            yield step

    def _compare(self, model: SimilarityModel, vectors: Tensor, labels: Tensor) -> PairLogits:
        first, second = self._pairs
        with torch.autocast(self._device.type, enabled=False):
            exact = vectors.float()
            similarity = (exact @ exact.T)[first, second]  # (P,)
            logits = model.project(similarity)
        same = (labels[first] == labels[second]).float()
        positives = same.sum().clamp(min=1)
        negatives = (1 - same).sum().clamp(min=1)
        weights = torch.where(same > 0, 0.5 / positives, 0.5 / negatives)
        return PairLogits(logits, same, weights, len(labels))


def make_objective(
    recipe: Recipe,
    images: Tensor,
    labels: NDArray[np.int64],
    *,
    seed: int,
    device: torch.device,
    workers: int = 0,
) -> Objective:
    """The objective that a recipe names."""
    if recipe.pairing == "sampled":
        return SampledPairs(recipe, images, labels, seed=seed, device=device, workers=workers)
    return BatchPairs(recipe, images, labels, seed=seed, device=device)


def augmentation(recipe: Recipe) -> Augmentation:
    """A recipe's augmentation."""
    return Augmentation(**{field.name: getattr(recipe, field.name) for field in fields(Augmentation)})


def draw_training_pairs(
    labels: NDArray[np.int64], count: int, rng: np.random.Generator, part: str
) -> PairTable:
    """As `draw_pairs`, refusing labels that cannot be paired in words for the user.

    :raises BadInputError: If there are fewer than two classes, or a class has a single image.
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
