"""Every kind of figure: what it shows, and that it shows it tidily in both themes and at other sizes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from looking import pictures, shown_texts, smallest_text, texts, untidy
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from toys import calibrate_index, quadrant_image, toy_split

from simsearch.data.splits import Split
from simsearch.encode.history import EpochRecord
from simsearch.encode.model_folder import Model
from simsearch.errors import BadInputError
from simsearch.evaluate.evaluation import evaluate
from simsearch.evaluate.mistakes import find_mistakes
from simsearch.index.bundle import Bundle, open_bundle
from simsearch.index.stores.base import gather
from simsearch.prepare.prepare import Preprocess
from simsearch.search.searcher import Searcher
from simsearch.show.figures.confusion import confusion_figure
from simsearch.show.figures.curves import pr_curve_figure, reliability_figure, scores_figure
from simsearch.show.figures.embedding import Map, embedding_figure, map_gallery
from simsearch.show.figures.grids import Item, Row, answer_row, gallery_rows, grid_figure, mistake_rows
from simsearch.show.figures.pair_sheet import ShownPair, Side, pairs_csv, pairs_figure, sample_pairs
from simsearch.show.figures.sheet import Style
from simsearch.show.figures.similarity import Example, best_examples, similarity_figure
from simsearch.show.figures.theme import DARK, LIGHT, similarity_color
from simsearch.show.figures.training import history_figure, log_ticks
from simsearch.stats.pairs import Histogram, Verification
from simsearch.stats.reliability import Reliability, share_interval
from simsearch.stats.significance import Interval

LONG = "a class whose name is far too long to be written anywhere, and then some more of it"
STRANGE = ("東京", "пример", LONG, "$x_1$ & <b>", "naïve café", "مثال", "9", "a\nb", "🙂🙃", "_")
LOOKS = [Style(), Style(DARK, width=4, height=16), Style(width=16, height=5)]


@pytest.fixture(params=LOOKS, ids=lambda style: f"{style.theme.name}-{style.width}x{style.height}")
def style(request: pytest.FixtureRequest) -> Style:
    return request.param


@pytest.fixture
def bundle(build_toy: Callable[..., Path], toy_gallery: Split) -> Bundle:
    return open_bundle(build_toy(toy_gallery))


@pytest.fixture
def unlabeled(build_toy: Callable[..., Path], toy_gallery: Split) -> Bundle:
    return open_bundle(build_toy(replace(toy_gallery, labels=None, classes=())))


def picture(gray: int) -> np.ndarray:
    return quadrant_image(gray, 0, 0, 255)


def assert_tidy(draw: Callable[[Style], Figure], style: Style) -> Figure:
    """Draw with a style; the texts must be tidy, and the page have the style's color and size."""
    figure = draw(style)
    assert untidy(figure) == []
    if style.width is None:
        assert smallest_text(figure) >= 9  # at half the size still 4.5 points, as in a footnote of a slide
    assert to_hex(figure.get_facecolor()) == style.theme.page
    size = figure.get_size_inches()
    for wanted, found in zip((style.width, style.height), size, strict=True):
        assert wanted is None or found == pytest.approx(wanted)
    return figure


# Pairs


def side(label: str, gray: int = 9) -> Side:
    return Side(f"toy/{gray}", label, picture(gray))


