"""Which images a model's training held out: those that it may be calibrated on."""

from __future__ import annotations

from dataclasses import replace

from simsearch.data.splits import VALIDATION_IMAGES, VALIDATION_SHARE, HoldOut, Split, hold_out, rows_sha256
from simsearch.encode.model_folder import ModelCard
from simsearch.errors import BadInputError


def held_out_of(card: ModelCard) -> tuple[int, float | None]:
    """How many images a model's training held out at most, and which share of each class.

    None for the share of a model from before there was one, whose training held out so many at random.
    """
    recipe = card.training.get("recipe")
    said = recipe if isinstance(recipe, dict) else {}
    most, share = said.get("held_out_images"), said.get("held_out_share")
    return (
        most if type(most) is int else VALIDATION_IMAGES,
        share if type(share) is float else None if said else VALIDATION_SHARE,
    )


def validation_split(card: ModelCard, train: Split, part: HoldOut | None = None) -> Split:
    """The images of a training split that a model's training held out.

    :param part: Which these are; None draws as many as the card says, as the training of digits does.
    :raises BadInputError: If the split has no labels, or the card says that it was trained on another.
    """
    try:
        part = part or hold_out(len(train), held_out_of(card)[0])
    except ValueError as error:
        raise BadInputError(f"{train.name} cannot be calibrated on: {error}") from error
    rows = part.validation
    said = card.training.get("held_out_rows_sha256")
    data = card.training.get("data_sha256") or {}
    if (said is not None and said != rows_sha256(rows)) or (
        train.sha256 and data and dict(train.sha256) != data
    ):
        raise BadInputError(
            f"{card.name} was not trained on {train.name}, so which images it never saw is not known",
            hint="name the dataset that it was trained on: --dataset",
        )
    name = train.name.removesuffix("-train")
    return replace(train.take(rows), name=f"{name}-held-out")


def was_trained_on(card: ModelCard, root: str | None) -> bool:
    """Whether a model was trained on the images of a folder."""
    return root is not None and root == card.training.get("root")
