"""Which of two evaluations is better, metric by metric, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simsearch.errors import BadInputError
from simsearch.evaluate.saved_report import SavedReport
from simsearch.stats.significance import PERMUTATIONS, bootstrap_means, randomization_test

SIGNIFICANCE = 0.05


@dataclass(frozen=True)
class Comparison:
    """One metric: both means, the mean difference B - A with its 95 % interval, and its p-value."""

    metric: str
    a: float
    b: float
    difference: float
    low: float
    high: float
    p_value: float

    @property
    def better(self) -> str:
        """ "A", "B", or "" where the difference may well be chance."""
        if self.p_value >= SIGNIFICANCE:
            return ""
        return "B" if self.difference > 0 else "A"


def compare(
    a: SavedReport, b: SavedReport, *, seed: int = 0, permutations: int = PERMUTATIONS
) -> tuple[Comparison, ...]:
    """Compare two evaluations of the same queries against the same gallery.

    Each metric's per-query differences are put through the paired randomisation test; the interval is
    a bootstrap over queries. p-values are per metric, not corrected for their number.

    :raises BadInputError: If gallery, queries or metrics differ.
    """
    _check_comparable(a, b)
    first, second = a.per_query.values, b.per_query.values
    differences = {name: second[name] - first[name] for name in first}
    intervals = bootstrap_means(differences, np.random.default_rng(seed))
    return tuple(
        Comparison(
            metric=name,
            a=float(first[name].mean()),
            b=float(second[name].mean()),
            difference=float(column.mean()),
            low=intervals[name].low,
            high=intervals[name].high,
            p_value=randomization_test(column, np.random.default_rng(seed), permutations=permutations),
        )
        for name, column in differences.items()
    )


def _check_comparable(a: SavedReport, b: SavedReport) -> None:
    for what, first, second in (
        ("protocols", a.protocol, b.protocol),
        ("galleries", a.gallery_fingerprint, b.gallery_fingerprint),
        ("queries", a.query_fingerprint, b.query_fingerprint),
        ("queries", a.per_query.query, b.per_query.query),
        ("metrics", tuple(a.per_query.values), tuple(b.per_query.values)),
    ):
        if first != second:
            raise BadInputError(
                f"{a.path} and {b.path} have different {what}",
                hint="only evaluations of the same queries against the same gallery can be compared",
            )
