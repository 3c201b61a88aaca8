"""An index as tables for other programs: vectors, labels, sources and neighbors, as `.npz` or Parquet."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simsearch.errors import require
from simsearch.files import open_atomically
from simsearch.index.audit.neighbors import Progress, nearest_others
from simsearch.index.bundle import Bundle
from simsearch.index.stores.base import NOTHING, Hits, gather

_GROUP = 10_000  # rows that Parquet writes together


def export_npz(bundle: Bundle, path: Path, k: int, on_progress: Progress = lambda _: None) -> None:
    """Write `ids`, `vectors`, `labels` with `classes`, `sources`, `neighbors` (ids) and `scores`, unpickled.

    The same index and `k` give the same bytes, whenever they are written.

    :param k: Neighbors of each item, itself left out; 0 for none.
    :raises BadInputError: If the file cannot be written.
    """
    hits = nearest_others(bundle.store, k, on_progress) if k else None
    with open_atomically(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, array in _arrays(bundle, hits):
            content = io.BytesIO()
            np.lib.format.write_array(content, array, allow_pickle=False)
            undated = zipfile.ZipInfo(f"{name}.npy")
            archive.writestr(undated, content.getvalue(), zipfile.ZIP_DEFLATED)


def _arrays(bundle: Bundle, hits: Hits | None) -> Iterator[tuple[str, NDArray[Any]]]:
    yield "vectors", np.ascontiguousarray(gather(bundle.store).vectors)
    yield "ids", np.asarray(bundle.ids)
    if bundle.labels is not None:
        yield "labels", np.asarray(bundle.labels)
        yield "classes", np.array(bundle.manifest.classes, str)
    yield "sources", np.array(list(bundle.sources), str)
    if hits is not None:
        yield "neighbors", hits.ids
        yield "scores", hits.scores
    yield "model", np.array(bundle.manifest.model, str)
    yield "encoder", np.array(bundle.manifest.encoder, str)


def export_parquet(bundle: Bundle, path: Path, k: int, on_progress: Progress = lambda _: None) -> None:
    """Write the columns `id`, `source`, `label`, `vector` and `neighbors`, a row an item.

    `neighbors` is `{"ids": [...], "distances": [...]}` as embedding-atlas takes it: numbers of rows of the
    table, and 1 - cosine.

    :param k: Neighbors of each item, itself left out; 0 for none.
    :raises BadInputError: If the file cannot be written.
    :raises MissingExtraError: If pyarrow is not installed.
    """
    require("pyarrow", "parquet")
    import pyarrow
    import pyarrow.parquet

    hits = nearest_others(bundle.store, k, on_progress) if k else None
    fields = [
        ("id", pyarrow.int64()),
        ("source", pyarrow.string()),
        *([] if bundle.labels is None else [("label", pyarrow.string())]),
        ("vector", pyarrow.list_(pyarrow.float32(), bundle.store.dim)),
    ]
    if hits is not None:
        kind = [("ids", pyarrow.list_(pyarrow.int64())), ("distances", pyarrow.list_(pyarrow.float32()))]
        fields.append(("neighbors", pyarrow.struct(kind)))
    about = {"model": bundle.manifest.model, "encoder": bundle.manifest.encoder}
    schema = pyarrow.schema(fields, metadata=about)
    with open_atomically(path) as file, pyarrow.parquet.ParquetWriter(file, schema) as writer:
        for start in range(0, len(bundle.ids), _GROUP):
            rows = np.arange(start, min(start + _GROUP, len(bundle.ids)))
            writer.write_table(pyarrow.table(_columns(bundle, hits, rows, schema), schema=schema))


def _columns(bundle: Bundle, hits: Hits | None, rows: NDArray[np.int64], schema: Any) -> dict[str, Any]:
    import pyarrow

    ids = np.asarray(bundle.ids[rows])
    known = bundle.columns.describe(ids)
    flat = pyarrow.array(bundle.store.vectors(ids).ravel())
    columns: dict[str, Any] = {
        "id": ids,
        "source": [_readable(item.source) for item in known],
        "vector": pyarrow.FixedSizeListArray.from_arrays(flat, bundle.store.dim),
    }
    if bundle.labels is not None:
        classes = bundle.manifest.classes
        columns["label"] = [None if item.label is None else classes[item.label] for item in known]
    if hits is not None:
        columns["neighbors"] = [_neighbors(bundle, hits, row) for row in rows.tolist()]
    return {name: columns[name] for name in schema.names}


def _neighbors(bundle: Bundle, hits: Hits, row: int) -> dict[str, Any]:
    there = hits.ids[row] != NOTHING
    return {
        "ids": bundle.rows(hits.ids[row][there]),
        "distances": 1 - hits.scores[row][there],
    }


def _readable(source: str) -> str:
    """A source as UTF-8, which Parquet's texts are."""
    return source.encode(errors="backslashreplace").decode()
