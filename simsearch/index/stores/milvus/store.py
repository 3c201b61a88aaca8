"""The contract of stores over a Milvus collection: the server proposes candidates, exact scores order them.

The server promises no order on equal scores, computes float32 products, and gives at most 16,384 hits. So it
is asked for a few more than needed, with their vectors; these are scored again in float64. Where more tie at
the cut than it can give, ranges of ids are searched one by one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simsearch.index.stores.base import NOTHING, Block, Hits, Ids, Vectors, check_queries
from simsearch.index.stores.hits import leave_out, widen
from simsearch.index.stores.milvus import collection as stored
from simsearch.index.stores.milvus.candidates import Candidates, best_of
from simsearch.index.stores.milvus.client import Server
from simsearch.index.stores.milvus.collection import HASHES, UNLABELLED, IndexType, Items
from simsearch.index.stores.milvus.reader import LIMIT, MOST_BYTES, Reader
from simsearch.index.stores.milvus.rows import ABSENT, Rows
from simsearch.index.stores.milvus.watch import COUNTS, Watch
from simsearch.index.stores.near import reaches

_OVERFETCH = 16  # candidates beyond k, so that ties at the cut are usually seen at once
_APPROXIMATE_OVERFETCH = 4  # times k, for indexes whose proposals are approximate
_SIDE_BY_SIDE = 8  # searches of different classes
_LAST_ID = 2**63 - 1


class MilvusStore:
    """Unit vectors in a collection under inner product."""

    def __init__(
        self,
        server: Server,
        name: str,
        *,
        dim: int,
        count: int,
        last: int,
        classes: Sequence[int],
        factory: str = "Flat",
        rows: Rows | None = None,
        numbers: Sequence[int] | None = None,
    ) -> None:
        """Read a collection.

        :param count: How many items it holds in rows up to `last`; it answers while all these are served.
        :param classes: The classes that have an item; none without labels.
        :param rows: Which rows are items, where not all up to `last` are under their own numbers.
        :param numbers: What the collection calls each class; None for 0, 1, ...
        """
        self.server, self.name = server, name
        self._dim, self._classes = dim, tuple(sorted(map(int, classes)))
        self._items = count
        self._read = Reader(server, name, dim, rows or Rows(last), numbers)
        self._index = IndexType(factory)
        self._pool = ThreadPoolExecutor(_SIDE_BY_SIDE, "milvus")
        self._watch = Watch(self.served, count + len(self._read.rows.removed))
        self._replicas = 0  # not asked yet

    @property
    def rows(self) -> Rows:
        """Which rows of the collection are items."""
        return self._read.rows

    @property
    def dim(self) -> int:
        """Length of each vector."""
        return self._dim

    @property
    def is_exact(self) -> bool:
        """Whether searches look at every vector; where not, those restricted to classes do not either."""
        return self._index.is_exact

    @property
    def classes(self) -> tuple[int, ...]:
        """The numbers of the classes that have an item, ascending."""
        return self._classes

    def __len__(self) -> int:
        return self._items

    def count(self, label: int | None = None) -> int:
        """Number of stored vectors, or of those in a class."""
        if label is None:
            return len(self)
        found = sum(
            self._read.count(f"label == {number} and id <= {self.rows.last}") - self._read.lost_of(number)
            for number in self._read.stored_numbers([label])
        )
        self._watch.confirm()
        return found

    def search(
        self, queries: Vectors, k: int, *, classes: Sequence[int] | None = None, left_out: Ids | None = None
    ) -> Hits:
        """Find the k stored vectors most similar to each query; see `VectorStore.search`."""
        check_queries(queries, self.dim, k)
        where, total = "", len(self)
        if classes is not None:
            numbers = sorted(self._read.stored_numbers(classes))
            where = f"label in {numbers}"
            known = numbers and len(queries) and k < self._read.most_hits  # by what is found
            total = k + 1 if known else self._read.count(where) if numbers else 0
        hits = self._nearest(queries, min(k + (left_out is not None), total), where)
        self._watch.confirm()
        return hits if left_out is None else leave_out(hits, left_out, min(k, hits.ids.shape[1]))

    def search_each(
        self, queries: Vectors, k: int, classes: Sequence[int], *, left_out: Ids | None = None
    ) -> Hits:
        """Search inside each class, side by side; see `VectorStore.search_each`."""
        check_queries(queries, self.dim, k)
        fetch = k + (left_out is not None)

        def inside(number: int) -> Hits:
            found = Hits(np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64))
            for stored_as in self._read.stored_numbers([number]):
                found = self._nearest(queries, fetch, f"label == {stored_as}")
            return widen(found, k) if left_out is None else leave_out(found, left_out, k)

        found = list(self._pool.map(inside, classes))
        self._watch.confirm()
        shape = (len(queries), 0, k)
        return Hits(
            np.stack([hits.scores for hits in found], 1) if found else np.empty(shape, np.float32),
            np.stack([hits.ids for hits in found], 1) if found else np.empty(shape, np.int64),
        )

    def vectors(self, ids: Ids) -> Vectors:
        """The stored vectors of these ids; see `VectorStore.vectors`."""
        found = self.records(ids, ("vector",))
        return np.array([row["vector"] for row in found], np.float32).reshape(len(ids), self.dim)

    def records(self, ids: Ids, columns: Sequence[str]) -> list[dict[str, Any]]:
        """These columns of the items of these ids, in their order.

        :raises ValueError: If an id is not stored.
        """
        found = self.existing(ids, columns)
        if not found.keys() >= set(ids.tolist()):
            raise ValueError("an id is not stored")
        return [found[item] for item in ids.tolist()]

    def existing(self, ids: Ids, columns: Sequence[str]) -> dict[int, dict[str, Any]]:
        """These columns of the items of these ids, by id, those that there are."""
        wanted = np.unique(self.rows.rows_of(ids))
        rows = self._read.fetch(wanted[wanted != ABSENT], columns)
        self._watch.confirm()
        items = self.rows.ids_of(np.array(list(rows), np.int64)).tolist()
        return {item: {**row, "id": item} for item, row in zip(items, rows.values(), strict=True)}

    def scan(self, after: int = -1) -> Iterator[Block]:
        """Everything with an id above `after`, in blocks; see `VectorStore.scan`."""
        for rows in self.scan_records(("label", "vector"), after):
            yield self._block(rows)

    def scan_records(self, columns: Sequence[str], after: int = -1) -> Iterator[list[dict[str, Any]]]:
        """These columns of everything with an id above `after`, in blocks, in ascending order of id."""
        at, ended = max(after, -1), False
        while not ended:
            found = self._read.query(f"id > {at} and id <= {self.rows.last}", columns, limit=self._read.page)
            self._watch.confirm()
            ended = not found
            end = self.rows.last if ended else max(int(row["id"]) for row in found)
            rows = self._read.live(found, own=True)
            elsewhere = self.rows.items[(self.rows.items > at) & (self.rows.items <= end)]
            for part in stored.chunks(elsewhere, self._read.page):
                rows += self.records(part, columns)
            if rows:
                yield sorted(rows, key=lambda row: int(row["id"]))
            at = end

    def of_sources(self, sources: Collection[str]) -> set[str]:
        """Those of these sources that an item has."""
        found = self._read.of_sources(sources)
        self._watch.confirm()
        return found

    def after_last(self) -> Ids:
        """Rows of changes that were not committed, ascending, (n,)."""
        return self._read.after_last()

    def sample(self, count: int, seed: int = 0) -> Block:
        """At most `count` items, the same for the same seed: those whose hashes follow a random one."""
        count = min(count, len(self))
        start = at = int(np.random.default_rng(seed).integers(HASHES))
        width = max(1, HASHES * min(self._read.page // 2, count + _OVERFETCH) // max(1, len(self)))
        rows: list[dict[str, Any]] = []
        while at < start + HASHES and len(rows) < count:
            end = min(at + width, start + HASHES, HASHES if at < HASHES else 2 * HASHES)
            inside = f"hash >= {at % HASHES} and hash < {(end - 1) % HASHES + 1}"
            found = self._read.query(inside, ("label", "hash", "vector"), limit=LIMIT)
            if len(found) == LIMIT:
                width //= 2
                continue
            rows += sorted(self._read.live(found), key=lambda row: (row["hash"], row["id"]))
            at = end
        self._watch.confirm()
        return self._block(sorted(rows[:count], key=lambda row: int(row["id"])))

    def upsert(self, items: Items) -> None:
        """Store items, in place of those of the same ids; `finish` and `expect` tell when they are there."""
        stored.upsert(self.server, self.name, items)
        self._read.level = "Session"  # which waits for one's own writes, and for no others

    def remove(self, ids: Ids) -> None:
        """Delete the items of these ids."""
        stored.remove(self.server, self.name, ids)
        self._read.level = "Strong"  # the server does not say when it deleted, as it does of what it stored

    def expect(self, count: int, last: int, classes: Sequence[int]) -> None:
        """Answer from now on as a store that holds this."""
        self._items, self._classes = count, tuple(sorted(map(int, classes)))
        self._read.rows = Rows(last)
        self._watch.expected = count

    def close(self) -> None:
        """Give the connection back."""
        self._pool.shutdown()
        self.server.close()

    def _block(self, rows: list[dict[str, Any]]) -> Block:
        labels = np.array([row["label"] for row in rows], np.int64)
        return Block(
            ids=np.array([row["id"] for row in rows], np.int64),
            labels=labels if self._classes or (labels != UNLABELLED).any() else None,
            vectors=np.array([row["vector"] for row in rows], np.float32).reshape(len(rows), self.dim),
        )

    def served(self) -> int:
        """How many rows that count or did are served now: the lowest of several counts, by all copies."""
        self._replicas = self._replicas or self.server.replicas(self.name)
        times = COUNTS * self._replicas if self._replicas > 1 else 1
        found = min(self._pool.map(lambda _: self._read.count(), range(times)))
        if found <= self._watch.expected:
            return found
        ours = f"id <= {self.rows.last}"  # others add to it
        return min(self._pool.map(lambda _: self._read.count(ours), range(times)))

    def _nearest(self, queries: Vectors, k: int, where: str) -> Hits:
        """The k nearest that match, or as many columns as were found."""
        hits = Hits(np.full((len(queries), k), np.nan, np.float32), np.full((len(queries), k), NOTHING))
        pending = np.arange(len(queries) if k else 0)
        fetch = k + _OVERFETCH if self.is_exact else _APPROXIMATE_OVERFETCH * k + _OVERFETCH
        while len(pending):
            fetch = min(fetch, self._read.most_hits)
            again = []
            for place, found in zip(pending, self._ask(queries[pending], fetch, where), strict=True):
                live = found.live(self.rows)
                enough = not self.is_exact and len(live.ids) >= k
                whole = enough or found.holds_the_best(k, fetch, live)
                if not whole and fetch < self._read.most_hits:
                    again.append(place)
                    continue
                is_best = whole or not self.is_exact
                best = live.ordered(queries[place], k) if is_best else self._divided(queries[place], k, where)
                hits.scores[place, : len(best.ids)], hits.ids[place, : len(best.ids)] = best
            pending, fetch = np.array(again, np.int64), fetch * 4
        columns = int((hits.ids != NOTHING).any(0).sum()) if len(queries) else k
        return Hits(hits.scores[:, :columns], hits.ids[:, :columns])

    def _divided(self, query: NDArray[np.float32], k: int, where: str) -> Hits:
        """The k nearest, (k,), where more may tie with the last than one answer holds."""
        best = Hits(np.empty(0, np.float32), np.empty(0, np.int64))
        ranges = [(-1, _LAST_ID)]
        while ranges:
            low, high = ranges.pop()
            inside = f"id > {low} and id <= {high}" + (f" and {where}" if where else "")
            (found,) = self._ask(query[None], self._read.most_hits, inside)
            better = best_of(best, found.live(self.rows).ordered(query, k), k)
            full = len(found.ids) == self._read.most_hits
            if full and (len(better.ids) < k or reaches(found.rough[-1:], better.scores[-1:])[0]):
                middle = int(np.sort(found.ids)[len(found.ids) // 2])
                ranges += [(middle, high), (low, middle)]  # the lower one comes first
            else:
                best = better
        return best

    def _ask(self, queries: Vectors, fetch: int, where: str) -> Iterator[Candidates]:
        """What the server proposes to each query, at most `fetch` items, in answers of bounded size."""
        step = max(1, MOST_BYTES // (fetch * self._read.row_bytes))
        for start in range(0, len(queries), step):
            found = self.server.call(
                "search",
                self.name,
                list(queries[start : start + step]),
                anns_field="vector",
                limit=fetch,
                filter=where,
                output_fields=["vector"],
                search_params=self._index.searching(fetch),
                consistency_level=self._read.level,
            )
            yield from (Candidates.of(hits, self.dim) for hits in found)
