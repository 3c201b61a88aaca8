"""The HTML report: well formed, self-contained, every figure in place, data never taken as markup."""

from __future__ import annotations

import base64
import io
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from toys import quadrant_image

import simsearch.show.html.html_report
from simsearch.evaluate.evaluation import metric_table
from simsearch.evaluate.mistakes import Mistake, Neighbor
from simsearch.evaluate.report import Approximation, ClassRow, Estimate, PerQuery, Report
from simsearch.show.html.html_report import PAIR_DEFINITIONS, render_report
from simsearch.stats.pairs import Histogram, Verification
from simsearch.stats.reliability import Reliability
from simsearch.stats.significance import Interval

VOID = {"meta", "link", "img", "br"}
HOSTILE = """<script>alert(1)</script>"'&"""
ESCAPED = "&lt;script&gt;alert(1)&lt;/script&gt;&#34;&#39;&amp;"
QUERY, RIGHT, WRONG = quadrant_image(0, 50, 100, 150), quadrant_image(1, 2, 3, 4), quadrant_image(9, 8, 7, 6)

VERIFICATION = Verification(
    pairs=1200,
    seed=7,
    threshold=0.4,
    accuracy=0.9125,
    accuracy_interval=Interval(0.9, 0.925),
    roc_auc=0.987654,
    equal_error_rate=0.0625,
    calibration=Reliability(0.0123, 0.0456, (1100, 0, 100), (0.05, None, 0.9), (0.1, None, 0.8)),
    learned=Reliability(0.0234, 0.0567, (1200, 0, 0), (0.05, None, None), (0.1, None, None)),
    histogram=Histogram(-0.2, 1.0, (0, 9, 99), (999, 0, 0)),
)
REPORT = Report(
    index="toy index",
    model="toy model",
    encoder="e0e0",
    protocol="gallery leave-one-out",
    gallery=1234,
    gallery_fingerprint="a1a1",
    query_set="toy queries",
    query_fingerprint="b2b2",
    queries=1230,
    without_relevant=4,
    k=5,
    seed=3,
    resamples=2000,
    command="simsearch evaluate --seed 3",
    versions={"simsearch": "0.1.0", "numpy": "2.4"},
    classes=("cat", "dog"),
    figures={
        "P@1": Estimate(0.91, 0.90125, 0.92, 0.93),
        "R-precision": Estimate(0.81, 0.80, 0.82, 0.83),
        "MAP@R": Estimate(0.71, 0.70, 0.72, 0.73),
        "MAP": Estimate(0.61, 0.60, 0.62, 0.63),
        "P@5": Estimate(0.51, 0.50, 0.52, 0.53),
    },
    per_class=(
        ClassRow("cat", 1000, {"P@1": 0.9, "R-precision": 0.8, "MAP@R": 0.7, "MAP": 0.65, "P@5": 1.0}),
        ClassRow("dog", 230, {"P@1": 0.96, "R-precision": 0.79, "MAP@R": 0.69, "MAP": 0.66, "P@5": 1.0}),
    ),
    confusion=((1064, 16), (4, 146)),
    recall_levels=(0.0, 0.5, 1.0),
    precision=(1.0, 0.99, 0.9),
    verification=VERIFICATION,
    approximation=Approximation(0.875, 0.75),
    per_query=PerQuery((), np.zeros(0, np.int64), (), np.zeros(0, np.int64), {}),
)
MISTAKES = (
    Mistake(
        query="toy/17",
        label="dog",
        average_precision=0.125,
        pixels=QUERY,
        neighbors=(
            Neighbor(5, "cat", 0.87654, False, WRONG),
            Neighbor(6, "dog", -0.25, True, RIGHT),
        ),
    ),
)


