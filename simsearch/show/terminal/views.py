"""Results as rich tables and text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from simsearch.encode.model_folder import ModelCard
from simsearch.evaluate.compare import Comparison
from simsearch.evaluate.report import Report
from simsearch.index.manifest import Manifest
from simsearch.search.answers import Similarity
from simsearch.show.terminal.tables import plain_table
from simsearch.stats.calibration import (
    F1,
    LEAST_CHECKED,
    LEAST_IMAGES,
    MATCH,
    UNKNOWN,
    Calibration,
    ClassPosterior,
    PlattScaling,
)
from simsearch.stats.pairs import Verification
from simsearch.text import listed, percent, printable

HEADLINE = ("MAP@R", "R-precision")
_CLASS_COLUMNS = ("P@1", "R-precision", "MAP@R", "MAP")


def similarity_view(first: str, second: str, result: Similarity) -> RenderableType:
    """The comparison of two images."""
    table = _facts()
    first, second = printable(first), printable(second)
    table.add_row("images", Text(f"{first}  {second}"))
    table.add_row("cosine", f"{result.score:.4f}")
    if result.known is not None and not all(result.known):
        unlike = [name for name, known in zip((first, second), result.known, strict=True) if not known]
        what = "both are" if len(unlike) == 2 else f"{unlike[0]} is"
        table.add_row("probability", Text(f"none: {what} unlike anything in the index"))
    elif result.logit is None or result.probability is None:
        table.add_row("probability", "none: there is no calibration (simsearch info says why)")
    else:
        verdict = "the same class" if result.probability >= 0.5 else "different classes"
        table.add_row("logit", f"{result.logit:+.3f}")
        table.add_row("probability", f"{percent(result.probability)}: {verdict}")
        if result.known is None:
            table.add_row("", "if both show what the model was trained on, which it cannot tell: --index")
    return table


def report_view(report: Report) -> RenderableType:
    """Every figure with its interval, a row a class, and the most frequent confusions; fits 80 columns."""
    about = f"{report.queries:,} queries ({printable(report.query_set)}), {report.gallery:,} items"
    made = printable(f"  {report.protocol}, model {report.model}")
    parts: list[RenderableType] = [
        Text.assemble((printable(report.index), "bold"), made),
        Text(about + _left_out(report)),
        "",
        _figures_table(report),
        "",
        _per_class_table(report),
    ]
    confusions = _confusions(report)
    if confusions:
        parts += ["", Text(f"nearest item of another class, most often: {printable(confusions)}")]
    if report.verification:
        parts += ["", *_verification_lines(report.verification)]
    if report.approximation:
        found = report.approximation
        parts += [
            "",
            f"the index finds {found.recall_at_1:.4f} of the exact best items, "
            f"{found.recall_at_k:.4f} of the exact best {report.k}",
        ]
    return Group(*parts)


def comparison_view(names: tuple[str, str], rows: Sequence[Comparison]) -> RenderableType:
    """Two evaluations metric by metric, and what can be said of the difference."""
    table = plain_table()
    table.add_column("metric")
    for heading in ("A", "B", "B - A", "95 % interval", "p"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("better", no_wrap=True)
    for row in rows:
        table.add_row(
            row.metric,
            f"{row.a:.4f}",
            f"{row.b:.4f}",
            f"{row.difference:+.4f}",
            f"{row.low:+.4f} to {row.high:+.4f}",
            f"{row.p_value:.4f}",
            row.better or "not sure",
        )
    return Group(Text(f"A  {printable(names[0])}"), Text(f"B  {printable(names[1])}"), "", table)


def facts_view(facts: dict[str, str]) -> RenderableType:
    """Names and values in two columns."""
    table = _facts()
    for name, value in facts.items():
        table.add_row(name, Text(printable(value), overflow="fold"))  # nothing of a long name is lost
    return table


def index_facts(folder: Path, manifest: Manifest, counts: Mapping[str, int]) -> dict[str, str]:
    """What an index is, for people; `counts` is how many items each class has."""
    size = sum(entry.size for entry in manifest.all_files)
    root = f" in {manifest.root}" if manifest.root else ""
    classes = listed((f"{name} ({count:,})" for name, count in counts.items()), most=20)
    return {
        "index": f"{manifest.name} in {folder}",
        "items": f"{manifest.count:,} from {manifest.dataset}{root}, {len(manifest.classes)} classes",
        **({"classes": classes} if counts else {}),
        "vectors": f"{manifest.dim} x {manifest.dtype}, inner product, {manifest.engine}",
        **({"scores": f"computed from the {manifest.dtype} vectors"} if manifest.is_coded else {}),
        **({} if manifest.effort is None else {"effort": f"{manifest.effort}, chosen by `simsearch tune`"}),
        "size": f"{size / 1e6:.1f} MB in {len(manifest.all_files)} files",
        **_change_facts(manifest),
        "model": f"{manifest.model}, encoder {manifest.encoder[:12]}",
        "learned logit": _projection(manifest.projection),
        **_calibration_facts(manifest.calibration, _why_none(manifest, counts)),
        "preprocessing": f"version {manifest.preprocessing}",
        "created": manifest.created,
        "made with": _versions(manifest.versions),
    }


def _change_facts(manifest: Manifest) -> dict[str, str]:
    """What has changed since an index was built, if anything has."""
    facts = {}
    if manifest.is_changed:
        removed = sum(part.count for part in manifest.parts) - manifest.count
        facts["segments"] = f"{len(manifest.parts)}, with {removed:,} removed items in them"
    if manifest.changed and manifest.calibration:
        facts["changed"] = f"{manifest.changed:,} items since the calibration was checked on the gallery"
    return facts


def model_facts(card: ModelCard) -> dict[str, str]:
    """What a model is, for people."""
    best, versions, network = (card.training.get(name) for name in ("best", "versions", "network"))
    named = f"{network}, " if isinstance(network, str) else ""
    return {
        "model": card.name,
        "network": f"{named}{card.parameters:,} parameters, {card.dim}-dimensional vectors",
        "learned logit": _projection(card.projection),
        **_calibration_facts(card.calibration, "of a gallery, if it has enough labels, it gets its own"),
        "preprocessing": f"version {card.preprocessing}",
        "trained on": str(card.training.get("dataset", "unknown")),
        "chosen": _chosen(best) if isinstance(best, dict) else "unknown",
        "files": ", ".join(f"{name} {record.size:,} bytes" for name, record in card.files.items()),
        "created": card.created,
        "made with": _versions(versions) if isinstance(versions, dict) else "unknown",
    }


def checks_view(checks: list[tuple[bool | None, str, str]]) -> RenderableType:
    """Named checks, each with a mark that does not depend on color: passed, failed or not present."""
    marks = {True: Text("✓", "green"), False: Text("✗", "red"), None: Text("-", "dim")}
    table = _facts()
    for passed, name, detail in checks:
        table.add_row(marks[passed], name, Text(printable(detail)))
    return table


def _left_out(report: Report) -> str:
    if not report.without_relevant:
        return ""
    return f"; {report.without_relevant:,} queries without a relevant item left out"


def _figures_table(report: Report) -> Table:
    table = plain_table()
    table.add_column("metric")
    for heading in ("mean", "95 % interval", "mean of classes"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, figure in report.figures.items():
        interval = f"{figure.low:.4f} to {figure.high:.4f}"
        style = "bold" if name in HEADLINE else ""
        table.add_row(name, f"{figure.value:.4f}", interval, f"{figure.macro:.4f}", style=style)
    return table


def _per_class_table(report: Report) -> Table:
    table = plain_table()
    table.add_column("class")
    table.add_column("queries", justify="right")
    for name in _CLASS_COLUMNS:
        table.add_column(name, justify="right")
    for row in report.per_class:
        table.add_row(
            Text(printable(row.label)),
            f"{row.queries:,}",
            *(f"{row.metrics[name]:.4f}" for name in _CLASS_COLUMNS),
        )
    return table


def _confusions(report: Report, most: int = 5) -> str:
    """The most frequent wrong labels of nearest items: "4 as 9 (5)"."""
    wrong = [
        (count, label, nearest)
        for label, row in enumerate(report.confusion)
        for nearest, count in enumerate(row)
        if count and label != nearest
    ]
    wrong.sort(key=lambda entry: (-entry[0], entry[1:]))
    names = report.classes
    return ", ".join(
        f"{names[label]} as {names[nearest]} ({count})" for count, label, nearest in wrong[:most]
    )


def _verification_lines(verification: Verification) -> list[str]:
    calibration, interval = verification.calibration, verification.accuracy_interval
    learned = f" (as learned {verification.learned.ece:.4f})" if verification.learned else ""
    return [
        f"{verification.pairs:,} balanced random pairs (seed {verification.seed}):",
        f"accuracy {verification.accuracy:.4f} ({interval.low:.4f} to {interval.high:.4f})"
        " at probability 0.5,",
        f"ROC AUC {verification.roc_auc:.5f}, equal error rate {verification.equal_error_rate:.4f},",
        f"ECE {calibration.ece:.4f}{learned}, Brier {calibration.brier:.4f}",
    ]


def _chosen(best: Mapping[str, Any]) -> str:
    """The chosen epoch of a training run, its figures to four digits."""
    figures = {name: value for name, value in best.items() if name != "seconds"}
    return ", ".join(
        f"{name.replace('_', ' ')} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in figures.items()
    )


def _projection(projection: PlattScaling | None) -> str:
    if projection is None:
        return "none: the model was not trained on pairs"
    return f"logit = {projection.weight:.3f} x cosine {projection.bias:+.3f}"


def _why_none(manifest: Manifest, counts: Mapping[str, int]) -> str:
    """Why an index has no calibration."""
    company = sum(count for count in counts.values() if count > 1)
    scores = "so answers have scores only"
    if not manifest.classes:
        return f"without labels nothing can be checked, {scores}"
    if company < LEAST_CHECKED:
        return f"{company:,} labeled images with another of their class are too few to check one, {scores}"
    if company < LEAST_IMAGES:
        return f"{company:,} labeled images are too few to fit one (fewer than {LEAST_IMAGES}), {scores}"
    unfit = "probabilities did not hold on images that they were not fitted on"
    return f"{unfit}, or the model was trained on these very images, {scores}"


def _calibration_facts(calibration: Calibration | None, why_none: str) -> dict[str, str]:
    """What the calibration says; or why there is none."""
    if calibration is None:
        return {"calibration": f"none: {why_none}"}
    meanings = {MATCH: "match from cosine", F1: "best F1 from", UNKNOWN: "unknown below"}
    facts = {
        "calibration": f"{_projection(calibration.pairs)}",
        "fitted on": calibration.fitted_on,
        "on the gallery": calibration.gallery,
        "posterior": posterior_words(calibration.classes),
        **{
            meanings[name]: f"{limit.value:.4f}: {limit.target}"
            for name, limit in calibration.thresholds.items()
            if name in meanings
        },
    }
    return {name: value for name, value in facts.items() if value}


def posterior_words(classes: ClassPosterior) -> str:
    """Of what parts a posterior is made."""
    parts = [f"softmax of {classes.weight:.3f} x mean cosine of a class's five nearest"]
    if classes.lapse:
        parts.append(f"with a lapse of {classes.lapse:.4f}")
    if classes.top is not None:
        parts.append(f"the logit of its top x {classes.top.weight:.3f} {classes.top.bias:+.3f}")
    return ", ".join(parts)


def _versions(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _facts() -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    return table
