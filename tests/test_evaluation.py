from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from toys import toy_split

from simsearch.bundle import open_bundle
from simsearch.calibration import Projection
from simsearch.datasets import Split
from simsearch.errors import BadInputError
from simsearch.evaluation import METRICS, ClassRow, evaluate, leave_one_out, verify_pairs
from simsearch.search import Searcher

E0, E1, E2 = np.eye(3, dtype=np.float32)


def test_every_figure_of_a_gallery_worked_by_hand(
    build_toy: Callable[..., Path], toy_gallery: Split
) -> None:
    # Vectors: 0, 1 = (1,0,0,0); 2 = (.6,.8,0,0); 3 = (0,1,0,0); 4 = (0,0,1,0); 5 = (0,0,.6,.8).
    # Labels:  a    a              a               b              b              c
    # Rankings of the others, ties by id, with the relevant ones marked:
    #   0: 1+ 2+ 3 4 5     1: 0+ 2+ 3 4 5     2: 3 0+ 1+ 4 5
    #   3: 2 0 1 4+ 5      4: 5 0 1 2 3+      5: no other c, left out
    report = evaluate(open_bundle(build_toy(toy_gallery)))
    assert (report.gallery, report.queries, report.without_relevant) == (6, 5, 1)
    a = {"P@1": 2 / 3, "R-precision": (1 + 1 + 1 / 2) / 3, "MAP@R": (1 + 1 + 1 / 4) / 3}
    a["MAP"] = (1 + 1 + (1 / 2 + 2 / 3) / 2) / 3
    b = {"P@1": 0.0, "R-precision": 0.0, "MAP@R": 0.0, "MAP": (1 / 4 + 1 / 5) / 2}
    assert report.per_class == (ClassRow("a", 3, pytest.approx(a)), ClassRow("b", 2, pytest.approx(b)))
    assert report.overall == pytest.approx({name: (3 * a[name] + 2 * b[name]) / 5 for name in METRICS})
    assert report.macro == pytest.approx({name: (a[name] + b[name]) / 2 for name in METRICS})
    assert report.pairs is None  # class c has a single item: no balanced pairs
    assert (report.index, report.model, report.protocol) == ("toy", "toy", "gallery leave-one-out")


def test_an_item_is_left_out_by_its_row_while_its_duplicate_stays() -> None:
    # Two pairs of duplicates with different labels inside each pair: every nearest item is wrong.
    vectors = np.stack([E0, E0, E1, E1])
    assert leave_one_out(vectors, np.array([0, 1, 0, 1]))["P@1"].tolist() == [0, 0, 0, 0]
    assert leave_one_out(vectors, np.array([0, 0, 1, 1]))["P@1"].tolist() == [1, 1, 1, 1]


def test_the_result_does_not_depend_on_the_size_of_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(60, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = rng.integers(4, size=60)
    whole = leave_one_out(vectors, labels)
    monkeypatch.setattr("simsearch.evaluation._BLOCK_SCORES", 7 * 60)
    counts: list[int] = []
    parts = leave_one_out(vectors, labels, on_progress=counts.append)
    assert sorted(counts) == [4, *[7] * 8]
    for name in METRICS:
        np.testing.assert_allclose(parts[name], whole[name], rtol=0, atol=1e-12)


def test_pair_accuracy_is_the_share_on_the_right_side_of_probability_one_half() -> None:
    vectors, labels = np.stack([E0, E0, E1, E1]), np.array([0, 0, 1, 1])
    right, never = Projection(10, -5), Projection(10, -20)
    assert verify_pairs(vectors, labels, right, count=100).accuracy == 1.0
    assert verify_pairs(vectors, labels, never, count=100).accuracy == 0.5
    assert verify_pairs(vectors, labels, Projection(-10, 5), count=100).accuracy == 0.0


def test_galleries_that_allow_no_judgement_are_refused(build_toy: Callable[..., Path]) -> None:
    unlabelled = toy_split([((9, 0, 0, 0), None), ((0, 9, 0, 0), None)])
    with pytest.raises(BadInputError, match="the index plain has no labels") as refused:
        evaluate(open_bundle(build_toy(unlabelled, "plain")))
    assert refused.value.exit_code == 2
    singles = toy_split([((9, 0, 0, 0), 0), ((0, 9, 0, 0), 1)])
    with pytest.raises(BadInputError, match="no two items of the index singles have the same label"):
        evaluate(open_bundle(build_toy(singles, "singles")))


def test_mnist_figures_agree_with_pytorch_metric_learning(shipped: Searcher) -> None:
    torch = pytest.importorskip("torch")
    pml = pytest.importorskip("pytorch_metric_learning")
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
    from pytorch_metric_learning.utils.inference import CustomKNN

    bundle = shipped.bundle
    assert bundle.labels is not None
    rows = np.sort(np.random.default_rng(3).choice(len(shipped), 2_000, replace=False))
    vectors, labels = bundle.store.all_vectors()[rows], bundle.labels[rows]
    calculator = AccuracyCalculator(
        include=("precision_at_1", "r_precision", "mean_average_precision_at_r", "mean_average_precision"),
        k=len(rows) - 1,
        knn_func=CustomKNN(pml.distances.CosineSimilarity()),
    )
    theirs = calculator.get_accuracy(torch.from_numpy(vectors), torch.from_numpy(labels))
    ours = {name: values.mean() for name, values in leave_one_out(vectors, labels).items()}
    assert ours["P@1"] == pytest.approx(theirs["precision_at_1"], abs=1e-6)
    assert ours["R-precision"] == pytest.approx(theirs["r_precision"], abs=1e-6)
    assert ours["MAP@R"] == pytest.approx(theirs["mean_average_precision_at_r"], abs=1e-6)
    assert ours["MAP"] == pytest.approx(theirs["mean_average_precision"], abs=1e-6)