def test_pairs_stand_under_their_heading_with_labels_and_a_mark_for_the_models_verdict(style: Style) -> None:
    pairs = [
        ShownPair(side("a", 1), side("a", 2), True, 0.9, 0.98),
        ShownPair(side("a", 3), side("b", 4), False, 0.8, 0.97),
        ShownPair(side("b", 5), side("b", 6), True, 0.1, 0.01),
        ShownPair(side("b", 7), side("c", 8), False, 0.0, 0.0),
    ]
    figure = assert_tidy(lambda wanted: pairs_figure(pairs, wanted, about="of toys"), style)
    written = texts(figure)
    assert written[:2] == ["Random pairs of images: of one class, and of two", "of toys"]
    same, different = (written.index(f"{kind}") for kind in written if "the answer is" in kind)
    assert written[same + 1 : different] == [
        *("a", "a", "✓ probability 98.0 %"),
        *("b", "b", "✗ probability 1.0 %"),
    ]
    assert written[different + 1 :] == [
        *("a", "b", "✗ probability 97.0 %"),
        *("b", "c", "✓ probability 0.0 %"),
    ]
    assert [int(image.get_array()[0, 0]) for image in pictures(figure)] == [1, 2, 5, 6, 3, 4, 7, 8]
    colors = {
        text.get_text()[0]: text.get_color() for text in shown_texts(figure) if "prob" in text.get_text()
    }
    assert colors == {"✓": style.theme.blue, "✗": style.theme.orange}


def test_pairs_with_strange_names_and_without_a_model_are_tidy(style: Style) -> None:
    pairs = [ShownPair(side(a), side(b), a == b) for a in STRANGE[:4] for b in STRANGE[:4]]
    figure = assert_tidy(lambda wanted: pairs_figure(pairs, wanted, about=LONG * 3), style)
    assert len(pictures(figure)) == 32
    assert not any("probability" in text for text in texts(figure))


def test_sampled_pairs_are_those_of_training_with_the_models_word(
    toy_model: Model, toy_gallery: Split
) -> None:
    split = toy_gallery.take([0, 1, 2, 3, 4])
    pairs = sample_pairs(split, 10, seed=3, model=toy_model)
    assert sum(pair.same for pair in pairs) == 5
    for pair in pairs:
        assert pair.same == (pair.first.label == pair.second.label)
        rows = [int(side.source.removeprefix("toy/")) for side in (pair.first, pair.second)]
        vectors = toy_model.encoder.encode(split.images[rows])
        assert pair.score == pytest.approx(float(vectors[0] @ vectors[1]))
        assert pair.probability == pytest.approx(1 / (1 + np.exp(5 - 10 * pair.score)))
    assert sample_pairs(split, 10, seed=3)[0].score is None
    table = pairs_csv(pairs).decode().splitlines()
    assert table[0] == "first,second,first_label,second_label,same,score,probability"
    first = pairs[0]
    assert table[1].split(",") == [
        *(first.first.source, first.second.source, first.first.label, first.second.label),
        *(str(int(first.same)), repr(first.score), repr(first.probability)),
    ]
    assert pairs_csv(sample_pairs(split, 2, seed=3)).decode().splitlines()[1].endswith(",,")


def test_what_cannot_be_paired_is_refused(toy_gallery: Split) -> None:
    with pytest.raises(BadInputError, match="toy has no labels"):
        sample_pairs(replace(toy_gallery, labels=None))
    with pytest.raises(BadInputError, match="at least two classes, and two images"):
        sample_pairs(toy_gallery.take(np.array([0, 3, 5])))  # one image a class


# Similarity


def test_the_best_examples_are_ranked_colored_and_numbered_by_their_cosine(
    bundle: Bundle, style: Style
) -> None:
    searcher = Searcher.open(calibrate_index(bundle.folder))
    query = quadrant_image(30, 40, 0, 0)
    answer = searcher.query(query, preprocess=Preprocess.NONE)
    examples = best_examples(searcher, answer)
    assert [(e.label, round(e.score, 6), round(e.probability, 4)) for e in examples] == [
        ("a", 1.0, 0.982),
        ("b", 0.8, 0.9168),
        ("c", 0.0, 0.018),
    ]
    figure = assert_tidy(lambda wanted: similarity_figure(query, examples, wanted, name="q.png"), style)
    written = texts(figure)
    for rank, label, score, probability in (
        ("1", "class a", "1.000", "98.2 %"),
        ("2", "class b", "0.800", "91.6 %"),
        ("3", "class c", "0.000", "1.7 %"),
    ):
        at = written.index(label)
        assert written[at - 1 : at + 3] == [rank, label, score, probability]
    assert {"query", "q.png", "0", "0.25", "0.5", "0.75", "1"} <= set(written)
    tiles = [to_hex(patch.get_facecolor()) for patch in figure.findobj(FancyBboxPatch)]
    assert tiles[1:] == [to_hex(similarity_color(score)) for score in (1.0, 0.8, 0.0)]
    shown = [image.get_array() for image in pictures(figure)]
    np.testing.assert_array_equal(shown[0], query)
    np.testing.assert_array_equal(shown[1], bundle.thumbnails[2])


