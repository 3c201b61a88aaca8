"""What items' pictures are compared by is the same whether it was kept or not, and pictures are read once."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from simsearch.index.stores.by_class import SeenPictures
from simsearch.stats.novelty import look_at

PICTURES = np.random.default_rng(0).integers(0, 256, (40, 28, 28)).astype(np.uint8)
IDS = 100 + np.arange(40)


def seen(most, read=None):
    def pictures(ids):
        if read is not None:
            read.extend(ids.tolist())
        return PICTURES[ids - 100]

    return SeenPictures(pictures, most)


def assert_looks(found, ids):
    expected = look_at(PICTURES[np.array(ids) - 100])
    assert np.array_equal(found.coarse, expected.coarse)
    assert np.array_equal(found.gradients, expected.gradients)


@pytest.mark.parametrize("most", [0, 3, 7, 40])
def test_looks_are_in_the_order_of_the_ids_with_any_room(most):
    looks = seen(most)
    for ids in ([103, 101, 139], [101, 103], [110, 103, 139, 102, 100], IDS.tolist(), IDS[::-1].tolist()):
        assert_looks(looks.look_at(np.array(ids)), ids)


def test_a_picture_that_is_kept_is_not_read_again():
    read = []
    looks = seen(3, read)
    looks.look_at(np.array([101, 102]))
    looks.look_at(np.array([102, 103, 104]))  # 104 finds no room
    looks.look_at(np.array([101, 102, 103, 104]))

    assert read == [101, 102, 103, 104, 104]


def test_threads_that_look_at_once_see_the_same():
    looks, rng = seen(30), np.random.default_rng(1)
    asked = [rng.permutation(IDS)[:12] for _ in range(200)]

    with ThreadPoolExecutor(8) as pool:
        for ids, found in zip(asked, pool.map(looks.look_at, asked), strict=True):
            assert_looks(found, ids)
