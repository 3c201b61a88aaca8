"""Training recipes as data: everything that distinguishes one way of training from another."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace

from simsearch.errors import BadInputError
from simsearch.holdout import HELD_OUT_IMAGES


@dataclass(frozen=True)
class Recipe:
    """One way of training; saved with every run.

    Each epoch draws `pairs_per_epoch` fresh random pairs, half of them of one class, from the images
    that are not held out. After each epoch the loss on `validation_pairs` fixed pairs of held-out
    images decides which weights are kept, and when the learning rate is multiplied by
    `plateau_factor`: after more than `plateau_patience` epochs without an improvement.
    """

    name: str
    summary: str
    epochs: int
    batch_size: int
    pairs_per_epoch: int
    learning_rate: float
    weight_decay: float
    plateau_patience: int
    plateau_factor: float
    projection_weight: float = 10.0
    projection_bias: float = -5.0
    validation_pairs: int = 5_000
    held_out_images: int = HELD_OUT_IMAGES


SIAMESE_PAIRS = Recipe(
    name="siamese-pairs",
    summary="random balanced pairs, binary cross-entropy on the projected cosine, Adam",
    epochs=30,
    batch_size=256,
    pairs_per_epoch=20_000,
    learning_rate=1e-2,
    weight_decay=1e-5,
    plateau_patience=2,
    plateau_factor=0.5,
)

RECIPES = {recipe.name: recipe for recipe in (SIAMESE_PAIRS,)}
DEFAULT_RECIPE = SIAMESE_PAIRS.name
_MOST = 10**7  # of any whole number: far above what is of use, far below what cannot be counted


def get_recipe(name: str) -> Recipe:
    """The recipe of that name.

    :raises BadInputError: If there is none.
    """
    if name not in RECIPES:
        raise BadInputError(f"there is no recipe {name!r}", hint=f"choose one of: {', '.join(RECIPES)}")
    return RECIPES[name]


def configure(name: str, settings: Iterable[str] = ()) -> Recipe:
    """A recipe with some of its fields changed.

    :param settings: `field=value` each, such as `epochs=5`.
    :raises BadInputError: If a field does not exist, or a value is not of its type or cannot be used.
    """
    recipe = get_recipe(name)
    types = {field.name: type(getattr(recipe, field.name)) for field in fields(Recipe)}
    changes: dict[str, int | float] = {}
    for setting in settings:
        field, _, value = setting.partition("=")
        kind = types.get(field)
        if kind not in (int, float):
            numbers = [known for known, known_kind in types.items() if known_kind is not str]
            raise BadInputError(
                f"a recipe has no field {field!r} to set", hint=f"fields: {', '.join(numbers)}"
            )
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
            f"batch_size must be at least 2, not {recipe.batch_size}: batch normalisation needs two"
        )
    if recipe.pairs_per_epoch % recipe.batch_size == 1:
        raise BadInputError(
            f"{recipe.pairs_per_epoch} pairs_per_epoch in batches of {recipe.batch_size} leave a last batch"
            " of one pair: batch normalisation needs two"
        )
    if recipe.plateau_patience < 0:
        raise BadInputError(f"plateau_patience must not be negative, not {recipe.plateau_patience}")
    if not recipe.learning_rate > 0 or not 0 < recipe.plateau_factor < 1 or recipe.weight_decay < 0:
        raise BadInputError(
            "learning_rate must be positive, plateau_factor between 0 and 1, weight_decay not negative"
        )