def test_negative_cosines_have_their_place_on_the_scale_and_many_classes_are_cut(style: Style) -> None:
    scores = np.linspace(-0.6, 1, 30)
    examples = [Example(f"{STRANGE[i % 10]}{i}", picture(i), float(s), 0.5) for i, s in enumerate(scores)]
    figure = assert_tidy(lambda wanted: similarity_figure(picture(7), examples, wanted, name=LONG), style)
    assert len(pictures(figure)) == 1 + 20
    assert any("of 30, by cosine similarity (the first 20)" in text for text in texts(figure))
    few = assert_tidy(lambda wanted: similarity_figure(picture(7), examples[:3], wanted), style)
    assert {"-0.5", "0", "1"} <= set(texts(few))
    with pytest.raises(ValueError, match="at least one example"):
        similarity_figure(picture(7), [])


def test_a_gallery_without_labels_has_no_best_examples(unlabeled: Bundle) -> None:
    searcher = Searcher(unlabeled)
    with pytest.raises(BadInputError, match="the index toy has no labels, so there are no classes to show"):
        best_examples(searcher, searcher.query(quadrant_image(30, 40, 0, 0), preprocess=Preprocess.NONE))


# History


def record(epoch: int, val_loss: float) -> EpochRecord:
    return EpochRecord(
        epoch, val_loss / 2, 0.9 + epoch / 1000, val_loss, 0.8 + epoch / 1000, 0.01 / epoch, 1.0
    )


@pytest.mark.parametrize("losses", [(0.5,), (0.5, 0.2, 0.2, 0.7), tuple(1 / (n + 1) for n in range(90))])
def test_the_history_has_every_figure_and_marks_the_first_best_epoch(
    losses: tuple[float, ...], style: Style
) -> None:
    history = [record(place, loss) for place, loss in enumerate(losses, start=1)]
    figure = assert_tidy(lambda wanted: history_figure(history, wanted, about="a run"), style)
    best = losses.index(min(losses)) + 1
    assert any(text.startswith(f"kept: epoch {best}, loss {min(losses):.4f}") for text in texts(figure))
    loss, accuracy, rate = (axes for axes in figure.axes if axes.get_ylabel())
    assert [axes.get_ylabel() for axes in (loss, accuracy, rate)] == ["loss", "accuracy", "learning rate"]
    epochs = list(range(1, len(losses) + 1))
    drawn = [(list(line.get_xdata()), list(line.get_ydata())) for line in loss.lines[:2]]
    assert drawn == [(epochs, [value / 2 for value in losses]), (epochs, list(losses))]
    assert list(accuracy.lines[1].get_ydata()) == [r.val_accuracy for r in history]
    assert list(rate.lines[0].get_ydata()) == [r.learning_rate for r in history]
    for axes in (loss, accuracy, rate):
        assert list(axes.lines[-1].get_xdata()) == [best, best]
        assert len(axes.get_yticks()) >= 1


def test_numbers_of_a_rate_over_many_powers_of_ten_do_not_meet(style: Style) -> None:
    rates = 1e-2 * np.cos(np.linspace(0, np.pi / 2, 45)) ** 4 + 2e-5
    history = [replace(record(n, 1 / n), learning_rate=float(rate)) for n, rate in enumerate(rates, start=1)]
    assert_tidy(lambda wanted: history_figure(history, wanted), style)
    assert log_ticks(0.9, 21, 5) == [1, 2, 5, 10, 20]
    assert log_ticks(0.9, 51, 5) == [1, 10]
    assert log_ticks(1e-5, 1, 3) == [1e-4, 1e-2, 1]


