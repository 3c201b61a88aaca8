import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from simsearch.errors import BadImageError
from simsearch.prepare.decode import pillow_errors


def test_threads_decode_at_the_same_time_in_silence_and_the_filters_come_back() -> None:
    meeting = threading.Barrier(3, timeout=20)
    before = list(warnings.filters)

    def decode(name: str) -> str:
        with pillow_errors(name):
            meeting.wait()  # opens only if all three are inside
            warnings.warn("broken EXIF", UserWarning, stacklevel=1)
            meeting.wait()
        return name

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(decode, "abc")) == ["a", "b", "c"]
    assert list(warnings.filters) == before
    with pytest.warns(UserWarning, match="outside"):
        warnings.warn("outside", UserWarning, stacklevel=1)


def test_the_filters_come_back_after_an_error_too() -> None:
    before = list(warnings.filters)
    with pytest.raises(BadImageError, match="cannot decode x"), pillow_errors("x"):
        raise KeyError("anything that Pillow raises")
    assert list(warnings.filters) == before
