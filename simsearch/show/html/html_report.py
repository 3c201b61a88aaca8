"""An evaluation as one HTML document: opens from a file, asks nobody for anything, runs no script.

Charts are inline SVG, pictures are data URIs, the look is `report.css` in the colors of `palette.css`.
Every text that comes from data passes through `escape`; every other function here returns HTML.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from importlib import resources

from simsearch.evaluate.mistakes import Mistake, Neighbour
from simsearch.evaluate.report import Approximation, Figure, Report
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
from simsearch.show.html.html_parts import cell, escape, facts_list, html_table, picture
from simsearch.stats.reliability import Reliability
from simsearch.stats.verification import Histogram, Verification

MATRIX_CLASSES = 30  # with more classes, confusions are listed instead
LISTED_CONFUSIONS = 30
HEADLINE = ("MAP@R", "R-precision", "P@1", "MAP")
METRIC_DEFINITIONS = {  # of `metrics.py`, for a reader who has only the report
    "P@1": "share of queries whose nearest item shows the query's class: 1-nearest-neighbour accuracy",
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
    "ECE as learned": "the same of the network's own projection, before its calibration on held-out images",
    "Brier": "mean squared error of the predicted probabilities; lower is better",
}
_FIFTHS = {i / 5: f"{i / 5:g}" for i in range(6)}
_DOCUMENT = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<header>
<h1>{title}</h1>
{facts}</header>
<nav aria-label="Contents"><ul>
{links}</ul></nav>
<main>
{sections}</main>
</body>
</html>
"""  # noqa: E501


def render_report(report: Report, mistakes: Sequence[Mistake]) -> str:
    """One self-contained HTML5 document of an evaluation and its worst queries."""
    sections = {
        "Headline": _headline(report),
        "All figures": _figures(report),
        "Per class": _per_class(report),
        "Confusions": _confusions(report),
        "Precision and recall": _precision_recall(report),
        "Pair verification": _pairs(report.verification),
        **(
            {"Approximate index": _approximation(report.approximation, report.k)}
            if report.approximation
            else {}
        ),
        "Worst queries": _worst(mistakes),
        "Provenance": _provenance(report),
    }
    anchors = {title: title.lower().replace(" ", "-") for title in sections}
    return _DOCUMENT.format(
        title=f"Evaluation of {escape(report.index)}",
        style="".join(
            resources.files("simsearch.show.html").joinpath(name).read_text("utf-8")
            for name in ("palette.css", "report.css")
        ),
        facts=facts_list(_about(report)),
        links="".join(f'<li><a href="#{anchor}">{title}</a></li>\n' for title, anchor in anchors.items()),
        sections="".join(
            f'<section aria-labelledby="{anchors[title]}">\n<h2 id="{anchors[title]}">{title}</h2>\n'
            f"{body}</section>\n"
            for title, body in sections.items()
        ),
    )


def _about(report: Report) -> Mapping[str, str]:
    return {
        "Model": escape(report.model),
        "Protocol": escape(report.protocol),
        "Query set": escape(report.query_set),
        "Queries": f"{report.queries:,}",
        "Left out": f"{report.without_relevant:,} (no relevant item in the gallery)",
        "Gallery": f"{report.gallery:,} images, {len(report.classes):,} classes",
    }


def _headline(report: Report) -> str:
    figures = [(name, report.figures[name]) for name in HEADLINE if name in report.figures]
    cards = [(name, figure.value, f"95 %: {_interval(figure)}") for name, figure in figures]
    if report.verification:
        interval = report.verification.accuracy_interval
        note = f"95 %: {interval.low:.4f} to {interval.high:.4f}"
        cards.append(("Pair accuracy", report.verification.accuracy, note))
    shown = (
        f'<div><dt>{name}</dt><dd class="large">{value:.4f}</dd><dd>{note}</dd></div>\n'
        for name, value, note in cards
    )
    return f'<dl class="cards">\n{"".join(shown)}</dl>\n'


def _figures(report: Report) -> str:
    rows = (
        (escape(name), [cell(f.value, "value"), cell(_interval(f)), cell(f.macro)])
        for name, f in report.figures.items()
    )
    caption = f"Means over {report.queries:,} queries, with 95 % bootstrap intervals"
    return html_table(caption, ("Metric", "Mean", "95 % interval", "Mean of class means"), rows)


def _per_class(report: Report) -> str:
    names = list(report.figures)
    columns = {name: [row.metrics[name] for row in report.per_class] for name in names}
    weakest = {name: min(values) if len(set(values)) > 1 else None for name, values in columns.items()}

    def marked(name: str, value: float) -> str:
        if value != weakest[name]:
            return cell(value)
        return cell(f'<span class="mark" role="img" aria-label="weakest:">▼</span> {value:.4f}', "weakest")

    rows = (
        (escape(row.label), [cell(row.queries), *(marked(name, row.metrics[name]) for name in names)])
        for row in report.per_class
    )
    caption = "Means over the queries of each class; ▼ marks the weakest class of a column"
    return html_table(caption, ("Class", "Queries", *map(escape, names)), rows)


