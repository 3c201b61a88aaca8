"""The encode step: one unit of work becomes one shard. It knows no engine; any can call it, anywhere, again.

A shard is a Parquet file of ids, classes, sources, packed pictures and vectors, written whole under a name
that depends on the unit alone: a unit that is done twice is there once.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import numpy as np

from simsearch.encode.encoder import VectorOutput, Vectors
from simsearch.encode.onnx import OnnxEncoder
from simsearch.errors import BadImageError, require
from simsearch.index.reading import hash_of, stamp_text
from simsearch.index.served import pack_pictures
from simsearch.index.shards.places import file_state, open_place, read_whole, write_whole
from simsearch.index.shards.plan import Unit
from simsearch.index.writing import Described
from simsearch.prepare.inputs import ImageInput, Picture
from simsearch.prepare.pictures import prepare_picture

ABOUT = b"simsearch"  # the key of what a shard says of itself


@dataclass(frozen=True)
class Job:
    """What every unit of a gallery needs."""

    root: str
    shards: str  # the folder of the shards, a path or a URI
    encoder: bytes
    input: ImageInput
    output: VectorOutput
    classes: tuple[str, ...]
    fingerprint: str  # of the plan


class Done(msgspec.Struct, frozen=True):
    """What became of a unit."""

    shard: str
    count: int  # pictures encoded
    skipped: tuple[tuple[str, str], ...] = ()  # name and reason


def start(job: Job) -> Callable[[bytes], bytes]:
    """An encode step for an engine that passes bytes: JSON of a `Unit` in, JSON of a `Done` out."""
    step = EncodeStep(job)
    return lambda unit: msgspec.json.encode(step(msgspec.json.decode(unit, type=Unit)))


class _Given(NamedTuple):
    """A picture as it lies there."""

    id: int
    name: str
    number: int | None
    content: bytes
    stamp: str = ""  # of a file here; see `stamp_text`


class EncodeStep:
    """Encodes units; holds an encoder with one thread."""

    def __init__(self, job: Job) -> None:
        require("pyarrow", "parquet")
        self._job = job
        self._encoder = OnnxEncoder(job.encoder, input=job.input, output=job.output, threads=1)
        self._from, self._to = open_place(job.root), open_place(job.shards)

    def __call__(self, unit: Unit) -> Done:
        """Read, prepare and encode a unit's pictures, and write its shard.

        :raises OSError: If the shard cannot be written.
        """
        taken: list[_Given] = []
        pixels: list[Picture] = []
        skipped: list[tuple[str, str]] = []
        for given in self._read(unit, skipped):
            try:
                pixels.append(prepare_picture(given.content, self._job.input).pixels)
                taken.append(given)
            except (BadImageError, OSError) as error:
                skipped.append((given.name, str(error)))
        images = np.stack(pixels) if pixels else np.empty((0, *self._job.input.picture_shape), np.uint8)
        done = Done(unit.shard, len(taken), tuple(skipped))
        content = self._shard(done, taken, images, self._encoder.encode(images))
        write_whole(self._to, self._to.below(unit.shard), content)
        return done

    def _read(self, unit: Unit, skipped: list[tuple[str, str]]) -> Iterator[_Given]:
        if unit.table or not unit.files:
            yield from self._rows(unit)
            return
        for place, name in enumerate(unit.files):
            number = None if unit.numbers is None else unit.numbers[place]
            try:
                before = file_state(self._from, name)
                content = read_whole(self._from, self._from.below(name))
            except OSError as error:
                skipped.append((name, (str(error).splitlines() or ["it cannot be read"])[0]))
                continue
            stamp = "" if before is None else stamp_text((*before, hash_of(content)))
            yield _Given(unit.first + place, name, number, content, stamp)

    def _rows(self, unit: Unit) -> Iterator[_Given]:
        """The unit's rows of its Parquet file."""
        from pyarrow import parquet

        path = self._from.below(unit.table) if unit.table else self._from.path
        numbers = {name: number for number, name in enumerate(self._job.classes)}
        with self._from.system.open_input_file(path) as file:
            opened = parquet.ParquetFile(file)
            columns = [name for name in ("picture", "label", "source") if name in opened.schema_arrow.names]
            rows = _rows_between(opened, columns, unit.row, unit.row + unit.count)
            for place, row in enumerate(rows):
                name = str(row.get("source") or f"{unit.table or self._job.root}#{unit.row + place}")
                number = numbers.get(str(row.get("label"))) if numbers else None
                yield _Given(unit.first + place, name, number, row["picture"])

    def _shard(self, done: Done, taken: list[_Given], images: Any, vectors: Vectors) -> bytes:
        import pyarrow as pa
        from pyarrow import parquet

        names = [given.name for given in taken]
        packed = pack_pictures(Described.of(images, names).shown) if names else []
        width = self._encoder.dim
        flat = pa.array(vectors.ravel(), pa.float32())
        table = pa.table(
            {
                "id": pa.array([given.id for given in taken], pa.int64()),
                "label": pa.array([given.number for given in taken], pa.int64()),
                "source": pa.array(names, pa.string()),
                "picture": pa.array(packed, pa.binary()),
                "stamp": pa.array([given.stamp for given in taken], pa.string()),
                "vector": pa.FixedSizeListArray.from_arrays(flat, width),
            }
        )
        about = {"plan": self._job.fingerprint, "done": msgspec.to_builtins(done)}
        content = io.BytesIO()
        table = table.replace_schema_metadata({ABOUT: json.dumps(about)})
        parquet.write_table(table, content, write_page_checksum=True)
        return content.getvalue()


def _rows_between(opened: Any, columns: list[str], start: int, end: int) -> Iterator[dict[str, Any]]:
    """Some rows of a Parquet file; of its row groups only those that hold them are read."""
    before = 0
    for group in range(opened.metadata.num_row_groups):
        count = opened.metadata.row_group(group).num_rows
        if before < end and before + count > start:
            table = opened.read_row_group(group, columns=columns)
            first = max(start - before, 0)
            yield from table.slice(first, min(end - before, count) - first).to_pylist()
        before += count
