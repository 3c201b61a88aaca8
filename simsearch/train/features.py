"""The features of a training set: computed once by an encoder, and kept in the run's folder."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simsearch.data.collection import Skipped, summary
from simsearch.data.mnist import Note, silent
from simsearch.data.splits import HoldOut
from simsearch.data.training_set import TrainingSet, remaining
from simsearch.encode.encoder import Encoder, Vectors, check_unit_rows
from simsearch.errors import BadDatasetError, BadImageError, BadInputError, BrokenModelError
from simsearch.files import read_small_file, write_atomically
from simsearch.prepare.inputs import Picture

FEATURES = "features.npz"
_MOST_BYTES = 2**33
_CHUNK = 64


class Features(NamedTuple):
    """N training images as an encoder sees them."""

    vectors: Vectors  # (N, D)
    labels: NDArray[np.int64]  # (N,)
    part: HoldOut  # of these rows


def compute_features(
    data: TrainingSet,
    encoder: Encoder,
    folder: Path,
    *,
    resume: bool = False,
    on_progress: Callable[[int], None] = lambda _: None,
    note: Note = silent,
) -> Features:
    """The features of all pictures that have any, read from the folder where they are kept already.

    :param folder: That of the run; they are written into it.
    :param resume: Whether the run goes on, so that features of another encoder are not replaced.
    :param on_progress: Called with the number of pictures of each finished batch.
    :param note: Receives what was left out.
    :raises BadDatasetError: If no picture has any.
    :raises BadInputError: If the run that goes on was of other pictures or of another encoder.
    """
    key = hashlib.sha256(f"{data.digest} {encoder.fingerprint} {encoder.input}".encode()).hexdigest()
    kept = _read(folder / FEATURES, key, len(data.labels), encoder.dim)
    if kept is None:
        if resume and _key_of(folder / FEATURES) not in (None, key):
            raise BadInputError(
                f"{folder} is of a run on other pictures or another encoder",
                hint="resume with that run's own options, or train into another folder",
            )
        kept = _compute(data, encoder, on_progress, note)
        content = io.BytesIO()
        np.savez(content, key=np.array(key), rows=kept[0], vectors=kept[1])
        write_atomically(folder / FEATURES, content.getvalue())
    rows, vectors = kept
    return Features(vectors, data.labels[rows], remaining(data.part, rows))


_Kept = tuple[NDArray[np.int64], Vectors]  # rows of the training set, and their features


def _compute(data: TrainingSet, encoder: Encoder, on_progress: Callable[[int], None], note: Note) -> _Kept:
    rows: list[int] = []
    vectors: list[Vectors] = []
    skipped: list[Skipped] = []
    waiting: list[tuple[int, Picture]] = []

    def finish() -> None:
        for row, vector in zip([row for row, _ in waiting], _encode(encoder, waiting), strict=True):
            if vector is None:
                skipped.append(Skipped(data.sources[row], "the encoder gives no vector for it"))
            else:
                rows.append(row)
                vectors.append(vector)
        on_progress(len(waiting))
        waiting.clear()

    for row, found in enumerate(data.pictures(encoder.input)):
        if isinstance(found, str):
            skipped.append(Skipped(data.sources[row], found))
            on_progress(1)
            continue
        waiting.append((row, found))
        if len(waiting) == _CHUNK:
            finish()
    if waiting:
        finish()
    for line in summary(skipped):
        note(line)
    if not rows:
        raise BadDatasetError(f"{data.name} holds no picture that the encoder can see ({skipped[0].reason})")
    return np.array(rows, np.int64), np.stack(vectors)


def _encode(encoder: Encoder, pictures: list[tuple[int, Picture]]) -> Iterator[Vectors | None]:
    """The vector of each picture; None where it has none."""
    images = np.stack([picture for _, picture in pictures])
    try:
        yield from encoder.encode(images)
    except BadImageError:
        for image in images:
            try:
                yield encoder.encode(image[None])[0]
            except BadImageError:
                yield None


def _key_of(path: Path) -> str | None:
    """The key of features that are kept, if that can be read."""
    try:
        with np.load(io.BytesIO(read_small_file(path, _MOST_BYTES) or b""), allow_pickle=False) as kept:
            return str(kept["key"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _read(path: Path, key: str, most: int, dim: int) -> _Kept | None:
    """What is kept, if it is of these pictures and this encoder, and whole."""
    try:
        data = read_small_file(path, _MOST_BYTES)
        with np.load(io.BytesIO(data or b""), allow_pickle=False) as kept:
            rows, vectors = kept["rows"], kept["vectors"]
            same = str(kept["key"]) == key
        fits = rows.dtype == np.int64 and vectors.dtype == np.float32 and vectors.shape == (len(rows), dim)
        ascending = len(rows) and rows[0] >= 0 and rows[-1] < most and (np.diff(rows) > 0).all()
        if not (same and fits and ascending):
            return None
        check_unit_rows(vectors)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, BrokenModelError):
        return None
    return rows, vectors