def _confusions(report: Report) -> str:
    errors = [
        (count, label, nearest)
        for label, row in enumerate(report.confusion)
        for nearest, count in enumerate(row)
        if count and label != nearest
    ]
    wrong = sum(count for count, _, _ in errors)
    note = f"<p>{wrong:,} of {report.queries:,} queries have a nearest item of another class.</p>\n"
    if len(report.classes) <= MATRIX_CLASSES:
        return note + _matrix(report, max((count for count, _, _ in errors), default=1))
    if not errors:
        return note
    frequent = sorted(errors, key=lambda error: (-error[0], error[1:]))[:LISTED_CONFUSIONS]
    rows = (
        (
            escape(report.classes[label]),
            [cell(f"<span>{escape(report.classes[nearest])}</span>", "name"), cell(count)],
        )
        for count, label, nearest in frequent
    )
    caption = f"The most frequent confusions: {len(frequent):,} of {len(errors):,}"
    return note + html_table(caption, ("Class of the query", "Class of its nearest item", "Queries"), rows)


def _matrix(report: Report, most: int) -> str:
    def shaded(count: int, right: bool) -> str:
        heat = f"heat{math.ceil(5 * math.sqrt(count / most))}" if count else "none"
        return cell(count, "diagonal" if right else heat)

    rows = (
        (escape(name), [shaded(count, label == nearest) for nearest, count in enumerate(row)])
        for label, (name, row) in enumerate(zip(report.classes, report.confusion, strict=True))
    )
    long = any(len(name) > 4 for name in report.classes)
    caption = "Queries by their class (rows) and the class of their nearest item (columns); errors are shaded"
    columns = ("query ↓ nearest →", *map(escape, report.classes))
    return html_table(caption, columns, rows, "matrix long" if long else "matrix")


