"""Queries made of several pictures: vectors added and subtracted, and brought back to length 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from simsearch.encode.encoder import Encoder
from simsearch.errors import BadInputError
from simsearch.index.stores.base import Vectors
from simsearch.prepare.pictures import prepare_picture
from simsearch.prepare.prepare import PreparedImage, Preprocess
from simsearch.search.queries import single

_NO_DIRECTION = 1e-4  # a sum shorter than this is rounding, not a direction


@dataclass(frozen=True, eq=False)
class Part:
    """A named picture of a composed query, added or subtracted."""

    name: str
    image: PreparedImage
    added: bool


@dataclass(frozen=True, eq=False)
class ComposedQuery:
    """Pictures that a query shall also be like, and be unlike; `shift` is the sum of their vectors (D,)."""

    parts: tuple[Part, ...]
    shift: NDArray[np.float64]

    @classmethod
    def of(cls, parts: Sequence[Part], encoder: Encoder) -> ComposedQuery:
        """Encode the pictures and sum their vectors, those to be unlike with a minus.

        :raises BadImageError: If a picture has no vector.
        """
        vectors = encoder.encode(np.stack([part.image.pixels for part in parts])).astype(np.float64)
        signs = np.array([1.0 if part.added else -1.0 for part in parts])
        return cls(tuple(parts), signs @ vectors)

    def apply(self, vector: Vectors) -> Vectors:
        """The direction of a query's vector plus the shift, float32 (D,), of length 1.

        :raises BadInputError: If the sum has no direction.
        """
        total = vector.astype(np.float64) + self.shift
        length = float(np.linalg.norm(total))
        if length < _NO_DIRECTION:
            raise BadInputError(
                "the pictures cancel out: their sum and difference has no direction",
                hint="a picture that is added and subtracted says nothing; leave it out on one side",
            )
        return (total / length).astype(np.float32)

    def describe(self, name: str) -> str:
        """`a.png + b.png - c.png`; the name of the query comes first, if it has one."""
        text = name
        for part in self.parts:
            sign = "+" if part.added else "-"
            text = f"{text} {sign} {part.name}" if text else part.name if part.added else f"- {part.name}"
        return text


def read_composed_query(
    like: Sequence[str],
    unlike: Sequence[str],
    encoder: Encoder,
    stdin: BinaryIO,
    preprocess: Preprocess,
    invert: bool | None,
) -> ComposedQuery:
    """Read and encode the pictures that these arguments name.

    :raises BadInputError: If one of them is no picture.
    """
    parts = []
    for name, added in [*((name, True) for name in like), *((name, False) for name in unlike)]:
        query = single(name, stdin)
        if query.picture is None:
            raise ValueError("a query that is single has a picture")
        image = prepare_picture(query.picture, encoder.input, preprocess=preprocess, invert=invert)
        parts.append(Part(query.name, image, added))
    return ComposedQuery.of(parts, encoder)
