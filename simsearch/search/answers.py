"""What is answered: hits, a ranking of the classes, a verdict; and the limits that they are taken at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from simsearch.prepare.prepare import PreparedImage
from simsearch.stats.calibration import UNKNOWN, Calibration


@dataclass(frozen=True)
class Limits:
    """What an answer's decisions are taken at; None takes what is stored with the index.

    An item is a match from the score `min_score` on, and from the pair probability `min_probability` on; if
    either is given, the stored one does not count. A picture less familiar than `unknown_below` is unknown.
    """

    min_score: float | None = None  # cosine, in [-1, 1]
    min_probability: float | None = None  # in [0, 1]
    unknown_below: float | None = None  # in [0, 1]
    only_matches: bool = False  # leave out hits that are no match

    def __post_init__(self) -> None:
        """Refuse limits that nothing can lie on one side of."""
        for name, least in (("min_score", -1), ("min_probability", 0), ("unknown_below", 0)):
            value = getattr(self, name)
            if value is not None and not least <= value <= 1:
                raise ValueError(f"{name} must lie in {least} to 1, not {value}")


STORED_LIMITS = Limits()


class Hit(NamedTuple):
    """One item of an answer. `label` is its class's name, or None in a gallery without labels."""

    rank: int  # from 1
    id: int
    label: str | None
    score: float  # cosine similarity
    probability: float | None  # that query and item show the same class, assuming equal priors
    source: str
    match: bool | None = None  # whether it counts as the query's class; None without a limit for it


class ClassRank(NamedTuple):
    """One class of the ranking: its best score, the mean of its five best, and its best item."""

    rank: int  # from 1
    label: str
    best: float
    mean: float
    probability: float | None  # of the best score
    example: int  # id
    posterior: float | None = None  # that the query is of this class, if of any; None without a calibration


class Verdict(NamedTuple):
    """What the whole query shows, and what that was decided on.

    It is known if its familiarity reaches `unknown_below` and the best item of the top class is a match.
    """

    label: str | None  # the top class; None if unknown
    probability: float  # posterior of the top class, given that the picture shows one of the classes
    known: bool
    familiarity: float  # share of known pictures that are less familiar, in [0, 1]
    unknown_below: float
    best: float  # score of the top class's best item
    min_score: float  # of a match


@dataclass(frozen=True, eq=False)
class Answer:
    """What the index says about one query."""

    query: PreparedImage | None  # None where the query is not one picture
    hits: tuple[Hit, ...]
    classes: tuple[ClassRank, ...]  # empty in a gallery without labels
    verdict: Verdict | None = None  # None without labels, calibration, or one picture as the query
    approximate: bool = False  # whether hits and classes are those of candidates that an index found

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, scores at full precision."""
        return {
            "notes": list(self.query.notes) if self.query else [],
            "approximate": self.approximate,
            "verdict": self.verdict._asdict() if self.verdict else None,
            "hits": [hit._asdict() for hit in self.hits],
            "classes": [row._asdict() for row in self.classes],
        }


class Similarity(NamedTuple):
    """How similar two images are: their cosine, and its logit and probability of one class, if known.

    `known` says of each whether an index has anything like it; None without an index or its calibration.
    """

    score: float
    logit: float | None
    probability: float | None
    known: tuple[bool, bool] | None = None


def judge(
    top: ClassRank | None,
    familiarity: float | None,
    least: float | None,
    calibration: Calibration | None,
    *,
    unknown_below: float | None = None,
) -> Verdict | None:
    """The verdict on a query; None where nothing was calibrated, or the query is not one picture.

    :param top: The first of the ranked classes.
    :param familiarity: The share of known pictures that are less familiar.
    :param least: The score from which on an item is a match.
    :param unknown_below: Where the calibration's own threshold is not wanted.
    """
    if calibration is None or top is None or top.posterior is None or familiarity is None or least is None:
        return None
    below = calibration.thresholds[UNKNOWN].value if unknown_below is None else unknown_below
    known = familiarity >= below and top.best >= least
    return Verdict(
        label=top.label if known else None,
        probability=top.posterior,
        known=known,
        familiarity=familiarity,
        unknown_below=below,
        best=top.best,
        min_score=least,
    )