def test_a_history_without_epochs_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="without epochs"):
        history_figure([])


# Embedding


def test_the_map_shows_every_item_with_the_color_of_its_class(bundle: Bundle, style: Style) -> None:
    drawn = map_gallery(bundle)
    figure = assert_tidy(lambda wanted: embedding_figure(drawn, wanted), style)
    (axes,) = (axes for axes in figure.axes if axes.collections)
    points = [scatter.get_offsets() for scatter in axes.collections]
    assert [len(rows) for rows in points] == [3, 2, 1]
    np.testing.assert_allclose(np.concatenate(points), drawn.points)
    colors = [to_hex(scatter.get_facecolor()[0]) for scatter in axes.collections]
    assert colors == list(style.theme.classes[:3])
    assert set("abc") <= set(texts(figure))


def test_the_principal_components_of_known_vectors(bundle: Bundle) -> None:
    drawn = map_gallery(bundle)
    vectors = gather(bundle.store).vectors.astype(np.float64)
    centered = vectors - vectors.mean(axis=0)
    values = np.linalg.eigvalsh(centered.T @ centered)[::-1]
    np.testing.assert_allclose((drawn.points**2).sum(axis=0), values[:2])
    np.testing.assert_allclose(drawn.points[0], drawn.points[1], atol=1e-7)
    share = 100 * values[:2].sum() / values.sum()
    assert drawn.about == f"toy, 6 items: principal components 1 and 2, {share:.0f} % of the variance"


def test_pictures_and_names_on_the_map_lie_on_nothing(style: Style) -> None:
    rng = np.random.default_rng(1)
    labels = np.arange(400) % 34
    points = rng.normal(size=(34, 2))[labels] * 3 + rng.normal(size=(400, 2))
    classes = tuple(f"{STRANGE[number % 10]} {number}" for number in range(34))
    drawn = Map(points, np.stack([picture(n % 250) for n in range(400)]), labels, classes, "many")
    figure = assert_tidy(lambda wanted: embedding_figure(drawn, wanted, pictures=25), style)
    boxes = [image.get_window_extent() for image in pictures(figure)]
    assert len(boxes) == 25
    for place, box in enumerate(boxes):
        assert not any(box.padded(-1).overlaps(other.padded(-1)) for other in boxes[:place])


def test_a_map_without_labels_has_one_color_and_no_names(unlabeled: Bundle, style: Style) -> None:
    figure = assert_tidy(lambda wanted: embedding_figure(map_gallery(unlabeled), wanted), style)
    (axes,) = (axes for axes in figure.axes if axes.collections)
    assert [len(scatter.get_offsets()) for scatter in axes.collections] == [6]
    assert len(texts(figure)) == 2


def test_a_map_of_a_part_is_the_same_each_time_and_says_so(shipped: Searcher) -> None:
    drawn, again = (map_gallery(shipped.bundle, "tsne", count=60, seed=5) for _ in range(2))
    np.testing.assert_array_equal(drawn.points, again.points)
    assert drawn.about == "mnist-test, 60 of 10,000 items: t-SNE; far distances mean nothing"
    assert np.isfinite(drawn.points).all()


def test_too_few_items_make_no_map(build_toy: Callable[..., Path], toy_gallery: Split) -> None:
    one = open_bundle(build_toy(toy_gallery.take([0])))
    with pytest.raises(BadInputError, match="cannot be mapped: a map needs at least 2 vectors, not 1"):
        map_gallery(one)
    three = open_bundle(build_toy(toy_gallery.take([0, 2, 3]), name="three"))
    with pytest.raises(BadInputError, match="t-SNE needs at least 4 vectors, not 3"):
        map_gallery(three, "tsne")
    assert texts(embedding_figure(map_gallery(three)))


# Confusions


