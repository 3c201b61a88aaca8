"""A collection on a Milvus server: made, filled by id, and waited for until it answers wholly."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from simsearch.errors import BadInputError, BrokenBundleError, UnavailableError
from simsearch.index.stores.base import Ids, Labels, Vectors
from simsearch.index.stores.milvus.client import WRITE_S, Server, make_collection

UNLABELLED = -1  # in the label's column
HASHES = 2**32  # an item's hash lies in [0, HASHES)
FINISH_S = 600.0
_ROWS = 2000  # upserted at once
_BYTES = 2**24  # in one call, of the 64 MiB that the server takes
_LEAST_INDEXED = 1024  # rows; the server builds no index on a smaller segment, and looks at all of it
_POLL_S = 0.2
_ESCAPED = "base64:"  # before a text that the server does not take as it is
_QUOTED = re.compile(r"[\"'\\]")  # what would have to be escaped in a server's filter
_FACTORY = re.compile(r"HNSW(\d{1,3})")


class Items(NamedTuple):
    """Items as they are stored, row by row."""

    ids: Ids  # (N,)
    labels: Labels | None  # (N,)
    vectors: Vectors  # (N, D), unit rows
    sources: Sequence[str]  # N; none where nothing is known of them
    pictures: Sequence[bytes]  # N, packed; none where none are kept
    stamps: Sequence[str] | None = ()  # N; none where they were no files; None where there is no such column


@dataclass(frozen=True)
class IndexType:
    """How the server searches: `Flat` looks at every vector, `HNSW32` at few."""

    factory: str

    def __post_init__(self) -> None:
        if self.factory != "Flat" and not _FACTORY.fullmatch(self.factory):
            raise BadInputError(
                f"a Milvus store cannot be of the type {self.factory!r}",
                "Flat and HNSW32 work, without an ending",
            )

    @property
    def is_exact(self) -> bool:
        """Whether it looks at every vector, also under a restriction."""
        return self.factory == "Flat"

    def building(self) -> dict[str, Any]:
        """What the server is told when the index is made."""
        if self.is_exact:
            return {"index_type": "FLAT", "params": {}}
        links = int(self.factory.removeprefix("HNSW"))
        return {"index_type": "HNSW", "params": {"M": links, "efConstruction": 200}}

    def searching(self, fetch: int) -> dict[str, Any]:
        """What the server is told with a search for so many hits."""
        params = {} if self.is_exact else {"ef": max(64, fetch)}
        return {"metric_type": "IP", "params": params}


def hash_of(ids: Ids) -> Ids:
    """A number in [0, HASHES) for each id, as good as random, int64 (N,).

    It is what SplitMix64 makes of a state (Steele, Lea and Flood 2014).
    """
    with np.errstate(over="ignore"):
        mixed = ids.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
    return (mixed >> np.uint64(32)).astype(np.int64)


def create(
    server: Server, name: str, *, dim: int, index: IndexType, encoder: str, shards: int = 1, content: str = ""
) -> None:
    """Make an empty collection.

    :param encoder: The fingerprint of what makes its vectors.
    :param content: Names what will be loaded; see `holds`.
    """
    about = json.dumps({"simsearch": 1, "encoder": encoder, "factory": index.factory, "content": content})
    make_collection(server, name, dim=dim, index=index.building(), about=about, shards=shards)


def holds(server: Server, name: str, content: str) -> bool:
    """Whether a collection was made to be loaded with this, so that an interrupted load can go on."""
    if not content or not server.call("has_collection", name):
        return False
    with contextlib.suppress(ValueError, TypeError, KeyError):
        return bool(json.loads(server.call("describe_collection", name)["description"])["content"] == content)
    return False


def drop(server: Server, name: str) -> None:
    """Drop a collection, if there is one."""
    if server.call("has_collection", name):
        server.call("drop_collection", name, within=WRITE_S)


def check_collection(server: Server, name: str, *, dim: int, encoder: str | None, factory: str) -> None:
    """Check that a collection is what an index says of it.

    :raises MissingBundleError: If there is none.
    :raises BrokenBundleError: If it is of another dimension, model or index type.
    """
    found = server.call("describe_collection", name)
    hint = "build the index again with `simsearch build-index --store milvus`"
    sides = [field["params"].get("dim") for field in found["fields"] if field["name"] == "vector"]
    try:
        about = json.loads(found["description"])
        made_by, kind = str(about["encoder"]), str(about["factory"])
    except (ValueError, TypeError, KeyError):
        raise BrokenBundleError(f"the collection {name} was not made by simsearch", hint) from None
    if [int(side) for side in sides] != [dim]:
        raise BrokenBundleError(f"the collection {name} holds vectors of length {sides}, not {dim}", hint)
    if encoder is not None and made_by != encoder:
        raise BrokenBundleError(f"the vectors of the collection {name} were made by another model", hint)
    if kind != factory:
        raise BrokenBundleError(f"the collection {name} is of the type {kind}, not {factory}", hint)


def upsert(server: Server, name: str, items: Items) -> None:
    """Store items, in place of those of the same ids: what was interrupted is simply done again."""
    hashes = hash_of(items.ids)
    widest = max((len(picture) for picture in items.pictures), default=0)
    step = max(1, min(_ROWS, _BYTES // (4 * items.vectors.shape[1] + 2 * widest + 512)))
    for start in range(0, len(items.ids), step):
        rows = [_row(items, hashes, row) for row in range(start, min(start + step, len(items.ids)))]
        server.call("upsert", name, rows, within=WRITE_S)


def remove(server: Server, name: str, ids: Ids) -> None:
    """Delete the items of these ids."""
    for start in range(0, len(ids), _ROWS):
        server.call("delete", name, ids=ids[start : start + _ROWS].tolist(), within=WRITE_S)


def finish(server: Server, name: str, *, replicas: int = 1, within: float = FINISH_S) -> None:
    """Wait until everything is sealed, loaded, and searched by its index.

    That an index is said to be finished is not enough: for seconds more, segments are searched without it.

    :raises UnavailableError: If it takes longer.
    """
    end = time.monotonic() + within
    server.call("flush", name, within=within)  # refused while a data node restarts
    indexed = False
    while not indexed:
        state = server.call("describe_index", name, "vector", within=WRITE_S)
        indexed = state["state"] == "Finished" and int(state["pending_index_rows"]) == 0
        _wait_until(end, name, done=indexed)
    server.call("load_collection", name, replica_number=replicas, within=max(1.0, end - time.monotonic()))
    flat = state["index_type"] == "FLAT"  # which is no index that a segment could lack
    while not (flat or all(index or rows < _LEAST_INDEXED for rows, index in server.segments(name))):
        _wait_until(end, name)


def _wait_until(end: float, name: str, *, done: bool = False) -> None:
    if done:
        return
    if time.monotonic() > end:
        raise UnavailableError(f"the collection {name} is not ready in time", "run the same command again")
    time.sleep(_POLL_S)


def pack_text(text: str) -> str:
    """Text as the server takes it, in a filter too: other names of files are escaped."""
    content = text.encode("utf-8", "surrogatepass")
    plain = text.isprintable() and not text.startswith(_ESCAPED) and not _QUOTED.search(text)
    return text if plain else _ESCAPED + base64.b64encode(content).decode()


def unpack_text(stored: str) -> str:
    """The text that `pack_text` was given."""
    if not stored.startswith(_ESCAPED):
        return stored
    return base64.b64decode(stored.removeprefix(_ESCAPED)).decode("utf-8", "surrogatepass")


def chunks(ids: Ids, size: int) -> Iterator[Ids]:
    """These ids in parts."""
    for start in range(0, len(ids), size):
        yield ids[start : start + size]


def _row(items: Items, hashes: Ids, row: int) -> dict[str, Any]:
    stamp = None if items.stamps is None else {"stamp": items.stamps[row] if len(items.stamps) else ""}
    return {
        **(stamp or {}),
        "id": int(items.ids[row]),
        "label": UNLABELLED if items.labels is None else int(items.labels[row]),
        "hash": int(hashes[row]),
        "source": pack_text(items.sources[row]) if len(items.sources) else "",
        "picture": base64.b64encode(items.pictures[row]).decode() if len(items.pictures) else "",
        "vector": items.vectors[row],
    }
