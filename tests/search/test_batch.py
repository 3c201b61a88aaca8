import io
import itertools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from toys import quadrant_image, toy_split

from simsearch.data.splits import Split
from simsearch.errors import BadImageError, BadInputError
from simsearch.prepare.prepare import PreparedImage, Preprocess
from simsearch.search import batch
from simsearch.search.batch import BATCH, Outcome, answer_queries
from simsearch.search.compose import ComposedQuery, Part, read_composed_query
from simsearch.search.queries import Query, expand, items
from simsearch.search.searcher import Searcher

NONE = Preprocess.NONE


@pytest.fixture
def searcher(build_toy: Callable[..., Path], toy_gallery: Split) -> Searcher:
    return Searcher.open(build_toy(toy_gallery))


def save(path: Path, *grays: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(quadrant_image(*grays)).save(path)
    return path


def ask(searcher: Searcher, *queries: Query, **settings: object) -> list[Outcome]:
    return list(answer_queries(searcher, queries, preprocess=NONE, **settings))  # type: ignore[arg-type]


def hits(outcome: Outcome) -> list[int]:
    assert outcome.answer is not None, outcome.error
    return [hit.id for hit in outcome.answer.hits]


def test_a_bad_file_does_not_stop_the_others_and_the_order_stays(searcher: Searcher, tmp_path: Path) -> None:
    good, bad = save(tmp_path / "good.png", 0, 100, 0, 0), tmp_path / "bad.png"
    bad.write_text("not a picture")
    found = ask(
        searcher,
        Query("bad", bad),
        Query("good", good),
        *items([99, 2]),
        Query("none", error=BadInputError("nothing")),
        Query("good", good),
        k=1,
    )
    assert [outcome.name for outcome in found] == ["bad", "good", "id 99", "id 2", "none", "good"]
    assert [outcome.error and outcome.error.message for outcome in found] == [
        f"cannot decode {bad}: not a picture, or damaged",
        None,
        "there is no item 99 in toy",
        None,
        "nothing",
        None,
    ]
    assert found[2].error is not None
    assert found[2].error.hint == "ids are 0 to 5"
    assert [hits(found[row]) for row in (1, 3, 5)] == [[3], [3], [3]]  # item 3 is next to item 2


def test_a_picture_without_a_vector_fails_alone(searcher: Searcher, tmp_path: Path) -> None:
    good = save(tmp_path / "good.png", 0, 100, 0, 0)
    image = np.zeros((28, 28), np.uint8)
    image[0, 0] = 90  # its quadrant's mean is below half a gray: the toy encoder gives NaN
    dark = tmp_path / "dark.png"
    Image.fromarray(image).save(dark)
    found = ask(searcher, Query("a", good), Query("dark", dark), Query("b", good), k=1)
    assert [outcome.answer is not None for outcome in found] == [True, False, True]
    assert isinstance(found[1].error, BadImageError)
    assert found[1].error.message.startswith("dark: the encoder gave no unit vector")


def test_the_truth_is_an_item_s_label_or_a_folder_that_is_a_class(searcher: Searcher, tmp_path: Path) -> None:
    for name in ("a/1.png", "z/2.png", "3.png"):
        save(tmp_path / name, 0, 100, 0, 0)
    queries = expand([str(tmp_path)], io.BytesIO())
    found = ask(searcher, *queries, *items([3]), k=1)
    assert [(Path(outcome.name).name, outcome.truth) for outcome in found] == [
        ("3.png", None),
        ("1.png", "a"),
        ("2.png", None),
        ("id 3", "b"),
    ]


def test_an_item_of_an_unlabeled_gallery_has_no_truth(build_toy: Callable[..., Path]) -> None:
    split = toy_split([((9, 0, 0, 0), None), ((0, 9, 0, 0), None)], classes=())
    (found,) = ask(Searcher.open(build_toy(split, "bare")), *items([1]))
    assert (found.truth, hits(found)) == (None, [0])


@pytest.mark.parametrize("count", [0, 1, BATCH - 1, BATCH, BATCH + 1, 4 * BATCH + 3])
def test_answers_come_in_order_and_are_what_each_would_be_alone(
    searcher: Searcher, tmp_path: Path, count: int
) -> None:
    grays = [(100, 0, 0, 0), (0, 100, 0, 0), (0, 0, 100, 0), (0, 0, 60, 80), (30, 40, 0, 0)]
    files = [save(tmp_path / f"{row}.png", *four) for row, four in enumerate(grays)]
    alone = [ask(searcher, Query("x", file), k=3)[0].answer for file in files]
    queries = [Query(str(row), files[row % 5]) for row in range(count)]
    found = ask(searcher, *queries, k=3)
    assert [outcome.name for outcome in found] == [str(row) for row in range(count)]
    for row, outcome in enumerate(found):
        assert outcome.answer is not None
        assert outcome.answer.to_dict() == alone[row % 5].to_dict()  # type: ignore[union-attr]


def test_queries_are_taken_only_a_few_batches_ahead(searcher: Searcher) -> None:
    taken = 0

    def endless() -> Iterator[Query]:
        nonlocal taken
        for taken in itertools.count(1):
            yield Query(f"id {taken % 6}", item=taken % 6)

    answers = answer_queries(searcher, endless(), k=1)
    for position, _ in enumerate(itertools.islice(answers, 3 * BATCH), start=1):
        assert taken <= position - 1 + 4 * BATCH
    answers.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("decode")]