class Page(HTMLParser):
    """A document read strictly: every tag closed in order; its tables, images and texts by element."""

    def __init__(self, document: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[str, str]] = []  # (innermost element, or "caption span", text)
        self.rows: list[list[str]] = []
        self.feed(document)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"an attribute of {tag} is given twice"
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        assert self.open.pop() == tag

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "td" in self.open or "th" in self.open:
            self.rows[-1][-1] += data
        if data.strip():
            where = "caption span" if self.open[-2:] == ["caption", "span"] else self.open[-1]
            self.texts.append((where, data.strip()))

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def of(self, tag: str) -> list[str]:
        return [text for element, text in self.texts if element == tag]

    def facts(self) -> dict[str, str]:
        """Every term of a definition list with the first text of its definition."""
        found: dict[str, str] = {}
        for (element, term), (_, text) in zip(self.texts, self.texts[1:], strict=False):
            if element == "dt":
                found.setdefault(term, text)
        return found


PAGE = Page(render_report(REPORT, MISTAKES))


def marked(report: Report) -> list[str]:
    return re.findall(r'aria-label="weakest:">▼</span> ([\d.]+)</td>', render_report(report, ()))


def many_classes(count: int) -> Report:
    """A report of `count` classes where class i is taken for class i + 1 exactly i times."""
    names = tuple(f"class {i}" for i in range(count))
    metrics = {"P@1": 0.5, "R-precision": 0.5, "MAP@R": 0.5, "MAP": 0.5, "P@5": 0.5}
    confusion = np.diag(np.full(count, 100)) + np.diag(np.arange(count - 1), 1)
    return replace(
        REPORT,
        classes=names,
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        per_class=tuple(ClassRow(name, 100, metrics) for name in names),
        queries=int(confusion.sum()),
    )


@pytest.mark.parametrize(
    ("report", "mistakes"),
    [
        (REPORT, MISTAKES),
        (replace(REPORT, verification=None, approximation=None, command=""), ()),
        (many_classes(30), MISTAKES),
        (many_classes(40), ()),
    ],
)
def test_the_document_is_well_formed_and_asks_nobody_for_anything(
    report: Report, mistakes: tuple[Mistake, ...]
) -> None:
    document = render_report(report, mistakes)
    page = Page(document)
    assert document.startswith("<!DOCTYPE html>\n")
    assert [page.all("html"), page.all("script")] == [[{"lang": "en"}], []]
    assert not re.search(r"https?:|url\(|@import|\bon\w+=", document)
    links = [value for _, found in page.tags for name, value in found.items() if name in ("src", "href")]
    assert [link for link in links if not link.startswith(("data:", "#"))] == []
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {link[1:] for link in links if link.startswith("#")}
    named = {attributes["aria-labelledby"] for _, attributes in page.tags if "aria-labelledby" in attributes}
    assert targets | named == set(ids)


def test_sections_come_in_order() -> None:
    assert [*PAGE.of("h1"), *PAGE.of("h2"), *PAGE.of("h3")] == [
        "Evaluation of toy index",
        "Headline",
        "All figures",
        "Per class",
        "Confusions",
        "Precision and recall",
        "Pair verification",
        "Approximate index",
        "Worst queries",
        "Provenance",
        "What the figures mean",
    ]


def test_the_header_says_what_was_measured() -> None:
    facts = PAGE.facts()
    assert facts["Model"] == "toy model"
    assert facts["Protocol"] == "gallery leave-one-out"
    assert facts["Query set"] == "toy queries"
    assert facts["Queries"] == "1,230"
    assert facts["Left out"] == "4 (no relevant item in the gallery)"
    assert facts["Gallery"] == "1,234 images, 2 classes"


def test_the_headline_shows_five_figures_with_their_intervals() -> None:
    document = render_report(REPORT, ())
    cards = re.findall(r'<dt>([^<]+)</dt><dd class="large">([^<]+)</dd><dd>([^<]+)</dd>', document)
    assert cards == [
        ("MAP@R", "0.7100", "95 %: 0.7000 to 0.7200"),
        ("R-precision", "0.8100", "95 %: 0.8000 to 0.8200"),
        ("P@1", "0.9100", "95 %: 0.9012 to 0.9200"),
        ("MAP", "0.6100", "95 %: 0.6000 to 0.6200"),
        ("Pair accuracy", "0.9125", "95 %: 0.9000 to 0.9250"),
    ]


