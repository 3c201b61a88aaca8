"""A calibration as model cards and manifests store it: names and types of its fields, checked when read."""

from __future__ import annotations

import itertools
from typing import Annotated, Any, TypeAlias

import msgspec

from simsearch.documents import Finite, record_of
from simsearch.stats.calibration import (
    MATCH,
    UNKNOWN,
    Calibration,
    ClassPosterior,
    NoveltyTest,
    PlattScaling,
    Threshold,
)
from simsearch.stats.novelty import FEATURES

_STORED_NAMES = {"novelty": "familiarity"}  # what files call what the code has another word for
_MOST_LEVELS = 1_000
_Levels: TypeAlias = Annotated[tuple[Finite, ...], msgspec.Meta(min_length=2, max_length=_MOST_LEVELS)]


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    weight: Finite
    bias: Finite


class _Posterior(msgspec.Struct, frozen=True):
    weight: Finite
    lapse: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0  # calibrations of before had neither
    top: _Line | None = None


class _Familiarity(msgspec.Struct, frozen=True):
    weights: dict[str, Finite]
    bias: Finite
    levels: _Levels
    values: _Levels

    def __post_init__(self) -> None:
        if len(self.levels) != len(self.values) or (self.levels[0], self.levels[-1]) != (0.0, 1.0):
            raise ValueError("the calibration cannot be used: its levels do not run from 0 to 1")
        for levels in (self.levels, self.values):
            if any(later < earlier for earlier, later in itertools.pairwise(levels)):
                raise ValueError("the calibration cannot be used: its levels do not ascend")
        if not set() < set(self.weights) <= set(FEATURES):
            raise ValueError(
                "the calibration cannot be used: it rests on features that this simsearch does not know"
            )


class _Threshold(msgspec.Struct, frozen=True):
    value: Finite
    target: str


class _Calibration(msgspec.Struct, frozen=True):
    pairs: _Line
    classes: _Posterior
    familiarity: _Familiarity
    thresholds: dict[str, _Threshold]
    fitted_on: str
    gallery: str

    def __post_init__(self) -> None:
        if not {MATCH, UNKNOWN} <= self.thresholds.keys():
            raise ValueError("the calibration cannot be used: it lacks a threshold")


class PairScaled:
    """What a card and a manifest have in common: a line from cosine to logit, and a calibration of it."""

    __slots__ = ()
    projection: PlattScaling | None  # as it was learned; None where the network was not trained on pairs
    calibration: Calibration | None

    @property
    def pair_scaling(self) -> PlattScaling | None:
        """What turns a cosine into the printed probability: calibrated, as it was learned, or nothing."""
        return self.projection if self.calibration is None else self.calibration.pairs


def restore_calibration(fields: dict[str, Any], *, optional: bool = False) -> None:
    """Put records in the places of a document's `projection` and `calibration`, as far as it has them.

    :param optional: Whether there may be no projection: of a model that was not trained on pairs.
    :raises ValueError: If they are none, naming what is wrong.
    """
    if "projection" in fields and not (optional and fields["projection"] is None):
        line = record_of(_Line, fields["projection"], "projection")
        fields["projection"] = PlattScaling(line.weight, line.bias)
    if fields.get("calibration") is not None:
        fields["calibration"] = _restored(record_of(_Calibration, fields["calibration"], "calibration"))


def _restored(stored: _Calibration) -> Calibration:
    line, test, top = stored.pairs, stored.familiarity, stored.classes.top
    return Calibration(
        pairs=PlattScaling(line.weight, line.bias),
        classes=ClassPosterior(
            stored.classes.weight,
            stored.classes.lapse,
            None if top is None else PlattScaling(top.weight, top.bias),
        ),
        novelty=NoveltyTest(test.weights, test.bias, test.levels, test.values),
        thresholds={name: Threshold(kept.value, kept.target) for name, kept in stored.thresholds.items()},
        fitted_on=stored.fitted_on,
        gallery=stored.gallery,
    )


def store_calibration(calibration: Calibration) -> dict[str, Any]:
    """The calibration as an object for JSON."""
    fields: dict[str, Any] = msgspec.to_builtins(calibration)
    for name in ("lapse", "top"):
        if not fields["classes"][name]:
            del fields["classes"][name]  # as before there was one
    return {_STORED_NAMES.get(name, name): value for name, value in fields.items()}
