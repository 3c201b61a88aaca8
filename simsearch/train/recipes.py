"""Training recipes as data: everything that distinguishes one way of training from another."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace

from simsearch.data.splits import VALIDATION_IMAGES, VALIDATION_SHARE
from simsearch.errors import BadInputError
from simsearch.text import did_you_mean


@dataclass(frozen=True)
class Recipe:
    """One way of training; saved with every run.

    `pairing` says which pairs are compared: "sampled" draws `pairs_per_epoch` fresh random pairs an
    epoch, half of them of one class; "batch" compares all images of a batch with each other, and an
    epoch sees every image once. `schedule` is "plateau" (the rate is multiplied by `plateau_factor`
    after more than `plateau_patience` epochs without an improvement) or "one-cycle" (a cosine up during
    the share `warm_up` of all steps, then down; Smith and Topin 2018).

    With an `average` above 0 the weights that are validated and kept are an exponential moving average
    of the trained ones, with that decay a step; with an `average_share` its horizon is that share of all
    steps, however many these are. With `least_steps` above 0 a run has at least so many: a set that is
    smaller than a batch is one, and an epoch goes through the images as often as that takes.
    After each epoch the loss on `validation_pairs` fixed pairs of validation images decides which weights
    are kept, or MAP@R of these images, each queried against the training images.
    With `outliers` above 0 each batch is given so many pictures of no class for each of its images, which
    shall be like none of them, see `simsearch.train.exposure`; `outlier_weight` is the weight of these pairs,
    where those of the batch have 1.
    The fields from `rotation` to `remains` are bounds of random augmentation of digits, see
    `simsearch.train.augment`; `crop`, `flip` and `color` are those of photographs, see
    `simsearch.train.photo_augment`.
    """

    name: str
    summary: str
    pairing: str
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    optimizer: str  # "adam", or "adamw", which decays only the weights of layers
    schedule: str
    pairs_per_epoch: int = 20_000
    plateau_patience: int = 2
    plateau_factor: float = 0.5
    warm_up: float = 0.2
    average: float = 0.0
    precision: str = "float32"  # or "bfloat16" inside the network, where the processor has it
    projection_weight: float = 10.0
    projection_bias: float = -5.0
    validation_pairs: int = 5_000
    held_out_images: int = VALIDATION_IMAGES  # of MNIST; of other sets at most so many
    held_out_share: float = VALIDATION_SHARE  # of each class, of sets other than MNIST
    choose: str = "loss"  # or "map-at-r"
    average_share: float = 0.0
    least_steps: int = 0
    rotation: float = 0.0  # degrees
    scale: float = 0.0  # of the logarithm of each side's scale
    shear: float = 0.0  # tangent of the slant
    shift: float = 0.0  # pixels
    perspective: float = 0.0  # how much nearer than the middle an edge may come
    elastic: float = 0.0  # pixels
    thickness: float = 0.0  # pixels
    blur: float = 0.0  # a share
    coarse: float = 0.0  # a share of the images
    remains: float = 0.0  # likewise
    outliers: float = 0.0  # for each image of a batch
    outlier_weight: float = 0.08
    crop: float = 0.0  # the largest share of a picture's area that is cut away
    flip: float = 0.0  # how often left and right change places
    color: float = 0.0  # by which share brightness, contrast and saturation change; a tenth of it of the hue
    classes: str = ""  # the classes to train on, separated by commas; empty for all of them


SIAMESE_PAIRS = Recipe(
    name="siamese-pairs",
    summary="random balanced pairs, binary cross-entropy on the projected cosine, Adam",
    pairing="sampled",
    epochs=30,
    batch_size=256,
    pairs_per_epoch=20_000,
    learning_rate=1e-2,
    weight_decay=1e-5,
    optimizer="adam",
    schedule="plateau",
)
BATCH_PAIRS = Recipe(
    name="batch-pairs",
    summary="every pair inside a batch, distortions of form and pen, one cycle, averaged weights",
    pairing="batch",
    epochs=45,
    batch_size=256,
    learning_rate=1e-2,
    weight_decay=2e-2,
    optimizer="adamw",
    schedule="one-cycle",
    average=0.999,
    precision="bfloat16",
    rotation=15.0,
    scale=0.15,
    shear=0.2,
    shift=2.0,
    perspective=0.1,
    elastic=0.8,
    thickness=1.0,
    blur=1.0,
)

OUTLIER_EXPOSURE = replace(
    BATCH_PAIRS,
    name="outlier-exposure",
    summary="as batch-pairs, and no digit is like letters, scribbles or what a page leaves around it",
    choose="map-at-r",
    scale=0.25,
    shear=0.3,
    perspective=0.15,
    elastic=1.0,
    coarse=0.25,
    remains=0.1,
    outliers=0.125,
)

PHOTO_PAIRS = Recipe(
    name="photo-pairs",
    summary="as batch-pairs, for pictures of any kind: random crops, mirror images, colors",
    pairing="batch",
    epochs=20,
    batch_size=256,
    learning_rate=1e-2,
    weight_decay=2e-2,
    optimizer="adamw",
    schedule="one-cycle",
    precision="bfloat16",
    choose="map-at-r",
    average_share=0.05,
    least_steps=800,
    crop=0.4,
    flip=0.5,
    color=0.3,
)
HEAD_PAIRS = Recipe(
    name="head-pairs",
    summary="a head on an encoder's features: every pair inside a batch, chosen by MAP@R",
    pairing="batch",
    epochs=5,
    batch_size=256,
    learning_rate=1e-2,
    weight_decay=2e-2,
    optimizer="adamw",
    schedule="one-cycle",
    choose="map-at-r",
    average_share=0.08,
    least_steps=500,
)

RECIPES = {
    recipe.name: recipe for recipe in (SIAMESE_PAIRS, BATCH_PAIRS, OUTLIER_EXPOSURE, PHOTO_PAIRS, HEAD_PAIRS)
}
DEFAULT_RECIPE = BATCH_PAIRS.name
_CHOICES = {
    "pairing": ("sampled", "batch"),
    "optimizer": ("adam", "adamw"),
    "schedule": ("plateau", "one-cycle"),
    "precision": ("float32", "bfloat16"),
    "choose": ("loss", "map-at-r"),
}
OF_DIGITS = (
    "rotation", "scale", "shear", "shift", "perspective", "elastic", "thickness", "blur", "coarse", "remains",
    "outliers",
)  # fmt: skip
OF_PHOTOS = ("crop", "flip", "color")
_AT_MOST = {
    "perspective": 0.4,
    "thickness": 1.0,
    "blur": 1.0,
    "coarse": 1.0,
    "remains": 1.0,
    "outliers": 4.0,
    "crop": 0.9,
    "flip": 1.0,
    "color": 1.0,
    "average_share": 1.0,
}
_FIXED = ("name", "summary")
_MOST = 10**7  # of any whole number: far above what is of use, far below what cannot be counted


def get_recipe(name: str) -> Recipe:
    """The recipe of that name.

    :raises BadInputError: If there is none.
    """
    if name not in RECIPES:
        guess = did_you_mean(name, RECIPES)
        raise BadInputError(
            f"there is no recipe {name!r}", hint=f"{guess}choose one of: {', '.join(RECIPES)}"
        )
    return RECIPES[name]


def configure(name: str, settings: Iterable[str] = ()) -> Recipe:
    """A recipe with some of its fields changed.

    :param settings: `field=value` each, such as `epochs=5`.
    :raises BadInputError: If a field does not exist, or a value is not of its type or cannot be used.
    """
    recipe = get_recipe(name)
    types = {
        field.name: type(getattr(recipe, field.name)) for field in fields(Recipe) if field.name not in _FIXED
    }
    changes: dict[str, int | float | str] = {}
    for setting in settings:
        field, _, value = setting.partition("=")
        kind = types.get(field)
        if kind is None:
            hint = f"{did_you_mean(field, types)}fields: {', '.join(types)}"
            raise BadInputError(f"a recipe has no field {field!r} to set", hint)
        try:
            changes[field] = kind(value)
        except ValueError:
            raise BadInputError(
                f"{setting!r}: {value!r} is not a value for {field} ({kind.__name__})"
            ) from None
    configured = replace(recipe, **changes)  # type: ignore[arg-type]
    _check(configured)
    return configured


def _check(recipe: Recipe) -> None:
    for field, value in asdict(recipe).items():
        if isinstance(value, int) and value > _MOST:
            raise BadInputError(f"{field} must be at most {_MOST:,}")
        if isinstance(value, float) and not math.isfinite(value):
            raise BadInputError(f"{field} must be finite, not {value}")
    at_least_one = ("epochs", "pairs_per_epoch", "validation_pairs", "held_out_images")
    for field in at_least_one:
        if getattr(recipe, field) < 1:
            raise BadInputError(f"{field} must be at least 1, not {getattr(recipe, field)}")
    if recipe.batch_size < 2:
        raise BadInputError(
            f"batch_size must be at least 2, not {recipe.batch_size}: batch normalization needs two"
        )
    for field, choices in _CHOICES.items():
        if getattr(recipe, field) not in choices:
            raise BadInputError(f"{field} must be {' or '.join(choices)}, not {getattr(recipe, field)!r}")
    if recipe.pairing == "sampled" and recipe.pairs_per_epoch % recipe.batch_size == 1:
        raise BadInputError(
            f"{recipe.pairs_per_epoch} pairs_per_epoch in batches of {recipe.batch_size} leave a last batch"
            " of one pair: batch normalization needs two"
        )
    if recipe.plateau_patience < 0:
        raise BadInputError(f"plateau_patience must not be negative, not {recipe.plateau_patience}")
    if not 0 <= recipe.average < 1 or not 0 < recipe.warm_up < 1:
        raise BadInputError("average must be from 0 to below 1, warm_up between 0 and 1")
    if not 0 < recipe.held_out_share < 1:
        raise BadInputError(f"held_out_share must be between 0 and 1, not {recipe.held_out_share}")
    for field in (*OF_DIGITS, *OF_PHOTOS, "outlier_weight", "average_share", "least_steps"):
        if getattr(recipe, field) < 0:
            raise BadInputError(f"{field} must not be negative, not {getattr(recipe, field)}")
    for field, most in _AT_MOST.items():
        if getattr(recipe, field) > most:
            raise BadInputError(f"{field} must be at most {most}, not {getattr(recipe, field)}")
    if recipe.pairing == "sampled" and recipe.outliers:
        raise BadInputError("outliers belong to batches: they need pairing=batch")
    if not recipe.learning_rate > 0 or not 0 < recipe.plateau_factor < 1 or recipe.weight_decay < 0:
        raise BadInputError(
            "learning_rate must be positive, plateau_factor between 0 and 1, weight_decay not negative"
        )