def test_every_table_holds_exactly_its_figures() -> None:
    assert PAGE.rows == [
        ["Metric", "Mean", "95 % interval", "Mean of class means"],
        ["P@1", "0.9100", "0.9012 to 0.9200", "0.9300"],
        ["R-precision", "0.8100", "0.8000 to 0.8200", "0.8300"],
        ["MAP@R", "0.7100", "0.7000 to 0.7200", "0.7300"],
        ["MAP", "0.6100", "0.6000 to 0.6200", "0.6300"],
        ["P@5", "0.5100", "0.5000 to 0.5200", "0.5300"],
        ["Class", "Queries", "P@1", "R-precision", "MAP@R", "MAP", "P@5"],
        ["cat", "1,000", "▼ 0.9000", "0.8000", "0.7000", "▼ 0.6500", "1.0000"],
        ["dog", "230", "0.9600", "▼ 0.7900", "▼ 0.6900", "0.6600", "1.0000"],
        ["query ↓ nearest →", "cat", "dog"],
        ["cat", "1,064", "16"],
        ["dog", "4", "146"],
        ["Recall", "Precision"],
        ["0", "1.0000"],
        ["0.5", "0.9900"],
        ["1", "0.9000"],
        ["Figure", "Value"],
        ["Pair accuracy", "0.9125"],
        ["ROC AUC", "0.98765"],
        ["Equal error rate", "0.0625"],
        ["ECE", "0.0123"],
        ["ECE as learned", "0.0234"],
        ["Brier", "0.0456"],
        ["Threshold", "0.4000"],
        ["Probability", "Pairs", "Predicted", "Observed"],
        ["0.000 to 0.333", "1,100", "0.0500", "0.1000"],
        ["0.333 to 0.667", "0", "none", "none"],
        ["0.667 to 1.000", "100", "0.9000", "0.8000"],
        ["Figure", "Share"],
        ["Exact nearest items found", "0.8750"],
        ["Exact best 5 items found", "0.7500"],
    ]


def test_tables_have_captions_and_scoped_headers_and_scroll_by_themselves() -> None:
    captions = [text for where, text in PAGE.texts if where == "caption span"]
    assert len(PAGE.all("table")) == len(captions) == 7
    assert {attributes["scope"] for attributes in PAGE.all("th")} == {"col", "row"}
    boxes = [attributes for attributes in PAGE.all("div") if attributes.get("class") == "scroll"]
    assert [box["aria-label"] for box in boxes] == captions
    assert {box["tabindex"] for box in boxes} == {"0"}


def test_the_weakest_class_is_marked_unless_all_are_equal() -> None:
    assert marked(REPORT) == ["0.9000", "0.6500", "0.7900", "0.6900"]
    assert marked(replace(REPORT, per_class=REPORT.per_class[:1])) == []
    assert marked(many_classes(3)) == []


def test_errors_are_shaded_by_the_square_root_of_their_share_of_the_most_frequent() -> None:
    cells = [attributes.get("class", "") for attributes in PAGE.all("td")]
    start = cells.index("diagonal")
    assert cells[start : start + 4] == ["diagonal", "heat5", "heat3", "diagonal"]  # sqrt(4 / 16) of 5 levels
    assert "20 of 1,230 queries have a nearest item of another class." in PAGE.of("p")


def test_a_matrix_without_errors_has_no_shades() -> None:
    document = render_report(replace(REPORT, confusion=((1000, 0), (0, 230))), ())
    cells = [attributes.get("class") for attributes in Page(document).all("td")]
    assert cells.count("none") == cells.count("diagonal") == 2
    assert not {f"heat{level}" for level in range(1, 6)} & set(cells)


