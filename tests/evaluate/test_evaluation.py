from collections.abc import Callable
from math import log2
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from toys import toy_split

from simsearch.data.splits import Split
from simsearch.errors import BadInputError
from simsearch.evaluate.evaluation import Queries, evaluate, rank_gallery
from simsearch.evaluate.report import Approximation
from simsearch.index.bundle import open_bundle
from simsearch.index.stores.base import gather
from simsearch.search.searcher import Searcher

E0, E1 = np.eye(2, dtype=np.float32)


NAMES = ("P@1", "R-precision", "MAP@R", "MAP", "MRR", "P@2", "hit@2", "recall@2", "capped recall@2", "nDCG@2")


def gallery_queries(vectors: NDArray[np.float32], labels: NDArray[np.int64]) -> Queries:
    return Queries(vectors, labels, tuple(map(str, range(len(labels)))), np.arange(len(labels)))


def test_every_figure_of_a_gallery_worked_by_hand(build_toy: Callable[..., Path], toy_gallery: Split) -> None:
    # Vectors: 0, 1 = (1,0,0,0); 2 = (.6,.8,0,0); 3 = (0,1,0,0); 4 = (0,0,1,0); 5 = (0,0,.6,.8).
    # Labels:  a    a              a               b              b              c
    # Rankings of the others, ties by id, with the relevant ones marked:
    #   0: 1+ 2+ 3 4 5     1: 0+ 2+ 3 4 5     2: 3 0+ 1+ 4 5
    #   3: 2 0 1 4+ 5      4: 5 0 1 2 3+      5: no other c, left out
    report = evaluate(open_bundle(build_toy(toy_gallery)), k=2, seed=7, command="by hand")
    assert (report.gallery, report.queries, report.without_relevant) == (6, 5, 1)
    ideal = 1 + 1 / log2(3)
    per_query = {
        "P@1": [1, 1, 0, 0, 0],
        "R-precision": [1, 1, 1 / 2, 0, 0],
        "MAP@R": [1, 1, 1 / 4, 0, 0],
        "MAP": [1, 1, (1 / 2 + 2 / 3) / 2, 1 / 4, 1 / 5],
        "MRR": [1, 1, 1 / 2, 1 / 4, 1 / 5],
        "P@2": [1, 1, 1 / 2, 0, 0],
        "hit@2": [1, 1, 1, 0, 0],
        "recall@2": [1, 1, 1 / 2, 0, 0],
        "capped recall@2": [1, 1, 1 / 2, 0, 0],
        "nDCG@2": [1, 1, (1 / log2(3)) / ideal, 0, 0],
    }
    assert tuple(report.figures) == NAMES
    for name, values in per_query.items():
        figure = report.figures[name]
        a, b = sum(values[:3]) / 3, sum(values[3:]) / 2
        assert report.per_query.values[name].tolist() == pytest.approx(values)
        assert (figure.value, figure.macro) == (pytest.approx(sum(values) / 5), pytest.approx((a + b) / 2))
        assert figure.low <= figure.value <= figure.high
        assert [row.metrics[name] for row in report.per_class] == [pytest.approx(a), pytest.approx(b)]
    assert [(row.label, row.queries) for row in report.per_class] == [("a", 3), ("b", 2)]
    assert report.per_query.query == ("toy/0", "toy/1", "toy/2", "toy/3", "toy/4")
    assert report.per_query.nearest.tolist() == [1, 0, 3, 2, 5]
    assert report.confusion == ((2, 1, 0), (1, 0, 1), (0, 0, 0))
    assert report.verification is not None  # class c has a single item, which is paired with others only
    assert report.verification.pairs == 100_000
    assert report.approximation is None
    assert (report.index, report.model, report.protocol) == ("toy", "toy", "gallery leave-one-out")
    assert (report.seed, report.command, report.query_set) == (7, "by hand", "toy")
    # Interpolated precision at recall 1/2 and 1: queries 0, 1: 1, 1; 2: 2/3, 2/3; 3: 1/4; 4: 1/5.
    assert report.precision[50] == pytest.approx((1 + 1 + 2 / 3 + 1 / 4 + 1 / 5) / 5)
    assert report.precision[100] == pytest.approx((1 + 1 + 2 / 3 + 1 / 4 + 1 / 5) / 5)


def test_a_query_set_is_asked_against_the_whole_gallery(
    build_toy: Callable[..., Path], toy_gallery: Split
) -> None:
    bundle = open_bundle(build_toy(toy_gallery))
    # Classes are matched by name: the query set counts them differently, and has one the gallery lacks.
    queries = toy_split(
        [((50, 0, 0, 0), 2), ((0, 9, 90, 0), 1), ((0, 0, 0, 90), 0)], classes=("zebra", "b", "a")
    )
    report = evaluate(bundle, queries, k=3)
    # Query 0 (1,0,0,0), an a: 0+ 1+ 2+ ...; query 1 (0,.1,.99,0), a b: 4+ 5 3+ ...; a zebra is left out.
    assert (report.protocol, report.queries, report.without_relevant) == ("query set against gallery", 2, 1)
    assert report.per_query.label == ("a", "b")
    assert report.per_query.values["MAP"].tolist() == pytest.approx([1, (1 + 2 / 3) / 2])
    assert report.per_query.values["recall@3"].tolist() == [1, 1]
    assert report.per_query.nearest.tolist() == [0, 4]
    unknown = toy_split([((50, 0, 0, 0), 0)], classes=("zebra",))
    with pytest.raises(BadInputError, match="no query has an item of its own class in the index toy"):
        evaluate(bundle, unknown)


