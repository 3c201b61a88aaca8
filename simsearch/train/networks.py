"""Which network is trained, by name, and what becomes of pictures before they enter it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from simsearch.encode.model_folder import ModelCard
from simsearch.encode.reference import EMBEDDING_NET, RESIDUAL
from simsearch.errors import BadInputError, BrokenModelError
from simsearch.prepare.inputs import ImageInput
from simsearch.prepare.photo import PHOTO_VERSION
from simsearch.prepare.pictures import DIGITS
from simsearch.prepare.prepare import DIGIT
from simsearch.text import did_you_mean
from simsearch.train.augment import augmentation
from simsearch.train.model import EmbeddingNet
from simsearch.train.photo_augment import PhotoAugmentation
from simsearch.train.recipes import OF_DIGITS, OF_PHOTOS, Recipe
from simsearch.train.residual import ResidualNet

NETWORKS: Mapping[str, Callable[[int, int, int], nn.Module]] = {
    EMBEDDING_NET: EmbeddingNet,
    RESIDUAL: ResidualNet,
}
LEAST_SIDE = 8  # pixels
_LONGEST = 4  # times the shorter side
_MEAN, _STD = 0.5, 0.25  # of a photo's pixels, roughly

Prepare = Callable[[Tensor, torch.Generator], Tensor]  # a batch as it is kept -> augmented


class Network(Protocol):
    """What a run trains."""

    @property
    def key(self) -> str:
        """Equal for networks whose runs can continue each other."""

    def build(self) -> nn.Module:
        """A new one, its weights from torch's generator."""

    def keep(self, images: Any) -> Tensor:
        """Images as they are kept in memory during a run."""

    def enter(self, batch: Tensor) -> Tensor:
        """A batch of these as the network takes them, float32."""

    def augmentation(self, recipe: Recipe) -> Prepare:
        """What a batch of training images, as they are kept, goes through before that.

        :raises BadInputError: If the recipe asks for what these images have no use for.
        """


@dataclass(frozen=True)
class ImageNetwork:
    """A network from scratch."""

    name: str = EMBEDDING_NET
    input: ImageInput = DIGIT

    @property
    def key(self) -> str:
        """Name and input."""
        return f"{self.name} {self.input}"

    def build(self) -> nn.Module:
        """A new one."""
        return NETWORKS[self.name](self.input.channels, self.input.height, self.input.width)

    def keep(self, images: Any) -> Tensor:
        """Digits as float32 (N, 1, H, W), normalized; other pictures as uint8 (N, C, H, W)."""
        if self.input.preparation == DIGITS:
            return torch.from_numpy(self.input.to_batch(images))
        pictures = torch.from_numpy(images)
        return pictures.permute(0, 3, 1, 2).contiguous() if pictures.ndim == 4 else pictures[:, None]

    def enter(self, batch: Tensor) -> Tensor:
        """Normalized, float32 (N, C, H, W)."""
        if batch.dtype != torch.uint8:
            return batch
        mean, std = (torch.tensor(values, device=batch.device).view(-1, 1, 1) for values in self._scale)
        return (batch.float() / 255 - mean) / std

    @property
    def _scale(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        return self.input.mean, self.input.std

    def augmentation(self, recipe: Recipe) -> Prepare:
        """That of digits, or of other pictures."""
        digits = self.input.preparation == DIGITS
        for field in OF_PHOTOS if digits else OF_DIGITS:
            if getattr(recipe, field):
                other = "other pictures" if digits else "digits"
                raise BadInputError(
                    f"{field} of the recipe {recipe.name} is for {other}",
                    hint=f"leave it out: --set {field}=0",
                )
        return augmentation(recipe) if digits else PhotoAugmentation(recipe, self.input)


DIGIT_NETWORK = ImageNetwork()


def photo_input(size: tuple[int, int], channels: int) -> ImageInput:
    """What a network from scratch takes of pictures of any kind.

    :param size: Width and height.
    :raises BadInputError: If no network here takes such pictures.
    """
    if min(size) < LEAST_SIDE:
        raise BadInputError(
            f"pictures of {size[0]}x{size[1]} pixels are too small", f"{LEAST_SIDE} are the least"
        )
    if max(size) > _LONGEST * min(size):
        raise BadInputError(
            f"pictures of {size[0]}x{size[1]} pixels are too long",
            f"{_LONGEST} times as long as wide is the most",
        )
    try:
        return ImageInput("photo", PHOTO_VERSION, *size, channels, (_MEAN,) * channels, (_STD,) * channels)
    except ValueError as error:
        raise BadInputError(str(error)) from error


def check_network(name: str) -> None:
    """Refuse a name of no network.

    :raises BadInputError: Naming those there are.
    """
    if name not in NETWORKS:
        guess = did_you_mean(name, NETWORKS)
        raise BadInputError(f"there is no network {name!r}", f"{guess}choose one of: {', '.join(NETWORKS)}")


def network_of(card: ModelCard) -> ImageNetwork:
    """The network that a model's checkpoint holds; EmbeddingNet where its card says nothing.

    :raises BrokenModelError: If it is none of these.
    """
    name = card.training.get("network", EMBEDDING_NET)
    if name not in NETWORKS:
        raise BrokenModelError(
            f"{card.name} holds no network that was trained from scratch, but {str(name)[:50]!r}"
        )
    return ImageNetwork(name, card.input)