def test_thirty_classes_make_a_matrix_and_forty_a_list_of_the_most_frequent_confusions() -> None:
    assert "query ↓ nearest →" in [row[0] for row in Page(render_report(many_classes(30), ())).rows]
    rows = Page(render_report(many_classes(40), ())).rows
    start = rows.index(["Class of the query", "Class of its nearest item", "Queries"])
    listed = [[f"class {i}", f"class {i + 1}", str(i)] for i in range(38, 8, -1)]
    assert rows[start + 1 : start + 31] == listed
    assert rows[start + 31] == ["Recall", "Precision"]
    assert "query ↓ nearest →" not in [row[0] for row in rows]


def test_forty_classes_without_errors_have_no_list() -> None:
    report = many_classes(40)
    document = render_report(
        replace(report, confusion=tuple(tuple(row) for row in np.eye(40, dtype=int).tolist())), ()
    )
    assert "0 of 4,741 queries have a nearest item of another class." in Page(document).of("p")
    assert "Class of its nearest item" not in document


def points_of(document: str, css: str) -> list[list[tuple[float, float]]]:
    return [
        [(float(x), float(y)) for x, y in (point.split(",") for point in text.split())]
        for text in re.findall(rf'<polyline class="{css}" points="([^"]*)"', document)
    ]


def test_curves_run_through_the_points_they_show() -> None:
    curve, reliability = points_of(render_report(REPORT, ()), "line same")
    # Upwards 0.9, 0.95, 0.99, 0.995, 0.999, 0.9999 on a log scale: one to four nines over 202 units.
    assert curve == [(64, 24), (226, 158.7), (388, 226)]
    # The band above 1 is for counts, so that 1.3 is at the top; the empty bin has no point.
    assert reliability == [(80.2, 210.5), (355.6, 101.7)]


def test_a_precision_of_one_is_drawn_at_a_tick_that_says_so() -> None:
    assert [text for text in PAGE.of("text") if text.startswith("0.9") or "≥" in text] == [
        "0.9",
        "0.95",
        "0.99",
        "0.995",
        "0.999",
        "≥0.9999",
    ]


def test_histogram_steps_are_as_high_as_the_logarithm_of_one_plus_the_count() -> None:
    document = render_report(REPORT, ())
    (same,) = points_of(document, "area same")
    # Counts 0, 9 and 99 of at most 999: none, one and two thirds of 202 units.
    assert same == [
        (64, 226), (64, 226), (172, 226), (172, 158.7), (280, 158.7), (280, 91.3), (388, 91.3), (388, 226),
    ]  # fmt: skip
    assert '<path class="threshold" d="M226.0 10V226"/>' in document
    assert "threshold 0.4000" in PAGE.of("text")


@pytest.mark.parametrize("threshold", [math.nan, math.inf, -math.inf, 1.5, -0.3])
def test_a_threshold_outside_the_scores_is_not_drawn(threshold: float) -> None:
    page = Page(render_report(replace(REPORT, verification=replace(VERIFICATION, threshold=threshold)), ()))
    assert not [found for found in page.all("path") if found["class"] == "threshold"]
    shown = f"{threshold:.4f}" if math.isfinite(threshold) else "none"
    assert ["Threshold", shown] in page.rows


def test_counts_of_bins_stand_over_the_reliability_diagram() -> None:
    document = render_report(REPORT, ())
    assert re.findall(r'<text class="small"[^>]*>([^<]*)', document) == ["1,100", "0", "100"]


