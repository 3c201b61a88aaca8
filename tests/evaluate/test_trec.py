from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from simsearch.data.splits import Split
from simsearch.encode.model_folder import open_model
from simsearch.errors import BadInputError
from simsearch.evaluate.evaluation import evaluate, prepare_queries, rank_gallery
from simsearch.evaluate.trec import strictly_decreasing, write_qrels, write_run
from simsearch.index.build import build_index
from simsearch.index.bundle import open_bundle
from simsearch.index.stores.base import gather


def test_a_run_and_its_qrels_line_by_line(
    build_toy: Callable[..., Path], toy_gallery: Split, tmp_path: Path
) -> None:
    bundle = open_bundle(build_toy(toy_gallery.take(range(4))))
    queries = prepare_queries(bundle)
    write_run(tmp_path / "run", bundle, queries, depth=0)
    write_qrels(tmp_path / "qrels", bundle, queries)
    lines = [line.split() for line in (tmp_path / "run").read_text().splitlines()]
    # 0, 1 = (1,0); 2 = (.6,.8); 3 = (0,1): items 0 and 1 tie for queries 2 and 3.
    assert [(line[0], line[2], line[3]) for line in lines] == [
        ("q0", "g1", "1"),
        ("q0", "g2", "2"),
        ("q0", "g3", "3"),
        ("q1", "g0", "1"),
        ("q1", "g2", "2"),
        ("q1", "g3", "3"),
        ("q2", "g3", "1"),
        ("q2", "g0", "2"),
        ("q2", "g1", "3"),
        ("q3", "g2", "1"),
        ("q3", "g0", "2"),
        ("q3", "g1", "3"),
    ]
    assert {(line[1], line[5]) for line in lines} == {("Q0", "simsearch")}
    scores = np.array([line[4] for line in lines], np.float32).reshape(4, 3)
    assert (np.diff(scores, axis=1) < 0).all()
    np.testing.assert_allclose(scores[2], [0.8, 0.6, 0.6], rtol=0, atol=1e-6)
    assert (tmp_path / "qrels").read_text().splitlines() == [
        "q0 0 g1 1",
        "q0 0 g2 1",
        "q1 0 g0 1",
        "q1 0 g2 1",
        "q2 0 g0 1",
        "q2 0 g1 1",
    ]


def test_a_shallow_run_is_the_beginning_of_the_whole_one(
    build_toy: Callable[..., Path], toy_gallery: Split, tmp_path: Path
) -> None:
    bundle = open_bundle(build_toy(toy_gallery))
    queries = prepare_queries(bundle)
    write_run(tmp_path / "whole", bundle, queries, depth=0)
    write_run(tmp_path / "two", bundle, queries, depth=2)
    whole = [line.split() for line in (tmp_path / "whole").read_text().splitlines()]
    two = [line.split() for line in (tmp_path / "two").read_text().splitlines()]
    assert [line[:4] for line in two] == [line[:4] for line in whole if int(line[3]) <= 2]
    assert len(two) == 12


@pytest.mark.parametrize(
    "scores", [[0.5, 0.5, 0.5], [0.0, -0.0, 0.0], [1.0, 0.9999999, 0.9999999, 0.9999999], [0.3, 0.2], [0.1]]
)
def test_ties_are_lowered_as_little_as_possible(scores: list[float]) -> None:
    given = np.array(scores, np.float32)
    lowered = strictly_decreasing(given)
    assert (np.diff(lowered) < 0).all()
    assert lowered[0] == given[0]
    np.testing.assert_allclose(lowered, given, rtol=0, atol=3e-7)
    assert given.tolist() == np.array(scores, np.float32).tolist()  # the argument is left alone


def test_trec_eval_reproduces_our_figures_on_real_embeddings(mnist_test: Split, tmp_path: Path) -> None:
    ir_measures = pytest.importorskip("ir_measures")
    from ir_measures import AP, RR, P, R, Rprec, nDCG

    build_index(mnist_test.take(range(700)), open_model(), tmp_path / "index")
    bundle = open_bundle(tmp_path / "index")
    queries = prepare_queries(bundle)
    write_run(tmp_path / "run", bundle, queries, depth=0)
    write_qrels(tmp_path / "qrels", bundle, queries)
    measures = {
        "MAP": AP,
        "MRR": RR,
        "R-precision": Rprec,
        "P@1": P @ 1,
        "P@10": P @ 10,
        "recall@10": R @ 10,
        "nDCG@10": nDCG @ 10,
    }
    theirs = ir_measures.calc_aggregate(
        list(measures.values()),
        list(ir_measures.read_trec_qrels(str(tmp_path / "qrels"))),
        list(ir_measures.read_trec_run(str(tmp_path / "run"))),
    )
    ours = evaluate(bundle).figures
    for name, measure in measures.items():
        assert ours[name].value == pytest.approx(theirs[measure], abs=1e-6), name
    assert ours["MAP"].value < 1  # there is something to get wrong


def test_an_unwritable_run_is_refused_and_leaves_nothing(
    build_toy: Callable[..., Path], toy_gallery: Split, tmp_path: Path
) -> None:
    bundle = open_bundle(build_toy(toy_gallery))
    with pytest.raises(BadInputError, match=r"cannot write .*run: no such file or directory"):
        write_run(tmp_path / "none" / "run", bundle, prepare_queries(bundle))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["toy"]


def test_trec_eval_ranks_ties_as_we_do(
    build_toy: Callable[..., Path], mnist_test: Split, tmp_path: Path
) -> None:
    """The toy encoder gives many equal scores: only the order written in the file can settle them."""
    ir_measures = pytest.importorskip("ir_measures")
    split = mnist_test.take(range(200))
    split.images[100:150] = split.images[:50]  # duplicates, most of them under other labels
    bundle = open_bundle(build_toy(split))
    queries = prepare_queries(bundle)
    write_run(tmp_path / "run", bundle, queries, depth=0)
    write_qrels(tmp_path / "qrels", bundle, queries)
    theirs = ir_measures.calc_aggregate(
        [ir_measures.AP],
        list(ir_measures.read_trec_qrels(str(tmp_path / "qrels"))),
        list(ir_measures.read_trec_run(str(tmp_path / "run"))),
    )
    assert bundle.labels is not None
    ours = rank_gallery(queries, gather(bundle.store).vectors, bundle.labels).values["MAP"].mean()
    assert ours == pytest.approx(theirs[ir_measures.AP], abs=1e-6)