def test_confusions_are_shaded_by_their_count_and_the_diagonal_is_not(style: Style) -> None:
    counts = [[50, 1, 0], [4, 60, 2], [0, 0, 70]]
    figure = assert_tidy(lambda wanted: confusion_figure(counts, ("a", "b", "c"), wanted, about="x"), style)
    written = texts(figure)
    assert written[0] == "7 of 187 nearest items are of another class"
    assert [text for text in written if text.isdigit()] == ["50", "1", "4", "60", "2", "70"]
    fills = [to_hex(patch.get_facecolor()) for patch in figure.findobj(FancyBboxPatch)]
    theme, heat = style.theme, style.theme.heat
    two = fills[5]  # of at most 4: sqrt(2) - 1 of the way
    assert fills == [
        *(theme.panel, heat[0], theme.page),
        *(heat[4], theme.panel, two),
        *(theme.page, theme.page, theme.panel),
    ]
    share = (2**0.5 - 1) * 4 - 1
    between = [(1 - share) * a + share * b for a, b in zip(to_rgb(heat[1]), to_rgb(heat[2]), strict=True)]
    np.testing.assert_allclose(to_rgb(two), between, atol=1 / 255)


def test_no_two_counts_of_errors_share_a_color() -> None:
    counts = np.zeros((7, 7), np.int64)
    counts[0, 1:] = range(1, 7)
    figure = confusion_figure(counts, "abcdefg")
    fills = [to_hex(patch.get_facecolor()) for patch in figure.findobj(FancyBboxPatch)]
    assert len(set(fills[1:7])) == 6


@pytest.mark.parametrize("classes", [1, 2, 10, 45])
def test_confusions_of_strange_and_many_classes_are_tidy(classes: int, style: Style) -> None:
    counts = np.random.default_rng(0).integers(0, 30_000, (classes, classes))
    names = [f"{STRANGE[number % 10]} {number}" for number in range(classes)]
    figure = assert_tidy(lambda wanted: confusion_figure(counts, names, wanted, about="many"), style)
    assert len(figure.findobj(FancyBboxPatch)) == min(classes, 20) ** 2
    if classes > 20:
        assert "many (20 of 45 classes)" in texts(figure)


# Curves


def verification(threshold: float = 0.45) -> Verification:
    return Verification(
        pairs=1_000,
        seed=0,
        threshold=threshold,
        accuracy=0.9,
        accuracy_interval=Interval(0.8, 0.95),
        roc_auc=0.99,
        equal_error_rate=0.05,
        calibration=Reliability(
            0.0123, 0.01, (400, 0, 100, 500), (0.1, None, 0.6, 0.95), (0.05, None, 0.5, 1.0)
        ),
        histogram=Histogram(-0.2, 1.0, (0, 5, 100), (90, 10, 0)),
    )


@pytest.mark.parametrize("precision", [(1.0, 1.0, 1.0), (0.999, 0.99, 0.4), (0.2, 0.1, 0.0)])
def test_the_precision_curve_shows_each_point_on_its_scale(
    precision: tuple[float, ...], style: Style
) -> None:
    recall = (0.0, 0.5, 1.0)
    figure = assert_tidy(lambda wanted: pr_curve_figure(recall, precision, wanted, about="x"), style)
    (axes,) = (axes for axes in figure.axes if axes.lines)
    np.testing.assert_allclose(axes.lines[0].get_xdata(), recall)
    nines = [min(4.0, -np.log10(max(1 - value, 1e-4))) for value in precision]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), nines)
    assert axes.get_ylim()[0] <= min(nines)
    assert axes.get_ylim()[1] >= max(nines)


@pytest.mark.parametrize("threshold", [0.45, -0.1, 0.98, float("nan"), 7.0])
def test_the_scores_show_both_histograms_and_a_threshold_that_is_on_them(
    threshold: float, style: Style
) -> None:
    figure = assert_tidy(lambda wanted: scores_figure(verification(threshold), wanted, about="x"), style)
    (axes,) = (axes for axes in figure.axes if axes.get_xlabel())
    steps = {tuple(patch.get_data().values.tolist()) for patch in axes.patches}
    assert steps == {(0, 5, 100), (90, 10, 0)}
    assert axes.patches[0].get_data().edges.tolist() == pytest.approx([-0.2, 0.2, 0.6, 1.0])
    named = [text for text in texts(figure) if text.startswith("probability 0.5 at")]
    assert named == ([f"probability 0.5 at {threshold:.4f}"] if -0.2 <= threshold <= 1 else [])


