from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from toys import quadrant_image, toy_split

from simsearch.datasets import Split
from simsearch.errors import BadImageError
from simsearch.images import PreparedImage, Preprocess, prepare_image
from simsearch.models import Model
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


def test_sixteen_threads_get_the_serial_answers(shipped: Searcher, mnist_test: Split) -> None:
    images = list(mnist_test.images[:64])
    serial = [shipped.query(image).to_dict() for image in images]
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(lambda image: shipped.query(image).to_dict(), images)) == serial


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
    assert document["schema"] == 1
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
