"""An evaluation as one HTML document: opens from a file, asks nobody for anything, runs no script.

Here is what it says; `report.html.jinja` says how, with every text from data escaped. Charts are inline SVG,
pictures are data URIs, the style is `report.css` in the colors of `palette.css`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from simsearch.evaluate.mistakes import Mistake
from simsearch.evaluate.report import Approximation, Report
from simsearch.show.html.pages import render_page
from simsearch.show.html.report_charts import precision_recall_chart, reliability_chart, scores_chart
from simsearch.show.html.tables import Cell, Table, as_text, table
from simsearch.stats.pairs import Verification
from simsearch.stats.reliability import Reliability

UNFOLDED = 10  # of the worst queries; the others on demand
MATRIX_CLASSES = 30  # with more classes, confusions are listed instead
LISTED_CONFUSIONS = 30
HEADLINE = ("MAP@R", "R-precision", "P@1", "MAP")
METRIC_DEFINITIONS = {  # of `stats/retrieval.py`, for a reader who has only the report
    "P@1": "share of queries whose nearest item shows the query's class: 1-nearest-neighbor accuracy",
    "R-precision": "share of the first R items that show the query's class, R being how many there are of it",
    "MAP@R": "mean over queries of the sum of P(i) at each right rank i up to R, divided by R; never above "
    "R-precision (Musgrave et al. 2020)",
    "MAP": "mean over queries of the sum of P(i) at each right rank i of the whole ranking, divided by R",
    "MRR": "mean over queries of 1 / rank of the first right item",
    "P@k": "share of the first k items that show the query's class",
    "hit@k": "share of queries with at least one right item among the first k",
    "recall@k": "share of the R right items that are among the first k; cannot exceed k / R",
    "capped recall@k": "right items among the first k, divided by the smaller of k and R",
    "nDCG@k": "discounted gain 1 / log2(i + 1) of the right ranks i up to k, divided by the best possible",
}
PAIR_DEFINITIONS = {  # of `verification.py` and `reliability.py`
    "Pair accuracy": "share of balanced random pairs that are judged rightly at probability 0.5",
    "ROC AUC": "chance that a random pair of one class scores above a random pair of two classes",
    "Equal error rate": "the error where false accepts and false rejects are equally likely; lower is better",
    "ECE": "mean gap between predicted probability and observed share over 15 bins, weighted by pairs; "
    "lower is better",
    "ECE as learned": "the same of the network's own logit line, before its calibration on validation images",
    "Brier": "mean squared error of the predicted probabilities; lower is better",
}
_SECTIONS = (
    "Headline",
    "All figures",
    "Per class",
    "Confusions",
    "Precision and recall",
    "Pair verification",
    "Approximate index",
    "Worst queries",
    "Provenance",
)


def render_report(report: Report, mistakes: Sequence[Mistake]) -> str:
    """One self-contained HTML5 document of an evaluation and its worst queries."""
    titles = [title for title in _SECTIONS if title != "Approximate index" or report.approximation]
    return render_page(
        "report.html.jinja",
        report=report,
        mistakes=mistakes,
        unfolded=UNFOLDED,
        titles=titles,
        about=_about(report),
        headline=_headline(report),
        figures=_figures(report),
        per_class=_per_class(report),
        errors=sum(count for count, _, _ in _errors(report)),
        confusions=_confusions(report),
        curve=precision_recall_chart(report.recall_levels, report.precision),
        curve_values=_curve_values(report),
        pairs=_pairs(report.verification) if report.verification else None,
        approximation=_approximation(report.approximation, report.k) if report.approximation else None,
        provenance=_provenance(report),
        meanings=_meanings(report),
    )


def _about(report: Report) -> Mapping[str, str]:
    return {
        "Model": report.model,
        "Protocol": report.protocol,
        "Query set": report.query_set,
        "Queries": f"{report.queries:,}",
        "Left out": f"{report.without_relevant:,} (no relevant item in the gallery)",
        "Gallery": f"{report.gallery:,} images, {len(report.classes):,} classes",
    }


def _headline(report: Report) -> Iterator[tuple[str, float, str]]:
    """Name, value and interval of the few figures that are read first."""
    for name in HEADLINE:
        if figure := report.figures.get(name):
            yield name, figure.value, f"95 %: {_interval(figure.low, figure.high)}"
    if report.verification:
        interval = report.verification.accuracy_interval
        yield "Pair accuracy", report.verification.accuracy, f"95 %: {_interval(interval.low, interval.high)}"


def _figures(report: Report) -> Table:
    caption = f"Means over {report.queries:,} queries, with 95 % bootstrap intervals"
    columns = ("Metric", "Mean", "95 % interval", "Mean of class means")
    rows = (
        (name, (Cell(as_text(f.value), "value"), _interval(f.low, f.high), f.macro))
        for name, f in report.figures.items()
    )
    return table(caption, columns, rows)


def _per_class(report: Report) -> Table:
    names = list(report.figures)
    weakest = {}
    for name in names:
        values = [row.metrics[name] for row in report.per_class]
        weakest[name] = min(values) if len(set(values)) > 1 else None

    def marked(name: str, value: float) -> Cell:
        return Cell(as_text(value), "weakest" if value == weakest[name] else "")

    rows = (
        (row.label, [Cell(as_text(row.queries)), *(marked(name, row.metrics[name]) for name in names)])
        for row in report.per_class
    )
    caption = "Means over the queries of each class; ▼ marks the weakest class of a column"
    return table(caption, ("Class", "Queries", *names), rows)


def _errors(report: Report) -> list[tuple[int, int, int]]:
    """How often, and the numbers of the query's class and of its nearest item's other class."""
    return [
        (count, label, nearest)
        for label, row in enumerate(report.confusion)
        for nearest, count in enumerate(row)
        if count and label != nearest
    ]


def _confusions(report: Report) -> Table | None:
    """A matrix of few classes; of many, the most frequent confusions, if there are any."""
    errors = _errors(report)
    if len(report.classes) <= MATRIX_CLASSES:
        return _matrix(report, max((count for count, _, _ in errors), default=1))
    if not errors:
        return None
    frequent = sorted(errors, key=lambda error: (-error[0], error[1:]))[:LISTED_CONFUSIONS]
    rows = (
        (report.classes[label], (Cell(report.classes[nearest], "name"), count))
        for count, label, nearest in frequent
    )
    caption = f"The most frequent confusions: {len(frequent):,} of {len(errors):,}"
    return table(caption, ("Class of the query", "Class of its nearest item", "Queries"), rows)


def _matrix(report: Report, most: int) -> Table:
    def shaded(count: int, right: bool) -> Cell:
        heat = f"heat{math.ceil(5 * math.sqrt(count / most))}" if count else "none"
        return Cell(as_text(count), "diagonal" if right else heat)

    rows = (
        (name, [shaded(count, label == nearest) for nearest, count in enumerate(row)])
        for label, (name, row) in enumerate(zip(report.classes, report.confusion, strict=True))
    )
    long = any(len(name) > 4 for name in report.classes)
    caption = "Queries by their class (rows) and the class of their nearest item (columns); errors are shaded"
    columns = ("query ↓ nearest →", *report.classes)
    return table(caption, columns, rows, "matrix long" if long else "matrix")


def _curve_values(report: Report) -> Table:
    points = list(zip(report.recall_levels, report.precision, strict=True))
    rows = ((f"{level:g}", [value]) for level, value in points[:: max(1, (len(points) - 1) // 10)])
    return table("Values of the curve", ("Recall", "Precision"), rows)


def _pairs(pairs: Verification) -> Mapping[str, Any]:
    figures = {
        "Pair accuracy": f"{pairs.accuracy:.4f}",
        "ROC AUC": f"{pairs.roc_auc:.5f}",
        "Equal error rate": f"{pairs.equal_error_rate:.4f}",
        "ECE": f"{pairs.calibration.ece:.4f}",
        "ECE as learned": f"{pairs.learned.ece:.4f}" if pairs.learned else "not measured",
        "Brier": f"{pairs.calibration.brier:.4f}",
        "Threshold": f"{pairs.threshold:.4f}" if math.isfinite(pairs.threshold) else "none",
    }
    caption = f"{pairs.pairs:,} balanced random pairs, seed {pairs.seed}"
    return {
        "scores": scores_chart(pairs.histogram, pairs.threshold),
        "reliability": reliability_chart(pairs.calibration),
        "figures": table(caption, ("Figure", "Value"), ((name, [text]) for name, text in figures.items())),
        "bins": _bins(pairs.calibration),
    }


def _bins(calibration: Reliability) -> Table:
    number = len(calibration.counts)
    columns = zip(calibration.counts, calibration.predicted, calibration.observed, strict=True)
    rows = ((f"{i / number:.3f} to {(i + 1) / number:.3f}", values) for i, values in enumerate(columns))
    columns_named = ("Probability", "Pairs", "Predicted", "Observed")
    return table("Bins of the reliability diagram", columns_named, rows)


def _approximation(found: Approximation, k: int) -> Table:
    rows = [
        ("Exact nearest items found", [found.recall_at_1]),
        (f"Exact best {k:,} items found", [found.recall_at_k]),
    ]
    return table("Recall of the approximate index", ("Figure", "Share"), rows)


def _provenance(report: Report) -> Mapping[str, str]:
    return {
        "Command": report.command or "not recorded",
        "Seed": str(report.seed),
        "Bootstrap resamples": f"{report.resamples:,}",
        "k": f"{report.k:,}",
        "Encoder": report.encoder,
        "Gallery fingerprint": report.gallery_fingerprint,
        "Query fingerprint": report.query_fingerprint,
        "Versions": ", ".join(f"{name} {version}" for name, version in report.versions.items()),
    }


def _meanings(report: Report) -> Mapping[str, str]:
    meanings = {name: text for name in report.figures if (text := _definition(name))}
    return meanings | PAIR_DEFINITIONS if report.verification else meanings


def _definition(name: str) -> str | None:
    """What a metric means: P@10 is defined as P@k, P@1 by itself."""
    return METRIC_DEFINITIONS.get(name) or METRIC_DEFINITIONS.get(re.sub(r"@\d+$", "@k", name))


def _interval(low: float, high: float) -> str:
    return f"{low:.4f} to {high:.4f}"