def test_the_reliability_shows_the_known_bins_and_how_full_all_are(style: Style) -> None:
    figure = assert_tidy(
        lambda wanted: reliability_figure(verification().calibration, wanted, about="x"), style
    )
    assert "Probabilities against truth (ECE 0.0123)" in texts(figure)
    shares, counts = (axes for axes in figure.axes if axes.get_ylabel())
    assert list(shares.lines[1].get_xdata()) == [0.1, 0.6, 0.95]
    assert list(shares.lines[1].get_ydata()) == [0.05, 0.5, 1.0]
    assert [bar.get_height() for bar in counts.patches] == [400, 0, 100, 500]


# Grids


def test_each_hit_is_framed_by_color_line_and_mark(bundle: Bundle, style: Style) -> None:
    mistakes = find_mistakes(bundle, evaluate(bundle).per_query, count=2)
    rows = mistake_rows(mistakes, k=3)
    figure = assert_tidy(lambda wanted: grid_figure(rows, wanted, title="Mistakes", about="x"), style)
    written = texts(figure)
    at = written.index("class b")
    assert written[at : at + 8] == [
        *("class b", "AP 0.200"),
        *("✗ c", "0.600", "✗ a", "0.000", "✗ a", "0.000"),
    ]
    second = written.index("class b", at + 1)
    assert written[second : second + 4] == ["class b", "AP 0.250", "✗ a", "0.800"]
    frames = figure.findobj(FancyBboxPatch)
    assert len(frames) == 6
    assert {to_hex(frame.get_edgecolor()) for frame in frames} == {style.theme.orange}
    right = Row("q", "n", picture(1), (Item("a", 0.5, True, picture(2)),))
    (frame,) = grid_figure([right], style, title="t").findobj(FancyBboxPatch)
    assert to_hex(frame.get_edgecolor()) == style.theme.blue
    assert frame.get_linestyle() == "solid"
    assert frames[0].get_linestyle() != "solid"


def test_gallery_items_are_asked_about_without_themselves_a_class_at_a_time(bundle: Bundle) -> None:
    rows = gallery_rows(Searcher(bundle), count=4, k=5, seed=2)
    assert [row.title for row in rows[:3]] == ["class a", "class b", "class c"]
    for row in rows:
        own = int(row.note.removeprefix("toy/"))
        np.testing.assert_array_equal(row.pixels, bundle.thumbnails[own])
        assert len(row.items) == 5
        label = "aaabbc"[own]
        assert sorted(item.label for item in row.items) == sorted("aaabbc".replace(label, "", 1))
        assert [item.right for item in row.items] == [item.label == label for item in row.items]
        assert [i.score for i in row.items] == sorted((i.score for i in row.items), reverse=True)
    again = gallery_rows(Searcher(bundle), count=4, k=5, seed=2)
    assert [row.note for row in again] == [row.note for row in rows]


def test_grids_without_truth_have_no_frames_and_no_marks(unlabeled: Bundle, style: Style) -> None:
    rows = gallery_rows(Searcher(unlabeled), count=3, k=2)
    assert all(item.label is None and item.right is None for row in rows for item in row.items)
    searcher = Searcher(unlabeled)
    answer = searcher.query(quadrant_image(30, 40, 0, 0), k=2, preprocess=Preprocess.NONE)
    rows += (answer_row(searcher, LONG, picture(3), answer),)
    assert (rows[-1].title, rows[-1].note) == (LONG, "")
    figure = assert_tidy(lambda wanted: grid_figure(rows, wanted, title=LONG, about=LONG), style)
    assert figure.findobj(FancyBboxPatch) == []
    assert len(pictures(figure)) == 4 * 3


