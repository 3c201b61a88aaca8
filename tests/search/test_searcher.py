import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, SHIPPED_INDEX
from toys import quadrant_image, toy_split

from simsearch.data.splits import Split
from simsearch.encode.model_folder import Model, open_model
from simsearch.errors import BadInputError
from simsearch.index.build import build_index
from simsearch.index.stores.base import gather
from simsearch.prepare.prepare import PreparedImage, Preprocess, prepare_image
from simsearch.search.answers import ClassRank, Hit, Similarity
from simsearch.search.searcher import Searcher, measure_similarity

NONE = Preprocess.NONE


def sigmoid(logit: float) -> float:
    return 1 / (1 + float(np.exp(-logit)))


@pytest.fixture
def searcher(build_toy: Callable[..., Path], toy_gallery: Split) -> Searcher:
    return Searcher.open(build_toy(toy_gallery))


def test_a_whole_answer_worked_by_hand(searcher: Searcher) -> None:
    # The query's vector is (.6, .8, 0, 0); six images are too few for a probability.
    answer = searcher.query(quadrant_image(30, 40, 0, 0), k=4, preprocess=NONE)
    assert answer.hits == (
        Hit(1, 2, "a", pytest.approx(1.0), None, "toy/2"),
        Hit(2, 3, "b", pytest.approx(0.8), None, "toy/3"),
        Hit(3, 0, "a", pytest.approx(0.6), None, "toy/0"),
        Hit(4, 1, "a", pytest.approx(0.6), None, "toy/1"),
    )
    assert answer.classes == (
        ClassRank(1, "a", pytest.approx(1.0), pytest.approx(2.2 / 3), None, 2),
        ClassRank(2, "b", pytest.approx(0.8), pytest.approx(0.4), None, 3),
        ClassRank(3, "c", 0.0, 0.0, None, 5),
    )
    assert answer.query.notes == ()


def test_a_k_beyond_the_gallery_answers_with_the_whole_gallery(searcher: Searcher) -> None:
    answer = searcher.query(quadrant_image(0, 0, 0, 90), k=1_000, preprocess=NONE)
    assert [hit.id for hit in answer.hits] == [5, 0, 1, 2, 3, 4]
    assert [hit.score for hit in answer.hits] == pytest.approx([0.8, 0, 0, 0, 0, 0])


def test_an_unlabeled_gallery_answers_without_labels_and_classes(build_toy: Callable[..., Path]) -> None:
    folder = build_toy(toy_split([((9, 0, 0, 0), None), ((0, 9, 0, 0), None)], classes=()))
    answer = Searcher.open(folder).query(quadrant_image(50, 0, 0, 0), k=2, preprocess=NONE)
    assert [(hit.id, hit.label) for hit in answer.hits] == [(0, None), (1, None)]
    assert answer.classes == ()


def test_an_approximate_index_ranks_the_classes_exactly(
    build_toy: Callable[..., Path], toy_gallery: Split, searcher: Searcher
) -> None:
    approximate = Searcher.open(build_toy(toy_gallery, "ivf", factory="IVF3,Flat"))
    for grays in ((30, 40, 0, 0), (0, 0, 90, 10), (70, 1, 30, 2)):
        image = quadrant_image(*grays)
        exact = searcher.query(image, preprocess=NONE)
        assert approximate.query(image, preprocess=NONE).classes == exact.classes


def test_an_answer_in_a_batch_is_the_answer_alone(shipped: Searcher, mnist_test: Split) -> None:
    prepared = [PreparedImage(pixels) for pixels in mnist_test.images[:70]]
    together = shipped.query_prepared(prepared, k=7)
    for image, answer in zip(prepared, together, strict=True):
        alone = shipped.query_prepared([image], k=7)[0]
        assert [hit.id for hit in alone.hits] == [hit.id for hit in answer.hits]
        np.testing.assert_allclose(
            [hit.score for hit in alone.hits], [hit.score for hit in answer.hits], rtol=0, atol=1e-6
        )


