"""Bring an encoder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from simsearch.cli.options import ThreadsOption
from simsearch.errors import BadInputError, require
from simsearch.text import printable

if TYPE_CHECKING:
    from simsearch.encode.model_folder import ModelCard
    from simsearch.prepare.inputs import ImageInput

_SETS = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
}


@dataclass(frozen=True)
class EncoderInput:
    """What pictures an ONNX file takes, and how its vectors are read, where the file does not say."""

    size: Annotated[str, typer.Option(help="Pixels of its pictures: a side, or WIDTHxHEIGHT.")] = "224"
    channels: Annotated[int, typer.Option(help="3 for colors, 1 for grays.")] = 3
    mean: Annotated[str | None, typer.Option(help="Of pixels in 0 to 1, a channel each.")] = None
    std: Annotated[str | None, typer.Option(help="Of pixels in 0 to 1, a channel each.")] = None
    like: Annotated[Literal["imagenet", "clip"], typer.Option(help="Whose mean and std, if not given.")] = (
        "imagenet"
    )
    fit: Annotated[
        Literal["letterbox", "crop", "stretch"], typer.Option(help="How pictures of another shape fit.")
    ] = "letterbox"
    background: Annotated[
        int, typer.Option(min=0, max=255, help="Gray behind transparency and around letterboxes.")
    ] = 255
    layout: Annotated[Literal["NCHW", "NHWC"], typer.Option(help="Order of the input's axes.")] = "NCHW"
    output: Annotated[str, typer.Option(help="Name of the output, if there are several.")] = ""
    pool: Annotated[
        Literal["none", "cls", "mean"], typer.Option(help="How a row of tokens becomes one vector.")
    ] = "none"


def import_model(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="An ONNX file; or efficientnet-lite0, or torchvision:NAME (extra photos)."
        ),
    ],
    *,
    out: Annotated[Path | None, typer.Option(help="Folder of the model; models/NAME by default.")] = None,
    takes: EncoderInput,
    threads: ThreadsOption = 0,
) -> None:
    """Import an ONNX image encoder as a model folder, for build-index --model.

    Example: simsearch import-model resnet50.onnx --out models/resnet50
    """
    from simsearch.encode.encoder import VectorOutput
    from simsearch.encode.imported import import_encoder, read_encoder

    if source.startswith("torchvision:") or (source == "efficientnet-lite0" and not Path(source).exists()):
        require("torch", "photos")
        from simsearch.train.published import published_encoder

        name = source.rpartition(":")[2]
        model, input = published_encoder(source)
        output = VectorOutput(normalize=True)
    else:
        name, input = Path(source).stem, _input(takes)
        model = read_encoder(Path(source))
        output = VectorOutput(takes.output, takes.pool, normalize=True)
    folder = out or Path("models") / name
    card = import_encoder(
        model, folder, input=input, output=output, source=Path(source).name, threads=threads
    )
    _say(folder, card)


def _input(takes: EncoderInput) -> ImageInput:
    """What the options say.

    :raises BadInputError: If no picture can be brought to it.
    """
    from simsearch.prepare.inputs import ImageInput, parse_size
    from simsearch.prepare.photo import PHOTO_VERSION

    width, height = parse_size(takes.size)
    mean, std = _SETS[takes.like] if takes.channels == 3 else ((0.5,), (0.5,))
    try:
        return ImageInput(
            preparation="photo",
            version=PHOTO_VERSION,
            width=width,
            height=height,
            channels=takes.channels,
            mean=_numbers(takes.mean) or mean,
            std=_numbers(takes.std) or std,
            fit=takes.fit,
            background=takes.background,
            layout=takes.layout,
        )
    except ValueError as error:
        raise BadInputError(str(error)) from error


def _say(folder: Path, card: ModelCard) -> None:
    made = f"{card.dim}-dimensional vectors of {card.input.width}x{card.input.height} pictures"
    typer.echo(f"{printable(str(folder))}: {card.parameters:,} parameters, {made}")


def _numbers(text: str | None) -> tuple[float, ...]:
    if text is None:
        return ()
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise BadInputError(f"{text!r} are no numbers", hint="separate them by commas: 0.5,0.5,0.5") from None
