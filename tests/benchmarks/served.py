"""What an item costs on a Milvus server: memory, disk, loading, answers; the figures of docs/scale.md.

Run where `.ci/engines` has installed what is needed, in a network namespace of its own:

    KEEP=~/engines .ci/engines
    SIMSEARCH_ENGINES=~/engines PYTHONPATH=.:tests unshare --net sh -c \
        'ip link set lo up; ~/engines/client/bin/python tests/benchmarks/served.py --items 100000'
"""

from __future__ import annotations

import argparse
import os
import re
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from engines.single import PASSWORD, URI, Single

from simsearch.index.stores.base import Vectors
from simsearch.index.stores.milvus import collection as stored
from simsearch.index.stores.milvus.client import TOKEN, Server
from simsearch.index.stores.milvus.collection import IndexType, Items
from simsearch.index.stores.milvus.store import MilvusStore

DIM, PICTURE, BLOCK = 128, 300, 10_000


def unit(random: np.random.Generator, count: int) -> Vectors:
    rows = random.standard_normal((count, DIM)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def memory(process: int) -> int:
    """Resident bytes of a process."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{process}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def disk(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def load(server: Server, name: str, count: int, random: np.random.Generator) -> float:
    """Fill a collection; items a second."""
    spent = 0.0
    for start in range(0, count, BLOCK):
        ids = np.arange(start, min(start + BLOCK, count))
        pictures = [random.bytes(PICTURE) for _ in ids]
        sources = [f"class/{item:010}" for item in ids]
        items = Items(ids, ids % 10, unit(random, len(ids)), sources, pictures)
        began = time.perf_counter()
        stored.upsert(server, name, items)
        spent += time.perf_counter() - began
    return count / spent


def measure(count: int, single: Single, folder: Path) -> None:
    random = np.random.default_rng(0)
    server = Server(URI, timeout=60)
    stored.create(server, "cost", dim=DIM, index=IndexType("Flat"), encoder="none")
    before, on_disk = memory(single.process), disk(folder)
    rate = load(server, "cost", count, random)
    stored.finish(server, "cost")
    store = MilvusStore(server, "cost", dim=DIM, count=count, last=count - 1, classes=range(10))
    print(f"{count:,} items of {DIM} numbers, pictures of {PICTURE} bytes, sources of 16")
    print(f"loading: {rate:,.0f} items a second")
    print(f"memory: {(memory(single.process) - before) / count:,.0f} bytes an item")
    print(f"disk: {(disk(folder) - on_disk) / count:,.0f} bytes an item")
    queries = unit(random, 200)
    began = time.perf_counter()
    for row in range(len(queries)):
        store.search(queries[row : row + 1], 10)
    print(f"one by one: {len(queries) / (time.perf_counter() - began):,.0f} answers a second")
    began = time.perf_counter()
    store.search(queries, 10)
    print(f"together: {len(queries) / (time.perf_counter() - began):,.0f} answers a second")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=100_000)
    count = parser.parse_args().items
    with TemporaryDirectory() as top:
        single = Single(Path(top) / "server")
        single.start()
        try:
            single.set_password()
            os.environ[TOKEN] = f"root:{PASSWORD}"
            measure(count, single, Path(top) / "server")
        finally:
            single.stop()


if __name__ == "__main__":
    main()