def test_strange_names_in_grids_are_tidy(style: Style) -> None:
    rows = [
        Row(name, name, picture(1), tuple(Item(other, 0.1, None, picture(2)) for other in STRANGE))
        for name in STRANGE
    ]
    assert_tidy(lambda wanted: grid_figure(rows, wanted, title="t", about="a"), style)
    with pytest.raises(ValueError, match="at least one row"):
        grid_figure([], title="t")


def test_an_answer_is_named_by_the_class_it_is_most_like(bundle: Bundle) -> None:
    searcher = Searcher(bundle)
    answer = searcher.query(quadrant_image(30, 40, 0, 0), k=2, preprocess=Preprocess.NONE)
    row = answer_row(searcher, "q.png", picture(3), answer)
    assert (row.title, row.note) == ("q.png", "most like class a")
    assert [(item.label, item.right) for item in row.items] == [("a", None), ("b", None)]


def test_a_single_item_has_no_neighbors(build_toy: Callable[..., Path]) -> None:
    single = open_bundle(build_toy(toy_split([((1, 0, 0, 0), 0)])))
    with pytest.raises(BadInputError, match="holds a single item"):
        gallery_rows(Searcher(single))


def test_light_is_the_theme_unless_another_is_wanted() -> None:
    assert to_hex(history_figure([record(1, 0.5)]).get_facecolor()) == LIGHT.page


LETTERS = ("letter a, upper case, bold", "letter b, upper case, bold")


def test_long_class_names_have_a_line_of_their_own_and_stay_apart(style: Style) -> None:
    items = tuple(Item(name, 0.5, place == 0, picture(2)) for place, name in enumerate(LETTERS))
    figure = assert_tidy(
        lambda wanted: grid_figure([Row("q", "n", picture(1), items)], wanted, title="t", key="AP: x"), style
    )
    first, second = (text for text in texts(figure) if text.startswith(("✓ ", "✗ ")))
    assert "r a" in first
    assert "r b" in second
    assert texts(figure).count("0.500") == 2
    assert "AP: x" in texts(figure)


def test_long_class_names_stay_apart_on_the_map(style: Style) -> None:
    points = np.array([[0.0, 0], [1, 0], [0, 1], [1, 1]])
    drawn = Map(points, np.stack([picture(n) for n in range(4)]), np.arange(4) % 2, LETTERS, "two")
    written = texts(assert_tidy(lambda wanted: embedding_figure(drawn, wanted), style))
    assert len([text for text in written if "…" in text]) == 2
    assert len(set(written)) == len(written)


@pytest.mark.parametrize("worst", [0.0, 0.3, 0.51, 0.9, 0.985, 0.9999])
def test_the_history_of_accuracy_has_a_tick_at_one(worst: float, style: Style) -> None:
    history = [replace(record(1, 0.1), val_accuracy=worst, train_accuracy=0.95), record(2, 0.0001)]
    figure = assert_tidy(lambda wanted: history_figure(history, wanted), style)
    accuracy = next(axes for axes in figure.axes if axes.get_ylabel() == "accuracy")
    low, high = accuracy.get_ylim()
    ticks = [tick for tick in accuracy.get_yticks() if low <= tick <= high]
    assert ticks[0] == 1
    assert 2 <= len(ticks) <= 6
    assert "Held-out pairs: after the epoch, as they are." in texts(figure)


def test_the_reliability_says_how_sure_each_bin_is(style: Style) -> None:
    figure = reliability_figure(verification().calibration, style)
    shares = next(axes for axes in figure.axes if axes.get_ylabel().startswith("share"))
    lines, points = shares.collections
    heights = [(segment[0][1], segment[1][1]) for segment in lines.get_segments()]
    expected = [share_interval(share, count) for share, count in ((0.05, 400), (0.5, 100), (1.0, 500))]
    np.testing.assert_allclose(heights, [(interval.low, interval.high) for interval in expected])
    sizes = points.get_sizes()
    assert sizes[1] < sizes[0] < sizes[2]