def test_an_item_is_left_out_by_its_row_while_its_duplicate_stays() -> None:
    # Two pairs of duplicates with different labels inside each pair: every nearest item is wrong.
    vectors = np.stack([E0, E0, E1, E1])
    for labels, expected in (([0, 1, 0, 1], [0, 0, 0, 0]), ([0, 0, 1, 1], [1, 1, 1, 1])):
        ranked = rank_gallery(gallery_queries(vectors, np.array(labels)), vectors, np.array(labels))
        assert ranked.values["P@1"].tolist() == expected
        assert ranked.nearest.tolist() == [1, 0, 3, 2]


def test_the_result_does_not_depend_on_the_size_of_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(60, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = rng.integers(4, size=60)
    queries = gallery_queries(vectors, labels)
    whole = rank_gallery(queries, vectors, labels)
    monkeypatch.setattr("simsearch.evaluate.evaluation._BLOCK_SCORES", 7 * 60)
    counts: list[int] = []
    parts = rank_gallery(queries, vectors, labels, on_progress=counts.append)
    assert sorted(counts) == [4, *[7] * 8]
    np.testing.assert_array_equal(parts.nearest, whole.nearest)
    np.testing.assert_allclose(parts.curves, whole.curves, rtol=0, atol=1e-12)
    for name, values in whole.values.items():
        np.testing.assert_allclose(parts.values[name], values, rtol=0, atol=1e-12)


def test_an_exhaustive_approximate_index_recalls_everything_and_a_poor_one_does_not(
    build_toy: Callable[..., Path], mnist_test: Split
) -> None:
    split = mnist_test.take(range(600))
    exhaustive = evaluate(open_bundle(build_toy(split, "all", factory="IVF1,Flat")))
    assert exhaustive.approximation == Approximation(recall_at_1=1.0, recall_at_k=1.0)
    exact = evaluate(open_bundle(build_toy(split, "flat")))
    assert exact.approximation is None
    poor = evaluate(open_bundle(build_toy(split, "poor", factory="IVF36,Flat")))
    assert poor.approximation is not None
    assert 0.5 < poor.approximation.recall_at_k < 1
    # The metrics themselves are those of the exact ranking, whatever the index.
    assert poor.figures == exact.figures
    assert poor.gallery_fingerprint == exact.gallery_fingerprint


def test_galleries_and_queries_that_allow_no_judgment_are_refused(
    build_toy: Callable[..., Path], toy_gallery: Split
) -> None:
    unlabeled = toy_split([((9, 0, 0, 0), None), ((0, 9, 0, 0), None)], classes=())
    with pytest.raises(BadInputError, match="the index plain has no labels") as refused:
        evaluate(open_bundle(build_toy(unlabeled, "plain")))
    assert refused.value.exit_code == 2
    with pytest.raises(BadInputError, match="the queries toy have no labels"):
        evaluate(open_bundle(build_toy(toy_gallery)), unlabeled)
    singles = toy_split([((9, 0, 0, 0), 0), ((0, 9, 0, 0), 1)])
    with pytest.raises(BadInputError, match="each class in the index singles has one item, which") as alone:
        evaluate(open_bundle(build_toy(singles, "singles")))
    assert "--queries" in alone.value.hint


def test_mnist_figures_agree_with_pytorch_metric_learning(shipped: Searcher) -> None:
    torch = pytest.importorskip("torch")
    pml = pytest.importorskip("pytorch_metric_learning")
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
    from pytorch_metric_learning.utils.inference import CustomKNN

    bundle = shipped.bundle
    assert bundle.labels is not None
    rows = np.sort(np.random.default_rng(3).choice(len(shipped), 2_000, replace=False))
    vectors, labels = gather(bundle.store).vectors[rows], bundle.labels[rows]
    calculator = AccuracyCalculator(
        include=("precision_at_1", "r_precision", "mean_average_precision_at_r", "mean_average_precision"),
        k=len(rows) - 1,
        knn_func=CustomKNN(pml.distances.CosineSimilarity()),
    )
    theirs = calculator.get_accuracy(torch.from_numpy(vectors), torch.from_numpy(labels))
    ranked = rank_gallery(gallery_queries(vectors, labels), vectors, labels)
    ours = {name: values.mean() for name, values in ranked.values.items()}
    assert ours["P@1"] == pytest.approx(theirs["precision_at_1"], abs=1e-6)
    assert ours["R-precision"] == pytest.approx(theirs["r_precision"], abs=1e-6)
    assert ours["MAP@R"] == pytest.approx(theirs["mean_average_precision_at_r"], abs=1e-6)
    assert ours["MAP"] == pytest.approx(theirs["mean_average_precision"], abs=1e-6)