def test_unknown_labels_are_refused_before_anything_is_read(searcher: Searcher) -> None:
    with pytest.raises(BadInputError, match="there is no class 'z' in toy"):
        next(answer_queries(searcher, [Query("x", Path("/nowhere"))], labels=["z"]))


# Combinations, whose toy vectors are (.6, .8, 0, 0) of the quadrants (30, 40, 0, 0), and so on.


def combination(
    searcher: Searcher, like: tuple[tuple[int, ...], ...], unlike: tuple[tuple[int, ...], ...]
) -> ComposedQuery:
    parts = [
        Part(f"{sign}{row}", PreparedImage(quadrant_image(*grays)), sign == "like")
        for sign, group in (("like", like), ("unlike", unlike))
        for row, grays in enumerate(group)
    ]
    return ComposedQuery.of(parts, searcher.bundle.encoder)


def test_like_and_unlike_worked_by_hand(searcher: Searcher, tmp_path: Path) -> None:
    picture = Query("p", save(tmp_path / "p.png", 30, 40, 0, 0))
    # (.6, .8, 0, 0) + (0, 0, 1, 0) - (.6, .8, 0, 0) = (0, 0, 1, 0): item 4 exactly, item 5 at .6
    both = combination(searcher, ((0, 0, 50, 0),), ((60, 80, 0, 0),))
    (found,) = ask(searcher, picture, k=3, composed=both)
    assert found.answer is not None
    assert [(hit.id, hit.score) for hit in found.answer.hits] == [
        (4, pytest.approx(1.0)),
        (5, pytest.approx(0.6)),
        (0, pytest.approx(0.0)),
    ]
    assert found.answer.query is None
    assert found.name == "p + like0 - unlike0"
    # Alone: (1, 0, 0, 0) + (0, 1, 0, 0), brought to length 1: item 2 at 1.4 / sqrt(2)
    sums = combination(searcher, ((100, 0, 0, 0), (0, 100, 0, 0)), ())
    (alone,) = ask(searcher, Query(""), k=2, composed=sums)
    assert alone.answer is not None
    assert [(hit.id, hit.score) for hit in alone.answer.hits] == [
        (2, pytest.approx(1.4 / 2**0.5)),
        (0, pytest.approx(0.5**0.5)),
    ]
    assert (alone.name, alone.query.kind) == ("like0 + like1", "combination")
    (away,) = ask(searcher, Query(""), k=6, composed=combination(searcher, (), ((30, 40, 0, 0),)))
    assert away.answer is not None
    assert [hit.id for hit in away.answer.hits] == [4, 5, 0, 1, 3, 2]
    assert away.name == "- unlike0"


