"""From a file or bytes, whatever they hold, to a decoded Pillow image; its pixels are for `prepare.py`."""

from __future__ import annotations

import io
import math
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from simsearch.errors import BadImageError
from simsearch.files import read_small_file
from simsearch.prepare.cost import MAX_BUFFERED_PIXELS, check_cost
from simsearch.prepare.formats import HEAD_BYTES, SUPPORTED, kind_of, pillow_formats, tile_of

MAX_BYTES = 10 * 2**20
MAX_PIXELS = 4 * 2**20
MAX_JPEG_PIXELS = 64 * MAX_PIXELS  # an eighth of each side is the least that a JPEG is reduced to
DRAFT_SIDE = 512  # pixels a side that a JPEG keeps
_SAVE = "open it in a picture editor and save it again"
_SHRINK = "make the picture smaller: 28x28 is enough"
_SAVE_SMALLER = "save it with fewer pixels, or as a JPEG"
ANY_PICTURE = "the picture"


class _Silence:
    """No warnings while any thread is inside; `catch_warnings` changes the whole process, so it is shared."""

    def __init__(self) -> None:
        self._lock, self._inside, self._caught = threading.Lock(), 0, warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._caught = warnings.catch_warnings()
                self._caught.__enter__()
                warnings.simplefilter("ignore")
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._caught.__exit__(None, None, None)


_SILENCE = _Silence()


def read_image_file(path: Path) -> bytes:
    """Read a regular file of 1 to `MAX_BYTES` bytes, once; a pipe is refused, never waited for.

    :raises BadImageError: If there is no such file, or it cannot be used.
    """
    try:
        data = read_small_file(path, MAX_BYTES)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise BadImageError(f"cannot read {path}: {reason}", "pass the path of a picture") from None
    if data is None:
        raise BadImageError(f"{path} is larger than {MAX_BYTES // 2**20} MB", _SHRINK)
    if not data:
        raise BadImageError(f"{path} is empty", SUPPORTED)
    return data


def decode_image(
    data: bytes, name: str = ANY_PICTURE, *, side: int = DRAFT_SIDE, reduce: bool = False
) -> Image.Image:
    """Decode the first frame of a picture to at most `MAX_PIXELS` pixels, of a kind that `formats.py` names.

    Larger JPEGs are decoded at a half, a quarter or an eighth of their size; the rest costs no memory.

    :param side: Pixels that both sides of a reduced JPEG still have.
    :param reduce: Whether larger PNGs are reduced while they are read, too; that takes seconds.
    :raises BadImageError: On anything else; one too large or too dear is refused before.
    """
    try:
        check_cost(data)
    except ValueError as error:
        raise BadImageError(f"{name} costs too much to decode: {error}", _SAVE) from None
    with pillow_errors(name):
        if reduce and (small := _reduced(data, name)) is not None:
            return small
        if kind_of(data[:HEAD_BYTES]) == "JPEG":
            image = _open_jpeg(data, name, side)
        else:
            image = Image.open(io.BytesIO(data), formats=pillow_formats(data, name))
        check_size(image, name)
        image.load()
        return image


def _open_jpeg(data: bytes, name: str, side: int) -> Image.Image:
    """A JPEG that will be decoded at a part of its size, if both sides keep so many pixels.

    It is opened past `Image.open`, which refuses 179 megapixels, whatever is decoded of them.
    """
    from PIL.JpegImagePlugin import jpeg_factory

    image: Image.Image = jpeg_factory(io.BytesIO(data))
    progressive = bool(image.info.get("progressive"))
    most = MAX_BUFFERED_PIXELS if progressive else MAX_JPEG_PIXELS
    if image.width * image.height > most:
        kind = "is a progressive JPEG of" if progressive else "has"
        size = f"{image.width} x {image.height} pixels, more than {most:,}"
        raise BadImageError(f"{name} {kind} {size}", _SHRINK)
    image.draft(None, (side, side))
    return image


def _reduced(data: bytes, name: str) -> Image.Image | None:
    """A PNG that is too large to be decoded at once, made smaller; None if it is not."""
    from simsearch.prepare.large_png import png_size, reduce_png  # of digits none is

    if math.prod(png_size(data) or ()) <= MAX_PIXELS:
        return None
    try:
        return reduce_png(data, MAX_PIXELS)
    except ValueError as error:
        raise BadImageError(f"{name} costs too much to decode: {error}", _SAVE_SMALLER) from None


@contextmanager
def pillow_errors(name: str) -> Iterator[None]:
    """Turn all that Pillow raises (on broken files nearly any exception) into one; silence its warnings."""
    try:
        with _SILENCE:
            yield
    except BadImageError:
        raise
    except Image.DecompressionBombError:
        raise BadImageError(f"{name} has more than {MAX_PIXELS:,} pixels", _SHRINK) from None
    except Exception as error:
        raise BadImageError(f"cannot decode {name}: not a picture, or damaged", SUPPORTED) from error


def check_size(image: Image.Image, name: str) -> None:
    for what, (width, height) in (("", image.size), ("tiles of ", tile_of(image))):
        if width * height > MAX_PIXELS:
            size = f"{what}{width} x {height} pixels"
            raise BadImageError(f"{name} has {size}, more than {MAX_PIXELS:,}", _SHRINK)
