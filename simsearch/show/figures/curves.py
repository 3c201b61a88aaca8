"""The curves of an evaluation: precision at each recall, scores of pairs, reliability of probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simsearch.show.figures.sheet import HEADER, LINE_STYLES, PLAIN, Sheet, Style
from simsearch.show.html.charts import PRECISIONS, nines, precision_range
from simsearch.stats.pairs import Verification
from simsearch.stats.reliability import Reliability, share_interval

_LEFT, _RIGHT, _BOTTOM = 1.0, 0.45, 0.75
_WIDTH, _HEIGHT = 8.0, 5.4
_COUNTS_HEIGHT = 1.15  # inches of the bars below the reliability


def pr_curve_figure(
    recall: Sequence[float], precision: Sequence[float], style: Style = PLAIN, *, about: str = ""
) -> Figure:
    """Mean interpolated precision at each level of recall, upwards on a log scale of 1 - precision.

    Near 1, where a good index lies, a linear scale would show a flat line.
    """
    sheet = Sheet(style, _WIDTH, _HEIGHT)
    sheet.header("Precision at each level of recall", about)
    axes = sheet.chart(_LEFT, HEADER + 0.1, _RIGHT, _BOTTOM, x="recall", y="precision (log of 1 - precision)")
    low, high = precision_range(precision)
    ticks = [tick for tick in PRECISIONS if low <= tick <= high]
    labels = [f"{tick:g}" for tick in ticks]
    if high == PRECISIONS[-1]:
        labels[-1] = f"≥{high:g}"
    axes.set_ylim(nines(low), nines(high) + 0.05)
    axes.set_yticks([nines(tick) for tick in ticks], labels)
    _unit(axes, "x")
    heights = [min(nines(value), nines(high)) for value in precision]
    axes.plot(recall, heights, color=sheet.theme.blue, linewidth=2.2 * sheet.scale, clip_on=False)
    return sheet.figure


def scores_figure(verification: Verification, style: Style = PLAIN, *, about: str = "") -> Figure:
    """Histograms of the cosines of pairs of one class and of two, and the threshold between them."""
    sheet = Sheet(style, _WIDTH, _HEIGHT)
    sheet.header("How similar pairs of one class and of two are", about)
    theme, histogram = sheet.theme, verification.histogram
    sheet.legend(
        HEADER + 0.08, [("same class", theme.blue, "solid"), ("different classes", theme.orange, "dashed")]
    )
    axes = sheet.chart(
        _LEFT, HEADER + 0.65, _RIGHT, _BOTTOM, x="cosine similarity", y="pairs in a bin (log scale)"
    )
    edges = np.linspace(histogram.low, histogram.high, len(histogram.same) + 1)
    for counts, color, style in (
        (histogram.different, theme.orange, LINE_STYLES["dashed"]),
        (histogram.same, theme.blue, LINE_STYLES["solid"]),
    ):
        axes.stairs(counts, edges, fill=True, color=color, alpha=0.15)
        axes.stairs(counts, edges, color=color, linewidth=2 * sheet.scale, linestyle=style)
    most = max(1, *histogram.same, *histogram.different)
    axes.set_yscale("symlog", linthresh=1, linscale=0.5)
    axes.set_ylim(0, most * 1.3)
    powers = [10**power for power in range(len(str(most)))]
    axes.set_yticks([0, *powers], ["0", *(f"{power:,}" for power in powers)])
    axes.set_xlim(histogram.low, histogram.high)
    axes.xaxis.set_major_formatter("{x:g}")
    if histogram.low <= verification.threshold <= histogram.high:  # never true of NaN
        _mark_threshold(axes, sheet, verification.threshold, (histogram.low + histogram.high) / 2)
    return sheet.figure


def reliability_figure(calibration: Reliability, style: Style = PLAIN, *, about: str = "") -> Figure:
    """How often pairs of each predicted probability really are of one class, and how many pairs there are."""
    sheet = Sheet(style, 6.6, 7.65)
    sheet.header(f"Probabilities against truth (ECE {calibration.ece:.4f})", about)
    theme = sheet.theme
    sheet.legend(
        HEADER + 0.08,
        [
            ("measured, larger where pairs are more, with 95 % intervals", theme.blue, "solid"),
            ("ideal", theme.muted, "dashed"),
        ],
    )
    bottom = _BOTTOM + _COUNTS_HEIGHT + 0.3
    axes = sheet.chart(_LEFT, HEADER + 0.6, _RIGHT, bottom, y="share that is of one class")
    axes.plot([0, 1], [0, 1], color=theme.muted, linestyle=LINE_STYLES["dashed"], linewidth=1.5 * sheet.scale)
    _draw_bins(axes, sheet, calibration)
    _unit(axes, "x")
    _unit(axes, "y")
    axes.tick_params(labelbottom=False)
    _draw_counts(sheet, calibration.counts)
    return sheet.figure


def _draw_bins(axes: Axes, sheet: Sheet, calibration: Reliability) -> None:
    """A point a bin, its area as the logarithm of its pairs, and how sure its height is."""
    bins = zip(calibration.predicted, calibration.observed, calibration.counts, strict=True)
    known = [(p, o, count) for p, o, count in bins if p is not None and o is not None]
    across, up, counts = (list(column) for column in zip(*known, strict=True))
    blue, scale = sheet.theme.blue, sheet.scale
    axes.plot(across, up, color=blue, linewidth=1 * scale, alpha=0.35, clip_on=False)
    intervals = [share_interval(share, count) for _, share, count in known]
    axes.vlines(
        across, [i.low for i in intervals], [i.high for i in intervals], color=blue, linewidth=1.8 * scale
    )
    areas = 14 * np.log10(1 + np.array(counts)) * scale**2
    axes.scatter(across, up, s=areas, color=blue, clip_on=False, zorder=3)


def _draw_counts(sheet: Sheet, counts: Sequence[int]) -> None:
    """How many pairs there are in each bin, on a log scale."""
    bars = sheet.chart(
        _LEFT,
        sheet.height - _BOTTOM - _COUNTS_HEIGHT,
        _RIGHT,
        _BOTTOM,
        x="predicted probability",
        y="pairs",
    )
    number = len(counts)
    middles = [(place + 0.5) / number for place in range(number)]
    bars.bar(middles, counts, width=0.9 / number, color=sheet.theme.blue)
    bars.set_yscale("symlog", linthresh=1, linscale=0.3)
    powers = [10**power for power in range(2, len(str(max(counts))), 2)]
    bars.set_yticks([0, *powers], ["0", *(f"{power:,}" for power in powers)])
    bars.minorticks_off()
    bars.set_ylim(0, max(counts) * 1.3)
    _unit(bars, "x")


def _mark_threshold(axes: Axes, sheet: Sheet, threshold: float, middle: float) -> None:
    """The score at which the model says 0.5, its name above the axes on the side with more room."""
    axes.axvline(
        threshold, color=sheet.theme.ink, linewidth=1.2 * sheet.scale, linestyle=LINE_STYLES["dotted"]
    )
    axes.annotate(
        f"probability 0.5 at {threshold:.4f}",
        (threshold, 1),
        xycoords=("data", "axes fraction"),
        xytext=((5 if threshold < middle else -5) * sheet.scale, 4 * sheet.scale),
        textcoords="offset points",
        ha="left" if threshold < middle else "right",
        va="bottom",
        annotation_clip=False,
        **sheet.font(10),
    )


def _unit(axes: Axes, side: str) -> None:
    fifths = [place / 5 for place in range(6)]
    axes.set(
        **{f"{side}lim": (0, 1), f"{side}ticks": fifths, f"{side}ticklabels": [f"{v:g}" for v in fifths]}
    )
