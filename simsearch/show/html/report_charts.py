"""The three charts of a report, as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence

from simsearch.show.html.charts import (
    BOTTOM,
    PRECISIONS,
    TOP,
    Axis,
    nines,
    precision_range,
    svg_chart,
    svg_label,
    svg_points,
)
from simsearch.stats.pairs import Histogram
from simsearch.stats.reliability import Reliability, share_interval

_FIFTHS = {i / 5: f"{i / 5:g}" for i in range(6)}


def precision_recall_chart(recall: Sequence[float], precision: Sequence[float]) -> str:
    """The curve, upwards on a log scale of 1 - precision: it can be read near 1, where a good index lies."""
    low, high = precision_range(precision)
    ticks = {nines(tick): f"{tick:g}" for tick in PRECISIONS if low <= tick <= high}
    if high == PRECISIONS[-1]:
        ticks[nines(high)] = f"≥{high:g}"
    y = Axis("precision (log of 1 - precision)", nines(low), nines(high), ticks)
    x = Axis("recall", 0, 1, _FIFTHS)
    points = ((level, min(nines(value), y.high)) for level, value in zip(recall, precision, strict=True))
    body = f'<polyline class="line same" points="{svg_points(points, x, y)}"/>\n'
    return svg_chart("curve", "Mean interpolated precision at each level of recall", x, y, body, {})


def scores_chart(histogram: Histogram, threshold: float) -> str:
    """Histograms of the scores of pairs of one class and of two, and the threshold if it lies among them."""
    low, high = histogram.low, histogram.high
    most = max(1, *histogram.same, *histogram.different)
    powers = [10**power for power in range(len(str(most)))]
    x = Axis("score", low, high, {i / 5: f"{i / 5:g}" for i in range(-5, 6) if low <= i / 5 <= high})
    ticks = {math.log10(1 + count): f"{count:,}" for count in powers}
    y = Axis("pairs in a bin (log scale)", 0, math.log10(1 + most), ticks)
    body = _outline("different", histogram.different, x, y) + _outline("same", histogram.same, x, y)
    if low <= threshold <= high:  # never true of NaN
        at, left = x.across(threshold), threshold < (low + high) / 2
        body += f'<path class="threshold" d="M{at:.1f} {TOP - 14}V{BOTTOM}"/>\n'
        body += svg_label(
            at + (5 if left else -5), TOP - 6, f"threshold {threshold:.4f}", "start" if left else "end"
        )
    keys = {"same": "same class", "different": "different classes"}
    return svg_chart("scores", "Scores of pairs", x, y, body, keys)


def _outline(kind: str, counts: Sequence[int], x: Axis, y: Axis) -> str:
    """A histogram's steps."""
    edges = [x.low + (x.high - x.low) * i / len(counts) for i in range(len(counts) + 1)]
    steps = [(edge, math.log10(1 + n)) for i, n in enumerate(counts) for edge in edges[i : i + 2]]
    points = svg_points([(x.low, 0), *steps, (x.high, 0)], x, y)
    return f'<polyline class="area {kind}" points="{points}"/>\n'


def reliability_chart(calibration: Reliability) -> str:
    """Observed against predicted, with a band above 1 for the number of pairs in each bin."""
    x = Axis("predicted probability", 0, 1, _FIFTHS)
    y = Axis("observed share of one class", 0, 1.3, _FIFTHS)
    bins = zip(calibration.predicted, calibration.observed, calibration.counts, strict=True)
    known = [(p, o, count) for p, o, count in bins if p is not None and o is not None]
    body = f'<polyline class="line ideal" points="{svg_points([(0, 0), (1, 1)], x, y)}"/>\n'
    body += f'<polyline class="line same" points="{svg_points(((p, o) for p, o, _ in known), x, y)}"/>\n'
    for p, o, count in known:
        sure, across = share_interval(o, count), f"{x.across(p):.1f}"
        body += f'<path class="sure" d="M{across} {y.up(sure.low):.1f}V{y.up(sure.high):.1f}"/>\n'
        body += f'<circle cx="{across}" cy="{y.up(o):.1f}" r="{1 + math.log10(1 + count):.1f}"/>\n'
    for i, count in enumerate(calibration.counts):
        at = f"{x.across((i + 0.5) / len(calibration.counts)) + 4:.1f} {y.up(1.04):.1f}"
        body += f'<text class="small" transform="translate({at}) rotate(-90)">{count:,}</text>\n'
    keys = {"same": "measured, with 95 % intervals (top: pairs in a bin)", "ideal": "ideal"}
    return svg_chart("reliability", "Reliability of probabilities", x, y, body, keys)