@pytest.mark.parametrize("factory", ["shipped", "HNSW32", "IVF40,Flat", "SQ8"])
def test_sixteen_threads_get_the_serial_answers(
    shipped: Searcher, mnist_test: Split, tmp_path: Path, factory: str
) -> None:
    searcher = shipped
    if factory != "shipped":
        model = open_model()
        build_index(mnist_test.take(np.arange(2_000)), model, tmp_path / "approximate", factory=factory)
        searcher = Searcher.open(tmp_path / "approximate")
    tasks = [(image, (1, 10, 100, 1_000)[row % 4]) for row, image in enumerate(mnist_test.images[-64:])]

    def ask(task: tuple[np.ndarray, int]) -> dict:
        return searcher.query(task[0], k=task[1]).to_dict()

    serial = [ask(task) for task in tasks]
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(ask, tasks)) == serial
    assert [len(answer["hits"]) for answer in serial[:4]] == [1, 10, 100, 1_000]


PROCESSES = """
import multiprocessing, os, sys
import numpy as np
from simsearch.search.searcher import Searcher

def scores(searcher):
    answers = [searcher.query(pixels).to_dict() for pixels in np.array(searcher.bundle.thumbnails[:5])]
    return [hit["score"] for answer in answers for hit in answer["hits"]]

def inherited(queue):
    queue.put(scores(searcher))

def opened(queue):
    queue.put(scores(Searcher.open(sys.argv[1])))

if __name__ == "__main__":
    searcher = Searcher.open(sys.argv[1], threads=int(sys.argv[3]))
    expected = scores(searcher)  # the threads of onnxruntime and FAISS are running now
    context = multiprocessing.get_context(sys.argv[2])
    queue = context.Queue()
    work = inherited if sys.argv[2] == "fork" else opened
    children = [context.Process(target=work, args=(queue,)) for _ in range(2)]
    for child in children:
        child.start()
    try:
        assert all(queue.get(timeout=300) == expected for _ in children)
    finally:
        for child in children:
            child.join(5)
            child.kill()
    assert scores(searcher) == expected
    print([child.exitcode for child in children])
"""


@pytest.mark.parametrize(("method", "threads"), [("fork", 0), ("fork", 1), ("fork", 4), ("spawn", 4)])
def test_other_processes_get_the_same_answers(tmp_path: Path, method: str, threads: int) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system has no {method}")
    script = tmp_path / "processes.py"
    script.write_text(PROCESSES)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", script, SHIPPED_INDEX, method, str(threads)],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (done.returncode, done.stdout) == (0, "[0, 0]\n"), done.stderr