@pytest.mark.parametrize(
    "precision", [(1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (0.95, 0.9, 0.02), (0.99991, 0.5, 0.5)]
)
def test_every_coordinate_is_finite_and_inside_its_drawing(precision: tuple[float, ...]) -> None:
    document = render_report(replace(REPORT, precision=precision), ())
    lines = points_of(document, '[^"]*')
    assert len(lines) == 5  # the curve, two histograms, the diagonal and the reliability
    for points in lines:
        assert all(64 <= x <= 388 and 24 <= y <= 226 for x, y in points)
    for tag, attributes in Page(document).tags:
        if tag in ("path", "text", "circle", "polyline", "svg"):
            drawn = " ".join(
                attributes.get(name, "") for name in ("d", "points", "transform", "x", "y", "cx", "cy")
            )
            numbers = re.sub(r"translate|rotate|[MHVv(), ]+", " ", drawn).split()
            assert all(-90 <= float(number) <= 400 for number in numbers), drawn


def test_charts_are_pictures_with_a_title() -> None:
    charts = [found for found in PAGE.all("svg") if found.get("class") == "chart"]
    assert [(chart["role"], chart["aria-labelledby"]) for chart in charts] == [
        ("img", "curve-title"),
        ("img", "scores-title"),
        ("img", "reliability-title"),
    ]
    assert PAGE.of("title")[1:] == [
        "Mean interpolated precision at each level of recall: "
        "precision (log of 1 - precision) against recall",
        "Scores of pairs: pairs in a bin (log scale) against score",
        "Reliability of probabilities: observed share of one class against predicted probability",
    ]


def test_pictures_decode_to_the_thumbnails_and_say_what_they_show() -> None:
    found = [(image["alt"], image["src"].removeprefix("data:image/png;base64,")) for image in PAGE.all("img")]
    assert [alt for alt, _ in found] == [
        "query toy/17, class dog",
        "item 5, class cat",
        "item 6, class dog",
    ]
    for (_, data), pixels in zip(found, (QUERY, WRONG, RIGHT), strict=True):
        with Image.open(io.BytesIO(base64.b64decode(data, validate=True))) as image:
            assert image.mode == "L"
            assert np.array_equal(np.asarray(image), pixels)


def test_a_mark_and_its_name_accompany_right_and_wrong() -> None:
    document = render_report(REPORT, MISTAKES)
    items = re.findall(
        r'<img class="(\w+)".*?role="img" aria-label="(\w+):">(.)</span> (\w+)</span><span>([^<]+)</span>',
        document,
    )
    assert items == [("wrong", "wrong", "✗", "cat", "0.8765"), ("right", "right", "✓", "dog", "-0.2500")]
    assert "average precision 0.1250" in PAGE.of("p")
    assert "toy/17" in PAGE.of("p")


def test_ten_worst_queries_are_shown_and_the_others_on_demand() -> None:
    for count, folded in ((10, []), (11, ["The other 1"]), (50, ["The other 40"])):
        mistakes = tuple(replace(MISTAKES[0], query=f"query {i}") for i in range(count))
        document = render_report(replace(REPORT, verification=None), mistakes)
        page = Page(document)
        assert page.of("summary") == folded
        shown, *hidden = document.split("<details>")
        assert re.findall(r"^(query \d+)<br>", shown, re.M) == [f"query {i}" for i in range(10)]
        rest = re.findall(r"^(query \d+)<br>", "".join(hidden), re.M)
        assert rest == [f"query {i}" for i in range(10, count)]
        starts = [found.get("start") for found in page.all("ol") if found["class"] == "mistakes"]
        assert starts == ([None, "11"] if folded else [None])


def test_provenance_names_everything_that_would_repeat_the_evaluation() -> None:
    facts = PAGE.facts()
    assert {name: facts[name] for name in ("Command", "Seed", "Bootstrap resamples", "k", "Encoder")} == {
        "Command": "simsearch evaluate --seed 3",
        "Seed": "3",
        "Bootstrap resamples": "2,000",
        "k": "5",
        "Encoder": "e0e0",
    }
    assert (facts["Gallery fingerprint"], facts["Query fingerprint"]) == ("a1a1", "b2b2")
    assert facts["Versions"] == "simsearch 0.1.0, numpy 2.4"


def test_every_metric_of_an_evaluation_is_defined() -> None:
    figure = Estimate(0.5, 0.4, 0.6, 0.5)
    for k in (1, 10):
        report = replace(REPORT, figures=dict.fromkeys(metric_table(k), figure), per_class=())
        terms = Page(render_report(report, ())).of("dt")
        assert terms[terms.index("Versions") + 1 :] == [*metric_table(k), *PAIR_DEFINITIONS]


def test_without_pairs_approximation_command_or_mistakes_the_report_says_so() -> None:
    page = Page(render_report(replace(REPORT, verification=None, approximation=None, command=""), ()))
    assert "Approximate index" not in page.of("h2")
    assert "Pair accuracy" not in page.of("dt")
    assert "Not measured: it takes two classes, and two images of each." in page.of("p")
    assert "None are listed." in page.of("p")
    assert page.facts()["Command"] == "not recorded"
    assert len([found for found in page.all("svg") if found.get("class") == "chart"]) == 1


def test_texts_from_data_are_never_markup() -> None:
    rows = (replace(REPORT.per_class[0], label=HOSTILE), REPORT.per_class[1])
    texts = ("index", "model", "encoder", "protocol", "query_set", "gallery_fingerprint", "query_fingerprint")
    hostile: dict[str, Any] = dict.fromkeys((*texts, "command"), HOSTILE)
    report = replace(
        REPORT,
        **hostile,
        classes=(HOSTILE, "dog"),
        per_class=rows,
        versions={HOSTILE: HOSTILE},
    )
    neighbor = replace(MISTAKES[0].neighbors[0], label=HOSTILE)
    mistake = replace(MISTAKES[0], query=HOSTILE, label=HOSTILE, neighbors=(neighbor,))
    document = render_report(report, (mistake,))
    page = Page(document)
    assert page.all("script") == []
    assert [tag for tag, _ in page.tags] == [
        tag for tag, _ in Page(render_report(REPORT, (replace(MISTAKES[0], neighbors=(neighbor,)),))).tags
    ]
    assert document.count(ESCAPED) == document.count("alert(1)") == 20
    assert [image["alt"] for image in page.all("img")] == [
        f"query {HOSTILE}, class {HOSTILE}",
        f"item 5, class {HOSTILE}",
    ]


def test_hostile_metric_and_class_names_of_a_long_list_are_escaped() -> None:
    report = many_classes(40)
    report = replace(
        report,
        classes=(HOSTILE,) * 40,
        figures={HOSTILE: REPORT.figures["MAP"]},
        per_class=(ClassRow("a", 1, {HOSTILE: 0.5}),),
    )
    document = render_report(report, ())
    assert Page(document).all("script") == []
    assert document.count(ESCAPED) == document.count("alert(1)") == 62  # 30 pairs and two headers


def test_characters_that_a_document_cannot_hold_are_replaced() -> None:
    index = "a\0b\ud800c\x1b[31m\u202ed{x}é"
    document = render_report(replace(REPORT, index=index), ())
    assert "Evaluation of a\ufffdb\ufffdc\ufffd[31m\ufffdd{x}é" in Page(document.encode().decode()).of("h1")


def test_text_contrasts_at_least_4_5_to_1_in_both_schemes() -> None:
    css = (Path(simsearch.show.html.html_report.__file__).parent / "palette.css").read_text("utf-8")
    schemes = [dict(re.findall(r"--(\w+): (#\w{6});", block)) for block in css.split(":root {")[1:]]
    assert len(schemes) == 2
    assert set(schemes[0]) == set(schemes[1])
    for colors in schemes:
        pairs = [
            (text, ground) for text in ("ink", "muted", "blue", "orange") for ground in ("page", "panel")
        ]
        pairs += [("ink", f"heat{level}") for level in range(1, 6)]
        assert {pair for pair in pairs if contrast(*(colors[name] for name in pair)) < 4.5} == set()


def contrast(first: str, second: str) -> float:
    """WCAG 2 contrast of two colors #rrggbb."""

    def luminance(color: str) -> float:
        parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)
