"""Entries of many lengths: what goes in comes out, and ends that lie are refused."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from simsearch.errors import BrokenBundleError
from simsearch.index.packed import SHOWN_SIDE, SmallPictures, Sources


def test_sources_come_back_by_row_and_by_slice() -> None:
    names = ["a/1.png", "", "ß/é.png", "last"]
    sources = Sources(*Sources.pack(names))
    assert [sources[row] for row in range(4)] == names
    assert (sources[-1], sources[1:3], len(sources)) == ("last", names[1:3], 4)
    with pytest.raises(IndexError):
        sources[4]


def test_pictures_are_made_small_and_keep_their_shape_and_colors() -> None:
    wide = np.broadcast_to(np.array([200, 30, 90], np.uint8), (100, 400, 3))
    gray = np.full((28, 20), 77, np.uint8)
    pictures = SmallPictures(*SmallPictures.pack([wide, gray]))
    assert pictures[0].shape == (SHOWN_SIDE // 4, SHOWN_SIDE, 3)
    np.testing.assert_allclose(pictures[0].mean((0, 1)), [200, 30, 90], atol=3)
    assert pictures[1].shape == (28, 20, 3)  # smaller ones are not enlarged
    np.testing.assert_allclose(pictures[1], 77, atol=3)
    assert [one.shape for one in pictures[np.array([1, 0])]] == [(28, 20, 3), (32, 128, 3)]
    assert [one.shape for one in pictures[:1]] == [(32, 128, 3)]


@pytest.mark.parametrize("ends", [[3, 2, 8], [-1, 4, 8], [2, 4, 7], [2, 4, 9]])
@pytest.mark.parametrize(
    ("kind", "message"), [(Sources, "sources do not cover"), (SmallPictures, "pictures do not cover")]
)
def test_ends_that_do_not_cover_the_content_are_refused(kind, message, ends) -> None:
    with pytest.raises(ValueError, match=message):
        kind(b"12345678", np.array(ends))


def encoded(size: tuple[int, int], kind: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size).save(file, kind)
    return file.getvalue()


def in_parts(count: int) -> bytes:
    """A small picture with many empty parts behind it, each of which a decoder visits."""
    still = encoded((8, 8), "WEBP")[8:] + b"abcd\0\0\0\0" * count
    return b"RIFF" + len(still).to_bytes(4, "little") + still


@pytest.mark.parametrize(
    "content", [b"no picture", encoded((8, 8), "PNG"), encoded((129, 8), "WEBP"), in_parts(20_000)]
)
def test_a_picture_that_is_none_or_too_large_is_refused_when_it_is_looked_at(content) -> None:
    pictures = SmallPictures(content, np.array([len(content)]))
    with pytest.raises(BrokenBundleError, match="the picture of row 0 is damaged"):
        pictures[0]


def test_sources_are_found_without_a_look_at_each() -> None:
    entries = [f"{'ab'[row % 2]}/{row}.png" for row in range(1000)] + [
        "",
        "ß",
        "x" * 300,
        "a/1.png",
        "y/ends with a/1.png",
    ]
    sources = Sources(*Sources.pack(entries))
    wanted = ["a/998.png", "b/998.png", "", "ß", "x" * 300, "x" * 299, "a/1.png", "b/1.png", "nothing"]
    assert sources.find(wanted) == {
        "a/998.png": 998, "": 1000, "ß": 1001, "x" * 300: 1002, "a/1.png": 1003, "b/1.png": 1,
    }  # fmt: skip
    assert sources.find([]) == {}
    assert Sources(*Sources.pack([])).find(["a"]) == {}
    assert Sources(*Sources.pack(["", ""])).find(["a", ""]) == {"": 1}
