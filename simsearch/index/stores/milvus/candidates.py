"""What a server proposes to one query, and the exact order of it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simsearch.index.stores.base import Hits, Ids, Vectors
from simsearch.index.stores.exact import exact_scores
from simsearch.index.stores.milvus.rows import Rows
from simsearch.index.stores.near import reaches


class Candidates(NamedTuple):
    """Items that one query was answered with, in the server's order."""

    rough: NDArray[np.float32]  # (n,), descending; the server's own products
    ids: Ids  # (n,)
    vectors: Vectors  # (n, D)

    @classmethod
    def of(cls, hits: Any, dim: int) -> Candidates:
        """The candidates in one of pymilvus's answers."""
        return cls(
            np.array([hit["distance"] for hit in hits], np.float32),
            np.array([hit["id"] for hit in hits], np.int64),
            np.array([hit["entity"]["vector"] for hit in hits], np.float32).reshape(len(hits), dim),
        )

    def live(self, rows: Rows) -> Candidates:
        """Those that are items of an index, under their ids."""
        if rows.is_plain and (not len(self.ids) or self.ids.max() <= rows.last):
            return self
        kept = rows.are_live(self.ids)
        return Candidates(self.rough[kept], rows.ids_of(self.ids[kept]), self.vectors[kept])

    def holds_the_best(self, k: int, asked_for: int, live: Candidates) -> bool:
        """Whether no item beyond these can be among the k best of those that are live, not even by a tie."""
        if len(self.ids) < asked_for:
            return True
        return len(live.ids) >= k and not reaches(self.rough[-1:], live.rough[k - 1 : k])[0]

    def ordered(self, query: NDArray[np.float32], k: int) -> Hits:
        """The k best of these by exact score, equal ones by id: (k,), or fewer where there are fewer."""
        scores = exact_scores(np.broadcast_to(query, self.vectors.shape), self.vectors)
        order = np.lexsort((self.ids, -scores))[:k]
        return Hits(scores[order], self.ids[order])


def best_of(first: Hits, second: Hits, k: int) -> Hits:
    """The k best of two lists of different items, (k,) or fewer."""
    scores, ids = np.concatenate([first.scores, second.scores]), np.concatenate([first.ids, second.ids])
    order = np.lexsort((ids, -scores))[:k]
    return Hits(scores[order], ids[order])
