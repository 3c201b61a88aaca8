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
from PIL import Image
from toys import quadrant_image, toy_split

from simsearch.datasets import Split
from simsearch.errors import BadImageError
from simsearch.images import PreparedImage, Preprocess, prepare_image
from simsearch.indexing import build_index
from simsearch.models import Model, open_model
from simsearch.search import ClassRank, Hit, Searcher, Similarity, measure_similarity, outcomes_to_dict

NONE = Preprocess.NONE


def sigmoid(logit: float) -> float:
    return 1 / (1 + float(np.exp(-logit)))


@pytest.fixture
def searcher(build_toy: Callable[..., Path], toy_gallery: Split) -> Searcher:
    return Searcher.open(build_toy(toy_gallery))


def test_a_whole_answer_worked_by_hand(searcher: Searcher) -> None:
    # The query's vector is (.6, .8, 0, 0); the projection is 10 x cosine - 5.
    answer = searcher.query(quadrant_image(30, 40, 0, 0), k=4, preprocess=NONE)
    assert answer.hits == (
        Hit(1, 2, "a", pytest.approx(1.0), pytest.approx(sigmoid(5)), "toy/2"),
        Hit(2, 3, "b", pytest.approx(0.8), pytest.approx(sigmoid(3)), "toy/3"),
        Hit(3, 0, "a", pytest.approx(0.6), pytest.approx(sigmoid(1)), "toy/0"),
        Hit(4, 1, "a", pytest.approx(0.6), pytest.approx(sigmoid(1)), "toy/1"),
    )
    assert answer.classes == (
        ClassRank(1, "a", pytest.approx(1.0), pytest.approx(2.2 / 3), pytest.approx(sigmoid(5)), 2),
        ClassRank(2, "b", pytest.approx(0.8), pytest.approx(0.4), pytest.approx(sigmoid(3)), 3),
        ClassRank(3, "c", 0.0, 0.0, pytest.approx(sigmoid(-5)), 5),
    )
    assert answer.query.notes == ()


def test_a_k_beyond_the_gallery_answers_with_the_whole_gallery(searcher: Searcher) -> None:
    answer = searcher.query(quadrant_image(0, 0, 0, 90), k=1_000, preprocess=NONE)
    assert [hit.id for hit in answer.hits] == [5, 0, 1, 2, 3, 4]
    assert [hit.score for hit in answer.hits] == pytest.approx([0.8, 0, 0, 0, 0, 0])


def test_an_unlabelled_gallery_answers_without_labels_and_classes(build_toy: Callable[..., Path]) -> None:
    folder = build_toy(toy_split([((9, 0, 0, 0), None), ((0, 9, 0, 0), None)], classes=()))
    answer = Searcher.open(folder).query(quadrant_image(50, 0, 0, 0), k=2, preprocess=NONE)
    assert [(hit.id, hit.label) for hit in answer.hits] == [(0, None), (1, None)]
    assert answer.classes == ()


def test_an_approximate_index_ranks_the_classes_exactly(
    build_toy: Callable[..., Path], toy_gallery: Split, searcher: Searcher
) -> None:
    approximate = Searcher.open(build_toy(toy_gallery, "ivf", factory="IVF3,Flat"))
    for greys in ((30, 40, 0, 0), (0, 0, 90, 10), (70, 1, 30, 2)):
        image = quadrant_image(*greys)
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
from simsearch.search import Searcher

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
        assert all(queue.get(timeout=60) == expected for _ in children)
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
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (done.returncode, done.stdout) == (0, "[0, 0]\n"), done.stderr


def test_threads_reach_every_library() -> None:
    code = (
        "import sys, threadpoolctl\n"
        f"sys.argv = ['simsearch', 'query', {str(ROOT / 'docs' / 'digit.png')!r}, '--threads', '1']\n"
        "from simsearch.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print('LIMITS', *{pool['num_threads'] for pool in threadpoolctl.threadpool_info()})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "LIMITS 1"


def test_a_bad_file_does_not_stop_the_others(searcher: Searcher, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.png", tmp_path / "bad.png"
    Image.fromarray(quadrant_image(0, 100, 0, 0)).save(good)
    bad.write_text("not a picture")
    outcomes = list(searcher.query_files([bad, good], k=1, preprocess=NONE))
    assert isinstance(outcomes[0].error, BadImageError)
    assert outcomes[0].answer is None
    assert outcomes[1].answer is not None
    assert [hit.id for hit in outcomes[1].answer.hits] == [3]
    document = outcomes_to_dict(searcher, outcomes)
    assert document["schema"] == 2
    assert document["index"] == {
        "name": "toy",
        "items": 6,
        "model": "toy",
        "encoder": searcher.bundle.encoder.fingerprint,
    }
    assert document["queries"][0] == {
        "query": str(bad),
        "error": f"cannot decode {bad}: not a picture, or damaged",
    }
    assert document["queries"][1]["query"] == str(good)
    assert document["queries"][1]["verdict"] is None
    assert document["queries"][1]["hits"][0]["source"] == "toy/3"


def test_a_thumbnail_is_the_items_picture(searcher: Searcher, toy_gallery: Split) -> None:
    np.testing.assert_array_equal(searcher.thumbnail(2), toy_gallery.images[2])
    with pytest.raises(ValueError, match="not stored"):
        searcher.thumbnail(6)


def test_k_below_one_is_refused(searcher: Searcher) -> None:
    with pytest.raises(ValueError, match="k must be at least 1"):
        searcher.query(quadrant_image(9, 99, 9, 9), k=0, preprocess=NONE)


def test_the_similarity_of_two_pictures_worked_by_hand(toy_model: Model) -> None:
    first, second = (
        prepare_image(quadrant_image(*greys), preprocess=NONE) for greys in ((30, 40, 0, 0), (50, 0, 0, 0))
    )
    expected = Similarity(pytest.approx(0.6), pytest.approx(1.0, abs=1e-5), pytest.approx(sigmoid(1)))
    assert measure_similarity(toy_model, first, second) == expected
    assert measure_similarity(toy_model, first, first).score == pytest.approx(1.0)
