"""A file is read once, hashed and stamped; what changes meanwhile is no picture."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import xxhash
from numpy.testing import assert_array_equal
from toys import PLAIN, quadrant_image, write_quadrants

from simsearch.errors import BadImageError
from simsearch.index import reading
from simsearch.index.reading import UNKNOWN, Read, ReadCodec, read_picture, stamp_of, stamp_text
from simsearch.prepare.decode import read_image_file
from simsearch.prepare.inputs import ImageInput


def test_a_picture_comes_with_what_its_file_was(tmp_path: Path) -> None:
    file = write_quadrants(tmp_path / "1.png", 1, 2, 3, 4)
    os.utime(file, ns=(5, 7))
    read = read_picture(PLAIN, file)
    assert_array_equal(read.pixels, quadrant_image(1, 2, 3, 4))
    size, mtime_ns, (high, low) = read.stamp
    assert (size, mtime_ns, read.small) == (file.stat().st_size, 7, None)
    assert f"{high:016x}{low:016x}" == xxhash.xxh3_128_hexdigest(file.read_bytes())


@pytest.mark.parametrize("input", [PLAIN, ImageInput("photo", 1, 80, 80, 3, (0.5,) * 3, (0.5,) * 3)])
def test_it_travels_as_bytes(tmp_path: Path, input: ImageInput) -> None:
    read = read_picture(input, write_quadrants(tmp_path / "1.png", 1, 2, 3, 4))
    assert (read.small is None) == (input is PLAIN)
    back = ReadCodec().unpack(ReadCodec().pack(read))
    assert_array_equal(back.pixels, read.pixels)
    assert back[1:] == read[1:]
    for fields in ([], [b""] * 4, [*ReadCodec().pack(read)[:3], b"short"]):
        with pytest.raises(ValueError, match="picture"):
            ReadCodec().unpack(fields)


@pytest.mark.parametrize("what", ["content", "time"])
def test_a_file_that_changes_while_it_is_read_is_no_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    file = write_quadrants(tmp_path / "1.png", 1, 2, 3, 4)

    def read_and_change(path: Path) -> bytes:
        data = read_image_file(path)
        if what == "content":
            path.write_bytes(data + b"more")
        else:
            os.utime(path, ns=(1, 1))
        return data

    monkeypatch.setattr(reading, "read_image_file", read_and_change)
    with pytest.raises(BadImageError, match="it changed while it was read"):
        read_picture(PLAIN, file)


def test_stamps_are_kept_as_numbers() -> None:
    stamps = np.array([Read(quadrant_image(0, 0, 0, 0), None, (5, 7, (2**64 - 1, 3))).stamp], reading.STAMP)
    assert stamps["xxh3_128"].tolist() == [[2**64 - 1, 3]]


def test_a_stamp_comes_back_from_its_text():
    stamp = (93, 1_795_787_778_397_432_845, (2**64 - 1, 3))
    assert stamp_text(stamp) == "93 1795787778397432845 ffffffffffffffff0000000000000003"
    assert stamp_of(stamp_text(stamp)) == stamp
    assert stamp_text(UNKNOWN) == ""
    assert [stamp_of(text) for text in ("", "1 2", "1 2 x")] == [UNKNOWN] * 3
