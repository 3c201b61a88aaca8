"""Kinds of picture, told by their bytes."""

import base64
import importlib.util
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from simsearch.errors import BadImageError
from simsearch.prepare.decode import decode_image
from simsearch.prepare.formats import FORMATS, HEAD_BYTES, kind_of

BAR = np.zeros((28, 28), np.uint8)
BAR[4:22, 12:16] = 255
HEIC_BAR = zlib.decompress(  # the bar once more, written by libheif with x265
    base64.b85decode(
        b"c-muNV30{GsVvAy&8%Pmg51nBLl8SRGck>Ufw3$%wIq=N0u(b+a*CjAhJwuG5(YG&l$n#C3}U!AFfalk5HQYy&_ECk#L"
        b"AhOd1+uCNK_QaNo9iaGRl$-K}^1a%#vKVl5d#>MFl|mT4q6VK9DX1DsyIJ;Q%t{{{ShH`@rz$&krDzpE&`jL)?Lphw=Y"
        b"^kOF3~3TB{^T}%#%KshxhMn+VL15GSq(W`c4&t?MgjX(sGKoU?Xn+xN?;)9()^M#Z1bBgkkb1HzMybNp&Kp~OL;(}DDr"
        b"yQVIBRMA#<W3o=yTSDT|Nrj*X(kvA@m)nG*mEE+NMsh|!a^4qV62Ty%&aXyc5-e?A}DmjH5k{aIj40@IQ;JOzo%Rg&vP"
        b"G01sQXE=eXKouuya6&Opm+Y<s?G?p}Ccou2J4<vf84YFfXuJPWqC3!c=-si@6O_}P47$HLn0JkwX^t@B*Ouys{K2jBD?"
        b"0LS!qWd"
    )
)


def encoded(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(BAR).save(buffer, kind)
    return buffer.getvalue()


def tiled(width: int, height: int) -> bytes:
    """A gray TIFF of 10 x 10 pixels in one tile of this size."""
    pixels = zlib.compress(bytes(width * height))
    tags = {256: 10, 257: 10, 258: 8, 259: 8, 262: 1, 277: 1, 322: width, 323: height, 324: 0}
    tags[325] = len(pixels)
    tags[324] = start = 8 + 2 + 12 * len(tags) + 4
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)
    assert len(head) == start
    return head + pixels


@pytest.mark.parametrize("kind", FORMATS)
def test_what_pillow_writes_is_recognized_and_decoded(kind: str) -> None:
    data = encoded(kind)
    assert kind_of(data[:HEAD_BYTES]) == kind
    decoded = np.asarray(decode_image(data).convert("L")).astype(int)
    assert np.abs(decoded - BAR).mean() < 4  # JPEG, WebP and AVIF lose a little


@pytest.mark.parametrize("data", [b"", b"no picture", b"RIFF1234WAVE", b"\0\0\0\x18ftypmp42\0\0\0\0isom"])
def test_other_bytes_are_no_picture(data: bytes) -> None:
    assert kind_of(data) is None


def test_a_tile_larger_than_its_picture_is_refused_before_it_is_decoded() -> None:
    assert decode_image(tiled(16, 16)).size == (10, 10)
    with pytest.raises(BadImageError, match=r"x has tiles of 4,?096 x 2,?048 pixels, more than 4,194,304"):
        decode_image(tiled(4096, 2048), "x")


def test_heic_is_decoded_with_its_extra() -> None:
    pytest.importorskip("pi_heif")
    assert kind_of(HEIC_BAR[:HEAD_BYTES]) == "HEIC"
    decoded = np.asarray(decode_image(HEIC_BAR).convert("L")).astype(int)
    assert np.abs(decoded - BAR).mean() < 12


def test_heic_without_its_extra_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(BadImageError, match="x is HEIC, which needs the extra `heic`") as caught:
        decode_image(HEIC_BAR, "x")
    assert caught.value.hint == "pip install 'simsearch[heic]'"
