"""Vectors that are read stretch by stretch give the answers that all of them at once give."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from simsearch.index.stores import exact, flat, streamed
from simsearch.index.stores.by_class import NearestPerClass
from simsearch.index.stores.comparison import at_once
from simsearch.index.stores.exact import BLOCK_SCORES, Groups, Products, compared
from simsearch.index.stores.flat import FlatStore
from simsearch.index.stores.streamed import StreamedProducts

COUNT, QUERIES = 900, 40


class Read:
    """Vectors that are no array; of each stretch is noted that it was read."""

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        self._vectors, self.stretches = vectors, list[tuple[int, int]]()
        self.shape, self.ndim = vectors.shape, vectors.ndim

    def __len__(self) -> int:
        return len(self._vectors)

    def __getitem__(self, rows: Any) -> NDArray[np.float32]:
        found = self._vectors[rows]
        if isinstance(rows, slice):
            self.stretches.append((rows.start, rows.start + len(found)))
        return found


@pytest.fixture(autouse=True)
def short_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (streamed, flat):
        monkeypatch.setattr(module, "STRETCH", 128)
    monkeypatch.setattr(exact, "_READ_SCORES", QUERIES * COUNT)


def some_vectors(count: int, seed: int) -> NDArray[np.float32]:
    """Unit rows, every one three times, so that many scores tie, also across stretches."""
    drawn = np.random.default_rng(seed).standard_normal((-(-count // 3), 16)).astype(np.float32)
    unit = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return np.tile(unit, (3, 1))[:count]


VECTORS, ASKED = some_vectors(COUNT, 0), some_vectors(QUERIES, 1)
GROUPS = Groups.of(
    [np.flatnonzero(np.arange(COUNT) % 7 == number) for number in range(6)] + [np.array([13, 899])]
)


@pytest.mark.parametrize("k", [1, 5, 30, COUNT + 1])
def test_every_question_has_the_same_answer_bit_by_bit(k: int) -> None:
    read, whole = StreamedProducts(ASKED, Read(VECTORS)), Products(ASKED, VECTORS)
    own = np.arange(QUERIES) % len(GROUPS.lengths)
    some = np.flatnonzero(np.arange(COUNT) % 5 != 2)
    for mine, expected in (
        (read.best(k), whole.best(k)),
        (read.best_among(some, k), whole.best_among(some, k)),
        (read.best_in_each(GROUPS, k), whole.best_in_each(GROUPS, k)),
        (read.best_in_own(GROUPS, own, k), whole.best_in_own(GROUPS, own, k)),
    ):
        np.testing.assert_array_equal(mine.rows, expected.rows)
        np.testing.assert_array_equal(mine.scores, expected.scores)


def test_every_vector_is_read_once_a_question_and_never_all_at_once() -> None:
    vectors = Read(VECTORS)
    StreamedProducts(ASKED, vectors).best_in_each(GROUPS, 5)
    assert vectors.stretches == [(start, min(start + 128, COUNT)) for start in range(0, COUNT, 128)]


def test_nothing_is_found_among_nothing() -> None:
    read = StreamedProducts(ASKED[:2], Read(VECTORS[:0]))
    assert read.best(2).rows.tolist() == [[-1, -1], [-1, -1]]
    assert StreamedProducts(ASKED[:0], Read(VECTORS)).best(2).rows.shape == (0, 2)
    assert StreamedProducts(ASKED[:2], Read(VECTORS)).best_in_each(Groups.of([]), 2).rows.shape == (0, 2)


def test_many_queries_are_compared_with_a_stretch_after_the_other_where_vectors_are_read() -> None:
    """A gallery's own items are asked in few blocks, or a gallery of millions would be read for each item."""
    labels = np.arange(COUNT) % 3
    store = FlatStore(np.arange(COUNT), labels, Read(VECTORS))  # type: ignore[arg-type]
    held = FlatStore(np.arange(COUNT), labels, VECTORS)
    assert isinstance(compared(np.tile(ASKED, (2, 1)), Read(VECTORS)), StreamedProducts)
    assert isinstance(compared(np.tile(ASKED, (2, 1)), VECTORS), Products)
    assert isinstance(compared(ASKED, Read(VECTORS)), Products)
    assert (at_once(store, exact=True), at_once(store, exact=False)) == (128, COUNT)
    assert at_once(held, exact=True) == COUNT
    [(part, asked)] = NearestPerClass(store).compare(ASKED, exact=True)
    assert part == slice(0, BLOCK_SCORES // 128)
    parts = NearestPerClass(store).compare(ASKED, exact=True, scores=128 * 30)
    assert [part for part, _ in parts] == [slice(0, 30), slice(30, 60)]
    np.testing.assert_array_equal(asked.nearest(4).ids, held.search(ASKED, 4).ids)


@pytest.mark.parametrize("left_out", [None, np.arange(QUERIES)])
def test_a_store_whose_vectors_are_read_answers_as_one_that_holds_them(left_out: Any) -> None:
    labels = np.arange(COUNT) % 3
    asked = np.concatenate([ASKED, VECTORS[:QUERIES]])  # more than are asked of one product
    items = None if left_out is None else np.concatenate([np.full(QUERIES, -1), left_out])
    read, held = (
        FlatStore(np.arange(COUNT), labels, vectors).compare(asked)  # type: ignore[arg-type]
        for vectors in (Read(VECTORS), VECTORS)
    )
    own = np.arange(len(asked)) % 3
    for mine, expected in (
        (read.nearest(4, left_out=items), held.nearest(4, left_out=items)),
        (read.nearest(4, classes=[0, 2], left_out=items), held.nearest(4, classes=[0, 2], left_out=items)),
        (read.in_each(4, [0, 1, 2], left_out=items), held.in_each(4, [0, 1, 2], left_out=items)),
        (read.in_own(4, own, left_out=items), held.in_own(4, own, left_out=items)),
    ):
        np.testing.assert_array_equal(mine.ids, expected.ids)
        np.testing.assert_array_equal(mine.scores, expected.scores)
