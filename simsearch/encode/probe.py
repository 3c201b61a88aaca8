"""Vectors that an encoder of whole numbers must give again on the processor that runs it.

A sum of products of bytes leaves 16 bits on x86 without VNNI, and is cut off there: vectors then differ
between processors, and nothing would say so. So such an encoder's file carries a few pictures and the vectors
that they had where it was made, and whoever opens it encodes them once.
"""

from __future__ import annotations

import base64
import binascii
import json

import numpy as np

from simsearch.encode.encoder import Encoder, Vectors
from simsearch.errors import BadImageError, BrokenModelError
from simsearch.prepare.inputs import Pictures

PROBED = 4  # pictures
_MOST = 16
_SAME = 2e-4  # 1 minus the cosine; a number that is rounded to its neighbor makes up to 3e-5


def probe_of(pictures: Pictures, vectors: Vectors) -> str:
    """What the file carries: pictures, uint8 (N, ...), and their vectors, float32 (N, D)."""
    fields = {"pictures": pictures.astype(np.uint8), "vectors": vectors.astype("<f4")}
    return json.dumps(
        {name: base64.b64encode(array.tobytes()).decode() for name, array in fields.items()}, sort_keys=True
    )


def check_probe(probe: str, encoder: Encoder) -> None:
    """Encode what the file carries.

    :raises BrokenModelError: If the vectors are others than those in the file, or it carries something else.
    """
    try:
        pictures, vectors = _read(probe, encoder)
    except (ValueError, TypeError, KeyError, RecursionError, binascii.Error) as error:
        raise BrokenModelError("the encoder's pictures for comparing processors cannot be read") from error
    try:
        found = encoder.encode(pictures).astype(np.float64)
    except BadImageError as error:
        raise _other("no vectors") from error
    farthest = float((1 - np.einsum("nd,nd->n", found, vectors.astype(np.float64))).max())
    if not farthest <= _SAME:
        raise _other(f"other vectors than where it was made (1 minus the cosine: {farthest:.2g})")


def _other(what: str) -> BrokenModelError:
    return BrokenModelError(
        f"on this processor the encoder gives {what}",
        hint="int8 needs a processor with VNNI or the like: build the index here, or in float32",
    )


def _read(probe: str, encoder: Encoder) -> tuple[Pictures, Vectors]:
    """The pictures, uint8 (N, ...), and vectors, float32 (N, D)."""
    fields, shape = json.loads(probe), encoder.input.picture_shape
    pixels, numbers = (base64.b64decode(fields[name], validate=True) for name in ("pictures", "vectors"))
    pictures = np.frombuffer(pixels, np.uint8).reshape(-1, *shape)
    vectors = np.frombuffer(numbers, "<f4").reshape(-1, encoder.dim)
    if not 1 <= len(pictures) == len(vectors) <= _MOST or not np.isfinite(vectors).all():
        raise ValueError("of another count, or not finite")
    return pictures, vectors.astype(np.float32)
