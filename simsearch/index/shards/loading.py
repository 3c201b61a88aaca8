"""Units -> shards -> items: a gallery is encoded once, and can be loaded as often as wanted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np

from simsearch.encode.encoder import Encoder
from simsearch.errors import BrokenBundleError, require
from simsearch.index.serving import Load
from simsearch.index.shards.engines import Engine
from simsearch.index.shards.places import Place, open_place
from simsearch.index.shards.plan import Plan, Unit
from simsearch.index.shards.step import ABOUT, Done, Job


def encode_shards(job: Job, plan: Plan, engine: Engine, on_progress: Callable[[int], None]) -> list[Done]:
    """Encode what is not encoded yet, by an engine; what became of each unit, in order.

    :param on_progress: Called with the number of pictures of each finished unit.
    """
    require("pyarrow", "parquet")
    place, done, left = open_place(job.shards), dict[str, Done](), list[Unit]()
    for unit in plan.units:
        before = _finished(place, unit, job.fingerprint)
        if before is None:
            left.append(unit)
        else:
            done[unit.shard] = before
            on_progress(unit.count)
    counts = {unit.shard: unit.count for unit in left}
    for one in engine(job, left) if left else ():
        done[one.shard] = one
        on_progress(counts.pop(one.shard, 0))
    return [done[unit.shard] for unit in plan.units]


def read_loads(job: Job, plan: Plan, encoder: Encoder) -> Iterator[Load]:
    """The items of all shards, shard by shard, in ascending order of id.

    :raises BrokenBundleError: If a shard is missing, damaged, or was made from something else.
    """
    place = open_place(job.shards)
    for unit in plan.units:
        table = _read(place, unit, job.fingerprint)
        if not table.num_rows:
            continue
        vectors = np.asarray(table["vector"].combine_chunks().flatten()).reshape(table.num_rows, -1)
        if vectors.shape[1] != encoder.dim:
            raise _damaged(place, unit)
        yield Load(
            ids=table["id"].to_numpy(),
            labels=table["label"].to_numpy() if plan.classes else None,
            vectors=np.ascontiguousarray(vectors, np.float32),
            sources=table["source"].to_pylist(),
            pictures=table["picture"].to_pylist(),
            stamps=table["stamp"].to_pylist() if "stamp" in table.column_names else [],
        )


def _finished(place: Place, unit: Unit, fingerprint: str) -> Done | None:
    """What became of a unit, if its shard is there and was made for the same plan."""
    from pyarrow import parquet

    try:
        with place.system.open_input_file(place.below(unit.shard)) as file:
            found = _about(parquet.read_schema(file), fingerprint)
    except (OSError, ValueError):
        return None
    return found


def _read(place: Place, unit: Unit, fingerprint: str) -> Any:
    from pyarrow import parquet

    try:
        with place.system.open_input_file(place.below(unit.shard)) as file:
            table = parquet.read_table(file, page_checksum_verification=True)
            if _about(table.schema, fingerprint) is None or table["id"].null_count:
                raise ValueError("it was made from something else")
            return table
    except (OSError, ValueError, KeyError):
        raise _damaged(place, unit) from None


def _about(schema: Any, fingerprint: str) -> Done | None:
    said = json.loads((schema.metadata or {}).get(ABOUT, b"{}"))
    return msgspec.convert(said["done"], Done) if said.get("plan") == fingerprint else None


def _damaged(place: Place, unit: Unit) -> BrokenBundleError:
    return BrokenBundleError(
        f"the shard {place.below(unit.shard)} is missing, damaged or of another gallery",
        "run the same command again",
    )