def _precision_recall(report: Report) -> str:
    """The curve, upwards on a log scale of 1 - precision: it can be read near 1, where a good index lies."""
    low, high = precision_range(report.precision)
    ticks = {nines(tick): f"{tick:g}" for tick in PRECISIONS if low <= tick <= high}
    if high == PRECISIONS[-1]:
        ticks[nines(high)] = f"≥{high:g}"
    y = Axis("precision (log of 1 - precision)", nines(low), nines(high), ticks)
    x = Axis("recall", 0, 1, _FIFTHS)
    points = list(zip(report.recall_levels, report.precision, strict=True))
    curve = svg_points([(level, min(nines(value), y.high)) for level, value in points], x, y)
    title = "Mean interpolated precision at each level of recall"
    chart = svg_chart("curve", title, x, y, f'<polyline class="line same" points="{curve}"/>\n', {})
    rows = ((f"{level:g}", [cell(value)]) for level, value in points[:: max(1, (len(points) - 1) // 10)])
    values = html_table("Values of the curve", ("Recall", "Precision"), rows)
    return f'<div class="pair">\n{chart}{values}</div>\n'


def _pairs(pairs: Verification | None) -> str:
    if pairs is None:
        return "<p>Not measured: it takes two classes, and two images of each.</p>\n"
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
    table = html_table(
        caption, ("Figure", "Value"), ((name, [cell(value)]) for name, value in figures.items())
    )
    charts = _score_histogram(pairs.histogram, pairs.threshold) + _reliability(pairs.calibration)
    return f'<div class="pair">\n{charts}{table}{_bins(pairs.calibration)}</div>\n'


def _score_histogram(histogram: Histogram, threshold: float) -> str:
    low, high, bins = histogram.low, histogram.high, len(histogram.same)
    most = max(1, *histogram.same, *histogram.different)
    powers = [10**power for power in range(len(str(most)))]
    x = Axis("score", low, high, {i / 5: f"{i / 5:g}" for i in range(-5, 6) if low <= i / 5 <= high})
    ticks = {math.log10(1 + count): f"{count:,}" for count in powers}
    y = Axis("pairs in a bin (log scale)", 0, math.log10(1 + most), ticks)

    def outline(kind: str, counts: Sequence[int]) -> str:
        edges = [low + (high - low) * i / bins for i in range(bins + 1)]
        steps = [(edge, math.log10(1 + n)) for i, n in enumerate(counts) for edge in edges[i : i + 2]]
        points = svg_points([(low, 0), *steps, (high, 0)], x, y)
        return f'<polyline class="area {kind}" points="{points}"/>\n'

    body = outline("different", histogram.different) + outline("same", histogram.same)
    if low <= threshold <= high:  # never true of NaN
        at, left = x.across(threshold), threshold < (low + high) / 2
        body += f'<path class="threshold" d="M{at:.1f} {TOP - 14}V{BOTTOM}"/>\n'
        body += svg_label(
            at + (5 if left else -5), TOP - 6, f"threshold {threshold:.4f}", "start" if left else "end"
        )
    keys = {"same": "same class", "different": "different classes"}
    return svg_chart("scores", "Scores of pairs", x, y, body, keys)


def _reliability(calibration: Reliability) -> str:
    """Observed against predicted, with a band above 1 for the number of pairs in each bin."""
    x = Axis("predicted probability", 0, 1, _FIFTHS)
    y = Axis("observed share of one class", 0, 1.3, _FIFTHS)
    bins = zip(calibration.predicted, calibration.observed, strict=True)
    known = [(p, o) for p, o in bins if p is not None and o is not None]
    body = f'<polyline class="line ideal" points="{svg_points([(0, 0), (1, 1)], x, y)}"/>\n'
    body += f'<polyline class="line same" points="{svg_points(known, x, y)}"/>\n'
    body += "".join(f'<circle cx="{x.across(p):.1f}" cy="{y.up(o):.1f}" r="4"/>\n' for p, o in known)
    for i, count in enumerate(calibration.counts):
        at = f"{x.across((i + 0.5) / len(calibration.counts)) + 4:.1f} {y.up(1.04):.1f}"
        body += f'<text class="small" transform="translate({at}) rotate(-90)">{count:,}</text>\n'
    keys = {"same": "measured (top: pairs in a bin)", "ideal": "ideal"}
    return svg_chart("reliability", "Reliability of probabilities", x, y, body, keys)


def _bins(calibration: Reliability) -> str:
    number = len(calibration.counts)
    columns = zip(calibration.counts, calibration.predicted, calibration.observed, strict=True)
    rows = (
        (f"{i / number:.3f} to {(i + 1) / number:.3f}", [cell("none" if v is None else v) for v in values])
        for i, values in enumerate(columns)
    )
    title = "Bins of the reliability diagram"
    table = html_table(title, ("Probability", "Pairs", "Predicted", "Observed"), rows)
    return f"<details><summary>Values of the bins</summary>\n{table}</details>\n"


def _approximation(found: Approximation, k: int) -> str:
    rows = [
        ("Exact nearest items found", [cell(found.recall_at_1)]),
        (f"Exact best {k:,} items found", [cell(found.recall_at_k)]),
    ]
    note = "<p>Every other figure here is of exact rankings; the index itself answers approximately.</p>\n"
    return note + html_table("Recall of the approximate index", ("Figure", "Share"), rows)


def _worst(mistakes: Sequence[Mistake]) -> str:
    if not mistakes:
        return "<p>None are listed.</p>\n"
    note = (
        f"The {len(mistakes):,} queries of lowest average precision, worst first, each with its nearest "
        'items and their scores: <span class="right">✓</span> of the query\'s class, '
        '<span class="wrong">✗</span> of another.'
    )
    return f'<p>{note}</p>\n<ol class="mistakes">\n{"".join(map(_mistake, mistakes))}</ol>\n'


def _mistake(mistake: Mistake) -> str:
    asked = picture(mistake.pixels, 84, f"query {mistake.query}, class {mistake.label}")
    return (
        f'<li>\n<div class="query">{asked}<p><strong>class {escape(mistake.label)}</strong><br>'
        f"{escape(mistake.query)}<br>average precision {mistake.average_precision:.4f}</p></div>\n"
        f'<ol class="neighbours">\n{"".join(map(_neighbour, mistake.neighbours))}</ol>\n</li>\n'
    )


def _neighbour(item: Neighbour) -> str:
    kind, sign = ("right", "✓") if item.right else ("wrong", "✗")
    return (
        f"<li>{picture(item.pixels, 56, f'item {item.id}, class {item.label}', kind)}"
        f'<span class="label"><span class="{kind}" role="img" aria-label="{kind}:">{sign}</span> '
        f"{escape(item.label)}</span><span>{item.score:.4f}</span></li>\n"
    )


def _provenance(report: Report) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    facts = {
        "Command": f"<code>{escape(report.command)}</code>" if report.command else "not recorded",
        "Seed": str(report.seed),
        "Bootstrap resamples": f"{report.resamples:,}",
        "k": f"{report.k:,}",
        "Encoder": f"<code>{escape(report.encoder)}</code>",
        "Gallery fingerprint": f"<code>{escape(report.gallery_fingerprint)}</code>",
        "Query fingerprint": f"<code>{escape(report.query_fingerprint)}</code>",
        "Versions": escape(versions),
    }
    meanings = {escape(name): text for name in report.figures if (text := _definition(name))}
    if report.verification:
        meanings |= PAIR_DEFINITIONS
    note = "R is the number of gallery items of the query's class, P(i) the precision at rank i."
    return f"{facts_list(facts)}<h3>What the figures mean</h3>\n<p>{note}</p>\n{facts_list(meanings)}"


def _definition(name: str) -> str | None:
    """What a metric means: P@10 is defined as P@k, P@1 by itself."""
    return METRIC_DEFINITIONS.get(name) or METRIC_DEFINITIONS.get(re.sub(r"@\d+$", "@k", name))


def _interval(figure: Figure) -> str:
    return f"{figure.low:.4f} to {figure.high:.4f}"