def test_threads_reach_every_library() -> None:
    code = (
        "import sys, threadpoolctl\n"
        f"sys.argv = ['simsearch', 'query', {str(ROOT / 'docs' / 'digit.png')!r}, '--threads', '1']\n"
        "from simsearch.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print('LIMITS', *{pool['num_threads'] for pool in threadpoolctl.threadpool_info()})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "LIMITS 1"


def test_an_item_asked_about_is_left_out_before_the_cut(searcher: Searcher) -> None:
    # Item 0 has the vector of item 1; without itself, class a is left with items 1 and 2.
    answer = searcher.query_item(0, k=2)
    assert [(hit.rank, hit.id, hit.score) for hit in answer.hits] == [
        (1, 1, pytest.approx(1.0)),
        (2, 2, pytest.approx(0.6)),
    ]
    assert [(row.label, row.example, row.mean) for row in answer.classes] == [
        ("a", 1, pytest.approx(0.8)),
        ("b", 3, pytest.approx(0.0)),
        ("c", 5, pytest.approx(0.0)),
    ]
    assert [hit.id for hit in searcher.query_item(0, k=100).hits] == [1, 2, 3, 4, 5]


def test_a_class_whose_only_item_is_asked_about_is_not_ranked(searcher: Searcher) -> None:
    answer = searcher.query_item(5)
    assert [row.label for row in answer.classes] == ["b", "a"]
    assert [hit.id for hit in answer.hits] == [4, 0, 1, 2, 3]


def test_the_only_item_of_a_gallery_has_no_neighbors(build_toy: Callable[..., Path]) -> None:
    answer = Searcher.open(build_toy(toy_split([((9, 0, 0, 0), 0)], ("a",)))).query_item(0)
    assert (answer.hits, answer.classes, answer.verdict) == ((), (), None)


def test_no_such_item_is_refused(searcher: Searcher) -> None:
    with pytest.raises(ValueError, match="not stored"):
        searcher.query_item(6)


@pytest.mark.parametrize("factory", ["Flat", "IVF3,Flat", "HNSW32"])
def test_labels_restrict_the_hits_exactly_and_leave_the_ranking_whole(
    build_toy: Callable[..., Path], toy_gallery: Split, searcher: Searcher, factory: str
) -> None:
    image = quadrant_image(30, 40, 0, 0)
    whole = searcher.query(image, preprocess=NONE)
    other = Searcher.open(build_toy(toy_gallery, "other", factory=factory))
    for labels, ids in ((["b"], [3, 4]), (["c", "b"], [3, 4, 5]), (["a"], [2, 0, 1]), (["b", "b"], [3, 4])):
        answer = other.query(image, preprocess=NONE, labels=labels)
        assert [hit.id for hit in answer.hits] == ids
        assert answer.hits[0].rank == 1
        assert answer.classes == whole.classes
    assert [hit.id for hit in other.query_item(3, labels=["b"]).hits] == [4]


@pytest.mark.parametrize(
    ("label", "hint"),
    [("B", "did you mean 'b'? its classes: a, b, c"), ("seven", "its classes: a, b, c")],
)
def test_an_unknown_label_is_refused_with_a_guess(searcher: Searcher, label: str, hint: str) -> None:
    with pytest.raises(BadInputError, match=f"there is no class '{label}' in toy") as refusal:
        searcher.query(quadrant_image(30, 40, 0, 0), preprocess=NONE, labels=[label])
    assert refusal.value.hint == hint


def test_a_label_says_nothing_in_a_gallery_without_labels(build_toy: Callable[..., Path]) -> None:
    bare = Searcher.open(build_toy(toy_split([((9, 0, 0, 0), None)], classes=())))
    with pytest.raises(BadInputError, match="there is no class 'a': toy has no labels"):
        bare.query(quadrant_image(30, 40, 0, 0), preprocess=NONE, labels=["a"])


def brute_force(
    searcher: Searcher, queries: np.ndarray, left_out: list[int | None]
) -> list[list[tuple[float, int]]]:
    """Of each query every item as (-score, id), best first, each score in float64."""
    ids = searcher.bundle.ids
    scores = queries.astype(np.float64) @ gather(searcher.bundle.store).vectors.astype(np.float64).T
    rounded = -np.clip(scores, -1, 1).astype(np.float32)
    orders = [np.lexsort((ids, row)) for row in rounded]
    pairs = [
        zip(row[order].tolist(), ids[order].tolist(), strict=True)
        for row, order in zip(rounded, orders, strict=True)
    ]
    return [
        [pair for pair in each if pair[1] != without] for each, without in zip(pairs, left_out, strict=True)
    ]


@pytest.mark.parametrize("factory", ["Flat", "HNSW8", "IVF64,Flat", "IVF64,SQ8"])
def test_the_class_ranking_is_brute_force_s_and_agrees_with_the_hits(
    mnist_test: Split, tmp_path: Path, factory: str
) -> None:
    gallery = mnist_test.take(np.arange(2_500))
    build_index(gallery, open_model(), tmp_path / "index", factory=factory)
    searcher, k = Searcher.open(tmp_path / "index"), 12
    queries = searcher.bundle.encoder.encode(mnist_test.images[2_500:2_540])
    queries = np.concatenate([queries, searcher.bundle.store.vectors(np.arange(8, dtype=np.int64))])
    left_out = [None] * 40 + list(range(8))
    ranked = brute_force(searcher, queries, left_out)
    label = [searcher.label(item) for item in range(2_500)]
    for labels in ([], ["3"], ["7", "1"]):
        answers = searcher.query_vectors(
            queries, [None] * 48, k=k, labels=labels, left_out=left_out, exact=True
        )
        for expected, answer in zip(ranked, answers, strict=True):
            assert not answer.approximate
            by_class: dict[str, list[tuple[float, int]]] = {}
            for pair in expected:
                by_class.setdefault(label[pair[1]], []).append(pair)
            for row in answer.classes:
                best = by_class[row.label][:5]
                assert (row.best, row.example) == (-best[0][0], best[0][1])
                assert row.mean == pytest.approx(-np.mean([score for score, _ in best]), abs=1e-9)
            keys = [(-row.mean, -row.best) for row in answer.classes]
            assert keys == sorted(keys)
            assert {row.label for row in answer.classes} == set(by_class)
            found = [(-hit.score, hit.id) for hit in answer.hits]
            wanted = [pair for pair in expected if not labels or label[pair[1]] in labels]
            assert found == wanted[:k]


@pytest.mark.parametrize("factory", ["HNSW32", "IVF64,Flat", "IVF64,SQ8"])
def test_candidates_name_the_class_that_all_items_name(
    mnist_test: Split, tmp_path: Path, factory: str
) -> None:
    """On 500 queries; and hits and ranking are exactly scored, agree, and say that they are approximate."""
    build_index(mnist_test.take(np.arange(2_500)), open_model(), tmp_path / "index", factory=factory)
    searcher = Searcher.open(tmp_path / "index")
    queries = searcher.bundle.encoder.encode(mnist_test.images[2_500:3_000])
    exact = searcher.query_vectors(queries, [None] * 500, exact=True)
    near = searcher.query_vectors(queries, [None] * 500)
    assert all(answer.approximate for answer in near)
    tops = [
        [(row.label, row.best, row.example) for row in (a.classes[0], b.classes[0])]
        for a, b in zip(near, exact, strict=True)
    ]
    assert sum(one != other for one, other in tops) <= 1
    assert (
        max(abs(a.classes[0].posterior - b.classes[0].posterior) for a, b in zip(near, exact, strict=True))
        < 0.03
    )
    scores = {(row, hit.id): hit.score for row, answer in enumerate(exact) for hit in answer.hits}
    found = {(row, hit.id): hit.score for row, answer in enumerate(near) for hit in answer.hits}
    assert len(scores.keys() & found.keys()) >= 0.95 * len(scores)  # recall@10
    assert all(found[pair] == score for pair, score in scores.items() if pair in found)
    for one, other in zip(near, exact, strict=True):
        assert {row.label for row in one.classes} == {row.label for row in other.classes}
        least = one.hits[-1]
        for row in one.classes:
            assert row.example in {hit.id for hit in one.hits} or (-row.best, row.example) > (
                -least.score,
                least.id,
            )


@pytest.mark.parametrize("factory", ["HNSW8", "IVF64,SQ8"])
def test_candidates_are_those_of_a_query_alone_and_without_its_own_item(
    mnist_test: Split, tmp_path: Path, factory: str
) -> None:
    build_index(mnist_test.take(np.arange(2_500)), open_model(), tmp_path / "index", factory=factory)
    searcher = Searcher.open(tmp_path / "index")
    items = np.arange(40, dtype=np.int64) * 7
    vectors = searcher.bundle.store.vectors(items)
    together = searcher.query_vectors(vectors, [None] * 40, left_out=items.tolist(), labels=["3", "5"])
    for vector, item, answer in zip(vectors, items.tolist(), together, strict=True):
        [alone] = searcher.query_vectors(vector[None], [None], left_out=[item], labels=["3", "5"])
        assert alone.to_dict() == answer.to_dict()
        assert item not in {hit.id for hit in answer.hits} | {row.example for row in answer.classes}
        assert {hit.label for hit in answer.hits} <= {"3", "5"}


def test_a_thumbnail_is_the_items_picture(searcher: Searcher, toy_gallery: Split) -> None:
    np.testing.assert_array_equal(searcher.thumbnail(2), toy_gallery.images[2])
    with pytest.raises(ValueError, match="not stored"):
        searcher.thumbnail(6)


def test_k_below_one_is_refused(searcher: Searcher) -> None:
    with pytest.raises(ValueError, match="k must be at least 1"):
        searcher.query(quadrant_image(9, 99, 9, 9), k=0, preprocess=NONE)


def test_the_similarity_of_two_pictures_worked_by_hand(toy_model: Model) -> None:
    first, second = (
        prepare_image(quadrant_image(*grays), preprocess=NONE) for grays in ((30, 40, 0, 0), (50, 0, 0, 0))
    )
    expected = Similarity(pytest.approx(0.6), pytest.approx(1.0, abs=1e-5), pytest.approx(sigmoid(1)))
    assert measure_similarity(toy_model, first, second) == expected
    assert measure_similarity(toy_model, first, first).score == pytest.approx(1.0)
