"""What decoders send: the same when read back, and refused when it is anything else."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simsearch.errors import BadImageError
from simsearch.prepare.pictures import Reading
from simsearch.prepare.prepare import PreparedImage
from simsearch.prepare.transfer import result_from_bytes, result_to_bytes

PIXELS = np.arange(24, dtype=np.uint8)


@pytest.mark.parametrize("shape", [(4, 6), (2, 4, 3), (24, 1)])
def test_a_picture_comes_back_with_its_shape_and_notes(shape: tuple[int, ...]) -> None:
    sent = PreparedImage(PIXELS.reshape(shape), ("rotated", "", "\ud800 é"))
    back = result_from_bytes(result_to_bytes(sent))
    assert isinstance(back, PreparedImage)
    assert back.pixels.dtype == np.uint8
    assert back.pixels.tolist() == sent.pixels.tolist()
    assert back.notes == sent.notes
    back.pixels[0] = 1  # it is the receiver's own


@pytest.mark.parametrize("refused", [None, BadImageError("no digit", "pass one")])
def test_a_reading_comes_back_with_its_steps(refused: BadImageError | None) -> None:
    steps = (("gray", PIXELS.reshape(4, 6)), ("digit", PIXELS.reshape(12, 2)))
    back = result_from_bytes(result_to_bytes(Reading(steps, ("a frame", "lines"), refused)))
    assert isinstance(back, Reading)
    assert [(name, pixels.tolist()) for name, pixels in back.steps] == [
        (name, pixels.tolist()) for name, pixels in steps
    ]
    assert back.notes == ("a frame", "lines")
    said = None if back.refused is None else (back.refused.message, back.refused.hint)
    assert said == (refused and ("no digit", "pass one"))
    for cut in (message(b"reading"), message(b"reading", struct.pack("<2I", 1, 0), b"gray")):
        with pytest.raises(ValueError, match=r"no known kind|1 steps"):
            result_from_bytes(cut)


def test_a_refusal_comes_back_in_its_words_and_a_fault_by_its_name() -> None:
    refusal = result_from_bytes(result_to_bytes(BadImageError("no digit \udcff", "pass one")))
    assert isinstance(refusal, BadImageError)
    assert (refusal.message, refusal.hint) == ("no digit \udcff", "pass one")
    fault = result_from_bytes(result_to_bytes(KeyError("x")))
    assert (type(fault), str(fault)) == (RuntimeError, "KeyError: 'x'")
    assert len(result_to_bytes(ValueError("x" * 10**7))) < 20_000


def message(*fields: bytes) -> bytes:
    return struct.pack(f"<{len(fields) + 1}I", len(fields), *map(len, fields)) + b"".join(fields)


SHAPE = struct.pack("<2I", 4, 6)
WRONG = {
    "nothing": b"",
    "no field": message(),
    "unknown": message(b"pickle", b"x"),
    "cut short": result_to_bytes(PreparedImage(PIXELS.reshape(4, 6)))[:-1],
    "too long": result_to_bytes(PreparedImage(PIXELS.reshape(4, 6))) + b"x",
    "too many fields": struct.pack("<2I", 2**32 - 1, 0),
    "a length beyond the end": struct.pack("<3I", 1, 2**32 - 1, 0),
    "too few pixels": message(b"picture", SHAPE, bytes(23)),
    "one dimension": message(b"picture", struct.pack("<I", 24), bytes(24)),
    "five dimensions": message(b"picture", struct.pack("<5I", 1, 1, 1, 1, 24), bytes(24)),
    "huge": message(b"picture", struct.pack("<3I", 2**31, 2**31, 4), b""),
    "no pixels": message(b"picture", SHAPE),
    "notes that are no text": message(b"picture", SHAPE, bytes(24), b"\xff"),
    "a refusal without a hint": message(b"refusal", b"no"),
    "a refusal that is no text": message(b"refusal", b"\xff", b""),
    "a fault of two": message(b"fault", b"a", b"b"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_message_that_is_wrong_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        result_from_bytes(WRONG[name])


@given(data=st.binary(max_size=80), at=st.integers(0, 60), by=st.binary(min_size=1, max_size=8))
def test_no_message_at_all_raises_anything_else(data: bytes, at: int, by: bytes) -> None:
    good = result_to_bytes(PreparedImage(PIXELS.reshape(4, 6), ("a note",)))
    for tried in (data, good[:at] + by + good[at + len(by) :]):
        try:
            result = result_from_bytes(tried)
        except ValueError:
            continue
        assert isinstance(result, PreparedImage | BadImageError | RuntimeError)
