"""Bring an encoder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from simsearch.cli.options import ThreadsOption
from simsearch.errors import BadInputError, require

if TYPE_CHECKING:
    from simsearch.encode.model_folder import ModelCard

_SETS = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
}


def import_model(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="An ONNX file; or efficientnet-lite0, or torchvision:NAME (extra photos)."
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="Folder of the model; models/NAME by default.")] = None,
    size: Annotated[str, typer.Option(help="Pixels of its pictures: a side, or WIDTHxHEIGHT.")] = "224",
    channels: Annotated[int, typer.Option(help="3 for colors, 1 for grays.")] = 3,
    mean: Annotated[str | None, typer.Option(help="Of pixels in 0 to 1, a channel each.")] = None,
    std: Annotated[str | None, typer.Option(help="Of pixels in 0 to 1, a channel each.")] = None,
    like: Annotated[
        Literal["imagenet", "clip"], typer.Option(help="Whose mean and std, if not given.")
    ] = "imagenet",
    fit: Annotated[
        Literal["letterbox", "crop", "stretch"], typer.Option(help="How pictures of another shape fit.")
    ] = "letterbox",
    background: Annotated[
        int, typer.Option(min=0, max=255, help="Gray behind transparency and around letterboxes.")
    ] = 255,
    layout: Annotated[Literal["NCHW", "NHWC"], typer.Option(help="Order of the input's axes.")] = "NCHW",
    output: Annotated[str, typer.Option(help="Name of the output, if there are several.")] = "",
    pool: Annotated[
        Literal["none", "cls", "mean"], typer.Option(help="How a row of tokens becomes one vector.")
    ] = "none",
    threads: ThreadsOption = 0,
) -> None:
    """Import an ONNX image encoder as a model folder, for build-index --model.

    Example: simsearch import-model resnet50.onnx --out models/resnet50
    """
    from simsearch.encode.encoder import VectorOutput
    from simsearch.encode.imported import import_encoder, read_encoder
    from simsearch.prepare.inputs import ImageInput
    from simsearch.prepare.photo import PHOTO_VERSION

    if source.startswith("torchvision:") or (source == "efficientnet-lite0" and not Path(source).exists()):
        require("torch", "photos")
        from simsearch.train.published import published_encoder

        model, takes = published_encoder(source)
        folder = out or Path("models") / source.rpartition(":")[2]
        reading = VectorOutput(normalize=True)
        _say(
            folder, import_encoder(model, folder, input=takes, output=reading, source=source, threads=threads)
        )
        return
    width, height = _size(size)
    means, stds = _SETS[like] if channels == 3 else ((0.5,), (0.5,))
    try:
        takes = ImageInput(
            "photo",
            PHOTO_VERSION,
            width,
            height,
            channels,
            _numbers(mean) or means,
            _numbers(std) or stds,
            fit,
            background,
            layout,
        )
    except ValueError as error:
        raise BadInputError(str(error)) from error
    folder = out or Path("models") / Path(source).stem
    card = import_encoder(
        read_encoder(Path(source)),
        folder,
        input=takes,
        output=VectorOutput(output, pool, normalize=True),
        source=Path(source).name,
        threads=threads,
    )
    _say(folder, card)


def _say(folder: Path, card: ModelCard) -> None:
    made = f"{card.dim}-dimensional vectors of {card.input.width}x{card.input.height} pictures"
    typer.echo(f"{folder}: {card.parameters:,} parameters, {made}")


def _size(text: str) -> tuple[int, int]:
    sides = text.lower().split("x")
    if not all(side.isascii() and side.isdigit() and len(side) < 6 for side in sides) or len(sides) > 2:
        raise BadInputError(f"{text!r} is no size", hint="give a side, such as 224, or 224x160")
    return int(sides[0]), int(sides[-1])


def _numbers(text: str | None) -> tuple[float, ...]:
    if text is None:
        return ()
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise BadInputError(f"{text!r} are no numbers", hint="separate them by commas: 0.5,0.5,0.5") from None