def test_an_item_in_a_combination_is_left_out_and_its_truth_means_nothing(searcher: Searcher) -> None:
    (found,) = ask(searcher, *items([2]), k=6, composed=combination(searcher, ((0, 0, 50, 0),), ()))
    assert sorted(hits(found)) == [0, 1, 3, 4, 5]
    assert found.truth is None


def test_pictures_that_cancel_out_are_told_and_the_other_queries_answered(
    searcher: Searcher, tmp_path: Path
) -> None:
    same, other = save(tmp_path / "s.png", 30, 40, 0, 0), save(tmp_path / "o.png", 0, 0, 9, 90)
    minus = combination(searcher, (), ((60, 80, 0, 0),))
    found = ask(searcher, Query("same", same), Query("other", other), composed=minus)
    assert found[0].error is not None
    assert found[0].error.message == "the pictures cancel out: their sum and difference has no direction"
    assert found[1].answer is not None


def test_a_combination_names_single_pictures(searcher: Searcher, tmp_path: Path) -> None:
    a, b = save(tmp_path / "d" / "a.png", 9, 90, 0, 0), save(tmp_path / "d" / "b.png", 90, 9, 0, 0)
    encoder = searcher.bundle.encoder
    read = read_composed_query([str(a)], [str(b)], encoder, io.BytesIO(), NONE, None)
    assert [(part.name, part.added) for part in read.parts] == [(str(a), True), (str(b), False)]
    data = io.BytesIO(b.read_bytes())
    read = read_composed_query(["-"], [], encoder, data, NONE, None)
    assert read.describe("") == "stdin"
    for name, message in (
        (str(tmp_path / "d"), f"{tmp_path / 'd'} holds 2 pictures"),
        (str(tmp_path / "x"), f"cannot read {tmp_path / 'x'}"),
        ("http://x", "http://x is an address, and is not fetched"),
    ):
        with pytest.raises(BadInputError, match=message):
            read_composed_query([name], [], encoder, io.BytesIO(), NONE, None)


def test_decoding_runs_in_several_threads(
    searcher: Searcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = save(tmp_path / "p.png", 30, 40, 0, 0)
    meeting = threading.Barrier(2, timeout=300)  # opens only if two pictures are prepared at the same time
    real = batch.prepare_picture

    def wait_for_another(*arguments: object, **settings: object) -> PreparedImage:
        meeting.wait()
        return real(*arguments, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(batch, "prepare_picture", wait_for_another)
    found = ask(searcher, *[Query("x", file)] * 32, k=1, threads=2)
    assert all(hits(outcome) == [2] for outcome in found)


def test_whoever_goes_away_does_not_wait_for_pictures_that_take_long(
    searcher: Searcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Ctrl-C amid a folder of large pictures took a minute."""
    answered, go_on, begun = threading.Event(), threading.Event(), []
    prepare = batch.prepare_query

    def slow(searcher: Searcher, query: Query, *how: object) -> object:
        if answered.is_set():
            begun.append(query.name)
            assert go_on.wait(60)
        return prepare(searcher, query, *how)  # type: ignore[arg-type]

    def queries() -> Iterator[Query]:
        yield from (Query(str(number), picture) for number in range(BATCH))
        yield from itertools.repeat(Query("later", picture), 20 * BATCH)

    picture = save(tmp_path / "a.png", 0, 100, 0, 0)
    monkeypatch.setattr(batch, "prepare_query", slow)
    answers = answer_queries(searcher, queries(), preprocess=NONE, threads=2)
    next(answers)
    answered.set()
    too_late = threading.Timer(30, go_on.set)  # so that a fault ends the test
    too_late.start()
    answers.close()  # type: ignore[attr-defined]
    assert not go_on.is_set()
    go_on.set()
    too_late.cancel()
    assert len(begun) <= 2  # at most one in each thread
