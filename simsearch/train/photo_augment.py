"""Random augmentation of pictures other than digits, through torchvision: crops, mirror images, colors."""

from __future__ import annotations

import torch
from torch import Tensor

from simsearch.prepare.inputs import ImageInput
from simsearch.train.recipes import Recipe

_NARROWEST = 3 / 4  # width over height of a crop, and the inverse
_HUES = 0.1  # of the other changes of color


class PhotoAugmentation:
    """What each picture of a batch goes through before a training step, each by itself."""

    def __init__(self, recipe: Recipe, input: ImageInput) -> None:
        """Make a recipe's: what it leaves at 0 is left out."""
        from torchvision.transforms import v2

        steps: list[torch.nn.Module] = []
        if recipe.crop:
            size, ratios = (input.height, input.width), (_NARROWEST, 1 / _NARROWEST)
            steps.append(
                v2.RandomResizedCrop(size, scale=(1 - recipe.crop, 1.0), ratio=ratios, antialias=True)
            )
        if recipe.flip:
            steps.append(v2.RandomHorizontalFlip(recipe.flip))
        if recipe.color:
            share = recipe.color if input.channels > 1 else 0.0  # grays have neither hue nor saturation
            steps.append(v2.ColorJitter(recipe.color, recipe.color, share, share * _HUES))
        self._transform = v2.Compose(steps) if steps else None

    def __call__(self, pictures: Tensor, generator: torch.Generator) -> Tensor:
        """Change pictures, uint8 (N, C, H, W), at random; torchvision draws from torch's own generator."""
        if self._transform is None:
            return pictures
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
            return torch.stack([self._transform(picture) for picture in pictures])
